/* airlore/log.h - events for operators.
 *
 * One call: al_log(l, AL_LOG_WARN, "shard.recover.slow", AL_U64("shard", id), AL_MS("took", ms));
 * A stable dotted event id, then fields. JSON lines, or a human format on a terminal. Never content
 * of documents, vectors, keys or tokens.
 *
 * Each event id is limited to 20 lines in 10 s; the next line of that event says how many were
 * dropped.
 *
 * Thread: any thread (internally locked; the line is built before the lock).
 */
#ifndef AIRLORE_LOG_H
#define AIRLORE_LOG_H

#include "airlore/clock.h"
#include "airlore/str.h"

enum al_log_level { AL_LOG_DEBUG, AL_LOG_INFO, AL_LOG_WARN, AL_LOG_ERROR };
enum al_log_format { AL_LOG_AUTO, AL_LOG_JSON, AL_LOG_HUMAN }; /* AUTO: human if fd is a terminal */

enum al_log_kind { AL_LOG_STR, AL_LOG_U64, AL_LOG_I64, AL_LOG_F64, AL_LOG_BOOL };

/* One field; made by the macros below. name is the last member because al_log() counts on it. */
struct al_log_field {
    enum al_log_kind kind;
    struct al_str s;
    uint64_t u;
    int64_t i;
    double f;
    const char *name;
};

#define AL_S(name_, cstr_) \
    ((struct al_log_field){.name = (name_), .kind = AL_LOG_STR, .s = al_str_c(cstr_)})
#define AL_SV(name_, str_) ((struct al_log_field){.name = (name_), .kind = AL_LOG_STR, .s = (str_)})
#define AL_U64(name_, v_) ((struct al_log_field){.name = (name_), .kind = AL_LOG_U64, .u = (v_)})
#define AL_I64(name_, v_) ((struct al_log_field){.name = (name_), .kind = AL_LOG_I64, .i = (v_)})
#define AL_F64(name_, v_) ((struct al_log_field){.name = (name_), .kind = AL_LOG_F64, .f = (v_)})
#define AL_MS(name_, v_) ((struct al_log_field){.name = name_ "_ms", .kind = AL_LOG_F64, .f = (v_)})
#define AL_FLAG(name_, v_) ((struct al_log_field){.name = (name_), .kind = AL_LOG_BOOL, .u = (v_)})

struct al_log;

struct al_log_options {
    int fd;                  /* borrowed, usually 2 */
    enum al_log_level level; /* lower ones are dropped */
    enum al_log_format format;
    struct al_clock *clock; /* borrowed; NULL: system */
    struct al_mem *mem;     /* borrowed; NULL: standard */
};

/* Start a log. *ret owned: al_log_destroy. Colour on a terminal unless NO_COLOR is set or TERM is
 * "dumb". The program ignores SIGPIPE if fd can be a pipe. */
AL_NODISCARD enum al_code al_log_create(const struct al_log_options *opt, struct al_log **ret,
                                        struct al_err *err);

/* End it; accepts NULL. */
void al_log_destroy(struct al_log *l);

/* Write one event; l may be NULL (dropped). Field strings are escaped and cut at 1 KiB (an ellipsis
 * shows it); bytes that are not UTF-8 become U+FFFD. A line that cannot be built (out of memory) or
 * written is dropped, never waited for longer than 100 ms. */
void al_log_write(struct al_log *l, enum al_log_level level, const char *event,
                  const struct al_log_field *fields, size_t n_fields);

/* Whether a level would be written. */
bool al_log_enabled(const struct al_log *l, enum al_log_level level);

/* The same with the event as the name of the first of n fields: what al_log() calls. */
void al_log_write_fields(struct al_log *l, enum al_log_level level,
                         const struct al_log_field *fields, size_t n);

/* al_log(l, level, event, fields...). The event becomes the last member of field 0, so that what
 * follows starts field 1: standard C, with and without fields. */
#define al_log(l_, level_, ...)                                                                \
    al_log_write_fields((l_), (level_), (const struct al_log_field[]){[0].name = __VA_ARGS__}, \
                        sizeof((const struct al_log_field[]){[0].name = __VA_ARGS__}) /        \
                            sizeof(struct al_log_field))

/* An event with an error's code, reason, message and site. */
void al_log_err(struct al_log *l, enum al_log_level level, const char *event,
                const struct al_err *e);

AL_DEFINE_AUTO(al_log);

#endif
