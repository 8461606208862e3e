/* What the META family holds, and the extent of the log. */
#include <inttypes.h>
#include <string.h>

#include "airlore/random.h"
#include "shard_impl.h"

#define FORMAT 1u
#define RECORD_FORMAT 1u
#define STANDALONE_NODE 1u
#define VALUE_BYTES_MAX (1u << 20)

/* ---- single numbers ---- */

void al_shard_put_u64(struct al_store *st, struct al_store_batch *b, const char *name, uint64_t v)
{
    struct al_key k = al_key_meta(name);
    struct al_key value = al_key_u64(v);
    st->ops->batch_put(b, AL_FAMILY_META, al_key_view(&k), al_key_view(&value));
}

enum al_code al_shard_get_u64(struct al_store *st, struct al_mem *mem, const char *name,
                              uint64_t *ret, struct al_err *err)
{
    struct al_key k = al_key_meta(name);
    struct al_buf b;
    al_buf_init(&b, mem, 64);
    enum al_code code = st->ops->get(st, AL_FAMILY_META, al_key_view(&k), &b, err);
    if (code == AL_OK && !al_key_u64_parse(al_buf_view(&b), ret))
        code = AL_FAIL_R(err, AL_DATA_LOSS, "DATA_CORRUPT", "store: '%s' is damaged", name);
    al_buf_fini(&b);
    return code;
}

static enum al_code get_u64_or(struct al_shard *s, const char *name, uint64_t otherwise,
                               uint64_t *ret, struct al_err *err)
{
    enum al_code code = al_shard_get_u64(s->store, s->opt.mem, name, ret, err);
    if (code == AL_NOT_FOUND) {
        *ret = otherwise;
        return AL_OK;
    }
    return code;
}

/* ---- format ---- */

static void encode_format(const struct al_shard *s, struct al_buf *b)
{
    al_buf_char(b, (char)FORMAT);
    al_buf_u32le(b, s->opt.dim);
    al_buf_u32le(b, s->opt.id.v);
    al_buf_u16be(b, s->opt.slot_first);
    al_buf_u16be(b, s->opt.slot_last);
    al_buf_add(b, s->store_uuid, sizeof(s->store_uuid));
}

static enum al_code create_format(struct al_shard *s, struct al_err *err)
{
    struct al_store_batch *batch = NULL;
    AL_TRY(s->store->ops->batch_create(s->store, &batch, err));
    al_random_fill(al_random_system(), s->store_uuid, sizeof(s->store_uuid));
    struct al_buf b;
    al_buf_init(&b, s->opt.mem, VALUE_BYTES_MAX);
    encode_format(s, &b);
    enum al_code code = al_buf_status(&b, err);
    if (code == AL_OK) {
        struct al_key k = al_key_meta("format");
        s->store->ops->batch_put(batch, AL_FAMILY_META, al_key_view(&k), al_buf_view(&b));
        code = s->store->ops->write(s->store, batch, true, err);
    }
    al_buf_fini(&b);
    s->store->ops->batch_destroy(batch);
    return code;
}

static enum al_code check_format(struct al_shard *s, struct al_str bytes, struct al_err *err)
{
    struct al_reader r = al_reader_of(bytes);
    uint8_t format = al_reader_u8(&r);
    if (format > FORMAT && !r.failed)
        return AL_FAIL_R(err, AL_FAILED_PRECONDITION, "FORMAT_TOO_NEW",
                         "store: format %u was written by a newer version", format);
    uint32_t dim = al_reader_u32le(&r);
    uint32_t id = al_reader_u32le(&r);
    (void)al_reader_u16be(&r); /* the slots may have been halved since */
    (void)al_reader_u16be(&r);
    struct al_str uuid = al_reader_bytes(&r, AL_REPL_UUID_BYTES);
    if (!al_reader_done(&r) || format != FORMAT)
        return AL_FAIL_R(err, AL_DATA_LOSS, "DATA_CORRUPT", "store: 'format' is damaged");
    if (dim != s->opt.dim)
        return AL_FAIL_R(err, AL_FAILED_PRECONDITION, "EMBEDDER_MISMATCH",
                         "store: holds vectors of %u dimensions, %u were asked for", dim,
                         s->opt.dim);
    if (id != s->opt.id.v)
        return AL_FAIL_R(err, AL_FAILED_PRECONDITION, "SHARD_MISMATCH", "store: is shard %u", id);
    memcpy(s->store_uuid, uuid.p, AL_REPL_UUID_BYTES);
    return AL_OK;
}

