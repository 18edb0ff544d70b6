#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "bench/fair/fair.h"
#include "vmm/config/value.h"

#define SECOND_NS        1000000000ull
#define DURATION_NS      (8 * SECOND_NS) /* two dozen runs take three minutes */
#define QUICK_NS         (2 * SECOND_NS)
#define DURATION_LEAST   SECOND_NS /* a shorter run holds no window often enough */
#define WEIGHT_MAX       64u       /* from nice 0 to 19 is a factor of 68 */
#define HOLD_PERCENT_MAX 90u
#define LIST_MAX         16u /* parts of a list: windows, or weights of all vCPUs */
#define WORD_MAX         64
_Static_assert(LIST_MAX == FAIR_WINDOWS && LIST_MAX == FAIR_THREADS, "a list that is read fits");

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

/* Read each part of a list with `parse`. Returns how many there are; 0: one of them is wrong, or there are too many. */
static unsigned read_list(const char *list, char separator, bool (*parse)(const char *, uint64_t *),
                          uint64_t out[LIST_MAX])
{
    unsigned n = 0;
    for (const char *at = list; at; n++) {
        char word[WORD_MAX];
        const char *end = strchr(at, separator);
        const size_t len = end ? (size_t)(end - at) : strlen(at);
        if (n == LIST_MAX || len >= sizeof(word)) return 0;
        memcpy(word, at, len);
        word[len] = '\0';
        if (!parse(word, &out[n])) return 0;
        at = end ? end + 1 : NULL;
    }
    return n;
}

static bool read_item(const char *word, uint64_t *out)
{
    for (*out = 0; *out < FAIR_ITEM_COUNT; ++*out)
        if (strcasecmp(word, fair_item[*out].id) == 0) return true;
    return false;
}

static int set_experiments(void *options, const char *value, struct err *e)
{
    struct fair_options *o = options;
    uint64_t item[LIST_MAX];
    const unsigned n = read_list(value, ',', read_item, item);

    if (!n)
        return err_set(e, -EINVAL,
                       "experiments " VALUE_SHOWN ": a list of E1 to E8, E10, E11, E12, E14 and E15, as E1,E2", value);
    o->experiments = 0;
    for (unsigned i = 0; i < n; i++) o->experiments |= 1u << item[i];
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
    uint64_t window[LIST_MAX], longest = 0;
    const unsigned n = read_list(value, ',', value_time, window);
    bool is_good = n > 0;

    for (unsigned i = 0; i < n; longest = window[i++]) is_good &= window[i] > longest && window[i] % FAIR_BASE_NS == 0;
    if (!is_good)
        return err_set(e, -EINVAL, "windows " VALUE_SHOWN ": at most %u multiples of 50ms, ascending, as 50ms,500ms,5s",
                       value, LIST_MAX);
    memcpy(o->window_ns, window, n * sizeof(window[0]));
    o->window_count = n;
    o->has_windows = true;
    return 0;
}

static int set_cpus(void *options, const char *value, struct err *e)
{
    struct fair_options *o = options;
    if (!value_cpus(value, &o->cpus))
        return err_set(e, -EINVAL, "cpus " VALUE_SHOWN ": a list of CPUs, as 0-3,6", value);
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
    uint64_t weight[LIST_MAX];
    const unsigned n = read_list(value, ':', value_u64, weight);
    bool is_good = n > 0;

    for (unsigned i = 0; i < n; i++) is_good &= weight[i] >= 1 && weight[i] <= WEIGHT_MAX;
    if (!is_good)
        return err_set(e, -EINVAL, "weights " VALUE_SHOWN ": at most %u numbers from 1 to %u, one a vCPU, as 1:2:4:8",
                       value, LIST_MAX, WEIGHT_MAX);
    for (unsigned i = 0; i < n; i++) o->weight[i] = (unsigned)weight[i];
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
    uint64_t part[LIST_MAX]; /* the vCPU, and how many percent */

    if (read_list(value, ':', value_u64, part) != 2 || part[0] >= FAIR_THREADS || part[1] < 1 ||
        part[1] > HOLD_PERCENT_MAX)
        return err_set(e, -EINVAL, "hold-back " VALUE_SHOWN ": a vCPU and 1 to %u percent, as 1:10", value,
                       HOLD_PERCENT_MAX);
    o->has_hold = true;
    o->hold_vcpu = (unsigned)part[0];
    o->hold_percent = (unsigned)part[1];
    return 0;
}

const struct setting fair_option[] = {
    {"experiments", "LIST", "which ones, as E1,E7 (all)", .set = set_experiments},
    {"duration", "TIME", "of each run (8s)", .set = set_duration},
    {"windows", "LIST", "lengths to judge by, multiples of 50ms (50ms to 30s, those that fit)", .set = set_windows},
    {"cpus", "LIST", "host CPUs to use, as 0-3,6 (all that this process may)", .set = set_cpus},
    {"vcpus", "N", "of E1 (2, 4 and 8)", .set = set_vcpus},
    {"weights", "LIST", "of E2, a vCPU each (1:2:4:8)", .set = set_weights},
    {"cgroup", "PATH", "directory below which VMs get cgroups (that of this process)", .set = set_cgroup},
    {"quick", NULL, "runs of 2s", .set = set_quick},
    {"hold-back", "VCPU:PERCENT", "self-check: treat one vCPU unfairly, which must be found", .set = set_hold},
    {0},
};

/* ---- all of them together ---- */

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

/* A vCPU that no run has could not be found either. */
static int check_hold(const struct fair_options *o, struct err *e)
{
    struct fair_plan p;

    if (!o->has_hold) return 0;
    for (unsigned i = 0; i < FAIR_ITEM_COUNT; i++) {
        if (!(o->experiments >> i & 1)) continue;
        for (unsigned v = 0; fair_plan_make(o, i, v, &p); v++)
            if (fair_is_held_back(o, &p, o->hold_vcpu)) return 0;
    }
    return err_set(e, -EINVAL, "hold-back: no experiment that was asked for has a vCPU %u that spins; name a lower one",
                   o->hold_vcpu);
}

int fair_options_check(struct fair_options *o, struct err *e)
{
    int rc = check_windows(o, e);
    if (!rc) rc = check_cpus(o, e);
    if (!rc) rc = check_cgroup(o, e);
    if (!rc && o->vcpus && o->weight_count && o->vcpus != o->weight_count)
        rc = err_set(e, -EINVAL, "weights: %u of them do not match %u vcpus; give one a vCPU", o->weight_count,
                     o->vcpus);
    if (!rc) rc = check_hold(o, e);
    return rc;
}
