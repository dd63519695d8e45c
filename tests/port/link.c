// Requests, sockets and the link's life, against farsockd. Peers are the link's
// own sockets, by way of the far core's loopback: no other program is needed.
// SPDX-License-Identifier: MIT
#include <string.h>

#include "port/answer.h"
#include "port/check.h"

#define PATIENCE (20000u * CHECK_MS)
#define BULK     (1u << 20) // bytes of the stream
#define MANY     64u

static struct far_link *l;
static char text[160];

static uint64_t soon(void) {
    return check_now() + PATIENCE;
}

// "what: error"
static const char *say(const char *what, int err) {
    const char *const parts[3] = {what, ": ", far_strerror(err)};
    size_t n = 0;
    for (int i = 0; i < 3; i++) {
        for (const char *p = parts[i]; *p && n < sizeof text - 1u; p++) {
            text[n++] = *p;
        }
    }
    text[n] = '\0';
    return text;
}

static struct far_addr loopback(uint16_t port) {
    return (struct far_addr){
        .family = FAR_AF_INET, .port = port, .ip = {127, 0, 0, 1}};
}

// --- Requests ---

static const char *comes_up(void) {
    uint64_t begin = check_now();
    int err = target->up(soon(), &l);
    if (err != FAR_OK) {
        return say("the link does not come up", err);
    }
    check_note("link-up took", (check_now() - begin) / 1000u, "us");
    return NULL;
}

static const char *requests(void) {
    struct check_times times = {.n = 0};
    int s = far_socket(l, FAR_AF_INET, FAR_SOCK_DGRAM, 0);
    if (s < 0) {
        return say("socket", s);
    }
    for (uint32_t i = 0; i < CHECK_TIMES; i++) {
        struct far_addr a;
        uint64_t begin = check_now();
        int err = far_getsockname(l, s, &a);
        if (err < 0) {
            return say("getsockname", err);
        }
        check_time(&times, check_now() - begin);
    }
    far_close(l, s, soon());
    check_note_times("a request and its answer", &times);
    return NULL;
}

// --- Streams ---

struct pair {
    int a, b;
};

static const char *connect_pair(struct pair *p) {
    struct far_addr at = loopback(0);
    int s = far_socket(l, FAR_AF_INET, FAR_SOCK_STREAM, 0);
    int err = s < 0 ? s : far_bind(l, s, &at);
    err = err < 0 ? err : far_listen(l, s, 1);
    err = err < 0 ? err : far_getsockname(l, s, &at);
    if (err < 0) {
        return say("a listening socket", err);
    }
    p->a = far_socket(l, FAR_AF_INET, FAR_SOCK_STREAM, 0);
    err = p->a < 0 ? p->a : far_connect(l, p->a, &at, soon());
    if (err < 0) {
        return say("connect", err);
    }
    p->b = far_accept(l, s, NULL, soon());
    far_close(l, s, soon());
    return p->b < 0 ? say("accept", p->b) : NULL;
}

struct stream {
    struct pair p;
    uint32_t sent, got;
    uint8_t out[3001], in[5003];
};

// One look at each end. False with *wrong, or without: neither could move.
static bool move(struct stream *s, const char **wrong) {
    uint32_t before = s->sent + s->got;
    uint32_t n = BULK - s->sent < sizeof s->out ? BULK - s->sent
                                                : (uint32_t)sizeof s->out;
    for (uint32_t i = 0; i < n; i++) {
        s->out[i] = answer_pattern(7, s->sent + i);
    }
    int32_t rc = n ? far_sendto(l, s->p.a, s->out, n, 0, NULL, FAR_NOWAIT) : 0;
    s->sent += rc > 0 ? (uint32_t)rc : 0;
    *wrong = rc < 0 && rc != FAR_EAGAIN ? say("send", rc) : NULL;
    rc =
        far_recvfrom(l, s->p.b, s->in, sizeof s->in, 0, NULL, NULL, FAR_NOWAIT);
    if (rc < 0 && rc != FAR_EAGAIN) {
        *wrong = say("recv", rc);
    }
    for (int32_t i = 0; i < rc; i++) {
        if (s->in[i] != answer_pattern(7, s->got + (uint32_t)i)) {
            *wrong = "other bytes arrived than were sent";
        }
    }
    s->got += rc > 0 ? (uint32_t)rc : 0;
    return !*wrong && s->sent + s->got != before;
}

