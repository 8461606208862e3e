/* airlore cluster */
#include <string.h>

#include "jobs.h"
#include "names.h"
#include "pages.h"

int al_cmd_cluster_status(struct al_cli *c)
{
    Airlore__V1__GetClusterStatusRequest r = AIRLORE__V1__GET_CLUSTER_STATUS_REQUEST__INIT;
    int rc;
    const void *m = al_cli_call(c, "GetClusterStatus", &r.base, false, &rc);
    const Airlore__V1__GetClusterStatusResponse *reply = m;
    if (!reply)
        return rc;
    al_cli_show(c, &reply->base);
    return reply->health == AIRLORE__V1__HEALTH__HEALTH_RED ? AL_EXIT_BAD : AL_EXIT_DONE;
}

int al_cmd_cluster_nodes(struct al_cli *c)
{
    static const struct al_cli_column columns[] = {
        {"NAME", "name"},         {"ADDRESS", "address"},
        {"ALIVE", "alive"},       {"SHUTTING_DOWN", "draining"},
        {"REPLICAS", "replicas"}, {"DISK USED", "disk_used_bytes"},
        {"VERSION", "version"}};
    Airlore__V1__ListNodesRequest r = AIRLORE__V1__LIST_NODES_REQUEST__INIT;
    return al_cli_list_run(c, &(struct al_cli_list){&airlore__v1__admin_service__descriptor,
                                                    "ListNodes", &r.base, "nodes", columns,
                                                    AL_ARRAY_LEN(columns)});
}

static void put_segments(const struct al_cli *c, const json_t *shards)
{
    static const struct al_cli_column columns[] = {
        {"SEGMENT", "id"},           {"SEALED", "sealed"},    {"ROWS", "rows"},
        {"DELETED", "deleted_rows"}, {"BYTES", "disk_bytes"}, {"EMBEDDER", "embedder_id"}};
    for (size_t i = 0; i < json_array_size(shards); i++) {
        const json_t *s = json_array_get(shards, i);
        char name[64];
        printf("\n%s\n", al_cli_json_at(s, "name", name, sizeof name));
        al_cli_table(stdout, json_object_get(s, "segments"), columns, AL_ARRAY_LEN(columns),
                     c->term.out_colour);
    }
}

int al_cmd_cluster_shards(struct al_cli *c)
{
    static const struct al_cli_column columns[] = {
        {"NAME", "name"},           {"HEALTH", "health"},   {"FIRST", "slots.first"},
        {"LAST", "slots.last"},     {"PRIMARY", "primary"}, {"EPOCH", "epoch"},
        {"COMMIT", "commit_index"}, {"ITEMS", "items"},     {"CHUNKS", "chunks"},
        {"BYTES", "disk_bytes"},    {"PROBLEM", "problem"}};
    Airlore__V1__ListShardsRequest r = AIRLORE__V1__LIST_SHARDS_REQUEST__INIT;
    r.show_segments = c->args.value[AL_OPT_SEGMENTS] != NULL;
    struct al_cli_list l = {&airlore__v1__admin_service__descriptor,
                            "ListShards",
                            &r.base,
                            "shards",
                            columns,
                            AL_ARRAY_LEN(columns)};
    if (c->json || !r.show_segments)
        return al_cli_list_run(c, &l);
    json_t *rows = NULL;
    int rc = al_cli_list_read(c, &l, &rows);
    if (rc != AL_EXIT_DONE)
        return rc;
    al_cli_table(stdout, rows, columns, AL_ARRAY_LEN(columns), c->term.out_colour);
    put_segments(c, rows);
    json_decref(rows);
    return AL_EXIT_DONE;
}

/* --------------------------------------------------------------------------------------------------------------
 * jobs */

/* --shard options. False after saying what is wrong. */
static bool take_shards(struct al_cli *c, size_t *ret_n, uint32_t **ret)
{
    uint32_t *v = al_arena_array(&c->arena, AL_CLI_GIVEN_MAX, sizeof *v);
    AL_ASSERT(v != NULL);
    size_t n = 0;
    for (size_t i = 0; i < c->args.n_given; i++) {
        uint64_t id;
        if (c->args.given[i].opt != AL_OPT_SHARD)
            continue;
        if (!al_str_u64(al_str_c(c->args.given[i].value), &id) || id > UINT32_MAX) {
            al_cli_usage(c, "--shard '%.40s': not a number", c->args.given[i].value);
            return false;
        }
        v[n++] = (uint32_t)id;
    }
    *ret_n = n;
    *ret = v;
    return true;
}

/* Print the job that was started, or follow it. *ret is its last state; NULL when there is no more
 * to say. */
static int started(struct al_cli *c, const Airlore__V1__Job *job, json_t **ret)
{
    *ret = NULL;
    if (!job) {
        fputs("airlore: the server named no job\n", stderr);
        return AL_EXIT_BAD;
    }
    if (c->args.value[AL_OPT_NO_WAIT]) {
        al_cli_job_show(c, al_cli_json_of(&job->base));
        return AL_EXIT_DONE;
    }
    return al_cli_job_watch(c, job->name, false, ret);
}

