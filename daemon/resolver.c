// Name lookups: the far core's own resolver, in a few threads.
// SPDX-License-Identifier: MIT
#include "daemon/core.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sys/eventfd.h>

#include "daemon/gate.h"
#include "daemon/ids.h"
#include "daemon/translate.h"
#include "farsock/proto.h"

#define ANSWER_MAX 65536u // bytes of one answer
#define QUIT_MS    200    // how long a stop waits for lookups at work
#define THREADS    72u    // at most

// One lookup. The loop owns link and tag; a thread that works on it sees only
// the question and writes only the answer.
struct lookup {
    struct node node;  // in queue or done; alone while a thread works on it
    struct link *link; // NULL: nobody waits any more
    uint32_t tag;
    // For the threads, who never follow link.
    uint32_t link_id;
    uid_t uid;
    char name[64]; // of the link
    bool queued;
    bool left; // its link is gone
    uint8_t op;
    union {
        struct far_req_getaddrinfo gai;
        struct far_req_getnameinfo gni;
    } req;
    char strings[FAR_RECORD_MAX]; // host, service; each ends in NUL
    const char *host, *service;   // NULL: not given
    int32_t result;               // far_eai
    uint8_t *answer;
    uint32_t len;
};

struct resolver {
    struct watch watch;
    struct engine *engine;
    int done_fd; // eventfd
    pthread_mutex_t lock;
    pthread_cond_t work, left;
    struct node queue, done;
    unsigned threads, spare; // spare ones among them
    pthread_t id[THREADS];   // of those that were started
    unsigned started;
    struct lookup *working[THREADS]; // what each thread works on, NULL: idle
    bool quit;
};

// --- In a thread ---

// What the answer is if the system failed: 4 bytes, a far_err.
static void answer_system(struct lookup *k, int32_t err) {
    k->result = FAR_EAI_SYSTEM;
    uint32_t len = sizeof err;
    k->answer = calloc(1, len);
    if (k->answer) {
        memcpy(k->answer, &err, len);
        k->len = len;
    }
}

static void answer_failed(struct lookup *k, int eai) {
    if (eai == EAI_SYSTEM) {
        answer_system(k, far_errno(errno));
    } else {
        k->result = far_eai_of(eai);
    }
}

static bool is_ours(const struct addrinfo *ai) {
    return ai->ai_family == AF_INET || ai->ai_family == AF_INET6;
}

static void put_entries(uint8_t *at, const struct addrinfo *ai, uint32_t most) {
    for (uint32_t n = 0; ai && n < most; ai = ai->ai_next) {
        if (!is_ours(ai)) {
            continue;
        }
        struct far_gai_entry e = {
            .type = (int32_t)far_socktype(ai->ai_socktype),
            .proto = ai->ai_protocol,
        };
        struct sockaddr_storage sa;
        memset(&sa, 0, sizeof sa);
        memcpy(&sa, ai->ai_addr, ai->ai_addrlen);
        far_addr_of(&sa, ai->ai_addrlen, &e.addr);
        memcpy(at + n++ * sizeof e, &e, sizeof e);
    }
}

static void put_gai(struct lookup *k, const struct addrinfo *list) {
    const char *canon = list && list->ai_canonname ? list->ai_canonname : "";
    uint32_t canon_len = (uint32_t)strlen(canon);
    uint32_t head =
        (uint32_t)sizeof(struct far_rep_gai) + FAR_ALIGN8(canon_len);
    uint32_t most = (ANSWER_MAX - head) / sizeof(struct far_gai_entry);
    uint32_t count = 0;
    for (const struct addrinfo *a = list; a && count < most; a = a->ai_next) {
        count += is_ours(a);
    }
    k->len = head + count * (uint32_t)sizeof(struct far_gai_entry);
    k->answer = calloc(1, k->len);
    if (!k->answer) {
        k->len = 0;
        k->result = FAR_EAI_MEMORY;
        return;
    }
    struct far_rep_gai rep = {(uint16_t)count, (uint16_t)canon_len, 0};
    memcpy(k->answer, &rep, sizeof rep);
    memcpy(k->answer + sizeof rep, canon, canon_len);
    put_entries(k->answer + head, list, count);
}

