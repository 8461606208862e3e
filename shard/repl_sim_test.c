/* The runs: AL_SEED=n runs only that one and tells its story, AL_SEEDS=n runs so many. The same
 * runs must find each rule that is taken out (al_repl_planted), or they would prove nothing. */
#include <stdlib.h>

#include "repl_sim.h"

#define SEEDS 300u
#define STEPS 2000u
#define PLANTED_SEEDS 20000u

void sim_violate(struct sim *s, const char *fmt, ...)
{
    if (s->violation[0])
        return;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(s->violation, sizeof(s->violation), fmt, ap);
    va_end(ap);
}

void sim_tell(const struct sim *s, const char *fmt, ...)
{
    if (!s->story)
        return;
    va_list ap;
    va_start(ap, fmt);
    vprint_message(fmt, ap);
    va_end(ap);
}

uint64_t sim_below(struct sim *s, uint64_t n)
{
    return al_random_below(&s->random.random, n);
}

bool sim_same_item(const struct al_repl_item *a, const struct al_repl_item *b)
{
    return a->epoch == b->epoch && memcmp(a->write_id, b->write_id, AL_WRITE_ID_BYTES) == 0;
}

uint32_t sim_write_of(const struct al_repl_item *i)
{
    return i->write_id[0];
}

const struct al_repl_record *sim_truth(const struct sim *s)
{
    return &s->history[s->truth];
}

bool sim_is_named(const struct sim *s, uint32_t node)
{
    return memcmp(&sim_truth(s)->members[node], &s->nodes[node].self,
                  sizeof(s->nodes[node].self)) == 0;
}

/* Between two replicas, or a replica and the leader. */
static void cut_link(struct sim *s, uint32_t n)
{
    al_sim_net_set_link(s->net, n, (uint32_t)sim_below(s, NODES + 1), false);
}

static void heal_link(struct sim *s, uint32_t n)
{
    for (uint32_t other = 0; other <= NODES; other++)
        al_sim_net_set_link(s->net, n, other, true);
}

/* What may happen, and how often; each run makes some of it rarer or more frequent, so that runs
 * differ in kind. */
static const struct {
    void (*act)(struct sim *s, uint32_t n);
    uint32_t weight;
} actions[ACTIONS] = {
    {sim_pull, 250},  {sim_sync_log, 200}, {sim_apply, 150},        {sim_propose, 50},
    {sim_learn, 40},  {sim_read, 50},      {sim_ask_set, 10},       {sim_change_primary, 10},
    {sim_crash, 6},   {sim_wipe, 1},       {sim_name_new_store, 5}, {sim_trim, 40},
    {sim_restore, 3}, {sim_report, 15},    {cut_link, 8},           {heal_link, 12},
};

static void step(struct sim *s)
{
    uint64_t at = sim_below(s, s->weight_sum);
    size_t i = 0;
    while (at >= s->weights[i])
        at -= s->weights[i++];
    actions[i].act(s, (uint32_t)sim_below(s, NODES));
    al_sim_net_run_ms(s->net, 1);
}

static void pick_weights(struct sim *s)
{
    static const uint32_t factors[] = {0, 1, 2, 2, 2, 8};
    for (size_t i = 0; i < ACTIONS; i++) {
        uint32_t factor = factors[sim_below(s, AL_ARRAY_LEN(factors))];
        if (factor == 0 && (i < 5 || actions[i].act == sim_report || actions[i].act == heal_link))
            factor = 1; /* without these nothing would happen at all */
        s->weights[i] = actions[i].weight * factor;
        s->weight_sum += s->weights[i];
    }
}

/* ---- runs ---- */

static void setup_net(struct sim *s, uint64_t seed)
{
    static const uint32_t percents[] = {0, 5, 10, 20};
    static const uint32_t slow[] = {0, 10, 30, 60};
    al_seeded_random_init(&s->weather, seed + 1000000007u);
    al_fake_clock_init(&s->clock, 0);
    struct al_sim_net_options o = {.random = &s->weather.random, .clock = &s->clock};
    struct al_err err;
    AL_CHECK_OK(al_sim_net_create(&o, &s->net, &err), err);
    struct al_sim_net_weather w = {
        .lost = percents[sim_below(s, AL_ARRAY_LEN(percents))],
        .doubled = percents[sim_below(s, AL_ARRAY_LEN(percents))],
        .slow = slow[sim_below(s, AL_ARRAY_LEN(slow))],
        .delay_ms = 10,
        .slow_ms = 1000,
    };
    al_sim_net_set_weather(s->net, &w);
    sim_leader_start(s);
}

