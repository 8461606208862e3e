/* airlore-bench-text: what a text search costs in the engine alone, by looking at every posting and
 * pruned, and that both give the same.
 *
 * usage: airlore-bench-text TEXTS QUERIES [-k K] [-n ROUNDS] [--segments N] [--only all|pruned]
 *                           [--min-terms N] [--max-terms N] [--dead PERCENT] [--k1 K1] [--b B]
 *        airlore-bench-text --analyze TEXTS    the terms of each line, for another engine
 * TEXTS: one text a line. QUERIES: one a line. Prints one JSON line. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "airlore/analyzer.h"
#include "segset_impl.h"

#define TERMS_MAX 64u
#define DEPTH_MAX 1000u
#define ARENA_BYTES ((size_t)1 << 30)

struct lines {
    char *bytes;
    struct al_str *at;
    size_t n;
};

struct query {
    struct al_str terms[TERMS_MAX];
    float weights[TERMS_MAX];
    uint32_t counts[TERMS_MAX];
    size_t n;
};

struct bench {
    const char *queries;
    const char *only;
    uint32_t k;
    uint32_t rounds;
    uint32_t n_segments;
    uint32_t min_terms;
    uint32_t max_terms;
    uint32_t dead;
    float k1;
    float b;
    struct lines corpus;
    struct al_segset *set;
    struct al_arena arena;
    struct query *list;
    size_t n_queries;
    float avg_terms;
    double build_s;
    double df_s;
};

static double cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void check(enum al_code code, const struct al_err *e, const char *what)
{
    if (code == AL_OK)
        return;
    fprintf(stderr, "%s: %s\n", what, e->msg);
    exit(1);
}

static struct lines read_lines(const char *path)
{
    struct lines l = {0};
    struct al_buf b;
    struct al_err e = {0};
    al_buf_init(&b, NULL, (size_t)4 << 30);
    check(al_disk_read_file(al_disk_system(), path, &b, &e), &e, path);
    l.bytes = b.p;
    size_t cap = 0;
    for (size_t at = 0; at < b.n;) {
        char *end = memchr(b.p + at, '\n', b.n - at);
        size_t n = end ? (size_t)(end - (b.p + at)) : b.n - at;
        void *p = l.at;
        check(al_mem_grow(NULL, &p, &cap, l.n + 1, sizeof *l.at), &e, path);
        l.at = p;
        if (n > 0)
            l.at[l.n++] = (struct al_str){b.p + at, n};
        at += n + 1;
    }
    return l;
}

static enum al_code each(void *u, uint64_t first, uint64_t last,
                         enum al_code (*visit)(void *v, const struct al_doc *d, struct al_err *err),
                         void *v, struct al_err *err)
{
    const struct bench *b = u;
    for (uint64_t i = first + 1; i <= last; i++) {
        char id[32];
        struct al_str text = b->corpus.at[i - 1];
        struct al_chunk chunk = {0, (uint32_t)text.n, AL_STR("")};
        int n = snprintf(id, sizeof id, "d%07" PRIu64, i);
        struct al_doc d = {.space = 1,
                           .id = {id, (size_t)n},
                           .docno = i << 20,
                           .visibility = AL_VIS_TEAM,
                           .kind = AL_STR("doc"),
                           .embedder_id = AL_STR(""),
                           .body = text,
                           .chunks = &chunk,
                           .n_chunks = 1};
        AL_TRY(visit(v, &d, err));
    }
    return AL_OK;
}

static void build(struct bench *b)
{
    char dir[64] = "/tmp/bench-text-XXXXXX";
    struct al_err e = {0};
    if (!mkdtemp(dir))
        exit(1);
    struct al_segset_options opt = {
        .dir = dir, .dim = 4, .embedder_id = "none", .index = al_index_flat()};
    struct al_doc_source src = {each, b};
    check(al_segset_create(&opt, &b->set, &e), &e, "set");
    double start = cpu_s();
    for (uint64_t i = 0; i < b->n_segments; i++) {
        struct al_built *built = NULL;
        uint64_t first = b->corpus.n * i / b->n_segments;
        uint64_t last = b->corpus.n * (i + 1) / b->n_segments;
        check(al_segset_build(b->set, &src, first, last, NULL, NULL, &built, &e), &e, "build");
        check(al_segset_swap(b->set, built, &e), &e, "swap");
    }
    b->build_s = cpu_s() - start;
    for (uint64_t i = 0; i < b->corpus.n; i++)
        if (i * 2654435761u % 100 < b->dead)
            (void)al_segset_remove(b->set, 1, (i + 1) << 20);
    check(al_disk_remove_tree(al_disk_system(), dir, &e), &e,
          "remove"); /* mapped, stays readable */
}

static void add_term(void *u, const struct al_term *t)
{
    void **pair = u;
    struct query *q = pair[0];
    for (size_t i = 0; i < q->n; i++) {
        if (al_str_eq(q->terms[i], t->term)) {
            q->counts[i]++;
            return;
        }
    }
    if (q->n == TERMS_MAX || al_arena_str(pair[1], t->term, &q->terms[q->n], NULL) != AL_OK)
        return;
    q->counts[q->n++] = 1;
}

