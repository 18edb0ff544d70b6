/* The network card's row: --net tap=NAME,... */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "devices/backend/tap.h"
#include "vmm/config/value.h"
#include "vmm/machine/slots.h"
#include "vmm/machine/state.h"

#define NET_MOST    8  /* a quarter of the slots; a machine with more is a router */
#define NET_MTU_MIN 68 /* VIRTIO 1.2, 5.1.4.1: the device must offer at least this */
#define NET_MTU_MAX 65535

/* ---- its settings ---- */

static void init(void *settings)
{
    struct net_settings *s = settings;
    s->fd = -1;
}

/* The same rule as the kernel's for the name of an interface (dev_valid_name in net/core/dev.c). It is checked here so
 * that the user reads our sentence and not a bare errno. */
static int set_tap(void *of, const char *value, struct err *e)
{
    struct config_device *d = of;
    struct net_settings *s = d->settings;
    const size_t len = strlen(value);
    /* Any byte above a blank is good. Unsigned, since a plain char may have a sign. */
    const unsigned char *name = (const unsigned char *)value;
    bool is_good = len >= 1 && len < sizeof(s->tap) && strcmp(value, ".") != 0 && strcmp(value, "..") != 0;
    for (size_t i = 0; is_good && i < len; i++) is_good = name[i] > ' ' && name[i] != '/' && name[i] != ':';
    if (!is_good)
        return err_set(e, -EINVAL, "tap \"" VALUE_SHOWN "\": not an interface name of 1 to %zu characters", value,
                       sizeof(s->tap) - 1);
    memcpy(s->tap, value, len + 1);
    return 0;
}

static int set_fd(void *of, const char *value, struct err *e)
{
    struct config_device *d = of;
    struct net_settings *s = d->settings;
    uint64_t n;
    if (!value_u64(value, &n) || n > INT32_MAX)
        return err_set(e, -EINVAL, "fd=" VALUE_SHOWN ": not a file descriptor number", value);
    s->fd = (int)n;
    return 0;
}

static int set_mac(void *of, const char *value, struct err *e)
{
    struct config_device *d = of;
    static const uint8_t zero[6];
    struct net_settings *s = d->settings;
    if (!value_mac(value, s->mac))
        return err_set(e, -EINVAL, "mac=" VALUE_SHOWN ": write six pairs of hex digits, 52:54:00:12:34:56", value);
    if ((s->mac[0] & 1) || memcmp(s->mac, zero, sizeof(zero)) == 0) /* IEEE 802: group bit */
        return err_set(e, -EINVAL, "mac=%s: a group or zero address, which no card can have; make the first pair even",
                       value);
    s->has_mac = true;
    return 0;
}

static int set_mtu(void *of, const char *value, struct err *e)
{
    struct config_device *d = of;
    struct net_settings *s = d->settings;
    uint64_t n;
    if (!value_u64(value, &n) || n < NET_MTU_MIN || n > NET_MTU_MAX)
        return err_set(e, -EINVAL, "mtu=" VALUE_SHOWN ": must be %d to %d bytes", value, NET_MTU_MIN, NET_MTU_MAX);
    s->mtu = (uint16_t)n;
    return 0;
}

static int is_whole(const struct config_device *d, struct err *e)
{
    const struct net_settings *s = d->settings;
    const bool has_tap = s->tap[0] != '\0', has_fd = s->fd >= 0;
    if (!has_tap && !has_fd) return err_set(e, -EINVAL, "no host side given; write tap=NAME or fd=N");
    if (has_tap && has_fd) return err_set(e, -EINVAL, "both tap= and fd= given; leave one out");
    return 0;
}

static int check(const struct config_device *d, struct err *e)
{
    const struct net_settings *s = d->settings;
    if (s->fd < 0 || fcntl(s->fd, F_GETFD) >= 0) return 0;
    return err_set(e, -EBADF, "%s: file descriptor %d is not open; pass an open tap, or name one with tap=", d->label,
                   s->fd);
}

/* Refuse the same descriptor or interface twice. A tap has one queue, so the second attachment would fail with a bare
 * EBUSY. */
static int check_pair(const struct config_device *first, const struct config_device *second, struct err *e)
{
    const struct net_settings *a = first->settings, *b = second->settings;
    if (b->fd >= 0 && a->fd == b->fd)
        return err_set(e, -EEXIST, "%s: file descriptor %d is %s's already; open one for each", second->label, b->fd,
                       first->label);
    if (b->tap[0] && strcmp(a->tap, b->tap) == 0)
        return err_set(e, -EEXIST, "%s: tap %s is %s's already; make one for each", second->label, b->tap,
                       first->label);
    if (a->has_mac && b->has_mac && memcmp(a->mac, b->mac, sizeof(a->mac)) == 0)
        return err_set(e, -EEXIST, "%s: the same mac as %s; change one", second->label, first->label);
    return 0;
}

/* ---- from settings to a device ---- */

static int make(struct machine *m, const struct config_device *d, struct virtio_dev **out, struct err *e)
{
    const struct net_settings *s = d->settings;
    struct net_backend *host = NULL;
    (void)m;
    int rc = s->tap[0] ? tap_open(&host, s->tap, e) : tap_open_fd(&host, s->fd, e);
    if (!rc) rc = virtio_net_create(out, host, s->has_mac ? s->mac : NULL, s->mtu, e);
    if (rc) net_backend_close(host);
    return rc;
}

static const char *id(const struct config_device *d)
{
    const struct net_settings *s = d->settings;
    return d->id[0] ? d->id : s->tap;
}

const struct slot_kind slot_net = {
    .device =
        {
            .name = "net",
            .key = {{"net", "tap=NAME|fd=N[,mac=MAC][,mtu=N][,id=ID]", "add a network card on a tap device",
                     .flags = SETTING_REPEATED}},
            .most = NET_MOST,
            .settings_size = sizeof(struct net_settings),
            .setting = {{"tap", "NAME", NULL, .set = set_tap},
                        {"fd", "N", NULL, .set = set_fd, .flags = SETTING_NUMBER},
                        {"mac", "MAC", NULL, .set = set_mac},
                        {"mtu", "N", NULL, .set = set_mtu, .flags = SETTING_NUMBER},
                        {"id", "ID", NULL, .set = device_set_id}},
            .init = init,
            .is_whole = is_whole,
            .check = check,
            .check_pair = check_pair,
        },
    .make = make,
    .id = id,
};
