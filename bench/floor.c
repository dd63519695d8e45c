// The least that carrying a stream over another process can cost: a copy into
// or out of memory that both have, socket calls on the far side, and a wake-up
// by eventfd where one side must sleep. No protocol, one connection, nothing
// that could go wrong is looked at.
// SPDX-License-Identifier: MIT
//
//   usage: floor write|read|both PORT FAR_CPU SIZE
//
// FAR_CPU: where the far process runs, -1 for anywhere. Prints its process id
// after "ready".

#include "bench/floor.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>

// As a link's by default, to the peer and from it.
#define TX_RING 262144u
#define RX_RING 524288u

// head and tail count bytes, and a side keeps its own in a register. Who sleeps
// says so, and is rung up by who changes what it waits for, once.
struct ring {
    _Alignas(64) _Atomic uint64_t head;
    _Alignas(64) _Atomic uint64_t tail;
    _Alignas(64) _Atomic bool reader_sleeps;
    _Alignas(64) _Atomic bool writer_sleeps;
    _Alignas(64) uint64_t size;
    int reader_bell, writer_bell;
    _Alignas(64) uint8_t data[RX_RING];
};

// A bell may have been rung for what its hearer has seen by itself; so rounds
// are told by numbers.
struct shared {
    _Alignas(64) _Atomic uint64_t asked; // rounds, by near
    uint64_t bytes;                      // of the last
    _Alignas(64) _Atomic uint64_t done;  // rounds, by far
    _Atomic uint64_t bells;              // of rings, rung
    struct ring tx, rx;
};

static struct shared *mem;
static int sock;

static size_t min(uint64_t a, uint64_t b) {
    return (size_t)(a < b ? a : b);
}

static void ring_up(_Atomic bool *sleeps, int bell) {
    if (*sleeps) {
        *sleeps = false;
        mem->bells++;
        ring_bell(bell);
    }
}

// Moves bytes between a piece of a ring, of n bytes, and elsewhere: how many.
typedef size_t move(uint8_t *piece, size_t n);

// Small calls cost no more than their bytes: what moves them is known where
// these are expanded, and the other side's index is looked at again once less
// than a quarter is left.
#define EXPANDED static inline __attribute__((always_inline))

EXPANDED void put(struct ring *r, uint64_t bytes, move *from) {
    uint64_t head = r->head;
    uint64_t tail = r->tail;
    for (uint64_t end = head + bytes; head < end;) {
        if (head - tail > r->size - r->size / 4u) {
            tail = r->tail;
        }
        uint64_t room = r->size - (head - tail);
        if (room == 0) {
            r->writer_sleeps = true;
            if (r->tail == tail) {
                sleep_at(r->writer_bell);
            }
            r->writer_sleeps = false;
            continue;
        }
        size_t n = min(end - head, min(room, r->size - head % r->size));
        head += from(r->data + head % r->size, n);
        r->head = head;
        ring_up(&r->reader_sleeps, r->reader_bell);
    }
}

// What was taken is told when it is a quarter, or all that was known of: else a
// writer would be woken for each piece.
EXPANDED void take(struct ring *r, uint64_t bytes, move *to) {
    uint64_t tail = r->tail;
    uint64_t told = tail;
    uint64_t head = r->head;
    for (uint64_t end = tail + bytes; tail < end;) {
        if (head - tail < r->size / 4u) {
            head = r->head;
        }
        if (head == tail) {
            r->reader_sleeps = true;
            if (r->head == tail) {
                sleep_at(r->reader_bell);
            }
            r->reader_sleeps = false;
            continue;
        }
        size_t n = min(end - tail, min(head - tail, r->size - tail % r->size));
        tail += to(r->data + tail % r->size, n);
        if (tail - told >= r->size / 4u || tail == head || tail == end) {
            r->tail = told = tail;
            ring_up(&r->writer_sleeps, r->writer_bell);
        }
    }
}

// A round in which both directions are busy has a thread for each, on each side
// as in stream.c.
static void both(void *(*one)(void *), void (*other)(uint64_t),
    uint64_t *bytes) {
    pthread_t thread;
    must("thread", -pthread_create(&thread, NULL, one, bytes));
    other(*bytes);
    pthread_join(thread, NULL);
}

// --- far ---

