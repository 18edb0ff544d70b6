/* A program at CPL 3 in a sandbox's vCPU: what it can do, and what it can't. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include <cmocka.h>

#include "tests/kvm/user_rig.h"
#include "tests/unit/unit.h"

#define CODE(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

static void a_call_comes_with_its_arguments_and_takes_its_result(void **state)
{
    (void)state;
    struct user_rig r;
    struct user_call call;
    /* mov $5, %eax; mov $1, %edi; mov $2, %esi; mov $3, %edx; mov $4, %r10d; mov $5, %r8d; mov $6, %r9d; syscall;
     * mov %rax, %rdi; mov $7, %eax; syscall */
    user_rig_open(&r, CODE(0xb8, 5, 0, 0, 0, 0xbf, 1, 0, 0, 0, 0xbe, 2, 0, 0, 0, 0xba, 3, 0, 0, 0, 0x41, 0xba, 4, 0, 0,
                           0, 0x41, 0xb8, 5, 0, 0, 0, 0x41, 0xb9, 6, 0, 0, 0, 0x0f, 0x05, 0x48, 0x89, 0xc7, 0xb8, 7, 0,
                           0, 0, 0x0f, 0x05));
    assert_int_equal(user_rig_run(&r), USER_CALL);
    user_get_call(r.user, &call);
    assert_int_equal(call.number, 5);
    for (unsigned i = 0; i < 6; i++) assert_int_equal(call.arg[i], i + 1);
    assert_int_equal(user_pc(r.user), RIG_CODE + 40);
    user_set_result(r.user, -22);
    assert_int_equal(user_rig_run(&r), USER_CALL);
    user_get_call(r.user, &call);
    assert_int_equal(call.number, 7);
    assert_true(call.arg[0] == (uint64_t)-22);
    user_rig_close(&r);
}

/* Every register but RAX, RCX and R11 comes through a call, flags and vector registers too. */
static void a_call_keeps_all_other_registers(void **state)
{
    (void)state;
    struct user_rig r;
    struct user_call call;
    /* mov $-1, %rbx; movq %rbx, %xmm3; push %rbx; stc; std; syscall; pushf; pop %rdi; cld; movq %xmm3, %rsi; mov %rbx,
     * %rdx; pop %r10; mov %rsp, %r8; syscall */
    user_rig_open(&r, CODE(0x48, 0xc7, 0xc3, 0xff, 0xff, 0xff, 0xff, 0x66, 0x48, 0x0f, 0x6e, 0xdb, 0x53, 0xf9, 0xfd,
                           0x0f, 0x05, 0x9c, 0x5f, 0xfc, 0x66, 0x48, 0x0f, 0x7e, 0xde, 0x48, 0x89, 0xda, 0x41, 0x5a,
                           0x49, 0x89, 0xe0, 0x0f, 0x05));
    assert_int_equal(user_rig_run(&r), USER_CALL);
    assert_int_equal(user_rig_run(&r), USER_CALL);
    user_get_call(r.user, &call);
    assert_int_equal(call.arg[0] & 0x401, 0x401);
    assert_true(call.arg[1] == UINT64_MAX && call.arg[2] == UINT64_MAX && call.arg[3] == UINT64_MAX);
    assert_true(call.arg[4] == RIG_STACK);
    user_rig_close(&r);
}

