#include "vmm/kvm/advice.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#define KVM_PATH     "/dev/kvm"
#define LINE_MAX_LEN 4096 /* flags of a processor are about 2 KiB; what is longer is read in pieces */
#define NAME_LEN     64   /* of a group, with its NUL: 32 in practice (useradd(8)) */

/* ---- the host ---- */

/* Is word one of the blank-separated words of line? */
static bool has_word(const char *line, const char *word)
{
    const size_t len = strlen(word);
    for (const char *p = strstr(line, word); p; p = strstr(p + 1, word))
        if ((p == line || p[-1] == ' ') && (p[len] == ' ' || p[len] == '\0' || p[len] == '\n')) return true;
    return false;
}

void kvm_read_cpu(struct kvm_cpu *out)
{
    char line[LINE_MAX_LEN];
    FILE *f = fopen("/proc/cpuinfo", "re");
    *out = (struct kvm_cpu){0};
    while (f && !out->is_known && fgets(line, sizeof(line), f)) {
        const char *value = strstr(line, ": ");
        if (!value || strncmp(line, "flags", 5) != 0) continue;
        *out = (struct kvm_cpu){.is_known = true,
                                .has_vmx = has_word(value + 2, "vmx"),
                                .has_svm = has_word(value + 2, "svm"),
                                .has_hypervisor = has_word(value + 2, "hypervisor")};
    }
    if (f) (void)fclose(f);
}

bool kvm_is_registered(void)
{
    return access("/sys/class/misc/kvm", F_OK) == 0;
}

const char *kvm_advice_to_load(const struct kvm_cpu *cpu)
{
    if (cpu->has_vmx) return "load KVM: sudo modprobe kvm_intel; `vireo doctor` says more";
    if (cpu->has_svm) return "load KVM: sudo modprobe kvm_amd; `vireo doctor` says more";
    if (cpu->has_hypervisor)
        return "this host is itself a VM whose processor has neither VT-x nor AMD-V: switch nested virtualization on "
               "in "
               "the hypervisor above, then modprobe kvm_intel or kvm_amd";
    if (cpu->is_known)
        return "this processor shows neither VT-x nor AMD-V: switch virtualization on in the firmware, then modprobe "
               "kvm_intel or kvm_amd";
    return "this kernel has no KVM: on x86 modprobe kvm_intel or kvm_amd; on ARM it has to be built in, and started at "
           "exception level 2";
}

/* ---- the device file ---- */

static void advise_on_absence(struct err *e)
{
    struct kvm_cpu cpu;
    if (kvm_is_registered()) {
        err_hint(
            e,
            "KVM runs on this host, but its device file is not here: a container needs it handed in (--device " KVM_PATH
            "), elsewhere: sudo mknod " KVM_PATH " c 10 232");
        return;
    }
    kvm_read_cpu(&cpu);
    err_hint(e, "%s", kvm_advice_to_load(&cpu));
}

void kvm_advise_on_impostor(struct err *e)
{
    struct kvm_cpu cpu;
    if (kvm_is_registered()) {
        err_hint(e, "put the device in its place: sudo rm " KVM_PATH " && sudo mknod " KVM_PATH
                    " c 10 232; a container needs it handed in (--device " KVM_PATH ")");
        return;
    }
    kvm_read_cpu(&cpu);
    err_hint(e, "remove it; then %s", kvm_advice_to_load(&cpu));
}

/* The name of a group from /etc/group, as getgrgid can't be linked statically; its number where it has none. */
static void name_of_group(gid_t gid, char out[NAME_LEN])
{
    char line[LINE_MAX_LEN];
    FILE *f = fopen("/etc/group", "re");
    (void)snprintf(out, NAME_LEN, "%u", (unsigned)gid);
    while (f && fgets(line, sizeof(line), f)) { /* group(5): NAME:PASSWORD:GID:MEMBERS */
        char *rest = line;
        const char *name = strsep(&rest, ":");
        (void)strsep(&rest, ":");
        const char *number = strsep(&rest, ":");
        if (!number || strtoul(number, NULL, 10) != gid) continue;
        (void)snprintf(out, NAME_LEN, "%s", name);
        break;
    }
    if (f) (void)fclose(f);
}

/* By its mode alone: may this process read and write it? */
static bool mode_allows(const struct stat *st)
{
    if (geteuid() == 0) return true;
    if (geteuid() == st->st_uid) return (st->st_mode & 0600) == 0600;
    if (group_member(st->st_gid)) return (st->st_mode & 0060) == 0060;
    return (st->st_mode & 0006) == 0006;
}

static void advise_on_permission(struct err *e)
{
    struct stat st;
    char group[NAME_LEN];
    if (stat(KVM_PATH, &st) < 0) {
        err_hint(e, "let this user reach " KVM_PATH);
    } else if (mode_allows(&st)) {
        err_hint(
            e,
            "its mode lets this user in, so something else refuses: a container needs it handed in (--device " KVM_PATH
            "), or a security module has a rule");
    } else if ((st.st_mode & 0060) == 0060 && st.st_gid != 0 && !group_member(st.st_gid)) {
        name_of_group(st.st_gid, group);
        err_hint(e, "join the group that owns it: sudo usermod -aG %s $USER, then log in again", group);
    } else {
        name_of_group(st.st_gid, group);
        err_hint(e,
                 "its mode %04o and group %s keep this user out: sudo chgrp kvm " KVM_PATH
                 " && sudo chmod 660 " KVM_PATH ", then join the group kvm; or run as its owner",
                 st.st_mode & 07777, group);
    }
}

void kvm_advise(struct err *e, int rc)
{
    if (rc == -ENOENT || rc == -ENODEV || rc == -ENXIO) advise_on_absence(e);
    if (rc == -EACCES || rc == -EPERM) advise_on_permission(e);
}
