/* A vCPU that runs one program at EL0, on arm64: arch/user.h says what that is.
 *
 * Every exception goes to a vector at EL1 (guest/sandbox/arm64.S), which puts the registers into a frame in memory and
 * leaves by a store to a page without a memory slot. So a call costs one KVM_RUN: the monitor reads and writes the
 * frame where it is mapped for it, and no register by a system call. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>

#include "arch/arm64/struct_user.h"
#include "arch/arm64/user_fp.h"
#include "arch/arm64/vcpu.h"

#define REG_SCTLR_EL1   ARM64_SYS_REG(3, 0, 1, 0, 0)
#define REG_CPACR_EL1   ARM64_SYS_REG(3, 0, 1, 0, 2)
#define REG_TTBR0_EL1   ARM64_SYS_REG(3, 0, 2, 0, 0)
#define REG_TCR_EL1     ARM64_SYS_REG(3, 0, 2, 0, 2)
#define REG_MAIR_EL1    ARM64_SYS_REG(3, 0, 10, 2, 0)
#define REG_VBAR_EL1    ARM64_SYS_REG(3, 0, 12, 0, 0)
#define REG_CNTKCTL_EL1 ARM64_SYS_REG(3, 0, 14, 1, 0)

/* Arm ARM, D19.2.118: RES1 bits 29 28 23 22 20 11, then what Linux gives EL0: UCI UCT DZE, SA SA0, I C M. Unlike there
 * WFE and WFI (nTWE, nTWI) come to EL1: no event and no interrupt would ever wake the vCPU. */
#define SCTLR 0x34d0d91dull
/* T0SZ 16, TTBR0 cached and shared, 4 KiB, no TTBR1 (EPD1), 16-bit ASID off, IPS of 40 bits. */
#define TCR           (16ull | 1ull << 8 | 1ull << 10 | 3ull << 12 | 1ull << 23 | 2ull << 32)
#define MAIR          0x04ffull    /* 0: normal, write-back; 1: device nGnRE */
#define CPACR         (3ull << 20) /* FP and SIMD at EL0 and EL1 */
#define CNTKCTL       2ull         /* EL0 reads CNTVCT */
#define PSTATE_EL1H   0x3c5ull     /* interrupts masked */
#define HWCAP_CPUID_  (1ul << 11)  /* reads of ID registers that Linux emulates: we do not */
#define HWCAP_OFFERED 0xffful      /* FP to CPUID: what KVM gives any guest; SVE and later take more state */

extern const uint8_t user_vectors_start[], user_vectors_end[], user_code_start[], user_code_end[];

