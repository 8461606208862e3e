/* Any answer of an endpoint: refused by name, or vectors of unit length and a bounded text. The
 * first byte says what was asked, with what status it is answered, and in how large parts. */
#include <math.h>
#include <string.h>

#include "airlore/http_fake.h"
#include "airlore/llm_chat.h"
#include "airlore/llm_embed.h"
#include "llm_int.h"

#define DIM 3u
#define TEXTS 2u
#define TOKENS_A_DAY 1000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct endpoint {
    struct al_str body;
    uint8_t how;
    size_t heard; /* bytes of the stream */
};

static void serve(void *u, const struct al_http_request *req, struct al_http_fake_answer *ret)
{
    const struct endpoint *e = u;
    (void)req;
    *ret = (struct al_http_fake_answer){.sent = true,
                                        .status = e->how & 4 ? 400 : 200,
                                        .body = e->body,
                                        .part_bytes = e->how & 8 ? 1 + (e->how >> 4) : 0};
}

static bool hear(void *u, struct al_str part)
{
    struct endpoint *e = u;
    AL_ASSERT(part.n > 0);
    e->heard += part.n;
    return true;
}

/* What an endpoint may do to the caller. */
static void check_code(enum al_code code, const struct endpoint *e)
{
    if (e->how & 4)
        AL_ASSERT(code == AL_FAILED_PRECONDITION || code == AL_RESOURCE_EXHAUSTED);
    else
        AL_ASSERT(code == AL_OK || code == AL_DATA_LOSS || code == AL_FAILED_PRECONDITION ||
                  code == AL_RESOURCE_EXHAUSTED);
}

static void try_embed(struct al_llm *l, const struct endpoint *e)
{
    const struct al_str texts[TEXTS] = {AL_STR("one"), AL_STR("two")};
    float vecs[TEXTS * DIM];
    bool has[TEXTS];
    struct al_llm_embed_options opt = {.dim = DIM, .deadline_ns = AL_DEADLINE_NONE};
    enum al_code code =
        al_llm_embed(l, &opt, &(struct al_llm_texts){texts, TEXTS}, vecs, has, NULL);
    check_code(code, e);
    for (size_t i = 0; code == AL_OK && i < TEXTS; i++) {
        double squares = 0;
        for (size_t k = 0; k < DIM; k++)
            squares += (double)vecs[i * DIM + k] * (double)vecs[i * DIM + k];
        AL_ASSERT(has[i] ? fabs(squares - 1) < 1e-5 : squares <= 0);
    }
}

static void try_chat(struct al_llm *l, struct endpoint *e)
{
    struct al_llm_message m = {AL_LLM_USER, AL_STR("what is a pool?")};
    bool streams = e->how & 2;
    struct al_llm_chat chat = {.messages = &m,
                               .n_messages = 1,
                               .tokens_max = 8,
                               .deadline_ns = AL_DEADLINE_NONE,
                               .on_text = streams ? hear : NULL,
                               .u = e};
    struct al_llm_answer answer = {0};
    struct al_arena a;
    al_arena_init(&a, NULL, (size_t)4 << 20);
    enum al_code code = al_llm_chat(l, &chat, &a, &answer, NULL);
    check_code(code, e);
    if (code == AL_OK)
        AL_ASSERT(answer.text.n <= AL_LLM_ANSWER_BYTES_MAX && isfinite(answer.cost) &&
                  answer.cost >= 0 && (!streams || e->heard == answer.text.n));
    al_arena_fini(&a);
}

/* What an answer says of its tokens gives none back. */
static void check_usage(struct al_llm *l, const struct al_llm_usage *before)
{
    struct al_llm_usage now;
    al_llm_get_usage(l, &now);
    AL_ASSERT(now.tokens_in >= before->tokens_in && now.tokens_out >= before->tokens_out);
    AL_ASSERT(now.tokens_today >= before->tokens_today && now.cost >= before->cost);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (!n)
        return 0;
    struct endpoint e = {.body = {(const char *)data + 1, n - 1}, .how = data[0]};
    struct al_http *http = NULL;
    struct al_llm *l = NULL;
    json_t *v = NULL;
    if (al_llm_parse(e.body, &v, NULL) == AL_OK)
        json_decref(v);
    AL_ASSERT(al_http_fake_open(serve, &e, NULL, NULL, &http, NULL) == AL_OK);
    struct al_llm_options o = {.name = "fuzz",
                               .url = "http://fake/v1",
                               .model = "m",
                               .attempts_max = 1,
                               .tokens_per_day = TOKENS_A_DAY,
                               .price_in = 1,
                               .price_out = 1,
                               .http = http,
                               .clock = al_clock_system()};
    AL_ASSERT(al_llm_create(&o, &l, NULL) == AL_OK);
    (void)al_llm_count(l, 10, 10); /* of calls before */
    struct al_llm_usage before;
    al_llm_get_usage(l, &before);
    if (e.how & 1)
        try_embed(l, &e);
    else
        try_chat(l, &e);
    check_usage(l, &before);
    al_llm_destroy(l);
    al_http_close(http);
    return 0;
}
