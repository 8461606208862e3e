#include <string.h>

#include "service_admin.h"

static uint64_t free_bytes(const struct al_coordinator *c)
{
    struct al_disk *d = al_disk_system();
    uint64_t n = 0;
    if (!c->opt.data_dir || d->ops->free_bytes(d, c->opt.data_dir, &n, NULL) != AL_OK)
        return 0;
    return n;
}

/* What a credential may know of sizes: everything as an admin of the server; else of its own
 * spaces.
 */
static enum al_code shard_use(struct al_shard_port *p, const struct al_credential *cred,
                              struct al_space_use *ret, struct al_err *err)
{
    if (!al_is_server_admin(cred))
        return p->ops->get_use(p, cred->spaces, cred->n_spaces, ret, err);
    struct al_shard_status st;
    p->ops->get_status(p, &st);
    *ret = (struct al_space_use){.docs = st.n_docs, .chunks = st.n_chunks};
    return AL_OK;
}

static bool add_problem(struct al_arena *a, Airlore__V1__GetClusterStatusResponse *m, size_t shard,
                        const char *why)
{
    if (m->n_problems >= 100)
        return true;
    m->problems[m->n_problems] = al_arena_printf(a, "shard %zu is read-only: %s", shard, why);
    return m->problems[m->n_problems++];
}

/* Why a shard is read-only can name an item: for admins of the server. */
static const char *why(const struct al_credential *cred, const struct al_shard_status *st)
{
    return al_is_server_admin(cred) ? st->why : "ask an admin of the server";
}

static enum al_code add_shards(struct al_coordinator *c, const struct al_credential *cred,
                               struct al_arena *a, Airlore__V1__GetClusterStatusResponse *m,
                               struct al_err *err)
{
    const struct al_router *r = c->opt.router;
    bool is_admin = al_is_server_admin(cred);
    m->problems = al_msg_list(a, 100);
    m->shards = (uint32_t)r->n_shards;
    if (!m->problems)
        return al_msg_no_memory(err);
    for (size_t i = 0; i < r->n_shards; i++) {
        struct al_shard_status st;
        struct al_space_use use = {0};
        r->shards[i]->ops->get_status(r->shards[i], &st);
        AL_TRY(shard_use(r->shards[i], cred, &use, err));
        m->items += use.docs;
        m->chunks += use.chunks;
        m->disk_used_bytes += is_admin ? st.store_bytes + st.segment_bytes : 0;
        m->shards_in_sync += !st.read_only;
        if (st.read_only && !add_problem(a, m, i, why(cred, &st)))
            return al_msg_no_memory(err);
    }
    m->health = m->n_problems ? AIRLORE__V1__HEALTH__HEALTH_RED : AIRLORE__V1__HEALTH__HEALTH_GREEN;
    return AL_OK;
}

/* Jobs of the teams that the credential sees. */
static enum al_code count_jobs(struct al_coordinator *c, const struct al_credential *cred,
                               Airlore__V1__GetClusterStatusResponse *m, struct al_err *err)
{
    if (al_is_server_admin(cred)) {
        al_jobs_count(c->jobs, &m->jobs_queued, &m->jobs_running);
        return AL_OK;
    }
    struct al_arena a;
    struct al_job *list = NULL;
    size_t n = 0;
    al_arena_init(&a, c->opt.mem, (size_t)64 << 20);
    enum al_code code = al_jobs_list(c->jobs, &a, &list, &n, err);
    for (size_t i = 0; code == AL_OK && i < n; i++) {
        if (!al_may_see_team(cred, list[i].team))
            continue;
        m->jobs_queued += list[i].state == AL_JOB_QUEUED;
        m->jobs_running += list[i].state == AL_JOB_RUNNING || list[i].state == AL_JOB_CANCELLING;
    }
    al_arena_fini(&a);
    return code;
}

AL_UNARY(al_serve_cluster_status)
{
    (void)req;
    struct al_coordinator *c = ctx;
    struct al_arena *a = al_rpc_call_arena(call);
    const struct al_credential *cred = al_call_credential(call);
    Airlore__V1__GetClusterStatusResponse *m =
        al_msg_new(a, &airlore__v1__get_cluster_status_response__descriptor);
    if (!m)
        return al_msg_no_memory(err);
    AL_TRY(add_shards(c, cred, a, m, err));
    AL_TRY(count_jobs(c, cred, m, err));
    m->leader = al_msg_str(a, al_str_c(c->opt.server_name));
    m->coordinators = al_msg_list(a, 1);
    m->paused_classes = al_arena_array(a, 8, sizeof *m->paused_classes);
    if (!m->leader || !m->coordinators || !m->paused_classes)
        return al_msg_no_memory(err);
    m->coordinators[m->n_coordinators++] = m->leader;
    m->nodes = m->nodes_alive = 1;
    m->map_version = 1;
    for (int k = AL_JOB_MAINTENANCE; k <= AL_JOB_DEPLOY; k++) {
        if (al_jobs_is_paused(c->jobs, (enum al_job_class)k))
            m->paused_classes[m->n_paused_classes++] = (Airlore__V1__JobClass)k;
    }
    *ret_reply = &m->base;
    return AL_OK;
}

static void fill_sizes(struct al_coordinator *c, Airlore__V1__Node *n)
{
    n->disk_free_bytes = free_bytes(c);
    for (size_t i = 0; i < c->opt.router->n_shards; i++) {
        struct al_shard_status st;
        c->opt.router->shards[i]->ops->get_status(c->opt.router->shards[i], &st);
        n->disk_used_bytes += st.store_bytes + st.segment_bytes;
        n->memory_bytes += st.memory_bytes;
    }
}

