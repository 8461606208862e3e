/* The pruned search and the counts of documents against the plain way, on random corpora. Built
 * twice: as it is, and with windows of a few rows and without vector instructions. */
#include "bm25.h"

#include <math.h>
#include <stdlib.h>

#include "airlore/random.h"
#include "airlore/testing.h"

#define DOCS_MAX 3000u
#define CHUNKS_MAX 4u
#define CORPORA 48
#define QUERIES 150
#define TERMS 9u
#define HITS_MAX 1200u

struct doc {
    uint32_t space;
    uint32_t kind;
    uint32_t n_chunks;
    uint64_t seed; /* of its text */
    bool live;
    char id[16];
};

struct corpus {
    struct al_seeded_random random;
    struct doc docs[DOCS_MAX];
    uint32_t n_docs;
    uint32_t n_words;
    uint32_t length_max;
    uint32_t n_spaces;
    bool like; /* texts are few, so that scores tie */
    struct al_segset *set;
    char dir[256];
};

static uint32_t below(struct al_seeded_random *r, uint32_t n)
{
    return (uint32_t)al_random_below(&r->random, n);
}

/* Word i; no stemmer changes it. */
static struct al_str word(uint32_t i, char buf[8])
{
    static const char letters[] = "bcdfgkmpqtvxz";
    buf[0] = 'q';
    for (int k = 1; k < 5; k++, i /= 13)
        buf[k] = letters[i % 13];
    buf[5] = '\0';
    return al_str_c(buf);
}

/* Few words are frequent, most are rare. */
static uint32_t pick_word(struct al_seeded_random *r, uint32_t n_words)
{
    uint32_t n = n_words;
    for (int i = 0; i < 3; i++)
        n = 1 + below(r, n);
    return n - 1;
}

/* The texts of a document, from its seed. */
static void write_text(const struct corpus *c, const struct doc *d, struct al_buf *body,
                       struct al_chunk chunks[CHUNKS_MAX])
{
    struct al_seeded_random r;
    char buf[8];
    al_seeded_random_init(&r, d->seed);
    for (uint32_t i = 0; i < d->n_chunks; i++) {
        chunks[i] = (struct al_chunk){.start = (uint32_t)body->n, .heading = AL_STR("")};
        uint32_t n = 1 + below(&r, below(&r, 20) ? c->length_max : c->length_max * 20);
        for (uint32_t k = 0; k < n; k++) {
            struct al_str w = word(pick_word(&r, c->n_words), buf);
            for (uint32_t again = below(&r, 6) ? 1 : 1 + below(&r, 9); again > 0; again--) {
                al_buf_str(body, w);
                al_buf_char(body, ' ');
            }
        }
        chunks[i].end = (uint32_t)body->n;
    }
}

static enum al_code each(void *u, uint64_t first, uint64_t last,
                         enum al_code (*visit)(void *v, const struct al_doc *d, struct al_err *err),
                         void *v, struct al_err *err)
{
    static const char *const kinds[] = {"doc", "runbook", "code"};
    const struct corpus *c = u;
    for (uint64_t i = first; i < last; i++) {
        struct al_buf body;
        struct al_chunk chunks[CHUNKS_MAX];
        al_buf_init(&body, NULL, 0);
        write_text(c, &c->docs[i], &body, chunks);
        struct al_doc d = {.space = c->docs[i].space,
                           .id = al_str_c(c->docs[i].id),
                           .docno = (i + 1) << 20,
                           .visibility = AL_VIS_TEAM,
                           .kind = al_str_c(kinds[c->docs[i].kind]),
                           .embedder_id = AL_STR(""),
                           .body = al_buf_view(&body),
                           .chunks = chunks,
                           .n_chunks = c->docs[i].n_chunks};
        enum al_code code = visit ? visit(v, &d, err) : al_segset_add(c->set, &d, err);
        al_buf_fini(&body);
        AL_TRY(code);
    }
    return AL_OK;
}

static void seal(struct corpus *c, uint64_t first, uint64_t last)
{
    struct al_err e = {0};
    struct al_built *b = NULL;
    struct al_doc_source src = {each, c};
    AL_CHECK_OK(al_segset_build(c->set, &src, first, last, NULL, NULL, &b, &e), e);
    AL_CHECK_OK(al_segset_swap(c->set, b, &e), e);
}

