#include "airlore/source_pdf.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "airlore/testing.h"
#include "pdf_wire.h"

/* ---- a small PDF, written here ---- */

struct pdf {
    struct al_buf b;
    size_t offsets[64];
    size_t n;
};

static void object(struct pdf *p, const char *text)
{
    p->offsets[++p->n] = p->b.n;
    al_buf_printf(&p->b, "%zu 0 obj\n%s\nendobj\n", p->n, text);
}

/* Two pages with text, an empty one between them, and an outline. */
static void make_pdf(struct pdf *p)
{
    static const char *const pages[] = {
        "BT /F1 12 Tf 72 700 Td (The quokka pool has ten slots.) Tj ET", "",
        "BT /F1 12 Tf 72 700 Td (A sensor waits resched-) Tj 0 -14 Td (uled.) Tj ET"};
    char text[600];
    memset(p, 0, sizeof *p);
    al_buf_init(&p->b, NULL, 0);
    al_buf_cstr(&p->b, "%PDF-1.4\n");
    object(p, "<< /Type /Catalog /Pages 2 0 R /Outlines 10 0 R >>");
    object(p, "<< /Type /Pages /Kids [4 0 R 6 0 R 8 0 R] /Count 3 >>");
    object(p, "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>");
    for (size_t i = 0; i < AL_ARRAY_LEN(pages); i++) {
        snprintf(text, sizeof text,
                 "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %zu 0 R "
                 "/Resources << /Font << /F1 3 0 R >> >> >>",
                 p->n + 2);
        object(p, text);
        snprintf(text, sizeof text, "<< /Length %zu >>\nstream\n%s\nendstream", strlen(pages[i]),
                 pages[i]);
        object(p, text);
    }
    object(p, "<< /Type /Outlines /First 11 0 R /Last 12 0 R /Count 2 >>");
    object(p, "<< /Title (Pools) /Parent 10 0 R /Dest [4 0 R /Fit] /Next 12 0 R >>");
    object(p, "<< /Title (Sensors) /Parent 10 0 R /Dest [8 0 R /Fit] /Prev 11 0 R /First 13 0 R "
              "/Last 13 0 R /Count 1 >>");
    object(p, "<< /Title (Modes) /Parent 12 0 R /Dest [8 0 R /Fit] >>");
    object(p, "<< /Title (A guide) >>");
    size_t xref = p->b.n;
    al_buf_printf(&p->b, "xref\n0 %zu\n0000000000 65535 f \n", p->n + 1);
    for (size_t i = 1; i <= p->n; i++)
        al_buf_printf(&p->b, "%010zu 00000 n \n", p->offsets[i]);
    al_buf_printf(&p->b,
                  "trailer << /Size %zu /Root 1 0 R /Info %zu 0 R >>\nstartxref\n%zu\n%%%%EOF\n",
                  p->n + 1, p->n, xref);
}

static const struct al_pdf_options reader = {.program = AL_PDF_PROGRAM, .timeout_ms = 60000};

static void test_pages_and_headings(void **state)
{
    (void)state;
    struct pdf p;
    struct al_arena a;
    struct al_pdf pdf;
    struct al_err err;
    make_pdf(&p);
    al_arena_init(&a, NULL, (size_t)64 << 20);
    AL_CHECK_OK(al_pdf_read(al_buf_view(&p.b), &reader, &a, &pdf, &err), err);
    assert_true(al_str_is(pdf.title, "A guide"));
    assert_int_equal(pdf.n_all, 3);
    assert_int_equal(pdf.n, 2);
    assert_int_equal(pdf.pages[0].number, 1);
    assert_true(al_str_is(pdf.pages[0].heading, "Pools"));
    assert_true(al_str_is(pdf.pages[0].text, "The quokka pool has ten slots."));
    assert_int_equal(pdf.pages[1].number, 3);
    assert_true(al_str_is(pdf.pages[1].heading, "Sensors > Modes"));
    assert_true(al_str_is(pdf.pages[1].text, "A sensor waits rescheduled."));
    al_arena_fini(&a);
    al_buf_fini(&p.b);
}

/* Cut and damaged in many places: an answer or BAD_PDF, whatever the parser does. */
static void test_damaged(void **state)
{
    (void)state;
    struct pdf p;
    make_pdf(&p);
    uint64_t x = 99;
    for (int i = 0; i < 40; i++) {
        struct al_arena a;
        struct al_pdf pdf;
        struct al_err err = {.reason = ""};
        al_arena_init(&a, NULL, (size_t)64 << 20);
        char *copy = al_arena_strndup(&a, p.b.p, p.b.n);
        size_t n = p.b.n;
        if (i < 10)
            n = n * (size_t)i / 10;
        for (int k = 0; i >= 10 && k < 30; k++) {
            x = x * 6364136223846793005u + 1442695040888963407u;
            copy[(x >> 20) % n] = (char)(x >> 56);
        }
        enum al_code code = al_pdf_read((struct al_str){copy, n}, &reader, &a, &pdf, &err);
        assert_true(code == AL_OK ||
                    (code == AL_INVALID_ARGUMENT && strcmp(err.reason, "BAD_PDF") == 0));
        al_arena_fini(&a);
    }
    al_buf_fini(&p.b);
}

