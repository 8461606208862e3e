#include "airlore/query.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "airlore/relevance.h"
#include "fold.h"
#include "fuse.h"

#define WEIGHT_DEFAULT 0.4
#define DEPTH_MIN 100u
#define COSINE_USUAL 0.2
#define DEPTH_MAX 10000u
#define SNIPPET_DEFAULT 240u
#define SCRATCH_LIMIT ((size_t)128 << 20)
#define BM25_K1 0.9f
#define BM25_B 0.4f

/* What one search carries from phase to phase. */
struct run {
    const struct al_query_context *ctx;
    const struct al_query *q;
    struct al_arena *a;
    struct al_err *err;
    struct al_str *terms; /* distinct, in order of first occurrence */
    uint32_t *counts;
    double *idf;
    uint64_t *df;
    double idf_max; /* of a term that no chunk has */
    size_t n_terms;
    size_t cap_terms;
    bool no_memory;
    float *vector; /* NULL: no vector leg */
    struct al_leg_query leg;
    struct al_fused *fused;
    size_t n_fused;
    uint32_t text_depth;
    uint32_t vector_depth;
    double text_max; /* of all candidates */
    double vector_max;
    double text_mid; /* of the middle one of each leg */
    double vector_mid;
    struct al_arena scratch; /* of one candidate: whole documents pass through it */
    bool *is_missing;        /* by shard */
    struct al_missing *missing;
    size_t n_missing;
    struct al_token token;
    bool leg_full; /* some leg gave all it was asked for: deeper may give more */
};

static enum al_code no_memory(struct al_err *err)
{
    return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "MEMORY_LIMIT", "request: memory limit reached");
}

/* ---- shards that fail ---- */

static bool is_loss(enum al_code code)
{
    return code == AL_UNAVAILABLE || code == AL_DATA_LOSS || code == AL_DEADLINE_EXCEEDED;
}

/* The error of a shard as the caller sees it: which one, and a reason of the contract. */
static struct al_err of_shard(const struct al_err *e, size_t shard)
{
    struct al_err out = *e;
    bool is_plain = strcmp(e->reason, al_code_name(e->code)) == 0;
    if (is_plain && e->code == AL_UNAVAILABLE)
        out.reason = "SHARD_UNAVAILABLE";
    if (is_plain && e->code == AL_DATA_LOSS)
        out.reason = "DATA_CORRUPT";
    if (strncmp(e->msg, "shard ", 6) != 0)
        al_err_prefix(&out, "shard %zu", shard);
    return out;
}

/* After an error of a shard: AL_OK when the search goes on without it. */
static enum al_code lose(struct run *r, size_t shard, const struct al_err *e)
{
    struct al_err err = is_loss(e->code) ? of_shard(e, shard) : *e;
    bool is_last = r->n_missing + 1 >= r->ctx->router->n_shards;
    if (!r->q->allow_partial || !is_loss(e->code) || is_last) {
        if (r->err)
            *r->err = err;
        return e->code;
    }
    r->is_missing[shard] = true;
    r->missing[r->n_missing++] = (struct al_missing){.shard = shard, .err = err};
    r->token.index[shard] = 0;
    return AL_OK;
}

static enum al_code init_missing(struct run *r)
{
    size_t n = r->ctx->router->n_shards;
    r->is_missing = al_arena_array(r->a, n, sizeof *r->is_missing);
    r->missing = al_arena_array(r->a, n, sizeof *r->missing);
    if (!r->is_missing || !r->missing)
        return no_memory(r->err);
    return al_token_init(r->ctx->router, r->a, &r->token, r->err);
}

/* Until when a shard may take, the first of n_left that are still to be asked. */
static uint64_t share_of_time(const struct run *r, size_t n_left)
{
    uint64_t end = r->q->deadline_ns;
    if (!r->q->allow_partial || !r->ctx->clock || end == AL_DEADLINE_NONE)
        return end;
    uint64_t now = al_clock_mono_ns(r->ctx->clock);
    return now >= end ? end : now + (end - now) / (n_left + 1);
}

