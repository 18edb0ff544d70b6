/* The library's handles, and the way from the inner error to the public one. */
#ifndef VIREO_LIB_LIB_H
#define VIREO_LIB_LIB_H

#include <pthread.h>
#include <vireo.h>

#include "vmm/base/log_queue.h"
#include "vmm/machine/machine.h"
#include "vmm/machine/stats.h"

#define LIB_UUID_MAX 37 /* RFC 9562, 4: 36 characters, and the NUL */

struct vireo_config {
    struct config config;
    struct vireo_pool *pool; /* borrowed, or NULL */
};

struct vireo_vm {
    struct machine *machine;
    struct log_queue *log_queue; /* NULL: nobody listens */
    struct log log;              /* the machine's: into the queue */
    bool uses_stdio;
    struct vireo_pool *pool; /* borrowed, or NULL: has given `memory` */
    uint64_t memory;         /* bytes */
    char name[CONFIG_ID_MAX + 1];
    char *kernel; /* of a VM with a name: its file's whole path; NULL: none, or not known */

    pthread_mutex_t lock;    /* guards what is made when statistics are first asked for */
    struct figures *figures; /* NULL: not yet */
    char uuid[LIB_UUID_MAX]; /* "": not yet */
};

struct vireo_times lib_times(const struct stats_times *t);

/* A page of statistics (stats_page.h), the caller's to free. */
int lib_stats_page(struct vireo_vm *vm, const struct vireo_stats_view *view, char **text, size_t *len, struct err *e);

/* Any thread. take: 0, or -ENOSPC when less is left. A NULL pool never runs out. */
int lib_pool_take(struct vireo_pool *pool, uint64_t bytes, struct err *e);
void lib_pool_give_back(struct vireo_pool *pool, uint64_t bytes);
/* Checks a struct that a program gave: 0, or -EINVAL when it uses what only a later version has. */
int lib_check_reserved(const uint64_t *reserved, unsigned count, const char *name, struct err *e);
#define LIB_CHECK_RESERVED(s, name, e)                                                                                 \
    lib_check_reserved((s)->reserved, sizeof((s)->reserved) / sizeof((s)->reserved[0]), name, e)

/* Returns rc. When that is an error, *out (may be NULL) is filled from e. */
int lib_error(struct vireo_error *out, int rc, const struct err *e);

#endif
