#include "findings.h"

#include <stdio.h>
#include <string.h>

#include "tables.h"

#define FORMAT 1u
#define SYSTEM_SPACE 0u
#define KEY_BYTES (AL_JOB_ID_BYTES_MAX + 16u)
#define ROWS_A_WRITE 200u
#define WRITE_TIMEOUT_MS 10000u
#define ARENA_LIMIT ((size_t)16 << 20)
#define MESSAGE_BYTES_MAX 1024u

static const uint8_t NO_WRITE_ID[16];

/* The id in "document 'ID': ...", which may itself hold quotes. */
static struct al_str id_in(struct al_str line)
{
    static const char before[] = "document '";
    size_t at = al_str_find(line, al_str_c(before), 0);
    if (at == SIZE_MAX)
        return (struct al_str){NULL, 0};
    size_t from = at + sizeof before - 1;
    size_t end = al_str_find(line, AL_STR("': "), from);
    return end == SIZE_MAX ? (struct al_str){NULL, 0} : al_str_sub(line, from, end - from);
}

struct al_finding al_finding_of(uint32_t shard, struct al_str line)
{
    static const struct {
        const char *has;
        const char *what;
    } words[] = {
        {"postings", "postings"},      {"vectors", "vectors"},
        {"in no segment", "postings"}, {"number of chunks in the segments", "postings"},
        {"counters", "counters"},      {"embedding", "vectors"},
    };
    struct al_finding f = {.shard = shard, .what = AL_STR("store"), .item_id = id_in(line)};
    f.message = al_str_sub(
        line, 0, al_str_utf8_floor(line, line.n < MESSAGE_BYTES_MAX ? line.n : MESSAGE_BYTES_MAX));
    if (al_str_starts(line, AL_STR("log")))
        f.what = AL_STR("log");
    else if (al_str_starts(line, AL_STR("file")))
        f.what = AL_STR("file");
    struct al_str rest =
        f.item_id.n ? al_str_sub(line, (size_t)(f.item_id.p - line.p) + f.item_id.n, SIZE_MAX)
                    : line; /* what an id says counts for nothing */
    for (size_t i = 0; al_str_is(f.what, "store") && i < AL_ARRAY_LEN(words); i++) {
        if (!al_str_starts(line, AL_STR("store")) &&
            al_str_find(rest, al_str_c(words[i].has), 0) != SIZE_MAX)
            f.what = al_str_c(words[i].what);
    }
    return f;
}

static struct al_str key_of(char out[KEY_BYTES], const char *job, uint64_t n)
{
    int len = snprintf(out, KEY_BYTES, "%s/%08llu", job, (unsigned long long)n);
    return (struct al_str){out, (size_t)len};
}

static void encode(const struct al_finding *f, struct al_buf *b)
{
    al_buf_char(b, FORMAT);
    al_buf_varint(b, f->shard);
    al_buf_varint(b, f->is_repaired);
    al_buf_lenstr(b, f->what);
    al_buf_lenstr(b, f->message);
    al_buf_lenstr(b, f->item_id);
}

static enum al_code decode(struct al_str v, struct al_finding *ret, struct al_err *err)
{
    struct al_reader r = al_reader_of(v);
    uint8_t format = al_reader_u8(&r);
    struct al_finding f = {.shard = (uint32_t)al_reader_varint(&r)};
    f.is_repaired = al_reader_varint(&r) != 0;
    f.what = al_reader_lenstr(&r);
    f.message = al_reader_lenstr(&r);
    f.item_id = al_reader_lenstr(&r);
    if (format > FORMAT)
        return AL_FAIL_R(err, AL_FAILED_PRECONDITION, "FORMAT_TOO_NEW",
                         "system shard: finding: format %u is newer than this program knows",
                         format);
    if (!al_reader_done(&r) || format != FORMAT)
        return AL_FAIL(err, AL_DATA_LOSS, "system shard: finding: malformed row");
    *ret = f;
    return AL_OK;
}

