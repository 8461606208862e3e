#include "airlore/testing.h"

#include <string.h>

#include "airlore/passages.h"

static const char *const KINDS[] = {"?", "prose", "list", "item", "code", "table", "heading"};

/* The passages as "kind:text" with '#' between them. */
static struct al_str shown(struct al_str in, struct al_arena *a)
{
    struct al_passage *p = NULL;
    size_t n = 0;
    struct al_buf b;
    struct al_err err = {0};
    AL_CHECK_OK(al_passages(in, a, &p, &n, &err), err);
    al_buf_init(&b, al_arena_mem(a), 0);
    for (size_t i = 0; i < n; i++) {
        assert_true(p[i].span.start < p[i].span.end && p[i].span.end <= in.n);
        assert_true(p[i].lead.start <= p[i].lead.end && p[i].lead.end <= in.n);
        al_buf_printf(&b, "%s%s:", i ? "#" : "", KINDS[p[i].kind]);
        al_buf_str(&b, al_str_sub(in, p[i].span.start, p[i].span.end - p[i].span.start));
    }
    return al_buf_view(&b);
}

static void test_kinds_and_leads(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *in;
        const char *out;
    } cases[] = {
        {"prose", "One. Two.", "prose:One.#prose:Two."},
        {"heading", "Causes\n\nThe disk is full.", "heading:Causes#prose:The disk is full."},
        {"list with its lead", "Check the following:\n\n- one thing\n- two things\n\nEnd it.",
         "prose:Check the following:#list:Check the following:\n\n- one thing\n- two "
         "things#prose:End it."},
        {"list without a lead", "It works.\n\n- one thing\n- two things",
         "prose:It works.#list:- one thing\n- two things"},
        {"table", "Settings are these.\n\na | b\nc | d",
         "prose:Settings are these.#table:Settings are these.\n\na | b\nc | d"},
        {"code with the sentence before", "Run it:\n\n```sh\nls\n```\n\nDone now.",
         "prose:Run it:#code:Run it:\n\n```sh\nls\n```#prose:Done now."},
        {"code set in", "Use this.\n\n    a = 1\n    b = 2\n\nIt works.",
         "prose:Use this.#code:Use this.\n\n    a = 1\n    b = 2#prose:It works."},
        {"begins inside of code", "x = 1\n)\n```\n\nThen restart it.", "prose:Then restart it."},
        {"ends inside of code", "Say:\n\n```python\nx = 1",
         "prose:Say:#code:Say:\n\n```python\nx = 1"},
        {"nothing", " \n\n", ""},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct al_arena a;
        al_arena_init(&a, NULL, 1 << 20);
        struct al_str out = shown(al_str_c(cases[i].in), &a);
        if (!al_str_is(out, cases[i].out))
            fail_msg("case '%s': '" AL_STR_FMT "'", cases[i].name, AL_STR_ARG(out));
        al_arena_fini(&a);
    }
}

static void test_items_of_a_long_list_know_their_lead(void **state)
{
    (void)state;
    struct al_arena a;
    struct al_buf b;
    al_arena_init(&a, NULL, 1 << 20);
    al_buf_init(&b, al_arena_mem(&a), 0);
    al_buf_cstr(&b, "There are many reasons. Here are some of the common causes:\n\n");
    for (int i = 0; i < 40; i++)
        al_buf_printf(&b, "- reason number %d, which takes some words to explain to the reader\n",
                      i);
    struct al_str text = al_buf_view(&b);
    struct al_passage *p = NULL;
    size_t n = 0;
    struct al_err err = {0};
    AL_CHECK_OK(al_passages(text, &a, &p, &n, &err), err);
    size_t items = 0;
    for (size_t i = 0; i < n; i++) {
        struct al_str lead = al_str_sub(text, p[i].lead.start, p[i].lead.end - p[i].lead.start);
        if (p[i].kind == AL_PASSAGE_LIST) {
            assert_true(p[i].span.end - p[i].span.start <= AL_PASSAGE_BYTES_MAX);
            assert_int_equal(p[i].span.start, p[i].lead.start);
            assert_int_equal(text.p[p[i].span.end], '\n'); /* cut behind an item */
        }
        if (p[i].kind == AL_PASSAGE_ITEM || p[i].kind == AL_PASSAGE_LIST)
            assert_true(al_str_is(lead, "Here are some of the common causes:"));
        items += p[i].kind == AL_PASSAGE_ITEM;
    }
    assert_int_equal(items, 40);
    al_arena_fini(&a);
}

static void test_memory(void **state)
{
    (void)state;
    struct al_str text = AL_STR("One thing. Look at these:\n\n- a b\n- c d\n\n```\nx\n```\nEnd.");
    bool reached = false;
    for (size_t limit = 1; limit < 100000 && !reached; limit += 16) {
        struct al_arena small;
        struct al_passage *p = NULL;
        size_t n = 0;
        al_arena_init(&small, NULL, limit);
        enum al_code c = al_passages(text, &small, &p, &n, NULL);
        reached = c == AL_OK;
        assert_true(reached ? n > 0 : c == AL_RESOURCE_EXHAUSTED && !p);
        al_arena_fini(&small);
    }
    assert_true(reached);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds_and_leads),
        cmocka_unit_test(test_items_of_a_long_list_know_their_lead),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests_name("text.passages", tests, NULL, NULL);
}
