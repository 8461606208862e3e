#include "repl_sim.h"

static void new_record(struct sim *s, struct al_repl_record rec)
{
    if (s->n_history == VERSIONS_MAX)
        return;
    s->truth = s->n_history;
    s->history[s->n_history++] = rec;
    sim_tell(s, "leader: version %u, restore %u, epoch %u, primary %u, set %x\n",
             (unsigned)rec.version, (unsigned)rec.restore, (unsigned)rec.epoch, rec.primary,
             rec.in_sync);
}

void sim_change_primary(struct sim *s, uint32_t n)
{
    struct al_repl_record rec = *sim_truth(s);
    if (s->awaited || !(rec.in_sync & 1u << n) || !sim_is_named(s, n))
        return;
    rec.epoch++;
    rec.version++;
    rec.primary = n;
    if (sim_below(s, 2))
        rec.in_sync &= 1u << n | (uint32_t)sim_below(s, 1u << NODES);
    new_record(s, rec);
}

void sim_name_new_store(struct sim *s, uint32_t n)
{
    struct al_repl_record rec = *sim_truth(s);
    if (s->awaited || sim_is_named(s, n) || rec.primary == n)
        return;
    rec.version++;
    rec.in_sync &= ~(1u << n);
    rec.members[n] = s->nodes[n].self;
    new_record(s, rec);
}

static void alter(void *u, uint32_t from, uint64_t ticket, struct al_str bytes)
{
    struct sim *s = u;
    struct request rq;
    (void)from;
    (void)ticket; /* the primary learns the outcome from the record only */
    AL_ASSERT(bytes.n == sizeof rq);
    memcpy(&rq, bytes.p, sizeof rq);
    struct al_repl_record rec = *sim_truth(s);
    if (s->awaited || rq.restore != rec.restore || rq.epoch != rec.epoch ||
        rq.version != rec.version)
        return;
    rec.version++;
    rec.in_sync = rq.set;
    new_record(s, rec);
}

void sim_leader_start(struct sim *s)
{
    struct al_peers_server server = {alter, s};
    (void)al_sim_net_node(s->net, LEADER, &server);
}

void sim_restore(struct sim *s, uint32_t n)
{
    (void)n;
    if (s->wiped || s->awaited || s->restore == RESTORES_MAX || s->n_history == VERSIONS_MAX)
        return;
    s->truth = sim_below(s, s->truth + 1);
    s->restore++;
    s->awaited = (1u << NODES) - 1;
    s->has_best = false;
    sim_tell(s, "etcd is restored to version %u\n", (unsigned)sim_truth(s)->version);
}

static bool is_newer(const struct al_repl_record *a, const struct al_repl_record *b)
{
    if (a->epoch != b->epoch)
        return a->epoch > b->epoch;
    return a->version > b->version;
}

/* All stores have promised to take nothing from before: the leader goes on from the newest record
 * that one of them keeps. */
static void go_on(struct sim *s)
{
    struct al_repl_record rec = s->has_best ? s->best : *sim_truth(s);
    uint32_t pick = (uint32_t)sim_below(s, NODES);
    while (!(rec.in_sync & 1u << pick))
        pick = (pick + 1) % NODES;
    rec.restore = s->restore;
    rec.epoch++;
    rec.version++;
    rec.primary = pick;
    new_record(s, rec);
}

void sim_take_report(struct sim *s, uint32_t n, const struct al_repl_record *rec)
{
    if (rec && (!s->has_best || is_newer(rec, &s->best))) {
        s->best = *rec;
        s->has_best = true;
    }
    sim_tell(s, "%u reports version %u\n", n, rec ? (unsigned)rec->version : 0);
    s->awaited &= ~(1u << n);
    if (!s->awaited)
        go_on(s);
}
