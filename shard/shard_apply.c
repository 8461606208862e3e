/* One entry applied: its effects go into the group's batch, what they change in memory is listed
 * for after the sync. */
#include <inttypes.h>
#include <string.h>

#include "shard_impl.h"

#define OVERLAY_BUCKETS 4096u
#define WRITE_ID_FORMAT 1u
#define EXPIRED_MAX 512u /* write ids dropped in a group at most: more than a group brings */

enum al_code al_apply_init(struct al_apply *x, struct al_shard *s, struct al_store *store,
                           struct al_err *err)
{
    memset(x, 0, sizeof(*x));
    x->s = s;
    x->store = store;
    al_arena_init(&x->a, s->opt.mem, AL_SHARD_GROUP_ARENA_BYTES);
    enum al_code code = al_overlay_init(&x->overlay, &x->a, OVERLAY_BUCKETS, err);
    if (code == AL_OK)
        code = store->ops->batch_create(store, &x->batch, err);
    if (code != AL_OK)
        al_apply_fini(x);
    return code;
}

void al_apply_fini(struct al_apply *x)
{
    if (x->batch)
        x->store->ops->batch_destroy(x->batch);
    x->batch = NULL;
    al_arena_fini(&x->a);
}

static enum al_code fail_memory(struct al_err *err)
{
    return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "shard: out of memory");
}

/* A value of the store in the group's arena. */
static enum al_code get_value(struct al_apply *x, enum al_family f, struct al_str key,
                              struct al_str *ret, struct al_err *err)
{
    struct al_buf b;
    al_buf_init(&b, al_arena_mem(&x->a), 0);
    AL_TRY(x->store->ops->get(x->store, f, key, &b, err));
    *ret = al_buf_view(&b);
    return AL_OK;
}

/* ---- documents ---- */

static enum al_code find_doc(struct al_apply *x, struct al_str key, struct al_overlay_item **ret,
                             struct al_err *err)
{
    struct al_overlay_item *item = al_overlay_find(&x->overlay, AL_FAMILY_DOC, key);
    if (item) {
        *ret = item;
        return AL_OK;
    }
    struct al_buf b;
    al_buf_init(&b, x->s->opt.mem, 0);
    struct al_doc_head head = {0};
    struct al_err e = {0};
    enum al_code code = x->store->ops->get(x->store, AL_FAMILY_DOC, key, &b, &e);
    bool present = code == AL_OK;
    if (present)
        code = al_doc_peek(al_buf_view(&b), &head, &e);
    al_buf_fini(&b);
    if (code != AL_OK && code != AL_NOT_FOUND) {
        if (err)
            *err = e;
        return code;
    }
    item = al_overlay_add(&x->overlay, AL_FAMILY_DOC, key);
    if (!item)
        return fail_memory(err);
    item->present = present;
    item->head = head;
    item->version = head.docno >> AL_DOCNO_OP_BITS;
    *ret = item;
    return AL_OK;
}

static bool holds(const struct al_entry_op *op, const struct al_overlay_item *now)
{
    switch (op->condition) {
    case AL_IF_ANY:
        return true;
    case AL_IF_ABSENT:
        return !now->present;
    case AL_IF_VERSION:
        return now->present && now->version == op->version;
    }
    return false;
}

static enum al_code list_change(struct al_apply *x, struct al_segment_change change,
                                struct al_err *err)
{
    struct al_segment_change *c = al_arena_alloc(&x->a, sizeof(*c));
    if (!c)
        return fail_memory(err);
    *c = change;
    c->next = NULL;
    if (x->last)
        x->last->next = c;
    else
        x->first = c;
    x->last = c;
    return AL_OK;
}

/* The version that is there leaves the store; the segments follow later. */
static enum al_code kill_doc(struct al_apply *x, const struct al_overlay_item *old,
                             struct al_err *err)
{
    struct al_key k = al_key_u64(old->head.docno);
    x->store->ops->batch_delete(x->batch, AL_FAMILY_CHUNK, al_key_view(&k));
    if (old->head.docno >> AL_DOCNO_OP_BITS <= x->s->cover) {
        uint32_t space = old->head.space;
        const char value[4] = {(char)(uint8_t)(space >> 24), (char)(uint8_t)(space >> 16),
                               (char)(uint8_t)(space >> 8), (char)(uint8_t)space};
        x->store->ops->batch_put(x->batch, AL_FAMILY_DEAD, al_key_view(&k),
                                 (struct al_str){value, sizeof(value)});
    }
    struct al_space_count less = {.space = old->head.space,
                                  .docs = -(uint64_t)1,
                                  .chunks = -(uint64_t)old->head.n_chunks,
                                  .bytes = -old->head.bytes};
    return al_shard_count(x->s, &less, err);
}

