/* ELF kernels of both classes, with and without notes: the magic is put in, the class is the input's first bit. */
#include <elf.h>

#include "tests/fuzz/x86_load.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t file[FUZZ_INPUT];
    if (size < sizeof(Elf64_Ehdr) || size > sizeof(file)) return 0;
    memcpy(file, data, size);
    const bool is_64 = file[EI_CLASS] & 1;
    memcpy(file, ELFMAG, SELFMAG);
    file[EI_CLASS] = is_64 ? ELFCLASS64 : ELFCLASS32;
    file[EI_DATA] = ELFDATA2LSB;
    Elf64_Ehdr *h = (Elf64_Ehdr *)(void *)file; /* both classes alike up to here */
    h->e_type = ET_EXEC;
    h->e_machine = is_64 ? EM_X86_64 : EM_386;
    return fuzz_load(file, size);
}
