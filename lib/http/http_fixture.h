/* http_fixture.h - a server that answers from a script, one connection after the other.
 *
 * Thread: set and seen from one thread, when no request is under way.
 */
#ifndef AIRLORE_HTTP_FIXTURE_H
#define AIRLORE_HTTP_FIXTURE_H

#include "conformance.h"

struct al_http_server;

/* Listen on a free port of loopback. Ends the test on failure. */
struct al_http_server *al_http_server_start(void);
void al_http_server_stop(struct al_http_server *s);

/* The next requests are answered so; borrowed. */
void al_http_server_set(struct al_http_server *s, const struct al_http_script *script);
const struct al_http_seen *al_http_server_seen(struct al_http_server *s);
uint16_t al_http_server_port(const struct al_http_server *s);

#endif
