// Rarer calls of the near library.
// SPDX-License-Identifier: MIT
#include "fuzz/near_calls.h"

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

// --- Other threads ---

// All waiters are taken, or none: more threads sleep than there is room for.
void call_crowd(uint8_t i) {
    static _Thread_local uint32_t taken[FARI_WAITERS];
    static _Thread_local uint32_t count;
    static _Thread_local const struct far_link *of;
    if (of != the_link()) {
        count = 0; // of a link that is gone
    }
    of = the_link();
    if (take8(choices()) & 1) {
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

// Another thread has the link's lock, or a ring's, until somebody waits for it.
void call_hold(uint8_t i) {
    uint8_t how = take8(choices());
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
