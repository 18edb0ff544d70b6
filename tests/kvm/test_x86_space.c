/* tests/kvm/space_vm.h on x86-64. */
#include <stdint.h>

/* syscall; movzbl (%rax), %edi; jmp back */
static const uint8_t fetch_loop[] = {0x0f, 0x05, 0x0f, 0xb6, 0x38, 0xeb, 0xf9};
/* syscall; movb $1, (%rax); jmp back */
static const uint8_t store_loop[] = {0x0f, 0x05, 0xc6, 0x00, 0x01, 0xeb, 0xf9};

#include "tests/kvm/space_vm.h"
