/* How the host schedules a machine's threads, asked of the host itself: by thread id, while the guest runs. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "arch/arch.h"
#include "devices/backend/disk.h"
#include "tests/kvm/guest.h"
#include "tests/kvm/mini.h"
#include "tests/unit/virtio/mmio_registers.h"
#include "vmm/machine/state.h"

#define WORD_OFFSET  0x180000 /* in RAM, behind the image of a snippet and before the end of 4 MiB */
#define QUEUE_OFFSET 0x200000 /* behind that word: three pages */
#define TRIES        1000     /* of TRY_US: for a thread that was just made to say who it is */
#define TRY_US       5000

struct sched_setting {
    const char *key, *value;
};

/* A machine of two vCPUs, each counting up a word, named "fairness", with the settings (they end with a NULL key). */
static int try_build(struct machine **out, const struct sched_setting *s, struct err *e)
{
    struct config c;

    guest_needs_kvm();
    const int fd = guest_file_of(&snippet_tick, &(struct snippet_args){.target = arch_info.ram_base + WORD_OFFSET});
    config_init(&c, machine_devices);
    guest_set(&c, "kernel", "/proc/self/fd/%d", fd);
    guest_set(&c, "memory", "4M");
    guest_set(&c, "cpus", "2");
    guest_set(&c, "console", "off");
    guest_set(&c, "name", "fairness");
    int rc = 0;
    for (; s && s->key && !rc; s++) rc = config_set(&c, s->key, s->value, e);
    if (!rc) rc = machine_create(out, &c, NULL, e);
    config_fini(&c);
    close(fd);
    return rc;
}

static struct machine *build(const struct sched_setting *s)
{
    struct machine *m = NULL;
    struct err e = {0};
    if (try_build(&m, s, &e)) fail_msg("%s", e.text);
    return m;
}

static struct machine *start(const struct sched_setting *s)
{
    struct machine *m = build(s);
    struct err e = {0};
    if (machine_start(m, &e)) fail_msg("%s", e.text);
    return m;
}

static void stop(struct machine *m)
{
    struct ending end;
    machine_end(m, END_STOPPED, "asked");
    assert_int_equal(machine_wait(m, GUEST_END_MS, &end), 0);
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
    const struct sched_setting rng[] = {
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
    machine_end(m, END_STOPPED, "asked");
    assert_int_equal(machine_wait(m, GUEST_END_MS, &end), 0);
    assert_false(machine_thread(m, 0, &t));
    machine_destroy(m);
}

/* ---- how they are scheduled ---- */

static int tid_of(struct machine *m, unsigned vcpu)
{
    struct machine_thread t;
    assert_true(machine_thread(m, vcpu, &t));
    assert_int_equal(t.vcpu, vcpu);
    return t.tid;
}

static void refuse(const struct sched_setting *s, enum err_kind kind, const char *part)
{
    struct machine *m = NULL;
    struct err e = {0};
    int rc = try_build(&m, s, &e);
    if (!rc) rc = machine_start(m, &e);
    machine_destroy(m);
    assert_int_not_equal(rc, 0);
    assert_contains(e.text, part);
    assert_int_equal(e.kind, kind);
}

/* The CPUs this process may use, at least one; the rest of the test needs to know one it may not. */
static unsigned allowed_cpu(unsigned nth)
{
    cpu_set_t set;
    assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
    const unsigned want = nth % (unsigned)CPU_COUNT(&set);
    unsigned cpu = 0;
    for (unsigned seen = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &set) && seen++ == want) break;
    return cpu;
}

static void must_be_pinned(int tid, unsigned cpu)
{
    cpu_set_t set;
    assert_int_equal(sched_getaffinity(tid, sizeof(set), &set), 0);
    assert_int_equal(CPU_COUNT(&set), 1);
    assert_true(CPU_ISSET(cpu, &set));
}

