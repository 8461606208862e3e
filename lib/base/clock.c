#include "airlore/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define MS_PER_DAY 86400000ULL
#define WALL_MS_MAX \
    253402300799999ULL /* 9999-12-31T23:59:59.999Z, the last time RFC 3339 can write */

static uint64_t system_mono_ns(struct al_clock *c)
{
    (void)c;
    struct timespec t;
    AL_ASSERT(clock_gettime(CLOCK_BOOTTIME, &t) == 0);
    return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

static uint64_t system_wall_ms(struct al_clock *c)
{
    (void)c;
    struct timespec t;
    AL_ASSERT(clock_gettime(CLOCK_REALTIME, &t) == 0);
    if (t.tv_sec < 0)
        return 0;
    return (uint64_t)t.tv_sec * 1000ULL + (uint64_t)t.tv_nsec / 1000000ULL;
}

struct al_clock *al_clock_system(void)
{
    static struct al_clock clock = {system_mono_ns, system_wall_ms};
    return &clock;
}

uint64_t al_clock_mono_ns(struct al_clock *c)
{
    return c->mono_ns(c);
}

uint64_t al_clock_wall_ms(struct al_clock *c)
{
    return c->wall_ms(c);
}

uint64_t al_clock_deadline(struct al_clock *c, uint64_t timeout_ms)
{
    uint64_t ns;
    if (__builtin_mul_overflow(timeout_ms, (uint64_t)1000000, &ns) ||
        __builtin_add_overflow(ns, al_clock_mono_ns(c), &ns))
        return AL_DEADLINE_NONE;
    return ns;
}

bool al_clock_has_passed(struct al_clock *c, uint64_t deadline_ns)
{
    return deadline_ns != AL_DEADLINE_NONE && al_clock_mono_ns(c) >= deadline_ns;
}

/* Calendar arithmetic on years that start in March, so that the leap day is the last of its year;
 * eras are 400 years, 146,097 days. Day 0 is 1970-01-01. */
#define DAYS_PER_ERA 146097
#define DAYS_BEFORE_1970 719468 /* from 0000-03-01 */

static int64_t days_of_date(int64_t year, unsigned month, unsigned day)
{
    if (month <= 2)
        year--;
    int64_t era = year / 400; /* years here are never negative but for 0000-01 and -02 */
    if (year < 0)
        era = -1;
    int64_t year_of_era = year - era * 400;
    unsigned month_from_march = month > 2 ? month - 3 : month + 9;
    int64_t day_of_year = (int64_t)((153 * month_from_march + 2) / 5 + day - 1);
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * DAYS_PER_ERA + day_of_era - DAYS_BEFORE_1970;
}

static void date_of_days(uint64_t days, unsigned *year, unsigned *month, unsigned *day)
{
    uint64_t z = days + DAYS_BEFORE_1970;
    uint64_t day_of_era = z % DAYS_PER_ERA;
    uint64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint64_t m = (5 * day_of_year + 2) / 153;
    *day = (unsigned)(day_of_year - (153 * m + 2) / 5 + 1);
    *month = (unsigned)(m < 10 ? m + 3 : m - 9);
    *year = (unsigned)(year_of_era + z / DAYS_PER_ERA * 400 + (*month <= 2));
}

char *al_clock_format_rfc3339(uint64_t wall_ms, char *buf, size_t n)
{
    if (wall_ms > WALL_MS_MAX)
        wall_ms = WALL_MS_MAX;
    unsigned year;
    unsigned month;
    unsigned day;
    date_of_days(wall_ms / MS_PER_DAY, &year, &month, &day);
    unsigned ms = (unsigned)(wall_ms % MS_PER_DAY);
    snprintf(buf, n, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", year, month, day, ms / 3600000,
             ms / 60000 % 60, ms / 1000 % 60, ms % 1000);
    return buf;
}

struct cursor {
    const char *p;
    const char *end;
    bool failed;
};

static unsigned take_digits(struct cursor *c, unsigned count)
{
    unsigned v = 0;
    for (unsigned i = 0; i < count; i++) {
        if (c->failed || c->p == c->end || *c->p < '0' || *c->p > '9') {
            c->failed = true;
            return 0;
        }
        v = v * 10 + (unsigned)(*c->p++ - '0');
    }
    return v;
}

static char take_char(struct cursor *c, const char *allowed)
{
    if (c->failed || c->p == c->end || *c->p == '\0' || !strchr(allowed, *c->p)) {
        c->failed = true;
        return '\0';
    }
    return *c->p++;
}

/* ".123456": milliseconds, the rest cut off. */
static unsigned take_fraction_ms(struct cursor *c)
{
    if (c->failed || c->p == c->end || *c->p != '.')
        return 0;
    c->p++;
    unsigned ms = take_digits(c, 1) * 100;
    for (unsigned scale = 10; !c->failed && c->p < c->end && *c->p >= '0' && *c->p <= '9';
         scale /= 10)
        ms += take_digits(c, 1) * scale; /* scale reaches 0 and stays there */
    return ms;
}

/* "Z" or "+09:00": minutes east of UTC. */
static int take_zone_min(struct cursor *c)
{
    char sign = take_char(c, "Zz+-");
    if (c->failed || sign == 'Z' || sign == 'z')
        return 0;
    unsigned hour = take_digits(c, 2);
    take_char(c, ":");
    unsigned minute = take_digits(c, 2);
    if (hour > 23 || minute > 59)
        c->failed = true;
    int zone = (int)(hour * 60 + minute);
    return sign == '-' ? -zone : zone;
}

static bool is_date(unsigned year, unsigned month, unsigned day)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (month < 1 || month > 12 || day < 1)
        return false;
    return day <= days[month - 1] + (unsigned)(month == 2 && is_leap);
}

