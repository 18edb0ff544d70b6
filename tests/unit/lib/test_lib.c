/* vireo.h on a machine that is made of strings: what the library adds is the translation. Defining machine_* here keeps
 * the real machine out of this program. */
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vireo.h>

#include "tests/unit/unit.h"
#include "vmm/config/device.h"
#include "vmm/lib/host.h"
#include "vmm/machine/machine.h"

static struct fake {
    struct err refusal; /* of create */
    struct ending ending;
    const struct log *log;
    enum end_reason stopped;
    unsigned destroyed, cpus;
} fake;

static const struct device_kind lamp = {
    .name = "lamp", .key = {{"lamp", NULL, "light the guest a lamp", .set = NULL}}, .most = 1};
const struct device_kind *const machine_devices[] = {&lamp, NULL};

int machine_create(struct machine **out, const struct config *cfg, const struct log *log, struct err *e)
{
    if (fake.refusal.code) {
        *e = fake.refusal;
        return e->code;
    }
    fake.log = log;
    fake.cpus = cfg->cpus;
    *out = (struct machine *)&fake;
    return 0;
}

void machine_destroy(struct machine *m)
{
    fake.destroyed += m != NULL;
}

int machine_start(struct machine *m, struct err *e)
{
    (void)m;
    err_set(e, -EALREADY, "started before");
    err_as(e, ERR_VM);
    return -EALREADY;
}

int machine_pause(struct machine *m)
{
    (void)m;
    return -ESRCH;
}

int machine_resume(struct machine *m)
{
    (void)m;
    return 0;
}

void machine_stop(struct machine *m)
{
    (void)m;
    fake.stopped = END_STOPPED;
}

int machine_wait(struct machine *m, int timeout_ms, struct ending *out)
{
    (void)m;
    if (timeout_ms == 0) return -ETIMEDOUT;
    if (out) *out = fake.ending;
    return 0;
}

int machine_event_fd(const struct machine *m)
{
    (void)m;
    return 42;
}

bool machine_milestone(struct machine *m, unsigned index, struct machine_milestone *out)
{
    (void)m;
    if (index > 0) return false;
    *out = (struct machine_milestone){.name = "created", .ns = 7};
    return true;
}

bool machine_thread(struct machine *m, unsigned index, struct machine_thread *out)
{
    (void)m;
    if (index > 0) return false;
    *out = (struct machine_thread){.kind = MACHINE_THREAD_IO, .vcpu = -1, .tid = 9, .name = "web:io"};
    return true;
}

uint64_t machine_console_dropped(const struct machine *m)
{
    (void)m;
    return 5;
}

int machine_console_resize(struct machine *m, uint16_t cols, uint16_t rows)
{
    (void)m;
    assert_int_equal(cols, 65535);
    assert_int_equal(rows, 1);
    return -ENOTTY;
}

const char *machine_console_pty(const struct machine *m)
{
    (void)m;
    return "/dev/pts/1";
}

static struct vireo_vm *new_vm(const struct vireo_log *log)
{
    struct vireo_vm *vm = NULL;
    struct vireo_error e;
    struct vireo_config *c = vireo_config_create();
    assert_non_null(c);
    assert_int_equal(vireo_config_set(c, "cpus", "3", &e), 0);
    assert_int_equal(vireo_config_set(c, "name", "web", &e), 0);
    if (vireo_vm_create(&vm, c, log, &e) != 0) fail_msg("%s", e.text);
    vireo_config_destroy(c);
    return vm;
}

static int fresh(void **state)
{
    (void)state;
    memset(&fake, 0, sizeof(fake));
    return 0;
}

