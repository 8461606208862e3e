#include "airlore/testing.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "airlore/ask.h"
#include "airlore/prepare.h"
#include "contradict.h"
#include "core_fixture.h"

#define SPACE_TEAM 20u
#define SPACE_SHARED 1u
static const uint32_t SPACES[] = {SPACE_SHARED, SPACE_TEAM};
static const char *const TEMPLATE =
    "# Playbook\n\nWhen the %s does not answer, look at its log first and at the scheduler's log "
    "next. Then restart it and wait until the health check is green again; on a slow disk that "
    "takes a while. If the restart does not help, take the host out of the load balancer and tell "
    "the people on call, who know how to reach the owners at night. Never delete rows by hand "
    "while it runs, because half of the records would point to nothing afterwards. One request "
    "may take %s seconds; a longer one is cut without a message.%s\n";

static void store(struct core *c, uint32_t space, const struct al_item *it)
{
    struct al_err err = {0};
    struct al_doc d;
    uint32_t redactions;
    struct al_target to = {.space = space,
                           .visibility = space == SPACE_TEAM ? AL_VIS_TEAM : AL_VIS_COMMUNITY,
                           .team = "t",
                           .deployment = ""};
    AL_CHECK_OK(al_item_prepare(it, &to, c->embedder, 1000, &c->arena, &d, &redactions, &err), err);
    size_t s = al_router_of_doc(&c->router, d.space, d.id);
    struct al_op op = {.kind = AL_OP_PUT_DOC, .doc = &d};
    struct al_write_result r;
    static const uint8_t no_write_id[16];
    AL_CHECK_OK(c->port[s]->ops->write(c->port[s], &op, 1, no_write_id, AL_DEADLINE_NONE, &c->arena,
                                       &r, &err),
                err);
}

static void put(struct core *c, uint32_t space, const char *id, const char *airflow,
                const char *date, const char *text)
{
    struct al_kv meta[] = {{AL_STR("airflow"), al_str_c(airflow)},
                           {AL_STR("date"), al_str_c(date)}};
    struct al_item it = {.id = al_str_c(id),
                         .title = AL_STR("Playbook"),
                         .content = al_str_c(text),
                         .format = AL_FORMAT_MARKDOWN,
                         .meta = meta,
                         .n_meta = 2};
    store(c, space, &it);
}

static const char *page(struct core *c, const char *service, const char *seconds, const char *more)
{
    struct al_buf b;
    al_buf_init(&b, al_arena_mem(&c->arena), 0);
    for (const char *p = TEMPLATE; *p; p++) {
        if (p[0] == '%' && p[1] == 's') {
            al_buf_cstr(&b, service);
            service = seconds;
            seconds = more;
            p++;
        } else {
            al_buf_char(&b, *p);
        }
    }
    al_buf_char(&b, '\0');
    assert_non_null(b.p);
    return b.p;
}

static struct al_query_result search(struct core *c, const char *text)
{
    struct al_query q = {.text = al_str_c(text),
                         .k = 10,
                         .mode = AL_MODE_HYBRID,
                         .vector_weight = NAN,
                         .spaces = SPACES,
                         .n_spaces = 2,
                         .now_ms = 1795600000000, /* 2026-11-25 */
                         .deadline_ns = AL_DEADLINE_NONE};
    struct al_query_context ctx = {.router = &c->router, .embedder = c->embedder};
    struct al_query_result r;
    struct al_err err = {0};
    AL_CHECK_OK(al_query_run(&ctx, &q, &c->arena, &r, &err), err);
    return r;
}

static void test_near_duplicates_are_listed_under_the_nearest(void **state)
{
    (void)state;
    struct core c;
    core_open(&c, 2);
    put(&c, SPACE_SHARED, "shared", "", "", page(&c, "web server", "30", ""));
    put(&c, SPACE_TEAM, "ours", "", "", page(&c, "web server", "30", " Be kind."));
    struct al_query_result r = search(&c, "web server does not answer restart");
    assert_int_equal(r.n_hits, 1);
    assert_true(al_str_is(r.hits[0].doc->id, "ours"));
    assert_int_equal(r.hits[0].n_also, 1);
    assert_true(al_str_is(r.hits[0].also[0]->id, "shared"));
    core_close(&c);
}

static void test_look_alikes_stay_apart(void **state)
{
    (void)state;
    struct core c;
    core_open(&c, 2);
    put(&c, SPACE_TEAM, "web", "", "", page(&c, "web server", "30", ""));
    put(&c, SPACE_TEAM, "db", "", "", page(&c, "database", "30", ""));
    put(&c, SPACE_TEAM, "web-60", "", "", page(&c, "web server", "60", ""));
    struct al_query_result r = search(&c, "does not answer restart health check");
    assert_int_equal(r.n_hits, 3);
    for (size_t i = 0; i < r.n_hits; i++)
        assert_int_equal(r.hits[i].n_also, 0);
    core_close(&c);
}

