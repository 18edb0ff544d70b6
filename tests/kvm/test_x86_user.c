/* A program at CPL 3 in a sandbox's vCPU: what it can do, and what it can't. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

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
        struct user_fault fault;
        user_rig_open(&r, faults[i].code, sizeof(faults[i].code));
        const enum user_event event = user_rig_run(&r);
        if (event == USER_FAULT) user_get_fault(r.user, &fault);
        /* KVM that emulates, as kvm_pvm does, has no INT n: what it can't do is undefined there. */
        const bool is_int = faults[i].code[0] == 0xcd && event == USER_FAULT && fault.signo == SIGILL;
        if (event == USER_FAULT && faults[i].signo == SIGBUS && fault.signo == SIGSEGV && !fault.access) fault.signo = SIGBUS;
        if (is_int) {
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_comes_with_its_arguments_and_takes_its_result),
        cmocka_unit_test(a_call_keeps_all_other_registers),
        cmocka_unit_test(what_a_processor_refuses_is_a_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
