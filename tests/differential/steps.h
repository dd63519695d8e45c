// Steps that are one of the calls of sockets, in all modes.
// SPDX-License-Identifier: MIT
#ifndef STEPS_H
#define STEPS_H

#include "differential/executor.h"

static void step_socket(struct step *s) {
    struct sock *k = sock(s);
    int type = (int)number(s, 3);
    bool own = !strcmp(word(s, 4), "own");
    int proto = own ? (int)own_protocol() : (int)number(s, 4);
    int r = k->net->socket((int)number(s, 2), type, proto);
    if (r >= 0) {
        if (k->open) {
            k->net->close(k->handle);
        }
        prepare(k, r, (type & 0xf) == SOCK_STREAM);
        k->raw4 = (type & 0xf) == SOCK_RAW && number(s, 2) == AF_INET;
        r = 0;
    }
    say_result(s, r);
}

static void step_close(struct step *s) {
    struct sock *k = sock(s);
    say_result(s, k->net->close(k->handle));
    forget(k);
}

static void step_bind(struct step *s) {
    struct sock *k = sock(s);
    struct far_addr a;
    addr_at(s, 2, &a);
    say_result(s, k->net->bind(k->handle, &a));
}

static void step_listen(struct step *s) {
    struct sock *k = sock(s);
    say_result(s, k->net->listen(k->handle, (int)number(s, 2)));
}

static void step_connect(struct step *s) {
    struct sock *k = sock(s);
    struct far_addr a;
    addr_at(s, 2, &a);
    say_result(s, k->net->connect(k->handle, &a, waits(s)));
}

static void step_accept(struct step *s) {
    struct sock *k = sock(s);
    struct far_addr peer = {0};
    int r = k->net->accept(k->handle, &peer, waits(s));
    if (r < 0) {
        say_result(s, r);
        return;
    }
    struct sock *new = find(word(s, 2));
    if (new->open) {
        new->net->close(new->handle);
    }
    prepare(new, r, true);
    say_result(s, 0);
    say_addr(s, &peer);
}

// send NAME LENGTH FLAGS ADDR wait|nowait
static void step_send(struct step *s) {
    struct sock *k = sock(s);
    struct far_addr a;
    size_t len = strtoull(word(s, 2), NULL, 0);
    bool to = addr_at(s, 4, &a);
    int r = k->net->send(k->handle, content(k, len), len, (int)number(s, 3),
        to ? &a : NULL, waits(s));
    k->sent += r > 0 ? (uint32_t)r : 0;
    say_result(s, r);
}

struct received {
    uint8_t *buf;
    size_t len;
    int flags;
    bool wait;
    struct far_addr from;
    uint32_t out_flags;
};

// recvfrom() and what it says of the message beside.
static int receive(const struct sock *k, struct received *r) {
    if (k->net == &net_over_link) {
        return far_recvfrom(the_link(), k->handle, r->buf, r->len,
            (uint32_t)r->flags, &r->from, &r->out_flags, deadline(r->wait));
    }
    struct sockaddr_storage ss = {0};
    struct iovec iov = {r->buf, r->len};
    struct msghdr m = {
        .msg_name = &ss,
        .msg_namelen = sizeof ss,
        .msg_iov = &iov,
        .msg_iovlen = 1,
    };
    int n = k->net->recvmsg(k->handle, &m, r->flags, r->wait);
    if (n >= 0) {
        native_to_far(&r->from, &ss);
        r->out_flags = (uint32_t)m.msg_flags & MSG_TRUNC;
    }
    return n;
}

// recv NAME LENGTH FLAGS wait|nowait
static void step_recv(struct step *s) {
    struct sock *k = sock(s);
    size_t len = strtoull(word(s, 2), NULL, 0);
    uint8_t *buf = room_for(len);
    struct received got = {buf, len, (int)number(s, 3), waits(s), {0}, 0};
    int r = receive(k, &got);
    say_result(s, r);
    if (r >= 0) {
        size_t n = (size_t)r < len ? (size_t)r : len;
        mask(k, buf, n);
        say(s, " %016llx", (unsigned long long)hash_of(HASH_START, buf, n));
        say_addr(s, &got.from);
        say(s, "%s", got.out_flags & MSG_TRUNC ? " cut" : "");
    }
    if (!canary_lives(buf, len)) {
        say(s, " OVERRUN");
    }
}

struct drained {
    uint64_t hash;
    uint32_t bytes;
    uint32_t calls;
    int last;
};

static struct drained drain(struct sock *k, uint32_t most, bool wait) {
    static uint8_t buf[2][70000]; // the helper's and the caller's
    struct drained d = {.hash = HASH_START, .last = 1};
    uint8_t *p = buf[wait];
    bool settled = false;
    while (d.bytes < most && d.calls < 1000) {
        uint32_t want = most - d.bytes < sizeof buf[0]
                            ? most - d.bytes
                            : (uint32_t)sizeof buf[0];
        d.last = k->net->recv(k->handle, p, want, 0, NULL, wait);
        if (d.last == -EAGAIN && !wait && !settled) {
            settle(); // there may be more than the ring holds
            settled = true;
            continue;
        }
        if (d.last < 0 || (d.last == 0 && k->stream)) {
            break;
        }
        settled = false;
        uint8_t mark = (uint8_t)d.last; // where a datagram ends counts
        mask(k, p, (size_t)d.last);
        d.hash = hash_of(d.hash, p, (size_t)d.last);
        d.hash = k->stream ? d.hash : hash_of(d.hash, &mark, 1);
        d.bytes += (uint32_t)d.last;
        d.calls++;
    }
    return d;
}

