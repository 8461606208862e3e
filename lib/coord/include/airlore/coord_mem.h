/* airlore/coord_mem.h - the coordination store in this process, for standalone mode and for tests.
 *
 * Any number of handles share one store; the store goes with its last handle. Nothing is kept on
 * disk: what must outlive the process is in the system shard. Revisions start from the wall clock,
 * so that those of an earlier process are never met again. It holds to the limits of the external
 * store, and can be told to fail as that one fails.
 *
 * Each handle has one thread: it keeps leases alive, ends those that ran out, and calls watch
 * functions. It sleeps until something is due. With a clock that moves by hand, call
 * al_coord_mem_settle after moving it.
 *
 * Thread: any thread (internally locked).
 */
#ifndef AIRLORE_COORD_MEM_H
#define AIRLORE_COORD_MEM_H

#include "airlore/coord.h"

struct al_coord_mem_options {
    struct al_mem *mem;        /* borrowed; NULL: standard */
    struct al_clock *clock;    /* borrowed; NULL: the system's. Leases live by its monotonic time */
    int64_t first_revision;    /* the revision before the first change; 0: wall clock ms * 2^20 */
    size_t store_bytes_max;    /* keys and values; 0: 64 MiB */
    size_t history_events_max; /* older ones are forgotten (compacted); 0: 4,096 */
};

/* A new store and its first handle. opt may be NULL. *ret owned: al_coord_close. */
AL_NODISCARD enum al_code al_coord_mem_open(const struct al_coord_mem_options *opt,
                                            struct al_coord **ret, struct al_err *err);

/* One more handle on the store of `other` (a handle of this back end). *ret owned: al_coord_close.
 */
AL_NODISCARD enum al_code al_coord_mem_join(struct al_coord *other, struct al_coord **ret,
                                            struct al_err *err);

/* Wait until all that is due at the clock's present time is done: leases kept alive or ended, watch
 * functions called, on all handles that are not cut off. Never from a watch function. */
void al_coord_mem_settle(struct al_coord *c);

enum al_coord_mem_fault {
    AL_COORD_MEM_UNKNOWN_APPLIED = 1, /* applied, but the answer is lost */
    AL_COORD_MEM_UNKNOWN_LOST = 2,    /* not applied, and nobody knows */
    AL_COORD_MEM_UNAVAILABLE = 3,     /* surely not applied */
};

/* Writing transaction number nth from now (0: the next one) of this handle fails so, once. Tests
 * only. */
void al_coord_mem_fail_txn(struct al_coord *c, uint64_t nth, enum al_coord_mem_fault fault);

/* As a network cut or a frozen process: calls answer AL_UNAVAILABLE, no keepalive goes out, no
 * watch function is called; when it ends, watches go on where they were. Tests only. */
void al_coord_mem_set_cut_off(struct al_coord *c, bool cut_off);

/* End the lease now, as if it had run out. Tests only. */
void al_coord_mem_expire(struct al_coord *c, uint64_t lease);

#endif
