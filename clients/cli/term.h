/* term.h - text for people: colours, width, wrapping, and nothing that could drive the terminal.
 *
 * What comes from the server or from files is shown without control characters.
 *
 * Thread: confined to one thread.
 */
#ifndef AIRLORE_CLI_TERM_H
#define AIRLORE_CLI_TERM_H

#include <stdio.h>

#include "airlore/str.h"

struct al_cli_term {
    bool in_is_tty;
    bool out_is_tty;
    bool err_is_tty;
    bool out_colour;
    bool err_colour;
    int width; /* columns of standard output; 80 to 200, 80 when it is no terminal */
};

/* Look at the terminal and the environment (NO_COLOR, TERM, COLUMNS). */
void al_cli_term_init(struct al_cli_term *t, bool no_colour);

/* Columns of the terminal now, as in al_cli_term.width. */
int al_cli_term_width(int fd);

/* Style of what follows; nothing without colour. One of the names below. */
enum al_cli_style {
    AL_STYLE_PLAIN,
    AL_STYLE_BOLD,
    AL_STYLE_DIM,
    AL_STYLE_RED,
    AL_STYLE_GREEN,
    AL_STYLE_YELLOW,
    AL_STYLE_CYAN
};
const char *al_cli_style_on(bool colour, enum al_cli_style s);

/* Columns that a text takes: combining marks 0, wide characters 2, control characters 0. */
size_t al_cli_columns(struct al_str s);

/* Print s without control characters; line ends and tabs become blanks. */
void al_cli_put(FILE *f, struct al_str s);

/* Print at most `columns` columns of s, with "..." when it was cut, filled up with blanks. */
void al_cli_put_cell(FILE *f, struct al_str s, size_t columns);

/* Whole code point at *at, which moves on; U+FFFD for a broken one (one byte). */
uint32_t al_cli_next(struct al_str s, size_t *at);

/* The next line of s from *at, broken at blanks (or between wide characters) so that it takes at
 * most `columns` columns; false at the end. A line end in s ends the line. */
bool al_cli_wrap(struct al_str s, size_t columns, size_t *at, struct al_str *ret);

/* Print s wrapped to `columns`, each line after `indent` blanks. */
void al_cli_put_wrapped(FILE *f, struct al_str s, size_t columns, int indent);

#endif
