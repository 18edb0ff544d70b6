#include "vmm/config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "vmm/base/nearest.h"
#include "vmm/config/item.h"
#include "vmm/config/sched.h"
#include "vmm/config/value.h"

#define NS_PER_S       1000000000ULL
#define NS_PER_MS      1000000ULL
#define DEFAULT_MEMORY (256ULL << 20) /* boots a stock distribution kernel with an initramfs */

void config_init(struct config *c)
{
    *c = (struct config){
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
    for (unsigned i = 0; i < c->disk_count; i++) free(c->disk[i].path);
    free(c->kernel);
    free(c->initrd);
    free(c->dump_dtb);
    free(c->cmdline);
    free(c->console_path);
    free(c->source);
    config_sched_fini(c);
    config_init(c);
}

/* ---- setters, one per key ---- */

static int set_kernel(struct config *c, const char *value, struct err *e)
{
    const int rc = value_path("kernel", value, &c->kernel, e);
    if (!rc) c->kernel_image = (struct config_image){0};
    return rc;
}

static int set_initrd(struct config *c, const char *value, struct err *e)
{
    const int rc = value_path("initrd", value, &c->initrd, e);
    if (!rc) c->initrd_image = (struct config_image){0};
    return rc;
}

static int set_dump_dtb(struct config *c, const char *value, struct err *e)
{
    return value_path("dump-dtb", value, &c->dump_dtb, e);
}

static int set_cmdline(struct config *c, const char *value, struct err *e)
{
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

static int set_cpus(struct config *c, const char *value, struct err *e)
{
    uint64_t n;
    if (!value_u64(value, &n) || n < 1 || n > CONFIG_MAX_CPUS)
        return err_set(e, -EINVAL, "cpus " VALUE_SHOWN ": must be a whole number from 1 to %d", value, CONFIG_MAX_CPUS);
    c->cpus = (unsigned)n;
    return 0;
}

static int set_memory(struct config *c, const char *value, struct err *e)
{
    uint64_t n;
    char shown[VALUE_SIZE_MAX];
    if (!value_size(value, &n))
        return err_set(e, -EINVAL, "memory " VALUE_SHOWN ": not a size; write 256M, 1G or a number of bytes", value);
    value_show_size(n, shown); /* as it was understood: 512 is 512 bytes, which not everybody means */
    if (n < CONFIG_MEMORY_MIN) {
        err_set(e, -EINVAL, "memory %s: too small; the least a machine can have is %lluM", shown,
                CONFIG_MEMORY_MIN >> 20);
        if (value_u64(value, &n) && n >= CONFIG_MEMORY_MIN >> 20)
            err_hint(e, "a number without a unit is bytes: write %sM", value);
        return -EINVAL;
    }
    if (n % CONFIG_MEMORY_STEP != 0)
        return err_set(e, -EINVAL, "memory %s: not a multiple of %d bytes; write it in K or M", shown,
                       CONFIG_MEMORY_STEP);
    c->memory = n;
    return 0;
}

static int set_item(struct config *c, const char *key, const char *value, struct err *e)
{
    struct config_item it;
    item_init(&it, item_type_find(key));
    int rc = item_parse(&it, value, e);
    if (rc == 0) rc = item_add(&it, c, e);
    item_fini(&it);
    return err_wrap(e, rc, "%s " VALUE_SHOWN, key, value);
}

static int set_disk(struct config *c, const char *value, struct err *e)
{
    return set_item(c, "disk", value, e);
}

static int set_net(struct config *c, const char *value, struct err *e)
{
    return set_item(c, "net", value, e);
}

static int set_console(struct config *c, const char *value, struct err *e)
{
    static const struct {
        const char *word;
        enum config_console console;
    } words[] = {{"off", CONSOLE_OFF}, {"stdio", CONSOLE_STDIO}, {"pty", CONSOLE_PTY}};
    static const char file[] = "file=";

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(value, words[i].word) != 0) continue;
        c->console = words[i].console;
        return 0;
    }
    if (strncmp(value, file, sizeof(file) - 1) != 0)
        return err_set(e, -EINVAL, "console " VALUE_SHOWN ": must be stdio, file=PATH, pty or off", value);
    const int rc = value_path("console", value + sizeof(file) - 1, &c->console_path, e);
    if (rc == 0) c->console = CONSOLE_FILE;
    return rc;
}

static int set_console_max(struct config *c, const char *value, struct err *e)
{
    uint64_t n;
    if (!value_size(value, &n) || n > INT64_MAX)
        return err_set(e, -EINVAL, "console-max " VALUE_SHOWN ": not a size; write 64M, 1G or 0 for no bound", value);
    c->console_max = n;
    return 0;
}

