/* The yardstick: the least a program can do to run a guest on /dev/kvm, and what one exit costs it.
 *
 *   bare_kvm                       one VM, one page, one vCPU; the guest leaves at its first instruction; exit
 *   bare_kvm --loop N [--kind K]   N exits (after a warm-up), and the percentiles of their round trips
 *                                  --batch M: means of M round trips in place of single ones
 *   bare_kvm --memory MIB          and so much more memory, which the guest never touches: what it costs the
 *                                  kernel to know of it
 *
 * Start and stop are timed from outside. A round trip is from one return of KVM_RUN to the next: out of the kernel,
 * back in, the guest's two instructions, and out again. */
#include "bare.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define STATUS_USAGE  125
#define STATUS_HOST   126
#define LOOP_MAX      10000000 /* 80 MB of samples */
#define BATCH_MAX     4096
#define MEMORY_MAX    2048 /* MiB: below the page at the top of 4 GiB and x86's hole under it */
#define WARM_UP       1000 /* exits until caches and the host's own lazy set-up have settled */
#define COUNTER_READS 1000
#define NS_PER_S      1000000000ull

struct bare {
    const struct bare_kind *kind;
    uint64_t memory_mib, batch;
    int kvm_fd, vm_fd, vcpu_fd;
    struct kvm_run *run;
};

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "bare_kvm: %s: %s\n", what, strerror(errno));
    exit(STATUS_HOST);
}

static int checked(int rc, const char *what)
{
    if (rc < 0) die(what);
    return rc;
}

static void *checked_map(void *address, const char *what)
{
    if (address == MAP_FAILED) die(what);
    return address;
}

static unsigned char *add_memory(const struct bare *b, uint32_t slot, uint64_t gpa, uint64_t size)
{
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    unsigned char *memory =
        checked_map(mmap(NULL, size, PROT_READ | PROT_WRITE, flags, -1, 0), "mmap of the guest's memory");
    const struct kvm_userspace_memory_region region = {
        .slot = slot, .guest_phys_addr = gpa, .memory_size = size, .userspace_addr = (uintptr_t)memory};
    checked(ioctl(b->vm_fd, KVM_SET_USER_MEMORY_REGION, &region), "KVM_SET_USER_MEMORY_REGION");
    return memory;
}

static void open_guest(struct bare *b)
{
    b->kvm_fd = checked(open("/dev/kvm", O_RDWR | O_CLOEXEC), "open /dev/kvm");
    b->vm_fd = checked(ioctl(b->kvm_fd, KVM_CREATE_VM, 0ul), "KVM_CREATE_VM");
    unsigned char *page = add_memory(b, 0, bare_page_gpa, BARE_PAGE);
    memcpy(page + bare_code_offset, b->kind->code, b->kind->code_size);
    if (b->memory_mib) (void)add_memory(b, 1, bare_memory_gpa, b->memory_mib << 20);
    b->vcpu_fd = checked(ioctl(b->vm_fd, KVM_CREATE_VCPU, 0ul), "KVM_CREATE_VCPU");
    const int size = checked(ioctl(b->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0ul), "KVM_GET_VCPU_MMAP_SIZE");
    b->run =
        checked_map(mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, b->vcpu_fd, 0), "mmap of kvm_run");
    errno = -bare_init_vcpu(b->vm_fd, b->vcpu_fd);
    if (errno) die("set up the vCPU");
}

