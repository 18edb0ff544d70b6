/* Functions of WebAssembly modules, called from C by the public header: with bytes, with numbers, in clones. The
 * modules (tests/wasm/calls.c, bad_malloc.wat) become programs as a user's do: by clang or wat2wasm, and `vireo wasm`.
 */
#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <vireo_sandbox.h>

#define CALL_LIMIT_NS UINT64_C(20000000000)

static char top[] = "/tmp/test_wasm.XXXXXX";
static struct vireo_error error;
static char said[256]; /* what the module's program wrote to standard error last */

#define OK(call)                                                                                                       \
    do {                                                                                                               \
        error.text[0] = 0;                                                                                             \
        const int rc_ = (call);                                                                                        \
        if (rc_) print_error("%s: %s\n", #call, error.text);                                                           \
        assert_int_equal(rc_, 0);                                                                                      \
    } while (0)

/* ---- the programs ---- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(path);
}
static int tear_down(void **state)
{
    (void)state;
    return nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* What is missing to make and run them, or NULL. */
static const char *lack(void)
{
    if (access("/dev/kvm", R_OK | W_OK) != 0) return "no usable /dev/kvm";
    if (system("command -v clang wat2wasm wasm2c gcc > /dev/null") != 0) return "clang, wabt or gcc is not installed";
    return NULL;
}

/* A shell command, in which $W is the test's folder. */
static void make(const char *command)
{
    char line[2 * PATH_MAX];
    (void)snprintf(line, sizeof(line), "W=%s; %s", top, command);
    if (system(line) != 0) fail_msg("%s", line);
}

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(top)) return -1;
    if (lack()) return 0;
    make("clang --target=wasm32-wasi -mexec-model=reactor -O2 -Wl,--export=malloc,--export=free,--max-memory=8388608 "
         "-o $W/calls.wasm tests/wasm/calls.c && " VIREO " wasm $W/calls.wasm -o $W/calls");
    make("wat2wasm tests/wasm/bad_malloc.wat -o $W/bad.wasm && " VIREO " wasm $W/bad.wasm -o $W/bad");
    return 0;
}

static int64_t on_output(void *arg, int fd, const void *data, size_t size)
{
    (void)arg;
    if (fd == 2) (void)snprintf(said, sizeof(said), "%.*s", (int)size, (const char *)data);
    return (int64_t)size;
}

static struct vireo_sandbox *open_module(const char *name)
{
    char path[PATH_MAX];
    struct vireo_sandbox *s = NULL;
    struct vireo_sandbox_end end;
    if (lack()) {
        print_message("%s\n", lack());
        skip();
    }
    struct vireo_sandbox_config *c = vireo_sandbox_config_create();
    assert_non_null(c);
    said[0] = '\0';
    OK(vireo_sandbox_config_set(c, "call", "true", &error));
    vireo_sandbox_config_set_output(c, on_output, NULL);
    (void)snprintf(path, sizeof(path), "%s/%s", top, name);
    OK(vireo_sandbox_create(&s, c, path, NULL, &error));
    vireo_sandbox_config_destroy(c);
    OK(vireo_sandbox_run(s, &end));
    if (end.reason != VIREO_SANDBOX_READY) print_error("%s %s\n", end.detail, said);
    assert_int_equal(end.reason, VIREO_SANDBOX_READY);
    return s;
}

static struct vireo_sandbox_end bytes(struct vireo_sandbox *s, const char *name, const char *in, void *out,
                                      size_t out_max)
{
    struct vireo_sandbox_call c = {
        .in = in, .in_size = strlen(in), .out = out, .out_max = out_max, .timeout_ns = CALL_LIMIT_NS};
    struct vireo_sandbox_end end;
    OK(vireo_sandbox_function(s, name, &c.fn, &error));
    assert_int_equal(vireo_sandbox_call(s, &c, &end), 0);
    return end;
}

static struct vireo_sandbox_end numbers(struct vireo_sandbox *s, const char *name, uint64_t a, uint64_t b)
{
    struct vireo_sandbox_fn fn;
    struct vireo_sandbox_end end;
    const uint64_t arg[6] = {a, b, 77};
    OK(vireo_sandbox_function(s, name, &fn, &error));
    assert_int_equal(vireo_sandbox_call_numbers(s, &fn, arg, CALL_LIMIT_NS, &end), 0);
    return end;
}

