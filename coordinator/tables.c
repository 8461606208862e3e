#include "tables.h"

#include <string.h>

#define FORMAT 1u

static enum al_code check_format(struct al_reader *r, const char *what, struct al_err *err)
{
    uint8_t f = al_reader_u8(r);
    if (r->failed || f == 0)
        return AL_FAIL(err, AL_DATA_LOSS, "system shard: %s: malformed row", what);
    if (f > FORMAT)
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
    al_buf_char(b, FORMAT);
    al_buf_lenstr(b, al_str_c(t->name));
    al_buf_lenstr(b, al_str_c(t->pseudonym));
    al_buf_varint(b, t->space);
    al_buf_varint(b, t->named);
    al_buf_varint(b, t->created_ms);
}

enum al_code al_team_decode(struct al_str v, struct al_team *ret, struct al_err *err)
{
    struct al_reader r = al_reader_of(v);
    struct al_team t = {0};
    AL_TRY(check_format(&r, "team", err));
    read_text(&r, t.name, sizeof t.name);
    read_text(&r, t.pseudonym, sizeof t.pseudonym);
    t.space = (uint32_t)al_reader_varint(&r);
    t.named = al_reader_varint(&r) != 0;
    t.created_ms = al_reader_varint(&r);
    AL_TRY(finish(&r, "team", err));
    *ret = t;
    return AL_OK;
}

void al_deployment_encode(const struct al_deployment *d, struct al_buf *b)
{
    al_buf_char(b, FORMAT);
    al_buf_lenstr(b, al_str_c(d->team));
    al_buf_lenstr(b, al_str_c(d->name));
    al_buf_varint(b, d->space);
    al_buf_varint(b, d->created_ms);
}

enum al_code al_deployment_decode(struct al_str v, struct al_deployment *ret, struct al_err *err)
{
    struct al_reader r = al_reader_of(v);
    struct al_deployment d = {0};
    AL_TRY(check_format(&r, "deployment", err));
    read_text(&r, d.team, sizeof d.team);
    read_text(&r, d.name, sizeof d.name);
    d.space = (uint32_t)al_reader_varint(&r);
    d.created_ms = al_reader_varint(&r);
    AL_TRY(finish(&r, "deployment", err));
    *ret = d;
    return AL_OK;
}

void al_key_encode(const struct al_key_row *k, struct al_buf *b)
{
    al_buf_char(b, FORMAT);
    al_buf_lenstr(b, al_str_c(k->key.id));
    al_buf_lenstr(b, al_str_c(k->key.team));
    al_buf_lenstr(b, al_str_c(k->key.deployment));
    al_buf_varint(b, (uint64_t)k->key.role);
    al_buf_lenstr(b, al_str_c(k->key.note));
    al_buf_varint(b, k->key.created_ms);
    al_buf_varint(b, k->key.expires_ms);
    uint64_t revoked = k->key.revoked_ms ? k->key.revoked_ms : 1;
    al_buf_varint(b, k->key.revoked ? revoked : 0); /* when; 1: some time */
    al_buf_varint(b, k->key.quota.requests_per_minute);
    al_buf_varint(b, k->key.quota.ingest_bytes_per_day);
    al_buf_varint(b, k->key.n_readable);
    for (size_t i = 0; i < k->key.n_readable; i++)
        al_buf_lenstr(b, al_str_c(k->key.readable[i]));
    al_buf_add(b, k->salt, sizeof k->salt);
    al_buf_add(b, k->hash, sizeof k->hash);
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
    k->quota.requests_per_minute = (uint32_t)al_reader_varint(r);
    k->quota.ingest_bytes_per_day = al_reader_varint(r);
}

enum al_code al_key_decode(struct al_str v, struct al_arena *a, struct al_key_row *ret,
                           struct al_err *err)
{
    struct al_reader r = al_reader_of(v);
    struct al_key_row k = {0};
    AL_TRY(check_format(&r, "key", err));
    read_key_fields(&r, &k.key);
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
    AL_TRY(finish(&r, "key", err));
    memcpy(k.salt, salt.p, sizeof k.salt);
    memcpy(k.hash, hash.p, sizeof k.hash);
    *ret = k;
    return AL_OK;
}
