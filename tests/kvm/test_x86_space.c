/* tests/kvm/space_vm.h on x86-64. */
#include "tests/kvm/space_vm.h"

/* syscall; movzbl (%rax), %edi; jmp back. syscall; movb $1, (%rax); jmp back */
static const struct loops loops = {.fetch = {0xb60f050f, 0xf9eb38}, .store = {0x00c6050f, 0xf9eb01}};
