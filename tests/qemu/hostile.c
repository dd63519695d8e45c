// A near core that breaks every rule: it links up, opens sockets, then writes
// random words all over the region, far's half too, and rings in storms, until
// farsockd ends the link; then again. Ends with the first character typed.
// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <string.h>

#include "ivshmem.h"
#include "virt.h"

#define WORDS   300u  // a round
#define RINGS   2000u // a round
#define ROUNDS  100u  // a life at most
#define SOCKETS 4
#define KEPT    256u // of far's half: without it no link comes up any more

static _Alignas(max_align_t) uint8_t link_memory[512 * 1024];
static uint64_t state;

static uint32_t any(uint32_t below) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32) % below;
}

static void open_sockets(struct far_link *l) {
    struct far_addr any_port = {.family = FAR_AF_INET, .ip = {127, 0, 0, 1}};
    for (int i = 0; i < SOCKETS; i++) {
        int s = far_socket(l, FAR_AF_INET, FAR_SOCK_DGRAM, 0);
        if (s >= 0) {
            far_bind(l, s, &any_port);
        }
    }
}

// Mostly nearly good, where far looks: an index that moved, a small number.
static void scribble(const struct far_join *j, uint32_t first) {
    volatile uint32_t *word = j->region;
    uint32_t all = (uint32_t)(j->region_bytes / 4u);
    for (uint32_t i = 0; i < WORDS; i++) {
        uint32_t at = any(50) == 0 ? any(all) : first + any(1024u - first);
        uint32_t kind = any(10);
        uint32_t near_good = word[at] + (uint32_t[]){8, 16, 64, 1, -8u}[any(5)];
        word[at] = kind < 4 ? near_good : kind < 7 ? any(32) : (uint32_t)state;
    }
}

static void storm(const struct far_join *j) {
    for (uint32_t i = 0; i < RINGS; i++) {
        j->port->notify(j->ctx);
    }
}

// One link, to its end. True if farsockd ended it.
static bool live(void) {
    static uint8_t kept[KEPT];
    static uint32_t lives;
    const struct far_join *j = far_ivshmem_join();
    struct far_link *l;
    if (lives++ > 0) {
        memcpy((uint8_t *)j->region + j->region_bytes / 2u, kept, KEPT);
    }
    if (far_ivshmem_up(link_memory, sizeof link_memory,
            virt_now_ns() + 2000000000u, &l) != FAR_OK) {
        return false;
    }
    memcpy(kept, (uint8_t *)j->region + j->region_bytes / 2u, KEPT);
    open_sockets(l);
    // Without its own header's words the link is not simply given up.
    uint32_t first = any(4) == 0 ? 0 : 16;
    for (uint32_t i = 0; i < ROUNDS && !virt_readable(); i++) {
        scribble(j, first);
        storm(j);
        if (!far_join_holds(j)) {
            return true;
        }
    }
    return false;
}

static void say(const char *what, unsigned lives, unsigned ended) {
    char text[64];
    int n = snprintf(text, sizeof text, "%s %u %u\n", what, lives, ended);
    virt_write(text, (size_t)n);
}

int main(void) {
    unsigned lives = 0;
    unsigned ended = 0;
    while (!virt_random(&state, sizeof state) || state == 0) {
    }
    while (!virt_readable()) {
        lives++;
        ended += live();
        say("again", lives, ended);
    }
    say("end", lives, ended);
    return 0;
}
