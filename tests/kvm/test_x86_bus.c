/* Accesses of every width at the borders of every register range, made by a guest: a small interpreter in long mode
 * goes through a list of accesses in its memory, puts down what it read, and reports status 0. */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "arch/x86/layout.h"
#include "tests/kvm/guest.h"
#include "tests/unit/unit.h"
#include "vmm/base/endian.h"
#include "vmm/machine/state.h"

#define LOAD_AT    0x1000000u
#define CODE_AT    0x200u
#define LIST_AT    0x1000u
#define FILE_LEN   0x3000u
#define LIST_MAX   ((FILE_LEN - LIST_AT) / sizeof(struct access))
#define MAGIC      0x74726976u /* of a virtio-mmio window */
#define GOES_ON    0           /* the status of a guest that came to the end of its list */
#define DIVISOR    12          /* of the serial port at reset */
#define I8042_IDLE 0x15u       /* its status at reset: a byte waits, self-tested, unlocked */

enum op {
    END,
    IN1,
    IN2,
    IN4,
    OUT1,
    OUT2,
    OUT4,
    LOAD1,
    LOAD2,
    LOAD4,
    LOAD8,
    STORE1,
    STORE2,
    STORE4,
    STORE8,
    INS1,
    INS4,
    OUTS1,
    OUTS4
};

struct access {         /* as the guest reads it */
    uint32_t op, count; /* count: of a string instruction */
    uint64_t addr;
    uint64_t value; /* written; read: what must come */
};

#define CASE(op, insn) "cmp $" #op ", %ecx\njne 2f\n" insn "\njmp 9b\n2: "
/* clang-format off */
__asm__(
    ".pushsection .rodata\n"
    "interpreter:\n.code64\n"
    "mov $0x1000fe8, %r8d\n" /* one before LOAD_AT + LIST_AT */
    "9: add $24, %r8\n"
    "mov (%r8), %ecx\nmov 8(%r8), %rdx\nmov %rdx, %r9\nmov 16(%r8), %rax\n"
    CASE(1, "xor %eax, %eax\nin %dx, %al\nmov %rax, 16(%r8)")
    CASE(2, "xor %eax, %eax\nin %dx, %ax\nmov %rax, 16(%r8)")
    CASE(3, "xor %eax, %eax\nin %dx, %eax\nmov %rax, 16(%r8)")
    CASE(4, "out %al, %dx")
    CASE(5, "out %ax, %dx")
    CASE(6, "out %eax, %dx")
    CASE(7, "xor %eax, %eax\nmov (%r9), %al\nmov %rax, 16(%r8)")
    CASE(8, "xor %eax, %eax\nmov (%r9), %ax\nmov %rax, 16(%r8)")
    CASE(9, "mov (%r9), %eax\nmov %rax, 16(%r8)")
    CASE(10, "mov (%r9), %rax\nmov %rax, 16(%r8)")
    CASE(11, "mov %al, (%r9)")
    CASE(12, "mov %ax, (%r9)")
    CASE(13, "mov %eax, (%r9)")
    CASE(14, "mov %rax, (%r9)")
    CASE(15, "mov 4(%r8), %ecx\nlea 16(%r8), %rdi\nrep insb")
    CASE(16, "mov 4(%r8), %ecx\nlea 16(%r8), %rdi\nrep insl")
    CASE(17, "mov 4(%r8), %ecx\nlea 16(%r8), %rsi\nrep outsb")
    CASE(18, "mov 4(%r8), %ecx\nlea 16(%r8), %rsi\nrep outsl")
    "xor %eax, %eax\nout %al, $0xf4\n1: jmp 1b\n"
    "interpreter_end:\n.popsection\n");
/* clang-format on */
extern const uint8_t interpreter[], interpreter_end[];

static void put_code(uint8_t *file, const uint8_t *code, const uint8_t *end)
{
    assert_true(CODE_AT + (size_t)(end - code) <= LIST_AT);
    memcpy(file + CODE_AT, code, (size_t)(end - code));
}

