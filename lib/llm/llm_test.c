#include <math.h>

#include "airlore/http_fake.h"
#include "airlore/llm_chat.h"
#include "airlore/llm_embed.h"
#include "airlore/testing.h"
#include "llm_int.h"

#define DAY_S 86400ull

/* The endpoint: a status and a body for every request, and what it was sent. */
struct endpoint {
    struct al_http *http;
    struct al_llm *llm;
    struct al_fake_clock clock;
    struct al_seeded_random random;
    struct al_arena a;
    struct al_err err;
    uint32_t status;
    const char *body; /* NULL: made from the texts asked for */
    size_t part_bytes;
    enum al_code fails;
    uint32_t dim;
    uint32_t n_requests;
    uint64_t waited_ms;
    char path[64];
    char authorization[64];
    char last[8192];
    char made[65536];
};

/* Texts become vectors: component 0 is the length of the text, the rest 1. In reverse order. */
static void make_vectors(struct endpoint *e)
{
    json_t *v = json_loads(e->last, 0, NULL);
    const json_t *input = json_object_get(v, "input");
    size_t n = json_array_size(input);
    size_t at = 0;
    at += (size_t)snprintf(e->made, sizeof(e->made), "{\"data\":[");
    for (size_t i = n; i-- > 0;) {
        at += (size_t)snprintf(e->made + at, sizeof(e->made) - at,
                               "%s{\"index\":%zu,\"embedding\":[", i + 1 == n ? "" : ",", i);
        for (uint32_t c = 0; c < e->dim; c++)
            at += (size_t)snprintf(e->made + at, sizeof(e->made) - at, "%s%zu", c ? "," : "",
                                   c ? (size_t)1 : json_string_length(json_array_get(input, i)));
        at += (size_t)snprintf(e->made + at, sizeof(e->made) - at, "]}");
    }
    (void)snprintf(e->made + at, sizeof(e->made) - at, "],\"usage\":{\"total_tokens\":10}}");
    json_decref(v);
}

static void serve(void *u, const struct al_http_request *req, struct al_http_fake_answer *ret)
{
    struct endpoint *e = u;
    e->n_requests++;
    (void)snprintf(e->path, sizeof(e->path), AL_STR_FMT, AL_STR_ARG(req->url));
    (void)snprintf(e->last, sizeof(e->last), AL_STR_FMT, AL_STR_ARG(req->body));
    e->authorization[0] = '\0';
    for (size_t i = 0; i < req->n_headers; i++)
        if (al_str_is(req->headers[i].name, "Authorization"))
            (void)snprintf(e->authorization, sizeof(e->authorization), AL_STR_FMT,
                           AL_STR_ARG(req->headers[i].value));
    if (!e->body)
        make_vectors(e);
    *ret = (struct al_http_fake_answer){.code = e->fails,
                                        .sent = true,
                                        .status = e->status,
                                        .body = al_str_c(e->body ? e->body : e->made),
                                        .part_bytes = e->part_bytes};
}

static bool wait(void *u, uint32_t ms)
{
    struct endpoint *e = u;
    e->waited_ms += ms;
    al_fake_clock_step_ms(&e->clock, ms);
    return true;
}

static struct al_llm_options options_of(struct endpoint *e)
{
    return (struct al_llm_options){.name = "test",
                                   .url = "http://fake/v1/",
                                   .key = "sesame",
                                   .model = "m-1",
                                   .http = e->http,
                                   .clock = &e->clock.clock,
                                   .random = &e->random.random,
                                   .wait = wait,
                                   .wait_u = e};
}

static void start(struct endpoint *e, void (*change)(struct al_llm_options *o))
{
    memset(e, 0, sizeof(*e));
    al_fake_clock_init(&e->clock, 1000u * DAY_S * 20000u);
    al_seeded_random_init(&e->random, 3);
    al_arena_init(&e->a, NULL, (size_t)32 << 20);
    e->status = 200;
    e->dim = 3;
    AL_CHECK_OK(al_http_fake_open(serve, e, &e->clock.clock, NULL, &e->http, &e->err), e->err);
    struct al_llm_options o = options_of(e);
    if (change)
        change(&o);
    AL_CHECK_OK(al_llm_create(&o, &e->llm, &e->err), e->err);
}

