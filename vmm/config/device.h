/* Devices as a configuration has them. Which kinds there are is not said here: each is a row of the machine's table,
 * which config_init is given, and brings its keys along. */
#ifndef VIREO_CONFIG_DEVICE_H
#define VIREO_CONFIG_DEVICE_H

#include "vmm/config/config.h"

#define DEVICE_KEYS     4 /* room for the console's */
#define DEVICE_SETTINGS 8 /* room for the disk's seven; bits of device_draft.seen */

struct device_kind {
    const char *name; /* as messages call it: "disk" 0 */
    /* Up to the first without a name. A key that has no `set` adds a device: if it repeats, one with the settings below
     * each time; if it is a switch, one without settings, which the switch can take away again. */
    struct setting key[DEVICE_KEYS];
    unsigned most; /* devices of the kind that a configuration may have */

    /* What follows is for a key that repeats; a function that is NULL has nothing to do. */
    size_t settings_size;
    /* Each word of --disk path=a.img,readonly; `set` takes a struct config_device. Up to the first without a name, and
     * the first is what a lone value was most likely meant for. */
    struct setting setting[DEVICE_SETTINGS];
    /* Settings are zero before. */
    void (*init)(void *settings);
    /* Free what they own. */
    void (*fini)(void *settings);
    /* 0: all that the device needs was given. Never NULL. */
    int (*is_whole)(const struct config_device *d, struct err *e);
    /* Of config_check: a device by itself, and two of the kind beside each other, in the order of the configuration. */
    int (*check)(const struct config_device *d, struct err *e);
    int (*check_pair)(const struct config_device *first, const struct config_device *second, struct err *e);
    /* The path of the file that the device is made of. */
    const char *(*file)(const struct config_device *d);
};

/* A setting that any device may have: its id. */
int device_set_id(void *device, const char *value, struct err *e);

/* One device under construction. */
struct device_draft {
    struct config_device device;
    unsigned seen; /* bit i: setting i was given */
};
/* 0, or -ENOMEM. */
int device_begin(struct device_draft *d, const struct device_kind *kind, struct err *e);
/* NULL: there is no such setting. */
const struct setting *device_setting(const struct device_draft *d, const char *name);
/* One setting; the same one twice is refused. */
int device_set(struct device_draft *d, const char *name, const char *value, struct err *e);
/* Every "name=value" or "switch" of a comma-separated list. */
int device_parse(struct device_draft *d, const char *list, struct err *e);
/* Check that it is whole and move it into c. */
int device_add(struct device_draft *d, struct config *c, struct err *e);
/* Free what was not moved; needed after device_add as well. */
void device_end(struct device_draft *d);

/* The key of a kind that is a switch: "true", there is one, or "false", there is none. */
int device_switch(struct config *c, const struct device_kind *kind, const char *value, struct err *e);

/* The devices' part of config_check and config_fini. */
int config_devices_check(const struct config *c, struct err *e);
void config_devices_fini(struct config *c);

/* A key, and the kind of device that brings it (NULL: it is of no device). */
struct config_found {
    const struct setting *key; /* NULL: there is no such key */
    const struct device_kind *kind;
};
struct config_found config_find(const struct config *c, const char *name);
static inline bool config_adds_devices(struct config_found f)
{
    return f.key && !f.key->set && (f.key->flags & SETTING_REPEATED);
}

#endif
