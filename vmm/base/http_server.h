/* A little HTTP server on a Unix socket. It never blocks. It knows no VM: what can be asked is a table of routes.
 *
 * It has no thread of its own. The owner polls the descriptor of its loop (vireo_control_fd) and calls
 * vireo_control_serve when that is readable. Below, "the loop's thread" means: inside that call. */
#ifndef VIREO_LIB_CONTROL_SERVER_H
#define VIREO_LIB_CONTROL_SERVER_H

#include "vmm/base/err.h"
#include "vmm/base/loop.h"
#include "vmm/base/http.h"

struct control_route;

/* One request. It lives from the moment it is complete until it is answered or its client is gone. */
struct control_call {
    const struct control_route *route;
    struct http_request request; /* its texts stay valid until the answer */
    const char *body;            /* request.body_len bytes */
    void *owner;                 /* the table's */
    struct loop *loop;           /* the server's, for the sources, timers and jobs that an answer waits for */

    /* A handler that answers later sets this before it returns. It is called when the client leaves or the server ends.
     * Then no answer is wanted any more, and the call is not valid after it. */
    void (*gone)(struct control_call *call);
    void *wait; /* the handler's own */
};

struct control_route {
    const char *method, *path; /* a route for GET answers HEAD too, without the body */
    size_t body_max;           /* bytes; a request with a longer body is answered with 413 */
    /* On the loop's thread. Answers with control_answer: now, or later from the loop if it has set call->gone. */
    void (*handle)(struct control_call *call);
    int arg; /* the handler's own */
};

struct control_table {
    const struct control_route *route; /* count of them */
    size_t count;
    const char *pages; /* a sentence that lists what there is, for the answer 404 */
};

/* Answer the call, once. The body is copied. The call is not valid afterwards. On the loop's thread. */
void control_answer(struct control_call *call, const struct http_answer *a);
/* Answer with an error: one sentence, and a hint what to do about it ("": none). */
void control_refuse(struct control_call *call, int status, const char *why, const char *hint);

struct vireo_control;

struct control_params {
    const struct control_table *table; /* borrowed */
    void *owner;
    const char *dir, *name; /* as control_place_open takes them */
};
int control_create(struct vireo_control **out, const struct control_params *p, struct err *e);

#endif
