/* Attaches to a tap that exists, and never makes one (Linux, Documentation/networking/tuntap.rst). */
#include "devices/backend/tap.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/base/fd.h"
#include "vmm/base/forked.h"

#define TAP_DEVICE    "/dev/net/tun"
#define LINK_NEWS_MAX 64 /* messages read at a time */
#define VNET_HDR_SIZE 12 /* VIRTIO 1.2, 5.1.6: with num_buffers */

struct tap {
    struct net_backend backend;
    struct forked forked; /* a child of fork(2) is not attached */
    char name[IFNAMSIZ];
};

static struct tap *tap_of(struct net_backend *b)
{
    return (struct tap *)b; /* its first member */
}

/* ---- the row of functions ---- */

static ssize_t tap_send(struct net_backend *b, const struct iovec *v, int count)
{
    const ssize_t len = writev(b->frame_fd, v, count);
    if (len >= 0) return len;
    switch (errno) {
    case EAGAIN:
    case EINTR: return -EAGAIN;
    case EBADFD: return -EBADFD; /* the interface was deleted */
    default: return -EBADMSG;    /* EINVAL: the kernel's own check of the header; EIO: the interface is down; ... */
    }
}

static ssize_t tap_receive(struct net_backend *b, const struct iovec *v, int count)
{
    const ssize_t len = readv(b->frame_fd, v, count);
    if (len > 0) return len;
    switch (len < 0 ? errno : EBADFD) {
    /* The host is short of memory, or there is no frame. What there is waits in the kernel. */
    case ENOMEM:
    case ENOBUFS:
    case EAGAIN:
    case EINTR: return -EAGAIN;
    /* The kernel could not hand over this frame and has dropped it. */
    case EINVAL:
    case EFAULT: return -EBADMSG;
    /* tun.c says so when the descriptor has lost its interface. */
    case EBADFD:
    case EIO: return -EBADFD;
    default: return -errno;
    }
}

static_assert(NET_OFFLOAD_CSUM == TUN_F_CSUM && NET_OFFLOAD_TSO4 == TUN_F_TSO4 && NET_OFFLOAD_TSO6 == TUN_F_TSO6 &&
                  NET_OFFLOAD_ECN == TUN_F_TSO_ECN,
              "the bits go to the kernel as they are");

static int tap_set_offloads(struct net_backend *b, unsigned offloads)
{
    return ioctl(b->frame_fd, TUNSETOFFLOAD, (unsigned long)offloads) == 0 ? 0 : -errno;
}

static int tap_link(struct net_backend *b)
{
    struct ifreq r = {0};
    char news[4096];
    if (b->link_fd < 0) return 1;
    /* What the news say doesn't matter, since the state is asked for after them. The loop has a bound, since news may
     * come faster than we read them. */
    for (int i = 0; i < LINK_NEWS_MAX && recv(b->link_fd, news, sizeof(news), MSG_DONTWAIT) > 0; i++) {
    }
    /* The interface may have been renamed. */
    if (ioctl(b->frame_fd, TUNGETIFF, &r) != 0) return -errno;
    return ioctl(b->link_fd, SIOCGIFFLAGS, &r) != 0 || (r.ifr_flags & IFF_UP);
}

/* Also runs in a child of fork(2). */
static void close_fds(void *arg)
{
    const struct tap *t = arg;
    if (t->backend.link_fd >= 0) close(t->backend.link_fd);
    close(t->backend.frame_fd);
}

/* Closing detaches; a tap that is not persistent goes with it. */
static void tap_close(struct net_backend *b)
{
    struct tap *t = tap_of(b);
    forked_remove(&t->forked);
    close_fds(t);
    free(t);
}

static const struct net_backend_ops tap_ops = {
    .name = "tap",
    .send = tap_send,
    .receive = tap_receive,
    .set_offloads = tap_set_offloads,
    .link = tap_link,
    .close = tap_close,
};

/* ---- opening ---- */

/* What is the interface? The driver is asked and not /sys, which may show another network namespace. 1: a tap; 0: an
 * interface of another kind; -ENODEV: there is none; another -errno: it could not be found out. */
