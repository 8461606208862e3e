#include "repl.h"

#include <inttypes.h>
#include <string.h>

#ifdef AL_REPL_PLANTED
enum al_repl_planted_bug al_repl_planted;
#define BUG(name_) (al_repl_planted == AL_REPL_BUG_##name_)
#else
#define BUG(name_) false
#endif

#define EPOCHS_MAX (1u << 20)

struct al_repl {
    struct al_mem *mem;
    struct al_repl_member self;
    struct al_repl_record record; /* newest seen */
    bool has_record;
    bool stopped;
    enum al_repl_role role;
    uint32_t me; /* place in record.members when role is not IDLE */

    uint64_t log_first;
    uint64_t last;
    uint64_t durable; /* synced up to here */
    uint64_t proven;  /* follower: the log is equal to the primary's up to here, and committed */
    uint64_t commit;
    uint64_t applied;
    uint64_t generation;          /* of the log's tail: grows with each cut */
    struct al_repl_epoch *epochs; /* ascending */
    size_t n_epochs;
    size_t cap_epochs;
    struct al_repl_item *tail; /* entries (applied, last] */
    size_t n_tail;
    size_t cap_tail;

    /* primary */
    uint64_t ack[AL_REPL_MEMBERS_MAX];
    uint32_t asked;       /* set of a request whose outcome is unknown; 0: none */
    uint64_t noop;        /* first index of the epoch */
    uint64_t arrangement; /* grows when members change */
};

static struct al_repl_effect *add(struct al_repl_effects *fx, enum al_repl_effect_kind kind)
{
    AL_ASSERT(fx->n < AL_REPL_EFFECTS_MAX);
    struct al_repl_effect *e = &fx->items[fx->n++];
    memset(e, 0, sizeof(*e));
    e->kind = kind;
    return e;
}

static bool is_same_member(const struct al_repl_member *a, const struct al_repl_member *b)
{
    return a->node == b->node && memcmp(a->store_uuid, b->store_uuid, AL_REPL_UUID_BYTES) == 0;
}

static bool find_member(const struct al_repl_record *rec, const struct al_repl_member *m,
                        uint32_t *ret)
{
    for (uint32_t i = 0; i < rec->n_members; i++) {
        bool same = BUG(STORE_UNCHECKED) ? rec->members[i].node == m->node
                                         : is_same_member(&rec->members[i], m);
        if (same) {
            *ret = i;
            return true;
        }
    }
    return false;
}

static uint32_t bit(uint32_t member)
{
    return 1u << member;
}

static uint32_t count_bits(uint32_t set)
{
    return (uint32_t)__builtin_popcount(set);
}

/* Who must hold an entry before it is committed. */
static uint32_t union_set(const struct al_repl *r)
{
    return BUG(NO_UNION) ? r->record.in_sync : r->record.in_sync | r->asked;
}

/* ---- the log as the protocol sees it ---- */

uint64_t al_repl_epoch_at(const struct al_repl *r, uint64_t index)
{
    if (index == 0 || index > r->last)
        return 0;
    size_t lo = 0;
    size_t hi = r->n_epochs;
    while (lo < hi) { /* first start above index */
        size_t mid = lo + (hi - lo) / 2;
        if (r->epochs[mid].start <= index)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo ? r->epochs[lo - 1].epoch : 0;
}

/* Room for n more entries, which may each begin an epoch. */
static enum al_code reserve(struct al_repl *r, size_t n, struct al_err *err)
{
    if (r->n_epochs + n > EPOCHS_MAX ||
        al_mem_grow(r->mem, (void **)&r->tail, &r->cap_tail, r->n_tail + n, sizeof(*r->tail)) !=
            AL_OK ||
        al_mem_grow(r->mem, (void **)&r->epochs, &r->cap_epochs, r->n_epochs + n,
                    sizeof(*r->epochs)) != AL_OK)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "replication: out of memory");
    return AL_OK;
}

/* After reserve. */
static uint64_t append(struct al_repl *r, const struct al_repl_item *item)
{
    if (al_repl_epoch_at(r, r->last) != item->epoch) {
        r->epochs[r->n_epochs++] =
            (struct al_repl_epoch){.epoch = item->epoch, .start = r->last + 1};
    }
    r->tail[r->n_tail++] = *item;
    return ++r->last;
}