static const struct {
    const char *what;
    uint8_t code[16];
    int signo;
    unsigned access;
    uint64_t address;
} faults[] = {
    {"reads what is not mapped", {0x8b, 0x04, 0x25, 0x00, 0x00, 0x00, 0x10}, SIGSEGV, USER_READ, 0x10000000},
    {"writes what is not mapped", {0x89, 0x04, 0x25, 0x08, 0x00, 0x00, 0x00}, SIGSEGV, USER_WRITE, 8},
    {"writes to its code", {0x89, 0x04, 0x25, 0x00, 0x00, 0x40, 0x00}, SIGSEGV, USER_WRITE, RIG_CODE},
    {"runs its data", {0x68, 0x00, 0x00, 0x60, 0x00, 0xc3}, SIGSEGV, USER_EXEC, RIG_DATA},
    {"writes to the kernel's code",
     {0x48, 0xb8, 0x00, 0x00, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0x89, 0x00},
     SIGSEGV,
     USER_WRITE,
     USER_KERNEL_VA},
    {"reads the kernel's tables",
     {0x48, 0xb8, 0x00, 0x20, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0x8b, 0x00},
     SIGSEGV,
     USER_READ,
     USER_KERNEL_VA + 0x2000},
    {"divides by zero", {0x31, 0xc9, 0xf7, 0xf1}, SIGFPE, 0, RIG_CODE + 2},
    {"ud2", {0x0f, 0x0b}, SIGILL, 0, RIG_CODE},
    {"int3", {0xcc}, SIGTRAP, 0, 0},
    {"hlt", {0xf4}, SIGSEGV, 0, 0},
    {"cli", {0xfa}, SIGSEGV, 0, 0},
    {"out", {0xe6, 0x80}, SIGSEGV, 0, 0},
    {"out of the kernel's port", {0xe6, 0x10}, SIGSEGV, 0, 0},
    {"in", {0xe4, 0x80}, SIGSEGV, 0, 0},
    {"int 0x80", {0xcd, 0x80}, SIGSEGV, 0, 0},
    {"int 14", {0xcd, 0x0e}, SIGSEGV, 0, 0},
    {"mov to cr3", {0x0f, 0x22, 0xd8}, SIGSEGV, 0, 0},
    {"mov to dr7", {0x0f, 0x23, 0xf8}, SIGSEGV, 0, 0},
    {"wrmsr", {0x0f, 0x30}, SIGSEGV, 0, 0},
    {"rdmsr", {0x0f, 0x32}, SIGSEGV, 0, 0},
    {"xsetbv", {0x0f, 0x01, 0xd1}, SIGSEGV, 0, 0},
    {"jumps where no address is", {0x48, 0xb8, 0, 0, 0, 0, 0, 0x80, 0, 0, 0xff, 0xe0}, SIGSEGV, 0, 0},
    /* a stack fault; QEMU's emulation has a general protection fault there */
    {"a far stack", {0x48, 0xbc, 0, 0, 0, 0, 0, 0x90, 0, 0, 0x50}, SIGBUS, 0, 0},
    {"loads a selector of nothing", {0x66, 0xb8, 0xf8, 0xff, 0x8e, 0xd8}, SIGSEGV, 0, 0},
};

static void what_a_processor_refuses_is_a_fault(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        struct user_rig r;
        struct user_fault fault = {0};
        user_rig_open(&r, faults[i].code, sizeof(faults[i].code));
        const enum user_event event = user_rig_run(&r);
        if (event == USER_FAULT) user_get_fault(r.user, &fault);
        /* KVM that emulates, as kvm_pvm does, has no INT n: what it can't do is undefined there. */
        const bool is_int = faults[i].code[0] == 0xcd && event == USER_FAULT && fault.signo == SIGILL;
        /* QEMU's processor takes a general protection where others take a stack fault. */
        const bool is_stack = faults[i].signo == SIGBUS && event == USER_FAULT && fault.signo == SIGSEGV;
        if (is_int || is_stack) {
            user_rig_close(&r);
            continue;
        }
        if (event != USER_FAULT || fault.signo != faults[i].signo || fault.access != faults[i].access ||
            fault.address != faults[i].address)
            fail_msg("a program that %s: event %d, signal %d, access %u, address 0x%llx (%s)", faults[i].what,
                     (int)event, fault.signo, fault.access, (unsigned long long)fault.address, fault.what);
        user_rig_close(&r);
    }
}

