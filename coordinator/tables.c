#include "tables.h"

#include <string.h>

#define FORMAT 1u     /* of teams, deployments and keys as they were first */
#define FORMAT_NEW 2u /* with what was added at their ends */
#define QUOTA_FORMAT 1u

static enum al_code read_format(struct al_reader *r, const char *what, uint8_t newest, uint8_t *ret,
                                struct al_err *err)
{
    uint8_t f = al_reader_u8(r);
    if (r->failed || f == 0)
        return AL_FAIL(err, AL_DATA_LOSS, "system shard: %s: malformed row", what);
    *ret = f;
    if (f > newest)
        return AL_FAIL_R(err, AL_FAILED_PRECONDITION, "FORMAT_TOO_NEW",
                         "system shard: %s: format %u is newer than this program knows", what, f);
    return AL_OK;
}

static void read_text(struct al_reader *r, char *out, size_t cap)
{
    struct al_str s = al_reader_lenstr(r);
    if (s.n >= cap || (s.n && memchr(s.p, 0, s.n))) {
        r->failed = true;
        s.n = 0;
    }
    if (s.n)
        memcpy(out, s.p, s.n);
    out[s.n] = '\0';
}

static enum al_code finish(const struct al_reader *r, const char *what, struct al_err *err)
{
    if (al_reader_done(r))
        return AL_OK;
    return AL_FAIL(err, AL_DATA_LOSS, "system shard: %s: malformed row", what);
}

void al_team_encode(const struct al_team *t, struct al_buf *b)
{
    al_buf_char(b, FORMAT_NEW);
    al_buf_lenstr(b, al_str_c(t->name));
    al_buf_lenstr(b, al_str_c(t->pseudonym));
    al_buf_varint(b, t->space);
    al_buf_varint(b, t->named);
    al_buf_varint(b, t->created_ms);
    al_buf_lenstr(b, al_str_c(t->display_name));
}

enum al_code al_team_decode(struct al_str v, struct al_team *ret, struct al_err *err)
{
    struct al_reader r = al_reader_of(v);
    struct al_team t = {0};
    uint8_t format = 0;
    AL_TRY(read_format(&r, "team", FORMAT_NEW, &format, err));
    read_text(&r, t.name, sizeof t.name);
    read_text(&r, t.pseudonym, sizeof t.pseudonym);
    t.space = (uint32_t)al_reader_varint(&r);
    t.named = al_reader_varint(&r) != 0;
    t.created_ms = al_reader_varint(&r);
    if (format >= FORMAT_NEW)
        read_text(&r, t.display_name, sizeof t.display_name);
    AL_TRY(finish(&r, "team", err));
    *ret = t;
    return AL_OK;
}

void al_deployment_encode(const struct al_deployment *d, const struct al_deployment_details *x,
                          struct al_buf *b)
{
    al_buf_char(b, FORMAT_NEW);
    al_buf_lenstr(b, al_str_c(d->team));
    al_buf_lenstr(b, al_str_c(d->name));
    al_buf_varint(b, d->space);
    al_buf_varint(b, d->created_ms);
    al_buf_lenstr(b, al_str_c(d->display_name));
    al_buf_lenstr(b, x->airflow_url);
    al_buf_varint(b, x->n_labels);
    for (size_t i = 0; i < x->n_labels; i++) {
        al_buf_lenstr(b, x->labels[i].key);
        al_buf_lenstr(b, x->labels[i].value);
    }
}

static enum al_code read_details(struct al_reader *r, struct al_arena *a,
                                 struct al_deployment_details *x, struct al_err *err)
{
    x->airflow_url = al_reader_lenstr(r);
    uint64_t n = al_reader_varint(r);
    if (n > AL_LABELS_MAX)
        r->failed = true;
    if (r->failed)
        return AL_OK; /* finish says so */
    x->labels = al_arena_array(a, (size_t)n + 1, sizeof *x->labels);
    if (!x->labels)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "deployment: out of memory");
    for (x->n_labels = 0; x->n_labels < n; x->n_labels++) {
        x->labels[x->n_labels].key = al_reader_lenstr(r);
        x->labels[x->n_labels].value = al_reader_lenstr(r);
    }
    return AL_OK;
}

enum al_code al_deployment_decode(struct al_str v, struct al_arena *a, struct al_deployment *ret,
                                  struct al_deployment_details *ret_details, struct al_err *err)
{
    struct al_reader r = al_reader_of(v);
    struct al_deployment d = {0};
    struct al_deployment_details x = {0};
    uint8_t format = 0;
    AL_TRY(read_format(&r, "deployment", FORMAT_NEW, &format, err));
    read_text(&r, d.team, sizeof d.team);
    read_text(&r, d.name, sizeof d.name);
    d.space = (uint32_t)al_reader_varint(&r);
    d.created_ms = al_reader_varint(&r);
    if (format >= FORMAT_NEW) {
        read_text(&r, d.display_name, sizeof d.display_name);
        AL_TRY(read_details(&r, a, &x, err));
    }
    AL_TRY(finish(&r, "deployment", err));
    *ret = d;
    if (ret_details)
        *ret_details = x;
    return AL_OK;
}

static void put_double(struct al_buf *b, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    al_buf_u64le(b, bits);
}

static double read_double(struct al_reader *r)
{
    uint64_t bits = al_reader_u64le(r);
    double v;
    memcpy(&v, &bits, sizeof v);
    if (!(v >= 0 && v <= 1e12)) { /* also when it is no number */
        r->failed = true;
        return 0;
    }
    return v;
}

