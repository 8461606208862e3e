#include "repl_impl.h"

#ifdef AL_REPL_PLANTED
enum al_repl_planted_bug al_repl_planted;
#endif

struct al_repl_effect *al_repl_add_effect(struct al_repl_effects *fx, enum al_repl_effect_kind kind)
{
    AL_ASSERT(fx->n < AL_REPL_EFFECTS_MAX);
    struct al_repl_effect *e = &fx->items[fx->n++];
    memset(e, 0, sizeof(*e));
    e->kind = kind;
    return e;
}

bool al_repl_is_same_member(const struct al_repl_member *a, const struct al_repl_member *b)
{
    return a->node == b->node && memcmp(a->store_uuid, b->store_uuid, AL_REPL_UUID_BYTES) == 0;
}

bool al_repl_find_member(const struct al_repl_record *rec, const struct al_repl_member *m,
                         uint32_t *ret)
{
    for (uint32_t i = 0; i < rec->n_members; i++) {
        bool same = BUG(STORE_UNCHECKED) ? rec->members[i].node == m->node
                                         : al_repl_is_same_member(&rec->members[i], m);
        if (same) {
            *ret = i;
            return true;
        }
    }
    return false;
}

/* Who must hold an entry before it is committed. */
uint32_t al_repl_union(const struct al_repl *r)
{
    return BUG(NO_UNION) ? r->record.in_sync : r->record.in_sync | r->asked;
}

/* ---- create ---- */

/* A follower goes on where it was; a primary waits for the next epoch. */
static void take_role(struct al_repl *r)
{
    const struct al_repl_record *rec = &r->record;
    r->role = AL_REPL_IDLE;
    if (!r->has_record || r->stopped || rec->restore < r->promised ||
        !al_repl_find_member(rec, &r->self, &r->me))
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
    AL_TRY(al_repl_reserve(r, n_tail > d->n_epochs ? n_tail : d->n_epochs, err));
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
        r->promised = d->record->restore;
    }
    if (d->promised > r->promised && !BUG(PROMISE_FORGOTTEN))
        r->promised = d->promised;
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

/* ---- the record ---- */

static enum al_code check_record(const struct al_repl_record *rec, struct al_err *err)
{
    uint32_t all = rec->n_members <= AL_REPL_MEMBERS_MAX ? al_repl_bit(rec->n_members) - 1 : 0;
    if (rec->epoch == 0 || rec->version == 0 || all == 0 || rec->primary >= rec->n_members ||
        (rec->in_sync & ~all) || !(rec->in_sync & al_repl_bit(rec->primary)) ||
        rec->min_in_sync == 0)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_RECORD",
                         "shard record: version %" PRIu64 " contradicts itself", rec->version);
    return AL_OK;
}

static enum al_code become_primary(struct al_repl *r, struct al_repl_effects *fx,
                                   struct al_err *err)
{
    AL_TRY(al_repl_reserve(r, 1, err));
    r->role = AL_REPL_PRIMARY;
    struct al_repl_item noop = {.epoch = r->record.epoch};
    r->noop = al_repl_append(r, &noop);
    struct al_repl_effect *e = al_repl_add_effect(fx, AL_REPL_DO_APPEND);
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
        if (al_repl_find_member(old, &r->record.members[i], &was))
            ack[i] = r->ack[was];
        same = same && was == i && al_repl_is_same_member(&old->members[i], &r->record.members[i]);
    }
    memcpy(r->ack, ack, sizeof(ack));
    if (!same)
        r->arrangement++;
}

static void end_epoch(struct al_repl *r, uint64_t epoch, struct al_repl_effects *fx)
{
    if (r->role == AL_REPL_PRIMARY)
        al_repl_add_effect(fx, AL_REPL_DO_STEP_DOWN)->epoch = epoch;
    r->role = AL_REPL_IDLE;
    r->asked = 0;
    r->noop = 0;
    r->proven = 0;
    r->fetching = false;
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
    if (rec->restore < r->promised && !BUG(PROMISE_BROKEN))
        return AL_FAIL_R(err, AL_ABORTED, "RESTORE_STALE",
                         "shard record: from before restore %" PRIu64 " of the coordination store",
                         r->promised);
    bool restored = r->has_record && rec->restore > old.restore;
    if (r->has_record && (rec->epoch < old.epoch || (restored && rec->epoch == old.epoch)))
        return AL_FAIL_R(err, AL_ABORTED, "EPOCH_STALE",
                         "shard record: epoch %" PRIu64 " is over, %" PRIu64 " was seen",
                         rec->epoch, old.epoch);
    bool again = r->has_record && rec->version <= old.version;
    if (again && !(BUG(RESTART_LEADS) && r->role == AL_REPL_IDLE))
        return AL_OK;
    AL_TRY(al_repl_reserve(r, 1, err)); /* before anything changes */
    bool newer = !r->has_record || rec->epoch > old.epoch;
    r->record = *rec;
    r->has_record = true;
    if (rec->restore > r->promised)
        r->promised = rec->restore;
    al_repl_add_effect(fx, AL_REPL_DO_RECORD)->version = rec->version;
    if (newer)
        end_epoch(r, old.epoch, fx);
    if (r->stopped)
        return AL_OK;
    bool led = r->role == AL_REPL_PRIMARY;
    if (led)
        carry_acks(r, &old);
    take_role(r);
    bool named = al_repl_find_member(rec, &r->self, &r->me) && rec->primary == r->me;
    if (named && (newer || (BUG(RESTART_LEADS) && !led)))
        AL_TRY(become_primary(r, fx, err));
    else if (named && led)
        r->role = AL_REPL_PRIMARY;
    r->asked = 0; /* a higher version is the outcome of what was asked */
    al_repl_advance(r, fx);
    return AL_OK;
}

enum al_code al_repl_report(struct al_repl *r, uint64_t restore, const struct al_repl_record **ret,
                            struct al_repl_effects *fx, struct al_err *err)
{
    fx->n = 0;
    if (restore < r->promised)
        return AL_FAIL_R(err, AL_ABORTED, "RESTORE_STALE",
                         "report: restore %" PRIu64 ", %" PRIu64 " was promised", restore,
                         r->promised);
    if (restore > r->promised) {
        r->promised = restore;
        al_repl_add_effect(fx, AL_REPL_DO_PROMISE)->restore = restore;
        end_epoch(r, r->record.epoch, fx);
    }
    *ret = r->has_record ? &r->record : NULL;
    return AL_OK;
}

/* ---- state ---- */

enum al_repl_role al_repl_role(const struct al_repl *r)
{
    return r->role;
}

bool al_repl_is_alone(const struct al_repl *r)
{
    return r->role == AL_REPL_PRIMARY && (r->record.in_sync | r->asked) == al_repl_bit(r->me) &&
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

uint64_t al_repl_log_first(const struct al_repl *r)
{
    return r->log_first;
}

uint64_t al_repl_generation(const struct al_repl *r)
{
    return r->generation;
}
