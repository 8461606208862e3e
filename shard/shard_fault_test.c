/* A shard when things fail: writes to the store, memory, disk space, damaged files; and what a busy
 * one answers. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "entry.h"
#include "sealed.h"
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

/* ---- a failing write at each place ---- */

#define STEPS 14u
#define KEYS 5u

/* What step n writes: two documents in one entry, or a deletion of both. Seeds 0: deleted. */
static void script(unsigned n, unsigned *ret_key, uint32_t *ret_seed)
{
    *ret_key = n % KEYS;
    *ret_seed = n % 7 == 6 ? 0 : n + 1;
}

static enum al_code run_step(struct fx *f, unsigned n, struct al_write_result *ret,
                             struct al_err *err)
{
    unsigned key = 0;
    uint32_t seed = 0;
    script(n, &key, &seed);
    struct al_op ops[2];
    struct al_doc docs[2];
    for (unsigned i = 0; i < 2; i++) {
        const char *id = al_arena_printf(&f->a, "%s%u", i ? "twin" : "key", key);
        docs[i] = fx_doc(&f->a, id, seed, 1 + n % 3);
        ops[i] = (struct al_op){.kind = seed ? AL_OP_PUT_DOC : AL_OP_DELETE_DOC,
                                .doc = &docs[i],
                                .space = FX_SPACE,
                                .id = docs[i].id};
    }
    uint8_t id[16];
    fx_write_id(n + 1, id);
    return al_shard_write(f->s, ops, 2, id, AL_DEADLINE_NONE, &f->a, ret, err);
}

/* The seed that both twins have. */
static uint32_t seed_now(struct fx *f, unsigned key)
{
    uint32_t seeds[2] = {0};
    for (unsigned i = 0; i < 2; i++) {
        const char *id = al_arena_printf(&f->a, "%s%u", i ? "twin" : "key", key);
        if (!fx_has(f->s, id, &seeds[i]))
            seeds[i] = 0;
    }
    assert_int_equal(seeds[0], seeds[1]); /* all or nothing */
    return seeds[0];
}

/* Do all steps with the nth write to the store failing; false when there were not so many writes.
 */
static bool run_script(struct fx *f, uint64_t nth, enum al_store_mem_fault fault)
{
    uint32_t want[KEYS] = {0};
    bool failed = false;
    al_store_mem_fail_write(f->store_dir, nth, fault);
    for (unsigned n = 0; n < STEPS; n++) {
        unsigned key = 0;
        uint32_t seed = 0;
        script(n, &key, &seed);
        struct al_write_result r;
        struct al_err err;
        enum al_code code = run_step(f, n, &r, &err);
        if (code != AL_OK) {
            failed = true;
            if (fault == AL_STORE_MEM_FULL) {
                assert_int_equal(code, AL_RESOURCE_EXHAUSTED);
                assert_string_equal(err.reason, "DISK_FULL");
            } else {
                assert_int_equal(code, AL_UNKNOWN);
                assert_string_equal(err.reason, "OUTCOME_UNKNOWN");
            }
            uint32_t seen = seed_now(f, key);
            assert_true(seen == want[key] || seen == seed);
            AL_CHECK_OK(run_step(f, n, &r, &err), err); /* the same write id: safe */
        }
        want[key] = seed;
        assert_int_equal(seed_now(f, key), seed);
        if (n % 5 == 4) {
            enum al_code compact = al_shard_compact(f->s, false, NULL, NULL, &err);
            failed = failed || compact != AL_OK;
        }
    }
    al_store_mem_fail_write(f->store_dir, UINT64_MAX, fault); /* it may not have struck */
    fx_verify(f->s);
    reopen(f);
    fx_verify(f->s);
    for (unsigned key = 0; key < KEYS; key++)
        assert_int_equal(seed_now(f, key), want[key]);
    al_store_mem_crash(f->store_dir, true);
    reopen(f);
    for (unsigned key = 0; key < KEYS; key++)
        assert_int_equal(seed_now(f, key), want[key]);
    fx_verify(f->s);
    return failed;
}

