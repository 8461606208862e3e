#include "airlore/directory.h"

#include <stdio.h>
#include <string.h>

#include "directory_cache.h"
#include "key_text.h"

#define FIRST_FREE_SPACE 16u
#define SYSTEM_SPACE 0u
#define ROWS_A_PAGE 500u
#define WRITE_TIMEOUT_MS 10000u
#define ARENA_LIMIT (8u << 20)
#define TEAMS_MAX 10000u
#define DEPLOYMENTS_MAX 100000u
#define KEYS_MAX 100000u

static const uint8_t NO_WRITE_ID[16];

/* ---- loading ---- */

static enum al_code take_team(struct al_directory *d, const struct al_row *row, struct al_arena *a,
                              struct al_err *err)
{
    (void)a;
    struct al_team t;
    AL_TRY(al_team_decode(row->value, &t, err));
    return al_cache_put_team(d, &t, err);
}

static enum al_code take_deployment(struct al_directory *d, const struct al_row *row,
                                    struct al_arena *a, struct al_err *err)
{
    (void)a;
    struct al_deployment x;
    AL_TRY(al_deployment_decode(row->value, &x, err));
    return al_cache_put_deployment(d, &x, err);
}

static enum al_code take_key(struct al_directory *d, const struct al_row *row, struct al_arena *a,
                             struct al_err *err)
{
    struct al_key_row k;
    AL_TRY(al_key_decode(row->value, a, &k, err));
    return al_cache_put_key(d, &k, err);
}

static enum al_code load_table(struct al_directory *d, uint8_t table,
                               enum al_code (*take)(struct al_directory *d,
                                                    const struct al_row *row, struct al_arena *a,
                                                    struct al_err *err),
                               struct al_err *err)
{
    struct al_arena a;
    al_arena_init(&a, d->opt.mem, ARENA_LIMIT);
    char last[AL_DOC_ID_BYTES_MAX];
    struct al_str after = {last, 0};
    enum al_code c = AL_OK;
    size_t n = ROWS_A_PAGE;
    while (c == AL_OK && n == ROWS_A_PAGE) {
        struct al_row *rows = NULL;
        al_arena_reset(&a);
        c = d->opt.system->ops->scan_rows(d->opt.system, table, SYSTEM_SPACE, AL_STR(""), after,
                                          ROWS_A_PAGE, &a, &rows, &n, err);
        for (size_t i = 0; c == AL_OK && i < n; i++) {
            c = take(d, &rows[i], &a, err);
            after.n = rows[i].key.n < sizeof last ? rows[i].key.n : sizeof last;
            memcpy(last, rows[i].key.p, after.n);
        }
    }
    al_arena_fini(&a);
    return c;
}

enum al_code al_directory_open(const struct al_directory_options *opt, struct al_directory **ret,
                               struct al_err *err)
{
    AL_AUTO(al_directory) d = al_mem_zalloc(opt->mem, sizeof *d);
    if (!d)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "directory: out of memory");
    d->opt = *opt;
    pthread_rwlock_init(&d->lock, NULL);
    pthread_mutex_init(&d->change, NULL);
    AL_TRY(load_table(d, AL_TABLE_TEAM, take_team, err));
    AL_TRY(load_table(d, AL_TABLE_DEPLOYMENT, take_deployment, err));
    AL_TRY(load_table(d, AL_TABLE_KEY, take_key, err));
    *ret = al_take(d);
    return AL_OK;
}

void al_directory_destroy(struct al_directory *d)
{
    if (!d)
        return;
    al_cache_fini(d);
    pthread_mutex_destroy(&d->change);
    pthread_rwlock_destroy(&d->lock);
    al_mem_free(d->opt.mem, d);
}

/* ---- changing: one at a time under `change`; the store first, then the cache ---- */

static enum al_code check_name(const char *what, const char *name, struct al_err *err)
{
    size_t n = strnlen(name, AL_NAME_BYTES_MAX + 1);
    bool ok = n >= 1 && n <= AL_NAME_BYTES_MAX;
    for (size_t i = 0; ok && i < n; i++) {
        char c = name[i];
        bool alnum = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        ok = alnum || (i > 0 && (c == '.' || c == '_' || c == '-'));
    }
    if (ok)
        return AL_OK;
    return AL_FAIL_R(
        err, AL_INVALID_ARGUMENT, "BAD_FORMAT",
        "%s: '%.64s' is no name: lower-case letters, digits, '.', '_', '-', at most %u, "
        "starting with a letter or digit",
        what, name, AL_NAME_BYTES_MAX);
}

