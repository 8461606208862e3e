#include "airlore/ask.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "relevance.h"

#define SENTENCES_A_HIT 64u
#define NEAREST_MAX 3u /* shown when abstaining */
#define HITS_JUDGED 5u /* by which the question is found answerable or not */
#define SENTENCE_BYTES_MAX 600u
#define SENTENCE_BYTES_MIN 20u
#define COVERAGE_WEIGHT 0.6
#define COSINE_WEIGHT 0.4
#define RANK_DECAY 0.93 /* a sentence of a lower hit must be better to be taken */
#define KEEP_SHARE 0.55 /* of the best sentence's score */
#define REPEAT_COSINE 0.9
#define CODE_SHARE 0.6 /* of its score that a block of code keeps */

/* A sentence that may be part of the answer. */
struct piece {
    struct al_str text;
    size_t hit;
    size_t order; /* in its chunk */
    double score;
    float *vector;
};

struct asking {
    const struct al_query_context *ctx;
    struct al_arena *a;
    struct al_err *err;
    const struct al_query_result *res;
    double *idf; /* of the question's terms */
    float *question;
    struct piece *pieces;
    size_t n_pieces;
    size_t cap_pieces;
};

static enum al_code no_memory(struct al_err *err)
{
    return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "MEMORY_LIMIT", "request: memory limit reached");
}

/* idf of each term as the explanation of the hits tells it; a term that no hit has counts as the
 * rarest of them. */
static enum al_code find_idf(struct asking *s)
{
    size_t n = s->res->n_terms;
    s->idf = al_arena_array(s->a, n + 1, sizeof *s->idf);
    if (!s->idf)
        return no_memory(s->err);
    double rarest = 1;
    for (size_t h = 0; h < s->res->n_hits; h++) {
        const struct al_hit *hit = &s->res->hits[h];
        for (size_t t = 0; t < hit->n_terms; t++) {
            for (size_t i = 0; i < n; i++) {
                if (al_str_eq(s->res->terms[i], hit->terms[t].term))
                    s->idf[i] = hit->terms[t].idf;
            }
            rarest = hit->terms[t].idf > rarest ? hit->terms[t].idf : rarest;
        }
    }
    for (size_t i = 0; i < n; i++) {
        bool filler = al_relevance_is_filler(s->res->terms[i]);
        s->idf[i] = filler ? 0 : s->idf[i] > 0 ? s->idf[i] : rarest;
    }
    return AL_OK;
}

struct coverage {
    const struct asking *s;
    bool *seen;
};

static void mark_term(void *u, const struct al_term *t)
{
    struct coverage *c = u;
    for (size_t i = 0; i < c->s->res->n_terms; i++) {
        if (al_str_eq(c->s->res->terms[i], t->term))
            c->seen[i] = true;
    }
}

/* Headings stand in the body as lines, rows of tables as cells between bars: neither is a sentence
 * to cite. */
static bool is_citable(struct al_str t)
{
    if (t.n < SENTENCE_BYTES_MIN || t.n > SENTENCE_BYTES_MAX)
        return false;
    size_t words = 1;
    size_t bars = 0;
    bool is_ascii = true;
    for (size_t i = 0; i < t.n; i++) {
        words += t.p[i] == ' ';
        bars += t.p[i] == '|';
        is_ascii = is_ascii && (unsigned char)t.p[i] < 0x80;
    }
    return bars < 2 && (words >= 4 || !is_ascii);
}

/* Prose explains; code shows. A block of code must match clearly better to stand for an answer. */
static bool is_code(struct al_str t)
{
    return al_str_starts(t, AL_STR("```")) || al_str_starts(t, AL_STR("    "));
}

