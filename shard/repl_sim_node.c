#include "repl_sim.h"

#define DEADLINE_MS 3000u

/* What brought effects about: a request that waits for its answer, or an answer. */
struct cause {
    uint64_t ticket;
    const struct entries *entries;
    const struct checkpoint *checkpoint;
};

static void call(struct node *x, uint32_t to, const struct request *rq,
                 void (*done)(void *u, enum al_code code, struct al_str answer))
{
    struct al_peers_call c = {
        .to = to,
        .request = {(const char *)rq, sizeof *rq},
        .deadline_ns = al_clock_deadline(&x->sim->clock.clock, DEADLINE_MS),
        .done = done,
        .u = x,
    };
    struct al_err err = {.code = AL_OK};
    if (al_peers_call(x->peers, &c, &err) != AL_OK)
        sim_violate(x->sim, "call: %s", err.msg);
}

static void answer(struct node *x, uint64_t ticket, const void *p, size_t n)
{
    struct al_err err = {.code = AL_OK};
    if (al_peers_answer(x->peers, ticket, (struct al_str){p, n}, &err) != AL_OK)
        sim_violate(x->sim, "answer: %s", err.msg);
}

/* ---- effects ---- */

static void send_reply(struct node *x, uint64_t ticket, const struct al_repl_reply *reply)
{
    struct entries m;
    memset(&m, 0, sizeof m);
    m.reply = *reply;
    for (uint64_t i = 0; reply->kind == AL_REPL_ENTRIES && i < reply->n; i++) {
        if (reply->from + i < x->first)
            sim_violate(x->sim, "%u sends the entry %u, which is trimmed", x->number,
                        (unsigned)(reply->from + i));
        m.items[i] = x->log[reply->from + i];
    }
    answer(x, ticket, &m, sizeof m);
}

static void do_append(struct node *x, const struct al_repl_effect *e, const struct entries *from)
{
    for (uint64_t i = e->index; i < e->index + e->n && i <= LOG_MAX; i++) {
        struct al_repl_item item = {.epoch = e->epoch};
        if (!e->noop)
            item = from->items[i - from->reply.from];
        x->log[i] = item;
        x->len = i;
    }
    if (e->index + e->n > LOG_MAX)
        sim_violate(x->sim, "the log is full");
}

static void do_truncate(struct node *x, uint64_t index)
{
    if (index < x->applied)
        sim_violate(x->sim, "%u cuts applied entries", x->number);
    x->len = index;
    x->synced = x->synced < x->len ? x->synced : x->len;
}

static void fetched(void *u, enum al_code code, struct al_str bytes);

static void do_fetch(struct node *x, const struct al_repl_pull *ask)
{
    const struct al_repl_record *rec = sim_truth(x->sim);
    if (rec->epoch == ask->epoch && (rec->in_sync & 1u << x->number) &&
        sim_is_named(x->sim, x->number) && !x->sim->awaited)
        sim_violate(x->sim, "in-sync replica %u needs a checkpoint", x->number);
    x->ask = *ask;
    struct request rq;
    memset(&rq, 0, sizeof rq);
    rq.kind = FETCH;
    rq.pull = *ask;
    sim_tell(x->sim, "%u asks for a checkpoint, its log ends at %u\n", x->number,
             (unsigned)(ask->from - 1));
    call(x, x->record.primary, &rq, fetched);
}

/* All or nothing, synced. */
static void do_install(struct node *x, const struct checkpoint *c)
{
    struct sim *s = x->sim;
    for (uint64_t i = 1; i <= c->applied; i++) {
        if (i > s->n_committed || !sim_same_item(&c->items[i], &s->committed[i])) {
            sim_violate(s, "%u installs the index %u, which is not the committed one", x->number,
                        (unsigned)i);
            return;
        }
        x->log[i] = c->items[i];
    }
    if (c->applied < x->commit)
        sim_violate(s, "a checkpoint takes %u back to %u, committed is %u", x->number,
                    (unsigned)c->applied, (unsigned)x->commit);
    x->first = c->applied + 1;
    x->len = x->synced = x->applied = x->applied_synced = x->commit = c->applied;
    s->n_installed++;
    sim_tell(s, "%u installs a checkpoint at %u\n", x->number, (unsigned)c->applied);
}

/* Only a record tells the outcome. */
static void ignore(void *u, enum al_code code, struct al_str bytes)
{
    (void)u;
    (void)code;
    (void)bytes;
}

static void ask_leader(struct node *x, const struct al_repl_effect *e)
{
    struct request rq;
    memset(&rq, 0, sizeof rq);
    rq.kind = ALTER;
    rq.restore = e->restore;
    rq.epoch = e->epoch;
    rq.version = e->version;
    rq.set = e->set;
    call(x, LEADER, &rq, ignore);
}

