// The socket object: its life, its methods, its type.
// SPDX-License-Identifier: MIT

#include "modsocket.h"

#include "py/gc.h"
#include "py/mperrno.h"
#include "py/runtime.h"

#define BACKLOG_DEFAULT 128 // as in MicroPython's unix port

#ifndef mp_obj_malloc_with_finaliser // before MicroPython 1.22
static void *malloc_with_finaliser(size_t size, const mp_obj_type_t *type) {
    mp_obj_base_t *base = m_malloc_with_finaliser(size);
    base->type = type;
    return base;
}
    #define mp_obj_malloc_with_finaliser(struct_type, type)                    \
        ((struct_type *)malloc_with_finaliser(sizeof(struct_type), (type)))
#endif

// --- Life -------------------------------------------------------------------

struct far_mp_socket *far_mp_socket_alloc(void) {
    struct far_mp_socket *self =
        mp_obj_malloc_with_finaliser(struct far_mp_socket, &far_mp_type_socket);
    self->number = -1;
    self->sock = -1;
    self->link = NULL;
    self->timeout_ns = -1;
    self->family = FAR_AF_UNSPEC;
    self->type = 0;
    self->proto = 0;
    self->told = false;
    self->callback = MP_OBJ_NULL;
    self->next_watched = NULL;
    return self;
}

int far_mp_socket_adopt(struct far_mp_socket *self, struct far_mp_link *link,
    int sock) {
    struct far_link *near = far_mp_link_near(link);
    uint32_t type = 0;
    int err = far_sockinfo(near, sock, &self->family, &type, &self->proto);
    int number = err == FAR_OK ? far_mp_number_new(link, sock) : -1;
    if (number < 0) {
        far_close_nowait(near, sock);
        far_mp_link_unref(link);
        return err == FAR_OK ? FAR_ENOMEM : err;
    }
    self->type = (uint16_t)type;
    self->link = link;
    self->sock = sock;
    self->number = number;
    return FAR_OK;
}

// One attempt. If the link turns out to be dead there may be a new one.
static int open_on(struct far_mp_link *link, struct far_mp_socket *self,
    uint32_t family, uint32_t type, uint32_t proto, bool *again) {
    struct far_link *near = far_mp_link_near(link);
    MP_THREAD_GIL_EXIT();
    int sock = far_socket(near, family, type, proto);
    MP_THREAD_GIL_ENTER();
    if (sock >= 0) {
        return far_mp_socket_adopt(self, link, sock);
    }
    *again = sock == FAR_EINTR || !far_link_is_up(near);
    far_mp_link_unref(link);
    return sock;
}

static int open_once(struct far_mp_socket *self, uint32_t family, uint32_t type,
    uint32_t proto) {
    for (;;) {
        struct far_mp_link *link;
        MP_THREAD_GIL_EXIT();
        int err = far_mp_link_open(&link);
        MP_THREAD_GIL_ENTER();
        bool again = err == FAR_EINTR;
        if (err == FAR_OK) {
            err = open_on(link, self, family, type, proto, &again);
        }
        if (!again) {
            return err;
        }
        if (err == FAR_EINTR) {
            far_mp_go_on();
        }
    }
}

int far_mp_socket_open(struct far_mp_socket *self, uint32_t family,
    uint32_t type, uint32_t proto) {
    int err = open_once(self, family, type, proto);
    if (err == FAR_EMFILE || err == FAR_ENFILE) {
        // Sockets that nobody can reach any more are closed by a collection.
        gc_collect();
        err = open_once(self, family, type, proto);
    }
    return err;
}

// Takes what is open out of self. True if the caller has to close it.
static bool take(struct far_mp_socket *self) {
    int number = self->number;
    self->number = -1;
    return number >= 0 && far_mp_number_drop(number, self->link, self->sock);
}

