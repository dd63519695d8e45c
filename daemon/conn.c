// Connections of a link's socket: the hello, then a link or a text.
// SPDX-License-Identifier: MIT
#include "daemon/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "daemon/clock.h"
#include "daemon/hello.h"
#include "daemon/region.h"

#define SILENT_MAX  64u // connections without a hello; the oldest must go
#define READERS_MAX 8u  // of show and dump at the same time
#define HELLO_NS    UINT64_C(5000000000)
#define READER_NS   UINT64_C(30000000000) // without taking anything
#define PIECE       16384u                // bytes of text in one packet

// What a link's gone() cleans up.
struct served {
    struct service *s;
    struct region region;
    int fd;
    uint32_t id;
};

void service_rewatch(struct service *s, struct watch *w, int fd,
    uint32_t events) {
    engine_rewatch(s->engine, w, w, fd, events);
}

// --- Time limits ---

void service_set_timer(struct service *s) {
    uint64_t first = s->retry_ns != 0 ? s->retry_ns : UINT64_MAX;
    const struct conn *c = TAILQ_FIRST(&s->conns);
    for (; c != NULL; c = TAILQ_NEXT(c, entry)) {
        first = c->deadline_ns < first ? c->deadline_ns : first;
    }
    struct itimerspec at = {0};
    if (first != UINT64_MAX) {
        at.it_value.tv_sec = (time_t)(first / UINT64_C(1000000000));
        at.it_value.tv_nsec = (long)(first % UINT64_C(1000000000));
    }
    timerfd_settime(s->timer_fd, TFD_TIMER_ABSTIME, &at, NULL);
}

// --- Connections ---

static void conn_forget(struct conn *c) {
    struct service *s = c->s;
    if (c->reads) {
        s->readers--;
    } else {
        s->silent--;
    }
    s->late -= c->late;
    TAILQ_REMOVE(&s->conns, c, entry);
}

static void conn_free(struct conn *c) {
    free(c->piece);
    free(c);
}

void conn_close(struct conn *c) {
    struct service *s = c->s;
    engine_unwatch(s->engine, &c->watch, c->fd);
    conn_forget(c);
    close(c->fd);
    conn_free(c);
    service_set_timer(s);
}

static bool send_welcome(int fd, const struct far_welcome *w, const int *fds,
    size_t count) {
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(3 * sizeof(int))];
    } control = {0};
    struct iovec iov = {
        .iov_base = (void *)(uintptr_t)w, .iov_len = sizeof(*w)};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    if (count > 0) {
        msg.msg_control = control.bytes;
        msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(c), fds, count * sizeof(int));
    }
    return sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof(*w);
}

static void conn_refuse(struct conn *c, const struct far_welcome *w) {
    if (far_log_allowed(&c->s->rate, LOG_BURST)) {
        far_log(FAR_LOG_WARN, "refused process %d, user %u: %s",
            (int)c->cred.pid, c->cred.uid, w->text);
    }
    send_welcome(c->fd, w, NULL, 0);
    conn_close(c);
}

void service_drop_late(struct service *s) {
    uint64_t now = clock_ns();
    struct conn *c = TAILQ_FIRST(&s->conns);
    while (c != NULL) {
        struct conn *next = TAILQ_NEXT(c, entry);
        if (c->deadline_ns <= now) {
            if (far_log_allowed(&s->rate, LOG_BURST)) {
                far_log(FAR_LOG_WARN, "dropped process %d, user %u: %s",
                    (int)c->cred.pid, c->cred.uid,
                    c->reads ? "it does not read" : "it says nothing");
            }
            conn_close(c);
        }
        c = next;
    }
}

// --- A link ---

static void link_gone(void *arg) {
    struct served *v = arg;
    far_log(FAR_LOG_INFO, "link %u: gone", v->id);
    v->s->links--;
    region_free(&v->region);
    close(v->fd);
    free(v);
}

static struct link *give_to_engine(struct conn *c, struct served *v,
    const struct far_hello *hello, const struct far_layout *layout,
    const struct far_welcome *w) {
    struct link_spec spec = {
        .region = v->region.mem,
        .layout = *layout,
        .bell_to_near = v->region.bell_to_near,
        .bell_from_near = v->region.bell_to_far,
        .hangup = c->fd,
        .features = w->features,
        .pid = c->cred.pid,
        .uid = c->cred.uid,
        .gid = c->cred.gid,
        .max_sockets = c->s->config->open_sockets,
        .max_lookups = c->s->config->max_lookups,
        .max_incoming = c->s->config->max_incoming,
        .gone = link_gone,
        .arg = v,
    };
    hello_name(hello, spec.name, sizeof(spec.name));
    return engine_link_new(c->s->engine, &spec);
}

static uint32_t log_link(struct link *link, const struct region *r) {
    struct link_info i;
    link_get_info(link, &i);
    far_log(FAR_LOG_INFO,
        "link %u: %s, process %d, user %u, %u sockets, %zu MiB shared", i.id,
        i.name, (int)i.pid, i.uid, i.sockets_max, r->bytes >> 20);
    return i.id;
}