static void cut(struct al_repl *r, uint64_t to)
{
    if (to >= r->last)
        return;
    r->n_tail = (size_t)(to - r->applied);
    r->last = to;
    if (r->durable > to)
        r->durable = to;
    while (r->n_epochs && r->epochs[r->n_epochs - 1].start > to)
        r->n_epochs--;
    r->generation++;
}

/* ---- create ---- */

/* A follower goes on where it was; a primary waits for the next epoch. */
static void take_role(struct al_repl *r)
{
    const struct al_repl_record *rec = &r->record;
    r->role = AL_REPL_IDLE;
    if (!r->has_record || r->stopped || !find_member(rec, &r->self, &r->me))
        return;
    if (rec->primary != r->me)
        r->role = AL_REPL_FOLLOWER;
}

static enum al_code load(struct al_repl *r, const struct al_repl_disk *d, struct al_err *err)
{
    if (d->log_first == 0 || d->applied > d->log_last || d->log_first > d->log_last + 1 ||
        d->applied + 1 < d->log_first || d->log_last - d->applied > AL_REPL_TAIL_MAX)
        return AL_FAIL_R(err, AL_DATA_LOSS, "DATA_CORRUPT",
                         "log: holds %" PRIu64 " to %" PRIu64 ", applied %" PRIu64, d->log_first,
                         d->log_last, d->applied);
    size_t n_tail = (size_t)(d->log_last - d->applied);
    AL_TRY(reserve(r, n_tail > d->n_epochs ? n_tail : d->n_epochs, err));
    if (n_tail)
        memcpy(r->tail, d->tail, n_tail * sizeof(*r->tail));
    if (d->n_epochs)
        memcpy(r->epochs, d->epochs, d->n_epochs * sizeof(*r->epochs));
    r->n_tail = n_tail;
    r->n_epochs = d->n_epochs;
    r->log_first = d->log_first;
    r->last = d->log_last;
    r->durable = d->log_last;
    r->applied = d->applied;
    r->commit = d->applied;
    if (d->record) {
        r->record = *d->record;
        r->has_record = true;
    }
    return AL_OK;
}

enum al_code al_repl_create(struct al_mem *mem, const struct al_repl_member *self,
                            const struct al_repl_disk *disk, struct al_repl **ret,
                            struct al_err *err)
{
    AL_AUTO(al_repl) r = al_mem_zalloc(mem, sizeof(*r));
    if (!r)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "replication: out of memory");
    r->mem = mem;
    r->self = *self;
    AL_TRY(load(r, disk, err));
    take_role(r);
    *ret = al_take(r);
    return AL_OK;
}

void al_repl_destroy(struct al_repl *r)
{
    if (!r)
        return;
    al_mem_free(r->mem, r->epochs);
    al_mem_free(r->mem, r->tail);
    al_mem_free(r->mem, r);
}

/* ---- commit ---- */

static void commit_to(struct al_repl *r, uint64_t index, struct al_repl_effects *fx)
{
    if (index <= r->commit)
        return;
    r->commit = index;
    add(fx, AL_REPL_DO_COMMIT)->index = index;
}

static void advance(struct al_repl *r, struct al_repl_effects *fx)
{
    if (r->role == AL_REPL_FOLLOWER) {
        commit_to(r, r->proven < r->durable ? r->proven : r->durable, fx);
        return;
    }
    if (r->role != AL_REPL_PRIMARY)
        return;
    uint32_t set = union_set(r);
    if (count_bits(set) < r->record.min_in_sync && !BUG(BELOW_MIN))
        return;
    uint64_t index = r->durable;
    for (uint32_t i = 0; i < r->record.n_members; i++) {
        if (i != r->me && (set & bit(i)) && r->ack[i] < index)
            index = r->ack[i];
    }
    commit_to(r, index, fx);
}

/* ---- the record ---- */

