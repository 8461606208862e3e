/* Rows and queries to measure with. */
#include "vectors.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "airlore/embedder.h"
#include "airlore/random.h"
#include "vector_index.h"

#define N_CLUSTERS 2000u

static double seconds_of(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

double al_thread_seconds(void)
{
    return seconds_of(CLOCK_THREAD_CPUTIME_ID);
}

double al_process_seconds(void)
{
    return seconds_of(CLOCK_PROCESS_CPUTIME_ID);
}

void al_vectors_fini(struct al_vectors *v)
{
    free(v->rows);
    free(v->queries);
    free(v->truth);
    *v = (struct al_vectors){0};
}

static void *big_array(size_t n, size_t size)
{
    void *p =
        aligned_alloc((size_t)2 << 20, (n * size / ((size_t)2 << 20) + 1) * ((size_t)2 << 20));
    if (p)
        (void)madvise(p, n * size, MADV_HUGEPAGE);
    return p;
}

static enum al_code allocate(struct al_vectors *v, struct al_err *err)
{
    if (v->n == 0 || v->dim == 0 || v->n_queries == 0)
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "vectors: no rows or no queries");
    v->rows = big_array((size_t)v->n * v->dim, sizeof(float));
    v->queries = calloc((size_t)v->n_queries * v->dim, sizeof(float));
    v->truth = calloc((size_t)v->n_queries * AL_VECTORS_TRUTH, sizeof(uint32_t));
    if (v->rows && v->queries && v->truth)
        return AL_OK;
    al_vectors_fini(v);
    return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "vectors: out of memory");
}

/* ---- synthetic ---- */

static float uniform(struct al_random *r)
{
    return ((float)(al_random_u64(r) >> 40) + 0.5f) / 16777216.0f;
}

static void gauss(struct al_random *r, float *ret, uint32_t n)
{
    AL_ASSERT(ret);
    for (uint32_t i = 0; i < n; i += 2) {
        float size = sqrtf(-2.0f * logf(uniform(r)));
        float angle = 6.2831853f * uniform(r);
        ret[i] = size * cosf(angle);
        if (i + 1 < n)
            ret[i + 1] = size * sinf(angle);
    }
}

struct world {
    struct al_seeded_random random;
    uint32_t dim;
    float spread;
    float *spectrum; /* dim */
    float *centres;  /* N_CLUSTERS * dim */
    float *mirrors;  /* 8 * dim: reflections, that make a rotation */
    float *point;    /* dim */
};

static void reflect(const struct world *w, float *row)
{
    for (uint32_t m = 0; m < 8; m++) {
        const float *axis = w->mirrors + (size_t)m * w->dim;
        double dot = 0;
        for (uint32_t i = 0; i < w->dim; i++)
            dot += (double)axis[i] * (double)row[i];
        for (uint32_t i = 0; i < w->dim; i++)
            row[i] -= (float)(2 * dot) * axis[i];
    }
}

static void normalize(float *row, uint32_t dim)
{
    double sum = 0;
    for (uint32_t i = 0; i < dim; i++)
        sum += (double)row[i] * (double)row[i];
    for (uint32_t i = 0; i < dim; i++)
        row[i] = (float)((double)row[i] / sqrt(sum));
}

static void draw(struct world *w, float *row)
{
    struct al_random *r = &w->random.random;
    const float *centre = w->centres + al_random_below(r, N_CLUSTERS) * w->dim;
    gauss(r, row, w->dim);
    for (uint32_t i = 0; i < w->dim; i++)
        row[i] = centre[i] + w->spread * w->spectrum[i] * row[i];
    reflect(w, row);
    normalize(row, w->dim);
}

static void make_world(struct world *w)
{
    struct al_random *r = &w->random.random;
    double sum = 0;
    for (uint32_t i = 0; i < w->dim; i++) {
        w->spectrum[i] = powf(1.0f + (float)i, -0.5f);
        sum += (double)w->spectrum[i] * (double)w->spectrum[i];
    }
    for (uint32_t i = 0; i < w->dim; i++)
        w->spectrum[i] = (float)((double)w->spectrum[i] / sqrt(sum));
    for (uint32_t c = 0; c < N_CLUSTERS; c++) {
        gauss(r, w->centres + (size_t)c * w->dim, w->dim);
        for (uint32_t i = 0; i < w->dim; i++)
            w->centres[(size_t)c * w->dim + i] *= w->spectrum[i];
    }
    for (uint32_t m = 0; m < 8; m++) {
        gauss(r, w->mirrors + (size_t)m * w->dim, w->dim);
        normalize(w->mirrors + (size_t)m * w->dim, w->dim);
    }
}

