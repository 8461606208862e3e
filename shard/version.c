/* Order of versions: PEP 440 where a text follows it, and a total order on everything else.
 *
 * A version is read as its release numbers, then parts of (rank, word, number): "2.10.0rc1" is 2 10
 * 0 and (rc, 1). An end ranks between what comes before a release (dev, a, b, rc) and after it
 * (post, local). */
#include <string.h>

#include "airlore/filter.h"
#include "version.h"

enum rank {
    RANK_OTHER = -5, /* unknown words: by their text */
    RANK_DEV = -4,
    RANK_ALPHA = -3,
    RANK_BETA = -2,
    RANK_RC = -1,
    RANK_END = 0,
    RANK_POST = 1,
    RANK_LOCAL = 2,
};

struct part {
    int rank;
    struct al_str word;   /* of RANK_OTHER */
    struct al_str number; /* without leading zeros */
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_separator(char c)
{
    return c == '.' || c == '-' || c == '_' || c == ' ';
}

/* Take the digits at the front of *s, without leading zeros. */
static struct al_str take_number(struct al_str *s)
{
    size_t n = 0;
    while (n < s->n && is_digit(s->p[n]))
        n++;
    struct al_str number = {s->p, n};
    *s = al_str_sub(*s, n, s->n);
    while (number.n > 0 && number.p[0] == '0')
        number = al_str_sub(number, 1, number.n);
    return number;
}

int al_version_number_cmp(struct al_str a, struct al_str b)
{
    if (a.n != b.n)
        return a.n < b.n ? -1 : 1;
    return a.n ? memcmp(a.p, b.p, a.n) : 0;
}

static int word_cmp(struct al_str a, struct al_str b)
{
    for (size_t i = 0; i < a.n && i < b.n; i++) {
        unsigned char x = (unsigned char)lower(a.p[i]);
        unsigned char y = (unsigned char)lower(b.p[i]);
        if (x != y)
            return x < y ? -1 : 1;
    }
    return a.n == b.n ? 0 : a.n < b.n ? -1 : 1;
}

static int rank_of(struct al_str word)
{
    static const struct {
        const char *word;
        int rank;
    } words[] = {
        {"dev", RANK_DEV},    {"a", RANK_ALPHA},   {"alpha", RANK_ALPHA}, {"b", RANK_BETA},
        {"beta", RANK_BETA},  {"rc", RANK_RC},     {"c", RANK_RC},        {"pre", RANK_RC},
        {"preview", RANK_RC}, {"post", RANK_POST}, {"rev", RANK_POST},    {"r", RANK_POST},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(words); i++)
        if (word_cmp(word, al_str_c(words[i].word)) == 0)
            return words[i].rank;
    return RANK_OTHER;
}

struct al_str al_version_body(struct al_str s)
{
    s = al_str_trim(s);
    if (s.n > 1 && lower(s.p[0]) == 'v' && is_digit(s.p[1]))
        s = al_str_sub(s, 1, s.n);
    return s;
}

struct al_str al_version_next_number(struct al_str *s, bool *more)
{
    if (!*more)
        return (struct al_str){"", 0};
    if (s->n == 0 || !is_digit(s->p[0])) {
        *more = false;
        return (struct al_str){"", 0};
    }
    struct al_str number = take_number(s);
    *more = s->n > 1 && s->p[0] == '.' && is_digit(s->p[1]);
    if (*more)
        *s = al_str_sub(*s, 1, s->n);
    return number;
}

static struct part next_part(struct al_str *s)
{
    struct part part = {RANK_END, {"", 0}, {"", 0}};
    bool dash = s->n > 0 && s->p[0] == '-';
    while (s->n > 0 && is_separator(s->p[0]))
        *s = al_str_sub(*s, 1, s->n);
    if (s->n == 0)
        return part;
    if (s->p[0] == '+') {
        part.rank = RANK_LOCAL;
        *s = al_str_sub(*s, 1, s->n);
        return part;
    }
    if (is_digit(s->p[0])) { /* "1.0-2" is a post release; elsewhere a number counts on */
        part.rank = dash ? RANK_POST : RANK_LOCAL;
        part.number = take_number(s);
        return part;
    }
    size_t n = 0;
    while (n < s->n && !is_digit(s->p[n]) && !is_separator(s->p[n]) && s->p[n] != '+')
        n++;
    part.word = (struct al_str){s->p, n};
    *s = al_str_sub(*s, n, s->n);
    part.rank = rank_of(part.word);
    if (s->n > 1 && is_separator(s->p[0]) && is_digit(s->p[1]) && part.rank != RANK_OTHER)
        *s = al_str_sub(*s, 1, s->n);
    part.number = take_number(s);
    return part;
}

static int part_cmp(const struct part *a, const struct part *b)
{
    if (a->rank != b->rank)
        return a->rank < b->rank ? -1 : 1;
    int c = a->rank == RANK_OTHER ? word_cmp(a->word, b->word) : 0;
    return c ? c : al_version_number_cmp(a->number, b->number);
}

int al_version_cmp(struct al_str a, struct al_str b)
{
    a = al_version_body(a);
    b = al_version_body(b);
    bool more_a = true;
    bool more_b = true;
    while (more_a || more_b) {
        struct al_str x = al_version_next_number(&a, &more_a);
        struct al_str y = al_version_next_number(&b, &more_b);
        int c = al_version_number_cmp(x, y);
        if (c)
            return c < 0 ? -1 : 1;
    }
    for (;;) {
        struct part x = next_part(&a);
        struct part y = next_part(&b);
        int c = part_cmp(&x, &y);
        if (c)
            return c < 0 ? -1 : 1;
        if (x.rank == RANK_END)
            return 0;
    }
}

bool al_version_is(struct al_str s)
{
    s = al_version_body(s);
    if (s.n == 0 || !is_digit(s.p[0]))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = lower(s.p[i]);
        if (!is_digit(c) && !(c >= 'a' && c <= 'z') && !is_separator(c) && c != '+')
            return false;
        if (c == ' ')
            return false;
    }
    return true;
}
