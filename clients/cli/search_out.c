/* Search results. */
#include "search_out.h"

#include <string.h>

#include "json_out.h"

static void drop_if_empty(json_t *o, const char *name)
{
    json_t *v = json_object_get(o, name);
    bool empty = !v || (json_is_string(v) && json_string_length(v) == 0) ||
                 (json_is_array(v) && json_array_size(v) == 0);
    if (empty)
        json_object_del(o, name);
}

json_t *al_cli_search_json(const char *id, const Airlore__V1__SearchResponse *r)
{
    json_t *doc = json_object();
    if (id)
        al_cli_json_set(doc, "id", al_cli_json_text(al_str_c(id)));
    json_t *hits = json_array();
    for (size_t i = 0; i < r->n_hits; i++) {
        json_t *h = al_cli_json_of(&r->hits[i]->base);
        drop_if_empty(h, "text");
        drop_if_empty(h, "highlights");
        al_cli_json_add(hits, h);
    }
    al_cli_json_set(doc, "hits", hits);
    al_cli_json_set(doc, "relevance", json_real(r->relevance));
    al_cli_json_set(doc, "took_us", json_integer((json_int_t)r->took_us));
    if (r->n_missing_shards) {
        json_t *missing = json_array();
        for (size_t i = 0; i < r->n_missing_shards; i++)
            al_cli_json_add(missing, al_cli_json_of(&r->missing_shards[i]->base));
        al_cli_json_set(doc, "missing_shards", missing);
    }
    if (r->token[0])
        al_cli_json_set(doc, "token", al_cli_json_text(al_str_c(r->token)));
    return doc;
}

const char *al_cli_owner(Airlore__V1__Visibility scope, const Airlore__V1__Owner *o, char *buf,
                         size_t n)
{
    const char *team = o && o->team[0] ? o->team : o ? o->pseudonym : "";
    switch (scope) {
    case AIRLORE__V1__VISIBILITY__VISIBILITY_DEPLOYMENT:
        snprintf(buf, n, "deployment %s/%s", team, o ? o->deployment : "");
        break;
    case AIRLORE__V1__VISIBILITY__VISIBILITY_TEAM:
        snprintf(buf, n, "team %s", team);
        break;
    case AIRLORE__V1__VISIBILITY__VISIBILITY_COMMUNITY:
        snprintf(buf, n, "community%s%s%s", team[0] ? " (" : "", team, team[0] ? ")" : "");
        break;
    case AIRLORE__V1__VISIBILITY__VISIBILITY_UNSPECIFIED:
    case _AIRLORE__V1__VISIBILITY_IS_INT_SIZE:
        buf[0] = '\0';
        break;
    }
    return buf;
}

/* One line of a snippet, with the ranges that lie in it in bold. base: its offset in the snippet.
 */
static void put_marked(bool colour, struct al_str line, size_t base, const Airlore__V1__Hit *h)
{
    size_t at = 0;
    for (size_t i = 0; colour && i < h->n_highlights; i++) {
        size_t from = h->highlights[i]->start;
        size_t to = h->highlights[i]->end;
        if (to <= base + at || from >= base + line.n || from >= to)
            continue;
        from = from < base + at ? at : from - base;
        to = to > base + line.n ? line.n : to - base;
        al_cli_put(stdout, al_str_sub(line, at, from - at));
        fputs(al_cli_style_on(true, AL_STYLE_BOLD), stdout);
        al_cli_put(stdout, al_str_sub(line, from, to - from));
        fputs(al_cli_style_on(true, AL_STYLE_PLAIN), stdout);
        at = to;
    }
    al_cli_put(stdout, al_str_sub(line, at, line.n - at));
    fputc('\n', stdout);
}

static void put_explain(const Airlore__V1__Explain *e)
{
    if (!e)
        return;
    fputs("   why:", stdout);
    if (e->vector)
        printf(" vector %.3f (rank %u)", e->vector->score, e->vector->rank);
    if (e->text)
        printf(" text %.3f (rank %u)", e->text->score, e->text->rank);
    printf(" -> %.3f\n", e->fused);
    if (!e->text || e->text->n_terms == 0)
        return;
    fputs("   terms:", stdout);
    for (size_t i = 0; i < e->text->n_terms && i < 10; i++) {
        putchar(' ');
        al_cli_put(stdout, al_str_c(e->text->terms[i]->term));
        printf(" %.2f", e->text->terms[i]->weight);
    }
    putchar('\n');
}

static void put_hit(const struct al_cli *c, size_t rank, const Airlore__V1__Hit *h)
{
    bool colour = c->term.out_colour;
    const char *plain = al_cli_style_on(colour, AL_STYLE_PLAIN);
    char owner[200];
    printf("%s%2zu. ", al_cli_style_on(colour, AL_STYLE_BOLD), rank);
    al_cli_put(stdout, al_str_c(h->title[0] ? h->title : h->id));
    printf("%s\n   %s", plain, al_cli_style_on(colour, AL_STYLE_DIM));
    al_cli_put(stdout, al_str_c(h->id));
    printf("  %s  ", h->kind);
    al_cli_put(stdout, al_str_c(al_cli_owner(h->scope, h->owner, owner, sizeof owner)));
    printf("  score %.3f  relevance %.2f", h->score, h->relevance);
    if (h->version[0]) {
        fputs("  version ", stdout);
        al_cli_put(stdout, al_str_c(h->version));
    }
    if (h->airflow[0]) {
        fputs("  airflow ", stdout);
        al_cli_put(stdout, al_str_c(h->airflow));
    }
    printf("%s\n", plain);
    struct al_str s = al_str_c(h->text[0] ? h->text : h->snippet);
    struct al_str line;
    for (size_t at = 0; al_cli_wrap(s, (size_t)c->term.width - 3, &at, &line);) {
        if (al_str_trim(line).n == 0)
            continue;
        fputs("   ", stdout);
        if (h->text[0])
            al_cli_put(stdout, line), putchar('\n');
        else
            put_marked(colour, line, (size_t)(line.p - s.p), h);
    }
    if (h->url[0]) {
        printf("   %s", al_cli_style_on(colour, AL_STYLE_CYAN));
        al_cli_put(stdout, al_str_c(h->url));
        printf("%s\n", plain);
    }
    put_explain(h->explain);
}

void al_cli_search_print(const struct al_cli *c, const Airlore__V1__SearchResponse *r)
{
    if (r->n_hits == 0)
        puts("nothing found");
    for (size_t i = 0; i < r->n_hits; i++) {
        if (i)
            putchar('\n');
        put_hit(c, i + 1, r->hits[i]);
    }
    for (size_t i = 0; i < r->n_missing_shards; i++)
        al_cli_note(c, "shard %u did not answer: the result is partial",
                    r->missing_shards[i]->shard);
}
