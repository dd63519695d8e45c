// Rarer calls of the near library.
// SPDX-License-Identifier: MIT
#include "fuzz/near_calls.h"

#include <stdint.h>
#include <string.h>

#include "farsock/proto.h"
#include "near/near.h"

#define MESSAGES 3u

void call_sendmmsg(uint8_t i) {
    uint8_t buf[40] = {0};
    struct far_addr to = addr();
    uint8_t how = take8(choices());
    struct far_iov iov[MESSAGES] = {{buf, 40}, {buf, how & 31u}, {buf, 1}};
    struct far_mmsghdr v[MESSAGES] = {0};
    for (uint32_t k = 0; k < MESSAGES; k++) {
        v[k].hdr.name = how & 0x40 ? &to : NULL;
        v[k].hdr.iov = &iov[k];
        v[k].hdr.iov_count = 1;
    }
    int n = far_sendmmsg(the_link(), sock(i), v, MESSAGES,
        send_flags(take8(choices())), deadline(how));
    check(n <= (int)MESSAGES, "more messages than were given");
}

void call_recvmmsg(uint8_t i) {
    uint8_t buf[MESSAGES][64];
    uint8_t ctl[MESSAGES][64];
    uint8_t how = take8(choices());
    struct far_iov iov[MESSAGES];
    struct far_mmsghdr v[MESSAGES] = {0};
    for (uint32_t k = 0; k < MESSAGES; k++) {
        iov[k] = (struct far_iov){buf[k], sizeof buf[k]};
        v[k].hdr.iov = &iov[k];
        v[k].hdr.iov_count = 1;
        v[k].hdr.ctl = how & 0x80 ? ctl[k] : NULL;
        v[k].hdr.ctl_len = sizeof ctl[k];
    }
    int n = far_recvmmsg(the_link(), sock(i), v, MESSAGES,
        recv_flags(take8(choices())) | (how & 0x40 ? FAR_MSG_WAITFORONE : 0),
        deadline(how));
    check(n <= (int)MESSAGES, "more messages than there was room for");
}

void call_urgent(uint8_t i) {
    uint8_t byte[2];
    uint32_t out = 0;
    uint8_t how = take8(choices());
    int at = far_sockatmark(the_link(), sock(i));
    check(at <= 1, "sockatmark's result");
    int32_t n = far_recvfrom(the_link(), sock(i), byte, how & 1u,
        FAR_MSG_OOB | recv_flags(how & 0x0au), NULL, &out, deadline(how));
    check(n <= 1 || (how & 0x08u), "more than one urgent byte");
    n = far_sendto(the_link(), sock(i), byte, 2, FAR_MSG_OOB, NULL,
        deadline(how));
    check(n <= 2, "more was sent than was given");
}

// --- Waits of the caller's own ---

static int own_wait(void *arg, uint64_t deadline_ns) {
    uint8_t how = take8(choices());
    (void)arg;
    if (choices()->left == 0) {
        return FAR_ELINKDOWN;
    }
    return how & 1                         ? FAR_EINTR
           : far_side_now() > deadline_ns  ? FAR_ETIMEDOUT
           : how & 2 && how & 4 && how & 8 ? FAR_ELINKDOWN
           : how & 0x10                    ? FAR_ETIMEDOUT
                                           : FAR_OK;
}

static int own_beside(void *arg, bool lead, uint64_t deadline_ns) {
    (void)lead;
    far_side_sleep(deadline_ns);
    return own_wait(arg, deadline_ns);
}

static int own_sleep(void *arg, uint64_t deadline_ns) {
    far_side_sleep(deadline_ns);
    return own_wait(arg, deadline_ns);
}

static void own_wake(void *arg) {
    (void)arg;
}

void call_wait(uint8_t i) {
    uint32_t before = far_link_events(the_link());
    uint8_t how = take8(choices());
    far_ready(the_link(), sock(i), FAR_POLLIN | FAR_POLLOUT | FAR_POLLPRI,
        how & 0x80);
    int err = far_link_wait(the_link(), before, deadline(how),
        how & 0x40 ? own_sleep : NULL, NULL);
    check(err <= 0, "far_link_wait's result");
}

void call_wait_beside(uint8_t i) {
    const struct far_beside b = {.wait = own_beside, .wake = own_wake};
    uint32_t before = far_link_events(the_link());
    uint8_t how = take8(choices());
    far_ready(the_link(), sock(i), FAR_POLLIN, true);
    int err = far_link_wait_beside(the_link(), before, deadline(how), &b);
    check(err <= 0, "far_link_wait_beside's result");
}

