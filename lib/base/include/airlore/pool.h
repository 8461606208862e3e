/* airlore/pool.h - a bounded pool of worker threads.
 *
 * Thread:    any thread.
 * Lifecycle: create -> submit* -> close (idempotent, refuses new work) -> stop (waits) -> destroy.
 * Errors:    a full queue answers AL_RESOURCE_EXHAUSTED (reason QUEUE_FULL) at once: back-pressure,
 * never waiting.
 */
#ifndef AIRLORE_POOL_H
#define AIRLORE_POOL_H

#include "airlore/mem.h"
#include "airlore/metrics.h"

struct al_pool;

struct al_pool_options {
    const char *name; /* threads are called "<name>-<n>", at most 12 characters; borrowed forever */
    uint32_t n_threads;         /* 1 to 1,024 */
    uint32_t queue_max;         /* tasks waiting, not counting those running; 1 to 1,048,576 */
    struct al_mem *mem;         /* borrowed; NULL: standard */
    struct al_metrics *metrics; /* borrowed; NULL: none. Gauge of queue length, counter of refusals,
                                   labelled by name */
};

/* Start the threads (signals blocked in them). *ret owned: close, stop, destroy. */
AL_NODISCARD enum al_code al_pool_create(const struct al_pool_options *opt, struct al_pool **ret,
                                         struct al_err *err);

/* Run fn(u) on some thread, in order of submission per thread. u moved on AL_OK only.
 * AL_UNAVAILABLE after close. */
AL_NODISCARD enum al_code al_pool_submit(struct al_pool *p, void (*fn)(void *u), void *u,
                                         struct al_err *err);

/* Refuse new work; what is queued still runs. */
void al_pool_close(struct al_pool *p);

/* Wait until all is done and the threads have ended. Never from a pool thread. */
void al_pool_stop(struct al_pool *p);

/* close, stop and free; accepts NULL. */
void al_pool_destroy(struct al_pool *p);

/* A thread with a name (cut at 15 characters) and all signals blocked but those of its own faults;
 * join it with pthread_join. AL_RESOURCE_EXHAUSTED when the system has no more threads. */
AL_NODISCARD enum al_code al_thread_start(const char *name, void *(*fn)(void *u), void *u,
                                          unsigned long *ret_thread, struct al_err *err);

AL_DEFINE_AUTO(al_pool);

#endif
