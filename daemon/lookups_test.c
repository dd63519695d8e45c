// Lookups that hang, whose askers do not wait: others' are answered.
// SPDX-License-Identifier: MIT
#include <dirent.h>
#include <netdb.h>
#include <semaphore.h>

#include "daemon/ids.h"
#include "daemon/rig_test.h"

#define FLOOD   1000
#define LIVES   8
#define TAGS    8u
#define THREADS 4u // as many as there are if nobody says how many
#define SPARE   8u
#define USERS   5u

static struct rig rude, honest;

// --- A name server that never answers ---

static struct {
    pthread_mutex_t lock;
    pthread_cond_t opened;
    bool open;
    unsigned hanging;
} server = {
    .lock = PTHREAD_MUTEX_INITIALIZER, .opened = PTHREAD_COND_INITIALIZER};

// The parameters' names are the C library's.
int getaddrinfo(const char *restrict name, const char *restrict service,
    const struct addrinfo *restrict req, struct addrinfo **restrict pai) {
    (void)service;
    (void)req;
    *pai = NULL;
    if (strcmp(name, "hangs") != 0) {
        return EAI_NONAME;
    }
    pthread_mutex_lock(&server.lock);
    server.hanging++;
    while (!server.open) {
        pthread_cond_wait(&server.opened, &server.lock);
    }
    server.hanging--;
    pthread_mutex_unlock(&server.lock);
    return EAI_AGAIN;
}

static unsigned hanging(void) {
    pthread_mutex_lock(&server.lock);
    unsigned n = server.hanging;
    pthread_mutex_unlock(&server.lock);
    return n;
}

static void set_open(bool open) {
    pthread_mutex_lock(&server.lock);
    server.open = open;
    pthread_cond_broadcast(&server.opened);
    pthread_mutex_unlock(&server.lock);
}

// --- A thread that is late ---

static struct {
    bool on;
    pthread_t loop;
    sem_t idle;   // the thread waits for work
    sem_t let_go; // the loop waits for it, without an end
} late;

// In place of the C library's. A thread that was woken gets the processor when
// the loop waits for it, or has given up.
int pthread_cond_wait(pthread_cond_t *restrict cond,
    pthread_mutex_t *restrict mutex) {
    const struct timespec never = {.tv_sec = INT32_MAX};
    bool is_late = late.on && !pthread_equal(pthread_self(), late.loop);
    if (late.on) {
        sem_post(is_late ? &late.idle : &late.let_go);
    }
    int err = pthread_cond_timedwait(cond, mutex, &never);
    if (is_late) {
        pthread_mutex_unlock(mutex);
        sem_wait(&late.let_go);
        pthread_mutex_lock(mutex);
    }
    return err;
}

static unsigned descriptors(void) {
    unsigned n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (d && readdir(d)) {
        n++;
    }
    if (d) {
        closedir(d);
    }
    return n;
}

TEST(a_stop_waits_for_a_thread_that_only_comes_late) {
    const struct engine_config config = {.resolver_threads = 1};
    unsigned before = descriptors();
    sem_init(&late.idle, 0, 0);
    sem_init(&late.let_go, 0, 0);
    late.loop = pthread_self();
    late.on = true;
    struct engine *e = engine_new(&config);
    CHECK(e);
    sem_wait(&late.idle);
    engine_free(e);
    sem_post(&late.let_go); // in vain, unless the loop did not wait
    late.on = false;
    CHECK_EQ(descriptors(), before);
}

// --- Near cores ---

static void turn(void) {
    engine_turn(rude.engine, false);
}

static void ask(struct rig *r, uint32_t tag, const char *host) {
    struct {
        struct far_req_getaddrinfo req;
        char host[16];
    } m = {
        .req =
            {
                .host_len = (uint16_t)strlen(host),
                .service_len = FAR_NO_STRING,
            },
    };
    memcpy(m.host, host, m.req.host_len);
    rig_put(r, FAR_OP_GETADDRINFO, tag, 0, &m, sizeof m.req + m.req.host_len);
}

static int32_t answer(struct rig *r, uint32_t tag) {
    for (int i = 0; i < PATIENCE_MS; i++) {
        turn();
        struct far_msg m;
        while (rig_get(r, &m, 0)) {
            if (m.op == FAR_OP_REPLY && m.tag == tag) {
                return r->result;
            }
        }
        rig_pause();
    }
    return NO_REPLY;
}

static bool honest_is_answered(void) {
    ask(&honest, 1, "is.not.there");
    return answer(&honest, 1) == FAR_EAI_NONAME;
}

// Waits until so many lookups hang, and a while longer for one too many.
static void let_hang(unsigned n) {
    for (int i = 0; i < PATIENCE_MS && hanging() < n; i++) {
        turn();
        rig_pause();
    }
    for (int i = 0; i < 20 && hanging() <= n; i++) {
        turn();
        rig_pause();
    }
}

