/* The keys that say how the host schedules a machine's threads. */
#include "tests/unit/config/config_rig.h"
#include "vmm/config/value.h"

/* CPUs 0 to 63 as bits. */
static uint64_t bits(const cpu_set_t *set)
{
    uint64_t out = 0;
    for (unsigned i = 0; i < 64; i++) out |= (uint64_t)(CPU_ISSET(i, set) != 0) << i;
    return out;
}

static void lists_of_cpus_are_the_kernels(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bits;
    } rows[] = {{"0", 1},          {"63", 1ull << 63}, {"0-3,6", 0x4f}, {"2-2", 4},
                {"6,0-3,2", 0x4f}, {"1,3,5", 0x2a},    {"0-63", ~0ull}};
    static const char *const bad[] = {"",
                                      ",",
                                      "1,",
                                      ",1",
                                      "1,,2",
                                      "-",
                                      "1-",
                                      "-1",
                                      "3-1",
                                      "1-2-3",
                                      "a",
                                      " 1",
                                      "1 ",
                                      "0x1",
                                      "1024",
                                      "0-1024",
                                      "0:3",
                                      "all",
                                      "1-a",
                                      "+1",
                                      "1.5",
                                      "0\n",
                                      "99999999999999999999"};
    cpu_set_t got;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_true(value_cpus(rows[i].text, &got));
        assert_int_equal(bits(&got), rows[i].bits);
    }
    assert_true(value_cpus("1023", &got));
    assert_true(CPU_ISSET(1023, &got));
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (value_cpus(bad[i], &got)) fail_msg("\"%s\" is no list of CPUs", bad[i]);
}

static void times_have_a_unit(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t ns;
    } rows[] = {{"0", 0},         {"0s", 0},          {"7ns", 7},          {"20us", 20000},
                {"3ms", 3000000}, {"2s", 2000000000}, {"5m", 300000000000}};
    static const char *const bad[] = {"",     "3",     "ms",   "3 ms", "3h",
                                      "-3ms", "3.5ms", "3msx", "3MS",  "18446744073709551615s"};
    uint64_t got;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_true(value_time(rows[i].text, &got));
        assert_int_equal(got, rows[i].ns);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (value_time(bad[i], &got)) fail_msg("\"%s\" is no time", bad[i]);
}

static void nothing_asked_is_nothing_kept(void **state)
{
    (void)state;
    assert_null(c.sched);
    set("core-scheduling", "false");
    assert_null(c.sched);
}

static void affinity_names_vcpus_one_by_one_in_ranges_all_and_io(void **state)
{
    (void)state;
    set("cpus", "4");
    set("cpu-affinity", "all=0-1");
    set("cpu-affinity", "1-2=3,5");
    set("cpu-affinity", "2=7"); /* the last one wins */
    set("cpu-affinity", "io=4");
    static const uint64_t expected[] = {3, 0x28, 0x80, 3};
    for (unsigned i = 0; i < COUNT_OF(expected); i++) {
        assert_true(c.sched->vcpu[i].has_cpus);
        assert_false(c.sched->vcpu[i].has_nice);
        assert_int_equal(bits(&c.sched->vcpu[i].cpus), expected[i]);
    }
    assert_int_equal(bits(&c.sched->io.cpus), 0x10);
    assert_int_equal(config_check(&c, &e), 0);
}

static void affinity_refuses_what_is_neither_vcpu_nor_cpu(void **state)
{
    (void)state;
    static const char *const bad_who[] = {"",     "3",      "=0",     "x=0",
                                          "64=0", "0-64=0", "3-1=0",  "0,1=0",
                                          "IO=0", "-1=0",   "all =0", "0123456789012345678901234567890=0"};
    static const char *const bad_cpus[] = {"0=", "0=a", "0=1024", "0=3-1", "0=1,", "io=-1", "all=all", "0=0=0"};
    for (size_t i = 0; i < COUNT_OF(bad_who); i++) refuse("cpu-affinity", bad_who[i], "write VCPU=CPUS");
    for (size_t i = 0; i < COUNT_OF(bad_cpus); i++) refuse("cpu-affinity", bad_cpus[i], "a list such as 0-3,6");
}

static void nice_is_for_all_vcpus_or_for_those_named(void **state)
{
    (void)state;
    set("cpus", "3");
    set("nice", "5");
    set("nice", "1=-20");
    set("nice", "io=19");
    static const int expected[] = {5, -20, 5};
    for (unsigned i = 0; i < COUNT_OF(expected); i++) {
        assert_true(c.sched->vcpu[i].has_nice);
        assert_false(c.sched->vcpu[i].has_cpus);
        assert_int_equal(c.sched->vcpu[i].nice, expected[i]);
    }
    assert_int_equal(c.sched->io.nice, 19);
    assert_int_equal(config_check(&c, &e), 0);
}

static void nice_refuses_what_is_no_nice_value(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "-", "20", "-21", "1.5", "+1", "a", "0=", "0=20", "1=x", "--1", "0=1=1", "99999999999999999999"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) refuse("nice", bad[i], "whole number from -20 to 19");
    refuse("nice", "x=1", "before the '=' stands a vCPU");
    refuse("nice", "64=1", "before the '=' stands a vCPU");
}

static void vcpus_named_must_be_there(void **state)
{
    (void)state;
    set("cpus", "2");
    set("nice", "all=3");
    assert_int_equal(config_check(&c, &e), 0);
    set("nice", "2=3");
    refuse_whole("names vCPU 2, but this machine has vCPUs 0 to 1");
    set("cpus", "3");
    assert_int_equal(config_check(&c, &e), 0);
    set("cpu-affinity", "0-5=0");
    refuse_whole("names vCPU 5");
}

