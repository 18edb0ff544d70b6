/* The keys that say how the host schedules a machine's threads: their setters, for the table of keys. */
#ifndef VIREO_CONFIG_SCHED_H
#define VIREO_CONFIG_SCHED_H

#include "vmm/config/config.h"

int config_set_affinity(struct config *c, const char *value, struct err *e);
int config_set_nice(struct config *c, const char *value, struct err *e);
int config_set_slice(struct config *c, const char *value, struct err *e);
int config_set_cgroup(struct config *c, const char *value, struct err *e);
int config_set_cgroup_threads(struct config *c, const char *value, struct err *e);
int config_set_weight(struct config *c, const char *value, struct err *e);
int config_set_max(struct config *c, const char *value, struct err *e);
int config_set_halt_poll(struct config *c, const char *value, struct err *e);
int config_set_core(struct config *c, const char *value, struct err *e);

int config_sched_check(const struct config *c, struct err *e); /* of config_check */
void config_sched_fini(struct config *c);                      /* of config_fini */

#endif
