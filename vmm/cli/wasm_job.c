#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/cli/wasm_job.h"

#define CPU_S_MAX   3600u /* a module of 64 MiB takes a compiler many minutes; one that takes hours is meant to */
#define MEMORY_MAX  (8ull << 30) /* the same of memory */
#define FILE_MAX    (4ull << 30)
#define OPEN_DIRS   16
#define NOT_STARTED 127

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    (void)remove(path);
    return 0;
}

int wasm_job_begin(struct wasm_job *j, struct vireo_error *e)
{
    static const int no_more[] = {0};
    const char *tmp = getenv("TMPDIR");
    if (!tmp || tmp[0] != '/' || strlen(tmp) > PATH_MAX / 2) tmp = "/tmp";
    *j = (struct wasm_job){.signal_fd = -1};
    (void)sigprocmask(SIG_BLOCK, NULL, &j->before);
    j->signal_fd = signals_catch(no_more);
    if (j->signal_fd < 0) return bad_call(e, -j->signal_fd, "watching for signals");
    (void)snprintf(j->dir, sizeof(j->dir), "%s/vireo-wasm.XXXXXX", tmp);
    if (mkdtemp(j->dir)) return 0; /* of mode 0700 */
    const int error = errno;
    j->dir[0] = '\0';
    wasm_job_end(j);
    return bad_call(e, error, "a folder for the translation in %.200s", tmp);
}

void wasm_job_end(struct wasm_job *j)
{
    if (j->dir[0]) (void)nftw(j->dir, remove_one, OPEN_DIRS, FTW_DEPTH | FTW_PHYS);
    j->dir[0] = '\0';
    if (j->signal_fd >= 0) close(j->signal_fd);
    j->signal_fd = -1;
    (void)sigprocmask(SIG_SETMASK, &j->before, NULL);
}

void wasm_job_path(const struct wasm_job *j, const char *file, char *path)
{
    (void)snprintf(path, PATH_MAX, "%.*s/%s", PATH_MAX - 64, j->dir, file);
}

static void limit(__rlimit_resource_t resource, uint64_t most)
{
    struct rlimit l;
    if (getrlimit(resource, &l) < 0 || l.rlim_max <= most) return;
    l.rlim_cur = l.rlim_max = most;
    (void)setrlimit(resource, &l);
}

/* In the child, before the other program. */
__attribute__((noreturn)) static void become(const struct wasm_job *j, const char *const *argv)
{
    char log[PATH_MAX];
    wasm_job_path(j, "log", log);
    const int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    const int out = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (in < 0 || out < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0 || chdir(j->dir) < 0)
        _exit(NOT_STARTED);
    (void)setenv("TMPDIR", j->dir, 1);
    (void)setenv("LC_ALL", "C", 1);
    (void)sigprocmask(SIG_SETMASK, &j->before, NULL);
    /* Last: they are the other program's, and may be less than this one has already. */
    limit(RLIMIT_CPU, CPU_S_MAX);
    limit(RLIMIT_AS, MEMORY_MAX);
    limit(RLIMIT_FSIZE, FILE_MAX);
    limit(RLIMIT_CORE, 0);
    (void)execv(argv[0], (char **)(uintptr_t)argv);
    _exit(NOT_STARTED);
}

/* Until it has ended: 0; or the signal that came. */
static int watch(const struct wasm_job *j, int pid_fd)
{
    struct pollfd fds[] = {{.fd = j->signal_fd, .events = POLLIN}, {.fd = pid_fd, .events = POLLIN}};
    for (;;) {
        if (poll(fds, 2, -1) < 0 && errno != EINTR) return 0; /* then waitpid waits */
        const int sig = fds[0].revents ? signals_read(j->signal_fd) : 0;
        if (sig || fds[1].revents) return sig;
    }
}

int wasm_job_run(struct wasm_job *j, const char *const *argv, struct vireo_error *e)
{
    int status = 0;
    *e = (struct vireo_error){0};
    const pid_t pid = fork();
    if (pid < 0) return bad_call(e, errno, "starting %.200s", argv[0]);
    if (pid == 0) {
        (void)setpgid(0, 0);
        become(j, argv);
    }
    /* A group of its own, as a compiler has children. Both sides set it, since either may be first. */
    (void)setpgid(pid, pid);
    const int pid_fd = pidfd_open(pid, 0);
    const int sig = pid_fd < 0 ? 0 : watch(j, pid_fd);
    if (pid_fd >= 0) close(pid_fd);
    if (sig) (void)kill(-pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
    if (sig) {
        bad_command(e, "ended by signal %d (%s) while %.200s ran", sig, strsignal(sig), argv[0]);
        e->exit_status = STATUS_SIGNAL + sig;
        return e->code = -EINTR;
    }
    return status == 0 ? 0 : -ECHILD;
}

void wasm_job_said(const struct wasm_job *j, const char *word, char *line, size_t size)
{
    char path[PATH_MAX], one[512];
    bool has_first = false;
    line[0] = '\0';
    wasm_job_path(j, "log", path);
    FILE *f = fopen(path, "re");
    while (f && fgets(one, sizeof(one), f)) {
        one[strcspn(one, "\n")] = '\0';
        const bool has_word = strstr(one, word) != NULL;
        if (has_word || (!has_first && one[0])) (void)snprintf(line, size, "%s", one);
        has_first = has_first || one[0];
        if (has_word) break;
    }
    if (f) (void)fclose(f);
}
