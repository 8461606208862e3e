#include "airlore/queue.h"

#include <stdio.h>
#include <string.h>

#define TRIES 5        /* of a write whose outcome is unknown */
#define CLAIM_TRIES 10 /* against others */
#define ARENA_LIMIT ((size_t)4 << 20)
#define KEY_BYTES (AL_QUEUE_PREFIX_BYTES_MAX + AL_QUEUE_ID_BYTES_MAX + 32)
#define RUNNING_HEADER \
    34u /* fence, nonce: 16 hexadecimal digits and a space each; then the value as added */
#define DONE_HEADER 17u /* revision of the claim; then the outcome */

struct key {
    char text[KEY_BYTES];
};

static struct key key_of(const struct al_queue *q, const char *state, uint32_t job_class,
                         struct al_str id)
{
    struct key k;
    snprintf(k.text, sizeof k.text, "%s/%s/%u/" AL_STR_FMT, q->prefix, state, job_class,
             AL_STR_ARG(id));
    return k;
}

static struct key paused_key(const struct al_queue *q, uint32_t job_class)
{
    struct key k;
    snprintf(k.text, sizeof k.text, "%s/paused/%u", q->prefix, job_class);
    return k;
}

static struct al_str text(const struct key *k)
{
    return al_str_c(k->text);
}

static uint64_t deadline(const struct al_queue *q)
{
    return al_clock_deadline(q->clock, q->timeout_ms);
}

static enum al_code check_id(struct al_str id, struct al_err *err)
{
    if (id.n == 0 || id.n > AL_QUEUE_ID_BYTES_MAX || memchr(id.p, '/', id.n) ||
        memchr(id.p, 0, id.n))
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "queue: an id of 1 to %u bytes without '/'",
                       AL_QUEUE_ID_BYTES_MAX);
    return AL_OK;
}

/* Repeat while the outcome is unknown: each transaction here is told apart by its own else branch.
 * *ret_repeated (may be NULL): an earlier copy may have been applied. */
static enum al_code run(const struct al_queue *q, const struct al_coord_txn *txn,
                        struct al_arena *a, struct al_coord_result *ret, bool *ret_repeated,
                        struct al_err *err)
{
    enum al_code c = AL_UNKNOWN;
    for (int i = 0; i < TRIES && c == AL_UNKNOWN; i++) {
        if (ret_repeated)
            *ret_repeated = i > 0;
        c = al_coord_txn(q->coord, txn, deadline(q), a, ret, err);
    }
    return c;
}

/* Run with an arena of its own; for what needs no answer but `succeeded`. */
static enum al_code run_plain(const struct al_queue *q, const struct al_coord_txn *txn,
                              struct al_err *err)
{
    struct al_arena a;
    al_arena_init(&a, NULL, ARENA_LIMIT);
    struct al_coord_result res;
    enum al_code c = run(q, txn, &a, &res, NULL, err);
    al_arena_fini(&a);
    return c;
}

enum al_code al_queue_add(const struct al_queue *q, uint32_t job_class, struct al_str id,
                          struct al_str value, struct al_err *err)
{
    AL_TRY(check_id(id, err));
    if (value.n > AL_QUEUE_VALUE_BYTES_MAX)
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "queue: an entry of %zu bytes, the most is %u",
                       value.n, AL_QUEUE_VALUE_BYTES_MAX);
    struct key pending = key_of(q, "pending", job_class, id);
    struct key running = key_of(q, "running", job_class, id);
    struct key done = key_of(q, "done", job_class, id);
    struct al_coord_compare is_new[] = {al_coord_if_absent(text(&pending)),
                                        al_coord_if_absent(text(&running)),
                                        al_coord_if_absent(text(&done))};
    struct al_coord_op put = al_coord_put(text(&pending), value, 0);
    struct al_coord_txn txn = {
        .compares = is_new, .n_compares = AL_ARRAY_LEN(is_new), .then_ops = &put, .n_then = 1};
    return run_plain(q, &txn, err);
}

static bool read_hex(struct al_str s, size_t at, uint64_t *ret)
{
    uint64_t v = 0;
    for (size_t i = at; i < at + 16; i++) {
        char c = (char)(i < s.n ? s.p[i] : ' ');
        bool is_digit = c >= '0' && c <= '9';
        if (!is_digit && (c < 'a' || c > 'f'))
            return false;
        v = v << 4 | (uint64_t)(is_digit ? c - '0' : c - 'a' + 10);
    }
    *ret = v;
    return true;
}

static enum al_code fenced(struct al_err *err)
{
    return AL_FAIL_R(err, AL_ABORTED, "FENCED", "queue: leads no longer");
}

