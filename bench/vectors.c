/* airlore-vectors: our vector index against FAISS's, on the same rows and queries, in one process.
 *
 * CPU time of the thread, the variants in turn, the median of the rounds; what a busy machine does
 * to one it does to all. The beam of an operating point is the smallest of the grid that reaches
 * the recall on the first half of the queries; "held" is its recall on the second half. */
#include "vectors.h"

#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "airlore/random.h"
#include "index_hnsw.h"

#define ROUNDS_MAX 15u
#define GRID_MAX 40u
#define VARIANTS_MAX 8u
#define K_MAX AL_VECTORS_TRUTH

static const uint32_t grid[] = {10,  12,  14,  16,  20,  24,  28,  32,  40,  48,  56,  64,  80,  96,
                                112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 1024};

struct options {
    uint32_t n;
    uint32_t dim;
    uint32_t n_queries;
    float spread;
    uint32_t k;
    uint32_t rounds;
    uint32_t threads;
    const char *rows;
    const char *queries;
    const char *tables;
    bool faiss;
};

/* One thing to measure: k rows of a query with a beam. */
struct variant {
    const char *name;
    void (*prepare)(void *u, uint32_t ef);
    bool (*search)(void *u, const float *query, uint32_t ef, uint32_t k, uint32_t *ret);
    void *u;
    /* of the operating point in work */
    uint32_t ef;
    double recall;
    double held;
    double us[ROUNDS_MAX];
};

/* ---- variants ---- */

static bool own_search(void *u, const float *query, uint32_t ef, uint32_t k, uint32_t *ret)
{
    const struct al_index *ix = u;
    float scores[K_MAX];
    uint32_t n = 0;
    struct al_index_query q = {.vector = query, .k = k, .ef = ef};
    struct al_err err;
    if (ix->ops->search(ix, &q, ret, scores, &n, &err) != AL_OK)
        return false;
    for (; n < k; n++)
        ret[n] = UINT32_MAX;
    return true;
}

static void faiss_prepare(void *u, uint32_t ef)
{
    (void)al_plain_faiss_set_ef(u, ef);
}

static bool faiss_search(void *u, const float *query, uint32_t ef, uint32_t k, uint32_t *ret)
{
    (void)ef;
    return al_plain_faiss_search(u, query, k, ret);
}

/* ---- figures ---- */

static int cmp_double(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *p, size_t n)
{
    qsort(p, n, sizeof *p, cmp_double);
    return p[n / 2];
}

static size_t hits_of(const uint32_t *found, const uint32_t *truth, uint32_t k)
{
    size_t hits = 0;
    for (uint32_t i = 0; i < k; i++)
        for (uint32_t j = 0; j < k && found[i] != UINT32_MAX; j++)
            hits += found[i] == truth[j];
    return hits;
}

/* Recall on the queries [from, to). */
static double recall_of(const struct variant *va, const struct al_vectors *v, uint32_t ef,
                        uint32_t k, uint32_t from, uint32_t to)
{
    uint32_t found[K_MAX];
    size_t hits = 0;
    if (va->prepare)
        va->prepare(va->u, ef);
    for (uint32_t i = from; i < to; i++)
        if (va->search(va->u, v->queries + (size_t)i * v->dim, ef, k, found))
            hits += hits_of(found, v->truth + (size_t)i * AL_VECTORS_TRUTH, k);
    return (double)hits / ((double)(to - from) * k);
}

static double time_of(const struct variant *va, const struct al_vectors *v, uint32_t k)
{
    uint32_t found[K_MAX];
    if (va->prepare)
        va->prepare(va->u, va->ef);
    double start = al_thread_seconds();
    for (uint32_t i = 0; i < v->n_queries; i++)
        (void)va->search(va->u, v->queries + (size_t)i * v->dim, va->ef, k, found);
    return (al_thread_seconds() - start) / v->n_queries * 1e6;
}

static void choose_ef(struct variant *va, const struct al_vectors *v, uint32_t k, double recall)
{
    uint32_t half = v->n_queries / 2;
    for (size_t i = 0; i < AL_ARRAY_LEN(grid); i++) {
        va->ef = grid[i];
        va->recall = recall_of(va, v, va->ef, k, 0, half);
        if (va->recall >= recall)
            break;
    }
    va->held = recall_of(va, v, va->ef, k, half, v->n_queries);
}