/* Two sealed segments and a growing one, of random size; some documents are dead. */
static void corpus_init(struct corpus *c, uint64_t seed)
{
    struct al_err e = {0};
    struct al_seeded_random *r = &c->random;
    memset(c, 0, sizeof *c);
    al_seeded_random_init(r, seed);
    (void)al_test_dir(c->dir, sizeof c->dir);
    c->n_docs = 20 + below(r, seed % 3 ? 500 : DOCS_MAX - 20);
    c->n_words = 10 + below(r, 3000);
    c->length_max = 1 + below(r, 30);
    c->n_spaces = 1 + below(r, 5);
    c->like = below(r, 3) == 0;
    for (uint32_t i = 0; i < c->n_docs; i++) {
        struct doc *d = &c->docs[i];
        *d = (struct doc){.space = 10 * (1 + below(r, c->n_spaces)),
                          .kind = below(r, 3),
                          .n_chunks = below(r, CHUNKS_MAX + 1),
                          .seed = c->like ? below(r, 5) : seed << 20 | i,
                          .live = true};
        snprintf(d->id, sizeof d->id, "d%u", below(r, 100));
    }
    struct al_segset_options opt = {
        .dir = c->dir, .dim = 4, .embedder_id = "none", .index = al_index_flat()};
    AL_CHECK_OK(al_segset_create(&opt, &c->set, &e), e);
    uint32_t cut = below(r, c->n_docs / 2);
    uint32_t end = c->n_docs - below(r, c->n_docs / 3);
    seal(c, 0, cut);
    seal(c, cut, end);
    AL_CHECK_OK(each(c, end, c->n_docs, NULL, NULL, &e), e);
}

static void kill_some(struct corpus *c, uint32_t percent)
{
    for (uint32_t i = 0; i < c->n_docs; i++) {
        if (!c->docs[i].live || below(&c->random, 100) >= percent)
            continue;
        (void)al_segset_remove(c->set, c->docs[i].space, (uint64_t)(i + 1) << 20);
        c->docs[i].live = false;
    }
}

/* A query; its memory is in the arena. */
static struct al_leg_query make_query(struct corpus *c, struct al_arena *a)
{
    static const uint32_t depths[] = {1, 3, 10, 100, 1000};
    static const char *const filters[] = {"", "", "kind = \"doc\"", "NOT kind = \"code\"",
                                          "kind = \"none\""};
    struct al_seeded_random *r = &c->random;
    uint32_t *spaces = al_arena_array(a, 6, sizeof *spaces);
    struct al_str *terms = al_arena_array(a, TERMS, sizeof *terms);
    float *weights = al_arena_array(a, TERMS, sizeof *weights);
    assert_true(spaces && terms && weights);
    struct al_leg_query q = {.spaces = spaces,
                             .terms = terms,
                             .term_weights = weights,
                             .avg_terms = (float)below(r, 600) / 10.0f,
                             .k1 = (float)below(r, 40) / 10.0f,
                             .b = (float)below(r, 11) / 10.0f,
                             .depth = depths[below(r, 5)],
                             .deadline_ns = AL_DEADLINE_NONE};
    bool all = below(r, 2);
    for (uint32_t s = 1; s <= 6; s++)
        if (all || below(r, 2))
            spaces[q.n_spaces++] = 10 * s;
    uint32_t n = 1 + below(r, TERMS);
    uint32_t first = pick_word(r, c->n_words);
    bool equal = below(r, 4) == 0;
    for (uint32_t i = 0; i < n; i++) {
        char buf[8];
        uint32_t w = i ? (first + i * i * i * 7) % (c->n_words + 5) : first;
        bool have = false;
        AL_CHECK_OK(al_arena_str(a, word(w, buf), &terms[q.n_terms], NULL), (struct al_err){0});
        for (size_t k = 0; k < q.n_terms; k++)
            have = have || al_str_eq(terms[k], terms[q.n_terms]);
        if (have)
            continue;
        weights[q.n_terms++] = equal ? 1.0f : 0.01f + (float)below(r, 8000) / 1000.0f;
    }
    struct al_err e = {0};
    AL_CHECK_OK(al_filter_compile(al_str_c(filters[below(r, 5)]), a, &q.filter, &e), e);
    return q;
}

/* One search over all parts, by one way or the other. */
static struct al_topk search(struct corpus *c, const struct al_leg_query *q, bool pruned,
                             struct al_arena *a)
{
    struct al_scope s;
    struct al_topk best;
    struct al_err e = {0};
    AL_CHECK_OK(al_scope_open(c->set, q->spaces, q->n_spaces, a, &s, &e), e);
    AL_CHECK_OK(al_topk_init(&best, q->depth, a, &e), e);
    s.filter = q->filter;
    for (size_t i = 0; i < s.n_parts; i++) {
        AL_CHECK_OK(al_scope_select(&s, &s.parts[i], &e), e);
        enum al_code code = pruned ? al_bm25_search(&s, &s.parts[i], q, &best, &e)
                                   : al_bm25_search_all(&s, &s.parts[i], q, &best, &e);
        AL_CHECK_OK(code, e);
    }
    al_topk_sort(&best);
    al_scope_close(&s);
    return best;
}

static size_t compare(struct corpus *c, const struct al_leg_query *q, struct al_arena *a)
{
    struct al_topk want = search(c, q, false, a);
    struct al_topk got = search(c, q, true, a);
    assert_int_equal(got.n, want.n);
    for (uint32_t i = 0; i < want.n; i++) {
        if (got.hits[i].doc != want.hits[i].doc || got.hits[i].chunk != want.hits[i].chunk ||
            memcmp(&got.hits[i].score, &want.hits[i].score, sizeof(float)) != 0)
            fail_msg("hit %u of %u: got %.9g of %llu, expected %.9g of %llu", i, want.n,
                     (double)got.hits[i].score, (unsigned long long)got.hits[i].doc->docno,
                     (double)want.hits[i].score, (unsigned long long)want.hits[i].doc->docno);
    }
    return want.n;
}

