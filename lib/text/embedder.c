#include "airlore/embedder.h"

#include <math.h>
#include <string.h>

#include <sodium.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "embedder_table.h"
#include "tokenizer.h"

#define MAGIC "ALEMB001"
#define DIM_MAX 4096u
#define ROWS_MAX (1u << 20)
#define VOCAB_BYTES_MAX (1u << 26)
#define ID_BYTES 32u
#define SECTION_ALIGN 64u

/* to += scale * from, each component rounded twice (product, then sum): every variant gives the
 * same bits. Returns how many components were done, a multiple of its step. */
typedef uint32_t add_fn(float *to, const int8_t *from, uint32_t dim, float scale);
static add_fn *choose_add(void);

struct al_embedder {
    struct al_mem *mem;
    add_fn *add;
    struct al_tokenizer tokenizer;
    const int8_t *rows;
    float *scales; /* owned: the file's may be unaligned */
    uint32_t dim;
    uint32_t n_rows;
    char id[ID_BYTES];
};

/* Header of the file, decoded. */
struct table_header {
    uint32_t header_bytes;
    uint32_t dim;
    uint32_t n_rows;
    uint32_t vocab_bytes;
    uint64_t scales;
    uint64_t rows;
    uint64_t offsets;
    uint64_t vocab;
    uint64_t file_bytes;
    char id[ID_BYTES];
    unsigned char sha256[crypto_hash_sha256_BYTES];
};

static uint64_t aligned(uint64_t n)
{
    return (n + SECTION_ALIGN - 1) / SECTION_ALIGN * SECTION_ALIGN;
}

/* The sections lie one behind the other, aligned, and fill the file. The checksum does not cover
 * the header. */
static bool layout_is_good(const struct table_header *h)
{
    return h->header_bytes % SECTION_ALIGN == 0 && h->scales == h->header_bytes &&
           h->rows == aligned(h->scales + (uint64_t)h->n_rows * 4) &&
           h->offsets == aligned(h->rows + (uint64_t)h->n_rows * h->dim) &&
           h->vocab == aligned(h->offsets + ((uint64_t)h->n_rows + 1) * 4) &&
           h->file_bytes == aligned(h->vocab + h->vocab_bytes);
}

static bool id_is_good(struct al_str id)
{
    size_t n = 0;
    while (n < id.n && id.p[n] > ' ' && id.p[n] < 127)
        n++;
    if (n == 0 || n == id.n)
        return false;
    for (; n < id.n; n++)
        if (id.p[n] != '\0')
            return false;
    return true;
}

static enum al_code header_read(struct al_str bytes, struct table_header *h, struct al_err *err)
{
    struct al_reader r = al_reader_of(bytes);
    struct al_str magic = al_reader_bytes(&r, sizeof(MAGIC) - 1);
    *h = (struct table_header){.header_bytes = al_reader_u32le(&r)};
    h->dim = al_reader_u32le(&r);
    h->n_rows = al_reader_u32le(&r);
    h->vocab_bytes = al_reader_u32le(&r);
    h->scales = al_reader_u64le(&r);
    h->rows = al_reader_u64le(&r);
    h->offsets = al_reader_u64le(&r);
    h->vocab = al_reader_u64le(&r);
    h->file_bytes = al_reader_u64le(&r);
    for (size_t i = 0; i < sizeof(h->id); i++)
        h->id[i] = (char)al_reader_u8(&r);
    for (size_t i = 0; i < sizeof(h->sha256); i++)
        h->sha256[i] = al_reader_u8(&r);
    if (r.failed || !al_str_is(magic, MAGIC))
        return AL_FAIL(err, AL_DATA_LOSS, "embedding table: no table (bad magic or too short)");
    if (h->file_bytes != bytes.n || h->header_bytes > bytes.n ||
        h->header_bytes < (size_t)((const char *)r.p - bytes.p))
        return AL_FAIL(err, AL_DATA_LOSS, "embedding table: %zu bytes where %llu are declared",
                       bytes.n, (unsigned long long)h->file_bytes);
    if (h->dim == 0 || h->dim > DIM_MAX || h->n_rows == 0 || h->n_rows > ROWS_MAX ||
        h->vocab_bytes > VOCAB_BYTES_MAX)
        return AL_FAIL(err, AL_DATA_LOSS, "embedding table: dim %u or rows %u out of range", h->dim,
                       h->n_rows);
    if (!layout_is_good(h) || !id_is_good((struct al_str){h->id, ID_BYTES}))
        return AL_FAIL(err, AL_DATA_LOSS, "embedding table: malformed header");
    return AL_OK;
}

