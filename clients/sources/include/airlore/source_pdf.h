/* airlore/source_pdf.h - the text of a PDF, page by page.
 *
 * Parsers of PDF crash on hostile files, so they run in a process of their own (airlore-pdf, beside
 * this program), which limits its memory, processor time and files before it looks at the document;
 * what it writes is checked like any bytes from outside. A crash is an error of one document.
 *
 * Thread: any thread. Memory: the pages, in an arena.
 */
#ifndef AIRLORE_SOURCE_PDF_H
#define AIRLORE_SOURCE_PDF_H

#include "airlore/source.h"

#define AL_PDF_PAGES_MAX 20000u
#define AL_PDF_BYTES_MAX ((size_t)64 << 20) /* of the file, and of its text */

struct al_pdf_page {
    uint32_t number;       /* from 1 */
    struct al_str heading; /* path in the outline ("Concepts > Pools") of the page, may be empty */
    struct al_str text;    /* UTF-8 */
};

struct al_pdf {
    struct al_str title;       /* of the document's information, may be empty */
    uint32_t n_all;            /* pages of the document */
    struct al_pdf_page *pages; /* those that have text, ascending */
    size_t n;
};

/* 0 and NULL mean the default. */
struct al_pdf_options {
    const char *program; /* default: airlore-pdf in the folder of this program */
    uint32_t timeout_ms; /* default 60,000; then the process is killed */
};

/* Read a document, borrowed for the call. *ret in a. AL_INVALID_ARGUMENT: BAD_PDF (damaged,
 * encrypted, the reader crashed), TOO_LARGE; AL_DEADLINE_EXCEEDED; AL_NOT_FOUND (no reader);
 * AL_RESOURCE_EXHAUSTED. */
AL_NODISCARD enum al_code al_pdf_read(struct al_str bytes, const struct al_pdf_options *opt,
                                      struct al_arena *a, struct al_pdf *ret, struct al_err *err);

/* What airlore-pdf wrote; views of bytes. AL_INVALID_ARGUMENT (BAD_PDF), AL_RESOURCE_EXHAUSTED. */
AL_NODISCARD enum al_code al_pdf_parse(struct al_str bytes, struct al_arena *a, struct al_pdf *ret,
                                       struct al_err *err);

#endif
