/* How a machine is started, paused, resumed and ended: vmm/machine/runner.c and life.c, line by line.
 *
 * Memory. want and immediate_exit are read without the machine's lock, so they live behind store buffers: a store waits in the buffer of
 * the thread that made it, its own loads see it there, everybody else sees it once it has drained. Entries drain one by one and in any
 * order, so two stores may change places and a load may pass a store (PSO, weaker than TSO). A newer store to the same word replaces one
 * that still waits. A fence waits until the thread's buffer is empty. What the lock guards needs no buffer; unlocking drains. No two loads
 * here could be told apart if they changed places: between those of one thread there is a fence or the lock.
 *
 * Signals. The handler is empty, so a signal has one effect: it is pending while its thread is in KVM_RUN. One that comes while the
 * thread is in user space is swallowed by the handler, or is still pending when KVM_RUN is entered: both are tried.
 *
 * The guest may spin for ever, leave KVM_RUN with an instruction half done (MMIO), or end by itself. KVM may refuse to run it (EAGAIN)
 * before it looks at immediate_exit. machine_stop may come from a signal handler, without the lock (-DBY_HANDLER, where there is no I/O
 * thread that it could call instead). A lost kick is a thread that never
 * leaves a spinning guest: spin finds it as a state in which nobody can move, or (-DLIVE) as a run in which it never happens.
 *
 * -DTRACE: a simulation prints what runner_trace is told in C, in the words of tests/kvm/conformance.h, for the checker there to accept.
 *
 * -DBREAK_name builds a broken variant; prove.t has the list, and each must be found out. */
#ifndef VCPUS
#define VCPUS 2
#endif
#define CONTROL VCPUS       /* the thread that starts, pauses, resumes and waits */
#define OTHER   (VCPUS + 1) /* any other that calls machine_end: I/O thread, timer */
#define THREADS (VCPUS + 2)

#define STOPPED (VCPUS + 3) /* the reason for which machine_stop ends it; the others are a thread's number + 1 */

#define RUN   0 /* enum runner_want */
#define PAUSE 1
#define END   2

#ifdef TRACE
#define TELL(step, v)             printf(step, v)
#define TELL_VALUE(step, v, what) printf(step, v, what)
#else
#define TELL(step, v)             skip
#define TELL_VALUE(step, v, what) skip
#endif

byte want[VCPUS];
bit immediate_exit[VCPUS];
bit signalled[VCPUS];
bit resume[VCPUS]; /* the semaphore of a halted vCPU; one post that is not taken is as good as many */
bit stop_asked;
bit has_tid[VCPUS]; /* the thread has told its id */

/* ---- store buffers: 0 is empty, else the value + 1 */
byte want_buffer[THREADS * VCPUS];
byte exit_buffer[THREADS * VCPUS];
#define AT(t, v) ((t) * VCPUS + (v))

inline store_want(writer, place, value)
{
    want_buffer[AT(writer, place)] = value + 1
}
inline store_exit(writer, place, value)
{
    exit_buffer[AT(writer, place)] = value + 1
}
#define WANT(t, v)           (want_buffer[AT(t, v)] -> want_buffer[AT(t, v)] - 1 : want[v])
#define IMMEDIATE_EXIT(t, v) (exit_buffer[AT(t, v)] -> exit_buffer[AT(t, v)] - 1 : immediate_exit[v])
#if VCPUS == 1
#define IS_DRAINED(t) (!want_buffer[t] && !exit_buffer[t])
#else
#define IS_DRAINED(t)                                                                                                                    \
    (!want_buffer[AT(t, 0)] && !exit_buffer[AT(t, 0)] && !want_buffer[AT(t, 1)] && !exit_buffer[AT(t, 1)])
#endif
#define FENCE(t) IS_DRAINED(t)

proctype drain(byte t)
{
end:
    do
    :: atomic { want_buffer[AT(t, 0)] -> want[0] = want_buffer[AT(t, 0)] - 1; want_buffer[AT(t, 0)] = 0 }
    :: atomic { exit_buffer[AT(t, 0)] -> immediate_exit[0] = exit_buffer[AT(t, 0)] - 1; exit_buffer[AT(t, 0)] = 0 }
#if VCPUS > 1
    :: atomic { want_buffer[AT(t, 1)] -> want[1] = want_buffer[AT(t, 1)] - 1; want_buffer[AT(t, 1)] = 0 }
    :: atomic { exit_buffer[AT(t, 1)] -> immediate_exit[1] = exit_buffer[AT(t, 1)] - 1; exit_buffer[AT(t, 1)] = 0 }
#endif
    od
}

/* ---- the machine's lock and its condition */
byte owner; /* 0: free, else thread + 1 */
bit is_waiting[THREADS];

