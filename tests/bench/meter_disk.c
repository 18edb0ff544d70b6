/* Disk figures: Linux native AIO with O_DIRECT, so that each request reaches the device and a depth is what is in
 * flight. Offsets come from a generator with a fixed seed: every run asks for the same. */
#include "tests/bench/meter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KIB       1024u
#define DEPTH_MAX 32
#define BLOCK_MAX (256 * KIB)
#define ALIGN     4096 /* of memory and offsets: what O_DIRECT asks at most */
#define WARM_UP   64   /* requests, or as many as are in flight, until caches are filled */
#define SEED      0x9e3779b97f4a7c15ull

/* Large enough for a steady state, small enough to take seconds in an emulated host. */
static const struct row {
    const char *name;
    bool is_write, is_random;
    unsigned block, depth, count;
} rows[] = {
    {"write-seq-256k-depth-4", true, false, 256 * KIB, 4, 256},
    {"read-seq-256k-depth-4", false, false, 256 * KIB, 4, 256},
    {"write-seq-256k-depth-1", true, false, 256 * KIB, 1, 128},
    {"read-seq-256k-depth-1", false, false, 256 * KIB, 1, 128},
    {"write-rand-4k-depth-1", true, true, 4 * KIB, 1, 1000},
    {"read-rand-4k-depth-1", false, true, 4 * KIB, 1, 1000},
    {"write-rand-4k-depth-32", true, true, 4 * KIB, 32, 2000},
    {"read-rand-4k-depth-32", false, true, 4 * KIB, 32, 2000},
};

struct bench {
    int fd;
    uint64_t blocks; /* of the row's size, on the disk */
    uint64_t next, random;
    const struct row *row;
    aio_context_t aio;
    struct iocb cb[DEPTH_MAX];
    unsigned char *buffer; /* BLOCK_MAX for each in flight */
};

static uint64_t next_offset(struct bench *b)
{
    b->random ^= b->random << 13;
    b->random ^= b->random >> 7;
    b->random ^= b->random << 17;
    return (b->row->is_random ? b->random : b->next++) % b->blocks * b->row->block;
}

static void submit(struct bench *b, unsigned slot)
{
    struct iocb *cb = &b->cb[slot];
    *cb = (struct iocb){
        .aio_data = slot,
        .aio_lio_opcode = b->row->is_write ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD,
        .aio_fildes = (uint32_t)b->fd,
        .aio_buf = (uintptr_t)(b->buffer + (size_t)slot * BLOCK_MAX),
        .aio_nbytes = b->row->block,
        .aio_offset = (int64_t)next_offset(b),
    };
    if (syscall(SYS_io_submit, b->aio, 1L, &cb) != 1) meter_die("io_submit");
}

/* `count` requests, the row's depth of them in flight as long as there are enough left. */
static void run(struct bench *b, unsigned count)
{
    struct io_event done[DEPTH_MAX];
    unsigned begun = 0, ended = 0;
    while (begun < b->row->depth && begun < count) submit(b, begun++);
    while (ended < count) {
        const long n = syscall(SYS_io_getevents, b->aio, 1L, (long)DEPTH_MAX, done, NULL);
        if (n < 1) meter_die("io_getevents");
        for (long i = 0; i < n; i++, ended++) {
            errno = EIO;
            if (done[i].res != (int64_t)b->row->block) meter_die(b->row->name);
            if (begun < count) begun++, submit(b, (unsigned)done[i].data);
        }
    }
}

static void measure(struct bench *b, const struct row *row, uint64_t size)
{
    b->row = row;
    b->blocks = size / row->block;
    b->next = 0;
    b->random = SEED;
    run(b, WARM_UP);
    const double begin = meter_now();
    run(b, row->count);
    const double seconds = meter_now() - begin;
    if (row->is_random) {
        meter_figure(row->name, row->count / seconds, "requests/s");
    } else {
        meter_figure(row->name, (double)row->count * row->block / seconds / 1e6, "MB/s");
    }
}

void meter_disk(const char *path)
{
    struct bench b = {.fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC)};
    if (b.fd < 0) meter_die(path);
    const off_t size = lseek(b.fd, 0, SEEK_END);
    errno = ENOSPC;
    if (size < (off_t)BLOCK_MAX) meter_die(path);
    b.buffer = aligned_alloc(ALIGN, (size_t)DEPTH_MAX * BLOCK_MAX);
    if (!b.buffer) meter_die("memory");
    memset(b.buffer, 0x5a, (size_t)DEPTH_MAX * BLOCK_MAX); /* page faults now, not in between */
    if (syscall(SYS_io_setup, DEPTH_MAX, &b.aio) != 0) meter_die("io_setup");
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) measure(&b, &rows[i], (uint64_t)size);
    (void)syscall(SYS_io_destroy, b.aio);
    free(b.buffer);
    close(b.fd);
}
