// ioctl: what is in rings and kernel, and the far core's interfaces.
// SPDX-License-Identifier: MIT
#include "near/near.h"

#include <string.h>

// Adds what far said to what near knows; either may be anything.
static int32_t sum(int32_t far, uint32_t near) {
    int64_t all = (int64_t)far + near;
    return all > INT32_MAX ? INT32_MAX : (int32_t)all;
}

// Of a datagram socket it is the next one's length. True: it is in the ring.
static bool next_datagram(struct far_link *l, uint32_t slot, int32_t *len) {
    struct fari_sock *s = fari_sock(l, slot);
    struct far_dgram h;
    fari_lock(l, &s->rx_lock);
    fari_refresh_rx(l, slot);
    bool there = s->rx_head - s->rx_tail >= sizeof h;
    if (there) {
        far_ring_get(fari_rx_ring(l, slot), l->lay.rx_ring, s->rx_tail, &h,
            sizeof h);
        // What is too long is found when it is received.
        *len = (int32_t)(h.len <= FAR_DGRAM_MAX ? h.len : FAR_DGRAM_MAX);
    }
    fari_unlock(l, &s->rx_lock);
    return there;
}

// What far had put into the ring when it asked the kernel, less what was taken.
static uint32_t unread(struct far_link *l, uint32_t slot, uint32_t rx_head) {
    struct fari_sock *s = fari_sock(l, slot);
    fari_lock(l, &s->rx_lock);
    fari_refresh_rx(l, slot);
    uint32_t n = rx_head - s->rx_tail;
    fari_unlock(l, &s->rx_lock);
    return n <= l->lay.rx_ring ? n : 0;
}

static uint32_t unsent(struct far_link *l, uint32_t slot, uint32_t tx_tail) {
    struct fari_sock *s = fari_sock(l, slot);
    fari_lock(l, &s->tx_lock);
    uint32_t n = s->tx_head - tx_tail;
    fari_unlock(l, &s->tx_lock);
    return n <= l->lay.tx_ring ? n : 0;
}

static void add_rings(struct far_link *l, uint32_t slot, uint32_t request,
    const struct far_rep_ioctl *rep, struct far_ifreq *arg) {
    bool is_stream = fari_type(fari_sock(l, slot)) == FAR_SOCK_STREAM;
    if (request == FAR_FIONREAD && is_stream) {
        int32_t n = sum(arg->value, unread(l, slot, rep->rx_head));
        arg->value = (int32_t)fari_urg_unread(l, slot, (uint32_t)n);
    } else if (request == FAR_SIOCATMARK && is_stream) {
        // Of what is announced only far's kernel knows; it stands where we do
        // if there is nothing between.
        int32_t at = arg->value && unread(l, slot, rep->rx_head) == 0;
        arg->value =
            fari_urg_at_mark(l, slot, &arg->value) == FAR_OK ? arg->value : at;
    } else if (request == FAR_FIONREAD) {
        next_datagram(l, slot, &arg->value);
    } else if (is_stream &&
               (request == FAR_SIOCOUTQ || request == FAR_SIOCOUTQNSD)) {
        arg->value = sum(arg->value, unsent(l, slot, rep->tx_tail));
    }
}

static int ioctl_pinned(struct far_link *l, uint32_t slot, uint32_t request,
    struct far_ifreq *arg) {
    if (request == FAR_FIONREAD &&
        fari_type(fari_sock(l, slot)) != FAR_SOCK_STREAM &&
        next_datagram(l, slot, &arg->value)) {
        return FAR_OK;
    }
    if (request == FAR_SIOCATMARK &&
        fari_type(fari_sock(l, slot)) == FAR_SOCK_STREAM &&
        fari_urg_at_mark(l, slot, &arg->value) == FAR_OK) {
        return FAR_OK;
    }
    struct far_req_ioctl req = {.request = request, .arg = *arg};
    struct far_rep_ioctl rep = {0};
    int err =
        fari_ask(l, FAR_OP_IOCTL, slot, &req, sizeof req, &rep, sizeof rep);
    if (err >= 0) {
        *arg = rep.arg;
        add_rings(l, slot, request, &rep, arg);
    }
    return err;
}

int far_ioctl(struct far_link *l, int sock, uint32_t request,
    struct far_ifreq *arg) {
    uint32_t slot = fari_pin(l, sock);
    if (slot == FARI_NO_SLOT) {
        return FAR_EBADF;
    }
    int err = ioctl_pinned(l, slot, request, arg);
    fari_unpin(l, slot);
    return err;
}

int far_getifaddrs(struct far_link *l, struct far_ifaddr *out, size_t max) {
    size_t most = UINT32_MAX / sizeof *out;
    most = max < most ? max : most;
    struct fari_ask a = {
        .op = FAR_OP_GETIFADDRS,
        .slot = FARI_NO_SLOT,
        .data = out,
        .room = (uint32_t)(most * sizeof *out),
        .undo = FARI_NO_SLOT,
    };
    int n = fari_request(l, &a, FAR_FOREVER);
    size_t have = a.got / sizeof *out;
    for (size_t i = 0; i < have; i++) {
        out[i].name[sizeof out[i].name - 1u] = '\0';
    }
    // Only what is there counts, but for what the caller has no room for.
    return n > 0 && have < most && have < (size_t)n ? (int)have : n;
}

int far_if_nametoindex(struct far_link *l, const char *name) {
    struct far_req_ifname req = {0};
    size_t len = 0;
    while (len < sizeof req.name && name[len]) {
        len++;
    }
    if (len == 0 || len == sizeof req.name) {
        return FAR_ENODEV;
    }
    memcpy(req.name, name, len);
    int err = fari_ask(l, FAR_OP_IFNAME, FARI_NO_SLOT, &req, sizeof req, &req,
        sizeof req);
    return err < 0 ? err : (int)(req.index & INT32_MAX);
}

int far_if_indextoname(struct far_link *l, uint32_t index, char *name) {
    struct far_req_ifname req = {.index = index};
    if (index == 0) {
        return FAR_ENXIO;
    }
    int err = fari_ask(l, FAR_OP_IFNAME, FARI_NO_SLOT, &req, sizeof req, &req,
        sizeof req);
    if (err >= 0) {
        req.name[sizeof req.name - 1u] = '\0';
        memcpy(name, req.name, sizeof req.name);
    }
    return err;
}