static int ask_driver(const char *name)
{
    struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
    struct ifreq r = {.ifr_data = (char *)&info};
    memcpy(r.ifr_name, name, strlen(name));
    const int fd = fd_own(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (fd < 0) return -errno;
    const int rc = ioctl(fd, SIOCETHTOOL, &r) == 0 ? 0 : -errno;
    close(fd);
    if (rc == -EOPNOTSUPP) return 0; /* this driver doesn't say what it is; that of taps does */
    if (rc != 0) return rc;
    return strcmp(info.driver, "tun") == 0 && strcmp(info.bus_info, "tap") == 0;
}

static void hint_to_make(struct err *e, const char *name)
{
    err_hint(e, "make it with: ip tuntap add %s mode tap user $USER && ip link set %s up", name, name);
}

/* TUNSETIFF makes the interface if there is none of that name. So look first, or a typing mistake would make one. */
static int check_exists(const char *name, struct err *e)
{
    if (name[0] == '\0' || strlen(name) >= IFNAMSIZ || strchr(name, '/') || strchr(name, '%'))
        return err_set(e, -EINVAL, "tap %s: not an interface's name, which has 1 to %d characters", name, IFNAMSIZ - 1);
    const int rc = ask_driver(name);
    if (rc > 0) return 0;
    if (rc == -ENODEV) {
        err_set(e, -ENODEV, "tap %s: there is no such interface", name);
        hint_to_make(e, name);
        return -ENODEV;
    }
    if (rc < 0) return err_set(e, rc, "tap %s: ask what it is: %s", name, strerrordesc_np(-rc));
    return err_set(e, -EINVAL, "tap %s: the interface is not a tap; one is made with: ip tuntap add NAME mode tap",
                   name);
}

/* A tap that was made for several queues can only be attached to as one of its queues. */
static int set_iff(int fd, struct ifreq *r)
{
    r->ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
    if (ioctl(fd, TUNSETIFF, r) == 0) return 0;
    if (errno != EINVAL) return -errno;
    r->ifr_flags |= IFF_MULTI_QUEUE;
    return ioctl(fd, TUNSETIFF, r) == 0 ? 0 : -errno;
}

static int attach(struct tap *t, const char *name, struct err *e)
{
    struct ifreq r = {0};
    memcpy(r.ifr_name, name, strlen(name));
    if (set_iff(t->backend.frame_fd, &r) == 0) {
        memcpy(t->name, r.ifr_name, sizeof(t->name));
        return 0;
    }
    const int rc = err_errno(e, "tap %s: attach", name);
    if (rc == -EBUSY) err_hint(e, "another program has it open: stop that one, or use another tap");
    if (rc == -EPERM) {
        err_as(e, ERR_HOST);
        err_hint(e, "it belongs to another user: ip tuntap add %s mode tap user $USER, or run as its owner", name);
    }
    return rc;
}

/* A persistent tap keeps the size that the last program set, so set ours. */
static int set_up(struct tap *t, struct err *e)
{
    const int size = VNET_HDR_SIZE;
    if (ioctl(t->backend.frame_fd, TUNSETVNETHDRSZ, &size) != 0)
        return err_errno(e, "tap %s: set the size of the virtio-net header", t->name);
    const int rc = tap_set_offloads(&t->backend, 0);
    if (rc) return err_set(e, rc, "tap %s: switch offloads off: %s", t->name, strerror(-rc));
    return 0;
}

static bool is_shortage(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS;
}

/* Watch for news of links. On a host that doesn't give us any (no netlink, or not for us) a link always counts as up.
 * A host that only lacks memory or descriptors is an error. */
static int open_link_watch(struct tap *t, struct err *e)
{
    const struct sockaddr_nl links = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
    const int fd = fd_own(socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE));
    if (fd >= 0 && bind(fd, (const struct sockaddr *)&links, sizeof(links)) == 0) {
        t->backend.link_fd = fd;
        return 0;
    }
    const int rc = is_shortage(errno) ? err_errno(e, "tap %s: watch its link", t->name) : 0;
    if (fd >= 0) close(fd);
    return rc;
}

/* Owns fd from here on, on failure too. */
static struct tap *wrap_fd(int fd, struct err *e)
{
    struct tap *t = calloc(1, sizeof(*t));
    if (!t) {
        close(fd);
        err_set(e, -ENOMEM, "tap: out of memory");
        return NULL;
    }
    t->backend = (struct net_backend){.ops = &tap_ops, .frame_fd = fd, .link_fd = -1};
    t->forked = (struct forked){.in_child = close_fds, .arg = t};
    return t;
}

/* The last step of opening. rc is the result of the steps before it. */
static int finish(struct net_backend **out, struct tap *t, int rc)
{
    if (rc) {
        tap_close(&t->backend);
        return rc;
    }
    forked_add(&t->forked);
    *out = &t->backend;
    return 0;
}

int tap_open(struct net_backend **out, const char *name, struct err *e)
{
    int rc = check_exists(name, e);
    if (rc) return rc;
    const int fd = fd_own(open(TAP_DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC));
    if (fd < 0) {
        rc = err_errno(e, "tap %s: open %s", name, TAP_DEVICE);
        err_as(e, ERR_HOST);
        if (rc == -ENOENT || rc == -ENODEV) err_hint(e, "load the tun module: modprobe tun");
        if (rc == -EACCES || rc == -EPERM) err_hint(e, "allow this user to open %s", TAP_DEVICE);
        return rc;
    }
    struct tap *t = wrap_fd(fd, e);
    if (!t) return -ENOMEM;
    rc = attach(t, name, e);
    if (!rc) rc = set_up(t, e);
    if (!rc) rc = open_link_watch(t, e);
    return finish(out, t, rc);
}

static int check_fd(struct tap *t, int fd, struct err *e)
{
    struct ifreq r = {0};
    if (ioctl(t->backend.frame_fd, TUNGETIFF, &r) != 0) {
        err_set(e, -EINVAL, "fd %d: not a tap that is attached to an interface", fd);
        err_hint(e, "open /dev/net/tun and TUNSETIFF with IFF_TAP, IFF_NO_PI and IFF_VNET_HDR first");
        return -EINVAL;
    }
    memcpy(t->name, r.ifr_name, sizeof(t->name));
    const int want = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
    if ((r.ifr_flags & want) != want)
        return err_set(e, -EINVAL, "fd %d (%s): must be opened with IFF_TAP, IFF_NO_PI and IFF_VNET_HDR", fd, t->name);
    const int flags = fcntl(t->backend.frame_fd, F_GETFL);
    if (flags < 0 || fcntl(t->backend.frame_fd, F_SETFL, flags | O_NONBLOCK) != 0)
        return err_errno(e, "fd %d (%s): make it non-blocking", fd, t->name);
    return 0;
}

int tap_open_fd(struct net_backend **out, int fd, struct err *e)
{
    const int own = fd_own(fcntl(fd, F_DUPFD_CLOEXEC, 0));
    if (own < 0) return err_errno(e, "fd %d", fd);
    struct tap *t = wrap_fd(own, e);
    if (!t) return -ENOMEM;
    int rc = check_fd(t, fd, e);
    if (!rc) rc = set_up(t, e);
    return finish(out, t, rc);
}
