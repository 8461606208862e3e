/* repl_impl.h - the state of the replication state machine, and what its files share.
 *
 * Thread: serialized by the caller.
 */
#ifndef AIRLORE_SHARD_REPL_IMPL_H
#define AIRLORE_SHARD_REPL_IMPL_H

#include <inttypes.h>
#include <string.h>

#include "repl.h"

#ifdef AL_REPL_PLANTED
#define BUG(name_) (al_repl_planted == AL_REPL_BUG_##name_)
#else
#define BUG(name_) false
#endif

struct al_repl {
    struct al_mem *mem;
    struct al_repl_member self;
    struct al_repl_record record; /* newest seen */
    bool has_record;
    bool stopped;
    uint64_t promised; /* restore count below which nothing is taken */
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

    /* follower */
    uint64_t floor;          /* every replica holds the log up to here, says the primary */
    bool fetching;           /* a checkpoint */
    struct al_repl_pull ask; /* for which */

    /* primary */
    uint64_t ack[AL_REPL_MEMBERS_MAX];
    uint32_t asked;       /* set of a request whose outcome is unknown; 0: none */
    uint64_t noop;        /* first index of the epoch */
    uint64_t arrangement; /* grows when members change */
};

/* A new effect of this kind, zeroed. */
struct al_repl_effect *al_repl_add_effect(struct al_repl_effects *fx, enum al_repl_effect_kind k);

/* Place of a member in a record; false when it does not name this store. */
bool al_repl_find_member(const struct al_repl_record *rec, const struct al_repl_member *m,
                         uint32_t *ret);

/* Both the node and the store. */
bool al_repl_is_same_member(const struct al_repl_member *a, const struct al_repl_member *b);

static inline uint32_t al_repl_bit(uint32_t member)
{
    return 1u << member;
}

static inline uint32_t al_repl_count(uint32_t set)
{
    return (uint32_t)__builtin_popcount(set);
}

static inline uint64_t al_repl_min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Who must hold an entry before it is committed. */
uint32_t al_repl_union(const struct al_repl *r);

/* Room for n more entries, which may each begin an epoch. */
AL_NODISCARD enum al_code al_repl_reserve(struct al_repl *r, size_t n, struct al_err *err);

/* Append after al_repl_reserve; gives the index. */
uint64_t al_repl_append(struct al_repl *r, const struct al_repl_item *item);

/* Drop the entries above `to`. */
void al_repl_cut(struct al_repl *r, uint64_t to);

/* The last index of epochs up to `epoch`. */
uint64_t al_repl_end_of_epoch(const struct al_repl *r, uint64_t epoch);

/* Commit what may be. */
void al_repl_advance(struct al_repl *r, struct al_repl_effects *fx);

/* Whether a pull, or what came of one, is of this primary's time and from a store that the record
 * names; codes of al_repl_pull. */
AL_NODISCARD enum al_code al_repl_check_pull(const struct al_repl *r, const struct al_repl_pull *p,
                                             uint32_t *ret_member, struct al_err *err);

#endif