/* Rows that hold the term, by the exhaustive way: every posting, every mask. */
static uint64_t count_rows(struct corpus *c, const struct al_leg_query *q, size_t term,
                           struct al_arena *a)
{
    struct al_scope s;
    struct al_list l;
    struct al_err e = {0};
    uint64_t n = 0;
    AL_CHECK_OK(al_scope_open(c->set, q->spaces, q->n_spaces, a, &s, &e), e);
    for (size_t i = 0; i < s.n_parts; i++) {
        const struct al_part *p = &s.parts[i];
        AL_CHECK_OK(al_scope_select(&s, &s.parts[i], &e), e);
        if (!al_bm25_open(p, q->terms[term], &l))
            continue;
        for (; l.n > 0; al_list_next(&l))
            n += al_part_allows(p, p->seg->rows[al_list_row(&l)].doc);
    }
    al_scope_close(&s);
    return n;
}

static void check_df(struct corpus *c, const struct al_leg_query *q, struct al_arena *a)
{
    struct al_term_stats st;
    struct al_err e = {0};
    AL_CHECK_OK(al_segset_stats(c->set, q->spaces, q->n_spaces, q->terms, q->n_terms, a, &st, &e),
                e);
    for (size_t t = 0; t < q->n_terms; t++)
        assert_int_equal(st.df[t], count_rows(c, q, t, a));
}

static size_t run_queries(struct corpus *c, int n)
{
    size_t n_hits = 0;
    for (int i = 0; i < n; i++) {
        struct al_arena a;
        al_arena_init(&a, NULL, 256u << 20);
        struct al_leg_query q = make_query(c, &a);
        n_hits += compare(c, &q, &a);
        check_df(c, &q, &a);
        al_arena_fini(&a);
    }
    return n_hits;
}

static void test_pruned_equals_exhaustive(void **state)
{
    (void)state;
    static struct corpus c;
    size_t n_hits = 0;
    for (uint64_t seed = 1; seed <= CORPORA; seed++) {
        corpus_init(&c, seed);
        n_hits += run_queries(&c, QUERIES);
        kill_some(&c, 1);
        n_hits += run_queries(&c, QUERIES / 3);
        kill_some(&c, 10 + (uint32_t)seed * 4);
        n_hits += run_queries(&c, QUERIES / 3);
        kill_some(&c, 2);
        n_hits += run_queries(&c, QUERIES / 3);
        al_segset_destroy(c.set);
    }
    assert_true(n_hits > 100000);
}

/* Weights, k1, b and mean lengths that no one should bring, and that must not change the answer. */
static void test_odd_parameters_give_the_same(void **state)
{
    (void)state;
    static struct corpus c;
    static const float weights[] = {0,     -1.0f,     1e-30f,   1e30f, 1e-7f,
                                    1e37f, -INFINITY, INFINITY, NAN,   1e6f};
    static const float k1s[] = {0, 1e-30f, 1e30f, 0.9f, 1e12f};
    static const float means[] = {0, 1e-30f, 1e30f, 20.0f, -5.0f};
    corpus_init(&c, 77);
    for (int i = 0; i < 400; i++) {
        struct al_arena a;
        al_arena_init(&a, NULL, 256u << 20);
        struct al_leg_query q = make_query(&c, &a);
        float *w = al_arena_array(&a, TERMS, sizeof *w);
        assert_non_null(w);
        for (size_t t = 0; t < q.n_terms; t++)
            w[t] = below(&c.random, 2) ? weights[below(&c.random, 10)] : q.term_weights[t];
        q.term_weights = w;
        q.k1 = k1s[below(&c.random, 5)];
        q.avg_terms = means[below(&c.random, 5)];
        (void)compare(&c, &q, &a);
        al_arena_fini(&a);
    }
    al_segset_destroy(c.set);
}

/* More terms than rows of anything else that is kept in fixed numbers. */
static void test_many_terms(void **state)
{
    (void)state;
    static struct corpus c;
    corpus_init(&c, 99);
    for (int i = 0; i < 20; i++) {
        struct al_arena a;
        al_arena_init(&a, NULL, 256u << 20);
        struct al_leg_query q = make_query(&c, &a);
        size_t n = 10 + below(&c.random, 200);
        struct al_str *terms = al_arena_array(&a, n, sizeof *terms);
        float *w = al_arena_array(&a, n, sizeof *w);
        assert_true(terms && w);
        for (size_t t = 0; t < n; t++) {
            char buf[8];
            w[t] = 0.5f + (float)below(&c.random, 100) / 10.0f;
            AL_CHECK_OK(al_arena_str(&a, word((uint32_t)t, buf), &terms[t], NULL),
                        (struct al_err){0});
        }
        q.terms = terms;
        q.term_weights = w;
        q.n_terms = n;
        (void)compare(&c, &q, &a);
        al_arena_fini(&a);
    }
    al_segset_destroy(c.set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pruned_equals_exhaustive),
        cmocka_unit_test(test_odd_parameters_give_the_same),
        cmocka_unit_test(test_many_terms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
