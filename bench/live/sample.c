/* The threads are watched: some ten times a second, at moments that no guest's own period can keep step with. All files
 * stay open, so that a sample is two reads a vCPU. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench/live/live.h"
#include "bench/live/proc.h"
#include "vmm/base/clock.h"
#include "vmm/base/fd.h"

#define LOOK_NS   500000000u       /* from one look at other processes to the next, at least, */
#define LOOK_PART 200              /* and so many times as long as a look takes: half a percent of a CPU */
#define STAT_ROOM 65536            /* of /proc/stat up to the last CPU's line */
#define QUIET_NS  1000000000u      /* so long a VM is not quiet by chance */
#define LEAST     (LIVE_BLOCK + 1) /* samples; fewer tell nothing */

struct watched { /* a vCPU's files */
    int stat, schedstat;
};

static int open_file(pid_t pid, pid_t tid, const char *name)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/%s", (int)pid, (int)tid, name);
    return fd_own(open(path, O_RDONLY | O_CLOEXEC));
}

static int open_all(const struct live_record *r, struct watched *w, struct err *e)
{
    for (unsigned i = 0; i < r->vcpus; i++) {
        const struct live_vm *vm = &r->vm[r->vcpu[i].vm];
        w[i].stat = open_file(vm->pid, r->vcpu[i].tid, "stat");
        w[i].schedstat = open_file(vm->pid, r->vcpu[i].tid, "schedstat");
        if (w[i].stat >= 0 && w[i].schedstat >= 0) continue;
        const int rc = err_errno(e, "vm %s: /proc of its vCPU %u", vm->name, r->vcpu[i].index);
        if (rc == -ENOENT) err_hint(e, "it has ended, or this kernel was built without CONFIG_SCHED_INFO");
        return rc;
    }
    return 0;
}

/* false: the thread has ended. */
static bool read_cell(const struct watched *w, struct live_cell *out)
{
    char text[PROC_STAT_MAX];
    struct proc_stat s;
    unsigned long long ran, delay, turns;
    if (!proc_read_again(w->stat, text, sizeof(text)) || !proc_stat_parse(text, &s)) return false;
    if (!proc_read_again(w->schedstat, text, sizeof(text))) return false;
    if (sscanf(text, "%llu %llu %llu", &ran, &delay, &turns) != 3) return false;
    *out = (struct live_cell){.charged = ran,
                              .delay = delay,
                              .turns = turns,
                              .cpu = s.cpu,
                              .wants = s.state == 'R',
                              .is_stopped = s.state == 'T' || s.state == 't'};
    return s.state != 'Z' && s.state != 'X';
}

/* -1, or the vCPU that has ended; the sample then does not count. */
static int take_sample(struct live_record *r, const struct watched *w)
{
    struct live_cell *c = &r->cell[(size_t)r->samples * r->vcpus];
    r->at[r->samples] = now_ns();
    for (unsigned i = 0; i < r->vcpus; i++)
        if (!read_cell(&w[i], &c[i])) return (int)i;
    r->samples++;
    return -1;
}

/* Adds what the CPUs did so far, or takes it away (sign -1), so that the record is left with the difference. */
static void read_cpus(struct live_record *r, int sign)
{
    char *text = malloc(STAT_ROOM);
    const int fd = fd_own(open("/proc/stat", O_RDONLY | O_CLOEXEC));
    const uint64_t by = sign < 0 ? UINT64_MAX : 1; /* modulo 2^64 */
    char *save = NULL;
    r->host_ns += sign < 0 ? -now_ns() : now_ns();
    if (text && fd >= 0 && proc_read_again(fd, text, STAT_ROOM)) {
        for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
            unsigned cpu;
            struct fair_cpu_time one;
            if (!fair_cpu_line(line, &cpu, &one) || cpu >= CPU_SETSIZE) continue;
            struct live_cpu *c = &r->cpu[cpu];
            c->is_online = true;
            c->busy += one.busy * by;
            c->idle += one.idle * by;
            c->steal += one.steal * by;
        }
    }
    free(text);
    if (fd >= 0) close(fd);
}

/* A VM's process as a whole; several VMs of one process: the first of them has it. */
static uint64_t process_ns(const struct live_record *r, unsigned vm)
{
    char path[64];
    struct proc_stat s;
    for (unsigned k = 0; k < vm; k++)
        if (r->vm[k].pid == r->vm[vm].pid) return 0;
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)r->vm[vm].pid);
    return proc_stat_read(path, &s) ? s.ran_ns : 0;
}