static enum al_code check_record(const struct al_repl_record *rec, struct al_err *err)
{
    uint32_t all = rec->n_members <= AL_REPL_MEMBERS_MAX ? bit(rec->n_members) - 1 : 0;
    if (rec->epoch == 0 || rec->version == 0 || all == 0 || rec->primary >= rec->n_members ||
        (rec->in_sync & ~all) || !(rec->in_sync & bit(rec->primary)) || rec->min_in_sync == 0)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_RECORD",
                         "shard record: version %" PRIu64 " contradicts itself", rec->version);
    return AL_OK;
}

static enum al_code become_primary(struct al_repl *r, struct al_repl_effects *fx,
                                   struct al_err *err)
{
    AL_TRY(reserve(r, 1, err));
    r->role = AL_REPL_PRIMARY;
    struct al_repl_item noop = {.epoch = r->record.epoch};
    r->noop = append(r, &noop);
    struct al_repl_effect *e = add(fx, AL_REPL_DO_APPEND);
    e->index = r->noop;
    e->n = 1;
    e->epoch = noop.epoch;
    e->noop = true;
    e->generation = r->generation;
    return AL_OK;
}

/* Acknowledgements belong to a store: they follow it when members move, and end with it. */
static void carry_acks(struct al_repl *r, const struct al_repl_record *old)
{
    uint64_t ack[AL_REPL_MEMBERS_MAX] = {0};
    bool same = old->n_members == r->record.n_members;
    for (uint32_t i = 0; i < r->record.n_members; i++) {
        uint32_t was = 0;
        if (find_member(old, &r->record.members[i], &was))
            ack[i] = r->ack[was];
        same = same && was == i && is_same_member(&old->members[i], &r->record.members[i]);
    }
    memcpy(r->ack, ack, sizeof(ack));
    if (!same)
        r->arrangement++;
}

static void end_epoch(struct al_repl *r, uint64_t epoch, struct al_repl_effects *fx)
{
    if (r->role == AL_REPL_PRIMARY)
        add(fx, AL_REPL_DO_STEP_DOWN)->epoch = epoch;
    r->role = AL_REPL_IDLE;
    r->asked = 0;
    r->noop = 0;
    r->proven = 0;
    r->arrangement++;
    if (!BUG(KEEP_ACKS))
        memset(r->ack, 0, sizeof(r->ack));
}

enum al_code al_repl_record(struct al_repl *r, const struct al_repl_record *rec,
                            struct al_repl_effects *fx, struct al_err *err)
{
    fx->n = 0;
    AL_TRY(check_record(rec, err));
    struct al_repl_record old = r->record;
    if (r->has_record && rec->epoch < old.epoch)
        return AL_FAIL_R(err, AL_ABORTED, "EPOCH_STALE",
                         "shard record: epoch %" PRIu64 " is over, %" PRIu64 " was seen",
                         rec->epoch, old.epoch);
    bool again = r->has_record && rec->version <= old.version;
    if (again && !(BUG(RESTART_LEADS) && r->role == AL_REPL_IDLE))
        return AL_OK;
    AL_TRY(reserve(r, 1, err)); /* before anything changes */
    bool newer = !r->has_record || rec->epoch > old.epoch;
    r->record = *rec;
    r->has_record = true;
    add(fx, AL_REPL_DO_RECORD)->version = rec->version;
    if (newer)
        end_epoch(r, old.epoch, fx);
    if (r->stopped)
        return AL_OK;
    bool led = r->role == AL_REPL_PRIMARY;
    if (led)
        carry_acks(r, &old);
    take_role(r);
    bool named = find_member(rec, &r->self, &r->me) && rec->primary == r->me;
    if (named && (newer || (BUG(RESTART_LEADS) && !led)))
        AL_TRY(become_primary(r, fx, err));
    else if (named && led)
        r->role = AL_REPL_PRIMARY;
    r->asked = 0; /* a higher version is the outcome of what was asked */
    advance(r, fx);
    return AL_OK;
}

/* ---- primary ---- */

