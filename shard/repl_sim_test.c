/* Three replicas of a shard on a bad network, with crashes, an emptied disk, and a leader that
 * changes primaries and sets.
 *
 * One thread, no time: each step picks one thing that may happen. After it the invariants of the
 * protocol are checked. A run is made by its seed; AL_SEED=n runs only that one and prints its
 * story, AL_SEEDS=n runs so many. The same runs must find each rule that is taken out
 * (al_repl_planted), or they would prove nothing. */
#include <stdlib.h>

#include "airlore/random.h"
#include "airlore/testing.h"
#include "repl.h"

#define NODES 3u
#define LOG_MAX 128u
#define MESSAGES_MAX 24u
#define VERSIONS_MAX 96u
#define WRITES_MAX 40u
#define BATCH_MAX 4u
#define SEEDS 300u
#define STEPS 1500u
#define ACTIONS 12u
#define PLANTED_SEEDS 20000u

struct node {
    struct al_repl *r; /* NULL: down */
    struct al_repl_member self;
    /* disk */
    struct al_repl_item log[LOG_MAX + 1]; /* from 1 */
    uint64_t len;                         /* with what is not synced yet */
    uint64_t synced;
    bool has_record;
    struct al_repl_record record;
    uint64_t applied; /* may be undone by a crash down to applied_synced */
    uint64_t applied_synced;
    /* a sync under way */
    bool syncing;
    uint64_t sync_generation;
    uint64_t sync_upto;
    /* what the last process did, for the checks */
    uint64_t commit;
    bool reading;
    struct al_repl_read read;
    uint64_t read_floor;
};

enum message_kind { PULL, REPLY, ALTER };
struct message {
    enum message_kind kind;
    uint32_t from;
    uint32_t to;
    struct al_repl_pull pull;
    struct al_repl_reply reply;
    struct al_repl_item items[BATCH_MAX];
    uint64_t epoch;
    uint64_t version;
    uint32_t set;
};

struct sim {
    struct al_seeded_random random;
    struct node nodes[NODES];
    struct message messages[MESSAGES_MAX];
    size_t n_messages;
    struct al_repl_record history[VERSIONS_MAX]; /* etcd: the last is the truth */
    size_t n_history;
    /* ghosts */
    struct al_repl_item committed[LOG_MAX + 1];
    uint64_t n_committed;
    uint32_t committer[VERSIONS_MAX + 1]; /* of an epoch: node + 1 */
    uint64_t seen_writes;                 /* acknowledged or read */
    bool acked[WRITES_MAX + 1];
    uint64_t n_acked;
    uint32_t weights[ACTIONS];
    uint64_t weight_sum;
    bool wiped;
    bool story;
    char violation[200];
};

__attribute__((format(printf, 2, 3))) static void violate(struct sim *s, const char *fmt, ...)
{
    if (s->violation[0])
        return;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(s->violation, sizeof(s->violation), fmt, ap);
    va_end(ap);
}

__attribute__((format(printf, 2, 3))) static void tell(const struct sim *s, const char *fmt, ...)
{
    if (!s->story)
        return;
    va_list ap;
    va_start(ap, fmt);
    vprint_message(fmt, ap);
    va_end(ap);
}

static uint64_t below(struct sim *s, uint64_t n)
{
    return al_random_below(&s->random.random, n);
}

static bool same_item(const struct al_repl_item *a, const struct al_repl_item *b)
{
    return a->epoch == b->epoch && memcmp(a->write_id, b->write_id, AL_WRITE_ID_BYTES) == 0;
}

static uint32_t id_of(const struct al_repl_item *i)
{
    return i->write_id[0];
}

static const struct al_repl_record *truth(const struct sim *s)
{
    return &s->history[s->n_history - 1];
}

static bool is_named(const struct sim *s, uint32_t n)
{
    return memcmp(&truth(s)->members[n], &s->nodes[n].self, sizeof(s->nodes[n].self)) == 0;
}

static uint64_t count_writes(const struct sim *s, uint64_t upto)
{
    uint64_t n = 0;
    for (uint64_t i = 1; i <= upto && i <= s->n_committed; i++)
        n += id_of(&s->committed[i]) != 0;
    return n;
}

/* ---- invariants ---- */

