/* repl.h - replication of one shard as a pure state machine: in-sync sets, epochs, commit index,
 * log matching.
 *
 * No clock, thread, disk or socket: the driver feeds events and carries out the effects, in their
 * order. Entries themselves stay with the driver; here is only what the protocol needs of them:
 * index, epoch, write id. The rules are Kafka's in-sync replication (KIP-101, KIP-497) with Raft's
 * log matching (section 5.3) and metadata kept by a leader elsewhere.
 *
 * What each event asks of the driver, by its effects:
 *
 * - al_repl_record: RECORD, the record is synced before anything after it is done.
 * - al_repl_propose: nothing; the driver writes the entry at *ret_index, then al_repl_persisted.
 * - al_repl_persisted: COMMIT, entries up to index may be applied, in order; then al_repl_applied.
 * - al_repl_pull: REPLY, sent with the entries that it names.
 * - al_repl_reply: TRUNCATE, the log above index is deleted, synced; APPEND, the entries of the
 *   reply are written; FETCH, a checkpoint is asked for.
 * - al_repl_install: INSTALL, log, epoch starts and data are replaced, all or nothing and synced.
 * - al_repl_ask_set: ALTER, the leader is asked; only a record of a higher version tells the
 *   outcome.
 * - al_repl_report: PROMISE, synced before the report leaves.
 *
 * With an entry whose epoch differs from the one before it, the driver stores the start of the
 * epoch in the same batch. A driver that restarts gives back what is on disk to al_repl_create.
 *
 * Files: repl.c (start, record, restore of the coordination store), repl_log.c (the log as the
 * protocol sees it), repl_primary.c, repl_follower.c, repl_checkpoint.c (trimming, catching up from
 * far), repl_read.c.
 *
 * Thread:    serialized by the caller.
 * Lifecycle: create -> events* -> destroy.
 * Errors:    an event that must not be taken (lower epoch, not primary, wrong store) is refused and
 * changes nothing.
 */
#ifndef AIRLORE_SHARD_REPL_H
#define AIRLORE_SHARD_REPL_H

#include "airlore/mem.h"
#include "keys.h"

#define AL_REPL_MEMBERS_MAX 7u
#define AL_REPL_TAIL_MAX 8192u /* entries above the applied index */
#define AL_REPL_UUID_BYTES 16u

/* A replica: a node and the store it has; an emptied disk is another store. */
struct al_repl_member {
    uint32_t node;
    uint8_t store_uuid[AL_REPL_UUID_BYTES];
};

/* What the leader says of the shard. version grows with every change, epoch with every change of
 * the primary, restore with every restore of the coordination store from a backup. */
struct al_repl_record {
    uint64_t restore; /* from 0 */
    uint64_t epoch;   /* from 1 */
    uint64_t version; /* from 1 */
    struct al_repl_member members[AL_REPL_MEMBERS_MAX];
    uint32_t n_members;
    uint32_t primary;     /* place in members */
    uint32_t in_sync;     /* bit i: members[i] */
    uint32_t min_in_sync; /* from 1 */
};

struct al_repl_epoch {
    uint64_t epoch;
    uint64_t start; /* index of its first entry */
};

/* What the protocol knows of an entry. */
struct al_repl_item {
    uint64_t epoch;
    uint8_t write_id[AL_WRITE_ID_BYTES];
};

/* What the disk holds at a start. */
struct al_repl_disk {
    const struct al_repl_record *record; /* newest seen; NULL: none */
    uint64_t promised;                   /* restore count below which nothing is taken */
    uint64_t log_first;                  /* first index kept; 1 in a new log */
    uint64_t log_last;                   /* 0 in a new log */
    uint64_t applied;
    const struct al_repl_epoch *epochs; /* ascending */
    size_t n_epochs;
    const struct al_repl_item *tail; /* entries (applied, log_last] */
};

enum al_repl_role { AL_REPL_IDLE, AL_REPL_FOLLOWER, AL_REPL_PRIMARY };

struct al_repl_pull {
    uint64_t restore;
    uint64_t epoch;
    uint64_t from;                /* all below is on the follower's disk */
    uint64_t prev_epoch;          /* of entry from - 1; 0 at the beginning */
    struct al_repl_member member; /* who pulls */
};

