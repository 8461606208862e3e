/* Quotas of what is stored: exact at their edges, shared by the deployments of a team, unharmed by
 * failures and restarts, without harm to the rest of a stream. */
#include "airlore/testing.h"

#include <pthread.h>
#include <stdio.h>

#include "airlore/ingest.h"
#include "core_fixture.h"
#include "quota.h"

struct fix {
    struct core core;
    struct al_storage_quota *quota;
    uint32_t team;
    uint32_t deployment;
    size_t n_failed;
    size_t n_ok;
    char reason[64];
};

static void open_fix(struct fix *f)
{
    struct al_err err = {0};
    struct al_team t;
    struct al_deployment d;
    memset(f, 0, sizeof *f);
    core_open(&f->core, 2);
    AL_CHECK_OK(al_directory_add_team(f->core.directory, "red", &t, &err), err);
    AL_CHECK_OK(al_directory_add_deployment(f->core.directory, "red", "a", &d, &err), err);
    f->team = t.space;
    f->deployment = d.space;
    struct al_storage_quota_options o = {.directory = f->core.directory, .router = &f->core.router};
    AL_CHECK_OK(al_storage_quota_create(&o, &f->quota, &err), err);
}

static void close_fix(struct fix *f)
{
    al_storage_quota_destroy(f->quota);
    core_close(&f->core);
}

static void limit(struct fix *f, const char *name, uint32_t set, uint64_t n)
{
    struct al_err err = {0};
    struct al_quota q = {.set = set, .max_items = n, .max_bytes = n};
    uint64_t v = 0;
    AL_CHECK_OK(al_directory_set_quota(f->core.directory, name, &q, 0, &v, &err), err);
}

static enum al_code on_results(void *u, const struct al_ingest_result *r, size_t n,
                               const struct al_token *t, struct al_err *err)
{
    (void)t;
    (void)err;
    struct fix *f = u;
    for (size_t i = 0; i < n; i++) {
        f->n_failed += r[i].error.code != AL_OK;
        f->n_ok += r[i].error.code == AL_OK;
        if (r[i].error.code != AL_OK)
            snprintf(f->reason, sizeof f->reason, "%s", r[i].error.reason);
    }
    return AL_OK;
}

static struct al_ingest *start(struct fix *f, uint32_t space)
{
    struct al_err err = {0};
    struct al_ingest *g = NULL;
    struct al_ingest_options o = {
        .router = &f->core.router,
        .embedder = f->core.embedder,
        .clock = al_clock_system(),
        .quota = f->quota,
        .target = {.space = space, .visibility = AL_VIS_TEAM, .team = "red", .deployment = ""},
        .on_results = on_results,
        .u = f};
    AL_CHECK_OK(al_ingest_start(&o, &g, &err), err);
    return g;
}

static void add(struct al_ingest *g, unsigned n, const char *text)
{
    struct al_err err = {0};
    char id[16];
    snprintf(id, sizeof id, "i%u", n);
    struct al_item it = {.id = al_str_c(id), .title = AL_STR("t"), .content = al_str_c(text)};
    AL_CHECK_OK(al_ingest_add(g, &it, n, &err), err);
}

/* Items first..last of a text into the space; gives how many were taken. */
static size_t put(struct fix *f, uint32_t space, unsigned first, unsigned last, const char *text)
{
    struct al_err err = {0};
    struct al_ingest_summary sum;
    struct al_token t;
    struct al_ingest *g = start(f, space);
    f->n_failed = f->n_ok = 0;
    for (unsigned i = first; i <= last; i++)
        add(g, i, text);
    AL_CHECK_OK(al_ingest_finish(g, true, &f->core.arena, &sum, &t, &err), err);
    al_ingest_destroy(g);
    assert_int_equal(f->n_ok + f->n_failed, last - first + 1);
    if (f->n_failed)
        assert_string_equal(f->reason, "QUOTA_EXCEEDED");
    return f->n_ok;
}

static struct al_space_use used(struct fix *f)
{
    struct al_err err = {0};
    const uint32_t spaces[] = {f->team, f->deployment};
    struct al_space_use u = {0};
    AL_CHECK_OK(al_storage_use(&f->core.router, spaces, 2, &u, &err), err);
    return u;
}

static void test_items_of_a_team_and_its_deployments(void **state)
{
    (void)state;
    struct fix f;
    open_fix(&f);
    assert_int_equal(put(&f, f.team, 0, 9, "text one"), 10); /* no quota: none */
    limit(&f, "teams/red", AL_QUOTA_ITEMS, 25);
    limit(&f, "teams/red/deployments/a", AL_QUOTA_ITEMS, 12);
    assert_int_equal(put(&f, f.deployment, 0, 19, "text one"), 12); /* the deployment's own */
    assert_int_equal(put(&f, f.team, 10, 19, "text one"), 3);       /* the team's, of both */
    assert_int_equal(used(&f).docs, 25);
    assert_int_equal(put(&f, f.team, 0, 9, "text two"), 10); /* replacing takes no item */
    assert_int_equal(put(&f, f.team, 0, 9, "text two"), 10); /* nor does what is the same */
    assert_int_equal(put(&f, AL_SPACE_COMMUNITY, 0, 3, "text one"), 4); /* is nobody's */
    assert_int_equal(used(&f).docs, 25);
    limit(&f, "teams/red", AL_QUOTA_ITEMS, 3); /* below what is there: nothing more, nothing less */
    assert_int_equal(put(&f, f.team, 50, 55, "text"), 0);
    assert_int_equal(used(&f).docs, 25);
    close_fix(&f);
}

