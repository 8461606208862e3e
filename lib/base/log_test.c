#include "airlore/log.h"

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "airlore/random.h"
#include "airlore/testing.h"

/* A log into a file of its own, on a clock that stands still. */
struct fixture {
    char path[300];
    int fd;
    struct al_fake_clock clock;
    struct al_log *log;
    char text[1u << 20];
};

static struct fixture fx;

static void start(enum al_log_format format, enum al_log_level level)
{
    char dir[256];
    snprintf(fx.path, sizeof fx.path, "%s/log", al_test_dir(dir, sizeof dir));
    fx.fd = open(fx.path, O_CREAT | O_RDWR | O_APPEND | O_CLOEXEC, 0600);
    assert_true(fx.fd >= 0);
    al_fake_clock_init(&fx.clock, 1795253400123);
    struct al_log_options opt = {
        .fd = fx.fd, .level = level, .format = format, .clock = &fx.clock.clock};
    struct al_err err;
    AL_CHECK_OK(al_log_create(&opt, &fx.log, &err), err);
}

/* What was written since the last call. */
static const char *written(void)
{
    ssize_t n = pread(fx.fd, fx.text, sizeof fx.text - 1, 0);
    assert_true(n >= 0);
    fx.text[n] = '\0';
    assert_int_equal(ftruncate(fx.fd, 0), 0);
    return fx.text;
}

static void stop(void)
{
    al_log_destroy(fx.log);
    close(fx.fd);
}

#define JSON_HEAD "{\"time\":\"2026-11-21T09:30:00.123Z\",\"level\":\"info\",\"event\":\"a.b\""

/* U+2028, U+202E and U+2066, byte by byte: text that turns its own direction has no place in a
 * source file. */
static const char line_and_direction[] = {'\xE2', '\x80', '\xA8', '\xE2', '\x80',
                                          '\xAE', '\xE2', '\x81', '\xA6'};

static const struct {
    const char *name;
    struct al_log_field field;
    const char *json;
    const char *human;
} values[] = {
    {"text", {.name = "s", .kind = AL_LOG_STR, .s = AL_STR_INIT("abc")}, "\"abc\"", "abc"},
    {"empty", {.name = "s", .kind = AL_LOG_STR}, "\"\"", "\"\""},
    {"blank", {.name = "s", .kind = AL_LOG_STR, .s = AL_STR_INIT("a b")}, "\"a b\"", "\"a b\""},
    {"equals", {.name = "s", .kind = AL_LOG_STR, .s = AL_STR_INIT("a=b")}, "\"a=b\"", "\"a=b\""},
    {"quotes",
     {.name = "s", .kind = AL_LOG_STR, .s = AL_STR_INIT("\"\\/")},
     "\"\\\"\\\\/\"",
     "\"\\\"\\\\/\""},
    {"new lines",
     {.name = "s", .kind = AL_LOG_STR, .s = AL_STR_INIT("a\r\nb\tc\b\f")},
     "\"a\\r\\nb\\tc\\b\\f\"",
     "\"a\\r\\nb\\tc\\b\\f\""},
    {"NUL, escape, delete",
     {.name = "s", .kind = AL_LOG_STR, .s = AL_STR_INIT("\0\x1b[31m\x7f")},
     "\"\\u0000\\u001b[31m\\u007f\"",
     "\"\\u0000\\u001b[31m\\u007f\""},
    {"C1 control",
     {.name = "s",
      .kind = AL_LOG_STR,
      .s = AL_STR_INIT("\xC2\x9B"
                       "2J")},
     "\"\\u009b2J\"",
     "\"\\u009b2J\""},
    {"line separator, direction",
     {.name = "s", .kind = AL_LOG_STR, .s = {line_and_direction, sizeof line_and_direction}},
     "\"\\u2028\\u202e\\u2066\"",
     "\"\\u2028\\u202e\\u2066\""},
    {"Korean",
     {.name = "s", .kind = AL_LOG_STR, .s = AL_STR_INIT("\xEC\x9E\x91\xEC\x97\x85")},
     "\"\xEC\x9E\x91\xEC\x97\x85\"",
     "\"\xEC\x9E\x91\xEC\x97\x85\""},
    {"not UTF-8",
     {.name = "s",
      .kind = AL_LOG_STR,
      .s = AL_STR_INIT("a\xFF"
                       "b\xC3")},
     "\"a\xEF\xBF\xBD"
     "b\xEF\xBF\xBD\"",
     "\"a\xEF\xBF\xBD"
     "b\xEF\xBF\xBD\""},
    {"surrogate",
     {.name = "s", .kind = AL_LOG_STR, .s = AL_STR_INIT("\xED\xA0\x80")},
     "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"",
     "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},
    {"unsigned",
     {.name = "s", .kind = AL_LOG_U64, .u = UINT64_MAX},
     "18446744073709551615",
     "18446744073709551615"},
    {"signed",
     {.name = "s", .kind = AL_LOG_I64, .i = INT64_MIN},
     "-9223372036854775808",
     "-9223372036854775808"},
    {"tenth", {.name = "s", .kind = AL_LOG_F64, .f = 0.1}, "0.1", "0.1"},
    {"third",
     {.name = "s", .kind = AL_LOG_F64, .f = 1.0 / 3},
     "0.3333333333333333",
     "0.3333333333333333"},
    {"large", {.name = "s", .kind = AL_LOG_F64, .f = -1e300}, "-1e+300", "-1e+300"},
    {"no number", {.name = "s", .kind = AL_LOG_F64, .f = NAN}, "null", "null"},
    {"endless", {.name = "s", .kind = AL_LOG_F64, .f = INFINITY}, "null", "null"},
    {"yes", {.name = "s", .kind = AL_LOG_BOOL, .u = 1}, "true", "true"},
    {"no", {.name = "s", .kind = AL_LOG_BOOL}, "false", "false"},
};

static void test_json_fields(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * AL_ARRAY_LEN(values); i++) {
        bool is_human = i % 2;
        const char *value = is_human ? values[i / 2].human : values[i / 2].json;
        char expected[400];
        if (is_human)
            snprintf(expected, sizeof expected, "2026-11-21T09:30:00.123Z INFO  a.b s=%s\n", value);
        else
            snprintf(expected, sizeof expected, JSON_HEAD ",\"s\":%s}\n", value);
        start(is_human ? AL_LOG_HUMAN : AL_LOG_JSON, AL_LOG_INFO);
        al_log_write(fx.log, AL_LOG_INFO, "a.b", &values[i / 2].field, 1);
        const char *got = written();
        if (strcmp(got, expected) != 0)
            fail_msg("case '%s': %s", values[i / 2].name, got);
        stop();
    }
}

