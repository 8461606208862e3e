/* airlore ask */
#include <string.h>

#include "json_out.h"
#include "names.h"
#include "search_out.h"

static int take_options(struct al_cli *c, Airlore__V1__AskRequest *r)
{
    uint64_t k = 0;
    uint64_t sentences = 0;
    double relevance = -1;
    if (!al_cli_u64(c, AL_OPT_K, 1, 50, &k) ||
        !al_cli_u64(c, AL_OPT_MAX_SENTENCES, 1, 20, &sentences) ||
        !al_cli_double(c, AL_OPT_MIN_RELEVANCE, 0, 1, &relevance) ||
        !al_cli_scopes(c, &r->n_scopes, &r->scopes))
        return AL_EXIT_USAGE;
    if (k) {
        r->_k_case = AIRLORE__V1__ASK_REQUEST___K_K;
        r->k = (uint32_t)k;
    }
    if (sentences) {
        r->_max_sentences_case = AIRLORE__V1__ASK_REQUEST___MAX_SENTENCES_MAX_SENTENCES;
        r->max_sentences = (uint32_t)sentences;
    }
    if (relevance >= 0) {
        r->_min_relevance_case = AIRLORE__V1__ASK_REQUEST___MIN_RELEVANCE_MIN_RELEVANCE;
        r->min_relevance = relevance;
    }
    if (c->args.value[AL_OPT_FILTER])
        r->filter = (char *)(uintptr_t)c->args.value[AL_OPT_FILTER];
    if (c->args.value[AL_OPT_AFTER])
        r->after_token = (char *)(uintptr_t)c->args.value[AL_OPT_AFTER];
    r->allow_partial = c->args.value[AL_OPT_PARTIAL] != NULL;
    return AL_EXIT_DONE;
}

static void put_source(const struct al_cli *c, const Airlore__V1__AskSource *s)
{
    char owner[200];
    printf("  [%u] %s", s->n, al_cli_style_on(c->term.out_colour, AL_STYLE_BOLD));
    al_cli_put(stdout, al_str_c(s->title[0] ? s->title : s->id));
    printf("%s  ", al_cli_style_on(c->term.out_colour, AL_STYLE_PLAIN));
    al_cli_put(stdout, al_str_c(s->id));
    if (s->version[0]) {
        fputs("  version ", stdout);
        al_cli_put(stdout, al_str_c(s->version));
    }
    fputs("  ", stdout);
    al_cli_put(stdout, al_str_c(al_cli_owner(s->scope, s->owner, owner, sizeof owner)));
    putchar('\n');
    if (s->url[0]) {
        printf("      %s", al_cli_style_on(c->term.out_colour, AL_STYLE_CYAN));
        al_cli_put(stdout, al_str_c(s->url));
        printf("%s\n", al_cli_style_on(c->term.out_colour, AL_STYLE_PLAIN));
    }
}

static void put_answer(const struct al_cli *c, const Airlore__V1__AskResponse *r)
{
    al_cli_put_wrapped(stdout, al_str_c(r->answer), (size_t)c->term.width, 0);
    if (r->n_sources)
        puts(r->abstained ? "\nNearest, but no answer:" : "\nSources:");
    for (size_t i = 0; i < r->n_sources; i++)
        put_source(c, r->sources[i]);
    for (size_t i = 0; i < r->n_missing_shards; i++)
        al_cli_note(c, "shard %u did not answer: the answer is partial",
                    r->missing_shards[i]->shard);
}

int al_cmd_ask(struct al_cli *c)
{
    const char *question = al_cli_one(c, "question");
    if (!question)
        return AL_EXIT_USAGE;
    Airlore__V1__AskRequest r = AIRLORE__V1__ASK_REQUEST__INIT;
    int rc = take_options(c, &r);
    if (rc == AL_EXIT_DONE)
        rc = al_cli_connect(c);
    if (rc != AL_EXIT_DONE)
        return rc;
    r.question = (char *)(uintptr_t)question;
    Airlore__V1__AskResponse *reply = NULL;
    struct al_err err = {.code = AL_OK};
    if (al_client_ask(c->client, &r, &c->arena, &reply, &err) != AL_OK)
        return al_cli_fail(c, &err, false);
    if (c->json)
        al_cli_json_print(stdout, al_cli_json_of(&reply->base));
    else
        put_answer(c, reply);
    return AL_EXIT_DONE;
}
