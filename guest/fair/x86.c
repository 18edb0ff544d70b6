/* Sleeping by the local APIC's timer, and stolen time, on x86. */
#include "../x86/cpu.h"
#include "../x86/machine.h"
#include "counter.h"
#include "fair.h"

#define MSR_APIC_BASE        0x1b
#define APIC_BASE_X2APIC     (1u << 10)
#define MSR_TSC_DEADLINE     0x6e0
#define MSR_X2APIC_ID        0x802
#define MSR_X2APIC_TIMER     0x832
#define LVT_DEADLINE         (2u << 17) /* SDM volume 3, 11.5.4.1 */
#define CPUID_1_ECX_DEADLINE 24
#define CPUID_KVM            0x40000000u /* Documentation/virt/kvm/x86/cpuid.rst */
#define CPUID_KVM_FEATURES   0x40000001u
#define KVM_FEATURE_STEAL    5
#define MSR_KVM_STEAL        0x4b564d03u /* Documentation/virt/kvm/x86/msr.rst */
#define STEAL_RECORD_SIZE    64
#define KVM_SIGNATURE        0x4b4d564bu /* "KVMK" of "KVMKVMKVM" */

#define VECTOR_TIMER 0x31 /* beside VECTOR_DEVICE, which the entropy device has */

const uint64_t fair_ram_base = 0;

void fair_interrupt(void);

static struct {
    _Alignas(STEAL_RECORD_SIZE) uint64_t steal;
} record[FAIR_VCPUS_MAX];

static void cpuid(uint32_t leaf, uint32_t *eax, uint32_t *ebx)
{
    uint32_t c = 0, d;
    *eax = leaf;
    __asm__ volatile("cpuid" : "+a"(*eax), "=b"(*ebx), "+c"(c), "=d"(d));
}

uint32_t fair_cpu(void)
{
    idt_load();
    apic_open();
    return rdmsr(MSR_APIC_BASE) & APIC_BASE_X2APIC ? (uint32_t)rdmsr(MSR_X2APIC_ID) : 0;
}

bool fair_open(void)
{
    if (!(rdmsr(MSR_APIC_BASE) & APIC_BASE_X2APIC) || !(cpuid_ecx(1) >> CPUID_1_ECX_DEADLINE & 1)) return false;
    idt_set(VECTOR_TIMER, (uintptr_t)fair_interrupt);
    wrmsr(MSR_X2APIC_TIMER, VECTOR_TIMER | LVT_DEADLINE);
    return true;
}

const uint64_t *fair_steal(uint32_t cpu)
{
    uint32_t a, b;

    cpuid(CPUID_KVM, &a, &b);
    if (b != KVM_SIGNATURE) return NULL;
    cpuid(CPUID_KVM_FEATURES, &a, &b);
    if (!(a >> KVM_FEATURE_STEAL & 1)) return NULL;
    wrmsr(MSR_KVM_STEAL, (uintptr_t)&record[cpu] | 1);
    return &record[cpu].steal;
}

void fair_sleep_until(uint64_t deadline)
{
    while (bench_counter() < deadline) {
        wrmsr(MSR_TSC_DEADLINE, deadline);
        __asm__ volatile("sti; hlt; cli" : : : "memory");
    }
}
