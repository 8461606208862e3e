/* airlore/coordinator.h - the part of the server that clients talk to: authentication, the public
 * services, jobs.
 *
 * Thread:    any thread.
 * Lifecycle: create -> register (services and hooks) -> ... -> stop (ends jobs) -> destroy, after
 * the rpc server has stopped.
 */
#ifndef AIRLORE_COORDINATOR_H
#define AIRLORE_COORDINATOR_H

#include "airlore/directory.h"
#include "airlore/embedder.h"
#include "airlore/router.h"
#include "airlore/rpc_server.h"

struct al_coordinator;
struct al_coord;

struct al_coordinator_options {
    struct al_router *router; /* all borrowed until destroy */
    struct al_shard_port *system;
    const struct al_embedder *embedder;
    struct al_coord *coord; /* coordination store: job queue */
    struct al_clock *clock;
    struct al_random *random;
    struct al_mem *mem;
    struct al_log *log;
    struct al_metrics *metrics;
    struct al_quota default_quota;
    size_t message_bytes_max; /* of the rpc server; 0: 16 MiB */
    const char *data_dir;     /* for disk figures of the status */
    const char *server_name;
    const char *version;
    const char *commit;
    const char *role; /* "standalone" */
};

/* Open the directory; makes the team "default" on first start. *ret owned. */
AL_NODISCARD enum al_code al_coordinator_create(const struct al_coordinator_options *opt,
                                                struct al_coordinator **ret, struct al_err *err);

/* The hooks to give to al_rpc_server_create. */
struct al_rpc_hooks al_coordinator_hooks(struct al_coordinator *c);

/* Add the public services. */
AL_NODISCARD enum al_code al_coordinator_register(struct al_coordinator *c, struct al_rpc_server *s,
                                                  struct al_err *err);

/* End the job runner; idempotent. */
void al_coordinator_stop(struct al_coordinator *c);

/* Accepts NULL. */
void al_coordinator_destroy(struct al_coordinator *c);

/* Who there is; borrowed. */
struct al_directory *al_coordinator_directory(struct al_coordinator *c);

AL_DEFINE_AUTO(al_coordinator);

#endif
