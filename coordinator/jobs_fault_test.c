#include "jobs_fixture.h"

static void test_crash_and_attempts(void **state)
{
    (void)state;
    struct fixture f;
    jf_init(&f, NULL);
    jf_submit(&f, "gated", "deadly", "d");
    jf_submit(&f, "gated", "next", "n");
    uint64_t version = 0;
    for (int attempt = 1; attempt <= 3; attempt++) {
        jf_await_began(&f.stage, attempt);
        struct al_job job = jf_get(&f, "deadly");
        assert_int_equal(job.attempt, attempt);
        assert_true(job.version > version);
        struct al_err err;
        AL_CHECK_OK(al_jobs_set_paused(f.jobs, AL_JOB_MAINTENANCE, true, &err), err);
        version = jf_get(&f, "deadly").version;
        jf_crash(&f);
        jf_start(&f); /* the version goes on, also beyond changes that never came to disk */
        assert_true(jf_get(&f, "deadly").version > version);
        AL_CHECK_OK(al_jobs_set_paused(f.jobs, AL_JOB_MAINTENANCE, false, &err), err);
    }
    struct al_job job = jf_await(&f, f.jobs, "deadly", AL_JOB_FAILED);
    assert_true(al_str_starts(job.error, AL_STR("INTERNAL/ATTEMPTS_EXHAUSTED")));
    jf_stage_open(&f.stage, true);
    jf_await(&f, f.jobs, "next", AL_JOB_SUCCEEDED);
    assert_string_equal(f.stage.began, "d d d n ");
    jf_fini(&f);
}

/* An orderly stop is not the job's fault: it costs no attempt. */
static void test_stop_and_start(void **state)
{
    (void)state;
    struct fixture f;
    jf_init(&f, NULL);
    jf_submit(&f, "gated", "long", "x");
    for (int i = 1; i <= 6; i++) {
        jf_await_began(&f.stage, i);
        assert_int_equal(jf_get(&f, "long").attempt, 1);
        jf_stop(&f);
        jf_start(&f);
    }
    jf_stage_open(&f.stage, true);
    jf_await(&f, f.jobs, "long", AL_JOB_SUCCEEDED);
    jf_fini(&f);
}

/* Each write of a row meets each fault: the job is done, and said to be done; nothing is lost. */
static void test_row_faults(void **state)
{
    (void)state;
    for (int fault = ROW_LOST; fault <= ROW_FULL; fault++) {
        struct fixture f;
        jf_init(&f, NULL);
        for (unsigned n = 0; n < 5; n++) {
            char id[16];
            snprintf(id, sizeof id, "job%u", n);
            jf_rows_fail(f.rows, n, (enum row_fault)fault);
            struct al_job job;
            struct al_err err;
            enum al_code c = jf_try_submit(&f, "quick", id, "", &job, &err);
            if (c != AL_OK) { /* refused, surely not there: the client tries again */
                assert_true(fault == ROW_FULL && n == 0);
                jf_submit(&f, "quick", id, "");
            }
            job = jf_await(&f, f.jobs, id, AL_JOB_SUCCEEDED);
            assert_int_equal(job.attempt, 1);
        }
        assert_int_equal(atomic_load(&f.n_quick), 5);
        jf_fini(&f);
    }
}

/* Each write of the coordination store meets each fault. */
static void test_coord_faults(void **state)
{
    (void)state;
    for (int fault = AL_COORD_MEM_UNKNOWN_APPLIED; fault <= AL_COORD_MEM_UNAVAILABLE; fault++) {
        struct fixture f;
        jf_init(&f, NULL);
        for (unsigned n = 0; n < 6; n++) {
            char id[16];
            snprintf(id, sizeof id, "job%u", n);
            al_coord_mem_fail_txn(f.coord, n, (enum al_coord_mem_fault)fault);
            jf_submit(&f, "quick", id, "");
            struct al_job job = jf_await(&f, f.jobs, id, AL_JOB_SUCCEEDED);
            assert_int_equal(job.attempt, 1);
        }
        assert_int_equal(atomic_load(&f.n_quick), 6);
        jf_fini(&f);
    }
}

static uint64_t leader_lease(struct fixture *f, struct al_coord *c)
{
    struct al_coord_op op = al_coord_get(AL_STR("jobs/leader"));
    struct al_coord_txn txn = {.then_ops = &op, .n_then = 1};
    struct al_coord_result res;
    struct al_err err;
    AL_CHECK_OK(al_coord_txn(c, &txn, AL_DEADLINE_NONE, &f->arena, &res, &err), err);
    return res.answers[0].n_kvs ? res.answers[0].kvs[0].lease : 0;
}

/* The session is lost while a job runs, and won again: the same attempt is committed. */
static void test_session_lost(void **state)
{
    (void)state;
    struct fixture f;
    jf_init(&f, NULL);
    jf_submit(&f, "gated", "one", "1");
    jf_submit(&f, "gated", "two", "2");
    jf_await_began(&f.stage, 1);
    uint64_t lease = leader_lease(&f, f.coord);
    assert_true(lease > 0);
    al_coord_mem_expire(f.coord, lease);
    jf_stage_open(&f.stage, true);
    assert_int_equal(jf_await(&f, f.jobs, "one", AL_JOB_SUCCEEDED).attempt, 1);
    jf_await(&f, f.jobs, "two", AL_JOB_SUCCEEDED);
    assert_int_not_equal(leader_lease(&f, f.coord), lease);
    assert_string_equal(f.stage.began, "1 2 ");
    jf_fini(&f);
}

