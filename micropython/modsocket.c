// The module `socket`: its functions, and the table of all that it has.
// SPDX-License-Identifier: MIT

#include "modsocket.h"

#include <string.h>

#include "py/mperrno.h"
#include "py/runtime.h"

// --- create_connection ------------------------------------------------------

struct attempt {
    int64_t timeout_ns;
    mp_obj_t source; // address to bind to, or None
};

// A connected socket, or why there is none.
static int try_entry(struct far_mp_socket *self, const struct attempt *how,
    const struct far_gai_entry *entry) {
    int ret = far_mp_socket_open(self, entry->addr.family,
        (uint32_t)entry->type, (uint32_t)entry->proto);
    if (ret < 0) {
        return ret;
    }
    self->timeout_ns = how->timeout_ns;
    if (how->source != mp_const_none) {
        struct far_addr source;
        far_mp_addr_get(self, how->source, &source);
        FAR_MP_CALL(ret, self, far_bind(near, self->sock, &source));
        if (ret < 0) {
            return ret;
        }
    }
    uint64_t deadline_ns = far_mp_deadline(self, 0);
    FAR_MP_CALL(ret, self,
        far_connect(near, self->sock, &entry->addr, deadline_ns));
    return ret < 0 ? -far_mp_errno(ret, deadline_ns) : ret;
}

static void get_names(mp_obj_t addr_obj, struct far_mp_names *names) {
    size_t n;
    mp_obj_t *items;
    mp_obj_get_array(addr_obj, &n, &items);
    if (n < 2) {
        mp_raise_TypeError(MP_ERROR_TEXT("address must be (host, port)"));
    }
    const char *host = far_mp_get_name(items[0]);
    uint16_t port = (uint16_t)far_mp_get_int(items[1], 0, 0xffff);
    struct far_req_getaddrinfo hints = {.type = FAR_SOCK_STREAM};
    // An empty name is this host: the lookup's answer without a name.
    host = host != NULL && host[0] == '\0' ? NULL : host;
    far_mp_names_get(names, host, "0", &hints);
    for (size_t i = 0; i < names->count; i++) {
        names->entries[i].addr.port = port;
    }
}

// create_connection(address, timeout=None, source_address=None)
static mp_obj_t create_connection(size_t n_args, const mp_obj_t *pos_args,
    mp_map_t *kw_args) {
    enum { ARG_address, ARG_timeout, ARG_source };
    static const mp_arg_t allowed[] = {
        {MP_QSTR_address, MP_ARG_REQUIRED | MP_ARG_OBJ, {0}},
        {MP_QSTR_timeout, MP_ARG_OBJ, {.u_rom_obj = MP_ROM_NONE}},
        {MP_QSTR_source_address, MP_ARG_OBJ, {.u_rom_obj = MP_ROM_NONE}},
    };
    mp_arg_val_t args[MP_ARRAY_SIZE(allowed)];
    mp_arg_parse_all(n_args, pos_args, kw_args, MP_ARRAY_SIZE(allowed), allowed,
        args);
    struct attempt how = {
        .timeout_ns = far_mp_get_timeout(args[ARG_timeout].u_obj),
        .source = args[ARG_source].u_obj,
    };
    struct far_mp_names names;
    get_names(args[ARG_address].u_obj, &names);
    int err = FAR_EINVAL;
    for (size_t i = 0; i < names.count; i++) {
        struct far_mp_socket *self = far_mp_socket_alloc();
        err = try_entry(self, &how, &names.entries[i]);
        if (err >= 0) {
            return MP_OBJ_FROM_PTR(self);
        }
        far_mp_socket_close(self);
    }
    far_mp_raise(err, FAR_NOWAIT);
}
static MP_DEFINE_CONST_FUN_OBJ_KW(create_connection_obj, 0, create_connection);

// --- Numbers and text -------------------------------------------------------

static size_t ip_size(uint32_t family) {
    if (family != FAR_AF_INET && family != FAR_AF_INET6) {
        far_mp_raise(FAR_EAFNOSUPPORT, FAR_NOWAIT);
    }
    return family == FAR_AF_INET ? 4 : 16;
}

static mp_obj_t inet_pton(mp_obj_t family_obj, mp_obj_t text_obj) {
    uint8_t ip[16];
    uint32_t family = far_mp_get_u32(family_obj);
    size_t size = ip_size(family);
    if (far_inet_pton(family, mp_obj_str_get_str(text_obj), ip) != 1) {
        mp_raise_OSError(MP_EINVAL);
    }
    return mp_obj_new_bytes(ip, size);
}
static MP_DEFINE_CONST_FUN_OBJ_2(inet_pton_obj, inet_pton);

static mp_obj_t ip_text(const uint8_t *ip, size_t size) {
    char text[FAR_INET_TEXT];
    int len = far_inet_ntop(size == 4 ? FAR_AF_INET : FAR_AF_INET6, ip, text);
    return mp_obj_new_str(text, (size_t)len);
}

static const uint8_t *get_ip(mp_obj_t obj, size_t size) {
    mp_buffer_info_t buf;
    mp_get_buffer_raise(obj, &buf, MP_BUFFER_READ);
    if (buf.len != size) {
        mp_raise_ValueError(MP_ERROR_TEXT("packed address has a wrong length"));
    }
    return buf.buf;
}

static mp_obj_t inet_ntop(mp_obj_t family_obj, mp_obj_t ip_obj) {
    size_t size = ip_size(far_mp_get_u32(family_obj));
    return ip_text(get_ip(ip_obj, size), size);
}
static MP_DEFINE_CONST_FUN_OBJ_2(inet_ntop_obj, inet_ntop);

