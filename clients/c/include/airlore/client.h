/* airlore/client.h - talk to an Airlore server from C.
 *
 * A client is one connection, made when first needed and remade when lost. Requests and replies are
 * the protobuf-c messages of the contract (airlore/v1/knowledge.pb-c.h and admin.pb-c.h):
 * initialise a request with its AIRLORE__V1__..._REQUEST__INIT, point it at your data, call; the
 * reply lies in the arena that you give.
 *
 *     struct al_client *c = NULL;
 *     struct al_err err = {0};
 *     struct al_client_options opt = {.server = "127.0.0.1:7700", .key = key};
 *     if (al_client_create(&opt, &c, &err) != AL_OK) ...
 *     struct al_arena a;
 *     al_arena_init(&a, NULL, 64 << 20);
 *     Airlore__V1__SearchRequest r = AIRLORE__V1__SEARCH_REQUEST__INIT;
 *     r.text = (char *)"free the worker slot";
 *     Airlore__V1__SearchResponse *found = NULL;
 *     if (al_client_search(c, &r, &a, &found, &err) == AL_OK) ... found->hits[0]->id ...
 *     al_arena_fini(&a);
 *     al_client_destroy(c);
 *
 * Errors: the status code of the call, its message, and in err.reason the stable reason of the
 * server (else the name of the code). A server that cannot be reached is AL_UNAVAILABLE. Calls that
 * may be repeated safely are repeated after AL_UNAVAILABLE, and writes with a write id after
 * OUTCOME_UNKNOWN with the same id, with growing pauses, for at most retry_ms and never past the
 * deadline of the call. Where the server says when there will be room (err.retry_after_ms with
 * AL_RESOURCE_EXHAUSTED), the call waits that long and comes again, if its deadline allows; else
 * the error says how long it would have been.
 *
 * Thread:    a client: any thread. An ingest stream: one thread adds and finishes; results come on
 * a thread of the stream. Lifecycle: create -> calls -> destroy, when no call and no stream is
 * left. Memory:    replies in the caller's arena; their bytes count against its limit.
 */
#ifndef AIRLORE_CLIENT_H
#define AIRLORE_CLIENT_H

#include <stdint.h>

#include "airlore/arena.h"
#include "airlore/err.h"
#include "airlore/v1/admin.pb-c.h"
#include "airlore/v1/knowledge.pb-c.h"

struct al_client;
struct al_client_ingest;

/* Where and as whom to connect; 0 and NULL mean the default. Everything is borrowed for the call
 * and copied. */
struct al_client_options {
    const char *server;       /* "HOST:PORT", "dns:///HOST:PORT" or "unix:/path"; required */
    const char *key;          /* API key "al_<id>_<secret>"; NULL: none is sent */
    bool tls;                 /* use TLS; implied by any of the next three */
    const char *ca_pem;       /* whom to trust, PEM text; NULL: the system's authorities */
    const char *cert_pem;     /* own certificate for mutual TLS, PEM text */
    const char *cert_key_pem; /* its key */
    const char *target_name;  /* name in the server's certificate when it is not the one dialled */
    uint32_t timeout_ms;      /* of a whole call, retries included; default 30,000 */
    uint32_t retry_ms; /* repeat after AL_UNAVAILABLE for this long; default 1,000; UINT32_MAX:
                          until the deadline */
    uint32_t message_bytes_max; /* default 20 MiB, so that the largest item fits */
    struct al_mem *mem;         /* borrowed until destroy; NULL: standard */
};

/* Make a client; connects at the first call. *ret owned: al_client_destroy.
 * Errors: AL_INVALID_ARGUMENT (server, key, certificates), AL_RESOURCE_EXHAUSTED. */
AL_NODISCARD enum al_code al_client_create(const struct al_client_options *opt,
                                           struct al_client **ret, struct al_err *err);

/* End it. Accepts NULL. */
void al_client_destroy(struct al_client *c);

