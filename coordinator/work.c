#include "work.h"

#include <string.h>

#include "key_text.h"

#define ARENA_LIMIT ((size_t)256 << 20)
#define REEMBED_PAGE 200u
#define WRITE_TIMEOUT_MS 60000u

/* ---- compact ---- */

static enum al_code run_compact(void *ctx, struct al_job_run *run, struct al_str args,
                                struct al_err *err)
{
    struct al_coordinator *c = ctx;
    struct al_work_args w;
    AL_TRY(al_work_args_parse(c, args, &w, err));
    struct al_work_part p = {.run = run, .n = w.n_shards};
    uint64_t before = 0;
    uint64_t after = 0;
    uint64_t bytes_before = 0;
    uint64_t bytes_after = 0;
    struct al_shard_status st;
    for (size_t i = 0; i < c->opt.router->n_shards; i++) {
        if (!w.is_wanted[i])
            continue;
        struct al_shard_port *s = al_work_shard(c, i);
        s->ops->get_status(s, &st);
        before += st.n_tombstones;
        bytes_before += st.store_bytes + st.segment_bytes;
        AL_TRY(s->ops->compact(s, true, al_work_progress, &p, err));
        s->ops->get_status(s, &st);
        after += st.n_tombstones;
        bytes_after += st.store_bytes + st.segment_bytes;
        p.i++;
    }
    al_job_result(run, "shards", "%zu", w.n_shards);
    al_job_result(
        run, "freed_bytes", "%llu",
        (unsigned long long)(bytes_before > bytes_after ? bytes_before - bytes_after : 0));
    al_job_result(run, "dead_rows_removed", "%llu",
                  (unsigned long long)(before > after ? before - after : 0));
    return AL_OK;
}

/* ---- reembed: new vectors for documents of another embedder or analyzer ---- */

struct reembed {
    struct al_coordinator *c;
    struct al_job_run *run;
    bool force;
    uint64_t seen;
    uint64_t done;
    uint64_t total;
};

/* The hash of the new version: it must differ from the old one, else the shard would see nothing to
 * do. */
static void next_hash(struct al_doc *d, const struct al_embedder *e)
{
    struct al_buf b;
    al_buf_init(&b, NULL, 0);
    al_buf_add(&b, d->content_hash, sizeof d->content_hash);
    al_buf_cstr(&b, al_embedder_id(e));
    al_digest(al_buf_view(&b), d->content_hash);
    al_buf_fini(&b);
}

static enum al_code reembed_doc(struct reembed *r, struct al_shard_port *s,
                                const struct al_doc *head, struct al_arena *a, struct al_err *err)
{
    static const uint8_t no_write_id[16];
    struct al_coordinator *c = r->c;
    struct al_doc d;
    struct al_err gone = {0};
    enum al_code code = s->ops->get_doc(s, head->space, head->id, false, a, &d, &gone);
    if (code == AL_NOT_FOUND)
        return AL_OK; /* deleted meanwhile */
    if (code != AL_OK) {
        if (err)
            *err = gone;
        return code;
    }
    AL_TRY(al_doc_embed(&d, c->opt.embedder, a, err));
    d.analyzer_version = AL_ANALYZER_VERSION;
    next_hash(&d, c->opt.embedder);
    /* only if nobody wrote a newer version since we read it */
    struct al_op op = {.kind = AL_OP_PUT_DOC,
                       .condition = AL_IF_VERSION,
                       .version = d.docno >> 20,
                       .space = d.space,
                       .id = d.id,
                       .doc = &d};
    struct al_write_result res = {0};
    AL_TRY(s->ops->write(s, &op, 1, no_write_id, al_clock_deadline(c->opt.clock, WRITE_TIMEOUT_MS),
                         a, &res, err));
    r->done += res.outcomes[0] == AL_OUTCOME_UPDATED;
    return AL_OK;
}