static void test_each_write_failing(void **state)
{
    (void)state;
    for (int fault = AL_STORE_MEM_LOST; fault <= AL_STORE_MEM_FULL; fault++) {
        unsigned failures = 0;
        for (uint64_t nth = 0; nth < STEPS + 4; nth++) {
            struct fx f;
            setup(&f, al_store_mem());
            failures += run_script(&f, nth, (enum al_store_mem_fault)fault);
            teardown(&f);
        }
        /* A write that turned out to be there is answered as done: nobody sees that it failed. */
        assert_true(fault == AL_STORE_MEM_DURABLE || failures >= STEPS);
    }
}

/* ---- a crash between log and data ---- */

static void test_the_rest_of_the_log_is_applied(void **state)
{
    (void)state;
    struct fx f;
    setup(&f, al_store_mem());
    assert_int_equal(fx_put(f.s, &f.a, "before", 1, 1), AL_OUTCOME_INSERTED);
    struct al_shard_status st;
    al_shard_get_status(f.s, &st);
    al_shard_destroy(f.s);
    f.s = NULL;

    struct al_store_options so = {.dir = f.store_dir};
    struct al_store *store = NULL;
    struct al_store_batch *b = NULL;
    struct al_err err;
    AL_CHECK_OK(al_store_mem()->open(&so, &store, &err), err);
    AL_CHECK_OK(store->ops->batch_create(store, &b, &err), err);
    struct al_doc docs[3];
    for (unsigned i = 0; i < 3; i++) { /* entries as a primary with followers would leave them */
        docs[i] = fx_doc(&f.a, i == 1 ? "before" : al_arena_printf(&f.a, "new%u", i), 10 + i, 2);
        struct al_op op = {.kind = AL_OP_PUT_DOC, .doc = &docs[i]};
        uint8_t id[16];
        struct al_buf entry;
        fx_write_id(500 + i, id);
        al_buf_init(&entry, NULL, 0);
        al_entry_encode(&op, 1, FX_DIM, id, &entry);
        uint64_t index = st.applied_index + 1 + i;
        AL_CHECK_OK(
            al_entry_seal(&entry, index, st.epoch, al_clock_wall_ms(al_clock_system()), &err), err);
        struct al_key k = al_key_u64(index);
        store->ops->batch_put(b, AL_FAMILY_LOG, al_key_view(&k), al_buf_view(&entry));
        al_buf_fini(&entry);
    }
    AL_CHECK_OK(store->ops->write(store, b, true, &err), err);
    store->ops->batch_destroy(b);
    store->ops->destroy(store);

    f.s = fx_open(&f.o);
    uint32_t seed = 0;
    assert_true(fx_has(f.s, "before", &seed));
    assert_int_equal(seed, 11);
    assert_true(fx_has(f.s, "new0", NULL));
    assert_true(fx_has(f.s, "new2", NULL));
    struct al_op op = {.kind = AL_OP_PUT_DOC, .doc = &docs[2]};
    struct al_write_result r = fx_write(f.s, &f.a, &op, 502); /* its write id is known too */
    assert_true(r.repeated);
    assert_int_equal(r.index, st.applied_index + 3);
    struct al_shard_status now;
    al_shard_get_status(f.s, &now);
    assert_int_equal(now.applied_index, st.applied_index + 4); /* and the new epoch's no-op */
    assert_int_equal(now.n_docs, 3);
    fx_verify(f.s);
    teardown(&f);
}

/* ---- damage ---- */

/* Change a byte at `offset` of files whose names end so; negative: cut the file to -offset bytes.
 */
static unsigned damage_files(const char *dir, const char *ending, off_t offset)
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
        if (offset < 0) {
            assert_int_equal(ftruncate(fd, -offset), 0);
        } else if (pread(fd, &byte, 1, offset) == 1) {
            byte = (char)~byte;
            assert_int_equal(pwrite(fd, &byte, 1, offset), 1);
        }
        close(fd);
        n++;
    }
    closedir(d);
    return n;
}

static enum al_code make_older(void *u, const struct al_disk_entry *e, struct al_err *err)
{
    struct al_disk *disk = al_disk_system();
    char path[700];
    struct al_buf b;
    al_buf_init(&b, NULL, 0);
    snprintf(path, sizeof path, "%s/%s", (const char *)u, e->name);
    AL_CHECK_OK(al_disk_read_file(disk, path, &b, err), *err);
    b.p[b.n - AL_SEG_FOOTER_BYTES + 8] = AL_SEG_FORMAT - 1;
    al_seg_forge((uint8_t *)b.p, b.n);
    AL_CHECK_OK(al_disk_write_file(disk, path, al_buf_view(&b), 0600, err), *err);
    al_buf_fini(&b);
    return AL_OK;
}

