// What a near core does that knows the way: each step alone is as it should be.
// SPDX-License-Identifier: MIT
#include "fuzz/engine_near.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "farsock/mem.h"
#include "farsock/proto.h"
#include "fuzz/fault.h"
#include "fuzz/watch.h"

#define PORT0   7000u // of slot 0, bound
#define TOKENS  4u
#define NEAR(f) offsetof(struct far_near_line, f)
#define FAR(f)  offsetof(struct far_far_line, f)
#define NO_TOKEN                                                               \
    { -1, -1, -1, -1 }

static int tokens[TOKENS] = NO_TOKEN; // near's end
static uint32_t token_type[TOKENS];
static int udp = -1; // the network's
static uint16_t last_tag;

static uint32_t slot_of(struct input *in) {
    return take8(in) % SIDE_SOCKETS;
}

static void ask(uint8_t op, uint32_t slot, const void *req, size_t len) {
    last_tag = (uint16_t)(last_tag % SIDE_TAGS + 1u);
    put((struct far_msg){.op = op, .tag = last_tag, .sock = (uint16_t)slot},
        req, (uint32_t)len);
}

// One that far does not have, or the one that is named.
static uint32_t free_slot(uint32_t slot) {
    for (uint32_t i = 0; i < SIDE_SOCKETS; i++) {
        uint32_t s = (slot + i) % SIDE_SOCKETS;
        if (far_word(s, FAR(gen)) == 0 ||
            (far_word(s, FAR(state)) & FAR_ST_CLOSED)) {
            return s;
        }
    }
    return slot;
}

