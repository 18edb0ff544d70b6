/* Benches on arm64: docs/exit-latency.md has the specification of each row. WFI halts here, and gives rows their names.
 */
#include "bench/arch/arch.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#define ROW(name) BENCH_##name, #name

/* What the host may add to a row's exits. */
#define ADDS_CALLS  "an exit by which it calls out a vCPU that spins"
#define ADDS_HALT   "a halt that ended before the interrupt was there"
#define ADDS_PAGE   "an exit for a page that it had to map again"
#define ADDS_SIGNAL "an exit for a signal of its own"

/* KVM has a statistic for each kind of exit; "exits" counts all, those for the host's interrupts included. */
static const struct arch_bench_row rows[] = {
    {ROW(nop), BENCH_CONTROL, "NOP", .exits = 0},
    {ROW(counter), BENCH_CONTROL, "MRS of CNTVCT_EL0", .exits = 0},
    {ROW(load), BENCH_CONTROL, "a load from memory that is mapped", .exits = 0},
    {ROW(eoi_spurious), BENCH_CONTROL, "end of interrupt 1023, which is none", .exits = 0},

    {ROW(hypercall_null), BENCH_KERNEL, "HVC, unknown function", .exits = 1, .counter = "hvc_exit_stat"},
    {ROW(psci_version), BENCH_KERNEL, "HVC, PSCI_VERSION", .exits = 1, .counter = "hvc_exit_stat"},
    {ROW(sysreg_id), BENCH_KERNEL, "MRS of ID_AA64PFR0_EL1", .exits = 1},
    {ROW(mmio_vgic), BENCH_KERNEL, "a load from the GIC's distributor", .exits = 1, .counter = "mmio_exit_kernel"},
    {ROW(mmio_ioeventfd), BENCH_KERNEL, "a store to an address with an ioeventfd", .exits = 1,
     .counter = "mmio_exit_kernel"},
    {ROW(ipi_rtt), BENCH_KERNEL, "SGI to a running vCPU, until it was taken", .exits = 1, .more = 10,
     .adds = ADDS_CALLS, .has_second = true},
    {BENCH_hlt_pending, "wfi_pending", BENCH_KERNEL, "WFI with an interrupt pending", .exits = -1},
    {BENCH_hlt_wake_running, "wfi_wake_running", BENCH_KERNEL, "SGI from the other vCPU to this one, running",
     .exits = -1, .has_second = true},
    {BENCH_hlt_wake_polling, "wfi_wake_polling", BENCH_KERNEL, "the same, halted and the host polling", .exits = 1,
     .more = 10, .adds = ADDS_HALT, .counter = "halt_successful_poll", .is_state = true, .has_second = true},
    {BENCH_hlt_wake_descheduled, "wfi_wake_descheduled", BENCH_KERNEL, "the same, halted and the host's thread asleep",
     .exits = 1, .more = 10, .adds = ADDS_HALT, .counter = "halt_wakeup", .is_state = true, .has_second = true},
    {ROW(irqfd_running), BENCH_KERNEL, "irqfd from another thread to a running vCPU", .exits = -1},
    {ROW(irqfd_halted), BENCH_KERNEL, "the same, to a halted one", .exits = 1, .more = 10, .adds = ADDS_HALT,
     .counter = "wfi_exit_stat"},
    {ROW(timer_lat), BENCH_KERNEL, "from the virtual timer's deadline to its handler, halted", .exits = 1, .more = 10,
     .adds = ADDS_HALT, .counter = "wfi_exit_stat"},
    {ROW(first_touch_4k), BENCH_KERNEL, "first store to a 4 KiB page", .exits = 1, .more = 10, .adds = ADDS_PAGE},
    {ROW(first_touch_2m), BENCH_KERNEL, "first store to a 2 MiB page", .exits = 1, .more = 10, .adds = ADDS_PAGE},
    {ROW(dirty_log_wp), BENCH_KERNEL, "first store to a page once its writes are logged", .exits = 1, .more = 10,
     .adds = ADDS_PAGE},

    {ROW(mmio_rd_user), BENCH_USER, "a load from a register of the monitor", .exits = 1, .class = RECORD_MMIO_READ,
     .counter = "mmio_exit_user"},
    {ROW(mmio_wr_user), BENCH_USER, "a store to a register of the monitor", .exits = 1, .class = RECORD_MMIO_WRITE,
     .counter = "mmio_exit_user"},
    {ROW(kick_user), BENCH_USER, "called out of KVM_RUN by another thread", .exits = 1, .more = 10, .adds = ADDS_SIGNAL,
     .class = RECORD_KICK, .counter = "signal_exits"},

    {ROW(never_exits), BENCH_USER, "spins for ever: what the watchdog is for", .exits = 0, .class = RECORD_OTHER},
};

