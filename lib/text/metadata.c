/* What is found in a finished document: language, topics, Airflow versions, links, quality. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "airlore/analyzer.h"
#include "doc.h"

#define PROSE_BYTES_MAX 4096u /* enough for a language, and the detector is not cheap */
#define VERSIONS_MAX 8u
#define SCAN_BYTES_MAX (2u << 20)

/* Topics: a fixed vocabulary. */
#define TOPICS(X)                               \
    X(TOPIC_SCHEDULER, "scheduler")             \
    X(TOPIC_EXECUTOR, "executor")               \
    X(TOPIC_KUBERNETES, "kubernetes")           \
    X(TOPIC_CELERY, "celery")                   \
    X(TOPIC_SENSORS, "sensors")                 \
    X(TOPIC_DEFERRABLE, "deferrable")           \
    X(TOPIC_XCOM, "xcom")                       \
    X(TOPIC_POOLS, "pools")                     \
    X(TOPIC_CONNECTIONS, "connections")         \
    X(TOPIC_VARIABLES, "variables")             \
    X(TOPIC_ASSETS, "assets")                   \
    X(TOPIC_MIGRATION, "migration")             \
    X(TOPIC_DATABASE, "database")               \
    X(TOPIC_LOGGING, "logging")                 \
    X(TOPIC_SECURITY, "security")               \
    X(TOPIC_SECRETS, "secrets")                 \
    X(TOPIC_TESTING, "testing")                 \
    X(TOPIC_TASKFLOW, "taskflow")               \
    X(TOPIC_DYNAMIC_MAPPING, "dynamic-mapping") \
    X(TOPIC_BACKFILL, "backfill")               \
    X(TOPIC_SCHEDULING, "scheduling")           \
    X(TOPIC_RETRIES, "retries")                 \
    X(TOPIC_CALLBACKS, "callbacks")             \
    X(TOPIC_TEMPLATES, "templates")             \
    X(TOPIC_PROVIDERS, "providers")             \
    X(TOPIC_PLUGINS, "plugins")                 \
    X(TOPIC_REST_API, "rest-api")               \
    X(TOPIC_DOCKER, "docker")                   \
    X(TOPIC_MONITORING, "monitoring")           \
    X(TOPIC_NOTIFICATIONS, "notifications")     \
    X(TOPIC_AWS, "aws")                         \
    X(TOPIC_GCP, "gcp")                         \
    X(TOPIC_AZURE, "azure")                     \
    X(TOPIC_SPARK, "spark")                     \
    X(TOPIC_DBT, "dbt")                         \
    X(TOPIC_DUCKDB, "duckdb")                   \
    X(TOPIC_SLA, "sla")                         \
    X(TOPIC_BRANCHING, "branching")

enum topic {
#define TOPIC_ENUM(id_, name_) id_,
    TOPICS(TOPIC_ENUM)
#undef TOPIC_ENUM
        N_TOPICS,
};

static const char *const topic_names[] = {
#define TOPIC_NAME(id_, name_) name_,
    TOPICS(TOPIC_NAME)
#undef TOPIC_NAME
};

