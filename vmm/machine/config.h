/* A machine's configuration: from key = value strings to checked numbers and paths.
 *
 * One table of keys feeds the CLI's flags, the JSON file, the library's vireo_config_set and the help text. A key that
 * repeats (disk, net) appends. Values are checked when they are set (form) and once more by config_check (together).
 * Owned by one thread at a time. */
#ifndef VIREO_MACHINE_CONFIG_H
#define VIREO_MACHINE_CONFIG_H

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/err.h"

#define CONFIG_MAX_DISKS   16 /* half of the 32 virtio-mmio slots */
#define CONFIG_MAX_NETS    8
#define CONFIG_ID_MAX      32           /* an id or name: letters, digits, - _ . */
#define CONFIG_CMDLINE_MAX 2048         /* x86 COMMAND_LINE_SIZE, arm64's as well; includes the NUL */
#define CONFIG_MAX_CPUS    64           /* one GIC redistributor region, one MADT page; machines are micro */
#define CONFIG_MEMORY_MIN  (2ULL << 20) /* one huge page: the embedded guest and every boot table fit below it */
#define CONFIG_MEMORY_STEP 4096         /* KVM maps whole pages (api.rst 4.35) */
#define CONFIG_NICE_MIN    (-20)        /* setpriority(2) */
#define CONFIG_NICE_MAX    19
#define CONFIG_SLICE_MIN   100000ULL     /* ns: what the kernel clamps a custom slice to, 0.1 to 100 ms */
#define CONFIG_SLICE_MAX   100000000ULL  /* ns */
#define CONFIG_POLL_MAX    1000000000ULL /* ns: a second of a CPU for every halt is more than anyone means */
#define CONFIG_WEIGHT_MAX  10000         /* cgroup-v2.rst, cpu.weight: 1 to 10000, 100 when nothing is said */
#define CONFIG_QUOTA_MIN   1000ULL       /* us, of quota and period: sched-bwc.rst */
#define CONFIG_PERIOD_MAX  1000000ULL
#define CONFIG_PERIOD      100000ULL            /* us: the kernel's own default, for a percentage */
#define CONFIG_TIMEOUT_MAX (366 * 24 * 60 * 60) /* a year: in milliseconds it still fits 64 bits with ease */
#define CONFIG_CONSOLE_MAX (64ULL << 20)        /* by default: the log of years, and no file system is full of it */
#define CONFIG_JSON_MAX    (1u << 20) /* the largest sensible file is a few KiB; the parser keeps it all in memory */
#define CONFIG_JSON_DEPTH  3          /* the object, a list in it, an object in that */

struct disk_config {
    char *path;
    char id[CONFIG_ID_MAX + 1];
    char serial[20 + 1]; /* VIRTIO 1.2, 5.2.6: 20 bytes */
    bool is_readonly;
};

struct net_config {
    char tap[16]; /* IFNAMSIZ; "" when fd is used */
    int fd;       /* -1: none */
    char id[CONFIG_ID_MAX + 1];
    uint8_t mac[6];
    bool has_mac;
    uint16_t mtu; /* 0: not said */
};

/* How the host schedules one thread. Zeros: as the thread that starts the machine. */
struct thread_config {
    bool has_cpus;
    cpu_set_t cpus; /* it runs on no others */
    bool has_nice;
    int nice;
};

struct sched_config {
    struct thread_config vcpu[CONFIG_MAX_CPUS], io;
    unsigned named;    /* the highest vCPU a key named, plus 1: config_check holds it against cpus */
    uint64_t slice_ns; /* of the vCPU threads; 0: the kernel's */
    char *cgroup;      /* an existing cgroup directory, below which the machine gets its own; NULL: none */
    unsigned weight;   /* of that group, as cpu.weight; 0: the kernel's 100 */
    uint64_t quota_us; /* CPU time that the group has in each period_us; 0: no cap */
    uint64_t period_us;
    bool has_halt_poll;
    uint64_t halt_poll_ns; /* how long KVM polls at most before a halted vCPU sleeps */
    bool has_core;         /* a core-scheduling cookie for the vCPU threads */
};

enum config_console { CONSOLE_OFF, CONSOLE_STDIO, CONSOLE_FILE, CONSOLE_PTY };

struct config {
    char name[CONFIG_ID_MAX + 1]; /* "" : none */
    char *kernel, *initrd;        /* NULL: embedded guest / none */
    char *cmdline;                /* NULL: the arch's default */
    char *dump_dtb;               /* NULL: the device tree is not written to a file */
    unsigned cpus;                /* 1.. */
    uint64_t memory;              /* bytes */
    struct disk_config disk[CONFIG_MAX_DISKS];
    unsigned disk_count;
    struct net_config net[CONFIG_MAX_NETS];
    unsigned net_count;
    enum config_console console;
    char *console_path;
    uint64_t console_max; /* bytes that the guest may add to a file; 0: no bound */
    bool has_escape;      /* Ctrl-A x on stdio ends the VM: the CLI asks for it when stdin is a terminal */
    bool has_rng, has_acpi;
    bool has_record;            /* every exit is counted and timed: vmm/core/record.h */
    unsigned timeout_s;         /* 0: none */
    struct sched_config *sched; /* NULL: no key asks for anything; config_sched makes it */
};

/* One row of the table, also for help texts and man page checks. */
struct config_key {
    const char *name; /* "disk"; the flag is --disk */
    const char *arg;  /* "path=FILE[,readonly]..." or NULL: a switch (values true / false in JSON) */
    const char *help; /* one line */
    bool is_repeated;
    int (*set)(struct config *c, const char *value, struct err *e);
};

void config_init(struct config *c); /* defaults: 1 vCPU, 256 MiB, console stdio, rng off, ACPI and recorder on */
void config_fini(struct config *c); /* legal twice */

/* c->sched, made if there is none; NULL: out of memory. */
struct sched_config *config_sched(struct config *c);

const struct config_key *config_key(unsigned index); /* NULL past the end */
/* The one of the names (name(i), NULL past the end) that word was most likely meant to be: it begins so, or a slip of
 * the keyboard away. NULL: none is near. */
const char *config_nearest(const char *word, const char *(*name)(const void *arg, unsigned i), const void *arg);
/* Unknown key: ERR_CONFIG, with the nearest known one as hint. A key that does not repeat may be set twice: last wins.
 * On error c is as it was. In a disk or net a doubled comma is a comma of the value. */
int config_set(struct config *c, const char *key, const char *value, struct err *e);
/* A JSON object with the same keys; a key that repeats takes one value or a list of them, and a disk or net is a string
 * or an object ({"path": ..., "readonly": true}). Numbers are whole; switches are true or false. Duplicate keys and
 * more than CONFIG_JSON_DEPTH levels are refused. Errors name the line; the keys before the faulty one stay set. */
int config_load_json(struct config *c, const char *text, size_t len, struct err *e);
/* What only the whole tells: same id twice, same disk twice, initrd without kernel, more memory than the host has, a
 * net fd that isn't open, ... Opens nothing. */
int config_check(const struct config *c, struct err *e);

#endif