// --- The link itself ---

void call_beat(uint8_t i) {
    far_link_beat(the_link());
    if (i == 3) {
        far_link_down(the_link());
    }
}

void call_interrupt(uint8_t i) {
    (void)i;
    far_link_interrupt(the_link());
}

// Options that the library keeps or looks at.
void call_tune(uint8_t i) {
    static const struct {
        int level, opt;
    } table[] = {
        {FAR_SOL_SOCKET, FAR_SO_RCVTIMEO},
        {FAR_SOL_SOCKET, FAR_SO_SNDTIMEO},
        {FAR_SOL_SOCKET, FAR_SO_LINGER},
        {FAR_SOL_SOCKET, FAR_SO_RCVLOWAT},
        {FAR_SOL_SOCKET, FAR_SO_OOBINLINE},
        {FAR_SOL_SOCKET, FAR_SO_ERROR},
        {FAR_SOL_SOCKET, FAR_SO_TIMESTAMP},
        {FAR_IPPROTO_IP, FAR_IP_RECVERR},
    };
    uint8_t how = take8(choices());
    int32_t v[4] = {how >> 3, how >> 5, how >> 3, 0};
    size_t len = how & 0x40 ? 16 : how & 0x20 ? 8 : 4;
    size_t n = how & 7u;
    far_side_call(FAR_FOREVER);
    check(far_setsockopt(the_link(), sock(i), table[n].level, table[n].opt, v,
              len) <= 0,
        "setsockopt's result");
    check(far_getsockopt(the_link(), sock(i), table[n].level, table[n].opt, v,
              &len) <= 0,
        "getsockopt's result");
}

void call_look(uint8_t i) {
    struct far_counters near;
    struct far_counters far;
    uint32_t how = take8(choices());
    far_link_take(the_link());
    far_link_counters(the_link(), &near, &far);
    check(far_link_sockets(the_link()) <= FAR_SIDE_SOCKETS, "too many sockets");
    far_ready(the_link(), sock(i), how, how & 0x80);
    far_mark(the_link(), sock(i), true);
}

static bool is_stream(uint8_t i) {
    uint32_t family;
    uint32_t type = 0;
    uint32_t proto;
    far_sockinfo(the_link(), sock(i), &family, &type, &proto);
    return type == FAR_SOCK_STREAM;
}

// What a caller may give, and hardly one does.
static void call_odd(uint8_t i) {
    struct far_link *l = the_link();
    uint8_t bytes[8] = {0};
    uint8_t ctl[32];
    struct far_iov iov[2] = {{bytes, 1}, {bytes + 1, SIZE_MAX}};
    struct far_msghdr m = {.iov = iov, .iov_count = 1};
    struct far_addr to = addr();
    struct far_ifaddr none;
    uint8_t how = take8(choices());
    uint64_t when = deadline(how >> 4);
    switch (how & 7u) {
        case 0: // room for a part of the control data
            m.ctl = ctl;
            m.ctl_len = 8u + (how >> 4);
            check(far_recvmsg(l, sock(i), &m, 0, when) <= 1, "too much");
            check(m.ctl_len <= 8u + (how >> 4), "more control data than room");
            break;
        case 1: // more pieces than there may be, or a large datagram in some
            if (how & 8) {
                static uint8_t large[4000];
                struct far_iov parts[] = {
                    {large, 1500}, {large, 0}, {large, 2500}, {large, 0}};
                m.iov = parts;
                m.iov_count = 4;
                m.name = &to;
                far_sendmsg(l, sock(i), &m, 0, when);
                break;
            }
            m.iov_count = FAR_IOV_MAX + 1u;
            check(far_recvmsg(l, sock(i), &m, 0, when) < 0, "too many pieces");
            break;
        case 2: // more room than there is memory: for what is one byte
            if (!is_stream(i)) {
                break;
            }
            check(far_recv(l, sock(i), bytes, SIZE_MAX, FAR_MSG_OOB, when) <= 1,
                "more than one urgent byte");
            break;
        case 3:
            if (!is_stream(i)) {
                break;
            }
            m.iov_count = 2;
            check(far_recvmsg(l, sock(i), &m, FAR_MSG_OOB, when) <= 1,
                "more than one urgent byte");
            break;
        case 4: // a name that nobody wants
            check(far_getnameinfo(l, &to, 0, NULL, 0, (char *)ctl, sizeof ctl,
                      NULL, when) <= 0,
                "getnameinfo's result");
            break;
        case 5: // room that there is not, where nothing comes
            far_link_down(l);
            check(far_getifaddrs(l, &none, SIZE_MAX) < 0, "a dead link's");
            break;
        case 6: // closed at once, though it lingers
            far_close(l, sock(i), FAR_NOWAIT);
            break;
        default:
            far_side_call(FAR_FOREVER);
            check(far_setsockopt(l, sock(i), FAR_IPPROTO_IPV6, to.port, bytes,
                      sizeof bytes) <= 0,
                "setsockopt's result");
            break;
    }
}

