/* Trimming, checkpoints and restores of the coordination store, one rule at a time; repl_sim_test.c
 * puts them together with the rest. */
#include "airlore/testing.h"
#include "repl.h"

static const struct al_repl_member node_a = {1, {1}};
static const struct al_repl_member node_b = {2, {2}};
static const uint8_t no_id[AL_WRITE_ID_BYTES];

static struct al_repl_effects fx;

static struct al_repl_record record(uint64_t restore, uint64_t epoch, uint64_t version,
                                    uint32_t primary)
{
    return (struct al_repl_record){.restore = restore,
                                   .epoch = epoch,
                                   .version = version,
                                   .members = {node_a, node_b},
                                   .n_members = 2,
                                   .primary = primary,
                                   .in_sync = 1u << primary,
                                   .min_in_sync = 1};
}

static struct al_repl *create(struct al_mem *mem, const struct al_repl_member *self)
{
    struct al_repl_disk d = {.log_first = 1};
    struct al_repl *r = NULL;
    return al_repl_create(mem, self, &d, &r, NULL) == AL_OK ? r : NULL;
}

static enum al_code learn(struct al_repl *r, struct al_repl_record rec)
{
    return al_repl_record(r, &rec, &fx, NULL);
}

static const struct al_repl_effect *effect(enum al_repl_effect_kind kind)
{
    for (size_t i = 0; i < fx.n; i++) {
        if (fx.items[i].kind == kind)
            return &fx.items[i];
    }
    return NULL;
}

/* A primary of epoch 1 with n entries, all applied; then of epoch 2 with n more. */
static struct al_repl *primary(uint64_t n)
{
    struct al_repl *p = create(NULL, &node_a);
    for (uint64_t epoch = 1; epoch <= 2; epoch++) {
        assert_int_equal(learn(p, record(0, epoch, epoch, 0)), AL_OK);
        for (uint64_t i = 1; i < n; i++) {
            uint64_t index = 0;
            bool repeat = false;
            assert_int_equal(al_repl_propose(p, no_id, &index, &repeat, NULL), AL_OK);
        }
        al_repl_persisted(p, al_repl_generation(p), al_repl_last(p), &fx);
        al_repl_applied(p, al_repl_last(p));
    }
    assert_int_equal(al_repl_applied_index(p), 2 * n);
    return p;
}

static struct al_repl_pull next_pull(const struct al_repl *f)
{
    struct al_repl_pull p;
    assert_true(al_repl_next_pull(f, &p));
    return p;
}

static struct al_repl_reply pulled(struct al_repl *p, const struct al_repl_pull *pull, uint64_t n)
{
    struct al_err err;
    AL_CHECK_OK(al_repl_pull(p, pull, n, &fx, &err), err);
    return effect(AL_REPL_DO_REPLY)->reply;
}

static void test_trim_floor(void **state)
{
    (void)state;
    struct al_repl *p = primary(5); /* ten entries, B has none */
    assert_int_equal(al_repl_trim_floor(p, UINT64_MAX, 0), 0);
    assert_int_equal(al_repl_trim_floor(p, UINT64_MAX, 4), 4);
    assert_int_equal(al_repl_trim_floor(p, 3, 4), 3);
    assert_int_equal(al_repl_trim_floor(p, UINT64_MAX, 99), 10); /* never what is not applied */
    uint64_t index = 0;
    bool repeat = false;
    assert_int_equal(al_repl_propose(p, no_id, &index, &repeat, NULL), AL_OK);
    assert_int_equal(al_repl_trim_floor(p, UINT64_MAX, index), 10);
    struct al_repl_pull pull = {.epoch = 2, .from = 8, .prev_epoch = 2, .member = node_b};
    struct al_repl_reply reply = pulled(p, &pull, 10);
    assert_int_equal(al_repl_trim_floor(p, UINT64_MAX, 0), 7);
    assert_int_equal(reply.floor, 7); /* what the follower may trim to, once it has applied it */
    al_repl_destroy(p);
}

