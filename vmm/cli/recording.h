/* A recording: what `vireo top --record` saw of VMs, as lines of JSON (docs/recording-format.md), only ever added to.
 * The writer; bench/report/recording.h is the reader. One thread. */
#ifndef VIREO_CLI_RECORDING_H
#define VIREO_CLI_RECORDING_H

#include "vmm/cli/series.h"

#define RECORDING_SCHEMA "vireo-recording-1"
/* 64 vCPUs with nine figures of 20 digits each take 20 KB, thirty kinds of exits 8. */
#define RECORDING_LINE_MAX 65536
/* Ten days of one VM at a look a second; the reader takes no more. */
#define RECORDING_MAX (UINT64_C(512) << 20)

struct recording {
    FILE *f;
    uint64_t from_ns; /* now_ns() when it began: times in it count from there */
};

void recording_begin(struct recording *r, uint64_t interval_ns);
/* vm: how the lines that follow call it; from here on it is this VM. */
void recording_vm(struct recording *r, unsigned vm, const char *name, const struct series *s, uint64_t t_ns);
void recording_sample(struct recording *r, unsigned vm, const struct series *s, uint64_t t_ns);
void recording_alarm(struct recording *r, unsigned vm, const struct series_metric *m, enum anomaly_event event,
                     const struct anomaly_alarm *a, uint64_t t_ns);
void recording_gone(struct recording *r, unsigned vm, uint64_t t_ns);
void recording_end(struct recording *r, uint64_t t_ns); /* a recording without it was cut short */

#endif
