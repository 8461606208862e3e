#include <math.h>
#include <string.h>

#include "service.h"

#define K_DEFAULT 10u
#define LEG_MAX 10000u
#define QUESTION_BYTES_MAX (16u << 10)
#define BATCH_ID_BYTES_MAX 512u
#define BATCH_MAX 256u
#define WORK_BYTES_MAX ((size_t)64 << 20) /* of one search, its answer aside */
#define BATCH_K_MAX 10000u
#define HIGHLIGHTS_MAX 64u

/* ---- request ---- */

static enum al_code mode_of(const Airlore__V1__SearchRequest *m, enum al_search_mode *ret,
                            struct al_err *err)
{
    switch (m->mode) {
    case AIRLORE__V1__SEARCH_MODE__SEARCH_MODE_UNSPECIFIED:
        *ret = m->n_vector && !m->text[0] ? AL_MODE_VECTOR : AL_MODE_HYBRID;
        return AL_OK;
    case AIRLORE__V1__SEARCH_MODE__SEARCH_MODE_HYBRID:
        *ret = AL_MODE_HYBRID;
        return AL_OK;
    case AIRLORE__V1__SEARCH_MODE__SEARCH_MODE_VECTOR:
        *ret = AL_MODE_VECTOR;
        return AL_OK;
    case AIRLORE__V1__SEARCH_MODE__SEARCH_MODE_TEXT:
        *ret = AL_MODE_TEXT;
        return AL_OK;
    case _AIRLORE__V1__SEARCH_MODE_IS_INT_SIZE:
        break;
    }
    return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_ENUM", "mode: %d is none", (int)m->mode);
}

static enum al_code in_range(const char *what, bool is_set, uint32_t v, uint32_t least,
                             struct al_err *err)
{
    if (!is_set || (v >= least && v <= LEG_MAX))
        return AL_OK;
    return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "OUT_OF_RANGE", "%s: %u is not in %u to %u", what, v,
                     least, LEG_MAX);
}

static enum al_code check_numbers(const Airlore__V1__SearchRequest *m, struct al_err *err)
{
    uint32_t k = m->_k_case ? m->k : K_DEFAULT;
    if (k < 1 || k > AL_QUERY_K_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "K_OUT_OF_RANGE", "k: %u is not in 1 to %u", k,
                         AL_QUERY_K_MAX);
    AL_TRY(in_range("text k", m->_text_k_case, m->text_k, k, err));
    AL_TRY(in_range("vector k", m->_vector_k_case, m->vector_k, k, err));
    AL_TRY(in_range("ef", m->_ef_case, m->ef, 1, err));
    if (m->_vector_weight_case && !(m->vector_weight >= 0 && m->vector_weight <= 1))
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "OUT_OF_RANGE",
                         "vector weight: %g is not in 0 to 1", m->vector_weight);
    if ((unsigned)m->statistics > AIRLORE__V1__STATISTICS__STATISTICS_EXACT)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_ENUM", "statistics: %d is none",
                         (int)m->statistics);
    return AL_OK;
}

static bool needs_text(Airlore__V1__SearchMode mode)
{
    return mode == AIRLORE__V1__SEARCH_MODE__SEARCH_MODE_HYBRID ||
           mode == AIRLORE__V1__SEARCH_MODE__SEARCH_MODE_TEXT;
}

static enum al_code check_request(struct al_coordinator *c, const Airlore__V1__SearchRequest *m,
                                  struct al_err *err)
{
    if (!m->text[0] && !m->n_vector)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "QUERY_EMPTY",
                         "query: neither a text nor a vector is given");
    if (!m->text[0] && needs_text(m->mode))
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "QUERY_EMPTY", "query: this mode needs a text");
    AL_TRY(al_check_read_level(m->read_level, err));
    AL_TRY(check_numbers(m, err));
    if (m->embedder_id[0] && strcmp(m->embedder_id, al_embedder_id(c->opt.embedder)) != 0)
        return AL_FAIL_R(err, AL_FAILED_PRECONDITION, "EMBEDDER_MISMATCH",
                         "vector: made by '%.64s', the index has '%s'", m->embedder_id,
                         al_embedder_id(c->opt.embedder));
    if ((unsigned)m->fusion > AIRLORE__V1__FUSION__FUSION_RRF)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_ENUM", "fusion: %d is none",
                         (int)m->fusion);
    return AL_OK;
}