static void every_end_has_its_exit_status(void **state)
{
    (void)state;
    static const struct {
        enum end_reason reason;
        uint32_t value;
        enum vireo_reason public;
        int status;
        const char *name, *detail;
    } rows[] = {
        {END_POWEROFF, 0, VIREO_END_POWEROFF, 0, "poweroff", "powered off"},
        {END_RESET, 0, VIREO_END_RESET, 0, "reset", "rebooted"},
        {END_GUEST_STATUS, 0, VIREO_END_GUEST_STATUS, 0, "guest-status", "status 0"},
        {END_GUEST_STATUS, 119, VIREO_END_GUEST_STATUS, 119, "guest-status", "status 119"},
        {END_GUEST_STATUS, 120, VIREO_END_GUEST_STATUS, 119, "guest-status", "status 120, passed on as 119"},
        {END_GUEST_STATUS, 0xffffffff, VIREO_END_GUEST_STATUS, 119, "guest-status", "4294967295"},
        {END_CRASH, 0, VIREO_END_CRASH, 120, "crash", "crashed"},
        {END_PANIC, 1, VIREO_END_PANIC, 120, "panic", "panicked"},
        {END_KVM_ERROR, 0, VIREO_END_KVM_ERROR, 121, "kvm-error", "could not run"},
        {END_HOST, 0, VIREO_END_HOST, 126, "host", "the host lacks"},
        {END_DEVICE, 0, VIREO_END_DEVICE, 122, "device", "host side"},
        {END_TIMEOUT, 0, VIREO_END_TIMEOUT, 124, "timeout", "time limit"},
        {END_STOPPED, 0, VIREO_END_STOPPED, 0, "stopped", "stopped"},
    };
    struct vireo_vm *vm = new_vm(NULL);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct vireo_end end;
        fake.ending = (struct ending){.reason = rows[i].reason, .value = rows[i].value, .vcpu = 2};
        assert_int_equal(vireo_vm_wait(vm, -1, &end), 0);
        assert_int_equal(end.reason, rows[i].public);
        assert_int_equal(end.status, rows[i].status);
        assert_int_equal(end.value, rows[i].value);
        assert_int_equal(end.vcpu, 2);
        assert_string_equal(end.name, rows[i].name);
        assert_contains(end.detail, rows[i].detail);
    }
    vireo_vm_destroy(vm);
}

static void exact_sentence_of_the_machine_is_passed_on(void **state)
{
    (void)state;
    struct vireo_vm *vm = new_vm(NULL);
    struct vireo_end end;
    fake.ending = (struct ending){.reason = END_CRASH, .vcpu = -1, .detail = "triple fault at 0x1000"};
    assert_int_equal(vireo_vm_wait(vm, 0, &end), -ETIMEDOUT);
    assert_int_equal(vireo_vm_wait(vm, 1, &end), 0);
    assert_string_equal(end.detail, "triple fault at 0x1000");
    assert_int_equal(end.vcpu, -1);
    vireo_vm_destroy(vm);
}

static void every_kind_of_error_has_its_exit_status(void **state)
{
    (void)state;
    static const struct {
        enum err_kind kind;
        int status;
    } rows[] = {{ERR_CONFIG, 125}, {ERR_HOST, 126}, {ERR_KERNEL, 127}, {ERR_DEVICE, 122}, {ERR_VM, 121}};
    struct vireo_config *c = vireo_config_create();
    struct vireo_vm *untouched = (struct vireo_vm *)&fake, *vm = untouched;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct vireo_error e;
        fake.refusal = (struct err){.code = -ENOENT, .kind = rows[i].kind, .text = "why", .hint = "way out"};
        assert_int_equal(vireo_vm_create(&vm, c, NULL, &e), -ENOENT);
        assert_int_equal(e.code, -ENOENT);
        assert_int_equal(e.exit_status, rows[i].status);
        assert_string_equal(e.text, "why");
        assert_string_equal(e.hint, "way out");
        assert_ptr_equal(vm, untouched);
        assert_int_equal(vireo_vm_create(&vm, c, NULL, NULL), -ENOENT); /* nobody asks why */
    }
    vireo_config_destroy(c);
}