/* Terms and weights as the coordinator makes them. */
static void prepare(struct bench *b)
{
    static const uint32_t space = 1;
    struct lines l = read_lines(b->queries);
    struct al_analyzer *an = NULL;
    struct al_err e = {0};
    check(al_analyzer_acquire(&an, &e), &e, "analyzer");
    b->list = calloc(l.n + 1, sizeof *b->list);
    if (!b->list)
        exit(1);
    double df = 0;
    for (size_t i = 0; i < l.n; i++) {
        struct query *q = &b->list[b->n_queries];
        void *pair[2] = {q, &b->arena};
        struct al_term_stats st;
        *q = (struct query){0};
        al_analyzer_run(an, l.at[i], add_term, pair);
        if (q->n < b->min_terms || q->n > b->max_terms)
            continue;
        double start = cpu_s();
        check(al_segset_stats(b->set, &space, 1, q->terms, q->n, &b->arena, &st, &e), &e, "stats");
        df += cpu_s() - start;
        for (size_t t = 0; t < q->n; t++) {
            double d = (double)st.df[t];
            q->weights[t] =
                (float)(log(1 + ((double)st.n_chunks - d + 0.5) / (d + 0.5)) * q->counts[t]);
        }
        b->avg_terms = (float)((double)st.n_terms / (double)st.n_chunks);
        b->n_queries++;
    }
    al_analyzer_release(an);
    if (b->n_queries == 0) {
        fprintf(stderr, "%s: no query of so many terms\n", b->queries);
        exit(1);
    }
    b->df_s = df;
}

typedef enum al_code search_fn(struct al_scope *s, const struct al_part *p,
                               const struct al_leg_query *q, struct al_topk *best,
                               struct al_err *err);

static enum al_code search_all(struct al_scope *s, const struct al_part *p,
                               const struct al_leg_query *q, struct al_topk *best,
                               struct al_err *err)
{
    return al_bm25_search_all(s, p, q, best, err);
}

/* One search through all parts; the hits are in a. */
__attribute__((noinline)) static struct al_topk
run_one(const struct bench *b, const struct query *query, search_fn *search, struct al_arena *a)
{
    static const uint32_t space = 1;
    struct al_scope s;
    struct al_topk best;
    struct al_err e = {0};
    struct al_leg_query q = {.spaces = &space,
                             .n_spaces = 1,
                             .terms = query->terms,
                             .term_weights = query->weights,
                             .n_terms = query->n,
                             .avg_terms = b->avg_terms,
                             .k1 = b->k1,
                             .b = b->b,
                             .depth = b->k,
                             .deadline_ns = AL_DEADLINE_NONE};
    check(al_scope_open(b->set, &space, 1, a, &s, &e), &e, "scope");
    check(al_topk_init(&best, b->k, a, &e), &e, "best");
    for (size_t i = 0; i < s.n_parts; i++) {
        check(al_scope_select(&s, &s.parts[i], &e), &e, "select");
        check(search(&s, &s.parts[i], &q, &best, &e), &e, "search");
    }
    al_topk_sort(&best);
    al_scope_close(&s);
    return best;
}

/* CPU of a query in the best of the rounds, in microseconds. */
static double cost_of(const struct bench *b, search_fn *search)
{
    double best = 1e30;
    for (uint32_t round = 0; round < b->rounds; round++) {
        double start = cpu_s();
        for (size_t i = 0; i < b->n_queries; i++) {
            struct al_arena a;
            al_arena_init(&a, NULL, ARENA_BYTES);
            (void)run_one(b, &b->list[i], search, &a);
            al_arena_fini(&a);
        }
        double took = (cpu_s() - start) * 1e6 / (double)b->n_queries;
        best = took < best ? took : best;
    }
    return best;
}

static bool same_bits(float a, float b)
{
    uint32_t x;
    uint32_t y;
    memcpy(&x, &a, sizeof x);
    memcpy(&y, &b, sizeof y);
    return x == y;
}

static bool same(const struct al_topk *x, const struct al_topk *y)
{
    bool ok = x->n == y->n;
    for (uint32_t i = 0; ok && i < x->n; i++)
        ok = x->hits[i].doc == y->hits[i].doc && x->hits[i].chunk == y->hits[i].chunk &&
             same_bits(x->hits[i].score, y->hits[i].score);
    return ok;
}

static size_t count_different(const struct bench *b)
{
    size_t n = 0;
    for (size_t i = 0; i < b->n_queries; i++) {
        struct al_arena a;
        al_arena_init(&a, NULL, ARENA_BYTES);
        struct al_topk x = run_one(b, &b->list[i], search_all, &a);
        struct al_topk y = run_one(b, &b->list[i], al_bm25_search, &a);
        n += !same(&x, &y);
        al_arena_fini(&a);
    }
    return n;
}

