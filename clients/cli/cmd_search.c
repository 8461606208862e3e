/* airlore search, one text or a batch. */
#include <errno.h>
#include <string.h>

#include "json_out.h"
#include "jsonl.h"
#include "names.h"
#include "search_out.h"

#define BATCH_QUERIES_MAX 64u
#define BATCH_K_MAX 10000u
#define K_DEFAULT 10u

static int take_ranking(const struct al_cli *c, Airlore__V1__SearchRequest *r)
{
    double min_score = -1;
    double weight = -1;
    if (!al_cli_double(c, AL_OPT_MIN_SCORE, 0, 1, &min_score) ||
        !al_cli_double(c, AL_OPT_VECTOR_WEIGHT, 0, 1, &weight))
        return AL_EXIT_USAGE;
    if (min_score >= 0) {
        r->_min_score_case = AIRLORE__V1__SEARCH_REQUEST___MIN_SCORE_MIN_SCORE;
        r->min_score = min_score;
    }
    if (weight >= 0) {
        r->_vector_weight_case = AIRLORE__V1__SEARCH_REQUEST___VECTOR_WEIGHT_VECTOR_WEIGHT;
        r->vector_weight = weight;
    }
    const char *fusion = c->args.value[AL_OPT_FUSION];
    if (fusion && strcmp(fusion, "rrf") == 0)
        r->fusion = AIRLORE__V1__FUSION__FUSION_RRF;
    else if (fusion && strcmp(fusion, "minmax") == 0)
        r->fusion = AIRLORE__V1__FUSION__FUSION_MIN_MAX;
    else if (fusion)
        return al_cli_usage(c, "--fusion '%.40s': not one of minmax, rrf", fusion);
    return AL_EXIT_DONE;
}

/* What the options say, for the single search and for each query of a batch. */
static int take_options(struct al_cli *c, Airlore__V1__SearchRequest *r)
{
    airlore__v1__search_request__init(r);
    uint64_t k = 0;
    if (c->args.value[AL_OPT_K]) {
        if (!al_cli_u64(c, AL_OPT_K, 1, 1000, &k))
            return AL_EXIT_USAGE;
        r->_k_case = AIRLORE__V1__SEARCH_REQUEST___K_K;
        r->k = (uint32_t)k;
    }
    if (!al_cli_enum_option(c, AL_OPT_MODE, &airlore__v1__search_mode__descriptor, &r->mode) ||
        !al_cli_scopes(c, &r->n_scopes, &r->scopes))
        return AL_EXIT_USAGE;
    if (c->args.value[AL_OPT_FILTER])
        r->filter = (char *)(uintptr_t)c->args.value[AL_OPT_FILTER];
    if (c->args.value[AL_OPT_AFTER])
        r->after_token = (char *)(uintptr_t)c->args.value[AL_OPT_AFTER];
    r->explain = c->args.value[AL_OPT_EXPLAIN] != NULL;
    r->include_text = c->args.value[AL_OPT_TEXT] != NULL;
    r->all_chunks = c->args.value[AL_OPT_ALL_CHUNKS] != NULL;
    r->allow_partial = c->args.value[AL_OPT_PARTIAL] != NULL;
    r->exact = c->args.value[AL_OPT_EXACT] != NULL;
    if (c->args.value[AL_OPT_EXACT_STATISTICS])
        r->statistics = AIRLORE__V1__STATISTICS__STATISTICS_EXACT;
    return take_ranking(c, r);
}

/* The words after the command as one text, in the arena. */
static char *joined_text(struct al_cli *c)
{
    struct al_buf b;
    al_buf_init(&b, al_arena_mem(&c->arena), 0);
    for (int i = 0; i < c->args.n_pos; i++) {
        if (i)
            al_buf_char(&b, ' ');
        al_buf_cstr(&b, c->args.pos[i]);
    }
    return b.failed ? NULL : b.p;
}

static int search_one(struct al_cli *c, Airlore__V1__SearchRequest *r)
{
    if (c->args.n_pos == 0)
        return al_cli_usage(c, "no text given");
    r->text = joined_text(c);
    if (!r->text || !al_str_is_utf8(al_str_c(r->text)))
        return al_cli_usage(c, "text: not UTF-8");
    int rc = al_cli_connect(c);
    if (rc != AL_EXIT_DONE)
        return rc;
    Airlore__V1__SearchResponse *reply = NULL;
    struct al_err err = {.code = AL_OK};
    if (al_client_search(c->client, r, &c->arena, &reply, &err) != AL_OK)
        return al_cli_fail(c, &err, false);
    if (c->json)
        al_cli_json_print(stdout, al_cli_search_json(NULL, reply));
    else
        al_cli_search_print(c, reply);
    return AL_EXIT_DONE;
}

