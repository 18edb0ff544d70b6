/* What a VM is to the process it lives in: to its children, its standard descriptors, its personality. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/kvm/guest.h"
#include "tests/unit/unit.h"
#include "vmm/lib/lib.h"
#include "vmm/machine/state.h"

struct host { /* what the VMs of a test are given */
    char dir[32], disk[48];
    bool has_tap;
};

static void set(struct vireo_config *c, const char *key, const char *format, ...)
{
    char value[128];
    struct vireo_error e;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(value, sizeof(value), format, args);
    va_end(args);
    if (vireo_config_set(c, key, value, &e)) fail_msg("%s", e.text);
}

/* A tap that stays when nobody is attached, in a network namespace that ends with the test. False: there is none. */
static bool make_tap(const char *name)
{
    struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    const int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    (void)snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
    const bool is_done = fd >= 0 && ioctl(fd, TUNSETIFF, &r) == 0 && ioctl(fd, TUNSETPERSIST, 1L) == 0;
    if (fd >= 0) close(fd);
    return is_done;
}

static void make_host(struct host *h)
{
    guest_needs_kvm();
    (void)snprintf(h->dir, sizeof(h->dir), "/tmp/vireo-XXXXXX");
    assert_non_null(mkdtemp(h->dir));
    (void)snprintf(h->disk, sizeof(h->disk), "%s/disk", h->dir);
    const int fd = open(h->disk, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(ftruncate(fd, 1 << 20), 0);
    close(fd);
    h->has_tap = unshare(CLONE_NEWNET) == 0 && make_tap("tap0");
    if (!h->has_tap) print_message("without a tap\n");
}

static void remove_host(const struct host *h)
{
    assert_int_equal(unlink(h->disk), 0);
    assert_int_equal(rmdir(h->dir), 0);
}

/* A VM with all of it, whose guest spins. */
static int try_begin(const struct host *h, struct vireo_vm **vm, struct vireo_control **control, struct vireo_error *e)
{
    struct vireo_config *c = vireo_config_create();
    const int fd = guest_file_of(&snippet_spin, &(struct snippet_args){.value = 0});
    set(c, "kernel", "/proc/self/fd/%d", fd);
    set(c, "memory", "64M");
    set(c, "console", "off");
    set(c, "name", "process");
    set(c, "rng", "true");
    set(c, "timeout", "600");
    set(c, "disk", "path=%s", h->disk);
    if (h->has_tap) set(c, "net", "tap=tap0");
    int rc = vireo_vm_create(vm, c, NULL, e);
    vireo_config_destroy(c);
    close(fd);
    if (!rc) rc = vireo_control_create(control, *vm, h->dir, e);
    return rc ? rc : vireo_vm_start(*vm, e);
}

static void end(struct vireo_vm *vm, struct vireo_control *control)
{
    vireo_control_destroy(control);
    vireo_vm_destroy(vm);
}

/* ---- children ---- */

/* Of a process: what one of its descriptors is, "" when it has none of that number. */
static void name_fd(pid_t pid, int fd, char out[256])
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, fd);
    const ssize_t n = readlink(path, out, 255);
    out[n < 0 ? 0 : n] = '\0';
}

static void must_not_hold(pid_t pid, const char *what)
{
    char name[256];
    for (int fd = 0; fd < 256; fd++) {
        name_fd(pid, fd, name);
        if (strstr(name, what)) fail_msg("descriptor %d of the child is %s", fd, name);
    }
}

/* The permissions of the process's mapping that holds p, as maps has them: "rw-p"; "" when there is none. */
static void permissions_of(pid_t pid, const void *p, char out[8])
{
    unsigned long long from, to;
    char path[64], line[512];
    (void)snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    out[0] = '\0';
    while (fgets(line, sizeof(line), f)) {
        if (sscanf(line, "%llx-%llx %7s", &from, &to, out) == 3 && from <= (uintptr_t)p && (uintptr_t)p < to) break;
        out[0] = '\0';
    }
    (void)fclose(f);
}

/* On return fork(2) has returned in the child too. It lives until the test's end of the pipe is closed, be it by the
 * test's death. */
static pid_t fork_child(const int hold[2])
{
    char word = 0;
    int ready[2];
    if (pipe2(ready, O_CLOEXEC)) return -1;
    const pid_t pid = fork();
    if (pid == 0) {
        close(hold[1]);
        (void)!write(ready[1], &word, 1);
        _exit(read(hold[0], &word, 1) != 0);
    }
    (void)!read(ready[0], &word, 1);
    close(ready[0]);
    close(ready[1]);
    return pid;
}

