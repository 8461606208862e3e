/* The knowledge service: every field out of its range gets its code and its stable reason. */
#include "airlore/testing.h"

#include <float.h>
#include <math.h>

#include "service_fixture.h"

static char *str(const char *s)
{
    return (char *)(uintptr_t)s;
}

/* ---- bad input ---- */

typedef Airlore__V1__SearchRequest search_request;

static void bad_text(struct service *s, search_request *r)
{
    r->text = service_text(s, (64u << 10) + 1);
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
    r->filter = service_text(s, 8193);
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
        service_expect(&s, bad_searches[i].name, code, bad_searches[i].code,
                       bad_searches[i].reason);
        /* the same as one of a batch fails alone */
        Airlore__V1__BatchSearchQuery q = AIRLORE__V1__BATCH_SEARCH_QUERY__INIT;
        Airlore__V1__BatchSearchQuery *queries[] = {&q};
        Airlore__V1__BatchSearchRequest b = AIRLORE__V1__BATCH_SEARCH_REQUEST__INIT;
        Airlore__V1__BatchSearchResponse *answers = NULL;
        q.request = &r;
        b.queries = queries;
        b.n_queries = 1;
        code = service_call(&s, key, "BatchSearch", &b.base, &answers);
        service_expect(&s, bad_searches[i].name, code, AL_OK, NULL);
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
        q.id = service_text(&s, cases[i].id_bytes);
        q.request = cases[i].has_request ? &one : NULL;
        enum al_code code = service_call(&s, key, "BatchSearch", &b.base, &reply);
        service_expect(&s, cases[i].name, code, cases[i].code, cases[i].reason);
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
                     : cases[i].bytes > 1 ? service_text(&s, cases[i].bytes)
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
        service_expect(&s, cases[i].name, code, cases[i].code, cases[i].reason);
    }
    service_close(&s);
}

/* The requests of the calls on items, and who sends them. */
struct calls {
    struct service s;
    const char *key;
    const char *reader;
    void *reply;
};

static void calls_open(struct calls *c)
{
    service_open(&c->s, NULL);
    c->key = service_key(&c->s, "red", "", AL_ROLE_CONTRIBUTOR, NULL);
    c->reader = service_key(&c->s, "red", "", AL_ROLE_READER, NULL);
    service_put(&c->s, c->key, "a", "The heron waits.");
}

#define BAD(name_, key_, Method_, msg_, set_, code_, reason_)                                \
    do {                                                                                     \
        __typeof__(msg_) saved_ = msg_;                                                      \
        set_;                                                                                \
        service_expect(&c.s, name_, service_call(&c.s, key_, Method_, &msg_.base, &c.reply), \
                       code_, reason_);                                                      \
        msg_ = saved_;                                                                       \
    } while (0)
static void test_bad_reads(void **state)
{
    (void)state;
    struct calls c;
    Airlore__V1__GetItemRequest get = AIRLORE__V1__GET_ITEM_REQUEST__INIT;
    Airlore__V1__ListItemsRequest list = AIRLORE__V1__LIST_ITEMS_REQUEST__INIT;
    calls_open(&c);
    get.id = str("a");
    BAD("get nothing", c.key, "GetItem", get, get.id = str(""), AL_INVALID_ARGUMENT, "BAD_FORMAT");
    BAD("get an id of 513", c.key, "GetItem", get, get.id = service_text(&c.s, 513),
        AL_INVALID_ARGUMENT, "BAD_FORMAT");
    BAD("get view 4", c.key, "GetItem", get, get.view = 4, AL_INVALID_ARGUMENT, "BAD_ENUM");
    BAD("get level 4", c.key, "GetItem", get, get.read_level = 4, AL_INVALID_ARGUMENT, "BAD_ENUM");
    BAD("get token", c.key, "GetItem", get, get.after_token = str("?"), AL_INVALID_ARGUMENT,
        "BAD_TOKEN");
    BAD("get absent", c.key, "GetItem", get, get.id = str("x"), AL_NOT_FOUND, "ITEM_NOT_FOUND");
    BAD("list view 4", c.key, "ListItems", list, list.view = 4, AL_INVALID_ARGUMENT, "BAD_ENUM");
    BAD("list -1", c.key, "ListItems", list, list.page_size = -1, AL_INVALID_ARGUMENT,
        "OUT_OF_RANGE");
    BAD("list filter", c.key, "ListItems", list, list.filter = str("x ="), AL_INVALID_ARGUMENT,
        "BAD_FILTER");
    BAD("list page", c.key, "ListItems", list, list.page_token = str("00"), AL_INVALID_ARGUMENT,
        "BAD_PAGE_TOKEN");
    BAD("list space", c.key, "ListItems", list, list.space = str("teams/none"),
        AL_PERMISSION_DENIED, "SPACE_FORBIDDEN");
    BAD("list no space", c.key, "ListItems", list, list.space = str("x"), AL_INVALID_ARGUMENT,
        "BAD_FORMAT");
    BAD("no such key", "al_x_y", "GetItem", get, , AL_UNAUTHENTICATED, "KEY_INVALID");
    service_close(&c.s);
}

