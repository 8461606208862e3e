#include "faiss_shim.h"

#include <omp.h>

#include <algorithm>
#include <cfloat>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <vector>

#include <faiss/impl/AuxIndexStructures.h>
#include <faiss/impl/DistanceComputer.h>
#include <faiss/impl/HNSW.h>
#include <faiss/impl/IDSelector.h>

#include "dot.h"

struct al_shim_graph {
    explicit al_shim_graph(const al_shim_rows &r) : rows(r.p), n(r.n), dim(r.dim)
    {
    }

    faiss::HNSW hnsw{AL_SHIM_LINKS};
    const float *rows;
    uint32_t n;
    uint32_t dim;
};

namespace
{

constexpr uint8_t format_version = 1;
constexpr size_t visited_rows_kept =
    8u << 20; /* one byte a row and thread; larger tables live for one search */

/* HNSW looks for the smallest distance: minus the inner product. Never NaN, which no heap can
 * order. */
class row_distance final : public faiss::DistanceComputer
{
  public:
    explicit row_distance(const al_shim_graph &graph) : g(graph), query(nullptr)
    {
    }
    row_distance(const row_distance &) = delete;
    row_distance &operator=(const row_distance &) = delete;

    void set_query(const float *x) override
    {
        query = x;
    }

    float operator()(idx_t i) override
    {
        return between(query, row(i));
    }

    float symmetric_dis(idx_t i, idx_t j) override
    {
        return between(row(i), row(j));
    }

    const float *row(idx_t i) const
    {
        return g.rows + static_cast<size_t>(i) * g.dim;
    }

  private:
    float between(const float *a, const float *b) const
    {
        const float d = -al_dot(a, b, g.dim);
        return d == d ? d : FLT_MAX;
    }

    const al_shim_graph &g;
    const float *query;
};

void say(al_shim_msg *msg, const char *text)
{
    std::snprintf(msg->text, sizeof msg->text, "%s", text);
}

/* Run f; exceptions become codes. */
template <class F> al_shim_code guarded(al_shim_msg *msg, F f)
{
    try {
        return f();
    } catch (const std::bad_alloc &) {
        say(msg, "out of memory");
        return AL_SHIM_NO_MEMORY;
    } catch (const std::length_error &) {
        say(msg, "out of memory");
        return AL_SHIM_NO_MEMORY;
    } catch (const std::exception &e) {
        say(msg, e.what());
        return AL_SHIM_FAILED;
    } catch (...) {
        say(msg, "unknown exception");
        return AL_SHIM_FAILED;
    }
}

/* One lock a vertex, as FAISS's way of adding asks for; only this thread takes them. */
class vertex_locks
{
  public:
    explicit vertex_locks(size_t n) : locks(n)
    {
        for (auto &l : locks)
            omp_init_lock(&l);
    }
    ~vertex_locks()
    {
        for (auto &l : locks)
            omp_destroy_lock(&l);
    }
    vertex_locks(const vertex_locks &) = delete;
    vertex_locks &operator=(const vertex_locks &) = delete;

    std::vector<omp_lock_t> locks;
};

/* Vertices by level, highest first, so that upper levels exist before lower ones hang on to them.
 */
std::vector<int> order_of(const faiss::HNSW &hnsw)
{
    std::vector<int> order(hnsw.levels.size());
    for (size_t i = 0; i < order.size(); i++)
        order[i] = static_cast<int>(i);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
        return hnsw.levels[static_cast<size_t>(a)] > hnsw.levels[static_cast<size_t>(b)];
    });
    /* a fixed shuffle within each level: neighbours in the input are often alike */
    faiss::RandomGenerator random(789);
    for (size_t from = 0; from < order.size();) {
        size_t to = from;
        while (to < order.size() && hnsw.levels[static_cast<size_t>(order[to])] ==
                                        hnsw.levels[static_cast<size_t>(order[from])])
            to++;
        for (size_t i = from; i + 1 < to; i++)
            std::swap(order[i],
                      order[i + static_cast<size_t>(random.rand_int(static_cast<int>(to - i)))]);
        from = to;
    }
    return order;
}