static void work_gai(struct lookup *k) {
    struct addrinfo hints = {
        .ai_family = host_family((uint32_t)k->req.gai.family),
        .ai_socktype = host_socktype((uint32_t)k->req.gai.type),
        .ai_protocol = k->req.gai.proto,
        .ai_flags = host_ai_flags(k->req.gai.flags),
    };
    // What the host has no number for is below 0 here: getaddrinfo() refuses
    // that itself, after what it looks at first.
    struct addrinfo *list = NULL;
    int err = getaddrinfo(k->host, k->service, &hints, &list);
    if (err) {
        answer_failed(k, err);
        return;
    }
    put_gai(k, list);
    freeaddrinfo(list);
}

static void work_gni(struct lookup *k) {
    struct sockaddr_storage sa;
    char host[NI_MAXHOST] = "";
    char service[NI_MAXSERV] = "";
    socklen_t len = host_addr(&k->req.gni.addr, &sa);
    int err = getnameinfo((struct sockaddr *)&sa, len, host, sizeof host,
        service, sizeof service, host_ni_flags(k->req.gni.flags));
    if (err) {
        answer_failed(k, err);
        return;
    }
    struct far_rep_gni rep = {
        .host_len = (uint16_t)strlen(host),
        .service_len = (uint16_t)strlen(service),
    };
    k->len = (uint32_t)sizeof rep + rep.host_len + rep.service_len;
    k->answer = malloc(k->len);
    if (!k->answer) {
        k->len = 0;
        k->result = FAR_EAI_MEMORY;
        return;
    }
    memcpy(k->answer, &rep, sizeof rep);
    memcpy(k->answer + sizeof rep, host, rep.host_len);
    memcpy(k->answer + sizeof rep + rep.host_len, service, rep.service_len);
}

static void work_on(struct lookup *k) {
    if (k->op == FAR_OP_GETADDRINFO) {
        work_gai(k);
    } else {
        work_gni(k);
    }
}

// Whether the same user asks; of links for which nobody says who that is,
// whether the same link does, which may have come anew.
static bool is_same_user(const struct lookup *a, const struct lookup *b) {
    return a->uid == b->uid &&
           (a->uid != IDS_NONE || strcmp(a->name, b->name) == 0);
}

// Whether an earlier life of the same link asked.
static bool is_heir(const struct lookup *k, const struct lookup *other) {
    return other->left && is_same_user(other, k) &&
           strcmp(other->name, k->name) == 0;
}

// A thread stays with a name that hangs also when nobody waits for it any more.
// So one link may keep half of the threads busy, and one user, who can leave a
// link and come back with another, all but one. What several links or users
// could keep busy together are the spare threads, for who has no lookup at
// work: half of them for other links than those that left some, half for users.
static bool may_work_on(const struct resolver *r, const struct lookup *k) {
    unsigned of_link = 0;
    unsigned of_user = 0;
    unsigned of_lives = 0;
    unsigned all = 0;
    for (unsigned i = 0; i < THREADS; i++) {
        const struct lookup *other = r->working[i];
        all += other != NULL;
        of_link += other && other->link_id == k->link_id;
        of_user += other && is_same_user(other, k);
        of_lives += other && is_heir(k, other);
    }
    unsigned most = r->threads - r->spare;
    bool within = all < most && (of_link == 0 || of_link < most / 2u) &&
                  of_user + 1u < most;
    bool spare = of_link + of_lives == 0 && all < most + r->spare / 2u;
    return of_user == 0 || within || (spare && r->spare > 0);
}

// Under the lock.
static struct lookup *next_lookup(struct resolver *r) {
    for (struct node *n = r->queue.next; n != &r->queue; n = n->next) {
        struct lookup *k = OF(n, struct lookup, node);
        if (may_work_on(r, k)) {
            node_remove(&k->node);
            k->queued = false;
            return k;
        }
    }
    return NULL;
}

static unsigned free_place(const struct resolver *r) {
    unsigned i = 0;
    while (i < THREADS - 1u && r->working[i]) {
        i++;
    }
    return i;
}

