/* The terminal while a guest's console is on it: raw, and always given back as it was. */
#ifndef VIREO_CLI_TERM_H
#define VIREO_CLI_TERM_H

#include <stdbool.h>

bool term_is_console(void); /* are standard input and output a terminal? */
/* Raw mode, if this process is in the terminal's foreground; else nothing (again after SIGCONT). From the first call on
 * the terminal is also restored when the process dies of its own fault (SIGABRT, SIGSEGV, ...). SIGKILL can't be
 * helped: `stty sane` does. */
void term_enter(void);
void term_leave(void); /* back to what it was; legal when not entered. Async-signal-safe */
/* Guard against those faults without a terminal too, and call then in the handler, after the terminal was restored.
 * NULL: as before. */
void term_guard_faults(void (*then)(int sig));

#endif
