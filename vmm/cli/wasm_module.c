#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/cli/wasm_module.h"

#define VERSION 1u
#define WASI    "wasi_snapshot_preview1"

enum section {
    CUSTOM,
    TYPE,
    IMPORT,
    FUNCTION,
    TABLE,
    MEMORY,
    GLOBAL,
    EXPORT,
    START,
    ELEMENT,
    CODE,
    DATA,
    DATA_COUNT,
    TAG
};

/* ---- numbers and bytes; what runs out or is wrong sets is_bad and reads as 0 ---- */

struct reader {
    const uint8_t *at, *end;
    bool is_bad;
};

static const uint8_t *bytes_of(struct reader *r, size_t len)
{
    const uint8_t *at = r->at;
    if (r->is_bad || len > (size_t)(r->end - r->at)) {
        r->is_bad = true;
        return NULL;
    }
    r->at += len;
    return at;
}

static uint8_t byte_of(struct reader *r)
{
    const uint8_t *at = bytes_of(r, 1);
    return at ? *at : 0;
}

/* LEB128 of 32 bits (5.2.2): five bytes at most, the last of four bits. */
static uint32_t number_of(struct reader *r)
{
    uint32_t value = 0;
    for (unsigned shift = 0; shift <= 28; shift += 7) {
        const uint8_t b = byte_of(r);
        if (shift == 28 && b > 0x0f) break;
        value |= (uint32_t)(b & 0x7f) << shift;
        if (!(b & 0x80)) return r->is_bad ? 0 : value;
    }
    r->is_bad = true;
    return 0;
}

/* How many follow, of at least one byte each: never more than there are bytes. */
static uint32_t count_of(struct reader *r, uint32_t most)
{
    const uint32_t n = number_of(r);
    if (n > most || n > (size_t)(r->end - r->at)) r->is_bad = true;
    return r->is_bad ? 0 : n;
}

static struct reader part_of(struct reader *r, uint32_t len)
{
    const uint8_t *at = bytes_of(r, len);
    return (struct reader){.at = at, .end = at ? at + len : NULL, .is_bad = !at};
}

/* ---- the functions of WASI preview 1 (wasi_snapshot_preview1.witx, as its C ABI has them) ---- */

/* Parameters: i for 32 bits, I for 64. Each answers an errno (i), but for proc_exit. */
static const struct wasi_function {
    const char *name, *params;
} wasi_functions[] = {
    {"args_get", "ii"},
    {"args_sizes_get", "ii"},
    {"clock_res_get", "ii"},
    {"clock_time_get", "iIi"},
    {"environ_get", "ii"},
    {"environ_sizes_get", "ii"},
    {"fd_advise", "iIIi"},
    {"fd_allocate", "iII"},
    {"fd_close", "i"},
    {"fd_datasync", "i"},
    {"fd_fdstat_get", "ii"},
    {"fd_fdstat_set_flags", "ii"},
    {"fd_fdstat_set_rights", "iII"},
    {"fd_filestat_get", "ii"},
    {"fd_filestat_set_size", "iI"},
    {"fd_filestat_set_times", "iIIi"},
    {"fd_pread", "iiiIi"},
    {"fd_prestat_dir_name", "iii"},
    {"fd_prestat_get", "ii"},
    {"fd_pwrite", "iiiIi"},
    {"fd_read", "iiii"},
    {"fd_readdir", "iiiIi"},
    {"fd_renumber", "ii"},
    {"fd_seek", "iIii"},
    {"fd_sync", "i"},
    {"fd_tell", "ii"},
    {"fd_write", "iiii"},
    {"path_create_directory", "iii"},
    {"path_filestat_get", "iiiii"},
    {"path_filestat_set_times", "iiiiIIi"},
    {"path_link", "iiiiiii"},
    {"path_open", "iiiiiIIii"},
    {"path_readlink", "iiiiii"},
    {"path_remove_directory", "iii"},
    {"path_rename", "iiiiii"},
    {"path_symlink", "iiiii"},
    {"path_unlink_file", "iii"},
    {"poll_oneoff", "iiii"},
    {"proc_exit", "i"},
    {"proc_raise", "i"},
    {"random_get", "ii"},
    {"sched_yield", ""},
    {"sock_accept", "iii"},
    {"sock_recv", "iiiiii"},
    {"sock_send", "iiiii"},
    {"sock_shutdown", "ii"},
};

