/* One suite for each small port, passed by every back end there is, fakes and decorators included.
 * The larger ports have theirs beside them: peers_conformance.c, store_test.c and index_test.c of
 * shard/, conformance.c of lib/coord, port_conformance.c of shard/. */
#include <errno.h>
#include <stdlib.h>

#include "airlore/clock.h"
#include "airlore/disk.h"
#include "airlore/random.h"
#include "airlore/testing.h"

/* ---- clock ---- */

static void check_clock(const char *name, struct al_clock *c)
{
    uint64_t before = al_clock_mono_ns(c);
    uint64_t wall = al_clock_wall_ms(c);
    AL_CHECK(name, before > 0); /* 0 never looks like a time */
    for (int i = 0; i < 1000; i++) {
        uint64_t now = al_clock_mono_ns(c);
        AL_CHECK(name, now >= before);
        before = now;
    }
    AL_CHECK(name, wall > 1500000000000u && wall < 10000000000000u); /* milliseconds, this era */
    uint64_t deadline = al_clock_deadline(c, 3600u * 1000u);
    AL_CHECK(name, deadline >= before + (uint64_t)3600 * 1000000000u);
    AL_CHECK(name, !al_clock_has_passed(c, deadline));
    AL_CHECK(name, al_clock_has_passed(c, before - 1));
    AL_CHECK(name, !al_clock_has_passed(c, AL_DEADLINE_NONE));
    AL_CHECK(name, al_clock_deadline(c, UINT64_MAX) == AL_DEADLINE_NONE);
}

static void test_clocks(void **state)
{
    (void)state;
    struct al_fake_clock fake;
    al_fake_clock_init(&fake, 1790000000000u);
    check_clock("system", al_clock_system());
    check_clock("fake", &fake.clock);
    uint64_t mono = al_clock_mono_ns(&fake.clock);
    uint64_t wall = al_clock_wall_ms(&fake.clock);
    al_fake_clock_step_ms(&fake, 5000);
    assert_int_equal(al_clock_mono_ns(&fake.clock), mono + 5000000000u);
    assert_int_equal(al_clock_wall_ms(&fake.clock), wall + 5000);
    check_clock("fake, later", &fake.clock);
}

/* ---- random ---- */

static void check_random(const char *name, struct al_random *r)
{
    enum { DRAWS = 4000 };
    uint8_t bytes[64] = {0};
    al_random_fill(r, bytes, 0); /* nothing is a request like others */
    for (size_t i = 0; i < sizeof bytes; i++)
        AL_CHECK(name, bytes[i] == 0);
    for (size_t n = 1; n <= 33; n++) {
        bytes[n] = 0xa5;
        al_random_fill(r, bytes, n);
        AL_CHECK(name, bytes[n] == 0xa5);
    }
    unsigned ones = 0;
    unsigned low = 0;
    uint64_t last = 0;
    for (int i = 0; i < DRAWS; i++) {
        uint64_t v = al_random_u64(r);
        AL_CHECK(name, v != last);
        last = v;
        ones += (unsigned)__builtin_popcountll(v);
        uint64_t b = al_random_below(r, 10);
        AL_CHECK(name, b < 10);
        low += b < 5;
    }
    /* 128,000 of 256,000 and 2,000 of 4,000; ten standard deviations */
    AL_CHECK(name, ones > 128000u - 2530u && ones < 128000u + 2530u);
    AL_CHECK(name, low > 2000u - 317u && low < 2000u + 317u);
    AL_CHECK(name, al_random_below(r, 1) == 0);
}

static void test_randoms(void **state)
{
    (void)state;
    struct al_seeded_random seeded;
    al_seeded_random_init(&seeded, 0);
    check_random("system", al_random_system());
    check_random("seeded", &seeded.random);
}

/* ---- memory ---- */

