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

#include "devices/backend/tap.h"
#include "devices/devices.h"
#include "devices/virtio/virtio_mmio.h"
#include "tests/unit/virtio/mmio_registers.h"
#include "tests/unit/virtio/ring.h"
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

static void assert_is_attached_to(const struct net_backend *t, const char *name)
{
    struct ifreq r = {0};
    assert_int_equal(ioctl(t->frame_fd, TUNGETIFF, &r), 0);
    assert_string_equal(r.ifr_name, name);
}

static void opening_attaches_and_closing_detaches(void **state)
{
    NEED_TAPS();
    make_tap("vt0", IFF_TAP | IFF_NO_PI);
    for (unsigned i = 0; i < 2; i++) {
        struct net_backend *t = NULL;
        int size = 0;
        assert_int_equal(tap_open(&t, "vt0", NULL), 0);
        assert_is_attached_to(t, "vt0");
        assert_int_equal(ioctl(t->frame_fd, TUNGETVNETHDRSZ, &size), 0);
        assert_int_equal(size, HDR);
        assert_true(fcntl(t->frame_fd, F_GETFL) & O_NONBLOCK);
        net_backend_close(t);
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
        struct net_backend *t = NULL;
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
    struct net_backend *t = NULL;
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
    struct net_backend *t = NULL;
    NEED_TAPS();
    make_tap("vt0", IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE);
    assert_int_equal(tap_open(&t, "vt0", NULL), 0);
    net_backend_close(t);
    delete_tap("vt0", IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE);
}

static void an_fd_is_taken_over_or_refused_with_what_it_lacks(void **state)
{
    struct net_backend *t = NULL;
    struct err e = {0};
    int end[2];
    NEED_TAPS();
    const int good = attach_new("vt0", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
    assert_int_equal(tap_open_fd(&t, good, &e), 0);
    assert_is_attached_to(t, "vt0");
    assert_true(t->frame_fd != good);
    assert_int_equal(t->ops->link(t), 1);
    net_backend_close(t);
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
    struct net_backend *t = NULL;
    NEED_TAPS();
    make_tap("vt0", IFF_TAP | IFF_NO_PI);
    assert_int_equal(tap_open(&t, "vt0", NULL), 0);
    assert_int_equal(t->ops->set_offloads(t, NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6 | NET_OFFLOAD_ECN),
                     0);
    assert_int_equal(t->ops->set_offloads(t, 1u << 31), -EINVAL);
    assert_int_equal(t->ops->set_offloads(t, 0), 0);
    net_backend_close(t);
    delete_tap("vt0", IFF_TAP | IFF_NO_PI);
}

/* The next transfers of frames fail with it. */
static int transfer_error;

ssize_t __real_readv(int fd, const struct iovec *v, int count);
ssize_t __wrap_readv(int fd, const struct iovec *v, int count);
ssize_t __wrap_readv(int fd, const struct iovec *v, int count)
{
    if (transfer_error == 0) return __real_readv(fd, v, count);
    errno = transfer_error;
    return -1;
}
ssize_t __real_writev(int fd, const struct iovec *v, int count);
ssize_t __wrap_writev(int fd, const struct iovec *v, int count);
ssize_t __wrap_writev(int fd, const struct iovec *v, int count)
{
    if (transfer_error == 0) return __real_writev(fd, v, count);
    errno = transfer_error;
    return -1;
}

static void what_the_kernel_says_of_a_frame_is_told_as_the_contract_has_it(void **state)
{
    static const struct {
        int error, received, sent;
    } cases[] = {
        {ENOMEM, -EAGAIN, -EBADMSG}, {ENOBUFS, -EAGAIN, -EBADMSG}, {EAGAIN, -EAGAIN, -EAGAIN},
        {EINTR, -EAGAIN, -EAGAIN},   {EINVAL, -EBADMSG, -EBADMSG}, {EFAULT, -EBADMSG, -EBADMSG},
        {EIO, -EBADFD, -EBADMSG},    {EBADFD, -EBADFD, -EBADFD},   {EPERM, -EPERM, -EBADMSG},
    };
    struct net_backend *t = NULL;
    uint8_t byte = 0;
    const struct iovec v = {&byte, 1};
    NEED_TAPS();
    make_tap("vt0", IFF_TAP | IFF_NO_PI);
    assert_int_equal(tap_open(&t, "vt0", NULL), 0);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        transfer_error = cases[i].error;
        assert_int_equal(t->ops->receive(t, &v, 1), cases[i].received);
        assert_int_equal(t->ops->send(t, &v, 1), cases[i].sent);
    }
    transfer_error = 0;
    net_backend_close(t);
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
    struct net_backend *t = NULL;
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

/* What finds it: whichever of its two descriptors the loop reads first, or a frame that is sent before. */
static void a_tap_that_is_deleted_is_told_once_and_costs_no_cpu(void **state)
{
    NEED_TAPS();
    for (unsigned is_found_by_sending = 0; is_found_by_sending < 2; is_found_by_sending++) {
        struct net_rig n;
        net_init(&n, 0);
        const struct ring_seg rx = {rig_alloc(&n.r, 2048), 2048, true};
        const struct ring_seg tx = {rig_alloc(&n.r, HDR + 60), HDR + 60, false};
        for (unsigned i = 0; i < 64; i++) ring_add(&n.r.ring[RX], &rx, 1);
        rig_notify(&n.r, RX);
        delete_link("vt0");
        if (is_found_by_sending) {
            ring_add(&n.r.ring[TX], &tx, 1);
            rig_notify(&n.r, TX);
            assert_int_equal(n.r.host_errors, 1);
        }
        rig_run(&n.r, 400);
        assert_int_equal(n.r.host_errors, 1);
        const clock_t before = clock();
        rig_run(&n.r, 400);
        /* Half of what a loop that spins takes. */
        assert_in_range((clock() - before) * 1000 / CLOCKS_PER_SEC, 0, 200);
        rig_notify(&n.r, RX);
        rig_notify(&n.r, TX);
        assert_int_equal(n.r.host_errors, 1);
        assert_int_equal(n.r.host_failures, 0);
        net_fini(&n);
    }
}

static void a_tap_that_gets_another_name_is_watched_under_it(void **state)
{
    struct net_rig n;
    NEED_TAPS();
    net_init(&n, NET_F_STATUS);
    set_up("vt0", false);
    assert_int_equal(system("ip link set vt0 name vt1"), 0);
    rig_run(&n.r, 20);
    assert_int_equal(link_status(&n), 0);
    set_up("vt1", true);
    rig_run(&n.r, 20);
    assert_int_equal(link_status(&n), NET_S_LINK_UP);
    net_fini(&n);
    delete_link("vt1");
}

/* ---- a whole card: its driver at the registers, and the loop */

struct card {
    struct ring_mem mem;
    struct ring ring[2];
    struct loop loop;
    struct irq irq;
    struct log log;
    struct virtio_mmio *t;
    unsigned log_lines, host_failures;
    char line[256];
};

static void on_log(void *arg, enum log_level level, const char *line)
{
    struct card *c = arg;
    (void)level;
    c->log_lines++;
    snprintf(c->line, sizeof(c->line), "%s", line);
}

static void on_host_failed(void *arg, const char *device, const char *why)
{
    struct card *c = arg;
    (void)device;
    (void)why;
    c->host_failures++;
}

static void card_init(struct card *c)
{
    struct virtio_dev *d = NULL;
    struct net_backend *t = NULL;
    *c = (struct card){.log = {on_log, c, LOG_DEBUG}};
    make_tap("vt0", IFF_TAP | IFF_NO_PI);
    set_up("vt0", true);
    ring_mem_init(&c->mem);
    assert_int_equal(loop_init(&c->loop, NULL), 0);
    assert_int_equal(irq_init(&c->irq, NULL), 0);
    assert_int_equal(tap_open(&t, "vt0", NULL), 0);
    assert_int_equal(virtio_net_create(&d, t, NULL, 0, NULL), 0);
    const struct virtio_mmio_params p = {.dev = d,
                                         .mem = &c->mem.gmem,
                                         .loop = &c->loop,
                                         .irq = c->irq,
                                         .host = {.host_failed = on_host_failed, .arg = c},
                                         .log = &c->log,
                                         .label = "net 0 (vt0)"};
    assert_int_equal(virtio_mmio_create(&c->t, &p, NULL), 0);
}

static void card_fini(struct card *c)
{
    virtio_mmio_destroy(c->t);
    loop_fini(&c->loop);
    irq_fini(&c->irq);
    ring_mem_fini(&c->mem);
}

static uint32_t card_read(struct card *c, uint64_t reg)
{
    return (uint32_t)virtio_mmio_bus_ops.read(c->t, reg, 4);
}

static void card_write(struct card *c, uint64_t reg, uint64_t value)
{
    virtio_mmio_bus_ops.write(c->t, reg, 4, (uint32_t)value);
}

static void card_address(struct card *c, uint64_t reg, uint64_t gpa)
{
    card_write(c, reg, gpa & UINT32_MAX);
    card_write(c, reg + 4, gpa >> 32);
}

static void stop(void *arg)
{
    loop_stop(arg);
}

/* What there is to deliver is delivered. */
static void card_turn(struct card *c)
{
    for (unsigned i = 0; i < 3; i++) {
        struct loop_job job = {.fn = stop, .arg = &c->loop};
        loop_post(&c->loop, &job);
        loop_run(&c->loop);
    }
}

static void card_start(struct card *c)
{
    uint32_t status = ACK | DRIVER;
    card_write(c, STATUS, 0);
    card_write(c, STATUS, ACK);
    card_write(c, STATUS, status);
    card_write(c, DRIVER_FEATURES_SEL, 0);
    card_write(c, DRIVER_FEATURES, NET_F_STATUS | NET_F_MRG_RXBUF);
    card_write(c, DRIVER_FEATURES_SEL, 1);
    card_write(c, DRIVER_FEATURES, VIRTIO_F_VERSION_1 >> 32);
    card_write(c, STATUS, status |= FEATURES_OK);
    for (unsigned i = 0; i < 2; i++) {
        ring_init(&c->ring[i], &c->mem, 16);
        const struct virtq_config q = ring_config(&c->ring[i]);
        card_write(c, QUEUE_SEL, i);
        card_write(c, QUEUE_NUM, q.size);
        card_address(c, QUEUE_DESC, q.desc);
        card_address(c, QUEUE_DRIVER, q.avail);
        card_address(c, QUEUE_DEVICE, q.used);
        card_write(c, QUEUE_READY, 1);
    }
    card_write(c, STATUS, status | DRIVER_OK);
    card_turn(c);
    assert_int_equal(card_read(c, STATUS), status | DRIVER_OK);
}

/* A driver that hears of a change of the configuration; true: it was told, and the link is as `is_up` says. */
static bool card_hears_of_link(struct card *c, bool is_up)
{
    card_turn(c);
    const bool is_told = card_read(c, INTERRUPT_STATUS) & 2;
    card_write(c, INTERRUPT_ACK, 2);
    return is_told && (virtio_mmio_bus_ops.read(c->t, CONFIG + 6, 2) & NET_S_LINK_UP) == is_up;
}

static void card_sends_into_nothing(struct card *c)
{
    const unsigned long before = virtio_net_counts(virtio_mmio_dev(c->t)).tx_dropped;
    const struct ring_seg tx = {ring_alloc(&c->mem, HDR + 60, 16), HDR + 60, false};
    for (unsigned i = 0; i < 8; i++) ring_add(&c->ring[TX], &tx, 1);
    card_write(c, QUEUE_NOTIFY, TX);
    card_turn(c);
    assert_int_equal(ring_used_count(&c->ring[TX]), 8);
    assert_int_equal(virtio_net_counts(virtio_mmio_dev(c->t)).tx_dropped, before + 8);
}

static void card_lives_with_a_pulled_cable(struct card *c)
{
    assert_int_equal(c->host_failures, 0);
    assert_int_equal(c->log_lines, 1);
    assert_string_equal(c->line, "net 0 (vt0): the tap is gone: the guest's link is down from now on");
    for (unsigned i = 0; i < 20; i++) {
        card_start(c);
        assert_int_equal(virtio_mmio_bus_ops.read(c->t, CONFIG + 6, 2), 0);
        card_sends_into_nothing(c);
    }
    assert_int_equal(c->host_failures, 0);
    assert_int_equal(c->log_lines, 1);
}

static void a_tap_deleted_under_a_running_driver_is_a_pulled_cable_and_stays_one_over_resets(void **state)
{
    struct card c;
    NEED_TAPS();
    card_init(&c);
    card_start(&c);
    delete_link("vt0");
    assert_true(card_hears_of_link(&c, false));
    card_sends_into_nothing(&c);
    card_lives_with_a_pulled_cable(&c);
    card_fini(&c);
}

static void a_tap_deleted_while_no_driver_runs_is_a_pulled_cable_for_the_next_one(void **state)
{
    NEED_TAPS();
    for (unsigned had_driver = 0; had_driver < 2; had_driver++) {
        for (unsigned is_noticed = 0; is_noticed < 2; is_noticed++) {
            struct card c;
            card_init(&c);
            if (had_driver) card_start(&c);
            card_write(&c, STATUS, 0);
            delete_link("vt0");
            if (is_noticed) card_turn(&c);
            card_start(&c);
            card_lives_with_a_pulled_cable(&c);
            card_fini(&c);
        }
    }
}

/* Its descriptor would report the error without end, unasked. */
static void a_tap_deleted_while_no_driver_runs_leaves_the_loop_alone(void **state)
{
    struct epoll_event left[4];
    uint64_t count;
    struct card c;
    NEED_TAPS();
    card_init(&c);
    delete_link("vt0");
    card_turn(&c);
    assert_int_equal(read(c.loop.wake_fd, &count, sizeof(count)), sizeof(count)); /* of the last turn's end */
    assert_int_equal(epoll_wait(c.loop.epoll_fd, left, COUNT_OF(left), 0), 0);
    card_fini(&c);
}

/* ---- what the host lacks ---- */

/* At every limit it works, or says what the host lacks: never that there is no such tap. */
static void a_lack_of_descriptors_is_told_as_that(void **state)
{
    unsigned lacks = 0;
    NEED_TAPS();
    make_tap("vt0", IFF_TAP | IFF_NO_PI);
    for (unsigned more = 0; more < 4; more++) {
        struct net_backend *t = NULL;
        struct err e = {0};
        const struct fd_limit limit = fd_limit_set(more);
        const int rc = tap_open(&t, "vt0", &e);
        fd_limit_release(limit);
        if (rc) {
            lacks++;
            assert_int_equal(rc, -EMFILE);
            assert_int_equal(e.kind, ERR_HOST);
            assert_contains(e.text, "tap vt0: ");
            assert_contains(e.text, "Too many open files");
            assert_contains(e.hint, "ulimit -n");
        } else {
            assert_true(t->link_fd >= 0);
        }
        net_backend_close(t);
    }
    assert_int_equal(lacks, 2);
    delete_tap("vt0", IFF_TAP | IFF_NO_PI);
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
        T(what_the_kernel_says_of_a_frame_is_told_as_the_contract_has_it),
        T(frames_cross_the_tap_both_ways),
        T(the_guest_is_told_when_the_link_goes_down_and_up),
        T(sending_into_a_tap_that_is_down_drops),
        T(a_tap_that_is_deleted_is_told_once_and_costs_no_cpu),
        T(a_tap_that_gets_another_name_is_watched_under_it),
        T(a_tap_deleted_under_a_running_driver_is_a_pulled_cable_and_stays_one_over_resets),
        T(a_tap_deleted_while_no_driver_runs_is_a_pulled_cable_for_the_next_one),
        T(a_tap_deleted_while_no_driver_runs_leaves_the_loop_alone),
        T(a_lack_of_descriptors_is_told_as_that),
    };
    return cmocka_run_group_tests(tests, namespace, NULL);
}
