#include "airlore/pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "airlore/testing.h"

/* A door that tasks wait at, so that a test decides when threads are busy. */
struct gate {
    pthread_mutex_t mu;
    pthread_cond_t cond;
    bool is_open;
    unsigned n_waiting;
    unsigned n_passed;
};

static void gate_init(struct gate *g)
{
    *g = (struct gate){.mu = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};
}

static void pass_gate(void *u)
{
    struct gate *g = u;
    pthread_mutex_lock(&g->mu);
    g->n_waiting++;
    pthread_cond_broadcast(&g->cond);
    while (!g->is_open)
        pthread_cond_wait(&g->cond, &g->mu);
    g->n_passed++;
    pthread_mutex_unlock(&g->mu);
}

static void wait_until_waiting(struct gate *g, unsigned n)
{
    pthread_mutex_lock(&g->mu);
    while (g->n_waiting < n)
        pthread_cond_wait(&g->cond, &g->mu);
    pthread_mutex_unlock(&g->mu);
}

static void open_gate(struct gate *g)
{
    pthread_mutex_lock(&g->mu);
    g->is_open = true;
    pthread_cond_broadcast(&g->cond);
    pthread_mutex_unlock(&g->mu);
}

static struct al_pool *create(uint32_t n_threads, uint32_t queue_max, struct al_metrics *metrics)
{
    struct al_pool *p = NULL;
    struct al_err err;
    struct al_pool_options opt = {
        .name = "test", .n_threads = n_threads, .queue_max = queue_max, .metrics = metrics};
    AL_CHECK_OK(al_pool_create(&opt, &p, &err), err);
    return p;
}

static void test_bad_options_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        struct al_pool_options opt;
    } cases[] = {
        {"no name", {.n_threads = 1, .queue_max = 1}},
        {"empty name", {.name = "", .n_threads = 1, .queue_max = 1}},
        {"long name", {.name = "thirteenchars", .n_threads = 1, .queue_max = 1}},
        {"no threads", {.name = "x", .n_threads = 0, .queue_max = 1}},
        {"many threads", {.name = "x", .n_threads = 1025, .queue_max = 1}},
        {"no queue", {.name = "x", .n_threads = 1, .queue_max = 0}},
        {"long queue", {.name = "x", .n_threads = 1, .queue_max = 1048577}},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct al_pool *p = NULL;
        AL_CHECK(cases[i].what, al_pool_create(&cases[i].opt, &p, NULL) == AL_INVALID_ARGUMENT);
        AL_CHECK(cases[i].what, p == NULL);
    }
}

static void test_full_queue_refuses_at_once(void **state)
{
    (void)state;
    struct al_metrics *m = NULL;
    assert_int_equal(al_metrics_create(NULL, &m, NULL), AL_OK);
    struct al_pool *p = create(2, 3, m);
    struct gate g;
    struct al_err err;
    gate_init(&g);
    for (unsigned i = 1; i <= 2; i++) {
        AL_CHECK_OK(al_pool_submit(p, pass_gate, &g, &err), err);
        wait_until_waiting(&g, i); /* running, no longer in the queue */
    }
    for (int i = 0; i < 3; i++)
        AL_CHECK_OK(al_pool_submit(p, pass_gate, &g, &err), err);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(al_pool_submit(p, pass_gate, &g, &err), AL_RESOURCE_EXHAUSTED);
        assert_string_equal(err.reason, "QUEUE_FULL");
    }
    struct al_buf b;
    al_buf_init(&b, NULL, 0);
    al_metrics_write(m, &b);
    assert_non_null(strstr(b.p, "airlore_pool_queue_length{pool=\"test\"} 3\n"));
    assert_non_null(strstr(b.p, "airlore_pool_refused_total{pool=\"test\"} 5\n"));
    open_gate(&g);
    al_pool_stop(p);
    assert_int_equal(g.n_passed, 5);
    al_pool_destroy(p);
    al_buf_reset(&b);
    al_metrics_write(m, &b);
    assert_non_null(strstr(b.p, "airlore_pool_queue_length{pool=\"test\"} 0\n"));
    al_buf_fini(&b);
    al_metrics_destroy(m);
}

static void test_close_refuses_and_stop_drains(void **state)
{
    (void)state;
    struct al_pool *p = create(1, 100, NULL);
    struct gate g;
    struct al_err err;
    gate_init(&g);
    for (int i = 0; i < 50; i++)
        AL_CHECK_OK(al_pool_submit(p, pass_gate, &g, &err), err);
    al_pool_close(p);
    al_pool_close(p);
    assert_int_equal(al_pool_submit(p, pass_gate, &g, &err), AL_UNAVAILABLE);
    assert_string_equal(err.reason, "SHUTTING_DOWN");
    open_gate(&g);
    al_pool_stop(p);
    assert_int_equal(g.n_passed, 50); /* what was queued has run */
    al_pool_stop(p);
    assert_int_equal(al_pool_submit(p, pass_gate, &g, &err), AL_UNAVAILABLE);
    al_pool_destroy(p);
    al_pool_destroy(NULL);
}

static void test_idle_pool_stops(void **state)
{
    (void)state;
    al_pool_destroy(create(8, 1, NULL)); /* without a task, without close */
    struct al_pool *p = create(1, 1, NULL);
    al_pool_close(p);
    al_pool_destroy(p);
}

struct order {
    int next;
    bool is_broken;
};

static struct order order;

