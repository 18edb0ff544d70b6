/* Shared by the fuzz targets of x86's kernel loaders: whatever bytes are called a kernel, the loader says no with a
 * sentence, or puts a kernel inside the memory it was given, away from what is ours, and nowhere else. */
#ifndef VIREO_FUZZ_X86_LOAD_H
#define VIREO_FUZZ_X86_LOAD_H

#include <sys/mman.h>

#include "arch/x86/layout.h"
#include "arch/x86/load.h"
#include "tests/fuzz/fuzz.h"

#define FUZZ_RAM   (24u << 20) /* the 16 MiB kernels prefer, and some */
#define FUZZ_INPUT 65536u
#define INFO_SIZE  (X86_BOOT_END - X86_BOOT_INFO)

static void fuzz_is_untouched(const uint8_t *ram, uint64_t from, uint64_t to)
{
    MUST(ram[from] == 0 && memcmp(ram + from, ram + from + 1, to - from - 1) == 0);
}

static int fuzz_load(const uint8_t *data, size_t size)
{
    if (size == 0 || size > FUZZ_INPUT) return 0;
    uint8_t *ram = mmap(NULL, FUZZ_RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct gmem mem;
    struct err e = {0};
    struct loaded l = {0};
    MUST(ram != MAP_FAILED);
    gmem_init(&mem);
    MUST(gmem_add_host(&mem, 0, FUZZ_RAM, ram, NULL) == 0);
    gmem_freeze(&mem);
    uint8_t *exact = malloc(size); /* so that a read past the end is seen */
    MUST(exact);
    memcpy(exact, data, size);
    const struct image img = {.fd = -1, .data = exact, .size = size};
    const int rc = load_kernel(&img, &mem, &l, &e);
    if (rc) {
        MUST(rc < 0 && e.code == rc && e.text[0] && l.entry == 0);
    } else {
        MUST(l.entry < l.end && l.end <= FUZZ_RAM && l.cmdline_max > 0 && l.cmdline_max <= LOAD_CMDLINE_MAX);
        MUST(l.info >= X86_BOOT_INFO && l.info % GMEM_PAGE == 0);
        MUST(l.info + INFO_SIZE <= (l.info < X86_HIMEM ? X86_BASE_END : l.end));
        MUST(l.protocol != BOOT_LINUX64 || l.info == X86_BOOT_INFO);
        fuzz_is_untouched(ram, l.info, l.info + INFO_SIZE);
        if (l.protocol == BOOT_LINUX64) fuzz_is_untouched(ram, X86_BOOT_INFO, X86_LOW_END);
        uint64_t gpa = 0;
        if (load_initrd(&img, &mem, &l, &gpa, &e) == 0)
            MUST(gpa >= l.end && gpa % GMEM_PAGE == 0 && gpa + size <= FUZZ_RAM && gpa + size <= l.initrd_end);
    }
    fuzz_is_untouched(ram, X86_BASE_END, X86_HIMEM);
    free(exact);
    gmem_fini(&mem);
    munmap(ram, FUZZ_RAM);
    return 0;
}

#endif
