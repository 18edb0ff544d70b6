/* How the host schedules a machine's threads, asked of the host itself: by thread id, while the guest runs. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arch/arch.h"
#include "tests/kvm/mini.h"
#include "vmm/machine/state.h"

#define WORD_OFFSET 0x180000 /* in RAM, behind the image of a snippet and before the end of 4 MiB */
#define END_MS      10000

struct setting {
    const char *key, *value;
};

/* A machine of two vCPUs, each counting up a word, named "fairness", with the settings (they end with a NULL key). */
static int try_build(struct machine **out, const struct setting *s, struct err *e)
{
    unsigned char image[SNIPPET_IMAGE_MAX];
    const struct snippet_args args = {.target = arch_info.ram_base + WORD_OFFSET};
    const size_t size = snippet_image(&snippet_tick, &args, image);
    const int fd = memfd_create("kernel", MFD_CLOEXEC);
    char path[32];
    struct config c;

    if (access("/dev/kvm", R_OK | W_OK)) {
        print_message("no /dev/kvm to run a guest on\n");
        skip();
    }
    assert_int_equal(write(fd, image, size), size);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    const struct setting common[] = {{"kernel", path},   {"memory", "4M"},     {"cpus", "2"},
                                     {"console", "off"}, {"name", "fairness"}, {NULL, NULL}};
    config_init(&c);
    for (const struct setting *i = common; i->key; i++)
        if (config_set(&c, i->key, i->value, e)) fail_msg("%s", e->text);
    int rc = 0;
    for (; s && s->key && !rc; s++) rc = config_set(&c, s->key, s->value, e);
    if (!rc) rc = machine_create(out, &c, NULL, e);
    config_fini(&c);
    close(fd);
    return rc;
}

static struct machine *build(const struct setting *s)
{
    struct machine *m = NULL;
    struct err e = {0};
    if (try_build(&m, s, &e)) fail_msg("%s", e.text);
    return m;
}

static struct machine *start(const struct setting *s)
{
    struct machine *m = build(s);
    struct err e = {0};
    if (machine_start(m, &e)) fail_msg("%s", e.text);
    return m;
}

static void stop(struct machine *m)
{
    struct ending end;
    machine_stop(m, END_STOPPED, "asked");
    assert_int_equal(machine_wait(m, END_MS, &end), 0);
    machine_destroy(m);
}

/* ---- who they are ---- */

static void comm_of(int tid, char out[32])
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/self/task/%d/comm", tid);
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    assert_non_null(fgets(out, 32, f));
    out[strcspn(out, "\n")] = '\0';
    (void)fclose(f);
}

static void every_thread_tells_its_id_and_bears_its_name(void **state)
{
    (void)state;
    static const struct {
        enum machine_thread_kind kind;
        int vcpu;
        const char *name;
    } expected[] = {{MACHINE_THREAD_VCPU, 0, "fairness:vcpu0"},
                    {MACHINE_THREAD_VCPU, 1, "fairness:vcpu1"},
                    {MACHINE_THREAD_IO, -1, "fairness:io"}};
    const struct setting rng[] = {
        {"rng", "true"}, {"timeout", "60"}, {NULL, NULL}}; /* so that there is an I/O thread */
    struct machine *m = start(rng);
    struct machine_thread t;
    char comm[32];
    for (unsigned i = 0; i < COUNT_OF(expected); i++) {
        assert_true(machine_thread(m, i, &t));
        assert_int_equal(t.kind, expected[i].kind);
        assert_int_equal(t.vcpu, expected[i].vcpu);
        assert_string_equal(t.name, expected[i].name);
        comm_of(t.tid, comm);
        assert_string_equal(comm, expected[i].name);
    }
    assert_false(machine_thread(m, COUNT_OF(expected), &t));
    stop(m);
}

static void there_are_no_threads_before_the_start_or_after_the_end(void **state)
{
    (void)state;
    struct machine *m = build(NULL);
    struct machine_thread t;
    struct ending end;
    struct err e = {0};
    assert_false(machine_thread(m, 0, &t));
    if (machine_start(m, &e)) fail_msg("%s", e.text);
    assert_true(machine_thread(m, 0, &t));
    machine_stop(m, END_STOPPED, "asked");
    assert_int_equal(machine_wait(m, END_MS, &end), 0);
    assert_false(machine_thread(m, 0, &t));
    machine_destroy(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(every_thread_tells_its_id_and_bears_its_name),
        UNIT(there_are_no_threads_before_the_start_or_after_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
