/* An embedder's log that never returns, and a guest that makes log lines: through the library, as embedders meet it. */
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>
#include <vireo.h>

#include "arch/arch.h"
#include "tests/kvm/guest.h"
#include "tests/unit/unit.h"
#include "vmm/base/clock.h"

#define DESTROY_NS 30000000000ull /* a second and what a busy machine adds */

struct keeper {
    sem_t arrived, gate;
    atomic_bool is_open;
    atomic_uint lines;
};

static void on_line(void *arg, enum vireo_log_level level, const char *line)
{
    struct keeper *k = arg;
    (void)level;
    if (!strstr(line, "ignored a register write")) return; /* not what the host has to say about itself */
    atomic_fetch_add(&k->lines, 1);
    sem_post(&k->arrived);
    while (!atomic_load(&k->is_open)) (void)sem_wait(&k->gate);
}

/* It writes to a register of its console that is none, for ever. */
static struct vireo_vm *noisy_vm(struct keeper *k)
{
    const int fd = guest_file_of(&snippet_store_forever, &(struct snippet_args){.target = arch_info.virtio_base});
    struct vireo_config *c = vireo_config_create();
    struct vireo_error e = {0};
    struct vireo_vm *vm = NULL;
    char path[64];
    const struct vireo_log log = {.fn = on_line, .arg = k, .level = VIREO_LOG_WARN};
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    sem_init(&k->arrived, 0, 0);
    sem_init(&k->gate, 0, 0);
    assert_non_null(c);
    if (vireo_config_set(c, "kernel", path, &e) || vireo_config_set(c, "timeout", "1", &e) ||
        vireo_config_set(c, "console", "file=/dev/null", &e) || vireo_vm_create(&vm, c, &log, &e))
        fail_msg("%s", e.text);
    vireo_config_destroy(c);
    close(fd);
    return vm;
}

static void a_log_that_never_returns_takes_away_no_end(void **state)
{
    (void)state;
    static struct keeper k; /* the call outlives this function */
    struct vireo_error e;
    struct vireo_end end = {0};
    guest_needs_kvm();
    struct vireo_vm *vm = noisy_vm(&k);
    assert_int_equal(vireo_vm_start(vm, &e), 0);
    while (sem_wait(&k.arrived) != 0) {
    }
    const int rc = vireo_vm_wait(vm, GUEST_END_MS, &end);
    if (rc) atomic_store(&k.is_open, true), sem_post(&k.gate); /* so that the test ends */
    assert_int_equal(rc, 0);
    assert_int_equal(end.reason, VIREO_END_TIMEOUT);
    const uint64_t begin = now_ns();
    vireo_vm_destroy(vm);
    assert_true(now_ns() - begin < DESTROY_NS);
    assert_int_equal(atomic_load(&k.lines), 1);
    atomic_store(&k.is_open, true);
    sem_post(&k.gate);
}

static void a_guest_makes_no_more_lines_than_a_burst_and_a_trickle(void **state)
{
    (void)state;
    static struct keeper k = {.is_open = true};
    struct vireo_error e;
    struct vireo_end end = {0};
    guest_needs_kvm();
    struct vireo_vm *vm = noisy_vm(&k);
    const uint64_t begin = now_ns();
    assert_int_equal(vireo_vm_start(vm, &e), 0);
    assert_int_equal(vireo_vm_wait(vm, GUEST_END_MS, &end), 0);
    const unsigned most = 8 + (unsigned)((now_ns() - begin) / 10000000000u);
    assert_in_range(atomic_load(&k.lines), 8, most); /* all that came before the end are there now */
    vireo_vm_destroy(vm);
}

UNIT_MAIN(UNIT(a_log_that_never_returns_takes_away_no_end),
          UNIT(a_guest_makes_no_more_lines_than_a_burst_and_a_trickle))
