/* Packing, lists, bounds and the dictionary. Built twice: as it is, and without vector
 * instructions. */
#include "postings.h"

#include <stdlib.h>

#include "airlore/random.h"
#include "airlore/testing.h"
#include "terms.h"

#define ROWS_MAX 5000u

static struct al_seeded_random rng;

static uint32_t below(uint32_t n)
{
    return (uint32_t)al_random_below(&rng.random, n);
}

static int setup(void **state)
{
    (void)state;
    al_seeded_random_init(&rng, 5);
    return 0;
}

/* The layout, written down a second time: number i is in lane i % 4, the (i / 4)-th of that lane.
 */
static uint32_t read_number(const uint8_t *p, unsigned bits, unsigned i)
{
    uint32_t v = 0;
    for (unsigned k = 0; k < bits; k++) {
        unsigned bit = i / 4 * bits + k;
        unsigned byte = bit / 32 * 16 + i % 4 * 4 + bit % 32 / 8;
        v |= (uint32_t)(p[byte] >> bit % 8 & 1) << k;
    }
    return v;
}

static void test_packs_of_every_width(void **state)
{
    (void)state;
    uint32_t v[AL_PACK_N];
    uint32_t got[AL_PACK_N];
    for (unsigned bits = 0; bits <= 32; bits++) {
        for (int round = 0; round < 20; round++) {
            uint8_t *p = malloc(al_pack_bytes(bits) + 1u); /* not a byte more than said */
            assert_non_null(p);
            uint32_t mask = bits == 32 ? UINT32_MAX : ((uint32_t)1 << bits) - 1;
            for (unsigned i = 0; i < AL_PACK_N; i++)
                v[i] = (uint32_t)al_random_u64(&rng.random) & mask & (round ? UINT32_MAX : 0);
            v[below(AL_PACK_N)] |= bits ? (uint32_t)1 << (bits - 1) : 0;
            assert_int_equal(al_pack_width(v), bits);
            uint8_t *at = p + round % 2; /* aligned or not */
            al_pack(v, bits, at);
            al_unpack(at, bits, got);
            assert_memory_equal(got, v, sizeof v);
            for (unsigned i = 0; i < AL_PACK_N; i++) {
                assert_int_equal(al_unpack_one(at, bits, i), v[i]);
                assert_int_equal(read_number(at, bits, i), v[i]);
            }
            uint32_t before = (uint32_t)al_random_u64(&rng.random);
            uint32_t row = before;
            al_unpack_sum(got, before);
            for (unsigned i = 0; i < AL_PACK_N; i++) {
                row += v[i] + 1;
                assert_int_equal(got[i], row);
            }
            free(p);
        }
    }
}

/* ---- lists ---- */

struct list {
    struct al_posting p[ROWS_MAX];
    uint32_t lengths[ROWS_MAX]; /* of the posting's row */
    uint32_t n;
    uint32_t n_rows; /* of the segment */
    uint8_t *codes;  /* n_rows */
    struct al_buf bytes;
    struct al_buf blocks;
    struct al_front front;
    struct al_postings_view view;
};

/* A list of n postings with gaps up to `gap`. */
static void list_init(struct list *l, uint32_t n, uint32_t gap)
{
    uint64_t row = below(gap);
    l->n = n;
    for (uint32_t i = 0; i < n; i++, row += 1 + below(gap)) {
        l->p[i] = (struct al_posting){(uint32_t)row, 1 + below(below(8) ? 3 : 400)};
        l->lengths[i] = l->p[i].tf + below(below(9) ? 50 : 5000);
    }
    l->n_rows = (uint32_t)row + 1;
    l->codes = calloc(l->n_rows, 1);
    assert_non_null(l->codes);
    for (uint32_t i = 0; i < n; i++)
        l->codes[l->p[i].row] = al_length_code(l->lengths[i]);
    al_buf_init(&l->bytes, NULL, 0);
    al_buf_init(&l->blocks, NULL, 0);
    al_postings_seal(l->p, n, l->codes, &l->bytes, &l->blocks, &l->front);
    assert_int_equal(l->blocks.n, al_blocks_of(n) * sizeof(struct al_block));
    l->view = (struct al_postings_view){
        .p = (const uint8_t *)l->bytes.p,
        .n_bytes = (uint32_t)l->bytes.n,
        .n_rows = n,
        .blocks = al_blocks_of(n) ? (const struct al_block *)(const void *)l->blocks.p : NULL};
    assert_true(al_blocks_fit(&l->view, l->n_rows));
}

