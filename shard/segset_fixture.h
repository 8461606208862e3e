/* segset_fixture.h - a random corpus, a set of segments over it, and a scorer of its own to hold
 * the set against. Tests only.
 *
 * Thread: confined to one thread unless said otherwise.
 */
#ifndef AIRLORE_SHARD_SEGSET_FIXTURE_H
#define AIRLORE_SHARD_SEGSET_FIXTURE_H

#include <math.h>
#include <stdlib.h>

#include "airlore/analyzer.h"
#include "airlore/random.h"
#include "airlore/testing.h"
#include "dot.h"
#include "segset.h"

#define FIX_DIM 37u
#define FIX_DOCS_MAX 512u
#define FIX_CHUNKS_MAX 5u
#define FIX_TERMS_MAX 64u
#define FIX_SPACES 6u

struct fix_chunk {
    struct al_str terms[FIX_TERMS_MAX * 4];
    uint32_t n_terms;
};

struct fix_doc {
    struct al_doc doc;
    bool live;
    struct fix_chunk chunks[FIX_CHUNKS_MAX];
};

struct fix {
    struct al_seeded_random random;
    struct al_arena arena;
    struct fix_doc docs[FIX_DOCS_MAX];
    size_t n_docs;
    char dir[256];
};

static inline uint32_t fix_below(struct fix *f, uint32_t n)
{
    return (uint32_t)al_random_below(&f->random.random, n);
}

static inline float fix_unit(struct fix *f)
{
    return (float)fix_below(f, 20001) / 10000.0f - 1.0f;
}

static inline void fix_vector(struct fix *f, float *v, uint32_t dim)
{
    double sum = 0;
    for (uint32_t i = 0; i < dim; i++) {
        v[i] = fix_unit(f);
        sum += (double)v[i] * (double)v[i];
    }
    for (uint32_t i = 0; i < dim && sum > 0; i++)
        v[i] = (float)((double)v[i] / sqrt(sum));
}

/* A word of a skewed vocabulary: few are frequent, many are rare. */
static inline struct al_str fix_word(struct fix *f)
{
    static const char *const stems[] = {"pool",        "sensor",        "dag",   "operator",
                                        "xcom",        "backfill",      "Kafka", "서울",
                                        "retry_delay", "airflow.models"};
    uint32_t r = fix_below(f, 100);
    uint32_t n = fix_below(f, r < 50 ? 3 : r < 80 ? 20 : 300);
    const char *stem = stems[n % AL_ARRAY_LEN(stems)];
    char *s = n < 10 ? al_arena_printf(&f->arena, "%s", stem)
                     : al_arena_printf(&f->arena, "%s%c%c", stem, 'a' + (int)(n / 26) % 26,
                                       'a' + (int)(n % 26));
    assert_non_null(s);
    return al_str_c(s);
}

static inline void fix_collect(void *u, const struct al_term *t)
{
    void **pair = u;
    struct fix *f = pair[0];
    struct fix_chunk *c = pair[1];
    assert_true(c->n_terms < AL_ARRAY_LEN(c->terms));
    assert_int_equal(al_arena_str(&f->arena, t->term, &c->terms[c->n_terms++], NULL), AL_OK);
}

/* A document of the given log index with random text, space and vectors. */
static inline struct fix_doc *fix_add_doc(struct fix *f, uint64_t index, const char *embedder_id)
{
    static const char *const kinds[] = {"doc", "runbook", "code"};
    assert_true(f->n_docs < FIX_DOCS_MAX);
    struct fix_doc *d = &f->docs[f->n_docs++];
    uint32_t n_chunks = fix_below(f, 20) == 0 ? 0 : 1 + fix_below(f, FIX_CHUNKS_MAX);
    struct al_buf body;
    al_buf_init(&body, al_arena_mem(&f->arena), 0);
    struct al_chunk *chunks = al_arena_array(&f->arena, n_chunks, sizeof *chunks);
    float *vectors = al_arena_array(&f->arena, (size_t)n_chunks * FIX_DIM, sizeof *vectors);
    assert_true(chunks && vectors);
    for (uint32_t i = 0; i < n_chunks; i++) {
        chunks[i].start = (uint32_t)body.n;
        for (uint32_t k = 1 + fix_below(f, 40); k > 0; k--) {
            al_buf_str(&body, fix_word(f));
            al_buf_char(&body, ' ');
        }
        chunks[i].end = (uint32_t)body.n;
        chunks[i].heading = fix_below(f, 4) ? AL_STR("") : AL_STR("Concepts > Pools");
        if (fix_below(f, 10))
            fix_vector(f, vectors + (size_t)i * FIX_DIM, FIX_DIM);
    }
    char *id =
        al_arena_printf(&f->arena, "doc-%u-%llu", fix_below(f, 1000), (unsigned long long)index);
    *d = (struct fix_doc){.live = true,
                          .doc = {.space = 10 * (1 + fix_below(f, FIX_SPACES)),
                                  .id = al_str_c(id),
                                  .docno = index << 20 | fix_below(f, 3),
                                  .visibility = AL_VIS_TEAM,
                                  .team = AL_STR("data"),
                                  .kind = al_str_c(kinds[fix_below(f, 3)]),
                                  .embedder_id = al_str_c(embedder_id),
                                  .analyzer_version = AL_ANALYZER_VERSION,
                                  .created_ms = 1,
                                  .updated_ms = 2,
                                  .body = al_buf_view(&body),
                                  .chunks = chunks,
                                  .n_chunks = n_chunks,
                                  .vectors = vectors}};
    struct al_analyzer *analyzer = NULL;
    assert_int_equal(al_analyzer_acquire(&analyzer, NULL), AL_OK);
    for (uint32_t i = 0; i < n_chunks; i++) {
        struct al_str text;
        void *pair[2] = {f, &d->chunks[i]};
        assert_int_equal(al_doc_chunk_text(&d->doc, i, &f->arena, &text, NULL), AL_OK);
        al_analyzer_run(analyzer, text, fix_collect, pair);
    }
    al_analyzer_release(analyzer);
    return d;
}

