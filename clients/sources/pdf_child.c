/* airlore-pdf - a PDF from standard input as text on standard output (pdf_wire.h), through poppler.
 *
 * Started by the command line for each document. Before a byte is read it takes away from itself
 * what a parser that has been taken over would want: memory, processor time, files to write, new
 * processes, core dumps, privileges.
 */
#include <errno.h>
#include <poppler.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "airlore/source_pdf.h"
#include "pdf_wire.h"

#define MEMORY_BYTES ((rlim_t)1 << 30)
#define CPU_S 45u
#define FILES 16u
#define PAGE_BYTES_MAX ((size_t)4 << 20)
#define ENTRIES_MAX 20000u
#define LEVELS 8u
#define TITLE_BYTES_MAX 300u

/* A line of the outline. */
struct entry {
    uint32_t page;
    uint32_t level;
    char title[TITLE_BYTES_MAX + 1];
};

struct outline {
    struct entry *entries;
    size_t n;
    size_t cap;
    PopplerDocument *document;
};

static void limit(int what, rlim_t value)
{
    struct rlimit l = {value, value};
    (void)setrlimit((__rlimit_resource_t)what,
                    &l); /* a lower limit that holds already is as good */
}

static void give_up_rights(void)
{
#ifndef AL_NO_MEMORY_LIMIT /* the address sanitizer maps terabytes */
    limit(RLIMIT_AS, MEMORY_BYTES);
#endif
    limit(RLIMIT_CPU, CPU_S);
    limit(RLIMIT_NOFILE, FILES);
    limit(RLIMIT_FSIZE, 0);
    limit(RLIMIT_NPROC, 0);
    limit(RLIMIT_CORE, 0);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

static bool write_all(struct al_str s)
{
    while (s.n) {
        ssize_t n = write(STDOUT_FILENO, s.p, s.n);
        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0)
            s = al_str_sub(s, (size_t)n, s.n);
    }
    return true;
}

static int say_error(const char *why)
{
    struct al_buf b;
    al_buf_init(&b, NULL, 4096);
    al_buf_cstr(&b, AL_PDF_MAGIC);
    al_buf_char(&b, AL_PDF_ERROR);
    struct al_str text = al_str_c(why);
    text.n = text.n > 500 ? al_str_utf8_floor(text, 500) : text.n;
    al_buf_lenstr(&b, text);
    bool ok = write_all(al_buf_view(&b));
    al_buf_fini(&b);
    return ok ? 0 : 1;
}

static bool read_all(struct al_buf *b)
{
    char part[65536];
    for (;;) {
        ssize_t n = read(STDIN_FILENO, part, sizeof part);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0 && al_buf_status(b, NULL) == AL_OK;
        al_buf_add(b, part, (size_t)n);
    }
}

/* ---- the outline ---- */

/* The page that an action leads to, 0: none of this document. */
static uint32_t page_of(PopplerDocument *document, const PopplerAction *action)
{
    if (!action || action->type != POPPLER_ACTION_GOTO_DEST || !action->goto_dest.dest)
        return 0;
    const PopplerDest *to = action->goto_dest.dest;
    if (to->type != POPPLER_DEST_NAMED)
        return to->page_num > 0 ? (uint32_t)to->page_num : 0;
    PopplerDest *found = poppler_document_find_dest(document, to->named_dest);
    uint32_t page = found && found->page_num > 0 ? (uint32_t)found->page_num : 0;
    if (found)
        poppler_dest_free(found);
    return page;
}

static void add_entry(struct outline *o, uint32_t level, const PopplerAction *action)
{
    const char *title = action ? action->any.title : NULL;
    uint32_t page = page_of(o->document, action);
    void *p = o->entries;
    if (!title || !title[0] || !page || !al_str_is_utf8(al_str_c(title)) ||
        al_mem_grow(NULL, &p, &o->cap, o->n + 1, sizeof *o->entries) != AL_OK)
        return;
    o->entries = p;
    struct entry *e = &o->entries[o->n++];
    struct al_str s = al_str_c(title);
    s.n = s.n > TITLE_BYTES_MAX ? al_str_utf8_floor(s, TITLE_BYTES_MAX) : s.n;
    e->page = page;
    e->level = level;
    memcpy(e->title, s.p, s.n);
    e->title[s.n] = '\0';
    for (size_t i = 0; i < s.n; i++) {
        if ((unsigned char)e->title[i] < 0x20)
            e->title[i] = ' ';
    }
}

static void read_level(struct outline *o, PopplerIndexIter *it, uint32_t level)
{
    if (!it)
        return;
    do {
        if (o->n >= ENTRIES_MAX)
            break;
        PopplerAction *action = poppler_index_iter_get_action(it);
        add_entry(o, level, action);
        if (action)
            poppler_action_free(action);
        if (level + 1 < LEVELS)
            read_level(o, poppler_index_iter_get_child(it), level + 1);
    } while (poppler_index_iter_next(it));
    poppler_index_iter_free(it);
}

