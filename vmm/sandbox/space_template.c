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

#define KEPT_TABLES 32 /* that the template has not: 128 KiB of a clone's, and more than programs use in a call */
#define SEALS       (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

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

/* All but the areas, where these are still the same, and what is kept of the tables. */
static int ledger_copy(struct ledger *to, const struct ledger *from, bool with_areas, bool with_tables)
{
    int rc = list_copy(&to->frames, &from->frames);
    if (!rc && with_tables) rc = list_copy(&to->tables, &from->tables);
    if (!rc && with_areas) rc = areas_copy(&to->areas, &from->areas);
    if (rc) return rc;
    to->next = from->next;
    to->used = from->used;
    to->peak = from->peak;
    if (with_tables) {
        to->next_table = from->next_table;
        to->table_count = from->table_count;
    }
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
static int write_pages(int fd, const uint8_t *from, uint32_t pages, uint64_t at)
{
    for (uint32_t p = 0; p < pages; p++) {
        const uint32_t first = p;
        while (p < pages && !is_zero(from + p * SPACE_PAGE)) p++;
        const uint64_t begin = first * SPACE_PAGE, size = (p - first) * SPACE_PAGE;
        if (size && write_all(fd, from + begin, size, at + begin)) return -1;
    }
    return 0;
}

static int freeze(struct space_template *t, const struct space *s)
{
    t->memory = s->memory;
    t->file_pages = s->ledger.next;
    t->file_tables = s->ledger.next_table;
    const uint64_t frames = t->file_pages * SPACE_PAGE, size = frames + t->file_tables * SPACE_PAGE;
    t->fd = fd_own(memfd_create("vireo-template", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (t->fd < 0 || ledger_init(&t->ledger) || ledger_copy(&t->ledger, &s->ledger, true, true)) return -1;
    if (ftruncate(t->fd, (off_t)size) || write_pages(t->fd, s->base, t->file_pages, 0) ||
        write_pages(t->fd, s->tables, t->file_tables, frames) || fcntl(t->fd, F_ADD_SEALS, SEALS))
        return -1;
    /* Private, as kernels before 6.7 map no sealed file shared that was opened for writing. It is only read. */
    void *base = mmap(NULL, size, PROT_READ, MAP_PRIVATE, t->fd, 0);
    if (base == MAP_FAILED) return -1;
    t->base = base;
    t->tables = t->base + frames;
    return 0;
}

int space_template_create(struct space_template **out, struct space *s, struct err *e)
{
    struct space_template *t = calloc(1, sizeof(*t));
    if (!t) return err_set(e, -ENOMEM, "a template: no memory");
    shares_unmap(s);
    int rc = freeze(t, s);
    if (rc) {
        rc = err_errno(e, "a template of %llu MiB", (unsigned long long)(s->memory >> 20));
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
    if (t->base) munmap((void *)(uintptr_t)t->base, (t->file_pages + t->file_tables) * SPACE_PAGE);
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
    const uint64_t numbers[] = {t->memory,      t->file_pages, l->next, l->next_table, l->used,
                                l->table_count, l->brk_start,  l->brk,  l->top};
    uint64_t hash = hash_words(1, numbers, sizeof(numbers));
    struct area a;
    for (uint32_t i = 0; areas_index(&l->areas, i, &a); i++) hash = hash_words(hash, &a, sizeof(a));
    hash = hash_words(hash, l->frames.run, l->frames.count * sizeof(struct run));
    hash = hash_words(hash, l->tables.run, l->tables.count * sizeof(struct run));
    return hash_words(hash, t->base, (t->file_pages + t->file_tables) * SPACE_PAGE);
}

static int map_file(uint8_t *at, uint64_t size, int fd, uint64_t from)
{
    const int flags = MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE;
    if (mmap(at, size, PROT_READ | PROT_WRITE, flags, fd, (off_t)from) == MAP_FAILED) return -1;
    (void)madvise(at, size, MADV_DONTFORK); /* as pages_map has it */
    return 0;
}

int space_create_from(struct space **out, const struct space_template *t, struct err *e)
{
    struct space *s = space_make(t->memory, t, e);
    if (!s) return -ENOMEM;
    const uint64_t frames = t->file_pages * SPACE_PAGE;
    if (map_file(s->base, frames, t->fd, 0) || map_file(s->tables, t->file_tables * SPACE_PAGE, t->fd, frames) ||
        ledger_copy(&s->ledger, &t->ledger, true, true)) {
        const int rc = err_errno(e, "a sandbox from a template");
        err_as(e, ERR_HOST);
        space_destroy(s);
        return rc;
    }
    atomic_store(&s->own.used, s->ledger.used);
    *out = s;
    return 0;
}

/* The copy's frames count from now on. */
static int share_budget(struct space *to, const struct space *from)
{
    (void)pthread_mutex_lock(&from->budget->lock);
    const bool has_room = frames_are_left(from, to->ledger.used);
    if (has_room) {
        to->budget = from->budget;
        atomic_fetch_add(&to->budget->used, to->ledger.used);
    }
    (void)pthread_mutex_unlock(&from->budget->lock);
    return has_room ? 0 : -ENOMEM;
}

/* Pages that nobody has are not copied: in a clone they have old bytes. */
static void copy_pages(struct space *to, const struct space *from)
{
    const uint64_t size = from->ledger.next * SPACE_PAGE;
    memcpy(to->tables, from->tables, from->ledger.next_table * SPACE_PAGE);
    for (uint64_t at = 0; at < size; at += SPACE_PAGE)
        if (!is_zero(from->base + at)) memcpy(to->base + at, from->base + at, SPACE_PAGE);
    const struct run_list *l = &from->ledger.frames;
    for (uint32_t i = 0; i < l->count; i++) frames_zero(to, l->run[i]);
}

int space_copy(struct space **out, struct space *from, struct err *e)
{
    struct space *to = space_make(from->memory, NULL, e);
    if (!to) return -ENOMEM;
    shares_unmap(from);
    int rc = ledger_copy(&to->ledger, &from->ledger, true, true);
    if (!rc) rc = share_budget(to, from);
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

/* A table that changed: what KVM may have kept of its entries goes. Those that lead to tables stay: what these have is
 * looked at by itself. */
static void unsee_table(struct space *s, uint32_t page)
{
    static const uint64_t none[USER_TABLE_ENTRIES];
    const uint64_t *now = table_at(s, page), *then = none;
    if (page < s->file_tables) then = (const uint64_t *)(const void *)(s->from->tables + page * SPACE_PAGE);
    struct batch lost = {.s = s, .fn = put_back_unseen};
    for (unsigned i = 0; i < USER_TABLE_ENTRIES; i++) {
        const uint64_t gpa = user_entry_gpa(now[i]);
        if (now[i] == then[i] || !gpa_is_frame(s, gpa)) continue;
        const bool keeps = gpa == user_entry_gpa(then[i]) && !(user_entry_prot(now[i]) & ~user_entry_prot(then[i]));
        if (!keeps) batch_add(&lost, gpa / SPACE_PAGE);
    }
    batch_end(&lost);
}

static int discard_from(uint8_t *at, uint64_t pages)
{
    return pages && madvise(at, pages * SPACE_PAGE, MADV_DONTNEED) ? -errno : 0;
}

/* More was written than we could note, which takes a host without memory: all of it counts as written. */
static int put_back_all(struct space *s)
{
    const int rc = discard_from(s->base, s->pages);
    return rc ? rc : discard_from(s->tables, s->table_max);
}

static void put_back_set(struct page_set *set, uint8_t *to, const uint8_t *from, uint32_t end)
{
    for (uint32_t i = 0; i < set->count; i++) {
        const uint32_t page = set->list[i];
        if (page >= end || !page_set_has(set, page)) continue;
        page_set_remove(set, page);
        memcpy(to + page * SPACE_PAGE, from + page * SPACE_PAGE, SPACE_PAGE);
    }
}

/* As the template's, or empty; what leads to a table that the template has not stays (struct_space.h). */
static void put_back_table(struct space *s, uint32_t page)
{
    uint64_t *now = table_at(s, page);
    const uint64_t *then = (const uint64_t *)(const void *)(s->from->tables + page * SPACE_PAGE);
    for (unsigned i = 0; i < USER_TABLE_ENTRIES; i++) {
        const uint64_t entry = page < s->file_tables ? then[i] : 0;
        if (entry || !tables_is_link(now[i])) now[i] = entry;
    }
}

/* Pages that the template has are copied; those that it has not are discarded, which makes them zero. */
static int put_back(struct space *s, bool keeps_tables)
{
    const struct space_template *t = s->from;
    for (uint32_t i = 0; i < s->changed.count; i++) unsee_table(s, s->changed.list[i]);
    put_back_set(&s->written, s->base, t->base, t->file_pages);
    for (uint32_t i = 0; keeps_tables && i < s->changed.count; i++) put_back_table(s, s->changed.list[i]);
    const int rc = discard_from(s->base + t->file_pages * SPACE_PAGE, s->ledger.next - t->file_pages);
    if (rc || keeps_tables) return rc;
    return discard_from(s->tables, s->ledger.next_table);
}

int space_reset(struct space *s, struct vm *vm, uint64_t *pages)
{
    const struct space_template *t = s->from;
    if (!t) return -EINVAL;
    int rc = space_collect(s, vm);
    if (rc) return rc;
    const bool is_all = s->written.is_all || s->changed.is_all;
    *pages = is_all ? s->pages : s->written.count + s->changed.count + (s->ledger.next - t->file_pages);
    if (s->changed.count || is_all) s->wants_flush = true;
    const bool keeps_tables = !is_all && s->ledger.next_table - t->file_tables <= KEPT_TABLES;
    rc = is_all ? put_back_all(s) : put_back(s, keeps_tables);
    if (!rc) rc = ledger_copy(&s->ledger, &t->ledger, s->have_areas_changed, !keeps_tables);
    if (!rc && !keeps_tables) rc = tables_moved(s);
    atomic_store(&s->own.used, s->ledger.used);
    s->have_areas_changed = false;
    page_set_clear(&s->written);
    page_set_clear(&s->changed);
    return rc ? rc : shares_map(s);
}