static enum al_code put_chunk_row(struct al_apply *x, uint64_t docno, const struct al_entry_op *op,
                                  struct al_str id, struct al_err *err)
{
    struct al_chunk_row row = {.space = op->space,
                               .id = id,
                               .n_chunks = op->n_chunks,
                               .dim = op->dim,
                               .vectors = op->vectors};
    struct al_buf b;
    al_buf_init(&b, x->s->opt.mem, 0);
    al_chunk_row_encode(&row, &b);
    enum al_code code = al_buf_status(&b, err);
    struct al_key k = al_key_u64(docno);
    if (code == AL_OK)
        x->store->ops->batch_put(x->batch, AL_FAMILY_CHUNK, al_key_view(&k), al_buf_view(&b));
    al_buf_fini(&b);
    return code;
}

static enum al_code insert_doc(struct al_apply *x, uint64_t docno, const struct al_entry_op *op,
                               const struct al_doc *d, struct al_overlay_item *item,
                               struct al_err *err)
{
    struct al_doc_head head = {.docno = docno,
                               .created_ms = d->created_ms ? d->created_ms : x->time_ms,
                               .updated_ms = d->updated_ms ? d->updated_ms : x->time_ms,
                               .revision = 1};
    /* deleted by this very entry: it is stored anew, not another one */
    if (item->present || item->deleted_by == x->index) {
        head.created_ms = item->head.created_ms;
        head.revision = item->head.revision + 1;
    }
    struct al_str bytes = {0};
    AL_TRY(al_arena_str(&x->a, op->value, &bytes, err));
    char *p = (char *)(uintptr_t)bytes.p;
    al_doc_patch(p, &head);
    x->store->ops->batch_put(x->batch, AL_FAMILY_DOC, item->key, bytes);
    AL_TRY(put_chunk_row(x, docno, op, d->id, err));
    struct al_space_count more = {
        .space = op->space, .docs = 1, .chunks = op->n_chunks, .bytes = bytes.n};
    AL_TRY(al_shard_count(x->s, &more, err));
    struct al_segment_change add = {.space = op->space,
                                    .removes = item->present,
                                    .old_docno = item->head.docno,
                                    .adds = true,
                                    .doc = bytes,
                                    .dim = op->dim};
    AL_TRY(al_arena_str(&x->a, op->vectors, &add.vectors, err)); /* may outlive the entry */
    AL_TRY(list_change(x, add, err));
    item->present = true;
    item->version = x->index;
    return al_doc_peek(bytes, &item->head, err);
}

static enum al_code put_doc(struct al_apply *x, size_t at, const struct al_entry_op *op,
                            enum al_outcome *ret, struct al_err *err)
{
    struct al_doc d;
    struct al_doc_head head;
    AL_TRY(al_doc_decode_attributes(op->value, &x->a, &d, err));
    AL_TRY(al_doc_peek(op->value, &head, err));
    struct al_key key = al_key_doc(op->space, d.id);
    struct al_overlay_item *item = NULL;
    AL_TRY(find_doc(x, al_key_view(&key), &item, err));
    AL_ASSERT(item);
    if (!holds(op, item)) {
        *ret = AL_OUTCOME_CONDITION;
        return AL_OK;
    }
    bool same = item->present && item->head.maker == head.maker &&
                memcmp(item->head.content_hash, head.content_hash, sizeof(head.content_hash)) == 0;
    if (same) {
        *ret = AL_OUTCOME_SKIPPED;
        return AL_OK;
    }
    *ret = item->present ? AL_OUTCOME_UPDATED : AL_OUTCOME_INSERTED;
    if (item->present)
        AL_TRY(kill_doc(x, item, err));
    return insert_doc(x, x->index << AL_DOCNO_OP_BITS | at, op, &d, item, err);
}

