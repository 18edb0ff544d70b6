#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "tests/unit/config/config_rig.h"
#include "vmm/config/value.h"
#include "vmm/machine/slots.h"

static const struct disk_settings *disk(unsigned n)
{
    return config_device(&c, &slot_disk.device, n)->settings;
}

static const struct net_settings *net(unsigned n)
{
    return config_device(&c, &slot_net.device, n)->settings;
}

static const char *id_of(const struct slot_kind *kind, unsigned n)
{
    return config_device(&c, &kind->device, n)->id;
}

static bool has_rng(void)
{
    for (unsigned i = 0; i < c.device_count; i++)
        if (strcmp(c.device[i].label, "rng 0") == 0) return true;
    return false;
}

static int load(const char *json)
{
    return config_load_json(&c, json, strlen(json), &e);
}

static void refuse_json(const char *json, const char *part)
{
    fresh(NULL);
    assert_int_not_equal(load(json), 0);
    assert_contains(e.text, part);
    gone(NULL);
}

/* ---- values ---- */

static void defaults_are_a_whole_configuration(void **state)
{
    (void)state;
    assert_int_equal(config_check(&c, &e), 0);
    assert_int_equal(c.cpus, 1);
    assert_int_equal(c.memory, 256u << 20);
    assert_true(c.has_acpi);
    assert_true(c.has_record);
    assert_false(has_rng());
    assert_int_equal(c.console, CONSOLE_STDIO);
}

static void sizes_have_units_of_1024(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
    } rows[] = {{"2097152", 2097152}, {"4096K", 4u << 20}, {"256M", 256u << 20}, {"3m", 3u << 20},
                {"1G", 1u << 30},     {"2t", 2ull << 40},  {"02M", 2u << 20}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        set("memory", rows[i].text);
        assert_int_equal(c.memory, rows[i].bytes);
    }
}

static void sizes_refuse_all_else(void **state)
{
    (void)state;
    static const char *const no_size[] = {"",
                                          "M",
                                          "1MB",
                                          "1 M",
                                          " 1M",
                                          "+2M",
                                          "-2M",
                                          "0x10M",
                                          "1.5G",
                                          "1e9",
                                          "256MM",
                                          "2P",
                                          "18446744073709551616",
                                          "16777216T"};
    for (size_t i = 0; i < COUNT_OF(no_size); i++) refuse("memory", no_size[i], "not a size");
    refuse("memory", "0", "the least");
    refuse("memory", "2M1", "not a size");
    refuse("memory", "2097151", "the least");
    refuse("memory", "2097153", "memory 2097153 bytes: not a multiple of 4096");
    assert_string_equal(e.hint, "");
    refuse("memory", "0002048", "memory 2K: too small"); /* as it was understood, not as it was written */
    refuse("memory", "128", "memory 128 bytes: too small; the least a machine can have is 2M");
    assert_contains(e.hint, "write 128M");
    refuse("memory", "128K", "memory 128K: too small");
    assert_string_equal(e.hint, "");
    refuse("memory", "1\x1b[2J\n", "memory 1?[2J?: not a size");
    assert_int_equal(c.memory, 256u << 20);
}

static void cpus_are_bounded_both_ways(void **state)
{
    (void)state;
    static const char *const bad[] = {"0", "65", "1000", "", "two", "2.0", "-1", "4294967297", "99999999999999999999"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) refuse("cpus", bad[i], "from 1 to 64");
    set("cpus", "64");
    assert_int_equal(c.cpus, 64);
    set("cpus", "1");
    assert_int_equal(c.cpus, 1); /* the last one counts */
}

static void switches_are_true_or_false(void **state)
{
    (void)state;
    set("rng", "true");
    assert_true(has_rng());
    set("rng", "false");
    assert_false(has_rng());
    set("no-acpi", "true");
    assert_false(c.has_acpi);
    set("no-acpi", "false");
    assert_true(c.has_acpi);
    set("escape", "true");
    assert_true(c.has_escape);
    refuse("rng", "1", "true or false");
    refuse("no-acpi", "", "true or false");
    set("record", "off");
    assert_false(c.has_record);
    set("record", "on");
    assert_true(c.has_record);
    refuse("record", "true", "on or off");
    refuse("escape", "yes", "true or false");
}

