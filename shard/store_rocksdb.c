/* The RocksDB back end of the store port. The only file that knows RocksDB. */
#include "store.h"

#include <errno.h>
#include <rocksdb/c.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define CACHE_BYTES (16u << 20)
#define FAMILY_BUFFER_BYTES (8u << 20)
#define ALL_BUFFERS_BYTES (24u << 20) /* of all families together */
#define WAL_BYTES_MAX (64u << 20)
#define OPEN_FILES_MAX 256
#define ARENA_BLOCK_BYTES (128u << 10)
#define RDB_LOG_FATAL 4
#define RECOVER_TOLERATE_TAIL 0  /* WALRecoveryMode: kTolerateCorruptedTailRecords */
#define RECOVER_SKIP_CORRUPTED 3 /* kSkipAnyCorruptedRecords */

struct rdb {
    struct al_store base;
    struct al_mem *mem;
    bool salvage;
    rocksdb_t *db;
    rocksdb_cache_t *cache;
    rocksdb_column_family_handle_t *cf[AL_FAMILY_COUNT];
    rocksdb_options_t *options[AL_FAMILY_COUNT];
    rocksdb_readoptions_t *get_options;
    rocksdb_writeoptions_t *sync_options;
    rocksdb_writeoptions_t *lazy_options;
};

struct al_store_batch {
    struct rdb *r;
    rocksdb_writebatch_t *wb;
};

struct al_store_iter {
    struct rdb *r;
    rocksdb_readoptions_t *options;
    rocksdb_iterator_t *it;
};

static struct rdb *rdb_of(struct al_store *s)
{
    return (struct rdb *)(void *)s;
}

static bool has(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

/* The text of RocksDB's Status becomes a code. Frees text. */
static enum al_code fail_read(char *text, const char *what, struct al_err *err)
{
    enum al_code code;
    if (has(text, "Too many open files") || has(text, "memory"))
        code = AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "store: %s: %s", what, text);
    else if (has(text, "Shutdown in progress"))
        code = AL_FAIL(err, AL_UNAVAILABLE, "store: %s: %s", what, text);
    else /* Corruption, a missing file, a read error of the medium: what was written cannot be read
          */
        code = AL_FAIL_R(err, AL_DATA_LOSS, "DATA_CORRUPT", "store: %s: %s", what, text);
    rocksdb_free(text);
    return code;
}

static enum al_code fail_write(char *text, struct al_err *err)
{
    enum al_code code;
    if (has(text, "No space left") || has(text, "Disk quota"))
        code = AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "DISK_FULL", "store: write: %s", text);
    else if (strncmp(text, "Corruption", 10) == 0)
        code = AL_FAIL_R(err, AL_DATA_LOSS, "DATA_CORRUPT", "store: write: %s", text);
    else
        code = AL_FAIL_R(err, AL_UNKNOWN, "OUTCOME_UNKNOWN", "store: write: %s", text);
    rocksdb_free(text);
    return code;
}

static enum al_code fail_open(char *text, const char *dir, struct al_err *err)
{
    enum al_code code;
    if (has(text, "lock hold by current process") || has(text, "While lock file"))
        code = AL_FAIL_R(err, AL_FAILED_PRECONDITION, "IN_USE",
                         "data folder '%s' is in use by another airlored", dir);
    else if (has(text, "olumn famil"))
        code = AL_FAIL_R(err, AL_FAILED_PRECONDITION, "FORMAT_TOO_NEW",
                         "store '%s': written by a newer version: %s", dir, text);
    else if (has(text, "No space left"))
        code = AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "DISK_FULL", "store '%s': %s", dir, text);
    else if (has(text, "Permission denied"))
        code = AL_FAIL(err, AL_PERMISSION_DENIED, "store '%s': %s", dir, text);
    else if (has(text, "Too many open files"))
        code = AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "store '%s': %s", dir, text);
    else
        code = AL_FAIL_R(err, AL_DATA_LOSS, "DATA_CORRUPT", "store '%s': %s", dir, text);
    rocksdb_free(text);
    return code;
}

static enum al_code rdb_get(struct al_store *s, enum al_family f, struct al_str key,
                            struct al_buf *ret, struct al_err *err)
{
    struct rdb *r = rdb_of(s);
    char *text = NULL;
    rocksdb_pinnableslice_t *v =
        rocksdb_get_pinned_cf(r->db, r->get_options, r->cf[f], key.p, key.n, &text);
    if (text)
        return fail_read(text, "get", err);
    if (!v)
        return AL_FAIL(err, AL_NOT_FOUND, "store: no such key in '%s'", al_family_names[f]);
    size_t n = 0;
    const char *p = rocksdb_pinnableslice_value(v, &n);
    al_buf_add(ret, p, n);
    rocksdb_pinnableslice_destroy(v);
    return al_buf_status(ret, err);
}

