/* Damaged files, failing disk, failing memory. */
#include <errno.h>

#include "sealed.h"
#include "segset_fixture.h"

#define N 70u

static struct fix f;

static int setup(void **state)
{
    (void)state;
    fix_init(&f, 23, N);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fix_fini(&f);
    return 0;
}

static struct al_segset_options with_graph(void)
{
    struct al_segset_options opt = fix_options(&f);
    opt.scan_rows_max = 1; /* a graph in every file */
    opt.index = al_index_hnsw();
    return opt;
}

static struct al_segset *filled(const struct al_segset_options *opt)
{
    struct al_segset *g = fix_create(opt);
    for (size_t i = 0; i < f.n_docs; i++)
        fix_put(g, &f.docs[i]);
    return g;
}

/* The one segment file of the folder, and the manifest that names it. */
struct saved {
    struct al_buf manifest;
    struct al_buf bytes;
    struct al_arena arena;
    struct al_str entry;
    char path[512];
};

static enum al_code note_path(void *u, const struct al_disk_entry *e, struct al_err *err)
{
    struct saved *s = u;
    (void)err;
    snprintf(s->path, sizeof s->path, "%s/%s", f.dir, e->name);
    return AL_OK;
}

static void save(struct saved *s)
{
    struct al_segset_options opt = with_graph();
    struct al_segset *g = filled(&opt);
    struct al_disk *d = al_disk_system();
    struct al_err e = {0};
    struct al_str *entries;
    size_t n;
    al_buf_init(&s->manifest, NULL, 0);
    al_buf_init(&s->bytes, NULL, 0);
    al_arena_init(&s->arena, NULL, 1u << 20);
    fix_seal(&f, g, 0, N);
    AL_CHECK_OK(al_segset_manifest(g, &s->manifest, &e), e);
    al_segset_destroy(g);
    AL_CHECK_OK(al_segset_manifest_split(al_buf_view(&s->manifest), &s->arena, &entries, &n, &e),
                e);
    assert_int_equal(n, 1);
    s->entry = entries[0];
    AL_CHECK_OK(d->ops->list(d, f.dir, note_path, s, &e), e);
    AL_CHECK_OK(al_disk_read_file(d, s->path, &s->bytes, &e), e);
}

static void saved_fini(struct saved *s)
{
    al_buf_fini(&s->manifest);
    al_buf_fini(&s->bytes);
    al_arena_fini(&s->arena);
}

static enum al_code load(const struct al_segset_options *opt, const struct saved *s)
{
    struct al_err e = {0};
    struct al_segset *g = fix_create(opt);
    enum al_code c = al_segset_load(g, s->entry, &e);
    if (c == AL_OK)
        fix_compare(&f, g, "loaded", 3);
    al_segset_destroy(g);
    return c;
}

/* A file cut off anywhere, also where the cut looks like an end. */
static void check_cuts(const struct saved *s)
{
    struct al_sealed_options opt = {
        .dim = FIX_DIM, .embedder_id = AL_STR("static-256"), .index = al_index_hnsw()};
    uint8_t *bytes = aligned_alloc(64, s->bytes.n);
    assert_non_null(bytes);
    for (size_t cut = 0; cut < s->bytes.n; cut += cut % 64 == 0 ? 1 : 21) {
        struct al_sealed *sealed = NULL;
        struct al_err e = {0};
        memcpy(bytes, s->bytes.p, cut);
        enum al_code c = al_sealed_load_bytes(&opt, bytes, cut, &sealed, &e);
        al_seg_forge(bytes, cut);
        if (c == AL_DATA_LOSS)
            c = al_sealed_load_bytes(&opt, bytes, cut, &sealed, &e);
        assert_true(c == AL_DATA_LOSS || c == AL_FAILED_PRECONDITION);
    }
    free(bytes);
}

