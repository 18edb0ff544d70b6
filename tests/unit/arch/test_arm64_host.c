/* The arm64 machine on hosts that offer less, or fail at any step: KVM is a table here, since its ioctl is ours. */
#include "tests/unit/unit.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "arch/arm64/layout.h"
#include "arch/arm64/struct_arch.h"
#include "arch/arm64/vcpu.h"
#include "vmm/base/endian.h"

#define RAM_SIZE  (2ull << 20)
#define MAX_STEPS 200 /* ioctls of one set-up: some forty */
#define MMFR0     ARM64_SYS_REG(3, 0, 0, 7, 0)
#define MPIDR     ARM64_SYS_REG(3, 0, 0, 0, 5)

static struct {
    bool has_v3, has_v2;
    int ipa_bits;     /* 0: KVM does not say */
    long lacks;       /* a capability */
    unsigned calls;   /* ioctls so far */
    unsigned fail_at; /* the ioctl that fails; 0: none */
    uint64_t entry, dtb;
    unsigned powered_off;
} kvm;

static int create_device(struct kvm_create_device *d)
{
    if (d->type != (kvm.has_v3 ? KVM_DEV_TYPE_ARM_VGIC_V3 : KVM_DEV_TYPE_ARM_VGIC_V2) || !(kvm.has_v3 || kvm.has_v2)) {
        errno = ENODEV;
        return -1;
    }
    if (!(d->flags & KVM_CREATE_DEVICE_TEST)) d->fd = (uint32_t)eventfd(0, EFD_CLOEXEC);
    return 0;
}

static int get_reg(const struct kvm_one_reg *r)
{
    uint64_t *out = (uint64_t *)(uintptr_t)r->addr;
    *out = r->id == MMFR0 ? 0x1124 : 0; /* a Cortex-A57's: 4 and 64 KiB pages */
    return 0;
}

static int set_reg(const struct kvm_one_reg *r)
{
    const uint64_t value = *(const uint64_t *)(uintptr_t)r->addr;
    if (r->id == VCPU_CORE_REG(regs.pc)) kvm.entry = value;
    if (r->id == VCPU_CORE_REG(regs.regs[0])) kvm.dtb = value;
    return 0;
}

static int check(long cap)
{
    if (cap == kvm.lacks) return 0;
    return cap == KVM_CAP_ARM_VM_IPA_SIZE ? kvm.ipa_bits : 1;
}

int ioctl(int fd, unsigned long request, ...)
{
    va_list ap;
    va_start(ap, request);
    void *arg = va_arg(ap, void *);
    va_end(ap);
    (void)fd;
    if (++kvm.calls == kvm.fail_at) {
        errno = ENXIO;
        return -1;
    }
    switch (request) {
    case KVM_CHECK_EXTENSION: return check((long)(uintptr_t)arg);
    case KVM_CREATE_DEVICE: return create_device(arg);
    case KVM_GET_ONE_REG: return get_reg(arg);
    case KVM_SET_ONE_REG: return set_reg(arg);
    case KVM_ARM_PREFERRED_TARGET: memset(arg, 0, sizeof(struct kvm_vcpu_init)); return 0;
    case KVM_ARM_VCPU_INIT:
        kvm.powered_off += ((struct kvm_vcpu_init *)arg)->features[0] >> KVM_ARM_VCPU_POWER_OFF & 1;
        return 0;
    default: return 0;
    }
}

static int setup(void **state)
{
    (void)state;
    memset(&kvm, 0, sizeof(kvm));
    kvm.has_v3 = true;
    return 0;
}

static void no_end(void *arg, enum end_reason reason, uint32_t value, const char *detail)
{
    (void)arg, (void)reason, (void)value, (void)detail;
}

static void no_mark(void *arg, uint32_t value)
{
    (void)arg, (void)value;
}

