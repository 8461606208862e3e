#include "address.h"

#include "airlore/testing.h"

static void test_parse(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *host; /* NULL: refused */
        unsigned port;
        bool loopback;
        const char *dialled;
    } cases[] = {
        {"127.0.0.1:7700", "127.0.0.1", 7700, true, "127.0.0.1:7700"},
        {"127.9.9.9:0", "127.9.9.9", 0, true, "127.9.9.9:0"},
        {"localhost:65535", "localhost", 65535, true, "localhost:65535"},
        {"[::1]:80", "::1", 80, true, "[::1]:80"},
        {"[::]:80", "::", 80, false, "[::1]:80"},
        {"0.0.0.0:80", "0.0.0.0", 80, false, "127.0.0.1:80"},
        {"10.0.0.7:80", "10.0.0.7", 80, false, "10.0.0.7:80"},
        {"airlore-0.airlore.svc:80", "airlore-0.airlore.svc", 80, false,
         "airlore-0.airlore.svc:80"},
        {"128.0.0.1:1", "128.0.0.1", 1, false, "128.0.0.1:1"},
        {"", NULL, 0, false, NULL},
        {"7700", NULL, 0, false, NULL},
        {":7700", NULL, 0, false, NULL},
        {"host:", NULL, 0, false, NULL},
        {"host:65536", NULL, 0, false, NULL},
        {"host:-1", NULL, 0, false, NULL},
        {"host:1x", NULL, 0, false, NULL},
        {"ho st:1", NULL, 0, false, NULL},
        {"::1:80", NULL, 0, false, NULL},
        {"[]:80", NULL, 0, false, NULL},
        {"[nonsense]:80", NULL, 0, false, NULL},
        {"[127.0.0.1]:80", NULL, 0, false, NULL},
        {"http://host:80", NULL, 0, false, NULL},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct al_address a = {.port = 4242};
        struct al_err err = {.code = AL_OK};
        char buf[AL_ADDRESS_BYTES_MAX];
        enum al_code code = al_address_parse(cases[i].text, &a, &err);
        if (!cases[i].host) {
            AL_CHECK(cases[i].text, code == AL_INVALID_ARGUMENT && a.port == 4242);
            AL_CHECK(cases[i].text, strcmp(err.reason, "BAD_ADDRESS") == 0);
            continue;
        }
        AL_CHECK_OK(code, err);
        AL_CHECK(cases[i].text, strcmp(a.host, cases[i].host) == 0 && a.port == cases[i].port);
        AL_CHECK(cases[i].text, al_address_is_loopback(&a) == cases[i].loopback);
        AL_CHECK(cases[i].text, strcmp(al_address_format(&a, a.port, buf), cases[i].text) == 0);
        struct al_address d = al_address_dialled(&a);
        AL_CHECK(cases[i].text, strcmp(al_address_format(&d, d.port, buf), cases[i].dialled) == 0);
    }
}

static void test_long_host(void **state)
{
    (void)state;
    char text[400];
    memset(text, 'a', sizeof text);
    memcpy(text + 255, ":1", 3);
    struct al_address a;
    assert_int_equal(al_address_parse(text, &a, NULL), AL_OK);
    char buf[AL_ADDRESS_BYTES_MAX];
    assert_string_equal(al_address_format(&a, 1, buf), text);
    text[255] = 'a';
    memcpy(text + 256, ":1", 3);
    assert_int_equal(al_address_parse(text, &a, NULL), AL_INVALID_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_long_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