static void test_damage_anywhere_is_data_loss(void **state)
{
    (void)state;
    struct saved s;
    struct al_seg_footer footer;
    struct al_err e = {0};
    struct al_segset_options opt = with_graph();
    struct al_disk *d = al_disk_system();
    save(&s);
    assert_int_equal(load(&opt, &s), AL_OK);
    AL_CHECK_OK(al_seg_footer_decode((const uint8_t *)s.bytes.p, s.bytes.n, &footer, &e), e);
    size_t places[AL_SECTION_COUNT * 3 + 8];
    size_t n = 0;
    for (size_t i = 0; i < AL_SECTION_COUNT; i++) {
        size_t at = footer.sections[i].at;
        size_t bytes = footer.sections[i].bytes;
        assert_true(bytes > 0); /* this corpus has every section */
        places[n++] = at;
        places[n++] = at + bytes / 2;
        places[n++] = at + bytes - 1;
    }
    size_t end = footer.sections[AL_SECTION_ROWS].at + footer.sections[AL_SECTION_ROWS].bytes;
    places[n++] = end < footer.sections[AL_SECTION_SPACES].at ? end : 0; /* between sections */
    places[n++] = s.bytes.n - AL_SEG_FOOTER_BYTES;
    places[n++] = s.bytes.n - AL_SEG_FOOTER_BYTES + 9; /* format */
    places[n++] = s.bytes.n - AL_SEG_FOOTER_BYTES + 40;
    places[n++] = s.bytes.n - AL_SEG_FOOTER_BYTES + 900; /* unused */
    places[n++] = s.bytes.n - 1;
    for (size_t i = 0; i < n; i++) {
        s.bytes.p[places[i]] = (char)(s.bytes.p[places[i]] ^ 4);
        AL_CHECK_OK(al_disk_write_file(d, s.path, al_buf_view(&s.bytes), 0600, &e), e);
        if (load(&opt, &s) != AL_DATA_LOSS)
            fail_msg("a flip at %zu was not noticed", places[i]);
        s.bytes.p[places[i]] = (char)(s.bytes.p[places[i]] ^ 4);
    }
    for (size_t cut = 0; cut < s.bytes.n; cut += s.bytes.n / 7) {
        AL_CHECK_OK(al_disk_write_file(d, s.path, (struct al_str){s.bytes.p, cut}, 0600, &e), e);
        assert_int_equal(load(&opt, &s), AL_DATA_LOSS);
    }
    check_cuts(&s);
    AL_CHECK_OK(d->ops->remove(d, s.path, &e), e);
    assert_int_equal(load(&opt, &s), AL_DATA_LOSS); /* absent */
    AL_CHECK_OK(al_disk_write_file(d, s.path, al_buf_view(&s.bytes), 0600, &e), e);
    assert_int_equal(load(&opt, &s), AL_OK);
    saved_fini(&s);
}

/* Bytes with good check sums and bad content: what only the checks of structure can find. */
static void test_forged_files_do_no_harm(void **state)
{
    (void)state;
    struct saved s;
    save(&s);
    struct al_sealed_options opt = {.dir = f.dir,
                                    .embedder_id = AL_STR("static-256"),
                                    .dim = FIX_DIM,
                                    .scan_rows_max = 1,
                                    .index = al_index_hnsw(),
                                    .disk = al_disk_system()};
    uint8_t *bytes = aligned_alloc(64, s.bytes.n);
    assert_non_null(bytes);
    size_t refused = 0;
    for (int i = 0; i < 4000; i++) {
        struct al_sealed *sealed = NULL;
        struct al_err e = {0};
        memcpy(bytes, s.bytes.p, s.bytes.n);
        for (uint32_t k = 1 + fix_below(&f, 3); k > 0; k--)
            bytes[fix_below(&f, (uint32_t)s.bytes.n)] ^= (uint8_t)(1u << fix_below(&f, 8));
        al_seg_forge(bytes, s.bytes.n);
        enum al_code c = al_sealed_load_bytes(&opt, bytes, s.bytes.n, &sealed, &e);
        if (c == AL_OK) {
            enum al_code deep = al_sealed_check_deep(sealed, &e);
            assert_true(deep == AL_OK || deep == AL_DATA_LOSS || deep == AL_FAILED_PRECONDITION ||
                        deep == AL_RESOURCE_EXHAUSTED);
            al_sealed_unref(sealed);
        } else {
            refused++;
        }
    }
    assert_true(refused > 100);
    free(bytes);
    saved_fini(&s);
}

