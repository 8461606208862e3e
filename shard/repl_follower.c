#include "repl_impl.h"

bool al_repl_next_pull(const struct al_repl *r, struct al_repl_pull *ret)
{
    if (r->role != AL_REPL_FOLLOWER || r->fetching ||
        (r->durable != r->last && !BUG(UNSYNCED_PULL)))
        return false;
    *ret = (struct al_repl_pull){.restore = r->record.restore,
                                 .epoch = r->record.epoch,
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
    if (reply->n > AL_REPL_TAIL_MAX - 1 - al_repl_min(r->n_tail, AL_REPL_TAIL_MAX - 1))
        return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "TAIL_FULL",
                         "shard: %zu entries are not applied yet", r->n_tail);
    AL_TRY(al_repl_reserve(r, (size_t)reply->n, err));
    uint64_t first = r->last + 1;
    for (uint64_t i = 0; i < reply->n; i++) {
        if (reply->from + i == r->last + 1) /* always, but for a planted bug */
            al_repl_append(r, &items[i]);
    }
    if (r->last >= first) {
        struct al_repl_effect *e = al_repl_add_effect(fx, AL_REPL_DO_APPEND);
        e->index = first;
        e->n = r->last + 1 - first;
        e->generation = r->generation;
    }
    uint64_t proven = al_repl_min(reply->commit, reply->from - 1 + reply->n);
    if (proven > r->proven)
        r->proven = proven;
    if (reply->floor > r->floor)
        r->floor = reply->floor;
    al_repl_advance(r, fx);
    return AL_OK;
}

/* The log end stays as it is until the checkpoint has come or failed: nothing is pulled. */
static enum al_code begin_fetch(struct al_repl *r, struct al_repl_effects *fx)
{
    if (!al_repl_next_pull(r, &r->ask))
        return AL_OK; /* its tail is not synced: it will pull, and be told again */
    r->fetching = true;
    al_repl_add_effect(fx, AL_REPL_DO_FETCH)->ask = r->ask;
    return AL_OK;
}

enum al_code al_repl_reply(struct al_repl *r, const struct al_repl_reply *reply,
                           const struct al_repl_item *items, struct al_repl_effects *fx,
                           struct al_err *err)
{
    fx->n = 0;
    if (r->role != AL_REPL_FOLLOWER || reply->restore != r->record.restore ||
        reply->epoch != r->record.epoch || r->fetching)
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
            al_repl_add_effect(fx, AL_REPL_DO_STOP)->index = reply->to;
            return AL_OK;
        }
        if (reply->to < r->last) {
            al_repl_cut(r, reply->to);
            al_repl_add_effect(fx, AL_REPL_DO_TRUNCATE)->index = reply->to;
        }
        return AL_OK;
    case AL_REPL_CHECKPOINT:
        return begin_fetch(r, fx);
    }
    return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_REPLY", "reply: kind %d", (int)reply->kind);
}
