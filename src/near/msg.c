// The calls that move data: plain buffers, pieces, many messages.
// SPDX-License-Identifier: MIT
#include "near/near.h"

#include <string.h>

static bool is_stream(const struct far_link *l, uint32_t slot) {
    return fari_type(fari_sock(l, slot)) == FAR_SOCK_STREAM;
}

static int32_t send_dgram(struct far_link *l, int sock, uint32_t slot,
    const struct far_msghdr *m, uint32_t flags, uint64_t deadline_ns) {
    if (fari_pin(l, sock) != slot) {
        return FAR_EBADF;
    }
    int32_t n = fari_dgram_send(l, slot, m, flags, deadline_ns);
    fari_unpin(l, slot);
    return n;
}

static int32_t recv_dgram(struct far_link *l, int sock, uint32_t slot,
    struct far_msghdr *m, uint32_t flags, uint64_t deadline_ns) {
    if (fari_pin(l, sock) != slot) {
        return FAR_EBADF;
    }
    int32_t n = fari_dgram_recv(l, slot, m, flags, deadline_ns);
    fari_unpin(l, slot);
    return n;
}

// --- Streams of a link none of whose was ever connected ---

static int32_t never_sent(struct far_link *l, int sock) {
    uint32_t slot = far_slot(sock);
    struct fari_sock *s = fari_sock(l, slot);
    int err = fari_lock_ring(l, slot, sock, &s->tx_lock);
    err = err == FAR_OK ? fari_may_send(l, slot, true) : err;
    fari_unlock(l, &s->tx_lock);
    return err != FAR_OK ? err : FAR_EPIPE;
}

static int32_t never_urgent(struct far_link *l, int sock) {
    uint32_t slot = far_slot(sock);
    if (fari_pin(l, sock) != slot) {
        return FAR_EBADF;
    }
    int err = fari_urg_none(l, slot);
    err = err == FAR_EAGAIN ? fari_urg_ask(l, slot) : err;
    fari_unpin(l, slot);
    return err;
}

static int32_t never_received(struct far_link *l, int sock, uint32_t flags) {
    uint32_t slot = far_slot(sock);
    struct fari_sock *s = fari_sock(l, slot);
    if (flags & FAR_MSG_OOB) {
        return never_urgent(l, sock);
    }
    int err = fari_lock_ring(l, slot, sock, &s->rx_lock);
    if (err == FAR_OK && !fari_stream_over(l, slot, 0, true, &err)) {
        err = FAR_ENOTCONN;
    }
    fari_unlock(l, &s->rx_lock);
    return err;
}

static const struct fari_streams *streams_of(const struct far_link *l) {
    return atomic_load_explicit(&l->streams, memory_order_relaxed);
}

static int32_t send_pieces(struct far_link *l, int sock,
    const struct far_iov *iov, size_t count, uint32_t flags,
    uint64_t deadline_ns) {
    const struct fari_streams *streams = streams_of(l);
    return streams ? streams->send(l, sock, iov, count, flags, deadline_ns)
                   : never_sent(l, sock);
}

FARI_QUICK int32_t recv_pieces(struct far_link *l, int sock,
    const struct far_iov *iov, size_t count, uint32_t flags,
    struct fari_got *got, uint64_t deadline_ns) {
    const struct fari_streams *streams = streams_of(l);
    if (streams) {
        return streams->recv(l, sock, iov, count, flags, got, deadline_ns);
    }
    *got = (struct fari_got){0};
    return never_received(l, sock, flags);
}

static int32_t recv_stream(struct far_link *l, int sock, uint32_t slot,
    struct far_msghdr *m, uint32_t flags, uint32_t *out, uint64_t deadline_ns) {
    struct fari_got got;
    size_t room = m->ctl ? m->ctl_len : 0;
    if (flags & FAR_MSG_ERRQUEUE) {
        return recv_dgram(l, sock, slot, m, flags, deadline_ns);
    }
    m->ctl_len = 0;
    int32_t n =
        recv_pieces(l, sock, m->iov, m->iov_count, flags, &got, deadline_ns);
    m->flags = got.flags;
    if (n > 0 && room > 0 && FARI_GET(fari_sock(l, slot)->stamped) &&
        fari_pin(l, sock) == slot) {
        fari_stream_ctl(l, slot, got.end, m, room);
        fari_unpin(l, slot);
    }
    if (out) {
        *out = m->flags;
    }
    return n;
}

// --- One buffer ---

// Out of line, as is what a stream's short way has no use for.
FARI_APART static int32_t sendto_dgram(struct far_link *l, int sock,
    const struct far_iov *iov, uint32_t flags, const struct far_addr *addr,
    uint64_t deadline_ns) {
    // Where it is sent to is only read. No socket at all is found by
    // send_dgram().
    struct far_msghdr m = {
        .name = (struct far_addr *)(uintptr_t)addr,
        .iov = iov,
        .iov_count = 1,
    };
    return send_dgram(l, sock, far_slot(sock), &m, flags, deadline_ns);
}

// Also a stream's error queue.
FARI_APART static int32_t recvfrom_dgram(struct far_link *l, int sock,
    const struct far_iov *iov, uint32_t flags, struct far_addr *from,
    uint32_t *out_flags, uint64_t deadline_ns) {
    struct far_msghdr m = {
        .name = from,
        .iov = iov,
        .iov_count = 1,
    };
    int32_t n = recv_dgram(l, sock, far_slot(sock), &m, flags, deadline_ns);
    if (out_flags) {
        // There is no control data to be cut.
        *out_flags = n >= 0 ? m.flags & FAR_MSG_TRUNC : 0;
    }
    return n;
}

