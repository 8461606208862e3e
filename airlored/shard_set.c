#include "shard_set.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "airlore/pool.h"

#define OPENERS_MAX 7u /* besides the thread that asked */
#define SERIES_MAX 64u /* more shards than this are shown as one sum */

/* What is shown of a shard. */
enum gauge {
    DOCS,
    CHUNKS,
    TOMBSTONES,
    SEGMENTS,
    GROWING_ROWS,
    STORE_BYTES,
    SEGMENT_BYTES,
    MEMORY_BYTES,
    APPLIED_INDEX,
    STALE_DOCS,
    READ_ONLY,
    N_GAUGES,
};

static const struct {
    const char *name;
    const char *help;
} gauges[N_GAUGES] = {
    [DOCS] = {"airlore_shard_documents", "Documents in the shard."},
    [CHUNKS] = {"airlore_shard_chunks", "Live chunks in the shard."},
    [TOMBSTONES] = {"airlore_shard_tombstones", "Dead rows that segments still hold."},
    [SEGMENTS] = {"airlore_shard_segments", "Sealed segments."},
    [GROWING_ROWS] = {"airlore_shard_growing_rows", "Rows of the growing segment."},
    [STORE_BYTES] = {"airlore_shard_store_bytes", "Store on disk."},
    [SEGMENT_BYTES] = {"airlore_shard_segment_bytes", "Segments on disk."},
    [MEMORY_BYTES] = {"airlore_shard_memory_bytes", "Memory held by segments."},
    [APPLIED_INDEX] = {"airlore_shard_applied_index", "Last entry of the log that was applied."},
    [STALE_DOCS] = {"airlore_shard_stale_documents", "Documents with vectors of another embedder."},
    [READ_ONLY] = {"airlore_shard_read_only", "1 while the shard refuses writes."},
};

struct series {
    struct al_metric *gauge[N_GAUGES];
};

struct member {
    struct al_shard *shard;
    struct al_shard_port *port;
};

struct al_shard_set {
    struct al_mem *mem;
    struct member *members; /* documents first, the system's last */
    size_t n_members;
    bool had_shards;              /* all of them were opened before: none is made anew */
    struct al_shard_port **ports; /* of the router */
    struct al_router router;
    struct series *series;
    size_t n_series; /* n_members, or 2: all shards of documents and the system's */
};

static enum al_code open_member(const struct al_shard_set_options *opt, struct al_shard_set *set,
                                size_t i, struct al_err *err)
{
    const struct al_settings *s = opt->settings;
    bool is_system = i == set->n_members - 1;
    char name[32];
    char dir[4200];
    struct al_shard_options o = {.dim = opt->dim,
                                 .embedder_id = opt->embedder_id,
                                 .seal_rows = (uint32_t)s->shard_seal_rows,
                                 .merge_factor = (uint32_t)s->shard_merge_factor,
                                 .scan_rows_max = (uint32_t)s->shard_scan_rows,
                                 .index_threads = (uint32_t)s->shard_index_threads,
                                 .huge_copy_bytes = s->shard_huge_copy_bytes,
                                 .min_free_bytes = s->shard_min_free_bytes,
                                 .write_id_ttl_ms = s->shard_write_id_ttl_ms,
                                 .must_exist = set->had_shards,
                                 .background = true,
                                 .mem = opt->mem,
                                 .disk = opt->disk,
                                 .clock = opt->clock,
                                 .log = opt->log,
                                 .metrics = opt->metrics};
    if (is_system) {
        o.id.v = AL_SHARD_SYSTEM;
        o.slot_last = UINT16_MAX;
        snprintf(name, sizeof name, "system");
    } else {
        o.id.v = (uint32_t)i;
        al_router_slots(i, set->n_members - 1, &o.slot_first, &o.slot_last);
        snprintf(name, sizeof name, "shards/%04zu", i);
    }
    AL_TRY(al_data_folder_path(opt->folder, name, dir, sizeof dir, err));
    AL_TRY_CTX(err, al_disk_mkdirs(opt->disk, dir, 0700, err), "shard '%s'", name);
    o.dir = dir;
    struct member *m = &set->members[i];
    AL_TRY_CTX(err, al_shard_open(&o, &m->shard, err), "shard '%s'", name);
    return al_shard_port_local(m->shard, opt->mem, &m->port, err);
}