static void calls_reach_the_machine(void **state)
{
    (void)state;
    struct vireo_vm *vm = new_vm(NULL);
    struct vireo_error e;
    struct vireo_milestone m;
    struct vireo_thread t;
    assert_int_equal(fake.cpus, 3);
    assert_int_equal(vireo_vm_start(vm, &e), -EALREADY);
    assert_int_equal(e.exit_status, 121);
    assert_int_equal(vireo_vm_pause(vm), -ESRCH);
    assert_int_equal(vireo_vm_resume(vm), 0);
    vireo_vm_stop(vm);
    assert_int_equal(fake.stopped, END_STOPPED);
    assert_int_equal(vireo_vm_event_fd(vm), 42);
    assert_string_equal(vireo_vm_console_pty(vm), "/dev/pts/1");
    assert_int_equal(vireo_vm_console_dropped(vm), 5);
    assert_int_equal(vireo_vm_console_resize(vm, 65535, 1), -ENOTTY);
    assert_int_equal(vireo_vm_console_resize(vm, 65536, 1), -EINVAL);
    assert_int_equal(vireo_vm_console_resize(vm, 1, 65536), -EINVAL);
    assert_string_equal(vireo_vm_name(vm), "web");
    assert_true(vireo_vm_uses_stdio(vm));
    assert_true(vireo_vm_milestone(vm, 0, &m));
    assert_string_equal(m.name, "created");
    assert_int_equal(m.ns, 7);
    assert_false(vireo_vm_milestone(vm, 1, &m));
    assert_true(vireo_vm_thread(vm, 0, &t));
    assert_int_equal(t.kind, VIREO_THREAD_IO);
    assert_int_equal(t.vcpu, -1);
    assert_int_equal(t.tid, 9);
    assert_string_equal(t.name, "web:io");
    assert_false(vireo_vm_thread(vm, 1, &t));
    vireo_vm_destroy(vm);
    assert_int_equal(fake.destroyed, 1);
    vireo_vm_destroy(NULL);
}

/* The memory of the caller may hold anything before. */
static void what_a_vm_tells_has_zero_in_reserve(void **state)
{
    struct vireo_end end;
    struct vireo_milestone milestone;
    struct vireo_thread thread;
    struct vireo_vm *vm = new_vm(NULL);
    (void)state;
    fake.ending.reason = END_POWEROFF;
    fake.ending.reason = END_STOPPED;
    memset(&end, 0xff, sizeof(end));
    memset(&milestone, 0xff, sizeof(milestone));
    memset(&thread, 0xff, sizeof(thread));
    assert_int_equal(vireo_vm_wait(vm, -1, &end), 0);
    assert_true(vireo_vm_milestone(vm, 0, &milestone));
    assert_true(vireo_vm_thread(vm, 0, &thread));
    for (unsigned i = 0; i < 4; i++) assert_int_equal(end.reserved[i] | thread.reserved[i], 0);
    assert_int_equal(milestone.reserved[0] | milestone.reserved[1], 0);
    vireo_vm_destroy(vm);
}

struct lines {
    unsigned count;
    enum vireo_log_level level;
    char text[64];
};

static void keep_line(void *arg, enum vireo_log_level level, const char *line)
{
    struct lines *l = arg;
    l->count++;
    l->level = level;
    (void)snprintf(l->text, sizeof(l->text), "%s", line);
}

static void log_lines_keep_their_level(void **state)
{
    (void)state;
    struct lines lines = {0};
    struct vireo_end end;
    struct vireo_log log = {.fn = keep_line, .arg = &lines, .level = VIREO_LOG_INFO};
    struct vireo_vm *vm = new_vm(&log);
    memset(&log, 0, sizeof(log)); /* it was copied */
    fake.ending.reason = END_STOPPED;
    log_write(fake.log, LOG_DEBUG, "too fine");
    assert_int_equal(lines.count, 0);
    log_write(fake.log, LOG_WARN, "disk %d", 1);
    assert_int_equal(vireo_vm_wait(vm, -1, &end), 0); /* then it has been told */
    assert_int_equal(lines.level, VIREO_LOG_WARN);
    assert_string_equal(lines.text, "disk 1");
    vireo_vm_destroy(vm);
    vm = new_vm(NULL);
    log_write(fake.log, LOG_ERROR, "nobody listens");
    assert_int_equal(lines.count, 1);
    vireo_vm_destroy(vm);
}