static void list_fini(struct list *l)
{
    free(l->codes);
    al_buf_fini(&l->bytes);
    al_buf_fini(&l->blocks);
}

static void check_walk(const struct list *l)
{
    struct al_list at;
    uint32_t n = 0;
    for (al_list_init(&at, &l->view, l->n_rows, true); at.n > 0; al_list_next(&at), n++) {
        assert_true(n < l->n);
        assert_int_equal(al_list_row(&at), l->p[n].row);
        assert_int_equal(al_list_tf(&at), l->p[n].tf);
    }
    assert_int_equal(n, l->n);
    n = 0;
    for (al_list_init(&at, &l->view, l->n_rows, true); at.n > 0; al_list_next_block(&at))
        for (uint32_t i = 0; i < at.n; i++, n++)
            assert_int_equal(al_list_tfs(&at)[i], l->p[n].tf);
    assert_int_equal(n, l->n);
    assert_false(at.damaged);
}

static void check_seeks(const struct list *l)
{
    struct al_list at;
    struct al_list rank;
    al_list_init(&at, &l->view, l->n_rows, true);
    al_list_init(&rank, &l->view, l->n_rows, true);
    uint32_t i = 0;
    for (uint32_t row = 0; row < l->n_rows; row += 1 + below(1 + below(l->n_rows / 4 + 2))) {
        while (i < l->n && l->p[i].row < row)
            i++;
        assert_int_equal(al_list_seek(&at, row), i < l->n ? l->p[i].row : AL_ROW_NONE);
        assert_int_equal(al_list_rank(&rank, row), i);
        if (i == l->n)
            break;
        assert_int_equal(al_list_tf(&at), l->p[i].tf);
        assert_int_equal(al_list_seek(&at, 0), l->p[i].row); /* never back */
    }
    assert_int_equal(al_list_seek(&at, l->n_rows), AL_ROW_NONE);
    assert_int_equal(al_list_rank(&rank, l->n_rows), l->n);
    assert_false(at.damaged || rank.damaged);
}

/* Every posting is below its block's bounds and the list's. */
static void check_fronts(const struct list *l)
{
    for (uint32_t i = 0; i < l->n; i++) {
        assert_true(al_front_covers(l->front.pairs, l->front.n, l->p[i].tf, l->lengths[i]));
        if (l->view.blocks)
            assert_true(al_front_covers(l->view.blocks[i / AL_POSTINGS_BLOCK].front, AL_FRONT_MAX,
                                        l->p[i].tf, l->lengths[i]));
    }
}

static void test_sealed_lists_read_back(void **state)
{
    (void)state;
    static struct list l;
    static const uint32_t sizes[] = {1, 2, 127, 128, 129, 255, 256, 257, 1000, 1024, ROWS_MAX};
    static const uint32_t gaps[] = {1, 2, 3, 40, 3000};
    for (size_t s = 0; s < AL_ARRAY_LEN(sizes); s++) {
        for (size_t g = 0; g < AL_ARRAY_LEN(gaps); g++) {
            list_init(&l, sizes[s], gaps[g]);
            check_walk(&l);
            for (int round = 0; round < 5; round++)
                check_seeks(&l);
            check_fronts(&l);
            list_fini(&l);
        }
    }
}

/* Gaps that need up to 30 bits: the way that looks at every row. */
static void test_wide_gaps(void **state)
{
    (void)state;
    struct al_posting p[AL_PACK_N];
    struct al_list at;
    struct al_front front;
    uint32_t limit = 0x40000000u;
    uint8_t *codes = calloc(limit, 1); /* pages that are not read stay unused */
    assert_non_null(codes);
    for (uint32_t bits = 20; bits < 30; bits++) {
        struct al_buf bytes;
        struct al_buf blocks;
        al_buf_init(&bytes, NULL, 0);
        al_buf_init(&blocks, NULL, 0);
        for (uint32_t i = 0; i < AL_PACK_N; i++)
            p[i] = (struct al_posting){i < 60 ? i : i + ((uint32_t)1 << bits), 1};
        al_postings_seal(p, AL_PACK_N, codes, &bytes, &blocks, &front);
        struct al_postings_view v = {.p = (const uint8_t *)bytes.p,
                                     .n_bytes = (uint32_t)bytes.n,
                                     .n_rows = AL_PACK_N,
                                     .blocks = (const struct al_block *)(const void *)blocks.p};
        assert_true(al_blocks_fit(&v, limit));
        al_list_init(&at, &v, limit, true);
        for (uint32_t i = 0; i < AL_PACK_N; i++, al_list_next(&at))
            assert_int_equal(al_list_row(&at), p[i].row);
        assert_false(at.damaged);
        al_buf_fini(&bytes);
        al_buf_fini(&blocks);
    }
    free(codes);
}

