/* Experiments of fairness: what each one found. */
#include <string.h>

#include "bench/result/model.h"

bool experiment_finding(const json_t *experiment, size_t index, struct finding *out)
{
    static const char *const identity_words[] = {"holds", "fails", "unknown"};
    const json_t *identities = json_object_get(experiment, "identities");
    const size_t n = json_array_size(identities);
    const bool is_identity = index < n;
    const json_t *list = is_identity ? identities : json_object_get(experiment, "properties");
    const json_t *found = json_array_get(list, is_identity ? index : index - n);
    if (!found) return false;
    struct err none = {0}; /* it was checked when it was taken */
    (void)shape_read(SHAPE_property, NULL, out, &none);
    (void)shape_read(is_identity ? SHAPE_identity : SHAPE_property, found, out, &none);
    out->is_identity = is_identity;
    if (is_identity) out->verdict = out->holds < 0 ? VERDICT_INCONCLUSIVE : out->holds ? VERDICT_PASS : VERDICT_FAIL;
    out->word = (is_identity ? identity_words : verdicts)[out->verdict];
    return true;
}

void result_verdicts(const struct result *r, unsigned count[VERDICT_COUNT])
{
    struct finding found;
    memset(count, 0, VERDICT_COUNT * sizeof(*count));
    for (size_t i = 0; i < json_array_size(r->experiments); i++) {
        const json_t *x = json_array_get(r->experiments, i);
        for (size_t k = 0; experiment_finding(x, k, &found); k++) count[found.verdict] += !found.is_identity;
    }
}

unsigned result_failures(const struct result *r, bool has_open)
{
    struct finding found;
    unsigned failed = 0, open = 0;
    for (size_t i = 0; i < json_array_size(r->experiments); i++) {
        const json_t *x = json_array_get(r->experiments, i);
        size_t k = 0;
        for (; experiment_finding(x, k, &found); k++) {
            failed += found.verdict == VERDICT_FAIL && !found.is_identity;
            open += found.verdict == VERDICT_INCONCLUSIVE || (found.verdict == VERDICT_FAIL && found.is_identity);
        }
        open += k == 0 && strcmp(json_text(x, "status"), "unsupported") != 0;
    }
    return failed + (has_open ? open : 0);
}
