/* BM25 without looking at rows that cannot be among the best: MAXSCORE (Turtle and Flood 1995) with
 * bounds of blocks (Ding and Suel 2011) over windows of rows.
 *
 * In each window the lists whose bounds together do not reach the score that is needed are left
 * out; the others, the essential ones, add their parts to the window's sums. What the sums and the
 * bounds of the rest let through is looked up in the rest, list by list. All of this is in single
 * precision and with some slack, and only decides what may be dropped: the rows that remain are
 * scored as bm25.h says, in the order of the query.
 *
 * Rows that pass are gathered and counted by score in buckets, so that the score that k of them
 * reach is known as it rises. That is cheaper than a heap with each row, whose order has to settle
 * ties by id; the heap of the search sees the few that are left at the end. */
#include <string.h>

#if defined(__x86_64__) && !defined(AL_PORTABLE)
#include <immintrin.h>
#endif

#include "bm25.h"

#ifndef AL_BM25_WINDOW
#define AL_BM25_WINDOW 4096u
#endif
#define WINDOW AL_BM25_WINDOW
#define WINDOW_FIRST (WINDOW / 16) /* small at first: nothing is known of the score needed */
#define POLL_EVERY 16u
#define TINY 1e-30f
#define BUCKETS 512u     /* of scores: 128 for each power of two below what the lists can reach */
#define BUCKET_SHIFT 16u /* of a float's bits */
#define SPARSE_ROWS (WINDOW / 8) /* so few are told apart, more are looked for among all */
#define SCAN_COST 256u           /* looking for rows that may pass, in postings added */
#define LOOK_UP_COST 24u         /* looking a row up in a list, in postings added */

/* A list of the query that this part has. */
struct list {
    struct al_list postings;
    float weight;
    float bound;          /* of any posting */
    float window_bound;   /* of those in the window */
    float rest;           /* sum of the window's bounds of the lists before it in `order` */
    uint32_t window_at;   /* a block that ends at or behind the window's first row */
    uint32_t known_block; /* whose bound is known */
    float known_bound;
    uint32_t probe_block; /* where the last look-up ended */
};

/* A row that passed. */
struct found {
    uint32_t row;
    float score;
};

struct prune {
    const struct al_scope *s;
    const struct al_part *p;
    const struct al_leg_query *q;
    struct al_topk *best;
    bool masked; /* rows of a range may be hidden */
    bool has_avx2;
    size_t n; /* lists, in the order of the query */
    struct list *lists;
    uint32_t *order;    /* lists by window_bound */
    uint32_t *by_bound; /* lists by bound */
    float *reach;       /* sums of bounds along by_bound */
    uint32_t width;     /* of the next window */
    float norm;         /* norm of a length: norm + norm_slope * length */
    float norm_slope;
    float slack;
    float needed;          /* rows below it are hopeless; slack is taken off already */
    uint32_t bucket_first; /* bits of the scores of bucket 0, shifted; it takes all below, too */
    uint32_t bucket;       /* n_reached rows are in it and above */
    uint32_t n_reached;
    uint32_t counts[BUCKETS];
    float norms[256]; /* of length codes */
    struct found *found;
    uint32_t n_found;
    uint32_t cap_found;
    struct al_row_score *exact; /* cap_found */
    uint32_t n_alive;
    uint32_t n_touched; /* SPARSE_ROWS and more: not all are in `touched` */
    uint16_t alive[WINDOW];
    uint16_t touched[SPARSE_ROWS + AL_POSTINGS_BLOCK]; /* with repeats */
    float sums[WINDOW];                                /* zero between windows */
    float parts[AL_POSTINGS_BLOCK + 8];
};

/* ---- bounds ---- */

