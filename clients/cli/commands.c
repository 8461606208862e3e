/* Every command of `airlore`: the help, the parser and main() read this table. */
#include <string.h>

#include "cli.h"

#define NOT_YET(words_, args_, brief_)     \
    {                                      \
        words_, args_, brief_, NULL, NULL, \
        {                                  \
            0                              \
        }                                  \
    }

const struct al_cli_command al_cli_commands[] = {
    {"ingest",
     "PATH|FILE.jsonl|-|git:URL[@REF]|http(s)://...|s3://...|gs://... ...",
     "store documents: folders, files, archives, repositories, web pages, buckets",
     "Folders are walked without following links: md, rst, html, txt, py, ipynb and pdf files; "
     "hidden "
     "folders,\n"
     "node_modules and __pycache__ are left out. The id of a file is its path inside the folder. "
     "Only what is\n"
     "new or has changed is sent, so an interrupted run goes on where it ended.\n"
     "Archives (tar, zip, 7z): ids are ARCHIVE/path. git:URL[@REF]: a repository at a branch, tag "
     "or "
     "commit.\n"
     "http, https: a page, or a sitemap (*.xml, *.xml.gz); --list FILE: a list of pages. s3://, "
     "gs://: a bucket.\n"
     "Posts.xml, SITE-Posts.7z: threads of a Stack Exchange dump, those with --tag TAG.\n"
     "JSON lines: "
     "{\"id\",\"text\",\"title\"?,\"kind\"?,\"url\"?,\"tags\"?,\"metadata\"?,\"format\"?,"
     "\"vector\"?};\n"
     "- reads them from standard input. A bad line is named with its number, the others are "
     "stored.\n"
     "Prints inserted, updated, skipped, failed, and a token for `search --after`. Exit 1 when "
     "something failed.\n"
     "Files without any text are counted as empty, which is no failure. More: docs/sources.md.",
     al_cmd_ingest,
     {AL_OPT_VISIBILITY, AL_OPT_DEPLOYMENT, AL_OPT_SOURCE, AL_OPT_DELETE_MISSING, AL_OPT_DRY_RUN,
      AL_OPT_FORCE, AL_OPT_CHUNKER, AL_OPT_TAG, AL_OPT_LIST, AL_OPT_RATE, AL_OPT_ENDPOINT,
      AL_OPT_REGION, AL_OPT_ALLOW_PRIVATE}},
    {"search",
     "\"TEXT\"",
     "find the best documents for a text",
     "Batch lines: {\"id\",\"text\",\"filter\"?,\"k\"?}; one answer a line, in their order.",
     al_cmd_search,
     {AL_OPT_K, AL_OPT_MODE, AL_OPT_FILTER, AL_OPT_MIN_SCORE, AL_OPT_EXPLAIN, AL_OPT_SCOPE,
      AL_OPT_AFTER, AL_OPT_BATCH, AL_OPT_TEXT, AL_OPT_ALL_CHUNKS, AL_OPT_FUSION,
      AL_OPT_VECTOR_WEIGHT, AL_OPT_EXACT_STATISTICS, AL_OPT_EXACT, AL_OPT_PARTIAL}},
    {"ask",
     "\"QUESTION\"",
     "answer a question, with numbered sources",
     "Says \"I do not know\" rather than guess.",
     al_cmd_ask,
     {AL_OPT_K, AL_OPT_FILTER, AL_OPT_SCOPE, AL_OPT_MIN_RELEVANCE, AL_OPT_MAX_SENTENCES,
      AL_OPT_AFTER, AL_OPT_PARTIAL}},
    {"get",
     "ID",
     "show one item",
     "Looks in the own spaces first, then in the community.",
     al_cmd_get,
     {AL_OPT_SPACE, AL_OPT_AFTER}},
    {"list",
     "",
     "list items",
     NULL,
     al_cmd_list,
     {AL_OPT_FILTER, AL_OPT_SPACE, AL_OPT_LIMIT, AL_OPT_AFTER, AL_OPT_TEXT}},
    {"delete",
     "ID ... | --filter FILTER",
     "delete items by id, or all that match a filter",
     "With --filter: shows how many match and asks; without a terminal it prints the digest that\n"
     "--confirm DIGEST needs, or goes on at once with --yes.",
     al_cmd_delete,
     {AL_OPT_SPACE, AL_OPT_FILTER, AL_OPT_CONFIRM, AL_OPT_YES}},
    {"promote",
     "ID",
     "share an item with the team or the community",
     "Shows what others would see, secrets replaced; nothing is shared before it is confirmed.",
     al_cmd_promote,
     {AL_OPT_PREVIEW, AL_OPT_CONFIRM, AL_OPT_YES, AL_OPT_TO, AL_OPT_SPACE, AL_OPT_NAMED,
      AL_OPT_NO_NAMED}},
    {"withdraw",
     "ID",
     "take a promoted item back everywhere",
     NULL,
     al_cmd_withdraw,
     {AL_OPT_SPACE}},
    {"team create",
     "TEAM",
     "create a team",
     NULL,
     al_cmd_team_create,
     {AL_OPT_DISPLAY_NAME, AL_OPT_NAMED}},
    {"team list", "", "list the teams", NULL, al_cmd_team_list, {AL_OPT_LIMIT}},
    {"team update",
     "TEAM",
     "change a team",
     NULL,
     al_cmd_team_update,
     {AL_OPT_DISPLAY_NAME, AL_OPT_NAMED, AL_OPT_NO_NAMED}},
    {"team delete",
     "TEAM",
     "delete a team",
     "One that has deployments, keys or items only with --force, which deletes those, too.",
     al_cmd_team_delete,
     {AL_OPT_FORCE}},
    {"deployment create",
     "NAME",
     "create a deployment",
     NULL,
     al_cmd_deployment_create,
     {AL_OPT_TEAM, AL_OPT_DISPLAY_NAME, AL_OPT_AIRFLOW_URL, AL_OPT_LABEL, AL_OPT_WITH_KEY}},
    {"deployment list",
     "",
     "list the deployments",
     NULL,
     al_cmd_deployment_list,
     {AL_OPT_TEAM, AL_OPT_LIMIT}},
    {"deployment update",
     "NAME",
     "change a deployment",
     "NAME of the key's team or --team's, or TEAM/NAME. Labels replace all former ones.",
     al_cmd_deployment_update,
     {AL_OPT_TEAM, AL_OPT_DISPLAY_NAME, AL_OPT_AIRFLOW_URL, AL_OPT_LABEL}},
    {"deployment delete",
     "NAME",
     "delete a deployment",
     "One that has keys or items only with --force, which deletes those, too.",
     al_cmd_deployment_delete,
     {AL_OPT_TEAM, AL_OPT_FORCE}},
    {"key create",
     "",
     "create an API key; it is shown once",
     "The default role is reader. With one of the --certificate options no key is made: calls "
     "with\n"
     "such a client certificate count as this credential.",
     al_cmd_key_create,
     {AL_OPT_TEAM, AL_OPT_DEPLOYMENT, AL_OPT_ROLE, AL_OPT_READS, AL_OPT_DISPLAY_NAME,
      AL_OPT_EXPIRES, AL_OPT_ID, AL_OPT_CERTIFICATE, AL_OPT_CERT_SUBJECT, AL_OPT_CERT_SHA256}},
    {"key list",
     "",
     "list the API keys",
     NULL,
     al_cmd_key_list,
     {AL_OPT_TEAM, AL_OPT_ALL, AL_OPT_LIMIT}},
    {"key revoke", "KEY_ID", "revoke an API key at once", NULL, al_cmd_key_revoke, {AL_OPT_TEAM}},
    {"quota get",
     "[KEY_ID]",
     "show a quota and its use",
     "Of a key (default: the own one), or with --team or --deployment of those.",
     al_cmd_quota_get,
     {AL_OPT_TEAM, AL_OPT_DEPLOYMENT}},
    {"quota set",
     "[KEY_ID]",
     "change a quota",
     "Of a key (default: the own one), or with --team or --deployment of those.\n"
     "What is not named stays; `none` lifts a limit.",
     al_cmd_quota_set,
     {AL_OPT_TEAM, AL_OPT_DEPLOYMENT, AL_OPT_MAX_ITEMS, AL_OPT_MAX_BYTES, AL_OPT_INGEST_BYTES,
      AL_OPT_CALLS_PER_SECOND, AL_OPT_ITEMS_PER_SECOND, AL_OPT_MAX_CONCURRENT, AL_OPT_MAX_JOBS,
      AL_OPT_MAX_LLM_USD, AL_OPT_MAX_DEPLOYMENTS}},
    {"jobs list",
     "",
     "list jobs, newest first",
     NULL,
     al_cmd_jobs_list,
     {AL_OPT_CLASS, AL_OPT_STATE, AL_OPT_TYPE, AL_OPT_LIMIT}},
    {"jobs show", "JOB", "show a job", NULL, al_cmd_jobs_show, {0}},
    {"jobs watch",
     "JOB",
     "follow a job to its end",
     "With --json one line for each change.",
     al_cmd_jobs_watch,
     {0}},
    {"jobs cancel", "JOB", "ask a job to stop", NULL, al_cmd_jobs_cancel, {0}},
    {"jobs pause", "CLASS|all", "start no more jobs of a class", NULL, al_cmd_jobs_pause, {0}},
    {"jobs resume", "CLASS|all", "start jobs of a class again", NULL, al_cmd_jobs_resume, {0}},
    {"cluster status",
     "",
     "health, nodes, shards, items",
     "Exit 1 when the cluster is red.",
     al_cmd_cluster_status,
     {0}},
    {"cluster nodes", "", "list the nodes", NULL, al_cmd_cluster_nodes, {AL_OPT_LIMIT}},
    {"cluster shards",
     "",
     "list the shards",
     NULL,
     al_cmd_cluster_shards,
     {AL_OPT_SEGMENTS, AL_OPT_LIMIT}},
    {"cluster verify",
     "",
     "check that log, store, vectors and postings agree",
     "Exit 1 when something is found that was not repaired.",
     al_cmd_cluster_verify,
     {AL_OPT_SHARD, AL_OPT_DEEP, AL_OPT_REPAIR, AL_OPT_NO_WAIT}},
    {"cluster compact",
     "",
     "merge segments and drop what was deleted",
     NULL,
     al_cmd_cluster_compact,
     {AL_OPT_SHARD, AL_OPT_NO_WAIT}},
    {"cluster reembed",
     "",
     "compute all vectors anew",
     NULL,
     al_cmd_cluster_reembed,
     {AL_OPT_FORCE, AL_OPT_NO_WAIT}},
    NOT_YET("cluster move", "", "move a shard"),
    NOT_YET("cluster drain", "", "move everything off a node"),
    NOT_YET("cluster snapshot", "", "write a snapshot"),
    NOT_YET("cluster restore", "", "restore a snapshot"),
    {"whoami", "", "who the key is and what it may do", NULL, al_cmd_whoami, {0}},
    {"info", "", "what the server is: version, embedder, limits", NULL, al_cmd_info, {0}},
    NOT_YET("fingerprint", "FILE.jsonl", "fingerprints of failures"),
    NOT_YET("templates", "FILE.log", "templates of log lines"),
    NOT_YET("judge", "FILE.py ...", "check DAG files"),
    NOT_YET("generate", "\"REQUEST\"", "generate a DAG"),
    NOT_YET("report", "FILE.jsonl|-", "report runs, fixes and changes"),
    NOT_YET("troubleshoot", "FILE|-", "known fixes for a failure"),
    NOT_YET("predict", "", "will it fail again"),
    NOT_YET("suggest", "", "what to improve"),
    NOT_YET("effectiveness", "", "what has helped"),
    NOT_YET("adr", "", "decision records"),
    NOT_YET("market", "", "shared workflows"),
    NOT_YET("deploy", "", "bundle versions on a deployment"),
    NOT_YET("run", "", "run a DAG"),
    NOT_YET("status", "", "status of a run"),
    NOT_YET("mcp", "", "serve AI assistants"),
    NOT_YET("bench", "", "measure a server"),
};
const size_t al_cli_n_commands = AL_ARRAY_LEN(al_cli_commands);

