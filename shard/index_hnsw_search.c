/* The loops that follow links, and what they write. */
#include "huge.h"
#include "index_hnsw.h"

#include <string.h>

#define TODO_MAX 1088u /* links of a row and, when looking past its neighbours, theirs */
#define HOP_MAX 1024u
#define SCAN_MAX 1024u
#define LINE 64u
#define SHORT_POOL 48u
#define AHEAD 16u /* codes fetched ahead of a scan */

/* ---- scratch ---- */

static void scratch_destroy(const struct al_hnsw *h, struct al_hnsw_scratch *s)
{
    if (!s)
        return;
    al_mem_free(h->mem, s->heap);
    al_mem_free(h->mem, s->pool);
    al_mem_free(h->mem, s->block);
    al_mem_free(h->mem, s);
}

static struct al_hnsw_scratch *scratch_create(const struct al_hnsw *h)
{
    struct al_hnsw_scratch *s = al_mem_zalloc(h->mem, sizeof *s);
    if (!s)
        return NULL;
    size_t code_dim = h->coder.code_dim;
    uint8_t *at = NULL;
    s->block = al_huge_block(h->mem,
                             code_dim * (sizeof(float) + 1) +
                                 (size_t)2 * TODO_MAX * sizeof(uint32_t) + h->base.n_rows,
                             &at);
    if (!s->block) {
        scratch_destroy(h, s);
        return NULL;
    }
    s->rotated = (float *)(void *)at;
    s->codes = (int8_t *)(at + code_dim * sizeof(float));
    s->todo = (uint32_t *)(void *)(s->codes + code_dim);
    s->distances = s->todo + TODO_MAX;
    s->visited = (uint8_t *)(s->distances + TODO_MAX);
    memset(s->visited, 0, h->base.n_rows);
    s->query = (struct al_code_query){s->codes, h->coder.code_dim, 0};
    return s;
}

void al_hnsw_scratch_reset(const struct al_hnsw *h, struct al_hnsw_scratch *s)
{
    if (++s->epoch == 0) {
        memset(s->visited, 0, h->base.n_rows);
        s->epoch = 1;
    }
    s->n_pool = 0;
    s->n_heap = 0;
}

static enum al_code reserve(struct al_mem *mem, uint64_t **p, size_t *cap, size_t n,
                            struct al_err *err)
{
    void *grown = *p;
    if (n <= *cap)
        return AL_OK;
    if (al_mem_grow(mem, &grown, cap, n, sizeof **p) != AL_OK)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "index: out of memory");
    *p = grown;
    return AL_OK;
}

enum al_code al_hnsw_scratch_acquire(struct al_hnsw *h, uint32_t ef, struct al_hnsw_scratch **ret,
                                     struct al_err *err)
{
    struct al_hnsw_scratch *s = NULL;
    for (size_t i = 0; i < AL_HNSW_SCRATCHES && !s; i++)
        if (atomic_load_explicit(&h->idle[i], memory_order_relaxed))
            s = atomic_exchange_explicit(&h->idle[i], NULL, memory_order_acquire);
    if (!s)
        s = scratch_create(h);
    if (!s)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "index: out of memory");
    enum al_code code = reserve(h->mem, &s->pool, &s->cap_pool, (size_t)ef + 1, err);
    if (code != AL_OK) {
        al_hnsw_scratch_release(h, s);
        return code;
    }
    s->n_pool = 0;
    s->n_distances = 0;
    s->n_hops = 0;
    *ret = s;
    return AL_OK;
}

void al_hnsw_scratch_release(struct al_hnsw *h, struct al_hnsw_scratch *s)
{
    for (size_t i = 0; i < AL_HNSW_SCRATCHES; i++) {
        struct al_hnsw_scratch *none = NULL;
        if (!atomic_load_explicit(&h->idle[i], memory_order_relaxed) &&
            atomic_compare_exchange_strong_explicit(&h->idle[i], &none, s, memory_order_release,
                                                    memory_order_relaxed))
            return;
    }
    scratch_destroy(h, s);
}

void al_hnsw_scratch_fini(struct al_hnsw *h)
{
    for (size_t i = 0; i < AL_HNSW_SCRATCHES; i++)
        scratch_destroy(h, atomic_exchange_explicit(&h->idle[i], NULL, memory_order_acquire));
}

/* ---- keys ---- */

static inline uint64_t key_of(uint32_t distance, uint32_t row)
{
    return (uint64_t)distance << 32 | row << 1;
}

static inline uint32_t row_of(uint64_t key)
{
    return (uint32_t)key >> 1;
}

