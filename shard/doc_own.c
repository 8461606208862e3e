#include <string.h>

#include "airlore/doc.h"

static enum al_code own_strs(const struct al_str **list, size_t n, struct al_arena *a,
                             struct al_err *err)
{
    struct al_str *out = al_arena_array(a, n + 1, sizeof *out);
    if (!out)
        return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "MEMORY_LIMIT",
                         "document: memory limit reached");
    for (size_t i = 0; i < n; i++)
        AL_TRY(al_arena_str(a, (*list)[i], &out[i], err));
    *list = out;
    return AL_OK;
}

static enum al_code own_meta(struct al_doc *d, struct al_arena *a, struct al_err *err)
{
    struct al_kv *out = al_arena_array(a, d->n_meta + 1, sizeof *out);
    if (!out)
        return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "MEMORY_LIMIT",
                         "document: memory limit reached");
    for (size_t i = 0; i < d->n_meta; i++) {
        AL_TRY(al_arena_str(a, d->meta[i].key, &out[i].key, err));
        AL_TRY(al_arena_str(a, d->meta[i].value, &out[i].value, err));
    }
    d->meta = out;
    return AL_OK;
}

static enum al_code own_chunks(struct al_doc *d, struct al_arena *a, struct al_err *err)
{
    struct al_chunk *out = al_arena_array(a, d->n_chunks + 1, sizeof *out);
    if (!out)
        return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "MEMORY_LIMIT",
                         "document: memory limit reached");
    for (size_t i = 0; i < d->n_chunks; i++) {
        out[i] = d->chunks[i];
        AL_TRY(al_arena_str(a, d->chunks[i].heading, &out[i].heading, err));
    }
    d->chunks = out;
    return AL_OK;
}

enum al_code al_doc_own(struct al_doc *d, struct al_arena *a, struct al_err *err)
{
    struct al_str *const views[] = {&d->id,     &d->team, &d->deployment,  &d->kind,
                                    &d->title,  &d->url,  &d->version,     &d->lang,
                                    &d->source, &d->body, &d->embedder_id, &d->media_type};
    for (size_t i = 0; i < AL_ARRAY_LEN(views); i++)
        AL_TRY(al_arena_str(a, *views[i], views[i], err));
    AL_TRY(own_strs(&d->tags, d->n_tags, a, err));
    AL_TRY(own_meta(d, a, err));
    return own_chunks(d, a, err);
}
