#include "vmm/lib/host.h"

#include <errno.h>

int vireo_host_probe(void (*fn)(void *arg, const struct vireo_host_fact *f), void *arg)
{
    struct host_probe p = {.fn = fn, .arg = arg, .can_run = true};
    host_probe_kvm(&p);
    host_probe_system(&p);
    return p.can_run ? 0 : -ENODEV;
}