static float bound_of(const struct prune *r, const struct al_impact *pairs, uint32_t n)
{
    float best = 0;
    for (uint32_t i = 0; i < n; i++) {
        float tf = (float)pairs[i].tf;
        float share =
            pairs[i].tf == AL_IMPACT_TF_ANY ? 1.0f : tf / (tf + r->norms[pairs[i].length]);
        best = share > best ? share : best;
    }
    return best;
}

static float block_bound(const struct prune *r, struct list *l, uint32_t block)
{
    if (l->known_block != block) {
        l->known_block = block;
        l->known_bound =
            l->weight * bound_of(r, l->postings.view.blocks[block].front, AL_FRONT_MAX);
    }
    return l->known_bound;
}

/* The bound of the list's postings in rows [from, to). */
static float window_bound(const struct prune *r, struct list *l, uint32_t from, uint32_t to)
{
    struct al_list *p = &l->postings;
    if (p->n_blocks == 0) {
        bool known = p->is_sealed || p->rows[p->n ? p->n - 1 : 0] >= from;
        if (p->n == 0 || (known && al_list_seek(p, from) >= to))
            return 0;
        return l->bound;
    }
    const struct al_block *b = p->view.blocks;
    uint32_t i = al_list_find_block(p, l->window_at, from);
    float best = 0;
    l->window_at = i;
    for (; i < p->n_blocks && (i == 0 || b[i - 1].last_row + 1 < to); i++) {
        float bound = block_bound(r, l, i);
        best = bound > best ? bound : best;
    }
    return best;
}

/* ---- what is needed ---- */

static uint32_t bits_of(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

/* The least score of a bucket. */
static float bucket_edge(const struct prune *r, uint32_t bucket)
{
    uint32_t bits = (r->bucket_first + bucket) << BUCKET_SHIFT;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static void tighten(struct prune *r)
{
    uint32_t k = r->best->k;
    float score = r->n_reached >= k && r->bucket > 0 ? bucket_edge(r, r->bucket) : 0;
    if (r->best->n == k && r->best->hits[0].score > score)
        score = r->best->hits[0].score;
    r->needed = score * (1.0f - r->slack);
}

/* Start counting scores up to `most`. */
static void start_counting(struct prune *r, float most)
{
    uint32_t last = bits_of(most) >> BUCKET_SHIFT;
    r->bucket_first = last >= BUCKETS ? last - BUCKETS + 1 : 0;
    r->bucket = 0;
    r->n_reached = 0;
    memset(r->counts, 0, sizeof r->counts);
    tighten(r);
}

/* Count a score; what is needed may rise. */
static void count_score(struct prune *r, float score)
{
    uint32_t bits = bits_of(score) >> BUCKET_SHIFT;
    uint32_t at = bits > r->bucket_first ? bits - r->bucket_first : 0;
    at = at < BUCKETS ? at : BUCKETS - 1;
    r->counts[at]++;
    if (at < r->bucket)
        return;
    uint32_t k = r->best->k;
    uint32_t before = r->bucket;
    r->n_reached++;
    while (r->bucket < BUCKETS - 1 && r->n_reached - r->counts[r->bucket] >= k)
        r->n_reached -= r->counts[r->bucket++];
    if (r->bucket != before)
        tighten(r);
}

static void drop_hopeless(struct prune *r)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->n_found; i++) {
        r->found[n] = r->found[i];
        n += r->found[i].score >= r->needed;
    }
    r->n_found = n;
}

/* Offer what was found to the heap. */
static enum al_code offer_found(struct prune *r, struct al_err *err)
{
    for (uint32_t i = 0; i < r->n_found; i++)
        r->exact[i] = (struct al_row_score){.row = r->found[i].row};
    AL_TRY(al_bm25_score_rows(r->p, r->q, r->exact, r->n_found, err));
    for (uint32_t i = 0; i < r->n_found; i++)
        al_bm25_offer(r->p, r->exact[i].row, r->exact[i].score, r->best);
    r->n_found = 0;
    tighten(r);
    return AL_OK;
}

