/* version.h - versions and ranges of versions, as filters compare them.
 *
 * Between two versions there is always a third ("2.4" < "2.4.0.1" < "2.4.1"), so that a range is
 * empty only when its ends cross or meet in a version that it leaves out.
 *
 * Thread: any thread (pure functions). Memory: views borrow from the texts given.
 */
#ifndef AIRLORE_SHARD_VERSION_H
#define AIRLORE_SHARD_VERSION_H

#include "airlore/filter.h"

/* Whether s looks like a version: digits first, then letters, digits, '.', '-', '_', '+'. */
bool al_version_is(struct al_str s);

/* s trimmed and without a leading v. */
struct al_str al_version_body(struct al_str s);

/* Take the next release number (no leading zeros) from *s; "" when *more is or becomes false. */
struct al_str al_version_next_number(struct al_str *s, bool *more);

/* Order of decimal numbers without leading zeros. */
int al_version_number_cmp(struct al_str a, struct al_str b);

/* The upper end of a range: the version v, or, if raise > 0, v cut to `raise` numbers with the last
 * raised by one. */
struct al_version_end {
    struct al_str v;
    uint8_t raise;
};

struct al_version_range {
    bool has_low;
    bool low_inclusive;
    bool has_high;
    bool high_inclusive;
    struct al_str low;
    struct al_version_end high;
    struct al_str text; /* where "!=" parts are; may be empty */
};

/* Read ">=2.4,<3", "2.10", "2.4+", "2.*", "~=2.4.1", "!=3.0" and lists of them, separated by commas
 * or blanks; false when it is nothing of that. */
bool al_version_range_parse(struct al_str text, struct al_version_range *ret);

/* Whether some version lies in both. */
bool al_version_range_meets(const struct al_version_range *a, const struct al_version_range *b);

/* Whether all versions of a lie in b. */
bool al_version_range_within(const struct al_version_range *a, const struct al_version_range *b);

#endif