inline lock(locker)
{
    atomic { owner == 0 -> owner = (locker) + 1 }
}
inline unlock(unlocker)
{
    atomic { FENCE(unlocker) -> owner = 0 }
}
inline wait_changed(waiter)
{
    atomic { FENCE(waiter) -> is_waiting[waiter] = 1; owner = 0 }
    atomic { !is_waiting[waiter] && owner == 0 -> owner = (waiter) + 1 }
}
inline broadcast()
{
    d_step {
        is_waiting[0] = 0;
        is_waiting[1] = 0;
        is_waiting[2] = 0;
#if VCPUS > 1
        is_waiting[3] = 0;
#endif
    }
}

/* ---- what the lock guards: struct machine and the runners' marks */
bit has_thread[VCPUS];
bit is_halted[VCPUS];
bit is_gone[VCPUS];
bit has_begun; /* phase past MACHINE_BUILT */
bit is_paused; /* phase MACHINE_PAUSED */
bit is_over;   /* phase MACHINE_OVER */
byte live;
byte ending; /* enum end_reason; 0: none */

/* ---- what only the properties look at */
bit is_in_run[VCPUS];    /* inside KVM_RUN */
bit is_in_guest[VCPUS];  /* past its look at immediate_exit: guest code may run */
bit is_half_done[VCPUS]; /* an MMIO instruction that the next KVM_RUN finishes */
bit says_paused;         /* machine_pause returned 0, machine_resume was not called since */
byte first_reason;

/* runner_kick; the lock is held */
inline send_signal(target)
{
    atomic {
        if
        :: is_in_run[target] -> signalled[target] = 1
        :: !is_in_run[target] -> if :: signalled[target] = 1 :: skip fi
        fi
    }
}

inline runner_kick(kicker, vcpu_no, what)
{
#ifdef BREAK_exit_before_want
    store_exit(kicker, vcpu_no, 1);
    FENCE(kicker);
    TELL("x%d\n", vcpu_no);
#endif
    TELL_VALUE("w%d%d\n", vcpu_no, what);
    store_want(kicker, vcpu_no, what); /* atomic_store_explicit(&r->want, ..., relaxed) */
#ifndef BREAK_kick_posts_nothing
    if
    :: is_halted[vcpu_no] -> atomic { FENCE(kicker); resume[vcpu_no] = 1 } /* sem_post */
    :: else
    fi;
#endif
    if
    :: !has_thread[vcpu_no] || is_gone[vcpu_no] /* return; */
    :: else ->
#ifndef BREAK_no_fence_after_want
        FENCE(kicker);
#endif
#ifdef BREAK_signal_before_exit
        send_signal(vcpu_no);
        TELL("s%d\n", vcpu_no);
#endif
#if !defined(BREAK_exit_before_want) && !defined(BREAK_no_immediate_exit)
        store_exit(kicker, vcpu_no, 1); /* immediate_exit = 1 */
#endif
#ifndef BREAK_no_fence_before_signal
        FENCE(kicker);
#endif
#if !defined(BREAK_exit_before_want) && !defined(BREAK_no_immediate_exit)
        TELL("x%d\n", vcpu_no);
#endif
#if !defined(BREAK_signal_before_exit) && !defined(BREAK_no_signal)
        if
        :: vcpu_no != kicker -> send_signal(vcpu_no); TELL("s%d\n", vcpu_no) /* pthread_kill, but not to itself */
        :: else
        fi
#endif
    fi
}

inline kick_all(all_by, all_what)
{
    runner_kick(all_by, 0, all_what);
#if VCPUS > 1
    runner_kick(all_by, 1, all_what)
#endif
}

/* life_end */
inline life_end(ender, why)
{
    lock(ender);
    if
    :: first_reason == 0 -> first_reason = why
    :: else
    fi;
    if
#ifdef BREAK_last_reason_wins
    :: true ->
#else
    :: ending == 0 ->
#endif
        ending = why;
        TELL_VALUE("E%d%d\n", 0, why);
        if
        :: !has_begun -> is_over = 1 /* tell_over */
        :: else -> kick_all(ender, END)
        fi;
        broadcast()
    :: else
    fi;
    unlock(ender)
}

/* answer_kick's halt: on_runner_halt */
inline halt(halter)
{
    lock(halter);
    is_halted[halter] = 1;
    TELL("h%d\n", halter);
#ifndef BREAK_halt_tells_nobody
    broadcast();
#endif
#ifdef BREAK_waits_once
    if
#else
    do
#endif
    :: WANT(halter, halter) == PAUSE && !stop_asked ->
        unlock(halter);
        atomic { resume[halter] && owner == 0 -> resume[halter] = 0; owner = (halter) + 1 } /* sem_wait, lock */
#ifdef BREAK_waits_once
    :: else
    fi;
#else
    :: else -> break
    od;
#endif
    is_halted[halter] = 0;
    TELL_VALUE("u%d%d\n", halter, WANT(halter, halter));
    unlock(halter)
}