// The descriptor is the link's from here on, and c goes.
static void finish_link(struct conn *c, struct served *v, struct link *link,
    struct far_welcome *w) {
    struct service *s = c->s;
    const int fds[] = {
        v->region.memfd, v->region.bell_to_far, v->region.bell_to_near};
    v->id = log_link(link, &v->region);
    s->links++;
    w->region_bytes = v->region.bytes;
    bool sent = send_welcome(v->fd, w, fds, 3);
    region_close_memfd(&v->region);
    conn_forget(c);
    conn_free(c);
    service_set_timer(s);
    if (!sent) {
        engine_link_drop(link);
    }
}

static void start_link(struct conn *c, struct served *v,
    const struct far_hello *hello, const struct far_layout *layout,
    struct far_welcome *w) {
    // The engine watches the descriptor itself, and epoll takes it only once.
    engine_unwatch(c->s->engine, &c->watch, c->fd);
    struct link *link = give_to_engine(c, v, hello, layout, w);
    if (link != NULL) {
        w->far_at = layout->far_at;
        finish_link(c, v, link, w);
        return;
    }
    hello_refuse(w, FAR_EIO, "cannot serve a link: %s", strerror(errno));
    region_free(&v->region);
    free(v);
    conn_refuse(c, w);
}

static uint32_t links_of(struct engine *e, uid_t uid) {
    uint32_t n = 0;
    struct link *l = NULL;
    while ((l = engine_link_next(e, l)) != NULL) {
        struct link_info i;
        link_get_info(l, &i);
        n += i.uid == uid;
    }
    return n;
}

// False: w says why there is no room for one more link.
static bool has_room(const struct conn *c, struct far_welcome *w) {
    const struct service *s = c->s;
    uint32_t most = s->config->links_per_user;
    if (s->links >= s->config->max_links) {
        hello_refuse(w, FAR_EBUSY, "all %u links are in use (max-links)",
            s->config->max_links);
        return false;
    }
    if (most > 0 && links_of(s->engine, c->cred.uid) >= most) {
        hello_refuse(w, FAR_EBUSY,
            "all %u links of user %u are in use (links-per-user)", most,
            c->cred.uid);
        return false;
    }
    return true;
}

static int make_layout(const struct far_hello *hello, const struct config *c,
    struct far_layout *layout) {
    int err = hello_layout(hello, c, layout);
    uint64_t most = (uint64_t)c->max_memory << 10;
    bool fits = err != FAR_OK || most == 0 || far_layout_bytes(layout) <= most;
    return fits ? err : FAR_ENOMEM;
}

static void become_link(struct conn *c, const struct far_hello *hello,
    struct far_welcome *w) {
    struct service *s = c->s;
    if (!has_room(c, w)) {
        conn_refuse(c, w);
        return;
    }
    struct far_layout layout;
    struct served *v = calloc(1, sizeof(*v));
    int err = v != NULL ? make_layout(hello, s->config, &layout) : FAR_ENOMEM;
    if (err == FAR_OK) {
        err = region_make(&v->region, &layout);
    }
    if (err != FAR_OK) {
        hello_refuse(w, err, "farsockd: no shared memory: %s",
            far_strerror(err));
        free(v);
        conn_refuse(c, w);
        return;
    }
    v->s = s;
    v->fd = c->fd;
    start_link(c, v, hello, &layout, w);
}

// --- show and dump ---

static void become_reader(struct conn *c, const struct far_hello *hello,
    struct far_welcome *w) {
    struct service *s = c->s;
    c->piece = s->readers < READERS_MAX ? malloc(PIECE) : NULL;
    if (c->piece == NULL) {
        hello_refuse(w, FAR_EBUSY, "too many readers of show and dump");
        conn_refuse(c, w);
        return;
    }
    c->ctl = (struct ctl){
        .engine = s->engine,
        .config = s->config,
        .started_ns = s->started_ns,
        .dump = hello->kind == FAR_HELLO_DUMP,
    };
    s->silent--;
    s->readers++;
    c->reads = true;
    c->deadline_ns = clock_ns() + READER_NS;
    if (!send_welcome(c->fd, w, NULL, 0)) {
        conn_close(c);
        return;
    }
    service_set_timer(s);
    service_rewatch(s, &c->watch, c->fd, EPOLLOUT | EPOLLRDHUP);
}

