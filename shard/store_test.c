/* One conformance suite for the back ends of the store port; then what each has of its own. */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "airlore/testing.h"
#include "store.h"

struct fx {
    const struct al_store_factory *factory;
    char dir[300];
    struct al_store *s;
};

static void open_store(struct fx *f)
{
    struct al_store_options opt = {.dir = f->dir};
    struct al_err err;
    AL_CHECK_OK(f->factory->open(&opt, &f->s, &err), err);
}

static void setup(struct fx *f, const struct al_store_factory *factory)
{
    char base[256];
    al_test_dir(base, sizeof(base));
    snprintf(f->dir, sizeof(f->dir), "%s/store", base);
    f->factory = factory;
    open_store(f);
}

static void close_store(struct fx *f)
{
    f->s->ops->destroy(f->s);
    f->s = NULL;
}

static void put(struct fx *f, enum al_family family, const char *key, const char *value, bool sync)
{
    struct al_store_batch *b = NULL;
    struct al_err err;
    AL_CHECK_OK(f->s->ops->batch_create(f->s, &b, &err), err);
    f->s->ops->batch_put(b, family, al_str_c(key), al_str_c(value));
    AL_CHECK_OK(f->s->ops->write(f->s, b, sync, &err), err);
    f->s->ops->batch_destroy(b);
}

/* The value, "-" if there is none; valid until the next call. */
static const char *get(struct fx *f, enum al_family family, const char *key)
{
    static char text[200];
    struct al_buf b;
    al_buf_init(&b, NULL, 0);
    struct al_err err;
    enum al_code code = f->s->ops->get(f->s, family, al_str_c(key), &b, &err);
    if (code != AL_NOT_FOUND)
        AL_CHECK_OK(code, err);
    snprintf(text, sizeof(text), AL_STR_FMT, AL_STR_ARG(al_buf_view(&b)));
    al_buf_fini(&b);
    return code == AL_NOT_FOUND ? "-" : text;
}

static void assert_scan(struct fx *f, struct al_store_iter *it, const char *from, const char *want)
{
    char got[400] = "";
    const struct al_store_ops *ops = f->s->ops;
    for (ops->iter_seek(it, al_str_c(from)); ops->iter_valid(it); ops->iter_next(it)) {
        size_t n = strlen(got);
        snprintf(got + n, sizeof(got) - n, AL_STR_FMT "=" AL_STR_FMT " ",
                 AL_STR_ARG(ops->iter_key(it)), AL_STR_ARG(ops->iter_value(it)));
    }
    struct al_err err;
    AL_CHECK_OK(ops->iter_status(it, &err), err);
    assert_string_equal(got, want);
}

/* ---- the suite ---- */

static void suite_get_put_delete(struct fx *f)
{
    assert_string_equal(get(f, AL_FAMILY_DOC, "a"), "-");
    put(f, AL_FAMILY_DOC, "a", "1", true);
    put(f, AL_FAMILY_ROW, "a", "row", false);
    assert_string_equal(get(f, AL_FAMILY_DOC, "a"), "1");
    assert_string_equal(get(f, AL_FAMILY_ROW, "a"), "row"); /* families are apart */
    assert_string_equal(get(f, AL_FAMILY_LOG, "a"), "-");
    put(f, AL_FAMILY_DOC, "a", "", true);
    assert_string_equal(get(f, AL_FAMILY_DOC, "a"), ""); /* empty is not absent */
    for (int i = 0; i < AL_FAMILY_COUNT; i++) {
        put(f, (enum al_family)i, "every", al_family_names[i], false);
        assert_string_equal(get(f, (enum al_family)i, "every"), al_family_names[i]);
    }
}

static void suite_get_appends(struct fx *f)
{
    put(f, AL_FAMILY_DOC, "k", "value", true);
    struct al_buf b;
    struct al_err err;
    al_buf_init(&b, NULL, 0);
    al_buf_cstr(&b, "before ");
    AL_CHECK_OK(f->s->ops->get(f->s, AL_FAMILY_DOC, AL_STR("k"), &b, &err), err);
    assert_true(al_str_is(al_buf_view(&b), "before value"));
    al_buf_fini(&b);
    al_buf_init(&b, NULL, 3); /* the buffer's limit bounds what is read */
    assert_int_equal(f->s->ops->get(f->s, AL_FAMILY_DOC, AL_STR("k"), &b, &err),
                     AL_RESOURCE_EXHAUSTED);
    al_buf_fini(&b);
}