static void table_search(struct variant *variants, size_t n, const struct al_vectors *v,
                         const struct options *o)
{
    static const double recalls[] = {0.95, 0.99};
    for (size_t r = 0; r < AL_ARRAY_LEN(recalls); r++) {
        printf("\nrecall@%u >= %.2f\n\n| variant | ef | recall | held | us | QPS per CPU-second | "
               "x |\n"
               "| --- | --- | --- | --- | --- | --- | --- |\n",
               o->k, recalls[r]);
        for (size_t i = 0; i < n; i++)
            choose_ef(&variants[i], v, o->k, recalls[r]);
        for (uint32_t round = 0; round < o->rounds; round++)
            for (size_t i = 0; i < n; i++)
                variants[i].us[round] = time_of(&variants[i], v, o->k);
        double base = 0;
        for (size_t i = 0; i < n; i++) {
            double us = median(variants[i].us, o->rounds);
            base = i == 0 ? us : base;
            printf("| %s | %u | %.4f | %.4f | %.1f | %.0f | %.2f |\n", variants[i].name,
                   variants[i].ef, variants[i].recall, variants[i].held, us, 1e6 / us, base / us);
        }
        fflush(stdout);
    }
}

/* ---- codes ---- */

/* Part of the true k that are among the best r by code, over all rows. */
static void table_codes(struct al_hnsw *h, const struct al_vectors *v)
{
    static const uint32_t ks[] = {10, 100};
    static const double over[] = {1, 1.1, 1.2, 1.25, 1.5, 2, 3};
    printf("\nbest r by code, then exact: recall\n\n| k | r = 1.0 k | 1.1 | 1.2 | 1.25 | 1.5 | 2 | "
           "3 |\n"
           "| --- | --- | --- | --- | --- | --- | --- | --- |\n");
    for (size_t c = 0; c < AL_ARRAY_LEN(ks); c++) {
        uint32_t k = ks[c];
        size_t hits[AL_ARRAY_LEN(over)] = {0};
        uint32_t n_queries = v->n_queries < 200 ? v->n_queries : 200;
        for (uint32_t i = 0; i < n_queries; i++) {
            struct al_hnsw_scratch *s = NULL;
            struct al_hnsw_view view = al_hnsw_view(h);
            struct al_err err;
            if (al_hnsw_scratch_acquire(h, 3 * k, &s, &err) != AL_OK)
                return;
            s->query.sum = al_coder_encode_query(&h->coder, v->queries + (size_t)i * v->dim,
                                                 s->rotated, s->codes);
            al_hnsw_scan(h, &view, s, NULL, 3 * k);
            for (size_t r = 0; r < AL_ARRAY_LEN(over); r++)
                for (uint32_t j = 0; j < (uint32_t)(over[r] * k + 0.5); j++)
                    for (uint32_t t = 0; t < k; t++)
                        hits[r] +=
                            (uint32_t)s->pool[j] >> 1 == v->truth[(size_t)i * AL_VECTORS_TRUTH + t];
            al_hnsw_scratch_release(h, s);
        }
        printf("| %u", k);
        for (size_t r = 0; r < AL_ARRAY_LEN(over); r++)
            printf(" | %.4f", (double)hits[r] / ((double)n_queries * k));
        printf(" |\n");
    }
    fflush(stdout);
}

/* ---- filters ---- */

static float plain_dot(const float *a, const float *b, uint32_t dim)
{
    float sum = 0;
    for (uint32_t i = 0; i < dim; i++)
        sum += a[i] * b[i];
    return sum;
}

static int cmp_float(const void *a, const void *b)
{
    float x = *(const float *)a;
    float y = *(const float *)b;
    return x > y ? -1 : x < y;
}

