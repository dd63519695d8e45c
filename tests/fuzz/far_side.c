// A far side for the near library in this process.
// SPDX-License-Identifier: MIT
#include "fuzz/far_side.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "fuzz/watch.h"
#include "ring/ring.h"

#define SLEEPS_MAX 2000u // of one call after its deadline

static struct {
    struct far_link *link;
    void *memory;
    struct far_layout lay;
    uint8_t *region;
    size_t bytes;
    struct input *in;
    struct input changes;
    uint64_t now, deadline;
    uint32_t sleeps;
    uint32_t evt_head, cmd_tail;
    uint32_t interrupts; // questions that are answered with yes
    bool busy;           // at a step already
} f;

void far_side_fail(const char *what) {
    fprintf(stderr, "near library: %s\n", what);
    abort();
}

static size_t far_start(void) {
    return (size_t)f.lay.far_at * FAR_LINE;
}

static void poke32(size_t at, uint32_t v) {
    size_t part = f.bytes - far_start();
    watch_poke(f.region + far_start() + at % part / 4u * 4u, &v, sizeof v);
}

static uint8_t *at_line(uint32_t line) {
    return f.region + (size_t)line * FAR_LINE;
}

static size_t line_at(uint32_t slot) {
    return (size_t)(f.lay.far_socks - f.lay.far_at + slot % FAR_SIDE_SOCKETS) *
           FAR_LINE;
}

static uint32_t far_word(uint32_t slot, size_t field) {
    uint32_t v;
    watch_peek(&v, f.region + far_start() + line_at(slot) + field, sizeof v);
    return v;
}

static uint32_t near_word(uint32_t slot, size_t field) {
    uint32_t v;
    memcpy(&v, at_line(f.lay.near_socks + slot % FAR_SIDE_SOCKETS) + field,
        sizeof v);
    return v;
}

static void changed(const void *p, size_t n) {
    uint8_t how = take8(&f.changes);
    size_t at = (size_t)((const uint8_t *)p - f.region) - far_start();
    if (how & 0x80) {
        poke32(at + (n > 4 ? (how & 0x1cu) : 0), take_number(&f.changes));
    } else if (how & 0x40) {
        poke32(take16(&f.changes), take32(&f.changes));
    }
}

// --- Messages to near ---

static void put_evt(uint32_t pos, const void *from, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        watch_poke(at_line(f.lay.evt_at) + ((pos + i) & (f.lay.evt_bytes - 1u)),
            (const uint8_t *)from + i, 1);
    }
}

static void put(struct far_msg m, const void *payload, uint32_t len) {
    uint32_t whole = (uint32_t)sizeof m + FAR_ALIGN8(len);
    uint32_t to_end = f.lay.evt_bytes - (f.evt_head & (f.lay.evt_bytes - 1u));
    if (to_end < whole) {
        struct far_msg pad = {.len = (uint16_t)(to_end - sizeof pad)};
        put_evt(f.evt_head, &pad, sizeof pad);
        f.evt_head += to_end;
    }
    m.len = m.len ? m.len : (uint16_t)len;
    put_evt(f.evt_head, &m, sizeof m);
    put_evt(f.evt_head + (uint32_t)sizeof m, payload, len);
    f.evt_head += whole;
    poke32(offsetof(struct far_far_ctl, evt), f.evt_head);
}

static void kicked(uint32_t slot) {
    put((struct far_msg){.op = FAR_OP_KICKED, .sock = (uint16_t)slot}, NULL, 0);
}

static void any_message(void) {
    uint8_t payload[FAR_RECORD_MAX];
    struct far_msg m = {
        .op = (uint8_t)(FAR_OP_REPLY + take8(f.in) % 4u),
        .tag = (uint16_t)take_number(f.in),
        .sock = (uint16_t)take_number(f.in),
    };
    uint8_t odd = take8(f.in);
    uint32_t len = take_number(f.in) % (sizeof payload - 8u);
    take(f.in, payload, len);
    m.flags = odd == 0xff ? 1 : 0;
    m.len = odd == 0xfe ? take16(f.in) : 0;
    put(m, payload, len);
}

// --- Answers ---

