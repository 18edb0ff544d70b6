/* A vCPU that runs one program at CPL 3, on x86-64: arch/user.h says what that is.
 *
 * System calls come by SYSCALL, exceptions by an IDT whose every gate has a stack of its own (IST), both end in an OUT.
 * The program's registers are in kvm_run by then (KVM_CAP_SYNC_REGS), so a call costs one KVM_RUN and no other ioctl.
 * On the way back the monitor writes a frame and lets the IRETQ behind it run: one way for every host. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "arch/x86/cpuid.h"
#include "arch/x86/struct_user.h"
#include "arch/x86/user_layout.h"
#include "arch/x86/vcpu.h"

#define CODE_KERNEL 0x10u /* selectors, the same as Linux has */
#define DATA_KERNEL 0x18u
#define DATA_USER   0x2bu
#define CODE_USER   0x33u
#define TASK        0x40u

#define GDT_AT   0u
#define GDT_SIZE 0x50u
#define TSS_AT   0x100u
#define TSS_SIZE 0x68u
#define TSS_MAP  16u /* bytes behind it: the I/O permissions of ports 0 to 127 (SDM vol. 1, 19.5.2) */
#define TSS_IST1 0x24u
#define GATE_IST 1u

#define FLAGS_1    0x2ull
#define FLAGS_TF   0x100ull
#define FLAGS_IF   0x200ull
#define FLAGS_USER 0x244dd5ull /* CF PF AF ZF SF TF DF OF NT AC ID */
#define FLAGS_MASK 0x47700ull  /* what SYSCALL clears: TF IF DF NT AC */

#define MSR_STAR    0xc0000081u
#define MSR_LSTAR   0xc0000082u
#define MSR_SFMASK  0xc0000084u
#define MSR_FS_BASE 0xc0000100u

#define CR0             0x80050033ull /* PE MP ET NE WP AM PG */
#define CR3_PWT         0x8ull
#define CR4_PAE         0x20ull
#define CR4_OSFXSR      0x200ull
#define CR4_OSXMMEXCPT  0x400ull
#define CR4_OSXSAVE     0x40000ull
#define EFER            0xd01ull /* SCE LME LMA NXE */
#define XCR0_OFFERED    0xe7ull  /* x87 SSE AVX AVX-512: AMX takes a permission, and PKRU a bit of CR4 */
#define CANONICAL_END   0x800000000000ull
#define ACCESS_RIGHTS_L 0x2u

extern const uint8_t user_code_start[], user_code_end[];

