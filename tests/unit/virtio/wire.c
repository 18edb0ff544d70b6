#include "tests/unit/virtio/wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MUST(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition)) abort();                                                                                     \
    } while (0)

struct wire_frame {
    struct wire_frame *next;
    size_t len;
    uint8_t bytes[];
};

static struct wire *wire_of(struct net_backend *b)
{
    return (struct wire *)b; /* its first member */
}

static void queue_add(struct wire_queue *q, const struct iovec *v, int count)
{
    size_t len = 0;
    for (int i = 0; i < count; i++) len += v[i].iov_len;
    struct wire_frame *f = malloc(sizeof(*f) + len);
    MUST(f);
    *f = (struct wire_frame){.len = len};
    uint8_t *to = f->bytes;
    for (int i = 0; i < count; i++) {
        if (v[i].iov_len > 0) memcpy(to, v[i].iov_base, v[i].iov_len);
        to += v[i].iov_len;
    }
    *q->tail = f;
    q->tail = &f->next;
    q->count++;
}

/* The first frame, cut to what v has room for: how many bytes that is. */
static size_t queue_take(struct wire_queue *q, const struct iovec *v, int count)
{
    struct wire_frame *f = q->first;
    size_t done = 0;
    for (int i = 0; i < count; i++) {
        const size_t part = v[i].iov_len < f->len - done ? v[i].iov_len : f->len - done;
        if (part > 0) memcpy(v[i].iov_base, f->bytes + done, part);
        done += part;
    }
    q->first = f->next;
    if (!q->first) q->tail = &q->first;
    q->count--;
    free(f);
    return done;
}

static void queue_drop(struct wire_queue *q)
{
    while (q->count > 0) (void)queue_take(q, NULL, 0);
}

/* A byte in the socket pair is a frame that can be received; a pair that is full, one that takes none to be sent. */
static void make_readable(struct wire *w)
{
    if (!w->is_cut && w->to_guest.count == 1) MUST(write(w->peer_fd, "", 1) == 1);
}
static void make_unreadable(struct wire *w)
{
    char byte;
    if (w->to_guest.count == 0) MUST(read(w->backend.frame_fd, &byte, 1) == 1);
}
static void make_unwritable(struct wire *w)
{
    static const char bytes[4096];
    while (!w->is_full && write(w->backend.frame_fd, bytes, sizeof(bytes)) > 0) continue;
    w->is_full = true;
}
static void make_writable(struct wire *w)
{
    char bytes[4096];
    while (w->is_full && read(w->peer_fd, bytes, sizeof(bytes)) > 0) continue;
    w->is_full = false;
}

static int wanted_error(struct wire *w)
{
    if (w->is_cut) return -EBADFD;
    if (w->errors_left == 0) return 0;
    w->errors_left--;
    return w->error;
}

static ssize_t wire_send(struct net_backend *b, const struct iovec *v, int count)
{
    struct wire *w = wire_of(b);
    const int error = wanted_error(w);
    w->sends++;
    if (error) return error;
    if (w->to_host.count >= w->room) {
        make_unwritable(w);
        return -EAGAIN;
    }
    queue_add(&w->to_host, v, count);
    return 1; /* the card wants to know no more than that it was sent */
}

static ssize_t wire_receive(struct net_backend *b, const struct iovec *v, int count)
{
    struct wire *w = wire_of(b);
    const int error = wanted_error(w);
    if (error) return error;
    if (w->to_guest.count == 0) return -EAGAIN;
    const size_t len = queue_take(&w->to_guest, v, count);
    make_unreadable(w);
    return (ssize_t)len;
}

static int wire_set_offloads(struct net_backend *b, unsigned offloads)
{
    wire_of(b)->offloads = offloads;
    return wire_of(b)->is_cut ? -EBADFD : 0;
}

static int wire_link(struct net_backend *b)
{
    return wire_of(b)->is_cut ? -EBADFD : wire_of(b)->link;
}

static void wire_close(struct net_backend *b)
{
    struct wire *w = wire_of(b);
    queue_drop(&w->to_guest);
    queue_drop(&w->to_host);
    close(w->backend.frame_fd);
    if (!w->is_cut) close(w->peer_fd);
    w->is_closed = true;
}

static const struct net_backend_ops wire_ops = {
    .name = "wire",
    .send = wire_send,
    .receive = wire_receive,
    .set_offloads = wire_set_offloads,
    .link = wire_link,
    .close = wire_close,
};

void wire_init(struct wire *w)
{
    int pair[2];
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
    *w = (struct wire){.backend = {&wire_ops, pair[0], -1}, .peer_fd = pair[1], .room = WIRE_ROOM, .link = 1};
    w->to_guest.tail = &w->to_guest.first;
    w->to_host.tail = &w->to_host.first;
}

bool wire_put(struct wire *w, const void *frame, size_t len)
{
    const struct iovec v = {(void *)(uintptr_t)frame, len};
    if (w->to_guest.count == WIRE_ROOM) return false;
    queue_add(&w->to_guest, &v, 1);
    make_readable(w);
    return true;
}

size_t wire_take(struct wire *w, void *frame, size_t max)
{
    const struct iovec v = {frame, max};
    if (w->to_host.count == 0) return 0;
    make_writable(w);
    return queue_take(&w->to_host, &v, 1);
}

void wire_cut(struct wire *w)
{
    close(w->peer_fd);
    w->is_cut = true;
}
