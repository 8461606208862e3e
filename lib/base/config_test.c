#include "airlore/config.h"

#include <errno.h>
#include <stdlib.h>

#include "airlore/random.h"
#include "airlore/testing.h"

struct config {
    uint64_t k_max;
    uint64_t memory_bytes;
    uint64_t timeout_ms;
    double weight;
    bool is_open;
    char *dir;
    char *motto;
    uint64_t level;
    uint64_t deep;
};

static const char *const levels[] = {"debug", "info", "warn", NULL};

#define FIELD(name_) offsetof(struct config, name_)

static const struct al_config_key keys[] = {
    {"limits.k_max", AL_CONFIG_U64, FIELD(k_max), "100", "1", "1000", NULL, "Hits of a query."},
    {"dir", AL_CONFIG_STRING, FIELD(dir), "/var/lib/airlore", "1", "64", NULL, "Where data lies."},
    {"limits.memory", AL_CONFIG_SIZE, FIELD(memory_bytes), "64MiB", "1MiB", "1TiB", NULL,
     "Memory."},
    {"timeout", AL_CONFIG_DURATION, FIELD(timeout_ms), "10s", "1ms", "24h", NULL, "Of a call."},
    {"search.weight", AL_CONFIG_F64, FIELD(weight), "0.5", "0", "1", NULL, "Of the text leg."},
    {"search.deep.er.k", AL_CONFIG_U64, FIELD(deep), "7", NULL, NULL, NULL, "Deep down."},
    {"open", AL_CONFIG_BOOL, FIELD(is_open), "false", NULL, NULL, NULL, "Without keys."},
    {"motto", AL_CONFIG_STRING, FIELD(motto), NULL, NULL, NULL, NULL, "Words."},
    {"log.level", AL_CONFIG_CHOICE, FIELD(level), "info", NULL, NULL, levels, "What is written."},
};
static const struct al_config_table table = {keys, AL_ARRAY_LEN(keys), sizeof(struct config)};

static enum al_code parse(const char *text, struct config *c, struct al_err *err)
{
    return al_config_parse(&table, al_str_c(text), "f.yaml", NULL, c, err);
}

static void test_defaults(void **state)
{
    (void)state;
    static const char *const nothing[] = {"",
                                          "\n\n",
                                          "# words only\n",
                                          "---\n",
                                          "{}\n",
                                          "limits:\n",
                                          "~\n",
                                          "\xEF\xBB\xBF",
                                          "null",
                                          "limits: {}\n",
                                          "%YAML 1.1\n---\n"};
    for (size_t i = 0; i < AL_ARRAY_LEN(nothing); i++) {
        struct config c;
        struct al_err err;
        memset(&c, 0xA5, sizeof c);
        AL_CHECK_OK(parse(nothing[i], &c, &err), err);
        AL_CHECK(nothing[i],
                 c.k_max == 100 && c.memory_bytes == 64u << 20 && c.timeout_ms == 10000);
        AL_CHECK(nothing[i], c.weight == 0.5 && !c.is_open && c.level == 1 && c.deep == 7);
        AL_CHECK(nothing[i], strcmp(c.dir, "/var/lib/airlore") == 0 && strcmp(c.motto, "") == 0);
        al_config_fini(&table, &c, NULL);
        AL_CHECK(nothing[i], c.dir == NULL);
    }
}

static void test_everything_set(void **state)
{
    (void)state;
    struct config c;
    struct al_err err;
    AL_CHECK_OK(parse("limits: # words\n"
                      "  k_max: 7\n"
                      "  memory: 2GiB\n"
                      "dir: '/data/it''s'\n"
                      "timeout: 5m\n"
                      "search: {weight: 2.5e-1, deep: {er: {k: 18446744073709551615}}}\n"
                      "open: true\n"
                      "motto: |\n"
                      "  two\n"
                      "  lines \xEC\x9E\x91\n"
                      "\"log\":\n"
                      "  level: \"warn\"\n",
                      &c, &err),
                err);
    assert_int_equal(c.k_max, 7);
    assert_true(c.memory_bytes == 2ULL << 30);
    assert_string_equal(c.dir, "/data/it's");
    assert_int_equal(c.timeout_ms, 300000);
    assert_true(c.weight == 0.25 && c.is_open && c.deep == UINT64_MAX);
    assert_string_equal(c.motto, "two\nlines \xEC\x9E\x91\n");
    assert_int_equal(c.level, 2);
    al_config_fini(&table, &c, NULL);
}

