/* What the fairness guest and the monitor that runs it tell one another: a page of settings and a block for each vCPU.
 * Plain numbers of fixed size, little-endian, seen by both sides; neither trusts the other's.
 *
 * The monitor fills in what is its own before the guest starts. Each vCPU says that it is there (`is_ready`) and waits
 * for `go`; then it does its work until the monitor ends the machine. All times are ticks of the guest's counter: the
 * TSC, CNTVCT. */
#ifndef VIREO_GUEST_FAIR_SHARED_H
#define VIREO_GUEST_FAIR_SHARED_H

#include <stdint.h>

/* From the start of RAM. The image, its stacks and tables lie below. */
#define FAIR_PAGE_OFFSET (16u << 20)
#define FAIR_MEMORY      (32u << 20)
#define FAIR_VCPUS_MAX   16 /* of one machine: more share a CPU nowhere that is worth measuring */

#define FAIR_MAGIC 0x3176726961667276ull

enum fair_work {
    FAIR_SPIN,        /* counts as fast as it can */
    FAIR_INTERACTIVE, /* each period: wakes up by the timer, computes for `busy`, sleeps */
    FAIR_DODGE,   /* runs from `margin` behind each multiple of the period to `margin` before the next, then sleeps */
    FAIR_EXIT,    /* counts writes to the register at `address`, each an exit to the monitor */
    FAIR_HALT,    /* sleeps for a period, again and again */
    FAIR_REQUEST, /* asks the entropy device for bytes, again and again: work for the monitor's I/O thread */
    FAIR_WORK_COUNT
};

/* Intervals by size: bucket b counts those of [2^(b/4) * (4 + b%4)/4, the next one's] ticks. */
#define FAIR_BUCKETS      (64 * 4)
#define FAIR_ENTROPY_SIZE 4096

struct fair_vcpu {
    /* The monitor's, const while the guest runs. */
    uint32_t work;           /* enum fair_work */
    uint32_t waste_permille; /* of the progress that is thrown away: the self-check's; FAIR_SPIN */
    uint64_t period, busy, margin, phase;
    uint64_t hold_period, hold; /* FAIR_SPIN: of each period sleep this long: the self-check's; 0: never */
    uint64_t reserved;
    /* The guest's: read by the monitor at any time. */
    _Alignas(64) uint64_t progress; /* loops, periods, exits, sleeps */
    uint64_t steal;                 /* ns, what the hypervisor says; 0 where it says nothing */
    uint64_t now;                   /* the counter, when it was last looked at */
    uint64_t lost;                  /* ticks, in gaps */
    uint64_t is_ready;
    uint64_t has_steal;
    uint64_t can_sleep;          /* 0: this guest knows no way to on this processor */
    uint64_t missed;             /* periods in which it woke up too late to work at all */
    uint64_t longest;            /* gap; the monitor may set it to 0 */
    uint32_t gap[FAIR_BUCKETS];  /* from one look at the counter to the next, those of gap_min and more */
    uint32_t late[FAIR_BUCKETS]; /* from the time it wanted to wake up to its waking up */
    uint64_t reserved_end[7];    /* to a whole cache line */
};

struct fair_page {
    uint64_t magic;
    uint32_t vcpus;
    uint32_t reserved;
    uint64_t address; /* of the register that exits */
    uint64_t gap_min; /* shorter ones are the loop itself and the host's interrupts */
    uint64_t reserved_line[4];
    _Alignas(64) uint64_t go; /* the monitor's: 1 when all may begin */
    uint64_t reserved_go[7];
    struct fair_vcpu vcpu[FAIR_VCPUS_MAX];
};

#endif
