/* The conformance suite on a real etcd: one process a test, a proxy a client. */
#include "airlore/coord_etcd.h"

#include <stdlib.h>
#include <time.h>

#include "conformance.h"
#include "etcd_fixture.h"

#define CLIENTS_MAX 8u

struct etcd_world {
    struct al_coord_world world;
    struct al_etcd_cluster *cluster;
    struct {
        struct al_coord *coord;
        struct al_proxy *proxy;
    } clients[CLIENTS_MAX];
    size_t n_clients;
};

static struct etcd_world *of(struct al_coord_world *w)
{
    return (struct etcd_world *)(void *)w;
}

static struct al_coord *world_open(struct al_coord_world *w)
{
    struct etcd_world *e = of(w);
    AL_ASSERT(e->n_clients < CLIENTS_MAX);
    struct al_proxy *proxy = al_proxy_create(al_etcd_cluster_socket(e->cluster, 0), false);
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%u", al_proxy_port(proxy));
    /* Calls of a test that is cut off shall end soon; the rest as in service. */
    struct al_coord_etcd_options opt = {
        .endpoints = url, .prefix = "/airlore/test/", .retry_ms = 300, .probe_ms = 200};
    struct al_coord *c = NULL;
    struct al_err err;
    AL_CHECK_OK(al_coord_etcd_open(&opt, &c, &err), err);
    e->clients[e->n_clients].proxy = proxy;
    e->clients[e->n_clients++].coord = c;
    return c;
}

static struct al_proxy *proxy_of(struct al_coord_world *w, const struct al_coord *c)
{
    struct etcd_world *e = of(w);
    for (size_t i = 0; i < e->n_clients; i++) {
        if (e->clients[i].coord == c)
            return e->clients[i].proxy;
    }
    fail_msg("a client of another world");
    return NULL;
}

static void world_step_ms(struct al_coord_world *w, uint64_t ms)
{
    (void)w;
    nanosleep(
        &(struct timespec){.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000L},
        NULL);
}

static void world_settle(struct al_coord_world *w, struct al_coord *c)
{
    assert_true(al_coord_etcd_settle(c, al_clock_deadline(w->clock, 20000)));
}

static void world_cut_off(struct al_coord_world *w, struct al_coord *c, bool cut_off)
{
    al_proxy_set_cut_off(proxy_of(w, c), cut_off);
}

static void world_fail_next(struct al_coord_world *w, struct al_coord *c,
                            enum al_coord_world_fault f)
{
    struct al_proxy_rule r = {.fault = f == AL_WORLD_UNKNOWN_APPLIED ? AL_PROXY_LOSE_ANSWER
                                                                     : AL_PROXY_LOSE_REQUEST,
                              .path = "/v3/kv/txn",
                              .only_writes = true,
                              .n = 1};
    al_proxy_set_rule(proxy_of(w, c), &r);
}

static void world_destroy(struct al_coord_world *w)
{
    struct etcd_world *e = of(w);
    for (size_t i = 0; i < e->n_clients; i++)
        al_proxy_destroy(e->clients[i].proxy);
    al_etcd_cluster_destroy(e->cluster);
    free(e);
}

static struct al_coord_world *world_create(void)
{
    static const char *const args[] = {"--experimental-watch-progress-notify-interval=100ms", NULL};
    struct etcd_world *e = calloc(1, sizeof *e);
    assert_non_null(e);
    e->cluster = al_etcd_cluster_create(&(struct al_etcd_cluster_options){.args = args});
    e->world = (struct al_coord_world){.clock = al_clock_system(),
                                       .open = world_open,
                                       .step_ms = world_step_ms,
                                       .settle = world_settle,
                                       .cut_off = world_cut_off,
                                       .fail_next = world_fail_next,
                                       .destroy = world_destroy};
    return &e->world;
}

int main(void)
{
    static const struct al_coord_factory factory = {"etcd", world_create};
    if (al_etcd_is_missing()) {
        printf("0 passed, 0 failed, 1 skipped\n");
        return 0;
    }
    return al_coord_conformance_run(&factory);
}
