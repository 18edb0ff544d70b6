/* arm64 snippets: x0 = address, w1 = value, w2 = count, w3 = status, x4 = debug exit. */
#include "guest/snippets/define.h"

#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#define END    "str w3, [x4]\n9: wfi\nb 9b"
#define REPEAT "subs w2, w2, #1\nb.ne 1b\n"

SNIPPET(exit, END);
SNIPPET(halt, "1: wfi\nb 1b");
SNIPPET(spin, "1: b 1b");
SNIPPET(tick, "1: ldr w5, [x0]\nadd w5, w5, #1\nstr w5, [x0]\nb 1b");
SNIPPET(store, "1: strb w1, [x0]\n" REPEAT END);
SNIPPET(store_forever, "1: strb w1, [x0]\nb 1b");
SNIPPET(load, "1: ldrb w3, [x0]\n" REPEAT END);
SNIPPET(psci, "mov w0, w1\nhvc #0\n" END);
SNIPPET(steal, "mov x5, x0\nmov w0, #0x21\nmovk w0, #0xc500, lsl #16\nhvc #0\nstr x0, [x5]\n1: b 1b");

const struct snippet *const snippet_list[] = {
    &snippet_exit,          &snippet_halt, &snippet_spin, &snippet_tick,  &snippet_store,
    &snippet_store_forever, &snippet_load, &snippet_psci, &snippet_steal, NULL,
};

#define REGISTERS 5 /* x0 to x4 */

static void fill(uint64_t x[REGISTERS], const struct snippet_args *args)
{
    x[0] = args->target;
    x[1] = args->value;
    x[2] = args->count;
    x[3] = args->status;
    x[4] = args->exit_at;
}

static int set_register(int vcpu_fd, uint64_t offset, const uint64_t *value)
{
    const struct kvm_one_reg reg = {
        .id = KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | offset / sizeof(uint32_t),
        .addr = (uintptr_t)value,
    };
    return ioctl(vcpu_fd, KVM_SET_ONE_REG, &reg) < 0 ? -errno : 0;
}

int snippet_start(int vm_fd, int vcpu_fd, uint64_t gpa, const struct snippet_args *args)
{
    uint64_t x[REGISTERS];
    struct kvm_vcpu_init init;
    int rc;

    if (ioctl(vm_fd, KVM_ARM_PREFERRED_TARGET, &init) < 0) return -errno;
    init.features[0] |= 1u << KVM_ARM_VCPU_PSCI_0_2;
    if (ioctl(vcpu_fd, KVM_ARM_VCPU_INIT, &init) < 0) return -errno;
    rc = set_register(vcpu_fd, offsetof(struct kvm_regs, regs.pc), &gpa);
    fill(x, args);
    for (unsigned i = 0; i < REGISTERS && !rc; i++)
        rc = set_register(vcpu_fd, offsetof(struct kvm_regs, regs.regs) + i * sizeof(uint64_t), &x[i]);
    return rc;
}

/* movz, movk, movk, movk: 16 bits each into x[number]. */
static unsigned char *put_mov(unsigned char *at, unsigned number, uint64_t value)
{
    for (unsigned part = 0; part < 4; part++) {
        const uint32_t opcode = part ? 0xf2800000 : 0xd2800000;
        const uint32_t word = opcode | part << 21 | (uint32_t)(value >> 16 * part & 0xffff) << 5 | number;
        memcpy(at, &word, sizeof(word));
        at += sizeof(word);
    }
    return at;
}

size_t snippet_image(const struct snippet *s, const struct snippet_args *args, unsigned char out[SNIPPET_IMAGE_MAX])
{
    struct { /* Documentation/arch/arm64/booting.rst */
        uint32_t branch, code1;
        uint64_t text_offset, image_size, flags, reserved[3];
        char magic[4];
        uint32_t reserved2;
    } header = {.branch = 0x14000000 | sizeof(header) / 4, .flags = 0xa, .magic = {'A', 'R', 'M', 0x64}};
    unsigned char *at = out + sizeof(header);
    uint64_t x[REGISTERS];

    fill(x, args);
    for (unsigned i = 0; i < REGISTERS; i++) at = put_mov(at, i, x[i]);
    const size_t length = (size_t)(s->end - s->code), size = (size_t)(at - out) + length;
    memcpy(at, s->code, length);
    header.image_size = size;
    memcpy(out, &header, sizeof(header));
    return size;
}