static enum al_code write_row(struct al_directory *d, uint8_t table, struct al_str key,
                              const struct al_buf *value, enum al_op_condition condition,
                              struct al_err *err)
{
    AL_TRY(al_buf_status(value, err));
    struct al_op op = {.kind = AL_OP_PUT_ROW,
                       .condition = condition,
                       .space = SYSTEM_SPACE,
                       .table = table,
                       .id = key,
                       .value = al_buf_view(value)};
    struct al_arena a;
    al_arena_init(&a, d->opt.mem, ARENA_LIMIT);
    struct al_write_result res = {0};
    uint64_t deadline = al_clock_deadline(d->opt.clock, WRITE_TIMEOUT_MS);
    enum al_code c =
        d->opt.system->ops->write(d->opt.system, &op, 1, NO_WRITE_ID, deadline, &a, &res, err);
    bool refused = c == AL_OK && res.outcomes[0] == AL_OUTCOME_CONDITION;
    al_arena_fini(&a);
    if (refused)
        return AL_FAIL(err, AL_ABORTED, "directory: '" AL_STR_FMT "' was changed meanwhile",
                       AL_STR_ARG(key));
    return c;
}

/* The next free space number; a number that is taken and then not used is lost, never given twice.
 */
static enum al_code next_space(struct al_directory *d, uint32_t *ret, struct al_err *err)
{
    struct al_arena a;
    al_arena_init(&a, d->opt.mem, ARENA_LIMIT);
    struct al_str v = {NULL, 0};
    uint64_t version = 0;
    uint64_t n = FIRST_FREE_SPACE;
    enum al_code c = d->opt.system->ops->get_row(d->opt.system, AL_TABLE_COUNTER, SYSTEM_SPACE,
                                                 AL_STR("space"), &a, &v, &version, err);
    if (c == AL_OK) {
        struct al_reader r = al_reader_of(v);
        n = al_reader_varint(&r);
        if (!al_reader_done(&r) || n < FIRST_FREE_SPACE || n > UINT32_MAX - 1)
            c = AL_FAIL(err, AL_DATA_LOSS, "system shard: counter of spaces is malformed");
    } else if (c == AL_NOT_FOUND) {
        c = AL_OK;
    }
    al_arena_fini(&a);
    if (c != AL_OK)
        return c;
    struct al_buf b;
    al_buf_init(&b, d->opt.mem, 0);
    al_buf_varint(&b, n + 1);
    c = write_row(d, AL_TABLE_COUNTER, AL_STR("space"), &b, AL_IF_ANY, err);
    al_buf_fini(&b);
    if (c == AL_OK)
        *ret = (uint32_t)n;
    return c;
}

static enum al_code store_team(struct al_directory *d, const struct al_team *t,
                               enum al_op_condition condition, struct al_err *err)
{
    struct al_buf b;
    al_buf_init(&b, d->opt.mem, 0);
    al_team_encode(t, &b);
    enum al_code c = write_row(d, AL_TABLE_TEAM, al_str_c(t->name), &b, condition, err);
    al_buf_fini(&b);
    if (c != AL_OK)
        return c;
    pthread_rwlock_wrlock(&d->lock);
    c = al_cache_put_team(d, t, err);
    pthread_rwlock_unlock(&d->lock);
    return c;
}

static enum al_code add_team(struct al_directory *d, const char *name, struct al_team *ret,
                             struct al_err *err)
{
    if (al_cache_team(d, name))
        return AL_FAIL_R(err, AL_ALREADY_EXISTS, "NAME_TAKEN", "team: '%s' exists already", name);
    if (d->n_teams >= TEAMS_MAX)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "team: there are %u, the most allowed",
                       TEAMS_MAX);
    struct al_team t = {.created_ms = al_clock_wall_ms(d->opt.clock)};
    AL_TRY(next_space(d, &t.space, err));
    snprintf(t.name, sizeof t.name, "%s", name);
    snprintf(t.pseudonym, sizeof t.pseudonym, "team-%010llx",
             (unsigned long long)(al_random_u64(d->opt.random) & 0xFFFFFFFFFFull));
    AL_TRY(store_team(d, &t, AL_IF_ABSENT, err));
    *ret = t;
    return AL_OK;
}

bool al_is_pseudonym(struct al_str name)
{
    if (name.n != 15 || !al_str_starts(name, AL_STR("team-")))
        return false;
    for (size_t i = 5; i < name.n; i++) {
        if (!memchr("0123456789abcdef", name.p[i], 16))
            return false;
    }
    return true;
}

enum al_code al_directory_add_team(struct al_directory *d, const char *name, struct al_team *ret,
                                   struct al_err *err)
{
    AL_TRY(check_name("team", name, err));
    if (al_is_pseudonym(al_str_c(name)))
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_FORMAT",
                         "team: '%s' looks like a pseudonym; choose another name", name);
    pthread_mutex_lock(&d->change);
    enum al_code c = add_team(d, name, ret, err);
    pthread_mutex_unlock(&d->change);
    return c;
}