/* ------------------------------------------------------------------------------------------------------------
 * batch */

struct batch {
    struct al_cli *cli;
    const Airlore__V1__SearchRequest *base;
    struct al_arena arena; /* queries and replies of one call */
    Airlore__V1__BatchSearchQuery *queries[BATCH_QUERIES_MAX];
    size_t n;
    size_t k_sum;
    bool any_bad;
};

static void print_query_error(const struct al_cli *c, const char *id, uint64_t line,
                              const char *reason, const char *message)
{
    if (!c->json) {
        fprintf(stderr, "airlore: query '%s': %s (%s)\n", id ? id : "", message, reason);
        return;
    }
    json_t *o = json_object();
    json_t *e = json_object();
    if (id)
        al_cli_json_set(o, "id", al_cli_json_text(al_str_c(id)));
    if (line)
        al_cli_json_set(o, "line", json_integer((json_int_t)line));
    al_cli_json_set(e, "reason", al_cli_json_text(al_str_c(reason)));
    al_cli_json_set(e, "message", al_cli_json_text(al_str_c(message)));
    al_cli_json_set(o, "error", e);
    al_cli_json_print(stdout, o);
}

static void print_result(struct batch *b, const Airlore__V1__BatchSearchResult *r)
{
    if (r->outcome_case != AIRLORE__V1__BATCH_SEARCH_RESULT__OUTCOME_RESPONSE) {
        bool has = r->outcome_case == AIRLORE__V1__BATCH_SEARCH_RESULT__OUTCOME_ERROR;
        b->any_bad = true;
        print_query_error(b->cli, r->id, 0, has ? r->error->reason : "INTERNAL",
                          has ? r->error->message : "no answer");
        return;
    }
    if (b->cli->json) {
        al_cli_json_print(stdout, al_cli_search_json(r->id, r->response));
        return;
    }
    printf("%s== ", al_cli_style_on(b->cli->term.out_colour, AL_STYLE_CYAN));
    al_cli_put(stdout, al_str_c(r->id));
    printf("%s\n", al_cli_style_on(b->cli->term.out_colour, AL_STYLE_PLAIN));
    al_cli_search_print(b->cli, r->response);
    putchar('\n');
}

static int run_batch(struct batch *b)
{
    if (b->n == 0)
        return AL_EXIT_DONE;
    Airlore__V1__BatchSearchRequest r = AIRLORE__V1__BATCH_SEARCH_REQUEST__INIT;
    r.n_queries = b->n;
    r.queries = b->queries;
    Airlore__V1__BatchSearchResponse *reply = NULL;
    struct al_err err = {.code = AL_OK};
    int rc = AL_EXIT_DONE;
    if (al_client_batch_search(b->cli->client, &r, &b->arena, &reply, &err) != AL_OK) {
        rc = al_cli_fail(b->cli, &err, false);
    } else {
        for (size_t i = 0; i < reply->n_results; i++)
            print_result(b, reply->results[i]);
        fflush(stdout);
    }
    b->n = 0;
    b->k_sum = 0;
    al_arena_reset(&b->arena);
    return rc;
}

static enum al_code take_k(const json_t *o, Airlore__V1__SearchRequest *r, struct al_err *err)
{
    const json_t *k = json_object_get(o, "k");
    if (!k || json_is_null(k))
        return AL_OK;
    json_int_t v = json_integer_value(k);
    if (!json_is_integer(k) || v < 0 || v > 1000000)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_FORMAT", "'k': not a whole number");
    r->_k_case = AIRLORE__V1__SEARCH_REQUEST___K_K;
    r->k = (uint32_t)v;
    return AL_OK;
}

/* Vectors and texts of a query line are read as those of an item. */
static enum al_code fill_query(struct batch *b, json_t *o, Airlore__V1__SearchRequest *r,
                               struct al_err *err)
{
    Airlore__V1__IngestItem *item = NULL;
    const char *filter = NULL;
    if (!json_object_get(o, "id"))
        json_object_set_new(o, "id", json_string("-"));
    AL_TRY(al_cli_jsonl_item(o, &b->arena, &item, err));
    AL_TRY(al_cli_jsonl_text(o, "filter", &filter, err));
    if (item->content_case == AIRLORE__V1__INGEST_ITEM__CONTENT_TEXT)
        r->text = item->text;
    r->vector = item->vector;
    r->n_vector = item->n_vector;
    r->filter = filter ? al_arena_strndup(&b->arena, filter, strlen(filter)) : b->base->filter;
    if (!r->filter)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "query: out of memory");
    return take_k(o, r, err);
}

