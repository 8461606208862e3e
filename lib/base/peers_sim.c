#include <inttypes.h>
#include <string.h>

#include "airlore/peers.h"

#define MS 1000000u
#define CALLS_DEFAULT 1024u

enum event_kind { REQUEST, ANSWER, REFUSAL, DEADLINE };

struct event {
    enum event_kind kind;
    uint64_t at_ns;
    uint64_t order; /* of two at one time the first sent comes first */
    uint64_t call;
    uint32_t from;
    uint32_t to;
    char *bytes; /* owned */
    size_t n_bytes;
};

/* A call from its begin to its done. */
struct call {
    uint64_t id; /* 0: free */
    uint32_t from;
    uint32_t to;
    void (*done)(void *u, enum al_code code, struct al_str answer);
    void *u;
};

/* A request that arrived and may be answered. The number is what `serve` was given. */
struct ticket {
    uint64_t id;
    uint64_t call;
    uint32_t at;   /* the node that serves */
    uint32_t from; /* the node that called */
};

struct node {
    struct al_peers peers; /* first */
    struct al_sim_net *net;
    uint32_t id;
    struct al_peers_server server;
};

struct al_sim_net {
    struct al_mem *mem;
    struct al_random *random;
    struct al_fake_clock *clock;
    struct al_sim_net_weather weather;
    struct node nodes[AL_SIM_NODES_MAX];
    bool cut[AL_SIM_NODES_MAX][AL_SIM_NODES_MAX];
    struct event *events; /* unordered: few */
    size_t n_events;
    size_t cap_events;
    struct call *calls;
    size_t n_calls;
    size_t cap_calls;
    size_t calls_max;
    struct ticket *tickets;
    size_t n_tickets;
    size_t cap_tickets;
    uint64_t last_id;
    uint64_t last_order;
};

static bool chance(struct al_sim_net *n, uint32_t percent)
{
    return percent && al_random_below(n->random, 100) < percent;
}

static uint64_t now(struct al_sim_net *n)
{
    return al_clock_mono_ns(&n->clock->clock);
}

static uint64_t delay_ns(struct al_sim_net *n)
{
    uint64_t most = n->weather.delay_ms;
    while (most < n->weather.slow_ms && chance(n, n->weather.slow))
        most = most ? 4 * most : 1;
    if (most > n->weather.slow_ms && most > n->weather.delay_ms)
        most = n->weather.slow_ms;
    return most ? al_random_below(n->random, most * MS) : 0;
}

/* ---- events ---- */

static enum al_code push(struct al_sim_net *n, struct event e, struct al_str bytes,
                         struct al_err *err)
{
    if (al_mem_grow(n->mem, (void **)&n->events, &n->cap_events, n->n_events + 1,
                    sizeof(*n->events)) != AL_OK)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "peers: out of memory");
    if (bytes.n) {
        e.bytes = al_mem_alloc(n->mem, bytes.n);
        if (!e.bytes)
            return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "peers: out of memory");
        memcpy(e.bytes, bytes.p, bytes.n);
        e.n_bytes = bytes.n;
    }
    e.order = ++n->last_order;
    n->events[n->n_events++] = e;
    return AL_OK;
}

static size_t earliest(const struct al_sim_net *n)
{
    size_t best = 0;
    for (size_t i = 1; i < n->n_events; i++) {
        const struct event *a = &n->events[i];
        const struct event *b = &n->events[best];
        if (a->at_ns < b->at_ns || (a->at_ns == b->at_ns && a->order < b->order))
            best = i;
    }
    return best;
}

static struct event take(struct al_sim_net *n, size_t i)
{
    struct event e = n->events[i];
    n->events[i] = n->events[--n->n_events];
    return e;
}

/* ---- calls and tickets ---- */

static struct call *find_call(struct al_sim_net *n, uint64_t id)
{
    for (size_t i = 0; i < n->n_calls; i++) {
        if (n->calls[i].id == id)
            return &n->calls[i];
    }
    return NULL;
}

static void drop_deadline(struct al_sim_net *n, uint64_t call)
{
    for (size_t i = 0; i < n->n_events; i++) {
        if (n->events[i].kind == DEADLINE && n->events[i].call == call) {
            (void)take(n, i);
            return;
        }
    }
}

/* Those of a call, and those of a node that serves no more. */
static void drop_tickets(struct al_sim_net *n, uint64_t call, uint32_t node)
{
    size_t kept = 0;
    for (size_t i = 0; i < n->n_tickets; i++) {
        bool gone = n->tickets[i].call == call || n->tickets[i].at == node;
        if (!gone)
            n->tickets[kept++] = n->tickets[i];
    }
    n->n_tickets = kept;
}

