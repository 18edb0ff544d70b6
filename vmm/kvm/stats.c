#include "vmm/kvm/stats.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define NAME_SIZE_MAX 256        /* of a descriptor's name field; Linux 6 has 48 */
#define DATA_MAX      (64 << 10) /* bytes of all values: a vCPU of Linux 6 has 3 KiB, most of it histograms */

int vcpu_stats_open(const struct vcpu *v)
{
    return ioctl(v->fd, KVM_GET_STATS_FD, NULL);
}

static int read_at(int fd, void *to, size_t size, uint64_t at)
{
    const ssize_t n = pread(fd, to, size, (off_t)at);
    if (n < 0) return -errno;
    return (size_t)n == size ? 0 : -EIO;
}

static const char *unit_of(const struct kvm_stats_desc *d)
{
    switch (d->flags & KVM_STATS_UNIT_MASK) {
    case KVM_STATS_UNIT_BYTES: return "bytes";
    case KVM_STATS_UNIT_SECONDS: return d->exponent == -9 ? "ns" : "s"; /* KVM has nanoseconds only */
    case KVM_STATS_UNIT_CYCLES: return "cycles";
    case KVM_STATS_UNIT_BOOLEAN: return "bool";
    default: return "";
    }
}

static bool is_single(const struct kvm_stats_desc *d)
{
    return d->size == 1 && (d->flags & KVM_STATS_TYPE_MASK) <= KVM_STATS_TYPE_PEAK;
}

struct table {
    int fd;
    struct kvm_stats_header header;
    char *desc;
    size_t stride; /* a descriptor and its name */
    char *data;    /* all values, read at once */
    size_t size;
};

static int read_table(struct table *t)
{
    int rc = read_at(t->fd, &t->header, sizeof(t->header), 0);
    if (rc) return rc;
    if (t->header.num_desc > KVM_STATS_MAX || t->header.name_size == 0 || t->header.name_size > NAME_SIZE_MAX)
        return -EPROTO;
    t->stride = sizeof(struct kvm_stats_desc) + t->header.name_size;
    t->desc = calloc(t->header.num_desc + 1, t->stride);
    if (!t->desc) return -ENOMEM;
    return read_at(t->fd, t->desc, t->header.num_desc * t->stride, t->header.desc_offset);
}

/* The values of all, from the first to the end of the last. */
static int read_data(struct table *t)
{
    for (uint32_t i = 0; i < t->header.num_desc; i++) {
        struct kvm_stats_desc d;
        memcpy(&d, t->desc + i * t->stride, sizeof(d));
        const size_t end = d.offset + (size_t)d.size * sizeof(uint64_t);
        if (end > t->size) t->size = end;
    }
    if (t->size > DATA_MAX) return -EPROTO;
    t->data = malloc(t->size + 1);
    return t->data ? read_at(t->fd, t->data, t->size, t->header.data_offset) : -ENOMEM;
}

int kvm_stats_read(int fd, void (*fn)(void *arg, const struct kvm_stat *s), void *arg)
{
    struct table t = {.fd = fd};
    int rc = read_table(&t);
    if (!rc) rc = read_data(&t);
    for (uint32_t i = 0; !rc && i < t.header.num_desc; i++) {
        struct kvm_stats_desc d;
        struct kvm_stat s;
        const char *at = t.desc + i * t.stride;
        memcpy(&d, at, sizeof(d));
        if (!is_single(&d)) continue;
        (void)snprintf(s.name, sizeof(s.name), "%.*s", (int)t.header.name_size, at + sizeof(d));
        s.unit = unit_of(&d);
        memcpy(&s.value, t.data + d.offset, sizeof(s.value));
        fn(arg, &s);
    }
    free(t.data);
    free(t.desc);
    return rc;
}