/* Damaged, cut, absent, or as an older version wrote it. */
static void test_a_damaged_segment_is_rebuilt(void **state)
{
    (void)state;
    static const off_t offsets[] = {10, 300, -5, -0, 0};
    for (size_t i = 0; i < AL_ARRAY_LEN(offsets); i++) {
        struct fx f;
        char segments[300];
        setup(&f, al_store_mem());
        snprintf(segments, sizeof(segments), "%s/segments", f.dir);
        struct al_err err;
        for (unsigned round = 0; round < 2; round++) {
            for (unsigned n = 0; n < 20; n++)
                (void)fx_put(f.s, &f.a, al_arena_printf(&f.a, "d%u", n + 15 * round),
                             n + 100 * round, 2);
            AL_CHECK_OK(al_shard_compact(f.s, false, NULL, NULL, &err), err);
        }
        (void)fx_delete(f.s, &f.a, "d3");
        al_shard_destroy(f.s);
        f.s = NULL;
        if (i == 3) {
            AL_CHECK_OK(al_disk_remove_tree(al_disk_system(), segments, &err), err);
        } else if (i == 4) {
            struct al_disk *disk = al_disk_system();
            AL_CHECK_OK(disk->ops->list(disk, segments, make_older, segments, &err), err);
        } else {
            assert_int_equal(damage_files(segments, ".seg", offsets[i]), 2);
        }
        f.s = fx_open(&f.o);
        struct al_shard_status st;
        al_shard_get_status(f.s, &st);
        assert_false(st.read_only);
        assert_int_equal(st.n_segments, 2);
        assert_int_equal(st.n_docs, 34);
        for (unsigned n = 0; n < 35; n++)
            assert_int_equal(fx_has(f.s, al_arena_printf(&f.a, "d%u", n), NULL), n != 3);
        fx_verify(f.s);
        reopen(&f);
        fx_verify(f.s);
        teardown(&f);
    }
}

static void assert_read_only(struct fx *f, const char *why_part)
{
    struct al_shard_status st;
    al_shard_get_status(f->s, &st);
    assert_true(st.read_only);
    assert_non_null(strstr(st.why, why_part));
    struct al_doc d = fx_doc(&f->a, "another", 1, 1);
    struct al_op op = {.kind = AL_OP_PUT_DOC, .doc = &d};
    uint8_t id[16] = {0};
    struct al_write_result r;
    struct al_err err;
    assert_int_equal(al_shard_write(f->s, &op, 1, id, AL_DEADLINE_NONE, &f->a, &r, &err),
                     AL_DATA_LOSS);
    assert_string_equal(err.reason, "STORE_READ_ONLY");
    assert_non_null(strstr(err.msg, "read-only"));
}

static void test_a_damaged_document_makes_it_read_only(void **state)
{
    (void)state;
    struct fx f;
    setup(&f, al_store_mem());
    (void)fx_put(f.s, &f.a, "good", 1, 1);
    (void)fx_put(f.s, &f.a, "bad", 2, 1);
    struct al_key k = al_key_doc(FX_SPACE, AL_STR("bad"));
    al_store_mem_damage(f.store_dir, AL_FAMILY_DOC, al_key_view(&k));
    struct al_doc d;
    struct al_err err;
    assert_int_equal(al_shard_get_doc(f.s, FX_SPACE, AL_STR("bad"), false, &f.a, &d, &err),
                     AL_DATA_LOSS);
    assert_true(fx_has(f.s, "good", NULL)); /* what is readable is read */
    assert_read_only(&f, "damaged");
    struct al_verify_report r;
    AL_CHECK_OK(al_shard_verify(f.s, &f.a, NULL, NULL, &r, &err), err);
    assert_true(r.n_problems > 0);
    reopen(&f); /* found again at the start */
    assert_true(fx_has(f.s, "good", NULL));
    assert_read_only(&f, "damaged");
    teardown(&f);
}

