// Ports that sockets share (SO_REUSEPORT), which only one user's may. To the
// kernel all of them are farsockd's.
// SPDX-License-Identifier: MIT
#include "daemon/core.h"

#include <errno.h>
#include <string.h>

#include <netinet/in.h>

#include "daemon/host_options.h"
#include "farsock/proto.h"

static int number_of(int fd, int level, int option) {
    int v = 0;
    socklen_t len = sizeof v;
    return getsockopt(fd, level, option, &v, &len) == 0 ? v : 0;
}

static int shares(const struct sock *s) {
    return number_of(s->fd, SOL_SOCKET, SO_REUSEPORT);
}

void reuse_note(struct sock *s) {
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    node_remove(&s->reuse);
    if (shares(s) && getsockname(s->fd, (struct sockaddr *)&sa, &len) == 0 &&
        policy_addr_of(&s->reuse_at, &sa, len)) {
        node_append(&s->link->engine->reusing, &s->reuse);
    }
}

static bool is_dual(const struct sock *s, const struct policy_addr *a) {
    return a->family == AF_INET6 && policy_is_unspecified(a) &&
           !number_of(s->fd, IPPROTO_IPV6, IPV6_V6ONLY);
}

static bool overlap(const struct sock *s, const struct policy_addr *a,
    const struct sock *t, const struct policy_addr *b) {
    if (a->family != b->family) {
        return is_dual(s, a) || is_dual(t, b);
    }
    return policy_is_unspecified(a) || policy_is_unspecified(b) ||
           memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

// What lets any two users' sockets have one port, natively: SO_REUSEADDR, and
// interfaces of their own.
static bool may_be_beside(const struct sock *s, const struct sock *other) {
    bool reuse = number_of(s->fd, SOL_SOCKET, SO_REUSEADDR) &&
                 number_of(other->fd, SOL_SOCKET, SO_REUSEADDR);
    int mine = number_of(s->fd, SOL_SOCKET, SO_BINDTOIFINDEX);
    int theirs = number_of(other->fd, SOL_SOCKET, SO_BINDTOIFINDEX);
    return (reuse && !(other->state & FAR_ST_LISTENING)) ||
           (mine && theirs && mine != theirs);
}

int reuse_bind(const struct sock *s, const struct sockaddr_storage *at,
    socklen_t len) {
    const struct node *list = &s->link->engine->reusing;
    struct policy_addr a;
    if (node_is_alone(list) || !policy_addr_of(&a, at, len) || !a.port ||
        !shares(s)) {
        return 0;
    }
    for (struct node *n = list->next; n != list; n = n->next) {
        const struct sock *other = OF(n, struct sock, reuse);
        if (other->fd >= 0 && other->reuse_at.port == a.port &&
            other->type == s->type && other->policy_proto == s->policy_proto &&
            other->link->spec.uid != s->link->spec.uid &&
            overlap(s, &a, other, &other->reuse_at) &&
            !may_be_beside(s, other)) {
            return EADDRINUSE;
        }
    }
    return 0;
}
