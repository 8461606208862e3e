/* The knowledge service as its clients meet it: bad input, scopes, quotas, tokens. */
#include "airlore/testing.h"

#include <float.h>
#include <math.h>
#include <stdio.h>

#include "service_fixture.h"

static char *text_of(struct service *s, size_t n)
{
    char *p = al_arena_alloc(&s->arena, n + 1);
    assert_non_null(p);
    memset(p, 't', n);
    p[n] = '\0';
    return p;
}

static char *str(const char *s)
{
    return (char *)(uintptr_t)s;
}

static void expect(struct service *s, const char *name, enum al_code code, enum al_code want,
                   const char *reason)
{
    if (code != want || (reason && strcmp(s->err.reason, reason) != 0))
        fail_msg("case '%s': %s (%s): %s, not %s (%s)", name, al_code_name(code),
                 code == AL_OK ? "" : s->err.reason, s->err.msg, al_code_name(want),
                 reason ? reason : "");
}

/* ---- bad input ---- */

typedef Airlore__V1__SearchRequest search_request;

static void bad_text(struct service *s, search_request *r)
{
    r->text = text_of(s, (64u << 10) + 1);
}

static void no_query(struct service *s, search_request *r)
{
    (void)s;
    r->text = str("");
}

static void text_leg_without_text(struct service *s, search_request *r)
{
    r->text = str("");
    r->n_vector = al_embedder_dim(s->core.embedder);
    r->vector = al_arena_array(&s->arena, r->n_vector, sizeof(float));
    r->vector[0] = 1;
    r->mode = AIRLORE__V1__SEARCH_MODE__SEARCH_MODE_TEXT;
}

static void set_vector(struct service *s, search_request *r, size_t n, float first)
{
    r->n_vector = n;
    r->vector = al_arena_array(&s->arena, n, sizeof(float));
    assert_non_null(r->vector);
    r->vector[0] = first;
}

static void short_vector(struct service *s, search_request *r)
{
    set_vector(s, r, 3, 1);
}

static void zero_vector(struct service *s, search_request *r)
{
    set_vector(s, r, al_embedder_dim(s->core.embedder), 0);
}

static void nan_vector(struct service *s, search_request *r)
{
    set_vector(s, r, al_embedder_dim(s->core.embedder), NAN);
}

static void huge_vector(struct service *s, search_request *r)
{
    set_vector(s, r, al_embedder_dim(s->core.embedder), FLT_MAX);
    r->vector[1] = INFINITY;
}

static void other_embedder(struct service *s, search_request *r)
{
    set_vector(s, r, al_embedder_dim(s->core.embedder), 1);
    r->embedder_id = str("another-1");
}

static void long_filter(struct service *s, search_request *r)
{
    r->filter = text_of(s, 8193);
}

#define SETTER(name_, code_)                                \
    static void name_(struct service *s, search_request *r) \
    {                                                       \
        (void)s;                                            \
        code_;                                              \
    }
#define NUMBER(name_, FIELD_, field_, value_)                                   \
    SETTER(name_, r->_##field_##_case = AIRLORE__V1__SEARCH_REQUEST___##FIELD_; \
           r->field_ = (value_))
NUMBER(k_0, K_K, k, 0)
NUMBER(k_1001, K_K, k, 1001)
NUMBER(k_million, K_K, k, 1000000)
NUMBER(text_k_9, TEXT_K_TEXT_K, text_k, 9)
NUMBER(text_k_10001, TEXT_K_TEXT_K, text_k, 10001)
NUMBER(vector_k_9, VECTOR_K_VECTOR_K, vector_k, 9)
NUMBER(vector_k_10001, VECTOR_K_VECTOR_K, vector_k, 10001)
NUMBER(ef_0, EF_EF, ef, 0)
NUMBER(ef_10001, EF_EF, ef, 10001)
NUMBER(min_score_less, MIN_SCORE_MIN_SCORE, min_score, -0.1)
NUMBER(min_score_more, MIN_SCORE_MIN_SCORE, min_score, 1.1)
NUMBER(min_score_nan, MIN_SCORE_MIN_SCORE, min_score, (double)NAN)
NUMBER(weight_less, VECTOR_WEIGHT_VECTOR_WEIGHT, vector_weight, -0.1)
NUMBER(weight_more, VECTOR_WEIGHT_VECTOR_WEIGHT, vector_weight, 1.1)
NUMBER(weight_nan, VECTOR_WEIGHT_VECTOR_WEIGHT, vector_weight, (double)NAN)
SETTER(bad_mode, r->mode = (Airlore__V1__SearchMode)4)
SETTER(bad_fusion, r->fusion = (Airlore__V1__Fusion)3)
SETTER(bad_statistics, r->statistics = (Airlore__V1__Statistics)3)
SETTER(bad_level, r->read_level = (Airlore__V1__ReadLevel)4)
SETTER(bad_filter, r->filter = str("kind ="))
SETTER(bad_token, r->after_token = str("not a token"))
SETTER(future_token, r->after_token = str("0:ffffffff"))

static void snippet(struct service *s, search_request *r, uint32_t bytes)
{
    Airlore__V1__SnippetOptions *o =
        al_msg_new(&s->arena, &airlore__v1__snippet_options__descriptor);
    assert_non_null(o);
    o->_max_bytes_case = AIRLORE__V1__SNIPPET_OPTIONS___MAX_BYTES_MAX_BYTES;
    o->max_bytes = bytes;
    r->snippet = o;
}

static void snippet_39(struct service *s, search_request *r)
{
    snippet(s, r, 39);
}

static void snippet_0(struct service *s, search_request *r)
{
    snippet(s, r, 0);
}

static void snippet_4097(struct service *s, search_request *r)
{
    snippet(s, r, 4097);
}

static void bad_scope(struct service *s, search_request *r)
{
    r->scopes = al_arena_array(&s->arena, 1, sizeof *r->scopes);
    r->n_scopes = 1; /* unspecified is none */
}

