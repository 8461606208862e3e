/* Whatever an etcd, or something in its place, may answer. */
#include "etcd_client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_kvs(const struct al_coord_answer *ans)
{
    for (size_t i = 0; i < ans->n_kvs; i++)
        AL_ASSERT(ans->kvs[i].create_revision > 0 && ans->kvs[i].key.n < 1u << 20);
}

static void read_txn(struct al_str text, struct al_arena *a)
{
    static const struct al_coord_op ops[] = {
        {.kind = AL_COORD_PUT},
        {.kind = AL_COORD_DELETE},
        {.kind = AL_COORD_GET},
        {.kind = AL_COORD_GET_PREFIX, .order = AL_COORD_BY_CREATE, .limit = 2},
        {.kind = AL_COORD_PUT, .keep_lease = true},
    };
    static const struct al_coord_txn txns[] = {
        {.then_ops = ops, .n_then = 5}, {.else_ops = ops + 2, .n_else = 1}, {.n_then = 0}};
    for (size_t i = 0; i < AL_ARRAY_LEN(txns); i++) {
        struct al_coord_result r;
        if (al_etcd_read_txn(text, AL_STR("/p/"), &txns[i], a, &r, NULL) != AL_OK)
            continue;
        AL_ASSERT(r.revision > 0);
        for (size_t k = 0; k < r.n_answers; k++)
            check_kvs(&r.answers[k]);
    }
}

static void read_base64(struct al_str text, struct al_arena *a)
{
    struct al_str plain;
    struct al_str again;
    struct al_buf b;
    if (al_etcd_unbase64(text, 1u << 20, a, &plain, NULL) != AL_OK)
        return;
    al_buf_init(&b, al_arena_mem(a), 0);
    al_etcd_base64(&b, plain, AL_STR(""));
    if (al_buf_status(&b, NULL) != AL_OK)
        return;
    AL_ASSERT(b.n == text.n);
    if (al_etcd_unbase64(al_buf_view(&b), 1u << 20, a, &again, NULL) == AL_OK)
        AL_ASSERT(al_str_eq(plain, again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct al_str text = {(const char *)data, n};
    struct al_arena a;
    struct al_coord_answer page = {.n_kvs = 0};
    struct al_etcd_news news;
    struct al_str token;
    int64_t number;
    al_arena_init(&a, NULL, 4u << 20);
    read_txn(text, &a);
    read_base64(text, &a);
    if (al_etcd_read_page(text, AL_STR(""), &a, &page, &number, NULL) == AL_OK)
        check_kvs(&page);
    if (al_etcd_read_news(text, AL_STR("/p/"), &a, &news, NULL) == AL_OK && news.n_events > 1)
        AL_ASSERT(news.events[0].revision <= news.events[1].revision);
    (void)!al_etcd_read_keepalive(text, &number, NULL);
    (void)!al_etcd_read_grant(text, &number, NULL);
    (void)!al_etcd_read_token(text, &a, &token, NULL);
    for (uint32_t status = 200; status < 600; status += 50) {
        struct al_wire_result r = {.end = AL_WIRE_ANSWERED, .status = status, .was_sent = true};
        struct al_etcd_judgement j;
        al_etcd_judge(&r, text, &j);
        AL_ASSERT(j.verdict >= AL_ETCD_GOOD && j.verdict <= AL_ETCD_NO_TOKEN);
    }
    al_arena_fini(&a);
    return 0;
}
