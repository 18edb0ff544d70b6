/* A WebAssembly module from anybody. What is taken for one can be given on: the module for wasm2c is one too, with the
 * same lists, and none of the first one's names gets into it or into the C code around it. */
#include <stdio.h>

#include "tests/fuzz/fuzz.h"
#include "vmm/cli/wasm_glue.c"
#include "vmm/cli/wasm_module.c"

static void check_symbol(const struct wasm_export *x)
{
    char text[4 * WASM_NAME_MAX] = "";
    FILE *f = fmemopen(text, sizeof(text), "w");
    MUST(f);
    wasm_export_symbol(x, f);
    MUST(fclose(f) == 0 && text[0] && !(text[0] >= '0' && text[0] <= '9') && strncmp(text, "vireo_", 6) != 0);
    for (const char *c = text; *c; c++) MUST(is_plain((uint8_t)*c, false) || *c == '.');
}

static void check_glue(const struct wasm_module *m)
{
    FILE *f = fopen("/dev/null", "w");
    MUST(f);
    wasm_glue_write(m, f);
    wasm_symbols_write(m, f);
    MUST(fclose(f) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wasm_module m, again;
    struct err e = {0};
    uint8_t *bare;
    size_t bare_size;
    uint8_t *bytes = (uint8_t *)text_of(data, size);
    MUST(bytes);
    const int rc = wasm_module_read(&m, bytes, size, "module", &e);
    MUST(rc <= 0 && (rc == 0 || (e.code == rc && e.text[0] && !m.export)));
    if (rc == 0) {
        MUST(wasm_module_rewrite(&m, &bare, &bare_size) == 0);
        MUST(wasm_module_read(&again, bare, bare_size, "again", &e) == 0);
        MUST(again.exports == m.exports && again.functions == m.functions && again.types == m.types);
        for (uint32_t i = 0; i < m.exports; i++) {
            char name[16];
            const int len = snprintf(name, sizeof(name), "e%u", i);
            MUST(again.export[i].name_len == (uint32_t)len && memcmp(again.export[i].name, name, (size_t)len) == 0);
            MUST(again.export[i].kind == m.export[i].kind && again.export[i].index == m.export[i].index);
            check_symbol(&m.export[i]);
        }
        check_glue(&m);
        wasm_module_fini(&again);
        wasm_module_fini(&m);
        free(bare);
    }
    free(bytes);
    return 0;
}
