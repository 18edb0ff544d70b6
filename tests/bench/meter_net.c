/* Network figures. The guest connects and says in one byte what it wants; a byte back says that all has arrived, so
 * that what is measured is delivery and not how much a socket can buffer. */
#include "tests/bench/meter.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHUNK        65536
#define STREAM_BYTES (24u << 20) /* a second or so in an emulated host */
#define WARM_UP      (4u << 20)  /* bytes, until TCP's window has grown */
#define EXCHANGES    2000
#define ATTEMPTS     50 /* to connect, 100 ms apart: the other end may still be starting */

enum wish { WISH_TAKE = 't', WISH_GIVE = 'g', WISH_ECHO = 'e' };

static char chunk[CHUNK];

static void set_no_delay(int fd)
{
    const int on = 1;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0) meter_die("TCP_NODELAY");
}

static int write_all(int fd, size_t bytes)
{
    while (bytes > 0) {
        const ssize_t n = write(fd, chunk, bytes < CHUNK ? bytes : CHUNK);
        if (n <= 0) return -1;
        bytes -= (size_t)n;
    }
    return 0;
}

static int read_all(int fd, size_t bytes)
{
    while (bytes > 0) {
        const ssize_t n = read(fd, chunk, bytes < CHUNK ? bytes : CHUNK);
        if (n <= 0) return -1;
        bytes -= (size_t)n;
    }
    return 0;
}

/* The server's side of one connection; whatever goes wrong there, the client will say. */
static void serve(int fd)
{
    char wish, byte;
    set_no_delay(fd);
    if (read(fd, &wish, 1) != 1) return;
    if (wish == WISH_GIVE) {
        if (read(fd, &byte, 1) == 1 && write_all(fd, WARM_UP) == 0) (void)write_all(fd, STREAM_BYTES);
    } else if (wish == WISH_TAKE) {
        if (read_all(fd, WARM_UP) != 0 || write(fd, "", 1) != 1) return;
        if (read_all(fd, STREAM_BYTES) == 0) (void)(write(fd, "", 1) == 1);
    } else {
        while (read(fd, &byte, 1) == 1 && write(fd, &byte, 1) == 1) continue;
    }
    (void)read(fd, &byte, 1); /* the client closes first: no port is left waiting here */
}

static struct sockaddr_in at(uint32_t address, uint16_t port)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = address};
}

_Noreturn void meter_serve(uint16_t port)
{
    const struct sockaddr_in here = at(htonl(INADDR_ANY), port);
    const int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0) meter_die("socket");
    if (bind(fd, (const struct sockaddr *)&here, sizeof(here)) != 0 || listen(fd, 1) != 0) meter_die("listen");
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_IGN); /* no zombies */
    for (;;) {
        const int peer = accept(fd, NULL, NULL);
        if (peer < 0) meter_die("accept");
        /* A process each: one whose guest went away without a word waits for the next word in vain. */
        const pid_t pid = fork();
        if (pid < 0) meter_die("fork");
        if (pid == 0) {
            serve(peer);
            _exit(0);
        }
        close(peer);
    }
}

static int connect_for(const struct sockaddr_in *there, enum wish wish)
{
    const char byte = (char)wish;
    for (int i = 0; i < ATTEMPTS; i++) {
        const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0) meter_die("socket");
        if (connect(fd, (const struct sockaddr *)there, sizeof(*there)) == 0) {
            set_no_delay(fd);
            if (write(fd, &byte, 1) != 1) meter_die("write");
            return fd;
        }
        close(fd);
        usleep(100000);
    }
    meter_die("connect");
}

static void stream_to_host(const struct sockaddr_in *there)
{
    const int fd = connect_for(there, WISH_TAKE);
    if (write_all(fd, WARM_UP) != 0 || read_all(fd, 1) != 0) meter_die("stream to the host");
    const double begin = meter_now();
    if (write_all(fd, STREAM_BYTES) != 0 || read_all(fd, 1) != 0) meter_die("stream to the host");
    meter_figure("stream-to-host", STREAM_BYTES / (meter_now() - begin) / 1e6, "MB/s");
    close(fd);
}

static void stream_to_guest(const struct sockaddr_in *there)
{
    const int fd = connect_for(there, WISH_GIVE);
    if (write_all(fd, 1) != 0 || read_all(fd, WARM_UP) != 0) meter_die("stream to the guest");
    const double begin = meter_now();
    if (read_all(fd, STREAM_BYTES) != 0) meter_die("stream to the guest");
    meter_figure("stream-to-guest", STREAM_BYTES / (meter_now() - begin) / 1e6, "MB/s");
    close(fd);
}

static void exchange(int fd, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (write_all(fd, 1) != 0 || read_all(fd, 1) != 0) meter_die("request and response");
    }
}

static void request_response(const struct sockaddr_in *there)
{
    const int fd = connect_for(there, WISH_ECHO);
    exchange(fd, EXCHANGES / 10);
    const double begin = meter_now();
    exchange(fd, EXCHANGES);
    meter_figure("request-response", EXCHANGES / (meter_now() - begin), "exchanges/s");
    close(fd);
}

void meter_net(const char *address, uint16_t port)
{
    struct sockaddr_in there = at(0, port);
    errno = EINVAL;
    if (inet_pton(AF_INET, address, &there.sin_addr) != 1) meter_die(address);
    memset(chunk, 0x5a, sizeof(chunk));
    stream_to_host(&there);
    stream_to_guest(&there);
    request_response(&there);
}
