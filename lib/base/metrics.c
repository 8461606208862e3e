#include "airlore/metrics.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics_process.h"

#define SERIES_MAX 4096u
#define LABELS_BYTES_MAX 1024u

enum kind { KIND_COUNTER, KIND_GAUGE, KIND_HISTOGRAM };

static const double bounds[] = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                0.1,    0.25,    0.5,    1,     2.5,    5,     10,   30,    60};
#define N_BOUNDS AL_ARRAY_LEN(bounds)

struct histogram {
    _Atomic uint64_t buckets[N_BOUNDS + 1]; /* not cumulative; the last is +Inf */
    _Atomic uint64_t sum_bits;              /* a double */
};

struct al_metric {
    _Atomic(struct al_metric *) next; /* family.series, sorted by labels */
    enum kind kind;
    char *labels;           /* "" for none */
    _Atomic uint64_t value; /* a counter's number, a gauge's double */
    struct histogram *histogram;
    double (*fn)(void *u);
    void *u;
};

/* Lists only grow, under the lock; readers walk them without it. */
struct family {
    _Atomic(struct family *) next; /* al_metrics.families, sorted by name */
    const char *name;
    const char *help;
    enum kind kind;
    _Atomic(struct al_metric *) series;
};

struct al_metrics {
    struct al_mem *mem;
    pthread_mutex_t mu; /* guards registration */
    uint32_t n_series;  /* guarded by mu */
    _Atomic(struct family *) families;
};

struct registration {
    const char *name;
    const char *help;
    const char *labels;
    enum kind kind;
    double (*fn)(void *u);
    void *u;
};

static double double_of(uint64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static uint64_t bits_of(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

static bool is_name_char(char c, bool is_first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (!is_first && c >= '0' && c <= '9');
}

static size_t name_len(const char *s)
{
    size_t n = 0;
    while (is_name_char(s[n], n == 0))
        n++;
    return n;
}

/* The length of "value" with its quotes, 0 if it is none. */
static size_t label_value_len(const char *s)
{
    if (s[0] != '"')
        return 0;
    size_t i = 1;
    while (s[i] && s[i] != '"' && s[i] != '\n') {
        if (s[i] == '\\' && s[i + 1] != '\\' && s[i + 1] != '"' && s[i + 1] != 'n')
            return 0;
        i += s[i] == '\\' ? 2 : 1;
    }
    return s[i] == '"' ? i + 1 : 0;
}

/* a="x",b="y" */
static bool are_labels(const char *s)
{
    size_t len = strnlen(s, LABELS_BYTES_MAX + 1);
    if (len > LABELS_BYTES_MAX || !al_str_is_utf8((struct al_str){s, len}))
        return false;
    for (;;) {
        size_t n = name_len(s);
        if (n == 0 || s[n] != '=')
            return false;
        s += n + 1;
        n = label_value_len(s);
        if (n == 0)
            return false;
        s += n;
        if (!*s)
            return true;
        if (*s++ != ',')
            return false;
    }
}

void al_metrics_label(struct al_buf *b, const char *name, struct al_str value)
{
    if (b->n)
        al_buf_char(b, ',');
    al_buf_cstr(b, name);
    al_buf_cstr(b, "=\"");
    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];
        if (c == '\\' || c == '"')
            al_buf_char(b, '\\');
        if (c == '\n')
            al_buf_cstr(b, "\\n");
        else
            al_buf_char(b, c);
    }
    al_buf_char(b, '"');
}

static struct family *find_family(struct al_metrics *m, const struct registration *r,
                                  _Atomic(struct family *) **ret_at)
{
    _Atomic(struct family *) *at = &m->families;
    struct family *f = atomic_load(at);
    while (f && strcmp(f->name, r->name) < 0) {
        at = &f->next;
        f = atomic_load(at);
    }
    *ret_at = at;
    return f && strcmp(f->name, r->name) == 0 ? f : NULL;
}

