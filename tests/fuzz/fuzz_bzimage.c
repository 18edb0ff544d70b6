/* bzImage headers: the input is the setup header and what follows; the magic words it could not guess are put in. */
#include "tests/fuzz/x86_load.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t file[FUZZ_INPUT];
    if (size < sizeof(struct setup_header) || size > sizeof(file) - 0x1f1) return 0;
    memset(file, 0, 0x1f1);
    memcpy(file + 0x1f1, data, size);
    struct setup_header *h = (struct setup_header *)(void *)(file + 0x1f1);
    h->boot_flag = 0xaa55;
    h->header = 0x53726448;
    if (h->type_of_loader & 1) { /* half of them get past the first checks */
        h->version |= 0x20c;
        h->loadflags |= LOADED_HIGH;
        h->xloadflags |= XLF_KERNEL_64;
    }
    return fuzz_load(file, 0x1f1 + size);
}
