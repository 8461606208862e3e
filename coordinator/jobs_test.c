#include "jobs_fixture.h"

static void test_order(void **state)
{
    (void)state;
    struct fixture f;
    jf_init(&f, NULL);
    jf_submit(&f, "gated", "zz", "1");
    jf_await_began(&f.stage, 1);
    jf_submit(&f, "gated", "aa", "2");
    jf_submit(&f, "gated", "mm", "3");
    struct al_job job = jf_submit(&f, "gated", "", "4"); /* an id is made */
    assert_int_equal(job.id.n, 36);
    jf_submit(&f, "quick", "other-class", ""); /* does not wait for the others */
    jf_await(&f, f.jobs, "other-class", AL_JOB_SUCCEEDED);
    uint32_t queued;
    uint32_t running;
    al_jobs_count(f.jobs, &queued, &running);
    assert_int_equal(queued, 3);
    assert_int_equal(running, 1);
    job = jf_get(&f, "zz");
    assert_int_equal(job.state, AL_JOB_RUNNING);
    assert_int_equal(job.attempt, 1);
    assert_true(job.started_ms >= job.created_ms && job.created_ms > 0);
    assert_true(al_str_is(job.team, "team-a") && al_str_is(job.type, "gated"));
    jf_stage_open(&f.stage, true);
    jf_await_began(&f.stage, 4);
    assert_string_equal(f.stage.began, "1 2 3 4 ");
    assert_int_equal(f.stage.most_inside, 1);
    job = jf_await(&f, f.jobs, "mm", AL_JOB_SUCCEEDED);
    assert_true(job.done >= 1 && job.ended_ms >= job.started_ms);
    struct al_job *all;
    size_t n;
    struct al_err err;
    AL_CHECK_OK(al_jobs_list(f.jobs, &f.arena, &all, &n, &err), err);
    assert_int_equal(n, 5);
    assert_true(al_str_is(all[0].id, "other-class") && al_str_is(all[4].id, "zz"));
    jf_fini(&f);
}

static void test_ids(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        const char *id;
        const char *args;
        enum al_code code;
        const char *reason;
    } cases[] = {
        {"gated", "one", "other", AL_ALREADY_EXISTS, "ID_REUSED"},
        {"quick", "one", "x", AL_ALREADY_EXISTS, "ID_REUSED"},
        {"nothing", "two", "x", AL_INVALID_ARGUMENT, "BAD_ENUM"},
        {"gated", "Two", "x", AL_INVALID_ARGUMENT, "BAD_NAME"},
        {"gated", "-two", "x", AL_INVALID_ARGUMENT, "BAD_NAME"},
        {"gated", "t/wo", "x", AL_INVALID_ARGUMENT, "BAD_NAME"},
        {"gated", "0123456789012345678901234567890123456789012345678901234567890123x", "x",
         AL_INVALID_ARGUMENT, "BAD_NAME"},
    };
    struct fixture f;
    jf_init(&f, NULL);
    struct al_job first = jf_submit(&f, "gated", "one", "x");
    for (int again = 0; again < 3; again++) {
        struct al_job same = jf_submit(&f, "gated", "one", "x");
        assert_int_equal(same.created_ms, first.created_ms);
        for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
            struct al_err err = {.reason = ""};
            struct al_job job;
            AL_CHECK(cases[i].id, jf_try_submit(&f, cases[i].type, cases[i].id, cases[i].args, &job,
                                                &err) == cases[i].code);
            AL_CHECK(cases[i].id, strcmp(err.reason, cases[i].reason) == 0);
        }
        jf_stage_open(&f.stage, true);
        if (again < 2)
            jf_await(&f, f.jobs, "one", AL_JOB_SUCCEEDED); /* the same also when it has ended */
        if (again == 1) {                                  /* and after a restart */
            jf_stop(&f);
            jf_start(&f);
        }
    }
    assert_int_equal(f.stage.n_began, 1);
    struct al_err err;
    struct al_job job;
    assert_int_equal(al_jobs_submit(f.jobs, "gated", AL_STR("one"), AL_STR("others"), AL_STR("x"),
                                    &f.arena, &job, &err),
                     AL_ALREADY_EXISTS); /* the id of another team's job tells nothing of it */
    assert_string_equal(err.reason, "ID_REUSED");
    assert_int_equal(al_jobs_get(f.jobs, AL_STR("none"), &f.arena, &job, &err), AL_NOT_FOUND);
    assert_string_equal(err.reason, "JOB_NOT_FOUND");
    jf_fini(&f);
}

