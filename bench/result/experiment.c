/* Experiments of fairness: what each one found. */
#include <math.h> /* NAN */

#include "bench/result/model.h"

static double figure(const json_t *object, const char *key)
{
    const json_t *v = json_object_get(object, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

bool experiment_finding(const json_t *experiment, size_t index, struct finding *out)
{
    const json_t *identities = json_object_get(experiment, "identities");
    const size_t n = json_array_size(identities);
    const bool is_identity = index < n;
    const json_t *f = is_identity ? json_array_get(identities, index)
                                  : json_array_get(json_object_get(experiment, "properties"), index - n);
    const json_t *holds = json_object_get(f, "holds");
    const char *identity = json_is_true(holds) ? "holds" : json_is_false(holds) ? "fails" : "unknown";
    *out = (struct finding){
        .id = json_text(f, "id"),
        .verdict = is_identity ? identity : json_text(f, "verdict"),
        .unit = json_text(f, "unit"),
        .text = json_text(f, "text"),
        .reason = json_text(f, "reason"),
        .statistic = figure(f, "statistic"),
        .bound = figure(f, "bound"),
        .is_identity = is_identity,
    };
    return f != NULL;
}