static enum al_code delete_doc(struct al_apply *x, const struct al_entry_op *op,
                               enum al_outcome *ret, struct al_err *err)
{
    struct al_key key = al_key_doc(op->space, op->id);
    struct al_overlay_item *item = NULL;
    AL_TRY(find_doc(x, al_key_view(&key), &item, err));
    AL_ASSERT(item);
    if (!item->present) {
        *ret = op->condition == AL_IF_VERSION ? AL_OUTCOME_CONDITION : AL_OUTCOME_ABSENT;
        return AL_OK;
    }
    if (!holds(op, item)) {
        *ret = AL_OUTCOME_CONDITION;
        return AL_OK;
    }
    AL_TRY(kill_doc(x, item, err));
    x->store->ops->batch_delete(x->batch, AL_FAMILY_DOC, al_key_view(&key));
    struct al_segment_change gone = {
        .space = op->space, .removes = true, .old_docno = item->head.docno};
    AL_TRY(list_change(x, gone, err));
    item->present = false;
    item->deleted_by = x->index;
    *ret = AL_OUTCOME_DELETED;
    return AL_OK;
}

/* ---- rows ---- */

enum al_code al_row_value_decode(struct al_str bytes, uint64_t *ret_version,
                                 struct al_str *ret_value, struct al_err *err)
{
    struct al_reader r = al_reader_of(bytes);
    uint64_t version = al_reader_u64be(&r);
    if (r.failed)
        return AL_FAIL_R(err, AL_DATA_LOSS, "DATA_CORRUPT", "row: encoding is damaged");
    *ret_version = version;
    *ret_value = al_str_sub(bytes, 8, bytes.n - 8);
    return AL_OK;
}

static enum al_code find_row(struct al_apply *x, struct al_str key, struct al_overlay_item **ret,
                             struct al_err *err)
{
    struct al_overlay_item *item = al_overlay_find(&x->overlay, AL_FAMILY_ROW, key);
    if (item) {
        *ret = item;
        return AL_OK;
    }
    struct al_buf b;
    al_buf_init(&b, x->s->opt.mem, 0);
    uint64_t version = 0;
    struct al_str value = {0};
    struct al_err e = {0};
    enum al_code code = x->store->ops->get(x->store, AL_FAMILY_ROW, key, &b, &e);
    bool present = code == AL_OK;
    if (present)
        code = al_row_value_decode(al_buf_view(&b), &version, &value, &e);
    al_buf_fini(&b);
    if (code != AL_OK && code != AL_NOT_FOUND) {
        if (err)
            *err = e;
        return code;
    }
    item = al_overlay_add(&x->overlay, AL_FAMILY_ROW, key);
    if (!item)
        return fail_memory(err);
    item->present = present;
    item->version = version;
    *ret = item;
    return AL_OK;
}

static enum al_code put_row(struct al_apply *x, const struct al_entry_op *op, struct al_str key,
                            struct al_err *err)
{
    struct al_buf b;
    al_buf_init(&b, x->s->opt.mem, 0);
    al_buf_u64be(&b, x->index);
    al_buf_str(&b, op->value);
    enum al_code code = al_buf_status(&b, err);
    if (code == AL_OK)
        x->store->ops->batch_put(x->batch, AL_FAMILY_ROW, key, al_buf_view(&b));
    al_buf_fini(&b);
    return code;
}

static enum al_code change_row(struct al_apply *x, const struct al_entry_op *op,
                               enum al_outcome *ret, struct al_err *err)
{
    struct al_key key = al_key_row(op->table, op->space, op->id);
    struct al_overlay_item *item = NULL;
    AL_TRY(find_row(x, al_key_view(&key), &item, err));
    AL_ASSERT(item);
    bool deletes = op->kind == AL_OP_DELETE_ROW;
    if (deletes && !item->present && op->condition != AL_IF_VERSION) {
        *ret = AL_OUTCOME_ABSENT;
        return AL_OK;
    }
    if (!holds(op, item)) {
        *ret = AL_OUTCOME_CONDITION;
        return AL_OK;
    }
    if (deletes) {
        x->store->ops->batch_delete(x->batch, AL_FAMILY_ROW, al_key_view(&key));
        *ret = AL_OUTCOME_DELETED;
    } else {
        AL_TRY(put_row(x, op, al_key_view(&key), err));
        *ret = item->present ? AL_OUTCOME_UPDATED : AL_OUTCOME_INSERTED;
    }
    item->present = !deletes;
    item->version = x->index;
    return AL_OK;
}

/* ---- write ids ---- */