static bool has_scope(const Airlore__V1__Visibility *v, size_t n, Airlore__V1__Visibility want)
{
    for (size_t i = 0; i < n; i++) {
        if (v[i] == want)
            return true;
    }
    return false;
}

/* The filter and the wanted scopes as one filter. The user's part is compiled alone first, so that
 * messages speak of it. */
static enum al_code scoped_filter(const char *filter, const Airlore__V1__Visibility *scopes,
                                  size_t n_scopes, struct al_arena *a, struct al_str *ret,
                                  struct al_err *err)
{
    const struct al_filter *alone;
    AL_TRY(al_filter_compile(al_str_c(filter), a, &alone, err));
    *ret = al_str_c(filter);
    if (!n_scopes)
        return AL_OK;
    for (size_t i = 0; i < n_scopes; i++) {
        if ((unsigned)scopes[i] < AIRLORE__V1__VISIBILITY__VISIBILITY_DEPLOYMENT ||
            (unsigned)scopes[i] > AIRLORE__V1__VISIBILITY__VISIBILITY_COMMUNITY)
            return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_ENUM", "scopes: %d is none",
                             (int)scopes[i]);
    }
    static const char *const names[] = {"", "deployment", "team", "community"};
    struct al_buf b;
    al_buf_init(&b, al_arena_mem(a), 0);
    if (alone)
        al_buf_printf(&b, "(%s) AND ", filter);
    al_buf_cstr(&b, "(");
    bool first = true;
    for (int v = AIRLORE__V1__VISIBILITY__VISIBILITY_DEPLOYMENT;
         v <= AIRLORE__V1__VISIBILITY__VISIBILITY_COMMUNITY; v++) {
        if (!has_scope(scopes, n_scopes, (Airlore__V1__Visibility)v))
            continue;
        al_buf_printf(&b, "%sscope = \"%s\"", first ? "" : " OR ", names[v]);
        first = false;
    }
    al_buf_cstr(&b, ")");
    AL_TRY(al_buf_status(&b, err));
    *ret = al_buf_view(&b);
    return AL_OK;
}

/* A read-your-writes token; the shards are waited for one by one. NULL for "". */
static enum al_code take_token(struct al_coordinator *c, const char *text, struct al_arena *a,
                               const struct al_token **ret, struct al_err *err)
{
    *ret = NULL;
    if (!text[0])
        return AL_OK;
    struct al_token *t = al_arena_zalloc(a, sizeof *t);
    if (!t)
        return al_msg_no_memory(err);
    AL_TRY(al_token_parse(c->opt.router, al_str_c(text), a, t, err));
    *ret = t;
    return AL_OK;
}

static enum al_code make_query(struct al_coordinator *c, struct al_rpc_call *call,
                               const Airlore__V1__SearchRequest *m, struct al_arena *a,
                               struct al_query *ret, struct al_err *err)
{
    const struct al_credential *cred = al_call_credential(call);
    AL_TRY(check_request(c, m, err));
    struct al_query q = {
        .text = al_str_c(m->text),
        .vector = m->n_vector ? m->vector : NULL,
        .n_vector = m->n_vector,
        .k = m->_k_case ? m->k : K_DEFAULT,
        .text_depth = m->_text_k_case ? m->text_k : 0,
        .vector_depth = m->_vector_k_case ? m->vector_k : 0,
        .ef = m->_ef_case ? m->ef : 0,
        .all_chunks = m->all_chunks,
        .fusion = (enum al_fusion)m->fusion,
        .vector_weight = m->_vector_weight_case ? (float)m->vector_weight : NAN,
        .min_score = m->_min_score_case ? m->min_score : 0,
        .explain = m->explain,
        .exact = m->exact,
        .no_snippets = m->snippet && m->snippet->omit,
        .allow_partial = m->allow_partial,
        .spaces = cred->spaces,
        .n_spaces = cred->n_spaces,
        .deadline_ns = al_call_deadline(c, call),
        .now_ms = al_clock_wall_ms(c->opt.clock),
    };
    if (m->snippet && m->snippet->_max_bytes_case) {
        q.snippet_bytes = m->snippet->max_bytes;
        if (q.snippet_bytes < 40 || q.snippet_bytes > 4096)
            return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "OUT_OF_RANGE",
                             "snippet: %u bytes is not in 40 to 4,096", q.snippet_bytes);
    }
    AL_TRY(mode_of(m, &q.mode, err));
    AL_TRY(take_token(c, m->after_token, a, &q.after, err));
    AL_TRY(scoped_filter(m->filter, m->scopes, m->n_scopes, a, &q.filter, err));
    *ret = q;
    return AL_OK;
}