/* Allow a part of the rows: any, or those nearest to one of them, with noise. Returns how many. */
static uint64_t make_filter(const struct al_vectors *v, double part, bool topic, uint64_t seed,
                            uint8_t *allowed)
{
    struct al_seeded_random r;
    uint64_t n = 0;
    float *near = calloc(v->n, sizeof *near);
    float *sorted = calloc(v->n, sizeof *sorted);
    if (!near || !sorted)
        abort();
    al_seeded_random_init(&r, seed);
    const float *middle = v->rows + al_random_below(&r.random, v->n) * v->dim;
    for (uint32_t i = 0; i < v->n; i++) {
        float noise = (float)al_random_below(&r.random, 1000000) / 1e6f;
        near[i] =
            topic ? plain_dot(middle, v->rows + (size_t)i * v->dim, v->dim) + 0.1f * noise : noise;
        sorted[i] = near[i];
    }
    qsort(sorted, v->n, sizeof *sorted, cmp_float);
    float least = sorted[(size_t)(part * v->n)];
    memset(allowed, 0, (v->n + 7) / 8);
    for (uint32_t i = 0; i < v->n; i++)
        if (near[i] > least) {
            allowed[i / 8] = (uint8_t)(allowed[i / 8] | 1u << i % 8);
            n++;
        }
    free(near);
    free(sorted);
    return n;
}

static void filter_row(const struct al_index *ix, const struct al_vectors *v, uint32_t k,
                       const uint8_t *allowed, uint64_t n_allowed)
{
    uint32_t found[K_MAX];
    float scores[K_MAX];
    size_t hits = 0;
    size_t want = 0;
    size_t short_of = 0;
    size_t plans[AL_PLAN_RESCUED + 1] = {0};
    double us[3];
    for (size_t round = 0; round < 3; round++) {
        double start = al_thread_seconds();
        for (uint32_t i = 0; i < v->n_queries; i++) {
            uint32_t n = 0;
            struct al_err err;
            struct al_index_work work = {0};
            struct al_index_query q = {.vector = v->queries + (size_t)i * v->dim,
                                       .k = k,
                                       .allowed = allowed,
                                       .n_allowed = allowed ? n_allowed : 0,
                                       .ret_work = &work};
            if (ix->ops->search(ix, &q, found, scores, &n, &err) != AL_OK || round > 0)
                continue;
            plans[work.plan]++;
            uint32_t m = n_allowed < k ? (uint32_t)n_allowed : k;
            short_of += m - n;
            want += m;
            hits += hits_of(found, v->truth + (size_t)i * AL_VECTORS_TRUTH, n);
        }
        us[round] = (al_thread_seconds() - start) / v->n_queries * 1e6;
    }
    printf(" %.4f | %.0f | %zu | %zu / %zu / %zu / %zu |\n", (double)hits / (double)want,
           median(us, 3), short_of, plans[AL_PLAN_SCAN], plans[AL_PLAN_THROUGH], plans[AL_PLAN_HOP],
           plans[AL_PLAN_RESCUED]);
}

static void table_filters(const struct al_index *ix, struct al_vectors *v, const struct options *o)
{
    static const double parts[] = {0.8, 0.5, 0.2, 0.1, 0.05, 0.01, 0.001};
    uint8_t *allowed = calloc(v->n / 8 + 1, 1);
    uint32_t n_queries = v->n_queries;
    v->n_queries = n_queries < 200 ? n_queries : 200;
    printf("\nfilters, k %u, default ef\n\n| filter | allowed | recall | us | missing | scan / "
           "through / hop / rescued |\n| --- | --- | --- | --- | --- | --- |\n",
           o->k);
    struct al_err ignored;
    if (al_vectors_truth(v, NULL, o->k, &ignored) == AL_OK) {
        printf("| none | 100 %% |");
        filter_row(ix, v, o->k, NULL, v->n);
    }
    for (int topic = 0; topic < 2; topic++)
        for (size_t i = 0; allowed && i < AL_ARRAY_LEN(parts); i++) {
            struct al_err err;
            uint64_t n = make_filter(v, parts[i], topic, 100 + i, allowed);
            if (al_vectors_truth(v, allowed, o->k, &err) != AL_OK)
                break;
            printf("| %s | %.1f %% (%llu) |", topic ? "topic" : "random", parts[i] * 100,
                   (unsigned long long)n);
            filter_row(ix, v, o->k, allowed, n);
            fflush(stdout);
        }
    v->n_queries = n_queries;
    free(allowed);
}

