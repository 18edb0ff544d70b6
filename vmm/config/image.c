#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/config/config.h"

/* The keys that name an image, and where it is kept in place of a path. */
static const struct {
    const char *key;
    size_t path, image; /* in struct config */
} images[] = {
    {"kernel", offsetof(struct config, kernel), offsetof(struct config, kernel_image)},
    {"initrd", offsetof(struct config, initrd), offsetof(struct config, initrd_image)},
};

static int check(const char *key, const struct config_image *image, struct err *e)
{
    if (image->has_fd && (image->fd < 0 || fcntl(image->fd, F_GETFD) < 0))
        return err_set(e, -EBADF, "%s: file descriptor %d is not open; pass an open file", key, image->fd);
    if (!image->has_fd && (!image->data || image->size == 0))
        return err_set(e, -EINVAL, "%s: no bytes given; leave it out where there is none", key);
    return 0;
}

int config_set_image(struct config *c, const char *key, const struct config_image *image, struct err *e)
{
    for (size_t i = 0; i < sizeof(images) / sizeof(images[0]); i++) {
        if (strcmp(images[i].key, key) != 0) continue;
        const int rc = check(key, image, e);
        if (rc) return rc;
        char **path = (char **)((char *)c + images[i].path);
        free(*path);
        *path = NULL;
        *(struct config_image *)((char *)c + images[i].image) = *image;
        return 0;
    }
    return err_set(e, -ENOENT, "%.200s: takes no image; the keys that do are kernel and initrd", key);
}

static bool is_given(const char *path, const struct config_image *image)
{
    return path || image->data || image->has_fd;
}

bool config_has_kernel(const struct config *c)
{
    return is_given(c->kernel, &c->kernel_image);
}

bool config_has_initrd(const struct config *c)
{
    return is_given(c->initrd, &c->initrd_image);
}
