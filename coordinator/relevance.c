#include "relevance.h"

#include <math.h>

double al_relevance(double coverage, double cosine, uint32_t n_terms)
{
    if (n_terms == 0 && cosine <= 0)
        return 0;
    double c = cosine > 0 ? cosine : 0;
    double z = -5.2 + 5.6 * coverage + 3.4 * c;
    return 1 / (1 + exp(-z));
}
