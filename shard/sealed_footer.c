/* The footer of a sealed file. */
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "sealed.h"

#define MAGIC 0x3147455345524c41u /* "ALRESEG1" */
#define SCRUB_BYTES ((size_t)1 << 20)

static void put_fixed(struct al_buf *b, const char *p, size_t n)
{
    al_buf_add(b, p, n);
}

void al_seg_footer_encode(struct al_seg_footer *f, struct al_buf *b)
{
    static const char zeros[AL_SEG_FOOTER_BYTES];
    size_t start = b->n;
    al_buf_u64le(b, MAGIC);
    al_buf_u32le(b, f->format);
    al_buf_u32le(b, f->analyzer_version);
    al_buf_u32le(b, f->dim);
    al_buf_u32le(b, f->n_docs);
    al_buf_u32le(b, f->n_rows);
    al_buf_u32le(b, f->n_vecs);
    al_buf_u32le(b, f->n_spaces);
    al_buf_u32le(b, f->n_terms);
    al_buf_u64le(b, f->first);
    al_buf_u64le(b, f->last);
    put_fixed(b, f->index_name, sizeof f->index_name);
    put_fixed(b, f->embedder_id, sizeof f->embedder_id);
    for (size_t i = 0; i < AL_SECTION_COUNT; i++) {
        al_buf_u64le(b, f->sections[i].at);
        al_buf_u64le(b, f->sections[i].bytes);
        al_buf_u64le(b, f->sections[i].hash);
    }
    if (b->failed)
        return;
    al_buf_add(b, zeros, AL_SEG_FOOTER_BYTES - 8 - (b->n - start));
    if (b->failed)
        return;
    f->content_hash = XXH3_64bits(b->p + start, AL_SEG_FOOTER_BYTES - 8);
    al_buf_u64le(b, f->content_hash);
}

static void take_fixed(struct al_reader *r, char *p, size_t n)
{
    struct al_str s = al_reader_bytes(r, n);
    if (s.n == n)
        memcpy(p, s.p, n);
    p[n - 1] = '\0';
}

/* Sections follow each other at aligned places, zeros between, and end where the footer starts. */
static bool sections_fit(const uint8_t *p, size_t n, const struct al_seg_footer *f)
{
    uint64_t at = 0;
    uint64_t limit = n - AL_SEG_FOOTER_BYTES;
    for (size_t i = 0; i < AL_SECTION_COUNT; i++) {
        if (f->sections[i].at != at || f->sections[i].bytes > limit - at)
            return false;
        at += f->sections[i].bytes;
        for (; at % AL_SEG_ALIGN; at++)
            if (at >= limit || p[at] != 0)
                return false;
    }
    return at == limit;
}

enum al_code al_seg_footer_decode(const uint8_t *p, size_t n, struct al_seg_footer *ret,
                                  struct al_err *err)
{
    if (n < AL_SEG_FOOTER_BYTES || n % AL_SEG_ALIGN)
        return AL_FAIL(err, AL_DATA_LOSS, "segment: file is cut off");
    const uint8_t *at = p + n - AL_SEG_FOOTER_BYTES;
    struct al_reader r = al_reader_of((struct al_str){(const char *)at, AL_SEG_FOOTER_BYTES});
    struct al_seg_footer f = {0};
    uint64_t magic = al_reader_u64le(&r);
    f.format = al_reader_u32le(&r);
    f.analyzer_version = al_reader_u32le(&r);
    f.dim = al_reader_u32le(&r);
    f.n_docs = al_reader_u32le(&r);
    f.n_rows = al_reader_u32le(&r);
    f.n_vecs = al_reader_u32le(&r);
    f.n_spaces = al_reader_u32le(&r);
    f.n_terms = al_reader_u32le(&r);
    f.first = al_reader_u64le(&r);
    f.last = al_reader_u64le(&r);
    take_fixed(&r, f.index_name, sizeof f.index_name);
    take_fixed(&r, f.embedder_id, sizeof f.embedder_id);
    for (size_t i = 0; i < AL_SECTION_COUNT; i++) {
        f.sections[i].at = al_reader_u64le(&r);
        f.sections[i].bytes = al_reader_u64le(&r);
        f.sections[i].hash = al_reader_u64le(&r);
    }
    struct al_reader tail =
        al_reader_of((struct al_str){(const char *)at + AL_SEG_FOOTER_BYTES - 8, 8});
    f.content_hash = al_reader_u64le(&tail);
    if (magic != MAGIC || f.content_hash != XXH3_64bits(at, AL_SEG_FOOTER_BYTES - 8))
        return AL_FAIL(err, AL_DATA_LOSS, "segment: footer is damaged");
    if (f.format > AL_SEG_FORMAT)
        return AL_FAIL_R(err, AL_FAILED_PRECONDITION, "FORMAT_TOO_NEW",
                         "segment: format %u was written by a newer version", f.format);
    if (f.format != AL_SEG_FORMAT || !sections_fit(p, n, &f))
        return AL_FAIL(err, AL_DATA_LOSS, "segment: footer is malformed");
    *ret = f;
    return AL_OK;
}