/* All of a machine's set-up but what is neutral, then its end. */
static int build(unsigned cpus, struct err *e)
{
    static const uint32_t kernel[] = {0x14000000};
    struct vm vm = VM_INIT;
    struct vcpu vcpu[ARM64_MAX_VCPUS];
    struct gmem mem;
    struct bus mmio, pio;
    struct chario *console = NULL;
    struct arch *a = NULL;
    const struct chario_params off = {.kind = CHARIO_OFF, .in_fd = -1, .out_fd = -1};
    const struct arch_boot boot = {.kernel = {.data = kernel, .size = sizeof(kernel)}, .cmdline = ""};
    gmem_init(&mem);
    bus_init(&mmio);
    bus_init(&pio);
    assert_int_equal(gmem_add_ram(&mem, ARM64_RAM_BASE, RAM_SIZE, NULL), 0);
    gmem_freeze(&mem);
    assert_int_equal(chario_create(&console, &off, NULL), 0);
    for (unsigned i = 0; i < cpus; i++) vcpu[i] = (struct vcpu){.fd = -1, .id = i};
    const struct arch_params p = {.vm = &vm,
                                  .mem = &mem,
                                  .mmio = &mmio,
                                  .pio = &pio,
                                  .console = console,
                                  .sink = {.fn = no_end, .mark = no_mark},
                                  .cpus = cpus};
    int rc = arch_create(&a, &p, e);
    if (!rc) rc = arch_init_vcpus(a, vcpu, cpus, e);
    if (!rc) rc = arch_load(a, &boot, e);
    arch_destroy(a);
    chario_destroy(console);
    gmem_fini(&mem);
    return rc;
}

static unsigned open_fds(void)
{
    unsigned count = 0;
    DIR *d = opendir("/proc/self/fd");
    assert_non_null(d);
    while (readdir(d)) count++;
    closedir(d);
    return count;
}

static void first_vcpu_starts_at_the_kernel_and_the_others_wait(void **state)
{
    (void)state;
    struct err e = {0};
    if (build(3, &e)) fail_msg("%s", e.text);
    assert_int_equal(kvm.entry, ARM64_RAM_BASE + 0x80000);
    assert_in_range(kvm.dtb, ARM64_RAM_BASE, ARM64_RAM_BASE + RAM_SIZE - 8);
    assert_int_equal(kvm.powered_off, 2);
}

static void every_step_that_fails_is_told_and_leaves_nothing_behind(void **state)
{
    (void)state;
    struct err e = {0};
    assert_int_equal(build(2, &e), 0);
    const unsigned steps = kvm.calls, fds = open_fds();
    assert_in_range(steps, 20, MAX_STEPS);
    unsigned failed = 0;
    for (unsigned i = 1; i <= steps; i++) {
        setup(NULL);
        kvm.fail_at = i;
        e = (struct err){0};
        const int rc = build(2, &e);
        assert_int_equal(open_fds(), fds);
        if (rc == 0) continue; /* an optional part: the machine does without */
        failed++;
        assert_int_equal(e.code, rc);
        assert_true(e.text[0] != '\0');
    }
    assert_in_range(failed, steps - 5, steps);
}

static void gicv2_is_taken_where_there_is_no_gicv3(void **state)
{
    (void)state;
    struct err e = {0};
    kvm.has_v3 = false;
    kvm.has_v2 = true;
    if (build(ARM64_GICV2_CPUS, &e)) fail_msg("%s", e.text);
}

static void too_many_vcpus_for_a_gicv2_are_refused(void **state)
{
    (void)state;
    struct err e = {0};
    kvm.has_v3 = false;
    kvm.has_v2 = true;
    assert_int_equal(build(ARM64_GICV2_CPUS + 1, &e), -EINVAL);
    assert_int_equal(e.kind, ERR_CONFIG);
    assert_string_equal(e.text, "cpus 9: this host's interrupt controller is a GICv2, which serves at most 8; "
                                "use --cpus 8, or a host with a GICv3");
}

static void host_without_a_gic_is_refused(void **state)
{
    (void)state;
    struct err e = {0};
    kvm.has_v3 = false;
    assert_int_equal(build(1, &e), -ENOTSUP);
    assert_int_equal(e.kind, ERR_HOST);
    assert_contains(e.text, "neither a GICv3 nor a GICv2");
}

static void machine_does_without_stolen_time(void **state)
{
    (void)state;
    struct err e = {0};
    kvm.lacks = KVM_CAP_STEAL_TIME;
    if (build(2, &e)) fail_msg("%s", e.text);
}

