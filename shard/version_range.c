/* Ranges of versions: intervals with ends that may be "the next number after 2.10". */
#include "version.h"

enum relation {
    REL_EQ,
    REL_NE,
    REL_LT,
    REL_LE,
    REL_GT,
    REL_GE,
    REL_COMPATIBLE, /* ~= */
};

/* One part of a range. stem: numbers that a wildcard fixes ("2.*": 1), 0 without one. */
struct constraint {
    enum relation rel;
    struct al_str v;
    uint8_t stem;
};

/* How many release numbers lead v (at most 16). */
static uint8_t count_numbers(struct al_str v)
{
    v = al_version_body(v);
    bool more = true;
    uint8_t n = 0;
    while (more && n < 16) {
        (void)al_version_next_number(&v, &more);
        n++;
    }
    return n;
}

/* Order of the first n release numbers. */
static int cmp_numbers(struct al_str a, struct al_str b, uint8_t n)
{
    a = al_version_body(a);
    b = al_version_body(b);
    bool more_a = true;
    bool more_b = true;
    for (uint8_t i = 0; i < n; i++) {
        struct al_str x = al_version_next_number(&a, &more_a);
        struct al_str y = al_version_next_number(&b, &more_b);
        int c = al_version_number_cmp(x, y);
        if (c)
            return c < 0 ? -1 : 1;
    }
    return 0;
}

/* Whether v is just the raised end: "3.0" for "2.*". */
static bool is_raised(struct al_str v, const struct al_version_end *e)
{
    struct al_str a = al_version_body(v);
    struct al_str b = al_version_body(e->v);
    bool more_a = true;
    bool more_b = true;
    for (uint8_t i = 0; i < e->raise; i++) {
        uint64_t x = 0;
        uint64_t y = 0;
        struct al_str p = al_version_next_number(&a, &more_a);
        struct al_str q = al_version_next_number(&b, &more_b);
        if ((p.n && !al_str_u64(p, &x)) || (q.n && !al_str_u64(q, &y)) || x < y ||
            x - y != (i + 1 == e->raise))
            return false;
    }
    while (more_a)
        if (al_version_next_number(&a, &more_a).n)
            return false;
    return a.n == 0;
}

/* v against an end: a version with the numbers of a raised end lies below it. */
static int cmp_to_end(struct al_str v, const struct al_version_end *e)
{
    if (!e->raise)
        return al_version_cmp(v, e->v);
    if (cmp_numbers(v, e->v, e->raise) <= 0)
        return -1;
    return is_raised(v, e) ? 0 : 1;
}

static int cmp_ends(const struct al_version_end *a, const struct al_version_end *b)
{
    if (!a->raise)
        return cmp_to_end(a->v, b);
    if (!b->raise)
        return -cmp_to_end(b->v, a);
    int c = cmp_numbers(a->v, b->v, a->raise < b->raise ? a->raise : b->raise);
    if (c)
        return c;
    return a->raise == b->raise ? 0 : a->raise < b->raise ? 1 : -1; /* "2.*" ends after "2.5.*" */
}

static void narrow_low(struct al_version_range *r, struct al_str v, bool inclusive)
{
    int c = r->has_low ? al_version_cmp(v, r->low) : 1;
    if (c < 0 || (c == 0 && (inclusive || !r->low_inclusive)))
        return;
    r->has_low = true;
    r->low = v;
    r->low_inclusive = inclusive;
}

static void narrow_high(struct al_version_range *r, const struct al_version_end *e, bool inclusive)
{
    int c = r->has_high ? cmp_ends(e, &r->high) : -1;
    if (c > 0 || (c == 0 && (inclusive || !r->high_inclusive)))
        return;
    r->has_high = true;
    r->high = *e;
    r->high_inclusive = inclusive;
}

static enum relation take_relation(struct al_str *s)
{
    static const struct {
        const char *text;
        enum relation rel;
    } table[] = {
        {">=", REL_GE},         {"<=", REL_LE}, {"==", REL_EQ}, {"!=", REL_NE},
        {"~=", REL_COMPATIBLE}, {">", REL_GT},  {"<", REL_LT},  {"=", REL_EQ},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(table); i++) {
        struct al_str t = al_str_c(table[i].text);
        if (al_str_starts(*s, t)) {
            *s = al_str_trim(al_str_sub(*s, t.n, s->n));
            return table[i].rel;
        }
    }
    return REL_EQ;
}

