#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "bench/fair/fair.h"
#include "vmm/config/value.h"

#define SECOND_NS        1000000000ull
#define DURATION_NS      (8 * SECOND_NS) /* two dozen runs of it take three minutes */
#define QUICK_NS         (2 * SECOND_NS)
#define DURATION_LEAST   SECOND_NS /* less holds no window that fits often enough */
#define WEIGHT_MAX       64u       /* from nice 0 to 19, a factor of 68 */
#define HOLD_PERCENT_MAX 90u
#define WORD_MAX         64

static const uint64_t default_windows[] = {50, 100, 200, 500, 1000, 2000, 5000, 10000, 30000}; /* ms */

void fair_options_init(void *options)
{
    struct fair_options *o = options;
    o->experiments = (1u << FAIR_ITEM_COUNT) - 1;
}

void fair_options_fini(void *options)
{
    struct fair_options *o = options;
    free(o->cgroup);
    o->cgroup = NULL;
}

/* The next word of a list, cut out; false: an empty one, too long, or none is left. */
static bool next_word(const char **list, char separator, char word[WORD_MAX])
{
    const char *end = strchr(*list, separator);
    const size_t len = end ? (size_t)(end - *list) : strlen(*list);
    if (len == 0 || len >= WORD_MAX) return false;
    memcpy(word, *list, len);
    word[len] = '\0';
    *list = end ? end + 1 : NULL;
    return true;
}

static int set_experiments(void *options, const char *value, struct err *e)
{
    struct fair_options *o = options;
    char word[WORD_MAX];
    uint32_t chosen = 0;

    for (const char *list = value; list;) {
        unsigned i = 0;
        const bool is_word = next_word(&list, ',', word);
        while (is_word && i < FAIR_ITEM_COUNT && strcasecmp(word, fair_item[i].id) != 0) i++;
        if (!is_word || i == FAIR_ITEM_COUNT) {
            err_set(e, -EINVAL, "experiments " VALUE_SHOWN ": %s is none", value, is_word ? word : "an empty name");
            err_hint(e, "they are E1 to E8, E10, E11, E12, E14 and E15: experiments=E1,E2");
            return -EINVAL;
        }
        chosen |= 1u << i;
    }
    o->experiments = chosen;
    return 0;
}

static int set_duration(void *options, const char *value, struct err *e)
{
    struct fair_options *o = options;
    uint64_t ns;
    if (!value_time(value, &ns) || ns < DURATION_LEAST || ns > FAIR_DURATION_MAX * SECOND_NS)
        return err_set(e, -EINVAL, "duration " VALUE_SHOWN ": a time from 1s to %us, as 30s", value, FAIR_DURATION_MAX);
    o->duration_ns = ns;
    o->has_duration = true;
    return 0;
}

static int set_windows(void *options, const char *value, struct err *e)
{
    struct fair_options *o = options;
    char word[WORD_MAX];
    uint64_t window[FAIR_WINDOWS] = {0};
    unsigned n = 0;

    for (const char *list = value; list; n++) {
        if (n == FAIR_WINDOWS)
            return err_set(e, -EINVAL, "windows " VALUE_SHOWN ": at most %u lengths", value, FAIR_WINDOWS);
        if (!next_word(&list, ',', word) || !value_time(word, &window[n]) || window[n] == 0 ||
            window[n] % FAIR_BASE_NS || (n && window[n] <= window[n - 1]))
            return err_set(e, -EINVAL, "windows " VALUE_SHOWN ": multiples of 50ms, ascending, as 50ms,500ms,5s",
                           value);
    }
    memcpy(o->window_ns, window, n * sizeof(window[0]));
    o->window_count = n;
    o->has_windows = true;
    return 0;
}

static int set_cpus(void *options, const char *value, struct err *e)
{
    struct fair_options *o = options;
    cpu_set_t cpus;
    if (!value_cpus(value, &cpus)) return err_set(e, -EINVAL, "cpus " VALUE_SHOWN ": a list of CPUs, as 0-3,6", value);
    o->cpus = cpus;
    o->has_cpus = true;
    return 0;
}

static int set_vcpus(void *options, const char *value, struct err *e)
{
    struct fair_options *o = options;
    uint64_t n;
    if (!value_u64(value, &n) || n < 1 || n > FAIR_THREADS)
        return err_set(e, -EINVAL, "vcpus " VALUE_SHOWN ": a number from 1 to %u", value, FAIR_THREADS);
    o->vcpus = (unsigned)n;
    return 0;
}

static int set_weights(void *options, const char *value, struct err *e)
{
    struct fair_options *o = options;
    char word[WORD_MAX];
    unsigned weight[FAIR_THREADS] = {0}, n = 0;

    for (const char *list = value; list; n++) {
        uint64_t w = 0;
        if (n == FAIR_THREADS)
            return err_set(e, -EINVAL, "weights " VALUE_SHOWN ": at most %u, one a vCPU", value, FAIR_THREADS);
        if (!next_word(&list, ':', word) || !value_u64(word, &w) || w < 1 || w > WEIGHT_MAX)
            return err_set(e, -EINVAL, "weights " VALUE_SHOWN ": numbers from 1 to %u, as 1:2:4:8", value, WEIGHT_MAX);
        weight[n] = (unsigned)w;
    }
    memcpy(o->weight, weight, n * sizeof(weight[0]));
    o->weight_count = n;
    return 0;
}

