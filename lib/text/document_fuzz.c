/* Any bytes as a document of each format, cut by each chunker (the first byte chooses): chunks are
 * in order and inside the body. */
#include <stdint.h>

#include "airlore/document.h"
#include "airlore/embedder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct al_document *d, uint32_t max)
{
    uint32_t last = 0;
    AL_ASSERT(al_str_is_utf8(d->body) && al_str_is_utf8(d->title));
    for (size_t i = 0; i < d->n_chunks; i++) {
        const struct al_chunk *c = &d->chunks[i];
        AL_ASSERT(c->start >= last && c->end > c->start && c->end <= d->body.n);
        AL_ASSERT(c->end - c->start <= max);
        AL_ASSERT(al_str_is_utf8(al_str_sub(d->body, c->start, c->end - c->start)));
        AL_ASSERT(al_str_is_utf8(c->heading));
        last = c->end;
    }
    for (size_t i = 0; i < d->n_meta; i++)
        AL_ASSERT(al_str_is_utf8(d->meta[i].key) && al_str_is_utf8(d->meta[i].value));
    for (size_t i = 0; i < d->n_tags; i++)
        AL_ASSERT(al_str_is_utf8(d->tags[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct al_arena a;
    struct al_document d;
    struct al_document_options opt = {.path = AL_STR("fuzz")};
    if (size == 0)
        return 0;
    opt.format = (enum al_format)(data[0] % (AL_FORMAT_NOTEBOOK + 1));
    opt.chunk_bytes_max = data[0] & 0x80 ? 100 : 0;
    static struct al_embedder *embedder;
    if (!embedder && al_embedder_open(al_embedder_builtin(), NULL, &embedder, NULL) != AL_OK)
        return 0;
    opt.chunker = (enum al_chunker)(data[0] / (AL_FORMAT_NOTEBOOK + 1) % 4);
    opt.embedder = embedder;
    al_arena_init(&a, NULL, (size_t)64 << 20);
    if (al_document_read(&opt, (struct al_str){(const char *)data + 1, size - 1}, &a, &d, NULL) ==
        AL_OK)
        check(&d, opt.chunk_bytes_max ? opt.chunk_bytes_max : 2000);
    al_arena_fini(&a);
    return 0;
}
