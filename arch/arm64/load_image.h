/* From a kernel file to guest memory and an entry point. Four forms:
 *
 *   Image        a 64-byte header says how far above a 2 MiB boundary it goes and how much memory it takes
 *   gzip         one of the others, compressed
 *   EFI zboot    an EFI program that carries a compressed Image; it is unpacked here, not run
 *   flat         no header, as bare-metal test kernels are linked: goes to a fixed offset, entered at its first byte
 *
 * (Documentation/arch/arm64/booting.rst; the zboot header: drivers/firmware/efi/libstub/zboot-header.S.) Images are not
 * trusted: every number in them is checked against the file and the memory. Errors say what is wrong without naming the
 * file: the caller wraps them. Knows no KVM. Nothing of the guest runs yet; control thread. */
#ifndef VIREO_ARM64_LOAD_IMAGE_H
#define VIREO_ARM64_LOAD_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/image.h"
#include "vmm/base/err.h"
#include "vmm/core/gmem.h"

#define IMAGE_BASE_ALIGN  (2ULL << 20)   /* booting.rst: text_offset counts from such a boundary */
#define IMAGE_FLAT_OFFSET 0x80000ULL     /* where flat kernels expect themselves; Linux's text_offset before 5.8 */
#define IMAGE_MAX_BYTES   (256ULL << 20) /* unpacked: four distribution kernels, and an end to a gzip bomb */

/* The page sizes a guest can use here, as ID_AA64MMFR0_EL1 tells. */
#define IMAGE_PAGES_4K  (1u << 1)
#define IMAGE_PAGES_16K (1u << 2)
#define IMAGE_PAGES_64K (1u << 3)

/* Where it may go. */
struct image_window {
    const struct gmem *mem;
    uint64_t base, end;  /* RAM; base is IMAGE_BASE_ALIGN aligned */
    unsigned page_sizes; /* IMAGE_PAGES_* */
};

struct loaded {
    uint64_t entry;
    uint64_t end; /* first byte after what the kernel says it occupies; a flat one: after its file */
    bool is_flat;
};

/* -ENOEXEC and one sentence when it can't be. */
int load_kernel(const struct image *img, const struct image_window *w, struct loaded *out, struct err *e);

/* Where an initrd may go: right below the device tree, or above it when only there is room. */
struct initrd_room {
    const struct gmem *mem;
    uint64_t base, kernel_end;
    uint64_t dtb, dtb_end; /* taken by the device tree */
};
int load_initrd(const struct image *img, const struct initrd_room *r, uint64_t *gpa, struct err *e);

#endif