/* One call by name, for what has no function below. All borrowed until return. */
struct al_client_call {
    const ProtobufCServiceDescriptor *service; /* &airlore__v1__admin_service__descriptor */
    const char *method;                        /* "ListTeams" */
    const ProtobufCMessage *message;           /* the request, of the method's input type */
    uint32_t timeout_ms;                       /* 0: the client's */
    bool repeatable; /* may be sent again when it failed or its outcome is unknown: it reads, or it
                        carries a write id or job id */
};

/* Make a unary call; blocks. *ret lies in a, of the method's output type. Errors: see above, and
 * AL_DEADLINE_EXCEEDED, AL_RESOURCE_EXHAUSTED (arena limit), AL_INTERNAL (reply that cannot be
 * read). */
AL_NODISCARD enum al_code al_client_call(struct al_client *c, const struct al_client_call *call,
                                         struct al_arena *a, ProtobufCMessage **ret,
                                         struct al_err *err);

/* The unary calls by name: al_client_<name>(c, request, arena, &reply, err), and what
 * al_client_call takes for it. X(name, service, Method, repeatable). Writes are repeated only where
 * the request can carry a write id: set it. */
#define AL_CLIENT_CALL_MAP(X)                                         \
    X(search, knowledge, Search, true)                                \
    X(batch_search, knowledge, BatchSearch, true)                     \
    X(ask, knowledge, Ask, true)                                      \
    X(get_item, knowledge, GetItem, true)                             \
    X(list_items, knowledge, ListItems, true)                         \
    X(check_sources, knowledge, CheckSources, true)                   \
    X(list_checksums, knowledge, ListChecksums, true)                 \
    X(delete_item, knowledge, DeleteItem, r->write_id[0] != '\0')     \
    X(delete_items, knowledge, DeleteItems,                           \
      r->write_id[0] != '\0' || r->confirm_digest[0] == '\0')         \
    X(promote_item, knowledge, PromoteItem,                           \
      r->write_id[0] != '\0' || r->confirm_digest[0] == '\0')         \
    X(withdraw_item, knowledge, WithdrawItem, r->write_id[0] != '\0') \
    X(who_am_i, admin, WhoAmI, true)                                  \
    X(get_server_info, admin, GetServerInfo, true)                    \
    X(create_team, admin, CreateTeam, false)                          \
    X(get_team, admin, GetTeam, true)                                 \
    X(list_teams, admin, ListTeams, true)                             \
    X(update_team, admin, UpdateTeam, false)                          \
    X(delete_team, admin, DeleteTeam, false)                          \
    X(create_deployment, admin, CreateDeployment, false)              \
    X(get_deployment, admin, GetDeployment, true)                     \
    X(list_deployments, admin, ListDeployments, true)                 \
    X(update_deployment, admin, UpdateDeployment, false)              \
    X(delete_deployment, admin, DeleteDeployment, false)              \
    X(create_key, admin, CreateKey, false)                            \
    X(list_keys, admin, ListKeys, true)                               \
    X(revoke_key, admin, RevokeKey, true)                             \
    X(get_quota, admin, GetQuota, true)                               \
    X(update_quota, admin, UpdateQuota, false)                        \
    X(get_cluster_status, admin, GetClusterStatus, true)              \
    X(list_nodes, admin, ListNodes, true)                             \
    X(list_shards, admin, ListShards, true)                           \
    X(verify_shards, admin, VerifyShards, r->job_id[0] != '\0')       \
    X(list_verify_findings, admin, ListVerifyFindings, true)          \
    X(compact_shards, admin, CompactShards, r->job_id[0] != '\0')     \
    X(reembed, admin, Reembed, r->job_id[0] != '\0')                  \
    X(list_jobs, admin, ListJobs, true)                               \
    X(get_job, admin, GetJob, true)                                   \
    X(cancel_job, admin, CancelJob, true)                             \
    X(pause_jobs, admin, PauseJobs, true)                             \
    X(resume_jobs, admin, ResumeJobs, true)