/* n documents with log indexes 1 to n, one in 15 of another embedder. */
static inline void fix_init(struct fix *f, uint64_t seed, size_t n)
{
    memset(f, 0, sizeof *f);
    al_seeded_random_init(&f->random, seed);
    al_arena_init(&f->arena, NULL, 512u << 20);
    (void)al_test_dir(f->dir, sizeof f->dir);
    for (size_t i = 0; i < n; i++)
        (void)fix_add_doc(f, i + 1, fix_below(f, 15) ? "static-256" : "older");
}

static inline void fix_fini(struct fix *f)
{
    al_arena_fini(&f->arena);
}

static inline struct al_segset_options fix_options(struct fix *f)
{
    return (struct al_segset_options){
        .dir = f->dir, .dim = FIX_DIM, .embedder_id = "static-256", .index = al_index_flat()};
}

static inline struct al_segset *fix_create(const struct al_segset_options *opt)
{
    struct al_segset *g = NULL;
    struct al_err e = {0};
    AL_CHECK_OK(al_segset_create(opt, &g, &e), e);
    return g;
}

/* The documents as a build reads them. */
static inline enum al_code fix_each(void *u, uint64_t first, uint64_t last,
                                    enum al_code (*visit)(void *v, const struct al_doc *d,
                                                          struct al_err *err),
                                    void *v, struct al_err *err)
{
    struct fix *f = u;
    for (size_t i = 0; i < f->n_docs; i++) {
        uint64_t index = f->docs[i].doc.docno >> 20;
        if (f->docs[i].live && index > first && index <= last)
            AL_TRY(visit(v, &f->docs[i].doc, err));
    }
    return AL_OK;
}

static inline struct al_doc_source fix_source(struct fix *f)
{
    return (struct al_doc_source){fix_each, f};
}

static inline void fix_put(struct al_segset *g, const struct fix_doc *d)
{
    struct al_err e = {0};
    AL_CHECK_OK(al_segset_add(g, &d->doc, &e), e);
}

static inline void fix_seal(struct fix *f, struct al_segset *g, uint64_t first, uint64_t last)
{
    struct al_err e = {0};
    struct al_built *b = NULL;
    struct al_doc_source src = fix_source(f);
    AL_CHECK_OK(al_segset_build(g, &src, first, last, NULL, NULL, &b, &e), e);
    AL_CHECK_OK(al_segset_swap(g, b, &e), e);
}

/* ---- the scorer of the test ---- */

static inline bool fix_sees(const struct al_leg_query *q, const struct fix_doc *d)
{
    bool in = false;
    for (size_t i = 0; i < q->n_spaces; i++)
        in = in || q->spaces[i] == d->doc.space;
    return in && d->live && al_filter_match(q->filter, &d->doc);
}

static inline uint32_t fix_tf(const struct fix_chunk *c, struct al_str term)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->n_terms; i++)
        n += al_str_eq(c->terms[i], term);
    return n;
}

static inline bool fix_has_vector(const struct fix_doc *d, uint32_t chunk)
{
    const float *v = d->doc.vectors + (size_t)chunk * FIX_DIM;
    bool any = false;
    for (uint32_t i = 0; i < FIX_DIM; i++)
        any = any || v[i] != 0;
    return any && al_str_is(d->doc.embedder_id, "static-256");
}

