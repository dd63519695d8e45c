// The least that carrying a stream over another process can cost: a copy into
// or out of memory that both have, socket calls on the far side, and a wake-up
// by eventfd where one side must sleep. Meant for large blocks: with small ones
// the bell is rung for each. No protocol, one connection, nothing that could go
// wrong is looked at.
// SPDX-License-Identifier: MIT
//
//   usage: floor write|read|trip|connect PORT FAR_CPU SIZE
//
// FAR_CPU: where the far process runs, -1 for anywhere. Prints its process id
// after "ready".

#include "bench/floor.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#define RING 262144u // as a link's by default

// head and tail count bytes; a sleeper says so, and is rung up by who changes
// what it waits for.
struct ring {
    _Alignas(64) _Atomic uint64_t head;
    _Alignas(64) _Atomic uint64_t tail;
    _Alignas(64) _Atomic bool reader_sleeps;
    _Alignas(64) _Atomic bool writer_sleeps;
    _Alignas(64) uint8_t data[RING];
};

// A bell may have been rung for what its hearer has seen by itself; so rounds
// are told by numbers.
struct shared {
    _Alignas(64) _Atomic uint64_t asked;   // rounds, by near
    uint64_t bytes;                        // of the last
    _Alignas(64) _Atomic uint64_t done;    // rounds, by far
    _Alignas(64) _Atomic uint64_t wanted;  // connections, by near
    _Alignas(64) _Atomic uint64_t answers; // two for each, by far
    _Alignas(64) _Atomic bool near_sleeps;
    struct ring ring;
};

static struct shared *mem;
static int sock;

static size_t min(uint64_t a, uint64_t b) {
    return (size_t)(a < b ? a : b);
}

// Bytes in one piece that can be written, after waiting for at least one.
static size_t room(struct ring *r, int bell) {
    uint64_t head = r->head;
    while (head - r->tail == RING) {
        r->writer_sleeps = true;
        if (head - r->tail == RING) {
            sleep_at(bell);
        }
        r->writer_sleeps = false;
    }
    return min(RING - (head - r->tail), RING - head % RING);
}

static size_t filled(struct ring *r, int bell) {
    uint64_t tail = r->tail;
    while (r->head == tail) {
        r->reader_sleeps = true;
        if (r->head == tail) {
            sleep_at(bell);
        }
        r->reader_sleeps = false;
    }
    return min(r->head - tail, RING - tail % RING);
}

static void written(struct ring *r, size_t n, int bell) {
    r->head += n;
    if (r->reader_sleeps) {
        ring_bell(bell);
    }
}

// A writer is woken when a quarter is free: else it would be for each piece.
static void taken(struct ring *r, size_t n, int bell) {
    r->tail += n;
    if (r->writer_sleeps && r->head - r->tail <= RING - RING / 4u) {
        ring_bell(bell);
    }
}

// --- far ---

static void far_command(char what, uint64_t count) {
    struct command c = {(uint64_t)what, count};
    ok("send", send(sock, &c, sizeof c, 0));
}

static void far_write(uint64_t bytes) {
    struct ring *r = &mem->ring;
    uint8_t done = 0;
    far_command('w', bytes);
    while (bytes) {
        size_t n = filled(r, far_bell);
        n = (size_t)ok("send", send(sock, r->data + r->tail % RING, n, 0));
        taken(r, n, near_bell);
        bytes -= n;
    }
    ok("recv", recv(sock, &done, 1, 0));
}

static void far_read(uint64_t bytes) {
    struct ring *r = &mem->ring;
    far_command('r', bytes);
    while (bytes) {
        size_t n = room(r, far_bell);
        n = (size_t)ok("recv", recv(sock, r->data + r->head % RING, n, 0));
        written(r, n, near_bell);
        bytes -= n;
    }
}

static void far_trips(uint64_t count) {
    far_command('p', count);
    ring_bell(near_bell);
    for (uint64_t i = 0; i < count; i++) {
        sleep_at(far_bell);
        ok("send", send(sock, mem->ring.data, 1, 0));
        ok("recv", recv(sock, mem->ring.data, 1, 0));
        ring_bell(near_bell);
    }
}

static void answer(void) {
    mem->answers++;
    if (mem->near_sleeps) {
        ring_bell(near_bell);
    }
}

