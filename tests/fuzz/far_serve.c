// What a far side does that keeps the rules: answers, bytes, states.
// SPDX-License-Identifier: MIT
#include <string.h>

#include "farsock/proto.h"
#include "fuzz/far_player.h"
#include "fuzz/watch.h"

#define FIELD(name) offsetof(struct far_far_line, name)
#define NEAR(name)  offsetof(struct far_near_line, name)

static struct far_player *const f = &far_side;

static void set_word(uint32_t slot, size_t field, uint32_t v) {
    far_poke32(far_line_at(slot) + field, v);
}

static void add_state(uint32_t slot, uint32_t set, uint32_t clear) {
    set_word(slot, FIELD(state), (far_word(slot, FIELD(state)) | set) & ~clear);
}

// --- Bytes ---

static uint32_t room_in(uint32_t slot) {
    uint32_t used =
        far_word(slot, FIELD(rx_head)) - far_near_word(slot, NEAR(rx_tail));
    return used <= FAR_SIDE_RING ? FAR_SIDE_RING - used : 0;
}

void far_give_bytes(uint32_t slot, const void *from, uint32_t n) {
    uint32_t head = far_word(slot, FIELD(rx_head));
    uint8_t *ring = far_at_line(f->lay.rx_at) +
                    (size_t)(slot % FAR_SIDE_SOCKETS) * FAR_SIDE_RING;
    for (uint32_t i = 0; i < n; i++) {
        ring[(head + i) % FAR_SIDE_RING] = ((const uint8_t *)from)[i];
    }
    set_word(slot, FIELD(rx_head), head + n);
}

// As much as there is room for, of a datagram's rest or of a stream.
void far_give_well(uint32_t slot) {
    static const uint8_t zeros[FAR_SIDE_RING];
    uint32_t *big = &f->big[slot % FAR_SIDE_SOCKETS];
    uint32_t n = take_number(f->in) * 8u % (FAR_SIDE_RING + 8u);
    n = n < room_in(slot) ? n : room_in(slot);
    if (*big) {
        n = *big < n ? *big : n;
        *big -= n;
    }
    far_give_bytes(slot, zeros, n);
    far_kicked(slot);
}

void far_give_dgram(uint32_t slot, uint16_t flags) {
    uint8_t rest[FAR_SIDE_RING] = {0};
    uint8_t how = take8(f->in);
    struct far_dgram h = {
        .len = how & 0x40 ? FAR_SIDE_RING + take_number(f->in) % 20000u
                          : take_number(f->in) % 1000u,
        .ctl_len = how & 0x80 ? 48 : 0,
        .flags = (uint16_t)(flags | (how & 7u)),
    };
    struct far_ctl c = {.len = 4, .level = 0, .type = take8(f->in)};
    struct far_addr from = {.family = FAR_AF_INET, .port = 9};
    uint32_t n = h.flags & FAR_DGRAM_ADDR ? sizeof from : 0;
    memcpy(rest, &from, n);
    memcpy(rest + n, &c, sizeof c);
    n += h.ctl_len;
    uint32_t all = n + FAR_ALIGN8(h.len);
    uint32_t now = all + sizeof h <= FAR_SIDE_RING ? all : n;
    if (f->big[slot % FAR_SIDE_SOCKETS] || sizeof h + now > room_in(slot)) {
        return;
    }
    // Published as one.
    uint32_t head = far_word(slot, FIELD(rx_head));
    far_give_bytes(slot, &h, sizeof h);
    far_give_bytes(slot, rest, now);
    set_word(slot, FIELD(rx_head), head);
    set_word(slot, FIELD(rx_head), head + (uint32_t)sizeof h + now);
    f->big[slot % FAR_SIDE_SOCKETS] = all - now;
    far_kicked(slot);
}

void far_give_mark(uint32_t slot) {
    uint32_t *n = &f->marks[slot % FAR_SIDE_SOCKETS];
    uint8_t byte = take8(f->in);
    *n += 1u;
    set_word(slot, FIELD(urg_pos) + *n % FAR_MARKS * 4u,
        far_word(slot, FIELD(rx_head)) + byte % 16u);
    set_word(slot, FIELD(urg), *n << 16 | byte);
    far_kicked(slot);
}

// An end of the peer's, a reset, an error, news.
void far_end(uint32_t slot, uint8_t how) {
    static const uint32_t ends[] = {
        FAR_ST_FIN | FAR_ST_RDHUP,
        FAR_ST_HUP | FAR_ST_DRAINED,
        FAR_ST_HUP | FAR_ST_FIN,
        FAR_ST_ACCEPT,
        FAR_ST_PRI,
        FAR_ST_ERRQUEUE,
        FAR_ST_SHARED,
        FAR_ST_SHARED | FAR_ST_DATA,
    };
    uint32_t state = ends[how & 7u];
    uint32_t seq = far_word(slot, FIELD(err)) >> 16;
    if (state & FAR_ST_FIN) {
        set_word(slot, FIELD(fin_pos), far_word(slot, FIELD(rx_head)));
    }
    if (how & 0x20) {
        seq++;
        set_word(slot, FIELD(err), seq << 16 | (how & 0x40 ? 104u : 111u));
        set_word(slot, FIELD(state),
            (far_word(slot, FIELD(state)) & 0xffffu) | seq << FAR_ST_ERR_SHIFT);
    }
    if (how & 0x80) { // a connect() is over
        add_state(slot, FAR_ST_CONNECTED, FAR_ST_CONNECTING);
    }
    add_state(slot, how & 0x10 ? 0 : state, 0);
    far_kicked(slot);
}

