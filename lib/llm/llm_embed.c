#include "airlore/llm_embed.h"

#include <math.h>

#include "llm_int.h"

#define BATCH_TEXTS_DEFAULT 64u
#define BATCH_TEXTS_MAX 2048u
#define BATCH_BYTES_DEFAULT (256u << 10)
#define BATCH_BYTES_MIN 1024u
#define TEXT_BYTES_DEFAULT 8192u
#define NUMBER_BYTES 32u /* a number of JSON takes no more */
#define ARENA_BYTES ((size_t)256 << 20)

struct embedding {
    struct al_llm *l;
    const struct al_llm_embed_options *opt;
    const struct al_str *texts;
    size_t n;
    float *vecs;
    bool *has;
    uint32_t batch_texts;
    uint32_t batch_bytes;
    uint32_t text_bytes_max;
};

/* The texts of one request, by their numbers. */
struct batch {
    size_t at[BATCH_TEXTS_MAX];
    size_t n;
    size_t bytes;
};

static struct al_str cut(const struct embedding *x, size_t i)
{
    struct al_str t = al_str_trim(x->texts[i]);
    if (t.n > x->text_bytes_max)
        t.n = al_str_utf8_floor(t, x->text_bytes_max);
    return t;
}

/* The next texts from *at on that fit into one request; *at behind them. */
static void gather(const struct embedding *x, size_t *at, struct batch *b)
{
    b->n = 0;
    b->bytes = 0;
    for (; *at < x->n && b->n < x->batch_texts; (*at)++) {
        struct al_str t = cut(x, *at);
        x->has[*at] = false;
        if (t.n == 0)
            continue;
        if (b->n > 0 && b->bytes + t.n > x->batch_bytes)
            return;
        b->at[b->n++] = *at;
        b->bytes += t.n;
    }
}

static enum al_code request_of(const struct embedding *x, const struct batch *b, struct al_arena *a,
                               struct al_str *ret, struct al_err *err)
{
    json_t *input = json_array();
    bool good = input != NULL;
    for (size_t i = 0; good && i < b->n; i++) {
        struct al_str t = cut(x, b->at[i]);
        json_t *s = json_stringn(t.p, t.n);
        if (!s) { /* not UTF-8, or no memory: the latter shows in the next call */
            json_decref(input);
            return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_UTF8", "text %zu: is not UTF-8",
                             b->at[i]);
        }
        good = json_array_append_new(input, s) == 0;
    }
    json_t *v = good ? json_pack("{s:s, s:o, s:s}", "model", al_llm_model(x->l), "input", input,
                                 "encoding_format", "float")
                     : NULL;
    if (!v && !good)
        json_decref(input);
    if (v && x->opt->send_dim)
        (void)json_object_set_new(v, "dimensions", json_integer((json_int_t)x->opt->dim));
    return al_llm_dump(v, a, ret, err);
}

static enum al_code bad_answer(struct al_err *err, const char *what)
{
    return AL_FAIL_R(err, AL_DATA_LOSS, "BAD_ANSWER", "embeddings: %s", what);
}

/* One vector of the answer, made unit length. */
static enum al_code take_vector(const struct embedding *x, const json_t *v, size_t to,
                                struct al_err *err)
{
    float *vec = x->vecs + to * x->opt->dim;
    double squares = 0;
    if (!json_is_array(v))
        return bad_answer(err, "an embedding is no list");
    if (json_array_size(v) != x->opt->dim)
        return AL_FAIL_R(err, AL_FAILED_PRECONDITION, "EMBEDDER_MISMATCH",
                         "embeddings: %zu components, %u are configured", json_array_size(v),
                         x->opt->dim);
    for (uint32_t i = 0; i < x->opt->dim; i++) {
        const json_t *number = json_array_get(v, i);
        double c = json_number_value(number);
        if (!json_is_number(number) || !isfinite((float)c))
            return bad_answer(err, "a component is no number");
        vec[i] = (float)c;
        squares += (double)vec[i] * (double)vec[i]; /* of what it is as a float: maybe 0 */
    }
    x->has[to] = squares > 0 && isfinite(squares);
    double factor = x->has[to] ? 1.0 / sqrt(squares) : 0.0;
    for (uint32_t i = 0; i < x->opt->dim; i++)
        vec[i] = (float)((double)vec[i] * factor);
    return AL_OK;
}