static void check_order(void *u)
{
    if (*(int *)u != order.next++) /* one thread: no lock needed */
        order.is_broken = true;
}

static void test_one_thread_keeps_the_order(void **state)
{
    (void)state;
    struct al_pool *p = create(1, 7, NULL); /* the ring goes round many times */
    static int numbers[5000];
    for (int i = 0; i < 5000; i++) {
        numbers[i] = i;
        while (al_pool_submit(p, check_order, &numbers[i], NULL) != AL_OK)
            sched_yield();
    }
    al_pool_destroy(p);
    assert_int_equal(order.next, 5000);
    assert_false(order.is_broken);
}

#define TASKS_EACH 20000

static _Atomic uint32_t runs[4 * TASKS_EACH];

static void count_run(void *u)
{
    atomic_fetch_add((_Atomic uint32_t *)u, 1);
}

struct producer {
    struct al_pool *pool;
    size_t from;
    size_t n_refused;
};

static void *produce(void *u)
{
    struct producer *p = u;
    for (size_t i = 0; i < TASKS_EACH; i++)
        p->n_refused +=
            al_pool_submit(p->pool, count_run, (void *)&runs[p->from + i], NULL) != AL_OK;
    return NULL;
}

static void test_four_producers(void **state)
{
    (void)state;
    struct al_pool *pool = create(4, 64, NULL);
    struct producer producers[4];
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++) {
        producers[i] = (struct producer){pool, i * TASKS_EACH, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, produce, &producers[i]), 0);
    }
    size_t n_refused = 0;
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        n_refused += producers[i].n_refused;
    }
    al_pool_destroy(pool);
    size_t n_run = 0;
    for (size_t i = 0; i < AL_ARRAY_LEN(runs); i++) {
        assert_true(runs[i] <= 1); /* no task twice */
        n_run += runs[i];
    }
    assert_int_equal(n_run + n_refused, AL_ARRAY_LEN(runs)); /* and none lost */
    assert_true(n_run >= 64);
}

static void *close_pool(void *u)
{
    al_pool_close(u);
    return NULL;
}

static void test_close_races_with_submit(void **state)
{
    (void)state;
    for (int round = 0; round < 50; round++) {
        struct al_pool *pool = create(2, 1000, NULL);
        pthread_t closer;
        _Atomic uint32_t n_run = 0;
        assert_int_equal(pthread_create(&closer, NULL, close_pool, pool), 0);
        uint32_t n_taken = 0;
        for (int i = 0; i < 300; i++)
            n_taken += al_pool_submit(pool, count_run, (void *)&n_run, NULL) == AL_OK;
        pthread_join(closer, NULL);
        al_pool_stop(pool);
        assert_int_equal(n_run, n_taken); /* what was accepted has run */
        al_pool_destroy(pool);
    }
}

static void test_failing_memory(void **state)
{
    (void)state;
    struct al_metrics *m = NULL;
    assert_int_equal(al_metrics_create(NULL, &m, NULL), AL_OK);
    for (size_t n = 0;; n++) {
        struct al_fault_mem f;
        al_fault_mem_init(&f, n, false);
        struct al_pool *p = NULL;
        struct al_pool_options opt = {
            .name = "x", .n_threads = 3, .queue_max = 10, .mem = &f.mem, .metrics = m};
        enum al_code code = al_pool_create(&opt, &p, NULL);
        assert_int_equal(code, f.fired ? AL_RESOURCE_EXHAUSTED : AL_OK);
        assert_int_equal(p != NULL, code == AL_OK);
        al_pool_destroy(p);
        assert_int_equal(f.live, 0);
        if (!f.fired)
            break;
    }
    al_metrics_destroy(m);
}

struct seen {
    char name[16];
    bool blocks_term;
    bool blocks_segv;
};

static void *look_at_thread(void *u)
{
    struct gate *g = ((void **)u)[0];
    struct seen *s = ((void **)u)[1];
    pass_gate(g); /* the name is set from outside, after the start */
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    s->blocks_term = sigismember(&mask, SIGTERM) == 1;
    s->blocks_segv = sigismember(&mask, SIGSEGV) == 1;
    pthread_getname_np(pthread_self(), s->name, sizeof s->name);
    return NULL;
}

static void test_thread_has_name_and_blocks_signals(void **state)
{
    (void)state;
    struct gate g;
    struct seen seen = {0};
    void *arguments[] = {&g, &seen};
    unsigned long thread = 0;
    struct al_err err;
    sigset_t before;
    sigset_t after;
    gate_init(&g);
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    AL_CHECK_OK(
        al_thread_start("a-name-that-is-too-long", look_at_thread, arguments, &thread, &err), err);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    open_gate(&g);
    pthread_join(thread, NULL);
    assert_string_equal(seen.name, "a-name-that-is-");
    assert_true(seen.blocks_term);
    assert_false(seen.blocks_segv);
    assert_int_equal(sigismember(&before, SIGTERM), sigismember(&after, SIGTERM));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_options_are_refused),
        cmocka_unit_test(test_full_queue_refuses_at_once),
        cmocka_unit_test(test_close_refuses_and_stop_drains),
        cmocka_unit_test(test_idle_pool_stops),
        cmocka_unit_test(test_one_thread_keeps_the_order),
        cmocka_unit_test(test_four_producers),
        cmocka_unit_test(test_close_races_with_submit),
        cmocka_unit_test(test_failing_memory),
        cmocka_unit_test(test_thread_has_name_and_blocks_signals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
