/* folds.c - which documents of a corpus fold into each other: airlore-folds CORPUS.jsonl
 *
 * Rows {id, title, text, format}. Prints for each pair whose sketches are alike: the estimate,
 * whether the pair folds, and the two ids, separated by tabs; the counts go to standard error. In
 * each group of equal texts all pairs are printed.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "airlore/document.h"
#include "airlore/sketch.h"

#define DOCUMENTS_MAX 50000u
#define CANDIDATE 0.7 /* as in coordinator/fold.c */

struct document {
    char *id;
    struct al_str body;
    char sketch[AL_SKETCH_CHARS];
};

struct corpus {
    struct al_arena a;
    struct document *docs;
    size_t n;
    size_t n_short;
};

static const char *text_of(const json_t *row, const char *key)
{
    const char *s = json_string_value(json_object_get(row, key));
    return s ? s : "";
}

static enum al_code add(struct corpus *c, const json_t *row, struct al_err *err)
{
    const char *format = text_of(row, "format");
    struct al_document_options opt = {.format = strcmp(format, "md") == 0    ? AL_FORMAT_MARKDOWN
                                                : strcmp(format, "rst") == 0 ? AL_FORMAT_RST
                                                                             : AL_FORMAT_TEXT,
                                      .title = al_str_c(text_of(row, "title"))};
    struct al_str text;
    struct al_document doc;
    AL_TRY(al_arena_str(&c->a, al_str_c(text_of(row, "text")), &text, err));
    AL_TRY(al_document_read(&opt, text, &c->a, &doc, err));
    struct document *d = &c->docs[c->n];
    d->id = al_arena_strndup(&c->a, text_of(row, "id"), strlen(text_of(row, "id")));
    d->body = doc.body;
    if (!d->id)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "corpus: out of memory");
    if (al_sketch_make(d->body, d->sketch))
        c->n++;
    else
        c->n_short++;
    return AL_OK;
}

static enum al_code read_corpus(struct corpus *c, const char *path, struct al_err *err)
{
    FILE *f = fopen(path, "r");
    if (!f)
        return AL_FAIL(err, AL_NOT_FOUND, "file: '%s' cannot be read", path);
    char *line = NULL;
    size_t cap = 0;
    enum al_code code = AL_OK;
    while (code == AL_OK && c->n < DOCUMENTS_MAX && getline(&line, &cap, f) > 0) {
        json_t *row = json_loads(line, 0, NULL);
        code = row ? add(c, row, err)
                   : AL_FAIL(err, AL_INVALID_ARGUMENT, "file: '%s': bad line", path);
        json_decref(row);
    }
    free(line);
    fclose(f);
    return code;
}

static enum al_code compare(struct corpus *c, struct al_err *err)
{
    size_t alike = 0;
    size_t folds = 0;
    for (size_t i = 0; i < c->n; i++) {
        for (size_t k = i + 1; k < c->n; k++) {
            double s = al_sketch_similarity((struct al_str){c->docs[i].sketch, AL_SKETCH_CHARS},
                                            (struct al_str){c->docs[k].sketch, AL_SKETCH_CHARS});
            if (s < CANDIDATE)
                continue;
            struct al_arena a;
            bool fold = false;
            al_arena_init(&a, NULL, (size_t)1 << 30);
            enum al_code code = al_texts_fold(c->docs[i].body, c->docs[k].body, &a, &fold, err);
            al_arena_fini(&a);
            if (code != AL_OK)
                return code;
            printf("%.2f\t%s\t%s\t%s\n", s, fold ? "fold" : "apart", c->docs[i].id, c->docs[k].id);
            alike++;
            folds += fold;
        }
    }
    fprintf(stderr, "folds: %zu documents, %zu too short; %zu pairs alike, %zu fold\n", c->n,
            c->n_short, alike, folds);
    return AL_OK;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: airlore-folds CORPUS.jsonl\n");
        return 2;
    }
    struct corpus c = {.docs = calloc(DOCUMENTS_MAX, sizeof(struct document))};
    struct al_err err = {0};
    al_arena_init(&c.a, NULL, (size_t)4 << 30);
    enum al_code code = c.docs ? read_corpus(&c, argv[1], &err) : AL_RESOURCE_EXHAUSTED;
    if (code == AL_OK)
        code = compare(&c, &err);
    if (code != AL_OK)
        fprintf(stderr, "folds: %s\n", err.msg);
    al_arena_fini(&c.a);
    free(c.docs);
    return code == AL_OK ? 0 : 1;
}
