/* service.h - what the service files share: the coordinator's parts and the conversions to wire
 * messages.
 *
 * Thread: any thread.
 */
#ifndef AIRLORE_COORDINATOR_SERVICE_H
#define AIRLORE_COORDINATOR_SERVICE_H

#include <airlore/v1/admin.pb-c.h>
#include <airlore/v1/adr.pb-c.h>
#include <airlore/v1/deploy.pb-c.h>
#include <airlore/v1/generation.pb-c.h>
#include <airlore/v1/knowledge.pb-c.h>
#include <airlore/v1/learning.pb-c.h>
#include <airlore/v1/market.pb-c.h>

#include "airlore/ask.h"
#include "airlore/coordinator.h"
#include "airlore/ingest.h"
#include "airlore/items.h"
#include "airlore/jobs.h"
#include "airlore/once.h"
#include "page.h"
#include "quota.h"
#include "ratelimit.h"

struct al_coordinator {
    struct al_coordinator_options opt; /* immutable after create */
    struct al_directory *directory;
    struct al_ratelimit *ratelimit;
    struct al_storage_quota *storage_quota;
    struct al_quota_metrics quota_metrics;
    struct al_jobs *jobs;
    struct al_once_book *once;
    uint64_t started_ms;
    uint8_t page_key[32];        /* of this process: seals page tokens */
    struct al_metric *calls[17]; /* by status code */
    struct al_metric *call_seconds;
    struct al_metric *ingested;
    struct al_metric *searches;
};

/* Handlers, by file. */
#define AL_UNARY(name_)                                                                  \
    enum al_code name_(void *ctx, struct al_rpc_call *call, const ProtobufCMessage *req, \
                       ProtobufCMessage **ret_reply, struct al_err *err)
#define AL_STREAM(name_) enum al_code name_(void *ctx, struct al_rpc_call *call, struct al_err *err)
AL_UNARY(al_serve_search);
AL_UNARY(al_serve_batch_search);
AL_UNARY(al_serve_ask);
AL_STREAM(al_serve_ask_stream);
AL_STREAM(al_serve_ingest);
AL_UNARY(al_serve_check_sources);
AL_UNARY(al_serve_list_checksums);
AL_UNARY(al_serve_get_item);
AL_UNARY(al_serve_list_items);
AL_UNARY(al_serve_delete_item);
AL_UNARY(al_serve_delete_items);
AL_UNARY(al_serve_promote_item);
AL_UNARY(al_serve_withdraw_item);
AL_UNARY(al_serve_who_am_i);
AL_UNARY(al_serve_server_info);
AL_UNARY(al_serve_create_team);
AL_UNARY(al_serve_get_team);
AL_UNARY(al_serve_list_teams);
AL_UNARY(al_serve_update_team);
AL_UNARY(al_serve_delete_team);
AL_UNARY(al_serve_create_deployment);
AL_UNARY(al_serve_update_deployment);
AL_UNARY(al_serve_delete_deployment);
AL_UNARY(al_serve_get_deployment);
AL_UNARY(al_serve_list_deployments);
AL_UNARY(al_serve_create_key);
AL_UNARY(al_serve_list_keys);
AL_UNARY(al_serve_revoke_key);
AL_UNARY(al_serve_get_quota);
AL_UNARY(al_serve_update_quota);
AL_UNARY(al_serve_cluster_status);
AL_UNARY(al_serve_list_nodes);
AL_UNARY(al_serve_list_shards);
AL_UNARY(al_serve_verify_shards);
AL_UNARY(al_serve_verify_findings);
AL_UNARY(al_serve_compact_shards);
AL_UNARY(al_serve_reembed);
AL_UNARY(al_serve_list_jobs);
AL_UNARY(al_serve_get_job);
AL_STREAM(al_serve_watch_job);
AL_UNARY(al_serve_cancel_job);
AL_UNARY(al_serve_pause_jobs);
AL_UNARY(al_serve_resume_jobs);

/* The credential that admit put on the call; never NULL in a handler. */
const struct al_credential *al_call_credential(struct al_rpc_call *call);

/* For streams, now and then: whether its credential still counts. AL_UNAUTHENTICATED. */
AL_NODISCARD enum al_code al_recheck_call(struct al_coordinator *c, struct al_rpc_call *call,
                                          struct al_err *err);

/* A zeroed, initialised message of the arena; NULL when out of memory. */
void *al_msg_new(struct al_arena *a, const ProtobufCMessageDescriptor *d) AL_NODISCARD;

/* An array of n pointers. */
void *al_msg_list(struct al_arena *a, size_t n) AL_NODISCARD;

/* "request: memory limit reached". */
enum al_code al_msg_no_memory(struct al_err *err);

