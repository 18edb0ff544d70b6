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

static void put_text(struct json_out *j, const char *key, const char *path)
{
    char line[TEXT_MAX];
    json_put_string(j, key, read_line(path, line) ? line : NULL);
}

static void put_number(struct json_out *j, const char *key, const char *path)
{
    char line[TEXT_MAX], *end = line;
    const long long n = read_line(path, line) ? strtoll(line, &end, 10) : 0;
    if (end == line || *end)
        json_put_null(j, key);
    else
        json_put_int(j, key, n);
}

/* The value of the first "key : value" in /proc/cpuinfo. NULL: there is none. */
static const char *cpuinfo(const char *key, char line[TEXT_MAX])
{
    const size_t len = strlen(key);
    const char *found = NULL;
    FILE *f = fopen("/proc/cpuinfo", "re");
    while (f && !found && fgets(line, TEXT_MAX, f)) {
        const char *value = strchr(line, ':');
        line[strcspn(line, "\n")] = '\0';
        if (value && strncmp(line, key, len) == 0) found = value + 1 + strspn(value + 1, " \t");
    }
    if (f) (void)fclose(f);
    return found;
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

/* skip: those that this module has as well; NULL: none. */
static void put_parameters(struct json_out *j, const char *module, const char *skip)
{
    char path[TEXT_MAX * 2], value[TEXT_MAX];
    unsigned n = 0;
    (void)snprintf(path, sizeof(path), "/sys/module/%s/parameters", module);
    DIR *dir = opendir(path);
    const struct dirent *entry;
    while (dir && n < PARAMETERS_MAX && (entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.') continue;
        (void)snprintf(path, sizeof(path), "/sys/module/%s/parameters/%s", skip ? skip : "", entry->d_name);
        if (skip && access(path, F_OK) == 0) continue;
        (void)snprintf(path, sizeof(path), "/sys/module/%s/parameters/%s", module, entry->d_name);
        if (!read_line(path, value)) continue;
        json_put_string(j, entry->d_name, value);
        n++;
    }
    if (dir) closedir(dir);
}

static void put_mitigations(struct json_out *j)
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
    all[len] = '\0'; /* what did not fit is not begun */
    json_put_string(j, "mitigations", !dir ? NULL : len ? all : "none needed");
    if (dir) closedir(dir);
}

/* Bochs gives its name only by its firmware. */
static bool is_bochs(void)
{
    char line[TEXT_MAX];
    return (read_line("/sys/class/dmi/id/bios_vendor", line) && strcasestr(line, "bochs")) ||
           (read_line("/sys/class/dmi/id/sys_vendor", line) && strcasestr(line, "bochs"));
}

static void put_host(struct json_out *j)
{
    struct arch_bench_host h;
    struct utsname u = {0};
    char line[TEXT_MAX];
    arch_bench_host(&h);
    (void)uname(&u);
    if (!h.hypervisor[0] && is_bochs()) {
        h.nature = "emulated";
        (void)snprintf(h.hypervisor, sizeof(h.hypervisor), "Bochs");
    }
    const char *module = kvm_module(), *cpu = cpuinfo("model name", line);
    json_put_object(j, "host");
    json_put_string(j, "nature", h.nature);
    json_put_string(j, "cpu", cpu ? cpu : cpuinfo("CPU part", line));
    json_put_string(j, "microcode", cpuinfo("microcode", line));
    json_put_string(j, "kernel", u.release);
    json_put_string(j, "module", module);
    json_put_object(j, "parameters");
    put_parameters(j, "kvm", NULL);
    if (module) put_parameters(j, module, "kvm");
    json_put_end(j);
    put_number(j, "halt_poll_ns", "/sys/module/kvm/parameters/halt_poll_ns");
    put_mitigations(j);
    put_text(j, "governor", "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
    put_text(j, "smt", "/sys/devices/system/cpu/smt/control");
    json_put_int(j, "cpus", sysconf(_SC_NPROCESSORS_ONLN));
    json_put_string(j, "hypervisor", h.hypervisor[0] ? h.hypervisor : NULL);
    json_put_end(j);
}

void provenance_put(struct json_out *j, const char *kind)
{
    char now[32];
    struct tm tm;
    const time_t t = time(NULL);
    if (!gmtime_r(&t, &tm) || !strftime(now, sizeof(now), "%Y-%m-%dT%H:%M:%SZ", &tm)) now[0] = '\0';
    json_put_string(j, "kind", kind);
    json_put_string(j, "arch", arch_info.name);
    json_put_string(j, "vireo", BUILD_VERSION);
    json_put_string(j, "time", now);
    put_host(j);
}

void provenance_put_counter(struct json_out *j, const struct counter *c, bool is_shared, uint64_t offset_error)
{
    json_put_object(j, "counter");
    json_put_string(j, "name", c->name);
    json_put_real(j, "hz", counter_hz(c), 15);
    json_put_bool(j, "is_shared", is_shared);
    json_put_uint(j, "offset_error", offset_error);
    json_put_end(j);
}
