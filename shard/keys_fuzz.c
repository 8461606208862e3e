/* Any bytes as what the store holds beside documents and entries (the first byte chooses): keys,
 * vectors, rows, the manifest, ranges of versions. What is decoded encodes to the same again. */
#include <stdint.h>
#include <string.h>

#include "keys.h"
#include "manifest.h"
#include "segset.h"
#include "shard_impl.h"
#include "version.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void keys(struct al_str b)
{
    uint16_t slot = 0;
    uint32_t space = 0;
    struct al_str id;
    uint64_t n = 0;
    uint8_t write_id[AL_WRITE_ID_BYTES];
    if (al_key_doc_parse(b, &slot, &space, &id))
        AL_ASSERT(id.n <= b.n);
    if (al_key_u64_parse(b, &n)) {
        struct al_key k = al_key_u64(n);
        AL_ASSERT(al_str_eq(al_key_view(&k), b));
    }
    if (al_key_write_time_parse(b, &n, write_id))
        AL_ASSERT(b.n > AL_WRITE_ID_BYTES);
}

static enum al_code chunks(struct al_str b)
{
    struct al_chunk_row c;
    struct al_buf out;
    AL_TRY(al_chunk_row_decode(b, &c, NULL));
    AL_ASSERT(c.vectors.n == (size_t)c.n_chunks * c.dim * sizeof(float));
    AL_ASSERT(c.id.n <= b.n);
    if (c.id.n > AL_DOC_ID_BYTES_MAX)
        return AL_OK;
    al_buf_init(&out, NULL, 1u << 20);
    al_chunk_row_encode(&c, &out);
    AL_ASSERT(al_buf_status(&out, NULL) == AL_OK && out.n <= b.n);
    al_buf_fini(&out);
    return AL_OK;
}

static enum al_code manifest(struct al_str b)
{
    struct al_arena a;
    struct al_str *entries = NULL;
    size_t n = 0;
    struct al_manifest_entry entry;
    al_arena_init(&a, NULL, 1u << 20);
    enum al_code code = al_segset_manifest_split(b, &a, &entries, &n, NULL);
    for (size_t i = 0; code == AL_OK && i < n; i++) {
        enum al_code one = al_manifest_entry_decode(entries[i], &entry, NULL);
        AL_ASSERT(one == AL_OK || one == AL_DATA_LOSS || one == AL_FAILED_PRECONDITION);
    }
    al_arena_fini(&a);
    return code == AL_RESOURCE_EXHAUSTED ? AL_OK : code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct al_str b = {(const char *)data + 1, size - 1};
    struct al_version_range range;
    struct al_manifest_entry entry;
    struct al_str value;
    uint64_t version = 0;
    enum al_code code = AL_OK;
    switch (data[0] % 6) {
    case 0:
        keys(b);
        break;
    case 1:
        code = chunks(b);
        break;
    case 2:
        code = al_row_value_decode(b, &version, &value, NULL);
        break;
    case 3:
        code = al_manifest_entry_decode(b, &entry, NULL);
        break;
    case 4:
        code = manifest(b);
        break;
    default:
        (void)al_version_range_parse(b, &range);
        break;
    }
    AL_ASSERT(code == AL_OK || code == AL_DATA_LOSS || code == AL_FAILED_PRECONDITION);
    return 0;
}
