/* The floor: lib/rpc alone. A server in a child process decodes a SearchRequest and answers with an
 * empty SearchResponse. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "airlore/proto_descriptors.h"
#include "airlore/rpc_server.h"
#include "airlore/v1/knowledge.pb-c.h"
#include "bench.h"

static enum al_code empty(void *ctx, struct al_rpc_call *call, const ProtobufCMessage *req,
                          ProtobufCMessage **ret_reply, struct al_err *err)
{
    (void)ctx;
    (void)call;
    (void)req;
    (void)err;
    static Airlore__V1__SearchResponse reply = AIRLORE__V1__SEARCH_RESPONSE__INIT;
    *ret_reply = &reply.base;
    return AL_OK;
}

static enum al_code serve(const struct al_rpc_method *method, uint16_t *ret_port,
                          struct al_rpc_server **ret, struct al_err *err)
{
    struct al_rpc_server_options opt = {.descriptor_set = al_proto_descriptor_set,
                                        .descriptor_set_bytes = al_proto_descriptor_set_size};
    AL_AUTO(al_rpc_server) s = NULL;
    AL_TRY(al_rpc_server_create(&opt, &s, err));
    AL_TRY(al_rpc_server_add_service(s, &airlore__v1__knowledge_service__descriptor, method, 1,
                                     NULL, err));
    AL_TRY(al_rpc_server_listen(s, "127.0.0.1:0", NULL, ret_port, err));
    AL_TRY(al_rpc_server_start(s, err));
    *ret = al_take(s);
    return AL_OK;
}

/* The child: serves until its standard input ends, which is when the parent is done or dead. */
static int child(bool pool, int to_parent, int from_parent)
{
    const struct al_rpc_method method = {
        .name = "Search", .where = pool ? AL_RPC_POOL : AL_RPC_INLINE, .unary = empty};
    struct al_rpc_server *s = NULL;
    struct al_err err = {.msg = ""};
    uint16_t port = 0;
    if (serve(&method, &port, &s, &err) != AL_OK)
        fprintf(stderr, "bench: echo: %s\n", err.msg);
    ssize_t said = write(to_parent, &port, sizeof port);
    char c;
    while (said == sizeof port && port && read(from_parent, &c, 1) < 0 && errno == EINTR)
        ;
    al_rpc_server_destroy(s);
    return 0;
}

static enum al_code start_child(bool pool, pid_t *ret_pid, int *ret_fd, uint16_t *ret_port,
                                struct al_err *err)
{
    int up[2] = {-1, -1};
    int down[2] = {-1, -1};
    if (pipe(up) != 0)
        return AL_FAIL_ERRNO(err, errno, "echo: pipe");
    if (pipe(down) != 0) {
        close(up[0]);
        close(up[1]);
        return AL_FAIL_ERRNO(err, errno, "echo: pipe");
    }
    pid_t pid = fork();
    if (pid == 0) {
        close(up[0]);
        close(down[1]);
        _exit(child(pool, up[1], down[0]));
    }
    close(up[1]);
    close(down[0]);
    ssize_t n = pid > 0 ? read(up[0], ret_port, sizeof *ret_port) : -1;
    close(up[0]);
    *ret_pid = pid;
    *ret_fd = down[1];
    if (n == sizeof *ret_port && *ret_port)
        return AL_OK;
    close(down[1]);
    if (pid > 0)
        (void)waitpid(pid, NULL, 0);
    return AL_FAIL(err, AL_INTERNAL, "echo: the server did not start");
}

enum al_code al_bench_echo(const struct al_bench_options *o, json_t **ret, struct al_err *err)
{
    pid_t pid = 0;
    int fd = -1;
    uint16_t port = 0;
    AL_TRY(start_child(o->pool, &pid, &fd, &port, err));
    char target[32];
    snprintf(target, sizeof target, "127.0.0.1:%u", (unsigned)port);
    struct al_bench_options mine = *o;
    mine.server = target;
    mine.pid = pid;
    enum al_code c = al_bench_rpc_unary(&mine, ret, err);
    close(fd);
    (void)waitpid(pid, NULL, 0);
    if (c == AL_OK)
        json_object_set_new(*ret, "name", json_string(o->pool ? "empty echo, pool" : "empty echo"));
    return c;
}
