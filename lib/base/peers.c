#include "airlore/peers.h"

enum al_code al_peers_call(struct al_peers *p, const struct al_peers_call *c, struct al_err *err)
{
    return p->ops->call(p, c, err);
}

enum al_code al_peers_answer(struct al_peers *p, uint64_t ticket, struct al_str answer,
                             struct al_err *err)
{
    return p->ops->answer(p, ticket, answer, err);
}
