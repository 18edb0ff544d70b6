/* The commands of `vireo`, in the order of its help text. */
#include "vmm/cli/cli.h"

static const struct command bench = {.name = "bench", .help = HELP_BENCH, .program = "vireo-bench"};
static const struct command report = {.name = "report", .help = HELP_REPORT, .program = "vireo-bench"};
static const struct command fairness = {.name = "fairness", .help = HELP_FAIRNESS, .program = "vireo-bench"};

const char program_about[] = "microVMs on Linux KVM.";
const char program_hint[] =
    "`vireo run` without options boots the built-in guest; `vireo doctor` says what this host offers.";
const struct command *const program_commands[] = {
    &command_run,  &command_exec, &command_wasm,    &bench,          &report,       &fairness,
    &command_stat, &command_top,  &command_metrics, &command_doctor, &command_help, NULL,
};