static void test_the_macro_takes_any_number_of_fields(void **state)
{
    (void)state;
    start(AL_LOG_JSON, AL_LOG_DEBUG);
    al_log(fx.log, AL_LOG_INFO, "a.b");
    assert_string_equal(written(), JSON_HEAD "}\n");
    al_log(fx.log, AL_LOG_INFO, "a.b", AL_S("s", "x"), AL_SV("v", AL_STR("y")), AL_U64("u", 1),
           AL_I64("i", -1), AL_F64("f", 0.5), AL_MS("took", 2.5), AL_FLAG("ok", true),
           AL_S("none", NULL));
    assert_string_equal(written(), JSON_HEAD ",\"s\":\"x\",\"v\":\"y\",\"u\":1,\"i\":-1,\"f\":0.5,"
                                             "\"took_ms\":2.5,\"ok\":true,\"none\":\"\"}\n");
    struct al_err err;
    (void)AL_FAIL_R(&err, AL_DATA_LOSS, "BAD_CHECKSUM", "block '9': bad");
    al_log_err(fx.log, AL_LOG_ERROR, "store.bad", &err);
    const char *line = written();
    assert_non_null(strstr(line,
                           "\"level\":\"error\",\"event\":\"store.bad\",\"code\":\"DATA_LOSS\","
                           "\"reason\":\"BAD_CHECKSUM\",\"message\":\"block '9': bad\","
                           "\"site\":\""));
    stop();
}

static void test_levels(void **state)
{
    (void)state;
    for (int least = AL_LOG_DEBUG; least <= AL_LOG_ERROR; least++) {
        start(AL_LOG_HUMAN, (enum al_log_level)least);
        for (int level = AL_LOG_DEBUG; level <= AL_LOG_ERROR; level++) {
            al_log(fx.log, (enum al_log_level)level, "a.b");
            assert_int_equal(written()[0] != '\0', level >= least);
            assert_int_equal(al_log_enabled(fx.log, (enum al_log_level)level), level >= least);
        }
        stop();
    }
    assert_false(al_log_enabled(NULL, AL_LOG_ERROR));
    al_log(NULL, AL_LOG_ERROR, "dropped");
    al_log_destroy(NULL);
}

static void test_long_values_are_cut(void **state)
{
    (void)state;
    start(AL_LOG_JSON, AL_LOG_INFO);
    static char big[5000];
    for (size_t i = 0; i < 1023; i++)
        big[i] = 'x';
    memcpy(big + 1023, "\xEC\x9E\x91", 3); /* a character across the border goes as a whole */
    memset(big + 1026, 'y', sizeof big - 1027);
    al_log(fx.log, AL_LOG_INFO, "a.b", AL_S("s", big));
    const char *line = written();
    assert_non_null(strstr(line, "xxx\xE2\x80\xA6\"}\n"));
    assert_null(strchr(line + sizeof JSON_HEAD, 'y'));
    assert_int_equal(strlen(line), sizeof JSON_HEAD - 1 + 6 + 1023 + 3 + 3);
    big[1024] = '\0';
    big[1023] = 'x';
    al_log(fx.log, AL_LOG_INFO, "a.b", AL_S("s", big)); /* 1,024 just fit */
    line = written();
    assert_int_equal(strlen(line), sizeof JSON_HEAD - 1 + 6 + 1024 + 3);
    stop();
}

