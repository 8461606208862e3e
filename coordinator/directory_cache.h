/* directory_cache.h - sorted arrays of teams, deployments and keys; private to the directory.
 *
 * Thread: serialized by the directory's lock.
 */
#ifndef AIRLORE_COORDINATOR_DIRECTORY_CACHE_H
#define AIRLORE_COORDINATOR_DIRECTORY_CACHE_H

#include <pthread.h>

#include "tables.h"

struct al_directory {
    struct al_directory_options opt;
    pthread_rwlock_t lock;  /* rank: directory; guards all below */
    pthread_mutex_t change; /* one change at a time; taken before lock */
    struct al_team *teams;  /* by name */
    size_t n_teams;
    size_t cap_teams;
    struct al_deployment *deployments; /* by team, name */
    size_t n_deployments;
    size_t cap_deployments;
    struct al_key_row *keys; /* by id; readable lists are owned */
    size_t n_keys;
    size_t cap_keys;
};

/* Find by name; NULL when absent. Borrowed until the next change. */
struct al_team *al_cache_team(struct al_directory *d, const char *name);
struct al_deployment *al_cache_deployment(struct al_directory *d, const char *team,
                                          const char *name);
struct al_key_row *al_cache_key(struct al_directory *d, const char *id);

/* Insert or replace; copies. */
AL_NODISCARD enum al_code al_cache_put_team(struct al_directory *d, const struct al_team *t,
                                            struct al_err *err);
AL_NODISCARD enum al_code
al_cache_put_deployment(struct al_directory *d, const struct al_deployment *x, struct al_err *err);
AL_NODISCARD enum al_code al_cache_put_key(struct al_directory *d, const struct al_key_row *k,
                                           struct al_err *err);

/* Free the arrays. */
void al_cache_fini(struct al_directory *d);

#endif
