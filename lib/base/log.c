#include "airlore/log.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIELD_BYTES_MAX 1024u
#define FIELDS_MAX 64u
#define LINE_BYTES_MAX ((size_t)64 * 1024)
#define RATE_LINES 20u
#define RATE_WINDOW_NS 10000000000ULL
#define EVENTS_MAX 256u /* event ids whose rate is known; the one idle longest makes room */
#define EVENT_BYTES_MAX 64u
#define WRITE_WAIT_MS 100

struct rate {
    char event[EVENT_BYTES_MAX];
    uint64_t start_ns; /* of the window; 0: free */
    uint32_t lines;
    uint64_t dropped;
};

struct al_log {
    int fd;
    enum al_log_level level;
    bool is_human;
    bool has_colour;
    struct al_clock *clock;
    struct al_mem *mem;
    pthread_mutex_t rate_mu; /* guards rates */
    struct rate rates[EVENTS_MAX];
    pthread_mutex_t write_mu; /* lines do not mix */
};

static bool env_is_set(const char *name)
{
    const char *v = getenv(name); // NOLINT(concurrency-mt-unsafe): nobody calls setenv
    return v && *v;
}

static bool wants_colour(int fd)
{
    const char *term = getenv("TERM"); // NOLINT(concurrency-mt-unsafe)
    return isatty(fd) && !env_is_set("NO_COLOR") && !(term && strcmp(term, "dumb") == 0);
}

enum al_code al_log_create(const struct al_log_options *opt, struct al_log **ret,
                           struct al_err *err)
{
    struct al_log *l = al_mem_zalloc(opt->mem, sizeof *l);
    if (!l)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "log: out of memory");
    l->fd = opt->fd;
    l->level = opt->level;
    l->clock = opt->clock ? opt->clock : al_clock_system();
    l->mem = opt->mem;
    l->is_human = opt->format == AL_LOG_HUMAN || (opt->format == AL_LOG_AUTO && isatty(opt->fd));
    l->has_colour = l->is_human && wants_colour(opt->fd);
    pthread_mutex_init(&l->rate_mu, NULL);
    pthread_mutex_init(&l->write_mu, NULL);
    *ret = l;
    return AL_OK;
}

void al_log_destroy(struct al_log *l)
{
    if (!l)
        return;
    pthread_mutex_destroy(&l->rate_mu);
    pthread_mutex_destroy(&l->write_mu);
    al_mem_free(l->mem, l);
}

bool al_log_enabled(const struct al_log *l, enum al_log_level level)
{
    return l && level >= l->level;
}

static struct rate *find_rate(struct al_log *l, const char *event)
{
    struct rate *oldest = &l->rates[0];
    for (size_t i = 0; i < EVENTS_MAX; i++) {
        struct rate *r = &l->rates[i];
        if (r->start_ns && strncmp(r->event, event, sizeof r->event - 1) == 0)
            return r;
        if (r->start_ns < oldest->start_ns)
            oldest = r;
    }
    *oldest = (struct rate){0};
    snprintf(oldest->event, sizeof oldest->event, "%s", event);
    return oldest;
}

/* Whether this line may be written, and how many of its event were dropped before it. */
static bool pass_rate(struct al_log *l, const char *event, uint64_t *ret_dropped)
{
    uint64_t now = al_clock_mono_ns(l->clock);
    pthread_mutex_lock(&l->rate_mu);
    struct rate *r = find_rate(l, event);
    if (!r->start_ns || now - r->start_ns >= RATE_WINDOW_NS) {
        r->start_ns = now ? now : 1;
        r->lines = 0;
    }
    bool may_write = r->lines < RATE_LINES;
    if (may_write) {
        r->lines++;
        *ret_dropped = r->dropped;
        r->dropped = 0;
    } else {
        r->dropped++;
    }
    pthread_mutex_unlock(&l->rate_mu);
    return may_write;
}

