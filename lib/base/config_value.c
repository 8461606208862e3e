#include "config_value.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct unit {
    const char *name;
    uint64_t factor;
};

/* Largest first: printing takes the first that divides. */
static const struct unit size_units[] = {
    {"TiB", 1ULL << 40}, {"GiB", 1ULL << 30}, {"MiB", 1ULL << 20}, {"KiB", 1ULL << 10}, {"B", 1}};
static const struct unit duration_units[] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};

#define N_UNITS AL_ARRAY_LEN(size_units)
_Static_assert(AL_ARRAY_LEN(size_units) == AL_ARRAY_LEN(duration_units), "unit tables alike");

/* A value before it is stored. */
union number {
    uint64_t u;
    double f;
    bool b;
};

const char *al_config_show(struct al_str s, char *buf, size_t n)
{
    size_t len = s.n > 64 ? 64 : s.n;
    len = len > n - 4 ? n - 4 : len;
    for (size_t i = 0; i < len; i++)
        buf[i] = (char)(s.p[i] >= ' ' && s.p[i] < 0x7F ? s.p[i] : '?');
    snprintf(buf + len, 4, "%s", len < s.n ? "..." : "");
    return buf;
}

static bool parse_with_unit(struct al_str s, const struct unit *units, bool needs_unit,
                            uint64_t *ret)
{
    size_t digits = 0;
    while (digits < s.n && s.p[digits] >= '0' && s.p[digits] <= '9')
        digits++;
    struct al_str unit = al_str_sub(s, digits, s.n);
    uint64_t v;
    if (!al_str_u64(al_str_sub(s, 0, digits), &v))
        return false;
    if (unit.n == 0) {
        *ret = v;
        return !needs_unit || v == 0;
    }
    for (size_t i = 0; i < N_UNITS; i++)
        if (al_str_is(unit, units[i].name))
            return !__builtin_mul_overflow(v, units[i].factor, ret);
    return false;
}

static bool parse_f64(struct al_str s, double *ret)
{
    char text[64];
    if (s.n == 0 || s.n >= sizeof text)
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    if (strlen(text) != s.n || strspn(text, "0123456789+-.eE") != s.n) /* no hexadecimal, no inf */
        return false;
    char *end;
    *ret = strtod(text, &end);
    return end == text + s.n && isfinite(*ret);
}

static bool parse_bool(struct al_str s, bool *ret)
{
    *ret = al_str_is(s, "true");
    return *ret || al_str_is(s, "false");
}

static bool parse_choice(const struct al_config_key *k, struct al_str s, uint64_t *ret)
{
    for (uint64_t i = 0; k->choices[i]; i++) {
        if (al_str_is(s, k->choices[i])) {
            *ret = i;
            return true;
        }
    }
    return false;
}

static bool parse_number(const struct al_config_key *k, struct al_str s, union number *ret)
{
    switch (k->type) {
    case AL_CONFIG_U64:
        return al_str_u64(s, &ret->u);
    case AL_CONFIG_SIZE:
        return parse_with_unit(s, size_units, false, &ret->u);
    case AL_CONFIG_DURATION:
        return parse_with_unit(s, duration_units, true, &ret->u);
    case AL_CONFIG_F64:
        return parse_f64(s, &ret->f);
    case AL_CONFIG_BOOL:
        return parse_bool(s, &ret->b);
    case AL_CONFIG_CHOICE:
        return parse_choice(k, s, &ret->u);
    case AL_CONFIG_STRING:
        break;
    }
    return false;
}

static const char *expected(enum al_config_type type)
{
    switch (type) {
    case AL_CONFIG_U64:
        return "a whole number";
    case AL_CONFIG_F64:
        return "a number";
    case AL_CONFIG_BOOL:
        return "true or false";
    case AL_CONFIG_SIZE:
        return "a size like 64KiB, 16MiB or 2GiB";
    case AL_CONFIG_DURATION:
        return "a duration like 500ms, 10s, 5m or 24h";
    case AL_CONFIG_STRING:
        return "a text";
    case AL_CONFIG_CHOICE:
        break;
    }
    return "one of its choices";
}

void al_config_value_range(const struct al_config_key *k, struct al_buf *ret)
{
    if (k->type == AL_CONFIG_CHOICE) {
        al_buf_cstr(ret, "one of: ");
        for (size_t i = 0; k->choices[i]; i++)
            al_buf_printf(ret, "%s%s", i ? ", " : "", k->choices[i]);
        return;
    }
    const char *bytes = k->type == AL_CONFIG_STRING ? " bytes" : "";
    if (k->min && k->max)
        al_buf_printf(ret, "%s to %s%s", k->min, k->max, bytes);
    else if (k->min)
        al_buf_printf(ret, "at least %s%s", k->min, bytes);
    else if (k->max)
        al_buf_printf(ret, "at most %s%s", k->max, bytes);
}

static enum al_code bad_value(const struct al_config_key *k, struct al_str text, struct al_err *err)
{
    char shown[80];
    al_config_show(text, shown, sizeof shown);
    if (k->type != AL_CONFIG_CHOICE)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_CONFIG", "%s: '%s' is not %s", k->path,
                         shown, expected(k->type));
    char room[160];
    size_t n = 0;
    room[0] = '\0';
    for (size_t i = 0; k->choices[i] && n < sizeof room - 1; i++)
        n += (size_t)snprintf(room + n, sizeof room - n, "%s%s", i ? ", " : "", k->choices[i]);
    return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_CONFIG", "%s: '%s' is not one of: %s", k->path,
                     shown, room);
}

