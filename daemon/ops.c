// What each message from near does.
// SPDX-License-Identifier: MIT
#include "daemon/core.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/gate.h"
#include "daemon/run.h"
#include "daemon/translate.h"
#include "farsock/proto.h"

// One request: its header, payload, and the socket it names (NULL: none there).
struct request {
    struct link *link;
    const struct far_msg *msg;
    const void *payload;
    struct sock *sock;
};

static void reply(const struct request *q, int32_t result) {
    link_reply(q->link, q->msg->tag, result, NULL, 0);
}

// State first, then the reply: near waits on the state that it finds.
static void publish_and_reply(const struct request *q, int32_t result,
    const void *data, uint32_t len) {
    sock_publish(q->sock);
    link_reply(q->link, q->msg->tag, result, data, len);
}

// --- Making sockets ---

// A slot and rings as near named them. FAR_OK, or what to answer.
static int32_t check_place(struct link *l, uint32_t slot,
    const struct far_rings *rings) {
    if (slot >= l->layout.sockets ||
        far_rings_check(&l->layout, rings) != FAR_OK) {
        link_violation(l, VIOLATION_PLACE,
            "a new socket's rings are outside its pools");
        return FAR_EBADMSG;
    }
    if (l->slots[slot].sock || rings->gen == l->slots[slot].last_gen) {
        link_violation(l, VIOLATION_PLACE,
            "a new socket in a slot that is in use");
        return FAR_EBUSY;
    }
    return FAR_OK;
}

#define SOCK_TYPES 0xfu // socket() has flags above

// No type of ours: the kernel says what is wrong, with that or the protocol.
static int refuse_type(int family, const struct far_req_socket *req) {
    // Its old name for AF_PACKET, whatever the family.
    bool is_other = req->type == SOCK_PACKET;
    int fd = is_other ? -1 : socket(family, (int)req->type, (int)req->proto);
    if (fd >= 0) {
        close(fd);
    }
    if (fd >= 0 || is_other) {
        errno = ESOCKTNOSUPPORT;
    }
    return -1;
}

int socket_open(struct link *l, const struct far_req_socket *req) {
    int family = host_family(req->family);
    if (family != AF_INET && family != AF_INET6) {
        errno = req->type & ~SOCK_TYPES ? EINVAL : EAFNOSUPPORT;
        return -1;
    }
    int type = host_socktype(req->type);
    if (type <= 0) {
        return refuse_type(family, req);
    }
    int refused = gate_socket(l, type, (int)req->proto);
    if (refused) {
        errno = refused;
        return -1;
    }
    return socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, (int)req->proto);
}

// Near has this socket already, and nobody waits for the answer.
static void keep_promise(struct request *q, const struct far_req_socket *req) {
    struct sock *s = promise_take(q->link, req);
    if (!s) {
        link_violation(q->link, VIOLATION_PLACE,
            "a new socket is one that was not promised");
        reply(q, FAR_EBADMSG);
        return;
    }
    sock_place(s, q->msg->sock, &req->rings);
    promise_asked(q->link, req);
    reply(q, FAR_OK);
}

// What is missing may be what was made ahead for others.
static bool is_scarce(struct link *l, int err) {
    return (err == EMFILE || err == ENFILE || err == ENOBUFS ||
               err == ENOMEM) &&
           promises_revoke(l->engine);
}

static void op_socket(struct request *q) {
    struct far_req_socket req;
    memcpy(&req, q->payload, sizeof req);
    int32_t err = check_place(q->link, q->msg->sock, &req.rings);
    if (err != FAR_OK) {
        reply(q, err);
        return;
    }
    if (req.promise > FAR_PROMISE_WISH) {
        keep_promise(q, &req);
        return;
    }
    int fd = socket_open(q->link, &req);
    if (fd < 0 && is_scarce(q->link, errno)) {
        fd = socket_open(q->link, &req);
    }
    if (fd < 0) {
        reply(q, far_errno(errno));
        return;
    }
    if (!sock_new(q->link, q->msg->sock, &req.rings, fd, req.family, req.type,
            req.proto)) {
        int32_t why = far_errno(errno);
        close(fd);
        reply(q, why);
        return;
    }
    promise_asked(q->link, &req);
    reply(q, FAR_OK);
}

