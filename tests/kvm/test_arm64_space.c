/* tests/kvm/space_vm.h on arm64. */
#include <stdint.h>

/* svc #0; ldrb w0, [x0]; b back */
static const uint32_t fetch_loop[] = {0xd4000001, 0x39400000, 0x17fffffe};
/* svc #0; mov w1, #1; strb w1, [x0]; b back */
static const uint32_t store_loop[] = {0xd4000001, 0x52800021, 0x39000001, 0x17fffffd};

#include "tests/kvm/space_vm.h"
