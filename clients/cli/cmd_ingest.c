/* airlore ingest */
#include <inttypes.h>
#include <string.h>

#include "airlore/clock.h"
#include "ingest_feed.h"
#include "json_out.h"
#include "names.h"

#define PATHS_MAX 1000

struct command {
    struct al_cli *cli;
    struct al_cli_ingest_totals totals;
    Airlore__V1__IngestOptions options;
    struct al_cli_feed *feeds;
    size_t n_feeds;
    const char **tags; /* --tag */
    uint64_t started_ns;
    bool is_incomplete; /* a folder could not be read in full */
    bool source_failed; /* err is about a source, and not about the server */
    struct al_err err;  /* what ended the run, if anything */
};

/* Every --list, then what stands on the command line. */
static int open_feed(struct command *k, const char *path, bool is_list)
{
    struct al_cli *c = k->cli;
    struct al_err err = {.code = AL_OK};
    struct al_cli_feed_options o = {.with_prefix = c->args.n_pos > 1,
                                    .is_list = is_list,
                                    .show_progress = c->term.err_is_tty && !c->json && !c->quiet,
                                    .endpoint = c->args.value[AL_OPT_ENDPOINT],
                                    .region = c->args.value[AL_OPT_REGION],
                                    .allow_private = c->args.value[AL_OPT_ALLOW_PRIVATE] != NULL};
    const char *tags[AL_CLI_GIVEN_MAX];
    for (size_t i = 0; i < c->args.n_given; i++) {
        if (c->args.given[i].opt == AL_OPT_TAG)
            tags[o.n_tags++] = c->args.given[i].value;
    }
    o.tags = k->tags = al_arena_array(&c->arena, o.n_tags + 1, sizeof *tags);
    AL_ASSERT(o.tags != NULL);
    memcpy(k->tags, tags, o.n_tags * sizeof *tags);
    if (!al_cli_double(c, AL_OPT_RATE, 0.01, 10000, &o.requests_per_second))
        return AL_EXIT_USAGE;
    enum al_code code = al_cli_feed_open(path, &o, &k->feeds[k->n_feeds], &err);
    if (code != AL_OK) {
        fprintf(stderr, "airlore: %s\n", err.msg);
        return code == AL_UNAVAILABLE || code == AL_DEADLINE_EXCEEDED ? AL_EXIT_BAD : AL_EXIT_USAGE;
    }
    k->n_feeds++;
    return AL_EXIT_DONE;
}

static int open_feeds(struct command *k)
{
    struct al_cli *c = k->cli;
    size_t n = (size_t)c->args.n_pos;
    for (size_t i = 0; i < c->args.n_given; i++)
        n += c->args.given[i].opt == AL_OPT_LIST;
    if (n == 0)
        return al_cli_usage(c, "no folder, file or address given");
    if (n > PATHS_MAX)
        return al_cli_usage(c, "more than %d paths", PATHS_MAX);
    k->feeds = al_arena_array(&c->arena, n, sizeof *k->feeds);
    AL_ASSERT(k->feeds != NULL);
    int rc = AL_EXIT_DONE;
    for (size_t i = 0; rc == AL_EXIT_DONE && i < c->args.n_given; i++) {
        if (c->args.given[i].opt == AL_OPT_LIST)
            rc = open_feed(k, c->args.given[i].value, true);
    }
    for (int i = 0; rc == AL_EXIT_DONE && i < c->args.n_pos; i++)
        rc = open_feed(k, c->args.pos[i], false);
    return rc;
}

static int take_options(struct command *k)
{
    struct al_cli *c = k->cli;
    airlore__v1__ingest_options__init(&k->options);
    const char *visibility = c->args.value[AL_OPT_VISIBILITY];
    if (visibility &&
        !al_cli_enum_option(c, AL_OPT_VISIBILITY, &airlore__v1__visibility__descriptor,
                            &k->options.visibility))
        return AL_EXIT_USAGE;
    if (c->args.value[AL_OPT_CHUNKER] &&
        !al_cli_enum_option(c, AL_OPT_CHUNKER, &airlore__v1__chunker__descriptor,
                            &k->options.chunker))
        return AL_EXIT_USAGE;
    k->options.delete_missing = c->args.value[AL_OPT_DELETE_MISSING] != NULL;
    k->options.dry_run = c->args.value[AL_OPT_DRY_RUN] != NULL;
    k->options.force = c->args.value[AL_OPT_FORCE] != NULL;
    const char *source = c->args.value[AL_OPT_SOURCE];
    if (source && (strlen(source) > 1024 || !al_str_is_utf8(al_str_c(source))))
        return al_cli_usage(c, "--source: more than 1024 bytes, or not UTF-8");
    for (size_t i = 0; k->options.delete_missing && !source && i < k->n_feeds; i++) {
        if (k->feeds[i].source[0] == '\0')
            return al_cli_usage(c, "--delete-missing with standard input needs --source NAME");
    }
    return AL_EXIT_DONE;
}