static void *worker(void *arg) {
    struct resolver *r = arg;
    pthread_mutex_lock(&r->lock);
    while (!r->quit) {
        struct lookup *k = next_lookup(r);
        if (!k) {
            pthread_cond_wait(&r->work, &r->lock);
            continue;
        }
        unsigned place = free_place(r);
        r->working[place] = k;
        pthread_mutex_unlock(&r->lock);
        work_on(k);
        pthread_mutex_lock(&r->lock);
        r->working[place] = NULL;
        node_append(&r->done, &k->node);
        uint64_t one = 1;
        ssize_t n = r->quit ? 0 : write(r->done_fd, &one, sizeof one);
        (void)n;
    }
    r->threads--;
    pthread_cond_signal(&r->left);
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

// --- In the loop ---

static void lookup_free(struct lookup *k) {
    free(k->answer);
    free(k);
}

// Answers, and forgets who asked.
static void lookup_answer(struct lookup *k, int32_t result, const void *data,
    uint32_t len) {
    struct link *l = k->link;
    k->link = NULL;
    if (!l) {
        return;
    }
    l->lookups--;
    l->tags[k->tag].lookup = NULL;
    link_reply(l, k->tag, result, data, len);
}

static void done_ready(struct watch *w, uint32_t events) {
    struct resolver *r = OF(w, struct resolver, watch);
    (void)events;
    for (;;) {
        pthread_mutex_lock(&r->lock);
        if (node_is_alone(&r->done)) {
            pthread_mutex_unlock(&r->lock);
            return;
        }
        struct lookup *k = OF(r->done.next, struct lookup, node);
        node_remove(&k->node);
        pthread_mutex_unlock(&r->lock);
        lookup_answer(k, k->result, k->answer, k->len);
        lookup_free(k);
    }
}

// A string of the payload, of len bytes at *at; moves *at. False: it is not in
// the payload, or has a NUL inside.
static bool take_string(const char **at, const char *end, uint32_t len,
    char **to, const char **out) {
    if (len == FAR_NO_STRING) {
        *out = NULL;
        return true;
    }
    if (len > (size_t)(end - *at) || memchr(*at, 0, len)) {
        return false;
    }
    memcpy(*to, *at, len);
    (*to)[len] = 0;
    *out = *to;
    *to += len + 1u;
    *at += len;
    return true;
}

static bool take_question(struct lookup *k, const struct far_msg *m,
    const void *payload) {
    const char *at = payload;
    const char *end = at + m->len;
    char *to = k->strings;
    k->op = m->op;
    if (m->op == FAR_OP_GETNAMEINFO) {
        memcpy(&k->req.gni, payload, sizeof k->req.gni);
        return true;
    }
    memcpy(&k->req.gai, payload, sizeof k->req.gai);
    at += sizeof k->req.gai;
    return take_string(&at, end, k->req.gai.host_len, &to, &k->host) &&
           take_string(&at, end, k->req.gai.service_len, &to, &k->service);
}

// By the policy. A name that must not be asked for is as one that is not there.
static bool may_ask(struct link *l, struct lookup *k) {
    if (k->op == FAR_OP_GETADDRINFO) {
        return gate_lookup(l, k->host);
    }
    struct sockaddr_storage sa;
    socklen_t len = host_addr(&k->req.gni.addr, &sa);
    if ((k->req.gni.flags & FAR_NI_NUMERICHOST) || gate_reverse(l, &sa, len)) {
        return true;
    }
    k->req.gni.flags |= FAR_NI_NUMERICHOST;
    return !(k->req.gni.flags & FAR_NI_NAMEREQD);
}

static uint32_t most_lookups(const struct link *l) {
    uint32_t half = (l->layout.tags + 1u) / 2u;
    uint32_t most = l->spec.max_lookups;
    return most && most < half ? most : half;
}

void resolver_ask(struct link *l, uint32_t tag, const struct far_msg *m,
    const void *payload) {
    struct resolver *r = l->engine->resolver;
    if (!tag) {
        return;
    }
    if (l->lookups >= most_lookups(l)) {
        link_reply(l, tag, FAR_EAI_AGAIN, NULL, 0);
        return;
    }
    struct lookup *k = calloc(1, sizeof *k);
    if (!k) {
        link_reply(l, tag, FAR_EAI_MEMORY, NULL, 0);
        return;
    }
    if (!take_question(k, m, payload)) {
        free(k);
        link_reply(l, tag, FAR_EAI_NONAME, NULL, 0);
        return;
    }
    if (!may_ask(l, k)) {
        free(k);
        link_reply(l, tag, FAR_EAI_FAIL, NULL, 0);
        return;
    }
    k->link = l;
    k->tag = tag;
    k->link_id = l->id;
    k->uid = l->spec.uid;
    memcpy(k->name, l->spec.name, sizeof k->name);
    k->queued = true;
    node_init(&k->node);
    l->lookups++;
    l->tags[tag].lookup = k;
    pthread_mutex_lock(&r->lock);
    node_append(&r->queue, &k->node);
    pthread_cond_signal(&r->work);
    pthread_mutex_unlock(&r->lock);
}

// Takes k back from the queue. False: a thread has it, or had it.
static bool unqueue(struct resolver *r, struct lookup *k, bool left) {
    pthread_mutex_lock(&r->lock);
    bool queued = k->queued;
    if (queued) {
        node_remove(&k->node);
        k->queued = false;
    }
    k->left = left;
    pthread_mutex_unlock(&r->lock);
    return queued;
}

static void cancel(struct link *l, uint32_t tag, bool left) {
    struct lookup *k = l->tags[tag].lookup;
    int32_t err = FAR_ECANCELED;
    bool queued = unqueue(l->engine->resolver, k, left);
    lookup_answer(k, FAR_EAI_SYSTEM, &err, sizeof err);
    if (queued) {
        lookup_free(k);
    }
}

void resolver_cancel(struct link *l, uint32_t tag) {
    cancel(l, tag, false);
}

void resolver_forget_link(struct link *l) {
    for (uint32_t i = 1; l->lookups && i <= l->layout.tags; i++) {
        if (l->tags[i].lookup) {
            cancel(l, i, true);
        }
    }
}

// --- Life ---

static void start_threads(struct resolver *r, unsigned threads,
    unsigned spare) {
    sigset_t all;
    sigset_t old;
    // Signals are the shell's: they must not end in a lookup.
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pthread_mutex_lock(&r->lock);
    for (unsigned i = 0; i < threads + spare && i < THREADS; i++) {
        r->started += pthread_create(&r->id[r->started], NULL, worker, r) == 0;
    }
    r->threads = r->started;
    r->spare = r->threads > threads ? r->threads - threads : 0;
    pthread_mutex_unlock(&r->lock);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

struct resolver *resolver_new(struct engine *e, unsigned threads,
    unsigned spare) {
    struct resolver *r = calloc(1, sizeof *r);
    if (!r) {
        return NULL;
    }
    r->engine = e;
    r->watch.ready = done_ready;
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->work, NULL);
    pthread_cond_init(&r->left, NULL);
    node_init(&r->queue);
    node_init(&r->done);
    r->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (r->done_fd < 0 || engine_watch(e, &r->watch, r->done_fd, EPOLLIN) < 0) {
        resolver_free(r);
        return NULL;
    }
    start_threads(r, threads, spare);
    if (r->threads == 0) {
        resolver_free(r);
        errno = EAGAIN;
        return NULL;
    }
    return r;
}

static void free_all(struct node *list) {
    struct node *next;
    for (struct node *n = list->next; n != list; n = next) {
        next = n->next;
        lookup_free(OF(n, struct lookup, node));
    }
}

static bool any_works(const struct resolver *r) {
    for (unsigned i = 0; i < THREADS; i++) {
        if (r->working[i]) {
            return true;
        }
    }
    return false;
}

// Those that have left are waited for to the end, where the C library frees
// what it keeps for a thread: who looks for leaks at our exit must not come
// before.
static void end_threads(struct resolver *r, bool left) {
    for (unsigned i = 0; i < r->started; i++) {
        if (left) {
            pthread_join(r->id[i], NULL);
        } else {
            pthread_detach(r->id[i]);
        }
    }
}

// True if every thread has left. One that hangs in a lookup keeps what it uses;
// the process ends soon. Those without one only need their turn.
static bool wait_threads(struct resolver *r) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += QUIT_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pthread_mutex_lock(&r->lock);
    r->quit = true;
    pthread_cond_broadcast(&r->work);
    int err = 0;
    while (r->threads && !err) {
        err = any_works(r) ? pthread_cond_timedwait(&r->left, &r->lock, &until)
                           : pthread_cond_wait(&r->left, &r->lock);
    }
    bool all = r->threads == 0;
    pthread_mutex_unlock(&r->lock);
    end_threads(r, all);
    return all;
}

void resolver_free(struct resolver *r) {
    if (r->done_fd >= 0) {
        engine_unwatch(r->engine, &r->watch, r->done_fd);
    }
    if (!wait_threads(r)) {
        return;
    }
    if (r->done_fd >= 0) {
        close(r->done_fd);
    }
    free_all(&r->queue);
    free_all(&r->done);
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->work);
    pthread_cond_destroy(&r->left);
    free(r);
}