static void pinned_vcpus_run_where_they_were_put(void **state)
{
    (void)state;
    const unsigned cpu[] = {allowed_cpu(1), allowed_cpu(0)};
    char first[16], second[16], io[16];
    (void)snprintf(first, sizeof(first), "0=%u", cpu[0]);
    (void)snprintf(second, sizeof(second), "1=%u", cpu[1]);
    (void)snprintf(io, sizeof(io), "io=%u", cpu[0]);
    const struct sched_setting s[] = {
        {"cpu-affinity", first}, {"cpu-affinity", second}, {"cpu-affinity", io}, {"timeout", "60"}, {NULL, NULL}};
    struct machine *m = start(s);
    struct machine_thread t;
    for (unsigned i = 0; i < 2; i++) must_be_pinned(tid_of(m, i), cpu[i]);
    assert_true(machine_thread(m, 2, &t));
    must_be_pinned(t.tid, cpu[0]);
    stop(m);
}

static void cpus_that_are_not_online_are_refused(void **state)
{
    (void)state;
    const struct sched_setting s[] = {{"cpu-affinity", "1=0,1023"}, {NULL, NULL}};
    refuse(s, ERR_CONFIG, "CPU 1023 is not online");
}

static void nice_values_are_each_vcpus_own(void **state)
{
    (void)state;
    const struct sched_setting s[] = {
        {"nice", "0=3"}, {"nice", "1=7"}, {"nice", "io=9"}, {"timeout", "60"}, {NULL, NULL}};
    const int before = getpriority(PRIO_PROCESS, 0);
    struct machine *m = start(s);
    struct machine_thread t;
    assert_int_equal(getpriority(PRIO_PROCESS, (id_t)tid_of(m, 0)), 3);
    assert_int_equal(getpriority(PRIO_PROCESS, (id_t)tid_of(m, 1)), 7);
    assert_true(machine_thread(m, 2, &t));
    assert_int_equal(getpriority(PRIO_PROCESS, (id_t)t.tid), 9);
    assert_int_equal(getpriority(PRIO_PROCESS, 0), before);
    stop(m);
}

/* ---- a disk's thread ---- */

int __real_disk_open(struct disk **out, const struct disk_params *p, struct err *e);
int __wrap_disk_open(struct disk **out, const struct disk_params *p, struct err *e);
int __wrap_disk_open(struct disk **out, const struct disk_params *p, struct err *e)
{
    struct disk_params worker = *p;
    worker.engine = DISK_ENGINE_WORKER;
    return __real_disk_open(out, &worker, e);
}

static void write_register(struct machine *m, unsigned at, uint32_t value)
{
    virtio_mmio_bus_ops.write(m->slot[0].transport, at, sizeof(value), value);
}

/* What a driver of the first device does, up to DRIVER_OK. Its queue is nothing but zeros. */
static void drive(struct machine *m)
{
    const uint64_t queue = arch_info.ram_base + QUEUE_OFFSET;
    const struct {
        unsigned at;
        uint32_t value;
    } step[] = {
        {STATUS, 0},
        {STATUS, ACK},
        {STATUS, ACK | DRIVER},
        {DRIVER_FEATURES_SEL, 1},
        {DRIVER_FEATURES, VIRTIO_F_VERSION_1 >> 32},
        {STATUS, ACK | DRIVER | FEATURES_OK},
        {QUEUE_SEL, 0},
        {QUEUE_NUM, 8},
        {QUEUE_DESC, (uint32_t)queue},
        {QUEUE_DRIVER, (uint32_t)queue + 0x1000},
        {QUEUE_DEVICE, (uint32_t)queue + 0x2000},
        {QUEUE_READY, 1},
        {STATUS, ACK | DRIVER | FEATURES_OK | DRIVER_OK},
    };
    for (unsigned i = 0; i < COUNT_OF(step); i++) write_register(m, step[i].at, step[i].value);
}

