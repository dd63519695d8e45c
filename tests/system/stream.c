// Sends and takes streams whose content a seed makes, on one connection or on
// many at once.
// SPDX-License-Identifier: MIT
//
//   usage: stream MODE connect|accept ADDR PORT POOL CONNECTIONS BYTES WRITE
//          READ
//
// Connection i sends stream 2i and takes stream 2i + 1, BYTES each, in calls of
// WRITE and READ bytes: one connection by two threads that wait, more of them
// by one thread that polls. Prints both sums for each; ends with 1 at the first
// byte that is not the one expected. "ready" is printed once it listens.

#include "content.h"
#include "netapi.h"

#include <pthread.h>
#include <signal.h>

static const struct net *net;
static uint64_t bytes_each;
static size_t write_len;
static size_t read_len;

struct flow {
    int sock;
    struct content tx;
    struct content rx;
    uint64_t tx_pos;
    uint64_t rx_pos;
    uint8_t *tx_buf; // write_len bytes
    uint8_t *rx_buf; // twice read_len: what came, what should have
    size_t tx_held;  // of tx_buf, made but not sent
    size_t tx_at;
    bool ended;
    struct sha256 tx_sum;
    struct sha256 rx_sum;
};

static void die(const char *what, long result) {
    fprintf(stderr, "%s: %ld %s\n", what, result,
        result < 0 ? strerror((int)-result) : "");
    exit(1);
}

static void make_more(struct flow *f) {
    uint64_t left = bytes_each - f->tx_pos;
    f->tx_held = left < write_len ? (size_t)left : write_len;
    f->tx_at = 0;
    content_fill(&f->tx, f->tx_pos, f->tx_buf, f->tx_held);
    sha256_add(&f->tx_sum, f->tx_buf, f->tx_held);
}

// One call. False when there is nothing more to send, or not now.
static bool send_some(struct flow *f, bool wait) {
    if (f->tx_pos == bytes_each) {
        return false;
    }
    if (f->tx_at == f->tx_held) {
        make_more(f);
    }
    int n = net->send(f->sock, f->tx_buf + f->tx_at, f->tx_held - f->tx_at, 0,
        NULL, wait);
    if (n == -EAGAIN && !wait) {
        return false;
    }
    if (n <= 0) {
        die("send", n);
    }
    f->tx_at += (size_t)n;
    f->tx_pos += (uint64_t)n;
    if (f->tx_pos == bytes_each) {
        int r = net->shutdown(f->sock, SHUT_WR);
        if (r) {
            die("shutdown", r);
        }
    }
    return true;
}

static void check(struct flow *f, size_t len) {
    uint8_t *want = f->rx_buf + read_len;
    content_fill(&f->rx, f->rx_pos, want, len);
    for (size_t i = 0; i < len; i++) {
        if (f->rx_buf[i] != want[i]) {
            die("stream is wrong at byte", (long)(f->rx_pos + i));
        }
    }
}

// One call. False at the end of the stream, or if nothing is there.
static bool take_some(struct flow *f, bool wait) {
    if (f->ended) {
        return false;
    }
    int n = net->recv(f->sock, f->rx_buf, read_len, 0, NULL, wait);
    if (n == -EAGAIN && !wait) {
        return false;
    }
    if (n < 0) {
        die("recv", n);
    }
    if (n == 0) {
        f->ended = true;
        if (f->rx_pos != bytes_each) {
            die("stream ends early, at", (long)f->rx_pos);
        }
        return false;
    }
    if (f->rx_pos + (uint64_t)n > bytes_each) {
        die("stream goes on beyond", (long)bytes_each);
    }
    check(f, (size_t)n);
    sha256_add(&f->rx_sum, f->rx_buf, (size_t)n);
    f->rx_pos += (uint64_t)n;
    return true;
}

static void *send_all(void *arg) {
    while (send_some(arg, true)) {
    }
    return NULL;
}

static void run_threads(struct flow *f) {
    pthread_t sender;
    if (pthread_create(&sender, NULL, send_all, f)) {
        die("thread", 0);
    }
    while (take_some(f, true)) {
    }
    pthread_join(sender, NULL);
}