static uint64_t own_ns(void)
{
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

/* ---- the beginning and the end ---- */

static void begin(struct live_record *r)
{
    for (unsigned k = 0; k < r->vms; k++) r->vm[k].own_ns = process_ns(r, k);
    read_cpus(r, -1);
    for (unsigned i = 0; i < r->vcpus; i++) {
        struct live_vcpu *v = &r->vcpu[i];
        cpu_set_t online;
        live_online(r, &online);
        CPU_AND(&v->cpus, &v->cpus, &online);
    }
    r->tick_ns = fair_tick_ns();
    r->slice_ns = fair_slice_ns(r->vcpu[0].tid, r->vcpus, r->slice_source);
    r->own_ns = own_ns();
}

/* What the other threads of each process were charged: all of it, less its vCPUs'. */
static void split_processes(struct live_record *r)
{
    for (unsigned k = 0; k < r->vms; k++) {
        const uint64_t now = process_ns(r, k);
        uint64_t all = now > r->vm[k].own_ns ? now - r->vm[k].own_ns : 0, vcpus = 0;
        for (unsigned i = 0; i < r->vcpus; i++)
            if (r->vm[r->vcpu[i].vm].pid == r->vm[k].pid) vcpus += (uint64_t)live_charged(r, i);
        r->vm[k].own_ns = all > vcpus ? all - vcpus : 0;
    }
}

static void read_causes(struct live_record *r)
{
    for (unsigned i = 0; i < r->vcpus; i++) {
        struct live_vcpu *v = &r->vcpu[i];
        struct cause now;
        char who[LIVE_WHO];
        if (cause_read(v->tid, &now)) continue; /* it has ended: what it was told before is what we know */
        cause_since(&now, &v->cause);
        (void)cause_changed(live_name(r, i, who), &v->cause, &now, v->changed);
        v->cause = now;
    }
}

static void note_end(struct live_record *r, unsigned vcpu)
{
    const struct live_vm *vm = &r->vm[r->vcpu[vcpu].vm];
    live_append(r->note, "vm %s ended after %.1f s: what was until then is judged", vm->name,
                (double)(now_ns() - r->at[0]) / 1e9);
}

/* What a VM did at a sample. */
static bool is_quiet(const struct live_record *r, const struct live_vm *vm, unsigned s)
{
    for (unsigned i = vm->first; i < vm->first + vm->vcpus; i++)
        if (live_at(r, s, i)->wants || live_at(r, s, i)->charged != live_at(r, s - 1, i)->charged) return false;
    return true;
}

/* A VM that was stopped or paused is due nothing meanwhile, as is one whose guest sleeps: nobody can tell which from
 * its threads, so this says what was seen. */
static void note_quiet(struct live_record *r, unsigned k)
{
    const struct live_vm *vm = &r->vm[k];
    unsigned stopped = 0;
    uint64_t quiet = 0, longest = 0, ran = 0;
    for (unsigned s = 1; s < r->samples; s++) {
        quiet = is_quiet(r, vm, s) ? quiet + r->at[s] - r->at[s - 1] : 0;
        if (quiet > longest) longest = quiet;
        stopped += live_at(r, s, vm->first)->is_stopped;
    }
    for (unsigned i = vm->first; i < vm->first + vm->vcpus; i++) ran += (uint64_t)live_charged(r, i);
    if (stopped)
        live_append(r->note, "vm %s's process was stopped by a signal for %.0f %% of the time", vm->name,
                    100.0 * stopped / (r->samples - 1));
    else if (longest >= QUIET_NS && ran > 0)
        live_append(r->note, "vm %s wanted no CPU time for %.1f s at a stretch: its guest slept, or it was paused",
                    vm->name, (double)longest / 1e9);
}

static void end(struct live_record *r)
{
    read_cpus(r, 1);
    split_processes(r);
    read_causes(r);
    for (unsigned k = 0; k < r->vms; k++) note_quiet(r, k);
    r->own_ns = own_ns() - r->own_ns;
}

/* ---- between them ---- */

/* When the next sample is due: within half a period of its time, at random (the generator is Knuth's, MMIX). */
static uint64_t next_time(const struct live_record *r, uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return r->at[0] + r->samples * LIVE_BASE_NS + (*seed >> 33) % (LIVE_BASE_NS / 2);
}

static int watch(struct live_record *r, const struct live_watch *w, const struct watched *files,
                 struct live_takers *takers)
{
    uint64_t seed = now_ns(), next_look = 0;
    int gone = -1;
    while (gone < 0 && r->samples < r->room) {
        const uint64_t before = now_ns();
        if (before >= next_look) {
            live_takers_look(takers);
            const uint64_t took = (now_ns() - before) * LOOK_PART;
            next_look = now_ns() + (took > LOOK_NS ? took : LOOK_NS);
        }
        if (r->samples > 0 && r->at[r->samples - 1] - r->at[0] >= w->duration_ns) break;
        if (r->samples > 0 && !w->sleep(w->arg, next_time(r, &seed))) break;
        gone = take_sample(r, files);
    }
    /* Whoever has waited for a VM that ended has its time by now, which is no one else's. */
    if (gone < 0) live_takers_look(takers);
    live_takers_tell(takers, r);
    return gone;
}

int live_sample(struct live_record *r, const struct live_watch *w, struct err *e)
{
    struct watched files[LIVE_VCPUS];
    struct live_takers *takers = live_takers_create(r);
    for (unsigned i = 0; i < LIVE_VCPUS; i++) files[i] = (struct watched){-1, -1};
    int rc = open_all(r, files, e);
    if (!rc && (!takers || live_record_alloc(r, (unsigned)(w->duration_ns / LIVE_BASE_NS) + 2)))
        rc = err_set(e, -ENOMEM, "no memory for a record of %u vCPUs", r->vcpus);
    if (!rc) {
        begin(r);
        const int gone = watch(r, w, files, takers);
        if (gone >= 0) note_end(r, (unsigned)gone);
        if (r->samples > 0) end(r);
        if (r->samples < LEAST)
            rc = err_set(e, -ESRCH, "%s%s", gone >= 0 ? r->note : "stopped",
                         gone >= 0 ? ", which is too little" : " before there was anything to judge");
    }
    for (unsigned i = 0; i < LIVE_VCPUS; i++) {
        if (files[i].stat >= 0) close(files[i].stat);
        if (files[i].schedstat >= 0) close(files[i].schedstat);
    }
    live_takers_destroy(takers);
    return rc;
}
