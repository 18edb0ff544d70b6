/* What was found, for people: the answer first, then each vCPU, each property, and who had the host's CPUs. */
#include <string.h>

#include "bench/live/live.h"
#include "vmm/base/text.h"

#define BAR 20 /* columns of a vCPU's bar */

static double s(double ns)
{
    return ns / 1e9;
}

/* What it ran (#), and waited (.), of the time. */
static void put_bar(FILE *f, const struct live_had *h, double wall)
{
    const unsigned ran = (unsigned)(BAR * h->charged / wall + 0.5), waited = (unsigned)(BAR * h->waited / wall + 0.5);
    for (unsigned i = 0; i < BAR; i++) fputc(i < ran ? '#' : i < ran + waited ? '.' : ' ', f);
}

static void put_vcpus(FILE *f, const struct live_record *r, const struct live_report *found)
{
    char cpus[CAUSE_CPUS], name[LIVE_NAME + 16];
    fprintf(f, "\n%-22s %8s %8s %8s %7s %9s  %-*s  CPUs\n", "vCPU", "wanted", "ran", "due", "waited", "longest", BAR,
            "ran #, waited .");
    for (unsigned i = 0; i < r->vcpus; i++) {
        const struct live_had *h = &found->due.had[i];
        (void)snprintf(name, sizeof(name), "%s %u", r->vm[r->vcpu[i].vm].name, r->vcpu[i].index);
        fprintf(f, "%-22s %6.2f s %6.2f s %6.2f s %5.0f %% %6.0f ms  ", name, s(h->charged + h->waited), s(h->charged),
                s(h->due_in_all), 100 * h->waited / live_wall(r), h->longest / 1e6);
        put_bar(f, h, live_wall(r));
        fprintf(f, "  %s\n", live_cpus_text(&r->vcpu[i].cpus, cpus));
    }
}

static void put_properties(FILE *f, const struct live_report *found)
{
    fputc('\n', f);
    for (unsigned p = 0; p < LIVE_PROPERTY_COUNT; p++) {
        const struct live_finding *x = &found->finding[p];
        fprintf(f, "%-3s  %-12s  %s\n", live_properties[p].id, live_verdicts[x->verdict], live_properties[p].title);
        fprintf(f, "                   ");
        text_put_safe(f, x->text);
        if (x->cause[0]) fputs("\n                   why: ", f);
        text_put_safe(f, x->cause);
        if (x->reason[0]) fputs("\n                   no verdict: ", f);
        text_put_safe(f, x->reason);
        fputc('\n', f);
    }
}

static void put_cpus(FILE *f, const struct live_record *r)
{
    const double wall = (double)r->host_ns;
    fputs("\nwho had the CPUs\n", f);
    for (unsigned c = 0; c < CPU_SETSIZE; c++) {
        cpu_set_t one;
        char had[LIVE_TEXT];
        if (!r->cpu[c].is_online) continue;
        CPU_ZERO(&one);
        CPU_SET(c, &one);
        live_who_had(r, &one, -1, had);
        fprintf(f, "  CPU %-3u ", c);
        text_put_safe(f, had[0] ? had : "nobody");
        fprintf(f, "; idle %.0f %%, steal %.0f %%\n", 100 * (double)r->cpu[c].idle / wall,
                100 * (double)r->cpu[c].steal / wall);
    }
}

void live_put_text(FILE *f, const struct live_record *r, const struct live_report *found)
{
    fputs("vireo: are they treated fairly? ", f);
    for (unsigned k = 0; k < r->vms; k++) fprintf(f, "%s%s", k ? ", " : "", r->vm[k].name);
    fprintf(f, " for %.1f s\n\n", s(live_wall(r)));
    text_put_safe(f, found->summary);
    fputc('\n', f);
    if (r->note[0]) fprintf(f, "%s\n", r->note);
    put_vcpus(f, r, found);
    put_properties(f, found);
    put_cpus(f, r);
    fprintf(f, "\nslice %.3g ms (%s), tick %.3g ms; to watch took %.2f %% of a CPU\n", (double)r->slice_ns / 1e6,
            r->slice_source, (double)r->tick_ns / 1e6, 100 * (double)r->own_ns / live_wall(r));
}
