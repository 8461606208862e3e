#include "airlore/sketch.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define SHINGLE 4u
#define FNV_START 1469598103934665603ull
#define FNV_PRIME 1099511628211ull

/* ---- words ---- */

struct word {
    uint64_t hash;
    bool is_name; /* has a digit, a capital or '_' */
    char joint;   /* the one character between it and the word before, 0 for a blank or more */
};

static bool is_inner(char c)
{
    return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

static uint64_t mix(uint64_t h)
{
    h ^= h >> 33;
    h *= 0xFF51AFD7ED558CCDull;
    h ^= h >> 33;
    h *= 0xC4CEB9FE1A85EC53ull;
    return h ^ h >> 33;
}

/* The next run of letters, digits and bytes beyond ASCII from *at, in lower case; false at the end.
 */
static bool next_word(struct al_str s, size_t *at, struct word *ret)
{
    size_t i = *at;
    while (i < s.n && !is_inner(s.p[i]))
        i++;
    size_t start = i;
    bool is_joined = start == *at + 1 && start > 1 && !isspace((unsigned char)s.p[start - 1]);
    *ret = (struct word){FNV_START, false, is_joined ? s.p[start - 1] : '\0'};
    for (; i < s.n && is_inner(s.p[i]); i++) {
        unsigned char c = (unsigned char)s.p[i];
        ret->is_name = ret->is_name || isdigit(c) || isupper(c) || c == '_';
        ret->hash = (ret->hash ^ (unsigned char)tolower(c)) * FNV_PRIME;
    }
    ret->hash = mix(ret->hash);
    *at = i;
    return i > start;
}

static uint64_t join(const uint64_t *words, size_t n)
{
    uint64_t h = FNV_START;
    for (size_t i = 0; i < n; i++)
        h = mix(h ^ words[i]) * FNV_PRIME;
    return mix(h);
}

/* ---- sketch ---- */

bool al_sketch_make(struct al_str text, char ret[AL_SKETCH_CHARS])
{
    uint64_t least[AL_SKETCH_BINS];
    uint64_t last[SHINGLE] = {0};
    memset(least, 0xFF, sizeof least);
    size_t n = 0;
    struct word w;
    for (size_t at = 0; next_word(text, &at, &w); n++) {
        memmove(last, last + 1, sizeof last - sizeof last[0]);
        last[SHINGLE - 1] = w.hash;
        if (n + 1 < SHINGLE)
            continue;
        uint64_t h = join(last, SHINGLE);
        size_t bin = (size_t)(h >> 58);
        least[bin] = h < least[bin] ? h : least[bin];
    }
    if (n < AL_SKETCH_WORDS_MIN)
        return false;
    for (size_t i = 0; i < AL_SKETCH_BINS; i++) {
        size_t from = i;
        while (least[from] == UINT64_MAX)
            from = (from + 1) % AL_SKETCH_BINS;
        /* how far it was brought goes into the value: bins do not agree by being both empty */
        uint64_t distance = (from + AL_SKETCH_BINS - i) % AL_SKETCH_BINS;
        unsigned v = (unsigned)(mix(least[from] + distance) & 0xFF);
        ret[2 * i] = "0123456789abcdef"[v >> 4];
        ret[2 * i + 1] = "0123456789abcdef"[v & 15];
    }
    return true;
}

double al_sketch_similarity(struct al_str a, struct al_str b)
{
    if (a.n != AL_SKETCH_CHARS || b.n != AL_SKETCH_CHARS)
        return 0;
    size_t same = 0;
    for (size_t i = 0; i < AL_SKETCH_CHARS; i += 2)
        same += a.p[i] == b.p[i] && a.p[i + 1] == b.p[i + 1];
    double chance = 1.0 / 256;
    double share = ((double)same / AL_SKETCH_BINS - chance) / (1 - chance);
    return share > 0 ? share : 0;
}

/* ---- exact ---- */

/* Hashes, sorted and distinct. */
struct set {
    uint64_t *v;
    size_t n;
};

static int by_value(const void *x, const void *y)
{
    uint64_t a = *(const uint64_t *)x;
    uint64_t b = *(const uint64_t *)y;
    return a < b ? -1 : a > b;
}

static void finish(struct set *s)
{
    if (s->n > 1)
        qsort(s->v, s->n, sizeof *s->v, by_value);
    size_t out = 0;
    for (size_t i = 0; i < s->n; i++) {
        if (out == 0 || s->v[out - 1] != s->v[i])
            s->v[out++] = s->v[i];
    }
    s->n = out;
}

/* shingles; facts: every word, and every number and name with the word in front of it. */
static enum al_code read_text(struct al_str text, struct al_arena *a, struct set *shingles,
                              struct set *facts, struct al_err *err)
{
    size_t cap = text.n / 2 + 2; /* a word has a letter and something behind it */
    shingles->v = al_arena_array(a, cap, sizeof(uint64_t));
    facts->v = al_arena_array(a, 3 * cap, sizeof(uint64_t));
    if (!shingles->v || !facts->v)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "texts: over the memory limit of the call");
    uint64_t last[SHINGLE] = {0};
    size_t n = 0;
    struct word w;
    for (size_t at = 0; next_word(text, &at, &w); n++) {
        memmove(last, last + 1, sizeof last - sizeof last[0]);
        last[SHINGLE - 1] = w.hash;
        facts->v[facts->n++] = w.hash;
        if (w.is_name)
            facts->v[facts->n++] = join(last + SHINGLE - 2, 2);
        if (w.joint) /* "infra:add" is not "infra-add" */
            facts->v[facts->n++] = mix(join(last + SHINGLE - 2, 2) + (unsigned char)w.joint);
        if (n + 1 >= SHINGLE)
            shingles->v[shingles->n++] = join(last, SHINGLE);
    }
    finish(shingles);
    finish(facts);
    return AL_OK;
}

static size_t common(const struct set *x, const struct set *y)
{
    size_t n = 0;
    for (size_t i = 0, j = 0; i < x->n && j < y->n;) {
        if (x->v[i] == y->v[j]) {
            n++;
            i++;
            j++;
        } else if (x->v[i] < y->v[j]) {
            i++;
        } else {
            j++;
        }
    }
    return n;
}

enum al_code al_texts_fold(struct al_str x, struct al_str y, struct al_arena *a, bool *ret,
                           struct al_err *err)
{
    struct set xs = {0};
    struct set xf = {0};
    struct set ys = {0};
    struct set yf = {0};
    AL_TRY(read_text(x, a, &xs, &xf, err));
    AL_TRY(read_text(y, a, &ys, &yf, err));
    size_t both = common(&xs, &ys);
    size_t all = xs.n + ys.n - both;
    size_t facts = common(&xf, &yf);
    bool contained = facts == xf.n || facts == yf.n;
    *ret = contained && all > 0 && (double)both >= AL_SKETCH_ALIKE * (double)all;
    return AL_OK;
}
