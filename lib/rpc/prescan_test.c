#include "airlore/testing.h"

#include "prescan.h"
#include "rpc_test.pb-c.h"

typedef Airlore__Rpctest__Everything everything;

static const struct al_rpc_limits limits = {64, 1000, 1 << 20};

#define INIT(s_)              \
    {                         \
        "" s_, sizeof(s_) - 1 \
    }
#define BYTES(s_) ((struct al_str)INIT(s_))

/* Field numbers of Everything: 1 text, 2 raw, 3 i32, 5 f32, 6 f64, 9 texts, 10 floats, 11 numbers,
 * 12 child, 13 children, 14 left, 15 right, 16 doubles. A tag is number * 8 + wire type. */
static const struct {
    const char *name;
    struct al_str bytes;
    enum al_code code;
    const char *msg;    /* part of it */
    const char *reason; /* NULL: MESSAGE_MALFORMED */
} cases[] = {
    {"empty", INIT(""), AL_OK, NULL, NULL},
    {"text", INIT("\x0a\x02hi"), AL_OK, NULL, NULL},
    {"text of four-byte characters", INIT("\x0a\x04\xf0\x9f\x98\x80"), AL_OK, NULL, NULL},
    {"raw bytes may be anything", INIT("\x12\x04\xff\xfe\x00\x80"), AL_OK, NULL, NULL},
    {"not UTF-8", INIT("\x0a\x02\xff\xfe"), AL_INVALID_ARGUMENT, "field 'text': not valid UTF-8",
     "BAD_UTF8"},
    {"surrogate", INIT("\x0a\x03\xed\xa0\x80"), AL_INVALID_ARGUMENT, "UTF-8", "BAD_UTF8"},
    {"overlong", INIT("\x0a\x02\xc0\xaf"), AL_INVALID_ARGUMENT, "UTF-8", "BAD_UTF8"},
    {"cut off character", INIT("\x0a\x01\xe2"), AL_INVALID_ARGUMENT, "UTF-8", "BAD_UTF8"},
    {"NUL in text",
     INIT("\x0a\x03"
          "a\0b"),
     AL_INVALID_ARGUMENT, "NUL", "NUL_BYTE"},
    {"NUL in repeated text", INIT("\x4a\x01\0"), AL_INVALID_ARGUMENT, "field 'texts'", "NUL_BYTE"},
    {"not UTF-8 in a oneof", INIT("\x72\x01\xff"), AL_INVALID_ARGUMENT, "field 'left'", "BAD_UTF8"},
    {"not UTF-8 in a child", INIT("\x62\x03\x0a\x01\xff"), AL_INVALID_ARGUMENT, "field 'text'",
     "BAD_UTF8"},
    {"tag cut off", INIT("\x80"), AL_INVALID_ARGUMENT, "field number is cut off", NULL},
    {"tag of 11 bytes", INIT("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"), AL_INVALID_ARGUMENT,
     "cut off", NULL},
    {"field number 0", INIT("\x00\x01"), AL_INVALID_ARGUMENT, "out of range", NULL},
    {"field number too large", INIT("\x80\x80\x80\x80\x10\x01"), AL_INVALID_ARGUMENT,
     "out of range", NULL},
    {"number cut off", INIT("\x18\xff"), AL_INVALID_ARGUMENT, "field 'i32': number is cut off",
     NULL},
    {"number of 11 bytes", INIT("\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
     AL_INVALID_ARGUMENT, "cut off", NULL},
    {"length cut off", INIT("\x0a\x80"), AL_INVALID_ARGUMENT, "length is cut off", NULL},
    {"value cut off", INIT("\x0a\x05hi"), AL_INVALID_ARGUMENT, "value is cut off", NULL},
    {"length near 2^64", INIT("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x"), AL_INVALID_ARGUMENT,
     "value is cut off", NULL},
    {"fixed32 cut off", INIT("\x2d\x01\x02\x03"), AL_INVALID_ARGUMENT, "cut off", NULL},
    {"fixed64 cut off", INIT("\x31\x01\x02\x03\x04"), AL_INVALID_ARGUMENT, "cut off", NULL},
    {"group", INIT("\x0b\x0c"), AL_INVALID_ARGUMENT, "wire type", NULL},
    {"wire type 7", INIT("\x0f"), AL_INVALID_ARGUMENT, "wire type", NULL},
    {"text as a number", INIT("\x08\x01"), AL_INVALID_ARGUMENT, "field 'text': wrong wire type",
     NULL},
    {"number as text", INIT("\x1a\x01x"), AL_INVALID_ARGUMENT, "field 'i32': wrong wire type",
     NULL},
    {"double as fixed32", INIT("\x35\x01\x02\x03\x04"), AL_INVALID_ARGUMENT, "wrong wire type",
     NULL},
    {"unknown number field", INIT("\xa0\x06\x05"), AL_OK, NULL, NULL},
    {"unknown bytes field", INIT("\xa2\x06\x02\xff\xff"), AL_OK, NULL, NULL},
    {"unknown fixed fields",
     INIT("\xa5\x06\x01\x02\x03\x04\xa1\x06\x01\x02\x03\x04\x05\x06\x07\x08"), AL_OK, NULL, NULL},
    {"packed floats", INIT("\x52\x08\0\0\x80\x3f\0\0\0\x40"), AL_OK, NULL, NULL},
    {"unpacked floats", INIT("\x55\0\0\x80\x3f\x55\0\0\0\x40"), AL_OK, NULL, NULL},
    {"packed floats cut off", INIT("\x52\x07\0\0\x80\x3f\0\0\0"), AL_INVALID_ARGUMENT,
     "field 'floats': packed", NULL},
    {"packed doubles cut off", INIT("\x82\x01\x04\0\0\x80\x3f"), AL_INVALID_ARGUMENT,
     "field 'doubles': packed", NULL},
    {"packed numbers", INIT("\x5a\x03\x01\xac\x02"), AL_OK, NULL, NULL},
    {"packed numbers cut off", INIT("\x5a\x02\x01\xac"), AL_INVALID_ARGUMENT,
     "field 'numbers': packed", NULL},
    /* protobuf-c cannot merge messages that have a oneof; encoders do not write them twice. */
    {"child twice", INIT("\x62\x02\x18\x01\x62\x04\x0a\x02hi"), AL_INVALID_ARGUMENT,
     "cannot be decoded", NULL},
    {"oneof twice keeps the last", INIT("\x72\x02hi\x7a\x02\x18\x01"), AL_OK, NULL, NULL},
};

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct al_arena a;
        struct al_err err = {0};
        ProtobufCMessage *m = NULL;
        al_arena_init(&a, NULL, 1 << 20);
        enum al_code code = al_rpc_unpack(&airlore__rpctest__everything__descriptor, cases[i].bytes,
                                          &limits, &a, &m, &err);
        AL_CHECK(cases[i].name, code == cases[i].code);
        AL_CHECK(cases[i].name, (m != NULL) == (code == AL_OK));
        if (code != AL_OK) {
            AL_CHECK(cases[i].name, strstr(err.msg, cases[i].msg) != NULL);
            const char *reason = cases[i].reason ? cases[i].reason : "MESSAGE_MALFORMED";
            AL_CHECK(cases[i].name, strcmp(err.reason, reason) == 0);
        }
        al_arena_fini(&a);
    }
}