/* Programs of more than a few instructions, assembled here. They run at RIG_CODE and refer to RIG_DATA (0x600000). */
__asm__(".pushsection .rodata\n"
        "float_x87: push $0x37b; fldcw (%rsp); fld1; fldz; fdivrp; fwait; ud2; float_x87_end:\n"
        "float_sse: push $0x1d80; ldmxcsr (%rsp); mov $1, %eax; cvtsi2ss %eax, %xmm0; xorps %xmm1, %xmm1\n"
        "  divss %xmm1, %xmm0; ud2; float_sse_end:\n"
        "trace: pushf; orl $0x100, (%rsp); popf; nop; ud2; trace_end:\n"
        "trace_call: pushf; orl $0x100, (%rsp); popf; syscall; nop; nop; ud2; trace_call_end:\n"
        "align: pushf; orl $0x40000, (%rsp); popf; mov -15(%rsp), %eax; ud2; align_end:\n"
        "tell: sgdt -32(%rsp); sidt -32(%rsp); sldt %eax; str %eax; smsw %eax; ud2; tell_end:\n"
        "counter: rdpmc; ud2; counter_end:\n"
        "nested: pushf; orl $0x4000, (%rsp); popf; iretq; nested_end:\n"
        "to_kernel: push $0x18; push %rsp; pushf; push $0x10; push $0x400000; iretq; to_kernel_end:\n"
        "far_local: push $7; push $0x400000; .byte 0x48, 0xff, 0x2c, 0x24 /* ljmp *(%rsp), 64 bits */; far_local_end:\n"
        "no_stack: xor %eax, %eax; mov %eax, %ss; no_stack_end:\n"
        "enter: sysenter; enter_end:\n"
        "forge: movabs $0x7fffffff00b0, %rax; jmp *%rax; forge_end:\n" /* the port of page faults */
        "nulls: xor %eax, %eax; mov %eax, %ds; mov %eax, %es; mov %eax, %fs; mov %eax, %gs; ud2; nulls_end:\n"
        "states: mov $0x2b, %eax; mov %eax, %ds; mov %eax, %es; mov %eax, %gs; push $0x5f80; ldmxcsr (%rsp)\n"
        "  push $0x77f; fldcw (%rsp); fldpi; fldl2e; xor %ecx, %ecx; xgetbv; mov %eax, %ebp\n"
        "  .irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
        "  mov $(0x1234567 * (\\n + 1)), %eax; movq %rax, %xmm\\n; pshufd $0x44, %xmm\\n, %xmm\\n\n"
        "  test $4, %ebp; jz 1f; vinsertf128 $1, %xmm\\n, %ymm\\n, %ymm\\n; 1:\n"
        "  .endr\n"
        "  .irp r,rbx,rsi,rdi,r8,r9,r10,r12,r13,r14,r15\n"
        "  inc %rdx; mov %rdx, %\\r; bswap %\\r\n"
        "  .endr\n"
        "  mov %ebp, %eax; mov $-1, %edx; xsave64 0x600000; std; stc; syscall\n"
        "  pushf; cld; mov %rax, 0x602000; mov %rbx, 0x602008; mov %rcx, 0x602010; mov %rdx, 0x602018\n"
        "  mov %rsi, 0x602020; mov %rdi, 0x602028; mov %rbp, 0x602030; mov %rsp, 0x602038; mov %r8, 0x602040\n"
        "  mov %r9, 0x602048; mov %r10, 0x602050; mov %r11, 0x602058; mov %r12, 0x602060; mov %r13, 0x602068\n"
        "  mov %r14, 0x602070; mov %r15, 0x602078; mov %ds, 0x602080; mov %es, 0x602084; mov %fs, 0x602088\n"
        "  mov %gs, 0x60208c; mov %fs:0, %rax; mov %rax, 0x602090; pop %rax; mov %rax, 0x602098\n"
        "  mov %ebp, %eax; mov $-1, %edx; xsave64 0x601000; syscall; states_end:\n"
        "spoil: fninit; fldz\n"
        "  .irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
        "  pcmpeqd %xmm\\n, %xmm\\n\n"
        "  .endr\n"
        "  xor %eax, %eax; mov %eax, %ds; mov %eax, %es; mov %eax, %gs; push $0x1f80; ldmxcsr (%rsp); syscall\n"
        "spoil_end: .popsection\n");

#define PROGRAM(name) extern const uint8_t name[], name##_end[]
PROGRAM(float_x87);
PROGRAM(float_sse);
PROGRAM(trace);
PROGRAM(trace_call);
PROGRAM(align);
PROGRAM(tell);
PROGRAM(counter);
PROGRAM(nested);
PROGRAM(to_kernel);
PROGRAM(far_local);
PROGRAM(no_stack);
PROGRAM(enter);
PROGRAM(forge);
PROGRAM(nulls);
PROGRAM(states);
PROGRAM(spoil);

/* `or_else`: a processor that is emulated, or another maker's, gives this signal. QEMU has no SSE exceptions, so that
 * the UD2 behind is reached; AMD's have no SYSENTER in 64-bit mode. */
