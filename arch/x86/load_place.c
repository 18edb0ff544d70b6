/* Where kernel, initrd and boot information may lie. See load.h for what each function promises. */
#include <errno.h>

#include "arch/x86/layout.h"
#include "arch/x86/load.h"
#include "vmm/base/checked.h"

uint64_t load_low_end(const struct gmem *mem)
{
    return mem->count > 0 && mem->region[0].gpa == 0 ? mem->region[0].size : 0;
}

/* What a kernel may not lie over. Only the 64-bit entry needs page tables, and by Linux's own rules its kernels lie at
 * 1 MiB or above. Other kernels' information makes way for them. */
static const struct reserved {
    uint64_t start, end;
    const char *what;
    bool is_for_linux64;
} reserved[] = {
    {X86_BOOT_INFO, X86_LOW_END, "boot information and the page tables of the 64-bit entry go", true},
    {X86_BASE_END, X86_HIMEM, "boot information goes that every machine has, such as ACPI's tables", false},
};

int load_check_place(const struct gmem *mem, enum boot_protocol protocol, const struct load_piece *piece, struct err *e)
{
    const uint64_t low_end = load_low_end(mem), gpa = piece->gpa, size = piece->size;
    const char *what = piece->name;
    uint64_t end;
    if (!checked_add(gpa, size, &end) || end > X86_HOLE_START)
        return err_set(e, -ENOEXEC,
                       "%s (%llu bytes at 0x%llx) does not end below 0x%x, where devices begin; link it lower", what,
                       (unsigned long long)size, (unsigned long long)gpa, X86_HOLE_START);
    if (end > low_end)
        return err_set(e, -ENOEXEC, "%s (%llu bytes at 0x%llx) does not fit into %llu MiB; use --memory %lluM or more",
                       what, (unsigned long long)size, (unsigned long long)gpa, (unsigned long long)(low_end >> 20),
                       IMAGE_MIB(end));
    for (unsigned i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
        const struct reserved *r = &reserved[i];
        if (gpa < r->end && end > r->start && (protocol == BOOT_LINUX64 || !r->is_for_linux64))
            return err_set(e, -ENOEXEC,
                           "%s (%llu bytes at 0x%llx) lies over 0x%llx-0x%llx, where %s; link it at 1 MiB or above",
                           what, (unsigned long long)size, (unsigned long long)gpa, (unsigned long long)r->start,
                           (unsigned long long)r->end, r->what);
    }
    return 0;
}

#define INFO_SIZE ((uint64_t)X86_BOOT_END - X86_BOOT_INFO)

/* The piece that lies over [gpa, gpa + INFO_SIZE), or NULL. */
static const struct load_piece *piece_over(const struct load_piece *pieces, unsigned count, uint64_t gpa)
{
    for (unsigned i = 0; i < count; i++)
        if (pieces[i].gpa < gpa + INFO_SIZE && gpa < pieces[i].gpa + pieces[i].size) return &pieces[i];
    return NULL;
}

/* Take the lowest place: behind each piece that is in the way or, when low memory is full, behind the kernel. */
int load_place_info(const struct gmem *mem, const struct load_piece *pieces, unsigned count, struct loaded *l,
                    struct err *e)
{
    const struct load_piece *over;
    uint64_t at = X86_BOOT_INFO;
    while ((over = piece_over(pieces, count, at)) != NULL) at = align_up(over->gpa + over->size, GMEM_PAGE);
    if (at + INFO_SIZE > X86_BASE_END && at < X86_HIMEM)
        at = align_up(l->end > X86_HIMEM ? l->end : X86_HIMEM, GMEM_PAGE);
    if (at + INFO_SIZE > load_low_end(mem))
        return err_set(e, -ENOEXEC, "leaves no room for its boot information in %llu MiB; use --memory %lluM or more",
                       (unsigned long long)(load_low_end(mem) >> 20), IMAGE_MIB(at + INFO_SIZE));
    if (at >= X86_HIMEM && at + INFO_SIZE > l->end) l->end = at + INFO_SIZE;
    l->info = at;
    return 0;
}

int load_initrd(const struct image *img, const struct gmem *mem, const struct loaded *kernel, uint64_t *gpa,
                struct err *e)
{
    const uint64_t low_end = load_low_end(mem);
    const uint64_t limit = align_down(kernel->initrd_end < low_end ? kernel->initrd_end : low_end, GMEM_PAGE);
    const uint64_t floor = align_up(kernel->end, GMEM_PAGE);
    if (limit < floor || img->size > limit - floor) {
        const uint64_t size = align_up(img->size < X86_HOLE_START ? img->size : X86_HOLE_START, GMEM_PAGE);
        if (size + floor > kernel->initrd_end)
            return err_set(e, -ENOEXEC,
                           "%llu MiB do not fit between the kernel's end and 0x%llx, the highest address it "
                           "takes an initrd at; make it smaller or use --disk",
                           IMAGE_MIB(img->size), (unsigned long long)kernel->initrd_end);
        return err_set(e, -ENOEXEC, "%llu MiB do not fit beside the kernel into %llu MiB; use --memory %lluM or more",
                       IMAGE_MIB(img->size), (unsigned long long)(low_end >> 20), IMAGE_MIB(size + floor));
    }
    *gpa = align_down(limit - img->size, GMEM_PAGE);
    return image_place(img, 0, img->size, mem, *gpa, e);
}
