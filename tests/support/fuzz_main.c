/* fuzz_main.c - runs a fuzz target without a fuzzing engine: seeded mutations of its corpus.
 *
 * usage: PROGRAM SECONDS [FILE|FOLDER]...     the seed is AL_SEED or the clock, and is printed; a
 * crash leaves the input that caused it as crash-<program>-<seed> in the current folder. The tests
 * run each target for 3 seconds, `make test-long` for 60. The targets have libFuzzer's signature,
 * so that an engine can drive them too.
 */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "airlore/clock.h"
#include "airlore/random.h"
#include "airlore/str.h"

#define INPUT_MAX (1u << 16)
#define CORPUS_MAX 4096u

/* The target: the name and signature are libFuzzer's. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct corpus {
    struct al_buf inputs[CORPUS_MAX];
    size_t n;
};

static uint8_t current[INPUT_MAX];
static size_t current_n;
static char crash_path[512];

static void on_crash(int sig)
{
    FILE *f = fopen(crash_path, "wb"); /* best effort: the process dies anyway */
    if (f) {
        fwrite(current, 1, current_n, f);
        fclose(f);
    }
    signal(sig, SIG_DFL);
    raise(sig);
}

static void add_file(struct corpus *c, const char *path)
{
    FILE *f = c->n < CORPUS_MAX ? fopen(path, "rb") : NULL;
    if (!f)
        return;
    struct al_buf *b = &c->inputs[c->n];
    char block[4096];
    size_t n;
    al_buf_init(b, NULL, INPUT_MAX);
    while ((n = fread(block, 1, sizeof block, f)) > 0 && b->n + n <= INPUT_MAX)
        al_buf_add(b, block, n);
    fclose(f);
    c->n++;
}

static void add_path(struct corpus *c, const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return;
    if (!S_ISDIR(st.st_mode)) {
        add_file(c, path);
        return;
    }
    DIR *d = opendir(path);
    if (!d)
        return;
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char child[1024];
        snprintf(child, sizeof child, "%s/%s", path, e->d_name);
        if (e->d_name[0] != '.' && stat(child, &st) == 0 && S_ISREG(st.st_mode))
            add_file(c, child);
    }
    closedir(d);
}

static void change_bytes(struct al_random *r)
{
    for (uint64_t k = 1 + al_random_below(r, 8); k && current_n; k--) {
        size_t at = (size_t)al_random_below(r, current_n);
        static const uint8_t interesting[] = {0, 1, 0x7f, 0x80, 0xff, '"', '[', '{', '\n', '\\'};
        if (al_random_below(r, 2))
            current[at] = interesting[al_random_below(r, sizeof interesting)];
        else
            current[at] ^= (uint8_t)(1u << al_random_below(r, 8));
    }
}

static void change_length(struct al_random *r)
{
    if (current_n && al_random_below(r, 2)) {
        current_n = (size_t)al_random_below(r, current_n + 1);
        return;
    }
    if (!current_n)
        return;
    size_t from = (size_t)al_random_below(r, current_n);
    size_t n = (size_t)al_random_below(r, current_n - from + 1);
    for (uint64_t k = 1 + al_random_below(r, 64); k && current_n + n <= INPUT_MAX && n; k--) {
        memcpy(current + current_n, current + from, n);
        current_n += n;
    }
}

static void next_input(const struct corpus *c, struct al_random *r)
{
    current_n = 0;
    if (c->n && al_random_below(r, 16)) {
        const struct al_buf *b = &c->inputs[al_random_below(r, c->n)];
        current_n = b->n < INPUT_MAX ? b->n : INPUT_MAX;
        if (current_n)
            memcpy(current, b->p, current_n);
    } else {
        current_n = (size_t)al_random_below(r, 512);
        al_random_fill(r, current, current_n);
    }
    for (uint64_t k = al_random_below(r, 4); k; k--) {
        if (al_random_below(r, 3))
            change_bytes(r);
        else
            change_length(r);
    }
}

static void catch_crashes(const char *program, unsigned long long seed)
{
    const char *name = strrchr(program, '/');
    snprintf(crash_path, sizeof crash_path, "crash-%s-%llu", name ? name + 1 : program, seed);
    static const int signals[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGALRM};
    for (size_t i = 0; i < AL_ARRAY_LEN(signals); i++)
        signal(signals[i], on_crash);
}

/* One input on the heap, exactly as long as it is, so that a read past its end is seen. */
static void run_one(void)
{
    uint8_t *exact = malloc(current_n ? current_n : 1);
    if (!exact)
        return;
    memcpy(exact, current, current_n);
    alarm(30); /* an input that takes so long is a finding */
    LLVMFuzzerTestOneInput(exact, current_n);
    alarm(0);
    free(exact);
}

int main(int argc, char **argv)
{
    static struct corpus c;
    uint64_t seconds = 0;
    uint64_t seed = al_clock_wall_ms(al_clock_system());
    if (argc < 2 || !al_str_u64(al_str_c(argv[1]), &seconds)) {
        fprintf(stderr, "usage: %s SECONDS [FILE|FOLDER]...\n", argv[0]);
        return 2;
    }
    if (getenv("AL_SEED") && !al_str_u64(al_str_c(getenv("AL_SEED")), &seed))
        return 2;
    for (int i = 2; i < argc; i++)
        add_path(&c, argv[i]);
    catch_crashes(argv[0], (unsigned long long)seed);
    size_t runs = 0;
    for (; runs < c.n; runs++) { /* the corpus itself first: every former finding is in it */
        current_n = c.inputs[runs].n;
        if (current_n)
            memcpy(current, c.inputs[runs].p, current_n);
        run_one();
    }
    struct al_seeded_random r;
    al_seeded_random_init(&r, seed);
    uint64_t end = al_clock_deadline(al_clock_system(), seconds * 1000);
    for (; !al_clock_has_passed(al_clock_system(), end); runs++) {
        next_input(&c, &r.random);
        run_one();
    }
    printf("fuzz: %zu inputs, %zu of them the corpus, seed %llu\n1 passed, 0 failed\n", runs, c.n,
           (unsigned long long)seed);
    return runs ? 0 : 1;
}