static void test_values_are_right(void **state)
{
    (void)state;
    struct al_arena a;
    ProtobufCMessage *m = NULL;
    struct al_err err = {0};
    al_arena_init(&a, NULL, 1 << 20);
    struct al_str bytes =
        BYTES("\x0a\x02hi\x52\x08\0\0\x80\x3f\0\0\0\x40\x5a\x03\x01\xac\x02\x72\x01z");
    AL_CHECK_OK(
        al_rpc_unpack(&airlore__rpctest__everything__descriptor, bytes, &limits, &a, &m, &err),
        err);
    const everything *e = (const void *)m;
    assert_string_equal(e->text, "hi");
    assert_int_equal(e->n_floats, 2);
    assert_true(e->floats[0] > 0.99f && e->floats[1] > 1.99f);
    assert_int_equal(e->n_numbers, 2);
    assert_int_equal(e->numbers[1], 300);
    assert_int_equal(e->choice_case, AIRLORE__RPCTEST__EVERYTHING__CHOICE_LEFT);
    al_arena_fini(&a);
}

/* `depth` messages around an empty one, through field `tag`; built from the inside. */
static size_t nest(uint8_t *buf, size_t cap, unsigned depth, uint8_t tag)
{
    size_t at = cap;
    for (unsigned i = 0; i < depth; i++) {
        uint64_t len = cap - at;
        uint8_t head[11];
        size_t n = 0;
        head[n++] = tag;
        do {
            head[n++] = (uint8_t)((len & 0x7f) | (len > 0x7f ? 0x80 : 0));
            len >>= 7;
        } while (len);
        at -= n;
        memcpy(buf + at, head, n);
    }
    memmove(buf, buf + at, cap - at);
    return cap - at;
}

static void test_depth(void **state)
{
    (void)state;
    static uint8_t buf[1 << 20];
    static const struct {
        const char *name;
        unsigned depth;
        uint8_t tag;
        bool ok;
    } rows[] = {
        {"63 children", 63, 0x62, true},           {"64 children", 64, 0x62, false},
        {"63 in repeated", 63, 0x6a, true},        {"64 in repeated", 64, 0x6a, false},
        {"64 in a oneof", 64, 0x7a, false},        {"16,000 children", 16000, 0x62, false},
        {"200,000 children", 200000, 0x62, false},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(rows); i++) {
        size_t n = nest(buf, sizeof buf, rows[i].depth, rows[i].tag);
        struct al_arena a;
        struct al_err err = {0};
        ProtobufCMessage *m = NULL;
        al_arena_init(&a, NULL, 16 << 20);
        enum al_code code =
            al_rpc_unpack(&airlore__rpctest__everything__descriptor,
                          (struct al_str){(const char *)buf, n}, &limits, &a, &m, &err);
        AL_CHECK(rows[i].name, (code == AL_OK) == rows[i].ok);
        if (code == AL_OK) {
            al_arena_fini(&a);
            continue;
        }
        AL_CHECK(rows[i].name, code == AL_INVALID_ARGUMENT && strstr(err.msg, "nested too deep"));
        AL_CHECK(rows[i].name, strcmp(err.reason, "MESSAGE_TOO_DEEP") == 0);
        al_arena_fini(&a);
    }
}

