// Where everything is in a region.
// SPDX-License-Identifier: MIT
#include "farsock/errors.h"
#include "farsock/wire.h"

static uint32_t round_ring(uint32_t bytes) {
    uint32_t size = FAR_RING_MIN;
    while (size < bytes && size < FAR_RING_MAX) {
        size *= 2u;
    }
    return size;
}

// Room that makes a message ring never too small for what may be in it: one
// KICK a socket, and for each tag one request or reply of the largest size and
// two CANCELs (the last request's may still be unread); and padding at the
// wrap.
static uint32_t msg_ring_bytes(uint32_t sockets, uint32_t tags) {
    uint32_t kick = (uint32_t)sizeof(struct far_msg);
    uint32_t need = sockets * kick + tags * (FAR_RECORD_MAX + 2u * kick) +
                    2u * FAR_RECORD_MAX;
    return round_ring(need);
}

static uint32_t page_up(uint32_t line) {
    return (line + FAR_PAGE_LINES - 1u) / FAR_PAGE_LINES * FAR_PAGE_LINES;
}

int far_layout_make(struct far_layout *out, uint32_t sockets, uint32_t tags,
    uint32_t tx_ring, uint32_t rx_ring, uint32_t index_base) {
    if (sockets < 1 || sockets > FAR_SOCKETS_MAX || tags < 1 ||
        tags > FAR_TAGS_MAX) {
        return FAR_EINVAL;
    }
    struct far_layout l = {
        .sockets = sockets,
        .tags = tags,
        .cmd_bytes = msg_ring_bytes(sockets, tags),
        .evt_bytes = msg_ring_bytes(sockets, tags),
        .tx_ring = round_ring(tx_ring),
        .rx_ring = round_ring(rx_ring),
        .index_base = index_base & ~7u,
    };
    uint64_t tx_lines = (uint64_t)sockets * (l.tx_ring / FAR_LINE);
    uint64_t rx_lines = (uint64_t)sockets * (l.rx_ring / FAR_LINE);
    uint64_t fixed = 2u * (uint64_t)sockets +
                     2u * (uint64_t)(l.cmd_bytes / FAR_LINE) +
                     8u * FAR_PAGE_LINES;
    if (tx_lines + rx_lines + fixed > UINT32_MAX) {
        return FAR_EINVAL;
    }
    l.near_socks = (uint32_t)sizeof(struct far_near_ctl) / FAR_LINE;
    l.cmd_at = l.near_socks + sockets;
    l.tx_at = page_up(l.cmd_at + l.cmd_bytes / FAR_LINE);
    l.far_at = page_up(l.tx_at + (uint32_t)tx_lines);
    l.far_socks = l.far_at + (uint32_t)sizeof(struct far_far_ctl) / FAR_LINE;
    l.evt_at = l.far_socks + sockets;
    l.rx_at = page_up(l.evt_at + l.evt_bytes / FAR_LINE);
    l.lines = page_up(l.rx_at + (uint32_t)rx_lines);
    *out = l;
    return FAR_OK;
}

int far_layout_fit(struct far_layout *out, uint64_t region_bytes,
    uint32_t sockets, uint32_t tags, uint32_t index_base) {
    uint64_t half = region_bytes / FAR_LINE / 2u;
    if (region_bytes % (2u * FAR_PAGE_LINES * FAR_LINE) != 0 ||
        half > UINT32_MAX / 2u) {
        return FAR_EINVAL;
    }
    for (uint32_t ring = FAR_RING_MAX; ring >= FAR_RING_MIN; ring /= 2u) {
        struct far_layout l;
        if (far_layout_make(&l, sockets, tags, ring, ring, index_base) !=
                FAR_OK ||
            l.far_at > half || l.lines - l.far_at > half) {
            continue;
        }
        uint32_t shift = (uint32_t)half - l.far_at;
        l.far_at += shift;
        l.far_socks += shift;
        l.evt_at += shift;
        l.rx_at += shift;
        l.lines = 2u * (uint32_t)half;
        *out = l;
        return FAR_OK;
    }
    return FAR_EINVAL;
}

uint64_t far_layout_bytes(const struct far_layout *l) {
    return (uint64_t)l->lines * FAR_LINE;
}

static int is_power_of_two(uint32_t n) {
    return n != 0 && (n & (n - 1u)) == 0;
}

static int ring_size_ok(uint32_t n) {
    return is_power_of_two(n) && n >= FAR_RING_MIN && n <= FAR_RING_MAX;
}

// [at, at + lines) lies in [from, to).
static int inside(uint32_t at, uint64_t lines, uint32_t from, uint32_t to) {
    return at >= from && (uint64_t)at + lines <= to;
}

int far_layout_check(const struct far_layout *l, uint64_t region_bytes) {
    uint32_t near_ctl = (uint32_t)sizeof(struct far_near_ctl) / FAR_LINE;
    uint32_t far_ctl = (uint32_t)sizeof(struct far_far_ctl) / FAR_LINE;
    if (far_layout_bytes(l) > region_bytes || l->sockets < 1 ||
        l->sockets > FAR_SOCKETS_MAX || l->tags < 1 || l->tags > FAR_TAGS_MAX ||
        !ring_size_ok(l->cmd_bytes) || !ring_size_ok(l->evt_bytes) ||
        !ring_size_ok(l->tx_ring) || !ring_size_ok(l->rx_ring) ||
        l->index_base % 8u != 0) {
        return FAR_EBADMSG;
    }
    uint32_t cmd = l->cmd_bytes / FAR_LINE;
    uint32_t evt = l->evt_bytes / FAR_LINE;
    uint32_t need = msg_ring_bytes(l->sockets, l->tags);
    uint64_t tx = (uint64_t)l->sockets * (l->tx_ring / FAR_LINE);
    uint64_t rx = (uint64_t)l->sockets * (l->rx_ring / FAR_LINE);
    if (l->cmd_bytes < need || l->evt_bytes < need ||
        l->far_at % FAR_PAGE_LINES != 0 || l->far_at >= l->lines ||
        !inside(l->near_socks, l->sockets, near_ctl, l->cmd_at) ||
        !inside(l->cmd_at, cmd, near_ctl, l->tx_at) ||
        !inside(l->tx_at, tx, near_ctl, l->far_at) ||
        !inside(l->far_socks, l->sockets, l->far_at + far_ctl, l->evt_at) ||
        !inside(l->evt_at, evt, l->far_at + far_ctl, l->rx_at) ||
        !inside(l->rx_at, rx, l->far_at + far_ctl, l->lines)) {
        return FAR_EBADMSG;
    }
    return FAR_OK;
}

static int log2_ok(uint8_t log2) {
    return log2 < 32 && ring_size_ok(1u << log2);
}

int far_rings_check(const struct far_layout *l, const struct far_rings *r) {
    if (!log2_ok(r->tx_log2) || !log2_ok(r->rx_log2) || r->gen == 0 ||
        !inside(r->tx_at, (1u << r->tx_log2) / FAR_LINE, l->tx_at, l->far_at) ||
        !inside(r->rx_at, (1u << r->rx_log2) / FAR_LINE, l->rx_at, l->lines)) {
        return FAR_EBADMSG;
    }
    return FAR_OK;
}
