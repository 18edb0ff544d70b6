/* The configuration from anybody's text. The first byte says which door: a JSON object, or lines of key=value as flags
 * give them. Whatever goes in, what comes out keeps the promises of config.h. */
#include "tests/fuzz/fuzz.h"
#include "vmm/machine/machine.h"
#include "vmm/machine/slots.h"

static void check_device(const struct config *c, const struct config_device *d)
{
    MUST(d->index < d->kind->most && config_device(c, d->kind, d->index) == d);
    MUST(strlen(d->id) <= CONFIG_ID_MAX && (d->settings || d->kind->settings_size == 0));
    if (d->kind == &slot_disk.device) {
        const struct disk_settings *s = d->settings;
        MUST(s->path && s->path[0]);
    } else if (d->kind == &slot_net.device) {
        const struct net_settings *s = d->settings;
        MUST((s->fd >= 0) != (s->tap[0] != '\0'));
        MUST(!s->has_mac || !(s->mac[0] & 1));
        MUST(s->mtu == 0 || s->mtu >= 68);
    }
}

static void check_promises(const struct config *c)
{
    MUST(c->cpus >= 1 && c->cpus <= CONFIG_MAX_CPUS);
    MUST(c->memory >= CONFIG_MEMORY_MIN && c->memory % CONFIG_MEMORY_STEP == 0);
    MUST(c->device_count <= CONFIG_MAX_DEVICES);
    MUST(!c->cmdline || strlen(c->cmdline) < CONFIG_CMDLINE_MAX);
    MUST(strlen(c->name) <= CONFIG_ID_MAX && c->timeout_ms <= CONFIG_TIMEOUT_MAX * UINT64_C(1000));
    MUST(c->console != CONSOLE_FILE || (c->console_path && c->console_path[0]));
    for (unsigned i = 0; i < c->device_count; i++) check_device(c, &c->device[i]);
}

/* An error has a code and a sentence; success has neither. */
static void check_outcome(int rc, const struct err *e)
{
    MUST(rc <= 0);
    MUST(rc == 0 || (e->code == rc && e->text[0] && strlen(e->text) < ERR_TEXT_MAX && e->kind == ERR_CONFIG));
}

static void set_lines(struct config *c, char *text)
{
    char *line;
    while ((line = strsep(&text, "\n")) != NULL) {
        struct err e = {0};
        char *value = strchr(line, '=');
        if (!value) continue;
        *value++ = '\0';
        check_outcome(config_set(c, line, value, &e), &e);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config c;
    struct err e = {0};
    if (size == 0) return 0;
    char *text = text_of(data + 1, size - 1);
    if (!text) return 0;
    config_init(&c, machine_devices);
    if (data[0] == 'j')
        check_outcome(config_load_json(&c, text, size - 1, &e), &e);
    else
        set_lines(&c, text);
    check_promises(&c);
    memset(&e, 0, sizeof(e));
    check_outcome(config_check(&c, &e), &e);
    config_fini(&c);
    config_fini(&c);
    free(text);
    return 0;
}
