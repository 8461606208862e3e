/* The knowledge service as its clients meet it: what is kept and shown, scopes, named writes,
 * limits, tokens. */
#include "airlore/testing.h"

#include <stdio.h>

#include "service_fixture.h"

typedef Airlore__V1__SearchRequest search_request;

static char *str(const char *s)
{
    return (char *)(uintptr_t)s;
}

/* ---- what is kept and shown ---- */

static Airlore__V1__Item *get_item(struct service *s, const char *key, const char *id,
                                   Airlore__V1__ItemView view)
{
    Airlore__V1__GetItemRequest r = AIRLORE__V1__GET_ITEM_REQUEST__INIT;
    Airlore__V1__GetItemResponse *reply = NULL;
    r.id = str(id);
    r.view = view;
    AL_CHECK_OK(service_call(s, key, "GetItem", &r.base, &reply), s->err);
    return reply->item;
}

static void test_fields_of_items(void **state)
{
    (void)state;
    struct service s;
    service_open(&s, NULL);
    const char *key = service_key(&s, "red", "prod", AL_ROLE_CONTRIBUTOR, NULL);
    Airlore__V1__IngestOptions options = AIRLORE__V1__INGEST_OPTIONS__INIT;
    Airlore__V1__IngestItem item = AIRLORE__V1__INGEST_ITEM__INIT;
    item.id = str("a");
    item.content_case = AIRLORE__V1__INGEST_ITEM__CONTENT_TEXT;
    item.text = str("<h1>Herons</h1><p>token=ghp_0123456789abcdefghijABCDEFGHIJ012345 waits");
    item.media_type = str("text/html; charset=utf-8");
    const Airlore__V1__IngestResult *r = service_ingest(&s, key, &options, &item);
    assert_null(r->error);
    const Airlore__V1__Item *m = get_item(&s, key, "a", 0);
    assert_string_equal(m->media_type, "text/html");
    assert_int_equal(m->revision, 1);
    assert_int_equal(m->redactions, 1);
    assert_int_equal(m->redactions, r->redactions);
    assert_string_equal(m->promoted_id, "");
    assert_string_equal(m->space, "teams/red/deployments/prod");
    assert_null(strstr(m->text, "<p>"));
    item.media_type = str("text/plain");
    assert_null(service_ingest(&s, key, &options, &item)->error);
    m = get_item(&s, key, "a", AIRLORE__V1__ITEM_VIEW__ITEM_VIEW_FULL_WITH_VECTORS);
    assert_string_equal(m->media_type, "text/plain");
    assert_int_equal(m->revision, 2);
    assert_non_null(strstr(m->text, "<p>"));
    assert_int_equal(m->chunks[0]->n_vector, al_embedder_dim(s.core.embedder));
    item.media_type = str("image/png");
    assert_string_equal(service_ingest(&s, key, &options, &item)->error->reason,
                        "MEDIA_TYPE_UNSUPPORTED");
    /* owned by the deployment, seen by the team */
    item.media_type = str("");
    item.id = str("b");
    options.visibility = AIRLORE__V1__VISIBILITY__VISIBILITY_TEAM;
    options.deployment = str("teams/red/deployments/prod");
    assert_null(service_ingest(&s, key, &options, &item)->error);
    m = get_item(&s, service_key(&s, "red", "", AL_ROLE_READER, NULL), "b", 0);
    assert_string_equal(m->owner->deployment, "prod");
    assert_int_equal(m->scope, AIRLORE__V1__VISIBILITY__VISIBILITY_TEAM);
    service_close(&s);
}

static size_t list_all(struct service *s, const char *key, Airlore__V1__ItemView view,
                       int32_t page_size, size_t *ret_pages, size_t *ret_whole)
{
    Airlore__V1__ListItemsRequest r = AIRLORE__V1__LIST_ITEMS_REQUEST__INIT;
    size_t n = 0;
    r.view = view;
    r.page_size = page_size;
    *ret_pages = *ret_whole = 0;
    do {
        Airlore__V1__ListItemsResponse *reply = NULL;
        AL_CHECK_OK(service_call(s, key, "ListItems", &r.base, &reply), s->err);
        assert_true(protobuf_c_message_get_packed_size(&reply->base) < (5u << 20));
        for (size_t i = 0; i < reply->n_items; i++) {
            const Airlore__V1__Item *m = reply->items[i];
            *ret_whole += m->text[0] && m->n_chunks == m->chunk_count;
        }
        n += reply->n_items;
        (*ret_pages)++;
        r.page_token = reply->next_page_token;
    } while (r.page_token[0]);
    return n;
}