static const char *const section_names[AL_SECTION_COUNT] = {
    "documents", "rows",   "spaces",     "attributes", "vector rows", "vectors",
    "postings",  "blocks", "dictionary", "terms",      "graph",
};

enum al_code al_sealed_check_sums(const uint8_t *p, const struct al_seg_footer *f,
                                  struct al_err *err)
{
    for (size_t i = 0; i < AL_SECTION_COUNT; i++)
        if (XXH3_64bits(p + f->sections[i].at, f->sections[i].bytes) != f->sections[i].hash)
            return AL_FAIL(err, AL_DATA_LOSS, "segment: checksum of its %s differs",
                           section_names[i]);
    return AL_OK;
}

static enum al_code read_exactly(struct al_disk *d, struct al_file *f, uint64_t at, uint8_t *p,
                                 size_t n, struct al_err *err)
{
    size_t got = 0;
    AL_TRY(d->ops->read_at(d, f, at, p, n, &got, err));
    if (got != n)
        return AL_FAIL(err, AL_DATA_LOSS, "segment: the file ends at %llu",
                       (unsigned long long)(at + got));
    return AL_OK;
}

/* A file that is read through, with room for a part of it. */
struct scrubbed {
    struct al_disk *disk;
    struct al_file *file;
    uint8_t *buf; /* SCRUB_BYTES */
};

static enum al_code scrub_section(const struct scrubbed *s, uint64_t at, uint64_t bytes,
                                  XXH64_hash_t *ret, struct al_err *err)
{
    XXH3_state_t *state = XXH3_createState();
    if (!state)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "segment: out of memory");
    enum al_code code = AL_OK;
    XXH3_64bits_reset(state);
    while (code == AL_OK && bytes > 0) {
        size_t n = bytes < SCRUB_BYTES ? (size_t)bytes : SCRUB_BYTES;
        code = read_exactly(s->disk, s->file, at, s->buf, n, err);
        if (code == AL_OK)
            XXH3_64bits_update(state, s->buf, n);
        at += n;
        bytes -= n;
    }
    *ret = XXH3_64bits_digest(state);
    XXH3_freeState(state);
    return code;
}

static enum al_code scrub(const struct scrubbed *s, const struct al_seg_footer *want, uint64_t size,
                          struct al_err *err)
{
    AL_TRY(read_exactly(s->disk, s->file, size - AL_SEG_FOOTER_BYTES, s->buf, AL_SEG_FOOTER_BYTES,
                        err));
    if (XXH3_64bits(s->buf, AL_SEG_FOOTER_BYTES - 8) != want->content_hash)
        return AL_FAIL(err, AL_DATA_LOSS, "segment: on disk its footer is another");
    for (size_t i = 0; i < AL_SECTION_COUNT; i++) {
        XXH64_hash_t hash = 0;
        AL_TRY(scrub_section(s, want->sections[i].at, want->sections[i].bytes, &hash, err));
        if (hash != want->sections[i].hash)
            return AL_FAIL(err, AL_DATA_LOSS, "segment: on disk the checksum of its %s differs",
                           section_names[i]);
    }
    return AL_OK;
}

enum al_code al_sealed_scrub(struct al_disk *d, const char *path, const struct al_seg_footer *want,
                             struct al_mem *mem, struct al_err *err)
{
    uint64_t size = 0;
    struct al_file f;
    AL_TRY(d->ops->size(d, path, &size, err));
    if (size < AL_SEG_FOOTER_BYTES)
        return AL_FAIL(err, AL_DATA_LOSS, "segment: its file is cut off");
    uint8_t *buf = al_mem_alloc(mem, SCRUB_BYTES);
    if (!buf)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "segment: out of memory");
    enum al_code code = d->ops->open(d, path, AL_DISK_READ, 0, &f, err);
    if (code == AL_OK) {
        struct al_err e;
        code = scrub(&(struct scrubbed){d, &f, buf}, want, size, err);
        enum al_code closed = d->ops->close(d, &f, code == AL_OK ? err : &e);
        code = code == AL_OK ? closed : code;
    }
    al_mem_free(mem, buf);
    return code;
}

/* Where the footer keeps its sections. */
#define SECTIONS_AT (8u + 8u * 4u + 16u + 16u + 128u)

static uint64_t get_u64(const uint8_t *p)
{
    struct al_reader r = al_reader_of((struct al_str){(const char *)p, 8});
    return al_reader_u64le(&r);
}

static void set_u64(uint8_t *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

void al_seg_forge(uint8_t *p, size_t n)
{
    if (n < AL_SEG_FOOTER_BYTES)
        return;
    uint8_t *footer = p + n - AL_SEG_FOOTER_BYTES;
    for (size_t i = 0; i < AL_SECTION_COUNT; i++) {
        uint8_t *s = footer + SECTIONS_AT + i * 24;
        uint64_t at = get_u64(s);
        uint64_t bytes = get_u64(s + 8);
        if (at <= n && bytes <= n - at)
            set_u64(s + 16, XXH3_64bits(p + at, bytes));
    }
    set_u64(footer, MAGIC);
    set_u64(footer + AL_SEG_FOOTER_BYTES - 8, XXH3_64bits(footer, AL_SEG_FOOTER_BYTES - 8));
}
