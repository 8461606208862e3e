/* airlore/filter.h - the filter language: a subset of AIP-160, compiled once, evaluated on a
 * document's attributes.
 *
 *   kind = "doc" AND airflow >= "3.0" AND (tags:"postgres" OR NOT lang = "ko")
 *
 * Fields: id, kind, title, url, version, lang, source, team, deployment, scope ("deployment",
 * "team", "community"), tags, created, updated (RFC 3339), airflow (shorthand of metadata.airflow),
 * metadata.<key>. Operators: = != < <= > >= and `:` (has: an element of tags, a substring of a
 * text). AND, OR, NOT, "-", parentheses; AND binds stronger than OR as people expect (unlike
 * AIP-160, documented). Comparing airflow, version: version order ("3.10" > "3.9"), created and
 * updated: time; metadata: numbers if both sides are numbers, else text. `*` as a whole value:
 * present. A trailing `*` in a text with `=`: prefix. A missing field matches only != and NOT. When
 * airflow of a document is a range (">=2.4,<3"), the comparison asks whether any version that
 * satisfies the range satisfies the filter.
 *
 * Limits: 8 KiB of text, 64 terms, depth 16.
 *
 * Thread: a compiled filter is immutable: any thread.
 */
#ifndef AIRLORE_FILTER_H
#define AIRLORE_FILTER_H

#include "airlore/doc.h"

struct al_filter;

/* Compile into the arena (lives as long as it). Empty or blank text gives *ret NULL, which matches
 * all. AL_INVALID_ARGUMENT, reason BAD_FILTER: message says the column and what was expected. */
AL_NODISCARD enum al_code al_filter_compile(struct al_str text, struct al_arena *a,
                                            const struct al_filter **ret, struct al_err *err);

/* Whether the document's attributes match; f NULL matches all. Allocates nothing. */
bool al_filter_match(const struct al_filter *f, const struct al_doc *d);

/* Version order of dotted numbers with suffixes: < 0, 0, > 0 ("2.10.0rc1" < "2.10.0" < "3"). */
int al_version_cmp(struct al_str a, struct al_str b);

#endif
