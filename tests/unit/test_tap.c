/* Real taps, in a network namespace of their own: nothing of the machine's is touched, and no name can be taken. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "devices/devices.h"
#include "tests/unit/ring.h"
#include "vmm/base/endian.h"

enum { RX = 0, TX = 1, HDR = 12, NET_S_LINK_UP = 1, ETHERTYPE_TEST = 0x88b5 /* IEEE 802, for experiments */ };
#define WAIT_MS         30000 /* for the kernel, on a machine that has better things to do */
#define TRY_MS          5
#define NET_F_STATUS    (1ull << 16)
#define NET_F_MRG_RXBUF (1ull << 15)

static const char *reason_to_skip;

static int namespace(void **state)
{
    (void)state;
    if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
        reason_to_skip = "no network namespace of our own to be had (root or user namespaces are needed)";
    else if (access("/dev/net/tun", R_OK | W_OK) != 0)
        reason_to_skip = "/dev/net/tun can't be opened";
    return 0;
}

#define NEED_TAPS()                                                                                                    \
    do {                                                                                                               \
        (void)state;                                                                                                   \
        if (reason_to_skip) {                                                                                          \
            print_message("skipped: %s\n", reason_to_skip);                                                            \
            skip();                                                                                                    \
        }                                                                                                              \
    } while (0)

/* What `ip tuntap add NAME mode tap` does. */
static int attach_new(const char *name, int flags)
{
    struct ifreq r = {0};
    const int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
    r.ifr_flags = (short)flags;
    assert_int_equal(ioctl(fd, TUNSETIFF, &r), 0);
    return fd;
}
static void make_tap(const char *name, int flags)
{
    const int fd = attach_new(name, flags);
    assert_int_equal(ioctl(fd, TUNSETPERSIST, 1L), 0);
    close(fd);
}
static void delete_tap(const char *name, int flags)
{
    const int fd = attach_new(name, flags);
    assert_int_equal(ioctl(fd, TUNSETPERSIST, 0L), 0);
    close(fd);
}
static void set_up(const char *name, bool is_up)
{
    struct ifreq r = {0};
    const int fd = socket(AF_INET, SOCK_DGRAM, 0);
    snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
    r.ifr_flags = is_up ? IFF_UP : 0;
    assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &r), 0);
    close(fd);
}

static void opening_attaches_and_closing_detaches(void **state)
{
    NEED_TAPS();
    make_tap("vt0", IFF_TAP | IFF_NO_PI);
    for (unsigned i = 0; i < 2; i++) {
        struct tap *t = NULL;
        int size = 0;
        assert_int_equal(tap_open(&t, "vt0", NULL), 0);
        assert_string_equal(t->name, "vt0");
        assert_int_equal(ioctl(t->fd, TUNGETVNETHDRSZ, &size), 0);
        assert_int_equal(size, HDR);
        assert_true(fcntl(t->fd, F_GETFL) & O_NONBLOCK);
        tap_close(t);
    }
    delete_tap("vt0", IFF_TAP | IFF_NO_PI);
}

static void a_slip_of_the_keyboard_makes_no_interface(void **state)
{
    static const struct {
        const char *name, *text;
        int code;
    } cases[] = {
        {"vt9", "tap vt9: there is no such interface", -ENODEV},
        {"lo", "tap lo: the interface is not a tap", -EINVAL},
        {"tun0", "tap tun0: the interface is not a tap", -EINVAL},
        {"", "1 to 15 characters", -EINVAL},
        {"a-name-with-16-ch", "1 to 15 characters", -EINVAL},
        {"vt%d", "1 to 15 characters", -EINVAL},
    };
    NEED_TAPS();
    make_tap("tun0", IFF_TUN | IFF_NO_PI);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct tap *t = NULL;
        struct err e = {0};
        assert_int_equal(tap_open(&t, cases[i].name, &e), cases[i].code);
        assert_contains(e.text, cases[i].text);
        assert_null(t);
    }
    assert_int_equal(if_nametoindex("vt9"), 0);
    assert_int_equal(if_nametoindex("vt0"), 0);
    delete_tap("tun0", IFF_TUN | IFF_NO_PI);
}

static void a_tap_in_use_is_refused(void **state)
{
    struct tap *t = NULL;
    struct err e = {0};
    NEED_TAPS();
    const int fd = attach_new("vt0", IFF_TAP | IFF_NO_PI);
    assert_int_equal(tap_open(&t, "vt0", &e), -EBUSY);
    assert_contains(e.text, "tap vt0: attach");
    assert_contains(e.hint, "another program");
    close(fd);
    assert_int_equal(if_nametoindex("vt0"), 0);
}

