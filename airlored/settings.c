#include "settings.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIELD(name_) offsetof(struct al_settings, name_)

static const char *const roles[] = {"standalone", "node", "coordinator", NULL};
static const char *const client_certificates[] = {"required", "optional", NULL};
static const char *const log_levels[] = {"debug", "info", "warn", "error", NULL};
static const char *const log_formats[] = {"auto", "json", "human", NULL};

static const struct al_config_key keys[] = {
    {"listen", AL_CONFIG_STRING, FIELD(listen), "127.0.0.1:7700", "1", "270", NULL,
     "Where gRPC listens, HOST:PORT; port 0 picks a free one. Use TLS on anything but loopback."},
    {"http", AL_CONFIG_STRING, FIELD(http), "127.0.0.1:7701", "1", "270", NULL,
     "Where metrics and health are served over HTTP, HOST:PORT; port 0 picks a free one."},
    {"data", AL_CONFIG_STRING, FIELD(data), "", NULL, "1024", NULL,
     "Folder of all data. Empty: $XDG_DATA_HOME/airlore, else ~/.local/share/airlore."},
    {"name", AL_CONFIG_STRING, FIELD(name), "", NULL, "63", NULL,
     "Name of this server in status and logs. Empty: the name of the machine."},
    {"role", AL_CONFIG_CHOICE, FIELD(role), "standalone", NULL, NULL, roles,
     "What this process does; standalone is all of it."},
    {"etcd", AL_CONFIG_STRING, FIELD(etcd), "", NULL, "2048", NULL,
     "Addresses of the coordination store of a cluster, with commas between."},
    {"shards", AL_CONFIG_U64, FIELD(shards), "1", "1", "256", NULL,
     "Number of shards of a new data folder, a power of two; fixed from then on."},
    {"drain_grace", AL_CONFIG_DURATION, FIELD(drain_grace_ms), "10s", "0s", "10m", NULL,
     "How long calls in flight may go on after SIGTERM."},
    {"log.level", AL_CONFIG_CHOICE, FIELD(log_level), "info", NULL, NULL, log_levels,
     "What is written to standard error."},
    {"log.format", AL_CONFIG_CHOICE, FIELD(log_format), "auto", NULL, NULL, log_formats,
     "JSON lines or text for people; auto: text on a terminal."},
    {"rpc.pollers", AL_CONFIG_U64, FIELD(rpc_pollers), "0", "0", "64", NULL,
     "Threads that read from and write to connections; 0: half the processors."},
    {"rpc.pool_threads", AL_CONFIG_U64, FIELD(rpc_pool_threads), "0", "0", "1024", NULL,
     "Threads that answer requests; 0: one a processor."},
    {"rpc.pool_queue", AL_CONFIG_U64, FIELD(rpc_pool_queue), "256", "1", "1048576", NULL,
     "Requests that wait for such a thread; more are refused with RESOURCE_EXHAUSTED."},
    {"rpc.streams", AL_CONFIG_U64, FIELD(rpc_streams), "64", "1", "1024", NULL,
     "Streaming calls (ingest, watch) at once, each with a thread."},
    {"rpc.streams_per_connection", AL_CONFIG_U64, FIELD(rpc_streams_per_connection), "1024", "1",
     "1048576", NULL, "Calls at once on one connection."},
    {"rpc.calls", AL_CONFIG_U64, FIELD(rpc_calls), "4096", "1", "1048576", NULL,
     "Calls at once of all kinds; more are refused with RESOURCE_EXHAUSTED."},
    {"rpc.message_bytes", AL_CONFIG_SIZE, FIELD(rpc_message_bytes), "20MiB", "1KiB", "1GiB", NULL,
     "Largest message in either direction."},
    {"rpc.call_memory", AL_CONFIG_SIZE, FIELD(rpc_call_memory_bytes), "64MiB", "1MiB", "16GiB",
     NULL, "Memory that one call may take."},
    {"rpc.memory", AL_CONFIG_SIZE, FIELD(rpc_memory_bytes), "1GiB", "16MiB", "1TiB", NULL,
     "Memory that all calls together may take."},
    {"rpc.depth", AL_CONFIG_U64, FIELD(rpc_depth), "64", "4", "1000", NULL,
     "Nesting of a message."},
    {"rpc.elements", AL_CONFIG_U64, FIELD(rpc_elements), "4194304", "1024", "4294967295", NULL,
     "Fields in one message, nested ones included."},
    {"rpc.keepalive", AL_CONFIG_DURATION, FIELD(rpc_keepalive_ms), "60s", "1s", "1h", NULL,
     "An idle connection is pinged after this long."},
    {"rpc.keepalive_timeout", AL_CONFIG_DURATION, FIELD(rpc_keepalive_timeout_ms), "20s", "100ms",
     "10m", NULL, "A connection that does not answer the ping for this long is dropped."},
    {"tls.cert", AL_CONFIG_STRING, FIELD(tls_cert), "", NULL, "1024", NULL,
     "PEM file with the certificate chain of the server; empty: no TLS."},
    {"tls.key", AL_CONFIG_STRING, FIELD(tls_key), "", NULL, "1024", NULL,
     "PEM file with the key of tls.cert."},
    {"tls.client_ca", AL_CONFIG_STRING, FIELD(tls_client_ca), "", NULL, "1024", NULL,
     "PEM file with the authority of client certificates; one that counts as a credential needs no "
     "key."},
    {"tls.client_certificates", AL_CONFIG_CHOICE, FIELD(tls_client_certificates), "required", NULL,
     NULL, client_certificates,
     "With tls.client_ca: whether clients without a certificate are refused."},
    {"limits.http_connections", AL_CONFIG_U64, FIELD(http_connections), "256", "8", "65536", NULL,
     "Connections over HTTP at once; the one silent for longest gives way."},
    {"limits.http_connections_per_address", AL_CONFIG_U64, FIELD(http_connections_per_address),
     "64", "0", "65536", NULL, "Connections over HTTP from one address; 0: no limit of its own."},
    {"limits.http_idle", AL_CONFIG_DURATION, FIELD(http_idle_ms), "15s", "1s", "10m", NULL,
     "A connection over HTTP on which nothing comes for this long is closed."},
    {"quota.requests_per_minute", AL_CONFIG_U64, FIELD(quota_requests_per_minute), "0", "0",
     "4294967295", NULL, "Requests of a key that has no quota of its own; 0: no limit."},
    {"quota.ingest_bytes_per_day", AL_CONFIG_SIZE, FIELD(quota_ingest_bytes_per_day), "0", "0",
     "1024TiB", NULL, "Bytes a key may ingest a day (UTC) if it has no quota; 0: no limit."},
    {"shard.seal_rows", AL_CONFIG_U64, FIELD(shard_seal_rows), "10000", "100", "10000000", NULL,
     "The growing segment is sealed at this many chunks."},
    {"shard.merge_factor", AL_CONFIG_U64, FIELD(shard_merge_factor), "8", "2", "64", NULL,
     "So many sealed segments of like size become one."},
    {"shard.scan_rows", AL_CONFIG_U64, FIELD(shard_scan_rows), "2000", "1", "10000000", NULL,
     "A segment with up to this many vectors gets no graph: they are compared one by one."},
    {"shard.index_threads", AL_CONFIG_U64, FIELD(shard_index_threads), "1", "1", "64", NULL,
     "Threads that build the graph of a segment."},
    {"shard.huge_copy", AL_CONFIG_SIZE, FIELD(shard_huge_copy_bytes), "512MiB", "0", "64TiB", NULL,
     "Of each shard's graphs this much is copied to memory with large pages, in the background, "
     "where the machine has them; 0: graphs are served from the files."},
    {"shard.min_free", AL_CONFIG_SIZE, FIELD(shard_min_free_bytes), "256MiB", "1MiB", "1TiB", NULL,
     "Writes are refused while the disk has less free space than this; reads go on."},
    {"shard.write_id_ttl", AL_CONFIG_DURATION, FIELD(shard_write_id_ttl_ms), "24h", "1m", "30d",
     NULL, "For how long the repeat of a write is recognised."},
};

