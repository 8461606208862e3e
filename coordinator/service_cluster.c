#include <string.h>

#include "service.h"

static uint64_t free_bytes(const struct al_coordinator *c)
{
    struct al_disk *d = al_disk_system();
    uint64_t n = 0;
    if (!c->opt.data_dir || d->ops->free_bytes(d, c->opt.data_dir, &n, NULL) != AL_OK)
        return 0;
    return n;
}

static enum al_code require_reader_of_status(struct al_rpc_call *call, struct al_err *err)
{
    return al_require_server_admin(al_call_credential(call), err); /* totals tell of other teams */
}

static bool add_problem(struct al_arena *a, Airlore__V1__GetClusterStatusResponse *m, size_t shard,
                        const char *why)
{
    if (m->n_problems >= 100)
        return true;
    m->problems[m->n_problems] = al_arena_printf(a, "shard %zu is read-only: %s", shard, why);
    return m->problems[m->n_problems++];
}

static bool add_shards(struct al_coordinator *c, struct al_arena *a,
                       Airlore__V1__GetClusterStatusResponse *m)
{
    const struct al_router *r = c->opt.router;
    m->problems = al_msg_list(a, 100);
    m->shards = (uint32_t)r->n_shards;
    if (!m->problems)
        return false;
    for (size_t i = 0; i < r->n_shards; i++) {
        struct al_shard_status st;
        r->shards[i]->ops->get_status(r->shards[i], &st);
        m->items += st.n_docs;
        m->chunks += st.n_chunks;
        m->disk_used_bytes += st.store_bytes + st.segment_bytes;
        m->shards_in_sync += !st.read_only;
        if (st.read_only && !add_problem(a, m, i, st.why))
            return false;
    }
    m->health = m->n_problems ? AIRLORE__V1__HEALTH__HEALTH_RED : AIRLORE__V1__HEALTH__HEALTH_GREEN;
    return true;
}

AL_UNARY(al_serve_cluster_status)
{
    (void)req;
    struct al_coordinator *c = ctx;
    struct al_arena *a = al_rpc_call_arena(call);
    AL_TRY(require_reader_of_status(call, err));
    Airlore__V1__GetClusterStatusResponse *m =
        al_msg_new(a, &airlore__v1__get_cluster_status_response__descriptor);
    if (!m || !add_shards(c, a, m))
        return al_msg_no_memory(err);
    m->leader = al_msg_str(a, al_str_c(c->opt.server_name));
    m->coordinators = al_msg_list(a, 1);
    m->paused_classes = al_arena_array(a, 8, sizeof *m->paused_classes);
    if (!m->leader || !m->coordinators || !m->paused_classes)
        return al_msg_no_memory(err);
    m->coordinators[m->n_coordinators++] = m->leader;
    m->nodes = m->nodes_alive = 1;
    m->map_version = 1;
    al_jobs_count(c->jobs, &m->jobs_queued, &m->jobs_running);
    for (int k = AL_JOB_MAINTENANCE; k <= AL_JOB_DEPLOY; k++) {
        if (al_jobs_is_paused(c->jobs, (enum al_job_class)k))
            m->paused_classes[m->n_paused_classes++] = (Airlore__V1__JobClass)k;
    }
    *ret_reply = &m->base;
    return AL_OK;
}

AL_UNARY(al_serve_list_nodes)
{
    (void)req;
    struct al_coordinator *c = ctx;
    struct al_arena *a = al_rpc_call_arena(call);
    AL_TRY(require_reader_of_status(call, err));
    Airlore__V1__ListNodesResponse *m =
        al_msg_new(a, &airlore__v1__list_nodes_response__descriptor);
    Airlore__V1__Node *n = al_msg_new(a, &airlore__v1__node__descriptor);
    if (!m || !n || !(m->nodes = al_msg_list(a, 1)))
        return al_msg_no_memory(err);
    n->name = al_arena_printf(a, "nodes/%s", c->opt.server_name);
    n->version = al_msg_str(a, al_str_c(c->opt.version));
    n->start_time = al_msg_time(a, c->started_ms);
    n->alive = true;
    n->replicas = n->primaries = (uint32_t)c->opt.router->n_shards;
    n->disk_free_bytes = free_bytes(c);
    for (size_t i = 0; i < c->opt.router->n_shards; i++) {
        struct al_shard_status st;
        c->opt.router->shards[i]->ops->get_status(c->opt.router->shards[i], &st);
        n->disk_used_bytes += st.store_bytes + st.segment_bytes;
        n->memory_bytes += st.memory_bytes;
    }
    if (!n->name || !n->version || !n->start_time)
        return al_msg_no_memory(err);
    m->nodes[m->n_nodes++] = n;
    *ret_reply = &m->base;
    return AL_OK;
}