// The next request in the cmd ring, its payload in buf. False: none.
static bool next_request(struct far_msg *m, uint8_t *buf) {
    const struct far_near_ctl *near = (void *)f.region;
    for (;;) {
        uint32_t pos = f.cmd_tail & (f.lay.cmd_bytes - 1u);
        const uint8_t *p = at_line(f.lay.cmd_at) + pos;
        if (f.cmd_tail == near->cmd.head) {
            return false;
        }
        memcpy(m, p, sizeof *m);
        if (m->len > FAR_RECORD_MAX - sizeof *m && m->op != FAR_OP_PAD) {
            far_side_fail("it wrote a message that is too long");
        }
        if (m->op != FAR_OP_PAD) {
            memcpy(buf, p + sizeof *m, m->len);
        }
        f.cmd_tail += (uint32_t)sizeof *m + FAR_ALIGN8((uint32_t)m->len);
        poke32(offsetof(struct far_far_ctl, cmd), f.cmd_tail);
        if (m->op != FAR_OP_PAD) {
            return true;
        }
    }
}

static void new_line(uint32_t slot, uint32_t gen, uint32_t state) {
    uint32_t base = f.lay.index_base;
    struct far_far_line line = {
        .gen = gen,
        .tx_tail = base,
        .rx_head = base,
        .tx_wake = base,
        .rx_wake = base - 1u,
        .state = state,
        .fin_pos = base,
    };
    watch_poke(f.region + far_start() + line_at(slot), &line, sizeof line);
}

// What a far side would do that keeps the rules.
static void serve(const struct far_msg *m, const uint8_t *buf) {
    struct far_req_socket req;
    struct far_req_accept acc;
    switch (m->op) {
        case FAR_OP_SOCKET:
        case FAR_OP_ADOPT:
            memcpy(&req, buf, sizeof req);
            new_line(m->sock, req.rings.gen, 0);
            break;
        case FAR_OP_ACCEPT:
            memcpy(&acc, buf, sizeof acc);
            new_line(acc.slot, acc.rings.gen, FAR_ST_CONNECTED);
            break;
        case FAR_OP_LISTEN:
            poke32(line_at(m->sock) + offsetof(struct far_far_line, state),
                FAR_ST_LISTENING);
            break;
        case FAR_OP_CONNECT:
            poke32(line_at(m->sock) + offsetof(struct far_far_line, state),
                FAR_ST_CONNECTED);
            break;
        case FAR_OP_KICK:
            if (near_word(m->sock, offsetof(struct far_near_line, flags))) {
                poke32(line_at(m->sock) + offsetof(struct far_far_line, state),
                    FAR_ST_CLOSED);
                kicked(m->sock);
            }
            break;
        default:
            break;
    }
}

// Answers a request. how: well, or with whatever the input has.
static void answer(bool well) {
    struct far_msg m;
    uint8_t buf[FAR_RECORD_MAX];
    uint8_t data[FAR_RECORD_MAX] = {0};
    if (!next_request(&m, buf)) {
        return;
    }
    serve(&m, buf);
    if (!m.tag || m.op == FAR_OP_CANCEL) {
        return;
    }
    struct far_reply rep = {0};
    uint32_t len = 0;
    if (!well) {
        uint8_t how = take8(f.in);
        rep.result = how & 1 ? (int32_t)take32(f.in) : -(how >> 1);
        len = take_number(f.in) % (FAR_REPLY_DATA_MAX + 1u);
        rep.total = how & 0x80 ? take_number(f.in) : len;
        take(f.in, data + sizeof rep, len);
    }
    memcpy(data, &rep, sizeof rep);
    put((struct far_msg){.op = FAR_OP_REPLY, .tag = m.tag}, data,
        (uint32_t)sizeof rep + len);
}

// --- Sockets' lines and rings ---

static void write_line(void) {
    uint32_t slot = take8(f.in);
    uint32_t word = take8(f.in) % 10u * 4u;
    uint8_t how = take8(f.in);
    uint32_t v = far_word(slot, word);
    if (how < 0x40) {
        v += how;
    } else if (how < 0x80) {
        v ^= 1u << (how & 0x1fu);
    } else if (how < 0xc0) {
        v = near_word(slot, how & 1 ? offsetof(struct far_near_line, tx_head)
                                    : offsetof(struct far_near_line, rx_tail)) +
            (how >> 1 & 7u);
    } else {
        v = take32(f.in);
    }
    poke32(line_at(slot) + word, v);
    kicked(slot % FAR_SIDE_SOCKETS);
}

static void give_bytes(uint32_t slot, const void *from, uint32_t n) {
    size_t field = offsetof(struct far_far_line, rx_head);
    uint32_t head = far_word(slot, field);
    uint8_t *ring = at_line(f.lay.rx_at) +
                    (size_t)(slot % FAR_SIDE_SOCKETS) * FAR_SIDE_RING;
    for (uint32_t i = 0; i < n; i++) {
        ring[(head + i) % FAR_SIDE_RING] = ((const uint8_t *)from)[i];
    }
    poke32(line_at(slot) + field, head + n);
}

