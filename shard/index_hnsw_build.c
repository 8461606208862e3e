/* Building the graph: rows are put in one by one, each linked to what a search finds of those
 * before it.
 *
 * Memory model: codes and entries are complete before the threads start and never change. What
 * changes is links: each a 32-bit number read and written atomically, always a row or the end mark.
 * A reader takes no lock; it may see a list that is being rewritten, thus miss a link or see one
 * twice, which a search does not mind, since all that it reads through a link is a code. A writer
 * of a list holds the row's lock (acquire, release). Nothing else is shared but the number of the
 * next row and the wish to stop. With one thread the result depends on the rows alone. */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "index_hnsw.h"

#define THREADS_MAX 64u
#define CANCEL_EVERY 64u
#define FIRST_BATCH 4u /* chosen links that a candidate is compared with at once */
#define SPINS 64u

struct builder {
    struct al_hnsw *h;
    struct al_hnsw_view view;
    uint32_t *links; /* of view, to be written */
    uint32_t *order; /* rows in order of their turn; later a queue */
    atomic_uchar *locks;
    uint32_t n;
    atomic_uint next; /* place in order */
    atomic_bool stop;
    const struct al_index_source *src;
    enum al_code code; /* of the first thread */
    struct al_err *err;
};

static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* ---- lists of links ---- */

static void lock(struct builder *b, uint32_t row)
{
    unsigned spins = 0;
    while (atomic_exchange_explicit(&b->locks[row], 1, memory_order_acquire))
        if (++spins % SPINS == 0) /* the holder may wait for this core */
            (void)sched_yield();
}

static void unlock(struct builder *b, uint32_t row)
{
    atomic_store_explicit(&b->locks[row], 0, memory_order_release);
}

static uint32_t *list_of(const struct builder *b, uint32_t row)
{
    return b->links + (size_t)row * AL_HNSW_LINKS;
}

static void put_link(uint32_t *list, uint32_t i, uint32_t row)
{
    __atomic_store_n(list + i, row, __ATOMIC_RELAXED);
}

/* Copy a list whose row is locked, or that no other thread writes; returns its length. */
static uint32_t copy_list(const uint32_t *list, uint32_t *ret)
{
    uint32_t n = 0;
    for (; n < AL_HNSW_LINKS; n++) {
        ret[n] = __atomic_load_n(list + n, __ATOMIC_RELAXED);
        if (ret[n] == AL_HNSW_NONE)
            break;
    }
    return n;
}

static void write_list(uint32_t *list, const uint32_t *rows, uint32_t n)
{
    for (uint32_t i = 0; i < AL_HNSW_LINKS; i++)
        put_link(list, i, i < n ? rows[i] : AL_HNSW_NONE);
}

/* ---- choice of links ---- */

/* Make a row's code the query. */
static void look_from(const struct builder *b, struct al_hnsw_scratch *s, uint32_t row)
{
    const uint32_t dim = s->query.dim;
    const uint8_t *restrict code = b->view.codes + (size_t)row * dim;
    int8_t *restrict to = s->codes;
    int32_t sum = -128 * (int32_t)dim;
    for (uint32_t i = 0; i < dim; i++) {
        to[i] = (int8_t)(code[i] ^ 0x80u);
        sum += code[i];
    }
    s->query.sum = sum;
}

/* Whether one of the chosen is at least as near to the row as `distance`. */
static bool is_covered(const struct builder *b, struct al_hnsw_scratch *s, uint32_t row,
                       uint32_t distance, const uint32_t *chosen, uint32_t n)
{
    if (n == 0)
        return false;
    look_from(b, s, row);
    for (uint32_t from = 0, m = FIRST_BATCH; from < n; from += m, m = AL_HNSW_LINKS) {
        m = n - from < m ? n - from : m;
        b->h->kernels->distances(&s->query, b->view.codes, chosen + from, m, s->distances);
        for (uint32_t i = 0; i < m; i++)
            if (s->distances[i] <= distance)
                return true;
    }
    return false;
}

/* Of keys in order, those not nearer to one chosen before than to the centre. */
static uint32_t choose(const struct builder *b, struct al_hnsw_scratch *s, const uint64_t *keys,
                       uint32_t n, uint32_t *ret)
{
    uint32_t chosen = 0;
    for (uint32_t i = 0; i < n && chosen < AL_HNSW_LINKS; i++) {
        uint32_t row = (uint32_t)keys[i] >> 1;
        if (!is_covered(b, s, row, (uint32_t)(keys[i] >> 32), ret, chosen))
            ret[chosen++] = row;
    }
    return chosen;
}

