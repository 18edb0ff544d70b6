#include "vmm/config/device.h"

unsigned config_files(const struct config *c, struct file_name out[CONFIG_MAX_FILES])
{
    const struct file_name single[] = {
        {"config", c->source, false},    {"kernel", c->kernel, false},
        {"initrd", c->initrd, false},    {"console", c->console == CONSOLE_FILE ? c->console_path : NULL, true},
        {"dump-dtb", c->dump_dtb, true},
    };
    unsigned n = 0;
    for (size_t i = 0; i < sizeof(single) / sizeof(single[0]); i++)
        if (single[i].path) out[n++] = single[i];
    for (unsigned i = 0; i < c->device_count; i++) {
        const struct config_device *d = &c->device[i];
        if (d->kind->file) out[n++] = (struct file_name){d->label, d->kind->file(d), false};
    }
    return n;
}

unsigned config_others(const struct config *c, const char *path, struct file_name out[CONFIG_MAX_OTHERS])
{
    static const struct file_name standard[] = {{"standard input", "/proc/self/fd/0", false},
                                                {"standard output", "/proc/self/fd/1", true},
                                                {"standard error", "/proc/self/fd/2", true}};
    struct file_name files[CONFIG_MAX_FILES];
    const unsigned count = config_files(c, files);
    unsigned n = 0;
    for (unsigned i = 0; i < count; i++)
        if (files[i].path != path) out[n++] = files[i];
    for (size_t i = 0; i < sizeof(standard) / sizeof(standard[0]); i++) out[n++] = standard[i];
    return n;
}

int config_check_files(const struct config *c, struct err *e)
{
    struct file_name files[CONFIG_MAX_FILES], others[CONFIG_MAX_OTHERS];
    const unsigned count = config_files(c, files);
    int rc = 0;
    for (unsigned i = 0; i < count && !rc; i++) {
        if (!files[i].is_output) continue;
        const struct file_output o = {.what = files[i].what,
                                      .path = files[i].path,
                                      .others = others,
                                      .count = config_others(c, files[i].path, others)};
        rc = file_check_output(&o, e);
    }
    return rc;
}
