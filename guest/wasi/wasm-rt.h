/* What the C code that wasm2c (wabt 1.0.32) writes expects of its runtime. The names, the fields and what each function
 * does are wasm2c's interface; rt.c and trap.c are behind it.
 *
 * Loads and stores are checked against the memory's size by the generated code itself. A guard region with a signal
 * handler would be faster by a few percent, but then a trap is only as certain as the signals of whoever runs the
 * program. The call stack ends at its guard page: counting calls would cost each of them, and says nothing of bytes. */
#ifndef VIREO_WASM_RT_H
#define VIREO_WASM_RT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define WASM_RT_MEMCHECK_SIGNAL_HANDLER 0
#define WASM_RT_USE_STACK_DEPTH_COUNT   0

#define UNLIKELY(x)         __builtin_expect(!!(x), 0)
#define LIKELY(x)           __builtin_expect(!!(x), 1)
#define wasm_rt_memcpy      __builtin_memcpy
#define wasm_rt_unreachable __builtin_unreachable

typedef enum {
    WASM_RT_TRAP_NONE,
    WASM_RT_TRAP_OOB,
    WASM_RT_TRAP_INT_OVERFLOW,
    WASM_RT_TRAP_DIV_BY_ZERO,
    WASM_RT_TRAP_INVALID_CONVERSION,
    WASM_RT_TRAP_UNREACHABLE,
    WASM_RT_TRAP_CALL_INDIRECT,
    WASM_RT_TRAP_EXHAUSTION,
    WASM_RT_TRAP_MEMORY,  /* ours: the memory or a table that the module begins with is not to be had */
    WASM_RT_TRAP_NO_ROOM, /* ours: malloc has no room for the bytes of a call */
} wasm_rt_trap_t;

typedef enum { WASM_RT_I32, WASM_RT_I64, WASM_RT_F32, WASM_RT_F64, WASM_RT_FUNCREF, WASM_RT_EXTERNREF } wasm_rt_type_t;

typedef void (*wasm_rt_function_ptr_t)(void);
typedef struct {
    uint32_t func_type; /* as wasm_rt_register_func_type numbered it */
    wasm_rt_function_ptr_t func;
    void *module_instance;
} wasm_rt_funcref_t;
static const wasm_rt_funcref_t wasm_rt_funcref_null_value = {0, NULL, NULL};
typedef void *wasm_rt_externref_t;
static const wasm_rt_externref_t wasm_rt_externref_null_value = NULL;

typedef struct {
    uint8_t *data;
    uint32_t pages, max_pages; /* of 64 KiB */
    uint64_t size;             /* bytes; 64 bits, as a memory of 65536 pages is possible */
} wasm_rt_memory_t;
typedef struct {
    wasm_rt_funcref_t *data;
    uint32_t max_size, size;
} wasm_rt_funcref_table_t;
typedef struct {
    wasm_rt_externref_t *data;
    uint32_t max_size, size;
} wasm_rt_externref_table_t;

bool wasm_rt_is_initialized(void);
/* The program ends with one sentence on standard error and status 134 (128 + SIGABRT). */
__attribute__((noreturn)) void wasm_rt_trap(wasm_rt_trap_t why);
/* The same number for the same signature: `params` types of parameters, then `results` of results. Never 0. */
uint32_t wasm_rt_register_func_type(uint32_t params, uint32_t results, ...);

/* The address space of the largest size is reserved, so that data stays where it is. Zero-filled. */
void wasm_rt_allocate_memory(wasm_rt_memory_t *m, uint32_t initial_pages, uint32_t max_pages);
uint32_t wasm_rt_grow_memory(wasm_rt_memory_t *m, uint32_t pages); /* the size before, in pages; UINT32_MAX: no room */
void wasm_rt_free_memory(wasm_rt_memory_t *m);

void wasm_rt_allocate_funcref_table(wasm_rt_funcref_table_t *t, uint32_t size, uint32_t max_size);
void wasm_rt_allocate_externref_table(wasm_rt_externref_table_t *t, uint32_t size, uint32_t max_size);
uint32_t wasm_rt_grow_funcref_table(wasm_rt_funcref_table_t *t, uint32_t more, wasm_rt_funcref_t init);
uint32_t wasm_rt_grow_externref_table(wasm_rt_externref_table_t *t, uint32_t more, wasm_rt_externref_t init);
void wasm_rt_free_funcref_table(wasm_rt_funcref_table_t *t);
void wasm_rt_free_externref_table(wasm_rt_externref_table_t *t);

#endif