static const char *stream(void) {
    static struct stream s;
    s.sent = s.got = 0;
    const char *wrong = connect_pair(&s.p);
    uint64_t begin = check_now();
    while (!wrong && s.got < BULK) {
        if (move(&s, &wrong) || wrong) {
            continue;
        }
        struct far_pollfd fds[2] = {
            {.sock = s.p.b, .events = FAR_POLLIN},
            {.sock = s.sent < BULK ? s.p.a : -1, .events = FAR_POLLOUT},
        };
        int n = far_poll(l, fds, 2, soon());
        wrong = n < 0    ? say("poll", n)
                : n == 0 ? "the stream has stopped"
                         : NULL;
    }
    uint64_t took = check_now() - begin;
    if (!wrong) {
        check_note("there and back",
            BULK / 1024u * CHECK_MS * 1000u / (took + 1u), "KiB/s");
    }
    far_close(l, s.p.a, soon());
    far_close(l, s.p.b, soon());
    return wrong;
}

// --- Datagrams, many sockets ---

static int udp(struct far_addr *at) {
    *at = loopback(0);
    int s = far_socket(l, FAR_AF_INET, FAR_SOCK_DGRAM, 0);
    int err = s < 0 ? s : far_bind(l, s, at);
    err = err < 0 ? err : far_getsockname(l, s, at);
    return err < 0 ? err : s;
}

static const char *one_datagram(int s, const struct far_addr *at, uint32_t n) {
    static uint8_t out[1472], in[1600];
    struct far_addr from;
    for (uint32_t i = 0; i < n; i++) {
        out[i] = answer_pattern(n, i);
    }
    int32_t rc = far_sendto(l, s, out, n, 0, at, soon());
    if (rc != (int32_t)n) {
        return rc < 0 ? say("sendto", rc) : "a datagram was sent in part";
    }
    rc = far_recvfrom(l, s, in, sizeof in, 0, &from, NULL, soon());
    if (rc < 0) {
        return say("recvfrom", rc);
    }
    return rc == (int32_t)n && memcmp(in, out, n) == 0 && from.port == at->port
               ? NULL
               : "another datagram arrived than was sent";
}

static const char *datagrams(void) {
    struct far_addr at;
    int s = udp(&at);
    const char *wrong = s < 0 ? say("a bound socket", s) : NULL;
    for (uint32_t n = 0; n <= 1472 && !wrong; n += n < 16 ? 1 : 91) {
        wrong = one_datagram(s, &at, n);
    }
    far_close(l, s, soon());
    return wrong;
}

static uint32_t open_many(int *socks, struct far_addr *at, int *err) {
    uint32_t n = 0;
    for (*err = FAR_OK; n < MANY && *err >= 0; n += *err >= 0) {
        *err = udp(&at[n]);
        socks[n] = *err;
    }
    return n;
}

// Each sends to the next, and poll finds them all.
static const char *round_of_many(const int *socks, const struct far_addr *at,
    uint32_t n) {
    struct far_pollfd fds[MANY];
    for (uint32_t i = 0; i < n; i++) {
        int32_t rc =
            far_sendto(l, socks[i], &i, sizeof i, 0, &at[(i + 1u) % n], soon());
        if (rc < 0) {
            return say("sendto", rc);
        }
        fds[i] = (struct far_pollfd){.sock = socks[i], .events = FAR_POLLIN};
    }
    for (uint32_t left = n; left > 0;) {
        int rc = far_poll(l, fds, n, soon());
        if (rc <= 0) {
            return rc < 0 ? say("poll", rc) : "a datagram has not arrived";
        }
        for (uint32_t i = 0; i < n; i++) {
            uint32_t who = n;
            if (fds[i].sock < 0 || !fds[i].revents) {
                continue;
            }
            rc = far_recvfrom(l, fds[i].sock, &who, sizeof who, 0, NULL, NULL,
                FAR_NOWAIT);
            if (rc != sizeof who || (who + 1u) % n != i) {
                return "a datagram came to the wrong socket";
            }
            fds[i].sock = -1;
            left--;
        }
    }
    return NULL;
}

