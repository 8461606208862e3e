#include "airlore/random.h"
#include "airlore/testing.h"

static void test_views(void **state)
{
    (void)state;
    struct al_str none = {0};
    struct al_str s = AL_STR("dag_processor");
    assert_true(al_str_eq(none, AL_STR("")));
    assert_true(al_str_eq(al_str_c(NULL), none));
    assert_false(al_str_eq(s, AL_STR("dag_processos")));
    assert_true(al_str_is(s, "dag_processor"));
    assert_true(al_str_cmp(AL_STR("a"), AL_STR("b")) < 0);
    assert_true(al_str_cmp(AL_STR("a"), AL_STR("aa")) < 0);
    assert_true(al_str_cmp(AL_STR("\xFF"), AL_STR("a")) > 0);
    assert_int_equal(al_str_cmp(none, AL_STR("")), 0);
    assert_true(al_str_starts(s, AL_STR("dag")) && al_str_starts(s, none));
    assert_false(al_str_starts(AL_STR("da"), AL_STR("dag")));
    assert_true(al_str_ends(s, AL_STR("processor")) && al_str_ends(none, none));
    assert_false(al_str_ends(AL_STR("r"), AL_STR("or")));
    assert_true(al_str_is(al_str_trim(AL_STR(" \t\r\n x y \v\f")), "x y"));
    assert_true(al_str_is(al_str_trim(AL_STR(" \t ")), ""));
    assert_true(al_str_is(al_str_sub(s, 4, 4), "proc"));
    assert_true(al_str_is(al_str_sub(s, 4, SIZE_MAX), "processor"));
    assert_true(al_str_is(al_str_sub(s, 99, 1), ""));
    assert_int_equal(al_str_find(s, AL_STR("o"), 0), 6);
    assert_int_equal(al_str_find(s, AL_STR("o"), 7), 11);
    assert_int_equal(al_str_find(s, AL_STR("or"), 12), SIZE_MAX);
    assert_int_equal(al_str_find(s, none, 13), 13);
    assert_int_equal(al_str_find(s, none, 14), SIZE_MAX);
    assert_int_equal(al_str_find(none, AL_STR("x"), 0), SIZE_MAX);
}

static void test_u64(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        bool works;
        uint64_t out;
    } cases[] = {
        {"0", true, 0},
        {"007", true, 7},
        {"18446744073709551615", true, UINT64_MAX},
        {"18446744073709551616", false, 0},
        {"99999999999999999999999", false, 0},
        {"", false, 0},
        {"-1", false, 0},
        {"+1", false, 0},
        {" 1", false, 0},
        {"1 ", false, 0},
        {"0x10", false, 0},
        {"1e3", false, 0},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        uint64_t v = 42;
        AL_CHECK(cases[i].in, al_str_u64(al_str_c(cases[i].in), &v) == cases[i].works);
        AL_CHECK(cases[i].in, v == (cases[i].works ? cases[i].out : 42));
    }
}