/* ---- the query itself ---- */

static void add_term(void *u, const struct al_term *t)
{
    struct run *r = u;
    for (size_t i = 0; i < r->n_terms; i++) {
        if (al_str_eq(r->terms[i], t->term)) {
            r->counts[i]++;
            return;
        }
    }
    if (r->n_terms == r->cap_terms)
        return; /* a query of more distinct terms is cut */
    if (al_arena_str(r->a, t->term, &r->terms[r->n_terms], NULL) != AL_OK) {
        r->no_memory = true;
        return;
    }
    r->counts[r->n_terms++] = 1;
}

static enum al_code analyze(struct run *r)
{
    r->cap_terms = AL_QUERY_TERMS_MAX;
    r->terms = al_arena_array(r->a, r->cap_terms, sizeof *r->terms);
    r->counts = al_arena_array(r->a, r->cap_terms, sizeof *r->counts);
    r->idf = al_arena_array(r->a, r->cap_terms, sizeof *r->idf);
    if (!r->terms || !r->counts || !r->idf)
        return no_memory(r->err);
    struct al_analyzer *an = NULL;
    AL_TRY(al_analyzer_acquire(&an, r->err));
    al_analyzer_run(an, r->q->text, add_term, r);
    al_analyzer_release(an);
    return r->no_memory ? no_memory(r->err) : AL_OK;
}

static enum al_code own_vector(struct run *r, uint32_t dim)
{
    if (r->q->n_vector != dim)
        return AL_FAIL_R(r->err, AL_INVALID_ARGUMENT, "DIMENSION_MISMATCH",
                         "vector: %zu components, the index has %u", r->q->n_vector, dim);
    double norm = 0;
    for (uint32_t i = 0; i < dim; i++) {
        double v = (double)r->q->vector[i];
        if (!isfinite(v))
            return AL_FAIL_R(r->err, AL_INVALID_ARGUMENT, "NOT_FINITE",
                             "vector: component %u is not a finite number", i);
        norm += v * v;
    }
    if (norm == 0 || !isfinite(norm))
        return AL_FAIL_R(r->err, AL_INVALID_ARGUMENT, "NOT_FINITE",
                         "vector: its length is zero or too large");
    for (uint32_t i = 0; i < dim; i++)
        r->vector[i] = (float)((double)r->q->vector[i] / sqrt(norm));
    return AL_OK;
}

static enum al_code embed(struct run *r)
{
    uint32_t dim = al_embedder_dim(r->ctx->embedder);
    r->vector = al_arena_array(r->a, dim, sizeof *r->vector);
    if (!r->vector)
        return no_memory(r->err);
    if (r->q->vector)
        return own_vector(r, dim);
    uint32_t n_tokens = 0;
    AL_TRY(al_embedder_embed(r->ctx->embedder, r->q->text, r->vector, &n_tokens, r->err));
    if (n_tokens == 0)
        r->vector = NULL;
    return AL_OK;
}

static enum al_code check(const struct al_query *q, struct al_err *err)
{
    if (q->k < 1 || q->k > AL_QUERY_K_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "K_OUT_OF_RANGE", "k: %u is not in 1 to %u",
                         q->k, AL_QUERY_K_MAX);
    if (q->text.n > AL_QUERY_TEXT_BYTES_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_LARGE",
                         "query: %zu bytes of text, at most %u are allowed", q->text.n,
                         AL_QUERY_TEXT_BYTES_MAX);
    if (!isnan(q->vector_weight) && !(q->vector_weight >= 0 && q->vector_weight <= 1))
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "OUT_OF_RANGE",
                         "vector weight: %g is not in 0 to 1", (double)q->vector_weight);
    if (!(q->min_score >= 0 && q->min_score <= 1))
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "OUT_OF_RANGE", "min score: %g is not in 0 to 1",
                         q->min_score);
    return AL_OK;
}

/* ---- phase 1: statistics ---- */