/* See AL_CLIENT_CALL_MAP: request borrowed until return, *ret in a and only on AL_OK. */
#define AL_CLIENT_DECLARE(name_, service_, Method_, repeatable_)                           \
    AL_NODISCARD enum al_code al_client_##name_(                                           \
        struct al_client *c, const Airlore__V1__##Method_##Request *r, struct al_arena *a, \
        Airlore__V1__##Method_##Response **ret, struct al_err *err);
AL_CLIENT_CALL_MAP(AL_CLIENT_DECLARE)
#undef AL_CLIENT_DECLARE

/* Follow a job until its last state: fn is called on the calling thread with the job as it is and
 * after each change; the message is valid during fn; fn false ends the watch with AL_CANCELLED.
 * timeout_ms 0: no limit. Errors: those of WatchJob; AL_UNAVAILABLE when the server goes away, the
 * job goes on. */
AL_NODISCARD enum al_code al_client_watch_job(struct al_client *c, const char *name,
                                              uint64_t timeout_ms,
                                              bool (*fn)(void *u, const Airlore__V1__Job *job),
                                              void *u, struct al_err *err);

/* How to store many items. options: as in the contract, borrowed for the call of open.
 * on_result  called for each item's answer on the stream's thread, one at a time; the message is
 * valid during the call; must not call into the stream. timeout_ms of the whole stream; 0: none. */
struct al_client_ingest_options {
    const Airlore__V1__IngestOptions *options;
    void (*on_result)(void *u, const Airlore__V1__IngestResult *result);
    void *u;
    uint64_t timeout_ms;
};

/* What the server agreed to, and at the end the counts. */
struct al_client_ingest_summary {
    uint64_t inserted;
    uint64_t updated;
    uint64_t skipped;
    uint64_t failed;
    uint64_t deleted;
    uint64_t chunks;
    uint64_t bytes;
    uint64_t took_us;
    char
        token[4096]; /* read-your-writes token; empty when nothing was written or it does not fit */
};

/* Open an ingest stream and wait for the server's agreement. *ret owned: al_client_ingest_close.
 * Errors: those of Ingest that end the stream, AL_UNAVAILABLE, AL_RESOURCE_EXHAUSTED. */
AL_NODISCARD enum al_code al_client_ingest_open(struct al_client *c,
                                                const struct al_client_ingest_options *opt,
                                                struct al_client_ingest **ret, struct al_err *err);

/* Largest content of one item in bytes, as the server said. */
uint64_t al_client_ingest_item_bytes_max(const struct al_client_ingest *s);

/* Send items, borrowed until return; cut into messages of at most 256 items and about 1 MiB. Blocks
 * while the server reads too slowly. Errors: the status of the stream once it has ended; what was
 * answered stays stored. */
AL_NODISCARD enum al_code al_client_ingest_add(struct al_client_ingest *s,
                                               Airlore__V1__IngestItem **items, size_t n_items,
                                               struct al_err *err);

/* Name ids that still exist at the source, for delete_missing; borrowed until return. Errors: as
 * add. */
AL_NODISCARD enum al_code al_client_ingest_present(struct al_client_ingest *s, char **ids,
                                                   size_t n_ids, struct al_err *err);

/* End the stream: complete says that all of the source was sent, so that delete_missing may delete.
 * Waits for all answers. Afterwards only close. Errors: the status of the stream. */
AL_NODISCARD enum al_code al_client_ingest_finish(struct al_client_ingest *s, bool complete,
                                                  struct al_client_ingest_summary *ret,
                                                  struct al_err *err);

/* Free; cancels the stream if it was not finished. Accepts NULL. */
void al_client_ingest_close(struct al_client_ingest *s);

AL_DEFINE_AUTO(al_client);

#endif
