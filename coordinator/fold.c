#include "fold.h"

#include <string.h>

#include "airlore/clock.h"
#include "airlore/filter.h"
#include "airlore/sketch.h"
#include "contradict.h"

#define ALSO_MAX 16u         /* listed under one hit; more are left out */
#define TIE_SHARE 0.005      /* of the best score: scores this near are equal */
#define SKETCH_CANDIDATE 0.7 /* estimates below this are not worth reading both texts */
#define TEXT_BYTES_MAX (1u << 20)
#define SCRATCH_LIMIT ((size_t)96 << 20)
#define YEAR_MS (365ull * 24 * 3600 * 1000)
#define STALE_YEARS 3u

static enum al_code no_memory(struct al_err *err)
{
    return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "MEMORY_LIMIT", "request: memory limit reached");
}

static struct al_str meta_of(const struct al_doc *d, const char *key)
{
    for (size_t i = 0; i < d->n_meta; i++) {
        if (al_str_is(d->meta[i].key, key))
            return d->meta[i].value;
    }
    return AL_STR("");
}

/* ---- version and age ---- */

enum al_code al_version_filter(struct al_str text, struct al_arena *a, const struct al_filter **ret,
                               struct al_err *err)
{
    struct al_str v = al_asked_version(text);
    *ret = NULL;
    if (!v.n)
        return AL_OK;
    char *filter = al_arena_printf(a, "airflow = \"" AL_STR_FMT ".*\"", AL_STR_ARG(v));
    if (!filter)
        return no_memory(err);
    struct al_err bad; /* no version after all: nothing is asked for */
    const struct al_filter *f = NULL;
    enum al_code c = al_filter_compile(al_str_c(filter), a, &f, &bad);
    if (c == AL_RESOURCE_EXHAUSTED)
        return no_memory(err);
    *ret = c == AL_OK ? f : NULL;
    return AL_OK;
}

int al_version_fits(const struct al_filter *version, const struct al_doc *d)
{
    if (!version || !meta_of(d, "airflow").n)
        return 0;
    return al_filter_match(version, d) ? 1 : -1;
}

/* The date that the document itself tells; when it was stored says nothing about its age. 0: none.
 */
static uint64_t date_of(const struct al_doc *d)
{
    struct al_str date = meta_of(d, "date");
    char text[32] = "";
    uint64_t ms = 0;
    if (date.n < 10)
        return 0;
    memcpy(text, date.p, 10);
    memcpy(text + 10, "T00:00:00Z", 11);
    return al_clock_parse_rfc3339(text, 20, &ms, NULL) == AL_OK ? ms : 0;
}

/* > 0: a is the newer one; 0: not known, or the same. */
static int newer(const struct al_doc *a, const struct al_doc *b)
{
    if (a->version.n && b->version.n) {
        int c = al_version_cmp(a->version, b->version);
        if (c)
            return c;
    }
    uint64_t x = date_of(a);
    uint64_t y = date_of(b);
    return !x || !y || x == y ? 0 : x > y ? 1 : -1;
}

/* > 0: a goes before b whatever their scores. */
static int preferred(const struct al_fold *f, const struct al_doc *a, const struct al_doc *b)
{
    int fit = al_version_fits(f->version, a) - al_version_fits(f->version, b);
    return fit ? fit : newer(a, b);
}

enum al_code al_fold_begin(const struct al_query_context *ctx, const struct al_query *q,
                           struct al_arena *a, struct al_fold *ret, struct al_err *err)
{
    *ret = (struct al_fold){.ctx = ctx, .q = q, .a = a};
    return al_version_filter(q->text, a, &ret->version, err);
}

/* ---- duplicates ---- */

static bool is_copy(const struct al_doc *a, const struct al_doc *b)
{
    return a->space != b->space &&
           memcmp(a->content_hash, b->content_hash, sizeof a->content_hash) == 0;
}

static bool both_and_other(struct al_str a, struct al_str b)
{
    return a.n && b.n && !al_str_eq(a, b);
}

/* Two versions of one thing: each says which one, its own or Airflow's. */
static bool are_versions(const struct al_doc *a, const struct al_doc *b)
{
    return both_and_other(a->version, b->version) ||
           both_and_other(meta_of(a, "airflow"), meta_of(b, "airflow"));
}

static enum al_code body_of(const struct al_fold *f, const struct al_doc *d, struct al_arena *a,
                            struct al_str *ret, struct al_err *err)
{
    struct al_doc full = {0};
    struct al_shard_port *p =
        f->ctx->router->shards[al_router_of_doc(f->ctx->router, d->space, d->id)];
    struct al_err gone = {0};
    enum al_code c = p->ops->get_doc(p, d->space, d->id, false, a, &full, &gone);
    *ret = c == AL_OK && full.docno == d->docno ? full.body : AL_STR("");
    if (c == AL_OK || c == AL_NOT_FOUND)
        return AL_OK; /* changed meanwhile: no duplicate of anything */
    if (err)
        *err = gone;
    return c;
}