/* Walk all folders, so that the progress line knows the total. */
static int look(struct command *k)
{
    uint64_t items = 0;
    uint64_t bytes = 0;
    bool known = true;
    for (size_t i = 0; i < k->n_feeds; i++) {
        struct al_err err = {.code = AL_OK};
        bool bad = false;
        if (al_cli_feed_look(&k->feeds[i], &k->totals, &bad, &err) != AL_OK)
            return al_cli_fail(k->cli, &err, false);
        k->is_incomplete |= bad;
        items += k->feeds[i].n_items;
        bytes += k->feeds[i].size_bytes;
        known &= k->feeds[i].kind == AL_FEED_FOLDER || k->feeds[i].kind == AL_FEED_FILE;
    }
    al_cli_progress_total(&k->totals.progress, known ? items : 0, bytes);
    return AL_EXIT_DONE;
}

/* The source ended in the middle: what was sent is stored all the same, and nothing is deleted. */
static void end_early(struct command *k, struct al_cli_ingest_run *r)
{
    struct al_err why = {.code = AL_OK};
    r->is_incomplete = true;
    k->source_failed = al_cli_ingest_end(r, &why) == AL_OK; /* else it was the stream */
}

/* One stream for feeds [from, to). */
static enum al_code run_stream(struct command *k, size_t from, size_t to)
{
    const char *source = k->cli->args.value[AL_OPT_SOURCE];
    k->options.source = source ? (char *)(uintptr_t)source : k->feeds[from].source;
    struct al_cli_ingest_run *r = al_mem_zalloc(NULL, sizeof *r);
    AL_ASSERT(r != NULL);
    enum al_code code = al_cli_ingest_begin(r, k->cli, &k->totals, &k->options, &k->err);
    r->is_incomplete = k->is_incomplete;
    for (size_t i = from; code == AL_OK && i < to; i++)
        code = al_cli_feed_send(&k->feeds[i], r, &k->err);
    if (code == AL_OK)
        code = al_cli_ingest_end(r, &k->err);
    else if (r->stream)
        end_early(k, r);
    al_cli_ingest_fini(r);
    al_mem_free(NULL, r);
    return code;
}

static enum al_code run_streams(struct command *k)
{
    if (k->cli->args.value[AL_OPT_SOURCE])
        return run_stream(k, 0, k->n_feeds);
    for (size_t i = 0; i < k->n_feeds; i++)
        AL_TRY(run_stream(k, i, i + 1));
    return AL_OK;
}

static void print_json(struct command *k, bool ended_well)
{
    struct al_cli_ingest_totals *t = &k->totals;
    json_t *o = json_object();
    al_cli_json_set(o, "inserted", json_integer((json_int_t)t->inserted));
    al_cli_json_set(o, "updated", json_integer((json_int_t)t->updated));
    al_cli_json_set(o, "skipped", json_integer((json_int_t)t->skipped));
    al_cli_json_set(o, "empty", json_integer((json_int_t)t->empty));
    al_cli_json_set(o, "failed", json_integer((json_int_t)t->failed));
    al_cli_json_set(o, "deleted", json_integer((json_int_t)t->deleted));
    al_cli_json_set(o, "chunks", json_integer((json_int_t)t->chunks));
    al_cli_json_set(o, "redactions", json_integer((json_int_t)t->redactions));
    al_cli_json_set(o, "errors", json_incref(t->errors));
    if (t->errors_left_out)
        al_cli_json_set(o, "errors_left_out", json_integer((json_int_t)t->errors_left_out));
    al_cli_json_set(o, "token", al_cli_json_text(al_str_c(t->token)));
    if (k->options.dry_run)
        al_cli_json_set(o, "dry_run", json_true());
    if (!ended_well) {
        json_t *e = json_object();
        const char *reason = k->err.reason ? k->err.reason : al_code_name(k->err.code);
        al_cli_json_set(e, "reason", al_cli_json_text(al_str_c(reason)));
        al_cli_json_set(e, "message", al_cli_json_text(al_str_c(k->err.msg)));
        al_cli_json_set(o, "error", e);
    }
    al_cli_json_print(stdout, o);
}

