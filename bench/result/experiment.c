/* Experiments of fairness: what each one found. */
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