static void commit_new(struct sim *s, uint32_t n, uint64_t i)
{
    const struct node *x = &s->nodes[n];
    s->committed[i] = x->log[i];
    s->n_committed = i;
    uint32_t copies = 0;
    for (uint32_t k = 0; k < NODES; k++)
        copies += s->nodes[k].synced >= i && same_item(&s->nodes[k].log[i], &x->log[i]);
    if (copies + s->wiped < truth(s)->min_in_sync)
        violate(s, "index %u committed on %u disks", (unsigned)i, copies);
    for (uint64_t k = 1; k < i; k++) {
        if (id_of(&x->log[i]) && id_of(&s->committed[k]) == id_of(&x->log[i]))
            violate(s, "write %u has two effects, at %u and %u", id_of(&x->log[i]), (unsigned)k,
                    (unsigned)i);
    }
    uint64_t epoch = al_repl_epoch(x->r);
    if (s->committer[epoch] && s->committer[epoch] != n + 1)
        violate(s, "two replicas commit in epoch %u", (unsigned)epoch);
    s->committer[epoch] = n + 1;
}

static void note_commit(struct sim *s, uint32_t n, uint64_t index)
{
    struct node *x = &s->nodes[n];
    if (index < x->commit)
        violate(s, "commit index of %u fell to %u", n, (unsigned)index);
    if (index > x->len) {
        violate(s, "%u commits %u beyond its log", n, (unsigned)index);
        return;
    }
    for (uint64_t i = 1; i <= index; i++) {
        if (i > s->n_committed)
            commit_new(s, n, i);
        else if (!same_item(&s->committed[i], &x->log[i]))
            violate(s, "index %u committed twice, differently, by %u", (unsigned)i, n);
    }
    x->commit = index;
}

static void check_sets(struct sim *s)
{
    for (uint32_t n = 0; n < NODES; n++) {
        if (!(truth(s)->in_sync & 1u << n) || !is_named(s, n))
            continue;
        for (uint64_t i = 1; i <= s->n_committed; i++) {
            const struct node *x = &s->nodes[n];
            if (i > x->synced || !same_item(&x->log[i], &s->committed[i])) {
                violate(s, "in-sync replica %u lacks the committed index %u", n, (unsigned)i);
                return;
            }
        }
    }
}

static void check_matching(struct sim *s)
{
    for (uint32_t a = 0; a < NODES; a++) {
        for (uint32_t b = a + 1; b < NODES; b++) {
            const struct node *x = &s->nodes[a];
            const struct node *y = &s->nodes[b];
            for (uint64_t i = 1; i <= x->len && i <= y->len; i++) {
                if (x->log[i].epoch == y->log[i].epoch && !same_item(&x->log[i], &y->log[i]))
                    violate(s, "%u and %u differ at index %u of one epoch", a, b, (unsigned)i);
            }
        }
    }
}

static void check(struct sim *s)
{
    check_sets(s);
    check_matching(s);
    for (uint32_t n = 0; n < NODES; n++) {
        const struct node *x = &s->nodes[n];
        if (!x->r)
            continue;
        if (al_repl_applied_index(x->r) > al_repl_commit(x->r))
            violate(s, "%u applied more than is committed", n);
        if (al_repl_last(x->r) != x->len)
            violate(s, "%u holds %u, its log ends at %u", n, (unsigned)x->len,
                    (unsigned)al_repl_last(x->r));
    }
}

/* ---- the driver of one node ---- */

static void send(struct sim *s, struct message m)
{
    if (s->n_messages == MESSAGES_MAX) { /* the oldest is lost */
        memmove(s->messages, s->messages + 1, (MESSAGES_MAX - 1) * sizeof(m));
        s->n_messages--;
    }
    s->messages[s->n_messages++] = m;
}

static void send_reply(struct sim *s, uint32_t n, uint32_t to, const struct al_repl_reply *reply)
{
    struct message m = {.kind = REPLY, .from = n, .to = to, .reply = *reply};
    for (uint64_t i = 0; reply->kind == AL_REPL_ENTRIES && i < reply->n; i++)
        m.items[i] = s->nodes[n].log[reply->from + i];
    send(s, m);
}