static void huge_pages_want_memory_of_whole_pages(void **state)
{
    (void)state;
    static const struct {
        const char *pages, *memory, *refused; /* NULL: taken */
    } rows[] = {
        {"off", "2100K", NULL}, {"advise", "2100K", NULL},
        {"2M", "6M", NULL},     {"2M", "3M", "memory 3M: huge-pages 2M makes it of whole pages"},
        {"1G", "1G", NULL},     {"1G", "512M", "a multiple of 1G"},
    };
    assert_int_equal(c.huge_pages, HUGE_PAGES_ADVISE);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        set("memory", rows[i].memory);
        set("huge-pages", rows[i].pages);
        if (rows[i].refused)
            refuse_whole(rows[i].refused);
        else if (config_check(&c, &e))
            fail_msg("%s", e.text);
    }
    refuse("huge-pages", "2m", "off, advise, 2M or 1G");
    refuse("huge-pages", "true", "off, advise, 2M or 1G");
    refuse("huge-pages", "", "off, advise, 2M or 1G");
    assert_int_equal(load("{\"huge-pages\": \"off\"}"), 0);
    assert_int_equal(c.huge_pages, HUGE_PAGES_OFF);
    refuse_json("{\"huge-pages\": true}", "huge-pages");
}

static void names_are_plain_words(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",  "a b", "a/b",   "a\nb", "\x1b[2J", "\xc3\xa4", "a123456789b123456789c123456789d12",
        ".", "..",  ".sock", "-",    "-x",      "--json"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) refuse("name", bad[i], "letters, digits");
    set("name", "a123456789b123456789c123456789d1");
    refuse("disk", "path=a,id=-x", "not begin");
    refuse("disk", "path=a,id=..", "not begin");
    refuse("net", "tap=a,id=.", "not begin");
    set("name", "_x");
    set("name", "1-");
    set("name", "web-1_a.B");
    assert_string_equal(c.name, "web-1_a.B");
}

static void cmdline_stops_at_what_kernels_take(void **state)
{
    (void)state;
    char text[CONFIG_CMDLINE_MAX + 1];
    memset(text, 'x', sizeof(text));
    text[CONFIG_CMDLINE_MAX] = '\0';
    refuse("cmdline", text, "2048 bytes, and kernels take at most 2047");
    text[CONFIG_CMDLINE_MAX - 1] = '\0';
    set("cmdline", text);
    assert_string_equal(c.cmdline, text);
    set("cmdline", "");
    assert_string_equal(c.cmdline, "");
}

static void timeouts_are_seconds_or_times_with_a_unit_up_to_a_year(void **state)
{
    static const struct {
        const char *value;
        uint64_t ms;
    } good[] = {{"31622400", CONFIG_TIMEOUT_MAX * UINT64_C(1000)},
                {"31622400s", CONFIG_TIMEOUT_MAX * UINT64_C(1000)},
                {"0", 0},
                {"2", 2000},
                {"2s", 2000},
                {"1500ms", 1500},
                {"1m", 60000},
                {"3000us", 3},
                {"0ms", 0}};
    static const char *const bad[] = {"31622401",
                                      "31622401s",
                                      "1.5",
                                      "-1",
                                      "",
                                      "s",
                                      "1 s",
                                      "1h",
                                      "500us",
                                      "1ns",
                                      "10mss",
                                      "18446744073709551616",
                                      "18446744073709551615",
                                      "18446744073709551615m"};
    (void)state;
    for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        set("timeout", good[i].value);
        assert_int_equal(c.timeout_ms, good[i].ms);
    }
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) refuse("timeout", bad[i], "must be whole seconds, or");
}

static void console_has_four_forms(void **state)
{
    (void)state;
    set("console", "file=/tmp/a=b,c");
    assert_int_equal(c.console, CONSOLE_FILE);
    assert_string_equal(c.console_path, "/tmp/a=b,c");
    set("console", "pty");
    assert_int_equal(c.console, CONSOLE_PTY);
    set("console", "off");
    assert_int_equal(c.console, CONSOLE_OFF);
    set("console", "stdio");
    assert_int_equal(c.console, CONSOLE_STDIO);
    refuse("console", "tty", "stdio, file=PATH, pty or off");
    refuse("console", "file=", "path is empty");
    refuse("console", "", "stdio, file=PATH, pty or off");
    assert_int_equal(c.console, CONSOLE_STDIO);
}

