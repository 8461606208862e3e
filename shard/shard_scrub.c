/* Reading every byte anew: what lies on the disk, not what agrees with what. */
#include <stdio.h>
#include <string.h>

#include "shard_impl.h"

#define PROBLEMS_MAX 100u
#define PROBLEM_BYTES_MAX (64u << 10)
#define POLL_ROWS 4096u

struct scrub {
    struct al_shard *s;
    struct al_arena *a; /* of the report */
    bool (*progress)(void *u, double done);
    void *u;
    struct al_verify_report report;
};

static enum al_code add_problem(struct scrub *x, struct al_str line, struct al_err *err)
{
    if (x->report.n_problems == PROBLEMS_MAX)
        return AL_OK;
    AL_TRY(al_arena_str(x->a, line, &x->report.problems[x->report.n_problems], err));
    x->report.n_problems++;
    return AL_OK;
}

static enum al_code poll(struct scrub *x, double done, struct al_err *err)
{
    if (!x->progress || x->progress(x->u, done))
        return al_shard_check_open(x->s, err);
    return AL_FAIL(err, AL_CANCELLED, "verify: cancelled");
}

/* The store checks each block that it reads; damage ends the scan. */
static enum al_code scrub_family(struct scrub *x, struct al_store *st, enum al_family f,
                                 struct al_err *err)
{
    const struct al_store_ops *ops = st->ops;
    struct al_store_iter *it = NULL;
    uint64_t rows = 0;
    AL_TRY(ops->iter_create(st, f, &it, err));
    enum al_code code = AL_OK;
    for (ops->iter_seek(it, AL_STR("")); code == AL_OK && ops->iter_valid(it); ops->iter_next(it)) {
        (void)ops->iter_value(it);
        if (++rows % POLL_ROWS == 0)
            code = poll(x, 0.5 * (double)f / AL_FAMILY_COUNT, err);
    }
    struct al_err e = {0};
    enum al_code end = code == AL_OK ? ops->iter_status(it, &e) : AL_OK;
    ops->iter_destroy(it);
    AL_TRY(code);
    if (end == AL_OK)
        return AL_OK;
    if (end != AL_DATA_LOSS) {
        if (err)
            *err = e;
        return end;
    }
    char line[sizeof e.msg + 64];
    int n = snprintf(line, sizeof line, "store: family '%s': %s", al_family_names[f], e.msg);
    return add_problem(
        x, (struct al_str){line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1}, err);
}

static enum al_code scrub_store(struct scrub *x, struct al_err *err)
{
    struct al_store *st = NULL;
    AL_TRY(al_shard_acquire_store(x->s, &st, err));
    enum al_code code = AL_OK;
    for (int f = 0; code == AL_OK && f < AL_FAMILY_COUNT; f++)
        code = scrub_family(x, st, (enum al_family)f, err);
    al_shard_release_store(x->s);
    return code;
}

static enum al_code scrub_segments(struct scrub *x, struct al_err *err)
{
    struct al_buf lines;
    al_buf_init(&lines, x->s->opt.mem, PROBLEM_BYTES_MAX);
    enum al_code code = al_segset_scrub_files(x->s->segs, &lines, &x->report.segments_checked, err);
    struct al_str rest = al_buf_view(&lines);
    while (code == AL_OK && rest.n > 0) {
        size_t end = al_str_find(rest, AL_STR("\n"), 0);
        code = add_problem(x, al_str_sub(rest, 0, end), err);
        rest = end == SIZE_MAX ? (struct al_str){NULL, 0} : al_str_sub(rest, end + 1, SIZE_MAX);
    }
    al_buf_fini(&lines);
    return code;
}

enum al_code al_shard_scrub(struct al_shard *s, struct al_arena *a,
                            bool (*progress)(void *u, double done), void *u,
                            struct al_verify_report *ret, struct al_err *err)
{
    struct scrub x = {.s = s, .a = a, .progress = progress, .u = u};
    AL_TRY(al_shard_check_open(s, err));
    x.report.problems = al_arena_array(a, PROBLEMS_MAX, sizeof *x.report.problems);
    if (!x.report.problems)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "verify: out of memory");
    AL_TRY(scrub_store(&x, err));
    AL_TRY(poll(&x, 0.5, err));
    AL_TRY(scrub_segments(&x, err));
    AL_TRY(poll(&x, 1.0, err));
    *ret = x.report;
    return AL_OK;
}
