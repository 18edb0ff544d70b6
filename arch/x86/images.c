#include "arch/x86/images.h"

#include <stdlib.h>

#include "vmm/base/thread.h"

#define THREAD_FROM (4 << 20) /* bytes of kernel: a smaller one is loaded sooner than a thread is made */

struct arch_images {
    const struct gmem *mem;
    struct arch_boot boot;
    pthread_t thread;
    bool has_thread;
    struct loaded kernel; /* from here on the thread's, until it is joined */
    struct boot_info info;
    int rc;
    struct err err;
};

int images_blame(struct err *e, int rc, const char *what, const char *name)
{
    if (!rc) return 0;
    err_wrap(e, rc, "%s %s", what, name);
    err_as(e, ERR_KERNEL);
    return rc;
}

int images_load(const struct gmem *mem, const struct arch_boot *b, struct loaded *k, struct boot_info *info,
                struct err *e)
{
    const char *name = image_name(&b->kernel), *initrd = image_name(&b->initrd);
    struct image img;
    int rc = image_open_source(&img, &b->kernel, e);
    if (rc) return images_blame(e, rc, "kernel", name);
    rc = load_kernel(&img, mem, k, e);
    image_close(&img);
    if (rc || !image_is_given(&b->initrd)) return images_blame(e, rc, "kernel", name);

    rc = image_open_source(&img, &b->initrd, e);
    if (rc) return images_blame(e, rc, "initrd", initrd);
    rc = load_initrd(&img, mem, k, &info->initrd, e);
    info->initrd_size = img.size;
    image_close(&img);
    return images_blame(e, rc, "initrd", initrd);
}

static void *load_main(void *arg)
{
    struct arch_images *i = arg;
    i->rc = images_load(i->mem, &i->boot, &i->kernel, &i->info, &i->err);
    return NULL;
}

struct arch_images *arch_images_begin(const struct gmem *mem, const struct arch_boot *b)
{
    struct arch_images *i = image_size_of(&b->kernel) >= THREAD_FROM ? calloc(1, sizeof(*i)) : NULL;
    if (!i) return NULL;
    i->mem = mem;
    i->boot = *b;
    i->has_thread = thread_make(&i->thread, &(struct thread_start){.fn = load_main, .arg = i}) == 0;
    if (i->has_thread) return i;
    free(i); /* without a thread: arch_load loads them, or fails for the same reason */
    return NULL;
}

static void join(struct arch_images *i)
{
    if (i->has_thread) pthread_join(i->thread, NULL);
    i->has_thread = false;
}

int images_take(struct arch_images *i, struct loaded *k, struct boot_info *info, struct err *e)
{
    join(i);
    *k = i->kernel;
    info->initrd = i->info.initrd;
    info->initrd_size = i->info.initrd_size;
    if (i->rc && e) *e = i->err;
    return i->rc;
}

void arch_images_end(struct arch_images *i)
{
    if (!i) return;
    join(i);
    free(i);
}
