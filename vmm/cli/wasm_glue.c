/* What stands around the C code that wasm2c makes of a module: its one instance, and its exported functions under
 * names of ours, which objcopy then turns into the module's. No text of the module's gets into C. */
#include <string.h>

#include "vmm/cli/wasm_module.h"

/* ---- symbols ---- */

static bool is_plain(uint8_t c, bool is_first)
{
    const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    return is_letter || (c >= '0' && c <= '9' && !is_first);
}

void wasm_export_symbol(const struct wasm_export *x, FILE *f)
{
    static const char own[] = "vireo_";
    const bool is_own = x->name_len >= sizeof(own) - 1 && memcmp(x->name, own, sizeof(own) - 1) == 0;
    for (uint32_t i = 0; i < x->name_len; i++) {
        if (is_plain(x->name[i], i == 0) && !(is_own && i == 0))
            (void)fputc(x->name[i], f);
        else
            fprintf(f, ".%02x", x->name[i]);
    }
    if (x->name_len == 0) (void)fputc('.', f);
}

/* In what a number of this type is called in the generated code; NULL: it is no number. */
static const char *type_name(uint8_t type)
{
    switch (type) {
    case WASM_I32: return "u32";
    case WASM_I64: return "u64";
    case WASM_F32: return "f32";
    case WASM_F64: return "f64";
    default: return NULL;
    }
}

bool wasm_export_is_callable(const struct wasm_export *x)
{
    if (x->kind != WASM_FUNCTION || x->type->results > 1) return false;
    for (uint32_t i = 0; i < x->type->params; i++)
        if (!type_name(x->type->param[i])) return false;
    return x->type->results == 0 || type_name(x->type->result[0]);
}

void wasm_symbols_write(const struct wasm_module *m, FILE *f)
{
    for (uint32_t i = 0; i < m->exports; i++) {
        if (!wasm_export_is_callable(&m->export[i])) continue;
        fprintf(f, "vireo_export_%u ", i);
        wasm_export_symbol(&m->export[i], f);
        (void)fputc('\n', f);
    }
}

/* ---- C ---- */

static const char preamble[] =
    "#include \"m.h\"\n"
    "struct Z_wasi_snapshot_preview1_instance_t;\n"
    "static Z_m_instance_t instance;\n"
    "static u32 to_u32(u64 v) { return (u32)v; }\n"
    "static u64 to_u64(u64 v) { return v; }\n"
    "static f32 to_f32(u64 v) { u32 low = (u32)v; f32 x; memcpy(&x, &low, sizeof(x)); return x; }\n"
    "static f64 to_f64(u64 v) { f64 x; memcpy(&x, &v, sizeof(x)); return x; }\n"
    "static u64 of_u32(u32 v) { return (u64)(s64)(s32)v; }\n"
    "static u64 of_u64(u64 v) { return v; }\n"
    "static u64 of_f32(f32 v) { u32 low; memcpy(&low, &v, sizeof(low)); return low; }\n"
    "static u64 of_f64(f64 v) { u64 x; memcpy(&x, &v, sizeof(x)); return x; }\n";

/* All that goes in and out is 64 bits: a number of 32 is its low half, a result of 32 is extended by its sign, and a
 * real is its bits. So whoever calls by numbers, as the sandbox does, can call any of them. */
static void write_function(const struct wasm_export *x, uint32_t number, FILE *f)
{
    fprintf(f, "u64 vireo_export_%u(", number);
    for (uint32_t i = 0; i < x->type->params; i++) fprintf(f, "%su64 p%u", i ? ", " : "", i);
    fprintf(f, "%s) { ", x->type->params ? "" : "void");
    if (x->type->results) fprintf(f, "return of_%s(", type_name(x->type->result[0]));
    fprintf(f, "Z_mZ_e%u(&instance", number);
    for (uint32_t i = 0; i < x->type->params; i++) fprintf(f, ", to_%s(p%u)", type_name(x->type->param[i]), i);
    fprintf(f, "%s", x->type->results ? ")); }\n" : "); return 0; }\n");
}

