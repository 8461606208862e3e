#include "repl_impl.h"

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
    ret->restore = r->record.restore;
    ret->epoch = r->record.epoch;
    ret->arrangement = r->arrangement;
    ret->need = BUG(READ_UNCONFIRMED) ? 0 : (r->record.in_sync | r->asked) & ~al_repl_bit(r->me);
    return AL_OK;
}

void al_repl_read_confirmed(const struct al_repl *r, struct al_repl_read *rd,
                            const struct al_repl_member *by)
{
    uint32_t member = 0;
    if (rd->arrangement == r->arrangement && al_repl_find_member(&r->record, by, &member))
        rd->need &= ~al_repl_bit(member);
}

bool al_repl_read_holds(const struct al_repl *r, const struct al_repl_read *rd)
{
    return r->role == AL_REPL_PRIMARY && r->record.epoch == rd->epoch &&
           r->arrangement == rd->arrangement && rd->need == 0;
}

bool al_repl_confirm(const struct al_repl *r, uint64_t restore, uint64_t epoch)
{
    return r->has_record && r->record.epoch == epoch && r->record.restore == restore &&
           r->promised == restore;
}
