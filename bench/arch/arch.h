/* What benches must know of an architecture beyond arch/arch.h: which rows of the bench guest it has and what is
 * expected of each, how the guest's counter relates to the host's, what kind of host this is. Control thread, while no
 * vCPU runs. */
#ifndef VIREO_BENCH_ARCH_ARCH_H
#define VIREO_BENCH_ARCH_ARCH_H

#include "arch/arch.h"
#include "arch/counter.h"
#include "guest/bench/shared.h"
#include "vmm/machine/lab.h"

enum bench_group { BENCH_CONTROL, BENCH_KERNEL, BENCH_USER };

/* In the order in which a row is read. NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding) */
struct arch_bench_row {
    enum bench_row row;
    const char *id;
    enum bench_group group;
    const char *title;         /* one line: what the guest does */
    int exits;                 /* of the measured vCPU in a repetition; -1: depends on the host */
    unsigned more;             /* per cent that the host may add to them; that there are fewer nothing explains */
    const char *adds;          /* "an exit ...": what it adds; NULL where more is 0 */
    const char *counter;       /* the kernel's statistic that counts these alone; NULL: "exits", which counts all */
    bool is_state;             /* it counts a state of the host's, as a successful poll, and 0 is an answer */
    enum record_class class;   /* of BENCH_USER: the class by which the recorder counts the row's exits */
    bool has_second;           /* the row needs a second vCPU */
    enum arch_irqchip irqchip; /* of the row's machine */
};
/* In the order of reports: controls, kernel, user, and last the one that never ends, which is only measured when it is
 * named. NULL past the end. */
const struct arch_bench_row *arch_bench_row(unsigned index);

/* Where the monitor puts what traps. Without port I/O, port is 0 and the table has no rows of it. */
struct arch_bench_places {
    uint64_t port, window; /* BENCH_PLACE bytes each that nobody else has */
};
#define BENCH_PLACE 4096
extern const struct arch_bench_places arch_bench_places;

/* Do what only this architecture can do for a row, once the vCPUs are there: a trap that KVM must be asked for. 0, or
 * -errno with the reason why host or machine can't. */
int arch_bench_fit(enum bench_row row, const struct vm *vm, struct err *e);

/* The counter that guests read, for the host to read, whether or not it is a good clock. */
void arch_bench_counter(struct counter *c);
/* share: make the guest's counter show the same as the host's, where KVM can. shares: does it still? KVM may set the
 * counter anew when a vCPU moves to another CPU; then the offset between the two is unknown. */
void arch_bench_share_clock(const struct vm *vm, const struct vcpu *vcpus, unsigned count);
bool arch_bench_shares_clock(const struct vm *vm, const struct vcpu *vcpus, unsigned count);

/* What this host is, as far as the processor or its firmware tells. */
struct arch_bench_host {
    const char *nature;  /* "bare", "virtual", "emulated", "pvm": static */
    char hypervisor[16]; /* the name that a hypervisor gives itself, or "" */
};
void arch_bench_host(struct arch_bench_host *out);

#endif
