#include "descriptor_set.h"

#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 64u
#define NAME_MAX_BYTES 512u

/* Field numbers of google/protobuf/descriptor.proto. */
enum {
    SET_FILE = 1,
    ANY_NAME = 1, /* of all but files */
    FILE_NAME = 1,
    FILE_PACKAGE = 2,
    FILE_MESSAGE = 4,
    FILE_ENUM = 5,
    FILE_SERVICE = 6,
    FILE_EXTENSION = 7,
    MESSAGE_FIELD = 2,
    MESSAGE_NESTED = 3,
    MESSAGE_ENUM = 4,
    MESSAGE_EXTENSION = 6,
    MESSAGE_ONEOF = 8,
    ENUM_VALUE = 2,
    SERVICE_METHOD = 2,
    METHOD_CLIENT_STREAMING = 5,
    METHOD_SERVER_STREAMING = 6,
};

/* One field of an encoded message. */
struct field {
    uint64_t number;
    uint64_t value;      /* varint */
    struct al_str bytes; /* length-delimited */
};

static bool next_field(struct al_reader *r, struct field *f)
{
    if (r->failed || r->p == r->end)
        return false;
    uint64_t tag = al_reader_varint(r);
    *f = (struct field){.number = tag >> 3};
    switch (tag & 7) {
    case 0:
        f->value = al_reader_varint(r);
        break;
    case 1:
        (void)al_reader_u64le(r);
        break;
    case 2:
        f->bytes = al_reader_lenstr(r);
        break;
    case 5:
        (void)al_reader_u32le(r);
        break;
    default:
        r->failed = true;
    }
    return !r->failed;
}

static struct al_str first_string(struct al_str message, uint64_t number)
{
    struct al_reader r = al_reader_of(message);
    struct field f;
    while (next_field(&r, &f)) {
        if (f.number == number)
            return f.bytes;
    }
    return (struct al_str){0};
}

static enum al_code bad(struct al_err *err, const char *what)
{
    return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_DESCRIPTOR_SET", "descriptor set: %s", what);
}

static enum al_code no_memory(struct al_err *err)
{
    return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "descriptor set: out of memory");
}

/* scope + "." + name, owned by the set through its symbol. */
static enum al_code add_symbol(struct al_descriptor_set *set, struct al_str scope,
                               struct al_str name, struct al_dset_symbol like, struct al_err *err)
{
    if (name.n == 0 || scope.n + name.n + 1 > NAME_MAX_BYTES)
        return bad(err, "a name is empty or longer than 512 bytes");
    void *p = set->symbols;
    if (al_mem_grow(set->mem, &p, &set->symbols_cap, set->n_symbols + 1, sizeof *set->symbols) !=
        AL_OK)
        return no_memory(err);
    set->symbols = p;
    char full[NAME_MAX_BYTES + 1];
    size_t n = 0;
    if (scope.n) {
        memcpy(full, scope.p, scope.n);
        full[scope.n] = '.';
        n = scope.n + 1;
    }
    memcpy(full + n, name.p, name.n);
    like.name = al_mem_strndup(set->mem, full, n + name.n);
    if (!like.name)
        return no_memory(err);
    like.file = (uint32_t)set->n_files;
    set->symbols[set->n_symbols++] = like;
    return AL_OK;
}

static struct al_str last_symbol(const struct al_descriptor_set *set)
{
    return al_str_c(set->symbols[set->n_symbols - 1].name);
}

static enum al_code add_plain(struct al_descriptor_set *set, struct al_str scope,
                              struct al_str body, struct al_err *err)
{
    return add_symbol(set, scope, first_string(body, ANY_NAME), (struct al_dset_symbol){0}, err);
}

/* Values of an enum live beside it, not in it. */
static enum al_code add_enum(struct al_descriptor_set *set, struct al_str scope, struct al_str body,
                             struct al_err *err)
{
    AL_TRY(add_plain(set, scope, body, err));
    struct al_reader r = al_reader_of(body);
    struct field f;
    while (next_field(&r, &f)) {
        if (f.number == ENUM_VALUE)
            AL_TRY(add_plain(set, scope, f.bytes, err));
    }
    return r.failed ? bad(err, "an enum is cut off") : AL_OK;
}

static enum al_code add_message(struct al_descriptor_set *set, struct al_str scope,
                                struct al_str body, unsigned depth, struct al_err *err)
{
    if (depth > DEPTH_MAX)
        return bad(err, "messages are nested too deep");
    AL_TRY(add_plain(set, scope, body, err));
    struct al_str self = last_symbol(set);
    struct al_reader r = al_reader_of(body);
    struct field f;
    while (next_field(&r, &f)) {
        if (f.number == MESSAGE_FIELD || f.number == MESSAGE_EXTENSION || f.number == MESSAGE_ONEOF)
            AL_TRY(add_plain(set, self, f.bytes, err));
        else if (f.number == MESSAGE_NESTED)
            AL_TRY(add_message(set, self, f.bytes, depth + 1, err));
        else if (f.number == MESSAGE_ENUM)
            AL_TRY(add_enum(set, self, f.bytes, err));
    }
    return r.failed ? bad(err, "a message is cut off") : AL_OK;
}