static enum al_code no_team(const char *name, struct al_err *err)
{
    return AL_FAIL_R(err, AL_NOT_FOUND, "TEAM_NOT_FOUND", "team: '%.64s' does not exist", name);
}

enum al_code al_directory_set_team_named(struct al_directory *d, const char *name, bool named,
                                         struct al_err *err)
{
    pthread_mutex_lock(&d->change);
    struct al_team *have = al_cache_team(d, name);
    enum al_code c = AL_OK;
    if (!have) {
        c = no_team(name, err);
    } else {
        struct al_team t = *have;
        t.named = named;
        c = store_team(d, &t, AL_IF_ANY, err);
    }
    pthread_mutex_unlock(&d->change);
    return c;
}

enum al_code al_directory_get_team(struct al_directory *d, const char *name, struct al_team *ret,
                                   struct al_err *err)
{
    pthread_rwlock_rdlock(&d->lock);
    const struct al_team *t = al_cache_team(d, name);
    if (t)
        *ret = *t;
    pthread_rwlock_unlock(&d->lock);
    return t ? AL_OK : no_team(name, err);
}

static enum al_code add_deployment(struct al_directory *d, const char *team, const char *name,
                                   struct al_deployment *ret, struct al_err *err)
{
    if (!al_cache_team(d, team))
        return no_team(team, err);
    if (al_cache_deployment(d, team, name))
        return AL_FAIL_R(err, AL_ALREADY_EXISTS, "NAME_TAKEN",
                         "deployment: '%s' of team '%s' exists already", name, team);
    if (d->n_deployments >= DEPLOYMENTS_MAX)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "deployment: there are %u, the most allowed",
                       DEPLOYMENTS_MAX);
    struct al_deployment x = {.created_ms = al_clock_wall_ms(d->opt.clock)};
    AL_TRY(next_space(d, &x.space, err));
    snprintf(x.team, sizeof x.team, "%s", team);
    snprintf(x.name, sizeof x.name, "%s", name);
    struct al_buf key;
    struct al_buf b;
    al_buf_init(&key, d->opt.mem, 0);
    al_buf_init(&b, d->opt.mem, 0);
    al_buf_printf(&key, "%s/%s", team, name);
    al_deployment_encode(&x, &b);
    enum al_code c = al_buf_status(&key, err);
    if (c == AL_OK)
        c = write_row(d, AL_TABLE_DEPLOYMENT, al_buf_view(&key), &b, AL_IF_ABSENT, err);
    al_buf_fini(&key);
    al_buf_fini(&b);
    if (c != AL_OK)
        return c;
    pthread_rwlock_wrlock(&d->lock);
    c = al_cache_put_deployment(d, &x, err);
    pthread_rwlock_unlock(&d->lock);
    *ret = x;
    return c;
}

enum al_code al_directory_add_deployment(struct al_directory *d, const char *team, const char *name,
                                         struct al_deployment *ret, struct al_err *err)
{
    AL_TRY(check_name("deployment", name, err));
    pthread_mutex_lock(&d->change);
    enum al_code c = add_deployment(d, team, name, ret, err);
    pthread_mutex_unlock(&d->change);
    return c;
}

enum al_code al_directory_list_teams(struct al_directory *d, struct al_arena *a,
                                     struct al_team **ret, size_t *ret_n, struct al_err *err)
{
    pthread_rwlock_rdlock(&d->lock);
    size_t n = d->n_teams;
    struct al_team *out = al_arena_array(a, n + 1, sizeof *out);
    if (out && n)
        memcpy(out, d->teams, n * sizeof *out);
    pthread_rwlock_unlock(&d->lock);
    if (!out)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "request: memory limit reached");
    *ret = out;
    *ret_n = n;
    return AL_OK;
}

size_t al_directory_count_deployments(struct al_directory *d, const char *team)
{
    size_t n = 0;
    pthread_rwlock_rdlock(&d->lock);
    for (size_t i = 0; i < d->n_deployments; i++)
        n += strcmp(team, d->deployments[i].team) == 0;
    pthread_rwlock_unlock(&d->lock);
    return n;
}

enum al_code al_directory_list_deployments(struct al_directory *d, const char *team,
                                           struct al_arena *a, struct al_deployment **ret,
                                           size_t *ret_n, struct al_err *err)
{
    size_t n = 0;
    pthread_rwlock_rdlock(&d->lock);
    struct al_deployment *out = al_arena_array(a, d->n_deployments + 1, sizeof *out);
    for (size_t i = 0; out && i < d->n_deployments; i++) {
        if (!team || strcmp(team, d->deployments[i].team) == 0)
            out[n++] = d->deployments[i];
    }
    pthread_rwlock_unlock(&d->lock);
    if (!out)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "request: memory limit reached");
    *ret = out;
    *ret_n = n;
    return AL_OK;
}
