/* redact_rules.h - which texts are secrets: patterns and what their matches must look like. */
#ifndef AL_TEXT_REDACT_RULES_H
#define AL_TEXT_REDACT_RULES_H

#include "airlore/arena.h"

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
 * match. hints: texts of 3 bytes or more, lower case, one of which every match holds in whatever
 * case; NULL ends them; none: no demand. may: false when the text surely has no match; NULL: no
 * demand. A rule is run on texts that meet both demands, so neither changes what is found. */
#define AL_REDACT_HINTS_MAX 10u
struct al_redact_rule {
    const char *kind;
    const char *pattern;
    bool (*check)(const struct al_redact_match *m);
    const char *hints[AL_REDACT_HINTS_MAX];
    bool (*may)(struct al_str text);
};

extern const struct al_redact_rule al_redact_rules[];
extern const size_t al_redact_n_rules;

/* al_redact; every_rule: without leaving out those that hints and may rule out. Both find the same:
 * tests and fuzzing hold one against the other. */
AL_NODISCARD enum al_code al_redact_run(struct al_str text, bool every_rule, struct al_arena *a,
                                        struct al_str *ret, uint32_t *ret_n, struct al_err *err);

#endif
