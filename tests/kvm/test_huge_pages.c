/* A guest's memory is what the key huge-pages asks for, and the guest runs on it. */
#include <stdio.h>
#include <unistd.h>

#include "tests/kvm/guest.h"
#include "tests/unit/core/reserve.h"
#include "tests/unit/unit.h"
#include "vmm/machine/state.h"

#define STATUS      77
#define ARM64_EXIT  0x09020000 /* debug exit there; x86 snippets know their port */
#define HUGE_PAGE   (2u << 20)
#define RAM_PAGES   4
#define WORD_OFFSET (HUGE_PAGE + 8) /* the guest writes to its second huge page */
#define TRIES       50000           /* of TRY_US each, until it has */
#define TRY_US      200

static struct machine *start(const struct snippet *s, const struct snippet_args *args, const char *pages)
{
    struct machine *m = NULL;
    struct config c;
    struct err e = {0};
    const int fd = guest_file_of(s, args);
    config_init(&c, machine_devices);
    guest_set(&c, "kernel", "/proc/self/fd/%d", fd);
    guest_set(&c, "memory", "%u", RAM_PAGES * HUGE_PAGE);
    guest_set(&c, "console", "off");
    guest_set(&c, "huge-pages", "%s", pages);
    if (machine_create(&m, &c, NULL, &e) || machine_start(m, &e)) fail_msg("%s", e.text);
    config_fini(&c);
    close(fd);
    return m;
}

static void runs_on(const char *pages, const char *page_size)
{
    const uint64_t gpa = arch_info.ram_base + WORD_OFFSET;
    char line[512];
    struct machine *m = start(&snippet_tick, &(struct snippet_args){.target = gpa}, pages);
    const uint32_t *word = gmem_slice(&m->mem, gpa, sizeof(*word), GMEM_READ);
    for (int i = 0; i < TRIES && __atomic_load_n(word, __ATOMIC_RELAXED) == 0; i++) usleep(TRY_US);
    assert_int_not_equal(__atomic_load_n(word, __ATOMIC_RELAXED), 0);
    mapping_line(word, "KernelPageSize:", line, sizeof(line));
    assert_contains(line, page_size);
    machine_destroy(m);
}

static void a_guest_runs_on_small_pages(void **state)
{
    (void)state;
    guest_needs_kvm();
    runs_on("off", " 4 kB");
}

static void a_guest_runs_on_reserved_pages_and_gives_them_back(void **state)
{
    (void)state;
    guest_needs_kvm();
    reserve_pages(RAM_PAGES);
    const unsigned before = reserve_free();
    runs_on("2M", " 2048 kB");
    assert_int_equal(reserve_free(), before);
}

static void a_kernel_is_loaded_into_reserved_pages(void **state)
{
    (void)state;
    struct ending end;
    guest_needs_kvm();
    reserve_pages(RAM_PAGES);
    struct machine *m = start(&snippet_exit, &(struct snippet_args){.status = STATUS, .exit_at = ARM64_EXIT}, "2M");
    assert_int_equal(machine_wait(m, GUEST_END_MS, &end), 0);
    assert_int_equal(end.reason, END_GUEST_STATUS);
    assert_int_equal(end.value, STATUS);
    machine_destroy(m);
}

UNIT_MAIN(UNIT(a_guest_runs_on_small_pages), UNIT(a_guest_runs_on_reserved_pages_and_gives_them_back),
          UNIT(a_kernel_is_loaded_into_reserved_pages))
