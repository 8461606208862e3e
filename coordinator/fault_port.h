/* fault_port.h - a shard that fails when told: a port in front of another one, for tests.
 *
 * Thread: serialized by the caller; what it forwards to is the inner port's business.
 */
#ifndef AIRLORE_COORDINATOR_FAULT_PORT_H
#define AIRLORE_COORDINATOR_FAULT_PORT_H

#include "airlore/shard_port.h"

enum fault_call {
    FAULT_WRITE = 1,
    FAULT_WAIT = 2,
    FAULT_GET_DOC = 4,
    FAULT_LIST = 8,
    FAULT_ROW = 16,
    FAULT_STATS = 32,
    FAULT_LEGS = 64,
    FAULT_SCORE = 128,
    FAULT_EXPLAIN = 256,
    FAULT_ALL = 511,
};

struct fault_port {
    struct al_shard_port port;
    struct al_shard_port *inner; /* borrowed */
    unsigned fails;              /* which calls */
    unsigned after;              /* so many of them pass first */
    enum al_code code;           /* AL_OK: none fails */
    const char *reason;          /* NULL: the code's name */
    bool lose_answers; /* writes that fail are done, but nobody hears of it: OUTCOME_UNKNOWN */
    bool no_deadline;  /* of writes: the user's clock is another one than the shard's */
    unsigned n_failed;
};

/* Pass everything on. */
void al_fault_port_init(struct fault_port *f, struct al_shard_port *inner);

#endif