/* The path of headings of a page: for each level the last entry that is on it or before it. */
static void put_heading(const struct outline *o, uint32_t page, struct al_buf *b)
{
    const char *path[LEVELS] = {NULL};
    for (size_t i = 0; i < o->n; i++) {
        const struct entry *e = &o->entries[i];
        if (e->page > page)
            continue;
        path[e->level] = e->title;
        for (size_t k = e->level + 1; k < LEVELS; k++)
            path[k] = NULL;
    }
    al_buf_reset(b);
    for (size_t i = 0; i < LEVELS; i++) {
        if (path[i] && b->n)
            al_buf_cstr(b, " > ");
        if (path[i])
            al_buf_cstr(b, path[i]);
    }
}

/* ---- pages ---- */

static bool is_small(char c)
{
    return (c >= 'a' && c <= 'z') || (unsigned char)c >= 0x80;
}

/* The text of a page; a word that is cut at the end of a line is joined. */
static void put_text(struct al_str s, struct al_buf *b)
{
    al_buf_reset(b);
    for (size_t i = 0; i < s.n; i++) {
        bool cut = s.p[i] == '-' && i && i + 2 < s.n && s.p[i + 1] == '\n' &&
                   is_small(s.p[i - 1]) && is_small(s.p[i + 2]);
        if (cut)
            i++;
        else if (s.p[i] == '\f')
            al_buf_char(b, '\n');
        else
            al_buf_char(b, s.p[i]);
    }
}

struct writer {
    struct al_buf pages;
    struct al_buf heading;
    struct al_buf text;
    uint32_t n;
};

static void add_page(struct writer *w, PopplerDocument *document, const struct outline *o, int i)
{
    PopplerPage *page = poppler_document_get_page(document, i);
    char *text = page ? poppler_page_get_text(page) : NULL;
    struct al_str s = al_str_trim(al_str_c(text));
    if (s.n > PAGE_BYTES_MAX)
        s.n = al_str_utf8_floor(s, PAGE_BYTES_MAX);
    if (s.n && al_str_is_utf8(s)) {
        put_heading(o, (uint32_t)i + 1, &w->heading);
        put_text(s, &w->text);
        al_buf_varint(&w->pages, (uint64_t)i + 1);
        al_buf_lenstr(&w->pages, al_buf_view(&w->heading));
        al_buf_lenstr(&w->pages, al_buf_view(&w->text));
        w->n++;
    }
    g_free(text);
    if (page)
        g_object_unref(page);
}

static int write_pages(PopplerDocument *document, const struct outline *o, uint32_t n_pages)
{
    struct writer w = {.n = 0};
    al_buf_init(&w.pages, NULL, AL_PDF_BYTES_MAX);
    al_buf_init(&w.heading, NULL, 1 << 20);
    al_buf_init(&w.text, NULL, 2 * PAGE_BYTES_MAX);
    for (uint32_t i = 0; i < n_pages; i++)
        add_page(&w, document, o, (int)i);
    if (al_buf_status(&w.pages, NULL) != AL_OK)
        return say_error("too much text");
    if (w.n == 0)
        return say_error("no text in it (scanned pages?)");
    char *title = poppler_document_get_title(document);
    struct al_str t = al_str_is_utf8(al_str_c(title)) ? al_str_trim(al_str_c(title)) : al_str_c("");
    struct al_buf head;
    al_buf_init(&head, NULL, 1 << 20);
    al_buf_cstr(&head, AL_PDF_MAGIC);
    al_buf_char(&head, AL_PDF_PAGES);
    al_buf_lenstr(&head, t.n > 1000 ? al_str_sub(t, 0, al_str_utf8_floor(t, 1000)) : t);
    al_buf_varint(&head, n_pages);
    al_buf_varint(&head, w.n);
    g_free(title);
    bool ok = write_all(al_buf_view(&head)) && write_all(al_buf_view(&w.pages));
    al_buf_fini(&head);
    al_buf_fini(&w.pages);
    al_buf_fini(&w.heading);
    al_buf_fini(&w.text);
    return ok ? 0 : 1;
}

static int read_document(PopplerDocument *document)
{
    int n = poppler_document_get_n_pages(document);
    if (n < 0 || n > (int)AL_PDF_PAGES_MAX)
        return say_error("too many pages");
    struct outline o = {.document = document};
    read_level(&o, poppler_index_iter_new(document), 0);
    int rc = write_pages(document, &o, (uint32_t)n);
    al_mem_free(NULL, o.entries);
    return rc;
}

int main(void)
{
    struct al_buf in;
    give_up_rights();
    al_buf_init(&in, NULL, AL_PDF_BYTES_MAX);
    if (!read_all(&in))
        return say_error("cannot be read, or too large");
    GError *why = NULL;
    GBytes *bytes = g_bytes_new_static(in.p ? in.p : "", in.n);
    PopplerDocument *document = poppler_document_new_from_bytes(bytes, NULL, &why);
    int rc = document ? read_document(document) : say_error(why ? why->message : "damaged");
    g_clear_error(&why);
    if (document)
        g_object_unref(document);
    g_bytes_unref(bytes);
    al_buf_fini(&in);
    return rc;
}