/* ---- answer ---- */

static bool fill_explain(struct al_arena *a, const Airlore__V1__SearchRequest *req,
                         const struct al_query_result *r, const struct al_hit *h,
                         Airlore__V1__Hit *m)
{
    Airlore__V1__Explain *e = al_msg_new(a, &airlore__v1__explain__descriptor);
    Airlore__V1__TextExplain *t = al_msg_new(a, &airlore__v1__text_explain__descriptor);
    Airlore__V1__VectorExplain *v = al_msg_new(a, &airlore__v1__vector_explain__descriptor);
    if (!e || !t || !v)
        return false;
    t->score = h->text_score;
    t->rank = h->text_rank;
    t->terms = al_msg_list(a, h->n_terms);
    if (!t->terms)
        return false;
    for (size_t i = 0; i < h->n_terms && i < HIGHLIGHTS_MAX; i++) {
        Airlore__V1__TermScore *s = al_msg_new(a, &airlore__v1__term_score__descriptor);
        if (!s)
            return false;
        s->term = al_msg_str(a, h->terms[i].term);
        s->idf = h->terms[i].idf;
        s->tf = h->terms[i].tf;
        s->weight = h->terms[i].score;
        if (!s->term)
            return false;
        t->terms[t->n_terms++] = s;
    }
    v->score = h->vector_score;
    v->rank = h->vector_rank;
    if (req->mode != AIRLORE__V1__SEARCH_MODE__SEARCH_MODE_VECTOR && req->text[0])
        e->text = t;
    if (req->mode != AIRLORE__V1__SEARCH_MODE__SEARCH_MODE_TEXT)
        e->vector = v;
    e->fused = h->score;
    e->text_max = r->text_max;
    e->vector_max = r->vector_max;
    e->vector_weight = r->vector_weight;
    m->explain = e;
    return true;
}

static bool fill_snippet(struct al_arena *a, const struct al_hit *h, Airlore__V1__Hit *m)
{
    m->snippet = al_msg_str(a, h->snippet.text);
    m->highlights = al_msg_list(a, h->snippet.n_highlights);
    if (!m->snippet || !m->highlights)
        return false;
    for (size_t i = 0; i < h->snippet.n_highlights && i < HIGHLIGHTS_MAX; i++) {
        Airlore__V1__TextRange *r = al_msg_new(a, &airlore__v1__text_range__descriptor);
        if (!r)
            return false;
        r->start = h->snippet.highlights[i].start;
        r->end = h->snippet.highlights[i].end;
        m->highlights[m->n_highlights++] = r;
    }
    return true;
}

static bool fill_labels(struct al_arena *a, const struct al_doc *d, Airlore__V1__Hit *m)
{
    struct al_msg_labels l;
    if (!al_msg_labels(a, d, &airlore__v1__hit__metadata_entry__descriptor, &l))
        return false;
    m->tags = l.tags;
    m->n_tags = l.n_tags;
    m->metadata = l.metadata;
    m->n_metadata = l.n_metadata;
    return true;
}

static Airlore__V1__MissingShard **msg_missing(struct al_arena *a, const struct al_missing *missing,
                                               size_t n)
{
    Airlore__V1__MissingShard **out = al_msg_list(a, n);
    if (!out)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        out[i] = al_msg_new(a, &airlore__v1__missing_shard__descriptor);
        if (!out[i])
            return NULL;
        out[i]->shard = (uint32_t)missing[i].shard;
        out[i]->error = al_msg_error(a, &missing[i].err);
        if (!out[i]->error)
            return NULL;
    }
    return out;
}

