#include <stdlib.h>

#include "airlore/testing.h"

#include "descriptor_set.h"
#include "rpc_fixture.h"

static void test_index(void **state)
{
    (void)state;
    struct al_descriptor_set set;
    struct al_err err = {0};
    AL_CHECK_OK(al_descriptor_set_open(&set, fixture_set(), NULL, &err), err);
    static const struct {
        const char *symbol;
        const char *file; /* NULL: unknown */
    } cases[] = {
        {"airlore.rpctest.Echo", "rpc_test.proto"},
        {"airlore.rpctest.Echo.Both", "rpc_test.proto"},
        {"airlore.rpctest.EchoRequest", "rpc_test.proto"},
        {"airlore.rpctest.EchoRequest.Detail", "rpc_test.proto"},
        {"airlore.rpctest.EchoRequest.Detail.Kind", "rpc_test.proto"},
        {"airlore.rpctest.EchoRequest.Detail.KIND_UNSPECIFIED", "rpc_test.proto"},
        {"airlore.rpctest.EchoRequest.text", "rpc_test.proto"},
        {"airlore.rpctest.Everything.choice", "rpc_test.proto"},
        {"airlore.rpctest.Color", "rpc_test.proto"},
        {"airlore.rpctest.COLOR_RED", "rpc_test.proto"},
        {"grpc.health.v1.Health.Watch", "grpc/health/v1/health.proto"},
        {"grpc.reflection.v1alpha.ServerReflection", "grpc/reflection/v1alpha/reflection.proto"},
        {"airlore.rpctest", NULL},
        {"airlore.rpctest.Nothing", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        const struct al_dset_symbol *s = al_descriptor_set_symbol(&set, al_str_c(cases[i].symbol));
        AL_CHECK(cases[i].symbol, (s != NULL) == (cases[i].file != NULL));
        if (s)
            AL_CHECK(cases[i].symbol, al_str_is(set.files[s->file].name, cases[i].file));
    }
    assert_non_null(al_descriptor_set_file(&set, AL_STR("rpc_test.proto")));
    assert_null(al_descriptor_set_file(&set, AL_STR("other.proto")));
    al_descriptor_set_close(&set);
}

static void test_kinds(void **state)
{
    (void)state;
    struct al_descriptor_set set;
    struct al_err err = {0};
    AL_CHECK_OK(al_descriptor_set_open(&set, fixture_set(), NULL, &err), err);
    static const struct {
        const char *method;
        enum al_rpc_kind kind;
    } cases[] = {
        {"Quick", AL_RPC_UNARY}, {"Down", AL_RPC_SERVER_STREAM}, {"Up", AL_RPC_CLIENT_STREAM},
        {"Both", AL_RPC_BIDI},   {"Later", AL_RPC_UNARY},        {"Endless", AL_RPC_SERVER_STREAM},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        const struct al_dset_symbol *s = al_descriptor_set_method(
            &set, AL_STR("airlore.rpctest.Echo"), al_str_c(cases[i].method));
        AL_CHECK(cases[i].method, s && s->kind == cases[i].kind);
    }
    assert_null(al_descriptor_set_method(&set, AL_STR("airlore.rpctest.Echo"), AL_STR("Nothing")));
    assert_null(al_descriptor_set_method(&set, AL_STR("airlore.rpctest"), AL_STR("Echo")));
    al_descriptor_set_close(&set);
}

static void test_damaged_sets(void **state)
{
    (void)state;
    struct al_str good = fixture_set();
    struct al_descriptor_set set;
    struct al_err err = {0};
    size_t refused = 0;
    for (size_t n = 0; n < good.n; n += 7) { /* cut off anywhere */
        enum al_code code = al_descriptor_set_open(&set, (struct al_str){good.p, n}, NULL, &err);
        if (code == AL_OK) { /* at a file's end */
            al_descriptor_set_close(&set);
            continue;
        }
        assert_int_equal(code, AL_INVALID_ARGUMENT);
        assert_string_equal(err.reason, "BAD_DESCRIPTOR_SET");
        refused++;
    }
    assert_true(refused > 100);
    char *copy = malloc(good.n);
    assert_non_null(copy);
    for (size_t i = 0; i < good.n; i += 3) { /* one byte changed: any answer, no crash */
        memcpy(copy, good.p, good.n);
        copy[i] = (char)(copy[i] ^ 0x55);
        if (al_descriptor_set_open(&set, (struct al_str){copy, good.n}, NULL, &err) == AL_OK)
            al_descriptor_set_close(&set);
    }
    free(copy);
}

static void test_memory_faults(void **state)
{
    (void)state;
    for (size_t n = 0;; n++) {
        struct al_fault_mem fm;
        al_fault_mem_init(&fm, n, false);
        struct al_descriptor_set set;
        enum al_code code = al_descriptor_set_open(&set, fixture_set(), &fm.mem, NULL);
        assert_int_equal(code, fm.fired ? AL_RESOURCE_EXHAUSTED : AL_OK);
        al_descriptor_set_close(&set);
        assert_int_equal(fm.live, 0);
        if (!fm.fired) {
            assert_true(n > 50);
            return;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_index),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_damaged_sets),
        cmocka_unit_test(test_memory_faults),
    };
    return cmocka_run_group_tests_name("rpc.descriptor_set", tests, NULL, NULL);
}