static void test_a_damaged_log_makes_it_read_only(void **state)
{
    (void)state;
    struct fx f;
    setup(&f, al_store_mem());
    (void)fx_put(f.s, &f.a, "good", 1, 1);
    (void)fx_put(f.s, &f.a, "more", 1, 1);
    struct al_key k = al_key_u64(2);
    al_store_mem_damage(f.store_dir, AL_FAMILY_LOG, al_key_view(&k));
    reopen(&f);
    assert_true(fx_has(f.s, "good", NULL));
    assert_true(fx_has(f.s, "more", NULL));
    assert_read_only(&f, "damaged");
    teardown(&f);
}

static void test_a_damaged_table_file_makes_it_read_only(void **state)
{
    (void)state;
    struct fx f;
    setup(&f, al_store_rocksdb());
    for (unsigned n = 0; n < 20; n++)
        (void)fx_put(f.s, &f.a, al_arena_printf(&f.a, "d%u", n), n, 2);
    reopen(&f); /* recovery has written table files */
    (void)fx_put(f.s, &f.a, "late", 99, 2);
    al_shard_destroy(f.s);
    f.s = NULL;
    assert_true(damage_files(f.store_dir, ".sst", 100) > 0);
    struct al_err err;
    enum al_code code = al_shard_open(&f.o, &f.s, &err);
    if (code != AL_OK) { /* nothing of the store is readable: then that is said */
        assert_int_equal(code, AL_DATA_LOSS);
        assert_string_equal(err.reason, "DATA_CORRUPT");
    } else {
        assert_read_only(&f, "");
    }
    teardown(&f);
}

/* ---- a full disk ---- */

struct small_disk {
    struct al_disk disk;
    struct al_disk_ops ops;
    uint64_t free_bytes;
};

static enum al_code small_free_bytes(struct al_disk *d, const char *path, uint64_t *ret,
                                     struct al_err *err)
{
    (void)path;
    (void)err;
    *ret = ((struct small_disk *)(void *)d)->free_bytes;
    return AL_OK;
}

static void test_below_the_watermark_writes_are_refused(void **state)
{
    (void)state;
    struct fx f;
    prepare(&f, al_store_mem());
    /* the other operations take no notice of the object */
    struct small_disk d = {.ops = *al_disk_system()->ops, .free_bytes = 2000};
    d.ops.free_bytes = small_free_bytes;
    d.disk.ops = &d.ops;
    f.o.disk = &d.disk;
    f.o.min_free_bytes = 1000;
    f.s = fx_open(&f.o);
    (void)fx_put(f.s, &f.a, "a", 1, 1);
    d.free_bytes = 999;
    struct al_doc doc = fx_doc(&f.a, "b", 2, 1);
    struct al_op op = {.kind = AL_OP_PUT_DOC, .doc = &doc};
    uint8_t id[16] = {0};
    struct al_write_result r;
    struct al_err err;
    assert_int_equal(al_shard_write(f.s, &op, 1, id, AL_DEADLINE_NONE, &f.a, &r, &err),
                     AL_RESOURCE_EXHAUSTED);
    assert_string_equal(err.reason, "DISK_FULL");
    assert_true(fx_has(f.s, "a", NULL));
    assert_false(fx_has(f.s, "b", NULL));
    d.free_bytes = 1000;
    assert_int_equal(fx_put(f.s, &f.a, "b", 2, 1), AL_OUTCOME_INSERTED);
    fx_verify(f.s);
    teardown(&f);
}

/* A store that cannot be opened again for a while: reads fail or go on, the first write after that
 * recovers. */
static unsigned refuse_opens;

static enum al_code moody_open(const struct al_store_options *opt, struct al_store **ret,
                               struct al_err *err)
{
    if (refuse_opens && !opt->salvage) {
        refuse_opens--;
        return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "DISK_FULL", "store: no space left");
    }
    return al_store_mem()->open(opt, ret, err);
}

