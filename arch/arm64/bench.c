/* Benches on arm64. */
#include "arch/bench.h"

#define ROW(name) BENCH_##name, #name

static const struct arch_bench_row rows[] = {
    {ROW(nop), BENCH_CONTROL, "NOP", .exits = 0},
    {ROW(mmio_wr_user), BENCH_USER, "a store to a register of the monitor", .exits = 1, .class = RECORD_MMIO_WRITE,
     .counter = "mmio_exit_user"},
};

const struct arch_bench_row *arch_bench_row(unsigned index)
{
    return index < sizeof(rows) / sizeof(rows[0]) ? &rows[index] : NULL;
}

const struct arch_bench_places arch_bench_places = {.port = 0, .window = 0x0b100000};

int arch_bench_fit(enum bench_row row, const struct vm *vm, struct err *e)
{
    (void)row, (void)vm, (void)e;
    return 0;
}

void arch_bench_counter(struct counter *c)
{
    counter_init(c);
}

void arch_bench_share_clock(const struct vm *vm, const struct vcpu *vcpus, unsigned count)
{
    (void)vm, (void)vcpus, (void)count;
}

bool arch_bench_shares_clock(const struct vm *vm, const struct vcpu *vcpus, unsigned count)
{
    (void)vm, (void)vcpus, (void)count;
    return false; /* the offset is estimated */
}

void arch_bench_host(struct arch_bench_host *out)
{
    *out = (struct arch_bench_host){.nature = "bare"};
}