static void keys_are_those_that_can_be_set(void **state)
{
    (void)state;
    struct vireo_config *c = vireo_config_create();
    struct vireo_error e;
    struct vireo_key k;
    unsigned n = 0;
    bool has_lamp = false;
    for (; vireo_config_key(n, &k); n++) {
        has_lamp |= strcmp(k.name, "lamp") == 0;
        if (vireo_config_set(c, k.name, "no good value,", &e) != 0) assert_null(strstr(e.text, "unknown key"));
    }
    assert_true(n > 5 && has_lamp);
    assert_int_equal(vireo_config_set(c, "kernl", "x", &e), -ENOENT);
    assert_int_equal(e.exit_status, 125);
    assert_contains(e.hint, "kernel");
    assert_int_not_equal(vireo_config_load_json(c, "{", 1, &e), 0);
    assert_int_equal(e.exit_status, 125);
    vireo_config_destroy(c);
    vireo_config_destroy(NULL);
}

struct seen {
    char id[64][48];
    unsigned count, missing;
    bool has_linux;
};

static void see_fact(void *arg, const struct vireo_host_fact *f)
{
    struct seen *s = arg;
    for (unsigned i = 0; i < s->count; i++) assert_string_not_equal(s->id[i], f->id);
    assert_true(s->count < COUNT_OF(s->id));
    assert_true(f->what[0] != '\0' && f->value[0] != '\0');
    (void)snprintf(s->id[s->count++], sizeof(s->id[0]), "%s", f->id);
    s->missing += f->verdict == VIREO_MISSING;
    s->has_linux |= strcmp(f->id, "linux") == 0;
}

static void probe_tells_each_fact_once_and_refuses_for_a_reason(void **state)
{
    (void)state;
    struct seen s = {0};
    const int rc = vireo_host_probe(see_fact, &s);
    assert_true(s.has_linux);
    assert_int_equal(rc, s.missing ? -ENODEV : 0);
}

#define T(promise) cmocka_unit_test_setup(promise, fresh)
/* Whom the warning about software KVM is for. */
static void a_linux_kernel_is_told_by_its_looks(void **state)
{
    static const struct {
        const char *magic;
        off_t at, size;
        bool is_linux;
    } cases[] = {
        {"HdrS", 0x202, 0x10000, true},       {"HdrS", 0x203, 0x10000, false}, {"\177ELF", 0, 4 << 20, true},
        {"\177ELF", 0, (4 << 20) - 1, false}, {"\177ELF", 0, 100, false},      {"", 0, 64 << 20, false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char path[32];
        const int fd = memfd_create("kernel", MFD_CLOEXEC);
        const size_t len = strlen(cases[i].magic);
        assert_int_equal(ftruncate(fd, cases[i].size), 0);
        assert_int_equal(pwrite(fd, cases[i].magic, len, cases[i].at), len);
        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        assert_int_equal(host_is_linux_kernel(path), cases[i].is_linux);

        struct config c;
        config_init(&c, machine_devices);
        struct config_image image = {.fd = fd, .has_fd = true};
        assert_int_equal(config_set_image(&c, "kernel", &image, NULL), 0);
        assert_int_equal(host_config_has_linux(&c), cases[i].is_linux);
        void *bytes = mmap(NULL, (size_t)cases[i].size, PROT_READ, MAP_PRIVATE, fd, 0);
        assert_true(bytes != MAP_FAILED);
        image = (struct config_image){.data = bytes, .size = (uint64_t)cases[i].size};
        assert_int_equal(config_set_image(&c, "kernel", &image, NULL), 0);
        assert_int_equal(host_config_has_linux(&c), cases[i].is_linux);
        munmap(bytes, (size_t)cases[i].size);
        config_fini(&c);
        close(fd);
    }
    assert_false(host_is_linux_kernel("/no/where"));
}

UNIT_MAIN(T(every_end_has_its_exit_status), T(exact_sentence_of_the_machine_is_passed_on),
          T(every_kind_of_error_has_its_exit_status), T(calls_reach_the_machine),
          T(what_a_vm_tells_has_zero_in_reserve), T(log_lines_keep_their_level), T(keys_are_those_that_can_be_set),
          T(probe_tells_each_fact_once_and_refuses_for_a_reason), T(a_linux_kernel_is_told_by_its_looks))
