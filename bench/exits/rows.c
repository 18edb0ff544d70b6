/* The monitor's part in each row. Most rows trap by themselves and need none. */
#include <errno.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "arch/arch.h"
#include "bench/exits/exits.h"
#include "vmm/base/fd.h"

#define POLL_NS      10000000u /* KVM is told to poll so long, so a vCPU that halts for less never sleeps */
#define WAKE_NS      50000u    /* by then a vCPU that was asked to halt has halted, and polls */
#define ASLEEP_NS    200000u   /* by then its thread sleeps: several times a context switch */
#define TIMER_NS     200000u   /* a timer's deadline; the vCPU is asleep well before it */
#define TOUCH_ROOM   (BENCH_MEMORY - BENCH_TOUCH_OFFSET)
#define SIZE_4K      4096u
#define SIZE_2M      (2u << 20)
#define KICK_WAIT_NS 1000000000u /* a kicked vCPU that hasn't come out by then never will */

/* ---- the artificial device: what traps to the monitor ends here, and costs nothing but --delay ---- */

static void dawdle(const struct exits_side *s)
{
    if (!s->delay_ticks) return;
    const uint64_t start = counter_read(&s->counter);
    while (counter_read(&s->counter) - start < s->delay_ticks) continue;
}

static uint64_t device_read(void *dev, uint64_t offset, unsigned size)
{
    (void)offset, (void)size;
    dawdle(dev);
    return 0;
}

static void device_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    (void)offset, (void)size, (void)value;
    dawdle(dev);
}

static const struct bus_ops device_ops = {.read = device_read, .write = device_write};

static int fit_port(struct exits_side *s, const struct machine_parts *p, struct err *e)
{
    const struct bus_range r = {arch_bench_places.port, BENCH_PLACE, &device_ops, s, "bench"};
    s->address = r.base;
    return bus_add(p->pio, &r, e);
}

static int fit_window(struct exits_side *s, const struct machine_parts *p, struct err *e)
{
    const struct bus_range r = {arch_bench_places.window, BENCH_PLACE, &device_ops, s, "bench"};
    s->address = r.base;
    return bus_add(p->mmio, &r, e);
}

/* ---- eventfds, in either direction ---- */