static struct sockaddr_in here(uint16_t port) {
    return (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
}

// --- Sockets ---

// A wish for a promise, and what near says in its header beside it; or the one
// that is there; or another one.
static uint32_t promise_by(uint8_t how) {
    const struct far_far_ctl *far =
        (void *)(side.region + (size_t)side.lay.far_at * FAR_LINE);
    struct far_near_ctl *near = (void *)side.region;
    uint32_t n = far_load(&far->promise);
    if (how & 0x10) {
        return how & 0x02 ? n + 2u : n;
    }
    if (how & 0x02) {
        watch_poke(&near->hdr.taken, &n, sizeof n);
    }
    return FAR_PROMISE_WISH;
}

static void fresh(struct input *in) {
    uint8_t how = take8(in);
    uint32_t slot = free_slot(how >> 5);
    uint32_t gen = near_word(slot, NEAR(gen)) + 1u;
    struct far_req_socket req = {
        .rings = side_rings(&side, slot, gen),
        .family = how & 0x04 ? FAR_AF_INET6 : FAR_AF_INET,
        .type = how & 0x08   ? FAR_SOCK_RAW
                : how & 0x01 ? FAR_SOCK_DGRAM
                             : FAR_SOCK_STREAM,
        .proto = how & 0x08 ? 1 : 0,
        .promise = promise_by(how),
    };
    new_lines(slot, gen);
    ask(FAR_OP_SOCKET, slot, &req, sizeof req);
}

static void bind_here(struct input *in) {
    uint32_t slot = slot_of(in);
    struct far_req_addr at = {.addr = {.family = FAR_AF_INET,
                                  .port = (uint16_t)(PORT0 + slot),
                                  .ip = {127, 0, 0, 1}}};
    ask(FAR_OP_BIND, slot, &at, sizeof at);
}

static void listen_here(struct input *in) {
    uint32_t slot = slot_of(in);
    struct far_req_listen req = {.backlog = 4};
    ask(FAR_OP_LISTEN, slot, &req, sizeof req);
}

static void accept_here(struct input *in) {
    uint32_t slot = slot_of(in);
    uint32_t child = free_slot(slot + 1u);
    struct far_req_accept req = {
        .rings = side_rings(&side, child, near_word(child, NEAR(gen)) + 1u),
        .slot = child,
    };
    new_lines(child, req.rings.gen);
    ask(FAR_OP_ACCEPT, slot, &req, sizeof req);
}

static void connect_there(struct input *in) {
    uint32_t slot = slot_of(in);
    uint8_t how = take8(in);
    struct far_req_addr to = {
        .addr = {.family = how & 1 ? FAR_AF_UNSPEC : FAR_AF_INET,
            .port = how & 2   ? 9
                    : how & 4 ? PORT0
                              : peer_port,
            .ip = {127, 0, 0, 1}},
        .flags = how >> 7,
    };
    ask(FAR_OP_CONNECT, slot, &to, sizeof to);
}

static void tune(struct input *in) {
    static const struct far_req_setsockopt table[] = {
        {FAR_SOL_SOCKET, FAR_SO_OOBINLINE},
        {FAR_IPPROTO_IP, FAR_IP_RECVERR},
        {FAR_SOL_SOCKET, FAR_SO_TIMESTAMP},
        {FAR_SOL_SOCKET, FAR_SO_LINGER},
        {FAR_IPPROTO_UDP, FAR_UDP_CORK},
        {FAR_SOL_SOCKET, FAR_SO_RCVLOWAT},
        {FAR_SOL_SOCKET, FAR_SO_REUSEPORT},
        {FAR_IPPROTO_IP, FAR_IP_PKTINFO},
        {FAR_SOL_SOCKET, FAR_SO_SNDBUF},
        {FAR_SOL_SOCKET, FAR_SO_RCVBUF},
        {FAR_SOL_SOCKET, FAR_SO_KEEPALIVE},
        {FAR_IPPROTO_IPV6, FAR_IPV6_RECVERR},
        {FAR_SOL_SOCKET, FAR_SO_TIMESTAMPING},
        {FAR_IPPROTO_IP, FAR_IP_RECVTOS},
    };
    struct {
        struct far_req_setsockopt head;
        int32_t v[2];
    } req = {0};
    uint32_t slot = slot_of(in);
    uint8_t how = take8(in);
    req.head = table[how % (sizeof table / sizeof *table)];
    req.v[0] = take8(in);
    req.v[1] = take8(in) & 1;
    bool two =
        req.head.opt == FAR_SO_LINGER && req.head.level == FAR_SOL_SOCKET;
    ask(FAR_OP_SETSOCKOPT, slot, &req, sizeof req.head + (two ? 8u : 4u));
}

// --- What is asked about them ---

static void question(struct input *in) {
    static const uint8_t plain[] = {FAR_OP_GETSOCKNAME, FAR_OP_GETPEERNAME,
        FAR_OP_URGENT, FAR_OP_GETIFADDRS, FAR_OP_URGENT, FAR_OP_CANCEL};
    uint32_t slot = slot_of(in);
    uint8_t how = take8(in);
    struct far_req_ifname name = {.index = how & 8u ? 1 : 0, .name = "lo"};
    struct far_req_getsockopt opt = {
        FAR_SOL_SOCKET, how >> 3, how & 0x80 ? 4096 : 8, 0};
    struct far_req_shutdown end = {how >> 3 & 3u, 0};
    struct far_req_fetch more = {0};
    switch (how & 7u) {
        case 0:
        case 1:
            ask(plain[(how >> 3) % sizeof plain], slot, NULL, 0);
            break;
        case 2:
            ask(FAR_OP_IFNAME, slot, &name, sizeof name);
            break;
        case 3:
            ask(FAR_OP_GETSOCKOPT, slot, &opt, sizeof opt);
            break;
        case 4:
        case 5:
            ask(FAR_OP_SHUTDOWN, slot, &end, sizeof end);
            break;
        default:
            // The tag that has the last answer.
            more.offset = take_number(in) * 8u;
            put((struct far_msg){.op = FAR_OP_FETCH, .tag = last_tag}, &more,
                sizeof more);
            break;
    }
}

static void ask_queue(struct input *in) {
    struct far_req_errqueue req = {.room = take_number(in)};
    ask(FAR_OP_ERRQUEUE, slot_of(in), &req, sizeof req);
}

static void ask_control(struct input *in) {
    uint32_t slot = slot_of(in);
    struct far_req_control req = {
        .end = far_word(slot, FAR(rx_head)) - take8(in)};
    ask(FAR_OP_CONTROL, slot, &req, sizeof req);
}

static void ask_recv(struct input *in) {
    uint8_t how = take8(in);
    struct far_req_recv req = {.room = how & 0x10 ? 70000u : 100u,
        .flags = how & 0x20 ? FAR_RECV_PEEK : 0};
    ask(FAR_OP_RECV, how % SIDE_SOCKETS, &req, sizeof req);
}

static void ask_ioctl(struct input *in) {
    static const uint32_t requests[] = {FAR_FIONREAD, FAR_SIOCOUTQ,
        FAR_SIOCATMARK, FAR_SIOCGIFFLAGS, FAR_SIOCGIFADDR, FAR_SIOCGIFNAME};
    uint32_t slot = slot_of(in);
    struct far_req_ioctl req = {
        .request = requests[take8(in) % 6u], .arg = {.name = "lo", .value = 1}};
    ask(FAR_OP_IOCTL, slot, &req, sizeof req);
}

// --- Bytes ---

static void read_all(struct input *in) {
    uint32_t slot = slot_of(in);
    uint32_t head = far_word(slot, FAR(rx_head));
    poke32(line_at(slot) + NEAR(rx_tail), head);
    poke32(line_at(slot) + NEAR(rx_wake), head);
    kick(slot);
}

static void fill(struct input *in) {
    uint32_t slot = slot_of(in);
    poke32(line_at(slot) + NEAR(tx_head),
        far_word(slot, FAR(tx_tail)) + side.ring);
    kick(slot);
}

static void urgent(struct input *in) {
    uint32_t slot = slot_of(in);
    uint32_t head = near_word(slot, NEAR(tx_head)) + 1u + take8(in) % 16u;
    poke32(line_at(slot) + NEAR(urg_end), head);
    poke32(line_at(slot) + NEAR(tx_head), head);
    poke32(line_at(slot) + NEAR(urg_count),
        near_word(slot, NEAR(urg_count)) + 1u);
    kick(slot);
}

// A record as it should be: to whom, how long, with what.
static void datagram(struct input *in) {
    uint32_t slot = slot_of(in);
    uint8_t how = take8(in);
    uint32_t head = near_word(slot, NEAR(tx_head));
    uint8_t *ring = side_line(&side, side_rings(&side, slot, 0).tx_at);
    struct {
        struct far_dgram h;
        struct far_addr to;
    } r = {
        .h = {.len = how & 0x10 ? 3000u : take8(in),
            .flags = (uint16_t)((how & 0x20 ? FAR_DGRAM_SYNC : 0) |
                                (how & 0x40 ? FAR_DGRAM_MORE : 0) |
                                (how & 0x80 ? FAR_DGRAM_PROBE : 0) |
                                (how & 0x01 ? 0 : FAR_DGRAM_ADDR))},
        .to = {.family = FAR_AF_INET,
            .port = how & 0x02   ? 9
                    : how & 0x04 ? PORT0 + 1u
                                 : peer_port,
            .ip = {127, 0, 0, 1}},
    };
    uint32_t n = sizeof r.h + (r.h.flags & FAR_DGRAM_ADDR ? sizeof r.to : 0);
    for (uint32_t i = 0; i < n; i++) {
        ring[(head + i) % side.ring] = ((const uint8_t *)&r)[i];
    }
    uint32_t all = n + FAR_ALIGN8(r.h.len);
    uint32_t end = head + (all < side.ring ? all : side.ring);
    poke32(line_at(slot) + NEAR(tx_head), end);
    struct far_req_flush req = {.pos = head + all, .flags = how >> 3 & 1u};
    if (how & 0x20) {
        ask(FAR_OP_FLUSH, slot, &req, sizeof req);
    } else {
        kick(slot);
    }
}

// The rest of a long one.
static void more_of_it(struct input *in) {
    uint32_t slot = slot_of(in);
    uint32_t n = take8(in) * 8u;
    uint32_t head = near_word(slot, NEAR(tx_head));
    uint32_t used = head - far_word(slot, FAR(tx_tail));
    if (used + n <= side.ring) {
        poke32(line_at(slot) + NEAR(tx_head), head + n);
    }
    kick(slot);
}

// --- The network's side ---

static void datagrams_in(struct input *in) {
    static const uint8_t bytes[6000];
    uint8_t how = take8(in);
    struct sockaddr_in to = here((uint16_t)(PORT0 + how % SIDE_SOCKETS));
    size_t len = how & 0x40 ? 5000u : take8(in) * 4u;
    if (udp < 0) {
        udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    }
    for (uint32_t i = 0; i <= (how >> 3 & 7u); i++) {
        sendto(udp, bytes, len, 0, (struct sockaddr *)&to, sizeof to);
    }
}

static void connection_in(struct input *in) {
    uint8_t how = take8(in);
    struct sockaddr_in to = here((uint16_t)(PORT0 + how % SIDE_SOCKETS));
    int *p = &peers[how / SIDE_SOCKETS % PEERS];
    if (*p < 0) {
        *p = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)connect(*p, (struct sockaddr *)&to, sizeof to);
    }
}

