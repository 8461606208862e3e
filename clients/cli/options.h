/* options.h - the command line, from one table.
 *
 * Options stand before or after the command; `--` ends them. Which command takes which option is
 * said in commands.c.
 *
 * Thread: confined to one thread.
 */
#ifndef AIRLORE_CLI_OPTIONS_H
#define AIRLORE_CLI_OPTIONS_H

#include "airlore/err.h"

/* id, long name, short name or 0, argument or NULL, help */
#define AL_CLI_OPT_MAP(X)                                                                         \
    X(SERVER, "server", 0, "HOST:PORT", "server to talk to (or AIRLORE_SERVER)")                  \
    X(KEY, "key", 0, "KEY", "API key (or AIRLORE_KEY)")                                           \
    X(JSON, "json", 0, NULL, "print one JSON document and nothing else")                          \
    X(TIMEOUT, "timeout", 0, "SECONDS", "give up after this long, default 30")                    \
    X(TLS, "tls", 0, NULL, "use TLS with the system's certificate authorities")                   \
    X(CA, "ca", 0, "FILE", "use TLS; certificate authorities to trust, PEM")                      \
    X(CERT, "cert", 0, "FILE", "own certificate for mutual TLS, PEM")                             \
    X(CERT_KEY, "cert-key", 0, "FILE", "key of the own certificate, PEM")                         \
    X(TLS_NAME, "tls-name", 0, "NAME",                                                            \
      "name in the server's certificate, when not the one dialled")                               \
    X(NO_COLOR, "no-color", 0, NULL, "no colours (or NO_COLOR)")                                  \
    X(QUIET, "quiet", 'q', NULL, "no progress bar, no notes")                                     \
    X(HELP, "help", 'h', NULL, "show help")                                                       \
    X(VERSION, "version", 'V', NULL, "show the version")                                          \
    X(K, "k", 'k', "N", "number of results, 1 to 1000, default 10")                               \
    X(MODE, "mode", 'm', "MODE", "hybrid (default), vector or text")                              \
    X(FILTER, "filter", 'f', "FILTER",                                                            \
      "such as: kind = \"doc\" AND airflow >= \"3.0\" AND tags:\"postgres\"")                     \
    X(EXPLAIN, "explain", 0, NULL, "show how each score came about")                              \
    X(MIN_SCORE, "min-score", 0, "R", "drop hits whose relevance is below R, 0 to 1")             \
    X(AFTER, "after", 0, "TOKEN", "see at least what the write with this token stored")           \
    X(BATCH, "batch", 0, "FILE", "run every query of a JSONL file, - for standard input")         \
    X(SCOPE, "scope", 0, "SCOPE", "only deployment, team or community; may be repeated")          \
    X(ALL_CHUNKS, "all-chunks", 0, NULL, "hits are chunks: a document can come several times")    \
    X(TEXT, "text", 0, NULL, "with whole texts: of the best chunk (search), of the items (list)") \
    X(PARTIAL, "allow-partial", 0, NULL, "answer even when a shard is missing, and say which")    \
    X(FUSION, "fusion", 0, "HOW", "minmax (default) or rrf")                                      \
    X(VECTOR_WEIGHT, "vector-weight", 0, "W", "weight of the vector leg, 0 to 1, default 0.4")    \
    X(EXACT_STATISTICS, "exact-statistics", 0, NULL, "count document frequencies anew")           \
    X(EXACT, "exact", 0, NULL, "compare with every vector (slow; to measure recall)")             \
    X(MIN_RELEVANCE, "min-relevance", 0, "R",                                                     \
      "say \"I do not know\" below this relevance, 0 to 1")                                       \
    X(MAX_SENTENCES, "max-sentences", 0, "N", "longest answer, 1 to 20, default 5")               \
    X(VISIBILITY, "visibility", 0, "WHO",                                                         \
      "deployment, team or community; default: the key's deployment, else its team")              \
    X(DEPLOYMENT, "deployment", 0, "NAME", "deployment, TEAM/NAME or NAME in the own team")       \
    X(SOURCE, "source", 0, "NAME",                                                                \
      "name of where the items come from; default: the folder or file")                           \
    X(DELETE_MISSING, "delete-missing", 0, NULL,                                                  \
      "delete items of the source that are no longer there")                                      \
    X(CHUNKER, "chunker", 0, "NAME", "document (default), fixed, recursive or semantic")          \
    X(TAG, "tag", 0, "TAG", "of a dump: questions with this tag; may be repeated")                \
    X(LIST, "list", 0, "FILE|URL", "also the pages of a list of URLs, one a line")                \
    X(RATE, "rate", 0, "R", "requests a second for each host; default 5, buckets 50")             \
    X(ENDPOINT, "endpoint", 0, "URL", "where the bucket is served (or AWS_ENDPOINT_URL)")         \
    X(REGION, "region", 0, "REGION", "region of the bucket (or AWS_REGION), default us-east-1")   \
    X(ALLOW_PRIVATE, "allow-private", 0, NULL, "follow redirects and lists to private addresses") \
    X(DRY_RUN, "dry-run", 'n', NULL, "say what would happen, store nothing")                      \
    X(FORCE, "force", 0, NULL, "do it even when nothing has changed")                             \
    X(SPACE, "space", 0, "SPACE", "teams/TEAM, teams/TEAM/deployments/NAME or community")         \
    X(LIMIT, "limit", 'l', "N", "at most this many, default 50; 0 for all")                       \
    X(YES, "yes", 'y', NULL, "do not ask")                                                        \
    X(PREVIEW, "preview", 0, NULL, "show what would happen and print its digest")                 \
    X(CONFIRM, "confirm", 0, "DIGEST", "do what the preview with this digest showed")             \
    X(TO, "to", 0, "WHERE", "team or community (default)")                                        \
    X(NAMED, "named", 0, NULL, "show the team's name in the community")                           \
    X(NO_NAMED, "no-named", 0, NULL, "show a pseudonym in the community")                         \
    X(DISPLAY_NAME, "display-name", 0, "TEXT", "name for people")                                 \
    X(TEAM, "team", 0, "TEAM", "team; default: the key's")                                        \
    X(AIRFLOW_URL, "airflow-url", 0, "URL", "where the deployment's Airflow answers")             \
    X(LABEL, "label", 0, "KEY=VALUE", "label; may be repeated")                                   \
    X(WITH_KEY, "with-key", 0, NULL, "create a key that is bound to it, too")                     \
    X(ROLE, "role", 0, "ROLE", "reader, contributor, reviewer or admin; may be repeated")         \
    X(READS, "reads", 0, "TEAM", "further team that the key may read; may be repeated")           \
    X(EXPIRES, "expires", 0, "WHEN", "end of the key's life: 90d, 12h or 2027-01-31T00:00:00Z")   \
    X(CERTIFICATE, "certificate", 0, "FILE",                                                      \
      "no key, but this client certificate (PEM) shall count")                                    \
    X(CERT_SUBJECT, "certificate-subject", 0, "NAME",                                             \
      "no key, but client certificates with this common or URI name")                             \
    X(CERT_SHA256, "certificate-sha256", 0, "HEX",                                                \
      "no key, but the client certificate with this fingerprint")                                 \
    X(ID, "id", 0, "ID", "id to give it; default: a random one")                                  \
    X(ALL, "all", 'a', NULL, "also those that have ended")                                        \
    X(MAX_ITEMS, "max-items", 0, "N", "stored items, or none")                                    \
    X(MAX_BYTES, "max-bytes", 0, "N", "stored bytes of text, or none")                            \
    X(INGEST_BYTES, "max-ingest-bytes-per-day", 0, "N",                                           \
      "bytes of content ingested in a day, or none")                                              \
    X(CALLS_PER_SECOND, "calls-per-second", 0, "R", "calls a second, or none")                    \
    X(ITEMS_PER_SECOND, "items-per-second", 0, "R", "ingested items a second, or none")           \
    X(MAX_CONCURRENT, "max-concurrent-calls", 0, "N", "calls at the same time, or none")          \
    X(MAX_JOBS, "max-jobs", 0, "N", "jobs at the same time, or none")                             \
    X(MAX_LLM_USD, "max-llm-usd", 0, "R", "US dollars of LLM calls a month, or none")             \
    X(MAX_DEPLOYMENTS, "max-deployments", 0, "N", "deployments of a team, or none")               \
    X(CLASS, "class", 0, "CLASS", "maintenance, generation, adr, market, learning or deploy")     \
    X(STATE, "state", 0, "STATE", "queued, running, cancelling, succeeded, failed or cancelled")  \
    X(TYPE, "type", 0, "TYPE", "such as reembed, compact or verify")                              \
    X(SEGMENTS, "segments", 0, NULL, "show the segments of each shard")                           \
    X(DEEP, "deep", 0, NULL, "read every byte anew and embed a sample of the texts again")        \
    X(REPAIR, "repair", 0, NULL, "rebuild damaged segments")                                      \
    X(SHARD, "shard", 0, "N", "this shard only; may be repeated")                                 \
    X(NO_WAIT, "no-wait", 0, NULL, "start the job and do not wait for its end")