enum al_repl_reply_kind { AL_REPL_ENTRIES = 1, AL_REPL_CUT = 2, AL_REPL_CHECKPOINT = 3 };

struct al_repl_reply {
    enum al_repl_reply_kind kind;
    uint64_t restore; /* these four as in the pull */
    uint64_t epoch;
    uint64_t from;
    uint64_t prev_epoch;
    uint64_t n;      /* ENTRIES: [from, from + n) */
    uint64_t commit; /* ENTRIES */
    uint64_t floor;  /* ENTRIES: every replica holds the log up to here */
    uint64_t to;     /* CUT: last index to keep; CHECKPOINT: first index that the log still has */
};

/* What the protocol knows of a checkpoint. With it travel the data, the write ids and the outbox at
 * `applied`; the sender's store_uuid, record and promise do not. */
struct al_repl_checkpoint {
    struct al_repl_pull ask; /* the pull that found the log trimmed */
    uint64_t applied;
    const struct al_repl_epoch *epochs; /* ascending, all that start at or below applied */
    size_t n_epochs;
};

enum al_repl_effect_kind {
    AL_REPL_DO_RECORD,    /* sync the record */
    AL_REPL_DO_STEP_DOWN, /* no longer primary of `epoch`: what waits has an unknown outcome */
    AL_REPL_DO_APPEND,    /* write [index, index + n); `noop`: one entry without ops, of `epoch` */
    AL_REPL_DO_TRUNCATE,  /* delete above index, with the epoch starts above it */
    AL_REPL_DO_COMMIT,    /* committed up to index */
    AL_REPL_DO_REPLY,
    AL_REPL_DO_ALTER,   /* ask for `set` at (epoch, version) */
    AL_REPL_DO_FETCH,   /* ask the primary for a checkpoint for `ask`; then al_repl_install or
                           al_repl_fetch_failed */
    AL_REPL_DO_INSTALL, /* the checkpoint becomes the store: log empty, ends at index */
    AL_REPL_DO_PROMISE, /* sync the restore count: nothing below it is taken any more */
    AL_REPL_DO_STOP, /* asked to cut committed entries: a bug somewhere; take no part, resync by a
                        checkpoint */
};

struct al_repl_effect {
    enum al_repl_effect_kind kind;
    uint64_t index;
    uint64_t n;
    uint64_t epoch;
    uint64_t version;
    uint64_t generation; /* APPEND: give it back to al_repl_persisted */
    uint64_t restore;    /* ALTER, PROMISE */
    uint32_t set;
    bool noop;
    struct al_repl_reply reply;
    struct al_repl_pull ask; /* FETCH */
};

#define AL_REPL_EFFECTS_MAX 6u
struct al_repl_effects {
    struct al_repl_effect items[AL_REPL_EFFECTS_MAX];
    size_t n;
};

struct al_repl;

/* Start with what the disk holds (copied). A process never leads on in an epoch that its disk has
 * seen: it waits for the next. *ret owned. */
AL_NODISCARD enum al_code al_repl_create(struct al_mem *mem, const struct al_repl_member *self,
                                         const struct al_repl_disk *disk, struct al_repl **ret,
                                         struct al_err *err);

/* Accepts NULL. */
void al_repl_destroy(struct al_repl *r);

/* A record was read. Older or equal versions change nothing. AL_ABORTED, reasons EPOCH_STALE for a
 * lower epoch (after a restore also for an equal one), RESTORE_STALE for one from before a restore
 * that was promised. *fx is filled anew by each event. */
AL_NODISCARD enum al_code al_repl_record(struct al_repl *r, const struct al_repl_record *rec,
                                         struct al_repl_effects *fx, struct al_err *err);

/* The leader of a coordination store that was restored for the restore-th time asks for the newest
 * record kept. From now on nothing from before is taken: this replica is idle until a record of
 * that restore. *ret borrowed until the next event; NULL: none was ever seen. AL_ABORTED, reason
 * RESTORE_STALE, when a later restore was promised. */
AL_NODISCARD enum al_code al_repl_report(struct al_repl *r, uint64_t restore,
                                         const struct al_repl_record **ret,
                                         struct al_repl_effects *fx, struct al_err *err);