// As connect.c: an address of its own for each of many.
static void far_connections(uint64_t count, int port) {
    static uint32_t host;
    static uint64_t done;
    for (uint64_t end = done + count; done < end; done++) {
        while (mem->wanted == done) {
            sleep_at(far_bell);
        }
        host = host % HOSTS + 1u;
        int s = connected(SOCK_STREAM, port, host);
        answer();
        ok("recv", recv(s, mem->ring.data, 1, 0));
        answer();
        close(s);
    }
}

static void run_far(char work, int port, int cpu) {
    become_far(cpu);
    for (uint64_t done = 0;; done++) {
        while (mem->asked == done) {
            sleep_at(far_bell);
        }
        if (work == 'w') {
            far_write(mem->bytes);
            mem->done = done + 1u;
            ring_bell(near_bell);
        } else if (work == 'r') {
            far_read(mem->bytes);
        } else if (work == 't') {
            far_trips(mem->bytes);
        } else {
            far_connections(mem->bytes, port);
        }
    }
}

// --- near ---

static void near_write(uint64_t bytes, const uint8_t *block, size_t size) {
    struct ring *r = &mem->ring;
    while (bytes) {
        size_t left = min(bytes, size);
        const uint8_t *from = block;
        bytes -= left;
        while (left) {
            size_t n = min(room(r, near_bell), left);
            memcpy(r->data + r->head % RING, from, n);
            written(r, n, far_bell);
            from += n;
            left -= n;
        }
    }
    while (mem->done != mem->asked) {
        sleep_at(near_bell);
    }
}

static void near_read(uint64_t bytes, uint8_t *block, size_t size) {
    struct ring *r = &mem->ring;
    while (bytes) {
        size_t n = min(filled(r, near_bell), min(bytes, size));
        memcpy(block, r->data + r->tail % RING, n);
        taken(r, n, far_bell);
        bytes -= n;
    }
}

static void near_trips(uint64_t count, struct times *times) {
    sleep_at(near_bell);
    uint64_t now = now_ns();
    for (uint64_t i = 0; i < count; i++) {
        uint64_t from = now;
        ring_bell(far_bell);
        sleep_at(near_bell);
        now = now_ns();
        times_add(times, now - from);
    }
}

static void wait_for_answer(uint64_t number) {
    while (mem->answers < number) {
        mem->near_sleeps = true;
        if (mem->answers < number) {
            sleep_at(near_bell);
        }
        mem->near_sleeps = false;
    }
}

static void near_connections(uint64_t count) {
    static uint64_t answers;
    for (uint64_t i = 0; i < count; i++) {
        mem->wanted++;
        ring_bell(far_bell);
        wait_for_answer(++answers);
        wait_for_answer(++answers);
    }
}

static void near_round(char work, uint64_t n, uint8_t *block, size_t size) {
    static struct times times;
    memset(&times, 0, sizeof times);
    uint64_t start = now_ns();
    mem->bytes = n * size;
    mem->asked++;
    ring_bell(far_bell);
    if (work == 'w') {
        near_write(n * size, block, size);
    } else if (work == 'r') {
        near_read(n * size, block, size);
    } else if (work == 't') {
        near_trips(n, &times);
    } else {
        near_connections(n);
    }
    tell(now_ns() - start, n, 0, work == 't' ? &times : NULL);
}

int main(int argc, char **argv) {
    char work = argc > 1 ? argv[1][0] : '-';
    int port = (int)number(argc, argv, 2);
    int cpu = (int)number(argc, argv, 3);
    size_t size = (size_t)number(argc, argv, 4);
    uint8_t *block = calloc(1, size);
    mem = shared_memory(sizeof *mem);
    if (!block) {
        die("memory", "none");
    }
    if (work != 'c') {
        int on = 1;
        sock = connected(SOCK_STREAM, port, 1);
        ok("option",
            setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
    }
    pid_t far = (pid_t)ok("fork", fork());
    if (far == 0) {
        run_far(work, port, cpu);
    }
    printf("ready %d\n", (int)far);
    fflush(stdout);
    for (uint64_t n = 0; (n = next_round());) {
        near_round(work, n, block, size);
    }
    kill(far, SIGKILL);
    free(block);
    return 0;
}
