/* Any bytes as the head of a request to the control socket, and as what stands behind its question mark: what comes out
 * keeps the promises of http.h and routes.h, and more bytes behind a whole head change nothing. */
#include "tests/fuzz/fuzz.h"
#include "vmm/lib/control/routes.h"

static void must_lie_in(struct http_text t, const char *head, size_t len)
{
    MUST(t.len == 0 || (t.at >= head && t.at + t.len <= head + len));
}

static void check(const struct http_request *r, const char *head, size_t len)
{
    struct control_view view;
    MUST(r->status == 200 || (r->status >= 400 && r->status < 600 && r->why && r->why[0]));
    MUST(r->head_len <= len);
    MUST(r->status != 200 || r->body_len <= HTTP_BODY_MAX);
    must_lie_in(r->method, head, r->head_len);
    must_lie_in(r->path, head, r->head_len);
    must_lie_in(r->query, head, r->head_len);
    if (control_view_parse(r->query, &view)) MUST(memchr(view.weights, '\0', sizeof(view.weights)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_request r, again;
    const size_t len = size < HTTP_HEAD_MAX ? size : HTTP_HEAD_MAX;
    char *head = malloc(len + 1); /* exactly as long but for the last byte, which is added for the second look */
    if (!head) return 0;
    memcpy(head, data, len);
    head[len] = 'x';
    if (http_parse(head, len, &r)) {
        check(&r, head, len);
        MUST(http_parse(head, len + 1, &again));
        MUST(r.status == again.status && r.head_len == again.head_len && r.body_len == again.body_len);
    }
    free(head);
    return 0;
}
