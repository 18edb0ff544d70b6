/* Heads of requests: those of real clients, and those that are wrong. */
#include "vmm/lib/control/http.h"

#include <stdio.h>

#include "tests/unit/unit.h"

#define HOST "Host: x\r\n"

static struct control_request parsed(const char *head)
{
    struct control_request r;
    if (!control_request_parse(head, strlen(head), &r)) fail_msg("not taken for whole: %s", head);
    return r;
}

static void real_clients_are_understood(void **state)
{
    static const struct {
        const char *head;
        enum vireo_stats_format format;
    } rows[] = {
        {"GET /stats HTTP/1.1\r\nHost: localhost\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n", VIREO_STATS_JSON},
        {"GET /metrics HTTP/1.1\r\nHost: x\r\nUser-Agent: Prometheus/2.45\r\nAccept: "
         "application/openmetrics-text;version=1.0.0,*/*;q=0.1\r\nAccept-Encoding: "
         "gzip\r\nX-Prometheus-Scrape-Timeout-Seconds: 10\r\n\r\n",
         VIREO_STATS_PROMETHEUS},
        {"GET /stats.txt HTTP/1.0\r\n\r\n", VIREO_STATS_TEXT},
        {"GET /stats.txt HTTP/1.0\n\n", VIREO_STATS_TEXT},
        {"GET http://vm/metrics HTTP/1.1\r\nhOsT:vm\r\n\r\n", VIREO_STATS_PROMETHEUS},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct control_request r = parsed(rows[i].head);
        assert_int_equal(r.status, 200);
        assert_int_equal(r.format, rows[i].format);
        assert_false(r.is_head);
        assert_string_equal(r.weights, "");
    }
}

static void a_query_asks_for_weights_and_steps(void **state)
{
    (void)state;
    const struct control_request r =
        parsed("HEAD /stats?steps=1&weights=vm_exit_count=2,io_overhead=0 HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(r.status, 200);
    assert_true(r.is_head && r.has_steps);
    assert_string_equal(r.weights, "vm_exit_count=2,io_overhead=0");
}

static void what_is_wrong_has_its_status_and_a_sentence(void **state)
{
    static const struct {
        const char *head;
        int status;
    } rows[] = {
        {"\r\n", 400},
        {"hello\r\n\r\n", 400},
        {"GET /stats\r\n\r\n", 400},
        {"GET  /stats HTTP/1.1\r\n" HOST "\r\n", 400},
        {"GET /stats HTTP/1.1 \r\n" HOST "\r\n", 505},
        {"GET /stats HTTP/2.0\r\n" HOST "\r\n", 505},
        {"GET /stats HTTP/1.1\r\n\r\n", 400},
        {"GET /stats HTTP/1.1\r\n" HOST HOST "\r\n", 400},
        {"GET /stats HTTP/1.1\r\n" HOST "no colon\r\n\r\n", 400},
        {"GET /stats HTTP/1.1\r\n" HOST " folded: x\r\n\r\n", 400},
        {"GET /stats HTTP/1.1\r\n" HOST "blank : x\r\n\r\n", 400},
        {"GET /stats HTTP/1.1\r\n" HOST ": x\r\n\r\n", 400},
        {"POST /stats HTTP/1.1\r\n" HOST "\r\n", 405},
        {"get /stats HTTP/1.1\r\n" HOST "\r\n", 405},
        {"GET / HTTP/1.1\r\n" HOST "\r\n", 404},
        {"GET /statsx HTTP/1.1\r\n" HOST "\r\n", 404},
        {"GET /stats/ HTTP/1.1\r\n" HOST "\r\n", 404},
        {"GET stats HTTP/1.1\r\n" HOST "\r\n", 404},
        {"GET http://vm HTTP/1.1\r\n" HOST "\r\n", 404},
        {"GET /stats?step=1 HTTP/1.1\r\n" HOST "\r\n", 400},
        {"GET /stats?steps=1&& HTTP/1.1\r\n" HOST "\r\n", 400},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct control_request r = parsed(rows[i].head);
        if (r.status != rows[i].status) fail_msg("%d, not %d, for %s", r.status, rows[i].status, rows[i].head);
        assert_true(r.why && r.why[0]);
    }
}

static void weights_that_do_not_fit_are_refused_whole(void **state)
{
    char head[CONTROL_HEAD_MAX], weights[CONTROL_WEIGHTS_MAX + 1];
    (void)state;
    for (size_t len = CONTROL_WEIGHTS_MAX - 1; len <= CONTROL_WEIGHTS_MAX; len++) {
        memset(weights, 'w', len);
        weights[len] = '\0';
        (void)snprintf(head, sizeof(head), "GET /stats?weights=%s HTTP/1.0\r\n\r\n", weights);
        const struct control_request r = parsed(head);
        assert_int_equal(r.status, len < CONTROL_WEIGHTS_MAX ? 200 : 400);
        assert_int_equal(strlen(r.weights), len < CONTROL_WEIGHTS_MAX ? len : 0);
    }
}

static void a_head_is_whole_with_its_empty_line_and_not_before(void **state)
{
    static const char head[] = "GET /stats HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n";
    struct control_request r;
    (void)state;
    for (size_t len = 0; len < sizeof(head) - 1; len++) assert_false(control_request_parse(head, len, &r));
    assert_true(control_request_parse(head, sizeof(head) - 1, &r));
    assert_int_equal(r.status, 200);
}

UNIT_MAIN(UNIT(real_clients_are_understood), UNIT(a_query_asks_for_weights_and_steps),
          UNIT(what_is_wrong_has_its_status_and_a_sentence), UNIT(weights_that_do_not_fit_are_refused_whole),
          UNIT(a_head_is_whole_with_its_empty_line_and_not_before))