static void make_kernel(uint8_t *file, const struct access *list, size_t count)
{
    memset(file, 0, FILE_LEN);
    *(Elf64_Ehdr *)(void *)file = (Elf64_Ehdr){
        .e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_EXEC,
        .e_machine = EM_X86_64,
        .e_entry = LOAD_AT + CODE_AT,
        .e_phoff = sizeof(Elf64_Ehdr),
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = 1,
    };
    *(Elf64_Phdr *)(void *)(file + sizeof(Elf64_Ehdr)) =
        (Elf64_Phdr){PT_LOAD, PF_R | PF_X, 0, LOAD_AT, LOAD_AT, FILE_LEN, FILE_LEN, 0x1000};
    assert_true(count < LIST_MAX);
    put_code(file, interpreter, interpreter_end);
    memcpy(file + LIST_AT, list, count * sizeof(*list)); /* the row behind it is END */
}

static bool has_acpi = true;

/* Two virtio windows: a console and an entropy device. The list gets what the guest read. */
static struct ending run(struct access *list, size_t count)
{
    static uint8_t file[FILE_LEN];
    struct machine *m = NULL;
    struct ending end;
    struct config c;
    struct err e = {0};
    guest_needs_kvm();
    make_kernel(file, list, count);
    const int fd = guest_file(file, FILE_LEN);
    config_init(&c, machine_devices);
    guest_set(&c, "kernel", "/proc/self/fd/%d", fd);
    guest_set(&c, "memory", "32M");
    guest_set(&c, "console", "file=/dev/null");
    guest_set(&c, "rng", "true");
    c.has_acpi = has_acpi;
    if (machine_create(&m, &c, NULL, &e) || machine_start(m, &e)) fail_msg("%s", e.text);
    assert_int_equal(machine_wait(m, GUEST_END_MS, &end), 0);
    assert_int_equal(gmem_read(&m->mem, LOAD_AT + LIST_AT, list, count * sizeof(*list)), 0);
    machine_destroy(m);
    config_fini(&c);
    close(fd);
    return end;
}

static void assert_all_go_on(const struct access *want, size_t count)
{
    struct access got[LIST_MAX];
    memcpy(got, want, count * sizeof(*want));
    for (size_t i = 0; i < count; i++) {
        if (want[i].op == END) got[i].op = END;
        if (want[i].op <= IN4 || (want[i].op >= LOAD1 && want[i].op <= LOAD8) || want[i].op == INS1 ||
            want[i].op == INS4)
            got[i].value = 0x5555555555555555; /* what is read must replace it */
    }
    const struct ending end = run(got, count);
    if (end.reason != END_GUEST_STATUS || end.value != GOES_ON)
        fail_msg("ended by %d with value %u: %s", (int)end.reason, end.value, end.detail);
    for (size_t i = 0; i < count; i++) {
        if (got[i].value != want[i].value)
            fail_msg("access %zu (op %u at 0x%llx): 0x%llx, not 0x%llx", i, want[i].op,
                     (unsigned long long)want[i].addr, (unsigned long long)got[i].value,
                     (unsigned long long)want[i].value);
    }
}

#define ASSERT_ALL_GO_ON(list) assert_all_go_on(list, COUNT_OF(list))

/* Every width from before the range's start until behind its end: what is outside reads as ones, what is inside as
 * what the device says. */
