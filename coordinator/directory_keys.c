#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "directory_cache.h"
#include "key_text.h"

#define ARENA_LIMIT (1u << 20)
#define KEYS_MAX 100000u

const char *al_role_name(enum al_role r)
{
    switch (r) {
    case AL_ROLE_READER:
        return "reader";
    case AL_ROLE_CONTRIBUTOR:
        return "contributor";
    case AL_ROLE_REVIEWER:
        return "reviewer";
    case AL_ROLE_ADMIN:
        return "admin";
    }
    return "unknown";
}

enum al_role al_role_of(struct al_str name)
{
    for (enum al_role r = AL_ROLE_READER; r <= AL_ROLE_ADMIN; r++) {
        if (al_str_is(name, al_role_name(r)))
            return r;
    }
    return (enum al_role)0;
}

static enum al_code store_key(struct al_directory *d, const struct al_key_row *k,
                              enum al_op_condition condition, struct al_err *err)
{
    struct al_buf b;
    al_buf_init(&b, d->opt.mem, 0);
    al_key_encode(k, &b);
    enum al_code c = al_buf_status(&b, err);
    if (c == AL_OK) {
        struct al_op op = {.kind = AL_OP_PUT_ROW,
                           .condition = condition,
                           .table = AL_TABLE_KEY,
                           .id = al_str_c(k->key.id),
                           .value = al_buf_view(&b)};
        c = al_directory_write(d, &op, NULL, err);
    }
    al_buf_fini(&b);
    if (c != AL_OK)
        return c;
    pthread_rwlock_wrlock(&d->lock);
    c = al_cache_put_key(d, k, err);
    pthread_rwlock_unlock(&d->lock);
    return c;
}

static bool is_hex_digest(const char *s)
{
    size_t n = strspn(s, "0123456789abcdef");
    return n == 64 && !s[n];
}

/* An id that is free, and a certificate that nobody else has. */
static enum al_code check_identity(struct al_directory *d, const struct al_key *want,
                                   struct al_err *err)
{
    if (want->id[0] && !al_key_id_is_valid(want->id))
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_FORMAT",
                         "key: '%.40s' is no id: %u to %u lower-case letters and digits", want->id,
                         AL_KEY_ID_MIN, AL_KEY_ID_MAX);
    if (want->id[0] && al_cache_key(d, want->id))
        return AL_FAIL_R(err, AL_ALREADY_EXISTS, "NAME_TAKEN", "key: '%s' exists already",
                         want->id);
    if (!want->match)
        return AL_OK;
    if (want->match == AL_CERTIFICATE_SHA256 && !is_hex_digest(want->certificate))
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_FORMAT",
                         "certificate: a SHA-256 has 64 hexadecimal digits");
    size_t at = 0;
    const struct al_cert_row *c;
    while ((c = al_cache_next_cert(d, want->match, want->certificate, &at)) != NULL) {
        const struct al_key_row *k = al_cache_key(d, c->id);
        if (k && !k->key.revoked)
            return AL_FAIL_R(
                err, AL_ALREADY_EXISTS, "NAME_TAKEN",
                "certificate: counts as another credential already; revoke that first");
    }
    return AL_OK;
}

static enum al_code check_want(struct al_directory *d, const struct al_key *want,
                               struct al_err *err)
{
    if (want->role < AL_ROLE_READER || want->role > AL_ROLE_ADMIN)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_ENUM",
                         "key: the role must be reader, contributor, reviewer or admin");
    if (want->n_readable > AL_READABLE_TEAMS_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_MANY", "key: at most %u readable teams",
                         AL_READABLE_TEAMS_MAX);
    if (d->n_keys >= KEYS_MAX)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "key: there are %u, the most allowed", KEYS_MAX);
    if (!al_cache_team(d, want->team))
        return AL_FAIL_R(err, AL_NOT_FOUND, "TEAM_NOT_FOUND", "team: '%s' does not exist",
                         want->team);
    if (want->deployment[0] && !al_cache_deployment(d, want->team, want->deployment))
        return AL_FAIL_R(err, AL_NOT_FOUND, "DEPLOYMENT_NOT_FOUND",
                         "deployment: '%s' of team '%s' does not exist", want->deployment,
                         want->team);
    for (size_t i = 0; i < want->n_readable; i++) {
        if (!al_cache_team(d, want->readable[i]))
            return AL_FAIL_R(err, AL_NOT_FOUND, "TEAM_NOT_FOUND", "team: '%s' does not exist",
                             want->readable[i]);
    }
    return AL_OK;
}

