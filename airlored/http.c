#include "http.h"

#include <microhttpd.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEADER_BYTES_MAX 16384u

/* One connection, from accept to close. Only the server's thread looks at it. */
struct place {
    int fd; /* -1: free */
    bool leaving;
    uint64_t seen; /* when it came, or its last request was answered: al_http.tick then */
};

struct al_http {
    struct al_mem *mem;
    struct MHD_Daemon *daemon;
    const struct al_http_site *site;
    struct place *places;
    size_t n_places;
    size_t n_used;
    size_t n_leaving;
    uint64_t tick;
    uint16_t port;
};

static void add_header(struct MHD_Response *r, const char *name, const char *value)
{
    enum MHD_Result ok = MHD_add_response_header(r, name, value);
    (void)ok; /* out of memory: the answer goes without it */
}

static enum MHD_Result send_reply(struct MHD_Connection *c, const struct al_http_reply *reply)
{
    const struct al_buf *b = &reply->body;
    struct MHD_Response *r =
        MHD_create_response_from_buffer(b->n, b->n ? b->p : (void *)"", MHD_RESPMEM_MUST_COPY);
    if (!r)
        return MHD_NO;
    add_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, reply->type);
    add_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    add_header(r, "X-Content-Type-Options", "nosniff");
    add_header(r, "Content-Security-Policy",
               "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'");
    if (reply->allow)
        add_header(r, MHD_HTTP_HEADER_ALLOW, reply->allow);
    enum MHD_Result queued = MHD_queue_response(c, reply->status, r);
    MHD_destroy_response(r);
    return queued;
}

static bool has_body(struct MHD_Connection *c)
{
    const char *n = MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    return (n && strcmp(n, "0") != 0) ||
           MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_TRANSFER_ENCODING);
}

/* Called when the headers are there, and again when the request is. With a body it is answered at
 * once, which makes the library close the connection instead of reading it; without one the second
 * time, so that the connection can be used again. */
static enum MHD_Result answer(void *u, struct MHD_Connection *c, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_n, void **state)
{
    struct al_http *h = u;
    (void)version;
    (void)upload;
    const struct al_http_request req = {method, url, has_body(c)};
    if (*upload_n)
        return MHD_NO;
    if (!*state && !req.has_body) {
        *state = h;
        return MHD_YES;
    }
    struct al_http_reply reply;
    al_http_answer(h->site, &req, h->mem, &reply);
    enum MHD_Result queued = send_reply(c, &reply);
    al_buf_fini(&reply.body);
    return queued;
}

/* The place of a connection: each holds its own as "socket context". */
static void answered(void *u, struct MHD_Connection *c, void **state,
                     enum MHD_RequestTerminationCode why)
{
    struct al_http *h = u;
    (void)state;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct place *p = info ? info->socket_context : NULL;
    if (p && why == MHD_REQUEST_TERMINATED_COMPLETED_OK)
        p->seen = ++h->tick;
}

static void make_room(struct al_http *h)
{
    struct place *oldest = NULL;
    for (size_t i = 0; i < h->n_places; i++) {
        struct place *p = &h->places[i];
        if (p->fd >= 0 && !p->leaving && (!oldest || p->seen < oldest->seen))
            oldest = p;
    }
    if (!oldest)
        return;
    oldest->leaving = true;
    h->n_leaving++;
    shutdown(oldest->fd, SHUT_RDWR); /* the library sees it as closed by the client */
}

static void arrived(struct al_http *h, struct MHD_Connection *c, void **context)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    *context = NULL;
    if (!info)
        return;
    if (h->n_used - h->n_leaving + h->n_places / 8 >= h->n_places)
        make_room(h);
    for (size_t i = 0; i < h->n_places; i++) {
        struct place *p = &h->places[i];
        if (p->fd >= 0)
            continue;
        *p = (struct place){.fd = info->connect_fd, .seen = ++h->tick};
        h->n_used++;
        *context = p;
        return;
    }
}

static void connection_changed(void *u, struct MHD_Connection *c, void **context,
                               enum MHD_ConnectionNotificationCode what)
{
    struct al_http *h = u;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        arrived(h, c, context);
        return;
    }
    struct place *p = *context;
    if (!p)
        return;
    h->n_used--;
    h->n_leaving -= p->leaving ? 1 : 0;
    p->fd = -1;
}

/* Paths are taken as they stand: none of ours needs escapes. */
static size_t keep_escapes(void *u, struct MHD_Connection *c, char *s)
{
    (void)u;
    (void)c;
    return strlen(s);
}

static enum al_code start_daemon(struct al_http *h, const struct al_http_options *opt, int fd,
                                 struct al_err *err)
{
    h->daemon = MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_EPOLL, 0, NULL, NULL, answer, h,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)opt->connections_max,
        MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)opt->connections_per_address_max,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)((opt->idle_ms + 999) / 1000),
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEADER_BYTES_MAX, MHD_OPTION_UNESCAPE_CALLBACK,
        keep_escapes, NULL, MHD_OPTION_NOTIFY_COMPLETED, answered, h, MHD_OPTION_NOTIFY_CONNECTION,
        connection_changed, h, MHD_OPTION_END);
    if (!h->daemon)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "http: server cannot be started");
    return AL_OK;
}

static enum al_code make_places(struct al_http *h, size_t n, struct al_err *err)
{
    h->places = al_mem_array(h->mem, n, sizeof *h->places);
    if (!h->places)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "http: out of memory");
    h->n_places = n;
    for (size_t i = 0; i < n; i++)
        h->places[i].fd = -1;
    return AL_OK;
}

static enum al_code serve(struct al_http *h, const struct al_http_options *opt, struct al_err *err)
{
    AL_TRY(make_places(h, opt->connections_max, err));
    int fd = -1;
    char shown[AL_ADDRESS_BYTES_MAX];
    al_address_format(&opt->address, opt->address.port, shown);
    AL_TRY_CTX(err,
               al_net_listen(opt->net, opt->address.host, opt->address.port, &fd, &h->port, err),
               "http: '%.80s'", shown);
    enum al_code code = start_daemon(h, opt, fd, err);
    if (code != AL_OK)
        al_net_close(opt->net, fd);
    return code;
}

enum al_code al_http_start(const struct al_http_options *opt, struct al_http **ret,
                           struct al_err *err)
{
    AL_ASSERT(opt->connections_max >= 8);
    struct al_http *h = al_mem_zalloc(opt->mem, sizeof *h);
    if (!h)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "http: out of memory");
    h->mem = opt->mem;
    h->site = opt->site;
    enum al_code code = serve(h, opt, err);
    if (code != AL_OK) {
        al_http_stop(h);
        return code;
    }
    *ret = h;
    return AL_OK;
}

uint16_t al_http_port(const struct al_http *h)
{
    return h->port;
}

void al_http_stop(struct al_http *h)
{
    if (!h)
        return;
    if (h->daemon)
        MHD_stop_daemon(h->daemon); /* closes the listening socket, too */
    al_mem_free(h->mem, h->places);
    al_mem_free(h->mem, h);
}
