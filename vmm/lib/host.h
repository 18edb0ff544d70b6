/* Parts of vireo_host_probe: each looks at one side of the host and reports facts. */
#ifndef VIREO_LIB_HOST_H
#define VIREO_LIB_HOST_H

#include <vireo.h>

#include "vmm/config/config.h"
#include "vmm/kvm/advice.h"

struct host_probe {
    void (*fn)(void *arg, const struct vireo_host_fact *f);
    void *arg;
    bool can_run; /* false once something was reported as VIREO_MISSING */
};

struct host_name {
    const char *id, *what;
};

/* Report one fact; advice "" or what to do; the value is formatted. */
void host_fact(struct host_probe *p, struct host_name name, enum vireo_verdict v, const char *advice, const char *fmt,
               ...) __attribute__((format(printf, 5, 6)));
/* The first bytes of a small text file (/proc, /sys), NUL-terminated; "" when it can't be read. */
void host_read(const char *path, char *buf, unsigned size);

/* How /proc/cpuinfo describes the first processor. */
struct host_cpu {
    char model[64];
    struct kvm_cpu kvm;
};
void host_read_cpu(struct host_cpu *out);

/* The software behind /dev/kvm that emulates the guest's kernel code, for a sentence; NULL: the processor runs it. */
const char *host_software_kvm(void);
/* Is this a Linux kernel, by its looks: a bzImage, or an ELF file as large as only they are? */
bool host_is_linux_kernel(const char *path);
bool host_config_has_linux(const struct config *c); /* the same of its kernel, wherever that comes from */

void host_probe_kvm(struct host_probe *p);    /* /dev/kvm, module, capabilities, what guests it can run */
void host_probe_system(struct host_probe *p); /* networking, memory, optional parts of the kernel */

#endif
