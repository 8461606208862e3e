/* Any bytes as a sealed segment, and a good one with any edits and right checksums: refused, or
 * safe to search, or DATA_LOSS while searching. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "manifest.h"
#include "sealed.h"

#define DIM 4u
#define N_DOCS 160u /* a term of all chunks has two packed blocks and a rest */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A disk whose every file is the input. */
static const uint8_t *input;
static size_t input_size;

static enum al_code map_input(struct al_disk *d, const char *path, struct al_map *ret,
                              struct al_err *err)
{
    (void)d;
    (void)path;
    (void)err;
    *ret = (struct al_map){input, input_size};
    return AL_OK;
}

static void unmap_input(struct al_disk *d, struct al_map *m)
{
    (void)d;
    (void)m;
}

static struct al_disk_ops input_ops;
static struct al_disk input_disk = {&input_ops};
static struct al_buf good;
static char dir[64];

static struct al_doc doc_of(uint32_t i, char *body, struct al_chunk chunks[2],
                            float vectors[2 * DIM])
{
    int n = snprintf(body, 128, "pool slot%u sensor dag word%u pool pool xcom%u", i, i % 3, i % 7);
    chunks[0] = (struct al_chunk){0, 10, AL_STR("A")};
    chunks[1] = (struct al_chunk){10, (uint32_t)n, AL_STR("")};
    for (uint32_t k = 0; k < 2 * DIM; k++)
        vectors[k] = (i + k) % 5 == 0 ? 1.0f : 0.1f;
    return (struct al_doc){.space = 1 + i % 3,
                           .id = {body + 5, 4 + i % 3},
                           .docno = (uint64_t)(i + 1) << 20,
                           .visibility = AL_VIS_TEAM,
                           .kind = AL_STR("doc"),
                           .embedder_id = AL_STR("e"),
                           .body = {body, (size_t)n},
                           .chunks = chunks,
                           .n_chunks = 2,
                           .vectors = i % 4 ? vectors : NULL};
}

static enum al_code each(void *u, uint64_t first, uint64_t last,
                         enum al_code (*visit)(void *v, const struct al_doc *d, struct al_err *err),
                         void *v, struct al_err *err)
{
    (void)u;
    (void)first;
    (void)last;
    for (uint32_t i = 0; i < N_DOCS; i++) {
        char body[128];
        struct al_chunk chunks[2];
        float vectors[2 * DIM];
        struct al_doc d = doc_of(i, body, chunks, vectors);
        AL_TRY(visit(v, &d, err));
    }
    return AL_OK;
}

static struct al_segset_options options(struct al_disk *disk)
{
    return (struct al_segset_options){
        .dir = dir, .dim = DIM, .embedder_id = "e", .scan_rows_max = 4, .disk = disk};
}

static enum al_code read_one(void *u, const struct al_disk_entry *e, struct al_err *err)
{
    char path[512];
    (void)u;
    snprintf(path, sizeof path, "%s/%s", dir, e->name);
    return al_disk_read_file(al_disk_system(), path, &good, err);
}

static void make_good(void)
{
    struct al_segset *g = NULL;
    struct al_built *b = NULL;
    struct al_err err = {0};
    struct al_doc_source src = {each, NULL};
    struct al_segset_options opt = options(NULL);
    snprintf(dir, sizeof dir, "/tmp/segment-fuzz-%ld", (long)getpid());
    al_buf_init(&good, NULL, 0);
    AL_ASSERT(al_segset_create(&opt, &g, &err) == AL_OK);
    AL_ASSERT(al_segset_build(g, &src, 0, N_DOCS, NULL, NULL, &b, &err) == AL_OK);
    AL_ASSERT(al_disk_system()->ops->list(al_disk_system(), dir, read_one, NULL, &err) == AL_OK);
    al_segset_discard(b);
    al_segset_destroy(g);
    AL_ASSERT(al_disk_remove_tree(al_disk_system(), dir, &err) == AL_OK);
    input_ops = *al_disk_system()->ops;
    input_ops.map = map_input;
    input_ops.unmap = unmap_input;
}

static bool is_expected(enum al_code c)
{
    return c == AL_OK || c == AL_DATA_LOSS || c == AL_RESOURCE_EXHAUSTED ||
           c == AL_FAILED_PRECONDITION;
}