static enum al_code rdb_batch_create(struct al_store *s, struct al_store_batch **ret,
                                     struct al_err *err)
{
    struct rdb *r = rdb_of(s);
    struct al_store_batch *b = al_mem_zalloc(r->mem, sizeof(*b));
    if (!b)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "store: out of memory");
    b->r = r;
    b->wb = rocksdb_writebatch_create();
    *ret = b;
    return AL_OK;
}

static void rdb_batch_put(struct al_store_batch *b, enum al_family f, struct al_str key,
                          struct al_str value)
{
    rocksdb_writebatch_put_cf(b->wb, b->r->cf[f], key.p, key.n, value.p ? value.p : "", value.n);
}

static void rdb_batch_delete(struct al_store_batch *b, enum al_family f, struct al_str key)
{
    rocksdb_writebatch_delete_cf(b->wb, b->r->cf[f], key.p, key.n);
}

static void rdb_batch_delete_range(struct al_store_batch *b, enum al_family f, struct al_str from,
                                   struct al_str to)
{
    rocksdb_writebatch_delete_range_cf(b->wb, b->r->cf[f], from.p, from.n, to.p, to.n);
}

static void rdb_batch_destroy(struct al_store_batch *b)
{
    if (!b)
        return;
    rocksdb_writebatch_destroy(b->wb);
    al_mem_free(b->r->mem, b);
}

static enum al_code rdb_write(struct al_store *s, struct al_store_batch *b, bool sync,
                              struct al_err *err)
{
    struct rdb *r = rdb_of(s);
    if (r->salvage)
        return AL_FAIL_R(err, AL_DATA_LOSS, "STORE_READ_ONLY",
                         "store: damaged, opened for reading");
    char *text = NULL;
    rocksdb_write(r->db, sync ? r->sync_options : r->lazy_options, b->wb, &text);
    if (text)
        return fail_write(text, err);
    rocksdb_writebatch_clear(b->wb);
    return AL_OK;
}

static enum al_code rdb_iter_create(struct al_store *s, enum al_family f,
                                    struct al_store_iter **ret, struct al_err *err)
{
    struct rdb *r = rdb_of(s);
    struct al_store_iter *it = al_mem_zalloc(r->mem, sizeof(*it));
    if (!it)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "store: out of memory");
    it->r = r;
    it->options = rocksdb_readoptions_create();
    rocksdb_readoptions_set_fill_cache(it->options, 0);
    it->it = rocksdb_create_iterator_cf(r->db, it->options, r->cf[f]);
    *ret = it;
    return AL_OK;
}

static void rdb_iter_destroy(struct al_store_iter *it)
{
    if (!it)
        return;
    rocksdb_iter_destroy(it->it);
    rocksdb_readoptions_destroy(it->options);
    al_mem_free(it->r->mem, it);
}

static void rdb_iter_seek(struct al_store_iter *it, struct al_str key)
{
    rocksdb_iter_seek(it->it, key.p ? key.p : "", key.n);
}

static void rdb_iter_seek_last(struct al_store_iter *it)
{
    rocksdb_iter_seek_to_last(it->it);
}

static bool rdb_iter_valid(const struct al_store_iter *it)
{
    return rocksdb_iter_valid(it->it) != 0;
}

static void rdb_iter_next(struct al_store_iter *it)
{
    rocksdb_iter_next(it->it);
}

static struct al_str rdb_iter_key(const struct al_store_iter *it)
{
    struct al_str k = {0};
    k.p = rocksdb_iter_key(it->it, &k.n);
    return k;
}

static struct al_str rdb_iter_value(const struct al_store_iter *it)
{
    struct al_str v = {0};
    v.p = rocksdb_iter_value(it->it, &v.n);
    return v;
}

static enum al_code rdb_iter_status(const struct al_store_iter *it, struct al_err *err)
{
    char *text = NULL;
    rocksdb_iter_get_error(it->it, &text);
    return text ? fail_read(text, "scan", err) : AL_OK;
}

