#include "airlore/ask.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "airlore/relevance.h"
#include "compose.h"

#define NEAREST_MAX 3u       /* shown when abstaining */
#define CHUNKS_A_DOCUMENT 6u /* looked for, on average */
#define HITS_JUDGED 48u      /* at most; the others are not looked at */
#define CHUNKS_KEPT 2u       /* for each document, on average */

static enum al_code no_memory(struct al_err *err)
{
    return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "MEMORY_LIMIT", "request: memory limit reached");
}

static enum al_code check(const struct al_ask_options *opt, struct al_err *err)
{
    if (!al_str_trim(opt->query.text).n)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "QUERY_EMPTY", "question: there is none");
    if (opt->sentences_max < 1 || opt->sentences_max > AL_ASK_SENTENCES_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "OUT_OF_RANGE",
                         "sentences: %u is not in 1 to %u", opt->sentences_max,
                         AL_ASK_SENTENCES_MAX);
    if (!isnan(opt->min_relevance) && !(opt->min_relevance >= 0 && opt->min_relevance <= 1))
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "OUT_OF_RANGE",
                         "min relevance: %g is not in 0 to 1", opt->min_relevance);
    return AL_OK;
}

static bool is_known(const struct al_query_result *res, const struct al_doc *d)
{
    for (size_t i = 0; i < res->n_hits; i++) {
        if (res->hits[i].doc->docno == d->docno && res->hits[i].doc->space == d->space &&
            al_str_eq(res->hits[i].doc->id, d->id))
            return true;
    }
    return false;
}

/* Only what may be cited: threads that nobody answered go. What is cited of a thread is where its
 * answers stand. */
static void keep_citable(struct al_query_result *res)
{
    size_t n = res->n_hits;
    res->n_hits = 0;
    for (size_t i = 0; i < n; i++) {
        struct al_hit h = res->hits[i];
        if (!h.answer.n)
            continue;
        h.chunk = h.answer_chunk;
        res->hits[res->n_hits++] = h;
    }
}

/* A hit and what it says, while they are put into another order. */
struct judged {
    struct al_hit hit;
    struct al_hit_evidence evidence;
    size_t place;
};

static int by_rank(const void *x, const void *y)
{
    const struct judged *a = x;
    const struct judged *b = y;
    if (a->evidence.rank != b->evidence.rank)
        return a->evidence.rank > b->evidence.rank ? -1 : 1;
    return a->place < b->place ? -1 : 1;
}

/* Into the order of what they say, and then only the first documents, and of each a few chunks. */
static enum al_code order(struct al_answer *ans, uint32_t max, struct al_arena *a,
                          struct al_err *err)
{
    struct al_query_result *res = &ans->found;
    size_t n = ans->n_evidence;
    struct judged *all = al_arena_array(a, n + 1, sizeof *all);
    if (!all)
        return no_memory(err);
    for (size_t i = 0; i < n; i++)
        all[i] = (struct judged){res->hits[i], ans->evidence[i], i};
    qsort(all, n, sizeof *all, by_rank);
    size_t n_docs = 0;
    res->n_hits = 0;
    for (size_t i = 0; i < n && res->n_hits < (size_t)max * CHUNKS_KEPT; i++) {
        bool known = is_known(res, all[i].hit.doc);
        if (!known && n_docs == max)
            continue;
        n_docs += !known;
        ans->evidence[res->n_hits] = all[i].evidence;
        res->hits[res->n_hits++] = all[i].hit;
    }
    ans->n_evidence = res->n_hits;
    return AL_OK;
}

static enum al_code find(const struct al_query_context *ctx, const struct al_ask_options *opt,
                         struct al_arena *a, struct al_query_result *ret, struct al_err *err)
{
    struct al_query q = opt->query;
    q.all_chunks = true;
    q.k = opt->query.k > AL_QUERY_K_MAX / CHUNKS_A_DOCUMENT ? AL_QUERY_K_MAX
                                                            : opt->query.k * CHUNKS_A_DOCUMENT;
    return al_query_run(ctx, &q, a, ret, err);
}

static enum al_code answer(const struct al_query_context *ctx, const struct al_ask_options *opt,
                           struct al_analyzer *an, struct al_arena *a, struct al_answer *ret,
                           struct al_err *err)
{
    const struct al_query_result *res = &ret->found;
    struct al_evidence *ev = NULL;
    const struct al_evidence_input in = {ctx->embedder, an, opt->query.text, res};
    AL_TRY(al_evidence_begin(&in, a, &ev, err));
    ret->n_terms = al_evidence_n_terms(ev);
    ret->n_evidence = res->n_hits < HITS_JUDGED ? res->n_hits : HITS_JUDGED;
    ret->evidence = al_arena_array(a, ret->n_evidence + 1, sizeof *ret->evidence);
    if (!ret->evidence)
        return no_memory(err);
    ret->idf = al_evidence_idf(ev);
    ret->is_name = al_evidence_names(ev);
    AL_TRY(al_evidence_judge(ev, res, ret->n_evidence, ret->evidence, err));
    al_answerability_features(ret, ret->features); /* of the order in which they were found */
    AL_TRY(order(ret, opt->query.k, a, err));
    ret->relevance = ret->n_evidence ? al_answerability(ret->features) : 0;
    double threshold = isnan(opt->min_relevance) ? AL_ASK_RELEVANCE_DEFAULT : opt->min_relevance;
    return ret->relevance >= threshold ? al_compose(ctx, ev, opt, a, ret, err) : AL_OK;
}

static enum al_code abstain(const struct al_query_result *res, struct al_arena *a,
                            struct al_answer *ret, struct al_err *err)
{
    ret->abstained = true;
    ret->sources = al_arena_array(a, NEAREST_MAX, sizeof(void *));
    if (!ret->sources)
        return no_memory(err);
    for (size_t i = 0; i < res->n_hits && ret->n_sources < NEAREST_MAX; i++) {
        bool again = false;
        for (size_t k = 0; k < ret->n_sources; k++)
            again = again || (ret->sources[k]->doc->docno == res->hits[i].doc->docno &&
                              al_str_eq(ret->sources[k]->doc->id, res->hits[i].doc->id));
        if (!again)
            ret->sources[ret->n_sources++] = &res->hits[i];
    }
    ret->text = AL_STR("I do not know: nothing that you may read answers this.");
    return AL_OK;
}

enum al_code al_ask(const struct al_query_context *ctx, const struct al_ask_options *opt,
                    struct al_arena *a, struct al_answer *ret, struct al_err *err)
{
    AL_TRY(check(opt, err));
    struct al_answer ans = {0};
    AL_TRY(find(ctx, opt, a, &ans.found, err));
    ans.missing = ans.found.missing;
    ans.n_missing = ans.found.n_missing;
    struct al_query_result nearest = ans.found;
    nearest.hits = al_arena_array(a, nearest.n_hits + 1, sizeof *nearest.hits);
    if (!nearest.hits)
        return no_memory(err);
    if (nearest.n_hits)
        memcpy(nearest.hits, ans.found.hits, nearest.n_hits * sizeof *nearest.hits);
    keep_citable(&ans.found);
    struct al_analyzer *an = NULL;
    AL_TRY(al_analyzer_acquire(&an, err));
    enum al_code c = answer(ctx, opt, an, a, &ans, err);
    al_analyzer_release(an);
    if (c == AL_OK && !ans.n_sentences)
        c = abstain(&nearest, a, &ans, err);
    if (c == AL_OK)
        *ret = ans;
    return c;
}
