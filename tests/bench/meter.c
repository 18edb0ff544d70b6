/*   meter disk FILE                read and write a disk in the guest
 *   meter net ADDRESS PORT         exchange data with `meter serve`
 *   meter serve PORT               the other end, in the host */
#include "tests/bench/meter.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

double meter_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void meter_die(const char *what)
{
    fprintf(stderr, "meter: %s: %s\n", what, strerror(errno));
    exit(1);
}

void meter_figure(const char *name, double value, const char *unit)
{
    printf("figure %s %.1f %s\n", name, value, unit);
    fflush(stdout);
}

static uint16_t port_number(const char *text)
{
    char *end;
    const unsigned long port = strtoul(text, &end, 10);
    errno = EINVAL;
    if (*end || port == 0 || port > UINT16_MAX) meter_die(text);
    return (uint16_t)port;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "disk") == 0) {
        meter_disk(argv[2]);
    } else if (argc == 4 && strcmp(argv[1], "net") == 0) {
        meter_net(argv[2], port_number(argv[3]));
    } else if (argc == 3 && strcmp(argv[1], "serve") == 0) {
        meter_serve(port_number(argv[2]));
    } else {
        fprintf(stderr, "usage: meter disk FILE | net ADDRESS PORT | serve PORT\n");
        return 2;
    }
    return 0;
}