const struct vm_cap user_caps[] = {
    {KVM_CAP_ONE_REG, "KVM_CAP_ONE_REG", "a program's first registers", true},
    {KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT", "calling a program out", true},
    {0, NULL, NULL, false},
};

uint64_t user_kernel_size(void)
{
    return USER_PAGES_END;
}

int user_get_reg(const struct user *u, uint64_t id, void *value)
{
    const struct kvm_one_reg arg = {.id = id, .addr = (uint64_t)(uintptr_t)value};
    return ioctl(u->vcpu.fd, KVM_GET_ONE_REG, &arg) < 0 ? -errno : 0;
}

int user_set_reg(const struct user *u, uint64_t id, const void *value)
{
    const struct kvm_one_reg arg = {.id = id, .addr = (uint64_t)(uintptr_t)value};
    return ioctl(u->vcpu.fd, KVM_SET_ONE_REG, &arg) < 0 ? -errno : 0;
}

static int init_registers(const struct user *u, uint64_t root_gpa, struct err *e)
{
    const struct {
        uint64_t id, value;
    } regs[] = {
        {REG_MAIR_EL1, MAIR},   {REG_TCR_EL1, TCR},         {REG_TTBR0_EL1, root_gpa},
        {REG_CPACR_EL1, CPACR}, {REG_CNTKCTL_EL1, CNTKCTL}, {REG_VBAR_EL1, USER_KERNEL_VA + USER_AT_VECTORS},
        {REG_SCTLR_EL1, SCTLR},
    };
    for (unsigned i = 0; i < sizeof(regs) / sizeof(regs[0]); i++) {
        const int rc = user_set_reg(u, regs[i].id, &regs[i].value);
        if (!rc) continue;
        err_set(e, rc, "KVM: register 0x%llx of a sandbox's vCPU: %s", (unsigned long long)regs[i].id,
                strerrordesc_np(-rc));
        err_as(e, ERR_HOST);
        return rc;
    }
    return 0;
}

int user_create(struct user **out, const struct user_params *p, struct err *e)
{
    struct user *u = calloc(1, sizeof(*u));
    if (!u) return err_set(e, -ENOMEM, "a sandbox's vCPU: no memory");
    u->vcpu = (struct vcpu)VCPU_INIT;
    u->kernel = p->kernel;
    memcpy(u->kernel + USER_AT_VECTORS, user_vectors_start, (size_t)(user_vectors_end - user_vectors_start));
    memcpy(u->kernel + USER_AT_CODE, user_code_start, (size_t)(user_code_end - user_code_start));
    int rc = vcpu_create(p->vm, 0, &u->vcpu, e);
    if (!rc) rc = vcpu_init(p->vm, &u->vcpu, true, e);
    if (!rc) rc = init_registers(u, p->root_gpa, e);
    if (rc) {
        user_destroy(u);
        return rc;
    }
    *out = u;
    return 0;
}

void user_destroy(struct user *u)
{
    if (!u) return;
    vcpu_destroy(&u->vcpu);
    free(u);
}

struct vcpu *user_vcpu(struct user *u)
{
    return &u->vcpu;
}

int user_begin(struct user *u, uint64_t pc, uint64_t sp)
{
    *user_frame(u) = (struct user_frame){.elr = pc, .sp = sp, .flush = 1};
    u->must_enter = true;
    u->is_out_by_kick = false;
    return user_set_fp(u, &(struct user_fp){0});
}

int user_begin_function(struct user *u, const struct user_mem *mem, uint64_t fn, uint64_t sp,
                        const uint64_t arg[USER_CALL_ARGS])
{
    struct user_frame *f = user_frame(u);
    (void)mem;
    memcpy(f->x, arg, USER_CALL_ARGS * sizeof(*arg));
    f->x[30] = USER_KERNEL_VA + USER_AT_CODE + USER_CODE_RETURN;
    f->sp = sp & ~15ull;
    f->elr = fn;
    f->spsr = 0;
    return 0;
}

/* ---- running ---- */

/* The vCPU stands before the way back, whatever it did before. */
static int enter(struct user *u)
{
    const uint64_t pc = USER_KERNEL_VA + USER_AT_VECTORS + USER_CODE_BACK, pstate = PSTATE_EL1H,
                   sp = USER_KERNEL_VA + USER_AT_FRAME;
    int rc = user_set_reg(u, VCPU_CORE_REG(regs.pc), &pc);
    if (!rc) rc = user_set_reg(u, VCPU_CORE_REG(regs.pstate), &pstate);
    if (!rc) rc = user_set_reg(u, VCPU_CORE_REG(sp_el1), &sp);
    u->must_enter = false;
    return rc;
}

static enum user_event broken(struct err *e, int rc, const char *what)
{
    err_set(e, rc, "%s", what);
    return USER_BROKEN;
}

#define EC_WAIT  0x01u /* WFE, WFI */
#define EC_SVC64 0x15u
#define A64_SIZE 4u

static enum user_event take_exit(struct user *u, struct err *e)
{
    const struct kvm_run *run = u->vcpu.run;
    struct user_frame *f = user_frame(u);
    if (run->exit_reason == KVM_EXIT_DIRTY_RING_FULL) {
        u->is_out_by_kick = true; /* in the midst of the program, as after a kick */
        return USER_RING_FULL;
    }
    if (run->exit_reason != KVM_EXIT_MMIO || run->mmio.phys_addr != USER_DEVICE_GPA) {
        err_set(e, -EIO, "KVM left the sandbox for a reason that can't be (exit reason %u)", run->exit_reason);
        return USER_BROKEN;
    }
    if (f->vector != VECTOR_SYNC_EL0) {
        err_set(e, -EIO, "the sandbox's own kernel met an exception (vector %llu, ESR 0x%llx) at 0x%llx",
                (unsigned long long)f->vector, (unsigned long long)f->esr, (unsigned long long)f->elr);
        return USER_BROKEN;
    }
    const unsigned class = f->esr >> 26 & 0x3f;
    if (class == EC_WAIT) { /* as if something had come: the architecture allows that at any time */
        f->elr += A64_SIZE;
        return USER_KICKED;
    }
    return class == EC_SVC64 ? USER_CALL : USER_FAULT;
}

enum user_event user_run(struct user *u, struct err *e)
{
    if (u->must_enter) {
        const int rc = enter(u);
        if (rc) return broken(e, rc, "KVM: the registers of the sandbox can't be set");
    }
    if (!u->is_out_by_kick) user_frame(u)->spsr &= PSTATE_FLAGS; /* EL0, AArch64, whatever was written there */
    u->is_out_by_kick = false;
    const int rc = vcpu_run(&u->vcpu);
    if (rc == -EINTR || rc == -EAGAIN) {
        __atomic_store_n(&u->vcpu.run->immediate_exit, 0, __ATOMIC_RELAXED);
        u->is_out_by_kick = true;
        return USER_KICKED;
    }
    if (rc) {
        err_set(e, rc, "KVM_RUN: %s", strerrordesc_np(-rc));
        return USER_BROKEN;
    }
    return take_exit(u, e);
}

void user_flush(struct user *u)
{
    user_frame(u)->flush = 1;
}

uint64_t user_hwcap(unsigned which)
{
    return which == AT_HWCAP ? getauxval(AT_HWCAP) & HWCAP_OFFERED & ~HWCAP_CPUID_ : 0;
}
