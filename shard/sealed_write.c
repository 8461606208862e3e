/* Writing a sealed file: one pass, section after section, from a growing segment. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "airlore/analyzer.h"
#include "sealed.h"

#define BUFFER_BYTES ((size_t)256 * 1024)

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "sealed segments are mapped as they are: little endian only"
#endif

_Static_assert(sizeof(struct al_seg_doc) == 48, "a document on disk");
_Static_assert(sizeof(struct al_seg_row) == 8, "a row on disk");
_Static_assert(sizeof(struct al_seg_space) == 32, "a space on disk");

/* A document's place in the file. */
struct place {
    uint32_t space;
    uint32_t doc; /* in the growing segment */
    uint64_t docno;
};

struct term_ref {
    struct al_str term;
    uint64_t hash;
    const struct al_postings *postings;
};

struct writer {
    const struct al_sealed_options *opt;
    struct al_growing *g;
    struct al_mem *mem;
    struct al_file file;
    uint64_t at;
    XXH3_state_t *hash; /* of the section in work */
    char *buffer;
    size_t n_buffer;
    struct al_seg_footer footer;
    struct place *places; /* n_docs */
    uint32_t *new_rows;   /* of each row of g */
    struct al_err *err;
};

static enum al_code out_of_memory(struct writer *w)
{
    return AL_FAIL(w->err, AL_RESOURCE_EXHAUSTED, "segment: out of memory");
}

static enum al_code check_cancel(struct writer *w)
{
    if (w->opt->cancel && w->opt->cancel(w->opt->cancel_u))
        return AL_FAIL(w->err, AL_CANCELLED, "segment: build cancelled");
    return AL_OK;
}

/* ---- bytes ---- */

static enum al_code flush(struct writer *w)
{
    if (w->n_buffer == 0)
        return AL_OK;
    struct al_disk *d = w->opt->disk;
    AL_TRY(d->ops->write(d, &w->file, w->buffer, w->n_buffer, w->err));
    w->n_buffer = 0;
    return check_cancel(w);
}

static enum al_code put(struct writer *w, const void *p, size_t n)
{
    const char *from = p;
    if (n)
        XXH3_64bits_update(w->hash, p, n);
    w->at += n;
    while (n > 0) {
        size_t take = BUFFER_BYTES - w->n_buffer < n ? BUFFER_BYTES - w->n_buffer : n;
        memcpy(w->buffer + w->n_buffer, from, take);
        w->n_buffer += take;
        from += take;
        n -= take;
        if (w->n_buffer == BUFFER_BYTES)
            AL_TRY(flush(w));
    }
    return AL_OK;
}

static void begin(struct writer *w, enum al_seg_section s)
{
    XXH3_64bits_reset(w->hash);
    w->footer.sections[s].at = w->at;
}

static enum al_code end(struct writer *w, enum al_seg_section s)
{
    static const char zeros[AL_SEG_ALIGN];
    w->footer.sections[s].bytes = w->at - w->footer.sections[s].at;
    w->footer.sections[s].hash = XXH3_64bits_digest(w->hash);
    return put(w, zeros, (AL_SEG_ALIGN - w->at % AL_SEG_ALIGN) % AL_SEG_ALIGN);
}

static enum al_code put_section(struct writer *w, enum al_seg_section s, const void *p, size_t n)
{
    begin(w, s);
    AL_TRY(put(w, p, n));
    return end(w, s);
}

/* ---- documents ---- */

static int cmp_places(const void *a, const void *b)
{
    const struct place *x = a;
    const struct place *y = b;
    if (x->space != y->space)
        return x->space < y->space ? -1 : 1;
    return x->docno < y->docno ? -1 : x->docno > y->docno;
}

static enum al_code order_docs(struct writer *w)
{
    const struct al_segment *s = &w->g->seg;
    w->places = al_mem_array(w->mem, (size_t)s->n_docs + 1, sizeof *w->places);
    w->new_rows = al_mem_array(w->mem, (size_t)s->n_rows + 1, sizeof *w->new_rows);
    if (!w->places || !w->new_rows)
        return out_of_memory(w);
    for (uint32_t i = 0; i < s->n_docs; i++)
        w->places[i] = (struct place){s->docs[i].space, i, s->docs[i].docno};
    qsort(w->places, s->n_docs, sizeof *w->places, cmp_places);
    uint32_t row = 0;
    for (uint32_t i = 0; i < s->n_docs; i++) {
        const struct al_seg_doc *d = &s->docs[w->places[i].doc];
        for (uint32_t k = 0; k < d->n_rows; k++)
            w->new_rows[d->row_first + k] = row++;
    }
    return AL_OK;
}

