// Steps of a near core's that few make, and what happens to farsockd meanwhile:
// another policy, faults, time.
// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon/policy.h"
#include "farsock/proto.h"
#include "fuzz/engine_near.h"
#include "fuzz/fault.h"

#define POLICIES 6u
#define STORM    2200u // doorbells: more than two lots of STORM_BELLS

static struct policy_set sets[POLICIES];

static void say(struct policy_set *set, const char *key, const char *value) {
    char why[256] = "";
    int rc = key ? policy_set_key(set, key, value, 1, why, sizeof why)
                 : policy_section(set, value, why, sizeof why);
    if (rc < 0) {
        fprintf(stderr, "no policy: %s\n", why);
        abort();
    }
}

// The honest link may do everything.
void rare_begin(void) {
    static const char *const rules[POLICIES][3] = {
        {NULL},
        {"deny accept any any"},
        {"deny connect any any", "deny bind udp any", "deny option any"},
        {"allow bind,listen,accept tcp any", "deny interfaces"},
        {"deny listen tcp any", "allow any raw any", "deny interfaces"},
        {"deny any icmp any", "deny any raw any"},
    };
    for (uint32_t i = 1; i < POLICIES; i++) {
        say(&sets[i], NULL, "policy honest");
        say(&sets[i], "links", "honest");
        say(&sets[i], "default", "allow");
        say(&sets[i], NULL, "policy side");
        say(&sets[i], "links", "side");
        say(&sets[i], "default", i == 3 ? "deny" : "allow");
        for (uint32_t k = 0; k < 3 && rules[i][k]; k++) {
            say(&sets[i], "rule", rules[i][k]);
        }
    }
}

void rare_policy(struct input *in) {
    uint32_t i = take8(in) % POLICIES;
    engine_set_policy(side.engine, i ? &sets[i] : NULL);
}

void rare_end(void) {
    engine_set_policy(side.engine, NULL);
    fault_none();
}

// --- IPv6 ---

static struct far_addr six(uint16_t port) {
    return (struct far_addr){
        .family = FAR_AF_INET6, .port = port, .ip = {[15] = 1}};
}

static void datagram_six(uint32_t slot, uint16_t port) {
    uint32_t head = near_word(slot, offsetof(struct far_near_line, tx_head));
    uint8_t *ring = side_line(&side, side_rings(&side, slot, 0).tx_at);
    struct {
        struct far_dgram h;
        struct far_addr to;
        uint64_t payload;
    } r = {.h = {.len = 8, .flags = FAR_DGRAM_ADDR}, .to = six(port)};
    for (uint32_t i = 0; i < sizeof r; i++) {
        ring[(head + i) % side.ring] = ((const uint8_t *)&r)[i];
    }
    poke32(line_at(slot) + offsetof(struct far_near_line, tx_head),
        head + (uint32_t)sizeof r);
    kick(slot);
}

static void storm(void) {
    for (uint32_t i = 0; i < STORM && !side.gone; i++) {
        side_ring(&side);
        engine_turn(side.engine, false);
    }
}

// What far had put into a socket's rx ring is no longer that.
static void spoil(uint32_t slot, uint32_t word, uint32_t v) {
    uint8_t *ring = side_line(&side, side_rings(&side, slot, 0).rx_at);
    uint32_t tail = near_word(slot, offsetof(struct far_near_line, rx_tail));
    memcpy(ring + (tail + 4u * word) % side.ring / 4u * 4u, &v, sizeof v);
}

static void bulk(int peer) {
    static const uint8_t bytes[200000];
    if (peer >= 0) {
        send(peer, bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
}

static void cancel_all(void) {
    for (uint16_t tag = 1; tag <= SIDE_TAGS; tag++) {
        put((struct far_msg){.op = FAR_OP_CANCEL, .tag = tag}, NULL, 0);
    }
}

static void look_up(uint16_t tag) {
    struct {
        struct far_req_getaddrinfo head;
        char host[8];
    } req = {.head = {.host_len = 7, .service_len = FAR_NO_STRING},
        .host = "1.2.3.4"};
    put((struct far_msg){.op = FAR_OP_GETADDRINFO, .tag = tag}, &req,
        sizeof req.head + 7u);
}

void rare_step(struct input *in) {
    uint8_t how = take8(in);
    uint32_t slot = how % SIDE_SOCKETS;
    struct far_req_addr req = {.addr = six((uint16_t)(7000u + slot))};
    uint16_t tag = (uint16_t)(1u + slot % SIDE_TAGS);
    struct far_msg m = {.tag = tag, .sock = (uint16_t)slot};
    switch (how >> 3 & 7u) {
        case 0:
            m.op = FAR_OP_BIND;
            put(m, &req, sizeof req);
            break;
        case 1:
            req.addr.port = how & 0x40 ? 9 : 7000;
            m.op = FAR_OP_CONNECT;
            put(m, &req, sizeof req);
            break;
        case 2:
            datagram_six(slot, how & 0x40 ? 9 : 7000);
            break;
        case 3:
            if (how == 0xdb) { // seldom: it takes long
                storm();
            }
            unrung = how == 0x1b;
            break;
        case 4: // datagrams of no protocol of ours, and no family
            req = (struct far_req_addr){0};
            put_socket(slot,
                slot == 7u   ? 77
                : how & 0x40 ? FAR_AF_INET6
                             : FAR_AF_INET,
                slot == 7u   ? 0x10001u + how
                : how & 0x80 ? 5
                             : 10,
                how & 0x40);
            break;
        case 5: // shut down both ways at once
            m.op = FAR_OP_SHUTDOWN;
            put(m, &(struct far_req_shutdown){how >> 6, 0},
                sizeof(struct far_req_shutdown));
            break;
        case 6:
            if (how & 0x40) {
                spoil(slot, how >> 7, take32(in));
            } else { // more than an answer has room for
                m.op = FAR_OP_GETIFADDRS;
                put(m, NULL, 0);
            }
            break;
        case 7:
            if (how & 0x40) {
                bulk(peers[slot % PEERS]);
            } else if (how & 0x80) {
                cancel_all();
            } else {
                look_up(tag);
            }
            break;
        default:
            engine_turn(side.engine, false);
            break;
    }
}