/* A store without a format that holds something else has lost it. */
static enum al_code check_is_new(struct al_shard *s, struct al_err *err)
{
    struct al_store_iter *it = NULL;
    AL_TRY(s->store->ops->iter_create(s->store, AL_FAMILY_META, &it, err));
    s->store->ops->iter_seek(it, AL_STR(""));
    bool any = s->store->ops->iter_valid(it);
    enum al_code code = s->store->ops->iter_status(it, err);
    s->store->ops->iter_destroy(it);
    if (code == AL_OK && any)
        code = AL_FAIL_R(err, AL_DATA_LOSS, "DATA_CORRUPT", "store: 'format' is missing");
    return code;
}

enum al_code al_shard_load_format(struct al_shard *s, struct al_err *err)
{
    struct al_key k = al_key_meta("format");
    struct al_buf b;
    al_buf_init(&b, s->opt.mem, VALUE_BYTES_MAX);
    struct al_err e = {0};
    enum al_code code = s->store->ops->get(s->store, AL_FAMILY_META, al_key_view(&k), &b, &e);
    if (code == AL_OK) {
        code = check_format(s, al_buf_view(&b), err);
    } else if (code == AL_NOT_FOUND) {
        code = check_is_new(s, err);
        if (code == AL_OK)
            code = create_format(s, err);
    } else if (err) {
        *err = e;
    }
    al_buf_fini(&b);
    return code;
}

/* ---- the record ---- */

static void encode_record(const struct al_repl_record *rec, struct al_buf *b)
{
    al_buf_char(b, (char)RECORD_FORMAT);
    al_buf_u64le(b, rec->epoch);
    al_buf_u64le(b, rec->version);
    al_buf_u32le(b, rec->n_members);
    for (uint32_t i = 0; i < rec->n_members; i++) {
        al_buf_u32le(b, rec->members[i].node);
        al_buf_add(b, rec->members[i].store_uuid, AL_REPL_UUID_BYTES);
    }
    al_buf_u32le(b, rec->primary);
    al_buf_u32le(b, rec->in_sync);
    al_buf_u32le(b, rec->min_in_sync);
}

static enum al_code decode_record(struct al_str bytes, struct al_repl_record *ret,
                                  struct al_err *err)
{
    struct al_reader r = al_reader_of(bytes);
    uint8_t format = al_reader_u8(&r);
    if (format > RECORD_FORMAT && !r.failed)
        return AL_FAIL_R(err, AL_FAILED_PRECONDITION, "FORMAT_TOO_NEW",
                         "store: record format %u was written by a newer version", format);
    struct al_repl_record rec = {0};
    rec.epoch = al_reader_u64le(&r);
    rec.version = al_reader_u64le(&r);
    rec.n_members = al_reader_u32le(&r);
    for (uint32_t i = 0; i < rec.n_members && i < AL_REPL_MEMBERS_MAX; i++) {
        rec.members[i].node = al_reader_u32le(&r);
        struct al_str uuid = al_reader_bytes(&r, AL_REPL_UUID_BYTES);
        if (uuid.n == AL_REPL_UUID_BYTES)
            memcpy(rec.members[i].store_uuid, uuid.p, AL_REPL_UUID_BYTES);
    }
    rec.primary = al_reader_u32le(&r);
    rec.in_sync = al_reader_u32le(&r);
    rec.min_in_sync = al_reader_u32le(&r);
    if (!al_reader_done(&r) || format != RECORD_FORMAT || rec.n_members > AL_REPL_MEMBERS_MAX)
        return AL_FAIL_R(err, AL_DATA_LOSS, "DATA_CORRUPT", "store: 'record' is damaged");
    *ret = rec;
    return AL_OK;
}

