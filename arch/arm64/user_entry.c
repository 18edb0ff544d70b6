/* Entries of page tables: stage 1, 4 KiB granule, VMSAv8-64 descriptors (DDI 0487, D8.3). Attribute index 0 of MAIR_EL1
 * is normal write-back memory. */
#include <elf.h>

#include "arch/arm64/user_layout.h"
#include "arch/user.h"

#define PTE_VALID  0x1ull
#define PTE_TABLE  0x2ull      /* of a last-level entry: a page */
#define PTE_DEVICE (1ull << 2) /* attribute index 1 */
#define PTE_USER   (1ull << 6)
#define PTE_RO     (1ull << 7)
#define PTE_INNER  (3ull << 8) /* inner shareable */
#define PTE_AF     (1ull << 10)
#define PTE_PXN    (1ull << 53)
#define PTE_UXN    (1ull << 54)
#define PTE_ADDR   0x0000fffffffff000ull
#define PTE_PAGE   (PTE_VALID | PTE_TABLE | PTE_INNER | PTE_AF)

uint64_t user_table_entry(uint64_t table_gpa)
{
    return table_gpa | PTE_VALID | PTE_TABLE;
}

/* What can be written or executed can be read, as on x86. Nothing of the program's is code for the privileged level. */
uint64_t user_page_entry(uint64_t page_gpa, unsigned prot)
{
    if (!prot) return page_gpa;
    return page_gpa | PTE_PAGE | PTE_USER | PTE_PXN | (prot & USER_WRITE ? 0 : PTE_RO) |
           (prot & USER_EXEC ? 0 : PTE_UXN);
}

/* The vectors are code of the privileged level, one page is code of the program's, the device page leads to no memory,
 * and the frame is the privileged level's alone. */
uint64_t user_kernel_entry(uint64_t page_gpa, uint64_t va)
{
    switch (va - USER_KERNEL_VA) {
    case USER_AT_VECTORS: return page_gpa | PTE_PAGE | PTE_RO | PTE_UXN;
    case USER_AT_CODE: return page_gpa | PTE_PAGE | PTE_RO | PTE_USER | PTE_PXN;
    case USER_AT_DEVICE: return USER_DEVICE_GPA | PTE_PAGE | PTE_DEVICE | PTE_PXN | PTE_UXN;
    default: return page_gpa | PTE_PAGE | PTE_PXN | PTE_UXN;
    }
}

bool user_entry_is_present(uint64_t entry)
{
    return entry & PTE_VALID;
}

uint64_t user_entry_gpa(uint64_t entry)
{
    return entry & PTE_ADDR;
}

unsigned user_entry_prot(uint64_t entry)
{
    if (!(entry & PTE_VALID)) return 0;
    return USER_READ | (entry & PTE_RO ? 0u : USER_WRITE) | (entry & PTE_UXN ? 0u : USER_EXEC);
}

const struct user_machine *user_machine(void)
{
    static const struct user_machine own = {.number = EM_AARCH64, .name = "aarch64"};
    return &own;
}

bool user_clone_has_tid_first(void)
{
    return false;
}
