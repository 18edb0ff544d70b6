/* One row of a table of settings: the keys of a configuration, the words of one device ("readonly" of --disk), the
 * options of a bench and of a subcommand. Tables are const and end with a row without a name.
 *
 * Every door reads the same row: command line, JSON file, library, help text, completion. */
#ifndef VIREO_BASE_SETTING_H
#define VIREO_BASE_SETTING_H

#include <stdbool.h>
#include <stddef.h>

#include "vmm/base/err.h"

/* What a setting takes in JSON. A switch is true or false; anything else is a string, unless a number is said. */
enum setting_flags {
    SETTING_REPEATED = 1 << 0,  /* it appends; a list of values too */
    SETTING_NUMBER = 1 << 1,    /* a whole number */
    SETTING_OR_NUMBER = 1 << 2, /* a string or a whole number: what has a unit where it needs one */
};

struct setting {
    const char *name; /* "disk"; the flag is --disk */
    const char *arg;  /* "FILE" a value that must come, "[FILE]" one that may, as --name=FILE; NULL: a switch */
    const char *help; /* one line; NULL: its table is not shown as help */
    /* Check the value's form and keep it in `of`, the struct that the table is about. 0 or -errno. NULL: the table's
     * owner says what happens instead. */
    int (*set)(void *of, const char *value, struct err *e);
    size_t at;      /* without `set`: the member that keeps the value; the table's owner says of which type */
    unsigned flags; /* of setting_flags */
};

#endif