static void test_utf8_table(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct al_str in;
        bool is_good;
    } cases[] = {
        {"empty", {"", 0}, true},
        {"ASCII", AL_STR_INIT("plain"), true},
        {"NUL inside", AL_STR_INIT("a\0b"), true},
        {"two bytes", AL_STR_INIT("\xC3\xA9"), true},
        {"Korean", AL_STR_INIT("\xEC\x9E\x91\xEC\x97\x85"), true},
        {"first of two", AL_STR_INIT("\xC2\x80"), true},
        {"last of two", AL_STR_INIT("\xDF\xBF"), true},
        {"first of three", AL_STR_INIT("\xE0\xA0\x80"), true},
        {"before the surrogates", AL_STR_INIT("\xED\x9F\xBF"), true},
        {"after the surrogates", AL_STR_INIT("\xEE\x80\x80"), true},
        {"U+FFFF", AL_STR_INIT("\xEF\xBF\xBF"), true},
        {"first of four", AL_STR_INIT("\xF0\x90\x80\x80"), true},
        {"last of all", AL_STR_INIT("\xF4\x8F\xBF\xBF"), true},
        {"byte order mark", AL_STR_INIT("\xEF\xBB\xBFx"), true},
        {"lone continuation", AL_STR_INIT("\x80"), false},
        {"two continuations", AL_STR_INIT("a\x80\xBF"), false},
        {"lead without rest", AL_STR_INIT("\xC3"), false},
        {"lead before ASCII", AL_STR_INIT("\xC3("), false},
        {"three without last", AL_STR_INIT("\xE2\x82"), false},
        {"four without last", AL_STR_INIT("\xF0\x9F\x98"), false},
        {"overlong slash in two", AL_STR_INIT("\xC0\xAF"), false},
        {"overlong NUL", AL_STR_INIT("\xC0\x80"), false},
        {"overlong C1", AL_STR_INIT("\xC1\xBF"), false},
        {"overlong in three", AL_STR_INIT("\xE0\x9F\xBF"), false},
        {"overlong in four", AL_STR_INIT("\xF0\x8F\xBF\xBF"), false},
        {"first surrogate", AL_STR_INIT("\xED\xA0\x80"), false},
        {"last surrogate", AL_STR_INIT("\xED\xBF\xBF"), false},
        {"pair of surrogates", AL_STR_INIT("\xED\xA0\xBD\xED\xB8\x80"), false},
        {"beyond the last", AL_STR_INIT("\xF4\x90\x80\x80"), false},
        {"lead F5", AL_STR_INIT("\xF5\x80\x80\x80"), false},
        {"five bytes", AL_STR_INIT("\xF8\x88\x80\x80\x80"), false},
        {"six bytes", AL_STR_INIT("\xFC\x84\x80\x80\x80\x80"), false},
        {"FE", AL_STR_INIT("\xFE"), false},
        {"FF", AL_STR_INIT("\xFF"), false},
        {"Latin-1", AL_STR_INIT("caf\xE9 au lait"), false},
        {"bad at the end", AL_STR_INIT("good then \xE2\x28\xA1"), false},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++)
        AL_CHECK(cases[i].name, al_str_is_utf8(cases[i].in) == cases[i].is_good);
}

/* The definition read the other way round: decode by the bit patterns, then ask whether this code
 * point is encoded in just these bytes. */
static bool is_utf8_by_definition(const uint8_t *p, size_t n)
{
    static const uint32_t first[] = {0, 0, 0x80, 0x800, 0x10000};
    for (size_t i = 0; i < n;) {
        uint32_t cp = p[i];
        size_t len = 1;
        if (cp >= 0xF0)
            len = 4;
        else if (cp >= 0xE0)
            len = 3;
        else if (cp >= 0xC0)
            len = 2;
        else if (cp >= 0x80)
            return false;
        if (cp >= 0xF8 || i + len > n)
            return false;
        if (len > 1)
            cp &= 0x7Fu >> len;
        for (size_t j = 1; j < len; j++) {
            if (p[i + j] >> 6 != 2)
                return false;
            cp = cp << 6 | (p[i + j] & 0x3Fu);
        }
        if (cp < first[len] || cp > 0x10FFFF || (cp >= 0xD800 && cp < 0xE000))
            return false;
        i += len;
    }
    return true;
}

static void check_same(const uint8_t *p, size_t n)
{
    bool is_good = al_str_is_utf8((struct al_str){(const char *)p, n});
    if (is_good != is_utf8_by_definition(p, n))
        fail_msg("%zu bytes %02x %02x %02x %02x: %d", n, p[0], p[1], p[2], p[3], is_good);
}

static void test_utf8_all_short_sequences(void **state)
{
    (void)state;
    uint8_t p[4] = {0};
    size_t n_checked = 0;
    for (uint32_t v = 0; v < 1u << 24; v++) {
        p[0] = (uint8_t)(v >> 16);
        p[1] = (uint8_t)(v >> 8);
        p[2] = (uint8_t)v;
        if (!p[1] && !p[2])
            check_same(p, 1);
        if (!p[2])
            check_same(p, 2);
        check_same(p, 3);
        n_checked++;
    }
    assert_int_equal(n_checked, 1u << 24);
    for (uint32_t v = 0; v < 16u << 16;
         v++) { /* four: all leads from F0, all seconds, edges behind */
        static const uint8_t edges[] = {0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF,
                                        0xC0, 0xC2, 0xE0, 0xED, 0xF0, 0xF4, 0xF5, 0xFF};
        p[0] = (uint8_t)(0xF0 | v >> 16);
        p[1] = (uint8_t)(v >> 8);
        p[2] = edges[v >> 4 & 15];
        p[3] = edges[v & 15];
        check_same(p, 4);
    }
}

