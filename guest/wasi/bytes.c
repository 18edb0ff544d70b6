/* Calls of the module's functions with bytes: the caller's bytes go into the module's memory, and its answer comes out.
 *
 * One block of the module's own allocator has it all:  how much may be answered (4 bytes, and 4 unused) | what comes in
 * | the answer. The module may have answered anything as the block's address or the answer's size: both are checked. */
#include <string.h>

#include "guest/wasi/module.h"

#define HEAD_BYTES 8u /* what comes in begins at a multiple of 8, as C expects of a block */

static uint8_t *slice(uint32_t at, uint64_t size)
{
    const wasm_rt_memory_t *m = vireo_module_memory();
    if (at > m->size || size > m->size - at) wasm_rt_trap(WASM_RT_TRAP_OOB);
    return m->data + at;
}

/* The block's size for so many bytes in and out, and where the answer is in it. */
static uint32_t layout(size_t in_size, size_t out_max, uint32_t *out_at)
{
    const size_t most = UINT32_MAX / 4; /* the sum of both, rounded, stays an address of the module's */
    if (in_size > most || out_max > most) wasm_rt_trap(WASM_RT_TRAP_NO_ROOM);
    *out_at = HEAD_BYTES + (((uint32_t)in_size + 7) & ~7u);
    return *out_at + (uint32_t)out_max;
}

int64_t vireo_module_call(vireo_module_fn *fn, const void *in, size_t in_size, void *out, size_t *out_size)
{
    uint32_t out_at, answered;
    const size_t out_max = *out_size;
    const uint32_t size = layout(in_size, out_max, &out_at), block = vireo_module_alloc(size), room = (uint32_t)out_max;
    if (block == 0) wasm_rt_trap(WASM_RT_TRAP_NO_ROOM);
    uint8_t *bytes = slice(block, size);
    memcpy(bytes, &room, sizeof(room));
    if (in_size > 0) memcpy(bytes + HEAD_BYTES, in, in_size);
    const int64_t value = (int64_t)fn(block + HEAD_BYTES, (uint32_t)in_size, block + out_at, block);
    memcpy(&answered, bytes, sizeof(answered));
    /* An answer that is too large is the caller's to refuse, as of any program. */
    if (answered > 0 && answered <= room) memcpy(out, bytes + out_at, answered);
    *out_size = answered;
    vireo_module_free(block);
    return value;
}