const struct vm_cap user_caps[] = {
    {KVM_CAP_SYNC_REGS, "KVM_CAP_SYNC_REGS", "a program's registers without a system call", true},
    {KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT", "calling a program out", true},
    {0, NULL, NULL, false},
};

uint64_t user_kernel_size(void)
{
    return USER_PAGES_END;
}

uint64_t user_safe_flags(uint64_t flags)
{
    return (flags & FLAGS_USER) | FLAGS_1 | FLAGS_IF;
}

static void put64(uint8_t *at, uint64_t value)
{
    memcpy(at, &value, sizeof(value));
}

/* A gate of the IDT (SDM vol. 3, 6.14.1). INT3 and INTO may be said by the program. */
static void put_gate(uint8_t *idt, unsigned vector)
{
    const uint64_t to = USER_KERNEL_VA + USER_AT_CODE + USER_CODE_VECTORS + (uint64_t)vector * USER_VECTOR_SIZE;
    const uint64_t dpl = vector == 3 || vector == 4 ? 3 : 0;
    put64(idt + (size_t)vector * 16, (to & 0xffff) | CODE_KERNEL << 16 | (uint64_t)GATE_IST << 32 |
                                         (0x8e + dpl * 0x20) << 40 | (to >> 16 & 0xffff) << 48);
    put64(idt + (size_t)vector * 16 + 8, to >> 32);
}

static void fill_kernel(uint8_t *kernel)
{
    static const uint64_t gdt[] = {
        [CODE_KERNEL / 8] = 0x00af9b000000ffff,
        [DATA_KERNEL / 8] = 0x00cf93000000ffff,
        [DATA_USER / 8] = 0x00cff3000000ffff,
        [CODE_USER / 8] = 0x00affb000000ffff,
    };
    const uint64_t tss = USER_KERNEL_VA + USER_AT_TABLES + TSS_AT;
    uint8_t *tables = kernel + USER_AT_TABLES;
    memcpy(kernel + USER_AT_CODE, user_code_start, (size_t)(user_code_end - user_code_start));
    memcpy(tables + GDT_AT, gdt, sizeof(gdt));
    put64(tables + GDT_AT + TASK,
          (TSS_SIZE + TSS_MAP - 1) | (tss & 0xffffff) << 16 | 0x8bull << 40 | (tss >> 24 & 0xff) << 56);
    put64(tables + GDT_AT + TASK + 8, tss >> 32);
    put64(tables + TSS_AT + TSS_IST1, USER_KERNEL_VA + USER_AT_STACK + 4096);
    tables[TSS_AT + 0x66] = TSS_SIZE;
    /* One port, that of system calls: where SYSCALL does not leave CPL 3, its OUT is checked. */
    memset(tables + TSS_AT + TSS_SIZE, 0xff, TSS_MAP);
    tables[TSS_AT + TSS_SIZE + USER_PORT_CALL / 8] &= (uint8_t) ~(1u << USER_PORT_CALL % 8);
    for (unsigned vector = 0; vector < USER_VECTORS; vector++) put_gate(kernel + USER_AT_IDT, vector);
}

static int set_msrs(const struct vcpu *v, const struct kvm_msr_entry *entry, uint32_t count)
{
    union {
        struct kvm_msrs head;
        uint8_t room[sizeof(struct kvm_msrs) + 4 * sizeof(*entry)];
    } msrs = {.room = {0}};
    msrs.head.nmsrs = count;
    memcpy(msrs.head.entries, entry, count * sizeof(*entry));
    const int n = ioctl(v->fd, KVM_SET_MSRS, &msrs);
    return n < 0 ? -errno : (uint32_t)n == count ? 0 : -EIO;
}

static int host_error(struct err *e, int rc, const char *what)
{
    err_set(e, rc, "KVM: %s of a sandbox's vCPU: %s", what, strerrordesc_np(-rc));
    err_as(e, ERR_HOST);
    return rc;
}

/* The features are the host's, but for what takes a local APIC. */
static int init_features(struct user *u, const struct vm *vm, struct err *e)
{
    const struct cpuid_facts facts = {.cpus = 1, .has_no_apic = true};
    union cpuid_table t;
    int rc = cpuid_read_supported(vm->kvm_fd, &t, e);
    if (rc) return rc;
    cpuid_shape(&t, &facts);
    cpuid_set_id(&t, 0);
    if (ioctl(u->vcpu.fd, KVM_SET_CPUID2, &t)) return host_error(e, -errno, "CPUID");
    u->xcr0 = cpuid_xcr0(&t) & XCR0_OFFERED;
    u->xsave_size = user_xsave_size(vm);
    u->used_size = cpuid_xsave_size(&t, u->xcr0);
    if (u->used_size > u->xsave_size) return host_error(e, -EOVERFLOW, "the size of XSAVE");
    return u->xcr0 ? vcpu_init_xcr0(&u->vcpu, u->xcr0, e) : 0;
}

static struct kvm_segment segment(unsigned selector, unsigned type, bool is_code)
{
    return (struct kvm_segment){.limit = 0xffffffff,
                                .selector = (uint16_t)selector,
                                .type = (uint8_t)type,
                                .present = 1,
                                .dpl = 3,
                                .s = 1,
                                .g = 1,
                                .l = is_code,
                                .db = !is_code};
}

/* Segments as the program has them; null ones are loaded as Linux leaves them. */
static int init_sregs(struct user *u, uint64_t root_gpa, bool has_xsave, struct err *e)
{
    const struct kvm_segment none = {.selector = 0, .type = 3, .dpl = 3, .s = 1, .unusable = 1};
    struct kvm_sregs *s = &u->sregs;
    if (ioctl(u->vcpu.fd, KVM_GET_SREGS, s)) return host_error(e, -errno, "registers");
    s->cs = segment(CODE_USER, 11, true);
    s->ss = segment(DATA_USER, 3, false);
    s->ds = s->es = s->fs = s->gs = none;
    s->tr = (struct kvm_segment){.base = USER_KERNEL_VA + USER_AT_TABLES + TSS_AT,
                                 .limit = TSS_SIZE + TSS_MAP - 1,
                                 .selector = TASK,
                                 .type = 11,
                                 .present = 1};
    s->ldt = (struct kvm_segment){.type = 2, .unusable = 1};
    s->gdt.base = USER_KERNEL_VA + USER_AT_TABLES + GDT_AT;
    s->gdt.limit = GDT_SIZE - 1;
    s->idt.base = USER_KERNEL_VA + USER_AT_IDT;
    s->idt.limit = USER_VECTORS * 16 - 1;
    s->cr0 = CR0;
    s->cr3 = root_gpa;
    s->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | (has_xsave ? CR4_OSXSAVE : 0);
    s->efer = EFER;
    if (ioctl(u->vcpu.fd, KVM_SET_SREGS, s)) return host_error(e, -errno, "registers");
    return 0;
}

static int init_calls(const struct vcpu *v, struct err *e)
{
    const struct kvm_msr_entry entry[] = {
        {.index = MSR_STAR, .data = (uint64_t)CODE_KERNEL << 32},
        {.index = MSR_LSTAR, .data = USER_KERNEL_VA + USER_AT_CODE + USER_CODE_CALL},
        {.index = MSR_SFMASK, .data = FLAGS_MASK},
    };
    const int rc = set_msrs(v, entry, sizeof(entry) / sizeof(entry[0]));
    return rc ? host_error(e, rc, "the MSRs of SYSCALL") : 0;
}

int user_create(struct user **out, const struct user_params *p, struct err *e)
{
    struct user *u = calloc(1, sizeof(*u));
    if (!u) return err_set(e, -ENOMEM, "a sandbox's vCPU: no memory");
    u->vcpu = (struct vcpu)VCPU_INIT;
    u->kernel = p->kernel;
    u->vector = -1;
    fill_kernel(u->kernel);
    int rc = vcpu_create(p->vm, 0, &u->vcpu, e);
    if (!rc) rc = init_features(u, p->vm, e);
    if (!rc) rc = init_sregs(u, p->root_gpa, u->xcr0 != 0, e);
    if (!rc) rc = init_calls(&u->vcpu, e);
    if (rc) {
        user_destroy(u);
        return rc;
    }
    u->vcpu.run->kvm_valid_regs = KVM_SYNC_X86_REGS;
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
    if (ioctl(u->vcpu.fd, KVM_SET_SREGS, &u->sregs)) return -errno;
    *user_gp(u) = (struct kvm_regs){0};
    u->way = (struct user_way){.pc = pc, .sp = sp, .flags = user_safe_flags(0)};
    u->vector = -1;
    u->is_out_by_kick = false;
    return 0;
}

int user_begin_function(struct user *u, const struct user_mem *mem, uint64_t fn, uint64_t sp,
                        const uint64_t arg[USER_CALL_ARGS])
{
    const uint64_t back = USER_KERNEL_VA + USER_AT_CODE + USER_CODE_RETURN;
    struct kvm_regs *gp = user_gp(u);
    sp = (sp & ~15ull) - sizeof(back);
    if (mem->write(mem->arg, sp, &back, sizeof(back))) return -EFAULT;
    gp->rdi = arg[0];
    gp->rsi = arg[1];
    gp->rdx = arg[2];
    gp->rcx = arg[3];
    gp->r8 = arg[4];
    gp->r9 = arg[5];
    gp->rax = 0; /* no vector registers hold arguments, as a variadic function asks */
    u->way = (struct user_way){.pc = fn, .sp = sp, .flags = user_safe_flags(0)};
    u->vector = -1;
    u->is_out_by_kick = false;
    return 0;
}

/* ---- running ---- */

/* The frame that IRETQ takes: the program goes on as `way` says, whatever was there. */
static void write_frame(struct user *u)
{
    const uint64_t frame[] = {u->way.pc, CODE_USER, user_safe_flags(u->way.flags), u->way.sp, DATA_USER};
    struct kvm_regs *gp = user_gp(u);
    memcpy(u->kernel + USER_AT_FRAME, frame, sizeof(frame));
    gp->rip = USER_KERNEL_VA + USER_AT_CODE + USER_CODE_BACK;
    gp->rsp = USER_KERNEL_VA + USER_AT_FRAME;
    /* Also where it runs at CPL 3: without TF, which would trap behind the IRETQ's own fetch. */
    gp->rflags = FLAGS_1;
    user_gp_changed(u);
}

/* A write of CR3 that changes something has KVM forget all translations: kvm_mmu_reset_context, and a flush as the root
 * is loaded again. */
static int flush_now(struct user *u)
{
    struct kvm_sregs s;
    if (ioctl(u->vcpu.fd, KVM_GET_SREGS, &s)) return -errno;
    s.cr3 ^= CR3_PWT;
    u->sregs.cr3 = s.cr3;
    u->must_flush = false;
    return ioctl(u->vcpu.fd, KVM_SET_SREGS, &s) ? -errno : 0;
}

/* At the port of an exception the processor has pushed what it displaced, and an error code for some. */
static bool has_error_code(unsigned vector)
{
    return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 ||
           vector == 30;
}

static enum user_event take_exception(struct user *u, unsigned vector, struct err *e)
{
    uint64_t frame[6] = {0};
    const unsigned words = has_error_code(vector) ? 6 : 5;
    memcpy(frame + 6 - words, u->kernel + USER_AT_STACK + 4096 - words * sizeof(frame[0]), words * sizeof(frame[0]));
    u->way = (struct user_way){.pc = frame[1], .flags = frame[3], .sp = frame[4]};
    u->error_code = frame[0];
    u->vector = (int)vector;
    if ((frame[2] & 3) == 3) return USER_FAULT;
    err_set(e, -EIO, "the sandbox's own kernel met exception %u at 0x%llx", vector, (unsigned long long)frame[1]);
    return USER_BROKEN;
}

/* What the program left by that was neither: at CPL 3 a processor refuses it. RIP is the instruction's, or where KVM
 * has skipped it, the next one's. */
static enum user_event take_forged(struct user *u)
{
    const struct kvm_regs *gp = user_gp(u);
    u->way = (struct user_way){.pc = gp->rip, .flags = gp->rflags, .sp = gp->rsp};
    u->is_forged = true;
    return USER_FAULT;
}

static enum user_event take_out(struct user *u, struct err *e)
{
    const struct kvm_run *run = u->vcpu.run;
    const struct kvm_regs *gp = user_gp(u);
    const uint64_t at = gp->rip - (USER_KERNEL_VA + USER_AT_CODE); /* of OUT, or behind it: 2 bytes */
    const unsigned port = run->io.port;
    if (run->io.direction != KVM_EXIT_IO_OUT || at >= 4096) return take_forged(u);
    if (port == USER_PORT_CALL && at <= USER_CODE_CALL + 2) {
        u->way = (struct user_way){.pc = gp->rcx, .flags = gp->r11, .sp = gp->rsp};
        return USER_CALL;
    }
    if (port >= USER_PORT_VECTOR && port < USER_PORT_VECTOR + USER_VECTORS)
        return take_exception(u, port - USER_PORT_VECTOR, e);
    return take_forged(u);
}

static enum user_event broken(struct err *e, int rc, const char *what)
{
    err_set(e, rc, "%s", what);
    return USER_BROKEN;
}

static enum user_event take_exit(struct user *u, struct err *e)
{
    const struct kvm_run *run = u->vcpu.run;
    switch (run->exit_reason) {
    case KVM_EXIT_IO: return take_out(u, e);
    case KVM_EXIT_HLT: return take_forged(u);
    case KVM_EXIT_DIRTY_RING_FULL: /* in the midst of the program, as after a kick */
        u->is_out_by_kick = true;
        return USER_RING_FULL;
    case KVM_EXIT_INTERNAL_ERROR: /* an instruction that KVM ought to emulate and can't */
        if (run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION && user_gp(u)->rip < CANONICAL_END) {
            u->vector = 6;
            const enum user_event event = take_forged(u);
            u->is_forged = false;
            return event;
        }
        return broken(e, -EIO, "KVM could not run the sandbox (KVM_EXIT_INTERNAL_ERROR)");
    case KVM_EXIT_SHUTDOWN:
        return broken(e, -EIO, "the sandbox's kernel met an exception it could not take (triple fault)");
    default:
        err_set(e, -EIO, "KVM left the sandbox for a reason that can't be (exit reason %u)", run->exit_reason);
        return USER_BROKEN;
    }
}

enum user_event user_run(struct user *u, struct err *e)
{
    u->vector = -1;
    u->is_forged = false;
    if (u->way.pc >= CANONICAL_END) { /* IRETQ would refuse it in the kernel's name */
        u->is_forged = true;
        return USER_FAULT;
    }
    if (!u->is_out_by_kick) write_frame(u);
    u->is_out_by_kick = false;
    if (u->must_flush) {
        const int rc = flush_now(u);
        if (rc) return broken(e, rc, "KVM: the registers of the sandbox can't be set");
    }
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
