/* A vCPU that runs one program at user privilege, without a guest kernel worth the name.
 *
 * The sandbox's VM has two memory slots. The program's holds its pages. The kernel's has the page tables, which only
 * the monitor writes, and a few pages at USER_KERNEL_GPA with all that runs at the processor's privileged level
 * (guest/sandbox): an entry for system calls, one for each exception, and the way back to the program. None of them
 * decides anything: each leaves the guest, and the monitor puts the program's registers as they shall be and lets it go
 * on.
 *
 *      program             kernel's page             monitor
 *      syscall / svc  ->   entry: exit        ->     user_run returns USER_CALL
 *                     <-   back: iretq, eret  <-     user_set_result, user_run
 *
 * Page tables are a radix tree of four levels with 512 entries of 8 bytes each on both architectures; only an entry's
 * bits differ, and those are here. Accessed and dirty bits are set from the start, so that the processor never writes
 * to a table. Where KVM shadows the tables, as it does without nested paging, it does not see what the monitor writes
 * to them: an entry that takes something away (unmap, fewer rights, another page) counts only after the host's mapping
 * of the page it named was invalidated (madvise DONTNEED, or mprotect there and back) and user_flush was called. Adding
 * to what was not present needs neither.
 *
 * All functions: the thread that runs the sandbox. What the guest left in registers and in the kernel's pages is read
 * once and checked. */
#ifndef VIREO_ARCH_USER_H
#define VIREO_ARCH_USER_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/err.h"
#include "vmm/kvm/kvm.h"

/* The program may use [USER_MIN, USER_END). Linux refuses to map below 64 KiB by default (vm.mmap_min_addr), so that a
 * null pointer with an offset faults. The kernel's pages lie at USER_KERNEL_VA, above; the program can't write there.
 */
#define USER_MIN        0x10000ull
#define USER_END        0x7ffff0000000ull
#define USER_KERNEL_VA  0x7fffffff0000ull
#define USER_KERNEL_GPA 0x1000000000ull /* 64 GiB: above the memory of any sandbox (SPACE_MEMORY_MAX) */
#define USER_KERNEL_MAX 0x10000ull      /* bytes at most; user_kernel_size() says how many */

/* ---- entries of the page tables ---- */

enum { USER_READ = 1, USER_WRITE = 2, USER_EXEC = 4 };

#define USER_TABLE_ENTRIES 512
#define USER_TABLE_LEVELS  4 /* 12 bits of offset and 4 times 9: 48 bits, of which the upper half is not used */

uint64_t user_table_entry(uint64_t table_gpa);              /* an entry that points to the next table */
uint64_t user_page_entry(uint64_t page_gpa, unsigned prot); /* prot: of USER_*, 0: not present, the gpa kept */
uint64_t user_kernel_entry(uint64_t page_gpa, uint64_t va); /* a kernel page's, as its place in the kernel wants */
bool user_entry_is_present(uint64_t entry);
uint64_t user_entry_gpa(uint64_t entry);
unsigned user_entry_prot(uint64_t entry);

/* ---- the vCPU ---- */

struct user; /* one vCPU and its kernel's pages */

uint64_t user_kernel_size(void); /* bytes, whole pages: what the kernel's slot takes, mapped 1:1 from USER_KERNEL_VA */
/* What the VM needs of KVM; ends with a NULL name: vm_check_caps. */
extern const struct vm_cap user_caps[];

struct user_params {
    struct vm *vm;     /* made, its memory slots mapped (the kernel's without a dirty log), no vCPU yet */
    uint8_t *kernel;   /* the host's mapping of the kernel's slot, zeroed; filled here; outlives the user */
    uint64_t root_gpa; /* of the top page table */
};
/* One vCPU, ready for user_begin. The processor's features are the host's, as KVM has them. ERR_HOST. */
int user_create(struct user **out, const struct user_params *p, struct err *e);
void user_destroy(struct user *u);      /* NULL and half built are legal; before the VM */
struct vcpu *user_vcpu(struct user *u); /* for kicks and the dirty ring; u's */

/* The program starts anew at pc with stack sp: all other registers zero, as execve(2) leaves them. */
int user_begin(struct user *u, uint64_t pc, uint64_t sp);
/* A call as the architecture's C ABI has it: fn(arg[0], ...) on stack sp, which it aligns and changes; returns to code
 * of the kernel's that makes the system call USER_CALL_RETURN with the function's result as its first argument. All
 * other registers keep what they had. -EFAULT: sp is not mapped (x86: the return address goes there; by write). */