static void give(bool dgram) {
    uint32_t slot = take8(f.in);
    uint8_t bytes[1024];
    if (dgram) {
        struct far_dgram h = {
            .len = take_number(f.in),
            .ctl_len = (uint16_t)take_number(f.in),
            .flags = take8(f.in),
        };
        struct far_addr from = {.family = FAR_AF_INET, .port = 9};
        give_bytes(slot, &h, sizeof h);
        if (h.flags & FAR_DGRAM_ADDR) {
            give_bytes(slot, &from, sizeof from);
        }
    }
    uint32_t len = take8(f.in) * 4u;
    take(f.in, bytes, len);
    give_bytes(slot, bytes, len);
    kicked(slot % FAR_SIDE_SOCKETS);
}

static void step(void) {
    if (f.busy || f.in->left == 0) {
        return;
    }
    f.busy = true;
    uint8_t op = take8(f.in);
    switch (op % 12u) {
        case 0:
            poke32(take16(f.in) * 4u, take32(f.in));
            break;
        case 1:
            any_message();
            break;
        case 2:
            answer(false);
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
            kicked(take_number(f.in));
            break;
        case 7:
            poke32(offsetof(struct far_far_ctl, evt),
                f.evt_head + take_number(f.in) - 64u);
            break;
        case 8:
            f.interrupts += op >> 5;
            break;
        default: // the rules are kept, as often as not
            answer(true);
            break;
    }
    f.busy = false;
}

// --- The port ---

uint64_t far_side_now(void) {
    f.now += 1000u;
    return f.now;
}

static uint64_t now_ns(void *ctx) {
    (void)ctx;
    return far_side_now();
}

static void notify(void *ctx) {
    (void)ctx;
    step();
}

static int sleep_near(void *ctx, uint64_t deadline_ns) {
    (void)ctx;
    if (f.now > f.deadline && f.sleeps++ > SLEEPS_MAX) {
        far_side_fail("a call does not end at its deadline");
    }
    if (deadline_ns <= f.now) { // only a look
        step();
        return f.in->left & 1u ? FAR_OK : FAR_ETIMEDOUT;
    }
    if (f.in->left == 0) {
        return FAR_ELINKDOWN;
    }
    f.now += 100000u;
    step();
    return f.now < deadline_ns ? FAR_OK : FAR_ETIMEDOUT;
}

static void wake(void *ctx) {
    (void)ctx;
}

static bool interrupted(void *ctx) {
    (void)ctx;
    f.interrupts -= f.interrupts > 0;
    return f.interrupts > 0;
}

static const struct far_port port = {
    .now_ns = now_ns,
    .notify = notify,
    .wait = sleep_near,
    .wake = wake,
    .interrupted = interrupted,
};

void far_side_call(uint64_t deadline_ns) {
    f.deadline = deadline_ns ? deadline_ns : f.now;
    f.sleeps = 0;
    watch_anew();
}

// --- A link ---

static void map(uint32_t base) {
    far_layout_make(&f.lay, FAR_SIDE_SOCKETS, FAR_SIDE_TAGS, FAR_SIDE_RING,
        FAR_SIDE_RING, base);
    f.bytes = (size_t)far_layout_bytes(&f.lay);
    if (!f.region) {
        f.region = mmap(NULL, f.bytes, PROT_READ | PROT_WRITE,
            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    } else {
        memset(f.region, 0, f.bytes);
    }
}

struct far_link *far_side_begin(struct input *in, struct input changes,
    uint32_t base) {
    int err = 0;
    map(base);
    f.in = in;
    f.changes = changes;
    f.now = 1000000000u;
    f.interrupts = 0;
    f.evt_head = f.cmd_tail = f.lay.index_base;
    far_side_call(FAR_FOREVER);
    struct far_far_ctl *far = (void *)(f.region + far_start());
    far->hdr.magic = FAR_WIRE_MAGIC;
    far->hdr.version = FAR_WIRE_VERSION;
    far->layout = f.lay;
    far->evt.head = far->cmd.tail = far->cmd.wake = f.lay.index_base;
    watch_begin(f.region + far_start(), f.bytes - far_start(),
        (size_t)(f.lay.rx_at - f.lay.far_at) * FAR_LINE, changed);
    f.memory = malloc(far_link_size(&f.lay));
    f.link =
        far_link_init(f.memory, f.region, f.bytes, &f.lay, &port, NULL, &err);
    return f.link;
}

void far_side_end(void) {
    watch_end();
    free(f.memory);
}