static enum al_code take_answer(const struct embedding *x, const struct batch *b, const json_t *v,
                                struct al_err *err)
{
    const json_t *data = json_object_get(v, "data");
    bool seen[BATCH_TEXTS_MAX] = {false};
    if (!json_is_array(data) || json_array_size(data) != b->n)
        return bad_answer(err, "not one embedding for each text");
    for (size_t i = 0; i < b->n; i++) {
        const json_t *one = json_array_get(data, i);
        const json_t *index = json_object_get(one, "index");
        json_int_t at = json_is_integer(index) ? json_integer_value(index) : (json_int_t)i;
        if (at < 0 || (size_t)at >= b->n || seen[at])
            return bad_answer(err, "an index that is out of range or came before");
        seen[at] = true;
        AL_TRY(take_vector(x, json_object_get(one, "embedding"), b->at[at], err));
    }
    const json_t *used = json_object_get(json_object_get(v, "usage"), "total_tokens");
    json_int_t tokens = json_integer_value(used);
    (void)al_llm_count(x->l, tokens > 0 ? (uint64_t)tokens : al_llm_guess_tokens(b->bytes), 0);
    return AL_OK;
}

static enum al_code run_batch(const struct embedding *x, const struct batch *b, struct al_arena *a,
                              struct al_err *err)
{
    struct al_llm_call call = {.path = "/embeddings",
                               .tokens_max = al_llm_guess_tokens(b->bytes),
                               .response_bytes_max =
                                   b->n * (x->opt->dim * (size_t)NUMBER_BYTES + 1024) + 65536,
                               .deadline_ns = x->opt->deadline_ns};
    struct al_str body = {0};
    json_t *v = NULL;
    AL_TRY(request_of(x, b, a, &call.body, err));
    AL_TRY(al_llm_post(x->l, &call, a, &body, err));
    AL_TRY(al_llm_parse(body, &v, err));
    enum al_code code = take_answer(x, b, v, err);
    json_decref(v);
    return code;
}

/* Request by request. */
static enum al_code run_all(const struct embedding *x, struct al_err *err)
{
    struct batch b;
    struct al_arena a;
    enum al_code code = AL_OK;
    al_arena_init(&a, NULL, ARENA_BYTES);
    for (size_t at = 0; at < x->n && code == AL_OK;) {
        gather(x, &at, &b);
        if (b.n > 0)
            code = run_batch(x, &b, &a, err);
        al_arena_reset(&a);
    }
    al_arena_fini(&a);
    return code;
}

enum al_code al_llm_embed(struct al_llm *l, const struct al_llm_embed_options *opt,
                          const struct al_llm_texts *texts, float *vecs, bool *has,
                          struct al_err *err)
{
    struct embedding x = {
        .l = l, .opt = opt, .texts = texts->texts, .n = texts->n, .vecs = vecs, .has = has};
    x.batch_texts = opt->batch_texts ? opt->batch_texts : BATCH_TEXTS_DEFAULT;
    x.batch_bytes = opt->batch_bytes ? opt->batch_bytes : BATCH_BYTES_DEFAULT;
    x.text_bytes_max = opt->text_bytes_max ? opt->text_bytes_max : TEXT_BYTES_DEFAULT;
    if (opt->dim < 1 || opt->dim > AL_LLM_DIM_MAX || x.batch_texts > BATCH_TEXTS_MAX ||
        x.batch_bytes < BATCH_BYTES_MIN)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_OPTION",
                         "embeddings: dimension, texts or bytes of a request are out of range");
    for (size_t i = 0; i < x.n * opt->dim; i++)
        vecs[i] = 0;
    return run_all(&x, err);
}
