/* The progress bar. */
#include "progress.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "airlore/clock.h"

#define DRAW_EVERY_NS 100000000u
#define BAR_MAX 30

void al_cli_progress_init(struct al_cli_progress *p, bool is_on, bool colour)
{
    *p = (struct al_cli_progress){.is_on = is_on, .colour = colour};
    pthread_mutex_init(&p->mu, NULL);
    p->started_ns = al_clock_mono_ns(al_clock_system());
}

void al_cli_progress_total(struct al_cli_progress *p, uint64_t items, uint64_t bytes)
{
    pthread_mutex_lock(&p->mu);
    p->total_items = items;
    p->total_bytes = bytes;
    pthread_mutex_unlock(&p->mu);
}

const char *al_cli_number(uint64_t v, char *buf, size_t n)
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%" PRIu64, v);
    size_t at = 0;
    for (int i = 0; i < len && at + 2 < n; i++) {
        if (i && (len - i) % 3 == 0)
            buf[at++] = ',';
        buf[at++] = digits[i];
    }
    buf[at] = '\0';
    return buf;
}

/* Done part of the whole, 0 to 1; negative when the whole is not known. */
static double part_done(const struct al_cli_progress *p)
{
    if (p->total_bytes)
        return p->bytes >= p->total_bytes ? 1.0 : (double)p->bytes / (double)p->total_bytes;
    if (p->total_items)
        return p->items >= p->total_items ? 1.0 : (double)p->items / (double)p->total_items;
    return -1.0;
}

static int put_bar(double part, int width, char *buf)
{
    int cells = width > 100 ? BAR_MAX : 16;
    int at = 0;
    buf[at++] = '[';
    for (int i = 0; i < cells; i++)
        buf[at++] = (double)i < part * (double)cells ? '#' : '.';
    buf[at++] = ']';
    buf[at++] = ' ';
    buf[at] = '\0';
    return at;
}

static void put_left(double seconds, char *buf, size_t n)
{
    uint64_t s = seconds > 359999.0 ? 359999 : (uint64_t)(seconds + 0.999);
    if (s < 60)
        snprintf(buf, n, "  %" PRIu64 " s left", s);
    else if (s < 3600)
        snprintf(buf, n, "  %" PRIu64 ":%02" PRIu64 " min left", s / 60, s % 60);
    else
        snprintf(buf, n, "  %" PRIu64 ":%02" PRIu64 " h left", s / 3600, s / 60 % 60);
}

void al_cli_progress_text(const struct al_cli_progress *p, uint64_t elapsed_ns, int width,
                          char *buf, size_t n)
{
    char bar[BAR_MAX + 8] = "";
    char done[32];
    char total[40] = "";
    char left[40] = "";
    double part = part_done(p);
    double s = (double)elapsed_ns / 1e9;
    if (part >= 0)
        put_bar(part, width, bar);
    if (p->total_items) {
        total[0] = '/';
        al_cli_number(p->total_items, total + 1, sizeof total - 1);
    }
    if (part > 0 && part < 1 && s > 0.5)
        put_left(s / part - s, left, sizeof left);
    double rate = s > 0 ? (double)p->items / s : 0;
    double mb = s > 0 ? (double)p->bytes / s / 1e6 : 0;
    snprintf(buf, n, "%s%s%s  %.0f/s  %.1f MB/s%s", bar, al_cli_number(p->items, done, sizeof done),
             total, rate, mb, left);
}

static void draw(struct al_cli_progress *p, uint64_t now)
{
    char text[200];
    al_cli_progress_text(p, now - p->started_ns, al_cli_term_width(STDERR_FILENO), text,
                         sizeof text);
    fprintf(stderr, "\r%s%s%s\033[K", al_cli_style_on(p->colour, AL_STYLE_CYAN), text,
            al_cli_style_on(p->colour, AL_STYLE_PLAIN));
    fflush(stderr);
    p->drawn_ns = now;
    p->is_drawn = true;
}

void al_cli_progress_add(struct al_cli_progress *p, uint64_t items, uint64_t bytes)
{
    pthread_mutex_lock(&p->mu);
    p->items += items;
    p->bytes += bytes;
    uint64_t now = al_clock_mono_ns(al_clock_system());
    if (p->is_on && now - p->drawn_ns >= DRAW_EVERY_NS)
        draw(p, now);
    pthread_mutex_unlock(&p->mu);
}

void al_cli_progress_fini(struct al_cli_progress *p)
{
    if (p->is_drawn)
        fputs("\r\033[K", stderr);
    pthread_mutex_destroy(&p->mu);
}