// drain NAME: everything that is there, and what comes then.
static void step_drain(struct step *s) {
    struct sock *k = sock(s);
    struct drained d = drain(k, UINT32_MAX, false);
    say(s, "%u %016llx ", d.bytes, (unsigned long long)d.hash);
    if (!k->stream) {
        say(s, "in %u ", d.calls);
    }
    say_result(s, d.last);
}

static void step_shutdown(struct step *s) {
    struct sock *k = sock(s);
    say_result(s, k->net->shutdown(k->handle, (int)number(s, 2)));
}

static void step_getsockname(struct step *s) {
    struct sock *k = sock(s);
    struct far_addr a = {0};
    int r = k->net->getsockname(k->handle, &a);
    say_result(s, r);
    if (r >= 0) {
        say_addr(s, &a);
    }
}

static void step_getpeername(struct step *s) {
    struct sock *k = sock(s);
    struct far_addr a = {0};
    int r = k->net->getpeername(k->handle, &a);
    say_result(s, r);
    if (r >= 0) {
        say_addr(s, &a);
    }
}

// setopt NAME LEVEL OPTION BYTES
static void step_setopt(struct step *s) {
    struct sock *k = sock(s);
    uint8_t val[8192];
    size_t len = bytes_of(word(s, 4), val, sizeof val);
    say_result(s, k->net->setopt(k->handle, (int)number(s, 2),
                      (int)number(s, 3), val, len));
}

// getopt NAME LEVEL OPTION ROOM [SHOWN]
static void step_getopt(struct step *s) {
    struct sock *k = sock(s);
    uint8_t val[8192 + CANARY];
    size_t room = (size_t)number(s, 4);
    size_t len = room < sizeof val - CANARY ? room : sizeof val - CANARY;
    size_t shown = s->count > 5 ? (size_t)number(s, 5) : 256;
    memset(val, CANARY_IS, sizeof val);
    int r = k->net->getopt(k->handle, (int)number(s, 2), (int)number(s, 3), val,
        &len);
    say_result(s, r);
    if (r >= 0) {
        say(s, " %zu ", len);
        for (size_t i = 0; i < len && i < shown; i++) {
            say(s, "%02x", val[i]);
        }
    }
    for (size_t i = 0; i < CANARY; i++) {
        if (val[room + i] != CANARY_IS) {
            say(s, " OVERRUN");
            break;
        }
    }
}

// poll TIMEOUT_MS NAME:EVENTS...: all of them the program's, or the peer's.
static void step_poll(struct step *s) {
    struct far_pollfd p[WORDS];
    size_t count = 0;
    const struct net *via = net;
    for (int i = 2; i < s->count; i++) {
        char *colon = strchr(s->words[i], ':');
        uint32_t events = colon ? (uint32_t)strtoul(colon + 1, NULL, 0) : 0;
        if (colon) {
            *colon = 0;
        }
        const struct sock *k = find(s->words[i]);
        via = k->net;
        p[count++] = (struct far_pollfd){k->handle, events, 0};
    }
    say_result(s, via->poll(p, count, (int)number(s, 1)));
    for (size_t i = 0; i < count; i++) {
        say(s, " 0x%x", (unsigned)p[i].revents);
    }
}

struct bulk {
    struct sock *to;
    uint32_t len;
    struct drained got;
};

static void *bulk_taker(void *arg) {
    struct bulk *b = arg;
    b->got = drain(b->to, b->len, true);
    return NULL;
}

// bulk FROM TO LENGTH PART: sends in parts while a thread receives.
static void step_bulk(struct step *s) {
    struct sock *k = sock(s);
    struct bulk b = {.to = find(word(s, 2)), .len = (uint32_t)number(s, 3)};
    uint32_t part = (uint32_t)number(s, 4);
    uint64_t hash = HASH_START;
    uint32_t done = 0;
    int r = 1;
    set_timeouts(k, LONG_MS);
    set_timeouts(b.to, LONG_MS);
    pthread_t t;
    if (pthread_create(&t, NULL, bulk_taker, &b)) {
        abort();
    }
    while (done < b.len && r > 0) {
        uint32_t len = b.len - done < part ? b.len - done : part;
        const uint8_t *p = content(k, len);
        r = k->net->send(k->handle, p, len, 0, NULL, true);
        if (r > 0) {
            hash = hash_of(hash, p, (size_t)r);
            done += (uint32_t)r;
            k->sent += (uint32_t)r;
        }
    }
    pthread_join(t, NULL);
    set_timeouts(k, SHORT_MS);
    set_timeouts(b.to, SHORT_MS);
    say(s, "%u sent ", done);
    say_result(s, r < 0 ? r : 0);
    say(s, ", %u received ", b.got.bytes);
    say_result(s, b.got.last < 0 ? b.got.last : 0);
    say(s, b.got.hash == hash ? " the same" : " DIFFERENT");
}

static void step_settle(struct step *s) {
    settle();
    say(s, "0");
}

#endif
