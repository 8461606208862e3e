#include "airlore/coordinator.h"

#include <stdio.h>
#include <string.h>

#include "certificate.h"
#include "findings.h"
#include "key_text.h"
#include "service.h"
#include "work.h"

#define URIS_MAX 8u

/* ---- service tables ---- */

static const struct al_rpc_method knowledge[] = {
    {.name = "Ingest", .stream = al_serve_ingest},
    {.name = "CheckSources", .unary = al_serve_check_sources},
    {.name = "ListChecksums", .unary = al_serve_list_checksums},
    {.name = "Search", .unary = al_serve_search},
    {.name = "BatchSearch", .unary = al_serve_batch_search},
    {.name = "Ask", .unary = al_serve_ask},
    {.name = "AskStream", .stream = al_serve_ask_stream},
    {.name = "GetItem", .unary = al_serve_get_item},
    {.name = "ListItems", .unary = al_serve_list_items},
    {.name = "DeleteItem", .unary = al_serve_delete_item},
    {.name = "DeleteItems", .unary = al_serve_delete_items},
    {.name = "PromoteItem", .unary = al_serve_promote_item},
    {.name = "WithdrawItem", .unary = al_serve_withdraw_item},
};

static const struct al_rpc_method admin[] = {
    {.name = "WhoAmI", .unary = al_serve_who_am_i},
    {.name = "GetServerInfo", .unary = al_serve_server_info},
    {.name = "CreateTeam", .unary = al_serve_create_team},
    {.name = "GetTeam", .unary = al_serve_get_team},
    {.name = "ListTeams", .unary = al_serve_list_teams},
    {.name = "UpdateTeam", .unary = al_serve_update_team},
    {.name = "DeleteTeam", .unary = al_serve_delete_team},
    {.name = "CreateDeployment", .unary = al_serve_create_deployment},
    {.name = "GetDeployment", .unary = al_serve_get_deployment},
    {.name = "ListDeployments", .unary = al_serve_list_deployments},
    {.name = "UpdateDeployment", .unary = al_serve_update_deployment},
    {.name = "DeleteDeployment", .unary = al_serve_delete_deployment},
    {.name = "CreateKey", .unary = al_serve_create_key},
    {.name = "ListKeys", .unary = al_serve_list_keys},
    {.name = "RevokeKey", .unary = al_serve_revoke_key},
    {.name = "GetQuota", .unary = al_serve_get_quota},
    {.name = "UpdateQuota", .unary = al_serve_update_quota},
    {.name = "GetClusterStatus", .unary = al_serve_cluster_status},
    {.name = "ListNodes", .unary = al_serve_list_nodes},
    {.name = "ListShards", .unary = al_serve_list_shards},
    {.name = "VerifyShards", .unary = al_serve_verify_shards},
    {.name = "ListVerifyFindings", .unary = al_serve_verify_findings},
    {.name = "CompactShards", .unary = al_serve_compact_shards},
    {.name = "Reembed", .unary = al_serve_reembed},
    {.name = "ListJobs", .unary = al_serve_list_jobs},
    {.name = "GetJob", .unary = al_serve_get_job},
    {.name = "WatchJob", .stream = al_serve_watch_job},
    {.name = "CancelJob", .unary = al_serve_cancel_job},
    {.name = "PauseJobs", .unary = al_serve_pause_jobs},
    {.name = "ResumeJobs", .unary = al_serve_resume_jobs},
};

enum al_code al_coordinator_register(struct al_coordinator *c, struct al_rpc_server *s,
                                     struct al_err *err)
{
    AL_TRY(al_rpc_server_add_service(s, &airlore__v1__knowledge_service__descriptor, knowledge,
                                     AL_ARRAY_LEN(knowledge), c, err));
    AL_TRY(al_rpc_server_add_service(s, &airlore__v1__admin_service__descriptor, admin,
                                     AL_ARRAY_LEN(admin), c, err));
    /* reachable, listed by reflection, and honest about not being there yet */
    const ProtobufCServiceDescriptor *const later[] = {
        &airlore__v1__learning_service__descriptor, &airlore__v1__generation_service__descriptor,
        &airlore__v1__adr_service__descriptor,      &airlore__v1__market_service__descriptor,
        &airlore__v1__deploy_service__descriptor,
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(later); i++)
        AL_TRY(al_rpc_server_add_service(s, later[i], NULL, 0, c, err));
    return AL_OK;
}

/* ---- hooks: who calls, how often, how it ended ---- */

static bool is_open(const char *method)
{
    return strncmp(method, "/grpc.health.", 13) == 0 ||
           strncmp(method, "/grpc.reflection.", 17) == 0;
}

static struct al_str key_of_call(struct al_rpc_call *call)
{
    struct al_str v = al_rpc_call_metadata(call, "authorization");
    if (al_str_starts(v, AL_STR("Bearer ")) || al_str_starts(v, AL_STR("bearer ")))
        return al_str_trim(al_str_sub(v, 7, SIZE_MAX));
    return (struct al_str){NULL, 0};
}