static void test_counts_and_sizes(void **state)
{
    (void)state;
    static char buf[1 << 21];
    struct al_err err = {0};
    const ProtobufCMessageDescriptor *d = &airlore__rpctest__everything__descriptor;
    for (size_t i = 0; i + 1 < sizeof buf; i += 2) { /* empty children: two bytes each */
        buf[i] = 0x6a;
        buf[i + 1] = 0;
    }
    assert_int_equal(al_rpc_prescan(d, (struct al_str){buf, 2000}, &limits, &err), AL_OK);
    assert_int_equal(al_rpc_prescan(d, (struct al_str){buf, 2002}, &limits, &err),
                     AL_INVALID_ARGUMENT);
    assert_non_null(strstr(err.msg, "too many elements"));
    assert_string_equal(err.reason, "TOO_MANY");
    assert_int_equal(al_rpc_prescan(d, (struct al_str){buf, (1 << 20) + 1}, &limits, &err),
                     AL_RESOURCE_EXHAUSTED);
    assert_string_equal(err.reason, "MESSAGE_TOO_LARGE");
    /* Small on the wire, large in memory: the arena's limit holds. */
    struct al_rpc_limits wide = {64, UINT32_MAX, sizeof buf};
    struct al_arena a;
    ProtobufCMessage *m = NULL;
    al_arena_init(&a, NULL, 1 << 20);
    assert_int_equal(al_rpc_unpack(d, (struct al_str){buf, 1 << 20}, &wide, &a, &m, &err),
                     AL_RESOURCE_EXHAUSTED);
    assert_string_equal(err.reason, "MEMORY_LIMIT");
    assert_null(m);
    al_arena_fini(&a);
    buf[0] = 0x5a; /* packed numbers, one byte each, all 0 */
    memset(buf + 1, 0, sizeof buf - 1);
    buf[1] = (char)0xe9;
    buf[2] = 7; /* 1001 */
    assert_int_equal(al_rpc_prescan(d, (struct al_str){buf, 1004}, &limits, &err),
                     AL_INVALID_ARGUMENT);
    assert_string_equal(err.reason, "TOO_MANY");
}

/* Every allocation of the decoder failed in turn. */
static void test_memory_faults(void **state)
{
    (void)state;
    struct al_str bytes = BYTES("\x0a\x02hi\x52\x08\0\0\x80\x3f\0\0\0\x40\x62\x04\x0a\x02hi\x6a\0"
                                "\x6a\0\x4a\x01z\xa0\x06\x05"
                                "\x72\x02hi\x7a\x02\x18\x01");
    for (size_t limit = 1;; limit += 8) {
        struct al_arena a;
        struct al_err err = {0};
        ProtobufCMessage *m = NULL;
        al_arena_init(&a, NULL, limit);
        enum al_code code =
            al_rpc_unpack(&airlore__rpctest__everything__descriptor, bytes, &limits, &a, &m, &err);
        al_arena_fini(&a);
        if (code == AL_OK) {
            assert_true(limit > 500); /* something was failed */
            return;
        }
        assert_int_equal(code, AL_RESOURCE_EXHAUSTED);
        assert_string_equal(err.reason, "MEMORY_LIMIT");
        assert_null(m);
        assert_true(limit < 100000);
    }
}

static void test_failing_memory(void **state)
{
    (void)state;
    /* every kind of field, a child and a oneof */
    struct al_str bytes = BYTES("\x0a\x02hi\x12\x02\xff\xfe\x18\x07\x4a\x01"
                                "a\x4a\x01"
                                "b\x52\x04\x00\x00\x80\x3f\x5a\x02\x01\x02\x62\x04\x0a\x02"
                                "ch\x72\x01l");
    for (size_t n = 0;; n++) {
        struct al_fault_mem m;
        struct al_arena a;
        ProtobufCMessage *msg = NULL;
        al_fault_mem_init(&m, n, false);
        al_arena_init(&a, &m.mem, 1u << 20);
        enum al_code code = al_rpc_unpack(&airlore__rpctest__everything__descriptor, bytes, &limits,
                                          &a, &msg, NULL);
        assert_int_equal(code, m.fired ? AL_RESOURCE_EXHAUSTED : AL_OK);
        assert_true((msg != NULL) == (code == AL_OK));
        al_arena_fini(&a);
        assert_int_equal(m.live, 0);
        if (!m.fired) {
            assert_true(n > 0);
            break;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),         cmocka_unit_test(test_values_are_right),
        cmocka_unit_test(test_depth),         cmocka_unit_test(test_counts_and_sizes),
        cmocka_unit_test(test_memory_faults), cmocka_unit_test(test_failing_memory),
    };
    return cmocka_run_group_tests_name("rpc.prescan", tests, NULL, NULL);
}
