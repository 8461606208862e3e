/* Documents and rows. What is read is applied: the store holds nothing else. */
#include <inttypes.h>
#include <string.h>

#include "shard_impl.h"

#define LIST_LOOKED_AT_MAX 10000u
#define PAGE_MAX 1000u
#define GET_TRIES 8u /* a document replaced between its two reads is read again */

static enum al_code get(struct al_shard *s, struct al_store *st, enum al_family f,
                        const struct al_key *k, struct al_buf *ret, struct al_err *err)
{
    struct al_err e = {0};
    enum al_code code = st->ops->get(st, f, al_key_view(k), ret, &e);
    al_shard_note(s, code, &e);
    if (code != AL_OK && err)
        *err = e;
    return code;
}

static enum al_code fail_absent(struct al_str id, struct al_err *err)
{
    return AL_FAIL(err, AL_NOT_FOUND, "document '" AL_STR_FMT "': not found",
                   (int)(id.n > 80 ? 80 : id.n), id.p);
}

/* ---- documents ---- */

/* AL_ABORTED: replaced meanwhile. */
static enum al_code read_vectors(struct al_shard *s, struct al_store *st, struct al_arena *a,
                                 struct al_doc *d, struct al_err *err)
{
    struct al_key k = al_key_u64(d->docno);
    struct al_buf b;
    al_buf_init(&b, al_arena_mem(a), 0);
    enum al_code code = get(s, st, AL_FAMILY_CHUNK, &k, &b, err);
    if (code == AL_NOT_FOUND)
        return AL_FAIL(err, AL_ABORTED, "document: changed while it was read");
    AL_TRY(code);
    struct al_chunk_row row;
    AL_TRY(al_chunk_row_decode(al_buf_view(&b), &row, err));
    if (row.n_chunks != d->n_chunks || (row.dim && row.dim != s->opt.dim))
        return AL_FAIL_R(err, AL_DATA_LOSS, "DATA_CORRUPT", "vectors: not those of the document");
    return al_chunk_row_vectors(&row, a, &d->vectors, err);
}

static enum al_code read_doc(struct al_shard *s, struct al_store *st, const struct al_key *key,
                             bool with_vectors, struct al_arena *a, struct al_doc *ret,
                             struct al_err *err)
{
    struct al_buf b;
    al_buf_init(&b, al_arena_mem(a), 0);
    AL_TRY(get(s, st, AL_FAMILY_DOC, key, &b, err));
    struct al_doc d;
    AL_TRY(al_doc_decode(al_buf_view(&b), a, &d, err));
    if (with_vectors)
        AL_TRY(read_vectors(s, st, a, &d, err));
    *ret = d;
    return AL_OK;
}

static enum al_code check_id(struct al_str id, struct al_err *err)
{
    if (id.n == 0 || id.n > AL_DOC_ID_BYTES_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_FORMAT", "id is %zu bytes, must be 1 to %u",
                         id.n, AL_DOC_ID_BYTES_MAX);
    return AL_OK;
}

enum al_code al_shard_get_doc(struct al_shard *s, uint32_t space, struct al_str id,
                              bool with_vectors, struct al_arena *a, struct al_doc *ret,
                              struct al_err *err)
{
    AL_TRY(al_shard_check_open(s, err));
    AL_TRY(check_id(id, err));
    struct al_key key = al_key_doc(space, id);
    struct al_store *st = NULL;
    AL_TRY(al_shard_acquire_store(s, &st, err));
    struct al_err e = {0};
    enum al_code code = AL_ABORTED;
    for (unsigned i = 0; i < GET_TRIES && code == AL_ABORTED; i++)
        code = read_doc(s, st, &key, with_vectors, a, ret, &e);
    al_shard_release_store(s);
    if (code == AL_NOT_FOUND)
        return fail_absent(id, err);
    if (code != AL_OK && err)
        *err = e;
    return al_shard_note(s, code, &e);
}

enum al_code al_shard_get_bytes(struct al_shard *s, uint32_t space, struct al_str id, uint64_t *ret,
                                struct al_err *err)
{
    AL_TRY(al_shard_check_open(s, err));
    AL_TRY(check_id(id, err));
    struct al_key key = al_key_doc(space, id);
    struct al_store *st = NULL;
    AL_TRY(al_shard_acquire_store(s, &st, err));
    struct al_buf b;
    al_buf_init(&b, s->opt.mem, 0);
    enum al_code code = get(s, st, AL_FAMILY_DOC, &key, &b, err);
    al_shard_release_store(s);
    if (code == AL_OK)
        *ret = b.n;
    al_buf_fini(&b);
    return code == AL_NOT_FOUND ? fail_absent(id, err) : code;
}

