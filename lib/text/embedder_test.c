#include "airlore/embedder.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <sodium.h>

#include "airlore/testing.h"

#define IDS_MAX 20000u

static struct al_embedder *builtin(void)
{
    struct al_err err = {0};
    struct al_embedder *e = NULL;
    AL_CHECK_OK(al_embedder_open(al_embedder_builtin(), NULL, &e, &err), err);
    return e;
}

static void test_builtin_table(void **state)
{
    (void)state;
    struct al_embedder *e = builtin();
    assert_string_equal(al_embedder_id(e), "al-static-256-v1");
    assert_int_equal(al_embedder_dim(e), 256);
    al_embedder_destroy(e);
}

static double cosine(const float *a, const float *b, uint32_t dim)
{
    double ab = 0;
    double aa = 0;
    double bb = 0;
    for (uint32_t i = 0; i < dim; i++) {
        ab += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
    }
    return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : aa == bb;
}

/* One line of the golden file: token rows, and in some the vector. Returns whether there was a
 * vector. */
static bool golden_line(const struct al_embedder *e, const char *line, size_t number)
{
    static uint32_t ids[IDS_MAX];
    float vec[256];
    float want[256];
    size_t n = 0;
    uint32_t n_tokens = 0;
    json_error_t problem;
    json_t *row = json_loads(line, JSON_ALLOW_NUL, &problem);
    if (!row)
        fail_msg("line %zu: %s", number, problem.text);
    const json_t *text = json_object_get(row, "text");
    const json_t *expect = json_object_get(row, "ids");
    const char *base64 = json_string_value(json_object_get(row, "vec"));
    assert_true(json_is_string(text) && json_is_array(expect));
    struct al_str s = {json_string_value(text), json_string_length(text)};
    assert_int_equal(al_embedder_tokenize(e, s, ids, IDS_MAX, &n, NULL), AL_OK);
    bool same = n == json_array_size(expect);
    for (size_t i = 0; same && i < n; i++)
        same = ids[i] == json_integer_value(json_array_get(expect, i));
    if (!same)
        fail_msg("line %zu: other tokens: '%s'", number, s.p);
    if (base64) {
        size_t bytes = 0;
        assert_int_equal(sodium_base642bin((unsigned char *)want, sizeof(want), base64,
                                           strlen(base64), NULL, &bytes, NULL,
                                           sodium_base64_VARIANT_ORIGINAL),
                         0);
        assert_int_equal(bytes, sizeof(want));
        assert_int_equal(al_embedder_embed(e, s, vec, &n_tokens, NULL), AL_OK);
        assert_int_equal(n_tokens, n);
        if (cosine(vec, want, 256) < 0.9999)
            fail_msg("line %zu: another vector", number);
    }
    json_decref(row);
    return base64 != NULL;
}

static void test_golden(void **state)
{
    (void)state;
    struct al_embedder *e = builtin();
    FILE *f = fopen(AL_TESTDATA "/tokenizer_golden.jsonl", "r");
    char *line = NULL;
    size_t cap = 0;
    size_t n_lines = 0;
    size_t n_vectors = 0;
    assert_non_null(f);
    while (getline(&line, &cap, f) > 0)
        n_vectors += golden_line(e, line, ++n_lines);
    assert_true(n_lines >= 1000);
    assert_true(n_vectors >= 100);
    free(line);
    (void)fclose(f);
    al_embedder_destroy(e);
}

static void test_vectors(void **state)
{
    (void)state;
    struct al_embedder *e = builtin();
    float a[256];
    float b[256];
    uint32_t n = 7;
    assert_int_equal(al_embedder_embed(e, AL_STR(""), a, &n, NULL), AL_OK);
    assert_int_equal(n, 0);
    for (size_t i = 0; i < 256; i++)
        assert_true(a[i] == 0);
    assert_int_equal(al_embedder_embed(e, AL_STR("scheduler heartbeat"), a, &n, NULL), AL_OK);
    assert_true(n >= 2);
    assert_true(fabs(cosine(a, a, 256) - 1) < 1e-6);
    double squares = 0;
    for (size_t i = 0; i < 256; i++)
        squares += (double)a[i] * (double)a[i];
    assert_true(fabs(squares - 1) < 1e-5);
    assert_int_equal(al_embedder_embed(e, AL_STR("heartbeat scheduler"), b, &n, NULL), AL_OK);
    assert_true(cosine(a, b, 256) > 0.9999);
    assert_int_equal(al_embedder_embed(e, AL_STR("the heartbeat of a scheduler"), b, &n, NULL),
                     AL_OK);
    double near = cosine(a, b, 256);
    assert_int_equal(al_embedder_embed(e, AL_STR("chocolate cake recipe"), b, &n, NULL), AL_OK);
    assert_true(near > cosine(a, b, 256) + 0.2);
    al_embedder_destroy(e);
}