// As a refused connection: it is over for its peer, and nothing was here.
static void turn_away(int fd) {
    struct linger rst = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &rst, sizeof rst);
    close(fd);
}

static bool link_has_incoming_room(const struct link *l) {
    return !l->spec.max_incoming || l->incoming < l->spec.max_incoming;
}

// accept4() knows the peer also of a connection that is over already.
static int accept_allowed(struct sock *listener, struct sockaddr_storage *sa,
    socklen_t *len) {
    for (uint32_t i = 0; i < TURN_ACCEPTS; i++) {
        *len = sizeof *sa;
        int fd = accept4(listener->fd, (struct sockaddr *)sa, len,
            SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && is_scarce(listener->link, errno)) {
            continue;
        }
        if (fd < 0 || gate_accept(listener, sa, *len)) {
            return fd;
        }
        turn_away(fd);
    }
    errno = EAGAIN; // near finds FAR_ST_ACCEPT again and asks for more
    return -1;
}

static int accept_one(struct sock *listener, struct far_rep_accept *rep) {
    struct sockaddr_storage sa;
    socklen_t len;
    int fd = accept_allowed(listener, &sa, &len);
    if (fd < 0) {
        return -1;
    }
    far_addr_of(&sa, len, &rep->peer);
    len = sizeof sa;
    len = getsockname(fd, (struct sockaddr *)&sa, &len) < 0 ? 0 : len;
    far_addr_of(&sa, len, &rep->local);
    return fd;
}

static struct sock *adopt(struct sock *listener, uint32_t slot,
    const struct far_rings *rings, int fd) {
    struct sock *s = sock_new(listener->link, slot, rings, fd, listener->family,
        listener->type, listener->proto);
    if (s) {
        s->linger_on = listener->linger_on;
        s->linger_s = listener->linger_s;
        s->urg_inline = listener->urg_inline;
        s->oob_inline = listener->oob_inline;
        s->wants_ctl = listener->wants_ctl;
        s->rcvlowat = listener->rcvlowat;
        s->incoming = true;
        s->link->incoming++;
        sock_set_state(s, FAR_ST_CONNECTED, 0);
        sock_refresh(s);
        sock_publish(s);
        sock_wake(s);
    }
    return s;
}

static void op_accept(struct request *q) {
    struct far_req_accept req;
    memcpy(&req, q->payload, sizeof req);
    struct sock *s = q->sock;
    int32_t err = check_place(q->link, req.slot, &req.rings);
    if (err == FAR_OK &&
        (!link_has_room(q->link) || !link_has_incoming_room(q->link))) {
        err = FAR_EMFILE; // before a connection is taken, and lost
    }
    if (err != FAR_OK) {
        reply(q, err);
        return;
    }
    struct far_rep_accept rep;
    int fd = accept_one(s, &rep);
    err = fd < 0 ? far_errno(errno) : FAR_OK;
    // Clears FAR_ST_ACCEPT when the kernel has no more. A connection that comes
    // after this look is a new edge.
    sock_refresh(s);
    if (fd >= 0 && !adopt(s, req.slot, &req.rings, fd)) {
        err = far_errno(errno);
        close(fd);
    }
    publish_and_reply(q, err, &rep, err == FAR_OK ? sizeof rep : 0);
}

// --- Requests about a socket ---

static void op_bind(struct request *q) {
    struct far_req_addr req;
    struct sockaddr_storage sa;
    memcpy(&req, q->payload, sizeof req);
    socklen_t len = host_addr(&req.addr, &sa);
    int refused = gate_bind(q->sock, &sa, len);
    int32_t r = far_errno(refused ? refused : reuse_bind(q->sock, &sa, len));
    if (r == FAR_OK) {
        r = far_errno(gate_do_bind(q->sock, &sa, len));
    }
    if (r == FAR_OK && !node_is_alone(&q->sock->reuse)) {
        reuse_note(q->sock);
    }
    publish_and_reply(q, r, NULL, 0);
}

