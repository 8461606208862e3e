#include "contradict.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define TEXT_BYTES_MAX (16u << 10)
#define TOKEN_BYTES_MAX 80u

struct token {
    struct al_str text;
    bool is_number;
    bool is_open; /* "2.6+": and everything above */
};

static bool is_inner(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* The next word or number from *at; false at the end. A dot between two of its characters belongs
 * to it. */
static bool next_token(struct al_str s, size_t *at, struct token *ret)
{
    size_t i = *at;
    while (i < s.n && !is_inner(s.p[i]))
        i++;
    size_t start = i;
    bool is_number = i < s.n;
    for (; i < s.n; i++) {
        bool dot = s.p[i] == '.' && i + 1 < s.n && is_inner(s.p[i + 1]);
        if (!is_inner(s.p[i]) && !dot)
            break;
        is_number = is_number && (dot || isdigit((unsigned char)s.p[i]));
    }
    *at = i;
    *ret = (struct token){al_str_sub(s, start, i - start), is_number, i < s.n && s.p[i] == '+'};
    return i > start;
}

/* What kind of thing a name is of: its last part, "Operator" of KubernetesPodOperator; "" when it
 * is no such name. */
static struct al_str family_of(struct al_str name)
{
    static const char *const families[] = {"Operator", "Executor", "Sensor",    "Hook",
                                           "Trigger",  "Error",    "Exception", "Backend"};
    for (size_t i = 0; i < AL_ARRAY_LEN(families); i++) {
        struct al_str f = al_str_c(families[i]);
        if (name.n > f.n && name.n <= TOKEN_BYTES_MAX && al_str_ends(name, f) &&
            isalnum((unsigned char)name.p[name.n - f.n - 1]))
            return f;
    }
    return AL_STR("");
}

static bool has_token(struct al_str s, struct al_str want)
{
    struct token t;
    for (size_t at = 0; next_token(s, &at, &t);) {
        if (al_str_eq(t.text, want))
            return true;
    }
    return false;
}

/* s has a name of this family, and none of those in q. */
static bool names_another(struct al_str q, struct al_str s, struct al_str family)
{
    struct token t;
    bool other = false;
    for (size_t at = 0; next_token(s, &at, &t);) {
        if (!al_str_eq(family_of(t.text), family))
            continue;
        if (has_token(q, t.text))
            return false;
        other = true;
    }
    return other;
}

/* "2" and "2.10" do not exclude each other. */
static bool numbers_agree(struct al_str a, struct al_str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    if (memcmp(a.p, b.p, n) != 0)
        return false;
    return a.n == b.n || (a.n > n ? a.p[n] : b.p[n]) == '.';
}

static bool same_word(struct al_str a, struct al_str b)
{
    return a.n == b.n && strncasecmp(a.p, b.p, a.n) == 0;
}

/* s has the word with numbers that all differ from this one. */
static bool numbers_another(struct al_str s, struct al_str word, struct al_str number)
{
    struct token before = {AL_STR(""), false, false};
    struct token t;
    bool other = false;
    for (size_t at = 0; next_token(s, &at, &t); before = t) {
        if (!t.is_number)
            continue;
        if (numbers_agree(t.text, number))
            return false;
        if (before.text.n && !before.is_number && same_word(before.text, word)) {
            if (t.is_open)
                return false;
            other = true;
        }
    }
    return other;
}

bool al_contradicts(struct al_str question, struct al_str sentence)
{
    struct al_str q = al_str_sub(question, 0, TEXT_BYTES_MAX);
    struct al_str s = al_str_sub(sentence, 0, TEXT_BYTES_MAX);
    struct token before = {AL_STR(""), false, false};
    struct token t;
    for (size_t at = 0; next_token(q, &at, &t); before = t) {
        struct al_str family = family_of(t.text);
        if (family.n && names_another(q, s, family))
            return true;
        if (t.is_number && before.text.n > 1 && !before.is_number &&
            numbers_another(s, before.text, t.text))
            return true;
    }
    return false;
}

struct al_str al_asked_version(struct al_str question)
{
    struct al_str q = al_str_sub(question, 0, TEXT_BYTES_MAX);
    struct token t;
    bool after = false;
    for (size_t at = 0; next_token(q, &at, &t);) {
        struct al_str v = t.text;
        if (after && v.n > 1 && (v.p[0] == 'v' || v.p[0] == 'V'))
            v = al_str_sub(v, 1, v.n - 1);
        if (after && isdigit((unsigned char)v.p[0]) && v.n <= 16)
            return v;
        after =
            same_word(t.text, AL_STR("airflow")) || (after && same_word(t.text, AL_STR("version")));
    }
    return AL_STR("");
}
