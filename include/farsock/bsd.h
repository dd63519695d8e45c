// The plain names of BSD sockets for a program on the near core.
// SPDX-License-Identifier: MIT
#ifndef FARSOCK_BSD_H
#define FARSOCK_BSD_H

// An existing program compiles unchanged with -include farsock/bsd.h. Sockets
// of IPv4 and IPv6 are the far core's; every other descriptor is the host's,
// and calls about it go there. A far socket has a descriptor of the host's as
// its number, so that no two are the same, but it is no use outside these
// names.
//
// The link is opened with the first socket: $FARSOCK_LINK, as farsock(7) says;
// without one, socket() gives ENETDOWN. Results, errno and SIGPIPE are as
// natively. Not so: a signal does not interrupt (there is no EINTR), and a
// child after fork() must not use its parent's sockets. For EFAULT the process
// has a handler of SIGSEGV and SIGBUS from its first socket on, before those
// that the program sets by these names.

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

int far_bsd_socket(int family, int type, int proto);
int far_bsd_close(int fd);
int far_bsd_bind(int fd, const struct sockaddr *sa, socklen_t len);
int far_bsd_listen(int fd, int backlog);
int far_bsd_accept(int fd, struct sockaddr *sa, socklen_t *len);
int far_bsd_accept4(int fd, struct sockaddr *sa, socklen_t *len, int flags);
int far_bsd_connect(int fd, const struct sockaddr *sa, socklen_t len);
int far_bsd_shutdown(int fd, int how);
int far_bsd_getsockname(int fd, struct sockaddr *sa, socklen_t *len);
int far_bsd_getpeername(int fd, struct sockaddr *sa, socklen_t *len);
int far_bsd_getsockopt(int fd, int level, int opt, void *val, socklen_t *len);
int far_bsd_setsockopt(int fd, int level, int opt, const void *val,
    socklen_t len);
ssize_t far_bsd_send(int fd, const void *buf, size_t len, int flags);
ssize_t far_bsd_sendto(int fd, const void *buf, size_t len, int flags,
    const struct sockaddr *sa, socklen_t sa_len);
ssize_t far_bsd_sendmsg(int fd, const struct msghdr *m, int flags);
ssize_t far_bsd_recv(int fd, void *buf, size_t len, int flags);
ssize_t far_bsd_recvfrom(int fd, void *buf, size_t len, int flags,
    struct sockaddr *sa, socklen_t *sa_len);
ssize_t far_bsd_recvmsg(int fd, struct msghdr *m, int flags);
ssize_t far_bsd_read(int fd, void *buf, size_t len);
ssize_t far_bsd_write(int fd, const void *buf, size_t len);
ssize_t far_bsd_readv(int fd, const struct iovec *iov, int count);
ssize_t far_bsd_writev(int fd, const struct iovec *iov, int count);
int far_bsd_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
int far_bsd_select(int n, fd_set *rd, fd_set *wr, fd_set *ex,
    struct timeval *timeout);
int far_bsd_fcntl(int fd, int cmd, ...);
int far_bsd_ioctl(int fd, unsigned long request, ...);
int far_bsd_sockatmark(int fd);
int far_bsd_sigaction(int sig, const struct sigaction *act,
    struct sigaction *old);
void (*far_bsd_signal(int sig, void (*handler)(int)))(int);
int far_bsd_getaddrinfo(const char *host, const char *service,
    const struct addrinfo *hints, struct addrinfo **out);
void far_bsd_freeaddrinfo(struct addrinfo *list);
int far_bsd_getnameinfo(const struct sockaddr *sa, socklen_t len, char *host,
    socklen_t host_len, char *service, socklen_t service_len, int flags);
struct hostent *far_bsd_gethostbyname(const char *name);

#ifndef FARSOCK_BSD_NO_NAMES
    #define socket        far_bsd_socket
    #define close         far_bsd_close
    #define bind          far_bsd_bind
    #define listen        far_bsd_listen
    #define accept        far_bsd_accept
    #define accept4       far_bsd_accept4
    #define connect       far_bsd_connect
    #define shutdown      far_bsd_shutdown
    #define getsockname   far_bsd_getsockname
    #define getpeername   far_bsd_getpeername
    #define getsockopt    far_bsd_getsockopt
    #define setsockopt    far_bsd_setsockopt
    #define send          far_bsd_send
    #define sendto        far_bsd_sendto
    #define sendmsg       far_bsd_sendmsg
    #define recv          far_bsd_recv
    #define recvfrom      far_bsd_recvfrom
    #define recvmsg       far_bsd_recvmsg
    #define read          far_bsd_read
    #define write         far_bsd_write
    #define readv         far_bsd_readv
    #define writev        far_bsd_writev
    #define poll          far_bsd_poll
    #define select        far_bsd_select
    #define fcntl         far_bsd_fcntl
    #define ioctl         far_bsd_ioctl
    #define sockatmark    far_bsd_sockatmark
    #define getaddrinfo   far_bsd_getaddrinfo
    #define freeaddrinfo  far_bsd_freeaddrinfo
    #define getnameinfo   far_bsd_getnameinfo
    #define gethostbyname far_bsd_gethostbyname
    // Not struct sigaction, nor anything else called signal.
    #define sigaction(sig, act, old) far_bsd_sigaction(sig, act, old)
    #define signal(sig, handler)     far_bsd_signal(sig, handler)
#endif

#endif
