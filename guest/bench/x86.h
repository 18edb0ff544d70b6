/* What the x86 rows share. */
#ifndef VIREO_GUEST_BENCH_X86_H
#define VIREO_GUEST_BENCH_X86_H

#include "../x86/cpu.h"
#include "../x86/machine.h"
#include "bench.h"
#include "counter.h"

#define MSR_APIC_BASE    0x1b
#define MSR_TSC_DEADLINE 0x6e0
#define MSR_X2APIC_ICR   0x830
#define MSR_X2APIC_TIMER 0x832
#define MSR_X2APIC_SELF  0x83f
#define MSR_FS_BASE      0xc0000100
#define APIC_BASE_X2APIC (1u << 10)
#define APIC_BASE_ENABLE (1u << 11)
#define LVT_MASKED       (1u << 16)
#define LVT_DEADLINE     (2u << 17) /* SDM volume 3, 11.5.4.1 */

enum { RDI, RAX, RCX, RDX }; /* of a span's operands */

void bench_interrupt(void); /* x86_interrupt.S */

/* x86_apic.c: rows that only x86 has, in which an interrupt is on its way. */
bool prepare_deadline(struct bench_run *r);
bool prepare_self_ipi(struct bench_run *r);
bool prepare_ipi(struct bench_run *r);

#endif