/* `count` parameters, all of them i32, and that result (0: none)? */
static bool is_of_type(const struct wasm_export *x, uint32_t count, uint8_t result)
{
    if (!x || x->type->params != count || x->type->results != (result ? 1 : 0)) return false;
    for (uint32_t i = 0; i < count; i++)
        if (x->type->param[i] != WASM_I32) return false;
    return !result || x->type->result[0] == result;
}

/* What puts bytes into the module's memory: its own malloc and free. */
struct allocator {
    const struct wasm_export *malloc, *free;
};

static bool find_allocator(const struct wasm_module *m, struct allocator *out)
{
    out->malloc = wasm_module_find(m, WASM_FUNCTION, "malloc");
    out->free = wasm_module_find(m, WASM_FUNCTION, "free");
    return wasm_module_find(m, WASM_MEMORY, "memory") && is_of_type(out->malloc, 1, WASM_I32) &&
           is_of_type(out->free, 1, 0);
}

static void write_allocator(const struct wasm_module *m, const struct allocator *a, FILE *f)
{
    fprintf(f,
            "u32 vireo_module_alloc(u32 size) { return Z_mZ_e%u(&instance, size); }\n"
            "void vireo_module_free(u32 at) { Z_mZ_e%u(&instance, at); }\n"
            "s64 vireo_module_call(u64 (*fn)(u32, u32, u32, u32), const void *, size_t, void *, size_t *);\n",
            (unsigned)(a->malloc - m->export), (unsigned)(a->free - m->export));
}

/* int64_t fn(const void *in, size_t in_size, void *out, size_t *out_size), as clang compiles it for wasm32. */
static bool takes_bytes(const struct wasm_export *x)
{
    return is_of_type(x, 4, WASM_I64);
}

/* The same C function for the caller, with addresses of the caller's. */
static void write_bytes_function(uint32_t number, FILE *f)
{
    fprintf(f,
            "static u64 call_%u(u32 in, u32 in_size, u32 out, u32 out_size)"
            " { return Z_mZ_e%u(&instance, in, in_size, out, out_size); }\n"
            "s64 vireo_export_%u(const void *in, size_t in_size, void *out, size_t *out_size)"
            " { return vireo_module_call(call_%u, in, in_size, out, out_size); }\n",
            number, number, number, number);
}

static bool is_begin(const struct wasm_export *x)
{
    return x && x->type->params == 0 && x->type->results == 0;
}

void wasm_glue_write(const struct wasm_module *m, FILE *f)
{
    const struct wasm_export *memory = wasm_module_find(m, WASM_MEMORY, "memory");
    const struct wasm_export *begin = wasm_module_find(m, WASM_FUNCTION, "_start");
    struct allocator allocator;
    if (!begin) begin = wasm_module_find(m, WASM_FUNCTION, "_initialize");
    fputs(preamble, f);
    fputs("wasm_rt_memory_t *vireo_module_memory(void) { return ", f);
    if (memory)
        fprintf(f, "Z_mZ_e%u(&instance); }\n", (unsigned)(memory - m->export));
    else
        fputs("0; }\n", f);
    fprintf(f,
            "void vireo_module_instantiate(struct Z_wasi_snapshot_preview1_instance_t *w)"
            " { (void)w; Z_m_init_module(); Z_m_instantiate(&instance%s); }\n",
            m->imports ? ", w" : "");
    fputs("void vireo_module_begin(void) { ", f);
    if (is_begin(begin)) fprintf(f, "Z_mZ_e%u(&instance); ", (unsigned)(begin - m->export));
    fputs("}\n", f);
    const bool has_allocator = find_allocator(m, &allocator);
    if (has_allocator) write_allocator(m, &allocator, f);
    for (uint32_t i = 0; i < m->exports; i++) {
        if (!wasm_export_is_callable(&m->export[i])) continue;
        if (has_allocator && takes_bytes(&m->export[i]))
            write_bytes_function(i, f);
        else
            write_function(&m->export[i], i, f);
    }
}