static bool fill_names(struct al_coordinator *c, struct al_arena *a, const struct al_doc *d,
                       Airlore__V1__Hit *m)
{
    const char *space = al_directory_space_name(c->directory, d->space, a);
    m->id = al_msg_str(a, d->id);
    m->kind = al_msg_str(a, d->kind);
    m->title = al_msg_str(a, d->title);
    m->scope = (Airlore__V1__Visibility)d->visibility;
    m->owner = al_msg_owner(a, d);
    m->url = al_msg_str(a, d->url);
    m->version = al_msg_str(a, d->version);
    m->source = al_msg_str(a, d->source);
    m->airflow = al_msg_str(a, al_doc_find_meta(d, "airflow"));
    m->update_time = al_msg_time(a, d->updated_ms);
    m->space = space ? al_msg_str(a, al_str_c(space)) : NULL;
    return m->id && m->kind && m->title && m->owner && m->url && m->version && m->source &&
           m->airflow && m->update_time && m->space;
}

static bool fill_also(struct al_coordinator *c, struct al_arena *a, const struct al_hit *h,
                      Airlore__V1__Hit *m)
{
    m->stale = al_msg_str(a, h->stale);
    m->also = al_msg_list(a, h->n_also);
    if (!m->stale || !m->also)
        return false;
    for (size_t i = 0; i < h->n_also; i++) {
        const struct al_doc *d = h->also[i];
        const char *space = al_directory_space_name(c->directory, d->space, a);
        Airlore__V1__Duplicate *x = al_msg_new(a, &airlore__v1__duplicate__descriptor);
        if (!x || !space)
            return false;
        x->id = al_msg_str(a, d->id);
        x->space = al_msg_str(a, al_str_c(space));
        x->title = al_msg_str(a, d->title);
        x->url = al_msg_str(a, d->url);
        x->version = al_msg_str(a, d->version);
        x->airflow = al_msg_str(a, al_doc_find_meta(d, "airflow"));
        if (!x->id || !x->space || !x->title || !x->url || !x->version || !x->airflow)
            return false;
        m->also[m->n_also++] = x;
    }
    return true;
}

static Airlore__V1__Hit *make_hit(struct al_coordinator *c, struct al_arena *a,
                                  const Airlore__V1__SearchRequest *req,
                                  const struct al_query_result *r, const struct al_hit *h)
{
    Airlore__V1__Hit *m = al_msg_new(a, &airlore__v1__hit__descriptor);
    const struct al_doc *d = h->doc;
    if (!m || !fill_names(c, a, d, m) || !fill_labels(a, d, m) || !fill_also(c, a, h, m))
        return NULL;
    m->chunk = h->chunk;
    m->score = h->score;
    m->relevance = h->relevance;
    if (!(req->snippet && req->snippet->omit) && !fill_snippet(a, h, m))
        return NULL;
    if (req->explain && !fill_explain(a, req, r, h, m))
        return NULL;
    m->heading_path = al_msg_headings(a, h->heading, &m->n_heading_path);
    if (!m->heading_path)
        return NULL;
    if (req->include_text)
        m->text = al_msg_str(a, h->text);
    return m->text ? m : NULL;
}

/* work holds what the phases need and the hits; only the answer is in a, so that the queries of a
 * batch add up to little. */
static enum al_code run_search(struct al_coordinator *c, struct al_rpc_call *call,
                               const Airlore__V1__SearchRequest *req, struct al_arena *const in[2],
                               Airlore__V1__SearchResponse **ret, struct al_err *err)
{
    struct al_arena *work = in[0];
    struct al_arena *a = in[1];
    uint64_t start = al_clock_mono_ns(c->opt.clock);
    struct al_query q;
    AL_TRY(make_query(c, call, req, work, &q, err));
    struct al_query_context ctx = {c->opt.router, c->opt.embedder, c->opt.clock};
    struct al_query_result r;
    AL_TRY(al_query_run(&ctx, &q, work, &r, err));
    Airlore__V1__SearchResponse *m = al_msg_new(a, &airlore__v1__search_response__descriptor);
    if (!m)
        return al_msg_no_memory(err);
    m->hits = al_msg_list(a, r.n_hits);
    m->missing_shards = msg_missing(a, r.missing, r.n_missing);
    if (!m->hits || !m->missing_shards)
        return al_msg_no_memory(err);
    m->n_missing_shards = r.n_missing;
    AL_TRY(al_token_text(c, &r.token, a, &m->token, err));
    for (size_t i = 0; i < r.n_hits; i++) {
        m->hits[i] = make_hit(c, a, req, &r, &r.hits[i]);
        if (!m->hits[m->n_hits++])
            return al_msg_no_memory(err);
    }
    m->relevance = r.relevance;
    m->took_us = (al_clock_mono_ns(c->opt.clock) - start) / 1000;
    al_metric_add(c->searches, 1);
    *ret = m;
    return AL_OK;
}

