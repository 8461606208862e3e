/* Any bytes as a file of JSON lines, as `ingest`, `search --batch` read it, and as items. */
#include <stdint.h>

#include "jsonl.h"
#include "walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void one_line(struct al_str line)
{
    struct al_arena a;
    json_t *o = NULL;
    Airlore__V1__IngestItem *item = NULL;
    const char *text = NULL;
    if (al_cli_jsonl_object(line, &o, NULL) != AL_OK)
        return;
    al_arena_init(&a, NULL, 1u << 20);
    if (al_cli_jsonl_item(o, &a, &item, NULL) == AL_OK)
        AL_ASSERT(item->id && item->id[0]);
    if (al_cli_jsonl_text(o, "text", &text, NULL) == AL_OK && text)
        (void)al_cli_media_type(al_str_c(text));
    al_arena_fini(&a);
    json_decref(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct al_cli_jsonl r;
    struct al_buf copy; /* fmemopen wants memory that may be written */
    al_buf_init(&copy, NULL, 1u << 20);
    al_buf_add(&copy, data, size);
    FILE *f = copy.n ? fmemopen(copy.p, copy.n, "rb") : NULL;
    if (f) {
        struct al_str line;
        bool whole = false;
        uint64_t last = 0;
        al_cli_jsonl_init(&r, f);
        while (al_cli_jsonl_next(&r, &line, &whole)) {
            AL_ASSERT(line.n > 0 && r.number > last && r.bytes <= size);
            last = r.number;
            one_line(line);
        }
        al_cli_jsonl_fini(&r);
        fclose(f);
    }
    al_buf_fini(&copy);
    return 0;
}
