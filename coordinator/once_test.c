/* Writes that are named: asked for again, they give the first answer and do nothing twice. */
#include "airlore/testing.h"

#include <stdio.h>

#include "core_fixture.h"
#include "fault_port.h"
#include "tables.h"

#define N_SHARDS 2u

struct site {
    struct core core;
    struct fault_port fault[N_SHARDS];
    struct fault_port system;
    struct al_shard_port *ports[N_SHARDS];
    struct al_router router;
    struct al_fake_clock clock;
    struct al_once_book *book;
    struct al_items_context ctx;
    const struct al_credential *cred;
};

/* Books and shards over ports that can fail; what is remembered survives. */
static void connect_site(struct site *s)
{
    struct al_err err = {0};
    for (size_t i = 0; i < N_SHARDS; i++) {
        al_fault_port_init(&s->fault[i], s->core.port[i]);
        s->ports[i] = &s->fault[i].port;
    }
    al_fault_port_init(&s->system, s->core.system);
    s->system.no_deadline = true;
    s->router = (struct al_router){s->ports, N_SHARDS};
    AL_CHECK_OK(al_once_book_create(&s->system.port, &s->clock.clock, NULL, &s->book, &err), err);
    s->ctx = (struct al_items_context){&s->router,        &s->system.port,   s->core.embedder,
                                       al_clock_system(), s->core.directory, s->book};
}

static void open_site(struct site *s)
{
    struct al_err err = {0};
    struct al_team t;
    core_open(&s->core, N_SHARDS);
    al_fake_clock_init(&s->clock, 1700000000000);
    AL_CHECK_OK(al_directory_add_team(s->core.directory, "red", &t, &err), err);
    s->cred = core_key(&s->core, "red", "", AL_ROLE_CONTRIBUTOR);
    connect_site(s);
}

static void restart(struct site *s)
{
    al_once_book_destroy(s->book);
    core_reopen(&s->core);
    connect_site(s);
}

static void close_site(struct site *s)
{
    al_once_book_destroy(s->book);
    core_close(&s->core);
}

static void put(struct site *s, const char *id)
{
    static const uint8_t no_write_id[16];
    struct al_err err = {0};
    struct al_item it = {.id = al_str_c(id), .content = AL_STR("some text")};
    struct al_target to = {
        .space = s->cred->team_space, .visibility = AL_VIS_TEAM, .team = "red", .deployment = ""};
    struct al_doc d;
    uint32_t n;
    struct al_write_result res;
    AL_CHECK_OK(al_item_prepare(&it, &to, s->core.embedder, 1, &s->core.arena, &d, &n, &err), err);
    struct al_op op = {.kind = AL_OP_PUT_DOC, .doc = &d};
    struct al_shard_port *p = s->core.port[al_router_of_doc(&s->router, to.space, d.id)];
    AL_CHECK_OK(p->ops->write(p, &op, 1, no_write_id, AL_DEADLINE_NONE, &s->core.arena, &res, &err),
                err);
}

static bool has(struct site *s, const char *id)
{
    struct al_doc d;
    return al_items_get(&s->ctx, s->cred, al_str_c(id), 0, false, &s->core.arena, &d, NULL) ==
           AL_OK;
}

/* request: what stands for the whole request; 0: made from the id. */
static enum al_code del(struct site *s, const char *id, const char *name, uint8_t request,
                        struct al_deletion *ret, struct al_err *err)
{
    struct al_delete_request req = {.id = al_str_c(id), .name = {.text = al_str_c(name)}};
    req.name.request[0] = request ? request : (uint8_t)id[0];
    return al_items_delete(&s->ctx, s->cred, &req, &s->core.arena, ret, err);
}