/* heed_stop */
inline heed_stop(heeder)
{
    if
    :: stop_asked -> life_end(heeder, STOPPED)
    :: else
    fi
}

/* runner_main */
proctype vcpu(byte v)
{
    byte w;
#ifdef BY_HANDLER
    has_tid[v] = 1; /* threads_here: sequentially consistent, and nothing is buffered yet */
#endif
kvm_run: /* vcpu_run: what was half done is finished, then immediate_exit is looked at (api.rst 5) */
    atomic { assert(!says_paused); is_in_run[v] = 1; is_half_done[v] = 0 }
    if
#ifdef REFUSES
    :: atomic { is_in_run[v] = 0; signalled[v] = 0; is_half_done[v] = 0 } /* EAGAIN: try_again */
#ifndef BREAK_tries_again_unheeding
        if
        :: WANT(v, v) != RUN || stop_asked -> goto eintr
        :: else -> goto kvm_run
        fi
#else
        goto kvm_run
#endif
    fi;
#else
    :: atomic { IMMEDIATE_EXIT(v, v) -> is_in_run[v] = 0; signalled[v] = 0 }
        goto eintr
    :: atomic { !IMMEDIATE_EXIT(v, v) -> assert(!says_paused); is_in_guest[v] = 1 }
    fi;
#endif
progress_guest:
    if
    :: true -> /* guest code that never leaves by itself */
        atomic { signalled[v] -> is_in_guest[v] = 0; is_in_run[v] = 0; signalled[v] = 0 }
        goto eintr
    :: atomic { is_in_guest[v] = 0; is_in_run[v] = 0; signalled[v] = 0; is_half_done[v] = 1 } /* dispatch: do_mmio */
#ifdef BREAK_pauses_half_done
        if
        :: WANT(v, v) == PAUSE -> halt(v)
        :: else
        fi;
#endif
        goto kvm_run
    :: atomic { is_in_guest[v] = 0; is_in_run[v] = 0; signalled[v] = 0 } /* dispatch: end, and on to the next KVM_RUN */
        life_end(v, v + 1);
        goto kvm_run
    :: atomic { is_in_guest[v] = 0; is_in_run[v] = 0; signalled[v] = 0 } /* handle: KVM has given the VM up: end and leave */
        life_end(v, v + 1);
        goto gone
    fi;
eintr: /* answer_kick */
    TELL("e%d\n", v);
#ifdef BREAK_reads_want_first
    w = WANT(v, v);
    TELL_VALUE("r%d%d\n", v, w);
#endif
#ifndef BREAK_never_clears
    store_exit(v, v, 0); /* immediate_exit = 0 */
#endif
#ifndef BREAK_no_fence_in_vcpu
    FENCE(v);
#endif
    TELL("c%d\n", v);
#if defined(BY_HANDLER) && !defined(BREAK_answers_unheeding)
    heed_stop(v);
#endif
#ifndef BREAK_reads_want_first
    w = WANT(v, v);
    TELL_VALUE("r%d%d\n", v, w);
#endif
    if
    :: w == PAUSE ->
        halt(v);
#ifdef BY_HANDLER
        heed_stop(v);
#endif
        w = WANT(v, v); TELL_VALUE("r%d%d\n", v, w)
    :: else
    fi;
    if
    :: w == END -> goto gone
    :: else -> w = 0; goto kvm_run
    fi;
gone: /* on_runner_gone */
    lock(v);
    is_gone[v] = 1;
    TELL("g%d\n", v);
    live--;
    if
    :: live == 0 -> is_over = 1
    :: else
    fi;
    broadcast();
    unlock(v)
}

#if VCPUS == 1
#define ARE_ALL_HALTED (is_halted[0] || is_gone[0])
#define IS_ANY_AT_WORK (is_in_run[0] || is_half_done[0])
#else
#define ARE_ALL_HALTED ((is_halted[0] || is_gone[0]) && (is_halted[1] || is_gone[1]))
#define IS_ANY_AT_WORK (is_in_run[0] || is_half_done[0] || is_in_run[1] || is_half_done[1])
#endif

bit asks_pause; /* machine_pause is under way */
bit asks_run;   /* start or resume happened, no pause since */

