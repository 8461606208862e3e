#include "embedding_llm.h"

#include <stdio.h>

#define ID_BYTES 128u
#define SCRATCH_BYTES ((size_t)256 << 20)

struct remote {
    struct al_embedding embedding; /* first */
    struct al_mem *mem;
    struct al_llm *llm;
    struct al_llm_embed_options opt;
    char id[ID_BYTES];
};

/* s with U+FFFD for each byte that belongs to no character. */
static enum al_code repair(struct al_str s, struct al_arena *a, struct al_str *ret,
                           struct al_err *err)
{
    struct al_buf b;
    *ret = s;
    if (al_str_is_utf8(s))
        return AL_OK;
    al_buf_init(&b, al_arena_mem(a), 0);
    for (size_t i = 0; i < s.n;) {
        size_t n = 1;
        while (n <= 4 && !al_str_is_utf8(al_str_sub(s, i, n)))
            n++;
        if (n > 4 || i + n > s.n) {
            al_buf_cstr(&b, "\xEF\xBF\xBD");
            i++;
        } else {
            al_buf_str(&b, al_str_sub(s, i, n));
            i += n;
        }
    }
    AL_TRY(al_buf_status(&b, err));
    *ret = al_buf_view(&b);
    return AL_OK;
}

static enum al_code embed_clean(const struct remote *r, const struct al_embedding_batch *b,
                                struct al_arena *a, struct al_err *err)
{
    struct al_llm_embed_options opt = r->opt;
    struct al_str *clean = al_arena_array(a, b->n + 1, sizeof(*clean));
    if (!clean)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "embedding: out of memory");
    for (size_t i = 0; i < b->n; i++)
        AL_TRY(repair(b->texts[i], a, &clean[i], err));
    opt.deadline_ns = b->deadline_ns;
    return al_llm_embed(r->llm, &opt, &(struct al_llm_texts){clean, b->n}, b->vecs, b->has, err);
}

static enum al_code remote_embed(struct al_embedding *e, const struct al_embedding_batch *b,
                                 struct al_err *err)
{
    const struct remote *r = (const struct remote *)e;
    struct al_arena a;
    al_arena_init(&a, r->mem, SCRATCH_BYTES);
    enum al_code code = embed_clean(r, b, &a, err);
    al_arena_fini(&a);
    if (code != AL_OK)
        al_err_prefix(err, "embedding '%s'", e->id);
    return code;
}

static void remote_destroy(struct al_embedding *e)
{
    struct remote *r = (struct remote *)e;
    al_mem_free(r->mem, r);
}

enum al_code al_embedding_llm(struct al_llm *llm, const struct al_llm_embed_options *opt,
                              struct al_mem *mem, struct al_embedding **ret, struct al_err *err)
{
    static const struct al_embedding_ops ops = {remote_embed, remote_destroy};
    if (opt->dim < 1 || opt->dim > AL_LLM_DIM_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_OPTION", "dimension: %u is not 1 to %u",
                         opt->dim, AL_LLM_DIM_MAX);
    struct remote *r = al_mem_zalloc(mem, sizeof(*r));
    if (!r)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "embedding: out of memory");
    int n = snprintf(r->id, sizeof(r->id), "%s@%u", al_llm_model(llm), opt->dim);
    if (n < 0 || (size_t)n >= sizeof(r->id)) {
        al_mem_free(mem, r);
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_OPTION",
                         "model: its name is longer than %u bytes", ID_BYTES - 12);
    }
    r->embedding = (struct al_embedding){&ops, r->id, opt->dim, false};
    r->mem = mem;
    r->llm = llm;
    r->opt = *opt;
    *ret = &r->embedding;
    return AL_OK;
}