static enum al_code read_both(const struct al_fold *f, const struct al_doc *x,
                              const struct al_doc *y, struct al_arena *a, bool *ret,
                              struct al_err *err)
{
    struct al_str xs;
    struct al_str ys;
    AL_TRY(body_of(f, x, a, &xs, err));
    AL_TRY(body_of(f, y, a, &ys, err));
    if (!xs.n || !ys.n || xs.n > TEXT_BYTES_MAX || ys.n > TEXT_BYTES_MAX)
        return AL_OK;
    return al_texts_fold(xs, ys, a, ret, err);
}

static enum al_code is_same(const struct al_fold *f, const struct al_hit *x, const struct al_hit *y,
                            bool *ret, struct al_err *err)
{
    *ret = false;
    if (f->q->all_chunks && x->chunk != y->chunk)
        return AL_OK;
    if (x->doc->space == y->doc->space && !are_versions(x->doc, y->doc))
        return AL_OK;
    *ret = is_copy(x->doc, y->doc);
    struct al_str a = meta_of(x->doc, AL_SKETCH_KEY);
    struct al_str b = meta_of(y->doc, AL_SKETCH_KEY);
    if (*ret || al_sketch_similarity(a, b) < SKETCH_CANDIDATE)
        return AL_OK;
    struct al_arena scratch;
    al_arena_init(&scratch, NULL, SCRATCH_LIMIT);
    enum al_code c = read_both(f, x->doc, y->doc, &scratch, ret, err);
    al_arena_fini(&scratch);
    return c;
}

/* List a document under a hit, with what was listed under it. */
static enum al_code list_under(const struct al_fold *f, struct al_hit *to, const struct al_hit *h,
                               struct al_err *err)
{
    size_t n = to->n_also + h->n_also + 1;
    const struct al_doc **also = al_arena_array(f->a, n, sizeof(void *));
    if (!also)
        return no_memory(err);
    size_t out = 0;
    for (size_t i = 0; i < to->n_also; i++)
        also[out++] = to->also[i];
    also[out++] = h->doc;
    for (size_t i = 0; i < h->n_also; i++)
        also[out++] = h->also[i];
    to->also = also;
    to->n_also = out < ALSO_MAX ? out : ALSO_MAX;
    return AL_OK;
}

enum al_code al_fold_hit(const struct al_fold *f, struct al_query_result *res,
                         const struct al_hit *h, bool *ret, struct al_err *err)
{
    *ret = false;
    for (size_t i = 0; i < res->n_hits && !*ret; i++) {
        struct al_hit *x = &res->hits[i];
        AL_TRY(is_same(f, x, h, ret, err));
        if (!*ret)
            continue;
        bool nearer = h->doc->visibility < x->doc->visibility;
        bool as_near = h->doc->visibility == x->doc->visibility;
        if (!nearer && !(as_near && preferred(f, h->doc, x->doc) > 0))
            return list_under(f, x, h, err);
        struct al_hit kept = *h;
        kept.score = x->score; /* the place is that of the best of them */
        AL_TRY(list_under(f, &kept, x, err));
        *x = kept;
    }
    return AL_OK;
}

/* ---- ties ---- */

void al_fold_ties(const struct al_fold *f, struct al_query_result *res)
{
    double tie = res->n_hits ? TIE_SHARE * res->hits[0].score : 0;
    for (size_t from = 0, end; from < res->n_hits; from = end) {
        for (end = from + 1; end < res->n_hits; end++) {
            if (res->hits[from].score - res->hits[end].score > tie)
                break;
        }
        for (size_t i = from + 1; i < end; i++) {
            for (size_t k = i; k > from; k--) {
                struct al_hit *x = &res->hits[k - 1];
                if (preferred(f, res->hits[k].doc, x->doc) <= 0)
                    break;
                struct al_hit h = *x;
                *x = res->hits[k];
                res->hits[k] = h;
            }
        }
    }
}

/* ---- age ---- */

static char *stale_text(const struct al_fold *f, const struct al_doc *d)
{
    if (al_version_fits(f->version, d) < 0) {
        struct al_str range = meta_of(d, "airflow");
        return al_arena_printf(f->a, "for Airflow " AL_STR_FMT, AL_STR_ARG(range));
    }
    uint64_t date = date_of(d);
    uint64_t now = f->q->now_ms;
    if (!date || now < date || now - date < STALE_YEARS * YEAR_MS)
        return al_arena_printf(f->a, "%s", "");
    return al_arena_printf(f->a, "%.10s, %llu years old", meta_of(d, "date").p,
                           (unsigned long long)((now - date) / YEAR_MS));
}

enum al_code al_fold_stale(const struct al_fold *f, struct al_query_result *res, struct al_err *err)
{
    for (size_t i = 0; i < res->n_hits; i++) {
        char *text = stale_text(f, res->hits[i].doc);
        if (!text)
            return no_memory(err);
        res->hits[i].stale = al_str_c(text);
    }
    return AL_OK;
}
