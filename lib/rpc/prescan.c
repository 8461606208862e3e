#include "prescan.h"

#include <string.h>

enum wire { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

struct scan {
    const struct al_rpc_limits *limits;
    uint32_t elements;
    struct al_err *err;
};

static enum al_code refuse(struct scan *s, const ProtobufCMessageDescriptor *d,
                           const ProtobufCFieldDescriptor *f, const char *reason, const char *what)
{
    if (f)
        return AL_FAIL_R(s->err, AL_INVALID_ARGUMENT, reason, "message '%s': field '%s': %s",
                         d->name, f->name, what);
    return AL_FAIL_R(s->err, AL_INVALID_ARGUMENT, reason, "message '%s': %s", d->name, what);
}

static enum al_code bad(struct scan *s, const ProtobufCMessageDescriptor *d,
                        const ProtobufCFieldDescriptor *f, const char *what)
{
    return refuse(s, d, f, "MESSAGE_MALFORMED", what);
}

/* A varint of at most 10 bytes; false if it does not end. */
static bool take_varint(const uint8_t **p, const uint8_t *end, uint64_t *ret)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 70 && *p < end; shift += 7) {
        uint8_t b = *(*p)++;
        if (shift < 64)
            v |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80)) {
            *ret = v;
            return true;
        }
    }
    return false;
}

static bool is_varint_type(ProtobufCType t)
{
    return t == PROTOBUF_C_TYPE_INT32 || t == PROTOBUF_C_TYPE_SINT32 ||
           t == PROTOBUF_C_TYPE_INT64 || t == PROTOBUF_C_TYPE_SINT64 ||
           t == PROTOBUF_C_TYPE_UINT32 || t == PROTOBUF_C_TYPE_UINT64 ||
           t == PROTOBUF_C_TYPE_BOOL || t == PROTOBUF_C_TYPE_ENUM;
}

static bool is_fixed32_type(ProtobufCType t)
{
    return t == PROTOBUF_C_TYPE_FIXED32 || t == PROTOBUF_C_TYPE_SFIXED32 ||
           t == PROTOBUF_C_TYPE_FLOAT;
}

static bool is_fixed64_type(ProtobufCType t)
{
    return t == PROTOBUF_C_TYPE_FIXED64 || t == PROTOBUF_C_TYPE_SFIXED64 ||
           t == PROTOBUF_C_TYPE_DOUBLE;
}

/* Elements of a packed field, or SIZE_MAX if the bytes are not whole elements. */
static size_t count_packed(ProtobufCType t, struct al_str b)
{
    if (is_fixed32_type(t))
        return b.n % 4 ? SIZE_MAX : b.n / 4;
    if (is_fixed64_type(t))
        return b.n % 8 ? SIZE_MAX : b.n / 8;
    const uint8_t *p = (const uint8_t *)b.p;
    const uint8_t *end = p + b.n;
    size_t n = 0;
    uint64_t v;
    for (; p < end; n++) {
        if (!take_varint(&p, end, &v))
            return SIZE_MAX;
    }
    return n;
}

static bool add_elements(struct scan *s, size_t n)
{
    if (n > s->limits->elements_max - s->elements)
        return false;
    s->elements += (uint32_t)n;
    return true;
}

static enum al_code scan_string(struct scan *s, const ProtobufCMessageDescriptor *d,
                                const ProtobufCFieldDescriptor *f, struct al_str b)
{
    if (b.n && memchr(b.p, 0, b.n))
        return refuse(s, d, f, "NUL_BYTE", "contains a NUL character");
    if (!al_str_is_utf8(b))
        return refuse(s, d, f, "BAD_UTF8", "not valid UTF-8");
    return AL_OK;
}

static enum al_code scan_message(struct scan *s, const ProtobufCMessageDescriptor *d,
                                 struct al_str bytes, uint32_t depth);

static enum al_code scan_bytes(struct scan *s, const ProtobufCMessageDescriptor *d,
                               const ProtobufCFieldDescriptor *f, struct al_str b, uint32_t depth)
{
    if (!f || f->type == PROTOBUF_C_TYPE_BYTES)
        return AL_OK;
    if (f->type == PROTOBUF_C_TYPE_STRING)
        return scan_string(s, d, f, b);
    if (f->type == PROTOBUF_C_TYPE_MESSAGE)
        return scan_message(s, f->descriptor, b, depth + 1);
    if (f->label != PROTOBUF_C_LABEL_REPEATED)
        return bad(s, d, f, "wrong wire type");
    size_t n = count_packed(f->type, b);
    if (n == SIZE_MAX)
        return bad(s, d, f, "packed elements are cut off");
    return add_elements(s, n) ? AL_OK : refuse(s, d, f, "TOO_MANY", "too many elements");
}

