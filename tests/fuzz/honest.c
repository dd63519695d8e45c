// The honest link: not a byte lost, none late, whatever its neighbour does.
// SPDX-License-Identifier: MIT
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/core.h"
#include "farsock/proto.h"
#include "fuzz/fault.h"
#include "fuzz/side.h"
#include "ring/ring.h"

#define LATE   32u // turns of the engine that anything may take
#define PROMPT 8u  // what takes more gives the processor away

static struct side side = {.name = "honest"};
static struct far_msg_writer cmd;
static struct far_msg_reader evt;
static uint32_t tx_head, rx_tail; // of slot 0's stream
static uint32_t sent, received;   // by the native peer
static int peer;
static uint32_t waiting; // turns since something was given and not yet taken

static void fail(const char *what) {
    fprintf(stderr, "honest link: %s\n", what);
    abort();
}

static uint8_t byte_at(uint32_t i) {
    return (uint8_t)(i * 7u + (i >> 8) * 13u + (i >> 16));
}

static struct far_near_line *line(void) {
    return side_line(&side, side.lay.near_socks);
}

static const struct far_far_line *far(void) {
    return side_line(&side, side.lay.far_socks);
}

static void put(uint8_t op, uint16_t tag, const void *req, size_t len) {
    struct far_msg m = {.op = op, .tag = tag};
    if (far_msg_put(&cmd, m, req, (uint32_t)len, NULL, 0) != FAR_OK) {
        fail("its message ring is full");
    }
    if (far_msg_publish(&cmd)) {
        side_ring(&side);
    }
}

// The result of a REPLY that came, INT32_MIN if none did.
static int32_t drain(void) {
    int32_t result = INT32_MIN;
    struct far_msg m;
    uint64_t buf[FAR_RECORD_MAX / 8u];
    int some;
    while ((some = far_msg_get(&evt, &m, buf)) > 0) {
        if (m.op == FAR_OP_REPLY) {
            memcpy(&result, buf, sizeof result);
        }
    }
    if (some < 0) {
        fail("far's messages are garbage");
    }
    far_msg_may_sleep(&evt);
    return result;
}

static int32_t ask(uint8_t op, const void *req, size_t len) {
    put(op, 1, req, len);
    for (uint32_t i = 0; i < LATE; i++) {
        engine_turn(side.engine, false);
        int32_t r = drain();
        if (r != INT32_MIN) {
            return r;
        }
    }
    fail("no answer");
    return 0;
}

static void connect_peer(void) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in sa = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t len = sizeof sa;
    (void)bind(listener, (struct sockaddr *)&sa, len);
    listen(listener, 1);
    getsockname(listener, (struct sockaddr *)&sa, &len);
    struct far_req_addr to = {.addr = {.family = FAR_AF_INET,
                                  .port = ntohs(sa.sin_port),
                                  .ip = {127, 0, 0, 1}}};
    int32_t r = ask(FAR_OP_CONNECT, &to, sizeof to);
    if (r != FAR_OK && r != FAR_EINPROGRESS) {
        fail("cannot connect");
    }
    peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    close(listener);
    if (ask(FAR_OP_CONNECT, &to, sizeof to) != FAR_OK && peer < 0) {
        fail("is not connected");
    }
}

void honest_begin(struct engine *e) {
    side_open(&side, e, 0xffff0000u, 0); // the indexes wrap early
    struct far_near_ctl *near = side_line(&side, 0);
    struct far_far_ctl *ctl = side_line(&side, side.lay.far_at);
    uint32_t base = side.lay.index_base;
    far_msg_writer_init(&cmd, &near->cmd, &ctl->cmd,
        side_line(&side, side.lay.cmd_at), side.lay.cmd_bytes, base);
    far_msg_reader_init(&evt, &ctl->evt, &near->evt,
        side_line(&side, side.lay.evt_at), side.lay.evt_bytes, base);
    tx_head = rx_tail = base;
    *line() = (struct far_near_line){
        .gen = 1,
        .tx_head = base,
        .rx_tail = base,
        .tx_wake = base - 1u,
        .rx_wake = base - 1u,
        .tx_more = base - 1u,
    };
    struct far_req_socket req = {
        .rings = side_rings(&side, 0, 1),
        .family = FAR_AF_INET,
        .type = FAR_SOCK_STREAM,
    };
    if (ask(FAR_OP_SOCKET, &req, sizeof req) != FAR_OK) {
        fail("has no socket");
    }
    connect_peer();
    fault_spare(side.link->slots[0].sock->fd);
    fault_spare(side.to_far);
    fault_spare(side.far_end);
}

static void give_near(uint32_t most) {
    uint32_t room = SIDE_RING - (tx_head - far_load(&far()->tx_tail));
    uint32_t n = room < most ? room : most;
    uint8_t buf[SIDE_RING];
    for (uint32_t i = 0; i < n; i++) {
        buf[i] = byte_at(tx_head - side.lay.index_base + i);
    }
    if (n) {
        far_ring_put(side_line(&side, side.lay.tx_at), SIDE_RING, tx_head, buf,
            n);
        tx_head += n;
        FAR_WMB(0);
        far_store(&line()->tx_head, tx_head);
        put(FAR_OP_KICK, 0, NULL, 0);
    }
}

static void take_near(void) {
    uint8_t buf[SIDE_RING];
    uint32_t n = far_load(&far()->rx_head) - rx_tail;
    if (n == 0) {
        return;
    }
    if (n > SIDE_RING) {
        fail("far's index is wild");
    }
    far_ring_get(side_line(&side, side.lay.rx_at), SIDE_RING, rx_tail, buf, n);
    for (uint32_t i = 0; i < n; i++) {
        if (buf[i] != byte_at(rx_tail - side.lay.index_base + i)) {
            fail("a received byte is wrong");
        }
    }
    rx_tail += n;
    FAR_SYNC(0);
    far_store(&line()->rx_tail, rx_tail);
    put(FAR_OP_KICK, 0, NULL, 0);
}

static void take_peer(void) {
    uint8_t buf[SIDE_RING];
    ssize_t n;
    while ((n = recv(peer, buf, sizeof buf, 0)) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            if (buf[i] != byte_at(received++)) {
                fail("a sent byte is wrong");
            }
        }
    }
    if (n == 0 || errno != EAGAIN) {
        fail("its connection ended");
    }
}

static void give_peer(uint32_t most) {
    uint8_t buf[SIDE_RING];
    for (uint32_t i = 0; i < most; i++) {
        buf[i] = byte_at(sent + i);
    }
    ssize_t n = send(peer, buf, most, 0);
    sent += n > 0 ? (uint32_t)n : 0;
}

static bool all_came(void) {
    uint32_t base = side.lay.index_base;
    return received == tx_head - base && sent == rx_tail - base;
}

static void turn(void) {
    engine_turn(side.engine, false);
    drain();
    take_peer();
    take_near();
    waiting = all_came() ? 0 : waiting + 1u;
    // Loopback's packets may wait for a kernel thread, on a busy machine long.
    if (waiting > PROMPT) {
        usleep(1000u << (waiting - PROMPT) / 2u);
    }
    if (waiting > LATE || side.gone) {
        fail(side.gone ? "is gone" : "stalls");
    }
}

void honest_turn(void) {
    if (waiting == 0) {
        give_near(300);
        give_peer(200);
    }
    turn();
}

void honest_finish(void) {
    do {
        turn();
    } while (waiting);
}
