#include "standalone.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "admin_key.h"
#include "airlore/coord_mem.h"
#include "airlore/coordinator.h"
#include "airlore/proto_descriptors.h"
#include "build_info.h"
#include "data_folder.h"
#include "http.h"
#include "runtime_file.h"
#include "shard_set.h"
#include "tls_files.h"

enum state { STARTING, SERVING, DRAINING };

struct al_standalone {
    const struct al_settings *settings;
    struct al_log *log;
    uint64_t started_ns;
    _Atomic int state; /* enum state; the HTTP thread reads it */
    struct al_metric *ready;
    char grpc[AL_ADDRESS_BYTES_MAX];
    char http_text[AL_ADDRESS_BYTES_MAX];
    struct al_http_site site;
    /* in the order in which they are made */
    struct al_metrics *metrics;
    struct al_data_folder folder;
    struct al_embedder *embedder;
    struct al_shard_set *shards;
    struct al_coord *coord;
    struct al_coordinator *coordinator;
    struct al_rpc_server *server;
    struct al_http *http;
    struct al_runtime_file runtime;
};

/* ---- what HTTP shows ---- */

static bool is_serving(void *u)
{
    struct al_standalone *s = u;
    return atomic_load(&s->state) != STARTING;
}

static bool is_ready(void *u, char *why, size_t n)
{
    struct al_standalone *s = u;
    int state = atomic_load(&s->state);
    if (state == SERVING)
        return al_shard_set_is_writable(s->shards, why, n);
    snprintf(why, n, "%s", state == STARTING ? "starting" : "draining: the server is going down");
    return false;
}

static void show_metrics(void *u, struct al_buf *ret)
{
    struct al_standalone *s = u;
    char why[256];
    al_metric_set(s->ready, is_ready(s, why, sizeof why) ? 1 : 0);
    al_shard_set_measure(s->shards);
    al_metrics_write(s->metrics, ret);
}

static double uptime(void *u)
{
    const struct al_standalone *s = u;
    return (double)(al_clock_mono_ns(al_clock_system()) - s->started_ns) / 1e9;
}

static double free_bytes(void *u)
{
    const struct al_standalone *s = u;
    struct al_disk *d = al_disk_system();
    uint64_t n = 0;
    return d->ops->free_bytes(d, s->folder.path, &n, NULL) == AL_OK ? (double)n : NAN;
}

/* ---- the parts ---- */

static enum al_code make_metrics(struct al_standalone *s, struct al_err *err)
{
    AL_TRY(al_metrics_create(NULL, &s->metrics, err));
    struct al_buf labels;
    al_buf_init(&labels, NULL, 1024);
    al_metrics_label(&labels, "version", al_str_c(al_build_version()));
    al_metrics_label(&labels, "commit", al_str_c(al_build_commit()));
    struct al_metric *info = NULL;
    enum al_code code = al_buf_status(&labels, err);
    if (code == AL_OK)
        code = al_metrics_gauge(s->metrics, "airlore_build_info", "Always 1; labels say the build.",
                                labels.p, &info, err);
    al_buf_fini(&labels);
    if (code != AL_OK)
        return code;
    al_metric_set(info, 1);
    AL_TRY(al_metrics_gauge(s->metrics, "airlore_ready",
                            "1 while the server takes requests of all kinds.", NULL, &s->ready,
                            err));
    struct al_metric *watermark = NULL;
    AL_TRY(al_metrics_gauge(s->metrics, "airlore_data_min_free_bytes",
                            "Writes are refused below this free space.", NULL, &watermark, err));
    al_metric_set(watermark, (double)s->settings->shard_min_free_bytes);
    AL_TRY(al_metrics_gauge_fn(s->metrics, "airlore_data_free_bytes",
                               "Free space of the disk with the data folder.", NULL, free_bytes, s,
                               err));
    return al_metrics_gauge_fn(s->metrics, "airlore_uptime_seconds", "Since the start.", NULL,
                               uptime, s, err);
}

static enum al_code open_shards(struct al_standalone *s, struct al_err *err)
{
    AL_TRY_CTX(err, al_embedder_open(al_embedder_builtin(), NULL, &s->embedder, err), "embedder");
    return al_shard_set_open(
        &(struct al_shard_set_options){.settings = s->settings,
                                       .folder = &s->folder,
                                       .embedder_id = al_embedder_id(s->embedder),
                                       .dim = al_embedder_dim(s->embedder),
                                       .disk = al_disk_system(),
                                       .clock = al_clock_system(),
                                       .log = s->log,
                                       .metrics = s->metrics},
        &s->shards, err);
}

