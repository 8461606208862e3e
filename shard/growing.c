#include "growing.h"

#include <string.h>

#include "prepare.h"

#define SLOTS_MIN 256u

static bool find_postings(const struct al_segment *s, struct al_str term,
                          struct al_postings_view *ret);

/* ---- hash tables ---- */

static uint64_t docno_hash(uint64_t docno)
{
    docno ^= docno >> 32;
    docno *= 0x9e3779b97f4a7c15u;
    return docno ^ docno >> 29;
}

static struct al_str term_of(const struct al_growing *g, const struct al_growing_term *t)
{
    return (struct al_str){g->term_bytes + t->at, t->n_bytes};
}

/* Slot of the term: where it is, or an empty one. The table has room. */
static size_t term_slot(const struct al_growing *g, struct al_str term, uint64_t hash)
{
    size_t at = hash & (g->n_term_slots - 1);
    for (; g->term_slots[at]; at = (at + 1) & (g->n_term_slots - 1)) {
        const struct al_growing_term *t = &g->terms[g->term_slots[at] - 1];
        if (t->hash == hash && al_str_eq(term_of(g, t), term))
            break;
    }
    return at;
}

static size_t doc_slot(const struct al_growing *g, uint64_t docno)
{
    size_t at = docno_hash(docno) & (g->n_doc_slots - 1);
    while (g->doc_slots[at] && g->docs[g->doc_slots[at] - 1].docno != docno)
        at = (at + 1) & (g->n_doc_slots - 1);
    return at;
}

/* A slot table for `need` entries at most half full; NULL when out of memory or when the old one
 * does. */
static uint32_t *larger_slots(struct al_growing *g, size_t need, size_t *n_slots)
{
    size_t n = *n_slots ? *n_slots : SLOTS_MIN;
    while (n < need * 2)
        n *= 2;
    *n_slots = n;
    return al_mem_array(g->seg.mem, n, sizeof(uint32_t));
}

static bool reserve_term_slots(struct al_growing *g, size_t need)
{
    if (need * 2 <= g->n_term_slots)
        return true;
    size_t n = g->n_term_slots;
    uint32_t *slots = larger_slots(g, need, &n);
    if (!slots)
        return false;
    al_mem_free(g->seg.mem, g->term_slots);
    g->term_slots = slots;
    g->n_term_slots = n;
    for (size_t i = 0; i < g->n_terms; i++)
        slots[term_slot(g, term_of(g, &g->terms[i]), g->terms[i].hash)] = (uint32_t)i + 1;
    return true;
}

static bool reserve_doc_slots(struct al_growing *g, size_t need)
{
    if (need * 2 <= g->n_doc_slots)
        return true;
    size_t n = g->n_doc_slots;
    uint32_t *slots = larger_slots(g, need, &n);
    if (!slots)
        return false;
    al_mem_free(g->seg.mem, g->doc_slots);
    g->doc_slots = slots;
    g->n_doc_slots = n;
    for (uint32_t i = 0; i < g->seg.n_docs; i++)
        slots[doc_slot(g, g->docs[i].docno)] = i + 1;
    return true;
}

/* ---- tables ---- */

/* The common part's borrowed pointers, after the tables moved. */
static void show_tables(struct al_growing *g)
{
    g->seg.docs = g->docs;
    g->seg.rows = g->rows;
    g->seg.vectors = g->vectors;
    g->seg.vec_rows = g->vec_rows;
    g->seg.blob = g->blob;
}

static bool grow(struct al_growing *g, void **p, size_t *cap, size_t need, size_t size)
{
    return al_mem_grow(g->seg.mem, p, cap, need, size) == AL_OK;
}

/* Room for one more document, so that nothing but postings can fail behind it. */
static bool reserve(struct al_growing *g, uint32_t n_rows, uint32_t n_vecs, size_t n_blob)
{
    struct al_segment *s = &g->seg;
    void *docs = g->docs;
    void *rows = g->rows;
    void *vectors = g->vectors;
    void *vec_rows = g->vec_rows;
    void *blob = g->blob;
    bool ok = grow(g, &docs, &g->cap_docs, (size_t)s->n_docs + 1, sizeof *g->docs);
    ok = ok && grow(g, &rows, &g->cap_rows, (size_t)s->n_rows + n_rows, sizeof *g->rows);
    ok = ok && grow(g, &vectors, &g->cap_vecs, (size_t)s->n_vecs + n_vecs, s->dim * sizeof(float));
    ok =
        ok && grow(g, &vec_rows, &g->cap_vec_rows, (size_t)s->n_vecs + n_vecs, sizeof *g->vec_rows);
    ok = ok && grow(g, &blob, &g->cap_blob, g->n_blob + n_blob, 1);
    g->docs = docs;
    g->rows = rows;
    g->vectors = vectors;
    g->vec_rows = vec_rows;
    g->blob = blob;
    show_tables(g);
    return ok && reserve_doc_slots(g, (size_t)s->n_docs + 1) &&
           al_segment_reserve(s, (size_t)s->n_docs + 1, 1) == AL_OK;
}

