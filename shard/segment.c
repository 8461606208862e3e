#include "segment.h"

#include <string.h>

void al_segment_fini(struct al_segment *s)
{
    al_mem_free(s->mem, s->dead);
    al_mem_free(s->mem, s->counts);
    al_mem_free(s->mem, s->lengths);
    al_mem_free(s->mem, s->dead_log);
    al_mem_free(s->mem, s->dead_counts);
    s->dead_log = NULL;
    s->dead_counts = NULL;
    s->dead = NULL;
    s->counts = NULL;
}

struct al_str al_segment_id(const struct al_segment *s, const struct al_seg_doc *d)
{
    return (struct al_str){s->blob + d->blob_at, d->id_bytes};
}

struct al_str al_segment_attributes(const struct al_segment *s, const struct al_seg_doc *d)
{
    return (struct al_str){s->blob + d->blob_at + d->id_bytes, d->attr_bytes};
}

uint32_t al_segment_row_of_vec(const struct al_segment *s, uint32_t v)
{
    return s->vec_rows ? s->vec_rows[v] : v;
}

uint32_t al_segment_vec_of_row(const struct al_segment *s, uint32_t row)
{
    if (s->n_vecs == 0)
        return AL_ROW_NONE;
    if (!s->vec_rows)
        return row;
    const struct al_seg_doc *d = &s->docs[s->rows[row].doc];
    for (uint32_t v = d->vec_first; v < d->vec_first + d->n_vecs; v++)
        if (s->vec_rows[v] == row)
            return v;
    return AL_ROW_NONE;
}

enum al_code al_segment_reserve(struct al_segment *s, size_t n_docs, size_t n_spaces)
{
    size_t before = s->dead_cap;
    void *dead = s->dead;
    AL_TRY(al_mem_grow(s->mem, &dead, &s->dead_cap, al_bit_words(n_docs + 1), sizeof *s->dead));
    s->dead = dead;
    if (s->dead_cap > before)
        memset(s->dead + before, 0, (s->dead_cap - before) * sizeof *s->dead);
    void *counts = s->counts;
    AL_TRY(al_mem_grow(s->mem, &counts, &s->cap_counts, s->n_counts + n_spaces, sizeof *s->counts));
    s->counts = counts;
    return AL_OK;
}

/* Where the space is, or would be. */
static size_t count_at(const struct al_segment *s, uint32_t space)
{
    size_t low = 0;
    size_t high = s->n_counts;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (s->counts[mid].space < space)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static uint64_t terms_of(const struct al_segment *s, const struct al_seg_doc *d)
{
    uint64_t n = 0;
    for (uint32_t row = d->row_first; row < d->row_first + d->n_rows; row++)
        n += s->rows[row].n_terms;
    return n;
}

static bool is_stale(const struct al_segment *s, const struct al_seg_doc *d)
{
    return d->flags & AL_SEG_DOC_STALE || (d->n_vecs > 0 && s->n_vecs == 0);
}

void al_segment_count(struct al_segment *s, uint32_t doc)
{
    const struct al_seg_doc *d = &s->docs[doc];
    size_t at = count_at(s, d->space);
    if (at == s->n_counts || s->counts[at].space != d->space) {
        AL_ASSERT(s->n_counts < s->cap_counts);
        memmove(s->counts + at + 1, s->counts + at, (s->n_counts - at) * sizeof *s->counts);
        s->counts[at] = (struct al_space_count){.space = d->space};
        s->n_counts++;
    }
    uint64_t n_terms = terms_of(s, d);
    s->counts[at].n_docs++;
    s->counts[at].n_rows += d->n_rows;
    s->counts[at].n_terms += n_terms;
    s->n_live_terms += n_terms;
    s->n_stale += is_stale(s, d);
}

bool al_segment_is_dead(const struct al_segment *s, uint32_t doc)
{
    return al_bit_get(s->dead, doc);
}

/* Note the death, so that document frequencies need not look at all the dead each time. */
static void log_death(struct al_segment *s, uint32_t doc)
{
    if (s->is_sealed && s->n_dead_docs == 0 && s->n_terms > 0) {
        s->dead_log = al_mem_array(s->mem, s->n_docs, sizeof *s->dead_log);
        s->dead_counts = al_mem_array(s->mem, s->n_terms, sizeof *s->dead_counts);
        if (!s->dead_log || !s->dead_counts) {
            al_mem_free(s->mem, s->dead_log);
            al_mem_free(s->mem, s->dead_counts);
            s->dead_log = NULL;
            s->dead_counts = NULL;
        }
    }
    if (s->dead_log)
        s->dead_log[s->n_dead_docs] = doc;
}

bool al_segment_kill(struct al_segment *s, uint32_t doc)
{
    if (al_bit_get(s->dead, doc))
        return false;
    log_death(s, doc);
    const struct al_seg_doc *d = &s->docs[doc];
    struct al_space_count *count = &s->counts[count_at(s, d->space)];
    uint64_t n_terms = terms_of(s, d);
    al_bit_set(s->dead, doc);
    s->n_dead_docs++;
    s->n_dead_rows += d->n_rows;
    s->n_stale -= is_stale(s, d);
    s->n_live_terms -= n_terms;
    count->n_docs--;
    count->n_rows -= d->n_rows;
    count->n_terms -= n_terms;
    return true;
}

bool al_space_in(const uint32_t *spaces, size_t n_spaces, uint32_t space)
{
    size_t low = 0;
    size_t high = n_spaces;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (spaces[mid] < space)
            low = mid + 1;
        else
            high = mid;
    }
    return low < n_spaces && spaces[low] == space;
}

void al_bit_set_range(uint64_t *bits, uint32_t from, uint32_t n)
{
    uint32_t to = from + n;
    while (from < to) {
        uint32_t bit = from % 64;
        uint32_t room = 64 - bit;
        uint32_t take = to - from < room ? to - from : room;
        uint64_t ones = take == 64 ? UINT64_MAX : ((uint64_t)1 << take) - 1;
        bits[from / 64] |= ones << bit;
        from += take;
    }
}