/* Call a method that starts a job, and show how it ended. */
static int run_job(struct al_cli *c, const char *method, const ProtobufCMessage *request)
{
    int rc;
    const void *m = al_cli_call(c, method, request, true, &rc);
    const Airlore__V1__CompactShardsResponse *reply = m; /* all of them: one member, job */
    if (!reply)
        return rc;
    json_t *last = NULL;
    rc = started(c, reply->job, &last);
    if (last)
        al_cli_job_show(c, last);
    return rc;
}

int al_cmd_cluster_compact(struct al_cli *c)
{
    Airlore__V1__CompactShardsRequest r = AIRLORE__V1__COMPACT_SHARDS_REQUEST__INIT;
    if (!take_shards(c, &r.n_shards, &r.shards))
        return AL_EXIT_USAGE;
    r.job_id = al_cli_write_id(c);
    return run_job(c, "CompactShards", &r.base);
}

int al_cmd_cluster_reembed(struct al_cli *c)
{
    Airlore__V1__ReembedRequest r = AIRLORE__V1__REEMBED_REQUEST__INIT;
    r.force = c->args.value[AL_OPT_FORCE] != NULL;
    r.job_id = al_cli_write_id(c);
    _Static_assert(offsetof(Airlore__V1__ReembedResponse, job) ==
                       offsetof(Airlore__V1__CompactShardsResponse, job),
                   "both hold a job alone");
    return run_job(c, "Reembed", &r.base);
}

/* Findings of a verify job that are not repaired, and all of them as rows. */
static int show_findings(struct al_cli *c, json_t *job, int rc)
{
    static const struct al_cli_column columns[] = {
        {"SHARD", "shard"},  {"WHAT", "what"},         {"REASON", "reason"},
        {"ITEM", "item_id"}, {"REPAIRED", "repaired"}, {"MESSAGE", "message"}};
    Airlore__V1__ListVerifyFindingsRequest r = AIRLORE__V1__LIST_VERIFY_FINDINGS_REQUEST__INIT;
    const char *name = json_string_value(json_object_get(job, "name"));
    r.job = (char *)(uintptr_t)(name ? name : "");
    struct al_cli_list l = {&airlore__v1__admin_service__descriptor,
                            "ListVerifyFindings",
                            &r.base,
                            "findings",
                            columns,
                            AL_ARRAY_LEN(columns)};
    json_t *rows = NULL;
    int list_rc = al_cli_list_read(c, &l, &rows);
    if (list_rc != AL_EXIT_DONE)
        return list_rc;
    for (size_t i = 0; i < json_array_size(rows); i++) {
        if (!json_is_true(json_object_get(json_array_get(rows, i), "repaired")))
            rc = AL_EXIT_BAD;
    }
    if (c->json) {
        json_t *doc = json_object();
        al_cli_json_set(doc, "ok", json_boolean(rc == AL_EXIT_DONE));
        al_cli_json_set(doc, "job", json_incref(job));
        al_cli_json_set(doc, "findings", rows);
        al_cli_json_print(stdout, doc);
        return rc;
    }
    if (json_array_size(rows))
        al_cli_table(stdout, rows, columns, AL_ARRAY_LEN(columns), c->term.out_colour);
    char text[300];
    const char *result = al_cli_json_at(job, "result", text, sizeof text);
    printf("%s%s%s%s%s\n",
           al_cli_style_on(c->term.out_colour, rc == AL_EXIT_DONE ? AL_STYLE_GREEN : AL_STYLE_RED),
           rc == AL_EXIT_DONE ? "verified: all agree" : "problems found",
           al_cli_style_on(c->term.out_colour, AL_STYLE_PLAIN), result[0] ? "  " : "", result);
    const char *message = al_cli_json_at(job, "error.message", text, sizeof text);
    if (message[0])
        puts(message);
    json_decref(rows);
    return rc;
}

int al_cmd_cluster_verify(struct al_cli *c)
{
    Airlore__V1__VerifyShardsRequest r = AIRLORE__V1__VERIFY_SHARDS_REQUEST__INIT;
    if (!take_shards(c, &r.n_shards, &r.shards))
        return AL_EXIT_USAGE;
    r.deep = c->args.value[AL_OPT_DEEP] != NULL;
    r.repair = c->args.value[AL_OPT_REPAIR] != NULL;
    r.job_id = al_cli_write_id(c);
    int rc;
    const void *m = al_cli_call(c, "VerifyShards", &r.base, true, &rc);
    const Airlore__V1__VerifyShardsResponse *reply = m;
    if (!reply)
        return rc;
    json_t *last = NULL;
    rc = started(c, reply->job, &last);
    if (last)
        rc = show_findings(c, last, rc);
    json_decref(last);
    return rc;
}