/* ---- readers that do not what they should ---- */

static char dir[300];

static int make_dir(void **state)
{
    (void)state;
    al_test_dir(dir, sizeof dir);
    return 0;
}

static enum al_code run_script(const char *script, uint32_t timeout_ms, struct al_err *err)
{
    char path[400];
    snprintf(path, sizeof path, "%s/reader", dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, "#!/bin/sh\n%s\n", script);
    fclose(f);
    assert_int_equal(chmod(path, 0755), 0);
    struct al_pdf_options opt = {.program = path, .timeout_ms = timeout_ms};
    struct al_arena a;
    struct al_pdf pdf;
    static char large[1 << 20];
    al_arena_init(&a, NULL, (size_t)200 << 20);
    enum al_code code = al_pdf_read((struct al_str){large, sizeof large}, &opt, &a, &pdf, err);
    al_arena_fini(&a);
    return code;
}

static void test_readers_that_fail(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *script;
        uint32_t timeout_ms;
        enum al_code code;
        const char *reason;
    } cases[] = {
        {"says nothing", "exit 0", 60000, AL_INVALID_ARGUMENT, "BAD_PDF"},
        {"crashes", "kill -SEGV $$", 60000, AL_INVALID_ARGUMENT, "BAD_PDF"},
        {"says rubbish", "/bin/cat >/dev/null; echo rubbish", 60000, AL_INVALID_ARGUMENT,
         "BAD_PDF"},
        {"never ends", "while :; do :; done", 200, AL_DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED"},
        {"says too much", "/bin/cat /dev/zero", 60000, AL_INVALID_ARGUMENT, "TOO_LARGE"},
        {"closes its input", "exec 0<&-; printf 'airlore-pdf 1\\n'; printf '\\002\\003abc'", 60000,
         AL_INVALID_ARGUMENT, "BAD_PDF"},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct al_err err = {.reason = ""};
        AL_CHECK(cases[i].name,
                 run_script(cases[i].script, cases[i].timeout_ms, &err) == cases[i].code);
        AL_CHECK(cases[i].name, strcmp(err.reason, cases[i].reason) == 0);
    }
    struct al_pdf_options none = {.program = "/nonexistent/reader"};
    struct al_arena a;
    struct al_pdf pdf;
    al_arena_init(&a, NULL, 1 << 20);
    assert_int_equal(al_pdf_read(AL_STR("x"), &none, &a, &pdf, NULL), AL_NOT_FOUND);
    al_arena_fini(&a);
}

static void test_answers(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct al_str bytes;
        bool ok;
    } cases[] = {
        {"two pages",
         AL_STR_INIT(AL_PDF_MAGIC "\x01\x01T\x03\x02\x01\x00\x01"
                                  "a"
                                  "\x03\x01h\x01"
                                  "b"),
         true},
        {"no pages", AL_STR_INIT(AL_PDF_MAGIC "\x01\x00\x00\x00"), true},
        {"cut", AL_STR_INIT(AL_PDF_MAGIC "\x01\x01T\x03\x02\x01\x00\x01"), false},
        {"descending",
         AL_STR_INIT(AL_PDF_MAGIC "\x01\x00\x03\x02\x02\x00\x01"
                                  "a"
                                  "\x01\x00\x01"
                                  "b"),
         false},
        {"page past the end",
         AL_STR_INIT(AL_PDF_MAGIC "\x01\x00\x01\x01\x02\x00\x01"
                                  "a"),
         false},
        {"more pages than there are", AL_STR_INIT(AL_PDF_MAGIC "\x01\x00\x01\x02"), false},
        {"something behind", AL_STR_INIT(AL_PDF_MAGIC "\x01\x00\x00\x00x"), false},
        {"not UTF-8", AL_STR_INIT(AL_PDF_MAGIC "\x01\x00\x01\x01\x01\x00\x01\xff"), false},
        {"many pages", AL_STR_INIT(AL_PDF_MAGIC "\x01\x00\xff\xff\xff\xff\x0f\x00"), false},
        {"an error", AL_STR_INIT(AL_PDF_MAGIC "\x02\x03why"), false},
        {"empty", AL_STR_INIT(""), false},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct al_arena a;
        struct al_pdf pdf;
        al_arena_init(&a, NULL, 1 << 20);
        enum al_code code = al_pdf_parse(cases[i].bytes, &a, &pdf, NULL);
        AL_CHECK(cases[i].name, code == (cases[i].ok ? AL_OK : AL_INVALID_ARGUMENT));
        al_arena_fini(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages_and_headings),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_readers_that_fail),
        cmocka_unit_test(test_answers),
    };
    return cmocka_run_group_tests(tests, make_dir, NULL);
}
