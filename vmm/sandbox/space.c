#include "vmm/sandbox/space.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "vmm/base/checked.h"
#include "vmm/base/pages.h"
#include "vmm/sandbox/struct_space.h"

/* Tables may take a sixteenth of what they map, and 2 MiB for programs whose mappings lie far apart. */
static uint32_t table_max_of(uint64_t memory)
{
    return (uint32_t)(memory / SPACE_PAGE / 16) + 512;
}

/* Frames, the room for the kernel's pages, tables. */
static uint64_t host_size(const struct space *s)
{
    return (s->pages + (uint64_t)s->table_max) * SPACE_PAGE + USER_KERNEL_MAX;
}

int ledger_init(struct ledger *l)
{
    *l = (struct ledger){.next = 1, .top = USER_END, .stack_limit = 8ull << 20};
    return areas_init(&l->areas);
}

void ledger_fini(struct ledger *l)
{
    areas_fini(&l->areas);
    free(l->frames.run);
    free(l->tables.run);
    *l = (struct ledger){0};
}

struct space *space_make(uint64_t memory, const struct space_template *t, struct err *e)
{
    struct space *s = calloc(1, sizeof(*s));
    if (!s) goto fail;
    s->memory = memory;
    s->budget = &s->own;
    (void)pthread_mutex_init(&s->own.lock, NULL);
    s->table_max = table_max_of(memory);
    /* A multiple of 64: what KVM clears of a bitmap at once. */
    s->pages = (uint32_t)align_up(memory / SPACE_PAGE + 1, 64);
    s->kernel_size = user_kernel_size();
    if (t) {
        s->from = t;
        s->file_pages = t->file_pages;
        s->file_tables = t->file_tables;
    }
    if (ledger_init(&s->ledger) || page_set_init(&s->written, s->file_pages)) goto fail;
    if (page_set_init(&s->changed, t ? s->table_max : 0)) goto fail;
    s->base = pages_map(host_size(s), MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
    if (!s->base) goto fail;
    s->tables = space_kernel(s) + USER_KERNEL_MAX;
    (void)madvise(s->base, host_size(s), MADV_NOHUGEPAGE); /* a program costs what it touches */
    return s;
fail:
    space_destroy(s);
    err_set(e, -ENOMEM, "%llu MiB for a sandbox: no memory", (unsigned long long)(memory >> 20));
    err_as(e, ERR_HOST);
    return NULL;
}

int space_create(struct space **out, uint64_t memory, struct err *e)
{
    if (memory < SPACE_MEMORY_MIN || memory > SPACE_MEMORY_MAX || memory % SPACE_PAGE)
        return err_set(e, -EINVAL, "%llu bytes of memory for a sandbox: from %llu MiB to %llu GiB, whole pages",
                       (unsigned long long)memory, SPACE_MEMORY_MIN >> 20, SPACE_MEMORY_MAX >> 30);
    struct space *s = space_make(memory, NULL, e);
    if (!s) return -ENOMEM;
    const int rc = tables_make_root(s); /* there are more than it takes */
    *out = s;
    return rc;
}

void space_destroy(struct space *s)
{
    if (!s) return;
    dirty_log_fini(&s->log);
    if (s->budget != &s->own) atomic_fetch_sub(&s->budget->used, s->ledger.used);
    (void)pthread_mutex_destroy(&s->own.lock);
    if (s->base) munmap(s->base, host_size(s));
    ledger_fini(&s->ledger);
    page_set_fini(&s->written);
    page_set_fini(&s->changed);
    free(s);
}

int space_attach(struct space *s, struct vm *vm, bool tracks, struct err *e)
{
    const uint64_t size = s->pages * SPACE_PAGE, behind = USER_KERNEL_MAX + s->table_max * SPACE_PAGE;
    int rc = tracks ? dirty_log_enable(&s->log, vm, e) : 0;
    s->log.slot = vm->slot_count;
    s->log.pages = s->pages;
    if (!rc) rc = tracks ? vm_map_logged(vm, 0, size, s->base, e) : vm_map_ram(vm, 0, size, s->base, false, e);
    s->tables_slot =
        (struct vm_ram){.slot = vm->slot_count, .gpa = USER_KERNEL_GPA, .size = behind, .host = space_kernel(s)};
    if (!rc) rc = vm_map_ram(vm, USER_KERNEL_GPA, behind, space_kernel(s), false, e);
    if (!rc) s->vm = vm;
    return rc;
}

int space_attach_vcpu(struct space *s, struct vcpu *v, struct err *e)
{
    return s->log.kind == DIRTY_NONE ? 0 : dirty_log_map(&s->log, v, e);
}

uint8_t *space_kernel(struct space *s)
{
    return s->base + s->pages * SPACE_PAGE;
}

uint64_t space_root(const struct space *s)
{
    (void)s;
    return TABLES_GPA + TABLES_ROOT * SPACE_PAGE;
}

bool space_wants_flush(struct space *s)
{
    const bool wants = s->wants_flush;
    s->wants_flush = false;
    return wants;
}

void space_use(const struct space *s, struct space_use *out)
{
    out->mapped = s->ledger.used * SPACE_PAGE;
    out->peak = s->ledger.peak * SPACE_PAGE;
    out->tables = s->ledger.table_count * SPACE_PAGE;
    out->limit = s->memory;
    out->stack = s->ledger.stack_limit;
}

bool space_area(const struct space *s, unsigned index, struct space_area *out)
{
    struct area a;
    if (!areas_index(&s->ledger.areas, index, &a)) return false;
    *out = (struct space_area){.start = a.start, .end = a.end, .prot = a.prot, .flags = a.flags};
    return true;
}
