/* A machine's configuration: from key = value strings to checked numbers and paths.
 *
 * One table of keys feeds the CLI's flags, the JSON file, the library's vireo_config_set and the help text. A key that
 * repeats (disk, net) appends. Values are checked when they are set (form) and once more by config_check (together).
 * Owned by one thread at a time. */
#ifndef VIREO_CONFIG_CONFIG_H
#define VIREO_CONFIG_CONFIG_H

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/err.h"
#include "vmm/base/file.h"
#include "vmm/base/setting.h"

#define CONFIG_MAX_DEVICES 32                       /* as many as a machine has virtio-mmio slots */
#define CONFIG_MAX_FILES   (CONFIG_MAX_DEVICES + 5) /* kernel, initrd, console, device tree, the configuration itself */
#define CONFIG_LABEL_MAX   32                       /* a kind of device and its number */
#define CONFIG_ID_MAX      32                       /* an id or name: letters, digits, - _ . */
#define CONFIG_CMDLINE_MAX 2048                     /* x86 COMMAND_LINE_SIZE, arm64's as well; includes the NUL */
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
#define CONFIG_TIMEOUT_MAX (366 * 24 * 60 * 60) /* s, a year: in nanoseconds it still fits 64 bits with ease */
#define CONFIG_CONSOLE_MAX (64ULL << 20)        /* by default: the log of years, and no file system is full of it */
#define CONFIG_JSON_MAX    (1u << 20) /* the largest sensible file is a few KiB; the parser keeps it all in memory */
#define CONFIG_JSON_DEPTH  3          /* the object, a list in it, an object in that */

struct device_kind; /* vmm/config/device.h */

/* A device that was asked for. */
struct config_device {
    const struct device_kind *kind;
    unsigned index;               /* among those of its kind */
    char label[CONFIG_LABEL_MAX]; /* "disk 3", as messages call it */
    char id[CONFIG_ID_MAX + 1];   /* "": none */
    void *settings;               /* as its kind has them; NULL: a switch added it */
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
    bool has_vcpus_alone; /* the I/O thread and those of disks stay out of the group */
    bool has_halt_poll;
    uint64_t halt_poll_ns; /* how long KVM polls at most before a halted vCPU sleeps */
    bool has_core;         /* a core-scheduling cookie for the vCPU threads */
};

/* A kernel or initrd that the program which embeds us has at hand: bytes in memory, or an open file that is read from
 * its start, its offset left alone. Borrowed: theirs to keep until no machine is made of the configuration any more. */
struct config_image {
    const void *data; /* NULL: none, or the file */
    uint64_t size;
    int fd;
    bool has_fd;
};

enum config_huge_pages { HUGE_PAGES_ADVISE, HUGE_PAGES_OFF, HUGE_PAGES_2M, HUGE_PAGES_1G };
enum config_console { CONSOLE_OFF, CONSOLE_STDIO, CONSOLE_FILE, CONSOLE_PTY };

struct config {
    char name[CONFIG_ID_MAX + 1]; /* "" : none */
    char *kernel, *initrd;        /* NULL: embedded guest / none, or the image below */
    struct config_image kernel_image, initrd_image;
    char *cmdline;   /* NULL: the arch's default */
    char *dump_dtb;  /* NULL: the device tree is not written to a file */
    char *source;    /* the file the keys came from; NULL: none, or not known */
    unsigned cpus;   /* 1.. */
    uint64_t memory; /* bytes */
    enum config_huge_pages huge_pages;
    /* The kinds of devices that there may be, NULL behind the last. */
    const struct device_kind *const *kinds;
    /* In the order in which they were asked for. */
    struct config_device device[CONFIG_MAX_DEVICES];
    unsigned device_count;
    enum config_console console;
    char *console_path;
    uint64_t console_max;    /* bytes that the guest may add to a file; 0: no bound */
    bool has_virtio_console; /* beside the serial port, which every machine has */
    bool has_escape;         /* Ctrl-A x on stdio ends the VM: the CLI asks for it when stdin is a terminal */
    bool has_acpi;
    bool has_record;            /* every exit is counted and timed: vmm/core/record.h */
    uint64_t timeout_ms;        /* 0: none */
    struct sched_config *sched; /* NULL: no key asks for anything; config_sched makes it */
};

/* Defaults: 1 vCPU, 256 MiB, console stdio on both devices, ACPI, recorder. The kinds are borrowed. */
void config_init(struct config *c, const struct device_kind *const *kinds);
/* Free what it owns; it is then as after config_init. Legal twice. */
void config_fini(struct config *c);

/* c->sched, made if there is none; NULL: out of memory. */
struct sched_config *config_sched(struct config *c);

/* The index-th key, those of the kinds among them, whose `set` takes a struct config; NULL past the end. */
const struct setting *config_key(const struct device_kind *const *kinds, unsigned index);
/* The n-th device of a kind, from 0; NULL: there are fewer. */
const struct config_device *config_device(const struct config *c, const struct device_kind *kind, unsigned n);
unsigned config_device_count(const struct config *c, const struct device_kind *kind);
/* Unknown key: ERR_CONFIG, with the nearest known one as hint. A key that does not repeat may be set twice: last wins.
 * On error c is as it was. In a device a doubled comma is a comma of the value. */
int config_set(struct config *c, const char *key, const char *value, struct err *e);
/* A JSON object with the same keys; a key that repeats takes one value or a list of them, and a device is a string
 * or an object ({"path": ..., "readonly": true}). Types are strict: text is a string, a number a whole number, a switch
 * true or false, as the table says; null is a key that isn't set. An unknown key is told before its value's type.
 * Duplicate keys and more than CONFIG_JSON_DEPTH levels are refused. Errors name the line; the keys before the faulty
 * one stay set. */
int config_load_json(struct config *c, const char *text, size_t len, struct err *e);
/* In place of the path of key, "kernel" or "initrd"; a path that is set later takes its place in turn. */
int config_set_image(struct config *c, const char *key, const struct config_image *image, struct err *e);
bool config_has_kernel(const struct config *c); /* of the user's, from wherever */
bool config_has_initrd(const struct config *c);
/* What only the whole tells: same id twice, same disk twice, initrd without kernel, more memory than the host has, a
 * net fd that isn't open, ... Opens nothing. */
int config_check(const struct config *c, struct err *e);

/* The files that a configuration names, its own included, into out; how many. The strings are c's. */
unsigned config_files(const struct config *c, struct file_name out[CONFIG_MAX_FILES]);
/* What none of its outputs may be: these files but the one of the given path (that very pointer), and the process's
 * standard ones, which a name such as /dev/stdout leads to as well. */
#define CONFIG_MAX_OTHERS (CONFIG_MAX_FILES + 3)
unsigned config_others(const struct config *c, const char *path, struct file_name out[CONFIG_MAX_OTHERS]);
/* Is one that is written (the console's, the device tree's) one that is read, or the other one, or where the
 * process's own output goes, or locked by somebody?
 * Looks at files and makes none. */
int config_check_files(const struct config *c, struct err *e);

#endif
