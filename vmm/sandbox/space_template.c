/* Templates, clones, copies and resets.
 *
 * A clone maps the template's file privately, so a page of it is the template's until it is written. A reset copies
 * back those that were written, from a mapping of the file that is never written: no system call for them. Pages that
 * were given since lie behind the file, in one piece; one call discards those. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/base/fd.h"
#include "vmm/sandbox/struct_space.h"

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static int list_copy(struct run_list *to, const struct run_list *from)
{
    if (to->room < from->count) {
        struct run *run = realloc(to->run, from->count * sizeof(*run));
        if (!run) return -ENOMEM;
        to->run = run;
        to->room = from->count;
    }
    const uint32_t same = to->kept < from->count ? to->kept : from->count;
    if (from->count > same) memcpy(to->run + same, from->run + same, (from->count - same) * sizeof(*to->run));
    to->count = to->kept = from->count;
    return 0;
}

/* All but the areas, where these are still the same. */
static int ledger_copy(struct ledger *to, const struct ledger *from, bool with_areas)
{
    int rc = list_copy(&to->frames, &from->frames);
    if (!rc) rc = list_copy(&to->tables, &from->tables);
    if (!rc && with_areas) rc = areas_copy(&to->areas, &from->areas);
    if (rc) return rc;
    to->next = from->next;
    to->used = from->used;
    to->peak = from->peak;
    to->table_count = from->table_count;
    to->brk_start = from->brk_start;
    to->brk = from->brk;
    to->top = from->top;
    to->stack_limit = from->stack_limit;
    return 0;
}

static bool is_zero(const uint8_t *page)
{
    return page[0] == 0 && memcmp(page, page + 1, SPACE_PAGE - 1) == 0;
}

