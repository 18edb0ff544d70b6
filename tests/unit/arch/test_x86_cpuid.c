/* CPUID: topology of N vCPUs on an Intel and an AMD table, what is hidden, what is told about time. */
#include "tests/unit/unit.h"

#include "arch/x86/cpuid.h"

#define BIT(n)      (1u << (n))
#define SIGNIFICANT KVM_CPUID_FLAG_SIGNIFCANT_INDEX

static const struct kvm_cpuid_entry2 intel[] = {
    {.function = 0x0, .eax = 0x1f, .ebx = 0x756e6547, .ecx = 0x6c65746e, .edx = 0x49656e69},
    {.function = 0x1, .eax = 0x50654, .ebx = 0x17400800, .ecx = 0xffffffff, .edx = 0xffffffff},
    {.function = 0x4, .index = 0, .flags = SIGNIFICANT, .eax = 0xfc1bc121, .ebx = 0x1c0003f, .ecx = 63},
    {.function = 0x4, .index = 1, .flags = SIGNIFICANT, .eax = 0xfc1bc163, .ebx = 0x2c0003f, .ecx = 0x6fff},
    {.function = 0x4, .index = 2, .flags = SIGNIFICANT, .eax = 0xfc1bc000}, /* no cache: type 0 */
    {.function = 0x5, .eax = 0x40, .ebx = 0x40, .ecx = 3, .edx = 0x2020},
    {.function = 0x7,
     .index = 0,
     .flags = SIGNIFICANT,
     .eax = 1,
     .ebx = 0xffffffff,
     .ecx = 0xffffffff,
     .edx = 0xffffffff},
    {.function = 0xa, .eax = 0x07300404, .edx = 0x603},
    {.function = 0xb, .index = 0, .flags = SIGNIFICANT, .eax = 1, .ebx = 2, .ecx = 0x100, .edx = 23},
    {.function = 0xb, .index = 1, .flags = SIGNIFICANT, .eax = 6, .ebx = 40, .ecx = 0x201, .edx = 23},
    {.function = 0xd, .index = 0, .flags = SIGNIFICANT, .eax = 0x207, .ebx = 576, .ecx = 2696},
    {.function = 0x14, .index = 0, .flags = SIGNIFICANT, .eax = 1, .ebx = 0xf},
    {.function = 0x15, .eax = 2, .ebx = 216, .ecx = 0},
    {.function = 0x16, .eax = 2700, .ebx = 3700, .ecx = 100},
    {.function = 0x40000000, .eax = 0x40000001, .ebx = 0x4b4d564b, .ecx = 0x564b4d56, .edx = 0x4d},
    {.function = 0x40000001, .eax = 0x01007efb},
    {.function = 0x80000000, .eax = 0x80000008},
    {.function = 0x80000002}, /* empty: not sent */
};

static const struct kvm_cpuid_entry2 amd[] = {
    {.function = 0x0, .eax = 0x10, .ebx = 0x68747541, .ecx = 0x444d4163, .edx = 0x69746e65},
    {.function = 0x1, .eax = 0xa10f11, .ebx = 0x01020800, .ecx = 0x81202000, .edx = 0x078bfbff},
    {.function = 0x80000001, .eax = 0xa10f11, .ecx = 0xffffffff, .edx = 0x23d3fbff},
    {.function = 0x80000008, .eax = 0x3030, .ecx = 0x7001},
    {.function = 0x8000000a, .eax = 1, .ebx = 8, .edx = 0x3},
    {.function = 0x8000001d, .index = 2, .flags = SIGNIFICANT, .eax = 0x00004143, .ebx = 0x1c0003f, .ecx = 0x7ff},
    {.function = 0x8000001d, .index = 3, .flags = SIGNIFICANT, .eax = 0x0003c163, .ebx = 0x3c0003f, .ecx = 0x7fff},
    {.function = 0x8000001e, .eax = 5, .ebx = 0x102, .ecx = 0x301},
};

static union cpuid_table *shaped(const struct kvm_cpuid_entry2 *entries, size_t count, struct cpuid_facts facts)
{
    static union cpuid_table t;
    memset(&t, 0, sizeof(t));
    t.head.nent = (uint32_t)count;
    memcpy(t.head.entries, entries, count * sizeof(entries[0]));
    cpuid_shape(&t, &facts);
    return &t;
}

#define SHAPED(entries, ...) shaped(entries, COUNT_OF(entries), (struct cpuid_facts){__VA_ARGS__})

