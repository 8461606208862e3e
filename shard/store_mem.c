/* The store port in memory, for tests: ordered arrays, a registry by folder name that outlives a
 * store, and faults: a crash loses what was not synced, as the real one may. */
#include "store.h"

#include <pthread.h>
#include <string.h>

/* One key and value, shared between the live state, the durable state and iterators; never changed.
 */
struct kv {
    size_t refs;
    struct al_str key;
    struct al_str value;
    bool damaged;
};

struct table {
    struct kv **items;
    size_t n;
    size_t cap;
};

enum change_kind { PUT, DELETE, DELETE_RANGE };

struct change {
    enum change_kind kind;
    enum al_family family;
    struct kv *kv; /* DELETE: key; DELETE_RANGE: [key, value) */
};

struct changes {
    struct change *items;
    size_t n;
    size_t cap;
};

struct mem_store;

/* What survives a process: one for each folder name. */
struct disk {
    struct disk *next; /* registry */
    char *dir;
    struct mem_store *open;
    struct table live[AL_FAMILY_COUNT];
    struct table durable[AL_FAMILY_COUNT];
    struct changes unsynced;
    bool fault_armed;
    uint64_t fault_after;
    enum al_store_mem_fault fault;
};

struct mem_store {
    struct al_store base;
    struct al_mem *mem;
    struct disk *disk; /* NULL after a crash */
    bool salvage;
};

struct al_store_batch {
    struct mem_store *s;
    struct changes changes;
    bool failed;
};

struct al_store_iter {
    struct mem_store *s;
    struct table view;
    size_t at;
    bool damaged;
};

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct disk *registry;

static struct mem_store *mem_of(struct al_store *s)
{
    return (struct mem_store *)(void *)s;
}

static struct kv *kv_create(struct al_str key, struct al_str value)
{
    struct kv *kv = al_mem_zalloc(NULL, sizeof(*kv) + key.n + value.n + 1);
    AL_ASSERT(kv);
    char *p = (char *)(kv + 1);
    if (key.n)
        memcpy(p, key.p, key.n);
    if (value.n)
        memcpy(p + key.n, value.p, value.n);
    kv->refs = 1;
    kv->key = (struct al_str){p, key.n};
    kv->value = (struct al_str){p + key.n, value.n};
    return kv;
}

static struct kv *kv_ref(struct kv *kv)
{
    kv->refs++;
    return kv;
}

static void kv_unref(struct kv *kv)
{
    if (--kv->refs == 0)
        al_mem_free(NULL, kv);
}

