#include "segset_fixture.h"

#define N 240u

static struct fix f;

static int setup(void **state)
{
    (void)state;
    fix_init(&f, 11, N);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fix_fini(&f);
    return 0;
}

static void remove_doc(struct al_segset *g, size_t i)
{
    (void)al_segset_remove(g, f.docs[i].doc.space, f.docs[i].doc.docno);
    f.docs[i].live = false;
}

static struct al_segset *all_growing(void)
{
    struct al_segset_options opt = fix_options(&f);
    struct al_segset *g = fix_create(&opt);
    for (size_t i = 0; i < f.n_docs; i++)
        fix_put(g, &f.docs[i]);
    return g;
}

static void check_status(struct al_segset *g, uint32_t n_sealed)
{
    struct al_segset_status st;
    uint64_t n_docs = 0;
    uint64_t n_chunks = 0;
    uint64_t n_terms = 0;
    uint64_t stale = 0;
    for (size_t i = 0; i < f.n_docs; i++) {
        if (!f.docs[i].live)
            continue;
        n_docs++;
        n_chunks += f.docs[i].doc.n_chunks;
        stale += !al_str_is(f.docs[i].doc.embedder_id, "static-256");
        for (size_t k = 0; k < f.docs[i].doc.n_chunks; k++)
            n_terms += f.docs[i].chunks[k].n_terms;
    }
    al_segset_get_status(g, &st);
    assert_int_equal(st.n_docs, n_docs);
    assert_int_equal(st.n_chunks, n_chunks);
    assert_int_equal(st.n_terms, n_terms);
    assert_int_equal(st.stale_docs, stale);
    assert_int_equal(st.n_sealed, n_sealed);
}

static void test_growing_equals_brute_force(void **state)
{
    (void)state;
    struct al_segset *g = all_growing();
    fix_compare(&f, g, "growing", 40);
    check_status(g, 0);
    for (size_t i = 0; i < f.n_docs; i += 3)
        remove_doc(g, i);
    fix_compare(&f, g, "growing with removals", 40);
    check_status(g, 0);
    al_segset_destroy(g);
}

static void test_sealed_equals_brute_force(void **state)
{
    (void)state;
    struct al_segset *g = all_growing();
    fix_seal(&f, g, 0, N);
    assert_int_equal(al_segset_growing_rows(g), 0);
    fix_compare(&f, g, "sealed", 40);
    check_status(g, 1);
    for (size_t i = 0; i < f.n_docs; i += 4) {
        assert_true(al_segset_remove(g, f.docs[i].doc.space, f.docs[i].doc.docno));
        f.docs[i].live = false;
    }
    fix_compare(&f, g, "sealed with removals", 40);
    check_status(g, 1);
    fix_seal(&f, g, 0, N); /* written again without the dead */
    struct al_segset_status st;
    al_segset_get_status(g, &st);
    assert_int_equal(st.n_tombstones, 0);
    fix_compare(&f, g, "compacted", 20);
    al_segset_destroy(g);
}

static void test_many_segments_equal_brute_force(void **state)
{
    (void)state;
    struct al_segset *g = all_growing();
    for (size_t i = 1; i < f.n_docs; i += 5)
        remove_doc(g, i);
    fix_seal(&f, g, 0, 60);
    fix_seal(&f, g, 60, 61);
    fix_seal(&f, g, 61, 190);
    fix_compare(&f, g, "three sealed and growing", 40);
    for (size_t i = 2; i < f.n_docs; i += 5)
        remove_doc(g, i);
    fix_compare(&f, g, "three sealed and growing, removals", 40);
    check_status(g, 3);
    fix_seal(&f, g, 0, 190); /* a merge */
    fix_compare(&f, g, "merged", 40);
    check_status(g, 1);
    fix_seal(&f, g, 190, N);
    fix_compare(&f, g, "two sealed", 20);
    check_status(g, 2);
    al_segset_destroy(g);
}