static void run_once(const struct bare *b)
{
    while (ioctl(b->vcpu_fd, KVM_RUN, 0ul) < 0) {
        if (errno != EINTR && errno != EAGAIN) die("KVM_RUN");
    }
    if (b->run->exit_reason == b->kind->exit_reason) return;
    fprintf(stderr, "bare_kvm: the guest left KVM_RUN for reason %u, not %u\n", b->run->exit_reason,
            b->kind->exit_reason);
    exit(STATUS_HOST);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static int compare_u64(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* What two counter reads alone measure, at best: the part of every sample that is the yardstick's own. */
static uint64_t counter_cost(void)
{
    uint64_t least = UINT64_MAX;

    for (int i = 0; i < COUNTER_READS; i++) {
        const uint64_t before = bare_ticks(), cost = bare_ticks() - before;
        if (cost < least) least = cost;
    }
    return least;
}

static void print_percentiles(const uint64_t *sorted, uint64_t count, double ns_per_tick)
{
    static const struct {
        const char *name;
        double share;
    } rows[] = {{"min", 0},       {"p50", 0.5},       {"p90", 0.9}, {"p99", 0.99},
                {"p99.9", 0.999}, {"p99.99", 0.9999}, {"max", 1}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        /* Nearest rank: the least sample that at least this share does not exceed. */
        const double rank = rows[i].share * (double)count;
        uint64_t index = (uint64_t)rank;
        if ((double)index == rank && index) index--;
        if (index >= count) index = count - 1;
        printf("  %-7s %10.0f ns %12" PRIu64 " ticks\n", rows[i].name, (double)sorted[index] * ns_per_tick,
               sorted[index]);
    }
}

static void measure(const struct bare *b, uint64_t count)
{
    uint64_t *sample = malloc(count * sizeof(*sample));

    if (!sample) die("memory for the samples");
    memset(sample, 0, count * sizeof(*sample)); /* page faults now, not between two exits */
    for (int i = 0; i < WARM_UP; i++) run_once(b);
    const uint64_t start_ns = now_ns(), start = bare_ticks();
    for (uint64_t i = 0, last = start; i < count; i++) {
        for (uint64_t n = 0; n < b->batch; n++) run_once(b);
        const uint64_t tick = bare_ticks();
        sample[i] = (tick - last) / b->batch;
        last = tick;
    }
    const uint64_t ticks = bare_ticks() - start, ns = now_ns() - start_ns;
    const double ns_per_tick = (double)ns / (double)(ticks ? ticks : 1);
    qsort(sample, count, sizeof(*sample), compare_u64);
    printf("%s: %" PRIu64 " exits in %.3f ms, %.0f a second, %.3f ticks per ns, counter's own cost %" PRIu64 " ticks\n",
           b->kind->name, count * b->batch, (double)ns / 1e6,
           (double)count * (double)b->batch * (double)NS_PER_S / (double)ns, 1 / ns_per_tick, counter_cost());
    print_percentiles(sample, count, ns_per_tick);
    free(sample);
}

static _Noreturn void usage(const char *sentence, const char *value)
{
    fprintf(stderr, "bare_kvm: %s '%s'; usage: bare_kvm [--memory 1..%d] [--loop 1..%d] [--batch 1..%d] [--kind",
            sentence, value, MEMORY_MAX, LOOP_MAX, BATCH_MAX);
    for (const struct bare_kind *k = bare_kinds; k->name; k++)
        fprintf(stderr, "%c%s", k == bare_kinds ? ' ' : '|', k->name);
    fprintf(stderr, "]\n");
    exit(STATUS_USAGE);
}

static const struct bare_kind *kind_named(const char *name)
{
    for (const struct bare_kind *k = bare_kinds; k->name; k++) {
        if (!strcmp(k->name, name)) return k;
    }
    usage("no such kind of exit on this architecture:", name);
}

static uint64_t number_up_to(const char *text, uint64_t most)
{
    char *end;
    errno = 0;
    const unsigned long value = strtoul(text, &end, 10);

    if (errno || *end || text[0] < '0' || text[0] > '9' || !value || value > most) usage("no such number:", text);
    return value;
}

int main(int argc, char **argv)
{
    struct bare b = {.kind = &bare_kinds[0], .batch = 1};
    uint64_t count = 0;

    for (int i = 1; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (!strcmp(argv[i], "--loop"))
            count = number_up_to(value, LOOP_MAX);
        else if (!strcmp(argv[i], "--batch"))
            b.batch = number_up_to(value, BATCH_MAX);
        else if (!strcmp(argv[i], "--memory"))
            b.memory_mib = number_up_to(value, MEMORY_MAX);
        else if (!strcmp(argv[i], "--kind"))
            b.kind = kind_named(value);
        else
            usage("unknown argument", argv[i]);
    }
    open_guest(&b);
    if (count)
        measure(&b, count);
    else
        run_once(&b);
    return 0;
}