static void run_effects(struct node *x, const struct al_repl_effects *fx, struct cause cause)
{
    for (size_t i = 0; i < fx->n; i++) {
        const struct al_repl_effect *e = &fx->items[i];
        switch (e->kind) {
        case AL_REPL_DO_RECORD:
            break; /* synced by the caller */
        case AL_REPL_DO_PROMISE:
            x->promised = e->restore;
            break;
        case AL_REPL_DO_STEP_DOWN:
            x->reading = false;
            break;
        case AL_REPL_DO_APPEND:
            do_append(x, e, cause.entries);
            break;
        case AL_REPL_DO_TRUNCATE:
            do_truncate(x, e->index);
            break;
        case AL_REPL_DO_COMMIT:
            sim_note_commit(x->sim, x->number, e->index);
            break;
        case AL_REPL_DO_REPLY:
            send_reply(x, cause.ticket, &e->reply);
            break;
        case AL_REPL_DO_FETCH:
            do_fetch(x, &e->ask);
            break;
        case AL_REPL_DO_INSTALL:
            do_install(x, cause.checkpoint);
            break;
        case AL_REPL_DO_ALTER:
            ask_leader(x, e);
            break;
        case AL_REPL_DO_STOP:
            sim_violate(x->sim, "%u was told to cut to %u, committed is %u", x->number,
                        (unsigned)e->index, (unsigned)x->commit);
            break;
        }
    }
}

static const struct cause nobody = {0};

/* ---- messages ---- */

static void serve_fetch(struct node *x, uint64_t ticket, const struct al_repl_pull *ask)
{
    struct al_repl_checkpoint c;
    if (al_repl_checkpoint(x->r, ask, &c, NULL) != AL_OK)
        return;
    struct checkpoint m;
    memset(&m, 0, sizeof m);
    m.ask = c.ask;
    m.applied = c.applied;
    m.n_epochs = c.n_epochs;
    memcpy(m.epochs, c.epochs, c.n_epochs * sizeof *c.epochs);
    memcpy(m.items, x->log, (c.applied + 1) * sizeof *x->log);
    sim_tell(x->sim, "%u gives a checkpoint at %u\n", x->number, (unsigned)c.applied);
    answer(x, ticket, &m, sizeof m);
}

/* A request that is refused gets no answer: its deadline ends it. */
static void serve(void *u, uint32_t from, uint64_t ticket, struct al_str bytes)
{
    struct node *x = u;
    struct request rq;
    AL_ASSERT(bytes.n == sizeof rq);
    memcpy(&rq, bytes.p, sizeof rq);
    if (rq.kind == FETCH) {
        serve_fetch(x, ticket, &rq.pull);
        return;
    }
    struct al_repl_effects fx;
    if (al_repl_pull(x->r, &rq.pull, BATCH_MAX, &fx, NULL) != AL_OK)
        return;
    sim_tell(x->sim, "%u is pulled by %u from %u\n", x->number, from, (unsigned)rq.pull.from);
    run_effects(x, &fx, (struct cause){.ticket = ticket});
}

static void pulled(void *u, enum al_code code, struct al_str bytes)
{
    struct node *x = u;
    struct al_repl_effects fx;
    struct entries m;
    if (code != AL_OK)
        return;
    AL_ASSERT(bytes.n == sizeof m);
    memcpy(&m, bytes.p, sizeof m);
    if (al_repl_reply(x->r, &m.reply, m.items, &fx, NULL) != AL_OK)
        return;
    run_effects(x, &fx, (struct cause){.entries = &m});
    sim_tell(x->sim, "%u has a reply (kind %d, from %u): holds %u, commit %u\n", x->number,
             (int)m.reply.kind, (unsigned)m.reply.from, (unsigned)x->len, (unsigned)x->commit);
}

static void fetched(void *u, enum al_code code, struct al_str bytes)
{
    struct node *x = u;
    struct al_repl_effects fx;
    struct checkpoint m;
    if (code != AL_OK) {
        al_repl_fetch_failed(x->r, &x->ask);
        return;
    }
    AL_ASSERT(bytes.n == sizeof m);
    memcpy(&m, bytes.p, sizeof m);
    struct al_repl_checkpoint c = {
        .ask = m.ask, .applied = m.applied, .epochs = m.epochs, .n_epochs = m.n_epochs};
    if (al_repl_install(x->r, &c, &fx, NULL) == AL_OK)
        run_effects(x, &fx, (struct cause){.checkpoint = &m});
}

/* ---- what may happen ---- */

