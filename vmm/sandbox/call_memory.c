/* Calls about the program's memory. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/sandbox/process.h"

#define PIECES 64

static unsigned prot_of(uint64_t prot)
{
    return (prot & PROT_READ ? USER_READ : 0u) | (prot & PROT_WRITE ? USER_WRITE : 0u) |
           (prot & PROT_EXEC ? USER_EXEC : 0u);
}

static bool is_forbidden(const struct process *p, uint64_t prot)
{
    return (prot & PROT_WRITE) && (prot & PROT_EXEC) && !p->policy->allow_wx;
}

int64_t call_brk(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    return (int64_t)space_brk(p->space, arg[0]);
}

/* A file's bytes are copied in: the program has them as they were. Where the file ends, zeros follow. */
static int64_t fill_from_file(struct process *p, const struct file *f, uint64_t va, uint64_t len, uint64_t offset)
{
    struct iovec iov[PIECES];
    for (uint64_t at = 0; at < len;) {
        uint64_t got;
        const int n = space_pieces(p->space, va + at, len - at, 0, iov, PIECES, &got);
        const ssize_t done = n < 0 ? -1 : preadv(f->fd, iov, n, (off_t)(offset + at));
        if (done < 0) return n < 0 ? n : -errno;
        space_wrote(p->space, va + at, (uint64_t)done);
        if ((uint64_t)done < got) break;
        at += got;
    }
    return 0;
}

int64_t call_mmap(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    const uint64_t len = arg[1], prot = arg[2], flags = arg[3], offset = arg[5];
    const bool is_file = !(flags & MAP_ANONYMOUS);
    const struct file *f = is_file ? files_get(p, (int64_t)arg[4]) : NULL;
    const uint64_t type = flags & MAP_TYPE;
    if (type != MAP_PRIVATE && type != MAP_SHARED && type != MAP_SHARED_VALIDATE) return -EINVAL;
    if (prot & ~(uint64_t)(PROT_READ | PROT_WRITE | PROT_EXEC)) return -EINVAL;
    if (is_forbidden(p, prot)) return -EPERM;
    if (is_file) {
        if (!f) return -EBADF;
        if (offset % SPACE_PAGE || offset > INT64_MAX - len) return -EINVAL;
        if (f->kind == FILE_ZERO)
            f = NULL;
        else if (f->kind != FILE_HOST || f->may_wait || f->path)
            return -ENODEV;
        else if (!f->can_read)
            return -EACCES;
        /* What the program writes to its copy would not reach the file. */
        else if (type != MAP_PRIVATE && (prot & PROT_WRITE))
            return -ENOTSUP;
    }
    const unsigned how = (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE) ? SPACE_FIXED : 0u) |
                         (flags & MAP_FIXED_NOREPLACE ? SPACE_NO_REPLACE : 0u);
    /* A file without rights still has its bytes, for an mprotect that follows. */
    const int64_t at = space_map(p->space, arg[0], len, f && !prot ? USER_READ : prot_of(prot), how);
    if (at < 0 || !f) return at;
    int64_t rc = fill_from_file(p, f, (uint64_t)at, len, offset);
    if (!rc && !prot) rc = space_protect(p->space, (uint64_t)at, len, 0);
    if (rc) (void)space_unmap(p->space, (uint64_t)at, len);
    return rc ? rc : at;
}

int64_t call_munmap(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    return space_unmap(p->space, arg[0], arg[1]);
}

int64_t call_mprotect(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    if (arg[2] & ~(uint64_t)(PROT_READ | PROT_WRITE | PROT_EXEC)) return -EINVAL;
    return is_forbidden(p, arg[2]) ? -EPERM : space_protect(p->space, arg[0], arg[1], prot_of(arg[2]));
}

int64_t call_mremap(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    if (arg[3] & ~(uint64_t)(MREMAP_MAYMOVE | MREMAP_FIXED)) return -EINVAL;
    const bool is_fixed = arg[3] & MREMAP_FIXED;
    if (is_fixed && (!(arg[3] & MREMAP_MAYMOVE) || !arg[4])) return -EINVAL;
    return space_remap(p->space, arg[0], arg[1], arg[2], arg[3] & MREMAP_MAYMOVE, is_fixed ? arg[4] : 0);
}

int64_t call_madvise(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    switch ((int)arg[2]) {
    case MADV_DONTNEED:
    case MADV_FREE: return space_forget(p->space, arg[0], arg[1]);
    case MADV_NORMAL:
    case MADV_RANDOM:
    case MADV_SEQUENTIAL:
    case MADV_WILLNEED:
    case MADV_HUGEPAGE:
    case MADV_NOHUGEPAGE:
    case MADV_DONTDUMP:
    case MADV_DODUMP: return arg[0] % SPACE_PAGE ? -EINVAL : 0;
    default: return -EINVAL;
    }
}

int64_t call_mincore(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    uint8_t are_there[1024];
    if (arg[0] % SPACE_PAGE) return -EINVAL;
    if (!space_is_mapped(p->space, arg[0], arg[1], 0)) return -ENOMEM;
    memset(are_there, 1, sizeof(are_there));
    const uint64_t pages = arg[1] / SPACE_PAGE + (arg[1] % SPACE_PAGE != 0);
    for (uint64_t at = 0, n; at < pages; at += n) {
        n = pages - at < sizeof(are_there) ? pages - at : sizeof(are_there);
        if (space_write(p->space, arg[2] + at, are_there, n)) return -EFAULT;
        if (n < sizeof(are_there) || !process_is_cut(p)) continue;
        *outcome = CALL_STOPPED;
        return -EINTR;
    }
    return 0;
}

int64_t call_msync(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    return arg[0] % SPACE_PAGE ? -EINVAL : space_is_mapped(p->space, arg[0], arg[1], 0) ? 0 : -ENOMEM;
}

/* Its memory is never swapped by anything it could see. */
int64_t call_mlock(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)p;
    (void)arg;
    (void)outcome;
    return 0;
}
