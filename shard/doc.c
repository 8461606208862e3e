#include "airlore/doc.h"

#include <math.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "keys.h"

#define FORMAT 2u
#define FORMAT_BEFORE_REVISIONS 1u
#define KNOWN_CHUNK_BYTES_MIN 3u /* an encoded chunk takes at least so many bytes */

/* Offsets of the head: format u8, space, docno, created, updated, content hash, maker, number of
 * chunks, revision (not in format 1). */
#define AT_DOCNO 5u
#define AT_CREATED 13u
#define AT_UPDATED 21u
#define AT_REVISION 73u

static uint64_t maker_of(const struct al_doc *d)
{
    return XXH3_64bits_withSeed(d->embedder_id.p ? d->embedder_id.p : "", d->embedder_id.n,
                                d->analyzer_version);
}

uint64_t al_doc_log_index(const struct al_doc *d)
{
    return d->docno >> AL_DOCNO_OP_BITS;
}

uint16_t al_doc_slot(uint32_t space, struct al_str id)
{
    uint8_t space_bytes[4] = {(uint8_t)(space >> 24), (uint8_t)(space >> 16), (uint8_t)(space >> 8),
                              (uint8_t)space};
    uint64_t seed = XXH3_64bits(space_bytes, sizeof(space_bytes));
    return (uint16_t)(XXH3_64bits_withSeed(id.p ? id.p : "", id.n, seed) >> 48);
}

static void encode_chunks(const struct al_doc *d, struct al_buf *b)
{
    uint32_t last = 0;
    for (size_t i = 0; i < d->n_chunks; i++) {
        const struct al_chunk *c = &d->chunks[i];
        al_buf_varint(b, c->start - last);
        al_buf_varint(b, c->end - c->start);
        al_buf_lenstr(b, c->heading);
        last = c->start;
    }
}

void al_doc_encode_attributes(const struct al_doc *d, struct al_buf *b)
{
    al_buf_char(b, (char)FORMAT);
    al_buf_u32le(b, d->space);
    al_buf_u64le(b, d->docno);
    al_buf_u64le(b, d->created_ms);
    al_buf_u64le(b, d->updated_ms);
    al_buf_add(b, d->content_hash, sizeof(d->content_hash));
    al_buf_u64le(b, maker_of(d));
    al_buf_u32le(b, (uint32_t)d->n_chunks);
    al_buf_u64le(b, d->revision);
    al_buf_char(b, (char)d->visibility);
    al_buf_u32le(b, d->analyzer_version);
    al_buf_lenstr(b, d->id);
    al_buf_lenstr(b, d->team);
    al_buf_lenstr(b, d->deployment);
    al_buf_lenstr(b, d->kind);
    al_buf_lenstr(b, d->title);
    al_buf_lenstr(b, d->url);
    al_buf_lenstr(b, d->version);
    al_buf_lenstr(b, d->lang);
    al_buf_lenstr(b, d->source);
    al_buf_lenstr(b, d->embedder_id);
    al_buf_lenstr(b, d->media_type);
    al_buf_varint(b, d->redactions);
    al_buf_varint(b, d->n_tags);
    for (size_t i = 0; i < d->n_tags; i++)
        al_buf_lenstr(b, d->tags[i]);
    al_buf_varint(b, d->n_meta);
    for (size_t i = 0; i < d->n_meta; i++) {
        al_buf_lenstr(b, d->meta[i].key);
        al_buf_lenstr(b, d->meta[i].value);
    }
}

void al_doc_encode(const struct al_doc *d, struct al_buf *b)
{
    al_doc_encode_attributes(d, b);
    encode_chunks(d, b);
    al_buf_lenstr(b, d->body);
}

static enum al_code fail_malformed(struct al_err *err)
{
    return AL_FAIL_R(err, AL_DATA_LOSS, "DATA_CORRUPT", "document: encoding is damaged");
}