int32_t far_sendto(struct far_link *l, int sock, const void *buf, size_t len,
    uint32_t flags, const struct far_addr *addr, uint64_t deadline_ns) {
    if (fari_is_stream(l, sock)) {
        // One peer: as natively, an address is not looked at.
        const struct fari_streams *streams = streams_of(l);
        return streams
                   ? streams->send_bytes(l, sock, buf, len, flags, deadline_ns)
                   : never_sent(l, sock);
    }
    struct far_iov iov = {.base = (void *)(uintptr_t)buf, .len = len};
    return sendto_dgram(l, sock, &iov, flags, addr, deadline_ns);
}

int32_t far_recvfrom(struct far_link *l, int sock, void *buf, size_t len,
    uint32_t flags, struct far_addr *from, uint32_t *out_flags,
    uint64_t deadline_ns) {
    struct far_iov iov = {.base = buf, .len = len};
    if (!fari_is_stream(l, sock)) {
        return recvfrom_dgram(l, sock, &iov, flags, from, out_flags,
            deadline_ns);
    }
    if (from) {
        *from = (struct far_addr){0};
    }
    if (flags & FAR_MSG_ERRQUEUE) {
        return recvfrom_dgram(l, sock, &iov, flags, NULL, out_flags,
            deadline_ns);
    }
    struct fari_got got;
    int32_t n = recv_pieces(l, sock, &iov, 1, flags, &got, deadline_ns);
    if (out_flags) {
        *out_flags = got.flags;
    }
    return n;
}

// --- Pieces and control data ---

// Whether control data holds together: its items, and their padding. A stream
// has no use for any, and as natively refuses only that of its own level.
static int check_ctl(const struct far_msghdr *m, bool stream) {
    struct far_ctl item;
    if (m->ctl_len % 8u) {
        return FAR_EINVAL;
    }
    for (size_t at = 0; at < m->ctl_len;) {
        memcpy(&item, (const uint8_t *)m->ctl + at, sizeof item);
        at += sizeof item;
        if (item.len > m->ctl_len - at ||
            (stream && item.level == FAR_SOL_SOCKET)) {
            return FAR_EINVAL;
        }
        at += FAR_ALIGN8((size_t)item.len);
    }
    return FAR_OK;
}

int32_t far_sendmsg(struct far_link *l, int sock, const struct far_msghdr *m,
    uint32_t flags, uint64_t deadline_ns) {
    uint32_t slot = fari_find(l, sock);
    if (slot == FARI_NO_SLOT) {
        return FAR_EBADF;
    }
    if (m->iov_count > FAR_IOV_MAX) {
        return FAR_EMSGSIZE;
    }
    int err = check_ctl(m, is_stream(l, slot));
    if (err != FAR_OK && is_stream(l, slot)) {
        // What is wrong with the connection comes before it.
        int32_t n = send_pieces(l, sock, m->iov, 0,
            flags & ~(uint32_t)FAR_MSG_OOB, deadline_ns);
        return n < 0 ? n : err;
    }
    if (err != FAR_OK) {
        return err;
    }
    if (is_stream(l, slot)) {
        return send_pieces(l, sock, m->iov, m->iov_count, flags, deadline_ns);
    }
    return send_dgram(l, sock, slot, m, flags, deadline_ns);
}

int32_t far_recvmsg(struct far_link *l, int sock, struct far_msghdr *m,
    uint32_t flags, uint64_t deadline_ns) {
    uint32_t slot = fari_find(l, sock);
    if (slot == FARI_NO_SLOT) {
        return FAR_EBADF;
    }
    if (m->iov_count > FAR_IOV_MAX) {
        return FAR_EMSGSIZE;
    }
    if (!is_stream(l, slot)) {
        return recv_dgram(l, sock, slot, m, flags, deadline_ns);
    }
    if (m->name) {
        *m->name = (struct far_addr){0};
    }
    return recv_stream(l, sock, slot, m, flags, &m->flags, deadline_ns);
}

// --- Many messages ---

int far_sendmmsg(struct far_link *l, int sock, struct far_mmsghdr *v,
    uint32_t count, uint32_t flags, uint64_t deadline_ns) {
    uint32_t done = 0;
    int32_t n = fari_find(l, sock) == FARI_NO_SLOT ? FAR_EBADF : FAR_OK;
    while (n >= 0 && done < count) {
        n = far_sendmsg(l, sock, &v[done].hdr, flags, deadline_ns);
        if (n < 0) {
            break;
        }
        const struct far_msghdr *m = &v[done].hdr;
        v[done++].len = (uint32_t)n;
        if ((size_t)n < fari_iov_len(m->iov, m->iov_count)) {
            break; // what follows would come before the rest of this one
        }
    }
    return done ? (int)done : n;
}

int far_recvmmsg(struct far_link *l, int sock, struct far_mmsghdr *v,
    uint32_t count, uint32_t flags, uint64_t deadline_ns) {
    uint32_t done = 0;
    // Pinned, that it takes no error of one that comes in its place.
    uint32_t slot = fari_pin(l, sock);
    if (slot == FARI_NO_SLOT) {
        return FAR_EBADF;
    }
    int32_t n = flags & FAR_MSG_ERRQUEUE ? FAR_OK : fari_take_error(l, slot);
    fari_unpin(l, slot);
    while (n >= 0 && done < count) {
        n = far_recvmsg(l, sock, &v[done].hdr, flags, deadline_ns);
        flags |= FAR_MSG_LATER;
        flags |= flags & FAR_MSG_WAITFORONE ? FAR_MSG_DONTWAIT : 0;
        if (n >= 0) {
            v[done++].len = (uint32_t)n;
        }
    }
    return done ? (int)done : n;
}
