// A link on an engine in this process.
// SPDX-License-Identifier: MIT
#include "fuzz/side.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define TRIES 256 // more than orders can make fail

static void gone(void *arg) {
    ((struct side *)arg)->gone = true;
}

void *side_line(const struct side *s, uint32_t line) {
    return s->region + (size_t)line * FAR_LINE;
}

static void map(struct side *s) {
    s->bytes = (size_t)far_layout_bytes(&s->lay);
    if (s->region && s->mapped == s->bytes && s->ring == SIDE_RING) {
        memset(s->region, 0, s->bytes);
        return;
    }
    if (s->region) {
        munmap(s->region, s->mapped);
    }
    s->mapped = s->bytes;
    s->region = mmap(NULL, s->bytes, PROT_READ | PROT_WRITE,
        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

void side_open(struct side *s, struct engine *e, uint32_t base, uint8_t how) {
    int pair[2] = {-1, -1};
    s->ring = how & 0x10 ? SIDE_BIG : SIDE_RING;
    far_layout_make(&s->lay, SIDE_SOCKETS, SIDE_TAGS, s->ring, s->ring, base);
    map(s);
    s->engine = e;
    s->gone = false;
    s->cmd_head = s->lay.index_base;
    s->to_near = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    s->to_far = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair);
    s->near_end = pair[0];
    s->far_end = pair[1];
    struct far_near_ctl *near = side_line(s, 0);
    near->cmd.head = near->evt.tail = s->lay.index_base;
    near->evt.wake = s->lay.index_base - 1u;
    struct link_spec spec = {
        .region = s->region,
        .layout = s->lay,
        .bell_to_near = s->to_near,
        .bell_from_near = s->to_far,
        .hangup = s->far_end,
        .features = (how & 0x02 ? FAR_FEATURE_RESCUE : 0) |
                    (how & 0x04 ? FAR_FEATURE_BEAT : 0),
        .max_sockets = how & 0x08 ? 4 : 0,
        .max_incoming = how & 0x08 ? 1 : 0,
        .max_lookups = how & 0x08 ? 1 : 0,
        .gone = gone,
        .arg = s,
    };
    snprintf(spec.name, sizeof spec.name, "%s", s->name);
    for (int i = 0; i < TRIES && !(s->link = engine_link_new(e, &spec)); i++) {
    }
    if (!s->link) {
        perror("no link");
        abort();
    }
}

void side_close(struct side *s) {
    close(s->to_near);
    close(s->to_far);
    close(s->far_end);
    if (s->near_end >= 0) {
        close(s->near_end);
    }
}

void side_ring(const struct side *s) {
    uint64_t one = 1;
    ssize_t n = write(s->to_far, &one, sizeof one);
    (void)n;
}

struct far_rings side_rings(const struct side *s, uint32_t slot, uint32_t gen) {
    uint8_t log2 = 0;
    while (1u << log2 < s->ring) {
        log2++;
    }
    return (struct far_rings){
        .tx_at = s->lay.tx_at + slot * (s->ring / FAR_LINE),
        .rx_at = s->lay.rx_at + slot * (s->ring / FAR_LINE),
        .tx_log2 = log2,
        .rx_log2 = log2,
        .gen = gen,
    };
}