static void suite_any_bytes(struct fx *f)
{
    const char raw[] = {0, (char)0xFF, 'x', 0};
    struct al_str key = {raw, 4};
    struct al_store_batch *b = NULL;
    struct al_err err;
    AL_CHECK_OK(f->s->ops->batch_create(f->s, &b, &err), err);
    f->s->ops->batch_put(b, AL_FAMILY_CHUNK, key, key);
    AL_CHECK_OK(f->s->ops->write(f->s, b, true, &err), err);
    f->s->ops->batch_destroy(b);
    struct al_buf v;
    al_buf_init(&v, NULL, 0);
    AL_CHECK_OK(f->s->ops->get(f->s, AL_FAMILY_CHUNK, key, &v, &err), err);
    assert_true(al_str_eq(al_buf_view(&v), key));
    al_buf_fini(&v);
}

static void suite_batches(struct fx *f)
{
    put(f, AL_FAMILY_DOC, "a", "1", true);
    put(f, AL_FAMILY_DOC, "b", "1", true);
    struct al_store_batch *b = NULL;
    struct al_err err;
    AL_CHECK_OK(f->s->ops->batch_create(f->s, &b, &err), err);
    f->s->ops->batch_put(b, AL_FAMILY_DOC, AL_STR("c"), AL_STR("1"));
    f->s->ops->batch_delete(b, AL_FAMILY_DOC, AL_STR("a"));
    f->s->ops->batch_delete(b, AL_FAMILY_DOC, AL_STR("never there"));
    f->s->ops->batch_put(b, AL_FAMILY_LOG, AL_STR("l"), AL_STR("1"));
    f->s->ops->batch_put(b, AL_FAMILY_DOC, AL_STR("d"), AL_STR("1"));
    f->s->ops->batch_put(b, AL_FAMILY_DOC, AL_STR("d"), AL_STR("2")); /* the last one wins */
    f->s->ops->batch_put(b, AL_FAMILY_DOC, AL_STR("e"), AL_STR("1"));
    f->s->ops->batch_delete(b, AL_FAMILY_DOC, AL_STR("e"));
    assert_string_equal(get(f, AL_FAMILY_DOC, "c"), "-"); /* not before the write */
    AL_CHECK_OK(f->s->ops->write(f->s, b, true, &err), err);
    AL_CHECK_OK(f->s->ops->write(f->s, b, true, &err), err); /* it is empty now: nothing */
    f->s->ops->batch_put(b, AL_FAMILY_DOC, AL_STR("b"), AL_STR("2"));
    AL_CHECK_OK(f->s->ops->write(f->s, b, false, &err), err); /* and can be used again */
    f->s->ops->batch_destroy(b);
    f->s->ops->batch_destroy(NULL);
    assert_string_equal(get(f, AL_FAMILY_DOC, "a"), "-");
    assert_string_equal(get(f, AL_FAMILY_DOC, "b"), "2");
    assert_string_equal(get(f, AL_FAMILY_DOC, "c"), "1");
    assert_string_equal(get(f, AL_FAMILY_DOC, "d"), "2");
    assert_string_equal(get(f, AL_FAMILY_DOC, "e"), "-");
    assert_string_equal(get(f, AL_FAMILY_LOG, "l"), "1");
}

static void suite_delete_range(struct fx *f)
{
    const char *keys[] = {"a", "b", "bb", "c", "d"};
    for (size_t i = 0; i < AL_ARRAY_LEN(keys); i++)
        put(f, AL_FAMILY_LOG, keys[i], "1", true);
    struct al_store_batch *b = NULL;
    struct al_err err;
    AL_CHECK_OK(f->s->ops->batch_create(f->s, &b, &err), err);
    f->s->ops->batch_delete_range(b, AL_FAMILY_LOG, AL_STR("b"), AL_STR("d"));
    f->s->ops->batch_put(b, AL_FAMILY_LOG, AL_STR("c"), AL_STR("again"));
    AL_CHECK_OK(f->s->ops->write(f->s, b, true, &err), err);
    f->s->ops->batch_destroy(b);
    struct al_store_iter *it = NULL;
    AL_CHECK_OK(f->s->ops->iter_create(f->s, AL_FAMILY_LOG, &it, &err), err);
    assert_scan(f, it, "", "a=1 c=again d=1 ");
    f->s->ops->iter_destroy(it);
}

