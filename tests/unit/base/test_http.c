/* Heads of requests: those of real clients, and those that are wrong. */
#include "vmm/base/http.h"

#include "tests/unit/unit.h"

#define HOST "Host: x\r\n"

static struct http_request parsed(const char *head)
{
    struct http_request r;
    if (!http_parse(head, strlen(head), &r)) fail_msg("not taken for whole: %s", head);
    return r;
}

static void real_clients_are_understood(void **state)
{
    static const struct {
        const char *head, *path;
    } rows[] = {
        {"GET /stats HTTP/1.1\r\nHost: localhost\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n", "/stats"},
        {"GET /metrics HTTP/1.1\r\nHost: x\r\nUser-Agent: Prometheus/2.45\r\nAccept: "
         "application/openmetrics-text;version=1.0.0,*/*;q=0.1\r\nAccept-Encoding: "
         "gzip\r\nX-Prometheus-Scrape-Timeout-Seconds: 10\r\n\r\n",
         "/metrics"},
        {"GET /stats.txt HTTP/1.0\r\n\r\n", "/stats.txt"},
        {"GET /stats.txt HTTP/1.0\n\n", "/stats.txt"},
        {"GET http://vm/metrics HTTP/1.1\r\nhOsT:vm\r\n\r\n", "/metrics"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct http_request r = parsed(rows[i].head);
        assert_int_equal(r.status, 200);
        assert_true(http_is(r.method, "GET") && http_is(r.path, rows[i].path));
        assert_int_equal(r.head_len, strlen(rows[i].head));
        assert_int_equal(r.query.len + r.body_len, 0);
    }
}

static void what_stands_behind_the_question_mark_is_apart_from_the_path(void **state)
{
    (void)state;
    const struct http_request r = parsed("HEAD /stats?steps=1&weights=a=2 HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(r.status, 200);
    assert_true(http_is(r.method, "HEAD") && http_is(r.path, "/stats") && http_is(r.query, "steps=1&weights=a=2"));
}

static void a_body_is_as_long_as_the_head_says(void **state)
{
    (void)state;
    struct http_request r = parsed("PUT /x HTTP/1.1\r\n" HOST "content-length: \t12 \r\n\r\n{\"a\":\r\n\r\n1}..");
    assert_int_equal(r.status, 200);
    assert_int_equal(r.body_len, 12);
    assert_int_equal(r.head_len, strlen("PUT /x HTTP/1.1\r\n" HOST "content-length: \t12 \r\n\r\n"));
    r = parsed("PUT /x HTTP/1.1\r\n" HOST "Content-Length: 1073741824\r\n\r\n");
    assert_int_equal(r.status, 200);
    assert_int_equal(r.body_len, HTTP_BODY_MAX);
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
        {"PUT /x HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\n", 400},
        {"PUT /x HTTP/1.1\r\n" HOST "Content-Length: +1\r\n\r\n", 400},
        {"PUT /x HTTP/1.1\r\n" HOST "Content-Length: 1, 1\r\n\r\n", 400},
        {"PUT /x HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", 400},
        {"PUT /x HTTP/1.1\r\n" HOST "Content-Length: 1073741825\r\n\r\n", 413},
        {"PUT /x HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999999999999999\r\n\r\n", 413},
        {"PUT /x HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", 501},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct http_request r = parsed(rows[i].head);
        if (r.status != rows[i].status) fail_msg("%d, not %d, for %s", r.status, rows[i].status, rows[i].head);
        assert_true(r.why && r.why[0]);
    }
}

static void a_head_is_whole_with_its_empty_line_and_not_before(void **state)
{
    static const char head[] = "GET /stats HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n";
    struct http_request r;
    (void)state;
    for (size_t len = 0; len < sizeof(head) - 1; len++) assert_false(http_parse(head, len, &r));
    assert_true(http_parse(head, sizeof(head) - 1, &r));
    assert_int_equal(r.status, 200);
}

static void an_answer_has_its_length_and_says_what_is_allowed(void **state)
{
    char out[HTTP_ANSWER_MAX];
    (void)state;
    size_t len = http_answer_head(out, &(struct http_answer){.status = 200, .type = "a/b", .len = 7});
    assert_int_equal(len, strlen(out));
    assert_string_equal(out, "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: 7\r\nConnection: close\r\n\r\n");
    (void)http_answer_head(out, &(struct http_answer){.status = 405, .type = "a/b", .allow = "GET, HEAD"});
    assert_contains(out, "\r\nAllow: GET, HEAD\r\n");
}

UNIT_MAIN(UNIT(real_clients_are_understood), UNIT(what_stands_behind_the_question_mark_is_apart_from_the_path),
          UNIT(a_body_is_as_long_as_the_head_says), UNIT(what_is_wrong_has_its_status_and_a_sentence),
          UNIT(a_head_is_whole_with_its_empty_line_and_not_before),
          UNIT(an_answer_has_its_length_and_says_what_is_allowed))
