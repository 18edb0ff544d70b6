/* The least machine a snippet runs on: a VM, some RAM, one vCPU. What goes wrong in setting it up fails the test;
 * without /dev/kvm the test is skipped. */
#ifndef VIREO_TESTS_MINI_H
#define VIREO_TESTS_MINI_H

#include "guest/snippets/snippets.h"
#include "tests/unit/unit.h"
#include "vmm/kvm/kvm.h"

#define MINI_RAM     0x40000000u /* both architectures have no devices of KVM's own there */
#define MINI_SIZE    0x10000u    /* whatever the host's page size */
#define MINI_DATA    (MINI_RAM + 0x1000u)
#define MINI_NOWHERE 0x10000000u /* no memory: an access comes out as MMIO */
#define MINI_EXIT    0x10001000u /* where arm64 snippets find debug exit */

struct mini {
    struct vm vm;
    struct vcpu vcpu;
    uint8_t *ram;
};

/* The snippet of that name; NULL: this architecture does not have it. */
const struct snippet *mini_snippet(const char *name);

void mini_open(struct mini *m);
/* The same with a capability enabled before the vCPU is made. */
void mini_open_with(struct mini *m, uint32_t cap, uint64_t arg);
/* Load the snippet and put the vCPU at its start. args->exit_at is filled in. */
void mini_load(struct mini *m, const struct snippet *s, struct snippet_args args);
void mini_close(struct mini *m);

/* One KVM_RUN, ended by a signal after `ms` if by nothing else: 0 or -errno. */
int mini_run(struct mini *m, unsigned ms);
/* Did the snippet end, and with what status? */
bool mini_has_ended(const struct mini *m, uint8_t *status);
/* Run a guest that counts up the word at MINI_DATA until it has: on an emulated host a signal may well come before the
 * first instruction. Fails the test if the word stays. */
void mini_run_until_it_ticks(struct mini *m);
/* The 32-bit word at MINI_DATA, as the guest left it. */
uint32_t mini_word(const struct mini *m);

#endif