static bool is_pending(struct fixture *f, const char *id)
{
    char key[128];
    snprintf(key, sizeof key, "jobs/pending/%d/%s", AL_JOB_MAINTENANCE, id);
    struct al_coord_op op = al_coord_get(al_str_c(key));
    struct al_coord_txn txn = {.then_ops = &op, .n_then = 1};
    struct al_coord_result res;
    struct al_err err;
    AL_CHECK_OK(al_coord_txn(f->coord, &txn, AL_DEADLINE_NONE, &f->arena, &res, &err), err);
    return res.answers[0].n_kvs > 0;
}

static void test_cancel(void **state)
{
    (void)state;
    struct fixture f;
    jf_init(&f, NULL);
    struct al_err err = {.reason = ""};
    struct al_job job;
    jf_submit(&f, "gated", "runs", "1");
    jf_submit(&f, "gated", "waits", "2");
    jf_await_began(&f.stage, 1);
    AL_CHECK_OK(al_jobs_cancel(f.jobs, AL_STR("waits"), &f.arena, &job, &err), err);
    assert_int_equal(job.state, AL_JOB_CANCELLED);
    assert_false(is_pending(&f, "waits"));
    jf_submit(&f, "gated", "stuck", "4");
    al_coord_mem_fail_txn(f.coord, 0,
                          AL_COORD_MEM_UNAVAILABLE); /* the entry stays, the job must not run */
    AL_CHECK_OK(al_jobs_cancel(f.jobs, AL_STR("stuck"), &f.arena, &job, &err), err);
    assert_int_equal(job.state, AL_JOB_CANCELLED);
    assert_true(is_pending(&f, "stuck"));
    AL_CHECK_OK(al_jobs_cancel(f.jobs, AL_STR("runs"), &f.arena, &job, &err), err);
    assert_true(job.state == AL_JOB_CANCELLING || job.state == AL_JOB_CANCELLED);
    job = jf_await(&f, f.jobs, "runs", AL_JOB_CANCELLED);
    assert_true(job.ended_ms > 0);
    assert_int_equal(al_jobs_cancel(f.jobs, AL_STR("runs"), &f.arena, &job, &err),
                     AL_FAILED_PRECONDITION);
    assert_string_equal(err.reason, "JOB_STATE");
    assert_int_equal(al_jobs_cancel(f.jobs, AL_STR("none"), &f.arena, &job, &err), AL_NOT_FOUND);
    jf_stage_open(&f.stage, true);
    jf_submit(&f, "gated", "after", "3");
    jf_await(&f, f.jobs, "after", AL_JOB_SUCCEEDED);
    assert_string_equal(f.stage.began, "1 3 ");
    assert_false(is_pending(&f, "stuck"));
    jf_stop(&f);
    jf_start(&f);
    assert_int_equal(jf_get(&f, "waits").state, AL_JOB_CANCELLED);
    jf_fini(&f);
}

static void test_failure_is_told(void **state)
{
    (void)state;
    struct fixture f;
    jf_init(&f, NULL);
    jf_submit(&f, "fail", "bad", "");
    jf_await(&f, f.jobs, "bad", AL_JOB_FAILED);
    for (int i = 0; i < 2; i++) {
        struct al_job job = jf_get(&f, "bad");
        assert_int_equal(job.error_code, AL_DATA_LOSS);
        assert_true(al_str_is(job.error, "DATA_LOSS/SHARD_DAMAGED: shard 3: cannot be read"));
        assert_true(job.done > 0.2 && job.done < 0.3);
        assert_true(al_str_is(job.message, "a quarter"));
        jf_stop(&f);
        jf_start(&f);
    }
    jf_fini(&f);
}

static void test_pause(void **state)
{
    (void)state;
    struct fixture f;
    jf_init(&f, NULL);
    struct al_err err;
    jf_stage_open(&f.stage, true);
    AL_CHECK_OK(al_jobs_set_paused(f.jobs, AL_JOB_MAINTENANCE, true, &err), err);
    jf_submit(&f, "gated", "one", "1");
    jf_submit(&f, "quick", "free", "");
    jf_await(&f, f.jobs, "free", AL_JOB_SUCCEEDED);
    jf_stop(&f);
    jf_start(&f); /* also over a restart */
    assert_true(al_jobs_is_paused(f.jobs, AL_JOB_MAINTENANCE));
    assert_false(al_jobs_is_paused(f.jobs, AL_JOB_LEARNING));
    jf_submit(&f, "quick", "free2", "");
    jf_await(&f, f.jobs, "free2", AL_JOB_SUCCEEDED);
    assert_int_equal(jf_get(&f, "one").state, AL_JOB_QUEUED);
    assert_int_equal(f.stage.n_began, 0);
    AL_CHECK_OK(al_jobs_set_paused(f.jobs, AL_JOB_MAINTENANCE, false, &err), err);
    jf_await(&f, f.jobs, "one", AL_JOB_SUCCEEDED);
    assert_int_equal(al_jobs_set_paused(f.jobs, (enum al_job_class)99, true, &err),
                     AL_INVALID_ARGUMENT);
    jf_fini(&f);
}