static enum al_code load_record(struct al_shard *s, struct al_repl_record *ret, bool *ret_has,
                                struct al_err *err)
{
    struct al_key k = al_key_meta("record");
    struct al_buf b;
    al_buf_init(&b, s->opt.mem, VALUE_BYTES_MAX);
    enum al_code code = s->store->ops->get(s->store, AL_FAMILY_META, al_key_view(&k), &b, err);
    *ret_has = code == AL_OK;
    if (code == AL_OK)
        code = decode_record(al_buf_view(&b), ret, err);
    else if (code == AL_NOT_FOUND)
        code = AL_OK;
    al_buf_fini(&b);
    return code;
}

/* ---- walking a prefix of META ---- */

static enum al_code each_meta(struct al_shard *s, const char *prefix,
                              enum al_code (*visit)(struct al_shard *s, uint64_t n, struct al_str v,
                                                    void *u, struct al_err *err),
                              void *u, struct al_err *err)
{
    const struct al_store_ops *ops = s->store->ops;
    struct al_store_iter *it = NULL;
    AL_TRY(ops->iter_create(s->store, AL_FAMILY_META, &it, err));
    struct al_str p = al_str_c(prefix);
    enum al_code code = AL_OK;
    for (ops->iter_seek(it, p); code == AL_OK && ops->iter_valid(it); ops->iter_next(it)) {
        struct al_str key = ops->iter_key(it);
        if (!al_str_starts(key, p))
            break;
        uint64_t n = 0;
        if (al_key_u64_parse(al_str_sub(key, p.n, key.n - p.n), &n))
            code = visit(s, n, ops->iter_value(it), u, err);
    }
    if (code == AL_OK)
        code = ops->iter_status(it, err);
    ops->iter_destroy(it);
    return code;
}

/* ---- the log ---- */

struct log_state {
    struct al_repl_record record;
    bool has_record;
    struct al_repl_epoch *epochs;
    size_t n_epochs;
    size_t cap_epochs;
    struct al_repl_item *tail;
    size_t n_tail;
    size_t cap_tail;
    uint64_t first;
    uint64_t last;
    uint64_t applied;
};

static enum al_code take_epoch(struct al_shard *s, uint64_t epoch, struct al_str value, void *u,
                               struct al_err *err)
{
    struct log_state *l = u;
    uint64_t start = 0;
    if (!al_key_u64_parse(value, &start))
        return AL_FAIL_R(err, AL_DATA_LOSS, "DATA_CORRUPT", "store: start of epoch %" PRIu64,
                         epoch);
    if (al_mem_grow(s->opt.mem, (void **)&l->epochs, &l->cap_epochs, l->n_epochs + 1,
                    sizeof(*l->epochs)) != AL_OK)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "shard: out of memory");
    l->epochs[l->n_epochs++] = (struct al_repl_epoch){.epoch = epoch, .start = start};
    return AL_OK;
}

static enum al_code take_tail(struct al_shard *s, struct log_state *l, uint64_t index,
                              struct al_str value, struct al_err *err)
{
    struct al_arena a;
    al_arena_init(&a, s->opt.mem, 1u << 20);
    struct al_entry e;
    enum al_code code = al_entry_decode(value, index, &a, &e, err);
    if (code == AL_OK && al_mem_grow(s->opt.mem, (void **)&l->tail, &l->cap_tail, l->n_tail + 1,
                                     sizeof(*l->tail)) != AL_OK)
        code = AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "shard: out of memory");
    if (code == AL_OK) {
        struct al_repl_item *item = &l->tail[l->n_tail++];
        item->epoch = e.epoch;
        memcpy(item->write_id, e.write_id, AL_WRITE_ID_BYTES);
    }
    al_arena_fini(&a);
    return code;
}

