/* Searching through the graph: always as many hits as there are, never one that is not allowed, and
 * good ones. */
#include "segset_fixture.h"
#include "segset_impl.h"

#define N 480u

static struct fix f;

static int setup(void **state)
{
    (void)state;
    fix_init(&f, 31, N);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fix_fini(&f);
    return 0;
}

static struct al_segset *sealed_by(const struct al_index_factory *index, uint64_t pieces)
{
    struct al_segset_options opt = fix_options(&f);
    opt.scan_rows_max = 1;
    opt.index = index;
    struct al_segset *g = fix_create(&opt);
    for (size_t i = 0; i < f.n_docs; i++)
        fix_put(g, &f.docs[i]);
    for (uint64_t i = 0; i < pieces; i++)
        fix_seal(&f, g, i * N / pieces, (i + 1) * N / pieces);
    return g;
}

static struct al_segset *sealed_with_graph(uint64_t pieces)
{
    return sealed_by(NULL, pieces);
}

static void check_graph(struct al_segset *g, uint32_t ef, double min_recall)
{
    static struct al_candidate want[FIX_DOCS_MAX * FIX_CHUNKS_MAX];
    size_t hits = 0;
    size_t possible = 0;
    for (int round = 0; round < 60; round++) {
        struct al_arena a;
        struct al_err e = {0};
        struct al_candidates got;
        al_arena_init(&a, NULL, 64u << 20);
        struct al_leg_query q = fix_query(&f, &a);
        q.exact = false;
        q.n_terms = 0;
        q.ef = ef;
        q.depth = 10;
        AL_CHECK_OK(al_segset_legs(g, &q, &a, &got, &e), e);
        size_t n = fix_rank(&f, &q, true, want);
        n = n < q.depth ? n : q.depth;
        assert_int_equal(got.n_vector, n);
        possible += n;
        for (size_t i = 0; i < n; i++) {
            const struct fix_doc *d = &f.docs[(got.vector[i].docno >> 20) - 1];
            assert_true(fix_sees(&q, d));
            float score =
                al_dot(q.vector, d->doc.vectors + (size_t)got.vector[i].chunk * FIX_DIM, FIX_DIM);
            assert_memory_equal(&score, &got.vector[i].vector_score, sizeof score);
            for (size_t k = 0; k < n; k++)
                hits +=
                    want[k].docno == got.vector[i].docno && want[k].chunk == got.vector[i].chunk;
        }
        al_arena_fini(&a);
    }
    double recall = (double)hits / (double)possible;
    if (recall < min_recall)
        fail_msg("recall %.4f", recall);
}

static void test_graph_finds_as_many_as_there_are(void **state)
{
    (void)state;
    struct al_segset *g = sealed_with_graph(1);
    check_graph(g, 0, 0.95);
    check_graph(g, 1, 0.3); /* a beam of one still fills the list */
    for (size_t i = 0; i < f.n_docs; i += 2) {
        (void)al_segset_remove(g, f.docs[i].doc.space, f.docs[i].doc.docno);
        f.docs[i].live = false;
    }
    check_graph(g, 0, 0.95);
    for (size_t i = 0; i < f.n_docs; i++) {
        if (i % 50 == 7)
            continue;
        (void)al_segset_remove(g, f.docs[i].doc.space, f.docs[i].doc.docno);
        f.docs[i].live = false;
    }
    check_graph(g, 0, 0.95);
    al_segset_destroy(g);
}

static void test_graphs_of_many_segments(void **state)
{
    (void)state;
    struct al_segset *g = sealed_with_graph(4);
    check_graph(g, 0, 0.95);
    fix_compare(&f, g, "exact beside graphs", 20);
    struct al_segset_status st;
    al_segset_get_status(g, &st);
    assert_int_equal(st.n_sealed, 4);
    assert_true(st.file_bytes > 4096 && st.memory_bytes > 0);
    al_segset_destroy(g);
}

/* Another set over the files of g, with the default index. */
static struct al_segset *reopened(struct al_segset *g)
{
    struct al_segset_options opt = fix_options(&f);
    struct al_buf manifest;
    struct al_arena a;
    struct al_str *entries;
    size_t n;
    struct al_err e = {0};
    opt.scan_rows_max = 1;
    opt.index = NULL;
    al_buf_init(&manifest, NULL, 0);
    al_arena_init(&a, NULL, 1u << 20);
    AL_CHECK_OK(al_segset_manifest(g, &manifest, &e), e);
    AL_CHECK_OK(al_segset_manifest_split(al_buf_view(&manifest), &a, &entries, &n, &e), e);
    struct al_segset *other = fix_create(&opt);
    for (size_t i = 0; i < n; i++)
        AL_CHECK_OK(al_segset_load(other, entries[i], &e), e);
    al_arena_fini(&a);
    al_buf_fini(&manifest);
    return other;
}