static size_t table_find(const struct table *t, struct al_str key)
{
    size_t lo = 0;
    size_t hi = t->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (al_str_cmp(t->items[mid]->key, key) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static bool table_has_at(const struct table *t, size_t i, struct al_str key)
{
    return i < t->n && al_str_eq(t->items[i]->key, key);
}

static void table_cut(struct table *t, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        kv_unref(t->items[i]);
    if (to > from)
        memmove(t->items + from, t->items + to, (t->n - to) * sizeof(*t->items));
    t->n -= to - from;
}

static void table_put(struct table *t, struct kv *kv)
{
    size_t i = table_find(t, kv->key);
    if (table_has_at(t, i, kv->key)) {
        kv_unref(t->items[i]);
        t->items[i] = kv_ref(kv);
        return;
    }
    AL_ASSERT(al_mem_grow(NULL, (void **)&t->items, &t->cap, t->n + 1, sizeof(*t->items)) == AL_OK);
    memmove(t->items + i + 1, t->items + i, (t->n - i) * sizeof(*t->items));
    t->items[i] = kv_ref(kv);
    t->n++;
}

static void table_fini(struct table *t)
{
    table_cut(t, 0, t->n);
    al_mem_free(NULL, t->items);
    memset(t, 0, sizeof(*t));
}

static void table_copy(struct table *to, const struct table *from)
{
    memset(to, 0, sizeof(*to));
    if (from->n == 0)
        return;
    to->items = al_mem_array(NULL, from->n, sizeof(*to->items));
    AL_ASSERT(to->items);
    for (size_t i = 0; i < from->n; i++)
        to->items[i] = kv_ref(from->items[i]);
    to->n = from->n;
    to->cap = from->n;
}

static void change_apply(struct table *tables, const struct change *c)
{
    struct table *t = &tables[c->family];
    size_t i = table_find(t, c->kv->key);
    switch (c->kind) {
    case PUT:
        table_put(t, c->kv);
        break;
    case DELETE:
        if (table_has_at(t, i, c->kv->key))
            table_cut(t, i, i + 1);
        break;
    case DELETE_RANGE: {
        size_t end = table_find(t, c->kv->value);
        if (end > i)
            table_cut(t, i, end);
        break;
    }
    }
}

static void changes_add(struct changes *c, struct change change)
{
    AL_ASSERT(al_mem_grow(NULL, (void **)&c->items, &c->cap, c->n + 1, sizeof(*c->items)) == AL_OK);
    c->items[c->n++] = change;
}

static void changes_clear(struct changes *c)
{
    for (size_t i = 0; i < c->n; i++)
        kv_unref(c->items[i].kv);
    c->n = 0;
}

static void changes_fini(struct changes *c)
{
    changes_clear(c);
    al_mem_free(NULL, c->items);
    memset(c, 0, sizeof(*c));
}

static struct disk *disk_find(const char *dir)
{
    for (struct disk *d = registry; d; d = d->next) {
        if (strcmp(d->dir, dir) == 0)
            return d;
    }
    return NULL;
}

static struct disk *disk_get(const char *dir)
{
    struct disk *d = disk_find(dir);
    if (d)
        return d;
    d = al_mem_zalloc(NULL, sizeof(*d));
    AL_ASSERT(d);
    d->dir = al_mem_strndup(NULL, dir, strlen(dir));
    AL_ASSERT(d->dir);
    d->next = registry;
    registry = d;
    return d;
}

static void disk_sync(struct disk *d)
{
    for (size_t i = 0; i < d->unsynced.n; i++)
        change_apply(d->durable, &d->unsynced.items[i]);
    changes_clear(&d->unsynced);
}

/* The process dies: the open store is cut off. */
static void disk_crash(struct disk *d, bool lose_unsynced)
{
    if (!lose_unsynced)
        disk_sync(d);
    changes_clear(&d->unsynced);
    for (int f = 0; f < AL_FAMILY_COUNT; f++) {
        table_fini(&d->live[f]);
        table_copy(&d->live[f], &d->durable[f]);
    }
    if (d->open)
        d->open->disk = NULL;
    d->open = NULL;
    d->fault_armed = false;
}

static enum al_code fail_dead(struct al_err *err)
{
    return AL_FAIL_R(err, AL_UNKNOWN, "OUTCOME_UNKNOWN", "store: crashed");
}

static enum al_code mem_get(struct al_store *s, enum al_family f, struct al_str key,
                            struct al_buf *ret, struct al_err *err)
{
    struct mem_store *m = mem_of(s);
    pthread_mutex_lock(&registry_lock);
    enum al_code code;
    if (!m->disk) {
        code = AL_FAIL(err, AL_UNAVAILABLE, "store: crashed");
    } else {
        const struct table *t = &m->disk->live[f];
        size_t i = table_find(t, key);
        if (!table_has_at(t, i, key)) {
            code = AL_FAIL(err, AL_NOT_FOUND, "store: no such key in '%s'", al_family_names[f]);
        } else if (t->items[i]->damaged) {
            code = AL_FAIL_R(err, AL_DATA_LOSS, "DATA_CORRUPT", "store: get: damaged block");
        } else {
            al_buf_str(ret, t->items[i]->value);
            code = al_buf_status(ret, err);
        }
    }
    pthread_mutex_unlock(&registry_lock);
    return code;
}

static enum al_code mem_batch_create(struct al_store *s, struct al_store_batch **ret,
                                     struct al_err *err)
{
    struct al_store_batch *b = al_mem_zalloc(mem_of(s)->mem, sizeof(*b));
    if (!b)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "store: out of memory");
    b->s = mem_of(s);
    *ret = b;
    return AL_OK;
}

static void mem_batch_put(struct al_store_batch *b, enum al_family f, struct al_str key,
                          struct al_str value)
{
    changes_add(&b->changes, (struct change){PUT, f, kv_create(key, value)});
}

static void mem_batch_delete(struct al_store_batch *b, enum al_family f, struct al_str key)
{
    changes_add(&b->changes, (struct change){DELETE, f, kv_create(key, AL_STR(""))});
}

static void mem_batch_delete_range(struct al_store_batch *b, enum al_family f, struct al_str from,
                                   struct al_str to)
{
    changes_add(&b->changes, (struct change){DELETE_RANGE, f, kv_create(from, to)});
}

static void mem_batch_destroy(struct al_store_batch *b)
{
    if (!b)
        return;
    pthread_mutex_lock(&registry_lock);
    changes_fini(&b->changes);
    pthread_mutex_unlock(&registry_lock);
    al_mem_free(b->s->mem, b);
}

static void disk_commit(struct disk *d, struct changes *c, bool sync)
{
    for (size_t i = 0; i < c->n; i++) {
        change_apply(d->live, &c->items[i]);
        kv_ref(c->items[i].kv);
        changes_add(&d->unsynced, c->items[i]);
    }
    if (sync)
        disk_sync(d);
}

/* The armed fault strikes this write. */
static enum al_code disk_fail(struct disk *d, struct changes *c, struct al_err *err)
{
    if (d->fault == AL_STORE_MEM_FULL) {
        d->fault_armed = false;
        return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "DISK_FULL", "store: write: no space left");
    }
    if (d->fault == AL_STORE_MEM_DURABLE)
        disk_commit(d, c, true);
    disk_crash(d, true);
    return fail_dead(err);
}

