/* Messages to JSON, by their descriptors. */
#include "json_out.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#include "airlore/clock.h"
#include "google/protobuf/timestamp.pb-c.h"

static json_t *must(json_t *v)
{
    AL_ASSERT(v != NULL);
    return v;
}

void al_cli_json_set(json_t *object, const char *name, json_t *value)
{
    AL_ASSERT(json_object_set_new(object, name, must(value)) == 0);
}

void al_cli_json_add(json_t *array, json_t *value)
{
    AL_ASSERT(json_array_append_new(array, must(value)) == 0);
}

json_t *al_cli_json_text(struct al_str s)
{
    if (s.n == 0)
        return must(json_string(""));
    if (al_str_is_utf8(s) && !memchr(s.p, '\0', s.n))
        return must(json_stringn(s.p, s.n));
    struct al_buf b;
    al_buf_init(&b, NULL, 0);
    for (size_t at = 0; at < s.n;) {
        size_t whole = at;
        while (whole < s.n && (unsigned char)s.p[whole] < 0x80 && s.p[whole] != '\0')
            whole++;
        al_buf_add(&b, s.p + at, whole - at);
        at = whole;
        size_t n = 2;
        while (n <= 4 && at + n <= s.n && !al_str_is_utf8(al_str_sub(s, at, n)))
            n++;
        if (at < s.n && n <= 4 && at + n <= s.n && (unsigned char)s.p[at] >= 0x80) {
            al_buf_add(&b, s.p + at, n);
            at += n;
        } else if (at < s.n) {
            al_buf_cstr(&b, "\xef\xbf\xbd");
            at++;
        }
    }
    json_t *v = json_stringn(b.p ? b.p : "", b.n);
    al_buf_fini(&b);
    return must(v);
}

static json_t *number(double d)
{
    return must(isfinite(d) ? json_real(d) : json_null());
}

/* Length of the prefix that all values of an enum share: that of NAME_UNSPECIFIED. */
static size_t enum_prefix(const ProtobufCEnumDescriptor *e)
{
    const char *first = e->n_values ? e->values[0].name : "";
    size_t n = strlen(first);
    size_t tail = strlen("UNSPECIFIED");
    return n > tail && strcmp(first + n - tail, "UNSPECIFIED") == 0 ? n - tail : 0;
}

static void enum_word(const ProtobufCEnumDescriptor *e, const ProtobufCEnumValue *v, char *buf,
                      size_t n)
{
    const char *name = v->name + enum_prefix(e);
    size_t i = 0;
    for (; name[i] && i + 1 < n; i++)
        buf[i] = (char)tolower((unsigned char)name[i]);
    buf[i] = '\0';
}

static json_t *enum_json(const ProtobufCEnumDescriptor *e, int value)
{
    const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(e, value);
    if (!v)
        return must(json_integer(value));
    if (value == 0)
        return must(json_string(""));
    char word[64];
    enum_word(e, v, word, sizeof word);
    return must(json_string(word));
}

bool al_cli_enum(const ProtobufCEnumDescriptor *e, const char *word, int *ret)
{
    for (unsigned i = 0; i < e->n_values; i++) {
        char name[64];
        enum_word(e, &e->values[i], name, sizeof name);
        if (e->values[i].value != 0 && strcmp(name, word) == 0) {
            *ret = e->values[i].value;
            return true;
        }
    }
    return false;
}

void al_cli_enum_words(const ProtobufCEnumDescriptor *e, char *buf, size_t n)
{
    size_t used = 0;
    buf[0] = '\0';
    for (unsigned i = 0; i < e->n_values; i++) {
        char word[64];
        enum_word(e, &e->values[i], word, sizeof word);
        if (e->values[i].value == 0)
            continue;
        int k = snprintf(buf + used, n - used, "%s%s", used ? ", " : "", word);
        if (k < 0 || (size_t)k >= n - used)
            return;
        used += (size_t)k;
    }
}

static json_t *time_json(const Google__Protobuf__Timestamp *t)
{
    char text[40];
    int64_t ms = t->seconds * 1000 + t->nanos / 1000000;
    return must(json_string(al_clock_format_rfc3339(ms < 0 ? 0 : (uint64_t)ms, text, sizeof text)));
}