struct name {
    const uint8_t *at;
    uint32_t len;
};

static struct name name_of(struct reader *r)
{
    const uint32_t len = number_of(r);
    const uint8_t *at = bytes_of(r, len);
    return (struct name){.at = at, .len = at ? len : 0};
}

static bool is_name(struct name n, const char *text)
{
    return n.len == strlen(text) && memcmp(n.at, text, n.len) == 0;
}

static bool has_wasi_type(const struct wasi_function *f, const struct wasm_type *t)
{
    const uint32_t results = strcmp(f->name, "proc_exit") == 0 ? 0 : 1;
    if (t->params != strlen(f->params) || t->results != results || (results && t->result[0] != WASM_I32)) return false;
    for (uint32_t i = 0; i < t->params; i++)
        if (t->param[i] != (f->params[i] == 'I' ? WASM_I64 : WASM_I32)) return false;
    return true;
}

/* ---- sections ---- */

struct parse {
    struct wasm_module *m;
    const char *name; /* the file's */
    struct err *e;
};

/* What does not fit in an array of `count` of them. */
static void *array_of(uint32_t count, size_t size)
{
    return calloc((size_t)count + 1, size);
}

static int no_memory(struct parse *p)
{
    return err_set(p->e, -ENOMEM, "%s: out of memory", p->name);
}

static int read_types(struct parse *p, struct reader *r)
{
    struct wasm_module *m = p->m;
    const uint32_t count = count_of(r, WASM_LIST_MAX);
    m->type = array_of(count, sizeof(*m->type));
    if (!m->type) return no_memory(p);
    for (m->types = 0; m->types < count && !r->is_bad; m->types++) {
        struct wasm_type *t = &m->type[m->types];
        if (byte_of(r) != 0x60) r->is_bad = true;
        t->params = count_of(r, WASM_LIST_MAX);
        t->param = bytes_of(r, t->params);
        t->results = count_of(r, WASM_LIST_MAX);
        t->result = bytes_of(r, t->results);
    }
    return 0;
}

/* A function more, of a type by its number. */
static void add_function(struct wasm_module *m, struct reader *r)
{
    const uint32_t type = number_of(r);
    if (type >= m->types) r->is_bad = true;
    if (!r->is_bad) m->function[m->functions++] = &m->type[type];
}

static int check_import(struct parse *p, struct name module, struct name field)
{
    const struct wasm_module *m = p->m;
    const int module_len = (int)(module.len < 64 ? module.len : 64), field_len = (int)(field.len < 64 ? field.len : 64);
    for (unsigned i = 0; is_name(module, WASI) && i < sizeof(wasi_functions) / sizeof(wasi_functions[0]); i++) {
        if (!is_name(field, wasi_functions[i].name)) continue;
        if (has_wasi_type(&wasi_functions[i], m->function[m->functions - 1])) return 0;
        return err_set(p->e, -EINVAL, "%s: imports \"%s\" with a type that is not WASI's", p->name,
                       wasi_functions[i].name);
    }
    err_set(p->e, -EINVAL, "%s: imports \"%.*s\" of \"%.*s\", which is no function of WASI preview 1", p->name,
            field_len, (const char *)field.at, module_len, (const char *)module.at);
    err_hint(p->e, "build it for WASI preview 1 (--target=wasm32-wasi): nothing but \"" WASI "\" can be imported");
    return -EINVAL;
}

static int read_imports(struct parse *p, struct reader *r)
{
    struct wasm_module *m = p->m;
    const uint32_t count = count_of(r, WASM_LIST_MAX);
    m->function = array_of(count, sizeof(void *));
    if (!m->function) return no_memory(p);
    for (uint32_t i = 0; i < count && !r->is_bad; i++) {
        const struct name module = name_of(r), field = name_of(r);
        if (byte_of(r) != WASM_FUNCTION && !r->is_bad) {
            err_set(p->e, -EINVAL, "%s: imports \"%.*s\" of \"%.*s\", which is no function: WASI has functions only",
                    p->name, (int)(field.len < 64 ? field.len : 64), (const char *)field.at,
                    (int)(module.len < 64 ? module.len : 64), (const char *)module.at);
            return -EINVAL;
        }
        add_function(m, r);
        const int rc = r->is_bad ? 0 : check_import(p, module, field);
        if (rc) return rc;
    }
    m->imports = m->functions;
    return 0;
}