static void slices_are_what_the_kernel_takes(void **state)
{
    (void)state;
    static const char *const bad[] = {"99us", "101ms", "0", "3", "fast", ""};
    set("slice", "100us");
    assert_int_equal(c.sched->slice_ns, 100000);
    set("slice", "100ms");
    assert_int_equal(c.sched->slice_ns, 100000000);
    for (size_t i = 0; i < COUNT_OF(bad); i++) refuse("slice", bad[i], "from 100us to 100ms");
}

static void weights_are_numbers_from_1_to_10000(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "0", "10001", "-1", "1:2", "1.5", "heavy"};
    set("cgroup-weight", "10000");
    assert_int_equal(c.sched->weight, 10000);
    for (size_t i = 0; i < COUNT_OF(bad); i++) refuse("cgroup-weight", bad[i], "whole number from 1 to 10000");
}

static void caps_are_percent_or_quota_and_period(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t quota, period;
    } rows[] = {{"50%", 50000, 100000},    {"1%", 1000, 100000},          {"250%", 250000, 100000},
                {"1000/1000", 1000, 1000}, {"20000/50000", 20000, 50000}, {"1000000/1000000", 1000000, 1000000}};
    static const char *const bad[] = {"",
                                      "%",
                                      "0%",
                                      "50",
                                      "50%%",
                                      "0.5%",
                                      "-1%",
                                      "max",
                                      "999/1000",
                                      "1000/999",
                                      "1000/",
                                      "/1000",
                                      "1000/1000001",
                                      "20ms/50ms",
                                      "99999999999999999999%",
                                      "1024000000000/1000"};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        set("cgroup-max", rows[i].text);
        assert_int_equal(c.sched->quota_us, rows[i].quota);
        assert_int_equal(c.sched->period_us, rows[i].period);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++) refuse("cgroup-max", bad[i], "a percentage of one CPU");
    assert_int_equal(c.sched->quota_us, 1000000); /* as it was */
}

static void weight_and_cap_need_a_cgroup(void **state)
{
    (void)state;
    set("cgroup-weight", "200");
    refuse_whole("cgroup-weight: there is no cgroup");
    set("cgroup", "/sys/fs/cgroup/vms");
    assert_int_equal(config_check(&c, &e), 0);
    gone(NULL);
    set("cgroup-max", "50%");
    refuse_whole("cgroup-max: there is no cgroup");
    refuse("cgroup", "", "path is empty");
}

static void vcpus_may_join_a_cgroup_alone(void **state)
{
    (void)state;
    set("cgroup-threads", "all");
    assert_null(c.sched); /* as it is anyway */
    set("cgroup-threads", "vcpus");
    assert_true(c.sched->has_vcpus_alone);
    refuse_whole("cgroup-threads: there is no cgroup");
    set("cgroup-threads", "all");
    assert_false(c.sched->has_vcpus_alone);
    refuse("cgroup-threads", "io", "must be all or vcpus");
    refuse("cgroup-threads", "", "must be all or vcpus");
}

static void halt_poll_may_be_none(void **state)
{
    (void)state;
    set("halt-poll", "200us");
    assert_true(c.sched->has_halt_poll);
    assert_int_equal(c.sched->halt_poll_ns, 200000);
    set("halt-poll", "0");
    assert_int_equal(c.sched->halt_poll_ns, 0);
    refuse("halt-poll", "2s", "at most 1s");
    refuse("halt-poll", "5", "at most 1s");
}

static void json_takes_lists_where_a_flag_repeats(void **state)
{
    (void)state;
    static const char json[] = "{\"cpus\": 2, \"cpu-affinity\": [\"0=0\", \"1=2-3\"], \"nice\": [\"1=4\", \"io=2\"],"
                               " \"core-scheduling\": true, \"cgroup\": \"/g\", \"cgroup-weight\": 300}";
    if (config_load_json(&c, json, strlen(json), &e)) fail_msg("%s", e.text);
    assert_int_equal(bits(&c.sched->vcpu[0].cpus), 1);
    assert_int_equal(bits(&c.sched->vcpu[1].cpus), 0xc);
    assert_int_equal(c.sched->vcpu[1].nice, 4);
    assert_int_equal(c.sched->io.nice, 2);
    assert_true(c.sched->has_core);
    assert_int_equal(c.sched->weight, 300);
    static const char number[] = "{\"nice\": -3}", list[] = "{\"slice\": [\"3ms\"]}", nested[] = "{\"nice\": [[1]]}";
    if (config_load_json(&c, number, strlen(number), &e)) fail_msg("%s", e.text);
    assert_int_equal(c.sched->vcpu[0].nice, -3);
    assert_int_not_equal(config_load_json(&c, list, strlen(list), &e), 0);
    assert_int_not_equal(config_load_json(&c, nested, strlen(nested), &e), 0);
}

#define FRESH(test) cmocka_unit_test_setup_teardown(test, fresh, gone)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRESH(lists_of_cpus_are_the_kernels),
        FRESH(times_have_a_unit),
        FRESH(nothing_asked_is_nothing_kept),
        FRESH(affinity_names_vcpus_one_by_one_in_ranges_all_and_io),
        FRESH(affinity_refuses_what_is_neither_vcpu_nor_cpu),
        FRESH(nice_is_for_all_vcpus_or_for_those_named),
        FRESH(nice_refuses_what_is_no_nice_value),
        FRESH(vcpus_named_must_be_there),
        FRESH(slices_are_what_the_kernel_takes),
        FRESH(weights_are_numbers_from_1_to_10000),
        FRESH(caps_are_percent_or_quota_and_period),
        FRESH(weight_and_cap_need_a_cgroup),
        FRESH(vcpus_may_join_a_cgroup_alone),
        FRESH(halt_poll_may_be_none),
        FRESH(json_takes_lists_where_a_flag_repeats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
