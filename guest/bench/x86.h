/* What the x86 rows share: an interrupt that is let in, and when it came. */
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

/* x86_interrupt.S writes both, on whichever processor VECTOR_DEVICE comes to: one in any row. */
extern volatile uint64_t bench_taken, bench_taken_at;
void bench_interrupt(void);

bool bench_has_x2apic(void);
/* Let VECTOR_DEVICE in; this processor's. false: no x2APIC mode, which the handler needs. */
bool bench_open_interrupt(void);

/* x86_wake.c: the rows in which an interrupt is on its way. */
bool prepare_interrupt(struct bench_run *r);
bool prepare_irqfd(struct bench_run *r);
bool prepare_deadline(struct bench_run *r);
void do_ipi(uint64_t address);
void do_self_ipi(uint64_t address);
bool prepare_self_ipi(struct bench_run *r);
void sample_pending(struct bench_run *r, struct bench_sample *s);
void sample_woken_running(struct bench_run *r, struct bench_sample *s);
void sample_woken_halted(struct bench_run *r, struct bench_sample *s);
void sample_irqfd_running(struct bench_run *r, struct bench_sample *s);
void sample_irqfd_halted(struct bench_run *r, struct bench_sample *s);
void sample_timer(struct bench_run *r, struct bench_sample *s);
void second_answers(struct bench_page *p);
void second_wakes(struct bench_page *p);

#endif
