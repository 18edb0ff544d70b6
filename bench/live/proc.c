#include "bench/live/proc.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/fd.h"

/* Fields as proc_pid_stat(5) numbers them. The third follows the name. */
enum {
    FIELD_STATE = 3,
    FIELD_PARENT,
    FIELD_UTIME = 14,
    FIELD_STIME,
    FIELD_CUTIME,
    FIELD_CSTIME,
    FIELD_THREADS = 20,
    FIELD_BEGAN = 22,
    FIELD_CPU = 39
};

bool proc_stat_parse(const char *text, struct proc_stat *out)
{
    const char *open = strchr(text, '('), *at = strrchr(text, ')');
    const uint64_t tick_ns = 1000000000u / (uint64_t)sysconf(_SC_CLK_TCK);
    uint64_t value[FIELD_CPU + 1] = {0};
    *out = (struct proc_stat){.cpu = -1};
    if (!open || !at || at < open || at[1] != ' ') return false;
    size_t len = (size_t)(at - open - 1);
    if (len >= sizeof(out->name)) len = sizeof(out->name) - 1;
    memcpy(out->name, open + 1, len);
    out->id = (pid_t)strtol(text, NULL, 10);
    out->state = at[2];
    at = strchr(at + 2, ' ');
    for (unsigned n = FIELD_STATE + 1; n <= FIELD_CPU; n++) {
        if (!at) return false;
        value[n] = strtoull(at, NULL, 10);
        at = strchr(at + 1, ' ');
    }
    out->parent = (pid_t)value[FIELD_PARENT];
    out->ran_ns = (value[FIELD_UTIME] + value[FIELD_STIME]) * tick_ns;
    out->reaped_ns = (value[FIELD_CUTIME] + value[FIELD_CSTIME]) * tick_ns;
    out->began = value[FIELD_BEGAN];
    out->threads = (unsigned)value[FIELD_THREADS];
    out->cpu = (int)value[FIELD_CPU];
    return out->id > 0;
}

bool proc_read_again(int fd, char *out, size_t size)
{
    const ssize_t n = pread(fd, out, size - 1, 0);
    out[n > 0 ? n : 0] = '\0';
    return n > 0;
}

bool proc_stat_read(const char *path, struct proc_stat *out)
{
    char text[PROC_STAT_MAX];
    const int fd = fd_own(open(path, O_RDONLY | O_CLOEXEC));
    const bool is_read = fd >= 0 && proc_read_again(fd, text, sizeof(text));
    if (fd >= 0) close(fd);
    return is_read && proc_stat_parse(text, out);
}
