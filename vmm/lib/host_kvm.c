/* What KVM offers here. The processor's flags explain, they do not decide: /dev/kvm may come from a module that needs
 * neither VT-x nor AMD-V. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "arch/arch.h"
#include "vmm/config/config.h"
#include "vmm/lib/host.h"

/* Modules that can stand behind /dev/kvm. */
static const struct module {
    const char *name;
    const char *what;
    bool is_software; /* kernel code of the guest is emulated, instruction by instruction */
} modules[] = {
    {"kvm_pvm", "PVM, virtualization in software", true},
    {"kvm_intel", "Intel VT-x", false},
    {"kvm_amd", "AMD-V", false},
};

/* The loaded one, or NULL: built into the kernel, or none. */
static const struct module *find_module(void)
{
    for (size_t i = 0; i < sizeof(modules) / sizeof(modules[0]); i++) {
        char path[64];
        (void)snprintf(path, sizeof(path), "/sys/module/%s", modules[i].name);
        if (access(path, F_OK) == 0) return &modules[i];
    }
    return NULL;
}

static bool is_x86(void)
{
    return strcmp(arch_info.name, "x86_64") == 0;
}

static const char *software_of(const struct module *m, const struct host_cpu *cpu)
{
    if (m) return m->is_software ? m->name : NULL;
    return is_x86() && cpu->kvm.is_known && !cpu->kvm.has_vmx && !cpu->kvm.has_svm
               ? "this KVM"
               : NULL; /* built in, or hidden from us */
}

const char *host_software_kvm(void)
{
    const struct module *m = find_module();
    struct host_cpu cpu = {0};
    if (!m) host_read_cpu(&cpu);
    return software_of(m, &cpu);
}

static void report_cpu(struct host_probe *p, const struct host_cpu *cpu, bool has_kvm)
{
    const struct host_name name = {"cpu", "processor"};
    const char *model = cpu->model[0] ? cpu->model : arch_info.name;
    if (cpu->kvm.has_vmx || cpu->kvm.has_svm)
        host_fact(p, name, VIREO_OK, "", "%s, %s", model, cpu->kvm.has_vmx ? "Intel VT-x" : "AMD-V");
    else if (is_x86() && !cpu->kvm.is_known)
        host_fact(p, name, VIREO_MISSING_OPTIONAL, "", "%s; whether it has VT-x or AMD-V is not known", model);
    else if (is_x86() && !has_kvm)
        host_fact(p, name, VIREO_MISSING_OPTIONAL, kvm_advice_to_load(&cpu->kvm), "%s, neither VT-x nor AMD-V", model);
    else if (is_x86())
        host_fact(p, name, VIREO_OK, "", "%s, neither VT-x nor AMD-V; KVM does without", model);
    else
        host_fact(p, name, VIREO_OK, "", "%s", model);
}

static void report_nesting(struct host_probe *p, const struct host_cpu *cpu)
{
    const struct host_name name = {"nested", "virtual host"};
    char board[64];
    host_read("/proc/device-tree/model", board, sizeof(board));
    if (strstr(cpu->model, "TCG"))
        host_fact(p, name, VIREO_OK, "latencies measured here say little; counts and order do",
                  "this host is emulated by QEMU");
    else if (cpu->kvm.has_hypervisor || strstr(board, "dummy-virt"))
        host_fact(p, name, VIREO_OK, "exits cost more here than on the bare machine", "this host is itself a VM");
    else
        host_fact(p, name, VIREO_OK, "", "no hypervisor above this host, as far as it tells");
}

static void report_module(struct host_probe *p, const struct module *m)
{
    const struct host_name name = {"kvm.module", "KVM module"};
    if (m)
        host_fact(p, name, VIREO_OK, "", "%s (%s)", m->name, m->what);
    else
        host_fact(p, name, VIREO_OK, "", "none loaded: built into the kernel, or hidden");
}