static enum al_code keep(struct prune *r, uint32_t row, uint32_t at, struct al_err *err)
{
    if (r->n_found == r->cap_found) {
        drop_hopeless(r);
        if (r->n_found > r->cap_found - r->cap_found / 4) /* many with like scores */
            AL_TRY(offer_found(r, err));
    }
    r->found[r->n_found++] = (struct found){row, r->sums[at]};
    count_score(r, r->sums[at]);
    return AL_OK;
}

/* ---- a window ---- */

/* Bit i of word w is set when sum 64 * w + i is at least `least`. */
static void mark_any(const float *sums, uint32_t n, float least, uint64_t *words)
{
    for (uint32_t i = 0; i < n; i++)
        words[i / 64] |= (uint64_t)(sums[i] >= least) << i % 64;
}

/* Parts of n postings; at least a little, so that a sum that is not 0 says touched. */
static void parts_any(const struct prune *r, float weight, const uint32_t *rows,
                      const uint32_t *tfs, uint32_t n, float *restrict parts)
{
    const struct al_seg_row *lengths = r->p->seg->rows;
    for (uint32_t i = 0; i < n; i++) {
        float tf = (float)tfs[i];
        float length = (float)lengths[rows[i]].n_terms;
        float part = weight * tf / (tf + (r->norm + r->norm_slope * length));
        parts[i] = part > TINY ? part : TINY;
    }
}

#if defined(__x86_64__) && !defined(AL_PORTABLE)
__attribute__((target("avx2"))) static void mark_avx2(const float *sums, uint32_t n, float least,
                                                      uint64_t *words)
{
    const __m256 limit = _mm256_set1_ps(least);
    for (uint32_t i = 0; i < n; i += 8) {
        __m256 above = _mm256_cmp_ps(_mm256_loadu_ps(sums + i), limit, _CMP_GE_OQ);
        words[i / 64] |= (uint64_t)(uint32_t)_mm256_movemask_ps(above) << i % 64;
    }
}

/* The same from short lengths; writes up to 7 parts more. */
__attribute__((target("avx2"))) static void parts_avx2(const struct prune *r, float weight,
                                                       const uint32_t *rows, const uint32_t *tfs,
                                                       uint32_t n, float *parts)
{
    const int *lengths = (const int *)(const void *)r->p->seg->lengths;
    const __m256 weights = _mm256_set1_ps(weight);
    const __m256 norm = _mm256_set1_ps(r->norm);
    const __m256 slope = _mm256_set1_ps(r->norm_slope);
    const __m256i low = _mm256_set1_epi32(0xffff);
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    for (uint32_t i = 0; i < n; i += 8) {
        __m256i live = _mm256_cmpgt_epi32(_mm256_set1_epi32((int)(n - i)), lanes);
        __m256i at = _mm256_maskload_epi32((const int *)(const void *)(rows + i), live);
        __m256i length = _mm256_mask_i32gather_epi32(low, lengths, at, live, 2);
        length = _mm256_and_si256(length, low);
        __m256i count = _mm256_maskload_epi32((const int *)(const void *)(tfs + i), live);
        __m256 tf = _mm256_cvtepi32_ps(count);
        __m256 below = _mm256_add_ps(norm, _mm256_mul_ps(slope, _mm256_cvtepi32_ps(length)));
        __m256 part = _mm256_div_ps(_mm256_mul_ps(weights, tf), _mm256_add_ps(tf, below));
        _mm256_storeu_ps(parts + i, _mm256_max_ps(part, _mm256_set1_ps(TINY)));
    }
}
#endif

