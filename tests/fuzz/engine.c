// A near core that does anything, at any time, against the engine.
// SPDX-License-Identifier: MIT
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/core.h"
#include "daemon/ctl.h"
#include "daemon/log.h"
#include "farsock/proto.h"
#include "fuzz/alone.h"
#include "fuzz/engine_near.h"
#include "fuzz/fault.h"
#include "fuzz/input.h"
#include "fuzz/side.h"
#include "fuzz/watch.h"

#define GONE_MAX 4096u // turns after which a link that hung up must be over
#define DONE_MAX 30000 // and milliseconds for a lookup that is at work

static struct engine *engine;
struct side side = {.name = "side"};
static struct input changes; // of what was just read
bool unrung;                 // messages whose doorbell is lost
int peers[PEERS];            // native ends of hostile streams
uint16_t peer_port;
static int listener;
static int usual; // descriptors

// --- What near writes ---

void poke32(size_t at, uint32_t v) {
    size_t near = (size_t)side.lay.far_at * FAR_LINE;
    watch_poke(side.region + at % near / 4u * 4u, &v, sizeof v);
}

size_t line_at(uint32_t slot) {
    return (size_t)(side.lay.near_socks + slot % SIDE_SOCKETS) * FAR_LINE;
}

uint32_t far_word(uint32_t slot, size_t field) {
    const uint8_t *line = side_line(&side, side.lay.far_socks + slot);
    uint32_t v;
    memcpy(&v, line + field, sizeof v);
    return v;
}

uint32_t near_word(uint32_t slot, size_t field) {
    uint32_t v;
    watch_peek(&v, side.region + line_at(slot) + field, sizeof v);
    return v;
}

// After each read of the engine's: the word, or another, may change.
static void changed(const void *p, size_t n) {
    uint8_t how = take8(&changes);
    size_t at = (size_t)((const uint8_t *)p - side.region);
    if (how & 0x80) {
        poke32(at + (n > 4 ? (how & 0x1cu) : 0), take_number(&changes));
    } else if (how & 0x40) {
        poke32(take16(&changes), take32(&changes));
    }
}

// --- Messages ---

static void put_bytes(uint32_t pos, const void *from, uint32_t n) {
    uint8_t *ring = side_line(&side, side.lay.cmd_at);
    for (uint32_t i = 0; i < n; i++) {
        watch_poke(ring + ((pos + i) & (side.lay.cmd_bytes - 1u)),
            (const uint8_t *)from + i, 1);
    }
}

static void publish(void) {
    poke32(offsetof(struct far_near_ctl, cmd), side.cmd_head);
    if (!unrung) {
        side_ring(&side);
    }
}

void put(struct far_msg m, const void *payload, uint32_t len) {
    uint32_t whole = (uint32_t)sizeof m + FAR_ALIGN8(len);
    uint32_t to_end =
        side.lay.cmd_bytes - (side.cmd_head & (side.lay.cmd_bytes - 1u));
    if (to_end < whole) {
        struct far_msg pad = {.len = (uint16_t)(to_end - sizeof pad)};
        put_bytes(side.cmd_head, &pad, sizeof pad);
        side.cmd_head += to_end;
    }
    m.len = m.len ? m.len : (uint16_t)len;
    put_bytes(side.cmd_head, &m, sizeof m);
    put_bytes(side.cmd_head + (uint32_t)sizeof m, payload, len);
    side.cmd_head += whole;
    publish();
}

static void put_any(struct input *in) {
    uint8_t payload[FAR_RECORD_MAX];
    struct far_msg m = {
        .op = take8(in),
        .tag = (uint16_t)take_number(in),
        .sock = (uint16_t)take_number(in),
    };
    uint8_t odd = take8(in);
    uint32_t len = take_number(in) % (sizeof payload - 8u);
    take(in, payload, len);
    m.flags = odd == 0xff ? 1 : 0;
    m.len = odd == 0xfe ? take16(in) : 0;
    put(m, payload, len);
}

