/* The verify job: each shard checks itself; deep reads every byte and embeds a sample of the texts
 * again; repair builds segments anew and looks again. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "findings.h"
#include "work.h"

#define ARENA_LIMIT ((size_t)256 << 20)
#define SAMPLE_MAX 1000u /* documents a shard */
#define SAMPLE_PAGE 200u
#define VECTOR_TOLERANCE 1e-4f /* of a component: the same table on another processor */

struct al_shard_port *al_work_shard(const struct al_coordinator *c, size_t i)
{
    return i < c->opt.router->n_shards ? c->opt.router->shards[i] : c->opt.system;
}

bool al_work_progress(void *u, double done)
{
    struct al_work_part *p = u;
    al_job_progress(p->run, ((double)p->i + done) / (double)p->n, NULL);
    return !al_job_is_cancelled(p->run);
}

enum al_code al_work_args_parse(struct al_coordinator *c, struct al_str args,
                                struct al_work_args *ret, struct al_err *err)
{
    struct al_work_args w = {.is_all = true};
    size_t n = c->opt.router->n_shards;
    for (size_t from = 0; from < args.n;) {
        size_t space = al_str_find(args, AL_STR(" "), from);
        size_t end = space == SIZE_MAX ? args.n : space;
        struct al_str word = al_str_sub(args, from, end - from);
        uint64_t shard = 0;
        if (al_str_is(word, "deep")) {
            w.deep = true;
        } else if (al_str_is(word, "repair")) {
            w.repair = true;
        } else if (al_str_u64(word, &shard) && shard < n && shard < AL_WORK_SHARDS_MAX) {
            w.n_shards += !w.is_wanted[shard];
            w.is_wanted[shard] = true;
            w.is_all = false;
        } else {
            return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_FORMAT",
                             "job: argument '" AL_STR_FMT "' is none", AL_STR_ARG(word));
        }
        from = end + 1;
    }
    for (size_t i = 0; w.is_all && i < n; i++)
        w.is_wanted[i] = true;
    if (w.is_all)
        w.n_shards = n;
    *ret = w;
    return AL_OK;
}

/* ---- one shard ---- */

struct verify {
    struct al_coordinator *c;
    struct al_work_part part;
    struct al_work_args args;
    struct al_verify_report total; /* its problems are not used */
    uint64_t sampled;
    uint64_t rebuilt;
    uint64_t n_findings;
    uint64_t n_repaired;
    uint64_t n_unlisted; /* beyond AL_FINDINGS_MAX */
};

/* Lines of one look at a shard. */
struct lines {
    struct al_str *p;
    size_t n;
    size_t cap;
};

static enum al_code add_lines(struct lines *l, const struct al_str *p, size_t n, struct al_arena *a,
                              struct al_err *err)
{
    if (l->n + n > l->cap) {
        size_t cap = 2 * (l->n + n) + 16;
        struct al_str *bigger = al_arena_array(a, cap, sizeof *bigger);
        if (!bigger)
            return al_msg_no_memory(err);
        if (l->n)
            memcpy(bigger, l->p, l->n * sizeof *bigger);
        l->p = bigger;
        l->cap = cap;
    }
    if (n)
        memcpy(l->p + l->n, p, n * sizeof *p);
    l->n += n;
    return AL_OK;
}

static bool has_line(const struct lines *l, struct al_str line)
{
    for (size_t i = 0; i < l->n; i++) {
        if (al_str_eq(l->p[i], line))
            return true;
    }
    return false;
}

/* ---- texts embedded again ---- */

struct sampling {
    struct verify *v;
    struct al_shard_port *shard;
    struct lines *out;
    struct al_arena *keep; /* of out */
};

/* Vectors of one's own come with documents of one chunk, and nothing says which these are: of one
 * chunk none is looked at. */
