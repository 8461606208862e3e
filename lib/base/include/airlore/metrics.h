/* airlore/metrics.h - counters, gauges and histograms in Prometheus text format (0.0.4).
 *
 * Names: airlore_<what>_<unit>[_total]; base units (seconds, bytes). Metrics are registered once at
 * start and updated by handle without a lock. A label set is part of the registration: one handle
 * is one time series.
 *
 * Thread: any thread (updates are atomic; registration is internally locked).
 */
#ifndef AIRLORE_METRICS_H
#define AIRLORE_METRICS_H

#include "airlore/str.h"

struct al_metrics;
struct al_metric;

/* A registry. *ret owned: al_metrics_destroy. */
AL_NODISCARD enum al_code al_metrics_create(struct al_mem *mem, struct al_metrics **ret,
                                            struct al_err *err);

/* End; accepts NULL. Handles die with it. */
void al_metrics_destroy(struct al_metrics *m);

/* Register (or find) a series. name and help borrowed forever (literals); labels like
 * `method="Search",code="OK"` (values escaped: al_metrics_label), at most 1 KiB, copied, NULL for
 * none. At most 4,096 series: AL_RESOURCE_EXHAUSTED. AL_INVALID_ARGUMENT: malformed name or labels;
 * AL_FAILED_PRECONDITION: the name has another type or help already. *ret borrowed from m. m NULL
 * gives NULL handles, on which updates do nothing. */
AL_NODISCARD enum al_code al_metrics_counter(struct al_metrics *m, const char *name,
                                             const char *help, const char *labels,
                                             struct al_metric **ret, struct al_err *err);
AL_NODISCARD enum al_code al_metrics_gauge(struct al_metrics *m, const char *name, const char *help,
                                           const char *labels, struct al_metric **ret,
                                           struct al_err *err);
/* Buckets for seconds: 0.0001 .. 60, three a decade (1, 2.5, 5; from 10 on 10, 30, 60). */
AL_NODISCARD enum al_code al_metrics_histogram(struct al_metrics *m, const char *name,
                                               const char *help, const char *labels,
                                               struct al_metric **ret, struct al_err *err);

/* Update; h may be NULL. add: counters and gauges; set: gauges; observe: histograms, in seconds
 * (what is negative or not finite is ignored). Another kind is our bug and aborts. */
void al_metric_add(struct al_metric *h, uint64_t n);
void al_metric_set(struct al_metric *h, double v);
void al_metric_observe(struct al_metric *h, double v);

/* Current value of a counter or gauge, or the count of a histogram. */
double al_metric_value(const struct al_metric *h);

/* A gauge that is read when scraped; fn is called without locks held and must be quick. */
AL_NODISCARD enum al_code al_metrics_gauge_fn(struct al_metrics *m, const char *name,
                                              const char *help, const char *labels,
                                              double (*fn)(void *u), void *u, struct al_err *err);

/* Append name="value" to a label set in b, after a comma if b is not empty; value is escaped. */
void al_metrics_label(struct al_buf *b, const char *name, struct al_str value);

/* Append the exposition text, sorted by name. Adds process_* (cpu, resident memory, fds, start
 * time). */
void al_metrics_write(struct al_metrics *m, struct al_buf *ret);

AL_DEFINE_AUTO(al_metrics);

#endif
