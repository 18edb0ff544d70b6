/* The commands of `vireo-bench`: those that `vireo` has here. */
#include "bench/cli/bench.h"

const char program_about[] = "The benches of vireo, which runs this program for these commands.";
const char program_hint[] = "`vireo --help` has the others.";
const struct command *const program_commands[] = {&command_bench, &command_report, &command_fairness, &command_help,
                                                  NULL};
