/* airlore/clock.h - the clock port.
 *
 * Two times, never mixed: `mono` for durations, deadlines and leases (nanoseconds, never goes back)
 * and `wall` for what people read and records carry (milliseconds since 1970-01-01 UTC).
 *
 * Thread: any thread.
 */
#ifndef AIRLORE_CLOCK_H
#define AIRLORE_CLOCK_H

#include <stdint.h>

#include "airlore/err.h"

struct al_clock {
    uint64_t (*mono_ns)(struct al_clock *c);
    uint64_t (*wall_ms)(struct al_clock *c);
};

#define AL_DEADLINE_NONE UINT64_MAX

/* The system's clock (CLOCK_BOOTTIME, CLOCK_REALTIME). Shared, never freed. */
struct al_clock *al_clock_system(void);

/* Nanoseconds of the monotonic clock. */
uint64_t al_clock_mono_ns(struct al_clock *c);

/* Milliseconds since the epoch. */
uint64_t al_clock_wall_ms(struct al_clock *c);

/* Monotonic time timeout_ms from now; saturates at AL_DEADLINE_NONE. */
uint64_t al_clock_deadline(struct al_clock *c, uint64_t timeout_ms);

/* Whether the deadline (AL_DEADLINE_NONE: never) has passed. */
bool al_clock_has_passed(struct al_clock *c, uint64_t deadline_ns);

/* "2026-11-21T09:30:00.123Z" into buf of at least 32 bytes; gives buf. */
char *al_clock_format_rfc3339(uint64_t wall_ms, char *buf, size_t n);

/* Read RFC 3339 with zone ("2026-11-21T09:30:00Z", fractions, +09:00) into milliseconds since the
 * epoch. AL_INVALID_ARGUMENT with the reason BAD_TIME otherwise. */
AL_NODISCARD enum al_code al_clock_parse_rfc3339(const char *s, size_t n, uint64_t *ret_wall_ms,
                                                 struct al_err *err);

/* A clock that only moves when told: for tests and the simulator. */
struct al_fake_clock {
    struct al_clock clock;
    uint64_t now_ns;
    uint64_t wall_base_ms;
};

/* Start at the given wall time, mono 1 s. */
void al_fake_clock_init(struct al_fake_clock *f, uint64_t wall_ms);

/* Move both times forward. */
void al_fake_clock_step_ms(struct al_fake_clock *f, uint64_t ms);

#endif
