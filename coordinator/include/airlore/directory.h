/* airlore/directory.h - who there is: teams, deployments, keys, quotas; and what a credential may
 * see.
 *
 * Kept as rows of the system shard and cached in memory. A space is a number that one owner has:
 * the community (1), each team, each deployment. What a credential sees and where it writes follows
 * from its key alone, never from a request field. A credential is an API key or a client
 * certificate; both are a struct al_key.
 *
 * Thread: any thread (internally locked).
 */
#ifndef AIRLORE_DIRECTORY_H
#define AIRLORE_DIRECTORY_H

#include "airlore/random.h"
#include "airlore/shard_port.h"

#define AL_SPACE_COMMUNITY 1u
#define AL_TEAM_OF_SERVER "default" /* its admins administer the server */
#define AL_NAME_BYTES_MAX 63u
#define AL_KEY_TEXT_MAX 96u
#define AL_READABLE_TEAMS_MAX 64u
#define AL_DISPLAY_NAME_MAX 128u
#define AL_KEY_ID_MIN 4u
#define AL_KEY_ID_MAX 32u
#define AL_CERTIFICATE_TEXT_MAX 256u
#define AL_RESOURCE_NAME_MAX 200u
#define AL_LABELS_MAX 64u
#define AL_LABEL_BYTES_MAX 128u
#define AL_URL_BYTES_MAX 2048u

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
    char display_name[AL_DISPLAY_NAME_MAX + 1]; /* "": the name */
    char pseudonym[24]; /* shown to others in the community, unless `named` */
    uint32_t space;
    bool named;
    uint64_t created_ms;
    uint64_t version; /* changes with every change */
};

struct al_deployment {
    char team[AL_NAME_BYTES_MAX + 1];
    char name[AL_NAME_BYTES_MAX + 1];
    char display_name[AL_DISPLAY_NAME_MAX + 1]; /* "": the name */
    uint32_t space;
    uint64_t created_ms;
    uint64_t version; /* changes with every change */
};

/* What is not held in memory of a deployment; in the arena it was read into. */
struct al_deployment_details {
    struct al_str airflow_url;
    struct al_kv *labels;
    size_t n_labels;
};

/* Which limits of a quota are set; the others are none of its own. */
enum al_quota_limit {
    AL_QUOTA_ITEMS = 1u << 0,
    AL_QUOTA_BYTES = 1u << 1,
    AL_QUOTA_CALLS_PER_SECOND = 1u << 2,
    AL_QUOTA_ITEMS_PER_SECOND = 1u << 3,
    AL_QUOTA_CONCURRENT_CALLS = 1u << 4,
    AL_QUOTA_JOBS = 1u << 5,
    AL_QUOTA_DEPLOYMENTS = 1u << 6,
    AL_QUOTA_INGEST_BYTES = 1u << 7,
};

/* Limits of a team, a deployment or a key. */
struct al_quota {
    uint32_t set; /* enum al_quota_limit, or-ed */
    uint32_t max_concurrent_calls;
    uint32_t max_jobs;
    uint32_t max_deployments;
    uint64_t max_items;
    uint64_t max_bytes;
    uint64_t ingest_bytes_per_day;
    double calls_per_second;
    double items_per_second;
};

/* The quota of one of the things that a call or an item concerns. */
struct al_quota_scope {
    char name[AL_RESOURCE_NAME_MAX]; /* "teams/t", "teams/t/deployments/d", "teams/t/keys/k" */
    struct al_quota quota;
};
#define AL_QUOTA_SCOPES_MAX 3u

/* What a client certificate must have to count as a credential. */
enum al_certificate_match {
    AL_CERTIFICATE_NONE = 0,    /* an API key */
    AL_CERTIFICATE_SUBJECT = 1, /* its common name or one of its URI names */
    AL_CERTIFICATE_SHA256 = 2,  /* SHA-256 of its DER bytes, 64 lower-case hexadecimal digits */
};

