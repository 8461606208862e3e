/* Our graph over vectors of real text: the repository's own documents, cut into windows. */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

#include "airlore/embedder.h"
#include "airlore/testing.h"
#include "vector_index.h"

#define WINDOW 30u /* words */
#define STEP 5u
#define QUERY 9u
#define QUERY_STEP 97u
#define WORDS_MAX 200000u
#define K 10u

static struct {
    char *text;
    size_t n_text;
    char *words[WORDS_MAX];
    size_t n_words;
} w;

static int take_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)ftw;
    if (type != FTW_F || !al_str_ends(al_str_c(path), AL_STR(".md")))
        return 0;
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    w.text = realloc(w.text, w.n_text + (size_t)st->st_size + 1);
    assert_non_null(w.text);
    w.n_text += fread(w.text + w.n_text, 1, (size_t)st->st_size, f);
    w.text[w.n_text++] = ' ';
    fclose(f);
    return 0;
}

/* Words as they stand between blanks; the text becomes theirs. */
static void split(void)
{
    bool inside = false;
    w.text[w.n_text - 1] = '\0';
    for (size_t i = 0; i + 1 < w.n_text && w.n_words < WORDS_MAX; i++) {
        bool blank = w.text[i] == ' ' || w.text[i] == '\n' || w.text[i] == '\t';
        if (!blank && !inside)
            w.words[w.n_words++] = w.text + i;
        if (blank)
            w.text[i] = '\0';
        inside = !blank;
    }
}

/* Vector of n words from one on; false when none is known. */
static bool embed(const struct al_embedder *e, size_t from, size_t n, float *ret)
{
    char text[4096] = "";
    size_t at = 0;
    uint32_t tokens = 0;
    struct al_err err = {0};
    for (size_t i = from; i < from + n && i < w.n_words; i++) {
        int len = snprintf(text + at, sizeof text - at, "%s ", w.words[i]);
        if (len < 0 || (size_t)len >= sizeof text - at)
            break;
        at += (size_t)len;
    }
    AL_CHECK_OK(al_embedder_embed(e, (struct al_str){text, at}, ret, &tokens, &err), err);
    return tokens > 0;
}

static void test_recall_on_text(void **state)
{
    (void)state;
    AL_AUTO(al_embedder) e = NULL;
    struct al_err err = {0};
    struct al_index *exact = NULL;
    struct al_index *ix = NULL;
    AL_CHECK_OK(al_embedder_open(al_embedder_builtin(), NULL, &e, &err), err);
    uint32_t dim = al_embedder_dim(e);
    assert_int_equal(nftw(AL_SOURCES "/docs", take_file, 8, FTW_PHYS), 0);
    assert_int_equal(nftw(AL_SOURCES "/examples", take_file, 8, FTW_PHYS), 0);
    split();
    float *rows = calloc((w.n_words / STEP + 1) * dim, sizeof *rows);
    float *query = calloc(dim, sizeof *query);
    assert_true(rows && query);
    uint32_t n = 0;
    for (size_t i = 0; i + WINDOW <= w.n_words; i += STEP)
        n += embed(e, i, WINDOW, rows + (size_t)n * dim);
    assert_true(n > 5000); /* enough for the graph to be used */
    struct al_index_source src = {.rows = rows, .n_rows = n, .dim = dim};
    AL_CHECK_OK(al_index_flat()->build(&src, &exact, &err), err);
    AL_CHECK_OK(al_index_hnsw()->build(&src, &ix, &err), err);
    size_t hits = 0;
    size_t n_queries = 0;
    for (size_t i = 0; i + QUERY <= w.n_words; i += QUERY_STEP) {
        uint32_t want[K];
        uint32_t got[K];
        float scores[K];
        uint32_t found = 0;
        struct al_index_work work = {0};
        struct al_index_query q = {.vector = query, .k = K, .ret_work = &work};
        if (!embed(e, i, QUERY, query))
            continue;
        AL_CHECK_OK(exact->ops->search(exact, &q, want, scores, &found, &err), err);
        AL_CHECK_OK(ix->ops->search(ix, &q, got, scores, &found, &err), err);
        assert_int_equal(work.plan, AL_PLAN_GRAPH);
        assert_int_equal(found, K);
        for (uint32_t a = 0; a < K; a++)
            for (uint32_t b = 0; b < K; b++)
                hits += got[a] == want[b];
        n_queries++;
    }
    double recall = (double)hits / (double)(n_queries * K);
    print_message("%u rows, %zu queries: recall %.4f\n", n, n_queries, recall);
    assert_true(n_queries > 200);
    assert_true(recall >= 0.95);
    exact->ops->destroy(exact);
    ix->ops->destroy(ix);
    free(rows);
    free(query);
    free(w.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_recall_on_text)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