/* Can a stock kernel be the guest? Distribution kernels use instructions that an emulator of kernel code lacks. */
static void report_linux(struct host_probe *p, const struct module *m, const struct host_cpu *cpu, bool is_usable)
{
    const struct host_name name = {"linux", "stock Linux guests"};
    const char *software = software_of(m, cpu);
    const bool is_blind = is_x86() && !m && !cpu->kvm.is_known;
    if (!is_usable)
        host_fact(p, name, VIREO_MISSING_OPTIONAL, "see the lines above", "no: KVM can't be used here");
    else if (is_blind)
        host_fact(p, name, VIREO_MISSING_OPTIONAL, "mount /proc and /sys",
                  "not known: nothing tells which KVM this is");
    else if (software)
        host_fact(p, name, VIREO_MISSING_OPTIONAL,
                  "run Linux on a host with VT-x or AMD-V, or in an emulated one: scripts/lab amdv -- vireo run ...",
                  "no: %s runs the guest's kernel code in an emulator that lacks instructions Linux uses", software);
    else
        host_fact(p, name, VIREO_OK, "", "yes");
}

static void report_capabilities(struct host_probe *p, const struct vm *vm)
{
    for (const struct vm_cap *c = arch_info.caps; c->name; c++) {
        char id[48];
        (void)snprintf(id, sizeof(id), "cap.%s", c->name);
        const bool is_there = vm_check(vm, c->cap) > 0;
        const enum vireo_verdict none = c->is_needed ? VIREO_MISSING : VIREO_MISSING_OPTIONAL;
        host_fact(p, (struct host_name){id, c->name}, is_there ? VIREO_OK : none,
                  is_there || !c->is_needed ? "" : "use Linux 4.14 or newer", "%s: %s", is_there ? "yes" : "no",
                  c->use);
    }
    const bool has_steal = arch_has_steal_time(vm);
    host_fact(p, (struct host_name){"steal", "steal time"}, has_steal ? VIREO_OK : VIREO_MISSING_OPTIONAL,
              has_steal ? "" : "use a host kernel that counts run delays (CONFIG_SCHED_INFO)",
              "%s: guests that know the time taken from them", has_steal ? "yes" : "no");
    const int most = vm_check(vm, KVM_CAP_MAX_VCPUS), good = vm_check(vm, KVM_CAP_NR_VCPUS);
    host_fact(p, (struct host_name){"vcpus", "vCPUs of one VM"}, VIREO_OK, "",
              "at most %u (Vireo %u, KVM %d), %d recommended by KVM",
              most > 0 && (unsigned)most < arch_info.max_vcpus ? (unsigned)most : arch_info.max_vcpus,
              arch_info.max_vcpus, most, good);
}

/* Make a VM and destroy it; nothing runs in it. */
static void report_vm(struct host_probe *p, struct vm *vm)
{
    struct err e = {0};
    unsigned long type = 0;
    int rc = arch_vm_type(vm->kvm_fd, arch_info.ram_base + CONFIG_MEMORY_MIN, &type, &e);
    if (!rc) rc = vm_create_typed(vm, type, &e);
    const struct host_name name = {"kvm.vm", "a VM"};
    if (rc) {
        host_fact(p, name, VIREO_MISSING, e.hint, "%s", e.text);
        return;
    }
    host_fact(p, name, VIREO_OK, "", "can be created");
    report_capabilities(p, vm);
}

void host_probe_kvm(struct host_probe *p)
{
    const struct host_name name = {"kvm", "KVM device"};
    struct host_cpu cpu;
    struct err e = {0};
    struct vm vm = VM_INIT;
    host_read_cpu(&cpu);
    const bool has_kvm = kvm_open(&vm.kvm_fd, &e) == 0;
    if (has_kvm)
        host_fact(p, name, VIREO_OK, "", "/dev/kvm, API version %d", KVM_API_VERSION);
    else
        host_fact(p, name, VIREO_MISSING, e.hint, "%s", e.text);
    const struct module *m = find_module();
    report_module(p, m);
    report_cpu(p, &cpu, has_kvm || kvm_is_registered());
    report_nesting(p, &cpu);
    if (has_kvm) report_vm(p, &vm);
    report_linux(p, m, &cpu, p->can_run);
    vm_destroy(&vm);
}