static bool wire_fits(const ProtobufCFieldDescriptor *f, unsigned wire)
{
    if (!f || wire == WIRE_BYTES)
        return true; /* scan_bytes looks closer */
    if (wire == WIRE_VARINT)
        return is_varint_type(f->type);
    return wire == WIRE_FIXED32 ? is_fixed32_type(f->type) : is_fixed64_type(f->type);
}

/* One field: *p stands after its tag. */
static enum al_code scan_field(struct scan *s, const ProtobufCMessageDescriptor *d, uint64_t tag,
                               const uint8_t **p, const uint8_t *end, uint32_t depth)
{
    unsigned wire = (unsigned)(tag & 7);
    const ProtobufCFieldDescriptor *f =
        protobuf_c_message_descriptor_get_field(d, (unsigned)(tag >> 3));
    if (wire != WIRE_VARINT && wire != WIRE_FIXED64 && wire != WIRE_BYTES && wire != WIRE_FIXED32)
        return bad(s, d, f, "unknown wire type");
    if (!wire_fits(f, wire))
        return bad(s, d, f, "wrong wire type");
    uint64_t v = wire == WIRE_FIXED64 ? 8 : 4;
    if (wire == WIRE_VARINT)
        return take_varint(p, end, &v) ? AL_OK : bad(s, d, f, "number is cut off");
    if (wire == WIRE_BYTES && !take_varint(p, end, &v))
        return bad(s, d, f, "length is cut off");
    if (v > (uint64_t)(end - *p))
        return bad(s, d, f, "value is cut off");
    struct al_str b = {(const char *)*p, (size_t)v};
    *p += v;
    return wire == WIRE_BYTES ? scan_bytes(s, d, f, b, depth) : AL_OK;
}

static enum al_code scan_message(struct scan *s, const ProtobufCMessageDescriptor *d,
                                 struct al_str bytes, uint32_t depth)
{
    if (depth > s->limits->depth_max)
        return refuse(s, d, NULL, "MESSAGE_TOO_DEEP", "nested too deep");
    const uint8_t *p = (const uint8_t *)bytes.p;
    const uint8_t *end = p + bytes.n;
    while (p < end) {
        uint64_t tag;
        if (!take_varint(&p, end, &tag))
            return bad(s, d, NULL, "field number is cut off");
        if (tag > UINT32_MAX || tag >> 3 == 0)
            return bad(s, d, NULL, "field number out of range");
        if (!add_elements(s, 1))
            return refuse(s, d, NULL, "TOO_MANY", "too many elements");
        AL_TRY(scan_field(s, d, tag, &p, end, depth));
    }
    return AL_OK;
}

enum al_code al_rpc_prescan(const ProtobufCMessageDescriptor *d, struct al_str bytes,
                            const struct al_rpc_limits *limits, struct al_err *err)
{
    if (bytes.n > limits->bytes_max)
        return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE",
                         "message '%s': %zu bytes, at most %zu are allowed", d->name, bytes.n,
                         limits->bytes_max);
    struct scan s = {.limits = limits, .err = err};
    return scan_message(&s, d, bytes, 1);
}

/* The decoder's allocations go to the arena; what failed there is told apart from bad bytes. */
struct decode_mem {
    struct al_arena *arena;
    bool failed;
};

static void *decode_alloc(void *data, size_t n)
{
    struct decode_mem *m = data;
    void *p = al_arena_alloc(m->arena, n);
    if (!p)
        m->failed = true;
    return p;
}

static void decode_free(void *data, void *p)
{
    (void)data;
    (void)p;
}

enum al_code al_rpc_unpack(const ProtobufCMessageDescriptor *d, struct al_str bytes,
                           const struct al_rpc_limits *limits, struct al_arena *a,
                           ProtobufCMessage **ret, struct al_err *err)
{
    AL_TRY(al_rpc_prescan(d, bytes, limits, err));
    struct decode_mem mem = {.arena = a};
    ProtobufCAllocator allocator = {decode_alloc, decode_free, &mem};
    const uint8_t *p = bytes.n ? (const uint8_t *)bytes.p : (const uint8_t *)"";
    ProtobufCMessage *m = protobuf_c_message_unpack(d, &allocator, bytes.n, p);
    if (!m && mem.failed)
        return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "MEMORY_LIMIT",
                         "message '%s': decoding needs more memory than a call may use", d->name);
    if (!m)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "MESSAGE_MALFORMED",
                         "message '%s': cannot be decoded", d->name);
    *ret = m;
    return AL_OK;
}