static enum al_code walk_log(struct al_shard *s, struct log_state *l, struct al_err *err)
{
    const struct al_store_ops *ops = s->store->ops;
    struct al_store_iter *it = NULL;
    AL_TRY(ops->iter_create(s->store, AL_FAMILY_LOG, &it, err));
    struct al_key from = al_key_u64(l->first);
    l->last = l->first - 1;
    enum al_code code = AL_OK;
    ops->iter_seek(it, al_key_view(&from));
    for (; code == AL_OK && ops->iter_valid(it); ops->iter_next(it)) {
        uint64_t index = 0;
        if (!al_key_u64_parse(ops->iter_key(it), &index) || index != l->last + 1) {
            code = AL_FAIL_R(err, AL_DATA_LOSS, "DATA_CORRUPT", "log: entry %" PRIu64 " is missing",
                             l->last + 1);
            break;
        }
        struct al_str value = ops->iter_value(it);
        code = al_entry_check_format(value, index, err); /* of applied ones too: others pull them */
        if (code == AL_OK && index > l->applied)
            code = take_tail(s, l, index, value, err);
        al_shard_log_grew(s, index, value.n);
        l->last = index;
    }
    if (code == AL_OK)
        code = ops->iter_status(it, err);
    ops->iter_destroy(it);
    return code;
}

static enum al_code read_log_state(struct al_shard *s, struct log_state *l, struct al_err *err)
{
    AL_TRY(get_u64_or(s, "applied", 0, &l->applied, err));
    AL_TRY(get_u64_or(s, "log_first", 1, &l->first, err));
    AL_TRY(load_record(s, &l->record, &l->has_record, err));
    AL_TRY(each_meta(s, "epoch/", take_epoch, l, err));
    s->n_marks = 0;
    s->log_bytes = 0;
    s->log_bytes_trimmed = 0;
    enum al_code code = walk_log(s, l, err);
    if (code == AL_OK && l->last < l->applied)
        code = AL_FAIL_R(err, AL_DATA_LOSS, "DATA_CORRUPT",
                         "log: ends at %" PRIu64 ", applied is %" PRIu64, l->last, l->applied);
    if (code != AL_DATA_LOSS)
        return code;
    /* What is applied can be read without the log. */
    al_shard_set_read_only(s, err);
    l->first = l->applied + 1;
    l->last = l->applied;
    l->n_tail = 0;
    return AL_OK;
}

enum al_code al_shard_load_log(struct al_shard *s, struct al_err *err)
{
    struct log_state l = {0};
    struct al_err e = {0};
    enum al_code code = read_log_state(s, &l, &e);
    struct al_repl *repl = NULL;
    if (code == AL_OK) {
        struct al_repl_member self = {.node = STANDALONE_NODE};
        memcpy(self.store_uuid, s->store_uuid, AL_REPL_UUID_BYTES);
        struct al_repl_disk disk = {.record = l.has_record ? &l.record : NULL,
                                    .log_first = l.first,
                                    .log_last = l.last,
                                    .applied = l.applied,
                                    .epochs = l.epochs,
                                    .n_epochs = l.n_epochs,
                                    .tail = l.tail};
        code = al_repl_create(s->opt.mem, &self, &disk, &repl, &e);
    }
    al_mem_free(s->opt.mem, l.epochs);
    al_mem_free(s->opt.mem, l.tail);
    if (code != AL_OK) {
        if (err)
            *err = e;
        return code;
    }
    al_repl_destroy(s->repl);
    s->repl = repl;
    s->log_first = l.first;
    return AL_OK;
}

/* The first entry of an epoch, its record and its start: one batch. is_next: all before it is
 * applied. */
