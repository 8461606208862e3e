#include "airlore/embedding.h"

struct table {
    struct al_embedding embedding; /* first */
    struct al_mem *mem;
    const struct al_embedder *embedder;
};

static enum al_code table_embed(struct al_embedding *e, const struct al_embedding_batch *b,
                                struct al_err *err)
{
    const struct table *t = (const struct table *)e;
    for (size_t i = 0; i < b->n; i++) {
        uint32_t n_tokens = 0;
        AL_TRY(al_embedder_embed(t->embedder, b->texts[i], b->vecs + i * e->dim, &n_tokens, err));
        b->has[i] = n_tokens > 0;
    }
    return AL_OK;
}

static void table_destroy(struct al_embedding *e)
{
    struct table *t = (struct table *)e;
    al_mem_free(t->mem, t);
}

enum al_code al_embedding_static(const struct al_embedder *e, struct al_mem *mem,
                                 struct al_embedding **ret, struct al_err *err)
{
    static const struct al_embedding_ops ops = {table_embed, table_destroy};
    struct table *t = al_mem_zalloc(mem, sizeof(*t));
    if (!t)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "embedding: out of memory");
    t->embedding = (struct al_embedding){&ops, al_embedder_id(e), al_embedder_dim(e), true};
    t->mem = mem;
    t->embedder = e;
    *ret = &t->embedding;
    return AL_OK;
}

void al_embedding_destroy(struct al_embedding *e)
{
    if (e)
        e->ops->destroy(e);
}

enum al_code al_embedding_embed(struct al_embedding *e, const struct al_embedding_batch *b,
                                struct al_err *err)
{
    return e->ops->embed(e, b, err);
}