static enum al_code add_key(struct al_directory *d, const struct al_key *want,
                            char ret_text[AL_KEY_TEXT_MAX], struct al_key *ret, struct al_err *err)
{
    AL_TRY(check_want(d, want, err));
    AL_TRY(check_identity(d, want, err));
    struct al_key_row k = {.key = *want};
    char text[AL_KEY_TEXT_MAX];
    struct al_str id;
    struct al_str secret;
    k.key.created_ms = al_clock_wall_ms(d->opt.clock);
    k.key.revoked = false;
    k.key.revoked_ms = 0;
    al_key_text_make(d->opt.random, k.key.id, text);
    al_random_fill(d->opt.random, k.salt, sizeof k.salt);
    bool ok = al_key_text_split(al_str_c(text), &id, &secret);
    AL_ASSERT(ok);
    al_key_hash(secret, k.salt, k.hash);
    if (want->match) /* nobody gets this secret: no text lets anyone in */
        text[0] = '\0';
    AL_TRY(store_key(d, &k, AL_IF_ABSENT, err));
    memcpy(ret_text, text, sizeof text);
    explicit_bzero(text, sizeof text);
    *ret = k.key;
    return AL_OK;
}

enum al_code al_directory_add_key(struct al_directory *d, const struct al_key *want,
                                  char ret_text[AL_KEY_TEXT_MAX], struct al_key *ret,
                                  struct al_err *err)
{
    pthread_mutex_lock(&d->change);
    enum al_code c = add_key(d, want, ret_text, ret, err);
    pthread_mutex_unlock(&d->change);
    return c;
}

/* A copy whose readable list lives in the arena. */
static enum al_code copy_key(const struct al_key *k, struct al_arena *a, struct al_key *ret,
                             struct al_err *err)
{
    *ret = *k;
    ret->readable = al_arena_array(a, k->n_readable + 1, sizeof *ret->readable);
    if (!ret->readable)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "request: memory limit reached");
    if (k->n_readable)
        memcpy(ret->readable, k->readable, k->n_readable * sizeof *ret->readable);
    return AL_OK;
}

static enum al_code list_keys(struct al_directory *d, const char *team, struct al_arena *a,
                              struct al_key **ret, size_t *ret_n, struct al_err *err)
{
    size_t n = 0;
    for (size_t i = 0; i < d->n_keys; i++)
        n += !team || strcmp(team, d->keys[i].key.team) == 0;
    struct al_key *out = al_arena_array(a, n + 1, sizeof *out);
    n = 0;
    if (!out)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "request: memory limit reached");
    for (size_t i = 0; i < d->n_keys; i++) {
        if (!team || strcmp(team, d->keys[i].key.team) == 0)
            AL_TRY(copy_key(&d->keys[i].key, a, &out[n++], err));
    }
    *ret = out;
    *ret_n = n;
    return AL_OK;
}

enum al_code al_directory_list_keys(struct al_directory *d, const char *team, struct al_arena *a,
                                    struct al_key **ret, size_t *ret_n, struct al_err *err)
{
    pthread_rwlock_rdlock(&d->lock);
    enum al_code c = list_keys(d, team, a, ret, ret_n, err);
    pthread_rwlock_unlock(&d->lock);
    return c;
}

