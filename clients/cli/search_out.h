/* search_out.h - search results for scripts and for people. Thread: confined to one thread. */
#ifndef AIRLORE_CLI_SEARCH_OUT_H
#define AIRLORE_CLI_SEARCH_OUT_H

#include "cli.h"

/* {"hits":[..],"relevance",..}; a new reference. id NULL: none. */
json_t *al_cli_search_json(const char *id, const Airlore__V1__SearchResponse *r);

/* The hits as blocks. */
void al_cli_search_print(const struct al_cli *c, const Airlore__V1__SearchResponse *r);

/* "team default", "community (team-7f3a)": the scope and owner of something. In buf. */
const char *al_cli_owner(Airlore__V1__Visibility scope, const Airlore__V1__Owner *o, char *buf,
                         size_t n);

#endif
