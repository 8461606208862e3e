/* The state machine's rules, one by one; repl_sim_test.c puts them together. */
#include "repl.h"

#include "airlore/testing.h"

static const struct al_repl_member node_a = {1, {1}};
static const struct al_repl_member node_b = {2, {2}};
static const struct al_repl_member node_c = {3, {3}};
static const uint8_t no_id[AL_WRITE_ID_BYTES];

static struct al_repl_record record(uint64_t epoch, uint64_t version, uint32_t primary,
                                    uint32_t set)
{
    return (struct al_repl_record){.epoch = epoch,
                                   .version = version,
                                   .members = {node_a, node_b, node_c},
                                   .n_members = 3,
                                   .primary = primary,
                                   .in_sync = set,
                                   .min_in_sync = 1};
}

static struct al_repl *create(const struct al_repl_member *self)
{
    struct al_repl_disk d = {.log_first = 1};
    struct al_repl *r = NULL;
    struct al_err err;
    AL_CHECK_OK(al_repl_create(NULL, self, &d, &r, &err), err);
    return r;
}

static struct al_repl_effects fx;

static const struct al_repl_effect *effect(enum al_repl_effect_kind kind)
{
    for (size_t i = 0; i < fx.n; i++) {
        if (fx.items[i].kind == kind)
            return &fx.items[i];
    }
    return NULL;
}

static void learn(struct al_repl *r, struct al_repl_record rec)
{
    struct al_err err;
    AL_CHECK_OK(al_repl_record(r, &rec, &fx, &err), err);
}

static uint64_t propose(struct al_repl *r)
{
    uint64_t index = 0;
    bool repeat = false;
    struct al_err err;
    AL_CHECK_OK(al_repl_propose(r, no_id, &index, &repeat, &err), err);
    assert_false(repeat);
    return index;
}

static void sync_all(struct al_repl *r)
{
    al_repl_persisted(r, al_repl_generation(r), al_repl_last(r), &fx);
}

static enum al_code pull_as(struct al_repl *r, const struct al_repl_member *m, uint64_t epoch,
                            uint64_t from, uint64_t prev)
{
    struct al_repl_pull p = {.epoch = epoch, .from = from, .prev_epoch = prev, .member = *m};
    return al_repl_pull(r, &p, 10, &fx, NULL);
}

static void test_alone(void **state)
{
    (void)state;
    struct al_repl *r = create(&node_a);
    uint64_t index = 0;
    bool repeat = false;
    assert_int_equal(al_repl_propose(r, no_id, &index, &repeat, NULL), AL_UNAVAILABLE);
    learn(r, record(1, 1, 0, 1));
    assert_non_null(effect(AL_REPL_DO_RECORD));
    assert_true(effect(AL_REPL_DO_APPEND)->noop);
    assert_int_equal(effect(AL_REPL_DO_APPEND)->index, 1);
    assert_true(al_repl_is_alone(r));
    struct al_repl_read rd;
    assert_int_equal(al_repl_read_begin(r, &rd, NULL), AL_UNAVAILABLE); /* the no-op first */
    assert_int_equal(propose(r), 2);
    al_repl_persisted(r, al_repl_generation(r), 1, &fx);
    assert_int_equal(effect(AL_REPL_DO_COMMIT)->index, 1);
    sync_all(r);
    assert_int_equal(al_repl_commit(r), 2);
    al_repl_applied(r, 99); /* never more than is committed */
    assert_int_equal(al_repl_applied_index(r), 2);
    assert_int_equal(al_repl_read_begin(r, &rd, NULL), AL_OK);
    assert_true(al_repl_read_holds(r, &rd));
    al_repl_trimmed(r, 3);
    assert_int_equal(al_repl_epoch_at(r, 2), 1);
    al_repl_destroy(r);
    al_repl_destroy(NULL);
}

