/* A network's host side in memory, for tests: what the card sends can be taken here, and what is put here it receives.
 * No tap, no root. It says at each call what a test wants it to say. */
#ifndef VIREO_TESTS_WIRE_H
#define VIREO_TESTS_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "devices/backend/net_backend.h"

#define WIRE_ROOM 256 /* frames, each way: a queue full of them */

/* First in, first out; each frame has memory of its own, so that a sanitizer sees the first byte beyond it. */
struct wire_frame;
struct wire_queue {
    struct wire_frame *first, **tail;
    unsigned count;
};

struct wire {
    struct net_backend backend;
    int peer_fd; /* the other end of backend.frame_fd, which is readable and writable as a backend's must be */
    struct wire_queue to_guest, to_host;
    unsigned room;               /* frames that to_host takes; set before the card sends */
    unsigned offloads;           /* as last set */
    int link;                    /* what link answers */
    int error;                   /* what the next `errors_left` calls of send and receive return instead */
    unsigned errors_left, sends; /* calls */
    bool is_full, is_cut, is_closed;
};

void wire_init(struct wire *w);
/* A frame for the guest, header first; false: there is no room for it. */
bool wire_put(struct wire *w, const void *frame, size_t len);
/* The next frame that the card has sent, at most max bytes of it; 0: there is none. */
size_t wire_take(struct wire *w, void *frame, size_t max);
void wire_cut(struct wire *w); /* the host takes the network away: all fails, and the descriptor hangs up */

#endif