static void check_mem(const char *name, struct al_mem *m)
{
    static const size_t sizes[] = {1, 7, 8, 16, 1000, 70000};
    void *kept[AL_ARRAY_LEN(sizes)];
    for (size_t i = 0; i < AL_ARRAY_LEN(sizes); i++) {
        kept[i] = al_mem_alloc(m, sizes[i]);
        AL_CHECK(name, kept[i] != NULL);
        AL_CHECK(name, (uintptr_t)kept[i] % _Alignof(max_align_t) == 0);
        memset(kept[i], (int)i, sizes[i]);
    }
    for (size_t i = 0; i < AL_ARRAY_LEN(sizes); i++) { /* content moves with the block */
        uint8_t *p = al_mem_resize(m, kept[i], 2 * sizes[i]);
        AL_CHECK(name, p != NULL);
        for (size_t k = 0; k < sizes[i]; k++)
            AL_CHECK(name, p[k] == i);
        p = al_mem_resize(m, p, 1);
        AL_CHECK(name, p != NULL && p[0] == i);
        kept[i] = p;
    }
    for (size_t i = 0; i < AL_ARRAY_LEN(sizes); i++)
        al_mem_free(m, kept[i]);
    uint8_t *fresh = al_mem_resize(m, NULL, 100);
    AL_CHECK(name, fresh != NULL);
    al_mem_free(m, fresh);
    al_mem_free(m, NULL);
    uint8_t *zero = al_mem_zalloc(m, 500);
    for (size_t i = 0; i < 500; i++)
        AL_CHECK(name, zero && zero[i] == 0);
    al_mem_free(m, zero);
    AL_CHECK(name, al_mem_array(m, SIZE_MAX / 2, 4) == NULL);
}

static void test_memories(void **state)
{
    (void)state;
    struct al_fault_mem fault;
    al_fault_mem_init(&fault, SIZE_MAX, false);
    check_mem("standard", al_mem_std());
    check_mem("none given", NULL);
    check_mem("fault, never", &fault.mem);
    assert_int_equal(fault.live, 0);
    assert_false(fault.fired);
}

/* ---- disk ---- */

static enum al_code count_entry(void *u, const struct al_disk_entry *e, struct al_err *err)
{
    (void)err;
    *(int *)u += e->is_file ? 1 : 100;
    return AL_OK;
}

static enum al_code stop_walk(void *u, const struct al_disk_entry *e, struct al_err *err)
{
    (void)e;
    ++*(int *)u;
    return AL_FAIL(err, AL_CANCELLED, "enough");
}

static void check_files(const char *name, struct al_disk *d, const char *path)
{
    struct al_err err = {0};
    struct al_file f = {.fd = -1};
    char bytes[16] = "unchanged";
    size_t n = 99;
    uint64_t size = 0;
    AL_CHECK(name, d->ops->open(d, path, AL_DISK_READ, 0, &f, &err) == AL_NOT_FOUND && f.fd == -1);
    AL_CHECK(name, strstr(err.msg, path) != NULL); /* messages name the path */
    AL_CHECK_OK(d->ops->open(d, path, AL_DISK_CREATE, 0600, &f, &err), err);
    AL_CHECK_OK(d->ops->write(d, &f, "hello ", 6, &err), err);
    AL_CHECK_OK(d->ops->write(d, &f, "", 0, &err), err);
    AL_CHECK_OK(d->ops->write(d, &f, "world", 5, &err), err);
    AL_CHECK_OK(d->ops->sync(d, &f, &err), err);
    AL_CHECK_OK(d->ops->close(d, &f, &err), err);
    AL_CHECK(name, d->ops->open(d, path, AL_DISK_CREATE, 0600, &f, &err) == AL_ALREADY_EXISTS);
    AL_CHECK_OK(d->ops->open(d, path, AL_DISK_APPEND, 0600, &f, &err), err);
    AL_CHECK_OK(d->ops->write(d, &f, "!", 1, &err), err);
    AL_CHECK_OK(d->ops->close(d, &f, &err), err);
    AL_CHECK_OK(d->ops->size(d, path, &size, &err), err);
    AL_CHECK(name, size == 12);
    AL_CHECK_OK(d->ops->open(d, path, AL_DISK_READ, 0, &f, &err), err);
    AL_CHECK_OK(d->ops->read_at(d, &f, 6, bytes, 6, &n, &err), err);
    AL_CHECK(name, n == 6 && memcmp(bytes, "world!", 6) == 0);
    AL_CHECK_OK(d->ops->read_at(d, &f, 10, bytes, 6, &n, &err), err);
    AL_CHECK(name, n == 2);
    AL_CHECK_OK(d->ops->read_at(d, &f, 500, bytes, 6, &n, &err), err);
    AL_CHECK(name, n == 0);
    AL_CHECK_OK(d->ops->close(d, &f, &err), err);
    struct al_map m = {NULL, 0};
    AL_CHECK_OK(d->ops->map(d, path, &m, &err), err);
    AL_CHECK(name, m.n == 12 && memcmp(m.p, "hello world!", 12) == 0);
    d->ops->unmap(d, &m);
    AL_CHECK_OK(d->ops->open(d, path, AL_DISK_TRUNCATE, 0600, &f, &err), err);
    AL_CHECK_OK(d->ops->close(d, &f, &err), err);
    AL_CHECK_OK(d->ops->map(d, path, &m, &err), err);
    AL_CHECK(name, m.n == 0);
    d->ops->unmap(d, &m);
}

