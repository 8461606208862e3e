/* airlore get, list, delete */
#include <inttypes.h>
#include <string.h>

#include "json_out.h"
#include "names.h"

static char *option_text(const struct al_cli *c, enum al_cli_opt o)
{
    const char *v = c->args.value[o];
    return (char *)(uintptr_t)(v ? v : "");
}

static void put_item(const struct al_cli *c, const Airlore__V1__Item *item)
{
    json_t *o = al_cli_json_of(&item->base);
    json_object_del(o, "text");
    json_object_del(o, "chunks");
    json_t *facts = json_object_get(o, "facts");
    json_object_del(facts, "links");
    json_object_del(facts, "headings");
    json_t *kept = facts ? json_incref(facts) : NULL;
    json_object_del(o, "facts");
    al_cli_pairs(stdout, o, c->term.out_colour);
    if (kept)
        al_cli_pairs(stdout, kept, c->term.out_colour);
    json_decref(kept);
    json_decref(o);
    if (item->text[0]) {
        putchar('\n');
        al_cli_put_wrapped(stdout, al_str_c(item->text), (size_t)c->term.width, 0);
    }
}

int al_cmd_get(struct al_cli *c)
{
    Airlore__V1__GetItemRequest r = AIRLORE__V1__GET_ITEM_REQUEST__INIT;
    const char *id = al_cli_one(c, "id");
    if (!id)
        return AL_EXIT_USAGE;
    int rc = al_cli_connect(c);
    if (rc != AL_EXIT_DONE)
        return rc;
    r.id = (char *)(uintptr_t)id;
    r.space = option_text(c, AL_OPT_SPACE);
    r.after_token = option_text(c, AL_OPT_AFTER);
    Airlore__V1__GetItemResponse *reply = NULL;
    struct al_err err = {.code = AL_OK};
    enum al_code code = al_client_get_item(c->client, &r, &c->arena, &reply, &err);
    if (code == AL_OK && !reply->item)
        code = AL_FAIL(&err, AL_INTERNAL, "item '%s': empty answer", id);
    if (code != AL_OK)
        return al_cli_fail(c, &err, false);
    if (c->json)
        al_cli_json_print(stdout, al_cli_json_of(&reply->item->base));
    else
        put_item(c, reply->item);
    return AL_EXIT_DONE;
}

/* Pages until `limit` items (0: all) are in rows; *more is the token of what was left. */
static enum al_code read_pages(struct al_cli *c, uint64_t limit, json_t *rows, char **more,
                               struct al_err *err)
{
    Airlore__V1__ListItemsRequest r = AIRLORE__V1__LIST_ITEMS_REQUEST__INIT;
    r.filter = option_text(c, AL_OPT_FILTER);
    r.space = option_text(c, AL_OPT_SPACE);
    r.after_token = option_text(c, AL_OPT_AFTER);
    r.view = c->args.value[AL_OPT_TEXT] ? AIRLORE__V1__ITEM_VIEW__ITEM_VIEW_FULL
                                        : AIRLORE__V1__ITEM_VIEW__ITEM_VIEW_BASIC;
    for (;;) {
        uint64_t left = limit ? limit - json_array_size(rows) : 1000;
        r.page_size = (int32_t)(left > 1000 ? 1000 : left);
        Airlore__V1__ListItemsResponse *reply = NULL;
        struct al_arena a;
        al_arena_init(&a, NULL, (size_t)128 << 20);
        enum al_code code = al_client_list_items(c->client, &r, &a, &reply, err);
        for (size_t i = 0; code == AL_OK && i < reply->n_items; i++)
            al_cli_json_add(rows, al_cli_json_of(&reply->items[i]->base));
        if (code == AL_OK)
            r.page_token = al_cli_keep(c, reply->next_page_token);
        al_arena_fini(&a);
        AL_TRY(code);
        *more = r.page_token;
        if (!r.page_token[0] || (limit && json_array_size(rows) >= limit))
            return AL_OK;
    }
}

/* Each item under its id. */
static void put_texts(const struct al_cli *c, const json_t *rows)
{
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        printf("%s%s== ", i ? "\n" : "", al_cli_style_on(c->term.out_colour, AL_STYLE_CYAN));
        al_cli_put(stdout, al_str_c(json_string_value(json_object_get(row, "id"))));
        printf("%s\n", al_cli_style_on(c->term.out_colour, AL_STYLE_PLAIN));
        const char *text = json_string_value(json_object_get(row, "text"));
        if (text && text[0])
            al_cli_put_wrapped(stdout, al_str_c(text), (size_t)c->term.width, 0);
        else
            al_cli_note(c, "too large for a list; to see it: airlore get ID");
    }
}

