// Lost wake-ups: the near library against a far side that is a thread, with
// random delays between any two steps. Who sleeps beside bytes or room times
// out, and that is the failure.
// SPDX-License-Identifier: MIT
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "farsock/farsock.h"
#include "ring/ring.h"
#include "unit.h"

#define RING    4096u
#define LOST_NS 10000000000ull // nothing here takes that long

static uint32_t round_count = 50000;

// --- The port: two semaphores ---

static sem_t bell_far;
static sem_t bell_near;

static uint64_t now_ns(void *ctx) {
    struct timespec t;
    (void)ctx;
    clock_gettime(CLOCK_REALTIME, &t); // what sem_timedwait() goes by
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void notify(void *ctx) {
    (void)ctx;
    sem_post(&bell_far);
}

static void wake(void *ctx) {
    (void)ctx;
    sem_post(&bell_near);
}

static int wait(void *ctx, uint64_t deadline_ns) {
    (void)ctx;
    struct timespec t = {
        .tv_sec = (time_t)(deadline_ns / 1000000000u),
        .tv_nsec = (long)(deadline_ns % 1000000000u),
    };
    int err = deadline_ns == FAR_FOREVER ? sem_wait(&bell_near)
                                         : sem_timedwait(&bell_near, &t);
    return err == 0 ? FAR_OK : FAR_ETIMEDOUT;
}

// Short sleeps in place of a futex: the tests' threads seldom meet.
static void park(void *ctx, _Atomic uint32_t *word, uint32_t value,
    uint64_t deadline_ns) {
    (void)deadline_ns;
    (void)ctx;
    if (atomic_load(word) == value) {
        struct timespec t = {.tv_nsec = 50000};
        nanosleep(&t, NULL);
    }
}

static void unpark(void *ctx, _Atomic uint32_t *word) {
    (void)ctx;
    (void)word;
}

static const struct far_port port = {
    .now_ns = now_ns,
    .notify = notify,
    .wait = wait,
    .wake = wake,
    .park = park,
    .unpark = unpark,
};

// --- Random, and random delays ---

static uint32_t next(uint32_t *seed) {
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void dawdle(uint32_t *seed) {
    uint32_t n = next(seed);
    n = n & 3u ? n % 16u : n % 600u;
    for (uint32_t i = 0; i < n; i++) {
        atomic_signal_fence(memory_order_seq_cst);
    }
}

static uint32_t round_len(uint32_t *rounds) {
    return 1u + next(rounds) % 24u;
}

// The byte at each position of the stream.
static uint8_t byte_at(uint32_t pos) {
    return (uint8_t)(pos * 2654435761u >> 24);
}

// --- Far ---

static struct far_layout lay;
static uint8_t *region;
static atomic_bool stop;

struct far_side {
    struct far_msg_reader cmd;
    struct far_msg_writer evt;
    const struct far_near_line *near;
    struct far_far_line *line;
    uint8_t *tx;
    uint8_t *rx;
    uint32_t seed;
    uint32_t gen;
    uint32_t rx_head;
    uint32_t rx_checked;
    uint32_t tx_tail;
    uint32_t tx_checked;
    uint32_t kick_pos;
    uint32_t rounds; // seed of their lengths
    uint32_t left;   // of this round
    bool sends;
    bool takes;
    bool wrong; // a byte of near's was not the one expected
};

static void *at(uint32_t line) {
    return region + (size_t)line * FAR_LINE;
}

static void publish(struct far_side *f) {
    if (far_msg_publish(&f->evt)) {
        sem_post(&bell_near);
    }
}

static void kick(struct far_side *f) {
    if (!far_msg_pending(&f->evt, f->kick_pos)) {
        struct far_msg m = {.op = FAR_OP_KICKED};
        far_msg_put(&f->evt, m, NULL, 0, NULL, 0);
        f->kick_pos = f->evt.head;
        publish(f);
    }
}

static void serve(struct far_side *f) {
    struct far_msg m;
    uint64_t buf[FAR_RECORD_MAX / sizeof(uint64_t)];
    while (far_msg_get(&f->cmd, &m, buf) > 0) {
        dawdle(&f->seed);
        if (m.op == FAR_OP_SOCKET) {
            struct far_req_socket req;
            memcpy(&req, buf, sizeof req);
            f->gen = req.rings.gen;
            far_store(&f->line->tx_wake, f->tx_tail);
            far_store(&f->line->state, FAR_ST_CONNECTED);
            FAR_WMB();
            far_store(&f->line->gen, f->gen);
        }
        if (m.tag) {
            struct far_reply rep = {.result = FAR_OK};
            struct far_msg r = {.op = FAR_OP_REPLY, .tag = m.tag};
            far_msg_put(&f->evt, r, &rep, sizeof rep, NULL, 0);
            publish(f);
        }
    }
}

// Bytes come in rounds: the next begins when near has taken all of the last, so
// that nothing later can wake who was forgotten. True if it did something.
static bool begin_round(struct far_side *f) {
    if (far_load(&f->near->rx_tail) != f->rx_head) {
        far_store(&f->line->rx_wake, f->rx_head - 1u);
        FAR_SYNC();
        return far_load(&f->near->rx_tail) == f->rx_head;
    }
    f->left = round_len(&f->rounds);
    return true;
}

static bool give(struct far_side *f) {
    if (f->left == 0) {
        return begin_round(f);
    }
    uint32_t n = 1u + next(&f->seed) % 9u;
    n = n < f->left ? n : f->left;
    f->left -= n;
    for (uint32_t i = 0; i < n; i++) {
        f->rx[(f->rx_head + i) % RING] = byte_at(f->rx_head + i);
    }
    dawdle(&f->seed);
    f->rx_head += n;
    FAR_WMB();
    far_store(&f->line->rx_head, f->rx_head);
    FAR_SYNC();
    if (far_crossed(far_load(&f->near->rx_wake), f->rx_checked, f->rx_head)) {
        kick(f);
    }
    f->rx_checked = f->rx_head;
    return true;
}

static bool take(struct far_side *f) {
    uint32_t head = far_load(&f->near->tx_head);
    FAR_RMB();
    if (head == f->tx_tail) {
        far_store(&f->line->tx_wake, head);
        FAR_SYNC();
        return far_load(&f->near->tx_head) != head;
    }
    uint32_t n = 1u + next(&f->seed) % 600u;
    n = n < head - f->tx_tail ? n : head - f->tx_tail;
    for (uint32_t i = 0; i < n; i++) {
        f->wrong |= f->tx[(f->tx_tail + i) % RING] != byte_at(f->tx_tail + i);
    }
    dawdle(&f->seed);
    f->tx_tail += n;
    FAR_SYNC();
    far_store(&f->line->tx_tail, f->tx_tail);
    FAR_SYNC();
    if (far_crossed(far_load(&f->near->tx_wake), f->tx_checked, f->tx_tail)) {
        kick(f);
    }
    f->tx_checked = f->tx_tail;
    return true;
}

static void *run_far(void *arg) {
    struct far_side *f = arg;
    while (!atomic_load(&stop)) {
        serve(f);
        bool busy = false;
        if (f->gen && far_load(&f->near->gen) == f->gen) {
            busy = f->sends && give(f);
            busy |= f->takes && take(f);
        }
        if (!busy && far_msg_may_sleep(&f->cmd)) {
            sem_wait(&bell_far);
        }
        dawdle(&f->seed);
    }
    return NULL;
}

// --- A link between the two ---

struct world {
    struct far_side far;
    pthread_t thread;
    struct far_link *link;
    void *memory;
    int sock;
};

static void begin(struct world *w, uint32_t base, bool sends, bool takes) {
    int err = 0;
    memset(w, 0, sizeof *w);
    sem_init(&bell_far, 0, 0);
    sem_init(&bell_near, 0, 0);
    atomic_store(&stop, false);
    far_layout_make(&lay, 1, 4, RING, RING, base);
    size_t bytes = (size_t)far_layout_bytes(&lay);
    region = aligned_alloc(4096, bytes);
    memset(region, 0, bytes);
    struct far_far_ctl *ctl = at(lay.far_at);
    struct far_near_ctl *near = at(0);
    ctl->hdr.magic = FAR_WIRE_MAGIC;
    ctl->hdr.version = FAR_WIRE_VERSION;
    ctl->layout = lay;
    ctl->evt.head = ctl->cmd.tail = ctl->cmd.wake = base;
    w->memory = malloc(far_link_size(&lay));
    w->link = far_link_init(w->memory, region, bytes, &lay, &port, NULL, &err);
    struct far_side *f = &w->far;
    far_msg_reader_init(&f->cmd, &near->cmd, &ctl->cmd, at(lay.cmd_at),
        lay.cmd_bytes, base);
    far_msg_writer_init(&f->evt, &ctl->evt, &near->evt, at(lay.evt_at),
        lay.evt_bytes, base);
    f->near = at(lay.near_socks);
    f->line = at(lay.far_socks);
    f->tx = at(lay.tx_at);
    f->rx = at(lay.rx_at);
    f->rx_head = f->rx_checked = f->tx_tail = f->tx_checked = base;
    f->kick_pos = base;
    f->line->tx_tail = f->line->rx_head = base;
    f->line->rx_wake = base - 1u;
    f->seed = base + 1u;
    f->rounds = 5;
    f->sends = sends;
    f->takes = takes;
    pthread_create(&w->thread, NULL, run_far, f);
    w->sock = far_socket(w->link, FAR_AF_INET, FAR_SOCK_STREAM, 0);
}

static void end(struct world *w) {
    atomic_store(&stop, true);
    sem_post(&bell_far);
    pthread_join(w->thread, NULL);
    free(w->memory);
    free(region);
}

// --- Near ---

static bool receive_all(struct world *w, uint32_t base) {
    uint32_t seed = 4;
    uint32_t rounds = 5;
    uint32_t pos = base;
    uint8_t buf[64];
    for (uint32_t i = 0; i < round_count; i++) {
        uint32_t len = round_len(&rounds);
        dawdle(&seed);
        if (far_recv(w->link, w->sock, buf, len, FAR_MSG_WAITALL,
                now_ns(NULL) + LOST_NS) != (int32_t)len) {
            return false;
        }
        for (uint32_t k = 0; k < len; k++) {
            if (buf[k] != byte_at(pos + k)) {
                return false;
            }
        }
        pos += len;
    }
    return true;
}

static bool send_all(struct world *w, uint32_t base) {
    uint32_t seed = 6;
    uint32_t pos = base;
    uint8_t buf[600];
    for (uint32_t i = 0; i < round_count / 4u; i++) {
        uint32_t len = 1u + next(&seed) % (uint32_t)sizeof buf;
        for (uint32_t k = 0; k < len; k++) {
            buf[k] = byte_at(pos + k);
        }
        dawdle(&seed);
        if (far_send(w->link, w->sock, buf, len, 0, now_ns(NULL) + LOST_NS) !=
            (int32_t)len) {
            return false;
        }
        pos += len;
    }
    return true;
}

static bool poll_all(struct world *w) {
    uint32_t seed = 7;
    uint8_t buf[256];
    for (uint32_t i = 0; i < round_count; i++) {
        struct far_pollfd p = {.sock = w->sock, .events = FAR_POLLIN};
        dawdle(&seed);
        if (far_poll(w->link, &p, 1, now_ns(NULL) + LOST_NS) != 1 ||
            far_recv(w->link, w->sock, buf, sizeof buf, 0, FAR_NOWAIT) <= 0) {
            return false;
        }
    }
    return true;
}

#define WRAP (UINT32_MAX - 0x7fffu) // the indexes pass 2^32 early

TEST(no_receive_sleeps_beside_its_bytes) {
    struct world w;
    begin(&w, WRAP, true, false);
    CHECK(w.sock >= 0);
    bool received = receive_all(&w, WRAP);
    end(&w);
    CHECK(received);
}

TEST(no_poll_sleeps_beside_its_bytes) {
    struct world w;
    begin(&w, WRAP, true, false);
    CHECK(w.sock >= 0);
    bool polled = poll_all(&w);
    end(&w);
    CHECK(polled);
}

TEST(no_send_sleeps_beside_its_room) {
    struct world w;
    begin(&w, WRAP, false, true);
    CHECK(w.sock >= 0);
    bool sent = send_all(&w, WRAP);
    end(&w);
    CHECK(sent && !w.far.wrong);
}

static void *sender(void *arg) {
    return send_all(arg, WRAP) ? arg : NULL;
}

TEST(both_directions_and_two_threads_lose_nothing) {
    struct world w;
    pthread_t t;
    void *sent = NULL;
    begin(&w, WRAP, true, true);
    CHECK(w.sock >= 0);
    pthread_create(&t, NULL, sender, &w);
    bool received = receive_all(&w, WRAP);
    pthread_join(t, &sent);
    end(&w);
    CHECK(received && sent && !w.far.wrong);
}

int main(void) {
    static const struct test_case cases[] = {
        CASE(no_receive_sleeps_beside_its_bytes),
        CASE(no_poll_sleeps_beside_its_bytes),
        CASE(no_send_sleeps_beside_its_room),
        CASE(both_directions_and_two_threads_lose_nothing),
    };
    const char *full = getenv("FARSOCK_FULL");
    if (full && full[0] == '1') {
        round_count = 300000;
    }
    return run_tests(cases, (int)(sizeof cases / sizeof cases[0]));
}
