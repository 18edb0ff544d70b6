/* A console's host side: where characters go to and come from. Shared by the serial port and virtio-console: output of
 * both goes to the same place, input goes to the one the guest wrote to last (the serial port at first).
 *
 * Output: any thread (a lock inside; a line is not torn by another device's). Never blocks the guest for good: output
 * to a pipe or pty that nobody reads, or to a file system that hangs, waits a bounded time, then is dropped and
 * counted; the log tells when that begins, once for each cause, and in the end how much it was. Files are written by a
 * thread of their own (slow_file.h). Input: from the loop thread, when a source was attached. */
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
    /* CHARIO_FILE: output only. Made by chario_create if it is not there, locked as long as the chario lives, and
     * emptied after chario_start, not before; one that was made and never started is removed again. It must be none of
     * the others, which chario_create looks at. */
    const char *path;
    const struct file_name *others;
    unsigned other_count;
    int in_fd, out_fd;       /* CHARIO_FDS: borrowed; in_fd -1: no input */
    bool has_escape;         /* Ctrl-A x calls quit, Ctrl-A Ctrl-A sends one Ctrl-A, as in QEMU */
    void (*quit)(void *arg); /* loop thread */
    void *quit_arg;
    /* What is written to a regular file at most, so that a guest can't fill a file system; 0: no bound. A file that was
     * there and is not truncated (standard output, >>) may grow by so much. */
    uint64_t max_bytes;
    const struct log *log; /* outlives the chario; may be NULL */
};

struct chario;

/* Who receives input: a device that registered. room() says how many bytes it takes now; when it is 0, the backend
 * stops reading its fd until chario_input_ready. Loop thread. */
struct chario_user {
    size_t (*room)(void *arg);
    void (*input)(void *arg, const uint8_t *bytes, size_t len); /* len <= room() */
    void (*output_ready)(void *arg); /* chario_try_output took too little: try again. NULL: never calls it */
    void (*resized)(void *arg);      /* chario_size changed; NULL: nobody cares */
    void *arg;
};
enum chario_port { CHARIO_SERIAL, CHARIO_VIRTIO, CHARIO_PORTS };

int chario_create(struct chario **out, const struct chario_params *p, struct err *e);
void chario_destroy(struct chario *c);               /* flushes; NULL is legal */
const char *chario_pty_name(const struct chario *c); /* "/dev/pts/3", or NULL */

/* Start needs memory and threads of the host, but no descriptor, and waits for no file.
 * Start / stop reading input on this loop. Loop thread or before it runs. End of file on input ends input only, and a
 * terminal that is another job's now has not ended. stop writes what is left, for a second at most whatever the host's
 * side does, and says in the log how much was dropped in all. */
int chario_start(struct chario *c, struct loop *loop, struct err *e);
void chario_stop(struct chario *c);
/* Is the output a terminal, which has a size and may be resized? A file or pipe has none. */
bool chario_has_size(const struct chario *c);
void chario_size(const struct chario *c, uint16_t *cols, uint16_t *rows); /* 0 by 0: not known yet; any thread */
/* The terminal has another size now: tell the guest. A pty takes it on, and one that a peer has set is found when
 * something is typed. Any thread. 0; -ENOTTY: there is no terminal. */
int chario_resize(struct chario *c, uint16_t cols, uint16_t rows);
bool chario_has_input(const struct chario *c); /* is there an input side at all (else no loop is needed) */

void chario_attach(struct chario *c, enum chario_port port, const struct chario_user *user); /* NULL: detach */
void chario_input_ready(struct chario *c, enum chario_port port); /* room again; any thread */
void chario_output(struct chario *c, enum chario_port port, const uint8_t *bytes, size_t len);
/* The same for the loop thread, which must not wait: returns how many bytes were taken (or dropped, after a second in
 * which none were); when not all, output_ready is called. */
size_t chario_try_output(struct chario *c, enum chario_port port, const uint8_t *bytes, size_t len);
/* The machine ends: until chario_stop nobody waits for a reader any more, and who does now goes on within a moment;
 * what can't be written at once is dropped. Any thread, without a lock; NULL is legal. */
void chario_hurry(struct chario *c);
void chario_flush(struct chario *c, enum chario_port port); /* write what is collected now; any thread */
/* Bytes of output that nobody took, could not be written, or were beyond max_bytes; any thread, final after stop. */
uint64_t chario_dropped(const struct chario *c);
uint64_t chario_unheard(const struct chario *c); /* bytes of input lost on a guest that did not listen; any thread */
/* CLOCK_MONOTONIC of the first byte, 0: none yet; any thread. */
uint64_t chario_first_output_ns(const struct chario *c);

#endif
