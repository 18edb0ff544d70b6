#include "bench/report/published.h"

#include <stddef.h>
#include <string.h>

#define X86 "x86_64"
#define ARM "aarch64"

static const char kvm_list[] = "KVM mailing list, 2024";
static const char kvmarm_list[] = "kvmarm mailing list, 2024";
static const char unrecorded[] = "published; where was not recorded";
static const char atc[] = "USENIX ATC 2017";
static const char sosp[] = "SOSP 2023";
static const char altra[] = "Ampere Altra";

static const struct published figures[] = {
    {X86, "cpuid", "CPUID exit", 1018, 1110, "cycles", "recent Intel", kvm_list},
    {X86, "hypercall_null", "vmcall", 1529, 1559, "cycles", "Intel Skylake-SP", unrecorded},
    {X86, "ipi_rtt", "IPI", 3293, 4238, "cycles", "Intel Skylake-SP", unrecorded},
    {X86, "pio_out_user", "KVM_RUN of an exit to userspace (576 + 1376 + 576)", 2528, 2528, "cycles", "AMD EPYC, 2020",
     unrecorded},
    {X86, "pio_out_user", "I/O handled in userspace", 6732, 6732, "cycles", "Intel Xeon E5-2450", atc},
    {X86, NULL, "PVM world switch", 179, 179, "ns", "PVM", sosp},
    {X86, NULL, "hardware world switch", 105, 105, "ns", "bare metal", sosp},
    {X86, NULL, "hardware world switch, nested", 1300, 1300, "ns", "nested", sosp},
    {ARM, "hypercall_null", "hvc", 306, 306, "ns", altra, kvmarm_list},
    {ARM, "mmio_vgic", "MMIO of the virtual GIC", 451, 451, "ns", altra, kvmarm_list},
    {ARM, "mmio_rd_user", "MMIO read handled in userspace", 1683, 1683, "ns", altra, kvmarm_list},
    {ARM, "ipi_rtt", "IPI", 1926, 1926, "ns", altra, kvmarm_list},
    {ARM, NULL, "LPI", 2179, 2179, "ns", altra, kvmarm_list},
};

const struct published *published_at(unsigned index)
{
    return index < sizeof(figures) / sizeof(figures[0]) ? &figures[index] : NULL;
}

const struct published *published_find(const char *arch, const char *row, unsigned n)
{
    for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++) {
        const struct published *p = &figures[i];
        if (!p->row || strcmp(p->row, row) != 0 || strcmp(p->arch, arch) != 0) continue;
        if (n-- == 0) return p;
    }
    return NULL;
}
