#include "vmm/config/item.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/nearest.h"
#include "vmm/config/value.h"

#define NET_MTU_MIN 68 /* VIRTIO 1.2, 5.1.4.1: the device must offer at least this */
#define NET_MTU_MAX 65535
#define ITEM_KEYS   8 /* room for the longest table below; bits of config_item.seen */

struct item_key {
    const char *name;
    enum item_takes takes;
    int (*set)(struct config_item *it, const char *value, struct err *e);
};

struct item_type {
    const char *name;
    struct item_key key[ITEM_KEYS]; /* the first is the one that a lone value was most likely meant for */
    int (*add)(struct config_item *it, struct config *c, struct err *e);
};

/* ---- disk ---- */

static int set_disk_path(struct config_item *it, const char *value, struct err *e)
{
    return value_path("path", value, &it->disk.path, e);
}

static int set_disk_readonly(struct config_item *it, const char *value, struct err *e)
{
    if (value_bool(value, &it->disk.is_readonly)) return 0;
    return err_set(e, -EINVAL, "readonly=" VALUE_SHOWN ": must be true or false", value);
}

static int set_disk_id(struct config_item *it, const char *value, struct err *e)
{
    return value_id("id", value, it->disk.id, e);
}

static int set_disk_serial(struct config_item *it, const char *value, struct err *e)
{
    const size_t len = strlen(value);
    bool is_good = len >= 1 && len < sizeof(it->disk.serial);
    for (size_t i = 0; is_good && i < len; i++) is_good = value[i] > ' ' && value[i] < 0x7f;
    if (!is_good)
        return err_set(e, -EINVAL, "serial \"" VALUE_SHOWN "\": must be 1 to %zu printable characters without blanks",
                       value, sizeof(it->disk.serial) - 1);
    memcpy(it->disk.serial, value, len + 1);
    return 0;
}

/* What disks are made with. */
static int set_disk_block_size(struct config_item *it, const char *value, struct err *e)
{
    uint64_t n;
    if (!value_u64(value, &n) || (n != 512 && n != 4096))
        return err_set(e, -EINVAL, "block-size=" VALUE_SHOWN ": must be 512 or 4096 bytes", value);
    it->disk.block_size = (uint16_t)n;
    return 0;
}

static int set_disk_lock(struct config_item *it, const char *value, struct err *e)
{
    const bool is_on = strcmp(value, "on") == 0;
    if (!is_on && strcmp(value, "off") != 0)
        return err_set(e, -EINVAL, "lock=" VALUE_SHOWN ": must be on or off", value);
    it->disk.is_unlocked = !is_on;
    return 0;
}

static int set_disk_format(struct config_item *it, const char *value, struct err *e)
{
    if (strcmp(value, "raw") != 0) {
        err_set(e, -EINVAL, "format=" VALUE_SHOWN ": a disk is a raw image or block device", value);
        err_hint(e, "convert it with: qemu-img convert -O raw IMAGE NEW");
        return -EINVAL;
    }
    it->disk.is_raw = true;
    return 0;
}

static int add_disk(struct config_item *it, struct config *c, struct err *e)
{
    if (!it->disk.path) return err_set(e, -EINVAL, "no path given; write path=FILE");
    if (c->disk_count == CONFIG_MAX_DISKS)
        return err_set(e, -ENOSPC, "one too many: a machine has at most %d", CONFIG_MAX_DISKS);
    c->disk[c->disk_count++] = it->disk;
    it->disk.path = NULL; /* c's now */
    return 0;
}

/* ---- net ---- */

/* What the kernel takes as an interface's name (dev_valid_name in net/core/dev.c), so that the sentence is ours. */
static int set_net_tap(struct config_item *it, const char *value, struct err *e)
{
    const size_t len = strlen(value);
    /* Any byte above a blank, whatever a plain char is here. */
    const unsigned char *name = (const unsigned char *)value;
    bool is_good = len >= 1 && len < sizeof(it->net.tap) && strcmp(value, ".") != 0 && strcmp(value, "..") != 0;
    for (size_t i = 0; is_good && i < len; i++) is_good = name[i] > ' ' && name[i] != '/' && name[i] != ':';
    if (!is_good)
        return err_set(e, -EINVAL, "tap \"" VALUE_SHOWN "\": not an interface name of 1 to %zu characters", value,
                       sizeof(it->net.tap) - 1);
    memcpy(it->net.tap, value, len + 1);
    return 0;
}

static int set_net_fd(struct config_item *it, const char *value, struct err *e)
{
    uint64_t n;
    if (!value_u64(value, &n) || n > INT32_MAX)
        return err_set(e, -EINVAL, "fd=" VALUE_SHOWN ": not a file descriptor number", value);
    it->net.fd = (int)n;
    return 0;
}

static int set_net_id(struct config_item *it, const char *value, struct err *e)
{
    return value_id("id", value, it->net.id, e);
}

