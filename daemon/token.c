// Tokens: descriptors by which processes share a socket.
// SPDX-License-Identifier: MIT
#include "daemon/core.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/translate.h"
#include "farsock/proto.h"

// We hold the other end of each token. A connected stream's bytes are carried
// between the two; of any other socket we keep a duplicate for whoever shows
// the token. The hang-up of our end says that the last copy is closed.

#define CARRY_MIN 65536u

// One direction: what was read and not yet written.
struct carry {
    uint8_t *data;
    size_t room, at, len;
    bool ended; // the source ended
    bool told;  // and the destination knows
};

struct token {
    struct watch end_watch, sock_watch;
    struct node node;
    struct engine *engine;
    int end;   // other end of the token
    int fd;    // the kernel's socket
    uid_t uid; // whose near core shared it
    ino_t ino; // no two sockets have the same
    uint32_t state;
    bool carries;
    bool hung_up;
    struct shared *shared; // of a datagram socket
    struct carry in, out;  // from the network, to it
};

// --- Descriptors over the link's connection ---

// What a message brought, closed if it is not just count of them. The kernel
// has closed what did not fit.
static int keep_descriptors(struct msghdr *msg, int *fds, int count) {
    struct cmsghdr *c = CMSG_FIRSTHDR(msg);
    int all[2];
    int got = 0;
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
        got = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        memcpy(all, CMSG_DATA(c), (size_t)got * sizeof(int));
    }
    bool good = got == count && !(msg->msg_flags & MSG_CTRUNC);
    for (int i = 0; i < got; i++) {
        if (good) {
            fds[i] = all[i];
        } else {
            close(all[i]);
        }
    }
    return good ? FAR_OK : FAR_EINVAL;
}

static int take_descriptors(struct link *l, int *fds, int count) {
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(2 * sizeof(int))];
    } control;
    char byte;
    struct iovec iov = {.iov_base = &byte, .iov_len = 1};
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof control.bytes,
    };
    if (recvmsg(l->spec.hangup, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) < 0) {
        return errno == ENOTSOCK ? FAR_EOPNOTSUPP : FAR_EINVAL;
    }
    // Also of an empty packet, which brings descriptors as any other.
    return keep_descriptors(&msg, fds, count);
}

// Only such a one tells of its other end's last copy, and can be carried to.
static bool is_token(int fd) {
    int domain = 0;
    int type = 0;
    socklen_t len = sizeof domain;
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
           getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
           domain == AF_UNIX && type == SOCK_STREAM;
}

// --- Carrying ---

static void token_end(struct token *t) {
    engine_unwatch(t->engine, &t->end_watch, t->end);
    close(t->end);
    if (t->carries) {
        engine_unwatch(t->engine, &t->sock_watch, t->fd);
    }
    close(t->fd);
    node_remove(&t->node);
    shared_unref(t->shared);
    free(t->in.data);
    free(t->out.data);
    free(t);
}

// One step of a direction; counts what went. False when it can go no further
// now.
static bool step(struct carry *c, int from, int to, uint64_t *bytes) {
    if (c->len > 0) {
        ssize_t n =
            send(to, c->data + c->at, c->len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            c->len = 0; // nobody takes it any more
            c->ended = c->told = true;
            return false;
        }
        c->at += n > 0 ? (size_t)n : 0;
        c->len -= n > 0 ? (size_t)n : 0;
        *bytes += n > 0 ? (uint64_t)n : 0;
        return n > 0;
    }
    if (c->ended) {
        if (!c->told) {
            c->told = true;
            shutdown(to, SHUT_WR);
        }
        return false;
    }
    ssize_t n = recv(from, c->data, c->room, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return false;
    }
    c->at = 0;
    c->len = n > 0 ? (size_t)n : 0;
    c->ended = n <= 0;
    return true;
}

static bool is_over(const struct token *t) {
    return t->hung_up && (t->out.told || (t->out.ended && t->out.len == 0));
}

// t may be freed.
static void carry_on(struct token *t) {
    uint32_t turns = TURN_CARRIES;
    struct engine_totals *total = &t->engine->total;
    bool more = true;
    while (more && turns-- > 0) {
        more = step(&t->out, t->end, t->fd, &total->tx_bytes);
        more |= step(&t->in, t->fd, t->end, &total->rx_bytes);
    }
    if (is_over(t)) {
        token_end(t);
    } else if (more) {
        // Watched anew it reports again: the next turn goes on.
        engine_rewatch(t->engine, &t->end_watch, &t->end_watch, t->end,
            EPOLLIN | EPOLLOUT | EPOLLRDHUP);
    }
}

static void end_ready(struct watch *w, uint32_t events) {
    struct token *t = OF(w, struct token, end_watch);
    t->hung_up |= (events & (EPOLLHUP | EPOLLERR)) != 0;
    if (t->carries) {
        carry_on(t);
    } else if (t->hung_up) {
        token_end(t);
    }
}

static void sock_ready(struct watch *w, uint32_t events) {
    (void)events;
    carry_on(OF(w, struct token, sock_watch));
}

// --- Sharing ---

