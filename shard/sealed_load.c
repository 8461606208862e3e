/* Loading a sealed file: map, check sums, check tables, and only then believe it. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "airlore/analyzer.h"
#include "sealed.h"

static bool find_postings(const struct al_segment *seg, struct al_str term,
                          struct al_postings_view *ret)
{
    const struct al_sealed *s = (const struct al_sealed *)(const void *)seg;
    return al_terms_find(&s->terms, term, ret);
}

uint32_t al_sealed_find_doc(const struct al_sealed *s, uint32_t space, uint64_t docno)
{
    uint32_t low = 0;
    uint32_t high = s->seg.n_docs;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        const struct al_seg_doc *d = &s->seg.docs[mid];
        if (d->space == space && d->docno == docno)
            return mid;
        if (d->space < space || (d->space == space && d->docno < docno))
            low = mid + 1;
        else
            high = mid;
    }
    return AL_ROW_NONE;
}

void al_sealed_unref(struct al_sealed *s)
{
    if (!s || atomic_fetch_sub(&s->refs, 1) > 1)
        return;
    if (s->index)
        s->index->ops->destroy(s->index);
    if (s->disk)
        s->disk->ops->unmap(s->disk, &s->map);
    struct al_mem *mem = s->seg.mem;
    al_segment_fini(&s->seg);
    al_mem_free(mem, s);
}

/* ---- tables ---- */

static enum al_code malformed(struct al_err *err, const char *what)
{
    return AL_FAIL(err, AL_DATA_LOSS, "segment: %s malformed", what);
}

/* Sizes of the sections against the counts of the footer. */
static bool sizes_fit(const struct al_seg_footer *f)
{
    uint64_t vec_rows = f->sections[AL_SECTION_VEC_ROWS].bytes;
    bool partial = f->n_vecs < f->n_rows;
    return f->n_docs < AL_SEG_ROWS_MAX && f->n_rows < AL_SEG_ROWS_MAX && f->n_vecs <= f->n_rows &&
           f->sections[AL_SECTION_DOCS].bytes == (uint64_t)f->n_docs * sizeof(struct al_seg_doc) &&
           f->sections[AL_SECTION_ROWS].bytes == (uint64_t)f->n_rows * sizeof(struct al_seg_row) &&
           f->sections[AL_SECTION_SPACES].bytes ==
               (uint64_t)f->n_spaces * sizeof(struct al_seg_space) &&
           vec_rows == (partial ? (uint64_t)f->n_vecs * sizeof(uint32_t) : 0) && f->dim < 65536 &&
           f->sections[AL_SECTION_VECTORS].bytes == (uint64_t)f->n_vecs * f->dim * sizeof(float) &&
           f->sections[AL_SECTION_TERMS].bytes == al_terms_bytes(f->n_terms) &&
           f->sections[AL_SECTION_BLOCKS].bytes % sizeof(struct al_block) == 0 &&
           f->first <= f->last;
}

/* How far the walk over the documents has come. */
struct walk {
    uint64_t blob;
    uint32_t row;
    uint32_t vec;
};

static bool doc_fits(const struct al_sealed *s, uint32_t i, struct walk *w, uint64_t blob_bytes)
{
    const struct al_seg_doc *d = &s->seg.docs[i];
    uint64_t index = d->docno >> 20;
    if (d->blob_at != w->blob || d->id_bytes == 0 || d->id_bytes > AL_DOC_ID_BYTES_MAX ||
        (uint64_t)d->id_bytes + d->attr_bytes > blob_bytes - w->blob)
        return false;
    if (d->row_first != w->row || d->n_rows > s->footer.n_rows - w->row || d->vec_first != w->vec ||
        d->n_vecs > s->footer.n_vecs - w->vec || d->n_vecs > d->n_rows)
        return false;
    if (index <= s->footer.first || index > s->footer.last)
        return false;
    for (uint32_t k = 0; k < d->n_rows; k++)
        if (s->seg.rows[w->row + k].doc != i)
            return false;
    for (uint32_t v = w->vec; v < w->vec + d->n_vecs && s->seg.vec_rows; v++) {
        uint32_t row = s->seg.vec_rows[v];
        if (row < w->row || row >= w->row + d->n_rows ||
            (v > w->vec && row <= s->seg.vec_rows[v - 1]))
            return false;
    }
    w->blob += (uint64_t)d->id_bytes + d->attr_bytes;
    w->row += d->n_rows;
    w->vec += d->n_vecs;
    return s->seg.vec_rows || s->footer.n_vecs == 0 || d->n_vecs == d->n_rows;
}

static bool space_fits(const struct al_sealed *s, const struct al_seg_space *p, struct walk *w,
                       uint64_t blob_bytes)
{
    const struct al_seg_doc *docs = s->seg.docs;
    uint64_t n_terms = 0;
    if (p->row_first != w->row || p->n_docs == 0 || p->n_docs > s->footer.n_docs - p->doc_first)
        return false;
    for (uint32_t i = p->doc_first; i < p->doc_first + p->n_docs; i++) {
        if (docs[i].space != p->space || (i > p->doc_first && docs[i].docno <= docs[i - 1].docno) ||
            !doc_fits(s, i, w, blob_bytes))
            return false;
        for (uint32_t row = docs[i].row_first; row < w->row; row++)
            n_terms += s->seg.rows[row].n_terms;
    }
    return n_terms == p->n_terms && w->row - p->row_first == p->n_rows;
}