static void test_a_follower_trims_to_what_the_primary_says(void **state)
{
    (void)state;
    struct al_repl *f = create(NULL, &node_b);
    assert_int_equal(learn(f, record(0, 1, 1, 0)), AL_OK);
    static const struct al_repl_item items[] = {{.epoch = 1}, {.epoch = 1}, {.epoch = 1}};
    struct al_repl_reply reply = {
        .kind = AL_REPL_ENTRIES, .epoch = 1, .from = 1, .n = 3, .commit = 3, .floor = 2};
    assert_int_equal(al_repl_reply(f, &reply, items, &fx, NULL), AL_OK);
    assert_int_equal(al_repl_trim_floor(f, UINT64_MAX, 0), 0); /* nothing is applied */
    al_repl_persisted(f, al_repl_generation(f), 3, &fx);
    al_repl_applied(f, 3);
    assert_int_equal(al_repl_trim_floor(f, UINT64_MAX, 0), 2);
    al_repl_trimmed(f, 3);
    assert_int_equal(al_repl_log_first(f), 3);
    assert_int_equal(al_repl_epoch_at(f, 1), 1); /* epoch starts stay */
    al_repl_destroy(f);
}

/* A follower that is told to fetch, the ask and what the primary gives. */
struct far {
    struct al_repl *p;
    struct al_repl *f;
    struct al_repl_pull ask;
    struct al_repl_checkpoint c;
};

static void far_setup(struct far *t)
{
    t->p = primary(5);
    al_repl_trimmed(t->p, 9);
    t->f = create(NULL, &node_b);
    assert_int_equal(learn(t->f, record(0, 2, 2, 0)), AL_OK);
    struct al_repl_pull pull = next_pull(t->f);
    struct al_repl_reply reply = pulled(t->p, &pull, 10);
    assert_int_equal(reply.kind, AL_REPL_CHECKPOINT);
    assert_int_equal(al_repl_reply(t->f, &reply, NULL, &fx, NULL), AL_OK);
    assert_non_null(effect(AL_REPL_DO_FETCH));
    t->ask = effect(AL_REPL_DO_FETCH)->ask;
    struct al_err err;
    AL_CHECK_OK(al_repl_checkpoint(t->p, &t->ask, &t->c, &err), err);
    assert_int_equal(t->c.applied, 10);
    assert_int_equal(t->c.n_epochs, 2);
}

static void far_fini(struct far *t)
{
    al_repl_destroy(t->p);
    al_repl_destroy(t->f);
}

static void test_a_checkpoint_is_installed_and_pulls_go_on(void **state)
{
    (void)state;
    struct far t;
    far_setup(&t);
    struct al_repl_pull pull;
    assert_false(al_repl_next_pull(t.f, &pull)); /* while it comes */
    struct al_err err;
    AL_CHECK_OK(al_repl_install(t.f, &t.c, &fx, &err), err);
    assert_int_equal(fx.n, 1);
    assert_int_equal(effect(AL_REPL_DO_INSTALL)->index, 10);
    assert_int_equal(al_repl_last(t.f), 10);
    assert_int_equal(al_repl_commit(t.f), 10);
    assert_int_equal(al_repl_applied_index(t.f), 10);
    assert_int_equal(al_repl_log_first(t.f), 11);
    assert_int_equal(al_repl_epoch_at(t.f, 5), 1);
    assert_int_equal(al_repl_epoch_at(t.f, 6), 2);
    assert_int_equal(al_repl_epoch(t.f), 2); /* its own record */
    pull = next_pull(t.f);
    assert_int_equal(pull.from, 11);
    assert_int_equal(pull.prev_epoch, 2);
    assert_int_equal(pulled(t.p, &pull, 10).kind, AL_REPL_ENTRIES);
    assert_int_equal(al_repl_install(t.f, &t.c, &fx, &err), AL_ABORTED); /* it comes twice */
    assert_string_equal(err.reason, "CHECKPOINT_STALE");
    far_fini(&t);
}

