/* airlore team, deployment, key, whoami, info */
#include <string.h>

#include "airlore/clock.h"
#include "names.h"
#include "pages.h"

#define CERTIFICATE_MAX ((size_t)64 << 10)

static char *option_text(const struct al_cli *c, enum al_cli_opt o)
{
    const char *v = c->args.value[o];
    return (char *)(uintptr_t)(v ? v : "");
}

/* The last part of a resource name. */
static const char *last_part(const char *name)
{
    const char *slash = strrchr(name, '/');
    return slash ? slash + 1 : name;
}

/* {"id", "key"?, and all members of m}, or for people the pairs and the key with a word of care. */
static void show_created(const struct al_cli *c, const ProtobufCMessage *m, const char *name,
                         const char *secret)
{
    if (c->json) {
        json_t *o = json_object();
        al_cli_json_set(o, "id", al_cli_json_text(al_str_c(last_part(name))));
        if (secret && secret[0])
            al_cli_json_set(o, "key", al_cli_json_text(al_str_c(secret)));
        json_t *rest = al_cli_json_of(m);
        json_object_update_missing(o, rest);
        json_decref(rest);
        al_cli_json_print(stdout, o);
        return;
    }
    al_cli_show(c, m);
    if (secret && secret[0]) {
        printf("\nkey  %s%s%s\n", al_cli_style_on(c->term.out_colour, AL_STYLE_BOLD), secret,
               al_cli_style_on(c->term.out_colour, AL_STYLE_PLAIN));
        al_cli_note(c, "the key is shown this once; the server keeps only its hash");
    }
}

/* -------------------------------------------------------------------------------------------------------------
 * team */

int al_cmd_team_create(struct al_cli *c)
{
    Airlore__V1__Team team = AIRLORE__V1__TEAM__INIT;
    Airlore__V1__CreateTeamRequest r = AIRLORE__V1__CREATE_TEAM_REQUEST__INIT;
    const char *id = al_cli_one(c, "team");
    if (!id)
        return AL_EXIT_USAGE;
    r.team_id = (char *)(uintptr_t)id;
    r.team = &team;
    team.display_name = option_text(c, AL_OPT_DISPLAY_NAME);
    team.named_in_community = c->args.value[AL_OPT_NAMED] != NULL;
    int rc;
    const void *m = al_cli_call(c, "CreateTeam", &r.base, true, &rc);
    const Airlore__V1__CreateTeamResponse *reply = m;
    if (reply && reply->team)
        show_created(c, &reply->team->base, reply->team->name, NULL);
    return rc;
}

int al_cmd_team_list(struct al_cli *c)
{
    static const struct al_cli_column columns[] = {{"NAME", "name"},
                                                   {"DISPLAY NAME", "display_name"},
                                                   {"DEPLOYMENTS", "deployment_count"},
                                                   {"ITEMS", "item_count"},
                                                   {"IN THE COMMUNITY", "pseudonym"}};
    Airlore__V1__ListTeamsRequest r = AIRLORE__V1__LIST_TEAMS_REQUEST__INIT;
    return al_cli_list_run(c, &(struct al_cli_list){&airlore__v1__admin_service__descriptor,
                                                    "ListTeams", &r.base, "teams", columns,
                                                    AL_ARRAY_LEN(columns)});
}

int al_cmd_team_update(struct al_cli *c)
{
    Airlore__V1__UpdateTeamRequest r = AIRLORE__V1__UPDATE_TEAM_REQUEST__INIT;
    const char *id = al_cli_one(c, "team");
    if (!id)
        return AL_EXIT_USAGE;
    bool named = c->args.value[AL_OPT_NAMED] != NULL;
    bool not_named = c->args.value[AL_OPT_NO_NAMED] != NULL;
    if (named && not_named)
        return al_cli_usage(c, "--named and --no-named: one of them");
    if (named || not_named) {
        r._named_in_community_case =
            AIRLORE__V1__UPDATE_TEAM_REQUEST___NAMED_IN_COMMUNITY_NAMED_IN_COMMUNITY;
        r.named_in_community = named;
    }
    if (c->args.value[AL_OPT_DISPLAY_NAME]) {
        r._display_name_case = AIRLORE__V1__UPDATE_TEAM_REQUEST___DISPLAY_NAME_DISPLAY_NAME;
        r.display_name = option_text(c, AL_OPT_DISPLAY_NAME);
    }
    r.name = al_cli_team_name(c, id);
    int rc;
    const void *m = al_cli_call(c, "UpdateTeam", &r.base, true, &rc);
    const Airlore__V1__UpdateTeamResponse *reply = m;
    if (reply && reply->team)
        al_cli_show(c, &reply->team->base);
    return rc;
}