enum al_code al_growing_create(uint32_t dim, struct al_mem *mem, struct al_growing **ret,
                               struct al_err *err)
{
    struct al_growing *g = al_mem_zalloc(mem, sizeof *g);
    if (!g)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "segment: out of memory");
    atomic_init(&g->refs, 1);
    g->seg.mem = mem;
    g->seg.dim = dim;
    g->seg.find = find_postings;
    if (!reserve(g, 16, dim ? 16 : 0, 1024) || !reserve_term_slots(g, 1)) {
        al_growing_unref(g);
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "segment: out of memory");
    }
    *ret = g;
    return AL_OK;
}

void al_growing_unref(struct al_growing *g)
{
    if (!g || atomic_fetch_sub(&g->refs, 1) > 1)
        return;
    struct al_mem *mem = g->seg.mem;
    for (size_t i = 0; i < g->n_terms; i++)
        al_mem_free(mem, g->terms[i].postings.p);
    al_mem_free(mem, g->docs);
    al_mem_free(mem, g->rows);
    al_mem_free(mem, g->vectors);
    al_mem_free(mem, g->vec_rows);
    al_mem_free(mem, g->blob);
    al_mem_free(mem, g->terms);
    al_mem_free(mem, g->term_bytes);
    al_mem_free(mem, g->term_slots);
    al_mem_free(mem, g->doc_slots);
    al_segment_fini(&g->seg);
    al_mem_free(mem, g);
}

static bool find_postings(const struct al_segment *s, struct al_str term,
                          struct al_postings_view *ret)
{
    const struct al_growing *g = (const struct al_growing *)(const void *)s;
    uint32_t slot = g->term_slots[term_slot(g, term, al_term_hash(term))];
    if (!slot || g->terms[slot - 1].postings.n_rows == 0)
        return false;
    const struct al_postings *l = &g->terms[slot - 1].postings;
    *ret = (struct al_postings_view){.p = l->p, .n_bytes = l->n_bytes, .n_rows = l->n_rows};
    return true;
}

uint32_t al_growing_find_doc(const struct al_growing *g, uint64_t docno)
{
    uint32_t slot = g->doc_slots[doc_slot(g, docno)];
    return slot ? slot - 1 : AL_ROW_NONE;
}

/* ---- adding ---- */

/* Number of the term, added if new; AL_ROW_NONE when out of memory. */
static uint32_t intern(struct al_growing *g, struct al_str term, uint64_t hash)
{
    if (!reserve_term_slots(g, g->n_terms + 1))
        return AL_ROW_NONE;
    size_t at = term_slot(g, term, hash);
    if (g->term_slots[at])
        return g->term_slots[at] - 1;
    void *terms = g->terms;
    bool ok = grow(g, &terms, &g->cap_terms, g->n_terms + 1, sizeof *g->terms);
    g->terms = terms;
    void *bytes = g->term_bytes;
    ok = ok && grow(g, &bytes, &g->cap_term_bytes, g->n_term_bytes + term.n, 1);
    g->term_bytes = bytes;
    if (!ok || g->n_terms >= AL_SEG_ROWS_MAX)
        return AL_ROW_NONE;
    memcpy(g->term_bytes + g->n_term_bytes, term.p, term.n);
    g->terms[g->n_terms] =
        (struct al_growing_term){.hash = hash, .at = g->n_term_bytes, .n_bytes = (uint32_t)term.n};
    g->n_term_bytes += term.n;
    g->term_slots[at] = (uint32_t)++g->n_terms;
    return (uint32_t)g->n_terms - 1;
}

static bool post(struct al_growing *g, uint32_t term, uint32_t row, uint32_t tf)
{
    struct al_postings *l = &g->terms[term].postings;
    uint32_t before = l->cap;
    bool ok = al_postings_add(l, g->seg.mem, row, tf) == AL_OK;
    g->n_posting_bytes += l->cap - before;
    return ok;
}

