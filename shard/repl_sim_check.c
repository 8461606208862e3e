#include "repl_sim.h"

uint64_t sim_count_writes(const struct sim *s, uint64_t upto)
{
    uint64_t n = 0;
    for (uint64_t i = 1; i <= upto && i <= s->n_committed; i++)
        n += sim_write_of(&s->committed[i]) != 0;
    return n;
}

static void commit_new(struct sim *s, uint32_t n, uint64_t i)
{
    const struct node *x = &s->nodes[n];
    s->committed[i] = x->log[i];
    s->n_committed = i;
    uint32_t copies = 0;
    for (uint32_t k = 0; k < NODES; k++)
        copies += s->nodes[k].synced >= i && sim_same_item(&s->nodes[k].log[i], &x->log[i]);
    if (copies + s->wiped < sim_truth(s)->min_in_sync)
        sim_violate(s, "index %u committed on %u disks", (unsigned)i, copies);
    for (uint64_t k = 1; k < i; k++) {
        if (sim_write_of(&x->log[i]) && sim_write_of(&s->committed[k]) == sim_write_of(&x->log[i]))
            sim_violate(s, "write %u has two effects, at %u and %u", sim_write_of(&x->log[i]),
                        (unsigned)k, (unsigned)i);
    }
    uint64_t epoch = al_repl_epoch(x->r);
    if (s->committer[epoch] && s->committer[epoch] != n + 1)
        sim_violate(s, "two replicas commit in epoch %u", (unsigned)epoch);
    s->committer[epoch] = n + 1;
}

void sim_note_commit(struct sim *s, uint32_t n, uint64_t index)
{
    struct node *x = &s->nodes[n];
    if (index < x->commit)
        sim_violate(s, "commit index of %u fell to %u", n, (unsigned)index);
    if (index > x->len) {
        sim_violate(s, "%u commits %u beyond its log", n, (unsigned)index);
        return;
    }
    for (uint64_t i = 1; i <= index; i++) {
        if (i > s->n_committed)
            commit_new(s, n, i);
        else if (!sim_same_item(&s->committed[i], &x->log[i]))
            sim_violate(s, "index %u committed twice, differently, by %u", (unsigned)i, n);
    }
    x->commit = index;
}

static void check_sets(struct sim *s)
{
    if (s->awaited)
        return; /* etcd is behind, and nobody acts on it */
    for (uint32_t n = 0; n < NODES; n++) {
        if (!(sim_truth(s)->in_sync & 1u << n) || !sim_is_named(s, n))
            continue;
        for (uint64_t i = 1; i <= s->n_committed; i++) {
            const struct node *x = &s->nodes[n];
            if (i > x->synced || !sim_same_item(&x->log[i], &s->committed[i])) {
                sim_violate(s, "in-sync replica %u lacks the committed index %u", n, (unsigned)i);
                return;
            }
        }
    }
}

static void check_matching(struct sim *s)
{
    for (uint32_t a = 0; a < NODES; a++) {
        for (uint32_t b = a + 1; b < NODES; b++) {
            const struct node *x = &s->nodes[a];
            const struct node *y = &s->nodes[b];
            for (uint64_t i = 1; i <= x->len && i <= y->len; i++) {
                if (x->log[i].epoch == y->log[i].epoch && !sim_same_item(&x->log[i], &y->log[i]))
                    sim_violate(s, "%u and %u differ at index %u of one epoch", a, b, (unsigned)i);
            }
        }
    }
}

void sim_check(struct sim *s)
{
    check_sets(s);
    check_matching(s);
    for (uint32_t n = 0; n < NODES; n++) {
        const struct node *x = &s->nodes[n];
        if (!x->r)
            continue;
        if (al_repl_applied_index(x->r) > al_repl_commit(x->r))
            sim_violate(s, "%u applied more than is committed", n);
        if (al_repl_last(x->r) != x->len)
            sim_violate(s, "%u holds %u, its log ends at %u", n, (unsigned)x->len,
                        (unsigned)al_repl_last(x->r));
    }
}