al_shim_code build(al_shim_graph &g, bool (*cancel)(void *u), void *u)
{
    constexpr size_t poll_every = 64;
    g.hnsw.efConstruction = AL_SHIM_EF_BUILD;
    g.hnsw.prepare_level_tab(g.n);
    const std::vector<int> order = order_of(g.hnsw);
    vertex_locks locks(g.n);
    faiss::VisitedTable visited(static_cast<int>(g.n));
    row_distance distance(g);
    for (size_t i = 0; i < order.size(); i++) {
        if (cancel && i % poll_every == 0 && cancel(u))
            return AL_SHIM_CANCELLED;
        const int v = order[i];
        distance.set_query(distance.row(v));
        g.hnsw.add_with_locks(distance, g.hnsw.levels[static_cast<size_t>(v)] - 1, v, locks.locks,
                              visited);
    }
    return AL_SHIM_OK;
}

/* ---- bytes ---- */

/* version u8, rows u32, links u32, entry i32, levels u8 each, then for each vertex and level: count
 * u8, ids u32. */
constexpr size_t header_bytes = 1 + 4 + 4 + 4;

void put_u32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = static_cast<uint8_t>(v >> (8 * i));
}

uint32_t get_u32(const uint8_t *p)
{
    return static_cast<uint32_t>(p[0]) | static_cast<uint32_t>(p[1]) << 8 |
           static_cast<uint32_t>(p[2]) << 16 | static_cast<uint32_t>(p[3]) << 24;
}

struct reader {
    const uint8_t *p;
    size_t n;

    const uint8_t *take(size_t want)
    {
        if (want > n)
            return nullptr;
        const uint8_t *at = p;
        p += want;
        n -= want;
        return at;
    }
};

al_shim_code malformed(al_shim_msg *msg, const char *text)
{
    say(msg, text);
    return AL_SHIM_MALFORMED;
}

al_shim_code read_levels(reader &in, al_shim_graph &g, al_shim_msg *msg)
{
    const size_t n_levels = g.hnsw.cum_nneighbor_per_level.size() - 1;
    const uint8_t *levels = in.take(g.n);
    if (!levels)
        return malformed(msg, "levels end early");
    g.hnsw.levels.resize(g.n);
    g.hnsw.offsets.resize(static_cast<size_t>(g.n) + 1);
    int top = 0;
    for (size_t i = 0; i < g.n; i++) {
        if (levels[i] < 1 || levels[i] > n_levels)
            return malformed(msg, "level out of range");
        g.hnsw.levels[i] = levels[i];
        g.hnsw.offsets[i + 1] =
            g.hnsw.offsets[i] + static_cast<size_t>(g.hnsw.cum_nb_neighbors(levels[i]));
        top = std::max(top, static_cast<int>(levels[i]));
    }
    g.hnsw.max_level = top - 1;
    const auto entry = static_cast<size_t>(g.hnsw.entry_point);
    if (g.hnsw.levels[entry] != top)
        return malformed(msg, "entry point is not on the highest level");
    return AL_SHIM_OK;
}

al_shim_code read_links(reader &in, al_shim_graph &g, int vertex, int level, al_shim_msg *msg)
{
    size_t begin;
    size_t end;
    g.hnsw.neighbor_range(vertex, level, &begin, &end);
    const uint8_t *count = in.take(1);
    if (!count || *count > end - begin)
        return malformed(msg, "too many links");
    const uint8_t *ids = in.take(static_cast<size_t>(*count) * 4);
    if (!ids)
        return malformed(msg, "links end early");
    for (size_t i = 0; i < *count; i++) {
        const uint32_t id = get_u32(ids + 4 * i);
        /* a link to a vertex that is not on this level would be followed beyond its links */
        if (id >= g.n || g.hnsw.levels[id] <= level)
            return malformed(msg, "link out of range");
        g.hnsw.neighbors[begin + i] = static_cast<int>(id);
    }
    return AL_SHIM_OK;
}

