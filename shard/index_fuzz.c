/* Any bytes as a saved vector index, and a good one with any edits: refused or safe to search, and
 * no row twice. */
#include <stdlib.h>
#include <string.h>

#include "vector_index.h"

#define N 48u
#define DIM 5u
#define K 20u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static float rows[N * DIM];
static const struct al_index_source source = {.rows = rows, .n_rows = N, .dim = DIM};
/* The back ends whose bytes say anything, each with good ones. */
static struct {
    const char *name;
    const struct al_index_factory *factory;
    struct al_buf good;
} ends[] = {{.name = "hnsw8"}, {.name = "hnsw"}};

static void make_good(const struct al_index_factory *factory, struct al_buf *good)
{
    struct al_index *ix = NULL;
    struct al_err err;
    for (uint32_t i = 0; i < N * DIM; i++)
        rows[i] = (float)(i * 2654435761u >> 20) / 4096.0f - 0.5f;
    al_buf_init(good, NULL, 0);
    AL_ASSERT(factory->build(&source, &ix, &err) == AL_OK);
    AL_ASSERT(ix->ops->save(ix, good, &err) == AL_OK);
    ix->ops->destroy(ix);
}

static void try_load(const struct al_index_factory *factory, const char *p, size_t n)
{
    struct al_index *ix = NULL;
    struct al_err err = {0};
    uint8_t allowed[(N + 7) / 8];
    uint32_t found[K];
    float scores[K];
    uint32_t n_found = 0;
    enum al_code code = factory->load((struct al_str){p, n}, &source, &ix, &err);
    AL_ASSERT(code == AL_OK || code == AL_DATA_LOSS || code == AL_RESOURCE_EXHAUSTED);
    if (code != AL_OK)
        return;
    memset(allowed, 0x5a, sizeof allowed);
    struct al_index_query q = {.vector = rows, .k = K, .allowed = allowed};
    AL_ASSERT(ix->ops->search(ix, &q, found, scores, &n_found, &err) == AL_OK);
    for (uint32_t i = 0; i < n_found; i++) {
        AL_ASSERT(found[i] < N && (allowed[found[i] / 8] >> found[i] % 8 & 1));
        for (uint32_t k = 0; k < i; k++)
            AL_ASSERT(found[k] != found[i]);
    }
    ix->ops->destroy(ix);
}

static void try_end(size_t end, const uint8_t *data, size_t size)
{
    const struct al_buf *good = &ends[end].good;
    char *copy = malloc(good->n + size + 1);
    AL_ASSERT(copy != NULL);
    if (size)
        memcpy(copy, data, size);
    try_load(ends[end].factory, copy, size);
    memcpy(copy, good->p, good->n);
    for (size_t i = 0; i + 3 <= size; i += 3) /* edits: place, value */
        copy[((size_t)data[i] << 8 | data[i + 1]) % good->n] = (char)data[i + 2];
    try_load(ends[end].factory, copy, good->n);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < AL_ARRAY_LEN(ends); i++) {
        if (!ends[i].factory) {
            ends[i].factory = al_index_named(ends[i].name);
            if (!ends[i].factory) /* built without FAISS */
                continue;
            make_good(ends[i].factory, &ends[i].good);
        }
        try_end(i, data, size);
    }
    return 0;
}
