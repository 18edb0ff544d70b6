/* Experiments of fairness: what each one found. */
#include <math.h>

#include "bench/result/model.h"

static double figure(const json_t *object, const char *key)
{
    const json_t *v = json_object_get(object, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static enum verdict identity_verdict(const json_t *holds)
{
    return json_is_true(holds) ? VERDICT_PASS : json_is_false(holds) ? VERDICT_FAIL : VERDICT_INCONCLUSIVE;
}

bool experiment_finding(const json_t *experiment, size_t index, struct finding *out)
{
    static const char *const identity_words[] = {"holds", "fails", "unknown"};
    const json_t *identities = json_object_get(experiment, "identities");
    const size_t n = json_array_size(identities);
    const bool is_identity = index < n;
    const json_t *list = is_identity ? identities : json_object_get(experiment, "properties");
    const json_t *f = json_array_get(list, is_identity ? index : index - n);
    const enum verdict v = is_identity ? identity_verdict(json_object_get(f, "holds"))
                                       : (enum verdict)word_find(verdicts, json_object_get(f, "verdict"));
    if (!f) return false;
    *out = (struct finding){
        .is_identity = is_identity,
        .verdict = v,
        .word = is_identity ? identity_words[v] : verdicts[v],
        .id = json_text(f, "id"),
        .unit = json_text(f, "unit"),
        .text = json_text(f, "text"),
        .reason = json_text(f, "reason"),
        .statistic = figure(f, "statistic"),
        .bound = figure(f, "bound"),
    };
    return true;
}