/* The links of `from` and one more are too many: choose again. */
static void choose_again(const struct builder *b, struct al_hnsw_scratch *s, uint32_t from,
                         const uint32_t *rows, uint32_t n)
{
    uint64_t keys[AL_HNSW_LINKS + 1];
    uint32_t chosen[AL_HNSW_LINKS];
    look_from(b, s, from);
    b->h->kernels->distances(&s->query, b->view.codes, rows, n, s->distances);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t key = (uint64_t)s->distances[i] << 32 | rows[i] << 1;
        uint32_t at = i;
        for (; at > 0 && keys[at - 1] > key; at--)
            keys[at] = keys[at - 1];
        keys[at] = key;
    }
    n = choose(b, s, keys, n, chosen);
    write_list(list_of(b, from), chosen, n);
}

static void link_back(struct builder *b, struct al_hnsw_scratch *s, uint32_t from, uint32_t to)
{
    uint32_t rows[AL_HNSW_LINKS + 1];
    lock(b, from);
    uint32_t n = copy_list(list_of(b, from), rows);
    if (n < AL_HNSW_LINKS) {
        put_link(list_of(b, from), n, to);
    } else {
        rows[n] = to;
        choose_again(b, s, from, rows, n + 1);
    }
    unlock(b, from);
}

/* ---- rows ---- */

/* Search for a row among the first n_entries entries and what they lead to. */
static void find(const struct builder *b, struct al_hnsw_scratch *s, uint32_t row,
                 uint32_t n_entries)
{
    look_from(b, s, row);
    al_hnsw_scratch_reset(b->h, s);
    s->visited[row] = s->epoch;
    al_hnsw_enter(b->h, &b->view, s, n_entries);
    al_hnsw_beam(b->h, &b->view, s, AL_HNSW_EF_BUILD);
}

/* Put in the row whose turn is i. Nobody has a link to it yet, so that its list is its own. */
static void insert(struct builder *b, struct al_hnsw_scratch *s, uint32_t i)
{
    uint32_t row = b->order[i];
    uint32_t chosen[AL_HNSW_LINKS];
    find(b, s, row, i < b->h->n_entries ? i : b->h->n_entries);
    uint32_t n = choose(b, s, s->pool, s->n_pool, chosen);
    for (uint32_t k = 0; k < n; k++)
        put_link(list_of(b, row), k, chosen[k]);
    for (uint32_t k = 0; k < n; k++)
        link_back(b, s, chosen[k], row);
}

/* Whether the build was cancelled; of the calling thread. */
static bool is_cancelled(struct builder *b)
{
    if (!b->src->cancel || !b->src->cancel(b->src->cancel_u))
        return false;
    atomic_store_explicit(&b->stop, true, memory_order_relaxed);
    b->code = AL_FAIL(b->err, AL_CANCELLED, "index: build cancelled");
    return true;
}

/* Put in rows until `end`. */
static void insert_rows(struct builder *b, struct al_hnsw_scratch *s, uint32_t end, bool is_first)
{
    for (unsigned n = 0; !atomic_load_explicit(&b->stop, memory_order_relaxed); n++) {
        if (is_first && n % CANCEL_EVERY == 0 && is_cancelled(b))
            return;
        uint32_t i = atomic_load_explicit(&b->next, memory_order_relaxed);
        if (i >= end)
            return;
        i = atomic_fetch_add_explicit(&b->next, 1, memory_order_relaxed);
        if (i >= end)
            return;
        insert(b, s, i);
    }
}

static void *help(void *u)
{
    struct builder *b = u;
    struct al_hnsw_scratch *s = NULL;
    struct al_err ignored;
    pthread_setname_np(pthread_self(), "al-build");
    if (al_hnsw_scratch_acquire(b->h, AL_HNSW_EF_BUILD, &s, &ignored) != AL_OK)
        return NULL; /* the others do its part */
    insert_rows(b, s, b->n, false);
    al_hnsw_scratch_release(b->h, s);
    return NULL;
}

