// Several datagrams from the peer in one system call.
// SPDX-License-Identifier: MIT
#include "daemon/batch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

// How long each is turns out when it is there, and then it must go into the
// ring: so there is room for each, whatever its length. Where it lies there
// depends on those before it. Most are as long as the last one was, so each is
// received where it belongs if they all are; what is longer goes on behind the
// copy of it that is made when one of them is not.
struct dgram_batch {
    struct mmsghdr msgs[BATCH_MOST];
    struct sockaddr_storage from[BATCH_MOST];
    struct iovec iov[BATCH_MOST][3];
    uint64_t control[BATCH_MOST][HOST_CTL / 8u];
    uint8_t copies[BATCH_MOST][FAR_ALIGN8(FAR_DGRAM_MAX)];
};

void batch_free(struct engine *e) {
    free(e->batch);
}

// At that place of the ring, and the rest in its copy.
static void lay_out(struct sock *s, struct dgram_batch *b, uint32_t i,
    uint32_t payload, bool ctl) {
    struct msghdr *m = &b->msgs[i].msg_hdr;
    uint32_t guess = s->rx_guess;
    int n = guess ? ring_iov(s->rx, s->rx_size, payload, guess, b->iov[i]) : 0;
    b->iov[i][n] =
        (struct iovec){b->copies[i] + guess, sizeof b->copies[i] - guess};
    *m = (struct msghdr){
        .msg_name = &b->from[i],
        .msg_namelen = sizeof b->from[i],
        .msg_iov = b->iov[i],
        .msg_iovlen = (size_t)n + 1u,
        .msg_control = ctl ? b->control[i] : NULL,
        .msg_controllen = ctl ? sizeof b->control[i] : 0,
    };
}

bool batch_begin(struct engine *e) {
    if (!e->batch) {
        e->batch = malloc(sizeof *e->batch);
    }
    return e->batch;
}

int batch_recv(struct sock *s, uint32_t most, uint32_t head, bool ctl) {
    const struct engine *e = s->link->engine;
    for (uint32_t i = 0; i < most; i++) {
        uint32_t record = s->rx_head + i * (head + s->rx_guess);
        lay_out(s, e->batch, i, record + head, ctl);
    }
    int n;
    do {
        n = recvmmsg(s->fd, e->batch->msgs, most, MSG_DONTWAIT, NULL);
    } while (n < 0 && errno == EINTR);
    return n;
}

struct msghdr *batch_get(const struct sock *s, uint32_t i, uint32_t *len) {
    struct mmsghdr *m = &s->link->engine->batch->msgs[i];
    *len = m->msg_len;
    return &m->msg_hdr;
}

// What lies in the ring goes before what is there already.
const uint8_t *batch_copy(const struct sock *s, uint32_t i) {
    struct dgram_batch *b = s->link->engine->batch;
    uint8_t *to = b->copies[i];
    uint32_t left = s->rx_guess;
    left = left < b->msgs[i].msg_len ? left : b->msgs[i].msg_len;
    for (int k = 0; left; k++) {
        uint32_t n = (uint32_t)b->iov[i][k].iov_len;
        n = n < left ? n : left;
        memcpy(to, b->iov[i][k].iov_base, n);
        to += n;
        left -= n;
    }
    return b->copies[i];
}
