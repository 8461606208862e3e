/* The phases of a search over all segments: statistics, candidates, missing scores, explanation. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "segset_impl.h"

#define DEPTH_MAX 10000u
#define TERMS_MAX 4096u
#define SCORE_ARENA_BYTES (256u << 20)

static enum al_code out_of_memory(struct al_err *err)
{
    return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "search: memory limit of the request");
}

static enum al_code check_spaces(const uint32_t *spaces, size_t n, struct al_err *err)
{
    for (size_t i = 1; i < n; i++)
        if (spaces[i] <= spaces[i - 1])
            return AL_FAIL(err, AL_INVALID_ARGUMENT, "search: spaces are not ascending");
    return AL_OK;
}

static enum al_code check_query(const struct al_segset *g, const struct al_leg_query *q,
                                struct al_err *err)
{
    AL_TRY(check_spaces(q->spaces, q->n_spaces, err));
    if (q->n_terms > TERMS_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_LARGE", "search: %zu terms, at most %u",
                         q->n_terms, TERMS_MAX);
    if (!isfinite(q->k1) || !isfinite(q->avg_terms) || q->k1 < 0 || !(q->b >= 0 && q->b <= 1))
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "search: k1, b or mean length out of range");
    for (uint32_t i = 0; q->vector && i < g->dim; i++)
        if (!isfinite(q->vector[i]))
            return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "NOT_FINITE",
                             "search: vector element %u is not finite", i);
    return AL_OK;
}

/* ---- statistics ---- */

static enum al_code stats_of(struct al_scope *s, const struct al_str *terms, size_t n_terms,
                             uint64_t *df, struct al_err *err)
{
    for (size_t i = 0; i < s->n_parts; i++) {
        if (i + 1 == s->n_parts)
            al_scope_lock(s);
        if (!s->parts[i].seg->is_sealed)
            AL_TRY(al_scope_select(s, &s->parts[i], err));
        AL_TRY(al_bm25_df(s, &s->parts[i], terms, n_terms, df, err));
    }
    return AL_OK;
}

// NOLINTNEXTLINE(readability-function-size): eight parameters, of the contract
enum al_code al_segset_stats(struct al_segset *g, const uint32_t *spaces, size_t n_spaces,
                             const struct al_str *terms, size_t n_terms, struct al_arena *a,
                             struct al_term_stats *ret, struct al_err *err)
{
    struct al_scope s;
    AL_TRY(check_spaces(spaces, n_spaces, err));
    uint64_t *df = al_arena_array(a, n_terms, sizeof *df);
    if (!df)
        return out_of_memory(err);
    AL_TRY(al_scope_open(g, spaces, n_spaces, a, &s, err));
    enum al_code code = n_terms ? stats_of(&s, terms, n_terms, df, err) : AL_OK;
    if (code == AL_OK)
        *ret = (struct al_term_stats){.n_chunks = s.n_chunks, .n_terms = s.n_terms, .df = df};
    al_scope_close(&s);
    return code;
}

/* ---- candidates ---- */

static enum al_code candidates_of(struct al_topk *t, bool is_vector, struct al_arena *a,
                                  struct al_candidate **ret, size_t *ret_n, struct al_err *err)
{
    struct al_candidate *out = al_arena_array(a, t->n, sizeof *out);
    if (!out)
        return out_of_memory(err);
    al_topk_sort(t);
    for (uint32_t i = 0; i < t->n; i++) {
        const struct al_hit *h = &t->hits[i];
        out[i] = (struct al_candidate){.docno = h->doc->docno,
                                       .chunk = h->chunk,
                                       .space = h->doc->space,
                                       .has_vector = is_vector,
                                       .has_text = !is_vector,
                                       .vector_score = is_vector ? h->score : 0,
                                       .text_score = is_vector ? 0 : h->score};
        AL_TRY(al_arena_str(a, al_segment_id(h->seg, h->doc), &out[i].id, err));
    }
    *ret = out;
    *ret_n = t->n;
    return AL_OK;
}

static enum al_code legs_of(struct al_scope *s, const struct al_leg_query *q,
                            struct al_candidates *ret, struct al_err *err)
{
    struct al_topk vector = {0};
    struct al_topk text = {0};
    if (q->vector)
        AL_TRY(al_topk_init(&vector, q->depth, s->arena, err));
    if (q->n_terms)
        AL_TRY(al_topk_init(&text, q->depth, s->arena, err));
    for (size_t i = 0; i < s->n_parts; i++) {
        struct al_part *p = &s->parts[i];
        if (i + 1 == s->n_parts)
            al_scope_lock(s);
        AL_TRY(al_scope_select(s, p, err));
        if (q->n_terms)
            AL_TRY(al_bm25_search(s, p, q, &text, err));
        if (q->vector)
            AL_TRY(al_vector_search(s, p, q, &vector, err));
    }
    struct al_candidates c = {0};
    AL_TRY(candidates_of(&vector, true, s->arena, &c.vector, &c.n_vector, err));
    AL_TRY(candidates_of(&text, false, s->arena, &c.text, &c.n_text, err));
    *ret = c;
    return AL_OK;
}

enum al_code al_segset_legs(struct al_segset *g, const struct al_leg_query *q, struct al_arena *a,
                            struct al_candidates *ret, struct al_err *err)
{
    struct al_scope s;
    if (q->depth == 0 || q->depth > DEPTH_MAX)
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "search: depth %u, expected 1 to %u", q->depth,
                       DEPTH_MAX);
    AL_TRY(check_query(g, q, err));
    AL_TRY(al_scope_open(g, q->spaces, q->n_spaces, a, &s, err));
    s.filter = q->filter;
    s.deadline_ns = q->deadline_ns;
    enum al_code code = legs_of(&s, q, ret, err);
    al_scope_close(&s);
    return code;
}

