#include "vmm/config/device.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/concat.h"
#include "vmm/base/nearest.h"
#include "vmm/config/value.h"

/* ---- those that there are ---- */

const struct config_device *config_device(const struct config *c, const struct device_kind *kind, unsigned n)
{
    for (unsigned i = 0; i < c->device_count; i++)
        if (c->device[i].kind == kind && c->device[i].index == n) return &c->device[i];
    return NULL;
}

unsigned config_device_count(const struct config *c, const struct device_kind *kind)
{
    unsigned count = 0;
    while (config_device(c, kind, count)) count++;
    return count;
}

static void fini(struct config_device *d)
{
    if (d->settings && d->kind->fini) d->kind->fini(d->settings);
    free(d->settings);
    d->settings = NULL;
}

void config_devices_fini(struct config *c)
{
    for (unsigned i = 0; i < c->device_count; i++) fini(&c->device[i]);
    c->device_count = 0;
}

static int check_ids(const struct config *c, unsigned i, struct err *e)
{
    const char *id = c->device[i].id;
    for (unsigned j = 0; j < i && id[0]; j++)
        if (strcmp(id, c->device[j].id) == 0)
            return err_set(e, -EEXIST, "id %s: given to two devices; an id names one", id);
    return 0;
}

int config_devices_check(const struct config *c, struct err *e)
{
    int rc = 0;
    for (unsigned i = 0; i < c->device_count && !rc; i++) {
        const struct config_device *d = &c->device[i];
        const struct device_kind *kind = d->kind;
        if (kind->check) rc = kind->check(d, e);
        for (unsigned n = 0; n < d->index && kind->check_pair && !rc; n++)
            rc = kind->check_pair(config_device(c, kind, n), d, e);
        if (!rc) rc = check_ids(c, i, e);
    }
    return rc;
}

static int add(struct config *c, struct config_device *d, struct err *e)
{
    d->index = config_device_count(c, d->kind);
    if (d->index == d->kind->most) return err_set(e, -ENOSPC, "one too many: a machine has at most %u", d->kind->most);
    if (c->device_count == CONFIG_MAX_DEVICES)
        return err_set(e, -ENOSPC, "one too many: a machine has at most %d devices", CONFIG_MAX_DEVICES);
    d->label[0] = '\0';
    concat(d->label, sizeof(d->label), d->kind->name);
    concat(d->label, sizeof(d->label), " ");
    concat_number(d->label, sizeof(d->label), d->index);
    c->device[c->device_count++] = *d;
    return 0;
}

int device_switch(struct config *c, const struct device_kind *kind, const char *value, struct err *e)
{
    bool is_on = false;
    const int rc = value_switch(kind->key[0].name, value, &is_on, e);
    if (rc) return rc;
    const struct config_device *there = config_device(c, kind, 0);
    if (is_on == (there != NULL)) return 0;
    if (is_on) return add(c, &(struct config_device){.kind = kind}, e);
    const unsigned i = (unsigned)(there - c->device);
    c->device_count--;
    memmove(&c->device[i], &c->device[i + 1], (c->device_count - i) * sizeof(c->device[0]));
    return 0;
}

/* ---- one under construction ---- */

int device_set_id(void *of, const char *value, struct err *e)
{
    struct config_device *d = of;
    return value_id("id", value, d->id, e);
}

int device_begin(struct device_draft *d, const struct device_kind *kind, struct err *e)
{
    *d = (struct device_draft){.device.kind = kind};
    d->device.settings = calloc(1, kind->settings_size);
    if (!d->device.settings) return err_set(e, -ENOMEM, "out of memory");
    if (kind->init) kind->init(d->device.settings);
    return 0;
}

void device_end(struct device_draft *d)
{
    fini(&d->device);
}

static int unknown_setting(const struct device_kind *kind, const char *name, struct err *e)
{
    err_set(e, -EINVAL, "unknown word \"" VALUE_SHOWN "\"", name);
    nearest_err_hint(e, name, WORDS_OF(kind->setting, name, DEVICE_SETTINGS));
    err_hint(e, "a %s starts with %s=; a comma inside a value is written twice", kind->name, kind->setting[0].name);
    return -EINVAL;
}

const struct setting *device_setting(const struct device_draft *d, const char *name)
{
    const struct setting *setting = d->device.kind->setting;
    for (unsigned i = 0; i < DEVICE_SETTINGS && setting[i].name; i++)
        if (strcmp(setting[i].name, name) == 0) return &setting[i];
    return NULL;
}

int device_set(struct device_draft *d, const char *name, const char *value, struct err *e)
{
    const struct device_kind *kind = d->device.kind;
    const struct setting *setting = device_setting(d, name);
    if (!setting) return unknown_setting(kind, name, e);
    const unsigned bit = 1u << (setting - kind->setting);
    if (!value && setting->arg) return err_set(e, -EINVAL, "%s: no value given; write %s=%s", name, name, setting->arg);
    if (d->seen & bit) return err_set(e, -EINVAL, "%s: given twice; leave one out", name);
    const int rc = setting->set(&d->device, value ? value : "true", e);
    if (rc == 0) d->seen |= bit;
    return rc;
}

/* Cut the next word out of the list, in place: up to a single comma, doubled ones becoming one. */
static char *next_word(char **list)
{
    char *word = *list, *to = word, *from = word;
    while (*from != '\0' && !(from[0] == ',' && from[1] != ',')) {
        if (*from == ',') from++;
        *to++ = *from++;
    }
    *list = *from == ',' ? from + 1 : NULL;
    *to = '\0';
    return word;
}

int device_parse(struct device_draft *d, const char *list, struct err *e)
{
    char *copy = strdup(list), *rest = copy;
    if (!copy) return err_set(e, -ENOMEM, "out of memory");
    int rc = 0;
    while (rc == 0 && rest) {
        char *word = next_word(&rest);
        char *value = strchr(word, '=');
        if (value) *value++ = '\0';
        rc = *word != '\0' ? device_set(d, word, value, e)
                           : err_set(e, -EINVAL, "an empty word in \"" VALUE_SHOWN "\"; remove a comma", list);
    }
    free(copy);
    return rc;
}

int device_add(struct device_draft *d, struct config *c, struct err *e)
{
    int rc = d->device.kind->is_whole(&d->device, e);
    if (!rc) rc = add(c, &d->device, e);
    if (!rc) d->device.settings = NULL; /* c's now */
    return rc;
}
