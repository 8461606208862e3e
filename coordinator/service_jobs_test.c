/* Jobs as clients see them: what is followed, how a failure is told, pages of findings. */
#include "airlore/coord_mem.h"
#include "airlore/testing.h"
#include "findings.h"
#include "service_fixture.h"

#define LINES 250
#define LINES_A_MESSAGE 100u
#define NAME "jobs/talk-1"

/* The coordinator's jobs, but of kinds that talk and fail. */
struct fix {
    struct service s;
    struct al_coord *coord;
    struct al_jobs *own; /* of the coordinator, put back at the end */
    const char *key;
};

static enum al_code talk(void *ctx, struct al_job_run *run, struct al_str args, struct al_err *err)
{
    (void)ctx;
    for (int i = 0; i < LINES; i++)
        al_job_log(run, "line %d", i);
    if (al_str_is(args, "reason"))
        return AL_FAIL_R(err, AL_FAILED_PRECONDITION, "EMBEDDER_MISMATCH", "of a/b: c: d");
    if (al_str_is(args, "no reason"))
        return AL_FAIL(err, AL_UNAVAILABLE, "path /a/b: broke");
    if (al_str_is(args, "cut")) { /* within a character */
        al_job_progress(run, 0.5, "at '\xea\xb0");
        al_job_log(run, "%.5s", "at \xea\xb0\x80");
        return AL_FAIL(err, AL_INTERNAL, "document '%.2s': \xc3\xa9", "\xea\xb0\x80");
    }
    return AL_OK;
}

static void open_fix(struct fix *f, const char *args)
{
    static const struct al_job_kind kind = {"talk", AL_JOB_MAINTENANCE, talk, NULL};
    struct al_err err = {0};
    struct al_job j = {0};
    *f = (struct fix){.coord = NULL};
    service_open(&f->s, NULL);
    f->key = service_key(&f->s, "harbor", "", AL_ROLE_ADMIN, NULL);
    f->own = f->s.c->jobs;
    AL_CHECK_OK(al_coord_mem_open(NULL, &f->coord, &err), err);
    struct al_jobs_options o = {.coord = f->coord,
                                .system = f->s.core.port[0],
                                .clock = al_clock_system(),
                                .random = al_random_system()};
    AL_CHECK_OK(al_jobs_create(&o, &f->s.c->jobs, &err), err);
    AL_CHECK_OK(al_jobs_add_kind(f->s.c->jobs, &kind, &err), err);
    AL_CHECK_OK(al_jobs_start(f->s.c->jobs, &err), err);
    struct al_str id = AL_STR("talk-1");
    AL_CHECK_OK(al_jobs_submit(f->s.c->jobs, "talk", id, AL_STR("harbor"), al_str_c(args),
                               &f->s.arena, &j, &err),
                err);
    while (j.state < AL_JOB_SUCCEEDED)
        AL_CHECK_OK(al_jobs_wait(f->s.c->jobs, id, j.version,
                                 al_clock_deadline(al_clock_system(), 20000), &f->s.arena, &j,
                                 &err),
                    err);
}

static void close_fix(struct fix *f)
{
    struct al_jobs *mine = f->s.c->jobs;
    f->s.c->jobs = f->own;
    al_jobs_stop(mine);
    al_jobs_destroy(mine);
    al_coord_close(f->coord);
    service_close(&f->s);
}

/* Follow the job to its end; gives the number of messages, all lines kept in the arena. */
static size_t follow(struct fix *f, bool with_log, const char **lines, size_t max, size_t *ret_n)
{
    Airlore__V1__WatchJobRequest q = AIRLORE__V1__WATCH_JOB_REQUEST__INIT;
    q.name = (char *)(uintptr_t)NAME;
    q.include_log = with_log;
    struct al_rpc_stream *stream = service_admin_stream(&f->s, f->key, "WatchJob", &q.base);
    size_t n_messages = 0;
    *ret_n = 0;
    for (;; n_messages++) {
        ProtobufCMessage *m = NULL;
        AL_CHECK_OK(al_rpc_stream_read(stream, &m, &f->s.err), f->s.err);
        if (!m)
            break;
        const Airlore__V1__WatchJobResponse *r = (const Airlore__V1__WatchJobResponse *)m;
        assert_string_equal(r->job->name, NAME);
        assert_true(r->n_log_lines <= LINES_A_MESSAGE && *ret_n + r->n_log_lines <= max);
        for (size_t i = 0; i < r->n_log_lines; i++)
            lines[(*ret_n)++] = al_msg_str(&f->s.arena, al_str_c(r->log_lines[i]));
    }
    AL_CHECK_OK(al_rpc_stream_finish(stream, &f->s.err), f->s.err);
    al_rpc_stream_destroy(stream);
    return n_messages;
}

