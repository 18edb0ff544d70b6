/* Letting interrupts in. */
#ifndef VIREO_GUEST_ARM64_INTERRUPT_H
#define VIREO_GUEST_ARM64_INTERRUPT_H

static inline void interrupts_on(void)
{
    __asm__ volatile("msr daifclr, #2" : : : "memory");
}

static inline void interrupts_off(void)
{
    __asm__ volatile("msr daifset, #2" : : : "memory");
}

/* WFI ends when an interrupt is pending, masked or not (Arm ARM, D1.6.2): none is missed, and it is taken after. */
static inline void sleep_once(void)
{
    __asm__ volatile("dsb sy; wfi; msr daifclr, #2; isb; msr daifset, #2" : : : "memory");
}

#endif
