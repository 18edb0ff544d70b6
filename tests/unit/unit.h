/* What every test file needs: cmocka with the headers it wants first, and three lines of shorthand.
 *
 *     static void find_refuses_a_gap(void **state) { ... }
 *     UNIT_MAIN(UNIT(find_refuses_a_gap), ...)
 */
#ifndef VIREO_TESTS_UNIT_H
#define VIREO_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h> /* needs those above */

#define UNIT(promise) cmocka_unit_test(promise)
#define COUNT_OF(a)   (sizeof(a) / sizeof((a)[0]))
#define UNIT_MAIN(...)                                                                                                 \
    int main(void)                                                                                                     \
    {                                                                                                                  \
        const struct CMUnitTest tests[] = {__VA_ARGS__};                                                               \
        return cmocka_run_group_tests(tests, NULL, NULL);                                                              \
    }

/* `text` has `part` somewhere; the failure shows both. */
#define assert_contains(text, part)                                                                                    \
    do {                                                                                                               \
        if (!strstr((text), (part))) fail_msg("\"%s\" does not contain \"%s\"", (text), (part));                       \
    } while (0)

#endif