/* Any change of any byte: other rows maybe, but ascending and below the limit, or damage. */
static void test_damaged_lists_stay_in_bounds(void **state)
{
    (void)state;
    static struct list l;
    size_t n_damaged = 0;
    for (int round = 0; round < 3000; round++) {
        list_init(&l, 1 + below(400), 1 + below(50));
        for (uint32_t k = 1 + below(3); k > 0; k--) {
            if (l.blocks.n && below(3) == 0)
                l.blocks.p[below((uint32_t)l.blocks.n)] = (char)below(256);
            else
                l.bytes.p[below((uint32_t)l.bytes.n)] = (char)below(256);
        }
        if (!al_blocks_fit(&l.view, l.n_rows)) {
            n_damaged++;
            list_fini(&l);
            continue;
        }
        struct al_list at;
        uint32_t before = AL_ROW_NONE;
        for (al_list_init(&at, &l.view, l.n_rows, true); at.n > 0; al_list_next(&at)) {
            assert_true(al_list_row(&at) < l.n_rows);
            assert_true(before == AL_ROW_NONE || al_list_row(&at) > before);
            (void)al_list_tfs(&at);
            assert_true(al_list_tf(&at) > 0);
            before = al_list_row(&at);
        }
        n_damaged += at.damaged;
        al_list_init(&at, &l.view, l.n_rows, true);
        for (uint32_t row = 0; row < l.n_rows; row += 1 + below(200))
            (void)al_list_seek(&at, row);
        list_fini(&l);
    }
    assert_true(n_damaged > 300);
}

static void test_growing_lists(void **state)
{
    (void)state;
    struct al_postings l = {0};
    struct al_list at;
    uint32_t rows[700];
    uint32_t row = 0;
    for (uint32_t i = 0; i < 700; i++) {
        row += i ? 1 + below(30) : 0;
        rows[i] = row;
        assert_int_equal(al_postings_add(&l, al_mem_std(), row, 1 + row % 5), AL_OK);
    }
    struct al_postings_view v = {.p = l.p, .n_bytes = l.n_bytes, .n_rows = l.n_rows};
    for (uint32_t limit = 1; limit <= row + 1; limit += 1 + below(400)) {
        uint32_t i = 0;
        for (al_list_init(&at, &v, limit, false); at.n > 0; al_list_next(&at), i++) {
            assert_int_equal(al_list_row(&at), rows[i]);
            assert_int_equal(al_list_tf(&at), 1 + rows[i] % 5);
        }
        assert_true(i == 700 || rows[i] >= limit); /* and what came later is not seen */
        assert_false(at.damaged);
    }
    al_list_init(&at, &v, row + 1, false);
    assert_int_equal(al_list_seek(&at, rows[555]), rows[555]);
    assert_int_equal(al_list_seek(&at, rows[600] + 1), rows[601]);
    al_mem_free(NULL, l.p);
}

/* ---- bounds ---- */

static void test_length_codes_round_down(void **state)
{
    (void)state;
    uint8_t before = 0;
    for (uint32_t n = 0; n < 300000; n++) {
        uint8_t code = al_length_code(n);
        uint32_t low = al_length_of_code(code);
        assert_true(low <= n && code >= before);
        assert_true(n < 262144 ? (n - low) * 16 <= n : low >= 245760);
        assert_int_equal(al_length_code(low), code);
        before = code;
    }
    assert_true(al_length_of_code(al_length_code(UINT32_MAX)) >= 245760);
}

static void test_fronts_are_small_and_cover(void **state)
{
    (void)state;
    for (int round = 0; round < 3000; round++) {
        struct al_impacts m = {0};
        uint32_t tfs[200];
        uint32_t lengths[200];
        uint32_t n = 1 + below(200);
        for (uint32_t i = 0; i < n; i++) {
            lengths[i] = below(1 + below(100000));
            tfs[i] = 1 + below(1 + below(300)) + lengths[i] / 300;
            al_impacts_add(&m, tfs[i], al_length_code(lengths[i]));
        }
        struct al_front f = al_impacts_front(&m);
        assert_true(f.n > 0 && f.n <= AL_FRONT_MAX);
        for (uint32_t i = 0; i < n; i++)
            assert_true(al_front_covers(f.pairs, f.n, tfs[i], lengths[i]));
        assert_false(al_front_covers(f.pairs, f.n - 1, f.pairs[f.n - 1].tf, 300000));
    }
}

