#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "vmm/base/fd.h"
#include "vmm/lib/host.h"

static bool has_net_admin(void)
{
    char text[4096];
    host_read("/proc/self/status", text, sizeof(text));
    const char *line = strstr(text, "\nCapEff:\t");
    return line && (strtoull(line + strlen("\nCapEff:\t"), NULL, 16) >> CAP_NET_ADMIN & 1);
}

static const char *tun_advice(int error)
{
    if (error == EACCES || error == EPERM) return "let this user open /dev/net/tun";
    if (error != ENOENT && error != ENODEV && error != ENXIO) return "";
    return access("/sys/class/misc/tun", F_OK) == 0 ? "its driver runs: hand the device file in (--device /dev/net/tun)"
                                                    : "load the module: modprobe tun";
}

static void report_tap(struct host_probe *p)
{
    const struct host_name name = {"tap", "tap devices"};
    const int fd = fd_own(open("/dev/net/tun", O_RDWR | O_CLOEXEC));
    const int error = errno;
    if (fd < 0)
        host_fact(p, name, VIREO_MISSING_OPTIONAL, tun_advice(error), "open /dev/net/tun: %s", strerrordesc_np(error));
    else if (has_net_admin())
        host_fact(p, name, VIREO_OK, "", "/dev/net/tun, and this user may make them (CAP_NET_ADMIN)");
    else
        host_fact(p, name, VIREO_OK, "for a network have one made: sudo ip tuntap add tap0 mode tap user $USER",
                  "/dev/net/tun; this user may use those made for it");
    if (fd >= 0) close(fd);
}

static void report_vhost(struct host_probe *p)
{
    const struct host_name name = {"vhost-net", "vhost-net"};
    if (access("/dev/vhost-net", R_OK | W_OK) == 0)
        host_fact(p, name, VIREO_OK, "", "/dev/vhost-net");
    else
        host_fact(p, name, VIREO_MISSING_OPTIONAL, "", "not usable (%s); Vireo does without", strerrordesc_np(errno));
}

static void report_memory(struct host_probe *p)
{
    struct sysinfo si;
    char text[1024];
    host_read("/proc/meminfo", text, sizeof(text));
    const char *line = strstr(text, "MemAvailable:");
    char available[48] = "how much is available is not known"; /* without /proc, or from before Linux 3.14 */
    if (line)
        (void)snprintf(available, sizeof(available), "%llu MiB available",
                       strtoull(line + strlen("MemAvailable:"), NULL, 10) >> 10);
    if (sysinfo(&si) < 0) return; /* can't fail with a good pointer */
    host_fact(p, (struct host_name){"memory", "memory"}, VIREO_OK, "", "%llu MiB, %s",
              (unsigned long long)si.totalram * si.mem_unit >> 20, available);
}

static void report_huge_pages(struct host_probe *p)
{
    const struct host_name name = {"thp", "transparent huge pages"};
    char text[64];
    host_read("/sys/kernel/mm/transparent_hugepage/enabled", text, sizeof(text));
    const char *from = strchr(text, '['), *to = from ? strchr(from, ']') : NULL;
    if (!to) {
        const bool is_seen = access("/sys/kernel/mm", F_OK) == 0;
        host_fact(p, name, VIREO_MISSING_OPTIONAL, "", "%s",
                  is_seen ? "not in this kernel; guest memory takes small pages"
                          : "not known, as /sys is not to be seen");
        return;
    }
    const bool is_off = strncmp(from, "[never]", 7) == 0;
    host_fact(p, name, is_off ? VIREO_MISSING_OPTIONAL : VIREO_OK,
              is_off ? "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled" : "", "%.*s", (int)(to - from - 1),
              from + 1);
}

static void report_io_uring(struct host_probe *p)
{
    const struct host_name name = {"io_uring", "io_uring"};
    struct io_uring_params params = {0};
    char text[16];
    const long fd = syscall(SYS_io_uring_setup, 1, &params);
    if (fd >= 0) {
        close((int)fd);
        host_fact(p, name, VIREO_OK, "", "disks use it");
        return;
    }
    const int error = errno;
    host_read("/proc/sys/kernel/io_uring_disabled", text, sizeof(text)); /* Linux 6.6 and later */
    const char *advice = text[0] == '1' || text[0] == '2' ? "sysctl kernel.io_uring_disabled=0"
                                                          : "a seccomp filter refuses it, as a container's does";
    host_fact(p, name, VIREO_MISSING_OPTIONAL, error == EPERM ? advice : "",
              "refused (%s); disks use a worker thread instead", strerrordesc_np(error));
}

void host_probe_system(struct host_probe *p)
{
    report_tap(p);
    report_vhost(p);
    report_memory(p);
    report_huge_pages(p);
    report_io_uring(p);
}
