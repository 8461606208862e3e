#include "airlore/metrics.h"

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "airlore/testing.h"

/* A strict reader of the text format 0.0.4: fails the test on anything that a scraper could stumble
 * over. */
#define SAMPLES_MAX 5000

struct sample {
    char name[128];
    char labels[512]; /* without le */
    char le[32];
    double value;
};

struct page {
    struct sample samples[SAMPLES_MAX];
    size_t n;
    char family[128];
    char type[16];
    char families[300][128];
    size_t n_families;
};

static struct page page;

static size_t take_name(const char *p, char *ret, size_t size)
{
    size_t n = strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789:");
    assert_true(n > 0 && n < size && !(p[0] >= '0' && p[0] <= '9'));
    memcpy(ret, p, n);
    ret[n] = '\0';
    return n;
}

static const char *take_label(const char *p, struct sample *s)
{
    char name[64];
    const char *start = p;
    p += take_name(p, name, sizeof name);
    assert_null(strchr(name, ':'));
    assert_memory_equal(p, "=\"", 2);
    const char *value = p + 2;
    for (p += 2; *p != '"'; p++) {
        assert_true(*p && *p != '\n');
        if (*p == '\\') {
            p++;
            assert_non_null(strchr("\\\"n", *p));
        }
    }
    if (strcmp(name, "le") == 0)
        snprintf(s->le, sizeof s->le, "%.*s", (int)(p - value), value);
    else
        snprintf(s->labels + strlen(s->labels), sizeof s->labels - strlen(s->labels), "%.*s,",
                 (int)(p + 1 - start), start);
    return p + 1;
}

static void take_sample(const char *p)
{
    assert_true(page.n < SAMPLES_MAX);
    struct sample *s = &page.samples[page.n++];
    *s = (struct sample){0};
    p += take_name(p, s->name, sizeof s->name);
    size_t family = strlen(page.family);
    assert_true(strncmp(s->name, page.family, family) == 0);
    const char *suffix = s->name + family;
    if (strcmp(page.type, "histogram") == 0)
        assert_true(strcmp(suffix, "_bucket") == 0 || strcmp(suffix, "_sum") == 0 ||
                    strcmp(suffix, "_count") == 0);
    else
        assert_string_equal(suffix, "");
    if (*p == '{') {
        do
            p = take_label(p + 1, s);
        while (*p == ',');
        assert_int_equal(*p++, '}');
    }
    assert_int_equal(*p++, ' ');
    char *end;
    s->value = strtod(p, &end);
    assert_true(end > p && *end == '\n' && *p != ' ');
    for (size_t i = 0; i + 1 < page.n; i++) /* no series twice */
        assert_false(strcmp(page.samples[i].name, s->name) == 0 &&
                     strcmp(page.samples[i].labels, s->labels) == 0 &&
                     strcmp(page.samples[i].le, s->le) == 0);
}

static void take_help(const char *p)
{
    char before[128];
    memcpy(before, page.family, sizeof before);
    p += take_name(p, page.family, sizeof page.family);
    assert_true(strcmp(before, page.family) < 0); /* sorted, so once each */
    assert_int_equal(*p++, ' ');
    for (; *p != '\n'; p++)
        if (*p == '\\') {
            p++;
            assert_true(*p == '\\' || *p == 'n');
        }
    page.type[0] = '\0';
    assert_true(page.n_families < AL_ARRAY_LEN(page.families));
    memcpy(page.families[page.n_families++], page.family, sizeof page.family);
}

static void take_type(const char *p)
{
    char name[128];
    p += take_name(p, name, sizeof name);
    assert_string_equal(name, page.family);
    assert_string_equal(page.type, "");
    assert_int_equal(*p++, ' ');
    take_name(p, page.type, sizeof page.type);
    bool is_total = strlen(name) > 6 && strcmp(name + strlen(name) - 6, "_total") == 0;
    assert_int_equal(strcmp(page.type, "counter") == 0, is_total);
}

