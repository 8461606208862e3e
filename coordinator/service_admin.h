/* service_admin.h - what the two files of the admin service share; private to them.
 *
 * Thread: any thread.
 */
#ifndef AIRLORE_COORDINATOR_SERVICE_ADMIN_H
#define AIRLORE_COORDINATOR_SERVICE_ADMIN_H

#include "service.h"

/* A key without its secret; NULL when out of memory. */
Airlore__V1__Key *al_msg_key(struct al_arena *a, const struct al_key *k) AL_NODISCARD;

/* Add a key; message and secret in the arena. */
AL_NODISCARD enum al_code al_admin_make_key(struct al_coordinator *c, struct al_arena *a,
                                            const struct al_key *want, Airlore__V1__Key **ret,
                                            char **ret_secret, struct al_err *err);

/* The key of a name or id. A key of a team that the credential does not see is as good as none:
 * AL_NOT_FOUND, reason KEY_NOT_FOUND. */
AL_NODISCARD enum al_code al_admin_find_key(struct al_coordinator *c,
                                            const struct al_credential *cred, const char *name,
                                            struct al_arena *a, struct al_key *ret,
                                            struct al_err *err);

/* "teams/{team}/deployments/{deployment}" of a team that the credential sees; AL_NOT_FOUND, reason
 * DEPLOYMENT_NOT_FOUND or TEAM_NOT_FOUND. */
AL_NODISCARD enum al_code al_admin_find_deployment(struct al_coordinator *c,
                                                   const struct al_credential *cred,
                                                   const char *name, struct al_deployment *ret,
                                                   struct al_err *err);

/* Unless the credential sees the team, it is as good as none: AL_NOT_FOUND, reason TEAM_NOT_FOUND.
 */
AL_NODISCARD enum al_code al_admin_require_seen(const struct al_credential *cred, const char *team,
                                                struct al_err *err);

/* Versions as etags: text of one, and back ("" is 0). AL_ABORTED, reason ETAG_MISMATCH, for one
 * that was never given. */
char *al_admin_etag(struct al_arena *a, uint64_t version) AL_NODISCARD;
AL_NODISCARD enum al_code al_admin_etag_parse(const char *etag, uint64_t *ret, struct al_err *err);

/* The last part of "teams/{team}", or the name itself. AL_INVALID_ARGUMENT, reason BAD_FORMAT. */
AL_NODISCARD enum al_code al_admin_team_of(const char *name, char ret[AL_NAME_BYTES_MAX + 1],
                                           struct al_err *err);

/* Pages over a list in memory: the token is the number of entries that came before.
 * AL_INVALID_ARGUMENT, reason BAD_PAGE_TOKEN. */
AL_NODISCARD enum al_code al_admin_page(int32_t size, const char *token, size_t n, size_t *ret_from,
                                        size_t *ret_to, struct al_err *err);

/* Token of the page that begins at `to`; "" at the end, NULL when out of memory. */
char *al_admin_next_page(struct al_arena *a, size_t to, size_t n) AL_NODISCARD;

#endif
