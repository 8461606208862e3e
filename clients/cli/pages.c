/* Paged lists, by the names in the descriptors. */
#include "pages.h"

#include <string.h>

#define PAGE_MAX 1000

static void *member(const ProtobufCMessage *m, const char *name)
{
    const ProtobufCFieldDescriptor *f =
        protobuf_c_message_descriptor_get_field_by_name(m->descriptor, name);
    AL_ASSERT(f != NULL);
    return (char *)(uintptr_t)m + f->offset;
}

static enum al_code read_page(struct al_cli *c, const struct al_cli_list *l, struct al_arena *a,
                              json_t *rows, struct al_err *err)
{
    struct al_client_call call = {
        .service = l->service, .method = l->method, .message = l->request, .repeatable = true};
    ProtobufCMessage *reply = NULL;
    AL_TRY(al_client_call(c->client, &call, a, &reply, err));
    json_t *page = al_cli_json_of(reply);
    json_array_extend(rows, json_object_get(page, l->rows));
    const char *next = json_string_value(json_object_get(page, "next_page_token"));
    char *kept = al_arena_strndup(&c->arena, next ? next : "", next ? strlen(next) : 0);
    json_decref(page);
    if (!kept)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "list: out of memory");
    *(char **)member(l->request, "page_token") = kept;
    return AL_OK;
}

int al_cli_list_read(struct al_cli *c, const struct al_cli_list *l, json_t **ret)
{
    uint64_t limit = 50;
    if (!al_cli_u64(c, AL_OPT_LIMIT, 0, 10000000, &limit))
        return AL_EXIT_USAGE;
    int rc = al_cli_connect(c);
    if (rc != AL_EXIT_DONE)
        return rc;
    json_t *rows = json_array();
    struct al_err err = {.code = AL_OK};
    char **token = member(l->request, "page_token");
    enum al_code code = AL_OK;
    do {
        uint64_t left = limit ? limit - json_array_size(rows) : PAGE_MAX;
        *(int32_t *)member(l->request, "page_size") = (int32_t)(left > PAGE_MAX ? PAGE_MAX : left);
        struct al_arena a;
        al_arena_init(&a, NULL, (size_t)64 << 20);
        code = read_page(c, l, &a, rows, &err);
        al_arena_fini(&a);
    } while (code == AL_OK && (*token)[0] && !(limit && json_array_size(rows) >= limit));
    if (code != AL_OK) {
        json_decref(rows);
        return al_cli_fail(c, &err, false);
    }
    *ret = rows;
    return AL_EXIT_DONE;
}

int al_cli_list_run(struct al_cli *c, const struct al_cli_list *l)
{
    if (c->args.n_pos)
        return al_cli_usage(c, "'%s': not expected", c->args.pos[0]);
    json_t *rows = NULL;
    int rc = al_cli_list_read(c, l, &rows);
    if (rc != AL_EXIT_DONE)
        return rc;
    if (c->json) {
        json_t *doc = json_object();
        al_cli_json_set(doc, l->rows, rows);
        al_cli_json_print(stdout, doc);
        return AL_EXIT_DONE;
    }
    al_cli_table(stdout, rows, l->columns, l->n_columns, c->term.out_colour);
    json_decref(rows);
    return AL_EXIT_DONE;
}

const ProtobufCMessage *al_cli_call(struct al_cli *c, const char *method,
                                    const ProtobufCMessage *request, bool is_write, int *ret_exit)
{
    struct al_client_call call = {.service = &airlore__v1__admin_service__descriptor,
                                  .method = method,
                                  .message = request,
                                  .repeatable = !is_write};
    *ret_exit = al_cli_connect(c);
    if (*ret_exit != AL_EXIT_DONE)
        return NULL;
    ProtobufCMessage *reply = NULL;
    struct al_err err = {.code = AL_OK};
    if (al_client_call(c->client, &call, &c->arena, &reply, &err) == AL_OK)
        return reply;
    *ret_exit = al_cli_fail(c, &err, is_write);
    return NULL;
}

void al_cli_show(const struct al_cli *c, const ProtobufCMessage *m)
{
    json_t *o = al_cli_json_of(m);
    if (c->json) {
        al_cli_json_print(stdout, o);
        return;
    }
    al_cli_pairs(stdout, o, c->term.out_colour);
    json_decref(o);
}
