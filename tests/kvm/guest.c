#include "tests/kvm/guest.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/unit/unit.h"

void guest_needs_kvm(void)
{
    if (access("/dev/kvm", R_OK | W_OK) == 0) return;
    print_message("no /dev/kvm to run a guest on\n");
    skip();
}

int guest_file(const void *bytes, size_t size)
{
    const int fd = memfd_create("kernel", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), size);
    return fd;
}

int guest_file_of(const struct snippet *s, const struct snippet_args *args)
{
    unsigned char image[SNIPPET_IMAGE_MAX];
    return guest_file(image, snippet_image(s, args, image));
}

void guest_set(struct config *c, const char *key, const char *format, ...)
{
    struct err e = {0};
    char value[128];
    va_list args;
    va_start(args, format);
    const int len = vsnprintf(value, sizeof(value), format, args);
    va_end(args);
    assert_in_range(len, 0, sizeof(value) - 1);
    if (config_set(c, key, value, &e)) fail_msg("%s", e.text);
}