static bool docs_fit(const struct al_sealed *s, uint64_t blob_bytes)
{
    struct walk w = {0};
    uint32_t doc = 0;
    for (uint32_t i = 0; i < s->footer.n_spaces; i++) {
        const struct al_seg_space *p = &s->seg.ranges[i];
        if (p->doc_first != doc || (i > 0 && p->space <= p[-1].space) ||
            !space_fits(s, p, &w, blob_bytes))
            return false;
        doc += p->n_docs;
    }
    return doc == s->footer.n_docs && w.row == s->footer.n_rows && w.vec == s->footer.n_vecs &&
           w.blob == blob_bytes;
}

enum al_code al_sealed_check_tables(const struct al_sealed *s, uint64_t blob_bytes,
                                    struct al_err *err)
{
    if (!docs_fit(s, blob_bytes))
        return malformed(err, "table of documents");
    if (!al_terms_fit(&s->terms))
        return malformed(err, "dictionary");
    return AL_OK;
}

/* ---- loading ---- */

static const void *section(const struct al_sealed *s, enum al_seg_section i)
{
    return s->map.p + s->footer.sections[i].at;
}

static void show_tables(struct al_sealed *s, const struct al_sealed_options *opt)
{
    struct al_segment *g = &s->seg;
    g->find = find_postings;
    g->is_sealed = true;
    g->dim = opt->dim;
    g->n_docs = s->footer.n_docs;
    g->n_rows = s->footer.n_rows;
    g->n_vecs = s->footer.n_vecs;
    g->n_terms = s->footer.n_terms;
    g->n_ranges = s->footer.n_spaces;
    g->docs = section(s, AL_SECTION_DOCS);
    g->rows = section(s, AL_SECTION_ROWS);
    g->ranges = section(s, AL_SECTION_SPACES);
    g->blob = section(s, AL_SECTION_BLOB);
    g->vectors = section(s, AL_SECTION_VECTORS);
    g->vec_rows =
        s->footer.sections[AL_SECTION_VEC_ROWS].bytes ? section(s, AL_SECTION_VEC_ROWS) : NULL;
    s->terms = (struct al_terms){
        .records = section(s, AL_SECTION_TERM_TEXT),
        .record_bytes = s->footer.sections[AL_SECTION_TERM_TEXT].bytes,
        .postings = section(s, AL_SECTION_POSTINGS),
        .postings_bytes = s->footer.sections[AL_SECTION_POSTINGS].bytes,
        .blocks = section(s, AL_SECTION_BLOCKS),
        .n_blocks = s->footer.sections[AL_SECTION_BLOCKS].bytes / sizeof(struct al_block),
        .n_terms = s->footer.n_terms,
        .n_rows = s->footer.n_rows,
    };
    al_terms_show(&s->terms, section(s, AL_SECTION_TERMS));
}

/* Vectors of another embedder are not searched. */
static enum al_code settle_vectors(struct al_sealed *s, const struct al_sealed_options *opt,
                                   struct al_err *err)
{
    bool ours = al_str_is(opt->embedder_id, s->footer.embedder_id);
    if (ours && s->footer.dim != opt->dim)
        return AL_FAIL(err, AL_DATA_LOSS, "segment: %u dimensions where the shard has %u",
                       s->footer.dim, opt->dim);
    if (!ours) {
        s->seg.n_vecs = 0;
        return AL_OK;
    }
    struct al_str graph = {section(s, AL_SECTION_GRAPH),
                           s->footer.sections[AL_SECTION_GRAPH].bytes};
    const struct al_index_factory *index = al_index_named(s->footer.index_name);
    if (graph.n == 0 || !index) /* one that this build does not have: scan until the next merge */
        return AL_OK;
    struct al_index_source src = {
        .rows = s->seg.vectors, .n_rows = s->seg.n_vecs, .dim = opt->dim, .mem = s->seg.mem};
    AL_TRY_CTX(err, index->load(graph, &src, &s->index, err), "segment");
    s->seg.index = s->index;
    return AL_OK;
}

/* The lengths of the rows once more, where a search of the text leg has them at hand; without them
 * if one is very long. */
static bool gather_lengths(struct al_segment *g)
{
    g->lengths = al_mem_array(g->mem, (size_t)g->n_rows + 1, sizeof *g->lengths);
    for (uint32_t i = 0; g->lengths && i < g->n_rows; i++) {
        if (g->rows[i].n_terms > UINT16_MAX) {
            al_mem_free(g->mem, g->lengths);
            g->lengths = NULL;
            return true;
        }
        g->lengths[i] = (uint16_t)g->rows[i].n_terms;
    }
    return g->lengths != NULL;
}

