#include "vmm/lib/control/http.h"

#include <string.h>
#include <strings.h>

struct text {
    const char *at;
    size_t len;
};

static bool is(struct text t, const char *word)
{
    return strlen(word) == t.len && memcmp(t.at, word, t.len) == 0;
}

static bool starts(struct text t, const char *word)
{
    return strlen(word) <= t.len && memcmp(t.at, word, strlen(word)) == 0;
}

static struct text without(struct text t, size_t n)
{
    return (struct text){t.at + n, t.len - n};
}

/* What stands before the first `end`, which is taken away too; all of it when there is none. */
static struct text take(struct text *rest, char end)
{
    const char *found = memchr(rest->at, end, rest->len);
    const struct text part = {rest->at, found ? (size_t)(found - rest->at) : rest->len};
    *rest = without(*rest, found ? part.len + 1 : part.len);
    return part;
}

/* The next line, without its end: CR LF, or LF alone (RFC 9112, 2.2). */
static struct text take_line(struct text *rest)
{
    struct text line = take(rest, '\n');
    if (line.len && line.at[line.len - 1] == '\r') line.len--;
    return line;
}

static void refuse(struct control_request *out, int status, const char *why)
{
    if (out->status != 200) return; /* the first thing wrong counts */
    out->status = status;
    out->why = why;
}

/* ---- the target ---- */

static void parse_query(struct text query, struct control_request *out)
{
    static const char weights[] = "weights=";
    while (query.len) {
        struct text part = take(&query, '&');
        if (is(part, "steps=1")) {
            out->has_steps = true;
        } else if (starts(part, weights) && part.len - strlen(weights) < sizeof(out->weights)) {
            part = without(part, strlen(weights));
            memcpy(out->weights, part.at, part.len);
            out->weights[part.len] = '\0';
        } else {
            refuse(out, 400, "what is known behind the question mark is steps=1 and weights=NAME=NUMBER,...");
        }
    }
}

static void parse_target(struct text target, struct control_request *out)
{
    static const struct {
        const char *path;
        enum vireo_stats_format format;
    } pages[] = {{"/stats", VIREO_STATS_JSON}, {"/stats.txt", VIREO_STATS_TEXT}, {"/metrics", VIREO_STATS_PROMETHEUS}};
    static const char scheme[] = "http://";
    if (starts(target, scheme)) { /* absolute-form, 3.2.2 */
        target = without(target, strlen(scheme));
        const char *path = memchr(target.at, '/', target.len);
        target = without(target, path ? (size_t)(path - target.at) : target.len);
    }
    const struct text path = take(&target, '?');
    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
        if (!is(path, pages[i].path)) continue;
        out->format = pages[i].format;
        parse_query(target, out);
        return;
    }
    refuse(out, 404, "the pages are /stats (JSON), /stats.txt and /metrics (Prometheus)");
}

/* ---- the head ---- */

/* Whether the version is one that must name its host (3.2). */
static bool parse_request_line(struct text line, struct control_request *out)
{
    const struct text method = take(&line, ' '), target = take(&line, ' ');
    const bool is_1_1 = is(line, "HTTP/1.1");
    out->is_head = is(method, "HEAD");
    if (!starts(line, "HTTP/"))
        refuse(out, 400, "this is no HTTP request");
    else if (!is_1_1 && !is(line, "HTTP/1.0"))
        refuse(out, 505, "HTTP/1.1 and HTTP/1.0 are spoken here");
    else if (!out->is_head && !is(method, "GET"))
        refuse(out, 405, "pages can be read, by GET or HEAD, and nothing else");
    else
        parse_target(target, out);
    return is_1_1;
}

/* A field name is a token (RFC 9110, 5.6.2). Its value does not matter here. */
static bool is_field(struct text line)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";
    const struct text name = take(&line, ':');
    if (name.len == 0 || line.at == name.at + name.len) return false; /* no name, or no colon */
    for (size_t i = 0; i < name.len; i++) {
        const char c = name.at[i];
        const bool is_token =
            (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (c && strchr(marks, c));
        if (!is_token) return false;
    }
    return true;
}

static bool is_host(struct text line)
{
    static const char host[] = "host:";
    return line.len >= strlen(host) && strncasecmp(line.at, host, strlen(host)) == 0;
}

static void parse_head(struct text head, struct control_request *out)
{
    unsigned hosts = 0;
    *out = (struct control_request){.status = 200};
    const bool needs_host = parse_request_line(take_line(&head), out);
    while (head.len) {
        const struct text line = take_line(&head);
        if (line.len == 0) break;
        hosts += is_host(line);
        if (!is_field(line)) refuse(out, 400, "a line of the request's head is no NAME: VALUE");
    }
    if (hosts > 1 || (needs_host && hosts == 0)) refuse(out, 400, "a request names one host");
}

bool control_request_parse(const char *head, size_t len, struct control_request *out)
{
    struct text rest = {head, len};
    while (rest.len && memchr(rest.at, '\n', rest.len)) {
        if (take_line(&rest).len > 0) continue;
        parse_head((struct text){head, (size_t)(rest.at - head)}, out);
        return true;
    }
    return false;
}