static enum al_code reembed_page(struct reembed *r, struct al_shard_port *s,
                                 const struct al_doc_page *page, struct al_arena *a,
                                 struct al_err *err)
{
    const char *id = al_embedder_id(r->c->opt.embedder);
    for (size_t i = 0; i < page->n_docs; i++) {
        const struct al_doc *d = &page->docs[i];
        r->seen++;
        if (al_job_is_cancelled(r->run))
            return AL_FAIL(err, AL_CANCELLED, "reembed: cancelled");
        if (r->force || !al_str_is(d->embedder_id, id) ||
            d->analyzer_version != AL_ANALYZER_VERSION)
            AL_TRY(reembed_doc(r, s, d, a, err));
    }
    double share = r->total ? (double)r->seen / (double)r->total : 1;
    al_job_progress(r->run, share > 1 ? 1 : share, NULL);
    return AL_OK;
}

static enum al_code reembed_shard(struct reembed *r, struct al_shard_port *s,
                                  const uint32_t *spaces, size_t n_spaces, struct al_arena *a,
                                  struct al_err *err)
{
    char after[1024];
    size_t n_after = 0;
    do {
        al_arena_reset(a);
        struct al_list_query q = {.spaces = spaces,
                                  .n_spaces = n_spaces,
                                  .after = {after, n_after},
                                  .limit = REEMBED_PAGE};
        struct al_doc_page page;
        AL_TRY(s->ops->list_docs(s, &q, a, &page, err));
        AL_TRY(reembed_page(r, s, &page, a, err));
        n_after = page.after.n <= sizeof after ? page.after.n : 0;
        memcpy(after, n_after ? page.after.p : "", n_after);
    } while (n_after);
    return AL_OK;
}

enum al_code al_work_spaces(struct al_coordinator *c, struct al_arena *a, uint32_t **ret,
                            size_t *ret_n, struct al_err *err)
{
    struct al_team *teams;
    struct al_deployment *deployments;
    size_t n_teams;
    size_t n_deployments;
    AL_TRY(al_directory_list_teams(c->directory, a, &teams, &n_teams, err));
    AL_TRY(al_directory_list_deployments(c->directory, NULL, a, &deployments, &n_deployments, err));
    uint32_t *out = al_arena_array(a, n_teams + n_deployments + 1, sizeof *out);
    if (!out)
        return al_msg_no_memory(err);
    size_t n = 0;
    out[n++] = AL_SPACE_COMMUNITY;
    for (size_t i = 0; i < n_teams; i++)
        out[n++] = teams[i].space;
    for (size_t i = 0; i < n_deployments; i++)
        out[n++] = deployments[i].space;
    al_space_sort(out, n);
    *ret = out;
    *ret_n = n;
    return AL_OK;
}

static enum al_code run_reembed(void *ctx, struct al_job_run *run, struct al_str args,
                                struct al_err *err)
{
    struct al_coordinator *c = ctx;
    struct reembed r = {.c = c, .run = run, .force = al_str_is(args, "force")};
    struct al_arena keep;
    struct al_arena a;
    uint32_t *spaces = NULL;
    size_t n = 0;
    struct al_shard_status st;
    for (size_t i = 0; i < c->opt.router->n_shards; i++) {
        al_work_shard(c, i)->ops->get_status(al_work_shard(c, i), &st);
        r.total += st.n_docs;
    }
    al_arena_init(&keep, c->opt.mem, ARENA_LIMIT);
    al_arena_init(&a, c->opt.mem, ARENA_LIMIT);
    enum al_code code = al_work_spaces(c, &keep, &spaces, &n, err);
    for (size_t i = 0; code == AL_OK && i < c->opt.router->n_shards; i++)
        code = reembed_shard(&r, al_work_shard(c, i), spaces, n, &a, err);
    al_arena_fini(&a);
    al_arena_fini(&keep);
    al_job_result(run, "documents", "%llu", (unsigned long long)r.seen);
    al_job_result(run, "reembedded", "%llu", (unsigned long long)r.done);
    return code;
}

enum al_code al_work_register(struct al_coordinator *c, struct al_err *err)
{
    const struct al_job_kind kinds[] = {
        {"verify", AL_JOB_MAINTENANCE, al_work_verify, c},
        {"compact", AL_JOB_MAINTENANCE, run_compact, c},
        {"reembed", AL_JOB_MAINTENANCE, run_reembed, c},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(kinds); i++)
        AL_TRY(al_jobs_add_kind(c->jobs, &kinds[i], err));
    return AL_OK;
}