/* A certificate whose connection has outlived it is refused although TLS let it in. */
static enum al_code check_end(struct al_coordinator *c, struct al_str der, struct al_err *err)
{
    uint64_t end = 0;
    struct al_err e = {0};
    if (al_certificate_end(der, &end, &e) != AL_OK)
        return AL_FAIL_R(err, AL_UNAUTHENTICATED, "CERTIFICATE_UNKNOWN", "%s", e.msg);
    if (end > al_clock_wall_ms(c->opt.clock))
        return AL_OK;
    return AL_FAIL_R(err, AL_UNAUTHENTICATED, "CERTIFICATE_EXPIRED",
                     "certificate: has expired since the connection was made");
}

static enum al_code certify(struct al_coordinator *c, struct al_rpc_call *call, const char *pem,
                            const struct al_credential **ret, struct al_err *err)
{
    struct al_arena *a = al_rpc_call_arena(call);
    const char *subjects[URIS_MAX + 1];
    struct al_certificate cert = {.subjects = subjects};
    struct al_str der;
    struct al_err e = {0};
    if (al_certificate_der(al_str_c(pem), a, &der, &e) != AL_OK)
        return AL_FAIL_R(err, AL_UNAUTHENTICATED, "CERTIFICATE_UNKNOWN", "%s", e.msg);
    AL_TRY(check_end(c, der, err));
    al_sha256_hex(der, cert.sha256);
    cert.n_subjects = al_rpc_call_peer_uris(call, subjects, URIS_MAX);
    const char *cn = al_rpc_call_peer_cn(call);
    if (cn)
        subjects[cert.n_subjects++] = cn;
    return al_directory_certify(c->directory, &cert, a, ret, err);
}

/* The key counts, if one was sent; else the certificate. */
static enum al_code who_calls(struct al_coordinator *c, struct al_rpc_call *call,
                              const struct al_credential **ret, struct al_err *err)
{
    struct al_str key = key_of_call(call);
    if (key.n)
        return al_directory_authenticate(c->directory, key, al_rpc_call_arena(call), ret, err);
    const char *pem = al_rpc_call_peer_cert(call);
    if (pem)
        return certify(c, call, pem, ret, err);
    return AL_FAIL_R(err, AL_UNAUTHENTICATED, "KEY_MISSING",
                     "key: none was sent; metadata 'authorization: Bearer <key>' is needed");
}

enum al_code al_recheck_call(struct al_coordinator *c, struct al_rpc_call *call, struct al_err *err)
{
    return al_directory_recheck(c->directory, al_rpc_call_user(call), err);
}

static enum al_code admit(void *ctx, struct al_rpc_call *call, struct al_err *err)
{
    struct al_coordinator *c = ctx;
    if (is_open(al_rpc_call_method(call)))
        return AL_OK;
    const struct al_credential *cred = NULL;
    AL_TRY(who_calls(c, call, &cred, err));
    AL_TRY(al_ratelimit_enter(c->ratelimit, cred, err)); /* on_done leaves */
    /* drop nothing: it lives in the call's arena */
    union {
        const struct al_credential *in;
        void *out;
    } user = {.in = cred};
    return al_rpc_call_set_user(call, user.out, NULL, err);
}

static void on_done(void *ctx, struct al_rpc_call *call, enum al_code code, uint64_t micros)
{
    struct al_coordinator *c = ctx;
    if ((unsigned)code < AL_ARRAY_LEN(c->calls))
        al_metric_add(c->calls[code], 1);
    al_metric_observe(c->call_seconds, (double)micros / 1e6);
    const struct al_credential *cred = al_rpc_call_user(call);
    if (cred)
        al_ratelimit_leave(c->ratelimit, cred);
    if (is_open(al_rpc_call_method(call)) || !al_log_enabled(c->opt.log, AL_LOG_INFO))
        return;
    al_log(c->opt.log, AL_LOG_INFO, "audit.call", AL_S("method", al_rpc_call_method(call)),
           AL_S("code", al_code_name(code)), AL_S("key", cred ? cred->key->id : ""),
           AL_S("team", cred ? cred->key->team : ""),
           AL_S("request_id", al_rpc_call_request_id(call)), AL_S("peer", al_rpc_call_peer(call)),
           AL_MS("took", (double)micros / 1e3));
}

struct al_rpc_hooks al_coordinator_hooks(struct al_coordinator *c)
{
    return (struct al_rpc_hooks){.ctx = c, .admit = admit, .on_done = on_done};
}

/* ---- life ---- */