static int hex(const char *p)
{
    char text[5] = {p[0], p[1], p[2], p[3], '\0'};
    char *end;
    long v = strtol(text, &end, 16);
    assert_ptr_equal(end, text + 4);
    return (int)v;
}

/* A JSON string begins at p: what comes behind its closing quote. */
static const char *check_json_string(const char *p)
{
    assert_int_equal(*p++, '"');
    while (*p != '"') {
        assert_true((unsigned char)*p >= 0x20 && *p != 0x7F);
        if (*p++ != '\\')
            continue;
        if (*p == 'u') {
            assert_true(hex(p + 1) >= 0);
            p += 5;
        } else {
            assert_non_null(strchr("\"\\/bfnrt", *p));
            p++;
        }
    }
    return p + 1;
}

static void test_random_bytes_make_good_lines(void **state)
{
    (void)state;
    struct al_seeded_random r;
    al_seeded_random_init(&r, 3);
    start(AL_LOG_JSON, AL_LOG_INFO);
    for (int i = 0; i < 3000; i++) {
        char bytes[64];
        size_t n = al_random_below(&r.random, sizeof bytes + 1);
        al_random_fill(&r.random, bytes, n);
        if (i < 256)
            bytes[0] = (char)i;
        al_fake_clock_step_ms(&fx.clock, 11000);
        al_log(fx.log, AL_LOG_INFO, "a.b", AL_SV("s", ((struct al_str){bytes, n})));
        const char *line = written();
        assert_true(al_str_is_utf8(al_str_c(line)));
        assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
        const char *value = strstr(line, ",\"s\":");
        assert_non_null(value);
        assert_string_equal(check_json_string(value + 5), "}\n");
    }
    stop();
}

static size_t count_lines(const char *s)
{
    size_t n = 0;
    for (; *s; s++)
        n += *s == '\n';
    return n;
}

static void test_rate_of_each_event_is_limited(void **state)
{
    (void)state;
    start(AL_LOG_JSON, AL_LOG_INFO);
    for (int i = 0; i < 100; i++)
        al_log(fx.log, AL_LOG_WARN, "noisy");
    al_log(fx.log, AL_LOG_WARN, "quiet"); /* others are not held back */
    const char *text = written();
    assert_int_equal(count_lines(text), 21);
    assert_null(strstr(text, "dropped"));
    assert_non_null(strstr(text, "\"event\":\"quiet\""));
    al_fake_clock_step_ms(&fx.clock, 9999);
    al_log(fx.log, AL_LOG_WARN, "noisy");
    assert_string_equal(written(), "");
    al_fake_clock_step_ms(&fx.clock, 1);
    al_log(fx.log, AL_LOG_WARN, "noisy");
    assert_non_null(strstr(written(), "\"event\":\"noisy\",\"dropped\":81}\n"));
    for (int i = 0; i < 19; i++)
        al_log(fx.log, AL_LOG_WARN, "noisy");
    text = written();
    assert_int_equal(count_lines(text), 19);
    assert_null(strstr(text, "dropped"));
    al_log(fx.log, AL_LOG_WARN, "noisy");
    assert_string_equal(written(), "");
    stop();
}

static void test_many_events_stay_bounded(void **state)
{
    (void)state;
    start(AL_LOG_JSON, AL_LOG_INFO);
    for (int i = 0; i < 2000; i++) { /* more than the table holds: the idle ones make room */
        char event[32];
        snprintf(event, sizeof event, "event.%d", i);
        al_fake_clock_step_ms(&fx.clock, 1);
        al_log(fx.log, AL_LOG_INFO, event);
    }
    assert_int_equal(count_lines(written()), 2000);
    stop();
}

