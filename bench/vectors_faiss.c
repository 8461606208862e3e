/* FAISS as its users have it, to compare with. */
#include <stdlib.h>

#include <faiss/c_api/AutoTune_c.h>
#include <faiss/c_api/Index_c.h>
#include <faiss/c_api/index_factory_c.h>

#include "vectors.h"

struct al_plain_faiss {
    FaissIndex *index;
    FaissParameterSpace *space;
};

void al_plain_faiss_destroy(struct al_plain_faiss *f)
{
    if (!f)
        return;
    if (f->space)
        faiss_ParameterSpace_free(f->space);
    if (f->index)
        faiss_Index_free(f->index);
    free(f);
}

struct al_plain_faiss *al_plain_faiss_build(const struct al_vectors *v)
{
    struct al_plain_faiss *f = calloc(1, sizeof *f);
    if (f &&
        faiss_index_factory(&f->index, (int)v->dim, "HNSW32,Flat", METRIC_INNER_PRODUCT) == 0 &&
        faiss_ParameterSpace_new(&f->space) == 0 &&
        faiss_ParameterSpace_set_index_parameter(f->space, f->index, "efConstruction", 100) == 0 &&
        faiss_Index_add(f->index, (idx_t)v->n, v->rows) == 0)
        return f;
    al_plain_faiss_destroy(f);
    return NULL;
}

bool al_plain_faiss_set_ef(struct al_plain_faiss *f, uint32_t ef)
{
    return faiss_ParameterSpace_set_index_parameter(f->space, f->index, "efSearch", ef) == 0;
}

bool al_plain_faiss_search(const struct al_plain_faiss *f, const float *query, uint32_t k,
                           uint32_t *ret)
{
    float scores[AL_VECTORS_TRUTH];
    idx_t rows[AL_VECTORS_TRUTH];
    if (k > AL_VECTORS_TRUTH || faiss_Index_search(f->index, 1, query, k, scores, rows) != 0)
        return false;
    for (uint32_t i = 0; i < k; i++)
        ret[i] = rows[i] < 0 ? UINT32_MAX : (uint32_t)rows[i];
    return true;
}
