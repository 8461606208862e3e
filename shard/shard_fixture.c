#include "shard_fixture.h"

#include <math.h>
#include <stdlib.h>

#include "vector_index.h"

struct al_shard_options fx_options(const char *dir)
{
    return (struct al_shard_options){.id = {3},
                                     .dir = dir,
                                     .dim = FX_DIM,
                                     .embedder_id = "test-8",
                                     .slot_last = UINT16_MAX,
                                     .seal_rows = 64,
                                     .merge_factor = 3,
                                     .min_free_bytes = 1,
                                     .index = al_index_flat(),
                                     .store = al_store_mem()};
}

static uint32_t mix(uint32_t x)
{
    x ^= x >> 16;
    x *= 0x7feb352du;
    x ^= x >> 15;
    x *= 0x846ca68bu;
    return x ^ x >> 16;
}

static void make_vector(uint32_t seed, float *v)
{
    double sum = 0;
    for (uint32_t i = 0; i < FX_DIM; i++) {
        v[i] = (float)(mix(seed * FX_DIM + i + 1) % 2001) / 1000.0f - 1.0f;
        sum += (double)v[i] * (double)v[i];
    }
    for (uint32_t i = 0; i < FX_DIM; i++)
        v[i] = (float)((double)v[i] / sqrt(sum));
}

static char *make_text(struct al_arena *a, uint32_t seed, size_t n_chunks)
{
    char *body = al_arena_alloc(a, n_chunks * 40 + 1);
    assert_non_null(body);
    for (size_t i = 0; i < n_chunks; i++)
        snprintf(body + i * 40, 41, "%-39s\n", al_arena_printf(a, "alpha w%u beta c%zu", seed, i));
    body[n_chunks * 40] = 0;
    return body;
}

struct al_doc fx_doc(struct al_arena *a, const char *id, uint32_t seed, size_t n_chunks)
{
    struct al_chunk *chunks = al_arena_array(a, n_chunks, sizeof(*chunks));
    float *vectors = al_arena_array(a, n_chunks, FX_DIM * sizeof(float));
    struct al_str *tags = al_arena_array(a, 1, sizeof(*tags));
    assert_true(chunks && vectors && tags);
    char *body = make_text(a, seed, n_chunks);
    for (size_t i = 0; i < n_chunks; i++) {
        chunks[i] = (struct al_chunk){(uint32_t)(i * 40), (uint32_t)(i * 40 + 40), AL_STR("Head")};
        make_vector(seed * 100 + (uint32_t)i, vectors + i * FX_DIM);
    }
    tags[0] = AL_STR("tagged");
    struct al_doc d = {.space = FX_SPACE,
                       .id = al_str_c(id),
                       .visibility = AL_VIS_TEAM,
                       .team = AL_STR("data"),
                       .kind = AL_STR("doc"),
                       .title = al_str_c(al_arena_printf(a, "title %u", seed)),
                       .source = AL_STR("src"),
                       .embedder_id = AL_STR("test-8"),
                       .analyzer_version = 1,
                       .tags = tags,
                       .n_tags = 1,
                       .body = {body, n_chunks * 40},
                       .chunks = chunks,
                       .n_chunks = n_chunks,
                       .vectors = vectors};
    for (size_t i = 0; i < 8; i++)
        memcpy(d.content_hash + 4 * i, &seed, sizeof(seed));
    d.content_hash[31] = (uint8_t)n_chunks;
    return d;
}

void fx_write_id(uint64_t n, uint8_t ret[16])
{
    memset(ret, 0, 16);
    memcpy(ret, &n, sizeof(n));
}

struct al_write_result fx_write(struct al_shard *s, struct al_arena *a, const struct al_op *op,
                                uint64_t write_id)
{
    uint8_t id[16];
    fx_write_id(write_id, id);
    struct al_write_result r;
    struct al_err err;
    AL_CHECK_OK(al_shard_write(s, op, 1, id, AL_DEADLINE_NONE, a, &r, &err), err);
    return r;
}

