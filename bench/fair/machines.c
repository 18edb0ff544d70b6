#include <errno.h>
#include <string.h>
#include <sys/resource.h>

#include "arch/arch.h"
#include "bench/fair/run.h"
#include "guest/embed.h"

/* A register for FAIR_EXIT, behind all devices: nobody's, so writes to it are dropped. */
#define EXIT_ADDRESS (arch_info.virtio_base + 64 * 4096ull)

static int set_cgroup(const struct run *u, const struct fair_vm_plan *plan, struct sched_config *s, struct err *e)
{
    char found[FAIR_TEXT], why[FAIR_TEXT];

    if (!plan->has_cgroup) return 0;
    if (!u->o->cgroup && !fair_cgroup_find(found, sizeof(found), why)) return err_set(e, -ENOTSUP, "%s", why);
    s->cgroup = strdup(u->o->cgroup ? u->o->cgroup : found);
    s->weight = plan->weight;
    s->quota_us = plan->quota_us;
    s->period_us = plan->period_us;
    return s->cgroup ? 0 : err_set(e, -ENOMEM, "no memory");
}

static int set_sched(const struct run_vm *vm, struct config *c, struct err *e)
{
    const struct fair_plan *p = vm->run->p;
    const struct fair_vm_plan *plan = &p->vm[vm->index];
    struct sched_config *s = config_sched(c);
    cpu_set_t cpus;

    if (!s) return err_set(e, -ENOMEM, "no memory");
    CPU_ZERO(&cpus);
    for (unsigned i = 0; i < p->cpu_count; i++) CPU_SET(p->cpu[i], &cpus);
    for (unsigned i = 0; i < plan->vcpus; i++) {
        const int nice = p->vcpu[vm->first + i].nice;
        s->vcpu[i] = (struct thread_config){
            .has_cpus = true, .cpus = cpus, .has_nice = nice != 0, .nice = nice + getpriority(PRIO_PROCESS, 0)};
    }
    s->named = plan->vcpus;
    s->io.has_cpus = plan->has_io;
    if (plan->has_io) CPU_SET(plan->io_cpu, &s->io.cpus);
    s->has_halt_poll = plan->has_halt_poll;
    s->halt_poll_ns = plan->halt_poll_ns;
    return set_cgroup(vm->run, plan, s, e);
}

static int fit(void *arg, const struct machine_parts *parts, struct err *e)
{
    struct run_vm *vm = arg;
    const struct fair_plan *p = vm->run->p;
    struct fair_page *page =
        gmem_slice(parts->mem, arch_info.ram_base + FAIR_PAGE_OFFSET, sizeof(struct fair_page), GMEM_WRITE);

    if (!page) return err_set(e, -ENOMEM, "the guest's memory has no room for its page");
    page->vcpus = p->vm[vm->index].vcpus;
    page->address = EXIT_ADDRESS;
    page->gap_min = UINT64_MAX;
    page->magic = FAIR_MAGIC;
    for (unsigned i = 0; i < page->vcpus; i++) page->vcpu[i].work = p->vcpu[vm->first + i].work;
    vm->page = page;
    return 0;
}

static int make(struct run_vm *vm, struct err *e)
{
    const struct fair_vm_plan *plan = &vm->run->p->vm[vm->index];
    const struct machine_lab lab = {
        .image = guest_fair_start,
        .image_size = (uint64_t)(guest_fair_end - guest_fair_start),
        .fit = fit,
        .arg = vm,
    };
    struct config c;

    config_init(&c, machine_devices);
    c.cpus = plan->vcpus;
    c.memory = FAIR_MEMORY;
    c.console = CONSOLE_OFF;
    c.has_record = false;
    int rc = set_sched(vm, &c, e);
    if (!rc && plan->has_io) rc = config_set(&c, "rng", "true", e);
    if (!rc) rc = machine_create_lab(&vm->machine, &c, NULL, &lab, e);
    config_fini(&c);
    return rc;
}

int run_make_machines(struct run *u, struct err *e)
{
    unsigned first = 0;
    for (unsigned i = 0; i < u->p->vm_count; i++) {
        struct run_vm *vm = &u->vm[i];
        *vm = (struct run_vm){.run = u, .index = i, .first = first};
        const int rc = make(vm, e);
        if (rc) return rc;
        for (unsigned k = 0; k < u->p->vm[i].vcpus; k++) u->vcpu[first++].guest = &vm->page->vcpu[k];
    }
    return 0;
}

int run_check_alive(const struct run *u, struct err *e)
{
    for (unsigned i = 0; i < u->p->vm_count; i++) {
        struct ending end;
        if (machine_wait(u->vm[i].machine, 0, &end) == 0)
            return err_set(e, -EIO, "the guest of VM %u ended early, status %u: %.300s", i, end.value, end.detail);
    }
    return 0;
}
