/* Kernel and initrd go from their files to guest memory, at once or with a head start (arch.h). */
#ifndef VIREO_X86_IMAGES_H
#define VIREO_X86_IMAGES_H

#include "arch/arch.h"
#include "arch/x86/bootparams.h"
#include "arch/x86/load.h"

/* Fills *k, and in *info where the initrd is. Errors are ERR_KERNEL and name the file. */
int images_load(const struct gmem *mem, const struct arch_boot *b, struct loaded *k, struct boot_info *info,
                struct err *e);
/* Waits for a head start and returns what images_load would have. Once. */
int images_take(struct arch_images *i, struct loaded *k, struct boot_info *info, struct err *e);

/* Says which file a failed step of loading was about, and that it is to blame. Returns rc, also 0. */
int images_blame(struct err *e, int rc, const char *what, const char *name);

#endif