static enum al_code stats_of(struct run *r, size_t shard, struct al_term_stats *ret,
                             struct al_err *err)
{
    struct al_shard_port *p = r->ctx->router->shards[shard];
    if (r->q->after && r->q->after->index[shard])
        AL_TRY(al_token_wait_shard(r->ctx->router, r->q->after, shard,
                                   share_of_time(r, r->ctx->router->n_shards - shard), err));
    return p->ops->stats(p, r->q->spaces, r->q->n_spaces, r->terms, r->n_terms, r->a, ret, err);
}

static enum al_code statistics(struct run *r)
{
    uint64_t n_chunks = 0;
    uint64_t n_terms = 0;
    float *weights = al_arena_array(r->a, r->n_terms + 1, sizeof *weights);
    r->df = al_arena_array(r->a, r->n_terms + 1, sizeof *r->df);
    if (!r->df || !weights)
        return no_memory(r->err);
    for (size_t s = 0; s < r->ctx->router->n_shards; s++) {
        struct al_term_stats st;
        struct al_err e = {0};
        if (stats_of(r, s, &st, &e) != AL_OK) {
            AL_TRY(lose(r, s, &e));
            continue;
        }
        r->token.index[s] = st.applied_index;
        n_chunks += st.n_chunks;
        n_terms += st.n_terms;
        for (size_t i = 0; i < r->n_terms; i++)
            r->df[i] += st.df[i];
    }
    double n = (double)n_chunks;
    r->idf_max = log(1 + (n + 0.5) / 0.5);
    for (size_t i = 0; i < r->n_terms; i++) {
        double d = (double)r->df[i];
        r->idf[i] = log(1 + (n - d + 0.5) / (d + 0.5));
        weights[i] = (float)(r->idf[i] * r->counts[i]);
    }
    r->leg.term_weights = weights;
    r->leg.avg_terms = n_chunks ? (float)((double)n_terms / n) : 1;
    return AL_OK;
}

/* ---- phase 2: legs, merged ---- */

struct ranked {
    struct al_candidate *cand;
    size_t shard;
};

static int by_text(const void *x, const void *y)
{
    const struct ranked *a = x;
    const struct ranked *b = y;
    return al_candidate_cmp(a->cand, (double)a->cand->text_score, b->cand,
                            (double)b->cand->text_score);
}

static int by_vector(const void *x, const void *y)
{
    const struct ranked *a = x;
    const struct ranked *b = y;
    return al_candidate_cmp(a->cand, (double)a->cand->vector_score, b->cand,
                            (double)b->cand->vector_score);
}

/* Each shard gives its part in order: with one, all is in order. */
static void sort_ranked(struct ranked *r, size_t n, int (*cmp)(const void *x, const void *y))
{
    for (size_t i = 1; i < n; i++) {
        if (cmp(&r[i - 1], &r[i]) > 0) {
            qsort(r, n, sizeof *r, cmp);
            return;
        }
    }
}

struct legs {
    struct ranked *text;
    struct ranked *vector;
    size_t n_text;
    size_t n_vector;
};

