// Private to the socket module: the socket object, and what its parts share.
// SPDX-License-Identifier: MIT
#ifndef MODSOCKET_H
#define MODSOCKET_H

#include "py/obj.h"
#include "py/smallint.h"
#include "py/mpthread.h"
#include "py/stream.h"

#include "modsocket_link.h"

// A socket. link and sock stay as they are after close(), so that a thread that
// is just making a call meets FAR_EBADF and not another socket.
struct far_mp_socket {
    mp_obj_base_t base;
    int number; // fileno(); -1: closed
    int sock;   // handle on its link
    struct far_mp_link *link;
    int64_t timeout_ns; // < 0: none
    uint32_t family;
    uint16_t type;
    bool told; // the callback was scheduled, and nothing was read since
    uint32_t proto;
    mp_obj_t callback; // option 20, MP_OBJ_NULL: none
    struct far_mp_socket *next_watched;
};

extern const mp_obj_type_t far_mp_type_socket;

// --- modsocket_obj.c ---

// A closed socket object, for far_mp_socket_open().
struct far_mp_socket *far_mp_socket_alloc(void);

// Gives self a new socket. FAR_OK or why not.
int far_mp_socket_open(struct far_mp_socket *self, uint32_t family,
    uint32_t type, uint32_t proto);

// Gives self the socket that sock is on link, whose reference it takes over.
int far_mp_socket_adopt(struct far_mp_socket *self, struct far_mp_link *link,
    int sock);

// FAR_EBADF if it is closed.
int far_mp_socket_close(struct far_mp_socket *self);

// For a call of the near library: its link, with a reference that
// far_mp_leave() gives back, or NULL if the socket is closed.
struct far_link *far_mp_enter(struct far_mp_socket *self);
void far_mp_leave(struct far_mp_socket *self, struct far_link *near);

// Runs what made a call end with FAR_EINTR; raises what it raises, or is true.
bool far_mp_go_on(void);

// ret = call, which may use `near`. Blocks without the GIL. An interrupted call
// is made again with the same deadline (PEP 475), unless the interruption
// raises: then nothing is held, and nothing is lost.
#define FAR_MP_CALL(ret, self, call)                                           \
    do {                                                                       \
        struct far_link *near = far_mp_enter(self);                            \
        MP_THREAD_GIL_EXIT();                                                  \
        (ret) = near != NULL ? (call) : FAR_EBADF;                             \
        MP_THREAD_GIL_ENTER();                                                 \
        far_mp_leave(self, near);                                              \
    } while ((ret) == FAR_EINTR && far_mp_go_on())

// --- modsocket_args.c ---

// An integer within bounds, else ValueError (TypeError if it is none).
mp_int_t far_mp_get_int(mp_obj_t obj, mp_int_t min, mp_int_t max);

// A number of bytes.
size_t far_mp_get_size(mp_obj_t obj);

// Flags, and other unsigned numbers of 32 bits.
uint32_t far_mp_get_u32(mp_obj_t obj);

// The far_err that a call with this deadline gave, as an errno.
int far_mp_errno(int err, uint64_t deadline_ns);
_Noreturn void far_mp_raise(int err, uint64_t deadline_ns);

// Raises if ret is an error; for calls that do not wait.
void far_mp_check(int ret);

// When a call that begins now must be done. FAR_MSG_DONTWAIT counts.
uint64_t far_mp_deadline(const struct far_mp_socket *self, uint32_t flags);

// FAR_ETIMEDOUT if that time has passed, else FAR_OK: for calls made of
// several, each of which would still get something done.
int far_mp_late(uint64_t deadline_ns);

// --- modsocket_addr.c ---

// What Python calls an address: a tuple, or a packed Linux sockaddr. Looks
// names up on the far core, in the socket's family. Raises.
void far_mp_addr_get(struct far_mp_socket *self, mp_obj_t obj,
    struct far_addr *addr);

// A packed Linux sockaddr. FAR_OK or FAR_EINVAL.
int far_mp_addr_unpack(const uint8_t *buf, size_t len, struct far_addr *addr);