/* Give a write its index. *ret_repeat: an entry above the applied index has this write id already;
 * *ret_index is its index, nothing was appended. AL_UNAVAILABLE (reasons NOT_PRIMARY,
 * NOT_ENOUGH_REPLICAS), AL_RESOURCE_EXHAUSTED (TAIL_FULL). */
AL_NODISCARD enum al_code al_repl_propose(struct al_repl *r,
                                          const uint8_t write_id[AL_WRITE_ID_BYTES],
                                          uint64_t *ret_index, bool *ret_repeat,
                                          struct al_err *err);

/* Entries up to `upto` are synced. generation: al_repl_generation at the time they were handed to
 * the disk. */
void al_repl_persisted(struct al_repl *r, uint64_t generation, uint64_t upto,
                       struct al_repl_effects *fx);

/* A pull arrived: at most n_max entries are offered. AL_UNAVAILABLE, reason NOT_PRIMARY;
 * AL_ABORTED, reasons EPOCH_STALE, RESTORE_STALE, STORE_UUID_MISMATCH. */
AL_NODISCARD enum al_code al_repl_pull(struct al_repl *r, const struct al_repl_pull *p,
                                       uint64_t n_max, struct al_repl_effects *fx,
                                       struct al_err *err);

/* The next pull of a follower; false when there is none (not a follower, the log's tail not
 * synced, a checkpoint under way). */
bool al_repl_next_pull(const struct al_repl *r, struct al_repl_pull *ret);

/* A reply arrived, with the n items it brought; one that is late or came twice changes nothing.
 * AL_INVALID_ARGUMENT when it contradicts itself. */
AL_NODISCARD enum al_code al_repl_reply(struct al_repl *r, const struct al_repl_reply *reply,
                                        const struct al_repl_item *items,
                                        struct al_repl_effects *fx, struct al_err *err);

/* Entries up to `upto` (at most the commit index) are applied. */
void al_repl_applied(struct al_repl *r, uint64_t upto);

/* ---- trimming, and catching up from far ---- */

/* The last index that the log need not keep: what is applied here, lies below cover (the oldest
 * entry that a persisted segment or the store still needs from the log, less one; UINT64_MAX: none
 * does) and is on the disk of every replica, as far as is known here. bound: entries up to it are
 * beyond the log's limit of bytes or time; for them the last condition falls, and a replica that
 * lags is left to a checkpoint. */
uint64_t al_repl_trim_floor(const struct al_repl *r, uint64_t cover, uint64_t bound);

/* The log below `first` is gone (first at most applied + 1), in one batch with, or after, what
 * applied it. Epoch starts stay. */
void al_repl_trimmed(struct al_repl *r, uint64_t first);

/* The primary: what a checkpoint taken now (of the data at the applied index) carries of the log.
 * ret->epochs borrowed until the next event. Codes of al_repl_pull. */
AL_NODISCARD enum al_code al_repl_checkpoint(const struct al_repl *r,
                                             const struct al_repl_pull *ask,
                                             struct al_repl_checkpoint *ret, struct al_err *err);

/* The follower: a checkpoint is complete on this machine. It is installed only in the epoch, and
 * onto the log end, for which it was asked: AL_ABORTED, reason CHECKPOINT_STALE, otherwise.
 * AL_INVALID_ARGUMENT, reason BAD_CHECKPOINT, when it contradicts itself. */
AL_NODISCARD enum al_code al_repl_install(struct al_repl *r, const struct al_repl_checkpoint *c,
                                          struct al_repl_effects *fx, struct al_err *err);

/* It did not come: pulls go on. An ask that is not the one under way changes nothing. */
void al_repl_fetch_failed(struct al_repl *r, const struct al_repl_pull *ask);

/* ---- the in-sync set ---- */

/* Ask for another in-sync set (bits of members). While the outcome is unknown commits need the
 * union. Asking for the set that is there gives up an earlier request. AL_FAILED_PRECONDITION: not
 * primary, not caught up, another request under way. */
AL_NODISCARD enum al_code al_repl_ask_set(struct al_repl *r, uint32_t set,
                                          struct al_repl_effects *fx, struct al_err *err);

