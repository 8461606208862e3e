/* What spaces hold: counted with what is counted, exact after every write and restart, and counted
 * anew once for a store from before bytes were. */
#include "keys.h"
#include "shard_fixture.h"

struct fx {
    char dir[256];
    char store_dir[300];
    struct al_shard_options o;
    struct al_shard *s;
    struct al_arena a;
};

static void setup(struct fx *f, const struct al_store_factory *store)
{
    memset(f, 0, sizeof(*f));
    al_test_dir(f->dir, sizeof(f->dir));
    snprintf(f->store_dir, sizeof(f->store_dir), "%s/store", f->dir);
    f->o = fx_options(f->dir);
    f->o.store = store;
    al_arena_init(&f->a, NULL, 64u << 20);
    f->s = fx_open(&f->o);
}

static void reopen(struct fx *f)
{
    al_shard_destroy(f->s);
    f->s = fx_open(&f->o);
}

static void teardown(struct fx *f)
{
    al_shard_destroy(f->s);
    al_arena_fini(&f->a);
    al_store_mem_forget(f->store_dir);
}

static struct al_space_use use_of(struct fx *f, const uint32_t *spaces, size_t n)
{
    struct al_err err;
    struct al_space_use u = {0};
    AL_CHECK_OK(al_shard_get_use(f->s, spaces, n, &u, &err), err);
    return u;
}

static uint64_t bytes_of(struct fx *f, const char *id)
{
    struct al_err err;
    uint64_t n = 0;
    AL_CHECK_OK(al_shard_get_bytes(f->s, FX_SPACE, al_str_c(id), &n, &err), err);
    return n;
}

static void expect(struct fx *f, uint64_t docs, uint64_t chunks, uint64_t bytes)
{
    const uint32_t space = FX_SPACE;
    struct al_space_use u = use_of(f, &space, 1);
    assert_int_equal(u.docs, docs);
    assert_int_equal(u.chunks, chunks);
    assert_int_equal(u.bytes, bytes);
}

static void test_every_change_is_counted(void **state)
{
    (void)state;
    const struct al_store_factory *const stores[] = {al_store_mem(), al_store_rocksdb()};
    for (size_t i = 0; i < AL_ARRAY_LEN(stores); i++) {
        struct fx f;
        setup(&f, stores[i]);
        struct al_err err;
        uint64_t none = 0;
        assert_int_equal(al_shard_get_bytes(f.s, FX_SPACE, AL_STR("a"), &none, &err), AL_NOT_FOUND);
        expect(&f, 0, 0, 0);
        (void)fx_put(f.s, &f.a, "a", 1, 2);
        (void)fx_put(f.s, &f.a, "b", 2, 1);
        uint64_t a = bytes_of(&f, "a");
        uint64_t b = bytes_of(&f, "b");
        assert_true(a > 0 && b > 0);
        expect(&f, 2, 3, a + b);
        (void)fx_put(f.s, &f.a, "a", 3, 5); /* replaced by a larger one */
        assert_true(bytes_of(&f, "a") > a);
        a = bytes_of(&f, "a");
        expect(&f, 2, 6, a + b);
        (void)fx_put(f.s, &f.a, "a", 3, 5); /* the same: skipped */
        expect(&f, 2, 6, a + b);
        reopen(&f);
        expect(&f, 2, 6, a + b);
        fx_verify(f.s);
        (void)fx_delete(f.s, &f.a, "a");
        (void)fx_delete(f.s, &f.a, "nothing");
        expect(&f, 1, 1, b);
        const uint32_t several[] = {1, FX_SPACE, FX_SPACE + 1};
        assert_int_equal(use_of(&f, several, 3).docs, 1);
        assert_int_equal(use_of(&f, several, 1).docs, 0);
        (void)fx_delete(f.s, &f.a, "b");
        expect(&f, 0, 0, 0);
        reopen(&f);
        expect(&f, 0, 0, 0);
        teardown(&f);
    }
}

static void test_a_store_without_bytes_is_counted_once(void **state)
{
    (void)state;
    struct fx f;
    setup(&f, al_store_rocksdb());
    struct al_err err;
    (void)fx_put(f.s, &f.a, "a", 1, 2);
    (void)fx_put(f.s, &f.a, "b", 2, 1);
    uint64_t want = bytes_of(&f, "a") + bytes_of(&f, "b");
    al_shard_destroy(f.s);
    struct al_store *st = NULL;
    struct al_store_options so = {.dir = f.store_dir};
    AL_CHECK_OK(al_store_rocksdb()->open(&so, &st, &err), err);
    struct al_store_batch *batch = NULL;
    AL_CHECK_OK(st->ops->batch_create(st, &batch, &err), err);
    struct al_key k = al_key_meta_u64("count/", FX_SPACE);
    static const char old[16] = {0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3};
    st->ops->batch_put(batch, AL_FAMILY_META, al_key_view(&k), (struct al_str){old, sizeof old});
    AL_CHECK_OK(st->ops->write(st, batch, true, &err), err);
    st->ops->batch_destroy(batch);
    st->ops->destroy(st);
    f.s = fx_open(&f.o);
    for (int round = 0; round < 2; round++) {
        expect(&f, 2, 3, want);
        fx_verify(f.s);
        reopen(&f);
    }
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_change_is_counted),
        cmocka_unit_test(test_a_store_without_bytes_is_counted_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
