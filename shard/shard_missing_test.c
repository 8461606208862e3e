/* A shard whose store is gone: never made anew in silence; a first start that broke off begins
 * again. */
#include <errno.h>

#include "shard_fixture.h"

struct fx {
    char dir[256];
    char store_dir[300];
    struct al_shard_options o;
    struct al_shard *s;
    struct al_arena a;
};

static void prepare(struct fx *f, const struct al_store_factory *store)
{
    memset(f, 0, sizeof(*f));
    al_test_dir(f->dir, sizeof(f->dir));
    snprintf(f->store_dir, sizeof(f->store_dir), "%s/store", f->dir);
    f->o = fx_options(f->dir);
    f->o.store = store;
    al_arena_init(&f->a, NULL, 64u << 20);
}

static void setup(struct fx *f, const struct al_store_factory *store)
{
    prepare(f, store);
    f->s = fx_open(&f->o);
}

static void teardown(struct fx *f)
{
    al_shard_destroy(f->s);
    al_arena_fini(&f->a);
    al_store_mem_forget(f->store_dir);
}

static void remove_store(struct fx *f)
{
    struct al_err err;
    al_shard_destroy(f->s);
    f->s = NULL;
    al_store_mem_forget(f->store_dir);
    AL_CHECK_OK(al_disk_remove_tree(al_disk_system(), f->store_dir, &err), err);
}

static void assert_missing(struct fx *f)
{
    for (int round = 0; round < 2; round++) { /* the refusal itself changes nothing */
        struct al_err err;
        assert_int_equal(al_shard_open(&f->o, &f->s, &err), AL_DATA_LOSS);
        assert_null(f->s);
        assert_string_equal(err.reason, "DATA_CORRUPT");
        assert_non_null(strstr(err.msg, "missing"));
        assert_non_null(strstr(err.msg, "backup"));
    }
}

static void remove_in(struct fx *f, const char *name)
{
    char path[400];
    struct al_err err;
    snprintf(path, sizeof(path), "%s/%s", f->dir, name);
    AL_CHECK_OK(al_disk_system()->ops->remove(al_disk_system(), path, &err), err);
}

static void test_a_store_that_is_gone_is_not_made_anew(void **state)
{
    (void)state;
    const struct al_store_factory *stores[] = {al_store_mem(), al_store_rocksdb()};
    for (size_t i = 0; i < AL_ARRAY_LEN(stores); i++) {
        for (int how = 0; how < 3; how++) {
            struct fx f;
            struct al_err err;
            setup(&f, stores[i]);
            (void)fx_put(f.s, &f.a, "a", 1, 1);
            if (how == 1) /* a folder of before there were marks */
                AL_CHECK_OK(al_shard_compact(f.s, false, NULL, NULL, &err), err);
            remove_store(&f);
            if (how > 0)
                remove_in(&f, "created");
            f.o.must_exist = how == 2;
            assert_missing(&f);
            teardown(&f);
        }
    }
}

static void test_a_store_without_its_list_of_files_is_not_made_anew(void **state)
{
    (void)state;
    struct fx f;
    setup(&f, al_store_rocksdb());
    (void)fx_put(f.s, &f.a, "a", 1, 1);
    al_shard_destroy(f.s);
    f.s = NULL;
    remove_in(&f, "store/CURRENT");
    assert_missing(&f);
    teardown(&f);
}

static void test_a_first_start_that_broke_off_begins_again(void **state)
{
    (void)state;
    struct fx f;
    struct al_err err;
    setup(&f, al_store_rocksdb());
    remove_store(&f);
    remove_in(&f, "created"); /* folders are there, no store yet */
    f.s = fx_open(&f.o);
    (void)fx_put(f.s, &f.a, "a", 1, 1);
    al_shard_destroy(f.s);
    f.s = NULL;
    remove_in(&f, "created"); /* the store is there, no mark yet: it is made up for */
    f.s = fx_open(&f.o);
    assert_true(fx_has(f.s, "a", NULL));
    remove_store(&f);
    assert_missing(&f);
    AL_CHECK_OK(al_disk_remove_tree(al_disk_system(), f.dir, &err), err);
    f.s = fx_open(&f.o); /* nothing at all: a new one */
    assert_false(fx_has(f.s, "a", NULL));
    teardown(&f);
}

static void test_first_open_with_a_failing_disk(void **state)
{
    (void)state;
    static const int errnums[] = {EIO, ENOSPC};
    for (size_t i = 0; i < 2 * AL_ARRAY_LEN(errnums); i++) {
        for (size_t n = 0;; n++) {
            struct fx f;
            struct al_fault_disk d;
            struct al_err err = {0};
            prepare(&f, al_store_mem());
            al_fault_disk_init(&d, NULL, n, i % 2, errnums[i / 2]);
            f.o.disk = &d.disk;
            enum al_code code = al_shard_open(&f.o, &f.s, &err);
            bool fired = d.fired;
            assert_true((code == AL_OK) == (f.s != NULL));
            assert_true(fired || code == AL_OK);
            assert_int_not_equal(code, AL_DATA_LOSS);
            d.fail_at = SIZE_MAX;
            d.persistent = false;
            if (!f.s)
                f.s = fx_open(&f.o);
            (void)fx_put(f.s, &f.a, "a", 1, 1);
            fx_verify(f.s);
            remove_store(&f); /* whatever failed: written to, so it is missed */
            assert_missing(&f);
            teardown(&f);
            if (!fired)
                break;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_store_that_is_gone_is_not_made_anew),
        cmocka_unit_test(test_a_store_without_its_list_of_files_is_not_made_anew),
        cmocka_unit_test(test_a_first_start_that_broke_off_begins_again),
        cmocka_unit_test(test_first_open_with_a_failing_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
