/* tables.h - the rows of the system shard: table numbers and encodings.
 *
 * Every value starts with a format byte; an unknown newer one is refused with
 * AL_FAILED_PRECONDITION, reason FORMAT_TOO_NEW.
 *
 * Thread: any thread (pure functions).
 */
#ifndef AIRLORE_COORDINATOR_TABLES_H
#define AIRLORE_COORDINATOR_TABLES_H

#include "airlore/directory.h"

#define AL_TABLE_TEAM 1u       /* name -> team */
#define AL_TABLE_DEPLOYMENT 2u /* team '/' name -> deployment */
#define AL_TABLE_KEY 3u        /* key id -> key and hash */
#define AL_TABLE_COUNTER 4u    /* "space" -> next number */
#define AL_TABLE_PROMOTION 5u  /* (in the owner's space) document id -> community id */
#define AL_TABLE_JOB 6u        /* job id -> record */
#define AL_TABLE_ONCE 20u      /* hash of key and write id -> what it was and what came of it */
#define AL_TABLE_TEAM_COPY 21u /* (in the owner's space) document id -> id in the team's space */
#define AL_TABLE_FINDING 8u    /* job id '/' number -> what a verify job found */
#define AL_TABLE_QUOTA 7u      /* resource name of a team, deployment or key -> quota */

#define AL_KEY_HASH_BYTES 32u

/* A key as stored. */
struct al_key_row {
    struct al_key key;                /* readable: in the arena */
    uint32_t old_requests_per_minute; /* quota of a row of format 1; counts while no row of */
    uint64_t old_bytes_per_day;       /* AL_TABLE_QUOTA has its name */
    uint8_t salt[16];
    uint8_t hash[AL_KEY_HASH_BYTES];
};

/* Append the encoding. */
void al_team_encode(const struct al_team *t, struct al_buf *b);
void al_deployment_encode(const struct al_deployment *d, const struct al_deployment_details *x,
                          struct al_buf *b);
void al_quota_encode(const struct al_quota *q, struct al_buf *b);
void al_key_encode(const struct al_key_row *k, struct al_buf *b);

/* Decode; AL_DATA_LOSS when malformed. Versions are the rows', not in them. */
AL_NODISCARD enum al_code al_team_decode(struct al_str v, struct al_team *ret, struct al_err *err);
/* ret_details (may be NULL): views of v, labels in a. */
AL_NODISCARD enum al_code al_deployment_decode(struct al_str v, struct al_arena *a,
                                               struct al_deployment *ret,
                                               struct al_deployment_details *ret_details,
                                               struct al_err *err);
AL_NODISCARD enum al_code al_quota_decode(struct al_str v, struct al_quota *ret,
                                          struct al_err *err);
AL_NODISCARD enum al_code al_key_decode(struct al_str v, struct al_arena *a, struct al_key_row *ret,
                                        struct al_err *err);

#endif
