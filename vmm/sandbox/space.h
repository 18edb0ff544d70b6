/* The memory of a sandboxed program: page frames, page tables, and what is mapped where.
 *
 * The VM has two slots: the frames at guest-physical 0, and the kernel's pages with the page tables. Every page that
 * the program has mapped has its frame at once, so no page fault of a well-behaved program leaves the guest; the host
 * gives memory as it is touched. Frames that are given are zero. What the program may still map is counted in frames:
 * beyond `memory` mmap and brk get -ENOMEM. A mapping without rights (PROT_NONE), as allocators reserve, takes no
 * frames until it gets some. Tables are counted apart: a sixteenth of the frames, and 512.
 *
 * A template is such a memory frozen: its frames and tables in a sealed memfd, its list of mappings a copy. Spaces made
 * from it map it privately, so that they share every page until they write to it. space_reset puts back what was
 * written since: pages that the guest wrote (KVM's dirty ring or log says which), pages that we wrote for it, and
 * tables and mappings that changed. Its cost follows the pages written.
 *
 * All functions: the thread that runs the sandbox; a frozen template: any thread. Addresses and lengths from the
 * program are checked here: each function takes any number. */
#ifndef VIREO_SANDBOX_SPACE_H
#define VIREO_SANDBOX_SPACE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "arch/user.h"
#include "vmm/base/err.h"
#include "vmm/kvm/kvm.h"

#define SPACE_PAGE       4096ull
#define SPACE_MEMORY_MIN (1ull << 20)
#define SPACE_MEMORY_MAX (32ull << 30) /* with its tables below USER_KERNEL_GPA */
#define SPACE_AREAS_MAX  65530         /* as Linux' vm.max_map_count: beyond it mmap gets -ENOMEM */

struct space;
struct space_template;

/* memory: bytes that the program can have mapped with rights, whole pages. ERR_HOST. */
int space_create(struct space **out, uint64_t memory, struct err *e);
int space_create_from(struct space **out, const struct space_template *t, struct err *e);
void space_destroy(struct space *s); /* after the VM; NULL is legal */

/* Give the VM its slots: the frames' with a dirty log when `tracks` is asked (vm: the ring or the log is enabled by
 * this, before vCPUs are made), and the kernel's. The kernel's pages are at space_kernel(). */
int space_attach(struct space *s, struct vm *vm, bool tracks, struct err *e);
int space_attach_vcpu(struct space *s, struct vcpu *v, struct err *e); /* its dirty ring is mapped */
uint8_t *space_kernel(struct space *s);
uint64_t space_root(const struct space *s); /* gpa of the top table, with the kernel's pages mapped */

/* ---- what the program asks for; prot: USER_READ | USER_WRITE | USER_EXEC; results: an address, 0, or -errno ---- */

enum { SPACE_FIXED = 1, SPACE_NO_REPLACE = 2, SPACE_GROWS_DOWN = 4, SPACE_PINNED = 8 /* stays: no munmap, mprotect */ };
/* Zero pages. hint 0 or not free: a place of ours, from above downwards, as Linux does; never within a guard of the
 * stack. -EINVAL, -ENOMEM, -EEXIST. */
int64_t space_map(struct space *s, uint64_t hint, uint64_t len, unsigned prot, unsigned flags);
int space_unmap(struct space *s, uint64_t va, uint64_t len);
int space_protect(struct space *s, uint64_t va, uint64_t len, unsigned prot);
int64_t space_remap(struct space *s, uint64_t va, uint64_t old_len, uint64_t new_len, bool may_move, uint64_t fixed);
int space_forget(struct space *s, uint64_t va, uint64_t len); /* MADV_DONTNEED: zero again */
/* Is [va, va+len) all mapped, with prot at least? For mincore, msync, faults (SEGV_MAPERR or SEGV_ACCERR). */
bool space_is_mapped(const struct space *s, uint64_t va, uint64_t len, unsigned prot);
/* The program break, from where the program's image ends. Returns the break as it is now, moved or not, as Linux. */
uint64_t space_brk(struct space *s, uint64_t wanted);
void space_set_brk(struct space *s, uint64_t start);
/* The mapping that grows down ends at top and may have max bytes. A fault at va below it: it grows. true: try again. */
void space_set_stack(struct space *s, uint64_t top, uint64_t max);
bool space_grow(struct space *s, uint64_t va);