/* What a list was before the document, to be put back. */
struct undo {
    uint32_t term;
    uint32_t n_bytes;
    uint32_t n_rows;
    uint32_t last;
};

static bool post_row(struct al_growing *g, const struct al_prepared *p, uint32_t i,
                     struct undo *undo, size_t *n_undo)
{
    const struct al_prepared_row *row = &p->rows[i];
    for (size_t k = row->term_first; k < row->term_first + row->n_terms; k++) {
        const struct al_prepared_term *t = &p->terms[k];
        uint32_t term = intern(g, (struct al_str){p->bytes + t->at, t->n_bytes}, t->hash);
        if (term == AL_ROW_NONE)
            return false;
        const struct al_postings *l = &g->terms[term].postings;
        undo[*n_undo] = (struct undo){term, l->n_bytes, l->n_rows, l->last};
        if (!post(g, term, g->seg.n_rows + i, t->tf))
            return false;
        ++*n_undo;
    }
    return true;
}

static bool post_all(struct al_growing *g, const struct al_prepared *p)
{
    struct undo *undo = al_mem_array(g->seg.mem, p->n_terms + 1, sizeof *undo);
    if (!undo)
        return false;
    size_t n = 0;
    bool ok = true;
    for (uint32_t i = 0; ok && i < p->n_rows; i++)
        ok = post_row(g, p, i, undo, &n);
    while (!ok && n > 0) {
        const struct undo *u = &undo[--n];
        struct al_postings *l = &g->terms[u->term].postings;
        l->n_bytes = u->n_bytes;
        l->n_rows = u->n_rows;
        l->last = u->last;
    }
    al_mem_free(g->seg.mem, undo);
    return ok;
}

/* Append the document's tables; there is room. */
static void append(struct al_growing *g, const struct al_prepared *p)
{
    struct al_segment *s = &g->seg;
    uint32_t doc = s->n_docs;
    g->docs[doc] = (struct al_seg_doc){
        .docno = p->docno,
        .blob_at = g->n_blob,
        .attr_bytes = p->attr_bytes,
        .space = p->space,
        .row_first = s->n_rows,
        .n_rows = p->n_rows,
        .vec_first = s->n_vecs,
        .n_vecs = p->n_vecs,
        .id_bytes = p->id_bytes,
        .flags = p->flags,
    };
    memcpy(g->blob + g->n_blob, p->blob.p, p->blob.n);
    g->n_blob += p->blob.n;
    for (uint32_t i = 0; i < p->n_rows; i++) {
        g->rows[s->n_rows] = (struct al_seg_row){doc, p->rows[i].length};
        if (p->rows[i].has_vector) {
            memcpy(g->vectors + (size_t)s->n_vecs * s->dim, p->vectors + (size_t)i * s->dim,
                   s->dim * sizeof(float));
            g->vec_rows[s->n_vecs++] = s->n_rows;
        }
        s->n_rows++;
    }
    g->doc_slots[doc_slot(g, p->docno)] = doc + 1;
    al_bit_clear(s->dead, doc);
    s->n_docs++;
    al_segment_count(s, doc);
}

enum al_code al_growing_commit(struct al_growing *g, const struct al_prepared *p,
                               struct al_err *err)
{
    if (al_growing_find_doc(g, p->docno) != AL_ROW_NONE)
        return AL_OK;
    if (g->seg.n_rows + p->n_rows > AL_SEG_ROWS_MAX)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "segment: more than %u rows", AL_SEG_ROWS_MAX);
    if (!reserve(g, p->n_rows, p->n_vecs, p->blob.n) || !post_all(g, p))
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "segment: out of memory");
    append(g, p);
    return AL_OK;
}

/* ---- copying ---- */