static void reads_at_every_border_of_a_port_range_mix_the_device_with_ones(void **state)
{
    static const struct access list[] = {
        {OUT1, 0, 0x3fb, 0x80}, /* the divisor's registers, which have no side effect */
        {OUT1, 0, 0x3ff, 0x5a}, /* scratch */
        {IN1, 0, 0x3f7, 0xff},
        {IN1, 0, 0x3f8, DIVISOR},
        {IN2, 0, 0x3f7, DIVISOR << 8 | 0xff},
        {IN2, 0, 0x3f8, DIVISOR},
        {IN4, 0, 0x3f5, (uint64_t)DIVISOR << 24 | 0xffffff},
        {IN4, 0, 0x3f6, (uint64_t)DIVISOR << 16 | 0xffff},
        {IN4, 0, 0x3f7, (uint64_t)DIVISOR << 8 | 0xff | 0x01000000}, /* and IIR: no interrupt */
        {IN4, 0, 0x3f8, DIVISOR | 0x80010000},                       /* IIR, LCR */
        {IN1, 0, 0x3ff, 0x5a},
        {IN2, 0, 0x3fe, 0x5ab0}, /* modem lines: CTS, DSR, DCD */
        {IN2, 0, 0x3ff, 0xff5a},
        {IN4, 0, 0x3fd, 0xff5ab060},
        {IN4, 0, 0x3ff, 0xffffff5a},
        {IN1, 0, 0x400, 0xff},
        {IN4, 0, 0x400, 0xffffffff},

        {IN1, 0, 0xf3, 0xff},
        {IN4, 0, 0xf0, 0xffffffff},
        {IN4, 0, 0xf1, 0x00ffffff},
        {IN2, 0, 0xf3, 0x00ff},
        {IN4, 0, 0xf3, 0x000000ff},
        {IN1, 0, 0xf4, 0},
        {IN2, 0, 0xf4, 0},
        {IN4, 0, 0xf4, 0},
        {IN4, 0, 0xf5, 0xff000000},
        {IN2, 0, 0xf7, 0xff00},
        {IN4, 0, 0xf7, 0xffffff00},
        {IN1, 0, 0xf8, 0xff},

        {IN1, 0, 0x504, 0xff},
        {IN1, 0, 0x505, 3},
        {IN2, 0, 0x504, 0x03ff},
        {IN2, 0, 0x505, 0xff03},
        {IN4, 0, 0x502, 0x03ffffff},
        {IN4, 0, 0x503, 0xff03ffff},
        {IN4, 0, 0x504, 0xffff03ff},
        {IN4, 0, 0x505, 0xffffff03},
        {IN1, 0, 0x506, 0xff},

        {IN1, 0, 0x5ff, 0xff},
        {IN2, 0, 0x5ff, 0x00ff},
        {IN4, 0, 0x5fd, 0x00ffffff},
        {IN4, 0, 0x5ff, 0x000000ff},
        {IN1, 0, 0x600, 0},
        {IN2, 0, 0x600, 0},
        {IN4, 0, 0x600, 0xff000000},
        {IN2, 0, 0x602, 0xff00},
        {IN4, 0, 0x602, 0xffffff00},
        {IN1, 0, 0x603, 0xff},

        {IN1, 0, 0x5f, 0xff},
        {IN1, 0, 0x64, I8042_IDLE},
        {IN2, 0, 0x63, I8042_IDLE << 8 | 0xff},
        {IN2, 0, 0x64, 0xff00 | I8042_IDLE},
        {IN4, 0, 0x61, (uint64_t)I8042_IDLE << 24 | 0xffffff},
        {IN4, 0, 0x64, 0xffffff00 | I8042_IDLE},
        {IN1, 0, 0x65, 0xff},

        {IN1, 0, 0xffff, 0xff}, /* the last port: nothing wraps to the first */
        {IN2, 0, 0xffff, 0xffff},
        {IN4, 0, 0xfffd, 0xffffffff},
    };
    (void)state;
    ASSERT_ALL_GO_ON(list);
}

static void writes_across_a_border_reach_the_part_that_is_inside(void **state)
{
    static const struct access list[] = {
        {OUT2, 0, 0x3fe, 0x77ff}, /* MSR can't be written; scratch */
        {IN1, 0, 0x3ff, 0x77},
        {OUT2, 0, 0x3ff, 0xff11},
        {IN1, 0, 0x3ff, 0x11},
        {OUT4, 0, 0x3fd, 0xff22ffff},
        {IN1, 0, 0x3ff, 0x22},
        {OUT4, 0, 0x3ff, 0xffffff33},
        {IN1, 0, 0x3ff, 0x33},
        {OUT1, 0, 0x3fb, 0x80},
        {OUT2, 0, 0x3f7, 0x4400},
        {IN1, 0, 0x3f8, 0x44},
        {OUT4, 0, 0x3f5, 0x55000000},
        {IN1, 0, 0x3f8, 0x55},
        {OUT4, 0, 0x3f4, 0x66000000}, /* wholly outside */
        {IN1, 0, 0x3f8, 0x55},
        /* None of these means an end, though ports that can end the machine are touched. */
        {OUT4, 0, 0xf0, 0xffffffff},
        {OUT4, 0, 0xf8, 0xffffffff},
        {OUT2, 0, 0xf5, 0x0001}, /* a milestone */
        {OUT1, 0, 0xf6, 0xff},
        {OUT1, 0, 0xf7, 0xff},
        {OUT4, 0, 0x501, 0xffffffff},
        {OUT4, 0, 0x506, 0xffffffff},
        {OUT2, 0, 0x601, 0x00ff},
        {OUT4, 0, 0x603, 0xffffffff},
        {OUT2, 0, 0x65, 0xfefe},
    };
    (void)state;
    ASSERT_ALL_GO_ON(list);
}

