/* The maintenance jobs on real shards: verify, compact, reembed. */
#include "airlore/testing.h"

#include <stdlib.h>

#include "airlore/coord_mem.h"
#include "core_fixture.h"
#include "findings.h"
#include "service.h"

#define EMBEDDER_ID_AT 64u /* in the header of a table; tools/embedding/README.md */

/* A coordinator over the fixture's shards. */
struct site {
    struct core core;
    struct al_coord *coord;
    struct al_coordinator *c;
};

static void site_start(struct site *s)
{
    struct al_err err = {0};
    AL_CHECK_OK(al_coord_mem_open(NULL, &s->coord, &err), err);
    struct al_coordinator_options opt = {.router = &s->core.router,
                                         .system = s->core.system,
                                         .embedder = s->core.embedder,
                                         .coord = s->coord,
                                         .clock = al_clock_system(),
                                         .random = &s->core.random.random,
                                         .server_name = "test",
                                         .version = "0",
                                         .commit = "0",
                                         .role = "standalone"};
    AL_CHECK_OK(al_coordinator_create(&opt, &s->c, &err), err);
}

static void site_stop(struct site *s)
{
    al_coordinator_destroy(s->c);
    al_coord_close(s->coord);
}

/* Run a job to its end; gives it in the arena. */
static struct al_job run_job(struct site *s, const char *type)
{
    struct al_err err = {0};
    struct al_job j = {0};
    struct al_arena *a = &s->core.arena;
    struct al_str none = {"", 0};
    AL_CHECK_OK(al_jobs_submit(s->c->jobs, type, none, AL_STR("default"), none, a, &j, &err), err);
    struct al_str id = j.id;
    while (j.state < AL_JOB_SUCCEEDED) {
        uint64_t deadline = al_clock_deadline(al_clock_system(), 20000);
        uint64_t before = j.version;
        AL_CHECK_OK(al_jobs_wait(s->c->jobs, id, before, deadline, a, &j, &err), err);
        assert_true(j.state >= AL_JOB_SUCCEEDED || j.version > before); /* it goes on */
    }
    assert_int_equal(j.state, AL_JOB_SUCCEEDED);
    return j;
}

static bool result_is(const struct al_job *j, const char *key, const char *value)
{
    for (size_t i = 0; i < j->n_results; i++) {
        if (al_str_is(j->results[i].key, key))
            return al_str_is(j->results[i].value, value);
    }
    return false;
}

/* Documents of the team "default", so that all_spaces finds them. */
static uint32_t fill(struct site *s, size_t n)
{
    struct al_err err = {0};
    struct al_team t;
    AL_CHECK_OK(al_directory_get_team(al_coordinator_directory(s->c), "default", &t, &err), err);
    for (size_t i = 0; i < n; i++) {
        char id[32];
        snprintf(id, sizeof id, "d%zu", i);
        core_put(&s->core, t.space, id, "Pools", "A pool limits the tasks that run at once.");
    }
    return t.space;
}

/* The built-in table under another name: a vector space that must not be mixed with the first. */
static char *renamed_table(struct core *c)
{
    struct al_err err = {0};
    struct al_str table = al_embedder_builtin();
    char *copy = al_mem_strndup(NULL, table.p, table.n);
    assert_non_null(copy);
    snprintf(copy + EMBEDDER_ID_AT, 32, "test-other-table");
    al_embedder_destroy(c->embedder);
    c->embedder = NULL;
    AL_CHECK_OK(al_embedder_open((struct al_str){copy, table.n}, NULL, &c->embedder, &err), err);
    return copy;
}

