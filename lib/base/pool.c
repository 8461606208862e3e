#include "airlore/pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define THREADS_MAX 1024u
#define QUEUE_MAX (1024u * 1024u)
#define NAME_MAX_CHARS 12u
#define RETRY_MS 100u /* told to who finds the queue full */

struct task {
    void (*fn)(void *u);
    void *u;
};

struct al_pool {
    struct al_mem *mem;
    pthread_mutex_t mu;
    pthread_cond_t has_work; /* with mu */
    struct task *ring;       /* queue_max long; guarded by mu, like the next four */
    uint32_t head;
    uint32_t n_queued;
    bool is_closed;
    uint32_t queue_max; /* immutable, like the rest */
    struct al_metric *queue_length;
    struct al_metric *refused;
    pthread_mutex_t stop_mu; /* one stop at a time; taken before mu */
    uint32_t n_threads;      /* started and not joined; guarded by stop_mu after create */
    pthread_t threads[];
};

enum al_code al_thread_start(const char *name, void *(*fn)(void *u), void *u,
                             unsigned long *ret_thread, struct al_err *err)
{
    static const int own_faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    for (size_t i = 0; i < AL_ARRAY_LEN(own_faults); i++)
        sigdelset(&all, own_faults[i]); /* a fault must still end the process with a message */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread;
    int errnum = pthread_create(&thread, NULL, fn, u);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (errnum == EAGAIN)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "thread '%s': the system has no more threads",
                       name);
    if (errnum)
        return AL_FAIL_ERRNO(err, errnum, "thread '%s': start", name);
    char cut[16];
    snprintf(cut, sizeof cut, "%s", name);
    pthread_setname_np(thread, cut);
    *ret_thread = thread;
    return AL_OK;
}

static void *worker_main(void *u)
{
    struct al_pool *p = u;
    pthread_mutex_lock(&p->mu);
    for (;;) {
        while (p->n_queued == 0 && !p->is_closed)
            pthread_cond_wait(&p->has_work, &p->mu);
        if (p->n_queued == 0)
            break;
        struct task t = p->ring[p->head];
        p->head = p->head + 1 == p->queue_max ? 0 : p->head + 1;
        p->n_queued--;
        al_metric_set(p->queue_length, p->n_queued);
        pthread_mutex_unlock(&p->mu);
        t.fn(t.u);
        pthread_mutex_lock(&p->mu);
    }
    pthread_mutex_unlock(&p->mu);
    return NULL;
}

static enum al_code check_options(const struct al_pool_options *opt, struct al_err *err)
{
    size_t n = opt->name ? strlen(opt->name) : 0;
    if (n == 0 || n > NAME_MAX_CHARS)
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "pool: name must have 1 to %u characters",
                       NAME_MAX_CHARS);
    if (opt->n_threads < 1 || opt->n_threads > THREADS_MAX)
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "pool '%s': %u threads are not 1 to %u", opt->name,
                       opt->n_threads, THREADS_MAX);
    if (opt->queue_max < 1 || opt->queue_max > QUEUE_MAX)
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "pool '%s': a queue of %u is not 1 to %u",
                       opt->name, opt->queue_max, QUEUE_MAX);
    return AL_OK;
}

static enum al_code register_metrics(struct al_pool *p, const struct al_pool_options *opt,
                                     struct al_err *err)
{
    struct al_buf labels;
    al_buf_init(&labels, p->mem, 256);
    al_metrics_label(&labels, "pool", al_str_c(opt->name));
    enum al_code code = al_buf_status(&labels, err);
    if (code == AL_OK)
        code = al_metrics_gauge(opt->metrics, "airlore_pool_queue_length",
                                "Tasks that wait for a thread.", labels.p, &p->queue_length, err);
    if (code == AL_OK)
        code = al_metrics_counter(opt->metrics, "airlore_pool_refused_total",
                                  "Tasks refused because the queue was full.", labels.p,
                                  &p->refused, err);
    al_buf_fini(&labels);
    return code;
}

static enum al_code start_threads(struct al_pool *p, const struct al_pool_options *opt,
                                  struct al_err *err)
{
    for (uint32_t i = 0; i < opt->n_threads; i++) {
        char name[32];
        snprintf(name, sizeof name, "%s-%u", opt->name, i);
        unsigned long thread;
        AL_TRY_CTX(err, al_thread_start(name, worker_main, p, &thread, err), "pool '%s'",
                   opt->name);
        p->threads[p->n_threads++] = thread;
    }
    return AL_OK;
}

enum al_code al_pool_create(const struct al_pool_options *opt, struct al_pool **ret,
                            struct al_err *err)
{
    AL_TRY(check_options(opt, err));
    AL_AUTO(al_pool)
    p = al_mem_zalloc(opt->mem, sizeof *p + opt->n_threads * sizeof p->threads[0]);
    if (!p)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "pool '%s': out of memory", opt->name);
    p->mem = opt->mem;
    p->queue_max = opt->queue_max;
    pthread_mutex_init(&p->mu, NULL);
    pthread_mutex_init(&p->stop_mu, NULL);
    pthread_cond_init(&p->has_work, NULL);
    p->ring = al_mem_array(opt->mem, opt->queue_max, sizeof *p->ring);
    if (!p->ring)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "pool '%s': out of memory", opt->name);
    AL_TRY(register_metrics(p, opt, err));
    AL_TRY(start_threads(p, opt, err));
    *ret = al_take(p);
    return AL_OK;
}

enum al_code al_pool_submit(struct al_pool *p, void (*fn)(void *u), void *u, struct al_err *err)
{
    pthread_mutex_lock(&p->mu);
    bool is_closed = p->is_closed;
    bool is_full = p->n_queued == p->queue_max;
    if (!is_closed && !is_full) {
        uint32_t tail = (uint32_t)(((uint64_t)p->head + p->n_queued) % p->queue_max);
        p->ring[tail] = (struct task){fn, u};
        p->n_queued++;
        al_metric_set(p->queue_length, p->n_queued);
        pthread_cond_signal(&p->has_work);
    }
    pthread_mutex_unlock(&p->mu);
    if (is_closed)
        return AL_FAIL_R(err, AL_UNAVAILABLE, "SHUTTING_DOWN", "pool: closed");
    if (!is_full)
        return AL_OK;
    al_metric_add(p->refused, 1);
    return al_err_retry_after(err, RETRY_MS,
                              AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "QUEUE_FULL",
                                        "pool: queue full, %u tasks wait", p->queue_max));
}

void al_pool_close(struct al_pool *p)
{
    pthread_mutex_lock(&p->mu);
    p->is_closed = true;
    pthread_cond_broadcast(&p->has_work);
    pthread_mutex_unlock(&p->mu);
}

void al_pool_stop(struct al_pool *p)
{
    al_pool_close(p);
    pthread_mutex_lock(&p->stop_mu);
    for (uint32_t i = 0; i < p->n_threads; i++) {
        AL_ASSERT(!pthread_equal(p->threads[i], pthread_self()));
        pthread_join(p->threads[i], NULL);
    }
    p->n_threads = 0;
    pthread_mutex_unlock(&p->stop_mu);
}

void al_pool_destroy(struct al_pool *p)
{
    if (!p)
        return;
    al_pool_stop(p);
    pthread_cond_destroy(&p->has_work);
    pthread_mutex_destroy(&p->stop_mu);
    pthread_mutex_destroy(&p->mu);
    al_mem_free(p->mem, p->ring);
    al_mem_free(p->mem, p);
}
