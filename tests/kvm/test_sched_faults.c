/* What schedules a machine's threads, with each call to the host failing in turn, and with a host that has core
 * scheduling. The linker leads the calls of our own objects here (see kvm.mk); only the control thread's may fail. */
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "guest/snippets/snippets.h"
#include "tests/kvm/guest.h"
#include "tests/unit/unit.h"
#include "vmm/machine/machine.h"

#define CALLS_MAX 200 /* more than is ever made: the loop over them ends */
#define CALLS_MIN 12  /* fewer would mean that the calls do not come here */
#define VCPUS     3
#define V1_CPU    "/sys/fs/cgroup/cpu"
#define EXIT_AT   0x09020000 /* arm64's debug exit; x86 snippets know their port */

static _Thread_local bool is_counting;
static unsigned calls, failing; /* the call that fails, counted from 1; 0: none */

static bool must_fail(int error)
{
    if (!is_counting || ++calls != failing) return false;
    errno = error;
    return true;
}

/* FAULT(result, name, parameters, arguments, errno): a failure is -1. */
#define FAULT(type, name, params, args, error)                                                                         \
    type __real_##name params;                                                                                         \
    type __wrap_##name params;                                                                                         \
    type __wrap_##name params                                                                                          \
    {                                                                                                                  \
        return must_fail(error) ? -1 : __real_##name args;                                                             \
    }

FAULT(int, sched_setaffinity, (pid_t tid, size_t size, const cpu_set_t *set), (tid, size, set), ESRCH)
FAULT(int, sched_getaffinity, (pid_t tid, size_t size, cpu_set_t *set), (tid, size, set), ESRCH)
FAULT(int, setpriority, (int which, unsigned who, int value), (which, who, value), EACCES)
FAULT(int, mkdirat, (int dir, const char *path, mode_t mode), (dir, path, mode), EACCES)
FAULT(int, openat, (int dir, const char *path, int flags, mode_t mode), (dir, path, flags, mode), EACCES)
FAULT(int, fstatfs, (int fd, struct statfs *out), (fd, out), EIO)
FAULT(long, syscall, (long number, long a, long b, long c, long d), (number, a, b, c, d), EPERM)

/* Core scheduling as a kernel has it that we may not have: who made a cookie, and how often it was taken. */
static struct {
    int error;
    atomic_int of;
    atomic_uint taken;
} cookie;

int __wrap_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d);
int __wrap_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
    (void)c;
    (void)d;
    if (option != PR_SCHED_CORE) return 0; /* nobody else asks */
    if (must_fail(EPERM)) return -1;
    if (cookie.error) {
        errno = cookie.error;
        return -1;
    }
    if (a == PR_SCHED_CORE_CREATE) atomic_store(&cookie.of, (int)b);
    if (a == PR_SCHED_CORE_SHARE_FROM && (int)b == atomic_load(&cookie.of)) atomic_fetch_add(&cookie.taken, 1);
    return 0;
}

static char group[64]; /* "" where there is no v1 cpu controller */

/* Build and start one that has all of it. 0, or -errno with *e; *out is to be destroyed either way. */
static int try_all(struct machine **out, struct err *e)
{
    struct config c;
    guest_needs_kvm();
    const int fd = guest_file_of(&snippet_spin, &(struct snippet_args){.exit_at = EXIT_AT});
    config_init(&c, machine_devices);
    guest_set(&c, "kernel", "/proc/self/fd/%d", fd);
    guest_set(&c, "memory", "4M");
    guest_set(&c, "console", "off");
    guest_set(&c, "cpus", "%d", VCPUS);
    guest_set(&c, "cpu-affinity", "all=%d", sched_getcpu());
    guest_set(&c, "nice", "all=2");
    guest_set(&c, "slice", "3ms");
    guest_set(&c, "core-scheduling", "true");
    if (group[0]) guest_set(&c, "cgroup", V1_CPU "/faults-%d", (int)getpid());
    if (group[0]) guest_set(&c, "cgroup-weight", "200");
    if (group[0]) guest_set(&c, "cgroup-max", "50%%");
    is_counting = true;
    int rc = machine_create(out, &c, NULL, e);
    if (!rc) rc = machine_start(*out, e);
    is_counting = false;
    config_fini(&c);
    close(fd);
    return rc;
}

static void end(struct machine *m)
{
    struct ending ending;
    if (!m) return;
    machine_end(m, END_STOPPED, "asked");
    assert_int_equal(machine_wait(m, GUEST_END_MS, &ending), 0);
    machine_destroy(m);
}

/* A call whose failing is no refusal (the host does not say which CPUs are online) leaves a machine that runs. */
static void every_call_may_fail_and_nothing_is_left(void **state)
{
    (void)state;
    unsigned refusals = 0;
    calls = failing = 0;
    atomic_store(&cookie.taken, 0);
    for (failing = 0; failing < CALLS_MAX; failing++) {
        struct machine *m = NULL;
        struct err e = {0};
        calls = 0;
        const int rc = try_all(&m, &e);
        refusals += rc != 0;
        if (failing == 0 && rc) fail_msg("%s", e.text);
        if (rc) assert_int_not_equal(e.text[0], 0);
        end(m);
        if (group[0] && (rmdir(group) || mkdir(group, 0755))) fail_msg("call %u left something: %s", failing, e.text);
        if (calls < failing) break;
    }
    assert_in_range(failing, CALLS_MIN, CALLS_MAX - 1);
    assert_in_range(refusals, CALLS_MIN / 2, CALLS_MAX);
    print_message("%u calls, %u of them refusals\n", failing - 1, refusals);
}

static void all_vcpus_take_the_first_ones_cookie(void **state)
{
    (void)state;
    struct machine *m = NULL;
    struct err e = {0};
    struct machine_thread t;
    failing = 0;
    atomic_store(&cookie.taken, 0);
    if (try_all(&m, &e)) fail_msg("%s", e.text);
    assert_true(machine_thread(m, 0, &t));
    assert_int_equal(atomic_load(&cookie.of), t.tid);
    end(m); /* by then each has been past its beginning */
    assert_int_equal(atomic_load(&cookie.taken), VCPUS - 1);
}

static void without_smt_there_is_nothing_to_do_and_without_the_kernels_help_no_vm(void **state)
{
    (void)state;
    struct machine *m = NULL;
    struct err e = {0};
    failing = 0;
    atomic_store(&cookie.taken, 0);
    cookie.error = ENODEV;
    if (try_all(&m, &e)) fail_msg("%s", e.text);
    end(m);
    assert_int_equal(atomic_load(&cookie.taken), 0);
    m = NULL;
    cookie.error = EINVAL;
    assert_int_equal(try_all(&m, &e), -EINVAL);
    assert_int_equal(e.kind, ERR_HOST);
    assert_contains(e.hint, "CONFIG_SCHED_CORE");
    end(m);
    cookie.error = 0;
}

static int make_group(void **state)
{
    (void)state;
    char path[sizeof(group)];
    (void)snprintf(path, sizeof(path), V1_CPU "/faults-%d", (int)getpid());
    if (access(V1_CPU "/cpu.shares", F_OK) == 0 && mkdir(path, 0755) == 0) memcpy(group, path, sizeof(group));
    return 0;
}

static int remove_group(void **state)
{
    (void)state;
    return group[0] ? rmdir(group) : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(every_call_may_fail_and_nothing_is_left),
        UNIT(all_vcpus_take_the_first_ones_cookie),
        UNIT(without_smt_there_is_nothing_to_do_and_without_the_kernels_help_no_vm),
    };
    return cmocka_run_group_tests(tests, make_group, remove_group);
}