static void do_append(struct sim *s, struct node *x, const struct al_repl_effect *e,
                      const struct al_repl_item *items, uint64_t from)
{
    for (uint64_t i = e->index; i < e->index + e->n && i <= LOG_MAX; i++) {
        struct al_repl_item item = {.epoch = e->epoch};
        if (!e->noop)
            item = items[i - from];
        x->log[i] = item;
        x->len = i;
    }
    if (e->index + e->n > LOG_MAX)
        violate(s, "the log is full");
}

/* Carry out effects. items: those of a reply, the first at index `from`. */
static void run_effects(struct sim *s, uint32_t n, const struct al_repl_effects *fx,
                        const struct message *cause)
{
    struct node *x = &s->nodes[n];
    for (size_t i = 0; i < fx->n; i++) {
        const struct al_repl_effect *e = &fx->items[i];
        switch (e->kind) {
        case AL_REPL_DO_RECORD:
            break; /* synced by the caller */
        case AL_REPL_DO_STEP_DOWN:
            x->reading = false;
            break;
        case AL_REPL_DO_APPEND:
            do_append(s, x, e, cause ? cause->items : NULL, cause ? cause->reply.from : 0);
            break;
        case AL_REPL_DO_TRUNCATE:
            if (e->index < x->applied)
                violate(s, "%u cuts applied entries", n);
            x->len = e->index;
            x->synced = x->synced < x->len ? x->synced : x->len;
            break;
        case AL_REPL_DO_COMMIT:
            note_commit(s, n, e->index);
            break;
        case AL_REPL_DO_REPLY:
            send_reply(s, n, cause ? cause->from : n, &e->reply);
            break;
        case AL_REPL_DO_ALTER:
            send(s, (struct message){.kind = ALTER,
                                     .from = n,
                                     .epoch = e->epoch,
                                     .version = e->version,
                                     .set = e->set});
            break;
        case AL_REPL_DO_STOP:
            violate(s, "%u was told to cut to %u, committed is %u", n, (unsigned)e->index,
                    (unsigned)x->commit);
            break;
        }
    }
}

static void start(struct sim *s, uint32_t n)
{
    struct node *x = &s->nodes[n];
    struct al_repl_epoch epochs[LOG_MAX];
    size_t n_epochs = 0;
    for (uint64_t i = 1; i <= x->len; i++) {
        if (i == 1 || x->log[i].epoch != x->log[i - 1].epoch)
            epochs[n_epochs++] = (struct al_repl_epoch){x->log[i].epoch, i};
    }
    struct al_repl_disk d = {.record = x->has_record ? &x->record : NULL,
                             .log_first = 1,
                             .log_last = x->len,
                             .applied = x->applied,
                             .epochs = epochs,
                             .n_epochs = n_epochs,
                             .tail = x->log + x->applied + 1};
    struct al_err err = {0};
    if (al_repl_create(NULL, &x->self, &d, &x->r, &err) != AL_OK)
        violate(s, "%u does not start: %s", n, err.msg);
    x->commit = x->applied;
    x->syncing = false;
    x->reading = false;
}

/* ---- what may happen ---- */

static void learn(struct sim *s, uint32_t n)
{
    struct node *x = &s->nodes[n];
    size_t v = below(s, 3) ? s->n_history - 1 : below(s, s->n_history); /* mostly the newest */
    const struct al_repl_record *rec = &s->history[v];
    struct al_repl_effects fx;
    if (!x->r || al_repl_last(x->r) >= LOG_MAX - 4 || al_repl_record(x->r, rec, &fx, NULL) != AL_OK)
        return;
    if (fx.n) {
        x->record = *rec;
        x->has_record = true;
        tell(s, "%u learns version %u: epoch %u, primary %u, set %x\n", n, (unsigned)rec->version,
             (unsigned)rec->epoch, rec->primary, rec->in_sync);
    }
    run_effects(s, n, &fx, NULL);
}

