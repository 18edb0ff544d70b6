/* Reads the head of an HTTP/1.x request (RFC 9112), as curl and Prometheus send it, and writes the head of an answer.
 * It knows nothing of what can be asked for. It allocates nothing, and the bytes that come in may be any. */
#ifndef VIREO_BASE_HTTP_H
#define VIREO_BASE_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#define HTTP_HEAD_MAX   4096       /* bytes of a request's head: curl's has 100, Prometheus' 400 */
#define HTTP_BODY_MAX   (1u << 30) /* bytes; a longer body is refused before its route is looked for */
#define HTTP_ANSWER_MAX 512        /* bytes of an answer's head: six short lines */

/* A part of the request. It points into the caller's bytes, so no NUL follows it. */
struct http_text {
    const char *at;
    size_t len;
};
bool http_is(struct http_text t, const char *word);
bool http_starts(struct http_text t, const char *word);
struct http_text http_skip(struct http_text t, size_t n); /* t without its first n bytes; t has at least n */
/* Cut off and return what stands before the first `end`, which goes away too. Without an `end` that is all of *rest. */
struct http_text http_take(struct http_text *rest, char end);

struct http_request {
    int status;      /* 200: understood; else the status to answer with, and why */
    const char *why; /* one sentence, static */
    /* "GET", "/stats", "steps=1". When the client sent a whole URL, the path is what follows the host. */
    struct http_text method, path, query;
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
/* Write the head of an answer, after which the connection ends. Returns its length in bytes. */
size_t http_answer_head(char out[HTTP_ANSWER_MAX], const struct http_answer *a);

#endif
