#include "vmm/config/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "vmm/base/nearest.h"
#include "vmm/config/device.h"
#include "vmm/config/sched.h"
#include "vmm/config/value.h"

#define NS_PER_S       1000000000ULL
#define NS_PER_MS      1000000ULL
#define KEYS_MAX       64             /* twice what there is */
#define DEFAULT_MEMORY (256ULL << 20) /* boots a stock distribution kernel with an initramfs */

void config_init(struct config *c, const struct device_kind *const *kinds)
{
    *c = (struct config){
        .kinds = kinds,
        .cpus = 1,
        .memory = DEFAULT_MEMORY,
        .console = CONSOLE_STDIO,
        .console_max = CONFIG_CONSOLE_MAX,
        .has_virtio_console = true,
        .has_acpi = true,
        .has_record = true,
    };
}

void config_fini(struct config *c)
{
    config_devices_fini(c);
    free(c->kernel);
    free(c->initrd);
    free(c->dump_dtb);
    free(c->cmdline);
    free(c->console_path);
    free(c->source);
    config_sched_fini(c);
    config_init(c, c->kinds);
}

/* ---- setters, one per key ---- */

static int set_kernel(void *of, const char *value, struct err *e)
{
    struct config *c = of;
    const int rc = value_path("kernel", value, &c->kernel, e);
    if (!rc) c->kernel_image = (struct config_image){0};
    return rc;
}

static int set_initrd(void *of, const char *value, struct err *e)
{
    struct config *c = of;
    const int rc = value_path("initrd", value, &c->initrd, e);
    if (!rc) c->initrd_image = (struct config_image){0};
    return rc;
}

static int set_dump_dtb(void *of, const char *value, struct err *e)
{
    struct config *c = of;
    return value_path("dump-dtb", value, &c->dump_dtb, e);
}

static int set_cmdline(void *of, const char *value, struct err *e)
{
    struct config *c = of;
    const size_t len = strlen(value);
    if (len >= CONFIG_CMDLINE_MAX)
        return err_set(e, -E2BIG, "cmdline \"%.40s...\": %zu bytes, and kernels take at most %d; shorten it", value,
                       len, CONFIG_CMDLINE_MAX - 1);
    char *copy = strdup(value);
    if (!copy) return err_set(e, -ENOMEM, "cmdline: out of memory");
    free(c->cmdline);
    c->cmdline = copy;
    return 0;
}

static int set_cpus(void *of, const char *value, struct err *e)
{
    struct config *c = of;
    uint64_t n;
    if (!value_u64(value, &n) || n < 1 || n > CONFIG_MAX_CPUS)
        return err_set(e, -EINVAL, "cpus " VALUE_SHOWN ": must be a whole number from 1 to %d", value, CONFIG_MAX_CPUS);
    c->cpus = (unsigned)n;
    return 0;
}

#define MEMORY_MEANT_MAX 65536 /* MiB: 64G; a larger number without a unit was hardly meant as megabytes */

static int set_memory(void *of, const char *value, struct err *e)
{
    struct config *c = of;
    uint64_t n;
    char shown[VALUE_SIZE_MAX];
    if (!value_size(value, &n))
        return err_set(e, -EINVAL, "memory " VALUE_SHOWN ": not a size; write 256M, 1G or a number of bytes", value);
    if (n >= CONFIG_MEMORY_MIN && n % CONFIG_MEMORY_STEP == 0) {
        c->memory = n;
        return 0;
    }
    value_show_size(n, shown); /* as it was understood: 512 is 512 bytes, which not everybody means */
    if (n < CONFIG_MEMORY_MIN) {
        err_set(e, -EINVAL, "memory %s: too small; the least a machine can have is %lluM", shown,
                CONFIG_MEMORY_MIN >> 20);
        if (value_u64(value, &n) && n >= CONFIG_MEMORY_MIN >> 20 && n <= MEMORY_MEANT_MAX)
            err_hint(e, "a number without a unit is bytes: write %sM", value);
        return -EINVAL;
    }
    return err_set(e, -EINVAL, "memory %s: not a multiple of %d bytes; write it in K or M", shown, CONFIG_MEMORY_STEP);
}

static int set_huge_pages(void *of, const char *value, struct err *e)
{
    struct config *c = of;
    static const char *const words[] = {
        [HUGE_PAGES_ADVISE] = "advise", [HUGE_PAGES_OFF] = "off", [HUGE_PAGES_2M] = "2M", [HUGE_PAGES_1G] = "1G"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(value, words[i]) != 0) continue;
        c->huge_pages = (enum config_huge_pages)i;
        return 0;
    }
    return err_set(e, -EINVAL, "huge-pages " VALUE_SHOWN ": must be off, advise, 2M or 1G", value);
}

