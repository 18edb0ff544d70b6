#include "vmm/config/console.h"

#include <errno.h>
#include <string.h>

#include "vmm/config/value.h"

int config_set_console(void *of, const char *value, struct err *e)
{
    struct config *c = of;
    static const struct {
        const char *word;
        enum config_console console;
    } words[] = {{"off", CONSOLE_OFF}, {"stdio", CONSOLE_STDIO}, {"pty", CONSOLE_PTY}};
    static const char file[] = "file=";

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(value, words[i].word) != 0) continue;
        c->console = words[i].console;
        return 0;
    }
    if (strncmp(value, file, sizeof(file) - 1) != 0)
        return err_set(e, -EINVAL, "console " VALUE_SHOWN ": must be stdio, file=PATH, pty or off", value);
    const int rc = value_path("console", value + sizeof(file) - 1, &c->console_path, e);
    if (rc == 0) c->console = CONSOLE_FILE;
    return rc;
}

int config_set_console_max(void *of, const char *value, struct err *e)
{
    struct config *c = of;
    uint64_t n;
    if (!value_size(value, &n) || n > INT64_MAX)
        return err_set(e, -EINVAL, "console-max " VALUE_SHOWN ": not a size; write 64M, 1G or 0 for no bound", value);
    c->console_max = n;
    return 0;
}

int config_set_console_device(void *of, const char *value, struct err *e)
{
    struct config *c = of;
    const bool is_serial = strcmp(value, "serial") == 0;
    if (!is_serial && strcmp(value, "both") != 0)
        return err_set(e, -EINVAL, "console-device " VALUE_SHOWN ": must be both or serial", value);
    c->has_virtio_console = !is_serial;
    return 0;
}

int config_set_escape(void *of, const char *value, struct err *e)
{
    struct config *c = of;
    return value_switch("escape", value, &c->has_escape, e);
}