static void a_disks_thread_bears_its_name_and_has_what_io_was_given(void **state)
{
    (void)state;
    char disk[64], io[16];
    const int fd = guest_file(&(char){0}, 1);
    assert_int_equal(ftruncate(fd, 4096), 0);
    (void)snprintf(disk, sizeof(disk), "path=/proc/self/fd/%d", fd);
    (void)snprintf(io, sizeof(io), "io=%u", allowed_cpu(0));
    const struct sched_setting s[] = {
        {"disk", disk}, {"cpu-affinity", io}, {"nice", "io=9"}, {"timeout", "60"}, {NULL, NULL}};
    struct machine *m = start(s);
    struct machine_thread t;
    char comm[32];
    assert_false(machine_thread(m, 3, &t)); /* no driver, no thread */
    drive(m);
    for (unsigned i = 0; i < TRIES && !machine_thread(m, 3, &t); i++) usleep(TRY_US);
    assert_true(machine_thread(m, 3, &t));
    assert_int_equal(t.kind, MACHINE_THREAD_DISK);
    assert_int_equal(t.vcpu, -1);
    assert_string_equal(t.name, "fairness:disk0");
    comm_of(t.tid, comm);
    assert_string_equal(comm, "fairness:disk0");
    must_be_pinned(t.tid, allowed_cpu(0));
    assert_int_equal(getpriority(PRIO_PROCESS, (id_t)t.tid), 9);
    assert_false(machine_thread(m, 4, &t));
    write_register(m, STATUS, 0);
    assert_true(machine_thread(m, 3, &t)); /* kept for the next driver */
    stop(m);
    close(fd);
}

/* ---- slices ---- */

/* The thread's slice as the kernel says it: sched_getattr(2), runtime at byte 24. 0: this kernel has none. */
static uint64_t slice_of(int tid)
{
    uint64_t attr[8] = {0};
    assert_int_equal(syscall(SYS_sched_getattr, tid, attr, sizeof(attr), 0), 0);
    return attr[3];
}

struct heard {
    char warning[256];
};

static void on_log(void *arg, enum log_level level, const char *line)
{
    struct heard *h = arg;
    if (level == LOG_WARN) (void)snprintf(h->warning, sizeof(h->warning), "%s", line);
}

static void a_slice_is_taken_or_said_to_be_ignored(void **state)
{
    (void)state;
    const struct sched_setting s[] = {{"slice", "5ms"}, {"nice", "4"}, {NULL, NULL}};
    struct heard heard = {0};
    const struct log log = {.fn = on_log, .arg = &heard, .level = LOG_WARN};
    struct machine *m = build(s);
    struct err e = {0};
    m->log = &log;
    if (machine_start(m, &e)) fail_msg("%s", e.text);
    const uint64_t got = slice_of(tid_of(m, 1));
    if (got == 5000000)
        assert_string_equal(heard.warning, "");
    else
        assert_contains(heard.warning, "this kernel ignores it");
    assert_int_equal(getpriority(PRIO_PROCESS, (id_t)tid_of(m, 1)), 4); /* one does not undo the other */
    stop(m);
}

static void halt_polling_is_bounded_or_refused_by_name(void **state)
{
    (void)state;
    const struct sched_setting s[] = {{"halt-poll", "100us"}, {NULL, NULL}};
    struct vm vm = VM_INIT;
    struct err e = {0};
    assert_int_equal(access("/dev/kvm", R_OK | W_OK) ? 0 : vm_create(&vm, &e), 0);
    const bool is_there = vm.fd >= 0 && vm_check(&vm, KVM_CAP_HALT_POLL) > 0;
    vm_destroy(&vm);
    if (is_there)
        stop(start(s));
    else
        refuse(s, ERR_HOST, "KVM_CAP_HALT_POLL");
}

/* Not every kernel has it, and without SMT nothing is to be done: what must not be is a vCPU without what was asked. */
static void vcpus_share_one_cookie_or_none_is_needed(void **state)
{
    (void)state;
    const struct sched_setting s[] = {{"core-scheduling", "true"}, {NULL, NULL}};
    unsigned long cookie[2] = {0};
    if (prctl(PR_SCHED_CORE, PR_SCHED_CORE_GET, 0, PR_SCHED_CORE_SCOPE_THREAD, &cookie[0]) < 0 && errno == EINVAL) {
        refuse(s, ERR_HOST, "core-scheduling");
        return;
    }
    const bool has_smt = prctl(PR_SCHED_CORE, PR_SCHED_CORE_GET, 0, PR_SCHED_CORE_SCOPE_THREAD, &cookie[0]) == 0;
    struct machine *m = start(s);
    for (int i = 0; i < 10000 && has_smt && cookie[1] == 0; i++) { /* the second takes it on its way into the guest */
        usleep(1000);
        for (unsigned v = 0; v < 2; v++)
            assert_int_equal(
                prctl(PR_SCHED_CORE, PR_SCHED_CORE_GET, tid_of(m, v), PR_SCHED_CORE_SCOPE_THREAD, &cookie[v]), 0);
    }
    assert_int_equal(cookie[0], cookie[1]);
    assert_int_equal(cookie[0] != 0, has_smt);
    stop(m);
}

