#include "entry.h"

#include <inttypes.h>
#include <string.h>

#include "crc32c.h"

#define FORMAT 1u
#define HEAD_BYTES (1u + 8u + AL_WRITE_ID_BYTES + 8u + 4u)
#define AT_EPOCH 1u
#define AT_TIME (1u + 8u + AL_WRITE_ID_BYTES)
#define CRC_BYTES 4u
#define OP_BYTES_MIN 3u

bool al_write_id_is_set(const uint8_t id[AL_WRITE_ID_BYTES])
{
    for (size_t i = 0; i < AL_WRITE_ID_BYTES; i++) {
        if (id[i])
            return true;
    }
    return false;
}

static bool is_row(enum al_op_kind kind)
{
    return kind == AL_OP_PUT_ROW || kind == AL_OP_DELETE_ROW;
}

static enum al_code check_row(const struct al_op *op, struct al_err *err)
{
    if (op->table == 0)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "OUT_OF_RANGE", "row: table 0");
    if (op->id.n == 0 || op->id.n > AL_DOC_ID_BYTES_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_FORMAT",
                         "row: key is %zu bytes, must be 1 to %u", op->id.n, AL_DOC_ID_BYTES_MAX);
    if (op->value.n > AL_ROW_VALUE_BYTES_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_LARGE",
                         "row: value is %zu bytes, at most %u", op->value.n,
                         AL_ROW_VALUE_BYTES_MAX);
    return AL_OK;
}

static enum al_code check_op(const struct al_op *op, uint32_t dim, struct al_err *err)
{
    if (op->kind < AL_OP_PUT_DOC || op->kind > AL_OP_DELETE_ROW)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_ENUM", "write: kind %d", (int)op->kind);
    if (op->condition > AL_IF_VERSION)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_ENUM", "write: condition %d",
                         (int)op->condition);
    if (is_row(op->kind))
        return check_row(op, err);
    if (op->kind == AL_OP_PUT_DOC) {
        if (!op->doc)
            return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_ENUM", "write: no document given");
        return al_doc_check(op->doc, dim, err);
    }
    if (op->id.n == 0 || op->id.n > AL_DOC_ID_BYTES_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_FORMAT",
                         "document: id is %zu bytes, must be 1 to %u", op->id.n,
                         AL_DOC_ID_BYTES_MAX);
    return AL_OK;
}

enum al_code al_entry_check(const struct al_op *ops, size_t n_ops, uint32_t dim, struct al_err *err)
{
    if (n_ops == 0 || n_ops > AL_ENTRY_OPS_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_LARGE", "write: %zu ops, must be 1 to %u",
                         n_ops, AL_ENTRY_OPS_MAX);
    for (size_t i = 0; i < n_ops; i++)
        AL_TRY_CTX(err, check_op(&ops[i], dim, err), "op %zu", i);
    return AL_OK;
}

static void encode_doc(const struct al_doc *d, uint32_t dim, struct al_buf *b)
{
    struct al_buf doc;
    al_buf_init(&doc, b->mem, AL_ENTRY_BYTES_MAX);
    al_doc_encode(d, &doc);
    if (al_buf_status(&doc, NULL) != AL_OK)
        b->failed = true;
    al_buf_lenstr(b, al_buf_view(&doc));
    al_buf_fini(&doc);
    bool has_vectors = d->vectors && d->n_chunks;
    al_buf_u32le(b, (uint32_t)d->n_chunks);
    al_buf_u32le(b, has_vectors ? dim : 0);
    if (has_vectors)
        al_buf_add(b, d->vectors, d->n_chunks * dim * sizeof(float));
}

static void encode_op(const struct al_op *op, uint32_t dim, struct al_buf *b)
{
    al_buf_char(b, (char)op->kind);
    al_buf_char(b, (char)op->condition);
    al_buf_varint(b, op->version);
    switch (op->kind) {
    case AL_OP_PUT_DOC:
        encode_doc(op->doc, dim, b);
        return;
    case AL_OP_DELETE_DOC:
        al_buf_u32le(b, op->space);
        al_buf_lenstr(b, op->id);
        return;
    case AL_OP_PUT_ROW:
    case AL_OP_DELETE_ROW:
        al_buf_char(b, (char)op->table);
        al_buf_u32le(b, op->space);
        al_buf_lenstr(b, op->id);
        if (op->kind == AL_OP_PUT_ROW)
            al_buf_lenstr(b, op->value);
        return;
    }
}

void al_entry_encode(const struct al_op *ops, size_t n_ops, uint32_t dim,
                     const uint8_t write_id[AL_WRITE_ID_BYTES], struct al_buf *b)
{
    al_buf_char(b, (char)FORMAT);
    al_buf_u64le(b, 0);
    al_buf_add(b, write_id, AL_WRITE_ID_BYTES);
    al_buf_u64le(b, 0);
    al_buf_u32le(b, (uint32_t)n_ops);
    for (size_t i = 0; i < n_ops; i++)
        encode_op(&ops[i], dim, b);
}

