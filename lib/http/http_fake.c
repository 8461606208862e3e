#include "airlore/http_fake.h"

#include "http_int.h"

struct fake {
    struct al_http http; /* first */
    struct al_mem *mem;
    al_http_fake_fn *fn;
    void *u;
};

static bool give_body(struct al_http_answer *x, const struct al_http_fake_answer *f)
{
    size_t step = f->part_bytes ? f->part_bytes : f->body.n;
    for (size_t at = 0; at < f->body.n; at += step)
        if (!al_http_answer_body(x, al_str_sub(f->body, at, step)))
            return false;
    return true;
}

static enum al_code fake_send(struct al_http *h, const struct al_http_request *req,
                              struct al_arena *a, struct al_http_response *ret, struct al_err *err)
{
    struct fake *f = (struct fake *)h;
    struct al_http_fake_answer answer = {0};
    struct al_http_answer x;
    if (req->cancel && req->cancel(req->u))
        return AL_FAIL(err, AL_CANCELLED, "http: cancelled");
    f->fn(f->u, req, &answer);
    if (answer.code != AL_OK)
        return al_http_fail_unanswered(req, answer.sent, "the network failed", err);
    al_http_answer_init(&x, req, a);
    al_http_answer_begin(&x, answer.status);
    bool good = true;
    for (const char *const *p = answer.headers; good && p && p[0]; p += 2)
        good = al_http_answer_header(&x, al_str_c(p[0]), al_str_c(p[1]));
    if (good && req->method != AL_HTTP_HEAD)
        (void)give_body(&x, &answer);
    return al_http_answer_end(&x, ret, err);
}

static void fake_close(struct al_http *h)
{
    struct fake *f = (struct fake *)h;
    al_mem_free(f->mem, f);
}

enum al_code al_http_fake_open(al_http_fake_fn *fn, void *u, struct al_clock *clock,
                               struct al_mem *mem, struct al_http **ret, struct al_err *err)
{
    static const struct al_http_ops ops = {fake_send, fake_close};
    struct fake *f = al_mem_zalloc(mem, sizeof(*f));
    if (!f)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "http: out of memory");
    f->http = (struct al_http){&ops, clock ? clock : al_clock_system()};
    f->mem = mem;
    f->fn = fn;
    f->u = u;
    *ret = &f->http;
    return AL_OK;
}