static enum al_code claim_lost(struct al_err *err)
{
    return AL_FAIL_R(err, AL_ABORTED, "CLAIM_LOST", "queue: another has the entry");
}

static bool leads(const struct al_fence *f, const struct al_coord_answer *ans)
{
    return ans->n_kvs == 1 && ans->kvs[0].create_revision == f->revision;
}

/* What a claim changes: `from` at revision `mod` becomes the running key with our mark. */
struct claim {
    struct key from; /* pending, or running of a former leader */
    int64_t mod;
    struct key running;
    struct key paused;
    bool heeds_pause;
    struct al_str value; /* as added */
};

/* AL_NOT_FOUND: somebody was faster. */
static enum al_code claim(const struct al_queue *q, const struct al_fence *f,
                          const struct claim *cl, struct al_arena *a, int64_t *ret_revision,
                          struct al_err *err)
{
    char header[RUNNING_HEADER + 1];
    snprintf(header, sizeof header, "%016llx %016llx ", (unsigned long long)f->revision,
             (unsigned long long)al_random_u64(q->random));
    char *mark = al_arena_alloc(a, RUNNING_HEADER + cl->value.n);
    if (!mark)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "queue: out of memory");
    memcpy(mark, header, RUNNING_HEADER);
    if (cl->value.n)
        memcpy(mark + RUNNING_HEADER, cl->value.p, cl->value.n);
    struct al_str marked = {mark, RUNNING_HEADER + cl->value.n};
    bool moves = strcmp(cl->from.text, cl->running.text) != 0;
    struct al_coord_compare compares[] = {al_fence_guard(f),
                                          al_coord_if_mod(text(&cl->from), AL_COORD_EQUAL, cl->mod),
                                          al_coord_if_absent(text(&cl->paused))};
    struct al_coord_op then_ops[] = {al_coord_put(text(&cl->running), marked, 0),
                                     al_coord_delete(text(&cl->from))};
    struct al_coord_op else_ops[] = {al_coord_get(text(&cl->running)),
                                     al_coord_get(al_str_c(f->key))};
    struct al_coord_txn txn = {.compares = compares,
                               .n_compares = cl->heeds_pause ? 3 : 2,
                               .then_ops = then_ops,
                               .n_then = moves ? 2 : 1,
                               .else_ops = else_ops,
                               .n_else = 2};
    struct al_coord_result res;
    AL_TRY(run(q, &txn, a, &res, NULL, err));
    if (res.succeeded) {
        *ret_revision = res.revision;
        return AL_OK;
    }
    const struct al_coord_answer *running = &res.answers[0];
    if (running->n_kvs == 1 && al_str_eq(running->kvs[0].value, marked)) {
        *ret_revision =
            running->kvs[0].mod_revision; /* an earlier copy of this write went through */
        return AL_OK;
    }
    if (!leads(f, &res.answers[1]))
        return fenced(err);
    return AL_FAIL(err, AL_NOT_FOUND, "queue: somebody was faster");
}

static struct al_str id_of(struct al_str key)
{
    size_t at = key.n;
    while (at > 0 && key.p[at - 1] != '/')
        at--;
    return al_str_sub(key, at, key.n - at);
}

/* The entry a former leader left, oldest first; NULL: none. */
static enum al_code find_abandoned(const struct al_fence *f, const struct al_coord_answer *running,
                                   const struct al_coord_kv **ret, struct al_err *err)
{
    *ret = NULL;
    for (size_t i = 0; i < running->n_kvs && !*ret; i++) {
        uint64_t fence;
        if (running->kvs[i].value.n < RUNNING_HEADER || !read_hex(running->kvs[i].value, 0, &fence))
            return AL_FAIL(err, AL_DATA_LOSS, "queue: '" AL_STR_FMT "' cannot be read",
                           AL_STR_ARG(running->kvs[i].key));
        if (fence != (uint64_t)f->revision)
            *ret = &running->kvs[i];
    }
    return AL_OK;
}

/* What is next. AL_NOT_FOUND: nothing. */
static enum al_code choose(const struct al_queue *q, const struct al_fence *f, uint32_t job_class,
                           struct al_arena *a, const struct al_coord_kv **ret, struct al_err *err)
{
    struct key running = key_of(q, "running", job_class, AL_STR(""));
    struct key pending = key_of(q, "pending", job_class, AL_STR(""));
    struct key paused = paused_key(q, job_class);
    struct al_coord_op gets[] = {al_coord_get_prefix(text(&running), AL_COORD_BY_CREATE, 0),
                                 al_coord_get_prefix(text(&pending), AL_COORD_BY_CREATE, 1),
                                 al_coord_get(text(&paused)), al_coord_get(al_str_c(f->key))};
    struct al_coord_txn txn = {.then_ops = gets, .n_then = AL_ARRAY_LEN(gets)};
    struct al_coord_result res;
    AL_TRY(run(q, &txn, a, &res, NULL, err));
    if (!leads(f, &res.answers[3]))
        return fenced(err);
    if (res.answers[2].n_kvs == 0) {
        AL_TRY(find_abandoned(f, &res.answers[0], ret, err));
        if (*ret)
            return AL_OK;
        *ret = res.answers[1].kvs;
        if (res.answers[1].n_kvs > 0)
            return AL_OK;
    }
    return AL_FAIL_R(err, AL_NOT_FOUND, "QUEUE_EMPTY", "queue: nothing to do");
}