static void reverses(struct vireo_sandbox *s)
{
    char out[64] = "";
    const struct vireo_sandbox_end end = bytes(s, "reverse", "abcdef", out, sizeof(out));
    if (end.reason != VIREO_SANDBOX_RETURNED) print_error("%s %s\n", end.detail, said);
    assert_int_equal(end.reason, VIREO_SANDBOX_RETURNED);
    assert_int_equal(end.value, 6);
    assert_int_equal(end.size, 6);
    assert_memory_equal(out, "fedcba", 6);
}

/* It ended with that trap, and nothing more is run. */
static void trapped(struct vireo_sandbox *s, const struct vireo_sandbox_end *end, const char *trap)
{
    struct vireo_sandbox_fn fn = {0};
    struct vireo_sandbox_end after;
    assert_int_equal(end->reason, VIREO_SANDBOX_EXITED);
    assert_int_equal(end->status, 134);
    if (!strstr(end->detail, trap)) fail_msg("no \"%s\" in \"%s\"", trap, end->detail);
    if (!strstr(said, trap)) fail_msg("no \"%s\" in \"%s\"", trap, said);
    assert_int_equal(vireo_sandbox_call_numbers(s, &fn, (const uint64_t[6]){0}, 0, &after), -EIO);
}

/* ---- the tests ---- */

static void a_module_takes_bytes_and_gives_bytes(void **state)
{
    (void)state;
    struct vireo_sandbox *s = open_module("calls");
    char out[16] = "";
    for (unsigned i = 0; i < 1000; i++) reverses(s); /* each call gives its memory back, of 8 MiB */
    assert_int_equal(bytes(s, "reverse", "abcdef", out, 5).value, -1);
    const struct vireo_sandbox_end silent = bytes(s, "silent", "", out, sizeof(out));
    assert_int_equal(silent.reason, VIREO_SANDBOX_RETURNED);
    assert_true(silent.value == INT64_MIN && silent.size == 0);
    vireo_sandbox_destroy(s);
}

static void a_megabyte_goes_in_and_out_of_a_module(void **state)
{
    (void)state;
    const size_t size = 1 << 20;
    struct vireo_sandbox *s = open_module("calls");
    uint8_t *in = malloc(size), *out = malloc(size);
    for (size_t i = 0; i < size; i++) in[i] = (uint8_t)(i * 7);
    struct vireo_sandbox_call c = {.in = in, .in_size = size, .out = out, .out_max = size, .timeout_ns = CALL_LIMIT_NS};
    struct vireo_sandbox_end end;
    OK(vireo_sandbox_function(s, "reverse", &c.fn, &error));
    assert_int_equal(vireo_sandbox_call(s, &c, &end), 0);
    assert_int_equal(end.size, size);
    for (size_t i = 0; i < size; i++) assert_int_equal(out[i], in[size - 1 - i]);
    free(in);
    free(out);
    vireo_sandbox_destroy(s);
}

static void numbers_are_numbers_as_before(void **state)
{
    (void)state;
    struct vireo_sandbox *s = open_module("calls");
    const float by = 1.5f;
    const double v = 4, six = 6;
    uint64_t a = 0, b;
    memcpy(&a, &by, sizeof(by));
    memcpy(&b, &v, sizeof(v));
    assert_int_equal(numbers(s, "count", 0, 0).value, 1);
    assert_int_equal(numbers(s, "count", 0, 0).value, 2);
    const int64_t value = numbers(s, "scale", a, b).value;
    assert_memory_equal(&value, &six, sizeof(six));
    vireo_sandbox_destroy(s);
}

static void an_answer_larger_than_its_room_is_refused(void **state)
{
    (void)state;
    struct vireo_sandbox *s = open_module("calls");
    char out[16] = "untouched";
    assert_int_equal(bytes(s, "boast", "", out, sizeof(out)).reason, VIREO_SANDBOX_REFUSED);
    assert_string_equal(out, "untouched");
    vireo_sandbox_destroy(s);
}

