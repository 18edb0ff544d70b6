/* The keys that say how the host schedules a machine's threads: their setters, for the table of keys. */
#ifndef VIREO_CONFIG_SCHED_H
#define VIREO_CONFIG_SCHED_H

#include "vmm/config/config.h"

int config_set_affinity(void *config, const char *value, struct err *e);
int config_set_nice(void *config, const char *value, struct err *e);
int config_set_slice(void *config, const char *value, struct err *e);
int config_set_cgroup(void *config, const char *value, struct err *e);
int config_set_cgroup_threads(void *config, const char *value, struct err *e);
int config_set_weight(void *config, const char *value, struct err *e);
int config_set_max(void *config, const char *value, struct err *e);
int config_set_halt_poll(void *config, const char *value, struct err *e);
int config_set_core(void *config, const char *value, struct err *e);

int config_sched_check(const struct config *c, struct err *e); /* of config_check */
void config_sched_fini(struct config *c);                      /* of config_fini */

#endif