// What a stream's connect() told.
static void stream_connecting(struct sock *s, int32_t r, bool dissolves) {
    bool fresh = !(s->state & (FAR_ST_CONNECTED | FAR_ST_CONNECTING));
    if (fresh && !dissolves && (r == FAR_OK || r == FAR_EINPROGRESS)) {
        s->tx_dead = s->fin_seen = s->failed = s->shut_waits = false;
        s->urg_hint = s->urg_ahead = s->rx_plain = false;
        // What was marked before a first connection stays.
        s->shut_rd &= !(s->state & FAR_ST_HUP);
        // As the kernel does: an earlier connection's error is forgotten.
        s->err &= 0xffff0000u;
        s->dirty = true;
        // It stands from now on, also if it is reset before we look.
        sock_set_state(s, r == FAR_OK ? FAR_ST_CONNECTED : FAR_ST_CONNECTING,
            ~0u);
    }
    // The state follows from the kernel's poll bits: done, under way, failed,
    // or as new.
    if (r != FAR_EINPROGRESS) {
        sock_refresh(s);
    }
}

// Over loopback it stands, or is refused, before connect() returns: who sleeps
// for it has the result, and what else there is, with this answer.
static int32_t connected_at_once(struct sock *s, int32_t r) {
    if (!s->connect_waits) {
        return r;
    }
    sock_refresh(s);
    if (!s->connect_known) {
        return r;
    }
    s->connect_known = false;
    s->events = 0; // of before
    stream_rx(s, TURN_BYTES);
    if (s->rx_ready) {
        sock_wake(s);
    }
    return s->connect_result;
}

static void op_connect(struct request *q) {
    struct far_req_addr req;
    struct sockaddr_storage sa;
    struct sock *s = q->sock;
    memcpy(&req, q->payload, sizeof req);
    socklen_t len = host_addr(&req.addr, &sa);
    int32_t refused = far_errno(gate_connect(s, &sa, len));
    if (refused != FAR_OK) {
        reply(q, refused);
        return;
    }
    if (s->connect_known && req.addr.family != FAR_AF_UNSPEC) {
        s->connect_known = false;
        publish_and_reply(q, s->connect_result, NULL, 0);
        return;
    }
    if (s->connect_told && req.addr.family != FAR_AF_UNSPEC) {
        // The kernel, which was not asked, would say 0 now.
        publish_and_reply(q, FAR_EISCONN, NULL, 0);
        return;
    }
    int32_t r = far_result(connect(s->fd, (struct sockaddr *)&sa, len));
    s->connect_known = false;
    s->connect_told &= r != FAR_OK; // else it is dissolved
    s->connect_waits = (req.flags & FAR_CONNECT_WAITS) &&
                       (r == FAR_EINPROGRESS || r == FAR_EALREADY);
    s->goal = req.addr;
    if (s->type == FAR_SOCK_STREAM) {
        stream_connecting(s, r, req.addr.family == FAR_AF_UNSPEC);
        r = connected_at_once(s, r);
    } else {
        run_forget(s);
        s->connected =
            r == FAR_OK ? req.addr.family != FAR_AF_UNSPEC : s->connected;
        s->policy_seen = s->link->policy_epoch;
        s->verdict++;
        s->dirty = true;
        sock_refresh(s);
    }
    publish_and_reply(q, r, NULL, 0);
}

static void op_listen(struct request *q) {
    struct far_req_listen req;
    memcpy(&req, q->payload, sizeof req);
    int32_t r = far_errno(gate_listen(q->sock));
    if (r == FAR_OK) {
        r = far_result(listen(q->sock->fd, req.backlog));
    }
    if (r == FAR_OK) {
        sock_set_state(q->sock, FAR_ST_LISTENING, 0);
        if (!node_is_alone(&q->sock->reuse)) {
            reuse_note(q->sock);
        }
        sock_refresh(q->sock);
    }
    publish_and_reply(q, r, NULL, 0);
}

