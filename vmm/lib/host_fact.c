/* How the parts of the host probe report and read. See host.h. */
#include "vmm/lib/host.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/fd.h"

#define CPUINFO_MAX 8192 /* the first processor's lines; a flags line is about 2 KiB */

void host_fact(struct host_probe *p, struct host_name name, enum vireo_verdict v, const char *advice, const char *fmt,
               ...)
{
    struct vireo_host_fact f = {.id = name.id, .what = name.what, .verdict = v};
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(f.value, sizeof(f.value), fmt, ap);
    va_end(ap);
    (void)snprintf(f.advice, sizeof(f.advice), "%s", advice);
    if (v == VIREO_MISSING) p->can_run = false;
    p->fn(p->arg, &f);
}

void host_read(const char *path, char *buf, unsigned size)
{
    size_t used = 0;
    const int fd = fd_own(open(path, O_RDONLY | O_CLOEXEC));
    while (fd >= 0 && used < size - 1) {
        const ssize_t n = read(fd, buf + used, size - 1 - used);
        if (n <= 0) break;
        used += (size_t)n;
    }
    if (fd >= 0) close(fd);
    buf[used] = '\0';
}

void host_read_cpu(struct host_cpu *out)
{
    char text[CPUINFO_MAX], *rest = text, *line;
    *out = (struct host_cpu){0};
    host_read("/proc/cpuinfo", text, sizeof(text));
    while ((line = strsep(&rest, "\n")) != NULL && *line != '\0') {
        const char *value = strstr(line, ": ");
        if (!value) continue;
        if (strncmp(line, "model name", 10) == 0) (void)snprintf(out->model, sizeof(out->model), "%s", value + 2);
    }
    kvm_read_cpu(&out->kvm);
}
