#include "core_fixture.h"

#include <math.h>
#include <stdio.h>

#include "airlore/testing.h"

static void open_shard(struct core *c, const char *name, size_t i, size_t n, struct al_shard **ret)
{
    struct al_err err = {0};
    char dir[300];
    uint16_t first;
    uint16_t last;
    al_router_slots(i, n, &first, &last);
    snprintf(dir, sizeof dir, "%s/%s%zu", c->dir, name, i);
    struct al_shard_options opt = {.id = {(uint32_t)i},
                                   .dir = dir,
                                   .dim = al_embedder_dim(c->embedder),
                                   .embedder_id = al_embedder_id(c->embedder),
                                   .slot_first = first,
                                   .slot_last = last,
                                   .min_free_bytes = 1};
    AL_CHECK_OK(al_shard_open(&opt, ret, &err), err);
}

static void open_all(struct core *c, size_t n)
{
    struct al_err err = {0};
    for (size_t i = 0; i < n; i++) {
        open_shard(c, "shard", i, n, &c->shard[i]);
        AL_CHECK_OK(al_shard_port_local(c->shard[i], NULL, &c->port[i], &err), err);
    }
    open_shard(c, "system", 0, 1, &c->system_shard);
    AL_CHECK_OK(al_shard_port_local(c->system_shard, NULL, &c->system, &err), err);
    c->router = (struct al_router){c->port, n};
    struct al_directory_options opt = {
        .system = c->system, .clock = al_clock_system(), .random = &c->random.random};
    AL_CHECK_OK(al_directory_open(&opt, &c->directory, &err), err);
    AL_CHECK_OK(al_once_book_create(c->system, al_clock_system(), NULL, &c->once, &err), err);
}

static void close_all(struct core *c)
{
    al_once_book_destroy(c->once);
    al_directory_destroy(c->directory);
    for (size_t i = 0; i < c->router.n_shards; i++) {
        c->port[i]->ops->destroy(c->port[i]);
        al_shard_destroy(c->shard[i]);
    }
    c->system->ops->destroy(c->system);
    al_shard_destroy(c->system_shard);
}

void core_open(struct core *c, size_t n)
{
    struct al_err err = {0};
    *c = (struct core){0};
    assert_true(n <= CORE_SHARDS_MAX);
    al_test_dir(c->dir, sizeof c->dir);
    al_seeded_random_init(&c->random, 7);
    al_arena_init(&c->arena, NULL, (size_t)256 << 20);
    AL_CHECK_OK(al_embedder_open(al_embedder_builtin(), NULL, &c->embedder, &err), err);
    open_all(c, n);
}

void core_reopen(struct core *c)
{
    size_t n = c->router.n_shards;
    close_all(c);
    open_all(c, n);
}

void core_close(struct core *c)
{
    close_all(c);
    al_embedder_destroy(c->embedder);
    al_arena_fini(&c->arena);
}

enum al_outcome core_put(struct core *c, uint32_t space, const char *id, const char *title,
                         const char *text)
{
    static const uint8_t no_write_id[16];
    struct al_err err = {0};
    struct al_item it = {.id = al_str_c(id), .title = al_str_c(title), .content = al_str_c(text)};
    struct al_target to = {.space = space,
                           .visibility = AL_VIS_TEAM,
                           .team = "t",
                           .deployment = "",
                           .source = {"", 0}};
    struct al_doc d;
    uint32_t redactions;
    AL_CHECK_OK(al_item_prepare(&it, &to, c->embedder, 1000, &c->arena, &d, &redactions, &err),
                err);
    struct al_op op = {.kind = AL_OP_PUT_DOC, .doc = &d};
    struct al_write_result res = {0};
    struct al_shard_port *p = c->port[al_router_of_doc(&c->router, space, d.id)];
    AL_CHECK_OK(p->ops->write(p, &op, 1, no_write_id, AL_DEADLINE_NONE, &c->arena, &res, &err),
                err);
    return res.outcomes[0];
}

struct al_query_result core_search(struct core *c, const char *text, enum al_search_mode mode,
                                   uint32_t k, const uint32_t *spaces, size_t n_spaces)
{
    struct al_err err = {0};
    struct al_query q = {.text = al_str_c(text),
                         .k = k,
                         .mode = mode,
                         .exact = true,
                         .vector_weight = NAN,
                         .spaces = spaces,
                         .n_spaces = n_spaces,
                         .deadline_ns = AL_DEADLINE_NONE};
    struct al_query_context ctx = {&c->router, c->embedder, NULL};
    struct al_query_result r;
    AL_CHECK_OK(al_query_run(&ctx, &q, &c->arena, &r, &err), err);
    return r;
}

const struct al_credential *core_key(struct core *c, const char *team, const char *deployment,
                                     enum al_role role)
{
    struct al_err err = {0};
    struct al_key want = {.role = role};
    struct al_key k;
    char text[AL_KEY_TEXT_MAX];
    snprintf(want.team, sizeof want.team, "%s", team);
    snprintf(want.deployment, sizeof want.deployment, "%s", deployment);
    AL_CHECK_OK(al_directory_add_key(c->directory, &want, text, &k, &err), err);
    const struct al_credential *cred = NULL;
    AL_CHECK_OK(al_directory_authenticate(c->directory, al_str_c(text), &c->arena, &cred, &err),
                err);
    return cred;
}