static void check_disk(const char *name, struct al_disk *d)
{
    char dir[256];
    char folder[300];
    char a[310];
    char b[310];
    struct al_err err = {0};
    uint64_t bytes = 0;
    int n = 0;
    al_test_dir(dir, sizeof dir);
    snprintf(folder, sizeof folder, "%s/folder", dir);
    snprintf(a, sizeof a, "%s/a", folder);
    snprintf(b, sizeof b, "%s/b", folder);
    AL_CHECK(name, d->ops->size(d, a, &bytes, &err) == AL_NOT_FOUND);
    AL_CHECK_OK(d->ops->mkdir(d, folder, 0700, &err), err);
    AL_CHECK(name, d->ops->mkdir(d, folder, 0700, &err) == AL_ALREADY_EXISTS);
    check_files(name, d, a);
    AL_CHECK_OK(d->ops->rename(d, a, b, &err), err);
    AL_CHECK(name, d->ops->rename(d, a, b, &err) == AL_NOT_FOUND);
    AL_CHECK_OK(d->ops->sync_dir(d, folder, &err), err);
    AL_CHECK_OK(al_disk_write_file(d, a, AL_STR("x"), 0600, &err), err);
    AL_CHECK_OK(d->ops->list(d, folder, count_entry, &n, &err), err);
    AL_CHECK(name, n == 2);
    n = 0;
    AL_CHECK(name, d->ops->list(d, folder, stop_walk, &n, &err) == AL_CANCELLED && n == 1);
    AL_CHECK(name, d->ops->remove(d, folder, &err) == AL_FAILED_PRECONDITION); /* not empty */
    struct al_map m = {NULL, 7};
    AL_CHECK(name, d->ops->map(d, folder, &m, &err) == AL_INVALID_ARGUMENT && m.n == 7);
    AL_CHECK_OK(d->ops->free_bytes(d, folder, &bytes, &err), err);
    AL_CHECK(name, bytes > 0);
    AL_CHECK_OK(al_disk_remove_tree(d, folder, &err), err);
    AL_CHECK(name, d->ops->list(d, folder, count_entry, &n, &err) == AL_NOT_FOUND);
}

static void test_disks(void **state)
{
    (void)state;
    struct al_fault_disk fault;
    check_disk("system", al_disk_system());
    al_fault_disk_init(&fault, NULL, SIZE_MAX, false, EIO);
    check_disk("fault, never", &fault.disk);
    assert_false(fault.fired);
    al_fault_disk_init(&fault, NULL, SIZE_MAX, false, ENOSPC);
    check_disk("fault, full never", &fault.disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clocks),
        cmocka_unit_test(test_randoms),
        cmocka_unit_test(test_memories),
        cmocka_unit_test(test_disks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
