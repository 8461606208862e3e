#include "service_fixture.h"

#include <stdio.h>

#include "airlore/coord_mem.h"
#include "airlore/proto_descriptors.h"
#include "airlore/testing.h"

static void start_coordinator(struct service *s, const struct service_options *opt)
{
    struct al_err err = {0};
    AL_CHECK_OK(al_coord_mem_open(NULL, &s->coord, &err), err);
    struct al_coordinator_options o = {.router = &s->router,
                                       .system = s->core.system,
                                       .embedder = s->core.embedder,
                                       .coord = s->coord,
                                       .clock = al_clock_system(),
                                       .random = &s->core.random.random,
                                       .default_quota = opt->quota,
                                       .message_bytes_max = opt->message_bytes_max,
                                       .server_name = "test",
                                       .version = "0",
                                       .commit = "0",
                                       .role = "standalone"};
    AL_CHECK_OK(al_coordinator_create(&o, &s->c, &err), err);
}

static void start_server(struct service *s, const struct service_options *opt)
{
    struct al_err err = {0};
    uint16_t port;
    char target[64];
    struct al_rpc_server_options o = {.descriptor_set = al_proto_descriptor_set,
                                      .descriptor_set_bytes = al_proto_descriptor_set_size,
                                      .pool_threads = 2,
                                      .message_bytes_max = (uint32_t)opt->message_bytes_max,
                                      .hooks = al_coordinator_hooks(s->c)};
    AL_CHECK_OK(al_rpc_server_create(&o, &s->server, &err), err);
    AL_CHECK_OK(al_coordinator_register(s->c, s->server, &err), err);
    AL_CHECK_OK(al_rpc_server_listen(s->server, "127.0.0.1:0", NULL, &port, &err), err);
    AL_CHECK_OK(al_rpc_server_start(s->server, &err), err);
    snprintf(target, sizeof target, "127.0.0.1:%u", port);
    struct al_rpc_channel_options c = {.target = target};
    AL_CHECK_OK(al_rpc_channel_create(&c, &s->channel, &err), err);
}

void service_open(struct service *s, const struct service_options *opt)
{
    static const struct service_options none;
    opt = opt ? opt : &none;
    *s = (struct service){0};
    size_t n = opt->n_shards ? opt->n_shards : 2;
    core_open(&s->core, n);
    al_arena_init(&s->arena, NULL, (size_t)512 << 20);
    for (size_t i = 0; i < n; i++) {
        al_fault_port_init(&s->fault[i], s->core.port[i]);
        s->ports[i] = &s->fault[i].port;
    }
    s->router = (struct al_router){s->ports, n};
    start_coordinator(s, opt);
    start_server(s, opt);
}

void service_close(struct service *s)
{
    al_rpc_channel_destroy(s->channel);
    al_rpc_server_stop(s->server, 10000);
    al_rpc_server_destroy(s->server);
    al_coordinator_destroy(s->c);
    al_coord_close(s->coord);
    al_arena_fini(&s->arena);
    core_close(&s->core);
}

const char *service_key(struct service *s, const char *team, const char *deployment,
                        enum al_role role, const char *readable)
{
    struct al_directory *d = al_coordinator_directory(s->c);
    struct al_err err = {0};
    struct al_team t;
    struct al_deployment dep;
    struct al_key want = {.role = role};
    char names[1][AL_NAME_BYTES_MAX + 1];
    if (al_directory_get_team(d, team, &t, NULL) != AL_OK)
        AL_CHECK_OK(al_directory_add_team(d, team, &t, &err), err);
    if (deployment[0]) {
        enum al_code c = al_directory_add_deployment(d, team, deployment, &dep, &err);
        assert_true(c == AL_OK || c == AL_ALREADY_EXISTS);
    }
    snprintf(want.team, sizeof want.team, "%s", team);
    snprintf(want.deployment, sizeof want.deployment, "%s", deployment);
    if (readable) {
        snprintf(names[0], sizeof names[0], "%s", readable);
        want.readable = names;
        want.n_readable = 1;
    }
    char *text = al_arena_zalloc(&s->arena, AL_KEY_TEXT_MAX);
    struct al_key k;
    assert_non_null(text);
    AL_CHECK_OK(al_directory_add_key(d, &want, text, &k, &err), err);
    return text;
}

static struct al_rpc_header bearer(struct service *s, const char *key)
{
    char *value = al_arena_printf(&s->arena, "Bearer %s", key);
    assert_non_null(value);
    return (struct al_rpc_header){.key = "authorization", .value = value};
}

static enum al_code unary(struct service *s, const char *key, struct al_rpc_request *r, void *ret)
{
    struct al_rpc_header header = bearer(s, key);
    ProtobufCMessage *reply = NULL;
    r->timeout_ms = 30000;
    r->headers = &header;
    r->n_headers = 1;
    s->err = (struct al_err){0};
    enum al_code code = al_rpc_unary(s->channel, r, &s->arena, &reply, &s->err);
    r->headers = NULL;
    r->n_headers = 0;
    void *out = code == AL_OK ? reply : NULL;
    memcpy(ret, &out, sizeof out);
    return code;
}

enum al_code service_call(struct service *s, const char *key, const char *method,
                          const ProtobufCMessage *req, void *ret)
{
    struct al_rpc_request r = {
        .service = &airlore__v1__knowledge_service__descriptor, .method = method, .message = req};
    return unary(s, key, &r, ret);
}