#define USER_CALL_ARGS   6
#define USER_CALL_RETURN 0x76720001u /* no system call of Linux */
#define USER_CALL_HOST   0x76720002u /* vireo_guest.h's: a call of a function of the host's */
struct user_mem { /* how the arch reaches the program's memory: by address of the program's, all or nothing, -EFAULT */
    int (*read)(void *arg, uint64_t va, void *buf, uint64_t len);
    int (*write)(void *arg, uint64_t va, const void *buf, uint64_t len);
    void *arg;
};
int user_begin_function(struct user *u, const struct user_mem *mem, uint64_t fn, uint64_t sp,
                        const uint64_t arg[USER_CALL_ARGS]);

enum user_event {
    USER_CALL,      /* a system call: user_get_call */
    USER_FAULT,     /* the program did what the processor refuses: user_get_fault */
    USER_KICKED,    /* called out: the vCPU's immediate_exit was set, or a signal came */
    USER_RING_FULL, /* the dirty ring wants to be emptied */
    USER_BROKEN,    /* KVM can't run it, or the kernel's own code faulted; *e is filled */
};
/* Run until something happens. `left_ticks`, unless NULL: the counter as KVM_RUN returned (for the recorder). */
enum user_event user_run(struct user *u, struct err *e);

struct user_call {
    uint64_t number; /* the architecture's own: __NR_* of the host, which is of the same architecture */
    uint64_t arg[6];
};
void user_get_call(struct user *u, struct user_call *out);
void user_set_result(struct user *u, int64_t result); /* or -errno, in the register where the program looks for it */
/* The call is made again when the program goes on: for one that was interrupted by a kick and shall go on waiting. */
void user_repeat_call(struct user *u);

struct user_fault {
    int signo, code;  /* as Linux tells the program: SIGSEGV and SEGV_MAPERR, ... (MAPERR: space.h decides which) */
    uint64_t address; /* si_addr */
    uint64_t pc;
    unsigned access; /* USER_READ, USER_WRITE or USER_EXEC of a memory fault; else 0 */
    char what[48];   /* "page fault", "divide error", "undefined instruction": for the sentence */
};
void user_get_fault(struct user *u, struct user_fault *out);

uint64_t user_pc(struct user *u); /* of the program, while it is out of the guest */
uint64_t user_sp(struct user *u);
int user_set_tls(struct user *u, uint64_t address); /* x86: FS base (ARCH_SET_FS); arm64: TPIDR_EL0 */
uint64_t user_tls(struct user *u);

/* AT_HWCAP and AT_HWCAP2 (which) of the auxiliary vector: what the program may use. */
uint64_t user_hwcap(unsigned which);
/* The architecture by its names: the ELF's number and what uname -m says. */
struct user_machine {
    uint16_t number;
    const char *name;
};
const struct user_machine *user_machine(void);
bool user_clone_has_tid_first(void); /* clone(2): the child's tid comes before the TLS among its arguments */
uint64_t user_signal_size(void);     /* the most bytes that a signal's frame takes: AT_MINSIGSTKSZ */

/* After a kick: the program's registers become such that a signal's handler can be entered. false: it is on its way in
 * or out, or has a fault to take first; let it run on. */
bool user_settle(struct user *u);
void user_set_sp(struct user *u, uint64_t sp);

void user_flush(struct user *u); /* before the next instruction no translation is remembered */

/* ---- signals: the frame that the program's handler finds, as the kernel's ABI has it ---- */

struct user_signal {
    int signo, code;
    uint64_t address;           /* si_addr */
    uint64_t handler, restorer; /* restorer 0: arm64, where the kernel's page has one */
    uint64_t flags;             /* sa_flags: SA_SIGINFO, SA_ONSTACK, ... */
    uint64_t blocked;           /* the mask to be restored */
    uint64_t stack, stack_size; /* sigaltstack to be used; 0: where sp is */
};
/* Go on in the handler, with what was there saved on its stack (FPU too). -EFAULT: the stack does not take it. */
int user_enter_signal(struct user *u, const struct user_mem *mem, const struct user_signal *s);
/* rt_sigreturn: back to what the frame says, which the program may have written itself: privileges are never taken
 * from it. -EFAULT: no frame there. */
int user_leave_signal(struct user *u, const struct user_mem *mem, uint64_t *blocked);

/* ---- everything that a program can change in the processor ---- */

/* All of it: general, system, floating-point and vector registers (XSAVE of any size), debug registers, MSRs or
 * arm64's system registers, pending events. Of one process: not a file format. */
struct user_state;
struct user_state *user_state_create(const struct user *u); /* NULL: no memory */
void user_state_destroy(struct user_state *s);
int user_state_save(struct user *u, struct user_state *s, struct err *e); /* between two runs */
/* u may be another vCPU than the saved one, made with the same kind of VM. -errno: the vCPU is not usable any more. */
int user_state_load(struct user *u, const struct user_state *s, struct err *e);

#endif