static enum al_code put_docs(struct writer *w)
{
    const struct al_segment *s = &w->g->seg;
    uint64_t blob = 0;
    uint32_t row = 0;
    uint32_t vec = 0;
    begin(w, AL_SECTION_DOCS);
    for (uint32_t i = 0; i < s->n_docs; i++) {
        struct al_seg_doc d = s->docs[w->places[i].doc];
        d.blob_at = blob;
        d.row_first = row;
        d.vec_first = vec;
        blob += (uint64_t)d.id_bytes + d.attr_bytes;
        row += d.n_rows;
        vec += d.n_vecs;
        AL_TRY(put(w, &d, sizeof d));
    }
    return end(w, AL_SECTION_DOCS);
}

static enum al_code put_rows(struct writer *w)
{
    const struct al_segment *s = &w->g->seg;
    begin(w, AL_SECTION_ROWS);
    for (uint32_t i = 0; i < s->n_docs; i++) {
        const struct al_seg_doc *d = &s->docs[w->places[i].doc];
        for (uint32_t k = 0; k < d->n_rows; k++) {
            struct al_seg_row row = {i, s->rows[d->row_first + k].n_terms};
            AL_TRY(put(w, &row, sizeof row));
        }
    }
    return end(w, AL_SECTION_ROWS);
}

static enum al_code put_spaces(struct writer *w)
{
    const struct al_segment *s = &w->g->seg;
    begin(w, AL_SECTION_SPACES);
    uint32_t row = 0;
    for (uint32_t i = 0; i < s->n_docs;) {
        struct al_seg_space space = {.space = w->places[i].space, .doc_first = i, .row_first = row};
        for (; i < s->n_docs && w->places[i].space == space.space; i++) {
            const struct al_seg_doc *d = &s->docs[w->places[i].doc];
            for (uint32_t k = 0; k < d->n_rows; k++)
                space.n_terms += s->rows[d->row_first + k].n_terms;
            row += d->n_rows;
        }
        space.n_docs = i - space.doc_first;
        space.n_rows = row - space.row_first;
        w->footer.n_spaces++;
        AL_TRY(put(w, &space, sizeof space));
    }
    return end(w, AL_SECTION_SPACES);
}

static enum al_code put_blob(struct writer *w)
{
    const struct al_segment *s = &w->g->seg;
    begin(w, AL_SECTION_BLOB);
    for (uint32_t i = 0; i < s->n_docs; i++) {
        const struct al_seg_doc *d = &s->docs[w->places[i].doc];
        AL_TRY(put(w, s->blob + d->blob_at, (size_t)d->id_bytes + d->attr_bytes));
    }
    return end(w, AL_SECTION_BLOB);
}

static enum al_code put_vectors(struct writer *w)
{
    const struct al_segment *s = &w->g->seg;
    begin(w, AL_SECTION_VEC_ROWS);
    for (uint32_t i = 0; s->n_vecs < s->n_rows && i < s->n_docs; i++) {
        const struct al_seg_doc *d = &s->docs[w->places[i].doc];
        for (uint32_t v = d->vec_first; v < d->vec_first + d->n_vecs; v++)
            AL_TRY(put(w, &w->new_rows[s->vec_rows[v]], sizeof(uint32_t)));
    }
    AL_TRY(end(w, AL_SECTION_VEC_ROWS));
    begin(w, AL_SECTION_VECTORS);
    for (uint32_t i = 0; i < s->n_docs; i++) {
        const struct al_seg_doc *d = &s->docs[w->places[i].doc];
        AL_TRY(put(w, s->vectors + (size_t)d->vec_first * s->dim,
                   (size_t)d->n_vecs * s->dim * sizeof(float)));
    }
    return end(w, AL_SECTION_VECTORS);
}

/* ---- terms ---- */

static int cmp_terms(const void *a, const void *b)
{
    const struct term_ref *x = a;
    const struct term_ref *y = b;
    return al_term_order(x->hash, x->term, y->hash, y->term);
}

static int cmp_postings(const void *a, const void *b)
{
    const struct al_posting *x = a;
    const struct al_posting *y = b;
    return x->row < y->row ? -1 : x->row > y->row;
}

/* The terms while they are written: long lists go straight to the file, the rest waits behind
 * them. */
struct term_sections {
    struct al_terms_writer terms;
    struct al_posting *postings; /* n_rows */
    uint8_t *lengths;            /* code of each row's length */
};

