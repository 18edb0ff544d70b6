/* The terminal while a guest's console is on it: raw, and always given back as it was. */
#ifndef VIREO_CLI_TERM_H
#define VIREO_CLI_TERM_H

#include <stdbool.h>

bool term_is_console(void); /* are standard input and output a terminal? */
/* Raw mode from now on, as soon as this process is in the terminal's foreground (again after SIGCONT). From the first
 * call on the terminal is also restored when the process dies of its own fault (SIGABRT, SIGSEGV, ...). SIGKILL can't
 * be helped: `stty sane` does. */
void term_enter(void);
/* Guard against those faults without a terminal too, and call then in the handler, after the terminal was restored.
 * NULL: as before. */
void term_guard_faults(void (*then)(int sig));
/* While raw mode is wanted and another job has the terminal: call term_watch after a wait of term_watch_ms (-1: there
 * is nothing to watch). true: the terminal has come to us just now, and is raw. */
bool term_watch(void);
int term_watch_ms(void);
/* For who has nothing to do without the terminal: stops this process (SIGTTOU) while another job has it. */
void term_demand(void);
void term_leave(void); /* back to what it was, if it is ours; legal when not entered. Async-signal-safe */

#endif
