/* Damage planted on the disk is found by reading every byte, and segments are built anew while the
 * shard serves. */
#include <fcntl.h>
#include <unistd.h>

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
    struct al_err err;
    for (unsigned part = 0; part < 2; part++) { /* two sealed segments and a growing one */
        for (unsigned i = 0; i < 20; i++)
            (void)fx_put(f->s, &f->a, al_arena_printf(&f->a, "d%u", 20 * part + i), 100 * part + i,
                         2);
        AL_CHECK_OK(al_shard_compact(f->s, false, NULL, NULL, &err), err);
    }
    (void)fx_put(f->s, &f->a, "late", 999, 1);
}

static void teardown(struct fx *f)
{
    al_shard_destroy(f->s);
    al_arena_fini(&f->a);
    al_store_mem_forget(f->store_dir);
}

static size_t scrub(struct fx *f, struct al_verify_report *ret)
{
    struct al_err err;
    AL_CHECK_OK(al_shard_scrub(f->s, &f->a, NULL, NULL, ret, &err), err);
    return ret->n_problems;
}

struct find {
    const char *dir;
    char path[600];
    size_t skip;
};

static enum al_code take_file(void *u, const struct al_disk_entry *e, struct al_err *err)
{
    (void)err;
    struct find *x = u;
    if (e->is_file && x->path[0] == '\0' && x->skip-- == 0)
        snprintf(x->path, sizeof x->path, "%s/%s", x->dir, e->name);
    return AL_OK;
}

/* Flip a byte of the nth segment file. */
static void damage_file(struct fx *f, size_t nth, long at)
{
    char dir[300];
    struct al_err err;
    snprintf(dir, sizeof dir, "%s/segments", f->dir);
    struct find x = {.dir = dir, .skip = nth};
    struct al_disk *d = al_disk_system();
    AL_CHECK_OK(d->ops->list(d, dir, take_file, &x, &err), err);
    assert_true(x.path[0] != '\0');
    int fd = open(x.path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    unsigned char byte = 0;
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 0x40;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    assert_int_equal(close(fd), 0);
}

static void test_damaged_segments_are_found_and_built_anew(void **state)
{
    (void)state;
    static const long places[] = {0, 500, 1800};
    for (size_t i = 0; i < AL_ARRAY_LEN(places); i++) {
        struct fx f;
        struct al_err err;
        struct al_verify_report r;
        uint64_t rebuilt = 0;
        setup(&f, al_store_rocksdb());
        assert_int_equal(scrub(&f, &r), 0);
        assert_int_equal(r.segments_checked, 2);
        AL_CHECK_OK(al_shard_rebuild(f.s, false, NULL, NULL, &rebuilt, &err), err);
        assert_int_equal(rebuilt, 0); /* nothing is damaged: nothing is done */
        damage_file(&f, i % 2, places[i]);
        assert_int_equal(scrub(&f, &r), 1);
        assert_non_null(strstr(r.problems[0].p, "on disk"));
        AL_CHECK_OK(al_shard_rebuild(f.s, false, NULL, NULL, &rebuilt, &err), err);
        assert_int_equal(rebuilt, 1); /* that one only */
        assert_int_equal(scrub(&f, &r), 0);
        fx_verify(f.s);
        for (unsigned k = 0; k < 40; k++)
            assert_true(fx_has(f.s, al_arena_printf(&f.a, "d%u", k), NULL));
        al_shard_destroy(f.s);
        f.s = fx_open(&f.o);
        fx_verify(f.s);
        assert_true(fx_has(f.s, "late", NULL));
        teardown(&f);
    }
}

static void test_all_can_be_built_anew(void **state)
{
    (void)state;
    struct fx f;
    struct al_err err;
    uint64_t rebuilt = 0;
    struct al_shard_status st;
    setup(&f, al_store_mem());
    (void)fx_delete(f.s, &f.a, "d3");
    AL_CHECK_OK(al_shard_rebuild(f.s, true, NULL, NULL, &rebuilt, &err), err);
    assert_int_equal(rebuilt, 3); /* the growing one was sealed */
    al_shard_get_status(f.s, &st);
    assert_int_equal(st.growing_rows, 0);
    assert_int_equal(st.n_segments, 3);
    fx_verify(f.s);
    struct al_segment_status *list = NULL;
    size_t n = 0;
    AL_CHECK_OK(al_shard_list_segments(f.s, &f.a, &list, &n, &err), err);
    assert_int_equal(n, 4);
    uint64_t rows = 0;
    for (size_t i = 0; i < n; i++) {
        rows += list[i].rows - list[i].dead_rows;
        assert_int_equal(list[i].is_sealed, i + 1 < n);
        assert_true(!list[i].is_sealed || (list[i].disk_bytes > 0 && list[i].id > list[i].first));
    }
    assert_int_equal(rows, st.n_chunks);
    teardown(&f);
}

static void test_a_damaged_store_is_named_and_not_repaired(void **state)
{
    (void)state;
    for (int family = 0; family < AL_FAMILY_COUNT; family++) {
        if (family == AL_FAMILY_META || family == AL_FAMILY_DEAD || family == AL_FAMILY_WRITE_ID)
            continue; /* nothing of this test lies there to be damaged */
        struct fx f;
        struct al_err err;
        struct al_verify_report r;
        uint64_t rebuilt = 0;
        setup(&f, al_store_mem());
        (void)fx_put_row(f.s, &f.a, "row", "value");
        struct al_doc d;
        AL_CHECK_OK(al_shard_get_doc(f.s, FX_SPACE, AL_STR("d5"), false, &f.a, &d, &err), err);
        struct al_key k = family == AL_FAMILY_DOC     ? al_key_doc(FX_SPACE, AL_STR("d5"))
                          : family == AL_FAMILY_CHUNK ? al_key_u64(d.docno)
                          : family == AL_FAMILY_LOG   ? al_key_u64(d.docno >> 20)
                                                      : al_key_row(2, FX_SPACE, AL_STR("row"));
        al_store_mem_damage(f.store_dir, (enum al_family)family, al_key_view(&k));
        if (scrub(&f, &r) != 1 || !strstr(r.problems[0].p, al_family_names[family]))
            fail_msg("family %s: %zu problems", al_family_names[family], r.n_problems);
        if (family == AL_FAMILY_DOC || family == AL_FAMILY_CHUNK) {
            enum al_code c = al_shard_rebuild(f.s, true, NULL, NULL, &rebuilt, &err);
            assert_int_equal(c, AL_DATA_LOSS); /* and the old segments still serve */
            assert_true(fx_has(f.s, "d25", NULL));
        }
        teardown(&f);
    }
}

static bool stop(void *u, double done)
{
    (void)done;
    ++*(int *)u;
    return false;
}

static void test_it_can_be_cancelled(void **state)
{
    (void)state;
    struct fx f;
    struct al_err err;
    struct al_verify_report r;
    uint64_t rebuilt = 0;
    int asked = 0;
    setup(&f, al_store_mem());
    assert_int_equal(al_shard_scrub(f.s, &f.a, stop, &asked, &r, &err), AL_CANCELLED);
    assert_int_equal(al_shard_rebuild(f.s, true, stop, &asked, &rebuilt, &err), AL_CANCELLED);
    assert_true(asked >= 2);
    fx_verify(f.s);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_damaged_segments_are_found_and_built_anew),
        cmocka_unit_test(test_all_can_be_built_anew),
        cmocka_unit_test(test_a_damaged_store_is_named_and_not_repaired),
        cmocka_unit_test(test_it_can_be_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
