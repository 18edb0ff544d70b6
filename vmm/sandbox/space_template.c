/* A space frozen, and put back to what it was.
 *
 * What was written since is known from three sides: the guest's own writes from KVM (its dirty ring, or where it has
 * none its dirty log), ours as we make them, and the tables', which only we write. Each page of the set is copied back
 * from the template. A frame that the template does not have becomes zero. Where KVM shadows the tables, the entries
 * that differ are found by comparing the tables that were written, and their frames' mappings are invalidated. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/base/fd.h"
#include "vmm/sandbox/struct_space.h"

/* A page fault of the guest adds an entry; a full ring is an exit. KVM keeps some 600 of them back. */
#define RING_ENTRIES 2048u
#define LOG_WORDS    64u /* of the bitmap that are cleared in one call: KVM wants multiples of 64 pages */

static int host_error(struct err *e, const char *what)
{
    const int rc = err_errno(e, "sandbox: %s", what);
    err_as(e, ERR_HOST);
    return rc;
}

/* ---- the template ---- */

static int write_all(int fd, const uint8_t *from, uint64_t at, uint64_t len)
{
    while (len) {
        const ssize_t n = pwrite(fd, from, len, (off_t)at);
        if (n <= 0) return -1;
        from += n;
        at += (uint64_t)n;
        len -= (uint64_t)n;
    }
    return 0;
}

static bool is_zero(const uint8_t *page)
{
    return page[0] == 0 && memcmp(page, page + 1, SPACE_PAGE - 1) == 0;
}

/* The tables, and the frames that hold anything. Zero pages are left as holes. */
static int write_memory(const struct space *s, int fd)
{
    if (write_all(fd, s->memory, 0, s->now.tables_end * SPACE_PAGE)) return -1;
    for (uint64_t page = s->table_pages; page < s->now.frames_end; page++) {
        const uint8_t *at = s->memory + page * SPACE_PAGE;
        if (!is_zero(at) && write_all(fd, at, page * SPACE_PAGE, SPACE_PAGE)) return -1;
    }
    return 0;
}

static int copy_lists(struct space_books *to, const struct space_books *from)
{
    *to = *from;
    to->free = malloc(from->free_count * sizeof(*to->free) + 1);
    to->area = malloc(from->area_room * sizeof(*to->area) + 1);
    if (!to->free || !to->area) return -ENOMEM;
    if (from->free_count) memcpy(to->free, from->free, from->free_count * sizeof(*to->free));
    if (from->areas) memcpy(to->area, from->area, from->areas * sizeof(*to->area));
    return 0;
}

/* Shared bytes belong to the space that has them: their entries are taken out while it is written, and put back. */
static void hide_shares(struct space *s, bool hidden)
{
    for (unsigned i = 0; i < s->shares; i++)
        for (uint64_t at = 0; at < s->share[i].len; at += SPACE_PAGE) {
            uint64_t *entry = space_entry(s, s->share[i].va + at, false);
            const unsigned prot = USER_READ | (s->share[i].is_writable ? USER_WRITE : 0u);
            if (entry) *entry = hidden ? 0 : user_page_entry(s->share[i].gpa + at, prot);
        }
}

static void drop_shares(struct space_books *b)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < b->areas; i++)
        if (!(b->area[i].flags & SPACE_PINNED)) b->area[kept++] = b->area[i];
    b->areas = kept;
}