// A tuple, or None for an address of no family.
mp_obj_t far_mp_addr_new(const struct far_addr *addr);

// --- modsocket_name.c ---

struct far_mp_names {
    size_t count;
    struct far_gai_entry *entries; // few, or on the heap
    struct far_gai_entry few[8];
    struct far_gai_result result;
};

// As far_getaddrinfo(), on the process's link. Raises.
void far_mp_names_get(struct far_mp_names *names, const char *host,
    const char *service, const struct far_req_getaddrinfo *hints);

// A host's name: str or bytes without NUL, or NULL for None. Raises.
const char *far_mp_get_name(mp_obj_t obj);

MP_DECLARE_CONST_FUN_OBJ_KW(far_mp_getaddrinfo_obj);
MP_DECLARE_CONST_FUN_OBJ_2(far_mp_getnameinfo_obj);
MP_DECLARE_CONST_FUN_OBJ_1(far_mp_gethostbyname_obj);

// --- modsocket_io.c ---

// Bytes moved, or a far_err.
int32_t far_mp_recv(struct far_mp_socket *self, void *buf, size_t len,
    uint32_t flags, struct far_addr *from, uint64_t deadline_ns);
int32_t far_mp_send(struct far_mp_socket *self, const void *buf, size_t len,
    uint32_t flags, const struct far_addr *to, uint64_t deadline_ns);

MP_DECLARE_CONST_FUN_OBJ_VAR_BETWEEN(far_mp_recv_obj);
MP_DECLARE_CONST_FUN_OBJ_VAR_BETWEEN(far_mp_recvfrom_obj);
MP_DECLARE_CONST_FUN_OBJ_VAR_BETWEEN(far_mp_recv_into_obj);
MP_DECLARE_CONST_FUN_OBJ_VAR_BETWEEN(far_mp_recvfrom_into_obj);
MP_DECLARE_CONST_FUN_OBJ_VAR_BETWEEN(far_mp_send_obj);
MP_DECLARE_CONST_FUN_OBJ_VAR_BETWEEN(far_mp_sendall_obj);
MP_DECLARE_CONST_FUN_OBJ_VAR_BETWEEN(far_mp_sendto_obj);

// --- modsocket_stream.c ---

extern const mp_stream_p_t far_mp_stream_p;

MP_DECLARE_CONST_FUN_OBJ_VAR_BETWEEN(far_mp_read_obj);
MP_DECLARE_CONST_FUN_OBJ_VAR_BETWEEN(far_mp_readinto_obj);
MP_DECLARE_CONST_FUN_OBJ_VAR_BETWEEN(far_mp_readline_obj);
MP_DECLARE_CONST_FUN_OBJ_1(far_mp_readlines_obj);
MP_DECLARE_CONST_FUN_OBJ_VAR_BETWEEN(far_mp_write_obj);

// --- modsocket_opt.c ---

// None, or seconds: nanoseconds, < 0 for none. Raises.
int64_t far_mp_get_timeout(mp_obj_t obj);

MP_DECLARE_CONST_FUN_OBJ_VAR_BETWEEN(far_mp_setsockopt_obj);
MP_DECLARE_CONST_FUN_OBJ_VAR_BETWEEN(far_mp_getsockopt_obj);
MP_DECLARE_CONST_FUN_OBJ_2(far_mp_settimeout_obj);
MP_DECLARE_CONST_FUN_OBJ_1(far_mp_gettimeout_obj);
MP_DECLARE_CONST_FUN_OBJ_2(far_mp_setblocking_obj);
MP_DECLARE_CONST_FUN_OBJ_1(far_mp_getblocking_obj);

// --- modsocket_watch.c ---

// Calls callback(self) when self becomes readable; MP_OBJ_NULL: no more.
void far_mp_watch_set(struct far_mp_socket *self, mp_obj_t callback);

// self was read: tells again about what is still there.
void far_mp_watch_again(struct far_mp_socket *self);

#endif