void sim_start(struct sim *s, uint32_t n)
{
    struct node *x = &s->nodes[n];
    struct al_repl_epoch epochs[LOG_MAX];
    size_t n_epochs = 0;
    for (uint64_t i = 1; i <= x->len; i++) { /* also of trimmed entries: they stay */
        if (i == 1 || x->log[i].epoch != x->log[i - 1].epoch)
            epochs[n_epochs++] = (struct al_repl_epoch){x->log[i].epoch, i};
    }
    struct al_repl_disk d = {.record = x->has_record ? &x->record : NULL,
                             .promised = x->promised,
                             .log_first = x->first,
                             .log_last = x->len,
                             .applied = x->applied,
                             .epochs = epochs,
                             .n_epochs = n_epochs,
                             .tail = x->log + x->applied + 1};
    struct al_err err = {0};
    struct al_peers_server server = {serve, x};
    if (al_repl_create(NULL, &x->self, &d, &x->r, &err) != AL_OK) {
        sim_violate(s, "%u does not start: %s", n, err.msg);
        server.serve = NULL;
    }
    x->peers = al_sim_net_node(s->net, n, &server);
    x->commit = x->applied;
    x->syncing = false;
    x->reading = false;
}

void sim_learn(struct sim *s, uint32_t n)
{
    struct node *x = &s->nodes[n];
    size_t v = sim_below(s, 3) ? s->truth : sim_below(s, s->n_history); /* mostly the newest */
    const struct al_repl_record *rec = &s->history[v];
    struct al_repl_effects fx;
    if (al_repl_last(x->r) >= LOG_MAX - 4 || al_repl_record(x->r, rec, &fx, NULL) != AL_OK)
        return;
    if (fx.n) {
        x->record = *rec;
        x->has_record = true;
        sim_tell(s, "%u learns version %u: restore %u, epoch %u, primary %u, set %x\n", n,
                 (unsigned)rec->version, (unsigned)rec->restore, (unsigned)rec->epoch, rec->primary,
                 rec->in_sync);
    }
    run_effects(x, &fx, nobody);
}

void sim_propose(struct sim *s, uint32_t n)
{
    struct node *x = &s->nodes[n];
    uint8_t id[AL_WRITE_ID_BYTES] = {0};
    id[0] = (uint8_t)(1 + sim_below(s, WRITES_MAX));
    if (x->len >= LOG_MAX - 8)
        return;
    for (uint64_t i = 1; i <= x->applied; i++) { /* the data know it */
        if (sim_write_of(&x->log[i]) == id[0])
            return;
    }
    uint64_t index = 0;
    bool repeat = false;
    if (al_repl_propose(x->r, id, &index, &repeat, NULL) != AL_OK || repeat)
        return;
    x->log[index].epoch = al_repl_epoch(x->r);
    memcpy(x->log[index].write_id, id, sizeof(id));
    x->len = index;
    sim_tell(s, "%u appends write %u at %u\n", n, id[0], (unsigned)index);
}

void sim_sync_log(struct sim *s, uint32_t n)
{
    struct node *x = &s->nodes[n];
    if (!x->syncing) {
        x->syncing = true;
        x->sync_generation = al_repl_generation(x->r);
        x->sync_upto = x->len;
        return;
    }
    x->syncing = false;
    if (x->sync_generation == al_repl_generation(x->r) && x->sync_upto > x->synced) {
        x->synced = x->sync_upto;
        x->applied_synced = x->applied < x->synced ? x->applied : x->synced;
    }
    struct al_repl_effects fx;
    al_repl_persisted(x->r, x->sync_generation, x->sync_upto, &fx);
    sim_tell(s, "%u synced its log to %u\n", n, (unsigned)x->synced);
    run_effects(x, &fx, nobody);
}

static void acknowledge(struct sim *s, const struct node *x, uint64_t index)
{
    uint32_t id = sim_write_of(&x->log[index]);
    if (!id || al_repl_role(x->r) != AL_REPL_PRIMARY || s->acked[id])
        return;
    s->acked[id] = true;
    s->n_acked++;
    uint64_t writes = sim_count_writes(s, index);
    if (writes > s->seen_writes)
        s->seen_writes = writes;
}

void sim_apply(struct sim *s, uint32_t n)
{
    struct node *x = &s->nodes[n];
    if (al_repl_applied_index(x->r) >= al_repl_commit(x->r))
        return;
    uint64_t index = al_repl_applied_index(x->r) + 1;
    if (index < x->first) {
        sim_violate(s, "%u has to apply the index %u, which is trimmed", n, (unsigned)index);
        return;
    }
    if (index > s->n_committed || !sim_same_item(&x->log[index], &s->committed[index])) {
        sim_violate(s, "%u applied index %u, which is not the committed one", n, (unsigned)index);
        return;
    }
    al_repl_applied(x->r, index);
    x->applied = index;
    acknowledge(s, x, index);
    sim_tell(s, "%u applies %u\n", n, (unsigned)index);
}