static enum al_code gather(struct run *r, struct legs *l)
{
    size_t n = r->ctx->router->n_shards;
    struct al_candidates *per = al_arena_array(r->a, n, sizeof *per);
    if (!per)
        return no_memory(r->err);
    for (size_t s = 0; s < n; s++) {
        struct al_shard_port *p = r->ctx->router->shards[s];
        struct al_err e = {0};
        if (r->is_missing[s])
            continue;
        r->leg.deadline_ns = share_of_time(r, n - s);
        if (p->ops->legs(p, &r->leg, r->a, &per[s], &e) != AL_OK) {
            per[s] = (struct al_candidates){0};
            AL_TRY(lose(r, s, &e));
        }
        l->n_text += per[s].n_text;
        l->n_vector += per[s].n_vector;
    }
    l->text = al_arena_array(r->a, l->n_text + 1, sizeof *l->text);
    l->vector = al_arena_array(r->a, l->n_vector + 1, sizeof *l->vector);
    if (!l->text || !l->vector)
        return no_memory(r->err);
    size_t t = 0;
    size_t v = 0;
    for (size_t s = 0; s < n; s++) {
        for (size_t i = 0; i < per[s].n_text; i++)
            l->text[t++] = (struct ranked){&per[s].text[i], s};
        for (size_t i = 0; i < per[s].n_vector; i++)
            l->vector[v++] = (struct ranked){&per[s].vector[i], s};
    }
    sort_ranked(l->text, l->n_text, by_text);
    sort_ranked(l->vector, l->n_vector, by_vector);
    r->leg_full = l->n_text >= r->text_depth || l->n_vector >= r->vector_depth;
    l->n_text = l->n_text < r->text_depth ? l->n_text : r->text_depth;
    l->n_vector = l->n_vector < r->vector_depth ? l->n_vector : r->vector_depth;
    return AL_OK;
}

static int by_place(const void *x, const void *y)
{
    const struct al_fused *a = x;
    const struct al_fused *b = y;
    if (a->shard != b->shard)
        return a->shard < b->shard ? -1 : 1;
    if (a->cand->docno != b->cand->docno)
        return a->cand->docno < b->cand->docno ? -1 : 1;
    return a->cand->chunk < b->cand->chunk ? -1 : a->cand->chunk > b->cand->chunk;
}

/* The union of both legs; a chunk that both gave becomes one entry. */
static enum al_code unite(struct run *r, const struct legs *l)
{
    struct al_fused *f = al_arena_array(r->a, l->n_text + l->n_vector + 1, sizeof *f);
    if (!f)
        return no_memory(r->err);
    size_t n = 0;
    for (size_t i = 0; i < l->n_text; i++)
        f[n++] = (struct al_fused){
            .cand = l->text[i].cand, .shard = l->text[i].shard, .text_rank = (uint32_t)i + 1};
    for (size_t i = 0; i < l->n_vector; i++)
        f[n++] = (struct al_fused){
            .cand = l->vector[i].cand, .shard = l->vector[i].shard, .vector_rank = (uint32_t)i + 1};
    qsort(f, n, sizeof *f, by_place);
    size_t out = 0;
    for (size_t i = 0; i < n; i++) {
        struct al_fused *last = out ? &f[out - 1] : NULL;
        if (last && by_place(last, &f[i]) == 0) {
            last->text_rank = last->text_rank ? last->text_rank : f[i].text_rank;
            last->vector_rank = last->vector_rank ? last->vector_rank : f[i].vector_rank;
            if (f[i].cand->has_text) {
                last->cand->text_score = f[i].cand->text_score;
                last->cand->has_text = true;
            }
            if (f[i].cand->has_vector) {
                last->cand->vector_score = f[i].cand->vector_score;
                last->cand->has_vector = true;
            }
            continue;
        }
        f[out++] = f[i];
    }
    r->fused = f;
    r->n_fused = out;
    return AL_OK;
}

/* ---- phase 3: missing scores ---- */

/* Candidates of shards that are missing since. */
static void drop_missing(struct run *r)
{
    size_t n = 0;
    for (size_t i = 0; i < r->n_fused; i++) {
        if (!r->is_missing[r->fused[i].shard])
            r->fused[n++] = r->fused[i];
    }
    r->n_fused = n;
}

static enum al_code fetch_scores(struct run *r)
{
    struct al_candidate **need = al_arena_array(r->a, r->n_fused + 1, sizeof *need);
    if (!need)
        return no_memory(r->err);
    for (size_t i = 0; i < r->n_fused;) {
        size_t shard = r->fused[i].shard;
        size_t n = 0;
        for (; i < r->n_fused && r->fused[i].shard == shard; i++) {
            struct al_candidate *c = r->fused[i].cand;
            if ((r->leg.n_terms && !c->has_text) || (r->leg.vector && !c->has_vector))
                need[n++] = c;
        }
        struct al_shard_port *p = r->ctx->router->shards[shard];
        struct al_err e = {0};
        if (n && p->ops->score(p, &r->leg, need, n, &e) != AL_OK)
            AL_TRY(lose(r, shard, &e));
    }
    drop_missing(r);
    return AL_OK;
}