static void print_errors(const struct al_cli *c, const struct al_cli_ingest_totals *t)
{
    size_t shown = json_array_size(t->errors);
    char line[32];
    for (size_t i = 0; i < shown && i < 10; i++) {
        const json_t *e = json_array_get(t->errors, i);
        const char *id = json_string_value(json_object_get(e, "id"));
        const char *number = al_cli_json_at(e, "line", line, sizeof line);
        fprintf(stderr, "  %s%s%s", al_cli_style_on(c->term.err_colour, AL_STYLE_RED),
                number[0] ? "line " : "", number);
        if (id && number[0])
            fputs(", ", stderr);
        al_cli_put(stderr, al_str_c(id ? id : ""));
        fprintf(stderr, "%s: ", al_cli_style_on(c->term.err_colour, AL_STYLE_PLAIN));
        al_cli_put(stderr, al_str_c(json_string_value(json_object_get(e, "message"))));
        fprintf(stderr, " (%s)\n", json_string_value(json_object_get(e, "reason")));
    }
    if (t->failed > 10)
        fprintf(stderr, "  and %" PRIu64 " more; --json lists them\n", t->failed - 10);
}

static void print_summary(struct command *k)
{
    const struct al_cli_ingest_totals *t = &k->totals;
    bool colour = k->cli->term.out_colour;
    char number[32];
    const struct {
        const char *name;
        uint64_t n;
        enum al_cli_style style;
    } rows[] = {{"inserted", t->inserted, AL_STYLE_GREEN},
                {"updated", t->updated, AL_STYLE_GREEN},
                {"skipped", t->skipped, AL_STYLE_DIM},
                {"deleted", t->deleted, AL_STYLE_YELLOW},
                {"failed", t->failed, AL_STYLE_RED}};
    for (size_t i = 0; i < AL_ARRAY_LEN(rows); i++)
        printf("  %s%-9s %12s%s\n", rows[i].n ? al_cli_style_on(colour, rows[i].style) : "",
               rows[i].name, al_cli_number(rows[i].n, number, sizeof number),
               al_cli_style_on(colour, AL_STYLE_PLAIN));
    double s = (double)(al_clock_mono_ns(al_clock_system()) - k->started_ns) / 1e9;
    uint64_t all = t->inserted + t->updated + t->skipped + t->empty + t->failed;
    printf("  in %.1f s, %.0f items/s%s\n", s, s > 0 ? (double)all / s : 0.0,
           k->options.dry_run ? "; a dry run: nothing was stored" : "");
    if (t->empty)
        printf("  %" PRIu64 " files have no text to search in and were left out\n", t->empty);
    if (t->redactions)
        printf("  %" PRIu64 " secrets were replaced before storing\n", t->redactions);
    fflush(stdout);
    print_errors(k->cli, t);
}

static int say_source(const struct command *k)
{
    bool colour = k->cli->term.err_colour;
    fprintf(stderr, "%sairlore:%s ", al_cli_style_on(colour, AL_STYLE_RED),
            al_cli_style_on(colour, AL_STYLE_PLAIN));
    al_cli_put(stderr, al_str_c(k->err.msg));
    fprintf(stderr, " (%s)\n", k->err.reason ? k->err.reason : al_code_name(k->err.code));
    return AL_EXIT_BAD;
}

static int run_command(struct command *k)
{
    int rc = open_feeds(k);
    if (rc == AL_EXIT_DONE)
        rc = take_options(k);
    if (rc == AL_EXIT_DONE)
        rc = al_cli_connect(k->cli);
    if (rc == AL_EXIT_DONE)
        rc = al_cli_deployment_option(k->cli, &k->options.deployment);
    if (rc == AL_EXIT_DONE)
        rc = look(k);
    if (rc != AL_EXIT_DONE)
        return rc;
    enum al_code code = run_streams(k);
    al_cli_progress_fini(&k->totals.progress);
    const struct al_cli_ingest_totals *t = &k->totals;
    bool any = t->inserted + t->updated + t->skipped + t->empty + t->failed > 0;
    if (k->cli->json && (code == AL_OK || any))
        print_json(k, code == AL_OK);
    else if (!k->cli->json && (code == AL_OK || any))
        print_summary(k);
    if (code != AL_OK) {
        rc = k->source_failed ? say_source(k) : al_cli_fail(k->cli, &k->err, true);
        if (any)
            al_cli_note(k->cli, "what was answered is stored; the same command goes on from there");
        return rc;
    }
    return t->failed ? AL_EXIT_BAD : AL_EXIT_DONE;
}

int al_cmd_ingest(struct al_cli *c)
{
    static struct command k;
    k.cli = c;
    k.started_ns = al_clock_mono_ns(al_clock_system());
    pthread_mutex_init(&k.totals.mu, NULL);
    k.totals.errors = json_array();
    al_cli_progress_init(&k.totals.progress, c->term.err_is_tty && !c->json && !c->quiet,
                         c->term.err_colour);
    int rc = run_command(&k);
    for (size_t i = 0; i < k.n_feeds; i++)
        al_cli_feed_close(&k.feeds[i]);
    json_decref(k.totals.errors);
    pthread_mutex_destroy(&k.totals.mu);
    return rc;
}
