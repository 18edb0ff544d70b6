/* The keys of the console, which the serial port and the virtio console share: their setters, for the row of the
 * latter. */
#ifndef VIREO_CONFIG_CONSOLE_H
#define VIREO_CONFIG_CONSOLE_H

#include "vmm/config/config.h"

int config_set_console(struct config *c, const char *value, struct err *e);
int config_set_console_max(struct config *c, const char *value, struct err *e);
int config_set_console_device(struct config *c, const char *value, struct err *e);
int config_set_escape(struct config *c, const char *value, struct err *e);

#endif
