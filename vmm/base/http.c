#include "vmm/base/http.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

bool http_is(struct http_text t, const char *word)
{
    return strlen(word) == t.len && memcmp(t.at, word, t.len) == 0;
}

bool http_starts(struct http_text t, const char *word)
{
    return strlen(word) <= t.len && memcmp(t.at, word, strlen(word)) == 0;
}

struct http_text http_skip(struct http_text t, size_t n)
{
    return (struct http_text){t.at + n, t.len - n};
}

struct http_text http_take(struct http_text *rest, char end)
{
    const char *found = memchr(rest->at, end, rest->len);
    const struct http_text part = {rest->at, found ? (size_t)(found - rest->at) : rest->len};
    *rest = http_skip(*rest, found ? part.len + 1 : part.len);
    return part;
}

/* The next line, without its end: CR LF, or LF alone (RFC 9112, 2.2). */
static struct http_text take_line(struct http_text *rest)
{
    struct http_text line = http_take(rest, '\n');
    if (line.len && line.at[line.len - 1] == '\r') line.len--;
    return line;
}

static void refuse(struct http_request *out, int status, const char *why)
{
    if (out->status != 200) return; /* the first thing wrong counts */
    out->status = status;
    out->why = why;
}

/* ---- the head ---- */

/* The target is a path (origin-form, 3.2.1) or a whole URL (absolute-form, 3.2.2). The URL's host does not matter here.
 */
static void parse_target(struct http_text target, struct http_request *out)
{
    static const char scheme[] = "http://";
    if (http_starts(target, scheme)) {
        target = http_skip(target, strlen(scheme));
        const char *path = memchr(target.at, '/', target.len);
        target = http_skip(target, path ? (size_t)(path - target.at) : target.len);
    }
    out->path = http_take(&target, '?');
    out->query = target;
}

/* true: the version is HTTP/1.1, in which a request must name its host (3.2). */
static bool parse_request_line(struct http_text line, struct http_request *out)
{
    out->method = http_take(&line, ' ');
    parse_target(http_take(&line, ' '), out);
    const bool is_1_1 = http_is(line, "HTTP/1.1");
    if (!http_starts(line, "HTTP/"))
        refuse(out, 400, "this is no HTTP request");
    else if (!is_1_1 && !http_is(line, "HTTP/1.0"))
        refuse(out, 505, "HTTP/1.1 and HTTP/1.0 are spoken here");
    return is_1_1;
}

/* A field name is a token (RFC 9110, 5.6.2). */
static bool is_token(struct http_text name)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < name.len; i++) {
        const char c = name.at[i];
        if (!((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (c && strchr(marks, c))))
            return false;
    }
    return name.len > 0;
}

/* t without the blanks at either end (5.5). */
static struct http_text trimmed(struct http_text t)
{
    while (t.len && (t.at[0] == ' ' || t.at[0] == '\t')) t = http_skip(t, 1);
    while (t.len && (t.at[t.len - 1] == ' ' || t.at[t.len - 1] == '\t')) t.len--;
    return t;
}

/* Content-Length (RFC 9112, 6.3): decimal digits. */
static void parse_length(struct http_text value, struct http_request *out)
{
    if (value.len == 0) refuse(out, 400, "a Content-Length is no number");
    for (size_t i = 0; i < value.len; i++) {
        if (value.at[i] < '0' || value.at[i] > '9') {
            refuse(out, 400, "a Content-Length is no number");
            return;
        }
        out->body_len = out->body_len * 10 + (size_t)(value.at[i] - '0');
        if (out->body_len > HTTP_BODY_MAX) {
            refuse(out, 413, "a request's body has a gigabyte at most");
            return;
        }
    }
}

/* How often the fields occur that say where a request ends and for whom it is. Other fields don't matter here. */
struct fields {
    unsigned hosts, lengths;
};

static bool is_called(struct http_text name, const char *word)
{
    return name.len == strlen(word) && strncasecmp(name.at, word, name.len) == 0;
}

static void parse_field(struct http_text line, struct fields *f, struct http_request *out)
{
    const struct http_text all = line, name = http_take(&line, ':');
    if (name.len == all.len || !is_token(name)) {
        refuse(out, 400, "a line of the request's head is no NAME: VALUE");
        return;
    }
    f->hosts += is_called(name, "Host");
    if (is_called(name, "Transfer-Encoding")) refuse(out, 501, "a body comes with its Content-Length, in one piece");
    if (is_called(name, "Content-Length")) {
        if (f->lengths++ > 0) refuse(out, 400, "a request has one Content-Length");
        parse_length(trimmed(line), out);
    }
}

static void parse_head(struct http_text head, struct http_request *out)
{
    struct fields f = {0};
    *out = (struct http_request){.status = 200, .head_len = head.len};
    const bool needs_host = parse_request_line(take_line(&head), out);
    while (head.len) {
        const struct http_text line = take_line(&head);
        if (line.len == 0) break;
        parse_field(line, &f, out);
    }
    if (f.hosts > 1 || (needs_host && f.hosts == 0)) refuse(out, 400, "a request names one host");
}

bool http_parse(const char *bytes, size_t len, struct http_request *out)
{
    struct http_text rest = {bytes, len};
    while (rest.len && memchr(rest.at, '\n', rest.len)) {
        if (take_line(&rest).len > 0) continue;
        parse_head((struct http_text){bytes, (size_t)(rest.at - bytes)}, out);
        return true;
    }
    return false;
}

/* ---- the answer ---- */

static const char *phrase_of(int status)
{
    static const struct {
        int status;
        const char *phrase;
    } phrases[] = {{200, "OK"},
                   {400, "Bad Request"},
                   {404, "Not Found"},
                   {405, "Method Not Allowed"},
                   {413, "Content Too Large"},
                   {431, "Request Header Fields Too Large"},
                   {501, "Not Implemented"},
                   {503, "Service Unavailable"},
                   {505, "HTTP Version Not Supported"}};
    for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++)
        if (phrases[i].status == status) return phrases[i].phrase;
    return "";
}

size_t http_answer_head(char out[HTTP_ANSWER_MAX], const struct http_answer *a)
{
    const char *allow = a->allow ? a->allow : "";
    const int n = snprintf(
        out, HTTP_ANSWER_MAX,
        "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%s%.100s%sConnection: close\r\n\r\n", a->status,
        phrase_of(a->status), a->type, a->len, allow[0] ? "Allow: " : "", allow, allow[0] ? "\r\n" : "");
    return n < HTTP_ANSWER_MAX ? (size_t)n : HTTP_ANSWER_MAX - 1;
}
