/* Cutting where the subject changes: sentences are embedded with the static table, and a chunk ends
 * between the two neighbours whose surroundings are furthest apart.
 *
 * Each border of two sentences gets the cosine distance between the mean of the three sentences
 * before it and that of the three after it. A chunk that would be too large ends at the border of
 * the largest distance in the last two thirds of what fits, as the other chunkers end at the best
 * border there; so chunks are as large as theirs and only their borders differ. One pass, six
 * vectors at a time.
 */
#include <math.h>
#include <string.h>

#include "airlore/embedder.h"
#include "airlore/snippet.h"
#include "chunk.h"

#define SLICE_BYTES 16384u /* sentences are looked for in slices of a section */
#define SIDE 3u            /* sentences on each side of a border */
#define RING ((size_t)2 * SIDE)
#define SENTENCES_MAX 262144u

struct sentence {
    uint32_t start;
    float distance; /* between what is before its start and what is after it; -1: not known */
};

struct seeker {
    struct al_cutter *c;
    const struct al_embedder *e;
    uint32_t dim;
    struct sentence *list;
    size_t n;
    size_t cap;
    float *ring; /* vectors of the last RING sentences */
    size_t n_embedded;
};

static enum al_code no_memory(struct al_err *err)
{
    return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "document: over the memory limit of the call");
}

/* The sentences of [start, end), which is not longer than a slice. */
static enum al_code add_slice(struct seeker *k, uint32_t start, uint32_t end, struct al_err *err)
{
    struct al_span *spans = NULL;
    size_t n = 0;
    struct al_str slice = al_str_sub(k->c->body, start, end - start);
    AL_TRY(al_sentences(slice, k->c->d->a, &spans, &n, err));
    void *p = k->list;
    if (k->n + n > SENTENCES_MAX)
        n = SENTENCES_MAX - k->n; /* the rest is one; the packer cuts it */
    if (al_mem_grow(al_arena_mem(k->c->d->a), &p, &k->cap, k->n + n + 1, sizeof *k->list) != AL_OK)
        return no_memory(err);
    k->list = p;
    for (size_t i = 0; i < n; i++)
        k->list[k->n++] = (struct sentence){.start = start + spans[i].start, .distance = -1};
    return AL_OK;
}

/* A slice ends at the last line that fits, else at a character. */
static uint32_t slice_end(struct al_str body, uint32_t start, uint32_t end)
{
    if (end - start <= SLICE_BYTES)
        return end;
    for (uint32_t i = start + SLICE_BYTES; i > start + SLICE_BYTES / 2; i--) {
        if (al_cutter_is_border(body, i, 1))
            return i;
    }
    return start +
           (uint32_t)al_str_utf8_floor(al_str_sub(body, start, SLICE_BYTES + 4), SLICE_BYTES);
}

static enum al_code find_sentences(struct seeker *k, struct al_err *err)
{
    const struct al_doc *d = k->c->d;
    uint32_t body_end = (uint32_t)k->c->body.n;
    uint32_t start = 0;
    for (size_t i = 0; i <= d->n_sections; i++) {
        uint32_t end = i < d->n_sections ? d->sections[i].start : body_end;
        while (start < end) {
            uint32_t stop = slice_end(k->c->body, start, end);
            AL_TRY(add_slice(k, start, stop, err));
            start = stop;
        }
    }
    return AL_OK;
}

static double dot(const float *x, const float *y, uint32_t dim)
{
    double sum = 0;
    for (uint32_t i = 0; i < dim; i++)
        sum += (double)x[i] * (double)y[i];
    return sum;
}

static float *vector(const struct seeker *k, size_t i)
{
    return k->ring + (i % RING) * (size_t)k->dim;
}

/* 1 - cosine of the sums of two groups of vectors of the ring. */
static float distance(const struct seeker *k, size_t border)
{
    double across = 0;
    double left = 0;
    double right = 0;
    size_t from = border > SIDE ? border - SIDE : 0;
    size_t to = border + SIDE < k->n ? border + SIDE : k->n;
    for (size_t i = from; i < to; i++) {
        for (size_t j = from; j < to; j++) {
            double v = dot(vector(k, i), vector(k, j), k->dim);
            if (i < border && j < border)
                left += v;
            else if (i >= border && j >= border)
                right += v;
            else if (i < border)
                across += v;
        }
    }
    return left > 0 && right > 0 ? (float)(1 - across / sqrt(left * right)) : 1;
}

static enum al_code embed_next(struct seeker *k, struct al_err *err)
{
    size_t i = k->n_embedded++;
    uint32_t end = i + 1 < k->n ? k->list[i + 1].start : (uint32_t)k->c->body.n;
    struct al_str text = al_str_sub(k->c->body, k->list[i].start, end - k->list[i].start);
    text.n = text.n > k->c->max ? al_str_utf8_floor(text, k->c->max) : text.n;
    uint32_t tokens;
    return al_embedder_embed(k->e, text, vector(k, i), &tokens, err);
}

static enum al_code find_distances(struct seeker *k, struct al_err *err)
{
    k->ring = al_arena_array(k->c->d->a, (size_t)RING * k->dim, sizeof *k->ring);
    if (!k->ring)
        return no_memory(err);
    for (size_t border = 1; border < k->n; border++) {
        while (k->n_embedded < k->n && k->n_embedded < border + SIDE)
            AL_TRY(embed_next(k, err));
        k->list[border].distance = distance(k, border);
    }
    return AL_OK;
}

/* The sentence that begins the next chunk, when the one from list[first] on is too large; `last` is
 * the first sentence that no longer fits as a whole. */
static size_t choose(const struct seeker *k, size_t first, size_t last)
{
    uint32_t start = k->list[first].start;
    size_t best = last;
    for (size_t i = last; i > first && k->list[i].start - start >= k->c->max / 3; i--) {
        if (k->list[i].distance > k->list[best].distance)
            best = i;
    }
    return best;
}

static enum al_code cut_at_distances(struct seeker *k, struct al_err *err)
{
    struct al_cutter *c = k->c;
    uint32_t body_end = (uint32_t)c->body.n;
    size_t first = 0;
    for (size_t i = 1; i <= k->n; i++) {
        uint32_t end = i < k->n ? k->list[i].start : body_end;
        /* list[i - 1] is the sentence that ends here */
        while (first + 1 < i && end - k->list[first].start > c->max) {
            size_t next = choose(k, first, i - 1);
            uint32_t start = k->list[first].start;
            AL_TRY(al_cutter_pack(c, start, k->list[next].start, al_cutter_heading(c, start), err));
            AL_TRY(al_cutter_flush(c, err));
            first = next;
        }
    }
    uint32_t start = k->list[first].start;
    AL_TRY(al_cutter_pack(c, start, body_end, al_cutter_heading(c, start), err));
    return al_cutter_flush(c, err);
}

enum al_code al_cut_semantic(struct al_cutter *c, struct al_err *err)
{
    struct seeker k = {.c = c, .e = c->d->opt->embedder};
    if (!k.e)
        return AL_FAIL(err, AL_FAILED_PRECONDITION, "chunker: no embedder for semantic chunks");
    k.dim = al_embedder_dim(k.e);
    AL_TRY(find_sentences(&k, err));
    if (k.n == 0)
        return AL_OK;
    AL_TRY(find_distances(&k, err));
    return cut_at_distances(&k, err);
}