static const struct al_config_table table = {keys, AL_ARRAY_LEN(keys), sizeof(struct al_settings)};

const struct al_config_table *al_settings_table(void)
{
    return &table;
}

void al_settings_fini(struct al_settings *s, struct al_mem *mem)
{
    al_config_fini(&table, s, mem);
}

uint32_t al_settings_cores(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        return (uint32_t)CPU_COUNT(&set);
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 && n < 1024 ? (uint32_t)n : 1;
}

static enum al_code set(struct al_settings *s, const char *path, const char *value,
                        struct al_mem *mem, struct al_err *err)
{
    return al_config_set(&table, s, path, value, mem, err);
}

static enum al_code fill_data(struct al_settings *s, struct al_mem *mem, struct al_err *err)
{
    if (s->data[0])
        return AL_OK;
    const char *xdg = getenv("XDG_DATA_HOME"); // NOLINT(concurrency-mt-unsafe): one thread yet
    const char *home = getenv("HOME");         // NOLINT(concurrency-mt-unsafe)
    char path[1100];
    int n = -1;
    if (xdg && xdg[0] == '/')
        n = snprintf(path, sizeof path, "%s/airlore", xdg);
    else if (home && home[0] == '/')
        n = snprintf(path, sizeof path, "%s/.local/share/airlore", home);
    if (n < 0)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_CONFIG",
                         "data: no folder is named, and neither XDG_DATA_HOME nor HOME is set");
    if ((size_t)n >= sizeof path)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_CONFIG", "data: path too long");
    return set(s, "data", path, mem, err);
}

