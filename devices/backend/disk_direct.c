/* A disk in memory: a file of tmpfs. Its requests are done on the loop thread, since nothing is quicker than to copy,
 * and in bounded pieces: what is more than a turn's share waits for the loop's next turn.
 *
 * Can this wait? Data that is there is copied, a missing page is allocated, and a page that was swapped out is read
 * back. So it waits for what any touch of guest memory may wait for, on any thread of a VM: reclaim at a memory limit,
 * and a swap device. It never waits for what makes a disk slow: a journal, dirty limits, a network, a freeze (tmpfs has
 * none). fdatasync does nothing.
 *
 * System calls after disk_start: preadv, lseek, pwritev, fdatasync, fallocate, and those of the loop's timers. */
#include <errno.h>
#include <unistd.h>

#include "devices/backend/disk_engine.h"

/* Bytes a turn: about a millisecond of copying. */
#define TURN_BYTES DISK_COPY_MAX
/* A step takes at least this much of a turn: so many bytes are copied in the time of a system call. */
#define STEP_MIN_BYTES 4096
/* As soon as the loop comes round. */
#define NEXT_TURN_NS 0

static void begin_turn(struct disk_direct *t)
{
    t->left = TURN_BYTES;
    t->has_end = false;
}

/* The image's end is looked at once a turn: before each write it would be a sixth of a small write's time. */
static int64_t run(struct disk *d, const struct disk_step *s)
{
    struct disk_direct *t = &d->direct;
    if (disk_needs_end(d, s)) {
        const off_t end = t->has_end ? (off_t)t->end : lseek(d->fd, 0, SEEK_END);
        if (end < 0) return -errno;
        t->has_end = true;
        t->end = (uint64_t)end;
        if (disk_is_beyond(s, t->end)) return DISK_CUT_SHORT;
    }
    return disk_do_step(d, s);
}

static void spend(struct disk_direct *t, const struct disk_step *s)
{
    uint64_t cost = s->kind == STEP_ALLOCATE ? s->len / (DISK_ALLOCATE_MAX / DISK_COPY_MAX) : s->len;
    if (cost < STEP_MIN_BYTES) cost = STEP_MIN_BYTES;
    t->left -= cost < t->left ? cost : t->left;
}

/* Take r's steps until it is done (true) or the turn is over. */
static bool work(struct disk *d, struct disk_request *r)
{
    while (d->direct.left > 0) {
        int rc;
        struct disk_step s;
        disk_next_step(d, r, &s);
        spend(&d->direct, &s);
        if (disk_settle(d, r, run(d, &s), &rc)) continue;
        disk_finish(d, r, rc);
        return true;
    }
    return false;
}

static void direct_submit(struct disk *d, struct disk_request *r)
{
    struct disk_direct *t = &d->direct;
    if (!t->todo.first && work(d, r)) return;
    if (!t->todo.first) disk_come_back(d, NEXT_TURN_NS);
    disk_queue_add(&t->todo, r);
}

/* The end of a drain: the next drain has a turn of its own. */
static void direct_kick(struct disk *d)
{
    begin_turn(&d->direct);
}

static void direct_again(struct disk *d)
{
    struct disk_direct *t = &d->direct;
    begin_turn(t);
    while (t->left > 0 && t->todo.first) {
        struct disk_request *r = disk_queue_take(&t->todo);
        /* Goes behind the others, so that a small request never waits for all of a large one. */
        if (!work(d, r)) disk_queue_add(&t->todo, r);
    }
    if (t->todo.first) disk_come_back(d, NEXT_TURN_NS);
    begin_turn(t);
}

static void direct_cancel(struct disk *d)
{
    disk_queue_cancel(d, &d->direct.todo);
}

static int direct_open(struct disk *d)
{
    disk_queue_init(&d->direct.todo);
    begin_turn(&d->direct);
    return 0;
}

const struct disk_engine disk_engine_direct = {
    .name = "direct",
    .open = direct_open,
    .submit = direct_submit,
    .kick = direct_kick,
    .again = direct_again,
    .cancel = direct_cancel,
};
