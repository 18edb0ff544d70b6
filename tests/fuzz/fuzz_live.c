/* What `vireo fairness` reads of others. The first byte says which door: a line of /proc, weights of the command line,
 * or the file that `vireo report` draws. A page is whole, and nothing of the file stands in it as markup. */
#include <errno.h>
#include <math.h>

#include "bench/live/live.h"
#include "bench/live/proc.h"
#include "bench/report/live.h"
#include "tests/fuzz/fuzz.h"

static bool is_written;

static void look(void *arg, const char *s, size_t len)
{
    (void)arg;
    is_written = true;
    MUST(len > 15 && memcmp(s, "<!DOCTYPE html>", 15) == 0 && memcmp(s + len - 15, "</body></html>\n", 15) == 0);
    MUST(!memmem(s, len, "<script", 7) && !memmem(s, len, "<img", 4)); /* we write neither */
}

static void draw(const char *text, size_t len)
{
    struct err e = {0};
    is_written = false;
    const int rc = report_live(text, len, look, NULL, &e);
    MUST(rc <= 0 && is_written == (rc == 0));
    MUST(rc == 0 || (e.code == rc && e.text[0]));
}

static void parse(const char *text)
{
    struct proc_stat s;
    if (!proc_stat_parse(text, &s)) return;
    MUST(s.id > 0 && memchr(s.name, '\0', sizeof(s.name)));
}

static void weigh(const char *text)
{
    static struct live_record r;
    struct err e = {0};
    r = (struct live_record){.vms = 2, .vm = {{.name = "a", .weight = 1}, {.name = "web-1", .weight = 1}}};
    const int rc = live_weigh(&r, text, &e);
    MUST(rc == 0 || (rc == -EINVAL && e.text[0]));
    for (unsigned k = 0; k < r.vms; k++) MUST(isfinite(r.vm[k].weight) && r.vm[k].weight > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    char *text = text_of(data + 1, size - 1);
    if (!text) return 0;
    if (data[0] == 'p')
        parse(text);
    else if (data[0] == 'w')
        weigh(text);
    else
        draw(text, size - 1);
    free(text);
    return 0;
}
