/* Benches on x86-64: docs/exit-latency.md has the specification of each row. */
#include "bench/arch/arch.h"

#include <cpuid.h>
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#define ROW(name) BENCH_##name, #name

/* What the host may add to a row's exits. */
#define ADDS_CALLS  "an exit by which it calls out a vCPU that spins"
#define ADDS_HALT   "a halt that ended before the interrupt was there"
#define ADDS_PAGE   "an exit for a page that it had to map again"
#define ADDS_SIGNAL "an exit for a signal of its own"
#define ADDS_WINDOW "an exit to let the interrupt in"

static const struct arch_bench_row rows[] = {
    {ROW(nop), BENCH_CONTROL, "NOP", .exits = 0},
    {ROW(counter), BENCH_CONTROL, "RDTSC", .exits = 0},
    {ROW(msr_passthrough), BENCH_CONTROL, "RDMSR of FS_BASE, which the guest has to itself", .exits = 0},
    {ROW(load), BENCH_CONTROL, "a load from memory that is mapped", .exits = 0},

    {ROW(cpuid), BENCH_KERNEL, "CPUID", .exits = 1},
    {ROW(hypercall_null), BENCH_KERNEL, "VMCALL or VMMCALL, unknown number", .exits = 1, .counter = "hypercalls"},
    {ROW(msr_rd_k), BENCH_KERNEL, "RDMSR of APIC_BASE", .exits = 1},
    {ROW(msr_wr_tscdl), BENCH_KERNEL, "WRMSR of TSC_DEADLINE, far ahead", .exits = 1},
    {ROW(cr8), BENCH_KERNEL, "MOV to CR8", .exits = 1},
    {ROW(dr7_wr), BENCH_KERNEL, "MOV to DR7", .exits = 1},
    {ROW(wbinvd), BENCH_KERNEL, "WBINVD", .exits = 1},
    {ROW(pio_in_kernel), BENCH_KERNEL, "IN from port 0x4d0, the kernel's PIC", .exits = 1,
     .irqchip = ARCH_IRQCHIP_KERNEL},
    {ROW(pio_ioeventfd), BENCH_KERNEL, "OUT to a port with an ioeventfd", .exits = 1},
    {ROW(mmio_ioeventfd), BENCH_KERNEL, "a store to an address with an ioeventfd", .exits = 1},
    {ROW(mmio_lapic), BENCH_KERNEL, "a load from the local APIC's window", .exits = 1, .more = 100,
     .adds = "an exit to try the load once more, where a page of its own is in the window's place"},
    {ROW(ipi_rtt), BENCH_KERNEL, "IPI to a running vCPU, until it was taken", .exits = 1, .more = 10,
     .adds = ADDS_CALLS, .has_second = true},
    {ROW(ipi_self), BENCH_KERNEL, "IPI to itself, until it was taken and ended", .exits = 2, .more = 50,
     .adds = ADDS_WINDOW},
    {ROW(hlt_pending), BENCH_KERNEL, "HLT with an interrupt pending", .exits = 1, .counter = "halt_exits"},
    {ROW(hlt_wake_running), BENCH_KERNEL, "IPI from the other vCPU to this one, running", .exits = -1,
     .has_second = true},
    {ROW(hlt_wake_polling), BENCH_KERNEL, "the same, halted and the host polling", .exits = 1, .more = 10,
     .adds = ADDS_HALT, .counter = "halt_successful_poll", .is_state = true, .has_second = true},
    {ROW(hlt_wake_descheduled), BENCH_KERNEL, "the same, halted and the host's thread asleep", .exits = 1, .more = 10,
     .adds = ADDS_HALT, .counter = "halt_wakeup", .is_state = true, .has_second = true},
    {ROW(irqfd_running), BENCH_KERNEL, "irqfd from another thread to a running vCPU", .exits = -1},
    {ROW(irqfd_halted), BENCH_KERNEL, "the same, to a halted one", .exits = 1, .more = 10, .adds = ADDS_HALT,
     .counter = "halt_exits"},
    {ROW(timer_lat), BENCH_KERNEL, "from a timer's deadline to its handler, halted", .exits = 1, .more = 10,
     .adds = ADDS_HALT, .counter = "halt_exits"},
    {ROW(first_touch_4k), BENCH_KERNEL, "first store to a 4 KiB page", .exits = 1, .more = 10, .adds = ADDS_PAGE},
    {ROW(first_touch_2m), BENCH_KERNEL, "first store to a 2 MiB page", .exits = 1, .more = 10, .adds = ADDS_PAGE},
    {ROW(dirty_log_wp), BENCH_KERNEL, "first store to a page once its writes are logged", .exits = 1, .more = 10,
     .adds = ADDS_PAGE},

    {ROW(pio_out_user), BENCH_USER, "OUT to a port of the monitor", .exits = 1, .class = RECORD_PORT_OUT,
     .counter = "io_exits"},
    {ROW(pio_in_user), BENCH_USER, "IN from a port of the monitor", .exits = 1, .class = RECORD_PORT_IN,
     .counter = "io_exits"},
    {ROW(pio_string_user), BENCH_USER, "REP INSB of 16 bytes", .exits = 1, .more = 100,
     .adds = "an exit with nothing left to move, where the instruction traps once more", .class = RECORD_PORT_IN,
     .counter = "io_exits"},
    {ROW(mmio_rd_user), BENCH_USER, "a load from a register of the monitor", .exits = 1, .class = RECORD_MMIO_READ,
     .counter = "mmio_exits"},
    {ROW(mmio_wr_user), BENCH_USER, "a store to a register of the monitor", .exits = 1, .class = RECORD_MMIO_WRITE,
     .counter = "mmio_exits"},
    {ROW(msr_user), BENCH_USER, "RDMSR that a filter hands to the monitor", .exits = 1, .class = RECORD_OTHER},
    {ROW(hlt_user), BENCH_USER, "HLT without a local APIC in the kernel", .exits = 1, .class = RECORD_HALT,
     .counter = "halt_exits", .irqchip = ARCH_IRQCHIP_NONE},
    {ROW(kick_user), BENCH_USER, "called out of KVM_RUN by another thread", .exits = 1, .more = 10, .adds = ADDS_SIGNAL,
     .class = RECORD_KICK, .counter = "signal_exits"},

    {ROW(never_exits), BENCH_USER, "spins for ever: what the watchdog is for", .exits = 0, .class = RECORD_OTHER},
};

