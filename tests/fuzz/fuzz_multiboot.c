/* Flat Multiboot images: the input is flags, the five addresses and the image; magic and checksum are put in. */
#include "tests/fuzz/x86_load.h"
#include "vmm/base/endian.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t file[FUZZ_INPUT];
    if (size < 28 || size > sizeof(file)) return 0;
    memcpy(file, data, size);
    const size_t off = (size_t)data[27] * 4;
    if (off + 32 > size) return 0;
    const uint32_t flags = le32_read(file + off + 4);
    le32_write(file + off, 0x1badb002);
    le32_write(file + off + 8, 0u - 0x1badb002u - flags);
    return fuzz_load(file, size);
}