static enum al_code decode_write_id(struct al_str bytes, const struct al_write_req *req,
                                    uint64_t *ret_time_ms, uint64_t *ret_index,
                                    enum al_outcome *ret_outcomes, struct al_err *err)
{
    struct al_reader r = al_reader_of(bytes);
    uint8_t format = al_reader_u8(&r);
    if (format > WRITE_ID_FORMAT && !r.failed)
        return AL_FAIL_R(err, AL_FAILED_PRECONDITION, "FORMAT_TOO_NEW",
                         "write id: format %u was written by a newer version", format);
    uint64_t time_ms = al_reader_u64le(&r);
    uint64_t index = al_reader_u64le(&r);
    struct al_str outcomes = al_reader_lenstr(&r);
    if (!al_reader_done(&r) || format != WRITE_ID_FORMAT)
        return AL_FAIL_R(err, AL_DATA_LOSS, "DATA_CORRUPT", "write id: encoding is damaged");
    *ret_time_ms = time_ms;
    *ret_index = index;
    for (size_t i = 0; i < outcomes.n && i < req->n_ops; i++)
        ret_outcomes[i] = (enum al_outcome)(uint8_t)outcomes.p[i];
    if (outcomes.n != req->n_ops)
        return AL_FAIL_R(err, AL_ALREADY_EXISTS, "ID_REUSED",
                         "write id: was used for a write of %zu ops", outcomes.n);
    return AL_OK;
}

static bool is_expired(const struct al_shard *s, uint64_t time_ms, uint64_t now_ms)
{
    return now_ms > time_ms && now_ms - time_ms > s->opt.write_id_ttl_ms;
}

enum al_code al_apply_find_write_id(struct al_apply *x, const struct al_write_req *req,
                                    uint64_t now_ms, const struct al_write_req **ret_first,
                                    uint64_t *ret_index, enum al_outcome *ret_outcomes,
                                    struct al_err *err)
{
    *ret_first = NULL;
    if (!al_write_id_is_set(req->write_id))
        return AL_NOT_FOUND;
    struct al_key k = al_key_write_id(req->write_id);
    struct al_overlay_item *item =
        al_overlay_find(&x->overlay, AL_FAMILY_WRITE_ID, al_key_view(&k));
    if (item) {
        *ret_first = item->request;
        if ((*ret_first)->n_ops != req->n_ops)
            return AL_FAIL_R(err, AL_ALREADY_EXISTS, "ID_REUSED",
                             "write id: was used for a write of %zu ops", (*ret_first)->n_ops);
        return AL_OK;
    }
    struct al_str value = {0};
    struct al_err e = {0};
    uint64_t time_ms = 0;
    enum al_code code = get_value(x, AL_FAMILY_WRITE_ID, al_key_view(&k), &value, &e);
    if (code == AL_OK)
        code = decode_write_id(value, req, &time_ms, ret_index, ret_outcomes, &e);
    if ((code == AL_OK || code == AL_ALREADY_EXISTS) && is_expired(x->s, time_ms, now_ms))
        return AL_NOT_FOUND;
    if (code != AL_OK && code != AL_NOT_FOUND && err)
        *err = e;
    return code;
}

enum al_code al_apply_note_write_id(struct al_apply *x, const struct al_write_req *req,
                                    struct al_err *err)
{
    if (!al_write_id_is_set(req->write_id))
        return AL_OK;
    struct al_key k = al_key_write_id(req->write_id);
    struct al_overlay_item *item = al_overlay_add(&x->overlay, AL_FAMILY_WRITE_ID, al_key_view(&k));
    if (!item)
        return fail_memory(err);
    item->request = req;
    return AL_OK;
}

/* Whether the record of this id is still the one of that time: it may have been renewed since. */
static bool is_of_time(struct al_apply *x, struct al_str key, uint64_t time_ms)
{
    struct al_str value = {0};
    if (get_value(x, AL_FAMILY_WRITE_ID, key, &value, NULL) != AL_OK)
        return false;
    struct al_reader r = al_reader_of(value);
    (void)al_reader_u8(&r);
    return al_reader_u64le(&r) == time_ms && !r.failed;
}

/* Drop some of the ids whose time is over, by the time of this entry. Before the group puts any: it
 * may renew one of them. */
static enum al_code expire_write_ids(struct al_apply *x, struct al_err *err)
{
    if (x->expired || x->time_ms <= x->s->opt.write_id_ttl_ms)
        return AL_OK;
    x->expired = true;
    const struct al_store_ops *ops = x->store->ops;
    struct al_store_iter *it = NULL;
    AL_TRY(ops->iter_create(x->store, AL_FAMILY_WRITE_ID, &it, err));
    unsigned n = 0;
    for (ops->iter_seek(it, AL_STR("t")); ops->iter_valid(it) && n < EXPIRED_MAX;
         ops->iter_next(it), n++) {
        uint64_t time_ms = 0;
        uint8_t id[AL_WRITE_ID_BYTES];
        struct al_str key = ops->iter_key(it);
        if (!al_key_write_time_parse(key, &time_ms, id) || !is_expired(x->s, time_ms, x->time_ms))
            break;
        ops->batch_delete(x->batch, AL_FAMILY_WRITE_ID, key);
        struct al_key k = al_key_write_id(id);
        if (is_of_time(x, al_key_view(&k), time_ms))
            ops->batch_delete(x->batch, AL_FAMILY_WRITE_ID, al_key_view(&k));
    }
    enum al_code code = ops->iter_status(it, err);
    ops->iter_destroy(it);
    return code;
}

