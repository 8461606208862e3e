/* A document to the rows, terms and attributes that a segment takes. */
#include "prepare.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "airlore/analyzer.h"

#define SLOTS_MIN 1024u
#define CHUNK_ARENA_BYTES (64u << 20)

/* Make the slot table larger and put the terms of the chunk in it again. */
static bool grow_slots(struct al_prepared *p, const struct al_prepared_row *row)
{
    size_t n = p->n_slots ? p->n_slots * 2 : SLOTS_MIN;
    uint32_t *slots = al_mem_array(p->mem, n, sizeof *slots);
    if (!slots)
        return false;
    for (size_t i = row->term_first; i < p->n_terms; i++) {
        size_t at = p->terms[i].hash & (n - 1);
        while (slots[at])
            at = (at + 1) & (n - 1);
        slots[at] = (uint32_t)(i - row->term_first) + 1;
    }
    al_mem_free(p->mem, p->slots);
    p->slots = slots;
    p->n_slots = n;
    return true;
}

struct visit {
    struct al_prepared *p;
    struct al_prepared_row *row;
};

static bool add_term(struct al_prepared *p, struct al_str term, uint64_t hash)
{
    void *terms = p->terms;
    if (al_mem_grow(p->mem, &terms, &p->cap_terms, p->n_terms + 1, sizeof *p->terms) != AL_OK)
        return false;
    p->terms = terms;
    void *bytes = p->bytes;
    if (al_mem_grow(p->mem, &bytes, &p->cap_bytes, p->n_bytes + term.n, 1) != AL_OK)
        return false;
    p->bytes = bytes;
    memcpy(p->bytes + p->n_bytes, term.p, term.n);
    p->terms[p->n_terms++] = (struct al_prepared_term){hash, p->n_bytes, (uint32_t)term.n, 1};
    p->n_bytes += term.n;
    return true;
}

static void visit_term(void *u, const struct al_term *t)
{
    struct visit *v = u;
    struct al_prepared *p = v->p;
    if (p->failed || t->term.n == 0)
        return;
    if ((p->n_terms - v->row->term_first + 1) * 2 > p->n_slots && !grow_slots(p, v->row)) {
        p->failed = true;
        return;
    }
    uint64_t hash = al_term_hash(t->term);
    size_t at = hash & (p->n_slots - 1);
    v->row->length++;
    for (; p->slots[at]; at = (at + 1) & (p->n_slots - 1)) {
        struct al_prepared_term *have = &p->terms[v->row->term_first + p->slots[at] - 1];
        if (have->hash == hash && have->n_bytes == t->term.n &&
            memcmp(p->bytes + have->at, t->term.p, t->term.n) == 0) {
            have->tf++;
            return;
        }
    }
    p->failed = !add_term(p, t->term, hash);
    p->slots[at] = (uint32_t)(p->n_terms - v->row->term_first);
}

/* Forget the chunk's slots, cheaply when there are few. */
static void clear_slots(struct al_prepared *p)
{
    if (p->slots)
        memset(p->slots, 0, p->n_slots * sizeof *p->slots);
}

static bool is_zero(const float *v, uint32_t dim)
{
    for (uint32_t i = 0; i < dim; i++)
        if (v[i] != 0.0f)
            return false;
    return true;
}

static enum al_code prepare_rows(struct al_prepared *p, const struct al_doc *d, uint32_t dim,
                                 struct al_analyzer *analyzer, struct al_err *err)
{
    struct al_arena arena;
    al_arena_init(&arena, p->mem, CHUNK_ARENA_BYTES);
    enum al_code code = AL_OK;
    for (uint32_t i = 0; i < p->n_rows && code == AL_OK; i++) {
        struct al_prepared_row *row = &p->rows[i];
        struct al_str text;
        row->term_first = p->n_terms;
        code = al_doc_chunk_text(d, i, &arena, &text, err);
        if (code != AL_OK)
            break;
        clear_slots(p);
        al_analyzer_run(analyzer, text, visit_term, &(struct visit){p, row});
        if (p->failed)
            code = AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "segment: out of memory");
        row->n_terms = p->n_terms - row->term_first;
        row->has_vector = p->vectors && !is_zero(p->vectors + (size_t)i * dim, dim);
        p->n_vecs += row->has_vector;
        al_arena_reset(&arena);
    }
    al_arena_fini(&arena);
    return code;
}

/* Id and the attributes: the document's encoding without what filters do not see. */
static enum al_code prepare_blob(struct al_prepared *p, const struct al_doc *d, struct al_err *err)
{
    struct al_doc head = *d;
    head.body = (struct al_str){"", 0};
    head.chunks = NULL;
    head.n_chunks = 0;
    head.vectors = NULL;
    al_buf_init(&p->blob, p->mem, 0);
    al_buf_str(&p->blob, d->id);
    al_doc_encode(&head, &p->blob);
    AL_TRY(al_buf_status(&p->blob, err));
    p->id_bytes = (uint16_t)d->id.n;
    p->attr_bytes = (uint32_t)(p->blob.n - d->id.n);
    return AL_OK;
}

enum al_code al_prepare(const struct al_doc *d, uint32_t dim, struct al_str embedder_id,
                        struct al_mem *mem, struct al_prepared **ret, struct al_err *err)
{
    if (d->id.n == 0 || d->id.n > AL_DOC_ID_BYTES_MAX || d->n_chunks > AL_DOC_CHUNKS_MAX)
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "document: id or number of chunks out of range");
    AL_AUTO(al_prepared) p = al_mem_zalloc(mem, sizeof *p);
    if (!p)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "segment: out of memory");
    p->mem = mem;
    p->docno = d->docno;
    p->space = d->space;
    p->n_rows = (uint32_t)d->n_chunks;
    bool ours = al_str_eq(d->embedder_id, embedder_id);
    p->vectors = ours ? d->vectors : NULL;
    p->flags = !ours && d->embedder_id.n > 0 ? AL_SEG_DOC_STALE : 0;
    p->rows = al_mem_array(mem, d->n_chunks + 1, sizeof *p->rows);
    if (!p->rows)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "segment: out of memory");
    AL_TRY(prepare_blob(p, d, err));
    struct al_analyzer *analyzer = NULL;
    AL_TRY(al_analyzer_acquire(&analyzer, err));
    enum al_code code = prepare_rows(p, d, dim, analyzer, err);
    al_analyzer_release(analyzer);
    AL_TRY(code);
    *ret = al_take(p);
    return AL_OK;
}

void al_prepared_destroy(struct al_prepared *p)
{
    if (!p)
        return;
    al_buf_fini(&p->blob);
    al_mem_free(p->mem, p->rows);
    al_mem_free(p->mem, p->terms);
    al_mem_free(p->mem, p->bytes);
    al_mem_free(p->mem, p->slots);
    al_mem_free(p->mem, p);
}
