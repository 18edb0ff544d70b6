#include "tests/kvm/conformance.h"

#include <string.h>

enum place { IN_RUN, AT_EINTR, AT_CLEARED, AT_READ, AT_HALT, AT_RESUMED, AT_GONE };
enum kick { KICK_NONE, KICK_WANT, KICK_SET }; /* how far the one under way is; under the lock, so one at a time */

struct vcpu_state {
    enum place place;
    int read;       /* AT_READ: what */
    unsigned wants; /* how many were stored; want[] holds the last of them */
    unsigned known; /* those of them whose kick was complete */
    unsigned floor; /* `known` when immediate_exit was cleared: a read finds want[floor - 1] or a newer one */
    int want[CONFORMANCE_WANTS];
    enum kick kick;
    unsigned credit; /* EINTRs that kicks may still cause: one by the signal, one by immediate_exit */
};

struct protocol {
    struct vcpu_state vcpu[CONFORMANCE_VCPUS];
    unsigned count;
    int ended; /* enum end_reason; 0: not */
    bool is_paused, is_ending;
};

static int newest(const struct vcpu_state *v)
{
    return v->want[(v->wants - 1) % CONFORMANCE_WANTS];
}

static bool could_read(const struct vcpu_state *v, int value)
{
    const unsigned oldest = v->wants > CONFORMANCE_WANTS ? v->wants - CONFORMANCE_WANTS : 0;
    for (unsigned i = v->floor - 1 > oldest ? v->floor - 1 : oldest; i < v->wants; i++)
        if (v->want[i % CONFORMANCE_WANTS] == value) return true;
    return false;
}

/* ---- whoever kicks; the lock is held */

static const char *on_want(struct protocol *p, struct vcpu_state *v, int value)
{
    if (value == RUNNER_PAUSE && p->ended) return "a pause of a machine that has ended";
    if (value == RUNNER_RUN && p->ended) return "want is set back to run after the end: the end is forgotten";
    if (value == RUNNER_END && !p->ended) return "an end is wanted before there is a reason for it";
    if (value == RUNNER_PAUSE && p->is_paused) return "a pause of a machine that is paused";
    if (value == RUNNER_RUN) p->is_paused = false;
    v->want[v->wants++ % CONFORMANCE_WANTS] = value;
    v->kick = KICK_WANT;
    if (value != RUNNER_RUN || v->place != AT_HALT) v->credit += 2; /* resuming kicks nobody */
    return NULL;
}

static const char *on_exit_set(struct vcpu_state *v)
{
    if (v->kick != KICK_WANT) return "immediate_exit is set before want is stored";
    v->kick = KICK_SET;
    v->known = v->wants;
    return NULL;
}

static const char *on_signalled(struct vcpu_state *v)
{
    if (v->kick != KICK_SET) return "the signal is sent before immediate_exit is set";
    v->kick = KICK_NONE;
    return NULL;
}

/* ---- the vCPU */

static const char *move(struct vcpu_state *v, enum place from, enum place to, const char *why_not)
{
    if (v->place != from) return why_not;
    v->place = to;
    return NULL;
}

static const char *on_eintr(struct protocol *p, struct vcpu_state *v)
{
    if (p->is_paused) return "a vCPU was in KVM_RUN while the machine said it is paused";
    if (v->credit == 0) return "KVM_RUN was interrupted and nobody had kicked";
    v->credit--;
    return move(v, IN_RUN, AT_EINTR, "EINTR outside KVM_RUN");
}

static const char *on_cleared(struct vcpu_state *v)
{
    v->floor = v->known;
    return move(v, AT_EINTR, AT_CLEARED, "immediate_exit is cleared before EINTR");
}

static const char *on_read(struct vcpu_state *v, int value)
{
    if (v->place != AT_CLEARED && v->place != AT_RESUMED) return "want is read before immediate_exit is cleared";
    if (!could_read(v, value)) return "an old want was read: the kick is lost";
    /* After the halt, whatever isn't the end goes on into KVM_RUN; a new pause has set immediate_exit. */
    v->place = v->place == AT_RESUMED && value != RUNNER_END ? IN_RUN : value == RUNNER_RUN ? IN_RUN : AT_READ;
    v->read = value;
    return NULL;
}

static const char *on_halted(struct vcpu_state *v)
{
    if (v->place == AT_READ && v->read != RUNNER_PAUSE) return "a halt where none was wanted";
    return move(v, AT_READ, AT_HALT, "a halt without reading want: an exit may be half done");
}