static void test_odd_texts(void **state)
{
    (void)state;
    struct al_embedder *e = builtin();
    size_t max = 1u << 20;
    char *text = malloc(max);
    float vec[256];
    uint32_t n = 0;
    size_t total = 0;
    uint32_t id = 0;
    assert_non_null(text);
    memset(text, 'x', max); /* one word of more than 100 characters: unknown */
    assert_int_equal(al_embedder_embed(e, (struct al_str){text, max}, vec, &n, NULL), AL_OK);
    assert_int_equal(n, 0);
    memset(text, '!', max);
    assert_int_equal(al_embedder_embed(e, (struct al_str){text, max}, vec, &n, NULL), AL_OK);
    assert_int_equal(n, max);
    assert_true(isfinite(vec[0]));
    for (size_t i = 0; i < max; i++)
        text[i] = (char)(i * 2654435761u >> 13);
    assert_int_equal(al_embedder_tokenize(e, (struct al_str){text, max}, &id, 1, &total, NULL),
                     AL_OK);
    assert_true(total > 1); /* the count goes on behind the room */
    free(text);
    al_embedder_destroy(e);
}

/* A damaged table is refused, whatever byte is hit. */
static void test_damaged_tables(void **state)
{
    (void)state;
    struct al_str good = al_embedder_builtin();
    char *copy = malloc(good.n);
    assert_non_null(copy);
    const size_t places[] = {0,  8,  12, 16, 20,  24,  32,         40,
                             48, 56, 64, 96, 127, 200, good.n / 2, good.n - 1};
    for (size_t i = 0; i < AL_ARRAY_LEN(places); i++) {
        struct al_embedder *e = NULL;
        struct al_err err = {0};
        memcpy(copy, good.p, good.n);
        copy[places[i]] = (char)(copy[places[i]] ^ 0x41);
        enum al_code code = al_embedder_open((struct al_str){copy, good.n}, NULL, &e, &err);
        if (code != AL_DATA_LOSS)
            fail_msg("byte %zu: %s", places[i], al_code_name(code));
        assert_null(e);
    }
    memcpy(copy, good.p, good.n);
    struct al_embedder *whole = NULL; /* the built-in one itself opens without its checksum */
    assert_int_equal(al_embedder_open((struct al_str){copy, good.n}, NULL, &whole, NULL), AL_OK);
    al_embedder_destroy(whole);
    const size_t lengths[] = {0, 1, 8, 100, 128, 4096, good.n - 1};
    for (size_t i = 0; i < AL_ARRAY_LEN(lengths); i++) {
        struct al_embedder *e = NULL;
        struct al_str cut = {copy, lengths[i]};
        assert_int_equal(al_embedder_open(cut, NULL, &e, NULL), AL_DATA_LOSS);
    }
    free(copy);
}

/* Row `row` of the built-in table, by the header of its file: to += scale * components. */
static void plain_add(uint32_t row, uint32_t dim, float *to)
{
    struct al_str table = al_embedder_builtin();
    uint64_t scales = 0;
    uint64_t rows = 0;
    float scale = 0;
    memcpy(&scales, table.p + 24, sizeof(scales));
    memcpy(&rows, table.p + 32, sizeof(rows));
    memcpy(&scale, table.p + scales + (size_t)row * sizeof(scale), sizeof(scale));
    const int8_t *from = (const int8_t *)table.p + rows + (size_t)row * dim;
    for (uint32_t i = 0; i < dim; i++) {
        volatile float product = scale * (float)from[i]; /* rounded */
        to[i] += product;
    }
}

/* Every way to add a row gives the same bits: the vector of a text against plain additions. */
static void test_rows_are_added_in_order(void **state)
{
    (void)state;
    struct al_embedder *e = builtin();
    struct al_str text =
        AL_STR("deferrable sensors free the worker slot, pools do not: 17 retries");
    uint32_t ids[64];
    size_t n = 0;
    uint32_t tokens = 0;
    float vec[1024];
    float want[1024] = {0};
    uint32_t dim = al_embedder_dim(e);
    assert_true(dim <= AL_ARRAY_LEN(vec));
    assert_int_equal(al_embedder_tokenize(e, text, ids, AL_ARRAY_LEN(ids), &n, NULL), AL_OK);
    assert_true(n > 10 && n <= AL_ARRAY_LEN(ids));
    assert_int_equal(al_embedder_embed(e, text, vec, &tokens, NULL), AL_OK);
    for (size_t t = 0; t < n; t++)
        plain_add(ids[t], dim, want);
    double squares = 0;
    for (uint32_t i = 0; i < dim; i++)
        squares += (double)want[i] * (double)want[i];
    const float factor = (float)(1.0 / sqrt(squares));
    for (uint32_t i = 0; i < dim; i++)
        want[i] *= factor;
    assert_memory_equal(vec, want, dim * sizeof(*vec));
    al_embedder_destroy(e);
}

static void test_memory_faults(void **state)
{
    (void)state;
    for (size_t n = 0;; n++) {
        struct al_fault_mem fm;
        struct al_embedder *e = NULL;
        al_fault_mem_init(&fm, n, false);
        enum al_code code = al_embedder_open(al_embedder_builtin(), &fm.mem, &e, NULL);
        assert_true(fm.fired ? code == AL_RESOURCE_EXHAUSTED && !e : code == AL_OK && e);
        al_embedder_destroy(e);
        assert_int_equal(fm.live, 0);
        if (!fm.fired)
            return;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_builtin_table),
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_odd_texts),
        cmocka_unit_test(test_rows_are_added_in_order),
        cmocka_unit_test(test_damaged_tables),
        cmocka_unit_test(test_memory_faults),
    };
    return cmocka_run_group_tests_name("text.embedder", tests, NULL, NULL);
}