// The sending side ends after the bytes that are still in the ring; the caller
// does not wait for that.
static int32_t shutdown_later(struct sock *s, int how) {
    if (!is_connected(s->fd)) {
        return FAR_ENOTCONN;
    }
    if (how == SHUT_RDWR) {
        shutdown(s->fd, SHUT_RD);
    }
    s->shut_waits = true;
    s->shut_how = FAR_SHUT_WR;
    s->shut_pos = s->tx_head;
    return FAR_OK;
}

static void op_shutdown(struct request *q) {
    struct far_req_shutdown req;
    struct sock *s = q->sock;
    memcpy(&req, q->payload, sizeof req);
    int how = host_shut(req.how);
    int32_t r;
    if (how < 0) {
        r = FAR_EINVAL;
    } else if (how != SHUT_RD && tx_used(s)) {
        r = shutdown_later(s, how);
    } else {
        r = far_result(shutdown(s->fd, how));
    }
    // Linux marks the direction also when it says ENOTCONN.
    bool marked = r == FAR_OK || (how >= 0 && r == FAR_ENOTCONN);
    s->shut_rd |= marked && how != SHUT_WR;
    sock_refresh(s);
    if (s->shut_rd && r == FAR_OK && s->type == FAR_SOCK_STREAM) {
        // The end of what there was, where it is short, is known at once.
        stream_rx(s, TURN_BYTES);
    }
    publish_and_reply(q, r, NULL, 0);
}

typedef int name_call(int fd, struct sockaddr *sa, socklen_t *len);

static void answer_name(struct request *q, name_call *call) {
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    struct far_addr addr;
    int32_t r = far_result(call(q->sock->fd, (struct sockaddr *)&sa, &len));
    far_addr_of(&sa, r == FAR_OK ? len : 0, &addr);
    publish_and_reply(q, r, &addr, r == FAR_OK ? sizeof addr : 0);
}

static int sock_name(int fd, struct sockaddr *sa, socklen_t *len) {
    return getsockname(fd, sa, len);
}

static int peer_name(int fd, struct sockaddr *sa, socklen_t *len) {
    return getpeername(fd, sa, len);
}

static void op_getsockname(struct request *q) {
    answer_name(q, sock_name);
}

static void op_getpeername(struct request *q) {
    answer_name(q, peer_name);
}

static void op_setsockopt(struct request *q) {
    struct far_req_setsockopt req;
    memcpy(&req, q->payload, sizeof req);
    int32_t r = opt_set(q->sock, req.level, req.opt,
        (const char *)q->payload + sizeof req,
        q->msg->len - (uint32_t)sizeof req);
    run_forget(q->sock);
    publish_and_reply(q, r, NULL, 0);
}

static void op_getsockopt(struct request *q) {
    struct far_req_getsockopt req;
    // Zero: some options look at what is there.
    uint64_t val[FAR_REPLY_DATA_MAX / 8u] = {0};
    memcpy(&req, q->payload, sizeof req);
    uint32_t size = req.size < sizeof val ? req.size : (uint32_t)sizeof val;
    int32_t r = opt_get(q->sock, req.level, req.opt, val, size);
    publish_and_reply(q, r, val, r > 0 ? (uint32_t)r : 0);
}

static void op_ioctl(struct request *q) {
    struct far_req_ioctl req;
    memcpy(&req, q->payload, sizeof req);
    if (req.request == FAR_FIONREAD && q->sock->urg_hint) {
        urgent_find(q->sock); // bytes count up to the mark
    }
    int32_t r = ioctl_do(q->sock, req.request, &req.arg);
    int32_t kept = shared_next(q->sock);
    if (req.request == FAR_FIONREAD && kept >= 0) {
        req.arg.value = kept;
    }
    struct far_rep_ioctl rep = {
        .rx_head = q->sock->rx_head,
        .tx_tail = q->sock->tx_tail,
        .arg = req.arg,
    };
    publish_and_reply(q, r, &rep, r >= 0 ? sizeof rep : 0);
}

