/* airlore/err.h - error codes and the error object.
 *
 * Every fallible function returns enum al_code and takes a `struct al_err *err` as its last
 * parameter. Codes are numerically those of gRPC, so that the edge translates nothing and no code
 * is invented.
 *
 * `err` lives on the caller's stack, may be NULL, and is untouched on success. Setting it allocates
 * nothing, so that an out-of-memory condition can be reported.
 *
 * Message style: noun first, lower case, values in quotes, no trailing dot:
 *     shard 7: store: open '/data/7': no space left
 *
 * Thread: any thread (no shared state).
 */
#ifndef AIRLORE_ERR_H
#define AIRLORE_ERR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AL_NODISCARD __attribute__((warn_unused_result))
#define AL_PRINTF(fmt_, arg_) __attribute__((format(printf, fmt_, arg_)))

/* name, number, default reason */
#define AL_CODE_MAP(X)        \
    X(OK, 0)                  \
    X(CANCELLED, 1)           \
    X(UNKNOWN, 2)             \
    X(INVALID_ARGUMENT, 3)    \
    X(DEADLINE_EXCEEDED, 4)   \
    X(NOT_FOUND, 5)           \
    X(ALREADY_EXISTS, 6)      \
    X(PERMISSION_DENIED, 7)   \
    X(RESOURCE_EXHAUSTED, 8)  \
    X(FAILED_PRECONDITION, 9) \
    X(ABORTED, 10)            \
    X(OUT_OF_RANGE, 11)       \
    X(UNIMPLEMENTED, 12)      \
    X(INTERNAL, 13)           \
    X(UNAVAILABLE, 14)        \
    X(DATA_LOSS, 15)          \
    X(UNAUTHENTICATED, 16)

enum al_code {
#define AL_CODE_ENUM(name_, number_) AL_##name_ = (number_),
    AL_CODE_MAP(AL_CODE_ENUM)
#undef AL_CODE_ENUM
};

/* One error.
 *
 * code    what kind; never AL_OK in a filled object.
 * vendor  errno or the number a library gave, 0 if none.
 * retry_after_ms  a limit that frees up by itself: the same request may pass after so long; 0: not
 *         said. Set by al_err_retry_after only.
 * reason  stable, UPPER_SNAKE_CASE, a string literal (never freed); clients may match on it.
 * site    file:line that raised it, a string literal.
 * msg     for people; cut at its size.
 */
struct al_err {
    enum al_code code;
    int vendor;
    uint32_t retry_after_ms;
    const char *reason;
    const char *site;
    char msg[240];
};

#define AL_STRINGIFY2(x_) #x_
#define AL_STRINGIFY(x_) AL_STRINGIFY2(x_)
#define AL_SITE __FILE__ ":" AL_STRINGIFY(__LINE__)

/* Raise: fill *err (if any) and give the code back. reason NULL: the code's own name. */
#define AL_FAIL(err_, code_, ...) al_err_set((err_), (code_), NULL, AL_SITE, __VA_ARGS__)
#define AL_FAIL_R(err_, code_, reason_, ...) \
    al_err_set((err_), (code_), (reason_), AL_SITE, __VA_ARGS__)

/* Pass an error up unchanged. */
#define AL_TRY(expr_)                        \
    do {                                     \
        enum al_code al_try_code_ = (expr_); \
        if (al_try_code_ != AL_OK)           \
            return al_try_code_;             \
    } while (0)

/* Pass an error up with context before its message: "context: message". */
#define AL_TRY_CTX(err_, expr_, ...)            \
    do {                                        \
        enum al_code al_try_code_ = (expr_);    \
        if (al_try_code_ != AL_OK) {            \
            al_err_prefix((err_), __VA_ARGS__); \
            return al_try_code_;                \
        }                                       \
    } while (0)

/* Our own bugs only, never user input: prints the condition and aborts, in release builds too. */
#define AL_ASSERT(cond_)                     \
    do {                                     \
        if (__builtin_expect(!(cond_), 0))   \
            al_assert_fail(#cond_, AL_SITE); \
    } while (0)

/* Own a local until the end of its scope:  AL_AUTO(al_shard) s = NULL;
 * needs AL_DEFINE_AUTO(al_shard) beside the prototype of al_shard_destroy (which accepts NULL). */
#define AL_DEFINE_AUTO(type_)                            \
    static inline void type_##_cleanup(struct type_ **p) \
    {                                                    \
        type_##_destroy(*p);                             \
    }                                                    \
    struct type_ /* swallows the semicolon */
#define AL_AUTO(type_) __attribute__((cleanup(type_##_cleanup))) struct type_ *

/* Hand over what AL_AUTO owns: gives the pointer and clears the local. */
#define al_take(ptr_)                     \
    __extension__({                       \
        __typeof__(ptr_) taken_ = (ptr_); \
        (ptr_) = NULL;                    \
        taken_;                           \
    })

#define AL_ARRAY_LEN(a_) (sizeof(a_) / sizeof((a_)[0]))

/* Fill *err (may be NULL) and return code. reason: a literal or NULL for the code's name. */
enum al_code al_err_set(struct al_err *err, enum al_code code, const char *reason, const char *site,
                        const char *fmt, ...) AL_PRINTF(5, 6);

/* Say when the same request may pass: for RATE_LIMITED, QUOTA_EXCEEDED, QUEUE_FULL. Gives code, so
 * that it can stand around AL_FAIL_R. At most 7 days; 0 becomes 1. */
enum al_code al_err_retry_after(struct al_err *err, uint64_t ms, enum al_code code);

/* Put "text: " before the message of a filled *err (may be NULL). */
void al_err_prefix(struct al_err *err, const char *fmt, ...) AL_PRINTF(2, 3);

/* AL_FAIL from errno: maps ENOSPC, EACCES, ENOENT and so on to codes; message gains ": <strerror>".
 */
enum al_code al_err_errno(struct al_err *err, int errnum, const char *site, const char *fmt, ...)
    AL_PRINTF(4, 5);
#define AL_FAIL_ERRNO(err_, errnum_, ...) al_err_errno((err_), (errnum_), AL_SITE, __VA_ARGS__)

/* "INVALID_ARGUMENT" and so on; "CODE_<n>" is never needed: unknown numbers give "UNKNOWN". */
const char *al_code_name(enum al_code code);

/* Whether the same request may be sent again later: UNAVAILABLE, RESOURCE_EXHAUSTED, ABORTED. A
 * write whose outcome is unknown is retried with its write id, which is the caller's decision. */
bool al_code_is_retryable(enum al_code code);

/* Prints to stderr and aborts. */
__attribute__((noreturn)) void al_assert_fail(const char *cond, const char *site);

#endif