static void test_newer_format_is_refused_by_name(void **state)
{
    (void)state;
    struct saved s;
    struct al_err e = {0};
    struct al_sealed *sealed = NULL;
    struct al_sealed_options opt = {
        .dim = FIX_DIM, .embedder_id = AL_STR("static-256"), .index = al_index_hnsw()};
    save(&s);
    uint8_t *bytes = aligned_alloc(64, s.bytes.n);
    assert_non_null(bytes);
    memcpy(bytes, s.bytes.p, s.bytes.n);
    bytes[s.bytes.n - AL_SEG_FOOTER_BYTES + 8] = AL_SEG_FORMAT + 1;
    al_seg_forge(bytes, s.bytes.n);
    assert_int_equal(al_sealed_load_bytes(&opt, bytes, s.bytes.n, &sealed, &e),
                     AL_FAILED_PRECONDITION);
    assert_string_equal(e.reason, "FORMAT_TOO_NEW");
    for (uint8_t older = 0; older < AL_SEG_FORMAT; older++) { /* is built anew */
        memcpy(bytes, s.bytes.p, s.bytes.n);
        bytes[s.bytes.n - AL_SEG_FOOTER_BYTES + 8] = older;
        al_seg_forge(bytes, s.bytes.n);
        assert_int_equal(al_sealed_load_bytes(&opt, bytes, s.bytes.n, &sealed, &e), AL_DATA_LOSS);
    }
    memcpy(bytes, s.bytes.p, s.bytes.n);
    bytes[s.bytes.n - AL_SEG_FOOTER_BYTES + 12] ^= 0x40; /* analyzer */
    al_seg_forge(bytes, s.bytes.n);
    assert_int_equal(al_sealed_load_bytes(&opt, bytes, s.bytes.n, &sealed, &e), AL_DATA_LOSS);
    assert_string_equal(e.reason, "SEGMENT_STALE");
    free(bytes);
    saved_fini(&s);
}

static void test_disk_faults_while_building(void **state)
{
    (void)state;
    for (int persistent = 0; persistent < 2; persistent++) {
        for (size_t n = 0;; n++) {
            struct al_fault_disk fd;
            struct al_segset_options opt = with_graph();
            struct al_built *b = NULL;
            struct al_err e = {0};
            struct al_doc_source src = fix_source(&f);
            al_fault_disk_init(&fd, NULL, SIZE_MAX, persistent, ENOSPC);
            opt.disk = &fd.disk;
            struct al_segset *g = filled(&opt);
            fd.count = 0;
            fd.fail_at = n;
            enum al_code c = al_segset_build(g, &src, 0, N, NULL, NULL, &b, &e);
            if (fd.fired) {
                assert_int_not_equal(c, AL_OK);
                assert_null(b);
            } else {
                AL_CHECK_OK(c, e);
                AL_CHECK_OK(al_segset_swap(g, b, &e), e);
            }
            bool done = !fd.fired;
            fd.fail_at = SIZE_MAX;
            fd.fired = false;
            fd.persistent = false;
            fix_compare(&f, g, "after a disk fault", 2);
            if (!done) { /* and it can be done over */
                AL_CHECK_OK(al_segset_build(g, &src, 0, N, NULL, NULL, &b, &e), e);
                AL_CHECK_OK(al_segset_swap(g, b, &e), e);
                fix_compare(&f, g, "built after a disk fault", 2);
            }
            AL_CHECK_OK(al_segset_sweep(g, &e), e);
            al_segset_destroy(g);
            if (done)
                break;
            assert_true(n < 1000);
        }
    }
}

static void test_disk_faults_while_loading_and_sweeping(void **state)
{
    (void)state;
    struct saved s;
    save(&s);
    for (size_t n = 0;; n++) {
        struct al_fault_disk fd;
        struct al_segset_options opt = with_graph();
        struct al_err e = {0};
        struct al_segset *g = NULL;
        al_fault_disk_init(&fd, NULL, n, false, EIO);
        opt.disk = &fd.disk;
        enum al_code c = al_segset_create(&opt, &g, &e);
        if (c == AL_OK)
            c = al_segset_load(g, s.entry, &e);
        if (c == AL_OK)
            c = al_segset_sweep(g, &e);
        assert_true(fd.fired ? c != AL_OK : c == AL_OK);
        al_segset_destroy(g);
        if (!fd.fired)
            break;
    }
    saved_fini(&s);
}

