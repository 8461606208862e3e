#include "evidence.h"

#include <ctype.h>
#include <string.h>

#include "airlore/relevance.h"

#define WINDOW 3u        /* passages that are read together */
#define COSINE_NONE 0.25 /* words that have nothing in common reach this */
/* Weights of the order beside the fused score: docs/retrieval.md. */
#define RANK_SOFT 0.5
#define RANK_WINDOW 0.75
#define RANK_TITLE 0.15
#define RANK_COSINE 0.15
#define WORDS_MAX ((size_t)8192) /* remembered; later ones are compared each time anew */

/* A word of a text and its cosine to each term's word. */
struct word {
    struct al_str text; /* empty: a free slot */
    const float *match;
};

struct al_evidence {
    const struct al_embedder *e;
    const struct al_query_result *res;
    struct al_analyzer *an;
    struct al_arena *a;
    size_t n;
    double *idf;
    double mass;
    bool *is_name;
    float *words; /* n rows: vector of the word that the term stands in */
    float *question;
    float *scratch; /* one vector */
    float *scratch_match;
    struct word *slots;
    size_t n_words;
};

static enum al_code no_memory(struct al_err *err)
{
    return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "MEMORY_LIMIT", "request: memory limit reached");
}

static double dot(const float *x, const float *y, uint32_t n)
{
    float sum[8] = {0};
    uint32_t i = 0;
    for (; i + 8 <= n; i += 8) {
        for (uint32_t k = 0; k < 8; k++)
            sum[k] += x[i + k] * y[i + k];
    }
    double all = 0;
    for (uint32_t k = 0; k < 8; k++)
        all += (double)sum[k];
    for (; i < n; i++)
        all += (double)(x[i] * y[i]);
    return all;
}

/* ---- the question ---- */

struct surface {
    struct al_evidence *ev;
    struct al_str text;
    bool *seen;
};

static bool is_month_or_day(struct al_str w)
{
    static const char *const words[] = {"January",   "February", "March",    "April",     "May",
                                        "June",      "July",     "August",   "September", "October",
                                        "November",  "December", "Monday",   "Tuesday",   "Friday",
                                        "Wednesday", "Sunday",   "Saturday", "Thursday"};
    for (size_t i = 0; i < AL_ARRAY_LEN(words); i++) {
        if (al_str_is(w, words[i]))
            return true;
    }
    return false;
}

/* A word that is written like the name of something: with a digit or a capital inside, or with one
 * in front that no sentence begins with. */
static bool is_name(struct al_str text, size_t start, size_t end)
{
    bool capital = false;
    for (size_t i = start; i < end; i++) {
        bool upper = isupper((unsigned char)text.p[i]);
        if (isdigit((unsigned char)text.p[i]) || (upper && i > start))
            return true;
        capital = capital || upper;
    }
    size_t before = start;
    while (before > 0 && isspace((unsigned char)text.p[before - 1]))
        before--;
    bool begins = before == 0 || strchr(".?!:", text.p[before - 1]);
    return capital && !begins && end > start + 1 &&
           !is_month_or_day(al_str_sub(text, start, end - start));
}

static void take_surface(void *u, const struct al_term *t)
{
    struct surface *s = u;
    struct al_evidence *ev = s->ev;
    uint32_t dim = al_embedder_dim(ev->e);
    for (size_t i = 0; i < ev->n; i++) {
        if (s->seen[i] || !al_str_eq(ev->res->terms[i], t->term))
            continue;
        s->seen[i] = true;
        uint32_t n_tokens; /* none: a row of zeros, which matches nothing */
        struct al_err none;
        if (al_embedder_embed(ev->e, al_str_sub(s->text, t->start, t->end - t->start),
                              ev->words + i * dim, &n_tokens, &none) != AL_OK)
            memset(ev->words + i * dim, 0, dim * sizeof(float));
        ev->is_name[i] = is_name(s->text, t->start, t->end);
    }
}

