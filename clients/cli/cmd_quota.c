/* airlore quota get, set */
#include <string.h>

#include "names.h"
#include "pages.h"

/* Resource name of the calling key; NULL after saying what is wrong. */
static char *own_key(struct al_cli *c, int *rc)
{
    Airlore__V1__WhoAmIRequest r = AIRLORE__V1__WHO_AM_IREQUEST__INIT;
    const void *m = al_cli_call(c, "WhoAmI", &r.base, false, rc);
    const Airlore__V1__WhoAmIResponse *me = m;
    return me ? al_cli_keep(c, me->key) : NULL;
}

/* Resource name of what the quota limits: the key given, --deployment, --team, or the own key. */
static int quota_name(struct al_cli *c, char **ret)
{
    int rc = al_cli_connect(c);
    if (rc != AL_EXIT_DONE)
        return rc;
    const char *team = c->args.value[AL_OPT_TEAM];
    const char *deployment = c->args.value[AL_OPT_DEPLOYMENT];
    if (c->args.n_pos > 1 || (c->args.n_pos && deployment))
        return al_cli_usage(c, "one quota at a time");
    if (deployment)
        return al_cli_deployment_option(c, ret);
    if (c->args.n_pos && team && !strchr(c->args.pos[0], '/'))
        *ret = al_arena_printf(&c->arena, "%s/keys/%s", al_cli_team_name(c, team), c->args.pos[0]);
    else if (c->args.n_pos)
        *ret = al_cli_keep(c, c->args.pos[0]);
    else
        *ret = team ? al_cli_team_name(c, team) : own_key(c, &rc);
    return *ret ? AL_EXIT_DONE : rc;
}

static const Airlore__V1__GetQuotaResponse *read_quota(struct al_cli *c, char *name, int *rc)
{
    Airlore__V1__GetQuotaRequest r = AIRLORE__V1__GET_QUOTA_REQUEST__INIT;
    r.name = name;
    const void *m = al_cli_call(c, "GetQuota", &r.base, false, rc);
    return m;
}

int al_cmd_quota_get(struct al_cli *c)
{
    char *name = NULL;
    int rc = quota_name(c, &name);
    if (rc != AL_EXIT_DONE)
        return rc;
    const Airlore__V1__GetQuotaResponse *q = read_quota(c, name, &rc);
    if (!q)
        return rc;
    if (c->json) {
        al_cli_show(c, &q->base);
        return rc;
    }
    if (q->quota)
        al_cli_show(c, &q->quota->base);
    if (q->use) {
        puts("in use:");
        al_cli_show(c, &q->use->base);
    }
    return rc;
}

/* One limit of an option: a number, or "none" to lift it. */
struct limit {
    enum al_cli_opt opt;
    const char *field;
};

static bool set_limit(const struct al_cli *c, Airlore__V1__Quota *q, const struct limit *l)
{
    const char *text = c->args.value[l->opt];
    if (!text)
        return true;
    const ProtobufCFieldDescriptor *f =
        protobuf_c_message_descriptor_get_field_by_name(q->base.descriptor, l->field);
    AL_ASSERT(f != NULL);
    char *base = (char *)q;
    uint32_t *is_set = (void *)(base + f->quantifier_offset);
    if (strcmp(text, "none") == 0) {
        *is_set = 0;
        return true;
    }
    uint64_t whole = 0;
    double real = 0;
    if (f->type == PROTOBUF_C_TYPE_DOUBLE) {
        if (!al_cli_double(c, l->opt, 0, 1e9, &real))
            return false;
        memcpy(base + f->offset, &real, sizeof real);
    } else if (f->type == PROTOBUF_C_TYPE_UINT32) {
        if (!al_cli_u64(c, l->opt, 0, UINT32_MAX, &whole))
            return false;
        uint32_t small = (uint32_t)whole;
        memcpy(base + f->offset, &small, sizeof small);
    } else {
        if (!al_cli_u64(c, l->opt, 0, (uint64_t)1 << 50, &whole))
            return false;
        memcpy(base + f->offset, &whole, sizeof whole);
    }
    *is_set = f->id;
    return true;
}

int al_cmd_quota_set(struct al_cli *c)
{
    static const struct limit limits[] = {{AL_OPT_MAX_ITEMS, "max_items"},
                                          {AL_OPT_MAX_BYTES, "max_bytes"},
                                          {AL_OPT_INGEST_BYTES, "max_ingest_bytes_per_day"},
                                          {AL_OPT_CALLS_PER_SECOND, "calls_per_second"},
                                          {AL_OPT_ITEMS_PER_SECOND, "items_per_second"},
                                          {AL_OPT_MAX_CONCURRENT, "max_concurrent_calls"},
                                          {AL_OPT_MAX_JOBS, "max_jobs"},
                                          {AL_OPT_MAX_LLM_USD, "max_llm_usd"},
                                          {AL_OPT_MAX_DEPLOYMENTS, "max_deployments"}};
    bool any = false;
    for (size_t i = 0; i < AL_ARRAY_LEN(limits); i++)
        any |= c->args.value[limits[i].opt] != NULL;
    if (!any)
        return al_cli_usage(c, "no limit given");
    char *name = NULL;
    int rc = quota_name(c, &name);
    if (rc != AL_EXIT_DONE)
        return rc;
    const Airlore__V1__GetQuotaResponse *now = read_quota(c, name, &rc);
    if (!now)
        return rc;
    Airlore__V1__Quota q = AIRLORE__V1__QUOTA__INIT;
    if (now->quota)
        q = *now->quota;
    for (size_t i = 0; i < AL_ARRAY_LEN(limits); i++) {
        if (!set_limit(c, &q, &limits[i]))
            return AL_EXIT_USAGE;
    }
    Airlore__V1__UpdateQuotaRequest r = AIRLORE__V1__UPDATE_QUOTA_REQUEST__INIT;
    r.name = name;
    r.quota = &q;
    const void *m = al_cli_call(c, "UpdateQuota", &r.base, true, &rc);
    const Airlore__V1__UpdateQuotaResponse *reply = m;
    if (reply && reply->quota)
        al_cli_show(c, &reply->quota->base);
    return rc;
}