static enum al_code fill_name(struct al_settings *s, struct al_mem *mem, struct al_err *err)
{
    char host[64] = "";
    if (!s->name[0]) {
        if (gethostname(host, sizeof host - 1) != 0 || !host[0])
            snprintf(host, sizeof host, "airlored");
        AL_TRY(set(s, "name", host, mem, err));
    }
    for (const char *p = s->name; *p; p++) {
        bool ok = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                  (*p >= '0' && *p <= '9') || *p == '.' || *p == '-' || *p == '_';
        if (!ok)
            return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_CONFIG",
                             "name: '%.63s': only letters, digits, '.', '-' and '_' are allowed",
                             s->name);
    }
    return AL_OK;
}

static enum al_code check_addresses(struct al_settings *s, struct al_err *err)
{
    AL_TRY_CTX(err, al_address_parse(s->listen, &s->grpc_address, err), "listen");
    AL_TRY_CTX(err, al_address_parse(s->http, &s->http_address, err), "http");
    if (s->grpc_address.port && s->grpc_address.port == s->http_address.port &&
        strcmp(s->grpc_address.host, s->http_address.host) == 0)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_CONFIG",
                         "http: '%.80s': the same address as of gRPC", s->http);
    return AL_OK;
}

static enum al_code check_between(struct al_settings *s, struct al_err *err)
{
    if (s->shards & (s->shards - 1))
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_CONFIG",
                         "shards: %llu is not a power of two", (unsigned long long)s->shards);
    if ((s->tls_cert[0] == '\0') != (s->tls_key[0] == '\0'))
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_CONFIG",
                         "tls: cert and key go together, but only %s is set",
                         s->tls_cert[0] ? "cert" : "key");
    if (s->tls_client_ca[0] && !s->tls_cert[0])
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_CONFIG",
                         "tls: client_ca needs cert and key");
    if (s->rpc_call_memory_bytes > s->rpc_memory_bytes)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_CONFIG",
                         "rpc: call_memory is more than memory of all calls");
    if (s->etcd[0] && s->role == AL_SETTINGS_STANDALONE)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_CONFIG",
                         "etcd: the role 'standalone' has no coordination store outside");
    return AL_OK;
}

static enum al_code complete(const struct al_options *o, struct al_mem *mem, struct al_settings *s,
                             struct al_err *err)
{
    for (size_t i = 0; i < o->n_set; i++)
        AL_TRY_CTX(err, set(s, o->set[i].path, o->set[i].value, mem, err), "option '%s'",
                   o->set[i].option);
    AL_TRY(fill_data(s, mem, err));
    AL_TRY(fill_name(s, mem, err));
    AL_TRY(check_addresses(s, err));
    return check_between(s, err);
}

enum al_code al_settings_load(const struct al_options *o, struct al_disk *disk, struct al_mem *mem,
                              struct al_settings *ret, struct al_err *err)
{
    struct al_settings s;
    if (o->config)
        AL_TRY(al_config_load(&table, disk, o->config, mem, &s, err));
    else
        AL_TRY(al_config_defaults(&table, mem, &s, err));
    enum al_code code = complete(o, mem, &s, err);
    if (code != AL_OK) {
        al_settings_fini(&s, mem);
        return code;
    }
    *ret = s;
    return AL_OK;
}