static void vm_type_follows_host_and_memory(void **state)
{
    (void)state;
    static const struct {
        int host_bits; /* 0: KVM does not say */
        uint64_t top;
        unsigned long type; /* KVM_VM_TYPE_ARM_IPA_SIZE, or 0 for the default of 40 */
    } rows[] = {
        {0, 1ull << 40, 0},   {44, 2ull << 30, 0},  {48, 1ull << 40, 0},  {48, (1ull << 40) + 4096, 41},
        {48, 1ull << 48, 48}, {36, 2ull << 30, 36}, {36, 1ull << 36, 36},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct err e = {0};
        unsigned long type = 99;
        kvm.ipa_bits = rows[i].host_bits;
        assert_int_equal(arch_vm_type(-1, rows[i].top, &type, &e), 0);
        assert_int_equal(type, rows[i].type);
    }
}

static void memory_beyond_the_hosts_addresses_is_refused(void **state)
{
    (void)state;
    static const struct {
        int host_bits;
        uint64_t top;
        const char *sentence;
    } rows[] = {
        {0, (1ull << 40) + 4096,
         "memory 1047552M: this host's guests have 40 address bits, enough for 1047552M; "
         "ask for less"},
        {36, 1ull << 37, "memory 130048M: this host's guests have 36 address bits, enough for 64512M; ask for less"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct err e = {0};
        unsigned long type = 99;
        kvm.ipa_bits = rows[i].host_bits;
        assert_int_equal(arch_vm_type(-1, rows[i].top, &type, &e), -E2BIG);
        assert_int_equal(e.kind, ERR_HOST);
        assert_string_equal(e.text, rows[i].sentence);
        assert_int_equal(type, 99);
    }
}

static void errors_are_explained_with_their_reason_and_place(void **state)
{
    (void)state;
    static struct kvm_run runs[] = {
        {.exit_reason = KVM_EXIT_ARM_NISV, .arm_nisv = {.esr_iss = 0x44, .fault_ipa = 0x9000000}},
        {.exit_reason = KVM_EXIT_FAIL_ENTRY, .fail_entry = {.hardware_entry_failure_reason = 7}},
        {.exit_reason = KVM_EXIT_INTERNAL_ERROR, .internal = {.suberror = 3}},
        {.exit_reason = KVM_EXIT_SYSTEM_EVENT, .system_event = {.type = 99}},
        {.exit_reason = 1234},
    };
    static const struct {
        struct kvm_run *run;
        int run_errno;
        const char *sentence;
    } rows[] = {
        {&runs[0], 0, "the guest touched device address 0x9000000 with an instruction the processor does not describe"},
        {&runs[1], 0, "the processor refused to enter the guest, reason 0x7"},
        {&runs[2], 0, "KVM internal error 3"},
        {&runs[3], 0, "KVM system event 99 is unknown"},
        {&runs[4], 0, "KVM exit reason 1234 is unknown"},
        {&runs[4], ENOSYS, "it must use plain loads and stores there"},
        {&runs[4], EFAULT, "KVM could not reach guest memory"},
        {&runs[4], EIO, "Input/output error"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct vcpu v = {.fd = -1, .id = 2, .run = rows[i].run};
        char text[END_DETAIL_MAX], brief[8];
        arch_explain_error(NULL, &v, rows[i].run_errno, text, sizeof(text));
        assert_contains(text, rows[i].sentence);
        assert_contains(text, "(vCPU 2 at pc 0x0; its last exception: ESR_EL1 0x0, FAR_EL1 0x0)");
        arch_explain_error(NULL, &v, rows[i].run_errno, brief, sizeof(brief));
        assert_int_equal(strlen(brief), sizeof(brief) - 1);
    }
}

#define HOST(promise) cmocka_unit_test_setup(promise, setup)
UNIT_MAIN(HOST(first_vcpu_starts_at_the_kernel_and_the_others_wait),
          HOST(every_step_that_fails_is_told_and_leaves_nothing_behind), HOST(gicv2_is_taken_where_there_is_no_gicv3),
          HOST(too_many_vcpus_for_a_gicv2_are_refused), HOST(host_without_a_gic_is_refused),
          HOST(machine_does_without_stolen_time), HOST(vm_type_follows_host_and_memory),
          HOST(memory_beyond_the_hosts_addresses_is_refused), HOST(errors_are_explained_with_their_reason_and_place))