/* The character at p (n > 0): its length, 0 if it is not UTF-8. */
static size_t char_len(const char *p, size_t n)
{
    for (size_t len = 1; len <= 4 && len <= n; len++)
        if (al_str_is_utf8((struct al_str){p, len}))
            return len;
    return 0;
}

static void add_ascii(struct al_buf *b, char c)
{
    static const char special[] = "\b\f\n\r\t\"\\";
    static const char letter[] = "bfnrt\"\\";
    const char *hit = c ? strchr(special, c) : NULL;
    if (hit) {
        al_buf_char(b, '\\');
        al_buf_char(b, letter[hit - special]);
    } else if ((unsigned char)c < 0x20 || c == 0x7F) {
        al_buf_printf(b, "\\u%04x", (unsigned)c);
    } else {
        al_buf_char(b, c);
    }
}

/* What a terminal or a line splitter would take for more than text: C1 controls, U+2028, U+2029,
 * and the marks that turn the direction of writing. */
static unsigned unsafe_code_point(const char *p, size_t len)
{
    const uint8_t *u = (const uint8_t *)p;
    if (len == 2 && u[0] == 0xC2 && u[1] < 0xA0)
        return u[1];
    if (len != 3 || u[0] != 0xE2)
        return 0;
    unsigned cp = 0x2000u | (unsigned)(u[1] & 0x3F) << 6 | (u[2] & 0x3F);
    bool is_unsafe = (cp >= 0x2028 && cp <= 0x202E) || cp == 0x200E || cp == 0x200F ||
                     (cp >= 0x2066 && cp <= 0x2069);
    return is_unsafe ? cp : 0;
}

/* Text between quotes: JSON's escapes, whole characters only. */
static void add_escaped(struct al_buf *b, struct al_str s)
{
    bool is_cut = s.n > FIELD_BYTES_MAX;
    if (is_cut)
        s.n = al_str_utf8_floor(s, FIELD_BYTES_MAX);
    for (size_t i = 0; i < s.n;) {
        size_t len = char_len(s.p + i, s.n - i);
        unsigned cp = unsafe_code_point(s.p + i, len);
        if (len == 0)
            al_buf_cstr(b, "\xEF\xBF\xBD");
        else if (len == 1)
            add_ascii(b, s.p[i]);
        else if (cp)
            al_buf_printf(b, "\\u%04x", cp);
        else
            al_buf_add(b, s.p + i, len);
        i += len ? len : 1;
    }
    if (is_cut)
        al_buf_cstr(b, "\xE2\x80\xA6");
}

static void add_quoted(struct al_buf *b, struct al_str s)
{
    al_buf_char(b, '"');
    add_escaped(b, s);
    al_buf_char(b, '"');
}

/* The shortest form that reads back as the same number; what JSON has no number for becomes null.
 */
static void add_f64(struct al_buf *b, double f)
{
    if (!isfinite(f)) {
        al_buf_cstr(b, "null");
        return;
    }
    char text[40];
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, f);
        if (digits == 17 || strtod(text, NULL) == f)
            break;
    }
    al_buf_cstr(b, text);
}

static bool is_plain(struct al_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c >= 0x7F)
            return false; /* with signed char, bytes over 0x7F are <= ' ' too: they are quoted */
    }
    return s.n > 0 && s.n <= FIELD_BYTES_MAX;
}

static void add_value(struct al_buf *b, const struct al_log_field *f, bool is_human)
{
    switch (f->kind) {
    case AL_LOG_STR:
        if (is_human && is_plain(f->s))
            al_buf_str(b, f->s);
        else
            add_quoted(b, f->s);
        break;
    case AL_LOG_U64:
        al_buf_printf(b, "%" PRIu64, f->u);
        break;
    case AL_LOG_I64:
        al_buf_printf(b, "%" PRId64, f->i);
        break;
    case AL_LOG_F64:
        add_f64(b, f->f);
        break;
    case AL_LOG_BOOL:
        al_buf_cstr(b, f->u ? "true" : "false");
        break;
    }
}