static size_t to_peer(uint8_t *piece, size_t n) {
    return (size_t)ok("send", send(sock, piece, n, 0));
}

static size_t from_peer(uint8_t *piece, size_t n) {
    return (size_t)ok("recv", recv(sock, piece, n, 0));
}

static void far_reads(uint64_t bytes) {
    put(&mem->rx, bytes, from_peer);
}

static void *far_writes(void *bytes) {
    take(&mem->tx, *(uint64_t *)bytes, to_peer);
    return NULL;
}

static void far_stream(char work, uint64_t bytes) {
    uint8_t done = 0;
    take(&mem->tx, sizeof(struct command), to_peer);
    if (work == 'r') {
        far_reads(bytes);
        return;
    }
    if (work == 'w') {
        far_writes(&bytes);
    } else {
        both(far_writes, far_reads, &bytes);
    }
    ok("recv", recv(sock, &done, 1, 0));
    mem->done++;
    ring_bell(near_bell);
}

static void run_far(char work, int cpu) {
    become_far(cpu);
    if (work == 'w') {
        give_way(); // a quarter more on one core
    }
    for (uint64_t done = 0;; done++) {
        while (mem->asked == done) {
            sleep_at(far_bell);
        }
        far_stream(work, mem->bytes);
    }
}

// --- near ---

static uint8_t *block;
static size_t size; // of a call

// What near tells the peer is of the stream, so that its bytes lie where
// farsock's do: of those that follow it few begin where a line of memory does.
static struct command command;
static size_t told; // of it

static size_t from_command(uint8_t *piece, size_t n) {
    memcpy(piece, (const uint8_t *)&command + told, n);
    told += n;
    return n;
}

static void near_command(char what, uint64_t count) {
    command = (struct command){(uint64_t)what, count};
    told = 0;
    put(&mem->tx, sizeof command, from_command);
}

static size_t from_block(uint8_t *piece, size_t n) {
    n = n < size ? n : size;
    memcpy(piece, block, n);
    return n;
}

static size_t to_block(uint8_t *piece, size_t n) {
    n = n < size ? n : size;
    memcpy(block, piece, n);
    return n;
}

static void near_reads(uint64_t bytes) {
    take(&mem->rx, bytes, to_block);
}

static void *near_writes(void *bytes) {
    put(&mem->tx, *(uint64_t *)bytes, from_block);
    return NULL;
}

static void near_stream(char work, uint64_t bytes) {
    near_command(work, bytes);
    if (work == 'r') {
        near_reads(bytes);
        return;
    }
    if (work == 'w') {
        near_writes(&bytes);
    } else {
        both(near_writes, near_reads, &bytes);
    }
    while (mem->done != mem->asked) {
        sleep_at(near_bell);
    }
}

static void near_round(char work, uint64_t n) {
    uint64_t bells = mem->bells;
    uint64_t start = now_ns();
    mem->bytes = n * size;
    mem->asked++;
    ring_bell(far_bell);
    near_stream(work, n * size);
    // Nothing is lost: in its place the doorbells.
    tell(now_ns() - start, n, mem->bells - bells, NULL);
}

static void open_ring(struct ring *r, uint64_t bytes) {
    r->size = bytes;
    r->reader_bell = (int)ok("eventfd", eventfd(0, 0));
    r->writer_bell = (int)ok("eventfd", eventfd(0, 0));
}

int main(int argc, char **argv) {
    char work = argc > 1 ? argv[1][0] : '-';
    int port = (int)number(argc, argv, 2);
    int cpu = (int)number(argc, argv, 3);
    size = (size_t)number(argc, argv, 4);
    block = malloc(size);
    mem = shared_memory(sizeof *mem);
    if (!block) {
        die("memory", "none");
    }
    // As in stream.c: never written, all of it would be one page of zeroes.
    memset(block, 'x', size);
    open_ring(&mem->tx, TX_RING);
    open_ring(&mem->rx, RX_RING);
    int on = 1;
    sock = connected(SOCK_STREAM, port, 1);
    ok("option", setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
    pid_t far = (pid_t)ok("fork", fork());
    if (far == 0) {
        run_far(work, cpu);
    }
    printf("ready %d\n", (int)far);
    fflush(stdout);
    for (uint64_t n = 0; (n = next_round());) {
        near_round(work, n);
    }
    kill(far, SIGKILL);
    free(block);
    return 0;
}