enum al_outcome fx_put(struct al_shard *s, struct al_arena *a, const char *id, uint32_t seed,
                       size_t n_chunks)
{
    struct al_doc d = fx_doc(a, id, seed, n_chunks);
    struct al_op op = {.kind = AL_OP_PUT_DOC, .doc = &d};
    return fx_write(s, a, &op, 0).outcomes[0];
}

enum al_outcome fx_delete(struct al_shard *s, struct al_arena *a, const char *id)
{
    struct al_op op = {.kind = AL_OP_DELETE_DOC, .space = FX_SPACE, .id = al_str_c(id)};
    return fx_write(s, a, &op, 0).outcomes[0];
}

enum al_outcome fx_put_row(struct al_shard *s, struct al_arena *a, const char *key,
                           const char *value)
{
    struct al_op op = {.kind = AL_OP_PUT_ROW,
                       .space = FX_SPACE,
                       .table = 2,
                       .id = al_str_c(key),
                       .value = al_str_c(value)};
    return fx_write(s, a, &op, 0).outcomes[0];
}

static bool finds(struct al_shard *s, const struct al_doc *d, struct al_arena *a)
{
    uint32_t space = d->space;
    struct al_str term = AL_STR("alpha");
    float weight = 1;
    struct al_leg_query q = {.spaces = &space,
                             .n_spaces = 1,
                             .vector = d->vectors,
                             .terms = &term,
                             .term_weights = &weight,
                             .n_terms = 1,
                             .avg_terms = 5,
                             .k1 = 0.9f,
                             .b = 0.4f,
                             .depth = 3,
                             .exact = true,
                             .deadline_ns = AL_DEADLINE_NONE};
    struct al_candidates c;
    struct al_err err;
    AL_CHECK_OK(al_shard_legs(s, &q, a, &c, &err), err);
    for (size_t i = 0; i < c.n_vector; i++) {
        if (c.vector[i].docno == d->docno && al_str_eq(c.vector[i].id, d->id))
            return true;
    }
    return false;
}

bool fx_has(struct al_shard *s, const char *id, uint32_t *ret_seed)
{
    struct al_arena a;
    al_arena_init(&a, NULL, 8u << 20);
    struct al_doc d;
    struct al_err err;
    enum al_code code = al_shard_get_doc(s, FX_SPACE, al_str_c(id), true, &a, &d, &err);
    if (code == AL_NOT_FOUND) {
        al_arena_fini(&a);
        return false;
    }
    AL_CHECK_OK(code, err);
    uint32_t seed = 0;
    memcpy(&seed, d.content_hash, sizeof(seed));
    struct al_doc want = fx_doc(&a, id, seed, d.n_chunks);
    assert_true(al_str_eq(d.body, want.body));
    assert_true(al_str_eq(d.title, want.title));
    assert_memory_equal(d.vectors, want.vectors, d.n_chunks * FX_DIM * sizeof(float));
    assert_true(finds(s, &d, &a));
    if (ret_seed)
        *ret_seed = seed;
    al_arena_fini(&a);
    return true;
}

void fx_verify(struct al_shard *s)
{
    struct al_arena a;
    al_arena_init(&a, NULL, 8u << 20);
    struct al_verify_report r;
    struct al_err err;
    AL_CHECK_OK(al_shard_verify(s, &a, NULL, NULL, &r, &err), err);
    for (size_t i = 0; i < r.n_problems; i++)
        print_error("verify: " AL_STR_FMT "\n", AL_STR_ARG(r.problems[i]));
    assert_int_equal(r.n_problems, 0);
    al_arena_fini(&a);
}

struct al_shard *fx_open(const struct al_shard_options *o)
{
    struct al_shard *s = NULL;
    struct al_err err;
    AL_CHECK_OK(al_shard_open(o, &s, &err), err);
    return s;
}