static void propose(struct sim *s, uint32_t n)
{
    struct node *x = &s->nodes[n];
    uint8_t id[AL_WRITE_ID_BYTES] = {0};
    id[0] = (uint8_t)(1 + below(s, WRITES_MAX));
    if (!x->r || x->len >= LOG_MAX - 8)
        return;
    for (uint64_t i = 1; i <= x->applied; i++) { /* the data know it */
        if (id_of(&x->log[i]) == id[0])
            return;
    }
    uint64_t index = 0;
    bool repeat = false;
    if (al_repl_propose(x->r, id, &index, &repeat, NULL) != AL_OK || repeat)
        return;
    x->log[index].epoch = al_repl_epoch(x->r);
    memcpy(x->log[index].write_id, id, sizeof(id));
    x->len = index;
    tell(s, "%u appends write %u at %u\n", n, id[0], (unsigned)index);
}

static void sync_log(struct sim *s, uint32_t n)
{
    struct node *x = &s->nodes[n];
    if (!x->r)
        return;
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
    tell(s, "%u synced its log to %u\n", n, (unsigned)x->synced);
    run_effects(s, n, &fx, NULL);
}

static void acknowledge(struct sim *s, const struct node *x, uint64_t index)
{
    uint32_t id = id_of(&x->log[index]);
    if (!id || al_repl_role(x->r) != AL_REPL_PRIMARY || s->acked[id])
        return;
    s->acked[id] = true;
    s->n_acked++;
    uint64_t writes = count_writes(s, index);
    if (writes > s->seen_writes)
        s->seen_writes = writes;
}

static void apply(struct sim *s, uint32_t n)
{
    struct node *x = &s->nodes[n];
    if (!x->r || al_repl_applied_index(x->r) >= al_repl_commit(x->r))
        return;
    uint64_t index = al_repl_applied_index(x->r) + 1;
    if (index > s->n_committed || !same_item(&x->log[index], &s->committed[index])) {
        violate(s, "%u applied index %u, which is not the committed one", n, (unsigned)index);
        return;
    }
    al_repl_applied(x->r, index);
    x->applied = index;
    acknowledge(s, x, index);
    tell(s, "%u applies %u\n", n, (unsigned)index);
}

static void pull(struct sim *s, uint32_t n)
{
    struct node *x = &s->nodes[n];
    struct message m = {.kind = PULL, .from = n};
    if (!x->r || !al_repl_next_pull(x->r, &m.pull))
        return;
    m.to = x->record.primary;
    send(s, m);
    tell(s, "%u pulls from %u: from %u, previous epoch %u\n", n, m.to, (unsigned)m.pull.from,
         (unsigned)m.pull.prev_epoch);
}

static void crash(struct sim *s, uint32_t n, bool wipe)
{
    struct node *x = &s->nodes[n];
    al_repl_destroy(x->r);
    x->r = NULL;
    if (wipe) {
        struct al_repl_member self = x->self;
        memset(x, 0, sizeof(*x));
        x->self = self;
        x->self.store_uuid[0]++;
        s->wiped = true;
    } else { /* what was not synced may be there, in part */
        x->len = x->synced + below(s, x->len - x->synced + 1);
        x->synced = x->len;
        uint64_t applied = x->applied_synced + below(s, x->applied - x->applied_synced + 1);
        x->applied = applied < x->len ? applied : x->len;
        x->applied_synced = x->applied;
    }
    tell(s, "%u %s\n", n, wipe ? "restarts with an emptied disk" : "restarts");
    start(s, n);
}

static void ask_set(struct sim *s, uint32_t n)
{
    struct node *x = &s->nodes[n];
    struct al_repl_effects fx;
    if (!x->r || !x->has_record)
        return;
    uint32_t flip = 1u << below(s, NODES + 1); /* one beyond: the set as it is */
    uint32_t set = (x->record.in_sync ^ flip) & ((1u << NODES) - 1);
    if (al_repl_ask_set(x->r, set, &fx, NULL) != AL_OK)
        return;
    tell(s, "%u asks for the set %x\n", n, set);
    run_effects(s, n, &fx, NULL);
}