static enum al_code put_epoch(struct al_shard *s, const struct al_repl_record *rec, uint64_t index,
                              bool is_next, struct al_store_batch *b, struct al_err *err)
{
    const struct al_store_ops *ops = s->store->ops;
    static const uint8_t none[AL_WRITE_ID_BYTES];
    struct al_buf record;
    struct al_buf entry;
    al_buf_init(&record, s->opt.mem, VALUE_BYTES_MAX);
    al_buf_init(&entry, s->opt.mem, VALUE_BYTES_MAX);
    encode_record(rec, &record);
    al_entry_encode(NULL, 0, s->opt.dim, none, &entry);
    enum al_code code =
        al_entry_seal(&entry, index, rec->epoch, al_clock_wall_ms(s->opt.clock), err);
    if (code == AL_OK)
        code = al_buf_status(&record, err);
    if (code == AL_OK) {
        struct al_key k = al_key_meta("record");
        ops->batch_put(b, AL_FAMILY_META, al_key_view(&k), al_buf_view(&record));
        k = al_key_meta_u64("epoch/", rec->epoch);
        struct al_key start = al_key_u64(index);
        ops->batch_put(b, AL_FAMILY_META, al_key_view(&k), al_key_view(&start));
        ops->batch_put(b, AL_FAMILY_LOG, al_key_view(&start), al_buf_view(&entry));
        if (is_next) /* nothing lies between: alone, log and data are one batch */
            al_shard_put_u64(s->store, b, "applied", index);
        code = ops->write(s->store, b, true, err);
    }
    if (code == AL_OK)
        al_shard_log_grew(s, index, entry.n);
    al_buf_fini(&record);
    al_buf_fini(&entry);
    return code;
}

enum al_code al_shard_begin_epoch(struct al_shard *s, struct al_err *err)
{
    /* One replica is its own leader: it writes the record that a leader would write. */
    struct al_repl_record rec = {.epoch = al_repl_epoch(s->repl) + 1,
                                 .version = al_repl_version(s->repl) + 1,
                                 .n_members = 1,
                                 .in_sync = 1,
                                 .min_in_sync = 1};
    rec.members[0].node = STANDALONE_NODE;
    memcpy(rec.members[0].store_uuid, s->store_uuid, AL_REPL_UUID_BYTES);
    struct al_repl_effects fx;
    AL_TRY(al_repl_record(s->repl, &rec, &fx, err));
    uint64_t noop = al_repl_last(s->repl);
    struct al_store_batch *b = NULL;
    AL_TRY(s->store->ops->batch_create(s->store, &b, err));
    bool is_next = al_repl_applied_index(s->repl) + 1 == noop;
    enum al_code code = put_epoch(s, &rec, noop, is_next, b, err);
    s->store->ops->batch_destroy(b);
    AL_TRY(code);
    al_repl_persisted(s->repl, al_repl_generation(s->repl), noop, &fx);
    if (is_next)
        al_repl_applied(s->repl, noop);
    return AL_OK;
}

void al_shard_log_grew(struct al_shard *s, uint64_t index, size_t bytes)
{
    uint64_t last = s->n_marks ? s->marks[s->n_marks - 1].bytes : 0;
    if (s->n_marks == 0 || s->log_bytes - last >= AL_SHARD_LOG_MARK_BYTES) {
        if (s->n_marks == AL_SHARD_LOG_MARKS) { /* coarser: every second one */
            for (size_t i = 0; i < AL_SHARD_LOG_MARKS / 2; i++)
                s->marks[i] = s->marks[2 * i];
            s->n_marks /= 2;
        }
        s->marks[s->n_marks++] = (struct al_log_mark){.index = index, .bytes = s->log_bytes};
    }
    s->log_bytes += bytes;
}

