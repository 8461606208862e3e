/* BM25 (Robertson and others 1994), exhaustive, as one sum per row over the query's terms in their
 * order:
 *
 *     score = sum of weight * tf / (tf + k1 * (1 - b + b * length / mean length))
 *
 * in double precision. Weights come from the caller, so that the score of a row depends on the row
 * and the query alone: bit for bit the same in a growing segment, a sealed one, and one of many.
 *
 * A search goes through the rows in windows: each list adds its part to the window's sums, then the
 * window is offered. */
#include <string.h>

#include "segset_impl.h"

#define WINDOW 4096u

struct window {
    double sums[WINDOW];
    uint64_t touched[WINDOW / 64];
    uint32_t first; /* row of sums[0] */
};

static double part_of(const struct al_leg_query *q, float weight, uint32_t tf, uint32_t length)
{
    double mean = q->avg_terms > 0 ? (double)q->avg_terms : 1.0;
    double norm = (double)q->k1 * (1.0 - (double)q->b + (double)q->b * (double)length / mean);
    return (double)weight * (double)tf / ((double)tf + norm);
}

static enum al_code damaged(struct al_err *err)
{
    return AL_FAIL(err, AL_DATA_LOSS, "segment: postings are malformed");
}

static bool open_list(const struct al_part *p, struct al_str term, struct al_cursor *c)
{
    struct al_postings_view v;
    if (p->n_rows == 0 || !p->seg->find(p->seg, term, &v))
        return false;
    al_cursor_init(c, &v, p->n_rows, p->seg->is_sealed);
    return true;
}

static uint64_t count_rows(const struct al_part *p, struct al_cursor *c)
{
    uint64_t n = 0;
    for (; c->row != AL_ROW_NONE; al_cursor_next(c))
        n += al_part_allows(p, p->seg->rows[c->row].doc);
    return n;
}

enum al_code al_bm25_df(const struct al_scope *s, const struct al_part *p,
                        const struct al_str *terms, size_t n_terms, uint64_t *ret_df,
                        struct al_err *err)
{
    for (size_t i = 0; i < n_terms; i++) {
        struct al_postings_view v;
        struct al_cursor c;
        if (p->n_rows == 0 || !p->seg->find(p->seg, terms[i], &v))
            continue;
        if (!p->mask && p->seg->is_sealed) {
            ret_df[i] += v.n_rows;
            continue;
        }
        al_cursor_init(&c, &v, p->n_rows, p->seg->is_sealed);
        ret_df[i] += count_rows(p, &c);
        if (c.damaged)
            return damaged(err);
        AL_TRY(al_scope_poll(s, err));
    }
    return AL_OK;
}

/* A list of the query that this part has. */
struct list {
    struct al_cursor cursor;
    float weight;
};

/* Add the list's parts to the window's sums. */
static void add_list(const struct al_part *p, const struct al_leg_query *q, struct list *l,
                     struct window *w)
{
    const struct al_seg_row *rows = p->seg->rows;
    uint32_t end = w->first + WINDOW;
    struct al_cursor *c = &l->cursor;
    for (; c->row < end; al_cursor_next(c)) { /* AL_ROW_NONE is above all */
        const struct al_seg_row *row = &rows[c->row];
        if (!al_part_allows(p, row->doc))
            continue;
        uint32_t at = c->row - w->first;
        w->sums[at] += part_of(q, l->weight, c->tf, row->n_terms);
        al_bit_set(w->touched, at);
    }
}

static void offer_one(const struct al_part *p, uint32_t row, float score, struct al_topk *best)
{
    if (al_topk_is_hopeless(best, score))
        return;
    const struct al_seg_doc *d = &p->seg->docs[p->seg->rows[row].doc];
    al_topk_offer(best, &(struct al_hit){score, row - d->row_first, p->seg, d});
}

/* Offer what was touched, and leave the window clean. */
static void offer_window(const struct al_part *p, struct window *w, struct al_topk *best)
{
    for (uint32_t i = 0; i < WINDOW / 64; i++) {
        for (uint64_t bits = w->touched[i]; bits; bits &= bits - 1) {
            uint32_t at = i * 64 + (uint32_t)__builtin_ctzll(bits);
            offer_one(p, w->first + at, (float)w->sums[at], best);
            w->sums[at] = 0;
        }
        w->touched[i] = 0;
    }
}

static uint32_t lowest_row(const struct list *lists, size_t n)
{
    uint32_t row = AL_ROW_NONE;
    for (size_t i = 0; i < n; i++)
        row = lists[i].cursor.row < row ? lists[i].cursor.row : row;
    return row;
}

enum al_code al_bm25_search(const struct al_scope *s, const struct al_part *p,
                            const struct al_leg_query *q, struct al_topk *best, struct al_err *err)
{
    struct list *lists = al_arena_array(s->arena, q->n_terms, sizeof *lists);
    struct window *w = al_arena_zalloc(s->arena, sizeof *w);
    if (!lists || !w)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "search: memory limit of the request");
    size_t n = 0;
    for (size_t i = 0; i < q->n_terms; i++) {
        lists[n].weight = q->term_weights[i];
        n += open_list(p, q->terms[i], &lists[n].cursor);
    }
    for (uint32_t row = lowest_row(lists, n); row != AL_ROW_NONE; row = lowest_row(lists, n)) {
        AL_TRY(al_scope_poll(s, err));
        w->first = row - row % WINDOW;
        for (size_t i = 0; i < n; i++)
            add_list(p, q, &lists[i], w);
        offer_window(p, w, best);
    }
    for (size_t i = 0; i < n; i++)
        if (lists[i].cursor.damaged)
            return damaged(err);
    return AL_OK;
}

enum al_code al_bm25_score_rows(const struct al_part *p, const struct al_leg_query *q,
                                struct al_row_score *rows, size_t n, struct al_err *err)
{
    for (size_t t = 0; t < q->n_terms; t++) {
        struct al_cursor c;
        if (!open_list(p, q->terms[t], &c))
            continue;
        for (size_t i = 0; i < n; i++) {
            al_cursor_seek(&c, rows[i].row);
            if (c.row == rows[i].row)
                rows[i].score += part_of(q, q->term_weights[t], c.tf, p->seg->rows[c.row].n_terms);
        }
        if (c.damaged)
            return damaged(err);
    }
    return AL_OK;
}

enum al_code al_bm25_explain(const struct al_part *p, const struct al_leg_query *q, uint32_t row,
                             struct al_term_part *ret, struct al_err *err)
{
    for (size_t t = 0; t < q->n_terms; t++) {
        struct al_cursor c;
        ret[t] = (struct al_term_part){0};
        if (!open_list(p, q->terms[t], &c))
            continue;
        al_cursor_seek(&c, row);
        if (c.damaged)
            return damaged(err);
        if (c.row == row) {
            ret[t].tf = c.tf;
            ret[t].score = (float)part_of(q, q->term_weights[t], c.tf, p->seg->rows[row].n_terms);
        }
    }
    return AL_OK;
}
