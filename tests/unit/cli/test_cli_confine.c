/* What a process can still do once it has confined itself: tried by children, for it is for good. */
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "tests/unit/unit.h"
#include "vmm/cli/confine.c"
#include "vmm/cli/put.c"
#include "vmm/cli/text.c"

static char shown[] = "/tmp/vireo-confine-XXXXXX";

/* Status of a child that has confined itself to reading, or writing, below `shown`. */
static int in_child(bool is_writable, int (*then)(unsigned layers))
{
    int status = 0;
    const pid_t child = fork();
    if (child == 0) {
        unsigned layers;
        struct vireo_error e;
        const struct confine_path path = {shown, is_writable};
        const struct confine_wish w = {.path = &path, .paths = 1};
        _exit(confine(&w, &layers, &e) ? 99 : then(layers));
    }
    assert_true(child > 0 && waitpid(child, &status, 0) == child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static bool has(unsigned layers, const char *name)
{
    for (unsigned i = 0; confine_layer(i); i++)
        if (strcmp(confine_layer(i), name) == 0) return layers >> i & 1;
    return false;
}

static bool can_open(const char *path, int flags)
{
    const int fd = open(path, flags | O_CLOEXEC, 0600);
    if (fd >= 0) (void)close(fd);
    return fd >= 0;
}

static const char *within(const char *name)
{
    static char path[80];
    (void)snprintf(path, sizeof(path), "%s/%s", shown, name);
    return path;
}

static int reads(unsigned layers)
{
    if (!has(layers, "landlock")) return 50;
    return can_open(within("file"), O_RDONLY) && !can_open(within("file"), O_WRONLY) &&
                   !can_open(within("new"), O_WRONLY | O_CREAT) && !can_open("/etc/passwd", O_RDONLY) &&
                   !can_open("/proc/self/status", O_RDONLY) && unlink(within("file")) < 0 && errno == EACCES
               ? 0
               : 1;
}

static int writes(unsigned layers)
{
    if (!has(layers, "landlock")) return 50;
    return can_open(within("new"), O_WRONLY | O_CREAT) && unlink(within("new")) == 0 &&
                   !can_open("/tmp/vireo-confine-out", O_WRONLY | O_CREAT) && !can_open("/dev/kvm", O_RDWR) &&
                   execl("/bin/true", "true", (char *)NULL) < 0
               ? 0
               : 1;
}

static int gains(unsigned layers)
{
    struct rlimit core;
    const struct rlimit more = {1, 1};
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (getrlimit(RLIMIT_CORE, &core) || core.rlim_cur || core.rlim_max) return 1;
    if (geteuid() != 0 && setrlimit(RLIMIT_CORE, &more) == 0) return 2;
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) return 3;
    if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0) return 4;
    if (!has(layers, "no-exec-gain")) return 0;
    return mprotect(p, 4096, PROT_READ | PROT_EXEC) == 0 ? 5 : 0;
}

static int connects(unsigned layers)
{
    const struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const int abi = (int)syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, LANDLOCK_CREATE_RULESET_VERSION);
    if (!has(layers, "landlock") || abi < 4) return 50;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return 50;
    if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0 || errno != EACCES) return 1;
    return abi >= 6 && (kill(getppid(), 0) == 0 || errno != EPERM) ? 2 : 0;
}

static int everything(unsigned layers)
{
    unsigned again;
    struct vireo_error e;
    const struct confine_wish all = {.required = "all"}, wrong = {.required = "core,landlok"};
    if (confine(&wrong, &again, &e) != -EINVAL || !strstr(e.hint, "landlock") || again) return 1;
    /* A second time takes what is left of what the first has left. */
    return has(layers, "landlock") && has(layers, "no-exec-gain") && confine(&all, &again, &e) ? 2 : 0;
}

static void holds(int status)
{
    if (status == 50) skip(); /* this kernel has no such layer */
    assert_int_equal(status, 0);
}

static void files_end_at_what_is_shown_to_be_read(void **state)
{
    (void)state;
    holds(in_child(false, reads));
    assert_true(can_open(within("file"), O_RDWR)); /* and here nothing has changed */
}

static void files_end_at_what_is_shown_to_be_written(void **state)
{
    (void)state;
    holds(in_child(true, writes));
}

static void nothing_is_gained(void **state)
{
    (void)state;
    holds(in_child(false, gains));
}

static void nobody_is_reached(void **state)
{
    (void)state;
    holds(in_child(false, connects));
}

static void layers_that_are_required_are_known_by_name(void **state)
{
    (void)state;
    holds(in_child(false, everything));
}

static int begin(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(shown));
    assert_true(can_open(within("file"), O_WRONLY | O_CREAT));
    return 0;
}

static int end(void **state)
{
    (void)state;
    return unlink(within("file")) | rmdir(shown);
}

int main(void)
{
    const struct CMUnitTest tests[] = {UNIT(files_end_at_what_is_shown_to_be_read),
                                       UNIT(files_end_at_what_is_shown_to_be_written), UNIT(nothing_is_gained),
                                       UNIT(nobody_is_reached), UNIT(layers_that_are_required_are_known_by_name)};
    return cmocka_run_group_tests(tests, begin, end);
}