static enum al_code search(struct al_coordinator *c, struct al_rpc_call *call,
                           const Airlore__V1__SearchRequest *req, struct al_arena *a,
                           Airlore__V1__SearchResponse **ret, struct al_err *err)
{
    struct al_arena work;
    al_arena_init(&work, c->opt.mem, WORK_BYTES_MAX);
    enum al_code code = run_search(c, call, req, (struct al_arena *const[]){&work, a}, ret, err);
    al_arena_fini(&work);
    return code;
}

AL_UNARY(al_serve_search)
{
    struct al_coordinator *c = ctx;
    Airlore__V1__SearchResponse *m = NULL;
    AL_TRY(
        search(c, call, (const Airlore__V1__SearchRequest *)req, al_rpc_call_arena(call), &m, err));
    *ret_reply = &m->base;
    return AL_OK;
}

/* ---- batches ---- */

static enum al_code check_batch(const Airlore__V1__BatchSearchRequest *m, struct al_err *err)
{
    if (m->n_queries < 1 || m->n_queries > BATCH_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_MANY",
                         "batch: %zu queries, 1 to %u are allowed", m->n_queries, BATCH_MAX);
    uint64_t k = 0;
    for (size_t i = 0; i < m->n_queries; i++) {
        const Airlore__V1__SearchRequest *r = m->queries[i]->request;
        if (!r)
            return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "REQUIRED", "query %zu: no request", i);
        if (strlen(m->queries[i]->id) > BATCH_ID_BYTES_MAX)
            return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_LARGE",
                             "query %zu: id: at most %u bytes", i, BATCH_ID_BYTES_MAX);
        uint32_t one = r->_k_case ? r->k : K_DEFAULT;
        k += one <= AL_QUERY_K_MAX ? one : 0; /* a larger one fails by itself */
    }
    if (k > BATCH_K_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_MANY",
                         "batch: k together is %llu, at most %u", (unsigned long long)k,
                         BATCH_K_MAX);
    return AL_OK;
}

static Airlore__V1__BatchSearchResult *one_of_batch(struct al_coordinator *c,
                                                    struct al_rpc_call *call,
                                                    const Airlore__V1__BatchSearchQuery *q,
                                                    struct al_arena *a)
{
    Airlore__V1__BatchSearchResult *m =
        al_msg_new(a, &airlore__v1__batch_search_result__descriptor);
    if (!m)
        return NULL;
    m->id = q->id;
    struct al_err bad = {0};
    Airlore__V1__SearchResponse *r = NULL;
    if (search(c, call, q->request, a, &r, &bad) == AL_OK) {
        m->outcome_case = AIRLORE__V1__BATCH_SEARCH_RESULT__OUTCOME_RESPONSE;
        m->response = r;
        return m;
    }
    m->outcome_case = AIRLORE__V1__BATCH_SEARCH_RESULT__OUTCOME_ERROR;
    m->error = al_msg_error(a, &bad);
    return m->error ? m : NULL;
}

AL_UNARY(al_serve_batch_search)
{
    struct al_coordinator *c = ctx;
    const Airlore__V1__BatchSearchRequest *m = (const Airlore__V1__BatchSearchRequest *)req;
    struct al_arena *a = al_rpc_call_arena(call);
    uint64_t start = al_clock_mono_ns(c->opt.clock);
    AL_TRY(check_batch(m, err));
    Airlore__V1__BatchSearchResponse *out =
        al_msg_new(a, &airlore__v1__batch_search_response__descriptor);
    if (!out)
        return al_msg_no_memory(err);
    out->results = al_msg_list(a, m->n_queries);
    if (!out->results)
        return al_msg_no_memory(err);
    for (size_t i = 0; i < m->n_queries; i++) {
        if (al_rpc_call_is_cancelled(call))
            return AL_FAIL(err, AL_CANCELLED, "batch: the client has gone");
        out->results[i] = one_of_batch(c, call, m->queries[i], a);
        if (!out->results[out->n_results++])
            return al_msg_no_memory(err);
    }
    out->took_us = (al_clock_mono_ns(c->opt.clock) - start) / 1000;
    *ret_reply = &out->base;
    return AL_OK;
}

