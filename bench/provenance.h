/* Where a measurement was made: what the "environment" of a result says of the host (docs/result-format.md). What this
 * host does not tell is null. Each function puts keys into the object that is open in j. */
#ifndef VIREO_BENCH_PROVENANCE_H
#define VIREO_BENCH_PROVENANCE_H

#include "arch/counter.h"
#include "vmm/base/json_out.h"

/* "kind":KIND,"arch":...,"vireo":...,"time":...,"host":{...} */
void provenance_put(struct json_out *j, const char *kind);
/* "counter":{"name":"TSC","hz":2.6e9,...}. Takes up to COUNTER_CALIBRATE_NS. */
void provenance_put_counter(struct json_out *j, const struct counter *c, bool is_shared, uint64_t offset_error);

#endif