static enum al_code claim_next(const struct al_queue *q, const struct al_fence *f,
                               uint32_t job_class, struct al_arena *a, struct al_queue_item *ret,
                               struct al_err *err)
{
    const struct al_coord_kv *next = NULL;
    AL_TRY(choose(q, f, job_class, a, &next, err));
    struct key running = key_of(q, "running", job_class, AL_STR(""));
    struct al_queue_item item = {.job_class = job_class,
                                 .was_abandoned = al_str_starts(next->key, text(&running))};
    struct al_str id = id_of(next->key);
    if (check_id(id, NULL) != AL_OK)
        return AL_FAIL(err, AL_DATA_LOSS, "queue: '" AL_STR_FMT "' cannot be read",
                       AL_STR_ARG(next->key));
    memcpy(item.id, id.p, id.n);
    item.value = next->value;
    if (item.was_abandoned)
        item.value = al_str_sub(next->value, RUNNING_HEADER, next->value.n - RUNNING_HEADER);
    struct claim cl = {.mod = next->mod_revision,
                       .running = key_of(q, "running", job_class, id),
                       .paused = paused_key(q, job_class),
                       .heeds_pause = true,
                       .value = item.value};
    snprintf(cl.from.text, sizeof cl.from.text, AL_STR_FMT, AL_STR_ARG(next->key));
    enum al_code c = claim(q, f, &cl, a, &item.claim_revision, err);
    if (c == AL_NOT_FOUND)
        return AL_FAIL_R(err, AL_ABORTED, "CLAIM_LOST", "queue: entries change too fast");
    if (c == AL_OK)
        *ret = item;
    return c;
}

enum al_code al_queue_claim(const struct al_queue *q, const struct al_fence *f, uint32_t job_class,
                            struct al_arena *a, struct al_queue_item *ret, struct al_err *err)
{
    enum al_code c = AL_ABORTED;
    for (int i = 0; i < CLAIM_TRIES && c == AL_ABORTED; i++) {
        struct al_err e = {.reason = ""};
        c = claim_next(q, f, job_class, a, ret, &e);
        if (c != AL_OK && err)
            *err = e;
        if (c == AL_ABORTED && strcmp(e.reason, "FENCED") == 0)
            return c;
    }
    return c;
}

enum al_code al_queue_reclaim(const struct al_queue *q, const struct al_fence *f,
                              struct al_queue_item *item, struct al_err *err)
{
    struct claim cl = {.mod = item->claim_revision,
                       .running = key_of(q, "running", item->job_class, al_str_c(item->id)),
                       .paused = paused_key(q, item->job_class),
                       .value = item->value};
    cl.from = cl.running;
    struct al_arena a;
    al_arena_init(&a, NULL, ARENA_LIMIT);
    enum al_code c = claim(q, f, &cl, &a, &item->claim_revision, err);
    al_arena_fini(&a);
    return c == AL_NOT_FOUND ? claim_lost(err) : c;
}

static enum al_code end_item(const struct al_queue *q, const struct al_fence *f,
                             const struct al_queue_item *item, struct al_str marked,
                             struct al_arena *a, struct al_err *err)
{
    struct key running = key_of(q, "running", item->job_class, al_str_c(item->id));
    struct key done = key_of(q, "done", item->job_class, al_str_c(item->id));
    struct al_coord_compare compares[] = {
        al_fence_guard(f), al_coord_if_mod(text(&running), AL_COORD_EQUAL, item->claim_revision)};
    struct al_coord_op then_ops[] = {al_coord_delete(text(&running)),
                                     al_coord_put(text(&done), marked, 0)};
    struct al_coord_op else_ops[] = {al_coord_get(text(&done)), al_coord_get(al_str_c(f->key))};
    struct al_coord_txn txn = {.compares = compares,
                               .n_compares = 2,
                               .then_ops = then_ops,
                               .n_then = 2,
                               .else_ops = else_ops,
                               .n_else = 2};
    struct al_coord_result res;
    AL_TRY(run(q, &txn, a, &res, NULL, err));
    if (res.succeeded)
        return AL_OK;
    const struct al_coord_answer *ended = &res.answers[0];
    if (ended->n_kvs == 1 && al_str_starts(ended->kvs[0].value, al_str_sub(marked, 0, DONE_HEADER)))
        return AL_OK; /* by an earlier copy of this write */
    return leads(f, &res.answers[1]) ? claim_lost(err) : fenced(err);
}