static void finish(struct endpoint *e)
{
    al_llm_destroy(e->llm);
    al_http_close(e->http);
    al_arena_fini(&e->a);
}

/* ---- embeddings ---- */

static enum al_code embed(struct endpoint *e, const struct al_str *texts, size_t n, float *vecs,
                          bool *has)
{
    struct al_llm_embed_options opt = {
        .dim = 3, .batch_texts = 2, .deadline_ns = al_clock_deadline(&e->clock.clock, 100000)};
    return al_llm_embed(e->llm, &opt, &(struct al_llm_texts){texts, n}, vecs, has, &e->err);
}

static void test_embed(void **state)
{
    (void)state;
    struct endpoint e;
    struct al_str texts[] = {AL_STR("four"), AL_STR("  "), AL_STR("se\"ven!"), AL_STR(""),
                             AL_STR("\xEA\xB0\x80")};
    float vecs[15];
    bool has[5];
    start(&e, NULL);
    AL_CHECK_OK(embed(&e, texts, 5, vecs, has), e.err);
    assert_int_equal(e.n_requests, 2);
    assert_string_equal(e.path, "http://fake/v1/embeddings");
    assert_string_equal(e.authorization, "Bearer sesame");
    assert_non_null(strstr(e.last, "\"model\":\"m-1\""));
    const size_t lengths[] = {4, 0, 7, 0, 3};
    for (size_t i = 0; i < 5; i++) {
        double norm = sqrt((double)(lengths[i] * lengths[i]) + 2);
        assert_int_equal(has[i], lengths[i] > 0);
        assert_true(fabs((double)vecs[3 * i] - (has[i] ? (double)lengths[i] / norm : 0)) < 1e-6);
    }
    struct al_llm_usage usage;
    al_llm_get_usage(e.llm, &usage);
    assert_int_equal(usage.requests, 2);
    assert_int_equal(usage.tokens_in, 20);
    finish(&e);
}

/* Long texts are cut at a character; every request stays below its bytes. */
static void test_embed_cuts(void **state)
{
    (void)state;
    struct endpoint e;
    char longtext[4000];
    for (size_t i = 0; i + 3 <= sizeof(longtext); i += 3)
        memcpy(longtext + i, "\xEA\xB0\x80", 3);
    struct al_str texts[] = {{longtext, 3999}, {longtext, 900}, {longtext, 900}};
    float vecs[9];
    bool has[3];
    start(&e, NULL);
    struct al_llm_embed_options opt = {.dim = 3,
                                       .batch_bytes = 1024,
                                       .text_bytes_max = 1000,
                                       .deadline_ns = al_clock_deadline(&e.clock.clock, 100000)};
    AL_CHECK_OK(al_llm_embed(e.llm, &opt, &(struct al_llm_texts){texts, 3}, vecs, has, &e.err),
                e.err);
    assert_int_equal(e.n_requests, 3);
    double norm = sqrt(999.0 * 999.0 + 2);
    assert_true(has[0] && fabs((double)vecs[0] - 999.0 / norm) < 1e-6);
    finish(&e);
}

