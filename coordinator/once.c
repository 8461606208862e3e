#include "airlore/once.h"

#include <pthread.h>
#include <string.h>

#include "key_text.h"
#include "tables.h"

#define FORMAT 1u
#define TIMEOUT_MS 30000u
#define SWEPT \
    4u /* rows that a claim looks at; more than it adds, so that the table does not grow */

struct al_once_book {
    struct al_shard_port *system;
    struct al_clock *clock;
    struct al_mem *mem;
    pthread_mutex_t mu;
    uint8_t cursor[32]; /* guarded by mu: the last row looked at */
};

static const uint8_t NO_WRITE_ID[16];

enum al_code al_once_book_create(struct al_shard_port *system, struct al_clock *clock,
                                 struct al_mem *mem, struct al_once_book **ret, struct al_err *err)
{
    struct al_once_book *w = al_mem_zalloc(mem, sizeof *w);
    if (!w)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "writes: out of memory");
    w->system = system;
    w->clock = clock;
    w->mem = mem;
    pthread_mutex_init(&w->mu, NULL);
    *ret = w;
    return AL_OK;
}

void al_once_book_destroy(struct al_once_book *w)
{
    if (!w)
        return;
    pthread_mutex_destroy(&w->mu);
    al_mem_free(w->mem, w);
}

/* ---- rows ---- */

struct record {
    uint64_t time_ms;
    bool settled;
    uint8_t request[16];
    struct al_str saved;
};

static enum al_code encode(const struct record *r, struct al_arena *a, struct al_str *ret,
                           struct al_err *err)
{
    struct al_buf b;
    al_buf_init(&b, al_arena_mem(a), 0);
    al_buf_char(&b, (char)FORMAT);
    al_buf_u64le(&b, r->time_ms);
    al_buf_char(&b, r->settled ? 1 : 0);
    al_buf_add(&b, r->request, sizeof r->request);
    al_buf_lenstr(&b, r->saved);
    AL_TRY(al_buf_status(&b, err));
    *ret = al_buf_view(&b);
    return AL_OK;
}

static enum al_code decode(struct al_str bytes, struct record *ret, struct al_err *err)
{
    struct al_reader r = al_reader_of(bytes);
    uint8_t format = al_reader_u8(&r);
    if (format > FORMAT && !r.failed)
        return AL_FAIL_R(err, AL_FAILED_PRECONDITION, "FORMAT_TOO_NEW",
                         "write record: format %u was written by a newer version", format);
    ret->time_ms = al_reader_u64le(&r);
    uint8_t settled = al_reader_u8(&r);
    struct al_str request = al_reader_bytes(&r, sizeof ret->request);
    ret->saved = al_reader_lenstr(&r);
    if (!al_reader_done(&r) || format != FORMAT || settled > 1)
        return AL_FAIL_R(err, AL_DATA_LOSS, "DATA_CORRUPT", "write record: encoding is damaged");
    ret->settled = settled;
    memcpy(ret->request, request.p, sizeof ret->request);
    return AL_OK;
}

static struct al_str view(const uint8_t key[32])
{
    return (struct al_str){(const char *)key, 32};
}

static bool is_over(const struct record *r, uint64_t now_ms)
{
    return now_ms > r->time_ms && now_ms - r->time_ms > AL_ONCE_KEPT_MS;
}

/* What the row says, into w. */
static enum al_code load(struct al_once *w, struct al_arena *a, struct al_err *err)
{
    struct al_shard_port *p = w->book->system;
    struct al_str bytes;
    struct record r = {0};
    uint64_t version = 0;
    struct al_err e = {0};
    enum al_code c = p->ops->get_row(p, AL_TABLE_ONCE, 0, view(w->key), a, &bytes, &version, &e);
    w->state = AL_ONCE_NEW;
    if (c == AL_NOT_FOUND)
        return AL_OK;
    if (c == AL_OK)
        c = decode(bytes, &r, &e);
    if (c != AL_OK) {
        if (err)
            *err = e;
        return c;
    }
    if (is_over(&r, al_clock_wall_ms(w->book->clock))) {
        w->old_version = version;
        return AL_OK;
    }
    if (memcmp(r.request, w->request, sizeof r.request) != 0)
        return AL_FAIL_R(err, AL_ALREADY_EXISTS, "ID_REUSED",
                         "write id: it named another request before");
    w->state = r.settled ? AL_ONCE_SETTLED : AL_ONCE_BEGUN;
    w->again = true;
    w->saved = r.saved;
    w->time_ms = r.time_ms;
    return AL_OK;
}

/* ---- sweeping ---- */