static void test_commit_is_the_smallest_of_the_union(void **state)
{
    (void)state;
    struct al_repl *r = create(&node_a);
    learn(r, record(1, 1, 0, 7));
    propose(r);
    sync_all(r);
    assert_int_equal(al_repl_commit(r), 0);
    assert_int_equal(pull_as(r, &node_b, 1, 3, 1), AL_OK);
    assert_int_equal(al_repl_commit(r), 0);
    assert_int_equal(pull_as(r, &node_c, 1, 2, 1), AL_OK);
    assert_int_equal(al_repl_commit(r), 1);
    assert_int_equal(effect(AL_REPL_DO_REPLY)->reply.n, 1);
    assert_int_equal(effect(AL_REPL_DO_REPLY)->reply.commit, 1);
    /* C leaves: until that is known it still counts */
    assert_int_equal(al_repl_ask_set(r, 3, &fx, NULL), AL_OK);
    assert_int_equal(effect(AL_REPL_DO_ALTER)->set, 3);
    assert_int_equal(al_repl_commit(r), 1);
    assert_int_equal(al_repl_ask_set(r, 5, &fx, NULL), AL_FAILED_PRECONDITION); /* one at a time */
    learn(r, record(1, 2, 0, 3));
    assert_int_equal(al_repl_commit(r), 2);
    /* C comes back: at once it counts, before the leader has said so */
    assert_int_equal(al_repl_ask_set(r, 7, &fx, NULL), AL_FAILED_PRECONDITION); /* too far behind */
    assert_int_equal(pull_as(r, &node_c, 1, 3, 1), AL_OK);
    assert_int_equal(al_repl_ask_set(r, 7, &fx, NULL), AL_OK);
    propose(r);
    sync_all(r);
    assert_int_equal(pull_as(r, &node_b, 1, 4, 1), AL_OK);
    assert_int_equal(al_repl_commit(r), 2);
    assert_int_equal(pull_as(r, &node_c, 1, 4, 1), AL_OK);
    assert_int_equal(al_repl_commit(r), 3);
    al_repl_destroy(r);
}

static void test_below_min_in_sync_nothing_moves(void **state)
{
    (void)state;
    struct al_repl *r = create(&node_a);
    struct al_repl_record rec = record(1, 1, 0, 1);
    rec.min_in_sync = 2;
    learn(r, rec);
    sync_all(r);
    assert_int_equal(al_repl_commit(r), 0);
    uint64_t index = 0;
    bool repeat = false;
    struct al_err err;
    assert_int_equal(al_repl_propose(r, no_id, &index, &repeat, &err), AL_UNAVAILABLE);
    assert_string_equal(err.reason, "NOT_ENOUGH_REPLICAS");
    al_repl_destroy(r);
}

static void test_pulls_that_do_not_count(void **state)
{
    (void)state;
    struct al_repl *r = create(&node_a);
    learn(r, record(2, 5, 0, 3));
    sync_all(r);
    struct al_repl_member emptied = {2, {99}};
    assert_int_equal(pull_as(r, &node_b, 1, 2, 2), AL_ABORTED); /* epoch is over */
    assert_int_equal(pull_as(r, &node_b, 3, 2, 2), AL_ABORTED); /* or not here yet */
    assert_int_equal(pull_as(r, &emptied, 2, 2, 2), AL_ABORTED);
    assert_int_equal(pull_as(r, &node_a, 2, 2, 2), AL_ABORTED); /* itself */
    assert_int_equal(pull_as(r, &node_b, 2, 0, 0), AL_INVALID_ARGUMENT);
    assert_int_equal(al_repl_commit(r), 0);
    assert_int_equal(pull_as(r, &node_b, 2, 2, 1), AL_OK); /* another log */
    assert_int_equal(effect(AL_REPL_DO_REPLY)->reply.kind, AL_REPL_CUT);
    assert_int_equal(effect(AL_REPL_DO_REPLY)->reply.to, 0);
    assert_int_equal(al_repl_commit(r), 0);
    assert_int_equal(pull_as(r, &node_b, 2, 2, 2), AL_OK);
    assert_int_equal(al_repl_commit(r), 1);
    al_repl_destroy(r);
}

