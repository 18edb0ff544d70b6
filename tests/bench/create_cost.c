/* What making a VM takes in a process that makes many, against the least that KVM asks of anybody who wants the same
 * machine: the VM, its memory, the split interrupt controller, the vCPU, its registers and the processor it shows. Both
 * in turns, in one process, so that the host's moods meet both; the median of the quotients of neighbours is told. The
 * first VM of the process stands alone: it asks what the later ones know. */
#include "create.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <vireo.h>

#define PAIRS       400
#define WARM_UP     10
#define MEMORY      (UINT64_C(256) << 20)
#define NS_PER_US   1e3
#define STATUS_HOST 126

/* CPU time beside the clock's: on a machine that others keep busy the first tells more. */
enum { CLOCK, CPU, KINDS };

static double us_of(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / NS_PER_US;
}

static void begin(double us[KINDS])
{
    us[CLOCK] = us_of(CLOCK_MONOTONIC);
    us[CPU] = us_of(CLOCK_THREAD_CPUTIME_ID);
}

static void end(double us[KINDS])
{
    us[CPU] = us_of(CLOCK_THREAD_CPUTIME_ID) - us[CPU];
    us[CLOCK] = us_of(CLOCK_MONOTONIC) - us[CLOCK];
}

int create_checked(int rc, const char *what)
{
    if (rc >= 0) return rc;
    fprintf(stderr, "bare: %s: %s\n", what, strerror(errno));
    exit(STATUS_HOST);
}

/* ---- with KVM alone ---- */

struct bare {
    int kvm_fd, vm_fd, vcpu_fd;
    void *memory, *run;
    size_t run_size;
};

static void bare_create(struct bare *b)
{
    b->kvm_fd = create_checked(open("/dev/kvm", O_RDWR | O_CLOEXEC), "open /dev/kvm");
    do {
        b->vm_fd = ioctl(b->kvm_fd, KVM_CREATE_VM, 0ul);
    } while (b->vm_fd < 0 && errno == EINTR);
    create_checked(b->vm_fd, "KVM_CREATE_VM");
    b->memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    create_checked(b->memory == MAP_FAILED ? -1 : 0, "mmap");
    const struct kvm_userspace_memory_region region = {.memory_size = MEMORY,
                                                       .userspace_addr = (uint64_t)(uintptr_t)b->memory};
    create_checked(ioctl(b->vm_fd, KVM_SET_USER_MEMORY_REGION, &region), "KVM_SET_USER_MEMORY_REGION");
    create_controllers(b->vm_fd);
    b->vcpu_fd = create_checked(ioctl(b->vm_fd, KVM_CREATE_VCPU, 0ul), "KVM_CREATE_VCPU");
    b->run_size = (size_t)create_checked(ioctl(b->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0ul), "KVM_GET_VCPU_MMAP_SIZE");
    b->run = mmap(NULL, b->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, b->vcpu_fd, 0);
    create_checked(b->run == MAP_FAILED ? -1 : 0, "mmap of kvm_run");
    create_registers(b->vm_fd, b->vcpu_fd);
}

static void bare_destroy(struct bare *b)
{
    munmap(b->run, b->run_size);
    close(b->vcpu_fd);
    close(b->vm_fd);
    close(b->kvm_fd);
    munmap(b->memory, MEMORY);
}

static void bare_vm(double us[KINDS])
{
    struct bare b;
    begin(us);
    bare_create(&b);
    end(us);
    bare_destroy(&b);
}

/* ---- with the library ---- */

static void vireo_vm(const struct vireo_config *c, double us[KINDS])
{
    struct vireo_error e;
    struct vireo_vm *vm = NULL;
    begin(us);
    if (vireo_vm_create(&vm, c, NULL, &e)) {
        fprintf(stderr, "vireo: %s\n", e.text);
        exit(STATUS_HOST);
    }
    end(us);
    vireo_vm_destroy(vm);
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double sorted[3][PAIRS]; /* ours, bare, their quotients */

static void report(const char *what, int kind, double ours[PAIRS][KINDS], double bare[PAIRS][KINDS])
{
    for (int i = 0; i < PAIRS; i++) {
        sorted[0][i] = ours[i][kind];
        sorted[1][i] = bare[i][kind];
        sorted[2][i] = ours[i][kind] / bare[i][kind];
    }
    for (int i = 0; i < 3; i++) qsort(sorted[i], PAIRS, sizeof(sorted[i][0]), ascending);
    printf("%-9s %.2f times the bare calls (median of %d pairs; the middle half %.2f-%.2f); medians %.0f and %.0f us, "
           "least %.0f and %.0f us\n",
           what, sorted[2][PAIRS / 2], PAIRS, sorted[2][PAIRS / 4], sorted[2][3 * PAIRS / 4], sorted[0][PAIRS / 2],
           sorted[1][PAIRS / 2], sorted[0][0], sorted[1][0]);
}

int main(void)
{
    static double ours[PAIRS][KINDS], bare[PAIRS][KINDS];
    double first[KINDS];
    struct vireo_error e;
    struct vireo_config *c = vireo_config_create();
    if (!c || vireo_config_set(c, "console", "off", &e)) return STATUS_HOST;
    vireo_vm(c, first);
    for (int i = -WARM_UP; i < PAIRS; i++) {
        bare_vm(bare[i < 0 ? 0 : i]);
        vireo_vm(c, ours[i < 0 ? 0 : i]);
    }
    vireo_config_destroy(c);
    report("by clock", CLOCK, ours, bare);
    report("CPU time", CPU, ours, bare);
    printf("the first of the process: %.0f us, %.0f us of CPU time\n", first[CLOCK], first[CPU]);
    return 0;
}