/* One write of at most ROWS_A_WRITE rows. */
static enum al_code write_some(struct al_coordinator *c, const char *job, uint64_t first,
                               struct al_findings part, struct al_arena *a, struct al_err *err)
{
    const struct al_finding *f = part.list;
    size_t n = part.n;
    struct al_op *ops = al_arena_array(a, n, sizeof *ops);
    char(*keys)[KEY_BYTES] = al_arena_array(a, n, sizeof *keys);
    if (!ops || !keys)
        return al_msg_no_memory(err);
    for (size_t i = 0; i < n; i++) {
        struct al_buf b;
        al_buf_init(&b, al_arena_mem(a), 0);
        encode(&f[i], &b);
        AL_TRY(al_buf_status(&b, err));
        ops[i] = (struct al_op){.kind = AL_OP_PUT_ROW,
                                .space = SYSTEM_SPACE,
                                .table = AL_TABLE_FINDING,
                                .id = key_of(keys[i], job, first + i),
                                .value = al_buf_view(&b)};
    }
    struct al_write_result res = {0};
    return c->opt.system->ops->write(c->opt.system, ops, n, NO_WRITE_ID,
                                     al_clock_deadline(c->opt.clock, WRITE_TIMEOUT_MS), a, &res,
                                     err);
}

enum al_code al_findings_write(struct al_coordinator *c, const char *job, uint64_t first,
                               const struct al_finding *f, size_t n, struct al_err *err)
{
    struct al_arena a;
    enum al_code code = AL_OK;
    for (size_t at = 0; code == AL_OK && at < n; at += ROWS_A_WRITE) {
        size_t part = n - at < ROWS_A_WRITE ? n - at : ROWS_A_WRITE;
        al_arena_init(&a, c->opt.mem, ARENA_LIMIT);
        struct al_findings some = {f + at, part};
        code = write_some(c, job, first + at, some, &a, err);
        al_arena_fini(&a);
    }
    return code;
}

enum al_code al_findings_read(struct al_coordinator *c, const struct al_findings_query *q,
                              struct al_arena *a, struct al_findings *ret, struct al_err *err)
{
    struct al_row *rows = NULL;
    size_t n = 0;
    char after[KEY_BYTES];
    if (q->from > AL_FINDINGS_MAX || q->job.n > AL_JOB_ID_BYTES_MAX) { /* no such key, nor room */
        *ret = (struct al_findings){NULL, 0};
        return AL_OK;
    }
    const char *id = al_arena_strndup(a, q->job.p, q->job.n);
    const char *prefix = id ? al_arena_printf(a, "%s/", id) : NULL;
    if (!prefix)
        return al_msg_no_memory(err);
    struct al_str last = q->from ? key_of(after, id, q->from - 1) : (struct al_str){NULL, 0};
    AL_TRY(c->opt.system->ops->scan_rows(c->opt.system, AL_TABLE_FINDING, SYSTEM_SPACE,
                                         al_str_c(prefix), last, q->limit, a, &rows, &n, err));
    struct al_finding *out = al_arena_array(a, n + 1, sizeof *out);
    if (!out)
        return al_msg_no_memory(err);
    for (size_t i = 0; i < n; i++)
        AL_TRY(decode(rows[i].value, &out[i], err));
    *ret = (struct al_findings){out, n};
    return AL_OK;
}

static enum al_code erase_some(struct al_coordinator *c, const char *prefix, struct al_arena *a,
                               size_t *ret_n, struct al_err *err)
{
    struct al_row *rows = NULL;
    AL_TRY(c->opt.system->ops->scan_rows(c->opt.system, AL_TABLE_FINDING, SYSTEM_SPACE,
                                         al_str_c(prefix), (struct al_str){NULL, 0}, ROWS_A_WRITE,
                                         a, &rows, ret_n, err));
    struct al_op *ops = al_arena_array(a, *ret_n + 1, sizeof *ops);
    struct al_write_result res = {0};
    if (!ops)
        return al_msg_no_memory(err);
    for (size_t i = 0; i < *ret_n; i++)
        ops[i] = (struct al_op){.kind = AL_OP_DELETE_ROW,
                                .space = SYSTEM_SPACE,
                                .table = AL_TABLE_FINDING,
                                .id = rows[i].key};
    if (!*ret_n)
        return AL_OK;
    return c->opt.system->ops->write(c->opt.system, ops, *ret_n, NO_WRITE_ID,
                                     al_clock_deadline(c->opt.clock, WRITE_TIMEOUT_MS), a, &res,
                                     err);
}

enum al_code al_findings_erase(struct al_coordinator *c, const char *job, struct al_err *err)
{
    char prefix[KEY_BYTES];
    size_t n = 0;
    snprintf(prefix, sizeof prefix, "%s/", job);
    do {
        struct al_arena a;
        al_arena_init(&a, c->opt.mem, ARENA_LIMIT);
        enum al_code code = erase_some(c, prefix, &a, &n, err);
        al_arena_fini(&a);
        if (code != AL_OK)
            return code;
    } while (n == ROWS_A_WRITE);
    return AL_OK;
}