static void a_child_that_lives_keeps_nothing_of_a_vm(void **state)
{
    (void)state;
    struct host h;
    struct vireo_vm *vm = NULL, *second = NULL;
    struct vireo_control *control = NULL, *second_control = NULL;
    struct vireo_error e;
    char mode[8];
    int hold[2];
    make_host(&h);
    assert_int_equal(pipe2(hold, O_CLOEXEC), 0);
    if (try_begin(&h, &vm, &control, &e)) fail_msg("%s", e.text);
    const void *const ours[] = {vm->machine->mem.region[0].host, vm->machine->vcpu[0].run,
                                vm->machine->runner[0].record};
    for (unsigned i = 0; i < COUNT_OF(ours); i++) {
        permissions_of(getpid(), ours[i], mode);
        assert_string_not_equal(mode, "");
    }
    const pid_t child = fork_child(hold);
    assert_true(child > 0);
    end(vm, control);
    must_not_hold(child, "kvm-vm");
    must_not_hold(child, "kvm-vcpu");
    must_not_hold(child, h.disk);
    must_not_hold(child, "/dev/net/tun");
    for (unsigned i = 0; i < COUNT_OF(ours); i++) {
        permissions_of(child, ours[i], mode);
        assert_string_equal(mode, "");
    }
    /* Disk, tap and name are free again. */
    if (try_begin(&h, &second, &second_control, &e)) fail_msg("%s; %s", e.text, e.hint);
    end(second, second_control);
    close(hold[0]);
    close(hold[1]);
    assert_int_equal(waitpid(child, NULL, 0), child);
    remove_host(&h);
}

/* Its socket's file stays behind then; who listens must not be a child that happens to live. */
static void a_killed_programs_name_is_not_held_by_its_child(void **state)
{
    (void)state;
    struct host h;
    struct vireo_vm *vm = NULL;
    struct vireo_control *control = NULL;
    struct vireo_error e;
    int told[2], hold[2];
    pid_t child = 0;
    make_host(&h);
    assert_int_equal(pipe2(told, O_CLOEXEC) | pipe2(hold, O_CLOEXEC), 0);
    const pid_t program = fork();
    if (program == 0) {
        close(hold[1]);
        if (try_begin(&h, &vm, &control, &e)) {
            print_message("%s\n", e.text);
            _exit(1);
        }
        child = fork_child((const int[]){hold[0], told[0]});
        (void)!write(told[1], &child, sizeof(child));
        (void)kill(getpid(), SIGKILL);
    }
    close(told[1]);
    assert_int_equal(waitpid(program, NULL, 0), program);
    assert_int_equal(read(told[0], &child, sizeof(child)), sizeof(child));
    close(told[0]);
    const int rc = try_begin(&h, &vm, &control, &e);
    close(hold[0]);
    close(hold[1]);
    if (rc) fail_msg("%s; %s", e.text, e.hint);
    end(vm, control);
    remove_host(&h);
}

/* ---- standard descriptors ---- */

/* In a process of its own, as those of the test are needed. 0, or the number of the promise that does not hold. */
static int live_without(const struct host *h)
{
    struct vireo_vm *vm = NULL;
    struct vireo_control *control = NULL;
    struct vireo_stats stats;
    struct vireo_error e;
    for (int fd = 0; fd <= 2; fd++) close(fd);
    if (try_begin(h, &vm, &control, &e)) return 1;
    if (vireo_vm_stats(vm, &stats, NULL, NULL)) return 2;
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) >= 0) return 10 + fd;
    end(vm, control);
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) >= 0) return 20 + fd;
    return 0;
}

static void closed_standard_descriptors_are_not_taken(void **state)
{
    (void)state;
    struct host h;
    int status;
    make_host(&h);
    const pid_t pid = fork();
    if (pid == 0) _exit(live_without(&h));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    remove_host(&h);
}

/* ---- READ_IMPLIES_EXEC ---- */

static void what_a_guest_writes_is_never_executable(void **state)
{
    (void)state;
    struct host h;
    struct vireo_vm *vm = NULL;
    struct vireo_control *control = NULL;
    struct vireo_error e;
    char mode[8];
    make_host(&h);
    const int before = personality(0xffffffff);
    assert_true(personality((unsigned long)before | READ_IMPLIES_EXEC) >= 0);
    void *probe = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    permissions_of(getpid(), probe, mode);
    const int rc = try_begin(&h, &vm, &control, &e);
    const int after = personality((unsigned long)before);
    if (rc) fail_msg("%s", e.text);
    assert_string_equal(mode, "rwxp"); /* this process is such a one */
    assert_true(after & READ_IMPLIES_EXEC);
    permissions_of(getpid(), vm->machine->mem.region[0].host, mode);
    assert_string_equal(mode, "rw-p");
    permissions_of(getpid(), vm->machine->vcpu[0].run, mode);
    assert_string_equal(mode, "rw-s");
    munmap(probe, 4096);
    end(vm, control);
    remove_host(&h);
}

UNIT_MAIN(UNIT(a_child_that_lives_keeps_nothing_of_a_vm), UNIT(a_killed_programs_name_is_not_held_by_its_child),
          UNIT(closed_standard_descriptors_are_not_taken), UNIT(what_a_guest_writes_is_never_executable))