static void test_utf8_floor_is_a_border(void **state)
{
    (void)state;
    struct al_str s = AL_STR("a\xC3\xA9\xEC\x9E\x91\xF0\x9F\x98\x80z");
    static const size_t expected[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11};
    for (size_t n = 0; n < AL_ARRAY_LEN(expected); n++) {
        assert_int_equal(al_str_utf8_floor(s, n), expected[n]);
        assert_true(al_str_is_utf8(al_str_sub(s, 0, al_str_utf8_floor(s, n))));
    }
    assert_int_equal(al_str_utf8_floor(s, SIZE_MAX), s.n);
    assert_int_equal(al_str_utf8_floor(AL_STR("\x80\x80\x80\x80\x80\x80"), 5),
                     2); /* not UTF-8: bounded */
}

static void test_buffer_appends(void **state)
{
    (void)state;
    struct al_buf b;
    al_buf_init(&b, NULL, 0);
    assert_true(al_str_is(al_buf_view(&b), ""));
    al_buf_cstr(&b, "task ");
    al_buf_str(&b, AL_STR("instance"));
    al_buf_char(&b, ' ');
    al_buf_printf(&b, "%s=%05d", "try", 3);
    al_buf_add(&b, NULL, 0);
    assert_string_equal(b.p, "task instance try=00003");
    assert_int_equal(b.n, strlen(b.p));
    al_buf_reset(&b);
    assert_int_equal(b.n, 0);
    assert_string_equal(b.p, "");
    al_buf_fini(&b);
    al_buf_fini(&b);
    struct al_buf zeroed = {0};
    al_buf_cstr(&zeroed, "works");
    assert_string_equal(zeroed.p, "works");
    al_buf_fini(&zeroed);
}

static void test_buffer_limit(void **state)
{
    (void)state;
    struct al_err err;
    struct al_buf b;
    al_buf_init(&b, NULL, 10);
    al_buf_cstr(&b, "0123456789");
    AL_CHECK_OK(al_buf_status(&b, &err), err);
    al_buf_char(&b, 'x');
    al_buf_cstr(&b, "");
    assert_int_equal(al_buf_status(&b, &err), AL_RESOURCE_EXHAUSTED);
    assert_string_equal(b.p, "0123456789");
    al_buf_reset(&b);
    al_buf_printf(&b, "%11d", 1);
    assert_true(b.failed);
    al_buf_reset(&b);
    al_buf_printf(&b, "%10d", 1);
    AL_CHECK_OK(al_buf_status(&b, &err), err);
    al_buf_fini(&b);
    al_buf_init(&b, NULL, SIZE_MAX);
    volatile size_t far_too_much = SIZE_MAX; /* hidden from the compiler, which would warn */
    al_buf_add(&b, "x", far_too_much);
    assert_true(b.failed);
    al_buf_fini(&b);
}

static void test_buffer_failing_memory(void **state)
{
    (void)state;
    for (size_t n = 0;; n++) {
        struct al_fault_mem f;
        al_fault_mem_init(&f, n, false);
        struct al_buf b;
        al_buf_init(&b, &f.mem, 0);
        for (int i = 0; i < 1000; i++)
            al_buf_printf(&b, "%d ", i);
        assert_int_equal(al_buf_status(&b, NULL), f.fired ? AL_RESOURCE_EXHAUSTED : AL_OK);
        if (b.p)
            assert_int_equal(strlen(b.p), b.n);
        al_buf_fini(&b);
        assert_int_equal(f.live, 0);
        if (!f.fired)
            break;
    }
}

static void write_all(struct al_buf *b)
{
    al_buf_char(b, (char)0xAB);
    al_buf_u32le(b, 0x01020304);
    al_buf_u64le(b, 0x0102030405060708);
    al_buf_u16be(b, 0x0102);
    al_buf_u32be(b, 0x01020304);
    al_buf_u64be(b, 0x0102030405060708);
    al_buf_varint(b, 300);
    al_buf_lenstr(b, AL_STR("xcom"));
}