static void test_lines_come_in_messages_of_a_hundred(void **state)
{
    (void)state;
    struct fix f;
    const char *lines[LINES] = {NULL};
    size_t n = 0;
    open_fix(&f, "");
    assert_int_equal(follow(&f, true, lines, LINES, &n), 2);
    assert_int_equal(n, AL_JOB_LOG_LINES_MAX);
    for (size_t i = 0; i < n; i++) {
        char want[32];
        snprintf(want, sizeof want, "line %zu", LINES - AL_JOB_LOG_LINES_MAX + i);
        assert_string_equal(lines[i], want);
    }
    assert_int_equal(follow(&f, false, lines, LINES, &n), 1);
    assert_int_equal(n, 0);
    close_fix(&f);
}

static const Airlore__V1__Job *get(struct fix *f)
{
    Airlore__V1__GetJobRequest q = AIRLORE__V1__GET_JOB_REQUEST__INIT;
    Airlore__V1__GetJobResponse *r = NULL;
    q.name = (char *)(uintptr_t)NAME;
    AL_CHECK_OK(service_admin(&f->s, f->key, "GetJob", &q.base, &r), f->s.err);
    return r->job;
}

static void test_a_failure_is_told_with_its_reason(void **state)
{
    (void)state;
    static const struct {
        const char *args;
        enum al_code code;
        const char *reason;
        const char *message;
    } cases[] = {
        {"reason", AL_FAILED_PRECONDITION, "EMBEDDER_MISMATCH", "of a/b: c: d"},
        {"no reason", AL_UNAVAILABLE, "UNAVAILABLE", "path /a/b: broke"},
        {"", AL_OK, "", ""},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct fix f;
        open_fix(&f, cases[i].args);
        const Airlore__V1__Job *j = get(&f);
        AL_CHECK(cases[i].args, (j->error != NULL) == (cases[i].code != AL_OK));
        AL_CHECK(cases[i].args, !j->error || (enum al_code)j->error->code == cases[i].code);
        AL_CHECK(cases[i].args, !j->error || !strcmp(j->error->reason, cases[i].reason));
        AL_CHECK(cases[i].args, !j->error || !strcmp(j->error->message, cases[i].message));
        close_fix(&f);
    }
}

/* Words are cut to sizes in bytes; clients refuse a message with a text that is no UTF-8. */
static void test_cut_words_are_text_all_the_same(void **state)
{
    (void)state;
    struct fix f;
    const char *lines[LINES] = {NULL};
    size_t n = 0;
    open_fix(&f, "cut");
    const Airlore__V1__Job *j = get(&f);
    assert_string_equal(j->error->message, "document '?"
                                           "?': ?"
                                           "?");
    assert_string_equal(j->progress->message, "at '");
    (void)follow(&f, true, lines, LINES, &n);
    assert_int_equal(n, AL_JOB_LOG_LINES_MAX);
    assert_string_equal(lines[AL_JOB_LOG_LINES_MAX - 1], "at ");
    struct al_err e = {0};
    (void)!AL_FAIL(&e, AL_INTERNAL, "item '%.4s", "a\xea\xb0\x80\xea");
    assert_string_equal(al_msg_error(&f.s.arena, &e)->message, "item 'a\xea\xb0\x80");
    close_fix(&f);
}

static void test_pages_of_findings(void **state)
{
    (void)state;
    static const char *const bad[] = {"10001", "18446744073709551615", "18446744073709551616", "-1",
                                      "x"};
    struct fix f;
    struct al_err err;
    Airlore__V1__ListVerifyFindingsRequest q = AIRLORE__V1__LIST_VERIFY_FINDINGS_REQUEST__INIT;
    Airlore__V1__ListVerifyFindingsResponse *r = NULL;
    open_fix(&f, "");
    const struct al_finding found[3] = {
        {.message = AL_STR("one")}, {.message = AL_STR("two")}, {.message = AL_STR("three")}};
    AL_CHECK_OK(al_findings_write(f.s.c, "talk-1", 0, found, 3, &err), err);
    q.job = (char *)(uintptr_t)NAME;
    q.page_size = 2;
    AL_CHECK_OK(service_admin(&f.s, f.key, "ListVerifyFindings", &q.base, &r), f.s.err);
    assert_int_equal(r->n_findings, 2);
    assert_string_equal(r->findings[1]->message, "two");
    q.page_token = r->next_page_token;
    AL_CHECK_OK(service_admin(&f.s, f.key, "ListVerifyFindings", &q.base, &r), f.s.err);
    assert_int_equal(r->n_findings, 1);
    assert_string_equal(r->findings[0]->message, "three");
    assert_string_equal(r->next_page_token, "");
    for (size_t i = 0; i < AL_ARRAY_LEN(bad); i++) {
        q.page_token = (char *)(uintptr_t)bad[i];
        enum al_code code = service_admin(&f.s, f.key, "ListVerifyFindings", &q.base, &r);
        AL_CHECK(bad[i], code == AL_INVALID_ARGUMENT && !strcmp(f.s.err.reason, "BAD_PAGE_TOKEN"));
    }
    close_fix(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_come_in_messages_of_a_hundred),
        cmocka_unit_test(test_a_failure_is_told_with_its_reason),
        cmocka_unit_test(test_cut_words_are_text_all_the_same),
        cmocka_unit_test(test_pages_of_findings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