enum al_code al_directory_get_key(struct al_directory *d, const char *id, struct al_arena *a,
                                  struct al_key *ret, struct al_err *err)
{
    pthread_rwlock_rdlock(&d->lock);
    const struct al_key_row *have = al_cache_key(d, id);
    enum al_code c = AL_NOT_FOUND;
    if (have)
        c = copy_key(&have->key, a, ret, err);
    pthread_rwlock_unlock(&d->lock);
    if (have)
        return c;
    return AL_FAIL_R(err, AL_NOT_FOUND, "KEY_NOT_FOUND", "key: '%.64s' does not exist", id);
}

static bool is_live_owner(const struct al_key *k, uint64_t now_ms)
{
    return k->role == AL_ROLE_ADMIN && strcmp(k->team, AL_TEAM_OF_SERVER) == 0 && !k->revoked &&
           !k->match && /* without TLS a certificate lets nobody in */
           (!k->expires_ms || k->expires_ms > now_ms);
}

/* Without an admin key of the owning team nobody could make one again. */
static enum al_code check_not_last(struct al_directory *d, const struct al_key *k,
                                   struct al_err *err)
{
    uint64_t now = al_clock_wall_ms(d->opt.clock);
    if (!is_live_owner(k, now))
        return AL_OK;
    for (size_t i = 0; i < d->n_keys; i++) {
        if (&d->keys[i].key != k && is_live_owner(&d->keys[i].key, now))
            return AL_OK;
    }
    return AL_FAIL_R(err, AL_FAILED_PRECONDITION, "LAST_ONE",
                     "key: it is the last admin key of the team 'default'; make another one first");
}

static enum al_code revoke_key(struct al_directory *d, const char *id, bool keep_one,
                               struct al_err *err)
{
    const struct al_key_row *have = al_cache_key(d, id);
    if (!have)
        return AL_FAIL_R(err, AL_NOT_FOUND, "KEY_NOT_FOUND", "key: '%.32s' does not exist", id);
    if (have->key.revoked)
        return AL_OK;
    if (keep_one)
        AL_TRY(check_not_last(d, &have->key, err));
    struct al_arena a;
    al_arena_init(&a, d->opt.mem, ARENA_LIMIT);
    struct al_key_row k = *have;
    enum al_code c = copy_key(&have->key, &a, &k.key, err);
    k.key.revoked = true;
    k.key.revoked_ms = al_clock_wall_ms(d->opt.clock);
    if (c == AL_OK)
        c = store_key(d, &k, AL_IF_ANY, err);
    al_arena_fini(&a);
    return c;
}

enum al_code al_directory_revoke_key(struct al_directory *d, const char *id, struct al_err *err)
{
    pthread_mutex_lock(&d->change);
    enum al_code c = revoke_key(d, id, true, err);
    pthread_mutex_unlock(&d->change);
    return c;
}

enum al_code al_directory_drop_key(struct al_directory *d, const char *id, struct al_err *err)
{
    pthread_mutex_lock(&d->change);
    enum al_code c = revoke_key(d, id, false, err);
    pthread_mutex_unlock(&d->change);
    return c;
}

static enum al_code forget_key(struct al_directory *d, const char *id, struct al_err *err)
{
    const struct al_key_row *k = al_cache_key(d, id);
    if (!k)
        return AL_OK;
    char quota[AL_RESOURCE_NAME_MAX];
    char name[AL_KEY_ID_MAX + 1]; /* id may be a view of the row that goes */
    snprintf(quota, sizeof quota, "teams/%s/keys/%s", k->key.team, k->key.id);
    memcpy(name, k->key.id, sizeof name);
    AL_TRY(al_directory_erase_quota(d, quota, err));
    AL_TRY(al_directory_erase(d, AL_TABLE_KEY, name, err));
    pthread_rwlock_wrlock(&d->lock);
    al_cache_drop_key(d, name);
    pthread_rwlock_unlock(&d->lock);
    return AL_OK;
}

enum al_code al_directory_forget_key(struct al_directory *d, const char *id, struct al_err *err)
{
    pthread_mutex_lock(&d->change);
    enum al_code c = forget_key(d, id, err);
    pthread_mutex_unlock(&d->change);
    return c;
}

