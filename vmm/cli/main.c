#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "vmm/cli/cli.h"

static const struct command *const commands[] = {&command_run, &command_bench,  &command_report, &command_stat,
                                                 &command_top, &command_doctor, &command_help};
#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

const struct command *command_at(unsigned index)
{
    return index < COMMAND_COUNT ? commands[index] : NULL;
}

const struct command *command_find(const char *name)
{
    const char *names[COMMAND_COUNT + 1] = {NULL};
    for (unsigned i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i]->name, name) == 0) return commands[i];
        names[i] = commands[i]->name;
    }
    const char *near = vireo_nearest(name, names);
    say("unknown command \"%s\"; %s%s%s", name, near ? "did you mean \"vireo " : "`vireo --help` lists them",
        near ? near : "", near ? "\"?" : "");
    return NULL;
}

/* A program may be started with standard files closed. What is opened next would then be one of them: /dev/kvm as
 * standard output, a disk as standard error. */
static void open_standard_files(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0) (void)open("/dev/null", O_RDWR);
}

int main(int argc, char **argv)
{
    const uint64_t started_ns = now_ns();
    open_standard_files();
    const char *word = argc > 1 ? argv[1] : "";
    if (*word == '\0') {
        help_print(stderr, NULL);
        return STATUS_BAD_COMMAND;
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        help_print(stdout, NULL);
        return finish_output(NULL, "standard output", 0);
    }
    if (strcmp(word, "--version") == 0) {
        printf("vireo %s\n", vireo_version());
        return finish_output(NULL, "standard output", 0);
    }
    const struct command *c = command_find(word);
    if (!c) return STATUS_BAD_COMMAND;
    if (args_want_help(argv + 2)) {
        help_print(stdout, c);
        return finish_output(NULL, "standard output", 0);
    }
    return c->run(c, argv + 2, started_ns);
}