struct al_key {
    char id[AL_KEY_ID_MAX + 1]; /* public part */
    char team[AL_NAME_BYTES_MAX + 1];
    char deployment[AL_NAME_BYTES_MAX + 1]; /* "" : the team as a whole */
    enum al_role role;
    char note[128];
    uint64_t created_ms;
    uint64_t expires_ms; /* 0: never */
    bool revoked;
    uint64_t revoked_ms; /* 0 when not known */
    enum al_certificate_match match;
    char certificate[AL_CERTIFICATE_TEXT_MAX + 1]; /* what must match */
    char creator[AL_RESOURCE_NAME_MAX];            /* resource name of a key, "" when not known */
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
    bool by_certificate;                               /* let in by it */
    struct al_quota_scope scopes[AL_QUOTA_SCOPES_MAX]; /* of its key, its deployment, its team */
    size_t n_scopes;
    uint64_t generation; /* of keys and quotas when they were read */
};

/* A client certificate that TLS has verified. */
struct al_certificate {
    const char *const *subjects; /* common name and URI names; in any order */
    size_t n_subjects;
    char sha256[65]; /* of its DER bytes, lower-case hexadecimal */
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

/* What changes; NULL stays. if_version 0: whatever it is now. */
struct al_team_change {
    const char *display_name;
    const bool *named; /* in the community; what was published before keeps its label */
    uint64_t if_version;
};
/* AL_NOT_FOUND, reason TEAM_NOT_FOUND; AL_ABORTED, reason ETAG_MISMATCH; AL_INVALID_ARGUMENT,
 * reason TOO_LARGE. *ret as it is then. */
AL_NODISCARD enum al_code al_directory_change_team(struct al_directory *d, const char *name,
                                                   const struct al_team_change *change,
                                                   struct al_team *ret, struct al_err *err);

/* Forget a team and its quota. AL_NOT_FOUND; AL_FAILED_PRECONDITION, reasons NOT_EMPTY (it has
 * deployments or keys) and LAST_ONE (it is the one that owns the server). Its space is given to
 * nobody else. */
AL_NODISCARD enum al_code al_directory_drop_team(struct al_directory *d, const char *name,
                                                 struct al_err *err);

/* AL_NOT_FOUND. */
AL_NODISCARD enum al_code al_directory_get_team(struct al_directory *d, const char *name,
                                                struct al_team *ret, struct al_err *err);

/* Make a deployment of a team. */
AL_NODISCARD enum al_code al_directory_add_deployment(struct al_directory *d, const char *team,
                                                      const char *name, struct al_deployment *ret,
                                                      struct al_err *err);

/* A deployment. AL_NOT_FOUND, reasons TEAM_NOT_FOUND and DEPLOYMENT_NOT_FOUND. */
AL_NODISCARD enum al_code al_directory_get_deployment(struct al_directory *d, const char *team,
                                                      const char *name, struct al_deployment *ret,
                                                      struct al_err *err);

/* Its details, read from the store. AL_NOT_FOUND. */
AL_NODISCARD enum al_code
al_directory_get_details(struct al_directory *d, const struct al_deployment *x, struct al_arena *a,
                         struct al_deployment_details *ret, struct al_err *err);

/* What changes; NULL stays. if_version 0: whatever it is now. */
struct al_deployment_change {
    const char *display_name;
    const char *airflow_url;
    const struct al_kv *labels; /* replace the old ones; borrowed */
    size_t n_labels;
    uint64_t if_version;
};
/* AL_NOT_FOUND; AL_ABORTED, reason ETAG_MISMATCH; AL_INVALID_ARGUMENT, reasons TOO_LARGE, TOO_MANY,
 * BAD_FORMAT. ret->team and name say which; *ret as it is then. */
AL_NODISCARD enum al_code al_directory_change_deployment(struct al_directory *d,
                                                         const struct al_deployment_change *change,
                                                         struct al_deployment *ret,
                                                         struct al_err *err);

/* Forget a deployment and its quota. AL_NOT_FOUND; AL_FAILED_PRECONDITION, reason NOT_EMPTY (it has
 * keys). */
AL_NODISCARD enum al_code al_directory_drop_deployment(struct al_directory *d, const char *team,
                                                       const char *name, struct al_err *err);

/* All teams or deployments, by name, in the arena. team NULL: of all teams. */
AL_NODISCARD enum al_code al_directory_list_teams(struct al_directory *d, struct al_arena *a,
                                                  struct al_team **ret, size_t *ret_n,
                                                  struct al_err *err);
AL_NODISCARD enum al_code al_directory_list_deployments(struct al_directory *d, const char *team,
                                                        struct al_arena *a,
                                                        struct al_deployment **ret, size_t *ret_n,
                                                        struct al_err *err);

/* Make a key from what `want` says (team, deployment, role, note, expiry, certificate, creator,
 * readable, id: "" for a random one; times are set here). The full key ("al_<id>_<secret>") goes
 * into ret_text and nowhere else: only a hash of the secret is kept. A certificate has no secret:
 * ret_text "". AL_ALREADY_EXISTS, reason NAME_TAKEN: the id, or the certificate by a credential
 * that is not revoked. AL_INVALID_ARGUMENT, reason BAD_FORMAT: an id or fingerprint that is none.
 */
AL_NODISCARD enum al_code al_directory_add_key(struct al_directory *d, const struct al_key *want,
                                               char ret_text[AL_KEY_TEXT_MAX], struct al_key *ret,
                                               struct al_err *err);

/* Forget a key, revoked or not, and its quota: for who is deleted with all it has. No error when
 * there is none. */
AL_NODISCARD enum al_code al_directory_forget_key(struct al_directory *d, const char *id,
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

/* Set a quota; name as in struct al_quota_scope, of something that exists (not looked at here).
 * if_version 0: whatever it is now. AL_ABORTED, reason ETAG_MISMATCH. *ret_version of the new one.
 */
AL_NODISCARD enum al_code al_directory_set_quota(struct al_directory *d, const char *name,
                                                 const struct al_quota *q, uint64_t if_version,
                                                 uint64_t *ret_version, struct al_err *err);

/* A quota and its version; all limits unset and 0 when there is none. */
void al_directory_get_quota(struct al_directory *d, const char *name, struct al_quota *ret,
                            uint64_t *ret_version);

/* Quotas of the owners of a space (deployment first, then team), and per scope the spaces that
 * count for it. None for the community. Arrays in the arena. */
struct al_space_owner {
    struct al_quota_scope scope;
    uint32_t *spaces;
    size_t n_spaces;
};
/* *ret_n 0 when no owner has a quota of items or bytes. */
AL_NODISCARD enum al_code al_directory_storage_quotas(struct al_directory *d, uint32_t space,
                                                      struct al_arena *a,
                                                      struct al_space_owner **ret, size_t *ret_n,
                                                      struct al_err *err);

/* The spaces of a team: its own and those of its deployments. In the arena. */
AL_NODISCARD enum al_code al_directory_team_spaces(struct al_directory *d, const char *team,
                                                   struct al_arena *a, uint32_t **ret,
                                                   size_t *ret_n, struct al_err *err);

/* Who sends this key? *ret in the arena. AL_UNAUTHENTICATED, reason KEY_INVALID, for all of:
 * malformed, unknown, wrong secret; nothing tells which. KEY_REVOKED, KEY_EXPIRED: only when the
 * secret is right. Constant time in the secret. */
AL_NODISCARD enum al_code al_directory_authenticate(struct al_directory *d, struct al_str key_text,
                                                    struct al_arena *a,
                                                    const struct al_credential **ret,
                                                    struct al_err *err);

/* Whose certificate is this? *ret in the arena. A fingerprint counts before a subject.
 * AL_UNAUTHENTICATED, reasons CERTIFICATE_UNKNOWN, KEY_REVOKED and KEY_EXPIRED. */
AL_NODISCARD enum al_code al_directory_certify(struct al_directory *d,
                                               const struct al_certificate *cert,
                                               struct al_arena *a, const struct al_credential **ret,
                                               struct al_err *err);

/* For calls that last: does the credential still count? Takes its quotas as they are now.
 * AL_UNAUTHENTICATED, reasons KEY_REVOKED and KEY_EXPIRED. Cheap while nothing has changed. One
 * thread at a time for a credential. */
AL_NODISCARD enum al_code al_directory_recheck(struct al_directory *d, struct al_credential *c,
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
