/* conformance.h - what every back end of the coordination store must do; run by the back end's own
 * test with its factory.
 *
 * Thread: confined to one thread.
 */
#ifndef AIRLORE_COORD_CONFORMANCE_H
#define AIRLORE_COORD_CONFORMANCE_H

#include "airlore/coord.h"
#include "airlore/election.h"
#include "airlore/queue.h"
#include "airlore/testing.h"

enum al_coord_world_fault {
    AL_WORLD_UNKNOWN_APPLIED = 1,
    AL_WORLD_UNKNOWN_LOST = 2,
};

/* One empty store, and the power over it that a test needs. create and open fail the test when they
 * fail. */
struct al_coord_world {
    struct al_clock *clock;
    struct al_coord *(*open)(struct al_coord_world *w);     /* one more client */
    void (*step_ms)(struct al_coord_world *w, uint64_t ms); /* let time pass; by hand or really */
    void (*settle)(struct al_coord_world *w,
                   struct al_coord *c); /* what was changed before is told to c's watches */
    void (*cut_off)(struct al_coord_world *w, struct al_coord *c, bool cut_off);
    /* The next writing transaction of c fails so. NULL: this world cannot. */
    void (*fail_next)(struct al_coord_world *w, struct al_coord *c, enum al_coord_world_fault f);
    void (*destroy)(struct al_coord_world *w); /* all its clients are closed */
};

struct al_coord_factory {
    const char *name;
    struct al_coord_world *(*create)(void);
};

/* Run all; the number of failed tests. */
int al_coord_conformance_run(const struct al_coord_factory *f);

/* ---- between the files of the suite ---- */

/* The factory of the tests under way. */
extern const struct al_coord_factory *al_conformance_factory;

#define AL_CONFORMANCE_ARENA ((size_t)8 << 20)

/* A world with two clients, and an arena. */
struct al_conformance {
    struct al_coord_world *world;
    struct al_coord *a;
    struct al_coord *b;
    struct al_arena arena;
    struct al_coord_result res; /* of the last transaction */
};

/* Set up and take down. */
void al_conformance_init(struct al_conformance *t);
void al_conformance_fini(struct al_conformance *t);

/* Run a transaction; the code. */
enum al_code al_conformance_txn(struct al_conformance *t, struct al_coord *c,
                                const struct al_coord_txn *txn, struct al_err *err);

/* Put, which must succeed; its revision. */
int64_t al_conformance_put(struct al_conformance *t, struct al_coord *c, const char *key,
                           const char *value, uint64_t lease);

/* Get; NULL when absent. */
const struct al_coord_kv *al_conformance_get(struct al_conformance *t, struct al_coord *c,
                                             const char *key);

/* Delete; its revision. */
int64_t al_conformance_delete(struct al_conformance *t, struct al_coord *c, const char *key);

/* Now plus a minute. */
uint64_t al_conformance_deadline(struct al_conformance *t);

/* The tests of each file. */
extern const struct CMUnitTest al_conformance_txn_tests[];
extern const size_t al_conformance_n_txn_tests;
extern const struct CMUnitTest al_conformance_watch_tests[];
extern const size_t al_conformance_n_watch_tests;
extern const struct CMUnitTest al_conformance_role_tests[];
extern const size_t al_conformance_n_role_tests;

#endif