static const struct {
    const char *path;
    const char *in;
    const char *message; /* NULL: accepted */
} value_cases[] = {
    {"limits.k_max", "1", NULL},
    {"limits.k_max", "1000", NULL},
    {"limits.k_max", "0", "'0' out of range, allowed: 1 to 1000"},
    {"limits.k_max", "1001", "'1001' out of range, allowed: 1 to 1000"},
    {"limits.k_max", "-1", "'-1' is not a whole number"},
    {"limits.k_max", "1.5", "'1.5' is not a whole number"},
    {"limits.k_max", "ten", "'ten' is not a whole number"},
    {"limits.k_max", "", "value missing, expected a whole number"},
    {"limits.k_max", "18446744073709551616", "is not a whole number"},
    {"limits.memory", "1048576", NULL},
    {"limits.memory", "1048576B", NULL},
    {"limits.memory", "1024KiB", NULL},
    {"limits.memory", "1TiB", NULL},
    {"limits.memory", "1023KiB", "'1023KiB' out of range, allowed: 1MiB to 1TiB"},
    {"limits.memory", "2TiB", "out of range"},
    {"limits.memory", "64MB", "'64MB' is not a size like 64KiB, 16MiB or 2GiB"},
    {"limits.memory", "64 MiB", "is not a size"},
    {"limits.memory", "MiB", "is not a size"},
    {"limits.memory", "-1MiB", "is not a size"},
    {"limits.memory", "17179869184GiB", "is not a size"}, /* wraps to 0 */
    {"timeout", "1ms", NULL},
    {"timeout", "24h", NULL},
    {"timeout", "1d", NULL},
    {"timeout", "0", "out of range"},
    {"timeout", "10", "'10' is not a duration like 500ms, 10s, 5m or 24h"},
    {"timeout", "1h30m", "is not a duration"},
    {"timeout", "25h", "'25h' out of range, allowed: 1ms to 24h"},
    {"search.weight", "0", NULL},
    {"search.weight", "1e-3", NULL},
    {"search.weight", "1.0001", "out of range"},
    {"search.weight", "nan", "'nan' is not a number"},
    {"search.weight", "inf", "is not a number"},
    {"search.weight", "0x1p-1", "is not a number"},
    {"search.weight", "1e", "is not a number"},
    {"search.weight", "--1", "is not a number"},
    {"search.weight", "0.5 ", "is not a number"},
    {"open", "true", NULL},
    {"open", "false", NULL},
    {"open", "yes", "'yes' is not true or false"},
    {"open", "True", "is not true or false"},
    {"open", "1", "is not true or false"},
    {"log.level", "debug", NULL},
    {"log.level", "Debug", "'Debug' is not one of: debug, info, warn"},
    {"log.level", "", "value missing"},
    {"dir", "x", NULL},
    {"dir", "", "'' out of range, allowed: 1 to 64 bytes"},
    {"dir", "0123456789012345678901234567890123456789012345678901234567890123", NULL},
    {"dir", "01234567890123456789012345678901234567890123456789012345678901234", "out of range"},
    {"dir", "\xFF", "text is not UTF-8"},
    {"limits", "1", "unknown key"},
    {"limits.", "1", "unknown key"},
    {"nothing", "1", "unknown key"},
    {"a\x1b[2Jb", "1", "a?[2Jb: unknown key"},
};