static uint64_t rdb_size_bytes(struct al_store *s)
{
    struct rdb *r = rdb_of(s);
    uint64_t total = 0;
    for (int f = 0; f < AL_FAMILY_COUNT; f++) {
        uint64_t v = 0;
        if (rocksdb_property_int_cf(r->db, r->cf[f], "rocksdb.total-sst-files-size", &v) == 0)
            total += v;
        if (rocksdb_property_int_cf(r->db, r->cf[f], "rocksdb.cur-size-all-mem-tables", &v) == 0)
            total += v; /* stands for the write-ahead log */
    }
    return total;
}

static enum al_code rdb_flush(struct al_store *s, struct al_err *err)
{
    struct rdb *r = rdb_of(s);
    if (r->salvage)
        return AL_OK;
    rocksdb_flushoptions_t *fo = rocksdb_flushoptions_create();
    rocksdb_flushoptions_set_wait(fo, 1);
    char *text = NULL;
    for (int f = 0; f < AL_FAMILY_COUNT && !text; f++)
        rocksdb_flush_cf(r->db, fo, r->cf[f], &text);
    rocksdb_flushoptions_destroy(fo);
    return text ? fail_write(text, err) : AL_OK;
}

static void rdb_destroy(struct al_store *s)
{
    if (!s)
        return;
    struct rdb *r = rdb_of(s);
    for (int f = 0; f < AL_FAMILY_COUNT; f++) {
        if (r->cf[f])
            rocksdb_column_family_handle_destroy(r->cf[f]);
    }
    if (r->db)
        rocksdb_close(r->db);
    for (int f = 0; f < AL_FAMILY_COUNT; f++) {
        if (r->options[f])
            rocksdb_options_destroy(r->options[f]);
    }
    if (r->cache)
        rocksdb_cache_destroy(r->cache);
    if (r->get_options)
        rocksdb_readoptions_destroy(r->get_options);
    if (r->sync_options)
        rocksdb_writeoptions_destroy(r->sync_options);
    if (r->lazy_options)
        rocksdb_writeoptions_destroy(r->lazy_options);
    al_mem_free(r->mem, r);
}

static const struct al_store_ops rdb_ops = {
    .get = rdb_get,
    .batch_create = rdb_batch_create,
    .batch_put = rdb_batch_put,
    .batch_delete = rdb_batch_delete,
    .batch_delete_range = rdb_batch_delete_range,
    .batch_destroy = rdb_batch_destroy,
    .write = rdb_write,
    .iter_create = rdb_iter_create,
    .iter_destroy = rdb_iter_destroy,
    .iter_seek = rdb_iter_seek,
    .iter_seek_last = rdb_iter_seek_last,
    .iter_valid = rdb_iter_valid,
    .iter_next = rdb_iter_next,
    .iter_key = rdb_iter_key,
    .iter_value = rdb_iter_value,
    .iter_status = rdb_iter_status,
    .size_bytes = rdb_size_bytes,
    .flush = rdb_flush,
    .destroy = rdb_destroy,
};

static bool may_create(const struct al_store_options *opt)
{
    return !opt->salvage && !opt->must_exist;
}

/* Options of the whole database; nothing runs while it is idle. */
static void set_db_options(rocksdb_options_t *o, bool salvage, bool may_create)
{
    rocksdb_options_set_create_if_missing(o, may_create);
    rocksdb_options_set_create_missing_column_families(o, !salvage);
    rocksdb_options_set_paranoid_checks(o, !salvage);
    rocksdb_options_set_wal_recovery_mode(o,
                                          salvage ? RECOVER_SKIP_CORRUPTED : RECOVER_TOLERATE_TAIL);
    rocksdb_options_set_max_open_files(o, OPEN_FILES_MAX);
    rocksdb_options_set_db_write_buffer_size(o, ALL_BUFFERS_BYTES);
    rocksdb_options_set_max_total_wal_size(o, WAL_BYTES_MAX);
    rocksdb_options_set_max_background_jobs(o, 2);
    rocksdb_options_set_info_log_level(o, RDB_LOG_FATAL);
    rocksdb_options_set_keep_log_file_num(o, 1);
    rocksdb_options_set_max_log_file_size(o, 1u << 20);
    rocksdb_options_set_stats_dump_period_sec(o, 0);
    rocksdb_options_set_stats_persist_period_sec(o, 0);
    rocksdb_options_set_bytes_per_sync(o, 1u << 20);
    rocksdb_options_set_avoid_unnecessary_blocking_io(o, 1);
}