/* ---- phase 4: distinct documents ---- */

/* Documents seen so far, by open addressing; a slot is an index into the kept ones + 1. */
static bool add_document(uint32_t *slots, size_t cap, const struct al_fused *kept, size_t n_kept,
                         const struct al_fused *f)
{
    uint64_t h = (f->cand->docno ^ (uint64_t)f->shard << 56) * 0x9E3779B97F4A7C15ull;
    for (size_t i = (size_t)(h >> 32) & (cap - 1);; i = (i + 1) & (cap - 1)) {
        if (!slots[i]) {
            slots[i] = (uint32_t)n_kept + 1;
            return true;
        }
        const struct al_fused *x = &kept[slots[i] - 1];
        if (x->shard == f->shard && x->cand->docno == f->cand->docno)
            return false;
    }
}

/* Keep the best chunk of each document; fused is sorted best first. *ret_n documents are kept, at
 * most max. */
static enum al_code distinct(struct run *r, size_t max, size_t *ret_n)
{
    size_t n = r->n_fused;
    if (r->q->all_chunks) {
        *ret_n = n < max ? n : max;
        return AL_OK;
    }
    size_t cap = 16;
    while (cap < 2 * n)
        cap *= 2;
    al_arena_reset(&r->scratch);
    uint32_t *slots = al_arena_array(&r->scratch, cap, sizeof *slots);
    if (!slots)
        return no_memory(r->err);
    size_t out = 0;
    for (size_t i = 0; i < n && out < max; i++) {
        if (add_document(slots, cap, r->fused, out, &r->fused[i]))
            r->fused[out++] = r->fused[i];
    }
    *ret_n = out;
    return AL_OK;
}

static uint32_t first_depth(uint32_t asked, uint32_t k)
{
    uint32_t d = asked ? asked : 4 * k < DEPTH_MIN ? DEPTH_MIN : 4 * k;
    return d > DEPTH_MAX ? DEPTH_MAX : d;
}

static uint32_t deeper(uint32_t d)
{
    return d > DEPTH_MAX / 4 ? DEPTH_MAX : d * 4;
}

static double weight_of(const struct al_query *q)
{
    return isnan(q->vector_weight) ? WEIGHT_DEFAULT : (double)q->vector_weight;
}

/* The maxima that the scores are scaled by, for the explanation. */
static void find_maxima(struct run *r)
{
    r->text_max = r->vector_max = 0;
    for (size_t i = 0; i < r->n_fused; i++) {
        double t = (double)r->fused[i].cand->text_score;
        double v = (double)r->fused[i].cand->vector_score;
        r->text_max = t > r->text_max ? t : r->text_max;
        r->vector_max = v > r->vector_max ? v : r->vector_max;
    }
}

/* The middle of each leg; with few candidates there is none: no words in common, and the cosine
 * that texts about other things have. */
static void find_usual(struct run *r, const struct legs *l)
{
    r->text_mid = 0;
    r->vector_mid = COSINE_USUAL;
    if (l->n_text >= DEPTH_MIN)
        r->text_mid = (double)l->text[l->n_text / 2].cand->text_score;
    if (l->n_vector >= DEPTH_MIN)
        r->vector_mid = (double)l->vector[l->n_vector / 2].cand->vector_score;
}

/* Candidates at the present depths, fused and sorted; *ret_n of them are kept, at most want. */
static enum al_code rank(struct run *r, size_t want, size_t *ret_n)
{
    r->leg.depth = r->text_depth > r->vector_depth ? r->text_depth : r->vector_depth;
    struct legs l = {0};
    AL_TRY(gather(r, &l));
    find_usual(r, &l);
    AL_TRY(unite(r, &l));
    AL_TRY(fetch_scores(r));
    al_fuse(r->fused, r->n_fused, r->q->mode, r->q->fusion ? r->q->fusion : AL_FUSION_MIN_MAX,
            weight_of(r->q));
    find_maxima(r);
    return distinct(r, want, ret_n);
}