void al_shard_trim_log(struct al_shard *s, struct al_store_batch *b)
{
    if (s->log_bytes - s->log_bytes_trimmed <= AL_SHARD_LOG_BYTES_MAX)
        return;
    uint64_t keep_from = s->log_bytes - (uint64_t)AL_SHARD_LOG_BYTES_MAX / 4 * 3;
    size_t i = 0;
    while (i + 1 < s->n_marks && s->marks[i].bytes < keep_from)
        i++;
    uint64_t first = s->marks[i].index;
    /* Beyond the limit of bytes: nobody is waited for. Segments are rebuilt from the documents. */
    if (first <= s->log_first || first > al_repl_trim_floor(s->repl, UINT64_MAX, first - 1) + 1)
        return;
    struct al_key from = al_key_u64(s->log_first);
    struct al_key to = al_key_u64(first);
    s->store->ops->batch_delete_range(b, AL_FAMILY_LOG, al_key_view(&from), al_key_view(&to));
    al_shard_put_u64(s->store, b, "log_first", first);
    /* If the batch fails all of this is read from the store again. */
    s->log_first = first;
    s->log_bytes_trimmed = s->marks[i].bytes;
    al_repl_trimmed(s->repl, first);
    memmove(s->marks, s->marks + i, (s->n_marks - i) * sizeof(*s->marks));
    s->n_marks -= i;
}

/* ---- counts ---- */

static size_t count_place(const struct al_shard *s, uint32_t space)
{
    size_t lo = 0;
    size_t hi = s->n_counts;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (s->counts[mid].space < space)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

struct al_space_count *al_shard_find_count(struct al_shard *s, uint32_t space)
{
    size_t i = count_place(s, space);
    return i < s->n_counts && s->counts[i].space == space ? &s->counts[i] : NULL;
}

enum al_code al_shard_count(struct al_shard *s, const struct al_space_count *change,
                            struct al_err *err)
{
    struct al_space_count *c = al_shard_find_count(s, change->space);
    if (!c) {
        if (al_mem_grow(s->opt.mem, (void **)&s->counts, &s->cap_counts, s->n_counts + 1,
                        sizeof(*s->counts)) != AL_OK)
            return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "shard: out of memory");
        size_t i = count_place(s, change->space);
        memmove(s->counts + i + 1, s->counts + i, (s->n_counts - i) * sizeof(*s->counts));
        s->n_counts++;
        c = &s->counts[i];
        *c = (struct al_space_count){.space = change->space};
    }
    c->docs += change->docs;
    c->chunks += change->chunks;
    c->bytes += change->bytes;
    return AL_OK;
}

void al_shard_put_count(struct al_store *st, struct al_store_batch *b,
                        const struct al_space_count *c)
{
    struct al_key k = al_key_meta_u64("count/", c->space);
    char value[24];
    const uint64_t parts[3] = {c->docs, c->chunks, c->bytes};
    for (size_t i = 0; i < AL_ARRAY_LEN(parts); i++) {
        struct al_key part = al_key_u64(parts[i]);
        memcpy(value + 8 * i, part.p, 8);
    }
    if (c->docs || c->chunks)
        st->ops->batch_put(b, AL_FAMILY_META, al_key_view(&k),
                           (struct al_str){value, sizeof(value)});
    else
        st->ops->batch_delete(b, AL_FAMILY_META, al_key_view(&k));
}

/* *ret_has_bytes false: written before bytes were counted. */
static enum al_code decode_count(uint64_t space, struct al_str value, struct al_space_count *ret,
                                 bool *ret_has_bytes, struct al_err *err)
{
    struct al_reader r = al_reader_of(value);
    struct al_space_count c = {.space = (uint32_t)space};
    c.docs = al_reader_u64be(&r);
    c.chunks = al_reader_u64be(&r);
    *ret_has_bytes = value.n > 16;
    if (*ret_has_bytes)
        c.bytes = al_reader_u64be(&r);
    if (!al_reader_done(&r) || space > UINT32_MAX)
        return AL_FAIL_R(err, AL_DATA_LOSS, "DATA_CORRUPT", "store: counts of space %" PRIu64,
                         space);
    *ret = c;
    return AL_OK;
}

static enum al_code take_count(struct al_shard *s, uint64_t space, struct al_str value, void *u,
                               struct al_err *err)
{
    bool *all_have_bytes = u;
    struct al_space_count c = {0};
    bool has_bytes = false;
    AL_TRY(decode_count(space, value, &c, &has_bytes, err));
    *all_have_bytes = *all_have_bytes && has_bytes;
    return al_shard_count(s, &c, err);
}