/* A C string of a view; "" never NULL but when out of memory. */
char *al_msg_str(struct al_arena *a, struct al_str s) AL_NODISCARD;
/* The same for words that were cut to a size, maybe within a character: the wire's texts are UTF-8,
 * and a client refuses the whole message otherwise. What cannot be saved becomes '?'. */
char *al_msg_words(struct al_arena *a, struct al_str s) AL_NODISCARD;

/* Wire parts of stored things; each NULL when out of memory. */
Google__Protobuf__Timestamp *al_msg_time(struct al_arena *a, uint64_t ms) AL_NODISCARD;
Airlore__V1__Error *al_msg_error(struct al_arena *a, const struct al_err *e) AL_NODISCARD;
Airlore__V1__Owner *al_msg_owner(struct al_arena *a, const struct al_doc *d) AL_NODISCARD;
char **al_msg_headings(struct al_arena *a, struct al_str heading, size_t *ret_n) AL_NODISCARD;
Airlore__V1__Item *al_msg_item(struct al_coordinator *c, struct al_arena *a, const struct al_doc *d,
                               Airlore__V1__ItemView view) AL_NODISCARD;

/* Tags and metadata of a document: what items and hits show of it in the same shape. metadata is an
 * array of messages of type `pair`, an entry of a map<string, string>. */
struct al_msg_labels {
    char **tags;
    size_t n_tags;
    void *metadata;
    size_t n_metadata;
};
bool al_msg_labels(struct al_arena *a, const struct al_doc *d,
                   const ProtobufCMessageDescriptor *pair, struct al_msg_labels *ret) AL_NODISCARD;

/* A metadata value of a document, empty when absent. */
struct al_str al_doc_find_meta(const struct al_doc *d, const char *key);

/* Metadata that is the server's own: kept with the document, not shown as what the client gave. */
bool al_meta_is_internal(struct al_str key);

/* Wait for a read-your-writes token; "" is none. */
AL_NODISCARD enum al_code al_wait_token(struct al_coordinator *c, struct al_rpc_call *call,
                                        const char *token, struct al_arena *a, struct al_err *err);

/* A token as text of the arena; "" when nothing was written. */
AL_NODISCARD enum al_code al_token_text(struct al_coordinator *c, const struct al_token *t,
                                        struct al_arena *a, char **ret, struct al_err *err);

/* Where a credential's writes of this visibility go. deployment: resource name or "". */
AL_NODISCARD enum al_code al_resolve_target(struct al_coordinator *c,
                                            const struct al_credential *cred,
                                            Airlore__V1__Visibility visibility,
                                            const char *deployment, struct al_arena *a,
                                            struct al_target *ret, struct al_err *err);

/* The space a request names, 0 for "". AL_PERMISSION_DENIED, reason SPACE_FORBIDDEN, when the
 * credential does not read it, and also when it does not exist: the answer does not tell what other
 * teams have. */
AL_NODISCARD enum al_code al_resolve_space(struct al_coordinator *c,
                                           const struct al_credential *cred, const char *name,
                                           uint32_t *ret, struct al_err *err);

/* AL_PERMISSION_DENIED, reason SPACE_FORBIDDEN, unless the space is the key's own, its team's or,
 * for a key of the whole team, one of the team's deployments: where it may write. */
AL_NODISCARD enum al_code al_require_team_space(struct al_coordinator *c,
                                                const struct al_credential *cred, uint32_t space,
                                                struct al_arena *a, struct al_err *err);

/* The name of a write: its text, with a digest of the method and the whole request. */
AL_NODISCARD enum al_code al_once_name_of(struct al_rpc_call *call, const ProtobufCMessage *req,
                                          const char *text, struct al_once_name *ret,
                                          struct al_err *err);

/* AL_INVALID_ARGUMENT, reason BAD_ENUM. With one replica of each shard every level reads the
 * primary. */
AL_NODISCARD enum al_code al_check_read_level(Airlore__V1__ReadLevel level, struct al_err *err);

/* An admin key of the team "default", which owns the server, administers everything; of another
 * team, that team only. */
bool al_is_server_admin(const struct al_credential *cred);

/* AL_PERMISSION_DENIED, reason ROLE_MISSING, unless the credential administers the server. */
AL_NODISCARD enum al_code al_require_server_admin(const struct al_credential *cred,
                                                  struct al_err *err);

/* The same unless it administers this team, whether the team exists or not. */
AL_NODISCARD enum al_code al_require_team_admin(const struct al_credential *cred, const char *team,
                                                struct al_err *err);

/* Its own team, one that its key may read, or any for an admin of the server. */
bool al_may_see_team(const struct al_credential *cred, struct al_str team);

/* The deadline of a call, at most 60 s away. */
uint64_t al_call_deadline(struct al_coordinator *c, struct al_rpc_call *call);

#endif
