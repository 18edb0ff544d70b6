/* A little HTTP server on a Unix socket, which never waits and knows no VM: what can be asked is a table of routes.
 *
 * It has no thread. Its loop's descriptor (vireo_control_fd) is polled by whoever owns the server, and
 * vireo_control_serve is called when it is readable; whatever is said to be on the loop's thread runs in that call. */
#ifndef VIREO_LIB_CONTROL_SERVER_H
#define VIREO_LIB_CONTROL_SERVER_H

#include "vmm/base/err.h"
#include "vmm/base/loop.h"
#include "vmm/lib/control/http.h"

struct control_route;

/* One request, from when it has all come until it is answered or its client is gone. */
struct control_call {
    const struct control_route *route;
    struct http_request request; /* its texts stay until the answer */
    const char *body;            /* request.body_len bytes */
    void *owner;                 /* the table's */
    struct loop *loop;           /* the server's: what a request waits for is a source, timer or job of it */

    /* Set by a handler that answers later, before it returns. gone: the client left, or the server ends; no answer is
     * wanted any more and the call is not valid afterwards. */
    void (*gone)(struct control_call *call);
    void *wait; /* the handler's own */
};

struct control_route {
    const char *method, *path; /* who asks for HEAD is given what GET has, without its body */
    size_t body_max;           /* bytes that a request may bring along; one with more is answered 413 */
    /* On the loop's thread. Answers with control_answer, now or, if it has set call->gone, later from the loop. */
    void (*handle)(struct control_call *call);
    int arg; /* the handler's own */
};

struct control_table {
    const struct control_route *route; /* count of them */
    size_t count;
    const char *pages; /* what there is: a sentence for whoever asks for something else */
};

/* Answer, once. The body is copied. On the loop's thread; from then on the call is not valid. */
void control_answer(struct control_call *call, const struct http_answer *a);
/* The same with a sentence, and what to do about it ("": nothing). */
void control_refuse(struct control_call *call, int status, const char *why, const char *hint);

struct vireo_control;

struct control_params {
    const struct control_table *table; /* borrowed */
    void *owner;
    const char *dir, *name; /* as control_place_open takes them */
};
int control_create(struct vireo_control **out, const struct control_params *p, struct err *e);

#endif
