/* The k best candidates of a leg, in an order that no segment or shard changes. */
#include "segset_impl.h"

static int cmp_text(const struct al_hit *a, const struct al_hit *b)
{
    int c = al_str_cmp(al_segment_id(a->seg, a->doc), al_segment_id(b->seg, b->doc));
    if (c)
        return c;
    if (a->doc->space != b->doc->space)
        return a->doc->space < b->doc->space ? -1 : 1;
    if (a->chunk != b->chunk)
        return a->chunk < b->chunk ? -1 : 1;
    return a->doc->docno < b->doc->docno ? -1 : a->doc->docno > b->doc->docno;
}

/* Whether a comes before b. */
static bool is_better(const struct al_hit *a, const struct al_hit *b)
{
    if (a->score > b->score)
        return true;
    return !(a->score < b->score) && cmp_text(a, b) < 0;
}

enum al_code al_topk_init(struct al_topk *t, uint32_t k, struct al_arena *a, struct al_err *err)
{
    *t = (struct al_topk){.k = k, .hits = al_arena_array(a, k, sizeof *t->hits)};
    if (!t->hits)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "search: memory limit of the request");
    return AL_OK;
}

static void swap(struct al_hit *a, struct al_hit *b)
{
    struct al_hit t = *a;
    *a = *b;
    *b = t;
}

/* Let the hit at i sink below better ones: the worst stays on top. */
static void sink(struct al_hit *hits, uint32_t n, uint32_t i)
{
    for (;;) {
        uint32_t worst = i;
        uint32_t left = 2 * i + 1;
        uint32_t right = left + 1;
        if (left < n && is_better(&hits[worst], &hits[left]))
            worst = left;
        if (right < n && is_better(&hits[worst], &hits[right]))
            worst = right;
        if (worst == i)
            return;
        swap(&hits[i], &hits[worst]);
        i = worst;
    }
}

void al_topk_offer(struct al_topk *t, const struct al_hit *h)
{
    struct al_hit hit = *h;
    hit.score = hit.score == hit.score ? hit.score : -1.0f;
    if (t->n == t->k) {
        if (!is_better(&hit, &t->hits[0]))
            return;
        t->hits[0] = hit;
        sink(t->hits, t->n, 0);
        return;
    }
    uint32_t i = t->n++;
    t->hits[i] = hit;
    for (; i > 0 && is_better(&t->hits[(i - 1) / 2], &t->hits[i]); i = (i - 1) / 2)
        swap(&t->hits[i], &t->hits[(i - 1) / 2]);
}

void al_topk_sort(struct al_topk *t)
{
    for (uint32_t n = t->n; n > 1; n--) {
        swap(&t->hits[0], &t->hits[n - 1]); /* the worst goes to the end */
        sink(t->hits, n - 1, 0);
    }
}