/* ---- cgroups, where this user may make one below the v1 cpu controller ---- */

#define V1_CPU "/sys/fs/cgroup/cpu"

static char *make_v1(char path[64])
{
    (void)snprintf(path, 64, V1_CPU "/test-%d", (int)getpid());
    if (access(V1_CPU "/cpu.shares", F_OK) || mkdir(path, 0755)) {
        print_message("no v1 cpu controller to make a group in\n");
        skip();
    }
    return path;
}

static void text_of(const char *dir, const char *file, char *out, size_t size)
{
    char path[160];
    (void)snprintf(path, sizeof(path), "%s/%s", dir, file);
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    out[fread(out, 1, size - 1, f)] = '\0';
    (void)fclose(f);
}

static bool has_line(const char *text, int number)
{
    char line[16];
    (void)snprintf(line, sizeof(line), "%d\n", number);
    const char *at = strstr(text, line);
    while (at && at != text && at[-1] != '\n') at = strstr(at + 1, line);
    return at != NULL;
}

static void a_v1_group_has_the_vcpus_and_is_gone_afterwards(void **state)
{
    (void)state;
    char path[64], group[96], text[1024];
    const struct sched_setting s[] = {
        {"cgroup", make_v1(path)}, {"cgroup-weight", "200"}, {"cgroup-max", "75%"}, {NULL, NULL}};
    (void)snprintf(group, sizeof(group), "%s/vireo-fairness", path);
    struct machine *m = start(s);
    text_of(group, "cpu.shares", text, sizeof(text));
    assert_string_equal(text, "2048\n");
    text_of(group, "cpu.cfs_quota_us", text, sizeof(text));
    assert_string_equal(text, "75000\n");
    text_of(group, "tasks", text, sizeof(text));
    for (unsigned i = 0; i < 2; i++) assert_true(has_line(text, tid_of(m, i)));
    assert_false(has_line(text, getpid()));
    struct machine *second = NULL;
    struct err e = {0};
    assert_int_equal(try_build(&second, s, &e), -EBUSY);
    assert_contains(e.text, "in use");
    stop(m);
    assert_int_equal(access(group, F_OK), -1);
    assert_int_equal(mkdir(group, 0755), 0); /* as a killed process leaves it */
    stop(start(s));
    assert_int_equal(access(group, F_OK), -1);
    assert_int_equal(rmdir(path), 0);
}

/* Which threads of a machine with a disk in use the group has: vCPUs, I/O, the disk's. */
static unsigned members(const char *which)
{
    char path[64], group[96], text[1024], disk[64];
    const int fd = guest_file(&(char){0}, 1);
    assert_int_equal(ftruncate(fd, 4096), 0);
    (void)snprintf(disk, sizeof(disk), "path=/proc/self/fd/%d", fd);
    const struct sched_setting s[] = {
        {"cgroup", make_v1(path)}, {"cgroup-max", "50%"}, {"disk", disk}, {"cgroup-threads", which}, {NULL, NULL}};
    (void)snprintf(group, sizeof(group), "%s/vireo-fairness", path);
    struct machine *m = start(s);
    struct machine_thread t;
    drive(m);
    for (unsigned i = 0; i < TRIES && !machine_thread(m, 3, &t); i++) usleep(TRY_US);
    text_of(group, "tasks", text, sizeof(text));
    unsigned kinds = 0;
    for (unsigned i = 0; machine_thread(m, i, &t); i++)
        if (has_line(text, t.tid)) kinds |= 1u << t.kind;
    assert_false(has_line(text, getpid()));
    stop(m);
    close(fd);
    assert_int_equal(access(group, F_OK), -1);
    assert_int_equal(rmdir(path), 0);
    return kinds;
}