static struct al_metric *find_series(struct family *f, const char *labels,
                                     _Atomic(struct al_metric *) **ret_at)
{
    _Atomic(struct al_metric *) *at = &f->series;
    struct al_metric *s = atomic_load(at);
    while (s && strcmp(s->labels, labels) < 0) {
        at = &s->next;
        s = atomic_load(at);
    }
    *ret_at = at;
    return s && strcmp(s->labels, labels) == 0 ? s : NULL;
}

static void free_series(struct al_metrics *m, struct al_metric *s)
{
    if (!s)
        return;
    al_mem_free(m->mem, s->labels);
    al_mem_free(m->mem, s->histogram);
    al_mem_free(m->mem, s);
}

static struct al_metric *new_series(struct al_metrics *m, const struct registration *r)
{
    struct al_metric *s = al_mem_zalloc(m->mem, sizeof *s);
    if (!s)
        return NULL;
    s->kind = r->kind;
    s->fn = r->fn;
    s->u = r->u;
    s->value = r->kind == KIND_GAUGE ? bits_of(0.0) : 0;
    s->labels = al_mem_strndup(m->mem, r->labels, strlen(r->labels));
    if (r->kind == KIND_HISTOGRAM)
        s->histogram = al_mem_zalloc(m->mem, sizeof *s->histogram);
    if (!s->labels || (r->kind == KIND_HISTOGRAM && !s->histogram)) {
        free_series(m, s);
        return NULL;
    }
    return s;
}

static enum al_code out_of_memory(const struct registration *r, struct al_err *err)
{
    return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "metric '%s': out of memory", r->name);
}

static enum al_code add_series(struct al_metrics *m, const struct registration *r,
                               struct al_metric **ret, struct al_err *err)
{
    _Atomic(struct family *) *family_at;
    struct family *f = find_family(m, r, &family_at);
    if (f && (f->kind != r->kind || strcmp(f->help, r->help) != 0))
        return AL_FAIL(err, AL_FAILED_PRECONDITION,
                       "metric '%s': registered before with another type or help", r->name);
    _Atomic(struct al_metric *) *at = NULL;
    struct al_metric *s = f ? find_series(f, r->labels, &at) : NULL;
    if (s && (s->fn || r->fn))
        return AL_FAIL(err, AL_ALREADY_EXISTS, "metric '%s{%s}': registered before", r->name,
                       r->labels);
    if (s) {
        *ret = s;
        return AL_OK;
    }
    if (m->n_series >= SERIES_MAX)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "metric '%s': more than %u series", r->name,
                       SERIES_MAX);
    s = new_series(m, r);
    if (!s)
        return out_of_memory(r, err);
    if (f) {
        atomic_store(&s->next, atomic_load(at));
        atomic_store(at, s);
    } else {
        f = al_mem_zalloc(m->mem, sizeof *f);
        if (!f) {
            free_series(m, s);
            return out_of_memory(r, err);
        }
        f->name = r->name;
        f->help = r->help;
        f->kind = r->kind;
        atomic_store(&f->series, s);
        atomic_store(&f->next, atomic_load(family_at));
        atomic_store(family_at, f);
    }
    m->n_series++;
    *ret = s;
    return AL_OK;
}

static enum al_code register_series(struct al_metrics *m, struct registration r,
                                    struct al_metric **ret, struct al_err *err)
{
    if (!m) {
        *ret = NULL;
        return AL_OK;
    }
    r.labels = r.labels ? r.labels : "";
    if (!*r.name || r.name[name_len(r.name)] != '\0')
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "metric '%.100s': not a metric name", r.name);
    if (*r.labels && !are_labels(r.labels))
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "metric '%s': labels '%.100s' malformed", r.name,
                       r.labels);
    pthread_mutex_lock(&m->mu);
    enum al_code code = add_series(m, &r, ret, err);
    pthread_mutex_unlock(&m->mu);
    return code;
}

