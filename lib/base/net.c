#include "airlore/net.h"

static struct al_net *or_system(struct al_net *n)
{
    return n ? n : al_net_system();
}

enum al_code al_net_listen(struct al_net *n, const char *host, uint16_t port, int *ret_fd,
                           uint16_t *ret_port, struct al_err *err)
{
    struct al_net_address addresses[AL_NET_ADDRESSES_MAX];
    size_t count = 0;
    n = or_system(n);
    AL_TRY(n->ops->resolve(n, host, port, addresses, AL_NET_ADDRESSES_MAX, &count, err));
    AL_ASSERT(count > 0 && count <= AL_NET_ADDRESSES_MAX);
    enum al_code code = AL_OK;
    for (size_t i = 0; i < count; i++) {
        code = n->ops->listen(n, &addresses[i], ret_fd, ret_port, err);
        if (code == AL_OK)
            return AL_OK;
    }
    return code;
}

void al_net_close(struct al_net *n, int fd)
{
    n = or_system(n);
    n->ops->close(n, fd);
}
