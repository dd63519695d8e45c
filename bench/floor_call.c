// The least that a round trip and a connection cost over another process that
// serves more than one socket: as floor.c, but who waits for one thing only, in
// a call that blocks, is deaf to the others. So far waits for its doorbell and
// its sockets in one epoll_wait(), and near for its doorbell and far's death.
// SPDX-License-Identifier: MIT
//
//   usage: floor_call trip|connect PORT FAR_CPU SIZE

#include "bench/floor.h"

#include <netinet/tcp.h>
#include <sys/epoll.h>

// What near and far have counted. Who sleeps says so, and is rung up once.
struct shared {
    _Alignas(64) _Atomic uint64_t asked;  // rounds, by near
    _Atomic uint64_t wanted;              // bytes or connections, by near
    _Atomic uint64_t closed;              // connections, by near
    uint64_t count;                       // bytes of the last round
    _Alignas(64) _Atomic uint64_t stands; // connections, by far
    _Atomic uint64_t came;                // bytes, by far
    _Alignas(64) _Atomic bool near_sleeps;
    _Alignas(64) _Atomic bool far_sleeps;
    _Alignas(64) uint8_t out;
    _Alignas(64) uint8_t in;
};

static struct shared *mem;
static int epoll;
static bool trips;

// Edge-triggered, so that bells need no read().
static void watch(int fd, uint32_t events) {
    struct epoll_event ev = {.events = events | EPOLLET, .data.fd = fd};
    ok("epoll", epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev));
}

static void ring_up(_Atomic bool *sleeps, int bell) {
    if (*sleeps) {
        *sleeps = false;
        ring_bell(bell);
    }
}

// --- far ---

static int sock = -1;
static int port;
static uint64_t asked, wanted, closed; // what far has seen
static bool stands, came;              // and told, of this connection

static void command(uint64_t count) {
    struct command c = {'p', count};
    ok("send", send(sock, &c, sizeof c, 0));
}

static void open_trips(void) {
    int on = 1;
    sock = connected(SOCK_STREAM, port, 1);
    ok("option", setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
    watch(sock, EPOLLIN);
}

// As connect.c: an address of its own for each of many. What became of it is
// the first event.
static void begin_connection(void) {
    static uint32_t host;
    host = host % HOSTS + 1u;
    struct sockaddr_in to = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(0x7f000000u | host),
    };
    sock = (int)ok("socket", socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    if (connect(sock, (struct sockaddr *)&to, sizeof to) < 0 &&
        errno != EINPROGRESS) {
        die("connect", strerror(errno));
    }
    stands = came = false;
    watch(sock, EPOLLIN | EPOLLOUT);
}

static void hear_near(void) {
    if (asked != mem->asked) {
        asked = mem->asked;
        if (trips) {
            command(mem->count);
        }
    }
    if (closed != mem->closed) {
        closed++;
        close(sock);
    }
    if (wanted != mem->wanted) {
        wanted++;
        if (trips) {
            ok("send", send(sock, &mem->out, 1, MSG_DONTWAIT));
        } else {
            begin_connection();
        }
    }
}

static void hear_network(uint32_t events) {
    if (events & (EPOLLERR | EPOLLHUP)) {
        die("connection", "it has ended");
    }
    if (!trips && !stands) {
        stands = true;
        mem->stands++;
    }
    if ((events & EPOLLIN) && !came) {
        ok("recv", recv(sock, &mem->in, 1, MSG_DONTWAIT));
        came = !trips; // then what is readable is the end
        mem->came++;
    }
    ring_up(&mem->near_sleeps, near_bell);
}

static bool heard_all(void) {
    return asked == mem->asked && wanted == mem->wanted &&
           closed == mem->closed;
}

static void run_far(int cpu) {
    struct epoll_event ev[2];
    become_far(cpu);
    give_way(); // one sleep less on each way
    epoll = (int)ok("epoll", epoll_create1(0));
    watch(far_bell, EPOLLIN);
    if (trips) {
        open_trips();
    }
    for (;;) {
        mem->far_sleeps = true;
        // Less than 0 if a debugger has stopped it.
        int n = heard_all() ? epoll_wait(epoll, ev, 2, -1) : 0;
        mem->far_sleeps = false;
        for (int i = 0; i < n; i++) {
            if (ev[i].data.fd != far_bell) {
                hear_network(ev[i].events);
            }
        }
        hear_near();
    }
}

// --- near ---

static void near_waits(const _Atomic uint64_t *word, uint64_t until, int far) {
    struct epoll_event ev[2];
    while (*word < until) {
        mem->near_sleeps = true;
        // cppcheck-suppress identicalInnerCondition // far may write it
        int n = *word < until ? epoll_wait(epoll, ev, 2, -1) : 0;
        mem->near_sleeps = false;
        for (int i = 0; i < n; i++) {
            if (ev[i].data.fd == far) {
                die("far", "has died");
            }
        }
    }
}

static void want(void) {
    mem->wanted++;
    ring_up(&mem->far_sleeps, far_bell);
}

static void near_connection(int far) {
    static uint64_t n;
    n++;
    want();
    near_waits(&mem->stands, n, far);
    near_waits(&mem->came, n, far);
    mem->closed++;
    ring_up(&mem->far_sleeps, far_bell);
}

static void near_trip(int far) {
    static uint64_t n;
    want();
    near_waits(&mem->came, ++n, far);
}

static void near_round(uint64_t count, int far) {
    static struct times times;
    memset(&times, 0, sizeof times);
    mem->count = count;
    mem->asked++;
    ring_up(&mem->far_sleeps, far_bell);
    uint64_t start = now_ns();
    uint64_t now = start;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t from = now;
        trips ? near_trip(far) : near_connection(far);
        now = now_ns();
        times_add(&times, now - from);
    }
    tell(now - start, count, 0, &times);
}

int main(int argc, char **argv) {
    int ends[2]; // of a connection whose hang-up is the other side's death
    trips = argc > 1 && argv[1][0] == 't';
    port = (int)number(argc, argv, 2);
    int cpu = (int)number(argc, argv, 3);
    mem = shared_memory(sizeof *mem);
    ok("socketpair", socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends));
    pid_t far = (pid_t)ok("fork", fork());
    if (far == 0) {
        close(ends[0]);
        run_far(cpu);
    }
    close(ends[1]);
    epoll = (int)ok("epoll", epoll_create1(0));
    watch(near_bell, EPOLLIN);
    watch(ends[0], EPOLLRDHUP);
    printf("ready %d\n", (int)far);
    fflush(stdout);
    for (uint64_t n = 0; (n = next_round());) {
        near_round(n, ends[0]);
    }
    kill(far, SIGKILL);
    return 0;
}