int al_cmd_team_delete(struct al_cli *c)
{
    Airlore__V1__DeleteTeamRequest r = AIRLORE__V1__DELETE_TEAM_REQUEST__INIT;
    const char *id = al_cli_one(c, "team");
    if (!id)
        return AL_EXIT_USAGE;
    r.name = al_cli_team_name(c, id);
    r.force = c->args.value[AL_OPT_FORCE] != NULL;
    int rc;
    const ProtobufCMessage *m = al_cli_call(c, "DeleteTeam", &r.base, true, &rc);
    if (m)
        al_cli_show(c, m);
    return rc;
}

/* -------------------------------------------------------------------------------------------------------
 * deployment */

/* --label K=V options into d. False after saying what is wrong. */
static bool take_labels(struct al_cli *c, Airlore__V1__Deployment *d)
{
    d->labels = al_arena_array(&c->arena, AL_CLI_GIVEN_MAX, sizeof(void *));
    AL_ASSERT(d->labels != NULL);
    for (size_t i = 0; i < c->args.n_given; i++) {
        const char *v = c->args.given[i].value;
        if (c->args.given[i].opt != AL_OPT_LABEL)
            continue;
        const char *equals = strchr(v, '=');
        if (!equals || equals == v) {
            al_cli_usage(c, "--label '%.60s': not KEY=VALUE", v);
            return false;
        }
        Airlore__V1__Deployment__LabelsEntry *e = al_arena_alloc(&c->arena, sizeof *e);
        AL_ASSERT(e != NULL);
        airlore__v1__deployment__labels_entry__init(e);
        e->key = al_arena_strndup(&c->arena, v, (size_t)(equals - v));
        e->value = al_cli_keep(c, equals + 1);
        d->labels[d->n_labels++] = e;
    }
    return true;
}

int al_cmd_deployment_create(struct al_cli *c)
{
    Airlore__V1__Deployment d = AIRLORE__V1__DEPLOYMENT__INIT;
    Airlore__V1__CreateDeploymentRequest r = AIRLORE__V1__CREATE_DEPLOYMENT_REQUEST__INIT;
    const char *id = al_cli_one(c, "deployment");
    if (!id || !take_labels(c, &d))
        return AL_EXIT_USAGE;
    r.deployment_id = (char *)(uintptr_t)id;
    r.parent = al_cli_team_option(c);
    r.create_key = c->args.value[AL_OPT_WITH_KEY] != NULL;
    r.deployment = &d;
    d.display_name = option_text(c, AL_OPT_DISPLAY_NAME);
    d.airflow_url = option_text(c, AL_OPT_AIRFLOW_URL);
    int rc;
    const void *m = al_cli_call(c, "CreateDeployment", &r.base, true, &rc);
    const Airlore__V1__CreateDeploymentResponse *reply = m;
    if (reply && reply->deployment)
        show_created(c, &reply->deployment->base, reply->deployment->name, reply->secret);
    return rc;
}

/* Resource name of the one given: teams/T/deployments/D, T/D, or D of --team or the key's team.
 * NULL after saying what is wrong. */
static char *deployment_name(struct al_cli *c, int *rc)
{
    const char *id = al_cli_one(c, "deployment");
    *rc = AL_EXIT_USAGE;
    if (!id)
        return NULL;
    if (strncmp(id, "teams/", 6) == 0)
        return al_cli_keep(c, id);
    const char *slash = strchr(id, '/');
    if (slash)
        return al_arena_printf(&c->arena, "teams/%.*s/deployments/%s", (int)(slash - id), id,
                               slash + 1);
    const char *team = al_cli_team_option(c);
    if (team[0])
        return al_arena_printf(&c->arena, "%s/deployments/%s", team, id);
    Airlore__V1__WhoAmIRequest r = AIRLORE__V1__WHO_AM_IREQUEST__INIT;
    const void *m = al_cli_call(c, "WhoAmI", &r.base, false, rc);
    const Airlore__V1__WhoAmIResponse *me = m;
    return me ? al_arena_printf(&c->arena, "teams/%s/deployments/%s", me->team, id) : NULL;
}