void al_quota_encode(const struct al_quota *q, struct al_buf *b)
{
    al_buf_char(b, QUOTA_FORMAT);
    al_buf_varint(b, q->set);
    al_buf_varint(b, q->max_concurrent_calls);
    al_buf_varint(b, q->max_jobs);
    al_buf_varint(b, q->max_deployments);
    al_buf_varint(b, q->max_items);
    al_buf_varint(b, q->max_bytes);
    al_buf_varint(b, q->ingest_bytes_per_day);
    put_double(b, q->calls_per_second);
    put_double(b, q->items_per_second);
}

enum al_code al_quota_decode(struct al_str v, struct al_quota *ret, struct al_err *err)
{
    struct al_reader r = al_reader_of(v);
    struct al_quota q = {0};
    uint8_t format = 0;
    AL_TRY(read_format(&r, "quota", QUOTA_FORMAT, &format, err));
    q.set = (uint32_t)al_reader_varint(&r);
    q.max_concurrent_calls = (uint32_t)al_reader_varint(&r);
    q.max_jobs = (uint32_t)al_reader_varint(&r);
    q.max_deployments = (uint32_t)al_reader_varint(&r);
    q.max_items = al_reader_varint(&r);
    q.max_bytes = al_reader_varint(&r);
    q.ingest_bytes_per_day = al_reader_varint(&r);
    q.calls_per_second = read_double(&r);
    q.items_per_second = read_double(&r);
    AL_TRY(finish(&r, "quota", err));
    *ret = q;
    return AL_OK;
}

void al_key_encode(const struct al_key_row *k, struct al_buf *b)
{
    al_buf_char(b, FORMAT_NEW);
    al_buf_lenstr(b, al_str_c(k->key.id));
    al_buf_lenstr(b, al_str_c(k->key.team));
    al_buf_lenstr(b, al_str_c(k->key.deployment));
    al_buf_varint(b, (uint64_t)k->key.role);
    al_buf_lenstr(b, al_str_c(k->key.note));
    al_buf_varint(b, k->key.created_ms);
    al_buf_varint(b, k->key.expires_ms);
    uint64_t revoked = k->key.revoked_ms ? k->key.revoked_ms : 1;
    al_buf_varint(b, k->key.revoked ? revoked : 0); /* when; 1: some time */
    al_buf_varint(b, k->old_requests_per_minute);
    al_buf_varint(b, k->old_bytes_per_day);
    al_buf_varint(b, k->key.n_readable);
    for (size_t i = 0; i < k->key.n_readable; i++)
        al_buf_lenstr(b, al_str_c(k->key.readable[i]));
    al_buf_add(b, k->salt, sizeof k->salt);
    al_buf_add(b, k->hash, sizeof k->hash);
    al_buf_varint(b, (uint64_t)k->key.match);
    al_buf_lenstr(b, al_str_c(k->key.certificate));
    al_buf_lenstr(b, al_str_c(k->key.creator));
}

static void read_key_fields(struct al_reader *r, struct al_key *k)
{
    read_text(r, k->id, sizeof k->id);
    read_text(r, k->team, sizeof k->team);
    read_text(r, k->deployment, sizeof k->deployment);
    uint64_t role = al_reader_varint(r);
    if (role < AL_ROLE_READER || role > AL_ROLE_ADMIN)
        r->failed = true;
    k->role = r->failed ? AL_ROLE_READER : (enum al_role)role;
    read_text(r, k->note, sizeof k->note);
    k->created_ms = al_reader_varint(r);
    k->expires_ms = al_reader_varint(r);
    uint64_t revoked = al_reader_varint(r);
    k->revoked = revoked != 0;
    k->revoked_ms = revoked > 1 ? revoked : 0;
}

static void read_certificate(struct al_reader *r, struct al_key *k)
{
    uint64_t match = al_reader_varint(r);
    read_text(r, k->certificate, sizeof k->certificate);
    read_text(r, k->creator, sizeof k->creator);
    if (match > AL_CERTIFICATE_SHA256 || (match != 0) != (k->certificate[0] != '\0'))
        r->failed = true;
    k->match = r->failed ? AL_CERTIFICATE_NONE : (enum al_certificate_match)match;
}

enum al_code al_key_decode(struct al_str v, struct al_arena *a, struct al_key_row *ret,
                           struct al_err *err)
{
    struct al_reader r = al_reader_of(v);
    struct al_key_row k = {0};
    uint8_t format = 0;
    AL_TRY(read_format(&r, "key", FORMAT_NEW, &format, err));
    read_key_fields(&r, &k.key);
    k.old_requests_per_minute = (uint32_t)al_reader_varint(&r);
    k.old_bytes_per_day = al_reader_varint(&r);
    uint64_t n = al_reader_varint(&r);
    if (r.failed || n > AL_READABLE_TEAMS_MAX)
        return AL_FAIL(err, AL_DATA_LOSS, "system shard: key: malformed row");
    k.key.readable = al_arena_array(a, (size_t)n + 1, sizeof *k.key.readable);
    if (!k.key.readable)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "key: out of memory");
    k.key.n_readable = (size_t)n;
    for (size_t i = 0; i < n; i++)
        read_text(&r, k.key.readable[i], sizeof k.key.readable[i]);
    struct al_str salt = al_reader_bytes(&r, sizeof k.salt);
    struct al_str hash = al_reader_bytes(&r, sizeof k.hash);
    if (format >= FORMAT_NEW)
        read_certificate(&r, &k.key);
    AL_TRY(finish(&r, "key", err));
    memcpy(k.salt, salt.p, sizeof k.salt);
    memcpy(k.hash, hash.p, sizeof k.hash);
    *ret = k;
    return AL_OK;
}