/* Deletions of rows whose time is over, among the next few; gives how many. Failing is no harm. */
static size_t sweep(struct al_once_book *w, struct al_op *ops, struct al_arena *a)
{
    uint8_t after[32];
    struct al_row *rows = NULL;
    size_t n_rows = 0;
    pthread_mutex_lock(&w->mu);
    memcpy(after, w->cursor, sizeof after);
    pthread_mutex_unlock(&w->mu);
    struct al_shard_port *p = w->system;
    if (p->ops->scan_rows(p, AL_TABLE_ONCE, 0, AL_STR(""), view(after), SWEPT, a, &rows, &n_rows,
                          NULL) != AL_OK)
        return 0;
    uint64_t now = al_clock_wall_ms(w->clock);
    size_t n = 0;
    memset(after, 0, sizeof after); /* past the last one: from the beginning */
    for (size_t i = 0; i < n_rows; i++) {
        struct record r = {0};
        if (decode(rows[i].value, &r, NULL) == AL_OK && is_over(&r, now))
            ops[n++] = (struct al_op){.kind = AL_OP_DELETE_ROW,
                                      .condition = AL_IF_VERSION,
                                      .version = rows[i].version,
                                      .table = AL_TABLE_ONCE,
                                      .id = rows[i].key};
        if (n_rows == SWEPT && rows[i].key.n == sizeof after)
            memcpy(after, rows[i].key.p, sizeof after);
    }
    pthread_mutex_lock(&w->mu);
    memcpy(w->cursor, after, sizeof after);
    pthread_mutex_unlock(&w->mu);
    return n;
}

/* ---- a write ---- */

enum al_code al_once_begin(struct al_once_book *w, const struct al_credential *cred,
                           const struct al_once_name *name, struct al_arena *a, struct al_once *ret,
                           struct al_err *err)
{
    struct al_once x = {.state = AL_ONCE_NONE, .book = w};
    if (!name || !name->text.n) {
        *ret = x;
        return AL_OK;
    }
    if (name->text.n > AL_ONCE_TEXT_BYTES_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_LARGE",
                         "write id: %zu bytes, at most %u are allowed", name->text.n,
                         AL_ONCE_TEXT_BYTES_MAX);
    struct al_buf b;
    al_buf_init(&b, al_arena_mem(a), 0);
    al_buf_lenstr(&b, al_str_c(cred->key->id));
    al_buf_lenstr(&b, name->text);
    AL_TRY(al_buf_status(&b, err));
    al_digest(al_buf_view(&b), x.key);
    memcpy(x.request, name->request, sizeof x.request);
    AL_TRY(load(&x, a, err));
    *ret = x;
    return AL_OK;
}

enum al_code al_once_claim(struct al_once *w, struct al_str plan, struct al_arena *a,
                           struct al_err *err)
{
    if (w->state == AL_ONCE_NONE)
        return AL_OK;
    AL_ASSERT(w->state == AL_ONCE_NEW && plan.n <= AL_ONCE_SAVED_BYTES_MAX);
    struct al_once_book *book = w->book;
    struct record r = {.time_ms = al_clock_wall_ms(book->clock), .saved = plan};
    memcpy(r.request, w->request, sizeof r.request);
    struct al_op ops[1 + SWEPT] = {{.kind = AL_OP_PUT_ROW,
                                    .condition = w->old_version ? AL_IF_VERSION : AL_IF_ABSENT,
                                    .version = w->old_version,
                                    .table = AL_TABLE_ONCE,
                                    .id = view(w->key)}};
    AL_TRY(encode(&r, a, &ops[0].value, err));
    size_t n = 1 + sweep(book, ops + 1, a);
    struct al_write_result res = {0};
    struct al_shard_port *p = book->system;
    AL_TRY(p->ops->write(p, ops, n, NO_WRITE_ID, al_clock_deadline(book->clock, TIMEOUT_MS), a,
                         &res, err));
    if (res.outcomes[0] == AL_OUTCOME_CONDITION) { /* another call was faster */
        AL_TRY(load(w, a, err));
        if (w->state == AL_ONCE_NEW)
            return AL_FAIL(err, AL_ABORTED, "write id: its record changed meanwhile");
        return AL_OK;
    }
    w->state = AL_ONCE_BEGUN;
    w->saved = plan;
    w->time_ms = r.time_ms;
    return AL_OK;
}

void al_once_end(struct al_once *w, struct al_str answer, struct al_arena *a)
{
    if (w->state != AL_ONCE_BEGUN)
        return;
    AL_ASSERT(answer.n <= AL_ONCE_SAVED_BYTES_MAX);
    struct record r = {.time_ms = w->time_ms, .settled = true, .saved = answer};
    memcpy(r.request, w->request, sizeof r.request);
    struct al_op op = {.kind = AL_OP_PUT_ROW, .table = AL_TABLE_ONCE, .id = view(w->key)};
    struct al_write_result res = {0};
    struct al_shard_port *p = w->book->system;
    if (encode(&r, a, &op.value, NULL) == AL_OK &&
        p->ops->write(p, &op, 1, NO_WRITE_ID, al_clock_deadline(w->book->clock, TIMEOUT_MS), a,
                      &res, NULL) == AL_OK)
        w->state = AL_ONCE_SETTLED;
}

void al_once_shard_id(const struct al_once *w, uint32_t n, uint8_t ret[16])
{
    memset(ret, 0, 16);
    if (w->state == AL_ONCE_NONE)
        return;
    uint8_t bytes[44];
    uint8_t digest[32];
    memcpy(bytes, w->key, 32);
    for (size_t i = 0; i < 4; i++)
        bytes[32 + i] = (uint8_t)(n >> (8 * i));
    /* a name whose time is over is another write's, though the shard may still know the former */
    for (size_t i = 0; i < 8; i++)
        bytes[36 + i] = (uint8_t)(w->time_ms >> (8 * i));
    al_digest((struct al_str){(const char *)bytes, sizeof bytes}, digest);
    memcpy(ret, digest, 16);
}
