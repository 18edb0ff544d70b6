/* Memory, tables and function types of a translated module: wasm-rt.h. */
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "guest/wasi/wasm-rt.h"

#define WASM_PAGE 65536ull  /* WebAssembly 1.0, 4.2.8 */
#define PAGES_MAX 65536u    /* 4 GiB: all that 32 bits reach */
#define TABLE_MAX 10000000u /* elements; what the JavaScript interface allows, and 240 MB here */

bool wasm_rt_is_initialized(void)
{
    return true;
}

/* ---- memory ---- */

void wasm_rt_allocate_memory(wasm_rt_memory_t *m, uint32_t initial_pages, uint32_t max_pages)
{
    const uint32_t most = max_pages < PAGES_MAX ? max_pages : PAGES_MAX;
    /* An empty memory has an address too. */
    const uint64_t reserved = most ? most * WASM_PAGE : WASM_PAGE, size = initial_pages * WASM_PAGE;
    void *at = mmap(NULL, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED || size > reserved || (size && mprotect(at, size, PROT_READ | PROT_WRITE) < 0))
        wasm_rt_trap(WASM_RT_TRAP_MEMORY);
    *m = (wasm_rt_memory_t){.data = at, .pages = initial_pages, .max_pages = most, .size = size};
}

uint32_t wasm_rt_grow_memory(wasm_rt_memory_t *m, uint32_t pages)
{
    const uint32_t before = m->pages;
    if (pages > m->max_pages - before) return UINT32_MAX;
    if (pages && mprotect(m->data + m->size, pages * WASM_PAGE, PROT_READ | PROT_WRITE) < 0) return UINT32_MAX;
    m->pages += pages;
    m->size += pages * WASM_PAGE;
    return before;
}

void wasm_rt_free_memory(wasm_rt_memory_t *m)
{
    (void)munmap(m->data, m->max_pages ? m->max_pages * WASM_PAGE : WASM_PAGE);
}

/* ---- tables ---- */

void wasm_rt_allocate_funcref_table(wasm_rt_funcref_table_t *t, uint32_t size, uint32_t max_size)
{
    *t = (wasm_rt_funcref_table_t){.max_size = max_size};
    if (size && wasm_rt_grow_funcref_table(t, size, wasm_rt_funcref_null_value) == UINT32_MAX)
        wasm_rt_trap(WASM_RT_TRAP_MEMORY);
}

void wasm_rt_allocate_externref_table(wasm_rt_externref_table_t *t, uint32_t size, uint32_t max_size)
{
    *t = (wasm_rt_externref_table_t){.max_size = max_size};
    if (size && wasm_rt_grow_externref_table(t, size, wasm_rt_externref_null_value) == UINT32_MAX)
        wasm_rt_trap(WASM_RT_TRAP_MEMORY);
}

/* The array with room for `more` elements, or NULL. */
static void *grown(void *data, uint32_t size, uint32_t more, uint32_t max_size, size_t element)
{
    const uint32_t most = max_size < TABLE_MAX ? max_size : TABLE_MAX;
    if (size > most || more > most - size) return NULL;
    return realloc(data, (size + (size_t)more + 1) * element); /* one more: never a size of 0 */
}

uint32_t wasm_rt_grow_funcref_table(wasm_rt_funcref_table_t *t, uint32_t more, wasm_rt_funcref_t init)
{
    const uint32_t before = t->size;
    wasm_rt_funcref_t *data = grown(t->data, before, more, t->max_size, sizeof(*data));
    if (!data) return UINT32_MAX;
    t->data = data;
    t->size += more;
    for (uint32_t i = before; i < t->size; i++) data[i] = init;
    return before;
}

uint32_t wasm_rt_grow_externref_table(wasm_rt_externref_table_t *t, uint32_t more, wasm_rt_externref_t init)
{
    const uint32_t before = t->size;
    wasm_rt_externref_t *data = grown(t->data, before, more, t->max_size, sizeof(*data));
    if (!data) return UINT32_MAX;
    t->data = data;
    t->size += more;
    for (uint32_t i = before; i < t->size; i++) data[i] = init;
    return before;
}

void wasm_rt_free_funcref_table(wasm_rt_funcref_table_t *t)
{
    free(t->data);
}

void wasm_rt_free_externref_table(wasm_rt_externref_table_t *t)
{
    free(t->data);
}

/* ---- function types: one list for the program, as it has one module ---- */

struct signature {
    struct signature *next;
    uint32_t number, params, results;
    uint8_t type[]; /* params, then results */
};
static struct signature *signatures; /* written while the module is set up, before anything else runs */

uint32_t wasm_rt_register_func_type(uint32_t params, uint32_t results, ...)
{
    const size_t count = (size_t)params + results;
    struct signature *s = malloc(sizeof(*s) + count);
    va_list ap;
    if (!s) wasm_rt_trap(WASM_RT_TRAP_MEMORY);
    va_start(ap, results);
    for (size_t i = 0; i < count; i++) s->type[i] = (uint8_t)va_arg(ap, int);
    va_end(ap);
    for (const struct signature *at = signatures; at; at = at->next) {
        if (at->params != params || at->results != results || memcmp(at->type, s->type, count) != 0) continue;
        free(s);
        return at->number;
    }
    s->params = params;
    s->results = results;
    s->number = signatures ? signatures->number + 1 : 1;
    s->next = signatures;
    signatures = s;
    return s->number;
}