static enum al_code add_query(struct batch *b, json_t *o, const char **ret_id, struct al_err *err)
{
    const char *id = NULL;
    AL_TRY(al_cli_jsonl_text(o, "id", &id, err));
    if (id)
        *ret_id = al_arena_strndup(&b->arena, id, strlen(id));
    Airlore__V1__BatchSearchQuery *q = al_arena_alloc(&b->arena, sizeof *q);
    Airlore__V1__SearchRequest *r = al_arena_alloc(&b->arena, sizeof *r);
    if (!q || !r || (id && !*ret_id))
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "query: out of memory");
    airlore__v1__batch_search_query__init(q);
    *r = *b->base;
    AL_TRY(fill_query(b, o, r, err));
    if (id)
        q->id = (char *)(uintptr_t)*ret_id;
    q->request = r;
    b->queries[b->n++] = q;
    b->k_sum += r->_k_case == AIRLORE__V1__SEARCH_REQUEST___K_K ? r->k : K_DEFAULT;
    return AL_OK;
}

static int add_line(struct batch *b, struct al_str line, bool whole, uint64_t number)
{
    struct al_err err = {.code = AL_OK};
    json_t *o = NULL;
    const char *id = NULL;
    enum al_code code = whole ? al_cli_jsonl_object(line, &o, &err)
                              : AL_FAIL_R(&err, AL_INVALID_ARGUMENT, "TOO_LARGE", "line: too long");
    if (code == AL_OK)
        code = add_query(b, o, &id, &err);
    json_decref(o);
    if (code == AL_OK) {
        bool full = b->n == BATCH_QUERIES_MAX || b->k_sum + 1000 > BATCH_K_MAX ||
                    al_arena_used(&b->arena) > (1u << 20);
        return full ? run_batch(b) : AL_EXIT_DONE;
    }
    char kept[600];
    snprintf(kept, sizeof kept, "%s", id ? id : "");
    int rc = run_batch(b); /* answers come in the order of the lines */
    if (rc == AL_EXIT_DONE)
        print_query_error(b->cli, id ? kept : NULL, number, err.reason, err.msg);
    b->any_bad = true;
    return rc;
}

static int read_batch(struct batch *b, FILE *f)
{
    struct al_cli_jsonl *lines = al_mem_alloc(NULL, sizeof *lines);
    AL_ASSERT(lines != NULL);
    al_cli_jsonl_init(lines, f);
    int rc = AL_EXIT_DONE;
    struct al_str line;
    bool whole;
    while (rc == AL_EXIT_DONE && al_cli_jsonl_next(lines, &line, &whole))
        rc = add_line(b, line, whole, lines->number);
    if (rc == AL_EXIT_DONE)
        rc = run_batch(b);
    if (lines->is_error) {
        fprintf(stderr, "airlore: batch: %s\n", strerror(errno));
        rc = AL_EXIT_BAD;
    }
    al_cli_jsonl_fini(lines);
    al_mem_free(NULL, lines);
    return rc;
}

static int search_batch(struct al_cli *c, const Airlore__V1__SearchRequest *base)
{
    const char *path = c->args.value[AL_OPT_BATCH];
    if (c->args.n_pos)
        return al_cli_usage(c, "a text and --batch: one of them");
    bool is_stdin = strcmp(path, "-") == 0;
    FILE *f = is_stdin ? stdin : fopen(path, "re");
    if (!f)
        return al_cli_usage(c, "--batch '%s': %s", path, strerror(errno));
    int rc = al_cli_connect(c);
    if (rc == AL_EXIT_DONE) {
        struct batch b = {.cli = c, .base = base};
        al_arena_init(&b.arena, NULL, (size_t)256 << 20);
        rc = read_batch(&b, f);
        al_arena_fini(&b.arena);
        if (rc == AL_EXIT_DONE && b.any_bad)
            rc = AL_EXIT_BAD;
    }
    if (!is_stdin)
        fclose(f);
    return rc;
}

int al_cmd_search(struct al_cli *c)
{
    Airlore__V1__SearchRequest r;
    int rc = take_options(c, &r);
    if (rc != AL_EXIT_DONE)
        return rc;
    return c->args.value[AL_OPT_BATCH] ? search_batch(c, &r) : search_one(c, &r);
}
