/* A small ELF program, made up in memory: two segments, symbols, and whatever a test changes of it. */
#ifndef VIREO_TESTS_SANDBOX_ELF_RIG_H
#define VIREO_TESTS_SANDBOX_ELF_RIG_H

#include <elf.h>
#include <stdint.h>
#include <string.h>

#include "arch/user.h"

enum { RIG_CODE, RIG_DATA, RIG_STACK, RIG_EXTRA, RIG_HEADERS };
#define RIG_SYMBOLS 5
#define RIG_NAMES   "\0_start\0table\0decode\0decode\0"

struct elf_rig {
    Elf64_Ehdr h;
    Elf64_Phdr p[RIG_HEADERS];
    Elf64_Shdr s[3];
    Elf64_Sym symbol[RIG_SYMBOLS];
    char names[64];
    uint8_t text[4096 - sizeof(Elf64_Ehdr) - RIG_HEADERS * sizeof(Elf64_Phdr) - 3 * sizeof(Elf64_Shdr) -
                 RIG_SYMBOLS * sizeof(Elf64_Sym) - 64];
    uint8_t data[4096];
};

#define RIG_BASE  0x400000ull /* of the code; the data begins two pages behind it */
#define RIG_ENTRY (RIG_BASE + offsetof(struct elf_rig, text))
#define RIG_BSS   0x3000ull /* bytes behind the file's part of the data */

static inline void elf_rig_init(struct elf_rig *r, uint64_t base)
{
    *r = (struct elf_rig){
        .h = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
              .e_type = base ? ET_EXEC : ET_DYN,
              .e_machine = user_machine()->number,
              .e_version = EV_CURRENT,
              .e_entry = base + offsetof(struct elf_rig, text),
              .e_phoff = offsetof(struct elf_rig, p),
              .e_shoff = offsetof(struct elf_rig, s),
              .e_ehsize = sizeof(Elf64_Ehdr),
              .e_phentsize = sizeof(Elf64_Phdr),
              .e_phnum = RIG_HEADERS,
              .e_shentsize = sizeof(Elf64_Shdr),
              .e_shnum = 3},
        .p = {{.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_vaddr = base, .p_filesz = 4096, .p_memsz = 4096},
              {.p_type = PT_LOAD,
               .p_flags = PF_R | PF_W,
               .p_offset = offsetof(struct elf_rig, data),
               .p_vaddr = base + 0x2000,
               .p_filesz = 4096,
               .p_memsz = 4096 + RIG_BSS},
              {.p_type = PT_GNU_STACK, .p_flags = PF_R | PF_W},
              {.p_type = PT_NULL}},
        .s = {{.sh_type = SHT_NULL},
              {.sh_type = SHT_SYMTAB,
               .sh_offset = offsetof(struct elf_rig, symbol),
               .sh_size = RIG_SYMBOLS * sizeof(Elf64_Sym),
               .sh_entsize = sizeof(Elf64_Sym),
               .sh_link = 2},
              {.sh_type = SHT_STRTAB, .sh_offset = offsetof(struct elf_rig, names), .sh_size = sizeof(r->names)}},
        .symbol = {{0},
                   {.st_name = 1,
                    .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
                    .st_shndx = 1,
                    .st_value = base + 0x800,
                    .st_size = 16},
                   {.st_name = 8,
                    .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT),
                    .st_shndx = 2,
                    .st_value = base + 0x2000,
                    .st_size = 64},
                   {.st_name = 14,
                    .st_info = ELF64_ST_INFO(STB_LOCAL, STT_FUNC),
                    .st_shndx = 1,
                    .st_value = base + 0x900,
                    .st_size = 32},
                   {.st_name = 21,
                    .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
                    .st_shndx = 1,
                    .st_value = base + 0xa00,
                    .st_size = 32}},
    };
    memcpy(r->names, RIG_NAMES, sizeof(RIG_NAMES));
    memset(r->text, 0xcc, sizeof(r->text));
    memset(r->data, 0xdd, sizeof(r->data));
}

#endif