static void test_bytes_are_counted_to_the_last(void **state)
{
    (void)state;
    struct fix f;
    open_fix(&f);
    assert_int_equal(put(&f, f.team, 100, 100, "some text of a certain length"), 1);
    uint64_t one = used(&f).bytes;
    assert_true(one > 20);
    limit(&f, "teams/red", AL_QUOTA_BYTES, 3 * one);
    assert_int_equal(put(&f, f.team, 101, 105, "some text of a certain length"), 2);
    assert_int_equal(used(&f).bytes, 3 * one); /* exactly full */
    assert_int_equal(put(&f, f.team, 100, 100, "some text of a certain lengtj"), 1); /* as long */
    assert_int_equal(put(&f, f.team, 100, 100, "some text of a certain length."), 0);
    assert_int_equal(put(&f, f.team, 100, 100, "less text"), 1);
    uint64_t free = 3 * one - used(&f).bytes;
    assert_true(free > 0 && free < one);
    assert_int_equal(put(&f, f.team, 106, 106, "some text of a certain length"), 0);
    close_fix(&f);
}

static void test_what_was_held_is_given_back(void **state)
{
    (void)state;
    struct fix f;
    open_fix(&f);
    limit(&f, "teams/red", AL_QUOTA_ITEMS, 40);
    for (int round = 0; round < 3; round++) { /* streams that break off keep nothing */
        struct al_ingest *g = start(&f, f.team);
        for (unsigned i = 0; i < 30; i++)
            add(g, 1000 * (unsigned)round + i, "text");
        al_ingest_destroy(g);
    }
    uint64_t there = used(&f).docs; /* some were committed before they broke off */
    assert_true(there <= 40);
    assert_int_equal(put(&f, f.deployment, 5000, 5099, "text"), 40 - there);
    assert_int_equal(used(&f).docs, 40);
    close_fix(&f);
}

struct writer {
    struct fix *f;
    unsigned first;
    size_t taken;
};

static enum al_code count_taken(void *u, const struct al_ingest_result *r, size_t n,
                                const struct al_token *t, struct al_err *err)
{
    (void)t;
    (void)err;
    struct writer *w = u;
    for (size_t i = 0; i < n; i++)
        w->taken += r[i].error.code == AL_OK;
    return AL_OK;
}

static void *write_many(void *u)
{
    struct writer *w = u;
    struct al_err err = {0};
    struct al_arena a;
    struct al_ingest *g = NULL;
    struct al_ingest_summary sum;
    struct al_token t;
    struct al_ingest_options o = {
        .router = &w->f->core.router,
        .embedder = w->f->core.embedder,
        .clock = al_clock_system(),
        .quota = w->f->quota,
        .target = {.space = w->f->team, .visibility = AL_VIS_TEAM, .team = "red", .deployment = ""},
        .on_results = count_taken,
        .u = w};
    al_arena_init(&a, NULL, 1 << 20);
    if (al_ingest_start(&o, &g, &err) == AL_OK) {
        for (unsigned i = 0; i < 60; i++)
            add(g, w->first + i, "text");
        (void)!al_ingest_finish(g, true, &a, &sum, &t, &err);
    }
    al_ingest_destroy(g);
    al_arena_fini(&a);
    return NULL;
}

static void test_streams_at_the_same_time_do_not_pass_it_together(void **state)
{
    (void)state;
    struct fix f;
    open_fix(&f);
    limit(&f, "teams/red", AL_QUOTA_ITEMS, 100);
    struct writer w[4];
    pthread_t threads[4];
    for (unsigned i = 0; i < 4; i++) {
        w[i] = (struct writer){.f = &f, .first = 1000 * i};
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, &w[i]), 0);
    }
    size_t taken = 0;
    for (unsigned i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        taken += w[i].taken;
    }
    assert_int_equal(taken, used(&f).docs);
    assert_int_equal(used(&f).docs, 100); /* never beyond, and no place lost */
    core_reopen(&f.core);
    assert_int_equal(used(&f).docs, 100);
    close_fix(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_items_of_a_team_and_its_deployments),
        cmocka_unit_test(test_bytes_are_counted_to_the_last),
        cmocka_unit_test(test_what_was_held_is_given_back),
        cmocka_unit_test(test_streams_at_the_same_time_do_not_pass_it_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