enum al_code al_repl_propose(struct al_repl *r, const uint8_t write_id[AL_WRITE_ID_BYTES],
                             uint64_t *ret_index, bool *ret_repeat, struct al_err *err)
{
    static const uint8_t none[AL_WRITE_ID_BYTES];
    if (r->role != AL_REPL_PRIMARY)
        return AL_FAIL_R(err, AL_UNAVAILABLE, "NOT_PRIMARY",
                         "shard: this replica is not the primary");
    if (memcmp(write_id, none, AL_WRITE_ID_BYTES) != 0 && !BUG(NO_DEDUPE)) {
        for (size_t i = 0; i < r->n_tail; i++) {
            if (memcmp(r->tail[i].write_id, write_id, AL_WRITE_ID_BYTES) == 0) {
                *ret_index = r->applied + 1 + i;
                *ret_repeat = true;
                return AL_OK;
            }
        }
    }
    if (!BUG(BELOW_MIN) && (count_bits(r->record.in_sync) < r->record.min_in_sync ||
                            count_bits(union_set(r)) < r->record.min_in_sync))
        return AL_FAIL_R(err, AL_UNAVAILABLE, "NOT_ENOUGH_REPLICAS",
                         "shard: %u replicas in sync, %u needed", count_bits(r->record.in_sync),
                         r->record.min_in_sync);
    if (r->n_tail >= AL_REPL_TAIL_MAX - 1) /* one more for a no-op */
        return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "TAIL_FULL",
                         "shard: %zu writes are not applied yet", r->n_tail);
    AL_TRY(reserve(r, 1, err));
    struct al_repl_item item = {.epoch = r->record.epoch};
    memcpy(item.write_id, write_id, AL_WRITE_ID_BYTES);
    *ret_index = append(r, &item);
    *ret_repeat = false;
    return AL_OK;
}

void al_repl_persisted(struct al_repl *r, uint64_t generation, uint64_t upto,
                       struct al_repl_effects *fx)
{
    fx->n = 0;
    if (generation != r->generation || upto <= r->durable)
        return;
    r->durable = upto < r->last ? upto : r->last;
    advance(r, fx);
}

static enum al_code check_pull(const struct al_repl *r, const struct al_repl_pull *p,
                               uint32_t *ret_member, struct al_err *err)
{
    if (r->role != AL_REPL_PRIMARY)
        return AL_FAIL_R(err, AL_UNAVAILABLE, "NOT_PRIMARY",
                         "shard: this replica is not the primary");
    if (p->epoch != r->record.epoch && !(BUG(OLD_ACK) && p->epoch < r->record.epoch))
        return AL_FAIL_R(err, AL_ABORTED, "EPOCH_STALE",
                         "pull: epoch %" PRIu64 ", the primary's is %" PRIu64, p->epoch,
                         r->record.epoch);
    if (!find_member(&r->record, &p->member, ret_member) || *ret_member == r->me)
        return AL_FAIL_R(err, AL_ABORTED, "STORE_UUID_MISMATCH",
                         "pull: node %u: the shard's record does not name this store",
                         p->member.node);
    if (p->from == 0)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_PULL", "pull: from 0");
    return AL_OK;
}