/* Copy the tables of one document; its rows get the next numbers. */
static bool copy_doc(struct al_growing *to, const struct al_growing *from, uint32_t doc,
                     uint32_t *new_rows)
{
    struct al_segment *s = &to->seg;
    struct al_seg_doc d = from->docs[doc];
    size_t n_blob = (size_t)d.id_bytes + d.attr_bytes;
    if (!reserve(to, d.n_rows, d.n_vecs, n_blob))
        return false;
    memcpy(to->blob + to->n_blob, from->blob + d.blob_at, n_blob);
    uint32_t at = s->n_docs;
    for (uint32_t i = 0; i < d.n_rows; i++) {
        new_rows[d.row_first + i] = s->n_rows + i;
        to->rows[s->n_rows + i] = (struct al_seg_row){at, from->rows[d.row_first + i].n_terms};
    }
    if (d.n_vecs)
        memcpy(to->vectors + (size_t)s->n_vecs * s->dim,
               from->vectors + (size_t)d.vec_first * s->dim,
               (size_t)d.n_vecs * s->dim * sizeof(float));
    for (uint32_t i = 0; i < d.n_vecs; i++)
        to->vec_rows[s->n_vecs + i] = new_rows[from->vec_rows[d.vec_first + i]];
    d.blob_at = to->n_blob;
    d.row_first = s->n_rows;
    d.vec_first = s->n_vecs;
    to->docs[at] = d;
    to->doc_slots[doc_slot(to, d.docno)] = at + 1;
    to->n_blob += n_blob;
    s->n_rows += d.n_rows;
    s->n_vecs += d.n_vecs;
    s->n_docs++;
    al_bit_clear(s->dead, at);
    al_segment_count(s, at);
    return true;
}

static bool copy_postings(struct al_growing *to, const struct al_growing *from,
                          const uint32_t *new_rows)
{
    for (size_t i = 0; i < from->n_terms; i++) {
        const struct al_growing_term *t = &from->terms[i];
        const struct al_postings *l = &t->postings;
        struct al_postings_view v = {.p = l->p, .n_bytes = l->n_bytes, .n_rows = l->n_rows};
        struct al_list c;
        uint32_t term = AL_ROW_NONE;
        al_list_init(&c, &v, from->seg.n_rows, false);
        for (; c.n > 0; al_list_next(&c)) {
            uint32_t row = new_rows[al_list_row(&c)];
            if (row == AL_ROW_NONE)
                continue;
            if (term == AL_ROW_NONE)
                term = intern(to, term_of(from, t), t->hash);
            if (term == AL_ROW_NONE || !post(to, term, row, al_list_tf(&c)))
                return false;
        }
    }
    return true;
}

static bool is_within(const struct al_growing *g, uint32_t doc, uint64_t first, uint64_t last)
{
    uint64_t index = g->docs[doc].docno >> 20;
    return index > first && index <= last;
}

bool al_growing_has_range(const struct al_growing *g, uint64_t first, uint64_t last)
{
    for (uint32_t doc = 0; doc < g->seg.n_docs; doc++)
        if (is_within(g, doc, first, last))
            return true;
    return false;
}

enum al_code al_growing_copy_outside(const struct al_growing *g, uint64_t first, uint64_t last,
                                     struct al_growing **ret, struct al_err *err)
{
    struct al_growing *to;
    AL_TRY(al_growing_create(g->seg.dim, g->seg.mem, &to, err));
    uint32_t *new_rows = al_mem_array(g->seg.mem, (size_t)g->seg.n_rows + 1, sizeof *new_rows);
    bool ok = new_rows != NULL;
    if (ok)
        memset(new_rows, 0xff, g->seg.n_rows * sizeof *new_rows); /* AL_ROW_NONE */
    for (uint32_t doc = 0; ok && doc < g->seg.n_docs; doc++)
        if (!is_within(g, doc, first, last) && !al_segment_is_dead(&g->seg, doc))
            ok = copy_doc(to, g, doc, new_rows);
    ok = ok && (to->seg.n_rows == 0 || copy_postings(to, g, new_rows));
    al_mem_free(g->seg.mem, new_rows);
    if (!ok) {
        al_growing_unref(to);
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "segment: out of memory");
    }
    *ret = to;
    return AL_OK;
}

void al_growing_drop_vectors(struct al_growing *g)
{
    al_mem_free(g->seg.mem, g->vectors);
    g->vectors = NULL;
    g->cap_vecs = 0;
    show_tables(g);
}

uint64_t al_growing_memory_bytes(const struct al_growing *g)
{
    return sizeof *g + g->cap_docs * sizeof *g->docs + g->cap_rows * sizeof *g->rows +
           g->cap_vecs * g->seg.dim * sizeof(float) + g->cap_vec_rows * sizeof *g->vec_rows +
           g->cap_blob + g->cap_terms * sizeof *g->terms + g->cap_term_bytes +
           (g->n_term_slots + g->n_doc_slots) * sizeof(uint32_t) + g->n_posting_bytes;
}