/* What one owner keeps twice stays two, unless each says which version it is. */
static void test_one_owner_keeps_things_apart(void **state)
{
    (void)state;
    struct core c;
    core_open(&c, 2);
    put(&c, SPACE_TEAM, "one", "", "", page(&c, "web server", "30", ""));
    put(&c, SPACE_TEAM, "two", "", "", page(&c, "web server", "30", ""));
    put(&c, SPACE_TEAM, "three", ">=3", "", page(&c, "web server", "30", ""));
    struct al_query_result r = search(&c, "web server does not answer restart");
    assert_int_equal(r.n_hits, 3);
    put(&c, SPACE_TEAM, "four", "<3", "", page(&c, "web server", "30", ""));
    r = search(&c, "web server does not answer restart");
    assert_int_equal(r.n_hits, 3);
    core_close(&c);
}

static void test_the_version_asked_for_and_the_newer_one_are_shown(void **state)
{
    (void)state;
    struct core c;
    core_open(&c, 1);
    put(&c, SPACE_TEAM, "old", "<3", "2020-01-02", page(&c, "web server", "30", ""));
    put(&c, SPACE_TEAM, "new", ">=3", "2026-01-02", page(&c, "web server", "30", " Be kind."));
    struct al_query_result r = search(&c, "web server does not answer in Airflow 2.10");
    assert_int_equal(r.n_hits, 1);
    assert_true(al_str_is(r.hits[0].doc->id, "old"));
    assert_true(al_str_is(r.hits[0].stale, "2020-01-02, 6 years old"));
    r = search(&c, "web server does not answer");
    assert_true(al_str_is(r.hits[0].doc->id, "new"));
    assert_true(al_str_is(r.hits[0].stale, ""));
    assert_int_equal(r.hits[0].n_also, 1);
    core_close(&c);
    core_open(&c, 1);
    put(&c, SPACE_TEAM, "new", ">=3", "2026-01-02", page(&c, "web server", "30", ""));
    r = search(&c, "web server does not answer in Airflow 2.10");
    assert_true(al_str_is(r.hits[0].stale, "for Airflow >=3"));
    core_close(&c);
}

static void test_ties_go_to_the_newer_one(void **state)
{
    (void)state;
    struct core c;
    core_open(&c, 1);
    /* too short for a sketch: they tie and do not fold */
    put(&c, SPACE_TEAM, "a", "", "2019-05-01", "The quokka export is late on Mondays.");
    put(&c, SPACE_TEAM, "b", "", "2025-05-01", "The quokka export is late on Mondays.");
    struct al_query_result r = search(&c, "quokka export");
    assert_int_equal(r.n_hits, 2);
    assert_true(al_str_is(r.hits[0].doc->id, "b"));
    core_close(&c);
}

/* ---- contradiction ---- */

static void test_contradiction(void **state)
{
    (void)state;
    static const struct {
        const char *question;
        const char *sentence;
        bool yes;
    } cases[] = {
        {"Why does KubernetesPodOperator hang?", "PythonOperator hangs when it waits.", true},
        {"Why does KubernetesPodOperator hang?", "KubernetesPodOperator and BashOperator hang.",
         false},
        {"Why does KubernetesPodOperator hang?", "It waits for the pod.", false},
        {"What does exit code 137 mean?", "Exit code 1 means that it failed.", true},
        {"What does exit code 137 mean?", "Exit code 1 is common, 137 is a kill.", false},
        {"How is it in Airflow 2.10?", "In Airflow 3 it is gone.", true},
        {"How is it in Airflow 2.10?", "In Airflow 2 it is there.", false},
        {"How is it in Airflow 2.10?", "Since Airflow 2.6+ it is there.", false},
        {"", "", false},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++)
        AL_CHECK(cases[i].sentence, al_contradicts(al_str_c(cases[i].question),
                                                   al_str_c(cases[i].sentence)) == cases[i].yes);
    assert_true(al_str_is(al_asked_version(AL_STR("How in Airflow 3?")), "3"));
    assert_true(al_str_is(al_asked_version(AL_STR("airflow version v2.10.1 hangs")), "2.10.1"));
    assert_true(al_str_is(al_asked_version(AL_STR("How many DAGs may Airflow have, 300?")), ""));
    assert_true(al_str_is(al_asked_version(AL_STR("")), ""));
}

/* ---- ask ---- */

static struct al_answer ask(struct core *c, const char *question)
{
    struct al_err err = {0};
    struct al_query_context ctx = {.router = &c->router, .embedder = c->embedder};
    struct al_answer ret;
    struct al_ask_options o = {.query = {.text = al_str_c(question),
                                         .k = 8,
                                         .mode = AL_MODE_HYBRID,
                                         .vector_weight = NAN,
                                         .spaces = SPACES,
                                         .n_spaces = 2,
                                         .deadline_ns = AL_DEADLINE_NONE},
                               .min_relevance = 0, /* what is chosen is tested, not whether */
                               .sentences_max = 3};
    AL_CHECK_OK(al_ask(&ctx, &o, &c->arena, &ret, &err), err);
    return ret;
}