static const struct {
    const char *name;
    void (*set)(struct service *s, search_request *r);
    enum al_code code;
    const char *reason;
} bad_searches[] = {
    {"neither text nor vector", no_query, AL_INVALID_ARGUMENT, "QUERY_EMPTY"},
    {"text leg without a text", text_leg_without_text, AL_INVALID_ARGUMENT, "QUERY_EMPTY"},
    {"text of 64 KiB + 1", bad_text, AL_INVALID_ARGUMENT, "TOO_LARGE"},
    {"k 0", k_0, AL_INVALID_ARGUMENT, "K_OUT_OF_RANGE"},
    {"k 1,001", k_1001, AL_INVALID_ARGUMENT, "K_OUT_OF_RANGE"},
    {"k a million", k_million, AL_INVALID_ARGUMENT, "K_OUT_OF_RANGE"},
    {"text_k below k", text_k_9, AL_INVALID_ARGUMENT, "OUT_OF_RANGE"},
    {"text_k 10,001", text_k_10001, AL_INVALID_ARGUMENT, "OUT_OF_RANGE"},
    {"vector_k below k", vector_k_9, AL_INVALID_ARGUMENT, "OUT_OF_RANGE"},
    {"vector_k 10,001", vector_k_10001, AL_INVALID_ARGUMENT, "OUT_OF_RANGE"},
    {"ef 0", ef_0, AL_INVALID_ARGUMENT, "OUT_OF_RANGE"},
    {"ef 10,001", ef_10001, AL_INVALID_ARGUMENT, "OUT_OF_RANGE"},
    {"min_score -0.1", min_score_less, AL_INVALID_ARGUMENT, "OUT_OF_RANGE"},
    {"min_score 1.1", min_score_more, AL_INVALID_ARGUMENT, "OUT_OF_RANGE"},
    {"min_score NaN", min_score_nan, AL_INVALID_ARGUMENT, "OUT_OF_RANGE"},
    {"vector_weight -0.1", weight_less, AL_INVALID_ARGUMENT, "OUT_OF_RANGE"},
    {"vector_weight 1.1", weight_more, AL_INVALID_ARGUMENT, "OUT_OF_RANGE"},
    {"vector_weight NaN", weight_nan, AL_INVALID_ARGUMENT, "OUT_OF_RANGE"},
    {"snippet of 0", snippet_0, AL_INVALID_ARGUMENT, "OUT_OF_RANGE"},
    {"snippet of 39", snippet_39, AL_INVALID_ARGUMENT, "OUT_OF_RANGE"},
    {"snippet of 4,097", snippet_4097, AL_INVALID_ARGUMENT, "OUT_OF_RANGE"},
    {"mode 4", bad_mode, AL_INVALID_ARGUMENT, "BAD_ENUM"},
    {"fusion 3", bad_fusion, AL_INVALID_ARGUMENT, "BAD_ENUM"},
    {"statistics 3", bad_statistics, AL_INVALID_ARGUMENT, "BAD_ENUM"},
    {"read level 4", bad_level, AL_INVALID_ARGUMENT, "BAD_ENUM"},
    {"scope 0", bad_scope, AL_INVALID_ARGUMENT, "BAD_ENUM"},
    {"filter", bad_filter, AL_INVALID_ARGUMENT, "BAD_FILTER"},
    {"filter of 8 KiB + 1", long_filter, AL_INVALID_ARGUMENT, "BAD_FILTER"},
    {"token", bad_token, AL_INVALID_ARGUMENT, "BAD_TOKEN"},
    {"token of the future", future_token, AL_INVALID_ARGUMENT, "BAD_TOKEN"},
    {"vector of 3", short_vector, AL_INVALID_ARGUMENT, "DIMENSION_MISMATCH"},
    {"vector of zeros", zero_vector, AL_INVALID_ARGUMENT, "NOT_FINITE"},
    {"vector of NaN", nan_vector, AL_INVALID_ARGUMENT, "NOT_FINITE"},
    {"vector of infinity", huge_vector, AL_INVALID_ARGUMENT, "NOT_FINITE"},
    {"another embedder", other_embedder, AL_FAILED_PRECONDITION, "EMBEDDER_MISMATCH"},
};

static void test_bad_searches(void **state)
{
    (void)state;
    struct service s;
    service_open(&s, NULL);
    const char *key = service_key(&s, "red", "", AL_ROLE_READER, NULL);
    for (size_t i = 0; i < AL_ARRAY_LEN(bad_searches); i++) {
        search_request r = AIRLORE__V1__SEARCH_REQUEST__INIT;
        Airlore__V1__SearchResponse *reply = NULL;
        r.text = str("heron");
        bad_searches[i].set(&s, &r);
        enum al_code code = service_call(&s, key, "Search", &r.base, &reply);
        expect(&s, bad_searches[i].name, code, bad_searches[i].code, bad_searches[i].reason);
        /* the same as one of a batch fails alone */
        Airlore__V1__BatchSearchQuery q = AIRLORE__V1__BATCH_SEARCH_QUERY__INIT;
        Airlore__V1__BatchSearchQuery *queries[] = {&q};
        Airlore__V1__BatchSearchRequest b = AIRLORE__V1__BATCH_SEARCH_REQUEST__INIT;
        Airlore__V1__BatchSearchResponse *answers = NULL;
        q.request = &r;
        b.queries = queries;
        b.n_queries = 1;
        code = service_call(&s, key, "BatchSearch", &b.base, &answers);
        expect(&s, bad_searches[i].name, code, AL_OK, NULL);
        assert_string_equal(answers->results[0]->error->reason, bad_searches[i].reason);
    }
    service_close(&s);
}