static void test_lists_of_whole_items(void **state)
{
    (void)state;
    struct service s;
    size_t pages;
    size_t whole;
    service_open(&s, &(struct service_options){.n_shards = 4, .message_bytes_max = 5u << 20});
    const char *key = service_key(&s, "red", "", AL_ROLE_CONTRIBUTOR, NULL);
    for (int i = 0; i < 30; i++) {
        char id[16];
        snprintf(id, sizeof id, "small-%d", i);
        service_put(&s, key, id, "The heron waits for the warehouse.");
    }
    assert_int_equal(list_all(&s, key, 1, 7, &pages, &whole), 30);
    assert_int_equal(whole, 0);
    for (Airlore__V1__ItemView v = 2; v <= 3; v++) {
        assert_int_equal(list_all(&s, key, v, 7, &pages, &whole), 30);
        assert_int_equal(whole, 30);
    }
    /* 1.5 MB of text and as much of chunks each: a page of one; one that no message holds has no
     * texts */
    char *large = service_text(&s, 1500000);
    for (size_t i = 0; i < 1500000; i++)
        large[i] = "words of a heron.\n\n"[i % 19];
    for (int i = 0; i < 3; i++) {
        char id[16];
        snprintf(id, sizeof id, "large-%d", i);
        service_put(&s, key, id, large);
    }
    char *larger = service_text(&s, 3000000);
    memset(larger, ' ', 3000000);
    memcpy(larger, large, 1500000);
    memcpy(larger + 1500000, large, 1499990);
    service_put(&s, key, "too-large", larger);
    assert_int_equal(list_all(&s, key, 2, 1000, &pages, &whole), 34);
    assert_int_equal(whole, 33);
    assert_true(pages >= 3);
    service_close(&s);
}

static void test_page_tokens_belong_to_their_request(void **state)
{
    (void)state;
    struct service s;
    service_open(&s, NULL);
    const char *key = service_key(&s, "red", "", AL_ROLE_CONTRIBUTOR, NULL);
    const char *other = service_key(&s, "red", "", AL_ROLE_CONTRIBUTOR, NULL);
    Airlore__V1__ListItemsRequest r = AIRLORE__V1__LIST_ITEMS_REQUEST__INIT;
    Airlore__V1__ListItemsResponse *reply = NULL;
    service_put(&s, key, "a", "one");
    service_put(&s, key, "b", "two");
    service_put(&s, key, "c", "three");
    r.page_size = 1;
    AL_CHECK_OK(service_call(&s, key, "ListItems", &r.base, &reply), s.err);
    assert_true(reply->next_page_token[0] != '\0');
    r.page_token = reply->next_page_token;
    AL_CHECK_OK(service_call(&s, key, "ListItems", &r.base, &reply), s.err);
    service_expect(&s, "another key", service_call(&s, other, "ListItems", &r.base, &reply),
                   AL_INVALID_ARGUMENT, "BAD_PAGE_TOKEN");
    r.filter = str("kind = doc");
    service_expect(&s, "another filter", service_call(&s, key, "ListItems", &r.base, &reply),
                   AL_INVALID_ARGUMENT, "BAD_PAGE_TOKEN");
    service_close(&s);
}

/* ---- scopes ---- */

static size_t count_hits(struct service *s, const char *key, const char *filter, bool vector)
{
    search_request r = AIRLORE__V1__SEARCH_REQUEST__INIT;
    Airlore__V1__SearchResponse *reply = NULL;
    r.text = str("heron warehouse");
    r.filter = str(filter);
    r.mode = vector ? AIRLORE__V1__SEARCH_MODE__SEARCH_MODE_VECTOR : 0;
    r.include_text = true;
    AL_CHECK_OK(service_call(s, key, "Search", &r.base, &reply), s->err);
    return reply->n_hits;
}