/* ---- missing scores ---- */

static int cmp_rows(const void *a, const void *b)
{
    const struct al_row_score *x = a;
    const struct al_row_score *y = b;
    return x->row < y->row ? -1 : x->row > y->row;
}

/* The candidates of one call, and room for as many rows. */
struct batch {
    struct al_candidate *const *cands;
    size_t n;
    struct al_row_score *rows;
};

/* The batch's rows in this part, ascending; returns how many. */
static size_t rows_in(const struct al_scope *s, const struct al_part *p, const struct batch *b)
{
    struct al_candidate *const *cands = b->cands;
    size_t found = 0;
    for (size_t i = 0; i < b->n; i++) {
        if (!al_space_in(s->spaces, s->n_spaces, cands[i]->space))
            continue;
        uint32_t doc = al_part_find(p, cands[i]->space, cands[i]->docno);
        if (doc == AL_ROW_NONE || cands[i]->chunk >= p->seg->docs[doc].n_rows)
            continue;
        uint32_t row = p->seg->docs[doc].row_first + cands[i]->chunk;
        b->rows[found++] = (struct al_row_score){row, (uint32_t)i, 0};
    }
    qsort(b->rows, found, sizeof *b->rows, cmp_rows);
    return found;
}

static enum al_code score_part(const struct al_scope *s, const struct al_part *p,
                               const struct al_leg_query *q, const struct batch *b,
                               struct al_err *err)
{
    struct al_row_score *rows = b->rows;
    AL_TRY(al_scope_poll(s, err));
    size_t found = rows_in(s, p, b);
    AL_TRY(al_bm25_score_rows(p, q, rows, found, err));
    for (size_t i = 0; i < found; i++) {
        struct al_candidate *c = b->cands[rows[i].cand];
        if (q->n_terms) {
            c->text_score = (float)rows[i].score;
            c->has_text = true;
        }
        if (q->vector) {
            c->vector_score = al_vector_score(p->seg, q->vector, rows[i].row);
            c->has_vector = true;
        }
    }
    return AL_OK;
}

enum al_code al_segset_score(struct al_segset *g, const struct al_leg_query *q,
                             struct al_candidate *const *cands, size_t n, struct al_err *err)
{
    struct al_arena a;
    struct al_scope s;
    AL_TRY(check_query(g, q, err));
    if (n > UINT32_MAX)
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "search: too many candidates");
    al_arena_init(&a, g->mem, SCORE_ARENA_BYTES);
    struct al_row_score *rows = al_arena_array(&a, n, sizeof *rows);
    enum al_code code =
        rows ? al_scope_open(g, q->spaces, q->n_spaces, &a, &s, err) : out_of_memory(err);
    if (code != AL_OK) {
        al_arena_fini(&a);
        return code;
    }
    struct batch batch = {cands, n, rows};
    s.deadline_ns = q->deadline_ns;
    for (size_t i = 0; code == AL_OK && i < s.n_parts; i++) {
        if (i + 1 == s.n_parts)
            al_scope_lock(&s);
        code = score_part(&s, &s.parts[i], q, &batch, err);
    }
    al_scope_close(&s);
    al_arena_fini(&a);
    return code;
}

/* ---- explanation ---- */

/* The document of a docno in any visible space of the part. */
static uint32_t find_visible(const struct al_scope *s, const struct al_part *p, uint64_t docno)
{
    const struct al_segment *seg = p->seg;
    uint32_t doc = AL_ROW_NONE;
    for (uint32_t i = 0; i < seg->n_ranges && doc == AL_ROW_NONE; i++)
        if (al_space_in(s->spaces, s->n_spaces, seg->ranges[i].space))
            doc = al_part_find(p, seg->ranges[i].space, docno);
    for (size_t i = 0; !seg->is_sealed && i < s->n_spaces && doc == AL_ROW_NONE; i++)
        doc = al_part_find(p, s->spaces[i], docno);
    return doc;
}

static enum al_code explain_in(struct al_scope *s, const struct al_leg_query *q, uint64_t docno,
                               uint32_t chunk, struct al_term_part *parts, struct al_err *err)
{
    for (size_t i = 0; i < s->n_parts; i++) {
        const struct al_part *p = &s->parts[i];
        if (i + 1 == s->n_parts)
            al_scope_lock(s);
        uint32_t doc = find_visible(s, p, docno);
        if (doc != AL_ROW_NONE && chunk < p->seg->docs[doc].n_rows)
            return al_bm25_explain(p, q, p->seg->docs[doc].row_first + chunk, parts, err);
    }
    return AL_FAIL(err, AL_NOT_FOUND, "chunk %u of document number %llu is not there", chunk,
                   (unsigned long long)docno);
}

// NOLINTNEXTLINE(readability-function-size): seven parameters, of the contract
enum al_code al_segset_explain(struct al_segset *g, const struct al_leg_query *q, uint64_t docno,
                               uint32_t chunk, struct al_arena *a, struct al_term_part **ret,
                               struct al_err *err)
{
    struct al_scope s;
    AL_TRY(check_query(g, q, err));
    struct al_term_part *parts = al_arena_array(a, q->n_terms, sizeof *parts);
    if (!parts)
        return out_of_memory(err);
    AL_TRY(al_scope_open(g, q->spaces, q->n_spaces, a, &s, err));
    enum al_code code = explain_in(&s, q, docno, chunk, parts, err);
    al_scope_close(&s);
    if (code == AL_OK)
        *ret = parts;
    return code;
}
