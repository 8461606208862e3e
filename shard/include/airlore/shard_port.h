/* airlore/shard_port.h - a shard as its users see it, wherever it lives.
 *
 * Coordinators reach shards through this table only: al_shard_port_local wraps a shard of this
 * process; a remote one speaks the Node service. The functions mean exactly what shard.h says of
 * the function of the same name.
 *
 * Thread: any thread.
 */
#ifndef AIRLORE_SHARD_PORT_H
#define AIRLORE_SHARD_PORT_H

#include "airlore/shard.h"

struct al_shard_port;

struct al_shard_port_ops {
    enum al_code (*write)(struct al_shard_port *p, const struct al_op *ops, size_t n_ops,
                          const uint8_t write_id[16], uint64_t deadline_ns, struct al_arena *a,
                          struct al_write_result *ret, struct al_err *err);
    enum al_code (*wait)(struct al_shard_port *p, uint64_t index, uint64_t deadline_ns,
                         struct al_err *err);
    enum al_code (*get_doc)(struct al_shard_port *p, uint32_t space, struct al_str id,
                            bool with_vectors, struct al_arena *a, struct al_doc *ret,
                            struct al_err *err);
    enum al_code (*get_hash)(struct al_shard_port *p, uint32_t space, struct al_str id,
                             uint8_t ret_hash[32], struct al_err *err);
    enum al_code (*get_bytes)(struct al_shard_port *p, uint32_t space, struct al_str id,
                              uint64_t *ret, struct al_err *err);
    enum al_code (*get_use)(struct al_shard_port *p, const uint32_t *spaces, size_t n_spaces,
                            struct al_space_use *ret, struct al_err *err);
    enum al_code (*list_docs)(struct al_shard_port *p, const struct al_list_query *q,
                              struct al_arena *a, struct al_doc_page *ret, struct al_err *err);
    enum al_code (*get_row)(struct al_shard_port *p, uint8_t table, uint32_t space,
                            struct al_str key, struct al_arena *a, struct al_str *ret,
                            uint64_t *ret_version, struct al_err *err);
    enum al_code (*scan_rows)(struct al_shard_port *p, uint8_t table, uint32_t space,
                              struct al_str prefix, struct al_str after, uint32_t limit,
                              struct al_arena *a, struct al_row **ret, size_t *ret_n,
                              struct al_err *err);
    enum al_code (*stats)(struct al_shard_port *p, const uint32_t *spaces, size_t n_spaces,
                          const struct al_str *terms, size_t n_terms, struct al_arena *a,
                          struct al_term_stats *ret, struct al_err *err);
    enum al_code (*legs)(struct al_shard_port *p, const struct al_leg_query *q, struct al_arena *a,
                         struct al_candidates *ret, struct al_err *err);
    enum al_code (*score)(struct al_shard_port *p, const struct al_leg_query *q,
                          struct al_candidate *const *cands, size_t n, struct al_err *err);
    enum al_code (*explain)(struct al_shard_port *p, const struct al_leg_query *q, uint64_t docno,
                            uint32_t chunk, struct al_arena *a, struct al_term_part **ret,
                            struct al_err *err);
    void (*get_status)(struct al_shard_port *p, struct al_shard_status *ret);
    enum al_code (*list_segments)(struct al_shard_port *p, struct al_arena *a,
                                  struct al_segment_status **ret, size_t *ret_n,
                                  struct al_err *err);
    enum al_code (*compact)(struct al_shard_port *p, bool full,
                            bool (*progress)(void *u, double done), void *u, struct al_err *err);
    enum al_code (*verify)(struct al_shard_port *p, struct al_arena *a,
                           bool (*progress)(void *u, double done), void *u,
                           struct al_verify_report *ret, struct al_err *err);
    enum al_code (*scrub)(struct al_shard_port *p, struct al_arena *a,
                          bool (*progress)(void *u, double done), void *u,
                          struct al_verify_report *ret, struct al_err *err);
    enum al_code (*rebuild)(struct al_shard_port *p, bool all,
                            bool (*progress)(void *u, double done), void *u, uint64_t *ret_rebuilt,
                            struct al_err *err);
    void (*destroy)(struct al_shard_port *p); /* accepts NULL */
};

struct al_shard_port {
    const struct al_shard_port_ops *ops;
};

/* A port on a shard of this process. s borrowed: it outlives the port. *ret owned:
 * ret->ops->destroy. */
AL_NODISCARD enum al_code al_shard_port_local(struct al_shard *s, struct al_mem *mem,
                                              struct al_shard_port **ret, struct al_err *err);

#endif
