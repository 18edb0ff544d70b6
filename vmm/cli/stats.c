/* Where the time went: where the library's page of it goes. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "vmm/cli/run.h"

int stats_open(struct run *run, struct vireo_vm *vm, struct vireo_error *e)
{
    struct vireo_stats info;
    run->stats = stderr;
    if (!run->stats_path) return 0;
    if (vireo_vm_stats(vm, &info, NULL, NULL) == -ENODATA)
        return bad_command(e, "stats %.400s: there are none with record off; leave one of the two out",
                           run->stats_path);
    if (strcmp(run->stats_path, "-") == 0) return 0;
    FILE *f = output_open("stats", run->stats_path, O_TRUNC, e);
    if (!f) return e->code;
    run->stats = f;
    return 0;
}

int stats_close(struct run *run, int status)
{
    if (!run->stats || !run->stats_path) return status;
    const bool is_file = run->stats != stderr;
    if (run->stats_error) status = put_failed(is_file ? run->stats_path : "standard error", run->stats_error);
    return is_file ? finish_output(run->stats, run->stats_path, status) : status;
}

/* In place of what a file holds; a pipe or terminal can't be rewound, nor needs it. */
static void on_page(void *arg, const char *text, size_t len)
{
    struct run *run = arg;
    const int fd = fileno(run->stats);
    if (run->stats != stderr && lseek(fd, 0, SEEK_SET) == 0) (void)!ftruncate(fd, 0);
    run->stats_error = put_text(fd, text, len);
}

void stats_report(const struct run_report *r)
{
    struct vireo_error e;
    const struct vireo_stats_view view = {.format = r->run->has_json ? VIREO_STATS_JSON : VIREO_STATS_TEXT};
    if (vireo_vm_stats_write(r->vm, &view, on_page, r->run, &e)) (void)say_error(&e);
}