static enum al_code mem_write(struct al_store *s, struct al_store_batch *b, bool sync,
                              struct al_err *err)
{
    struct mem_store *m = mem_of(s);
    pthread_mutex_lock(&registry_lock);
    enum al_code code = AL_OK;
    struct disk *d = m->disk;
    if (m->salvage) {
        code = AL_FAIL_R(err, AL_DATA_LOSS, "STORE_READ_ONLY", "store: opened for reading");
    } else if (!d) {
        code = fail_dead(err);
    } else if (d->fault_armed && d->fault_after-- == 0) {
        code = disk_fail(d, &b->changes, err);
    } else {
        disk_commit(d, &b->changes, sync);
        changes_clear(&b->changes);
    }
    pthread_mutex_unlock(&registry_lock);
    return code;
}

static enum al_code mem_iter_create(struct al_store *s, enum al_family f,
                                    struct al_store_iter **ret, struct al_err *err)
{
    struct mem_store *m = mem_of(s);
    struct al_store_iter *it = al_mem_zalloc(m->mem, sizeof(*it));
    if (!it)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "store: out of memory");
    it->s = m;
    pthread_mutex_lock(&registry_lock);
    bool dead = !m->disk;
    if (!dead)
        table_copy(&it->view, &m->disk->live[f]);
    pthread_mutex_unlock(&registry_lock);
    if (dead) {
        al_mem_free(m->mem, it);
        return AL_FAIL(err, AL_UNAVAILABLE, "store: crashed");
    }
    it->at = it->view.n;
    *ret = it;
    return AL_OK;
}

static void mem_iter_destroy(struct al_store_iter *it)
{
    if (!it)
        return;
    pthread_mutex_lock(&registry_lock);
    table_fini(&it->view);
    pthread_mutex_unlock(&registry_lock);
    al_mem_free(it->s->mem, it);
}

static void iter_land(struct al_store_iter *it, size_t at)
{
    it->at = at;
    if (at < it->view.n && it->view.items[at]->damaged)
        it->damaged = true;
}

static void mem_iter_seek(struct al_store_iter *it, struct al_str key)
{
    it->damaged = false;
    iter_land(it, table_find(&it->view, key));
}

static void mem_iter_seek_last(struct al_store_iter *it)
{
    it->damaged = false;
    iter_land(it, it->view.n ? it->view.n - 1 : 0);
}

static bool mem_iter_valid(const struct al_store_iter *it)
{
    return it->at < it->view.n && !it->damaged;
}

static void mem_iter_next(struct al_store_iter *it)
{
    iter_land(it, it->at + 1);
}

static struct al_str mem_iter_key(const struct al_store_iter *it)
{
    return it->view.items[it->at]->key;
}

static struct al_str mem_iter_value(const struct al_store_iter *it)
{
    return it->view.items[it->at]->value;
}

static enum al_code mem_iter_status(const struct al_store_iter *it, struct al_err *err)
{
    if (it->damaged)
        return AL_FAIL_R(err, AL_DATA_LOSS, "DATA_CORRUPT", "store: scan: damaged block");
    return AL_OK;
}

static uint64_t mem_size_bytes(struct al_store *s)
{
    struct mem_store *m = mem_of(s);
    uint64_t total = 0;
    pthread_mutex_lock(&registry_lock);
    for (int f = 0; m->disk && f < AL_FAMILY_COUNT; f++) {
        const struct table *t = &m->disk->live[f];
        for (size_t i = 0; i < t->n; i++)
            total += t->items[i]->key.n + t->items[i]->value.n;
    }
    pthread_mutex_unlock(&registry_lock);
    return total;
}

