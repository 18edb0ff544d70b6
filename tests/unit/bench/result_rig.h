/* Results to test with: made up, the same each time. */
#ifndef TESTS_UNIT_BENCH_RESULT_RIG_H
#define TESTS_UNIT_BENCH_RESULT_RIG_H

#include <stdio.h>
#include <stdlib.h>

#include "bench/result/result.h"
#include "tests/unit/text.h"

static inline char *written(const struct result *r, const char *format)
{
    struct text t = {0};
    struct err e = {0};
    if (result_write(r, format, text_add, &t, &e)) fail_msg("%s: %s", format, e.text);
    return t.s;
}

static inline void add(struct result *r, const char *line)
{
    struct err e = {0};
    if (result_add(r, line, strlen(line), &e)) fail_msg("%s: %s", line, e.text);
}

#define ENVIRONMENT                                                                                                    \
    "\"arch\":\"x86_64\",\"vireo\":\"0.1.0\",\"host\":{\"nature\":\"virtual\",\"cpu\":\"Made Up 9000\",\"microcode\":" \
    "null,\"kernel\":\"6.1.0\",\"module\":\"kvm_amd\",\"parameters\":{\"avic\":\"0\",\"npt\":\"1\"},"                  \
    "\"halt_poll_ns\":200000,\"mitigations\":\"spectre_v2: Retpolines\",\"governor\":null,\"smt\":\"off\","            \
    "\"cpus\":2,\"hypervisor\":\"KVM\"},"

static inline void add_environment(struct result *r, unsigned second)
{
    char line[1024];
    (void)snprintf(
        line, sizeof(line),
        "{\"type\":\"environment\",\"kind\":\"exits\",\"time\":\"2026-01-31T12:00:%02uZ\"," ENVIRONMENT
        "\"options\":{\"samples\":1000,\"pin\":\"0\"},\"counter\":{\"name\":\"TSC\",\"hz\":2e9,\"is_shared\":"
        "true,\"offset_error\":0},\"cost\":{\"counter_read\":40,\"vm_ioctl\":300,\"kvm_run_immediate\":900,"
        "\"recorder_ns\":25}}",
        second);
    add(r, line);
}

/* 1000 samples: 900 of `ticks`, 90 of 10 more, 9 twice as long, one of a million. ticks: 1024 or less, so exact. */
static inline void add_row(struct result *r, const char *id, const char *group, unsigned ticks)
{
    char h[512], line[4096];
    (void)snprintf(
        h, sizeof(h),
        "{\"count\":1000,\"min\":%u,\"max\":1000000,\"sum\":%u,\"hist\":[[%u,900],[%u,90],[%u,9],[999936,1]]}", ticks,
        ticks * 1000 + 900 + ticks * 9 + 1000000 - ticks, ticks, ticks + 10, 2 * ticks);
    (void)snprintf(
        line, sizeof(line),
        "{\"type\":\"row\",\"row\":\"%s\",\"group\":\"%s\",\"status\":\"ok\",\"detail\":\"\",\"batch\":1,"
        "\"samples\":1000,\"disturbed\":1,\"exits\":{\"expected\":1000,\"counted\":1000,\"source\":\"exits\","
        "\"agrees\":true,\"verdict\":\"agrees\"},\"baseline\":18,\"identity\":{\"holds\":true,\"residual\":3},"
        "\"phases\":{\"rtt\":%s,\"rtt_undisturbed\":{\"count\":999,\"min\":%u,\"max\":%u,\"sum\":%u,\"hist\":"
        "[[%u,900],[%u,90],[%u,9]]},\"kvm_run\":%s}}",
        id, group, h, ticks, 2 * ticks, ticks * 1008 + 900, ticks, ticks + 10, 2 * ticks, h);
    add(r, line);
}

static inline struct result *new_result(const char *kind)
{
    struct result *r = result_create(kind);
    assert_non_null(r);
    return r;
}

/* pio_out_user takes `ticks` and up to 4 more, by process; one process could not do mmio_rd_user, none
 * hypercall_null. */
static inline struct result *exits(unsigned processes, unsigned ticks, unsigned second)
{
    struct result *r = new_result("exits");
    for (unsigned p = 0; p < processes; p++) {
        add_environment(r, second + 2 * p);
        add(r, "{\"type\":\"begin\",\"item\":\"pio_out_user\",\"timeout_ms\":5000}");
        add_row(r, "pio_out_user", "user", ticks + p % 5);
        if (p != 1) add_row(r, "mmio_rd_user", "user", 900);
        if (p == 1)
            add(r,
                "{\"type\":\"row\",\"row\":\"mmio_rd_user\",\"group\":\"user\",\"status\":\"no-exit\",\"detail\":\"the "
                "kernel counted no exit\",\"exits\":{\"expected\":1000,\"counted\":0,\"source\":\"exits\",\"agrees\":"
                "false,\"verdict\":\"fewer\",\"because\":\"1000 of 1000 are missing\"}}");
        add(r,
            "{\"type\":\"row\",\"row\":\"hypercall_null\",\"group\":\"kernel\",\"status\":\"timeout\",\"detail\":\"not "
            "done after 5 s\",\"batch\":1,\"samples\":0,\"phases\":{}}");
    }
    return r;
}

static inline struct result *fairness(void)
{
    struct result *r = new_result("fairness");
    add(r, "{\"type\":\"environment\",\"kind\":\"fairness\",\"time\":\"2026-01-31T12:00:00Z\"," ENVIRONMENT
           "\"scheduler\":{\"slice_ns\":3000000},\"options\":{\"duration\":\"5\"}}");
    add(r, "{\"type\":\"begin\",\"item\":\"E1\",\"timeout_ms\":9000}");
    add(r,
        "{\"type\":\"experiment\",\"id\":\"E1\",\"variant\":\"2 vCPUs on 1 CPU\",\"status\":\"ok\",\"detail\":\"\","
        "\"vcpus\":[{\"vm\":0,\"vcpu\":0,\"share\":0.5,\"charged\":[25000000,26000000]},{\"vm\":0,\"vcpu\":1,\"share\":"
        "0.5,\"charged\":[24000000,25000000]}],\"windows_ns\":[50000000],\"identities\":[{\"id\":\"C1\",\"holds\":true,"
        "\"text\":\"0.9987 = 1 within "
        "0.005\"}],\"properties\":[{\"id\":\"F1\",\"verdict\":\"pass\",\"statistic\":4.4e6,"
        "\"bound\":8e6,\"unit\":\"ns\",\"text\":\"|C - share*sum| = 4.4 ms <= 2*max(3 ms, 4 ms) = 8 ms\",\"reason\":"
        "\"\"},{\"id\":\"F5\",\"verdict\":\"inconclusive\",\"unit\":\"\",\"text\":\"\",\"reason\":\"too few, \\\"2\\\","
        " windows\"}],\"plots\":{\"convergence\":[[5e7,0.01]],\"share\":[[\"0.0\",0.51,0.5]],\"gaps\":[[1000,4]]}}");
    add(r, "{\"type\":\"experiment\",\"id\":\"E7\",\"status\":\"unsupported\",\"detail\":\"no cgroup can be made\"}");
    return r;
}

/* Both are given up. */
static inline char *compared(struct result *a, struct result *b, const char *format)
{
    struct text t = {0};
    struct err e = {0};
    if (result_compare(a, b, 0.05, format, text_add, &t, &e) < 0) fail_msg("%s", e.text);
    result_destroy(a);
    result_destroy(b);
    return t.s;
}

#endif
