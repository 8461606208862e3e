/* bucket.h - what the kinds of buckets have in common: pages of a listing.
 *
 * Thread: confined to one thread. Memory: one page of a listing, in an arena.
 */
#ifndef AIRLORE_SOURCES_BUCKET_H
#define AIRLORE_SOURCES_BUCKET_H

#include "airlore/source_http.h"
#include "web_http.h"

#define AL_BUCKET_PAGE_MAX 1000u
#define AL_BUCKET_PAGE_BYTES_MAX ((uint64_t)16 << 20)

struct al_bucket_object {
    char *key;
    char *etag; /* without quotes; "" when there is none */
    uint64_t size_bytes;
    int64_t modified_s;
};

struct al_bucket_page {
    struct al_bucket_object objects[AL_BUCKET_PAGE_MAX];
    size_t n;
    char *next; /* continuation token; NULL: the last page */
};

/* Where a bucket is and as whom it is read. */
struct al_bucket {
    char base[600]; /* "https://HOST/BUCKET" or "https://BUCKET.HOST", without a slash at the end */
    char name[256];
    char prefix[1100];
    char region[64];
    char user_password[512]; /* "KEY:SECRET"; "" : unsigned */
    char header[4200];       /* session or authorization header; "" none */
};

/* A page of ListObjectsV2, XML. AL_INVALID_ARGUMENT: BAD_XML and so on, TOO_MANY. On an error *ret
 * holds what came before it, here and below. */
AL_NODISCARD enum al_code al_s3_parse(struct al_str xml, struct al_arena *a,
                                      struct al_bucket_page *ret, struct al_err *err);

/* The message in an S3 error document into buf, "" when there is none. */
void al_s3_message(struct al_str xml, char *buf, size_t n);

/* A page of the objects list of Google's JSON API. AL_INVALID_ARGUMENT: BAD_JSON, TOO_MANY. */
AL_NODISCARD enum al_code al_gcs_parse(struct al_str json, struct al_arena *a,
                                       struct al_bucket_page *ret, struct al_err *err);

/* Percent-encode, all but letters, digits and -_.~ (and '/', if kept), as signatures need it. */
void al_bucket_encode(struct al_buf *b, const char *s, bool keep_slash);

#endif