static enum al_code put_term(struct writer *w, struct term_sections *t, const struct term_ref *ref)
{
    const struct al_postings *p = ref->postings;
    struct al_postings_view v = {.p = p->p, .n_bytes = p->n_bytes, .n_rows = p->n_rows};
    struct al_list l;
    uint32_t n = 0;
    bool sorted = true;
    for (al_list_init(&l, &v, w->g->seg.n_rows, false); l.n > 0; al_list_next(&l)) {
        t->postings[n] = (struct al_posting){w->new_rows[al_list_row(&l)], al_list_tf(&l)};
        sorted = sorted && (n == 0 || t->postings[n].row > t->postings[n - 1].row);
        n++;
    }
    if (!sorted)
        qsort(t->postings, n, sizeof *t->postings, cmp_postings);
    al_terms_add(&t->terms, ref->term, t->postings, n, t->lengths);
    return put(w, t->terms.postings.p, t->terms.postings.n);
}

/* Codes of the rows' lengths, in the order of the file. */
static void code_lengths(const struct writer *w, uint8_t *lengths)
{
    const struct al_segment *s = &w->g->seg;
    for (uint32_t i = 0; i < s->n_rows; i++)
        lengths[w->new_rows[i]] = al_length_code(s->rows[i].n_terms);
}

static enum al_code put_dictionary(struct writer *w, const struct al_terms_writer *t)
{
    struct al_buf b;
    al_buf_init(&b, w->mem, SIZE_MAX / 2);
    al_terms_encode(t, &b);
    enum al_code code = al_buf_status(&b, w->err);
    if (code == AL_OK)
        code = put_section(w, AL_SECTION_TERMS, b.p, b.n);
    al_buf_fini(&b);
    AL_TRY(code);
    w->footer.n_terms = t->n_terms;
    return put_section(w, AL_SECTION_TERM_TEXT, t->records.p, t->records.n);
}

static enum al_code put_terms_in(struct writer *w, struct term_sections *t, struct term_ref *refs)
{
    size_t n = 0;
    for (size_t i = 0; i < w->g->n_terms; i++) {
        const struct al_growing_term *g = &w->g->terms[i];
        if (g->postings.n_rows > 0)
            refs[n++] =
                (struct term_ref){{w->g->term_bytes + g->at, g->n_bytes}, g->hash, &g->postings};
    }
    qsort(refs, n, sizeof *refs, cmp_terms);
    code_lengths(w, t->lengths);
    begin(w, AL_SECTION_POSTINGS);
    for (size_t i = 0; i < n; i++)
        AL_TRY(put_term(w, t, &refs[i]));
    AL_TRY(end(w, AL_SECTION_POSTINGS));
    AL_TRY(al_terms_status(&t->terms, w->err));
    AL_TRY(put_section(w, AL_SECTION_BLOCKS, t->terms.blocks.p, t->terms.blocks.n));
    return put_dictionary(w, &t->terms);
}

static enum al_code put_terms(struct writer *w)
{
    struct term_sections t = {0};
    size_t n_rows = (size_t)w->g->seg.n_rows + 1;
    al_terms_writer_init(&t.terms, w->mem);
    t.postings = al_mem_array(w->mem, n_rows, sizeof *t.postings);
    t.lengths = al_mem_array(w->mem, n_rows, sizeof *t.lengths);
    struct term_ref *refs = al_mem_array(w->mem, w->g->n_terms + 1, sizeof *refs);
    enum al_code code =
        t.postings && t.lengths && refs ? put_terms_in(w, &t, refs) : out_of_memory(w);
    al_mem_free(w->mem, refs);
    al_mem_free(w->mem, t.lengths);
    al_mem_free(w->mem, t.postings);
    al_terms_writer_fini(&t.terms);
    return code;
}

/* ---- graph ---- */

/* Build over the vectors as they lie in the file so far. */
static enum al_code build_graph(struct writer *w, const char *path, struct al_buf *ret)
{
    struct al_disk *d = w->opt->disk;
    struct al_map map;
    uint64_t at = w->footer.sections[AL_SECTION_VECTORS].at;
    AL_TRY(flush(w));
    AL_TRY(d->ops->map(d, path, &map, w->err));
    struct al_index *ix = NULL;
    enum al_code code = AL_OK;
    if (map.n < at + w->footer.sections[AL_SECTION_VECTORS].bytes)
        code = AL_FAIL(w->err, AL_DATA_LOSS, "segment: file '%s' is shorter than written", path);
    if (code == AL_OK)
        code = w->opt->index->build(
            &(struct al_index_source){
                .rows = (const float *)(const void *)(map.p + at),
                .n_rows = w->footer.n_vecs,
                .dim = w->footer.dim,
                .mem = w->mem,
                .cancel = w->opt->cancel,
                .cancel_u = w->opt->cancel_u,
                .n_threads = w->opt->index_threads,
            },
            &ix, w->err);
    if (code == AL_OK)
        code = ix->ops->save(ix, ret, w->err);
    if (ix)
        ix->ops->destroy(ix);
    d->ops->unmap(d, &map);
    return code;
}

