#include "vmm/machine/machine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "guest/embed.h"
#include "vmm/base/fd.h"
#include "vmm/base/thread.h"
#include "vmm/machine/lab.h"
#include "vmm/machine/state.h"

static void on_device_end(void *arg, enum end_reason reason, uint32_t value, const char *detail)
{
    life_end(arg, -1, reason, value, detail);
}

static void on_guest_mark(void *arg, uint32_t value)
{
    life_guest_mark(arg, value);
}

static void on_console_quit(void *arg)
{
    life_end(arg, -1, END_STOPPED, 0, "ended from the console");
}

static int create_console(struct machine *m, const struct config *cfg, struct err *e)
{
    static const enum chario_kind kinds[] = {
        [CONSOLE_OFF] = CHARIO_OFF,
        [CONSOLE_STDIO] = CHARIO_STDIO,
        [CONSOLE_FILE] = CHARIO_FILE,
        [CONSOLE_PTY] = CHARIO_PTY,
    };
    struct file_name others[CONFIG_MAX_OTHERS];
    const struct chario_params p = {
        .kind = kinds[cfg->console],
        .path = cfg->console_path,
        .others = others,
        .other_count = config_others(cfg, cfg->console_path, others),
        .in_fd = -1,
        .out_fd = -1,
        .has_escape = cfg->has_escape,
        .quit = on_console_quit,
        .quit_arg = m,
        .max_bytes = cfg->console_max,
        .log = m->log,
    };
    return err_wrap(e, chario_create(&m->console, &p, e), "console");
}

static uint64_t low_memory(const struct config *cfg)
{
    const uint64_t room = arch_info.hole_start - arch_info.ram_base;
    return cfg->memory < room ? cfg->memory : room;
}

static int create_memory(struct machine *m, const struct config *cfg, struct err *e)
{
    static const enum gmem_pages pages[] = {
        [HUGE_PAGES_ADVISE] = GMEM_PAGES_ADVISE,
        [HUGE_PAGES_OFF] = GMEM_PAGES_SMALL,
        [HUGE_PAGES_2M] = GMEM_PAGES_2M,
        [HUGE_PAGES_1G] = GMEM_PAGES_1G,
    };
    const uint64_t low = low_memory(cfg), high = cfg->memory - low;
    m->mem.pages = pages[cfg->huge_pages];
    int rc = gmem_add_ram(&m->mem, arch_info.ram_base, low, e);
    if (!rc && high) rc = gmem_add_ram(&m->mem, arch_info.hole_end, high, e);
    if (!rc) gmem_freeze(&m->mem);
    return rc;
}

/* The memory slots come before the interrupt controller: the other order costs a grace period per slot. */
static int create_vm(struct machine *m, const struct config *cfg, struct err *e)
{
    const uint64_t low = low_memory(cfg), high = cfg->memory - low;
    const uint64_t top =
        high ? arch_info.hole_end + high : arch_info.ram_base + low; /* devices in the hole: in any reach */
    unsigned long type = 0;
    int rc = arch_vm_type(m->vm.kvm_fd, top, &type, e);
    if (!rc) rc = vm_create_typed(&m->vm, type, e);
    if (!rc) rc = vm_check_caps(&m->vm, arch_info.caps, e);
    for (unsigned i = 0; i < m->mem.count && !rc; i++) {
        const struct gmem_region *r = &m->mem.region[i];
        rc = vm_map_ram(&m->vm, r->gpa, r->size, r->host, false, e);
    }
    return rc;
}

static int create_arch(struct machine *m, const struct config *cfg, const struct machine_lab *lab, struct err *e)
{
    const struct arch_params p = {
        .vm = &m->vm,
        .mem = &m->mem,
        .mmio = &m->mmio,
        .pio = &m->pio,
        .console = m->console,
        .sink = {.fn = on_device_end, .mark = on_guest_mark, .arg = m},
        .log = m->log,
        .cpus = cfg->cpus,
        .has_acpi = cfg->has_acpi,
        .irqchip = lab->irqchip,
    };
    return arch_create(&m->arch, &p, e);
}

static int check_cpus(const struct machine *m, const struct config *cfg, struct err *e)
{
    const int kvm_max = vm_check(&m->vm, KVM_CAP_MAX_VCPUS);
    const unsigned most =
        kvm_max > 0 && (unsigned)kvm_max < arch_info.max_vcpus ? (unsigned)kvm_max : arch_info.max_vcpus;
    if (cfg->cpus <= most) return 0;
    err_set(e, -EINVAL, "cpus %u: this host and machine allow %u", cfg->cpus, most);
    err_hint(e, "use --cpus 1 to %u", most);
    return -EINVAL;
}

