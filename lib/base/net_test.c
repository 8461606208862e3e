#include "airlore/net.h"

#include <errno.h>

#include "airlore/testing.h"

/* ---- what every back end must do ---- */

static void check_net(const char *name, struct al_net *n)
{
    struct al_err err = {0};
    struct al_net_address a[AL_NET_ADDRESSES_MAX];
    size_t count = 99;
    AL_CHECK(name, n->ops->resolve(n, "host.invalid", 1, a, AL_NET_ADDRESSES_MAX, &count, &err) ==
                       AL_INVALID_ARGUMENT);
    AL_CHECK(name, strcmp(err.reason, "BAD_ADDRESS") == 0 && count == 99);
    AL_CHECK(name, strstr(err.msg, "host.invalid") != NULL);
    AL_CHECK_OK(n->ops->resolve(n, "localhost", 0, a, 1, &count, &err), err);
    AL_CHECK(name, count == 1); /* never more than asked for */
    AL_CHECK_OK(n->ops->resolve(n, "127.0.0.1", 0, a, AL_NET_ADDRESSES_MAX, &count, &err), err);
    AL_CHECK(name, count >= 1);
    int one = -1;
    int two = -1;
    uint16_t port_one = 0;
    uint16_t port_two = 0;
    AL_CHECK_OK(n->ops->listen(n, &a[0], &one, &port_one, &err), err);
    AL_CHECK_OK(n->ops->listen(n, &a[0], &two, &port_two, &err), err);
    AL_CHECK(name, one != two && port_one && port_two && port_one != port_two);
    n->ops->close(n, two);
    AL_CHECK_OK(n->ops->resolve(n, "127.0.0.1", port_one, a, AL_NET_ADDRESSES_MAX, &count, &err),
                err);
    two = -7;
    AL_CHECK(name, n->ops->listen(n, &a[0], &two, &port_two, &err) == AL_UNAVAILABLE);
    AL_CHECK(name, strcmp(err.reason, "ADDRESS_IN_USE") == 0 && two == -7);
    n->ops->close(n, one);
    AL_CHECK_OK(n->ops->listen(n, &a[0], &one, &port_two, &err), err); /* free again, at once */
    AL_CHECK(name, port_two == port_one);
    n->ops->close(n, one);
}

/* ---- a machine that is as a test says ---- */

/* Knows "127.0.0.1", "localhost" and `name`, which has n_addresses. Address i of it fails with
 * codes[i]. */
struct scripted {
    struct al_net net;
    const char *name;
    size_t n_addresses;
    enum al_code codes[AL_NET_ADDRESSES_MAX];
    bool used[8]; /* port 1000 + i */
    size_t tried;
};

// NOLINTNEXTLINE(readability-function-size): seven parameters, of the port
static enum al_code scripted_resolve(struct al_net *n, const char *host, uint16_t port,
                                     struct al_net_address *ret, size_t cap, size_t *ret_n,
                                     struct al_err *err)
{
    struct scripted *s = (struct scripted *)(void *)n;
    bool is_name = s->name && strcmp(host, s->name) == 0;
    if (!is_name && strcmp(host, "127.0.0.1") != 0 && strcmp(host, "localhost") != 0)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_ADDRESS", "'%s' is not known", host);
    size_t count = is_name ? s->n_addresses : 1;
    for (size_t i = 0; i < count && i < cap; i++) {
        memset(&ret[i], 0, sizeof ret[i]);
        memcpy(ret[i].bytes, &port, sizeof port);
        ret[i].bytes[2] = is_name ? (uint8_t)(i + 1) : 0;
        ret[i].n = 3;
    }
    *ret_n = count < cap ? count : cap;
    return AL_OK;
}

static enum al_code scripted_listen(struct al_net *n, const struct al_net_address *a, int *ret_fd,
                                    uint16_t *ret_port, struct al_err *err)
{
    struct scripted *s = (struct scripted *)(void *)n;
    uint16_t port;
    memcpy(&port, a->bytes, sizeof port);
    s->tried++;
    if (a->bytes[2] && s->codes[a->bytes[2] - 1] != AL_OK)
        return AL_FAIL(err, s->codes[a->bytes[2] - 1], "address %u", a->bytes[2]);
    size_t i = port ? port - 1000u : 0;
    while (!port && s->used[i])
        i++;
    AL_ASSERT(i < AL_ARRAY_LEN(s->used));
    if (s->used[i])
        return AL_FAIL_R(err, AL_UNAVAILABLE, "ADDRESS_IN_USE", "in use");
    s->used[i] = true;
    *ret_fd = (int)i;
    *ret_port = (uint16_t)(1000 + i);
    return AL_OK;
}

static void scripted_close(struct al_net *n, int fd)
{
    struct scripted *s = (struct scripted *)(void *)n;
    AL_ASSERT(s->used[fd]);
    s->used[fd] = false;
}

static const struct al_net_ops scripted_ops = {scripted_resolve, scripted_listen, scripted_close};

static void test_every_back_end(void **state)
{
    (void)state;
    struct scripted s = {.net = {&scripted_ops}};
    struct al_fault_net fault;
    check_net("system", al_net_system());
    check_net("scripted", &s.net);
    al_fault_net_init(&fault, NULL, SIZE_MAX, false, EIO);
    check_net("fault, never", &fault.net);
    assert_int_equal(fault.n_open, 0);
}

/* ---- a host with several addresses ---- */

static void test_the_first_address_that_works_is_taken(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 5; n++) {
        for (size_t good = 0; good <= n; good++) { /* n: none */
            struct scripted s = {.net = {&scripted_ops}, .name = "many", .n_addresses = n};
            for (size_t i = 0; i < n; i++)
                s.codes[i] = i < good ? (i % 2 ? AL_UNAVAILABLE : AL_RESOURCE_EXHAUSTED) : AL_OK;
            int fd = -1;
            uint16_t port = 0;
            struct al_err err;
            enum al_code code = al_net_listen(&s.net, "many", 0, &fd, &port, &err);
            assert_int_equal(code, good < n ? AL_OK : s.codes[n - 1]); /* the last one's error */
            assert_int_equal(s.tried, good < n ? good + 1 : n);
            assert_true((fd >= 0) == (code == AL_OK));
            if (fd >= 0)
                al_net_close(&s.net, fd);
        }
    }
}

static void test_more_addresses_than_are_looked_at(void **state)
{
    (void)state;
    struct scripted s = {.net = {&scripted_ops}, .name = "many", .n_addresses = 1000};
    for (size_t i = 0; i < AL_NET_ADDRESSES_MAX; i++)
        s.codes[i] = AL_UNAVAILABLE;
    int fd = -1;
    uint16_t port = 0;
    assert_int_equal(al_net_listen(&s.net, "many", 0, &fd, &port, NULL), AL_UNAVAILABLE);
    assert_int_equal(s.tried, AL_NET_ADDRESSES_MAX);
    assert_int_equal(al_net_listen(&s.net, "none", 0, &fd, &port, NULL), AL_INVALID_ARGUMENT);
    assert_int_equal(fd, -1);
}

static void test_the_system_s_is_the_default(void **state)
{
    (void)state;
    int fd = -1;
    uint16_t port = 0;
    struct al_err err;
    AL_CHECK_OK(al_net_listen(NULL, "127.0.0.1", 0, &fd, &port, &err), err);
    assert_true(fd >= 0 && port > 0);
    al_net_close(NULL, fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_back_end),
        cmocka_unit_test(test_the_first_address_that_works_is_taken),
        cmocka_unit_test(test_more_addresses_than_are_looked_at),
        cmocka_unit_test(test_the_system_s_is_the_default),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