/* A follower with entries of epochs 1 1 3, against a primary of 1 1 2 2 4. */
static void test_logs_are_cut_to_the_last_common_entry(void **state)
{
    (void)state;
    const struct al_repl_epoch mine[] = {{1, 1}, {3, 3}};
    const struct al_repl_epoch theirs[] = {{1, 1}, {2, 3}};
    const struct al_repl_item tail_mine[] = {{.epoch = 1}, {.epoch = 1}, {.epoch = 3}};
    const struct al_repl_item tail_theirs[] = {
        {.epoch = 1}, {.epoch = 1}, {.epoch = 2}, {.epoch = 2}};
    struct al_repl_record rec = record(3, 3, 1, 7);
    struct al_repl_disk d = {.record = &rec,
                             .log_first = 1,
                             .log_last = 3,
                             .epochs = mine,
                             .n_epochs = 2,
                             .tail = tail_mine};
    struct al_repl *f = NULL;
    struct al_repl *p = NULL;
    struct al_err err;
    AL_CHECK_OK(al_repl_create(NULL, &node_b, &d, &f, &err), err);
    d.log_last = 4;
    d.epochs = theirs;
    d.tail = tail_theirs;
    AL_CHECK_OK(al_repl_create(NULL, &node_a, &d, &p, &err), err);
    learn(p, record(4, 4, 0, 7));
    sync_all(p);
    learn(f, record(4, 4, 0, 7));
    struct al_repl_pull pull;
    assert_true(al_repl_next_pull(f, &pull));
    assert_int_equal(pull.from, 4);
    assert_int_equal(pull.prev_epoch, 3);
    AL_CHECK_OK(al_repl_pull(p, &pull, 10, &fx, &err), err);
    struct al_repl_reply cut = effect(AL_REPL_DO_REPLY)->reply;
    assert_int_equal(cut.kind, AL_REPL_CUT);
    assert_int_equal(cut.to, 2);
    AL_CHECK_OK(al_repl_reply(f, &cut, NULL, &fx, &err), err);
    assert_int_equal(effect(AL_REPL_DO_TRUNCATE)->index, 2);
    assert_int_equal(al_repl_last(f), 2);
    AL_CHECK_OK(al_repl_reply(f, &cut, NULL, &fx, &err), err); /* it comes twice */
    assert_int_equal(fx.n, 0);
    assert_true(al_repl_next_pull(f, &pull));
    assert_int_equal(pull.from, 3);
    AL_CHECK_OK(al_repl_pull(p, &pull, 2, &fx, &err), err);
    struct al_repl_reply some = effect(AL_REPL_DO_REPLY)->reply;
    assert_int_equal(some.n, 2); /* as many as were allowed */
    const struct al_repl_item items[] = {{.epoch = 2}, {.epoch = 2}};
    const struct al_repl_item backwards[] = {{.epoch = 2}, {.epoch = 1}};
    const struct al_repl_item future[] = {{.epoch = 2}, {.epoch = 9}};
    assert_int_equal(al_repl_reply(f, &some, backwards, &fx, &err), AL_INVALID_ARGUMENT);
    assert_int_equal(al_repl_reply(f, &some, future, &fx, &err), AL_INVALID_ARGUMENT);
    AL_CHECK_OK(al_repl_reply(f, &some, items, &fx, &err), err);
    assert_int_equal(effect(AL_REPL_DO_APPEND)->index, 3);
    assert_int_equal(effect(AL_REPL_DO_APPEND)->n, 2);
    assert_false(al_repl_next_pull(f, &pull)); /* its tail is not synced */
    al_repl_persisted(f, 0, 4, &fx);           /* a sync from before the cut says nothing */
    assert_false(al_repl_next_pull(f, &pull));
    sync_all(f);
    assert_true(al_repl_next_pull(f, &pull));
    assert_int_equal(al_repl_epoch_at(f, 3), 2);
    al_repl_destroy(f);
    al_repl_destroy(p);
}

static void test_a_cut_of_committed_entries_stops_the_replica(void **state)
{
    (void)state;
    struct al_repl_record rec = record(1, 1, 0, 3);
    const struct al_repl_epoch epochs[] = {{1, 1}};
    struct al_repl_disk d = {.record = &rec,
                             .log_first = 1,
                             .log_last = 2,
                             .applied = 2,
                             .epochs = epochs,
                             .n_epochs = 1};
    struct al_repl *f = NULL;
    struct al_err err;
    AL_CHECK_OK(al_repl_create(NULL, &node_b, &d, &f, &err), err);
    struct al_repl_reply cut = {
        .kind = AL_REPL_CUT, .epoch = 1, .from = 3, .prev_epoch = 1, .to = 1};
    AL_CHECK_OK(al_repl_reply(f, &cut, NULL, &fx, &err), err);
    assert_non_null(effect(AL_REPL_DO_STOP));
    struct al_repl_pull pull;
    assert_false(al_repl_next_pull(f, &pull));
    learn(f, record(2, 2, 0, 3));
    assert_false(al_repl_next_pull(f, &pull)); /* it stays out until it is made anew */
    al_repl_destroy(f);
}