int far_mp_socket_close(struct far_mp_socket *self) {
    if (self->callback != MP_OBJ_NULL) {
        far_mp_watch_set(self, MP_OBJ_NULL);
    }
    if (!take(self)) {
        return FAR_EBADF;
    }
    // SO_LINGER may make it wait. Interrupted, it is closed all the same.
    MP_THREAD_GIL_EXIT();
    int err = far_close(far_mp_link_near(self->link), self->sock, FAR_FOREVER);
    far_mp_link_unref(self->link);
    MP_THREAD_GIL_ENTER();
    if (err == FAR_EINTR) {
        far_mp_go_on();
    }
    return err;
}

// Also the finaliser: it neither waits nor allocates.
static mp_obj_t socket_del(mp_obj_t self_obj) {
    struct far_mp_socket *self = MP_OBJ_TO_PTR(self_obj);
    if (self->callback != MP_OBJ_NULL) {
        far_mp_watch_set(self, MP_OBJ_NULL);
    }
    if (take(self)) {
        far_close_nowait(far_mp_link_near(self->link), self->sock);
        far_mp_link_unref(self->link);
    }
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(socket_del_obj, socket_del);

// --- Calls ------------------------------------------------------------------

struct far_link *far_mp_enter(struct far_mp_socket *self) {
    if (self->number < 0 || !far_mp_link_ref(self->link)) {
        return NULL;
    }
    return far_mp_link_near(self->link);
}

void far_mp_leave(struct far_mp_socket *self, struct far_link *near) {
    if (near != NULL) {
        far_mp_link_unref(self->link);
    }
}

bool far_mp_go_on(void) {
    mp_handle_pending(true);
    return true;
}

// --- Methods ----------------------------------------------------------------

static uint32_t get_u32_or(mp_obj_t obj, uint32_t none) {
    return obj == mp_const_none ? none : far_mp_get_u32(obj);
}

static void adopt_number(struct far_mp_socket *self, mp_obj_t number_obj) {
    int number = (int)far_mp_get_int(number_obj, INT32_MIN, INT32_MAX);
    struct far_mp_link *link;
    int sock;
    if (number < 0) {
        mp_raise_ValueError(MP_ERROR_TEXT("negative file descriptor"));
    }
    if (!far_mp_number_find(number, &link, &sock) || !far_mp_link_ref(link)) {
        mp_raise_OSError(MP_EBADF);
    }
    // The number goes on as it is, with the reference that it has.
    uint32_t type;
    int err = far_sockinfo(far_mp_link_near(link), sock, &self->family, &type,
        &self->proto);
    far_mp_link_unref(link);
    far_mp_check(err);
    self->type = (uint16_t)type;
    self->link = link;
    self->sock = sock;
    self->number = number;
}

// socket(family=AF_INET, type=SOCK_STREAM, proto=0, fileno=None, *, af)
static mp_obj_t socket_make_new(const mp_obj_type_t *type, size_t n_args,
    size_t n_kw, const mp_obj_t *all_args) {
    (void)type;
    enum { ARG_family, ARG_type, ARG_proto, ARG_fileno, ARG_af };
    static const mp_arg_t allowed[] = {
        {MP_QSTR_family, MP_ARG_OBJ, {.u_rom_obj = MP_ROM_NONE}},
        {MP_QSTR_type, MP_ARG_OBJ, {.u_rom_obj = MP_ROM_NONE}},
        {MP_QSTR_proto, MP_ARG_OBJ, {.u_rom_obj = MP_ROM_NONE}},
        {MP_QSTR_fileno, MP_ARG_OBJ, {.u_rom_obj = MP_ROM_NONE}},
        {MP_QSTR_af, MP_ARG_KW_ONLY | MP_ARG_OBJ,
            {.u_rom_obj = MP_ROM_INT(FAR_AF_INET)}},
    };
    mp_arg_val_t args[MP_ARRAY_SIZE(allowed)];
    mp_arg_parse_all_kw_array(n_args, n_kw, all_args, MP_ARRAY_SIZE(allowed),
        allowed, args);
    uint32_t af = far_mp_get_u32(args[ARG_af].u_obj);
    uint32_t family = get_u32_or(args[ARG_family].u_obj, af);
    uint32_t kind = get_u32_or(args[ARG_type].u_obj, FAR_SOCK_STREAM);
    uint32_t proto = get_u32_or(args[ARG_proto].u_obj, 0);
    struct far_mp_socket *self = far_mp_socket_alloc();
    if (args[ARG_fileno].u_obj != mp_const_none) {
        adopt_number(self, args[ARG_fileno].u_obj);
    } else {
        far_mp_check(far_mp_socket_open(self, family, kind, proto));
    }
    return MP_OBJ_FROM_PTR(self);
}

static void socket_print(const mp_print_t *print, mp_obj_t self_obj,
    mp_print_kind_t kind) {
    (void)kind;
    struct far_mp_socket *self = MP_OBJ_TO_PTR(self_obj);
    mp_printf(print, "<socket fd=%d family=%u type=%u proto=%u>", self->number,
        (unsigned)self->family, (unsigned)self->type, (unsigned)self->proto);
}

static void socket_attr(mp_obj_t self_obj, qstr attr, mp_obj_t *dest) {
    struct far_mp_socket *self = MP_OBJ_TO_PTR(self_obj);
    if (dest[0] != MP_OBJ_NULL) {
        return; // nothing can be set
    }
    switch (attr) {
        case MP_QSTR_family:
            dest[0] = mp_obj_new_int_from_uint(self->family);
            break;
        case MP_QSTR_type:
            dest[0] = MP_OBJ_NEW_SMALL_INT(self->type);
            break;
        case MP_QSTR_proto:
            dest[0] = mp_obj_new_int_from_uint(self->proto);
            break;
        default:
            dest[1] = MP_OBJ_SENTINEL; // the methods
    }
}

static mp_obj_t socket_fileno(mp_obj_t self_obj) {
    struct far_mp_socket *self = MP_OBJ_TO_PTR(self_obj);
    return MP_OBJ_NEW_SMALL_INT(self->number);
}
static MP_DEFINE_CONST_FUN_OBJ_1(socket_fileno_obj, socket_fileno);

// detach(): the number, which stays open for socket(fileno=)
static mp_obj_t socket_detach(mp_obj_t self_obj) {
    struct far_mp_socket *self = MP_OBJ_TO_PTR(self_obj);
    int number = self->number;
    if (self->callback != MP_OBJ_NULL) {
        far_mp_watch_set(self, MP_OBJ_NULL);
    }
    self->number = -1;
    return MP_OBJ_NEW_SMALL_INT(number);
}
static MP_DEFINE_CONST_FUN_OBJ_1(socket_detach_obj, socket_detach);

static mp_obj_t socket_close(mp_obj_t self_obj) {
    far_mp_socket_close(MP_OBJ_TO_PTR(self_obj));
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(socket_close_obj, socket_close);

static mp_obj_t socket_enter(mp_obj_t self_obj) {
    return self_obj;
}
static MP_DEFINE_CONST_FUN_OBJ_1(socket_enter_obj, socket_enter);

static mp_obj_t socket_exit(size_t n_args, const mp_obj_t *args) {
    (void)n_args;
    return socket_close(args[0]);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(socket_exit_obj, 1, 4, socket_exit);

// makefile(mode='rb', buffering=0, ...): the socket itself is the file
static mp_obj_t socket_makefile(size_t n_args, const mp_obj_t *args,
    mp_map_t *kw_args) {
    (void)kw_args;
    struct far_mp_socket *self = MP_OBJ_TO_PTR(args[0]);
    if (self->number < 0) {
        mp_raise_OSError(MP_EBADF);
    }
    if (n_args > 1) {
        for (const char *mode = mp_obj_str_get_str(args[1]); *mode; mode++) {
            if (*mode != 'r' && *mode != 'w' && *mode != 'b') {
                mp_raise_ValueError(MP_ERROR_TEXT("invalid mode"));
            }
        }
    }
    return args[0];
}
static MP_DEFINE_CONST_FUN_OBJ_KW(socket_makefile_obj, 1, socket_makefile);

static mp_obj_t socket_bind(mp_obj_t self_obj, mp_obj_t addr_obj) {
    struct far_mp_socket *self = MP_OBJ_TO_PTR(self_obj);
    struct far_addr addr;
    far_mp_addr_get(self, addr_obj, &addr);
    int ret;
    FAR_MP_CALL(ret, self, far_bind(near, self->sock, &addr));
    far_mp_check(ret);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_2(socket_bind_obj, socket_bind);

// listen([backlog])
static mp_obj_t socket_listen(size_t n_args, const mp_obj_t *args) {
    struct far_mp_socket *self = MP_OBJ_TO_PTR(args[0]);
    int backlog = BACKLOG_DEFAULT;
    if (n_args > 1 && args[1] != mp_const_none) {
        backlog = (int)far_mp_get_int(args[1], INT32_MIN, INT32_MAX);
        backlog = MAX(backlog, 0);
    }
    int ret;
    FAR_MP_CALL(ret, self, far_listen(near, self->sock, backlog));
    far_mp_check(ret);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(socket_listen_obj, 1, 2,
    socket_listen);

// accept(): (socket, address); the new socket is blocking
static mp_obj_t socket_accept(mp_obj_t self_obj) {
    struct far_mp_socket *self = MP_OBJ_TO_PTR(self_obj);
    // Memory first: a connection once taken cannot be given back.
    struct far_mp_socket *child = far_mp_socket_alloc();
    struct far_addr peer = {0};
    uint64_t deadline_ns = far_mp_deadline(self, 0);
    int ret;
    FAR_MP_CALL(ret, self, far_accept(near, self->sock, &peer, deadline_ns));
    far_mp_watch_again(self);
    if (ret < 0) {
        far_mp_raise(ret, deadline_ns);
    }
    // The listener's number holds a reference, unless it was closed just now:
    // then the connection, which nobody can close any more, went with it.
    if (!far_mp_link_ref(self->link)) {
        mp_raise_OSError(MP_EBADF);
    }
    far_mp_check(far_mp_socket_adopt(child, self->link, ret));
    mp_obj_t items[2] = {MP_OBJ_FROM_PTR(child), far_mp_addr_new(&peer)};
    return mp_obj_new_tuple(2, items);
}
static MP_DEFINE_CONST_FUN_OBJ_1(socket_accept_obj, socket_accept);

static int connect_to(struct far_mp_socket *self, mp_obj_t addr_obj,
    uint64_t *deadline_ns) {
    struct far_addr addr;
    *deadline_ns = far_mp_deadline(self, 0);
    far_mp_addr_get(self, addr_obj, &addr);
    int ret;
    FAR_MP_CALL(ret, self, far_connect(near, self->sock, &addr, *deadline_ns));
    return ret;
}

static mp_obj_t socket_connect(mp_obj_t self_obj, mp_obj_t addr_obj) {
    uint64_t deadline_ns;
    int ret = connect_to(MP_OBJ_TO_PTR(self_obj), addr_obj, &deadline_ns);
    if (ret < 0) {
        far_mp_raise(ret, deadline_ns);
    }
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_2(socket_connect_obj, socket_connect);

// connect_ex(address): the errno instead of an exception
static mp_obj_t socket_connect_ex(mp_obj_t self_obj, mp_obj_t addr_obj) {
    uint64_t deadline_ns;
    int ret = connect_to(MP_OBJ_TO_PTR(self_obj), addr_obj, &deadline_ns);
    return MP_OBJ_NEW_SMALL_INT(ret < 0 ? far_mp_errno(ret, deadline_ns) : 0);
}
static MP_DEFINE_CONST_FUN_OBJ_2(socket_connect_ex_obj, socket_connect_ex);

static mp_obj_t socket_shutdown(mp_obj_t self_obj, mp_obj_t how_obj) {
    struct far_mp_socket *self = MP_OBJ_TO_PTR(self_obj);
    int how = (int)far_mp_get_int(how_obj, INT32_MIN, INT32_MAX);
    int ret;
    FAR_MP_CALL(ret, self, far_shutdown(near, self->sock, how));
    far_mp_check(ret);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_2(socket_shutdown_obj, socket_shutdown);

static mp_obj_t socket_getsockname(mp_obj_t self_obj) {
    struct far_mp_socket *self = MP_OBJ_TO_PTR(self_obj);
    struct far_addr addr = {0};
    int ret;
    FAR_MP_CALL(ret, self, far_getsockname(near, self->sock, &addr));
    far_mp_check(ret);
    return far_mp_addr_new(&addr);
}
static MP_DEFINE_CONST_FUN_OBJ_1(socket_getsockname_obj, socket_getsockname);

static mp_obj_t socket_getpeername(mp_obj_t self_obj) {
    struct far_mp_socket *self = MP_OBJ_TO_PTR(self_obj);
    struct far_addr addr = {0};
    int ret;
    FAR_MP_CALL(ret, self, far_getpeername(near, self->sock, &addr));
    far_mp_check(ret);
    return far_mp_addr_new(&addr);
}
static MP_DEFINE_CONST_FUN_OBJ_1(socket_getpeername_obj, socket_getpeername);

// --- The type ---------------------------------------------------------------

static const mp_rom_map_elem_t socket_locals_table[] = {
#define M(name, obj)                                                           \
    { MP_ROM_QSTR(MP_QSTR_##name), MP_ROM_PTR(&(obj)) }
    M(recv, far_mp_recv_obj),
    M(send, far_mp_send_obj),
    M(read, far_mp_read_obj),
    M(readinto, far_mp_readinto_obj),
    M(readline, far_mp_readline_obj),
    M(write, far_mp_write_obj),
    M(recvfrom, far_mp_recvfrom_obj),
    M(sendto, far_mp_sendto_obj),
    M(sendall, far_mp_sendall_obj),
    M(recv_into, far_mp_recv_into_obj),
    M(recvfrom_into, far_mp_recvfrom_into_obj),
    M(readlines, far_mp_readlines_obj),
    M(accept, socket_accept_obj),
    M(connect, socket_connect_obj),
    M(connect_ex, socket_connect_ex_obj),
    M(bind, socket_bind_obj),
    M(listen, socket_listen_obj),
    M(shutdown, socket_shutdown_obj),
    M(close, socket_close_obj),
    M(detach, socket_detach_obj),
    M(fileno, socket_fileno_obj),
    M(makefile, socket_makefile_obj),
    M(getsockname, socket_getsockname_obj),
    M(getpeername, socket_getpeername_obj),
    M(setsockopt, far_mp_setsockopt_obj),
    M(getsockopt, far_mp_getsockopt_obj),
    M(settimeout, far_mp_settimeout_obj),
    M(gettimeout, far_mp_gettimeout_obj),
    M(setblocking, far_mp_setblocking_obj),
    M(getblocking, far_mp_getblocking_obj),
    M(__enter__, socket_enter_obj),
    M(__exit__, socket_exit_obj),
    M(__del__, socket_del_obj),
#undef M
};
static MP_DEFINE_CONST_DICT(socket_locals, socket_locals_table);

MP_DEFINE_CONST_OBJ_TYPE(far_mp_type_socket, MP_QSTR_socket, MP_TYPE_FLAG_NONE,
    make_new, socket_make_new, print, socket_print, attr, socket_attr, protocol,
    &far_mp_stream_p, locals_dict, &socket_locals);