static void test_a_checkpoint_that_is_late_or_failed(void **state)
{
    (void)state;
    struct far t;
    struct al_err err;
    far_setup(&t);
    struct al_repl_checkpoint other = t.c;
    other.ask.from++;
    assert_int_equal(al_repl_install(t.f, &other, &fx, &err), AL_ABORTED); /* another log end */
    other = t.c;
    other.ask.epoch++;
    assert_int_equal(al_repl_install(t.f, &other, &fx, &err), AL_ABORTED);
    other = t.c;
    other.ask.member = node_a;
    assert_int_equal(al_repl_install(t.f, &other, &fx, &err), AL_ABORTED);
    al_repl_fetch_failed(t.f, &other.ask); /* not the one under way */
    struct al_repl_pull pull;
    assert_false(al_repl_next_pull(t.f, &pull));
    al_repl_fetch_failed(t.f, &t.ask);
    assert_true(al_repl_next_pull(t.f, &pull));
    assert_int_equal(al_repl_install(t.f, &t.c, &fx, &err), AL_ABORTED); /* given up */
    far_fini(&t);
    far_setup(&t);
    assert_int_equal(learn(t.f, record(0, 3, 3, 0)), AL_OK); /* the epoch ends meanwhile */
    assert_int_equal(al_repl_install(t.f, &t.c, &fx, &err), AL_ABORTED);
    assert_int_equal(al_repl_last(t.f), 0);
    assert_true(al_repl_next_pull(t.f, &pull));
    assert_int_equal(pull.epoch, 3);
    far_fini(&t);
}

static void test_a_checkpoint_that_contradicts_itself(void **state)
{
    (void)state;
    struct far t;
    far_setup(&t);
    const struct al_repl_epoch backwards[] = {{2, 1}, {1, 6}};
    const struct al_repl_epoch beyond[] = {{1, 1}, {2, 11}};
    const struct al_repl_epoch future[] = {{1, 1}, {3, 6}};
    const struct al_repl_epoch twice[] = {{1, 6}, {2, 6}};
    const struct al_repl_epoch zero[] = {{1, 0}, {2, 6}};
    const struct {
        const char *name;
        uint64_t applied;
        const struct al_repl_epoch *epochs;
        size_t n;
    } cases[] = {
        {"epochs fall", 10, backwards, 2},    {"starts beyond its end", 10, beyond, 2},
        {"an epoch to come", 10, future, 2},  {"two at one place", 10, twice, 2},
        {"starts at nothing", 10, zero, 2},   {"no epochs", 10, t.c.epochs, 0},
        {"behind the log", 0, t.c.epochs, 2},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct al_repl_checkpoint c = {.ask = t.ask,
                                       .applied = cases[i].applied,
                                       .epochs = cases[i].epochs,
                                       .n_epochs = cases[i].n};
        struct al_err err;
        AL_CHECK(cases[i].name, al_repl_install(t.f, &c, &fx, &err) == AL_INVALID_ARGUMENT);
        assert_string_equal(err.reason, "BAD_CHECKPOINT");
    }
    struct al_err err;
    AL_CHECK_OK(al_repl_install(t.f, &t.c, &fx, &err), err); /* the right one still may */
    far_fini(&t);
}

static void test_only_the_primary_gives_checkpoints(void **state)
{
    (void)state;
    struct far t;
    struct al_repl_checkpoint c;
    far_setup(&t);
    assert_int_equal(al_repl_checkpoint(t.f, &t.ask, &c, NULL), AL_UNAVAILABLE);
    struct al_repl_pull old = t.ask;
    old.epoch = 1;
    assert_int_equal(al_repl_checkpoint(t.p, &old, &c, NULL), AL_ABORTED);
    struct al_repl_pull emptied = t.ask;
    emptied.member.store_uuid[0] = 99;
    assert_int_equal(al_repl_checkpoint(t.p, &emptied, &c, NULL), AL_ABORTED);
    far_fini(&t);
}

