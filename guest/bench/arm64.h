/* What the arm64 rows share. */
#ifndef VIREO_GUEST_BENCH_ARM64_H
#define VIREO_GUEST_BENCH_ARM64_H

#include "bench.h"

/* arm64_gic.c */
bool prepare_spurious(struct bench_run *r);
bool prepare_ipi(struct bench_run *r);
bool prepare_vgic(struct bench_run *r);

#endif
