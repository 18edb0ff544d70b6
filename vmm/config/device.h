/* What a disk or net of the configuration is made of: sub-keys, from "path=a.img,readonly" or from a JSON object. */
#ifndef VIREO_CONFIG_DEVICE_H
#define VIREO_CONFIG_DEVICE_H

#include "vmm/config/config.h"

struct item_type;

/* What a sub-key is in JSON: a string, true or false, a whole number. On a command line a switch needs no value. */
enum item_takes { ITEM_TEXT, ITEM_SWITCH, ITEM_NUMBER };

/* One disk or net under construction. */
struct config_item {
    const struct item_type *type;
    unsigned seen; /* bit i: sub-key i was given */
    union {
        struct disk_config disk;
        struct net_config net;
    };
};

/* "disk" or "net": its type; else NULL. */
const struct item_type *item_type_find(const char *key);

void item_init(struct config_item *it, const struct item_type *type);
void item_fini(struct config_item *it);                                                   /* also after item_add */
bool item_key_takes(const struct config_item *it, const char *key, enum item_takes *out); /* false: there is none */
/* One sub-key; the same one twice is refused. */
int item_set(struct config_item *it, const char *key, const char *value, struct err *e);
/* Every "key=value" or "switch" of a comma-separated list. */
int item_parse(struct config_item *it, const char *list, struct err *e);
/* Check that it is whole and move it into c. */
int item_add(struct config_item *it, struct config *c, struct err *e);

#endif