/* ---- ask ---- */

static Airlore__V1__AskSource *ask_source(struct al_coordinator *c, struct al_arena *a, uint32_t n,
                                          const struct al_hit *h)
{
    Airlore__V1__AskSource *m = al_msg_new(a, &airlore__v1__ask_source__descriptor);
    if (!m)
        return NULL;
    const struct al_doc *d = h->doc;
    const char *space = al_directory_space_name(c->directory, d->space, a);
    m->n = n;
    m->id = al_msg_str(a, d->id);
    m->title = al_msg_str(a, d->title);
    m->url = al_msg_str(a, d->url);
    m->version = al_msg_str(a, d->version.n ? d->version : al_doc_find_meta(d, "airflow"));
    m->scope = (Airlore__V1__Visibility)d->visibility;
    m->snippet = al_msg_str(a, h->snippet.text);
    m->owner = al_msg_owner(a, d);
    m->chunk = h->chunk;
    m->relevance = h->relevance;
    m->kind = al_msg_str(a, d->kind);
    m->space = space ? al_msg_str(a, al_str_c(space)) : NULL;
    m->stale = al_msg_str(a, h->stale);
    m->heading_path = al_msg_headings(a, h->heading, &m->n_heading_path);
    bool ok = m->stale && m->id && m->title && m->url && m->version && m->snippet && m->owner &&
              m->kind && m->space && m->heading_path;
    return ok ? m : NULL;
}

static bool fill_answer(struct al_coordinator *c, struct al_arena *a, const struct al_answer *ans,
                        Airlore__V1__AskResponse *m)
{
    m->answer = al_msg_str(a, ans->text);
    m->abstained = ans->abstained;
    m->relevance = ans->relevance;
    m->model = al_msg_str(a, AL_STR("extractive"));
    m->sources = al_msg_list(a, ans->n_sources);
    m->sentences = al_msg_list(a, ans->n_sentences);
    m->missing_shards = msg_missing(a, ans->missing, ans->n_missing);
    if (!m->answer || !m->model || !m->sources || !m->sentences || !m->missing_shards)
        return false;
    m->n_missing_shards = ans->n_missing;
    for (size_t i = 0; i < ans->n_sources; i++) {
        m->sources[i] = ask_source(c, a, (uint32_t)i + 1, ans->sources[i]);
        if (!m->sources[m->n_sources++])
            return false;
    }
    for (size_t i = 0; i < ans->n_sentences; i++) {
        Airlore__V1__AskSentence *s = al_msg_new(a, &airlore__v1__ask_sentence__descriptor);
        uint32_t *n = al_arena_array(a, 1, sizeof *n);
        if (!s || !n)
            return false;
        *n = ans->sentences[i].source;
        s->text = al_msg_str(a, ans->sentences[i].text);
        s->sources = n;
        s->n_sources = 1;
        if (!s->text)
            return false;
        m->sentences[m->n_sentences++] = s;
    }
    return true;
}