void sim_pull(struct sim *s, uint32_t n)
{
    struct node *x = &s->nodes[n];
    struct request rq;
    memset(&rq, 0, sizeof rq);
    rq.kind = PULL;
    if (al_sim_net_in_flight(s->net) >= IN_FLIGHT_MAX || !al_repl_next_pull(x->r, &rq.pull))
        return;
    sim_tell(s, "%u pulls from %u: from %u, previous epoch %u\n", n, x->record.primary,
             (unsigned)rq.pull.from, (unsigned)rq.pull.prev_epoch);
    call(x, x->record.primary, &rq, pulled);
}

static void restart(struct sim *s, uint32_t n, const char *how)
{
    sim_tell(s, "%u %s\n", n, how);
    al_sim_net_crash(s->net, n);
    sim_start(s, n);
}

void sim_crash(struct sim *s, uint32_t n)
{
    struct node *x = &s->nodes[n];
    al_repl_destroy(x->r);
    x->r = NULL;
    /* what was not synced may be there, in part */
    x->len = x->synced + sim_below(s, x->len - x->synced + 1);
    x->synced = x->len;
    uint64_t applied = x->applied_synced + sim_below(s, x->applied - x->applied_synced + 1);
    x->applied = applied < x->len ? applied : x->len;
    x->applied_synced = x->applied;
    restart(s, n, "restarts");
}

void sim_wipe(struct sim *s, uint32_t n)
{
    struct node *x = &s->nodes[n];
    if (s->wiped || s->restore) /* both together need the operator's word */
        return;
    al_repl_destroy(x->r);
    struct node empty = {.sim = s, .number = n, .self = x->self, .peers = x->peers, .first = 1};
    *x = empty;
    x->self.store_uuid[0]++;
    s->wiped = true;
    restart(s, n, "restarts with an emptied disk");
}

void sim_ask_set(struct sim *s, uint32_t n)
{
    struct node *x = &s->nodes[n];
    struct al_repl_effects fx;
    if (!x->has_record)
        return;
    uint32_t flip = 1u << sim_below(s, NODES + 1); /* one beyond: the set as it is */
    uint32_t set = (x->record.in_sync ^ flip) & ((1u << NODES) - 1);
    if (al_repl_ask_set(x->r, set, &fx, NULL) != AL_OK)
        return;
    sim_tell(s, "%u asks for the set %x\n", n, set);
    run_effects(x, &fx, nobody);
}

void sim_read(struct sim *s, uint32_t n)
{
    struct node *x = &s->nodes[n];
    if (!x->reading) {
        x->reading = al_repl_read_begin(x->r, &x->read, NULL) == AL_OK;
        x->read_floor = s->seen_writes;
        return;
    }
    struct node *y = &s->nodes[sim_below(s, NODES)];
    if (x->read.need && al_repl_confirm(y->r, x->read.restore, x->read.epoch))
        al_repl_read_confirmed(x->r, &x->read, &y->self);
    if (x->read.need)
        return;
    x->reading = false;
    if (!al_repl_read_holds(x->r, &x->read))
        return;
    uint64_t writes = sim_count_writes(s, x->applied);
    sim_tell(s, "%u reads %u writes\n", n, (unsigned)writes);
    if (writes < x->read_floor)
        sim_violate(s, "a read at %u returns %u writes, %u were known before", n, (unsigned)writes,
                    (unsigned)x->read_floor);
    if (writes > s->seen_writes)
        s->seen_writes = writes;
}

/* One synced batch behind what applied the entries. */
void sim_trim(struct sim *s, uint32_t n)
{
    struct node *x = &s->nodes[n];
    uint64_t cover = sim_below(s, 4) ? UINT64_MAX : sim_below(s, x->len + 1);
    uint64_t bound = sim_below(s, 2) ? x->len : sim_below(s, x->len + 1);
    uint64_t first = al_repl_trim_floor(x->r, cover, bound) + 1;
    if (first <= x->first)
        return;
    if (first - 1 > cover)
        sim_violate(s, "%u trims to %u what a segment needs from %u", n, (unsigned)first,
                    (unsigned)cover);
    x->first = first;
    x->synced = x->len;
    x->applied_synced = x->applied;
    s->n_trimmed++;
    al_repl_trimmed(x->r, first);
    sim_tell(s, "%u trims its log, which begins at %u now\n", n, (unsigned)first);
}

void sim_report(struct sim *s, uint32_t n)
{
    struct node *x = &s->nodes[n];
    const struct al_repl_record *rec = NULL;
    struct al_repl_effects fx;
    if (!(s->awaited & 1u << n) || al_repl_report(x->r, s->restore, &rec, &fx, NULL) != AL_OK)
        return;
    run_effects(x, &fx, nobody);
    sim_take_report(s, n, rec);
}
