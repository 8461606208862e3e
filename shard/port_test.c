/* The port on a shard of this process, on both stores; and failing memory. */
#include "port_conformance.h"
#include "shard_fixture.h"

static void test_local_port(void **state)
{
    (void)state;
    char dir[256];
    struct al_err err;
    struct al_shard_options o = fx_options(al_test_dir(dir, sizeof dir));
    const struct al_store_factory *stores[] = {al_store_rocksdb(), al_store_mem()};
    for (size_t i = 0; i < AL_ARRAY_LEN(stores); i++) {
        char place[300];
        snprintf(place, sizeof place, "%s/%s", dir, stores[i]->name);
        o.dir = place;
        o.store = stores[i];
        struct al_shard *s = fx_open(&o);
        struct al_shard_port *p = NULL;
        AL_CHECK_OK(al_shard_port_local(s, NULL, &p, &err), err);
        al_shard_port_conformance(p, 6);
        p->ops->destroy(p);
        al_shard_destroy(s);
    }
}

static void test_failing_memory(void **state)
{
    (void)state;
    char dir[256];
    struct al_shard_options o = fx_options(al_test_dir(dir, sizeof dir));
    struct al_shard *s = fx_open(&o);
    for (size_t n = 0;; n++) {
        struct al_fault_mem m;
        struct al_shard_port *p = NULL;
        al_fault_mem_init(&m, n, false);
        enum al_code code = al_shard_port_local(s, &m.mem, &p, NULL);
        assert_int_equal(code, m.fired ? AL_RESOURCE_EXHAUSTED : AL_OK);
        assert_true((p != NULL) == (code == AL_OK));
        if (p)
            p->ops->destroy(p);
        assert_int_equal(m.live, 0);
        if (!m.fired)
            break;
    }
    al_shard_destroy(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_local_port),
        cmocka_unit_test(test_failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