enum al_cli_opt {
#define AL_CLI_OPT_ENUM(id_, name_, short_, arg_, help_) AL_OPT_##id_,
    AL_CLI_OPT_MAP(AL_CLI_OPT_ENUM)
#undef AL_CLI_OPT_ENUM
        AL_OPT_COUNT
};

/* The first option that is not global. */
#define AL_OPT_GLOBALS AL_OPT_K

struct al_cli_opt_def {
    const char *name;
    char short_name; /* 0: none */
    const char *arg; /* NULL: a switch */
    const char *help;
};

/* Indexed by enum al_cli_opt. */
extern const struct al_cli_opt_def al_cli_opt_defs[AL_OPT_COUNT];

#define AL_CLI_COMMAND_OPTS 24u
#define AL_CLI_GIVEN_MAX 256u

struct al_cli;

/* One command. words: "search" or "team create". opts: its own options; a zero ends the list, since
 * option 0 is a global one. run NULL: not there yet. */
struct al_cli_command {
    const char *words;
    const char *args;
    const char *brief;
    const char *help; /* more lines, or NULL */
    int (*run)(struct al_cli *c);
    enum al_cli_opt opts[AL_CLI_COMMAND_OPTS];
};

/* What was given. Values are borrowed from argv. */
struct al_cli_args {
    const struct al_cli_command *command; /* NULL: none */
    const char *value[AL_OPT_COUNT];      /* the last one given; "" for a switch; NULL: not given */
    struct {
        enum al_cli_opt opt;
        const char *value;
    } given[AL_CLI_GIVEN_MAX]; /* all, in order */
    size_t n_given;
    char **pos; /* what is no option, after the command */
    int n_pos;
    char
        family[32]; /* the first word, when it is a family such as "team" and no command followed */
};

/* Read the command line. argv is permuted. AL_INVALID_ARGUMENT with a message for people: unknown
 * option, argument missing, unknown command (reason UNKNOWN_COMMAND), too many options. */
AL_NODISCARD enum al_code al_cli_parse(int argc, char **argv, struct al_cli_args *ret,
                                       struct al_err *err);

/* Whether the command takes the option (every command takes the global ones). */
bool al_cli_takes(const struct al_cli_command *cmd, enum al_cli_opt opt);

/* All commands, in the order of the help, and their number. */
extern const struct al_cli_command al_cli_commands[];
extern const size_t al_cli_n_commands;

/* The command with these words, or NULL. */
const struct al_cli_command *al_cli_find(const char *words);

/* Whether some command's first word is this, and a second one is needed. */
bool al_cli_is_family(const char *word);

/* The command or family that looks most like the word, or NULL when none is near. */
const char *al_cli_closest(const char *word);

#endif
