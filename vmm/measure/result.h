/* Results of benches: made of the lines that worker processes wrote (bench.h), or read from a file; compared, and
 * written for people and programs. One thread at a time.
 *
 * A result file is one JSON object. Durations are in ticks of the counter that "environment" names, its rate beside it.
 *
 * Lines of `exits` (what one process found):
 *   {"type":"environment","kind":"exits","arch":"x86_64","vireo":"0.1.0","time":"2026-01-31T12:00:00Z",
 *    "host":{"nature":"bare|virtual|emulated|pvm","cpu":"...","microcode":"...","kernel":"...","module":"kvm_amd",
 *            "parameters":{"avic":"1",...},"halt_poll_ns":200000,"mitigations":"...","governor":"...","smt":"...",
 *            "cpus":2,"hypervisor":"..."},             unknown ones are null, never left out
 *    "options":{"samples":10000,"pin":"0",...},
 *    "counter":{"name":"TSC","hz":2.6e9,"is_shared":true,"offset_error":0},
 *    "cost":{"counter_read":40,"vm_ioctl":300,"kvm_run_immediate":900,"recorder_ns":25}}   C and B: least of many
 *   {"type":"row","row":"pio_out_user","group":"control|kernel|user","status":"ok|no-exit|timeout|unsupported",
 *    "detail":"why not, one sentence, or empty","batch":1,"samples":10000,"disturbed":12,
 *    "exits":{"expected":10000,"counted":10000,"source":"exits","agrees":true},
 *    "baseline":18,                                     median of the loop without the trap; subtracted from rtt
 *    "identity":{"holds":true,"residual":3},            null where there are no legs
 *    "phases":{"rtt":H,"rtt_undisturbed":H,"exit_leg":H,"user":H,"entry_leg":H,"kvm_run":H}}  what there is of them
 *   H = {"count":N,"min":t,"max":t,"sum":t,"hist":[[value,count],...]}   values as hist.h's buckets: lowest of each
 *   Durations of a row, baseline and residual too, are those of a whole batch: whoever prints divides by it.
 *
 * Lines of `fairness`:
 *   {"type":"environment","kind":"fairness",...as above, plus "scheduler":{...}}
 *   {"type":"experiment","id":"E1","variant":"4 vCPUs on 1 CPU","status":"ok|unsupported|inconclusive","detail":"...",
 *    "vcpus":[{"vm":0,"vcpu":0,"share":0.25,"charged":[ns per window],...}],"windows_ns":[...],
 *    "identities":[{"id":"C1","holds":true,"text":"0.9987 = 1 within 0.005"}],
 *    "properties":[{"id":"F1","verdict":"pass|fail|inconclusive","statistic":4.4e6,"bound":8e6,"unit":"ns",
 *                   "text":"|C - share*sum| = 4.4 ms <= 2*max(3 ms, 4 ms) = 8 ms","reason":""}],
 *    "plots":{"convergence":[[window_ns,error],...],"share":[[label,measured,expected],...],"gaps":[[ns,count],...]}}
 *
 * A result: {"schema":"vireo-result-1","kind":"exits","environments":[one of each worker],"rows":[...],
 * "experiments":[...]} - a row is as in the lines, phases merged over the processes, and has
 *   "p50s":[t of each process' rtt],"headline":{"p50":t,"low":t,"high":t}   their median and its bootstrap interval;
 *                                                                           low and high null below ten processes
 */
#ifndef VIREO_MEASURE_RESULT_H
#define VIREO_MEASURE_RESULT_H

#include <stddef.h>

#include "vmm/base/err.h"

struct result;

typedef void result_write_fn(void *arg, const char *text, size_t len);

struct result *result_create(const char *kind); /* "exits", "fairness"; NULL: no memory */
void result_destroy(struct result *r);
/* One line of a worker. A new environment begins a new process. */
int result_add(struct result *r, const char *line, size_t len, struct err *e);
/* A result file's text. Another schema, or none: one sentence. */
int result_load(struct result **out, const char *text, size_t len, struct err *e);
const char *result_kind(const struct result *r);

/* format: "text", "json", "csv", "hgrm", "kut". One that the kind does not have: one sentence with those it has. */
int result_write(const struct result *r, const char *format, result_write_fn *write, void *arg, struct err *e);
/* a beside b: ratio with interval, permutation test, for each row that both have; "text" or "json". Results that must
 * not be compared (other kind, architecture, counter) are refused; other environments and runs that were not
 * interleaved are said. */
int result_compare(const struct result *a, const struct result *b, const char *format, result_write_fn *write,
                   void *arg, struct err *e);
/* report.c: one self-contained HTML page of them all. */
int report_write(const struct result *const *results, unsigned count, result_write_fn *write, void *arg, struct err *e);

#endif