/* ---- authentication ---- */

static int by_number(const void *x, const void *y)
{
    uint32_t a = *(const uint32_t *)x;
    uint32_t b = *(const uint32_t *)y;
    return a < b ? -1 : a > b;
}

void al_space_sort(uint32_t *spaces, size_t n)
{
    qsort(spaces, n, sizeof *spaces, by_number);
}

static void add_team_spaces(struct al_directory *d, const char *team, bool deployments,
                            struct al_credential *c)
{
    const struct al_team *t = al_cache_team(d, team);
    if (!t)
        return;
    c->spaces[c->n_spaces++] = t->space;
    for (size_t i = 0; deployments && i < d->n_deployments; i++) {
        if (strcmp(d->deployments[i].team, team) == 0)
            c->spaces[c->n_spaces++] = d->deployments[i].space;
    }
}

/* A key of a deployment sees its deployment, its team and the community; a key of a team sees the
 * team, all its deployments and the community; further readable teams add what is visible to a
 * whole team. */
static enum al_code make_credential(struct al_directory *d, const struct al_key *key,
                                    struct al_arena *a, const struct al_credential **ret,
                                    struct al_err *err)
{
    struct al_credential *c = al_arena_zalloc(a, sizeof *c);
    struct al_key *k = al_arena_zalloc(a, sizeof *k);
    size_t max = 3 + d->n_deployments + key->n_readable;
    const struct al_team *team = al_cache_team(d, key->team);
    if (!c || !k || !team)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "request: memory limit reached");
    c->spaces = al_arena_array(a, max, sizeof *c->spaces);
    c->pseudonym = al_arena_strndup(a, team->pseudonym, strlen(team->pseudonym));
    if (!c->spaces || !c->pseudonym)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "request: memory limit reached");
    AL_TRY(copy_key(key, a, k, err));
    c->key = k;
    c->team_space = c->own_space = team->space;
    c->team_named = team->named;
    c->spaces[c->n_spaces++] = AL_SPACE_COMMUNITY;
    add_team_spaces(d, key->team, !key->deployment[0], c);
    if (key->deployment[0]) {
        const struct al_deployment *x = al_cache_deployment(d, key->team, key->deployment);
        if (x)
            c->spaces[c->n_spaces++] = c->own_space = x->space;
    }
    for (size_t i = 0; i < key->n_readable; i++) {
        if (strcmp(key->readable[i], key->team) != 0)
            add_team_spaces(d, key->readable[i], false, c);
    }
    al_space_sort(c->spaces, c->n_spaces);
    size_t n = 0; /* a team named twice in `readable` counts once */
    for (size_t i = 0; i < c->n_spaces; i++) {
        if (n == 0 || c->spaces[n - 1] != c->spaces[i])
            c->spaces[n++] = c->spaces[i];
    }
    c->n_spaces = n;
    al_quota_fill(d, c);
    *ret = c;
    return AL_OK;
}

static enum al_code check_live(const struct al_key *k, uint64_t now_ms, struct al_err *err)
{
    if (k->revoked)
        return AL_FAIL_R(err, AL_UNAUTHENTICATED, "KEY_REVOKED", "key: '%s' was revoked", k->id);
    if (k->expires_ms && k->expires_ms <= now_ms)
        return AL_FAIL_R(err, AL_UNAUTHENTICATED, "KEY_EXPIRED", "key: '%s' has expired", k->id);
    return AL_OK;
}

static enum al_code authenticate(struct al_directory *d, struct al_str text, struct al_arena *a,
                                 const struct al_credential **ret, struct al_err *err)
{
    struct al_str id;
    struct al_str secret;
    bool ok = al_key_text_split(text, &id, &secret);
    const struct al_key_row *k = NULL;
    if (ok) {
        char name[AL_KEY_ID_MAX + 1] = {0};
        memcpy(name, id.p, id.n);
        k = al_cache_key(d, name);
        uint8_t hash[AL_KEY_HASH_BYTES];
        static const uint8_t no_salt[16];
        al_key_hash(secret, k ? k->salt : no_salt, hash);
        ok = k && !k->key.match && al_key_hash_equal(hash, k->hash);
    }
    uint64_t now = al_clock_wall_ms(d->opt.clock);
    if (!ok || !k)
        return AL_FAIL_R(err, AL_UNAUTHENTICATED, "KEY_INVALID", "key: not valid");
    AL_TRY(check_live(&k->key, now, err)); /* said only to who has the secret */
    return make_credential(d, &k->key, a, ret, err);
}

