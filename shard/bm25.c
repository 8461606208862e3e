/* BM25 by looking at every posting: what the pruned search is held against, and what serves queries
 * that it does not take.
 *
 * A search goes through the rows in windows: each list adds its part to the window's sums, then the
 * window is offered. */
#include "bm25.h"

#include <string.h>

#define WINDOW 4096u

struct window {
    double sums[WINDOW];
    uint64_t touched[WINDOW / 64];
    uint32_t first; /* row of sums[0] */
};

enum al_code al_bm25_damaged(struct al_err *err)
{
    return AL_FAIL(err, AL_DATA_LOSS, "segment: postings are malformed");
}

bool al_bm25_next_range(const struct al_scope *s, const struct al_part *p, uint32_t *at,
                        struct al_row_range *ret)
{
    const struct al_segment *seg = p->seg;
    if (!seg->is_sealed) {
        *ret = (struct al_row_range){0, p->n_rows};
        return (*at)++ == 0 && p->n_rows > 0;
    }
    while (*at < seg->n_ranges && !al_space_in(s->spaces, s->n_spaces, seg->ranges[*at].space))
        ++*at;
    if (*at == seg->n_ranges)
        return false;
    *ret = (struct al_row_range){seg->ranges[*at].row_first, seg->ranges[*at].row_first};
    for (; *at < seg->n_ranges && al_space_in(s->spaces, s->n_spaces, seg->ranges[*at].space);
         ++*at)
        ret->to += seg->ranges[*at].n_rows;
    return true;
}

/* A list of the query that this part has. */
struct list {
    struct al_list postings;
    float weight;
};

/* Add the list's parts to the window's sums. */
static void add_list(const struct al_part *p, const struct al_leg_query *q, struct list *l,
                     struct window *w)
{
    const struct al_seg_row *rows = p->seg->rows;
    uint32_t end = w->first + WINDOW;
    for (uint32_t row; (row = al_list_row(&l->postings)) < end; al_list_next(&l->postings)) {
        if (!al_part_allows(p, rows[row].doc))
            continue;
        uint32_t at = row - w->first;
        w->sums[at] += al_bm25_part(q, l->weight, al_list_tf(&l->postings), rows[row].n_terms);
        al_bit_set(w->touched, at);
    }
}

/* Offer what was touched, and leave the window clean. */
static void offer_window(const struct al_part *p, struct window *w, struct al_topk *best)
{
    for (uint32_t i = 0; i < WINDOW / 64; i++) {
        for (uint64_t bits = w->touched[i]; bits; bits &= bits - 1) {
            uint32_t at = i * 64 + (uint32_t)__builtin_ctzll(bits);
            al_bm25_offer(p, w->first + at, w->sums[at], best);
            w->sums[at] = 0;
        }
        w->touched[i] = 0;
    }
}

static uint32_t lowest_row(const struct list *lists, size_t n)
{
    uint32_t row = AL_ROW_NONE;
    for (size_t i = 0; i < n; i++)
        if (al_list_row(&lists[i].postings) < row)
            row = al_list_row(&lists[i].postings);
    return row;
}

enum al_code al_bm25_search_all(const struct al_scope *s, const struct al_part *p,
                                const struct al_leg_query *q, struct al_topk *best,
                                struct al_err *err)
{
    struct list *lists = al_arena_array(s->arena, q->n_terms, sizeof *lists);
    struct window *w = al_arena_zalloc(s->arena, sizeof *w);
    if (!lists || !w)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "search: memory limit of the request");
    size_t n = 0;
    for (size_t i = 0; i < q->n_terms; i++) {
        lists[n].weight = q->term_weights[i];
        n += al_bm25_open(p, q->terms[i], &lists[n].postings);
    }
    for (uint32_t row = lowest_row(lists, n); row != AL_ROW_NONE; row = lowest_row(lists, n)) {
        AL_TRY(al_scope_poll(s, err));
        w->first = row - row % WINDOW;
        for (size_t i = 0; i < n; i++)
            add_list(p, q, &lists[i], w);
        offer_window(p, w, best);
    }
    for (size_t i = 0; i < n; i++)
        if (lists[i].postings.damaged)
            return al_bm25_damaged(err);
    return AL_OK;
}

enum al_code al_bm25_score_rows(const struct al_part *p, const struct al_leg_query *q,
                                struct al_row_score *rows, size_t n, struct al_err *err)
{
    struct al_list l;
    for (size_t t = 0; n > 0 && t < q->n_terms; t++) {
        if (!al_bm25_open(p, q->terms[t], &l))
            continue;
        for (size_t i = 0; i < n; i++)
            if (al_list_seek(&l, rows[i].row) == rows[i].row)
                rows[i].score += al_bm25_part(q, q->term_weights[t], al_list_tf(&l),
                                              p->seg->rows[rows[i].row].n_terms);
        if (l.damaged)
            return al_bm25_damaged(err);
    }
    return AL_OK;
}

enum al_code al_bm25_explain(const struct al_part *p, const struct al_leg_query *q, uint32_t row,
                             struct al_term_part *ret, struct al_err *err)
{
    struct al_list l;
    for (size_t t = 0; t < q->n_terms; t++) {
        ret[t] = (struct al_term_part){0};
        if (!al_bm25_open(p, q->terms[t], &l))
            continue;
        uint32_t found = al_list_seek(&l, row);
        if (l.damaged)
            return al_bm25_damaged(err);
        if (found == row) {
            ret[t].tf = al_list_tf(&l);
            ret[t].score =
                (float)al_bm25_part(q, q->term_weights[t], ret[t].tf, p->seg->rows[row].n_terms);
        }
    }
    return AL_OK;
}
