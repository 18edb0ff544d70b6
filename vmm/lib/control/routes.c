#include "vmm/lib/control/routes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/lib/lib.h"

bool control_view_parse(struct http_text query, struct control_view *out)
{
    static const char weights[] = "weights=";
    *out = (struct control_view){0};
    while (query.len) {
        struct http_text part = http_take(&query, '&');
        if (http_is(part, "steps=1")) {
            out->has_steps = true;
        } else if (http_starts(part, weights) && part.len - strlen(weights) < sizeof(out->weights)) {
            part = http_skip(part, strlen(weights));
            memcpy(out->weights, part.at, part.len);
            out->weights[part.len] = '\0';
        } else {
            return false;
        }
    }
    return true;
}

static void show_stats(struct http_call *call)
{
    static const char *const types[] = {[VIREO_STATS_TEXT] = "text/plain; charset=utf-8",
                                        [VIREO_STATS_JSON] = "application/json",
                                        [VIREO_STATS_PROMETHEUS] = "text/plain; version=0.0.4; charset=utf-8"};
    struct control_view asked;
    struct err e = {0};
    char *text = NULL;
    size_t len = 0;
    if (!control_view_parse(call->request.query, &asked)) {
        http_refuse(call, 400, "what is known behind the question mark is steps=1 and weights=NAME=NUMBER,...", "");
        return;
    }
    const enum vireo_stats_format format = (enum vireo_stats_format)call->route->arg;
    const struct vireo_stats_view view = {.format = format, .weights = asked.weights, .has_steps = asked.has_steps};
    const int rc = lib_stats_page(call->owner, &view, &text, &len, &e);
    if (rc)
        http_refuse(call, rc == -EINVAL ? 400 : 503, e.text, e.hint);
    else
        http_reply(call, &(struct http_answer){.status = 200, .type = types[format], .body = text, .len = len});
    free(text);
}

static const struct http_route routes[] = {
    {"GET", "/stats", 0, show_stats, VIREO_STATS_JSON},
    {"GET", "/stats.txt", 0, show_stats, VIREO_STATS_TEXT},
    {"GET", "/metrics", 0, show_stats, VIREO_STATS_PROMETHEUS},
};

const struct http_table control_routes = {
    .route = routes,
    .count = sizeof(routes) / sizeof(routes[0]),
    .pages = "the pages are /stats (JSON), /stats.txt and /metrics (Prometheus)",
};
