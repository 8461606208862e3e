#include "embedding_llm.h"

#include <math.h>

#include "airlore/http_fake.h"
#include "airlore/testing.h"

#define DIM 8u

/* An endpoint that answers with vectors made of the texts' bytes. */
static void serve(void *u, const struct al_http_request *req, struct al_http_fake_answer *ret)
{
    static char out[65536];
    uint32_t *status = u;
    struct al_str s = req->body;
    size_t at = (size_t)snprintf(out, sizeof(out), "{\"data\":[");
    size_t from = al_str_find(s, AL_STR("\"input\":["), 0) + 9;
    bool first = true;
    for (size_t i = from; i < s.n && s.p[i] != ']'; i++) {
        size_t end = i + 1;
        while (end < s.n && s.p[end] != '"')
            end += s.p[end] == '\\' ? 2 : 1;
        uint32_t h = 1;
        for (size_t k = i; k < end; k++)
            h = h * 31 + (unsigned char)s.p[k];
        at += (size_t)snprintf(out + at, sizeof(out) - at, "%s{\"embedding\":[", first ? "" : ",");
        for (uint32_t c = 0; c < DIM; c++)
            at += (size_t)snprintf(out + at, sizeof(out) - at, "%s%u", c ? "," : "",
                                   (h >> (2 * c)) % 17 + 1);
        at += (size_t)snprintf(out + at, sizeof(out) - at, "]}");
        first = false;
        i = end + 1 < s.n && s.p[end + 1] == ',' ? end + 1 : end;
    }
    (void)snprintf(out + at, sizeof(out) - at, "]}");
    *ret = (struct al_http_fake_answer){.status = *status, .body = al_str_c(out)};
}

struct fixture {
    struct al_http *http;
    struct al_llm *llm;
    struct al_embedding *e;
    uint32_t status;
};

static bool no_wait(void *u, uint32_t ms)
{
    (void)u;
    (void)ms;
    return true;
}

static void start(struct fixture *f)
{
    struct al_err err = {0};
    f->status = 200;
    AL_CHECK_OK(al_http_fake_open(serve, &f->status, NULL, NULL, &f->http, &err), err);
    struct al_llm_options o = {
        .name = "embed", .url = "http://fake/v1", .model = "m", .http = f->http, .wait = no_wait};
    AL_CHECK_OK(al_llm_create(&o, &f->llm, &err), err);
    struct al_llm_embed_options opt = {.dim = DIM, .batch_texts = 3};
    AL_CHECK_OK(al_embedding_llm(f->llm, &opt, NULL, &f->e, &err), err);
}

static void finish(struct fixture *f)
{
    al_embedding_destroy(f->e);
    al_llm_destroy(f->llm);
    al_http_close(f->http);
}

static enum al_code embed(struct al_embedding *e, const struct al_str *texts, size_t n, float *vecs,
                          bool *has, struct al_err *err)
{
    struct al_embedding_batch b = {texts, n, vecs, has, AL_DEADLINE_NONE};
    return al_embedding_embed(e, &b, err);
}

/* What every embedding does: unit vectors that depend on the text alone, none for an empty text. */
static void conform(struct al_embedding *e)
{
    struct al_str texts[] = {AL_STR("one text"), AL_STR(""),         AL_STR("another, longer text"),
                             AL_STR(" \n\t "),   AL_STR("one text"), AL_STR("bad \xFF bytes"),
                             AL_STR("two"),      AL_STR("three"),    AL_STR("four")};
    enum { N = AL_ARRAY_LEN(texts) };
    struct al_err err = {0};
    float *vecs = al_mem_array(NULL, (size_t)N * e->dim, sizeof(*vecs));
    float *alone = al_mem_array(NULL, e->dim, sizeof(*alone));
    bool has[N];
    bool has_alone = false;
    assert_true(vecs && alone && strlen(e->id) >= 1 && strlen(e->id) < 128);
    AL_CHECK_OK(embed(e, texts, N, vecs, has, &err), err);
    for (size_t i = 0; i < N; i++) {
        const float *v = vecs + i * e->dim;
        double squares = 0;
        for (uint32_t c = 0; c < e->dim; c++)
            squares += (double)v[c] * (double)v[c];
        assert_int_equal(has[i], i != 1 && i != 3);
        assert_true(has[i] ? fabs(squares - 1) < 1e-5 : squares <= 0);
        AL_CHECK_OK(embed(e, &texts[i], 1, alone, &has_alone, &err), err);
        assert_int_equal(has_alone, has[i]);
        assert_memory_equal(alone, v, e->dim * sizeof(*v));
    }
    assert_memory_equal(vecs, vecs + 4 * (size_t)e->dim, e->dim * sizeof(*vecs));
    assert_memory_not_equal(vecs, vecs + 2 * (size_t)e->dim, e->dim * sizeof(*vecs));
    AL_CHECK_OK(embed(e, NULL, 0, NULL, NULL, &err), err);
    al_mem_free(NULL, vecs);
    al_mem_free(NULL, alone);
}

static void test_endpoint_conforms(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    assert_string_equal(f.e->id, "m@8");
    assert_false(f.e->is_local);
    conform(f.e);
    finish(&f);
}

static void test_table_conforms(void **state)
{
    (void)state;
    struct al_err err = {0};
    struct al_embedder *table = NULL;
    struct al_embedding *e = NULL;
    AL_CHECK_OK(al_embedder_open(al_embedder_builtin(), NULL, &table, &err), err);
    AL_CHECK_OK(al_embedding_static(table, NULL, &e, &err), err);
    assert_string_equal(e->id, al_embedder_id(table));
    assert_true(e->is_local);
    conform(e);
    al_embedding_destroy(e);
    al_embedder_destroy(table);
}

static void test_errors(void **state)
{
    (void)state;
    struct fixture f;
    struct al_err err = {0};
    struct al_str text = AL_STR("x");
    float vec[DIM];
    bool has = false;
    start(&f);
    f.status = 401;
    assert_int_equal(embed(f.e, &text, 1, vec, &has, &err), AL_FAILED_PRECONDITION);
    assert_non_null(strstr(err.msg, "embedding 'm@8'"));
    f.status = 503;
    assert_int_equal(embed(f.e, &text, 1, vec, &has, &err), AL_UNAVAILABLE);
    struct al_embedding *e = NULL;
    struct al_llm_embed_options wide = {.dim = AL_LLM_DIM_MAX + 1};
    assert_int_equal(al_embedding_llm(f.llm, &wide, NULL, &e, &err), AL_INVALID_ARGUMENT);
    assert_null(e);
    for (size_t n = 0;; n++) {
        struct al_fault_mem fm;
        struct al_llm_embed_options opt = {.dim = DIM};
        al_fault_mem_init(&fm, n, false);
        enum al_code code = al_embedding_llm(f.llm, &opt, &fm.mem, &e, NULL);
        assert_true(fm.fired ? code == AL_RESOURCE_EXHAUSTED && !e : code == AL_OK && e);
        al_embedding_destroy(e);
        e = NULL;
        assert_int_equal(fm.live, 0);
        if (!fm.fired)
            break;
    }
    finish(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_endpoint_conforms),
        cmocka_unit_test(test_table_conforms),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests_name("coordinator.embedding", tests, NULL, NULL);
}
