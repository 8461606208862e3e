#include "airlore/relevance.h"

#include <math.h>
#include <stdlib.h>

#define HITS_FIRST 5u
#define HITS_NAMES 8u

/* Sorted; stems as the analyzer makes them. */
static const char *const FILLERS[] = {
    "about", "again", "all",     "also",     "am",      "ani",   "anyon",   "been",    "best",
    "can",   "could", "did",     "do",       "doe",     "each",  "explain", "find",    "from",
    "get",   "give",  "had",     "has",      "have",    "help",  "how",     "i",       "instead",
    "just",  "kind",  "know",    "like",     "make",    "mani",  "may",     "me",      "mean",
    "might", "much",  "must",    "my",       "need",    "one",   "onli",    "or",      "our",
    "out",   "pleas", "possibl", "properli", "right",   "seem",  "shall",   "should",  "show",
    "so",    "some",  "someth",  "tell",     "than",    "thing", "tri",     "us",      "use",
    "want",  "way",   "we",      "were",     "what",    "when",  "where",   "whether", "whi",
    "which", "while", "who",     "why",      "without", "would", "you",     "your",
};

static int by_word(const void *key, const void *item)
{
    return al_str_cmp(*(const struct al_str *)key, al_str_c(*(const char *const *)item));
}

bool al_relevance_is_filler(struct al_str term)
{
    return bsearch(&term, FILLERS, AL_ARRAY_LEN(FILLERS), sizeof FILLERS[0], by_word) != NULL;
}

double al_relevance(double coverage, double cosine, uint32_t n_terms)
{
    if (n_terms == 0 && cosine <= 0)
        return 0;
    double c = cosine > 0 ? cosine : 0;
    double z = -6.56 + 5.81 * coverage + 8.58 * c - 2.71 * coverage * c;
    return 1 / (1 + exp(-z));
}

/* What the first hits have, at best. */
static double best_of(const struct al_answer *ans, size_t n,
                      double (*value)(const struct al_hit_evidence *e))
{
    double best = 0;
    for (size_t i = 0; i < ans->n_evidence && i < n; i++) {
        double v = value(&ans->evidence[i]);
        best = v > best ? v : best;
    }
    return best;
}

static double soft_of(const struct al_hit_evidence *e)
{
    return e->soft;
}

static double sentence_of(const struct al_hit_evidence *e)
{
    return e->sentence;
}

/* Of the names in the question, how much the one is missing that is found least. */
static double missing_name(const struct al_answer *ans)
{
    double worst = 0;
    for (size_t t = 0; t < ans->n_terms; t++) {
        if (!ans->is_name[t] || ans->idf[t] <= 0)
            continue;
        double found = 0;
        for (size_t i = 0; i < ans->n_evidence && i < HITS_NAMES; i++) {
            double m = (double)ans->evidence[i].match[t];
            found = m > found ? m : found;
        }
        worst = 1 - found > worst ? 1 - found : worst;
    }
    return worst;
}

void al_answerability_features(const struct al_answer *ans, double ret[AL_ANSWERABILITY_FEATURES])
{
    const struct al_query_result *r = &ans->found;
    size_t n_content = 0;
    for (size_t t = 0; t < ans->n_terms; t++)
        n_content += ans->idf[t] > 0;
    ret[0] = best_of(ans, HITS_FIRST, soft_of);
    ret[1] = best_of(ans, HITS_FIRST, sentence_of);
    ret[2] = log(1 + (double)n_content);
    ret[3] = missing_name(ans);
    ret[4] = r->text_max > 0 ? 1 - r->text_mid / r->text_max : 0;
    ret[5] = r->vector_max - r->vector_mid;
}

double al_answerability(const double features[AL_ANSWERABILITY_FEATURES])
{
    static const double w[] = {3.44, 1.96, 2.31, -1.36, 1.49, 1.67};
    double z = -8.42;
    for (size_t i = 0; i < AL_ANSWERABILITY_FEATURES; i++)
        z += w[i] * features[i];
    return 1 / (1 + exp(-z));
}