static enum al_code ask_options(struct al_coordinator *c, struct al_rpc_call *call,
                                const Airlore__V1__AskRequest *req, struct al_arena *a,
                                struct al_ask_options *ret, struct al_err *err)
{
    const struct al_credential *cred = al_call_credential(call);
    if (req->mode == AIRLORE__V1__ASK_MODE__ASK_MODE_GENERATIVE)
        return AL_FAIL_R(err, AL_FAILED_PRECONDITION, "NOT_CONFIGURED",
                         "ask: no LLM is configured; leave the mode out");
    if ((unsigned)req->mode > AIRLORE__V1__ASK_MODE__ASK_MODE_GENERATIVE)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_ENUM", "mode: %d is none", (int)req->mode);
    if (strlen(req->question) > QUESTION_BYTES_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_LARGE", "question: at most %u bytes",
                         QUESTION_BYTES_MAX);
    AL_TRY(al_check_read_level(req->read_level, err));
    uint32_t k = req->_k_case ? req->k : 8;
    if (k < 1 || k > 50)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "K_OUT_OF_RANGE", "k: %u is not in 1 to 50", k);
    struct al_ask_options o = {
        .query = {.text = al_str_c(req->question),
                  .k = k,
                  .mode = AL_MODE_HYBRID,
                  .vector_weight = NAN,
                  .allow_partial = req->allow_partial,
                  .spaces = cred->spaces,
                  .n_spaces = cred->n_spaces,
                  .deadline_ns = al_call_deadline(c, call),
                  .now_ms = al_clock_wall_ms(c->opt.clock)},
        .min_relevance = req->_min_relevance_case ? req->min_relevance : NAN,
        .sentences_max = req->_max_sentences_case ? req->max_sentences : 5,
    };
    if (req->_min_relevance_case && isnan(req->min_relevance))
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "OUT_OF_RANGE", "min relevance: not a number");
    AL_TRY(take_token(c, req->after_token, a, &o.query.after, err));
    AL_TRY(scoped_filter(req->filter, req->scopes, req->n_scopes, a, &o.query.filter, err));
    *ret = o;
    return AL_OK;
}

static enum al_code ask(struct al_coordinator *c, struct al_rpc_call *call,
                        const Airlore__V1__AskRequest *req, struct al_arena *a,
                        Airlore__V1__AskResponse **ret, struct al_err *err)
{
    uint64_t start = al_clock_mono_ns(c->opt.clock);
    struct al_ask_options o;
    AL_TRY(ask_options(c, call, req, a, &o, err));
    struct al_query_context ctx = {c->opt.router, c->opt.embedder, c->opt.clock};
    struct al_answer ans;
    AL_TRY(al_ask(&ctx, &o, a, &ans, err));
    Airlore__V1__AskResponse *m = al_msg_new(a, &airlore__v1__ask_response__descriptor);
    if (!m || !fill_answer(c, a, &ans, m))
        return al_msg_no_memory(err);
    m->took_us = (al_clock_mono_ns(c->opt.clock) - start) / 1000;
    *ret = m;
    return AL_OK;
}

AL_UNARY(al_serve_ask)
{
    Airlore__V1__AskResponse *m = NULL;
    AL_TRY(ask(ctx, call, (const Airlore__V1__AskRequest *)req, al_rpc_call_arena(call), &m, err));
    *ret_reply = &m->base;
    return AL_OK;
}

AL_STREAM(al_serve_ask_stream)
{
    struct al_arena *a = al_rpc_call_arena(call);
    ProtobufCMessage *first = NULL;
    AL_TRY(al_rpc_read(call, &first, err));
    const Airlore__V1__AskStreamRequest *req = (const Airlore__V1__AskStreamRequest *)first;
    if (!req || !req->request)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "REQUIRED", "ask: no request");
    Airlore__V1__AskResponse *m = NULL;
    AL_TRY(ask(ctx, call, req->request, a, &m, err));
    if (!m)
        return al_msg_no_memory(err);
    Airlore__V1__AskStreamResponse out = AIRLORE__V1__ASK_STREAM_RESPONSE__INIT;
    Airlore__V1__AskSources sources = AIRLORE__V1__ASK_SOURCES__INIT;
    sources.n_sources = m->n_sources;
    sources.sources = m->sources;
    out.message_case = AIRLORE__V1__ASK_STREAM_RESPONSE__MESSAGE_SOURCES;
    out.sources = &sources;
    AL_TRY(al_rpc_write(call, &out.base, err));
    out.message_case = AIRLORE__V1__ASK_STREAM_RESPONSE__MESSAGE_SENTENCE;
    for (size_t i = 0; i < m->n_sentences; i++) {
        out.sentence = m->sentences[i];
        AL_TRY(al_rpc_write(call, &out.base, err));
    }
    out.message_case = AIRLORE__V1__ASK_STREAM_RESPONSE__MESSAGE_END;
    out.end = m;
    return al_rpc_write(call, &out.base, err);
}