/* Once for a store that was written before bytes were counted: count, and write the counts. */
static enum al_code count_bytes(struct al_shard *s, struct al_store_batch *b, struct al_err *err)
{
    const struct al_store_ops *ops = s->store->ops;
    struct al_store_iter *it = NULL;
    for (size_t i = 0; i < s->n_counts; i++)
        s->counts[i].bytes = 0;
    AL_TRY(ops->iter_create(s->store, AL_FAMILY_DOC, &it, err));
    for (ops->iter_seek(it, AL_STR("")); ops->iter_valid(it); ops->iter_next(it)) {
        uint16_t slot = 0;
        uint32_t space = 0;
        struct al_str id;
        struct al_space_count *c = NULL;
        if (al_key_doc_parse(ops->iter_key(it), &slot, &space, &id))
            c = al_shard_find_count(s, space);
        if (c)
            c->bytes += ops->iter_value(it).n;
    }
    enum al_code code = ops->iter_status(it, err);
    ops->iter_destroy(it);
    AL_TRY(code);
    for (size_t i = 0; i < s->n_counts; i++)
        al_shard_put_count(s->store, b, &s->counts[i]);
    return ops->write(s->store, b, true, err);
}

enum al_code al_shard_load_counts(struct al_shard *s, struct al_err *err)
{
    bool all_have_bytes = true;
    s->n_counts = 0;
    AL_TRY(each_meta(s, "count/", take_count, &all_have_bytes, err));
    if (all_have_bytes)
        return AL_OK;
    struct al_store_batch *b = NULL;
    AL_TRY(s->store->ops->batch_create(s->store, &b, err));
    enum al_code code = count_bytes(s, b, err);
    s->store->ops->batch_destroy(b);
    return code;
}

static enum al_code add_use(struct al_shard *s, struct al_store *st, uint32_t space,
                            struct al_space_use *sum, struct al_err *err)
{
    struct al_key k = al_key_meta_u64("count/", space);
    struct al_buf b;
    al_buf_init(&b, s->opt.mem, VALUE_BYTES_MAX);
    struct al_space_count c = {0};
    bool has_bytes = false;
    enum al_code code = st->ops->get(st, AL_FAMILY_META, al_key_view(&k), &b, err);
    if (code == AL_OK)
        code = decode_count(space, al_buf_view(&b), &c, &has_bytes, err);
    else if (code == AL_NOT_FOUND)
        code = AL_OK;
    al_buf_fini(&b);
    sum->docs += c.docs;
    sum->chunks += c.chunks;
    sum->bytes += c.bytes;
    return code;
}

enum al_code al_shard_get_use(struct al_shard *s, const uint32_t *spaces, size_t n_spaces,
                              struct al_space_use *ret, struct al_err *err)
{
    struct al_space_use sum = {0};
    struct al_store *st = NULL;
    AL_TRY(al_shard_check_open(s, err));
    AL_TRY(al_shard_acquire_store(s, &st, err));
    enum al_code code = AL_OK;
    for (size_t i = 0; code == AL_OK && i < n_spaces; i++)
        code = add_use(s, st, spaces[i], &sum, err);
    al_shard_release_store(s);
    if (code == AL_OK)
        *ret = sum;
    return code;
}

void al_shard_publish(struct al_shard *s)
{
    uint64_t docs = 0;
    uint64_t chunks = 0;
    for (size_t i = 0; i < s->n_counts; i++) {
        docs += s->counts[i].docs;
        chunks += s->counts[i].chunks;
    }
    pthread_mutex_lock(&s->lock);
    s->applied = al_repl_applied_index(s->repl);
    s->commit = al_repl_commit(s->repl);
    s->epoch = al_repl_epoch(s->repl);
    s->n_docs = docs;
    s->n_chunks = chunks;
    pthread_cond_broadcast(&s->done);
    pthread_mutex_unlock(&s->lock);
}