static enum al_code read_head(struct al_reader *r, struct al_doc_head *h, uint8_t *ret_format,
                              struct al_err *err)
{
    uint8_t format = al_reader_u8(r);
    if (format > FORMAT && !r->failed)
        return AL_FAIL_R(err, AL_FAILED_PRECONDITION, "FORMAT_TOO_NEW",
                         "document: format %u was written by a newer version", format);
    h->space = al_reader_u32le(r);
    h->docno = al_reader_u64le(r);
    h->created_ms = al_reader_u64le(r);
    h->updated_ms = al_reader_u64le(r);
    struct al_str hash = al_reader_bytes(r, sizeof(h->content_hash));
    if (hash.n == sizeof(h->content_hash))
        memcpy(h->content_hash, hash.p, sizeof(h->content_hash));
    h->maker = al_reader_u64le(r);
    h->n_chunks = al_reader_u32le(r);
    h->revision = format == FORMAT_BEFORE_REVISIONS ? 1 : al_reader_u64le(r);
    if (r->failed || format < FORMAT_BEFORE_REVISIONS || h->n_chunks > AL_DOC_CHUNKS_MAX)
        return fail_malformed(err);
    *ret_format = format;
    return AL_OK;
}

enum al_code al_doc_peek(struct al_str bytes, struct al_doc_head *ret, struct al_err *err)
{
    struct al_reader r = al_reader_of(bytes);
    struct al_doc_head h = {0};
    uint8_t format = 0;
    AL_TRY(read_head(&r, &h, &format, err));
    h.bytes = bytes.n;
    *ret = h;
    return AL_OK;
}

static void put_u64le(char *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (char)(uint8_t)(v >> (8 * i));
}

void al_doc_patch(char *bytes, const struct al_doc_head *h)
{
    put_u64le(bytes + AT_DOCNO, h->docno);
    put_u64le(bytes + AT_CREATED, h->created_ms);
    put_u64le(bytes + AT_UPDATED, h->updated_ms);
    if ((uint8_t)bytes[0] != FORMAT_BEFORE_REVISIONS)
        put_u64le(bytes + AT_REVISION, h->revision);
}

static enum al_code read_tags(struct al_reader *r, struct al_arena *a, struct al_doc *d,
                              struct al_err *err)
{
    uint64_t n = al_reader_varint(r);
    if (r->failed || n > AL_DOC_TAGS_MAX)
        return fail_malformed(err);
    struct al_str *tags = al_arena_array(a, (size_t)n, sizeof(*tags));
    if (!tags)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "document: out of memory");
    for (size_t i = 0; i < n; i++)
        tags[i] = al_reader_lenstr(r);
    d->tags = tags;
    d->n_tags = (size_t)n;
    return AL_OK;
}

static enum al_code read_meta(struct al_reader *r, struct al_arena *a, struct al_doc *d,
                              struct al_err *err)
{
    uint64_t n = al_reader_varint(r);
    if (r->failed || n > AL_DOC_META_MAX)
        return fail_malformed(err);
    struct al_kv *meta = al_arena_array(a, (size_t)n, sizeof(*meta));
    if (!meta)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "document: out of memory");
    for (size_t i = 0; i < n; i++) {
        meta[i].key = al_reader_lenstr(r);
        meta[i].value = al_reader_lenstr(r);
    }
    d->meta = meta;
    d->n_meta = (size_t)n;
    return AL_OK;
}

