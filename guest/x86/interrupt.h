/* Letting interrupts in. */
#ifndef VIREO_GUEST_X86_INTERRUPT_H
#define VIREO_GUEST_X86_INTERRUPT_H

static inline void interrupts_on(void)
{
    __asm__ volatile("sti" : : : "memory");
}

static inline void interrupts_off(void)
{
    __asm__ volatile("cli" : : : "memory");
}

/* None is missed between the two: STI takes effect after the next instruction (SDM volume 2, STI). */
static inline void sleep_once(void)
{
    __asm__ volatile("sti; hlt; cli" : : : "memory");
}

#endif
