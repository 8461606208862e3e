/* airlore promote, withdraw */
#include <inttypes.h>
#include <string.h>

#include "json_out.h"
#include "names.h"

static char *option_text(const struct al_cli *c, enum al_cli_opt o)
{
    const char *v = c->args.value[o];
    return (char *)(uintptr_t)(v ? v : "");
}

static void put_preview(const struct al_cli *c, const Airlore__V1__PromoteItemResponse *p)
{
    bool colour = c->term.out_colour;
    printf("%sOthers would see:%s\n\n", al_cli_style_on(colour, AL_STYLE_BOLD),
           al_cli_style_on(colour, AL_STYLE_PLAIN));
    if (p->item) {
        al_cli_put(stdout, al_str_c(p->item->title));
        fputs("\n\n", stdout);
        al_cli_put_wrapped(stdout, al_str_c(p->item->text), (size_t)c->term.width - 2, 2);
    }
    printf("\n%zu secrets or private facts are replaced%s\n", p->n_redactions,
           p->n_redactions ? ":" : "");
    for (size_t i = 0; i < p->n_redactions && i < 20; i++) {
        fputs("  ", stdout);
        al_cli_put(stdout, al_str_c(p->redactions[i]->kind));
        fputs(" -> ", stdout);
        al_cli_put(stdout, al_str_c(p->redactions[i]->replacement));
        putchar('\n');
    }
    printf("digest %s\n", p->digest);
    fflush(stdout);
}

static int promote_confirmed(struct al_cli *c, Airlore__V1__PromoteItemRequest *r)
{
    Airlore__V1__PromoteItemResponse *reply = NULL;
    struct al_err err = {.code = AL_OK};
    r->write_id = al_cli_write_id(c);
    if (al_client_promote_item(c->client, r, &c->arena, &reply, &err) != AL_OK)
        return al_cli_fail(c, &err, true);
    if (c->json)
        al_cli_json_print(stdout, al_cli_json_of(&reply->base));
    else
        printf("promoted; to take it back: airlore withdraw %s\n", r->id);
    return AL_EXIT_DONE;
}

static int fill(struct al_cli *c, Airlore__V1__PromoteItemRequest *r)
{
    const char *id = al_cli_one(c, "id");
    if (!id || !al_cli_enum_option(c, AL_OPT_TO, &airlore__v1__visibility__descriptor, &r->target))
        return AL_EXIT_USAGE;
    r->id = (char *)(uintptr_t)id;
    r->space = option_text(c, AL_OPT_SPACE);
    r->confirm_digest = option_text(c, AL_OPT_CONFIRM);
    bool named = c->args.value[AL_OPT_NAMED] != NULL;
    if (named || c->args.value[AL_OPT_NO_NAMED]) {
        r->_named_case = AIRLORE__V1__PROMOTE_ITEM_REQUEST___NAMED_NAMED;
        r->named = named;
    }
    return AL_EXIT_DONE;
}

int al_cmd_promote(struct al_cli *c)
{
    Airlore__V1__PromoteItemRequest r = AIRLORE__V1__PROMOTE_ITEM_REQUEST__INIT;
    bool preview_only = c->args.value[AL_OPT_PREVIEW] != NULL;
    bool yes = c->args.value[AL_OPT_YES] != NULL;
    int rc = fill(c, &r);
    if (rc == AL_EXIT_DONE && preview_only && r.confirm_digest[0])
        rc = al_cli_usage(c, "--preview and --confirm: one of them");
    if (rc == AL_EXIT_DONE && !preview_only && !yes && !r.confirm_digest[0] && !al_cli_can_ask(c))
        rc = al_cli_usage(c, "say --preview, then --confirm DIGEST");
    if (rc == AL_EXIT_DONE)
        rc = al_cli_connect(c);
    if (rc != AL_EXIT_DONE)
        return rc;
    if (r.confirm_digest[0])
        return promote_confirmed(c, &r);
    Airlore__V1__PromoteItemResponse *preview = NULL;
    struct al_err err = {.code = AL_OK};
    if (al_client_promote_item(c->client, &r, &c->arena, &preview, &err) != AL_OK)
        return al_cli_fail(c, &err, false);
    if (preview_only && c->json)
        al_cli_json_print(stdout, al_cli_json_of(&preview->base));
    else if (!c->json)
        put_preview(c, preview);
    if (preview_only || (!yes && !al_cli_confirm(c, "share it?")))
        return AL_EXIT_DONE;
    r.confirm_digest = preview->digest;
    return promote_confirmed(c, &r);
}

int al_cmd_withdraw(struct al_cli *c)
{
    const char *id = al_cli_one(c, "id");
    if (!id)
        return AL_EXIT_USAGE;
    int rc = al_cli_connect(c);
    if (rc != AL_EXIT_DONE)
        return rc;
    Airlore__V1__WithdrawItemRequest r = AIRLORE__V1__WITHDRAW_ITEM_REQUEST__INIT;
    r.id = (char *)(uintptr_t)id;
    r.space = option_text(c, AL_OPT_SPACE);
    r.write_id = al_cli_write_id(c);
    Airlore__V1__WithdrawItemResponse *reply = NULL;
    struct al_err err = {.code = AL_OK};
    if (al_client_withdraw_item(c->client, &r, &c->arena, &reply, &err) != AL_OK)
        return al_cli_fail(c, &err, true);
    if (c->json)
        al_cli_json_print(stdout, al_cli_json_of(&reply->base));
    else
        printf("withdrawn: %u copies\n", reply->withdrawn);
    return AL_EXIT_DONE;
}