/* Add postings [at, to) of the list's block to the sums. */
static void add_postings(struct prune *r, uint32_t list, uint32_t to, uint32_t first)
{
    struct al_list *p = &r->lists[list].postings;
    const uint32_t *rows = p->rows + p->at;
    const uint32_t *tfs = al_list_tfs(p) + p->at;
    uint32_t n = to - p->at;
    float *parts = r->parts;
#if defined(__x86_64__) && !defined(AL_PORTABLE)
    if (r->has_avx2 && r->p->seg->lengths)
        parts_avx2(r, r->lists[list].weight, rows, tfs, n, parts);
    else
#endif
        parts_any(r, r->lists[list].weight, rows, tfs, n, parts);
    float *sums = r->sums;
    for (uint32_t i = 0; i < n; i++)
        sums[rows[i] - first] += parts[i];
    if (r->n_touched < SPARSE_ROWS) {
        for (uint32_t i = 0; i < n; i++)
            r->touched[r->n_touched + i] = (uint16_t)(rows[i] - first);
        r->n_touched += n;
    }
}

static void add_list(struct prune *r, uint32_t list, uint32_t from, uint32_t to)
{
    struct al_list *p = &r->lists[list].postings;
    for (uint32_t row = al_list_seek(p, from); row < to; row = al_list_row(p)) {
        uint32_t end = p->n;
        if (p->rows[end - 1] >= to)
            for (end = p->at + 1; p->rows[end] < to;)
                end++;
        add_postings(r, list, end, from);
        p->at = end;
        if (end == p->n)
            al_list_next_block(p);
    }
}

/* Order the lists by their bounds in the window; returns how many of them are not essential. */
static size_t partition(struct prune *r, uint32_t from, uint32_t to)
{
    for (size_t i = 0; i < r->n; i++)
        r->lists[i].window_bound = window_bound(r, &r->lists[i], from, to);
    for (size_t i = 1; i < r->n; i++) {
        uint32_t list = r->order[i];
        size_t k = i;
        for (; k > 0 && r->lists[r->order[k - 1]].window_bound > r->lists[list].window_bound; k--)
            r->order[k] = r->order[k - 1];
        r->order[k] = list;
    }
    float sum = 0;
    size_t i = 0;
    for (; i < r->n; i++) {
        struct list *l = &r->lists[r->order[i]];
        l->rest = sum;
        sum += l->window_bound;
        if (sum >= r->needed)
            break;
    }
    return i;
}

static bool is_allowed(const struct prune *r, uint32_t row)
{
    return !r->masked || al_part_allows(r->p, r->p->seg->rows[row].doc);
}

/* Bits of the rows whose sums are at least `least`. */
static void mark_rows(const struct prune *r, struct al_row_range w, float least,
                      uint64_t words[WINDOW / 64])
{
    uint32_t n_words = (w.to - w.from + 63) / 64;
    if (r->n_touched < SPARSE_ROWS) {
        for (uint32_t i = 0; i < r->n_touched; i++)
            if (r->sums[r->touched[i]] >= least)
                al_bit_set(words, r->touched[i]);
        return;
    }
#if defined(__x86_64__) && !defined(AL_PORTABLE)
    if (r->has_avx2) {
        mark_avx2(r->sums, n_words * 64, least, words);
        return;
    }
#endif
    mark_any(r->sums, n_words * 64, least, words);
}

/* Of the window's rows, those that may still pass, ascending. */
static void find_alive(struct prune *r, struct al_row_range w, float rest)
{
    uint64_t words[WINDOW / 64] = {0};
    float least = r->needed - rest > TINY ? r->needed - rest : TINY;
    mark_rows(r, w, least, words);
    uint32_t n = 0;
    for (uint32_t i = 0; i < WINDOW / 64; i++) {
        for (uint64_t word = words[i]; word; word &= word - 1) {
            uint32_t at = i * 64 + (uint32_t)__builtin_ctzll(word);
            if (is_allowed(r, w.from + at))
                r->alive[n++] = (uint16_t)at;
        }
    }
    r->n_alive = n;
}

/* Rows alive that cannot pass any more die. */
static void drop_dead(struct prune *r, float rest)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->n_alive; i++) {
        r->alive[n] = r->alive[i];
        n += r->sums[r->alive[i]] + rest >= r->needed;
    }
    r->n_alive = n;
}