/* Two processes: the second stands by, takes over when the first is cut off, and the first one's
 * result does not count. */
static void test_takeover(void **state)
{
    (void)state;
    struct fixture f;
    jf_init(&f, NULL);
    struct al_coord *coord2 = NULL;
    struct al_err err;
    AL_CHECK_OK(al_coord_mem_join(f.coord, &coord2, &err), err);
    struct al_jobs *second = jf_make_jobs(&f, coord2);
    jf_submit(&f, "gated", "one", "1");
    jf_await_began(&f.stage, 1);
    al_coord_mem_set_cut_off(f.coord, true);
    for (int i = 0; i < 12; i++) { /* its lease runs out */
        atomic_fetch_add(&f.clock.now_ns, 1000000000ull);
        al_coord_mem_settle(coord2);
    }
    jf_await_began(&f.stage, 2);
    al_coord_mem_set_cut_off(f.coord, false);
    jf_stage_open(&f.stage, true);
    struct al_job job = jf_await(&f, second, "one", AL_JOB_SUCCEEDED);
    assert_int_equal(job.attempt, 2);
    assert_string_equal(f.stage.began, "1 1 ");
    struct al_job same; /* a record that this process has not made is known to it all the same */
    assert_int_equal(al_jobs_submit(second, "gated", AL_STR("here"), AL_STR(""), AL_STR("a"),
                                    &f.arena, &same, &err),
                     AL_OK);
    assert_int_equal(jf_try_submit(&f, "gated", "here", "b", &same, &err), AL_ALREADY_EXISTS);
    assert_string_equal(err.reason, "ID_REUSED");
    AL_CHECK_OK(jf_try_submit(&f, "gated", "here", "a", &same, &err), err);
    jf_await(&f, second, "here", AL_JOB_SUCCEEDED);
    al_jobs_stop(f.jobs); /* the runner has given its attempt up */
    struct al_job here = jf_get(&f, "one");
    assert_true(here.state == AL_JOB_SUCCEEDED || here.attempt <= 2);
    al_jobs_destroy(second);
    al_coord_close(coord2);
    jf_fini(&f);
}

/* The end is on disk before the commit, and seen only after it. */
static void test_end_is_seen_after_commit(void **state)
{
    (void)state;
    struct fixture f;
    jf_init(&f, NULL);
    jf_submit(&f, "gated", "one", "1");
    jf_await_began(&f.stage, 1);
    uint64_t before = jf_n_writes(f.rows);
    al_coord_mem_set_cut_off(f.coord, true);
    jf_stage_open(&f.stage, true);
    jf_await_writes(f.rows, before + 2); /* it tries and tries */
    assert_int_equal(jf_get(&f, "one").state, AL_JOB_RUNNING);
    al_coord_mem_set_cut_off(f.coord, false);
    assert_int_equal(jf_await(&f, f.jobs, "one", AL_JOB_SUCCEEDED).attempt, 1);
    jf_fini(&f);
}

/* Killed between commit and showing it: the next process shows it, and does not run the job again.
 */
static void test_commit_outlives_the_process(void **state)
{
    (void)state;
    struct fixture f;
    jf_init(&f, NULL);
    struct al_coord *store = NULL; /* a store that outlives the process, as an external one does */
    struct al_err err;
    AL_CHECK_OK(al_coord_mem_join(f.coord, &store, &err), err);
    jf_submit(&f, "gated", "one", "1");
    jf_await_began(&f.stage, 1);
    uint64_t before = jf_n_writes(f.rows);
    jf_rows_fail(f.rows, 1, ROW_KILL); /* staging goes through, publishing does not */
    jf_stage_open(&f.stage, true);
    jf_await_writes(f.rows, before + 2);
    al_jobs_destroy(f.jobs);
    al_coord_close(f.coord);
    jf_rows_set_dead(f.rows, false);
    atomic_fetch_add(&f.clock.now_ns, 1000000000ull);
    AL_CHECK_OK(al_coord_mem_join(store, &f.coord, &err), err);
    f.jobs = jf_make_jobs(&f, f.coord);
    assert_int_equal(jf_await(&f, f.jobs, "one", AL_JOB_SUCCEEDED).attempt, 1);
    jf_submit(&f, "gated", "two", "2");
    jf_await(&f, f.jobs, "two", AL_JOB_SUCCEEDED);
    assert_string_equal(f.stage.began, "1 2 ");
    al_coord_close(store);
    jf_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crash_and_attempts),
        cmocka_unit_test(test_stop_and_start),
        cmocka_unit_test(test_row_faults),
        cmocka_unit_test(test_coord_faults),
        cmocka_unit_test(test_session_lost),
        cmocka_unit_test(test_takeover),
        cmocka_unit_test(test_end_is_seen_after_commit),
        cmocka_unit_test(test_commit_outlives_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