static enum al_code compare_vectors(const struct sampling *x, const struct al_doc *head,
                                    struct al_arena *a, struct al_err *err)
{
    struct verify *v = x->v;
    struct al_shard_port *s = x->shard;
    struct al_doc d;
    struct al_err gone = {0};
    if (s->ops->get_doc(s, head->space, head->id, true, a, &d, &gone) != AL_OK)
        return AL_OK; /* deleted meanwhile; damage was found before */
    if (d.n_chunks < 2 || !d.vectors ||
        !al_str_is(d.embedder_id, al_embedder_id(v->c->opt.embedder)))
        return AL_OK;
    const float *have = d.vectors;
    size_t n = d.n_chunks * al_embedder_dim(v->c->opt.embedder);
    AL_TRY(al_doc_embed(&d, v->c->opt.embedder, a, err));
    v->sampled++;
    for (size_t i = 0; i < n; i++) {
        if (fabsf(have[i] - d.vectors[i]) <= VECTOR_TOLERANCE)
            continue;
        const char *text = al_arena_printf(
            x->keep, "document '" AL_STR_FMT "': embedding its text again gives another vector",
            AL_STR_ARG(d.id));
        if (!text)
            return al_msg_no_memory(err);
        struct al_str line = al_str_c(text);
        return add_lines(x->out, &line, 1, x->keep, err);
    }
    return AL_OK;
}

/* Every so manieth document, so that about SAMPLE_MAX are looked at. */
static enum al_code sample(struct verify *v, struct al_shard_port *s, struct lines *out,
                           struct al_arena *keep, struct al_err *err)
{
    struct al_shard_status st;
    struct al_doc_page page;
    uint32_t *spaces = NULL;
    size_t n_spaces = 0;
    char after[1024];
    size_t n_after = 0;
    uint64_t seen = 0;
    s->ops->get_status(s, &st);
    uint64_t step = st.n_docs / SAMPLE_MAX + 1;
    AL_TRY(al_work_spaces(v->c, keep, &spaces, &n_spaces, err));
    struct al_arena a;
    al_arena_init(&a, v->c->opt.mem, ARENA_LIMIT);
    enum al_code code = AL_OK;
    do {
        al_arena_reset(&a);
        struct al_list_query q = {.spaces = spaces,
                                  .n_spaces = n_spaces,
                                  .after = {after, n_after},
                                  .limit = SAMPLE_PAGE};
        code = s->ops->list_docs(s, &q, &a, &page, err);
        for (size_t i = 0; code == AL_OK && i < page.n_docs; i++) {
            if (seen++ % step == 0)
                code = compare_vectors(&(struct sampling){v, s, out, keep}, &page.docs[i], &a, err);
        }
        if (code == AL_OK && !al_work_progress(&v->part, 0.9))
            code = AL_FAIL(err, AL_CANCELLED, "verify: cancelled");
        if (code != AL_OK)
            break;
        n_after = page.after.n <= sizeof after ? page.after.n : 0;
        memcpy(after, n_after ? page.after.p : "", n_after);
    } while (n_after);
    al_arena_fini(&a);
    return code;
}

/* ---- looking, repairing, writing down ---- */

static enum al_code look(struct verify *v, struct al_shard_port *s, struct al_arena *a,
                         struct al_verify_report *ret, struct lines *out, struct al_err *err)
{
    struct al_verify_report r = {0};
    AL_TRY(s->ops->verify(s, a, al_work_progress, &v->part, ret, err));
    AL_TRY(add_lines(out, ret->problems, ret->n_problems, a, err));
    if (!v->args.deep)
        return AL_OK;
    AL_TRY(s->ops->scrub(s, a, al_work_progress, &v->part, &r, err));
    AL_TRY(add_lines(out, r.problems, r.n_problems, a, err));
    if (v->part.i < v->c->opt.router->n_shards)
        AL_TRY(sample(v, s, out, a, err));
    return AL_OK;
}

/* Segments can be built anew; what the store itself has lost cannot. */
static enum al_code repair(struct verify *v, struct al_shard_port *s, const struct lines *found,
                           struct al_err *err)
{
    bool any = false;
    bool all = false;
    for (size_t i = 0; i < found->n; i++) {
        bool is_file = al_str_starts(found->p[i], AL_STR("file"));
        any = any || is_file;
        all = all || (!is_file && al_str_find(found->p[i], AL_STR("segment"), 0) != SIZE_MAX) ||
              al_str_find(found->p[i], AL_STR("postings"), 0) != SIZE_MAX;
    }
    uint64_t rebuilt = 0;
    struct al_err e = {0};
    if (!any && !all)
        return AL_OK;
    enum al_code code = s->ops->rebuild(s, all, al_work_progress, &v->part, &rebuilt, &e);
    v->rebuilt += rebuilt;
    if (code == AL_CANCELLED) {
        *err = e;
        return code;
    }
    if (code != AL_OK) /* the second look says what is still wrong */
        al_job_log(v->part.run, "shard %zu: could not be repaired: %s", v->part.i, e.msg);
    return AL_OK;
}