static void test_reload_gives_the_same(void **state)
{
    (void)state;
    struct al_segset *g = all_growing();
    struct al_arena a;
    struct al_buf manifest;
    struct al_err e = {0};
    al_arena_init(&a, NULL, 1u << 20);
    al_buf_init(&manifest, NULL, 0);
    fix_seal(&f, g, 0, 100);
    fix_seal(&f, g, 100, 200);
    remove_doc(g, 7);
    remove_doc(g, 150);
    AL_CHECK_OK(al_segset_manifest(g, &manifest, &e), e);
    struct al_dead_doc *dead;
    size_t n_dead;
    AL_CHECK_OK(al_segset_dead(g, 0, 200, &a, &dead, &n_dead, &e), e);
    assert_int_equal(n_dead, 2);
    assert_int_equal(dead[0].docno, f.docs[7].doc.docno);
    assert_int_equal(dead[1].space, f.docs[150].doc.space);
    al_segset_destroy(g);

    struct al_segset_options opt = fix_options(&f);
    g = fix_create(&opt);
    struct al_str *entries;
    size_t n;
    AL_CHECK_OK(al_segset_manifest_split(al_buf_view(&manifest), &a, &entries, &n, &e), e);
    assert_int_equal(n, 2);
    for (size_t i = n; i-- > 0;) { /* any order */
        uint64_t first;
        uint64_t last;
        AL_CHECK_OK(al_segset_entry_range(entries[i], &first, &last, &e), e);
        assert_int_equal(first, i * 100);
        assert_int_equal(last, i * 100 + 100);
        AL_CHECK_OK(al_segset_load(g, entries[i], &e), e);
        assert_int_equal(al_segset_load(g, entries[i], &e), AL_FAILED_PRECONDITION);
    }
    for (size_t i = 0; i < n_dead; i++)
        assert_true(al_segset_remove(g, dead[i].space, dead[i].docno));
    for (size_t i = 200; i < f.n_docs; i++)
        fix_put(g, &f.docs[i]);
    fix_compare(&f, g, "reloaded", 40);
    check_status(g, 2);
    for (size_t at = 0; at < manifest.n; at++) {
        manifest.p[at] = (char)(manifest.p[at] ^ 0x10);
        assert_int_not_equal(al_segset_manifest_split(al_buf_view(&manifest), &a, &entries, &n, &e),
                             AL_OK);
        manifest.p[at] = (char)(manifest.p[at] ^ 0x10);
        assert_int_not_equal(al_segset_manifest_split(al_str_sub(al_buf_view(&manifest), 0, at), &a,
                                                      &entries, &n, &e),
                             AL_OK);
    }
    al_segset_destroy(g);
    al_buf_fini(&manifest);
    al_arena_fini(&a);
}

static void test_stale_vectors_after_change_of_embedder(void **state)
{
    (void)state;
    struct al_segset *g = all_growing();
    struct al_arena a;
    struct al_buf manifest;
    struct al_err e = {0};
    struct al_str *entries;
    size_t n;
    al_arena_init(&a, NULL, 64u << 20);
    al_buf_init(&manifest, NULL, 0);
    fix_seal(&f, g, 0, N);
    AL_CHECK_OK(al_segset_manifest(g, &manifest, &e), e);
    al_segset_destroy(g);
    struct al_segset_options opt = fix_options(&f);
    opt.embedder_id = "newer";
    g = fix_create(&opt);
    AL_CHECK_OK(al_segset_manifest_split(al_buf_view(&manifest), &a, &entries, &n, &e), e);
    AL_CHECK_OK(al_segset_load(g, entries[0], &e), e);
    struct al_segset_status st;
    al_segset_get_status(g, &st);
    assert_true(st.stale_docs > N / 2);
    struct al_leg_query q = fix_query(&f, &a);
    uint32_t all[] = {10, 20, 30, 40, 50, 60};
    q.spaces = all;
    q.n_spaces = 6;
    struct al_candidates got;
    AL_CHECK_OK(al_segset_legs(g, &q, &a, &got, &e), e);
    assert_int_equal(got.n_vector, 0);
    al_segset_destroy(g);
    al_buf_fini(&manifest);
    al_arena_fini(&a);
}

/* A build that is interrupted by removals and additions half way. */
struct busy_source {
    struct al_segset *set;
    size_t removed;
};

static enum al_code busy_each(void *u, uint64_t first, uint64_t last,
                              enum al_code (*visit)(void *v, const struct al_doc *d,
                                                    struct al_err *err),
                              void *v, struct al_err *err)
{
    struct busy_source *b = u;
    for (size_t i = 0; i < f.n_docs; i++) {
        uint64_t index = f.docs[i].doc.docno >> 20;
        if (!f.docs[i].live || index <= first || index > last)
            continue;
        AL_TRY(visit(v, &f.docs[i].doc, err));
        if (i % 7 == 3) {
            assert_true(al_segset_remove(b->set, f.docs[i].doc.space, f.docs[i].doc.docno));
            f.docs[i].live = false; /* after it was read */
            b->removed++;
        }
        if (i == 50)
            fix_put(b->set, fix_add_doc(&f, N + 1, "static-256"));
        if (i == 60) { /* removed before it is read */
            assert_true(al_segset_remove(b->set, f.docs[64].doc.space, f.docs[64].doc.docno));
            f.docs[64].live = false;
        }
    }
    return AL_OK;
}

