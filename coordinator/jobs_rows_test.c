/* The shard of the tests of jobs, held to the suite of the real one. */
#include "airlore/testing.h"
#include "jobs_fixture.h"
#include "port_conformance.h"
#include "tables.h"

static void test_fake_rows_behave_like_a_shard(void **state)
{
    (void)state;
    struct rows *s = jf_rows_create();
    al_shard_port_conformance((struct al_shard_port *)(void *)s, AL_TABLE_JOB);
    jf_rows_destroy(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_fake_rows_behave_like_a_shard)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
