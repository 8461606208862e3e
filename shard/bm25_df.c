/* Document frequencies: how many visible live rows hold a term. */
#include "bm25.h"

/* Rows of the growing segment, which is small, one by one. */
static uint64_t count_growing(const struct al_part *p, struct al_list *l)
{
    uint64_t n = 0;
    for (; l->n > 0; al_list_next_block(l))
        for (uint32_t i = 0; i < l->n; i++)
            n += al_part_allows(p, p->seg->rows[l->rows[i]].doc);
    return n;
}

enum al_code al_bm25_df(const struct al_scope *s, const struct al_part *p,
                        const struct al_str *terms, size_t n_terms, uint64_t *ret_df,
                        struct al_err *err)
{
    struct al_list l;
    for (size_t i = 0; i < n_terms; i++) {
        struct al_postings_view v;
        if (p->n_rows == 0 || !p->seg->find(p->seg, terms[i], &v))
            continue;
        if (!p->mask && p->seg->is_sealed) {
            ret_df[i] += v.n_rows;
            continue;
        }
        al_list_init(&l, &v, p->n_rows, p->seg->is_sealed);
        ret_df[i] += count_growing(p, &l);
        if (l.damaged)
            return al_bm25_damaged(err);
        AL_TRY(al_scope_poll(s, err));
    }
    return AL_OK;
}