/* Of keys without a quota of their own. */
static struct al_quota default_quota(const struct al_settings *set)
{
    struct al_quota q = {0};
    if (set->quota_requests_per_minute)
        q.set |= AL_QUOTA_CALLS_PER_SECOND;
    if (set->quota_ingest_bytes_per_day)
        q.set |= AL_QUOTA_INGEST_BYTES;
    q.calls_per_second = (double)set->quota_requests_per_minute / 60;
    q.ingest_bytes_per_day = set->quota_ingest_bytes_per_day;
    return q;
}

static enum al_code make_coordinator(struct al_standalone *s, struct al_err *err)
{
    const struct al_settings *set = s->settings;
    AL_TRY(al_coord_mem_open(NULL, &s->coord, err));
    return al_coordinator_create(
        &(struct al_coordinator_options){.router = al_shard_set_router(s->shards),
                                         .system = al_shard_set_system(s->shards),
                                         .embedder = s->embedder,
                                         .coord = s->coord,
                                         .clock = al_clock_system(),
                                         .random = al_random_system(),
                                         .log = s->log,
                                         .metrics = s->metrics,
                                         .default_quota = default_quota(set),
                                         .message_bytes_max = (size_t)set->rpc_message_bytes,
                                         .data_dir = s->folder.path,
                                         .server_name = set->name,
                                         .version = al_build_version(),
                                         .commit = al_build_commit(),
                                         .role = "standalone"},
        &s->coordinator, err);
}

static enum al_code ensure_admin_key(struct al_standalone *s, struct al_err *err)
{
    char path[4200];
    struct al_admin_key key;
    AL_TRY(al_data_folder_path(&s->folder, "admin.key", path, sizeof path, err));
    AL_TRY(al_admin_key_ensure(path, al_coordinator_directory(s->coordinator), al_disk_system(),
                               &key, err));
    if (key.state == AL_ADMIN_KEY_MADE)
        al_log(s->log, AL_LOG_INFO, "admin_key.made", AL_S("file", path), AL_S("id", key.id));
    if (key.state == AL_ADMIN_KEY_REFUSED)
        al_log(s->log, AL_LOG_WARN, "admin_key.not_valid", AL_S("file", path),
               AL_S("help", "remove the file and start again to get a new key"));
    if (key.made_private)
        al_log(s->log, AL_LOG_WARN, "admin_key.was_readable", AL_S("file", path),
               AL_S("help", "others could read it; its mode is 0600 now"));
    return AL_OK;
}

static enum al_code make_server(struct al_standalone *s, struct al_err *err)
{
    const struct al_settings *set = s->settings;
    uint32_t cores = al_settings_cores();
    const struct al_rpc_server_options o = {
        .descriptor_set = al_proto_descriptor_set,
        .descriptor_set_bytes = al_proto_descriptor_set_size,
        .n_pollers = set->rpc_pollers ? (uint32_t)set->rpc_pollers : (cores + 1) / 2,
        .pool_threads = set->rpc_pool_threads ? (uint32_t)set->rpc_pool_threads : cores,
        .pool_queue_max = (uint32_t)set->rpc_pool_queue,
        .streams_max = (uint32_t)set->rpc_streams,
        .streams_per_connection_max = (uint32_t)set->rpc_streams_per_connection,
        .calls_max = (uint32_t)set->rpc_calls,
        .message_bytes_max = (uint32_t)set->rpc_message_bytes,
        .arena_bytes_max = set->rpc_call_memory_bytes,
        .calls_bytes_max = set->rpc_memory_bytes,
        .depth_max = (uint32_t)set->rpc_depth,
        .elements_max = (uint32_t)set->rpc_elements,
        .keepalive_ms = (uint32_t)set->rpc_keepalive_ms,
        .keepalive_timeout_ms = (uint32_t)set->rpc_keepalive_timeout_ms,
        .hooks = al_coordinator_hooks(s->coordinator),
        .clock = al_clock_system(),
        .metrics = s->metrics};
    AL_TRY(al_rpc_server_create(&o, &s->server, err));
    return al_coordinator_register(s->coordinator, s->server, err);
}

static void warn_about_exposure(const struct al_standalone *s, bool has_tls)
{
    if (!has_tls && !al_address_is_loopback(&s->settings->grpc_address))
        al_log(s->log, AL_LOG_WARN, "rpc.without_tls", AL_S("listen", s->grpc),
               AL_S("help", "keys and documents travel in the clear on this network: set tls.cert "
                            "and tls.key"));
}

static enum al_code listen_rpc(struct al_standalone *s, struct al_err *err)
{
    char address[AL_ADDRESS_BYTES_MAX];
    const struct al_address *a = &s->settings->grpc_address;
    struct al_tls_files files;
    AL_TRY(al_tls_files_read(s->settings, al_disk_system(), &files, err));
    uint16_t port = 0;
    enum al_code code = al_rpc_server_listen(s->server, al_address_format(a, a->port, address),
                                             files.is_set ? &files.tls : NULL, &port, err);
    bool has_tls = files.is_set;
    al_tls_files_fini(&files);
    if (code != AL_OK)
        return code;
    al_address_format(a, port, s->grpc);
    warn_about_exposure(s, has_tls);
    return al_rpc_server_start(s->server, err);
}