static void a_call_that_traps_or_spins_ends_and_a_reset_puts_the_module_back(void **state)
{
    (void)state;
    struct vireo_sandbox_template *t;
    struct vireo_sandbox *first = open_module("calls"), *s;
    char out[16];
    assert_int_equal(numbers(first, "count", 0, 0).value, 1);
    OK(vireo_sandbox_template_create(&t, first, &error));
    vireo_sandbox_destroy(first);
    OK(vireo_sandbox_clone(&s, t, &error));
    struct vireo_sandbox_end end = bytes(s, "stray", "", out, sizeof(out));
    trapped(s, &end, "wasm trap: out of bounds memory or table access");
    OK(vireo_sandbox_reset(s, &error));
    assert_int_equal(numbers(s, "count", 0, 0).value, 2);

    assert_true(numbers(s, "hoard", 0, 0).value > 4 << 20);
    end = bytes(s, "reverse", "abcdef", out, sizeof(out));
    trapped(s, &end, "wasm trap: no room in the module's memory for the bytes of a call");
    OK(vireo_sandbox_reset(s, &error));
    assert_int_equal(numbers(s, "count", 0, 0).value, 2);

    struct vireo_sandbox_call spin = {.timeout_ns = 50000000};
    OK(vireo_sandbox_function(s, "spin", &spin.fn, &error));
    assert_int_equal(vireo_sandbox_call(s, &spin, &end), 0);
    assert_int_equal(end.reason, VIREO_SANDBOX_DEADLINE);
    OK(vireo_sandbox_reset(s, &error));
    reverses(s);
    vireo_sandbox_destroy(s);
    vireo_sandbox_template_destroy(t);
}

static void a_module_that_is_no_program_yet_is_told(void **state)
{
    (void)state;
    static const char module[] = "\0asm\1\0\0";
    struct vireo_sandbox_config *c = vireo_sandbox_config_create();
    struct vireo_sandbox *s = NULL;
    assert_int_not_equal(vireo_sandbox_create_from(&s, c, "plugin.wasm", module, sizeof(module), NULL, &error), 0);
    assert_null(s);
    assert_int_equal(error.exit_status, 126);
    assert_non_null(strstr(error.text, "plugin.wasm: is a WebAssembly module"));
    assert_non_null(strstr(error.hint, "vireo wasm"));
    vireo_sandbox_config_destroy(c);
}

static void an_allocator_that_lies_is_a_trap(void **state)
{
    (void)state;
    static const uint32_t outside[] = {65536, 65536 - 8, 0xffffffff, 0xfffffff8};
    struct vireo_sandbox_template *t;
    struct vireo_sandbox *first = open_module("bad"), *s;
    char out[16] = "";
    OK(vireo_sandbox_template_create(&t, first, &error));
    vireo_sandbox_destroy(first);
    OK(vireo_sandbox_clone(&s, t, &error));
    for (unsigned i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
        assert_int_equal(numbers(s, "set", outside[i], 0).reason, VIREO_SANDBOX_RETURNED);
        const struct vireo_sandbox_end end = bytes(s, "answer", "12345678", out, sizeof(out));
        trapped(s, &end, "wasm trap: out of bounds memory or table access");
        OK(vireo_sandbox_reset(s, &error));
    }
    /* Any place in its memory is the module's own affair. */
    assert_int_equal(numbers(s, "set", 3, 0).reason, VIREO_SANDBOX_RETURNED);
    const struct vireo_sandbox_end end = bytes(s, "answer", "12345678", out, sizeof(out));
    assert_int_equal(end.reason, VIREO_SANDBOX_RETURNED);
    assert_memory_equal(&end.value, "12345678", 8);
    assert_int_equal(numbers(s, "three", 1, 2).value, 77);
    vireo_sandbox_destroy(s);
    vireo_sandbox_template_destroy(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_module_takes_bytes_and_gives_bytes),
        cmocka_unit_test(a_megabyte_goes_in_and_out_of_a_module),
        cmocka_unit_test(numbers_are_numbers_as_before),
        cmocka_unit_test(an_answer_larger_than_its_room_is_refused),
        cmocka_unit_test(a_call_that_traps_or_spins_ends_and_a_reset_puts_the_module_back),
        cmocka_unit_test(an_allocator_that_lies_is_a_trap),
        cmocka_unit_test(a_module_that_is_no_program_yet_is_told),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
