/* grpc.reflection.v1 and v1alpha over the descriptor set. The two differ in the package's name
 * only, so one set of message types serves both. */
#include <string.h>

#include "grpc/reflection/v1/reflection.pb-c.h"
#include "server_int.h"

typedef Grpc__Reflection__V1__ServerReflectionRequest request;
typedef Grpc__Reflection__V1__ServerReflectionResponse response;

#define MAX_QUESTIONS 10000u

#define ASKED(name_) GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##name_
#define ANSWER(name_) GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##name_

static enum al_code no_memory(struct al_err *err)
{
    return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "MEMORY_LIMIT", "reflection: out of memory");
}

static enum al_code answer_error(struct al_arena *a, response *r, enum al_code code,
                                 const char *what, struct al_err *err)
{
    Grpc__Reflection__V1__ErrorResponse *e = al_arena_alloc(a, sizeof *e);
    char *text = al_arena_strndup(a, what, strlen(what));
    if (!e || !text)
        return no_memory(err);
    grpc__reflection__v1__error_response__init(e);
    e->error_code = (int32_t)code;
    e->error_message = text;
    r->message_response_case = ANSWER(ERROR_RESPONSE);
    r->error_response = e;
    return AL_OK;
}

static enum al_code answer_file(struct al_arena *a, response *r, const struct al_dset_file *f,
                                struct al_err *err)
{
    if (!f)
        return answer_error(a, r, AL_NOT_FOUND, "no such file or symbol", err);
    Grpc__Reflection__V1__FileDescriptorResponse *files = al_arena_alloc(a, sizeof *files);
    ProtobufCBinaryData *data = al_arena_alloc(a, sizeof *data);
    if (!files || !data)
        return no_memory(err);
    *data = (ProtobufCBinaryData){f->bytes.n, (uint8_t *)f->bytes.p};
    grpc__reflection__v1__file_descriptor_response__init(files);
    files->n_file_descriptor_proto = 1;
    files->file_descriptor_proto = data;
    r->message_response_case = ANSWER(FILE_DESCRIPTOR_RESPONSE);
    r->file_descriptor_response = files;
    return AL_OK;
}

static enum al_code answer_symbol(const struct al_rpc_server *s, struct al_arena *a, response *r,
                                  const char *name, struct al_err *err)
{
    if (name[0] == '.')
        name++;
    const struct al_dset_symbol *sym = al_descriptor_set_symbol(&s->set, al_str_c(name));
    return answer_file(a, r, sym ? &s->set.files[sym->file] : NULL, err);
}

static enum al_code answer_services(const struct al_rpc_server *s, struct al_arena *a, response *r,
                                    struct al_err *err)
{
    Grpc__Reflection__V1__ListServiceResponse *list = al_arena_alloc(a, sizeof *list);
    Grpc__Reflection__V1__ServiceResponse *each = al_arena_array(a, s->n_services, sizeof *each);
    Grpc__Reflection__V1__ServiceResponse **ptrs = al_arena_array(a, s->n_services, sizeof(void *));
    if (!list || !each || !ptrs)
        return no_memory(err);
    for (size_t i = 0; i < s->n_services; i++) {
        grpc__reflection__v1__service_response__init(&each[i]);
        each[i].name = (char *)s->services[i]->name;
        ptrs[i] = &each[i];
    }
    grpc__reflection__v1__list_service_response__init(list);
    list->n_service = s->n_services;
    list->service = ptrs;
    r->message_response_case = ANSWER(LIST_SERVICES_RESPONSE);
    r->list_services_response = list;
    return AL_OK;
}

/* Our files have no extensions: a known message has none, anything else is not found. */
static enum al_code answer_extensions(const struct al_rpc_server *s, struct al_arena *a,
                                      response *r, const char *type, struct al_err *err)
{
    if (!al_descriptor_set_symbol(&s->set, al_str_c(type)))
        return answer_error(a, r, AL_NOT_FOUND, "no such message", err);
    Grpc__Reflection__V1__ExtensionNumberResponse *numbers = al_arena_alloc(a, sizeof *numbers);
    char *name = al_arena_strndup(a, type, strlen(type));
    if (!numbers || !name)
        return no_memory(err);
    grpc__reflection__v1__extension_number_response__init(numbers);
    numbers->base_type_name = name;
    r->message_response_case = ANSWER(ALL_EXTENSION_NUMBERS_RESPONSE);
    r->all_extension_numbers_response = numbers;
    return AL_OK;
}

static enum al_code answer(const struct al_rpc_server *s, struct al_arena *a, const request *q,
                           response *r, struct al_err *err)
{
    switch ((int)q->message_request_case) {
    case ASKED(FILE_BY_FILENAME):
        return answer_file(a, r, al_descriptor_set_file(&s->set, al_str_c(q->file_by_filename)),
                           err);
    case ASKED(FILE_CONTAINING_SYMBOL):
        return answer_symbol(s, a, r, q->file_containing_symbol, err);
    case ASKED(FILE_CONTAINING_EXTENSION):
        return answer_error(a, r, AL_NOT_FOUND, "no such extension", err);
    case ASKED(ALL_EXTENSION_NUMBERS_OF_TYPE):
        return answer_extensions(s, a, r, q->all_extension_numbers_of_type, err);
    case ASKED(LIST_SERVICES):
        return answer_services(s, a, r, err);
    case ASKED(_NOT_SET):
    default:
        return answer_error(a, r, AL_INVALID_ARGUMENT, "the request asks nothing", err);
    }
}

static enum al_code info(void *ctx, struct al_rpc_call *call, struct al_err *err)
{
    for (unsigned i = 0; i < MAX_QUESTIONS; i++) {
        ProtobufCMessage *msg;
        AL_TRY(al_rpc_read(call, &msg, err));
        if (!msg)
            return AL_OK;
        request *q = (void *)msg;
        response r;
        grpc__reflection__v1__server_reflection_response__init(&r);
        r.valid_host = q->host;
        r.original_request = q;
        AL_TRY(answer(ctx, al_rpc_call_scratch(call), q, &r, err));
        AL_TRY(al_rpc_write(call, &r.base, err));
    }
    return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "reflection: more than %u questions", MAX_QUESTIONS);
}

static const ProtobufCMethodDescriptor alpha_methods[] = {
    {"ServerReflectionInfo", &grpc__reflection__v1__server_reflection_request__descriptor,
     &grpc__reflection__v1__server_reflection_response__descriptor},
};

static const unsigned alpha_indices[] = {0};

static const ProtobufCServiceDescriptor alpha = {
    PROTOBUF_C__SERVICE_DESCRIPTOR_MAGIC,
    "grpc.reflection.v1alpha.ServerReflection",
    "ServerReflection",
    "ServerReflectionAlpha",
    "grpc.reflection.v1alpha",
    1,
    alpha_methods,
    alpha_indices,
};

enum al_code al_rpc_reflection_add(struct al_rpc_server *s, struct al_err *err)
{
    static const struct al_rpc_method methods[] = {
        {.name = "ServerReflectionInfo", .stream = info},
    };
    AL_TRY(al_rpc_server_register(s, &grpc__reflection__v1__server_reflection__descriptor, methods,
                                  1, s, err));
    return al_rpc_server_register(s, &alpha, methods, 1, s, err);
}
