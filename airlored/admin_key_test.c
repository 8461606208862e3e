#include "admin_key.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "airlore/testing.h"

/* A directory over a real system shard, in a folder of its own. */
struct fixture {
    char dir[256];
    char path[300];
    struct al_shard *shard;
    struct al_shard_port *system;
    struct al_directory *directory;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct al_err err = {.code = AL_OK};
    struct al_team team;
    char dir[300];
    assert_non_null(f);
    al_test_dir(f->dir, sizeof f->dir);
    snprintf(dir, sizeof dir, "%s/system", f->dir);
    snprintf(f->path, sizeof f->path, "%s/admin.key", f->dir);
    const struct al_shard_options o = {
        .dir = dir, .dim = 8, .embedder_id = "test", .slot_last = UINT16_MAX, .min_free_bytes = 1};
    AL_CHECK_OK(al_shard_open(&o, &f->shard, &err), err);
    AL_CHECK_OK(al_shard_port_local(f->shard, NULL, &f->system, &err), err);
    const struct al_directory_options d = {
        .system = f->system, .clock = al_clock_system(), .random = al_random_system()};
    AL_CHECK_OK(al_directory_open(&d, &f->directory, &err), err);
    AL_CHECK_OK(al_directory_add_team(f->directory, "default", &team, &err), err);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    al_directory_destroy(f->directory);
    f->system->ops->destroy(f->system);
    al_shard_destroy(f->shard);
    free(f);
    return 0;
}

static enum al_code ensure(struct fixture *f, struct al_admin_key *ret)
{
    return al_admin_key_ensure(f->path, f->directory, al_disk_system(), ret, NULL);
}

/* The file's only line; "" when it has none or several. */
static void read_line(const struct fixture *f, char *buf, size_t n)
{
    struct al_buf b;
    struct al_err err;
    al_buf_init(&b, NULL, 4096);
    AL_CHECK_OK(al_disk_read_file(al_disk_system(), f->path, &b, &err), err);
    size_t end = al_str_find(al_buf_view(&b), AL_STR("\n"), 0);
    snprintf(buf, n, "%.*s", end + 1 == b.n ? (int)end : 0, b.p);
    al_buf_fini(&b);
}

static enum al_role role_of(struct fixture *f, const char *key)
{
    struct al_arena a;
    const struct al_credential *c = NULL;
    al_arena_init(&a, NULL, 1 << 20);
    enum al_code code = al_directory_authenticate(f->directory, al_str_c(key), &a, &c, NULL);
    enum al_role role = code == AL_OK ? c->key->role : 0;
    if (code == AL_OK)
        assert_string_equal(c->key->team, "default");
    al_arena_fini(&a);
    return role;
}

static size_t count_keys(struct fixture *f, bool valid_only)
{
    struct al_arena a;
    struct al_key *keys = NULL;
    size_t n = 0;
    size_t counted = 0;
    struct al_err err;
    al_arena_init(&a, NULL, 1 << 20);
    AL_CHECK_OK(al_directory_list_keys(f->directory, NULL, &a, &keys, &n, &err), err);
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(keys[i].note, AL_ADMIN_KEY_NOTE);
        counted += valid_only && keys[i].revoked ? 0 : 1;
    }
    al_arena_fini(&a);
    return counted;
}

static void test_made_once(void **state)
{
    struct fixture *f = *state;
    struct al_admin_key k;
    struct stat st;
    char first[AL_KEY_TEXT_MAX + 8];
    char second[AL_KEY_TEXT_MAX + 8];
    assert_int_equal(ensure(f, &k), AL_OK);
    assert_int_equal(k.state, AL_ADMIN_KEY_MADE);
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    read_line(f, first, sizeof first);
    assert_int_equal(strncmp(first, "al_", 3), 0);
    assert_non_null(strstr(first, k.id));
    assert_int_equal(role_of(f, first), AL_ROLE_ADMIN);
    assert_int_equal(ensure(f, &k), AL_OK);
    assert_int_equal(k.state, AL_ADMIN_KEY_KEPT);
    read_line(f, second, sizeof second);
    assert_string_equal(first, second);
    assert_int_equal(count_keys(f, false), 1);
}

/* As after a kill between the making of a key and the writing of the file, or when somebody removed
 * it. */
