/* The commands of `vireo-bench`: those that `vireo` has here. */
#include "vmm/cli/cli.h"

const struct command *const program_commands[] = {&command_bench, &command_report, &command_help, NULL};
