/* Built by a stranger against the installed library: see installed_test.cmake. */
#include <airlore/client.h>

#include <stdio.h>
#include <string.h>

int main(void)
{
    struct al_client *c = NULL;
    struct al_err err = {0};
    struct al_client_options opt = {.server = "127.0.0.1:1", .retry_ms = 1};
    if (al_client_create(&opt, &c, &err) != AL_OK)
        return 1;
    struct al_arena a;
    al_arena_init(&a, NULL, 1 << 20);
    Airlore__V1__SearchRequest r = AIRLORE__V1__SEARCH_REQUEST__INIT;
    Airlore__V1__SearchResponse *found = NULL;
    enum al_code code = al_client_search(c, &r, &a, &found, &err);
    printf("%s\n", al_code_name(code));
    al_arena_fini(&a);
    al_client_destroy(c);
    return code == AL_UNAVAILABLE && strcmp(err.reason, "UNAVAILABLE") == 0 ? 0 : 1;
}