/* A linearizable read: begin, ask each node of need to al_repl_confirm, report to
 * al_repl_read_confirmed; when need is 0 read the applied data, then check al_repl_read_holds. */
struct al_repl_read {
    uint64_t restore;
    uint64_t epoch;
    uint64_t arrangement; /* of the members */
    uint32_t need;        /* bits of members */
};
/* AL_UNAVAILABLE: not primary, or the epoch's first entry is not applied yet. */
AL_NODISCARD enum al_code al_repl_read_begin(const struct al_repl *r, struct al_repl_read *ret,
                                             struct al_err *err);
void al_repl_read_confirmed(const struct al_repl *r, struct al_repl_read *rd,
                            const struct al_repl_member *by);
bool al_repl_read_holds(const struct al_repl *r, const struct al_repl_read *rd);
/* A peer: whether the newest epoch seen is this one, and no later restore was promised. */
bool al_repl_confirm(const struct al_repl *r, uint64_t restore, uint64_t epoch);

/* ---- state ---- */

enum al_repl_role al_repl_role(const struct al_repl *r);
/* Only this replica counts, and it may commit alone: log and data may share a batch. */
bool al_repl_is_alone(const struct al_repl *r);
uint64_t al_repl_epoch(const struct al_repl *r);   /* newest seen */
uint64_t al_repl_version(const struct al_repl *r); /* of the newest record seen */
uint64_t al_repl_last(const struct al_repl *r);
uint64_t al_repl_commit(const struct al_repl *r);
uint64_t al_repl_applied_index(const struct al_repl *r);
uint64_t al_repl_log_first(const struct al_repl *r);
uint64_t al_repl_generation(const struct al_repl *r);
/* Epoch of an entry; 0 for index 0 and above the end. */
uint64_t al_repl_epoch_at(const struct al_repl *r, uint64_t index);

#ifdef AL_REPL_PLANTED
/* Rules taken out, so that a test of the tests can see them missed. Only in the simulator's own
 * build. */
enum al_repl_planted_bug {
    AL_REPL_BUG_OLD_ACK = 1,         /* a pull of an older epoch counts */
    AL_REPL_BUG_NO_UNION,            /* a set asked for does not count */
    AL_REPL_BUG_KEEP_ACKS,           /* acknowledgements outlive the epoch */
    AL_REPL_BUG_RESTART_LEADS,       /* a restarted primary goes on */
    AL_REPL_BUG_CUT_BY_INDEX,        /* logs are compared by length only */
    AL_REPL_BUG_NO_MATCH,            /* a pull counts although the logs differ */
    AL_REPL_BUG_NO_ECHO,             /* late replies are used */
    AL_REPL_BUG_UNSYNCED_PULL,       /* pulls before the tail is synced */
    AL_REPL_BUG_BELOW_MIN,           /* commits below min_in_sync */
    AL_REPL_BUG_NO_DEDUPE,           /* write ids of the tail are not looked at */
    AL_REPL_BUG_READ_EARLY,          /* reads before the epoch's first entry is applied */
    AL_REPL_BUG_READ_UNCONFIRMED,    /* reads without asking the others */
    AL_REPL_BUG_STORE_UNCHECKED,     /* pulls of an emptied disk count */
    AL_REPL_BUG_TRIM_UNAPPLIED,      /* the log is trimmed above what is applied */
    AL_REPL_BUG_TRIM_EPOCHS,         /* epoch starts go with the entries */
    AL_REPL_BUG_INSTALL_LATE,        /* a checkpoint is installed whatever it was asked for */
    AL_REPL_BUG_INSTALL_NO_EPOCHS,   /* a checkpoint leaves the epoch starts as they were */
    AL_REPL_BUG_INSTALL_UNCOMMITTED, /* a checkpoint is offered at the end of the log */
    AL_REPL_BUG_PROMISE_BROKEN,      /* records from before a restore are taken after a report */
    AL_REPL_BUG_PROMISE_FORGOTTEN,   /* a restart forgets the promise */
    AL_REPL_BUG_COUNT,
};
extern enum al_repl_planted_bug al_repl_planted;
#endif

AL_DEFINE_AUTO(al_repl);

#endif
