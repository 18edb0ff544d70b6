#include <errno.h>
#include <string.h>

#include "bench/cli/bench.h"

/* Line by line: whoever watches counts the time from each. */
static void print_line(void *arg, const char *json)
{
    (void)arg;
    puts(json);
    (void)fflush(stdout);
}

int worker_main(struct vireo_bench *b)
{
    struct vireo_error e;
    const int rc = vireo_bench_run(b, print_line, NULL, &e);
    return rc ? say_error(&e) : finish_output(NULL, "standard output", 0);
}
