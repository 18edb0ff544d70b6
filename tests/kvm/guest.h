/* What every test begins with that runs a guest on /dev/kvm. What goes wrong here fails the test. */
#ifndef VIREO_TESTS_GUEST_H
#define VIREO_TESTS_GUEST_H

#include <stddef.h>

#include "guest/snippets/snippets.h"
#include "vmm/config/config.h"

/* To wait for the end of a machine. It comes at once; this is for a machine in trouble, or a crowded emulated one. */
#define GUEST_END_MS 60000

/* Without /dev/kvm the test is skipped, and does not return from here. */
void guest_needs_kvm(void);
/* A file in memory that holds this, the caller's to close; "/proc/self/fd/N" is its path. */
int guest_file(const void *bytes, size_t size);
int guest_file_of(const struct snippet *s, const struct snippet_args *args); /* the snippet as a kernel */
/* Make a key of c what the format says. */
void guest_set(struct config *c, const char *key, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