/* All that lives as long as it; false: no memory. */
static bool make_room(struct al_evidence *ev)
{
    uint32_t dim = al_embedder_dim(ev->e);
    ev->idf = al_arena_array(ev->a, ev->n + 1, sizeof *ev->idf);
    ev->is_name = al_arena_array(ev->a, ev->n + 1, sizeof *ev->is_name);
    ev->words = al_arena_array(ev->a, (ev->n + 1) * dim, sizeof(float));
    ev->question = al_arena_array(ev->a, dim, sizeof(float));
    ev->scratch = al_arena_array(ev->a, dim, sizeof(float));
    ev->scratch_match = al_arena_array(ev->a, ev->n + 1, sizeof(float));
    ev->slots = al_arena_array(ev->a, 2 * WORDS_MAX, sizeof *ev->slots);
    return ev->idf && ev->is_name && ev->words && ev->question && ev->scratch &&
           ev->scratch_match && ev->slots;
}

enum al_code al_evidence_begin(const struct al_evidence_input *in, struct al_arena *a,
                               struct al_evidence **ret, struct al_err *err)
{
    const struct al_query_result *res = in->found;
    struct al_evidence *ev = al_arena_zalloc(a, sizeof *ev);
    if (!ev)
        return no_memory(err);
    *ev = (struct al_evidence){.e = in->embedder, .res = res, .an = in->analyzer, .a = a};
    ev->n = res->n_terms < AL_EVIDENCE_TERMS_MAX ? res->n_terms : AL_EVIDENCE_TERMS_MAX;
    struct surface s = {ev, in->question, al_arena_array(a, ev->n + 1, sizeof(bool))};
    if (!s.seen || !make_room(ev))
        return no_memory(err);
    for (size_t i = 0; i < ev->n; i++) {
        ev->idf[i] = al_relevance_is_filler(res->terms[i]) ? 0 : res->idf[i];
        ev->mass += ev->idf[i];
    }
    al_analyzer_run(ev->an, in->question, take_surface, &s);
    uint32_t n_tokens;
    AL_TRY(al_embedder_embed(ev->e, in->question, ev->question, &n_tokens, err));
    *ret = ev;
    return AL_OK;
}

size_t al_evidence_n_terms(const struct al_evidence *ev)
{
    return ev->n;
}

const double *al_evidence_idf(const struct al_evidence *ev)
{
    return ev->idf;
}

const bool *al_evidence_names(const struct al_evidence *ev)
{
    return ev->is_name;
}

const float *al_evidence_vector(const struct al_evidence *ev)
{
    return ev->question;
}

double al_evidence_soft(const struct al_evidence *ev, const float *match)
{
    double sum = 0;
    for (size_t i = 0; i < ev->n; i++)
        sum += ev->idf[i] * (double)match[i];
    return ev->mass > 0 ? sum / ev->mass : 0;
}

/* ---- texts ---- */

struct reading {
    struct al_evidence *ev;
    struct al_str text;
    float *match;
    uint32_t last_start; /* of the word compared last */
    bool failed;
};

static void compare(struct al_evidence *ev, struct al_str word, float *ret)
{
    uint32_t dim = al_embedder_dim(ev->e);
    uint32_t n_tokens = 0;
    struct al_err none;
    memset(ret, 0, ev->n * sizeof *ret);
    if (al_embedder_embed(ev->e, word, ev->scratch, &n_tokens, &none) != AL_OK || !n_tokens)
        return;
    for (size_t i = 0; i < ev->n; i++) {
        double c = ev->idf[i] > 0 ? dot(ev->words + i * dim, ev->scratch, dim) : 0;
        ret[i] = c > COSINE_NONE ? (float)((c - COSINE_NONE) / (1 - COSINE_NONE)) : 0;
    }
}

/* Cosines of a word, remembered. NULL: no memory. */
static const float *look_up(struct al_evidence *ev, struct al_str word)
{
    uint64_t h = 1469598103934665603ull;
    for (size_t i = 0; i < word.n; i++)
        h = (h ^ (unsigned char)word.p[i]) * 1099511628211ull;
    size_t at = (size_t)(h ^ h >> 29) & (2 * WORDS_MAX - 1);
    while (ev->slots[at].text.n) {
        if (al_str_eq(ev->slots[at].text, word))
            return ev->slots[at].match;
        at = (at + 1) & (2 * WORDS_MAX - 1);
    }
    if (ev->n_words == WORDS_MAX) {
        compare(ev, word, ev->scratch_match);
        return ev->scratch_match;
    }
    float *match = al_arena_array(ev->a, ev->n + 1, sizeof *match);
    if (!match)
        return NULL;
    compare(ev, word, match);
    ev->slots[at] = (struct word){word, match};
    ev->n_words++;
    return match;
}