/* Every way to read or touch what is another team's. */
static void test_teams_do_not_see_each_other(void **state)
{
    (void)state;
    struct service s;
    service_open(&s, NULL);
    const char *red = service_key(&s, "red", "", AL_ROLE_ADMIN, NULL);
    const char *red_prod = service_key(&s, "red", "prod", AL_ROLE_CONTRIBUTOR, NULL);
    service_put(&s, red, "secret", "The heron of the warehouse is red.");
    service_put(&s, red_prod, "secret-prod", "The heron of the warehouse is in production.");
    static const enum al_role roles[] = {AL_ROLE_READER, AL_ROLE_CONTRIBUTOR, AL_ROLE_REVIEWER,
                                         AL_ROLE_ADMIN};
    for (size_t i = 0; i < AL_ARRAY_LEN(roles); i++) {
        const char *blue = service_key(&s, "blue", i % 2 ? "dev" : "", roles[i], NULL);
        const bool writes = roles[i] >= AL_ROLE_CONTRIBUTOR;
        void *reply;
        Airlore__V1__GetItemRequest get = AIRLORE__V1__GET_ITEM_REQUEST__INIT;
        get.id = str("secret");
        service_expect(&s, "get", service_call(&s, blue, "GetItem", &get.base, &reply),
                       AL_NOT_FOUND, "ITEM_NOT_FOUND");
        get.space = str("teams/red");
        service_expect(&s, "get in", service_call(&s, blue, "GetItem", &get.base, &reply),
                       AL_NOT_FOUND, "ITEM_NOT_FOUND");
        size_t pages;
        size_t whole;
        assert_int_equal(list_all(&s, blue, 2, 0, &pages, &whole), 0);
        Airlore__V1__ListItemsRequest list = AIRLORE__V1__LIST_ITEMS_REQUEST__INIT;
        list.space = str("teams/red/deployments/prod");
        service_expect(&s, "list in", service_call(&s, blue, "ListItems", &list.base, &reply),
                       AL_PERMISSION_DENIED, "SPACE_FORBIDDEN");
        assert_int_equal(count_hits(&s, blue, "", false), 0);
        assert_int_equal(count_hits(&s, blue, "", true), 0);
        assert_int_equal(count_hits(&s, blue, "team = red OR id = \"secret\"", false), 0);
        Airlore__V1__AskRequest ask = AIRLORE__V1__ASK_REQUEST__INIT;
        Airlore__V1__AskResponse *answer = NULL;
        ask.question = str("Which heron is in the warehouse?");
        AL_CHECK_OK(service_call(&s, blue, "Ask", &ask.base, &answer), s.err);
        assert_true(answer->abstained && answer->n_sources == 0);
        Airlore__V1__DeleteItemRequest del = AIRLORE__V1__DELETE_ITEM_REQUEST__INIT;
        del.id = str("secret");
        service_expect(&s, "delete", service_call(&s, blue, "DeleteItem", &del.base, &reply),
                       writes ? AL_NOT_FOUND : AL_PERMISSION_DENIED, NULL);
        del.space = str("teams/red");
        service_expect(&s, "delete in", service_call(&s, blue, "DeleteItem", &del.base, &reply),
                       AL_PERMISSION_DENIED, NULL);
        Airlore__V1__DeleteItemsRequest all = AIRLORE__V1__DELETE_ITEMS_REQUEST__INIT;
        Airlore__V1__DeleteItemsResponse *preview = NULL;
        all.filter = str("id != \"\"");
        service_expect(&s, "delete all", service_call(&s, blue, "DeleteItems", &all.base, &preview),
                       writes ? AL_OK : AL_PERMISSION_DENIED, NULL);
        assert_true(!preview || preview->count == 0);
        all.space = str("teams/red");
        service_expect(&s, "delete all in",
                       service_call(&s, blue, "DeleteItems", &all.base, &preview),
                       AL_PERMISSION_DENIED, NULL);
        Airlore__V1__PromoteItemRequest promote = AIRLORE__V1__PROMOTE_ITEM_REQUEST__INIT;
        promote.id = str("secret");
        service_expect(&s, "promote", service_call(&s, blue, "PromoteItem", &promote.base, &reply),
                       writes ? AL_NOT_FOUND : AL_PERMISSION_DENIED, NULL);
        Airlore__V1__CheckSourcesRequest check = AIRLORE__V1__CHECK_SOURCES_REQUEST__INIT;
        Airlore__V1__SourceChecksum sum = AIRLORE__V1__SOURCE_CHECKSUM__INIT;
        Airlore__V1__SourceChecksum *list_of[] = {&sum};
        sum.id = str("secret-prod");
        check.sources = list_of;
        check.n_sources = 1;
        check.deployment = str("teams/red/deployments/prod");
        service_expect(&s, "check", service_call(&s, blue, "CheckSources", &check.base, &reply),
                       AL_PERMISSION_DENIED, NULL);
    }
    assert_int_equal(count_hits(&s, red, "", false), 2); /* nothing of it was touched */
    service_close(&s);
}

/* ---- writes that are named, over the wire ---- */