struct waiter {
    struct fixture *f;
    uint64_t deadline_ns;
    struct al_arena arena;
    struct al_job job;
    enum al_code code;
};

static void *wait_main(void *u)
{
    struct waiter *w = u;
    struct al_err err;
    w->code = al_jobs_wait(w->f->jobs, AL_STR("one"), UINT64_MAX - 1, w->deadline_ns, &w->arena,
                           &w->job, &err);
    return NULL;
}

/* Woken by the end of the job; woken by the deadline of the clock; not there. */
static void test_wait(void **state)
{
    (void)state;
    struct fixture f;
    jf_init(&f, NULL);
    for (int by_end = 0; by_end <= 1; by_end++) {
        jf_submit(&f, "gated", "one", "x");
        jf_await(&f, f.jobs, "one", AL_JOB_RUNNING); /* woken by a change that is no end */
        jf_await_began(&f.stage, 1);
        struct waiter w = {.f = &f, .deadline_ns = AL_DEADLINE_NONE};
        if (!by_end)
            w.deadline_ns = al_clock_deadline(&f.clock.clock, 60000);
        al_arena_init(&w.arena, NULL, 1u << 20);
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, wait_main, &w), 0);
        if (by_end)
            jf_stage_open(&f.stage, true);
        else
            for (int i = 0; i < 20; i++) { /* leases are kept alive meanwhile */
                atomic_fetch_add(&f.clock.now_ns, 3000000000ull);
                al_coord_mem_settle(f.coord);
            }
        pthread_join(thread, NULL);
        assert_int_equal(w.code, AL_OK);
        assert_int_equal(w.job.state, by_end ? AL_JOB_SUCCEEDED : AL_JOB_RUNNING);
        al_arena_fini(&w.arena);
    }
    struct al_job job;
    struct al_err err;
    assert_int_equal(
        al_jobs_wait(f.jobs, AL_STR("none"), 0, AL_DEADLINE_NONE, &f.arena, &job, &err),
        AL_NOT_FOUND);
    jf_fini(&f);
}

static void test_outputs_are_bounded(void **state)
{
    (void)state;
    struct fixture f;
    jf_init(&f, NULL);
    jf_submit(&f, "chatty", "talk", "");
    jf_await(&f, f.jobs, "talk", AL_JOB_SUCCEEDED);
    for (int i = 0; i < 2; i++) {
        struct al_job job = jf_get(&f, "talk");
        assert_int_equal(job.n_log, AL_JOB_LOG_LINES_MAX);
        assert_true(al_str_is(job.log[0], "line 300"));
        assert_int_equal(job.log_first,
                         i ? 0 : 301); /* of this process; one line more came first */
        assert_true(al_str_is(job.log[AL_JOB_LOG_LINES_MAX - 1], "line 499"));
        assert_int_equal(job.n_results, AL_JOB_RESULTS_MAX);
        assert_true(al_str_is(job.results[0].value, "changed"));
        assert_true(al_str_is(job.results[63].key, "key-63"));
        assert_true(job.done <= 1);
        jf_stop(&f);
        jf_start(&f); /* and they are kept */
    }
    jf_fini(&f);
}

static void test_queue_full(void **state)
{
    (void)state;
    struct fixture f;
    jf_init(&f, NULL);
    struct al_err err = {.reason = ""};
    struct al_job job;
    AL_CHECK_OK(al_jobs_set_paused(f.jobs, AL_JOB_LEARNING, true, &err), err);
    char id[16];
    for (int i = 0; i < 1000; i++) {
        snprintf(id, sizeof id, "q%d", i);
        jf_submit(&f, "quick", id, "");
        al_arena_reset(&f.arena);
    }
    assert_int_equal(jf_try_submit(&f, "quick", "one-more", "", &job, &err), AL_RESOURCE_EXHAUSTED);
    assert_string_equal(err.reason, "QUEUE_FULL");
    jf_submit(&f, "quick", "q7", ""); /* a retry is none more */
    AL_CHECK_OK(al_jobs_set_paused(f.jobs, AL_JOB_LEARNING, false, &err), err);
    jf_await(&f, f.jobs, id, AL_JOB_SUCCEEDED);
    for (int i = 0; i < 10; i++) { /* ten more than are kept */
        snprintf(id, sizeof id, "r%d", i);
        jf_submit(&f, "quick", id, "");
        jf_await(&f, f.jobs, id, AL_JOB_SUCCEEDED);
    }
    jf_submit(&f, "quick", "last", "");
    jf_await(&f, f.jobs, "last", AL_JOB_SUCCEEDED);
    assert_int_equal(atomic_load(&f.n_quick), 1011);
    assert_int_equal(al_jobs_get(f.jobs, AL_STR("q0"), &f.arena, &job, &err), AL_NOT_FOUND);
    assert_true(jf_rows_count(f.rows) <=
                AL_JOBS_KEPT_MAX + 3); /* the settings, and what ended last */
    jf_stop(&f);
    jf_start(&f);
    jf_get(&f, "last");
    jf_fini(&f);
}

