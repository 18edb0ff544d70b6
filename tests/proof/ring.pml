/* Nobody sleeps while there is work: the notifications of one virtqueue, both ways, and how each side suppresses them.
 *
 * Device: devices/virtio/virtq.c (virtq_pop, virtq_push, virtq_enable_doorbell, virtq_disable_doorbell, virtq_wants_interrupt), the notify
 * functions of the devices and virtio_mmio_loop.c (virtio_mmio_on_doorbell, virtio_mmio_ring, raise_interrupt); one loop thread. Driver:
 * VIRTIO 1.2, 2.7.13, 2.7.14 and 4.2.3.4: one vCPU adds buffers and rings, another takes the interrupt. -DFLAGS: without EVENT_IDX, the
 * flags words suppress. -DLATE_ACK: the driver acknowledges after it has looked at the queue (and then looks whatever InterruptStatus
 * says).
 *
 * Memory. Every word of the ring has a place in the store buffer of the one thread that writes it; a store is seen by others once it has
 * drained, entries drain in any order (PSO, weaker than TSO). A newer store to the same word replaces one that still waits. A release
 * keeps the entry back until the stores before it have drained; a fence waits until the buffer is empty. Reordered loads are written out:
 * a variant loads earlier than the C code does.
 *
 * Stores that nobody else can tell apart (into one's own buffer) are one step, to keep the search small.
 *
 * Bells and interrupts are eventfds: a bit that is set and taken. Indices count modulo 8 in a queue of 2, so that a difference is never
 * mistaken, as with 2^16 in a queue of 256. The driver may rest at any moment; when nobody can move, nothing may be left to do.
 *
 * -DBREAK_name builds a broken variant; prove.t has the list, and each must be found out. */
#define SIZE 2
#ifndef MODULUS
#define MODULUS 8
#endif
#define NEXT(i) ((i + 1) % MODULUS)
/* Is `event` among the places [from, to)? The driver's rule for avail_event, the device's for used_event (2.7.10). */
#define HAS_PASSED(event, from, to) ((to + MODULUS - event - 1) % MODULUS < (to + MODULUS - from) % MODULUS)
#define NOTHING 15 /* no position: what a slot holds before the first is written */

/* ---- guest memory; each entry of the ring holds its position, so that a stale one is seen to be one */
byte avail_idx, avail_ring[SIZE] = NOTHING; /* written by the adding vCPU */
byte used_event;                            /* or avail.flags: written by the interrupted vCPU */
byte used_idx, used_ring[SIZE] = NOTHING;   /* written by the device */
byte avail_event;                           /* or used.flags: written by the device */

/* ---- store buffers: 0 is empty, else the value + 1 */
byte b_avail_idx, b_avail_ring[SIZE];
byte b_used_event;
byte b_used_idx, b_used_ring[SIZE];
byte b_avail_event;

#define STORE(word, value) b_##word = (value) + 1
#define DRAIN(word)                                                                                                                      \
    word = b_##word - 1;                                                                                                                 \
    b_##word = 0

active proctype drain_adder()
{
end:
    do
    :: atomic { b_avail_ring[0] -> avail_ring[0] = b_avail_ring[0] - 1; b_avail_ring[0] = 0 }
    :: atomic { b_avail_ring[1] -> avail_ring[1] = b_avail_ring[1] - 1; b_avail_ring[1] = 0 }
    :: atomic { b_avail_idx && !b_avail_ring[0] && !b_avail_ring[1] -> DRAIN(avail_idx) } /* 2.7.13.3: a release */
    od
}
active proctype drain_taker()
{
end:
    do
    :: atomic { b_used_event -> DRAIN(used_event) }
    od
}
active proctype drain_device()
{
end:
    do
    :: atomic { b_used_ring[0] -> used_ring[0] = b_used_ring[0] - 1; b_used_ring[0] = 0 }
    :: atomic { b_used_ring[1] -> used_ring[1] = b_used_ring[1] - 1; b_used_ring[1] = 0 }
    :: atomic { b_avail_event -> DRAIN(avail_event) }
#ifdef BREAK_used_idx_without_release
    :: atomic { b_used_idx -> DRAIN(used_idx) }
#else
    :: atomic { b_used_idx && !b_used_ring[0] && !b_used_ring[1] -> DRAIN(used_idx) } /* le16_store_release */
#endif
    od
}
#define ADDER_FENCE  (!b_avail_idx && !b_avail_ring[0] && !b_avail_ring[1])
#define TAKER_FENCE  (!b_used_event)
#define DEVICE_FENCE (!b_used_idx && !b_used_ring[0] && !b_used_ring[1] && !b_avail_event)

bit bell;             /* the doorbell's eventfd */
bit interrupt;        /* the irqfd: an edge that waits for the vCPU */
bit interrupt_status; /* INT_USED */

byte unused = SIZE; /* buffers the driver has; guarded by the driver's own lock */
byte last_used;     /* how far the driver has looked */
#ifdef LIVE
byte marked = NOTHING; /* one buffer to be followed on its way */
bit was_marked;
#endif

/* ---- driver: add buffers, ring (2.7.13) */
active proctype adder()
{
    byte idx;      /* what avail.idx is or will be */
    byte kick_idx; /* what it was at the last decision */
    bit wants;
end:
    do
    :: atomic {
        unused > 0 ->
        unused--;
        STORE(avail_ring[idx % SIZE], idx);
#ifdef LIVE
        if
        :: !was_marked -> was_marked = 1; marked = idx
        :: true
        fi;
#endif
        idx = NEXT(idx);
        STORE(avail_idx, idx) }
        if
#ifndef LIVE
        :: unused > 0 && (idx + MODULUS - kick_idx) % MODULUS < SIZE /* a batch: one more before the decision */
#endif
        :: true ->
            ADDER_FENCE; /* 2.7.13.4: a fence before the suppression is read */
#ifdef FLAGS
            wants = !avail_event;
#else
            wants = HAS_PASSED(avail_event, kick_idx, idx);
#endif
            kick_idx = idx;
            if
            :: wants -> bell = 1; wants = 0 /* QueueNotify: ioeventfd, or bus_write_mmio and virtio_mmio_ring */
            :: else
            fi;
            if
#ifdef LIVE /* no batches, and no more once the answer is known: to keep the search small */
            :: !was_marked || marked != NOTHING
#else
            :: true
#endif
            :: true -> break /* rests */
            fi
        fi
    od
}