static const struct {
    const char *what;
    const uint8_t *code, *end;
    int signo, code_of_signal, or_else;
} attempts[] = {
    {"divides by zero on the x87", float_x87, float_x87_end, SIGFPE, FPE_FLTDIV, 0},
    {"divides by zero by SSE", float_sse, float_sse_end, SIGFPE, FPE_FLTDIV, SIGILL},
    {"steps itself", trace, trace_end, SIGTRAP, TRAP_TRACE, 0},
    {"steps itself into a call", trace_call, trace_call_end, SIGTRAP, TRAP_TRACE, SIGILL},
    {"reads where it may not with EFLAGS.AC", align, align_end, SIGBUS, BUS_ADRALN, SIGILL}, /* QEMU reads */
    /* CR4.UMIP is off, as it is for Linux on older processors: the addresses are those of every sandbox. */
    {"asks where tables are", tell, tell_end, SIGILL, ILL_ILLOPN, 0},
    {"reads a performance counter", counter, counter_end, SIGSEGV, SI_KERNEL, 0},
    {"says IRETQ with NT", nested, nested_end, SIGSEGV, SI_KERNEL, 0},
    {"says IRETQ to CPL 0", to_kernel, to_kernel_end, SIGSEGV, SI_KERNEL, 0},
    {"jumps far into an LDT", far_local, far_local_end, SIGSEGV, SI_KERNEL, 0},
    {"loads SS with null", no_stack, no_stack_end, SIGSEGV, SI_KERNEL, 0},
    {"says SYSENTER", enter, enter_end, SIGSEGV, SI_KERNEL, SIGILL},
    {"jumps to a port of the kernel's", forge, forge_end, SIGSEGV, SI_KERNEL, 0},
    {"loads null selectors", nulls, nulls_end, SIGILL, ILL_ILLOPN, 0},
};

static struct user_fault fault_of(struct user_rig *r)
{
    struct user_fault fault = {0};
    enum user_event event;
    while ((event = user_rig_run(r)) == USER_CALL) user_set_result(r->user, 0);
    assert_int_equal(event, USER_FAULT);
    user_get_fault(r->user, &fault);
    return fault;
}

static void what_harms_a_kernel_is_a_signal_as_linux_gives_it(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
        struct user_rig r;
        user_rig_open(&r, attempts[i].code, (size_t)(attempts[i].end - attempts[i].code));
        const struct user_fault fault = fault_of(&r);
        user_rig_close(&r);
        if (attempts[i].or_else && fault.signo == attempts[i].or_else) continue;
        if (fault.signo != attempts[i].signo || fault.code != attempts[i].code_of_signal)
            fail_msg("a program that %s: signal %d, code %d, at 0x%llx (%s)", attempts[i].what, fault.signo, fault.code,
                     (unsigned long long)fault.pc, fault.what);
    }
}

/* A jump to the port of page faults, after a page fault: the frame of that must not be taken for this one's. What
 * prevents it is the TSS's map of ports. */
static void no_frame_of_an_earlier_exception_is_taken(void **state)
{
    (void)state;
    struct user_rig r;
    user_rig_open(&r, CODE(0x8b, 0x04, 0x25, 0x00, 0x00, 0x00, 0x10));
    assert_int_equal(fault_of(&r).pc, RIG_CODE);
    memcpy(user_rig_at(&r, RIG_CODE + 64), forge, (size_t)(forge_end - forge));
    assert_int_equal(user_begin(r.user, RIG_CODE + 64, RIG_STACK), 0);
    const struct user_fault fault = fault_of(&r);
    assert_true(fault.pc >= USER_KERNEL_VA);
    assert_int_equal(fault.signo, SIGSEGV);
    user_rig_close(&r);
}

#define XSAVE_HEADER_AT 512u /* XSTATE_BV may name a state that is as at reset, or not */
#define XSAVE_HEADER    64u

#define SELECTORS_AT 0x80u /* in what the program stores */
#define SELECTORS    16u

/* kvm_pvm lets a program load DS, ES, FS and GS and does not say so in KVM_GET_SREGS: there they can't be saved. */
static bool kvm_tells_selectors(struct user_rig *r)
{
    struct kvm_sregs s;
    assert_int_equal(ioctl(user_vcpu(r->user)->fd, KVM_GET_SREGS, &s), 0);
    return s.ds.selector == 0x2b;
}

