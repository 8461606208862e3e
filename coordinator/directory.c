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
    t.version = row->version;
    return al_cache_put_team(d, &t, err);
}

static enum al_code take_deployment(struct al_directory *d, const struct al_row *row,
                                    struct al_arena *a, struct al_err *err)
{
    struct al_deployment x;
    AL_TRY(al_deployment_decode(row->value, a, &x, NULL, err));
    x.version = row->version;
    return al_cache_put_deployment(d, &x, err);
}

static enum al_code take_key(struct al_directory *d, const struct al_row *row, struct al_arena *a,
                             struct al_err *err)
{
    struct al_key_row k;
    AL_TRY(al_key_decode(row->value, a, &k, err));
    AL_TRY(al_cache_put_key(d, &k, err));
    return al_quota_take_old(d, &k, err);
}

static enum al_code take_quota(struct al_directory *d, const struct al_row *row, struct al_arena *a,
                               struct al_err *err)
{
    (void)a;
    struct al_quota_row q = {.version = row->version};
    AL_TRY(al_quota_decode(row->value, &q.scope.quota, err));
    if (row->key.n >= sizeof q.scope.name)
        return AL_FAIL(err, AL_DATA_LOSS, "system shard: quota: malformed key");
    memcpy(q.scope.name, row->key.p, row->key.n);
    return al_cache_put_quota(d, &q, err);
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
    AL_TRY(load_table(d, AL_TABLE_QUOTA, take_quota, err));
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

enum al_code al_directory_write(struct al_directory *d, struct al_op *op, uint64_t *ret_version,
                                struct al_err *err)
{
    op->space = SYSTEM_SPACE;
    struct al_arena a;
    al_arena_init(&a, d->opt.mem, ARENA_LIMIT);
    struct al_write_result res = {0};
    uint64_t deadline = al_clock_deadline(d->opt.clock, WRITE_TIMEOUT_MS);
    enum al_code c =
        d->opt.system->ops->write(d->opt.system, op, 1, NO_WRITE_ID, deadline, &a, &res, err);
    bool refused = c == AL_OK && res.outcomes[0] == AL_OUTCOME_CONDITION;
    if (ret_version)
        *ret_version = res.index;
    al_arena_fini(&a);
    if (refused)
        return AL_FAIL_R(err, AL_ABORTED, "ETAG_MISMATCH",
                         "directory: '" AL_STR_FMT "' was changed meanwhile", AL_STR_ARG(op->id));
    return c;
}

static enum al_code write_row(struct al_directory *d, struct al_op op, const struct al_buf *value,
                              uint64_t *ret_version, struct al_err *err)
{
    AL_TRY(al_buf_status(value, err));
    op.kind = AL_OP_PUT_ROW;
    op.value = al_buf_view(value);
    return al_directory_write(d, &op, ret_version, err);
}

enum al_code al_directory_erase(struct al_directory *d, uint8_t table, const char *key,
                                struct al_err *err)
{
    struct al_op op = {.kind = AL_OP_DELETE_ROW, .table = table, .id = al_str_c(key)};
    return al_directory_write(d, &op, NULL, err);
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
    c = write_row(d, (struct al_op){.table = AL_TABLE_COUNTER, .id = AL_STR("space")}, &b, NULL,
                  err);
    al_buf_fini(&b);
    if (c == AL_OK)
        *ret = (uint32_t)n;
    return c;
}

/* *t gets its new version. */
static enum al_code store_team(struct al_directory *d, struct al_team *t,
                               enum al_op_condition condition, struct al_err *err)
{
    struct al_buf b;
    al_buf_init(&b, d->opt.mem, 0);
    al_team_encode(t, &b);
    struct al_op op = {.table = AL_TABLE_TEAM,
                       .id = al_str_c(t->name),
                       .condition = condition,
                       .version = t->version};
    enum al_code c = write_row(d, op, &b, &t->version, err);
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

static enum al_code take_display_name(const char *name, char out[AL_DISPLAY_NAME_MAX + 1],
                                      struct al_err *err)
{
    if (!name)
        return AL_OK;
    if (strlen(name) > AL_DISPLAY_NAME_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_LARGE", "display name: at most %u bytes",
                         AL_DISPLAY_NAME_MAX);
    snprintf(out, AL_DISPLAY_NAME_MAX + 1, "%s", name);
    return AL_OK;
}

static enum al_code check_version(uint64_t if_version, uint64_t now, const char *name,
                                  struct al_err *err)
{
    if (!if_version || if_version == now)
        return AL_OK;
    return AL_FAIL_R(err, AL_ABORTED, "ETAG_MISMATCH", "'%s': was changed since it was read", name);
}

static enum al_code change_team(struct al_directory *d, const char *name,
                                const struct al_team_change *change, struct al_team *ret,
                                struct al_err *err)
{
    const struct al_team *have = al_cache_team(d, name);
    if (!have)
        return no_team(name, err);
    struct al_team t = *have;
    AL_TRY(check_version(change->if_version, t.version, name, err));
    AL_TRY(take_display_name(change->display_name, t.display_name, err));
    if (change->named)
        t.named = *change->named;
    AL_TRY(store_team(d, &t, AL_IF_VERSION, err));
    *ret = t;
    return AL_OK;
}

enum al_code al_directory_change_team(struct al_directory *d, const char *name,
                                      const struct al_team_change *change, struct al_team *ret,
                                      struct al_err *err)
{
    pthread_mutex_lock(&d->change);
    enum al_code c = change_team(d, name, change, ret, err);
    pthread_mutex_unlock(&d->change);
    return c;
}

static size_t count_keys(struct al_directory *d, const char *team, const char *deployment)
{
    size_t n = 0;
    for (size_t i = 0; i < d->n_keys; i++)
        n += strcmp(d->keys[i].key.team, team) == 0 &&
             (!deployment || strcmp(d->keys[i].key.deployment, deployment) == 0);
    return n;
}

static size_t count_deployments(struct al_directory *d, const char *team)
{
    size_t n = 0;
    for (size_t i = 0; i < d->n_deployments; i++)
        n += strcmp(team, d->deployments[i].team) == 0;
    return n;
}

static enum al_code drop_team(struct al_directory *d, const char *name, struct al_err *err)
{
    if (!al_cache_team(d, name))
        return no_team(name, err);
    if (strcmp(name, AL_TEAM_OF_SERVER) == 0)
        return AL_FAIL_R(err, AL_FAILED_PRECONDITION, "LAST_ONE",
                         "team: '%s' owns the server and stays", name);
    if (count_deployments(d, name) || count_keys(d, name, NULL))
        return AL_FAIL_R(err, AL_FAILED_PRECONDITION, "NOT_EMPTY",
                         "team: '%s' has deployments or keys", name);
    char quota[AL_RESOURCE_NAME_MAX];
    snprintf(quota, sizeof quota, "teams/%s", name);
    AL_TRY(al_directory_erase_quota(d, quota, err));
    AL_TRY(al_directory_erase(d, AL_TABLE_TEAM, name, err));
    pthread_rwlock_wrlock(&d->lock);
    al_cache_drop_team(d, name);
    pthread_rwlock_unlock(&d->lock);
    return AL_OK;
}

enum al_code al_directory_drop_team(struct al_directory *d, const char *name, struct al_err *err)
{
    pthread_mutex_lock(&d->change);
    enum al_code c = drop_team(d, name, err);
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

/* *x gets its new version. */
static enum al_code store_deployment(struct al_directory *d, struct al_deployment *x,
                                     const struct al_deployment_details *details,
                                     enum al_op_condition condition, struct al_err *err)
{
    char key[AL_RESOURCE_NAME_MAX];
    struct al_buf b;
    snprintf(key, sizeof key, "%s/%s", x->team, x->name);
    al_buf_init(&b, d->opt.mem, 0);
    al_deployment_encode(x, details, &b);
    struct al_op op = {.table = AL_TABLE_DEPLOYMENT,
                       .id = al_str_c(key),
                       .condition = condition,
                       .version = x->version};
    enum al_code c = write_row(d, op, &b, &x->version, err);
    al_buf_fini(&b);
    if (c != AL_OK)
        return c;
    pthread_rwlock_wrlock(&d->lock);
    c = al_cache_put_deployment(d, x, err);
    pthread_rwlock_unlock(&d->lock);
    return c;
}

static enum al_code add_deployment(struct al_directory *d, const char *team, const char *name,
                                   struct al_deployment *ret, struct al_err *err)
{
    if (!al_cache_team(d, team))
        return no_team(team, err);
    if (al_cache_deployment(d, team, name))
        return AL_FAIL_R(err, AL_ALREADY_EXISTS, "NAME_TAKEN",
                         "deployment: '%s' of team '%s' exists already", name, team);
    AL_TRY(al_quota_check_deployments(d, team, count_deployments(d, team), err));
    if (d->n_deployments >= DEPLOYMENTS_MAX)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "deployment: there are %u, the most allowed",
                       DEPLOYMENTS_MAX);
    struct al_deployment x = {.created_ms = al_clock_wall_ms(d->opt.clock)};
    AL_TRY(next_space(d, &x.space, err));
    snprintf(x.team, sizeof x.team, "%s", team);
    snprintf(x.name, sizeof x.name, "%s", name);
    struct al_deployment_details none = {0};
    AL_TRY(store_deployment(d, &x, &none, AL_IF_ABSENT, err));
    *ret = x;
    return AL_OK;
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

static enum al_code find_deployment(struct al_directory *d, const char *team, const char *name,
                                    struct al_deployment *ret, struct al_err *err)
{
    if (!al_cache_team(d, team))
        return no_team(team, err);
    const struct al_deployment *x = al_cache_deployment(d, team, name);
    if (!x)
        return AL_FAIL_R(err, AL_NOT_FOUND, "DEPLOYMENT_NOT_FOUND",
                         "deployment: '%.64s' of team '%s' does not exist", name, team);
    *ret = *x;
    return AL_OK;
}

enum al_code al_directory_get_deployment(struct al_directory *d, const char *team, const char *name,
                                         struct al_deployment *ret, struct al_err *err)
{
    pthread_rwlock_rdlock(&d->lock);
    enum al_code c = find_deployment(d, team, name, ret, err);
    pthread_rwlock_unlock(&d->lock);
    return c;
}

enum al_code al_directory_get_details(struct al_directory *d, const struct al_deployment *x,
                                      struct al_arena *a, struct al_deployment_details *ret,
                                      struct al_err *err)
{
    char key[AL_RESOURCE_NAME_MAX];
    snprintf(key, sizeof key, "%s/%s", x->team, x->name);
    struct al_str value = {NULL, 0};
    uint64_t version = 0;
    struct al_deployment same;
    AL_TRY(d->opt.system->ops->get_row(d->opt.system, AL_TABLE_DEPLOYMENT, SYSTEM_SPACE,
                                       al_str_c(key), a, &value, &version, err));
    return al_deployment_decode(value, a, &same, ret, err);
}

static enum al_code check_details(const struct al_deployment_change *c, struct al_err *err)
{
    if (c->airflow_url && strlen(c->airflow_url) > AL_URL_BYTES_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_LARGE", "airflow url: at most %u bytes",
                         AL_URL_BYTES_MAX);
    if (c->airflow_url && c->airflow_url[0] && strncmp(c->airflow_url, "http://", 7) != 0 &&
        strncmp(c->airflow_url, "https://", 8) != 0)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_FORMAT",
                         "airflow url: '%.100s' does not begin with http:// or https://",
                         c->airflow_url);
    if (c->labels && c->n_labels > AL_LABELS_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_MANY", "labels: at most %u", AL_LABELS_MAX);
    for (size_t i = 0; c->labels && i < c->n_labels; i++) {
        if (!c->labels[i].key.n || c->labels[i].key.n > AL_LABEL_BYTES_MAX ||
            c->labels[i].value.n > AL_LABEL_BYTES_MAX)
            return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_LARGE",
                             "label: keys of 1 and values of 0 to %u bytes", AL_LABEL_BYTES_MAX);
    }
    return AL_OK;
}

static enum al_code change_deployment(struct al_directory *d,
                                      const struct al_deployment_change *change, struct al_arena *a,
                                      struct al_deployment *ret, struct al_err *err)
{
    struct al_deployment x;
    struct al_deployment_details details = {0};
    AL_TRY(check_details(change, err));
    AL_TRY(find_deployment(d, ret->team, ret->name, &x, err));
    AL_TRY(check_version(change->if_version, x.version, x.name, err));
    AL_TRY(al_directory_get_details(d, &x, a, &details, err));
    AL_TRY(take_display_name(change->display_name, x.display_name, err));
    if (change->airflow_url)
        details.airflow_url = al_str_c(change->airflow_url);
    if (change->labels) {
        details.labels = (struct al_kv *)(uintptr_t)change->labels;
        details.n_labels = change->n_labels;
    }
    AL_TRY(store_deployment(d, &x, &details, AL_IF_VERSION, err));
    *ret = x;
    return AL_OK;
}

enum al_code al_directory_change_deployment(struct al_directory *d,
                                            const struct al_deployment_change *change,
                                            struct al_deployment *ret, struct al_err *err)
{
    struct al_arena a;
    al_arena_init(&a, d->opt.mem, ARENA_LIMIT);
    pthread_mutex_lock(&d->change);
    enum al_code c = change_deployment(d, change, &a, ret, err);
    pthread_mutex_unlock(&d->change);
    al_arena_fini(&a);
    return c;
}

static enum al_code drop_deployment(struct al_directory *d, const char *team, const char *name,
                                    struct al_err *err)
{
    struct al_deployment x;
    AL_TRY(find_deployment(d, team, name, &x, err));
    if (count_keys(d, team, name))
        return AL_FAIL_R(err, AL_FAILED_PRECONDITION, "NOT_EMPTY", "deployment: '%s' has keys",
                         name);
    char text[AL_RESOURCE_NAME_MAX];
    snprintf(text, sizeof text, "teams/%s/deployments/%s", team, name);
    AL_TRY(al_directory_erase_quota(d, text, err));
    snprintf(text, sizeof text, "%s/%s", team, name);
    AL_TRY(al_directory_erase(d, AL_TABLE_DEPLOYMENT, text, err));
    pthread_rwlock_wrlock(&d->lock);
    al_cache_drop_deployment(d, team, name);
    pthread_rwlock_unlock(&d->lock);
    return AL_OK;
}

enum al_code al_directory_drop_deployment(struct al_directory *d, const char *team,
                                          const char *name, struct al_err *err)
{
    pthread_mutex_lock(&d->change);
    enum al_code c = drop_deployment(d, team, name, err);
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
    pthread_rwlock_rdlock(&d->lock);
    size_t n = count_deployments(d, team);
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
