/* Recordings from anybody's text: whatever is taken is within its bounds and can be drawn, and what is not says why. */
#include "bench/report/recording.h"
#include "tests/fuzz/fuzz.h"

static void collect(void *arg, const char *text, size_t len)
{
    size_t *total = arg;
    (void)text;
    *total += len;
}

static void check(const struct recording_seen *r)
{
    struct err e = {0};
    size_t total = 0;
    MUST(r->curves <= RECORDING_CURVES_MAX && r->alarms <= RECORDING_ALARMS_MAX);
    for (unsigned i = 0; i < r->curves; i++) {
        MUST(r->curve[i]->vm < RECORDING_VMS_MAX && r->vm[r->curve[i]->vm].is_there);
        for (unsigned k = 0; k < RECORDING_STEPS; k++) {
            const double value = recording_value(r->curve[i], k);
            MUST(value != value || value >= 0);
        }
    }
    MUST(report_recording(r, collect, &total, &e) == 0 && total > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct recording_seen *r = NULL;
    struct err e = {0};
    char *text = size > 0 ? text_of(data, size) : NULL;
    FILE *f = text ? fmemopen(text, size, "r") : NULL;
    if (f) {
        (void)recording_is_one(f);
        const int rc = recording_read(&r, f, &e);
        MUST((rc == 0) == (r != NULL) && (rc == 0 || (e.code == rc && e.text[0])));
        if (r) check(r);
        recording_destroy(r);
        (void)fclose(f);
    }
    free(text);
    return 0;
}
