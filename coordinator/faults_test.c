/* Each allocation failing in turn, for everything of the coordinator that is created, opened or
 * decoded: the right code, the output untouched, nothing leaked; and the shard below failing. */
#include "airlore/coord_mem.h"
#include "airlore/coordinator.h"
#include "airlore/testing.h"
#include "core_fixture.h"
#include "findings.h"
#include "key_text.h"
#include "page.h"
#include "ratelimit.h"
#include "service.h"
#include "tables.h"

#define ARENA_MAX ((size_t)64 << 20)

/* What one round returned, given memory of which one allocation fails. *ret_made: whether there is
 * an object. */
static void each_allocation(enum al_code (*round)(void *u, struct al_mem *m, bool *ret_made),
                            void *u)
{
    for (size_t n = 0;; n++) {
        struct al_fault_mem m;
        bool made = false;
        al_fault_mem_init(&m, n, false);
        enum al_code code = round(u, &m.mem, &made);
        if (code != (m.fired ? AL_RESOURCE_EXHAUSTED : AL_OK))
            fail_msg("allocation %zu failing: %s", n, al_code_name(code));
        assert_true(made == (code == AL_OK));
        if (m.live)
            fail_msg("allocation %zu failing leaks %zu blocks", n, m.live);
        if (!m.fired) {
            assert_true(n > 0); /* else nothing was tested */
            return;
        }
    }
}

/* ---- decoders ---- */

static enum al_code round_key(void *u, struct al_mem *m, bool *ret_made)
{
    struct al_arena a;
    struct al_key_row row = {.key = {.role = (enum al_role)99}};
    al_arena_init(&a, m, ARENA_MAX);
    enum al_code code = al_key_decode(al_buf_view(u), &a, &row, NULL);
    *ret_made = row.key.role != (enum al_role)99;
    al_arena_fini(&a);
    return code;
}

static void test_key_rows(void **state)
{
    (void)state;
    char readable[3][AL_NAME_BYTES_MAX + 1] = {"a", "b", "c"};
    struct al_key_row k = {.key = {.role = AL_ROLE_READER, .readable = readable, .n_readable = 3}};
    snprintf(k.key.id, sizeof k.key.id, "abcdefghijkl");
    snprintf(k.key.team, sizeof k.key.team, "default");
    struct al_buf b;
    al_buf_init(&b, NULL, 1u << 16);
    al_key_encode(&k, &b);
    each_allocation(round_key, &b);
    al_buf_fini(&b);
}

static enum al_code round_deployment(void *u, struct al_mem *m, bool *ret_made)
{
    struct al_arena a;
    struct al_deployment d = {.space = 77};
    struct al_deployment_details x = {.n_labels = 77};
    al_arena_init(&a, m, ARENA_MAX);
    enum al_code code = al_deployment_decode(al_buf_view(u), &a, &d, &x, NULL);
    *ret_made = d.space != 77;
    assert_true(*ret_made == (x.n_labels != 77));
    al_arena_fini(&a);
    return code;
}

static void test_deployment_rows(void **state)
{
    (void)state;
    struct al_kv labels[] = {{AL_STR("region"), AL_STR("north")}, {AL_STR("tier"), AL_STR("1")}};
    const struct al_deployment d = {.team = "red", .name = "a", .space = 5};
    const struct al_deployment_details x = {
        .airflow_url = AL_STR("http://127.0.0.1:8080"), .labels = labels, .n_labels = 2};
    struct al_buf b;
    al_buf_init(&b, NULL, 1u << 16);
    al_deployment_encode(&d, &x, &b);
    each_allocation(round_deployment, &b);
    al_buf_fini(&b);
}

static enum al_code round_findings(void *u, struct al_mem *m, bool *ret_made)
{
    struct al_arena a;
    struct al_findings found = {.list = NULL, .n = 77};
    const struct al_findings_query q = {.job = AL_STR("job"), .from = 1, .limit = 10};
    al_arena_init(&a, m, ARENA_MAX);
    enum al_code code = al_findings_read(u, &q, &a, &found, NULL);
    *ret_made = found.list != NULL;
    assert_int_equal(found.n, found.list ? 2 : 77);
    al_arena_fini(&a);
    return code;
}

static void test_findings(void **state)
{
    (void)state;
    struct core c;
    struct al_err err;
    core_open(&c, 1);
    struct al_coordinator site = {.opt = {.system = c.system, .clock = al_clock_system()}};
    const struct al_finding f[3] = {{.shard = 0, .message = AL_STR("one")},
                                    {.shard = 1, .message = AL_STR("two")},
                                    {.shard = 2, .message = AL_STR("three")}};
    AL_CHECK_OK(al_findings_write(&site, "job", 0, f, 3, &err), err);
    each_allocation(round_findings, &site);
    core_close(&c);
}

