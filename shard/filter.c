/* Evaluation of compiled filters on the attributes of a document. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "filter_ast.h"

#define NUMBER_BYTES_MAX 64u

bool al_filter_number(struct al_str s, double *ret)
{
    char buf[NUMBER_BYTES_MAX];
    if (s.n == 0 || s.n >= sizeof buf)
        return false;
    bool digit = false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        digit = digit || (c >= '0' && c <= '9');
        if (!(c >= '0' && c <= '9') && !strchr("+-.eE", c))
            return false;
        if (c == '\0')
            return false;
    }
    memcpy(buf, s.p, s.n);
    buf[s.n] = '\0';
    char *end = NULL;
    double v = digit ? strtod(buf, &end) : 0;
    if (!digit || end != buf + s.n || !isfinite(v))
        return false;
    *ret = v;
    return true;
}

/* Whether an order (< 0, 0, > 0) satisfies the operator. */
static bool holds(enum al_filter_op op, int c)
{
    switch (op) {
    case AL_FILTER_EQ:
    case AL_FILTER_HAS:
        return c == 0;
    case AL_FILTER_NE:
        return c != 0;
    case AL_FILTER_LT:
        return c < 0;
    case AL_FILTER_LE:
        return c <= 0;
    case AL_FILTER_GT:
        return c > 0;
    case AL_FILTER_GE:
        return c >= 0;
    }
    return false;
}

static bool text_matches(const struct al_filter_term *t, struct al_str s)
{
    if (t->op == AL_FILTER_HAS)
        return al_str_find(s, t->value, 0) != SIZE_MAX;
    if (t->is_prefix)
        return al_str_starts(s, t->value) == (t->op == AL_FILTER_EQ);
    return holds(t->op, al_str_cmp(s, t->value));
}

static bool meta_matches(const struct al_filter_term *t, struct al_str s)
{
    double v;
    if (t->is_number && t->op != AL_FILTER_HAS && al_filter_number(s, &v))
        return holds(t->op, v < t->number ? -1 : v > t->number);
    return text_matches(t, s);
}

static bool version_matches(const struct al_filter_term *t, struct al_str s)
{
    if (t->is_version && t->op != AL_FILTER_HAS && al_version_is(s))
        return holds(t->op, al_version_cmp(s, t->value));
    return text_matches(t, s);
}

static bool airflow_matches(const struct al_filter_term *t, struct al_str s)
{
    struct al_version_range r;
    if (!al_version_range_parse(s, &r)) /* no version: only equality means anything */
        return (t->op == AL_FILTER_NE) != al_str_eq(s, t->value);
    if (t->op == AL_FILTER_NE)
        return !al_version_range_within(&r, &t->range);
    return al_version_range_meets(&r, &t->range);
}

static bool tags_match(const struct al_filter_term *t, const struct al_doc *d)
{
    bool found = false;
    for (size_t i = 0; i < d->n_tags && !found; i++)
        found =
            t->is_prefix ? al_str_starts(d->tags[i], t->value) : al_str_eq(d->tags[i], t->value);
    return found == (t->op != AL_FILTER_NE);
}

static struct al_str meta_of(const struct al_doc *d, struct al_str key)
{
    for (size_t i = 0; i < d->n_meta; i++)
        if (al_str_eq(d->meta[i].key, key))
            return d->meta[i].value;
    return (struct al_str){"", 0};
}

/* The text of a field that has one; "" for absent. */
static struct al_str text_of(const struct al_filter_term *t, const struct al_doc *d)
{
    switch (t->field) {
    case AL_FIELD_ID:
        return d->id;
    case AL_FIELD_KIND:
        return d->kind;
    case AL_FIELD_TITLE:
        return d->title;
    case AL_FIELD_URL:
        return d->url;
    case AL_FIELD_VERSION:
        return d->version;
    case AL_FIELD_LANG:
        return d->lang;
    case AL_FIELD_SOURCE:
        return d->source;
    case AL_FIELD_TEAM:
        return d->team;
    case AL_FIELD_DEPLOYMENT:
        return d->deployment;
    case AL_FIELD_AIRFLOW:
        return meta_of(d, AL_STR("airflow"));
    case AL_FIELD_META:
        return meta_of(d, t->key);
    case AL_FIELD_SCOPE:
    case AL_FIELD_TAGS:
    case AL_FIELD_CREATED:
    case AL_FIELD_UPDATED:
        break;
    }
    return (struct al_str){"", 0};
}

static uint64_t time_of(const struct al_filter_term *t, const struct al_doc *d)
{
    return t->field == AL_FIELD_CREATED ? d->created_ms : d->updated_ms;
}

static bool is_present(const struct al_filter_term *t, const struct al_doc *d)
{
    switch (t->field) {
    case AL_FIELD_TAGS:
        return d->n_tags > 0;
    case AL_FIELD_CREATED:
    case AL_FIELD_UPDATED:
        return time_of(t, d) != 0;
    case AL_FIELD_SCOPE:
        return true;
    case AL_FIELD_ID:
    case AL_FIELD_KIND:
    case AL_FIELD_TITLE:
    case AL_FIELD_URL:
    case AL_FIELD_VERSION:
    case AL_FIELD_LANG:
    case AL_FIELD_SOURCE:
    case AL_FIELD_TEAM:
    case AL_FIELD_DEPLOYMENT:
    case AL_FIELD_AIRFLOW:
    case AL_FIELD_META:
        break;
    }
    return text_of(t, d).n > 0;
}

static bool term_matches(const struct al_filter_term *t, const struct al_doc *d)
{
    bool present = is_present(t, d);
    if (t->is_present || !present)
        return present == (t->op != AL_FILTER_NE);
    switch (t->field) {
    case AL_FIELD_SCOPE:
        return (d->visibility == t->scope) == (t->op != AL_FILTER_NE);
    case AL_FIELD_TAGS:
        return tags_match(t, d);
    case AL_FIELD_CREATED:
    case AL_FIELD_UPDATED: {
        uint64_t at = time_of(t, d);
        return holds(t->op, at < t->time_ms ? -1 : at > t->time_ms);
    }
    case AL_FIELD_VERSION:
        return version_matches(t, d->version);
    case AL_FIELD_AIRFLOW:
        return airflow_matches(t, text_of(t, d));
    case AL_FIELD_META:
        return meta_matches(t, text_of(t, d));
    case AL_FIELD_ID:
    case AL_FIELD_KIND:
    case AL_FIELD_TITLE:
    case AL_FIELD_URL:
    case AL_FIELD_LANG:
    case AL_FIELD_SOURCE:
    case AL_FIELD_TEAM:
    case AL_FIELD_DEPLOYMENT:
        break;
    }
    return text_matches(t, text_of(t, d));
}

bool al_filter_match(const struct al_filter *f, const struct al_doc *d)
{
    if (!f)
        return true;
    if (f->kind == AL_FILTER_TERM)
        return term_matches(&f->term, d);
    if (f->kind == AL_FILTER_NOT)
        return !al_filter_match(f->first, d);
    bool stop_at = f->kind == AL_FILTER_OR; /* the parser bounds the depth */
    for (const struct al_filter *c = f->first; c; c = c->next)
        if (al_filter_match(c, d) == stop_at)
            return stop_at;
    return !stop_at;
}
