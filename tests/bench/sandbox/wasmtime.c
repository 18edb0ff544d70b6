/* A WASI module run by wasmtime's library, with as little around it as can be: the peer of `vireo exec MODULE`. The
 * module is compiled beforehand, as ours is translated beforehand. The library is the one in the Python package, which
 * has no headers: what is declared here is of wasmtime's C API. scripts/bench fetches the library and compiles this.
 *
 *   wasmtime compile MODULE COMPILED
 *   wasmtime run COMPILED */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODULE_MAX (16u << 20)

struct engine;
struct store;
struct context;
struct linker;
struct module;
struct wasi;
struct error;
struct trap;
struct bytes {
    size_t size;
    char *data;
};
struct function {
    uint64_t words[2];
};

struct engine *wasm_engine_new(void);
void wasm_byte_vec_delete(struct bytes *b);
struct error *wasmtime_module_new(struct engine *engine, const uint8_t *wasm, size_t size, struct module **out);
struct error *wasmtime_module_serialize(struct module *module, struct bytes *out);
struct error *wasmtime_module_deserialize_file(struct engine *engine, const char *path, struct module **out);
struct store *wasmtime_store_new(struct engine *engine, void *data, void (*finalizer)(void *));
struct context *wasmtime_store_context(struct store *store);
struct wasi *wasi_config_new(void);
void wasi_config_inherit_stdout(struct wasi *wasi);
struct error *wasmtime_context_set_wasi(struct context *context, struct wasi *wasi);
struct linker *wasmtime_linker_new(struct engine *engine);
struct error *wasmtime_linker_define_wasi(struct linker *linker);
struct error *wasmtime_linker_module(struct linker *linker, struct context *context, const char *name, size_t length,
                                     const struct module *module);
struct error *wasmtime_linker_get_default(const struct linker *linker, struct context *context, const char *name,
                                          size_t length, struct function *out);
struct error *wasmtime_func_call(struct context *context, const struct function *function, const void *args,
                                 size_t arg_count, void *results, size_t result_count, struct trap **trap);
void wasmtime_error_message(const struct error *error, struct bytes *out);

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "wasmtime: %s\n", what);
    exit(1);
}

static void must(struct error *error)
{
    struct bytes text;
    if (!error) return;
    wasmtime_error_message(error, &text);
    fprintf(stderr, "wasmtime: %.*s\n", (int)text.size, text.data);
    exit(1);
}

static void compile(struct engine *engine, const char *from, const char *to)
{
    static uint8_t wasm[MODULE_MAX];
    struct module *module;
    struct bytes out;
    FILE *f = fopen(from, "rb");
    if (!f) die("the module can't be read");
    const size_t size = fread(wasm, 1, sizeof(wasm), f);
    fclose(f);
    must(wasmtime_module_new(engine, wasm, size, &module));
    must(wasmtime_module_serialize(module, &out));
    f = fopen(to, "wb");
    if (!f || fwrite(out.data, 1, out.size, f) != out.size || fclose(f) != 0) die("the result can't be written");
    wasm_byte_vec_delete(&out);
}

static void run(struct engine *engine, const char *compiled)
{
    struct module *module;
    struct function start;
    struct trap *trap = NULL;
    must(wasmtime_module_deserialize_file(engine, compiled, &module));
    struct linker *linker = wasmtime_linker_new(engine);
    must(wasmtime_linker_define_wasi(linker));
    struct context *context = wasmtime_store_context(wasmtime_store_new(engine, NULL, NULL));
    struct wasi *wasi = wasi_config_new();
    wasi_config_inherit_stdout(wasi);
    must(wasmtime_context_set_wasi(context, wasi));
    must(wasmtime_linker_module(linker, context, "", 0, module));
    must(wasmtime_linker_get_default(linker, context, "", 0, &start));
    must(wasmtime_func_call(context, &start, NULL, 0, NULL, 0, &trap));
    if (trap) die("the module trapped");
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "compile") == 0)
        compile(wasm_engine_new(), argv[2], argv[3]);
    else if (argc == 3 && strcmp(argv[1], "run") == 0)
        run(wasm_engine_new(), argv[2]);
    else
        die("usage: wasmtime compile MODULE COMPILED, or wasmtime run COMPILED");
    return 0;
}