static int create_vcpus(struct machine *m, const struct config *cfg, struct err *e)
{
    int rc = check_cpus(m, cfg, e);
    if (rc) return rc;
    m->vcpu = calloc(cfg->cpus, sizeof(*m->vcpu));
    m->runner = aligned_alloc(_Alignof(struct runner), cfg->cpus * sizeof(*m->runner));
    if (!m->vcpu || !m->runner) return err_set(e, -ENOMEM, "no memory for %u vCPUs", cfg->cpus);
    m->vcpu_count = cfg->cpus;
    for (unsigned i = 0; i < cfg->cpus; i++) {
        m->vcpu[i] = (struct vcpu)VCPU_INIT;
        m->runner[i] = (struct runner){
            .vcpu = &m->vcpu[i],
            .mmio = &m->mmio,
            .pio = &m->pio,
            .arch = m->arch,
            .host = &m->runner_host,
            .stop_asked = &m->stop_asked,
        };
        (void)sem_init(&m->runner[i].resume, 0, 0); /* can't fail for threads of one process */
    }
    for (unsigned i = 0; i < cfg->cpus && !rc; i++) rc = vcpu_create(&m->vm, i, &m->vcpu[i], e);
    return rc ? rc : arch_init_vcpus(m->arch, m->vcpu, cfg->cpus, e);
}

static int load(struct machine *m, struct arch_boot *boot, struct err *e)
{
    struct arch_slot slots[ARCH_MAX_SLOTS];
    for (unsigned i = 0; i < m->slot_count; i++)
        slots[i] = (struct arch_slot){.base = m->slot[i].base, .size = VIRTIO_MMIO_SIZE, .gsi = m->slot[i].gsi};
    boot->slots = slots;
    boot->slot_count = m->slot_count;
    const int rc = arch_load(m->arch, boot, e);
    boot->slots = NULL;
    return rc;
}

static int check_dump(const struct config *cfg, struct err *e)
{
    if (!cfg->dump_dtb || arch_info.has_device_tree) return 0;
    return err_set(e, -ENOTSUP,
                   "dump-dtb %s: a guest on %s is described by ACPI, there is no device tree; leave it out",
                   cfg->dump_dtb, arch_info.name);
}

static int fit_lab(struct machine *m, const struct machine_lab *lab, struct err *e)
{
    const struct machine_parts parts = {
        .vm = &m->vm,
        .mem = &m->mem,
        .mmio = &m->mmio,
        .pio = &m->pio,
        .vcpu = m->vcpu,
        .vcpu_count = m->vcpu_count,
    };
    for (unsigned i = 0; lab->counter && i < m->vcpu_count; i++) m->runner[i].counter = lab->counter;
    if (lab->trace) m->runner[0].record->trace = lab->trace;
    return lab->fit ? lab->fit(lab->arg, &parts, e) : 0;
}

static int create_parts(struct machine *m, const struct config *cfg, const struct machine_lab *lab, struct err *e)
{
    int rc = create_vm(m, cfg, e);
    if (!rc) rc = threads_halt_poll(m, e);
    if (!rc) rc = create_arch(m, cfg, lab, e);
    if (!rc) rc = create_vcpus(m, cfg, e);
    if (!rc && cfg->has_record) rc = stats_create(m, e);
    if (!rc) rc = slots_create(m, cfg, e);
    if (!rc) rc = fit_lab(m, lab, e);
    if (rc) return rc;
    bus_freeze(&m->mmio);
    bus_freeze(&m->pio);
    return 0;
}

static struct image_source source_of(const char *path, const struct config_image *i)
{
    return (struct image_source){.path = path, .data = i->data, .size = i->size, .fd = i->fd, .has_fd = i->has_fd};
}

static int create_steps(struct machine *m, const struct config *cfg, const struct machine_lab *lab, struct err *e)
{
    const struct image_source own = {.data = lab->image, .size = lab->image_size};
    struct arch_boot boot = {
        .kernel = config_has_kernel(cfg) ? source_of(cfg->kernel, &cfg->kernel_image) : own,
        .initrd = source_of(cfg->initrd, &cfg->initrd_image),
        .cmdline = cfg->cmdline ? cfg->cmdline : arch_info.default_cmdline,
        .dump_path = cfg->dump_dtb,
    };
    int rc = config_check(cfg, e);
    if (!rc) rc = config_check_files(cfg, e);
    if (!rc) rc = check_dump(cfg, e);
    if (!rc && (rc = runner_mind_signal())) err_set(e, rc, "handler for SIGURG, which calls vCPUs out of the guest");
    m->has_loop = !rc; /* from here on loop_fini cleans up, even if loop_init fails */
    if (!rc) rc = loop_init(&m->loop, e);
    if (!rc) rc = create_console(m, cfg, e);
    if (!rc) rc = threads_create(m, cfg, e);
    if (!rc) rc = kvm_open(&m->vm.kvm_fd, e);
    if (!rc) rc = create_memory(m, cfg, e);
    if (rc) return rc;
    boot.images = arch_images_begin(&m->mem, &boot);
    rc = create_parts(m, cfg, lab, e);
    if (!rc) rc = load(m, &boot, e);
    arch_images_end(boot.images);
    m->has_io = m->slot_count > 0 || m->timeout_ms > 0; /* a machine with a console has a slot for it */
    return rc;
}