static enum al_code put_graph(struct writer *w, const char *path)
{
    struct al_buf graph;
    al_buf_init(&graph, w->mem, SIZE_MAX / 2);
    enum al_code code = AL_OK;
    if (w->footer.n_vecs > w->opt->scan_rows_max)
        code = build_graph(w, path, &graph);
    if (code == AL_OK)
        code = put_section(w, AL_SECTION_GRAPH, graph.p, graph.n);
    al_buf_fini(&graph);
    return code;
}

/* ---- file ---- */

static enum al_code put_all(struct writer *w, const char *path)
{
    AL_TRY(order_docs(w));
    AL_TRY(put_docs(w));
    AL_TRY(put_rows(w));
    AL_TRY(put_spaces(w));
    AL_TRY(put_blob(w));
    AL_TRY(put_vectors(w));
    al_growing_drop_vectors(w->g);
    AL_TRY(put_terms(w));
    AL_TRY(put_graph(w, path));
    struct al_buf footer;
    al_buf_init(&footer, w->mem, 0);
    al_seg_footer_encode(&w->footer, &footer);
    enum al_code code = al_buf_status(&footer, w->err);
    if (code == AL_OK)
        code = put(w, footer.p, footer.n);
    al_buf_fini(&footer);
    AL_TRY(code);
    return flush(w);
}

static enum al_code write_file(struct writer *w, const char *path)
{
    struct al_disk *d = w->opt->disk;
    AL_TRY(d->ops->open(d, path, AL_DISK_CREATE, 0600, &w->file, w->err));
    enum al_code code = put_all(w, path);
    if (code == AL_OK)
        code = d->ops->sync(d, &w->file, w->err);
    struct al_err ignored;
    enum al_code closed = d->ops->close(d, &w->file, code == AL_OK ? w->err : &ignored);
    return code == AL_OK ? closed : code;
}

enum al_code al_sealed_path(const char *dir, const char *name, char *buf, size_t n,
                            struct al_err *err)
{
    int len = snprintf(buf, n, "%s/%s", dir, name);
    if (len < 0 || (size_t)len >= n)
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "segment: path of '%.100s' is too long", dir);
    return AL_OK;
}

static enum al_code write_and_rename(struct writer *w, struct al_sealed_file *file)
{
    struct al_disk *d = w->opt->disk;
    char from[PATH_MAX];
    char to[PATH_MAX];
    AL_TRY(al_sealed_path(w->opt->dir, file->temp, from, sizeof from, w->err));
    enum al_code code = write_file(w, from);
    if (code == AL_OK) {
        snprintf(file->name, sizeof file->name, "%llu-%llu-%016llx.seg",
                 (unsigned long long)w->footer.first, (unsigned long long)w->footer.last,
                 (unsigned long long)w->footer.content_hash);
        code = al_sealed_path(w->opt->dir, file->name, to, sizeof to, w->err);
    }
    if (code == AL_OK)
        code = d->ops->rename(d, from, to, w->err);
    if (code == AL_OK)
        return d->ops->sync_dir(d, w->opt->dir, w->err);
    struct al_err ignored;
    (void)!d->ops->remove(d, from, &ignored);
    return code;
}

enum al_code al_sealed_write(const struct al_sealed_options *opt, struct al_growing *g,
                             struct al_sealed_file *file, struct al_err *err)
{
    XXH3_state_t hash; /* asks for more alignment than memory from a port has */
    XXH3_INITSTATE(&hash);
    struct writer w = {
        .opt = opt, .g = g, .mem = opt->mem, .file = {-1}, .hash = &hash, .err = err};
    w.footer = (struct al_seg_footer){
        .format = AL_SEG_FORMAT,
        .analyzer_version = AL_ANALYZER_VERSION,
        .dim = opt->dim,
        .n_docs = g->seg.n_docs,
        .n_rows = g->seg.n_rows,
        .n_vecs = g->seg.n_vecs,
        .first = file->first,
        .last = file->last,
    };
    snprintf(w.footer.index_name, sizeof w.footer.index_name, "%s", opt->index->name);
    snprintf(w.footer.embedder_id, sizeof w.footer.embedder_id, AL_STR_FMT,
             AL_STR_ARG(opt->embedder_id));
    w.buffer = al_mem_alloc(opt->mem, BUFFER_BYTES);
    enum al_code code = w.buffer ? write_and_rename(&w, file) : out_of_memory(&w);
    al_mem_free(opt->mem, w.buffer);
    al_mem_free(opt->mem, w.places);
    al_mem_free(opt->mem, w.new_rows);
    return code;
}
