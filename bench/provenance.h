/* Where a measurement was made: what a result's "environment" says of the host (docs/result-format.md). */
#ifndef VIREO_BENCH_PROVENANCE_H
#define VIREO_BENCH_PROVENANCE_H

#include <jansson.h>

#include "arch/counter.h"

/* {"type":"environment","kind":KIND,"arch":...,"vireo":...,"time":...,"host":{...}}, for the bench to add what it
 * alone knows. What this host does not tell is null. NULL: no memory. The caller's. */
json_t *provenance_environment(const char *kind);
/* {"name":"TSC","hz":2.6e9,...}: takes up to COUNTER_CALIBRATE_NS. */
json_t *provenance_counter(const struct counter *c, bool is_shared, uint64_t offset_error);

#endif