static enum al_code round_token(void *u, struct al_mem *m, bool *ret_made)
{
    const struct al_router router = {.n_shards = 4};
    struct al_arena a;
    static uint64_t untouched;
    struct al_token t = {&untouched};
    al_arena_init(&a, m, ARENA_MAX);
    enum al_code code = al_token_parse(&router, al_str_c(u), &a, &t, NULL);
    *ret_made = t.index != &untouched;
    al_arena_fini(&a);
    return code;
}

static void test_tokens(void **state)
{
    (void)state;
    static char text[] = "1:42,3:7";
    each_allocation(round_token, text);
}

struct page_fixture {
    struct al_coordinator c;
    struct al_router router;
};

static enum al_code round_page(void *u, struct al_mem *m, bool *ret_made)
{
    struct page_fixture *f = u;
    struct al_page_cursor cursor = {.shard = 3, .after = AL_STR("some key"), .request = 7};
    struct al_page_cursor again = {.shard = 0};
    struct al_arena a;
    char *text = NULL;
    al_arena_init(&a, m, ARENA_MAX);
    enum al_code code = al_page_format(&f->c, &cursor, &a, &text, NULL);
    if (code == AL_OK)
        code = al_page_parse(&f->c, al_str_c(text), 7, &a, &again, NULL);
    *ret_made = code == AL_OK && again.shard == 3 && al_str_is(again.after, "some key");
    al_arena_fini(&a);
    return code;
}

static void test_page_tokens(void **state)
{
    (void)state;
    static struct page_fixture f;
    f.router.n_shards = 4;
    f.c.opt.router = &f.router;
    f.c.opt.random = al_random_system();
    f.c.opt.clock = al_clock_system();
    each_allocation(round_page, &f);
}

/* ---- objects ---- */

static enum al_code round_ratelimit(void *u, struct al_mem *m, bool *ret_made)
{
    (void)u;
    struct al_fake_clock clock;
    struct al_ratelimit *r = NULL;
    al_fake_clock_init(&clock, 0);
    struct al_ratelimit_options opt = {.clock = &clock.clock, .mem = m};
    enum al_code code = al_ratelimit_create(&opt, &r, NULL);
    *ret_made = r != NULL;
    al_ratelimit_destroy(r);
    return code;
}

static void test_ratelimit(void **state)
{
    (void)state;
    each_allocation(round_ratelimit, NULL);
}

static enum al_code round_once_book(void *u, struct al_mem *m, bool *ret_made)
{
    struct core *c = u;
    struct al_once_book *w = NULL;
    enum al_code code = al_once_book_create(c->system, al_clock_system(), m, &w, NULL);
    *ret_made = w != NULL;
    al_once_book_destroy(w);
    return code;
}

static enum al_code round_storage_quota(void *u, struct al_mem *m, bool *ret_made)
{
    struct core *c = u;
    struct al_storage_quota_options opt = {
        .directory = c->directory, .router = &c->router, .mem = m};
    struct al_storage_quota *q = NULL;
    enum al_code code = al_storage_quota_create(&opt, &q, NULL);
    *ret_made = q != NULL;
    al_storage_quota_destroy(q);
    return code;
}

static void test_books(void **state)
{
    (void)state;
    struct core c;
    core_open(&c, 1);
    each_allocation(round_once_book, &c);
    each_allocation(round_storage_quota, &c);
    core_close(&c);
}

static enum al_code round_directory(void *u, struct al_mem *m, bool *ret_made)
{
    struct core *c = u;
    struct al_directory_options opt = {
        .system = c->system, .clock = al_clock_system(), .random = &c->random.random, .mem = m};
    struct al_directory *d = NULL;
    enum al_code code = al_directory_open(&opt, &d, NULL);
    *ret_made = d != NULL;
    al_directory_destroy(d);
    return code;
}

static enum al_code round_authenticate(void *u, struct al_mem *m, bool *ret_made)
{
    struct core *c = u;
    struct al_arena a;
    const struct al_credential *cred = NULL;
    al_arena_init(&a, m, ARENA_MAX);
    enum al_code code = al_directory_authenticate(c->directory, al_str_c(c->dir), &a, &cred, NULL);
    *ret_made = cred != NULL;
    al_arena_fini(&a);
    return code;
}

static void fill(struct core *c, char text[AL_KEY_TEXT_MAX])
{
    struct al_err err;
    struct al_team team;
    struct al_key want = {.role = AL_ROLE_CONTRIBUTOR};
    struct al_key made;
    AL_CHECK_OK(al_directory_add_team(c->directory, "harbor", &team, &err), err);
    snprintf(want.team, sizeof want.team, "harbor");
    AL_CHECK_OK(al_directory_add_key(c->directory, &want, text, &made, &err), err);
}

