/* The token of a user of etcd: asked for when a call needs one, again when etcd no longer takes it.
 */
#include <string.h>

#include "airlore/disk.h"
#include "etcd_client.h"

#define FILE_BYTES_MAX 4096u
#define RETRY_MS 1000u

bool al_etcd_auth_is_ready(const struct al_etcd *e)
{
    return !e->auth.file || e->auth.token;
}

void al_etcd_auth_drop(struct al_etcd *e, uint64_t number)
{
    if (e->auth.number != number)
        return; /* another call has seen to it */
    if (e->auth.token)
        explicit_bzero(e->auth.token, strlen(e->auth.token));
    al_mem_free(e->mem, e->auth.token);
    e->auth.token = NULL;
    e->auth.code = AL_OK;
    e->auth.retry_ns = 0;
}

static void fail(struct al_etcd *e, enum al_code code, const struct al_err *err)
{
    struct al_etcd_auth *a = &e->auth;
    a->code = code;
    a->err = *err;
    a->retry_ns = al_etcd_now(e) + RETRY_MS * AL_ETCD_MS;
    al_log_err(e->opt.log, AL_LOG_ERROR, "coord.etcd.auth_failed", err);
}

static enum al_code take_token(struct al_etcd *e, struct al_str answer, struct al_err *err)
{
    struct al_arena a;
    al_arena_init(&a, e->mem, (size_t)64 << 10);
    struct al_str token;
    enum al_code c = al_etcd_read_token(answer, &a, &token, err);
    char *copy = c == AL_OK ? al_mem_strndup(e->mem, token.p, token.n) : NULL;
    al_arena_fini(&a);
    if (c == AL_OK && !copy)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "etcd: token: out of memory");
    if (c == AL_OK) {
        e->auth.token = copy;
        e->auth.number++;
    }
    /* Whoever waits gets a code that the contract of the interface knows. */
    return c == AL_DATA_LOSS ? AL_UNAVAILABLE : c;
}

static void on_end(struct al_etcd_call *call)
{
    struct al_etcd *e = call->owner;
    struct al_err err = call->err;
    enum al_code c = call->code;
    e->auth.is_asking = false;
    if (c == AL_OK)
        c = take_token(e, al_buf_view(&call->answer), &err);
    if (call->body.p)
        explicit_bzero(call->body.p, call->body.n);
    al_etcd_call_fini(call);
    if (c != AL_OK)
        fail(e, c, &err);
}

/* The first line of the file: user:password. */
static enum al_code ask(struct al_etcd *e, struct al_buf *body, struct al_err *err)
{
    struct al_buf text;
    al_buf_init(&text, e->mem, FILE_BYTES_MAX);
    enum al_code c = al_disk_read_file(al_disk_system(), e->auth.file, &text, err);
    struct al_str line = al_buf_view(&text);
    line = al_str_sub(line, 0, al_str_find(line, AL_STR("\n"), 0));
    if (al_str_ends(line, AL_STR("\r")))
        line.n--;
    size_t colon = al_str_find(line, AL_STR(":"), 0);
    if (c == AL_OK && (colon == SIZE_MAX || colon == 0))
        c = AL_FAIL(err, AL_FAILED_PRECONDITION,
                    "etcd: '%s': its first line is not 'user:password'", e->auth.file);
    if (c == AL_OK) {
        al_etcd_ask_auth(body, al_str_sub(line, 0, colon), al_str_sub(line, colon + 1, line.n));
        c = al_buf_status(body, err);
    }
    if (text.p)
        explicit_bzero(text.p, text.n);
    al_buf_fini(&text);
    return c;
}

void al_etcd_auth_run(struct al_etcd *e, uint64_t now_ns, uint64_t *due_ns)
{
    struct al_etcd_auth *a = &e->auth;
    if (al_etcd_auth_is_ready(e) || a->is_asking)
        return;
    if (a->retry_ns > now_ns) {
        al_etcd_due(due_ns, a->retry_ns);
        return;
    }
    struct al_err err;
    al_etcd_call_init(&a->call, e, "/v3/auth/authenticate", AL_ETCD_IDEMPOTENT);
    a->call.is_internal = true;
    a->call.is_token_optional = true;
    a->call.on_end = on_end;
    enum al_code c = ask(e, &a->call.body, &err);
    if (c != AL_OK) {
        al_etcd_call_fini(&a->call);
        fail(e, c, &err);
        al_etcd_due(due_ns, a->retry_ns);
        return;
    }
    a->code = AL_OK;
    a->is_asking = true;
    al_metric_add(e->metrics.n_authentications, 1);
    al_etcd_call_begin(&a->call);
    al_etcd_due(due_ns, now_ns);
}
