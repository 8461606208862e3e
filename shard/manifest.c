#include "manifest.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "segset_impl.h"

#define FORMAT 1u
#define ENTRIES_MAX 100000u

void al_manifest_entry_encode(const struct al_manifest_entry *e, struct al_buf *b)
{
    al_buf_char(b, FORMAT);
    al_buf_u64le(b, e->first);
    al_buf_u64le(b, e->last);
    al_buf_u64le(b, e->content_hash);
    al_buf_lenstr(b, e->name);
}

static enum al_code check_format(uint8_t format, struct al_err *err)
{
    if (format > FORMAT)
        return AL_FAIL_R(err, AL_FAILED_PRECONDITION, "FORMAT_TOO_NEW",
                         "manifest: format %u was written by a newer version", format);
    if (format != FORMAT)
        return AL_FAIL(err, AL_DATA_LOSS, "manifest: unknown format %u", format);
    return AL_OK;
}

enum al_code al_manifest_entry_decode(struct al_str entry, struct al_manifest_entry *ret,
                                      struct al_err *err)
{
    struct al_reader r = al_reader_of(entry);
    struct al_manifest_entry e;
    AL_TRY(check_format(al_reader_u8(&r), err));
    e.first = al_reader_u64le(&r);
    e.last = al_reader_u64le(&r);
    e.content_hash = al_reader_u64le(&r);
    e.name = al_reader_lenstr(&r);
    if (!al_reader_done(&r) || e.first > e.last)
        return AL_FAIL(err, AL_DATA_LOSS, "manifest: entry is malformed");
    *ret = e;
    return AL_OK;
}

enum al_code al_segset_entry_range(struct al_str entry, uint64_t *ret_first, uint64_t *ret_last,
                                   struct al_err *err)
{
    struct al_manifest_entry e;
    AL_TRY(al_manifest_entry_decode(entry, &e, err));
    *ret_first = e.first;
    *ret_last = e.last;
    return AL_OK;
}

static void encode_view(const struct al_view *v, struct al_mem *mem, struct al_buf *ret)
{
    struct al_buf entry;
    al_buf_init(&entry, mem, 0);
    al_buf_char(ret, FORMAT);
    al_buf_varint(ret, v->n_sealed);
    for (size_t i = 0; i < v->n_sealed; i++) {
        const struct al_sealed *s = v->sealed[i];
        al_buf_reset(&entry);
        al_manifest_entry_encode(&(struct al_manifest_entry){s->footer.first, s->footer.last,
                                                             s->footer.content_hash,
                                                             al_str_c(s->name)},
                                 &entry);
        al_buf_lenstr(ret, al_buf_view(&entry));
        ret->failed = ret->failed || entry.failed;
    }
    al_buf_fini(&entry);
}

enum al_code al_segset_manifest(struct al_segset *g, struct al_buf *ret, struct al_err *err)
{
    size_t start = ret->n;
    struct al_view *v = al_view_ref(g);
    encode_view(v, g->mem, ret);
    al_view_unref(v);
    AL_TRY(al_buf_status(ret, err));
    al_buf_u64le(ret, XXH3_64bits(ret->p + start, ret->n - start));
    return al_buf_status(ret, err);
}

enum al_code al_segset_manifest_split(struct al_str manifest, struct al_arena *a,
                                      struct al_str **ret, size_t *ret_n, struct al_err *err)
{
    if (manifest.n < 8)
        return AL_FAIL(err, AL_DATA_LOSS, "manifest: cut off");
    struct al_reader sum = al_reader_of(al_str_sub(manifest, manifest.n - 8, 8));
    struct al_reader r = al_reader_of(al_str_sub(manifest, 0, manifest.n - 8));
    if (al_reader_u64le(&sum) != XXH3_64bits(manifest.p, manifest.n - 8))
        return AL_FAIL(err, AL_DATA_LOSS, "manifest: checksum differs");
    AL_TRY(check_format(al_reader_u8(&r), err));
    uint64_t n = al_reader_varint(&r);
    if (n > ENTRIES_MAX || n > manifest.n)
        return AL_FAIL(err, AL_DATA_LOSS, "manifest: malformed");
    struct al_str *entries = al_arena_array(a, n, sizeof *entries);
    if (!entries)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "manifest: out of memory");
    for (uint64_t i = 0; i < n; i++)
        entries[i] = al_reader_lenstr(&r);
    if (!al_reader_done(&r))
        return AL_FAIL(err, AL_DATA_LOSS, "manifest: malformed");
    *ret = entries;
    *ret_n = n;
    return AL_OK;
}
