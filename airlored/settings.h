/* settings.h - the configuration of airlored.
 *
 * Every key with its default, range and meaning stands in one table (settings.c); `airlored
 * --print-config` prints it.
 *
 * Thread:    immutable after load.
 * Lifecycle: load -> fini.
 */
#ifndef AIRLORE_AIRLORED_SETTINGS_H
#define AIRLORE_AIRLORED_SETTINGS_H

#include "address.h"
#include "airlore/config.h"
#include "options.h"

enum al_settings_role { AL_SETTINGS_STANDALONE, AL_SETTINGS_NODE, AL_SETTINGS_COORDINATOR };

enum al_client_certificates { AL_CLIENT_CERTIFICATES_REQUIRED, AL_CLIENT_CERTIFICATES_OPTIONAL };

struct al_settings {
    /* as in the table; strings owned */
    char *listen;
    char *http;
    char *data;
    char *name;
    uint64_t role; /* enum al_settings_role */
    char *etcd;
    uint64_t shards;
    uint64_t drain_grace_ms;
    uint64_t log_level;  /* enum al_log_level */
    uint64_t log_format; /* enum al_log_format */
    uint64_t rpc_pollers;
    uint64_t rpc_pool_threads;
    uint64_t rpc_pool_queue;
    uint64_t rpc_streams;
    uint64_t rpc_streams_per_connection;
    uint64_t rpc_calls;
    uint64_t rpc_message_bytes;
    uint64_t rpc_call_memory_bytes;
    uint64_t rpc_memory_bytes;
    uint64_t rpc_depth;
    uint64_t rpc_elements;
    uint64_t rpc_keepalive_ms;
    uint64_t rpc_keepalive_timeout_ms;
    char *tls_cert;
    char *tls_key;
    char *tls_client_ca;
    uint64_t tls_client_certificates; /* enum al_client_certificates */
    uint64_t http_connections;
    uint64_t http_connections_per_address;
    uint64_t http_idle_ms;
    uint64_t quota_requests_per_minute;
    uint64_t quota_ingest_bytes_per_day;
    uint64_t shard_seal_rows;
    uint64_t shard_merge_factor;
    uint64_t shard_scan_rows;
    uint64_t shard_index_threads;
    uint64_t shard_huge_copy_bytes;
    uint64_t shard_min_free_bytes;
    uint64_t shard_write_id_ttl_ms;
    /* worked out by load */
    struct al_address grpc_address;
    struct al_address http_address;
};

/* The table of keys. */
const struct al_config_table *al_settings_table(void);

/* Defaults, the file if one is named, the options of the command line; then what must hold between
 * keys. *ret needs al_settings_fini on AL_OK only. AL_INVALID_ARGUMENT, reason BAD_CONFIG or
 * BAD_ADDRESS; AL_NOT_FOUND and others of the file. */
AL_NODISCARD enum al_code al_settings_load(const struct al_options *o, struct al_disk *disk,
                                           struct al_mem *mem, struct al_settings *ret,
                                           struct al_err *err);

/* Free the strings; accepts zeroed memory. */
void al_settings_fini(struct al_settings *s, struct al_mem *mem);

/* Number of processors this process may run on, at least 1. */
uint32_t al_settings_cores(void);

#endif