static void test_a_store_that_stays_down_recovers_later(void **state)
{
    (void)state;
    static const struct al_store_factory moody = {.name = "moody", .open = moody_open};
    for (int fault = AL_STORE_MEM_LOST; fault <= AL_STORE_MEM_DURABLE; fault++) {
        struct fx f;
        struct al_fake_clock clock;
        prepare(&f, &moody);
        al_fake_clock_init(&clock, 1700000000000);
        f.o.clock = &clock.clock;
        f.s = fx_open(&f.o);
        (void)fx_put(f.s, &f.a, "a", 1, 1);
        refuse_opens = 2;
        al_store_mem_fail_write(f.store_dir, 0, (enum al_store_mem_fault)fault);
        struct al_doc doc = fx_doc(&f.a, "b", 2, 1);
        struct al_op op = {.kind = AL_OP_PUT_DOC, .doc = &doc};
        uint8_t id[16];
        struct al_write_result r;
        struct al_err err;
        fx_write_id(5, id);
        assert_int_equal(al_shard_write(f.s, &op, 1, id, AL_DEADLINE_NONE, &f.a, &r, &err),
                         AL_UNKNOWN);
        assert_true(fx_has(f.s, "a", NULL)); /* opened for reading meanwhile */
        assert_int_equal(al_shard_write(f.s, &op, 1, id, AL_DEADLINE_NONE, &f.a, &r, &err),
                         AL_UNAVAILABLE); /* not tried again at once */
        al_fake_clock_step_ms(&clock, 1001);
        assert_int_equal(al_shard_write(f.s, &op, 1, id, AL_DEADLINE_NONE, &f.a, &r, &err),
                         AL_RESOURCE_EXHAUSTED); /* tried, in vain */
        struct al_shard_status st;
        al_shard_get_status(f.s, &st);
        assert_true(st.read_only);
        al_fake_clock_step_ms(&clock, 1001);
        AL_CHECK_OK(al_shard_write(f.s, &op, 1, id, AL_DEADLINE_NONE, &f.a, &r, &err), err);
        assert_int_equal(r.repeated, fault == AL_STORE_MEM_DURABLE);
        assert_int_equal(r.outcomes[0], AL_OUTCOME_INSERTED);
        assert_true(fx_has(f.s, "b", NULL));
        al_shard_get_status(f.s, &st);
        assert_false(st.read_only);
        fx_verify(f.s);
        teardown(&f);
    }
}

/* ---- memory and disk faults while it is opened and sealed ---- */

static void fill(struct fx *f)
{
    struct al_err err;
    for (unsigned n = 0; n < 12; n++)
        (void)fx_put(f->s, &f->a, al_arena_printf(&f->a, "d%u", n), n, 1);
    AL_CHECK_OK(al_shard_compact(f->s, false, NULL, NULL, &err), err);
    (void)fx_put(f->s, &f->a, "d1", 77, 1);
    (void)fx_put_row(f->s, &f->a, "k", "v");
}

static void test_open_with_failing_memory(void **state)
{
    (void)state;
    struct fx f;
    setup(&f, al_store_mem());
    fill(&f);
    al_shard_destroy(f.s);
    f.s = NULL;
    for (int persistent = 0; persistent < 2; persistent++) {
        for (size_t n = 0;; n++) {
            struct al_fault_mem m;
            al_fault_mem_init(&m, n, persistent);
            f.o.mem = &m.mem;
            struct al_shard *s = NULL;
            struct al_err err = {0};
            enum al_code code = al_shard_open(&f.o, &s, &err);
            bool fired = m.fired;
            if (code != AL_RESOURCE_EXHAUSTED)
                AL_CHECK_OK(code, err);
            assert_true((code == AL_OK) == (s != NULL));
            assert_true(fired || code == AL_OK);
            al_shard_destroy(s);
            assert_int_equal(m.live, 0);
            if (!fired)
                break;
        }
    }
    f.o.mem = NULL;
    f.s = fx_open(&f.o);
    assert_true(fx_has(f.s, "d11", NULL));
    fx_verify(f.s);
    teardown(&f);
}

