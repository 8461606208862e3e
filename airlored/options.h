/* options.h - the command line of airlored.
 *
 * Thread: parse from the main thread only (getopt keeps state).
 */
#ifndef AIRLORE_AIRLORED_OPTIONS_H
#define AIRLORE_AIRLORED_OPTIONS_H

#include <stdio.h>

#include "airlore/err.h"

#define AL_OPTIONS_SET_MAX 16u

enum al_options_action {
    AL_OPTIONS_RUN,
    AL_OPTIONS_PRINT_CONFIG,
    AL_OPTIONS_CHECK_CONFIG,
    AL_OPTIONS_VERSION,
    AL_OPTIONS_HELP,
};

/* One key of the configuration that an option sets. */
struct al_options_set {
    const char *option; /* "--listen" */
    const char *path;   /* "listen" */
    const char *value;  /* borrowed from argv */
};

struct al_options {
    enum al_options_action action;
    const char *config; /* file; NULL: none */
    struct al_options_set set[AL_OPTIONS_SET_MAX];
    size_t n_set;
};

/* Read the command line; *ret borrows from argv. AL_INVALID_ARGUMENT, reason BAD_USAGE: unknown
 * options, missing or superfluous arguments. An option given twice counts as given last. */
AL_NODISCARD enum al_code al_options_parse(int argc, char **argv, struct al_options *ret,
                                           struct al_err *err);

/* What --help prints. */
void al_options_usage(FILE *f);

#endif
