#include "fuse.h"

#include <stdlib.h>

#define RRF_K 60.0

int al_candidate_cmp(const struct al_candidate *a, double score_a, const struct al_candidate *b,
                     double score_b)
{
    if (score_a != score_b)
        return score_a > score_b ? -1 : 1;
    int c = al_str_cmp(a->id, b->id);
    if (c)
        return c;
    if (a->space != b->space)
        return a->space < b->space ? -1 : 1;
    return a->chunk < b->chunk ? -1 : a->chunk > b->chunk;
}

static int by_score(const void *x, const void *y)
{
    const struct al_fused *a = x;
    const struct al_fused *b = y;
    return al_candidate_cmp(a->cand, a->score, b->cand, b->score);
}

static double positive(float v)
{
    return v > 0 ? (double)v : 0;
}

static void fuse_min_max(struct al_fused *f, size_t n, double weight)
{
    double text_max = 0;
    double vector_max = 0;
    for (size_t i = 0; i < n; i++) {
        double t = positive(f[i].cand->text_score);
        double v = positive(f[i].cand->vector_score);
        text_max = t > text_max ? t : text_max;
        vector_max = v > vector_max ? v : vector_max;
    }
    /* a leg without any score leaves the whole weight to the other */
    double w = vector_max == 0 ? 0 : text_max == 0 ? 1 : weight;
    for (size_t i = 0; i < n; i++) {
        double t = text_max > 0 ? positive(f[i].cand->text_score) / text_max : 0;
        double v = vector_max > 0 ? positive(f[i].cand->vector_score) / vector_max : 0;
        f[i].score = (1 - w) * t + w * v;
    }
}

static void fuse_ranks(struct al_fused *f, size_t n, double weight)
{
    for (size_t i = 0; i < n; i++) {
        double t = f[i].text_rank ? 1 / (RRF_K + f[i].text_rank) : 0;
        double v = f[i].vector_rank ? 1 / (RRF_K + f[i].vector_rank) : 0;
        f[i].score = 2 * ((1 - weight) * t + weight * v);
    }
}

void al_fuse(struct al_fused *f, size_t n, enum al_search_mode mode, enum al_fusion how,
             double weight)
{
    if (mode == AL_MODE_TEXT) {
        for (size_t i = 0; i < n; i++)
            f[i].score = (double)f[i].cand->text_score;
    } else if (mode == AL_MODE_VECTOR) {
        for (size_t i = 0; i < n; i++)
            f[i].score = (double)f[i].cand->vector_score;
    } else if (how == AL_FUSION_RRF) {
        fuse_ranks(f, n, weight);
    } else {
        fuse_min_max(f, n, weight);
    }
    if (n > 1)
        qsort(f, n, sizeof *f, by_score);
}