static void test_epochs(void **state)
{
    (void)state;
    struct al_repl *r = create(&node_a);
    learn(r, record(2, 2, 0, 1));
    sync_all(r);
    struct al_repl_record old = record(1, 9, 0, 1);
    struct al_err err;
    assert_int_equal(al_repl_record(r, &old, &fx, &err), AL_ABORTED);
    assert_string_equal(err.reason, "EPOCH_STALE");
    learn(r, record(2, 2, 0, 3)); /* the same version says nothing new */
    assert_int_equal(fx.n, 0);
    struct al_repl_record bad = record(3, 3, 1, 1); /* the primary is not in the set */
    assert_int_equal(al_repl_record(r, &bad, &fx, &err), AL_INVALID_ARGUMENT);
    learn(r, record(3, 3, 1, 3));
    assert_int_equal(effect(AL_REPL_DO_STEP_DOWN)->epoch, 2);
    assert_int_equal(al_repl_role(r), AL_REPL_FOLLOWER);
    al_repl_destroy(r);
}

static void test_a_restarted_primary_waits_for_the_next_epoch(void **state)
{
    (void)state;
    struct al_repl_record rec = record(5, 8, 0, 1);
    const struct al_repl_epoch epochs[] = {{5, 1}};
    const struct al_repl_item tail[] = {{.epoch = 5}, {.epoch = 5, .write_id = {7}}};
    struct al_repl_disk d = {.record = &rec,
                             .log_first = 1,
                             .log_last = 2,
                             .epochs = epochs,
                             .n_epochs = 1,
                             .tail = tail};
    struct al_repl *r = NULL;
    struct al_err err;
    AL_CHECK_OK(al_repl_create(NULL, &node_a, &d, &r, &err), err);
    assert_int_equal(al_repl_role(r), AL_REPL_IDLE);
    learn(r, record(5, 9, 0, 1)); /* a newer version of the same epoch is not enough */
    assert_int_equal(al_repl_role(r), AL_REPL_IDLE);
    learn(r, record(6, 10, 0, 1));
    assert_int_equal(al_repl_role(r), AL_REPL_PRIMARY);
    uint64_t index = 0;
    bool repeat = false;
    const uint8_t id[AL_WRITE_ID_BYTES] = {7};
    AL_CHECK_OK(al_repl_propose(r, id, &index, &repeat, &err), err);
    assert_true(repeat); /* the tail knows it */
    assert_int_equal(index, 2);
    sync_all(r);
    assert_int_equal(al_repl_commit(r), 3); /* the tail commits with the no-op */
    al_repl_destroy(r);
}

static void test_reads_ask_everyone(void **state)
{
    (void)state;
    struct al_repl *r = create(&node_a);
    struct al_repl *b = create(&node_b);
    learn(r, record(1, 1, 0, 7));
    sync_all(r);
    assert_int_equal(pull_as(r, &node_b, 1, 2, 1), AL_OK);
    assert_int_equal(pull_as(r, &node_c, 1, 2, 1), AL_OK);
    al_repl_applied(r, 1);
    struct al_repl_read rd;
    assert_int_equal(al_repl_read_begin(r, &rd, NULL), AL_OK);
    assert_int_equal(rd.need, 6);
    assert_false(al_repl_confirm(b, 0, 1)); /* knows of no epoch */
    learn(b, record(1, 1, 0, 7));
    assert_true(al_repl_confirm(b, 0, 1));
    al_repl_read_confirmed(r, &rd, &node_b);
    assert_false(al_repl_read_holds(r, &rd));
    struct al_repl_member emptied = {3, {99}};
    al_repl_read_confirmed(r, &rd, &emptied);
    assert_int_equal(rd.need, 4);
    al_repl_read_confirmed(r, &rd, &node_c);
    assert_true(al_repl_read_holds(r, &rd));
    learn(b, record(2, 2, 1, 3));
    assert_false(al_repl_confirm(b, 0, 1));
    learn(r, record(2, 2, 1, 3));
    assert_false(al_repl_read_holds(r, &rd)); /* the epoch ended meanwhile */
    al_repl_destroy(r);
    al_repl_destroy(b);
}