static void test_bad_batches(void **state)
{
    (void)state;
    struct service s;
    service_open(&s, NULL);
    const char *key = service_key(&s, "red", "", AL_ROLE_READER, NULL);
    search_request one = AIRLORE__V1__SEARCH_REQUEST__INIT;
    Airlore__V1__BatchSearchQuery q = AIRLORE__V1__BATCH_SEARCH_QUERY__INIT;
    Airlore__V1__BatchSearchQuery *queries[257];
    Airlore__V1__BatchSearchResponse *reply = NULL;
    one.text = str("heron");
    for (size_t i = 0; i < AL_ARRAY_LEN(queries); i++)
        queries[i] = &q;
    const struct {
        const char *name;
        size_t n;
        uint32_t k;
        size_t id_bytes;
        bool has_request;
        enum al_code code;
        const char *reason;
    } cases[] = {
        {"none", 0, 1, 1, true, AL_INVALID_ARGUMENT, "TOO_MANY"},
        {"256", 256, 1, 1, true, AL_OK, NULL},
        {"257", 257, 1, 1, true, AL_INVALID_ARGUMENT, "TOO_MANY"},
        {"k of 10,000 together", 10, 1000, 1, true, AL_OK, NULL},
        {"k of 11,000 together", 11, 1000, 1, true, AL_INVALID_ARGUMENT, "TOO_MANY"},
        {"id of 512", 1, 1, 512, true, AL_OK, NULL},
        {"id of 513", 1, 1, 513, true, AL_INVALID_ARGUMENT, "TOO_LARGE"},
        {"without a request", 1, 1, 1, false, AL_INVALID_ARGUMENT, "REQUIRED"},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        Airlore__V1__BatchSearchRequest b = AIRLORE__V1__BATCH_SEARCH_REQUEST__INIT;
        b.queries = queries;
        b.n_queries = cases[i].n;
        one._k_case = AIRLORE__V1__SEARCH_REQUEST___K_K;
        one.k = cases[i].k;
        q.id = text_of(&s, cases[i].id_bytes);
        q.request = cases[i].has_request ? &one : NULL;
        enum al_code code = service_call(&s, key, "BatchSearch", &b.base, &reply);
        expect(&s, cases[i].name, code, cases[i].code, cases[i].reason);
    }
    service_close(&s);
}

static void test_bad_questions(void **state)
{
    (void)state;
    struct service s;
    service_open(&s, NULL);
    const char *key = service_key(&s, "red", "", AL_ROLE_READER, NULL);
    const double nan = (double)NAN;
    const struct {
        const char *name;
        size_t bytes; /* of the question; 0: "heron?" */
        int k;        /* -1: not said, as for sentences */
        int sentences;
        int mode;
        double min_relevance; /* 2: not said */
        const char *filter;
        const char *token;
        enum al_code code;
        const char *reason;
    } cases[] = {
        {"good", 0, 50, 20, 0, 1, "", "", AL_OK, NULL},
        {"blank", 1, -1, -1, 0, 2, "", "", AL_INVALID_ARGUMENT, "QUERY_EMPTY"},
        {"16 KiB + 1", (16u << 10) + 1, -1, -1, 0, 2, "", "", AL_INVALID_ARGUMENT, "TOO_LARGE"},
        {"k 0", 0, 0, -1, 0, 2, "", "", AL_INVALID_ARGUMENT, "K_OUT_OF_RANGE"},
        {"k 51", 0, 51, -1, 0, 2, "", "", AL_INVALID_ARGUMENT, "K_OUT_OF_RANGE"},
        {"no sentence", 0, -1, 0, 0, 2, "", "", AL_INVALID_ARGUMENT, "OUT_OF_RANGE"},
        {"21 sentences", 0, -1, 21, 0, 2, "", "", AL_INVALID_ARGUMENT, "OUT_OF_RANGE"},
        {"relevance -0.1", 0, -1, -1, 0, -0.1, "", "", AL_INVALID_ARGUMENT, "OUT_OF_RANGE"},
        {"relevance 1.1", 0, -1, -1, 0, 1.1, "", "", AL_INVALID_ARGUMENT, "OUT_OF_RANGE"},
        {"relevance NaN", 0, -1, -1, 0, nan, "", "", AL_INVALID_ARGUMENT, "OUT_OF_RANGE"},
        {"mode 3", 0, -1, -1, 3, 2, "", "", AL_INVALID_ARGUMENT, "BAD_ENUM"},
        {"no LLM", 0, -1, -1, 2, 2, "", "", AL_FAILED_PRECONDITION, "NOT_CONFIGURED"},
        {"filter", 0, -1, -1, 0, 2, "(", "", AL_INVALID_ARGUMENT, "BAD_FILTER"},
        {"token", 0, -1, -1, 0, 2, "", "x", AL_INVALID_ARGUMENT, "BAD_TOKEN"},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        Airlore__V1__AskRequest r = AIRLORE__V1__ASK_REQUEST__INIT;
        Airlore__V1__AskResponse *reply = NULL;
        r.question = cases[i].bytes == 1  ? str(" ")
                     : cases[i].bytes > 1 ? text_of(&s, cases[i].bytes)
                                          : str("heron?");
        if (cases[i].k >= 0) {
            r._k_case = AIRLORE__V1__ASK_REQUEST___K_K;
            r.k = (uint32_t)cases[i].k;
        }
        if (cases[i].sentences >= 0) {
            r._max_sentences_case = AIRLORE__V1__ASK_REQUEST___MAX_SENTENCES_MAX_SENTENCES;
            r.max_sentences = (uint32_t)cases[i].sentences;
        }
        if (!(cases[i].min_relevance > 1.5)) {
            r._min_relevance_case = AIRLORE__V1__ASK_REQUEST___MIN_RELEVANCE_MIN_RELEVANCE;
            r.min_relevance = cases[i].min_relevance;
        }
        r.mode = (Airlore__V1__AskMode)cases[i].mode;
        r.filter = str(cases[i].filter);
        r.after_token = str(cases[i].token);
        enum al_code code = service_call(&s, key, "Ask", &r.base, &reply);
        expect(&s, cases[i].name, code, cases[i].code, cases[i].reason);
    }
    service_close(&s);
}