static void end_call(struct al_sim_net *n, struct call *c, enum al_code code, struct al_str answer)
{
    struct call ended = *c;
    *c = n->calls[--n->n_calls];
    drop_deadline(n, ended.id);
    drop_tickets(n, ended.id, AL_SIM_NODES_MAX);
    ended.done(ended.u, code, answer);
}

/* ---- the port ---- */

static enum al_code check_call(const struct al_sim_net *n, const struct al_peers_call *c,
                               struct al_err *err)
{
    if (c->deadline_ns == AL_DEADLINE_NONE || c->to >= AL_SIM_NODES_MAX ||
        c->request.n > AL_PEERS_BYTES_MAX)
        return AL_FAIL(err, AL_INVALID_ARGUMENT,
                       "peers: a call needs a deadline, a node and at most %u bytes",
                       AL_PEERS_BYTES_MAX);
    if (n->n_calls >= n->calls_max)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "peers: %zu calls are under way", n->n_calls);
    return AL_OK;
}

/* The request itself; lost ones leave only the deadline. */
static enum al_code send_request(struct al_sim_net *n, const struct call *k, struct al_str request,
                                 struct al_err *err)
{
    struct event e = {.kind = REQUEST, .call = k->id, .from = k->from, .to = k->to};
    if (!n->nodes[k->to].server.serve)
        e.kind = REFUSAL;
    bool lost = e.kind == REQUEST && (n->cut[k->from][k->to] || chance(n, n->weather.lost));
    if (lost)
        return AL_OK;
    e.at_ns = now(n) + delay_ns(n);
    return push(n, e, e.kind == REQUEST ? request : AL_STR(""), err);
}

static void forget(struct al_sim_net *n, uint64_t call)
{
    for (size_t i = 0; i < n->n_events;) {
        if (n->events[i].call != call) {
            i++;
            continue;
        }
        struct event e = take(n, i);
        al_mem_free(n->mem, e.bytes);
    }
}

static enum al_code sim_call(struct al_peers *p, const struct al_peers_call *c, struct al_err *err)
{
    struct node *from = (struct node *)(void *)p;
    struct al_sim_net *n = from->net;
    AL_TRY(check_call(n, c, err));
    if (al_mem_grow(n->mem, (void **)&n->calls, &n->cap_calls, n->n_calls + 1, sizeof(*n->calls)) !=
        AL_OK)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "peers: out of memory");
    struct call k = {.id = ++n->last_id, .from = from->id, .to = c->to, .done = c->done, .u = c->u};
    struct event deadline = {.kind = DEADLINE, .call = k.id, .at_ns = c->deadline_ns};
    enum al_code code = push(n, deadline, AL_STR(""), err);
    if (code == AL_OK)
        code = send_request(n, &k, c->request, err);
    if (code != AL_OK) {
        forget(n, k.id);
        return code;
    }
    n->calls[n->n_calls++] = k;
    return AL_OK;
}

static enum al_code sim_answer(struct al_peers *p, uint64_t ticket, struct al_str answer,
                               struct al_err *err)
{
    struct node *at = (struct node *)(void *)p;
    struct al_sim_net *n = at->net;
    if (answer.n > AL_PEERS_BYTES_MAX)
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "peers: an answer of %zu bytes", answer.n);
    for (size_t i = 0; i < n->n_tickets; i++) {
        const struct ticket t = n->tickets[i];
        if (t.id != ticket || t.at != at->id)
            continue;
        struct event e = {.kind = ANSWER, .call = t.call, .from = t.at, .to = t.from};
        e.at_ns = now(n) + delay_ns(n);
        if (!n->cut[t.at][t.from] && !chance(n, n->weather.lost))
            AL_TRY(push(n, e, answer, err));
        n->tickets[i] = n->tickets[--n->n_tickets];
        return AL_OK;
    }
    return AL_OK;
}

/* ---- what happens ---- */