static void read_term(void *u, const struct al_term *t)
{
    struct reading *r = u;
    struct al_evidence *ev = r->ev;
    for (size_t i = 0; i < ev->n; i++) {
        if (al_str_eq(ev->res->terms[i], t->term))
            r->match[i] = 1;
    }
    if (r->failed || t->start == r->last_start)
        return;
    r->last_start = t->start;
    const float *m = look_up(ev, al_str_sub(r->text, t->start, t->end - t->start));
    r->failed = !m;
    for (size_t i = 0; m && i < ev->n; i++)
        r->match[i] = m[i] > r->match[i] ? m[i] : r->match[i];
}

enum al_code al_evidence_match(struct al_evidence *ev, struct al_str text, float *match,
                               struct al_err *err)
{
    struct reading r = {ev, text, match, UINT32_MAX, false};
    if (ev->n)
        al_analyzer_run(ev->an, text, read_term, &r);
    return r.failed ? no_memory(err) : AL_OK;
}

/* ---- hits ---- */

static void raise(float *to, const float *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = from[i] > to[i] ? from[i] : to[i];
}

/* The best few passages that follow each other, and the best single one. */
static enum al_code judge_passages(struct al_evidence *ev, struct al_str text,
                                   struct al_hit_evidence *h, struct al_err *err)
{
    struct al_passage *p;
    size_t n;
    AL_TRY(al_passages(text, ev->a, &p, &n, err));
    float *rows = al_arena_array(ev->a, (n + 1) * (ev->n + 1), sizeof *rows);
    float *window = al_arena_array(ev->a, ev->n + 1, sizeof *window);
    if (!rows || !window)
        return no_memory(err);
    for (size_t i = 0; i < n; i++) {
        struct al_str t = al_str_sub(text, p[i].span.start, p[i].span.end - p[i].span.start);
        AL_TRY(al_evidence_match(ev, t, rows + i * ev->n, err));
        uint32_t n_tokens;
        AL_TRY(al_embedder_embed(ev->e, t, ev->scratch, &n_tokens, err));
        double c = dot(ev->scratch, ev->question, al_embedder_dim(ev->e));
        h->sentence = c > h->sentence ? c : h->sentence;
        memset(window, 0, ev->n * sizeof *window);
        for (size_t k = i + 1 < WINDOW ? 0 : i + 1 - WINDOW; k <= i; k++)
            raise(window, rows + k * ev->n, ev->n);
        double soft = al_evidence_soft(ev, window);
        h->window = soft > h->window ? soft : h->window;
    }
    return AL_OK;
}

enum al_code al_evidence_judge(struct al_evidence *ev, const struct al_query_result *res,
                               size_t n_hits, struct al_hit_evidence *ret, struct al_err *err)
{
    for (size_t i = 0; i < n_hits; i++) {
        const struct al_hit *hit = &res->hits[i];
        struct al_hit_evidence *h = &ret[i];
        *h = (struct al_hit_evidence){.match = al_arena_array(ev->a, ev->n + 1, sizeof(float))};
        if (!h->match)
            return no_memory(err);
        AL_TRY(al_evidence_match(ev, hit->doc->title, h->match, err));
        AL_TRY(al_evidence_match(ev, hit->heading, h->match, err));
        h->title = al_evidence_soft(ev, h->match);
        AL_TRY(al_evidence_match(ev, hit->text, h->match, err));
        h->soft = al_evidence_soft(ev, h->match);
        AL_TRY(judge_passages(ev, hit->text, h, err));
        h->rank = hit->score + RANK_SOFT * h->soft + RANK_WINDOW * h->window +
                  RANK_TITLE * h->title +
                  RANK_COSINE * (hit->vector_score > 0 ? hit->vector_score : 0);
    }
    return AL_OK;
}
