#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/nearest.h"
#include "vmm/cli/cli.h"

#define COMMANDS_MAX 16 /* for the names among which the nearest is looked for; the table has half as many */

const struct command *command_find(const char *name)
{
    const char *names[COMMANDS_MAX + 1] = {NULL};
    for (unsigned i = 0; i < COMMANDS_MAX && program_commands[i]; i++) {
        if (strcmp(program_commands[i]->name, name) == 0) return program_commands[i];
        names[i] = program_commands[i]->name;
    }
    struct vireo_error e;
    bad_command(&e, "unknown command \"%.200s\"", name);
    if (!nearest_hint(e.hint, sizeof(e.hint), "vireo ", name, WORDS_IN(names)))
        (void)snprintf(e.hint, sizeof(e.hint), "`vireo --help` lists the commands");
    (void)say_error(&e);
    return NULL;
}

/* A program may be started with standard files closed. What is opened next would then be one of them: /dev/kvm as
 * standard output, a disk as standard error. Where there is no /dev/null a directory keeps the place: it can be neither
 * read nor written. */
static bool open_standard_files(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0 && open("/", O_RDONLY | O_DIRECTORY) < 0)
            return false;
    return true;
}

int command_become(const struct command *c, char **words)
{
    char path[PATH_MAX];
    const ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
    char *const base = n > 0 ? memrchr(path, '/', (size_t)n) : NULL;
    const size_t room = base ? sizeof(path) - (size_t)(base + 1 - path) : 0;
    if (room <= strlen(c->program)) {
        say("%s: where this program lies is not known, so neither where %s does: %s", c->name, c->program,
            strerror(errno));
        return STATUS_BAD_HOST;
    }
    memcpy(base + 1, c->program, strlen(c->program) + 1);
    (void)execv(path, words);
    say("%s: %s: %s; it is built and installed together with this program", c->name, path, strerror(errno));
    return STATUS_BAD_HOST;
}

/* On standard error, whose reader may be gone as for any other mistake. */
static void put_help(void)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    if (f) help_print(f, NULL);
    if (f && fclose(f) == 0) (void)put_text(STDERR_FILENO, text, len);
    free(text);
}

int main(int argc, char **argv)
{
    const uint64_t started_ns = now_ns();
    if (!open_standard_files()) return STATUS_BAD_HOST; /* and no place to say why: no descriptor is to be had */
    const char *word = argc > 1 ? argv[1] : "";
    if (*word == '\0') {
        put_help();
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
    if (c->program) return command_become(c, argv);
    if (args_want_help(c, argv + 2)) {
        help_print(stdout, c);
        return finish_output(NULL, "standard output", 0);
    }
    return c->run(c, argv + 2, started_ns);
}