static bool is_point_read(enum al_family f)
{
    return f == AL_FAMILY_DOC || f == AL_FAMILY_ROW || f == AL_FAMILY_WRITE_ID;
}

static void set_family_options(rocksdb_options_t *o, enum al_family f, rocksdb_cache_t *cache)
{
    rocksdb_options_set_write_buffer_size(o, FAMILY_BUFFER_BYTES);
    rocksdb_options_set_max_write_buffer_number(o, 2);
    rocksdb_options_set_arena_block_size(o, ARENA_BLOCK_BYTES);
    rocksdb_options_set_target_file_size_base(o, 32u << 20);
    rocksdb_options_set_level_compaction_dynamic_level_bytes(o, 1);
    /* vectors do not compress; text does */
    rocksdb_options_set_compression(o, f == AL_FAMILY_CHUNK ? rocksdb_no_compression
                                                            : rocksdb_lz4_compression);
    rocksdb_block_based_table_options_t *t = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_cache(t, cache);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(t, 1);
    if (is_point_read(f))
        rocksdb_block_based_options_set_filter_policy(t,
                                                      rocksdb_filterpolicy_create_bloom_full(10));
    rocksdb_options_set_block_based_table_factory(o, t);
    rocksdb_block_based_options_destroy(t);
}

static void make_options(struct rdb *r, const struct al_store_options *opt)
{
    r->cache = rocksdb_cache_create_lru(opt->cache_bytes ? opt->cache_bytes : CACHE_BYTES);
    for (int f = 0; f < AL_FAMILY_COUNT; f++) {
        r->options[f] = rocksdb_options_create();
        set_db_options(r->options[f], opt->salvage, may_create(opt));
        set_family_options(r->options[f], (enum al_family)f, r->cache);
    }
    r->get_options = rocksdb_readoptions_create();
    r->sync_options = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(r->sync_options, 1);
    r->lazy_options = rocksdb_writeoptions_create();
}

static enum al_code open_database(struct rdb *r, const char *dir, struct al_err *err)
{
    const rocksdb_options_t *options[AL_FAMILY_COUNT];
    const char *names[AL_FAMILY_COUNT];
    for (int f = 0; f < AL_FAMILY_COUNT; f++) {
        options[f] = r->options[f];
        names[f] = al_family_names[f];
    }
    char *text = NULL;
    if (r->salvage)
        r->db = rocksdb_open_for_read_only_column_families(r->options[0], dir, AL_FAMILY_COUNT,
                                                           names, options, r->cf, 0, &text);
    else
        r->db = rocksdb_open_column_families(r->options[0], dir, AL_FAMILY_COUNT, names, options,
                                             r->cf, &text);
    if (!text)
        return AL_OK;
    r->db = NULL;
    memset(r->cf, 0, sizeof(r->cf));
    return fail_open(text, dir, err);
}

/* CURRENT names the list of a database's files: without it RocksDB sees no database, whatever else
 * is in the folder. */
static enum al_code check_there(const char *dir, struct al_err *err)
{
    char path[4300];
    struct stat st;
    int n = snprintf(path, sizeof(path), "%s/CURRENT", dir);
    if (n < 0 || (size_t)n >= sizeof(path))
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "store '%.100s': path too long", dir);
    if (stat(path, &st) == 0)
        return AL_OK;
    if (errno == ENOENT || errno == ENOTDIR)
        return al_store_fail_missing(dir, err);
    return AL_FAIL_ERRNO(err, errno, "store '%s'", dir);
}

static enum al_code rdb_open(const struct al_store_options *opt, struct al_store **ret,
                             struct al_err *err)
{
    if (!may_create(opt))
        AL_TRY(check_there(opt->dir, err));
    else if (mkdir(opt->dir, 0700) != 0 && errno != EEXIST)
        return AL_FAIL_ERRNO(err, errno, "store '%s': make folder", opt->dir);
    struct rdb *r = al_mem_zalloc(opt->mem, sizeof(*r));
    if (!r)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "store '%s': out of memory", opt->dir);
    r->base.ops = &rdb_ops;
    r->mem = opt->mem;
    r->salvage = opt->salvage;
    make_options(r, opt);
    enum al_code code = open_database(r, opt->dir, err);
    if (code != AL_OK) {
        rdb_destroy(&r->base);
        return code;
    }
    *ret = &r->base;
    return AL_OK;
}

const struct al_store_factory *al_store_rocksdb(void)
{
    static const struct al_store_factory factory = {.name = "rocksdb", .open = rdb_open};
    return &factory;
}