static void op_flush(struct request *q) {
    struct far_req_flush req;
    memcpy(&req, q->payload, sizeof req);
    if (q->sock->type == FAR_SOCK_STREAM) {
        publish_and_reply(q, FAR_OK, NULL, 0); // by now it went
        return;
    }
    dgram_flush(q->sock, q->msg->tag, &req);
    sock_publish(q->sock);
}

static void op_errqueue(struct request *q) {
    struct far_req_errqueue req;
    memcpy(&req, q->payload, sizeof req);
    uint32_t room = req.room < FAR_DGRAM_MAX ? req.room : FAR_DGRAM_MAX;
    uint8_t *data =
        malloc(sizeof(struct far_rep_errqueue) + FAR_CTL_MAX + room);
    if (!data) {
        reply(q, FAR_ENOBUFS);
        return;
    }
    struct far_rep_errqueue rep;
    int32_t r = errqueue_take(q->sock, room, &rep, data + sizeof rep);
    uint32_t len =
        r == FAR_OK ? (uint32_t)sizeof rep + rep.dgram.ctl_len + rep.dgram.len
                    : 0;
    memcpy(data, &rep, sizeof rep);
    publish_and_reply(q, r, data, len);
    free(data);
}

static void op_recv(struct request *q) {
    struct far_req_recv req;
    memcpy(&req, q->payload, sizeof req);
    int32_t r = FAR_EOPNOTSUPP;
    if (q->sock->shared) {
        r = shared_recv(q->sock, &req);
    }
    publish_and_reply(q, r, NULL, 0);
}

static void op_control(struct request *q) {
    struct far_req_control req;
    uint8_t ctl[FAR_CTL_MAX];
    memcpy(&req, q->payload, sizeof req);
    uint32_t len = stamps_find(q->sock, req.end, ctl);
    publish_and_reply(q, FAR_OK, ctl, len);
}

static void op_urgent(struct request *q) {
    struct sock *s = q->sock;
    int32_t r = FAR_EOPNOTSUPP;
    if (s->type == FAR_SOCK_STREAM) {
        s->rx_ready = true;
        stream_rx(s, TURN_BYTES);
        r = s->fd >= 0 ? urgent_find(s) : FAR_EBADMSG;
    }
    publish_and_reply(q, r, NULL, 0);
    if (s->fd >= 0) {
        sock_wake(s);
    }
}

static void op_share(struct request *q) {
    struct slot *slot = &q->link->slots[q->msg->sock];
    int32_t r = token_share(q->sock);
    if (slot->sock) { // else it was a connected stream
        sock_refresh(q->sock);
        sock_publish(q->sock);
    }
    reply(q, r);
}

// As SOCKET, but the kernel's socket is there.
static void op_adopt(struct request *q) {
    struct far_req_socket req;
    memcpy(&req, q->payload, sizeof req);
    struct adopted it = {0};
    int32_t fd = token_adopt(q->link, &it);
    int32_t err = check_place(q->link, q->msg->sock, &req.rings);
    err = fd < 0 ? fd : err;
    if (err == FAR_OK && it.carried) {
        // Who holds its token has the connection already.
        err = req.type == FAR_SOCK_STREAM ? FAR_OK : FAR_EINVAL;
    } else if (err == FAR_OK) {
        err = far_errno(gate_adopt(q->link, fd));
    }
    struct sock *s = NULL;
    if (err == FAR_OK) {
        s = sock_new(q->link, q->msg->sock, &req.rings, fd, req.family,
            req.type, req.proto);
        err = s ? FAR_OK : far_errno(errno);
    }
    if (!s) {
        if (fd >= 0) {
            close(fd);
        }
        shared_unref(it.shared);
        reply(q, err);
        return;
    }
    if (it.shared && req.type != FAR_SOCK_STREAM) {
        shared_join(s, it.shared);
    }
    shared_unref(it.shared);
    s->policy_proto = (uint8_t)gate_proto_of(fd); // whatever near called it
    s->scoped = q->link->policy && gate_has_interface(fd);
    s->port_named = req.type == FAR_SOCK_STREAM;
    s->connected = is_connected(fd);
    reuse_note(s);
    // Of a carried one nothing is read, for it is not in the state to be.
    sock_set_state(s, it.state, 0);
    sock_refresh(s);
    q->sock = s;
    publish_and_reply(q, FAR_OK, NULL, 0);
    sock_wake(s);
}