static void test_values(void **state)
{
    (void)state;
    struct config c;
    assert_int_equal(al_config_defaults(&table, NULL, &c, NULL), AL_OK);
    for (size_t i = 0; i < AL_ARRAY_LEN(value_cases); i++) {
        struct al_err err = {0};
        unsigned char before[sizeof c];
        memcpy(before, &c, sizeof c);
        enum al_code code =
            al_config_set(&table, &c, value_cases[i].path, value_cases[i].in, NULL, &err);
        if ((code == AL_OK) != (value_cases[i].message == NULL))
            fail_msg("%s = '%s': %s", value_cases[i].path, value_cases[i].in, err.msg);
        if (code == AL_OK)
            continue;
        AL_CHECK(value_cases[i].in,
                 code == AL_INVALID_ARGUMENT && strcmp(err.reason, "BAD_CONFIG") == 0);
        if (!strstr(err.msg, value_cases[i].message))
            fail_msg("%s = '%s': %s", value_cases[i].path, value_cases[i].in, err.msg);
        AL_CHECK(value_cases[i].in, memcmp(before, (const void *)&c, sizeof c) == 0);
    }
    al_config_fini(&table, &c, NULL);
}

static void test_bad_files_name_the_line(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        const char *message;
    } cases[] = {
        {"dir: /x\nlimits:\n  k_max: 7\n  foo: 1\n", "f.yaml:4: limits.foo: unknown key"},
        {"foo: 1\n", "f.yaml:1: foo: unknown key"},
        {"foo:\n  bar: 1\n", "f.yaml:1: foo: unknown key"},
        {"limits.k_max: 7\n", "f.yaml:1: limits.k_max: unknown key"},
        {"\n\nlimits:\n  k_max: many\n", "f.yaml:4: limits.k_max: 'many' is not a whole number"},
        {"limits:\n  k_max:\n    5000\n", "f.yaml:3: limits.k_max: '5000' out of range"},
        {"limits:\n  k_max:\n", "f.yaml:2: limits.k_max: value missing"},
        {"limits: 7\n", "f.yaml:1: limits: a section with keys of its own, not a value"},
        {"dir:\n  x: 1\n", "f.yaml:2: dir: a value expected, not a section"},
        {"dir: [a, b]\n", "f.yaml:1: dir: lists have no meaning here"},
        {"- dir\n", "f.yaml:1: lists have no meaning here"},
        {"just words\n", "f.yaml:1: keys with values expected"},
        {"timeout: 1s\n\ntimeout: 2s\n", "f.yaml:3: timeout: given before, on line 1"},
        {"limits:\n  k_max: 1\nlimits:\n  memory: 1MiB\n",
         "f.yaml:3: limits: given before, on line 1"},
        {"search:\n  deep:\n  deep: {er: {k: 1}}\n",
         "f.yaml:3: search.deep: given before, on line 2"},
        {"limits:\nlimits:\n", "f.yaml:2: limits: given before, on line 1"},
        {"dir: &a /x\n", "f.yaml:1: anchors and tags have no meaning here"},
        {"limits: &a {k_max: 1}\n", "f.yaml:1: anchors and tags"},
        {"dir: !!str /x\n", "f.yaml:1: anchors and tags"},
        {"dir: *a\n", "f.yaml:1: "},
        {"? {a: b}\n: 1\n", "f.yaml:1: a key must be a name"},
        {"? [a]\n: 1\n", "f.yaml:1: lists"},
        {"dir: /x\n---\ndir: /y\n", "f.yaml:2: a second document has no meaning here"},
        {"dir: /x\n\tk: 1\n", "f.yaml:2: not YAML: "},
        {"dir: 'open\n\n\n", "not YAML: "},
        {"limits:\n    k_max: 1\n  memory: 1MiB\n", "f.yaml:3: not YAML: "},
        {"dir: \"a\\0b\"\n", "f.yaml:1: dir: text holds a NUL byte"},
        {"dir: \xFF\n", "f.yaml: not UTF-8"},
        {"dir: \x01\n", "not YAML: "},
        {"\"\": 1\n", "f.yaml:1: '': unknown key"},
        {"\"a\\0b\": 1\n", "f.yaml:1: a?b: unknown key"},
        {"limits:\n  ~: 1\n", "f.yaml:2: limits.~: unknown key"},
        {"\"a\\eb\": 1\n", "f.yaml:1: a?b: unknown key"},
        {"limits: {k_max: 1\n", "not YAML: "},
        {"<<: {dir: /x}\n", "f.yaml:1: <<: unknown key"},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct al_err err = {0};
        struct al_fault_mem f;
        al_fault_mem_init(&f, SIZE_MAX, false);
        struct config c;
        enum al_code code =
            al_config_parse(&table, al_str_c(cases[i].in), "f.yaml", &f.mem, &c, &err);
        if (code != AL_INVALID_ARGUMENT || !strstr(err.msg, cases[i].message))
            fail_msg("case '%s': %s", cases[i].in, err.msg);
        AL_CHECK(cases[i].in, strcmp(err.reason, "BAD_CONFIG") == 0);
        AL_CHECK(cases[i].in, f.live == 0); /* needs no fini */
    }
}

