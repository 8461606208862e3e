/* From options, environment and the runtime file to a client. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "airlore/random.h"
#include "cli.h"
#include "discover.h"

#define PEM_BYTES_MAX (1u << 20)

static const char *env(const char *name)
{
    const char *v = getenv(name);
    return v && v[0] ? v : NULL;
}

static const char *given(const struct al_cli *c, enum al_cli_opt o)
{
    const char *v = c->args.value[o];
    return v && v[0] ? v : NULL;
}

char *al_cli_read_file(struct al_cli *c, const char *path, size_t max)
{
    bool is_stdin = strcmp(path, "-") == 0;
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        fprintf(stderr, "airlore: '%s': %s\n", path, strerror(errno));
        return NULL;
    }
    struct al_buf b;
    al_buf_init(&b, al_arena_mem(&c->arena), max + 4096);
    char part[16384];
    ssize_t n;
    while ((n = read(fd, part, sizeof part)) > 0 && b.n <= max)
        al_buf_add(&b, part, (size_t)n);
    int e = errno;
    if (!is_stdin)
        close(fd);
    if (n < 0) {
        fprintf(stderr, "airlore: '%s': %s\n", path, strerror(e));
        return NULL;
    }
    if (b.n > max || b.failed) {
        fprintf(stderr, "airlore: '%s': larger than %zu bytes\n", path, max);
        return NULL;
    }
    al_buf_char(&b, '\0');
    return b.p;
}

/* Host part of the address is this machine. */
static bool is_loopback(const char *server)
{
    struct al_str s = al_str_c(server);
    return al_str_starts(s, AL_STR("127.")) || al_str_starts(s, AL_STR("localhost")) ||
           al_str_starts(s, AL_STR("[::1]")) || al_str_starts(s, AL_STR("unix:")) ||
           al_str_starts(s, AL_STR("dns:///localhost"));
}

static int read_pems(struct al_cli *c, struct al_client_options *o)
{
    const struct {
        enum al_cli_opt opt;
        const char **to;
    } files[] = {
        {AL_OPT_CA, &o->ca_pem}, {AL_OPT_CERT, &o->cert_pem}, {AL_OPT_CERT_KEY, &o->cert_key_pem}};
    for (size_t i = 0; i < AL_ARRAY_LEN(files); i++) {
        const char *path = given(c, files[i].opt);
        if (!path)
            continue;
        *files[i].to = al_cli_read_file(c, path, PEM_BYTES_MAX);
        if (!*files[i].to)
            return AL_EXIT_USAGE;
    }
    if (!o->cert_pem != !o->cert_key_pem)
        return al_cli_usage(c, "--cert and --cert-key: one needs the other");
    return AL_EXIT_DONE;
}

static int no_server(const char *why)
{
    if (why[0])
        fprintf(stderr, "airlore: %s\n", why);
    fputs("airlore: no server given and none of this user found on this machine\n"
          "  start one:      make run   or   airlored --data DIR\n"
          "  or name one:    airlore --server HOST:PORT --key KEY ...\n",
          stderr);
    return AL_EXIT_UNREACHABLE;
}

/* Fill in what was not said from the runtime file. Who names a certificate means that one, and not
 * the key that lies about on this machine. */
static int find_rest(const struct al_cli *c, struct al_client_options *o, struct al_cli_found *f)
{
    bool needs_key = !o->key && !given(c, AL_OPT_CERT);
    if (o->server && !needs_key)
        return AL_EXIT_DONE;
    char path[4096];
    struct al_err err = {.msg = ""};
    enum al_code code = al_cli_runtime_path(path, sizeof path, &err);
    if (code == AL_OK)
        code = al_cli_discover(path, f, &err);
    if (code != AL_OK && !o->server)
        return no_server(code == AL_NOT_FOUND ? "" : err.msg);
    if (code != AL_OK)
        return AL_EXIT_DONE; /* the server will say that a key is missing */
    bool same = !o->server || strcmp(o->server, f->grpc) == 0;
    if (!o->server)
        o->server = f->grpc;
    if (needs_key && same && f->key[0])
        o->key = f->key;
    else if (needs_key && same)
        al_cli_note(c, "no key: %s", f->key_problem);
    return AL_EXIT_DONE;
}

int al_cli_connect(struct al_cli *c)
{
    if (c->client)
        return AL_EXIT_DONE;
    struct al_cli_found found = {.grpc = ""};
    struct al_client_options o = {
        .server = given(c, AL_OPT_SERVER) ? given(c, AL_OPT_SERVER) : env("AIRLORE_SERVER"),
        .key = given(c, AL_OPT_KEY) ? given(c, AL_OPT_KEY) : env("AIRLORE_KEY"),
        .tls = c->args.value[AL_OPT_TLS] != NULL,
        .target_name = given(c, AL_OPT_TLS_NAME),
        .timeout_ms = c->timeout_ms,
    };
    int rc = find_rest(c, &o, &found);
    if (rc == AL_EXIT_DONE)
        rc = read_pems(c, &o);
    if (rc != AL_EXIT_DONE)
        return rc;
    if (o.key && !o.tls && !o.ca_pem && !o.cert_pem && !is_loopback(o.server))
        al_cli_note(c, "warning: the key goes unencrypted to '%s'; use --tls or --ca FILE",
                    o.server);
    c->server = al_arena_strndup(&c->arena, o.server, strlen(o.server));
    struct al_err err = {.code = AL_OK};
    if (al_client_create(&o, &c->client, &err) == AL_OK)
        return AL_EXIT_DONE;
    if (strcmp(err.reason, "KEY_INVALID") == 0) {
        fprintf(stderr, "airlore: %s\n", err.msg);
        return AL_EXIT_REFUSED;
    }
    return al_cli_fail(c, &err, false);
}

char *al_cli_write_id(struct al_cli *c)
{
    unsigned char bytes[16];
    al_random_fill(al_random_system(), bytes, sizeof bytes);
    char *id = al_arena_alloc(&c->arena, 2 * sizeof bytes + 1);
    AL_ASSERT(id != NULL);
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(id + 2 * i, 3, "%02x", bytes[i]);
    return id;
}