// --- Requests about tags ---

static void op_fetch(struct request *q) {
    struct far_req_fetch req;
    memcpy(&req, q->payload, sizeof req);
    struct tag *t = &q->link->tags[q->msg->tag];
    if (!t->data || req.offset > t->total) {
        reply(q, FAR_EINVAL);
        return;
    }
    uint32_t part = t->total - req.offset;
    part = part < FAR_REPLY_DATA_MAX ? part : (uint32_t)FAR_REPLY_DATA_MAX;
    link_reply_part(q->link, q->msg->tag, FAR_OK, t->data + req.offset, part,
        t->total);
}

static void op_cancel(struct link *l, uint32_t tag) {
    struct tag *t = &l->tags[tag];
    if (t->lookup) {
        resolver_cancel(l, tag);
    } else if (t->op == FAR_OP_FLUSH && l->slots[t->slot].sock) {
        dgram_cancel(l->slots[t->slot].sock, FAR_ECANCELED);
    }
    // Everything else is answered at once: the answer is under way.
}

// --- Requests about interfaces ---

static void op_getifaddrs(struct request *q) {
    struct far_ifaddr *entries = NULL;
    uint32_t len = 0;
    int32_t r = far_errno(gate_interfaces(q->link));
    if (r == FAR_OK) {
        r = ioctl_ifaddrs(&entries, &len);
    }
    link_reply(q->link, q->msg->tag, r, entries, len);
    free(entries);
}

static void op_ifname(struct request *q) {
    struct far_req_ifname req;
    memcpy(&req, q->payload, sizeof req);
    int32_t r = far_errno(gate_interfaces(q->link));
    if (r == FAR_OK) {
        r = ioctl_ifname(&req);
    }
    link_reply(q->link, q->msg->tag, r, &req, r >= 0 ? sizeof req : 0);
}

// --- Dispatch ---

struct op {
    void (*serve)(struct request *q);
    bool pumps; // what near wrote before it goes first
};

static const struct op ops[] = {
    [FAR_OP_BIND] = {op_bind, true},
    [FAR_OP_CONNECT] = {op_connect, true},
    [FAR_OP_LISTEN] = {op_listen, true},
    [FAR_OP_ACCEPT] = {op_accept, true},
    [FAR_OP_SHUTDOWN] = {op_shutdown, true},
    [FAR_OP_GETSOCKNAME] = {op_getsockname, true},
    [FAR_OP_GETPEERNAME] = {op_getpeername, true},
    [FAR_OP_SETSOCKOPT] = {op_setsockopt, true},
    [FAR_OP_GETSOCKOPT] = {op_getsockopt, true},
    [FAR_OP_FLUSH] = {op_flush, true},
    [FAR_OP_SHARE] = {op_share, true},
    [FAR_OP_IOCTL] = {op_ioctl, true},
    [FAR_OP_URGENT] = {op_urgent, true},
    [FAR_OP_ERRQUEUE] = {op_errqueue, true},
    [FAR_OP_CONTROL] = {op_control, false},
    [FAR_OP_RECV] = {op_recv, true},
};

static void put_aside(struct request *q, uint32_t to) {
    struct link *l = q->link;
    if (!l->is_aside) {
        l->is_aside = true;
        l->aside = *q->msg;
        l->aside_to = to;
        memcpy(l->aside_payload, q->payload, q->msg->len);
    }
}

// What near had published goes first. False: not all of it did in this turn,
// and the message is put aside. What near publishes meanwhile does not count,
// so that the message gets its turn.
static bool pump(struct request *q) {
    struct link *l = q->link;
    struct sock *s = q->sock;
    if (!sock_look(s) || s->fd < 0) {
        return true;
    }
    uint32_t to = l->is_aside ? l->aside_to : s->tx_head;
    if (sock_flush(s, to)) {
        return true;
    }
    sock_publish(s); // near may wait for the room
    put_aside(q, to);
    return false;
}

