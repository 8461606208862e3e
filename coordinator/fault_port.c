#include "fault_port.h"

#include "airlore/clock.h"

static struct fault_port *of(struct al_shard_port *p)
{
    return (struct fault_port *)p;
}

static bool fails(struct fault_port *f, enum fault_call call)
{
    if (f->code == AL_OK || !(f->fails & (unsigned)call))
        return false;
    if (f->after) {
        f->after--;
        return false;
    }
    f->n_failed++;
    return true;
}

static enum al_code fail(const struct fault_port *f, struct al_err *err)
{
    return f->reason ? al_err_set(err, f->code, f->reason, AL_SITE, "store: made to fail")
                     : AL_FAIL(err, f->code, "store: made to fail");
}

#define FAIL(p_, call_)               \
    do {                              \
        if (fails(of(p_), call_))     \
            return fail(of(p_), err); \
    } while (0)
#define INNER(p_) (of(p_)->inner)

static enum al_code f_write(struct al_shard_port *p, const struct al_op *ops, size_t n_ops,
                            const uint8_t write_id[16], uint64_t deadline_ns, struct al_arena *a,
                            struct al_write_result *ret, struct al_err *err)
{
    struct fault_port *f = of(p);
    bool now = fails(f, FAULT_WRITE);
    if (now && !f->lose_answers)
        return fail(f, err);
    deadline_ns = f->no_deadline ? AL_DEADLINE_NONE : deadline_ns;
    AL_TRY(INNER(p)->ops->write(INNER(p), ops, n_ops, write_id, deadline_ns, a, ret, err));
    return now ? AL_FAIL_R(err, AL_UNKNOWN, "OUTCOME_UNKNOWN", "write: its answer was lost")
               : AL_OK;
}

static enum al_code f_wait(struct al_shard_port *p, uint64_t index, uint64_t deadline_ns,
                           struct al_err *err)
{
    FAIL(p, FAULT_WAIT);
    return INNER(p)->ops->wait(INNER(p), index, deadline_ns, err);
}

static enum al_code f_get_doc(struct al_shard_port *p, uint32_t space, struct al_str id,
                              bool with_vectors, struct al_arena *a, struct al_doc *ret,
                              struct al_err *err)
{
    FAIL(p, FAULT_GET_DOC);
    return INNER(p)->ops->get_doc(INNER(p), space, id, with_vectors, a, ret, err);
}

static enum al_code f_get_hash(struct al_shard_port *p, uint32_t space, struct al_str id,
                               uint8_t ret_hash[32], struct al_err *err)
{
    FAIL(p, FAULT_GET_DOC);
    return INNER(p)->ops->get_hash(INNER(p), space, id, ret_hash, err);
}

static enum al_code f_list_docs(struct al_shard_port *p, const struct al_list_query *q,
                                struct al_arena *a, struct al_doc_page *ret, struct al_err *err)
{
    FAIL(p, FAULT_LIST);
    return INNER(p)->ops->list_docs(INNER(p), q, a, ret, err);
}

static enum al_code f_get_row(struct al_shard_port *p, uint8_t table, uint32_t space,
                              struct al_str key, struct al_arena *a, struct al_str *ret,
                              uint64_t *ret_version, struct al_err *err)
{
    FAIL(p, FAULT_ROW);
    return INNER(p)->ops->get_row(INNER(p), table, space, key, a, ret, ret_version, err);
}

static enum al_code f_scan_rows(struct al_shard_port *p, uint8_t table, uint32_t space,
                                struct al_str prefix, struct al_str after, uint32_t limit,
                                struct al_arena *a, struct al_row **ret, size_t *ret_n,
                                struct al_err *err)
{
    FAIL(p, FAULT_ROW);
    return INNER(p)->ops->scan_rows(INNER(p), table, space, prefix, after, limit, a, ret, ret_n,
                                    err);
}

static enum al_code f_stats(struct al_shard_port *p, const uint32_t *spaces, size_t n_spaces,
                            const struct al_str *terms, size_t n_terms, struct al_arena *a,
                            struct al_term_stats *ret, struct al_err *err)
{
    FAIL(p, FAULT_STATS);
    return INNER(p)->ops->stats(INNER(p), spaces, n_spaces, terms, n_terms, a, ret, err);
}

static enum al_code f_legs(struct al_shard_port *p, const struct al_leg_query *q,
                           struct al_arena *a, struct al_candidates *ret, struct al_err *err)
{
    FAIL(p, FAULT_LEGS);
    return INNER(p)->ops->legs(INNER(p), q, a, ret, err);
}

static enum al_code f_score(struct al_shard_port *p, const struct al_leg_query *q,
                            struct al_candidate *const *cands, size_t n, struct al_err *err)
{
    FAIL(p, FAULT_SCORE);
    return INNER(p)->ops->score(INNER(p), q, cands, n, err);
}

static enum al_code f_explain(struct al_shard_port *p, const struct al_leg_query *q, uint64_t docno,
                              uint32_t chunk, struct al_arena *a, struct al_term_part **ret,
                              struct al_err *err)
{
    FAIL(p, FAULT_EXPLAIN);
    return INNER(p)->ops->explain(INNER(p), q, docno, chunk, a, ret, err);
}

static void f_get_status(struct al_shard_port *p, struct al_shard_status *ret)
{
    INNER(p)->ops->get_status(INNER(p), ret);
}

static enum al_code f_compact(struct al_shard_port *p, bool full,
                              bool (*progress)(void *u, double done), void *u, struct al_err *err)
{
    return INNER(p)->ops->compact(INNER(p), full, progress, u, err);
}

static enum al_code f_verify(struct al_shard_port *p, struct al_arena *a,
                             bool (*progress)(void *u, double done), void *u,
                             struct al_verify_report *ret, struct al_err *err)
{
    return INNER(p)->ops->verify(INNER(p), a, progress, u, ret, err);
}

static void f_destroy(struct al_shard_port *p)
{
    (void)p; /* in the caller's memory */
}

static const struct al_shard_port_ops ops = {
    .write = f_write,
    .wait = f_wait,
    .get_doc = f_get_doc,
    .get_hash = f_get_hash,
    .list_docs = f_list_docs,
    .get_row = f_get_row,
    .scan_rows = f_scan_rows,
    .stats = f_stats,
    .legs = f_legs,
    .score = f_score,
    .explain = f_explain,
    .get_status = f_get_status,
    .compact = f_compact,
    .verify = f_verify,
    .destroy = f_destroy,
};

void al_fault_port_init(struct fault_port *f, struct al_shard_port *inner)
{
    *f = (struct fault_port){.port = {&ops}, .inner = inner};
}
