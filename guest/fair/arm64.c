/* Sleeping by the virtual timer, and stolen time, on arm64. */
#include "counter.h"
#include "fair.h"
#include "gic.h"

#define SMCCC_FEATURES   0x80000001u
#define PV_TIME_FEATURES 0xc5000020u /* Arm DEN 0057, 3.2 */
#define PV_TIME_ST       0xc5000021u
#define STOLEN_OFFSET    8
#define AFFINITY0        0xf /* KVM numbers 16 vCPUs in level 0, then goes on in level 1 */

#define WINDOW       511                 /* of the entries of the level-1 table */
#define NORMAL_BLOCK 0x60000000000701ull /* as machine.c maps memory, never executed */
#define TABLE        3

extern uint64_t page_table[512];

const uint64_t fair_ram_base = 0x40000000;

uint32_t fair_cpu(void)
{
    uint64_t mpidr;

    __asm__ volatile("mrs %0, mpidr_el1" : "=r"(mpidr));
    return (uint32_t)((mpidr & AFFINITY0) | (mpidr >> 8 & 0xff) << 4);
}

bool fair_open(void)
{
    return gic_open(1u << GIC_TIMER);
}

static int64_t call(uint64_t function, uint64_t argument)
{
    register uint64_t x0 __asm__("x0") = function;
    register uint64_t x1 __asm__("x1") = argument;

    __asm__ volatile("hvc #0" : "+r"(x0), "+r"(x1) : : "x2", "x3", "memory");
    return (int64_t)x0;
}

/* The record lies among the devices, whose GiB is mapped as such, but it is memory that the host writes through its
 * caches: a window for its 2 MiB alone, at the end of what addresses reach. */
static const uint64_t *map_record(uint64_t gpa)
{
    static uint64_t blocks[512] __attribute__((aligned(4096)));
    const uint64_t index = gpa >> 21 & 511;

    if (gpa >> 48) return NULL;
    __atomic_store_n(&blocks[index], gpa >> 21 << 21 | NORMAL_BLOCK, __ATOMIC_RELAXED);
    __atomic_store_n(&page_table[WINDOW], (uintptr_t)blocks | TABLE, __ATOMIC_RELAXED);
    __asm__ volatile("dsb ishst; isb" : : : "memory"); /* invalid before: nothing stale to drop */
    return (const uint64_t *)(uintptr_t)((uint64_t)WINDOW << 30 | (gpa & 0x3fffffff));
}

/* A processor may only ask for what SMCCC 1.1 says is there (DEN 0028, 7.3). */
const uint64_t *fair_steal(uint32_t cpu)
{
    (void)cpu;
    if (call(SMCCC_FEATURES, PV_TIME_FEATURES) < 0 || call(PV_TIME_FEATURES, PV_TIME_ST) < 0) return NULL;
    const int64_t gpa = call(PV_TIME_ST, 0);
    return gpa < 0 ? NULL : map_record((uint64_t)gpa + STOLEN_OFFSET);
}

/* WFI ends when an interrupt is pending, masked or not (Arm ARM, D1.6.2), and so would the next one: until it is taken,
 * it stays pending for this processor even though the timer was stopped. */
void fair_sleep_until(uint64_t deadline)
{
    while (bench_counter() < deadline) {
        timer_start(deadline);
        __asm__ volatile("dsb sy; wfi" : : : "memory");
        timer_stop();
        const uint64_t taken = gic_take();
        if (GIC_ID(taken) < GIC_NONE_FIRST) gic_end(taken);
    }
}