static void test_a_repeated_deletion_gives_the_first_answer(void **state)
{
    (void)state;
    struct site s;
    struct al_err err = {0};
    struct al_deletion first;
    struct al_deletion d;
    open_site(&s);
    put(&s, "a");
    AL_CHECK_OK(del(&s, "a", "w1", 0, &first, &err), err);
    assert_true(first.deleted);
    put(&s, "a"); /* another one of that name, since */
    for (int i = 0; i < 2; i++) {
        AL_CHECK_OK(del(&s, "a", "w1", 0, &d, &err), err);
        assert_true(d.deleted);
        assert_memory_equal(d.token.index, first.token.index, N_SHARDS * sizeof *d.token.index);
        assert_true(has(&s, "a"));
        restart(&s);
    }
    AL_CHECK_OK(del(&s, "a", "w2", 0, &d, &err), err);
    assert_false(has(&s, "a"));
    AL_CHECK_OK(del(&s, "a", "", 0, &d, &err), err); /* without a name it is done anew */
    assert_false(d.deleted);
    close_site(&s);
}

static void test_an_id_is_for_one_request_of_one_caller(void **state)
{
    (void)state;
    struct site s;
    struct al_err err = {0};
    struct al_deletion d;
    char text[130];
    open_site(&s);
    put(&s, "a");
    put(&s, "b");
    AL_CHECK_OK(del(&s, "a", "w1", 1, &d, &err), err);
    assert_int_equal(del(&s, "b", "w1", 2, &d, &err), AL_ALREADY_EXISTS);
    assert_string_equal(err.reason, "ID_REUSED");
    assert_true(has(&s, "b"));
    /* another key of the same team may use the same text */
    s.cred = core_key(&s.core, "red", "", AL_ROLE_CONTRIBUTOR);
    AL_CHECK_OK(del(&s, "b", "w1", 2, &d, &err), err);
    assert_true(d.deleted);
    memset(text, 'w', sizeof text);
    text[129] = '\0';
    assert_int_equal(del(&s, "b", text, 0, &d, &err), AL_INVALID_ARGUMENT);
    assert_string_equal(err.reason, "TOO_LARGE");
    text[128] = '\0';
    AL_CHECK_OK(del(&s, "b", text, 0, &d, &err), err);
    close_site(&s);
}

/* The answer is lost at each write in turn; the repetition says what happened, once. */
static void test_lost_answers(void **state)
{
    (void)state;
    struct site s;
    struct al_err err = {0};
    struct al_deletion d;
    open_site(&s);
    for (unsigned n = 0; n < 2; n++) { /* claim, deletion; the end's loss is not noticed */
        char name[16];
        snprintf(name, sizeof name, "lost-%u", n);
        put(&s, "a");
        struct fault_port *f =
            n == 0 ? &s.system
                   : &s.fault[al_router_of_doc(&s.router, s.cred->team_space, AL_STR("a"))];
        f->fails = FAULT_WRITE;
        f->code = AL_UNKNOWN;
        f->lose_answers = true;
        assert_int_equal(del(&s, "a", name, 0, &d, &err), AL_UNKNOWN);
        assert_string_equal(err.reason, "OUTCOME_UNKNOWN");
        f->code = AL_OK;
        if (n == 1) {
            assert_false(has(&s, "a"));
            put(&s, "a");
        }
        restart(&s);
        AL_CHECK_OK(del(&s, "a", name, 0, &d, &err), err);
        assert_true(d.deleted); /* also where the item that it was is gone */
        assert_true(has(&s, "a") == (n == 1));
    }
    close_site(&s);
}

static void test_the_end_may_be_lost(void **state)
{
    (void)state;
    struct site s;
    struct al_err err = {0};
    struct al_deletion d;
    open_site(&s);
    put(&s, "a");
    s.system.fails = FAULT_WRITE;
    s.system.code = AL_UNAVAILABLE;
    s.system.after = 1; /* the claim passes */
    AL_CHECK_OK(del(&s, "a", "w", 0, &d, &err), err);
    assert_int_equal(s.system.n_failed, 1);
    s.system.code = AL_OK;
    put(&s, "a");
    AL_CHECK_OK(del(&s, "a", "w", 0, &d, &err), err);
    assert_true(d.deleted);
    assert_true(has(&s, "a"));
    close_site(&s);
}

