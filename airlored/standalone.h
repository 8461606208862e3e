/* standalone.h - the whole server in one process: data folder, shards, coordinator, gRPC, HTTP.
 *
 * Thread:    main thread; the process has its signals blocked already.
 * Lifecycle: start -> drain -> destroy. Parts are made in order and end in reverse.
 */
#ifndef AIRLORE_AIRLORED_STANDALONE_H
#define AIRLORE_AIRLORED_STANDALONE_H

#include "airlore/log.h"
#include "settings.h"

struct al_standalone;

/* Open everything and serve. settings and log borrowed until destroy. *ret owned:
 * al_standalone_destroy. */
AL_NODISCARD enum al_code al_standalone_start(const struct al_settings *settings,
                                              struct al_log *log, struct al_standalone **ret,
                                              struct al_err *err);

/* Where it listens, with the ports really bound; borrowed. */
const char *al_standalone_grpc(const struct al_standalone *s);
const char *al_standalone_http(const struct al_standalone *s);

/* Refuse new requests, let those in flight end within the configured grace. True if they did. */
bool al_standalone_drain(struct al_standalone *s);

/* End what still runs, free. Accepts NULL. */
void al_standalone_destroy(struct al_standalone *s);

AL_DEFINE_AUTO(al_standalone);

#endif