static int make_event(struct exits_side *s, struct err *e)
{
    s->event_fd = fd_own(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    return s->event_fd < 0 ? err_errno(e, "eventfd for a row of the bench") : 0;
}

static int fit_doorbell(struct exits_side *s, const struct machine_parts *p, bool is_pio, struct err *e)
{
    int rc = make_event(s, e);
    s->address = is_pio ? arch_bench_places.port : arch_bench_places.window;
    const struct vm_ioeventfd io = {.addr = s->address, .len = is_pio ? 1 : 4, .is_pio = is_pio, .fd = s->event_fd};
    return rc ? rc : vm_ioeventfd(p->vm, &io, true, e);
}

static int fit_pio_doorbell(struct exits_side *s, const struct machine_parts *p, struct err *e)
{
    return fit_doorbell(s, p, true, e);
}

static int fit_mmio_doorbell(struct exits_side *s, const struct machine_parts *p, struct err *e)
{
    return fit_doorbell(s, p, false, e);
}

/* By the serial port's interrupt, as nobody uses that port in this machine. */
static int fit_irqfd(struct exits_side *s, const struct machine_parts *p, struct err *e)
{
    const int rc = make_event(s, e);
    s->page->argument = arch_info.serial_gsi;
    return rc ? rc : vm_irqfd(p->vm, arch_info.serial_gsi, s->event_fd, true, e);
}

static void pause_ns(uint64_t ns)
{
    const struct timespec t = {.tv_nsec = (long)ns};
    nanosleep(&t, NULL);
}

static void announce(struct exits_side *s, uint64_t turn)
{
    __atomic_store_n(&s->page->host_stamp, counter_read(&s->counter), __ATOMIC_RELAXED);
    __atomic_store_n(&s->page->host_turn, turn, __ATOMIC_RELEASE);
}

static void raise_irq(struct exits_side *s, struct machine *m, uint64_t turn)
{
    const uint64_t one = 1;
    (void)m;
    /* The guest asks before it begins to wait, so it needs time to get there. */
    pause_ns(s->what->row == BENCH_irqfd_halted ? ASLEEP_NS : WAKE_NS);
    announce(s, turn);
    (void)!write(s->event_fd, &one, sizeof(one));
}

/* ---- the kick ---- */

static void kick(struct exits_side *s, struct machine *m, uint64_t turn)
{
    const uint64_t before = atomic_load_explicit(&s->trace->count, memory_order_acquire);
    const uint64_t start = counter_read(&s->counter), most = exits_ticks(s, KICK_WAIT_NS);
    pause_ns(WAKE_NS);
    __atomic_store_n(&s->page->host_stamp, counter_read(&s->counter), __ATOMIC_RELEASE);
    machine_kick(m, 0);
    while (atomic_load_explicit(&s->trace->count, memory_order_acquire) == before &&
           counter_read(&s->counter) - start < most)
        sched_yield();
    __atomic_store_n(&s->page->host_turn, turn, __ATOMIC_RELEASE);
}

/* ---- memory ---- */

static int advise(const struct machine_parts *p, int advice, struct err *e)
{
    const uint64_t gpa = arch_info.ram_base + BENCH_TOUCH_OFFSET;
    void *at = gmem_slice(p->mem, gpa, TOUCH_ROOM, GMEM_WRITE);
    if (!at || madvise(at, TOUCH_ROOM, advice) < 0)
        return err_set(e, -ENOTSUP, "the host gives no choice between small and huge pages");
    return 0;
}

static int fit_small(struct exits_side *s, const struct machine_parts *p, struct err *e)
{
    (void)s;
    return advise(p, MADV_NOHUGEPAGE, e);
}

static int fit_huge(struct exits_side *s, const struct machine_parts *p, struct err *e)
{
    (void)s;
    return advise(p, MADV_HUGEPAGE, e);
}

static int log_dirty(struct exits_side *s, const struct machine_parts *p, struct err *e)
{
    const struct gmem_region *r = &p->mem->region[0];
    const struct vm_ram ram = {.slot = 0, .gpa = r->gpa, .size = r->size, .host = r->host};
    (void)s;
    return vm_log_dirty(p->vm, &ram, true, e);
}

static const struct exits_duty duties[BENCH_ROW_COUNT] = {
    [BENCH_load] = {.is_touching = true},
    [BENCH_pio_ioeventfd] = {.fit = fit_pio_doorbell},
    [BENCH_mmio_ioeventfd] = {.fit = fit_mmio_doorbell},
    [BENCH_ipi_rtt] = {.needs_cpus = true},
    [BENCH_hlt_pending] = {.is_single = true},
    [BENCH_hlt_wake_running] = {.is_sample = true, .needs_cpus = true, .argument_ns = WAKE_NS},
    [BENCH_hlt_wake_polling] =
        {.is_sample = true, .needs_cpus = true, .has_halt_poll = true, .halt_poll_ns = POLL_NS, .argument_ns = WAKE_NS},
    [BENCH_hlt_wake_descheduled] = {.is_sample = true, .has_halt_poll = true, .argument_ns = ASLEEP_NS},
    [BENCH_irqfd_running] = {.is_sample = true, .needs_cpus = true, .fit = fit_irqfd, .act = raise_irq},
    [BENCH_irqfd_halted] = {.is_sample = true, .has_halt_poll = true, .fit = fit_irqfd, .act = raise_irq},
    [BENCH_timer_lat] = {.is_sample = true, .argument_ns = TIMER_NS},
    [BENCH_first_touch_4k] = {.is_touching = true,
                              .stride = SIZE_4K,
                              .samples_max = TOUCH_ROOM / SIZE_4K,
                              .fit = fit_small},
    [BENCH_first_touch_2m] = {.is_touching = true,
                              .stride = SIZE_2M,
                              .samples_max = TOUCH_ROOM / SIZE_2M,
                              .fit = fit_huge},
    [BENCH_dirty_log_wp] = {.is_touching = true,
                            .stride = SIZE_4K,
                            .samples_max = TOUCH_ROOM / SIZE_4K,
                            .fit = fit_small,
                            .prepared = log_dirty},
    [BENCH_pio_out_user] = {.fit = fit_port},
    [BENCH_pio_in_user] = {.fit = fit_port},
    [BENCH_pio_string_user] = {.fit = fit_port},
    [BENCH_mmio_rd_user] = {.fit = fit_window},
    [BENCH_mmio_wr_user] = {.fit = fit_window},
    [BENCH_kick_user] = {.is_sample = true, .needs_cpus = true, .act = kick},
};
const struct exits_duty *exits_duty_of(enum bench_row row)
{
    return &duties[row];
}
