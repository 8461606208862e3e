/* airlore/directory.h - who there is: teams, deployments, keys, quotas; and what a credential may
 * see.
 *
 * Kept as rows of the system shard and cached in memory. A space is a number that one owner has:
 * the community (1), each team, each deployment. What a credential sees and where it writes follows
 * from its key alone, never from a request field.
 *
 * Thread: any thread (internally locked).
 */
#ifndef AIRLORE_DIRECTORY_H
#define AIRLORE_DIRECTORY_H

#include "airlore/random.h"
#include "airlore/shard_port.h"

#define AL_SPACE_COMMUNITY 1u
#define AL_NAME_BYTES_MAX 63u
#define AL_KEY_TEXT_MAX 96u
#define AL_READABLE_TEAMS_MAX 64u

/* Roles are ordered: each includes the ones before. */
enum al_role {
    AL_ROLE_READER = 1,
    AL_ROLE_CONTRIBUTOR = 2,
    AL_ROLE_REVIEWER = 3,
    AL_ROLE_ADMIN = 4
};

struct al_directory;

struct al_team {
    char name[AL_NAME_BYTES_MAX + 1];
    char pseudonym[24]; /* shown to others in the community, unless `named` */
    uint32_t space;
    bool named;
    uint64_t created_ms;
};

struct al_deployment {
    char team[AL_NAME_BYTES_MAX + 1];
    char name[AL_NAME_BYTES_MAX + 1];
    uint32_t space;
    uint64_t created_ms;
};

/* Limits of a key; 0 means the server's default. */
struct al_quota {
    uint32_t requests_per_minute;
    uint64_t ingest_bytes_per_day;
};

struct al_key {
    char id[24]; /* public part */
    char team[AL_NAME_BYTES_MAX + 1];
    char deployment[AL_NAME_BYTES_MAX + 1]; /* "" : the team as a whole */
    enum al_role role;
    char note[128];
    uint64_t created_ms;
    uint64_t expires_ms; /* 0: never */
    bool revoked;
    uint64_t revoked_ms; /* 0 when not known */
    struct al_quota quota;
    char (*readable)[AL_NAME_BYTES_MAX +
                     1]; /* further teams it may read, in the arena it was given out with */
    size_t n_readable;
};

/* What a request may do. Lives in the arena of the request. */
struct al_credential {
    const struct al_key *key;
    uint32_t *spaces; /* readable: ascending, unique; the community is one of them */
    size_t n_spaces;
    uint32_t own_space; /* of the deployment if the key has one, else of the team */
    uint32_t team_space;
    const char *pseudonym; /* of its team */
    bool team_named;
};

struct al_directory_options {
    struct al_shard_port *system; /* borrowed */
    struct al_clock *clock;
    struct al_random *random;
    struct al_mem *mem;
};

/* Load. *ret owned: al_directory_destroy. */
AL_NODISCARD enum al_code al_directory_open(const struct al_directory_options *opt,
                                            struct al_directory **ret, struct al_err *err);

/* Accepts NULL. */
void al_directory_destroy(struct al_directory *d);

/* Make a team; names are [a-z0-9][a-z0-9._-]{0,62}. AL_ALREADY_EXISTS/NAME_TAKEN,
 * AL_INVALID_ARGUMENT/BAD_FORMAT. */
AL_NODISCARD enum al_code al_directory_add_team(struct al_directory *d, const char *name,
                                                struct al_team *ret, struct al_err *err);

/* Let the team be named in the community, or not; what was published before keeps its label. */
AL_NODISCARD enum al_code al_directory_set_team_named(struct al_directory *d, const char *name,
                                                      bool named, struct al_err *err);

/* AL_NOT_FOUND. */
AL_NODISCARD enum al_code al_directory_get_team(struct al_directory *d, const char *name,
                                                struct al_team *ret, struct al_err *err);

/* Make a deployment of a team. */
AL_NODISCARD enum al_code al_directory_add_deployment(struct al_directory *d, const char *team,
                                                      const char *name, struct al_deployment *ret,
                                                      struct al_err *err);