const struct al_cli_command *al_cli_find(const char *words)
{
    if (strcmp(words, "server") == 0)
        words = "info";
    if (strcmp(words, "job list") == 0)
        words = "jobs list";
    for (size_t i = 0; i < al_cli_n_commands; i++) {
        if (strcmp(al_cli_commands[i].words, words) == 0)
            return &al_cli_commands[i];
    }
    return NULL;
}

bool al_cli_is_family(const char *word)
{
    size_t n = strlen(word);
    for (size_t i = 0; i < al_cli_n_commands; i++) {
        const char *w = al_cli_commands[i].words;
        if (strncmp(w, word, n) == 0 && w[n] == ' ')
            return true;
    }
    return false;
}

#define WORDS_MAX 48u

/* Edit distance of two short words. */
static size_t distance(const char *a, const char *b)
{
    size_t row[WORDS_MAX + 1];
    size_t n = strlen(b);
    if (n > WORDS_MAX || strlen(a) > WORDS_MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < n; j++) {
            size_t best = diagonal + (a[i] == b[j] ? 0 : 1);
            if (row[j + 1] + 1 < best)
                best = row[j + 1] + 1;
            if (row[j] + 1 < best)
                best = row[j] + 1;
            diagonal = row[j + 1];
            row[j + 1] = best;
        }
    }
    return row[n];
}

const char *al_cli_closest(const char *word)
{
    const char *best = NULL;
    size_t best_distance = strlen(word) / 3 + 1;
    for (size_t i = 0; i < al_cli_n_commands; i++) {
        size_t d = distance(word, al_cli_commands[i].words);
        if (d <= best_distance && (!best || d < best_distance)) {
            best = al_cli_commands[i].words;
            best_distance = d;
        }
    }
    return best;
}
