/* A chario on a loop with a guest's device at each port, and pipes for its host's side. */
#ifndef VIREO_TESTS_CHARIO_RIG_H
#define VIREO_TESTS_CHARIO_RIG_H

#include <fcntl.h>
#include <unistd.h>

#include "devices/backend/chario.h"
#include "tests/unit/unit.h"

/* A guest's device: takes as much as it was given room for. */
struct guest {
    size_t room, len;
    unsigned ready_calls;
    char got[1024];
};

static inline size_t guest_room(void *arg)
{
    return ((struct guest *)arg)->room;
}
static inline void guest_input(void *arg, const uint8_t *bytes, size_t len)
{
    struct guest *g = arg;
    assert_true(len <= g->room && g->len + len < sizeof(g->got));
    memcpy(g->got + g->len, bytes, len);
    g->len += len;
    g->got[g->len] = '\0';
    g->room -= len;
}
static inline void guest_output_ready(void *arg)
{
    ((struct guest *)arg)->ready_calls++;
}

struct chario_rig {
    struct chario *io;
    struct loop loop;
    struct guest guest[CHARIO_PORTS];
    unsigned quits;
};

static inline void on_quit(void *arg)
{
    ((struct chario_rig *)arg)->quits++;
}

static inline void attach(struct chario_rig *b, enum chario_port port)
{
    const struct chario_user user = {guest_room, guest_input, guest_output_ready, NULL, &b->guest[port]};
    chario_attach(b->io, port, &user);
}

static inline void chario_rig_init(struct chario_rig *b, struct chario_params params)
{
    *b = (struct chario_rig){0};
    params.quit = on_quit;
    params.quit_arg = b;
    assert_int_equal(chario_create(&b->io, &params, NULL), 0);
    assert_int_equal(loop_init(&b->loop, NULL), 0);
    assert_int_equal(chario_start(b->io, &b->loop, NULL), 0);
    attach(b, CHARIO_SERIAL);
}

static inline void chario_rig_fini(struct chario_rig *b)
{
    chario_stop(b->io);
    chario_destroy(b->io);
    loop_fini(&b->loop);
}

static inline void stop(void *arg)
{
    loop_stop(arg);
}

static inline void turns(struct chario_rig *b, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct loop_job job = {.fn = stop, .arg = &b->loop};
        loop_post(&b->loop, &job);
        loop_run(&b->loop);
    }
}

static inline void output(struct chario_rig *b, const char *text)
{
    chario_output(b->io, CHARIO_SERIAL, (const uint8_t *)text, strlen(text));
}

static inline struct chario_params fds(int in, int out)
{
    return (struct chario_params){.kind = CHARIO_FDS, .in_fd = in, .out_fd = out};
}

static inline void open_pipe(int end[2])
{
    assert_int_equal(pipe2(end, O_CLOEXEC), 0);
}

static inline void close_pipe(const int end[2])
{
    close(end[0]);
    close(end[1]);
}

#endif