enum al_code al_shard_get_hash(struct al_shard *s, uint32_t space, struct al_str id,
                               uint8_t ret_hash[32], struct al_err *err)
{
    AL_TRY(al_shard_check_open(s, err));
    AL_TRY(check_id(id, err));
    struct al_key key = al_key_doc(space, id);
    struct al_store *st = NULL;
    AL_TRY(al_shard_acquire_store(s, &st, err));
    struct al_buf b;
    al_buf_init(&b, s->opt.mem, 0);
    enum al_code code = get(s, st, AL_FAMILY_DOC, &key, &b, err);
    al_shard_release_store(s);
    struct al_doc_head head = {0};
    if (code == AL_OK)
        code = al_doc_peek(al_buf_view(&b), &head, err);
    al_buf_fini(&b);
    if (code == AL_OK)
        memcpy(ret_hash, head.content_hash, sizeof(head.content_hash));
    return code == AL_NOT_FOUND ? fail_absent(id, err) : code;
}

/* ---- lists ---- */

static bool has_space(const struct al_list_query *q, uint32_t space)
{
    size_t lo = 0;
    size_t hi = q->n_spaces;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (q->spaces[mid] < space)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < q->n_spaces && q->spaces[lo] == space;
}

/* Take the document into the page if it matches. scratch holds nothing that is kept. */
static enum al_code consider(const struct al_list_query *q, struct al_str value,
                             struct al_arena *scratch, struct al_arena *a, struct al_doc_page *page,
                             struct al_err *err)
{
    struct al_doc d;
    al_arena_reset(scratch);
    AL_TRY(al_doc_decode_attributes(value, scratch, &d, err));
    if (q->source.n && !al_str_eq(d.source, q->source))
        return AL_OK;
    if (!al_filter_match(q->filter, &d))
        return AL_OK;
    /* the attributes end where the chunks begin; copying the value whole would copy bodies */
    struct al_buf b;
    al_buf_init(&b, al_arena_mem(a), 0);
    al_doc_encode_attributes(&d, &b);
    AL_TRY(al_buf_status(&b, err));
    AL_TRY(al_doc_decode_attributes(al_buf_view(&b), a, &page->docs[page->n_docs], err));
    page->n_docs++;
    return AL_OK;
}

struct list_walk {
    const struct al_list_query *q;
    struct al_store_iter *it;
    const struct al_store_ops *ops;
    struct al_arena *a;
    struct al_arena scratch;
    struct al_key at; /* the last key looked at */
};

static enum al_code walk_page(struct list_walk *w, struct al_doc_page *page, bool *ret_more,
                              struct al_err *err)
{
    uint32_t looked_at = 0;
    *ret_more = false;
    while (w->ops->iter_valid(w->it)) {
        if (page->n_docs == w->q->limit || looked_at == LIST_LOOKED_AT_MAX) {
            *ret_more = true;
            return AL_OK;
        }
        struct al_str key = w->ops->iter_key(w->it);
        uint16_t slot = 0;
        uint32_t space = 0;
        struct al_str id;
        if (!al_key_doc_parse(key, &slot, &space, &id) || key.n > sizeof(w->at.p))
            return AL_FAIL_R(err, AL_DATA_LOSS, "DATA_CORRUPT", "store: a document's key");
        if (has_space(w->q, space))
            AL_TRY(consider(w->q, w->ops->iter_value(w->it), &w->scratch, w->a, page, err));
        memcpy(w->at.p, key.p, key.n);
        w->at.n = key.n;
        looked_at++;
        w->ops->iter_next(w->it);
    }
    return w->ops->iter_status(w->it, err);
}

static void seek_after(const struct al_store_ops *ops, struct al_store_iter *it,
                       struct al_str after)
{
    ops->iter_seek(it, after);
    if (after.n && ops->iter_valid(it) && al_str_eq(ops->iter_key(it), after))
        ops->iter_next(it);
}

static enum al_code list_docs(struct al_shard *s, struct al_store *st,
                              const struct al_list_query *q, struct al_arena *a,
                              struct al_doc_page *ret, struct al_err *err)
{
    struct list_walk w = {.q = q, .ops = st->ops, .a = a};
    struct al_doc_page page = {.docs = al_arena_array(a, q->limit, sizeof(*page.docs))};
    if (!page.docs)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "list: out of memory");
    AL_TRY(st->ops->iter_create(st, AL_FAMILY_DOC, &w.it, err));
    al_arena_init(&w.scratch, s->opt.mem, 16u << 20);
    seek_after(st->ops, w.it, q->after);
    bool more = false;
    enum al_code code = walk_page(&w, &page, &more, err);
    if (code == AL_OK && more)
        code = al_arena_str(a, al_key_view(&w.at), &page.after, err);
    al_arena_fini(&w.scratch);
    st->ops->iter_destroy(w.it);
    if (code == AL_OK)
        *ret = page;
    return code;
}