static void test_damaged_records(void **state)
{
    (void)state;
    struct fixture f;
    jf_init(&f, NULL);
    jf_submit(&f, "quick", "good", "");
    jf_submit(&f, "quick", "torn", "");
    jf_await(&f, f.jobs, "torn", AL_JOB_SUCCEEDED);
    jf_await(&f, f.jobs, "good", AL_JOB_SUCCEEDED);
    jf_stop(&f);
    size_t torn = jf_find_row(f.rows, AL_STR("torn"));
    for (size_t n = f.rows->rows[torn].n - 1; n > 0; n--) { /* cut at each byte */
        f.rows->rows[torn].n = n;
        jf_start(&f);
        jf_get(&f, "good");
        struct al_job job;
        struct al_err err;
        assert_int_equal(al_jobs_get(f.jobs, AL_STR("torn"), &f.arena, &job, &err), AL_NOT_FOUND);
        jf_stop(&f);
    }
    f.rows->rows[torn].value[0] = 9; /* of a newer program */
    struct al_err err = {.reason = ""};
    AL_CHECK_OK(
        al_coord_mem_open(&(struct al_coord_mem_options){.clock = &f.clock.clock}, &f.coord, &err),
        err);
    struct al_jobs_options opt = {.coord = f.coord, .system = f.system, .clock = &f.clock.clock};
    AL_CHECK_OK(al_jobs_create(&opt, &f.jobs, &err), err);
    assert_int_equal(al_jobs_start(f.jobs, &err), AL_FAILED_PRECONDITION);
    assert_string_equal(err.reason, "FORMAT_TOO_NEW");
    jf_fini(&f);
}

/* Each allocation of creating, starting and submitting fails in turn. */
static void test_memory_faults(void **state)
{
    (void)state;
    for (size_t n = 0;; n++) {
        struct fixture f;
        jf_init(&f, NULL);
        jf_submit(&f, "quick", "before", "with arguments");
        jf_await(&f, f.jobs, "before", AL_JOB_SUCCEEDED);
        al_jobs_destroy(f.jobs);
        f.jobs = NULL;
        struct al_fault_mem fm;
        al_fault_mem_init(&fm, n, false);
        struct al_jobs_options opt = {
            .coord = f.coord, .system = f.system, .clock = &f.clock.clock, .mem = &fm.mem};
        struct al_err err;
        struct al_job_kind kind = {"quick", AL_JOB_LEARNING, jf_run_quick, &f.n_quick};
        enum al_code c = al_jobs_create(&opt, &f.jobs, &err);
        AL_ASSERT((c == AL_OK) == (f.jobs != NULL));
        if (c == AL_OK)
            c = al_jobs_add_kind(f.jobs, &kind, &err);
        if (c == AL_OK)
            c = al_jobs_start(f.jobs, &err);
        if (c == AL_OK) {
            struct al_job job;
            c = jf_try_submit(&f, "quick", "x", "y", &job, &err);
            if (c != AL_OK)
                jf_submit(&f, "quick", "x", "y"); /* it happens once */
            jf_await(&f, f.jobs, "x", AL_JOB_SUCCEEDED);
        }
        AL_ASSERT(c == AL_OK || c == AL_RESOURCE_EXHAUSTED);
        al_jobs_destroy(f.jobs);
        al_coord_close(f.coord);
        assert_int_equal(fm.live, 0);
        bool fired = fm.fired;
        jf_start(&f);
        jf_fini(&f);
        if (!fired)
            break;
        assert_true(n < 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_failure_is_told),
        cmocka_unit_test(test_pause),
        cmocka_unit_test(test_wait),
        cmocka_unit_test(test_outputs_are_bounded),
        cmocka_unit_test(test_queue_full),
        cmocka_unit_test(test_damaged_records),
        cmocka_unit_test(test_memory_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
