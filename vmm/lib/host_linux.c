/* Is a kernel Linux? Asked before a VM is made, for a warning where the host can't run it. */
#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/fd.h"
#include "vmm/lib/host.h"

#define BZIMAGE_MAGIC_OFF 0x202 /* Documentation/arch/x86/boot.rst */
/* Bytes: the smallest vmlinux is larger; test kernels, which may run, are smaller. */
#define VMLINUX_MIN (4 << 20)
#define HEAD_MAX    (BZIMAGE_MAGIC_OFF + 4)

static bool looks_like_linux(const uint8_t head[HEAD_MAX], uint64_t size)
{
    const bool is_elf = memcmp(head, ELFMAG, SELFMAG) == 0;
    return memcmp(head + BZIMAGE_MAGIC_OFF, "HdrS", 4) == 0 || (is_elf && size >= VMLINUX_MIN);
}

static bool is_linux_file(int fd)
{
    uint8_t head[HEAD_MAX] = {0};
    struct stat st;
    return fstat(fd, &st) == 0 && pread(fd, head, sizeof(head), 0) == (ssize_t)sizeof(head) &&
           looks_like_linux(head, (uint64_t)st.st_size);
}

bool host_is_linux_kernel(const char *path)
{
    const int fd = fd_own(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (fd < 0) return false;
    const bool is = is_linux_file(fd);
    close(fd);
    return is;
}

bool host_config_has_linux(const struct config *c)
{
    const struct config_image *i = &c->kernel_image;
    if (c->kernel) return host_is_linux_kernel(c->kernel);
    if (i->data) return i->size >= HEAD_MAX && looks_like_linux(i->data, i->size);
    return i->has_fd && is_linux_file(i->fd);
}
