/* redact_rules.h - which texts are secrets: patterns and what their matches must look like. */
#ifndef AL_TEXT_REDACT_RULES_H
#define AL_TEXT_REDACT_RULES_H

#include "airlore/str.h"

/* A match as a rule sees it. */
struct al_redact_match {
    struct al_str text;   /* all of it */
    struct al_str key;    /* group "k", or empty */
    struct al_str secret; /* group "v": what will be replaced */
    size_t start;         /* of the secret in text */
    size_t match_start;   /* of the whole match */
    bool quoted;          /* group "q" is there */
};

/* One rule. pattern: pcre2, bytes, with a group named v; check may be NULL, else decides by the
 * match. */
struct al_redact_rule {
    const char *kind;
    const char *pattern;
    bool (*check)(const struct al_redact_match *m);
};

extern const struct al_redact_rule al_redact_rules[];
extern const size_t al_redact_n_rules;

#endif
