#include "port_conformance.h"

#include "airlore/testing.h"

static uint8_t last_id;

struct suite {
    struct al_shard_port *p;
    uint8_t table;
    struct al_arena a;
    uint64_t index; /* of the last write */
    bool repeated;
};

static enum al_outcome write_as(struct suite *s, uint8_t id, struct al_op op)
{
    uint8_t write_id[16] = {0xc0, id};
    struct al_write_result res = {0};
    struct al_err err = {0};
    op.table = s->table;
    AL_CHECK_OK(s->p->ops->write(s->p, &op, 1, write_id, AL_DEADLINE_NONE, &s->a, &res, &err), err);
    s->index = res.index;
    s->repeated = res.repeated;
    return res.outcomes[0];
}

static enum al_outcome put(struct suite *s, const char *key, const char *value,
                           enum al_op_condition condition, uint64_t version)
{
    struct al_op op = {.kind = AL_OP_PUT_ROW,
                       .condition = condition,
                       .version = version,
                       .id = al_str_c(key),
                       .value = al_str_c(value)};
    return write_as(s, ++last_id, op);
}

static enum al_outcome drop(struct suite *s, const char *key, enum al_op_condition condition,
                            uint64_t version)
{
    struct al_op op = {
        .kind = AL_OP_DELETE_ROW, .condition = condition, .version = version, .id = al_str_c(key)};
    return write_as(s, ++last_id, op);
}

static void check_row(struct suite *s, const char *key, const char *value, uint64_t version)
{
    struct al_str v = AL_STR("");
    uint64_t got = 0;
    struct al_err err = {0};
    AL_CHECK_OK(s->p->ops->get_row(s->p, s->table, 0, al_str_c(key), &s->a, &v, &got, &err), err);
    AL_CHECK(key, al_str_is(v, value));
    AL_CHECK(key, got == version);
}

static void check_absent(struct suite *s, const char *key)
{
    static const char before[] = "untouched";
    struct al_str v = {before, 9};
    uint64_t got = 77;
    AL_CHECK(key, s->p->ops->get_row(s->p, s->table, 0, al_str_c(key), &s->a, &v, &got, NULL) ==
                      AL_NOT_FOUND);
    AL_CHECK(key, v.p == before && got == 77);
}

static void check_writes(struct suite *s)
{
    check_absent(s, "b");
    assert_int_equal(put(s, "b", "1", AL_IF_ANY, 0), AL_OUTCOME_INSERTED);
    uint64_t first = s->index;
    check_row(s, "b", "1", first);
    assert_int_equal(put(s, "b", "2", AL_IF_ANY, 0), AL_OUTCOME_UPDATED);
    assert_true(s->index > first); /* every write has an index of its own */
    check_row(s, "b", "2", s->index);
    assert_int_equal(put(s, "empty", "", AL_IF_ANY, 0), AL_OUTCOME_INSERTED);
    check_row(s, "empty", "", s->index);
    assert_int_equal(drop(s, "empty", AL_IF_ANY, 0), AL_OUTCOME_DELETED);
    assert_int_equal(drop(s, "empty", AL_IF_ANY, 0), AL_OUTCOME_ABSENT);
    check_absent(s, "empty");
}

static void check_conditions(struct suite *s)
{
    assert_int_equal(put(s, "c", "1", AL_IF_ABSENT, 0), AL_OUTCOME_INSERTED);
    uint64_t version = s->index;
    assert_int_equal(put(s, "c", "2", AL_IF_ABSENT, 0), AL_OUTCOME_CONDITION);
    assert_int_equal(put(s, "c", "2", AL_IF_VERSION, version + 1), AL_OUTCOME_CONDITION);
    assert_int_equal(put(s, "nothing", "2", AL_IF_VERSION, version), AL_OUTCOME_CONDITION);
    check_absent(s, "nothing");
    check_row(s, "c", "1", version); /* what did not hold changed nothing */
    assert_int_equal(put(s, "c", "2", AL_IF_VERSION, version), AL_OUTCOME_UPDATED);
    assert_int_equal(drop(s, "c", AL_IF_VERSION, version), AL_OUTCOME_CONDITION);
    struct al_str v;
    uint64_t now = 0;
    assert_int_equal(s->p->ops->get_row(s->p, s->table, 0, AL_STR("c"), &s->a, &v, &now, NULL),
                     AL_OK);
    assert_int_equal(drop(s, "c", AL_IF_VERSION, now), AL_OUTCOME_DELETED);
    check_absent(s, "c");
}

/* The same write id has one effect and one answer, whatever comes with it. */
static void check_repeats(struct suite *s)
{
    struct al_op op = {.kind = AL_OP_PUT_ROW,
                       .condition = AL_IF_ABSENT,
                       .id = AL_STR("once"),
                       .value = AL_STR("first")};
    uint8_t id = ++last_id;
    assert_int_equal(write_as(s, id, op), AL_OUTCOME_INSERTED);
    assert_false(s->repeated);
    uint64_t index = s->index;
    op.value = AL_STR("second");
    assert_int_equal(write_as(s, id, op), AL_OUTCOME_INSERTED);
    assert_true(s->repeated);
    assert_int_equal(s->index, index);
    check_row(s, "once", "first", index);
    assert_int_equal(drop(s, "once", AL_IF_ANY, 0), AL_OUTCOME_DELETED);
}

static void check_scan(struct suite *s)
{
    static const char *const keys[] = {"s/3", "s/1", "s/2", "s/10"};
    static const char *const sorted[] = {"b", "s/1", "s/10", "s/2", "s/3"};
    struct al_row *rows = NULL;
    size_t n = 0;
    struct al_err err = {0};
    for (size_t i = 0; i < AL_ARRAY_LEN(keys); i++)
        assert_int_equal(put(s, keys[i], keys[i], AL_IF_ANY, 0), AL_OUTCOME_INSERTED);
    struct al_str none = AL_STR("");
    AL_CHECK_OK(s->p->ops->scan_rows(s->p, s->table, 0, none, none, 100, &s->a, &rows, &n, &err),
                err);
    assert_int_equal(n, AL_ARRAY_LEN(sorted));
    for (size_t i = 0; i < n; i++)
        AL_CHECK(sorted[i], al_str_is(rows[i].key, sorted[i]) && rows[i].version > 0);
    AL_CHECK_OK(
        s->p->ops->scan_rows(s->p, s->table, 0, none, AL_STR("s/1"), 2, &s->a, &rows, &n, &err),
        err);
    assert_int_equal(n, 2); /* behind `after`, as many as asked for */
    assert_true(al_str_is(rows[0].key, "s/10") && al_str_is(rows[1].value, "s/2"));
    AL_CHECK_OK(
        s->p->ops->scan_rows(s->p, s->table, 0, none, AL_STR("s/3"), 2, &s->a, &rows, &n, &err),
        err);
    assert_int_equal(n, 0);
}

void al_shard_port_conformance(struct al_shard_port *p, uint8_t table)
{
    struct suite s = {.p = p, .table = table};
    al_arena_init(&s.a, NULL, 1u << 20);
    check_writes(&s);
    check_conditions(&s);
    check_repeats(&s);
    check_scan(&s);
    al_arena_fini(&s.a);
}