al_shim_code read_graph(reader in, al_shim_graph &g, al_shim_msg *msg)
{
    const uint8_t *h = in.take(header_bytes);
    if (!h || h[0] != format_version)
        return malformed(msg, "unknown version");
    if (get_u32(h + 1) != g.n || get_u32(h + 5) != AL_SHIM_LINKS)
        return malformed(msg, "number of rows or links differs");
    if (get_u32(h + 9) >= g.n || in.n < g.n)
        return malformed(msg, "entry point out of range");
    g.hnsw.entry_point = static_cast<int>(get_u32(h + 9));
    const al_shim_code code = read_levels(in, g, msg);
    if (code != AL_SHIM_OK)
        return code;
    /* each vertex has one byte at least for each level: bytes bound what is allocated for them */
    if (in.n < g.n)
        return malformed(msg, "links end early");
    g.hnsw.neighbors.assign(g.hnsw.offsets[g.n], -1);
    for (uint32_t v = 0; v < g.n; v++)
        for (int level = 0; level < g.hnsw.levels[v]; level++) {
            const al_shim_code c = read_links(in, g, static_cast<int>(v), level, msg);
            if (c != AL_SHIM_OK)
                return c;
        }
    return in.n == 0 ? AL_SHIM_OK : malformed(msg, "bytes after the end");
}

bool put_links(const al_shim_graph &g, uint32_t v, bool (*put)(void *u, const void *p, size_t n),
               void *u)
{
    uint8_t out[1 + 4 * 2 * AL_SHIM_LINKS];
    for (int level = 0; level < g.hnsw.levels[v]; level++) {
        size_t begin;
        size_t end;
        g.hnsw.neighbor_range(v, level, &begin, &end);
        size_t n = 0;
        for (size_t i = begin; i < end && g.hnsw.neighbors[i] >= 0; i++, n++)
            put_u32(out + 1 + 4 * n, static_cast<uint32_t>(g.hnsw.neighbors[i]));
        out[0] = static_cast<uint8_t>(n);
        if (!put(u, out, 1 + 4 * n))
            return false;
    }
    return true;
}

/* ---- search ---- */

/* This thread's table of visited rows. */
class visited_lease
{
  public:
    explicit visited_lease(size_t n)
    {
        if (n > visited_rows_kept) {
            own = std::make_unique<faiss::VisitedTable>(static_cast<int>(n));
            return;
        }
        if (!kept || kept->visited.size() < n)
            kept = std::make_unique<faiss::VisitedTable>(
                static_cast<int>(std::min(n + n / 4, visited_rows_kept)));
    }
    ~visited_lease()
    {
        if (!clean)
            kept.reset(); /* an exception left marks in it */
    }
    visited_lease(const visited_lease &) = delete;
    visited_lease &operator=(const visited_lease &) = delete;

    faiss::VisitedTable &table()
    {
        return own ? *own : *kept;
    }
    void done()
    {
        clean = true;
    }

  private:
    static thread_local std::unique_ptr<faiss::VisitedTable> kept;
    std::unique_ptr<faiss::VisitedTable> own;
    bool clean = false;
};

thread_local std::unique_ptr<faiss::VisitedTable> visited_lease::kept;

struct hit {
    float distance;
    faiss::Index::idx_t row;
};