static int read_functions(struct parse *p, struct reader *r)
{
    struct wasm_module *m = p->m;
    const uint32_t count = count_of(r, WASM_LIST_MAX);
    const struct wasm_type **all = reallocarray(m->function, (size_t)m->imports + count + 1, sizeof(void *));
    if (!all) return no_memory(p);
    m->function = all;
    for (uint32_t i = 0; i < count && !r->is_bad; i++) add_function(m, r);
    return 0;
}

static int read_exports(struct parse *p, struct reader *r)
{
    struct wasm_module *m = p->m;
    const uint32_t count = count_of(r, WASM_EXPORTS_MAX);
    m->export = array_of(count, sizeof(*m->export));
    if (!m->export) return no_memory(p);
    for (m->exports = 0; m->exports < count && !r->is_bad; m->exports++) {
        struct wasm_export *x = &m->export[m->exports];
        const struct name name = name_of(r);
        x->name = name.at;
        x->name_len = name.len;
        x->kind = byte_of(r);
        x->index = number_of(r);
        if (x->kind > WASM_GLOBAL || (x->kind == WASM_FUNCTION && x->index >= m->functions)) r->is_bad = true;
        if (!r->is_bad && x->kind == WASM_FUNCTION) x->type = m->function[x->index];
        if (name.len <= WASM_NAME_MAX) continue;
        return err_set(p->e, -EINVAL, "%s: the name of export %u has %u bytes; %u are allowed", p->name, m->exports,
                       name.len, WASM_NAME_MAX);
    }
    return 0;
}

static int by_name(const void *a, const void *b)
{
    const struct wasm_export *const *x = a, *const *y = b;
    if ((*x)->name_len != (*y)->name_len) return (*x)->name_len < (*y)->name_len ? -1 : 1;
    return memcmp((*x)->name, (*y)->name, (*x)->name_len);
}

/* wasm2c would see it, but for the new names. */
static int check_once(struct parse *p)
{
    const struct wasm_module *m = p->m;
    int rc = 0;
    const struct wasm_export **sorted = array_of(m->exports, sizeof(void *));
    if (!sorted) return no_memory(p);
    for (uint32_t i = 0; i < m->exports; i++) sorted[i] = &m->export[i];
    qsort(sorted, m->exports, sizeof(void *), by_name);
    for (uint32_t i = 1; i < m->exports && rc == 0; i++)
        if (by_name(&sorted[i - 1], &sorted[i]) == 0)
            rc = err_set(p->e, -EINVAL, "%s: exports \"%.*s\" twice", p->name, (int)sorted[i]->name_len,
                         (const char *)sorted[i]->name);
    free(sorted);
    return rc;
}

/* Those that are read here; the rest is wasm2c's. */
static int read_section(struct parse *p, enum section id, struct reader *r)
{
    int rc = 0;
    switch (id) {
    case TYPE: rc = read_types(p, r); break;
    case IMPORT: rc = read_imports(p, r); break;
    case FUNCTION: rc = read_functions(p, r); break;
    case EXPORT: rc = read_exports(p, r); break;
    default: return 0;
    }
    if (rc == 0 && (r->is_bad || r->at != r->end))
        rc = err_set(p->e, -EINVAL, "%s: no sound WebAssembly module: section %d is broken", p->name, (int)id);
    return rc;
}

/* Each but the custom ones comes once, in this order (5.5.2, and the count of data segments before the code). */
static int place_of(unsigned id)
{
    return id == DATA_COUNT ? 2 * CODE - 1 : 2 * (int)id;
}

static int read_sections(struct parse *p, struct reader *r)
{
    int last = 0;
    while (r->at < r->end) {
        const size_t at = (size_t)(r->at - p->m->bytes);
        const unsigned id = byte_of(r);
        struct reader body = part_of(r, number_of(r));
        if (body.is_bad || r->is_bad)
            return err_set(p->e, -EINVAL, "%s: the WebAssembly module is cut short at byte %zu", p->name, at);
        if (id == TAG) {
            err_set(p->e, -EINVAL, "%s: has exceptions, which are beyond wasm2c", p->name);
            err_hint(p->e, "build it with -fno-exceptions");
            return -EINVAL;
        }
        if (id > DATA_COUNT || (id != CUSTOM && place_of(id) <= last))
            return err_set(p->e, -EINVAL, "%s: no sound WebAssembly module: section %u at byte %zu is not due", p->name,
                           id, at);
        if (id == CUSTOM) continue;
        last = place_of(id);
        const int rc = read_section(p, id, &body);
        if (rc) return rc;
    }
    return check_once(p);
}