static void check_buckets(void)
{
    for (size_t i = 0; i < page.n; i++) {
        const struct sample *s = &page.samples[i];
        if (!s->le[0])
            continue;
        const struct sample *next = &page.samples[i + 1];
        if (strcmp(s->le, "+Inf") == 0) {
            assert_true(strstr(next[0].name, "_sum") && strstr(next[1].name, "_count"));
            assert_true(next[1].value == s->value);
            assert_string_equal(next[1].labels, s->labels);
        } else {
            assert_string_equal(next->labels, s->labels);
            assert_true(next->value >= s->value);
            assert_true(strcmp(next->le, "+Inf") == 0 ||
                        strtod(next->le, NULL) > strtod(s->le, NULL));
        }
    }
}

static void scrape(struct al_metrics *m)
{
    struct al_buf b;
    al_buf_init(&b, NULL, 0);
    al_metrics_write(m, &b);
    assert_false(b.failed);
    assert_true(al_str_is_utf8(al_buf_view(&b)));
    memset(&page, 0, sizeof page);
    for (const char *p = b.p; p && *p; p = strchr(p, '\n') + 1) {
        assert_non_null(strchr(p, '\n'));
        if (strncmp(p, "# HELP ", 7) == 0)
            take_help(p + 7);
        else if (strncmp(p, "# TYPE ", 7) == 0)
            take_type(p + 7);
        else
            take_sample(p);
    }
    check_buckets();
    al_buf_fini(&b);
}

static const struct sample *sample_of(const char *name, const char *labels, const char *le)
{
    for (size_t i = 0; i < page.n; i++) {
        const struct sample *s = &page.samples[i];
        if (strcmp(s->name, name) == 0 && strcmp(s->labels, labels) == 0 && strcmp(s->le, le) == 0)
            return s;
    }
    fail_msg("%s{%s} %s is not there", name, labels, le);
    return NULL;
}

static double value_of(const char *name, const char *labels, const char *le)
{
    const struct sample *s = sample_of(name, labels, le);
    return s ? s->value : NAN;
}

static struct al_metrics *create(void)
{
    struct al_metrics *m = NULL;
    struct al_err err;
    AL_CHECK_OK(al_metrics_create(NULL, &m, &err), err);
    return m;
}

static double read_gauge(void *u)
{
    return *(double *)u;
}

static void test_page_says_what_was_counted(void **state)
{
    (void)state;
    struct al_metrics *m = create();
    struct al_metric *search = NULL;
    struct al_metric *ingest = NULL;
    struct al_metric *depth = NULL;
    struct al_err err;
    const char *help = "Calls served.\nA \\ too.";
    AL_CHECK_OK(
        al_metrics_counter(m, "airlore_calls_total", help, "method=\"Search\"", &search, &err),
        err);
    AL_CHECK_OK(
        al_metrics_counter(m, "airlore_calls_total", help, "method=\"Ingest\"", &ingest, &err),
        err);
    AL_CHECK_OK(al_metrics_gauge(m, "airlore_depth", "Depth.", NULL, &depth, &err), err);
    double outside = 12.5;
    AL_CHECK_OK(al_metrics_gauge_fn(m, "airlore_outside_bytes", "Outside.", NULL, read_gauge,
                                    &outside, &err),
                err);
    al_metric_add(search, 3);
    al_metric_add(search, UINT64_C(1) << 60);
    al_metric_set(depth, 0.1);
    scrape(m);
    assert_true(value_of("airlore_calls_total", "method=\"Search\",", "") == 0x1p60);
    assert_true(value_of("airlore_calls_total", "method=\"Ingest\",", "") == 0);
    assert_true(value_of("airlore_depth", "", "") == 0.1);
    assert_true(value_of("airlore_outside_bytes", "", "") == 12.5);
    al_metric_add(depth, 2);
    static const double odd[] = {NAN, INFINITY, -INFINITY, -1e-300, 1e300, 123456789012345680.0,
                                 -0.0};
    for (size_t i = 0; i < AL_ARRAY_LEN(odd); i++) {
        outside = odd[i];
        scrape(m);
        double v = value_of("airlore_outside_bytes", "", "");
        assert_true(v == odd[i] || (isnan(v) && isnan(odd[i])));
    }
    assert_true(fabs(al_metric_value(depth) - 2.1) < 1e-12);
    assert_true(al_metric_value(ingest) == 0);
    al_metrics_destroy(m);
}

