/* Between the program's main and the module's C code: `vireo wasm` writes the functions, as they name what wasm2c made
 * of this one module (vmm/cli/wasm_glue.c). */
#ifndef VIREO_WASM_MODULE_H
#define VIREO_WASM_MODULE_H

#include "guest/wasi/wasm-rt.h"

struct Z_wasi_snapshot_preview1_instance_t;

wasm_rt_memory_t *vireo_module_memory(void); /* the one exported as "memory"; NULL: none */
/* Memory, tables, globals; and the start function, where the module has one. */
void vireo_module_instantiate(struct Z_wasi_snapshot_preview1_instance_t *w);
void vireo_module_begin(void); /* _start of a command, or _initialize of a reactor */

/* For those who call functions of the module by name. */
uint8_t *vireo_wasm_memory(void); /* its first byte; it stays where it is when the memory grows */
uint64_t vireo_wasm_memory_size(void);

#endif
