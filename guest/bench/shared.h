/* What the bench guest and the monitor that runs it tell one another: one page of parameters and progress, and the
 * samples. Plain numbers of fixed size, little-endian, seen by both sides; neither trusts the other's.
 *
 * The monitor fills the page before the guest starts; the guest measures one row and ends by the debug-exit register,
 * status 0. A row is a thing that the guest does (shared id on every architecture: bench.c in arch/x86 and arch/arm64
 * has the table that says what is expected of it). One sample is a pair of counter reads around `batch` repetitions.
 *
 * They go through a row in step: the guest says how far it is by a store to the gate, a register of the monitor, which
 * reads the kernel's counts, or changes the machine, while the guest's processor waits for the store to end. */
#ifndef VIREO_GUEST_BENCH_SHARED_H
#define VIREO_GUEST_BENCH_SHARED_H

#include <stdint.h>

/* From the start of RAM. The image, its stacks and tables lie below; nothing else uses what is above. */
#define BENCH_PAGE_OFFSET     (16u << 20)
#define BENCH_BASELINE_OFFSET (18u << 20) /* struct bench_sample[], the loop without the trap */
#define BENCH_SAMPLE_OFFSET   (20u << 20) /* struct bench_sample[] */
#define BENCH_SAMPLES_MAX     (1u << 17)  /* 2 MiB of samples: p99.9 needs 3,688, the rest is patience */
#define BENCH_TOUCH_OFFSET    (32u << 20) /* memory that nobody has touched, up to the end of RAM */
#define BENCH_MEMORY          (256u << 20)

#define BENCH_MAGIC 0x31766e6562726976ull /* "virbenv1" */

struct bench_sample {
    uint64_t g0, g1; /* guest counter before and after */
};

/* What is stored to the gate, and then stands in `reached`. */
enum bench_step {
    BENCH_START,
    BENCH_PREPARED, /* baseline and warm-up are behind: the monitor may change the machine under the row */
    BENCH_COUNTED,  /* several times in a row before the samples, so that what the gate itself adds to a count is known
                     */
    BENCH_READY = BENCH_COUNTED + 4, /* nothing but samples from here ... */
    BENCH_SAMPLED,                   /* ... to here */
};

/* A cache line for each writer. NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding) */
struct bench_page {
    /* The monitor's, const while the guest runs. */
    uint64_t magic;
    uint32_t row;       /* enum bench_row */
    uint32_t samples;   /* at most BENCH_SAMPLES_MAX; may be lowered while they are taken */
    uint32_t baselines; /* as many samples of the loop without the trap; at most BENCH_SAMPLES_MAX */
    uint32_t warm_up;   /* not recorded, before them */
    uint32_t batch;     /* repetitions between the two reads */
    uint32_t stride;    /* from one repetition to the next, added to the address */
    uint64_t address;   /* where the row's port or window is, as the monitor laid it out */
    uint64_t argument;  /* of the row: an interrupt's number, a delay in ticks */
    uint64_t gate;      /* address of a register, 4 bytes */
    /* The guest's. */
    _Alignas(64) uint64_t reached; /* enum bench_step */
    uint64_t is_unsupported;       /* 1: this processor lacks what the row needs; the guest ends there */
    uint64_t counter_hz;           /* as the guest knows it, 0: it does not */
    uint64_t counter_cost;         /* least of two reads one after the other, ticks */
    uint64_t progress;             /* samples so far */
    /* For rows in which the monitor acts. The guest asks for turn N; the monitor writes a stamp of its counter and N,
     * and acts. */
    _Alignas(64) uint64_t host_stamp, host_turn;
    _Alignas(64) uint64_t guest_turn;
};

/* Numbers are part of no file format; names are (result files carry them). */
/* clang-format off */
#define BENCH_ROWS(ROW)                                                                                               \
    ROW(nop) ROW(counter) ROW(msr_passthrough) ROW(load) ROW(eoi_spurious) /* controls: no exit */                    \
    ROW(cpuid) ROW(hypercall_null) ROW(msr_rd_k) ROW(msr_wr_tscdl) ROW(cr8) ROW(dr7_wr) ROW(wbinvd)                   \
    ROW(pio_in_kernel) ROW(pio_ioeventfd) ROW(mmio_ioeventfd) ROW(mmio_lapic) ROW(mmio_vgic) ROW(psci_version)        \
    ROW(sysreg_id) ROW(ipi_rtt) ROW(ipi_self) ROW(hlt_pending) ROW(hlt_wake_running) ROW(hlt_wake_polling)            \
    ROW(hlt_wake_descheduled) ROW(irqfd_running) ROW(irqfd_halted) ROW(timer_lat) ROW(first_touch_4k)                 \
    ROW(first_touch_2m) ROW(dirty_log_wp) ROW(pio_out_user) ROW(pio_in_user) ROW(pio_string_user)                     \
    ROW(mmio_rd_user) ROW(mmio_wr_user) ROW(msr_user) ROW(hlt_user) ROW(kick_user)                                    \
    ROW(never_exits) /* the last: for the test of the watchdog */
/* clang-format on */

enum bench_row {
#define BENCH_ROW_ENUM(name) BENCH_##name,
    BENCH_ROWS(BENCH_ROW_ENUM)
#undef BENCH_ROW_ENUM
        BENCH_ROW_COUNT
};

#endif
