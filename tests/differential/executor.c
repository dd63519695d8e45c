// Runs programs of socket calls over the kernel's sockets or over a link, and
// prints what each call gave: the two must be the same.
// SPDX-License-Identifier: MIT
//
//   usage: executor native [FARSOCKD_PID]
//          executor kernel
//          executor far[:INDEX_BASE[:RING_BYTES[:SOCKETS]]] FARSOCKD_PID
//
// A program is lines, a step each, between "ports FIRST" and "end"; README.md
// has the steps. Names that begin with p are the peer's: the kernel's sockets
// in all modes. With a pid, native is what the C library gives: it is
// preloaded. In mode kernel all names are as the peer's.

#include "differential/descriptors.h"
#include "differential/edges.h"
#include "differential/executor.h"
#include "differential/faults.h"
#include "differential/messages.h"
#include "differential/steps.h"

// --- Steps ---

static const struct {
    const char *name;
    void (*run)(struct step *s);
} table[] = {
    {"socket", step_socket},
    {"close", step_close},
    {"bind", step_bind},
    {"listen", step_listen},
    {"connect", step_connect},
    {"accept", step_accept},
    {"send", step_send},
    {"recv", step_recv},
    {"drain", step_drain},
    {"shutdown", step_shutdown},
    {"getsockname", step_getsockname},
    {"getpeername", step_getpeername},
    {"setopt", step_setopt},
    {"getopt", step_getopt},
    {"poll", step_poll},
    {"bulk", step_bulk},
    {"settle", step_settle},
    {"sendmsg", step_sendmsg},
    {"recvmsg", step_recvmsg},
    {"ioctl", step_ioctl},
    {"lookup", step_lookup},
    {"flags", step_flags},
    {"setfl", step_setfl},
    {"accept4", step_accept4},
    {"dup", step_dup},
    {"read", step_read},
    {"readv", step_read},
    {"write", step_write},
    {"writev", step_write},
    {"sendmmsg", step_sendmmsg},
    {"recvmmsg", step_recvmmsg},
    {"epoll", step_epoll},
    {"select", step_select},
    {"length", step_length},
    {"nameinfo", step_nameinfo},
    {"fault", step_fault},
    {"zsend", step_zsend},
    {"zrecv", step_zrecv},
    {"epctl", step_epctl},
    {"epwait", step_epwait},
    {"dup2", step_dup2},
    {"dupfd", step_dupfd},
    {"sendfile", step_sendfile},
    {"splice", step_splice},
    {"odd", step_odd},
};

// --- Programs ---

static void parse(struct step *s, const char *text, size_t len) {
    char *rest = NULL;
    s->count = 0;
    s->out_len = 0;
    s->out[0] = 0;
    snprintf(s->line, sizeof s->line, "%.*s", (int)len, text);
    char *w = strtok_r(s->line, " \n", &rest);
    for (; w && s->count < WORDS; w = strtok_r(NULL, " \n", &rest)) {
        s->words[s->count++] = w;
    }
}

static void run(struct step *s) {
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (!strcmp(word(s, 0), table[i].name)) {
            table[i].run(s);
            return;
        }
    }
    say(s, "no such step");
}

struct later {
    struct step step;
    useconds_t delay_us;
};

static void *run_later(void *arg) {
    struct later *l = arg;
    usleep(l->delay_us);
    run(&l->step);
    return NULL;
}

static void find_all(const struct step *s) {
    for (int i = 1; i < s->count; i++) {
        if (strchr("ps", s->words[i][0]) && s->words[i][1]) {
            find(s->words[i]);
        }
    }
}

// STEP | DELAY_MS STEP: the second is another thread's, while the first waits.
static void run_both(struct step *s, const char *bar) {
    static struct later l;
    char *rest = NULL;
    l.delay_us = (useconds_t)strtoul(bar + 1, &rest, 0) * 1000u;
    parse(&l.step, rest, strlen(rest));
    // The tables are looked up by both threads: names exist before they run.
    struct sock *k = sock(s);
    find_all(s);
    find_all(&l.step);
    bool poll = !strcmp(word(s, 0), "poll");
    if (!poll && k->open) {
        set_timeouts(k, LONG_MS);
    }
    pthread_t t;
    if (pthread_create(&t, NULL, run_later, &l)) {
        abort();
    }
    run(s);
    pthread_join(t, NULL);
    if (!poll && k->open) {
        set_timeouts(k, SHORT_MS);
    }
    say(s, " | %s", l.step.out);
}

static void run_line(const char *line) {
    static struct step s;
    if (line[0] == '!') {
        line++; // does not wait for the effects of what was before
    } else {
        settle();
    }
    const char *bar = strchr(line, '|');
    parse(&s, line, bar ? (size_t)(bar - line) : strlen(line));
    if (s.count == 0) {
        return;
    }
    if (bar) {
        run_both(&s, bar);
    } else {
        run(&s);
    }
    out_len +=
        (size_t)snprintf(out + out_len, sizeof out - out_len, "%s\n", s.out);
}

// Closes everything with resets, so that nothing is left over for the next.
static uint32_t clean_up(void) {
    struct linger reset = {.l_onoff = 1};
    for (int i = 0; i < sock_count; i++) {
        struct sock *k = &socks[i];
        if (k->open) {
            k->net->setopt(k->handle, SOL_SOCKET, SO_LINGER, &reset,
                sizeof reset);
            k->net->close(k->handle);
        }
    }
    epoll_forget();
    sock_count = 0;
    strange_count = 0;
    uint64_t end = now_ms() + QUIET_MS;
    uint32_t left = 0;
    while (is_far && (left = far_link_sockets(the_link())) && now_ms() < end) {
        settle();
        struct far_pollfd none = {-1, 0, 0};
        far_poll(the_link(), &none, 1, FAR_NOWAIT);
    }
    return left;
}

static void run_program(int count) {
    alarm(WATCH_S);
    for (int i = 0; i < count; i++) {
        run_line(lines[i]);
    }
    uint32_t left = clean_up();
    alarm(0);
    out_len += (size_t)snprintf(out + out_len, sizeof out - out_len,
        left ? "end %u sockets left\n" : "end\n", (unsigned)left);
    flush_out();
}

static void die(int number) {
    flush_out();
    signal(number, SIG_DFL);
    raise(number);
}

static int watch_far(const char *pid) {
    char path[80];
    snprintf(path, sizeof path, "/proc/%s/task/%s/stat", pid, pid);
    return open(path, O_RDONLY | O_CLOEXEC);
}

int main(int argc, char **argv) {
    static const int deadly[] = {SIGALRM, SIGSEGV, SIGBUS, SIGABRT, SIGFPE};
    int err = 0;
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++) {
        signal(deadly[i], die);
    }
    const char *mode = argc > 1 ? argv[1] : "";
    net = strcmp(mode, "kernel") ? net_open(mode, &err) : net_kernel;
    is_far = net == &net_over_link;
    if (argc > 2) {
        far_stat_fd = watch_far(argv[2]);
    }
    if (!net || ((is_far || argc > 2) && far_stat_fd < 0)) {
        fprintf(stderr, "executor: %s\n", far_strerror(err));
        return 1;
    }
    int count = 0;
    while (fgets(lines[count], LINE, stdin)) {
        if (!strncmp(lines[count], "ports ", 6)) {
            port_base = (uint32_t)strtoul(lines[count] + 6, NULL, 0);
        } else if (!strcmp(lines[count], "end\n")) {
            run_program(count);
            count = 0;
        } else if (count < STEPS - 1) {
            count++;
        }
    }
    net_close();
    return 0;
}