// What each flow still wants to be told; how many want anything.
static size_t ask(struct far_pollfd *p, const struct flow *flows,
    size_t count) {
    size_t open = 0;
    for (size_t i = 0; i < count; i++) {
        const struct flow *f = &flows[i];
        bool sending = f->tx_pos < bytes_each;
        p[i].sock = f->ended && !sending ? -1 : f->sock;
        p[i].events =
            (uint32_t)((sending ? POLLOUT : 0) | (f->ended ? 0 : POLLIN));
        p[i].revents = 0;
        open += p[i].sock >= 0;
    }
    return open;
}

static void run_polled(struct flow *flows, size_t count) {
    struct far_pollfd *p = calloc(count, sizeof *p);
    while (ask(p, flows, count)) {
        int r = net->poll(p, count, 60000);
        if (r <= 0) {
            die("poll", r);
        }
        for (size_t i = 0; i < count; i++) {
            if (p[i].revents & (POLLOUT | POLLERR)) {
                send_some(&flows[i], false);
            }
            if (p[i].revents & (POLLIN | POLLERR)) {
                take_some(&flows[i], false);
            }
        }
    }
    free(p);
}

static int must(const char *what, int r) {
    if (r < 0) {
        die(what, r);
    }
    return r;
}

static void connect_all(struct flow *flows, size_t count,
    const struct far_addr *addr) {
    for (size_t i = 0; i < count; i++) {
        flows[i].sock =
            must("socket", net->socket(addr->family, SOCK_STREAM, 0));
        must("connect", net->connect(flows[i].sock, addr, true));
    }
}

static void accept_all(struct flow *flows, size_t count,
    const struct far_addr *addr) {
    int s = must("socket", net->socket(addr->family, SOCK_STREAM, 0));
    int on = 1;
    must("setopt", net->setopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
    must("bind", net->bind(s, addr));
    must("listen", net->listen(s, 128));
    printf("ready\n");
    fflush(stdout);
    for (size_t i = 0; i < count; i++) {
        flows[i].sock = must("accept", net->accept(s, NULL, true));
    }
    must("close", net->close(s));
}

static void start(struct flow *f, uint8_t *pool, uint64_t i) {
    f->tx = (struct content){pool, 2 * i};
    f->rx = (struct content){pool, 2 * i + 1};
    f->tx_buf = malloc(write_len);
    f->rx_buf = malloc(2 * read_len);
    sha256_start(&f->tx_sum);
    sha256_start(&f->rx_sum);
}

static void finish(struct flow *f, size_t i) {
    char tx[65];
    char rx[65];
    must("close", net->close(f->sock));
    sha256_end(&f->tx_sum, tx);
    sha256_end(&f->rx_sum, rx);
    printf("%zu %s %s\n", i, tx, rx);
    free(f->tx_buf);
    free(f->rx_buf);
}

int main(int argc, char **argv) {
    int err = EINVAL;
    net = argc == 10 ? net_open(argv[1], &err) : NULL;
    if (!net) {
        die("usage, or no link", err);
    }
    signal(SIGPIPE, SIG_IGN);
    struct far_addr addr = net_addr(argv[3], (int)strtol(argv[4], NULL, 0));
    uint8_t *pool = content_pool(argv[5]);
    size_t count = strtoul(argv[6], NULL, 0);
    bytes_each = strtoull(argv[7], NULL, 0);
    write_len = strtoul(argv[8], NULL, 0);
    read_len = strtoul(argv[9], NULL, 0);
    struct flow *flows = calloc(count, sizeof *flows);
    for (size_t i = 0; i < count; i++) {
        start(&flows[i], pool, i);
    }
    if (!strcmp(argv[2], "connect")) {
        connect_all(flows, count, &addr);
    } else {
        accept_all(flows, count, &addr);
    }
    if (count == 1) {
        run_threads(flows);
    } else {
        run_polled(flows, count);
    }
    for (size_t i = 0; i < count; i++) {
        finish(&flows[i], i);
    }
    free(flows);
    free(pool);
    net_close();
    return 0;
}