// A request whose payload is well-formed, as nobody finds by chance.
static void put_good(struct input *in) {
    static const uint8_t sizes[] = {
#define X(name, num, request, needs_socket, text)                              \
    [FAR_OP_##name] = (uint8_t)sizeof(struct request),
#include "farsock/ops.def"
#undef X
    };
    uint8_t payload[FAR_RECORD_MAX] = {0};
    uint8_t op = (uint8_t)(take8(in) % (FAR_OP_ADOPT + 1u));
    uint8_t tag = (uint8_t)(take8(in) % (SIDE_TAGS + 1u));
    uint8_t slot = (uint8_t)(take8(in) % SIDE_SOCKETS);
    uint32_t len = sizes[op] > 1 ? sizes[op] : 0;
    uint32_t more = op == FAR_OP_SETSOCKOPT || op == FAR_OP_GETADDRINFO
                        ? take8(in) % 64u
                        : 0;
    take(in, payload, len + more);
    put((struct far_msg){.op = op, .tag = tag, .sock = slot}, payload,
        len + more);
}

// --- What a near core does that knows the way ---

void new_lines(uint32_t slot, uint32_t gen) {
    uint32_t base = side.lay.index_base;
    struct far_near_line line = {
        .gen = gen,
        .tx_head = base,
        .rx_tail = base,
        .tx_wake = base - 1u,
        .rx_wake = base,
        .tx_more = base - 1u,
    };
    watch_poke(side.region + line_at(slot), &line, sizeof line);
}

void put_socket(uint32_t slot, uint32_t family, uint32_t type, uint32_t proto) {
    struct far_req_socket req = {
        .rings = side_rings(&side, slot, near_word(slot, 0) + 1u),
        .family = family,
        .type = type,
        .proto = proto,
    };
    new_lines(slot, req.rings.gen);
    put((struct far_msg){.op = FAR_OP_SOCKET,
            .tag = (uint16_t)(1u + slot % SIDE_TAGS),
            .sock = (uint16_t)slot},
        &req, sizeof req);
}

static void make_socket(struct input *in) {
    uint32_t slot = take8(in) % SIDE_SOCKETS;
    uint32_t gen = near_word(slot, 0) + 1u;
    uint8_t how = take8(in);
    struct far_req_socket req = {
        .rings = side_rings(&side, how & 0x80 ? 0 : slot, gen),
        .family = how & 0x10 ? FAR_AF_INET6 : FAR_AF_INET,
        .type = 1u + (how & 1u),
    };
    if (how & 0x40) { // its rings are others' memory
        req.rings.tx_log2 = (uint8_t)(10u + take8(in) % 6u);
    }
    new_lines(slot, gen);
    put((struct far_msg){.op = how & 0x20 ? FAR_OP_ADOPT : FAR_OP_SOCKET,
            .tag = (uint16_t)(1u + slot % SIDE_TAGS),
            .sock = (uint16_t)slot},
        &req, sizeof req);
}

void connect_to(uint32_t slot, uint16_t port) {
    struct far_req_addr to = {
        .addr = {.family = FAR_AF_INET, .port = port, .ip = {127, 0, 0, 1}}};
    put((struct far_msg){.op = FAR_OP_CONNECT,
            .tag = (uint16_t)(1u + slot % SIDE_TAGS),
            .sock = (uint16_t)slot},
        &to, sizeof to);
}

static void listen_accept(struct input *in) {
    uint32_t slot = take8(in) % SIDE_SOCKETS;
    uint32_t child = take8(in) % SIDE_SOCKETS;
    struct far_req_listen backlog = {.backlog = 4};
    struct far_req_accept req = {
        .rings = side_rings(&side, child, near_word(child, 0) + 1u),
        .slot = child,
    };
    put((struct far_msg){.op = FAR_OP_LISTEN, .sock = (uint16_t)slot}, &backlog,
        sizeof backlog);
    new_lines(child, req.rings.gen);
    put((struct far_msg){.op = FAR_OP_ACCEPT, .sock = (uint16_t)slot}, &req,
        sizeof req);
}

// Bytes, or a datagram, into a socket's tx ring.
static void write_ring(struct input *in) {
    uint32_t slot = take8(in) % SIDE_SOCKETS;
    uint32_t len = take8(in) * 4u;
    uint32_t head = near_word(slot, offsetof(struct far_near_line, tx_head));
    uint8_t *ring = side_line(&side, side_rings(&side, slot, 0).tx_at);
    uint8_t bytes[1024];
    take(in, bytes, len);
    for (uint32_t i = 0; i < len; i++) {
        ring[(head + i) % side.ring] = bytes[i];
    }
    poke32(line_at(slot) + offsetof(struct far_near_line, tx_head), head + len);
}

static void write_dgram(struct input *in) {
    uint32_t slot = take8(in) % SIDE_SOCKETS;
    uint32_t head = near_word(slot, offsetof(struct far_near_line, tx_head));
    uint8_t *ring = side_line(&side, side_rings(&side, slot, 0).tx_at);
    struct far_dgram h = {
        .len = take_number(in),
        .ctl_len = (uint16_t)(take8(in) & 0x78u),
        .flags = take8(in),
    };
    struct far_addr to = {
        .family = FAR_AF_INET, .port = peer_port, .ip = {127, 0, 0, 1}};
    uint8_t rest[512];
    uint32_t n = h.ctl_len + (h.len < 256u ? FAR_ALIGN8(h.len) : 256u);
    uint32_t pos = head;
    take(in, rest, n);
    const struct {
        const void *p;
        uint32_t n;
    } parts[] = {{&h, sizeof h},
        {&to, h.flags & FAR_DGRAM_ADDR ? sizeof to : 0}, {rest, n}};
    for (size_t k = 0; k < 3; k++) {
        for (uint32_t i = 0; i < parts[k].n; i++) {
            ring[pos++ % side.ring] = ((const uint8_t *)parts[k].p)[i];
        }
    }
    poke32(line_at(slot) + offsetof(struct far_near_line, tx_head), pos);
    struct far_req_flush req = {.pos = pos, .flags = take8(in) & 1u};
    if (h.flags & FAR_DGRAM_SYNC) {
        put((struct far_msg){.op = FAR_OP_FLUSH,
                .tag = (uint16_t)(1u + slot % SIDE_TAGS),
                .sock = (uint16_t)slot},
            &req, sizeof req);
    }
}

// A word of a socket's line: near its present value, or anything.
static void write_line(struct input *in) {
    uint32_t slot = take8(in);
    uint32_t word = take8(in) % 16u * 4u;
    uint8_t how = take8(in);
    uint32_t v = near_word(slot, word);
    static const size_t theirs[] = {
        offsetof(struct far_far_line, rx_head),
        offsetof(struct far_far_line, tx_tail),
    };
    if (how < 0x40) {
        v += how;
    } else if (how < 0x80) {
        v -= how & 0x3fu;
    } else if (how < 0xc0) {
        v = far_word(slot % SIDE_SOCKETS, theirs[how & 1u]) + (how >> 1 & 7u);
    } else {
        v = take32(in);
    }
    poke32(line_at(slot) + word, v);
}

void kick(uint32_t slot) {
    put((struct far_msg){.op = FAR_OP_KICK, .sock = (uint16_t)slot}, NULL, 0);
}

static void close_socket(struct input *in) {
    uint32_t slot = take8(in) % SIDE_SOCKETS;
    poke32(line_at(slot) + offsetof(struct far_near_line, flags),
        take8(in) & 3u);
    kick(slot);
}

// Takes all answers, so that the ring has room again.
void take_answers(void) {
    const struct far_far_ctl *far = side_line(&side, side.lay.far_at);
    poke32(offsetof(struct far_near_ctl, evt), far->evt.head);
    poke32(offsetof(struct far_near_ctl, evt) + 4u, far->evt.head);
}

// --- Descriptors for SHARE and ADOPT ---

static int any_descriptor(uint8_t kind) {
    int pair[2] = {-1, -1};
    switch (kind % 6u) {
        case 0:
            return open("/dev/null", O_RDWR | O_CLOEXEC);
        case 1:
            return dup(side.to_far);
        case 2:
            return dup(peers[0] >= 0 ? peers[0] : listener);
        case 3:
            return dup(side.near_end);
        case 4:
            if (pipe2(pair, O_CLOEXEC) == 0) {
                close(pair[1]);
            }
            return pair[0];
        default:
            socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
            close(pair[1]);
            return pair[0];
    }
}

void send_descriptors(const int *fds, uint32_t count, uint32_t bytes) {
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(8 * sizeof(int))];
    } ctl = {0};
    char data[8] = {0};
    struct iovec iov = {data, bytes};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    if (count) {
        m.msg_control = ctl.buf;
        m.msg_controllen = CMSG_SPACE(count * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(c), fds, count * sizeof(int));
    }
    sendmsg(side.near_end, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void share(struct input *in) {
    uint8_t how = take8(in);
    uint32_t slot = take8(in) % SIDE_SOCKETS;
    int fds[8];
    uint32_t count = how & 7u;
    if (side.near_end < 0) {
        return;
    }
    if (how & 0x80) { // as it should be
        int pair[2];
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
        memcpy(fds, pair, sizeof pair);
        count = 2;
        send_descriptors(fds, 2, 1);
        send_descriptors(fds, how >> 6 & 1u, 1); // and shown, to adopt
    } else {
        for (uint32_t i = 0; i < count; i++) {
            fds[i] = any_descriptor(take8(in));
        }
        send_descriptors(fds, count, how >> 3 & 1u);
    }
    for (uint32_t i = 0; i < count; i++) {
        close(fds[i]);
    }
    put((struct far_msg){.op = FAR_OP_SHARE, .sock = (uint16_t)slot}, NULL, 0);
}

// --- The network's side ---

static void peer_step(struct input *in) {
    uint8_t how = take8(in);
    int *p = &peers[how % PEERS];
    uint8_t bytes[256];
    memset(bytes, how, sizeof bytes);
    if (*p < 0) {
        *p = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    } else if (how & 0x10) {
        send(*p, bytes, take8(in), how & 0x20 ? MSG_OOB : 0);
    } else if (how & 0x40) {
        struct linger rst = {.l_onoff = how & 0x80 ? 1 : 0};
        setsockopt(*p, SOL_SOCKET, SO_LINGER, &rst, sizeof rst);
        close(*p);
        *p = -1;
    } else if (how & 0x80) {
        shutdown(*p, SHUT_WR);
    } else {
        while (recv(*p, bytes, sizeof bytes, 0) > 0) {
        }
    }
}

static void look(bool dump) {
    static char text[16384];
    static struct config config;
    struct ctl c = {.engine = engine, .config = &config, .dump = dump};
    fault_within(true);
    while (ctl_fill(&c, text, sizeof text) > 0) {
    }
    fault_within(false);
}

// --- One input ---

static void hang_up(void) {
    if (side.near_end >= 0) {
        close(side.near_end);
        side.near_end = -1;
    }
}

static void write_anywhere(struct input *in) {
    size_t at = take16(in) * 4u;
    poke32(at, take32(in));
}

static void step(struct input *in) {
    uint8_t op = take8(in);
    if (op >= 128u && op < 128u + 5u * WELL_STEPS) {
        well_step((op - 128u) / 5u, in);
        if ((op - 128u) % 5u < 3u) {
            honest_turn();
        }
        return;
    }
    switch (op % 20u) {
        case 0:
            write_anywhere(in);
            break;
        case 1:
            put_any(in);
            break;
        case 2:
            put_good(in);
            break;
        case 3:
            make_socket(in);
            break;
        case 4:
            connect_to(take8(in) % SIDE_SOCKETS, peer_port);
            break;
        case 5:
            listen_accept(in);
            break;
        case 6:
            write_ring(in);
            break;
        case 7:
            write_dgram(in);
            break;
        case 8:
            write_line(in);
            break;
        case 9:
            kick(take8(in) % SIDE_SOCKETS);
            break;
        case 10:
            close_socket(in);
            break;
        case 11:
            take_answers();
            break;
        case 12:
            share(in);
            break;
        case 13:
            peer_step(in);
            break;
        case 14: // the head itself
            poke32(offsetof(struct far_near_ctl, cmd),
                side.cmd_head + take_number(in) - 64u);
            side_ring(&side);
            break;
        case 15:
            side_ring(&side);
            break;
        case 16:
            look(op & 0x80);
            break;
        case 17:
            if (take8(in) == 0x5a) {
                hang_up();
            }
            break;
        default:
            honest_turn();
            break;
    }
}

static void end_peers(void) {
    for (uint32_t i = 0; i < PEERS; i++) {
        if (peers[i] >= 0) {
            close(peers[i]);
        }
        peers[i] = -1;
    }
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        close(fd);
    }
}