static void repeat(struct al_buf *b, const char *s, size_t n_bytes)
{
    al_buf_reset(b);
    while (b->n < n_bytes)
        al_buf_cstr(b, s);
}

static void test_hostile_files_are_refused_quickly(void **state)
{
    (void)state;
    static const char *const patterns[] = {
        "[",        "{",  "a: {",  "? ", "- ",  "a:\n",  "*a ",   "&a ", "\"",           "'",
        "limits: ", "\n", "# x\n", "!",  "%\n", "---\n", "...\n", "|\n", "\xEC\x9E\x91", "a: b\n",
        "{a: [",    ", ", ": ",    "\t", "a"};
    struct al_buf b;
    al_buf_init(&b, NULL, 0);
    for (size_t i = 0; i < AL_ARRAY_LEN(patterns); i++) {
        struct al_err err = {0};
        struct config c;
        repeat(&b, patterns[i], (1u << 20) - 8);
        enum al_code code = al_config_parse(&table, al_buf_view(&b), "f.yaml", NULL, &c, &err);
        bool is_empty = patterns[i][0] == '\n' || patterns[i][0] == '#';
        AL_CHECK(patterns[i], is_empty ? code == AL_OK : code == AL_INVALID_ARGUMENT);
        if (code == AL_OK)
            al_config_fini(&table, &c, NULL);
        repeat(&b, patterns[i], (1u << 20) + 1);
        code = al_config_parse(&table, al_buf_view(&b), "f.yaml", NULL, &c, &err);
        AL_CHECK(patterns[i],
                 code == AL_INVALID_ARGUMENT && strstr(err.msg, "larger than 1048576"));
    }
    al_buf_fini(&b);
}

static void test_noise_is_refused_or_read(void **state)
{
    (void)state;
    struct al_buf b;
    al_buf_init(&b, NULL, 0);
    struct al_seeded_random r;
    al_seeded_random_init(&r, 5);
    for (int i = 0; i < 300; i++) { /* noise, then noise of YAML's own characters */
        static const char alphabet[] = "limtsk_ax:{}[],&*!|>'\"%#?-\n \t.17";
        size_t n = al_random_below(&r.random, 400);
        al_buf_reset(&b);
        for (size_t j = 0; j < n; j++) {
            char one = alphabet[al_random_below(&r.random, sizeof alphabet - 1)];
            if (i % 3 == 0)
                al_random_fill(&r.random, &one, 1);
            al_buf_char(&b, one);
        }
        struct config c;
        if (al_config_parse(&table, al_buf_view(&b), "f.yaml", NULL, &c, NULL) == AL_OK)
            al_config_fini(&table, &c, NULL);
    }
    al_buf_fini(&b);
}