static enum al_code put_write_id(struct al_apply *x, const struct al_entry *e,
                                 const enum al_outcome *outcomes, struct al_err *err)
{
    if (!al_write_id_is_set(e->write_id))
        return AL_OK;
    AL_TRY(expire_write_ids(x, err));
    struct al_buf b;
    al_buf_init(&b, x->s->opt.mem, 0);
    al_buf_char(&b, (char)WRITE_ID_FORMAT);
    al_buf_u64le(&b, e->time_ms);
    al_buf_u64le(&b, x->index);
    al_buf_varint(&b, e->n_ops);
    for (size_t i = 0; i < e->n_ops; i++)
        al_buf_char(&b, (char)outcomes[i]);
    enum al_code code = al_buf_status(&b, err);
    if (code == AL_OK) {
        struct al_key k = al_key_write_id(e->write_id);
        x->store->ops->batch_put(x->batch, AL_FAMILY_WRITE_ID, al_key_view(&k), al_buf_view(&b));
        k = al_key_write_time(e->time_ms, e->write_id);
        x->store->ops->batch_put(x->batch, AL_FAMILY_WRITE_ID, al_key_view(&k), AL_STR(""));
    }
    al_buf_fini(&b);
    return code;
}

/* ---- the entry ---- */

static void put_counts(struct al_apply *x, const struct al_entry *e)
{
    for (size_t i = 0; i < e->n_ops; i++) {
        const struct al_space_count *c = al_shard_find_count(x->s, e->ops[i].space);
        if (c)
            al_shard_put_count(x->store, x->batch, c);
    }
}

enum al_code al_apply_entry(struct al_apply *x, uint64_t index, const struct al_entry *e,
                            enum al_outcome *outcomes, struct al_err *err)
{
    x->index = index;
    x->time_ms = e->time_ms;
    for (size_t i = 0; i < e->n_ops; i++) {
        const struct al_entry_op *op = &e->ops[i];
        switch (op->kind) {
        case AL_OP_PUT_DOC:
            AL_TRY(put_doc(x, i, op, &outcomes[i], err));
            break;
        case AL_OP_DELETE_DOC:
            AL_TRY(delete_doc(x, op, &outcomes[i], err));
            break;
        case AL_OP_PUT_ROW:
        case AL_OP_DELETE_ROW:
            AL_TRY(change_row(x, op, &outcomes[i], err));
            break;
        }
    }
    AL_TRY(put_write_id(x, e, outcomes, err));
    put_counts(x, e);
    return AL_OK;
}

static enum al_code change_segments(struct al_shard *s, const struct al_segment_change *c,
                                    struct al_arena *a, struct al_err *err)
{
    if (!c->adds) {
        (void)al_segset_remove(s->segs, c->space, c->old_docno);
        return AL_OK;
    }
    struct al_doc d;
    AL_TRY(al_doc_decode(c->doc, a, &d, err));
    struct al_chunk_row row = {
        .n_chunks = (uint32_t)d.n_chunks, .dim = c->dim, .vectors = c->vectors};
    if (c->dim == s->opt.dim)
        AL_TRY(al_chunk_row_vectors(&row, a, &d.vectors, err));
    bool is_sealed = false; /* the tombstone was stored by its number */
    return c->removes ? al_segset_replace(s->segs, &d, c->old_docno, &is_sealed, err)
                      : al_segset_add(s->segs, &d, err);
}

enum al_code al_apply_segments(struct al_apply *x, struct al_err *err)
{
    struct al_arena a;
    al_arena_init(&a, x->s->opt.mem, AL_SHARD_GROUP_ARENA_BYTES);
    enum al_code code = AL_OK;
    for (struct al_segment_change *c = x->first; c && code == AL_OK; c = c->next) {
        code = change_segments(x->s, c, &a, err);
        al_arena_reset(&a);
    }
    al_arena_fini(&a);
    return code;
}