static int set_no_acpi(void *of, const char *value, struct err *e)
{
    struct config *c = of;
    bool is_without = false;
    const int rc = value_switch("no-acpi", value, &is_without, e);
    if (rc == 0) c->has_acpi = !is_without;
    return rc;
}

static int set_record(void *of, const char *value, struct err *e)
{
    struct config *c = of;
    const bool is_on = strcmp(value, "on") == 0;
    if (!is_on && strcmp(value, "off") != 0)
        return err_set(e, -EINVAL, "record " VALUE_SHOWN ": must be on or off", value);
    c->has_record = is_on;
    return 0;
}

static int set_name(void *of, const char *value, struct err *e)
{
    struct config *c = of;
    return value_id("name", value, c->name, e);
}

/* A bare number is of seconds, as it was before there were units. */
static int set_timeout(void *of, const char *value, struct err *e)
{
    struct config *c = of;
    uint64_t n, ns;
    const bool is_bare = value_u64(value, &n);
    if (is_bare) ns = n <= CONFIG_TIMEOUT_MAX ? n * NS_PER_S : UINT64_MAX;
    if ((!is_bare && !value_time(value, &ns)) || ns > CONFIG_TIMEOUT_MAX * NS_PER_S || ns % NS_PER_MS != 0)
        return err_set(e, -EINVAL,
                       "timeout " VALUE_SHOWN ": must be whole seconds, or a time such as 1500ms, 30s or 5m, at most "
                       "%d seconds; 0 means none",
                       value, CONFIG_TIMEOUT_MAX);
    c->timeout_ms = ns / NS_PER_MS;
    return 0;
}

/* The keys that are of no device. Those of the devices stand between the two tables, in the order of their kinds. This
 * is the help text's order. */
static const struct setting first_keys[] = {
    {"kernel", "FILE", "bzImage or ELF kernel to boot; without it the built-in guest runs", .set = set_kernel},
    {"initrd", "FILE", "initial RAM disk handed to the kernel", .set = set_initrd},
    {"cmdline", "TEXT", "kernel command line, in place of the default", .set = set_cmdline},
    {"dump-dtb", "FILE", "write the guest's device tree to FILE (arm64)", .set = set_dump_dtb},
    {"cpus", "N", "number of vCPUs (default 1)", .set = set_cpus, .flags = SETTING_NUMBER},
    {"memory", "SIZE", "guest memory, such as 512M or 2G (default 256M)", .set = set_memory,
     .flags = SETTING_OR_NUMBER},
    {"huge-pages", "off|advise|2M|1G",
     "pages of guest memory: small; huge if the host has some (advise, default); reserved", .set = set_huge_pages},
};
static const struct setting last_keys[] = {
    {"no-acpi", NULL, "describe the machine by MP table and command line (x86)", .set = set_no_acpi},
    {"record", "on|off", "count and time every VM exit, for --stats (default on)", .set = set_record},
    {"name", "NAME", "name of the VM in messages and reports", .set = set_name},
    {"timeout", "TIME", "end the VM after so long, with status 124: 30s, 1500ms; a bare number is of seconds",
     .set = set_timeout, .flags = SETTING_OR_NUMBER},
    {"cpu-affinity", "VCPU=CPUS", "pin vCPU threads: 0=2, 1-3=4-7, all=0-3,6, io=1 for the I/O thread",
     .set = config_set_affinity, .flags = SETTING_REPEATED},
    {"slice", "TIME", "time slice of the vCPU threads, 100us to 100ms (Linux 6.12 and later)", .set = config_set_slice},
    {"nice", "N|VCPU=N", "nice value of the vCPU threads, of some (0=5) or of the I/O thread (io=5)", config_set_nice,
     .flags = SETTING_REPEATED | SETTING_OR_NUMBER},
    {"cgroup", "PATH", "put the VM's threads into a group of their own in this cgroup", .set = config_set_cgroup},
    {"cgroup-threads", "all|vcpus", "which join: vCPUs, I/O and disks (the default), or the vCPUs alone",
     .set = config_set_cgroup_threads},
    {"cgroup-weight", "N", "CPU weight of that group, 1 to 10000 (the kernel's default is 100)", config_set_weight,
     .flags = SETTING_NUMBER},
    {"cgroup-max", "PERCENT|QUOTA/PERIOD", "CPU time that group has at most: 50%, or microseconds",
     .set = config_set_max},
    {"halt-poll", "TIME", "how long KVM polls before a halted vCPU sleeps; 0 is not at all", config_set_halt_poll,
     .flags = SETTING_OR_NUMBER},
    {"core-scheduling", NULL, "let no other program share a core with the vCPU threads", .set = config_set_core},
};
#define COUNT_OF(table) (sizeof(table) / sizeof((table)[0]))

