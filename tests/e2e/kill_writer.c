/* kill_writer.c - the client side of the kill -9 campaign (kill_test.py).
 *
 * write SERVER KEY SEED FIRST   puts, updates and deletes until the server is gone. Before each
 * change it prints "try put ID N" or "try del ID", after its acknowledgement "ack put ID N" or "ack
 * del ID". check SERVER KEY              reads ids from standard input; prints "ID N", or "ID -"
 * for one that is not there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "airlore/client.h"
#include "airlore/random.h"

#define BATCH 40u
#define IDS 400u

struct writer {
    struct al_client *client;
    struct al_seeded_random random;
    uint64_t next;        /* value of the next put */
    uint64_t batch_first; /* value of the first item of the stream */
};

static void say(const char *fmt, ...) AL_PRINTF(1, 2);

/* One line, one write: lines of two threads do not mix, and nothing waits in a buffer when the
 * process dies. */
static void say(const char *fmt, ...)
{
    char line[256];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    if (n > 0 && write(STDOUT_FILENO, line, (size_t)n) != n)
        _exit(1);
}

static void on_result(void *u, const Airlore__V1__IngestResult *r)
{
    (void)u;
    if (r->outcome == AIRLORE__V1__INGEST_OUTCOME__INGEST_OUTCOME_FAILED)
        say("fail put %s %llu %s\n", r->id, (unsigned long long)r->sequence,
            r->error ? r->error->reason : "");
    else
        say("ack put %s %llu\n", r->id, (unsigned long long)r->sequence);
}

static enum al_code put_batch(struct writer *w, struct al_client_ingest *s, struct al_err *err)
{
    static Airlore__V1__IngestItem items[BATCH];
    static char ids[BATCH][32];
    static char texts[BATCH][96];
    Airlore__V1__IngestItem *list[BATCH];
    for (size_t i = 0; i < BATCH; i++) {
        Airlore__V1__IngestItem *m = &items[i];
        airlore__v1__ingest_item__init(m);
        snprintf(ids[i], sizeof ids[i], "k%llu",
                 (unsigned long long)al_random_below(&w->random.random, IDS));
        snprintf(texts[i], sizeof texts[i], "value %llu of a record about leases and shards",
                 (unsigned long long)w->next);
        m->id = ids[i];
        m->content_case = AIRLORE__V1__INGEST_ITEM__CONTENT_TEXT;
        m->text = texts[i];
        m->sequence = w->next++;
        say("try put %s %llu\n", m->id, (unsigned long long)m->sequence);
        list[i] = m;
    }
    return al_client_ingest_add(s, list, BATCH, err);
}

static enum al_code put_some(struct writer *w, struct al_err *err)
{
    Airlore__V1__IngestOptions options = AIRLORE__V1__INGEST_OPTIONS__INIT;
    struct al_client_ingest_options o = {.options = &options, .on_result = on_result};
    struct al_client_ingest *s = NULL;
    struct al_client_ingest_summary sum;
    enum al_code c = al_client_ingest_open(w->client, &o, &s, err);
    for (uint64_t n = 1 + al_random_below(&w->random.random, 6); c == AL_OK && n; n--)
        c = put_batch(w, s, err);
    if (c == AL_OK)
        c = al_client_ingest_finish(s, true, &sum, err);
    al_client_ingest_close(s);
    return c;
}

static enum al_code delete_some(struct writer *w, struct al_arena *a, struct al_err *err)
{
    for (int i = 0; i < 5; i++) {
        char id[32];
        Airlore__V1__DeleteItemRequest r = AIRLORE__V1__DELETE_ITEM_REQUEST__INIT;
        Airlore__V1__DeleteItemResponse *out;
        snprintf(id, sizeof id, "k%llu",
                 (unsigned long long)al_random_below(&w->random.random, IDS));
        r.id = id;
        r.allow_missing = true;
        say("try del %s\n", id);
        AL_TRY(al_client_delete_item(w->client, &r, a, &out, err));
        say("ack del %s\n", id);
    }
    return AL_OK;
}

static int write_until_gone(struct al_client *client, uint64_t seed, uint64_t first)
{
    struct writer w = {.client = client, .next = first};
    struct al_err err = {0};
    struct al_arena a;
    al_seeded_random_init(&w.random, seed);
    al_arena_init(&a, NULL, 1 << 20);
    enum al_code c = AL_OK;
    while (c == AL_OK) {
        al_arena_reset(&a);
        c = put_some(&w, &err);
        if (c == AL_OK)
            c = delete_some(&w, &a, &err);
    }
    al_arena_fini(&a);
    say("end %s\n", al_code_name(c));
    return c == AL_UNAVAILABLE || c == AL_UNKNOWN || c == AL_CANCELLED ? 0 : 1;
}

static int check(struct al_client *client)
{
    char line[64];
    struct al_arena a;
    al_arena_init(&a, NULL, 16 << 20);
    while (fgets(line, sizeof line, stdin)) {
        struct al_err err = {0};
        Airlore__V1__GetItemRequest r = AIRLORE__V1__GET_ITEM_REQUEST__INIT;
        Airlore__V1__GetItemResponse *out;
        unsigned long long n = 0;
        line[strcspn(line, "\n")] = '\0';
        r.id = line;
        al_arena_reset(&a);
        enum al_code c = al_client_get_item(client, &r, &a, &out, &err);
        if (c == AL_NOT_FOUND)
            say("%s -\n", line);
        else if (c == AL_OK && sscanf(out->item->text, "value %llu of", &n) == 1)
            say("%s %llu\n", line, n);
        else
            say("%s error %s\n", line, c == AL_OK ? "text is not what was written" : err.msg);
    }
    al_arena_fini(&a);
    return 0;
}

int main(int argc, char **argv)
{
    struct al_err err = {0};
    uint64_t seed = 0;
    uint64_t first = 0;
    bool writes = argc == 6 && strcmp(argv[1], "write") == 0 &&
                  al_str_u64(al_str_c(argv[4]), &seed) && al_str_u64(al_str_c(argv[5]), &first);
    if (!writes && !(argc == 4 && strcmp(argv[1], "check") == 0)) {
        fprintf(stderr, "usage: kill_writer write SERVER KEY SEED FIRST | check SERVER KEY\n");
        return 2;
    }
    AL_AUTO(al_client) client = NULL;
    struct al_client_options o = {.server = argv[2], .key = argv[3], .retry_ms = 1};
    if (al_client_create(&o, &client, &err) != AL_OK) {
        fprintf(stderr, "kill_writer: %s\n", err.msg);
        return 2;
    }
    return writes ? write_until_gone(client, seed, first) : check(client);
}
