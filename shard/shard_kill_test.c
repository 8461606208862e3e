/* kill -9 at random moments: what was acknowledged is there, what was deleted stays away, verify
 * finds nothing.
 *
 * A child writes with several threads, and says on a pipe what it is about to write and what was
 * acknowledged. The parent kills it; another child opens the shard and says what is there. The
 * parent itself opens nothing: it could not fork afterwards. AL_ROUNDS sets the number of rounds
 * (10), AL_SEED the seed. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "airlore/random.h"
#include "shard_fixture.h"

#define THREADS 3u
#define KEYS 40u
#define ROUNDS 10u

enum line_kind { INTENT, ACK, FOUND };

/* One line on the pipe; shorter than what a pipe writes as one. */
struct line {
    uint32_t kind;
    uint32_t thread;
    uint32_t key;
    uint32_t seed; /* 0: deleted */
};

struct child {
    struct al_shard *s;
    int pipe;
    uint32_t thread;
    uint64_t seed;
};

static struct al_shard_options options(const char *dir)
{
    struct al_shard_options o = fx_options(dir);
    o.store = al_store_rocksdb();
    o.background = true;
    return o;
}

static void say(int pipe, struct line l)
{
    if (write(pipe, &l, sizeof(l)) != (ssize_t)sizeof(l))
        _exit(3);
}

static void key_name(char *buf, size_t n, uint32_t thread, uint32_t key)
{
    snprintf(buf, n, "t%u-%u", thread, key);
}

static void *write_forever(void *u)
{
    struct child *c = u;
    struct al_seeded_random random;
    struct al_arena a;
    al_seeded_random_init(&random, c->seed * 16 + c->thread);
    al_arena_init(&a, NULL, 8u << 20);
    for (;;) {
        al_arena_reset(&a);
        char name[32];
        struct line l = {.kind = INTENT, .thread = c->thread};
        l.key = (uint32_t)al_random_below(&random.random, KEYS);
        if (al_random_below(&random.random, 5))
            l.seed = 1 + (uint32_t)al_random_below(&random.random, 1000000);
        key_name(name, sizeof(name), l.thread, l.key);
        struct al_doc d = fx_doc(&a, name, l.seed, 1 + l.seed % 4);
        struct al_op op = {.kind = l.seed ? AL_OP_PUT_DOC : AL_OP_DELETE_DOC,
                           .doc = &d,
                           .space = FX_SPACE,
                           .id = d.id};
        uint8_t id[16] = {0};
        struct al_write_result r;
        say(c->pipe, l);
        if (al_shard_write(c->s, &op, 1, id, AL_DEADLINE_NONE, &a, &r, NULL) != AL_OK)
            _exit(4);
        l.kind = ACK;
        say(c->pipe, l);
    }
    return NULL;
}

__attribute__((noreturn)) static void run_writer(const char *dir, int pipe, uint64_t seed)
{
    struct al_shard_options o = options(dir);
    struct al_shard *s = fx_open(&o);
    static struct child c[THREADS];
    pthread_t threads[THREADS];
    for (uint32_t i = 0; i < THREADS; i++) {
        c[i] = (struct child){.s = s, .pipe = pipe, .thread = i, .seed = seed};
        if (pthread_create(&threads[i], NULL, write_forever, &c[i]) != 0)
            _exit(5);
    }
    for (;;)
        pause();
}

__attribute__((noreturn)) static void run_checker(const char *dir, int pipe)
{
    struct al_shard_options o = options(dir);
    struct al_shard *s = fx_open(&o);
    fx_verify(s);
    for (uint32_t t = 0; t < THREADS; t++) {
        for (uint32_t k = 0; k < KEYS; k++) {
            char name[32];
            struct line l = {.kind = FOUND, .thread = t, .key = k};
            key_name(name, sizeof(name), t, k);
            if (!fx_has(s, name, &l.seed))
                l.seed = 0;
            say(pipe, l);
        }
    }
    al_shard_destroy(s);
    _exit(0);
}

struct state {
    uint32_t acked[THREADS][KEYS];
    bool under_way[THREADS];
    struct line last[THREADS]; /* the latest intent */
    unsigned n_acks;
};

static void take(struct state *st, const struct line *l)
{
    assert_true(l->thread < THREADS && l->key < KEYS);
    if (l->kind == INTENT) {
        st->under_way[l->thread] = true;
        st->last[l->thread] = *l;
        return;
    }
    assert_int_equal(l->kind, ACK);
    st->under_way[l->thread] = false;
    st->acked[l->thread][l->key] = l->seed;
    st->n_acks++;
}

/* Let it write until so many acknowledgements, then kill it; what it had said by then counts. */
static void kill_one(struct state *st, const char *dir, uint64_t seed, unsigned acks)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(fds[0]);
        run_writer(dir, fds[1], seed);
    }
    close(fds[1]);
    struct line l;
    bool killed = false;
    unsigned until = st->n_acks + acks;
    while (read(fds[0], &l, sizeof(l)) == (ssize_t)sizeof(l)) {
        take(st, &l);
        if (!killed && st->n_acks >= until) {
            kill(pid, SIGKILL);
            killed = true;
        }
    }
    close(fds[0]);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(killed && WIFSIGNALED(status));
}

static void check_one(struct state *st, const char *dir, unsigned round)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(fds[0]);
        run_checker(dir, fds[1]);
    }
    close(fds[1]);
    struct line l;
    unsigned n = 0;
    for (; read(fds[0], &l, sizeof(l)) == (ssize_t)sizeof(l); n++) {
        uint32_t *acked = &st->acked[l.thread][l.key];
        bool pending = st->under_way[l.thread] && st->last[l.thread].key == l.key;
        bool right = l.seed == *acked || (pending && l.seed == st->last[l.thread].seed);
        if (!right)
            fail_msg("round %u: key t%u-%u: found %u, acknowledged %u", round, l.thread, l.key,
                     l.seed, *acked);
        *acked = l.seed;
    }
    close(fds[0]);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(n, THREADS * KEYS);
    memset(st->under_way, 0, sizeof(st->under_way));
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *v = getenv(name);
    return v ? strtoull(v, NULL, 10) : otherwise;
}

static void test_kill_at_random(void **state)
{
    (void)state;
    char dir[256];
    static struct state st;
    struct al_seeded_random random;
    uint64_t seed = number_of("AL_SEED", 1);
    unsigned rounds = (unsigned)number_of("AL_ROUNDS", ROUNDS);
    al_test_dir(dir, sizeof(dir));
    al_seeded_random_init(&random, seed);
    for (unsigned round = 0; round < rounds; round++) {
        unsigned acks = 1 + (unsigned)al_random_below(&random.random, 400);
        kill_one(&st, dir, seed * 1000 + round, acks);
        check_one(&st, dir, round);
    }
    print_message("seed %llu: %u rounds, %u writes acknowledged\n", (unsigned long long)seed,
                  rounds, st.n_acks);
    assert_true(st.n_acks >= rounds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_kill_at_random)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
