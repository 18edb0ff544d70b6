/* Devices as a configuration has them. Which kinds there are is not said here: each is a row of the machine's table,
 * which config_init is given, and brings its keys along. */
#ifndef VIREO_CONFIG_DEVICE_H
#define VIREO_CONFIG_DEVICE_H

#include "vmm/config/config.h"

#define DEVICE_KEYS     4 /* room for the console's */
#define DEVICE_SETTINGS 8 /* room for the disk's seven; bits of device_draft.seen */

/* What a setting is in JSON: a string, true or false, a whole number. On a command line a switch needs no value. */
enum setting_takes { SETTING_TEXT, SETTING_SWITCH, SETTING_NUMBER };

/* One setting of a device, "readonly" of --disk path=a.img,readonly. */
struct device_setting {
    const char *name;
    enum setting_takes takes;
    int (*set)(struct config_device *d, const char *value, struct err *e);
};

struct device_kind {
    const char *name; /* as messages call it: "disk" 0 */
    /* Up to the first without a name. One that has no `set` adds a device: one that repeats adds one with the settings
     * below each time, a switch adds one without settings, or takes it away. */
    struct config_key key[DEVICE_KEYS];
    unsigned most; /* devices that a key which repeats may add */

    /* For a key that repeats. Settings up to the first without a name; that one is what a lone value was most likely
     * meant for. */
    size_t settings_size;
    struct device_setting setting[DEVICE_SETTINGS];
    void (*init)(void *settings);                                  /* they are zero before; NULL: and stay so */
    void (*fini)(void *settings);                                  /* frees what they own; NULL: nothing */
    int (*is_whole)(const struct config_device *d, struct err *e); /* 0: all that it needs was given */
    /* Of config_check; NULL: nothing to check. A device by itself, and two of the kind beside each other, in order. */
    int (*check)(const struct config_device *d, struct err *e);
    int (*check_pair)(const struct config_device *first, const struct config_device *second, struct err *e);
    const char *(*file)(const struct config_device *d); /* the file it is made of; NULL: none */
};

/* A setting that any device may have: its id. */
int device_set_id(struct config_device *d, const char *value, struct err *e);

/* One device under construction. */
struct device_draft {
    struct config_device device;
    unsigned seen; /* bit i: setting i was given */
};
int device_begin(struct device_draft *d, const struct device_kind *kind, struct err *e);    /* 0, or -ENOMEM */
bool device_takes(const struct device_draft *d, const char *name, enum setting_takes *out); /* false: no such setting */
/* One setting; the same one twice is refused. */
int device_set(struct device_draft *d, const char *name, const char *value, struct err *e);
/* Every "name=value" or "switch" of a comma-separated list. */
int device_parse(struct device_draft *d, const char *list, struct err *e);
/* Check that it is whole and move it into c. */
int device_add(struct device_draft *d, struct config *c, struct err *e);
void device_end(struct device_draft *d); /* also after device_add */

/* A switch's: there is one of the kind, or none. */
int device_switch(struct config *c, const struct device_kind *kind, const char *value, struct err *e);

int config_devices_check(const struct config *c, struct err *e); /* of config_check */
void config_devices_fini(struct config *c);                      /* of config_fini */

/* A key, and the kind of device that brings it (NULL: it is of no device). */
struct config_found {
    const struct config_key *key; /* NULL: there is no such key */
    const struct device_kind *kind;
};
struct config_found config_find(const struct config *c, const char *name);
static inline bool config_adds_devices(struct config_found f)
{
    return f.key && !f.key->set && (f.key->flags & KEY_REPEATED);
}

#endif