static int set_net_mac(struct config_item *it, const char *value, struct err *e)
{
    static const uint8_t zero[6];
    if (!value_mac(value, it->net.mac))
        return err_set(e, -EINVAL, "mac=" VALUE_SHOWN ": write six pairs of hex digits, 52:54:00:12:34:56", value);
    if ((it->net.mac[0] & 1) || memcmp(it->net.mac, zero, sizeof(zero)) == 0) /* IEEE 802: group bit */
        return err_set(e, -EINVAL, "mac=%s: a group or zero address, which no card can have; make the first pair even",
                       value);
    it->net.has_mac = true;
    return 0;
}

static int set_net_mtu(struct config_item *it, const char *value, struct err *e)
{
    uint64_t n;
    if (!value_u64(value, &n) || n < NET_MTU_MIN || n > NET_MTU_MAX)
        return err_set(e, -EINVAL, "mtu=" VALUE_SHOWN ": must be %d to %d bytes", value, NET_MTU_MIN, NET_MTU_MAX);
    it->net.mtu = (uint16_t)n;
    return 0;
}

static int add_net(struct config_item *it, struct config *c, struct err *e)
{
    const bool has_tap = it->net.tap[0] != '\0', has_fd = it->net.fd >= 0;
    if (!has_tap && !has_fd) return err_set(e, -EINVAL, "no host side given; write tap=NAME or fd=N");
    if (has_tap && has_fd) return err_set(e, -EINVAL, "both tap= and fd= given; leave one out");
    if (c->net_count == CONFIG_MAX_NETS)
        return err_set(e, -ENOSPC, "one too many: a machine has at most %d", CONFIG_MAX_NETS);
    c->net[c->net_count++] = it->net;
    return 0;
}

static const struct item_type types[] = {
    {"disk",
     {{"path", ITEM_TEXT, set_disk_path},
      {"readonly", ITEM_SWITCH, set_disk_readonly},
      {"id", ITEM_TEXT, set_disk_id},
      {"serial", ITEM_TEXT, set_disk_serial},
      {"block-size", ITEM_NUMBER, set_disk_block_size},
      {"lock", ITEM_TEXT, set_disk_lock},
      {"format", ITEM_TEXT, set_disk_format}},
     add_disk},
    {"net",
     {{"tap", ITEM_TEXT, set_net_tap},
      {"fd", ITEM_NUMBER, set_net_fd},
      {"mac", ITEM_TEXT, set_net_mac},
      {"mtu", ITEM_NUMBER, set_net_mtu},
      {"id", ITEM_TEXT, set_net_id}},
     add_net},
};

const struct item_type *item_type_find(const char *key)
{
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (strcmp(types[i].name, key) == 0) return &types[i];
    return NULL;
}

void item_init(struct config_item *it, const struct item_type *type)
{
    memset(it, 0, sizeof(*it));
    it->type = type;
    if (type->add == add_net) it->net.fd = -1;
}

void item_fini(struct config_item *it)
{
    if (it->type->add != add_disk) return;
    free(it->disk.path);
    it->disk.path = NULL;
}

static int unknown_key(const struct item_type *type, const char *key, struct err *e)
{
    err_set(e, -EINVAL, "unknown word \"" VALUE_SHOWN "\"", key);
    nearest_err_hint(e, key, WORDS_OF(type->key, name, ITEM_KEYS));
    err_hint(e, "a %s starts with %s=; a comma inside a value is written twice", type->name, type->key[0].name);
    return -EINVAL;
}

/* Where key is in the type's table; ITEM_KEYS: it isn't. */
static unsigned find_key(const struct item_type *type, const char *key)
{
    for (unsigned i = 0; i < ITEM_KEYS && type->key[i].name; i++)
        if (strcmp(type->key[i].name, key) == 0) return i;
    return ITEM_KEYS;
}

bool item_key_takes(const struct config_item *it, const char *key, enum item_takes *out)
{
    const unsigned i = find_key(it->type, key);
    if (i == ITEM_KEYS) return false;
    *out = it->type->key[i].takes;
    return true;
}

int item_set(struct config_item *it, const char *key, const char *value, struct err *e)
{
    const unsigned i = find_key(it->type, key);
    if (i == ITEM_KEYS) return unknown_key(it->type, key, e);
    if (!value && it->type->key[i].takes != ITEM_SWITCH)
        return err_set(e, -EINVAL, "%s: no value given; write %s=VALUE", key, key);
    if (it->seen & 1u << i) return err_set(e, -EINVAL, "%s: given twice; leave one out", key);
    const int rc = it->type->key[i].set(it, value ? value : "true", e);
    if (rc == 0) it->seen |= 1u << i;
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

int item_parse(struct config_item *it, const char *list, struct err *e)
{
    char *copy = strdup(list), *rest = copy;
    if (!copy) return err_set(e, -ENOMEM, "out of memory");
    int rc = 0;
    while (rc == 0 && rest) {
        char *word = next_word(&rest);
        char *value = strchr(word, '=');
        if (value) *value++ = '\0';
        rc = *word != '\0' ? item_set(it, word, value, e)
                           : err_set(e, -EINVAL, "an empty word in \"" VALUE_SHOWN "\"; remove a comma", list);
    }
    free(copy);
    return rc;
}

int item_add(struct config_item *it, struct config *c, struct err *e)
{
    return it->type->add(it, c, e);
}
