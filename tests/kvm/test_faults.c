/* Setting a machine up with each call to the host failing in turn: the first, the second, ... until none is left to
 * fail. Each time there is a sentence, of the right kind, and nothing is left behind.
 *
 * The linker leads the calls of our own objects here (see kvm.mk). Only calls of the setting-up thread count. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "tests/kvm/guest.h"
#include "tests/kvm/holdings.h"
#include "tests/kvm/mini.h"
#include "vmm/machine/machine.h"

#define STATUS       77
#define ARM64_EXIT   0x09020000 /* debug exit there; x86 snippets know their port */
#define DISK_BYTES   4096
#define LARGE_KERNEL (8 << 20) /* bytes */
#define CALLS_MAX    1000      /* more than set-up ever makes: the loop over them ends */
#define CALLS_MIN    40        /* fewer would mean that the calls do not come here */

static _Thread_local bool is_counting;
static unsigned calls, failing;          /* the call that fails, counted from 1; 0: none */
static const char *failed;               /* its name; NULL: it did not come to that */
static atomic_ulong refused[2];          /* these requests fail on every thread; 0: none */
static _Thread_local bool is_setting_up; /* exempt from the next */
static atomic_bool is_short;             /* nothing new is to be had: no descriptor, place in a loop, memory, thread */
static atomic_uint lacked;               /* how often something was asked for then */
static _Atomic(const char *) lacked_last;
static long mapped; /* bytes */

static bool takes_something(const char *name)
{
    static const char *const names[] = {"open",           "eventfd", "epoll_create1", "epoll_ctl", "timerfd_create",
                                        "pthread_create", "calloc",  "aligned_alloc", "strdup"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(name, names[i]) == 0) return true;
    return false;
}

static bool must_fail(const char *name, int error)
{
    if (atomic_load(&is_short) && !is_setting_up && takes_something(name)) {
        atomic_fetch_add(&lacked, 1);
        atomic_store(&lacked_last, name);
        errno = error;
        return true;
    }
    if (!is_counting || ++calls != failing) return false;
    failed = name;
    errno = error;
    return true;
}

/* FAULT(result, name, parameters, arguments, what failing returns, errno) */
#define FAULT(type, name, params, args, failure, error)                                                                \
    type __real_##name params;                                                                                         \
    type __wrap_##name params;                                                                                         \
    type __wrap_##name params                                                                                          \
    {                                                                                                                  \
        return must_fail(#name, error) ? (failure) : __real_##name args;                                               \
    }

FAULT(int, open, (const char *path, int flags, mode_t mode), (path, flags, mode), -1, EMFILE)
FAULT(int, fcntl, (int fd, int command, unsigned long arg), (fd, command, arg), -1, ENOLCK)
FAULT(int, eventfd, (unsigned count, int flags), (count, flags), -1, EMFILE)
FAULT(int, epoll_create1, (int flags), (flags), -1, EMFILE)
FAULT(int, timerfd_create, (int clock, int flags), (clock, flags), -1, EMFILE)
FAULT(int, pthread_create, (pthread_t * thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg),
      (thread, attr, fn, arg), EAGAIN, EAGAIN)
FAULT(ssize_t, pread, (int fd, void *to, size_t len, off_t off), (fd, to, len, off), -1, EIO)
FAULT(int, sigaction, (int signo, const struct sigaction *action, struct sigaction *old), (signo, action, old), -1,
      EINVAL)
FAULT(void *, calloc, (size_t count, size_t size), (count, size), NULL, ENOMEM)
FAULT(void *, aligned_alloc, (size_t align, size_t size), (align, size), NULL, ENOMEM)
FAULT(char *, strdup, (const char *text), (text), NULL, ENOMEM)

int __real_epoll_ctl(int fd, int op, int which, struct epoll_event *ev);
int __wrap_epoll_ctl(int fd, int op, int which, struct epoll_event *ev);
int __wrap_epoll_ctl(int fd, int op, int which, struct epoll_event *ev)
{
    /* What is there already can be changed and removed whatever is short. */
    const bool takes = op == EPOLL_CTL_ADD || is_counting;
    return takes && must_fail("epoll_ctl", ENOSPC) ? -1 : __real_epoll_ctl(fd, op, which, ev);
}

int __real_ioctl(int fd, unsigned long request, unsigned long arg);
int __wrap_ioctl(int fd, unsigned long request, unsigned long arg);
int __wrap_ioctl(int fd, unsigned long request, unsigned long arg)
{
    if (is_counting && must_fail("ioctl", EIO)) return -1;
    if (request != refused[0] && request != refused[1]) return __real_ioctl(fd, request, arg);
    errno = request == KVM_RUN ? EIO : ENOMEM;
    return -1;
}

void *__real_mmap(void *at, size_t len, int prot, int flags, int fd, off_t off);
void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t off);
void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t off)
{
    if (must_fail("mmap", ENOMEM)) return MAP_FAILED;
    void *p = __real_mmap(at, len, prot, flags, fd, off);
    if (p != MAP_FAILED) __atomic_fetch_add(&mapped, (long)len, __ATOMIC_RELAXED);
    return p;
}

