// A plain BSD socket program, compiled as it is and with farsock/bsd.h: both
// must print the same.
// SPDX-License-Identifier: MIT
//
//   usage: plain HOST PORT    of a peer that echoes TCP and UDP

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

static int say(const char *what, long result) {
    if (result < 0) {
        printf("%s: %s\n", what, strerrorname_np(errno));
    } else {
        printf("%s: %ld\n", what, result);
    }
    fflush(stdout);
    return (int)result;
}

static struct sockaddr_in resolve(const char *host, const char *port) {
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    struct sockaddr_in in = {0};
    char name[64];
    char service[32];
    int err = getaddrinfo(host, port, &hints, &list);
    printf("getaddrinfo: %d\n", err);
    memcpy(&in, list->ai_addr, sizeof in);
    freeaddrinfo(list);
    getnameinfo((struct sockaddr *)&in, sizeof in, name, sizeof name, service,
        sizeof service, NI_NUMERICHOST | NI_NUMERICSERV);
    struct hostent *h = gethostbyname(host);
    printf("%s %s %d\n", name, service, h ? h->h_length : -1);
    return in;
}

static void options(int s) {
    struct timeval tv = {.tv_sec = 1, .tv_usec = 500000};
    struct timeval back = {0};
    socklen_t len = sizeof back;
    struct linger l = {.l_onoff = 1, .l_linger = 3};
    say("SO_RCVTIMEO", setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
    say("SO_RCVTIMEO", getsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &back, &len));
    printf("%ld %ld %u\n", (long)back.tv_sec, (long)back.tv_usec, len);
    say("SO_LINGER", setsockopt(s, SOL_SOCKET, SO_LINGER, &l, sizeof l));
    say("unknown", setsockopt(s, SOL_SOCKET, 9999, &l, sizeof l));
}

static int connect_slowly(const struct sockaddr_in *in) {
    int s = socket(AF_INET, SOCK_STREAM, 0);
    fd_set wr;
    FD_ZERO(&wr);
    FD_SET(s, &wr);
    struct timeval tv = {.tv_sec = 10};
    say("F_SETFL", fcntl(s, F_SETFL, fcntl(s, F_GETFL, 0) | O_NONBLOCK));
    say("connect", connect(s, (const struct sockaddr *)in, sizeof *in));
    say("select", select(s + 1, NULL, &wr, NULL, &tv));
    say("writable", FD_ISSET(s, &wr) != 0);
    say("F_SETFL", fcntl(s, F_SETFL, fcntl(s, F_GETFL, 0) & ~O_NONBLOCK));
    return s;
}

// The socket and a pipe of the host's in one poll.
static void both_kinds(int s) {
    int p[2] = {-1, -1};
    char c = 0;
    say("pipe", pipe(p));
    struct pollfd f[2] = {
        {.fd = s, .events = POLLIN}, {.fd = p[0], .events = POLLIN}};
    say("poll", poll(f, 2, 0));
    say("write", write(p[1], "x", 1));
    say("poll", poll(f, 2, 10000));
    printf("0x%x 0x%x\n", (unsigned)f[0].revents, (unsigned)f[1].revents);
    say("read", read(p[0], &c, 1));
    say("write", write(s, "y", 1));
    say("poll", poll(f, 2, 10000));
    printf("0x%x 0x%x\n", (unsigned)f[0].revents, (unsigned)f[1].revents);
    say("read", read(s, &c, 1));
    close(p[0]);
    close(p[1]);
}

static void stream(const struct sockaddr_in *in) {
    char buf[64] = "";
    int n = -1;
    struct sockaddr_in peer = {0};
    socklen_t len = sizeof peer;
    int s = connect_slowly(in);
    options(s);
    say("getpeername", getpeername(s, (struct sockaddr *)&peer, &len));
    printf("%u %s\n", len, inet_ntoa(peer.sin_addr));
    struct iovec v[2] = {{.iov_base = "hello ", .iov_len = 6},
        {.iov_base = "world", .iov_len = 5}};
    say("writev", writev(s, v, 2));
    say("recv", recv(s, buf, 11, MSG_WAITALL));
    printf("%s\n", buf);
    say("FIONREAD", ioctl(s, FIONREAD, &n));
    say("recv", recv(s, buf, sizeof buf, 0)); // times out
    say("sockatmark", sockatmark(s));
    say("recv", recv(s, buf, sizeof buf, MSG_OOB)); // nothing urgent
    both_kinds(s);
    say("shutdown", shutdown(s, SHUT_WR));
    say("read", read(s, buf, sizeof buf));
    say("send", send(s, "x", 1, MSG_NOSIGNAL));
    say("close", close(s));
    say("close", close(s));
}

static void datagrams(const struct sockaddr_in *in) {
    char buf[64];
    struct sockaddr_in from = {0};
    socklen_t len = sizeof from;
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    say("bind", bind(s, (const struct sockaddr *)in, 3));
    say("sendto",
        sendto(s, "datagram", 8, 0, (const struct sockaddr *)in, sizeof *in));
    say("recvfrom",
        recvfrom(s, buf, sizeof buf, 0, (struct sockaddr *)&from, &len));
    printf("%u %d\n", len, from.sin_port == in->sin_port);
    struct iovec v = {.iov_base = buf, .iov_len = 4};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    say("send", send(s, "x", 1, 0));
    say("connect", connect(s, (const struct sockaddr *)in, sizeof *in));
    say("write", write(s, "datagram", 8));
    say("recvmsg", recvmsg(s, &m, 0));
    printf("0x%x\n", (unsigned)m.msg_flags);
    say("recv", recv(s, buf, sizeof buf, MSG_DONTWAIT));
    say("close", close(s));
}

int main(int argc, char **argv) {
    if (argc != 3) {
        return 2;
    }
    struct sockaddr_in in = resolve(argv[1], argv[2]);
    stream(&in);
    datagrams(&in);
    say("socket", socket(AF_INET, 77, 0));
    say("listen", listen(99, 1));
    return 0;
}