int al_cmd_list(struct al_cli *c)
{
    static const struct al_cli_column columns[] = {{"ID", "id"},
                                                   {"KIND", "kind"},
                                                   {"SCOPE", "scope"},
                                                   {"CHUNKS", "chunk_count"},
                                                   {"TITLE", "title"}};
    uint64_t limit = 50;
    if (c->args.n_pos)
        return al_cli_usage(c, "'%s': not expected; to find something: airlore search",
                            c->args.pos[0]);
    if (!al_cli_u64(c, AL_OPT_LIMIT, 0, 10000000, &limit))
        return AL_EXIT_USAGE;
    int rc = al_cli_connect(c);
    if (rc != AL_EXIT_DONE)
        return rc;
    json_t *rows = json_array();
    char *more = NULL;
    struct al_err err = {.code = AL_OK};
    if (read_pages(c, limit, rows, &more, &err) != AL_OK) {
        json_decref(rows);
        return al_cli_fail(c, &err, false);
    }
    if (c->json) {
        json_t *doc = json_object();
        al_cli_json_set(doc, "items", rows);
        if (more[0])
            al_cli_json_set(doc, "next_page_token", al_cli_json_text(al_str_c(more)));
        al_cli_json_print(stdout, doc);
        return AL_EXIT_DONE;
    }
    if (c->args.value[AL_OPT_TEXT])
        put_texts(c, rows);
    else
        al_cli_table(stdout, rows, columns, AL_ARRAY_LEN(columns), c->term.out_colour);
    if (more[0])
        al_cli_note(c, "there are more: --limit N, 0 for all");
    json_decref(rows);
    return AL_EXIT_DONE;
}

/* -----------------------------------------------------------------------------------------------------------
 * delete */

static int delete_ids(struct al_cli *c)
{
    int worst = AL_EXIT_DONE;
    json_t *deleted = json_array();
    json_t *token = NULL;
    for (int i = 0; i < c->args.n_pos; i++) {
        Airlore__V1__DeleteItemRequest r = AIRLORE__V1__DELETE_ITEM_REQUEST__INIT;
        r.id = c->args.pos[i];
        r.space = option_text(c, AL_OPT_SPACE);
        r.write_id = al_cli_write_id(c);
        Airlore__V1__DeleteItemResponse *reply = NULL;
        struct al_err err = {.code = AL_OK};
        if (al_client_delete_item(c->client, &r, &c->arena, &reply, &err) != AL_OK) {
            int rc = al_cli_fail(c, &err, true);
            worst = rc > worst ? rc : worst;
            if (rc != AL_EXIT_BAD)
                break;
            continue;
        }
        al_cli_json_add(deleted, al_cli_json_text(al_str_c(r.id)));
        json_decref(token);
        token = al_cli_json_text(al_str_c(reply->token));
    }
    if (c->json && json_array_size(deleted)) {
        json_t *doc = json_object();
        al_cli_json_set(doc, "deleted", json_integer((json_int_t)json_array_size(deleted)));
        al_cli_json_set(doc, "ids", json_incref(deleted));
        al_cli_json_set(doc, "token", token);
        al_cli_json_print(stdout, doc);
        token = NULL;
    } else if (json_array_size(deleted)) {
        printf("deleted %zu\n", json_array_size(deleted));
    }
    json_decref(token);
    json_decref(deleted);
    return worst;
}

static void put_preview(const struct al_cli *c, const Airlore__V1__DeleteItemsResponse *p)
{
    if (c->json) {
        al_cli_json_print(stdout, al_cli_json_of(&p->base));
        return;
    }
    printf("%" PRIu64 " items match\n", p->count);
    for (size_t i = 0; i < p->n_sample_ids; i++) {
        fputs("  ", stdout);
        al_cli_put(stdout, al_str_c(p->sample_ids[i]));
        putchar('\n');
    }
    if (p->count > p->n_sample_ids)
        puts("  ...");
    if (!al_cli_can_ask(c) && p->count)
        printf("nothing deleted yet; to delete them: the same command with --confirm %s\n",
               p->digest);
    fflush(stdout);
}

static int delete_confirmed(struct al_cli *c, Airlore__V1__DeleteItemsRequest *r)
{
    Airlore__V1__DeleteItemsResponse *reply = NULL;
    struct al_err err = {.code = AL_OK};
    r->write_id = al_cli_write_id(c);
    if (al_client_delete_items(c->client, r, &c->arena, &reply, &err) != AL_OK)
        return al_cli_fail(c, &err, true);
    if (c->json)
        al_cli_json_print(stdout, al_cli_json_of(&reply->base));
    else
        printf("deleted %" PRIu64 "\n", reply->count);
    return AL_EXIT_DONE;
}

static int delete_filter(struct al_cli *c)
{
    Airlore__V1__DeleteItemsRequest r = AIRLORE__V1__DELETE_ITEMS_REQUEST__INIT;
    r.filter = option_text(c, AL_OPT_FILTER);
    r.space = option_text(c, AL_OPT_SPACE);
    r.confirm_digest = option_text(c, AL_OPT_CONFIRM);
    if (r.confirm_digest[0])
        return delete_confirmed(c, &r);
    Airlore__V1__DeleteItemsResponse *preview = NULL;
    struct al_err err = {.code = AL_OK};
    if (al_client_delete_items(c->client, &r, &c->arena, &preview, &err) != AL_OK)
        return al_cli_fail(c, &err, false);
    bool yes = c->args.value[AL_OPT_YES] != NULL && preview->count;
    if (!yes)
        put_preview(c, preview);
    if (!yes && (!preview->count || !al_cli_can_ask(c) || !al_cli_confirm(c, "delete them?")))
        return AL_EXIT_DONE;
    r.confirm_digest = preview->digest;
    return delete_confirmed(c, &r);
}

int al_cmd_delete(struct al_cli *c)
{
    bool by_filter = c->args.value[AL_OPT_FILTER] != NULL;
    if (by_filter == (c->args.n_pos > 0))
        return al_cli_usage(c, "either ids or --filter");
    int rc = al_cli_connect(c);
    if (rc != AL_EXIT_DONE)
        return rc;
    return by_filter ? delete_filter(c) : delete_ids(c);
}
