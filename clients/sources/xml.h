/* xml.h - XML as a stream of events, as a port; its adapter is xml_expat.c.
 *
 * Document types are refused, so there are no entities to expand and nothing outside to read.
 *
 * Thread: confined to one thread. Memory: what is between two events, at most 16 MiB of input.
 */
#ifndef AIRLORE_SOURCES_XML_H
#define AIRLORE_SOURCES_XML_H

#include "airlore/err.h"
#include "airlore/str.h"

#define AL_XML_DEPTH_MAX 64u
#define AL_XML_EVENT_BYTES_MAX ((size_t)16 << 20)

/* Called while bytes are fed; names without their namespace prefix; attributes are name, value,
 * ..., NULL; all borrowed for the call. A NULL function is not called. An error ends the parsing.
 */
struct al_xml_events {
    enum al_code (*start)(void *u, const char *name, const char *const *attributes,
                          struct al_err *err);
    enum al_code (*end)(void *u, const char *name, struct al_err *err);
    enum al_code (*text)(void *u, struct al_str text, struct al_err *err);
    void *u;
};

struct al_xml;

/* events copied. *ret owned: al_xml_destroy. */
AL_NODISCARD enum al_code al_xml_create(const struct al_xml_events *events, struct al_xml **ret,
                                        struct al_err *err);

/* The next bytes; last: there are no more. AL_INVALID_ARGUMENT with BAD_XML (with the line),
 * TOO_DEEP, TOO_LARGE; or what an event said. */
AL_NODISCARD enum al_code al_xml_feed(struct al_xml *x, struct al_str bytes, bool last,
                                      struct al_err *err);

/* Give it back. Accepts NULL. */
void al_xml_destroy(struct al_xml *x);

/* The value of an attribute, or NULL. */
const char *al_xml_attribute(const char *const *attributes, const char *name);

#endif