static void test_removals_during_a_build_are_kept(void **state)
{
    (void)state;
    struct al_segset *g = all_growing();
    struct al_err e = {0};
    struct al_arena a;
    struct al_built *b = NULL;
    struct busy_source busy = {g, 0};
    struct al_doc_source src = {busy_each, &busy};
    al_arena_init(&a, NULL, 1u << 20);
    AL_CHECK_OK(al_segset_build(g, &src, 0, N, NULL, NULL, &b, &e), e);
    fix_compare(&f, g, "built, not swapped", 10);
    assert_true(al_segset_remove(g, f.docs[100].doc.space, f.docs[100].doc.docno));
    f.docs[100].live = false;
    AL_CHECK_OK(al_segset_swap(g, b, &e), e);
    fix_compare(&f, g, "swapped", 40);
    check_status(g, 1);
    assert_int_equal(al_segset_growing_rows(g), f.docs[N].doc.n_chunks);
    struct al_dead_doc *dead;
    size_t n_dead;
    AL_CHECK_OK(al_segset_dead(g, 0, N, &a, &dead, &n_dead, &e), e);
    assert_int_equal(n_dead, busy.removed + 1);
    assert_false(al_segset_remove(g, f.docs[N].doc.space, f.docs[N].doc.docno));
    f.docs[N].live = false;
    fix_compare(&f, g, "swapped, growing emptied", 10);
    al_arena_fini(&a);
    al_segset_destroy(g);
}

static void test_replace_shows_one_version(void **state)
{
    (void)state;
    struct al_segset *g = all_growing();
    struct al_err e = {0};
    fix_seal(&f, g, 0, 100);
    for (size_t i = 90; i < 110; i++) {
        struct fix_doc *d = fix_add_doc(&f, 1000 + i, "static-256");
        bool sealed;
        d->doc.space = f.docs[i].doc.space;
        AL_CHECK_OK(al_segset_replace(g, &d->doc, f.docs[i].doc.docno, &sealed, &e), e);
        assert_int_equal(sealed, i < 100);
        f.docs[i].live = false;
    }
    fix_compare(&f, g, "replaced", 40);
    al_segset_destroy(g);
}

static void test_remove_asks_for_the_right_space(void **state)
{
    (void)state;
    struct al_segset *g = all_growing();
    fix_seal(&f, g, 0, 120);
    for (size_t i = 0; i < f.n_docs; i++)
        assert_false(al_segset_remove(g, f.docs[i].doc.space + 1, f.docs[i].doc.docno));
    assert_false(al_segset_remove(g, 10, 77777u << 20));
    fix_compare(&f, g, "nothing removed", 10);
    al_segset_destroy(g);
}

static void test_bad_queries_are_refused(void **state)
{
    (void)state;
    struct al_segset *g = all_growing();
    struct al_arena a;
    struct al_err e = {0};
    struct al_candidates got;
    al_arena_init(&a, NULL, 64u << 20);
    const struct al_leg_query good = fix_query(&f, &a);
    struct al_leg_query q = good;
    q.depth = 0;
    assert_int_equal(al_segset_legs(g, &q, &a, &got, &e), AL_INVALID_ARGUMENT);
    q.depth = 10001;
    assert_int_equal(al_segset_legs(g, &q, &a, &got, &e), AL_INVALID_ARGUMENT);
    q = good;
    q.k1 = NAN;
    assert_int_equal(al_segset_legs(g, &q, &a, &got, &e), AL_INVALID_ARGUMENT);
    q = good;
    q.b = 1.5f;
    assert_int_equal(al_segset_legs(g, &q, &a, &got, &e), AL_INVALID_ARGUMENT);
    float v[FIX_DIM] = {0};
    v[3] = INFINITY;
    q = good;
    q.vector = v;
    assert_int_equal(al_segset_legs(g, &q, &a, &got, &e), AL_INVALID_ARGUMENT);
    assert_string_equal(e.reason, "NOT_FINITE");
    uint32_t spaces[] = {20, 10};
    q = good;
    q.spaces = spaces;
    q.n_spaces = 2;
    assert_int_equal(al_segset_legs(g, &q, &a, &got, &e), AL_INVALID_ARGUMENT);
    q = good;
    q.deadline_ns = 1;
    assert_int_equal(al_segset_legs(g, &q, &a, &got, &e), AL_DEADLINE_EXCEEDED);
    struct al_arena small;
    al_arena_init(&small, NULL, 2000);
    q = good;
    q.depth = 1000;
    assert_int_equal(al_segset_legs(g, &q, &small, &got, &e), AL_RESOURCE_EXHAUSTED);
    al_arena_fini(&small);
    al_arena_fini(&a);
    al_segset_destroy(g);
}