static void test_nothing_happens_without_the_record(void **state)
{
    (void)state;
    struct site s;
    struct al_err err = {0};
    struct al_deletion d;
    open_site(&s);
    put(&s, "a");
    static const unsigned calls[] = {FAULT_WRITE, FAULT_ROW};
    for (size_t i = 0; i < AL_ARRAY_LEN(calls); i++) {
        s.system.fails = calls[i];
        s.system.code = AL_UNAVAILABLE;
        assert_int_equal(del(&s, "a", "w", 0, &d, &err), AL_UNAVAILABLE);
        assert_true(has(&s, "a"));
        s.system.code = AL_OK;
    }
    close_site(&s);
}

static size_t count_rows(struct site *s)
{
    struct al_row *rows;
    size_t n = 0;
    struct al_err err = {0};
    struct al_shard_port *p = s->core.system;
    AL_CHECK_OK(p->ops->scan_rows(p, AL_TABLE_ONCE, 0, AL_STR(""), AL_STR(""), 1000, &s->core.arena,
                                  &rows, &n, &err),
                err);
    return n;
}

static void delete_many(struct site *s, unsigned from, unsigned n)
{
    struct al_err err = {0};
    struct al_deletion d;
    for (unsigned i = from; i < from + n; i++) {
        char name[16];
        snprintf(name, sizeof name, "w%u", i);
        put(s, "a");
        AL_CHECK_OK(del(s, "a", name, 0, &d, &err), err);
        assert_true(d.deleted);
    }
}

static void test_records_end_after_a_day(void **state)
{
    (void)state;
    struct site s;
    struct al_err err = {0};
    struct al_deletion d;
    open_site(&s);
    delete_many(&s, 0, 60);
    assert_int_equal(count_rows(&s), 60);
    al_fake_clock_step_ms(&s.clock, AL_ONCE_KEPT_MS);
    put(&s, "a");
    AL_CHECK_OK(del(&s, "a", "w7", 0, &d, &err), err);
    assert_true(has(&s, "a")); /* just within the day */
    al_fake_clock_step_ms(&s.clock, 1);
    AL_CHECK_OK(del(&s, "a", "w7", 0, &d, &err), err);
    assert_false(has(&s, "a")); /* a name like any other */
    delete_many(&s, 100, 30);
    assert_in_range(count_rows(&s), 31, 40); /* each new one takes old ones away */
    close_site(&s);
}

static void test_damaged_records(void **state)
{
    (void)state;
    struct site s;
    struct al_err err = {0};
    struct al_deletion d;
    struct al_row *rows;
    size_t n;
    open_site(&s);
    delete_many(&s, 1, 1);
    struct al_shard_port *p = s.core.system;
    AL_CHECK_OK(p->ops->scan_rows(p, AL_TABLE_ONCE, 0, AL_STR(""), AL_STR(""), 10, &s.core.arena,
                                  &rows, &n, &err),
                err);
    assert_int_equal(n, 1);
    for (size_t cut = 0; cut < rows[0].value.n; cut++) {
        static const uint8_t no_write_id[16];
        struct al_write_result res;
        struct al_op op = {.kind = AL_OP_PUT_ROW,
                           .table = AL_TABLE_ONCE,
                           .id = rows[0].key,
                           .value = al_str_sub(rows[0].value, 0, cut)};
        AL_CHECK_OK(
            p->ops->write(p, &op, 1, no_write_id, AL_DEADLINE_NONE, &s.core.arena, &res, &err),
            err);
        assert_int_equal(del(&s, "a", "w1", 0, &d, &err), AL_DATA_LOSS);
    }
    close_site(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_repeated_deletion_gives_the_first_answer),
        cmocka_unit_test(test_an_id_is_for_one_request_of_one_caller),
        cmocka_unit_test(test_lost_answers),
        cmocka_unit_test(test_the_end_may_be_lost),
        cmocka_unit_test(test_nothing_happens_without_the_record),
        cmocka_unit_test(test_records_end_after_a_day),
        cmocka_unit_test(test_damaged_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