static void test_directory(void **state)
{
    (void)state;
    struct core c;
    char text[AL_KEY_TEXT_MAX];
    core_open(&c, 1);
    fill(&c, text);
    each_allocation(round_directory, &c);
    snprintf(c.dir, sizeof c.dir, "%s", text); /* the key travels in the fixture */
    each_allocation(round_authenticate, &c);
    core_close(&c);
}

struct both {
    struct core *core;
    struct al_coord *coord;
};

static struct al_coordinator_options options(struct both *b, struct al_mem *m)
{
    return (struct al_coordinator_options){.router = &b->core->router,
                                           .system = b->core->system,
                                           .embedder = b->core->embedder,
                                           .coord = b->coord,
                                           .clock = al_clock_system(),
                                           .random = al_random_system(),
                                           .mem = m,
                                           .data_dir = "/",
                                           .server_name = "test",
                                           .version = "0",
                                           .commit = "0",
                                           .role = "standalone"};
}

static enum al_code round_coordinator(void *u, struct al_mem *m, bool *ret_made)
{
    struct al_coordinator_options opt = options(u, m);
    struct al_coordinator *c = NULL;
    enum al_code code = al_coordinator_create(&opt, &c, NULL);
    *ret_made = c != NULL;
    if (c)
        al_coordinator_stop(c);
    al_coordinator_destroy(c);
    return code;
}

/* The first start writes: what is done without memory to say so is unknown, and the next start
 * finds it. And it starts threads, which bear a failure and try again. */
static void start_without_memory(struct both *b)
{
    size_t n = 0;
    size_t failed = 0;
    for (bool more = true; more; n++) {
        struct al_fault_mem m;
        bool made = false;
        al_fault_mem_init(&m, n, false);
        enum al_code code = round_coordinator(b, &m.mem, &made);
        bool expected = code == AL_OK || code == AL_RESOURCE_EXHAUSTED || code == AL_UNKNOWN;
        assert_true(expected && made == (code == AL_OK));
        assert_int_equal(m.live, 0);
        failed += code != AL_OK;
        more = m.fired;
    }
    assert_true(failed > 5 && failed < n);
}

static void test_coordinator(void **state)
{
    (void)state;
    struct core core;
    struct both b = {.core = &core};
    struct al_err err;
    core_open(&core, 2);
    struct al_coord_mem_options o = {.clock = al_clock_system()};
    AL_CHECK_OK(al_coord_mem_open(&o, &b.coord, &err), err);
    start_without_memory(&b);
    start_without_memory(&b); /* what the first one wrote is there now */
    al_coord_close(b.coord);
    core_close(&core);
}

/* ---- documents ---- */

static enum al_code round_prepare(void *u, struct al_mem *m, bool *ret_made)
{
    struct core *c = u;
    struct al_item it = {.id = AL_STR("a.md"),
                         .content =
                             AL_STR("# Pools\n\nA pool has slots.\n\n| a | b |\n| - | - |\n"),
                         .format = AL_FORMAT_MARKDOWN};
    struct al_target to = {
        .space = 5, .visibility = AL_VIS_TEAM, .team = "t", .deployment = "", .source = {"", 0}};
    struct al_arena a;
    struct al_doc d = {.n_chunks = 77};
    uint32_t redactions = 0;
    al_arena_init(&a, m, ARENA_MAX);
    enum al_code code = al_item_prepare(&it, &to, c->embedder, 1000, &a, &d, &redactions, NULL);
    *ret_made = d.n_chunks != 77;
    al_arena_fini(&a);
    return code;
}

static enum al_code round_query(void *u, struct al_mem *m, bool *ret_made)
{
    struct core *c = u;
    static const uint32_t spaces[] = {5};
    struct al_query q = {.text = AL_STR("slots of a pool"),
                         .k = 5,
                         .mode = AL_MODE_HYBRID,
                         .vector_weight = 0.4f,
                         .spaces = spaces,
                         .n_spaces = 1,
                         .explain = true,
                         .deadline_ns = AL_DEADLINE_NONE};
    struct al_query_context ctx = {.router = &c->router, .embedder = c->embedder};
    struct al_arena a;
    struct al_query_result r = {.n_hits = 77};
    al_arena_init(&a, m, ARENA_MAX);
    enum al_code code = al_query_run(&ctx, &q, &a, &r, NULL);
    *ret_made = r.n_hits != 77;
    al_arena_fini(&a);
    return code;
}

static enum al_code take_results(void *u, const struct al_ingest_result *r, size_t n,
                                 const struct al_token *t, struct al_err *err)
{
    (void)u;
    (void)r;
    (void)n;
    (void)t;
    (void)err;
    return AL_OK;
}

