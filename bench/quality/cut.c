/* cut.c - cut documents as the server does: airlore-cut CHUNKER < FILE.jsonl > OUT.jsonl
 *
 * In: {"id": a file's path, "text"}. Out, one line each:
 * {"id","body","sections":[[start,text,path]], "chunks":[[start,end]]}, offsets in bytes of the
 * body. For bench/quality/chunkers.py.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "airlore/document.h"
#include "airlore/embedder.h"

static json_t *text_of(struct al_str s)
{
    return json_stringn(s.p ? s.p : "", s.n);
}

static json_t *result_of(const char *id, const struct al_document *d)
{
    json_t *sections = json_array();
    json_t *chunks = json_array();
    for (size_t i = 0; i < d->n_sections; i++) {
        const struct al_section *s = &d->sections[i];
        json_array_append_new(sections,
                              json_pack("[iio]", (int)s->start, (int)s->text, text_of(s->path)));
    }
    for (size_t i = 0; i < d->n_chunks; i++)
        json_array_append_new(chunks,
                              json_pack("[ii]", (int)d->chunks[i].start, (int)d->chunks[i].end));
    return json_pack("{ssso so so}", "id", id, "body", text_of(d->body), "sections", sections,
                     "chunks", chunks);
}

static enum al_code cut_line(const json_t *row, enum al_chunker chunker,
                             const struct al_embedder *e, struct al_err *err)
{
    const char *id = json_string_value(json_object_get(row, "id"));
    const char *text = json_string_value(json_object_get(row, "text"));
    if (!id || !text)
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "line: no id or text");
    struct al_arena a;
    struct al_document d;
    al_arena_init(&a, NULL, (size_t)256 << 20);
    struct al_document_options opt = {.format = al_format_of_path(al_str_c(id)),
                                      .path = al_str_c(id),
                                      .chunker = chunker,
                                      .embedder = e};
    enum al_code code = al_document_read(&opt, al_str_c(text), &a, &d, err);
    if (code == AL_OK) {
        json_t *o = result_of(id, &d);
        json_dumpf(o, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(o);
    }
    al_arena_fini(&a);
    return code;
}

static enum al_code cut_all(enum al_chunker chunker, struct al_err *err)
{
    AL_AUTO(al_embedder) e = NULL;
    AL_TRY(al_embedder_open(al_embedder_builtin(), NULL, &e, err));
    char *line = NULL;
    size_t cap = 0;
    enum al_code code = AL_OK;
    while (code == AL_OK && getline(&line, &cap, stdin) > 0) {
        json_t *row = json_loads(line, 0, NULL);
        code = cut_line(row, chunker, e, err);
        json_decref(row);
    }
    free(line);
    return code;
}

int main(int argc, char **argv)
{
    enum al_chunker chunker;
    struct al_err err = {0};
    if (argc != 2 || !al_chunker_of_name(al_str_c(argv[1]), &chunker)) {
        fprintf(stderr, "usage: airlore-cut document|fixed|recursive|semantic < IN > OUT\n");
        return 2;
    }
    if (cut_all(chunker, &err) != AL_OK) {
        fprintf(stderr, "cut: %s\n", err.msg);
        return 1;
    }
    return 0;
}