static void test_histogram(void **state)
{
    (void)state;
    struct al_metrics *m = create();
    struct al_metric *h = NULL;
    struct al_err err;
    AL_CHECK_OK(
        al_metrics_histogram(m, "airlore_call_seconds", "Time.", "method=\"Ask\"", &h, &err), err);
    static const double values[] = {0, 0.0001, 0.00010001, 0.3, 60, 61, 1e9, NAN, -1, INFINITY};
    for (size_t i = 0; i < AL_ARRAY_LEN(values); i++)
        al_metric_observe(h, values[i]);
    scrape(m);
    const char *labels = "method=\"Ask\",";
    assert_true(value_of("airlore_call_seconds_bucket", labels, "0.0001") == 2);
    assert_true(value_of("airlore_call_seconds_bucket", labels, "0.00025") == 3);
    assert_true(value_of("airlore_call_seconds_bucket", labels, "0.25") == 3);
    assert_true(value_of("airlore_call_seconds_bucket", labels, "0.5") == 4);
    assert_true(value_of("airlore_call_seconds_bucket", labels, "60") == 5);
    assert_true(value_of("airlore_call_seconds_bucket", labels, "+Inf") == 7);
    assert_true(value_of("airlore_call_seconds_count", labels, "") == 7);
    assert_true(fabs(value_of("airlore_call_seconds_sum", labels, "") - (1e9 + 121.30020001)) <
                1e-3);
    assert_true(al_metric_value(h) == 7);
    al_metrics_destroy(m);
}

static void test_labels_are_checked_and_escaped(void **state)
{
    (void)state;
    struct al_metrics *m = create();
    struct al_metric *c = NULL;
    static const struct {
        const char *labels;
        enum al_code code;
    } cases[] = {
        {"", AL_OK},
        {"a=\"\"", AL_OK},
        {"a=\"x\",b_2=\"y\"", AL_OK},
        {"a=\"\\\"\\\\\\n\"", AL_OK},
        {"a=\"{},=\"", AL_OK},
        {"a", AL_INVALID_ARGUMENT},
        {"a=", AL_INVALID_ARGUMENT},
        {"a=x", AL_INVALID_ARGUMENT},
        {"a=\"x", AL_INVALID_ARGUMENT},
        {"a=\"x\\", AL_INVALID_ARGUMENT},
        {"a=\"x\\\"", AL_INVALID_ARGUMENT},
        {"a=\"\\t\"", AL_INVALID_ARGUMENT},
        {"a=\"x\",", AL_INVALID_ARGUMENT},
        {"a=\"x\" ", AL_INVALID_ARGUMENT},
        {"=\"x\"", AL_INVALID_ARGUMENT},
        {"1a=\"x\"", AL_INVALID_ARGUMENT},
        {"a=\"x\ny\"", AL_INVALID_ARGUMENT},
        {"a=\"\xFF\"", AL_INVALID_ARGUMENT},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        enum al_code code =
            al_metrics_counter(m, "airlore_x_total", "X.", cases[i].labels, &c, NULL);
        AL_CHECK(cases[i].labels, code == cases[i].code);
    }
    struct al_buf b;
    al_buf_init(&b, NULL, 0);
    al_metrics_label(&b, "path", AL_STR("a\"b\\c\nd"));
    al_metrics_label(&b, "zone", AL_STR("\xEC\x9E\x91"));
    assert_string_equal(b.p, "path=\"a\\\"b\\\\c\\nd\",zone=\"\xEC\x9E\x91\"");
    assert_int_equal(al_metrics_counter(m, "airlore_x_total", "X.", b.p, &c, NULL), AL_OK);
    scrape(m);
    al_buf_fini(&b);
    al_metrics_destroy(m);
}