/* The last index of epochs up to `epoch`. */
static uint64_t end_of_epoch(const struct al_repl *r, uint64_t epoch)
{
    for (size_t i = 0; i < r->n_epochs; i++) {
        if (r->epochs[i].epoch > epoch)
            return r->epochs[i].start - 1;
    }
    return r->last;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

enum al_code al_repl_pull(struct al_repl *r, const struct al_repl_pull *p, uint64_t n_max,
                          struct al_repl_effects *fx, struct al_err *err)
{
    fx->n = 0;
    uint32_t member = 0;
    AL_TRY(check_pull(r, p, &member, err));
    uint64_t held = p->from - 1;
    bool match =
        held <= r->last && (BUG(CUT_BY_INDEX) || al_repl_epoch_at(r, held) == p->prev_epoch);
    if (match || BUG(NO_MATCH)) {
        if (held > r->ack[member])
            r->ack[member] = held;
        advance(r, fx);
    }
    struct al_repl_effect *e = add(fx, AL_REPL_DO_REPLY);
    struct al_repl_reply *reply = &e->reply;
    *reply = (struct al_repl_reply){
        .epoch = p->epoch, .from = p->from, .prev_epoch = p->prev_epoch, .commit = r->commit};
    if (!match) {
        reply->kind = AL_REPL_CUT;
        reply->to = BUG(CUT_BY_INDEX) ? r->last : min_u64(end_of_epoch(r, p->prev_epoch), held - 1);
    } else if (p->from < r->log_first) {
        reply->kind = AL_REPL_CHECKPOINT;
        reply->to = r->log_first;
    } else {
        reply->kind = AL_REPL_ENTRIES;
        reply->n = min_u64(r->last - held, n_max);
    }
    return AL_OK;
}

static enum al_code check_set(const struct al_repl *r, uint32_t set, struct al_err *err)
{
    uint32_t all = bit(r->record.n_members) - 1;
    if (r->role != AL_REPL_PRIMARY)
        return AL_FAIL_R(err, AL_UNAVAILABLE, "NOT_PRIMARY",
                         "shard: this replica is not the primary");
    if ((set & ~all) || !(set & bit(r->me)))
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_SET", "in-sync set: %#x of %#x", set, all);
    if (set == r->record.in_sync)
        return AL_OK;
    if (r->asked)
        return AL_FAIL_R(err, AL_FAILED_PRECONDITION, "SET_PENDING",
                         "in-sync set: the outcome of an earlier request is not known");
    for (uint32_t i = 0; i < r->record.n_members; i++) {
        bool is_new = (set & bit(i)) && !(r->record.in_sync & bit(i));
        if (is_new && (r->ack[i] < r->commit || r->ack[i] < r->noop))
            return AL_FAIL_R(err, AL_FAILED_PRECONDITION, "NOT_CAUGHT_UP",
                             "in-sync set: node %u holds %" PRIu64 ", committed is %" PRIu64,
                             r->record.members[i].node, r->ack[i], r->commit);
    }
    return AL_OK;
}

enum al_code al_repl_ask_set(struct al_repl *r, uint32_t set, struct al_repl_effects *fx,
                             struct al_err *err)
{
    fx->n = 0;
    AL_TRY(check_set(r, set, err));
    if (set != r->record.in_sync)
        r->asked = set;
    struct al_repl_effect *e = add(fx, AL_REPL_DO_ALTER);
    e->epoch = r->record.epoch;
    e->version = r->record.version;
    e->set = set;
    return AL_OK;
}

/* ---- follower ---- */

bool al_repl_next_pull(const struct al_repl *r, struct al_repl_pull *ret)
{
    if (r->role != AL_REPL_FOLLOWER || (r->durable != r->last && !BUG(UNSYNCED_PULL)))
        return false;
    *ret = (struct al_repl_pull){.epoch = r->record.epoch,
                                 .from = r->last + 1,
                                 .prev_epoch = al_repl_epoch_at(r, r->last),
                                 .member = r->self};
    return true;
}

static enum al_code take_entries(struct al_repl *r, const struct al_repl_reply *reply,
                                 const struct al_repl_item *items, struct al_repl_effects *fx,
                                 struct al_err *err)
{
    uint64_t epoch = reply->prev_epoch;
    for (uint64_t i = 0; i < reply->n; i++) {
        if (items[i].epoch < epoch || items[i].epoch > reply->epoch)
            return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_REPLY",
                             "reply: entry %" PRIu64 " has epoch %" PRIu64, reply->from + i,
                             items[i].epoch);
        epoch = items[i].epoch;
    }
    if (reply->n > AL_REPL_TAIL_MAX - 1 - min_u64(r->n_tail, AL_REPL_TAIL_MAX - 1))
        return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "TAIL_FULL",
                         "shard: %zu entries are not applied yet", r->n_tail);
    AL_TRY(reserve(r, (size_t)reply->n, err));
    uint64_t first = r->last + 1;
    for (uint64_t i = 0; i < reply->n; i++) {
        if (reply->from + i == r->last + 1) /* always, but for a planted bug */
            append(r, &items[i]);
    }
    if (r->last >= first) {
        struct al_repl_effect *e = add(fx, AL_REPL_DO_APPEND);
        e->index = first;
        e->n = r->last + 1 - first;
        e->generation = r->generation;
    }
    uint64_t proven = min_u64(reply->commit, reply->from - 1 + reply->n);
    if (proven > r->proven)
        r->proven = proven;
    advance(r, fx);
    return AL_OK;
}