enum al_code al_queue_done(const struct al_queue *q, const struct al_fence *f,
                           const struct al_queue_item *item, struct al_str outcome,
                           struct al_err *err)
{
    if (outcome.n > AL_QUEUE_VALUE_BYTES_MAX)
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "queue: an outcome of %zu bytes, the most is %u",
                       outcome.n, AL_QUEUE_VALUE_BYTES_MAX);
    struct al_arena a;
    al_arena_init(&a, NULL, ARENA_LIMIT);
    char *marked = al_arena_printf(&a, "%016llx " AL_STR_FMT,
                                   (unsigned long long)item->claim_revision, AL_STR_ARG(outcome));
    enum al_code c = marked ? end_item(q, f, item, al_str_c(marked), &a, err)
                            : AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "queue: out of memory");
    al_arena_fini(&a);
    return c;
}

enum al_code al_queue_get_outcome(const struct al_queue *q, uint32_t job_class, struct al_str id,
                                  struct al_arena *a, struct al_str *ret, struct al_err *err)
{
    AL_TRY(check_id(id, err));
    struct key done = key_of(q, "done", job_class, id);
    struct al_coord_op get = al_coord_get(text(&done));
    struct al_coord_txn txn = {.then_ops = &get, .n_then = 1};
    struct al_coord_result res;
    AL_TRY(run(q, &txn, a, &res, NULL, err));
    if (res.answers[0].n_kvs == 0)
        return AL_FAIL(err, AL_NOT_FOUND, "queue: '" AL_STR_FMT "' has not ended", AL_STR_ARG(id));
    struct al_str v = res.answers[0].kvs[0].value;
    if (v.n < DONE_HEADER)
        return AL_FAIL(err, AL_DATA_LOSS, "queue: '%s' cannot be read", done.text);
    *ret = al_str_sub(v, DONE_HEADER, v.n - DONE_HEADER);
    return AL_OK;
}

enum al_code al_queue_remove(const struct al_queue *q, uint32_t job_class, struct al_str id,
                             struct al_err *err)
{
    AL_TRY(check_id(id, err));
    struct key pending = key_of(q, "pending", job_class, id);
    struct key running = key_of(q, "running", job_class, id);
    struct key done = key_of(q, "done", job_class, id);
    struct al_coord_compare is_pending = al_coord_if_create(text(&pending), AL_COORD_GREATER, 0);
    struct al_coord_op drop = al_coord_delete(text(&pending));
    struct al_coord_op gets[] = {al_coord_get(text(&running)), al_coord_get(text(&done))};
    struct al_coord_txn txn = {.compares = &is_pending,
                               .n_compares = 1,
                               .then_ops = &drop,
                               .n_then = 1,
                               .else_ops = gets,
                               .n_else = 2};
    struct al_arena a;
    al_arena_init(&a, NULL, ARENA_LIMIT);
    struct al_coord_result res;
    bool repeated = false;
    enum al_code c = run(q, &txn, &a, &res, &repeated, err);
    bool is_gone =
        c == AL_OK && !res.succeeded && res.answers[0].n_kvs == 0 && res.answers[1].n_kvs == 0;
    if (c == AL_OK && !res.succeeded && !(repeated && is_gone))
        c = AL_FAIL(err, AL_NOT_FOUND, "queue: '" AL_STR_FMT "' is not pending", AL_STR_ARG(id));
    al_arena_fini(&a);
    return c;
}

enum al_code al_queue_forget(const struct al_queue *q, uint32_t job_class, struct al_str id,
                             struct al_err *err)
{
    AL_TRY(check_id(id, err));
    struct key done = key_of(q, "done", job_class, id);
    struct al_coord_op drop = al_coord_delete(text(&done));
    struct al_coord_txn txn = {.then_ops = &drop, .n_then = 1};
    return run_plain(q, &txn, err);
}

enum al_code al_queue_set_paused(const struct al_queue *q, uint32_t job_class, bool is_paused,
                                 struct al_err *err)
{
    struct key paused = paused_key(q, job_class);
    struct al_coord_op op =
        is_paused ? al_coord_put(text(&paused), AL_STR("1"), 0) : al_coord_delete(text(&paused));
    struct al_coord_txn txn = {.then_ops = &op, .n_then = 1};
    return run_plain(q, &txn, err);
}