static void test_explain_adds_up(void **state)
{
    (void)state;
    struct al_segset *g = all_growing();
    struct al_arena a;
    struct al_err e = {0};
    al_arena_init(&a, NULL, 256u << 20);
    fix_seal(&f, g, 0, 130);
    size_t n_checked = 0;
    for (int round = 0; round < 20; round++) {
        struct al_leg_query q = fix_query(&f, &a);
        struct al_candidates got;
        AL_CHECK_OK(al_segset_legs(g, &q, &a, &got, &e), e);
        for (size_t i = 0; i < got.n_text && i < 20; i++, n_checked++) {
            struct al_term_part *parts;
            double sum = 0;
            AL_CHECK_OK(
                al_segset_explain(g, &q, got.text[i].docno, got.text[i].chunk, &a, &parts, &e), e);
            const struct fix_doc *d = &f.docs[(got.text[i].docno >> 20) - 1];
            for (size_t t = 0; t < q.n_terms; t++) {
                assert_int_equal(parts[t].tf, fix_tf(&d->chunks[got.text[i].chunk], q.terms[t]));
                sum += (double)parts[t].score;
            }
            assert_true(fabs(sum - (double)got.text[i].text_score) < 1e-4);
            assert_int_equal(al_segset_explain(g, &q, got.text[i].docno, 99, &a, &parts, &e),
                             AL_NOT_FOUND);
        }
    }
    assert_true(n_checked > 50);
    al_arena_fini(&a);
    al_segset_destroy(g);
}

static void test_scores_of_other_spaces_are_not_given(void **state)
{
    (void)state;
    struct al_segset *g = all_growing();
    struct al_arena a;
    struct al_err e = {0};
    al_arena_init(&a, NULL, 64u << 20);
    fix_seal(&f, g, 0, 130);
    struct al_leg_query q = fix_query(&f, &a);
    uint32_t spaces[] = {20, 40};
    q.spaces = spaces;
    q.n_spaces = 2;
    for (size_t i = 0; i < f.n_docs; i++) {
        const struct al_doc *d = &f.docs[i].doc;
        struct al_candidate c = {.docno = d->docno, .space = d->space};
        struct al_candidate *one[] = {&c};
        struct al_term_part *parts;
        bool visible = (d->space == 20 || d->space == 40) && d->n_chunks > 0;
        AL_CHECK_OK(al_segset_score(g, &q, one, 1, &e), e);
        assert_int_equal(c.has_text, visible);
        assert_int_equal(c.has_vector, visible);
        assert_int_equal(al_segset_explain(g, &q, d->docno, 0, &a, &parts, &e),
                         visible ? AL_OK : AL_NOT_FOUND);
        c = (struct al_candidate){.docno = d->docno, .space = 20}; /* a lie about the space */
        AL_CHECK_OK(al_segset_score(g, &q, one, 1, &e), e);
        assert_int_equal(c.has_text, d->space == 20 && d->n_chunks > 0);
    }
    al_arena_fini(&a);
    al_segset_destroy(g);
}

/* A disk on which, as soon as a file is looked at, all segments are merged and their files deleted.
 */
static struct al_segset *merged_meanwhile;

static enum al_code merging_size(struct al_disk *d, const char *path, uint64_t *ret,
                                 struct al_err *err)
{
    struct al_segset *g = merged_meanwhile;
    struct al_err e = {0};
    (void)d;
    merged_meanwhile = NULL;
    if (g) {
        fix_seal(&f, g, 0, 200);
        AL_CHECK_OK(al_segset_sweep(g, &e), e);
    }
    return al_disk_system()->ops->size(al_disk_system(), path, ret, err);
}