static void test_write_with_failing_memory(void **state)
{
    (void)state;
    for (size_t n = 0;; n++) {
        struct fx f;
        struct al_fault_mem m;
        prepare(&f, al_store_mem());
        al_fault_mem_init(&m, SIZE_MAX, false);
        f.o.mem = &m.mem;
        f.s = fx_open(&f.o);
        (void)fx_put(f.s, &f.a, "a", 1, 1);
        struct al_doc doc = fx_doc(&f.a, "a", 2, 2);
        struct al_op op = {.kind = AL_OP_PUT_DOC, .doc = &doc};
        uint8_t id[16];
        struct al_write_result r;
        struct al_err err;
        fx_write_id(9, id);
        m.fail_at = m.count + n;
        enum al_code code = al_shard_write(f.s, &op, 1, id, AL_DEADLINE_NONE, &f.a, &r, &err);
        bool fired = m.fired;
        m.fail_at = SIZE_MAX;
        assert_true(code == AL_OK || code == AL_RESOURCE_EXHAUSTED);
        struct al_shard_status st;
        al_shard_get_status(f.s, &st);
        if (st.read_only) { /* written, but it could not be put into the segments */
            assert_int_equal(code, AL_OK);
            assert_non_null(strstr(st.why, "not searchable"));
            reopen(&f);
        }
        AL_CHECK_OK(al_shard_write(f.s, &op, 1, id, AL_DEADLINE_NONE, &f.a, &r, &err), err);
        uint32_t seed = 0;
        assert_true(fx_has(f.s, "a", &seed));
        assert_int_equal(seed, 2);
        fx_verify(f.s);
        teardown(&f);
        assert_int_equal(m.live, 0);
        if (!fired)
            break;
    }
}

static void test_seal_with_a_failing_disk(void **state)
{
    (void)state;
    for (int persistent = 0; persistent < 2; persistent++) {
        for (size_t n = 0;; n++) {
            struct fx f;
            struct al_fault_disk d;
            prepare(&f, al_store_mem());
            al_fault_disk_init(&d, NULL, SIZE_MAX, persistent, EIO);
            f.o.disk = &d.disk;
            f.s = fx_open(&f.o);
            fill(&f);
            d.fail_at = d.count + n;
            struct al_err err = {0};
            enum al_code code = al_shard_compact(f.s, true, NULL, NULL, &err);
            bool fired = d.fired;
            assert_true(fired || code == AL_OK);
            assert_true(code == AL_OK || err.msg[0]);
            d.fail_at = SIZE_MAX;
            d.persistent = false;
            assert_true(fx_has(f.s, "d1", NULL)); /* nothing is lost by it */
            assert_true(fx_has(f.s, "d7", NULL));
            AL_CHECK_OK(al_shard_compact(f.s, true, NULL, NULL, &err), err);
            fx_verify(f.s);
            reopen(&f);
            fx_verify(f.s);
            teardown(&f);
            if (!fired)
                break;
        }
    }
}

/* ---- a busy shard ---- */

