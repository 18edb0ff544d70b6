/* The `vireo` program: a table of subcommands, one file each, on <vireo.h> and vmm/base.
 *
 * The laboratory is a program of its own, `vireo-bench`: a monitor that runs guests carries neither the guests of the
 * benches nor their arithmetic. It has the same main, and in bench/cli a table of its own commands. `vireo` knows only
 * their names and one line about each (vireo.c), and becomes that program when one of them is called. */
#ifndef VIREO_CLI_CLI_H
#define VIREO_CLI_CLI_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <vireo.h>

#include "vmm/base/clock.h"
#include "vmm/base/setting.h"

/* Exit statuses of the program's own; the rest come with vireo_end and vireo_error. vireo-run(1) has the table. */
enum { STATUS_BAD_COMMAND = 125, STATUS_BAD_HOST = 126, STATUS_SIGNAL = 128 };

/* Where an option of a subcommand is kept, in the struct that the command has parsed into: a switch in a bool, a value
 * in a const char * ("" where one that may come was left out). */
#define CLI_SWITCH(type, field) .at = (offsetof(type, field) + 0 * sizeof(&((type *)NULL)->field == (bool *)NULL))
#define CLI_TEXT(type, field)   .at = (offsetof(type, field) + 0 * sizeof(&((type *)NULL)->field == (const char **)NULL))

struct command {
    const char *name;
    const char *args;              /* what follows the name in the synopsis */
    const char *help;              /* one line */
    const struct setting *options; /* ends with a NULL name */
    /* Keys of the library that are options too, false past the end; NULL: none. */
    bool (*key)(const struct command *c, unsigned index, struct setting *out);
    const char *keys_title; /* above them in the help text; NULL: they are not shown */
    const void *keys;       /* for key: where it finds them */
    void (*more)(FILE *f);  /* the end of the help text; NULL: none */
    /* Words it takes that are no options, or options only more tells of: as help_list_option writes them, for shells
     * that complete; NULL: none. FILE stands for the name of any file. word: the one that follows the command's name
     * already, or NULL. */
    void (*list)(FILE *f, const char *word);
    const char *program; /* the one beside this one that has the command, with all its options; NULL: this one */
    /* Takes a word that is no option and no option's value; NULL: there must be none. In the pass of ARGS_OWN. */
    void (*set_word)(void *ctx, const char *word);
    bool ends_at_word; /* the first word that is no option, or "--", begins what is not this command's: args_rest */
    /* Takes a library's key in the pass of ARGS_KEYS; NULL: vireo_config_set does. */
    int (*set_key)(void *ctx, const char *key, const char *value, struct vireo_error *e);
    int (*run)(const struct command *c, char **words, uint64_t started_ns); /* the words after the name; exit status */
};
extern const struct command command_run, command_exec, command_wasm, command_stat, command_top, command_metrics,
    command_doctor, command_help;
extern const struct command *const program_commands[]; /* the table; ends with NULL */
extern const char program_about[];                     /* what the help text says above and below it */
extern const char program_hint[];
/* By name; NULL after an error was printed that names the nearest. */
const struct command *command_find(const char *name);
/* What both programs say of the laboratory's commands. */
#define HELP_BENCH    "Measure what VM exits cost here, and how vCPUs share processors"
#define HELP_REPORT   "Make an HTML page of what vireo bench, fairness or top --record wrote"
#define HELP_FAIRNESS "Say whether running VMs get what they are due, and why not"
/* Go on as c->program, which lies beside this one; words are its argv. Returns, with an exit status, only when it is
 * not there. */
int command_become(const struct command *c, char **words);

/* ---- words of the command line: args.c ---- */

enum args_kind { ARGS_OWN, ARGS_KEYS };
/* Hand every option of one kind to whom it belongs: the command's own to its struct (ctx), or the library's keys to
 * vireo_config_set (ctx). Both kinds are recognized in either pass, so a wrong word is found in the first. An option of
 * the command is never the value of the one before it, unless as --name=--option.
 * 0; -EINVAL with *e filled. */
int args_parse(const struct command *c, enum args_kind kind, char **words, void *ctx, struct vireo_error *e);
/* What follows the options of a command whose ends_at_word is set, without "--". Of words that args_parse took. */
char **args_rest(const struct command *c, char **words);
/* --help among them, or -h; not where it is an option's value: --cmdline -h. */
bool args_want_help(const struct command *c, char **words);

/* Seconds, or a time with the unit of vireo run's timeout, within bounds; text NULL: *out stays. false: it is none. */
bool args_time(const char *text, double low, double high, double *out);

/* Words that are no options, in order: what a set_word gathers. */
#define ARGS_WORDS_MAX 16 /* as many results as a page of `vireo report` holds */
struct args_words {
    const char *word[ARGS_WORDS_MAX];
    unsigned count; /* those that found no room too */
};
void args_add(struct args_words *w, const char *word);
/* 0; -EINVAL, with *e filled: a word stands there twice. Of no more than ARGS_WORDS_MAX. */
int args_check_once(const struct args_words *w, struct vireo_error *e);

/* ---- what the user reads: text.c, help_text.c ---- */

