/* repl_sim.h - three replicas of a shard on a bad network, with crashes, an emptied disk, trimmed
 * logs, and a leader that changes primaries and sets and whose store may be restored from a backup.
 *
 * One thread on virtual time: each step picks one thing that may happen; after it the invariants of
 * the protocol are checked. Messages go through the simulated network of lib/base. A run is made by
 * its seed.
 *
 * Files: repl_sim_node.c (the driver of a replica), repl_sim_leader.c, repl_sim_check.c (the
 * invariants), repl_sim_test.c (the runs).
 *
 * Thread: confined to one thread.
 */
#ifndef AIRLORE_SHARD_REPL_SIM_H
#define AIRLORE_SHARD_REPL_SIM_H

#include "airlore/peers.h"
#include "airlore/testing.h"
#include "repl.h"

#define NODES 3u
#define LEADER NODES /* its place in the network */
#define LOG_MAX 128u
#define IN_FLIGHT_MAX 60u
#define VERSIONS_MAX 96u
#define WRITES_MAX 40u
#define BATCH_MAX 4u
#define RESTORES_MAX 2u
#define ACTIONS 16u

struct sim;

struct node {
    struct sim *sim;
    uint32_t number;
    struct al_repl *r; /* NULL: down */
    struct al_repl_member self;
    struct al_peers *peers;
    /* disk; what lies below `first` is known from the data only */
    struct al_repl_item log[LOG_MAX + 1]; /* from 1 */
    uint64_t first;
    uint64_t len; /* with what is not synced yet */
    uint64_t synced;
    bool has_record;
    struct al_repl_record record;
    uint64_t promised;
    uint64_t applied; /* may be undone by a crash down to applied_synced */
    uint64_t applied_synced;
    /* a sync under way */
    bool syncing;
    uint64_t sync_generation;
    uint64_t sync_upto;
    /* what the last process did, for the checks */
    uint64_t commit;
    bool reading;
    struct al_repl_read read;
    uint64_t read_floor;
    struct al_repl_pull ask; /* of the checkpoint asked for last */
};

/* What travels. Requests: */
enum request_kind { PULL, FETCH, ALTER };
struct request {
    enum request_kind kind;
    struct al_repl_pull pull; /* PULL, FETCH */
    uint64_t restore;         /* ALTER */
    uint64_t epoch;
    uint64_t version;
    uint32_t set;
};
/* Answer of PULL. */
struct entries {
    struct al_repl_reply reply;
    struct al_repl_item items[BATCH_MAX];
};
/* Answer of FETCH: the data are the entries applied. */
struct checkpoint {
    struct al_repl_pull ask;
    uint64_t applied;
    size_t n_epochs;
    struct al_repl_epoch epochs[LOG_MAX];
    struct al_repl_item items[LOG_MAX + 1];
};

struct sim {
    struct al_seeded_random random;
    struct al_seeded_random weather; /* of the network: its own, so that runs are alike */
    struct al_fake_clock clock;
    struct al_sim_net *net;
    struct node nodes[NODES];
    struct al_repl_record history[VERSIONS_MAX]; /* every record there ever was */
    size_t n_history;
    size_t truth; /* etcd's */
    /* a restore of etcd */
    uint64_t restore;
    uint32_t awaited; /* bits of the nodes that have not reported yet; the leader waits */
    bool has_best;
    struct al_repl_record best; /* newest reported */
    /* ghosts */
    struct al_repl_item committed[LOG_MAX + 1];
    uint64_t n_committed;
    uint32_t committer[VERSIONS_MAX + 1]; /* of an epoch: node + 1 */
    uint64_t seen_writes;                 /* acknowledged or read */
    bool acked[WRITES_MAX + 1];
    uint64_t n_acked;
    uint64_t n_installed;
    uint64_t n_trimmed;
    uint32_t weights[ACTIONS];
    uint64_t weight_sum;
    bool wiped;
    bool story;
    char violation[200];
};

/* The first violation of a run is kept. */
__attribute__((format(printf, 2, 3))) void sim_violate(struct sim *s, const char *fmt, ...);
/* Part of the story of a run, if it is told. */
__attribute__((format(printf, 2, 3))) void sim_tell(const struct sim *s, const char *fmt, ...);
/* A number below n, from the seed. */
uint64_t sim_below(struct sim *s, uint64_t n);

bool sim_same_item(const struct al_repl_item *a, const struct al_repl_item *b);
/* The write of an entry; 0: none. */
uint32_t sim_write_of(const struct al_repl_item *i);
/* What etcd says of the shard. */
const struct al_repl_record *sim_truth(const struct sim *s);
/* Whether that names this node's store. */
bool sim_is_named(const struct sim *s, uint32_t node);

/* ---- the invariants ---- */

/* Writes among the committed entries up to an index. */
uint64_t sim_count_writes(const struct sim *s, uint64_t upto);
/* A node says that all up to index is committed. */
void sim_note_commit(struct sim *s, uint32_t n, uint64_t index);
/* What must hold after every step. */
void sim_check(struct sim *s);

/* ---- the nodes: each is one thing that may happen ---- */

/* A process begins on what the disk holds. */
void sim_start(struct sim *s, uint32_t n);
void sim_learn(struct sim *s, uint32_t n);
void sim_propose(struct sim *s, uint32_t n);
void sim_sync_log(struct sim *s, uint32_t n);
void sim_apply(struct sim *s, uint32_t n);
void sim_pull(struct sim *s, uint32_t n);
void sim_crash(struct sim *s, uint32_t n);
void sim_wipe(struct sim *s, uint32_t n);
void sim_ask_set(struct sim *s, uint32_t n);
void sim_read(struct sim *s, uint32_t n);
void sim_trim(struct sim *s, uint32_t n);
/* A node is asked for the newest record it keeps, after a restore of etcd. */
void sim_report(struct sim *s, uint32_t n);

/* ---- the leader ---- */

/* It serves AlterInSync. */
void sim_leader_start(struct sim *s);
void sim_change_primary(struct sim *s, uint32_t n);
/* An emptied disk leaves the set before its new store is named. */
void sim_name_new_store(struct sim *s, uint32_t n);
/* etcd is taken back to an older record. */
void sim_restore(struct sim *s, uint32_t n);
/* What a node reported. */
void sim_take_report(struct sim *s, uint32_t n, const struct al_repl_record *rec);

#endif