static int set_console_device(struct config *c, const char *value, struct err *e)
{
    const bool is_serial = strcmp(value, "serial") == 0;
    if (!is_serial && strcmp(value, "both") != 0)
        return err_set(e, -EINVAL, "console-device " VALUE_SHOWN ": must be both or serial", value);
    c->has_virtio_console = !is_serial;
    return 0;
}

static int set_switch(const char *key, bool *out, const char *value, struct err *e)
{
    if (value_bool(value, out)) return 0;
    return err_set(e, -EINVAL, "%s " VALUE_SHOWN ": must be true or false", key, value);
}

static int set_escape(struct config *c, const char *value, struct err *e)
{
    return set_switch("escape", &c->has_escape, value, e);
}

static int set_rng(struct config *c, const char *value, struct err *e)
{
    return set_switch("rng", &c->has_rng, value, e);
}

static int set_no_acpi(struct config *c, const char *value, struct err *e)
{
    bool is_without = false;
    const int rc = set_switch("no-acpi", &is_without, value, e);
    if (rc == 0) c->has_acpi = !is_without;
    return rc;
}

static int set_record(struct config *c, const char *value, struct err *e)
{
    const bool is_on = strcmp(value, "on") == 0;
    if (!is_on && strcmp(value, "off") != 0)
        return err_set(e, -EINVAL, "record " VALUE_SHOWN ": must be on or off", value);
    c->has_record = is_on;
    return 0;
}

static int set_name(struct config *c, const char *value, struct err *e)
{
    return value_id("name", value, c->name, e);
}