static const char *level_name(enum al_log_level level, bool is_human)
{
    static const char *const json[] = {"debug", "info", "warn", "error"};
    static const char *const human[] = {"DEBUG", "INFO ", "WARN ", "ERROR"};
    unsigned i = (unsigned)level <= AL_LOG_ERROR ? (unsigned)level : AL_LOG_ERROR;
    return is_human ? human[i] : json[i];
}

static void begin_human(const struct al_log *l, struct al_buf *b, enum al_log_level level,
                        const char *event)
{
    static const char *const colours[] = {"\x1b[2m", "\x1b[32m", "\x1b[33m", "\x1b[31m"};
    unsigned i = (unsigned)level <= AL_LOG_ERROR ? (unsigned)level : AL_LOG_ERROR;
    char time[32];
    al_buf_cstr(b, al_clock_format_rfc3339(al_clock_wall_ms(l->clock), time, sizeof time));
    al_buf_printf(b, " %s%s%s ", l->has_colour ? colours[i] : "", level_name(level, true),
                  l->has_colour ? "\x1b[0m" : "");
    add_escaped(b, al_str_c(event));
}

static void begin_json(const struct al_log *l, struct al_buf *b, enum al_log_level level,
                       const char *event)
{
    char time[32];
    al_clock_format_rfc3339(al_clock_wall_ms(l->clock), time, sizeof time);
    al_buf_printf(b, "{\"time\":\"%s\",\"level\":\"%s\",\"event\":", time,
                  level_name(level, false));
    add_quoted(b, al_str_c(event));
}

static void add_field(const struct al_log *l, struct al_buf *b, const struct al_log_field *f)
{
    if (l->is_human) {
        al_buf_char(b, ' ');
        add_escaped(b, al_str_c(f->name));
        al_buf_char(b, '=');
    } else {
        al_buf_char(b, ',');
        add_quoted(b, al_str_c(f->name));
        al_buf_char(b, ':');
    }
    add_value(b, f, l->is_human);
}

/* One line, whole; a reader that does not take it in time loses it. */
static void write_line(struct al_log *l, struct al_str s)
{
    pthread_mutex_lock(&l->write_mu);
    unsigned waits = 0;
    while (s.n) {
        ssize_t done = write(l->fd, s.p, s.n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0 && errno == EAGAIN && waits++ == 0) {
            struct pollfd p = {.fd = l->fd, .events = POLLOUT};
            (void)poll(&p, 1, WRITE_WAIT_MS);
            continue;
        }
        if (done <= 0)
            break;
        waits = 0;
        s.p += done;
        s.n -= (size_t)done;
    }
    pthread_mutex_unlock(&l->write_mu);
}

void al_log_write(struct al_log *l, enum al_log_level level, const char *event,
                  const struct al_log_field *fields, size_t n_fields)
{
    uint64_t dropped = 0;
    if (!al_log_enabled(l, level) || !pass_rate(l, event, &dropped))
        return;
    struct al_buf b;
    al_buf_init(&b, l->mem, LINE_BYTES_MAX);
    if (l->is_human)
        begin_human(l, &b, level, event);
    else
        begin_json(l, &b, level, event);
    for (size_t i = 0; i < n_fields && i < FIELDS_MAX; i++)
        add_field(l, &b, &fields[i]);
    if (dropped)
        add_field(l, &b, &AL_U64("dropped", dropped));
    al_buf_cstr(&b, l->is_human ? "\n" : "}\n");
    if (!b.failed)
        write_line(l, al_buf_view(&b));
    al_buf_fini(&b);
}

void al_log_write_fields(struct al_log *l, enum al_log_level level,
                         const struct al_log_field *fields, size_t n)
{
    al_log_write(l, level, fields[0].name, fields + 1, n - 1);
}

void al_log_err(struct al_log *l, enum al_log_level level, const char *event,
                const struct al_err *e)
{
    al_log(l, level, event, AL_S("code", al_code_name(e->code)), AL_S("reason", e->reason),
           AL_S("message", e->msg), AL_S("site", e->site));
}
