#include "tests/kvm/mini.h"
#include "tests/kvm/guest.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#define TICK_MS     20
#define TICK_TRIES  250 /* five seconds */
#define PATIENCE_MS 100 /* between signals: one that comes just before KVM_RUN is lost, the next is not */

const struct snippet *mini_snippet(const char *name)
{
    for (unsigned i = 0; snippet_list[i]; i++) {
        if (!strcmp(snippet_list[i]->name, name)) return snippet_list[i];
    }
    return NULL;
}

static void must(int rc, const struct err *e)
{
    if (rc) fail_msg("%s", e->text);
}

void mini_open(struct mini *m)
{
    mini_open_with(m, 0, 0);
}

void mini_open_with(struct mini *m, uint32_t cap, uint64_t arg)
{
    struct err e = {0};

    guest_needs_kvm();
    *m = (struct mini){.vm = VM_INIT, .vcpu = VCPU_INIT};
    must(vm_create(&m->vm, &e), &e);
    m->ram = mmap(NULL, MINI_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(m->ram, MAP_FAILED);
    must(vm_map_ram(&m->vm, MINI_RAM, MINI_SIZE, m->ram, false, &e), &e);
    if (cap) must(vm_enable_cap(&m->vm, cap, arg, &e), &e);
    must(vcpu_create(&m->vm, 0, &m->vcpu, &e), &e);
}

void mini_load(struct mini *m, const struct snippet *s, struct snippet_args args)
{
    args.exit_at = MINI_EXIT;
    memcpy(m->ram, s->code, (size_t)(s->end - s->code));
    assert_int_equal(snippet_start(m->vm.fd, m->vcpu.fd, MINI_RAM, &args), 0);
}

void mini_close(struct mini *m)
{
    vcpu_destroy(&m->vcpu);
    vm_destroy(&m->vm);
    munmap(m->ram, MINI_SIZE);
}

static volatile sig_atomic_t has_rung;

static void on_alarm(int signal)
{
    (void)signal;
    has_rung = 1;
}

/* KVM may say EINTR on its own, as it does on arm64 when a guest without an interrupt controller meets a busy host. */
static int run_on(struct mini *m)
{
    int rc;
    do {
        rc = vcpu_run(&m->vcpu);
    } while (rc == -EINTR && !has_rung && !m->vcpu.run->immediate_exit);
    return rc;
}

int mini_run(struct mini *m, unsigned ms)
{
    const struct sigaction action = {.sa_handler = on_alarm};
    const struct itimerval on = {.it_interval.tv_usec = PATIENCE_MS * 1000,
                                 .it_value = {ms / 1000, (suseconds_t)(ms % 1000) * 1000}},
                           off = {.it_value.tv_sec = 0};

    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    has_rung = 0;
    assert_int_equal(setitimer(ITIMER_REAL, &on, NULL), 0);
    const int rc = run_on(m);
    assert_int_equal(setitimer(ITIMER_REAL, &off, NULL), 0);
    return rc;
}

void mini_run_until_it_ticks(struct mini *m)
{
    const uint32_t before = mini_word(m);

    for (int i = 0; i < TICK_TRIES && mini_word(m) == before; i++) assert_int_equal(mini_run(m, TICK_MS), -EINTR);
    assert_int_not_equal(mini_word(m), before);
}

bool mini_has_ended(const struct mini *m, uint8_t *status)
{
    const struct kvm_run *run = m->vcpu.run;

    if (run->exit_reason == KVM_EXIT_IO && run->io.port == SNIPPET_EXIT_PORT && run->io.direction == KVM_EXIT_IO_OUT) {
        *status = *((const uint8_t *)run + run->io.data_offset);
        return true;
    }
    if (run->exit_reason == KVM_EXIT_MMIO && run->mmio.phys_addr == MINI_EXIT && run->mmio.is_write) {
        *status = run->mmio.data[0];
        return true;
    }
    return false;
}

uint32_t mini_word(const struct mini *m)
{
    uint32_t word;
    memcpy(&word, m->ram + (MINI_DATA - MINI_RAM), sizeof(word));
    return word;
}
