#include "repl_impl.h"

#define EPOCHS_MAX (1u << 20)

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
enum al_code al_repl_reserve(struct al_repl *r, size_t n, struct al_err *err)
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
uint64_t al_repl_append(struct al_repl *r, const struct al_repl_item *item)
{
    if (al_repl_epoch_at(r, r->last) != item->epoch) {
        r->epochs[r->n_epochs++] =
            (struct al_repl_epoch){.epoch = item->epoch, .start = r->last + 1};
    }
    r->tail[r->n_tail++] = *item;
    return ++r->last;
}

void al_repl_cut(struct al_repl *r, uint64_t to)
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

/* The last index of epochs up to `epoch`. */
uint64_t al_repl_end_of_epoch(const struct al_repl *r, uint64_t epoch)
{
    for (size_t i = 0; i < r->n_epochs; i++) {
        if (r->epochs[i].epoch > epoch)
            return r->epochs[i].start - 1;
    }
    return r->last;
}

static void commit_to(struct al_repl *r, uint64_t index, struct al_repl_effects *fx)
{
    if (index <= r->commit)
        return;
    r->commit = index;
    al_repl_add_effect(fx, AL_REPL_DO_COMMIT)->index = index;
}

void al_repl_advance(struct al_repl *r, struct al_repl_effects *fx)
{
    if (r->role == AL_REPL_FOLLOWER) {
        commit_to(r, r->proven < r->durable ? r->proven : r->durable, fx);
        return;
    }
    if (r->role != AL_REPL_PRIMARY)
        return;
    uint32_t set = al_repl_union(r);
    if (al_repl_count(set) < r->record.min_in_sync && !BUG(BELOW_MIN))
        return;
    uint64_t index = r->durable;
    for (uint32_t i = 0; i < r->record.n_members; i++) {
        if (i != r->me && (set & al_repl_bit(i)) && r->ack[i] < index)
            index = r->ack[i];
    }
    commit_to(r, index, fx);
}

void al_repl_persisted(struct al_repl *r, uint64_t generation, uint64_t upto,
                       struct al_repl_effects *fx)
{
    fx->n = 0;
    if (generation != r->generation || upto <= r->durable)
        return;
    r->durable = upto < r->last ? upto : r->last;
    al_repl_advance(r, fx);
}

void al_repl_applied(struct al_repl *r, uint64_t upto)
{
    upto = al_repl_min(upto, r->commit);
    if (upto <= r->applied)
        return;
    size_t n = (size_t)(upto - r->applied);
    memmove(r->tail, r->tail + n, (r->n_tail - n) * sizeof(*r->tail));
    r->n_tail -= n;
    r->applied = upto;
}
