/* Where the time went: where the library's page of it goes. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "vmm/cli/run.h"

int run_stats_open(struct run *run, struct vireo_error *e)
{
    run->stats_fd = STDERR_FILENO;
    if (!run->stats_path || strcmp(run->stats_path, "-") == 0) return 0;
    const int fd = output_open_fd(&run->files, "stats", run->stats_path, e);
    if (fd < 0) return fd;
    run->stats_fd = fd;
    return 0;
}

int run_stats_begin(struct run *run, struct vireo_vm *vm, struct vireo_error *e)
{
    struct vireo_stats info;
    if (!run->stats_path) return 0;
    if (vireo_vm_stats(vm, &info, NULL, NULL) == -ENODATA)
        return bad_command(e, "stats %.400s: there are none with record off; leave one of the two out",
                           run->stats_path);
    if (run->stats_fd == STDERR_FILENO) return 0;
    leave_hurry();
    leave_writes("stats");
    output_empty(run->stats_fd);
    leave_writes(NULL);
    leave_relax();
    return 0;
}

int run_stats_close(struct run *run, int status)
{
    if (!run->stats_fd || !run->stats_path) return status; /* it never came to run_stats_open */
    const bool is_file = run->stats_fd != STDERR_FILENO;
    if (run->stats_error) status = put_failed(is_file ? run->stats_path : "standard error", run->stats_error);
    return is_file ? output_close(run->stats_fd, run->stats_path, status) : status;
}

/* In place of what a file holds. */
static void on_page(void *arg, const char *text, size_t len)
{
    struct run *run = arg;
    if (run->stats_fd != STDERR_FILENO) output_empty(run->stats_fd);
    run->stats_error = put_text(run->stats_fd, text, len);
}

void run_stats_report(const struct run_report *r)
{
    struct vireo_error e;
    const struct vireo_stats_view view = {.format = r->run->has_json ? VIREO_STATS_JSON : VIREO_STATS_TEXT};
    if (vireo_vm_stats_write(r->vm, &view, on_page, r->run, &e)) (void)say_error(&e);
}