static enum al_code add_process(struct al_metrics *m, struct al_err *err)
{
    static const struct registration process[] = {
        {"process_cpu_seconds_total", "User and system CPU time spent, in seconds.", NULL,
         KIND_COUNTER, al_process_cpu_s, NULL},
        {"process_open_fds", "Open file descriptors.", NULL, KIND_GAUGE, al_process_open_fds, NULL},
        {"process_resident_memory_bytes", "Resident memory, in bytes.", NULL, KIND_GAUGE,
         al_process_resident_bytes, NULL},
        {"process_start_time_seconds", "Start of the process, in seconds since the epoch.", NULL,
         KIND_GAUGE, al_process_start_s, NULL},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(process); i++) {
        struct al_metric *ignored;
        AL_TRY(register_series(m, process[i], &ignored, err));
    }
    return AL_OK;
}

enum al_code al_metrics_create(struct al_mem *mem, struct al_metrics **ret, struct al_err *err)
{
    AL_AUTO(al_metrics) m = al_mem_zalloc(mem, sizeof *m);
    if (!m)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "metrics: out of memory");
    m->mem = mem;
    pthread_mutex_init(&m->mu, NULL);
    AL_TRY(add_process(m, err));
    *ret = al_take(m);
    return AL_OK;
}

void al_metrics_destroy(struct al_metrics *m)
{
    if (!m)
        return;
    struct family *f = atomic_load(&m->families);
    while (f) {
        struct al_metric *s = atomic_load(&f->series);
        while (s) {
            struct al_metric *next = atomic_load(&s->next);
            free_series(m, s);
            s = next;
        }
        struct family *next = atomic_load(&f->next);
        al_mem_free(m->mem, f);
        f = next;
    }
    pthread_mutex_destroy(&m->mu);
    al_mem_free(m->mem, m);
}

enum al_code al_metrics_counter(struct al_metrics *m, const char *name, const char *help,
                                const char *labels, struct al_metric **ret, struct al_err *err)
{
    return register_series(m, (struct registration){name, help, labels, KIND_COUNTER, NULL, NULL},
                           ret, err);
}

enum al_code al_metrics_gauge(struct al_metrics *m, const char *name, const char *help,
                              const char *labels, struct al_metric **ret, struct al_err *err)
{
    return register_series(m, (struct registration){name, help, labels, KIND_GAUGE, NULL, NULL},
                           ret, err);
}

enum al_code al_metrics_histogram(struct al_metrics *m, const char *name, const char *help,
                                  const char *labels, struct al_metric **ret, struct al_err *err)
{
    return register_series(m, (struct registration){name, help, labels, KIND_HISTOGRAM, NULL, NULL},
                           ret, err);
}

// NOLINTNEXTLINE(readability-function-size): seven parameters, but two are one closure
enum al_code al_metrics_gauge_fn(struct al_metrics *m, const char *name, const char *help,
                                 const char *labels, double (*fn)(void *u), void *u,
                                 struct al_err *err)
{
    struct al_metric *ignored;
    return register_series(m, (struct registration){name, help, labels, KIND_GAUGE, fn, u},
                           &ignored, err);
}