static void the_console_has_one_device_or_two(void **state)
{
    (void)state;
    assert_true(c.has_virtio_console);
    set("console-device", "serial");
    assert_false(c.has_virtio_console);
    set("console-device", "both");
    assert_true(c.has_virtio_console);
    refuse("console-device", "virtio", "both or serial");
    refuse("console-device", "", "both or serial");
    assert_true(c.has_virtio_console);
}

static void paths_are_neither_empty_nor_endless(void **state)
{
    (void)state;
    char text[5000];
    memset(text, 'p', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    refuse("kernel", "", "path is empty");
    refuse("initrd", text, "longer than the 4095 bytes");
    set("kernel", "a");
    set("kernel", "b");
    assert_string_equal(c.kernel, "b");
}

/* ---- disks and nets ---- */

static void disk_takes_its_words_in_any_order(void **state)
{
    (void)state;
    set("disk", "readonly,serial=S-1,path=/a/b=c.img,id=root");
    set("disk", "path=d.img,readonly=false");
    assert_int_equal(config_device_count(&c, &slot_disk.device), 2);
    assert_string_equal(disk(0)->path, "/a/b=c.img");
    assert_string_equal(id_of(&slot_disk, 0), "root");
    assert_string_equal(disk(0)->serial, "S-1");
    assert_true(disk(0)->is_readonly);
    assert_false(disk(1)->is_readonly);
    assert_string_equal(id_of(&slot_disk, 1), "");
}

static void doubled_comma_is_a_comma_of_the_value(void **state)
{
    (void)state;
    set("disk", "path=a,,b,,,readonly");
    assert_string_equal(disk(0)->path, "a,b,");
    assert_true(disk(0)->is_readonly);
    set("disk", "path=,,");
    assert_string_equal(disk(1)->path, ",");
}

static void disk_takes_block_size_lock_and_format(void **state)
{
    (void)state;
    set("disk", "path=a");
    set("disk", "path=b,block-size=4096,lock=off,format=raw");
    set("disk", "path=c,block-size=512,lock=on");
    assert_int_equal(disk(0)->block_size, 0);
    assert_false(disk(0)->is_unlocked || disk(0)->is_raw);
    assert_int_equal(disk(1)->block_size, 4096);
    assert_true(disk(1)->is_unlocked && disk(1)->is_raw);
    assert_int_equal(disk(2)->block_size, 512);
    assert_false(disk(2)->is_unlocked);
    if (load("{\"disk\": {\"path\": \"d\", \"block-size\": 4096, \"lock\": \"off\"}}") != 0) fail_msg("%s", e.text);
    assert_int_equal(disk(3)->block_size, 4096);
    assert_true(disk(3)->is_unlocked);
}

static void disk_refuses_what_makes_no_sense(void **state)
{
    (void)state;
    static const struct {
        const char *value, *part;
    } rows[] = {
        {"", "empty word"},
        {"readonly", "no path given"},
        {"path=", "path is empty"},
        {"path", "no value given"},
        {"path=a,path=b", "path: given twice"},
        {"path=a,readonly,readonly", "readonly: given twice"},
        {"path=a,", "empty word"},
        {"root.img", "unknown word \"root.img\""},
        {"path=a,readonly=1", "true or false"},
        {"path=a,id=", "1 to 32"},
        {"path=a,id=a b", "1 to 32"},
        {"path=a,serial=123456789012345678901", "1 to 20"},
        {"path=a,serial=a b", "1 to 20"},
        {"path=a,block-size=1024", "512 or 4096"},
        {"path=a,block-size=0", "512 or 4096"},
        {"path=a,block-size", "no value given"},
        {"path=a,lock=no", "on or off"},
        {"path=a,lock", "no value given"},
        {"path=a,format=qcow2", "is a raw image or block device"},
        {"path=a,=b", "empty word"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) refuse("disk", rows[i].value, rows[i].part);
    assert_int_equal(config_device_count(&c, &slot_disk.device), 0);
}

static void net_takes_tap_or_fd(void **state)
{
    (void)state;
    set("net", "tap=vireo0,mac=52:54:00:Ab:cD:0f,mtu=1400,id=lan");
    set("net", "fd=5");
    static const uint8_t mac[6] = {0x52, 0x54, 0, 0xab, 0xcd, 0x0f};
    assert_string_equal(net(0)->tap, "vireo0");
    assert_int_equal(net(0)->fd, -1);
    assert_true(net(0)->has_mac);
    assert_memory_equal(net(0)->mac, mac, 6);
    assert_int_equal(net(0)->mtu, 1400);
    assert_string_equal(id_of(&slot_net, 0), "lan");
    assert_int_equal(net(1)->fd, 5);
    assert_string_equal(net(1)->tap, "");
    assert_false(net(1)->has_mac);
    set("net", "tap=\xc3\xa4\xff"); /* the kernel takes any byte that is no blank, '/' or ':' */
    assert_string_equal(net(2)->tap, "\xc3\xa4\xff");
}

static void net_refuses_what_makes_no_sense(void **state)
{
    (void)state;
    static const struct {
        const char *value, *part;
    } rows[] = {
        {"mtu=1500", "no host side"},
        {"tap=a,fd=3", "both"},
        {"tap=", "interface name"},
        {"tap=1234567890123456", "interface name"},
        {"tap=a/b", "interface name"},
        {"tap=..", "interface name"},
        {"fd=-1", "not a file descriptor"},
        {"fd=2147483648", "not a file descriptor"},
        {"fd=", "not a file descriptor"},
        {"tap=a,mac=52:54:00:12:34", "six pairs"},
        {"tap=a,mac=52:54:00:12:34:5g", "six pairs"},
        {"tap=a,mac=52-54-00-12-34-56", "six pairs"},
        {"tap=a,mac=52:54:00:12:34:567", "six pairs"},
        {"tap=a,mac=01:00:5e:00:00:01", "group or zero"},
        {"tap=a,mac=ff:ff:ff:ff:ff:ff", "group or zero"},
        {"tap=a,mac=00:00:00:00:00:00", "group or zero"},
        {"tap=a,mtu=67", "68 to 65535"},
        {"tap=a,mtu=65536", "68 to 65535"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) refuse("net", rows[i].value, rows[i].part);
    assert_int_equal(config_device_count(&c, &slot_net.device), 0);
}

static void one_device_too_many_is_refused(void **state)
{
    (void)state;
    char value[32];
    for (unsigned i = 0; i < slot_disk.device.most; i++) {
        (void)snprintf(value, sizeof(value), "path=%u", i);
        set("disk", value);
    }
    refuse("disk", "path=more", "at most 16");
    for (unsigned i = 0; i < slot_net.device.most; i++) {
        (void)snprintf(value, sizeof(value), "tap=t%u", i);
        set("net", value);
    }
    refuse("net", "tap=more", "at most 8");
    assert_int_equal(config_check(&c, &e), 0);
}

/* ---- unknown words ---- */

static void typo_is_answered_with_the_nearest_key(void **state)
{
    (void)state;
    static const struct {
        const char *typo, *hint;
    } rows[] = {{"memroy", "\"memory\""},
                {"memory ", "\"memory\""},
                {"mem", "\"memory\""},
                {"cpu", "\"cpus\""},
                {"kernal", "\"kernel\""},
                {"dsik", "\"disk\""},
                {"tmieout", "\"timeout\""},
                {"noacpi", "\"no-acpi\""},
                {"initramfs", "--help"},
                {"xyzzy", "--help"},
                {"", "--help"},
                {"-", "--help"}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        refuse(rows[i].typo, "1", "unknown key");
        assert_contains(e.hint, rows[i].hint);
    }
    refuse("disk", "path=a,raedonly", "unknown word");
    assert_contains(e.hint, "\"readonly\"");
    refuse("net", "tab=a", "unknown word");
    assert_contains(e.hint, "\"tap\"");
    refuse("net", "vireo0", "unknown word");
    assert_contains(e.hint, "starts with tap=");
}

/* By brute force: whatever one slip makes of a key leads back to it, unless that is a key itself. */
static void every_single_slip_leads_back(void **state)
{
    (void)state;
    char typo[40];
    for (unsigned i = 0; config_key(machine_devices, i); i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "%s", config_key(machine_devices, i)->name);
        const size_t len = strlen(name);
        if (len < 4) continue; /* one slip in three letters is another word as likely as not */
        for (size_t at = 0; at < len; at++) {
            (void)snprintf(typo, sizeof(typo), "%.*s%s", (int)at, name, name + at + 1); /* one left out */
            refuse(typo, "1", "unknown key");
            assert_contains(e.hint, name);
            (void)snprintf(typo, sizeof(typo), "%.*sq%s", (int)at, name, name + at); /* one too many */
            refuse(typo, "1", "unknown key");
            assert_contains(e.hint, name);
            if (at + 1 == len || name[at] == name[at + 1]) continue;
            (void)snprintf(typo, sizeof(typo), "%s", name); /* two the wrong way round */
            typo[at] = name[at + 1];
            typo[at + 1] = name[at];
            refuse(typo, "1", "unknown key");
            assert_contains(e.hint, name);
        }
    }
}

static void long_words_can_not_hide_the_sentence(void **state)
{
    (void)state;
    char word[3000];
    memset(word, 'w', sizeof(word) - 1);
    word[sizeof(word) - 1] = '\0';
    refuse(word, "1", "unknown key");
    assert_string_equal(e.hint, "`vireo run --help` lists the keys");
    refuse("cpus", word, "from 1 to 64");
    refuse("console", word, "stdio, file=PATH, pty or off");
    refuse("disk", word, "unknown word");
    refuse("name", word, "letters, digits");
}

/* ---- the whole ---- */

static void initrd_needs_a_kernel(void **state)
{
    (void)state;
    set("initrd", "i");
    refuse_whole("no kernel");
    set("kernel", "k");
    assert_int_equal(config_check(&c, &e), 0);
}

static void memory_beyond_the_host_is_refused(void **state)
{
    (void)state;
    struct sysinfo si;
    char value[32];
    assert_int_equal(sysinfo(&si), 0);
    const uint64_t total = (uint64_t)si.totalram * si.mem_unit / CONFIG_MEMORY_STEP * CONFIG_MEMORY_STEP;
    (void)snprintf(value, sizeof(value), "%llu", (unsigned long long)total);
    set("memory", value);
    assert_int_equal(config_check(&c, &e), 0);
    (void)snprintf(value, sizeof(value), "%llu", (unsigned long long)total + CONFIG_MEMORY_STEP);
    set("memory", value);
    refuse_whole("this host has");
}

static void writers_do_not_share_an_image(void **state)
{
    (void)state;
    set("disk", "path=a,readonly");
    set("disk", "path=a,readonly");
    assert_int_equal(config_check(&c, &e), 0);
    set("disk", "path=a");
    refuse_whole("disk 2: a is disk 0 already");
}

static void id_names_one_device(void **state)
{
    (void)state;
    set("disk", "path=a,id=x");
    set("disk", "path=b");
    set("net", "tap=t,id=y");
    set("net", "tap=u");
    assert_int_equal(config_check(&c, &e), 0);
    set("net", "tap=v,id=x");
    refuse_whole("id x: given to two devices");
}

static void net_fd_must_be_open(void **state)
{
    (void)state;
    char value[32];
    const int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    (void)snprintf(value, sizeof(value), "fd=%d", fd);
    set("net", value);
    assert_int_equal(config_check(&c, &e), 0);
    close(fd);
    refuse_whole("is not open");
}

static void nets_do_not_share_a_host_side(void **state)
{
    (void)state;
    set("net", "tap=t,mac=52:54:00:00:00:01");
    set("net", "tap=u,mac=52:54:00:00:00:01");
    refuse_whole("same mac as net 0");
    gone(NULL);
    set("net", "tap=t");
    set("net", "tap=t");
    refuse_whole("tap t is net 0's already");
    gone(NULL);
    set("net", "fd=0");
    set("net", "fd=0");
    refuse_whole("file descriptor 0 is net 0's already");
}

/* ---- JSON ---- */

static void json_sets_what_flags_set(void **state)
{
    (void)state;
    static const char json[] = "{\"kernel\": \"vmlinuz\", \"cpus\": 4, \"memory\": \"1G\", \"rng\": true,\n"
                               " \"no-acpi\": false, \"disk\": [\"path=a,,b,readonly\",\n"
                               "   {\"path\": \"c,d\", \"readonly\": false, \"id\": \"data\", \"serial\": \"7\"}],\n"
                               " \"net\": {\"fd\": 0, \"mtu\": 9000}, \"console\": \"off\", \"timeout\": 5}";
    if (load(json) != 0) fail_msg("%s", e.text);
    assert_string_equal(c.kernel, "vmlinuz");
    assert_int_equal(c.cpus, 4);
    assert_int_equal(c.memory, 1u << 30);
    assert_true(has_rng() && c.has_acpi);
    assert_int_equal(config_device_count(&c, &slot_disk.device), 2);
    assert_string_equal(disk(0)->path, "a,b");
    assert_true(disk(0)->is_readonly);
    assert_string_equal(disk(1)->path, "c,d"); /* no list, so no doubling */
    assert_string_equal(disk(1)->serial, "7");
    assert_int_equal(net(0)->fd, 0);
    assert_int_equal(net(0)->mtu, 9000);
    assert_int_equal(c.timeout_ms, 5000);
}

static void json_errors_name_the_line(void **state)
{
    (void)state;
    refuse_json("", "line 1");
    refuse_json("{\n \"cpus\": 2,\n}", "line 3, column 1: not JSON");
    refuse_json("{\"cpus\": 1,\n\"cpus\": 2}", "duplicate");
    refuse_json("{\"name\": \"cpus\",\n \"cpus\"\n: 0}", "line 2: cpus 0");
    refuse_json("{\"disk\": [\"path=a\", {\"cpus\": 1}],\n\n\"cpus\": 0}", "line 1: disk 1: unknown word \"cpus\"");
    refuse_json("{\"name\": \"\\\"cpus\\\":\\\\\",\n\"cpus\": 0}", "line 1: name");
    refuse_json("{\"cmdline\": \"\\\"cpus\\\":\\\\\",\n\"cpus\": 0}", "line 2: cpus 0");
    refuse_json("{\"\\u0063pus\": 0}", "cpus 0"); /* an escaped name has no line, but is still refused */
    refuse_json("{} x", "line 1");
}

static void json_values_have_the_type_of_their_key(void **state)
{
    (void)state;
    refuse_json("[]", "not an object");
    refuse_json("\"kernel\"", "line 1, column 8: not JSON");
    refuse_json("{\"cpus\": 1.0}", "whole number");
    refuse_json("{\"cpus\": [1]}", "cpus: must be a whole number");
    refuse_json("{\"cpus\": {\"n\": 1}}", "cpus: must be a whole number");
    refuse_json("{\"cpus\": true}", "cpus: must be a whole number");
    refuse_json("{\"cpus\": \"2\"}", "cpus: must be a whole number");
    refuse_json("{\"rng\": 1}", "rng: must be true or false");
    refuse_json("{\"rng\": \"true\"}", "rng: must be true or false");
    refuse_json("{\"kernel\": 7}", "kernel: must be a string");
    refuse_json("{\"kernel\": false}", "kernel: must be a string");
    refuse_json("{\"console\": [\"off\"]}", "console: must be a string");
    refuse_json("{\"memory\": 1.5}", "memory: must be a string or a whole number");
    refuse_json("{\"nice\": [1, true]}", "nice: must be a string or a whole number");
    refuse_json("{\"cpu-affinity\": 3}", "cpu-affinity: must be a string");
    refuse_json("{\"net\": {\"fd\": \"3\"}}", "net: fd: must be a whole number");
    refuse_json("{\"net\": {\"tap\": true}}", "net: tap: must be a string");
    refuse_json("{\"disk\": {\"path\": \"a\", \"serial\": 7}}", "disk: serial: must be a string");
    refuse_json("{\"disk\": true}", "must be an object");
    refuse_json("{\"disk\": [[\"path=a\"]]}", "must be an object");
    refuse_json("{\"disk\": {\"path\": [\"a\"]}}", "path: must be a string");
    refuse_json("{\"disk\": [{\"path\": \"a\", \"readonly\": \"yes\"}]}", "true or false");
    refuse_json("{\"disk\": [{}]}", "no path given");
    refuse_json("{\"kernel\": \"a\\u0000b\"}", "not JSON");
    refuse_json("{\"config\": \"a.json\"}", "unknown key");
}

/* A program that writes a configuration out of optional fields has null for those that aren't set. */
static void null_is_a_key_that_is_not_set(void **state)
{
    (void)state;
    set("kernel", "k");
    assert_int_equal(load("{\"kernel\": null, \"cpus\": null, \"rng\": null, \"disk\": null, \"net\": null, "
                          "\"nice\": null}"),
                     0);
    assert_string_equal(c.kernel, "k");
    assert_int_equal(c.cpus, 1);
    assert_int_equal(c.device_count, 0);
    assert_int_equal(load("{\"disk\": {\"path\": \"a\", \"id\": null, \"readonly\": null, \"serial\": null}}"), 0);
    assert_int_equal(config_device_count(&c, &slot_disk.device), 1);
    assert_string_equal(id_of(&slot_disk, 0), "");
    gone(NULL);
    refuse_json("{\"disk\": {\"path\": null}}", "no path given");
    refuse_json("{\"disk\": [null]}", "disk 0: must be an object");
    refuse_json("{\"cpsu\": null}", "unknown key");
    refuse_json("{\"disk\": {\"path\": \"a\", \"idd\": null}}", "unknown word");
}

/* What is wrong with a key nobody knows is the key. */
static void unknown_key_is_told_before_its_type(void **state)
{
    (void)state;
    static const char *const values[] = {"null", "{}", "[]", "1.5", "true", "[[1]]", "{\"a\": 1}"};
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        char json[64];
        (void)snprintf(json, sizeof(json), "{\"memroy\": %s}", values[i]);
        refuse_json(json, "line 1: unknown key \"memroy\"");
        assert_contains(e.hint, "\"memory\"");
    }
    refuse_json("{\"disk\": {\"raedonly\": [1], \"path\": \"a\"}}", "unknown word \"raedonly\"");
}

static void json_nesting_is_bounded_before_anything_recurses(void **state)
{
    (void)state;
    const size_t deep = 500000;
    char *json = malloc(deep);
    assert_non_null(json);
    memset(json, '[', deep);
    assert_int_not_equal(config_load_json(&c, json, deep, &e), 0);
    assert_contains(e.text, "nested deeper");
    assert_int_not_equal(config_load_json(&c, json, CONFIG_JSON_MAX + 1u, &e), 0);
    assert_contains(e.text, "more than");
    free(json);
    assert_int_equal(load("{\"disk\": [{\"path\": \"[[[[{{{{\"}]}"), 0); /* brackets in strings are text */
}

/* ---- the table ---- */

/* Two kinds of device that no machine has: a horn with settings, and a lamp that is on or off. */
struct horn_settings {
    char *tune;
    uint64_t loud;
};
static unsigned horns_freed;

static int set_tune(void *of, const char *value, struct err *err)
{
    struct config_device *d = of;
    struct horn_settings *s = d->settings;
    return value_path("tune", value, &s->tune, err);
}

static int set_loud(void *of, const char *value, struct err *err)
{
    struct config_device *d = of;
    struct horn_settings *s = d->settings;
    return value_u64(value, &s->loud) ? 0 : err_set(err, -EINVAL, "loud: no number");
}

static void init_horn(void *settings)
{
    struct horn_settings *s = settings;
    s->loud = 11;
}

static void fini_horn(void *settings)
{
    struct horn_settings *s = settings;
    free(s->tune);
    horns_freed++;
}

static int is_horn_whole(const struct config_device *d, struct err *err)
{
    const struct horn_settings *s = d->settings;
    return s->tune ? 0 : err_set(err, -EINVAL, "a horn without a tune");
}

static const char *file_of_horn(const struct config_device *d)
{
    const struct horn_settings *s = d->settings;
    return s->tune;
}

static const struct device_kind horn_kind = {
    .name = "horn",
    .key = {{"horn", "tune=FILE[,loud=N]", "add a horn", NULL, .flags = SETTING_REPEATED}},
    .most = 2,
    .settings_size = sizeof(struct horn_settings),
    .setting = {{"tune", "FILE", NULL, .set = set_tune}, {"loud", "N", NULL, .set = set_loud, .flags = SETTING_NUMBER}},
    .init = init_horn,
    .fini = fini_horn,
    .is_whole = is_horn_whole,
    .file = file_of_horn,
};
static const struct device_kind lamp_kind = {
    .name = "lamp", .key = {{"lamp", NULL, "light a lamp", .set = NULL}}, .most = 1};

static void a_kind_of_device_brings_all_that_its_keys_need(void **state)
{
    (void)state;
    static const struct device_kind *const kinds[] = {&horn_kind, &lamp_kind, NULL};
    static const char json[] = "{\"lamp\": true, \"horn\": [\"tune=a,loud=3\", {\"tune\": \"b\"}], \"kernel\": \"k\"}";
    struct file_name files[CONFIG_MAX_FILES];
    config_init(&c, kinds);
    horns_freed = 0;
    if (load(json)) fail_msg("%s", e.text);
    assert_int_equal(config_device_count(&c, &horn_kind), 2);
    const struct horn_settings *first = config_device(&c, &horn_kind, 0)->settings;
    const struct horn_settings *second = config_device(&c, &horn_kind, 1)->settings;
    assert_int_equal(first->loud, 3);
    assert_int_equal(second->loud, 11);
    assert_int_equal(config_files(&c, files), 3);
    assert_string_equal(files[2].what, "horn 1");
    assert_string_equal(files[2].path, "b");
    refuse("horn", "tune=c", "at most 2");
    refuse("horn", "loud=3", "without a tune");
    refuse("lanp", "true", "unknown key");
    assert_string_equal(e.hint, "did you mean \"lamp\"?");
    refuse("disk", "path=a", "unknown key"); /* no kind, no key */
    assert_int_equal(horns_freed, 4);        /* those refused, each twice */
    set("lamp", "false");
    assert_null(config_device(&c, &lamp_kind, 0));
    assert_int_equal(config_device_count(&c, &horn_kind), 2);
    set("lamp", "true");
    set("lamp", "true");
    assert_int_equal(config_device_count(&c, &lamp_kind), 1);
    config_fini(&c);
    assert_int_equal(horns_freed, 6);
}

static void every_key_is_named_and_explained_once(void **state)
{
    (void)state;
    for (unsigned i = 0; config_key(machine_devices, i); i++) {
        const struct setting *k = config_key(machine_devices, i);
        assert_true(k->help[0] != '\0');
        for (unsigned j = 0; j < i; j++) assert_string_not_equal(k->name, config_key(machine_devices, j)->name);
    }
    assert_null(config_key(machine_devices, 1000));
}

static void failed_set_leaves_the_configuration_alone(void **state)
{
    (void)state;
    set("kernel", "k");
    set("console", "file=f");
    set("disk", "path=a,id=x");
    static const struct {
        const char *key, *value;
    } rows[] = {{"kernel", ""},
                {"initrd", ""},
                {"cpus", "0"},
                {"memory", "1"},
                {"console", "file="},
                {"escape", "1"},
                {"rng", ""},
                {"no-acpi", "no"},
                {"name", "a b"},
                {"timeout", "never"},
                {"disk", "path=b,id=y,serial="},
                {"net", "tap=t,fd=1"}};
    char before[sizeof(c)];
    memcpy(before, &c, sizeof(c));
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_not_equal(config_set(&c, rows[i].key, rows[i].value, &e), 0);
        assert_memory_equal(before, &c, sizeof(c));
    }
}