static enum al_code mem_flush(struct al_store *s, struct al_err *err)
{
    struct mem_store *m = mem_of(s);
    pthread_mutex_lock(&registry_lock);
    enum al_code code = m->disk ? AL_OK : fail_dead(err);
    if (m->disk)
        disk_sync(m->disk);
    pthread_mutex_unlock(&registry_lock);
    return code;
}

static void mem_destroy(struct al_store *s)
{
    if (!s)
        return;
    struct mem_store *m = mem_of(s);
    pthread_mutex_lock(&registry_lock);
    if (m->disk && !m->salvage)
        m->disk->open = NULL;
    pthread_mutex_unlock(&registry_lock);
    al_mem_free(m->mem, m);
}

static const struct al_store_ops mem_ops = {
    .get = mem_get,
    .batch_create = mem_batch_create,
    .batch_put = mem_batch_put,
    .batch_delete = mem_batch_delete,
    .batch_delete_range = mem_batch_delete_range,
    .batch_destroy = mem_batch_destroy,
    .write = mem_write,
    .iter_create = mem_iter_create,
    .iter_destroy = mem_iter_destroy,
    .iter_seek = mem_iter_seek,
    .iter_seek_last = mem_iter_seek_last,
    .iter_valid = mem_iter_valid,
    .iter_next = mem_iter_next,
    .iter_key = mem_iter_key,
    .iter_value = mem_iter_value,
    .iter_status = mem_iter_status,
    .size_bytes = mem_size_bytes,
    .flush = mem_flush,
    .destroy = mem_destroy,
};

static enum al_code mem_open(const struct al_store_options *opt, struct al_store **ret,
                             struct al_err *err)
{
    struct mem_store *m = al_mem_zalloc(opt->mem, sizeof(*m));
    if (!m)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "store '%s': out of memory", opt->dir);
    m->base.ops = &mem_ops;
    m->mem = opt->mem;
    m->salvage = opt->salvage;
    pthread_mutex_lock(&registry_lock);
    if (opt->must_exist && !disk_find(opt->dir)) {
        pthread_mutex_unlock(&registry_lock);
        al_mem_free(opt->mem, m);
        return al_store_fail_missing(opt->dir, err);
    }
    struct disk *d = disk_get(opt->dir);
    bool used = d->open && !opt->salvage;
    if (!used) {
        m->disk = d;
        if (!opt->salvage)
            d->open = m;
    }
    pthread_mutex_unlock(&registry_lock);
    if (used) {
        al_mem_free(opt->mem, m);
        return AL_FAIL_R(err, AL_FAILED_PRECONDITION, "IN_USE",
                         "data folder '%s' is in use by another airlored", opt->dir);
    }
    *ret = &m->base;
    return AL_OK;
}

const struct al_store_factory *al_store_mem(void)
{
    static const struct al_store_factory factory = {.name = "mem", .open = mem_open};
    return &factory;
}

void al_store_mem_crash(const char *dir, bool lose_unsynced)
{
    pthread_mutex_lock(&registry_lock);
    disk_crash(disk_get(dir), lose_unsynced);
    pthread_mutex_unlock(&registry_lock);
}

void al_store_mem_forget(const char *dir)
{
    pthread_mutex_lock(&registry_lock);
    for (struct disk **at = &registry; *at; at = &(*at)->next) {
        struct disk *d = *at;
        if (strcmp(d->dir, dir) != 0)
            continue;
        *at = d->next;
        changes_fini(&d->unsynced);
        for (int f = 0; f < AL_FAMILY_COUNT; f++) {
            table_fini(&d->live[f]);
            table_fini(&d->durable[f]);
        }
        al_mem_free(NULL, d->dir);
        al_mem_free(NULL, d);
        break;
    }
    pthread_mutex_unlock(&registry_lock);
}

void al_store_mem_fail_write(const char *dir, uint64_t nth, enum al_store_mem_fault fault)
{
    pthread_mutex_lock(&registry_lock);
    struct disk *d = disk_get(dir);
    d->fault_armed = true;
    d->fault_after = nth;
    d->fault = fault;
    pthread_mutex_unlock(&registry_lock);
}

void al_store_mem_damage(const char *dir, enum al_family f, struct al_str key)
{
    pthread_mutex_lock(&registry_lock);
    struct table *t = &disk_get(dir)->live[f];
    size_t i = table_find(t, key);
    if (table_has_at(t, i, key))
        t->items[i]->damaged = true; /* shared with the durable state */
    pthread_mutex_unlock(&registry_lock);
}
