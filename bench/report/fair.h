/* What the parts of the page about fairness share. Private to bench/report. Experiments are JSON that has been checked:
 * keys that are there have the types that SHAPE_experiment gives them.
 *
 *   fair.c          the section: what was found, verdicts, inequalities
 *   fair_pictures.c a lane for each vCPU over time; convergence and gaps */
#ifndef VIREO_BENCH_REPORT_FAIR_H
#define VIREO_BENCH_REPORT_FAIR_H

#include "bench/report/strips.h"
#include "bench/report/view.h"

/* One experiment, and what its findings come to. */
struct trial {
    const struct report_view *view;
    const json_t *experiment;
    unsigned count[VERDICT_COUNT]; /* of its properties and identities */
    bool has_shares;               /* what each vCPU should have had was judged, or reported */
};

/* "A E1: 2 vCPUs on 1 CPU" into buf. */
#define TRIAL_NAME_MAX 300
const char *trial_name(const struct trial *t, char buf[TRIAL_NAME_MAX]);
/* "fail" where something fails, "inconclusive" where not and something is undecided, else "pass". */
const char *trial_verdict(const struct trial *t);

/* The vCPU that got least of its share over the whole run. lack: the part of its share that it lacks; below 0 where no
 * share was judged. */
struct trial_lack {
    double lack, got, share;
    char vcpu[64], trial[TRIAL_NAME_MAX];
};
struct trial_lack trial_lack_of(const struct trial *t);

/* The time that the lanes of these experiments need. */
struct plot_axis trial_lanes_axis(const struct trial *t, unsigned n);
bool trial_has_lanes(const struct trial *t);
/* A group of strips: a lane for each vCPU. */
void trial_put_lanes(struct strips *s, const struct trial *t);
void trial_put_plots(FILE *page, const struct trial *t);

#endif
