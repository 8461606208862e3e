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
