/* shard_set.h - the shards of this process: those of documents, and the one of the server's own
 * rows.
 *
 * Thread:    open and close: serialized by the caller. The rest: any thread.
 * Lifecycle: open -> close (refuses new work) -> destroy.
 */
#ifndef AIRLORE_AIRLORED_SHARD_SET_H
#define AIRLORE_AIRLORED_SHARD_SET_H

#include "airlore/router.h"
#include "data_folder.h"
#include "settings.h"

#define AL_SHARD_SYSTEM 65535u /* number of the shard of the server's own rows */

struct al_shard_set;

struct al_shard_set_options {
    const struct al_settings *settings; /* all borrowed until destroy */
    const struct al_data_folder *folder;
    const char *embedder_id;
    uint32_t dim;
    struct al_mem *mem;
    struct al_disk *disk;
    struct al_clock *clock;
    struct al_log *log;
    struct al_metrics *metrics;
};

/* Open or make DATA/system and DATA/shards/0000 and up, and register their gauges. *ret owned:
 * al_shard_set_destroy. Codes of al_shard_open. */
AL_NODISCARD enum al_code al_shard_set_open(const struct al_shard_set_options *opt,
                                            struct al_shard_set **ret, struct al_err *err);

/* Refuse new work. Idempotent. */
void al_shard_set_close(struct al_shard_set *s);

/* close, wait, free; accepts NULL. */
void al_shard_set_destroy(struct al_shard_set *s);

/* The shards of documents; borrowed. */
struct al_router *al_shard_set_router(struct al_shard_set *s);

/* The shard of the server's own rows; borrowed. */
struct al_shard_port *al_shard_set_system(struct al_shard_set *s);

/* Set the gauges to what the shards say now. */
void al_shard_set_measure(struct al_shard_set *s);

/* Whether all take writes; why not, as a line, into why. */
bool al_shard_set_is_writable(struct al_shard_set *s, char *why, size_t n);

AL_DEFINE_AUTO(al_shard_set);

#endif
