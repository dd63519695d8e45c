// As floor.c, for datagrams: a copy into or out of memory that both have, the
// socket calls of the far side, and a wake-up where one side must sleep.
// SPDX-License-Identifier: MIT
//
//   usage: floor_udp send|receive PORT FAR_CPU SIZE

#include "bench/datagram.h"
#include "bench/floor.h"

#include <poll.h>

#define SLOT 2048u

// Numbers of a round: head datagrams were put in, of acked the other end knows.
struct shared {
    _Alignas(64) _Atomic uint64_t asked; // rounds
    uint64_t count;                      // of the last
    _Alignas(64) _Atomic uint64_t done;
    _Alignas(64) _Atomic uint64_t head;
    _Alignas(64) _Atomic uint64_t acked;
    _Alignas(64) _Atomic bool near_sleeps;
    _Alignas(64) _Atomic bool far_sleeps;
    _Alignas(64) uint8_t slot[WINDOW][SLOT];
};

static struct shared *mem;
static int sock;
static size_t size;

static void near_waits(const _Atomic uint64_t *word, uint64_t old) {
    while (*word == old) {
        mem->near_sleeps = true;
        // cppcheck-suppress identicalInnerCondition // far may write it
        if (*word == old) {
            sleep_at(near_bell);
        }
        mem->near_sleeps = false;
    }
}

static void tell_near(void) {
    if (mem->near_sleeps) {
        ring_bell(near_bell);
    }
}

static void tell_far(void) {
    if (mem->far_sleeps) {
        ring_bell(far_bell);
    }
}

static void send_head(enum kind kind, uint64_t n) {
    struct head h = {kind, (uint32_t)size, n};
    ok("send", send(sock, &h, sizeof h, 0));
}

// --- far ---

static void take_ack(void) {
    struct head h;
    ok("recv", recv(sock, &h, sizeof h, 0));
    mem->acked = h.n;
    tell_near();
}

static void far_sends(uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        while (mem->head == i) {
            mem->far_sleeps = true;
            if (mem->head == i) {
                sleep_at(far_bell);
            }
            mem->far_sleeps = false;
        }
        ok("send", send(sock, mem->slot[i % WINDOW], size, 0));
        if (i + 1u - mem->acked >= WINDOW) {
            take_ack();
        }
    }
    while (mem->acked < count) {
        take_ack();
    }
}

// Waits for a datagram, or for near to have taken more than told.
static void far_waits(uint64_t told) {
    struct pollfd fds[] = {{sock, POLLIN, 0}, {far_bell, POLLIN, 0}};
    mem->far_sleeps = true;
    if (mem->acked == told) {
        ok("poll", poll(fds, 2, -1));
    }
    mem->far_sleeps = false;
    if (fds[1].revents) {
        sleep_at(far_bell);
    }
}

static void far_receives(uint64_t count) {
    uint64_t told = 0;
    send_head(SEND, count);
    while (told < count) {
        uint8_t *slot = mem->slot[mem->head % WINDOW];
        if (mem->acked > told) {
            told = mem->acked;
            send_head(GOT, told);
        } else if (recv(sock, slot, size, MSG_DONTWAIT) > 0) {
            mem->head++;
            tell_near();
        } else {
            far_waits(told);
        }
    }
}

static void run_far(bool sends, int cpu) {
    become_far(cpu);
    for (uint64_t done = 0;; done++) {
        while (mem->asked == done) {
            mem->far_sleeps = true;
            if (mem->asked == done) {
                sleep_at(far_bell);
            }
            mem->far_sleeps = false;
        }
        if (sends) {
            far_sends(mem->count);
        } else {
            far_receives(mem->count);
        }
        mem->done = done + 1u;
        tell_near();
    }
}

// --- near ---

static void near_sends(uint64_t count) {
    static uint8_t packet[SLOT];
    for (uint64_t i = 0; i < count; i++) {
        struct head h = {DATA, (uint32_t)count, i};
        for (uint64_t acked = 0; i - (acked = mem->acked) >= WINDOW;) {
            near_waits(&mem->acked, acked);
        }
        memcpy(packet, &h, sizeof h);
        memcpy(mem->slot[i % WINDOW], packet, size);
        mem->head = i + 1u;
        tell_far();
    }
}

static void near_receives(uint64_t count) {
    static uint8_t packet[SLOT];
    for (uint64_t i = 0; i < count; i++) {
        near_waits(&mem->head, i);
        memcpy(packet, mem->slot[i % WINDOW], size);
        if ((i + 1u) % ACK == 0 || i + 1u == count) {
            mem->acked = i + 1u;
            tell_far();
        }
    }
}

static void near_round(bool sends, uint64_t count) {
    uint64_t start = now_ns();
    mem->head = 0;
    mem->acked = 0;
    mem->count = count;
    mem->asked++;
    tell_far();
    if (sends) {
        near_sends(count);
    } else {
        near_receives(count);
    }
    near_waits(&mem->done, mem->asked - 1u);
    tell(now_ns() - start, count, 0, NULL);
}

int main(int argc, char **argv) {
    bool sends = argc > 1 && argv[1][0] == 's';
    int cpu = (int)number(argc, argv, 3);
    size = (size_t)number(argc, argv, 4);
    if (size > SLOT) {
        die("size", "too large");
    }
    mem = shared_memory(sizeof *mem);
    sock = connected(SOCK_DGRAM, (int)number(argc, argv, 2), 1);
    pid_t far = (pid_t)ok("fork", fork());
    if (far == 0) {
        run_far(sends, cpu);
    }
    printf("ready %d\n", (int)far);
    fflush(stdout);
    for (uint64_t n = 0; (n = next_round());) {
        near_round(sends, n);
    }
    kill(far, SIGKILL);
    return 0;
}
