#include "bench/fair/verdict.h"

#include <math.h>
#include <stdbool.h>

static bool keeps(enum relation relation, const struct fair_figures *f)
{
    switch (relation) {
    case NOT_JUDGED: return true;
    case LESS: return f->statistic < f->bound;
    case AT_MOST: return f->statistic <= f->bound;
    case AT_LEAST: return f->statistic >= f->bound;
    }
    return false;
}

double fair_missing_ns(enum relation relation, const struct fair_figures *f)
{
    return keeps(relation, f) ? 0 : fabs(f->statistic - f->bound) * f->unit_ns;
}

enum fair_verdict fair_verdict(enum relation relation, const struct fair_figures *f)
{
    if (relation == NOT_JUDGED) return FAIR_REPORTED;
    if (keeps(relation, f)) return FAIR_PASS;
    const bool is_explained = f->explained_ns > 0 && fair_missing_ns(relation, f) <= f->explained_ns;
    return f->unit_ns > 0 && is_explained ? FAIR_INCONCLUSIVE : FAIR_FAIL;
}