static void test_registration(void **state)
{
    (void)state;
    struct al_metrics *m = create();
    struct al_metric *a = NULL;
    struct al_metric *b = NULL;
    assert_int_equal(al_metrics_counter(m, "airlore_a_total", "A.", "x=\"1\"", &a, NULL), AL_OK);
    assert_int_equal(al_metrics_counter(m, "airlore_a_total", "A.", "x=\"1\"", &b, NULL), AL_OK);
    assert_ptr_equal(a, b);
    static const char *const bad_names[] = {"", "1a", "a-b", "a b", "a{", "\xC3\xA9", "a:b"};
    for (size_t i = 0; i < AL_ARRAY_LEN(bad_names); i++)
        AL_CHECK(bad_names[i],
                 al_metrics_gauge(m, bad_names[i], "B.", NULL, &b, NULL) == AL_INVALID_ARGUMENT);
    assert_int_equal(al_metrics_gauge(m, "airlore_a_total", "A.", NULL, &b, NULL),
                     AL_FAILED_PRECONDITION);
    assert_int_equal(al_metrics_counter(m, "airlore_a_total", "Other.", NULL, &b, NULL),
                     AL_FAILED_PRECONDITION);
    double v = 1;
    assert_int_equal(al_metrics_gauge_fn(m, "airlore_g", "G.", NULL, read_gauge, &v, NULL), AL_OK);
    assert_int_equal(al_metrics_gauge_fn(m, "airlore_g", "G.", NULL, read_gauge, &v, NULL),
                     AL_ALREADY_EXISTS);
    assert_int_equal(al_metrics_gauge(m, "airlore_g", "G.", NULL, &b, NULL), AL_ALREADY_EXISTS);
    assert_ptr_equal(a, b);
    b = a;
    assert_int_equal(al_metrics_histogram(NULL, "airlore_h", "H.", NULL, &b, NULL), AL_OK);
    assert_null(b);
    al_metric_add(b, 1);
    al_metric_set(b, 1);
    al_metric_observe(b, 1);
    assert_true(al_metric_value(b) == 0);
    al_metrics_write(NULL, NULL);
    al_metrics_destroy(NULL);
    al_metrics_destroy(m);
}

static void test_series_are_bounded(void **state)
{
    (void)state;
    struct al_metrics *m = create();
    struct al_metric *c = NULL;
    size_t n = 0;
    enum al_code code = AL_OK;
    for (; code == AL_OK && n < 10000; n++) {
        char labels[32];
        snprintf(labels, sizeof labels, "n=\"%zu\"", n);
        code = al_metrics_counter(m, "airlore_n_total", "N.", labels, &c, NULL);
    }
    assert_int_equal(code, AL_RESOURCE_EXHAUSTED);
    assert_int_equal(n, 4096 - 4 + 1);
    assert_int_equal(al_metrics_counter(m, "airlore_n_total", "N.", "n=\"7\"", &c, NULL), AL_OK);
    scrape(m);
    al_metrics_destroy(m);
}

