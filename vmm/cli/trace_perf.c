#include "vmm/cli/trace_perf.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "vmm/cli/cli.h"

#define RING_BYTES                                                                                                     \
    (1u << 20) /* of a vCPU: 100,000 exits a second are 25 MB of records; it is read 100 times as often */
#define FORMAT_MAX (256u << 10)
#define LOOK_MS    5
#define ISA_SHIFT  40      /* a reason's upper part says of which list it is */
#define VMX_REASON 0xffffu /* below the flags (SDM vol. 3, 25.9.1) */
#define ARM_TRAP   2u      /* ARM_EXCEPTION_TRAP: then the class of the syndrome says more (Arm ARM, ESR_ELx.EC) */
#define POINTS     3

static const char *const point_name[POINTS] = {
    [TRACE_EXIT] = "kvm_exit", [TRACE_LEAVE] = "kvm_userspace_exit", [TRACE_ENTRY] = "kvm_entry"};

struct ring {
    int fd[POINTS]; /* the first has the ring, the others write there */
    struct perf_event_mmap_page *page;
    bool is_over;
};

struct trace_session {
    struct trace_format format[POINTS];
    /* What is read of kvm_exit. x86: exit_reason and isa (1: VMX, 2: SVM); arm64: ret and esr_ec. */
    const struct trace_field *reason, *isa, *class, *address;
    struct ring ring[TRACE_VCPUS_MAX];
    unsigned rings;
    uint64_t lost, seen[POINTS];
    size_t page_size;
    uint8_t record[65536]; /* one that goes over the ring's end, in a piece: its size has 16 bits */
};

/* ---- what tracefs says ---- */

