/* quota.h - what teams and deployments may store: asked before an item is written, from the shards'
 * own counters.
 *
 * The counters are written in the batch of what they count (al_shard_get_use), so nothing here can
 * drift or get lost. What is on its way through this coordinator is added until it is committed or
 * has failed, so that streams cannot pass a limit together; and an item is refused only when
 * nothing is on its way any more (waited for at most 2 s). A document that is deleted while its
 * replacement is on its way can make the latter exceed by its old size. Two coordinators of a
 * cluster do not see what is on its way through each other.
 *
 * Thread: any thread (internally locked).
 */
#ifndef AIRLORE_COORDINATOR_QUOTA_H
#define AIRLORE_COORDINATOR_QUOTA_H

#include "airlore/router.h"
#include "ratelimit.h"

struct al_storage_quota;

struct al_storage_quota_options {
    struct al_directory *directory; /* borrowed, so the next two */
    const struct al_router *router;
    struct al_mem *mem;
    struct al_quota_metrics metrics;
};

/* *ret owned. */
AL_NODISCARD enum al_code al_storage_quota_create(const struct al_storage_quota_options *opt,
                                                  struct al_storage_quota **ret,
                                                  struct al_err *err);

/* Accepts NULL. */
void al_storage_quota_destroy(struct al_storage_quota *q);

/* What is on its way; zero-initialised. */
struct al_storage_hold {
    uint32_t space;
    uint64_t items;
    uint64_t bytes;
};

/* Make room for one document. AL_RESOURCE_EXHAUSTED, reason QUOTA_EXCEEDED; *ret then holds
 * nothing. Replacing a document takes no item and only the bytes by which it grows. Costs nothing
 * while nobody has a quota. */
AL_NODISCARD enum al_code al_storage_quota_hold(struct al_storage_quota *q, const struct al_doc *d,
                                                struct al_storage_hold *ret, struct al_err *err);

/* It is committed, or never will be. */
void al_storage_quota_release(struct al_storage_quota *q, struct al_storage_hold *h);

/* What spaces hold, summed over the shards. */
AL_NODISCARD enum al_code al_storage_use(const struct al_router *r, const uint32_t *spaces,
                                         size_t n_spaces, struct al_space_use *ret,
                                         struct al_err *err);

AL_DEFINE_AUTO(al_storage_quota);

#endif