static struct config_found nth_key(const struct device_kind *const *kinds, unsigned index)
{
    if (index < COUNT_OF(first_keys)) return (struct config_found){&first_keys[index], NULL};
    index -= (unsigned)COUNT_OF(first_keys);
    for (unsigned k = 0; kinds[k]; k++)
        for (unsigned i = 0; i < DEVICE_KEYS && kinds[k]->key[i].name; i++)
            if (index-- == 0) return (struct config_found){&kinds[k]->key[i], kinds[k]};
    if (index < COUNT_OF(last_keys)) return (struct config_found){&last_keys[index], NULL};
    return (struct config_found){0};
}

const struct setting *config_key(const struct device_kind *const *kinds, unsigned index)
{
    return nth_key(kinds, index).key;
}

struct config_found config_find(const struct config *c, const char *name)
{
    for (unsigned i = 0;; i++) {
        const struct config_found f = nth_key(c->kinds, i);
        if (!f.key || strcmp(f.key->name, name) == 0) return f;
    }
}

static int add_device(struct config *c, struct config_found f, const char *value, struct err *e)
{
    struct device_draft d;
    int rc = device_begin(&d, f.kind, e);
    if (!rc) rc = device_parse(&d, value, e);
    if (!rc) rc = device_add(&d, c, e);
    device_end(&d);
    return err_wrap(e, rc, "%s " VALUE_SHOWN, f.key->name, value);
}

static int unknown_key(const struct config *c, const char *key, struct err *e)
{
    const char *names[KEYS_MAX + 1] = {NULL};
    const struct setting *k;
    for (unsigned i = 0; i < KEYS_MAX && (k = config_key(c->kinds, i)) != NULL; i++) names[i] = k->name;
    err_set(e, -ENOENT, "unknown key \"" VALUE_SHOWN "\"", key);
    nearest_err_hint(e, key, WORDS_IN(names));
    err_hint(e, "`vireo run --help` lists the keys");
    return -ENOENT;
}

int config_set(struct config *c, const char *key, const char *value, struct err *e)
{
    const struct config_found f = config_find(c, key);
    if (!f.key) return unknown_key(c, key, e);
    if (f.key->set) return f.key->set(c, value, e);
    return config_adds_devices(f) ? add_device(c, f, value, e) : device_switch(c, f.kind, value, e);
}

/* ---- what only the whole tells ---- */

/* Bytes of the pages that guest memory is made of. */
static uint64_t page_of(const struct config *c)
{
    switch (c->huge_pages) {
    case HUGE_PAGES_2M: return 2ULL << 20;
    case HUGE_PAGES_1G: return 1ULL << 30;
    default: return CONFIG_MEMORY_STEP;
    }
}

static int check_memory(const struct config *c, struct err *e)
{
    struct sysinfo si;
    char shown[VALUE_SIZE_MAX], page[VALUE_SIZE_MAX];
    if (c->memory % page_of(c) != 0) {
        value_show_size(c->memory, shown);
        value_show_size(page_of(c), page);
        return err_set(e, -EINVAL, "memory %s: huge-pages %s makes it of whole pages; ask for a multiple of %s", shown,
                       page, page);
    }
    if (sysinfo(&si) < 0) return err_errno(e, "memory: ask how much this host has");
    const uint64_t total = (uint64_t)si.totalram * si.mem_unit;
    if (c->memory <= total) return 0;
    value_show_size(c->memory, shown);
    return err_set(e, -E2BIG, "memory %s: this host has %lluM; ask for less", shown, (unsigned long long)(total >> 20));
}

int config_check(const struct config *c, struct err *e)
{
    if (config_has_initrd(c) && !config_has_kernel(c))
        return err_set(e, -EINVAL, "initrd " VALUE_SHOWN ": there is no kernel to use it; give one, or leave it out",
                       c->initrd ? c->initrd : "in memory");
    int rc = check_memory(c, e);
    if (rc == 0) rc = config_devices_check(c, e);
    if (rc == 0) rc = config_sched_check(c, e);
    return rc;
}
