/* What a machine is made of: shared by this floor's files, seen by nobody else.
 *
 *   machine.c  build and tear down, as a list of steps
 *   slots.c    the devices: one row of a table each
 *   life.c     start, pause, resume, stop, wait; how it ends
 *   runner.c   one vCPU's thread
 *   threads.c  its threads: names, ids, how the host schedules them (sched.c, cgroup.c)
 *   stats.c    what its recorder and the kernel counted, as rows
 *   usage.c    what it takes of the host
 *
 * Threads: the control thread builds, waits and frees; runners and the I/O thread run in between. Lock: `lock` guards
 * the fields named below and the runners' want/tid/is_halted/is_gone. It is never held while a device or KVM is called,
 * and the loop's and a transport's locks are never taken while it is held.
 *
 * Whatever a device's host side does, the machine ends: no thread of it waits for a request. A vCPU that resets a
 * device waits for its last requests until the machine ends (slots_abandon); the loop never does. */
#ifndef VIREO_MACHINE_STATE_H
#define VIREO_MACHINE_STATE_H

#include "devices/virtio/virtio_mmio.h"
#include "vmm/base/forked.h"
#include "vmm/base/groups.h"
#include "vmm/base/thread_counts.h"
#include "vmm/machine/machine.h"
#include "vmm/machine/place/cgroup.h"
#include "vmm/machine/runner.h"

#define SLOT_LABEL_MAX 96 /* "disk 15 (" id ")" and room for a path's end */

struct slot { /* a virtio-mmio window with its device */
    struct machine *machine;
    struct virtio_mmio *transport;
    struct irq irq;
    uint64_t base;
    uint32_t gsi;
    /* Loop thread. */
    bool was_started, is_connected; /* was_started: a driver has been ready; is_connected: irq.fd is KVM's */
    bool is_relayed;                /* KVM could not take irq.fd: the loop hands interrupts on */
    struct log_bucket logged;       /* of refused doorbells, told again for each driver that begins */
    struct loop_source irq_source;  /* its place, until irq.fd is KVM's */
    char label[SLOT_LABEL_MAX];
};

struct disk_thread { /* of a disk, in the order of the configuration */
    struct machine *machine;
    unsigned disk;
    pid_t tid; /* 0: no thread (yet); it comes when the disk is driven or written */
};

struct vcpu_account {
    struct thread_files files;
    struct thread_counts last;       /* lock; of a vCPU that has gone */
    _Atomic uint64_t learn_again_ns; /* from then on it may be asked again where its guest's stolen time is */
};

enum machine_phase { MACHINE_BUILT, MACHINE_RUNNING, MACHINE_PAUSED, MACHINE_OVER };

struct machine {
    char name[CONFIG_ID_MAX + 1]; /* "": none */
    const struct log *log;        /* own_log */
    struct log own_log;           /* a copy of the caller's */
    struct forked forked;         /* a child of fork(2) lets go of the VM */

    struct vm vm;
    struct gmem mem;
    struct bus mmio, pio;
    struct chario *console;
    struct arch *arch;
    struct vcpu *vcpu; /* vcpu_count of them; const after machine_create, except what the kernel shares */
    struct runner *runner;
    struct runner_host runner_host;
    struct counter counter;       /* const after machine_create */
    int *stats_fd;                /* the kernel's statistics, one a vCPU; -1: none. NULL: the recorder is off */
    _Atomic double record_cost;   /* of recording an exit, in ticks; 0: not measured yet */
    struct vcpu_account *account; /* what the scheduler knows of each vCPU; NULL: the recorder is off */
    unsigned vcpu_count, slot_count;
    struct slot slot[ARCH_MAX_SLOTS];

    struct loop loop;
    bool has_io;                  /* it takes an I/O thread; const after machine_create */
    bool has_loop, has_io_thread; /* control thread */
    pthread_t io_thread;
    struct loop_timer time_limit, reminder;
    uint64_t timeout_ms;

    /* machine_stop's, which takes no lock. */
    atomic_bool stop_asked, has_begun;

    struct sched_config *sched; /* NULL: nothing asked; const after machine_create; its cgroup is NULL */
    struct cgroup *cgroup;      /* or NULL; control thread */

    pthread_mutex_t lock;
    pthread_cond_t changed; /* of anything below */
    enum machine_phase phase;
    bool is_io_gone;   /* the I/O thread has done its last */
    bool has_cookie;   /* the first vCPU's thread has a core scheduling cookie, for the others to take */
    bool is_scheduled; /* threads that wait until sched has been applied may go on */
    pid_t io_tid;      /* 0: no such thread, or not any more */
    struct disk_thread disk_thread[MACHINE_MAX_DISKS]; /* their tids; the rest is const after machine_create */
    unsigned live;                                     /* runners that have not gone */
    /* CPU time of I/O and disk threads that ended; when the last vCPU went (CLOCK_MONOTONIC). */
    uint64_t io_cpu_ns, over_ns;
    char *groups; /* the cgroups of its vCPUs, as groups_read gives them; NULL: not started, or no recorder */
    struct groups_throttled throttled_before; /* by these, when it was started */
    struct ending ending;
    struct machine_milestone milestone[MACHINE_MILESTONES];
    unsigned milestone_count;
    unsigned guest_marks; /* the guest's milestones; one more than there are places: some were lost */
    int event_fd;
};

/* slots.c */
int slots_create(struct machine *m, const struct config *cfg, struct err *e);
void slots_abandon(struct machine *m); /* no vCPU waits for a device's reset any more; any thread, without the lock */
/* After every thread has ended: stop the devices. NULL; or the name of a device whose requests the host's kernel still
 * has after timeout_ms (-1: for ever). */
const char *slots_stop(struct machine *m, int timeout_ms);
void slots_destroy(struct machine *m); /* once they are stopped, before the VM */

/* stats.c */
int stats_create(struct machine *m, struct err *e); /* after the vCPUs, before they run */
void stats_destroy(struct machine *m);              /* before the VM; legal when half built */

void stats_forked(const struct machine *m); /* in a child of fork(2): each of them keeps the VM */

/* usage.c. usage_vcpu_gone and usage_io_gone are the last act of a vCPU's thread, of the I/O thread or a disk's. */
void usage_begin(struct machine *m); /* control thread, once its threads are where they stay */
void usage_vcpu_gone(struct machine *m, unsigned vcpu);
void usage_io_gone(struct machine *m, pid_t *tid); /* *tid: its id, which becomes 0 */

/* threads.c */
int threads_create(struct machine *m, const struct config *cfg, struct err *e); /* before anything is built */
int threads_halt_poll(const struct machine *m, struct err *e);                  /* once there is a VM */
void threads_destroy(struct machine *m); /* after the VM; legal when half built */
/* Once all threads are made: do what cfg->sched asked, then let the vCPUs go. On failure they wait on until the end. */
int threads_schedule(struct machine *m, struct err *e);
void threads_here(struct machine *m, int vcpu); /* each thread calls it first: its name and id; -1: the I/O thread */
void threads_disk_here(struct disk_thread *t);  /* the same by a disk's thread */

/* life.c */
extern const struct runner_host life_runner_host; /* without its arg */
void life_end(struct machine *m, int vcpu, enum end_reason reason, uint32_t value, const char *detail);
void life_init_timers(struct machine *m);
void life_join(struct machine *m); /* everything that runs is ended and joined */
void life_mark(struct machine *m, const char *name);
void life_guest_mark(struct machine *m, uint32_t value);

#endif
