/* The host side of a console: where its characters go to and come from. The serial port and virtio-console share it:
 * the output of both goes to the same place, and input goes to the one that the guest wrote to last (at first the
 * serial port).
 *
 * Output: any thread. There is a lock inside, so the lines of the two devices do not mix. It never blocks the guest for
 * good: when nobody reads a pipe or pty, or when a file system hangs, output waits for a bounded time, then it is
 * dropped and counted. The log tells once for each cause when that begins, and at the end how much it was. Files are
 * written by a thread of their own (slow_file.h). Input: from the loop thread, when a source was attached. */
#ifndef VIREO_DEVICES_BACKEND_CHARIO_H
#define VIREO_DEVICES_BACKEND_CHARIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/err.h"
#include "vmm/base/file.h"
#include "vmm/base/log.h"
#include "vmm/base/loop.h"

enum chario_kind { CHARIO_OFF, CHARIO_STDIO, CHARIO_FILE, CHARIO_PTY, CHARIO_FDS };

struct chario_params {
    enum chario_kind kind;
    /* CHARIO_FILE: output only. chario_create makes the file if it is not there, and the file is locked as long as the
     * chario lives. It is emptied after chario_start, not before. If it was made and never started, it is removed
     * again. chario_create refuses a file that is one of the others. */
    const char *path;
    const struct file_name *others;
    unsigned other_count;
    int in_fd, out_fd;       /* CHARIO_FDS: borrowed; in_fd -1: no input */
    bool has_escape;         /* Ctrl-A x calls quit, Ctrl-A Ctrl-A sends one Ctrl-A, as in QEMU */
    void (*quit)(void *arg); /* loop thread */
    void *quit_arg;
    /* The most that is written to a regular file, so that a guest can't fill a file system; 0: no bound. A file that
     * was there and is not truncated (standard output, >>) may grow by this much. */
    uint64_t max_bytes;
    const struct log *log; /* outlives the chario; may be NULL */
};

struct chario;

/* A device that receives input. room() says how many bytes it takes now; after a 0 the backend stops reading its fd
 * until chario_input_ready. Loop thread. */
struct chario_user {
    size_t (*room)(void *arg);
    void (*input)(void *arg, const uint8_t *bytes, size_t len); /* len <= room() */
    void (*output_ready)(void *arg); /* chario_try_output took too little: try again. NULL: never calls it */
    void (*resized)(void *arg);      /* chario_size changed; NULL: it is not told */
    void *arg;
};
enum chario_port { CHARIO_SERIAL, CHARIO_VIRTIO, CHARIO_PORTS };

int chario_create(struct chario **out, const struct chario_params *p, struct err *e);
void chario_destroy(struct chario *c);               /* flushes; NULL is legal */
const char *chario_pty_name(const struct chario *c); /* "/dev/pts/3", or NULL */

/* Start and stop reading input on this loop. Loop thread, or before the loop runs. Starting needs memory and threads of
 * the host, but no descriptor, and waits for no file. The end of file on input ends input only; a terminal that belongs
 * to another job for now has not ended. Stopping writes what is left, for a second at most whatever the host's side
 * does, and says in the log how much was dropped in all. */
int chario_start(struct chario *c, struct loop *loop, struct err *e);
void chario_stop(struct chario *c);
/* Is the output a terminal, which has a size and may be resized? A file or pipe has none. */
bool chario_has_size(const struct chario *c);
void chario_size(const struct chario *c, uint16_t *cols, uint16_t *rows); /* 0 by 0: not known yet; any thread */
/* The terminal has another size now: tell the guest. A pty is given the new size too. When a peer changes a pty's size,
 * that is found with the next input. Any thread. 0; -ENOTTY: there is no terminal. */
int chario_resize(struct chario *c, uint16_t cols, uint16_t rows);
bool chario_has_input(const struct chario *c); /* is there an input side (else no loop is needed)? */

void chario_attach(struct chario *c, enum chario_port port, const struct chario_user *user); /* NULL: detach */
void chario_input_ready(struct chario *c, enum chario_port port); /* room again; any thread */
void chario_output(struct chario *c, enum chario_port port, const uint8_t *bytes, size_t len);
/* The same for the loop thread, which must not wait: returns how many bytes were taken (or dropped, after a second in
 * which none were); when not all, output_ready is called. */
size_t chario_try_output(struct chario *c, enum chario_port port, const uint8_t *bytes, size_t len);
/* The machine ends. From now until chario_stop nobody waits for a reader; a thread that already waits goes on within a
 * moment. What can't be written at once is dropped. Any thread, without a lock; NULL is legal. */
void chario_hurry(struct chario *c);
void chario_flush(struct chario *c, enum chario_port port); /* write what is collected now; any thread */
/* Bytes of output that were dropped: nobody read them, writing failed, or they were beyond max_bytes. Any thread; final
 * after stop. */
uint64_t chario_dropped(const struct chario *c);
/* Bytes of input that were lost because the guest took none; any thread. */
uint64_t chario_unheard(const struct chario *c);
/* CLOCK_MONOTONIC of the first byte, 0: none yet; any thread. */
uint64_t chario_first_output_ns(const struct chario *c);

#endif