/* ---- phase 5: documents, snippets, explanation ---- */

static int by_term_score(const void *x, const void *y)
{
    const struct al_explain_term *a = x;
    const struct al_explain_term *b = y;
    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    return al_str_cmp(a->term, b->term);
}

/* Coverage, and the terms when they are wanted, in the scratch arena. */
static enum al_code explain_terms(struct run *r, const struct al_fused *f, struct al_hit *h,
                                  double *ret_coverage)
{
    struct al_shard_port *p = r->ctx->router->shards[f->shard];
    struct al_term_part *parts = NULL;
    double have = 0;
    double all = 0;
    *ret_coverage = 0;
    if (r->n_terms == 0)
        return AL_OK;
    struct al_leg_query leg = r->leg; /* relevance asks for the terms in every mode */
    leg.n_terms = r->n_terms;
    struct al_err gone = {0};
    enum al_code c =
        p->ops->explain(p, &leg, f->cand->docno, f->cand->chunk, &r->scratch, &parts, &gone);
    if (c == AL_NOT_FOUND)
        return AL_OK; /* replaced meanwhile */
    if (c != AL_OK)
        return lose(r, f->shard, &gone);
    h->terms = r->q->explain ? al_arena_array(&r->scratch, r->n_terms, sizeof *h->terms) : NULL;
    if (r->q->explain && !h->terms)
        return no_memory(r->err);
    for (size_t i = 0; i < r->n_terms; i++) {
        double mass = al_relevance_is_filler(r->terms[i]) ? 0 : r->idf[i];
        all += mass;
        have += parts[i].tf ? mass : 0;
        if (h->terms && parts[i].tf)
            h->terms[h->n_terms++] = (struct al_explain_term){r->terms[i], parts[i].tf, r->idf[i],
                                                              (double)parts[i].score};
    }
    if (h->terms && h->n_terms > 1)
        qsort(h->terms, h->n_terms, sizeof *h->terms, by_term_score);
    *ret_coverage = all > 0 ? have / all : 0;
    return AL_OK;
}

#define THREAD_ANSWER "\nAnswer:\n"

/* What may be cited. A thread's question is no answer, and a thread without answers has none: then
 * it is "". When the chunk lies before the answers, the first chunk that has some of them speaks.
 */
static enum al_code keep_answer(struct run *r, const struct al_doc *d, struct al_hit *h)
{
    h->answer = h->text;
    h->answer_chunk = h->chunk;
    if (!al_str_is(d->kind, "thread"))
        return AL_OK;
    h->answer = AL_STR("");
    size_t at = al_str_find(d->body, AL_STR(THREAD_ANSWER), 0);
    if (at == SIZE_MAX)
        return AL_OK;
    at += strlen(THREAD_ANSWER);
    while (h->answer_chunk < d->n_chunks && d->chunks[h->answer_chunk].end <= at)
        h->answer_chunk++;
    if (h->answer_chunk >= d->n_chunks)
        return AL_OK;
    const struct al_chunk *c = &d->chunks[h->answer_chunk];
    size_t from = c->start > at ? c->start : at;
    return al_arena_str(r->a, al_str_trim(al_str_sub(d->body, from, c->end - from)), &h->answer,
                        r->err);
}

/* What the hit keeps of the document, from the scratch arena into the request's: its bodies
 * together may be larger than that. */