static void put_thread(struct core *c, const char *id, const char *text)
{
    struct al_item it = {.id = al_str_c(id),
                         .title = AL_STR("Quokka export is late"),
                         .content = al_str_c(text),
                         .kind = AL_STR("thread"),
                         .format = AL_FORMAT_TEXT};
    store(c, SPACE_TEAM, &it);
}

static void test_threads_answer_with_their_answers(void **state)
{
    (void)state;
    struct core c;
    core_open(&c, 1);
    put_thread(&c, "open", "Why is the quokka export late on Mondays? It never ends before noon.");
    struct al_answer ans = ask(&c, "Why is the quokka export late on Mondays?");
    assert_true(ans.abstained); /* nobody has answered, whatever the threshold */
    assert_int_equal(ans.n_sentences, 0);
    put_thread(&c, "done",
               "Why is the quokka export late on Mondays? It never ends before noon.\n\nAnswer:\n\n"
               "The quokka export waits for the weekend ledger, which closes on Monday morning.");
    ans = ask(&c, "Why is the quokka export late on Mondays?");
    assert_false(ans.abstained);
    assert_int_equal(ans.n_sources, 1);
    assert_true(al_str_is(ans.sources[0]->doc->id, "done"));
    assert_true(al_str_find(ans.text, AL_STR("weekend ledger"), 0) != SIZE_MAX);
    assert_true(al_str_find(ans.text, AL_STR("never ends"), 0) == SIZE_MAX);
    core_close(&c);
}

static void test_a_list_comes_with_its_lead(void **state)
{
    (void)state;
    struct core c;
    core_open(&c, 1);
    put(&c, SPACE_TEAM, "a", "", "",
        "# Quokka export\n\nThe export is a nightly job. When the quokka export is late, check the "
        "following:\n\n- Is the ledger of the weekend closed already?\n- Does the disk have room "
        "for the files?\n\nIt writes to the archive.");
    struct al_answer ans = ask(&c, "The quokka export is late, what should I check?");
    struct al_str list = AL_STR("check the following:\n\n- Is the ledger");
    assert_true(al_str_find(ans.text, list, 0) != SIZE_MAX);
    for (size_t i = 0; i < ans.n_sentences; i++)
        assert_true(ans.sentences[i].source >= 1 && ans.sentences[i].source <= ans.n_sources);
    core_close(&c);
}

static void test_ask_runs_out_of_memory_cleanly(void **state)
{
    (void)state;
    struct core c;
    core_open(&c, 1);
    put(&c, SPACE_TEAM, "a", "", "", page(&c, "web server", "30", ""));
    put(&c, SPACE_SHARED, "b", "", "", page(&c, "web server", "30", " Be kind."));
    struct al_query_context ctx = {.router = &c.router, .embedder = c.embedder};
    struct al_ask_options o = {.query = {.text = AL_STR("web server does not answer"),
                                         .k = 8,
                                         .mode = AL_MODE_HYBRID,
                                         .vector_weight = NAN,
                                         .spaces = SPACES,
                                         .n_spaces = 2,
                                         .deadline_ns = AL_DEADLINE_NONE},
                               .min_relevance = 0,
                               .sentences_max = 3};
    bool reached = false;
    for (size_t limit = 1024; limit < (size_t)64 << 20 && !reached; limit += limit / 4) {
        struct al_arena small;
        struct al_answer ans = {0};
        struct al_err err = {0};
        al_arena_init(&small, NULL, limit);
        enum al_code code = al_ask(&ctx, &o, &small, &ans, &err);
        reached = code == AL_OK;
        AL_CHECK("limit", reached || (code == AL_RESOURCE_EXHAUSTED && ans.n_sentences == 0));
        al_arena_fini(&small);
    }
    assert_true(reached);
    core_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_near_duplicates_are_listed_under_the_nearest),
        cmocka_unit_test(test_look_alikes_stay_apart),
        cmocka_unit_test(test_one_owner_keeps_things_apart),
        cmocka_unit_test(test_the_version_asked_for_and_the_newer_one_are_shown),
        cmocka_unit_test(test_ties_go_to_the_newer_one),
        cmocka_unit_test(test_contradiction),
        cmocka_unit_test(test_threads_answer_with_their_answers),
        cmocka_unit_test(test_a_list_comes_with_its_lead),
        cmocka_unit_test(test_ask_runs_out_of_memory_cleanly),
    };
    return cmocka_run_group_tests_name("coordinator.fold", tests, NULL, NULL);
}
