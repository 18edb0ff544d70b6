/* A recording of `vireo top --record`, read: what happened to VMs over time, in as many steps as a picture has room
 * for. docs/recording-format.md explains the lines. One thread. */
#ifndef VIREO_BENCH_REPORT_RECORDING_H
#define VIREO_BENCH_REPORT_RECORDING_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "bench/result/result.h"
#include "vmm/cli/recording.h"

#define RECORDING_STEPS      480  /* of time: a strip is about so many pixels wide */
#define RECORDING_VMS_MAX    64   /* as the writer takes */
#define RECORDING_CURVES_MAX 4096 /* of all VMs: 24 MB */
#define RECORDING_OF_VM_MAX  384  /* a VM has five of each of 11 kinds of exits, three a vCPU, two a disk, and two */
#define RECORDING_ALARMS_MAX 1000 /* that are kept; more are counted */
#define RECORDING_NOTE_MAX   256

enum recording_kind {
    CURVE_EXITS, /* of a kind of exit, 1/s; so are the next four, in ns */
    CURVE_HANDLER_P50,
    CURVE_HANDLER_P99,
    CURVE_RUN_P50,
    CURVE_RUN_P99,
    CURVE_DOORBELLS, /* of the VM, 1/s */
    CURVE_CPU,       /* of a vCPU: a share of the time; so are the next two */
    CURVE_DELAY,
    CURVE_STEAL,
    CURVE_THROTTLED, /* of the VM: a share of the time */
    CURVE_DISK_RATE, /* of a disk, 1/s */
    CURVE_DISK_TIME, /* ... ns */
};

struct recording_curve {
    unsigned vm;
    enum recording_kind kind;
    char of[TOP_WORD]; /* "port out", "vCPU 0", "disk 0"; "" of the VM */
    double sum[RECORDING_STEPS], peak[RECORDING_STEPS];
    unsigned count[RECORDING_STEPS]; /* samples of the step; 0: there is no value */
    struct recording_curve *next;    /* of the same VM */
};

struct recording_vm {
    char name[TOP_WORD], uuid[TOP_WORD];
    unsigned vcpus, lives; /* lives: how many VMs had the name, one after the other */
    uint64_t samples;
    struct recording_curve *curve; /* one of them, with the others behind it; NULL: none */
    unsigned curves;
    bool is_there; /* a line has told of it */
};

struct recording_alarm_seen {
    unsigned vm;
    char metric[TOP_WORD], of[TOP_WORD], unit[TOP_WORD];
    uint64_t since_ns, until_ns; /* until: 0 while it lasts */
    double value, median, mad, odds;
    unsigned samples;
    bool is_slow, has_settled;
};

struct recording_seen {
    char time[TOP_WORD], host[TOP_WORD], kernel[TOP_WORD], cpu[128], vireo[TOP_WORD];
    uint64_t interval_ns, end_ns, lines, samples;
    uint64_t step_ns;              /* a step is so long */
    char note[RECORDING_NOTE_MAX]; /* "", or a sentence: where it was cut, and what is missing therefore */
    struct recording_vm vm[RECORDING_VMS_MAX];
    struct recording_curve **curve; /* by when they first came */
    unsigned curves;
    bool has_lost;                      /* values for whose curve there was no room */
    struct recording_alarm_seen *alarm; /* RECORDING_ALARMS_MAX */
    unsigned alarms, alarms_lost;
};

/* Does it begin like one, of whichever version? f stands at its beginning again. */
bool recording_is_one(FILE *f);
/* 0 and the caller's to destroy, with a note where not all of it could be read; or *e says why there is nothing. */
int recording_read(struct recording_seen **out, FILE *f, struct err *e);
void recording_destroy(struct recording_seen *r); /* NULL is legal */
/* NULL: there is none. */
const struct recording_curve *recording_curve(const struct recording_seen *r, unsigned vm, enum recording_kind kind,
                                              const char *of);
/* Of a step, the mean of its samples, or of what is a peak by nature their greatest; NAN where there are none. */
double recording_value(const struct recording_curve *c, unsigned step);

/* One self-contained HTML page of it: series.c. */
int report_recording(const struct recording_seen *r, result_write_fn *write, void *arg, struct err *e);

#endif