/* Numbers that are nothing as floats, or next to nothing, are no vector that points nowhere. */
static void test_embed_of_tiny_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        bool has;
    } cases[] = {
        {"{\"data\":[{\"embedding\":[1e-60,1e-60,0]}]}", false},
        {"{\"data\":[{\"embedding\":[0,0.0,-0]}]}", false},
        {"{\"data\":[{\"embedding\":[2e-45,1e-44,0]}]}", true},
        {"{\"data\":[{\"embedding\":[1e-30,1e-60,-1e-30]}]}", true},
        {"{\"data\":[{\"embedding\":[3e38,-3e38,3e38]}]}", true},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct endpoint e;
        struct al_str text = AL_STR("some text");
        float vecs[3];
        bool has[1];
        double squares = 0;
        start(&e, NULL);
        e.body = cases[i].body;
        AL_CHECK_OK(embed(&e, &text, 1, vecs, has), e.err);
        for (size_t k = 0; k < 3; k++)
            squares += (double)vecs[k] * (double)vecs[k];
        AL_CHECK(cases[i].body, has[0] == cases[i].has);
        AL_CHECK(cases[i].body, has[0] ? fabs(squares - 1) < 1e-6 : squares <= 0);
        finish(&e);
    }
}

static void test_embed_bad_answers(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        enum al_code code;
        const char *reason;
    } cases[] = {
        {"", AL_DATA_LOSS, "BAD_ANSWER"},
        {"<html>", AL_DATA_LOSS, "BAD_ANSWER"},
        {"[]", AL_DATA_LOSS, "BAD_ANSWER"},
        {"{\"data\":{}}", AL_DATA_LOSS, "BAD_ANSWER"},
        {"{\"data\":[]}", AL_DATA_LOSS, "BAD_ANSWER"},
        {"{\"data\":[{\"embedding\":\"x\"}]}", AL_DATA_LOSS, "BAD_ANSWER"},
        {"{\"data\":[{\"embedding\":[1,2]}]}", AL_FAILED_PRECONDITION, "EMBEDDER_MISMATCH"},
        {"{\"data\":[{\"embedding\":[1,2,3,4]}]}", AL_FAILED_PRECONDITION, "EMBEDDER_MISMATCH"},
        {"{\"data\":[{\"embedding\":[1,\"2\",3]}]}", AL_DATA_LOSS, "BAD_ANSWER"},
        {"{\"data\":[{\"embedding\":[1,2,1e300]}]}", AL_DATA_LOSS, "BAD_ANSWER"},
        {"{\"data\":[{\"index\":1,\"embedding\":[1,2,3]}]}", AL_DATA_LOSS, "BAD_ANSWER"},
        {"{\"data\":[{\"index\":-1,\"embedding\":[1,2,3]}]}", AL_DATA_LOSS, "BAD_ANSWER"},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct endpoint e;
        struct al_str text = AL_STR("some text");
        float vecs[3];
        bool has[1];
        start(&e, NULL);
        e.body = cases[i].body;
        AL_CHECK(cases[i].body, embed(&e, &text, 1, vecs, has) == cases[i].code);
        AL_CHECK(cases[i].body, strcmp(e.err.reason, cases[i].reason) == 0);
        finish(&e);
    }
}

static void test_bad_texts_and_options(void **state)
{
    (void)state;
    struct endpoint e;
    struct al_str text = AL_STR("bad \xFF\xFE");
    float vecs[3];
    bool has[1];
    start(&e, NULL);
    assert_int_equal(embed(&e, &text, 1, vecs, has), AL_INVALID_ARGUMENT);
    assert_string_equal(e.err.reason, "BAD_UTF8");
    struct al_llm_embed_options wide = {.dim = AL_LLM_DIM_MAX + 1};
    assert_int_equal(
        al_llm_embed(e.llm, &wide, &(struct al_llm_texts){&text, 0}, vecs, has, &e.err),
        AL_INVALID_ARGUMENT);
    static const struct {
        const char *name;
        const char *model;
        uint32_t timeout_ms;
        uint32_t calls_max;
        double price;
    } cases[] = {{"no model", "", 0, 0, 0},
                 {"short time-out", "m", 10, 0, 0},
                 {"many calls", "m", 0, 65, 0},
                 {"negative price", "m", 0, 0, -1}};
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct al_llm_options o = options_of(&e);
        struct al_llm *l = NULL;
        o.model = cases[i].model;
        o.timeout_ms = cases[i].timeout_ms;
        o.calls_max = cases[i].calls_max;
        o.price_in = cases[i].price;
        AL_CHECK(cases[i].name, al_llm_create(&o, &l, &e.err) == AL_INVALID_ARGUMENT && !l);
    }
    finish(&e);
}

