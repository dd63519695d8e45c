// Layouts and places of rings, as a peer may claim them.
// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <stdlib.h>

#include "farsock/errors.h"
#include "farsock/wire.h"
#include "fuzz/input.h"

static void check(int good, const char *what) {
    if (!good) {
        fprintf(stderr, "layout: %s\n", what);
        abort();
    }
}

static uint64_t at(uint32_t line) {
    return (uint64_t)line * FAR_LINE;
}

// What a side would touch, each byte of it.
static void check_parts(const struct far_layout *l, uint64_t bytes) {
    uint64_t far = at(l->far_at);
    uint64_t tx = (uint64_t)l->sockets * l->tx_ring;
    uint64_t rx = (uint64_t)l->sockets * l->rx_ring;
    check(sizeof(struct far_near_ctl) <= at(l->near_socks), "near's control");
    check(at(l->near_socks) + l->sockets * 64ull <= at(l->cmd_at), "its lines");
    check(at(l->cmd_at) + l->cmd_bytes <= at(l->tx_at), "cmd");
    check(at(l->tx_at) + tx <= far, "tx");
    check(far + sizeof(struct far_far_ctl) <= at(l->far_socks), "far's");
    check(at(l->far_socks) + l->sockets * 64ull <= at(l->evt_at), "its lines");
    check(at(l->evt_at) + l->evt_bytes <= at(l->rx_at), "evt");
    check(at(l->rx_at) + rx <= bytes, "rx");
}

static void check_rings(const struct far_layout *l, const struct far_rings *r) {
    check(at(r->tx_at) >= at(l->tx_at) &&
              at(r->tx_at) + (1ull << r->tx_log2) <= at(l->far_at),
        "a tx ring");
    check(at(r->rx_at) >= at(l->rx_at) &&
              at(r->rx_at) + (1ull << r->rx_log2) <= at(l->lines),
        "an rx ring");
    check(r->gen != 0, "a generation");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input in = {data, size};
    struct far_layout l;
    struct far_rings r;
    uint8_t how = take8(&in);
    uint64_t bytes = (uint64_t)take32(&in) << (how & 15u);
    if (how == 0x9f) { // what fits
        uint32_t sockets = take_number(&in);
        bytes = (uint64_t)take32(&in) << (take8(&in) & 31u);
        if (far_layout_fit(&l, bytes, sockets, take_number(&in), 0) != FAR_OK) {
            return 0;
        }
        check(far_layout_check(&l, bytes) == FAR_OK, "one that fits");
    } else if (how & 0x80) {
        take(&in, &l, sizeof l);
    } else if (far_layout_make(&l, take_number(&in), take_number(&in),
                   take32(&in), take32(&in), take32(&in)) != FAR_OK) {
        return 0;
    } else {
        bytes = far_layout_bytes(&l);
        check(far_layout_check(&l, bytes) == FAR_OK, "one of our own");
        uint32_t word = take8(&in) % (sizeof l / 4u);
        uint32_t v = take32(&in);
        memcpy((uint8_t *)&l + word * 4u, &v, how & 0x40 ? sizeof v : 0);
    }
    if (far_layout_check(&l, bytes) != FAR_OK) {
        return 0;
    }
    check_parts(&l, bytes);
    take(&in, &r, sizeof r);
    if (how & 0x20) { // near what it should be
        r.tx_at += l.tx_at;
        r.rx_at += l.rx_at;
        r.tx_log2 &= 31u;
        r.rx_log2 &= 31u;
    }
    if (far_rings_check(&l, &r) == FAR_OK) {
        check_rings(&l, &r);
    }
    return 0;
}
