/* progress.h - a line on standard error that says how far it is: items, rate, time left.
 *
 * Thread: any thread (internally locked).
 */
#ifndef AIRLORE_CLI_PROGRESS_H
#define AIRLORE_CLI_PROGRESS_H

#include <pthread.h>
#include <stdint.h>

#include "term.h"

struct al_cli_progress {
    /* private state */
    pthread_mutex_t mu;
    bool is_on;
    bool colour;
    uint64_t total_items; /* 0: not known */
    uint64_t total_bytes;
    uint64_t items; /* guarded by mu, like the rest */
    uint64_t bytes;
    uint64_t started_ns;
    uint64_t drawn_ns;
    bool is_drawn;
};

/* Start; shows nothing unless is_on. */
void al_cli_progress_init(struct al_cli_progress *p, bool is_on, bool colour);

/* What there is to do in all; 0: not known. */
void al_cli_progress_total(struct al_cli_progress *p, uint64_t items, uint64_t bytes);

/* This much more is done. Draws at most ten times a second. */
void al_cli_progress_add(struct al_cli_progress *p, uint64_t items, uint64_t bytes);

/* Remove the line. */
void al_cli_progress_fini(struct al_cli_progress *p);

/* The line for these numbers into buf (for tests, too): "[####....] 1,200/3,000  800/s  1.2 MB/s  2
 * s left". */
void al_cli_progress_text(const struct al_cli_progress *p, uint64_t elapsed_ns, int width,
                          char *buf, size_t n);

/* "1,234,567" into buf of at least 32 bytes; gives buf. */
const char *al_cli_number(uint64_t v, char *buf, size_t n);

#endif