static void setup(struct sim *s, uint64_t seed)
{
    memset(s, 0, sizeof(*s));
    al_seeded_random_init(&s->random, seed);
    struct al_repl_record rec = {.epoch = 1,
                                 .version = 1,
                                 .n_members = NODES,
                                 .in_sync = (1u << NODES) - 1,
                                 .min_in_sync = 1 + (uint32_t)sim_below(s, 2)};
    setup_net(s, seed);
    for (uint32_t n = 0; n < NODES; n++) {
        s->nodes[n].sim = s;
        s->nodes[n].number = n;
        s->nodes[n].first = 1;
        s->nodes[n].self = (struct al_repl_member){.node = n + 1, .store_uuid = {(uint8_t)(n + 1)}};
        rec.members[n] = s->nodes[n].self;
    }
    s->history[s->n_history++] = rec;
    pick_weights(s);
    for (uint32_t n = 0; n < NODES; n++)
        sim_start(s, n);
}

static void run(struct sim *s, uint64_t seed, bool story)
{
    setup(s, seed);
    s->story = story;
    for (uint32_t i = 0; i < STEPS && !s->violation[0]; i++) {
        step(s);
        sim_check(s);
    }
    for (uint32_t n = 0; n < NODES; n++)
        al_repl_destroy(s->nodes[n].r);
    al_sim_net_destroy(s->net);
}

static void test_invariants_hold(void **state)
{
    (void)state;
    al_repl_planted = 0;
    const char *given = getenv("AL_SEED");
    uint64_t first = given ? strtoull(given, NULL, 10) : 1;
    const char *many = getenv("AL_SEEDS");
    uint64_t last = given ? first : many ? strtoull(many, NULL, 10) : SEEDS;
    uint64_t committed = 0;
    uint64_t acked = 0;
    uint64_t epochs = 0;
    uint64_t installed = 0;
    uint64_t trimmed = 0;
    uint64_t restored = 0;
    for (uint64_t seed = first; seed <= last; seed++) {
        struct sim s;
        run(&s, seed, given != NULL);
        if (s.violation[0])
            fail_msg("seed %llu: %s (AL_SEED=%llu tells the story)", (unsigned long long)seed,
                     s.violation, (unsigned long long)seed);
        committed += s.n_committed;
        acked += s.n_acked;
        epochs += sim_truth(&s)->epoch;
        installed += s.n_installed;
        trimmed += s.n_trimmed;
        restored += sim_truth(&s)->restore;
    }
    print_message("%llu seeds, %llu entries committed, %llu writes acknowledged, %llu epochs, "
                  "%llu times trimmed, %llu checkpoints installed, %llu restores overcome\n",
                  (unsigned long long)(last - first + 1), (unsigned long long)committed,
                  (unsigned long long)acked, (unsigned long long)epochs,
                  (unsigned long long)trimmed, (unsigned long long)installed,
                  (unsigned long long)restored);
    if (!given && !many) { /* runs in which nothing happens would prove nothing */
        assert_true(committed > SEEDS * 5);
        assert_true(acked > SEEDS * 2);
        assert_true(epochs > SEEDS * 2);
        assert_true(trimmed > SEEDS / 2);
        assert_true(installed > SEEDS / 4);
        assert_true(restored > SEEDS / 4);
    }
}

static void test_each_planted_bug_is_found(void **state)
{
    (void)state;
    for (unsigned bug = 1; bug < AL_REPL_BUG_COUNT; bug++) {
        al_repl_planted = (enum al_repl_planted_bug)bug;
        uint64_t seed = 1;
        struct sim s;
        for (; seed <= PLANTED_SEEDS; seed++) {
            run(&s, seed, false);
            if (s.violation[0])
                break;
        }
        if (seed > PLANTED_SEEDS)
            fail_msg("planted bug %u was not found in %u seeds", bug, PLANTED_SEEDS);
        print_message("planted bug %u: seed %llu: %s\n", bug, (unsigned long long)seed,
                      s.violation);
    }
    al_repl_planted = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_invariants_hold),
        cmocka_unit_test(test_each_planted_bug_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
