// The socket module's constants: C(name, value), which are the link's numbers.
// SPDX-License-Identifier: MIT
//
// Included in the module's table. Options come from sockopt.def, names of
// lookup errors from errors.h.
// clang-format off
#define F(name) C(name, FAR_##name)
F(AF_UNSPEC)
C(AF_UNIX, 1) // refused by the far core, as any family it does not serve
F(AF_INET)
F(AF_INET6)

F(SOCK_STREAM)
F(SOCK_DGRAM)
F(SOCK_RAW)

F(SOL_SOCKET)
C(SOL_IP, FAR_IPPROTO_IP)
C(SOL_TCP, FAR_IPPROTO_TCP)
C(SOL_UDP, FAR_IPPROTO_UDP)
C(SOL_IPV6, FAR_IPPROTO_IPV6)
F(IPPROTO_IP)
F(IPPROTO_ICMP)
F(IPPROTO_TCP)
F(IPPROTO_UDP)
F(IPPROTO_IPV6)
F(IPPROTO_ICMPV6)
F(IPPROTO_RAW)

#define X(level, lnum, name, num, kind) C(name, num)
#include "farsock/sockopt.def"
#undef X
C(IPV6_ADD_MEMBERSHIP, FAR_IPV6_JOIN_GROUP)
C(IPV6_DROP_MEMBERSHIP, FAR_IPV6_LEAVE_GROUP)

F(MSG_OOB)
F(MSG_PEEK)
F(MSG_DONTROUTE)
F(MSG_CTRUNC)
F(MSG_TRUNC)
F(MSG_DONTWAIT)
F(MSG_EOR)
F(MSG_WAITALL)
F(MSG_CONFIRM)
F(MSG_ERRQUEUE)
F(MSG_NOSIGNAL)
F(MSG_MORE)

F(SHUT_RD)
F(SHUT_WR)
F(SHUT_RDWR)

F(AI_PASSIVE)
F(AI_CANONNAME)
F(AI_NUMERICHOST)
F(AI_V4MAPPED)
F(AI_ALL)
F(AI_ADDRCONFIG)
F(AI_NUMERICSERV)

#define X(name, num, text) C(EAI_##name, -(num))
FAR_EAI_ERRORS(X)
#undef X

F(NI_NUMERICHOST)
F(NI_NUMERICSERV)
F(NI_NOFQDN)
F(NI_NAMEREQD)
F(NI_DGRAM)

C(INADDR_ANY, 0)
#if INTPTR_MAX > INT32_MAX // these are no small integers on 32 bits
C(INADDR_LOOPBACK, 0x7f000001)
C(INADDR_UNSPEC_GROUP, 0xe0000000)
C(INADDR_ALLHOSTS_GROUP, 0xe0000001)
C(INADDR_MAX_LOCAL_GROUP, 0xe00000ff)
C(INADDR_BROADCAST, 0xffffffff)
C(INADDR_NONE, 0xffffffff)
#endif
C(SOMAXCONN, 4096)
#undef F
// clang-format on
