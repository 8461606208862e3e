/* analyzer.h - included before every file by the clang-tidy check, never by the product.
 *
 * The analyzer does not see that al_err_set gives back the code it was given, so it follows paths
 * on which AL_FAIL returns AL_OK and reports what cannot happen. Here the macros say it.
 */
#if __has_include("airlore/err.h") && !defined(__cplusplus)
#include "airlore/err.h"
#undef AL_FAIL
#undef AL_FAIL_R
#define AL_FAIL(err_, code_, ...) \
    ((void)al_err_set((err_), (code_), NULL, AL_SITE, __VA_ARGS__), (code_))
#define AL_FAIL_R(err_, code_, reason_, ...) \
    ((void)al_err_set((err_), (code_), (reason_), AL_SITE, __VA_ARGS__), (code_))
#endif