static void end_link(void) {
    well_end();
    hang_up();
    for (uint32_t i = 0; i < GONE_MAX && !side.gone; i++) {
        end_peers();
        honest_turn();
        if (i == GONE_MAX / 2u) {
            link_reset(side.link, NULL); // what is blocked need not end itself
        }
    }
    watch_end();
    if (!side.gone) {
        fprintf(stderr, "the link does not end\n");
        abort();
    }
    side_close(&side);
}

// Sockets that are on their way are no leak, nor is a lookup at work.
static void check_descriptors(void) {
    for (int i = 0; i < DONE_MAX; i++) {
        end_peers();
        if (fuzz_descriptors() <= usual && node_is_alone(&engine->tokens)) {
            return;
        }
        if (i == 100) {
            fault_age(); // what waits for room that was there, by a lie
        }
        honest_turn();
        usleep(i > 10 ? 1000 : 0);
    }
    fprintf(stderr, "%d descriptors in place of %d\n", fuzz_descriptors(),
        usual);
    abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    fuzz_alone();
    fault_clock();
    rare_begin();
    far_log_limit(FAR_LOG_ERROR);
    struct engine_config config = {
        .resolver_threads = 1,
        .orphan_bytes = 540000, // two big rings, and of one link only one
        .orphan_link_bytes = 280000,
        .user_tokens = 3,
    };
    engine = engine_new(&config);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_in sa = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t len = sizeof sa;
    (void)bind(listener, (struct sockaddr *)&sa, len);
    listen(listener, 16);
    getsockname(listener, (struct sockaddr *)&sa, &len);
    peer_port = ntohs(sa.sin_port);
    memset(peers, 0xff, sizeof peers);
    honest_begin(engine);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input in = {data, size};
    if (size < 4 || size > 4096) {
        return -1;
    }
    if (usual == 0) { // a fuzzer has some of its own by now
        usual = fuzz_descriptors();
    }
    size_t part = take8(&in) * size / 512u; // half of it at most
    changes = split(&in, part);
    uint8_t how = take8(&in);
    side_open(&side, engine, how & 0x01 ? 0xffffff00u : 0, how);
    watch_begin(side.region, (size_t)side.lay.far_at * FAR_LINE,
        (size_t)side.lay.tx_at * FAR_LINE, changed);
    while (in.left > 0 && !side.gone) {
        step(&in);
    }
    honest_turn();
    changes.left = 0;
    end_link();
    honest_finish();
    check_descriptors();
    return 0;
}
