#include "vmm/kvm/stats.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm/base/fd.h"

#define NAME_SIZE_MAX 256        /* of a descriptor's name field; Linux 6 has 48 */
#define DATA_MAX      (64 << 10) /* bytes of all values: a vCPU of Linux 6 has 3 KiB, most of it histograms */

int vcpu_stats_open(const struct vcpu *v)
{
    return fd_own(ioctl(v->fd, KVM_GET_STATS_FD, NULL));
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

/* The kernel's types, in its order (api.rst 4.133). */
_Static_assert(KVM_STATS_TYPE_LOG_HIST == (int)KVM_STAT_LOG && KVM_STATS_TYPE_PEAK == (int)KVM_STAT_PEAK,
               "as they are");

static bool is_known(const struct kvm_stats_desc *d)
{
    const unsigned type = d->flags & KVM_STATS_TYPE_MASK;
    return type <= KVM_STATS_TYPE_PEAK ? d->size == 1 : type <= KVM_STATS_TYPE_LOG_HIST && d->size > 0;
}

static struct kvm_stats_desc desc_at(const struct kvm_stats_table *t, uint32_t i)
{
    struct kvm_stats_desc d;
    memcpy(&d, t->desc + i * t->stride, sizeof(d));
    return d;
}

static int read_descs(struct kvm_stats_table *t, int fd)
{
    int rc = read_at(fd, &t->header, sizeof(t->header), 0);
    if (rc) return rc;
    if (t->header.num_desc > KVM_STATS_MAX || t->header.name_size == 0 || t->header.name_size > NAME_SIZE_MAX)
        return -EPROTO;
    t->stride = sizeof(struct kvm_stats_desc) + t->header.name_size;
    free(t->desc); /* of a read that failed */
    t->desc = calloc(t->header.num_desc + 1, t->stride);
    if (!t->desc) return -ENOMEM;
    return read_at(fd, t->desc, t->header.num_desc * t->stride, t->header.desc_offset);
}

/* The values lie between the first and the end of the last. */
static int make_table(struct kvm_stats_table *t, int fd)
{
    const int rc = read_descs(t, fd);
    if (rc) return rc;
    for (uint32_t i = 0; i < t->header.num_desc; i++) {
        const struct kvm_stats_desc d = desc_at(t, i);
        const size_t end = d.offset + (size_t)d.size * sizeof(uint64_t);
        if (d.offset % sizeof(uint64_t)) return -EPROTO;
        if (end > t->size) t->size = end;
        t->desc[(i + 1) * t->stride - 1] = '\0'; /* of the name, which has one anyway */
    }
    if (t->size > DATA_MAX) return -EPROTO;
    t->data = malloc(t->size + 1);
    return t->data ? 0 : -ENOMEM;
}

static struct kvm_stat stat_of(const struct kvm_stats_table *t, uint32_t i, const struct kvm_stats_desc *d)
{
    struct kvm_stat s = {.name = t->desc + i * t->stride + sizeof(*d),
                         .unit = unit_of(d),
                         .type = (enum kvm_stat_type)(d->flags & KVM_STATS_TYPE_MASK)};
    if (s.type <= KVM_STAT_PEAK) {
        memcpy(&s.value, t->data + d->offset, sizeof(s.value));
    } else {
        s.bucket = (const void *)(t->data + d->offset);
        s.bucket_count = d->size;
        s.bucket_size = d->bucket_size;
    }
    return s;
}

int kvm_stats_read(int fd, struct kvm_stats_table *t, void (*fn)(void *arg, const struct kvm_stat *s), void *arg)
{
    int rc = t->data ? 0 : make_table(t, fd);
    if (!rc) rc = read_at(fd, t->data, t->size, t->header.data_offset);
    for (uint32_t i = 0; !rc && i < t->header.num_desc; i++) {
        const struct kvm_stats_desc d = desc_at(t, i);
        if (!is_known(&d)) continue;
        const struct kvm_stat s = stat_of(t, i, &d);
        fn(arg, &s);
    }
    return rc;
}

void kvm_stats_fini(struct kvm_stats_table *t)
{
    free(t->data);
    free(t->desc);
}
