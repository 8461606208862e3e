/* What an operator and a value mean for a field: checked once, at compile time. */
#include <string.h>

#include "airlore/clock.h"
#include "filter_ast.h"

const char al_filter_no_memory[] = "more memory";

static bool is_order(enum al_filter_op op)
{
    return op == AL_FILTER_LT || op == AL_FILTER_LE || op == AL_FILTER_GT || op == AL_FILTER_GE;
}

static const char *resolve_scope(struct al_filter_term *t)
{
    static const struct {
        const char *name;
        enum al_visibility scope;
    } scopes[] = {
        {"deployment", AL_VIS_DEPLOYMENT}, {"team", AL_VIS_TEAM}, {"community", AL_VIS_COMMUNITY}};
    if (is_order(t->op))
        return "'=' or '!=' with scope";
    for (size_t i = 0; i < AL_ARRAY_LEN(scopes); i++) {
        if (!t->is_prefix && al_str_is(t->value, scopes[i].name)) {
            t->scope = scopes[i].scope;
            return NULL;
        }
    }
    return "one of deployment, team, community";
}

static const char *resolve_time(struct al_filter_term *t)
{
    static const char expected[] =
        "a time such as \"2026-11-21T09:30:00Z\" or a day such as \"2026-11-21\"";
    static const char midnight[] = "T00:00:00Z";
    char buf[64];
    if (t->op == AL_FILTER_HAS)
        return "a comparison (= != < <= > >=) with a time";
    if (t->is_prefix || t->value.n + sizeof midnight > sizeof buf)
        return expected;
    memcpy(buf, t->value.p, t->value.n);
    size_t n = t->value.n;
    if (n == 10) {
        memcpy(buf + n, midnight, sizeof midnight);
        n += sizeof midnight - 1;
    }
    return al_clock_parse_rfc3339(buf, n, &t->time_ms, NULL) == AL_OK ? NULL : expected;
}

static const char *resolve_airflow(struct al_filter_term *t, struct al_arena *a)
{
    static const char expected[] = "a version such as \"3.0\" or \"2.*\"";
    struct al_str v = t->value;
    bool stem = t->is_prefix && al_str_ends(v, AL_STR("."));
    if ((t->is_prefix && !stem) || (stem && is_order(t->op)))
        return expected;
    if (stem)
        v.n--;
    if (!al_version_is(v))
        return expected;
    const char *op = t->op == AL_FILTER_LT   ? "<"
                     : t->op == AL_FILTER_LE ? "<="
                     : t->op == AL_FILTER_GT ? ">"
                     : t->op == AL_FILTER_GE ? ">="
                                             : "==";
    char *text = al_arena_printf(a, "%s" AL_STR_FMT "%s", op, AL_STR_ARG(v), stem ? ".*" : "");
    if (!text)
        return al_filter_no_memory;
    return al_version_range_parse(al_str_c(text), &t->range) ? NULL : expected;
}

static const char *resolve_text(struct al_filter_term *t)
{
    t->is_number =
        !t->is_prefix && t->field == AL_FIELD_META && al_filter_number(t->value, &t->number);
    t->is_version = !t->is_prefix && t->field == AL_FIELD_VERSION && al_version_is(t->value);
    if (t->is_prefix && is_order(t->op))
        return "a value without '*' at its end";
    if (t->op == AL_FILTER_HAS && t->is_prefix)
        t->is_prefix = false; /* a substring anyway */
    return NULL;
}

const char *al_filter_resolve(struct al_filter_term *t, struct al_arena *a)
{
    if (t->is_present)
        return is_order(t->op) ? "'=', '!=' or ':' with '*'" : NULL;
    switch (t->field) {
    case AL_FIELD_SCOPE:
        return resolve_scope(t);
    case AL_FIELD_CREATED:
    case AL_FIELD_UPDATED:
        return resolve_time(t);
    case AL_FIELD_AIRFLOW:
        return resolve_airflow(t, a);
    case AL_FIELD_TAGS:
        return is_order(t->op) ? "':', '=' or '!=' with tags" : NULL;
    case AL_FIELD_ID:
    case AL_FIELD_KIND:
    case AL_FIELD_TITLE:
    case AL_FIELD_URL:
    case AL_FIELD_VERSION:
    case AL_FIELD_LANG:
    case AL_FIELD_SOURCE:
    case AL_FIELD_TEAM:
    case AL_FIELD_DEPLOYMENT:
    case AL_FIELD_META:
        break;
    }
    return resolve_text(t);
}
