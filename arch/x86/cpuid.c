#include "arch/x86/cpuid.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>

#define LEAF_KVM         0x40000000u
#define LEAF_KVM_TIMING  0x40000010u /* eax: TSC kHz, ebx: local APIC timer kHz; not KVM's own but customary */
#define LEAF_TOPOLOGY    0x0bu
#define LEAF_TOPOLOGY_V2 0x1fu
#define LEAF_TSC         0x15u
#define APIC_TIMER_KHZ   1000000u /* KVM's local APIC timer counts nanoseconds */

#define BIT(n) (1u << (n))

/* Features that are hidden from the guest: leaf, register, bits. For all others KVM's answer stands. */
enum reg { EAX, EBX, ECX, EDX };
static const struct {
    uint32_t function;
    uint32_t index;
    enum reg reg;
    uint32_t bits;
} hidden[] = {
    /* MONITOR: a guest that waits must exit. VMX: there is no nesting. PDCM: there is no PMU. */
    {0x1, 0, ECX, BIT(3) | BIT(5) | BIT(15)},
    {0x1, 0, EDX, BIT(21)},          /* DS: there is no PMU */
    {0x7, 0, EBX, BIT(2)},           /* SGX: it needs a kind of memory that we don't give */
    {0x7, 0, ECX, BIT(5) | BIT(30)}, /* WAITPKG: as MONITOR. SGX_LC */
    /* SVM: there is no nesting. IBS and the counters: there is no PMU. MWAITX: as MONITOR. */
    {0x80000001, 0, ECX, BIT(2) | BIT(10) | BIT(23) | BIT(24) | BIT(28) | BIT(29)},
};
/* Leaves that are hidden as a whole: MONITOR, PMU, SGX, processor trace, SVM, IBS, PMU version 2. */
static const uint32_t hidden_leaf[] = {0x5, 0xa, 0x12, 0x14, 0x8000000a, 0x8000001b, 0x80000022};

#define LEAF7_AMX  (BIT(22) | BIT(24) | BIT(25)) /* edx: AMX-BF16, AMX-TILE, AMX-INT8 */
#define XCR0_TILES (BIT(17) | BIT(18))

/* KVM's answer, kept for all VMs of the process. It is a constant of the host, but slow to get: KVM runs CPUID for each
 * leaf, and on a host that is itself a guest each of them is an exit (270 of the 550 us that a VM takes). The question
 * goes to /dev/kvm, so the answer depends on no VM. It depends on one property of the process: whether it may use AMX
 * (arch_prctl(2), ARCH_REQ_XCOMP_GUEST_PERM). A process can gain that right and never lose it. An answer from before it
 * was gained hides AMX, and that is safe.
 *
 * This is a mutable global, which the rules forbid. So nobody may be able to notice it. The first thread that has an
 * answer writes it once and then marks it as KNOWN. A thread that comes in between asks KVM itself. An error is not
 * kept. */
enum { UNKNOWN, BEING_WRITTEN, KNOWN };
static union cpuid_table supported;
static atomic_int supported_state;

static size_t table_size(const union cpuid_table *t)
{
    return sizeof(t->head) + t->head.nent * sizeof(t->head.entries[0]);
}

static void remember(const union cpuid_table *t)
{
    int unknown = UNKNOWN;
    if (!atomic_compare_exchange_strong_explicit(&supported_state, &unknown, BEING_WRITTEN, memory_order_relaxed,
                                                 memory_order_relaxed))
        return;
    memcpy(&supported, t, table_size(t));
    atomic_store_explicit(&supported_state, KNOWN, memory_order_release);
}

int cpuid_read_supported(int kvm_fd, union cpuid_table *t, struct err *e)
{
    if (atomic_load_explicit(&supported_state, memory_order_acquire) == KNOWN) {
        memcpy(t, &supported, table_size(&supported));
        return 0;
    }
    t->head.nent = CPUID_MAX_ENTRIES;
    t->head.padding = 0;
    if (ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, &t->head) < 0) {
        const int rc = err_errno(e, "KVM: ask which CPU features it supports");
        err_as(e, ERR_HOST);
        return rc;
    }
    remember(t);
    return 0;
}

