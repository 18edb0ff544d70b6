/* The head of an HTTP/1.x request (RFC 9112), as curl and Prometheus send it, and the head of an answer. Knows no page.
 * Nothing is allocated; any bytes may come in. */
#ifndef VIREO_LIB_CONTROL_HTTP_H
#define VIREO_LIB_CONTROL_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#define HTTP_HEAD_MAX   4096       /* bytes of a request's head: curl's has 100, Prometheus' 400 */
#define HTTP_BODY_MAX   (1u << 30) /* a longer one is no request for us, whatever the route allows */
#define HTTP_ANSWER_MAX 512        /* bytes of an answer's head: six short lines */

/* Part of a request, in the caller's bytes: no NUL behind it. */
struct http_text {
    const char *at;
    size_t len;
};
bool http_is(struct http_text t, const char *word);
bool http_starts(struct http_text t, const char *word);
struct http_text http_skip(struct http_text t, size_t n); /* without its first n bytes, which it has */
/* What stands before the first `end`, which is taken away too; all of it when there is none. */
struct http_text http_take(struct http_text *rest, char end);

struct http_request {
    int status;      /* 200: understood; else what to answer, and why */
    const char *why; /* one sentence, static */
    struct http_text method, path,
        query;                 /* "GET", "/stats", "steps=1"; of a whole URL the path is what follows its host */
    size_t head_len, body_len; /* bytes; the body follows the head */
};

/* false: the head has not all come yet. true: *out is filled. len is at most HTTP_HEAD_MAX. */
bool http_parse(const char *bytes, size_t len, struct http_request *out);

struct http_answer {
    int status;
    const char *type;  /* the media type of the body */
    const char *allow; /* "GET, HEAD" where the method was wrong; or NULL */
    const void *body;
    size_t len;
};
/* The head of an answer after which the connection ends; how many bytes. */
size_t http_answer_head(char out[HTTP_ANSWER_MAX], const struct http_answer *a);

#endif
