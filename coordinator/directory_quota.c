/* Quotas: rows by the resource name of what they limit. */
#include <stdio.h>
#include <string.h>

#include "directory_cache.h"

enum al_code al_quota_take_old(struct al_directory *d, const struct al_key_row *k,
                               struct al_err *err)
{
    if (!k->old_requests_per_minute && !k->old_bytes_per_day)
        return AL_OK;
    struct al_quota_row q = {.version = 1};
    snprintf(q.scope.name, sizeof q.scope.name, "teams/%s/keys/%s", k->key.team, k->key.id);
    if (k->old_requests_per_minute) {
        q.scope.quota.set |= AL_QUOTA_CALLS_PER_SECOND;
        q.scope.quota.calls_per_second = (double)k->old_requests_per_minute / 60;
    }
    if (k->old_bytes_per_day) {
        q.scope.quota.set |= AL_QUOTA_INGEST_BYTES;
        q.scope.quota.ingest_bytes_per_day = k->old_bytes_per_day;
    }
    return al_cache_put_quota(d, &q, err);
}

enum al_code al_quota_check_deployments(struct al_directory *d, const char *team, size_t n,
                                        struct al_err *err)
{
    char name[AL_RESOURCE_NAME_MAX];
    snprintf(name, sizeof name, "teams/%s", team);
    const struct al_quota_row *q = al_cache_quota(d, name);
    if (!q || !(q->scope.quota.set & AL_QUOTA_DEPLOYMENTS) || n < q->scope.quota.max_deployments)
        return AL_OK;
    return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED",
                     "team: '%s' has %zu deployments, its quota is %u", team, n,
                     q->scope.quota.max_deployments);
}

static enum al_code set_quota(struct al_directory *d, const char *name, const struct al_quota *q,
                              uint64_t if_version, uint64_t *ret_version, struct al_err *err)
{
    const struct al_quota_row *have = al_cache_quota(d, name);
    if (if_version && if_version != (have ? have->version : 0))
        return AL_FAIL_R(err, AL_ABORTED, "ETAG_MISMATCH",
                         "quota of '%s': was changed since it was read", name);
    struct al_quota_row row = {.scope.quota = *q};
    snprintf(row.scope.name, sizeof row.scope.name, "%s", name);
    struct al_buf b;
    al_buf_init(&b, d->opt.mem, 0);
    al_quota_encode(q, &b);
    enum al_code c = al_buf_status(&b, err);
    if (c == AL_OK) {
        struct al_op op = {.kind = AL_OP_PUT_ROW,
                           .table = AL_TABLE_QUOTA,
                           .id = al_str_c(name),
                           .value = al_buf_view(&b)};
        c = al_directory_write(d, &op, &row.version, err);
    }
    al_buf_fini(&b);
    if (c != AL_OK)
        return c;
    pthread_rwlock_wrlock(&d->lock);
    c = al_cache_put_quota(d, &row, err);
    pthread_rwlock_unlock(&d->lock);
    *ret_version = row.version;
    return c;
}

enum al_code al_directory_set_quota(struct al_directory *d, const char *name,
                                    const struct al_quota *q, uint64_t if_version,
                                    uint64_t *ret_version, struct al_err *err)
{
    if (strlen(name) >= AL_RESOURCE_NAME_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_FORMAT", "quota: name too long");
    pthread_mutex_lock(&d->change);
    enum al_code c = set_quota(d, name, q, if_version, ret_version, err);
    pthread_mutex_unlock(&d->change);
    return c;
}

enum al_code al_directory_erase_quota(struct al_directory *d, const char *name, struct al_err *err)
{
    if (!al_cache_quota(d, name))
        return AL_OK;
    AL_TRY(al_directory_erase(d, AL_TABLE_QUOTA, name, err));
    pthread_rwlock_wrlock(&d->lock);
    al_cache_drop_quota(d, name);
    pthread_rwlock_unlock(&d->lock);
    return AL_OK;
}

void al_directory_get_quota(struct al_directory *d, const char *name, struct al_quota *ret,
                            uint64_t *ret_version)
{
    pthread_rwlock_rdlock(&d->lock);
    const struct al_quota_row *q = al_cache_quota(d, name);
    *ret = q ? q->scope.quota : (struct al_quota){0};
    *ret_version = q ? q->version : 0;
    pthread_rwlock_unlock(&d->lock);
}

static struct al_quota quota_of(struct al_directory *d, const char *name)
{
    const struct al_quota_row *q = d->n_quotas ? al_cache_quota(d, name) : NULL;
    return q ? q->scope.quota : (struct al_quota){0};
}

void al_quota_fill(struct al_directory *d, struct al_credential *c)
{
    const struct al_key *k = c->key;
    c->n_scopes = 0;
    c->generation = atomic_load(&d->generation);
    struct al_quota_scope *s = &c->scopes[c->n_scopes++];
    snprintf(s->name, sizeof s->name, "teams/%s/keys/%s", k->team, k->id);
    s->quota = quota_of(d, s->name);
    if (k->deployment[0]) {
        s = &c->scopes[c->n_scopes++];
        snprintf(s->name, sizeof s->name, "teams/%s/deployments/%s", k->team, k->deployment);
        s->quota = quota_of(d, s->name);
    }
    s = &c->scopes[c->n_scopes++];
    snprintf(s->name, sizeof s->name, "teams/%s", k->team);
    s->quota = quota_of(d, s->name);
}

/* ---- what is stored ---- */

static enum al_code no_memory(struct al_err *err)
{
    return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "request: memory limit reached");
}