/* The table in the program is checked by the tests and not at each start: reading all of it would
 * be most of the work of a start, and bring pages into memory that few texts need. */
static enum al_code checksum_check(struct al_str bytes, const struct table_header *h,
                                   struct al_err *err)
{
    if (bytes.p == al_embedder_builtin().p)
        return AL_OK;
    unsigned char sum[crypto_hash_sha256_BYTES];
    crypto_hash_sha256(sum, (const unsigned char *)bytes.p + h->header_bytes,
                       bytes.n - h->header_bytes);
    if (memcmp(sum, h->sha256, sizeof(sum)) != 0)
        return AL_FAIL(err, AL_DATA_LOSS, "embedding table: checksum differs");
    return AL_OK;
}

static enum al_code vocab_check(struct al_str bytes, const struct table_header *h,
                                struct al_err *err)
{
    struct al_reader r =
        al_reader_of(al_str_sub(bytes, (size_t)h->offsets, ((size_t)h->n_rows + 1) * 4));
    uint32_t last = al_reader_u32le(&r);
    bool ok = last == 0;
    for (uint32_t i = 0; ok && i < h->n_rows; i++) {
        uint32_t next = al_reader_u32le(&r);
        ok = next > last && next <= h->vocab_bytes;
        last = next;
    }
    if (!ok || r.failed || last != h->vocab_bytes)
        return AL_FAIL(err, AL_DATA_LOSS, "embedding table: malformed vocabulary");
    return AL_OK;
}

static enum al_code scales_load(struct al_embedder *e, const char *p, struct al_err *err)
{
    e->scales = al_mem_array(e->mem, e->n_rows, sizeof(*e->scales));
    if (!e->scales)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "embedding table: out of memory");
    memcpy(e->scales, p, (size_t)e->n_rows * sizeof(*e->scales));
    for (uint32_t i = 0; i < e->n_rows; i++)
        if (!isfinite(e->scales[i]) || e->scales[i] < 0)
            return AL_FAIL(err, AL_DATA_LOSS, "embedding table: scale of row %u is no number", i);
    return AL_OK;
}

enum al_code al_embedder_open(struct al_str bytes, struct al_mem *mem, struct al_embedder **ret,
                              struct al_err *err)
{
    struct table_header h;
    AL_TRY(header_read(bytes, &h, err));
    AL_TRY(checksum_check(bytes, &h, err));
    AL_TRY(vocab_check(bytes, &h, err));
    AL_AUTO(al_embedder) e = al_mem_zalloc(mem, sizeof(*e));
    if (!e)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "embedding table: out of memory");
    e->mem = mem;
    e->add = choose_add();
    e->dim = h.dim;
    e->n_rows = h.n_rows;
    e->rows = (const int8_t *)bytes.p + h.rows;
    memcpy(e->id, h.id, ID_BYTES); /* ends with a NUL: id_is_good */
    AL_TRY(scales_load(e, bytes.p + h.scales, err));
    AL_TRY(al_tokenizer_init(&e->tokenizer, mem, bytes.p + h.offsets, bytes.p + h.vocab, h.n_rows,
                             err));
    *ret = al_take(e);
    return AL_OK;
}

struct al_str al_embedder_builtin(void)
{
    return al_embedder_table_bytes();
}

void al_embedder_destroy(struct al_embedder *e)
{
    if (!e)
        return;
    al_tokenizer_fini(&e->tokenizer);
    al_mem_free(e->mem, e->scales);
    al_mem_free(e->mem, e);
}

const char *al_embedder_id(const struct al_embedder *e)
{
    return e->id;
}

uint32_t al_embedder_dim(const struct al_embedder *e)
{
    return e->dim;
}

struct sum {
    const struct al_embedder *e;
    float *vec;
    uint32_t n;
};