/* ---- memory ---- */

/* n bytes as a file that is mapped, as a segment is. NULL on failure. */
static void *as_file(const void *p, size_t n)
{
    FILE *f = tmpfile();
    void *map = MAP_FAILED;
    if (f && fwrite(p, 1, n, f) == n && fflush(f) == 0)
        map = mmap(NULL, n, PROT_READ, MAP_SHARED, fileno(f), 0);
    if (f)
        fclose(f);
    return map == MAP_FAILED ? NULL : map;
}

/* n bytes in memory that has small pages only. */
static void *on_small_pages(const void *p, size_t n)
{
    void *map = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED)
        return NULL;
    (void)madvise(map, n, MADV_NOHUGEPAGE);
    memcpy(map, p, n);
    return map;
}

/* The same index from a mapped file, with rows from a mapped file, copied or not. */
static void table_memory(const struct al_index *built, const struct al_vectors *v,
                         const struct options *o)
{
    const struct al_hnsw *h = (const struct al_hnsw *)built;
    size_t row_bytes = (size_t)v->n * v->dim * sizeof *v->rows;
    char *bytes = as_file(h->loaded, h->layout.n_bytes);
    float *rows = as_file(v->rows, row_bytes);
    char *small_bytes = on_small_pages(h->loaded, h->layout.n_bytes);
    float *small_rows = on_small_pages(v->rows, row_bytes);
    struct al_index *small = NULL;
    struct al_index *mapped = NULL;
    struct al_index *copied = NULL;
    struct al_index_source src = {.rows = rows, .n_rows = v->n, .dim = v->dim};
    struct al_index_source small_src = {.rows = small_rows, .n_rows = v->n, .dim = v->dim};
    struct al_str str = {bytes, h->layout.n_bytes};
    struct al_str small_str = {small_bytes, h->layout.n_bytes};
    struct al_err err;
    if (!bytes || !rows || !small_bytes || !small_rows ||
        al_index_hnsw()->load(small_str, &small_src, &small, &err) != AL_OK ||
        al_index_hnsw()->load(str, &src, &mapped, &err) != AL_OK ||
        al_index_hnsw()->load(str, &src, &copied, &err) != AL_OK)
        return;
    printf("\nwhere codes, links and rows lie; %llu bytes copied",
           (unsigned long long)copied->ops->copy(copied, UINT64_MAX));
    struct variant variants[] = {
        {.name = "all on small pages", .search = own_search, .u = small},
        {.name = "all in mapped files", .search = own_search, .u = mapped},
        {.name = "codes and links copied, rows mapped", .search = own_search, .u = copied},
        {.name = "all on large pages",
         .search = own_search,
         .u = (struct al_index *)(uintptr_t)built},
    };
    table_search(variants, AL_ARRAY_LEN(variants), v, o);
    small->ops->destroy(small);
    munmap(small_bytes, h->layout.n_bytes);
    munmap(small_rows, row_bytes);
    mapped->ops->destroy(mapped);
    copied->ops->destroy(copied);
    munmap(bytes, h->layout.n_bytes);
    munmap(rows, row_bytes);
}

/* ---- build ---- */

static struct al_index *build_own(const struct al_vectors *v, uint32_t threads, struct al_err *err)
{
    struct al_index *ix = NULL;
    struct al_index_source src = {
        .rows = v->rows, .n_rows = v->n, .dim = v->dim, .n_threads = threads};
    double start = al_process_seconds();
    if (al_index_hnsw()->build(&src, &ix, err) != AL_OK)
        return NULL;
    struct al_hnsw *h = (struct al_hnsw *)ix;
    struct al_hnsw_view view = al_hnsw_view(h);
    uint64_t links = 0;
    for (size_t i = 0; i < (size_t)v->n * AL_HNSW_LINKS; i++)
        links += view.links[i] != AL_HNSW_NONE;
    printf("own: built with %u threads: %.1f CPU us a row, %.1f links a row, %.0f bytes a row, "
           "kernel %s\n",
           threads, (al_process_seconds() - start) / v->n * 1e6, (double)links / v->n,
           (double)h->layout.n_bytes / v->n, h->kernels->name);
    fflush(stdout);
    return ix;
}

