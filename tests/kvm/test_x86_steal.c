/* Steal time as an x86 guest sees it (Documentation/virt/kvm/x86/msr.rst, MSR_KVM_STEAL_TIME). */
#include <asm/kvm_para.h>

#include "tests/kvm/contend.h"
#include "tests/unit/unit.h"

#define RECORD 0x180000u /* behind the snippet's image, before the end of 4 MiB */

/* A consistent copy: version is odd while KVM writes. */
static uint64_t stolen(const struct contend *c)
{
    const struct kvm_steal_time *r = gmem_slice(&c->machine->mem, RECORD, sizeof(*r), GMEM_READ);
    assert_non_null(r);
    for (;;) {
        const uint32_t before = __atomic_load_n(&r->version, __ATOMIC_ACQUIRE);
        const uint64_t ns = __atomic_load_n(&r->steal, __ATOMIC_ACQUIRE);
        if (before % 2 == 0 && __atomic_load_n(&r->version, __ATOMIC_RELAXED) == before) return ns;
    }
}

static void guest_sees_the_time_that_was_taken_from_it(void **state)
{
    (void)state;
    struct contend c;
    contend_start(&c, RECORD);
    contend_must_see(&c, stolen);
    contend_must_tell(&c, stolen);
    contend_stop(&c);
}

/* It says more than the machine is old; KVM goes on from what it finds there. */
static void a_record_that_lies_is_not_told(void **state)
{
    (void)state;
    struct contend c;
    contend_start(&c, RECORD);
    contend_must_see(&c, stolen);
    contend_must_tell(&c, stolen);
    struct kvm_steal_time *r = gmem_slice(&c.machine->mem, RECORD, sizeof(*r), GMEM_WRITE);
    assert_non_null(r);
    __atomic_store_n(&r->steal, UINT64_MAX / 2, __ATOMIC_RELAXED);
    contend_must_not_tell(&c);
    contend_stop(&c);
}

static void of_a_guest_that_does_not_ask_nothing_is_told(void **state)
{
    (void)state;
    struct contend c;
    contend_start_silent(&c, RECORD);
    contend_must_not_tell(&c);
    contend_stop(&c);
}

UNIT_MAIN(UNIT(guest_sees_the_time_that_was_taken_from_it), UNIT(a_record_that_lies_is_not_told),
          UNIT(of_a_guest_that_does_not_ask_nothing_is_told))