static void test_bad_calls_on_items(void **state)
{
    (void)state;
    struct service s;
    service_open(&s, NULL);
    const char *key = service_key(&s, "red", "", AL_ROLE_CONTRIBUTOR, NULL);
    const char *reader = service_key(&s, "red", "", AL_ROLE_READER, NULL);
    service_put(&s, key, "a", "The heron waits.");
    Airlore__V1__GetItemRequest get = AIRLORE__V1__GET_ITEM_REQUEST__INIT;
    Airlore__V1__ListItemsRequest list = AIRLORE__V1__LIST_ITEMS_REQUEST__INIT;
    Airlore__V1__DeleteItemRequest del = AIRLORE__V1__DELETE_ITEM_REQUEST__INIT;
    Airlore__V1__DeleteItemsRequest del_all = AIRLORE__V1__DELETE_ITEMS_REQUEST__INIT;
    Airlore__V1__PromoteItemRequest promote = AIRLORE__V1__PROMOTE_ITEM_REQUEST__INIT;
    Airlore__V1__WithdrawItemRequest withdraw = AIRLORE__V1__WITHDRAW_ITEM_REQUEST__INIT;
    Airlore__V1__CheckSourcesRequest check = AIRLORE__V1__CHECK_SOURCES_REQUEST__INIT;
    Airlore__V1__ListChecksumsRequest sums = AIRLORE__V1__LIST_CHECKSUMS_REQUEST__INIT;
    void *reply;
#define BAD(name_, key_, Method_, msg_, set_, code_, reason_)                                   \
    do {                                                                                        \
        __typeof__(msg_) saved_ = msg_;                                                         \
        set_;                                                                                   \
        expect(&s, name_, service_call(&s, key_, Method_, &msg_.base, &reply), code_, reason_); \
        msg_ = saved_;                                                                          \
    } while (0)
    get.id = del.id = promote.id = withdraw.id = str("a");
    BAD("get nothing", key, "GetItem", get, get.id = str(""), AL_INVALID_ARGUMENT, "BAD_FORMAT");
    BAD("get an id of 513", key, "GetItem", get, get.id = text_of(&s, 513), AL_INVALID_ARGUMENT,
        "BAD_FORMAT");
    BAD("get view 4", key, "GetItem", get, get.view = 4, AL_INVALID_ARGUMENT, "BAD_ENUM");
    BAD("get level 4", key, "GetItem", get, get.read_level = 4, AL_INVALID_ARGUMENT, "BAD_ENUM");
    BAD("get token", key, "GetItem", get, get.after_token = str("?"), AL_INVALID_ARGUMENT,
        "BAD_TOKEN");
    BAD("get absent", key, "GetItem", get, get.id = str("x"), AL_NOT_FOUND, "ITEM_NOT_FOUND");
    BAD("list view 4", key, "ListItems", list, list.view = 4, AL_INVALID_ARGUMENT, "BAD_ENUM");
    BAD("list -1", key, "ListItems", list, list.page_size = -1, AL_INVALID_ARGUMENT,
        "OUT_OF_RANGE");
    BAD("list filter", key, "ListItems", list, list.filter = str("x ="), AL_INVALID_ARGUMENT,
        "BAD_FILTER");
    BAD("list page", key, "ListItems", list, list.page_token = str("00"), AL_INVALID_ARGUMENT,
        "BAD_PAGE_TOKEN");
    BAD("list space", key, "ListItems", list, list.space = str("teams/none"), AL_PERMISSION_DENIED,
        "SPACE_FORBIDDEN");
    BAD("list no space", key, "ListItems", list, list.space = str("x"), AL_INVALID_ARGUMENT,
        "BAD_FORMAT");
    BAD("delete nothing", key, "DeleteItem", del, del.id = str(""), AL_INVALID_ARGUMENT,
        "BAD_FORMAT");
    BAD("delete absent", key, "DeleteItem", del, del.id = str("x"), AL_NOT_FOUND, "ITEM_NOT_FOUND");
    BAD("delete by a reader", reader, "DeleteItem", del, , AL_PERMISSION_DENIED, "ROLE_MISSING");
    BAD("delete long name", key, "DeleteItem", del, del.write_id = text_of(&s, 129),
        AL_INVALID_ARGUMENT, "TOO_LARGE");
    BAD("delete all", key, "DeleteItems", del_all, , AL_INVALID_ARGUMENT, "REQUIRED");
    del_all.filter = str("id != \"\"");
    BAD("delete all by a reader", reader, "DeleteItems", del_all, , AL_PERMISSION_DENIED,
        "ROLE_MISSING");
    BAD("delete all of the community", key, "DeleteItems", del_all,
        del_all.space = str("community"), AL_PERMISSION_DENIED, "ROLE_MISSING");
    BAD("delete all stale", key, "DeleteItems", del_all, del_all.confirm_digest = str("00"),
        AL_FAILED_PRECONDITION, "PREVIEW_STALE");
    BAD("delete all long name", key, "DeleteItems", del_all, del_all.write_id = text_of(&s, 65),
        AL_INVALID_ARGUMENT, "TOO_LARGE");
    BAD("promote to a deployment", key, "PromoteItem", promote, promote.target = 1,
        AL_INVALID_ARGUMENT, "BAD_ENUM");
    BAD("promote to 4", key, "PromoteItem", promote, promote.target = 4, AL_INVALID_ARGUMENT,
        "BAD_ENUM");
    BAD("promote by a reader", reader, "PromoteItem", promote, , AL_PERMISSION_DENIED,
        "ROLE_MISSING");
    BAD("promote absent", key, "PromoteItem", promote, promote.id = str("x"), AL_NOT_FOUND,
        "ITEM_NOT_FOUND");
    BAD("promote the team's to it", key, "PromoteItem", promote, promote.target = 2,
        AL_FAILED_PRECONDITION, "ITEM_STATE");
    BAD("promote stale", key, "PromoteItem", promote, promote.confirm_digest = str("00"),
        AL_FAILED_PRECONDITION, "PREVIEW_STALE");
    BAD("withdraw what is not shared", key, "WithdrawItem", withdraw, , AL_FAILED_PRECONDITION,
        "ITEM_STATE");
    BAD("withdraw nothing", key, "WithdrawItem", withdraw, withdraw.id = str(""),
        AL_INVALID_ARGUMENT, "BAD_FORMAT");
    BAD("withdraw by a reader", reader, "WithdrawItem", withdraw, , AL_PERMISSION_DENIED,
        "ROLE_MISSING");
    BAD("check none", key, "CheckSources", check, , AL_INVALID_ARGUMENT, "TOO_MANY");
    BAD("sums of no source", key, "ListChecksums", sums, , AL_INVALID_ARGUMENT, "REQUIRED");
    sums.source = str("x");
    BAD("sums visibility 4", key, "ListChecksums", sums, sums.visibility = 4, AL_INVALID_ARGUMENT,
        "BAD_ENUM");
    BAD("sums deployment", key, "ListChecksums", sums, sums.visibility = 1, AL_INVALID_ARGUMENT,
        "REQUIRED");
    BAD("sums of blue", key, "ListChecksums", sums,
        sums.deployment = str("teams/blue/deployments/x"), AL_PERMISSION_DENIED, "SPACE_FORBIDDEN");
    BAD("sums of the community", key, "ListChecksums", sums, sums.visibility = 3,
        AL_PERMISSION_DENIED, "ROLE_MISSING");
    BAD("sums by a reader", reader, "ListChecksums", sums, , AL_PERMISSION_DENIED, "ROLE_MISSING");
    BAD("no such key", "al_x_y", "GetItem", get, , AL_UNAUTHENTICATED, "KEY_INVALID");
#undef BAD
    service_close(&s);
}

