/* Results of benches: made of the lines that worker processes wrote (bench.h), or read from a file; compared, and
 * written for people and programs. result_model.h shows what is in one. One thread at a time.
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
 *    "identities":[{"id":"C1","holds":true|false|null,"text":"0.9987 = 1 within 0.005"}],
 *    "properties":[{"id":"F1","verdict":"pass|fail|inconclusive|reported","statistic":4.4e6,"bound":8e6,"unit":"ns",
 *                   "text":"|C - share*sum| = 4.4 ms <= 2*max(3 ms, 4 ms) = 8 ms","reason":""}],
 *    "plots":{"convergence":[[window_ns,error],...],"share":[[label,measured,expected],...],"gaps":[[ns,count],...]}}
 *
 * Status "failed" is the reader's word: the worker died in that row. Phases and baseline are ticks of a whole batch.
 * Missing keys of a row are taken as unknown; only "row" and "status" must be there.
 *
 * A result: {"schema":"vireo-result-1","kind":"exits","environments":[one of each process],"rows":[...]} or
 * {...,"kind":"fairness",...,"experiments":[...]}, an experiment with "process":N as above, a row with
 *   "processes":[{"status":"ok","p50":t,"baseline":t},...]     p50: ticks of one operation, null where there is none
 *   "p50s":[t,...],"headline":{"phase":"rtt","p50":t,"low":t,"high":t,"ns":n}   those that are there, and their median
 *                                               with its bootstrap interval: low and high null below ten processes
 *   "status":"ok" when one process's is: then samples, disturbed and phases are of those; exits are summed; "agrees"
 * and "holds" where all do; "phases": merged, each H with
 * "quantiles":{"p50":{"ticks":t,"low":t,"high":t},"p90","p99","p999"}, of one operation The headline, p50s and
 * quantiles are for readers of the file: result_load makes them anew from the rest.
 */
#ifndef VIREO_BENCH_RESULT_RESULT_H
#define VIREO_BENCH_RESULT_RESULT_H

#include <stddef.h>

#include "vmm/base/err.h"

struct result;

typedef void result_write_fn(void *arg, const char *text, size_t len);

struct result *result_create(const char *kind); /* "exits", "fairness"; NULL: no memory */
void result_destroy(struct result *r);
/* One line of a worker. A new environment begins a new process. r stays as it was when the line is refused. */
int result_add(struct result *r, const char *line, size_t len, struct err *e);
/* What the worker whose lines come has begun and not finished, or NULL, and how long it may take. Valid until the next
 * line. */
const char *result_pending(const struct result *r, unsigned *timeout_ms);
/* Give that up: its status becomes "timeout" or "failed", why is one sentence. The next environment is then not of a
 * new process, but of a worker that goes on in place of this one. -ENOENT: nothing is pending. */
int result_give_up(struct result *r, const char *status, const char *why, struct err *e);
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