static inline float fix_text_score(const struct al_leg_query *q, const struct fix_chunk *c)
{
    double sum = 0;
    for (size_t t = 0; t < q->n_terms; t++) {
        double tf = fix_tf(c, q->terms[t]);
        double length = c->n_terms;
        if (tf > 0)
            sum += (double)q->term_weights[t] * tf /
                   (tf + (double)q->k1 *
                             (1.0 - (double)q->b + (double)q->b * length / (double)q->avg_terms));
    }
    return (float)sum;
}

static inline int fix_order(const void *a, const void *b)
{
    const struct al_candidate *x = a;
    const struct al_candidate *y = b;
    float sx = x->has_text ? x->text_score : x->vector_score;
    float sy = y->has_text ? y->text_score : y->vector_score;
    if (sx != sy)
        return sx > sy ? -1 : 1;
    int c = al_str_cmp(x->id, y->id);
    if (c)
        return c;
    if (x->space != y->space)
        return x->space < y->space ? -1 : 1;
    if (x->chunk != y->chunk)
        return x->chunk < y->chunk ? -1 : 1;
    return x->docno < y->docno ? -1 : x->docno > y->docno;
}

/* All candidates of a leg by looking at every chunk; returns how many. */
static inline size_t fix_rank(const struct fix *f, const struct al_leg_query *q, bool is_vector,
                              struct al_candidate *out)
{
    size_t n = 0;
    for (size_t i = 0; i < f->n_docs; i++) {
        const struct fix_doc *d = &f->docs[i];
        for (uint32_t k = 0; fix_sees(q, d) && k < d->doc.n_chunks; k++) {
            struct al_candidate c = {
                .docno = d->doc.docno, .chunk = k, .space = d->doc.space, .id = d->doc.id};
            bool any = is_vector && fix_has_vector(d, k);
            for (size_t t = 0; !is_vector && t < q->n_terms; t++)
                any = any || fix_tf(&d->chunks[k], q->terms[t]) > 0;
            if (!any)
                continue;
            c.has_vector = is_vector;
            c.has_text = !is_vector;
            if (is_vector)
                c.vector_score = al_dot(q->vector, d->doc.vectors + (size_t)k * FIX_DIM, FIX_DIM);
            else
                c.text_score = fix_text_score(q, &d->chunks[k]);
            out[n++] = c;
        }
    }
    qsort(out, n, sizeof *out, fix_order);
    return n;
}

/* The same float, bit for bit. */
static inline bool fix_same_bits(float a, float b)
{
    uint32_t x;
    uint32_t y;
    memcpy(&x, &a, sizeof x);
    memcpy(&y, &b, sizeof y);
    return x == y;
}

static inline void fix_check_same(const char *name, const struct al_candidate *got, size_t n_got,
                                  const struct al_candidate *want, size_t n_want, uint32_t depth)
{
    size_t n = n_want < depth ? n_want : depth;
    if (n_got != n)
        fail_msg("%s: %zu candidates, expected %zu", name, n_got, n);
    for (size_t i = 0; i < n; i++) {
        if (got[i].docno != want[i].docno || got[i].chunk != want[i].chunk ||
            got[i].space != want[i].space || !al_str_eq(got[i].id, want[i].id) ||
            !fix_same_bits(got[i].text_score, want[i].text_score) ||
            !fix_same_bits(got[i].vector_score, want[i].vector_score) ||
            got[i].has_text != want[i].has_text || got[i].has_vector != want[i].has_vector)
            fail_msg("%s: candidate %zu differs: got %llu.%u %.9g %.9g, expected %llu.%u %.9g %.9g",
                     name, i, (unsigned long long)got[i].docno, got[i].chunk,
                     (double)got[i].text_score, (double)got[i].vector_score,
                     (unsigned long long)want[i].docno, want[i].chunk, (double)want[i].text_score,
                     (double)want[i].vector_score);
    }
}