// Before the messages that follow: after close() with a reset its address can
// be bound again. False: in this turn it did not come to that.
static bool close_kicked(struct request *q) {
    struct slot *slot = &q->link->slots[q->msg->sock];
    sock_turn(q->sock);
    if (slot->sock && slot->sock->cut && !node_is_alone(&slot->sock->run)) {
        put_aside(q, 0);
        return false;
    }
    return true;
}

static bool serve_kick(struct request *q) {
    struct sock *s = q->sock;
    // It may come late, from a finaliser.
    if (!s || (s->closing && !q->link->is_aside)) {
        return true;
    }
    s->kicks_in += !s->closing;
    if (sock_look(s) && (s->near_flags & FAR_NEAR_CLOSE)) {
        return close_kicked(q);
    }
    sock_wake(s);
    return true;
}

// False: it was put aside.
static bool serve_on_socket(struct request *q) {
    const struct op *op = &ops[q->msg->op];
    q->sock = q->link->slots[q->msg->sock].sock;
    if (q->msg->op == FAR_OP_KICK) {
        return serve_kick(q);
    }
    if (!q->sock || q->sock->closing) {
        reply(q, FAR_EBADF);
        return true;
    }
    if (q->sock->fd < 0) {
        reply(q, FAR_EBADMSG); // poisoned
        return true;
    }
    if (op->pumps && !pump(q)) {
        return false;
    }
    if (q->sock->fd < 0) {
        reply(q, FAR_EBADMSG); // by what it had in its ring
        return true;
    }
    op->serve(q);
    return true;
}

bool op_go_on(struct link *l) {
    struct request q = {
        .link = l, .msg = &l->aside, .payload = l->aside_payload};
    l->is_aside = !serve_on_socket(&q);
    return !l->is_aside;
}

static bool names_socket(unsigned op) {
    static const bool table[] = {
#define X(name, num, request, needs_socket, text)                              \
    [FAR_OP_##name] = needs_socket,
#include "farsock/ops.def"
#undef X
    };
    return op < sizeof table && table[op];
}

// A tag is used for one request at a time. False: near broke that.
static bool open_tag(struct link *l, const struct far_msg *m) {
    if (m->op == FAR_OP_KICK || m->op == FAR_OP_CANCEL || !m->tag) {
        return true;
    }
    struct tag *t = &l->tags[m->tag];
    if (t->op) {
        link_breach(l, VIOLATION_MESSAGE, "a tag was used twice");
        return false;
    }
    if (m->op != FAR_OP_FETCH) {
        free(t->data);
        t->data = NULL;
        t->total = 0;
    }
    t->op = m->op;
    l->engine->runner = NULL; // somebody waits
    trickle_end(l->engine);
    t->slot = names_socket(m->op) ? m->sock : -1;
    t->since_ns = now_ns();
    l->requests++;
    return true;
}

bool op_serve(struct link *l, const struct far_msg *m, const void *payload) {
    struct request q = {.link = l, .msg = m, .payload = payload};
    if (!open_tag(l, m)) {
        return true;
    }
    switch (m->op) {
        case FAR_OP_SOCKET:
            op_socket(&q);
            break;
        case FAR_OP_ADOPT:
            op_adopt(&q);
            break;
        case FAR_OP_FETCH:
            op_fetch(&q);
            break;
        case FAR_OP_CANCEL:
            op_cancel(l, m->tag);
            break;
        case FAR_OP_GETIFADDRS:
            op_getifaddrs(&q);
            break;
        case FAR_OP_IFNAME:
            op_ifname(&q);
            break;
        case FAR_OP_GETADDRINFO:
        case FAR_OP_GETNAMEINFO:
            resolver_ask(l, m->tag, m, payload);
            break;
        default:
            return serve_on_socket(&q);
    }
    return true;
}
