/* Steal time as an arm64 guest sees it: DEN0057, which KVM answers (Documentation/virt/kvm/arm/pvtime.rst). */
#include "arch/arm64/struct_arch.h"
#include "tests/kvm/contend.h"
#include "tests/unit/unit.h"

#define ANSWER      (ARM64_RAM_BASE + 0x180000) /* behind the snippet's image, before the end of 4 MiB */
#define STOLEN_TIME 8                           /* in the record, after revision and attributes: 4.3 */

static uint64_t stolen(const struct contend *c)
{
    return __atomic_load_n((const uint64_t *)c->machine->arch->pvtime + STOLEN_TIME / 8, __ATOMIC_RELAXED);
}

static void guest_sees_the_time_that_was_taken_from_it(void **state)
{
    (void)state;
    struct contend c;
    contend_start(&c, ANSWER);
    contend_must_see(&c, stolen);
    contend_must_tell(&c, stolen);
    const uint64_t *answer = gmem_slice(&c.machine->mem, ANSWER, sizeof(*answer), GMEM_READ);
    assert_non_null(answer);
    assert_int_equal(*answer, ARM64_PVTIME_BASE); /* where the guest was told to look is where the record is */
    contend_stop(&c);
}

static void of_a_guest_that_does_not_ask_nothing_is_told(void **state)
{
    (void)state;
    struct contend c;
    contend_start_silent(&c, ANSWER);
    contend_must_not_tell(&c);
    contend_stop(&c);
}

UNIT_MAIN(UNIT(guest_sees_the_time_that_was_taken_from_it), UNIT(of_a_guest_that_does_not_ask_nothing_is_told))