// --- Other threads ---

static _Thread_local uint32_t taken[FARI_WAITERS];
static _Thread_local uint32_t count;

void calls_begin(void) {
    count = 0;
}

// All waiters are taken, or none: more threads sleep than there is room for.
void call_crowd(uint8_t i) {
    uint8_t how = take8(choices());
    if (how == 0x5a) { // seldom
        call_odd(i);
        return;
    }
    if (how & 1) {
        while (count > 0) {
            fari_wait_end(the_link(), taken[--count]);
        }
        return;
    }
    uint32_t w = 0;
    while (the_link()->port->park && count < FARI_WAITERS &&
           (w = fari_wait_begin(the_link(), FARI_WAIT_SOCK, i)) <
               FARI_WAITERS) {
        taken[count++] = w;
    }
}

// Other threads' requests have filled the ring, of which far takes nothing.
static void fill_requests(struct far_link *l, uint8_t i) {
    const struct far_msg m = {.op = FAR_OP_KICK, .sock = i};
    fari_lock_link(l);
    while (!fari_is_down(l) &&
           far_msg_put(&l->cmd, m, NULL, 0, NULL, 0) == FAR_OK) {
    }
    fari_unlock_link(l);
}

// Another thread has the link's lock, or a ring's, until somebody waits for it.
void call_hold(uint8_t i) {
    uint8_t how = take8(choices());
    if (how == 0x5a) { // seldom
        fill_requests(the_link(), i);
        return;
    }
    uint32_t slot = far_slot(sock(i)) % FAR_SIDE_SOCKETS;
    far_side_hold(how & 1   ? &the_link()->socks[slot].tx_lock
                  : how & 2 ? &the_link()->socks[slot].rx_lock
                            : &the_link()->lock);
}

// Longer than any datagram.
void call_long(uint8_t i) {
    static uint8_t bytes[70000];
    struct far_addr to = addr();
    uint8_t how = take8(choices());
    uint32_t len = how & 0x40 ? sizeof bytes : 65520u;
    int32_t n =
        far_sendto(the_link(), sock(i), bytes, len, send_flags(how & 0x3fu),
            how & 0x80 ? &to : NULL, deadline(take8(choices())));
    check(n <= (int32_t)len, "more was sent than was given");
    n = far_recvfrom(the_link(), sock(i), bytes, len, FAR_MSG_PEEK, &to, NULL,
        deadline(how));
    check(n <= (int32_t)len, "more was received than there is room for");
}

// SO_RCVTIMEO or SO_SNDTIMEO, of some milliseconds.
void call_timeout(uint8_t i) {
    uint8_t how = take8(choices());
    int64_t v[2] = {0, (how & 7) * 1000};
    far_side_call(FAR_FOREVER);
    check(far_setsockopt(the_link(), sock(i), FAR_SOL_SOCKET,
              how & 0x80 ? FAR_SO_SNDTIMEO : FAR_SO_RCVTIMEO, v, sizeof v) <= 0,
        "setsockopt's result");
}

