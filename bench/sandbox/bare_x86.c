/* 64-bit user code: selectors with privilege level 3, IOPL 3, and 2 MiB pages that the user may use. */
#include <errno.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "bench/sandbox/bare.h"

#define CODE   0x200000ull /* the second page of 2 MiB */
#define TABLES 0x10000ull  /* PML4, PDPT, PD; 4 KiB each */
#define ENTRY  0x7ull      /* present, writable, user (SDM vol. 3, 4.5) */
#define LARGE  0x80ull
#define STACK  0x300000ull
#define FLAGS  0x3002ull /* IOPL 3 */

const uint8_t bare_code[] = {0xe6, 0x10, 0xeb, 0xfc}; /* out %al, $0x10; jmp back */
const size_t bare_code_size = sizeof(bare_code), bare_code_at = CODE;

static void put(uint8_t *memory, uint64_t at, uint64_t value)
{
    memcpy(memory + at, &value, sizeof(value));
}

void bare_fill(uint8_t *memory)
{
    put(memory, TABLES, (TABLES + 0x1000) | ENTRY);
    put(memory, TABLES + 0x1000, (TABLES + 0x2000) | ENTRY);
    for (uint64_t i = 0; i < BARE_MEMORY >> 21; i++) put(memory, TABLES + 0x2000 + 8 * i, i << 21 | ENTRY | LARGE);
}

static struct kvm_segment segment(uint16_t selector, uint8_t type, bool is_code)
{
    return (struct kvm_segment){.limit = 0xffffffff,
                                .selector = selector,
                                .type = type,
                                .present = 1,
                                .dpl = 3,
                                .db = !is_code,
                                .s = 1,
                                .l = is_code,
                                .g = 1};
}

int bare_start(struct bare *b)
{
    const struct kvm_regs regs = {.rip = CODE, .rsp = STACK, .rflags = FLAGS};
    struct kvm_sregs s;
    if (ioctl(b->vcpu_fd, KVM_GET_SREGS, &s)) return -errno;
    s.cs = segment(0x33, 11, true);
    s.ds = s.es = s.fs = s.gs = s.ss = segment(0x2b, 3, false);
    s.cr0 = 0x80050033;
    s.cr3 = TABLES;
    s.cr4 = 0x620;
    s.efer = 0xd00;
    if (ioctl(b->vcpu_fd, KVM_SET_SREGS, &s) || ioctl(b->vcpu_fd, KVM_SET_REGS, &regs)) return -errno;
    return 0;
}

struct saved {
    struct kvm_vcpu_events events;
    struct kvm_sregs sregs;
    struct kvm_regs regs;
    struct kvm_xsave xsave; /* last, as it ends with what this size of it has not */
};

static int save(struct bare *b)
{
    struct saved *s = b->saved = calloc(1, sizeof(*s));
    if (!s) return -ENOMEM;
    return ioctl(b->vcpu_fd, KVM_GET_XSAVE, &s->xsave) || ioctl(b->vcpu_fd, KVM_GET_VCPU_EVENTS, &s->events) ||
                   ioctl(b->vcpu_fd, KVM_GET_SREGS, &s->sregs) || ioctl(b->vcpu_fd, KVM_GET_REGS, &s->regs)
               ? -errno
               : 0;
}

int bare_put_registers(struct bare *b)
{
    const int rc = b->saved ? 0 : save(b);
    const struct saved *s = b->saved;
    if (rc) return rc;
    return ioctl(b->vcpu_fd, KVM_SET_SREGS, &s->sregs) || ioctl(b->vcpu_fd, KVM_SET_XSAVE, &s->xsave) ||
                   ioctl(b->vcpu_fd, KVM_SET_VCPU_EVENTS, &s->events) || ioctl(b->vcpu_fd, KVM_SET_REGS, &s->regs)
               ? -errno
               : 0;
}