/* ---- all ---- */

static bool wants(const struct options *o, const char *table)
{
    return strstr(o->tables, table) != NULL;
}

static int run(const struct options *o, struct al_vectors *v)
{
    struct al_err err = {0};
    struct variant variants[VARIANTS_MAX] = {{0}};
    size_t n = 0;
    struct al_plain_faiss *f = NULL;
    if (al_vectors_truth(v, NULL, K_MAX, &err) != AL_OK) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    printf("%u rows, %u queries, %u dimensions\n", v->n, v->n_queries, v->dim);
    if (o->faiss) {
        double start = al_process_seconds();
        f = al_plain_faiss_build(v);
        printf("FAISS HNSW32,Flat, efConstruction 100: %.1f CPU us a row\n",
               (al_process_seconds() - start) / v->n * 1e6);
        variants[n++] = (struct variant){
            .name = "FAISS HNSW32,Flat", .prepare = faiss_prepare, .search = faiss_search, .u = f};
    }
    struct al_index *ix = build_own(v, o->threads, &err);
    if (!ix || (o->faiss && !f)) {
        fprintf(stderr, "index: %s\n", err.msg);
        return 1;
    }
    variants[n++] = (struct variant){.name = "own", .search = own_search, .u = ix};
    if (wants(o, "search"))
        table_search(variants, n, v, o);
    if (wants(o, "memory"))
        table_memory(ix, v, o);
    if (wants(o, "codes"))
        table_codes((struct al_hnsw *)ix, v);
    if (wants(o, "filters"))
        table_filters(ix, v, o);
    ix->ops->destroy(ix);
    al_plain_faiss_destroy(f);
    return 0;
}

static int usage(void)
{
    fprintf(
        stderr,
        "usage: airlore-vectors [-n ROWS] [-d DIM] [-s SPREAD] [-q QUERIES] [-k K] [-r ROUNDS]\n"
        "                       [-j THREADS] [-t search,memory,codes,filters] [-F: without FAISS]\n"
        "                       [ROWS.jsonl QUERIES.jsonl: texts instead of clusters]\n");
    return 2;
}

static bool parse(int argc, char **argv, struct options *o)
{
    int c;
    while ((c = getopt(argc, argv, "n:d:s:q:k:r:j:t:F")) >= 0) {
        uint32_t number = optarg ? (uint32_t)strtoul(optarg, NULL, 10) : 0;
        switch (c) {
        case 'n':
            o->n = number;
            break;
        case 'd':
            o->dim = number;
            break;
        case 's':
            o->spread = optarg ? strtof(optarg, NULL) : 0;
            break;
        case 'q':
            o->n_queries = number;
            break;
        case 'k':
            o->k = number;
            break;
        case 'r':
            o->rounds = number;
            break;
        case 'j':
            o->threads = number;
            break;
        case 't':
            o->tables = optarg;
            break;
        case 'F':
            o->faiss = false;
            break;
        default:
            return false;
        }
    }
    if (argc - optind == 2) {
        o->rows = argv[optind];
        o->queries = argv[optind + 1];
    } else if (argc != optind) {
        return false;
    }
    return o->n > 0 && o->dim > 0 && o->n_queries > 1 && o->k > 0 && o->k <= K_MAX &&
           o->rounds > 0 && o->rounds <= ROUNDS_MAX;
}

int main(int argc, char **argv)
{
    struct options o = {.n = 200000,
                        .dim = 256,
                        .n_queries = 1000,
                        .spread = 0.75f,
                        .k = 10,
                        .rounds = 5,
                        .threads = 1,
                        .tables = "search,memory,codes,filters",
                        .faiss = true};
    struct al_vectors v = {0};
    struct al_err err = {0};
    if (!parse(argc, argv, &o))
        return usage();
    enum al_code code = o.rows ? al_vectors_texts(o.rows, o.queries, o.n_queries, &v, &err)
                               : al_vectors_synthetic(o.n, o.dim, o.spread, o.n_queries, &v, &err);
    if (code != AL_OK) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    int status = run(&o, &v);
    al_vectors_fini(&v);
    return status;
}