/* ---- what is kept and shown ---- */

static Airlore__V1__Item *get_item(struct service *s, const char *key, const char *id,
                                   Airlore__V1__ItemView view)
{
    Airlore__V1__GetItemRequest r = AIRLORE__V1__GET_ITEM_REQUEST__INIT;
    Airlore__V1__GetItemResponse *reply = NULL;
    r.id = str(id);
    r.view = view;
    AL_CHECK_OK(service_call(s, key, "GetItem", &r.base, &reply), s->err);
    return reply->item;
}

static void test_fields_of_items(void **state)
{
    (void)state;
    struct service s;
    service_open(&s, NULL);
    const char *key = service_key(&s, "red", "prod", AL_ROLE_CONTRIBUTOR, NULL);
    Airlore__V1__IngestOptions options = AIRLORE__V1__INGEST_OPTIONS__INIT;
    Airlore__V1__IngestItem item = AIRLORE__V1__INGEST_ITEM__INIT;
    item.id = str("a");
    item.content_case = AIRLORE__V1__INGEST_ITEM__CONTENT_TEXT;
    item.text = str("<h1>Herons</h1><p>token=ghp_0123456789abcdefghijABCDEFGHIJ012345 waits");
    item.media_type = str("text/html; charset=utf-8");
    const Airlore__V1__IngestResult *r = service_ingest(&s, key, &options, &item);
    assert_null(r->error);
    const Airlore__V1__Item *m = get_item(&s, key, "a", 0);
    assert_string_equal(m->media_type, "text/html");
    assert_int_equal(m->revision, 1);
    assert_int_equal(m->redactions, 1);
    assert_int_equal(m->redactions, r->redactions);
    assert_string_equal(m->promoted_id, "");
    assert_string_equal(m->space, "teams/red/deployments/prod");
    assert_null(strstr(m->text, "<p>"));
    item.media_type = str("text/plain");
    assert_null(service_ingest(&s, key, &options, &item)->error);
    m = get_item(&s, key, "a", AIRLORE__V1__ITEM_VIEW__ITEM_VIEW_FULL_WITH_VECTORS);
    assert_string_equal(m->media_type, "text/plain");
    assert_int_equal(m->revision, 2);
    assert_non_null(strstr(m->text, "<p>"));
    assert_int_equal(m->chunks[0]->n_vector, al_embedder_dim(s.core.embedder));
    item.media_type = str("image/png");
    assert_string_equal(service_ingest(&s, key, &options, &item)->error->reason,
                        "MEDIA_TYPE_UNSUPPORTED");
    /* owned by the deployment, seen by the team */
    item.media_type = str("");
    item.id = str("b");
    options.visibility = AIRLORE__V1__VISIBILITY__VISIBILITY_TEAM;
    options.deployment = str("teams/red/deployments/prod");
    assert_null(service_ingest(&s, key, &options, &item)->error);
    m = get_item(&s, service_key(&s, "red", "", AL_ROLE_READER, NULL), "b", 0);
    assert_string_equal(m->owner->deployment, "prod");
    assert_int_equal(m->scope, AIRLORE__V1__VISIBILITY__VISIBILITY_TEAM);
    service_close(&s);
}

static size_t list_all(struct service *s, const char *key, Airlore__V1__ItemView view,
                       int32_t page_size, size_t *ret_pages, size_t *ret_whole)
{
    Airlore__V1__ListItemsRequest r = AIRLORE__V1__LIST_ITEMS_REQUEST__INIT;
    size_t n = 0;
    r.view = view;
    r.page_size = page_size;
    *ret_pages = *ret_whole = 0;
    do {
        Airlore__V1__ListItemsResponse *reply = NULL;
        AL_CHECK_OK(service_call(s, key, "ListItems", &r.base, &reply), s->err);
        assert_true(protobuf_c_message_get_packed_size(&reply->base) < (5u << 20));
        for (size_t i = 0; i < reply->n_items; i++) {
            const Airlore__V1__Item *m = reply->items[i];
            *ret_whole += m->text[0] && m->n_chunks == m->chunk_count;
        }
        n += reply->n_items;
        (*ret_pages)++;
        r.page_token = reply->next_page_token;
    } while (r.page_token[0]);
    return n;
}