/* Stand at or behind the row, unless its block cannot bring what is missing. */
static bool can_reach(const struct prune *r, struct list *l, uint32_t row, float missing)
{
    struct al_list *p = &l->postings;
    if (p->n_blocks && p->n > 0 && p->rows[p->n - 1] < row) {
        uint32_t from = l->probe_block > p->block ? l->probe_block : p->block;
        l->probe_block = al_list_find_block(p, from, row);
        if (l->probe_block < p->n_blocks && block_bound(r, l, l->probe_block) < missing)
            return false;
    }
    (void)al_list_seek(p, row);
    return true;
}

/* Look the rows alive up in a list that is not essential; those that cannot pass any more die. */
static void look_up(struct prune *r, uint32_t list, uint32_t from)
{
    struct list *l = &r->lists[list];
    const struct al_seg_row *rows = r->p->seg->rows;
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->n_alive; i++) {
        uint32_t at = r->alive[i];
        float missing = r->needed - r->sums[at] - l->rest;
        if (l->window_bound < missing || !can_reach(r, l, from + at, missing))
            continue;
        if (al_list_row(&l->postings) == from + at) {
            float tf = (float)al_list_tf(&l->postings);
            r->sums[at] +=
                l->weight * tf / (tf + r->norm + r->norm_slope * (float)rows[from + at].n_terms);
        }
        r->alive[n++] = (uint16_t)at;
    }
    r->n_alive = n;
}

/* About how many postings of the list lie in n_rows rows. */
static uint64_t estimate(const struct prune *r, const struct list *l, uint32_t n_rows)
{
    return (uint64_t)l->postings.view.n_rows * n_rows / r->p->n_rows;
}

/* The lists that are not essential, the one with the largest bound first: their postings are added,
 * or the rows that may still pass are looked up in them, whichever is cheaper. Leaves the rows that
 * pass in alive. */
static void add_rest(struct prune *r, size_t n_rest, struct al_row_range w)
{
    bool found = false;
    for (size_t i = n_rest; i-- > 0;) {
        struct list *l = &r->lists[r->order[i]];
        uint64_t n = estimate(r, l, w.to - w.from);
        if (l->window_bound <= 0)
            continue;
        if (n > SCAN_COST) {
            if (!found)
                find_alive(r, w, l->rest + l->window_bound);
            else
                drop_dead(r, l->rest + l->window_bound);
            found = true;
            if (r->n_alive == 0)
                return;
        }
        if (found && l->postings.n_blocks > 0 && (uint64_t)r->n_alive * LOOK_UP_COST < n)
            look_up(r, r->order[i], w.from);
        else
            add_list(r, r->order[i], w.from, w.to);
    }
    if (!found)
        find_alive(r, w, 0);
    else
        drop_dead(r, 0);
}

static enum al_code search_window(struct prune *r, struct al_row_range w, struct al_err *err)
{
    size_t n_rest = partition(r, w.from, w.to);
    if (n_rest == r->n)
        return AL_OK;
    r->n_touched = 0;
    for (size_t i = n_rest; i < r->n; i++)
        if (r->lists[r->order[i]].window_bound > 0)
            add_list(r, r->order[i], w.from, w.to);
    add_rest(r, n_rest, w);
    enum al_code code = AL_OK;
    for (uint32_t i = 0; code == AL_OK && i < r->n_alive; i++)
        if (r->sums[r->alive[i]] >= r->needed)
            code = keep(r, w.from + r->alive[i], r->alive[i], err);
    if (r->n_touched < SPARSE_ROWS)
        for (uint32_t i = 0; i < r->n_touched; i++)
            r->sums[r->touched[i]] = 0;
    else
        memset(r->sums, 0, (w.to - w.from) * sizeof r->sums[0]);
    return code;
}

