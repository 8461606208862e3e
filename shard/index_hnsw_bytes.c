/* The bytes of an index: the same in memory and on disk.
 *
 *   0   magic u32, version u32, rows u32, dim u32, bytes of a code u32, links of a row u32,
 *       entries u32, scale f32, length u64; zeros to 64
 *   64  codes; links; entries; codes of the entries: each at a multiple of 64, zeros between
 *
 * All little endian (sealed_write.c refuses to be built for another machine). */
#include <math.h>
#include <string.h>

#include "index_hnsw.h"

#define MAGIC 0x38484c41u /* "ALH8" */
#define VERSION 1u

struct header {
    uint32_t magic;
    uint32_t version;
    uint32_t n_rows;
    uint32_t dim;
    uint32_t code_dim;
    uint32_t links;
    uint32_t n_entries;
    float scale;
    uint64_t n_bytes;
    uint8_t zeros[24];
};

_Static_assert(sizeof(struct header) == AL_HNSW_ALIGN, "the header of an index");

uint32_t al_hnsw_entries_for(uint32_t n_rows)
{
    uint32_t n = (uint32_t)(4.6 * sqrt((double)n_rows)) + 1;
    n = n > AL_HNSW_ENTRIES_MAX ? AL_HNSW_ENTRIES_MAX : n;
    return n > n_rows ? n_rows : n;
}

static size_t aligned(size_t n)
{
    return (n + AL_HNSW_ALIGN - 1) / AL_HNSW_ALIGN * AL_HNSW_ALIGN;
}

struct al_hnsw_layout al_hnsw_layout_of(uint32_t n_rows, uint32_t code_dim, uint32_t n_entries)
{
    struct al_hnsw_layout l = {.codes = sizeof(struct header)};
    l.links = l.codes + (size_t)n_rows * code_dim; /* a code is a multiple of the alignment */
    l.entries = l.links + (size_t)n_rows * AL_HNSW_LINKS * sizeof(uint32_t);
    l.entry_codes = l.entries + aligned((size_t)n_entries * sizeof(uint32_t));
    l.n_bytes = l.entry_codes + (size_t)n_entries * code_dim;
    return l;
}

void al_hnsw_put_header(const struct al_hnsw *h, uint8_t *bytes)
{
    struct header head = {
        .magic = MAGIC,
        .version = VERSION,
        .n_rows = h->base.n_rows,
        .dim = h->base.dim,
        .code_dim = h->coder.code_dim,
        .links = AL_HNSW_LINKS,
        .n_entries = h->n_entries,
        .scale = h->coder.scale,
        .n_bytes = h->layout.n_bytes,
    };
    memcpy(bytes, &head, sizeof head);
}

static enum al_code malformed(struct al_err *err, const char *what)
{
    return AL_FAIL(err, AL_DATA_LOSS, "index: hnsw: %s malformed", what);
}

static bool header_fits(const struct header *head, const struct al_hnsw *h)
{
    return head->magic == MAGIC && head->version == VERSION && head->n_rows == h->base.n_rows &&
           head->dim == h->base.dim && head->code_dim == al_code_dim_of(head->dim) &&
           head->links == AL_HNSW_LINKS && head->n_entries > 0 &&
           head->n_entries <= AL_HNSW_ENTRIES_MAX && head->n_entries <= head->n_rows &&
           isfinite(head->scale) && head->scale > 0;
}

/* Rows, then nothing but the end mark. */
static bool links_fit(const uint32_t *links, uint32_t n_rows)
{
    for (uint32_t i = 0; i < n_rows; i++, links += AL_HNSW_LINKS) {
        uint32_t k = 0;
        while (k < AL_HNSW_LINKS && links[k] < n_rows)
            k++;
        for (; k < AL_HNSW_LINKS; k++)
            if (links[k] != AL_HNSW_NONE)
                return false;
    }
    return true;
}

/* Ascending, so that none is there twice, with the codes of their rows. */
static bool entries_fit(const struct al_hnsw_view *v, const struct header *head)
{
    for (uint32_t i = 0; i < head->n_entries; i++)
        if (v->entries[i] >= head->n_rows || (i > 0 && v->entries[i] <= v->entries[i - 1]) ||
            memcmp(v->entry_codes + (size_t)i * head->code_dim,
                   v->codes + (size_t)v->entries[i] * head->code_dim, head->code_dim) != 0)
            return false;
    return true;
}

enum al_code al_hnsw_read(struct al_hnsw *h, struct al_str bytes, struct al_err *err)
{
    struct header head;
    if (bytes.n < sizeof head)
        return malformed(err, "length");
    if ((uintptr_t)bytes.p % sizeof(uint32_t) != 0)
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "index: bytes are not aligned");
    memcpy(&head, bytes.p, sizeof head);
    if (!header_fits(&head, h))
        return malformed(err, "header");
    struct al_hnsw_layout l = al_hnsw_layout_of(head.n_rows, head.code_dim, head.n_entries);
    if (bytes.n != l.n_bytes || head.n_bytes != l.n_bytes)
        return malformed(err, "length");
    const uint8_t *at = (const uint8_t *)bytes.p;
    struct al_hnsw with = {.layout = l};
    struct al_hnsw_view v = al_hnsw_view_of(&with, at);
    if (!links_fit(v.links, head.n_rows) || !entries_fit(&v, &head))
        return malformed(err, "links");
    AL_TRY(al_coder_init(&h->coder, head.dim, head.scale, h->mem, err));
    h->n_entries = head.n_entries;
    h->layout = l;
    h->loaded = at;
    atomic_store_explicit(&h->at, at, memory_order_release);
    return AL_OK;
}