/* ---- driver: the interrupt handler (2.7.14, 4.2.3.4) */
active proctype taker()
{
    bit status;
end:
    do
    :: atomic { interrupt -> interrupt = 0 }
#ifndef LATE_ACK
        status = interrupt_status;
        interrupt_status = interrupt_status & !status; /* InterruptACK */
        if
        :: !status -> status = 0; goto end
        :: else -> status = 0
        fi;
#endif
#ifdef FLAGS
        STORE(used_event, 1); /* AVAIL_F_NO_INTERRUPT */
#endif
again:
        do
        :: used_idx != last_used ->
            atomic {
                assert(used_ring[last_used % SIZE] == last_used);
#ifdef LIVE
                if
                :: marked == last_used -> marked = NOTHING
                :: else
                fi;
#endif
                last_used = NEXT(last_used);
                unused++
            }
        :: else -> break
        od;
#ifdef FLAGS
        STORE(used_event, 0);
#else
        STORE(used_event, last_used);
#endif
        TAKER_FENCE;
        if
        :: used_idx != last_used -> goto again
        :: else
        fi;
#ifdef LATE_ACK
        interrupt_status = 0
#endif
    od
}

/* ---- device */

/* raise_interrupt */
inline raise_interrupt()
{
#ifdef BREAK_raises_only_from_zero
    if
    :: atomic { interrupt_status -> skip }
    :: atomic { else -> interrupt_status = 1; interrupt = 1 }
    fi
#elif defined(BREAK_raises_before_status)
    interrupt = 1;
    interrupt_status = 1
#else
    interrupt_status = 1; /* atomic_fetch_or */
    interrupt = 1         /* irq_raise */
#endif
}

/* virtio_used and virtq_wants_interrupt */
inline used()
{
    if
    :: next_used != signalled_used ->
#ifdef FLAGS
#ifndef BREAK_no_fence_before_interrupt_decision
        DEVICE_FENCE;
#endif
        wants = !used_event; /* le16_load(avail_flags(q)) */
#else
#ifndef BREAK_no_fence_before_interrupt_decision
        DEVICE_FENCE;
#endif
        wants = HAS_PASSED(used_event, signalled_used, next_used);
#endif
        signalled_used = next_used;
        if
        :: wants -> wants = 0; raise_interrupt()
        :: else
        fi
    :: else
    fi
}

/* virtq_enable_doorbell */
inline enable_doorbell()
{
#ifdef BREAK_looks_before_it_asks
    has_more = avail_idx != next_avail;
#endif
#ifdef FLAGS
    STORE(avail_event, 0);
#else
    STORE(avail_event, next_avail);
#endif
#ifndef BREAK_no_fence_before_last_look
    DEVICE_FENCE;
#endif
#if !defined(BREAK_looks_before_it_asks) && !defined(BREAK_never_looks_again)
    has_more = avail_idx != next_avail
#endif
}

active proctype device()
{
    byte next_avail, next_used, signalled_used; /* struct virtq */
    byte entry, budget;
    bit wants, has_more;
end:
    do
    :: atomic {
#ifdef BREAK_bell_cleared_late
        bell ->
#else
        bell -> bell = 0; /* virtio_mmio_on_doorbell reads its eventfd, then looks */
#endif
        budget = SIZE }
#ifdef FLAGS
        STORE(avail_event, 1); /* virtq_disable_doorbell */
#endif
        do
        :: budget > 0 ->
#ifdef BREAK_entry_before_index
            entry = avail_ring[next_avail % SIZE];
#endif
            if /* virtq_pop: le16_load_acquire(avail_idx(q)) */
            :: avail_idx == next_avail -> break
            :: else
            fi;
#ifndef BREAK_entry_before_index
            entry = avail_ring[next_avail % SIZE];
#endif
#ifdef BREAK_decides_before_publishing
            next_used = NEXT(next_used);
            used();
            next_used = (next_used + MODULUS - 1) % MODULUS;
#endif
            atomic {
                assert(entry == next_avail);
                entry = 0;
                next_avail = NEXT(next_avail);
                STORE(used_ring[next_used % SIZE], next_used); /* virtq_stage */
                next_used = NEXT(next_used);
                STORE(used_idx, next_used); /* virtq_publish */
                budget--
            }
        :: else -> break
        od;
        if
        :: budget == 0 -> has_more = 1 /* the loop's other sources first: renotify */
        :: budget > 0 -> enable_doorbell()
        fi;
        budget = 0;
#ifndef BREAK_decides_before_publishing
        used();
#endif
#ifdef BREAK_bell_cleared_late
        bell = 0;
#endif
        if
#ifndef BREAK_never_renotifies
        :: has_more -> bell = 1 /* on_renotify */
#endif
        :: else
        fi;
        has_more = 0
    od
}

/* When nobody can move: everything offered was served, seen and given back. */
active proctype nothing_is_left()
{
end:
    timeout;
    assert(last_used == avail_idx && used_idx == avail_idx && unused == SIZE)
}

#ifdef LIVE
ltl served { [](marked != NOTHING -> <>(marked == NOTHING)) }
#endif