/* A random query; everything in the arena. */
static inline struct al_leg_query fix_query(struct fix *f, struct al_arena *a)
{
    static const uint32_t depths[] = {1, 5, 30, 1000};
    struct al_leg_query q = {.avg_terms = 17.5f,
                             .k1 = 0.9f,
                             .b = 0.4f,
                             .depth = depths[fix_below(f, 4)],
                             .exact = true,
                             .deadline_ns = AL_DEADLINE_NONE};
    uint32_t *spaces = al_arena_array(a, FIX_SPACES + 1, sizeof *spaces);
    struct al_str *terms = al_arena_array(a, 8, sizeof *terms);
    float *weights = al_arena_array(a, 8, sizeof *weights);
    float *vector = al_arena_array(a, FIX_DIM, sizeof *vector);
    assert_true(spaces && terms && weights && vector);
    bool all = fix_below(f, 3) == 0;
    for (uint32_t s = 1; s <= FIX_SPACES + 1; s++) /* one of them is nobody's */
        if (all || fix_below(f, 2))
            spaces[q.n_spaces++] = 10 * s;
    uint32_t n = 1 + fix_below(f, 5);
    for (uint32_t tries = 0; tries < 50 && q.n_terms < n; tries++) {
        const struct fix_doc *d = &f->docs[fix_below(f, (uint32_t)f->n_docs)];
        if (d->doc.n_chunks == 0)
            continue;
        struct al_str t = d->chunks[0].terms[fix_below(f, d->chunks[0].n_terms)];
        bool have = false;
        for (size_t i = 0; i < q.n_terms; i++)
            have = have || al_str_eq(terms[i], t);
        if (have)
            continue;
        weights[q.n_terms] = 0.1f + (float)fix_below(f, 5000) / 1000.0f;
        terms[q.n_terms++] = t;
    }
    fix_vector(f, vector, FIX_DIM);
    q.spaces = spaces;
    q.terms = terms;
    q.term_weights = weights;
    q.vector = vector;
    static const char *const filters[] = {"", "", "kind = \"doc\"", "NOT kind = \"code\"",
                                          "kind = \"none\""};
    struct al_err e = {0};
    AL_CHECK_OK(al_filter_compile(al_str_c(filters[fix_below(f, 5)]), a, &q.filter, &e), e);
    return q;
}

/* Statistics, both legs and missing scores of one random query against the test's own scorer. */
static inline void fix_compare_once(struct fix *f, struct al_segset *g, const char *name)
{
    static struct al_candidate want[FIX_DOCS_MAX * FIX_CHUNKS_MAX];
    struct al_arena a;
    struct al_err e = {0};
    al_arena_init(&a, NULL, 256u << 20);
    struct al_leg_query q = fix_query(f, &a);
    struct al_candidates got;
    AL_CHECK_OK(al_segset_legs(g, &q, &a, &got, &e), e);
    size_t n = fix_rank(f, &q, false, want);
    fix_check_same(name, got.text, got.n_text, want, n, q.depth);
    n = fix_rank(f, &q, true, want);
    fix_check_same(name, got.vector, got.n_vector, want, n, q.depth);
    struct al_term_stats st;
    AL_CHECK_OK(al_segset_stats(g, q.spaces, q.n_spaces, q.terms, q.n_terms, &a, &st, &e), e);
    struct al_leg_query all = q;
    uint64_t n_chunks = 0;
    uint64_t n_terms = 0;
    uint64_t df[8] = {0};
    all.filter = NULL;
    for (size_t i = 0; i < f->n_docs; i++) {
        for (uint32_t k = 0; fix_sees(&all, &f->docs[i]) && k < f->docs[i].doc.n_chunks; k++) {
            n_chunks++;
            n_terms += f->docs[i].chunks[k].n_terms;
            for (size_t t = 0; t < q.n_terms; t++)
                df[t] += fix_tf(&f->docs[i].chunks[k], q.terms[t]) > 0;
        }
    }
    assert_int_equal(st.n_chunks, n_chunks);
    assert_int_equal(st.n_terms, n_terms);
    for (size_t t = 0; t < q.n_terms; t++)
        assert_int_equal(st.df[t], df[t]);
    /* the text leg's candidates get the same scores again, and vector scores that agree with the
     * vector leg's way */
    struct al_candidate **cands = al_arena_array(&a, got.n_text, sizeof *cands);
    for (size_t i = 0; i < got.n_text; i++) {
        cands[i] = al_arena_zalloc(&a, sizeof **cands);
        *cands[i] = got.text[got.n_text - 1 - i];
        cands[i]->text_score = -5;
        cands[i]->has_text = false;
    }
    AL_CHECK_OK(al_segset_score(g, &q, cands, got.n_text, &e), e);
    for (size_t i = 0; i < got.n_text; i++) {
        const struct al_candidate *c = cands[i];
        assert_true(c->has_text && c->has_vector);
        assert_memory_equal(&c->text_score, &got.text[got.n_text - 1 - i].text_score, 4);
        for (size_t k = 0; k < got.n_vector; k++)
            if (got.vector[k].docno == c->docno && got.vector[k].chunk == c->chunk)
                assert_memory_equal(&c->vector_score, &got.vector[k].vector_score, 4);
    }
    al_arena_fini(&a);
}

static inline void fix_compare(struct fix *f, struct al_segset *g, const char *name, int rounds)
{
    for (int i = 0; i < rounds; i++)
        fix_compare_once(f, g, name);
}

#endif
