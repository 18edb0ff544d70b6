#include "tests/unit/unit.h"

#include <errno.h>

#include "vmm/base/err.h"

static void set_keeps_code_and_text(void **state)
{
    (void)state;
    struct err e = {.hint = "left from before"};
    assert_int_equal(err_set(&e, -ENOENT, "disk %d", 3), -ENOENT);
    assert_int_equal(e.code, -ENOENT);
    assert_int_equal(e.kind, ERR_CONFIG);
    assert_string_equal(e.text, "disk 3");
    assert_string_equal(e.hint, "");
}

static void nothing_in_it_moves_a_cursor(void **state)
{
    (void)state;
    struct err e;
    err_set(&e, -EINVAL, "a\x1b[2J\n%s",
            "\xc2\x9b"
            "1m\x7f\xc3\xa4");
    assert_string_equal(e.text, "a?[2J???1m?\xc3\xa4");
    err_wrap(&e, -EINVAL, "disk \r");
    assert_string_equal(e.text, "disk ?: a?[2J???1m?\xc3\xa4");
    err_hint(&e, "rm \a");
    assert_string_equal(e.hint, "rm ?");
}

static void set_never_returns_success(void **state)
{
    (void)state;
    struct err e;
    assert_int_equal(err_set(&e, 0, "x"), -EINVAL);
    assert_int_equal(e.code, -EINVAL);
    assert_int_equal(err_set(NULL, 0, "x"), -EINVAL);
}

static void running_out_is_the_hosts_doing(void **state)
{
    (void)state;
    struct err e;
    for (const int *code = (const int[]){ENOMEM, EMFILE, ENFILE, 0}; *code; code++) {
        err_set(&e, -*code, "x");
        assert_int_equal(e.kind, ERR_HOST);
        errno = *code;
        err_errno(&e, "x");
        assert_int_equal(e.kind, ERR_HOST);
    }
}

static void errno_is_spelled_out(void **state)
{
    (void)state;
    struct err e;
    errno = EACCES;
    assert_int_equal(err_errno(&e, "open %s", "/dev/kvm"), -EACCES);
    assert_string_equal(e.text, "open /dev/kvm: Permission denied");
    errno = 0; /* a caller that forgot to look still gets a failure */
    assert_int_equal(err_errno(&e, "open"), -EIO);
}

static void context_comes_before_the_cause(void **state)
{
    (void)state;
    struct err e;
    const int rc = err_set(&e, -EINVAL, "cause");
    assert_int_equal(err_wrap(&e, rc, "disk %d", 0), -EINVAL);
    assert_int_equal(err_wrap(&e, rc, "machine"), -EINVAL);
    assert_string_equal(e.text, "machine: disk 0: cause");
    assert_int_equal(err_wrap(&e, 0, "success is left alone"), 0);
    assert_string_equal(e.text, "machine: disk 0: cause");
}

static void wrapping_keeps_kind_and_hint(void **state)
{
    (void)state;
    struct err e;
    err_set(&e, -EACCES, "cause");
    err_hint(&e, "join the group %s", "kvm");
    err_as(&e, ERR_HOST);
    err_wrap(&e, -EACCES, "context");
    assert_int_equal(e.kind, ERR_HOST);
    assert_string_equal(e.hint, "join the group kvm");
}

static void first_hint_stays(void **state)
{
    (void)state;
    struct err e;
    err_set(&e, -EPERM, "cause");
    err_hint(&e, "near the cause");
    err_hint(&e, "further up");
    assert_string_equal(e.hint, "near the cause");
}

/* All lengths around the limit: the text ends inside its array, and what follows the array is untouched. */
static void long_text_is_cut(void **state)
{
    (void)state;
    struct {
        struct err e;
        char guard[16];
    } box;
    for (int len = ERR_TEXT_MAX - 20; len < ERR_TEXT_MAX + 20; len++) {
        memset(&box, 'G', sizeof(box));
        errno = ENOENT;
        err_errno(&box.e, "%0*d", len, 0);
        err_wrap(&box.e, -ENOENT, "%0*d", len % 40, 1);
        err_hint(&box.e, "%0*d", len, 0);
        assert_true(strnlen(box.e.text, ERR_TEXT_MAX) < ERR_TEXT_MAX);
        assert_int_equal(strnlen(box.e.text, ERR_TEXT_MAX), ERR_TEXT_MAX - 1);
        assert_true(strnlen(box.e.hint, ERR_HINT_MAX) < ERR_HINT_MAX);
        for (size_t i = 0; i < sizeof(box.guard); i++) assert_int_equal(box.guard[i], 'G');
    }
}

static void no_err_still_gives_the_code(void **state)
{
    (void)state;
    assert_int_equal(err_set(NULL, -EPERM, "%d", 1), -EPERM);
    errno = ENOSPC;
    assert_int_equal(err_errno(NULL, "%d", 1), -ENOSPC);
    assert_int_equal(err_wrap(NULL, -EPERM, "%d", 1), -EPERM);
    assert_int_equal(err_wrap(NULL, 0, "%d", 1), 0);
    err_hint(NULL, "%d", 1);
    err_as(NULL, ERR_HOST);
}

static void what_the_host_is_out_of_stays_the_hosts_and_brings_the_way_out(void **state)
{
    static const struct {
        int code;
        const char *hint;
    } cases[] = {{-EMFILE, "ulimit -n"}, {-ENFILE, "fs.file-max"}, {-ENOMEM, ""}, {-ENOBUFS, ""}};
    struct err e;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        err_set(&e, cases[i].code, "open");
        err_as(&e, ERR_KERNEL);
        assert_int_equal(e.kind, ERR_HOST);
        assert_non_null(strstr(e.hint, cases[i].hint));
    }
    err_set(&e, -ENOENT, "open");
    err_as(&e, ERR_KERNEL);
    assert_int_equal(e.kind, ERR_KERNEL);
    assert_string_equal(e.hint, "");
}

UNIT_MAIN(UNIT(nothing_in_it_moves_a_cursor), UNIT(set_keeps_code_and_text), UNIT(set_never_returns_success),
          UNIT(errno_is_spelled_out), UNIT(running_out_is_the_hosts_doing), UNIT(context_comes_before_the_cause),
          UNIT(wrapping_keeps_kind_and_hint), UNIT(first_hint_stays), UNIT(long_text_is_cut),
          UNIT(no_err_still_gives_the_code), UNIT(what_the_host_is_out_of_stays_the_hosts_and_brings_the_way_out))