inline machine_pause()
{
#if defined(BY_HANDLER) && !defined(BREAK_control_unheeding)
    heed_stop(CONTROL);
#endif
    lock(CONTROL);
    if
    :: has_begun && !is_paused && !is_over && ending == 0 ->
        asks_run = 0;
        asks_pause = 1;
        kick_all(CONTROL, PAUSE);
        is_paused = 1;
        do
        :: !ARE_ALL_HALTED && ending == 0 -> wait_changed(CONTROL)
        :: else -> break
        od;
        asks_pause = 0;
        atomic {
            if
            :: ending == 0 -> says_paused = 1; assert(!IS_ANY_AT_WORK); TELL("p%d\n", 0)
            :: else
            fi
        }
    :: else
    fi;
    unlock(CONTROL)
}

inline machine_resume()
{
#if defined(BY_HANDLER) && !defined(BREAK_control_unheeding)
    heed_stop(CONTROL);
#endif
    lock(CONTROL);
    if
#ifdef BREAK_resume_forgets_the_end
    :: is_paused && !is_over ->
#else
    :: is_paused && !is_over && ending == 0 ->
#endif
        says_paused = 0;
        asks_run = 1;
        TELL_VALUE("w%d%d\n", 0, RUN);
        store_want(CONTROL, 0, RUN);
#if VCPUS > 1
        TELL_VALUE("w%d%d\n", 1, RUN);
        store_want(CONTROL, 1, RUN);
#endif
        is_paused = 0;
#ifndef BREAK_resume_tells_nobody
        atomic {
            FENCE(CONTROL);
            resume[0] = is_halted[0];
#if VCPUS > 1
            resume[1] = is_halted[1]
#endif
        }
#endif
    :: else
    fi;
    unlock(CONTROL)
}

active proctype control()
{
    /* start_runners */
    lock(CONTROL);
    if
#ifdef BREAK_start_forgets_the_end
    :: true ->
#else
    :: ending == 0 ->
#endif
        has_begun = 1;
#ifdef BREAK_starts_unlocked
        unlock(CONTROL);
#endif
        live = VCPUS;
        asks_run = 1;
        run vcpu(0);
        has_thread[0] = 1;
#if VCPUS > 1
        run vcpu(1);
        has_thread[1] = 1;
#endif
    :: else
    fi;
#ifndef BREAK_starts_unlocked
    unlock(CONTROL);
#endif
    do
    /* Told -ESRCH, the caller stops asking. Calls that change nothing are left out: they could only keep the lock from others. */
    :: ending == 0 && !is_paused -> machine_pause()
    :: ending == 0 && is_paused -> machine_resume()
    :: break
#ifdef LIVE
    :: true -> (is_over); break /* machine_wait: perhaps for ever */
#endif
    od;
    says_paused = 0;
    /* machine_destroy: life_join */
    life_end(CONTROL, CONTROL + 1);
    lock(CONTROL);
    do
    :: !is_over -> wait_changed(CONTROL)
    :: else -> break
    od;
    unlock(CONTROL);
    assert((is_gone[0] || !has_begun) && live == 0 && ending == first_reason);
#if VCPUS > 1
    assert(is_gone[1] || !has_begun);
#endif
}

#ifdef BY_HANDLER
/* runner_call_out. The stores and loads of the handler are its thread's, so they wait in that thread's buffer. */
inline call_out(caller, called)
{
    FENCE(caller);
#ifndef BREAK_calls_without_exit
    store_exit(caller, called, 1);
#endif
    FENCE(caller);
    if
    :: has_tid[called] && !is_gone[called] -> send_signal(called)
    :: else
    fi;
    resume[called] = 1
}

active proctype handler()
{
    if
    :: skip
    :: has_begun -> /* before that, whoever starts or waits looks: machine_start, machine_wait */
        stop_asked = 1;
        call_out(OTHER, 0);
#if VCPUS > 1
        call_out(OTHER, 1)
#endif
    fi
}
#endif

/* machine_kick and machine_end from a thread that is none of the machine's own. */
active proctype other()
{
#ifdef BY_HANDLER
    goto done;
#endif
#ifndef LIVE /* machine_kick waits for nothing */
    if
    :: lock(OTHER);
        if
        :: has_begun && !is_paused && !is_over && ending == 0 -> runner_kick(OTHER, 0, RUN)
        :: else
        fi;
        unlock(OTHER)
    :: skip
    fi;
#endif
    if
    :: life_end(OTHER, OTHER + 1)
    :: skip
    fi;
done:
    skip
}

init {
    atomic {
        run drain(0);
        run drain(1);
        run drain(2);
#if VCPUS > 1
        run drain(3)
#endif
    }
}

#ifdef LIVE
/* Who asks for a pause gets it, or the machine is ending; whoever is asked to end is gone; who may run, runs. */
ltl pauses { [](asks_pause -> <>!asks_pause) }
ltl ends { []((ending || stop_asked) -> <>is_over) }
ltl runs { [](asks_run -> <>(is_in_guest[VCPUS - 1] || !asks_run || ending)) }
#endif