static void read_step(struct sim *s, uint32_t n)
{
    struct node *x = &s->nodes[n];
    if (!x->r)
        return;
    if (!x->reading) {
        x->reading = al_repl_read_begin(x->r, &x->read, NULL) == AL_OK;
        x->read_floor = s->seen_writes;
        return;
    }
    uint32_t peer = (uint32_t)below(s, NODES);
    struct node *y = &s->nodes[peer];
    if (x->read.need && y->r && al_repl_confirm(y->r, x->read.epoch))
        al_repl_read_confirmed(x->r, &x->read, &y->self);
    if (x->read.need)
        return;
    x->reading = false;
    if (!al_repl_read_holds(x->r, &x->read))
        return;
    uint64_t writes = count_writes(s, x->applied);
    tell(s, "%u reads %u writes\n", n, (unsigned)writes);
    if (writes < x->read_floor)
        violate(s, "a read at %u returns %u writes, %u were known before", n, (unsigned)writes,
                (unsigned)x->read_floor);
    if (writes > s->seen_writes)
        s->seen_writes = writes;
}

/* ---- the leader ---- */

static void new_record(struct sim *s, struct al_repl_record rec)
{
    if (s->n_history == VERSIONS_MAX)
        return;
    rec.version = truth(s)->version + 1;
    s->history[s->n_history++] = rec;
    tell(s, "leader: version %u, epoch %u, primary %u, set %x\n", (unsigned)rec.version,
         (unsigned)rec.epoch, rec.primary, rec.in_sync);
}

static void change_primary(struct sim *s)
{
    uint32_t pick = (uint32_t)below(s, NODES);
    struct al_repl_record rec = *truth(s);
    if (!(rec.in_sync & 1u << pick) || !is_named(s, pick))
        return;
    rec.epoch++;
    rec.primary = pick;
    if (below(s, 2))
        rec.in_sync &= 1u << pick | (uint32_t)below(s, 1u << NODES);
    new_record(s, rec);
}

/* An emptied disk leaves the set before its new store is named. */
static void name_new_store(struct sim *s)
{
    for (uint32_t n = 0; n < NODES; n++) {
        struct al_repl_record rec = *truth(s);
        if (is_named(s, n) || rec.primary == n)
            continue;
        rec.in_sync &= ~(1u << n);
        rec.members[n] = s->nodes[n].self;
        new_record(s, rec);
        return;
    }
}

static void alter(struct sim *s, const struct message *m)
{
    struct al_repl_record rec = *truth(s);
    if (m->epoch != rec.epoch || m->version != rec.version)
        return;
    rec.in_sync = m->set;
    new_record(s, rec);
}

static void deliver(struct sim *s)
{
    if (s->n_messages == 0)
        return;
    size_t i = (size_t)below(s, s->n_messages);
    struct message m = s->messages[i];
    if (below(s, 5)) { /* else it comes again */
        memmove(s->messages + i, s->messages + i + 1, (s->n_messages - 1 - i) * sizeof(m));
        s->n_messages--;
    }
    if (below(s, 10) == 0)
        return; /* lost */
    struct node *x = &s->nodes[m.to];
    struct al_repl_effects fx = {.n = 0};
    if (m.kind == ALTER)
        alter(s, &m);
    else if (!x->r)
        return;
    else if (m.kind == PULL && al_repl_pull(x->r, &m.pull, BATCH_MAX, &fx, NULL) == AL_OK)
        run_effects(s, m.to, &fx, &m);
    else if (m.kind == REPLY && al_repl_reply(x->r, &m.reply, m.items, &fx, NULL) == AL_OK)
        run_effects(s, m.to, &fx, &m);
    tell(s, "message %d of %u to %u arrives; %u now holds %u, commit %u\n", (int)m.kind, m.from,
         m.to, m.to, (unsigned)x->len, (unsigned)x->commit);
}

static void crash_one(struct sim *s, uint32_t n)
{
    crash(s, n, false);
}

static void wipe_one(struct sim *s, uint32_t n)
{
    if (!s->wiped)
        crash(s, n, true);
}

static void deliver_one(struct sim *s, uint32_t n)
{
    (void)n;
    deliver(s);
}

static void lead(struct sim *s, uint32_t n)
{
    (void)n;
    change_primary(s);
}

static void name_one(struct sim *s, uint32_t n)
{
    (void)n;
    name_new_store(s);
}

/* What may happen, and how often; each run makes some of it rarer or more frequent, so that runs
 * differ in kind. */
static const struct {
    void (*act)(struct sim *s, uint32_t n);
    uint32_t weight;
} actions[ACTIONS] = {
    {deliver_one, 400}, {pull, 250},    {sync_log, 200}, {apply, 150},
    {propose, 50},      {learn, 40},    {read_step, 50}, {ask_set, 10},
    {lead, 4},          {crash_one, 6}, {wipe_one, 1},   {name_one, 5},
};

