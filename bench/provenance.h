/* Where a measurement was made: what the "environment" of a result says of the host (docs/result-format.md). */
#ifndef VIREO_BENCH_PROVENANCE_H
#define VIREO_BENCH_PROVENANCE_H

#include <jansson.h>

#include "arch/counter.h"

/* {"type":"environment","kind":KIND,"arch":...,"vireo":...,"time":...,"host":{...}}, to which the bench adds what it
 * alone knows. What this host does not tell is null. The caller's to free; NULL: no memory. */
json_t *provenance_environment(const char *kind);
/* {"name":"TSC","hz":2.6e9,...}. Takes up to COUNTER_CALIBRATE_NS. The caller's to free; NULL: no memory. */
json_t *provenance_counter(const struct counter *c, bool is_shared, uint64_t offset_error);

#endif
