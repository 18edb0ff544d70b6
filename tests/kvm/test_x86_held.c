/* An x86 guest is told that it was held: PVCLOCK_GUEST_STOPPED in its kvmclock (x86/msr.rst, MSR_KVM_SYSTEM_TIME_NEW;
 * api.rst, KVM_KVMCLOCK_CTRL). The guest's part, which clears the flag, is played by the test. */
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/kvm/guest.h"
#include "tests/unit/unit.h"
#include "vmm/lib/lib.h"
#include "vmm/machine/state.h"

#define CLOCK       0x180000u /* behind the snippet's image, before the end of 4 MiB */
#define CLOCK_FLAGS 29u       /* of struct pvclock_vcpu_time_info: u32, u32, u64, u64, u32, s8, u8 flags */
#define STOPPED     2u
#define TRIES       3000 /* of TRY_US: a minute, for hosts that are emulated and crowded */
#define TRY_US      20000
#define HELD_US     50000

struct held {
    struct vireo_vm *vm;
    uint8_t *clock;
};

static void set(struct vireo_config *c, const char *key, const char *value)
{
    struct vireo_error e;
    if (vireo_config_set(c, key, value, &e)) fail_msg("%s", e.text);
}

static uint32_t version_of(const struct held *h)
{
    return __atomic_load_n((const uint32_t *)(const void *)h->clock, __ATOMIC_ACQUIRE);
}

static bool is_told(const struct held *h)
{
    return __atomic_load_n(h->clock + CLOCK_FLAGS, __ATOMIC_ACQUIRE) & STOPPED;
}

static void begin(struct held *h, const char *record)
{
    struct vireo_error e;
    char path[32];
    guest_needs_kvm();
    const int fd = guest_file_of(&snippet_clock, &(struct snippet_args){.target = CLOCK});
    struct vireo_config *c = vireo_config_create();
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    set(c, "kernel", path);
    set(c, "memory", "4M");
    set(c, "console", "off");
    set(c, "record", record);
    int rc = vireo_vm_create(&h->vm, c, NULL, &e);
    if (!rc) rc = vireo_vm_start(h->vm, &e);
    vireo_config_destroy(c);
    close(fd);
    if (rc) fail_msg("%s", e.text);
    h->clock = gmem_slice(&h->vm->machine->mem, CLOCK, 32, GMEM_WRITE);
    for (int i = 0; i < TRIES && version_of(h) == 0; i++) usleep(TRY_US);
    assert_int_not_equal(version_of(h), 0);
    __atomic_and_fetch(h->clock + CLOCK_FLAGS, (uint8_t)~STOPPED, __ATOMIC_RELEASE);
}

static void must_be_told(const struct held *h)
{
    for (int i = 0; i < TRIES && !is_told(h); i++) usleep(TRY_US);
    assert_true(is_told(h));
}

static void end(struct held *h)
{
    struct vireo_end ending;
    vireo_vm_stop(h->vm);
    assert_int_equal(vireo_vm_wait(h->vm, GUEST_END_MS, &ending), 0);
    vireo_vm_destroy(h->vm);
}

static void a_guest_that_was_paused_is_told(void **state)
{
    (void)state;
    struct held h;
    begin(&h, "on");
    assert_int_equal(vireo_vm_pause(h.vm), 0);
    usleep(HELD_US);
    assert_false(is_told(&h));
    assert_int_equal(vireo_vm_resume(h.vm), 0);
    must_be_told(&h);
    end(&h);
}

/* As Ctrl-Z and fg do it: nobody in the process hears of it but the thread in KVM_RUN. */
static void a_guest_whose_process_was_stopped_is_told(void **state)
{
    (void)state;
    struct held h;
    int go[2], status;
    char word = 0;
    assert_int_equal(pipe(go), 0);
    const pid_t test = getpid(), other = fork();
    if (other == 0) {
        close(go[1]); /* so that a test that fails ends the wait */
        if (read(go[0], &word, 1) != 1 || kill(test, SIGSTOP) != 0) _exit(1);
        usleep(HELD_US);
        _exit(kill(test, SIGCONT) != 0);
    }
    begin(&h, "off");
    assert_int_equal(write(go[1], &word, 1), 1);
    assert_int_equal(waitpid(other, &status, 0), other);
    assert_int_equal(status, 0);
    must_be_told(&h);
    end(&h);
    close(go[0]);
    close(go[1]);
}

UNIT_MAIN(UNIT(a_guest_that_was_paused_is_told), UNIT(a_guest_whose_process_was_stopped_is_told))
