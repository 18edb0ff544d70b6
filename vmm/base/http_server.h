/* A little HTTP server on a Unix socket. It never blocks. It knows no VM: what can be asked is a table of routes.
 *
 * It has no thread of its own. The owner polls the descriptor of its loop (http_server_fd) and calls
 * http_server_serve when that is readable. Below, "the loop's thread" means: inside that call. */
#ifndef VIREO_BASE_HTTP_SERVER_H
#define VIREO_BASE_HTTP_SERVER_H

#include "vmm/base/err.h"
#include "vmm/base/http.h"
#include "vmm/base/loop.h"

struct http_route;

/* One request. It lives from the moment it is complete until it is answered or its client is gone. */
struct http_call {
    const struct http_route *route;
    struct http_request request; /* its texts stay valid until the answer */
    const char *body;            /* request.body_len bytes */
    void *owner;                 /* the table's */
    struct loop *loop;           /* the server's, for the sources, timers and jobs that an answer waits for */

    /* A handler that answers later sets this before it returns. It is called when the client leaves or the server ends.
     * Then no answer is wanted any more, and the call is not valid after it. */
    void (*gone)(struct http_call *call);
    void *wait; /* the handler's own */
};

struct http_route {
    const char *method, *path; /* a route for GET answers HEAD too, without the body */
    size_t body_max;           /* bytes; a request with a longer body is answered with 413 */
    /* On the loop's thread. Answers with http_reply: now, or later from the loop if it has set call->gone. */
    void (*handle)(struct http_call *call);
    int arg; /* the handler's own */
};

struct http_table {
    const struct http_route *route; /* count of them */
    size_t count;
    const char *pages; /* a sentence that lists what there is, for the answer 404 */
};

/* Answer the call, once. The body is copied. The call is not valid afterwards. On the loop's thread. */
void http_reply(struct http_call *call, const struct http_answer *a);
/* Answer with an error: one sentence, and a hint what to do about it ("": none). */
void http_refuse(struct http_call *call, int status, const char *why, const char *hint);

struct http_server;

struct http_server_params {
    const struct http_table *table; /* borrowed */
    void *owner;
    int fd; /* a stream socket that listens, non-blocking; the caller's, and open until the server is destroyed */
};
int http_server_create(struct http_server **out, const struct http_server_params *p, struct err *e);
void http_server_destroy(struct http_server *s); /* and drop its clients; NULL is legal */
int http_server_fd(const struct http_server *s); /* readable: call http_server_serve, which never waits */
void http_server_serve(struct http_server *s);

#endif
