/* text_fill.h - for tests: a buffer filled with a text again and again. */
#ifndef AL_TEXT_FILL_H
#define AL_TEXT_FILL_H

#include <string.h>

#include "airlore/str.h"

/* Fill p[0..n) with as many whole units as fit; the part that was filled. */
static inline struct al_str text_fill(char *p, size_t n, const char *unit)
{
    size_t unit_n = strlen(unit);
    size_t filled = n - n % unit_n;
    for (size_t i = 0; i < filled; i++)
        p[i] = unit[i % unit_n];
    return (struct al_str){p, filled};
}

#endif