void far_new_state(uint32_t slot, uint8_t how) {
    static const uint32_t states[] = {0, FAR_ST_CONNECTED, FAR_ST_CONNECTING,
        FAR_ST_LISTENING, FAR_ST_CLOSED, FAR_ST_CONNECTED | FAR_ST_RDHUP,
        FAR_ST_HUP | FAR_ST_RDHUP | FAR_ST_DRAINED, FAR_ST_SHARED};
    set_word(slot, FIELD(state),
        (far_word(slot, FIELD(state)) & ~0xffffu) | states[how & 7u]);
    far_kicked(slot);
}

void far_take_tx(uint32_t slot) {
    set_word(slot, FIELD(tx_tail), far_near_word(slot, NEAR(tx_head)));
    set_word(slot, FIELD(tx_wake), far_near_word(slot, NEAR(tx_head)));
    far_kicked(slot);
}

// --- Requests ---

// The next request in the cmd ring, its payload in buf. False: none.
static bool next_request(struct far_msg *m, uint8_t *buf) {
    const struct far_near_ctl *near = (void *)f->region;
    for (uint32_t most = f->lay.cmd_bytes / 8u; most > 0; most--) {
        uint32_t pos = f->cmd_tail & (f->lay.cmd_bytes - 1u);
        const uint8_t *p = far_at_line(f->lay.cmd_at) + pos;
        if (f->cmd_tail == near->cmd.head) {
            return false;
        }
        memcpy(m, p, sizeof *m);
        if (m->len > FAR_RECORD_MAX - sizeof *m && m->op != FAR_OP_PAD) {
            if (f->wild) {
                return false;
            }
            far_side_fail("it wrote a message that is too long");
        }
        if (m->op != FAR_OP_PAD) {
            memcpy(buf, p + sizeof *m, m->len);
        }
        f->cmd_tail += (uint32_t)sizeof *m + FAR_ALIGN8((uint32_t)m->len);
        far_poke32(offsetof(struct far_far_ctl, cmd), f->cmd_tail);
        if (m->op != FAR_OP_PAD) {
            return true;
        }
    }
    return false;
}

static void new_line(uint32_t slot, uint32_t gen, uint32_t state) {
    uint32_t base = f->lay.index_base;
    struct far_far_line line = {
        .gen = gen,
        .tx_tail = base,
        .rx_head = base,
        .tx_wake = base,
        .rx_wake = base - 1u,
        .state = state,
        .fin_pos = base,
    };
    size_t far_part = (size_t)f->lay.far_at * FAR_LINE;
    watch_poke(f->region + far_part + far_line_at(slot), &line, sizeof line);
    f->big[slot % FAR_SIDE_SOCKETS] = f->marks[slot % FAR_SIDE_SOCKETS] = 0;
}

static void close_slot(uint32_t slot) {
    if (far_near_word(slot, NEAR(flags))) {
        set_word(slot, FIELD(state), FAR_ST_CLOSED);
        far_kicked(slot);
    }
}

// Another one like the last, sometimes.
static void promise(const struct far_req_socket *req) {
    bool does = req->family == FAR_AF_INET6 && req->type == FAR_SOCK_STREAM;
    uint32_t n = does ? req->rings.gen + 1u : 0;
    uint32_t words[] = {n, req->family, req->type, req->proto};
    size_t far_part = (size_t)f->lay.far_at * FAR_LINE;
    watch_poke(f->region + far_part + offsetof(struct far_far_ctl, promise),
        words, sizeof words);
}

