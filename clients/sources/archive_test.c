#include "airlore/source_archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <unistd.h>

#include "airlore/testing.h"

static char dir[300];

static int make_dir(void **state)
{
    (void)state;
    al_test_dir(dir, sizeof dir);
    return 0;
}

struct member {
    const char *name;
    const char *text;
    size_t n; /* 0: of the text; else this many bytes of 'x' */
};

/* An archive with these members. */
static void make(char *path, size_t path_n, const char *name, const struct member *m, size_t n)
{
    snprintf(path, path_n, "%s/%s", dir, name);
    struct archive *a = archive_write_new();
    assert_int_equal(archive_write_set_format_filter_by_ext(a, path), ARCHIVE_OK);
    assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
    for (size_t i = 0; i < n; i++) {
        struct archive_entry *e = archive_entry_new();
        size_t size = m[i].n ? m[i].n : strlen(m[i].text);
        archive_entry_set_pathname(e, m[i].name);
        archive_entry_set_size(e, (la_int64_t)size);
        archive_entry_set_filetype(e, AE_IFREG);
        archive_entry_set_perm(e, 0644);
        archive_entry_set_mtime(e, 1700000000, 0);
        assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
        char block[4096];
        memset(block, 'x', sizeof block);
        for (size_t at = 0; at < size;) {
            size_t k = size - at < sizeof block ? size - at : sizeof block;
            assert_true(archive_write_data(a, m[i].n ? block : m[i].text + at, k) == (la_ssize_t)k);
            at += k;
        }
        archive_entry_free(e);
    }
    assert_int_equal(archive_write_close(a), ARCHIVE_OK);
    archive_write_free(a);
}

static const struct member few[] = {
    {"a.md", "# A\n", 0}, {"b/c.txt", "text", 0}, {"d.bin", "no", 0}};

/* All entries: how many are good, how many bad; gives the code that ended it. */
static enum al_code drain(struct al_source *s, size_t *good, size_t *bad, struct al_err *err)
{
    struct al_arena a;
    al_arena_init(&a, NULL, (size_t)64 << 20);
    *good = *bad = 0;
    enum al_code code;
    for (;;) {
        struct al_source_entry e;
        bool end = false;
        code = al_source_next(s, &a, &e, &end, err);
        if (code != AL_OK || end)
            break;
        *good += e.why.code == AL_OK;
        *bad += e.why.code != AL_OK;
        al_arena_reset(&a);
    }
    al_arena_fini(&a);
    return code;
}

static void test_members_are_entries(void **state)
{
    (void)state;
    static const char *const names[] = {"a.tar",     "a.tar.gz", "a.tar.xz",
                                        "a.tar.bz2", "a.zip",    "a.7z"};
    for (size_t i = 0; i < AL_ARRAY_LEN(names); i++) {
        char path[600];
        make(path, sizeof path, names[i], few, AL_ARRAY_LEN(few));
        assert_true(al_archive_is_name(path));
        struct al_source *s = NULL;
        struct al_err err;
        struct al_arena a;
        struct al_source_entry e;
        bool end = false;
        al_arena_init(&a, NULL, 1 << 20);
        AL_CHECK_OK(al_archive_open(path, NULL, &s, &err), err);
        AL_CHECK_OK(al_source_next(s, &a, &e, &end, &err), err);
        AL_CHECK(names[i], strcmp(e.id, "a.md") == 0 && al_str_is(e.content, "# A\n"));
        AL_CHECK(names[i], strcmp(e.media_type, "text/markdown") == 0 && e.has_content);
        AL_CHECK(names[i], e.updated_s == 1700000000);
        AL_CHECK_OK(al_source_next(s, &a, &e, &end, &err), err);
        AL_CHECK(names[i], strcmp(e.id, "b/c.txt") == 0 && al_str_is(e.content, "text"));
        AL_CHECK_OK(al_source_next(s, &a, &e, &end, &err), err);
        AL_CHECK(names[i], end && s->n_left_out == 1);
        al_source_close(s);
        al_arena_fini(&a);
    }
}

static void test_limits(void **state)
{
    (void)state;
    static const struct member big[] = {
        {"a.md", "", 100000}, {"b.md", "b", 0}, {"c.bin", "", 300000}};
    static const struct {
        const char *name;
        struct al_archive_options opt;
        enum al_code code;
        const char *reason;
        size_t good;
        size_t bad;
    } cases[] = {
        {"none", {.member_bytes_max = 0}, AL_OK, NULL, 2, 0},
        {"member", {.member_bytes_max = 99999}, AL_OK, NULL, 1, 1},
        {"member fits", {.member_bytes_max = 100000}, AL_OK, NULL, 2, 0},
        {"total, of what is left out",
         {.total_bytes_max = 400000},
         AL_INVALID_ARGUMENT,
         "ARCHIVE_BOMB",
         2,
         0},
        {"total fits", {.total_bytes_max = 400001}, AL_OK, NULL, 2, 0},
        {"count", {.members_max = 1}, AL_INVALID_ARGUMENT, "TOO_MANY", 1, 0},
    };
    static const char *const names[] = {"big.tar", "big.tar.gz", "big.zip"};
    for (size_t k = 0; k < AL_ARRAY_LEN(names); k++) {
        char path[600];
        make(path, sizeof path, names[k], big, AL_ARRAY_LEN(big));
        for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
            struct al_source *s = NULL;
            struct al_err err = {.reason = NULL};
            size_t good;
            size_t bad;
            AL_CHECK_OK(al_archive_open(path, &cases[i].opt, &s, &err), err);
            enum al_code code = drain(s, &good, &bad, &err);
            AL_CHECK(cases[i].name, code == cases[i].code && good == cases[i].good);
            AL_CHECK(cases[i].name, bad == cases[i].bad);
            AL_CHECK(cases[i].name, code == AL_OK || (err.reason && cases[i].reason &&
                                                      strcmp(err.reason, cases[i].reason) == 0));
            al_source_close(s);
        }
    }
}