// --- Shared sockets ---

static void share_well(struct input *in) {
    uint32_t slot = slot_of(in);
    uint32_t i = take8(in) % TOKENS;
    int pair[2];
    if (side.near_end < 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
            pair) < 0) {
        return;
    }
    send_descriptors(pair, 2, 1);
    close(pair[1]);
    if (tokens[i] >= 0) {
        close(tokens[i]);
    }
    tokens[i] = pair[0];
    token_type[i] = take8(in) & 1 ? FAR_SOCK_STREAM : FAR_SOCK_DGRAM;
    ask(FAR_OP_SHARE, slot, NULL, 0);
}

static void adopt_well(struct input *in) {
    uint32_t i = take8(in) % TOKENS;
    uint32_t slot = free_slot(i);
    uint32_t gen = near_word(slot, NEAR(gen)) + 1u;
    struct far_req_socket req = {
        .rings = side_rings(&side, slot, gen),
        .family = FAR_AF_INET,
        .type = token_type[i],
    };
    if (side.near_end < 0 || tokens[i] < 0) {
        return;
    }
    send_descriptors(&tokens[i], 1, 1);
    new_lines(slot, gen);
    ask(FAR_OP_ADOPT, slot, &req, sizeof req);
}

static void use_token(struct input *in) {
    uint8_t how = take8(in);
    int *t = &tokens[how % TOKENS];
    uint8_t bytes[512] = {0};
    if (*t < 0) {
        return;
    }
    if (how & 0x10) {
        send(*t, bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
    } else if (how & 0x20) {
        recv(*t, bytes, sizeof bytes, MSG_DONTWAIT);
    } else if (how & 0x40) {
        shutdown(*t, SHUT_WR);
    } else if (how & 0x80) {
        close(*t);
        *t = -1;
    }
}

typedef void step(struct input *in);
static step *const steps[WELL_STEPS] = {
    fresh,
    bind_here,
    listen_here,
    accept_here,
    connect_there,
    tune,
    question,
    ask_queue,
    ask_control,
    ask_recv,
    ask_ioctl,
    read_all,
    fill,
    urgent,
    datagram,
    more_of_it,
    datagrams_in,
    connection_in,
    share_well,
    adopt_well,
    use_token,
    fault_choose,
    fault_time,
    rare_policy,
    rare_step,
};

void well_step(uint32_t which, struct input *in) {
    steps[which](in);
}

void well_end(void) {
    for (uint32_t i = 0; i < TOKENS; i++) {
        if (tokens[i] >= 0) {
            close(tokens[i]);
        }
        tokens[i] = -1;
    }
    if (udp >= 0) {
        close(udp);
    }
    udp = -1;
    last_tag = 0;
    unrung = false;
    rare_end();
}