static enum al_code read_attributes(struct al_reader *r, struct al_arena *a, struct al_doc *d,
                                    struct al_err *err)
{
    struct al_doc_head h = {0};
    uint8_t format = 0;
    AL_TRY(read_head(r, &h, &format, err));
    d->space = h.space;
    d->docno = h.docno;
    d->created_ms = h.created_ms;
    d->updated_ms = h.updated_ms;
    d->revision = h.revision;
    memcpy(d->content_hash, h.content_hash, sizeof(d->content_hash));
    d->n_chunks = h.n_chunks;
    uint8_t visibility = al_reader_u8(r);
    d->analyzer_version = al_reader_u32le(r);
    struct al_str *const texts[] = {&d->id,     &d->team,       &d->deployment, &d->kind,
                                    &d->title,  &d->url,        &d->version,    &d->lang,
                                    &d->source, &d->embedder_id};
    for (size_t i = 0; i < AL_ARRAY_LEN(texts); i++)
        *texts[i] = al_reader_lenstr(r);
    uint64_t redactions = 0;
    if (format != FORMAT_BEFORE_REVISIONS) {
        d->media_type = al_reader_lenstr(r);
        redactions = al_reader_varint(r);
    }
    d->redactions = (uint32_t)redactions;
    if (r->failed || redactions > UINT32_MAX || visibility < AL_VIS_DEPLOYMENT ||
        visibility > AL_VIS_COMMUNITY)
        return fail_malformed(err);
    d->visibility = (enum al_visibility)visibility;
    AL_TRY(read_tags(r, a, d, err));
    AL_TRY(read_meta(r, a, d, err));
    if (r->failed || maker_of(d) != h.maker)
        return fail_malformed(err);
    return AL_OK;
}

static enum al_code read_chunks(struct al_reader *r, struct al_arena *a, struct al_doc *d,
                                struct al_err *err)
{
    if (d->n_chunks * KNOWN_CHUNK_BYTES_MIN > (size_t)(r->end - r->p))
        return fail_malformed(err);
    struct al_chunk *chunks = al_arena_array(a, d->n_chunks, sizeof(*chunks));
    if (!chunks)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "document: out of memory");
    uint64_t start = 0;
    for (size_t i = 0; i < d->n_chunks; i++) {
        uint64_t gap = al_reader_varint(r);
        uint64_t length = al_reader_varint(r);
        if (r->failed || gap > AL_DOC_BODY_BYTES_MAX || length > AL_DOC_BODY_BYTES_MAX)
            return fail_malformed(err);
        start += gap;
        if (start + length > AL_DOC_BODY_BYTES_MAX)
            return fail_malformed(err);
        chunks[i].start = (uint32_t)start;
        chunks[i].end = (uint32_t)(start + length);
        chunks[i].heading = al_reader_lenstr(r);
    }
    d->chunks = chunks;
    return AL_OK;
}

enum al_code al_doc_decode(struct al_str bytes, struct al_arena *a, struct al_doc *ret,
                           struct al_err *err)
{
    struct al_reader r = al_reader_of(bytes);
    struct al_doc d = {0};
    AL_TRY(read_attributes(&r, a, &d, err));
    AL_TRY(read_chunks(&r, a, &d, err));
    d.body = al_reader_lenstr(&r);
    if (!al_reader_done(&r))
        return fail_malformed(err);
    for (size_t i = 0; i < d.n_chunks; i++) {
        if (d.chunks[i].end > d.body.n)
            return fail_malformed(err);
    }
    *ret = d;
    return AL_OK;
}

enum al_code al_doc_decode_attributes(struct al_str bytes, struct al_arena *a, struct al_doc *ret,
                                      struct al_err *err)
{
    struct al_reader r = al_reader_of(bytes);
    struct al_doc d = {0};
    AL_TRY(read_attributes(&r, a, &d, err));
    *ret = d;
    return AL_OK;
}

static enum al_code check_size(const char *what, size_t n, size_t max, struct al_err *err)
{
    if (n <= max)
        return AL_OK;
    return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_LARGE",
                     "document: %s is %zu bytes, at most %zu", what, n, max);
}

