/* pdf_wire.h - what airlore-pdf writes: the magic, a byte AL_PDF_PAGES or AL_PDF_ERROR; then a text
 * that says why, or: title (length, bytes), number of all pages, number of pages with text, and for
 * each its number, heading and text. Numbers and lengths are LEB128 varints.
 *
 * Thread: constants only.
 */
#ifndef AIRLORE_SOURCES_PDF_WIRE_H
#define AIRLORE_SOURCES_PDF_WIRE_H

#define AL_PDF_MAGIC "airlore-pdf 1\n"
#define AL_PDF_PAGES 1
#define AL_PDF_ERROR 2

#endif