static enum al_code score_piece(struct asking *s, struct al_analyzer *an, struct piece *p)
{
    size_t n = s->res->n_terms;
    struct coverage c = {.s = s, .seen = al_arena_array(s->a, n + 1, sizeof(bool))};
    uint32_t dim = al_embedder_dim(s->ctx->embedder);
    p->vector = al_arena_array(s->a, dim, sizeof *p->vector);
    if (!c.seen || !p->vector)
        return no_memory(s->err);
    al_analyzer_find(an, p->text, s->res->terms, n, mark_term, &c);
    double have = 0;
    double all = 0;
    for (size_t i = 0; i < n; i++) {
        all += s->idf[i];
        have += c.seen[i] ? s->idf[i] : 0;
    }
    uint32_t n_tokens;
    AL_TRY(al_embedder_embed(s->ctx->embedder, p->text, p->vector, &n_tokens, s->err));
    double cosine = 0;
    for (uint32_t i = 0; i < dim; i++)
        cosine += (double)p->vector[i] * (double)s->question[i];
    double coverage = all > 0 ? have / all : 0;
    p->score = COVERAGE_WEIGHT * coverage + COSINE_WEIGHT * (cosine > 0 ? cosine : 0);
    p->score *= pow(RANK_DECAY, (double)p->hit) * (is_code(p->text) ? CODE_SHARE : 1);
    return AL_OK;
}

static enum al_code split_hit(struct asking *s, struct al_analyzer *an, size_t h)
{
    const struct al_hit *hit = &s->res->hits[h];
    struct al_str text = hit->text;
    struct al_span *spans;
    size_t n;
    AL_TRY(al_sentences(text, s->a, &spans, &n, s->err));
    size_t taken = 0;
    for (size_t i = 0; i < n && taken < SENTENCES_A_HIT && s->n_pieces < s->cap_pieces; i++) {
        struct al_str t =
            al_str_trim(al_str_sub(text, spans[i].start, spans[i].end - spans[i].start));
        if (!is_citable(t))
            continue;
        struct piece *p = &s->pieces[s->n_pieces];
        *p = (struct piece){.text = t, .hit = h, .order = i};
        AL_TRY(score_piece(s, an, p));
        s->n_pieces++;
        taken++;
    }
    return AL_OK;
}