static enum al_code register_quota_metrics(struct al_coordinator *c, struct al_err *err)
{
    struct al_quota_metrics *q = &c->quota_metrics;
    const struct {
        const char *label;
        struct al_metric **ret;
    } limits[] = {
        {"limit=\"calls_per_second\"", &q->calls},
        {"limit=\"max_concurrent_calls\"", &q->concurrent},
        {"limit=\"max_ingest_bytes_per_day\"", &q->ingest_bytes},
        {"limit=\"max_items\"", &q->items},
        {"limit=\"max_bytes\"", &q->bytes},
        {"limit=\"max_jobs\"", &q->jobs},
        {"limit=\"max_deployments\"", &q->deployments},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(limits); i++)
        AL_TRY(al_metrics_counter(c->opt.metrics, "airlore_quota_refusals_total",
                                  "Calls and items refused because of a quota", limits[i].label,
                                  limits[i].ret, err));
    return AL_OK;
}

static enum al_code register_metrics(struct al_coordinator *c, struct al_err *err)
{
    struct al_metrics *m = c->opt.metrics;
    for (unsigned i = 0; i < AL_ARRAY_LEN(c->calls); i++) {
        char label[64];
        snprintf(label, sizeof label, "code=\"%s\"", al_code_name((enum al_code)i));
        AL_TRY(al_metrics_counter(m, "airlore_calls_total", "Calls by the status they ended with",
                                  label, &c->calls[i], err));
    }
    AL_TRY(al_metrics_histogram(m, "airlore_call_seconds", "Time from arrival to status", NULL,
                                &c->call_seconds, err));
    AL_TRY(al_metrics_counter(m, "airlore_ingested_items_total", "Items answered on ingest streams",
                              NULL, &c->ingested, err));
    return al_metrics_counter(m, "airlore_searches_total", "Searches, those of batches included",
                              NULL, &c->searches, err);
}

static enum al_code first_team(struct al_coordinator *c, struct al_err *err)
{
    struct al_team t;
    if (al_directory_get_team(c->directory, "default", &t, NULL) == AL_OK)
        return AL_OK;
    return al_directory_add_team(c->directory, "default", &t, err);
}

static void forget_job(void *u, const char *id)
{
    struct al_coordinator *c = u;
    struct al_err err;
    if (al_findings_erase(c, id, &err) != AL_OK)
        al_log_err(c->opt.log, AL_LOG_WARN, "jobs.findings.kept", &err);
}

static enum al_code start_jobs(struct al_coordinator *c, struct al_err *err)
{
    AL_TRY(al_jobs_create(&(struct al_jobs_options){.coord = c->opt.coord,
                                                    .system = c->opt.system,
                                                    .clock = c->opt.clock,
                                                    .random = c->opt.random,
                                                    .mem = c->opt.mem,
                                                    .log = c->opt.log,
                                                    .on_forget = forget_job,
                                                    .forget_u = c},
                          &c->jobs, err));
    AL_TRY(al_work_register(c, err));
    return al_jobs_start(c->jobs, err);
}

enum al_code al_coordinator_create(const struct al_coordinator_options *opt,
                                   struct al_coordinator **ret, struct al_err *err)
{
    AL_AUTO(al_coordinator) c = al_mem_zalloc(opt->mem, sizeof *c);
    if (!c)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "coordinator: out of memory");
    c->opt = *opt;
    c->started_ms = al_clock_wall_ms(opt->clock);
    al_random_fill(opt->random, c->page_key, sizeof c->page_key);
    AL_TRY(register_metrics(c, err));
    AL_TRY(register_quota_metrics(c, err));
    AL_TRY(al_directory_open(
        &(struct al_directory_options){
            .system = opt->system, .clock = opt->clock, .random = opt->random, .mem = opt->mem},
        &c->directory, err));
    AL_TRY(first_team(c, err));
    AL_TRY(al_once_book_create(opt->system, opt->clock, opt->mem, &c->once, err));
    AL_TRY(al_ratelimit_create(&(struct al_ratelimit_options){.defaults = opt->default_quota,
                                                              .metrics = c->quota_metrics,
                                                              .clock = opt->clock,
                                                              .mem = opt->mem},
                               &c->ratelimit, err));
    AL_TRY(al_storage_quota_create(&(struct al_storage_quota_options){.directory = c->directory,
                                                                      .router = opt->router,
                                                                      .mem = opt->mem,
                                                                      .metrics = c->quota_metrics},
                                   &c->storage_quota, err));
    AL_TRY(start_jobs(c, err));
    *ret = al_take(c);
    return AL_OK;
}

void al_coordinator_stop(struct al_coordinator *c)
{
    if (c->jobs)
        al_jobs_stop(c->jobs);
}

void al_coordinator_destroy(struct al_coordinator *c)
{
    if (!c)
        return;
    al_coordinator_stop(c);
    al_jobs_destroy(c->jobs);
    al_once_book_destroy(c->once);
    al_storage_quota_destroy(c->storage_quota);
    al_ratelimit_destroy(c->ratelimit);
    al_directory_destroy(c->directory);
    al_mem_free(c->opt.mem, c);
}

struct al_directory *al_coordinator_directory(struct al_coordinator *c)
{
    return c->directory;
}
