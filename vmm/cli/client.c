/* The other end of a control socket. The other process may be anything that lies in our directory: what it sends is
 * bounded and is not waited for longer than it takes a VM to answer. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/base/nearest.h"
#include "vmm/base/text.h"
#include "vmm/cli/cli.h"

#define ANSWER_MAX    (64u << 20) /* 64 vCPUs with all their registers are 5 MB */
#define ANSWER_USUAL  (64u << 10) /* of sixteen vCPUs; room that grows */
#define HEAD_MAX      1024        /* of what a VM answers */
#define ANSWER_WAIT_S 5           /* a VM answers in milliseconds, or its process is stopped */
#define ASK_TRIES     5           /* a VM whose house is full drops who has not sent its request quickly enough */
#define NAMES_MAX     1024        /* VMs of one user that are listed */

#define NAME_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."

static const char suffix[] = ".sock";

/* The library sees to it that what listens there is this user's. */
static int connect_to(const char *name)
{
    return vireo_control_connect(NULL, name, ANSWER_WAIT_S * 1000);
}

/* ---- who is there ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The name in NAME.sock, or NULL: it is no VM's, or memory is out (*rc). */
static char *name_in(const char *file, int *rc)
{
    const size_t len = strlen(file), tail = sizeof(suffix) - 1;
    if (len <= tail || strcmp(file + len - tail, suffix) != 0) return NULL;
    if (strspn(file, NAME_CHARS) != len) return NULL;
    char *name = strndup(file, len - tail);
    if (!name) *rc = -ENOMEM;
    return name;
}

/* The same, if a process listens there. */
static char *living(const char *file, int *rc)
{
    char *name = name_in(file, rc);
    if (!name) return NULL;
    *rc = connect_to(name);
    if (*rc >= 0) {
        close(*rc);
        return name;
    }
    free(name);
    return NULL;
}

/* To look at all. Another failure says that nobody is there to be seen. */
static bool is_lack(int rc)
{
    return rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM || rc == -ENOBUFS;
}

static int list(char ***out, char *(*name_of)(const char *file, int *rc), struct vireo_error *e)
{
    char dir[PATH_MAX]; /* what is in it are hints: each is asked by its name */
    char **names = calloc(NAMES_MAX + 1, sizeof(*names));
    size_t n = 0;
    const struct dirent *entry;
    if (!names) return bad_call(e, ENOMEM, "list the VMs that run");
    int rc = vireo_control_dir(dir, sizeof(dir));
    DIR *d = rc == 0 ? opendir(dir) : NULL;
    if (rc == 0 && !d) rc = -errno;
    while (d && n < NAMES_MAX && !is_lack(rc) && (entry = readdir(d)) != NULL) {
        names[n] = name_of(entry->d_name, &rc);
        if (names[n]) n++;
    }
    if (d) closedir(d);
    if (n > 0) qsort(names, n, sizeof(*names), by_name);
    if (n == 0 || is_lack(rc)) {
        client_names_free(names);
        names = NULL;
    }
    *out = names;
    return is_lack(rc) ? bad_call(e, -rc, "list the VMs that run") : 0;
}

int client_names(char ***out, struct vireo_error *e)
{
    return list(out, living, e);
}

int client_sockets(char ***out, struct vireo_error *e)
{
    return list(out, name_in, e);
}

void client_names_free(char **names)
{
    for (char **at = names; at && *at; at++) free(*at);
    free(names);
}

void client_list(FILE *f, const char *word)
{
    char **names = NULL;
    struct vireo_error e;
    if (word) return;               /* one VM is named */
    (void)client_names(&names, &e); /* a completion that finds none says nothing */
    for (char **at = names; at && *at; at++) fprintf(f, "%s\t\ta running VM\n", *at);
    client_names_free(names);
}

int client_pid(const char *name)
{
    struct ucred peer = {0};
    socklen_t len = sizeof(peer);
    const int fd = connect_to(name);
    if (fd < 0) return 0;
    (void)getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
    close(fd);
    return peer.pid;
}

int client_name(const struct args_words *w, const char **name, struct vireo_error *e)
{
    *name = w->word[0];
    return w->count > 1 ? bad_command(e, "\"%.200s\" beside \"%.200s\": one VM at a time", w->word[1], w->word[0]) : 0;
}

/* ---- what it says ---- */