// What is in a ring becomes the first that is carried.
static bool carry_from(struct carry *c, const uint8_t *ring, uint32_t size,
    uint32_t pos, uint32_t len) {
    c->room = len > CARRY_MIN ? len : CARRY_MIN;
    c->data = malloc(c->room);
    c->len = len;
    if (c->data && len) {
        far_ring_get(ring, size, pos, c->data, len);
    }
    return c->data != NULL;
}

// A token outlives its link, so a user's are counted.
static bool has_too_many(const struct engine *e, uid_t uid) {
    uint32_t n = 0;
    const struct node *list = &e->tokens;
    for (const struct node *i = list->next; i != list; i = i->next) {
        n += OF(i, const struct token, node)->uid == uid;
    }
    return n >= e->config.user_tokens;
}

static int32_t token_new(const struct link *l, const int fds[2],
    struct token **out) {
    struct engine *e = l->engine;
    struct stat st;
    if (!is_token(fds[0]) || !is_token(fds[1]) || fstat(fds[0], &st) < 0) {
        return FAR_EINVAL;
    }
    if (has_too_many(e, l->spec.uid)) {
        return FAR_EMFILE;
    }
    struct token *t = calloc(1, sizeof *t);
    if (!t) {
        return FAR_ENOMEM;
    }
    *t = (struct token){
        .end_watch.ready = end_ready,
        .sock_watch.ready = sock_ready,
        .engine = e,
        .end = fds[1],
        .fd = -1,
        .uid = l->spec.uid,
        .ino = st.st_ino,
    };
    if (engine_watch(e, &t->end_watch, t->end,
            EPOLLIN | EPOLLOUT | EPOLLRDHUP) < 0) {
        free(t);
        return far_errno(errno);
    }
    node_append(&e->tokens, &t->node);
    *out = t;
    return FAR_OK;
}

static bool is_stream_with_peer(const struct sock *s) {
    return s->type == FAR_SOCK_STREAM && (s->state & FAR_ST_CONNECTED);
}

static int32_t carry_stream(struct token *t, struct sock *s) {
    uint32_t unread = s->rx_head - s->rx_tail;
    if (!carry_from(&t->in, s->rx, s->rx_size, s->rx_tail, unread) ||
        !carry_from(&t->out, s->tx, s->tx_size, s->tx_tail, tx_used(s))) {
        return FAR_ENOMEM;
    }
    bulk_end(s);
    t->out.told = s->tx_dead;
    t->out.ended = s->tx_dead || s->shut_waits;
    engine_rewatch(t->engine, &s->watch, &t->sock_watch, s->fd,
        EPOLLIN | EPOLLOUT | EPOLLRDHUP);
    t->fd = s->fd;
    s->fd = -1;
    t->carries = true;
    sock_finish(s);
    carry_on(t);
    return FAR_OK;
}

static int32_t share_datagrams(struct token *t, struct sock *s) {
    if (s->type == FAR_SOCK_STREAM) {
        return FAR_OK;
    }
    if (!s->shared && !shared_begin(s)) {
        return FAR_ENOMEM;
    }
    shared_keep(s);
    t->shared = shared_ref(s->shared);
    return FAR_OK;
}

int32_t token_share(struct sock *s) {
    int fds[2];
    int32_t err = take_descriptors(s->link, fds, 2);
    if (err != FAR_OK) {
        return err;
    }
    struct token *t = NULL;
    err = token_new(s->link, fds, &t);
    close(fds[0]);
    if (!t) {
        close(fds[1]);
        return err;
    }
    if (is_stream_with_peer(s) && s->fd >= 0) {
        err = carry_stream(t, s);
    } else {
        t->fd = fcntl(s->fd, F_DUPFD_CLOEXEC, 0);
        t->state = s->state & FAR_ST_LISTENING;
        err = t->fd < 0 ? far_errno(errno) : share_datagrams(t, s);
    }
    if (err != FAR_OK) {
        token_end(t);
    }
    return err;
}

int32_t token_adopt(struct link *l, struct adopted *out) {
    struct stat st;
    int token;
    int32_t err = take_descriptors(l, &token, 1);
    if (err != FAR_OK) {
        return err;
    }
    // A file may have a token's number, on a device of its own.
    bool good = is_token(token) && fstat(token, &st) == 0;
    close(token);
    if (!good) {
        return FAR_EINVAL;
    }
    struct node *list = &l->engine->tokens;
    for (struct node *n = list->next; n != list; n = n->next) {
        const struct token *t = OF(n, struct token, node);
        if (t->ino == st.st_ino) {
            int fd = fcntl(t->fd, F_DUPFD_CLOEXEC, 0);
            *out = (struct adopted){
                .state = t->state,
                .carried = t->carries,
                .shared = t->shared ? shared_ref(t->shared) : NULL,
            };
            return fd < 0 ? far_errno(errno) : fd;
        }
    }
    return FAR_ENOENT;
}

void tokens_free(struct engine *e) {
    while (!node_is_alone(&e->tokens)) {
        token_end(OF(e->tokens.next, struct token, node));
    }
}
