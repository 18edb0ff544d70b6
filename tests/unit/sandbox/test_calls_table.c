/* docs/sandbox-calls.md says what the table of system calls says. UPDATE_DOCS=1 in the environment writes it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/sandbox/calls.h"

#define PAGE "docs/sandbox-calls.md"

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct call_about *)a)->name, ((const struct call_about *)b)->name);
}

static char *make_page(void)
{
    struct call_about all[512];
    unsigned n = 0;
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    assert_non_null(f);
    while (n < 512 && call_about(n, &all[n])) n++;
    qsort(all, n, sizeof(all[0]), by_name);
    fputs("# What a sandboxed program's system calls do\n\n"
          "Made from the table in vmm/sandbox/calls.c as it is on x86-64; a test holds it to that. arm64 lacks those "
          "that only older\n"
          "architectures have (`open`, `stat`, `fork` and so on). A refused call gets EPERM. What is not here is not "
          "known: ENOSYS.\n"
          "[sandbox.md](sandbox.md) says what the policy is.\n\n"
          "| call | what it does |\n|---|---|\n",
          f);
    for (unsigned i = 0; i < n; i++) fprintf(f, "| `%s` | %s |\n", all[i].name, all[i].does);
    assert_int_equal(fclose(f), 0);
    return text;
}

static void the_page_says_what_the_table_says(void **state)
{
    (void)state;
#ifndef SYS_open
    skip(); /* the page is of the architecture that has all of them */
#endif
    char *want = make_page();
    const char *update = getenv("UPDATE_DOCS");
    FILE *f = fopen(PAGE, update ? "we" : "re");
    assert_non_null(f);
    if (update) {
        fputs(want, f);
    } else {
        char *have = calloc(1, strlen(want) + 2);
        (void)!fread(have, 1, strlen(want) + 1, f);
        if (strcmp(have, want) != 0) print_error("%s is old: run this test with UPDATE_DOCS=1\n", PAGE);
        assert_string_equal(have, want);
        free(have);
    }
    (void)fclose(f);
    free(want);
}

static void no_number_and_no_name_is_there_twice(void **state)
{
    (void)state;
    struct call_about a, b;
    for (unsigned i = 0; call_about(i, &a); i++)
        for (unsigned k = 0; k < i; k++) {
            assert_true(call_about(k, &b));
            assert_true(a.number != b.number && strcmp(a.name, b.name) != 0);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_number_and_no_name_is_there_twice),
        cmocka_unit_test(the_page_says_what_the_table_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