static enum al_code out_of_range(const struct al_config_key *k, struct al_str text,
                                 struct al_err *err)
{
    char shown[80];
    al_config_show(text, shown, sizeof shown);
    const char *bytes = k->type == AL_CONFIG_STRING ? " bytes" : "";
    return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_CONFIG",
                     "%s: '%s' out of range, allowed: %s%s%s%s", k->path, shown,
                     k->min ? k->min : "at most ", k->min && k->max ? " to " : "",
                     k->max ? k->max : " or more", bytes);
}

static int compare(const struct al_config_key *k, union number a, union number b)
{
    if (k->type == AL_CONFIG_F64)
        return a.f < b.f ? -1 : a.f > b.f;
    return a.u < b.u ? -1 : a.u > b.u;
}

/* A bound of the table that does not parse is our bug. */
static bool is_within(const struct al_config_key *k, union number v)
{
    union number bound = {0};
    if (k->min) {
        AL_ASSERT(parse_number(k, al_str_c(k->min), &bound));
        if (compare(k, v, bound) < 0)
            return false;
    }
    if (k->max) {
        AL_ASSERT(parse_number(k, al_str_c(k->max), &bound));
        if (compare(k, v, bound) > 0)
            return false;
    }
    return true;
}

static void *field_of(const struct al_config_key *k, void *cfg)
{
    return (char *)cfg + k->offset;
}

static enum al_code set_string(const struct al_config_key *k, struct al_str text,
                               struct al_mem *mem, void *cfg, struct al_err *err)
{
    uint64_t min = 0;
    uint64_t max = AL_CONFIG_STRING_BYTES_MAX;
    AL_ASSERT(!k->min || al_str_u64(al_str_c(k->min), &min));
    AL_ASSERT(!k->max || al_str_u64(al_str_c(k->max), &max));
    if (text.n && memchr(text.p, '\0', text.n))
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_CONFIG", "%s: text holds a NUL byte",
                         k->path);
    if (!al_str_is_utf8(text))
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_CONFIG", "%s: text is not UTF-8", k->path);
    if (text.n > max && !k->max)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_CONFIG", "%s: longer than %u bytes",
                         k->path, AL_CONFIG_STRING_BYTES_MAX);
    if (text.n < min || text.n > max)
        return out_of_range(k, text, err);
    char *copy = al_mem_strndup(mem, text.p, text.n);
    if (!copy)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "%s: out of memory", k->path);
    char **field = field_of(k, cfg);
    al_mem_free(mem, *field);
    *field = copy;
    return AL_OK;
}

enum al_code al_config_value_set(const struct al_config_key *k, struct al_str text,
                                 struct al_mem *mem, void *cfg, struct al_err *err)
{
    if (k->type == AL_CONFIG_STRING)
        return set_string(k, text, mem, cfg, err);
    union number v = {0};
    if (text.n == 0)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_CONFIG", "%s: value missing, expected %s",
                         k->path, expected(k->type));
    if (!parse_number(k, text, &v))
        return bad_value(k, text, err);
    if (k->type == AL_CONFIG_BOOL) {
        *(bool *)field_of(k, cfg) = v.b;
        return AL_OK;
    }
    if (k->type != AL_CONFIG_CHOICE && !is_within(k, v))
        return out_of_range(k, text, err);
    if (k->type == AL_CONFIG_F64)
        *(double *)field_of(k, cfg) = v.f;
    else
        *(uint64_t *)field_of(k, cfg) = v.u;
    return AL_OK;
}

static void print_quoted(const char *s, struct al_buf *ret)
{
    al_buf_char(ret, '"');
    for (; s && *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            al_buf_printf(ret, "\\%c", c);
        else if (c < 0x20 || c == 0x7F)
            al_buf_printf(ret, "\\x%02x", c);
        else
            al_buf_char(ret, *s);
    }
    al_buf_char(ret, '"');
}

static void print_with_unit(uint64_t v, const struct unit *units, struct al_buf *ret)
{
    size_t i = v == 0 ? N_UNITS - 1 : 0;
    while (v % units[i].factor != 0)
        i++;
    al_buf_printf(ret, "%" PRIu64 "%s", v / units[i].factor, units[i].name);
}

static void print_f64(double v, struct al_buf *ret)
{
    char text[40];
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    al_buf_cstr(ret, text);
}

void al_config_value_print(const struct al_config_key *k, const void *cfg, struct al_buf *ret)
{
    const void *field = (const char *)cfg + k->offset;
    switch (k->type) {
    case AL_CONFIG_U64:
        al_buf_printf(ret, "%" PRIu64, *(const uint64_t *)field);
        break;
    case AL_CONFIG_SIZE:
        print_with_unit(*(const uint64_t *)field, size_units, ret);
        break;
    case AL_CONFIG_DURATION:
        print_with_unit(*(const uint64_t *)field, duration_units, ret);
        break;
    case AL_CONFIG_F64:
        print_f64(*(const double *)field, ret);
        break;
    case AL_CONFIG_BOOL:
        al_buf_cstr(ret, *(const bool *)field ? "true" : "false");
        break;
    case AL_CONFIG_STRING:
        print_quoted(*(char *const *)field, ret);
        break;
    case AL_CONFIG_CHOICE:
        al_buf_cstr(ret, k->choices[*(const uint64_t *)field]);
        break;
    }
}