static void suite_iterators(struct fx *f)
{
    struct al_store_iter *it = NULL;
    struct al_err err;
    AL_CHECK_OK(f->s->ops->iter_create(f->s, AL_FAMILY_DOC, &it, &err), err);
    f->s->ops->iter_seek_last(it);
    assert_false(f->s->ops->iter_valid(it));
    f->s->ops->iter_destroy(it);
    f->s->ops->iter_destroy(NULL);
    put(f, AL_FAMILY_DOC, "b", "2", true);
    put(f, AL_FAMILY_DOC, "a", "1", true);
    put(f, AL_FAMILY_DOC, "ab", "3", true);
    put(f, AL_FAMILY_ROW, "zz", "other", true);
    AL_CHECK_OK(f->s->ops->iter_create(f->s, AL_FAMILY_DOC, &it, &err), err);
    put(f, AL_FAMILY_DOC, "aa", "later", true); /* not seen: the view is of its creation */
    put(f, AL_FAMILY_DOC, "b", "changed", true);
    assert_scan(f, it, "", "a=1 ab=3 b=2 ");
    assert_scan(f, it, "aa", "ab=3 b=2 ");
    assert_scan(f, it, "c", "");
    f->s->ops->iter_seek_last(it);
    assert_true(f->s->ops->iter_valid(it));
    assert_true(al_str_is(f->s->ops->iter_key(it), "b"));
    f->s->ops->iter_next(it);
    assert_false(f->s->ops->iter_valid(it));
    f->s->ops->iter_destroy(it);
}

static void suite_reopen(struct fx *f)
{
    put(f, AL_FAMILY_DOC, "synced", "1", true);
    put(f, AL_FAMILY_META, "m", "1", true);
    put(f, AL_FAMILY_DOC, "lazy", "1", false);
    struct al_err err;
    AL_CHECK_OK(f->s->ops->flush(f->s, &err), err);
    assert_true(f->s->ops->size_bytes(f->s) > 0);
    close_store(f);
    open_store(f);
    assert_string_equal(get(f, AL_FAMILY_DOC, "synced"), "1");
    assert_string_equal(get(f, AL_FAMILY_DOC, "lazy"), "1");
    assert_string_equal(get(f, AL_FAMILY_META, "m"), "1");
}

static void suite_is_locked(struct fx *f)
{
    struct al_store *other = NULL;
    struct al_store_options opt = {.dir = f->dir};
    struct al_err err;
    assert_int_equal(f->factory->open(&opt, &other, &err), AL_FAILED_PRECONDITION);
    assert_string_equal(err.reason, "IN_USE");
    assert_null(other);
    f->s->ops->destroy(NULL);
}

static void suite_salvage_only_reads(struct fx *f)
{
    put(f, AL_FAMILY_DOC, "a", "1", true);
    close_store(f);
    struct al_store_options opt = {.dir = f->dir, .salvage = true};
    struct al_err err;
    AL_CHECK_OK(f->factory->open(&opt, &f->s, &err), err);
    assert_string_equal(get(f, AL_FAMILY_DOC, "a"), "1");
    struct al_store_batch *b = NULL;
    AL_CHECK_OK(f->s->ops->batch_create(f->s, &b, &err), err);
    f->s->ops->batch_put(b, AL_FAMILY_DOC, AL_STR("a"), AL_STR("2"));
    assert_int_equal(f->s->ops->write(f->s, b, true, &err), AL_DATA_LOSS);
    assert_string_equal(err.reason, "STORE_READ_ONLY");
    f->s->ops->batch_destroy(b);
    assert_string_equal(get(f, AL_FAMILY_DOC, "a"), "1");
}

static void suite_memory(struct fx *f)
{
    close_store(f);
    for (size_t n = 0;; n++) {
        struct al_fault_mem m;
        al_fault_mem_init(&m, n, false);
        struct al_store_options opt = {.dir = f->dir, .mem = &m.mem};
        struct al_store *s = NULL;
        struct al_store_batch *b = NULL;
        struct al_store_iter *it = NULL;
        enum al_code code = f->factory->open(&opt, &s, NULL);
        if (code == AL_OK)
            code = s->ops->batch_create(s, &b, NULL);
        if (code == AL_OK)
            code = s->ops->iter_create(s, AL_FAMILY_DOC, &it, NULL);
        assert_int_equal(code, m.fired ? AL_RESOURCE_EXHAUSTED : AL_OK);
        if (s) {
            s->ops->iter_destroy(it);
            s->ops->batch_destroy(b);
            s->ops->destroy(s);
        }
        assert_int_equal(m.live, 0);
        if (!m.fired)
            break;
    }
    open_store(f);
}