enum al_code al_repl_reply(struct al_repl *r, const struct al_repl_reply *reply,
                           const struct al_repl_item *items, struct al_repl_effects *fx,
                           struct al_err *err)
{
    fx->n = 0;
    if (r->role != AL_REPL_FOLLOWER || reply->epoch != r->record.epoch)
        return AL_OK;
    bool current = reply->from == r->last + 1 && reply->prev_epoch == al_repl_epoch_at(r, r->last);
    if (!current && !(BUG(NO_ECHO) && reply->from <= r->last + 1))
        return AL_OK;
    switch (reply->kind) {
    case AL_REPL_ENTRIES:
        return take_entries(r, reply, items, fx, err);
    case AL_REPL_CUT:
        if (reply->to < r->commit) {
            r->stopped = true;
            r->role = AL_REPL_IDLE;
            add(fx, AL_REPL_DO_STOP)->index = reply->to;
            return AL_OK;
        }
        if (reply->to < r->last) {
            cut(r, reply->to);
            add(fx, AL_REPL_DO_TRUNCATE)->index = reply->to;
        }
        return AL_OK;
    case AL_REPL_CHECKPOINT:
        return AL_OK; /* the driver fetches one */
    }
    return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_REPLY", "reply: kind %d", (int)reply->kind);
}

/* ---- both ---- */

void al_repl_applied(struct al_repl *r, uint64_t upto)
{
    upto = min_u64(upto, r->commit);
    if (upto <= r->applied)
        return;
    size_t n = (size_t)(upto - r->applied);
    memmove(r->tail, r->tail + n, (r->n_tail - n) * sizeof(*r->tail));
    r->n_tail -= n;
    r->applied = upto;
}

void al_repl_trimmed(struct al_repl *r, uint64_t first)
{
    AL_ASSERT(first <= r->applied + 1);
    if (first > r->log_first)
        r->log_first = first;
}

enum al_code al_repl_read_begin(const struct al_repl *r, struct al_repl_read *ret,
                                struct al_err *err)
{
    if (r->role != AL_REPL_PRIMARY)
        return AL_FAIL_R(err, AL_UNAVAILABLE, "NOT_PRIMARY",
                         "shard: this replica is not the primary");
    if (r->applied < r->noop && !BUG(READ_EARLY))
        return AL_FAIL_R(err, AL_UNAVAILABLE, "EPOCH_BEGINS",
                         "shard: the first entry of epoch %" PRIu64 " is not applied yet",
                         r->record.epoch);
    ret->epoch = r->record.epoch;
    ret->arrangement = r->arrangement;
    ret->need = BUG(READ_UNCONFIRMED) ? 0 : (r->record.in_sync | r->asked) & ~bit(r->me);
    return AL_OK;
}

void al_repl_read_confirmed(const struct al_repl *r, struct al_repl_read *rd,
                            const struct al_repl_member *by)
{
    uint32_t member = 0;
    if (rd->arrangement == r->arrangement && find_member(&r->record, by, &member))
        rd->need &= ~bit(member);
}

bool al_repl_read_holds(const struct al_repl *r, const struct al_repl_read *rd)
{
    return r->role == AL_REPL_PRIMARY && r->record.epoch == rd->epoch &&
           r->arrangement == rd->arrangement && rd->need == 0;
}

bool al_repl_confirm(const struct al_repl *r, uint64_t epoch)
{
    return r->has_record && r->record.epoch == epoch;
}

enum al_repl_role al_repl_role(const struct al_repl *r)
{
    return r->role;
}

bool al_repl_is_alone(const struct al_repl *r)
{
    return r->role == AL_REPL_PRIMARY && (r->record.in_sync | r->asked) == bit(r->me) &&
           r->record.min_in_sync == 1;
}

uint64_t al_repl_epoch(const struct al_repl *r)
{
    return r->record.epoch;
}

uint64_t al_repl_version(const struct al_repl *r)
{
    return r->record.version;
}

uint64_t al_repl_last(const struct al_repl *r)
{
    return r->last;
}

uint64_t al_repl_commit(const struct al_repl *r)
{
    return r->commit;
}

uint64_t al_repl_applied_index(const struct al_repl *r)
{
    return r->applied;
}

uint64_t al_repl_generation(const struct al_repl *r)
{
    return r->generation;
}