static int write_all(int fd, const uint8_t *from, uint64_t size, uint64_t at)
{
    while (size) {
        const ssize_t n = pwrite(fd, from, size, (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return -1;
        from += n;
        at += (uint64_t)n;
        size -= (uint64_t)n;
    }
    return 0;
}

/* What is zero stays a hole. */
static int fill_file(int fd, const struct space *s)
{
    if (ftruncate(fd, (off_t)(s->ledger.next * SPACE_PAGE))) return -1;
    for (uint32_t p = 0; p < s->ledger.next; p++) {
        const uint32_t first = p;
        while (p < s->ledger.next && !is_zero(s->base + p * SPACE_PAGE)) p++;
        if (p > first && write_all(fd, s->base + first * SPACE_PAGE, (p - first) * SPACE_PAGE, first * SPACE_PAGE))
            return -1;
    }
    return fcntl(fd, F_ADD_SEALS, SEALS);
}

static int freeze(struct space_template *t, const struct space *s)
{
    t->memory = s->memory;
    t->file_pages = s->ledger.next;
    t->fd = fd_own(memfd_create("vireo-template", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (t->fd < 0 || ledger_init(&t->ledger) || ledger_copy(&t->ledger, &s->ledger, true)) return -1;
    if (fill_file(t->fd, s)) return -1;
    /* Private, as kernels before 6.7 map no sealed file shared that was opened for writing. It is only read. */
    void *base = mmap(NULL, t->file_pages * SPACE_PAGE, PROT_READ, MAP_PRIVATE, t->fd, 0);
    if (base == MAP_FAILED) return -1;
    t->base = base;
    return 0;
}

int space_template_create(struct space_template **out, struct space *s, struct err *e)
{
    struct space_template *t = calloc(1, sizeof(*t));
    if (!t) return err_set(e, -ENOMEM, "a template: no memory");
    shares_unmap(s);
    int rc = freeze(t, s);
    if (rc) {
        rc = err_errno(e, "a template of %llu MiB", (unsigned long long)(t->file_pages * SPACE_PAGE >> 20));
        err_as(e, ERR_HOST);
    }
    const int again = shares_map(s);
    if (!rc && again) rc = err_set(e, again, "shared memory beside a template: no room");
    if (rc)
        space_template_destroy(t);
    else
        *out = t;
    return rc;
}

void space_template_destroy(struct space_template *t)
{
    if (!t) return;
    if (t->base) munmap((void *)(uintptr_t)t->base, t->file_pages * SPACE_PAGE);
    if (t->fd >= 0) close(t->fd);
    ledger_fini(&t->ledger);
    free(t);
}

/* A multiply and a rotation for every 8 bytes: any change of one of them changes the result. */
static uint64_t hash_words(uint64_t hash, const void *data, size_t size)
{
    const uint8_t *p = data;
    for (uint64_t word; size >= sizeof(word); p += sizeof(word), size -= sizeof(word)) {
        memcpy(&word, p, sizeof(word));
        hash = (hash ^ word) * 0x9e3779b97f4a7c15ull;
        hash = hash << 29 | hash >> 35;
    }
    return hash;
}

uint64_t space_template_hash(const struct space_template *t)
{
    const struct ledger *l = &t->ledger;
    const uint64_t numbers[] = {t->memory,      t->file_pages, l->next, l->used,
                                l->table_count, l->brk_start,  l->brk,  l->top};
    uint64_t hash = hash_words(1, numbers, sizeof(numbers));
    struct area a;
    for (uint32_t i = 0; areas_index(&l->areas, i, &a); i++) hash = hash_words(hash, &a, sizeof(a));
    hash = hash_words(hash, l->frames.run, l->frames.count * sizeof(struct run));
    hash = hash_words(hash, l->tables.run, l->tables.count * sizeof(struct run));
    return hash_words(hash, t->base, t->file_pages * SPACE_PAGE);
}

int space_create_from(struct space **out, const struct space_template *t, struct err *e)
{
    struct space *s;
    int rc = space_make(&s, t->memory, t->file_pages, e);
    if (rc) return rc;
    const size_t size = t->file_pages * SPACE_PAGE;
    const int flags = MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE;
    if (mmap(s->base, size, PROT_READ | PROT_WRITE, flags, t->fd, 0) == MAP_FAILED ||
        ledger_copy(&s->ledger, &t->ledger, true)) {
        rc = err_errno(e, "a sandbox from a template");
        err_as(e, ERR_HOST);
        space_destroy(s);
        return rc;
    }
    (void)madvise(s->base, size, MADV_DONTFORK); /* as pages_map has it */
    s->from = t;
    *out = s;
    return 0;
}

/* Pages that nobody has are not copied: in a clone they have old bytes. */
static void copy_pages(struct space *to, const struct space *from)
{
    const uint64_t size = from->ledger.next * SPACE_PAGE;
    for (uint64_t at = 0; at < size; at += SPACE_PAGE)
        if (!is_zero(from->base + at)) memcpy(to->base + at, from->base + at, SPACE_PAGE);
    const struct run_list *l = &from->ledger.frames;
    for (uint32_t i = 0; i < l->count; i++) frames_zero(to, l->run[i]);
}

int space_copy(struct space **out, struct space *from, struct err *e)
{
    struct space *to;
    int rc = space_make(&to, from->memory, 0, e);
    if (rc) return rc;
    shares_unmap(from);
    rc = ledger_copy(&to->ledger, &from->ledger, true);
    if (!rc) copy_pages(to, from);
    const int again = shares_map(from);
    if (!rc) rc = again;
    if (rc) {
        space_destroy(to);
        return err_set(e, rc, "a copy of a program: no memory");
    }
    *out = to;
    return 0;
}

static void note_written(void *arg, uint64_t page)
{
    struct space *s = arg;
    page_set_add(&s->written, page);
}

int space_collect(struct space *s, struct vm *vm)
{
    return dirty_log_take(&s->log, vm, note_written, s);
}

/* A page of the file that some entry leads to which the template does not have. It is the template's again, too. */
static void put_back_unseen(struct space *s, struct run run)
{
    if (run.first >= s->file_pages) return;
    if (run.count > s->file_pages - run.first) run.count = s->file_pages - run.first;
    for (uint32_t p = run.first; p < run.first + run.count; p++) page_set_remove(&s->written, p);
    if (madvise(s->base + run.first * SPACE_PAGE, run.count * SPACE_PAGE, MADV_DONTNEED) == 0) return;
    memcpy(s->base + run.first * SPACE_PAGE, s->from->base + run.first * SPACE_PAGE, run.count * SPACE_PAGE);
    frames_unsee(s, run);
}

/* Tables that changed: what KVM may have kept of their entries goes, before they are put back. */
static void unsee_leaf(struct space *s, uint32_t page)
{
    static const uint64_t none[USER_TABLE_ENTRIES];
    const uint64_t *now = table_at(s, page), *then = none;
    if (page < s->file_pages) then = (const uint64_t *)(const void *)(s->from->base + page * SPACE_PAGE);
    struct batch lost = {.s = s, .fn = put_back_unseen};
    for (unsigned i = 0; i < USER_TABLE_ENTRIES; i++) {
        const uint64_t gpa = user_entry_gpa(now[i]);
        if (now[i] == then[i] || !gpa_is_frame(s, gpa)) continue;
        const bool keeps = gpa == user_entry_gpa(then[i]) && !(user_entry_prot(now[i]) & ~user_entry_prot(then[i]));
        if (!keeps) batch_add(&lost, gpa / SPACE_PAGE);
    }
    batch_end(&lost);
}

/* More was written than we could note, which takes a host without memory: all of it counts as written. */
static void put_back_all(struct space *s)
{
    (void)madvise(s->base, s->pages * SPACE_PAGE, MADV_DONTNEED);
}

static uint64_t put_back_pages(struct space *s)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < s->written.count; i++) {
        const uint32_t page = s->written.list[i];
        if (!page_set_has(&s->written, page)) continue;
        page_set_remove(&s->written, page);
        memcpy(s->base + page * SPACE_PAGE, s->from->base + page * SPACE_PAGE, SPACE_PAGE);
        n++;
    }
    return n;
}

int space_reset(struct space *s, struct vm *vm, uint64_t *pages)
{
    const struct space_template *t = s->from;
    if (!t) return -EINVAL;
    int rc = space_collect(s, vm);
    if (rc) return rc;
    const uint32_t since = s->ledger.next - t->file_pages;
    if (since || s->leaves.count || s->leaves.is_all) s->wants_flush = true;
    *pages = since;
    if (s->written.is_all || s->leaves.is_all) {
        put_back_all(s);
        *pages = s->pages;
    } else {
        const uint32_t noted = s->written.count;
        for (uint32_t i = 0; i < s->leaves.count; i++) unsee_leaf(s, s->leaves.list[i]);
        if (since && madvise(s->base + t->file_pages * SPACE_PAGE, since * SPACE_PAGE, MADV_DONTNEED)) return -errno;
        (void)put_back_pages(s);
        *pages += noted;
    }
    rc = ledger_copy(&s->ledger, &t->ledger, s->have_areas_changed);
    s->have_areas_changed = false;
    page_set_clear(&s->written);
    page_set_clear(&s->leaves);
    return rc ? rc : shares_map(s);
}
