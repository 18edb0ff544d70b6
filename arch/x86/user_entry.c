/* Entries of page tables, 4-level paging (SDM vol. 3, 4.5.4). */
#include <elf.h>

#include "arch/user.h"
#include "arch/x86/user_layout.h"

#define PTE_P    0x1ull
#define PTE_W    0x2ull
#define PTE_U    0x4ull
#define PTE_A    0x20ull
#define PTE_D    0x40ull
#define PTE_ADDR 0x000ffffffffff000ull
#define PTE_NX   0x8000000000000000ull

uint64_t user_table_entry(uint64_t table_gpa)
{
    return table_gpa | PTE_P | PTE_W | PTE_U | PTE_A;
}

/* What can be written or executed can be read on this processor. */
uint64_t user_page_entry(uint64_t page_gpa, unsigned prot)
{
    if (!prot) return page_gpa;
    return page_gpa | PTE_P | PTE_U | PTE_A | PTE_D | (prot & USER_WRITE ? PTE_W : 0) | (prot & USER_EXEC ? 0 : PTE_NX);
}

uint64_t user_kernel_entry(uint64_t page_gpa, uint64_t va)
{
    switch (va - USER_KERNEL_VA) {
    case USER_AT_CODE: return page_gpa | PTE_P | PTE_U | PTE_A | PTE_D;
    case USER_AT_FRAME: return page_gpa | PTE_P | PTE_U | PTE_A | PTE_D | PTE_NX;
    default: return page_gpa | PTE_P | PTE_W | PTE_A | PTE_D | PTE_NX;
    }
}

bool user_entry_is_present(uint64_t entry)
{
    return entry & PTE_P;
}

uint64_t user_entry_gpa(uint64_t entry)
{
    return entry & PTE_ADDR;
}

unsigned user_entry_prot(uint64_t entry)
{
    if (!(entry & PTE_P)) return 0;
    return USER_READ | (entry & PTE_W ? USER_WRITE : 0u) | (entry & PTE_NX ? 0u : USER_EXEC);
}

const struct user_machine *user_machine(void)
{
    static const struct user_machine own = {.number = EM_X86_64, .name = "x86_64"};
    return &own;
}

bool user_clone_has_tid_first(void)
{
    return true;
}