static const char *many(void) {
    static int socks[MANY];
    static struct far_addr at[MANY];
    for (int life = 0; life < 2; life++) {
        int err;
        uint32_t n = open_many(socks, at, &err);
        if (err < 0 && err != FAR_EMFILE) {
            return say("socket", err);
        }
        if (n < 2) {
            return "the link has no room for two sockets";
        }
        const char *wrong = round_of_many(socks, at, n);
        for (uint32_t i = 0; i < n; i++) {
            far_close(l, socks[i], soon());
        }
        if (wrong) {
            return wrong;
        }
        check_note("sockets at a time", n, "");
    }
    return NULL;
}

// --- Time ---

static const char *timeouts(void) {
    struct far_addr at;
    struct check_times late = {.n = 0};
    int s = udp(&at);
    for (int i = 0; i < 5; i++) {
        char c;
        uint64_t end = check_now() + 50u * CHECK_MS;
        int32_t rc = far_recvfrom(l, s, &c, 1, 0, NULL, NULL, end);
        uint64_t now = check_now();
        if (rc != FAR_ETIMEDOUT || now < end) {
            return rc < 0 ? say("recv with a deadline gave", rc)
                          : "recv with a deadline returned before it";
        }
        check_time(&late, now - end);
    }
    far_close(l, s, soon());
    check_note_times("late", &late);
    return check_least(&late) > 20u * CHECK_MS ? "time-outs come late" : NULL;
}

static const char *idle(void) {
    struct far_counters before, after, far;
    struct far_addr at;
    char c;
    int s = udp(&at);
    far_link_counters(l, &before, &far);
    far_recvfrom(l, s, &c, 1, 0, NULL, NULL, check_now() + 300u * CHECK_MS);
    far_link_counters(l, &after, &far);
    far_close(l, s, soon());
    check_note("wake-ups in 300 ms of silence", after.wakeups - before.wakeups,
        "");
    if (target->port->rescue_ms == 0 && after.wakeups - before.wakeups > 5) {
        return "a call that waits wakes for nothing";
    }
    check_note("rescues", after.rescues + far.rescues, "");
    return after.rescues + far.rescues > 0 ? "doorbells were lost" : NULL;
}

// --- Lost and found ---

static const char *lost(void) {
    struct far_addr at;
    char c;
    if (!target->restarts) {
        return check_skip("nobody here restarts the far side");
    }
    int s = udp(&at);
    if (s < 0) {
        return say("a bound socket", s);
    }
    check_ask("restart");
    int32_t rc =
        far_recvfrom(l, s, &c, 1, 0, NULL, NULL, check_now() + 3u * PATIENCE);
    if (rc != FAR_ECONNRESET) {
        return rc < 0
                   ? say("a call that waited when the far side died gave", rc)
                   : "a call did not notice that the far side died";
    }
    int err = far_socket(l, FAR_AF_INET, FAR_SOCK_STREAM, 0);
    return err == FAR_ENETDOWN ? NULL : "a dead link gives sockets";
}

static const char *found(void) {
    if (!target->restarts) {
        return check_skip("nobody here restarts the far side");
    }
    far_link_down(l);
    const char *wrong = comes_up();
    return wrong ? wrong : stream();
}

const struct check check_link[] = {
    {"link", "the link comes up", comes_up,
        "ETIMEDOUT: does farsockd serve this memory (its log says \"a near "
        "core "
        "is there\"), do doorbells arrive both ways; EBADMSG, ELINKPROTO: "
        "other "
        "memory, or another version",
        true},
    {"link", "requests are answered", requests,
        "a doorbell that is lost now and then: notify(), wait() and the "
        "barriers",
        true},
    {"link", "a stream arrives as it was sent", stream,
        "bytes: FAR_CLEAN and FAR_INV; standstill: doorbells and barriers; is "
        "the far core's loopback up",
        false},
    {"link", "datagrams arrive as they were sent", datagrams,
        "as of the stream", false},
    {"link", "many sockets at a time, twice", many,
        "how much memory there is; poll() is made of wait() and wake()", false},
    {"link", "calls end at their deadlines", timeouts, "wait() and now_ns()",
        false},
    {"link", "a call that waits sleeps, and no doorbell was lost", idle,
        "wait() that returns for nothing; notify()", false},
    {"link", "the far side's death is noticed", lost,
        "wait(): does it ask far_join_holds(), is there an interrupt when "
        "farsockd begins a new life",
        false},
    {"link", "and a new link comes up", found,
        "link-up: does it begin with far_join_begin(), is the peer's half "
        "dropped "
        "from the cache",
        false},
    {.name = NULL},
};