static const char *on_resumed(struct vcpu_state *v, int value)
{
    if (value != newest(v)) return "resumed by a want that is not the newest";
    if (value == RUNNER_PAUSE) return "went on while a pause is wanted";
    v->floor = v->known = v->wants; /* the lock is held */
    return move(v, AT_HALT, AT_RESUMED, "resumed without a halt");
}

static const char *on_gone(struct protocol *p, struct vcpu_state *v)
{
    if (!p->ended) return "a vCPU has gone though the machine goes on";
    /* From KVM_RUN itself: KVM has given the VM up. */
    if (v->place != IN_RUN && !(v->place == AT_READ && v->read == RUNNER_END))
        return "a vCPU has gone in the middle of a step";
    v->place = AT_GONE;
    return NULL;
}

/* ---- the machine */

static const char *on_ended(struct protocol *p, int reason)
{
    if (p->ended) return "a second reason for the end";
    p->ended = reason;
    p->is_paused = false;
    return reason ? NULL : "an end without a reason";
}

static const char *on_paused(struct protocol *p)
{
    if (p->ended) return "said to be paused after the end";
    for (unsigned i = 0; i < p->count; i++)
        if (p->vcpu[i].place != AT_HALT && p->vcpu[i].place != AT_GONE)
            return "said to be paused while a vCPU is not halted";
    p->is_paused = true;
    return NULL;
}

static const char *take(struct protocol *p, const struct step *s)
{
    if (s->step == RUNNER_ENDED) return on_ended(p, s->value);
    if (s->step == RUNNER_PAUSED) return on_paused(p);
    if (s->vcpu < 0 || (unsigned)s->vcpu >= p->count) return "a vCPU that is not there";
    struct vcpu_state *v = &p->vcpu[s->vcpu];
    if (v->place == AT_GONE && s->step != RUNNER_WANT) return "a step with a vCPU that has gone";
    switch ((enum runner_step)s->step) {
    case RUNNER_WANT: return on_want(p, v, s->value);
    case RUNNER_EXIT_SET: return on_exit_set(v);
    case RUNNER_SIGNALLED: return on_signalled(v);
    case RUNNER_EINTR: return on_eintr(p, v);
    case RUNNER_CLEARED: return on_cleared(v);
    case RUNNER_READ: return on_read(v, s->value);
    case RUNNER_HALTED: return on_halted(v);
    case RUNNER_RESUMED: return on_resumed(v, s->value);
    case RUNNER_GONE: return on_gone(p, v);
    default: return "no such step";
    }
}

const char *conformance_check(const struct step *steps, size_t count, unsigned vcpus, size_t *at)
{
    struct protocol p = {.count = vcpus};
    for (unsigned i = 0; i < vcpus; i++) p.vcpu[i] = (struct vcpu_state){.wants = 1, .known = 1, .floor = 1}; /* run */
    for (*at = 0; *at < count; ++*at) {
        const char *why = take(&p, &steps[*at]);
        if (why) return why;
    }
    if (!p.ended) return "the run stops before its end";
    for (unsigned i = 0; i < vcpus; i++)
        if (p.vcpu[i].place != AT_GONE) return "a vCPU has not gone though the machine ended";
    return NULL;
}

static int value_of(char c)
{
    static const char wants[] = {[RUNNER_RUN] = 'R', [RUNNER_PAUSE] = 'P', [RUNNER_END] = 'E'};
    if (c >= '0' && c <= '9') return c - '0';
    const char *at = memchr(wants, c, sizeof(wants));
    return at ? (int)(at - wants) : -1;
}

size_t conformance_parse(const char *text, struct step *steps, size_t max)
{
    static const char letters[] = "wxsecrhugEp"; /* by enum runner_step */
    size_t n = 0;
    for (;; n++) {
        text += strspn(text, " \n\t");
        if (!*text) return n;
        const char *letter = strchr(letters, text[0]);
        const size_t len = strcspn(text, " \n\t");
        if (n == max || !letter || len < 2 || len > 3 || text[1] < '0' || text[1] > '9') return 0;
        const int value = len == 3 ? value_of(text[2]) : 0;
        if (value < 0) return 0;
        steps[n] = (struct step){(uint8_t)(letter - letters), (int8_t)(text[1] - '0'), (int16_t)value};
        text += len;
    }
}
