/* Names of teams and deployments, words of enums. */
#include "names.h"

#include <string.h>

#include "json_out.h"

bool al_cli_enum_word(const struct al_cli *c, const char *option, const char *word,
                      const ProtobufCEnumDescriptor *e, int *ret)
{
    if (al_cli_enum(e, word, ret))
        return true;
    char words[256];
    al_cli_enum_words(e, words, sizeof words);
    al_cli_usage(c, "--%s '%.60s': not one of %s", option, word, words);
    return false;
}

char *al_cli_keep(struct al_cli *c, const char *s)
{
    char *kept = al_arena_strndup(&c->arena, s, strlen(s));
    AL_ASSERT(kept != NULL);
    return kept;
}

char *al_cli_resource(struct al_cli *c, const char *prefix, const char *id)
{
    size_t n = strlen(prefix);
    if (strncmp(id, prefix, n) == 0 && id[n] == '/')
        return al_cli_keep(c, id);
    char *name = al_arena_printf(&c->arena, "%s/%s", prefix, id);
    AL_ASSERT(name != NULL);
    return name;
}

const char *al_cli_own_team(struct al_cli *c, int *ret_exit)
{
    Airlore__V1__WhoAmIRequest r = AIRLORE__V1__WHO_AM_IREQUEST__INIT;
    Airlore__V1__WhoAmIResponse *me = NULL;
    struct al_err err = {.code = AL_OK};
    if (al_client_who_am_i(c->client, &r, &c->arena, &me, &err) == AL_OK)
        return me->team;
    *ret_exit = al_cli_fail(c, &err, false);
    return NULL;
}

char *al_cli_team_name(struct al_cli *c, const char *team)
{
    return al_cli_resource(c, "teams", team);
}

char *al_cli_team_option(struct al_cli *c)
{
    const char *team = c->args.value[AL_OPT_TEAM];
    return team && team[0] ? al_cli_team_name(c, team) : al_cli_keep(c, "");
}

int al_cli_deployment_option(struct al_cli *c, char **ret)
{
    const char *given = c->args.value[AL_OPT_DEPLOYMENT];
    if (!given || !given[0])
        return AL_EXIT_DONE;
    if (strncmp(given, "teams/", 6) == 0) {
        *ret = al_cli_keep(c, given);
        return AL_EXIT_DONE;
    }
    const char *slash = strchr(given, '/');
    int rc = AL_EXIT_DONE;
    const char *team = c->args.value[AL_OPT_TEAM];
    if (slash)
        team = al_arena_strndup(&c->arena, given, (size_t)(slash - given));
    else if (!team || !team[0])
        team = al_cli_own_team(c, &rc);
    if (!team)
        return rc;
    *ret = al_arena_printf(&c->arena, "%s/deployments/%s", al_cli_team_name(c, team),
                           slash ? slash + 1 : given);
    AL_ASSERT(*ret != NULL);
    return AL_EXIT_DONE;
}

bool al_cli_scopes(struct al_cli *c, size_t *ret_n, Airlore__V1__Visibility **ret)
{
    Airlore__V1__Visibility *v = al_arena_array(&c->arena, AL_CLI_GIVEN_MAX, sizeof *v);
    AL_ASSERT(v != NULL);
    size_t n = 0;
    for (size_t i = 0; i < c->args.n_given; i++) {
        int scope = 0;
        if (c->args.given[i].opt != AL_OPT_SCOPE)
            continue;
        if (!al_cli_enum_word(c, "scope", c->args.given[i].value,
                              &airlore__v1__visibility__descriptor, &scope))
            return false;
        v[n++] = (Airlore__V1__Visibility)scope;
    }
    *ret_n = n;
    *ret = v;
    return true;
}