/* Members are opened by a few threads at once: most of an open is waiting for the disk. */
struct opening {
    const struct al_shard_set_options *opt;
    struct al_shard_set *set;
    pthread_mutex_t mu;
    size_t next;       /* guarded by mu, as is what follows */
    enum al_code code; /* of the first that failed */
    struct al_err err;
};

static void *open_some(void *u)
{
    struct opening *o = u;
    for (;;) {
        pthread_mutex_lock(&o->mu);
        size_t i = o->next;
        bool more = i < o->set->n_members && o->code == AL_OK;
        o->next += more ? 1 : 0;
        pthread_mutex_unlock(&o->mu);
        if (!more)
            return NULL;
        struct al_err err = {.code = AL_OK};
        enum al_code code = open_member(o->opt, o->set, i, &err);
        pthread_mutex_lock(&o->mu);
        if (code != AL_OK && o->code == AL_OK) {
            o->code = code;
            o->err = err;
        }
        pthread_mutex_unlock(&o->mu);
    }
}

static enum al_code open_all(const struct al_shard_set_options *opt, struct al_shard_set *set,
                             struct al_err *err)
{
    struct opening o = {.opt = opt, .set = set, .mu = PTHREAD_MUTEX_INITIALIZER};
    unsigned long threads[OPENERS_MAX];
    size_t n = 0;
    while (n < OPENERS_MAX && n + 1 < set->n_members &&
           al_thread_start("al-open", open_some, &o, &threads[n], NULL) == AL_OK)
        n++;
    open_some(&o); /* also when no thread could be had */
    while (n > 0)
        pthread_join(threads[--n], NULL);
    if (o.code != AL_OK && err)
        *err = o.err;
    return o.code;
}

static void label(const struct al_shard_set *set, size_t i, char *buf, size_t n)
{
    if (i == set->n_series - 1)
        snprintf(buf, n, "shard=\"%u\"", AL_SHARD_SYSTEM); /* as the shard's own metrics have it */
    else if (set->n_series < set->n_members)
        snprintf(buf, n, "shard=\"all\"");
    else
        snprintf(buf, n, "shard=\"%zu\"", i);
}

static enum al_code register_gauges(struct al_shard_set *set, struct al_metrics *metrics,
                                    struct al_err *err)
{
    for (size_t i = 0; i < set->n_series; i++) {
        char text[32];
        label(set, i, text, sizeof text);
        for (size_t g = 0; g < N_GAUGES; g++)
            AL_TRY(al_metrics_gauge(metrics, gauges[g].name, gauges[g].help, text,
                                    &set->series[i].gauge[g], err));
    }
    return AL_OK;
}

static enum al_code allocate(struct al_shard_set *set, size_t n_shards, struct al_err *err)
{
    set->n_members = n_shards + 1;
    set->n_series = n_shards > SERIES_MAX ? 2 : n_shards + 1;
    set->members = al_mem_array(set->mem, set->n_members, sizeof *set->members);
    set->ports = al_mem_array(set->mem, n_shards, sizeof *set->ports);
    set->series = al_mem_array(set->mem, set->n_series, sizeof *set->series);
    if (!set->members || !set->ports || !set->series)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "shards: out of memory");
    return AL_OK;
}

/* DATA/created: there once all shards were opened. */
static enum al_code look_for_mark(const struct al_shard_set_options *opt, struct al_shard_set *set,
                                  struct al_err *err)
{
    char path[4200];
    uint64_t n = 0;
    AL_TRY(al_data_folder_path(opt->folder, "created", path, sizeof path, err));
    struct al_err e = {.code = AL_OK};
    enum al_code code = opt->disk->ops->size(opt->disk, path, &n, &e);
    set->had_shards = code == AL_OK;
    if (code == AL_OK || code == AL_NOT_FOUND)
        return AL_OK;
    if (err)
        *err = e;
    return code;
}

/* Without it (a full disk) the marks of the shards themselves still hold; the next start leaves it.
 */
