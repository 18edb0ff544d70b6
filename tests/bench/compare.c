/* Two commands run in turn, A B A B ..., each timed from outside: wall time from before the fork to after the wait, the
 * part of it from the exec on, CPU time and peak resident memory as the kernel accounts them (wait4). Prints the median
 * of each and the medians of the ratios and differences, pair by pair, so that a machine whose speed drifts still
 * compares. Beside them is the range in which the ratio's median lies with 95 %, by order statistics; it takes six
 * pairs.
 *
 *   compare [-n PAIRS] [-w PAIRS] [-p CPU] [-s MILLISECONDS] COMMAND_A [ARG ...] -- COMMAND_B [ARG ...]
 *
 * -w: pairs before, not counted; -p: all on this processor; -s: a pause before each pair.
 * A command's CPU time includes that of processes that it left behind: they are waited for after the wall time is
 * taken. Both get /dev/null for input and output. Linked statically: a child's peak memory starts from its parent's. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAIRS_MAX     10000
#define PAIRS_DEFAULT 100
#define WARM_UP       3 /* pairs before, not counted, unless -w says otherwise */

enum figure { WALL_MS, EXEC_MS, CPU_MS, PEAK_KIB, FIGURES };
static const char *const figure_names[FIGURES] = {"wall ms", "exec on", "CPU ms", "peak KiB"};

struct sample {
    double value[FIGURES];
};

_Noreturn static void give_up(const char *what)
{
    fprintf(stderr, "compare: %s: %s\n", what, strerror(errno));
    exit(2);
}

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static double to_ms(struct timeval t)
{
    return (double)t.tv_sec * 1e3 + (double)t.tv_usec / 1e3;
}

static int run_once(char **words, struct sample *out)
{
    struct rusage usage;
    int status;
    const double begin = now_ms();
    volatile double exec = begin; /* the child's to write: it has our memory until it is another program */
    const pid_t pid = vfork();
    if (pid < 0) give_up("vfork");
    if (pid == 0) {
        exec = now_ms();
        execvp(words[0], words);
        _exit(127);
    }
    if (wait4(pid, &status, 0, &usage) != pid) give_up("wait4");
    const double end = now_ms();
    out->value[WALL_MS] = end - begin;
    out->value[EXEC_MS] = end - exec;
    out->value[CPU_MS] = to_ms(usage.ru_utime) + to_ms(usage.ru_stime);
    out->value[PEAK_KIB] = (double)usage.ru_maxrss;
    while (wait4(-1, NULL, 0, &usage) > 0) {
        out->value[CPU_MS] += to_ms(usage.ru_utime) + to_ms(usage.ru_stime);
        if ((double)usage.ru_maxrss > out->value[PEAK_KIB]) out->value[PEAK_KIB] = (double)usage.ru_maxrss;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, unsigned n)
{
    qsort(v, n, sizeof(*v), by_size);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

/* Of n values in order, the k-th from either end: below it the median lies with 2.5 % at most. 0: n are too few. */
static unsigned interval_rank(unsigned n)
{
    long double p = 1, tail; /* of at most k - 1 heads in n throws of a coin; 2^-PAIRS_MAX is no double */
    unsigned k = 0;
    for (unsigned i = 0; i < n; i++) p /= 2;
    for (tail = p; tail <= 0.025L && k < n / 2; tail += p) {
        k++;
        p = p * (long double)(n - k + 1) / (long double)k;
    }
    return k;
}

enum column { RATIO, VALUE_A, VALUE_B, DIFFERENCE, COLUMNS };

static double column_of(enum column c, double a, double b)
{
    switch (c) {
    case RATIO: return a / (b > 0 ? b : 1e-9);
    case VALUE_A: return a;
    case VALUE_B: return b;
    default: return a - b;
    }
}

static void report(const struct sample *a, const struct sample *b, unsigned n)
{
    double *values = calloc(n, sizeof(*values));
    if (!values) give_up("calloc");
    const unsigned rank = interval_rank(n);
    printf("%-10s %10s %10s %10s %10s   %-16s (medians of %u pairs)\n", "", "A/B", "A", "B", "A-B", "95 % of A/B", n);
    for (int f = 0; f < FIGURES; f++) {
        double m[COLUMNS], low = 0, high = 0;
        for (int c = 0; c < COLUMNS; c++) {
            for (unsigned i = 0; i < n; i++) values[i] = column_of((enum column)c, a[i].value[f], b[i].value[f]);
            m[c] = median(values, n);
            if (c != RATIO || rank == 0) continue;
            low = values[rank - 1];
            high = values[n - rank];
        }
        printf("%-10s %10.3f %10.3f %10.3f %10.3f", figure_names[f], m[RATIO], m[VALUE_A], m[VALUE_B], m[DIFFERENCE]);
        printf(rank ? "   %.3f to %.3f\n" : "   -\n", low, high);
    }
    free(values);
}

static void pin(const char *cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((unsigned)atoi(cpu), &set);
    if (sched_setaffinity(0, sizeof(set), &set) != 0) give_up("pin");
}

int main(int argc, char **argv)
{
    unsigned pairs = PAIRS_DEFAULT, warm_up = WARM_UP, pause_ms = 0;
    int opt, split = 0;
    while ((opt = getopt(argc, argv, "+n:p:s:w:")) != -1) {
        if (opt == 'n') pairs = (unsigned)strtoul(optarg, NULL, 10);
        if (opt == 'w') warm_up = (unsigned)strtoul(optarg, NULL, 10);
        if (opt == 'p') pin(optarg);
        if (opt == 's') pause_ms = (unsigned)strtoul(optarg, NULL, 10);
        if (opt == '?') return 2;
    }
    for (int i = optind; i < argc && !split; i++)
        if (strcmp(argv[i], "--") == 0) split = i;
    if (split <= optind || split + 1 >= argc || pairs == 0 || pairs > PAIRS_MAX || warm_up > PAIRS_MAX) {
        fprintf(stderr, "usage: compare [-n PAIRS] [-w PAIRS] [-p CPU] [-s MILLISECONDS] COMMAND_A [ARG ...] -- "
                        "COMMAND_B [ARG ...]\n");
        return 2;
    }
    argv[split] = NULL;
    char **a = argv + optind, **b = argv + split + 1;
    struct sample *sa = calloc(pairs, sizeof(*sa)), *sb = calloc(pairs, sizeof(*sb));
    if (!sa || !sb) give_up("calloc");
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) give_up("subreaper");
    const int out = dup(STDOUT_FILENO), nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (out < 0 || nothing < 0) give_up("/dev/null");
    fcntl(out, F_SETFD, FD_CLOEXEC);
    dup2(nothing, STDIN_FILENO);
    dup2(nothing, STDOUT_FILENO);
    int status_a = 0, status_b = 0;
    for (unsigned i = 0; i < warm_up; i++) {
        status_a = run_once(a, &sa[0]);
        status_b = run_once(b, &sb[0]);
    }
    for (unsigned i = 0; i < pairs; i++) {
        (void)usleep(pause_ms * 1000);
        status_a |= run_once(a, &sa[i]);
        status_b |= run_once(b, &sb[i]);
    }
    dup2(out, STDOUT_FILENO);
    if (status_a | status_b) printf("exit statuses, or-ed: A %d, B %d\n", status_a, status_b);
    report(sa, sb, pairs);
    free(sa);
    free(sb);
    return 0;
}
