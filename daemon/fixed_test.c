// A link on memory that stays: both sides live, die and come back on it.
// SPDX-License-Identifier: MIT
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "daemon/clock.h"
#include "daemon/core.h"
#include "daemon/fixed.h"
#include "farsock/farsock.h"
#include "farsock/mem.h"
#include "ports/posix/map.h"
#include "unit.h"

#define BYTES     (1u << 20)
#define NEAR_BELL 7u

// In what tests share: counted here, and looked at by each of them.
static int failures;
#define EXPECT(expr)                                                           \
    do {                                                                       \
        if (!(expr)) {                                                         \
            printf("# %s:%d: %s\n", __FILE__, __LINE__, #expr);                \
            failures++;                                                        \
        }                                                                      \
    } while (0)
#define EXPECT_EQ(a, b)                                                        \
    do {                                                                       \
        long long x_ = (long long)(a);                                         \
        long long y_ = (long long)(b);                                         \
        if (x_ != y_) {                                                        \
            printf("# %s:%d: %lld, not %lld\n", __FILE__, __LINE__, x_, y_);   \
            failures++;                                                        \
        }                                                                      \
    } while (0)

static struct {
    int memfd;
    uint8_t *mem; // as far maps it
    uint8_t *near_mem;
    int to_far, to_near;
    struct engine *engine;
    struct fixed *fixed;
    pthread_t thread;
    struct far_join join;
    struct far_link *link;
    void *link_mem;
    uint32_t wants;
    // Doorbells that get lost from now on, each way.
    _Atomic uint32_t lose_to_far, lose_to_near;
} t;

// --- Near ---

static uint64_t now(void *ctx) {
    (void)ctx;
    return clock_ns();
}

static void ring(int fd) {
    uint64_t one = 1;
    ssize_t n = write(fd, &one, sizeof one);
    (void)n;
}

static bool is_lost(_Atomic uint32_t *left) {
    uint32_t n = atomic_load(left);
    while (n != 0 && !atomic_compare_exchange_weak(left, &n, n - 1u)) {
    }
    return n != 0;
}

static void notify(void *ctx) {
    (void)ctx;
    if (!is_lost(&t.lose_to_far)) {
        ring(t.to_far);
    }
}

static void wake(void *ctx) {
    (void)ctx;
    ring(t.to_near);
}

static int wait(void *ctx, uint64_t deadline_ns) {
    (void)ctx;
    struct pollfd p = {t.to_near, POLLIN, 0};
    uint64_t at = clock_ns();
    int ms = deadline_ns == UINT64_MAX ? 10000
             : deadline_ns <= at       ? 0
                                 : (int)((deadline_ns - at) / 1000000u) + 1;
    int n = poll(&p, 1, ms);
    uint64_t count;
    if (n > 0) {
        ssize_t got = read(t.to_near, &count, sizeof count);
        (void)got;
        if (is_lost(&t.lose_to_near)) {
            return wait(ctx, deadline_ns);
        }
    }
    if (t.link != NULL && !far_join_holds(&t.join)) {
        return FAR_ELINKDOWN;
    }
    return n > 0 ? FAR_OK : FAR_ETIMEDOUT;
}

static const struct far_port port = {
    .now_ns = now,
    .notify = notify,
    .wait = wait,
    .wake = wake,
};

// Of a core whose doorbells may get lost.
static const struct far_port unreliable = {
    .now_ns = now,
    .notify = notify,
    .wait = wait,
    .wake = wake,
    .rescue_ms = FAR_RESCUE_MS,
};

// A reset: what near's caches held is gone.
static void near_reset(void) {
    if (t.near_mem != NULL) {
        far_unmap(t.near_mem, BYTES);
    }
    t.near_mem = far_map(t.memfd, BYTES, BYTES / 2, true);
}

static void near_begin(void) {
    t.join = (struct far_join){
        .region = t.near_mem,
        .region_bytes = BYTES,
        .bell = NEAR_BELL,
        .wants = t.wants,
        .port = t.wants & FAR_FEATURE_RESCUE ? &unreliable : &port,
    };
    far_join_begin(&t.join);
}

// Of an earlier life nothing may be left: generations begin anew.
static void expect_empty_lines(void) {
    const uint8_t *lines =
        t.near_mem + (size_t)t.join.layout.far_socks * FAR_LINE;
    size_t bytes = (size_t)t.join.layout.sockets * FAR_LINE;
    FAR_INV(FAR_AT_COUNT, lines, bytes);
    for (size_t i = 0; i < bytes; i += sizeof(uint32_t)) {
        EXPECT_EQ(far_load((const uint32_t *)(const void *)(lines + i)), 0);
    }
}

// True once the link is up; as long as some seconds are not over.
static bool near_up(void) {
    near_reset();
    free(t.link_mem);
    t.link = NULL;
    near_begin();
    for (int i = 0; i < 1000; i++) {
        int err = far_join_step(&t.join);
        if (err == FAR_OK) {
            expect_empty_lines();
            t.link_mem = malloc(far_link_size(&t.join.layout));
            t.link = far_link_init_joined(t.link_mem, &t.join, &err);
            return t.link != NULL;
        }
        if (err != FAR_EAGAIN) {
            return false;
        }
        wait(NULL, clock_ns() + 10000000u);
    }
    return false;
}

// --- Far ---

static int bell_to_near(void *arg, uint32_t bell) {
    (void)arg;
    return bell == NEAR_BELL ? t.to_near : -1;
}

static void *run(void *arg) {
    (void)arg;
    engine_run(t.engine);
    return NULL;
}

// What far's caches held is gone, as in another process.
static void far_reset(void) {
    if (t.mem != NULL) {
        far_unmap(t.mem, BYTES);
    }
    t.mem = far_map(t.memfd, BYTES, BYTES / 2, false);
}

static void far_up(void) {
    far_reset();
    struct engine_config ec = {.resolver_threads = 1};
    t.engine = engine_new(&ec);
    struct fixed_spec spec = {
        .engine = t.engine,
        .region = t.mem,
        .bytes = BYTES,
        .sockets = 16,
        .tags = 4,
        .bell = 3,
        .bell_from_near = t.to_far,
        .name = "test",
        .bell_to_near = bell_to_near,
    };
    t.fixed = fixed_new(&spec);
    EXPECT(t.fixed != NULL);
    pthread_create(&t.thread, NULL, run, NULL);
}

static void far_down(bool politely) {
    engine_stop(t.engine);
    pthread_join(t.thread, NULL);
    struct far_part_header *h = (void *)(t.mem + BYTES / 2);
    uint32_t ready = far_load(&h->ready);
    fixed_stop(t.fixed);
    engine_free(t.engine);
    fixed_free(t.fixed);
    if (!politely) { // as a killed one leaves it
        far_store(&h->ready, ready);
        FAR_CLEAN(FAR_AT_COUNT, h, sizeof *h);
        FAR_SYNC(FAR_AT_COUNT);
    }
}

static void memory_up(void) {
    t.memfd = memfd_create("fixed", MFD_CLOEXEC);
    int err = ftruncate(t.memfd, (off_t)far_map_file_bytes(BYTES));
    EXPECT_EQ(err, 0);
    far_reset(); // first, as the emulator wants it
    near_reset();
    t.to_far = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    t.to_near = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}

static void memory_down(void) {
    far_unmap(t.mem, BYTES);
    far_unmap(t.near_mem, BYTES);
    t.mem = t.near_mem = NULL;
    close(t.memfd);
    close(t.to_far);
    close(t.to_near);
    free(t.link_mem);
    t.link_mem = NULL;
    t.link = NULL;
}

// --- A peer on the network ---

static int listener(uint16_t *at) {
    struct sockaddr_in sa = {.sin_family = AF_INET};
    socklen_t len = sizeof sa;
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT(bind(fd, (struct sockaddr *)&sa, len) == 0 && listen(fd, 4) == 0);
    getsockname(fd, (struct sockaddr *)&sa, &len);
    *at = ntohs(sa.sin_port);
    return fd;
}

static int near_connect(uint16_t at) {
    struct far_addr to = {
        .family = FAR_AF_INET, .port = at, .ip = {127, 0, 0, 1}};
    int s = far_socket(t.link, FAR_AF_INET, FAR_SOCK_STREAM, 0);
    EXPECT(s >= 0);
    EXPECT_EQ(far_connect(t.link, s, &to, FAR_FOREVER), FAR_OK);
    return s;
}

// The next so many doorbells to each side are lost, once there is a socket:
// without one only near looks again.
static void echo_losing(uint32_t to_far, uint32_t to_near) {
    uint16_t at;
    int l = listener(&at);
    int s = near_connect(at);
    t.lose_to_far = to_far;
    t.lose_to_near = to_near;
    int peer = accept(l, NULL, NULL);
    char buf[5];
    EXPECT_EQ(far_sendto(t.link, s, "hello", 5, 0, NULL, FAR_FOREVER), 5);
    EXPECT_EQ(recv(peer, buf, 5, MSG_WAITALL), 5);
    EXPECT_EQ(send(peer, buf, 5, 0), 5);
    EXPECT_EQ(far_recvfrom(t.link, s, buf, 5, FAR_MSG_WAITALL, NULL, NULL,
                  FAR_FOREVER),
        5);
    EXPECT(memcmp(buf, "hello", 5) == 0);
    EXPECT_EQ(far_close(t.link, s, FAR_FOREVER), FAR_OK);
    close(peer);
    close(l);
}

static void echo_once(void) {
    echo_losing(0, 0);
}

TEST(either_side_may_come_first) {
    memory_up();
    far_up();
    CHECK(near_up());
    echo_once();
    far_down(true);
    memory_down();

    memory_up();
    near_begin();
    CHECK_EQ(far_join_step(&t.join), FAR_EAGAIN);
    far_up();
    CHECK(near_up());
    echo_once();
    far_down(true);
    memory_down();
    CHECK_EQ(failures, 0);
}

// Nobody heard near: its doorbell was rung when no far core was there. Far
// rings when it comes, and nothing else ends near's sleep.
TEST(near_that_waits_for_far_is_rung) {
    uint64_t count;
    memory_up();
    for (int life = 0; life < 5; life++) {
        near_reset();
        near_begin();
        CHECK_EQ(read(t.to_far, &count, sizeof count), sizeof count);
        ssize_t n = read(t.to_near, &count, sizeof count);
        (void)n;
        far_up();
        struct pollfd p = {t.to_near, POLLIN, 0};
        CHECK_EQ(poll(&p, 1, 20000), 1);
        far_down(true);
    }
    memory_down();
    CHECK_EQ(failures, 0);
}

// What it had written arrives, then the end of the connection.
TEST(near_is_reborn_in_the_middle_of_a_write) {
    static uint8_t out[8000];
    uint16_t at;
    memory_up();
    far_up();
    CHECK(near_up());
    for (int life = 0; life < 20; life++) {
        int l = listener(&at);
        int s = near_connect(at);
        int peer = accept(l, NULL, NULL);
        memset(out, life, sizeof out);
        CHECK_EQ(far_sendto(t.link, s, out, sizeof out, 0, NULL, FAR_FOREVER),
            sizeof out);
        CHECK(near_up()); // without a word to the old link
        size_t got = 0;
        uint8_t in[1000];
        ssize_t n;
        while ((n = recv(peer, in, sizeof in, 0)) > 0) {
            for (ssize_t i = 0; i < n; i++) {
                CHECK_EQ(in[i], life);
            }
            got += (size_t)n;
        }
        CHECK_EQ(got, sizeof out);
        CHECK_EQ(n, 0);
        echo_once();
        close(peer);
        close(l);
    }
    far_down(true);
    memory_down();
    CHECK_EQ(failures, 0);
}

static void far_is_reborn(bool politely) {
    memory_up();
    far_up();
    EXPECT(near_up());
    for (int life = 0; life < 10; life++) {
        uint16_t at;
        int l = listener(&at);
        int s = near_connect(at);
        far_down(politely);
        far_up();
        char c;
        EXPECT_EQ(far_recvfrom(t.link, s, &c, 1, 0, NULL, NULL, FAR_FOREVER),
            FAR_ECONNRESET);
        EXPECT_EQ(far_recvfrom(t.link, s, &c, 1, 0, NULL, NULL, FAR_FOREVER),
            0);
        EXPECT_EQ(far_socket(t.link, FAR_AF_INET, FAR_SOCK_STREAM, 0),
            FAR_ENETDOWN);
        EXPECT(near_up());
        echo_once();
        close(l);
    }
    far_down(true);
    memory_down();
}

TEST(far_ends_and_comes_back) {
    far_is_reborn(true);
    CHECK_EQ(failures, 0);
}

TEST(far_is_killed_and_comes_back) {
    far_is_reborn(false);
    CHECK_EQ(failures, 0);
}

// Near must not be served again for what a dead one has left in its header.
TEST(near_that_died_is_not_served) {
    memory_up();
    far_up();
    CHECK(near_up());
    echo_once();
    engine_stop(t.engine);
    pthread_join(t.thread, NULL);
    fixed_near_gone(t.fixed);
    t.engine->stop = false;
    pthread_create(&t.thread, NULL, run, NULL);
    for (int i = 0; i < 1000 && far_join_holds(&t.join); i++) {
        wait(NULL, clock_ns() + 10000000u);
    }
    CHECK(!far_join_holds(&t.join));
    notify(NULL);
    notify(NULL);
    CHECK(near_up());
    echo_once();
    far_down(true);
    memory_down();
    CHECK_EQ(failures, 0);
}

// --- Where nobody reports a death, and doorbells get lost ---

static void memory_and_links(uint32_t wants) {
    memory_up();
    far_up();
    t.wants = wants;
    EXPECT(near_up());
    t.wants = 0;
    EXPECT_EQ(t.join.features, wants);
}

static void all_down(void) {
    far_down(true);
    memory_down();
}

TEST(features_are_those_that_near_wants_and_far_has) {
    memory_and_links(0);
    all_down();
    memory_and_links(FAR_FEATURE_RESCUE | FAR_FEATURE_BEAT);
    all_down();
    memory_up();
    far_up();
    t.wants = 0xffffffffu;
    CHECK(near_up());
    CHECK_EQ(t.join.features, FAR_FEATURE_RESCUE | FAR_FEATURE_BEAT);
    t.wants = 0;
    all_down();
    CHECK_EQ(failures, 0);
}

#define HALF_NS (FAR_SILENT_MS * UINT64_C(500000))

// How long it has not beaten at most: this machine may stand still.
static uint64_t beat_for(uint64_t ns) {
    uint64_t begun = clock_ns();
    uint64_t last = begun;
    uint64_t longest = 0;
    while (last - begun < ns) {
        far_link_beat(t.link);
        poll(NULL, 0, FAR_BEAT_MS / 4);
        uint64_t at_ns = clock_ns();
        longest = at_ns - last > longest ? at_ns - last : longest;
        last = at_ns;
    }
    return longest;
}

// A near core lives as long as it beats. When it stops for good, its peers get
// what it had sent, and the end. False: the machine stood still, and near may
// have been dead before.
static bool life_of_beats(void) {
    static uint8_t out[5000];
    uint8_t in[5000];
    uint16_t at;
    memory_and_links(FAR_FEATURE_BEAT);
    int l = listener(&at);
    int s = near_connect(at);
    int peer = accept(l, NULL, NULL);
    struct timeval patience = {.tv_sec = 20};
    setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    uint64_t longest = beat_for(FAR_SILENT_MS * UINT64_C(1500000));
    uint64_t begun = clock_ns();
    bool held = far_join_holds(&t.join);
    int32_t n = far_sendto(t.link, s, out, sizeof out, 0, NULL, FAR_FOREVER);
    ssize_t got = recv(peer, in, sizeof in, MSG_WAITALL);
    bool still = clock_ns() - begun > HALF_NS || longest > HALF_NS;
    ssize_t end = recv(peer, in, sizeof in, 0); // far ends it, nobody else
    if (!still) {
        EXPECT(held);
        EXPECT_EQ(n, sizeof out);
        EXPECT_EQ(got, sizeof in);
        EXPECT_EQ(end, 0);
    }
    // It says so to near after that.
    for (int i = 0; i < 2000 && far_join_holds(&t.join); i++) {
        poll(NULL, 0, 10);
    }
    EXPECT(!far_join_holds(&t.join));
    EXPECT(near_up()); // and serves its next life
    echo_once();
    close(peer);
    close(l);
    all_down();
    return !still;
}

TEST(near_that_is_silent_is_dead) {
    bool seen = false;
    for (int i = 0; i < 10 && !seen; i++) {
        seen = life_of_beats();
    }
    CHECK(seen);
    CHECK_EQ(failures, 0);
}

// Far's death, where neither a kernel nor anybody else writes it down.
TEST(far_that_is_silent_is_dead) {
    uint16_t at;
    char c;
    memory_and_links(FAR_FEATURE_BEAT);
    int l = listener(&at);
    int s = near_connect(at);
    engine_stop(t.engine);
    ring(t.to_far);
    pthread_join(t.thread, NULL);
    while (far_link_beat(t.link)) {
        poll(NULL, 0, FAR_BEAT_MS / 2);
    }
    CHECK(far_join_holds(&t.join));
    CHECK_EQ(far_recvfrom(t.link, s, &c, 1, 0, NULL, NULL, FAR_FOREVER),
        FAR_ECONNRESET);
    t.engine->stop = false;
    pthread_create(&t.thread, NULL, run, NULL);
    close(l);
    all_down();
    CHECK_EQ(failures, 0);
}

TEST(lost_doorbells_are_rescued) {
    struct far_counters near;
    struct far_counters far;
    memory_and_links(FAR_FEATURE_RESCUE);
    // Not each that is lost was needed: another may follow.
    bool both = false;
    for (uint32_t i = 0; i < 200 && !both; i++) {
        echo_losing(1u - i % 2u, i % 2u);
        far_link_counters(t.link, &near, &far);
        both = near.rescues != 0 && far.rescues != 0;
    }
    CHECK(both);
    all_down();
    CHECK_EQ(failures, 0);
}

// Far may begin anew at any time: it writes the same line, as in another
// process.
__attribute__((no_sanitize("thread"))) static void set_version(uint32_t v) {
    volatile struct far_part_header *h = (void *)(t.mem + BYTES / 2);
    h->version = v;
    FAR_CLEAN(FAR_AT_COUNT, t.mem + BYTES / 2, sizeof *h);
    FAR_SYNC(FAR_AT_COUNT);
}

TEST(another_version_is_refused) {
    memory_up();
    far_up();
    set_version(FAR_WIRE_VERSION + 1);
    near_begin();
    CHECK_EQ(far_join_step(&t.join), FAR_ELINKPROTO);
    set_version(FAR_WIRE_VERSION);
    CHECK(near_up());
    far_down(true);
    memory_down();
    CHECK_EQ(failures, 0);
}

TEST(a_layout_that_lies_is_refused) {
    memory_up();
    far_up();
    struct far_far_ctl *ctl = (void *)(t.mem + BYTES / 2);
    ctl->layout.far_at -= FAR_PAGE_LINES;
    FAR_CLEAN(FAR_AT_COUNT, ctl, sizeof *ctl);
    FAR_SYNC(FAR_AT_COUNT);
    near_begin();
    int err = FAR_EAGAIN;
    for (int i = 0; i < 1000 && err == FAR_EAGAIN; i++) {
        err = far_join_step(&t.join);
        wait(NULL, clock_ns() + 10000000u);
    }
    CHECK_EQ(err, FAR_EBADMSG);
    far_down(true);
    memory_down();
    CHECK_EQ(failures, 0);
}

int main(void) {
    static const struct test_case cases[] = {
        CASE(either_side_may_come_first),
        CASE(near_that_waits_for_far_is_rung),
        CASE(near_is_reborn_in_the_middle_of_a_write),
        CASE(far_ends_and_comes_back),
        CASE(far_is_killed_and_comes_back),
        CASE(near_that_died_is_not_served),
        CASE(features_are_those_that_near_wants_and_far_has),
        CASE(near_that_is_silent_is_dead),
        CASE(far_that_is_silent_is_dead),
        CASE(lost_doorbells_are_rescued),
        CASE(another_version_is_refused),
        CASE(a_layout_that_lies_is_refused),
    };
    return RUN_TESTS(cases);
}
