/* The exit recorder: for one vCPU, how often it left KVM_RUN, why, and how long KVM_RUN and our handler took.
 *
 *        from             left            done = from of the next
 *         |--- KVM_RUN ----|--- handler ----|
 *         guest and kernel       ours
 *
 * Two counter reads an exit. What recording itself takes comes after `done`, so it lies in
 * the next exit's KVM_RUN.
 *
 * One writer, the vCPU's thread: relaxed atomics, no lock, no system call, no allocation. Memory is mapped at once and
 * costs a page where something is first recorded. Readers take each figure as it was at some moment while the vCPU
 * runs: each only grows, and they may differ from one another by the exit that is being recorded; an exit that has not
 * ended yet, as of a vCPU that sleeps in KVM_RUN, is not there at all. After the thread has ended all are exact. */
#ifndef VIREO_CORE_RECORD_H
#define VIREO_CORE_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/hist.h"

enum record_class {
    RECORD_PORT_IN, /* these four have an address; the order is used */
    RECORD_PORT_OUT,
    RECORD_MMIO_READ,
    RECORD_MMIO_WRITE,
    RECORD_HALT,
    RECORD_EOI,
    RECORD_WINDOW,  /* the guest can take an interrupt again */
    RECORD_STARTUP, /* a vCPU that waited for its start-up was woken */
    RECORD_KICK,    /* called out by us; its handler's time is that of the pause */
    RECORD_SYSTEM,  /* power off, reset, crash */
    RECORD_OTHER,
    RECORD_VM_CLASSES,               /* from here on: of a sandbox's vCPU, which has no devices */
    RECORD_CALL = RECORD_VM_CLASSES, /* a system call of its program */
    RECORD_FAULT,                    /* the program did what the processor refuses, or its stack grows */
    RECORD_DIRTY_LOG,                /* KVM's ring of written pages is full */
    RECORD_CLASSES
};
const char *record_class_name(enum record_class c); /* "port in": static */
static inline bool record_class_has_addr(enum record_class c)
{
    return c <= RECORD_MMIO_WRITE;
}

/* Registers (a class and an address) a vCPU keeps apart: 32 devices touch some 6 each while they run, rarely 20. */
#define RECORD_REGISTERS 256
#define RECORD_PROBES    8 /* places looked at for one: bounds the path; what finds none is counted as lost */

struct record_exit {
    enum record_class class;
    bool has_addr; /* a port or MMIO exit: addr says where */
    uint64_t addr;
    uint64_t from, left, done; /* ticks */
};

struct record_class_stats {
    struct hist run, handler;     /* ticks */
    _Atomic uint64_t first, last; /* `left` of the first and the latest exit */
};

struct record_register {
    _Atomic uint64_t key; /* 0: free; else addr * RECORD_CLASSES + class + 1: addresses have 52 bits. Never changed */
    _Atomic uint64_t count, run, handler, run_max, handler_max;
};

/* Every exit as it was, for benches that join them with what the guest saw. Filled up to capacity, then no further. */
struct record_trace {
    struct record_exit *exit; /* capacity of them, the owner's */
    uint64_t capacity;
    _Atomic uint64_t count; /* released after the exit it counts is written: a reader acquires it */
};

struct record {
    struct record_trace *trace; /* NULL: none. Set before the writer starts */
    struct record_class_stats of[RECORD_CLASSES];
    _Atomic uint64_t lost;          /* exits whose register found no place */
    struct record_register *latest; /* the writer's: of the latest exit that has one */
    /* So that a reader looks at what is there, and not at all that could be: a bit for each class, and the places of
     * reg that are taken, in the order of their taking. */
    _Atomic uint32_t seen;
    _Atomic uint16_t registers; /* released after the place it counts is written */
    uint8_t place[RECORD_REGISTERS];
    struct record_register reg[RECORD_REGISTERS];
};

struct record *record_create(void);                              /* NULL: no memory */
void record_destroy(struct record *r);                           /* NULL is legal */
void record_exit(struct record *r, const struct record_exit *x); /* the writer */
/* What `from` counted by class, added to `to`, whose writer the caller is. No registers: nobody writes `from` any more.
 */
void record_add(struct record *to, const struct record *from);

/* What a register's key says. */
struct record_place {
    enum record_class class;
    uint64_t addr;
};
struct record_place record_place(const struct record_register *reg);

/* For readers: has there been an exit of that class, and how many registers are there; the i-th of these. */
static inline bool record_has(const struct record *r, enum record_class c)
{
    return atomic_load_explicit(&r->seen, memory_order_relaxed) >> c & 1;
}
static inline unsigned record_registers(const struct record *r)
{
    return atomic_load_explicit(&r->registers, memory_order_acquire);
}
static inline const struct record_register *record_register_at(const struct record *r, unsigned i)
{
    return &r->reg[r->place[i]];
}

#endif