/* The rows behind the entries, by all threads. */
static void insert_rest(struct builder *b, struct al_hnsw_scratch *s)
{
    pthread_t threads[THREADS_MAX];
    uint32_t n = 0;
    while (n + 1 < b->src->n_threads && n < THREADS_MAX &&
           pthread_create(&threads[n], NULL, help, b) == 0)
        n++;
    insert_rows(b, s, b->n, true);
    for (uint32_t i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
}

/* ---- rows without a way to them ---- */

/* Mark what links lead to from a row; b->locks are the marks, b->order the queue. */
static void reach(struct builder *b, uint32_t row)
{
    uint32_t n = 0;
    b->order[n++] = row;
    atomic_store_explicit(&b->locks[row], 1, memory_order_relaxed);
    while (n > 0) {
        const uint32_t *list = list_of(b, b->order[--n]);
        for (uint32_t i = 0; i < AL_HNSW_LINKS && list[i] != AL_HNSW_NONE; i++) {
            if (atomic_load_explicit(&b->locks[list[i]], memory_order_relaxed))
                continue;
            atomic_store_explicit(&b->locks[list[i]], 1, memory_order_relaxed);
            b->order[n++] = list[i];
        }
    }
}

/* Give the row a link from the nearest reachable one that has room. */
static void attach(struct builder *b, struct al_hnsw_scratch *s, uint32_t row)
{
    uint32_t rows[AL_HNSW_LINKS];
    find(b, s, row, b->h->n_entries);
    for (uint32_t i = 0; i < s->n_pool; i++) {
        uint32_t from = (uint32_t)s->pool[i] >> 1;
        uint32_t n = copy_list(list_of(b, from), rows);
        if (n == AL_HNSW_LINKS || !atomic_load_explicit(&b->locks[from], memory_order_relaxed))
            continue;
        put_link(list_of(b, from), n, row);
        reach(b, row);
        return;
    }
}

/* Choosing again may have taken the last link to a row. */
static void attach_lost(struct builder *b, struct al_hnsw_scratch *s)
{
    uint32_t first = b->order[0];
    for (uint32_t i = 0; i < b->n; i++)
        atomic_store_explicit(&b->locks[i], 0, memory_order_relaxed);
    reach(b, first);
    for (uint32_t i = 0; i < b->n; i++) {
        if (i % CANCEL_EVERY == 0 && is_cancelled(b))
            return;
        if (!atomic_load_explicit(&b->locks[i], memory_order_relaxed))
            attach(b, s, i);
    }
}

/* ---- all ---- */

/* Entries first, the rest shuffled: neighbours in a segment are often alike. */
static void set_order(struct builder *b)
{
    for (uint32_t i = 0; i < b->n; i++)
        b->order[i] = i;
    for (uint32_t i = b->n - 1; i > 0; i--) {
        uint32_t k = (uint32_t)(mix(i) % ((uint64_t)i + 1));
        uint32_t was = b->order[i];
        b->order[i] = b->order[k];
        b->order[k] = was;
    }
}

static void set_entries(struct builder *b, uint8_t *bytes, const uint32_t *rows)
{
    size_t code_dim = b->h->coder.code_dim;
    memmove(bytes + b->h->layout.entries, rows, b->h->n_entries * sizeof *rows);
    for (uint32_t i = 0; i < b->h->n_entries; i++)
        memcpy(bytes + b->h->layout.entry_codes + i * code_dim, b->view.codes + rows[i] * code_dim,
               code_dim);
}

static int cmp_rows(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* As they are kept: in order. */
static void sort_entries(struct builder *b, uint8_t *bytes)
{
    uint32_t *rows = (uint32_t *)(void *)(bytes + b->h->layout.entries);
    qsort(rows, b->h->n_entries, sizeof *rows, cmp_rows);
    set_entries(b, bytes, rows);
}

static enum al_code run(struct builder *b)
{
    struct al_hnsw_scratch *s = NULL;
    AL_TRY(al_hnsw_scratch_acquire(b->h, AL_HNSW_EF_BUILD, &s, b->err));
    insert_rows(b, s, b->h->n_entries, true);
    if (b->code == AL_OK)
        insert_rest(b, s);
    if (b->code == AL_OK)
        attach_lost(b, s);
    al_hnsw_scratch_release(b->h, s);
    return b->code;
}

enum al_code al_hnsw_build_links(struct al_hnsw *h, uint8_t *bytes,
                                 const struct al_index_source *src, struct al_err *err)
{
    struct builder b = {
        .h = h, .n = h->base.n_rows, .src = src, .err = err, .view = al_hnsw_view_of(h, bytes)};
    b.links = (uint32_t *)(void *)(bytes + h->layout.links);
    b.order = al_mem_array(h->mem, b.n, sizeof *b.order);
    b.locks = al_mem_array(h->mem, b.n, sizeof *b.locks);
    enum al_code code = AL_OK;
    if (!b.order || !b.locks) {
        code = AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "index: out of memory");
    } else {
        set_order(&b);
        set_entries(&b, bytes, b.order);
        code = run(&b);
        sort_entries(&b, bytes);
    }
    al_mem_free(h->mem, b.order);
    al_mem_free(h->mem, (void *)b.locks);
    return code;
}