/* ---- statuses, rate, budget ---- */

static void test_statuses(void **state)
{
    (void)state;
    static const struct {
        uint32_t status;
        enum al_code fails;
        enum al_code code;
        const char *reason;
        uint32_t sent;
    } cases[] = {
        {401, AL_OK, AL_FAILED_PRECONDITION, "UPSTREAM_REFUSED", 1},
        {404, AL_OK, AL_FAILED_PRECONDITION, "UPSTREAM_REFUSED", 1},
        {429, AL_OK, AL_UNAVAILABLE, "UPSTREAM_UNAVAILABLE", 4},
        {500, AL_OK, AL_UNAVAILABLE, "UPSTREAM_UNAVAILABLE", 4},
        {0, AL_UNAVAILABLE, AL_UNKNOWN, "OUTCOME_UNKNOWN", 4},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct endpoint e;
        struct al_str text = AL_STR("some text");
        float vecs[3];
        bool has[1];
        start(&e, NULL);
        e.status = cases[i].status;
        e.fails = cases[i].fails;
        e.body = "{\"error\":{\"message\":\"the words\\nof it\"}}";
        AL_CHECK(cases[i].reason, embed(&e, &text, 1, vecs, has) == cases[i].code);
        AL_CHECK(cases[i].reason, strcmp(e.err.reason, cases[i].reason) == 0);
        AL_CHECK(cases[i].reason, e.n_requests == cases[i].sent);
        AL_CHECK(cases[i].reason, cases[i].fails || strstr(e.err.msg, "the words of it"));
        AL_CHECK(cases[i].reason, !strstr(e.err.msg, "sesame"));
        finish(&e);
    }
}

static void ten_a_minute(struct al_llm_options *o)
{
    o->requests_per_minute = 10;
}

static void test_rate(void **state)
{
    (void)state;
    struct endpoint e;
    struct al_str text = AL_STR("some text");
    float vecs[3];
    bool has[1];
    start(&e, ten_a_minute);
    for (size_t i = 0; i < 10; i++)
        AL_CHECK_OK(embed(&e, &text, 1, vecs, has), e.err);
    assert_int_equal(e.waited_ms, 0);
    AL_CHECK_OK(embed(&e, &text, 1, vecs, has), e.err);
    assert_true(e.waited_ms >= 5900 && e.waited_ms <= 7000); /* a tenth of a minute */
    struct al_llm_embed_options soon = {.dim = 3,
                                        .deadline_ns = al_clock_deadline(&e.clock.clock, 100)};
    assert_int_equal(
        al_llm_embed(e.llm, &soon, &(struct al_llm_texts){&text, 1}, vecs, has, &e.err),
        AL_RESOURCE_EXHAUSTED);
    assert_string_equal(e.err.reason, "RATE_LIMITED");
    assert_int_equal(e.n_requests, 11);
    finish(&e);
}

static void budget_of_25(struct al_llm_options *o)
{
    o->tokens_per_day = 25;
    o->price_in = 2;
}

static void test_budget(void **state)
{
    (void)state;
    struct endpoint e;
    struct al_str text = AL_STR("some text");
    struct al_llm_usage usage;
    float vecs[3];
    bool has[1];
    start(&e, budget_of_25);
    AL_CHECK_OK(embed(&e, &text, 1, vecs, has), e.err);
    AL_CHECK_OK(embed(&e, &text, 1, vecs, has), e.err);
    AL_CHECK_OK(embed(&e, &text, 1, vecs, has), e.err); /* 20 of 25 used, about 3 needed */
    assert_int_equal(embed(&e, &text, 1, vecs, has), AL_RESOURCE_EXHAUSTED);
    assert_string_equal(e.err.reason, "BUDGET_EXCEEDED");
    al_llm_get_usage(e.llm, &usage);
    assert_int_equal(usage.tokens_today, 30);
    assert_true(fabs(usage.cost - 60e-6) < 1e-12);
    al_fake_clock_step_ms(&e.clock, DAY_S * 1000u);
    AL_CHECK_OK(embed(&e, &text, 1, vecs, has), e.err);
    al_llm_get_usage(e.llm, &usage);
    assert_int_equal(usage.tokens_today, 10);
    finish(&e);
}