/* Cut at any length: an error, never a crash and never a clean end; but a tar may lose its padding.
 */
static void test_truncation(void **state)
{
    (void)state;
    static const char *const names[] = {"t.tar", "t.tar.gz", "t.tar.xz", "t.zip", "t.7z"};
    for (size_t k = 0; k < AL_ARRAY_LEN(names); k++) {
        char path[600];
        make(path, sizeof path, names[k], few, AL_ARRAY_LEN(few));
        FILE *f = fopen(path, "r");
        static char bytes[65536];
        size_t n = fread(bytes, 1, sizeof bytes, f);
        fclose(f);
        size_t step = n > 2000 ? 97 : 7;
        for (size_t cut = 0; cut < n; cut += step) {
            f = fopen(path, "w");
            fwrite(bytes, 1, cut, f);
            fclose(f);
            struct al_source *s = NULL;
            struct al_err err = {.msg = ""};
            size_t good = 0;
            size_t bad = 0;
            enum al_code code = al_archive_open(path, NULL, &s, &err);
            if (code == AL_OK)
                code = drain(s, &good, &bad, &err);
            AL_CHECK(names[k], code == AL_OK || code == AL_INVALID_ARGUMENT);
            AL_CHECK(names[k], code != AL_OK || (k == 0 && cut + 1024 > n));
            al_source_close(s);
        }
    }
}

static void test_failing_memory(void **state)
{
    (void)state;
    char path[600];
    make(path, sizeof path, "m.tar.gz", few, AL_ARRAY_LEN(few));
    for (size_t n = 0;; n++) {
        struct al_fault_mem fm;
        al_fault_mem_init(&fm, n, false);
        struct al_source *s = NULL;
        size_t good = 0;
        size_t bad = 0;
        struct al_archive_options opt = {.mem = &fm.mem};
        enum al_code code = al_archive_open(path, &opt, &s, NULL);
        assert_true(code == AL_OK ? s != NULL : s == NULL);
        if (code == AL_OK)
            code = drain(s, &good, &bad, NULL);
        assert_int_equal(code, fm.fired ? AL_RESOURCE_EXHAUSTED : AL_OK);
        al_source_close(s);
        assert_int_equal(fm.live, 0);
        if (!fm.fired)
            return;
    }
}

static void test_streams_and_gunzip(void **state)
{
    (void)state;
    char path[600];
    struct al_err err;
    make(path, sizeof path, "s.7z", few, AL_ARRAY_LEN(few));
    struct al_archive_stream *st = NULL;
    char buf[100];
    size_t n = 0;
    AL_CHECK_OK(al_archive_stream_open(path, "C.TXT", &st, &err), err);
    AL_CHECK_OK(al_archive_stream_read(st, buf, sizeof buf, &n, &err), err);
    assert_true(n == 4 && memcmp(buf, "text", 4) == 0);
    AL_CHECK_OK(al_archive_stream_read(st, buf, sizeof buf, &n, &err), err);
    assert_int_equal(n, 0);
    al_archive_stream_close(st);
    assert_int_equal(al_archive_stream_open(path, "nope", &st, &err), AL_NOT_FOUND);
    struct al_buf b;
    al_buf_init(&b, NULL, 1000);
    assert_int_equal(al_archive_gunzip(AL_STR("\x1f\x8b junk"), &b, &err), AL_INVALID_ARGUMENT);
    al_buf_fini(&b);
}

static void test_no_such_file(void **state)
{
    (void)state;
    struct al_source *s = NULL;
    assert_int_equal(al_archive_open("/nonexistent/x.tar", NULL, &s, NULL), AL_NOT_FOUND);
    assert_int_equal(al_archive_open("/dev/zero", NULL, &s, NULL), AL_INVALID_ARGUMENT);
    assert_null(s);
    assert_false(al_archive_is_name("a.txt"));
    assert_false(al_archive_is_name(".zip"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members_are_entries), cmocka_unit_test(test_limits),
        cmocka_unit_test(test_truncation),          cmocka_unit_test(test_failing_memory),
        cmocka_unit_test(test_streams_and_gunzip),  cmocka_unit_test(test_no_such_file),
    };
    return cmocka_run_group_tests(tests, make_dir, NULL);
}