static void test_a_file_that_was_merged_away_is_no_problem(void **state)
{
    (void)state;
    struct al_disk_ops ops = *al_disk_system()->ops;
    struct al_disk disk = {&ops};
    struct al_segset_options opt = fix_options(&f);
    struct al_buf problems;
    struct al_err e = {0};
    ops.size = merging_size;
    opt.disk = &disk;
    for (int deep = 0; deep < 2; deep++) {
        struct al_segset *g = fix_create(&opt);
        uint64_t checked = 0;
        for (size_t i = 0; i < f.n_docs; i++)
            fix_put(g, &f.docs[i]);
        fix_seal(&f, g, 0, 100);
        fix_seal(&f, g, 100, 200);
        al_buf_init(&problems, NULL, 0);
        merged_meanwhile = g;
        AL_CHECK_OK(deep ? al_segset_scrub_files(g, &problems, &checked, &e)
                         : al_segset_verify_files(g, &problems, &checked, &e),
                    e);
        assert_null(merged_meanwhile);
        assert_int_equal(checked, 2);
        if (problems.n)
            fail_msg("%s", problems.p);
        al_buf_fini(&problems);
        al_segset_destroy(g);
    }
}

static void test_verify_finds_what_differs(void **state)
{
    (void)state;
    struct al_segset *g = all_growing();
    struct al_buf problems;
    struct al_err e = {0};
    uint64_t checked = 0;
    al_buf_init(&problems, NULL, 0);
    fix_seal(&f, g, 0, 100);
    for (size_t i = 0; i < f.n_docs; i++)
        AL_CHECK_OK(al_segset_verify_doc(g, &f.docs[i].doc, &problems, &e), e);
    AL_CHECK_OK(al_segset_verify_files(g, &problems, &checked, &e), e);
    assert_int_equal(checked, 1);
    assert_int_equal(problems.n, 0);
    for (size_t i = 99; i < 101; i++) { /* sealed, growing */
        size_t k = i;
        while (f.docs[k].doc.n_chunks == 0 || !fix_has_vector(&f.docs[k], 0))
            k = i < 100 ? k - 1 : k + 1;
        struct al_doc d = f.docs[k].doc;
        float other[FIX_DIM * FIX_CHUNKS_MAX];
        memcpy(other, d.vectors, d.n_chunks * FIX_DIM * sizeof(float));
        other[0] += 0.25f;
        d.vectors = other;
        al_buf_reset(&problems);
        AL_CHECK_OK(al_segset_verify_doc(g, &d, &problems, &e), e);
        assert_non_null(strstr(problems.p, "vectors"));
        d = f.docs[k].doc;
        d.title = AL_STR("something else");
        al_buf_reset(&problems);
        AL_CHECK_OK(al_segset_verify_doc(g, &d, &problems, &e), e);
        assert_non_null(strstr(problems.p, "postings"));
        d = f.docs[k].doc;
        d.n_chunks--;
        al_buf_reset(&problems);
        AL_CHECK_OK(al_segset_verify_doc(g, &d, &problems, &e), e);
        assert_non_null(strstr(problems.p, "chunks"));
        d = f.docs[k].doc;
        d.docno += 5;
        al_buf_reset(&problems);
        AL_CHECK_OK(al_segset_verify_doc(g, &d, &problems, &e), e);
        assert_non_null(strstr(problems.p, "no segment"));
    }
    al_buf_fini(&problems);
    al_segset_destroy(g);
}

static size_t count_files(const char *dir);

static enum al_code count_one(void *u, const struct al_disk_entry *e, struct al_err *err)
{
    (void)err;
    *(size_t *)u += e->is_file;
    return AL_OK;
}

static size_t count_files(const char *dir)
{
    size_t n = 0;
    struct al_err e = {0};
    struct al_disk *d = al_disk_system();
    AL_CHECK_OK(d->ops->list(d, dir, count_one, &n, &e), e);
    return n;
}

