#include "airlore/shard_port.h"

struct local_port {
    struct al_shard_port port;
    struct al_shard *shard;
    struct al_mem *mem;
};

static struct al_shard *shard_of(struct al_shard_port *p)
{
    return ((struct local_port *)(void *)p)->shard;
}

static enum al_code local_write(struct al_shard_port *p, const struct al_op *ops, size_t n_ops,
                                const uint8_t write_id[16], uint64_t deadline_ns,
                                struct al_arena *a, struct al_write_result *ret, struct al_err *err)
{
    return al_shard_write(shard_of(p), ops, n_ops, write_id, deadline_ns, a, ret, err);
}

static enum al_code local_wait(struct al_shard_port *p, uint64_t index, uint64_t deadline_ns,
                               struct al_err *err)
{
    return al_shard_wait(shard_of(p), index, deadline_ns, err);
}

static enum al_code local_get_doc(struct al_shard_port *p, uint32_t space, struct al_str id,
                                  bool with_vectors, struct al_arena *a, struct al_doc *ret,
                                  struct al_err *err)
{
    return al_shard_get_doc(shard_of(p), space, id, with_vectors, a, ret, err);
}

static enum al_code local_get_hash(struct al_shard_port *p, uint32_t space, struct al_str id,
                                   uint8_t ret_hash[32], struct al_err *err)
{
    return al_shard_get_hash(shard_of(p), space, id, ret_hash, err);
}

static enum al_code local_get_bytes(struct al_shard_port *p, uint32_t space, struct al_str id,
                                    uint64_t *ret, struct al_err *err)
{
    return al_shard_get_bytes(shard_of(p), space, id, ret, err);
}

static enum al_code local_get_use(struct al_shard_port *p, const uint32_t *spaces, size_t n_spaces,
                                  struct al_space_use *ret, struct al_err *err)
{
    return al_shard_get_use(shard_of(p), spaces, n_spaces, ret, err);
}

static enum al_code local_list_docs(struct al_shard_port *p, const struct al_list_query *q,
                                    struct al_arena *a, struct al_doc_page *ret, struct al_err *err)
{
    return al_shard_list_docs(shard_of(p), q, a, ret, err);
}

static enum al_code local_get_row(struct al_shard_port *p, uint8_t table, uint32_t space,
                                  struct al_str key, struct al_arena *a, struct al_str *ret,
                                  uint64_t *ret_version, struct al_err *err)
{
    return al_shard_get_row(shard_of(p), table, space, key, a, ret, ret_version, err);
}

static enum al_code local_scan_rows(struct al_shard_port *p, uint8_t table, uint32_t space,
                                    struct al_str prefix, struct al_str after, uint32_t limit,
                                    struct al_arena *a, struct al_row **ret, size_t *ret_n,
                                    struct al_err *err)
{
    return al_shard_scan_rows(shard_of(p), table, space, prefix, after, limit, a, ret, ret_n, err);
}

static enum al_code local_stats(struct al_shard_port *p, const uint32_t *spaces, size_t n_spaces,
                                const struct al_str *terms, size_t n_terms, struct al_arena *a,
                                struct al_term_stats *ret, struct al_err *err)
{
    return al_shard_stats(shard_of(p), spaces, n_spaces, terms, n_terms, a, ret, err);
}

static enum al_code local_legs(struct al_shard_port *p, const struct al_leg_query *q,
                               struct al_arena *a, struct al_candidates *ret, struct al_err *err)
{
    return al_shard_legs(shard_of(p), q, a, ret, err);
}

static enum al_code local_score(struct al_shard_port *p, const struct al_leg_query *q,
                                struct al_candidate *const *cands, size_t n, struct al_err *err)
{
    return al_shard_score(shard_of(p), q, cands, n, err);
}

static enum al_code local_explain(struct al_shard_port *p, const struct al_leg_query *q,
                                  uint64_t docno, uint32_t chunk, struct al_arena *a,
                                  struct al_term_part **ret, struct al_err *err)
{
    return al_shard_explain(shard_of(p), q, docno, chunk, a, ret, err);
}

static void local_get_status(struct al_shard_port *p, struct al_shard_status *ret)
{
    al_shard_get_status(shard_of(p), ret);
}

static enum al_code local_compact(struct al_shard_port *p, bool full,
                                  bool (*progress)(void *u, double done), void *u,
                                  struct al_err *err)
{
    return al_shard_compact(shard_of(p), full, progress, u, err);
}

static enum al_code local_list_segments(struct al_shard_port *p, struct al_arena *a,
                                        struct al_segment_status **ret, size_t *ret_n,
                                        struct al_err *err)
{
    return al_shard_list_segments(shard_of(p), a, ret, ret_n, err);
}

static enum al_code local_verify(struct al_shard_port *p, struct al_arena *a,
                                 bool (*progress)(void *u, double done), void *u,
                                 struct al_verify_report *ret, struct al_err *err)
{
    return al_shard_verify(shard_of(p), a, progress, u, ret, err);
}

static enum al_code local_scrub(struct al_shard_port *p, struct al_arena *a,
                                bool (*progress)(void *u, double done), void *u,
                                struct al_verify_report *ret, struct al_err *err)
{
    return al_shard_scrub(shard_of(p), a, progress, u, ret, err);
}

static enum al_code local_rebuild(struct al_shard_port *p, bool all,
                                  bool (*progress)(void *u, double done), void *u,
                                  uint64_t *ret_rebuilt, struct al_err *err)
{
    return al_shard_rebuild(shard_of(p), all, progress, u, ret_rebuilt, err);
}

static void local_destroy(struct al_shard_port *p)
{
    if (p)
        al_mem_free(((struct local_port *)(void *)p)->mem, p);
}

enum al_code al_shard_port_local(struct al_shard *s, struct al_mem *mem, struct al_shard_port **ret,
                                 struct al_err *err)
{
    static const struct al_shard_port_ops ops = {
        .write = local_write,
        .wait = local_wait,
        .get_doc = local_get_doc,
        .get_hash = local_get_hash,
        .get_bytes = local_get_bytes,
        .get_use = local_get_use,
        .list_docs = local_list_docs,
        .get_row = local_get_row,
        .scan_rows = local_scan_rows,
        .stats = local_stats,
        .legs = local_legs,
        .score = local_score,
        .explain = local_explain,
        .get_status = local_get_status,
        .list_segments = local_list_segments,
        .compact = local_compact,
        .verify = local_verify,
        .scrub = local_scrub,
        .rebuild = local_rebuild,
        .destroy = local_destroy,
    };
    struct local_port *p = al_mem_zalloc(mem, sizeof *p);
    if (!p)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "shard port: out of memory");
    *p = (struct local_port){.port = {&ops}, .shard = s, .mem = mem};
    *ret = &p->port;
    return AL_OK;
}