static void test_failing_memory_of_an_install(void **state)
{
    (void)state;
    enum { EPOCHS = 200 };
    static struct al_repl_epoch epochs[EPOCHS];
    for (uint64_t i = 0; i < EPOCHS; i++)
        epochs[i] = (struct al_repl_epoch){.epoch = i + 1, .start = i + 1};
    for (size_t n = 0;; n++) {
        struct al_fault_mem m;
        al_fault_mem_init(&m, n, false);
        struct al_repl *f = create(&m.mem, &node_b);
        struct al_repl_pull ask;
        bool asked = f && learn(f, record(0, EPOCHS, 1, 0)) == AL_OK && al_repl_next_pull(f, &ask);
        if (asked) {
            struct al_repl_reply reply = {
                .kind = AL_REPL_CHECKPOINT, .epoch = EPOCHS, .from = 1, .to = EPOCHS};
            assert_int_equal(al_repl_reply(f, &reply, NULL, &fx, NULL), AL_OK);
            struct al_repl_checkpoint c = {
                .ask = ask, .applied = EPOCHS, .epochs = epochs, .n_epochs = EPOCHS};
            enum al_code code = al_repl_install(f, &c, &fx, NULL);
            assert_int_equal(code, m.fired ? AL_RESOURCE_EXHAUSTED : AL_OK);
            if (code != AL_OK) { /* nothing changed: it may come again */
                assert_int_equal(al_repl_last(f), 0);
                assert_int_equal(al_repl_install(f, &c, &fx, NULL), AL_OK);
            }
            assert_int_equal(al_repl_last(f), EPOCHS);
        }
        al_repl_destroy(f);
        assert_int_equal(m.live, 0);
        if (!m.fired)
            return;
    }
}

/* ---- the coordination store is restored ---- */

static void test_a_report_is_a_promise(void **state)
{
    (void)state;
    struct al_repl *p = primary(2);
    const struct al_repl_record *kept = NULL;
    struct al_err err;
    AL_CHECK_OK(al_repl_report(p, 1, &kept, &fx, &err), err);
    assert_int_equal(kept->epoch, 2);
    assert_int_equal(kept->version, 2);
    assert_int_equal(effect(AL_REPL_DO_PROMISE)->restore, 1);
    assert_non_null(effect(AL_REPL_DO_STEP_DOWN));
    assert_int_equal(al_repl_role(p), AL_REPL_IDLE);
    assert_false(al_repl_confirm(p, 0, 2));                   /* nor does it confirm what is over */
    AL_CHECK_OK(al_repl_report(p, 1, &kept, &fx, &err), err); /* asked again */
    assert_int_equal(fx.n, 0);
    assert_int_equal(al_repl_report(p, 0, &kept, &fx, &err), AL_ABORTED);
    assert_string_equal(err.reason, "RESTORE_STALE");
    struct al_repl_record late = record(0, 3, 3, 0); /* of the history that was lost */
    assert_int_equal(al_repl_record(p, &late, &fx, &err), AL_ABORTED);
    assert_string_equal(err.reason, "RESTORE_STALE");
    struct al_repl_record same = record(1, 2, 3, 0); /* an epoch that was used before */
    assert_int_equal(al_repl_record(p, &same, &fx, &err), AL_ABORTED);
    assert_string_equal(err.reason, "EPOCH_STALE");
    assert_int_equal(learn(p, record(1, 3, 3, 0)), AL_OK);
    assert_int_equal(al_repl_role(p), AL_REPL_PRIMARY);
    assert_true(al_repl_confirm(p, 1, 3));
    assert_false(al_repl_confirm(p, 0, 3));
    al_repl_destroy(p);
}