// One packet a turn, so that a long text does not hold up the links.
static void conn_send_piece(struct conn *c) {
    if (c->len == 0) {
        c->len = ctl_fill(&c->ctl, c->piece, PIECE);
    }
    if (c->len == 0) {
        conn_close(c); // the end
        return;
    }
    if (send(c->fd, c->piece, c->len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
        if (errno != EAGAIN) {
            conn_close(c);
        }
        return;
    }
    c->len = 0;
    c->deadline_ns = clock_ns() + READER_NS;
    service_rewatch(c->s, &c->watch, c->fd, EPOLLOUT | EPOLLRDHUP);
}

// --- The hello ---

static bool in_groups(const struct conn *c, const struct id_list *list) {
    gid_t groups[64];
    socklen_t len = sizeof groups;
    if (ids_has(list, c->cred.gid)) {
        return true;
    }
    if (list->count == 0 ||
        getsockopt(c->fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0) {
        return false;
    }
    for (size_t i = 0; i < len / sizeof groups[0]; i++) {
        if (ids_has(list, groups[i])) {
            return true;
        }
    }
    return false;
}

// The kernel says who connected; what it says of itself does not count.
static bool may_attach(const struct conn *c) {
    const struct config *k = c->s->config;
    return (k->allow_users.count == 0 && k->allow_groups.count == 0) ||
           ids_has(&k->allow_users, c->cred.uid) ||
           in_groups(c, &k->allow_groups);
}

static void conn_take_hello(struct conn *c, const void *packet, size_t len) {
    struct far_hello hello;
    struct far_welcome w;
    int err = hello_check(packet, len, &hello, &w);
    if (err == FAR_EBADMSG) {
        if (far_log_allowed(&c->s->rate, LOG_BURST)) {
            far_log(FAR_LOG_WARN,
                "dropped process %d, user %u: it speaks another protocol",
                (int)c->cred.pid, c->cred.uid);
        }
        conn_close(c);
    } else if (err == FAR_OK && !may_attach(c)) {
        hello_refuse(&w, FAR_EACCES,
            "user %u, group %u may not use farsockd (allow-users, "
            "allow-groups)",
            c->cred.uid, c->cred.gid);
        conn_refuse(c, &w);
    } else if (err != FAR_OK) {
        conn_refuse(c, &w);
    } else if (hello.kind == FAR_HELLO_LINK) {
        become_link(c, &hello, &w);
    } else {
        become_reader(c, &hello, &w);
    }
}

// A link takes much of a turn: its memory is made and mapped. One in each, so
// that a storm of them does not hold up those that are there.
static bool is_its_turn(struct conn *c) {
    struct service *s = c->s;
    uint64_t turn = engine_turns(s->engine);
    bool now = s->greeted != turn;
    s->late += (uint32_t)!now - (uint32_t)c->late;
    c->late = !now;
    if (now) {
        s->greeted = turn;
    } else {
        service_rewatch(s, &c->watch, c->fd, EPOLLIN | EPOLLRDHUP);
    }
    return now;
}

static void conn_ready(struct watch *watch, uint32_t events) {
    struct conn *c = (struct conn *)watch;
    (void)events;
    if (c->reads) {
        conn_send_piece(c);
        return;
    }
    if (!is_its_turn(c)) {
        return;
    }
    char packet[sizeof(struct far_hello) + 1]; // one more, to see a longer one
    ssize_t n = recv(c->fd, packet, sizeof(packet), MSG_DONTWAIT);
    if (n > 0) {
        conn_take_hello(c, packet, (size_t)n);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        conn_close(c); // it hung up
    }
}

// --- Accepting ---

static void drop_oldest_silent(struct service *s) {
    struct conn *c = TAILQ_FIRST(&s->conns);
    while (c != NULL && c->reads) {
        c = TAILQ_NEXT(c, entry);
    }
    if (c == NULL) {
        return;
    }
    if (far_log_allowed(&s->rate, LOG_BURST)) {
        far_log(FAR_LOG_WARN, "too many silent connections, dropped process %d",
            (int)c->cred.pid);
    }
    conn_close(c);
}

void conn_new(struct service *s, int fd) {
    promises_heed(s->engine, fd);
    if (s->silent >= SILENT_MAX) {
        drop_oldest_silent(s);
    }
    struct conn *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        close(fd);
        return;
    }
    *c = (struct conn){
        .watch.ready = conn_ready,
        .s = s,
        .fd = fd,
        .deadline_ns = clock_ns() + HELLO_NS,
    };
    socklen_t len = sizeof(c->cred);
    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c->cred, &len);
    TAILQ_INSERT_TAIL(&s->conns, c, entry);
    s->silent++;
    if (engine_watch(s->engine, &c->watch, fd, EPOLLIN | EPOLLRDHUP) < 0) {
        conn_close(c);
        return;
    }
    service_set_timer(s);
}

void conn_turn_away(int fd, int err) {
    struct far_hello hello;
    struct far_welcome w;
    hello_check("", 0, &hello, &w);
    hello_refuse(&w, err, "farsockd: %s", far_strerror(err));
    // Unread, the hello would make near see a reset in place of our answer.
    ssize_t n = recv(fd, &hello, sizeof(hello), MSG_DONTWAIT);
    (void)n;
    send_welcome(fd, &w, NULL, 0);
    close(fd);
}