static void leave_mark(const struct al_shard_set_options *opt, const struct al_shard_set *set)
{
    char path[4200];
    struct al_err err = {.code = AL_OK};
    if (set->had_shards)
        return;
    enum al_code code = al_data_folder_path(opt->folder, "created", path, sizeof path, &err);
    if (code == AL_OK)
        code = al_disk_write_file(opt->disk, path, AL_STR("airlore-shards 1\n"), 0600, &err);
    if (code != AL_OK)
        al_log_err(opt->log, AL_LOG_WARN, "shards.mark", &err);
}

enum al_code al_shard_set_open(const struct al_shard_set_options *opt, struct al_shard_set **ret,
                               struct al_err *err)
{
    AL_AUTO(al_shard_set) set = al_mem_zalloc(opt->mem, sizeof *set);
    if (!set)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "shards: out of memory");
    set->mem = opt->mem;
    size_t n_shards = opt->settings->shards;
    AL_TRY(allocate(set, n_shards, err));
    AL_TRY(look_for_mark(opt, set, err));
    AL_TRY(open_all(opt, set, err));
    leave_mark(opt, set);
    for (size_t i = 0; i < n_shards; i++)
        set->ports[i] = set->members[i].port;
    set->router = (struct al_router){.shards = set->ports, .n_shards = n_shards};
    AL_TRY(register_gauges(set, opt->metrics, err));
    *ret = al_take(set);
    return AL_OK;
}

void al_shard_set_close(struct al_shard_set *s)
{
    for (size_t i = 0; s->members && i < s->n_members; i++) {
        if (s->members[i].shard)
            al_shard_close(s->members[i].shard);
    }
}

void al_shard_set_destroy(struct al_shard_set *s)
{
    if (!s)
        return;
    al_shard_set_close(s);
    for (size_t i = s->members ? s->n_members : 0; i > 0; i--) {
        struct member *m = &s->members[i - 1];
        if (m->port)
            m->port->ops->destroy(m->port);
        al_shard_destroy(m->shard);
    }
    al_mem_free(s->mem, s->series);
    al_mem_free(s->mem, s->ports);
    al_mem_free(s->mem, s->members);
    al_mem_free(s->mem, s);
}

struct al_router *al_shard_set_router(struct al_shard_set *s)
{
    return &s->router;
}

struct al_shard_port *al_shard_set_system(struct al_shard_set *s)
{
    return s->members[s->n_members - 1].port;
}

static void add_status(const struct al_shard_status *st, double sum[N_GAUGES])
{
    sum[DOCS] += (double)st->n_docs;
    sum[CHUNKS] += (double)st->n_chunks;
    sum[TOMBSTONES] += (double)st->n_tombstones;
    sum[SEGMENTS] += (double)st->n_segments;
    sum[GROWING_ROWS] += (double)st->growing_rows;
    sum[STORE_BYTES] += (double)st->store_bytes;
    sum[SEGMENT_BYTES] += (double)st->segment_bytes;
    sum[MEMORY_BYTES] += (double)st->memory_bytes;
    sum[APPLIED_INDEX] += (double)st->applied_index;
    sum[STALE_DOCS] += (double)st->stale_docs;
    sum[READ_ONLY] += st->read_only ? 1 : 0;
}

void al_shard_set_measure(struct al_shard_set *s)
{
    size_t per_series = s->n_series < s->n_members ? s->n_members - 1 : 1;
    for (size_t i = 0, series = 0; i < s->n_members; series++) {
        double sum[N_GAUGES] = {0};
        size_t end = i == s->n_members - 1 ? s->n_members : i + per_series;
        for (; i < end; i++) {
            struct al_shard_status st;
            al_shard_get_status(s->members[i].shard, &st);
            add_status(&st, sum);
        }
        for (size_t g = 0; g < N_GAUGES; g++)
            al_metric_set(s->series[series].gauge[g], sum[g]);
    }
}

bool al_shard_set_is_writable(struct al_shard_set *s, char *why, size_t n)
{
    for (size_t i = 0; i < s->n_members; i++) {
        struct al_shard_status st;
        al_shard_get_status(s->members[i].shard, &st);
        if (!st.read_only)
            continue;
        if (i == s->n_members - 1)
            snprintf(why, n, "shard system is read-only: %s", st.why);
        else
            snprintf(why, n, "shard %zu is read-only: %s", i, st.why);
        return false;
    }
    return true;
}