/* Terms of the analyzer and their topics, sorted. */
static const struct topic_word {
    const char *word;
    enum topic topic;
} topic_words[] = {
    {"adl", TOPIC_AZURE},
    {"airflow_upgrad", TOPIC_MIGRATION},
    {"asset", TOPIC_ASSETS},
    {"authent", TOPIC_SECURITY},
    {"aw", TOPIC_AWS},
    {"aws", TOPIC_AWS},
    {"azur", TOPIC_AZURE},
    {"backfil", TOPIC_BACKFILL},
    {"bigqueri", TOPIC_GCP},
    {"boto3", TOPIC_AWS},
    {"branch", TOPIC_BRANCHING},
    {"branchpythonoperator", TOPIC_BRANCHING},
    {"callback", TOPIC_CALLBACKS},
    {"catchup", TOPIC_BACKFILL},
    {"celeri", TOPIC_CELERY},
    {"celeryexecutor", TOPIC_CELERY},
    {"celeryexecutor", TOPIC_EXECUTOR},
    {"conn", TOPIC_CONNECTIONS},
    {"conn_id", TOPIC_CONNECTIONS},
    {"connect", TOPIC_CONNECTIONS},
    {"cosmo", TOPIC_DBT},
    {"cron", TOPIC_SCHEDULING},
    {"dag_test", TOPIC_TESTING},
    {"data_interval", TOPIC_SCHEDULING},
    {"databas", TOPIC_DATABASE},
    {"dataproc", TOPIC_GCP},
    {"dataset", TOPIC_ASSETS},
    {"dbt", TOPIC_DBT},
    {"defer", TOPIC_DEFERRABLE},
    {"deferr", TOPIC_DEFERRABLE},
    {"docker", TOPIC_DOCKER},
    {"docker-compos", TOPIC_DOCKER},
    {"docker_compose", TOPIC_DOCKER},
    {"dockerfil", TOPIC_DOCKER},
    {"duckdb", TOPIC_DUCKDB},
    {"email", TOPIC_NOTIFICATIONS},
    {"emr", TOPIC_AWS},
    {"endpoint", TOPIC_REST_API},
    {"executor", TOPIC_EXECUTOR},
    {"expand", TOPIC_DYNAMIC_MAPPING},
    {"fernet", TOPIC_SECURITY},
    {"flower", TOPIC_CELERY},
    {"gcp", TOPIC_GCP},
    {"gcs", TOPIC_GCP},
    {"grafana", TOPIC_MONITORING},
    {"helm", TOPIC_KUBERNETES},
    {"jinja", TOPIC_TEMPLATES},
    {"k8s", TOPIC_KUBERNETES},
    {"kubernet", TOPIC_KUBERNETES},
    {"kubernetesexecutor", TOPIC_EXECUTOR},
    {"kubernetesexecutor", TOPIC_KUBERNETES},
    {"kubernetespodoperator", TOPIC_KUBERNETES},
    {"localexecutor", TOPIC_EXECUTOR},
    {"log", TOPIC_LOGGING},
    {"logger", TOPIC_LOGGING},
    {"macro", TOPIC_TEMPLATES},
    {"map_index", TOPIC_DYNAMIC_MAPPING},
    {"mapped_task", TOPIC_DYNAMIC_MAPPING},
    {"metadata_db", TOPIC_DATABASE},
    {"metric", TOPIC_MONITORING},
    {"migrat", TOPIC_MIGRATION},
    {"monitor", TOPIC_MONITORING},
    {"mysql", TOPIC_DATABASE},
    {"notif", TOPIC_NOTIFICATIONS},
    {"notifi", TOPIC_NOTIFICATIONS},
    {"oauth", TOPIC_SECURITY},
    {"on_failure_callback", TOPIC_CALLBACKS},
    {"on_success_callback", TOPIC_CALLBACKS},
    {"openapi", TOPIC_REST_API},
    {"opentelemetri", TOPIC_MONITORING},
    {"permiss", TOPIC_SECURITY},
    {"plugin", TOPIC_PLUGINS},
    {"pod", TOPIC_KUBERNETES},
    {"pool", TOPIC_POOLS},
    {"pool_slots", TOPIC_POOLS},
    {"postgr", TOPIC_DATABASE},
    {"postgresql", TOPIC_DATABASE},
    {"prometheus", TOPIC_MONITORING},
    {"provid", TOPIC_PROVIDERS},
    {"pyspark", TOPIC_SPARK},
    {"pytest", TOPIC_TESTING},
    {"rbac", TOPIC_SECURITY},
    {"redshift", TOPIC_AWS},
    {"remote_logging", TOPIC_LOGGING},
    {"rest_api", TOPIC_REST_API},
    {"retri", TOPIC_RETRIES},
    {"retry_delay", TOPIC_RETRIES},
    {"retry_exponential_backoff", TOPIC_RETRIES},
    {"s3", TOPIC_AWS},
    {"schedul", TOPIC_SCHEDULER},
    {"schedule_interval", TOPIC_SCHEDULING},
    {"scheduler_job", TOPIC_SCHEDULER},
    {"schedulerjobrunn", TOPIC_SCHEDULER},
    {"secret", TOPIC_SECRETS},
    {"secur", TOPIC_SECURITY},
    {"sensor", TOPIC_SENSORS},
    {"sla", TOPIC_SLA},
    {"sla_miss", TOPIC_SLA},
    {"slack", TOPIC_NOTIFICATIONS},
    {"smtp", TOPIC_NOTIFICATIONS},
    {"spark", TOPIC_SPARK},
    {"sparksubmitoperator", TOPIC_SPARK},
    {"sqlalchemi", TOPIC_DATABASE},
    {"sqlite", TOPIC_DATABASE},
    {"statsd", TOPIC_MONITORING},
    {"task_group", TOPIC_TASKFLOW},
    {"taskflow", TOPIC_TASKFLOW},
    {"templat", TOPIC_TEMPLATES},
    {"timet", TOPIC_SCHEDULING},
    {"trigger_rule", TOPIC_BRANCHING},
    {"unittest", TOPIC_TESTING},
    {"upgrad", TOPIC_MIGRATION},
    {"variabl", TOPIC_VARIABLES},
    {"vault", TOPIC_SECRETS},
    {"wasb", TOPIC_AZURE},
    {"xcom", TOPIC_XCOM},
    {"xcom_pull", TOPIC_XCOM},
    {"xcom_push", TOPIC_XCOM},
    {"xcomarg", TOPIC_XCOM},
};

