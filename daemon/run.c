// Runs: datagrams to one destination, equally long, that go in one call.
// SPDX-License-Identifier: MIT
#include "daemon/run.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>

#include "farsock/proto.h"

#define ADDR_BYTES ((uint32_t)sizeof(struct far_addr))
#define HEAD_BYTES ((uint32_t)sizeof(struct far_dgram))

// The kernel makes one datagram of a run and cuts it up (UDP_SEGMENT), at the
// latest before it is received: so a run is no larger than one.
#define RUN_BYTES 65000u

#define IP4_HEADS 28u // with UDP's
#define IP6_HEADS 48u

static int number_of(int fd, int level, int option) {
    int v = 0;
    socklen_t len = sizeof v;
    return getsockopt(fd, level, option, &v, &len) < 0 ? -1 : v;
}

// The longest that its path takes whole. Without a peer there is no path to ask
// for: who is too long is found out.
static uint32_t path_limit(const struct sock *s) {
    if (!s->connected) {
        return FAR_DGRAM_MAX;
    }
    bool v4 = s->family == FAR_AF_INET;
    uint32_t heads = v4 ? IP4_HEADS : IP6_HEADS;
    int mtu = v4 ? number_of(s->fd, IPPROTO_IP, IP_MTU)
                 : number_of(s->fd, IPPROTO_IPV6, IPV6_MTU);
    return mtu > (int)heads ? (uint32_t)mtu - heads : 0;
}

// Where each datagram has something of its own to tell of its fate, or is none
// yet, or near has the kernel cut up what it sends, they go one by one. So they
// do where the kernel knows nothing of it, or the socket is no UDP.
static uint32_t limit_of(const struct sock *s) {
    if (s->type != FAR_SOCK_DGRAM || s->recverr || s->wants_ctl ||
        number_of(s->fd, IPPROTO_UDP, UDP_SEGMENT) != 0 ||
        number_of(s->fd, IPPROTO_UDP, UDP_CORK) != 0) {
        return 0;
    }
    return path_limit(s);
}

// The record at pos, if it can go with those before it.
static bool is_like(const struct sock *s, uint32_t pos,
    const struct run_first *first, uint32_t *len) {
    uint32_t addr = first->flags & FAR_DGRAM_ADDR ? ADDR_BYTES : 0;
    struct far_dgram head;
    if (s->tx_head - pos < HEAD_BYTES + addr) {
        return false;
    }
    far_ring_get(s->tx, s->tx_size, pos, &head, HEAD_BYTES);
    if (head.flags != first->flags || head.ctl_len || head.len == 0 ||
        head.len > first->len ||
        s->tx_head - pos < HEAD_BYTES + addr + FAR_ALIGN8(head.len)) {
        return false;
    }
    *len = head.len;
    if (addr == 0) {
        return true;
    }
    struct far_addr to;
    far_ring_get(s->tx, s->tx_size, pos + HEAD_BYTES, &to, sizeof to);
    return memcmp(&to, first->addr, sizeof to) == 0;
}

static void add(struct sock *s, struct run *run, uint32_t payload,
    uint32_t len) {
    run->pieces += dgram_iov(s, payload, len, run->iov + run->pieces);
    run->count++;
    run->bytes += len;
    run->end = payload + FAR_ALIGN8(len);
}

bool run_gather(struct sock *s, const struct run_first *first, uint32_t most,
    struct run *run) {
    uint32_t addr = first->flags & FAR_DGRAM_ADDR ? ADDR_BYTES : 0;
    *run = (struct run){.segment = first->len};
    if ((first->flags & ~(uint32_t)FAR_DGRAM_ADDR) || first->ctl_len ||
        first->len == 0 || most < 2 || s->flush_waits || s->shared) {
        return false;
    }
    uint32_t len = 0;
    if (!is_like(s, first->payload + FAR_ALIGN8(first->len), first, &len)) {
        return false;
    }
    if (!s->run_known) {
        s->run_limit = limit_of(s);
        s->run_known = true;
    }
    if (first->len > s->run_limit) {
        return false;
    }
    most = most < RUN_MOST ? most : RUN_MOST;
    add(s, run, first->payload, first->len);
    while (run->count < most && run->bytes + len <= RUN_BYTES) {
        add(s, run, run->end + HEAD_BYTES + addr, len);
        // One that is shorter is the last.
        if (len < first->len || !is_like(s, run->end, first, &len)) {
            break;
        }
    }
    return run->count > 1;
}

bool run_refused(struct sock *s, const struct run *run, int err) {
    if (err == EINVAL || (err == EMSGSIZE && !s->connected)) {
        s->run_limit = run->segment - 1u;
        return true;
    }
    if (err == EIO) {
        s->run_limit = 0; // it goes where nobody would cut it up
        return true;
    }
    // One that hears of errors may be told of an earlier datagram's; perhaps
    // its path has changed.
    run_forget(s);
    return !s->connected;
}

void run_forget(struct sock *s) {
    s->run_known = false;
}