static enum al_code write_down(struct verify *v, const struct lines *first,
                               const struct lines *second, struct al_arena *a, struct al_err *err)
{
    struct al_finding *f = al_arena_array(a, first->n + second->n + 1, sizeof *f);
    size_t n = 0;
    if (!f)
        return al_msg_no_memory(err);
    for (size_t i = 0; i < first->n; i++) {
        f[n] = al_finding_of((uint32_t)v->part.i, first->p[i]);
        f[n].is_repaired = v->args.repair && !has_line(second, first->p[i]);
        v->n_repaired += f[n].is_repaired;
        n++;
    }
    for (size_t i = 0; i < second->n; i++) {
        if (!has_line(first, second->p[i]))
            f[n++] = al_finding_of((uint32_t)v->part.i, second->p[i]);
    }
    size_t room = v->n_findings < AL_FINDINGS_MAX ? AL_FINDINGS_MAX - (size_t)v->n_findings : 0;
    size_t kept = n < room ? n : room;
    AL_TRY(al_findings_write(v->c, al_job_id(v->part.run), v->n_findings, f, kept, err));
    v->n_findings += kept;
    v->n_unlisted += n - kept;
    return AL_OK;
}

static enum al_code verify_one(struct verify *v, struct al_arena *a, struct al_err *err)
{
    struct al_shard_port *s = al_work_shard(v->c, v->part.i);
    struct al_verify_report r = {0};
    struct al_verify_report again = {0};
    struct lines first = {0};
    struct lines second = {0};
    AL_TRY(look(v, s, a, &r, &first, err));
    if (v->args.repair && first.n) {
        AL_TRY(repair(v, s, &first, err));
        AL_TRY(look(v, s, a, &again, &second, err));
    }
    AL_TRY(write_down(v, &first, &second, a, err));
    v->total.docs_checked += r.docs_checked;
    v->total.chunks_checked += r.chunks_checked;
    v->total.log_checked += r.log_checked;
    v->total.segments_checked += r.segments_checked;
    return AL_OK;
}

static void put_results(struct verify *v)
{
    struct al_job_run *run = v->part.run;
    al_job_result(run, "checked", "%llu", (unsigned long long)v->total.docs_checked);
    al_job_result(run, "findings", "%llu", (unsigned long long)v->n_findings + v->n_unlisted);
    al_job_result(run, "documents", "%llu", (unsigned long long)v->total.docs_checked);
    al_job_result(run, "chunks", "%llu", (unsigned long long)v->total.chunks_checked);
    al_job_result(run, "log_entries", "%llu", (unsigned long long)v->total.log_checked);
    al_job_result(run, "segments", "%llu", (unsigned long long)v->total.segments_checked);
    al_job_result(run, "problems", "%llu",
                  (unsigned long long)(v->n_findings + v->n_unlisted - v->n_repaired));
    if (v->args.deep)
        al_job_result(run, "texts_embedded_again", "%llu", (unsigned long long)v->sampled);
    if (v->args.repair) {
        al_job_result(run, "segments_rebuilt", "%llu", (unsigned long long)v->rebuilt);
        al_job_result(run, "repaired", "%llu", (unsigned long long)v->n_repaired);
    }
    if (v->n_unlisted)
        al_job_log(run, "%llu findings more than can be listed", (unsigned long long)v->n_unlisted);
}

enum al_code al_work_verify(void *ctx, struct al_job_run *run, struct al_str args,
                            struct al_err *err)
{
    struct al_coordinator *c = ctx;
    struct verify v = {.c = c, .part = {.run = run, .n = c->opt.router->n_shards + 1}};
    AL_TRY(al_work_args_parse(c, args, &v.args, err));
    AL_TRY(al_findings_erase(c, al_job_id(run), err)); /* of an attempt that broke off */
    struct al_arena a;
    al_arena_init(&a, c->opt.mem, ARENA_LIMIT);
    enum al_code code = AL_OK;
    for (; code == AL_OK && v.part.i < v.part.n; v.part.i++) {
        bool is_system = v.part.i == c->opt.router->n_shards;
        if (is_system ? !v.args.is_all : !v.args.is_wanted[v.part.i])
            continue;
        code = verify_one(&v, &a, err);
        al_arena_reset(&a);
    }
    al_arena_fini(&a);
    if (code == AL_OK)
        put_results(&v);
    return code;
}
