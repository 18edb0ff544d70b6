/* What a chario is made of: shared by chario*.c, seen by nobody else.
 *
 *   chario.c         when it starts and ends
 *   chario_open.c    what is opened: file, pseudo-terminal, descriptors
 *   chario_output.c  from the guest: collect, write, drop, say what was dropped
 *   chario_input.c   for the guest: read, take the escapes out, deliver
 *
 * Output and input share nothing but the descriptor numbers. Output lives under `lock`, which is never held while a
 * device is called, and a device never holds its own lock while it calls us; slow_file's and the loop's locks are taken
 * below it. Input lives on the loop thread; the only thing another thread does to it is chario_input_ready. */
#ifndef VIREO_DEVICES_BACKEND_CHARIO_STATE_H
#define VIREO_DEVICES_BACKEND_CHARIO_STATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "devices/backend/chario.h"
#include "devices/backend/slow_file.h"
#include "devices/backend/slow_input.h"
#include "vmm/base/forked.h"

#define LINE_MAX_BYTES 1024 /* collected before it is written: longer than a kernel's log line */

struct line {
    uint8_t bytes[LINE_MAX_BYTES];
    size_t len;
};

/* Why output is dropped. Each is said once, when it first happens. */
enum chario_loss { LOSS_UNREAD, LOSS_FAILED, LOSS_FULL, LOSSES };

struct chario {
    /* Constant after creation */
    int in_fd, out_fd, pty_slave; /* -1: none. The slave stays open so that peers may come and go */
    bool owns_in, owns_out;
    bool is_pipe, is_socket; /* of the output: each has its own way to write without SIGPIPE */
    bool may_block;          /* the output could not be opened anew: poll before each write */
    bool is_slow;            /* the output is on a file system or disk: another thread writes it */
    bool in_is_pollable;     /* false: a regular file or /dev/null, which epoll refuses */
    bool in_is_slow;         /* the input is on a file system or disk: another thread reads it */
    bool in_is_socket;       /* it has its own way to read without waiting */
    bool in_may_block;       /* the input could not be opened anew: poll before each read */
    bool in_is_terminal;     /* other jobs of our session may have it for a while */
    bool has_escape;
    void (*quit)(void *arg);
    void *quit_arg;
    const struct log *log;
    char pty_name[32];
    char *path;    /* CHARIO_FILE */
    bool was_made; /* path was made by us and not started yet: it is removed if it never is */
    struct forked forked;
    uint64_t max_bytes;
    struct loop *loop;

    /* Output, under lock */
    pthread_mutex_t lock;
    struct line line[CHARIO_PORTS];
    struct slow_file *file; /* only with is_slow; const from creation to stop */
    bool file_has_begun;    /* its thread runs: nothing else writes meanwhile */
    bool collects;          /* started: line_timer writes what was collected */
    struct loop_timer line_timer;
    bool has_stopped;       /* with is_slow: nothing is written any more */
    uint64_t stalled_since; /* when the reader was first found to take nothing; 0: it takes */
    uint64_t stall_debt;    /* sum of earlier stalls, less what was paid back since */
    atomic_bool hurries;    /* the machine ends; any thread sets it, without the lock */
    atomic_ullong dropped, first_ns;
    atomic_uint losses;   /* a bit for each enum chario_loss that has happened */
    atomic_int fail_code; /* errno of the first LOSS_FAILED */
    unsigned told;        /* loop thread: losses that were said */
    struct loop_job tell_job;

    /* Input, loop thread only but for the atomics */
    struct loop_source in_source;
    struct loop_timer look_timer;
    struct loop_job pump_job, size_job;
    struct chario_user user[CHARIO_PORTS];
    atomic_bool is_waiting; /* there is input that the guest has no room for */
    atomic_uint talker;     /* enum chario_port the guest wrote to last: input goes there */
    atomic_uint size;       /* of the terminal: columns << 16 | rows; 0: not known */
    bool is_started, in_has_ended, got_escape;
    struct slow_input *in_file;    /* the input is on a file system or a disk; from the creation to the stop */
    bool in_is_awaited;            /* in_file's thread reads and will tell */
    bool is_away;                  /* the terminal is another job's now */
    bool owes_ready[CHARIO_PORTS]; /* chario_try_output took too little */
    bool owes_help;                /* Ctrl-A h came while the output was busy */
    bool has_told_deaf;
    uint8_t *typed; /* a ring: read but not yet taken by the guest */
    size_t typed_size, typed_head, typed_len;
    uint64_t taken_ns; /* when the guest last took something */
    atomic_ullong unheard;
};

/* chario_open.c. On the thread that creates and destroys. */
int chario_open(struct chario *c, const struct chario_params *p, struct err *e); /* fills the descriptors' fields */
void chario_unmake_file(const struct chario *c); /* remove the file that was made and never started */

/* chario_output.c. Loop thread, or while none runs. */
int chario_make_output(struct chario *c, struct err *e); /* once it is open */
int chario_start_output(struct chario *c, struct err *e);
void chario_stop_output(struct chario *c);
void chario_show_help(struct chario *c);

/* chario_input.c. The same. */
int chario_make_input(struct chario *c, struct err *e); /* once it is open */
int chario_start_input(struct chario *c, struct err *e);
void chario_stop_input(struct chario *c);
void chario_read_size(struct chario *c); /* of the terminal that the output or the pty is */

#endif