static enum al_code check_texts(const struct al_doc *d, struct al_err *err)
{
    const struct {
        const char *name;
        struct al_str text;
    } texts[] = {
        {"team", d->team},
        {"deployment", d->deployment},
        {"kind", d->kind},
        {"title", d->title},
        {"url", d->url},
        {"version", d->version},
        {"language", d->lang},
        {"source", d->source},
        {"media type", d->media_type},
        {"embedder id", d->embedder_id},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(texts); i++)
        AL_TRY(check_size(texts[i].name, texts[i].text.n, AL_DOC_TEXT_BYTES_MAX, err));
    AL_TRY(check_size("body", d->body.n, AL_DOC_BODY_BYTES_MAX, err));
    if (d->n_tags > AL_DOC_TAGS_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_LARGE", "document: %zu tags, at most %u",
                         d->n_tags, AL_DOC_TAGS_MAX);
    for (size_t i = 0; i < d->n_tags; i++)
        AL_TRY(check_size("a tag", d->tags[i].n, AL_DOC_TAG_BYTES_MAX, err));
    if (d->n_meta > AL_DOC_META_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_LARGE",
                         "document: %zu metadata keys, at most %u", d->n_meta, AL_DOC_META_MAX);
    for (size_t i = 0; i < d->n_meta; i++) {
        AL_TRY(check_size("a metadata key", d->meta[i].key.n, AL_DOC_META_KEY_BYTES_MAX, err));
        AL_TRY(
            check_size("a metadata value", d->meta[i].value.n, AL_DOC_META_VALUE_BYTES_MAX, err));
    }
    return AL_OK;
}

static enum al_code check_chunks(const struct al_doc *d, struct al_err *err)
{
    if (d->n_chunks > AL_DOC_CHUNKS_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_LARGE", "document: %zu chunks, at most %u",
                         d->n_chunks, AL_DOC_CHUNKS_MAX);
    uint32_t last = 0;
    for (size_t i = 0; i < d->n_chunks; i++) {
        const struct al_chunk *c = &d->chunks[i];
        if (c->start < last || c->end < c->start || c->end > d->body.n)
            return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "OUT_OF_RANGE",
                             "document: chunk %zu spans bytes %u to %u of %zu, after a start of %u",
                             i, c->start, c->end, d->body.n, last);
        AL_TRY(check_size("a heading", c->heading.n, AL_DOC_TEXT_BYTES_MAX, err));
        last = c->start;
    }
    return AL_OK;
}

static enum al_code check_vectors(const struct al_doc *d, uint32_t dim, struct al_err *err)
{
    for (size_t i = 0; d->vectors && i < d->n_chunks; i++) {
        const float *v = d->vectors + i * dim;
        double sum = 0;
        for (uint32_t k = 0; k < dim; k++)
            sum += (double)v[k] * (double)v[k];
        if (!isfinite(sum))
            return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "NOT_FINITE",
                             "document: vector of chunk %zu is not finite", i);
        if (sum > 0 && fabs(sqrt(sum) - 1.0) > 0.01)
            return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "OUT_OF_RANGE",
                             "document: vector of chunk %zu has length %.3f, not 1", i, sqrt(sum));
    }
    return AL_OK;
}

enum al_code al_doc_check(const struct al_doc *d, uint32_t dim, struct al_err *err)
{
    if (d->id.n == 0 || d->id.n > AL_DOC_ID_BYTES_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_FORMAT",
                         "document: id is %zu bytes, must be 1 to %u", d->id.n,
                         AL_DOC_ID_BYTES_MAX);
    if (d->visibility < AL_VIS_DEPLOYMENT || d->visibility > AL_VIS_COMMUNITY)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_ENUM", "document: visibility %d",
                         (int)d->visibility);
    AL_TRY(check_texts(d, err));
    AL_TRY(check_chunks(d, err));
    return check_vectors(d, dim, err);
}

enum al_code al_doc_chunk_text(const struct al_doc *d, size_t chunk, struct al_arena *a,
                               struct al_str *ret, struct al_err *err)
{
    AL_ASSERT(chunk < d->n_chunks && d->chunks);
    const struct al_chunk *c = &d->chunks[chunk];
    struct al_str parts[3] = {d->title, c->heading,
                              al_str_sub(d->body, c->start, c->end - c->start)};
    char *p = al_arena_alloc(a, parts[0].n + parts[1].n + parts[2].n + 3);
    if (!p)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "document: out of memory");
    size_t n = 0;
    for (size_t i = 0; i < AL_ARRAY_LEN(parts); i++) {
        if (parts[i].n == 0)
            continue;
        if (n)
            p[n++] = '\n';
        memcpy(p + n, parts[i].p, parts[i].n);
        n += parts[i].n;
    }
    *ret = (struct al_str){p, n};
    return AL_OK;
}