static int set_cgroup(void *options, const char *value, struct err *e)
{
    struct fair_options *o = options;
    return value_path("cgroup", value, &o->cgroup, e);
}

static int set_quick(void *options, const char *value, struct err *e)
{
    struct fair_options *o = options;
    if (!value_bool(value, &o->is_quick)) return err_set(e, -EINVAL, "quick " VALUE_SHOWN ": true or false", value);
    return 0;
}

static int set_hold(void *options, const char *value, struct err *e)
{
    struct fair_options *o = options;
    const char *list = value;
    char word[WORD_MAX];
    uint64_t vcpu = 0, percent = 0;

    if (!next_word(&list, ':', word) || !list || !value_u64(word, &vcpu) || !value_u64(list, &percent) ||
        vcpu >= FAIR_THREADS || percent < 1 || percent > HOLD_PERCENT_MAX)
        return err_set(e, -EINVAL, "hold-back " VALUE_SHOWN ": a vCPU and 1 to %u percent, as 1:10", value,
                       HOLD_PERCENT_MAX);
    o->has_hold = true;
    o->hold_vcpu = (unsigned)vcpu;
    o->hold_percent = (unsigned)percent;
    return 0;
}

const struct bench_option fair_option[] = {
    {"experiments", "LIST", "which ones, as E1,E7 (all)", false, set_experiments},
    {"duration", "TIME", "of each run (8s)", false, set_duration},
    {"windows", "LIST", "lengths to judge by, multiples of 50ms (50ms to 30s, those that fit)", false, set_windows},
    {"cpus", "LIST", "host CPUs to use, as 0-3,6 (all that this process may)", false, set_cpus},
    {"vcpus", "N", "of E1 (2, 4 and 8)", false, set_vcpus},
    {"weights", "LIST", "of E2, a vCPU each (1:2:4:8)", false, set_weights},
    {"cgroup", "PATH", "directory below which VMs get cgroups (that of this process)", false, set_cgroup},
    {"quick", NULL, "runs of 2s", false, set_quick},
    {"hold-back", "VCPU:PERCENT", "self-check: treat one vCPU unfairly, which F1 and F13 must find", false, set_hold},
    {0},
};

/* ---- together ---- */

static int check_cpus(struct fair_options *o, struct err *e)
{
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0) return err_errno(e, "cpus of this process");
    if (!o->has_cpus) {
        o->cpus = allowed;
        return 0;
    }
    for (unsigned i = 0; i < CPU_SETSIZE; i++) {
        if (!CPU_ISSET(i, &o->cpus) || CPU_ISSET(i, &allowed)) continue;
        err_set(e, -EINVAL, "cpus: CPU %u is offline, or this process may not use it", i);
        err_hint(e, "see Cpus_allowed_list in /proc/self/status and /sys/devices/system/cpu/online");
        return -EINVAL;
    }
    return 0;
}

static int check_windows(struct fair_options *o, struct err *e)
{
    if (!o->has_duration) o->duration_ns = o->is_quick ? QUICK_NS : DURATION_NS;
    if (!o->has_windows) {
        o->window_count = 0;
        for (unsigned i = 0; i < sizeof(default_windows) / sizeof(default_windows[0]); i++)
            if (default_windows[i] * 1000000 <= o->duration_ns)
                o->window_ns[o->window_count++] = default_windows[i] * 1000000;
        return 0;
    }
    const uint64_t longest = o->window_ns[o->window_count - 1];
    if (longest <= o->duration_ns) return 0;
    return err_set(e, -EINVAL, "windows: one of %.3g s does not fit into a run of %.3g s; set a longer duration",
                   (double)longest / 1e9, (double)o->duration_ns / 1e9);
}

static int check_cgroup(const struct fair_options *o, struct err *e)
{
    static const char *const file[] = {"tasks", "cgroup.procs"};
    char path[ERR_TEXT_MAX];
    bool is_group = false;

    if (!o->cgroup) return 0;
    if (access(o->cgroup, F_OK) < 0)
        return err_errno(e, "cgroup %.400s: make it first, or name one that is there", o->cgroup);
    if (access(o->cgroup, W_OK) < 0) return err_errno(e, "cgroup %.400s: write permission on it", o->cgroup);
    for (unsigned i = 0; i < sizeof(file) / sizeof(file[0]); i++) {
        (void)snprintf(path, sizeof(path), "%.400s/%s", o->cgroup, file[i]);
        is_group |= access(path, F_OK) == 0;
        if (access(path, W_OK) < 0 && errno != ENOENT) return err_errno(e, "cgroup: write permission on %.400s", path);
    }
    if (is_group) return 0;
    return err_set(e, -EINVAL, "cgroup %.400s: not a cgroup directory; they lie below /sys/fs/cgroup", o->cgroup);
}

int fair_options_check(struct fair_options *o, struct err *e)
{
    int rc = check_windows(o, e);
    if (!rc) rc = check_cpus(o, e);
    if (!rc) rc = check_cgroup(o, e);
    if (!rc && o->vcpus && o->weight_count && o->vcpus != o->weight_count)
        rc = err_set(e, -EINVAL, "weights: %u of them do not match %u vcpus; give one a vCPU", o->weight_count,
                     o->vcpus);
    return rc;
}