#if defined(__x86_64__)
/* Eight components at a time. Without FMA, which would round once. */
__attribute__((target("avx2"))) static uint32_t add_avx2(float *to, const int8_t *from,
                                                         uint32_t dim, float scale)
{
    const __m256 by = _mm256_set1_ps(scale);
    uint32_t i = 0;
    for (; i + 8 <= dim; i += 8) {
        __m128i x = _mm_loadu_si64(from + i);
        __m256 f = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(x));
        _mm256_storeu_ps(to + i, _mm256_add_ps(_mm256_loadu_ps(to + i), _mm256_mul_ps(f, by)));
    }
    return i;
}

/* to[0..4) += scale * the four 16-bit numbers in the low or high half of x, given doubled */
static void add_four(float *to, __m128i doubled, __m128 scale)
{
    __m128 x = _mm_cvtepi32_ps(_mm_srai_epi32(doubled, 16));
    _mm_storeu_ps(to, _mm_add_ps(_mm_loadu_ps(to), _mm_mul_ps(x, scale)));
}

/* Sixteen components at a time; compilers make a slow loop of the conversion. */
static uint32_t add_sse2(float *to, const int8_t *from, uint32_t dim, float scale)
{
    const __m128 by = _mm_set1_ps(scale);
    uint32_t i = 0;
    for (; i + 16 <= dim; i += 16) {
        __m128i x;
        memcpy(&x, from + i, sizeof(x));
        __m128i low = _mm_srai_epi16(_mm_unpacklo_epi8(x, x), 8);
        __m128i high = _mm_srai_epi16(_mm_unpackhi_epi8(x, x), 8);
        add_four(to + i, _mm_unpacklo_epi16(low, low), by);
        add_four(to + i + 4, _mm_unpackhi_epi16(low, low), by);
        add_four(to + i + 8, _mm_unpacklo_epi16(high, high), by);
        add_four(to + i + 12, _mm_unpackhi_epi16(high, high), by);
    }
    return i;
}

static add_fn *choose_add(void)
{
    return __builtin_cpu_supports("avx2") ? add_avx2 : add_sse2;
}
#else
static uint32_t add_none(float *to, const int8_t *from, uint32_t dim, float scale)
{
    (void)to, (void)from, (void)dim, (void)scale;
    return 0;
}

static add_fn *choose_add(void)
{
    return add_none;
}
#endif

static void add_row(void *u, uint32_t row)
{
    struct sum *s = u;
    const uint32_t dim = s->e->dim;
    const int8_t *from = s->e->rows + (size_t)row * dim;
    const float scale = s->e->scales[row];
    for (uint32_t i = s->e->add(s->vec, from, dim, scale); i < dim; i++)
        s->vec[i] += scale * (float)from[i];
    s->n++;
}

enum al_code al_embedder_embed(const struct al_embedder *e, struct al_str text, float *vec,
                               uint32_t *ret_tokens, struct al_err *err)
{
    (void)err; /* no scratch is needed: nothing can fail */
    struct sum s = {e, vec, 0};
    memset(vec, 0, (size_t)e->dim * sizeof(*vec));
    al_tokenizer_run(&e->tokenizer, text, add_row, &s);
    double squares = 0;
    for (uint32_t i = 0; i < e->dim; i++)
        squares += (double)vec[i] * (double)vec[i];
    if (squares > 0) {
        const float factor = (float)(1.0 / sqrt(squares));
        for (uint32_t i = 0; i < e->dim; i++)
            vec[i] *= factor;
    }
    *ret_tokens = squares > 0 ? s.n : 0;
    return AL_OK;
}

struct id_list {
    uint32_t *ids;
    size_t max;
    size_t n;
};

static void add_id(void *u, uint32_t row)
{
    struct id_list *l = u;
    if (l->n < l->max)
        l->ids[l->n] = row;
    l->n++;
}

enum al_code al_embedder_tokenize(const struct al_embedder *e, struct al_str text, uint32_t *ids,
                                  size_t max, size_t *ret_n, struct al_err *err)
{
    (void)err;
    struct id_list l = {ids, max, 0};
    al_tokenizer_run(&e->tokenizer, text, add_id, &l);
    *ret_n = l.n;
    return AL_OK;
}
