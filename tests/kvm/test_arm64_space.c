/* tests/kvm/space_vm.h on arm64. */
#include "tests/kvm/space_vm.h"

/* svc #0; ldrb w0, [x0]; b back. svc #0; mov w1, #1; strb w1, [x0]; b back */
static const struct loops loops = {.fetch = {0xd4000001, 0x39400000, 0x17fffffe},
                                   .store = {0xd4000001, 0x52800021, 0x39000001, 0x17fffffd}};