static void run_suite(const struct al_store_factory *factory)
{
    static const struct {
        const char *name;
        void (*run)(struct fx *f);
    } cases[] = {
        {"get, put, delete", suite_get_put_delete},
        {"get appends", suite_get_appends},
        {"any bytes", suite_any_bytes},
        {"batches", suite_batches},
        {"delete range", suite_delete_range},
        {"iterators", suite_iterators},
        {"reopen", suite_reopen},
        {"lock", suite_is_locked},
        {"salvage", suite_salvage_only_reads},
        {"memory", suite_memory},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct fx f;
        setup(&f, factory);
        print_message("  %s: %s\n", factory->name, cases[i].name);
        cases[i].run(&f);
        close_store(&f);
    }
}

static void test_mem_conforms(void **state)
{
    (void)state;
    run_suite(al_store_mem());
}

/* ---- the one in memory ---- */

static void test_mem_crash_loses_what_was_not_synced(void **state)
{
    (void)state;
    struct fx f;
    setup(&f, al_store_mem());
    put(&f, AL_FAMILY_DOC, "a", "1", true);
    put(&f, AL_FAMILY_DOC, "a", "2", false);
    put(&f, AL_FAMILY_DOC, "b", "1", false);
    al_store_mem_crash(f.dir, true);
    struct al_buf b;
    al_buf_init(&b, NULL, 0);
    assert_int_equal(f.s->ops->get(f.s, AL_FAMILY_DOC, AL_STR("a"), &b, NULL), AL_UNAVAILABLE);
    close_store(&f);
    open_store(&f);
    assert_string_equal(get(&f, AL_FAMILY_DOC, "a"), "1");
    assert_string_equal(get(&f, AL_FAMILY_DOC, "b"), "-");
    put(&f, AL_FAMILY_DOC, "b", "2", false);
    put(&f, AL_FAMILY_DOC, "c", "1", true); /* a sync takes along what came before */
    al_store_mem_crash(f.dir, true);
    close_store(&f);
    open_store(&f);
    assert_string_equal(get(&f, AL_FAMILY_DOC, "b"), "2");
    assert_string_equal(get(&f, AL_FAMILY_DOC, "c"), "1");
    put(&f, AL_FAMILY_DOC, "d", "1", false);
    al_store_mem_crash(f.dir, false); /* lucky */
    close_store(&f);
    open_store(&f);
    assert_string_equal(get(&f, AL_FAMILY_DOC, "d"), "1");
    close_store(&f);
    al_store_mem_forget(f.dir);
    open_store(&f);
    assert_string_equal(get(&f, AL_FAMILY_DOC, "a"), "-");
    close_store(&f);
    al_buf_fini(&b);
}

static void test_mem_failing_writes(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum al_store_mem_fault fault;
        enum al_code code;
        const char *after;
    } cases[] = {
        {"lost", AL_STORE_MEM_LOST, AL_UNKNOWN, "-"},
        {"durable", AL_STORE_MEM_DURABLE, AL_UNKNOWN, "1"},
        {"full", AL_STORE_MEM_FULL, AL_RESOURCE_EXHAUSTED, "-"},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct fx f;
        setup(&f, al_store_mem());
        al_store_mem_fail_write(f.dir, 1, cases[i].fault);
        put(&f, AL_FAMILY_DOC, "first", "1", true);
        struct al_store_batch *b = NULL;
        struct al_err err;
        AL_CHECK_OK(f.s->ops->batch_create(f.s, &b, &err), err);
        f.s->ops->batch_put(b, AL_FAMILY_DOC, AL_STR("second"), AL_STR("1"));
        AL_CHECK(cases[i].name, f.s->ops->write(f.s, b, true, &err) == cases[i].code);
        f.s->ops->batch_destroy(b);
        close_store(&f);
        open_store(&f);
        AL_CHECK(cases[i].name, strcmp(get(&f, AL_FAMILY_DOC, "first"), "1") == 0);
        AL_CHECK(cases[i].name, strcmp(get(&f, AL_FAMILY_DOC, "second"), cases[i].after) == 0);
        close_store(&f);
    }
}

/* ---- RocksDB ---- */
#ifndef AL_SHARD_NO_ROCKSDB