int al_cmd_deployment_update(struct al_cli *c)
{
    Airlore__V1__UpdateDeploymentRequest r = AIRLORE__V1__UPDATE_DEPLOYMENT_REQUEST__INIT;
    Airlore__V1__Deployment d = AIRLORE__V1__DEPLOYMENT__INIT;
    int rc;
    if (!take_labels(c, &d))
        return AL_EXIT_USAGE;
    r.name = deployment_name(c, &rc);
    if (!r.name)
        return rc;
    r.labels = al_arena_array(&c->arena, d.n_labels + 1, sizeof(void *));
    AL_ASSERT(r.labels != NULL);
    for (size_t i = 0; i < d.n_labels; i++) {
        Airlore__V1__UpdateDeploymentRequest__LabelsEntry *e = al_arena_alloc(&c->arena, sizeof *e);
        AL_ASSERT(e != NULL);
        airlore__v1__update_deployment_request__labels_entry__init(e);
        e->key = d.labels[i]->key;
        e->value = d.labels[i]->value;
        r.labels[r.n_labels++] = e;
    }
    if (c->args.value[AL_OPT_DISPLAY_NAME]) {
        r._display_name_case = AIRLORE__V1__UPDATE_DEPLOYMENT_REQUEST___DISPLAY_NAME_DISPLAY_NAME;
        r.display_name = option_text(c, AL_OPT_DISPLAY_NAME);
    }
    if (c->args.value[AL_OPT_AIRFLOW_URL]) {
        r._airflow_url_case = AIRLORE__V1__UPDATE_DEPLOYMENT_REQUEST___AIRFLOW_URL_AIRFLOW_URL;
        r.airflow_url = option_text(c, AL_OPT_AIRFLOW_URL);
    }
    const void *m = al_cli_call(c, "UpdateDeployment", &r.base, true, &rc);
    const Airlore__V1__UpdateDeploymentResponse *reply = m;
    if (reply && reply->deployment)
        al_cli_show(c, &reply->deployment->base);
    return rc;
}

int al_cmd_deployment_delete(struct al_cli *c)
{
    Airlore__V1__DeleteDeploymentRequest r = AIRLORE__V1__DELETE_DEPLOYMENT_REQUEST__INIT;
    int rc;
    r.name = deployment_name(c, &rc);
    if (!r.name)
        return rc;
    r.force = c->args.value[AL_OPT_FORCE] != NULL;
    const ProtobufCMessage *m = al_cli_call(c, "DeleteDeployment", &r.base, true, &rc);
    if (m)
        al_cli_show(c, m);
    return rc;
}

int al_cmd_deployment_list(struct al_cli *c)
{
    static const struct al_cli_column columns[] = {{"NAME", "name"},
                                                   {"DISPLAY NAME", "display_name"},
                                                   {"AIRFLOW", "versions.airflow"},
                                                   {"ITEMS", "item_count"},
                                                   {"URL", "airflow_url"}};
    Airlore__V1__ListDeploymentsRequest r = AIRLORE__V1__LIST_DEPLOYMENTS_REQUEST__INIT;
    r.parent = al_cli_team_option(c);
    return al_cli_list_run(c, &(struct al_cli_list){&airlore__v1__admin_service__descriptor,
                                                    "ListDeployments", &r.base, "deployments",
                                                    columns, AL_ARRAY_LEN(columns)});
}

/* --------------------------------------------------------------------------------------------------------------
 * key */

static bool take_roles(struct al_cli *c, Airlore__V1__Key *key)
{
    key->roles = al_arena_array(&c->arena, AL_CLI_GIVEN_MAX + 1, sizeof *key->roles);
    key->readable_teams = al_arena_array(&c->arena, AL_CLI_GIVEN_MAX, sizeof(char *));
    AL_ASSERT(key->roles != NULL && key->readable_teams != NULL);
    for (size_t i = 0; i < c->args.n_given; i++) {
        const char *v = c->args.given[i].value;
        int role = 0;
        if (c->args.given[i].opt == AL_OPT_READS)
            key->readable_teams[key->n_readable_teams++] = (char *)(uintptr_t)v;
        if (c->args.given[i].opt != AL_OPT_ROLE)
            continue;
        if (!al_cli_enum_word(c, "role", v, &airlore__v1__role__descriptor, &role))
            return false;
        key->roles[key->n_roles++] = (Airlore__V1__Role)role;
    }
    if (key->n_roles == 0)
        key->roles[key->n_roles++] = AIRLORE__V1__ROLE__ROLE_READER;
    return true;
}

/* --expires: a time, or a duration from now. */
static bool take_expiry(struct al_cli *c, Airlore__V1__Key *key, Google__Protobuf__Timestamp *t)
{
    const char *text = c->args.value[AL_OPT_EXPIRES];
    if (!text)
        return true;
    size_t n = strlen(text);
    uint64_t count;
    uint64_t ms = 0;
    uint64_t unit = n && text[n - 1] == 'd' ? 86400000u : n && text[n - 1] == 'h' ? 3600000u : 0;
    if (unit && al_str_u64((struct al_str){text, n - 1}, &count) && count > 0 && count <= 100000)
        ms = al_clock_wall_ms(al_clock_system()) + count * unit;
    else if (al_clock_parse_rfc3339(text, n, &ms, NULL) != AL_OK) {
        al_cli_usage(c, "--expires '%.60s': not like 90d, 12h or 2027-01-31T00:00:00Z", text);
        return false;
    }
    t->seconds = (int64_t)(ms / 1000);
    t->nanos = (int32_t)(ms % 1000) * 1000000;
    key->expire_time = t;
    return true;
}

