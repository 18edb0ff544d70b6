/* What a client of the control socket asks for: the head of an HTTP/1.x request (RFC 9112), as curl and Prometheus send
 * it. Nothing is allocated; any bytes may come in. */
#ifndef VIREO_LIB_CONTROL_HTTP_H
#define VIREO_LIB_CONTROL_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <vireo.h>

#define CONTROL_HEAD_MAX    4096 /* bytes: curl's has 100, Prometheus' 400 */
#define CONTROL_WEIGHTS_MAX 256  /* all six figures with a number each are 150 */

struct control_request {
    int status;      /* 200: a page is wanted; else what to answer, and why */
    const char *why; /* one sentence, static */
    bool is_head;    /* HEAD: the answer without its page */
    enum vireo_stats_format format;
    bool has_steps;
    char weights[CONTROL_WEIGHTS_MAX]; /* "": none given */
};

/* false: the head has not all come yet. true: *out is filled. len is at most CONTROL_HEAD_MAX. */
bool control_request_parse(const char *head, size_t len, struct control_request *out);

#endif