static void test_a_store_that_saw_nothing_reports_nothing(void **state)
{
    (void)state;
    struct al_repl *r = create(NULL, &node_b);
    const struct al_repl_record *kept = &(struct al_repl_record){.epoch = 1};
    struct al_err err;
    AL_CHECK_OK(al_repl_report(r, 3, &kept, &fx, &err), err);
    assert_null(kept);
    assert_int_equal(learn(r, record(2, 1, 1, 0)), AL_ABORTED);
    assert_int_equal(learn(r, record(3, 1, 1, 0)), AL_OK);
    al_repl_destroy(r);
}

static void test_a_promise_survives_a_restart(void **state)
{
    (void)state;
    struct al_repl_record rec = record(0, 4, 4, 0);
    struct al_repl_disk d = {.record = &rec, .promised = 1, .log_first = 1};
    struct al_repl *r = NULL;
    struct al_err err;
    AL_CHECK_OK(al_repl_create(NULL, &node_b, &d, &r, &err), err);
    assert_int_equal(al_repl_role(r), AL_REPL_IDLE); /* else it would follow */
    assert_int_equal(learn(r, record(0, 5, 5, 0)), AL_ABORTED);
    assert_int_equal(learn(r, record(1, 5, 5, 0)), AL_OK);
    assert_int_equal(al_repl_role(r), AL_REPL_FOLLOWER);
    al_repl_destroy(r);
    rec = record(2, 4, 4, 0); /* a record of a restore is a promise too */
    d.promised = 0;
    AL_CHECK_OK(al_repl_create(NULL, &node_b, &d, &r, &err), err);
    assert_int_equal(learn(r, record(1, 5, 5, 0)), AL_ABORTED);
    al_repl_destroy(r);
}

static void test_requests_and_replies_of_another_restore(void **state)
{
    (void)state;
    struct al_repl *p = primary(3);
    struct al_repl *f = create(NULL, &node_b);
    assert_int_equal(learn(p, record(1, 3, 3, 0)), AL_OK);
    assert_int_equal(learn(f, record(1, 3, 3, 0)), AL_OK);
    struct al_repl_pull pull = next_pull(f);
    assert_int_equal(pull.restore, 1);
    struct al_repl_pull old = pull;
    old.restore = 0;
    struct al_err err;
    assert_int_equal(al_repl_pull(p, &old, 1, &fx, &err), AL_ABORTED);
    assert_string_equal(err.reason, "RESTORE_STALE");
    struct al_repl_reply reply = pulled(p, &pull, 1);
    static const struct al_repl_item item = {.epoch = 1};
    reply.restore = 0;
    assert_int_equal(al_repl_reply(f, &reply, &item, &fx, NULL), AL_OK);
    assert_int_equal(al_repl_last(f), 0); /* dropped */
    reply.restore = 1;
    assert_int_equal(al_repl_reply(f, &reply, &item, &fx, NULL), AL_OK);
    assert_int_equal(al_repl_last(f), 1);
    assert_int_equal(al_repl_ask_set(p, 1, &fx, NULL), AL_OK);
    assert_int_equal(effect(AL_REPL_DO_ALTER)->restore, 1);
    al_repl_destroy(p);
    al_repl_destroy(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trim_floor),
        cmocka_unit_test(test_a_follower_trims_to_what_the_primary_says),
        cmocka_unit_test(test_a_checkpoint_is_installed_and_pulls_go_on),
        cmocka_unit_test(test_a_checkpoint_that_is_late_or_failed),
        cmocka_unit_test(test_a_checkpoint_that_contradicts_itself),
        cmocka_unit_test(test_only_the_primary_gives_checkpoints),
        cmocka_unit_test(test_failing_memory_of_an_install),
        cmocka_unit_test(test_a_report_is_a_promise),
        cmocka_unit_test(test_a_store_that_saw_nothing_reports_nothing),
        cmocka_unit_test(test_a_promise_survives_a_restart),
        cmocka_unit_test(test_requests_and_replies_of_another_restore),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