static enum al_code add_method(struct al_descriptor_set *set, struct al_str scope,
                               struct al_str body, struct al_err *err)
{
    unsigned kind = 0;
    struct al_reader r = al_reader_of(body);
    struct field f;
    while (next_field(&r, &f)) {
        if (f.number == METHOD_SERVER_STREAMING && f.value)
            kind |= AL_RPC_SERVER_STREAM;
        if (f.number == METHOD_CLIENT_STREAMING && f.value)
            kind |= AL_RPC_CLIENT_STREAM;
    }
    if (r.failed)
        return bad(err, "a method is cut off");
    return add_symbol(set, scope, first_string(body, ANY_NAME),
                      (struct al_dset_symbol){.is_method = true, .kind = (enum al_rpc_kind)kind},
                      err);
}

static enum al_code add_service(struct al_descriptor_set *set, struct al_str scope,
                                struct al_str body, struct al_err *err)
{
    AL_TRY(add_symbol(set, scope, first_string(body, ANY_NAME),
                      (struct al_dset_symbol){.is_service = true}, err));
    struct al_str self = last_symbol(set);
    struct al_reader r = al_reader_of(body);
    struct field f;
    while (next_field(&r, &f)) {
        if (f.number == SERVICE_METHOD)
            AL_TRY(add_method(set, self, f.bytes, err));
    }
    return r.failed ? bad(err, "a service is cut off") : AL_OK;
}

static enum al_code add_file(struct al_descriptor_set *set, struct al_str body, struct al_err *err)
{
    struct al_str name = first_string(body, FILE_NAME);
    if (name.n == 0 || name.n > NAME_MAX_BYTES)
        return bad(err, "a file has no name");
    void *p = set->files;
    if (al_mem_grow(set->mem, &p, &set->files_cap, set->n_files + 1, sizeof *set->files) != AL_OK)
        return no_memory(err);
    set->files = p;
    struct al_str package = first_string(body, FILE_PACKAGE);
    struct al_reader r = al_reader_of(body);
    struct field f;
    while (next_field(&r, &f)) {
        if (f.number == FILE_MESSAGE)
            AL_TRY(add_message(set, package, f.bytes, 1, err));
        else if (f.number == FILE_ENUM)
            AL_TRY(add_enum(set, package, f.bytes, err));
        else if (f.number == FILE_SERVICE)
            AL_TRY(add_service(set, package, f.bytes, err));
        else if (f.number == FILE_EXTENSION)
            AL_TRY(add_plain(set, package, f.bytes, err));
    }
    if (r.failed)
        return bad(err, "a file is cut off");
    set->files[set->n_files++] = (struct al_dset_file){name, body};
    return AL_OK;
}

static int compare_symbols(const void *a, const void *b)
{
    const struct al_dset_symbol *x = a;
    const struct al_dset_symbol *y = b;
    return strcmp(x->name, y->name);
}

static enum al_code fill(struct al_descriptor_set *set, struct al_str bytes, struct al_err *err)
{
    struct al_reader r = al_reader_of(bytes);
    struct field f;
    while (next_field(&r, &f)) {
        if (f.number == SET_FILE)
            AL_TRY(add_file(set, f.bytes, err));
    }
    if (r.failed)
        return bad(err, "cut off");
    if (set->n_files == 0)
        return bad(err, "no file in it");
    if (set->n_symbols)
        qsort(set->symbols, set->n_symbols, sizeof *set->symbols, compare_symbols);
    return AL_OK;
}

enum al_code al_descriptor_set_open(struct al_descriptor_set *set, struct al_str bytes,
                                    struct al_mem *mem, struct al_err *err)
{
    *set = (struct al_descriptor_set){.mem = mem};
    enum al_code code = fill(set, bytes, err);
    if (code != AL_OK)
        al_descriptor_set_close(set);
    return code;
}

void al_descriptor_set_close(struct al_descriptor_set *set)
{
    for (size_t i = 0; i < set->n_symbols; i++)
        al_mem_free(set->mem, (char *)set->symbols[i].name);
    al_mem_free(set->mem, set->symbols);
    al_mem_free(set->mem, set->files);
    *set = (struct al_descriptor_set){0};
}

const struct al_dset_file *al_descriptor_set_file(const struct al_descriptor_set *set,
                                                  struct al_str name)
{
    for (size_t i = 0; i < set->n_files; i++) {
        if (al_str_eq(set->files[i].name, name))
            return &set->files[i];
    }
    return NULL;
}

const struct al_dset_symbol *al_descriptor_set_symbol(const struct al_descriptor_set *set,
                                                      struct al_str name)
{
    size_t low = 0;
    size_t high = set->n_symbols;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = al_str_cmp(al_str_c(set->symbols[mid].name), name);
        if (order == 0)
            return &set->symbols[mid];
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

const struct al_dset_symbol *al_descriptor_set_method(const struct al_descriptor_set *set,
                                                      struct al_str service, struct al_str method)
{
    char full[NAME_MAX_BYTES + 1];
    if (service.n + method.n + 1 > NAME_MAX_BYTES)
        return NULL;
    memcpy(full, service.p, service.n);
    full[service.n] = '.';
    memcpy(full + service.n + 1, method.p, method.n);
    const struct al_dset_symbol *s =
        al_descriptor_set_symbol(set, (struct al_str){full, service.n + method.n + 1});
    return s && s->is_method ? s : NULL;
}
