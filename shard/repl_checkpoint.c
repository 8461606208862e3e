/* Trimming the log, and catching up from far. */
#include "repl_impl.h"

/* What every replica has on disk, as far as is known here. */
static uint64_t held_by_all(const struct al_repl *r)
{
    if (r->role != AL_REPL_PRIMARY)
        return r->floor;
    uint64_t floor = r->durable;
    for (uint32_t i = 0; i < r->record.n_members; i++) {
        if (i != r->me)
            floor = al_repl_min(floor, r->ack[i]);
    }
    return floor;
}

uint64_t al_repl_trim_floor(const struct al_repl *r, uint64_t cover, uint64_t bound)
{
    uint64_t floor = held_by_all(r);
    if (bound > floor)
        floor = bound;
    floor = al_repl_min(floor, BUG(TRIM_UNAPPLIED) ? r->commit : r->applied);
    return al_repl_min(floor, cover);
}

void al_repl_trimmed(struct al_repl *r, uint64_t first)
{
    AL_ASSERT(first <= r->applied + 1 || BUG(TRIM_UNAPPLIED));
    if (first > r->log_first)
        r->log_first = first;
    if (BUG(TRIM_EPOCHS)) {
        size_t n = 0;
        while (n < r->n_epochs && r->epochs[n].start < first)
            n++;
        memmove(r->epochs, r->epochs + n, (r->n_epochs - n) * sizeof(*r->epochs));
        r->n_epochs -= n;
    }
}

enum al_code al_repl_checkpoint(const struct al_repl *r, const struct al_repl_pull *ask,
                                struct al_repl_checkpoint *ret, struct al_err *err)
{
    uint32_t member = 0;
    AL_TRY(al_repl_check_pull(r, ask, &member, err));
    uint64_t applied = BUG(INSTALL_UNCOMMITTED) ? r->last : r->applied;
    size_t n = 0;
    while (n < r->n_epochs && r->epochs[n].start <= applied)
        n++;
    *ret = (struct al_repl_checkpoint){
        .ask = *ask, .applied = applied, .epochs = r->epochs, .n_epochs = n};
    return AL_OK;
}

static bool is_same_ask(const struct al_repl_pull *a, const struct al_repl_pull *b)
{
    return a->restore == b->restore && a->epoch == b->epoch && a->from == b->from &&
           a->prev_epoch == b->prev_epoch && al_repl_is_same_member(&a->member, &b->member);
}

static enum al_code check_checkpoint(const struct al_repl_checkpoint *c, struct al_err *err)
{
    bool good = c->n_epochs > 0 && c->epochs[0].start > 0 && c->applied >= c->ask.from;
    for (size_t i = 0; good && i < c->n_epochs; i++) {
        good = c->epochs[i].start <= c->applied && c->epochs[i].epoch <= c->ask.epoch;
        if (i > 0)
            good = good && c->epochs[i].start > c->epochs[i - 1].start &&
                   c->epochs[i].epoch > c->epochs[i - 1].epoch;
    }
    if (!good)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_CHECKPOINT",
                         "checkpoint: at index %" PRIu64
                         " with %zu epochs, for a log from %" PRIu64,
                         c->applied, c->n_epochs, c->ask.from);
    return AL_OK;
}

/* Room for its epochs before anything changes. */
static enum al_code take_epochs(struct al_repl *r, const struct al_repl_checkpoint *c,
                                struct al_err *err)
{
    if (BUG(INSTALL_NO_EPOCHS))
        return AL_OK;
    size_t more = c->n_epochs > r->n_epochs ? c->n_epochs - r->n_epochs : 0;
    AL_TRY(al_repl_reserve(r, more, err));
    memcpy(r->epochs, c->epochs, c->n_epochs * sizeof(*r->epochs));
    r->n_epochs = c->n_epochs;
    return AL_OK;
}

enum al_code al_repl_install(struct al_repl *r, const struct al_repl_checkpoint *c,
                             struct al_repl_effects *fx, struct al_err *err)
{
    fx->n = 0;
    AL_TRY(check_checkpoint(c, err));
    bool current = r->role == AL_REPL_FOLLOWER && r->fetching && is_same_ask(&r->ask, &c->ask);
    if (!current && !(BUG(INSTALL_LATE) && r->role == AL_REPL_FOLLOWER))
        return AL_FAIL_R(err, AL_ABORTED, "CHECKPOINT_STALE",
                         "checkpoint: for epoch %" PRIu64 " and a log that ends at %" PRIu64
                         ", which is over",
                         c->ask.epoch, c->ask.from - 1);
    AL_TRY(take_epochs(r, c, err));
    r->fetching = false;
    r->generation++;
    r->n_tail = 0;
    r->log_first = c->applied + 1;
    r->last = r->durable = r->proven = r->commit = r->applied = c->applied;
    al_repl_add_effect(fx, AL_REPL_DO_INSTALL)->index = c->applied;
    return AL_OK;
}

void al_repl_fetch_failed(struct al_repl *r, const struct al_repl_pull *ask)
{
    if (r->fetching && is_same_ask(&r->ask, ask))
        r->fetching = false;
}
