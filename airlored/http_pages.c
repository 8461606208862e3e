#include "http_pages.h"

#include <string.h>

#define BODY_BYTES_MAX (16u << 20)

static const char type_text[] = "text/plain; charset=utf-8";
static const char type_json[] = "application/json";
static const char type_html[] = "text/html; charset=utf-8";
static const char type_metrics[] = "text/plain; version=0.0.4; charset=utf-8";

static void page_metrics(const struct al_http_site *site, struct al_http_reply *r)
{
    r->type = type_metrics;
    site->metrics(site->u, &r->body);
}

static void page_health(const struct al_http_site *site, struct al_http_reply *r)
{
    bool ok = site->is_serving(site->u);
    r->status = ok ? 200 : 503;
    r->type = type_text;
    al_buf_cstr(&r->body, ok ? "serving\n" : "starting\n");
}

static void page_ready(const struct al_http_site *site, struct al_http_reply *r)
{
    char why[256] = "";
    bool ok = site->is_ready(site->u, why, sizeof why);
    r->status = ok ? 200 : 503;
    r->type = type_text;
    al_buf_printf(&r->body, "%s\n", ok ? "ready" : why);
}

static void page_home(const struct al_http_site *site, struct al_http_reply *r)
{
    r->type = type_html;
    al_buf_printf(
        &r->body,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Airlore</title>\n"
        "<meta name=\"viewport\" content=\"width=device-width\">\n"
        "<style>body{font:16px/1.5 system-ui,sans-serif;max-width:42rem;margin:3rem auto;padding:0 "
        "1rem}"
        "code,pre{background:#8882;padding:.1em .3em}pre{padding:.7em}</style></head><body>\n"
        "<h1>Airlore</h1>\n"
        "<p>A knowledge server for fleets of Apache Airflow deployments, version %s.</p>\n"
        "<p>Clients speak gRPC at <code>%s</code> (reflection is on). On this machine:</p>\n"
        "<pre>airlore ingest docs/\nairlore search \"sensor keeps a worker slot\"\n"
        "airlore ask \"How do I retry a task?\"</pre>\n"
        "<p>For monitoring: <a href=\"/metrics\">/metrics</a>, <a href=\"/healthz\">/healthz</a>, "
        "<a href=\"/readyz\">/readyz</a>.</p>\n</body></html>\n",
        site->version, site->grpc);
}

static const struct {
    const char *path;
    void (*page)(const struct al_http_site *site, struct al_http_reply *r);
} pages[] = {
    {"/", page_home},
    {"/metrics", page_metrics},
    {"/healthz", page_health},
    {"/readyz", page_ready},
};

/* Texts here are ours: nothing of the request is repeated. */
static void fail(struct al_http_reply *r, unsigned status, const char *name, const char *message)
{
    r->status = status;
    r->type = type_json;
    al_buf_printf(&r->body, "{\"error\":{\"code\":%u,\"status\":\"%s\",\"message\":\"%s\"}}\n",
                  status, name, message);
}

static void dispatch(const struct al_http_site *site, const struct al_http_request *req,
                     struct al_http_reply *r)
{
    for (size_t i = 0; i < AL_ARRAY_LEN(pages); i++) {
        if (strcmp(pages[i].path, req->path) != 0)
            continue;
        if (strcmp(req->method, "GET") != 0 && strcmp(req->method, "HEAD") != 0) {
            r->allow = "GET, HEAD";
            fail(r, 405, "UNIMPLEMENTED", "method not allowed, only GET and HEAD are");
        } else if (req->has_body) {
            fail(r, 413, "INVALID_ARGUMENT", "request has a body, none is expected");
        } else {
            pages[i].page(site, r);
        }
        return;
    }
    fail(r, 404, "NOT_FOUND", "page not found; there are /, /metrics, /healthz and /readyz");
}

void al_http_answer(const struct al_http_site *site, const struct al_http_request *req,
                    struct al_mem *mem, struct al_http_reply *ret)
{
    *ret = (struct al_http_reply){.status = 200, .type = type_text};
    al_buf_init(&ret->body, mem, BODY_BYTES_MAX);
    dispatch(site, req, ret);
    if (al_buf_status(&ret->body, NULL) != AL_OK) {
        al_buf_reset(&ret->body);
        ret->status = 503;
        ret->type = type_text;
    }
}