enum al_code al_shard_list_docs(struct al_shard *s, const struct al_list_query *q,
                                struct al_arena *a, struct al_doc_page *ret, struct al_err *err)
{
    AL_TRY(al_shard_check_open(s, err));
    if (q->limit == 0 || q->limit > PAGE_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "OUT_OF_RANGE",
                         "list: limit is %u, must be 1 to %u", q->limit, PAGE_MAX);
    struct al_store *st = NULL;
    AL_TRY(al_shard_acquire_store(s, &st, err));
    struct al_err e = {0};
    enum al_code code = list_docs(s, st, q, a, ret, &e);
    al_shard_release_store(s);
    if (code != AL_OK && err)
        *err = e;
    return al_shard_note(s, code, &e);
}

/* ---- rows ---- */

enum al_code al_shard_get_row(struct al_shard *s, uint8_t table, uint32_t space, struct al_str key,
                              struct al_arena *a, struct al_str *ret, uint64_t *ret_version,
                              struct al_err *err)
{
    AL_TRY(al_shard_check_open(s, err));
    AL_TRY(check_id(key, err));
    struct al_key k = al_key_row(table, space, key);
    struct al_store *st = NULL;
    AL_TRY(al_shard_acquire_store(s, &st, err));
    struct al_buf b;
    al_buf_init(&b, al_arena_mem(a), 0);
    enum al_code code = get(s, st, AL_FAMILY_ROW, &k, &b, err);
    al_shard_release_store(s);
    if (code == AL_NOT_FOUND)
        return AL_FAIL(err, AL_NOT_FOUND, "row: not found");
    AL_TRY(code);
    return al_row_value_decode(al_buf_view(&b), ret_version, ret, err);
}

struct row_walk {
    const struct al_store_ops *ops;
    struct al_store_iter *it;
    struct al_str prefix;
    uint32_t limit;
    struct al_row *rows;
    size_t n;
    size_t cap;
};

static enum al_code walk_rows(struct row_walk *w, struct al_arena *a, struct al_err *err)
{
    for (; w->n < w->limit && w->ops->iter_valid(w->it); w->ops->iter_next(w->it)) {
        struct al_str key = w->ops->iter_key(w->it);
        if (!al_str_starts(key, w->prefix))
            return AL_OK;
        if (al_mem_grow(al_arena_mem(a), (void **)&w->rows, &w->cap, w->n + 1, sizeof(*w->rows)) !=
            AL_OK)
            return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "rows: out of memory");
        struct al_row *row = &w->rows[w->n];
        struct al_reader r = al_reader_of(al_str_sub(key, 1, 4));
        row->space = al_reader_u32be(&r);
        AL_TRY(al_arena_str(a, al_str_sub(key, 5, key.n), &row->key, err));
        struct al_str value;
        AL_TRY(al_row_value_decode(w->ops->iter_value(w->it), &row->version, &value, err));
        AL_TRY(al_arena_str(a, value, &row->value, err));
        w->n++;
    }
    return w->ops->iter_status(w->it, err);
}

enum al_code al_shard_scan_rows(struct al_shard *s, uint8_t table, uint32_t space,
                                struct al_str prefix, struct al_str after, uint32_t limit,
                                struct al_arena *a, struct al_row **ret, size_t *ret_n,
                                struct al_err *err)
{
    AL_TRY(al_shard_check_open(s, err));
    if (prefix.n > AL_DOC_ID_BYTES_MAX || after.n > AL_DOC_ID_BYTES_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_FORMAT", "rows: key longer than %u bytes",
                         AL_DOC_ID_BYTES_MAX);
    struct al_key first = al_key_row(table, space, prefix);
    struct al_key last = al_key_row(table, space, after);
    bool go_on = after.n && al_str_cmp(al_key_view(&last), al_key_view(&first)) >= 0;
    struct al_store *st = NULL;
    AL_TRY(al_shard_acquire_store(s, &st, err));
    struct row_walk w = {.ops = st->ops, .prefix = al_key_view(&first), .limit = limit};
    struct al_err e = {0};
    enum al_code code = st->ops->iter_create(st, AL_FAMILY_ROW, &w.it, &e);
    if (code == AL_OK) {
        if (go_on)
            seek_after(st->ops, w.it, al_key_view(&last));
        else
            st->ops->iter_seek(w.it, al_key_view(&first));
        code = walk_rows(&w, a, &e);
        st->ops->iter_destroy(w.it);
    }
    al_shard_release_store(s);
    if (code != AL_OK) {
        if (err)
            *err = e;
        return al_shard_note(s, code, &e);
    }
    *ret = w.rows;
    *ret_n = w.n;
    return AL_OK;
}

enum al_code al_shard_list_segments(struct al_shard *s, struct al_arena *a,
                                    struct al_segment_status **ret, size_t *ret_n,
                                    struct al_err *err)
{
    AL_TRY(al_shard_check_open(s, err));
    return al_segset_list(s->segs, a, ret, ret_n, err);
}