/* Put a key into the sorted pool of at most ef; returns its place. */
static inline uint32_t insert(struct al_hnsw_scratch *s, uint32_t ef, uint64_t key)
{
    uint64_t *p = s->pool;
    uint32_t at = s->n_pool < ef ? s->n_pool++ : ef - 1;
    if (at < SHORT_POOL) { /* few to move, one by one; else find the place, then move at once */
        for (; at > 0 && p[at - 1] > key; at--)
            p[at] = p[at - 1];
        p[at] = key;
        return at;
    }
    uint32_t low = 0;
    for (uint32_t n = at; n > 0;) {
        uint32_t half = n / 2;
        bool up = p[low + half] < key;
        low = up ? low + half + 1 : low;
        n = up ? n - half - 1 : half;
    }
    memmove(p + low + 1, p + low, (at - low) * sizeof *p);
    p[low] = key;
    return low;
}

/* Distances from here on are too large to enter. */
static inline uint64_t bound_of(const struct al_hnsw_scratch *s, uint32_t ef)
{
    return s->n_pool < ef ? UINT64_MAX : s->pool[ef - 1];
}

static inline void fetch(const uint8_t *p, uint32_t n)
{
    for (uint32_t i = 0; i < n; i += LINE)
        __builtin_prefetch(p + i);
}

static inline const uint32_t *links_of(const struct al_hnsw_view *v, uint32_t row)
{
    return v->links + (size_t)row * AL_HNSW_LINKS;
}

static inline void fetch_links(const struct al_hnsw_view *v, uint32_t row)
{
    fetch((const uint8_t *)links_of(v, row), AL_HNSW_LINKS * sizeof(uint32_t));
}

/* A link that another thread may be writing. Whatever is read is a row, whose code was there before
 * the threads began: nothing else depends on the order. */
static inline uint32_t link_at(const uint32_t *links, uint32_t i)
{
    return __atomic_load_n(links + i, __ATOMIC_RELAXED);
}

static inline void measure(const struct al_hnsw *h, const struct al_hnsw_view *v,
                           struct al_hnsw_scratch *s, uint32_t n)
{
    h->kernels->distances(&s->query, v->codes, s->todo, n, s->distances);
    s->n_distances += n;
}

/* Neighbours not seen before into todo, from place n on; their codes are on the way. Returns how
 * many there are now. */
static inline uint32_t gather(const struct al_hnsw_view *v, struct al_hnsw_scratch *s, uint32_t row,
                              uint32_t n)
{
    const uint32_t *links = links_of(v, row);
    const uint8_t *codes = v->codes;
    const uint32_t dim = s->query.dim;
    const uint8_t epoch = s->epoch;
    uint8_t *restrict visited = s->visited;
    uint32_t *restrict todo = s->todo;
    for (uint32_t i = 0; i < AL_HNSW_LINKS; i++) {
        uint32_t u = link_at(links, i);
        if (u == AL_HNSW_NONE)
            break;
        if (visited[u] == epoch)
            continue;
        visited[u] = epoch;
        todo[n++] = u;
        fetch(codes + (size_t)u * dim, dim);
    }
    return n;
}

/* ---- loops ---- */

_Static_assert(AL_HNSW_EF_BUILD >= AL_HNSW_ENTRIES_KEPT, "room for the entries");

void al_hnsw_enter(const struct al_hnsw *h, const struct al_hnsw_view *v, struct al_hnsw_scratch *s,
                   uint32_t n)
{
    for (uint32_t from = 0; from < n; from += TODO_MAX) {
        uint32_t m = n - from < TODO_MAX ? n - from : TODO_MAX;
        h->kernels->distances(&s->query, v->entry_codes + (size_t)from * s->query.dim, NULL, m,
                              s->distances);
        for (uint32_t i = 0; i < m; i++) {
            uint64_t key = key_of(s->distances[i], v->entries[from + i]);
            if (key < bound_of(s, AL_HNSW_ENTRIES_KEPT))
                (void)insert(s, AL_HNSW_ENTRIES_KEPT, key);
        }
    }
    s->n_distances += n;
    for (uint32_t i = 0; i < s->n_pool; i++)
        s->visited[row_of(s->pool[i])] = s->epoch;
}

/* The first key from `at` on that is not expanded. */
static inline uint32_t next_of(const struct al_hnsw_scratch *s, uint32_t at)
{
    while (at < s->n_pool && s->pool[at] & 1)
        at++;
    return at;
}

/* The links of the next two rows to expand: those of the second often are the next but one, and on
 * their way for a whole step. */