/* One line on standard error, "vireo: " before it. What could move a terminal's cursor is shown as '?': names and
 * sentences may come from the guest or from somebody else's file. Any thread; one that nobody takes is dropped
 * (put_text) and counted, and the next one tells of it. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
unsigned say_lost(void);                    /* lines that were dropped and not told of yet */
int say_error(const struct vireo_error *e); /* the sentence, the hint; returns its exit status */
/* Fill *e as a bad command: one sentence, no hint. Returns its code. */
int bad_command(struct vireo_error *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same for a call that failed with `error`, an errno, whose text follows the sentence: what this host is out of is
 * no bad command, but a bad host. */
int bad_call(struct vireo_error *e, int error, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void help_print(FILE *f, const struct command *c); /* NULL: the program's */
typedef void help_option_fn(FILE *f, const char *name, const char *arg, const char *help);
help_option_fn help_print_option; /* one option of it, in lines of 80 columns */
help_option_fn help_list_option;  /* one line of `vireo help --list`: "--NAME", arg and help, with tabs between */
/* Each option of a command, by print; the title, unless NULL, stands between the library's keys and its own. */
void help_each_option(FILE *f, const struct command *c, const char *title, help_option_fn *print);
/* A text in lines of 80 columns, and a newline: the cursor stands at column now, later lines start at indent. */
int help_print_text(FILE *f, unsigned column, unsigned indent, const char *text);

/* ---- put.c ---- */

/* Write text to any descriptor. What a reader that has stalled does not take in half a second is dropped, as is at once
 * all that follows until it takes again (-EAGAIN); nothing waits longer than two seconds. 0 or -errno. Any thread, and
 * signal handlers. A reader that is gone is -EPIPE and no signal. */
int put_text(int fd, const char *text, size_t len);
int put_failed(const char *name, int rc); /* say that so; STATUS_BAD_COMMAND */

/* ---- signals.c ---- */

/* Every signal that ends a process which does nothing about it (signal(7)), but for SIGKILL and faults: those that are
 * a request, those of limits and timers, the real-time ones. 0 past the end. */
int signals_ending(unsigned index);
bool signals_is_ignored(int sig);
/* Was it sent for a write of our own, to a pipe without a reader or beyond RLIMIT_FSIZE? Then that call has failed, and
 * its caller says so. */
bool signals_is_of_write(int sig, int from_pid);
/* From here on these come by the fd that is returned: blocked in this thread and in those it starts. -errno. */
int signals_open(const sigset_t *set);
/* The same with all that end a process, and the list's (ends with 0). */
int signals_catch(const int *list);
int signals_read(int fd); /* the one that came, or 0: none, or one that is ignored */

/* ---- files that the user names: files.c ---- */

/* What a command reads and writes: an output is no file that is read, nor another output, nor where the shell has sent
 * a standard file. The paths stay the caller's. */
#define OUTPUTS_MAX 64 /* as vireo_output_open takes; a machine's files, and a dozen of the program's */
struct outputs {
    struct vireo_file file[OUTPUTS_MAX];
    unsigned count;
    bool has_standard;
};
void outputs_beside(struct outputs *o, const char *what, const char *path); /* path NULL: there is none */
void outputs_beside_config(struct outputs *o, const struct vireo_config *c);
/* Open, or make, a file to write to before there is anything to write, so that a slip in its path is found first. It
 * keeps what it holds until output_write or output_empty, and is beside those opened after it. The caller's to finish.
 * NULL: *e is filled, with what ("output") before the path. */
FILE *output_open(struct outputs *o, const char *what, const char *path, struct vireo_error *e);
/* The same as a descriptor, for put_text; -errno and *e filled. */
int output_open_fd(struct outputs *o, const char *what, const char *path, struct vireo_error *e);
void output_empty(int fd);
int output_close(int fd, const char *name, int status); /* status, or STATUS_BAD_COMMAND after saying what went wrong */
/* A vireo_write_fn for a FILE: text takes the place of all that the file holds; on standard output and standard error
 * it follows what is there. finish_output says what went wrong. */
void output_write(void *file, const char *text, size_t len);
/* Flush and close f, or flush stdout: status, or STATUS_BAD_COMMAND after saying why that failed. */
int finish_output(FILE *f, const char *name, int status);

/* ---- other VMs, by their control sockets: client.c ---- */

struct page {
    char *text; /* the caller's to free */
    size_t len;
};
/* What the VM called name answers to GET target. 0; -ENOENT: no such VM runs (any more), -EINVAL: it refused, or
 * another -errno; with *e filled. */
int client_fetch(const char *name, const char *target, struct page *out, struct vireo_error *e);
/* The names of VMs that run, sorted; NULL-terminated, each and the array the caller's to free: client_names_free. NULL:
 * none. 0, or *e says what this host lacks to look. */
int client_names(char ***out, struct vireo_error *e);
/* The same of all sockets, also those that nobody listens at: nothing is asked, so nothing is waited for. */
int client_sockets(char ***out, struct vireo_error *e);
void client_names_free(char **names);
void client_list(FILE *f, const char *word); /* a command's list: them, where none is named yet */
int client_pid(const char *name);            /* whose socket it is; 0: not known */
/* The VM that the words of a command name; NULL: none. -EINVAL: more than one, with *e filled. */
int client_name(const struct args_words *w, const char **name, struct vireo_error *e);

#endif