static void string_instructions_repeat_the_access_at_one_port(void **state)
{
    static const struct access list[] = {
        {OUTS1, 4, 0x3ff, 0x04030201},         {IN1, 0, 0x3ff, 0x04}, /* the last one stays */
        {INS1, 8, 0x3ff, 0x0404040404040404},  {INS4, 2, 0x3ff, 0xffffff04ffffff04},
        {OUTS4, 2, 0x3ff, 0xffffff09ffffff08}, {IN1, 0, 0x3ff, 0x09},
    };
    (void)state;
    ASSERT_ALL_GO_ON(list);
}

/* An access that crosses a page comes in pieces, of one, two, three, five bytes. */
static void device_memory_is_read_and_written_in_every_width_and_across_windows(void **state)
{
    static const struct access list[] = {
        {LOAD4, 0, X86_VIRTIO, MAGIC},
        {LOAD4, 0, X86_VIRTIO + 4, 2},
        {LOAD8, 0, X86_VIRTIO, 0}, /* registers are 32 bits wide (VIRTIO 1.2, 4.2.2.2) */
        {LOAD1, 0, X86_VIRTIO, 0},
        {LOAD2, 0, X86_VIRTIO, 0},
        {LOAD4, 0, X86_VIRTIO - 4, 0xffffffff},
        {LOAD8, 0, X86_VIRTIO - 4, (uint64_t)MAGIC << 32 | 0xffffffff},
        {LOAD8, 0, X86_VIRTIO + 0xffc, (uint64_t)MAGIC << 32}, /* the first one's last word, the second one's magic */
        {LOAD8, 0, X86_VIRTIO + 0x1ffc, 0xffffffff00000000},
        {LOAD8, 0, X86_VIRTIO + 0x1ffd, 0xffffffffff000000},
        {LOAD8, 0, X86_VIRTIO + 0x1ffb, 0xffffff0000000000},
        {LOAD4, 0, X86_VIRTIO + 0x1ffe, 0xffff0000},
        {LOAD1, 0, X86_VIRTIO + 0x2000, 0xff},
        {STORE4, 0, X86_IOAPIC, 1}, /* select the version register */
        {LOAD1, 0, X86_IOAPIC, 1},
        {LOAD8, 0, X86_IOAPIC, 1},
        {LOAD8, 0, X86_IOAPIC + 0x10, 6 << 16 | 0x20}, /* of as many pins as there are interrupts */
        {LOAD4, 0, X86_IOAPIC - 2, 0x0001ffff},
        {LOAD8, 0, X86_IOAPIC + 0xffc, 0xffffffff00000000},
        {STORE8, 0, X86_IOAPIC, 0xffffffff00000002},
        {LOAD4, 0, X86_IOAPIC, 2},
        {STORE4, 0, X86_IOAPIC - 3, 0x03ffffff},
        {LOAD4, 0, X86_IOAPIC, 3},
    };
    (void)state;
    ASSERT_ALL_GO_ON(list);
}

static unsigned of_decimal(uint64_t v)
{
    return (unsigned)(v >> 4 & 15) * 10 + (unsigned)(v & 15);
}

