/* Between the program's main and the module's C code: `vireo wasm` writes the functions, as they name what wasm2c made
 * of this one module (vmm/cli/wasm_glue.c). */
#ifndef VIREO_WASM_MODULE_H
#define VIREO_WASM_MODULE_H

#include <stddef.h>
#include <stdint.h>

#include "guest/wasi/wasm-rt.h"

struct Z_wasi_snapshot_preview1_instance_t;

wasm_rt_memory_t *vireo_module_memory(void); /* the one exported as "memory"; NULL: none */
/* Memory, tables, globals; and the start function, where the module has one. */
void vireo_module_instantiate(struct Z_wasi_snapshot_preview1_instance_t *w);
void vireo_module_begin(void); /* _start of a command, or _initialize of a reactor */

/* The allocator that the module exports, malloc and free. There only where a function of the module takes bytes. */
uint32_t vireo_module_alloc(uint32_t size); /* the module's word for it: 0 is none, any other may be no address */
void vireo_module_free(uint32_t at);
/* A function  int64_t fn(const void *in, size_t in_size, void *out, size_t *out_size)  as WebAssembly has it. */
typedef uint64_t vireo_module_fn(uint32_t in, uint32_t in_size, uint32_t out, uint32_t out_size);
/* Call it with bytes that are not the module's, as vireo_sandbox_call does. *out_size: how much may be answered, and
 * how much was; when that is more, out is untouched. A trap where the module's allocator has no room. */
int64_t vireo_module_call(vireo_module_fn *fn, const void *in, size_t in_size, void *out, size_t *out_size);

/* For those who call functions of the module by name. */
uint8_t *vireo_wasm_memory(void); /* its first byte; it stays where it is when the memory grows */
uint64_t vireo_wasm_memory_size(void);

#endif