static void test_sweep_keeps_what_is_used(void **state)
{
    (void)state;
    struct al_segset *g = all_growing();
    struct al_err e = {0};
    struct al_built *b = NULL;
    struct al_doc_source src = fix_source(&f);
    struct al_disk *d = al_disk_system();
    char path[512];
    fix_seal(&f, g, 0, 50);
    fix_seal(&f, g, 50, 100);
    fix_seal(&f, g, 0, 100); /* replaces both */
    assert_int_equal(count_files(f.dir), 3);
    AL_CHECK_OK(al_segset_build(g, &src, 100, 200, NULL, NULL, &b, &e), e);
    snprintf(path, sizeof path, "%s/" AL_DISK_TEMP_PREFIX "left", f.dir);
    AL_CHECK_OK(al_disk_write_file(d, path, AL_STR("x"), 0600, &e), e);
    snprintf(path, sizeof path, "%s/other.txt", f.dir);
    AL_CHECK_OK(al_disk_write_file(d, path, AL_STR("x"), 0600, &e), e);
    AL_CHECK_OK(al_segset_sweep(g, &e), e);
    assert_int_equal(count_files(f.dir), 3); /* the segment, the built one, the stranger */
    al_segset_discard(b);
    assert_int_equal(count_files(f.dir), 2);
    fix_compare(&f, g, "after sweep", 10);
    b = NULL;
    AL_CHECK_OK(al_segset_build(g, &src, 0, 100, NULL, NULL, &b, &e), e); /* the same bytes */
    al_segset_discard(b);
    assert_int_equal(count_files(f.dir), 2); /* it is in use */
    AL_CHECK_OK(al_segset_build(g, &src, 50, 150, NULL, NULL, &b, &e), e);
    assert_int_equal(al_segset_swap(g, b, &e), AL_FAILED_PRECONDITION);
    al_segset_discard(b);
    fix_compare(&f, g, "after a refused swap", 10);
    al_segset_destroy(g);
}

static bool cancel_after(void *u)
{
    return ++*(int *)u > 100;
}

static void test_cancelled_build_leaves_nothing(void **state)
{
    (void)state;
    struct al_segset *g = all_growing();
    struct al_err e = {0};
    struct al_built *b = NULL;
    struct al_doc_source src = fix_source(&f);
    int polls = 0;
    assert_int_equal(al_segset_build(g, &src, 0, N, cancel_after, &polls, &b, &e), AL_CANCELLED);
    assert_null(b);
    assert_int_equal(count_files(f.dir), 0);
    al_segset_destroy(g);
}

static void test_merges_are_picked_by_like_size(void **state)
{
    (void)state;
    struct al_segset *g = all_growing();
    uint64_t first = 0;
    uint64_t last = 0;
    assert_false(al_segset_pick_merge(g, 3, &first, &last));
    for (uint64_t i = 0; i < 2; i++)
        fix_seal(&f, g, i * 20, i * 20 + 20);
    assert_false(al_segset_pick_merge(g, 3, &first, &last));
    fix_seal(&f, g, 60, 80); /* a gap: not adjacent */
    assert_false(al_segset_pick_merge(g, 3, &first, &last));
    fix_seal(&f, g, 40, 60);
    assert_true(al_segset_pick_merge(g, 3, &first, &last));
    assert_int_equal(first, 0);
    assert_int_equal(last, 80);
    fix_seal(&f, g, first, last);
    assert_false(al_segset_pick_merge(g, 3, &first, &last));
    for (size_t i = 0; i < 70; i++)
        remove_doc(g, i);
    assert_true(al_segset_pick_merge(g, 3, &first, &last)); /* mostly dead */
    assert_int_equal(first, 0);
    assert_int_equal(last, 80);
    fix_seal(&f, g, first, last);
    assert_false(al_segset_pick_merge(g, 3, &first, &last));
    fix_compare(&f, g, "merged", 10);
    al_segset_destroy(g);
}

static void test_empty_set_and_empty_segment(void **state)
{
    (void)state;
    struct al_segset_options opt = fix_options(&f);
    struct al_segset *g = fix_create(&opt);
    for (size_t i = 0; i < f.n_docs; i++)
        f.docs[i].live = false;
    fix_compare(&f, g, "empty", 10);
    fix_seal(&f, g, 0, N);
    fix_compare(&f, g, "empty sealed", 10);
    check_status(g, 1);
    al_segset_destroy(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_growing_equals_brute_force, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sealed_equals_brute_force, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_segments_equal_brute_force, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reload_gives_the_same, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stale_vectors_after_change_of_embedder, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_removals_during_a_build_are_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(test_replace_shows_one_version, setup, teardown),
        cmocka_unit_test_setup_teardown(test_remove_asks_for_the_right_space, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_queries_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_explain_adds_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_scores_of_other_spaces_are_not_given, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_file_that_was_merged_away_is_no_problem, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_verify_finds_what_differs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sweep_keeps_what_is_used, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancelled_build_leaves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_merges_are_picked_by_like_size, setup, teardown),
        cmocka_unit_test_setup_teardown(test_empty_set_and_empty_segment, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