/* A bare number is of seconds, as it was before there were units. */
static int set_timeout(struct config *c, const char *value, struct err *e)
{
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

/* The table. Its order is the help text's. */
static const struct config_key keys[] = {
    {"kernel", "FILE", "bzImage or ELF kernel to boot; without it the built-in guest runs", KEY_TEXT, set_kernel},
    {"initrd", "FILE", "initial RAM disk handed to the kernel", KEY_TEXT, set_initrd},
    {"cmdline", "TEXT", "kernel command line, in place of the default", KEY_TEXT, set_cmdline},
    {"dump-dtb", "FILE", "write the guest's device tree to FILE (arm64)", KEY_TEXT, set_dump_dtb},
    {"cpus", "N", "number of vCPUs (default 1)", KEY_NUMBER, set_cpus},
    {"memory", "SIZE", "guest memory, such as 512M or 2G (default 256M)", KEY_OR_NUMBER, set_memory},
    {"disk", "path=FILE[,readonly][,id=ID][,serial=TEXT][,block-size=N][,lock=off][,format=raw]",
     "add a disk; FILE is a raw image or block device", KEY_REPEATED, set_disk},
    {"net", "tap=NAME|fd=N[,mac=MAC][,mtu=N][,id=ID]", "add a network card on a tap device", KEY_REPEATED, set_net},
    {"console", "stdio|file=PATH|pty|off", "where the guest's console goes (default stdio)", KEY_TEXT, set_console},
    {"console-max", "SIZE", "what the guest may write to a console's file; 0: all (default 64M)", KEY_OR_NUMBER,
     set_console_max},
    {"console-device", "both|serial", "serial port and virtio console, or the serial port alone", KEY_TEXT,
     set_console_device},
    {"escape", NULL, "Ctrl-A x ends the VM; on by itself when a terminal is the console", KEY_TEXT, set_escape},
    {"rng", NULL, "add an entropy device", KEY_TEXT, set_rng},
    {"no-acpi", NULL, "describe the machine by MP table and command line (x86)", KEY_TEXT, set_no_acpi},
    {"record", "on|off", "count and time every VM exit, for --stats (default on)", KEY_TEXT, set_record},
    {"name", "NAME", "name of the VM in messages and reports", KEY_TEXT, set_name},
    {"timeout", "TIME", "end the VM after so long, with status 124: 30s, 1500ms; a bare number is of seconds",
     KEY_OR_NUMBER, set_timeout},
    {"cpu-affinity", "VCPU=CPUS", "pin vCPU threads: 0=2, 1-3=4-7, all=0-3,6, io=1 for the I/O thread", KEY_REPEATED,
     config_set_affinity},
    {"slice", "TIME", "time slice of the vCPU threads, 100us to 100ms (Linux 6.12 and later)", KEY_TEXT,
     config_set_slice},
    {"nice", "N|VCPU=N", "nice value of the vCPU threads, of some (0=5) or of the I/O thread (io=5)",
     KEY_REPEATED | KEY_OR_NUMBER, config_set_nice},
    {"cgroup", "PATH", "put the VM's threads into a group of their own in this cgroup", KEY_TEXT, config_set_cgroup},
    {"cgroup-threads", "all|vcpus", "which join: vCPUs, I/O and disks (the default), or the vCPUs alone", KEY_TEXT,
     config_set_cgroup_threads},
    {"cgroup-weight", "N", "CPU weight of that group, 1 to 10000 (the kernel's default is 100)", KEY_NUMBER,
     config_set_weight},
    {"cgroup-max", "PERCENT|QUOTA/PERIOD", "CPU time that group has at most: 50%, or microseconds", KEY_TEXT,
     config_set_max},
    {"halt-poll", "TIME", "how long KVM polls before a halted vCPU sleeps; 0 is not at all", KEY_OR_NUMBER,
     config_set_halt_poll},
    {"core-scheduling", NULL, "let no other program share a core with the vCPU threads", KEY_TEXT, config_set_core},
};
#define KEY_COUNT (sizeof(keys) / sizeof(keys[0]))

const struct config_key *config_key(unsigned index)
{
    return index < KEY_COUNT ? &keys[index] : NULL;
}

const struct config_key *config_key_find(const char *name)
{
    for (unsigned i = 0; i < KEY_COUNT; i++)
        if (strcmp(keys[i].name, name) == 0) return &keys[i];
    return NULL;
}

int config_set(struct config *c, const char *key, const char *value, struct err *e)
{
    const struct config_key *known = config_key_find(key);
    if (known) return known->set(c, value, e);
    err_set(e, -ENOENT, "unknown key \"" VALUE_SHOWN "\"", key);
    nearest_err_hint(e, key, WORDS_OF(keys, name, KEY_COUNT));
    err_hint(e, "`vireo run --help` lists the keys");
    return -ENOENT;
}

/* ---- what only the whole tells ---- */

/* The same fd or interface twice: a tap has one queue, so the second attachment would fail with a bare EBUSY. */
static int check_nets(const struct config *c, struct err *e)
{
    for (unsigned i = 0; i < c->net_count; i++) {
        const struct net_config *n = &c->net[i];
        if (n->fd >= 0 && fcntl(n->fd, F_GETFD) < 0)
            return err_set(e, -EBADF,
                           "net %u: file descriptor %d is not open; pass an open tap, or name one with tap=", i, n->fd);
        for (unsigned j = 0; j < i; j++) {
            const struct net_config *o = &c->net[j];
            if (n->fd >= 0 && n->fd == o->fd)
                return err_set(e, -EEXIST, "net %u: file descriptor %d is net %u's already; open one for each", i,
                               n->fd, j);
            if (n->tap[0] && strcmp(n->tap, o->tap) == 0)
                return err_set(e, -EEXIST, "net %u: tap %s is net %u's already; make one for each", i, n->tap, j);
            if (n->has_mac && o->has_mac && memcmp(n->mac, o->mac, sizeof(n->mac)) == 0)
                return err_set(e, -EEXIST, "net %u: the same mac as net %u; change one", i, j);
        }
    }
    return 0;
}

/* Two readers may share an image; a writer may not share it with anyone. Other names of the same file are caught when
 * the disk is opened, by its lock. */
static int check_disks(const struct config *c, struct err *e)
{
    for (unsigned i = 0; i < c->disk_count; i++)
        for (unsigned j = 0; j < i; j++) {
            const struct disk_config *a = &c->disk[j], *b = &c->disk[i];
            if (strcmp(a->path, b->path) != 0 || (a->is_readonly && b->is_readonly)) continue;
            return err_set(e, -EEXIST,
                           "disk %u: " VALUE_SHOWN " is disk %u already, and one of them writes; "
                           "make both readonly or use a copy",
                           i, b->path, j);
        }
    return 0;
}

static const char *nth_id(const struct config *c, unsigned i)
{
    return i < c->disk_count ? c->disk[i].id : c->net[i - c->disk_count].id;
}

static int check_ids(const struct config *c, struct err *e)
{
    const unsigned count = c->disk_count + c->net_count;
    for (unsigned i = 0; i < count; i++)
        for (unsigned j = 0; j < i; j++)
            if (nth_id(c, i)[0] && strcmp(nth_id(c, i), nth_id(c, j)) == 0)
                return err_set(e, -EEXIST, "id %s: given to two devices; an id names one", nth_id(c, i));
    return 0;
}

static int check_memory(const struct config *c, struct err *e)
{
    struct sysinfo si;
    char shown[VALUE_SIZE_MAX];
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
    if (rc == 0) rc = check_disks(c, e);
    if (rc == 0) rc = check_nets(c, e);
    if (rc == 0) rc = check_ids(c, e);
    if (rc == 0) rc = config_sched_check(c, e);
    return rc;
}