/* Something was taken away since the last call: user_flush before the program goes on. */
bool space_wants_flush(struct space *s);

struct space_area {
    uint64_t start, end;
    unsigned prot, flags;
};
bool space_area(const struct space *s, unsigned index, struct space_area *out); /* in order; false past the end */

/* Host memory that the program sees at an address of ours, shared with the host; bytes, whole pages; it stays the
 * caller's and outlives the space. Of a slot of its own: vm is the one attached to. Not part of templates; a reset
 * leaves it where it is. */
int64_t space_share(struct space *s, struct vm *vm, void *host, uint64_t len, bool is_writable, struct err *e);

/* ---- bytes ---- */

/* All or nothing, with the program's own rights (a write to a read-only page is -EFAULT); not with `force`, for the
 * loader. Pages that are written are noted for the reset. 0 or -EFAULT. */
int space_read(const struct space *s, uint64_t va, void *buf, uint64_t len);
int space_write(struct space *s, uint64_t va, const void *buf, uint64_t len);
int space_write_any(struct space *s, uint64_t va, const void *buf, uint64_t len);
/* A string with its end, of at most size bytes: its length, -EFAULT or -ENAMETOOLONG. */
int space_read_string(const struct space *s, uint64_t va, char *buf, uint64_t size);
/* [va, va+len) as pieces of host memory for readv and writev; access USER_READ or USER_WRITE, then noted as written.
 * At most `max` pieces: *done says how many bytes they cover. The program can change what is there meanwhile: never
 * read twice. How many, or -EFAULT when the first byte is not there. */
int space_pieces(struct space *s, uint64_t va, uint64_t len, unsigned access, struct iovec *iov, unsigned max,
                 uint64_t *done);
void space_wrote(struct space *s, uint64_t va, uint64_t len); /* by pieces that were asked for without USER_WRITE */
struct user_mem space_mem(struct space *s);                   /* for arch/user.h */

/* ---- figures ---- */

struct space_use {
    uint64_t mapped; /* bytes with a frame now */
    uint64_t peak;
    uint64_t tables; /* bytes of page tables */
    uint64_t limit;  /* what mapped can become */
    uint64_t stack;  /* what the stack can become */
};
void space_use(const struct space *s, struct space_use *out);

/* ---- templates, clones, resets ---- */

/* Freeze: copy what is used into a sealed memfd, without memory shared with the host. s stays as it is. */
int space_template_create(struct space_template **out, struct space *s, struct err *e);
void space_template_destroy(struct space_template *t); /* after its spaces */
/* A hash of all of it (64 bits, for tests and for a check that it never changes). */
uint64_t space_template_hash(const struct space_template *t);
/* A full copy for fork(2): memory and mappings as they are now, but for memory shared with the host. Both have the one
 * limit of memory together: -ENOMEM beyond it. s, or what it is a copy of, outlives the copy. */
int space_copy(struct space **out, struct space *s, struct err *e);
/* A copy's program is over: its memory is the others' again. Nothing but space_destroy follows. */
void space_give_up(struct space *s);
/* Take what the dirty ring has (USER_RING_FULL, and before a reset). */
int space_collect(struct space *s, struct vm *vm);
/* Back to the template that s was made from; *pages: how many were put back. Where an entry lost something,
 * space_wants_flush() says so. -errno: the space is not usable any more. */
int space_reset(struct space *s, struct vm *vm, uint64_t *pages);

#endif
