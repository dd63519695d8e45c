// A far side's steps: whatever its input says, by the rules and against them.
// SPDX-License-Identifier: MIT
#include <string.h>

#include "fuzz/far_player.h"
#include "fuzz/watch.h"

struct far_player far_side;
static struct far_player *const f = &far_side;

// --- Far's part ---

size_t far_start(void) {
    return (size_t)f->lay.far_at * FAR_LINE;
}

void far_poke32(size_t at, uint32_t v) {
    size_t part = f->bytes - far_start();
    watch_poke(f->region + far_start() + at % part / 4u * 4u, &v, sizeof v);
}

uint8_t *far_at_line(uint32_t line) {
    return f->region + (size_t)line * FAR_LINE;
}

size_t far_line_at(uint32_t slot) {
    return (size_t)(f->lay.far_socks - f->lay.far_at +
                    slot % FAR_SIDE_SOCKETS) *
           FAR_LINE;
}

uint32_t far_word(uint32_t slot, size_t field) {
    uint32_t v;
    watch_peek(&v, f->region + far_start() + far_line_at(slot) + field,
        sizeof v);
    return v;
}

uint32_t far_near_word(uint32_t slot, size_t field) {
    uint32_t v;
    memcpy(&v, far_at_line(f->lay.near_socks + slot % FAR_SIDE_SOCKETS) + field,
        sizeof v);
    return v;
}

// --- Messages to near ---

static void put_evt(uint32_t pos, const void *from, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        watch_poke(far_at_line(f->lay.evt_at) +
                       ((pos + i) & (f->lay.evt_bytes - 1u)),
            (const uint8_t *)from + i, 1);
    }
}

void far_put(struct far_msg m, const void *payload, uint32_t len) {
    uint32_t whole = (uint32_t)sizeof m + FAR_ALIGN8(len);
    uint32_t to_end =
        f->lay.evt_bytes - (f->evt_head & (f->lay.evt_bytes - 1u));
    if (to_end < whole) {
        struct far_msg pad = {.len = (uint16_t)(to_end - sizeof pad)};
        put_evt(f->evt_head, &pad, sizeof pad);
        f->evt_head += to_end;
    }
    m.len = m.len ? m.len : (uint16_t)len;
    put_evt(f->evt_head, &m, sizeof m);
    put_evt(f->evt_head + (uint32_t)sizeof m, payload, len);
    f->evt_head += whole;
    far_poke32(offsetof(struct far_far_ctl, evt), f->evt_head);
}

void far_kicked(uint32_t slot) {
    far_put((struct far_msg){.op = FAR_OP_KICKED,
                .sock = (uint16_t)(slot % FAR_SIDE_SOCKETS)},
        NULL, 0);
}

static void any_message(void) {
    uint8_t payload[FAR_RECORD_MAX];
    struct far_msg m = {
        .op = (uint8_t)(FAR_OP_REPLY + take8(f->in) % 4u),
        .tag = (uint16_t)take_number(f->in),
        .sock = (uint16_t)take_number(f->in),
    };
    uint8_t odd = take8(f->in);
    uint32_t len = take_number(f->in) % (sizeof payload - 8u);
    take(f->in, payload, len);
    m.flags = odd == 0xff ? 1 : 0;
    m.len = odd == 0xfe ? take16(f->in) : 0;
    far_put(m, payload, len);
}

// --- Sockets' lines and rings ---

static void write_line(void) {
    uint32_t slot = take8(f->in);
    uint32_t word = take8(f->in) % 14u * 4u;
    uint8_t how = take8(f->in);
    uint32_t v = far_word(slot, word);
    if (how < 0x40) {
        v += how;
    } else if (how < 0x80) {
        v ^= 1u << (how & 0x1fu);
    } else if (how < 0xc0) {
        v = far_near_word(slot, how & 1
                                    ? offsetof(struct far_near_line, tx_head)
                                    : offsetof(struct far_near_line, rx_tail)) +
            (how >> 1 & 7u);
    } else {
        v = take32(f->in);
    }
    far_poke32(far_line_at(slot) + word, v);
    far_kicked(slot);
}

// Room or not.
static void give(bool dgram) {
    uint32_t slot = take8(f->in);
    uint8_t bytes[1024];
    if (dgram) {
        struct far_dgram h = {
            .len = take_number(f->in),
            .ctl_len = (uint16_t)take_number(f->in),
            .flags = take8(f->in),
        };
        struct far_addr from = {.family = FAR_AF_INET, .port = 9};
        far_give_bytes(slot, &h, sizeof h);
        if (h.flags & FAR_DGRAM_ADDR) {
            far_give_bytes(slot, &from, sizeof from);
        }
    }
    uint32_t len = take8(f->in) * 4u;
    take(f->in, bytes, len);
    far_give_bytes(slot, bytes, len);
    far_kicked(slot);
}

static void time_passes(void) {
    f->now += 1ull << (take8(f->in) % 40u);
}

void far_step(void) {
    if (f->busy || f->in->left == 0) {
        return;
    }
    f->busy = true;
    uint8_t op = take8(f->in);
    uint8_t slot = op >> 6;
    switch (op % 20u) {
        case 0:
            far_poke32(take16(f->in) * 4u, take32(f->in));
            break;
        case 1:
            any_message();
            break;
        case 2:
            far_answer(FAR_ANYHOW);
            break;
        case 3:
            write_line();
            break;
        case 4:
            give(false);
            break;
        case 5:
            give(true);
            break;
        case 6:
            far_kicked(take_number(f->in));
            break;
        case 7:
            far_poke32(offsetof(struct far_far_ctl, evt),
                f->evt_head + take_number(f->in) - 64u);
            break;
        case 8:
            f->interrupts += op >> 5;
            break;
        case 9:
            time_passes();
            break;
        case 10:
            far_give_well(slot);
            break;
        case 11:
            far_give_dgram(slot, FAR_DGRAM_ADDR);
            break;
        case 12:
            far_give_mark(slot);
            break;
        case 13:
            far_end(slot, take8(f->in));
            break;
        case 14:
            far_take_tx(slot);
            break;
        case 18:
            far_new_state(slot, take8(f->in));
            break;
        case 19:
            far_answer(FAR_REFUSED);
            break;
        default: // the rules are kept, as often as not
            far_answer(FAR_WELL);
            break;
    }
    f->busy = false;
}
