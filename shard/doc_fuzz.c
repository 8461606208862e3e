/* Any bytes to the decoders of documents and of rows of vectors: refused, or something whose spans
 * lie inside, and that encodes to the same bytes again. */
#include <stdint.h>
#include <string.h>

#include "airlore/doc.h"
#include "keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_doc(struct al_str bytes, struct al_arena *a)
{
    struct al_doc d;
    struct al_doc attributes;
    if (al_doc_decode(bytes, a, &d, NULL) != AL_OK)
        return;
    AL_ASSERT(al_doc_decode_attributes(bytes, a, &attributes, NULL) == AL_OK);
    AL_ASSERT(attributes.docno == d.docno && attributes.n_chunks == d.n_chunks);
    for (size_t i = 0; i < d.n_chunks; i++)
        AL_ASSERT(d.chunks[i].start <= d.chunks[i].end && d.chunks[i].end <= d.body.n);
    struct al_buf again;
    struct al_doc same;
    al_buf_init(&again, NULL, 0);
    al_doc_encode(&d, &again);
    AL_ASSERT(al_doc_decode(al_buf_view(&again), a, &same, NULL) == AL_OK);
    AL_ASSERT(al_str_eq(same.body, d.body) && al_str_eq(same.id, d.id));
    AL_ASSERT(same.revision == d.revision && al_str_eq(same.media_type, d.media_type));
    al_buf_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct al_str bytes = {(const char *)data, size};
    struct al_arena a;
    struct al_chunk_row row;
    al_arena_init(&a, NULL, (size_t)64 << 20);
    check_doc(bytes, &a);
    if (al_chunk_row_decode(bytes, &row, NULL) == AL_OK)
        AL_ASSERT(row.vectors.n == (size_t)row.n_chunks * row.dim * sizeof(float));
    al_arena_fini(&a);
    return 0;
}
