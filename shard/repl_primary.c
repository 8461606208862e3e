#include "repl_impl.h"

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
    if (!BUG(BELOW_MIN) && (al_repl_count(r->record.in_sync) < r->record.min_in_sync ||
                            al_repl_count(al_repl_union(r)) < r->record.min_in_sync))
        return AL_FAIL_R(err, AL_UNAVAILABLE, "NOT_ENOUGH_REPLICAS",
                         "shard: %u replicas in sync, %u needed", al_repl_count(r->record.in_sync),
                         r->record.min_in_sync);
    if (r->n_tail >= AL_REPL_TAIL_MAX - 1) /* one more for a no-op */
        return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "TAIL_FULL",
                         "shard: %zu writes are not applied yet", r->n_tail);
    AL_TRY(al_repl_reserve(r, 1, err));
    struct al_repl_item item = {.epoch = r->record.epoch};
    memcpy(item.write_id, write_id, AL_WRITE_ID_BYTES);
    *ret_index = al_repl_append(r, &item);
    *ret_repeat = false;
    return AL_OK;
}

enum al_code al_repl_check_pull(const struct al_repl *r, const struct al_repl_pull *p,
                                uint32_t *ret_member, struct al_err *err)
{
    if (r->role != AL_REPL_PRIMARY)
        return AL_FAIL_R(err, AL_UNAVAILABLE, "NOT_PRIMARY",
                         "shard: this replica is not the primary");
    if (p->restore != r->record.restore)
        return AL_FAIL_R(err, AL_ABORTED, "RESTORE_STALE",
                         "pull: restore %" PRIu64 ", the primary's is %" PRIu64, p->restore,
                         r->record.restore);
    if (p->epoch != r->record.epoch && !(BUG(OLD_ACK) && p->epoch < r->record.epoch))
        return AL_FAIL_R(err, AL_ABORTED, "EPOCH_STALE",
                         "pull: epoch %" PRIu64 ", the primary's is %" PRIu64, p->epoch,
                         r->record.epoch);
    if (!al_repl_find_member(&r->record, &p->member, ret_member) || *ret_member == r->me)
        return AL_FAIL_R(err, AL_ABORTED, "STORE_UUID_MISMATCH",
                         "pull: node %u: the shard's record does not name this store",
                         p->member.node);
    if (p->from == 0)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_PULL", "pull: from 0");
    return AL_OK;
}

enum al_code al_repl_pull(struct al_repl *r, const struct al_repl_pull *p, uint64_t n_max,
                          struct al_repl_effects *fx, struct al_err *err)
{
    fx->n = 0;
    uint32_t member = 0;
    AL_TRY(al_repl_check_pull(r, p, &member, err));
    uint64_t held = p->from - 1;
    bool match =
        held <= r->last && (BUG(CUT_BY_INDEX) || al_repl_epoch_at(r, held) == p->prev_epoch);
    if (match || BUG(NO_MATCH)) {
        if (held > r->ack[member])
            r->ack[member] = held;
        al_repl_advance(r, fx);
    }
    struct al_repl_effect *e = al_repl_add_effect(fx, AL_REPL_DO_REPLY);
    struct al_repl_reply *reply = &e->reply;
    *reply = (struct al_repl_reply){
        .restore = p->restore,
        .epoch = p->epoch,
        .from = p->from,
        .prev_epoch = p->prev_epoch,
        .commit = r->commit,
        .floor = al_repl_trim_floor(r, UINT64_MAX, 0),
    };
    if (!match) {
        reply->kind = AL_REPL_CUT;
        reply->to = BUG(CUT_BY_INDEX)
                        ? r->last
                        : al_repl_min(al_repl_end_of_epoch(r, p->prev_epoch), held - 1);
    } else if (p->from < r->log_first) {
        reply->kind = AL_REPL_CHECKPOINT;
        reply->to = r->log_first;
    } else {
        reply->kind = AL_REPL_ENTRIES;
        reply->n = al_repl_min(r->last - held, n_max);
    }
    return AL_OK;
}

static enum al_code check_set(const struct al_repl *r, uint32_t set, struct al_err *err)
{
    uint32_t all = al_repl_bit(r->record.n_members) - 1;
    if (r->role != AL_REPL_PRIMARY)
        return AL_FAIL_R(err, AL_UNAVAILABLE, "NOT_PRIMARY",
                         "shard: this replica is not the primary");
    if ((set & ~all) || !(set & al_repl_bit(r->me)))
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_SET", "in-sync set: %#x of %#x", set, all);
    if (set == r->record.in_sync)
        return AL_OK;
    if (r->asked)
        return AL_FAIL_R(err, AL_FAILED_PRECONDITION, "SET_PENDING",
                         "in-sync set: the outcome of an earlier request is not known");
    for (uint32_t i = 0; i < r->record.n_members; i++) {
        bool is_new = (set & al_repl_bit(i)) && !(r->record.in_sync & al_repl_bit(i));
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
    struct al_repl_effect *e = al_repl_add_effect(fx, AL_REPL_DO_ALTER);
    e->restore = r->record.restore;
    e->epoch = r->record.epoch;
    e->version = r->record.version;
    e->set = set;
    return AL_OK;
}
