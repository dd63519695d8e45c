// Where the engine asks the policy: before each call that the rules know.
// SPDX-License-Identifier: MIT
#ifndef FARSOCKD_GATE_H
#define FARSOCKD_GATE_H

#include "daemon/core.h"
#include "daemon/policy.h"

// All take private copies, never shared memory. 0, or the errno (the host's) to
// refuse with; refusals are counted and logged. A link without a policy may do
// everything, and costs one look at a pointer.

// Decides, counts, and logs what is refused.
bool gate_ask(struct link *l, const struct policy_query *q);

// Before socket(), and with a socket that another link shares.
int gate_socket(struct link *l, int type, int proto);
int gate_adopt(struct link *l, int fd);

// The bit of enum policy_proto of a socket, by what it was made as, or by what
// the kernel says.
uint32_t gate_proto(int type, int proto);
uint32_t gate_proto_of(int fd);

// Whether it is bound to an interface, by whatever call.
bool gate_has_interface(int fd);

// Before connect(): *to may be changed to what the kernel would take it for.
int gate_connect(struct sock *s, struct sockaddr_storage *to, socklen_t len);
int gate_bind(struct sock *s, const struct sockaddr_storage *at, socklen_t len);
// Before listen(): binds it, where the kernel would but rules have a say.
int gate_listen(struct sock *s);
// Before sendmsg(), with control data in the host's form. m->msg_name may be
// changed as in gate_connect().
int gate_send(struct sock *s, struct msghdr *m);
int gate_option(struct sock *s, int level, int name, const void *val,
    uint32_t len);
int gate_interfaces(struct link *l);

// In place of bind(): the errno. The kernel chooses no port that a rule denies.
int gate_do_bind(struct sock *s, const struct sockaddr_storage *at,
    socklen_t len);
// Binds to one at that address, whose port is 0, that rules let it choose for
// these actions.
int gate_take_port(struct sock *s, uint32_t actions,
    const struct sockaddr_storage *at, socklen_t len);
// Whether it is bound to a port, and not only was, as getsockname() says of a
// stream whose connection is over. at: the same address, port 0.
bool gate_is_bound(const struct sock *s, const struct sockaddr_storage *at);
// Whether rules let the kernel choose the port of that address.
bool gate_chosen(struct sock *s, enum policy_action action,
    const struct sockaddr_storage *at, bool tell);
// Whether a datagram socket may be where it is, or will be when it sends: then
// the kernel chooses its port, if it has none.
int gate_local(struct sock *s);

// What came: false if near must not have it.
bool gate_accept(struct sock *listener, const struct sockaddr_storage *peer,
    socklen_t len);
bool gate_receive(struct sock *s, const struct sockaddr_storage *from,
    socklen_t len);

// Names: false if the question must not be asked.
bool gate_lookup(struct link *l, const char *host);
bool gate_reverse(struct link *l, const struct sockaddr_storage *of,
    socklen_t len);

#endif