static void search(struct al_segset *g)
{
    static const uint32_t spaces[] = {1, 2, 3};
    static const float vector[DIM] = {1, 0, 0, 0};
    const struct al_str terms[] = {AL_STR("pool"), AL_STR("slot7"), AL_STR("dag")};
    const float weights[] = {1, 2, 3};
    struct al_arena a;
    struct al_err err;
    struct al_leg_query q = {.spaces = spaces,
                             .n_spaces = 3,
                             .vector = vector,
                             .terms = terms,
                             .term_weights = weights,
                             .n_terms = 3,
                             .avg_terms = 5,
                             .k1 = 0.9f,
                             .b = 0.4f,
                             .depth = 8,
                             .deadline_ns = AL_DEADLINE_NONE};
    struct al_candidates got = {0};
    struct al_term_stats st;
    struct al_buf problems;
    uint64_t checked;
    al_arena_init(&a, NULL, 8u << 20);
    al_buf_init(&problems, NULL, 0);
    AL_ASSERT(is_expected(al_segset_legs(g, &q, &a, &got, &err)));
    AL_ASSERT(al_filter_compile(AL_STR("kind = doc"), &a, &q.filter, &err) == AL_OK);
    AL_ASSERT(is_expected(al_segset_legs(g, &q, &a, &got, &err)));
    q.depth = 200;
    q.n_terms = 1; /* all postings of the longest list */
    AL_ASSERT(is_expected(al_segset_legs(g, &q, &a, &got, &err)));
    q.n_terms = 3;
    AL_ASSERT(is_expected(al_segset_stats(g, spaces + 1, 1, terms, 3, &a, &st, &err)));
    for (size_t i = 0; i < got.n_vector; i++) {
        struct al_candidate *one[] = {&got.vector[i]};
        AL_ASSERT(is_expected(al_segset_score(g, &q, one, 1, &err)));
    }
    for (uint64_t i = 0; i < 3; i++) { /* counts of the dead: first, one more, many */
        for (uint64_t doc = i * i * 20; doc < (i + 1) * (i + 1) * 20 && doc < N_DOCS; doc++)
            if (i > 0 || doc == 0)
                (void)al_segset_remove(g, 1 + (uint32_t)doc % 3, (doc + 1) << 20);
        AL_ASSERT(is_expected(al_segset_stats(g, spaces, 3, terms, 3, &a, &st, &err)));
        AL_ASSERT(is_expected(al_segset_stats(g, spaces, 2, terms, 3, &a, &st, &err)));
        AL_ASSERT(is_expected(al_segset_legs(g, &q, &a, &got, &err)));
    }
    AL_ASSERT(al_segset_verify_files(g, &problems, &checked, &err) == AL_OK);
    al_buf_fini(&problems);
    al_arena_fini(&a);
}

static void try_load(const uint8_t *p, size_t n)
{
    struct al_segset_options opt = options(&input_disk);
    struct al_segset *g = NULL;
    struct al_err err = {0};
    struct al_seg_footer f;
    struct al_buf entry;
    input = p;
    input_size = n;
    al_buf_init(&entry, NULL, 0);
    if (al_seg_footer_decode(p, n, &f, &err) != AL_OK)
        f = (struct al_seg_footer){.last = 1};
    snprintf(dir, sizeof dir, "/tmp");
    AL_ASSERT(al_segset_create(&opt, &g, &err) == AL_OK);
    al_manifest_entry_encode(
        &(struct al_manifest_entry){f.first, f.last, f.content_hash, AL_STR("x.seg")}, &entry);
    enum al_code code = al_segset_load(g, al_buf_view(&entry), &err);
    AL_ASSERT(is_expected(code));
    if (code == AL_OK)
        search(g);
    al_segset_destroy(g);
    al_buf_fini(&entry);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!good.p)
        make_good();
    size_t n = (good.n > size ? good.n : size) / 64 * 64 + 64;
    uint8_t *copy = aligned_alloc(64, n);
    AL_ASSERT(copy != NULL);
    if (size)
        memcpy(copy, data, size);
    al_seg_forge(copy, size);
    try_load(copy, size);
    memcpy(copy, good.p, good.n);
    for (size_t i = 0; i + 3 <= size; i += 3) /* edits: place, value */
        copy[((size_t)data[i] << 8 | data[i + 1]) % good.n] = data[i + 2];
    al_seg_forge(copy, good.n);
    try_load(copy, good.n);
    free(copy);
    return 0;
}