/* ---- chat ---- */

struct heard {
    char text[256];
    size_t n;
    size_t stop_at;
};

static bool hear(void *u, struct al_str part)
{
    struct heard *h = u;
    memcpy(h->text + h->n, part.p, part.n);
    h->n += part.n;
    return h->stop_at == 0 || h->n < h->stop_at;
}

static const struct al_llm_message question[] = {{AL_LLM_SYSTEM, AL_STR_INIT("be brief")},
                                                 {AL_LLM_USER, AL_STR_INIT("why?")}};

static enum al_code ask(struct endpoint *e, struct heard *h, struct al_llm_answer *ret)
{
    struct al_llm_chat chat = {.messages = question,
                               .n_messages = 2,
                               .tokens_max = 50,
                               .deadline_ns = al_clock_deadline(&e->clock.clock, 100000),
                               .on_text = h ? hear : NULL,
                               .u = h};
    return al_llm_chat(e->llm, &chat, &e->a, ret, &e->err);
}

static void test_chat(void **state)
{
    (void)state;
    struct endpoint e;
    struct al_llm_answer answer = {0};
    start(&e, NULL);
    e.body = "{\"choices\":[{\"message\":{\"content\":\"Because.\"},\"finish_reason\":\"length\"}],"
             "\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2}}";
    AL_CHECK_OK(ask(&e, NULL, &answer), e.err);
    assert_string_equal(e.path, "http://fake/v1/chat/completions");
    assert_non_null(strstr(e.last, "{\"role\":\"system\",\"content\":\"be brief\"}"));
    assert_non_null(strstr(e.last, "\"stream\":false"));
    assert_true(al_str_is(answer.text, "Because."));
    assert_true(answer.cut && answer.tokens_in == 7 && answer.tokens_out == 2);
    finish(&e);
}

static const char streamed[] =
    ": comment\r\n\r\ndata: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\n"
    "data: {\"choices\":[{\"delta\":{\"content\":\"Be\"}}]}\n\n"
    "event: x\ndata:{\"choices\":[{\"delta\":{\"content\":\"cause \\u2192\"}}]}\n\n"
    "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":3}}\n\n"
    "data: [DONE]";

static void test_stream(void **state)
{
    (void)state;
    for (size_t part = 1; part < sizeof(streamed) + 1; part++) {
        struct endpoint e;
        struct heard h = {.n = 0};
        struct al_llm_answer answer = {0};
        start(&e, NULL);
        e.body = streamed;
        e.part_bytes = part;
        AL_CHECK_OK(ask(&e, &h, &answer), e.err);
        assert_non_null(strstr(e.last, "\"include_usage\":true"));
        assert_true(al_str_is(answer.text, "Because \xE2\x86\x92"));
        assert_true(h.n == answer.text.n && memcmp(h.text, answer.text.p, h.n) == 0);
        assert_true(!answer.cut && answer.tokens_in == 9 && answer.tokens_out == 3);
        finish(&e);
    }
}

