/* The measuring program: runs in a guest and measures the devices it finds there, by the guest's own clock. */
#ifndef VIREO_BENCH_METER_H
#define VIREO_BENCH_METER_H

#include <stdint.h>

/* Seconds since some fixed moment. */
double meter_now(void);
/* Say what failed, with errno, and exit 1: half a measurement is none. */
_Noreturn void meter_die(const char *what);
/* Print `figure NAME VALUE UNIT`, the line that scripts/bench looks for on the console. */
void meter_figure(const char *name, double value, const char *unit);

/* Sequential and random reads and writes of a device or file, past the page cache. What it held is overwritten. */
void meter_disk(const char *path);
/* Serve meter_net's connections for ever. */
_Noreturn void meter_serve(uint16_t port);
/* A TCP stream each way and requests with their responses, to meter_serve at an IPv4 address. */
void meter_net(const char *address, uint16_t port);

#endif