static double count_fds(void)
{
    double n = 0;
    for (int fd = 0; fd < 4096; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void test_process_metrics(void **state)
{
    (void)state;
    struct al_metrics *m = create();
    scrape(m);
    assert_int_equal(page.n_families, 4);
    double cpu = value_of("process_cpu_seconds_total", "", "");
    double fds = value_of("process_open_fds", "", "");
    double resident = value_of("process_resident_memory_bytes", "", "");
    double start = value_of("process_start_time_seconds", "", "");
    assert_true(cpu > 0 && cpu < 1000);
    assert_true(fds == count_fds());
    assert_true(resident > 100000 && resident < 1e11);
    double now = (double)time(NULL);
    assert_true(start > now - 3600 && start < now + 5);
    int fd = dup(0);
    int other = dup(fd);
    scrape(m);
    assert_true(value_of("process_open_fds", "", "") == fds + 2);
    assert_true(value_of("process_cpu_seconds_total", "", "") >= cpu);
    close(fd);
    close(other);
    al_metrics_destroy(m);
}

static void test_failing_memory(void **state)
{
    (void)state;
    for (size_t n = 0;; n++) {
        struct al_fault_mem f;
        al_fault_mem_init(&f, n, false);
        struct al_metrics *m = NULL;
        struct al_metric *h = NULL;
        enum al_code code = al_metrics_create(&f.mem, &m, NULL);
        assert_int_equal(m != NULL, code == AL_OK);
        bool was_created = code == AL_OK;
        if (was_created)
            code = al_metrics_histogram(m, "airlore_h_seconds", "H.", "a=\"b\"", &h, NULL);
        assert_int_equal(code, f.fired ? AL_RESOURCE_EXHAUSTED : AL_OK);
        assert_int_equal(h != NULL, code == AL_OK);
        if (was_created) {
            scrape(m); /* whole whatever failed */
            assert_int_equal(page.n_families, f.fired ? 4 : 5);
        }
        al_metrics_destroy(m);
        assert_int_equal(f.live, 0);
        if (!f.fired)
            break;
    }
}

struct shared {
    struct al_metrics *m;
    struct al_metric *c;
    struct al_metric *g;
    struct al_metric *h;
};

static void *update_many(void *u)
{
    const struct shared *s = u;
    for (int i = 0; i < 5000; i++) {
        al_metric_add(s->c, 1);
        al_metric_add(s->g, 1);
        al_metric_observe(s->h, 0.25);
        struct al_metric *again = NULL;
        char labels[32];
        snprintf(labels, sizeof labels, "n=\"%d\"", i % 100);
        (void)!al_metrics_counter(s->m, "airlore_again_total", "Again.", labels, &again, NULL);
        al_metric_add(again, 1);
    }
    return NULL;
}

static void test_threads_lose_nothing(void **state)
{
    (void)state;
    struct shared s = {.m = create()};
    assert_int_equal(al_metrics_counter(s.m, "airlore_c_total", "C.", NULL, &s.c, NULL), AL_OK);
    assert_int_equal(al_metrics_gauge(s.m, "airlore_g", "G.", NULL, &s.g, NULL), AL_OK);
    assert_int_equal(al_metrics_histogram(s.m, "airlore_h_seconds", "H.", NULL, &s.h, NULL), AL_OK);
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, update_many, &s), 0);
    for (int i = 0; i < 20; i++)
        scrape(s.m); /* a page is whole while series come */
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    scrape(s.m);
    assert_true(value_of("airlore_c_total", "", "") == 20000);
    assert_true(value_of("airlore_g", "", "") == 20000);
    assert_true(value_of("airlore_h_seconds_count", "", "") == 20000);
    assert_true(value_of("airlore_h_seconds_sum", "", "") == 5000);
    assert_true(value_of("airlore_again_total", "n=\"99\",", "") == 200);
    al_metrics_destroy(s.m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_page_says_what_was_counted),
        cmocka_unit_test(test_histogram),
        cmocka_unit_test(test_labels_are_checked_and_escaped),
        cmocka_unit_test(test_registration),
        cmocka_unit_test(test_series_are_bounded),
        cmocka_unit_test(test_process_metrics),
        cmocka_unit_test(test_failing_memory),
        cmocka_unit_test(test_threads_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