static void test_rocksdb_conforms(void **state)
{
    (void)state;
    run_suite(al_store_rocksdb());
}

/* Kill a process that has synced some writes: they are there. */
static void test_rocksdb_survives_a_kill(void **state)
{
    (void)state;
    struct fx f;
    setup(&f, al_store_rocksdb());
    close_store(&f);
    pid_t child = fork();
    if (child == 0) {
        open_store(&f);
        put(&f, AL_FAMILY_DOC, "a", "1", true);
        _exit(0); /* nothing is closed, nothing flushed */
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    open_store(&f);
    assert_string_equal(get(&f, AL_FAMILY_DOC, "a"), "1");
    close_store(&f);
}

/* Change a byte in the middle of each file with this ending; how many there were. */
static unsigned damage_files(const char *dir, const char *ending)
{
    unsigned n = 0;
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        if (!al_str_ends(al_str_c(e->d_name), al_str_c(ending)))
            continue;
        char path[700];
        snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
        int fd = open(path, O_RDWR);
        assert_true(fd >= 0);
        char byte = 0;
        bool is_long = pread(fd, &byte, 1, 40) == 1;
        byte = (char)~byte;
        assert_true(!is_long || pwrite(fd, &byte, 1, 40) == 1);
        close(fd);
        n += is_long;
    }
    closedir(d);
    return n;
}

static void fill(struct fx *f)
{
    char value[1000];
    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = 0;
    for (int i = 0; i < 20; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%02d", i);
        put(f, AL_FAMILY_DOC, key, value, false);
    }
}

static void test_rocksdb_tells_a_damaged_file(void **state)
{
    (void)state;
    struct fx f;
    setup(&f, al_store_rocksdb());
    fill(&f);
    struct al_err err;
    AL_CHECK_OK(f.s->ops->flush(f.s, &err), err);
    close_store(&f);
    assert_true(damage_files(f.dir, ".sst") > 0);
    struct al_store_options opt = {.dir = f.dir};
    enum al_code code = f.factory->open(&opt, &f.s, &err);
    if (code != AL_OK) { /* found at once */
        assert_int_equal(code, AL_DATA_LOSS);
        opt.salvage = true;
        AL_CHECK_OK(f.factory->open(&opt, &f.s, &err), err);
    }
    struct al_buf b;
    al_buf_init(&b, NULL, 0);
    assert_int_equal(f.s->ops->get(f.s, AL_FAMILY_DOC, AL_STR("k00"), &b, &err), AL_DATA_LOSS);
    assert_string_equal(err.reason, "DATA_CORRUPT");
    al_buf_fini(&b);
    struct al_store_iter *it = NULL;
    AL_CHECK_OK(f.s->ops->iter_create(f.s, AL_FAMILY_DOC, &it, &err), err);
    f.s->ops->iter_seek(it, AL_STR(""));
    assert_false(f.s->ops->iter_valid(it));
    assert_int_equal(f.s->ops->iter_status(it, &err), AL_DATA_LOSS);
    f.s->ops->iter_destroy(it);
    close_store(&f);
}

/* A log of writes that is damaged before its end has lost acknowledged writes: refused, not cut
 * silently. */
static void test_rocksdb_refuses_a_damaged_write_log(void **state)
{
    (void)state;
    struct fx f;
    setup(&f, al_store_rocksdb());
    close_store(&f);
    pid_t child = fork();
    if (child == 0) { /* a process that is killed leaves its log */
        open_store(&f);
        fill(&f);
        put(&f, AL_FAMILY_DOC, "last", "1", true);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(damage_files(f.dir, ".log") > 0);
    struct al_store_options opt = {.dir = f.dir};
    struct al_err err;
    assert_int_equal(f.factory->open(&opt, &f.s, &err), AL_DATA_LOSS);
    assert_string_equal(err.reason, "DATA_CORRUPT");
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mem_conforms),
        cmocka_unit_test(test_mem_crash_loses_what_was_not_synced),
        cmocka_unit_test(test_mem_failing_writes),
#ifndef AL_SHARD_NO_ROCKSDB
        cmocka_unit_test(test_rocksdb_conforms),
        cmocka_unit_test(test_rocksdb_survives_a_kill),
        cmocka_unit_test(test_rocksdb_tells_a_damaged_file),
        cmocka_unit_test(test_rocksdb_refuses_a_damaged_write_log),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