/* ---- the whole ---- */

static int check_head(struct parse *p, struct reader *r)
{
    const uint8_t *magic = bytes_of(r, 4), *version = bytes_of(r, 4);
    if (!magic || memcmp(magic, "\0asm", 4) != 0) {
        err_set(p->e, -EINVAL, "%s: no WebAssembly module: it does not begin with \"\\0asm\"", p->name);
        if (p->m->size >= 7 && memcmp(p->m->bytes, "(module", 7) == 0)
            err_hint(p->e, "it looks like the text format: wat2wasm turns that into a module");
        return -EINVAL;
    }
    if (!version) return err_set(p->e, -EINVAL, "%s: the WebAssembly module is cut short at byte 4", p->name);
    const uint32_t v = version[0] | (uint32_t)version[1] << 8 | (uint32_t)version[2] << 16 | (uint32_t)version[3] << 24;
    if (v == VERSION) return 0;
    err_set(p->e, -EINVAL, "%s: a WebAssembly module of version 0x%x; version %u is understood", p->name, v, VERSION);
    if (v >> 16) err_hint(p->e, "it is a component: take the core module for WASI preview 1 that it was made of");
    return -EINVAL;
}

int wasm_module_read(struct wasm_module *m, const void *bytes, size_t size, const char *name, struct err *e)
{
    struct parse p = {.m = m, .name = name, .e = e};
    *m = (struct wasm_module){.bytes = bytes, .size = size};
    struct reader r = {.at = m->bytes, .end = m->bytes + size};
    int rc = check_head(&p, &r);
    if (rc == 0) rc = read_sections(&p, &r);
    if (rc) wasm_module_fini(m);
    return rc;
}

void wasm_module_fini(struct wasm_module *m)
{
    free(m->type);
    free(m->function);
    free(m->export);
    *m = (struct wasm_module){0};
}

const struct wasm_export *wasm_module_find(const struct wasm_module *m, enum wasm_kind kind, const char *name)
{
    for (uint32_t i = 0; i < m->exports; i++) {
        const struct wasm_export *x = &m->export[i];
        if (x->kind == kind && is_name((struct name){x->name, x->name_len}, name)) return x;
    }
    return NULL;
}

/* ---- the module for wasm2c ---- */

/* A number of 32 bits in its longest form, so that its size is known before its value. */
static uint8_t *put_number(uint8_t *to, uint32_t n)
{
    for (unsigned i = 0; i < 4; i++, n >>= 7) *to++ = (uint8_t)(n | 0x80);
    *to++ = (uint8_t)n;
    return to;
}

static uint8_t *put_exports(uint8_t *to, const struct wasm_module *m)
{
    uint8_t *const size_at = to + 1;
    *to = EXPORT;
    to = put_number(to + 6, m->exports);
    for (uint32_t i = 0; i < m->exports; i++) {
        const int len = sprintf((char *)to + 1, "e%u", i);
        *to = (uint8_t)len;
        to += 1 + len;
        *to++ = (uint8_t)m->export[i].kind;
        to = put_number(to, m->export[i].index);
    }
    (void)put_number(size_at, (uint32_t)(to - size_at - 5));
    return to;
}

int wasm_module_rewrite(const struct wasm_module *m, uint8_t **out, size_t *size)
{
    /* An export's entry: length, "e" and its number's digits, the end of that string, kind, index. */
    const size_t entry = 1 + 1 + 10 + 1 + 1 + 5, head = 1 + 5 + 5;
    uint8_t *const all = malloc(m->size + head + (size_t)m->exports * entry), *to = all;
    struct reader r = {.at = m->bytes, .end = m->bytes + m->size};
    if (!all) return -ENOMEM;
    memcpy(to, bytes_of(&r, 8), 8);
    to += 8;
    while (r.at < r.end) {
        const uint8_t *const begin = r.at, id = byte_of(&r);
        (void)part_of(&r, number_of(&r));
        if (id == CUSTOM) continue;
        if (id == EXPORT)
            to = put_exports(to, m);
        else
            to = mempcpy(to, begin, (size_t)(r.at - begin));
    }
    *out = all;
    *size = (size_t)(to - all);
    return 0;
}
