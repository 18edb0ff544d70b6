/* The guests that are part of the programs, each an ELF64 (x86) or a flat Image (arm64): the default one, booted when
 * no kernel is given, in vireo, and those that measure, in vireo-bench. */
#ifndef VIREO_GUEST_EMBED_H
#define VIREO_GUEST_EMBED_H

extern const unsigned char guest_default_start[], guest_default_end[];
extern const unsigned char guest_bench_start[], guest_bench_end[]; /* guest/bench: VM exits, one row at a time */
extern const unsigned char guest_fair_start[], guest_fair_end[];   /* guest/fair: works that compete for CPUs */

/* guest/work: a static Linux program, for sandboxes. */
extern const unsigned char guest_work_start[], guest_work_end[];

/* The serial of the one disk the guest writes to; any other disk may hold somebody's data and is only read. */
#define GUEST_SCRATCH_DISK_ID "vireo-ramdisk"

#endif