enum al_code al_directory_authenticate(struct al_directory *d, struct al_str key_text,
                                       struct al_arena *a, const struct al_credential **ret,
                                       struct al_err *err)
{
    pthread_rwlock_rdlock(&d->lock);
    enum al_code c = authenticate(d, key_text, a, ret, err);
    pthread_rwlock_unlock(&d->lock);
    return c;
}

/* The credential of this match: one that lives before one that has ended; NULL: none. */
static const struct al_key_row *find_certified(struct al_directory *d,
                                               enum al_certificate_match match, const char *text,
                                               uint64_t now_ms)
{
    size_t at = 0;
    const struct al_cert_row *c;
    const struct al_key_row *ended = NULL;
    while ((c = al_cache_next_cert(d, match, text, &at)) != NULL) {
        const struct al_key_row *k = al_cache_key(d, c->id);
        if (k && check_live(&k->key, now_ms, NULL) == AL_OK)
            return k;
        ended = k ? k : ended;
    }
    return ended;
}

static enum al_code certify(struct al_directory *d, const struct al_certificate *cert,
                            struct al_arena *a, const struct al_credential **ret,
                            struct al_err *err)
{
    uint64_t now = al_clock_wall_ms(d->opt.clock);
    const struct al_key_row *k = find_certified(d, AL_CERTIFICATE_SHA256, cert->sha256, now);
    for (size_t i = 0; i < cert->n_subjects && !k; i++)
        k = find_certified(d, AL_CERTIFICATE_SUBJECT, cert->subjects[i], now);
    if (!k)
        return AL_FAIL_R(err, AL_UNAUTHENTICATED, "CERTIFICATE_UNKNOWN",
                         "key: none was sent, and the client certificate counts as no credential");
    AL_TRY(check_live(&k->key, now, err));
    return make_credential(d, &k->key, a, ret, err);
}

enum al_code al_directory_certify(struct al_directory *d, const struct al_certificate *cert,
                                  struct al_arena *a, const struct al_credential **ret,
                                  struct al_err *err)
{
    pthread_rwlock_rdlock(&d->lock);
    enum al_code c = certify(d, cert, a, ret, err);
    pthread_rwlock_unlock(&d->lock);
    if (c == AL_OK)
        ((struct al_credential *)(uintptr_t)*ret)->by_certificate = true;
    return c;
}

enum al_code al_directory_recheck(struct al_directory *d, struct al_credential *c,
                                  struct al_err *err)
{
    AL_TRY(check_live(c->key, al_clock_wall_ms(d->opt.clock), err));
    if (c->generation == atomic_load(&d->generation))
        return AL_OK;
    pthread_rwlock_rdlock(&d->lock);
    const struct al_key_row *k = al_cache_key(d, c->key->id);
    bool is_live = k && !k->key.revoked;
    if (is_live)
        al_quota_fill(d, c);
    pthread_rwlock_unlock(&d->lock);
    if (is_live)
        return AL_OK;
    return AL_FAIL_R(err, AL_UNAUTHENTICATED, "KEY_REVOKED", "key: '%s' was revoked", c->key->id);
}

enum al_code al_credential_require(const struct al_credential *c, enum al_role role,
                                   struct al_err *err)
{
    if (c->key->role >= role)
        return AL_OK;
    return AL_FAIL_R(err, AL_PERMISSION_DENIED, "ROLE_MISSING",
                     "key: its role is %s, this needs %s", al_role_name(c->key->role),
                     al_role_name(role));
}