/* Counts terms of the vocabulary. */
struct topic_count {
    uint32_t of[N_TOPICS];
    uint32_t total;
    uint32_t lengths[26]; /* by first letter: bit n, a word of n bytes is in the table */
};

static int compare_word(const void *key, const void *entry)
{
    const struct topic_word *w = entry;
    return al_str_cmp(*(const struct al_str *)key, al_str_c(w->word));
}

/* Words of a length that no entry with this first letter has need no search. */
static bool may_be_topic(const struct topic_count *c, struct al_str term)
{
    unsigned first = (unsigned char)term.p[0] - (unsigned)'a';
    return first < 26 && term.n < 32 && c->lengths[first] >> term.n & 1;
}

static void count_term(void *u, const struct al_term *t)
{
    struct topic_count *c = u;
    c->total++;
    if (!may_be_topic(c, t->term))
        return;
    const struct topic_word *w = bsearch(&t->term, topic_words, AL_ARRAY_LEN(topic_words),
                                         sizeof(*topic_words), compare_word);
    if (w)
        c->of[w->topic]++;
}

static void find_topics(struct al_doc *d, struct al_str text)
{
    struct topic_count c = {.total = 0};
    for (size_t i = 0; i < AL_ARRAY_LEN(topic_words); i++)
        c.lengths[topic_words[i].word[0] - 'a'] |= 1u << strlen(topic_words[i].word);
    struct al_analyzer *a = NULL;
    if (al_analyzer_acquire(&a, NULL) != AL_OK) {
        d->failed = true;
        return;
    }
    al_analyzer_run(a, al_str_sub(text, 0, SCAN_BYTES_MAX), count_term, &c);
    al_analyzer_run(a, d->opt->title.n > 0 ? d->opt->title : d->title, count_term, &c);
    al_analyzer_release(a);
    /* at least twice, and once in 250 terms; up to eight, the most frequent first */
    for (size_t k = 0; k < 8; k++) {
        size_t best = 0;
        for (size_t i = 1; i < N_TOPICS; i++)
            if (c.of[i] > c.of[best])
                best = i;
        if (c.of[best] < 2 || c.of[best] * 250u < c.total)
            return;
        al_doc_tag(d, al_str_c(topic_names[best]));
        c.of[best] = 0;
    }
}

/* Prose of the body without its code blocks, for the language. */
static size_t prose(struct al_str body, char *out, size_t max)
{
    bool code = false;
    size_t n = 0;
    for (size_t at = 0; at < body.n && n < max;) {
        size_t end = al_str_find(body, AL_STR("\n"), at);
        end = end == SIZE_MAX ? body.n : end + 1;
        struct al_str line = al_str_sub(body, at, end - at);
        at = end;
        if (al_str_starts(line, AL_STR("```"))) {
            code = !code;
            continue;
        }
        if (code)
            continue;
        line.n = al_str_utf8_floor(line, line.n > max - n ? max - n : line.n);
        memcpy(out + n, line.p, line.n);
        n += line.n;
    }
    return n;
}