static void test_file_lost(void **state)
{
    struct fixture *f = *state;
    struct al_admin_key k;
    char key[AL_KEY_TEXT_MAX + 8];
    assert_int_equal(ensure(f, &k), AL_OK);
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(ensure(f, &k), AL_OK);
    assert_int_equal(k.state, AL_ADMIN_KEY_MADE);
    read_line(f, key, sizeof key);
    assert_int_equal(role_of(f, key), AL_ROLE_ADMIN);
    assert_int_equal(count_keys(f, false), 2);
}

static void test_key_of_the_file_is_not_valid(void **state)
{
    struct fixture *f = *state;
    static const char *const texts[] = {"", "\n", "nonsense\n", "al_abc_def\n", "\xFF\xFE\n"};
    for (size_t i = 0; i < AL_ARRAY_LEN(texts); i++) {
        struct al_err err;
        struct al_admin_key k;
        AL_CHECK_OK(al_disk_write_file(al_disk_system(), f->path, al_str_c(texts[i]), 0600, &err),
                    err);
        AL_CHECK(texts[i], ensure(f, &k) == AL_OK && k.state == AL_ADMIN_KEY_REFUSED);
    }
    assert_int_equal(count_keys(f, false), 0);
}

static void test_revoked(void **state)
{
    struct fixture *f = *state;
    struct al_admin_key k;
    struct al_err err;
    assert_int_equal(ensure(f, &k), AL_OK);
    AL_CHECK_OK(al_directory_drop_key(f->directory, k.id, &err), err);
    assert_int_equal(ensure(f, &k), AL_OK);
    assert_int_equal(k.state, AL_ADMIN_KEY_REFUSED);
    assert_int_equal(count_keys(f, false), 1);
}

static void test_readable_by_others(void **state)
{
    struct fixture *f = *state;
    struct al_admin_key k;
    struct stat st;
    assert_int_equal(ensure(f, &k), AL_OK);
    assert_false(k.made_private);
    assert_int_equal(chmod(f->path, 0644), 0);
    assert_int_equal(ensure(f, &k), AL_OK);
    assert_true(k.made_private);
    assert_int_equal(k.state, AL_ADMIN_KEY_KEPT);
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

static void test_not_a_file(void **state)
{
    struct fixture *f = *state;
    struct al_admin_key k;
    struct al_err err;
    assert_int_equal(mkdir(f->path, 0700), 0);
    assert_int_equal(al_admin_key_ensure(f->path, f->directory, al_disk_system(), &k, &err),
                     AL_FAILED_PRECONDITION);
    assert_string_equal(err.reason, "BAD_ADMIN_KEY");
    assert_int_equal(rmdir(f->path), 0);
    assert_int_equal(symlink("/dev/null", f->path), 0);
    assert_int_equal(al_admin_key_ensure(f->path, f->directory, al_disk_system(), &k, &err),
                     AL_FAILED_PRECONDITION);
}

/* A key that could not be written is of no use to anybody: it is revoked, and the next try makes
 * another. */
static void test_disk_faults(void **state)
{
    struct fixture *f = *state;
    static const int errors[] = {ENOSPC, EIO};
    for (size_t e = 0; e < AL_ARRAY_LEN(errors); e++) {
        for (size_t n = 0;; n++) {
            struct al_fault_disk fd;
            struct al_admin_key k = {.state = AL_ADMIN_KEY_KEPT};
            struct al_err err;
            al_fault_disk_init(&fd, NULL, n, true, errors[e]);
            unlink(f->path);
            size_t before = count_keys(f, true);
            enum al_code code = al_admin_key_ensure(f->path, f->directory, &fd.disk, &k, &err);
            if (code == AL_OK) {
                assert_int_equal(k.state, AL_ADMIN_KEY_MADE);
                assert_true(n > 2);
                break;
            }
            assert_true(fd.fired);
            assert_int_equal(k.state, AL_ADMIN_KEY_KEPT);
            assert_int_equal(count_keys(f, true), before);
        }
    }
}

#define TEST(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_made_once),
        TEST(test_file_lost),
        TEST(test_key_of_the_file_is_not_valid),
        TEST(test_revoked),
        TEST(test_readable_by_others),
        TEST(test_not_a_file),
        TEST(test_disk_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