static void add_double(_Atomic uint64_t *bits, double v)
{
    uint64_t old = atomic_load_explicit(bits, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(bits, &old, bits_of(double_of(old) + v),
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
}

void al_metric_add(struct al_metric *h, uint64_t n)
{
    if (!h)
        return;
    AL_ASSERT(h->kind != KIND_HISTOGRAM);
    if (h->kind == KIND_COUNTER)
        atomic_fetch_add_explicit(&h->value, n, memory_order_relaxed);
    else
        add_double(&h->value, (double)n);
}

void al_metric_set(struct al_metric *h, double v)
{
    if (!h)
        return;
    AL_ASSERT(h->kind == KIND_GAUGE);
    atomic_store_explicit(&h->value, bits_of(v), memory_order_relaxed);
}

void al_metric_observe(struct al_metric *h, double v)
{
    if (!h)
        return;
    AL_ASSERT(h->kind == KIND_HISTOGRAM);
    if (!isfinite(v) || v < 0)
        return; /* a clock's fault: the sum must stay a counter */
    size_t i = 0;
    while (i < N_BOUNDS && v > bounds[i])
        i++;
    add_double(&h->histogram->sum_bits, v);
    atomic_fetch_add_explicit(&h->histogram->buckets[i], 1, memory_order_relaxed);
}

double al_metric_value(const struct al_metric *h)
{
    if (!h)
        return 0;
    if (h->fn)
        return h->fn(h->u);
    if (h->kind == KIND_COUNTER)
        return (double)atomic_load_explicit(&h->value, memory_order_relaxed);
    if (h->kind == KIND_GAUGE)
        return double_of(atomic_load_explicit(&h->value, memory_order_relaxed));
    uint64_t count = 0;
    for (size_t i = 0; i <= N_BOUNDS; i++)
        count += atomic_load_explicit(&h->histogram->buckets[i], memory_order_relaxed);
    return (double)count;
}

static void write_number(struct al_buf *b, double v)
{
    if (isnan(v))
        al_buf_cstr(b, "NaN");
    else if (isinf(v))
        al_buf_cstr(b, v > 0 ? "+Inf" : "-Inf");
    else if (fabs(v) < 1e15 && v == floor(v))
        al_buf_printf(b, "%.0f", v);
    else
        al_buf_printf(b, "%.17g", v);
}

/* name_suffix{labels,extra} */
static void write_series_name(struct al_buf *b, const struct family *f, const char *suffix,
                              const char *labels, const char *extra)
{
    al_buf_cstr(b, f->name);
    al_buf_cstr(b, suffix);
    if (*labels || *extra)
        al_buf_printf(b, "{%s%s%s}", labels, *labels && *extra ? "," : "", extra);
    al_buf_char(b, ' ');
}

static void write_histogram(struct al_buf *b, const struct family *f, const struct al_metric *s)
{
    uint64_t count = 0;
    double sum = double_of(atomic_load_explicit(&s->histogram->sum_bits, memory_order_relaxed));
    for (size_t i = 0; i <= N_BOUNDS; i++) {
        count += atomic_load_explicit(&s->histogram->buckets[i], memory_order_relaxed);
        char le[40] = "le=\"+Inf\"";
        if (i < N_BOUNDS)
            snprintf(le, sizeof le, "le=\"%g\"", bounds[i]);
        write_series_name(b, f, "_bucket", s->labels, le);
        al_buf_printf(b, "%" PRIu64 "\n", count);
    }
    write_series_name(b, f, "_sum", s->labels, "");
    write_number(b, sum);
    al_buf_char(b, '\n');
    write_series_name(b, f, "_count", s->labels, "");
    al_buf_printf(b, "%" PRIu64 "\n", count);
}

static void write_help(struct al_buf *b, const struct family *f)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    al_buf_printf(b, "# HELP %s ", f->name);
    for (const char *c = f->help; *c; c++) {
        if (*c == '\\')
            al_buf_cstr(b, "\\\\");
        else if (*c == '\n')
            al_buf_cstr(b, "\\n");
        else
            al_buf_char(b, *c);
    }
    al_buf_printf(b, "\n# TYPE %s %s\n", f->name, kinds[f->kind]);
}

void al_metrics_write(struct al_metrics *m, struct al_buf *ret)
{
    for (struct family *f = m ? atomic_load(&m->families) : NULL; f; f = atomic_load(&f->next)) {
        write_help(ret, f);
        for (struct al_metric *s = atomic_load(&f->series); s; s = atomic_load(&s->next)) {
            if (s->kind == KIND_HISTOGRAM) {
                write_histogram(ret, f, s);
                continue;
            }
            write_series_name(ret, f, "", s->labels, "");
            if (s->kind == KIND_COUNTER && !s->fn)
                al_buf_printf(ret, "%" PRIu64,
                              atomic_load_explicit(&s->value, memory_order_relaxed));
            else
                write_number(ret, al_metric_value(s));
            al_buf_char(ret, '\n');
        }
    }
}