#define T(promise) cmocka_unit_test_setup_teardown(promise, fresh, gone)
UNIT_MAIN(T(defaults_are_a_whole_configuration), T(sizes_have_units_of_1024), T(sizes_refuse_all_else),
          T(cpus_are_bounded_both_ways), T(switches_are_true_or_false), T(huge_pages_want_memory_of_whole_pages),
          T(names_are_plain_words), T(cmdline_stops_at_what_kernels_take),
          T(timeouts_are_seconds_or_times_with_a_unit_up_to_a_year), T(console_has_four_forms),
          T(the_console_has_one_device_or_two), T(paths_are_neither_empty_nor_endless),
          T(disk_takes_its_words_in_any_order), T(doubled_comma_is_a_comma_of_the_value),
          T(disk_takes_block_size_lock_and_format), T(disk_refuses_what_makes_no_sense), T(net_takes_tap_or_fd),
          T(net_refuses_what_makes_no_sense), T(one_device_too_many_is_refused),
          T(typo_is_answered_with_the_nearest_key), T(every_single_slip_leads_back),
          T(long_words_can_not_hide_the_sentence), T(initrd_needs_a_kernel), T(memory_beyond_the_host_is_refused),
          T(writers_do_not_share_an_image), T(id_names_one_device), T(net_fd_must_be_open),
          T(nets_do_not_share_a_host_side), T(json_sets_what_flags_set), T(json_errors_name_the_line),
          T(json_values_have_the_type_of_their_key), T(null_is_a_key_that_is_not_set),
          T(unknown_key_is_told_before_its_type), T(json_nesting_is_bounded_before_anything_recurses),
          T(a_kind_of_device_brings_all_that_its_keys_need), T(every_key_is_named_and_explained_once),
          T(failed_set_leaves_the_configuration_alone))