static void test_depth_is_limited(void **state)
{
    (void)state;
    uint64_t v = 0;
    static const struct al_config_key deep[] = {
        {"a.b.c.d.e.f.g.h", AL_CONFIG_U64, 0, "1", NULL, NULL, NULL, "Eight."},
        {"a.b.c.d.e.f.g.x.i", AL_CONFIG_U64, 0, "1", NULL, NULL, NULL, "Nine."},
    };
    const struct al_config_table t = {deep, 2, sizeof v};
    struct al_err err;
    AL_CHECK_OK(
        al_config_parse(&t, AL_STR("a: {b: {c: {d: {e: {f: {g: {h: 3}}}}}}}"), "f", NULL, &v, &err),
        err);
    assert_int_equal(v, 3);
    assert_int_equal(al_config_parse(&t, AL_STR("a: {b: {c: {d: {e: {f: {g: {x: {i: 3}}}}}}}}"),
                                     "f", NULL, &v, &err),
                     AL_INVALID_ARGUMENT);
    assert_non_null(strstr(err.msg, "more than 8 levels deep"));
}

static void test_long_keys_and_values(void **state)
{
    (void)state;
    struct al_buf b;
    struct config c;
    struct al_err err = {0};
    al_buf_init(&b, NULL, 0);
    for (size_t n = 200; n < 1100; n++) {
        al_buf_reset(&b);
        al_buf_cstr(&b, "limits:\n  ");
        for (size_t i = 0; i < n; i++)
            al_buf_char(&b, 'k');
        al_buf_cstr(&b, ": 1\n");
        enum al_code code = al_config_parse(&table, al_buf_view(&b), "f.yaml", NULL, &c, &err);
        assert_int_equal(code, AL_INVALID_ARGUMENT);
        assert_memory_equal(err.msg,
                            "f.yaml:2: ", 10); /* from 1,024 on libyaml takes it for no key */
        assert_true(n >= 1000 || strstr(err.msg, "kkk...: unknown key"));
    }
    for (size_t n = 4096; n <= 4097; n++) {
        repeat(&b, "m", n);
        enum al_code code = AL_OK;
        assert_int_equal(al_config_defaults(&table, NULL, &c, NULL), AL_OK);
        code = al_config_set(&table, &c, "motto", b.p, NULL, &err);
        assert_int_equal(code, n == 4096 ? AL_OK : AL_INVALID_ARGUMENT);
        al_config_fini(&table, &c, NULL);
    }
    assert_non_null(strstr(err.msg, "motto: longer than 4096 bytes"));
    al_buf_fini(&b);
}

static void test_printed_form_reads_back(void **state)
{
    (void)state;
    struct config c;
    struct config back;
    struct al_err err;
    struct al_buf b;
    al_buf_init(&b, NULL, 0);
    AL_CHECK_OK(al_config_defaults(&table, NULL, &c, &err), err);
    static const struct {
        const char *path;
        const char *value;
    } changes[] = {{"limits.k_max", "321"},
                   {"limits.memory", "1572864"},
                   {"timeout", "1500ms"},
                   {"search.weight", "0.1"},
                   {"open", "true"},
                   {"log.level", "debug"},
                   {"motto", "a \"b\"\\\n\x01\t# \xEC\x9E\x91 'x': y"},
                   {"dir", "~"}};
    for (size_t i = 0; i <= AL_ARRAY_LEN(changes); i++) {
        if (i)
            AL_CHECK_OK(
                al_config_set(&table, &c, changes[i - 1].path, changes[i - 1].value, NULL, &err),
                err);
        al_buf_reset(&b);
        al_config_print(&table, &c, &b);
        AL_CHECK_OK(al_config_parse(&table, al_buf_view(&b), "printed", NULL, &back, &err), err);
        assert_true(back.k_max == c.k_max && back.memory_bytes == c.memory_bytes);
        assert_true(back.timeout_ms == c.timeout_ms && back.weight == c.weight);
        assert_true(back.is_open == c.is_open && back.level == c.level && back.deep == c.deep);
        assert_string_equal(back.dir, c.dir);
        assert_string_equal(back.motto, c.motto);
        al_config_fini(&table, &back, NULL);
    }
    assert_non_null(strstr(b.p, "limits:\n  # Hits of a query.\n"
                                "  # default: 100; allowed: 1 to 1000\n  k_max: 321\n"));
    assert_non_null(strstr(b.p, "  memory: 1536KiB\n"));
    assert_non_null(strstr(b.p, "\ntimeout: 1500ms\n"));
    assert_non_null(strstr(b.p, "  # default: info; allowed: one of: debug, info, warn\n"));
    assert_non_null(strstr(b.p, "# default: none\nmotto: "));
    al_config_fini(&table, &c, NULL);
    al_buf_fini(&b);
}