/* A store whose writes wait at a gate. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool closed;
    unsigned waiting;
    const struct al_store_ops *inner;
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static struct al_store_ops gated_ops;

static enum al_code gated_write(struct al_store *s, struct al_store_batch *b, bool sync,
                                struct al_err *err)
{
    pthread_mutex_lock(&gate.lock);
    gate.waiting++;
    pthread_cond_broadcast(&gate.changed);
    while (gate.closed)
        pthread_cond_wait(&gate.changed, &gate.lock);
    gate.waiting--;
    pthread_mutex_unlock(&gate.lock);
    return gate.inner->write(s, b, sync, err);
}

static enum al_code gated_open(const struct al_store_options *opt, struct al_store **ret,
                               struct al_err *err)
{
    AL_TRY(al_store_mem()->open(opt, ret, err));
    gate.inner = (*ret)->ops;
    gated_ops = *gate.inner;
    gated_ops.write = gated_write;
    (*ret)->ops = &gated_ops;
    return AL_OK;
}

static void set_gate(bool closed)
{
    pthread_mutex_lock(&gate.lock);
    gate.closed = closed;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

static void wait_at_gate(void)
{
    pthread_mutex_lock(&gate.lock);
    while (gate.waiting == 0)
        pthread_cond_wait(&gate.changed, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
}

struct caller {
    pthread_t thread;
    struct fx *f;
    unsigned number;
    enum al_code code;
};

static void *call(void *u)
{
    struct caller *c = u;
    struct al_arena a;
    char id[24];
    al_arena_init(&a, NULL, 1u << 20);
    snprintf(id, sizeof(id), "c%u", c->number);
    struct al_doc d = fx_doc(&a, id, c->number, 1);
    struct al_op op = {.kind = AL_OP_PUT_DOC, .doc = &d};
    uint8_t write_id[16];
    struct al_write_result r;
    fx_write_id(c->number + 1, write_id);
    c->code = al_shard_write(c->f->s, &op, 1, write_id, AL_DEADLINE_NONE, &a, &r, NULL);
    al_arena_fini(&a);
    return NULL;
}

#define CALLERS 8u

static void test_group_commit_deadlines_and_overload(void **state)
{
    (void)state;
    static const struct al_store_factory gated = {.name = "gated", .open = gated_open};
    struct fx f;
    struct al_metrics *m = NULL;
    struct al_metric *groups = NULL;
    struct al_err err;
    AL_CHECK_OK(al_metrics_create(NULL, &m, &err), err);
    prepare(&f, &gated);
    f.o.metrics = m;
    f.s = fx_open(&f.o);
    AL_CHECK_OK(al_metrics_counter(m, "airlore_shard_groups_total",
                                   "Batches written: entries that shared one sync.", "shard=\"3\"",
                                   &groups, &err),
                err);
    set_gate(true);
    struct caller c[CALLERS];
    c[0] = (struct caller){.f = &f};
    assert_int_equal(pthread_create(&c[0].thread, NULL, call, &c[0]), 0);
    wait_at_gate(); /* the first is being written */

    struct al_doc d = fx_doc(&f.a, "late", 50, 1);
    struct al_op op = {.kind = AL_OP_PUT_DOC, .doc = &d};
    uint8_t id[16] = {0};
    struct al_write_result r;
    uint64_t soon = al_clock_deadline(al_clock_system(), 20);
    assert_int_equal(al_shard_write(f.s, &op, 1, id, soon, &f.a, &r, &err), AL_DEADLINE_EXCEEDED);

    for (unsigned i = 1; i < CALLERS; i++) {
        c[i] = (struct caller){.f = &f, .number = i};
        assert_int_equal(pthread_create(&c[i].thread, NULL, call, &c[i]), 0);
    }
    /* wait until all seven are queued: then the queue is as long as it says when it is full */
    struct timespec pause = {.tv_nsec = 1000000};
    for (unsigned i = 0; i < 200; i++)
        nanosleep(&pause, NULL);
    set_gate(false);
    for (unsigned i = 0; i < CALLERS; i++) {
        pthread_join(c[i].thread, NULL);
        assert_int_equal(c[i].code, AL_OK);
    }
    assert_int_equal((int)al_metric_value(groups), 2); /* the first, and all that waited */
    assert_false(fx_has(f.s, "late", NULL));

    set_gate(true);
    soon = al_clock_deadline(al_clock_system(), 20);
    assert_int_equal(al_shard_write(f.s, &op, 1, id, soon, &f.a, &r, &err), AL_UNKNOWN);
    assert_string_equal(err.reason, "OUTCOME_UNKNOWN");
    set_gate(false);
    struct al_shard_status st;
    al_shard_get_status(f.s, &st);
    AL_CHECK_OK(al_shard_wait(f.s, CALLERS + 2, AL_DEADLINE_NONE, &err), err);
    assert_true(fx_has(f.s, "late", NULL)); /* it was written after all */
    fx_verify(f.s);
    al_shard_destroy(f.s);
    f.s = NULL;
    al_metrics_destroy(m);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_write_failing),
        cmocka_unit_test(test_the_rest_of_the_log_is_applied),
        cmocka_unit_test(test_a_damaged_segment_is_rebuilt),
        cmocka_unit_test(test_a_damaged_document_makes_it_read_only),
        cmocka_unit_test(test_a_damaged_log_makes_it_read_only),
        cmocka_unit_test(test_a_damaged_table_file_makes_it_read_only),
        cmocka_unit_test(test_below_the_watermark_writes_are_refused),
        cmocka_unit_test(test_a_store_that_stays_down_recovers_later),
        cmocka_unit_test(test_open_with_failing_memory),
        cmocka_unit_test(test_write_with_failing_memory),
        cmocka_unit_test(test_seal_with_a_failing_disk),
        cmocka_unit_test(test_group_commit_deadlines_and_overload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