static void a_cap_is_for_io_and_disks_too_unless_vcpus_are_asked_for(void **state)
{
    (void)state;
    assert_int_equal(members("all"), 1u << MACHINE_THREAD_VCPU | 1u << MACHINE_THREAD_IO | 1u << MACHINE_THREAD_DISK);
    assert_int_equal(members("vcpus"), 1u << MACHINE_THREAD_VCPU);
}

/* ---- cgroups, version 2, where this process lies in the root group and may make others */

#define V2 "/sys/fs/cgroup"

static void need_v2(void)
{
    char text[4096] = "";
    if (access(V2 "/cgroup.subtree_control", W_OK) == 0) text_of(V2, "cgroup.procs", text, sizeof(text));
    if (has_line(text, getpid())) return;
    print_message("not in the root group of cgroup version 2\n");
    skip();
}

static void must_be_in(int tid, const char *cgroup)
{
    char path[64], text[256], line[128];
    (void)snprintf(path, sizeof(path), "/proc/self/task/%d", tid);
    (void)snprintf(line, sizeof(line), "0::%s\n", cgroup);
    text_of(path, "cgroup", text, sizeof(text));
    assert_contains(text, line);
}

static void machines_of_one_program_have_a_v2_group_each(void **state)
{
    (void)state;
    need_v2();
    const struct sched_setting first[] = {{"cgroup", V2}, {"cgroup-weight", "100"}, {NULL, NULL}},
                               second[] = {{"cgroup", V2}, {"cgroup-weight", "200"}, {"name", "other"}, {NULL, NULL}};
    struct machine *m = start(first), *n = start(second);
    must_be_in(tid_of(m, 1), "/vireo-fairness");
    must_be_in(tid_of(n, 0), "/vireo-other");
    must_be_in(getpid(), "/");
    stop(m);
    must_be_in(tid_of(n, 1), "/vireo-other");
    stop(n);
    assert_int_equal(access(V2 "/vireo-fairness", F_OK) | access(V2 "/vireo-other", F_OK), -1);
}

static void a_program_is_not_pulled_away_from_its_first_machine(void **state)
{
    (void)state;
    need_v2();
    char domain[64], group[128];
    (void)snprintf(domain, sizeof(domain), V2 "/test-%d", (int)getpid());
    (void)snprintf(group, sizeof(group), "%s/vireo-fairness", domain + strlen(V2));
    assert_int_equal(mkdir(domain, 0755), 0);
    const struct sched_setting first[] = {{"cgroup", domain}, {NULL, NULL}},
                               second[] = {{"cgroup", domain}, {"name", "other"}, {NULL, NULL}};
    struct machine *m = start(first);
    must_be_in(tid_of(m, 0), group);
    must_be_in(getpid(), group);
    refuse(second, ERR_CONFIG, "for another VM");
    stop(m);
    must_be_in(getpid(), "/");
    assert_int_equal(rmdir(domain), 0);
}

static void cgroups_that_can_not_be_had_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *path, *part;
    } rows[] = {{"/nowhere/at/all", "cgroup /nowhere/at/all: No such file or directory"},
                {"/proc", "not a cgroup directory"},
                {"/dev/null", "Not a directory"}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct sched_setting s[] = {{"cgroup", rows[i].path}, {NULL, NULL}};
        refuse(s, ERR_CONFIG, rows[i].part);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(every_thread_tells_its_id_and_bears_its_name),
        UNIT(there_are_no_threads_before_the_start_or_after_the_end),
        UNIT(pinned_vcpus_run_where_they_were_put),
        UNIT(cpus_that_are_not_online_are_refused),
        UNIT(nice_values_are_each_vcpus_own),
        UNIT(a_disks_thread_bears_its_name_and_has_what_io_was_given),
        UNIT(a_slice_is_taken_or_said_to_be_ignored),
        UNIT(halt_polling_is_bounded_or_refused_by_name),
        UNIT(vcpus_share_one_cookie_or_none_is_needed),
        UNIT(a_v1_group_has_the_vcpus_and_is_gone_afterwards),
        UNIT(machines_of_one_program_have_a_v2_group_each),
        UNIT(a_program_is_not_pulled_away_from_its_first_machine),
        UNIT(a_cap_is_for_io_and_disks_too_unless_vcpus_are_asked_for),
        UNIT(cgroups_that_can_not_be_had_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