static enum al_code believe(struct al_sealed *s, const struct al_sealed_options *opt,
                            struct al_err *err)
{
    const struct al_seg_footer *f = &s->footer;
    AL_TRY(al_seg_footer_decode(s->map.p, s->map.n, &s->footer, err));
    AL_TRY(al_sealed_check_sums(s->map.p, f, err));
    if (f->analyzer_version != AL_ANALYZER_VERSION)
        return AL_FAIL_R(err, AL_DATA_LOSS, "SEGMENT_STALE", "segment: of analyzer %u, not %u",
                         f->analyzer_version, AL_ANALYZER_VERSION);
    if (!sizes_fit(f))
        return malformed(err, "section sizes");
    show_tables(s, opt);
    AL_TRY(al_sealed_check_tables(s, f->sections[AL_SECTION_BLOB].bytes, err));
    AL_TRY(settle_vectors(s, opt, err));
    if (al_segment_reserve(&s->seg, f->n_docs, f->n_spaces) != AL_OK || !gather_lengths(&s->seg))
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "segment: out of memory");
    for (uint32_t i = 0; i < f->n_docs; i++)
        al_segment_count(&s->seg, i);
    return AL_OK;
}

static struct al_sealed *sealed_alloc(const struct al_sealed_options *opt, struct al_err *err)
{
    struct al_sealed *s = al_mem_zalloc(opt->mem, sizeof *s);
    if (!s) {
        (void)AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "segment: out of memory");
        return NULL;
    }
    atomic_init(&s->refs, 1);
    s->seg.mem = opt->mem;
    return s;
}

enum al_code al_sealed_load_bytes(const struct al_sealed_options *opt, const uint8_t *p, size_t n,
                                  struct al_sealed **ret, struct al_err *err)
{
    struct al_sealed *s = sealed_alloc(opt, err);
    if (!s)
        return AL_RESOURCE_EXHAUSTED;
    s->map = (struct al_map){p, n};
    enum al_code code = believe(s, opt, err);
    if (code == AL_OK)
        *ret = s;
    else
        al_sealed_unref(s);
    return code;
}

enum al_code al_sealed_load(const struct al_sealed_options *opt, const char *name,
                            struct al_sealed **ret, struct al_err *err)
{
    char path[PATH_MAX];
    AL_TRY(al_sealed_path(opt->dir, name, path, sizeof path, err));
    struct al_sealed *s = sealed_alloc(opt, err);
    if (!s)
        return AL_RESOURCE_EXHAUSTED;
    snprintf(s->name, sizeof s->name, "%s", name);
    enum al_code code = opt->disk->ops->map(opt->disk, path, &s->map, err);
    if (code == AL_OK) {
        s->disk = opt->disk;
        code = believe(s, opt, err);
    } else if (code == AL_NOT_FOUND) {
        code = AL_FAIL(err, AL_DATA_LOSS, "segment: file '%s' is absent", path);
    }
    if (code == AL_OK)
        *ret = s;
    else
        al_sealed_unref(s);
    return code;
}

/* ---- deep check ---- */

/* Whether the block's postings, all read, stay below its bounds. */
static bool front_holds(const struct al_sealed *s, struct al_list *l)
{
    const uint32_t *tfs = al_list_tfs(l);
    const struct al_postings_view *v = &l->view;
    for (uint32_t i = 0; i < l->n; i++) {
        uint32_t length = s->seg.rows[l->rows[i]].n_terms;
        if (!al_front_covers(v->front, v->n_front, tfs[i], length))
            return false;
        if (v->blocks && !al_front_covers(v->blocks[l->block].front, AL_FRONT_MAX, tfs[i], length))
            return false;
    }
    return true;
}

static enum al_code check_list(const struct al_sealed *s, uint32_t term, struct al_err *err)
{
    struct al_postings_view v;
    struct al_list l;
    uint64_t n = 0;
    (void)al_terms_at(&s->terms, term, &v);
    for (al_list_init(&l, &v, s->seg.n_rows, true); l.n > 0; al_list_next_block(&l)) {
        n += l.n;
        if (!front_holds(s, &l))
            return malformed(err, "bounds of the postings");
    }
    bool varints = v.n_rows % AL_POSTINGS_BLOCK != 0;
    if (l.damaged || n != v.n_rows || (varints && l.next != v.p + v.n_bytes))
        return malformed(err, "postings");
    return AL_OK;
}

enum al_code al_sealed_check_deep(const struct al_sealed *s, struct al_err *err)
{
    for (uint32_t i = 0; i < s->footer.n_terms; i++)
        AL_TRY(check_list(s, i, err));
    struct al_arena a;
    al_arena_init(&a, s->seg.mem, 1u << 20);
    enum al_code code = AL_OK;
    for (uint32_t i = 0; code == AL_OK && i < s->seg.n_docs; i++) {
        struct al_doc d;
        const struct al_seg_doc *have = &s->seg.docs[i];
        code = al_doc_decode_attributes(al_segment_attributes(&s->seg, have), &a, &d, err);
        if (code == AL_OK && (d.docno != have->docno || d.space != have->space))
            code = malformed(err, "attributes");
        al_arena_reset(&a);
    }
    al_arena_fini(&a);
    return code;
}