/* Bytes of the text sections of all segments. */
static void report_sizes(const struct bench *b)
{
    static const struct {
        const char *name;
        enum al_seg_section section;
    } sections[] = {{"postings", AL_SECTION_POSTINGS},
                    {"blocks", AL_SECTION_BLOCKS},
                    {"terms", AL_SECTION_TERMS},
                    {"records", AL_SECTION_TERM_TEXT}};
    uint64_t n_terms = 0;
    struct al_view *v = al_view_ref(b->set);
    for (size_t k = 0; k < v->n_sealed; k++)
        n_terms += v->sealed[k]->footer.n_terms;
    printf(",\"distinct_terms\":%" PRIu64, n_terms);
    for (size_t i = 0; i < AL_ARRAY_LEN(sections); i++) {
        uint64_t n = 0;
        for (size_t k = 0; k < v->n_sealed; k++)
            n += v->sealed[k]->footer.sections[sections[i].section].bytes;
        printf(",\"%s_bytes\":%" PRIu64, sections[i].name, n);
    }
    al_view_unref(v);
}

static void report(struct bench *b)
{
    struct al_segset_status st;
    size_t n_terms = 0;
    for (size_t i = 0; i < b->n_queries; i++)
        n_terms += b->list[i].n;
    al_segset_get_status(b->set, &st);
    printf("{\"texts\":%zu,\"queries\":%zu,\"terms\":%.2f,\"k\":%u,\"segments\":%u,\"dead\":%u,"
           "\"build_us\":%.2f,\"file_bytes\":%" PRIu64 ",\"df_us\":%.2f",
           b->corpus.n, b->n_queries, (double)n_terms / (double)b->n_queries, b->k, b->n_segments,
           b->dead, b->build_s * 1e6 / (double)b->corpus.n, st.file_bytes,
           b->df_s * 1e6 / (double)b->n_queries);
    report_sizes(b);
    if (!b->only || strcmp(b->only, "all") == 0)
        printf(",\"all_us\":%.2f", cost_of(b, search_all));
    if (!b->only || strcmp(b->only, "pruned") == 0)
        printf(",\"pruned_us\":%.2f", cost_of(b, al_bm25_search));
    if (!b->only)
        printf(",\"different\":%zu", count_different(b));
    puts("}");
}

static void parse(struct bench *b, int argc, char **argv)
{
    for (int i = 3; i + 1 < argc; i += 2) {
        unsigned long v = strtoul(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "-k") == 0)
            b->k = (uint32_t)v;
        else if (strcmp(argv[i], "-n") == 0)
            b->rounds = (uint32_t)v;
        else if (strcmp(argv[i], "--segments") == 0)
            b->n_segments = (uint32_t)v;
        else if (strcmp(argv[i], "--dead") == 0)
            b->dead = (uint32_t)v;
        else if (strcmp(argv[i], "--k1") == 0)
            b->k1 = strtof(argv[i + 1], NULL);
        else if (strcmp(argv[i], "--b") == 0)
            b->b = strtof(argv[i + 1], NULL);
        else if (strcmp(argv[i], "--only") == 0)
            b->only = argv[i + 1];
        else if (strcmp(argv[i], "--min-terms") == 0)
            b->min_terms = (uint32_t)v;
        else if (strcmp(argv[i], "--max-terms") == 0)
            b->max_terms = (uint32_t)v;
        else
            exit(2);
    }
}

static void print_term(void *u, const struct al_term *t)
{
    (void)u;
    printf(AL_STR_FMT " ", AL_STR_ARG(t->term));
}

static int analyze(const char *path)
{
    struct lines l = read_lines(path);
    struct al_analyzer *an = NULL;
    struct al_err e = {0};
    check(al_analyzer_acquire(&an, &e), &e, "analyzer");
    for (size_t i = 0; i < l.n; i++) {
        al_analyzer_run(an, l.at[i], print_term, NULL);
        putchar('\n');
    }
    al_analyzer_release(an);
    return 0;
}

int main(int argc, char **argv)
{
    struct bench b = {.k = 10,
                      .rounds = 5,
                      .n_segments = 1,
                      .min_terms = 2,
                      .max_terms = 8,
                      .k1 = 0.9f,
                      .b = 0.4f};
    if (argc == 3 && strcmp(argv[1], "--analyze") == 0)
        return analyze(argv[2]);
    if (argc < 3 || argc % 2 == 0) {
        fputs("usage: airlore-bench-text TEXTS QUERIES [-k K] [-n ROUNDS] [--segments N]\n"
              "       [--only all|pruned] [--min-terms N] [--max-terms N] [--dead PERCENT]\n"
              "       [--k1 K1] [--b B]\n"
              "       airlore-bench-text --analyze TEXTS\n",
              stderr);
        return 2;
    }
    parse(&b, argc, argv);
    if (b.k < 1 || b.k > DEPTH_MAX || b.rounds < 1 || b.n_segments < 1)
        return 2;
    b.corpus = read_lines(argv[1]);
    b.queries = argv[2];
    al_arena_init(&b.arena, NULL, ARENA_BYTES);
    build(&b);
    prepare(&b);
    report(&b);
    al_segset_destroy(b.set);
    al_arena_fini(&b.arena);
    free(b.list);
    return 0;
}