static void put_u64le(char *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (char)(uint8_t)(v >> (8 * i));
}

static uint32_t checksum(uint64_t index, const char *p, size_t n)
{
    char head[8];
    put_u64le(head, index);
    return al_crc32c(al_crc32c(0, head, sizeof(head)), p, n);
}

enum al_code al_entry_seal(struct al_buf *b, uint64_t index, uint64_t epoch, uint64_t time_ms,
                           struct al_err *err)
{
    AL_TRY(al_buf_status(b, err));
    put_u64le(b->p + AT_EPOCH, epoch);
    put_u64le(b->p + AT_TIME, time_ms);
    al_buf_u32le(b, checksum(index, b->p, b->n));
    return al_buf_status(b, err);
}

static enum al_code fail_damaged(uint64_t index, struct al_err *err)
{
    return AL_FAIL_R(err, AL_DATA_LOSS, "DATA_CORRUPT", "log entry %" PRIu64 ": damaged", index);
}

static bool read_doc(struct al_reader *r, struct al_entry_op *op)
{
    op->value = al_reader_lenstr(r);
    op->n_chunks = al_reader_u32le(r);
    op->dim = al_reader_u32le(r);
    uint64_t floats = (uint64_t)op->n_chunks * op->dim;
    if (r->failed || floats > (uint64_t)(r->end - r->p) / sizeof(float))
        return false;
    op->vectors = al_reader_bytes(r, (size_t)floats * sizeof(float));
    struct al_doc_head head;
    if (al_doc_peek(op->value, &head, NULL) != AL_OK || head.n_chunks != op->n_chunks)
        return false;
    op->space = head.space;
    return !r->failed;
}

static bool read_op(struct al_reader *r, struct al_entry_op *op)
{
    uint8_t kind = al_reader_u8(r);
    uint8_t condition = al_reader_u8(r);
    op->version = al_reader_varint(r);
    if (r->failed || kind < AL_OP_PUT_DOC || kind > AL_OP_DELETE_ROW || condition > AL_IF_VERSION)
        return false;
    op->kind = (enum al_op_kind)kind;
    op->condition = (enum al_op_condition)condition;
    if (op->kind == AL_OP_PUT_DOC)
        return read_doc(r, op);
    if (is_row(op->kind))
        op->table = al_reader_u8(r);
    op->space = al_reader_u32le(r);
    op->id = al_reader_lenstr(r);
    if (op->kind == AL_OP_PUT_ROW)
        op->value = al_reader_lenstr(r);
    return !r->failed && op->id.n > 0 && op->id.n <= AL_DOC_ID_BYTES_MAX;
}

enum al_code al_entry_check_format(struct al_str bytes, uint64_t index, struct al_err *err)
{
    if (bytes.n && (uint8_t)bytes.p[0] > FORMAT)
        return AL_FAIL_R(err, AL_FAILED_PRECONDITION, "FORMAT_TOO_NEW",
                         "log entry %" PRIu64 ": format %u was written by a newer version", index,
                         (uint8_t)bytes.p[0]);
    return AL_OK;
}

static enum al_code check_frame(struct al_str bytes, uint64_t index, struct al_err *err)
{
    AL_TRY(al_entry_check_format(bytes, index, err));
    if (bytes.n < HEAD_BYTES + CRC_BYTES || (uint8_t)bytes.p[0] != FORMAT)
        return fail_damaged(index, err);
    struct al_reader r = al_reader_of(al_str_sub(bytes, bytes.n - CRC_BYTES, CRC_BYTES));
    if (al_reader_u32le(&r) != checksum(index, bytes.p, bytes.n - CRC_BYTES))
        return fail_damaged(index, err);
    return AL_OK;
}

enum al_code al_entry_decode(struct al_str bytes, uint64_t index, struct al_arena *a,
                             struct al_entry *ret, struct al_err *err)
{
    AL_TRY(check_frame(bytes, index, err));
    struct al_reader r = al_reader_of(al_str_sub(bytes, 1, bytes.n - 1 - CRC_BYTES));
    struct al_entry e = {0};
    e.epoch = al_reader_u64le(&r);
    struct al_str id = al_reader_bytes(&r, AL_WRITE_ID_BYTES);
    if (id.n == AL_WRITE_ID_BYTES)
        memcpy(e.write_id, id.p, AL_WRITE_ID_BYTES);
    e.time_ms = al_reader_u64le(&r);
    uint32_t n = al_reader_u32le(&r);
    if (r.failed || n > AL_ENTRY_OPS_MAX || (size_t)n * OP_BYTES_MIN > (size_t)(r.end - r.p))
        return fail_damaged(index, err);
    e.ops = al_arena_array(a, n, sizeof(*e.ops));
    if (!e.ops)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "log entry %" PRIu64 ": out of memory", index);
    e.n_ops = n;
    for (size_t i = 0; i < n; i++) {
        if (!read_op(&r, &e.ops[i]))
            return fail_damaged(index, err);
    }
    if (!al_reader_done(&r))
        return fail_damaged(index, err);
    *ret = e;
    return AL_OK;
}