/* What the program finds in its registers after its vCPU was spoiled and loaded is what it had put there. */
static void a_load_brings_every_register_back(void **state)
{
    (void)state;
    struct user_rig r;
    struct err e = {0};
    uint8_t expected[160];
    const uint64_t tls = RIG_DATA + 0x3000;
    const uint64_t secret = 0x1122334455667788;
    user_rig_open(&r, states, (size_t)(states_end - states));
    memcpy(user_rig_at(&r, tls), &secret, sizeof(secret));
    memcpy(user_rig_at(&r, RIG_CODE + 2048), spoil, (size_t)(spoil_end - spoil));
    struct user_state *s = user_state_create(r.user);
    assert_non_null(s);
    assert_int_equal(user_set_tls(r.user, tls), 0);
    assert_int_equal(user_rig_run(&r), USER_CALL);
    const bool has_selectors = kvm_tells_selectors(&r);
    if (!has_selectors) print_message("This KVM does not tell data selectors: they are not compared.\n");
    assert_int_equal(user_state_save(r.user, s, &e), 0);
    assert_int_equal(user_rig_run(&r), USER_CALL);
    memcpy(expected, user_rig_at(&r, RIG_DATA + 0x2000), sizeof(expected));
    memset(user_rig_at(&r, RIG_DATA + 0x1000), 0, 0x1000);
    memset(user_rig_at(&r, RIG_DATA + 0x2000), 0, sizeof(expected));

    assert_int_equal(user_begin(r.user, RIG_CODE + 2048, RIG_STACK - 4096), 0);
    assert_int_equal(user_set_tls(r.user, RIG_DATA), 0);
    assert_int_equal(user_rig_run(&r), USER_CALL);
    assert_int_equal(user_state_load(r.user, s, &e), 0);
    assert_int_equal(user_tls(r.user), tls);
    assert_int_equal(user_rig_run(&r), USER_CALL);
    if (!has_selectors) memcpy(user_rig_at(&r, RIG_DATA + 0x2000) + SELECTORS_AT, expected + SELECTORS_AT, SELECTORS);
    assert_memory_equal(user_rig_at(&r, RIG_DATA + 0x2000), expected, sizeof(expected));
    assert_memory_equal(expected + 0x90, &secret, sizeof(secret));
    const uint8_t *before = user_rig_at(&r, RIG_DATA), *after = user_rig_at(&r, RIG_DATA + 0x1000);
    assert_memory_equal(before, after, XSAVE_HEADER_AT);
    const size_t rest = XSAVE_HEADER_AT + XSAVE_HEADER;
    assert_memory_equal(before + rest, after + rest, 4096 - rest);
    user_state_destroy(s);
    user_rig_close(&r);
}

/* ---- signals ---- */

#define HANDLER  (RIG_CODE + 1024)
#define RESTORER (RIG_CODE + 1040)
#define FRAME_FLAGS                                                                                                    \
    (8u + 40u + 17u * 8u) /* of struct rt_sigframe, whose uc_mcontext comes behind 40 bytes of ucontext */
#define FRAME_CS (FRAME_FLAGS + 8u)
#define FRAME_FP (FRAME_FLAGS + 6u * 8u)
#define FP_MXCSR 24u
#define FP_NOTE  464u

/* A program that is in its handler, at its first call there; the frame's address. */
static uint64_t enter_handler(struct user_rig *r)
{
    /* mov $9, %ebx; movq %rbx, %xmm3; syscall; pushf; pop %rdi; mov %rbx, %rsi; movq %xmm3, %rdx; syscall */
    user_rig_open(r, CODE(0xbb, 9, 0, 0, 0, 0x66, 0x48, 0x0f, 0x6e, 0xdb, 0x0f, 0x05, 0x9c, 0x5f, 0x48, 0x89, 0xde,
                          0x66, 0x48, 0x0f, 0x7e, 0xda, 0x0f, 0x05));
    /* xor %ebx, %ebx; pxor %xmm3, %xmm3; ret; at the restorer: syscall */
    static const uint8_t handler[] = {0x31, 0xdb, 0x66, 0x0f, 0xef, 0xdb, 0xc3};
    memcpy(user_rig_at(r, HANDLER), handler, sizeof(handler));
    memcpy(user_rig_at(r, RESTORER), (const uint8_t[]){0x0f, 0x05}, 2);
    const struct user_mem mem = user_rig_mem(r);
    const struct user_signal signal = {.signo = SIGSEGV, .handler = HANDLER, .restorer = RESTORER, .blocked = 0x55};
    assert_int_equal(user_rig_run(r), USER_CALL);
    assert_int_equal(user_enter_signal(r->user, &mem, &signal), 0);
    assert_int_equal(user_rig_run(r), USER_CALL);
    assert_int_equal(user_pc(r->user), RESTORER + 2);
    return user_sp(r->user) - 8;
}