static void test_named_writes(void **state)
{
    (void)state;
    struct service s;
    service_open(&s, NULL);
    const char *key = service_key(&s, "red", "", AL_ROLE_CONTRIBUTOR, NULL);
    void *reply;
    Airlore__V1__DeleteItemsRequest all = AIRLORE__V1__DELETE_ITEMS_REQUEST__INIT;
    Airlore__V1__DeleteItemsResponse *r = NULL;
    for (int i = 0; i < 25; i++) {
        char id[8];
        snprintf(id, sizeof id, "i%d", i);
        service_put(&s, key, id, "The heron waits.");
    }
    all.filter = str("id = \"i*\"");
    AL_CHECK_OK(service_call(&s, key, "DeleteItems", &all.base, &r), s.err);
    assert_int_equal(r->count, 25);
    assert_int_equal(r->n_sample_ids, 20);
    assert_false(r->deleted);
    all.confirm_digest = r->digest;
    all.write_id = str("w1");
    for (int i = 0; i < 3; i++) { /* the first answer each time */
        AL_CHECK_OK(service_call(&s, key, "DeleteItems", &all.base, &r), s.err);
        assert_true(r->deleted);
        assert_int_equal(r->count, 25);
        assert_int_equal(r->n_sample_ids, 20);
        assert_true(r->token[0] != '\0');
        assert_string_equal(r->digest, "");
        service_put(&s, key, "i-later", "The heron came later.");
    }
    assert_string_equal(get_item(&s, key, "i-later", 1)->id, "i-later"); /* no second effect */
    Airlore__V1__DeleteItemRequest del = AIRLORE__V1__DELETE_ITEM_REQUEST__INIT;
    del.id = str("i-later");
    del.write_id = str("w1");
    service_expect(&s, "another method", service_call(&s, key, "DeleteItem", &del.base, &reply),
                   AL_ALREADY_EXISTS, "ID_REUSED");
    del.write_id = str("w2");
    AL_CHECK_OK(service_call(&s, key, "DeleteItem", &del.base, &reply), s.err);
    AL_CHECK_OK(service_call(&s, key, "DeleteItem", &del.base, &reply), s.err);
    del.id = str("i1");
    service_expect(&s, "another item", service_call(&s, key, "DeleteItem", &del.base, &reply),
                   AL_ALREADY_EXISTS, "ID_REUSED");
    service_close(&s);
}

/* A digest is of the filter and the space too: the same ids elsewhere are not what was shown. */
static void test_a_preview_is_of_its_space(void **state)
{
    (void)state;
    struct service s;
    service_open(&s, NULL);
    const char *key = service_key(&s, "red", "prod", AL_ROLE_CONTRIBUTOR, NULL);
    const char *team = service_key(&s, "red", "", AL_ROLE_CONTRIBUTOR, NULL);
    Airlore__V1__DeleteItemsRequest all = AIRLORE__V1__DELETE_ITEMS_REQUEST__INIT;
    Airlore__V1__DeleteItemsResponse *r = NULL;
    service_put(&s, key, "a", "The heron of the deployment.");
    service_put(&s, team, "a", "The heron of the team.");
    all.filter = str("id = a");
    AL_CHECK_OK(service_call(&s, key, "DeleteItems", &all.base, &r), s.err);
    assert_int_equal(r->count, 1);
    all.confirm_digest = r->digest;
    all.space = str("teams/red");
    service_expect(&s, "the team's", service_call(&s, key, "DeleteItems", &all.base, &r),
                   AL_FAILED_PRECONDITION, "PREVIEW_STALE");
    all.space = str("teams/red/deployments/prod"); /* a key of the whole team reaches it */
    AL_CHECK_OK(service_call(&s, team, "DeleteItems", &all.base, &r), s.err);
    assert_int_equal(r->count, 1);
    assert_string_equal(get_item(&s, key, "a", 1)->space, "teams/red");
    service_close(&s);
}

/* ---- limits, tokens, shards that fail ---- */