static enum al_code round_ingest(void *u, struct al_mem *m, bool *ret_made)
{
    struct core *c = u;
    struct al_ingest_options opt = {.router = &c->router,
                                    .embedder = c->embedder,
                                    .clock = al_clock_system(),
                                    .mem = m,
                                    .target = {.space = 5,
                                               .visibility = AL_VIS_TEAM,
                                               .team = "t",
                                               .deployment = "",
                                               .source = {"", 0}},
                                    .on_results = take_results};
    struct al_ingest *g = NULL;
    enum al_code code = al_ingest_start(&opt, &g, NULL);
    *ret_made = g != NULL;
    al_ingest_destroy(g);
    return code;
}

static void test_documents(void **state)
{
    (void)state;
    struct core c;
    core_open(&c, 2);
    each_allocation(round_prepare, &c);
    core_put(&c, 5, "one", "Pools", "A pool has slots, and tasks wait for them.");
    core_put(&c, 5, "two", "Queues", "A worker takes tasks from its queue.");
    each_allocation(round_query, &c);
    each_allocation(round_ingest, &c);
    core_close(&c);
}

/* ---- the shard below ---- */

/* A port that passes everything on, but for one call of rows, which fails. */
struct failing {
    struct al_shard_port port;
    struct al_shard_port *base;
    size_t fail_at;
    size_t count;
    enum al_code code;
    bool fired;
};

static bool fails(struct failing *f)
{
    bool now = f->count++ == f->fail_at;
    f->fired = f->fired || now;
    return now;
}

// NOLINTNEXTLINE(readability-function-size): the port's
static enum al_code failing_write(struct al_shard_port *p, const struct al_op *ops, size_t n_ops,
                                  const uint8_t write_id[16], uint64_t deadline_ns,
                                  struct al_arena *a, struct al_write_result *ret,
                                  struct al_err *err)
{
    struct failing *f = (struct failing *)(void *)p;
    if (fails(f))
        return AL_FAIL(err, f->code, "injected fault");
    return f->base->ops->write(f->base, ops, n_ops, write_id, deadline_ns, a, ret, err);
}

// NOLINTNEXTLINE(readability-function-size): the port's
static enum al_code failing_get(struct al_shard_port *p, uint8_t table, uint32_t space,
                                struct al_str key, struct al_arena *a, struct al_str *ret,
                                uint64_t *ret_version, struct al_err *err)
{
    struct failing *f = (struct failing *)(void *)p;
    if (fails(f))
        return AL_FAIL(err, f->code, "injected fault");
    return f->base->ops->get_row(f->base, table, space, key, a, ret, ret_version, err);
}

// NOLINTNEXTLINE(readability-function-size): the port's
static enum al_code failing_scan(struct al_shard_port *p, uint8_t table, uint32_t space,
                                 struct al_str prefix, struct al_str after, uint32_t limit,
                                 struct al_arena *a, struct al_row **ret, size_t *ret_n,
                                 struct al_err *err)
{
    struct failing *f = (struct failing *)(void *)p;
    if (fails(f))
        return AL_FAIL(err, f->code, "injected fault");
    return f->base->ops->scan_rows(f->base, table, space, prefix, after, limit, a, ret, ret_n, err);
}

static void test_directory_on_a_failing_shard(void **state)
{
    (void)state;
    static const enum al_code codes[] = {AL_UNAVAILABLE, AL_UNKNOWN, AL_DATA_LOSS,
                                         AL_RESOURCE_EXHAUSTED};
    static const struct al_shard_port_ops ops = {
        .write = failing_write, .get_row = failing_get, .scan_rows = failing_scan};
    struct core c;
    char text[AL_KEY_TEXT_MAX];
    core_open(&c, 1);
    fill(&c, text);
    for (size_t i = 0; i < AL_ARRAY_LEN(codes); i++) {
        for (size_t n = 0;; n++) {
            struct failing f = {.port = {&ops}, .base = c.system, .fail_at = n, .code = codes[i]};
            struct al_directory_options opt = {
                .system = &f.port, .clock = al_clock_system(), .random = &c.random.random};
            struct al_directory *d = NULL;
            enum al_code code = al_directory_open(&opt, &d, NULL);
            assert_int_equal(code, f.fired ? codes[i] : AL_OK);
            assert_true((d != NULL) == (code == AL_OK));
            al_directory_destroy(d);
            if (!f.fired) {
                assert_true(n > 1);
                break;
            }
        }
    }
    core_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_rows),
        cmocka_unit_test(test_deployment_rows),
        cmocka_unit_test(test_findings),
        cmocka_unit_test(test_books),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_page_tokens),
        cmocka_unit_test(test_ratelimit),
        cmocka_unit_test(test_directory),
        cmocka_unit_test(test_coordinator),
        cmocka_unit_test(test_documents),
        cmocka_unit_test(test_directory_on_a_failing_shard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
