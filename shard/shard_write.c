/* Writers: check, encode, queue, wait for the applier's answer. */
#include <inttypes.h>
#include <string.h>

#include "shard_impl.h"

#define WAIT_MAX_NS 1000000000ull /* the clock is looked at this often at least */

/* Where the write belongs. Rows go where the caller says. */
static enum al_code check_slots(const struct al_shard *s, const struct al_op *ops, size_t n_ops,
                                struct al_err *err)
{
    for (size_t i = 0; i < n_ops; i++) {
        uint16_t slot = s->opt.slot_first;
        if (ops[i].kind == AL_OP_PUT_DOC)
            slot = al_doc_slot(ops[i].doc->space, ops[i].doc->id);
        else if (ops[i].kind == AL_OP_DELETE_DOC)
            slot = al_doc_slot(ops[i].space, ops[i].id);
        if (slot < s->opt.slot_first || slot > s->opt.slot_last)
            return AL_FAIL_R(err, AL_ABORTED, "EPOCH_STALE", "op %zu: slot %u is not in shard %u",
                             i, slot, s->opt.id.v);
    }
    return AL_OK;
}

static enum al_code create_req(struct al_shard *s, const struct al_op *ops, size_t n_ops,
                               const uint8_t write_id[16], struct al_write_req **ret,
                               struct al_err *err)
{
    struct al_write_req *r = al_mem_zalloc(s->opt.mem, sizeof(*r) + n_ops * sizeof(r->outcomes[0]));
    if (!r)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "shard: out of memory");
    r->mem = s->opt.mem;
    r->n_ops = n_ops;
    memcpy(r->write_id, write_id, AL_WRITE_ID_BYTES);
    al_buf_init(&r->entry, s->opt.mem, AL_ENTRY_BYTES_MAX);
    al_entry_encode(ops, n_ops, s->opt.dim, write_id, &r->entry);
    enum al_code code = al_buf_status(&r->entry, NULL);
    if (code == AL_OK) {
        *ret = r;
        return AL_OK;
    }
    bool too_large = r->entry.n > AL_ENTRY_BYTES_MAX / 2;
    al_write_req_free(r);
    if (too_large)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_LARGE", "write: more than %u bytes",
                         AL_ENTRY_BYTES_MAX);
    return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "shard: out of memory");
}

static enum al_code enqueue(struct al_shard *s, struct al_write_req *r, struct al_err *err)
{
    enum al_code code = AL_OK;
    pthread_mutex_lock(&s->lock);
    if (s->closed) {
        code = AL_FAIL(err, AL_UNAVAILABLE, "shard %u: is closed", s->opt.id.v);
    } else if (s->read_only && !s->may_recover) {
        code = AL_FAIL_R(err, AL_DATA_LOSS, "STORE_READ_ONLY", "shard %u: read-only: %s",
                         s->opt.id.v, s->why);
    } else if (s->n_queued >= AL_SHARD_QUEUE_MAX ||
               (s->n_queued && s->queued_bytes + r->entry.n > AL_SHARD_QUEUE_BYTES_MAX)) {
        code = al_err_retry_after(err, AL_SHARD_RETRY_MS,
                                  AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "QUEUE_FULL",
                                            "shard %u: %zu writes are waiting", s->opt.id.v,
                                            s->n_queued));
    } else {
        if (s->queue_tail)
            s->queue_tail->next = r;
        else
            s->queue_head = r;
        s->queue_tail = r;
        s->n_queued++;
        s->queued_bytes += r->entry.n;
        pthread_cond_signal(&s->work);
    }
    pthread_mutex_unlock(&s->lock);
    return code;
}

/* Under lock. */
static void dequeue(struct al_shard *s, struct al_write_req *r)
{
    struct al_write_req *before = NULL;
    for (struct al_write_req *i = s->queue_head; i != r; i = i->next)
        before = i;
    if (before)
        before->next = r->next;
    else
        s->queue_head = r->next;
    if (s->queue_tail == r)
        s->queue_tail = before;
    s->n_queued--;
    s->queued_bytes -= r->entry.n;
}

/* Sleep on done until something happens or some time has passed; false when the deadline has. Under
 * lock. */