static int by_score(const void *x, const void *y)
{
    const struct piece *a = x;
    const struct piece *b = y;
    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    if (a->hit != b->hit)
        return a->hit < b->hit ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

static int by_place(const void *x, const void *y)
{
    const struct piece *a = x;
    const struct piece *b = y;
    if (a->hit != b->hit)
        return a->hit < b->hit ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

static bool repeats(const struct asking *s, const struct piece *p, size_t n_chosen)
{
    uint32_t dim = al_embedder_dim(s->ctx->embedder);
    for (size_t i = 0; i < n_chosen; i++) {
        double cosine = 0;
        for (uint32_t j = 0; j < dim; j++)
            cosine += (double)p->vector[j] * (double)s->pieces[i].vector[j];
        if (cosine > REPEAT_COSINE || al_str_eq(p->text, s->pieces[i].text))
            return true;
    }
    return false;
}

/* Move the chosen sentences to the front, in the order in which they are read; gives their number.
 */
static size_t choose(struct asking *s, uint32_t max)
{
    qsort(s->pieces, s->n_pieces, sizeof *s->pieces, by_score);
    size_t n = 0;
    double floor = s->n_pieces ? s->pieces[0].score * KEEP_SHARE : 0;
    for (size_t i = 0; i < s->n_pieces && n < max && s->pieces[i].score >= floor; i++) {
        if (repeats(s, &s->pieces[i], n))
            continue;
        struct piece p = s->pieces[i];
        s->pieces[i] = s->pieces[n];
        s->pieces[n++] = p;
    }
    qsort(s->pieces, n, sizeof *s->pieces, by_place);
    return n;
}

static enum al_code write_answer(struct asking *s, size_t n, struct al_answer *ret)
{
    ret->sentences = al_arena_array(s->a, n + 1, sizeof *ret->sentences);
    ret->sources = al_arena_array(s->a, n + 1, sizeof(void *));
    if (!ret->sentences || !ret->sources)
        return no_memory(s->err);
    struct al_buf b;
    al_buf_init(&b, al_arena_mem(s->a), 0);
    size_t last_hit = SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
        const struct piece *p = &s->pieces[i];
        if (p->hit != last_hit)
            ret->sources[ret->n_sources++] = &s->res->hits[p->hit];
        last_hit = p->hit;
        ret->sentences[ret->n_sentences++] =
            (struct al_answer_sentence){p->text, (uint32_t)ret->n_sources};
        bool is_block = memchr(p->text.p, '\n', p->text.n) != NULL;
        al_buf_printf(&b, "%s", i == 0 ? "" : is_block ? "\n" : " ");
        al_buf_str(&b, p->text);
        al_buf_printf(&b, " [%zu]", ret->n_sources);
    }
    AL_TRY(al_buf_status(&b, s->err));
    ret->text = al_buf_view(&b);
    return AL_OK;
}

static enum al_code prepare(struct asking *s, const struct al_query *q)
{
    uint32_t dim = al_embedder_dim(s->ctx->embedder);
    uint32_t n_tokens;
    s->cap_pieces = s->res->n_hits * SENTENCES_A_HIT;
    s->pieces = al_arena_array(s->a, s->cap_pieces, sizeof *s->pieces);
    s->question = al_arena_array(s->a, dim, sizeof *s->question);
    if (!s->pieces || !s->question)
        return no_memory(s->err);
    AL_TRY(find_idf(s));
    return al_embedder_embed(s->ctx->embedder, q->text, s->question, &n_tokens, s->err);
}

static enum al_code compose(struct asking *s, const struct al_ask_options *opt,
                            struct al_answer *ret)
{
    AL_TRY(prepare(s, &opt->query));
    struct al_analyzer *an = NULL;
    AL_TRY(al_analyzer_acquire(&an, s->err));
    enum al_code c = AL_OK;
    for (size_t h = 0; c == AL_OK && h < s->res->n_hits; h++)
        c = split_hit(s, an, h);
    al_analyzer_release(an);
    if (c != AL_OK)
        return c;
    size_t n = choose(s, opt->sentences_max);
    return n ? write_answer(s, n, ret) : AL_OK;
}

/* Of the question, by the best of its first hits. */
static double answerability(const struct al_query_result *res)
{
    double coverage = 0;
    double cosine = 0;
    for (size_t i = 0; i < res->n_hits && i < HITS_JUDGED; i++) {
        const struct al_hit *h = &res->hits[i];
        coverage = h->coverage > coverage ? h->coverage : coverage;
        cosine = h->vector_score > cosine ? h->vector_score : cosine;
    }
    return res->n_hits ? al_answerability(coverage, cosine) : 0;
}

enum al_code al_ask(const struct al_query_context *ctx, const struct al_ask_options *opt,
                    struct al_arena *a, struct al_answer *ret, struct al_err *err)
{
    if (!al_str_trim(opt->query.text).n)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "QUERY_EMPTY", "question: there is none");
    if (opt->sentences_max < 1 || opt->sentences_max > AL_ASK_SENTENCES_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "OUT_OF_RANGE",
                         "sentences: %u is not in 1 to %u", opt->sentences_max,
                         AL_ASK_SENTENCES_MAX);
    if (!isnan(opt->min_relevance) && !(opt->min_relevance >= 0 && opt->min_relevance <= 1))
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "OUT_OF_RANGE",
                         "min relevance: %g is not in 0 to 1", opt->min_relevance);
    struct al_query q = opt->query;
    q.explain = true; /* for the idf of the terms */
    struct al_query_result res;
    AL_TRY(al_query_run(ctx, &q, a, &res, err));
    double threshold = isnan(opt->min_relevance) ? AL_ASK_RELEVANCE_DEFAULT : opt->min_relevance;
    struct al_answer ans = {0};
    ans.missing = res.missing;
    ans.n_missing = res.n_missing;
    ans.relevance = answerability(&res);
    if (res.n_hits && ans.relevance >= threshold) {
        struct asking s = {.ctx = ctx, .a = a, .err = err, .res = &res};
        AL_TRY(compose(&s, opt, &ans));
    }
    if (!ans.n_sentences) {
        ans.abstained = true;
        ans.sources = al_arena_array(a, NEAREST_MAX, sizeof(void *));
        if (!ans.sources)
            return no_memory(err);
        ans.n_sources = res.n_hits < NEAREST_MAX ? res.n_hits : NEAREST_MAX;
        for (size_t i = 0; i < ans.n_sources; i++)
            ans.sources[i] = &res.hits[i];
        ans.text = AL_STR("I do not know: nothing that you may read answers this.");
    }
    *ret = ans;
    return AL_OK;
}