/* All teams or deployments, by name, in the arena. team NULL: of all teams. */
AL_NODISCARD enum al_code al_directory_list_teams(struct al_directory *d, struct al_arena *a,
                                                  struct al_team **ret, size_t *ret_n,
                                                  struct al_err *err);
AL_NODISCARD enum al_code al_directory_list_deployments(struct al_directory *d, const char *team,
                                                        struct al_arena *a,
                                                        struct al_deployment **ret, size_t *ret_n,
                                                        struct al_err *err);

/* Make a key from what `want` says (team, deployment, role, note, expiry, quota, readable; id and
 * times are set here). The full key
 * ("al_<id>_<secret>") goes into ret_text and nowhere else: only a hash of the secret is kept. */
AL_NODISCARD enum al_code al_directory_add_key(struct al_directory *d, const struct al_key *want,
                                               char ret_text[AL_KEY_TEXT_MAX], struct al_key *ret,
                                               struct al_err *err);

/* Keys of a team (NULL: all), by id, in the arena; revoked ones too. */
AL_NODISCARD enum al_code al_directory_list_keys(struct al_directory *d, const char *team,
                                                 struct al_arena *a, struct al_key **ret,
                                                 size_t *ret_n, struct al_err *err);

/* From now on the key is refused; a second time is no error. AL_NOT_FOUND; AL_FAILED_PRECONDITION,
 * reason LAST_ONE: it is the last admin key of the team "default" that is valid. */
AL_NODISCARD enum al_code al_directory_revoke_key(struct al_directory *d, const char *id,
                                                  struct al_err *err);

/* The same for a key whose text nobody got, because it could not be handed over: also when it is
 * the last one. */
AL_NODISCARD enum al_code al_directory_drop_key(struct al_directory *d, const char *id,
                                                struct al_err *err);

/* Change a key's quota. */
AL_NODISCARD enum al_code al_directory_set_quota(struct al_directory *d, const char *id,
                                                 const struct al_quota *q, struct al_err *err);

/* Who sends this key? *ret in the arena. AL_UNAUTHENTICATED, reason KEY_INVALID, for all of:
 * malformed, unknown, wrong secret; nothing tells which. KEY_REVOKED, KEY_EXPIRED: only when the
 * secret is right. Constant time in the secret. */
AL_NODISCARD enum al_code al_directory_authenticate(struct al_directory *d, struct al_str key_text,
                                                    struct al_arena *a,
                                                    const struct al_credential **ret,
                                                    struct al_err *err);

/* Has this the form of a pseudonym ("team-" and 10 hexadecimal digits)? No team's name has. */
bool al_is_pseudonym(struct al_str name);

/* How many deployments a team has. */
size_t al_directory_count_deployments(struct al_directory *d, const char *team);

/* A key by its id, in the arena. AL_NOT_FOUND, reason KEY_NOT_FOUND. */
AL_NODISCARD enum al_code al_directory_get_key(struct al_directory *d, const char *id,
                                               struct al_arena *a, struct al_key *ret,
                                               struct al_err *err);

/* Resource name of a space: "community", "teams/{team}", "teams/{team}/deployments/{deployment}";
 * "" when unknown. In the arena; NULL when out of memory. */
AL_NODISCARD const char *al_directory_space_name(struct al_directory *d, uint32_t space,
                                                 struct al_arena *a);

/* The space of a resource name. AL_NOT_FOUND, reason TEAM_NOT_FOUND or DEPLOYMENT_NOT_FOUND;
 * AL_INVALID_ARGUMENT, reason BAD_FORMAT. */
AL_NODISCARD enum al_code al_directory_find_space(struct al_directory *d, struct al_str name,
                                                  uint32_t *ret, struct al_err *err);

/* Refuse what the key's role does not allow: AL_PERMISSION_DENIED, reason ROLE_MISSING, message
 * names the role. */
AL_NODISCARD enum al_code al_credential_require(const struct al_credential *c, enum al_role role,
                                                struct al_err *err);

/* Spaces in ascending order. */
void al_space_sort(uint32_t *spaces, size_t n);

/* "reader" and so on; and back (0 when unknown). */
const char *al_role_name(enum al_role r);
enum al_role al_role_of(struct al_str name);

AL_DEFINE_AUTO(al_directory);

#endif
