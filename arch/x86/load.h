/* From a kernel image to guest memory and an entry point. Images are not trusted: every number in them is checked
 * against the file, the RAM and what the loader itself put there. Errors say what is wrong without naming the file: the
 * caller wraps them with "kernel PATH". Nothing of the guest runs yet; control thread. */
#ifndef VIREO_X86_LOAD_H
#define VIREO_X86_LOAD_H

#include <asm/bootparam.h>
#include <stdbool.h>
#include <stdint.h>

#include "arch/image.h"
#include "vmm/base/err.h"
#include "vmm/core/gmem.h"

enum boot_protocol {
    BOOT_LINUX64,   /* long mode, rsi = zero page (boot.rst, 64-bit boot protocol) */
    BOOT_PVH,       /* 32-bit, ebx = start info (Xen's HVM direct boot ABI) */
    BOOT_MULTIBOOT, /* 32-bit, eax = magic, ebx = info (Multiboot 0.6.96) */
};

struct loaded {
    enum boot_protocol protocol;
    uint64_t entry;
    uint64_t info;              /* where boot information goes: X86_BOOT_INFO, or beside the kernel */
    uint64_t end;               /* first byte after the kernel, unpacked, and after info if that lies above */
    uint64_t initrd_end;        /* the initrd must end at or below this */
    uint32_t cmdline_max;       /* characters */
    struct setup_header header; /* BOOT_LINUX64: what goes into the zero page */
};

/* Finds out the format and loads it. -ENOEXEC and one sentence when it can't be. */
int load_kernel(const struct image *img, const struct gmem *mem, struct loaded *out, struct err *e);
/* The formats, for load_kernel and tests. */
bool is_bzimage(const struct image *img);
int load_bzimage(const struct image *img, const struct gmem *mem, struct loaded *out, struct err *e);
bool is_elf(const struct image *img);
/* By the PVH note when the image has one, else by its Multiboot header, else by the 64-bit boot protocol. The last is
 * refused when a mark in the file says that it is made for another entry. */
int load_elf(const struct image *img, const struct gmem *mem, struct loaded *out, struct err *e);

struct multiboot_header {
    uint64_t off; /* in the file */
    uint32_t flags;
    uint32_t header_addr, load_addr, load_end, bss_end, entry; /* with MULTIBOOT_HAS_ADDRESSES */
};
#define MULTIBOOT_HAS_ADDRESSES (1u << 16)
bool multiboot_find(const struct image *img, struct multiboot_header *out);
/* Called when no format fits. -ENOEXEC when the image has a header that we can't boot by: of Multiboot 2, or of
 * Multiboot 1 where no boot loader looks. */
int multiboot_check_others(const struct image *img, struct err *e);
/* Refuses an image that needs features we don't have. */
int multiboot_check(const struct multiboot_header *h, struct err *e);
/* Loads an image whose header says where it goes. */
int load_multiboot(const struct image *img, const struct multiboot_header *h, const struct gmem *mem,
                   struct loaded *out, struct err *e);

/* ---- load_place.c ---- */

/* As high as the kernel allows, page aligned, above its end. */
int load_initrd(const struct image *img, const struct gmem *mem, const struct loaded *kernel, uint64_t *gpa,
                struct err *e);

#define LOAD_CMDLINE_MAX 2047 /* COMMAND_LINE_SIZE of x86 Linux, without its NUL */

/* End of RAM below the hole. */
uint64_t load_low_end(const struct gmem *mem);
/* A piece of a kernel, size > 0; `name` begins a sentence: "segment 2". */
struct load_piece {
    uint64_t gpa, size;
    char name[24];
};
/* May a kernel of this protocol occupy it? */
int load_check_place(const struct gmem *mem, enum boot_protocol protocol, const struct load_piece *piece,
                     struct err *e);
/* Chooses l->info so that it lies over no piece. The pieces have been checked. When info lies above the kernel, l->end
 * is raised. */
int load_place_info(const struct gmem *mem, const struct load_piece *pieces, unsigned count, struct loaded *l,
                    struct err *e);

#endif
