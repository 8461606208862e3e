#include "jobs_fixture.h"

/* Jobs on a real shard: what the rows of the fixture claim to be. */

struct real {
    char dir[256];
    struct al_shard *shard;
    struct al_shard_port *port;
};

static void open_shard(struct real *r)
{
    struct al_err err;
    struct al_shard_options opt = {.dir = r->dir,
                                   .dim = 8,
                                   .embedder_id = "none",
                                   .slot_last = UINT16_MAX,
                                   .min_free_bytes = 1};
    AL_CHECK_OK(al_shard_open(&opt, &r->shard, &err), err);
    AL_CHECK_OK(al_shard_port_local(r->shard, NULL, &r->port, &err), err);
}

static void close_shard(struct real *r)
{
    r->port->ops->destroy(r->port);
    al_shard_destroy(r->shard);
}

/* The shard's deadlines are of the system's clock. */
static uint64_t system_mono_ns(struct al_clock *c)
{
    (void)c;
    return al_clock_mono_ns(al_clock_system());
}

static uint64_t system_wall_ms(struct al_clock *c)
{
    (void)c;
    return al_clock_wall_ms(al_clock_system());
}

static void start_on(struct fixture *f, struct real *r)
{
    f->system = r->port;
    f->clock.clock = (struct al_clock){system_mono_ns, system_wall_ms};
    jf_start(f);
}

static void test_on_a_real_shard(void **state)
{
    (void)state;
    struct real r = {.shard = NULL};
    al_test_dir(r.dir, sizeof r.dir);
    open_shard(&r);
    struct fixture f;
    jf_init(&f, r.port);
    jf_stop(&f);
    start_on(&f, &r);
    struct al_err err = {.reason = ""};
    struct al_job job;
    jf_submit(&f, "chatty", "talk", "");
    jf_submit(&f, "gated", "held", "h");
    jf_submit(&f, "gated", "dropped", "d");
    jf_submit(&f, "fail", "bad", "");
    jf_await_began(&f.stage, 1);
    AL_CHECK_OK(al_jobs_cancel(f.jobs, AL_STR("dropped"), &f.arena, &job, &err), err);
    AL_CHECK_OK(al_jobs_set_paused(f.jobs, AL_JOB_ADR, true, &err), err);
    jf_stop(&f);
    close_shard(&r);
    open_shard(&r);
    start_on(&f, &r); /* everything is there again */
    assert_true(al_jobs_is_paused(f.jobs, AL_JOB_ADR));
    assert_int_equal(jf_get(&f, "dropped").state, AL_JOB_CANCELLED);
    job = jf_get(&f, "talk");
    assert_int_equal(job.state, AL_JOB_SUCCEEDED);
    assert_int_equal(job.n_log, AL_JOB_LOG_LINES_MAX);
    assert_int_equal(job.n_results, AL_JOB_RESULTS_MAX);
    jf_await_began(&f.stage, 2);
    assert_int_equal(jf_try_submit(&f, "gated", "held", "other", &job, &err), AL_ALREADY_EXISTS);
    jf_stage_open(&f.stage, true);
    assert_int_equal(jf_await(&f, f.jobs, "held", AL_JOB_SUCCEEDED).attempt, 1);
    assert_int_equal(jf_await(&f, f.jobs, "bad", AL_JOB_FAILED).error_code, AL_DATA_LOSS);
    jf_fini(&f);
    close_shard(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_on_a_real_shard)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