static bool is_blank(char c)
{
    return c == ',' || c == ' ' || c == '\t';
}

/* The next constraint of a list; false at its end or, with *ret_bad, at something else. */
static bool next_constraint(struct al_str *s, struct constraint *ret, bool *ret_bad)
{
    *ret_bad = false;
    while (s->n > 0 && is_blank(s->p[0]))
        *s = al_str_sub(*s, 1, s->n);
    if (s->n == 0)
        return false;
    *ret = (struct constraint){.rel = take_relation(s)};
    size_t n = 0;
    while (n < s->n && !is_blank(s->p[n]))
        n++;
    struct al_str v = {s->p, n};
    *s = al_str_sub(*s, n, s->n);
    if (al_str_ends(v, AL_STR(".*")) || al_str_ends(v, AL_STR(".x"))) {
        v = al_str_sub(v, 0, v.n - 2);
        ret->stem = count_numbers(v);
    } else if (al_str_ends(v, AL_STR("+")) && ret->rel == REL_EQ) {
        v = al_str_sub(v, 0, v.n - 1);
        ret->rel = REL_GE;
    }
    ret->v = v;
    *ret_bad = !al_version_is(v);
    return !*ret_bad;
}

static void apply(struct al_version_range *r, const struct constraint *c)
{
    struct al_version_end at = {c->v, 0};
    struct al_version_end after = {c->v, c->stem};
    switch (c->rel) {
    case REL_EQ:
        narrow_low(r, c->v, true);
        narrow_high(r, c->stem ? &after : &at, c->stem == 0);
        break;
    case REL_LT:
        narrow_high(r, &at, false);
        break;
    case REL_LE:
        narrow_high(r, c->stem ? &after : &at, c->stem == 0);
        break;
    case REL_GT:
        narrow_low(r, c->v, false);
        break;
    case REL_GE:
        narrow_low(r, c->v, true);
        break;
    case REL_COMPATIBLE:
        narrow_low(r, c->v, true);
        after.raise = c->stem ? c->stem : count_numbers(c->v);
        after.raise = (uint8_t)(after.raise > 1 ? after.raise - 1 : 1);
        narrow_high(r, &after, false);
        break;
    case REL_NE:
        break;
    }
}

bool al_version_range_parse(struct al_str text, struct al_version_range *ret)
{
    struct al_version_range r = {.text = text};
    struct al_str rest = text;
    struct constraint c;
    bool bad;
    size_t n = 0;
    for (; next_constraint(&rest, &c, &bad); n++)
        apply(&r, &c);
    if (bad || n == 0)
        return false;
    *ret = r;
    return true;
}

bool al_version_range_within(const struct al_version_range *a, const struct al_version_range *b)
{
    if (b->has_low) {
        int c = a->has_low ? al_version_cmp(a->low, b->low) : -1;
        if (c < 0 || (c == 0 && a->low_inclusive && !b->low_inclusive))
            return false;
    }
    if (b->has_high) {
        int c = a->has_high ? cmp_ends(&a->high, &b->high) : 1;
        if (c > 0 || (c == 0 && a->high_inclusive && !b->high_inclusive))
            return false;
    }
    return true;
}

/* Whether a "!=" part of `by` leaves nothing of r. */
static bool is_left_out(const struct al_version_range *r, const struct al_version_range *by)
{
    struct al_str rest = by->text;
    struct constraint c;
    bool bad;
    while (next_constraint(&rest, &c, &bad)) {
        if (c.rel != REL_NE)
            continue;
        struct al_version_range hole = {0};
        c.rel = REL_EQ;
        apply(&hole, &c);
        if (al_version_range_within(r, &hole))
            return true;
    }
    return false;
}

bool al_version_range_meets(const struct al_version_range *a, const struct al_version_range *b)
{
    struct al_version_range r = *a;
    if (b->has_low)
        narrow_low(&r, b->low, b->low_inclusive);
    if (b->has_high)
        narrow_high(&r, &b->high, b->high_inclusive);
    if (r.has_low && r.has_high) {
        int c = cmp_to_end(r.low, &r.high);
        if (c > 0 || (c == 0 && !(r.low_inclusive && r.high_inclusive)))
            return false;
    }
    return !is_left_out(&r, a) && !is_left_out(&r, b);
}