int space_template_create(struct space_template **out, struct space *s, struct err *e)
{
    struct space_template *t = calloc(1, sizeof(*t));
    if (!t) return err_set(e, -ENOMEM, "a sandbox's template: no memory");
    t->fd = fd_own(memfd_create("vireo-sandbox", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    t->pages = s->pages;
    t->table_pages = s->table_pages;
    t->root = s->root;
    t->used = s->now.frames_end;
    int rc = t->fd < 0 ? host_error(e, "a file in memory for the template") : 0;
    hide_shares(s, true);
    if (!rc && (ftruncate(t->fd, (off_t)(t->pages * SPACE_PAGE)) || write_memory(s, t->fd) ||
                fcntl(t->fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)))
        rc = host_error(e, "write the template");
    hide_shares(s, false);
    if (!rc) {
        void *at = mmap(NULL, t->used * SPACE_PAGE, PROT_READ, MAP_SHARED, t->fd, 0);
        t->memory = at == MAP_FAILED ? NULL : at;
        if (!t->memory) rc = host_error(e, "map the template");
    }
    if (!rc && copy_lists(&t->books, &s->now)) rc = err_set(e, -ENOMEM, "a sandbox's template: no memory");
    if (rc) {
        space_template_destroy(t);
        return rc;
    }
    drop_shares(&t->books);
    *out = t;
    return 0;
}

void space_template_destroy(struct space_template *t)
{
    if (!t) return;
    if (t->memory) (void)munmap((void *)(uintptr_t)t->memory, t->used * SPACE_PAGE);
    if (t->fd >= 0) (void)close(t->fd);
    free(t->books.free);
    free(t->books.area);
    free(t);
}

static uint64_t hash_bytes(uint64_t h, const void *bytes, uint64_t len)
{
    const uint8_t *p = bytes;
    for (uint64_t i = 0; i < len; i++) h = (h ^ p[i]) * 0x100000001b3; /* FNV-1a */
    return h;
}

uint64_t space_template_hash(const struct space_template *t)
{
    uint64_t h = hash_bytes(0xcbf29ce484222325, t->memory, t->used * SPACE_PAGE);
    h = hash_bytes(h, t->books.area, t->books.areas * sizeof(*t->books.area));
    return hash_bytes(h, t->books.free, t->books.free_count * sizeof(*t->books.free));
}

/* ---- the VM's side ---- */

static bool enable_ring(struct space *s, struct vm *vm)
{
    static const uint32_t caps[] = {KVM_CAP_DIRTY_LOG_RING_ACQ_REL, KVM_CAP_DIRTY_LOG_RING};
    struct err ignored;
    for (unsigned i = 0; i < 2; i++) {
        const uint64_t size = RING_ENTRIES * sizeof(struct kvm_dirty_gfn);
        if (vm_check(vm, caps[i]) < (int)size || vm_enable_cap(vm, caps[i], size, &ignored)) continue;
        s->ring_entries = RING_ENTRIES;
        return true;
    }
    return false;
}

static int enable_log(struct vm *vm, struct err *e)
{
    struct err ignored;
    if (vm_check(vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2) <= 0 ||
        vm_enable_cap(vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE, &ignored)) {
        err_set(e, -ENOTSUP,
                "sandbox: this KVM has no dirty log that can be cleared (KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2)");
        err_as(e, ERR_HOST);
        return -ENOTSUP;
    }
    return 0;
}

int space_attach(struct space *s, struct vm *vm, bool tracks, struct err *e)
{
    struct vm_ram ram = {.slot = vm->slot_count, .gpa = 0, .size = s->pages * SPACE_PAGE, .host = s->memory};
    int rc = 0;
    if (tracks) {
        s->has_ring = enable_ring(s, vm);
        s->has_log = !s->has_ring;
        if (s->has_log) rc = enable_log(vm, e);
    }
    if (!rc) rc = vm_map_ram(vm, ram.gpa, ram.size, ram.host, false, e);
    if (!rc && tracks) rc = vm_log_dirty(vm, &ram, true, e);
    if (!rc) rc = vm_map_ram(vm, USER_KERNEL_GPA, user_kernel_size(), s->kernel, false, e);
    return rc;
}

int space_attach_vcpu(struct space *s, struct vcpu *v, struct err *e)
{
    if (!s->has_ring) return 0;
    void *ring = mmap(NULL, s->ring_entries * sizeof(*s->ring), PROT_READ | PROT_WRITE, MAP_SHARED, v->fd,
                      KVM_DIRTY_LOG_PAGE_OFFSET * (long)SPACE_PAGE);
    if (ring == MAP_FAILED) return host_error(e, "map the dirty ring");
    s->ring = ring;
    return 0;
}

/* The ring's protocol: api.rst, KVM_CAP_DIRTY_LOG_RING. Slot 0 is ours; nothing else is logged. */
static int collect_ring(struct space *s, const struct vm *vm)
{
    bool is_any = false;
    for (;; s->ring_next++) {
        struct kvm_dirty_gfn *entry = &s->ring[s->ring_next % s->ring_entries];
        if (!(__atomic_load_n(&entry->flags, __ATOMIC_ACQUIRE) & KVM_DIRTY_GFN_F_DIRTY)) break;
        space_mark(s, entry->offset);
        __atomic_store_n(&entry->flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
        is_any = true;
    }
    return is_any && ioctl(vm->fd, KVM_RESET_DIRTY_RINGS, 0ul) < 0 ? -errno : 0;
}

static int clear_log(const struct vm *vm, uint64_t first, uint64_t pages, uint64_t *words)
{
    struct kvm_clear_dirty_log clear = {.slot = 0, .first_page = first, .num_pages = (uint32_t)pages};
    clear.dirty_bitmap = words;
    return ioctl(vm->fd, KVM_CLEAR_DIRTY_LOG, &clear) ? -errno : 0;
}

static int collect_log(struct space *s, const struct vm *vm)
{
    const uint64_t words = (s->pages + 63) / 64;
    uint64_t *bits = calloc(words, sizeof(*bits));
    if (!bits) return -ENOMEM;
    struct kvm_dirty_log log = {.slot = 0};
    log.dirty_bitmap = bits;
    int rc = ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log) ? -errno : 0;
    for (uint64_t w = 0; !rc && w < words; w += LOG_WORDS) {
        bool is_any = false;
        for (uint64_t k = w; k < words && k < w + LOG_WORDS; k++)
            for (uint64_t left = bits[k]; left; left &= left - 1) {
                space_mark(s, k * 64 + (uint64_t)__builtin_ctzll(left));
                is_any = true;
            }
        const uint64_t end = (w + LOG_WORDS) * 64;
        if (is_any) rc = clear_log(vm, w * 64, (end < s->pages ? end : s->pages) - w * 64, bits + w);
    }
    free(bits);
    return rc;
}

int space_collect(struct space *s, struct vm *vm)
{
    return s->ring ? collect_ring(s, vm) : s->has_log ? collect_log(s, vm) : 0;
}

/* ---- back to the template ---- */

/* An entry that the program's VM may still use though the template has another one there. */
static void lose_changed(struct space *s, uint64_t page)
{
    const uint64_t *now = (const uint64_t *)(const void *)(s->memory + page * SPACE_PAGE);
    const uint64_t *then = (const uint64_t *)(const void *)(s->from->memory + page * SPACE_PAGE);
    const bool was_there = page < s->from->books.tables_end;
    for (unsigned i = 0; i < USER_TABLE_ENTRIES; i++) {
        const uint64_t gpa = user_entry_gpa(now[i]);
        const bool is_same = was_there ? now[i] == then[i] : now[i] == 0;
        /* Of a frame, not of a table: those of tables only come, and what they lead to is compared itself. */
        if (!is_same && user_entry_is_present(now[i]) && gpa >= s->table_pages * SPACE_PAGE) space_lose(s, gpa, false);
    }
}

static void put_back(struct space *s, uint64_t page)
{
    uint8_t *at = s->memory + page * SPACE_PAGE;
    const bool is_table = page < s->table_pages;
    if (is_table) lose_changed(s, page);
    if (is_table ? page < s->from->books.tables_end : page < s->from->used)
        memcpy(at, s->from->memory + page * SPACE_PAGE, SPACE_PAGE);
    else
        memset(at, 0, SPACE_PAGE);
    s->dirty_bit[page / 64] &= ~(1ull << page % 64);
}

/* Lists that were touched, as far as they were touched. */
static void put_lists_back(struct space *s)
{
    struct space_books *b = &s->now;
    const struct space_books *t = &s->from->books;
    struct space_area *area = b->area;
    uint32_t *frames = b->free;
    const unsigned room = b->area_room;
    if (s->areas_changed && t->areas) memcpy(area, t->area, t->areas * sizeof(*area));
    if (t->free_count > s->free_low)
        memcpy(frames + s->free_low, t->free + s->free_low, (t->free_count - s->free_low) * sizeof(*frames));
    *b = *t;
    b->area = area;
    b->area_room = room;
    b->free = frames;
    s->areas_changed = false;
    s->free_low = t->free_count;
    s->peak = b->mapped;
}

static int put_share(struct space *s, const struct space_share *share)
{
    const unsigned prot = USER_READ | (share->is_writable ? USER_WRITE : 0u);
    for (uint64_t at = 0; at < share->len; at += SPACE_PAGE) {
        uint64_t *entry = space_entry(s, share->va + at, true);
        if (!entry) return -ENOMEM;
        space_set_entry(s, entry, user_page_entry(share->gpa + at, prot));
    }
    return space_put_area(s, &(struct space_area){share->va, share->va + share->len, prot, SPACE_PINNED});
}

int space_reset(struct space *s, struct vm *vm, uint64_t *pages)
{
    if (!s->from) return -ENOTSUP;
    int rc = space_collect(s, vm);
    *pages = s->dirty_count;
    for (uint64_t i = 0; i < s->dirty_count; i++) put_back(s, s->dirty[i]);
    space_lose_all(s);
    s->dirty_count = 0;
    put_lists_back(s);
    for (unsigned i = 0; !rc && i < s->shares; i++) rc = put_share(s, &s->share[i]);
    return rc;
}

/* Bytes of the host's get a slot of their own, above the kernel's. */
int64_t space_share(struct space *s, struct vm *vm, void *host, uint64_t len, bool is_writable, struct err *e)
{
    if (!len || len % SPACE_PAGE || (uintptr_t)host % SPACE_PAGE)
        return err_set(e, -EINVAL, "sandbox: shared bytes are whole pages, not %llu bytes at %p",
                       (unsigned long long)len, host);
    if (s->shares == SPACE_SHARES_MAX)
        return err_set(e, -ENOSPC, "sandbox: at most %d shared regions", SPACE_SHARES_MAX);
    const struct space_share *last = s->shares ? &s->share[s->shares - 1] : NULL;
    struct space_share share = {.host = host,
                                .va = space_find_room(s, len),
                                .gpa = last ? last->gpa + last->len : USER_KERNEL_GPA + (1ull << 30),
                                .len = len,
                                .is_writable = is_writable};
    if (!share.va) return err_set(e, -ENOMEM, "sandbox: no place for %llu shared bytes", (unsigned long long)len);
    int rc = vm_map_ram(vm, share.gpa, len, host, !is_writable, e);
    if (!rc && put_share(s, &share))
        rc = err_set(e, -ENOMEM, "sandbox: no page tables for %llu shared bytes", (unsigned long long)len);
    if (rc) return rc;
    s->share[s->shares++] = share;
    return (int64_t)share.va;
}
