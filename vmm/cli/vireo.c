/* The commands of `vireo`, in the order of its help text. */
#include "vmm/cli/cli.h"

static const struct command bench = {.name = "bench", .help = HELP_BENCH, .elsewhere = "vireo-bench"};
static const struct command report = {.name = "report", .help = HELP_REPORT, .elsewhere = "vireo-bench"};

const struct command *const program_commands[] = {
    &command_run, &bench, &report, &command_stat, &command_top, &command_doctor, &command_help, NULL,
};