uint32_t search(const al_shim_graph &g, const al_shim_query &q, uint32_t *rows, float *scores)
{
    faiss::IDSelectorBitmap selector((static_cast<size_t>(g.n) + 7) / 8, q.allowed);
    faiss::SearchParametersHNSW params;
    params.efSearch = static_cast<int>(q.ef);
    params.sel = q.allowed ? &selector : nullptr;
    std::vector<float> distances(q.k, FLT_MAX);
    std::vector<faiss::Index::idx_t> ids(q.k, -1);
    row_distance distance(g);
    distance.set_query(q.vector);
    visited_lease lease(g.n);
    g.hnsw.search(distance, static_cast<int>(q.k), ids.data(), distances.data(), lease.table(),
                  &params);
    lease.done();
    std::vector<hit> hits;
    hits.reserve(q.k);
    for (size_t i = 0; i < q.k; i++)
        if (ids[i] >= 0)
            hits.push_back({distances[i], ids[i]});
    std::sort(hits.begin(), hits.end(), [](const hit &a, const hit &b) {
        return a.distance < b.distance || (!(b.distance < a.distance) && a.row < b.row);
    });
    for (size_t i = 0; i < hits.size(); i++) {
        rows[i] = static_cast<uint32_t>(hits[i].row);
        scores[i] = -hits[i].distance;
    }
    return static_cast<uint32_t>(hits.size());
}

bool is_too_large(uint32_t n, al_shim_msg *msg)
{
    if (n > 0 && n < INT32_MAX / 2)
        return false;
    say(msg, "number of rows out of range");
    return true;
}

} // namespace

extern "C" {

enum al_shim_code al_shim_build(const struct al_shim_rows *rows, bool (*cancel)(void *u), void *u,
                                struct al_shim_graph **ret, struct al_shim_msg *msg)
{
    if (is_too_large(rows->n, msg))
        return AL_SHIM_FAILED;
    return guarded(msg, [&] {
        auto g = std::make_unique<al_shim_graph>(*rows);
        const al_shim_code code = build(*g, cancel, u);
        if (code == AL_SHIM_OK)
            *ret = g.release();
        return code;
    });
}

enum al_shim_code al_shim_load(const uint8_t *bytes, size_t n_bytes,
                               const struct al_shim_rows *rows, struct al_shim_graph **ret,
                               struct al_shim_msg *msg)
{
    if (is_too_large(rows->n, msg))
        return AL_SHIM_MALFORMED;
    return guarded(msg, [&] {
        auto g = std::make_unique<al_shim_graph>(*rows);
        const al_shim_code code = read_graph(reader{bytes, n_bytes}, *g, msg);
        if (code == AL_SHIM_OK)
            *ret = g.release();
        return code;
    });
}

enum al_shim_code al_shim_save(const struct al_shim_graph *g,
                               bool (*put)(void *u, const void *p, size_t n), void *u)
{
    uint8_t h[header_bytes];
    h[0] = format_version;
    put_u32(h + 1, g->n);
    put_u32(h + 5, AL_SHIM_LINKS);
    put_u32(h + 9, static_cast<uint32_t>(g->hnsw.entry_point));
    bool ok = put(u, h, sizeof h);
    for (uint32_t v = 0; ok && v < g->n; v++) {
        const uint8_t level = static_cast<uint8_t>(g->hnsw.levels[v]);
        ok = put(u, &level, 1);
    }
    for (uint32_t v = 0; ok && v < g->n; v++)
        ok = put_links(*g, v, put, u);
    return ok ? AL_SHIM_OK : AL_SHIM_NO_MEMORY;
}

enum al_shim_code al_shim_search(const struct al_shim_graph *g, const struct al_shim_query *q,
                                 uint32_t *ret_rows, float *ret_scores, uint32_t *ret_n,
                                 struct al_shim_msg *msg)
{
    return guarded(msg, [&] {
        *ret_n = search(*g, *q, ret_rows, ret_scores);
        return AL_SHIM_OK;
    });
}

uint64_t al_shim_memory_bytes(const struct al_shim_graph *g)
{
    return sizeof *g + g->hnsw.levels.capacity() * sizeof(int) +
           g->hnsw.offsets.capacity() * sizeof(size_t) + g->hnsw.neighbors.capacity() * sizeof(int);
}

void al_shim_destroy(struct al_shim_graph *g)
{
    delete g;
}
}
