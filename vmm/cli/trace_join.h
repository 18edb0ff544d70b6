/* Records of a vCPU's tracepoints joined into exits: what left the guest, who handled it, and how long it took.
 *
 *      guest | KVM ...                | KVM ... monitor ...          KVM ... | guest
 *      kvm_exit            kvm_entry  | kvm_exit  kvm_userspace_exit  kvm_entry
 *            |--- by KVM ---|         |------------ by the monitor -----------|
 *                                               |--------- ours ---------|
 *
 * All durations are ns of CLOCK_MONOTONIC. Pure: no system calls; one thread. */
#ifndef VIREO_CLI_TRACE_JOIN_H
#define VIREO_CLI_TRACE_JOIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/hist.h"

#define TRACE_ROWS_MAX   256   /* reasons, by KVM and by the monitor: processors have some 80 */
#define TRACE_PLACES_MAX 16384 /* addresses that exits are counted for; a power of two */
#define TRACE_PROBES     16

enum trace_kind { TRACE_EXIT, TRACE_LEAVE, TRACE_ENTRY };
struct trace_event {
    enum trace_kind kind;
    uint64_t ns;
    uint64_t reason, address; /* of TRACE_EXIT: which, in the caller's code; of the guest's instruction */
};

/* All exits of a reason that one of the two handled. */
struct trace_row {
    uint64_t reason;
    bool is_ours; /* the monitor handled it */
    uint64_t count, total, most;
    uint64_t ours;    /* of total: from KVM's leaving until the guest was entered again */
    struct hist hist; /* durations */
    _Atomic uint64_t *room;
};

struct trace_place {
    uint64_t address, count, total;
    uint64_t reason, votes; /* the one of most exits, if one has more than half */
};

struct trace_vcpu {
    bool is_out, has_left; /* an exit is being handled; it has gone to the monitor */
    struct trace_event exit;
    uint64_t left_ns;
    uint64_t count, total; /* exits that are over, and what they took */
    uint64_t broken;       /* exits whose end is not there: records were lost */
};

struct trace_join {
    struct trace_row row[TRACE_ROWS_MAX];
    unsigned rows;
    uint64_t unplaced;         /* exits that found no row or no place: counted elsewhere */
    struct trace_place *place; /* TRACE_PLACES_MAX; count 0: free */
};

bool trace_join_init(struct trace_join *j); /* false: no memory */
void trace_join_fini(struct trace_join *j);
/* The next record of a vCPU, in order of time. */
void trace_join_event(struct trace_join *j, struct trace_vcpu *v, const struct trace_event *event);
/* What is asked for at the end: rows by the time they took, places by count; most first. */
void trace_join_sort(struct trace_join *j);
uint64_t trace_row_quantile(const struct trace_row *r, double share);

#endif
