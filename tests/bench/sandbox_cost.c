/* What a sandbox costs: made, cloned, called, put back; medians over ROUNDS of CLOCK_MONOTONIC, in microseconds. As an
 * embedder would measure it, by the public header. The yardstick beside it makes a bare VM: /dev/kvm, a VM, one memory
 * slot of 64 MiB, a vCPU, and closes it.
 *
 *   sandbox_cost PROGRAM [ROUNDS]         PROGRAM: tests/kvm/sandbox/inside.c */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <vireo_sandbox.h>

#define ROUNDS_MAX 10000u
#define MEMORY     (64ull << 20)

static struct vireo_error error;
static unsigned rounds = 200;
static double sample[ROUNDS_MAX];

static double now_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void tell(const char *what)
{
    qsort(sample, rounds, sizeof(sample[0]), by_value);
    printf("%-34s %10.2f %10.2f %10.2f\n", what, sample[0], sample[rounds / 2], sample[rounds * 9 / 10]);
    (void)fflush(stdout);
}

static void must(int rc, const char *what)
{
    if (!rc) return;
    fprintf(stderr, "sandbox_cost: %s: %s\n", what, error.text);
    exit(1);
}

static struct vireo_sandbox_end call(struct vireo_sandbox *s, const struct vireo_sandbox_fn *fn, size_t bytes)
{
    static char in[1 << 20], out[1 << 20];
    struct vireo_sandbox_end end;
    const struct vireo_sandbox_call c = {.fn = *fn, .in = in, .in_size = bytes, .out = out, .out_max = bytes};
    must(vireo_sandbox_call(s, &c, &end), "call");
    must(end.reason != VIREO_SANDBOX_RETURNED, end.detail);
    return end;
}

static void bare(void)
{
    static uint8_t *memory;
    if (!memory)
        memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    for (unsigned i = 0; i < rounds; i++) {
        const double began = now_us();
        const int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm = ioctl(kvm, KVM_CREATE_VM, 0ul);
        const struct kvm_userspace_memory_region slot = {.memory_size = MEMORY,
                                                         .userspace_addr = (uint64_t)(uintptr_t)memory};
        must(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot), "slot");
        const int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0ul), size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0ul);
        void *run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
        sample[i] = now_us() - began;
        (void)munmap(run, (size_t)size);
        (void)close(vcpu);
        (void)close(vm);
        (void)close(kvm);
    }
    tell("bare VM, slot and vCPU");
}

static void clones(struct vireo_sandbox_template *t)
{
    static double destroy[ROUNDS_MAX];
    for (unsigned i = 0; i < rounds; i++) {
        struct vireo_sandbox *s;
        const double began = now_us();
        must(vireo_sandbox_clone(&s, t, &error), "clone");
        sample[i] = now_us() - began;
        const double ends = now_us();
        vireo_sandbox_destroy(s);
        destroy[i] = now_us() - ends;
    }
    tell("clone");
    memcpy(sample, destroy, sizeof(sample));
    tell("destroy");
}

static void calls(struct vireo_sandbox *s, const char *name, size_t bytes, const char *what)
{
    struct vireo_sandbox_fn fn;
    struct vireo_sandbox_end end;
    const uint64_t none[6] = {0};
    must(vireo_sandbox_function(s, name, &fn, &error), name);
    for (unsigned i = 0; i < rounds; i++) {
        const double began = now_us();
        if (bytes)
            (void)call(s, &fn, bytes);
        else
            must(vireo_sandbox_call_numbers(s, &fn, none, 0, &end), "call");
        sample[i] = now_us() - began;
    }
    tell(what);
}

static void resets(struct vireo_sandbox *s, uint64_t pages)
{
    struct vireo_sandbox_fn fn;
    struct vireo_sandbox_end end;
    struct vireo_sandbox_usage u;
    char what[64];
    const uint64_t arg[6] = {pages};
    must(vireo_sandbox_function(s, "write_pages", &fn, &error), "write_pages");
    for (unsigned i = 0; i < rounds; i++) {
        if (pages) must(vireo_sandbox_call_numbers(s, &fn, arg, 0, &end), "call");
        const double began = now_us();
        must(vireo_sandbox_reset(s, &error), "reset");
        sample[i] = now_us() - began;
    }
    vireo_sandbox_usage(s, &u);
    (void)snprintf(what, sizeof(what), "reset after %llu pages (%llu)", (unsigned long long)pages,
                   (unsigned long long)u.reset_pages);
    tell(what);
}

int main(int argc, char **argv)
{
    struct vireo_sandbox_config *c = vireo_sandbox_config_create();
    struct vireo_sandbox_template *t;
    struct vireo_sandbox *s;
    struct vireo_sandbox_end end;
    if (argc < 2 || !c) return 2;
    if (argc > 2) rounds = (unsigned)strtoul(argv[2], NULL, 10);
    if (rounds == 0 || rounds > ROUNDS_MAX) rounds = ROUNDS_MAX;
    must(vireo_sandbox_config_set(c, "call", "true", &error), "call");
    printf("%-34s %10s %10s %10s   us\n", "", "min", "median", "p90");
    bare();
    for (unsigned i = 0; i < rounds; i++) {
        const double began = now_us();
        must(vireo_sandbox_create(&s, c, argv[1], NULL, &error), "create");
        sample[i] = now_us() - began;
        if (i + 1 < rounds) vireo_sandbox_destroy(s);
    }
    tell("create and load");
    must(vireo_sandbox_run(s, &end), "run");
    must(vireo_sandbox_template_create(&t, s, &error), "template");
    clones(t);
    vireo_sandbox_destroy(s);
    must(vireo_sandbox_clone(&s, t, &error), "clone");
    calls(s, "nothing", 0, "call, no bytes");
    calls(s, "take", 64, "call, 64 B in and out");
    calls(s, "take", 4096, "call, 4 KiB in and out");
    calls(s, "take", 1 << 20, "call, 1 MiB in and out");
    for (unsigned k = 0; k < 4; k++) resets(s, (const uint64_t[]){0, 1, 16, 256}[k]);
    vireo_sandbox_destroy(s);
    vireo_sandbox_template_destroy(t);
    vireo_sandbox_config_destroy(c);
    return 0;
}