/* Under the lock. */
static enum al_code team_spaces(struct al_directory *d, const char *team, struct al_arena *a,
                                uint32_t **ret, size_t *ret_n, struct al_err *err)
{
    const struct al_team *t = al_cache_team(d, team);
    if (!t)
        return AL_FAIL_R(err, AL_NOT_FOUND, "TEAM_NOT_FOUND", "team: '%.64s' does not exist", team);
    size_t n = 1;
    for (size_t i = 0; i < d->n_deployments; i++)
        n += strcmp(d->deployments[i].team, team) == 0;
    uint32_t *out = al_arena_array(a, n, sizeof *out);
    if (!out)
        return no_memory(err);
    n = 0;
    out[n++] = t->space;
    for (size_t i = 0; i < d->n_deployments; i++) {
        if (strcmp(d->deployments[i].team, team) == 0)
            out[n++] = d->deployments[i].space;
    }
    *ret = out;
    *ret_n = n;
    return AL_OK;
}

enum al_code al_directory_team_spaces(struct al_directory *d, const char *team, struct al_arena *a,
                                      uint32_t **ret, size_t *ret_n, struct al_err *err)
{
    pthread_rwlock_rdlock(&d->lock);
    enum al_code c = team_spaces(d, team, a, ret, ret_n, err);
    pthread_rwlock_unlock(&d->lock);
    return c;
}

static const uint32_t STORED = AL_QUOTA_ITEMS | AL_QUOTA_BYTES;

static enum al_code add_deployment_owner(struct al_directory *d, const struct al_deployment *x,
                                         struct al_arena *a, struct al_space_owner *out, size_t *n,
                                         struct al_err *err)
{
    struct al_space_owner *o = &out[*n];
    snprintf(o->scope.name, sizeof o->scope.name, "teams/%s/deployments/%s", x->team, x->name);
    o->scope.quota = quota_of(d, o->scope.name);
    if (!(o->scope.quota.set & STORED))
        return AL_OK;
    o->spaces = al_arena_array(a, 1, sizeof *o->spaces);
    if (!o->spaces)
        return no_memory(err);
    o->spaces[0] = x->space;
    o->n_spaces = 1;
    ++*n;
    return AL_OK;
}

static enum al_code storage_quotas(struct al_directory *d, uint32_t space, struct al_arena *a,
                                   struct al_space_owner **ret, size_t *ret_n, struct al_err *err)
{
    struct al_space_owner *out = al_arena_zalloc(a, 2 * sizeof *out);
    const char *team = NULL;
    size_t n = 0;
    if (!out)
        return no_memory(err);
    for (size_t i = 0; i < d->n_teams && !team; i++)
        team = d->teams[i].space == space ? d->teams[i].name : NULL;
    for (size_t i = 0; i < d->n_deployments && !team; i++) {
        if (d->deployments[i].space != space)
            continue;
        team = d->deployments[i].team;
        AL_TRY(add_deployment_owner(d, &d->deployments[i], a, out, &n, err));
    }
    if (team) {
        struct al_space_owner *o = &out[n];
        snprintf(o->scope.name, sizeof o->scope.name, "teams/%s", team);
        o->scope.quota = quota_of(d, o->scope.name);
        if (o->scope.quota.set & STORED) {
            AL_TRY(team_spaces(d, team, a, &o->spaces, &o->n_spaces, err));
            n++;
        }
    }
    *ret = out;
    *ret_n = n;
    return AL_OK;
}

enum al_code al_directory_storage_quotas(struct al_directory *d, uint32_t space, struct al_arena *a,
                                         struct al_space_owner **ret, size_t *ret_n,
                                         struct al_err *err)
{
    *ret_n = 0;
    pthread_rwlock_rdlock(&d->lock);
    enum al_code c = AL_OK;
    if (d->n_quotas)
        c = storage_quotas(d, space, a, ret, ret_n, err);
    pthread_rwlock_unlock(&d->lock);
    return c;
}