static void test_lists_of_whole_items(void **state)
{
    (void)state;
    struct service s;
    size_t pages;
    size_t whole;
    service_open(&s, &(struct service_options){.n_shards = 4, .message_bytes_max = 5u << 20});
    const char *key = service_key(&s, "red", "", AL_ROLE_CONTRIBUTOR, NULL);
    for (int i = 0; i < 30; i++) {
        char id[16];
        snprintf(id, sizeof id, "small-%d", i);
        service_put(&s, key, id, "The heron waits for the warehouse.");
    }
    assert_int_equal(list_all(&s, key, 1, 7, &pages, &whole), 30);
    assert_int_equal(whole, 0);
    for (Airlore__V1__ItemView v = 2; v <= 3; v++) {
        assert_int_equal(list_all(&s, key, v, 7, &pages, &whole), 30);
        assert_int_equal(whole, 30);
    }
    /* 1.5 MB of text and as much of chunks each: a page of one; one that no message holds has no
     * texts */
    char *large = text_of(&s, 1500000);
    for (size_t i = 0; i < 1500000; i++)
        large[i] = "words of a heron.\n\n"[i % 19];
    for (int i = 0; i < 3; i++) {
        char id[16];
        snprintf(id, sizeof id, "large-%d", i);
        service_put(&s, key, id, large);
    }
    char *larger = text_of(&s, 3000000);
    memset(larger, ' ', 3000000);
    memcpy(larger, large, 1500000);
    memcpy(larger + 1500000, large, 1499990);
    service_put(&s, key, "too-large", larger);
    assert_int_equal(list_all(&s, key, 2, 1000, &pages, &whole), 34);
    assert_int_equal(whole, 33);
    assert_true(pages >= 3);
    service_close(&s);
}

static void test_page_tokens_belong_to_their_request(void **state)
{
    (void)state;
    struct service s;
    service_open(&s, NULL);
    const char *key = service_key(&s, "red", "", AL_ROLE_CONTRIBUTOR, NULL);
    const char *other = service_key(&s, "red", "", AL_ROLE_CONTRIBUTOR, NULL);
    Airlore__V1__ListItemsRequest r = AIRLORE__V1__LIST_ITEMS_REQUEST__INIT;
    Airlore__V1__ListItemsResponse *reply = NULL;
    service_put(&s, key, "a", "one");
    service_put(&s, key, "b", "two");
    service_put(&s, key, "c", "three");
    r.page_size = 1;
    AL_CHECK_OK(service_call(&s, key, "ListItems", &r.base, &reply), s.err);
    assert_true(reply->next_page_token[0] != '\0');
    r.page_token = reply->next_page_token;
    AL_CHECK_OK(service_call(&s, key, "ListItems", &r.base, &reply), s.err);
    expect(&s, "another key", service_call(&s, other, "ListItems", &r.base, &reply),
           AL_INVALID_ARGUMENT, "BAD_PAGE_TOKEN");
    r.filter = str("kind = doc");
    expect(&s, "another filter", service_call(&s, key, "ListItems", &r.base, &reply),
           AL_INVALID_ARGUMENT, "BAD_PAGE_TOKEN");
    service_close(&s);
}

/* ---- scopes ---- */

static size_t count_hits(struct service *s, const char *key, const char *filter, bool vector)
{
    search_request r = AIRLORE__V1__SEARCH_REQUEST__INIT;
    Airlore__V1__SearchResponse *reply = NULL;
    r.text = str("heron warehouse");
    r.filter = str(filter);
    r.mode = vector ? AIRLORE__V1__SEARCH_MODE__SEARCH_MODE_VECTOR : 0;
    r.include_text = true;
    AL_CHECK_OK(service_call(s, key, "Search", &r.base, &reply), s->err);
    return reply->n_hits;
}

