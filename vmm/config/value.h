/* From the text of one value to a checked value: strict forms, no leading blanks, signs or trailing garbage. */
#ifndef VIREO_CONFIG_VALUE_H
#define VIREO_CONFIG_VALUE_H

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/err.h"

/* How much of a user's value an error shows: the sentence around it must survive ERR_TEXT_MAX. */
#define VALUE_SHOWN "%.200s"

#define VALUE_SIZE_MAX 32 /* 20 digits and " bytes" */

bool value_u64(const char *s, uint64_t *out);  /* decimal digits only */
bool value_size(const char *s, uint64_t *out); /* digits, then one of K M G T (powers of 1024) or nothing */
/* The same as people write it, in the largest unit that leaves no rest: "256M", "100 bytes". */
void value_show_size(uint64_t bytes, char out[VALUE_SIZE_MAX]);
bool value_bool(const char *s, bool *out);     /* "true" or "false" */
bool value_time(const char *s, uint64_t *out); /* to ns: digits, then ns us ms s m; 0 needs no unit */
/* A list as the kernel writes and takes them, "0-3,6". Not empty, ascending ranges, CPUs below CPU_SETSIZE. */
bool value_cpus(const char *s, cpu_set_t *out);
bool value_mac(const char *s, uint8_t out[6]); /* six pairs of hex digits with ':' between */

/* "true" or "false" of the key called what. */
int value_switch(const char *what, const char *s, bool *out, struct err *e);
/* A name or id: 1 to CONFIG_ID_MAX of letters, digits, '-', '_', '.', the first of them a letter, a digit or '_': a
 * file is called by it, and it stands where options do. what: for the sentence. out: CONFIG_ID_MAX + 1. */
int value_id(const char *what, const char *s, char *out, struct err *e);
/* A file's path: not empty, shorter than PATH_MAX. *out, which may hold an old one, becomes the caller's copy. */
int value_path(const char *what, const char *s, char **out, struct err *e);

#endif