static unsigned least(unsigned a, unsigned b) {
    return a < b ? a : b;
}

static void over(void) {
    set_open(true);
    for (int i = 0; i < PATIENCE_MS && hanging() > 0; i++) {
        rig_pause();
    }
    engine_free(rude.engine);
    rig_free(&rude);
    rig_free(&honest);
    set_open(false);
}

TEST(a_link_that_asks_and_cancels_keeps_nobody_waiting) {
    rig_prepare(&rude, (struct rig_options){0});
    rig_prepare(&honest, (struct rig_options){.engine = rude.engine});
    for (int i = 0; i < FLOOD; i++) {
        uint32_t tag = 1u + (uint32_t)i % TAGS;
        ask(&rude, tag, "hangs");
        if (i < LIVES) {
            let_hang(least(hanging() + 1u, THREADS / 2u));
        }
        rig_put(&rude, FAR_OP_CANCEL, tag, 0, NULL, 0);
        CHECK_EQ(answer(&rude, tag), FAR_EAI_SYSTEM);
        if (i % 100 == 0) {
            CHECK(honest_is_answered());
        }
    }
    CHECK_EQ(hanging(), THREADS / 2u);
    over();
}

// The next life of a near core that asks for as much as it can and dies: until
// so many lookups hang.
static bool live(struct rig_options o, unsigned hang) {
    struct rig *r = calloc(1, sizeof *r);
    if (!r) {
        return false;
    }
    rig_prepare(r, o);
    for (uint32_t tag = 1; tag <= TAGS / 2u; tag++) {
        ask(r, tag, "hangs");
    }
    let_hang(hang);
    rig_hang_up(r);
    for (int ms = 0; ms < PATIENCE_MS && !r->gone; ms++) {
        turn();
        rig_pause();
    }
    bool gone = r->gone;
    rig_free(r);
    free(r);
    return gone;
}

// Many lives, each with a name of its own or all with one. So many hang then.
static void come_and_go(struct test_result *result_, struct rig_options o,
    bool renamed, unsigned most) {
    char name[16] = "again";
    o.engine = rude.engine;
    o.name = name;
    for (int i = 0; i < LIVES; i++) {
        name[0] = (char)('a' + (renamed ? i : 0));
        CHECK(live(o, least(hanging() + 1u, most)));
        CHECK(honest_is_answered());
    }
    CHECK_EQ(hanging(), most);
}

static void begin(struct rig_options o, uid_t honest_uid) {
    rig_prepare(&rude, o);
    rig_prepare(&honest, (struct rig_options){
                             .engine = rude.engine,
                             .uid = honest_uid,
                             .name = "honest",
                         });
}

TEST(a_user_whose_links_come_and_go_keeps_no_other_waiting) {
    const struct rig_options o = {.uid = 8};
    begin(o, 9);
    come_and_go(result_, o, true, THREADS - 1u);
    over();
}

TEST(a_link_that_comes_and_goes_keeps_no_other_of_its_user_waiting) {
    const struct rig_options o = {.uid = 8, .spare_lookups = SPARE};
    begin(o, 8);
    come_and_go(result_, o, false, THREADS - 1u);
    over();
}

TEST(a_link_without_a_user_is_known_by_its_name) {
    const struct rig_options o = {.uid = IDS_NONE, .name = "a"};
    begin(o, IDS_NONE);
    come_and_go(result_, o, false, THREADS - 1u);
    over();
}

// So do those of one user whose names are all different.
TEST(several_users_whose_links_come_and_go_keep_no_other_waiting) {
    struct rig_options o = {.uid = 20, .spare_lookups = SPARE};
    begin(o, 9);
    come_and_go(result_, o, true, THREADS + SPARE / 2u);
    o.engine = rude.engine;
    for (unsigned i = 1; i < USERS - 1u; i++) {
        o.uid++;
        CHECK(live(o, THREADS + SPARE / 2u + i));
        CHECK(live(o, THREADS + SPARE / 2u + i));
        CHECK(honest_is_answered());
    }
    CHECK_EQ(hanging(), THREADS + SPARE - 1u);
    over();
}

int main(void) {
    static const struct test_case cases[] = {
        CASE(a_stop_waits_for_a_thread_that_only_comes_late),
        CASE(a_link_that_asks_and_cancels_keeps_nobody_waiting),
        CASE(a_user_whose_links_come_and_go_keeps_no_other_waiting),
        CASE(a_link_that_comes_and_goes_keeps_no_other_of_its_user_waiting),
        CASE(a_link_without_a_user_is_known_by_its_name),
        CASE(several_users_whose_links_come_and_go_keep_no_other_waiting),
    };
    return RUN_TESTS(cases);
}