/* Every way to read or touch what is another team's. */
static void test_teams_do_not_see_each_other(void **state)
{
    (void)state;
    struct service s;
    service_open(&s, NULL);
    const char *red = service_key(&s, "red", "", AL_ROLE_ADMIN, NULL);
    const char *red_prod = service_key(&s, "red", "prod", AL_ROLE_CONTRIBUTOR, NULL);
    service_put(&s, red, "secret", "The heron of the warehouse is red.");
    service_put(&s, red_prod, "secret-prod", "The heron of the warehouse is in production.");
    static const enum al_role roles[] = {AL_ROLE_READER, AL_ROLE_CONTRIBUTOR, AL_ROLE_REVIEWER,
                                         AL_ROLE_ADMIN};
    for (size_t i = 0; i < AL_ARRAY_LEN(roles); i++) {
        const char *blue = service_key(&s, "blue", i % 2 ? "dev" : "", roles[i], NULL);
        const bool writes = roles[i] >= AL_ROLE_CONTRIBUTOR;
        void *reply;
        Airlore__V1__GetItemRequest get = AIRLORE__V1__GET_ITEM_REQUEST__INIT;
        get.id = str("secret");
        expect(&s, "get", service_call(&s, blue, "GetItem", &get.base, &reply), AL_NOT_FOUND,
               "ITEM_NOT_FOUND");
        get.space = str("teams/red");
        expect(&s, "get in", service_call(&s, blue, "GetItem", &get.base, &reply), AL_NOT_FOUND,
               "ITEM_NOT_FOUND");
        size_t pages;
        size_t whole;
        assert_int_equal(list_all(&s, blue, 2, 0, &pages, &whole), 0);
        Airlore__V1__ListItemsRequest list = AIRLORE__V1__LIST_ITEMS_REQUEST__INIT;
        list.space = str("teams/red/deployments/prod");
        expect(&s, "list in", service_call(&s, blue, "ListItems", &list.base, &reply),
               AL_PERMISSION_DENIED, "SPACE_FORBIDDEN");
        assert_int_equal(count_hits(&s, blue, "", false), 0);
        assert_int_equal(count_hits(&s, blue, "", true), 0);
        assert_int_equal(count_hits(&s, blue, "team = red OR id = \"secret\"", false), 0);
        Airlore__V1__AskRequest ask = AIRLORE__V1__ASK_REQUEST__INIT;
        Airlore__V1__AskResponse *answer = NULL;
        ask.question = str("Which heron is in the warehouse?");
        AL_CHECK_OK(service_call(&s, blue, "Ask", &ask.base, &answer), s.err);
        assert_true(answer->abstained && answer->n_sources == 0);
        Airlore__V1__DeleteItemRequest del = AIRLORE__V1__DELETE_ITEM_REQUEST__INIT;
        del.id = str("secret");
        expect(&s, "delete", service_call(&s, blue, "DeleteItem", &del.base, &reply),
               writes ? AL_NOT_FOUND : AL_PERMISSION_DENIED, NULL);
        del.space = str("teams/red");
        expect(&s, "delete in", service_call(&s, blue, "DeleteItem", &del.base, &reply),
               AL_PERMISSION_DENIED, NULL);
        Airlore__V1__DeleteItemsRequest all = AIRLORE__V1__DELETE_ITEMS_REQUEST__INIT;
        Airlore__V1__DeleteItemsResponse *preview = NULL;
        all.filter = str("id != \"\"");
        expect(&s, "delete all", service_call(&s, blue, "DeleteItems", &all.base, &preview),
               writes ? AL_OK : AL_PERMISSION_DENIED, NULL);
        assert_true(!preview || preview->count == 0);
        all.space = str("teams/red");
        expect(&s, "delete all in", service_call(&s, blue, "DeleteItems", &all.base, &preview),
               AL_PERMISSION_DENIED, NULL);
        Airlore__V1__PromoteItemRequest promote = AIRLORE__V1__PROMOTE_ITEM_REQUEST__INIT;
        promote.id = str("secret");
        expect(&s, "promote", service_call(&s, blue, "PromoteItem", &promote.base, &reply),
               writes ? AL_NOT_FOUND : AL_PERMISSION_DENIED, NULL);
        Airlore__V1__CheckSourcesRequest check = AIRLORE__V1__CHECK_SOURCES_REQUEST__INIT;
        Airlore__V1__SourceChecksum sum = AIRLORE__V1__SOURCE_CHECKSUM__INIT;
        Airlore__V1__SourceChecksum *list_of[] = {&sum};
        sum.id = str("secret-prod");
        check.sources = list_of;
        check.n_sources = 1;
        check.deployment = str("teams/red/deployments/prod");
        expect(&s, "check", service_call(&s, blue, "CheckSources", &check.base, &reply),
               AL_PERMISSION_DENIED, NULL);
    }
    assert_int_equal(count_hits(&s, red, "", false), 2); /* nothing of it was touched */
    service_close(&s);
}

/* ---- writes that are named, over the wire ---- */

static void test_named_writes(void **state)
{
    (void)state;
    struct service s;
    service_open(&s, NULL);
    const char *key = service_key(&s, "red", "", AL_ROLE_CONTRIBUTOR, NULL);
    void *reply;
    Airlore__V1__DeleteItemsRequest all = AIRLORE__V1__DELETE_ITEMS_REQUEST__INIT;
    Airlore__V1__DeleteItemsResponse *r = NULL;
    for (int i = 0; i < 25; i++) {
        char id[8];
        snprintf(id, sizeof id, "i%d", i);
        service_put(&s, key, id, "The heron waits.");
    }
    all.filter = str("id = \"i*\"");
    AL_CHECK_OK(service_call(&s, key, "DeleteItems", &all.base, &r), s.err);
    assert_int_equal(r->count, 25);
    assert_int_equal(r->n_sample_ids, 20);
    assert_false(r->deleted);
    all.confirm_digest = r->digest;
    all.write_id = str("w1");
    for (int i = 0; i < 3; i++) { /* the first answer each time */
        AL_CHECK_OK(service_call(&s, key, "DeleteItems", &all.base, &r), s.err);
        assert_true(r->deleted);
        assert_int_equal(r->count, 25);
        assert_int_equal(r->n_sample_ids, 20);
        assert_true(r->token[0] != '\0');
        assert_string_equal(r->digest, "");
        service_put(&s, key, "i-later", "The heron came later.");
    }
    assert_string_equal(get_item(&s, key, "i-later", 1)->id, "i-later"); /* no second effect */
    Airlore__V1__DeleteItemRequest del = AIRLORE__V1__DELETE_ITEM_REQUEST__INIT;
    del.id = str("i-later");
    del.write_id = str("w1");
    expect(&s, "another method", service_call(&s, key, "DeleteItem", &del.base, &reply),
           AL_ALREADY_EXISTS, "ID_REUSED");
    del.write_id = str("w2");
    AL_CHECK_OK(service_call(&s, key, "DeleteItem", &del.base, &reply), s.err);
    AL_CHECK_OK(service_call(&s, key, "DeleteItem", &del.base, &reply), s.err);
    del.id = str("i1");
    expect(&s, "another item", service_call(&s, key, "DeleteItem", &del.base, &reply),
           AL_ALREADY_EXISTS, "ID_REUSED");
    service_close(&s);
}

/* A digest is of the filter and the space too: the same ids elsewhere are not what was shown. */
static void test_a_preview_is_of_its_space(void **state)
{
    (void)state;
    struct service s;
    service_open(&s, NULL);
    const char *key = service_key(&s, "red", "prod", AL_ROLE_CONTRIBUTOR, NULL);
    const char *team = service_key(&s, "red", "", AL_ROLE_CONTRIBUTOR, NULL);
    Airlore__V1__DeleteItemsRequest all = AIRLORE__V1__DELETE_ITEMS_REQUEST__INIT;
    Airlore__V1__DeleteItemsResponse *r = NULL;
    service_put(&s, key, "a", "The heron of the deployment.");
    service_put(&s, team, "a", "The heron of the team.");
    all.filter = str("id = a");
    AL_CHECK_OK(service_call(&s, key, "DeleteItems", &all.base, &r), s.err);
    assert_int_equal(r->count, 1);
    all.confirm_digest = r->digest;
    all.space = str("teams/red");
    expect(&s, "the team's", service_call(&s, key, "DeleteItems", &all.base, &r),
           AL_FAILED_PRECONDITION, "PREVIEW_STALE");
    all.space = str("teams/red/deployments/prod"); /* a key of the whole team reaches it */
    AL_CHECK_OK(service_call(&s, team, "DeleteItems", &all.base, &r), s.err);
    assert_int_equal(r->count, 1);
    assert_string_equal(get_item(&s, key, "a", 1)->space, "teams/red");
    service_close(&s);
}