static void leaf_1_tells_id_count_and_hypervisor(void **state)
{
    (void)state;
    union cpuid_table *t = SHAPED(intel, .cpus = 6, .has_deadline = true);
    cpuid_set_id(t, 5);
    const struct kvm_cpuid_entry2 *c = cpuid_find(t, 1, 0);
    assert_int_equal(c->ebx, 0x05060800);
    assert_true(c->ecx & BIT(31));
    assert_true(c->ecx & BIT(24));
    assert_true(c->edx & BIT(28));
    cpuid_set_id(t, 0);
    assert_int_equal(c->ebx, 0x00060800);
}

static void processor_without_local_apic_says_so(void **state)
{
    static const struct kvm_cpuid_entry2 all[] = {{.function = 1, .ecx = ~0u, .edx = ~0u}};
    (void)state;
    const struct kvm_cpuid_entry2 *c = cpuid_find(SHAPED(all, .cpus = 1, .has_no_apic = true), 1, 0);
    assert_false(c->edx & BIT(9));
    assert_false(c->ecx & (BIT(21) | BIT(24)));
    c = cpuid_find(SHAPED(all, .cpus = 1), 1, 0);
    assert_true(c->edx & BIT(9));
    assert_true(c->ecx & BIT(21));
}

static void one_vcpu_is_no_multi_processor(void **state)
{
    (void)state;
    assert_false(cpuid_find(SHAPED(intel, .cpus = 1), 1, 0)->edx & BIT(28));
    union cpuid_table *t = SHAPED(amd, .cpus = 1);
    assert_false(cpuid_find(t, 0x80000001, 0)->ecx & BIT(1));
    assert_int_equal(cpuid_find(t, 0x80000008, 0)->ecx & 0xf0ff, 0);
}

static void topology_leaves_have_one_thread_per_core_in_one_package(void **state)
{
    static const struct {
        unsigned cpus, bits;
    } row[] = {{1, 0}, {2, 1}, {3, 2}, {4, 2}, {5, 3}, {16, 4}, {17, 5}, {64, 6}};
    (void)state;
    for (unsigned i = 0; i < COUNT_OF(row); i++) {
        union cpuid_table *t = SHAPED(intel, .cpus = row[i].cpus);
        cpuid_set_id(t, row[i].cpus - 1);
        for (uint32_t leaf = 0xb; leaf <= 0x1f; leaf += 0x14) {
            const struct kvm_cpuid_entry2 *smt = cpuid_find(t, leaf, 0), *core = cpuid_find(t, leaf, 1);
            assert_int_equal(smt->eax, 0);
            assert_int_equal(smt->ebx, 1);
            assert_int_equal(smt->ecx, 0x100);
            assert_int_equal(core->eax, row[i].bits);
            assert_int_equal(core->ebx, row[i].cpus);
            assert_int_equal(core->ecx, 0x201);
            assert_int_equal(cpuid_find(t, leaf, 2)->ecx, 2);
            for (uint32_t k = 0; k < 3; k++) assert_int_equal(cpuid_find(t, leaf, k)->edx, row[i].cpus - 1);
        }
        assert_int_equal(cpuid_find(t, 4, 0)->eax >> 26, BIT(row[i].bits) - 1);         /* cores in the package */
        assert_int_equal(cpuid_find(t, 4, 0)->eax >> 14 & 0xfff, 0);                    /* L1: one core's */
        assert_int_equal(cpuid_find(t, 4, 1)->eax >> 14 & 0xfff, BIT(row[i].bits) - 1); /* L3: everyone's */
    }
}

static void amd_leaves_tell_the_same_topology(void **state)
{
    (void)state;
    union cpuid_table *t = SHAPED(amd, .cpus = 5);
    cpuid_set_id(t, 4);
    assert_int_equal(cpuid_find(t, 0x80000008, 0)->ecx & 0xf0ff, 0x3004); /* 3 id bits, 5 cores */
    assert_true(cpuid_find(t, 0x80000001, 0)->ecx & BIT(1));
    assert_int_equal(cpuid_find(t, 0x8000001d, 2)->eax >> 14 & 0xfff, 0);
    assert_int_equal(cpuid_find(t, 0x8000001d, 3)->eax >> 14 & 0xfff, 7);
    assert_int_equal(cpuid_find(t, 0x8000001e, 0)->eax, 4);
    assert_int_equal(cpuid_find(t, 0x8000001e, 0)->ebx, 4);
    assert_int_equal(cpuid_find(t, 0x8000001e, 0)->ecx, 0);
    assert_int_equal(cpuid_find(t, 0xb, 1)->ebx, 5);
    assert_null(cpuid_find(t, 0x1f, 0)); /* beyond its last leaf */
}

