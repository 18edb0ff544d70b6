/* Kernel and initrd from their files to guest memory, at once or with a head start (arch.h). */
#ifndef VIREO_X86_IMAGES_H
#define VIREO_X86_IMAGES_H

#include "arch/arch.h"
#include "arch/x86/bootparams.h"
#include "arch/x86/load.h"

/* Fills *k, and of *info where the initrd is. Errors are ERR_KERNEL and name the file. */
int images_load(const struct gmem *mem, const struct arch_boot *b, struct loaded *k, struct boot_info *info,
                struct err *e);
/* The same from a head start: waits for it, then tells what it came to. Once. */
int images_take(struct arch_images *i, struct loaded *k, struct boot_info *info, struct err *e);

/* A step of loading failed: whose fault it is, and which file. rc is handed through, 0 too. */
int images_blame(struct err *e, int rc, const char *what, const char *name);

#endif
