/* directory_cache.h - sorted arrays of teams, deployments and keys; private to the directory.
 *
 * Thread: serialized by the directory's lock.
 */
#ifndef AIRLORE_COORDINATOR_DIRECTORY_CACHE_H
#define AIRLORE_COORDINATOR_DIRECTORY_CACHE_H

#include <pthread.h>
#include <stdatomic.h>

#include "tables.h"

struct al_quota_row {
    struct al_quota_scope scope;
    uint64_t version;
};

struct al_cert_row {
    enum al_certificate_match match;
    char text[AL_CERTIFICATE_TEXT_MAX + 1];
    char id[AL_KEY_ID_MAX + 1];
};

struct al_directory {
    struct al_directory_options opt;
    pthread_rwlock_t lock;           /* rank: directory; guards all below */
    pthread_mutex_t change;          /* one change at a time; taken before lock */
    atomic_uint_fast64_t generation; /* of keys and quotas; grows under lock */
    struct al_team *teams;           /* by name */
    size_t n_teams;
    size_t cap_teams;
    struct al_deployment *deployments; /* by team, name */
    size_t n_deployments;
    size_t cap_deployments;
    struct al_key_row *keys; /* by id; readable lists are owned */
    size_t n_keys;
    size_t cap_keys;
    struct al_quota_row *quotas; /* by name */
    size_t n_quotas;
    size_t cap_quotas;
    struct al_cert_row *certs; /* by match, text, key id: of keys that are certificates */
    size_t n_certs;
    size_t cap_certs;
};

/* Find by name; NULL when absent. Borrowed until the next change. */
struct al_team *al_cache_team(struct al_directory *d, const char *name);
struct al_deployment *al_cache_deployment(struct al_directory *d, const char *team,
                                          const char *name);
struct al_key_row *al_cache_key(struct al_directory *d, const char *id);

struct al_quota_row *al_cache_quota(struct al_directory *d, const char *name);

/* The first certificate of this match and text at or after place *at, which moves on; NULL: no
 * more.
 */
const struct al_cert_row *al_cache_next_cert(struct al_directory *d,
                                             enum al_certificate_match match, const char *text,
                                             size_t *at);

/* Forget; no error when absent. */
void al_cache_drop_team(struct al_directory *d, const char *name);
void al_cache_drop_deployment(struct al_directory *d, const char *team, const char *name);
void al_cache_drop_key(struct al_directory *d, const char *id);
void al_cache_drop_quota(struct al_directory *d, const char *name);

/* Insert or replace; copies. */
AL_NODISCARD enum al_code al_cache_put_team(struct al_directory *d, const struct al_team *t,
                                            struct al_err *err);
AL_NODISCARD enum al_code
al_cache_put_deployment(struct al_directory *d, const struct al_deployment *x, struct al_err *err);
AL_NODISCARD enum al_code al_cache_put_key(struct al_directory *d, const struct al_key_row *k,
                                           struct al_err *err);

AL_NODISCARD enum al_code al_cache_put_quota(struct al_directory *d, const struct al_quota_row *q,
                                             struct al_err *err);

/* Write one row of the system shard. AL_ABORTED, reason ETAG_MISMATCH: its condition does not hold.
 * ret_version may be NULL. Not under the lock; so the next two. */
AL_NODISCARD enum al_code al_directory_write(struct al_directory *d, struct al_op *op,
                                             uint64_t *ret_version, struct al_err *err);
AL_NODISCARD enum al_code al_directory_erase(struct al_directory *d, uint8_t table, const char *key,
                                             struct al_err *err);
AL_NODISCARD enum al_code al_directory_erase_quota(struct al_directory *d, const char *name,
                                                   struct al_err *err);

/* Loading: the quota that a key's row of format 1 carries, unless it has one of its own. */
AL_NODISCARD enum al_code al_quota_take_old(struct al_directory *d, const struct al_key_row *k,
                                            struct al_err *err);

/* May the team, which has n deployments, have one more? AL_RESOURCE_EXHAUSTED, reason
 * QUOTA_EXCEEDED. */
AL_NODISCARD enum al_code al_quota_check_deployments(struct al_directory *d, const char *team,
                                                     size_t n, struct al_err *err);

/* The quotas that concern a credential, into it. Under the lock. */
void al_quota_fill(struct al_directory *d, struct al_credential *c);

/* Free the arrays. */
void al_cache_fini(struct al_directory *d);

#endif
