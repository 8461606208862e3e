#include <string.h>

#include "findings.h"
#include "key_text.h"
#include "service_admin.h"
#include "tables.h"
#include "work.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* A system shard with one row, of any bytes. */
struct one_row {
    struct al_shard_port port; /* first */
    struct al_str value;
};

// NOLINTNEXTLINE(readability-function-size): the port's
static enum al_code scan_one(struct al_shard_port *p, uint8_t table, uint32_t space,
                             struct al_str prefix, struct al_str after, uint32_t limit,
                             struct al_arena *a, struct al_row **ret, size_t *ret_n,
                             struct al_err *err)
{
    struct al_row *row = al_arena_zalloc(a, sizeof *row);
    AL_ASSERT(table == AL_TABLE_FINDING && space == 0 && limit == 1);
    AL_ASSERT(!after.n || (after.n > prefix.n && al_str_starts(after, prefix)));
    AL_ASSERT(!memchr(after.p ? after.p : "", 0, after.n)); /* it ends where its buffer does */
    if (!row)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "no memory");
    row->value = ((struct one_row *)(void *)p)->value;
    *ret = row;
    *ret_n = 1;
    return AL_OK;
}

/* The number of a page token and the name of a job, then a row. */
static enum al_code try_findings(struct al_str in, struct al_arena *a)
{
    static const struct al_shard_port_ops ops = {.scan_rows = scan_one};
    struct one_row shard = {.port = {&ops}};
    struct al_coordinator c = {.opt = {.system = &shard.port}};
    struct al_findings found = {.n = 0};
    struct al_reader r = al_reader_of(in);
    uint64_t from = al_reader_varint(&r);
    struct al_str job = al_reader_lenstr(&r);
    if (r.failed || (job.n && memchr(job.p, 0, job.n))) /* a text of a message has no such byte */
        return AL_OK;
    shard.value = al_reader_bytes(&r, (size_t)(r.end - r.p));
    const struct al_findings_query q = {.job = job, .from = from, .limit = 1};
    enum al_code code = al_findings_read(&c, &q, a, &found, NULL);
    AL_ASSERT(code != AL_OK || found.n == 0 ||
              (found.n == 1 && found.list[0].message.n <= shard.value.n));
    return code;
}

/* Words of a job, for as many shards as the first byte says. */
static enum al_code try_work_args(struct al_str in)
{
    struct al_router router = {.n_shards = 1 + (in.n ? (uint8_t)in.p[0] : 0u)};
    struct al_coordinator c = {.opt = {.router = &router}};
    struct al_work_args w;
    size_t n = 0;
    enum al_code code = al_work_args_parse(&c, al_str_sub(in, 1, in.n), &w, NULL);
    for (size_t i = 0; code == AL_OK && i < AL_WORK_SHARDS_MAX; i++) {
        AL_ASSERT(!w.is_wanted[i] || i < router.n_shards);
        n += w.is_wanted[i];
    }
    AL_ASSERT(code != AL_OK || (n == w.n_shards && n > 0));
    return code;
}

static enum al_code try_etag(struct al_str in, struct al_arena *a)
{
    const char *text = al_arena_strndup(a, in.p, in.n);
    uint64_t version = 0;
    if (!text)
        return AL_RESOURCE_EXHAUSTED;
    enum al_code code = al_admin_etag_parse(text, &version, NULL);
    AL_ASSERT(code != AL_OK || (version == 0) == (text[0] == '\0')); /* 0 asks for no check */
    return code;
}

/* What is no row: texts of clients, and a row behind a port. */
static enum al_code try_others(unsigned which, struct al_str rest, struct al_arena *a)
{
    struct al_str id;
    struct al_str secret;
    switch (which) {
    case 6:
        return try_findings(rest, a);
    case 7:
        return try_work_args(rest);
    case 8:
        return try_etag(rest, a);
    default:
        if (al_key_text_split(rest, &id, &secret))
            AL_ASSERT(id.n >= AL_KEY_ID_MIN && id.n <= AL_KEY_ID_MAX &&
                      secret.n == AL_KEY_SECRET_CHARS);
        return AL_OK;
    }
}

/* The first byte chooses the decoder. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (!n)
        return 0;
    struct al_arena a;
    struct al_str rest = {(const char *)data + 1, n - 1};
    struct al_team team;
    struct al_deployment deployment;
    struct al_deployment_details details;
    struct al_quota quota;
    struct al_key_row key;
    struct al_token token;
    const struct al_router router = {.n_shards = 4};
    al_arena_init(&a, NULL, 1 << 20);
    enum al_code c = AL_OK;
    switch (data[0] % 9) {
    case 0:
        c = al_team_decode(rest, &team, NULL);
        break;
    case 1:
        c = al_deployment_decode(rest, &a, &deployment, &details, NULL);
        break;
    case 2:
        c = al_key_decode(rest, &a, &key, NULL);
        break;
    case 3:
        c = al_token_parse(&router, rest, &a, &token, NULL);
        break;
    case 4:
        c = al_quota_decode(rest, &quota, NULL);
        break;
    default:
        c = try_others(data[0] % 9u, rest, &a);
        break;
    }
    AL_ASSERT(c == AL_OK || c == AL_DATA_LOSS || c == AL_FAILED_PRECONDITION ||
              c == AL_INVALID_ARGUMENT || c == AL_RESOURCE_EXHAUSTED ||
              (c == AL_ABORTED && data[0] % 9 == 8));
    al_arena_fini(&a);
    return 0;
}
