/* A server that is slow to answer a new connection is waited for. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rpc_fixture.h"

#define LATE_MS 700

/* Takes one connection, leaves it without an answer for LATE_MS, then passes bytes on until it
 * ends. */
struct forwarder {
    int listener;
    uint16_t port;
    uint16_t to;
    pthread_t thread;
};

static bool pass(int from, int to)
{
    char block[4096];
    ssize_t n = read(from, block, sizeof block);
    return n > 0 && write(to, block, (size_t)n) == n;
}

static void *forward(void *u)
{
    struct forwarder *f = u;
    int client = accept(f->listener, NULL, NULL);
    poll(NULL, 0, LATE_MS); /* the lateness itself is what is tested */
    int server = raw_connect(f->to);
    struct pollfd fds[2] = {{client, POLLIN, 0}, {server, POLLIN, 0}};
    bool is_open = client >= 0;
    while (is_open && poll(fds, 2, 20000) > 0)
        is_open =
            (!fds[0].revents || pass(client, server)) && (!fds[1].revents || pass(server, client));
    close(server);
    close(client);
    return NULL;
}

static void forwarder_start(struct forwarder *f, uint16_t to)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof a;
    f->to = to;
    f->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(f->listener >= 0);
    assert_int_equal(bind(f->listener, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(f->listener, 1), 0);
    assert_int_equal(getsockname(f->listener, (struct sockaddr *)&a, &n), 0);
    f->port = ntohs(a.sin_port);
    assert_int_equal(pthread_create(&f->thread, NULL, forward, f), 0);
}

static void test_a_late_answer_to_a_connection_is_waited_for(void **state)
{
    (void)state;
    struct fixture f;
    struct forwarder w;
    struct al_rpc_channel *c = NULL;
    struct al_err err = {0};
    char target[64];
    fixture_start(&f, NULL);
    forwarder_start(&w, f.port);
    snprintf(target, sizeof target, "127.0.0.1:%u", w.port);
    AL_CHECK_OK(al_rpc_channel_create(&(struct al_rpc_channel_options){.target = target}, &c, &err),
                err);
    struct echo e = {.method = "Quick", .text = "x", .timeout_ms = 20000};
    AL_CHECK_OK(echo_call(c, &e), e.err);
    al_rpc_channel_destroy(c);
    pthread_join(w.thread, NULL);
    close(w.listener);
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_late_answer_to_a_connection_is_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
