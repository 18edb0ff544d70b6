/* The keys of the console, which the serial port and the virtio console share: their setters, for the row of the
 * latter. */
#ifndef VIREO_CONFIG_CONSOLE_H
#define VIREO_CONFIG_CONSOLE_H

#include "vmm/config/config.h"

int config_set_console(void *config, const char *value, struct err *e);
int config_set_console_max(void *config, const char *value, struct err *e);
int config_set_console_device(void *config, const char *value, struct err *e);
int config_set_escape(void *config, const char *value, struct err *e);

#endif