int machine_create(struct machine **out, const struct config *cfg, const struct log *log, struct err *e)
{
    const struct machine_lab plain = {
        .image = guest_default_start,
        .image_size = (uint64_t)(guest_default_end - guest_default_start),
    };
    return machine_create_lab(out, cfg, log, &plain, e);
}

/* KVM frees a VM when the last of these is closed. */
static void in_forked_child(void *arg)
{
    const struct machine *m = arg;
    stats_forked(m);
    for (unsigned i = 0; i < m->vcpu_count; i++) close(m->vcpu[i].fd);
    close(m->vm.fd);
    if (m->cgroup) cgroup_forked(m->cgroup);
}

int machine_create_lab(struct machine **out, const struct config *cfg, const struct log *log,
                       const struct machine_lab *lab, struct err *e)
{
    struct machine *m = calloc(1, sizeof(*m));
    if (!m) return err_set(e, -ENOMEM, "no memory for a machine");
    memcpy(m->name, cfg->name, sizeof(m->name));
    if (log) m->own_log = *log;
    m->log = &m->own_log;
    m->vm = (struct vm)VM_INIT;
    m->timeout_ms = cfg->timeout_ms;
    life_init_timers(m);
    m->ending.vcpu = -1;
    m->runner_host = life_runner_host;
    m->runner_host.arg = m;
    pthread_mutex_init(&m->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&m->changed, &attr);
    pthread_condattr_destroy(&attr);
    gmem_init(&m->mem);
    bus_init(&m->mmio);
    bus_init(&m->pio);
    m->event_fd = fd_own(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    int rc = m->event_fd < 0 ? err_errno(e, "eventfd for the end of a machine") : 0;
    if (!rc) rc = create_steps(m, cfg, lab, e);
    if (rc) {
        machine_destroy(m);
        return rc;
    }
    m->forked = (struct forked){.in_child = in_forked_child, .arg = m};
    forked_add(&m->forked);
    life_mark(m, "created");
    *out = m;
    return 0;
}

/* Frees what is left once no thread of the machine runs and its devices are quiet. */
static void dismantle(struct machine *m)
{
    forked_remove(&m->forked);
    slots_destroy(m);
    stats_destroy(m);
    for (unsigned i = 0; i < m->vcpu_count; i++) {
        vcpu_destroy(&m->vcpu[i]);
        if (m->runner) (void)sem_destroy(&m->runner[i].resume);
    }
    free(m->runner);
    free(m->vcpu);
    arch_destroy(m->arch);
    vm_destroy(&m->vm);
    threads_destroy(m);
    if (m->console) chario_stop(m->console);
    chario_destroy(m->console);
    if (m->has_loop) loop_fini(&m->loop);
    gmem_fini(&m->mem);
    if (m->event_fd >= 0) close(m->event_fd);
    pthread_cond_destroy(&m->changed);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

static void *wait_and_dismantle(void *arg)
{
    struct machine *m = arg;
    (void)slots_stop(m, -1);
    dismantle(m);
    return NULL;
}

/* A host file has not answered for so long that it may never do. Its requests hold guest memory and a thread or a ring
 * of the kernel, so these stay, together with a thread that nobody waits for. False: that thread could not be made. */
static bool leave_behind(struct machine *m, const char *device)
{
    log_write(m->log, LOG_WARN, "%s: the host does not answer; what its requests hold is freed when it does", device);
    m->own_log = (struct log){0};
    return thread_make(NULL, &(struct thread_start){.name = "vireo:stuck", .fn = wait_and_dismantle, .arg = m}) == 0;
}

void machine_destroy(struct machine *m)
{
    if (!m) return;
    life_join(m);
    const char *busy = slots_stop(m, MACHINE_STUCK_MS);
    if (busy && leave_behind(m, busy)) return;
    (void)wait_and_dismantle(m);
}

int machine_event_fd(const struct machine *m)
{
    return m->event_fd;
}

const char *machine_console_pty(const struct machine *m)
{
    return chario_pty_name(m->console);
}

uint64_t machine_console_dropped(const struct machine *m)
{
    return chario_dropped(m->console);
}

int machine_console_resize(struct machine *m, uint16_t cols, uint16_t rows)
{
    return chario_resize(m->console, cols, rows);
}