enum al_code service_admin(struct service *s, const char *key, const char *method,
                           const ProtobufCMessage *req, void *ret)
{
    struct al_rpc_request r = {
        .service = &airlore__v1__admin_service__descriptor, .method = method, .message = req};
    return unary(s, key, &r, ret);
}

struct al_rpc_stream *service_admin_stream(struct service *s, const char *key, const char *method,
                                           const ProtobufCMessage *req)
{
    struct al_rpc_header header = bearer(s, key);
    struct al_rpc_request r = {.service = &airlore__v1__admin_service__descriptor,
                               .method = method,
                               .timeout_ms = 30000,
                               .headers = &header,
                               .n_headers = 1};
    struct al_rpc_stream *stream = NULL;
    AL_CHECK_OK(al_rpc_stream_open(s->channel, &r, &stream, &s->err), s->err);
    AL_CHECK_OK(al_rpc_stream_write(stream, req, &s->err), s->err);
    AL_CHECK_OK(al_rpc_stream_writes_done(stream, &s->err), s->err);
    return stream;
}

static Airlore__V1__IngestResponse *read_one(struct service *s, struct al_rpc_stream *stream)
{
    ProtobufCMessage *m = NULL;
    AL_CHECK_OK(al_rpc_stream_read(stream, &m, &s->err), s->err);
    assert_non_null(m);
    return (Airlore__V1__IngestResponse *)m;
}

/* What is read is gone at the next read. */
static const Airlore__V1__IngestResult *keep(struct service *s, const Airlore__V1__IngestResult *r)
{
    struct al_err e = {0};
    Airlore__V1__IngestResult *m = al_msg_new(&s->arena, &airlore__v1__ingest_result__descriptor);
    assert_non_null(m);
    m->outcome = r->outcome;
    m->chunks = r->chunks;
    m->redactions = r->redactions;
    m->sequence = r->sequence;
    m->token = al_msg_str(&s->arena, al_str_c(r->token));
    if (r->error) {
        const char *reason = al_msg_str(&s->arena, al_str_c(r->error->reason));
        (void)al_err_set(&e, (enum al_code)r->error->code, reason, AL_SITE, "%s",
                         r->error->message);
        m->error = al_msg_error(&s->arena, &e);
        assert_non_null(m->error);
    }
    return m;
}

const Airlore__V1__IngestResult *service_ingest(struct service *s, const char *key,
                                                Airlore__V1__IngestOptions *options,
                                                Airlore__V1__IngestItem *item)
{
    struct al_rpc_header header = bearer(s, key);
    struct al_rpc_request r = {.service = &airlore__v1__knowledge_service__descriptor,
                               .method = "Ingest",
                               .timeout_ms = 30000,
                               .headers = &header,
                               .n_headers = 1};
    struct al_rpc_stream *stream = NULL;
    Airlore__V1__IngestRequest m = AIRLORE__V1__INGEST_REQUEST__INIT;
    Airlore__V1__IngestFinish finish = AIRLORE__V1__INGEST_FINISH__INIT;
    AL_CHECK_OK(al_rpc_stream_open(s->channel, &r, &stream, &s->err), s->err);
    m.message_case = AIRLORE__V1__INGEST_REQUEST__MESSAGE_OPTIONS;
    m.options = options;
    AL_CHECK_OK(al_rpc_stream_write(stream, &m.base, &s->err), s->err);
    (void)read_one(s, stream); /* started */
    m.message_case = AIRLORE__V1__INGEST_REQUEST__MESSAGE_ITEM;
    m.item = item;
    AL_CHECK_OK(al_rpc_stream_write(stream, &m.base, &s->err), s->err);
    m.message_case = AIRLORE__V1__INGEST_REQUEST__MESSAGE_FINISH;
    m.finish = &finish;
    AL_CHECK_OK(al_rpc_stream_write(stream, &m.base, &s->err), s->err);
    const Airlore__V1__IngestResponse *got = read_one(s, stream);
    assert_int_equal(got->message_case, AIRLORE__V1__INGEST_RESPONSE__MESSAGE_RESULTS);
    assert_int_equal(got->results->n_results, 1);
    const Airlore__V1__IngestResult *result = keep(s, got->results->results[0]);
    AL_CHECK_OK(al_rpc_stream_finish(stream, &s->err), s->err);
    al_rpc_stream_destroy(stream);
    return result;
}

void service_put(struct service *s, const char *key, const char *id, const char *text)
{
    Airlore__V1__IngestOptions options = AIRLORE__V1__INGEST_OPTIONS__INIT;
    Airlore__V1__IngestItem item = AIRLORE__V1__INGEST_ITEM__INIT;
    item.id = (char *)(uintptr_t)id;
    item.content_case = AIRLORE__V1__INGEST_ITEM__CONTENT_TEXT;
    item.text = (char *)(uintptr_t)text;
    const Airlore__V1__IngestResult *r = service_ingest(s, key, &options, &item);
    assert_null(r->error);
}

char *service_text(struct service *s, size_t n)
{
    char *p = al_arena_alloc(&s->arena, n + 1);
    assert_non_null(p);
    memset(p, 't', n);
    p[n] = '\0';
    return p;
}

void service_expect(struct service *s, const char *name, enum al_code code, enum al_code want,
                    const char *reason)
{
    if (code != want || (reason && strcmp(s->err.reason, reason) != 0))
        fail_msg("case '%s': %s (%s): %s, not %s (%s)", name, al_code_name(code),
                 code == AL_OK ? "" : s->err.reason, s->err.msg, al_code_name(want),
                 reason ? reason : "");
}
