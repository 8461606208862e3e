/* core_fixture.h - shards in memory with a router over them, for the tests of the coordinator.
 *
 * Thread: confined to one thread.
 */
#ifndef AIRLORE_COORDINATOR_CORE_FIXTURE_H
#define AIRLORE_COORDINATOR_CORE_FIXTURE_H

#include "airlore/directory.h"
#include "airlore/embedder.h"
#include "airlore/ingest.h"
#include "airlore/items.h"
#include "airlore/query.h"
#include "airlore/router.h"

#define CORE_SHARDS_MAX 8u

struct core {
    char dir[256];
    struct al_shard *shard[CORE_SHARDS_MAX];
    struct al_shard_port *port[CORE_SHARDS_MAX];
    struct al_shard *system_shard;
    struct al_shard_port *system;
    struct al_router router;
    struct al_embedder *embedder;
    struct al_directory *directory;
    struct al_once_book *once;
    struct al_seeded_random random;
    struct al_arena arena;
};

/* Open n shards and the system shard in a fresh folder; fails the test on any error. */
void core_open(struct core *c, size_t n);

/* Close and open again what is on disk. */
void core_reopen(struct core *c);

void core_close(struct core *c);

/* Put one text document into a space; fails the test on any error. Gives the outcome. */
enum al_outcome core_put(struct core *c, uint32_t space, const char *id, const char *title,
                         const char *text);

/* Search the spaces; fails the test on any error. Result in the arena. */
struct al_query_result core_search(struct core *c, const char *text, enum al_search_mode mode,
                                   uint32_t k, const uint32_t *spaces, size_t n_spaces);

/* A credential of a fresh key; fails the test on any error. */
const struct al_credential *core_key(struct core *c, const char *team, const char *deployment,
                                     enum al_role role);

#endif