static enum al_code start_http(struct al_standalone *s, struct al_err *err)
{
    const struct al_settings *set = s->settings;
    s->site = (struct al_http_site){.u = s,
                                    .metrics = show_metrics,
                                    .is_serving = is_serving,
                                    .is_ready = is_ready,
                                    .grpc = s->grpc,
                                    .version = al_build_version()};
    const struct al_http_options o = {.address = set->http_address,
                                      .connections_max = (uint32_t)set->http_connections,
                                      .connections_per_address_max =
                                          (uint32_t)set->http_connections_per_address,
                                      .idle_ms = (uint32_t)set->http_idle_ms,
                                      .site = &s->site};
    AL_TRY(al_http_start(&o, &s->http, err));
    al_address_format(&set->http_address, al_http_port(s->http), s->http_text);
    return AL_OK;
}

/* With a port of its own, in the form that a client of this machine dials. */
static void dialled(const struct al_address *listen, const char *bound, char *buf)
{
    struct al_address d = al_address_dialled(listen);
    struct al_address b = {.port = listen->port};
    enum al_code code = al_address_parse(bound, &b, NULL);
    (void)code; /* it is our own text */
    al_address_format(&d, b.port, buf);
}

static void write_runtime_file(struct al_standalone *s)
{
    char path[4096];
    char grpc[AL_ADDRESS_BYTES_MAX];
    char http[AL_ADDRESS_BYTES_MAX];
    dialled(&s->settings->grpc_address, s->grpc, grpc);
    dialled(&s->settings->http_address, s->http_text, http);
    const struct al_runtime_info info = {.grpc = grpc,
                                         .http = http,
                                         .data = s->folder.path,
                                         .pid = (uint64_t)getpid(),
                                         .started_ms = al_clock_wall_ms(al_clock_system())};
    struct al_err err = {.code = AL_OK};
    enum al_code code = al_runtime_file_path(path, sizeof path, &err);
    if (code == AL_OK)
        code = al_runtime_file_write(path, &info, al_disk_system(), &s->runtime, &err);
    if (code != AL_OK)
        al_log_err(s->log, AL_LOG_WARN, "runtime_file.failed", &err);
}

static enum al_code start_parts(struct al_standalone *s, struct al_err *err)
{
    const struct al_settings *set = s->settings;
    AL_TRY(make_metrics(s, err));
    AL_TRY(
        al_data_folder_open(set->data, (uint32_t)set->shards, al_disk_system(), &s->folder, err));
    AL_TRY(open_shards(s, err));
    AL_TRY(make_coordinator(s, err));
    AL_TRY(ensure_admin_key(s, err));
    AL_TRY(make_server(s, err));
    AL_TRY(listen_rpc(s, err));
    AL_TRY(start_http(s, err));
    write_runtime_file(s);
    atomic_store(&s->state, SERVING);
    return AL_OK;
}

enum al_code al_standalone_start(const struct al_settings *settings, struct al_log *log,
                                 struct al_standalone **ret, struct al_err *err)
{
    AL_AUTO(al_standalone) s = al_mem_zalloc(NULL, sizeof *s);
    if (!s)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "server: out of memory");
    s->settings = settings;
    s->log = log;
    s->folder.lock_fd = -1;
    s->started_ns = al_clock_mono_ns(al_clock_system());
    AL_TRY(start_parts(s, err));
    *ret = al_take(s);
    return AL_OK;
}

const char *al_standalone_grpc(const struct al_standalone *s)
{
    return s->grpc;
}

const char *al_standalone_http(const struct al_standalone *s)
{
    return s->http_text;
}

bool al_standalone_drain(struct al_standalone *s)
{
    atomic_store(&s->state, DRAINING);
    al_runtime_file_remove(&s->runtime, al_disk_system());
    bool all_ended = al_rpc_server_stop(s->server, (uint32_t)s->settings->drain_grace_ms);
    al_coordinator_stop(s->coordinator);
    return all_ended;
}

void al_standalone_destroy(struct al_standalone *s)
{
    if (!s)
        return;
    al_runtime_file_remove(&s->runtime, al_disk_system());
    al_http_stop(s->http); /* reads the shards */
    al_rpc_server_destroy(s->server);
    al_coordinator_destroy(s->coordinator);
    al_coord_close(s->coord);
    al_shard_set_destroy(s->shards);
    al_embedder_destroy(s->embedder);
    al_data_folder_close(&s->folder);
    al_metrics_destroy(s->metrics);
    al_mem_free(NULL, s);
}
