/* signals.h - ending the process by signal.
 *
 * SIGTERM, SIGINT and SIGHUP (the latter two unless they were ignored when the process started) ask
 * for a clean end; a second one ends the process at once with status 1. SIGPIPE is ignored. All of
 * them are blocked in every thread but the one that waits for them, so that no library's thread is
 * interrupted.
 *
 * Thread:    main thread.
 * Lifecycle: init (before any thread) -> start -> wait.
 */
#ifndef AIRLORE_AIRLORED_SIGNALS_H
#define AIRLORE_AIRLORED_SIGNALS_H

#include "airlore/err.h"

/* Block them here, and so in all threads to come; ignore SIGPIPE. */
void al_signals_init(void);

/* Start the thread that takes them. */
AL_NODISCARD enum al_code al_signals_start(struct al_err *err);

/* Wait for the first; gives its number. One that came before is not lost. */
int al_signals_wait(void);

#endif
