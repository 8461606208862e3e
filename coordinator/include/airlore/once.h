/* airlore/once.h - a write that is asked for twice is done once.
 *
 * A client names a write by a text of its own (write_id). Asked for again with that text, because
 * the answer did not arrive, it gets the first answer and has no second effect; the same text with
 * another request is refused. What a request was and what came of it is a row of the system shard,
 * under a hash of the caller's key and the text (two callers never meet), for 24 hours.
 *
 *     begin -> NONE: no text was given, nothing is remembered
 *           -> NEW: find out what to do, claim(plan), do it, end(answer)
 *           -> BEGUN: somebody began; it may be done or not: do what `saved` (the plan) says, end
 *           -> SETTLED: `saved` is the answer
 *
 * Doing a plan twice must be harmless: each write to a shard carries al_once_shard_id, which the
 * shard remembers as long, or a condition.
 *
 * A claim takes the rows of a few others away whose time is over, so that there are never many more
 * than are claimed in a day.
 *
 * Thread: any thread; a struct al_once by one.
 */
#ifndef AIRLORE_ONCE_H
#define AIRLORE_ONCE_H

#include "airlore/directory.h"

#define AL_ONCE_TEXT_BYTES_MAX 128u
#define AL_ONCE_KEPT_MS (24ull * 60 * 60 * 1000)
#define AL_ONCE_SAVED_BYTES_MAX (64u << 10) /* of a plan or an answer */

struct al_once_book;

/* What the caller says: a text (empty: none) and a digest of the whole request with its method. */
struct al_once_name {
    struct al_str text;
    uint8_t request[16];
};

enum al_once_state { AL_ONCE_NONE, AL_ONCE_NEW, AL_ONCE_BEGUN, AL_ONCE_SETTLED };

/* One write under way. */
struct al_once {
    enum al_once_state state;
    bool again;          /* it was begun before this call */
    struct al_str saved; /* BEGUN: plan; SETTLED: answer; in the arena of begin or claim */
    /* private state */
    struct al_once_book *book;
    uint8_t key[32];
    uint8_t request[16];
    uint64_t time_ms;     /* of the claim */
    uint64_t old_version; /* of a row whose time is over; 0: there is none */
};

/* system, clock: borrowed until destroy. *ret owned. */
AL_NODISCARD enum al_code al_once_book_create(struct al_shard_port *system, struct al_clock *clock,
                                              struct al_mem *mem, struct al_once_book **ret,
                                              struct al_err *err);

/* Accepts NULL. */
void al_once_book_destroy(struct al_once_book *w);

/* Look the name up; it may be NULL (state NONE). AL_INVALID_ARGUMENT, reason TOO_LARGE: a text of
 * more than 128 bytes. AL_ALREADY_EXISTS, reason ID_REUSED: it named another request. */
AL_NODISCARD enum al_code al_once_begin(struct al_once_book *w, const struct al_credential *cred,
                                        const struct al_once_name *name, struct al_arena *a,
                                        struct al_once *ret, struct al_err *err);

/* NEW becomes BEGUN with this plan; nothing for NONE. When another call was faster, w says what it
 * said: look at state and saved again. */
AL_NODISCARD enum al_code al_once_claim(struct al_once *w, struct al_str plan, struct al_arena *a,
                                        struct al_err *err);

/* BEGUN becomes SETTLED with this answer; nothing for NONE. Cannot fail: without the row the plan
 * is done again, which gives the same. */
void al_once_end(struct al_once *w, struct al_str answer, struct al_arena *a);

/* The write id for step n of the plan; all zeros for NONE. */
void al_once_shard_id(const struct al_once *w, uint32_t n, uint8_t ret[16]);

AL_DEFINE_AUTO(al_once_book);

#endif