static bool parse_rfc3339(const char *s, size_t n, int64_t *ret_ms)
{
    struct cursor c = {s, s + n, false};
    unsigned year = take_digits(&c, 4);
    take_char(&c, "-");
    unsigned month = take_digits(&c, 2);
    take_char(&c, "-");
    unsigned day = take_digits(&c, 2);
    take_char(&c, "Tt");
    unsigned hour = take_digits(&c, 2);
    take_char(&c, ":");
    unsigned minute = take_digits(&c, 2);
    take_char(&c, ":");
    unsigned second = take_digits(&c, 2);
    unsigned ms = take_fraction_ms(&c);
    int zone = take_zone_min(&c);
    if (c.failed || c.p != c.end || !is_date(year, month, day) || hour > 23 || minute > 59 ||
        second > 60)
        return false;
    int64_t utc_min = days_of_date(year, month, day) * 1440 + (int64_t)(hour * 60 + minute) - zone;
    if (second == 60 && ((utc_min % 1440) + 1440) % 1440 != 1439)
        return false; /* leap seconds are the last of a UTC day; they count as the next second */
    *ret_ms = (utc_min * 60 + second) * 1000 + (int64_t)ms;
    return true;
}

enum al_code al_clock_parse_rfc3339(const char *s, size_t n, uint64_t *ret_wall_ms,
                                    struct al_err *err)
{
    int64_t ms;
    if (n > 64 || !s || !parse_rfc3339(s, n, &ms))
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_TIME",
                         "time: not like '2026-11-21T09:30:00Z' (RFC 3339, with a zone)");
    if (ms < 0 || (uint64_t)ms > WALL_MS_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_TIME",
                         "time: before 1970 or after 9999 (UTC)");
    *ret_wall_ms = (uint64_t)ms;
    return AL_OK;
}

static uint64_t fake_mono_ns(struct al_clock *c)
{
    return ((struct al_fake_clock *)(void *)c)->now_ns;
}

#define FAKE_START_NS 1000000000ULL

static uint64_t fake_wall_ms(struct al_clock *c)
{
    struct al_fake_clock *f = (struct al_fake_clock *)(void *)c;
    return f->wall_base_ms + (f->now_ns - FAKE_START_NS) / 1000000ULL;
}

void al_fake_clock_init(struct al_fake_clock *f, uint64_t wall_ms)
{
    *f = (struct al_fake_clock){{fake_mono_ns, fake_wall_ms}, FAKE_START_NS, wall_ms};
}

void al_fake_clock_step_ms(struct al_fake_clock *f, uint64_t ms)
{
    f->now_ns += ms * 1000000ULL;
}