static void test_quotas_say_when_to_come_again(void **state)
{
    (void)state;
    struct service s;
    service_open(&s, &(struct service_options){
                         .quota = {.set = AL_QUOTA_CALLS_PER_SECOND | AL_QUOTA_INGEST_BYTES,
                                   .calls_per_second = 1,
                                   .ingest_bytes_per_day = 100}});
    const char *key = service_key(&s, "red", "", AL_ROLE_CONTRIBUTOR, NULL);
    Airlore__V1__IngestOptions options = AIRLORE__V1__INGEST_OPTIONS__INIT;
    Airlore__V1__IngestItem item = AIRLORE__V1__INGEST_ITEM__INIT;
    item.id = str("a");
    item.content_case = AIRLORE__V1__INGEST_ITEM__CONTENT_TEXT;
    item.text = service_text(&s, 101);
    assert_string_equal(service_ingest(&s, key, &options, &item)->error->reason, "QUOTA_EXCEEDED");
    Airlore__V1__ListItemsRequest r = AIRLORE__V1__LIST_ITEMS_REQUEST__INIT;
    void *reply;
    enum al_code code = AL_OK;
    for (int i = 0; i < 1000 && code == AL_OK; i++)
        code = service_call(&s, key, "ListItems", &r.base, &reply);
    service_expect(&s, "too many", code, AL_RESOURCE_EXHAUSTED, "RATE_LIMITED");
    assert_in_range(s.err.retry_after_ms, 1, 1001);
    service_close(&s);
}

static void test_a_token_covers_what_it_names(void **state)
{
    (void)state;
    struct service s;
    service_open(&s, NULL);
    const char *key = service_key(&s, "red", "", AL_ROLE_CONTRIBUTOR, NULL);
    Airlore__V1__IngestOptions options = AIRLORE__V1__INGEST_OPTIONS__INIT;
    Airlore__V1__IngestItem item = AIRLORE__V1__INGEST_ITEM__INIT;
    search_request r = AIRLORE__V1__SEARCH_REQUEST__INIT;
    Airlore__V1__SearchResponse *reply = NULL;
    item.id = str("a");
    item.content_case = AIRLORE__V1__INGEST_ITEM__CONTENT_TEXT;
    item.text = str("The heron waits.");
    r.text = str("heron");
    r.after_token = service_ingest(&s, key, &options, &item)->token;
    assert_true(r.after_token[0] != '\0');
    AL_CHECK_OK(service_call(&s, key, "Search", &r.base, &reply), s.err);
    assert_int_equal(reply->n_hits, 1);
    assert_true(reply->token[0] != '\0');
    r.after_token = reply->token; /* what a search saw is good for the next one */
    AL_CHECK_OK(service_call(&s, key, "Search", &r.base, &reply), s.err);
    service_close(&s);
}

static void test_missing_shards(void **state)
{
    (void)state;
    struct service s;
    service_open(&s, &(struct service_options){.n_shards = 4});
    const char *key = service_key(&s, "red", "", AL_ROLE_CONTRIBUTOR, NULL);
    search_request r = AIRLORE__V1__SEARCH_REQUEST__INIT;
    Airlore__V1__SearchResponse *reply = NULL;
    Airlore__V1__AskRequest ask = AIRLORE__V1__ASK_REQUEST__INIT;
    Airlore__V1__AskResponse *answer = NULL;
    for (int i = 0; i < 20; i++) {
        char id[16];
        snprintf(id, sizeof id, "doc-%d", i);
        service_put(&s, key, id, "The heron waits for the warehouse every night.");
    }
    s.fault[2].fails = FAULT_ALL;
    s.fault[2].code = AL_UNAVAILABLE;
    r.text = str("heron");
    ask.question = str("What does the heron wait for?");
    service_expect(&s, "search", service_call(&s, key, "Search", &r.base, &reply), AL_UNAVAILABLE,
                   "SHARD_UNAVAILABLE");
    assert_non_null(strstr(s.err.msg, "shard 2"));
    service_expect(&s, "ask", service_call(&s, key, "Ask", &ask.base, &answer), AL_UNAVAILABLE,
                   "SHARD_UNAVAILABLE");
    r.allow_partial = ask.allow_partial = true;
    AL_CHECK_OK(service_call(&s, key, "Search", &r.base, &reply), s.err);
    assert_int_equal(reply->n_missing_shards, 1);
    assert_int_equal(reply->missing_shards[0]->shard, 2);
    assert_string_equal(reply->missing_shards[0]->error->reason, "SHARD_UNAVAILABLE");
    assert_true(reply->n_hits > 0);
    AL_CHECK_OK(service_call(&s, key, "Ask", &ask.base, &answer), s.err);
    assert_int_equal(answer->n_missing_shards, 1);
    service_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields_of_items),
        cmocka_unit_test(test_lists_of_whole_items),
        cmocka_unit_test(test_page_tokens_belong_to_their_request),
        cmocka_unit_test(test_teams_do_not_see_each_other),
        cmocka_unit_test(test_named_writes),
        cmocka_unit_test(test_a_preview_is_of_its_space),
        cmocka_unit_test(test_quotas_say_when_to_come_again),
        cmocka_unit_test(test_a_token_covers_what_it_names),
        cmocka_unit_test(test_missing_shards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