struct kvm_cpuid_entry2 *cpuid_find(union cpuid_table *t, uint32_t function, uint32_t index)
{
    for (uint32_t i = 0; i < t->head.nent; i++) {
        struct kvm_cpuid_entry2 *c = &t->head.entries[i];
        if (c->function != function) continue;
        if (!(c->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || c->index == index) return c;
    }
    return NULL;
}

static void add(union cpuid_table *t, const struct kvm_cpuid_entry2 *entry)
{
    if (t->head.nent < CPUID_MAX_ENTRIES) t->head.entries[t->head.nent++] = *entry;
}

static bool is_in(const uint32_t *list, unsigned count, uint32_t function)
{
    for (unsigned i = 0; i < count; i++)
        if (list[i] == function) return true;
    return false;
}

/* Drop the leaves that are hidden, those that are written anew below, and those that are empty: a missing leaf reads as
 * zeros. */
static void drop_leaves(union cpuid_table *t)
{
    static const uint32_t anew[] = {LEAF_TOPOLOGY, LEAF_TOPOLOGY_V2, LEAF_TSC, LEAF_KVM_TIMING};
    uint32_t kept = 0;
    for (uint32_t i = 0; i < t->head.nent; i++) {
        const struct kvm_cpuid_entry2 *c = &t->head.entries[i];
        if (is_in(hidden_leaf, sizeof(hidden_leaf) / sizeof(hidden_leaf[0]), c->function)) continue;
        if (is_in(anew, sizeof(anew) / sizeof(anew[0]), c->function)) continue;
        if (!c->eax && !c->ebx && !c->ecx && !c->edx) continue;
        if (kept != i) t->head.entries[kept] = *c;
        kept++;
    }
    t->head.nent = kept;
}

static uint32_t *reg_of(struct kvm_cpuid_entry2 *c, enum reg r)
{
    switch (r) {
    case EAX: return &c->eax;
    case EBX: return &c->ebx;
    case ECX: return &c->ecx;
    default: return &c->edx;
    }
}

static void hide_features(union cpuid_table *t)
{
    for (unsigned i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++) {
        struct kvm_cpuid_entry2 *c = cpuid_find(t, hidden[i].function, hidden[i].index);
        if (c) *reg_of(c, hidden[i].reg) &= ~hidden[i].bits;
    }
    /* AMX: without the process's right to its state (arch_prctl) the guest would be promised what XCR0 can't hold. */
    const struct kvm_cpuid_entry2 *xstate = cpuid_find(t, 0xd, 0);
    struct kvm_cpuid_entry2 *leaf7 = cpuid_find(t, 0x7, 0);
    if (leaf7 && (!xstate || (xstate->eax & XCR0_TILES) != XCR0_TILES)) leaf7->edx &= ~LEAF7_AMX;
}

/* The number of bits of an APIC id that tell the vCPUs of a package apart. */
static unsigned id_bits(unsigned cpus)
{
    unsigned bits = 0;
    while (1u << bits < cpus) bits++;
    return bits;
}

/* The cache leaves 4 and 0x8000001d have the same form of eax: the level in bits 7:5, sharers - 1 in bits 25:14. */
static void shape_cache(struct kvm_cpuid_entry2 *c, unsigned bits, bool is_intel)
{
    const uint32_t sharers = ((c->eax >> 5 & 7) >= 3 ? 1u << bits : 1u) - 1;
    if ((c->eax & 0x1f) == 0) return; /* no more caches */
    c->eax = (c->eax & ~(0xfffu << 14)) | sharers << 14;
    if (is_intel) c->eax = (c->eax & 0x03ffffffu) | ((1u << bits) - 1) << 26; /* core ids in the package - 1 */
}

static void shape_leaf(struct kvm_cpuid_entry2 *c, const struct cpuid_facts *f)
{
    const unsigned bits = id_bits(f->cpus);
    switch (c->function) {
    case 0x1:
        c->ebx = (c->ebx & 0x0000ffffu) | f->cpus << 16;
        c->ecx |= BIT(31) | (f->has_deadline ? BIT(24) : 0); /* hypervisor */
        c->edx = (c->edx & ~BIT(28)) | (f->cpus > 1 ? BIT(28) : 0);
        if (f->has_no_apic) {
            c->ecx &= ~(BIT(21) | BIT(24)); /* x2APIC, and the deadline timer, which newer KVM lists by itself */
            c->edx &= ~BIT(9);
        }
        break;
    case 0x4: shape_cache(c, bits, true); break;
    case 0x16:
        /* The base, maximum and bus frequencies are the host's. The guest learns the TSC's rate below. */
        c->eax = c->ebx = c->ecx = 0;
        break;
    case LEAF_KVM: c->eax = LEAF_KVM_TIMING; break;
    case 0x80000001: /* CmpLegacy: several cores (AMD) */
        c->ecx = (c->ecx & ~BIT(1)) | (f->cpus > 1 ? BIT(1) : 0);
        break;
    case 0x80000008: c->ecx = (c->ecx & ~0xf0ffu) | bits << 12 | (f->cpus - 1); break;
    case 0x8000001d: shape_cache(c, bits, false); break;
    case 0x8000001e: c->ebx = c->ecx = 0; break; /* one thread per core, one node */
    default: break;
    }
}

/* Two levels and the end: a core has one thread, the package has all cores. edx is the x2APIC id; cpuid_set_id sets it
 * for each vCPU. */
static void add_topology(union cpuid_table *t, uint32_t function, unsigned cpus)
{
    for (uint32_t i = 0; i < 3; i++) {
        const struct kvm_cpuid_entry2 level = {
            .function = function,
            .index = i,
            .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
            .eax = i == 1 ? id_bits(cpus) : 0,
            .ebx = i == 0   ? 1
                   : i == 1 ? cpus
                            : 0,
            .ecx = (i == 2 ? 0 : (i + 1) << 8) | i,
        };
        add(t, &level);
    }
}

static void add_timing(union cpuid_table *t, uint32_t max_leaf, uint32_t tsc_khz)
{
    /* TSC Hz = crystal Hz * ebx / eax, and the local APIC timer counts the crystal. */
    const struct kvm_cpuid_entry2 tsc = {
        .function = LEAF_TSC, .eax = APIC_TIMER_KHZ, .ebx = tsc_khz, .ecx = APIC_TIMER_KHZ * 1000u};
    const struct kvm_cpuid_entry2 kvm = {.function = LEAF_KVM_TIMING, .eax = tsc_khz, .ebx = APIC_TIMER_KHZ};
    if (!tsc_khz) return;
    if (max_leaf >= LEAF_TSC) add(t, &tsc);
    add(t, &kvm);
}

void cpuid_shape(union cpuid_table *t, const struct cpuid_facts *f)
{
    drop_leaves(t);
    for (uint32_t i = 0; i < t->head.nent; i++) shape_leaf(&t->head.entries[i], f);
    hide_features(t);
    const struct kvm_cpuid_entry2 *leaf0 = cpuid_find(t, 0, 0);
    const uint32_t max = leaf0 ? leaf0->eax : 0;
    if (max >= LEAF_TOPOLOGY) add_topology(t, LEAF_TOPOLOGY, f->cpus);
    if (max >= LEAF_TOPOLOGY_V2) add_topology(t, LEAF_TOPOLOGY_V2, f->cpus);
    add_timing(t, max, f->tsc_khz);
}

void cpuid_set_id(union cpuid_table *t, uint32_t apic_id)
{
    for (uint32_t i = 0; i < t->head.nent; i++) {
        struct kvm_cpuid_entry2 *c = &t->head.entries[i];
        if (c->function == 0x1) c->ebx = (c->ebx & 0x00ffffffu) | apic_id << 24;
        if (c->function == LEAF_TOPOLOGY || c->function == LEAF_TOPOLOGY_V2) c->edx = apic_id;
        if (c->function == 0x8000001e) {
            c->eax = apic_id;
            c->ebx = (c->ebx & ~0xffu) | (apic_id & 0xff); /* core id */
        }
    }
}

uint64_t cpuid_xcr0(union cpuid_table *t)
{
    const struct kvm_cpuid_entry2 *c = cpuid_find(t, 0xd, 0);
    return c ? (uint64_t)c->edx << 32 | c->eax : 0;
}

uint32_t cpuid_xsave_size(union cpuid_table *t, uint64_t xcr0)
{
    uint32_t size = xcr0 ? 512 + 64 : 512; /* FXSAVE's area, and the header of XSAVE */
    for (uint32_t i = 2; i < 63; i++) {
        const struct kvm_cpuid_entry2 *c = xcr0 >> i & 1 ? cpuid_find(t, 0xd, i) : NULL;
        if (c && c->ebx + c->eax > size) size = c->ebx + c->eax;
    }
    return size;
}
