#include "terms.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define TERMS_A_BUCKET 4u

_Static_assert(sizeof(struct al_term_entry) == 8, "an entry on disk");
_Static_assert(sizeof(struct al_block) == 24, "a block on disk");
_Static_assert(sizeof(struct al_impact) == 2, "a pair on disk");

uint64_t al_term_hash(struct al_str term)
{
    return XXH3_64bits(term.p, term.n);
}

static uint32_t upper(uint64_t hash)
{
    return (uint32_t)(hash >> 32);
}

static unsigned bits_of(uint32_t n_terms)
{
    unsigned bits = 0;
    while (bits < 30 && (uint64_t)TERMS_A_BUCKET << bits < n_terms)
        bits++;
    return bits;
}

uint64_t al_terms_bytes(uint32_t n_terms)
{
    return (((uint64_t)1 << bits_of(n_terms)) + 1) * sizeof(uint32_t) +
           (uint64_t)n_terms * sizeof(struct al_term_entry);
}

void al_terms_show(struct al_terms *t, const void *terms)
{
    t->bits = bits_of(t->n_terms);
    t->starts = terms;
    t->entries = (const struct al_term_entry *)(t->starts + ((size_t)1 << t->bits) + 1);
}

static uint32_t bucket_of(const struct al_terms *t, uint32_t hash)
{
    return t->bits ? hash >> (32 - t->bits) : 0;
}

/* ---- records ---- */

static uint64_t take_varint(const uint8_t **p, const uint8_t *end)
{
    uint64_t v = 0;
    for (unsigned shift = 0; *p < end && shift < 64; shift += 7) {
        uint8_t byte = *(*p)++;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            break;
    }
    return v;
}

static struct al_str record_of(const struct al_terms *t, uint32_t i)
{
    uint64_t at = t->entries[i].record;
    uint64_t to = i + 1 < t->n_terms ? t->entries[i + 1].record : t->record_bytes;
    return (struct al_str){(const char *)t->records + at, to - at};
}

/* A record taken apart. first_block and postings_at are for a long list. */
struct record {
    struct al_str term;
    struct al_postings_view view;
    uint64_t first_block;
    uint64_t postings_at;
};

/* The term at the start of a record. */
static struct al_str term_in(struct al_str record)
{
    const uint8_t *p = (const uint8_t *)record.p;
    const uint8_t *end = p + record.n;
    uint64_t n = take_varint(&p, end);
    if (n > (uint64_t)(end - p))
        n = (uint64_t)(end - p);
    return (struct al_str){(const char *)p, (size_t)n};
}

/* False when it is malformed; what it points to is not checked. */
static bool parse(const struct al_terms *t, struct al_str bytes, struct record *ret)
{
    const uint8_t *end = (const uint8_t *)bytes.p + bytes.n;
    ret->term = term_in(bytes);
    const uint8_t *p = (const uint8_t *)ret->term.p + ret->term.n;
    uint64_t n_rows = take_varint(&p, end);
    uint32_t n_front = p < end ? *p++ : 0;
    if (n_rows == 0 || n_rows > t->n_rows || n_front == 0 || n_front > AL_FRONT_MAX ||
        (size_t)(end - p) < n_front * sizeof(struct al_impact))
        return false;
    struct al_postings_view *v = &ret->view;
    *v = (struct al_postings_view){.n_rows = (uint32_t)n_rows,
                                   .n_front = n_front,
                                   .front = (const struct al_impact *)(const void *)p};
    p += n_front * sizeof(struct al_impact);
    if (al_blocks_of(v->n_rows) == 0) {
        v->p = p;
        v->n_bytes = (uint32_t)(end - p);
        return (uint64_t)(end - p) <= UINT32_MAX;
    }
    ret->postings_at = take_varint(&p, end);
    uint64_t n_bytes = take_varint(&p, end);
    ret->first_block = take_varint(&p, end);
    if (p != end || n_bytes > UINT32_MAX || ret->postings_at > t->postings_bytes ||
        ret->first_block > t->n_blocks)
        return false;
    v->p = t->postings + ret->postings_at;
    v->n_bytes = (uint32_t)n_bytes;
    v->blocks = t->blocks + ret->first_block;
    return true;
}

struct al_str al_terms_at(const struct al_terms *t, uint32_t i, struct al_postings_view *ret)
{
    struct record r;
    bool ok = parse(t, record_of(t, i), &r);
    AL_ASSERT(ok); /* al_terms_fit looked at it */
    *ret = r.view;
    ret->number = i;
    return r.term;
}

bool al_terms_find(const struct al_terms *t, struct al_str term, struct al_postings_view *ret)
{
    if (t->n_terms == 0)
        return false;
    uint32_t hash = upper(al_term_hash(term));
    uint32_t bucket = bucket_of(t, hash);
    for (uint32_t i = t->starts[bucket]; i < t->starts[bucket + 1]; i++) {
        if (t->entries[i].hash != hash || !al_str_eq(term_in(record_of(t, i)), term))
            continue;
        (void)al_terms_at(t, i, ret);
        return true;
    }
    return false;
}

/* ---- checking ---- */

static bool starts_fit(const struct al_terms *t)
{
    uint32_t i = 0;
    for (uint32_t bucket = 0; bucket >> t->bits == 0; bucket++) {
        if (t->starts[bucket] != i)
            return false;
        while (i < t->n_terms && bucket_of(t, t->entries[i].hash) == bucket)
            i++;
    }
    return i == t->n_terms && t->starts[(size_t)1 << t->bits] == t->n_terms;
}