static void arrive_request(struct al_sim_net *n, const struct event *e)
{
    struct node *to = &n->nodes[e->to];
    if (n->cut[e->from][e->to] || !to->server.serve)
        return;
    if (chance(n, n->weather.doubled)) {
        struct event again = {.kind = REQUEST, .call = e->call, .from = e->from, .to = e->to};
        again.at_ns = now(n) + delay_ns(n);
        if (push(n, again, (struct al_str){e->bytes, e->n_bytes}, NULL) != AL_OK)
            return; /* lost, as on a machine without memory */
    }
    uint64_t ticket = ++n->last_id;
    if (find_call(n, e->call)) { /* else: nobody waits for the answer any more */
        if (al_mem_grow(n->mem, (void **)&n->tickets, &n->cap_tickets, n->n_tickets + 1,
                        sizeof(*n->tickets)) != AL_OK)
            return; /* lost, as on a machine without memory */
        n->tickets[n->n_tickets++] =
            (struct ticket){.id = ticket, .call = e->call, .at = e->to, .from = e->from};
    }
    to->server.serve(to->server.u, e->from, ticket, (struct al_str){e->bytes, e->n_bytes});
}

static void happen(struct al_sim_net *n, const struct event *e)
{
    if (e->kind == REQUEST) {
        arrive_request(n, e);
        return;
    }
    struct call *c = find_call(n, e->call);
    if (!c)
        return; /* late, or a second one */
    if (e->kind == DEADLINE)
        end_call(n, c, AL_UNKNOWN, AL_STR(""));
    else if (e->kind == REFUSAL)
        end_call(n, c, AL_UNAVAILABLE, AL_STR(""));
    else if (!n->cut[e->from][e->to])
        end_call(n, c, AL_OK, (struct al_str){e->bytes, e->n_bytes});
}

bool al_sim_net_step(struct al_sim_net *n)
{
    if (n->n_events == 0)
        return false;
    struct event e = take(n, earliest(n));
    if (e.at_ns > now(n))
        n->clock->now_ns = e.at_ns;
    happen(n, &e);
    al_mem_free(n->mem, e.bytes);
    return true;
}

void al_sim_net_run_ms(struct al_sim_net *n, uint64_t ms)
{
    uint64_t end = now(n) + ms * MS;
    while (n->n_events && n->events[earliest(n)].at_ns <= end)
        (void)al_sim_net_step(n);
    n->clock->now_ns = end;
}

size_t al_sim_net_in_flight(const struct al_sim_net *n)
{
    size_t count = 0;
    for (size_t i = 0; i < n->n_events; i++)
        count += n->events[i].kind != DEADLINE;
    return count;
}

/* ---- the network ---- */

enum al_code al_sim_net_create(const struct al_sim_net_options *o, struct al_sim_net **ret,
                               struct al_err *err)
{
    static const struct al_peers_ops ops = {.call = sim_call, .answer = sim_answer};
    struct al_sim_net *n = al_mem_zalloc(o->mem, sizeof(*n));
    if (!n)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "peers: out of memory");
    n->mem = o->mem;
    n->random = o->random;
    n->clock = o->clock;
    n->calls_max = o->calls_max ? o->calls_max : CALLS_DEFAULT;
    for (uint32_t i = 0; i < AL_SIM_NODES_MAX; i++)
        n->nodes[i] = (struct node){.peers = {&ops}, .net = n, .id = i};
    *ret = n;
    return AL_OK;
}

void al_sim_net_destroy(struct al_sim_net *n)
{
    if (!n)
        return;
    for (size_t i = 0; i < n->n_events; i++)
        al_mem_free(n->mem, n->events[i].bytes);
    al_mem_free(n->mem, n->events);
    al_mem_free(n->mem, n->calls);
    al_mem_free(n->mem, n->tickets);
    al_mem_free(n->mem, n);
}

void al_sim_net_set_weather(struct al_sim_net *n, const struct al_sim_net_weather *w)
{
    n->weather = *w;
}

struct al_peers *al_sim_net_node(struct al_sim_net *n, uint32_t node,
                                 const struct al_peers_server *server)
{
    AL_ASSERT(node < AL_SIM_NODES_MAX);
    n->nodes[node].server = server ? *server : (struct al_peers_server){NULL, NULL};
    return &n->nodes[node].peers;
}

void al_sim_net_set_link(struct al_sim_net *n, uint32_t a, uint32_t b, bool up)
{
    AL_ASSERT(a < AL_SIM_NODES_MAX && b < AL_SIM_NODES_MAX);
    n->cut[a][b] = n->cut[b][a] = !up;
}

void al_sim_net_crash(struct al_sim_net *n, uint32_t node)
{
    size_t kept = 0;
    for (size_t i = 0; i < n->n_calls; i++) {
        if (n->calls[i].from == node)
            drop_deadline(n, n->calls[i].id);
        else
            n->calls[kept++] = n->calls[i];
    }
    n->n_calls = kept;
    drop_tickets(n, 0, node); /* no call has the number 0 */
    n->nodes[node].server = (struct al_peers_server){NULL, NULL};
}