static int no_such_vm(const char *name, struct vireo_error *e)
{
    char **names = NULL;
    const int rc = client_names(&names, e);
    bad_command(e, "no VM called \"%.200s\" runs", name);
    if (names || rc) (void)snprintf(e->hint, sizeof(e->hint), "`vireo stat` lists those that run");
    if (names)
        (void)nearest_hint(e->hint, sizeof(e->hint), "", name, WORDS_IN((const char *const *)names));
    else if (!rc)
        (void)snprintf(e->hint, sizeof(e->hint), "none runs that has a name: start one with vireo run --name %.100s",
                       name);
    client_names_free(names);
    e->code = -ENOENT;
    return e->code;
}

/* How long the answer says it is, head included; more than fits: it does not say, or its head is not complete. */
static size_t announced(const char *text, size_t len)
{
    static const char field[] = "\r\nContent-Length: ";
    const char *end = memmem(text, len < HEAD_MAX ? len : HEAD_MAX, "\r\n\r\n", 4);
    const char *at = end ? memmem(text, (size_t)(end - text), field, sizeof(field) - 1) : NULL;
    if (!at) return SIZE_MAX;
    return (size_t)(end + 4 - text) + strtoul(at + sizeof(field) - 1, NULL, 10);
}

/* The whole answer, as long as it says it is or up to where the VM closes; a text, in which no other control than a
 * line's end moves a terminal. */
static int receive(int fd, struct page *out)
{
    const uint64_t until = now_ns() + ANSWER_WAIT_S * UINT64_C(1000000000);
    size_t room = 0;
    for (;;) {
        if (now_ns() > until) return -ETIMEDOUT;
        if (out->len == room) {
            room = room ? room * 2 : ANSWER_USUAL;
            char *bigger = room <= ANSWER_MAX ? realloc(out->text, room + 1) : NULL;
            if (!bigger) return -ENOMEM;
            out->text = bigger;
        }
        const ssize_t n = recv(fd, out->text + out->len, room - out->len, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n == 0 || (n < 0 && errno == ECONNRESET)) break;
        if (n < 0) return errno == EAGAIN ? -ETIMEDOUT : -errno;
        out->len += (size_t)n;
        out->text[out->len] = '\0';
        if (announced(out->text, out->len) == out->len) break; /* what comes after it is the end */
    }
    text_blunt(out->text, out->len, "\n\r\t");
    out->text[out->len] = '\0';
    return out->len ? 0 : -ECONNRESET; /* it ended while we asked, or dropped us */
}

static int ask(int fd, const char *target, struct page *out)
{
    char request[1024];
    const int n = snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: vireo\r\n\r\n", target);
    if ((size_t)n >= sizeof(request)) return -E2BIG;
    if (send(fd, request, (size_t)n, MSG_NOSIGNAL) < 0) return errno == EPIPE ? -ECONNRESET : -errno;
    return receive(fd, out);
}

/* The body alone; or the sentence with which the VM refuses. */
static int unpack(struct page *p, const char *name, struct vireo_error *e)
{
    char *body = p->text ? strstr(p->text, "\r\n\r\n") : NULL;
    if (!body || strncmp(p->text, "HTTP/1.1 ", 9) != 0) return bad_command(e, "%s: what answers there is no VM", name);
    const bool is_good = strncmp(p->text + 9, "200 ", 4) == 0;
    body += 4;
    p->len -= (size_t)(body - p->text);
    memmove(p->text, body, p->len + 1);
    if (is_good) return 0;
    return bad_command(e, "%s: %.*s", name, (int)strcspn(p->text, "\n"), p->text);
}

int client_fetch(const char *name, const char *target, struct page *out, struct vireo_error *e)
{
    struct page p = {0};
    int rc = -ECONNRESET;
    for (unsigned i = 0; i < ASK_TRIES && rc == -ECONNRESET; i++) {
        const int fd = connect_to(name);
        free(p.text);
        p = (struct page){0};
        rc = fd < 0 ? fd : ask(fd, target, &p);
        if (fd >= 0) close(fd);
    }
    if (rc == -ENOENT || rc == -ECONNRESET)
        rc = no_such_vm(name, e);
    else if (rc == -ETIMEDOUT)
        bad_command(e, "%s: its process has not answered for %d seconds; is it stopped?", name, ANSWER_WAIT_S);
    else if (rc == -EPERM)
        bad_command(e,
                    "%s: the directory with its control socket, or the one above, belongs to another user, or others "
                    "may write to it; unset XDG_RUNTIME_DIR, or chmod 700 the directory",
                    name);
    else if (rc)
        bad_call(e, -rc, "%s", name);
    else
        rc = unpack(&p, name, e);
    if (rc)
        free(p.text);
    else
        *out = p;
    return rc;
}
