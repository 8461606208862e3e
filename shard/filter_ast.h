/* filter_ast.h - a compiled filter: what filter_parse.c makes and filter.c evaluates.
 *
 * Thread: immutable once compiled. Memory: everything in the arena of the compilation.
 */
#ifndef AIRLORE_SHARD_FILTER_AST_H
#define AIRLORE_SHARD_FILTER_AST_H

#include "airlore/filter.h"
#include "version.h"

#define AL_FILTER_BYTES_MAX 8192u
#define AL_FILTER_TERMS_MAX 64u
#define AL_FILTER_DEPTH_MAX 16u

enum al_filter_field {
    AL_FIELD_ID,
    AL_FIELD_KIND,
    AL_FIELD_TITLE,
    AL_FIELD_URL,
    AL_FIELD_VERSION,
    AL_FIELD_LANG,
    AL_FIELD_SOURCE,
    AL_FIELD_TEAM,
    AL_FIELD_DEPLOYMENT,
    AL_FIELD_SCOPE,
    AL_FIELD_TAGS,
    AL_FIELD_CREATED,
    AL_FIELD_UPDATED,
    AL_FIELD_AIRFLOW,
    AL_FIELD_META,
};

enum al_filter_op {
    AL_FILTER_EQ,
    AL_FILTER_NE,
    AL_FILTER_LT,
    AL_FILTER_LE,
    AL_FILTER_GT,
    AL_FILTER_GE,
    AL_FILTER_HAS,
};

enum al_filter_kind {
    AL_FILTER_AND, /* first, its next ... */
    AL_FILTER_OR,
    AL_FILTER_NOT, /* of first */
    AL_FILTER_TERM,
};

/* One comparison. */
struct al_filter_term {
    enum al_filter_field field;
    enum al_filter_op op;
    struct al_str key;   /* of metadata */
    struct al_str value; /* without the '*' of a prefix */
    bool is_present;     /* the value was '*' */
    bool is_prefix;      /* it ended in '*' */
    bool is_number;      /* then number is it */
    bool is_version;     /* the value looks like a version */
    double number;
    uint64_t time_ms; /* of created and updated */
    enum al_visibility scope;
    struct al_version_range range; /* of airflow: what `op value` admits; for != what it excludes */
};

struct al_filter {
    enum al_filter_kind kind;
    struct al_filter *first; /* AND, OR, NOT */
    struct al_filter *next;  /* of the parent */
    struct al_filter_term term;
};

/* Whole of s as a finite decimal number. */
bool al_filter_number(struct al_str s, double *ret);

/* What al_filter_resolve gives when the arena is full. */
extern const char al_filter_no_memory[];

/* Fill what the operator and value of t mean for its field (time, number, range, ...). NULL when
 * fine, else what was expected, a literal. */
const char *al_filter_resolve(struct al_filter_term *t, struct al_arena *a);

#endif