/* Reading every byte: a disk that fails is an error of its own, not damage. */
static void test_disk_faults_while_scrubbing(void **state)
{
    (void)state;
    struct saved s;
    struct al_seg_footer footer;
    struct al_err e = {0};
    save(&s);
    AL_CHECK_OK(al_seg_footer_decode((const uint8_t *)s.bytes.p, s.bytes.n, &footer, &e), e);
    size_t n = 0;
    for (bool more = true; more; n++) {
        struct al_fault_disk fd;
        al_fault_disk_init(&fd, NULL, n, false, EMFILE);
        enum al_code c = al_sealed_scrub(&fd.disk, s.path, &footer, NULL, &e);
        assert_int_equal(c, fd.fired ? AL_RESOURCE_EXHAUSTED : AL_OK);
        more = fd.fired;
    }
    assert_true(n > AL_SECTION_COUNT); /* each section was read */
    struct al_fault_mem fm;
    al_fault_mem_init(&fm, 0, false);
    enum al_code c = al_sealed_scrub(al_disk_system(), s.path, &footer, &fm.mem, &e);
    assert_int_equal(c, AL_RESOURCE_EXHAUSTED);
    assert_int_equal(fm.live, 0);
    saved_fini(&s);
}

/* A file that cannot be opened for now is not damaged; one that cannot be read is. */
static void test_scrubbing_tells_the_process_from_the_disk(void **state)
{
    (void)state;
    static const struct {
        int errnum;
        enum al_code code;
        bool is_damaged;
    } cases[] = {{EMFILE, AL_RESOURCE_EXHAUSTED, false}, {EIO, AL_OK, true}};
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct al_fault_disk fd;
        struct al_segset_options opt = with_graph();
        struct al_buf problems;
        struct al_err e = {0};
        uint64_t n = 0;
        al_buf_init(&problems, NULL, 0);
        al_fault_disk_init(&fd, NULL, SIZE_MAX, false, cases[i].errnum);
        opt.disk = &fd.disk;
        struct al_segset *g = filled(&opt);
        fix_seal(&f, g, 0, N);
        AL_CHECK_OK(al_segset_scrub_files(g, &problems, &n, &e), e);
        assert_true(n == 1 && problems.n == 0 && !al_segset_is_damaged(g, N));
        fd.count = 0;
        fd.fail_at = 1; /* after the size: opening */
        assert_int_equal(al_segset_scrub_files(g, &problems, &n, &e), cases[i].code);
        assert_int_equal(problems.n > 0, cases[i].is_damaged);
        fd.count = 0;
        fd.fail_at = 1;
        assert_int_equal(al_segset_is_damaged(g, N), cases[i].is_damaged);
        fd.fail_at = SIZE_MAX;
        al_buf_fini(&problems);
        al_segset_destroy(g);
    }
}

static void test_memory_faults_in_create_add_load(void **state)
{
    (void)state;
    struct saved s;
    save(&s);
    for (size_t n = 0;; n++) {
        struct al_fault_mem fm;
        struct al_segset_options opt = with_graph();
        struct al_segset *g = NULL;
        struct al_err e = {0};
        al_fault_mem_init(&fm, n, false);
        opt.mem = &fm.mem;
        enum al_code c = al_segset_create(&opt, &g, &e);
        if (c == AL_OK)
            c = al_segset_load(g, s.entry, &e);
        if (c != AL_OK) {
            assert_int_equal(c, AL_RESOURCE_EXHAUSTED);
            assert_true(fm.fired);
        }
        al_segset_destroy(g);
        assert_int_equal(fm.live, 0);
        if (!fm.fired)
            break;
    }
    saved_fini(&s);
}