int __real_munmap(void *at, size_t len);
int __wrap_munmap(void *at, size_t len);
int __wrap_munmap(void *at, size_t len)
{
    __atomic_fetch_sub(&mapped, (long)len, __ATOMIC_RELAXED);
    return __real_munmap(at, len);
}

/* ---- the machine: what a usual one has ---- */

struct files {
    int kernel, disk[2], console;
};

static void describe(struct config *c, const struct files *f)
{
    config_init(c, machine_devices);
    guest_set(c, "kernel", "/proc/self/fd/%d", f->kernel);
    guest_set(c, "disk", "path=/proc/self/fd/%d", f->disk[0]);
    guest_set(c, "disk", "path=/proc/self/fd/%d,readonly", f->disk[1]);
    guest_set(c, "console", "file=/proc/self/fd/%d", f->console);
    guest_set(c, "rng", "true");
    guest_set(c, "memory", "4M");
    guest_set(c, "cpus", "2");
    guest_set(c, "timeout", "60");
}

static struct files make_files(void)
{
    unsigned char image[SNIPPET_IMAGE_MAX];
    const size_t size =
        snippet_image(&snippet_exit, &(struct snippet_args){.status = STATUS, .exit_at = ARM64_EXIT}, image);
    const struct files f = {memfd_create("kernel", MFD_CLOEXEC),
                            {memfd_create("disk", MFD_CLOEXEC), memfd_create("disk", MFD_CLOEXEC)},
                            memfd_create("console", MFD_CLOEXEC)};

    assert_int_equal(write(f.kernel, image, size), size);
    for (unsigned i = 0; i < 2; i++) assert_int_equal(ftruncate(f.disk[i], DISK_BYTES), 0);
    return f;
}

static void close_files(const struct files *f)
{
    close(f->kernel);
    close(f->disk[0]);
    close(f->disk[1]);
    close(f->console);
}

/* Build, start and destroy; the calls of the first two are counted, and one of them fails. Where Vireo can do without
 * what failed, the guest must run as ever. */
static int round_with_failing(unsigned nth, const struct config *c, struct err *e)
{
    struct machine *m = NULL;
    struct ending end;

    calls = 0;
    failing = nth;
    failed = NULL;
    is_counting = true;
    int rc = machine_create(&m, c, NULL, e);
    if (!rc) rc = machine_start(m, e);
    is_counting = false;
    if (!rc) {
        assert_int_equal(machine_wait(m, GUEST_END_MS, &end), 0);
        assert_int_equal(end.reason, END_GUEST_STATUS);
        assert_int_equal(end.value, STATUS);
    }
    machine_destroy(m);
    return rc;
}

/* What is wrong with how the failure was told; NULL: nothing. */
static const char *why_badly_told(int rc, const struct err *e)
{
    if (rc > 0 || e->code != rc) return "the code returned is not the error's";
    if (!e->text[0]) return "there is no sentence";
    const bool is_of_a_named_file = strncmp(e->text, "disk ", 5) == 0; /* another file might do */
    if (e->kind == ERR_CONFIG && !is_of_a_named_file) return "it is put down to the configuration";
    return NULL;
}

static const char *why_not_clean(const struct holdings *before, long mapped_before)
{
    const struct holdings after = holdings_now();
    if (after.fds != before->fds) return "descriptors are left";
    if (after.threads != before->threads) return "threads are left";
    return mapped != mapped_before ? "mappings are left" : NULL;
}

static void fail_each_call(off_t kernel_bytes)
{
    struct config c;
    unsigned nth = 0, problems = 0;

    guest_needs_kvm();
    const struct files files = make_files();
    if (kernel_bytes) assert_int_equal(ftruncate(files.kernel, kernel_bytes), 0);
    describe(&c, &files);
    do {
        struct err e = {0};
        const struct holdings before = holdings_now();
        const long mapped_before = mapped;

        const int rc = round_with_failing(++nth, &c, &e);
        const char *why = rc ? why_badly_told(rc, &e) : NULL;
        if (!why) why = why_not_clean(&before, mapped_before);
        if (!why) continue;
        print_error("call %u (%s) failed with \"%s\": %s\n", nth, failed, e.text, why);
        problems++;
    } while (failed && nth < CALLS_MAX);
    assert_int_equal(problems, 0);
    assert_null(failed);
    assert_true(nth > CALLS_MIN);
    config_fini(&c);
    close_files(&files);
}

static void every_call_of_the_set_up_may_fail(void **state)
{
    (void)state;
    fail_each_call(0);
}

/* x86 loads it on a thread of its own, which no failure may leave behind. */
static void so_may_each_while_a_large_kernel_is_loaded(void **state)
{
    (void)state;
    fail_each_call(LARGE_KERNEL);
}