const struct arch_bench_row *arch_bench_row(unsigned index)
{
    return index < sizeof(rows) / sizeof(rows[0]) ? &rows[index] : NULL;
}

const struct arch_bench_places arch_bench_places = {.port = 0x5000, .window = 0xd8000000};

/* ---- traps that are asked for ---- */

#define MSR_FILTERED 0x400000f0u /* as the guest has it */

/* The filter refuses this one MSR, and what it refuses comes to the monitor (api.rst 4.97, 7.21). */
static int fit_msr(const struct vm *vm, struct err *e)
{
    uint8_t none = 0; /* a bit of 0: refused */
    struct kvm_msr_filter filter = {
        .flags = KVM_MSR_FILTER_DEFAULT_ALLOW,
        .ranges = {{.flags = KVM_MSR_FILTER_READ, .nmsrs = 1, .base = MSR_FILTERED, .bitmap = &none}},
    };
    const int rc = vm_enable_cap(vm, KVM_CAP_X86_USER_SPACE_MSR, KVM_MSR_EXIT_REASON_FILTER, e);
    if (rc) return rc;
    if (ioctl(vm->fd, KVM_X86_SET_MSR_FILTER, &filter) < 0) return err_errno(e, "KVM: set the MSR filter");
    return 0;
}

int arch_bench_fit(enum bench_row row, const struct vm *vm, struct err *e)
{
    return row == BENCH_msr_user ? fit_msr(vm, e) : 0;
}

/* ---- the clock ---- */

void arch_bench_counter(struct counter *c)
{
    counter_init(c);
    if (!c->is_clock) return;
    c->is_clock = false;
    c->name = "TSC";
    c->origin_ticks = counter_read(c);
}

/* vcpu.rst, 4: the offset that is added to the host's counter for the guest. */
void arch_bench_share_clock(const struct vm *vm, const struct vcpu *vcpus, unsigned count)
{
    const uint64_t none = 0;
    const struct kvm_device_attr attr = {
        .group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET, .addr = (uint64_t)(uintptr_t)&none};
    (void)vm;
    for (unsigned i = 0; i < count; i++) (void)ioctl(vcpus[i].fd, KVM_SET_DEVICE_ATTR, &attr);
}

bool arch_bench_shares_clock(const struct vm *vm, const struct vcpu *vcpus, unsigned count)
{
    uint64_t offset = 0;
    const struct kvm_device_attr attr = {
        .group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET, .addr = (uint64_t)(uintptr_t)&offset};
    (void)vm;
    for (unsigned i = 0; i < count; i++)
        if (ioctl(vcpus[i].fd, KVM_GET_DEVICE_ATTR, &attr) < 0 || offset) return false;
    return true;
}

/* ---- the host ---- */

void arch_bench_host(struct arch_bench_host *out)
{
    unsigned a, b, c = 0, d, ext = 0;
    *out = (struct arch_bench_host){.nature = "bare"};
    __get_cpuid(1, &a, &b, &c, &d);
    __get_cpuid(0x80000001, &a, &b, &ext, &d);
    if (c >> 31) { /* SDM leaves the bit and the leaves from 0x40000000 on to hypervisors */
        __cpuid(0x40000000, a, b, ext, d);
        const unsigned name[] = {b, ext, d};
        memcpy(out->hypervisor, name, sizeof(name));
        out->nature = strncmp(out->hypervisor, "TCG", 3) == 0 ? "emulated" : "virtual";
        __get_cpuid(0x80000001, &a, &b, &ext, &d);
    }
    if (!(c & 1u << 5) && !(ext & 1u << 2)) out->nature = "pvm"; /* KVM works without VMX and SVM */
}