static json_t *integer(uint64_t v)
{
    return must(json_integer(v > INT64_MAX ? INT64_MAX : (json_int_t)v));
}

static json_t *bytes_json(const ProtobufCBinaryData *b)
{
    return al_cli_json_text((struct al_str){(const char *)b->data, b->len});
}

static json_t *message_json(const ProtobufCMessage *m)
{
    if (!m)
        return must(json_null());
    if (m->descriptor == &google__protobuf__timestamp__descriptor)
        return time_json((const void *)m);
    return al_cli_json_of(m);
}

/* One value of a field; p points at it. */
static json_t *value_json(const ProtobufCFieldDescriptor *f, const void *p)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        return must(json_integer(*(const int32_t *)p));
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        return must(json_integer(*(const uint32_t *)p));
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return must(json_integer(*(const int64_t *)p));
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return integer(*(const uint64_t *)p);
    case PROTOBUF_C_TYPE_FLOAT:
        return number((double)*(const float *)p);
    case PROTOBUF_C_TYPE_DOUBLE:
        return number(*(const double *)p);
    case PROTOBUF_C_TYPE_BOOL:
        return must(json_boolean(*(const protobuf_c_boolean *)p));
    case PROTOBUF_C_TYPE_ENUM:
        return enum_json(f->descriptor, *(const int *)p);
    case PROTOBUF_C_TYPE_STRING:
        return al_cli_json_text(al_str_c(*(char *const *)p));
    case PROTOBUF_C_TYPE_BYTES:
        return bytes_json(p);
    case PROTOBUF_C_TYPE_MESSAGE:
        return message_json(*(ProtobufCMessage *const *)p);
    }
    return must(json_null());
}

static size_t size_of(const ProtobufCFieldDescriptor *f)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_ENUM:
        return 4;
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        break;
    }
    return 8;
}

static bool is_map(const ProtobufCFieldDescriptor *f)
{
    if (f->label != PROTOBUF_C_LABEL_REPEATED || f->type != PROTOBUF_C_TYPE_MESSAGE)
        return false;
    const ProtobufCMessageDescriptor *d = f->descriptor;
    return d->n_fields == 2 && strcmp(d->fields[0].name, "key") == 0 &&
           strcmp(d->fields[1].name, "value") == 0 &&
           al_str_ends(al_str_c(d->name), AL_STR("Entry")) &&
           d->fields[0].type == PROTOBUF_C_TYPE_STRING;
}

static json_t *map_json(ProtobufCMessage *const *entries, size_t n)
{
    json_t *o = must(json_object());
    for (size_t i = 0; i < n; i++) {
        const ProtobufCFieldDescriptor *f = entries[i]->descriptor->fields;
        const char *base = (const char *)entries[i];
        const char *key = *(char *const *)(const void *)(base + f[0].offset);
        al_cli_json_set(o, key, value_json(&f[1], base + f[1].offset));
    }
    return o;
}

static json_t *repeated_json(const ProtobufCFieldDescriptor *f, const char *base)
{
    size_t n = *(const size_t *)(const void *)(base + f->quantifier_offset);
    const char *p = *(char *const *)(const void *)(base + f->offset);
    if (is_map(f))
        return map_json((ProtobufCMessage *const *)(const void *)p, n);
    json_t *a = must(json_array());
    for (size_t i = 0; i < n; i++)
        al_cli_json_add(a, value_json(f, p + i * size_of(f)));
    return a;
}

json_t *al_cli_json_of(const ProtobufCMessage *m)
{
    json_t *o = must(json_object());
    const char *base = (const char *)m;
    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        const char *p = base + f->offset;
        if (f->label == PROTOBUF_C_LABEL_REPEATED) {
            al_cli_json_set(o, f->name, repeated_json(f, base));
            continue;
        }
        if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF &&
            *(const uint32_t *)(const void *)(base + f->quantifier_offset) != f->id)
            continue;
        if (f->type == PROTOBUF_C_TYPE_MESSAGE && !*(void *const *)(const void *)p)
            continue;
        al_cli_json_set(o, f->name, value_json(f, p));
    }
    return o;
}

void al_cli_json_print(FILE *f, json_t *doc)
{
    json_dumpf(doc, f, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
    fputc('\n', f);
    json_decref(doc);
}