static mp_obj_t inet_aton(mp_obj_t text_obj) {
    return inet_pton(MP_OBJ_NEW_SMALL_INT(FAR_AF_INET), text_obj);
}
static MP_DEFINE_CONST_FUN_OBJ_1(inet_aton_obj, inet_aton);

static mp_obj_t inet_ntoa(mp_obj_t ip_obj) {
    return ip_text(get_ip(ip_obj, 4), 4);
}
static MP_DEFINE_CONST_FUN_OBJ_1(inet_ntoa_obj, inet_ntoa);

static bool is_little_endian(void) {
    const uint16_t one = 1;
    return *(const uint8_t *)&one == 1;
}

// Both ways are the same.
static mp_obj_t swap16(mp_obj_t obj) {
    mp_int_t v = far_mp_get_int(obj, 0, 0xffff);
    return MP_OBJ_NEW_SMALL_INT(is_little_endian() ? (v >> 8 | v << 8) & 0xffff
                                                   : v);
}
static MP_DEFINE_CONST_FUN_OBJ_1(swap16_obj, swap16);

static mp_obj_t swap32(mp_obj_t obj) {
    uint32_t v = far_mp_get_u32(obj);
    uint32_t swapped =
        v >> 24 | (v >> 8 & 0xff00) | (v & 0xff00) << 8 | v << 24;
    return mp_obj_new_int_from_uint(is_little_endian() ? swapped : v);
}
static MP_DEFINE_CONST_FUN_OBJ_1(swap32_obj, swap32);

// --- sockaddr ---------------------------------------------------------------

static void get_packed(mp_obj_t obj, struct far_addr *addr) {
    mp_buffer_info_t buf;
    if (mp_obj_is_str(obj) || !mp_get_buffer(obj, &buf, MP_BUFFER_READ)) {
        mp_raise_TypeError(MP_ERROR_TEXT("a packed address must be bytes"));
    }
    far_mp_check(far_mp_addr_unpack(buf.buf, buf.len, addr));
}

// sockaddr(packed): (family, ip, port[, flowinfo, scope]), ip being bytes
static mp_obj_t sockaddr(mp_obj_t packed) {
    struct far_addr addr;
    get_packed(packed, &addr);
    mp_obj_t items[5] = {MP_OBJ_NEW_SMALL_INT(addr.family)};
    if (addr.family != FAR_AF_INET && addr.family != FAR_AF_INET6) {
        mp_buffer_info_t buf;
        mp_get_buffer_raise(packed, &buf, MP_BUFFER_READ);
        items[1] = mp_obj_new_bytes((byte *)buf.buf + 2, buf.len - 2);
        return mp_obj_new_tuple(2, items);
    }
    bool v6 = addr.family == FAR_AF_INET6;
    items[1] = mp_obj_new_bytes(addr.ip, v6 ? 16 : 4);
    items[2] = MP_OBJ_NEW_SMALL_INT(addr.port);
    items[3] = mp_obj_new_int_from_uint(addr.flowinfo);
    items[4] = mp_obj_new_int_from_uint(addr.scope);
    return mp_obj_new_tuple(v6 ? 5 : 3, items);
}
static MP_DEFINE_CONST_FUN_OBJ_1(sockaddr_obj, sockaddr);

// --- The module -------------------------------------------------------------

static const mp_rom_map_elem_t socket_globals_table[] = {
    {MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_socket)},
    {MP_ROM_QSTR(MP_QSTR_socket), MP_ROM_PTR(&far_mp_type_socket)},
    {MP_ROM_QSTR(MP_QSTR_getaddrinfo), MP_ROM_PTR(&far_mp_getaddrinfo_obj)},
    {MP_ROM_QSTR(MP_QSTR_create_connection),
        MP_ROM_PTR(&create_connection_obj)},
    {MP_ROM_QSTR(MP_QSTR_inet_pton), MP_ROM_PTR(&inet_pton_obj)},
    {MP_ROM_QSTR(MP_QSTR_inet_ntop), MP_ROM_PTR(&inet_ntop_obj)},
    {MP_ROM_QSTR(MP_QSTR_inet_aton), MP_ROM_PTR(&inet_aton_obj)},
    {MP_ROM_QSTR(MP_QSTR_inet_ntoa), MP_ROM_PTR(&inet_ntoa_obj)},
    {MP_ROM_QSTR(MP_QSTR_htons), MP_ROM_PTR(&swap16_obj)},
    {MP_ROM_QSTR(MP_QSTR_ntohs), MP_ROM_PTR(&swap16_obj)},
    {MP_ROM_QSTR(MP_QSTR_htonl), MP_ROM_PTR(&swap32_obj)},
    {MP_ROM_QSTR(MP_QSTR_ntohl), MP_ROM_PTR(&swap32_obj)},
    {MP_ROM_QSTR(MP_QSTR_sockaddr), MP_ROM_PTR(&sockaddr_obj)},
    {MP_ROM_QSTR(MP_QSTR_getnameinfo), MP_ROM_PTR(&far_mp_getnameinfo_obj)},
    {MP_ROM_QSTR(MP_QSTR_gethostbyname), MP_ROM_PTR(&far_mp_gethostbyname_obj)},
    {MP_ROM_QSTR(MP_QSTR_has_ipv6), MP_ROM_TRUE},
#define C(name, value) {MP_ROM_QSTR(MP_QSTR_##name), MP_ROM_INT(value)},
#include "modsocket_const.h"
#undef C
};
static MP_DEFINE_CONST_DICT(socket_globals, socket_globals_table);

const mp_obj_module_t far_mp_module_socket = {
    .base = {&mp_type_module},
    .globals = (mp_obj_dict_t *)&socket_globals,
};

// Extensible: a socket.py in sys.path comes first, and `usocket` is this one.
MP_REGISTER_EXTENSIBLE_MODULE(MP_QSTR_socket, far_mp_module_socket);