static void read_all(struct al_reader *r)
{
    bool is_whole = al_reader_u8(r) == 0xAB;
    is_whole &= al_reader_u32le(r) == 0x01020304;
    is_whole &= al_reader_u64le(r) == 0x0102030405060708;
    is_whole &= al_reader_u16be(r) == 0x0102;
    is_whole &= al_reader_u32be(r) == 0x01020304;
    is_whole &= al_reader_u64be(r) == 0x0102030405060708;
    is_whole &= al_reader_varint(r) == 300;
    is_whole &= al_str_is(al_reader_lenstr(r), "xcom");
    assert_int_equal(is_whole, !r->failed);
}

static void test_reader_reads_what_was_written(void **state)
{
    (void)state;
    struct al_buf b;
    al_buf_init(&b, NULL, 0);
    write_all(&b);
    static const uint8_t expected[] = {0xAB, 4, 3, 2,    1, 8, 7,   6,   5,   4,  3, 2,
                                       1,    1, 2, 1,    2, 3, 4,   1,   2,   3,  4, 5,
                                       6,    7, 8, 0xAC, 2, 4, 'x', 'c', 'o', 'm'};
    assert_int_equal(b.n, sizeof expected);
    assert_memory_equal(b.p, expected, sizeof expected);
    for (size_t n = 0; n <= b.n; n++) { /* cut at every length */
        struct al_reader r = al_reader_of((struct al_str){b.p, n});
        read_all(&r);
        assert_int_equal(al_reader_done(&r), n == b.n);
    }
    al_buf_char(&b, 'x');
    struct al_reader r = al_reader_of(al_buf_view(&b));
    read_all(&r);
    assert_false(al_reader_done(&r)); /* something is left */
    al_buf_fini(&b);
}

static void test_varint(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct al_str in;
        bool works;
        uint64_t out;
    } cases[] = {
        {"zero", {"\0", 1}, true, 0},
        {"127", AL_STR_INIT("\x7F"), true, 127},
        {"128", AL_STR_INIT("\x80\x01"), true, 128},
        {"largest", AL_STR_INIT("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"), true, UINT64_MAX},
        {"65 bits", AL_STR_INIT("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x02"), false, 0},
        {"eleven bytes", AL_STR_INIT("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"), false, 0},
        {"cut", AL_STR_INIT("\x80"), false, 0},
        {"empty", {"", 0}, false, 0},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct al_reader r = al_reader_of(cases[i].in);
        uint64_t v = al_reader_varint(&r);
        AL_CHECK(cases[i].name, al_reader_done(&r) == cases[i].works);
        AL_CHECK(cases[i].name, v == cases[i].out || r.failed);
    }
    struct al_buf b;
    al_buf_init(&b, NULL, 0);
    for (unsigned bit = 0; bit < 64; bit++) {
        for (uint64_t v = (1ULL << bit) - 1; v <= 1ULL << bit; v++) {
            al_buf_reset(&b);
            al_buf_varint(&b, v);
            struct al_reader r = al_reader_of(al_buf_view(&b));
            assert_true(al_reader_varint(&r) == v && al_reader_done(&r));
        }
    }
    al_buf_fini(&b);
}

static void test_reader_bounds_lengths(void **state)
{
    (void)state;
    struct al_reader r = al_reader_of(AL_STR("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"
                                             "abc"));
    assert_null(al_reader_lenstr(&r).p);
    assert_true(r.failed);
    r = al_reader_of(AL_STR("abc"));
    assert_null(al_reader_bytes(&r, 4).p);
    assert_int_equal(al_reader_u8(&r), 0); /* a failed reader gives nothing more */
    r = al_reader_of((struct al_str){0});
    assert_true(al_reader_done(&r));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_views),
        cmocka_unit_test(test_u64),
        cmocka_unit_test(test_utf8_table),
        cmocka_unit_test(test_utf8_all_short_sequences),
        cmocka_unit_test(test_utf8_floor_is_a_border),
        cmocka_unit_test(test_buffer_appends),
        cmocka_unit_test(test_buffer_limit),
        cmocka_unit_test(test_buffer_failing_memory),
        cmocka_unit_test(test_reader_reads_what_was_written),
        cmocka_unit_test(test_varint),
        cmocka_unit_test(test_reader_bounds_lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
