/* Was what a machine told (runner_trace) a run of the kick protocol? The same transition system as
 * tests/proof/runner.pml, as a checker: events in, the first one that the protocol does not allow out.
 *
 * The two are kept the same by running one through the other: the model prints its own runs as traces (-DTRACE), and
 * prove.t has the checker accept them, and refuse those of broken variants.
 *
 * What is told under the machine's lock is in its true order. What a vCPU tells without it is not: it reads want at
 * some moment between RUNNER_CLEARED and RUNNER_READ. So a read may find the newest want whose kick was complete before
 * RUNNER_CLEARED, or any that was stored since; an older one is a lost kick. */
#ifndef VIREO_TESTS_CONFORMANCE_H
#define VIREO_TESTS_CONFORMANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/machine/runner.h"

#define CONFORMANCE_VCPUS 16
#define CONFORMANCE_WANTS 64 /* per vCPU, those a read may still find: some few; the stores of one read */

struct step {
    uint8_t step; /* enum runner_step */
    int8_t vcpu;  /* -1: none */
    int16_t value;
};

/* A trace in text: words of a step's letter (w WANT, x EXIT_SET, s SIGNALLED, e EINTR, c CLEARED, r READ, h HALTED, u
 * RESUMED, g GONE, E ENDED, p PAUSED), the vCPU's digit, and a value where there is one: R, P, E or a digit. 0: it is
 * none, or has more than max steps. */
size_t conformance_parse(const char *text, struct step *steps, size_t max);

/* NULL: all `count` steps are a whole run that ended with every vCPU gone. Else why not, and *at is the step's index
 * (count: what is missing at the end). */
const char *conformance_check(const struct step *steps, size_t count, unsigned vcpus, size_t *at);

#endif
