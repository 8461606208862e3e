#include "keys.h"

#include <string.h>

#define CHUNK_FORMAT 1u

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "vectors are stored little endian as they are");
_Static_assert(sizeof(float) == 4, "vectors are 32-bit floats");

struct al_str al_key_view(const struct al_key *k)
{
    return (struct al_str){k->p, k->n};
}

static void add_be(struct al_key *k, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        k->p[k->n++] = (char)(uint8_t)(v >> (8 * (bytes - 1 - i)));
}

static void add_bytes(struct al_key *k, const void *p, size_t n)
{
    AL_ASSERT(n <= sizeof(k->p) - k->n);
    if (n)
        memcpy(k->p + k->n, p, n);
    k->n += n;
}

struct al_key al_key_u64(uint64_t v)
{
    struct al_key k;
    k.n = 0;
    add_be(&k, v, 8);
    return k;
}

struct al_key al_key_doc(uint32_t space, struct al_str id)
{
    struct al_key k;
    k.n = 0;
    add_be(&k, al_doc_slot(space, id), 2);
    add_be(&k, space, 4);
    add_bytes(&k, id.p, id.n);
    return k;
}

bool al_key_doc_parse(struct al_str key, uint16_t *ret_slot, uint32_t *ret_space,
                      struct al_str *ret_id)
{
    struct al_reader r = al_reader_of(key);
    uint16_t slot = al_reader_u16be(&r);
    uint32_t space = al_reader_u32be(&r);
    if (r.failed)
        return false;
    *ret_slot = slot;
    *ret_space = space;
    *ret_id = al_str_sub(key, 6, key.n - 6);
    return true;
}

struct al_key al_key_row(uint8_t table, uint32_t space, struct al_str key)
{
    struct al_key k;
    k.n = 0;
    add_be(&k, table, 1);
    add_be(&k, space, 4);
    add_bytes(&k, key.p, key.n);
    return k;
}

struct al_key al_key_meta(const char *name)
{
    struct al_key k;
    k.n = 0;
    add_bytes(&k, name, strlen(name));
    return k;
}

struct al_key al_key_meta_u64(const char *name, uint64_t v)
{
    struct al_key k = al_key_meta(name);
    add_be(&k, v, 8);
    return k;
}

struct al_key al_key_write_id(const uint8_t id[AL_WRITE_ID_BYTES])
{
    struct al_key k;
    k.n = 0;
    k.p[k.n++] = 'i';
    add_bytes(&k, id, AL_WRITE_ID_BYTES);
    return k;
}

struct al_key al_key_write_time(uint64_t time_ms, const uint8_t id[AL_WRITE_ID_BYTES])
{
    struct al_key k;
    k.n = 0;
    k.p[k.n++] = 't';
    add_be(&k, time_ms, 8);
    add_bytes(&k, id, AL_WRITE_ID_BYTES);
    return k;
}

bool al_key_write_time_parse(struct al_str key, uint64_t *ret_time_ms,
                             uint8_t ret_id[AL_WRITE_ID_BYTES])
{
    if (key.n != 1 + 8 + AL_WRITE_ID_BYTES || key.p[0] != 't')
        return false;
    struct al_reader r = al_reader_of(al_str_sub(key, 1, key.n - 1));
    *ret_time_ms = al_reader_u64be(&r);
    memcpy(ret_id, key.p + 9, AL_WRITE_ID_BYTES);
    return true;
}

bool al_key_u64_parse(struct al_str key, uint64_t *ret)
{
    struct al_reader r = al_reader_of(key);
    uint64_t v = al_reader_u64be(&r);
    if (!al_reader_done(&r))
        return false;
    *ret = v;
    return true;
}

void al_chunk_row_encode(const struct al_chunk_row *c, struct al_buf *b)
{
    al_buf_char(b, (char)CHUNK_FORMAT);
    al_buf_u16be(b, al_doc_slot(c->space, c->id));
    al_buf_u32le(b, c->space);
    al_buf_lenstr(b, c->id);
    al_buf_u32le(b, c->n_chunks);
    al_buf_u32le(b, c->dim);
    al_buf_str(b, c->vectors);
}

enum al_code al_chunk_row_decode(struct al_str bytes, struct al_chunk_row *ret, struct al_err *err)
{
    struct al_reader r = al_reader_of(bytes);
    uint8_t format = al_reader_u8(&r);
    if (format > CHUNK_FORMAT && !r.failed)
        return AL_FAIL_R(err, AL_FAILED_PRECONDITION, "FORMAT_TOO_NEW",
                         "vectors: format %u was written by a newer version", format);
    struct al_chunk_row c = {0};
    (void)al_reader_u16be(&r);
    c.space = al_reader_u32le(&r);
    c.id = al_reader_lenstr(&r);
    c.n_chunks = al_reader_u32le(&r);
    c.dim = al_reader_u32le(&r);
    uint64_t floats = (uint64_t)c.n_chunks * c.dim;
    if (r.failed || format != CHUNK_FORMAT || floats > (uint64_t)(r.end - r.p) / sizeof(float))
        return AL_FAIL_R(err, AL_DATA_LOSS, "DATA_CORRUPT", "vectors: encoding is damaged");
    c.vectors = al_reader_bytes(&r, (size_t)floats * sizeof(float));
    if (!al_reader_done(&r))
        return AL_FAIL_R(err, AL_DATA_LOSS, "DATA_CORRUPT", "vectors: encoding is damaged");
    *ret = c;
    return AL_OK;
}

enum al_code al_chunk_row_vectors(const struct al_chunk_row *c, struct al_arena *a,
                                  const float **ret, struct al_err *err)
{
    *ret = NULL;
    if (c->vectors.n == 0)
        return AL_OK;
    float *v = al_arena_alloc(a, c->vectors.n);
    if (!v)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "vectors: out of memory");
    memcpy(v, c->vectors.p, c->vectors.n);
    *ret = v;
    return AL_OK;
}