static enum al_code keep_parts(struct run *r, struct al_doc *d, struct al_hit *h)
{
    struct al_doc *kept = al_arena_zalloc(r->a, sizeof *kept);
    struct al_explain_term *terms = al_arena_array(r->a, h->n_terms + 1, sizeof *terms);
    if (!kept || !terms)
        return no_memory(r->err);
    if (h->chunk < d->n_chunks) {
        const struct al_chunk *c = &d->chunks[h->chunk];
        AL_TRY(
            al_arena_str(r->a, al_str_sub(d->body, c->start, c->end - c->start), &h->text, r->err));
        AL_TRY(al_arena_str(r->a, c->heading, &h->heading, r->err));
        AL_TRY(keep_answer(r, d, h));
    }
    *kept = *d;
    kept->body = AL_STR("");
    kept->chunks = NULL;
    kept->n_chunks = 0;
    AL_TRY(al_doc_own(kept, r->a, r->err));
    if (h->n_terms)
        memcpy(terms, h->terms, h->n_terms * sizeof *terms);
    h->terms = terms;
    h->doc = kept;
    return AL_OK;
}

static enum al_code load_hit(struct run *r, const struct al_fused *f, struct al_analyzer *an,
                             struct al_hit *h, bool *ret_ok)
{
    struct al_shard_port *p = r->ctx->router->shards[f->shard];
    struct al_doc d = {0};
    struct al_err gone = {0};
    enum al_code c = p->ops->get_doc(p, f->cand->space, f->cand->id, false, &r->scratch, &d, &gone);
    if (c == AL_NOT_FOUND || (c == AL_OK && d.docno != f->cand->docno))
        return AL_OK; /* deleted or replaced since the legs */
    if (c != AL_OK)
        return lose(r, f->shard, &gone);
    AL_TRY(keep_parts(r, &d, h));
    size_t max = r->q->snippet_bytes ? r->q->snippet_bytes : SNIPPET_DEFAULT;
    if (!r->q->no_snippets)
        AL_TRY(al_snippet_make(an, h->text, r->terms, r->n_terms, max, r->a, &h->snippet, r->err));
    *ret_ok = true;
    return AL_OK;
}

/* *ret_ok false: gone meanwhile, or below min_score, which is known before the document is read. */
static enum al_code make_hit(struct run *r, const struct al_fused *f, struct al_analyzer *an,
                             struct al_hit *ret, bool *ret_ok)
{
    *ret_ok = false;
    if (r->is_missing[f->shard])
        return AL_OK;
    al_arena_reset(&r->scratch);
    struct al_hit h = {.chunk = f->cand->chunk,
                       .text = AL_STR(""),
                       .heading = AL_STR(""),
                       .answer = AL_STR(""),
                       .score = f->score,
                       .text_score = (double)f->cand->text_score,
                       .vector_score = (double)f->cand->vector_score,
                       .text_rank = f->text_rank,
                       .vector_rank = f->vector_rank};
    AL_TRY(explain_terms(r, f, &h, &h.coverage));
    if (r->is_missing[f->shard])
        return AL_OK;
    h.relevance = al_relevance(h.coverage, r->vector ? h.vector_score : 0, (uint32_t)r->n_terms);
    if (h.relevance < r->q->min_score)
        return AL_OK;
    AL_TRY(load_hit(r, f, an, &h, ret_ok));
    *ret = h;
    return AL_OK;
}

static enum al_code collect(struct run *r, size_t n, struct al_analyzer *an,
                            struct al_query_result *res)
{
    struct al_fold fold;
    AL_TRY(al_fold_begin(r->ctx, r->q, r->a, &fold, r->err));
    res->hits = al_arena_array(r->a, r->q->k, sizeof *res->hits);
    if (!res->hits)
        return no_memory(r->err);
    for (size_t i = 0; i < n && res->n_hits < r->q->k; i++) {
        struct al_hit h;
        bool ok;
        bool is_shown = false;
        AL_TRY(make_hit(r, &r->fused[i], an, &h, &ok));
        if (ok)
            AL_TRY(al_fold_hit(&fold, res, &h, &is_shown, r->err));
        if (ok && !is_shown)
            res->hits[res->n_hits++] = h;
    }
    al_fold_ties(&fold, res);
    AL_TRY(al_fold_stale(&fold, res, r->err));
    if (res->n_hits)
        res->relevance = res->hits[0].relevance;
    return AL_OK;
}