enum al_code al_vectors_synthetic(uint32_t n, uint32_t dim, float spread, uint32_t n_queries,
                                  struct al_vectors *ret, struct al_err *err)
{
    struct al_vectors v = {.dim = dim, .n = n, .n_queries = n_queries};
    struct world w = {.dim = dim, .spread = spread};
    w.spectrum = calloc(dim, sizeof(float));
    w.centres = calloc((size_t)N_CLUSTERS * dim, sizeof(float));
    w.mirrors = calloc((size_t)8 * dim, sizeof(float));
    enum al_code code = AL_OK;
    if (!w.spectrum || !w.centres || !w.mirrors)
        code = AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "vectors: out of memory");
    if (code == AL_OK)
        code = allocate(&v, err);
    if (code == AL_OK) {
        al_seeded_random_init(&w.random, 42);
        make_world(&w);
        for (uint32_t i = 0; i < n; i++)
            draw(&w, v.rows + (size_t)i * dim);
        for (uint32_t i = 0; i < n_queries; i++)
            draw(&w, v.queries + (size_t)i * dim);
        *ret = v;
    }
    free(w.spectrum);
    free(w.centres);
    free(w.mirrors);
    return code;
}

/* ---- texts ---- */

struct growing {
    float *p;
    size_t n;
    size_t cap;
};

static bool take_text(struct al_embedder *e, const char *text, struct growing *g)
{
    uint32_t dim = al_embedder_dim(e);
    uint32_t tokens = 0;
    struct al_err ignored;
    if (g->n == g->cap) {
        size_t cap = g->cap ? 2 * g->cap : 4096;
        float *p = realloc(g->p, cap * dim * sizeof *p);
        if (!p)
            return false;
        g->p = p;
        g->cap = cap;
    }
    if (al_embedder_embed(e, al_str_c(text), g->p + g->n * dim, &tokens, &ignored) == AL_OK &&
        tokens > 0)
        g->n++;
    return true;
}

static enum al_code read_texts(struct al_embedder *e, const char *path, size_t max,
                               struct growing *g, struct al_err *err)
{
    FILE *f = fopen(path, "r");
    char *line = NULL;
    size_t cap = 0;
    bool ok = true;
    if (!f)
        return AL_FAIL(err, AL_NOT_FOUND, "vectors: cannot open '%s'", path);
    while (ok && g->n < max && getline(&line, &cap, f) > 0) {
        json_t *doc = json_loads(line, 0, NULL);
        const char *text = json_string_value(json_object_get(doc, "text"));
        ok = !text || take_text(e, text, g);
        json_decref(doc);
    }
    free(line);
    fclose(f);
    if (!ok)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "vectors: out of memory");
    return g->n > 0 ? AL_OK : AL_FAIL(err, AL_INVALID_ARGUMENT, "vectors: no text in '%s'", path);
}

enum al_code al_vectors_texts(const char *rows, const char *queries, uint32_t n_queries,
                              struct al_vectors *ret, struct al_err *err)
{
    AL_AUTO(al_embedder) e = NULL;
    struct growing r = {0};
    struct growing q = {0};
    AL_TRY(al_embedder_open(al_embedder_builtin(), NULL, &e, err));
    enum al_code code = read_texts(e, rows, UINT32_MAX / 4, &r, err);
    if (code == AL_OK)
        code = read_texts(e, queries, n_queries, &q, err);
    struct al_vectors v = {
        .dim = al_embedder_dim(e), .n = (uint32_t)r.n, .n_queries = (uint32_t)q.n};
    if (code == AL_OK)
        code = allocate(&v, err);
    if (code == AL_OK) {
        AL_ASSERT(v.rows && v.queries && r.p && q.p);
        memcpy(v.rows, r.p, r.n * v.dim * sizeof(float));
        memcpy(v.queries, q.p, q.n * v.dim * sizeof(float));
        *ret = v;
    }
    free(r.p);
    free(q.p);
    return code;
}

/* ---- truth ---- */

enum al_code al_vectors_truth(struct al_vectors *v, const uint8_t *allowed, uint32_t k,
                              struct al_err *err)
{
    struct al_index *flat = NULL;
    struct al_index_source src = {.rows = v->rows, .n_rows = v->n, .dim = v->dim};
    float scores[AL_VECTORS_TRUTH];
    AL_TRY(al_index_flat()->build(&src, &flat, err));
    enum al_code code = AL_OK;
    memset(v->truth, 0xff, (size_t)v->n_queries * AL_VECTORS_TRUTH * sizeof *v->truth);
    for (uint32_t i = 0; code == AL_OK && i < v->n_queries; i++) {
        uint32_t n = 0;
        struct al_index_query q = {
            .vector = v->queries + (size_t)i * v->dim, .k = k, .allowed = allowed};
        code =
            flat->ops->search(flat, &q, v->truth + (size_t)i * AL_VECTORS_TRUTH, scores, &n, err);
    }
    flat->ops->destroy(flat);
    return code;
}