static void the_clock_at_its_customary_ports_tells_the_hosts_time(void **state)
{
    static const uint8_t index[] = {0x32, 9, 8, 7, 4, 2, 0}; /* century to second */
    struct access list[2 * COUNT_OF(index) + 3];
    (void)state;
    for (unsigned tries = 0;; tries++) { /* once more when a second ends between two reads */
        const time_t before = time(NULL);
        for (unsigned i = 0; i < COUNT_OF(index); i++) {
            list[2 * i] = (struct access){OUT1, 0, 0x70, index[i]};
            list[2 * i + 1] = (struct access){IN1, 0, 0x71, UINT64_MAX};
        }
        struct access *last = &list[2 * COUNT_OF(index)];
        last[0] = (struct access){OUT2, 0, 0x70, 0xff0d}; /* index and data at once */
        last[1] = (struct access){IN2, 0, 0x71, UINT64_MAX};
        last[2] = (struct access){IN4, 0, 0x6e, UINT64_MAX};
        const struct ending end = run(list, COUNT_OF(list));
        assert_int_equal(end.value, GOES_ON);
        assert_int_equal(last[1].value, 0xff80);
        assert_int_equal(last[2].value, 0x800dffff);
        unsigned v[COUNT_OF(index)];
        for (unsigned i = 0; i < COUNT_OF(index); i++) v[i] = of_decimal(list[2 * i + 1].value);
        struct tm tm = {.tm_year = (int)(v[0] * 100 + v[1]) - 1900,
                        .tm_mon = (int)v[2] - 1,
                        .tm_mday = (int)v[3],
                        .tm_hour = (int)v[4],
                        .tm_min = (int)v[5],
                        .tm_sec = (int)v[6]};
        const time_t told = timegm(&tm);
        if (told >= before && told <= time(NULL)) break;
        if (tries == 3) fail_msg("the clock told %lld, it is %lld", (long long)told, (long long)before);
    }
}

/* Linux would give it interrupt 8, which there may be a virtio device's. */
static void without_acpi_there_is_no_clock(void **state)
{
    static const struct access list[] = {{OUT1, 0, 0x70, 0x0d}, {IN2, 0, 0x70, 0xffff}};
    (void)state;
    has_acpi = false;
    ASSERT_ALL_GO_ON(list);
    has_acpi = true;
}

static void a_write_of_any_width_that_reaches_a_register_has_its_effect(void **state)
{
    static const struct {
        struct access access;
        enum end_reason reason;
        uint32_t value;
    } row[] = {
        {{OUT1, 0, 0xf4, 42}, END_GUEST_STATUS, 42},
        {{OUT2, 0, 0xf4, 43}, END_GUEST_STATUS, 43},
        {{OUT4, 0, 0xf4, 44}, END_GUEST_STATUS, 44},
        {{OUT4, 0, 0xf4, 0x12345678}, END_GUEST_STATUS, 0x12345678},
        {{OUTS4, 1, 0xf4, 45}, END_GUEST_STATUS, 45},
        {{OUT2, 0, 0xf3, 0x2eff}, END_GUEST_STATUS, 46},
        {{OUT4, 0, 0xf1, 0x2fffffff}, END_GUEST_STATUS, 47},
        {{OUT2, 0, 0x505, 1}, END_PANIC, 1},
        {{OUT4, 0, 0x505, 1}, END_PANIC, 1},
        {{OUT4, 0, 0x502, 0x01000000}, END_PANIC, 1},
        {{OUT1, 0, 0x600, 0x34}, END_POWEROFF, 0}, /* SLP_EN, type 5 */
        {{OUT2, 0, 0x600, 0x34}, END_POWEROFF, 0},
        {{OUT4, 0, 0x600, 0x34}, END_POWEROFF, 0},
        {{OUT2, 0, 0x5ff, 0x3400}, END_POWEROFF, 0},
        {{OUT2, 0, 0x601, 0x0100}, END_RESET, 0},
        {{OUT4, 0, 0x602, 1}, END_RESET, 0},
        {{OUT2, 0, 0x64, 0xfe}, END_RESET, 0},
        {{OUT4, 0, 0x64, 0xfe}, END_RESET, 0},
        {{OUT4, 0, 0x61, 0xfe000000}, END_RESET, 0},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        struct access list[] = {row[i].access};
        const struct ending end = run(list, 1);
        if (end.reason != row[i].reason || end.value != row[i].value)
            fail_msg("row %zu: ended by %d with value 0x%x: %s", i, (int)end.reason, end.value, end.detail);
    }
}

UNIT_MAIN(UNIT(reads_at_every_border_of_a_port_range_mix_the_device_with_ones),
          UNIT(writes_across_a_border_reach_the_part_that_is_inside),
          UNIT(string_instructions_repeat_the_access_at_one_port),
          UNIT(device_memory_is_read_and_written_in_every_width_and_across_windows),
          UNIT(a_write_of_any_width_that_reaches_a_register_has_its_effect),
          UNIT(the_clock_at_its_customary_ports_tells_the_hosts_time), UNIT(without_acpi_there_is_no_clock))