static void test_a_bad_table_is_an_error(void **state)
{
    (void)state;
    static const struct al_config_key bad[] = {
        {"n", AL_CONFIG_U64, 0, "ten", NULL, NULL, NULL, "Bad default."}};
    uint64_t v;
    struct al_err err;
    const struct al_config_table t = {bad, 1, sizeof v};
    assert_int_equal(al_config_defaults(&t, NULL, &v, &err), AL_INVALID_ARGUMENT);
    assert_string_equal(err.msg, "default: n: 'ten' is not a whole number");
}

static void test_failing_memory(void **state)
{
    (void)state;
    for (int persistent = 0; persistent < 2; persistent++) {
        for (size_t n = 0;; n++) {
            struct al_fault_mem f;
            al_fault_mem_init(&f, n, persistent);
            struct config c;
            enum al_code code =
                al_config_parse(&table, AL_STR("dir: /x\nmotto: m\nlimits: {k_max: 3}\n"), "f.yaml",
                                &f.mem, &c, NULL);
            assert_int_equal(code, f.fired ? AL_RESOURCE_EXHAUSTED : AL_OK);
            if (code == AL_OK) {
                assert_int_equal(c.k_max, 3);
                al_config_fini(&table, &c, &f.mem);
            }
            assert_int_equal(f.live, 0);
            if (!f.fired)
                break;
        }
    }
}

static void test_load(void **state)
{
    (void)state;
    char dir[256];
    char path[300];
    struct config c;
    struct al_err err;
    snprintf(path, sizeof path, "%s/airlore.yaml", al_test_dir(dir, sizeof dir));
    assert_int_equal(al_config_load(&table, al_disk_system(), path, NULL, &c, &err), AL_NOT_FOUND);
    assert_non_null(strstr(err.msg, path));
    AL_CHECK_OK(al_disk_write_file(al_disk_system(), path, AL_STR("open: true\nlimits:\n  k: 1\n"),
                                   0600, &err),
                err);
    assert_int_equal(al_config_load(&table, al_disk_system(), path, NULL, &c, &err),
                     AL_INVALID_ARGUMENT);
    assert_non_null(strstr(err.msg, "airlore.yaml:3: limits.k: unknown key"));
    AL_CHECK_OK(al_disk_write_file(al_disk_system(), path, AL_STR("open: true\n"), 0600, &err),
                err);
    for (size_t n = 0;; n++) {
        struct al_fault_disk f;
        al_fault_disk_init(&f, NULL, n, true, EIO);
        enum al_code code = al_config_load(&table, &f.disk, path, NULL, &c, &err);
        if (code == AL_OK)
            al_config_fini(&table, &c, NULL);
        if (!f.fired) {
            assert_int_equal(code, AL_OK);
            assert_true(c.is_open);
            break;
        }
    }
    char *big = malloc(2u << 20);
    memset(big, '\n', 2u << 20);
    AL_CHECK_OK(
        al_disk_write_file(al_disk_system(), path, (struct al_str){big, 2u << 20}, 0600, &err),
        err);
    free(big);
    assert_int_equal(al_config_load(&table, al_disk_system(), path, NULL, &c, &err),
                     AL_RESOURCE_EXHAUSTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_everything_set),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_bad_files_name_the_line),
        cmocka_unit_test(test_hostile_files_are_refused_quickly),
        cmocka_unit_test(test_noise_is_refused_or_read),
        cmocka_unit_test(test_depth_is_limited),
        cmocka_unit_test(test_long_keys_and_values),
        cmocka_unit_test(test_printed_form_reads_back),
        cmocka_unit_test(test_a_bad_table_is_an_error),
        cmocka_unit_test(test_failing_memory),
        cmocka_unit_test(test_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