static void what_a_guest_can_not_use_is_hidden(void **state)
{
    (void)state;
    union cpuid_table *t = SHAPED(intel, .cpus = 2);
    assert_int_equal(cpuid_find(t, 1, 0)->ecx & (BIT(3) | BIT(5) | BIT(15)), 0);   /* MONITOR, VMX, PDCM */
    assert_int_equal(cpuid_find(t, 7, 0)->ebx & BIT(2), 0);                        /* SGX */
    assert_int_equal(cpuid_find(t, 7, 0)->edx & (BIT(22) | BIT(24) | BIT(25)), 0); /* AMX: XCR0 can't hold tiles */
    assert_null(cpuid_find(t, 0x5, 0));
    assert_null(cpuid_find(t, 0xa, 0));
    assert_null(cpuid_find(t, 0x14, 0));
    t = SHAPED(amd, .cpus = 2);
    assert_int_equal(cpuid_find(t, 0x80000001, 0)->ecx & (BIT(2) | BIT(23) | BIT(29)), 0); /* SVM, PMU, MWAITX */
    assert_null(cpuid_find(t, 0x8000000a, 0));
}

static void amx_stays_where_tiles_may_be_enabled(void **state)
{
    (void)state;
    struct kvm_cpuid_entry2 e[COUNT_OF(intel)];
    memcpy(e, intel, sizeof(intel));
    for (unsigned i = 0; i < COUNT_OF(e); i++) {
        if (e[i].function == 0xd) e[i].eax |= BIT(17) | BIT(18);
    }
    union cpuid_table *t = SHAPED(e, .cpus = 1);
    assert_int_equal(cpuid_find(t, 7, 0)->edx & BIT(24), BIT(24));
    assert_int_equal(cpuid_xcr0(t), 0x60207);
}

static void frequencies_are_told_where_there_is_a_leaf_for_them(void **state)
{
    (void)state;
    union cpuid_table *t = SHAPED(intel, .cpus = 1, .tsc_khz = 2596144);
    const struct kvm_cpuid_entry2 *c = cpuid_find(t, 0x15, 0);
    assert_int_equal((uint64_t)c->ecx * c->ebx / c->eax, 2596144000ull);
    assert_int_equal(cpuid_find(t, 0x40000000, 0)->eax, 0x40000010);
    assert_int_equal(cpuid_find(t, 0x40000010, 0)->eax, 2596144);
    assert_int_equal(cpuid_find(t, 0x40000010, 0)->ebx, 1000000);
    assert_null(cpuid_find(SHAPED(amd, .cpus = 1, .tsc_khz = 2596144), 0x15, 0));
    t = SHAPED(intel, .cpus = 1);
    assert_null(cpuid_find(t, 0x15, 0)); /* not known: not told, and nothing of the host's */
    assert_null(cpuid_find(t, 0x40000010, 0));
}

static void empty_leaves_are_not_sent(void **state)
{
    (void)state;
    assert_null(cpuid_find(SHAPED(intel, .cpus = 1), 0x80000002, 0));
}

static void full_tables_do_not_overflow(void **state)
{
    struct kvm_cpuid_entry2 e[CPUID_MAX_ENTRIES];
    (void)state;
    for (uint32_t i = 0; i < CPUID_MAX_ENTRIES; i++)
        e[i] = (struct kvm_cpuid_entry2){.function = 0x90000000 + i, .eax = 1};
    e[0] = intel[0];
    union cpuid_table *t = SHAPED(e, .cpus = 4, .tsc_khz = 1);
    assert_true(t->head.nent <= CPUID_MAX_ENTRIES);
}

UNIT_MAIN(UNIT(leaf_1_tells_id_count_and_hypervisor), UNIT(processor_without_local_apic_says_so),
          UNIT(one_vcpu_is_no_multi_processor), UNIT(topology_leaves_have_one_thread_per_core_in_one_package),
          UNIT(amd_leaves_tell_the_same_topology), UNIT(what_a_guest_can_not_use_is_hidden),
          UNIT(amx_stays_where_tiles_may_be_enabled), UNIT(frequencies_are_told_where_there_is_a_leaf_for_them),
          UNIT(empty_leaves_are_not_sent), UNIT(full_tables_do_not_overflow))