int al_cmd_key_create(struct al_cli *c)
{
    Airlore__V1__Key key = AIRLORE__V1__KEY__INIT;
    Google__Protobuf__Timestamp expires = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    Airlore__V1__CreateKeyRequest r = AIRLORE__V1__CREATE_KEY_REQUEST__INIT;
    if (c->args.n_pos)
        return al_cli_usage(c, "'%s': not expected; its name goes to --display-name",
                            c->args.pos[0]);
    if (!take_roles(c, &key) || !take_expiry(c, &key, &expires))
        return AL_EXIT_USAGE;
    const char *deployment = option_text(c, AL_OPT_DEPLOYMENT);
    const char *team = c->args.value[AL_OPT_TEAM];
    const char *slash = strchr(deployment, '/');
    if (slash && strncmp(deployment, "teams/", 6) != 0 && !team) /* TEAM/NAME says the team, too */
        team = al_arena_strndup(&c->arena, deployment, (size_t)(slash - deployment));
    key.deployment = (char *)(uintptr_t)last_part(deployment);
    key.display_name = option_text(c, AL_OPT_DISPLAY_NAME);
    r.parent = team && team[0] ? al_cli_team_name(c, team) : al_cli_keep(c, "");
    r.key = &key;
    r.key_id = option_text(c, AL_OPT_ID);
    key.certificate_subject = option_text(c, AL_OPT_CERT_SUBJECT);
    key.certificate_sha256 = option_text(c, AL_OPT_CERT_SHA256);
    if (c->args.value[AL_OPT_CERTIFICATE]) {
        r.certificate_pem = al_cli_read_file(c, c->args.value[AL_OPT_CERTIFICATE], CERTIFICATE_MAX);
        if (!r.certificate_pem)
            return AL_EXIT_USAGE;
    }
    int rc;
    const void *m = al_cli_call(c, "CreateKey", &r.base, true, &rc);
    const Airlore__V1__CreateKeyResponse *reply = m;
    if (reply && reply->key)
        show_created(c, &reply->key->base, reply->key->name, reply->secret);
    return rc;
}

int al_cmd_key_list(struct al_cli *c)
{
    static const struct al_cli_column columns[] = {{"NAME", "name"},
                                                   {"ROLES", "roles"},
                                                   {"DEPLOYMENT", "deployment"},
                                                   {"CREATED", "create_time"},
                                                   {"EXPIRES", "expire_time"},
                                                   {"REVOKED", "revoke_time"},
                                                   {"CERTIFICATE", "certificate_subject"},
                                                   {"SHA256", "certificate_sha256"},
                                                   {"FOR", "display_name"}};
    Airlore__V1__ListKeysRequest r = AIRLORE__V1__LIST_KEYS_REQUEST__INIT;
    r.parent = al_cli_team_option(c);
    r.show_ended = c->args.value[AL_OPT_ALL] != NULL;
    return al_cli_list_run(c, &(struct al_cli_list){&airlore__v1__admin_service__descriptor,
                                                    "ListKeys", &r.base, "keys", columns,
                                                    AL_ARRAY_LEN(columns)});
}

int al_cmd_key_revoke(struct al_cli *c)
{
    Airlore__V1__RevokeKeyRequest r = AIRLORE__V1__REVOKE_KEY_REQUEST__INIT;
    const char *id = al_cli_one(c, "key id");
    if (!id)
        return AL_EXIT_USAGE;
    const char *team = al_cli_team_option(c);
    r.name = al_cli_keep(c, id);
    if (team[0] && !strchr(id, '/'))
        r.name = al_arena_printf(&c->arena, "%s/keys/%s", team, id);
    int rc;
    const void *m = al_cli_call(c, "RevokeKey", &r.base, true, &rc);
    const Airlore__V1__RevokeKeyResponse *reply = m;
    if (reply && reply->key)
        al_cli_show(c, &reply->key->base);
    return rc;
}

/* ----------------------------------------------------------------------------------------------------
 * whoami, info */

int al_cmd_whoami(struct al_cli *c)
{
    Airlore__V1__WhoAmIRequest r = AIRLORE__V1__WHO_AM_IREQUEST__INIT;
    int rc;
    const ProtobufCMessage *m = al_cli_call(c, "WhoAmI", &r.base, false, &rc);
    if (m)
        al_cli_show(c, m);
    return rc;
}

int al_cmd_info(struct al_cli *c)
{
    Airlore__V1__GetServerInfoRequest r = AIRLORE__V1__GET_SERVER_INFO_REQUEST__INIT;
    int rc;
    const ProtobufCMessage *m = al_cli_call(c, "GetServerInfo", &r.base, false, &rc);
    if (m)
        al_cli_show(c, m);
    return rc;
}
