/* The device tree: what the guest is told about its machine (Devicetree Specification 0.4; the bindings in Linux'
 * Documentation/devicetree/bindings). A pure function of the description, so that it can be compared with a golden
 * text. */
#ifndef VIREO_ARM64_FDT_H
#define VIREO_ARM64_FDT_H

#include <stddef.h>
#include <stdint.h>

#include "arch/arch.h"
#include "arch/arm64/gic.h"

#define FDT_MAX_BYTES   65536 /* 64 vCPUs, 32 slots and a full command line take a quarter; booting.rst allows 2 MiB */
#define FDT_CMDLINE_MAX 2047  /* COMMAND_LINE_SIZE of arm64 Linux, without its NUL */
#define FDT_SEED_BYTES  64    /* 8 for kaslr-seed, the rest for rng-seed */

struct fdt_machine {
    uint64_t ram_base, ram_size;
    const uint64_t *mpidr; /* affinity of each vCPU */
    unsigned cpus;
    enum gic_version gic;
    const struct arch_slot *slots;
    unsigned slot_count;
    const char *cmdline;
    uint64_t initrd_start, initrd_end; /* equal: none */
    uint8_t seed[FDT_SEED_BYTES];      /* random; told to this guest and nobody else */
};

/* Build the blob in buf (8-byte aligned). Its size, or -errno: the command line or the tree is too long for size. */
int fdt_build(void *buf, size_t size, const struct fdt_machine *m, struct err *e);

#endif