/* ---- limits, tokens, shards that fail ---- */

static void test_quotas_say_when_to_come_again(void **state)
{
    (void)state;
    struct service s;
    service_open(&s, &(struct service_options){
                         .quota = {.requests_per_minute = 60, .ingest_bytes_per_day = 100}});
    const char *key = service_key(&s, "red", "", AL_ROLE_CONTRIBUTOR, NULL);
    Airlore__V1__IngestOptions options = AIRLORE__V1__INGEST_OPTIONS__INIT;
    Airlore__V1__IngestItem item = AIRLORE__V1__INGEST_ITEM__INIT;
    item.id = str("a");
    item.content_case = AIRLORE__V1__INGEST_ITEM__CONTENT_TEXT;
    item.text = text_of(&s, 101);
    assert_string_equal(service_ingest(&s, key, &options, &item)->error->reason, "QUOTA_EXCEEDED");
    Airlore__V1__ListItemsRequest r = AIRLORE__V1__LIST_ITEMS_REQUEST__INIT;
    void *reply;
    enum al_code code = AL_OK;
    for (int i = 0; i < 1000 && code == AL_OK; i++)
        code = service_call(&s, key, "ListItems", &r.base, &reply);
    expect(&s, "too many", code, AL_RESOURCE_EXHAUSTED, "RATE_LIMITED");
    assert_in_range(s.err.retry_after_ms, 1, 1001);
    service_close(&s);
}

static void test_a_token_covers_what_it_names(void **state)
{
    (void)state;
    struct service s;
    service_open(&s, NULL);
    const char *key = service_key(&s, "red", "", AL_ROLE_CONTRIBUTOR, NULL);
    Airlore__V1__IngestOptions options = AIRLORE__V1__INGEST_OPTIONS__INIT;
    Airlore__V1__IngestItem item = AIRLORE__V1__INGEST_ITEM__INIT;
    search_request r = AIRLORE__V1__SEARCH_REQUEST__INIT;
    Airlore__V1__SearchResponse *reply = NULL;
    item.id = str("a");
    item.content_case = AIRLORE__V1__INGEST_ITEM__CONTENT_TEXT;
    item.text = str("The heron waits.");
    r.text = str("heron");
    r.after_token = service_ingest(&s, key, &options, &item)->token;
    assert_true(r.after_token[0] != '\0');
    AL_CHECK_OK(service_call(&s, key, "Search", &r.base, &reply), s.err);
    assert_int_equal(reply->n_hits, 1);
    assert_true(reply->token[0] != '\0');
    r.after_token = reply->token; /* what a search saw is good for the next one */
    AL_CHECK_OK(service_call(&s, key, "Search", &r.base, &reply), s.err);
    service_close(&s);
}

static void test_missing_shards(void **state)
{
    (void)state;
    struct service s;
    service_open(&s, &(struct service_options){.n_shards = 4});
    const char *key = service_key(&s, "red", "", AL_ROLE_CONTRIBUTOR, NULL);
    search_request r = AIRLORE__V1__SEARCH_REQUEST__INIT;
    Airlore__V1__SearchResponse *reply = NULL;
    Airlore__V1__AskRequest ask = AIRLORE__V1__ASK_REQUEST__INIT;
    Airlore__V1__AskResponse *answer = NULL;
    for (int i = 0; i < 20; i++) {
        char id[16];
        snprintf(id, sizeof id, "doc-%d", i);
        service_put(&s, key, id, "The heron waits for the warehouse every night.");
    }
    s.fault[2].fails = FAULT_ALL;
    s.fault[2].code = AL_UNAVAILABLE;
    r.text = str("heron");
    ask.question = str("What does the heron wait for?");
    expect(&s, "search", service_call(&s, key, "Search", &r.base, &reply), AL_UNAVAILABLE,
           "SHARD_UNAVAILABLE");
    assert_non_null(strstr(s.err.msg, "shard 2"));
    expect(&s, "ask", service_call(&s, key, "Ask", &ask.base, &answer), AL_UNAVAILABLE,
           "SHARD_UNAVAILABLE");
    r.allow_partial = ask.allow_partial = true;
    AL_CHECK_OK(service_call(&s, key, "Search", &r.base, &reply), s.err);
    assert_int_equal(reply->n_missing_shards, 1);
    assert_int_equal(reply->missing_shards[0]->shard, 2);
    assert_string_equal(reply->missing_shards[0]->error->reason, "SHARD_UNAVAILABLE");
    assert_true(reply->n_hits > 0);
    AL_CHECK_OK(service_call(&s, key, "Ask", &ask.base, &answer), s.err);
    assert_int_equal(answer->n_missing_shards, 1);
    service_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_searches),
        cmocka_unit_test(test_bad_batches),
        cmocka_unit_test(test_bad_questions),
        cmocka_unit_test(test_bad_calls_on_items),
        cmocka_unit_test(test_fields_of_items),
        cmocka_unit_test(test_lists_of_whole_items),
        cmocka_unit_test(test_page_tokens_belong_to_their_request),
        cmocka_unit_test(test_teams_do_not_see_each_other),
        cmocka_unit_test(test_named_writes),
        cmocka_unit_test(test_a_preview_is_of_its_space),
        cmocka_unit_test(test_quotas_say_when_to_come_again),
        cmocka_unit_test(test_a_token_covers_what_it_names),
        cmocka_unit_test(test_missing_shards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
