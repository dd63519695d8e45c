// Ports that the kernel would choose: it may choose one that rules deny, and
// what is bound cannot be unbound. So another socket asks it first.
// SPDX-License-Identifier: MIT
#include "daemon/gate.h"

#include <errno.h>
#include <unistd.h>

#include <netinet/in.h>

#include "daemon/host_options.h"

// Where rules deny half of the ports, one call in 65,536 is refused. Each try
// is about 10 us.
enum { TRIES = 16 };

static int number_of(int fd, int level, int name) {
    int v = 0;
    socklen_t len = sizeof v;
    return getsockopt(fd, level, name, &v, &len) == 0 ? v : 0;
}

// Of its kind, with what has a say in the choice.
static int open_like(int of) {
    static const struct {
        int level, name;
    } options[] = {
        {SOL_SOCKET, SO_BINDTOIFINDEX},
        {IPPROTO_IPV6, IPV6_V6ONLY},
        {IPPROTO_IP, IP_LOCAL_PORT_RANGE},
        {IPPROTO_IP, IP_FREEBIND},
        {IPPROTO_IP, IP_TRANSPARENT},
    };
    int fd = socket(number_of(of, SOL_SOCKET, SO_DOMAIN),
        number_of(of, SOL_SOCKET, SO_TYPE) | SOCK_CLOEXEC,
        number_of(of, SOL_SOCKET, SO_PROTOCOL));
    for (size_t i = 0; fd >= 0 && i < sizeof options / sizeof *options; i++) {
        int v = number_of(of, options[i].level, options[i].name);
        if (v) {
            setsockopt(fd, options[i].level, options[i].name, &v, sizeof v);
        }
    }
    return fd;
}

// Another socket, at a free port. -1 with errno.
static int open_at(const struct sock *s, const struct sockaddr_storage *at,
    socklen_t len, struct sockaddr_storage *got, socklen_t *got_len) {
    int fd = open_like(s->fd);
    *got_len = sizeof *got;
    if (fd >= 0 && (bind(fd, (const struct sockaddr *)at, len) < 0 ||
                       getsockname(fd, (struct sockaddr *)got, got_len) < 0)) {
        int err = errno;
        close(fd);
        errno = err;
        return -1;
    }
    return fd;
}

bool gate_is_bound(const struct sock *s, const struct sockaddr_storage *at) {
    struct sockaddr_storage got;
    socklen_t len;
    int fd = open_at(s, at, sizeof *at, &got, &len);
    // While that one has the port, it says only what it is itself.
    bool bound = fd >= 0 && bind(s->fd, (struct sockaddr *)&got, len) < 0 &&
                 errno == EINVAL;
    if (fd >= 0) {
        close(fd);
    }
    return bound;
}

static bool is_chosen(struct sock *s, uint32_t actions,
    const struct sockaddr_storage *at, bool tell) {
    for (uint32_t bit = POLICY_BIND; bit <= POLICY_LISTEN; bit <<= 1) {
        if ((actions & bit) &&
            !gate_chosen(s, (enum policy_action)bit, at, tell)) {
            return false;
        }
    }
    return true;
}

// Of the tries that found no port, and so will again: a bit of a link's.
static uint32_t kind_of(const struct sock *s, uint32_t actions) {
    bool both = actions == (POLICY_BIND | POLICY_LISTEN);
    return s->policy_proto == POLICY_UDP ? 1u
           : both                        ? 2u
           : actions == POLICY_BIND      ? 4u
                                         : 8u;
}

static int set_number(int fd, int level, int name, int v) {
    return setsockopt(fd, level, name, &v, sizeof v);
}

// At a port that was found, as if the kernel had chosen it now: a socket that
// asked for its port keeps it when its connection is dissolved. 0, or -1 with
// errno.
static int bind_as_chosen(int fd, const struct sockaddr_storage *at,
    socklen_t len, const struct sockaddr_storage *found) {
    int range = number_of(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE);
    int later = number_of(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT);
    struct policy_addr a;
    if (!policy_addr_of(&a, found, sizeof *found) ||
        set_number(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE,
            (int)(a.port | (uint32_t)a.port << 16)) < 0) {
        return bind(fd, (const struct sockaddr *)found,
            len); // Linux before 6.3
    }
    if (later) {
        set_number(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 0);
    }
    int result = bind(fd, (const struct sockaddr *)at, len);
    int err = errno;
    if (later) {
        set_number(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, later);
    }
    set_number(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, range);
    errno = err;
    return result;
}

int gate_take_port(struct sock *s, uint32_t actions,
    const struct sockaddr_storage *at, socklen_t len) {
    uint32_t kind = kind_of(s, actions);
    // Who asks again and again where all are denied shall not keep others
    // waiting: one look is enough.
    int tries = s->link->no_ports & kind ? 1 : TRIES;
    // A port where it may at least be bound will do, perhaps.
    bool tell = actions != (POLICY_BIND | POLICY_LISTEN);
    int err = 0;
    for (int i = 1; i <= tries; i++) {
        struct sockaddr_storage got;
        socklen_t got_len;
        int fd = open_at(s, at, len, &got, &got_len);
        if (fd < 0) {
            return errno;
        }
        close(fd);
        if (!is_chosen(s, actions, &got, tell && i == tries)) {
            err = EACCES;
        } else if (bind_as_chosen(s->fd, at, len, &got) == 0) {
            s->link->no_ports &= ~kind;
            return 0;
        } else if (errno != EADDRINUSE) {
            return errno;
        } else {
            err = EADDRINUSE; // somebody was there first
        }
    }
    s->link->no_ports |= err == EACCES ? kind : 0;
    return err;
}

// Rather one where a stream may listen, too, if it should want to.
static int bind_to_any(struct sock *s, const struct sockaddr_storage *at,
    socklen_t len) {
    struct policy *p = s->link->policy;
    int err = EACCES;
    if (policy_names_ports(p, POLICY_LISTEN, s->policy_proto)) {
        err = gate_take_port(s, POLICY_BIND | POLICY_LISTEN, at, len);
    }
    if (err != EACCES) {
        return err;
    }
    if (policy_names_ports(p, POLICY_BIND, s->policy_proto)) {
        return gate_take_port(s, POLICY_BIND, at, len);
    }
    return bind(s->fd, (const struct sockaddr *)at, len) < 0 ? errno : 0;
}

int gate_do_bind(struct sock *s, const struct sockaddr_storage *at,
    socklen_t len) {
    struct sockaddr_storage sa = *at;
    struct policy_addr a = {.port = 1};
    sa.ss_family = sa.ss_family == AF_UNSPEC ? AF_INET : sa.ss_family;
    bool chooses =
        policy_addr_of(&a, &sa, len) && !a.port && s->link->policy &&
        (at->ss_family == sa.ss_family || policy_is_unspecified(&a)) &&
        !number_of(s->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT);
    int err = 0;
    if (chooses) {
        err = bind_to_any(s, &sa, len);
    } else if (bind(s->fd, (const struct sockaddr *)at, len) < 0) {
        err = errno;
    }
    if (!err) {
        s->port_named = a.port != 0;
        s->local_seen = s->link->policy_epoch;
        s->policy_void = false;
    }
    return err;
}