static void a_tap_made_for_several_queues_is_taken_too(void **state)
{
    struct tap *t = NULL;
    NEED_TAPS();
    make_tap("vt0", IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE);
    assert_int_equal(tap_open(&t, "vt0", NULL), 0);
    tap_close(t);
    delete_tap("vt0", IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE);
}

static void an_fd_is_taken_over_or_refused_with_what_it_lacks(void **state)
{
    struct tap *t = NULL;
    struct err e = {0};
    int end[2];
    NEED_TAPS();
    const int good = attach_new("vt0", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
    assert_int_equal(tap_open_fd(&t, good, &e), 0);
    assert_string_equal(t->name, "vt0");
    assert_true(t->fd != good);
    assert_true(tap_is_up(t));
    tap_close(t);
    assert_true(fcntl(good, F_GETFD) >= 0);
    close(good);

    t = NULL;
    const int no_hdr = attach_new("vt0", IFF_TAP | IFF_NO_PI);
    assert_int_equal(tap_open_fd(&t, no_hdr, &e), -EINVAL);
    assert_contains(e.text, "IFF_VNET_HDR");
    close(no_hdr);

    assert_int_equal(pipe(end), 0);
    assert_int_equal(tap_open_fd(&t, end[0], &e), -EINVAL);
    assert_contains(e.text, "not a tap");
    close(end[0]);
    close(end[1]);
    assert_int_equal(tap_open_fd(&t, 1000, &e), -EBADF);
    assert_null(t);
}

static void offloads_are_set(void **state)
{
    struct tap *t = NULL;
    NEED_TAPS();
    make_tap("vt0", IFF_TAP | IFF_NO_PI);
    assert_int_equal(tap_open(&t, "vt0", NULL), 0);
    assert_int_equal(tap_set_offload(t, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN), 0);
    assert_int_equal(tap_set_offload(t, 1u << 31), -EINVAL);
    assert_int_equal(tap_set_offload(t, 0), 0);
    tap_close(t);
    delete_tap("vt0", IFF_TAP | IFF_NO_PI);
}

/* ---- virtio-net on a real tap ---- */

struct net_rig {
    struct rig r;
    int packet; /* the host's end of the wire */
};

static void net_init(struct net_rig *n, uint64_t features)
{
    struct virtio_dev *d = NULL;
    struct tap *t = NULL;
    make_tap("vt0", IFF_TAP | IFF_NO_PI);
    set_up("vt0", true);
    const struct sockaddr_ll at = {
        .sll_family = AF_PACKET, .sll_protocol = htobe16(ETHERTYPE_TEST), .sll_ifindex = (int)if_nametoindex("vt0")};
    n->packet = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htobe16(ETHERTYPE_TEST));
    assert_int_equal(bind(n->packet, (const struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(tap_open(&t, "vt0", NULL), 0);
    assert_int_equal(virtio_net_create(&d, t, NULL, 0, NULL), 0);
    rig_init(&n->r, d, features);
    rig_activate(&n->r);
}

static void net_fini(struct net_rig *n)
{
    rig_fini(&n->r);
    close(n->packet);
}

static void make_frame(uint8_t *frame, uint8_t tag)
{
    memset(frame, 0xff, 6);
    memcpy(frame + 6, "\x02\0\0\0\0\1\x88\xb5", 8);
    memset(frame + 14, tag, 46);
}

static void frames_cross_the_tap_both_ways(void **state)
{
    struct net_rig n;
    struct ring_used used;
    uint8_t frame[60], got[100];
    NEED_TAPS();
    net_init(&n, NET_F_MRG_RXBUF);
    const struct ring_seg tx = {rig_alloc(&n.r, HDR + sizeof(frame)), HDR + sizeof(frame), false};
    make_frame((uint8_t *)rig_host(&n.r, tx.gpa) + HDR, 1);
    ring_add(&n.r.ring[TX], &tx, 1);
    rig_notify(&n.r, TX);
    struct pollfd arrival = {.fd = n.packet, .events = POLLIN};
    assert_int_equal(poll(&arrival, 1, WAIT_MS), 1);
    assert_int_equal(recv(n.packet, got, sizeof(got), 0), sizeof(frame));
    assert_memory_equal(got, (uint8_t *)rig_host(&n.r, tx.gpa) + HDR, sizeof(frame));

    for (unsigned i = 0; i < 16; i++) {
        const struct ring_seg rx = {rig_alloc(&n.r, 2048), 2048, true};
        ring_add(&n.r.ring[RX], &rx, 1);
    }
    rig_notify(&n.r, RX);
    make_frame(frame, 2);
    bool is_there = false;
    /* The kernel's own frames come along, so that buffers must be given back; and it drops all until it has noticed,
     * within a second when it has nothing else to do, that the tap has been attached to. */
    for (unsigned tries = 0; tries < WAIT_MS / TRY_MS && !is_there; tries++) {
        (void)send(n.packet, frame, sizeof(frame), 0);
        rig_run(&n.r, TRY_MS);
        while (ring_take_used(&n.r.ring[RX], &used)) {
            const struct ring_seg rx = {le64_read((uint8_t *)rig_host(&n.r, n.r.ring[RX].desc) + 16 * used.id), 2048,
                                        true};
            is_there |= used.len == HDR + sizeof(frame) &&
                        memcmp((uint8_t *)rig_host(&n.r, rx.gpa) + HDR, frame, sizeof(frame)) == 0;
            ring_add(&n.r.ring[RX], &rx, 1);
        }
        rig_notify(&n.r, RX);
    }
    assert_true(is_there);
    net_fini(&n);
    delete_tap("vt0", IFF_TAP | IFF_NO_PI);
}

static uint16_t link_status(const struct net_rig *n)
{
    uint8_t status[2];
    n->r.dev->ops->config_read(n->r.dev, 6, status, 2);
    return le16_read(status);
}

static void the_guest_is_told_when_the_link_goes_down_and_up(void **state)
{
    struct net_rig n;
    NEED_TAPS();
    net_init(&n, NET_F_STATUS);
    assert_int_equal(link_status(&n), NET_S_LINK_UP);
    for (unsigned i = 1; i <= 4; i++) {
        set_up("vt0", i % 2 == 0);
        rig_run(&n.r, 20);
        assert_int_equal(n.r.config_changes, i);
        assert_int_equal(link_status(&n), i % 2 == 0 ? NET_S_LINK_UP : 0);
    }
    net_fini(&n);
    delete_tap("vt0", IFF_TAP | IFF_NO_PI);
}

static void sending_into_a_tap_that_is_down_drops(void **state)
{
    struct net_rig n;
    NEED_TAPS();
    net_init(&n, 0);
    set_up("vt0", false);
    const struct ring_seg tx = {rig_alloc(&n.r, HDR + 60), HDR + 60, false};
    ring_add(&n.r.ring[TX], &tx, 1);
    rig_notify(&n.r, TX);
    assert_int_equal(ring_used_count(&n.r.ring[TX]), 1);
    assert_int_equal(virtio_net_counts(n.r.dev).tx_dropped, 1);
    assert_int_equal(n.r.host_failures, 0);
    net_fini(&n);
    delete_tap("vt0", IFF_TAP | IFF_NO_PI);
}

/* What `ip link del` does to a tap that is open. */
static void delete_link(const char *name)
{
    char command[64];
    snprintf(command, sizeof(command), "ip link del %s", name);
    assert_int_equal(system(command), 0);
}

static void a_tap_that_is_deleted_is_reported_once_and_costs_no_cpu(void **state)
{
    struct net_rig n;
    NEED_TAPS();
    net_init(&n, 0);
    const struct ring_seg rx = {rig_alloc(&n.r, 2048), 2048, true};
    for (unsigned i = 0; i < 64; i++) ring_add(&n.r.ring[RX], &rx, 1);
    rig_notify(&n.r, RX);
    delete_link("vt0");
    const clock_t before = clock();
    rig_run(&n.r, 400);
    assert_int_equal(n.r.host_failures, 1);
    assert_in_range((clock() - before) * 1000 / CLOCKS_PER_SEC, 0, 40);
    rig_notify(&n.r, RX);
    rig_notify(&n.r, TX);
    assert_int_equal(n.r.host_failures, 1);
    net_fini(&n);
}

/* What a test that failed has left. */
static int no_tap(void **state)
{
    (void)state;
    if (!reason_to_skip && if_nametoindex("vt0") != 0) delete_link("vt0");
    return 0;
}

#define T(promise) cmocka_unit_test_setup(promise, no_tap)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(opening_attaches_and_closing_detaches),
        T(a_slip_of_the_keyboard_makes_no_interface),
        T(a_tap_in_use_is_refused),
        T(a_tap_made_for_several_queues_is_taken_too),
        T(an_fd_is_taken_over_or_refused_with_what_it_lacks),
        T(offloads_are_set),
        T(frames_cross_the_tap_both_ways),
        T(the_guest_is_told_when_the_link_goes_down_and_up),
        T(sending_into_a_tap_that_is_down_drops),
        T(a_tap_that_is_deleted_is_reported_once_and_costs_no_cpu),
    };
    return cmocka_run_group_tests(tests, namespace, NULL);
}