static bool wait_done(struct al_shard *s, uint64_t deadline_ns)
{
    if (deadline_ns == AL_DEADLINE_NONE) {
        pthread_cond_wait(&s->done, &s->lock);
        return true;
    }
    uint64_t now = al_clock_mono_ns(s->opt.clock);
    if (now >= deadline_ns)
        return false;
    uint64_t left = deadline_ns - now;
    if (left > WAIT_MAX_NS)
        left = WAIT_MAX_NS;
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    uint64_t nsec = (uint64_t)t.tv_nsec + left;
    t.tv_sec += (time_t)(nsec / 1000000000ull);
    t.tv_nsec = (long)(nsec % 1000000000ull);
    pthread_cond_timedwait(&s->done, &s->lock, &t);
    return true;
}

/* Whether the answer is there; if not, the request is given up (and must not be touched, or is
 * ours: *ret_ours). */
static bool wait_answer(struct al_shard *s, struct al_write_req *r, uint64_t deadline_ns,
                        bool *ret_ours)
{
    pthread_mutex_lock(&s->lock);
    while (r->state != AL_WRITE_DONE && wait_done(s, deadline_ns)) {
    }
    bool answered = r->state == AL_WRITE_DONE;
    *ret_ours = answered || r->state == AL_WRITE_QUEUED;
    if (!answered && *ret_ours)
        dequeue(s, r);
    else if (!answered)
        r->abandoned = true;
    pthread_mutex_unlock(&s->lock);
    return answered;
}

static enum al_code take_answer(struct al_write_req *r, struct al_arena *a,
                                struct al_write_result *ret, struct al_err *err)
{
    if (r->code != AL_OK) {
        if (err)
            *err = r->err;
        return r->code;
    }
    enum al_outcome *outcomes = al_arena_array(a, r->n_ops, sizeof(*outcomes));
    if (!outcomes)
        return AL_FAIL_R(err, AL_UNKNOWN, "OUTCOME_UNKNOWN", "write: done, no memory to answer");
    memcpy(outcomes, r->outcomes, r->n_ops * sizeof(*outcomes));
    *ret =
        (struct al_write_result){.index = r->index, .outcomes = outcomes, .repeated = r->repeated};
    return AL_OK;
}

enum al_code al_shard_write(struct al_shard *s, const struct al_op *ops, size_t n_ops,
                            const uint8_t write_id[16], uint64_t deadline_ns, struct al_arena *a,
                            struct al_write_result *ret, struct al_err *err)
{
    AL_TRY(al_entry_check(ops, n_ops, s->opt.dim, err));
    AL_TRY(check_slots(s, ops, n_ops, err));
    if (al_clock_has_passed(s->opt.clock, deadline_ns))
        return AL_FAIL(err, AL_DEADLINE_EXCEEDED, "write: the deadline has passed");
    struct al_write_req *r = NULL;
    AL_TRY(create_req(s, ops, n_ops, write_id, &r, err));
    AL_ASSERT(r);
    enum al_code code = enqueue(s, r, err);
    if (code != AL_OK) {
        al_write_req_free(r);
        return code;
    }
    bool ours = false;
    if (wait_answer(s, r, deadline_ns, &ours)) {
        code = take_answer(r, a, ret, err);
        al_write_req_free(r);
        return code;
    }
    if (ours) {
        al_write_req_free(r);
        return AL_FAIL(err, AL_DEADLINE_EXCEEDED, "write: the deadline passed before its turn");
    }
    return AL_FAIL_R(err, AL_UNKNOWN, "OUTCOME_UNKNOWN",
                     "write: the deadline passed while it was written");
}

enum al_code al_shard_wait(struct al_shard *s, uint64_t index, uint64_t deadline_ns,
                           struct al_err *err)
{
    pthread_mutex_lock(&s->lock);
    while (s->applied < index && !s->closed && wait_done(s, deadline_ns)) {
    }
    uint64_t applied = s->applied;
    bool closed = s->closed;
    pthread_mutex_unlock(&s->lock);
    if (applied >= index)
        return AL_OK;
    if (closed)
        return AL_FAIL(err, AL_UNAVAILABLE, "shard %u: is closed", s->opt.id.v);
    return AL_FAIL(err, AL_DEADLINE_EXCEEDED, "shard %u: applied %" PRIu64 ", waited for %" PRIu64,
                   s->opt.id.v, applied, index);
}