static void find_language(struct al_doc *d, struct al_str body)
{
    if (d->lang.n > 0)
        return;
    if (d->opt->format == AL_FORMAT_PYTHON)
        body = al_doc_meta_get(d, "summary");
    char *buf = al_arena_alloc(d->a, PROSE_BYTES_MAX);
    if (!buf) {
        d->failed = true;
        return;
    }
    d->lang = al_str_c(al_lang_detect(buf, prose(body, buf, PROSE_BYTES_MAX)));
}

/* The version number at s[at], "2" to "2.10.3": its length, 0 if there is none. */
static size_t version_len(struct al_str s, size_t at)
{
    size_t n = 0;
    uint32_t dots = 0;
    while (at + n < s.n && n < 12) {
        char c = s.p[at + n];
        bool dot = c == '.' && n > 0 && dots < 2 && at + n + 1 < s.n &&
                   isdigit((unsigned char)s.p[at + n + 1]);
        if (!dot && !isdigit((unsigned char)c))
            break;
        dots += dot;
        n++;
    }
    return n;
}

struct versions {
    char p[VERSIONS_MAX * 20];
    size_t n;
    uint32_t count;
};

static void versions_add(struct versions *v, struct al_str op, struct al_str number)
{
    char one[20];
    if (number.n == 0 || op.n + number.n >= sizeof(one) || v->count >= VERSIONS_MAX)
        return;
    if (number.p[0] < '1' || number.p[0] > '9' || (number.n > 1 && number.p[1] != '.'))
        return; /* 1 to 9, as major version */
    memcpy(one, op.p, op.n);
    memcpy(one + op.n, number.p, number.n);
    struct al_str word = {one, op.n + number.n};
    struct al_str all = {v->p, v->n};
    for (size_t at = 0; (at = al_str_find(all, word, at)) != SIZE_MAX; at++)
        if ((at == 0 || all.p[at - 1] == ' ') &&
            (at + word.n == all.n || all.p[at + word.n] == ','))
            return;
    if (v->n > 0) {
        memcpy(v->p + v->n, ", ", 2);
        v->n += 2;
    }
    memcpy(v->p + v->n, word.p, word.n);
    v->n += word.n;
    v->count++;
}

/* The text behind a mark that announces a version: spaces, an operator, the number. */
static void version_at(struct versions *v, struct al_str s, size_t at, const char *op)
{
    struct al_str sign = al_str_c(op);
    while (at < s.n && (s.p[at] == ' ' || s.p[at] == '[' || s.p[at] == '`' || s.p[at] == ':' ||
                        s.p[at] == 'v' || s.p[at] == '"' || s.p[at] == '\''))
        at++;
    size_t n = 0;
    while (at + n < s.n && n < 2 && strchr("<>=~!", s.p[at + n]))
        n++;
    if (n > 0)
        sign = al_str_is(al_str_sub(s, at, n), "==") ? AL_STR("") : al_str_sub(s, at, n);
    at += n;
    while (at < s.n && s.p[at] == ' ')
        at++;
    versions_add(v, sign, al_str_sub(s, at, version_len(s, at)));
}

static void find_versions(struct al_doc *d)
{
    static const struct {
        const char *mark;
        const char *op;
    } marks[] = {
        {"Airflow ", ""},           {"apache-airflow", ""},   {"apache/airflow:", ""},
        {"airflow_version", ""},    {"AIRFLOW_VERSION=", ""}, {"versionadded::", ">="},
        {"versionchanged::", ">="}, {"deprecated::", ">="},   {"versionremoved::", "<"},
    };
    struct versions v = {.n = 0};
    struct al_str s = al_str_sub(d->source, 0, SCAN_BYTES_MAX);
    for (size_t i = 0; i < AL_ARRAY_LEN(marks); i++) {
        struct al_str mark = al_str_c(marks[i].mark);
        uint32_t seen = 0;
        for (size_t at = 0; seen < 200 && (at = al_str_find(s, mark, at)) != SIZE_MAX; seen++) {
            at += mark.n;
            version_at(&v, s, at, marks[i].op);
        }
    }
    if (al_str_find(s, AL_STR("airflow.sdk"), 0) != SIZE_MAX)
        versions_add(&v, AL_STR(">="), AL_STR("3.0"));
    al_doc_meta(d, AL_STR("airflow"), (struct al_str){v.p, v.n});
}