/* How far the lists have come. */
struct walk {
    uint64_t postings;
    uint64_t blocks;
};

static bool term_fits(const struct al_terms *t, uint32_t i, struct walk *w, struct record *r)
{
    uint64_t to = i + 1 < t->n_terms ? t->entries[i + 1].record : t->record_bytes;
    if (t->entries[i].record > to || to > t->record_bytes)
        return false;
    if (!parse(t, record_of(t, i), r) || r->term.n == 0 ||
        t->entries[i].hash != upper(al_term_hash(r->term)))
        return false;
    uint32_t n_blocks = al_blocks_of(r->view.n_rows);
    if (n_blocks == 0)
        return true;
    if (r->postings_at != w->postings || r->view.n_bytes > t->postings_bytes - w->postings ||
        r->first_block != w->blocks || n_blocks > t->n_blocks - w->blocks ||
        !al_blocks_fit(&r->view, t->n_rows))
        return false;
    w->postings += r->view.n_bytes;
    w->blocks += n_blocks;
    return true;
}

bool al_terms_fit(const struct al_terms *t)
{
    struct walk w = {0};
    struct record before = {0};
    if (!starts_fit(t) || (t->n_terms && t->entries[0].record != 0))
        return false;
    for (uint32_t i = 0; i < t->n_terms; i++) {
        struct record r;
        if (!term_fits(t, i, &w, &r))
            return false;
        if (i > 0 && (t->entries[i].hash < t->entries[i - 1].hash ||
                      (t->entries[i].hash == t->entries[i - 1].hash &&
                       al_str_cmp(before.term, r.term) >= 0)))
            return false;
        before = r;
    }
    return w.postings == t->postings_bytes && w.blocks == t->n_blocks &&
           (t->n_terms > 0 || t->record_bytes == 0);
}

/* ---- writing ---- */

int al_term_order(uint64_t hash_a, struct al_str a, uint64_t hash_b, struct al_str b)
{
    if (upper(hash_a) != upper(hash_b))
        return upper(hash_a) < upper(hash_b) ? -1 : 1;
    return al_str_cmp(a, b);
}

void al_terms_writer_init(struct al_terms_writer *w, struct al_mem *mem)
{
    *w = (struct al_terms_writer){0};
    al_buf_init(&w->entries, mem, SIZE_MAX / 2);
    al_buf_init(&w->records, mem, UINT32_MAX); /* places of records are 32 bits */
    al_buf_init(&w->blocks, mem, SIZE_MAX / 2);
    al_buf_init(&w->postings, mem, UINT32_MAX);
}

void al_terms_writer_fini(struct al_terms_writer *w)
{
    al_buf_fini(&w->entries);
    al_buf_fini(&w->records);
    al_buf_fini(&w->blocks);
    al_buf_fini(&w->postings);
}

static void put_entry(struct al_terms_writer *w, struct al_str term)
{
    al_buf_u32le(&w->entries, upper(al_term_hash(term)));
    al_buf_u32le(&w->entries, (uint32_t)w->records.n);
    al_buf_varint(&w->records, term.n);
    al_buf_str(&w->records, term);
    w->n_terms++;
}

static void put_front(struct al_terms_writer *w, const struct al_front *f)
{
    al_buf_char(&w->records, (char)f->n);
    al_buf_add(&w->records, f->pairs, f->n * sizeof f->pairs[0]);
}

void al_terms_add(struct al_terms_writer *w, struct al_str term, const struct al_posting *p,
                  uint32_t n, const uint8_t *length_codes)
{
    struct al_front front;
    size_t first_block = w->blocks.n / sizeof(struct al_block);
    al_buf_reset(&w->postings);
    put_entry(w, term);
    al_buf_varint(&w->records, n);
    al_postings_seal(p, n, length_codes, &w->postings, &w->blocks, &front);
    put_front(w, &front);
    if (al_blocks_of(n) == 0) {
        al_buf_str(&w->records, al_buf_view(&w->postings));
        w->failed = w->failed || w->postings.failed;
        al_buf_reset(&w->postings);
        return;
    }
    w->failed = w->failed || w->postings.failed;
    al_buf_varint(&w->records, w->postings_at);
    al_buf_varint(&w->records, w->postings.n);
    al_buf_varint(&w->records, first_block);
    w->postings_at += w->postings.n;
}

enum al_code al_terms_status(const struct al_terms_writer *w, struct al_err *err)
{
    AL_TRY(al_buf_status(&w->entries, err));
    AL_TRY(al_buf_status(&w->records, err));
    AL_TRY(al_buf_status(&w->blocks, err));
    return w->failed ? AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "segment: out of memory") : AL_OK;
}

void al_terms_encode(const struct al_terms_writer *w, struct al_buf *ret)
{
    struct al_terms t = {.bits = bits_of(w->n_terms), .n_terms = w->n_terms};
    struct al_reader r = al_reader_of(al_buf_view(&w->entries));
    uint32_t n_buckets = (uint32_t)1 << t.bits;
    uint32_t done = 0; /* buckets whose start is written */
    for (uint32_t i = 0; i < w->n_terms; i++) {
        uint32_t bucket = bucket_of(&t, al_reader_u32le(&r));
        (void)al_reader_u32le(&r);
        for (; done <= bucket; done++)
            al_buf_u32le(ret, i);
    }
    for (; done <= n_buckets; done++)
        al_buf_u32le(ret, w->n_terms);
    al_buf_str(ret, al_buf_view(&w->entries));
}
