/* Steal time as an arm64 guest sees it: DEN0057, which KVM answers (Documentation/virt/kvm/arm/pvtime.rst). */
#include "arch/arm64/state.h"
#include "tests/kvm/contend.h"
#include "tests/unit/unit.h"

#define ANSWER      (ARM64_RAM_BASE + 0x180000) /* behind the snippet's image, before the end of 4 MiB */
#define STOLEN_TIME 8                           /* in the record, after revision and attributes: 4.3 */
#define ENOUGH      100000000                   /* ns */

static uint64_t stolen(const struct contend *c)
{
    return __atomic_load_n((const uint64_t *)c->machine->arch->pvtime + STOLEN_TIME / 8, __ATOMIC_RELAXED);
}

static void guest_sees_the_time_that_was_taken_from_it(void **state)
{
    (void)state;
    struct contend c;
    contend_start(&c, &snippet_steal, &(struct snippet_args){.target = ANSWER});
    if (!arch_has_steal_time(&c.machine->vm)) {
        contend_stop(&c);
        print_message("KVM here offers no steal time\n");
        skip();
    }
    contend_until(&c, stolen, ENOUGH);
    const uint64_t seen = stolen(&c); /* first: the host's count goes on */
    assert_true(seen <= contend_run_delay(&c));
    const uint64_t *answer = gmem_slice(&c.machine->mem, ANSWER, sizeof(*answer), GMEM_READ);
    assert_non_null(answer);
    assert_int_equal(*answer, ARM64_PVTIME_BASE); /* where the guest was told to look is where the record is */
    contend_stop(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {UNIT(guest_sees_the_time_that_was_taken_from_it)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