static inline void fetch_next_links(const struct al_hnsw_view *v, const struct al_hnsw_scratch *s,
                                    uint32_t at)
{
    if (at >= s->n_pool)
        return;
    fetch_links(v, row_of(s->pool[at]));
    at = next_of(s, at + 1);
    if (at < s->n_pool)
        fetch_links(v, row_of(s->pool[at]));
}

/* Put what todo measured into the pool; returns the first place that changed, at most `at`. */
static inline uint32_t offer(struct al_hnsw_scratch *s, uint32_t n, uint32_t ef, uint32_t at)
{
    for (uint32_t i = 0; i < n; i++) {
        uint64_t key = key_of(s->distances[i], s->todo[i]);
        if (key >= bound_of(s, ef))
            continue;
        uint32_t place = insert(s, ef, key);
        at = place < at ? place : at;
    }
    return at;
}

void al_hnsw_beam(const struct al_hnsw *h, const struct al_hnsw_view *v, struct al_hnsw_scratch *s,
                  uint32_t ef)
{
    uint32_t at = next_of(s, 0);
    while (at < s->n_pool) {
        uint32_t row = row_of(s->pool[at]);
        s->pool[at] |= 1;
        s->n_hops++;
        uint32_t n = gather(v, s, row, 0);
        measure(h, v, s, n);
        at = next_of(s, offer(s, n, ef, at + 1));
        fetch_next_links(v, s, at);
    }
}

static inline bool is_allowed(const uint8_t *allowed, uint32_t row)
{
    return allowed[row / 8] >> (row % 8) & 1;
}

/* ---- under a filter ---- */

static void heap_push(struct al_hnsw_scratch *s, uint64_t key)
{
    size_t i = s->n_heap++;
    for (; i > 0 && s->heap[(i - 1) / 2] > key; i = (i - 1) / 2)
        s->heap[i] = s->heap[(i - 1) / 2];
    s->heap[i] = key;
}

static uint64_t heap_pop(struct al_hnsw_scratch *s)
{
    uint64_t *p = s->heap;
    uint64_t top = p[0];
    uint64_t key = p[--s->n_heap];
    size_t i = 0;
    for (size_t child = 1; child < s->n_heap; child = 2 * i + 1) {
        if (child + 1 < s->n_heap && p[child + 1] < p[child])
            child++;
        if (p[child] >= key)
            break;
        p[i] = p[child];
        i = child;
    }
    p[i] = key;
    return top;
}

/* Move the entry rows from the pool to the heap; those that are allowed stay in the pool too. */
static void start_through(struct al_hnsw_scratch *s, const struct al_hnsw_filter *f)
{
    uint64_t entries[AL_HNSW_ENTRIES_KEPT];
    uint32_t n = s->n_pool;
    memcpy(entries, s->pool, n * sizeof *entries);
    s->n_pool = 0;
    s->n_heap = 0;
    for (uint32_t i = 0; i < n; i++) {
        heap_push(s, entries[i]);
        if (is_allowed(f->allowed, row_of(entries[i])))
            (void)insert(s, f->ef, entries[i]);
    }
}

enum al_code al_hnsw_walk_through(const struct al_hnsw *h, const struct al_hnsw_view *v,
                                  struct al_hnsw_scratch *s, const struct al_hnsw_filter *f,
                                  bool *ret_done, struct al_err *err)
{
    uint64_t limit = s->n_distances + f->budget;
    AL_TRY(reserve(h->mem, &s->heap, &s->cap_heap, f->ef + AL_HNSW_LINKS, err));
    start_through(s, f);
    *ret_done = true;
    while (s->n_heap > 0) {
        uint64_t key = heap_pop(s);
        if (key > bound_of(s, f->ef))
            return AL_OK;
        if (s->n_distances > limit) {
            *ret_done = false;
            return AL_OK;
        }
        s->n_hops++;
        uint32_t n = gather(v, s, row_of(key), 0);
        measure(h, v, s, n);
        AL_TRY(reserve(h->mem, &s->heap, &s->cap_heap, s->n_heap + n, err));
        for (uint32_t i = 0; i < n; i++) {
            uint64_t seen = key_of(s->distances[i], s->todo[i]);
            if (seen >= bound_of(s, f->ef))
                continue;
            heap_push(s, seen);
            if (is_allowed(f->allowed, s->todo[i]))
                (void)insert(s, f->ef, seen);
        }
        for (size_t i = 0; i < 3 && i < s->n_heap; i++) /* the next, and the next but one */
            fetch_links(v, row_of(s->heap[i]));
    }
    return AL_OK;
}

