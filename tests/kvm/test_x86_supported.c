/* What KVM supports is asked once in a process, however many VMs it makes and in however many threads. The linker leads
 * the library's calls of ioctl here (kvm.mk). */
#include <linux/kvm.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <vireo.h>

#include "tests/unit/unit.h"

#define THREADS 4
#define VMS     5 /* of each */

static atomic_uint asked;

int __real_ioctl(int fd, unsigned long request, void *arg);
int __wrap_ioctl(int fd, unsigned long request, void *arg);
int __wrap_ioctl(int fd, unsigned long request, void *arg)
{
    if (request == KVM_GET_SUPPORTED_CPUID) atomic_fetch_add(&asked, 1);
    return __real_ioctl(fd, request, arg);
}

/* NULL, or what went wrong. */
static void *make_some(void *arg)
{
    struct vireo_error *e = arg;
    for (int i = 0; i < VMS; i++) {
        struct vireo_config *c = vireo_config_create();
        struct vireo_vm *vm = NULL;
        int rc = vireo_config_set(c, "memory", "2M", e);
        if (!rc) rc = vireo_config_set(c, "console", "off", e);
        if (!rc) rc = vireo_vm_create(&vm, c, NULL, e);
        vireo_vm_destroy(vm);
        vireo_config_destroy(c);
        if (rc) return e->text;
    }
    return NULL;
}

static void kvm_is_asked_once_for_all_vms_of_the_process(void **state)
{
    struct vireo_error e[THREADS];
    pthread_t thread[THREADS];
    (void)state;
    if (access("/dev/kvm", R_OK | W_OK) < 0) {
        print_message("no usable /dev/kvm\n");
        skip();
    }
    /* Those that come while nobody has an answer yet ask for themselves, once at most each. */
    for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&thread[i], NULL, make_some, &e[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        void *wrong;
        pthread_join(thread[i], &wrong);
        if (wrong) fail_msg("%s", (const char *)wrong);
    }
    assert_in_range(atomic_load(&asked), 1, THREADS);
    atomic_store(&asked, 0);
    const char *wrong = make_some(&e[0]);
    if (wrong) fail_msg("%s", wrong);
    assert_int_equal(atomic_load(&asked), 0);
}

UNIT_MAIN(UNIT(kvm_is_asked_once_for_all_vms_of_the_process))