static struct al_query_result result_of(const struct run *r)
{
    return (struct al_query_result){
        .text_max = r->text_max,
        .vector_max = r->vector_max,
        .text_mid = r->text_mid,
        .vector_mid = r->vector_mid,
        .vector_weight = weight_of(r->q),
        .terms = r->terms,
        .idf = r->idf,
        .df = r->df,
        .n_terms = r->n_terms,
    };
}

/* Rank and collect, deeper and deeper until there are k hits or nothing more to find. */
static enum al_code search(struct run *r, struct al_analyzer *an, struct al_query_result *res)
{
    r->text_depth = first_depth(r->q->text_depth, r->q->k);
    r->vector_depth = first_depth(r->q->vector_depth, r->q->k);
    for (;;) {
        /* a few more than asked: some may be copies, gone, or below min_score */
        size_t want = (size_t)r->q->k + 16;
        want += r->q->min_score > 0 ? r->text_depth : 0;
        size_t n = 0;
        AL_TRY(rank(r, want, &n));
        bool deepest = r->text_depth >= DEPTH_MAX && r->vector_depth >= DEPTH_MAX;
        bool may_go_on = r->leg_full && !deepest;
        *res = result_of(r);
        if (n >= r->q->k || !may_go_on) /* else it is too few whatever the documents say */
            AL_TRY(collect(r, n, an, res));
        bool enough = res->n_hits >= r->q->k || (r->q->min_score > 0 && n >= r->q->k);
        if (enough || !may_go_on)
            return AL_OK;
        r->text_depth = deeper(r->text_depth);
        r->vector_depth = deeper(r->vector_depth);
    }
}

static int by_shard(const void *x, const void *y)
{
    const struct al_missing *a = x;
    const struct al_missing *b = y;
    return a->shard < b->shard ? -1 : a->shard > b->shard;
}

static enum al_code finish(struct run *r, const struct al_query_result *res,
                           struct al_query_result *ret)
{
    if (r->n_missing > 1)
        qsort(r->missing, r->n_missing, sizeof *r->missing, by_shard);
    *ret = *res;
    ret->missing = r->missing;
    ret->n_missing = r->n_missing;
    ret->token = r->token;
    return AL_OK;
}

enum al_code al_query_run(const struct al_query_context *ctx, const struct al_query *q,
                          struct al_arena *a, struct al_query_result *ret, struct al_err *err)
{
    AL_TRY(check(q, err));
    struct run r = {.ctx = ctx, .q = q, .a = a, .err = err};
    const struct al_filter *filter = NULL;
    AL_TRY(al_filter_compile(q->filter, a, &filter, err));
    AL_TRY(analyze(&r));
    AL_TRY(embed(&r));
    AL_TRY(init_missing(&r));
    r.leg = (struct al_leg_query){
        .spaces = q->spaces,
        .n_spaces = q->n_spaces,
        .filter = filter,
        .vector = q->mode == AL_MODE_TEXT ? NULL : r.vector,
        .terms = r.terms,
        .n_terms = q->mode == AL_MODE_VECTOR ? 0 : r.n_terms,
        .k1 = BM25_K1,
        .b = BM25_B,
        .exact = q->exact,
        .ef = q->ef,
        .deadline_ns = q->deadline_ns,
    };
    AL_TRY(statistics(&r));
    struct al_query_result res = result_of(&r);
    if (!r.leg.vector && !r.leg.n_terms)
        return finish(&r, &res, ret);
    struct al_analyzer *an = NULL;
    AL_TRY(al_analyzer_acquire(&an, err));
    al_arena_init(&r.scratch, NULL, SCRATCH_LIMIT);
    enum al_code c = search(&r, an, &res);
    al_arena_fini(&r.scratch);
    al_analyzer_release(an);
    return c == AL_OK ? finish(&r, &res, ret) : c;
}
