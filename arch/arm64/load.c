/* What lies where in RAM, from its start:
 *
 *   the kernel       where its header wants it, at the start
 *   the initrd       right below the device tree, or above it when only there is room
 *   the device tree  at the end of RAM, or of its first 512 MiB */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "arch/arm64/fdt.h"
#include "arch/arm64/load_image.h"
#include "arch/arm64/struct_arch.h"
#include "arch/arm64/vcpu.h"
#include "vmm/base/file.h"

#define DTB_REACH (512ULL << 20) /* booting.rst: kernels before 4.2 look no farther */

static uint64_t ram_size(const struct arch *a)
{
    return a->mem->region[0].size; /* the only region: RAM has no hole */
}

static int kernel_into(const struct arch *a, const struct image *img, uint64_t end, struct loaded *out, struct err *e)
{
    struct image_window w = {.mem = a->mem, .base = ARM64_RAM_BASE, .end = end};
    const int rc = vcpu_page_sizes(&a->vcpu[0], &w.page_sizes, e);
    return rc ? rc : load_kernel(img, &w, out, e);
}

static int place_kernel(const struct arch *a, const struct arch_boot *b, uint64_t end, struct loaded *out,
                        struct err *e)
{
    struct image img;
    int rc = image_open_source(&img, &b->kernel, e);
    if (!rc) {
        rc = kernel_into(a, &img, end, out, e);
        image_close(&img);
    }
    if (!rc) return 0;
    err_wrap(e, rc, "kernel %s", image_name(&b->kernel));
    err_as(e, ERR_KERNEL);
    return rc;
}

static int place_initrd(const struct arch *a, const struct image_source *initrd, const struct loaded *kernel,
                        uint64_t dtb, struct fdt_machine *m, struct err *e)
{
    const struct initrd_room room = {
        .mem = a->mem, .base = ARM64_RAM_BASE, .kernel_end = kernel->end, .dtb = dtb, .dtb_end = dtb + FDT_MAX_BYTES};
    struct image img;
    if (!image_is_given(initrd)) return 0;
    int rc = image_open_source(&img, initrd, e);
    if (!rc) {
        rc = load_initrd(&img, &room, &m->initrd_start, e);
        m->initrd_end = m->initrd_start + img.size;
        image_close(&img);
    }
    if (!rc) return 0;
    err_wrap(e, rc, "initrd %s", image_name(initrd));
    err_as(e, ERR_KERNEL);
    return rc;
}

/* Only its owner may read the file: the seeds in it are the guest's. */
static int dump(const char *path, const void *blob, size_t size, struct err *e)
{
    int fd = -1;
    const struct file_output o = {.what = "dump-dtb", .path = path, .mode = 0600};
    int rc = file_open_output(&fd, &o, e);
    if (rc) return rc;
    (void)!ftruncate(fd, 0); /* a pipe or a device has no length */
    rc = file_write(fd, blob, size);
    close(fd);
    return rc ? err_set(e, rc, "dump-dtb %.300s: write: %s", path, strerrordesc_np(-rc)) : 0;
}

static int write_tree(const struct arch *a, const struct arch_boot *b, struct fdt_machine *m, uint64_t dtb,
                      struct err *e)
{
    void *blob = calloc(1, FDT_MAX_BYTES);
    if (!blob) return err_set(e, -ENOMEM, "no memory for the device tree");
    int rc = 0;
    if (getrandom(m->seed, sizeof(m->seed), 0) != (ssize_t)sizeof(m->seed))
        rc = err_errno(e, "random numbers for the guest's seeds");
    const int size = rc ? rc : fdt_build(blob, FDT_MAX_BYTES, m, e);
    if (size < 0)
        rc = size;
    else if (b->dump_path)
        rc = dump(b->dump_path, blob, (size_t)size, e);
    if (!rc) rc = gmem_write(a->mem, dtb, blob, (uint64_t)size);
    explicit_bzero(blob, FDT_MAX_BYTES);
    explicit_bzero(m->seed, sizeof(m->seed));
    free(blob);
    return rc;
}

int arch_load(struct arch *a, const struct arch_boot *b, struct err *e)
{
    const uint64_t reach = ram_size(a) < DTB_REACH ? ram_size(a) : DTB_REACH;
    const uint64_t dtb = ARM64_RAM_BASE + reach - FDT_MAX_BYTES;
    struct loaded kernel;
    struct fdt_machine m = {
        .ram_base = ARM64_RAM_BASE,
        .ram_size = ram_size(a),
        .mpidr = a->mpidr,
        .cpus = a->vcpu_count,
        .gic = a->gic.version,
        .slots = b->slots,
        .slot_count = b->slot_count,
        .cmdline = b->cmdline,
    };
    int rc = place_kernel(a, b, dtb, &kernel, e);
    if (!rc) rc = place_initrd(a, &b->initrd, &kernel, dtb, &m, e);
    if (!rc) rc = write_tree(a, b, &m, dtb, e);
    if (!rc) rc = vcpu_set_boot(&a->vcpu[0], kernel.entry, dtb, e);
    if (!rc) /* for who wonders why it hangs */
        log_write(a->log, LOG_INFO, "kernel %s: entered at 0x%llx as %s", image_name(&b->kernel),
                  (unsigned long long)kernel.entry, kernel.is_flat ? "a flat binary, having no header" : "an Image");
    return rc;
}

/* No head start: a kernel can be loaded only when a vCPU has told which page sizes it has. */
struct arch_images *arch_images_begin(const struct gmem *mem, const struct arch_boot *b)
{
    (void)mem;
    (void)b;
    return NULL;
}

void arch_images_end(struct arch_images *images)
{
    (void)images;
}
