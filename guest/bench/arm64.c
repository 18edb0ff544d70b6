/* The bench's rows on arm64. */
#include "bench.h"

const uint64_t bench_ram_base = 0x40000000;

uint64_t bench_counter_hz(void)
{
    uint64_t hz;
    __asm__ volatile("mrs %0, cntfrq_el0" : "=r"(hz));
    return hz;
}

static void do_nop(uint64_t address)
{
    (void)address;
    __asm__ volatile("nop");
}

static void do_store(uint64_t address)
{
    mmio_write32(address, 0);
}

const struct bench_code bench_code[BENCH_ROW_COUNT] = {
    [BENCH_nop] = {.op = do_nop},
    [BENCH_mmio_wr_user] = {.op = do_store},
};