const struct arch_bench_row *arch_bench_row(unsigned index)
{
    return index < sizeof(rows) / sizeof(rows[0]) ? &rows[index] : NULL;
}

const struct arch_bench_places arch_bench_places = {.port = 0, .window = 0x0b100000}; /* behind the stolen time */

int arch_bench_fit(enum bench_row row, const struct vm *vm, struct err *e)
{
    (void)row, (void)vm, (void)e;
    return 0;
}

/* ---- the clock ---- */

void arch_bench_counter(struct counter *c)
{
    counter_init(c);
}

/* Linux 6.4 and later (api.rst 4.139), declared here for older headers: the guest's counter is the host's less this. */
struct counter_offset {
    uint64_t offset, reserved;
};
#ifndef KVM_ARM_SET_COUNTER_OFFSET
#define KVM_ARM_SET_COUNTER_OFFSET _IOW(KVMIO, 0xb5, struct counter_offset)
#define KVM_CAP_COUNTER_OFFSET     227
#endif

#define SETTING_TRIES 50 /* the quickest of so many tries was not interrupted */

/* Older kernels only let the guest's counter be set to a value, and the host's counter goes on until KVM does that. Add
 * half of the call's duration, so that the error is half of it at most. That is good enough for rows that compare
 * stamps of guest and host; the legs use an estimate with a bound (join.c). */
static void set_counter(const struct vcpu *v)
{
    const struct counter c = {0};
    uint64_t value, least = UINT64_MAX;
    const struct kvm_one_reg reg = {.id = KVM_REG_ARM_TIMER_CNT, .addr = (uint64_t)(uintptr_t)&value};
    for (unsigned i = 0; i < SETTING_TRIES && ioctl(v->fd, KVM_GET_ONE_REG, &reg) == 0; i++) {
        const uint64_t before = counter_read(&c);
        value = before + (least < UINT64_MAX ? least / 2 : 0);
        if (ioctl(v->fd, KVM_SET_ONE_REG, &reg) < 0) return;
        const uint64_t took = counter_read(&c) - before;
        if (took < least)
            least = took;
        else if (took - least < least / 8 && i > SETTING_TRIES / 2)
            return; /* as quick as the quickest */
    }
}

/* The counters of all vCPUs go together. */
void arch_bench_share_clock(const struct vm *vm, const struct vcpu *vcpus, unsigned count)
{
    const struct counter_offset none = {0};
    if (ioctl(vm->fd, KVM_ARM_SET_COUNTER_OFFSET, &none) < 0 && count > 0) set_counter(&vcpus[0]);
}

/* KVM refuses to set an offset while vCPUs run, so one that was set stays. */
bool arch_bench_shares_clock(const struct vm *vm, const struct vcpu *vcpus, unsigned count)
{
    (void)vcpus, (void)count;
    return vm_check(vm, KVM_CAP_COUNTER_OFFSET) > 0;
}

/* ---- the host ---- */

/* The rate of QEMU's own timer (GTIMER_SCALE). A virtual machine on hardware shows the host's rate instead. */
#define TCG_COUNTER_HZ 62500000.0

/* An Arm processor doesn't say that it is virtual, but the firmware's name of the board does. */
void arch_bench_host(struct arch_bench_host *out)
{
    static const char *const names[] = {"/sys/firmware/devicetree/base/compatible", "/sys/class/dmi/id/sys_vendor"};
    struct counter c;
    char line[64] = "";
    *out = (struct arch_bench_host){.nature = "bare"};
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]) && !line[0]; i++) {
        FILE *f = fopen(names[i], "re");
        if (f && !fgets(line, sizeof(line), f)) line[0] = '\0';
        if (f) (void)fclose(f);
    }
    if (strncmp(line, "linux,dummy-virt", 16) != 0 && strncmp(line, "QEMU", 4) != 0) return;
    counter_init(&c);
    out->nature = counter_hz(&c) == TCG_COUNTER_HZ ? "emulated" : "virtual";
    (void)snprintf(out->hypervisor, sizeof(out->hypervisor), "QEMU");
}