static void test_trimmed_log_needs_a_checkpoint(void **state)
{
    (void)state;
    struct al_repl *r = create(&node_a);
    learn(r, record(1, 1, 0, 1));
    for (int i = 0; i < 5; i++)
        propose(r);
    sync_all(r);
    al_repl_applied(r, 6);
    al_repl_trimmed(r, 4);
    assert_int_equal(pull_as(r, &node_b, 1, 3, 1), AL_OK);
    assert_int_equal(effect(AL_REPL_DO_REPLY)->reply.kind, AL_REPL_CHECKPOINT);
    assert_int_equal(effect(AL_REPL_DO_REPLY)->reply.to, 4);
    assert_int_equal(pull_as(r, &node_b, 1, 4, 1), AL_OK);
    assert_int_equal(effect(AL_REPL_DO_REPLY)->reply.n, 3);
    al_repl_destroy(r);
}

static void test_tail_is_bounded(void **state)
{
    (void)state;
    struct al_repl *r = create(&node_a);
    learn(r, record(1, 1, 0, 3));
    uint64_t index = 0;
    bool repeat = false;
    struct al_err err = {0};
    size_t n = 0;
    while (al_repl_propose(r, no_id, &index, &repeat, &err) == AL_OK)
        n++;
    assert_string_equal(err.reason, "TAIL_FULL");
    assert_int_equal(n, AL_REPL_TAIL_MAX - 2);
    learn(r, record(2, 2, 0, 3)); /* there is room for the no-op */
    assert_int_equal(al_repl_last(r), AL_REPL_TAIL_MAX);
    al_repl_destroy(r);
}

static void test_failing_memory(void **state)
{
    (void)state;
    for (size_t n = 0;; n++) {
        struct al_fault_mem m;
        struct al_repl_disk d = {.log_first = 1};
        struct al_repl *r = NULL;
        struct al_err err;
        al_fault_mem_init(&m, n, false);
        enum al_code code = al_repl_create(&m.mem, &node_a, &d, &r, &err);
        struct al_repl_record rec = record(1, 1, 0, 1);
        if (code == AL_OK)
            code = al_repl_record(r, &rec, &fx, &err);
        uint64_t index = 0;
        bool repeat = false;
        for (int i = 0; code == AL_OK && i < 100; i++)
            code = al_repl_propose(r, no_id, &index, &repeat, &err);
        assert_int_equal(code, m.fired ? AL_RESOURCE_EXHAUSTED : AL_OK);
        al_repl_destroy(r);
        assert_int_equal(m.live, 0);
        if (!m.fired)
            break;
    }
}

static void test_a_log_that_cannot_be(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct al_repl_disk d;
    } cases[] = {
        {"applied beyond the end", {.log_first = 1, .log_last = 3, .applied = 4}},
        {"trimmed beyond applied", {.log_first = 4, .log_last = 5, .applied = 2}},
        {"starts at nothing", {.log_first = 0}},
        {"starts behind its end", {.log_first = 5, .log_last = 3, .applied = 3}},
        {"endless tail", {.log_first = 1, .log_last = AL_REPL_TAIL_MAX + 1}},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct al_repl *r = NULL;
        AL_CHECK(cases[i].name,
                 al_repl_create(NULL, &node_a, &cases[i].d, &r, NULL) == AL_DATA_LOSS);
        AL_CHECK(cases[i].name, !r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alone),
        cmocka_unit_test(test_commit_is_the_smallest_of_the_union),
        cmocka_unit_test(test_below_min_in_sync_nothing_moves),
        cmocka_unit_test(test_pulls_that_do_not_count),
        cmocka_unit_test(test_logs_are_cut_to_the_last_common_entry),
        cmocka_unit_test(test_a_cut_of_committed_entries_stops_the_replica),
        cmocka_unit_test(test_epochs),
        cmocka_unit_test(test_a_restarted_primary_waits_for_the_next_epoch),
        cmocka_unit_test(test_reads_ask_everyone),
        cmocka_unit_test(test_trimmed_log_needs_a_checkpoint),
        cmocka_unit_test(test_tail_is_bounded),
        cmocka_unit_test(test_failing_memory),
        cmocka_unit_test(test_a_log_that_cannot_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