static void test_memory_faults_while_adding(void **state)
{
    (void)state;
    for (size_t n = 0;; n++) {
        struct al_fault_mem fm;
        struct al_segset_options opt = fix_options(&f);
        struct al_err e = {0};
        al_fault_mem_init(&fm, SIZE_MAX, false);
        opt.mem = &fm.mem;
        struct al_segset *g = fix_create(&opt);
        fm.count = 0;
        fm.fail_at = n * 7; /* every seventh, to be quick */
        size_t n_failed = 0;
        for (size_t i = 0; i < f.n_docs; i++) {
            if (al_segset_add(g, &f.docs[i].doc, &e) == AL_OK)
                continue;
            n_failed++;
            fix_put(g, &f.docs[i]); /* the fault was one of its kind: now it goes */
        }
        assert_int_equal(n_failed, fm.fired);
        bool done = !fm.fired;
        fm.fail_at = SIZE_MAX;
        fix_compare(&f, g, "added after a memory fault", 2);
        al_segset_destroy(g);
        assert_int_equal(fm.live, 0);
        if (done)
            break;
    }
}

static void test_memory_faults_in_build_and_swap(void **state)
{
    (void)state;
    for (size_t n = 0;; n++) {
        struct al_fault_mem fm;
        struct al_segset_options opt = with_graph();
        struct al_built *b = NULL;
        struct al_err e = {0};
        struct al_doc_source src = fix_source(&f);
        al_fault_mem_init(&fm, SIZE_MAX, false);
        opt.mem = &fm.mem;
        struct al_segset *g = filled(&opt);
        fm.count = 0;
        fm.fail_at = n < 40 ? n : 40 + (n - 40) * 13;
        enum al_code c = al_segset_build(g, &src, 0, N / 2, NULL, NULL, &b, &e);
        if (c == AL_OK)
            c = al_segset_swap(g, b, &e);
        if (c != AL_OK) {
            assert_int_equal(c, AL_RESOURCE_EXHAUSTED);
            al_segset_discard(b);
        }
        bool done = !fm.fired;
        fm.fail_at = SIZE_MAX;
        assert_true(done ? c == AL_OK : c != AL_OK);
        fix_compare(&f, g, "after a memory fault", 1);
        al_segset_destroy(g);
        assert_int_equal(fm.live, 0);
        if (done)
            break;
    }
}

/* A removal that cannot be noted makes the swap fail, not the removal. */
static void test_a_lost_removal_refuses_the_swap(void **state)
{
    (void)state;
    struct al_fault_mem fm;
    struct al_segset_options opt = fix_options(&f);
    struct al_built *b = NULL;
    struct al_err e = {0};
    struct al_doc_source src = fix_source(&f);
    al_fault_mem_init(&fm, SIZE_MAX, false);
    opt.mem = &fm.mem;
    struct al_segset *g = filled(&opt);
    AL_CHECK_OK(al_segset_build(g, &src, 0, N, NULL, NULL, &b, &e), e);
    fm.count = 0;
    fm.fail_at = 0;
    assert_true(al_segset_remove(g, f.docs[5].doc.space, f.docs[5].doc.docno));
    f.docs[5].live = false;
    assert_true(fm.fired);
    assert_int_equal(al_segset_swap(g, b, &e), AL_RESOURCE_EXHAUSTED);
    al_segset_discard(b);
    fix_compare(&f, g, "after a lost removal", 5);
    al_segset_destroy(g);
    assert_int_equal(fm.live, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_damage_anywhere_is_data_loss, setup, teardown),
        cmocka_unit_test_setup_teardown(test_forged_files_do_no_harm, setup, teardown),
        cmocka_unit_test_setup_teardown(test_newer_format_is_refused_by_name, setup, teardown),
        cmocka_unit_test_setup_teardown(test_disk_faults_while_building, setup, teardown),
        cmocka_unit_test_setup_teardown(test_disk_faults_while_loading_and_sweeping, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_disk_faults_while_scrubbing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_scrubbing_tells_the_process_from_the_disk, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_memory_faults_in_create_add_load, setup, teardown),
        cmocka_unit_test_setup_teardown(test_memory_faults_while_adding, setup, teardown),
        cmocka_unit_test_setup_teardown(test_memory_faults_in_build_and_swap, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_lost_removal_refuses_the_swap, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