/* ---- dictionary ---- */

#define TERMS_MAX 3000u

struct term {
    char text[24];
    uint64_t hash;
    uint32_t n;
};

static int cmp_terms(const void *a, const void *b)
{
    const struct term *x = a;
    const struct term *y = b;
    return al_term_order(x->hash, al_str_c(x->text), y->hash, al_str_c(y->text));
}

static void test_dictionary_finds_its_terms(void **state)
{
    (void)state;
    static struct term terms[TERMS_MAX];
    static struct al_posting p[600];
    static const uint8_t codes[600];
    static const uint32_t sizes[] = {0, 1, 2, 4, 5, 9, 100, TERMS_MAX};
    for (uint32_t i = 0; i < 600; i++)
        p[i] = (struct al_posting){i, 1};
    for (size_t s = 0; s < AL_ARRAY_LEN(sizes); s++) {
        struct al_terms_writer w;
        struct al_buf encoded;
        struct al_buf postings;
        struct al_err e = {0};
        al_terms_writer_init(&w, NULL);
        al_buf_init(&encoded, NULL, 0);
        al_buf_init(&postings, NULL, 0);
        for (uint32_t i = 0; i < sizes[s]; i++) {
            snprintf(terms[i].text, sizeof terms[i].text, "t%u", i * 7);
            terms[i].hash = al_term_hash(al_str_c(terms[i].text));
            terms[i].n = 1 + below(below(10) ? 20 : 599);
        }
        qsort(terms, sizes[s], sizeof *terms, cmp_terms);
        for (uint32_t i = 0; i < sizes[s]; i++) {
            al_terms_add(&w, al_str_c(terms[i].text), p, terms[i].n, codes);
            al_buf_add(&postings, w.postings.p, w.postings.n);
        }
        AL_CHECK_OK(al_terms_status(&w, &e), e);
        al_terms_encode(&w, &encoded);
        assert_int_equal(encoded.n, al_terms_bytes(sizes[s]));
        struct al_terms t = {.records = (const uint8_t *)w.records.p,
                             .record_bytes = w.records.n,
                             .postings = (const uint8_t *)postings.p,
                             .postings_bytes = postings.n,
                             .blocks = (const struct al_block *)(const void *)w.blocks.p,
                             .n_blocks = w.blocks.n / sizeof(struct al_block),
                             .n_terms = sizes[s],
                             .n_rows = 600};
        al_terms_show(&t, encoded.p);
        assert_true(al_terms_fit(&t));
        for (uint32_t i = 0; i < sizes[s]; i++) {
            struct al_postings_view v;
            assert_true(al_terms_find(&t, al_str_c(terms[i].text), &v));
            assert_int_equal(v.n_rows, terms[i].n);
            assert_int_equal(v.number, i);
            assert_true(al_str_is(al_terms_at(&t, i, &v), terms[i].text));
            terms[i].text[0] = 'u';
            assert_false(al_terms_find(&t, al_str_c(terms[i].text), &v));
        }
        for (size_t i = 0; i < w.records.n; i += 1 + w.records.n / 300) { /* lies are noticed */
            w.records.p[i] = (char)(w.records.p[i] ^ 0x81);
            (void)al_terms_fit(&t);
            w.records.p[i] = (char)(w.records.p[i] ^ 0x81);
        }
        for (size_t i = 0; i < encoded.n; i += 1 + encoded.n / 300) {
            encoded.p[i] = (char)(encoded.p[i] ^ 0x81);
            assert_false(al_terms_fit(&t));
            encoded.p[i] = (char)(encoded.p[i] ^ 0x81);
        }
        al_terms_writer_fini(&w);
        al_buf_fini(&encoded);
        al_buf_fini(&postings);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packs_of_every_width),
        cmocka_unit_test(test_sealed_lists_read_back),
        cmocka_unit_test(test_wide_gaps),
        cmocka_unit_test(test_damaged_lists_stay_in_bounds),
        cmocka_unit_test(test_growing_lists),
        cmocka_unit_test(test_length_codes_round_down),
        cmocka_unit_test(test_fronts_are_small_and_cover),
        cmocka_unit_test(test_dictionary_finds_its_terms),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