static Airlore__V1__Replica *msg_replica(struct al_coordinator *c, struct al_arena *a,
                                         const struct al_shard_status *st)
{
    Airlore__V1__Replica *m = al_msg_new(a, &airlore__v1__replica__descriptor);
    if (!m)
        return NULL;
    m->node = al_arena_printf(a, "nodes/%s", c->opt.server_name);
    m->state = st->read_only ? AIRLORE__V1__REPLICA_STATE__REPLICA_STATE_READ_ONLY
                             : AIRLORE__V1__REPLICA_STATE__REPLICA_STATE_PRIMARY;
    m->durable_index = st->commit_index;
    m->applied_index = st->applied_index;
    return m->node ? m : NULL;
}

static Airlore__V1__Shard *msg_shard(struct al_coordinator *c, struct al_arena *a, size_t i)
{
    struct al_shard_status st;
    struct al_shard_port *p = c->opt.router->shards[i];
    uint16_t first;
    uint16_t last;
    p->ops->get_status(p, &st);
    al_router_slots(i, c->opt.router->n_shards, &first, &last);
    Airlore__V1__Shard *m = al_msg_new(a, &airlore__v1__shard__descriptor);
    Airlore__V1__SlotRange *slots = al_msg_new(a, &airlore__v1__slot_range__descriptor);
    if (!m || !slots || !(m->replicas = al_msg_list(a, 1)))
        return NULL;
    slots->first = first;
    slots->last = last;
    m->slots = slots;
    m->id = (uint32_t)i;
    m->name = al_arena_printf(a, "shards/%zu", i);
    m->primary = al_arena_printf(a, "nodes/%s", c->opt.server_name);
    m->epoch = st.epoch;
    m->version = 1;
    m->min_in_sync = 1;
    m->commit_index = st.commit_index;
    m->items = st.n_docs;
    m->chunks = st.n_chunks;
    m->disk_bytes = st.store_bytes + st.segment_bytes;
    m->health = st.read_only ? AIRLORE__V1__HEALTH__HEALTH_RED : AIRLORE__V1__HEALTH__HEALTH_GREEN;
    m->problem = al_msg_str(a, al_str_c(st.read_only ? st.why : ""));
    m->replicas[m->n_replicas++] = msg_replica(c, a, &st);
    return m->name && m->primary && m->problem && m->replicas[0] ? m : NULL;
}

AL_UNARY(al_serve_list_shards)
{
    struct al_coordinator *c = ctx;
    struct al_arena *a = al_rpc_call_arena(call);
    AL_TRY(require_reader_of_status(call, err));
    if (((const Airlore__V1__ListShardsRequest *)req)->show_segments)
        return AL_FAIL_R(err, AL_UNIMPLEMENTED, "NOT_IMPLEMENTED_YET",
                         "shards: showing segments is not there yet");
    Airlore__V1__ListShardsResponse *m =
        al_msg_new(a, &airlore__v1__list_shards_response__descriptor);
    if (!m || !(m->shards = al_msg_list(a, c->opt.router->n_shards)))
        return al_msg_no_memory(err);
    for (size_t i = 0; i < c->opt.router->n_shards; i++) {
        m->shards[i] = msg_shard(c, a, i);
        if (!m->shards[m->n_shards++])
            return al_msg_no_memory(err);
    }
    *ret_reply = &m->base;
    return AL_OK;
}