static void test_reembedding_brings_documents_into_the_new_space(void **state)
{
    (void)state;
    struct site s = {0};
    core_open(&s.core, 2);
    site_start(&s);
    uint32_t space = fill(&s, 40);
    site_stop(&s);
    char *table = renamed_table(&s.core);
    core_reopen(&s.core);
    site_start(&s);
    struct al_query_result r = core_search(&s.core, "limit tasks", AL_MODE_VECTOR, 50, &space, 1);
    assert_int_equal(r.n_hits, 0); /* vectors of two tables are never compared */
    r = core_search(&s.core, "limit tasks", AL_MODE_TEXT, 50, &space, 1);
    assert_int_equal(r.n_hits, 40); /* their text is found all the same */
    struct al_job j = run_job(&s, "reembed");
    assert_true(result_is(&j, "reembedded", "40"));
    r = core_search(&s.core, "limit tasks", AL_MODE_VECTOR, 50, &space, 1);
    assert_int_equal(r.n_hits, 40);
    j = run_job(&s, "reembed"); /* nothing is left to do */
    assert_true(result_is(&j, "reembedded", "0"));
    j = run_job(&s, "verify");
    assert_true(result_is(&j, "problems", "0"));
    site_stop(&s);
    core_close(&s.core);
    al_mem_free(NULL, table);
}

static void test_compaction_drops_what_is_dead_and_verify_agrees(void **state)
{
    (void)state;
    static const uint8_t no_write_id[16];
    struct site s = {0};
    struct al_err err = {0};
    core_open(&s.core, 1);
    site_start(&s);
    uint32_t space = fill(&s, 60);
    AL_CHECK_OK(al_shard_compact(s.core.shard[0], false, NULL, NULL, &err), err);
    struct al_op op = {.kind = AL_OP_DELETE_DOC, .space = space, .id = AL_STR("d7")};
    struct al_write_result res;
    AL_CHECK_OK(al_shard_write(s.core.shard[0], &op, 1, no_write_id, AL_DEADLINE_NONE,
                               &s.core.arena, &res, &err),
                err);
    struct al_shard_status st;
    al_shard_get_status(s.core.shard[0], &st);
    assert_true(st.n_tombstones > 0);
    run_job(&s, "compact");
    al_shard_get_status(s.core.shard[0], &st);
    assert_int_equal(st.n_tombstones, 0);
    assert_int_equal(st.n_docs, 59);
    struct al_job j = run_job(&s, "verify");
    assert_true(result_is(&j, "problems", "0"));
    site_stop(&s);
    core_close(&s.core);
}

/* The number comes from a page token, the name from a request: neither need be one that was ever
 * given. */
static void test_findings_that_cannot_be_are_none(void **state)
{
    (void)state;
    static const uint64_t numbers[] = {3, AL_FINDINGS_MAX, AL_FINDINGS_MAX + 1, 1000000000000ull,
                                       UINT64_MAX};
    struct core core;
    struct al_err err = {0};
    struct al_findings found = {.n = 0};
    char longest[AL_JOB_ID_BYTES_MAX + 1];
    char longer[4 * AL_JOB_ID_BYTES_MAX];
    core_open(&core, 1);
    struct al_coordinator c = {.opt = {.system = core.system, .clock = al_clock_system()}};
    memset(longest, 'j', sizeof longest);
    longest[AL_JOB_ID_BYTES_MAX] = '\0';
    memset(longer, 'j', sizeof longer);
    const struct al_finding f[3] = {{.message = AL_STR("one")}, {.message = AL_STR("two")}, {0}};
    AL_CHECK_OK(al_findings_write(&c, longest, 0, f, 3, &err), err);
    for (size_t i = 0; i < AL_ARRAY_LEN(numbers); i++) {
        struct al_findings_query q = {al_str_c(longest), numbers[i], 10};
        found.n = 77;
        AL_CHECK_OK(al_findings_read(&c, &q, &core.arena, &found, &err), err);
        assert_int_equal(found.n, 0);
    }
    struct al_findings_query q = {al_str_c(longest), 1, 10};
    AL_CHECK_OK(al_findings_read(&c, &q, &core.arena, &found, &err), err);
    assert_true(found.n == 2 && al_str_is(found.list[0].message, "two"));
    q.job = (struct al_str){longer, sizeof longer};
    AL_CHECK_OK(al_findings_read(&c, &q, &core.arena, &found, &err), err);
    assert_int_equal(found.n, 0);
    core_close(&core);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_findings_that_cannot_be_are_none),
        cmocka_unit_test(test_reembedding_brings_documents_into_the_new_space),
        cmocka_unit_test(test_compaction_drops_what_is_dead_and_verify_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
