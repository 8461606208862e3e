#include "relevance.h"

#include <math.h>
#include <stdlib.h>

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

double al_answerability(double coverage, double cosine)
{
    double c = cosine > 0 ? cosine : 0;
    double z = -5.45 + 5.45 * coverage + 6.70 * c;
    return 1 / (1 + exp(-z));
}