/* The allowed neighbours of a row and, past those that are not, theirs. */
static uint32_t gather_hop(const struct al_hnsw_view *v, struct al_hnsw_scratch *s, uint32_t row,
                           const uint8_t *allowed)
{
    uint32_t past[AL_HNSW_LINKS];
    uint32_t n_past = 0;
    uint32_t n = 0;
    uint32_t m = gather(v, s, row, 0);
    for (uint32_t i = 0; i < m; i++) {
        uint32_t u = s->todo[i];
        if (is_allowed(allowed, u)) {
            s->todo[n++] = u;
        } else {
            past[n_past++] = u;
            fetch_links(v, u);
        }
    }
    for (uint32_t i = 0; i < n_past && n < HOP_MAX; i++) {
        const uint32_t *links = links_of(v, past[i]);
        for (uint32_t k = 0; k < AL_HNSW_LINKS && links[k] != AL_HNSW_NONE; k++) {
            uint32_t u = links[k];
            if (s->visited[u] == s->epoch || !is_allowed(allowed, u))
                continue;
            s->visited[u] = s->epoch;
            s->todo[n++] = u;
            fetch(v->codes + (size_t)u * s->query.dim, s->query.dim);
        }
    }
    return n;
}

/* Take the rows that are not allowed out of the pool: the entry rows at most. */
static void drop_others(struct al_hnsw_scratch *s, const uint8_t *allowed)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->n_pool; i++)
        if (is_allowed(allowed, row_of(s->pool[i])))
            s->pool[n++] = s->pool[i];
    s->n_pool = n;
}

bool al_hnsw_walk_hop(const struct al_hnsw *h, const struct al_hnsw_view *v,
                      struct al_hnsw_scratch *s, const struct al_hnsw_filter *f)
{
    uint64_t limit = s->n_distances + f->budget;
    uint32_t at = next_of(s, 0);
    while (at < s->n_pool && s->n_distances <= limit) {
        uint32_t row = row_of(s->pool[at]);
        s->pool[at] |= 1;
        s->n_hops++;
        uint32_t n = gather_hop(v, s, row, f->allowed);
        measure(h, v, s, n);
        at = next_of(s, offer(s, n, f->ef, at + 1));
        fetch_next_links(v, s, at);
    }
    bool done = at >= s->n_pool;
    drop_others(s, f->allowed);
    return done;
}

/* ---- without the graph ---- */

/* Bits of 64 rows from `row` on, a multiple of 64; beyond the last: none. */
static uint64_t allowed_word(const uint8_t *allowed, uint32_t row, uint32_t n_rows)
{
    uint64_t word = 0;
    uint32_t n = n_rows - row < 64 ? n_rows - row : 64;
    if (!allowed)
        word = UINT64_MAX;
    else
        memcpy(&word, allowed + row / 8, ((size_t)n + 7) / 8);
    return n < 64 ? word & (((uint64_t)1 << n) - 1) : word;
}

/* Allowed rows from *from on, a multiple of 64, into todo: SCAN_MAX at most. */
static uint32_t gather_allowed(const struct al_hnsw *h, struct al_hnsw_scratch *s,
                               const uint8_t *allowed, uint32_t *from)
{
    uint32_t *restrict todo = s->todo;
    uint32_t n = 0;
    uint32_t row = *from;
    for (; row < h->base.n_rows && n + 64 <= SCAN_MAX; row += 64)
        for (uint64_t word = allowed_word(allowed, row, h->base.n_rows); word; word &= word - 1)
            todo[n++] = row + (uint32_t)__builtin_ctzll(word);
    *from = row;
    return n;
}

void al_hnsw_scan(const struct al_hnsw *h, const struct al_hnsw_view *v, struct al_hnsw_scratch *s,
                  const uint8_t *allowed, uint32_t ef)
{
    s->n_pool = 0;
    for (uint32_t row = 0; row < h->base.n_rows;) {
        uint32_t n = gather_allowed(h, s, allowed, &row);
        for (uint32_t i = 0; i < AHEAD && i < n; i++)
            fetch(v->codes + (size_t)s->todo[i] * s->query.dim, s->query.dim);
        for (uint32_t i = 0; i < n; i += AHEAD) {
            uint32_t m = n - i < AHEAD ? n - i : AHEAD;
            for (uint32_t k = i + AHEAD; k < i + 2 * AHEAD && k < n; k++)
                fetch(v->codes + (size_t)s->todo[k] * s->query.dim, s->query.dim);
            h->kernels->distances(&s->query, v->codes, s->todo + i, m, s->distances + i);
        }
        s->n_distances += n;
        (void)offer(s, n, ef, 0);
    }
}