// What changes with a request.
static void serve(const struct far_msg *m, const uint8_t *buf) {
    struct far_req_socket req;
    struct far_req_accept acc;
    struct far_req_recv recv;
    switch (m->op) {
        case FAR_OP_SOCKET:
        case FAR_OP_ADOPT:
            memcpy(&req, buf, sizeof req);
            new_line(m->sock, req.rings.gen, 0);
            promise(&req);
            break;
        case FAR_OP_ACCEPT:
            memcpy(&acc, buf, sizeof acc);
            new_line(acc.slot, acc.rings.gen, FAR_ST_CONNECTED);
            break;
        case FAR_OP_LISTEN:
            add_state(m->sock, FAR_ST_LISTENING | FAR_ST_ACCEPT, 0);
            break;
        case FAR_OP_CONNECT:
            add_state(m->sock,
                f->in->left & 1u ? FAR_ST_CONNECTED : FAR_ST_CONNECTING, 0);
            break;
        case FAR_OP_RECV:
            memcpy(&recv, buf, sizeof recv);
            far_give_dgram(m->sock,
                recv.flags & FAR_RECV_PEEK ? FAR_DGRAM_COPY : 0);
            break;
        case FAR_OP_SHARE:
            add_state(m->sock, FAR_ST_SHARED, 0);
            break;
        case FAR_OP_FLUSH:
            far_take_tx(m->sock);
            break;
        case FAR_OP_URGENT:
            far_give_mark(m->sock);
            break;
        case FAR_OP_KICK:
            close_slot(m->sock);
            break;
        default:
            break;
    }
}

// The data that belongs to an answer, and its result.
static uint32_t data_for(const struct far_msg *m, const uint8_t *buf,
    uint8_t *data, int32_t *result) {
    struct far_rep_errqueue queue = {
        .dgram = {.len = 9, .ctl_len = 48, .flags = f->in->left & 7u}};
    struct far_rep_gai gai = {.count = take8(f->in) % 5u, .canon_len = 4};
    struct far_rep_ioctl io;
    struct far_req_ioctl asked;
    switch (m->op) {
        case FAR_OP_ERRQUEUE:
            memcpy(data, &queue, sizeof queue);
            return sizeof queue + 48u + 9u;
        case FAR_OP_GETADDRINFO:
            memcpy(data, &gai, sizeof gai);
            memset(data + sizeof gai, 'n', 4);
            return (uint32_t)(sizeof gai + 8u +
                              gai.count * sizeof(struct far_gai_entry));
        case FAR_OP_GETNAMEINFO:
            memcpy(data, &(struct far_rep_gni){4, 2, 0}, 8);
            memset(data + 8, 'n', 6);
            return 14;
        case FAR_OP_IOCTL:
            memcpy(&asked, buf, sizeof asked);
            io = (struct far_rep_ioctl){
                .rx_head = far_word(m->sock, FIELD(rx_head)),
                .tx_tail = far_word(m->sock, FIELD(tx_tail)),
                .arg = asked.arg,
            };
            io.arg.value = take8(f->in) & 3u;
            memcpy(data, &io, sizeof io);
            return sizeof io;
        case FAR_OP_GETIFADDRS:
            *result = gai.count;
            return (uint32_t)(gai.count * sizeof(struct far_ifaddr));
        case FAR_OP_IFNAME:
            *result = 1;
            return sizeof(struct far_req_ifname);
        case FAR_OP_CONTROL:
            return 24;
        case FAR_OP_RECV:
        case FAR_OP_URGENT:
            *result = take8(f->in);
            return 0;
        case FAR_OP_CONNECT:
            *result = far_word(m->sock, FIELD(state)) & FAR_ST_CONNECTING
                          ? FAR_EINPROGRESS
                          : FAR_OK;
            return 0;
        case FAR_OP_FLUSH:
            *result = 1;
            return 0;
        case FAR_OP_GETSOCKOPT:
            *result = 4;
            return 4;
        default:
            return sizeof(struct far_addr) * 2u;
    }
}

bool far_answer(enum far_answer how_well) {
    struct far_msg m;
    static const int32_t errors[] = {FAR_EAGAIN, FAR_EINPROGRESS, FAR_EALREADY,
        FAR_ECONNABORTED, FAR_ENOTCONN, FAR_EINVAL, FAR_EAFNOSUPPORT,
        FAR_EMSGSIZE, FAR_EPIPE, FAR_ECANCELED, FAR_ENETDOWN, FAR_EINTR};
    uint8_t buf[FAR_RECORD_MAX];
    uint8_t data[2u * FAR_RECORD_MAX] = {0};
    if (!next_request(&m, buf)) {
        return false;
    }
    serve(&m, buf);
    if (!m.tag || m.op == FAR_OP_CANCEL) {
        return true;
    }
    struct far_reply rep = {0};
    uint32_t len = 0;
    if (how_well == FAR_REFUSED) {
        rep.result = errors[take8(f->in) % (sizeof errors / sizeof *errors)];
    } else if (how_well == FAR_WELL) {
        len = data_for(&m, buf, data + sizeof rep, &rep.result);
        rep.total = len;
    } else {
        uint8_t how = take8(f->in);
        rep.result = how & 1 ? (int32_t)take32(f->in) : -(how >> 1);
        len = take_number(f->in) % (FAR_REPLY_DATA_MAX + 1u);
        rep.total = how & 0x80 ? take_number(f->in) : len;
        take(f->in, data + sizeof rep, len);
    }
    memcpy(data, &rep, sizeof rep);
    far_put((struct far_msg){.op = FAR_OP_REPLY, .tag = m.tag}, data,
        (uint32_t)sizeof rep + len);
    return true;
}