static const char *const tracefs[] = {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"};

static char *read_format(const char *point, int *error)
{
    char path[128];
    for (size_t i = 0; i < sizeof(tracefs) / sizeof(tracefs[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/events/kvm/%s/format", tracefs[i], point);
        const int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 && (*error == 0 || errno != ENOENT)) *error = errno;
        if (fd < 0) continue;
        char *text = malloc(FORMAT_MAX + 1);
        size_t len = 0;
        for (ssize_t n = 1; text && n > 0 && len<FORMAT_MAX; len += n> 0 ? (size_t)n : 0)
            n = read(fd, text + len, FORMAT_MAX - len);
        (void)close(fd);
        if (text) text[len] = '\0';
        if (!text) *error = ENOMEM;
        return text;
    }
    return NULL;
}

static int no_tracefs(int error, struct vireo_error *e)
{
    if (error == EACCES || error == EPERM)
        bad_call(e, error, "the kernel's tracepoints (/sys/kernel/tracing/events/kvm)");
    else if (access("/sys/kernel/tracing/events", F_OK) != 0)
        bad_command(e, "the kernel's tracepoints can't be read: tracefs is not mounted");
    else
        bad_command(e, "this kernel has no tracepoints of KVM (/sys/kernel/tracing/events/kvm)");
    e->exit_status = STATUS_BAD_HOST;
    (void)snprintf(e->hint, sizeof(e->hint), "as root: mount -t tracefs none /sys/kernel/tracing");
    if (error == EACCES || error == EPERM)
        (void)snprintf(e->hint, sizeof(e->hint),
                       "run it as root, or with CAP_PERFMON and with read access to /sys/kernel/tracing");
    return e->code ? e->code : -ENOENT;
}

static int read_formats(struct trace_session *s, struct vireo_error *e)
{
    for (unsigned i = 0; i < POINTS; i++) {
        int error = 0;
        char *text = read_format(point_name[i], &error);
        if (!text) return no_tracefs(error, e);
        const bool is_good = trace_format_read(&s->format[i], text);
        free(text);
        if (!is_good) return bad_command(e, "tracepoint %s: its format is none that is known", point_name[i]);
    }
    const struct trace_format *f = &s->format[TRACE_EXIT];
    s->isa = trace_field(f, "isa");
    s->class = trace_field(f, "esr_ec");
    s->reason = trace_field(f, s->isa ? "exit_reason" : "ret");
    s->address = trace_field(f, s->isa ? "guest_rip" : "vcpu_pc");
    if (s->reason && s->address && (s->isa || s->class)) return 0;
    return bad_command(e, "tracepoint kvm_exit: has other fields than any that is known");
}

const char *trace_reason(const struct trace_session *s, uint64_t reason, char room[TRACE_TEXT_MAX])
{
    const uint64_t list = reason >> ISA_SHIFT, value = reason & ((UINT64_C(1) << ISA_SHIFT) - 1);
    const struct trace_format *f = &s->format[TRACE_EXIT];
    const char *name = s->isa ? trace_name(f, "exit_reason", list == 1 ? 0 : 1, value)
                       : list ? trace_name(f, "ret", 0, value)
                              : trace_name(f, "esr_ec", 0, value);
    if (name) return name;
    (void)snprintf(room, TRACE_TEXT_MAX, "%s 0x%llx", s->isa || list ? "reason" : "class", (unsigned long long)value);
    return room;
}

/* ---- perf ---- */

static int open_point(const struct trace_session *s, unsigned point, int tid)
{
    struct perf_event_attr attr = {
        .type = PERF_TYPE_TRACEPOINT,
        .size = sizeof(attr),
        .config = s->format[point].id,
        .sample_period = 1,
        .sample_type = PERF_SAMPLE_TIME | PERF_SAMPLE_RAW,
        .disabled = 1,
        .use_clockid = 1,
        .clockid = CLOCK_MONOTONIC,
        .watermark = 1,
        .wakeup_watermark = RING_BYTES / 4,
    };
    return (int)syscall(SYS_perf_event_open, &attr, tid, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

static int refused(int error, struct vireo_error *e)
{
    if (error == ESRCH) return bad_command(e, "the VM has ended meanwhile");
    bad_call(e, error, "the kernel's tracepoints (perf_event_open)");
    e->exit_status = STATUS_BAD_HOST;
    if (error == EACCES || error == EPERM)
        (void)snprintf(e->hint, sizeof(e->hint),
                       "run it as root or with CAP_PERFMON, or set kernel.perf_event_paranoid to -1");
    if (error == EMFILE) (void)snprintf(e->hint, sizeof(e->hint), "it takes three descriptors a vCPU: raise ulimit -n");
    return e->code;
}

static int open_ring(struct trace_session *s, struct ring *r, int tid, struct vireo_error *e)
{
    for (unsigned i = 0; i < POINTS; i++) {
        r->fd[i] = open_point(s, i, tid);
        if (r->fd[i] < 0) return refused(errno, e);
        if (i == 0) {
            void *p = mmap(NULL, s->page_size + RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd[0], 0);
            if (p == MAP_FAILED) return refused(errno, e);
            r->page = p;
        } else if (ioctl(r->fd[i], PERF_EVENT_IOC_SET_OUTPUT, r->fd[0]) < 0) {
            return refused(errno, e);
        }
    }
    return 0;
}

int trace_open(struct trace_session **out, const int *tid, unsigned count, struct vireo_error *e)
{
    struct trace_session *s = calloc(1, sizeof(*s));
    if (!s) return bad_call(e, ENOMEM, "memory for a trace");
    s->page_size = (size_t)sysconf(_SC_PAGESIZE);
    int rc = read_formats(s, e);
    for (unsigned i = 0; !rc && i < count && i < TRACE_VCPUS_MAX; i++) {
        s->ring[i] = (struct ring){.fd = {-1, -1, -1}};
        s->rings = i + 1;
        rc = open_ring(s, &s->ring[i], tid[i], e);
    }
    if (rc)
        trace_close(s);
    else
        *out = s;
    return rc;
}

void trace_close(struct trace_session *s)
{
    if (!s) return;
    for (unsigned i = 0; i < s->rings; i++) {
        struct ring *r = &s->ring[i];
        if (r->page) (void)munmap(r->page, s->page_size + RING_BYTES);
        for (unsigned k = POINTS; k-- > 0;)
            if (r->fd[k] >= 0) (void)close(r->fd[k]);
    }
    free(s);
}

/* ---- records ---- */

struct reader {
    void (*fn)(void *arg, unsigned vcpu, const struct trace_event *event);
    void *arg;
};

static uint64_t reason_of(const struct trace_session *s, const uint8_t *raw, size_t size)
{
    uint64_t reason = 0, more = 0;
    (void)trace_value(s->reason, raw, size, &reason);
    if (s->isa) {
        (void)trace_value(s->isa, raw, size, &more);
        return (more == 1 ? reason & VMX_REASON : reason) | more << ISA_SHIFT;
    }
    if (reason != ARM_TRAP) return reason | UINT64_C(1) << ISA_SHIFT;
    (void)trace_value(s->class, raw, size, &more);
    return more;
}

/* A sample as sample_type has it: the time, the length of the record, the record. Its first two bytes tell which
 * tracepoint's it is (common_type). */
static void take_sample(struct trace_session *s, unsigned vcpu, const uint8_t *body, size_t size,
                        const struct reader *to)
{
    struct trace_event event = {.kind = TRACE_EXIT};
    uint32_t length;
    uint16_t type;
    if (size < sizeof(event.ns) + sizeof(length) + sizeof(type)) return;
    memcpy(&event.ns, body, sizeof(event.ns));
    memcpy(&length, body + sizeof(event.ns), sizeof(length));
    const uint8_t *raw = body + sizeof(event.ns) + sizeof(length);
    const size_t have = size - sizeof(event.ns) - sizeof(length);
    if (length > have) length = (uint32_t)have;
    memcpy(&type, raw, sizeof(type));
    unsigned point = 0;
    while (point < POINTS && s->format[point].id != type) point++;
    if (point == POINTS) return;
    event.kind = (enum trace_kind)point;
    if (event.kind == TRACE_EXIT) {
        event.reason = reason_of(s, raw, length);
        (void)trace_value(s->address, raw, length, &event.address);
    }
    s->seen[point]++;
    to->fn(to->arg, vcpu, &event);
}

static void take_record(struct trace_session *s, unsigned vcpu, const uint8_t *at, const struct reader *to)
{
    struct perf_event_header h;
    memcpy(&h, at, sizeof(h));
    if (h.type == PERF_RECORD_SAMPLE) take_sample(s, vcpu, at + sizeof(h), h.size - sizeof(h), to);
    if (h.type == PERF_RECORD_LOST && h.size >= sizeof(h) + 16) { /* id, lost */
        uint64_t lost;
        memcpy(&lost, at + sizeof(h) + 8, sizeof(lost));
        s->lost += lost;
    }
}

/* Between data_tail, ours, and data_head, the kernel's (perf_event_open(2)). */
static void drain(struct trace_session *s, unsigned vcpu, const struct reader *to)
{
    struct perf_event_mmap_page *page = s->ring[vcpu].page;
    const uint8_t *data = (const uint8_t *)page + s->page_size;
    const uint64_t head = __atomic_load_n(&page->data_head, __ATOMIC_ACQUIRE);
    uint64_t tail = page->data_tail;
    while (head - tail >= sizeof(struct perf_event_header)) {
        struct perf_event_header h;
        const size_t at = tail % RING_BYTES; /* records begin at multiples of 8, so a head is never cut */
        memcpy(&h, data + at, sizeof(h));
        if (h.size < sizeof(h) || h.size > head - tail) break;
        const size_t first = RING_BYTES - at < h.size ? RING_BYTES - at : h.size;
        memcpy(s->record, data + at, first);
        memcpy(s->record + first, data, h.size - first);
        take_record(s, vcpu, s->record, to);
        tail += h.size;
    }
    __atomic_store_n(&page->data_tail, tail, __ATOMIC_RELEASE);
}

static void switch_all(const struct trace_session *s, unsigned long request)
{
    for (unsigned i = 0; i < s->rings; i++)
        for (unsigned k = 0; k < POINTS; k++) (void)ioctl(s->ring[i].fd[k], request, 0);
}

void trace_run(struct trace_session *s, uint64_t ns,
               void (*fn)(void *arg, unsigned vcpu, const struct trace_event *event), void *arg)
{
    struct pollfd fds[TRACE_VCPUS_MAX];
    const struct reader to = {fn, arg};
    const uint64_t until = now_ns() + ns;
    for (unsigned i = 0; i < s->rings; i++) fds[i] = (struct pollfd){.fd = s->ring[i].fd[0], .events = POLLIN};
    switch_all(s, PERF_EVENT_IOC_ENABLE);
    for (unsigned over = 0; over < s->rings && now_ns() < until;) {
        (void)poll(fds, s->rings, LOOK_MS);
        over = 0;
        for (unsigned i = 0; i < s->rings; i++) {
            drain(s, i, &to);
            if (fds[i].revents & (POLLHUP | POLLERR)) fds[i].fd = -1; /* the thread has ended */
            over += fds[i].fd < 0;
        }
    }
    switch_all(s, PERF_EVENT_IOC_DISABLE);
    for (unsigned i = 0; i < s->rings; i++) drain(s, i, &to);
}

uint64_t trace_lost(const struct trace_session *s)
{
    return s->lost;
}

uint64_t trace_exits(const struct trace_session *s)
{
    return s->seen[TRACE_EXIT];
}

uint64_t trace_leaves(const struct trace_session *s)
{
    return s->seen[TRACE_LEAVE];
}
