/* What benches must know of an architecture and arch.h does not say: which rows of the bench guest it has and what is
 * expected of each, how the guest's counter relates to the host's, what kind of host this is. Control thread, while
 * no vCPU runs. */
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
    int exits;                 /* of the measured vCPU, a repetition; -1: depends on the host */
    unsigned slack;            /* per cent that the count may be off: where the host has a say */
    const char *counter;       /* the kernel's statistic that counts these alone; NULL: "exits", which counts all */
    enum record_class class;   /* BENCH_USER: as what the recorder sees it */
    bool has_second;           /* vCPU */
    enum arch_irqchip irqchip; /* of the row's machine */
};
/* In the order of reports: controls, kernel, user, and last the one that never ends, which nobody wants but by name.
 * NULL past the end. */
const struct arch_bench_row *arch_bench_row(unsigned index);

/* Where the monitor puts what traps. No port I/O: port is 0, and rows of it are not in the table. */
struct arch_bench_places {
    uint64_t port, window; /* BENCH_PLACE bytes each that nobody else has */
};
#define BENCH_PLACE 4096
extern const struct arch_bench_places arch_bench_places;

/* What only this architecture can do for a row, once the vCPUs are there: a trap that KVM must be asked for. 0, or
 * -errno with the reason in *e: the host can't, or the machine can't. */
int arch_bench_fit(enum bench_row row, const struct vm *vm, struct err *e);

/* The counter that guests read, read by the host; whether or not it is a good clock. */
void arch_bench_counter(struct counter *c);
/* Make the guest's counter show the host's, where KVM can; and does it still? KVM may set it anew when a vCPU comes to
 * another CPU. Where it does not, how far they are apart is unknown. */
void arch_bench_share_clock(const struct vm *vm, const struct vcpu *vcpus, unsigned count);
bool arch_bench_shares_clock(const struct vm *vm, const struct vcpu *vcpus, unsigned count);

/* What this host is, as far as the processor tells. */
struct arch_bench_host {
    const char *nature;  /* "bare", "virtual", "emulated", "pvm": static */
    char hypervisor[16]; /* what names itself in the processor's place, or "" */
};
void arch_bench_host(struct arch_bench_host *out);

#endif