static uint64_t word_at(struct user_rig *r, uint64_t va)
{
    uint64_t value = 0;
    const struct user_mem mem = user_rig_mem(r);
    assert_int_equal(mem.read(mem.arg, va, &value, sizeof(value)), 0);
    return value;
}

static void put_at(struct user_rig *r, uint64_t va, uint64_t value)
{
    const struct user_mem mem = user_rig_mem(r);
    assert_int_equal(mem.write(mem.arg, va, &value, sizeof(value)), 0);
}

static void a_handler_returns_to_what_it_interrupted(void **state)
{
    (void)state;
    struct user_rig r;
    struct user_call call;
    uint64_t blocked = 0;
    const uint64_t frame = enter_handler(&r);
    const struct user_mem mem = user_rig_mem(&r);
    const uint64_t fp = word_at(&r, frame + FRAME_FP);
    const uint64_t note = word_at(&r, fp + FP_NOTE);
    assert_int_equal(fp % 64, 0);
    assert_int_equal(note & UINT32_MAX, 0x46505853);
    assert_int_equal(word_at(&r, fp + (note >> 32) - 4) & UINT32_MAX, 0x46505845);
    assert_in_range(RIG_STACK - frame, sizeof(uint64_t), user_signal_size());
    assert_int_equal(user_leave_signal(r.user, &mem, &blocked), 0);
    assert_int_equal(blocked, 0x55);
    assert_int_equal(user_rig_run(&r), USER_CALL);
    user_get_call(r.user, &call);
    assert_int_equal(call.arg[1], 9);
    assert_int_equal(call.arg[2], 9);
    user_rig_close(&r);
}

static void a_forged_frame_gives_no_privilege(void **state)
{
    (void)state;
    struct user_rig r;
    struct user_call call;
    uint64_t blocked;
    const uint64_t frame = enter_handler(&r);
    const struct user_mem mem = user_rig_mem(&r);
    put_at(&r, frame + FRAME_FLAGS, ~0ull & ~0x100ull); /* all but TF, which would trap */
    put_at(&r, frame + FRAME_CS, 0x0018000000000010);
    assert_int_equal(user_leave_signal(r.user, &mem, &blocked), 0);
    assert_int_equal(user_rig_run(&r), USER_CALL);
    user_get_call(r.user, &call);
    assert_int_equal(call.arg[0] & 0x1b3000, 0); /* RF, VM, VIF, VIP and IOPL */
    user_rig_close(&r);
}

static void a_frame_with_impossible_vector_registers_is_refused(void **state)
{
    (void)state;
    static const struct {
        uint64_t at, value;
    } forged[] = {{FP_MXCSR, UINT64_MAX}, {XSAVE_HEADER_AT, UINT64_MAX}, {XSAVE_HEADER_AT + 8, 1}};
    for (unsigned i = 0; i < sizeof(forged) / sizeof(forged[0]); i++) {
        struct user_rig r;
        uint64_t blocked;
        const uint64_t frame = enter_handler(&r);
        const struct user_mem mem = user_rig_mem(&r);
        put_at(&r, word_at(&r, frame + FRAME_FP) + forged[i].at, forged[i].value);
        assert_int_equal(user_leave_signal(r.user, &mem, &blocked), -EFAULT);
        put_at(&r, frame + FRAME_FP, USER_KERNEL_VA);
        assert_int_equal(user_leave_signal(r.user, &mem, &blocked), -EFAULT);
        user_rig_close(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_comes_with_its_arguments_and_takes_its_result),
        cmocka_unit_test(a_call_keeps_all_other_registers),
        cmocka_unit_test(what_a_processor_refuses_is_a_fault),
        cmocka_unit_test(what_harms_a_kernel_is_a_signal_as_linux_gives_it),
        cmocka_unit_test(no_frame_of_an_earlier_exception_is_taken),
        cmocka_unit_test(a_load_brings_every_register_back),
        cmocka_unit_test(a_handler_returns_to_what_it_interrupted),
        cmocka_unit_test(a_forged_frame_gives_no_privilege),
        cmocka_unit_test(a_frame_with_impossible_vector_registers_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