static void step(struct sim *s)
{
    uint64_t at = below(s, s->weight_sum);
    size_t i = 0;
    while (at >= s->weights[i])
        at -= s->weights[i++];
    actions[i].act(s, (uint32_t)below(s, NODES));
}

static void pick_weights(struct sim *s)
{
    static const uint32_t factors[] = {0, 1, 2, 2, 2, 8};
    for (size_t i = 0; i < ACTIONS; i++) {
        uint32_t factor = factors[below(s, AL_ARRAY_LEN(factors))];
        if (i < 6 && factor == 0)
            factor = 1; /* without these nothing would happen at all */
        s->weights[i] = actions[i].weight * factor;
        s->weight_sum += s->weights[i];
    }
}

/* ---- runs ---- */

static void setup(struct sim *s, uint64_t seed)
{
    memset(s, 0, sizeof(*s));
    al_seeded_random_init(&s->random, seed);
    struct al_repl_record rec = {.epoch = 1,
                                 .version = 1,
                                 .n_members = NODES,
                                 .in_sync = (1u << NODES) - 1,
                                 .min_in_sync = 1 + (uint32_t)below(s, 2)};
    for (uint32_t n = 0; n < NODES; n++) {
        s->nodes[n].self = (struct al_repl_member){.node = n + 1, .store_uuid = {(uint8_t)(n + 1)}};
        rec.members[n] = s->nodes[n].self;
    }
    s->history[s->n_history++] = rec;
    pick_weights(s);
    for (uint32_t n = 0; n < NODES; n++)
        start(s, n);
}

static void run(struct sim *s, uint64_t seed, bool story)
{
    setup(s, seed);
    s->story = story;
    for (uint32_t i = 0; i < STEPS && !s->violation[0]; i++) {
        step(s);
        check(s);
    }
    for (uint32_t n = 0; n < NODES; n++)
        al_repl_destroy(s->nodes[n].r);
}

static void test_invariants_hold(void **state)
{
    (void)state;
    al_repl_planted = 0;
    const char *given = getenv("AL_SEED");
    uint64_t first = given ? strtoull(given, NULL, 10) : 1;
    const char *many = getenv("AL_SEEDS");
    uint64_t last = given ? first : many ? strtoull(many, NULL, 10) : SEEDS;
    uint64_t committed = 0;
    uint64_t acked = 0;
    uint64_t epochs = 0;
    for (uint64_t seed = first; seed <= last; seed++) {
        struct sim s;
        run(&s, seed, given != NULL);
        if (s.violation[0])
            fail_msg("seed %llu: %s (AL_SEED=%llu tells the story)", (unsigned long long)seed,
                     s.violation, (unsigned long long)seed);
        committed += s.n_committed;
        acked += s.n_acked;
        epochs += truth(&s)->epoch;
    }
    print_message("%llu seeds, %llu entries committed, %llu writes acknowledged, %llu epochs\n",
                  (unsigned long long)(last - first + 1), (unsigned long long)committed,
                  (unsigned long long)acked, (unsigned long long)epochs);
    if (!given && !many) { /* runs in which nothing happens would prove nothing */
        assert_true(committed > SEEDS * 5);
        assert_true(acked > SEEDS * 2);
        assert_true(epochs > SEEDS * 2);
    }
}

static void test_each_planted_bug_is_found(void **state)
{
    (void)state;
    for (unsigned bug = 1; bug < AL_REPL_BUG_COUNT; bug++) {
        al_repl_planted = (enum al_repl_planted_bug)bug;
        uint64_t seed = 1;
        struct sim s;
        for (; seed <= PLANTED_SEEDS; seed++) {
            run(&s, seed, false);
            if (s.violation[0])
                break;
        }
        if (seed > PLANTED_SEEDS)
            fail_msg("planted bug %u was not found in %u seeds", bug, PLANTED_SEEDS);
        print_message("planted bug %u: seed %llu: %s\n", bug, (unsigned long long)seed,
                      s.violation);
    }
    al_repl_planted = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_invariants_hold),
        cmocka_unit_test(test_each_planted_bug_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