/* The first row at or behind `row` of the lists without which nothing is enough: those that are
 * left when lists are taken away, least bound first, as long as all taken together are not enough.
 */
static uint32_t next_row(struct prune *r, uint32_t row)
{
    uint32_t next = AL_ROW_NONE;
    for (size_t i = r->n; i-- > 0 && r->reach[i] >= r->needed;) {
        uint32_t at = al_list_seek(&r->lists[r->by_bound[i]].postings, row);
        next = at < next ? at : next;
    }
    return next;
}

static enum al_code search_range(struct prune *r, struct al_row_range range, struct al_err *err)
{
    uint32_t n_polls = 0;
    uint32_t row = next_row(r, range.from);
    while (row < range.to) {
        if (n_polls++ % POLL_EVERY == 0)
            AL_TRY(al_scope_poll(r->s, err));
        uint32_t to = range.to - row < r->width ? range.to : row + r->width;
        AL_TRY(search_window(r, (struct al_row_range){row, to}, err));
        r->width = r->width * 2 < WINDOW ? r->width * 2 : WINDOW;
        row = next_row(r, to);
    }
    return AL_OK;
}

static enum al_code search_ranges(struct prune *r, struct al_err *err)
{
    uint32_t at = 0;
    struct al_row_range range;
    while (al_bm25_next_range(r->s, r->p, &at, &range))
        AL_TRY(search_range(r, range, err));
    drop_hopeless(r);
    return offer_found(r, err);
}

/* ---- few rows allowed ---- */

static void score_row(struct prune *r, uint32_t row)
{
    double score = 0;
    bool any = false;
    for (size_t i = 0; i < r->n; i++) {
        struct list *l = &r->lists[i];
        if (al_list_seek(&l->postings, row) != row)
            continue;
        score +=
            al_bm25_part(r->q, l->weight, al_list_tf(&l->postings), r->p->seg->rows[row].n_terms);
        any = true;
    }
    if (any)
        al_bm25_offer(r->p, row, score, r->best);
}

/* Look all allowed rows up in all lists. */
static enum al_code search_allowed(struct prune *r, struct al_err *err)
{
    const struct al_part *p = r->p;
    for (size_t i = 0; i < al_bit_words(p->n_docs); i++) {
        if (i % 64 == 0)
            AL_TRY(al_scope_poll(r->s, err));
        for (uint64_t bits = p->mask[i]; bits; bits &= bits - 1) {
            const struct al_seg_doc *d = &p->seg->docs[i * 64 + (size_t)__builtin_ctzll(bits)];
            for (uint32_t row = d->row_first; row < d->row_first + d->n_rows; row++)
                score_row(r, row);
        }
    }
    return AL_OK;
}

/* Whether the allowed rows are so few that looking them up is cheaper than going through lists. */
static bool is_sparse(const struct prune *r)
{
    const struct al_part *p = r->p;
    uint64_t n_docs = 0;
    uint64_t n_postings = 0;
    if (!p->mask)
        return false;
    for (size_t i = 0; i < al_bit_words(p->n_docs); i++)
        n_docs += (unsigned)__builtin_popcountll(p->mask[i]);
    for (size_t i = 0; i < r->n; i++)
        n_postings += r->lists[i].postings.view.n_rows;
    uint64_t n_rows = n_docs * p->n_rows / (p->n_docs ? p->n_docs : 1);
    return n_rows * r->n * LOOK_UP_COST < n_postings;
}

/* ---- search ---- */

/* Whether single precision with slack can tell what is hopeless: no weight that is no number, not
 * above zero or out of proportion. */
static bool is_usual(const struct al_leg_query *q)
{
    for (size_t i = 0; i < q->n_terms; i++)
        if (!(q->term_weights[i] >= 1e-6f && q->term_weights[i] <= 1e6f))
            return false;
    return al_bm25_norm(q, UINT32_MAX) <= 1e12;
}

