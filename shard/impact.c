#include "impact.h"

#include <string.h>

/* Codes are exact below 16, then four bits of mantissa for each power of two, up to 2^18. */
#define EXACT 16u
#define LENGTH_MAX 0x3ffffu
#define FIRST_POWER 4u

/* Where a merge loses least is judged at usual parameters and this mean length. */
#define USUAL_MEAN 100.0f

uint8_t al_length_code(uint32_t n)
{
    if (n < EXACT)
        return (uint8_t)n;
    n = n < LENGTH_MAX ? n : LENGTH_MAX;
    uint32_t power = 31u - (uint32_t)__builtin_clz(n);
    return (uint8_t)(EXACT + (power - FIRST_POWER) * EXACT + (n >> (power - FIRST_POWER)) % EXACT);
}

uint32_t al_length_of_code(uint8_t code)
{
    if (code < EXACT)
        return code;
    uint32_t power = (code - EXACT) / EXACT + FIRST_POWER;
    return (EXACT + code % EXACT) << (power - FIRST_POWER);
}

void al_impacts_add_front(struct al_impacts *m, const struct al_front *f)
{
    for (uint32_t i = 0; i < f->n; i++)
        al_impacts_add(m, f->pairs[i].tf, f->pairs[i].length);
}

static float usual_score(struct al_impact p)
{
    float norm = 0.9f * (0.6f + 0.4f * (float)al_length_of_code(p.length) / USUAL_MEAN);
    return p.tf == AL_IMPACT_TF_ANY ? 1.0f : (float)p.tf / ((float)p.tf + norm);
}

/* What joining a pair with the next one adds to the bound. */
static float loss_of(const struct al_impact *p)
{
    float joined = usual_score((struct al_impact){p[1].tf, p[0].length});
    float first = usual_score(p[0]);
    float second = usual_score(p[1]);
    return joined - (first > second ? first : second);
}

/* Join the neighbours that lose least; returns the number left. */
static uint32_t join_two(struct al_impact *p, uint32_t n)
{
    uint32_t best = 0;
    float least = loss_of(&p[0]);
    for (uint32_t i = 1; i + 1 < n; i++) {
        float loss = loss_of(&p[i]);
        if (loss < least) {
            least = loss;
            best = i;
        }
    }
    p[best].tf = p[best + 1].tf;
    memmove(p + best + 1, p + best + 2, (n - best - 2) * sizeof *p);
    return n - 1;
}

struct al_front al_impacts_front(const struct al_impacts *m)
{
    struct al_impact all[256];
    uint32_t n = 0;
    uint8_t most = 0;
    for (uint32_t code = 0; code < 256; code++) {
        if (m->tf[code] <= most)
            continue;
        most = m->tf[code];
        all[n++] = (struct al_impact){most, (uint8_t)code};
    }
    while (n > AL_FRONT_MAX)
        n = join_two(all, n);
    struct al_front f = {.n = n};
    memcpy(f.pairs, all, n * sizeof *all);
    return f;
}

int al_front_covers(const struct al_impact *pairs, uint32_t n, uint32_t tf, uint32_t length)
{
    for (uint32_t i = 0; i < n; i++)
        if ((pairs[i].tf >= tf || pairs[i].tf == AL_IMPACT_TF_ANY) &&
            al_length_of_code(pairs[i].length) <= length)
            return 1;
    return 0;
}
