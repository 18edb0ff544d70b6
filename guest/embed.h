/* The default guest as part of the program: an ELF64 (x86) or a flat Image (arm64), booted when no kernel is given. */
#ifndef VIREO_GUEST_EMBED_H
#define VIREO_GUEST_EMBED_H

extern const unsigned char guest_default_start[], guest_default_end[];

/* The serial of the one disk the guest writes to; any other disk may hold somebody's data and is only read. */
#define GUEST_SCRATCH_DISK_ID "vireo-ramdisk"

#endif
