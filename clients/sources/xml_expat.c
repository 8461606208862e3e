/* XML, through expat. The only file that includes it. */
#include <expat.h>
#include <string.h>

#include "airlore/mem.h"
#include "xml.h"

#define FEED_BYTES ((size_t)65536)

struct al_xml {
    struct al_xml_events events;
    XML_Parser parser;
    unsigned depth;
    size_t since_event; /* bytes fed since the last event: what expat has to keep */
    enum al_code code;
    struct al_err err;
};

static void stop(struct al_xml *x, enum al_code code)
{
    x->code = code;
    XML_StopParser(x->parser, XML_FALSE);
}

static const char *local(const char *name)
{
    const char *colon = strrchr(name, ':');
    return colon ? colon + 1 : name;
}

static void XMLCALL on_start(void *u, const XML_Char *name, const XML_Char **attributes)
{
    struct al_xml *x = u;
    x->since_event = 0;
    if (x->code != AL_OK)
        return;
    if (++x->depth > AL_XML_DEPTH_MAX)
        stop(x, AL_FAIL_R(&x->err, AL_INVALID_ARGUMENT, "TOO_DEEP", "xml: nested too deeply"));
    else if (x->events.start) {
        enum al_code code =
            x->events.start(x->events.u, local(name), (const char *const *)attributes, &x->err);
        if (code != AL_OK)
            stop(x, code);
    }
}

static void XMLCALL on_end(void *u, const XML_Char *name)
{
    struct al_xml *x = u;
    x->since_event = 0;
    x->depth--;
    if (x->code != AL_OK || !x->events.end)
        return;
    enum al_code code = x->events.end(x->events.u, local(name), &x->err);
    if (code != AL_OK)
        stop(x, code);
}

static void XMLCALL on_text(void *u, const XML_Char *p, int n)
{
    struct al_xml *x = u;
    x->since_event = 0;
    if (x->code != AL_OK || !x->events.text || n <= 0)
        return;
    enum al_code code = x->events.text(x->events.u, (struct al_str){p, (size_t)n}, &x->err);
    if (code != AL_OK)
        stop(x, code);
}

static void XMLCALL on_doctype(void *u, const XML_Char *name, const XML_Char *system,
                               const XML_Char *public, int has_internal)
{
    struct al_xml *x = u;
    (void)name;
    (void)system;
    (void)public;
    (void)has_internal;
    stop(x, AL_FAIL_R(&x->err, AL_INVALID_ARGUMENT, "BAD_XML", "xml: document types are refused"));
}

/* Through the memory port, so that it can fail in a test. */
static void *take(size_t n)
{
    return al_mem_alloc(NULL, n);
}

static void *resize(void *p, size_t n)
{
    return al_mem_resize(NULL, p, n);
}

static void give_back(void *p)
{
    al_mem_free(NULL, p);
}

enum al_code al_xml_create(const struct al_xml_events *events, struct al_xml **ret,
                           struct al_err *err)
{
    static const XML_Memory_Handling_Suite memory = {take, resize, give_back};
    struct al_xml *x = al_mem_zalloc(NULL, sizeof *x);
    if (x)
        x->parser = XML_ParserCreate_MM(NULL, &memory, NULL);
    if (!x || !x->parser) {
        al_xml_destroy(x);
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "xml: out of memory");
    }
    x->events = *events;
    XML_SetUserData(x->parser, x);
    XML_SetElementHandler(x->parser, on_start, on_end);
    XML_SetCharacterDataHandler(x->parser, on_text);
    XML_SetStartDoctypeDeclHandler(x->parser, on_doctype);
    *ret = x;
    return AL_OK;
}

static enum al_code feed_part(struct al_xml *x, const char *p, size_t n, bool last,
                              struct al_err *err)
{
    x->since_event += n;
    if (x->since_event > AL_XML_EVENT_BYTES_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_LARGE", "xml: a tag of more than %zu bytes",
                         AL_XML_EVENT_BYTES_MAX);
    if (XML_Parse(x->parser, p, (int)n, last) == XML_STATUS_OK)
        return AL_OK;
    if (x->code != AL_OK) {
        if (err)
            *err = x->err;
        return x->code;
    }
    enum XML_Error e = XML_GetErrorCode(x->parser);
    if (e == XML_ERROR_NO_MEMORY)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "xml: out of memory");
    return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_XML", "xml: line %lu: %.100s",
                     (unsigned long)XML_GetCurrentLineNumber(x->parser), XML_ErrorString(e));
}

enum al_code al_xml_feed(struct al_xml *x, struct al_str bytes, bool last, struct al_err *err)
{
    size_t at = 0;
    do {
        size_t n = bytes.n - at < FEED_BYTES ? bytes.n - at : FEED_BYTES;
        AL_TRY(feed_part(x, bytes.p ? bytes.p + at : "", n, last && at + n == bytes.n, err));
        at += n;
    } while (at < bytes.n);
    return AL_OK;
}

void al_xml_destroy(struct al_xml *x)
{
    if (!x)
        return;
    if (x->parser)
        XML_ParserFree(x->parser);
    al_mem_free(NULL, x);
}

const char *al_xml_attribute(const char *const *attributes, const char *name)
{
    for (size_t i = 0; attributes[i]; i += 2) {
        if (strcmp(local(attributes[i]), name) == 0)
            return attributes[i + 1];
    }
    return NULL;
}
