/* The kinds of devices that a machine can have. A kind is one row: its configuration keys, and the function by which
 * the machine makes one. To add a kind, add a row, in slots.c or in a file of its own. */
#ifndef VIREO_MACHINE_SLOTS_H
#define VIREO_MACHINE_SLOTS_H

#include "devices/devices.h"
#include "vmm/config/device.h"

struct machine;

struct slot_kind {
    struct device_kind device; /* what vmm/config knows; the first member, so that its address is the row's */
    /* Does the machine have one without a key that asks for it? Such a device is made first, without settings: make
     * gets d as NULL. NULL: there is none. */
    bool (*is_implied)(const struct config *cfg);
    int (*make)(struct machine *m, const struct config_device *d, struct virtio_dev **out, struct err *e);
    /* What the device's label has in brackets; "" for nothing. NULL: the device's id. */
    const char *(*id)(const struct config_device *d);
};

extern const struct slot_kind slot_disk, slot_net; /* the rows that have files of their own */

struct disk_settings {
    char *path;
    char serial[20 + 1]; /* VIRTIO 1.2, 5.2.6: 20 bytes */
    bool is_readonly;
    bool is_raw;         /* whatever it looks like */
    bool is_unlocked;    /* no lock is taken */
    uint16_t block_size; /* bytes; 0: not said */
};

struct net_settings {
    char tap[16]; /* IFNAMSIZ; "" when fd is used */
    int fd;       /* -1: none */
    uint8_t mac[6];
    bool has_mac;
    uint16_t mtu; /* 0: not said */
};

#endif
