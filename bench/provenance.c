#include "bench/provenance.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "arch/arch.h"
#include "bench/arch/arch.h"
#include "vmm/base/text.h"
#include "vmm/base/version.h"

#define TEXT_MAX       256 /* bytes kept of a file under /sys, which has one word or line */
#define PARAMETERS_MAX 64  /* of a module; kvm_intel has some 30 */
#define MITIGATION_MAX 900 /* bytes of all mitigations in one string; a result holds a few more */

/* A file's first line, without white space at its end. false: it can't be read, or is empty. */
static bool read_line(const char *path, char out[TEXT_MAX])
{
    FILE *f = fopen(path, "re");
    if (!f) return false;
    size_t n = fread(out, 1, TEXT_MAX - 1, f);
    (void)fclose(f);
    out[n] = '\0';
    n = strcspn(out, "\n");
    while (n && isspace((unsigned char)out[n - 1])) n--;
    out[n] = '\0';
    text_blunt(out, n, "");
    return n > 0;
}

static json_t *text_of(const char *path)
{
    char line[TEXT_MAX];
    return read_line(path, line) ? json_string(line) : json_null();
}

static json_t *number_of(const char *path)
{
    char line[TEXT_MAX], *end;
    if (!read_line(path, line)) return json_null();
    const long long n = strtoll(line, &end, 10);
    return *end ? json_null() : json_integer(n);
}

/* The value of the first "key : value" in /proc/cpuinfo; null: there is none. */
static json_t *cpuinfo(const char *key)
{
    char line[TEXT_MAX];
    const size_t len = strlen(key);
    json_t *found = NULL;
    FILE *f = fopen("/proc/cpuinfo", "re");
    while (f && !found && fgets(line, sizeof(line), f)) {
        char *value = strchr(line, ':');
        if (strncmp(line, key, len) != 0 || !value) continue;
        value += 1 + strspn(value + 1, " \t");
        value[strcspn(value, "\n")] = '\0';
        found = json_string(value);
    }
    if (f) (void)fclose(f);
    return found ? found : json_null();
}

/* The module by which KVM uses the processor. NULL: it is built in, and nothing tells which one. */
static const char *kvm_module(void)
{
    static const char *const names[] = {"kvm_intel", "kvm_amd", "kvm_pvm"};
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[TEXT_MAX];
        (void)snprintf(path, sizeof(path), "/sys/module/%s", names[i]);
        if (access(path, F_OK) == 0) return names[i];
    }
    return NULL;
}

static void add_parameters(json_t *out, const char *module)
{
    char path[TEXT_MAX * 2];
    (void)snprintf(path, sizeof(path), "/sys/module/%s/parameters", module);
    DIR *dir = opendir(path);
    const struct dirent *entry;
    while (dir && json_object_size(out) < PARAMETERS_MAX && (entry = readdir(dir)) != NULL) {
        char value[TEXT_MAX];
        if (entry->d_name[0] == '.') continue;
        (void)snprintf(path, sizeof(path), "/sys/module/%s/parameters/%s", module, entry->d_name);
        if (read_line(path, value)) json_object_set_new(out, entry->d_name, json_string(value));
    }
    if (dir) closedir(dir);
}

static json_t *mitigations(void)
{
    static const char where[] = "/sys/devices/system/cpu/vulnerabilities";
    char all[MITIGATION_MAX];
    size_t len = 0;
    DIR *dir = opendir(where);
    const struct dirent *entry;
    while (dir && (entry = readdir(dir)) != NULL) {
        char path[TEXT_MAX * 2], state[TEXT_MAX];
        if (entry->d_name[0] == '.') continue;
        (void)snprintf(path, sizeof(path), "%s/%s", where, entry->d_name);
        if (!read_line(path, state) || strcmp(state, "Not affected") == 0) continue;
        const int n = snprintf(all + len, sizeof(all) - len, "%s%s: %.60s", len ? "; " : "", entry->d_name, state);
        if (n < 0 || (size_t)n >= sizeof(all) - len) break;
        len += (size_t)n;
    }
    if (!dir) return json_null();
    closedir(dir);
    return len ? json_stringn(all, len) : json_string("none needed");
}

/* Bochs gives its name only by its firmware. */
static bool is_bochs(void)
{
    char line[TEXT_MAX];
    return (read_line("/sys/class/dmi/id/bios_vendor", line) && strcasestr(line, "bochs")) ||
           (read_line("/sys/class/dmi/id/sys_vendor", line) && strcasestr(line, "bochs"));
}

static json_t *host(void)
{
    struct arch_bench_host h;
    struct utsname u = {0};
    arch_bench_host(&h);
    (void)uname(&u);
    if (!h.hypervisor[0] && is_bochs()) {
        h.nature = "emulated";
        (void)snprintf(h.hypervisor, sizeof(h.hypervisor), "Bochs");
    }
    const char *module = kvm_module();
    json_t *parameters = json_object();
    add_parameters(parameters, "kvm");
    if (module) add_parameters(parameters, module);
    json_t *cpu = cpuinfo("model name");
    if (json_is_null(cpu)) cpu = cpuinfo("CPU part");
    return json_pack("{s:s, s:o, s:o, s:s, s:s?, s:o, s:o, s:o, s:o, s:o, s:i, s:s?}", "nature", h.nature, "cpu", cpu,
                     "microcode", cpuinfo("microcode"), "kernel", u.release, "module", module, "parameters", parameters,
                     "halt_poll_ns", number_of("/sys/module/kvm/parameters/halt_poll_ns"), "mitigations", mitigations(),
                     "governor", text_of("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"), "smt",
                     text_of("/sys/devices/system/cpu/smt/control"), "cpus", (int)sysconf(_SC_NPROCESSORS_ONLN),
                     "hypervisor", h.hypervisor[0] ? h.hypervisor : NULL);
}

json_t *provenance_environment(const char *kind)
{
    char now[32];
    struct tm tm;
    const time_t t = time(NULL);
    if (!gmtime_r(&t, &tm) || !strftime(now, sizeof(now), "%Y-%m-%dT%H:%M:%SZ", &tm)) now[0] = '\0';
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:o}", "type", "environment", "kind", kind, "arch", arch_info.name,
                     "vireo", BUILD_VERSION, "time", now, "host", host());
}

json_t *provenance_counter(const struct counter *c, bool is_shared, uint64_t offset_error)
{
    return json_pack("{s:s, s:f, s:b, s:I}", "name", c->name, "hz", counter_hz(c), "is_shared", is_shared,
                     "offset_error", (json_int_t)offset_error);
}