static void test_stream_ends(void **state)
{
    (void)state;
    struct endpoint e;
    struct heard h = {.n = 0, .stop_at = 2};
    struct al_llm_answer answer = {0};
    struct al_llm_usage usage;
    start(&e, NULL);
    e.body = streamed;
    assert_int_equal(ask(&e, &h, &answer), AL_CANCELLED);
    al_llm_get_usage(e.llm, &usage);
    assert_true(usage.tokens_out > 0); /* paid for */
    h = (struct heard){.n = 0};
    e.body = "data: {\"choices\":[{\"delta\":{\"content\":\"Be\"}}]}\n\n"; /* and no more */
    assert_int_equal(ask(&e, &h, &answer), AL_DATA_LOSS);
    h = (struct heard){.n = 0};
    e.body = "data: {\"choices\":[{\"delta\":\n\n";
    assert_int_equal(ask(&e, &h, &answer), AL_DATA_LOSS);
    e.body = "{\"choices\":[]}";
    assert_int_equal(ask(&e, NULL, &answer), AL_DATA_LOSS);
    assert_string_equal(e.err.reason, "BAD_ANSWER");
    assert_null(answer.text.p);
    finish(&e);
}

static void test_memory_faults(void **state)
{
    (void)state;
    struct endpoint e;
    start(&e, NULL);
    for (size_t n = 0;; n++) {
        struct al_fault_mem fm;
        struct al_llm *l = NULL;
        struct al_llm_options o = options_of(&e);
        al_fault_mem_init(&fm, n, false);
        o.mem = &fm.mem;
        enum al_code code = al_llm_create(&o, &l, NULL);
        assert_true(fm.fired ? code == AL_RESOURCE_EXHAUSTED && !l : code == AL_OK && l);
        al_llm_destroy(l);
        assert_int_equal(fm.live, 0);
        if (!fm.fired)
            break;
    }
    finish(&e);
}

/* Whatever the arena gives: an answer or the right error. */
static void test_arena_limits(void **state)
{
    (void)state;
    for (size_t limit = 16;; limit += 64) {
        struct endpoint e;
        struct heard h = {.n = 0};
        struct al_llm_answer answer = {0};
        start(&e, NULL);
        e.body = streamed;
        e.part_bytes = 7;
        al_arena_fini(&e.a);
        al_arena_init(&e.a, NULL, limit);
        enum al_code code = ask(&e, &h, &answer);
        bool done = code == AL_OK;
        assert_true(done ? answer.text.n > 0 : code == AL_RESOURCE_EXHAUSTED && !answer.text.p);
        finish(&e);
        if (done)
            return;
        assert_true(limit < 1u << 20);
    }
}

/* An answer that says it used 2^64 tokens spends the budget; it does not wrap it. */
static void test_budget_is_not_given_back(void **state)
{
    (void)state;
    struct endpoint e;
    struct heard h = {.n = 0};
    struct al_str text = AL_STR("some text");
    struct al_llm_answer answer = {0};
    struct al_llm_usage usage;
    float vecs[3];
    bool has[1];
    start(&e, NULL);
    AL_CHECK_OK(embed(&e, &text, 1, vecs, has), e.err); /* 10 tokens */
    e.body = "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n"
             "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9223372036854775807,"
             "\"completion_tokens\":9223372036854775807}}\n"
             "data: [DONE]\n";
    AL_CHECK_OK(ask(&e, &h, &answer), e.err);
    al_llm_get_usage(e.llm, &usage);
    assert_true(usage.tokens_today > 1u << 30);
    assert_true(usage.tokens_today == usage.tokens_in + usage.tokens_out);
    finish(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_embed),
        cmocka_unit_test(test_embed_cuts),
        cmocka_unit_test(test_embed_of_tiny_numbers),
        cmocka_unit_test(test_embed_bad_answers),
        cmocka_unit_test(test_bad_texts_and_options),
        cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_rate),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_budget_is_not_given_back),
        cmocka_unit_test(test_chat),
        cmocka_unit_test(test_stream),
        cmocka_unit_test(test_stream_ends),
        cmocka_unit_test(test_memory_faults),
        cmocka_unit_test(test_arena_limits),
    };
    return cmocka_run_group_tests_name("llm", tests, NULL, NULL);
}