static void test_bad_deletions(void **state)
{
    (void)state;
    struct calls c;
    Airlore__V1__DeleteItemRequest del = AIRLORE__V1__DELETE_ITEM_REQUEST__INIT;
    Airlore__V1__DeleteItemsRequest del_all = AIRLORE__V1__DELETE_ITEMS_REQUEST__INIT;
    calls_open(&c);
    del.id = str("a");
    BAD("delete nothing", c.key, "DeleteItem", del, del.id = str(""), AL_INVALID_ARGUMENT,
        "BAD_FORMAT");
    BAD("delete absent", c.key, "DeleteItem", del, del.id = str("x"), AL_NOT_FOUND,
        "ITEM_NOT_FOUND");
    BAD("delete by a reader", c.reader, "DeleteItem", del, , AL_PERMISSION_DENIED, "ROLE_MISSING");
    BAD("delete long name", c.key, "DeleteItem", del, del.write_id = service_text(&c.s, 129),
        AL_INVALID_ARGUMENT, "TOO_LARGE");
    BAD("delete all", c.key, "DeleteItems", del_all, , AL_INVALID_ARGUMENT, "REQUIRED");
    del_all.filter = str("id != \"\"");
    BAD("delete all by a reader", c.reader, "DeleteItems", del_all, , AL_PERMISSION_DENIED,
        "ROLE_MISSING");
    BAD("delete all of the community", c.key, "DeleteItems", del_all,
        del_all.space = str("community"), AL_PERMISSION_DENIED, "ROLE_MISSING");
    BAD("delete all stale", c.key, "DeleteItems", del_all, del_all.confirm_digest = str("00"),
        AL_FAILED_PRECONDITION, "PREVIEW_STALE");
    BAD("delete all long name", c.key, "DeleteItems", del_all,
        del_all.write_id = service_text(&c.s, 65), AL_INVALID_ARGUMENT, "TOO_LARGE");
    service_close(&c.s);
}

static void test_bad_promotions(void **state)
{
    (void)state;
    struct calls c;
    Airlore__V1__PromoteItemRequest promote = AIRLORE__V1__PROMOTE_ITEM_REQUEST__INIT;
    Airlore__V1__WithdrawItemRequest withdraw = AIRLORE__V1__WITHDRAW_ITEM_REQUEST__INIT;
    calls_open(&c);
    promote.id = withdraw.id = str("a");
    BAD("promote to a deployment", c.key, "PromoteItem", promote, promote.target = 1,
        AL_INVALID_ARGUMENT, "BAD_ENUM");
    BAD("promote to 4", c.key, "PromoteItem", promote, promote.target = 4, AL_INVALID_ARGUMENT,
        "BAD_ENUM");
    BAD("promote by a reader", c.reader, "PromoteItem", promote, , AL_PERMISSION_DENIED,
        "ROLE_MISSING");
    BAD("promote absent", c.key, "PromoteItem", promote, promote.id = str("x"), AL_NOT_FOUND,
        "ITEM_NOT_FOUND");
    BAD("promote the team's to it", c.key, "PromoteItem", promote, promote.target = 2,
        AL_FAILED_PRECONDITION, "ITEM_STATE");
    BAD("promote stale", c.key, "PromoteItem", promote, promote.confirm_digest = str("00"),
        AL_FAILED_PRECONDITION, "PREVIEW_STALE");
    BAD("withdraw what is not shared", c.key, "WithdrawItem", withdraw, , AL_FAILED_PRECONDITION,
        "ITEM_STATE");
    BAD("withdraw nothing", c.key, "WithdrawItem", withdraw, withdraw.id = str(""),
        AL_INVALID_ARGUMENT, "BAD_FORMAT");
    BAD("withdraw by a reader", c.reader, "WithdrawItem", withdraw, , AL_PERMISSION_DENIED,
        "ROLE_MISSING");
    service_close(&c.s);
}

static void test_bad_sources(void **state)
{
    (void)state;
    struct calls c;
    Airlore__V1__CheckSourcesRequest check = AIRLORE__V1__CHECK_SOURCES_REQUEST__INIT;
    Airlore__V1__ListChecksumsRequest sums = AIRLORE__V1__LIST_CHECKSUMS_REQUEST__INIT;
    calls_open(&c);
    BAD("check none", c.key, "CheckSources", check, , AL_INVALID_ARGUMENT, "TOO_MANY");
    BAD("sums of no source", c.key, "ListChecksums", sums, , AL_INVALID_ARGUMENT, "REQUIRED");
    sums.source = str("x");
    BAD("sums visibility 4", c.key, "ListChecksums", sums, sums.visibility = 4, AL_INVALID_ARGUMENT,
        "BAD_ENUM");
    BAD("sums deployment", c.key, "ListChecksums", sums, sums.visibility = 1, AL_INVALID_ARGUMENT,
        "REQUIRED");
    BAD("sums of blue", c.key, "ListChecksums", sums,
        sums.deployment = str("teams/blue/deployments/x"), AL_PERMISSION_DENIED, "SPACE_FORBIDDEN");
    BAD("sums of the community", c.key, "ListChecksums", sums, sums.visibility = 3,
        AL_PERMISSION_DENIED, "ROLE_MISSING");
    BAD("sums by a reader", c.reader, "ListChecksums", sums, , AL_PERMISSION_DENIED,
        "ROLE_MISSING");
    service_close(&c.s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_searches),  cmocka_unit_test(test_bad_batches),
        cmocka_unit_test(test_bad_questions), cmocka_unit_test(test_bad_reads),
        cmocka_unit_test(test_bad_deletions), cmocka_unit_test(test_bad_promotions),
        cmocka_unit_test(test_bad_sources),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