// Options that the library looks at itself, with values that nobody would give.
void call_option(uint8_t i) {
    static const struct {
        int level, opt;
    } table[] = {
        {FAR_IPPROTO_IP, FAR_IP_HDRINCL},
        {FAR_IPPROTO_IPV6, FAR_IPV6_HDRINCL},
        {FAR_SOL_SOCKET, FAR_SO_TIMESTAMPING},
        {FAR_SOL_SOCKET, FAR_SO_RCVTIMEO},
        {FAR_SOL_SOCKET, FAR_SO_LINGER},
        {FAR_SOL_SOCKET, FAR_SO_RCVLOWAT},
        {FAR_SOL_SOCKET, FAR_SO_ERROR},
        {FAR_SOL_SOCKET, FAR_SO_OOBINLINE},
    };
    static uint8_t val[4096];
    uint8_t how = take8(choices());
    size_t n = how & 7u;
    int64_t v[2] = {how & 0x08 ? -1 : 0, how & 0x10   ? -1
                                         : how & 0x20 ? 1000000
                                                      : 5};
    static const size_t lens[] = {sizeof v, 2, 4, 8, sizeof val, 0, 4, 4};
    size_t len = lens[take8(choices()) & 7u];
    memset(val, 0, sizeof val);
    memcpy(val, v, sizeof v);
    far_side_call(FAR_FOREVER);
    check(far_setsockopt(the_link(), sock(i), table[n].level, table[n].opt, val,
              how & 0x80 ? SIZE_MAX : len) <= 0,
        "setsockopt's result");
    check(far_getsockopt(the_link(), sock(i), table[n].level, table[n].opt, val,
              &len) <= 0,
        "getsockopt's result");
}

// Pieces: many, none, empty ones, and more than there can be.
void call_pieces(uint8_t i) {
    static uint8_t bytes[64];
    struct far_iov iov[5] = {{bytes, 3}, {bytes + 3, 0}, {bytes + 3, 1},
        {bytes + 4, 5}, {bytes + 9, 20}};
    uint64_t ctl[8] = {0};
    struct far_addr name = addr();
    uint8_t how = take8(choices());
    const struct far_ctl item = {
        .len = how & 0x40 ? 200 : 4,
        .level = how & 0x10 ? FAR_SOL_SOCKET : FAR_IPPROTO_IP,
        .type = 1,
    };
    memcpy(ctl, &item, sizeof item);
    struct far_msghdr m = {
        .name = how & 0x20 ? &name : NULL,
        .iov = iov,
        .iov_count = how == 0xff ? 5000u : how % 6u,
        .ctl = ctl,
        .ctl_len = how & 0x08   ? sizeof item + 8u
                   : how & 0x04 ? 5
                                : 0,
    };
    if (how & 0x80) {
        iov[4].len = SIZE_MAX - 2u; // more than can be, where nothing is read
        m.iov_count = how == 0xff ? 5000u : 0;
        check(far_sendmsg(the_link(), sock(i), &m, 0, deadline(how)) <= 64,
            "more was sent than was given");
        return;
    }
    check(far_sendmsg(the_link(), sock(i), &m, 0, deadline(how)) <= 64,
        "more was sent than was given");
    m.ctl_len = sizeof ctl;
    m.iov_count = how % 6u;
    check(far_recvmsg(the_link(), sock(i), &m,
              recv_flags(take8(choices())) & ~(uint32_t)FAR_MSG_TRUNC,
              deadline(how)) <= 64,
        "more was received than there is room for");
}

// Handles that are none any more, or never were.
void call_stale(uint8_t i) {
    struct far_link *l = the_link();
    static const int odd[] = {-1, 0xffff, 0x7fff0000, 0x10003};
    uint8_t how = take8(choices());
    int s = how & 0x40 ? odd[how & 3u] : sock(i);
    uint32_t family;
    uint32_t type;
    uint32_t proto;
    uint8_t byte = 0;
    const void *from = NULL;
    if (how & 0x80) {
        far_side_call(FAR_NOWAIT);
        far_close(l, s, FAR_NOWAIT);
    }
    far_side_call(FAR_FOREVER);
    far_sockinfo(l, s, &family, &type, &proto);
    far_ready(l, s, FAR_POLLIN | FAR_POLLOUT, true);
    far_mark(l, s, true);
    far_sendto(l, s, &byte, 1, how & 1, NULL, FAR_NOWAIT);
    far_recvfrom(l, s, &byte, 1, how & 1, NULL, NULL, FAR_NOWAIT);
    far_send(l, s, &byte, 1, how & 2 ? FAR_MSG_OOB : 0, FAR_NOWAIT);
    far_recv(l, s, &byte, 1, how & 4 ? FAR_MSG_ERRQUEUE : 0, FAR_NOWAIT);
    far_recv_peek(l, s, &from, 1, FAR_NOWAIT);
    far_recv_consume(l, s, how >> 4 & 1u);
    far_send_commit(l, s, how >> 5 & 1u);
    far_shutdown(l, s, how & 2 ? -1 : how & 4 ? 3 : 1);
    far_side_call(FAR_NOWAIT);
    int got = far_accept(l, s, NULL, FAR_NOWAIT);
    if (got >= 0) {
        far_close_nowait(l, got);
    }
}
