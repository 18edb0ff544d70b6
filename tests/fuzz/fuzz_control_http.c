/* Any bytes as the head of a request to the control socket: what comes out keeps the promises of control_request.h, and
 * more bytes behind a whole head change nothing. */
#include "tests/fuzz/fuzz.h"
#include "vmm/lib/control/http.h"

static void check(const struct control_request *r)
{
    MUST(r->status == 200 || (r->status >= 400 && r->status < 600 && r->why && r->why[0]));
    MUST(memchr(r->weights, '\0', sizeof(r->weights)));
    MUST(r->format <= VIREO_STATS_PROMETHEUS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct control_request r, again;
    const size_t len = size < CONTROL_HEAD_MAX ? size : CONTROL_HEAD_MAX;
    char *head = malloc(len + 1); /* exactly as long but for the last byte, which is added for the second look */
    if (!head) return 0;
    memcpy(head, data, len);
    head[len] = 'x';
    if (control_request_parse(head, len, &r)) {
        check(&r);
        MUST(control_request_parse(head, len + 1, &again));
        MUST(r.status == again.status && strcmp(r.weights, again.weights) == 0);
    }
    free(head);
    return 0;
}