/* A terminal of our own: what is read at its other end. */
static void check_terminal(const char *name, const char *no_color, const char *term,
                           bool has_colour)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    char slave_path[100];
    AL_CHECK(name, master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    AL_CHECK(name, ptsname_r(master, slave_path, sizeof slave_path) == 0);
    int slave = open(slave_path, O_RDWR | O_NOCTTY | O_CLOEXEC);
    AL_CHECK(name, slave >= 0);
    setenv("TERM", term, 1); // NOLINT(concurrency-mt-unsafe)
    if (no_color)
        setenv("NO_COLOR", no_color, 1); // NOLINT(concurrency-mt-unsafe)
    else
        unsetenv("NO_COLOR"); // NOLINT(concurrency-mt-unsafe)
    struct al_log_options opt = {.fd = slave, .level = AL_LOG_INFO, .format = AL_LOG_AUTO};
    struct al_log *l = NULL;
    AL_CHECK(name, al_log_create(&opt, &l, NULL) == AL_OK);
    al_log(l, AL_LOG_ERROR, "a.b", AL_U64("n", 7));
    char text[300];
    ssize_t n = read(master, text, sizeof text - 1);
    AL_CHECK(name, n > 0);
    text[n] = '\0';
    AL_CHECK(name, strstr(text, " a.b n=7") != NULL && text[0] == '2');
    AL_CHECK(name, (strstr(text, "\x1b[31mERROR\x1b[0m") != NULL) == has_colour);
    al_log_destroy(l);
    close(slave);
    close(master);
}

static void test_terminal_gets_the_human_form(void **state)
{
    (void)state;
    check_terminal("colour", NULL, "xterm", true);
    check_terminal("NO_COLOR empty", "", "xterm", true);
    check_terminal("NO_COLOR", "1", "xterm", false);
    check_terminal("dumb", NULL, "dumb", false);
    start(AL_LOG_AUTO, AL_LOG_INFO); /* a file is no terminal */
    al_log(fx.log, AL_LOG_INFO, "a.b");
    assert_string_equal(written(), JSON_HEAD "}\n");
    stop();
}

static void test_failing_memory(void **state)
{
    (void)state;
    start(AL_LOG_JSON, AL_LOG_INFO);
    for (size_t n = 0;; n++) {
        struct al_fault_mem f;
        al_fault_mem_init(&f, n, false);
        struct al_log_options opt = {
            .fd = fx.fd, .level = AL_LOG_INFO, .clock = &fx.clock.clock, .mem = &f.mem};
        struct al_log *l = NULL;
        enum al_code code = al_log_create(&opt, &l, NULL);
        assert_int_equal(code, n == 0 ? AL_RESOURCE_EXHAUSTED : AL_OK);
        assert_int_equal(l != NULL, code == AL_OK);
        char big[900];
        memset(big, 'x', sizeof big - 1);
        big[sizeof big - 1] = '\0';
        al_log(l, AL_LOG_INFO, "a.b", AL_S("s", big), AL_S("t", big));
        const char *text = written();
        assert_int_equal(text[0] == '\0', f.fired); /* a whole line or none */
        assert_true(f.fired || text[strlen(text) - 1] == '\n');
        al_log_destroy(l);
        assert_int_equal(f.live, 0);
        if (!f.fired)
            break;
    }
    stop();
}

static void test_a_full_pipe_does_not_hold_the_program(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
    char fill[65536] = {0};
    while (write(fds[1], fill, sizeof fill) > 0)
        ;
    struct al_log_options opt = {.fd = fds[1], .level = AL_LOG_INFO};
    struct al_log *l = NULL;
    assert_int_equal(al_log_create(&opt, &l, NULL), AL_OK);
    uint64_t before = al_clock_mono_ns(al_clock_system());
    al_log(l, AL_LOG_INFO, "a.b");
    assert_true(al_clock_mono_ns(al_clock_system()) - before < 5000000000ULL);
    al_log_destroy(l);
    close(fds[0]);
    close(fds[1]);
}

static void *write_many(void *u)
{
    for (int i = 0; i < 500; i++) {
        char event[32];
        snprintf(event, sizeof event, "t%s.%d", (const char *)u, i % 250);
        al_log(fx.log, AL_LOG_INFO, event, AL_S("text", "a value of some length, with blanks"));
    }
    return NULL;
}

static void test_threads_do_not_mix_lines(void **state)
{
    (void)state;
    start(AL_LOG_JSON, AL_LOG_INFO);
    pthread_t threads[4];
    static char names[4][2] = {"0", "1", "2", "3"};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, names[i]), 0);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    const char *p = written();
    assert_int_equal(count_lines(p), 2000);
    for (; *p; p = strchr(p, '\n') + 1) {
        assert_memory_equal(p, "{\"time\":\"", 9);
        assert_memory_equal(strchr(p, '\n') - 8, "blanks\"}\n", 9);
    }
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_fields),
        cmocka_unit_test(test_the_macro_takes_any_number_of_fields),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_long_values_are_cut),
        cmocka_unit_test(test_random_bytes_make_good_lines),
        cmocka_unit_test(test_rate_of_each_event_is_limited),
        cmocka_unit_test(test_many_events_stay_bounded),
        cmocka_unit_test(test_terminal_gets_the_human_form),
        cmocka_unit_test(test_failing_memory),
        cmocka_unit_test(test_a_full_pipe_does_not_hold_the_program),
        cmocka_unit_test(test_threads_do_not_mix_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
