/* Where the time went: where the library's page of it goes. */
#include <errno.h>
#include <string.h>

#include "vmm/cli/run.h"

int stats_open(struct run *run, struct vireo_error *e)
{
    run->stats = stderr;
    if (!run->stats_path || strcmp(run->stats_path, "-") == 0) return 0;
    FILE *f = output_open(&run->files, "stats", run->stats_path, e);
    if (!f) return e->code;
    run->stats = f;
    return 0;
}

int stats_begin(struct run *run, struct vireo_vm *vm, struct vireo_error *e)
{
    struct vireo_stats info;
    if (!run->stats_path) return 0;
    if (vireo_vm_stats(vm, &info, NULL, NULL) == -ENODATA)
        return bad_command(e, "stats %.400s: there are none with record off; leave one of the two out",
                           run->stats_path);
    if (run->stats != stderr) output_empty(run->stats);
    return 0;
}

int stats_close(struct run *run, int status)
{
    if (!run->stats || run->stats == stderr) return status;
    return finish_output(run->stats, run->stats_path, status);
}

static void on_page(void *arg, const char *text, size_t len)
{
    output_write(arg, text, len);
    (void)fflush(arg); /* a failure is remembered: stats_close says it */
}

void stats_report(const struct run_report *r)
{
    struct vireo_error e;
    const struct vireo_stats_view view = {.format = r->run->has_json ? VIREO_STATS_JSON : VIREO_STATS_TEXT};
    if (vireo_vm_stats_write(r->vm, &view, on_page, r->run->stats, &e)) (void)say_error(&e);
}