/* Addresses in running text and code, which no reader knows as links. */
static void find_links(struct al_doc *d, struct al_str body)
{
    for (size_t at = 0; d->n_links < AL_DOC_LINKS_MAX &&
                        (at = al_str_find(body, AL_STR("://"), at)) != SIZE_MAX;) {
        size_t from = at;
        size_t end = at + 3;
        while (from > 0 && at - from < 6 && islower((unsigned char)body.p[from - 1]))
            from--;
        while (end < body.n && (unsigned char)body.p[end] > ' ' &&
               !strchr("\"'`<>|\\{}[]()", body.p[end]))
            end++;
        while (end > at + 3 && strchr(".,;:!?*", body.p[end - 1]))
            end--;
        struct al_str url = al_str_sub(body, from, end - from);
        if (end > at + 6 &&
            (al_str_starts(url, AL_STR("http://")) || al_str_starts(url, AL_STR("https://"))))
            al_doc_link(d, url);
        at = end > at ? end : at + 3;
    }
}

static void join_links(struct al_doc *d)
{
    struct al_buf b;
    al_buf_init(&b, al_arena_mem(d->a), 0);
    for (size_t i = 0; i < d->n_links && b.n < AL_DOC_VALUE_BYTES_MAX - 1100; i++) {
        if (i > 0)
            al_buf_char(&b, ' ');
        al_buf_str(&b, d->links[i]);
    }
    d->failed = d->failed || al_buf_status(&b, NULL) != AL_OK;
    al_doc_meta(d, AL_STR("links"), al_buf_view(&b));
}

static double clamp01(double x)
{
    return x < 0 ? 0 : x > 1 ? 1 : x;
}

/* Quality of a document, 0 to 1: how much there is to learn from its text, not how true it is.
 *
 *   0.40 length     min(1, bytes / 1,500)
 *   0.15 title      the page has one of its own
 *   0.15 structure  min(1, headings / 3); for code: min(1, definitions / 3)
 *   0.10 example    a block of code, or code itself
 *   0.10 described  an author, a date, a version hint or links: a third each, at most 1
 *   0.10 words      share of letters among the bytes that are no white space, from 0.4 (0) to 0.7
 * (1) times 0.5 if it says that it is unfinished in its first 2,000 bytes ("TODO", "TBD", "lorem
 * ipsum"). */
static double quality(const struct al_doc *d, struct al_str body)
{
    size_t letters = 0;
    size_t black = 0;
    for (size_t i = 0; i < body.n; i++) {
        unsigned char c = (unsigned char)body.p[i];
        black += c > ' ';
        letters += isalpha(c) || c >= 0x80;
    }
    if (black == 0)
        return 0;
    bool code = d->opt->format == AL_FORMAT_PYTHON;
    bool example = code || al_str_find(body, AL_STR("```"), 0) != SIZE_MAX;
    int described = (al_doc_meta_get(d, "author").n > 0) + (al_doc_meta_get(d, "date").n > 0) +
                    (al_doc_meta_get(d, "airflow").n > 0) + (d->n_links > 0);
    double q = 0.40 * clamp01((double)body.n / 1500.0);
    q += d->title.n > 0 ? 0.15 : 0;
    q += 0.15 * clamp01((double)d->n_sections / 3.0);
    q += example ? 0.10 : 0;
    q += 0.10 * clamp01((double)described / 3.0);
    q += 0.10 * clamp01(((double)letters / (double)black - 0.4) / 0.3);
    struct al_str head = al_str_sub(body, 0, 2000);
    if (al_str_find(head, AL_STR("TODO"), 0) != SIZE_MAX ||
        al_str_find(head, AL_STR("TBD"), 0) != SIZE_MAX ||
        al_str_find(head, AL_STR("orem ipsum"), 0) != SIZE_MAX)
        q *= 0.5;
    return clamp01(q);
}

void al_metadata_find(struct al_doc *d)
{
    struct al_str body = al_buf_view(&d->body);
    find_language(d, body);
    find_topics(d, body);
    find_versions(d);
    find_links(d, body);
    join_links(d);
    char *q = al_arena_printf(d->a, "%.2f", quality(d, body));
    if (q)
        al_doc_meta(d, AL_STR("quality"), al_str_c(q));
    else
        d->failed = true;
}
