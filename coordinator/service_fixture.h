/* service_fixture.h - a whole coordinator as its clients meet it, for the tests of the handlers:
 * shards that can be made to fail, an rpc server on a free port of 127.0.0.1, and a channel.
 *
 * Thread: confined to one thread.
 */
#ifndef AIRLORE_COORDINATOR_SERVICE_FIXTURE_H
#define AIRLORE_COORDINATOR_SERVICE_FIXTURE_H

#include "airlore/rpc_client.h"
#include "core_fixture.h"
#include "fault_port.h"
#include "service.h"

struct service {
    struct core core;
    struct fault_port fault[CORE_SHARDS_MAX];
    struct al_shard_port *ports[CORE_SHARDS_MAX];
    struct al_router router;
    struct al_coord *coord;
    struct al_coordinator *c;
    struct al_rpc_server *server;
    struct al_rpc_channel *channel;
    struct al_arena arena; /* of keys, requests and replies; lives as long as the fixture */
    struct al_err err;     /* of the last call */
};

/* 0 and NULL: the defaults. */
struct service_options {
    size_t n_shards;
    size_t message_bytes_max;
    struct al_quota quota;
};

/* Start all of it; fails the test on any error. opt may be NULL. */
void service_open(struct service *s, const struct service_options *opt);

void service_close(struct service *s);

/* The text of a fresh key; team and deployment ("": none) are made if they are not there. readable:
 * a further team it may read, or NULL. In the arena. */
const char *service_key(struct service *s, const char *team, const char *deployment,
                        enum al_role role, const char *readable);

/* A unary call of the admin service; as service_call. */
enum al_code service_admin(struct service *s, const char *key, const char *method,
                           const ProtobufCMessage *req, void *ret);

/* Open a stream of the admin service and send its one message; fails the test on any error. */
struct al_rpc_stream *service_admin_stream(struct service *s, const char *key, const char *method,
                                           const ProtobufCMessage *req);

/* A unary call of the knowledge service; gives its code, the reply through ret (NULL on error) and
 * s->err. */
enum al_code service_call(struct service *s, const char *key, const char *method,
                          const ProtobufCMessage *req, void *ret);

/* Ingest one text as it stands, with the default visibility of the key; fails the test on any
 * error. */
void service_put(struct service *s, const char *key, const char *id, const char *text);

/* The same with all fields of an item and the options of the stream; gives the result. */
const Airlore__V1__IngestResult *service_ingest(struct service *s, const char *key,
                                                Airlore__V1__IngestOptions *options,
                                                Airlore__V1__IngestItem *item);

/* n times 't', in the arena. */
char *service_text(struct service *s, size_t n);

/* Fail the test unless code is the one wanted and, if a reason is given, s->err has it. */
void service_expect(struct service *s, const char *name, enum al_code code, enum al_code want,
                    const char *reason);

#endif