/* A segment is served by the back end that wrote it, also where that is not the default; what is
 * built from it then is the default's. */
static void test_segments_of_other_back_ends(void **state)
{
    (void)state;
    const struct al_index_factory *all[] = {al_index_flat(), al_index_named("hnsw")};
    for (size_t i = 0; i < AL_ARRAY_LEN(all); i++) {
        if (!all[i]) /* built without FAISS */
            continue;
        struct al_segset *old = sealed_by(all[i], 2);
        struct al_segset *g = reopened(old);
        al_segset_destroy(old);
        assert_int_equal(g->view->n_sealed, 2);
        for (size_t k = 0; k < 2; k++) {
            const struct al_sealed *s = g->view->sealed[k];
            assert_string_equal(s->footer.index_name, all[i]->name);
            assert_non_null(s->index);
            assert_ptr_equal(s->index->ops, s->seg.index->ops);
        }
        check_graph(g, 0, 0.95);
        fix_seal(&f, g, 0, N);
        assert_int_equal(g->view->n_sealed, 1);
        assert_string_equal(g->view->sealed[0]->footer.index_name, al_index_hnsw()->name);
        check_graph(g, 0, 0.95);
        al_segset_destroy(g);
    }
}

/* Graphs are copied within the limit, and searched as before. */
static void test_copies_of_graphs_are_bounded(void **state)
{
    (void)state;
    struct al_segset *g = sealed_with_graph(4);
    uint64_t one = 0;
    uint64_t all = 0;
    for (size_t i = 0; i < 4; i++) {
        uint64_t n = g->view->sealed[i]->footer.sections[AL_SECTION_GRAPH].bytes;
        one = n > one ? n : one;
        all += n;
    }
    assert_int_equal(al_segset_copy_graphs(g, 0), 0);
    if (al_segset_copy_graphs(g, one) == 0) { /* a machine without large pages: nothing to gain */
        assert_int_equal(al_segset_copy_graphs(g, UINT64_MAX), 0);
    } else {
        assert_int_equal(al_segset_copy_graphs(g, one), one); /* the largest, and it stays */
        uint64_t held = al_segset_copy_graphs(g, all - 1);
        assert_true(held > one && held < all);
        assert_int_equal(al_segset_copy_graphs(g, UINT64_MAX), all);
        assert_int_equal(al_segset_copy_graphs(g, one), all);
    }
    check_graph(g, 0, 0.95);
    al_segset_destroy(g);
}

/* Nothing of a space that was not asked for, whatever the spaces, the leg and the way it is found.
 */
static void test_spaces_are_isolated(void **state)
{
    (void)state;
    struct al_segset *g = sealed_with_graph(2);
    for (uint64_t i = 0; i < 30; i++)
        fix_put(g, fix_add_doc(&f, N + 1 + i, "static-256"));
    for (int round = 0; round < 200; round++) {
        struct al_arena a;
        struct al_err e = {0};
        struct al_candidates got;
        al_arena_init(&a, NULL, 64u << 20);
        struct al_leg_query q = fix_query(&f, &a);
        q.exact = fix_below(&f, 2);
        q.filter = NULL;
        AL_CHECK_OK(al_segset_legs(g, &q, &a, &got, &e), e);
        for (size_t leg = 0; leg < 2; leg++) {
            const struct al_candidate *c = leg ? got.text : got.vector;
            size_t n = leg ? got.n_text : got.n_vector;
            for (size_t i = 0; i < n; i++) {
                bool asked = false;
                for (size_t s = 0; s < q.n_spaces; s++)
                    asked = asked || q.spaces[s] == c[i].space;
                assert_true(asked);
            }
        }
        if (q.n_spaces == 0)
            assert_int_equal(got.n_text + got.n_vector, 0);
        al_arena_fini(&a);
    }
    al_segset_destroy(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_graph_finds_as_many_as_there_are, setup, teardown),
        cmocka_unit_test_setup_teardown(test_graphs_of_many_segments, setup, teardown),
        cmocka_unit_test_setup_teardown(test_segments_of_other_back_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(test_copies_of_graphs_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_spaces_are_isolated, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