/* Lists by their bounds, and how far each and all below it reach together. */
static void order_lists(struct prune *r)
{
    for (size_t i = 0; i < r->n; i++) {
        size_t k = i;
        for (; k > 0 && r->lists[r->by_bound[k - 1]].bound > r->lists[i].bound; k--)
            r->by_bound[k] = r->by_bound[k - 1];
        r->by_bound[k] = (uint32_t)i;
    }
    float sum = 0;
    for (size_t i = 0; i < r->n; i++) {
        sum += r->lists[r->by_bound[i]].bound;
        r->reach[i] = sum;
        r->order[i] = r->by_bound[i];
    }
}

/* Open the lists of the query that the part has. */
static void open_lists(struct prune *r)
{
    r->n = 0;
    for (size_t i = 0; i < r->q->n_terms; i++) {
        struct list *l = &r->lists[r->n];
        if (!al_bm25_open(r->p, r->q->terms[i], &l->postings))
            continue;
        const struct al_postings_view *v = &l->postings.view;
        l->weight = r->q->term_weights[i];
        l->bound = v->n_front ? l->weight * bound_of(r, v->front, v->n_front) : l->weight;
        l->window_at = 0;
        l->probe_block = 0;
        l->known_block = UINT32_MAX;
        r->n++;
    }
    order_lists(r);
}

static struct prune *prune_alloc(const struct al_scope *s, const struct al_leg_query *q,
                                 struct al_topk *best)
{
    struct al_arena *a = s->arena;
    struct prune *r = al_arena_zalloc(a, sizeof *r);
    if (!r)
        return NULL;
    r->cap_found = 4 * best->k + 32;
    r->lists = al_arena_alloc(a, q->n_terms * sizeof *r->lists);
    r->order = al_arena_alloc(a, q->n_terms * sizeof *r->order);
    r->by_bound = al_arena_alloc(a, q->n_terms * sizeof *r->by_bound);
    r->reach = al_arena_alloc(a, q->n_terms * sizeof *r->reach);
    r->found = al_arena_alloc(a, r->cap_found * sizeof *r->found);
    r->exact = al_arena_alloc(a, r->cap_found * sizeof *r->exact);
    if (!r->lists || !r->order || !r->by_bound || !r->reach || !r->found || !r->exact)
        return NULL;
    r->s = s;
    r->q = q;
    r->best = best;
#if defined(__x86_64__) && !defined(AL_PORTABLE)
    r->has_avx2 = __builtin_cpu_supports("avx2");
#endif
    r->slack = 1e-5f + 1e-6f * (float)q->n_terms;
    r->norm = (float)al_bm25_norm(q, 0);
    r->norm_slope = (float)(((double)al_bm25_norm(q, 1u << 20) - al_bm25_norm(q, 0)) / (1u << 20));
    for (uint32_t i = 0; i < 256; i++)
        r->norms[i] = r->norm + r->norm_slope * (float)al_length_of_code((uint8_t)i);
    return r;
}

enum al_code al_bm25_search(struct al_scope *s, const struct al_part *p,
                            const struct al_leg_query *q, struct al_topk *best, struct al_err *err)
{
    if (!is_usual(q))
        return al_bm25_search_all(s, p, q, best, err);
    if (!s->text)
        s->text = prune_alloc(s, q, best);
    struct prune *r = s->text;
    if (!r)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "search: memory limit of the request");
    r->p = p;
    r->masked = p->mask && (p->dead || s->filter || !p->seg->is_sealed);
    r->width = WINDOW_FIRST;
    open_lists(r);
    start_counting(r, r->n ? r->reach[r->n - 1] : 0);
    AL_TRY(is_sparse(r) ? search_allowed(r, err) : search_ranges(r, err));
    for (size_t i = 0; i < r->n; i++)
        if (r->lists[i].postings.damaged)
            return al_bm25_damaged(err);
    return AL_OK;
}