AL_UNARY(al_serve_list_nodes)
{
    struct al_coordinator *c = ctx;
    const Airlore__V1__ListNodesRequest *r = (const Airlore__V1__ListNodesRequest *)req;
    struct al_arena *a = al_rpc_call_arena(call);
    size_t from = 0;
    size_t to = 0;
    AL_TRY(al_admin_page(r->page_size, r->page_token, 1, &from, &to, err));
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
    if (al_is_server_admin(al_call_credential(call)))
        fill_sizes(c, n);
    m->next_page_token = al_admin_next_page(a, to, 1);
    if (!n->name || !n->version || !n->start_time || !m->next_page_token)
        return al_msg_no_memory(err);
    if (from < to)
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

static enum al_code fill_segments(struct al_shard_port *p, struct al_arena *a,
                                  Airlore__V1__Shard *m, struct al_err *err)
{
    struct al_segment_status *list = NULL;
    size_t n = 0;
    AL_TRY(p->ops->list_segments(p, a, &list, &n, err));
    m->segments = al_msg_list(a, n);
    if (!m->segments)
        return al_msg_no_memory(err);
    for (size_t i = 0; i < n; i++) {
        Airlore__V1__SegmentInfo *s = al_msg_new(a, &airlore__v1__segment_info__descriptor);
        if (!s || !(s->embedder_id = al_msg_str(a, list[i].embedder_id)))
            return al_msg_no_memory(err);
        s->id = list[i].id;
        s->sealed = list[i].is_sealed;
        s->rows = list[i].rows;
        s->deleted_rows = list[i].dead_rows;
        s->disk_bytes = list[i].disk_bytes;
        s->analyzer_version = list[i].analyzer_version;
        s->community = list[i].has_community;
        m->segments[m->n_segments++] = s;
    }
    return AL_OK;
}

static enum al_code msg_shard(struct al_coordinator *c, const struct al_credential *cred,
                              struct al_arena *a, size_t i, Airlore__V1__Shard **ret,
                              struct al_err *err)
{
    struct al_shard_status st;
    struct al_space_use use = {0};
    struct al_shard_port *p = c->opt.router->shards[i];
    uint16_t first;
    uint16_t last;
    bool is_admin = al_is_server_admin(cred);
    p->ops->get_status(p, &st);
    AL_TRY(shard_use(p, cred, &use, err));
    al_router_slots(i, c->opt.router->n_shards, &first, &last);
    Airlore__V1__Shard *m = al_msg_new(a, &airlore__v1__shard__descriptor);
    Airlore__V1__SlotRange *slots = al_msg_new(a, &airlore__v1__slot_range__descriptor);
    if (!m || !slots || !(m->replicas = al_msg_list(a, 1)))
        return al_msg_no_memory(err);
    slots->first = first;
    slots->last = last;
    m->slots = slots;
    m->id = (uint32_t)i;
    m->name = al_arena_printf(a, "shards/%zu", i);
    m->primary = al_arena_printf(a, "nodes/%s", c->opt.server_name);
    m->epoch = st.epoch;
    m->version = 1;
    m->min_in_sync = 1;
    m->items = use.docs;
    m->chunks = use.chunks;
    m->health = st.read_only ? AIRLORE__V1__HEALTH__HEALTH_RED : AIRLORE__V1__HEALTH__HEALTH_GREEN;
    m->problem = al_msg_str(a, al_str_c(st.read_only ? why(cred, &st) : ""));
    m->commit_index = is_admin ? st.commit_index : 0;
    m->disk_bytes = is_admin ? st.store_bytes + st.segment_bytes : 0;
    if (!is_admin)
        st.commit_index = st.applied_index = 0;
    m->replicas[m->n_replicas++] = msg_replica(c, a, &st);
    *ret = m;
    return m->name && m->primary && m->problem && m->replicas[0] ? AL_OK : al_msg_no_memory(err);
}

AL_UNARY(al_serve_list_shards)
{
    struct al_coordinator *c = ctx;
    const Airlore__V1__ListShardsRequest *r = (const Airlore__V1__ListShardsRequest *)req;
    struct al_arena *a = al_rpc_call_arena(call);
    const struct al_credential *cred = al_call_credential(call);
    size_t from = 0;
    size_t to = 0;
    size_t n = c->opt.router->n_shards;
    if (r->show_segments)
        AL_TRY(al_require_server_admin(cred, err));
    AL_TRY(al_admin_page(r->page_size, r->page_token, n, &from, &to, err));
    Airlore__V1__ListShardsResponse *m =
        al_msg_new(a, &airlore__v1__list_shards_response__descriptor);
    if (!m || !(m->shards = al_msg_list(a, to - from)))
        return al_msg_no_memory(err);
    for (size_t i = from; i < to; i++) {
        AL_TRY(msg_shard(c, cred, a, i, &m->shards[m->n_shards], err));
        if (r->show_segments)
            AL_TRY(fill_segments(c->opt.router->shards[i], a, m->shards[m->n_shards], err));
        m->n_shards++;
    }
    m->next_page_token = al_admin_next_page(a, to, n);
    *ret_reply = &m->base;
    return m->next_page_token ? AL_OK : al_msg_no_memory(err);
}
