/* The line between the fairness guest's neutral half (main.c) and what an architecture brings (x86.c, arm64.c). */
#ifndef VIREO_GUEST_FAIR_H
#define VIREO_GUEST_FAIR_H

#include "../common/guest.h"
#include "shared.h"

extern const uint64_t fair_ram_base;
/* This processor's number, as the monitor counts vCPUs. */
uint32_t fair_cpu(void);
/* Make this processor ready for fair_sleep_until(). false: it has no timer for it. */
bool fair_open(void);
/* Where the hypervisor keeps this processor's stolen time, in ns. NULL: it doesn't. */
const uint64_t *fair_steal(uint32_t cpu);
/* Sleep, as a guest does, until the counter has reached `deadline`. */
void fair_sleep_until(uint64_t deadline);
/* And in guest/$(ARCH)/counter.h: bench_counter(). */

#endif