/* ---- and failing later ---- */

static atomic_uint lines;

static void on_log(void *arg, enum log_level level, const char *line)
{
    (void)arg;
    (void)level;
    print_message("# %s\n", line);
    atomic_fetch_add(&lines, 1);
}

/* The guest that is built in: it uses each device and looks for its interrupts. */
static void run_refusing(unsigned long request, unsigned long other, struct ending *end)
{
    const struct log log = {.fn = on_log, .level = LOG_WARN};
    struct machine *m = NULL;
    struct config c;
    struct err e = {0};

    guest_needs_kvm();
    config_init(&c, machine_devices);
    guest_set(&c, "console", "off");
    guest_set(&c, "rng", "true");
    if (machine_create(&m, &c, &log, &e)) fail_msg("%s", e.text);
    config_fini(&c);
    atomic_store(&lines, 0);
    refused[0] = request;
    refused[1] = other;
    assert_int_equal(machine_start(m, &e), 0);
    assert_int_equal(machine_wait(m, GUEST_END_MS, end), 0);
    refused[0] = refused[1] = 0;
    machine_destroy(m);
}

static void must_end_when_refused(unsigned long request, unsigned long other, enum end_reason reason)
{
    struct ending end;
    run_refusing(request, other, &end);
    assert_int_equal(end.reason, reason);
    assert_true(end.detail[0]);
}

/* A VM that KVM found a mistake of its own in answers so for good, whatever immediate_exit says. */
static void a_vm_that_kvm_has_given_up_ends(void **state)
{
    (void)state;
    must_end_when_refused(KVM_RUN, 0, END_KVM_ERROR);
}

static void must_run_well_when_refused(unsigned long request, unsigned long other)
{
    enum { DEVICES = 2 };
    struct ending end;
    run_refusing(request, other, &end);
    if (end.reason != END_GUEST_STATUS || end.value != 0) fail_msg("reason %d, %s", (int)end.reason, end.detail);
    assert_int_equal(lines, DEVICES * (other ? 2 : 1)); /* however often each is reset */
}

static void interrupts_that_kvm_has_no_memory_for_go_through_system_calls(void **state)
{
    (void)state;
    must_run_well_when_refused(KVM_IRQFD, 0);
}

static void doorbells_that_kvm_has_no_memory_for_go_through_exits(void **state)
{
    (void)state;
    must_run_well_when_refused(KVM_IOEVENTFD, 0);
}

static void a_device_may_do_without_either(void **state)
{
    (void)state;
    must_run_well_when_refused(KVM_IRQFD, KVM_IOEVENTFD);
}

static void a_device_whose_interrupts_are_refused_in_every_way_ends_the_machine(void **state)
{
    (void)state;
    must_end_when_refused(KVM_IRQFD, KVM_IRQ_LINE, END_DEVICE);
}

/* create and start take everything: what a host is short of later a machine that runs does not need, though its guest
 * starts, stops and resets each device. */
static void a_machine_that_runs_asks_for_nothing_new(void **state)
{
    struct machine *m = NULL;
    struct config c;
    struct err e = {0};
    struct ending end;

    (void)state;
    guest_needs_kvm();
    const int console = memfd_create("console", MFD_CLOEXEC);
    config_init(&c, machine_devices);
    guest_set(&c, "console", "file=/proc/self/fd/%d", console);
    guest_set(&c, "rng", "true");
    guest_set(&c, "timeout", "600");
    if (machine_create(&m, &c, NULL, &e)) fail_msg("%s", e.text);
    config_fini(&c);
    is_setting_up = true;
    atomic_store(&is_short, true);
    const int rc = machine_start(m, &e);
    const int waited = rc ? rc : machine_wait(m, GUEST_END_MS, &end);
    atomic_store(&is_short, false);
    is_setting_up = false;
    machine_destroy(m);
    close(console);
    assert_int_equal(rc, 0);
    assert_int_equal(waited, 0);
    if (lacked > 0) fail_msg("%s was called", atomic_load(&lacked_last));
    if (end.reason != END_GUEST_STATUS || end.value != 0) fail_msg("reason %d, %s", (int)end.reason, end.detail);
}

int main(void)
{
    const struct CMUnitTest tests[] = {UNIT(every_call_of_the_set_up_may_fail),
                                       UNIT(so_may_each_while_a_large_kernel_is_loaded),
                                       UNIT(a_vm_that_kvm_has_given_up_ends),
                                       UNIT(interrupts_that_kvm_has_no_memory_for_go_through_system_calls),
                                       UNIT(doorbells_that_kvm_has_no_memory_for_go_through_exits),
                                       UNIT(a_device_may_do_without_either),
                                       UNIT(a_device_whose_interrupts_are_refused_in_every_way_ends_the_machine),
                                       UNIT(a_machine_that_runs_asks_for_nothing_new)};
    holdings_begin();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
