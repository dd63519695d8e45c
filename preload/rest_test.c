// What is left of a receive when another thread forks as it looks.
// SPDX-License-Identifier: MIT
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "preload/preload.h"
#include "unit.h"

#define PAGE 65536u // or several

// The thread that asks is stopped where it first looks at the socket: that is
// in memory which it cannot read then.
static struct psock *stream;
static struct plink no_link;
static int token[2];
static sem_t forks, goes, gone;

// As fork.c does it, of a socket that has moved.
static void *fork_it(void *arg) {
    struct carried *c = calloc(1, sizeof *c);
    (void)arg;
    sharing_lock();
    sem_post(&forks);
    sem_wait(&goes);
    if (c) {
        carried_set(token[0], c);
    }
    table_drop(token[0], false);
    sharing_unlock();
    sem_post(&gone);
    return NULL;
}

// The other thread takes the socket away now, or as soon as it is let.
static void looked(int sig) {
    (void)sig;
    mprotect(stream, PAGE, PROT_READ | PROT_WRITE);
    sem_post(&goes);
    if (fari_held.depth == 0) {
        sem_wait(&gone);
        sem_post(&gone);
    }
}

static bool begin(pthread_t *forker) {
    stream = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stream == MAP_FAILED ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, token) < 0 ||
        write(token[1], "the rest", 8) != 8) {
        return false;
    }
    // Of a link's: one that it has not any more.
    stream->kind = PSOCK_FAR;
    stream->link = &no_link;
    stream->handle = -1;
    table_set(token[0], stream);
    sem_init(&forks, 0, 0);
    sem_init(&goes, 0, 0);
    sem_init(&gone, 0, 0);
    struct sigaction act = {.sa_handler = looked};
    if (real()->sigaction(SIGSEGV, &act, NULL) < 0 ||
        pthread_create(forker, NULL, fork_it, NULL) != 0) {
        return false;
    }
    sem_wait(&forks);
    return mprotect(stream, PAGE, PROT_NONE) == 0;
}

TEST(what_is_left_comes_the_new_way_whenever_it_moves) {
    char buf[12] = "part";
    pthread_t forker;
    CHECK(begin(&forker));
    CHECK_EQ(recv_rest(token[0], buf, sizeof buf, MSG_WAITALL, 4), 12);
    pthread_join(forker, NULL);
    CHECK_EQ(memcmp(buf, "partthe rest", sizeof buf), 0);
    CHECK(!psock_at(token[0]));
    CHECK_EQ(stream->kind, PSOCK_FREE);
}

int main(void) {
    static const struct test_case cases[] = {
        CASE(what_is_left_comes_the_new_way_whenever_it_moves),
    };
    return RUN_TESTS(cases);
}
