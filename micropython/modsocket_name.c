// Names: getaddrinfo() and its relatives, answered by the far core's resolver.
// SPDX-License-Identifier: MIT

#include "modsocket.h"

#include <string.h>

#include "py/objstr.h"
#include "py/runtime.h"

#define HOST_MAX    1025 // NI_MAXHOST
#define SERVICE_MAX 32   // NI_MAXSERV

// Goes on if the lookup was interrupted, or its link turned out to be dead:
// then there is a new one, or opening it says what is wrong.
static bool is_to_be_repeated(struct far_mp_link *link, int eai, int sys) {
    bool down = !far_link_is_up(far_mp_link_near(link));
    far_mp_link_unref(link);
    if (eai != FAR_EAI_SYSTEM) {
        return false;
    }
    return sys == FAR_EINTR ? far_mp_go_on() : down;
}

static struct far_mp_link *open_link(void) {
    struct far_mp_link *link;
    int err;
    do {
        MP_THREAD_GIL_EXIT();
        err = far_mp_link_open(&link);
        MP_THREAD_GIL_ENTER();
    } while (err == FAR_EINTR && far_mp_go_on());
    far_mp_check(err);
    return link;
}

static void check(int eai, int sys) {
    if (eai == FAR_EAI_SYSTEM) {
        far_mp_raise(sys, FAR_NOWAIT);
    }
    if (eai != 0) {
        // Negative, so that it cannot be taken for an errno.
        mp_raise_OSError(eai);
    }
}

static void ask(struct far_mp_names *names, size_t room, const char *host,
    const char *service, const struct far_req_getaddrinfo *hints) {
    struct far_mp_link *link;
    int eai, sys = FAR_EIO;
    do {
        link = open_link();
        MP_THREAD_GIL_EXIT();
        eai = far_getaddrinfo(far_mp_link_near(link), host, service, hints,
            names->entries, room, &names->result, &sys, FAR_FOREVER);
        MP_THREAD_GIL_ENTER();
    } while (is_to_be_repeated(link, eai, sys));
    check(eai, sys);
}

void far_mp_names_get(struct far_mp_names *names, const char *host,
    const char *service, const struct far_req_getaddrinfo *hints) {
    size_t room = MP_ARRAY_SIZE(names->few);
    names->entries = names->few;
    ask(names, room, host, service, hints);
    while (names->result.count > room) {
        // Rare, and not the same answer again: it may have grown.
        room = names->result.count;
        names->entries = m_new(struct far_gai_entry, room);
        ask(names, room, host, service, hints);
    }
    names->count = names->result.count;
}

const char *far_mp_get_name(mp_obj_t obj) {
    if (obj == mp_const_none) {
        return NULL;
    }
    if (!mp_obj_is_str_or_bytes(obj)) {
        mp_raise_TypeError(MP_ERROR_TEXT("name must be a str or bytes"));
    }
    size_t len;
    const char *text = mp_obj_str_get_data(obj, &len);
    if (strlen(text) != len) {
        mp_raise_ValueError(MP_ERROR_TEXT("embedded null character"));
    }
    return text;
}

// --- getaddrinfo ------------------------------------------------------------

// A port as text, which is what getaddrinfo takes.
static const char *get_service(mp_obj_t port, char text[24]) {
    if (!mp_obj_is_int(port)) {
        return far_mp_get_name(port);
    }
    // Also what no port can be: the resolver says so (EAI_SERVICE).
    mp_int_t value =
        far_mp_get_int(port, -1 - MP_SMALL_INT_MAX, MP_SMALL_INT_MAX);
    mp_uint_t rest = value < 0 ? -(mp_uint_t)value : (mp_uint_t)value;
    char *p = text + 24;
    *--p = '\0';
    do {
        *--p = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (value < 0) {
        *--p = '-';
    }
    return p;
}

static mp_obj_t entry_new(const struct far_gai_entry *entry,
    const char *canon) {
    bool is_named = canon != NULL && canon[0] != '\0';
    mp_obj_t items[5] = {
        MP_OBJ_NEW_SMALL_INT(entry->addr.family),
        MP_OBJ_NEW_SMALL_INT(entry->type),
        MP_OBJ_NEW_SMALL_INT(entry->proto),
        is_named ? mp_obj_new_str(canon, strlen(canon)) : mp_const_none,
        far_mp_addr_new(&entry->addr),
    };
    return mp_obj_new_tuple(MP_ARRAY_SIZE(items), items);
}

// getaddrinfo(host, port, family=0, type=0, proto=0, flags=0)
static mp_obj_t getaddrinfo_fun(size_t n_args, const mp_obj_t *pos_args,
    mp_map_t *kw_args) {
    enum { ARG_host, ARG_port, ARG_family, ARG_type, ARG_proto, ARG_flags };
    static const mp_arg_t allowed[] = {
        {MP_QSTR_host, MP_ARG_REQUIRED | MP_ARG_OBJ, {0}},
        {MP_QSTR_port, MP_ARG_REQUIRED | MP_ARG_OBJ, {0}},
        {MP_QSTR_family, MP_ARG_OBJ, {.u_rom_obj = MP_ROM_INT(0)}},
        {MP_QSTR_type, MP_ARG_OBJ, {.u_rom_obj = MP_ROM_INT(0)}},
        {MP_QSTR_proto, MP_ARG_OBJ, {.u_rom_obj = MP_ROM_INT(0)}},
        {MP_QSTR_flags, MP_ARG_OBJ, {.u_rom_obj = MP_ROM_INT(0)}},
    };
    mp_arg_val_t args[MP_ARRAY_SIZE(allowed)];
    mp_arg_parse_all(n_args, pos_args, kw_args, MP_ARRAY_SIZE(allowed), allowed,
        args);
    char text[24];
    const char *host = far_mp_get_name(args[ARG_host].u_obj);
    const char *service = get_service(args[ARG_port].u_obj, text);
    struct far_req_getaddrinfo hints = {
        .family = (int32_t)far_mp_get_u32(args[ARG_family].u_obj),
        .type = (int32_t)far_mp_get_u32(args[ARG_type].u_obj),
        .proto = (int32_t)far_mp_get_u32(args[ARG_proto].u_obj),
        .flags = far_mp_get_u32(args[ARG_flags].u_obj),
    };
    if (host != NULL && host[0] == '\0') {
        // The any address, as in a tuple and as in other ports.
        host = NULL;
        hints.flags |= FAR_AI_PASSIVE;
    }
    struct far_mp_names names;
    far_mp_names_get(&names, host, service, &hints);
    mp_obj_t list = mp_obj_new_list(0, NULL);
    for (size_t i = 0; i < names.count; i++) {
        const char *canon = i == 0 ? names.result.canon : NULL;
        mp_obj_list_append(list, entry_new(&names.entries[i], canon));
    }
    return list;
}
MP_DEFINE_CONST_FUN_OBJ_KW(far_mp_getaddrinfo_obj, 0, getaddrinfo_fun);

// gethostbyname(host): an IPv4 address as text
static mp_obj_t gethostbyname_fun(mp_obj_t host_obj) {
    const char *host = far_mp_get_name(host_obj);
    struct far_req_getaddrinfo hints = {
        .family = FAR_AF_INET,
        .type = FAR_SOCK_STREAM,
    };
    if (host != NULL && host[0] == '\0') {
        host = "0.0.0.0";
    }
    struct far_mp_names names;
    far_mp_names_get(&names, host, NULL, &hints);
    char text[FAR_INET_TEXT] = "";
    if (names.count > 0) {
        far_inet_ntop(FAR_AF_INET, names.entries[0].addr.ip, text);
    }
    return mp_obj_new_str(text, strlen(text));
}
MP_DEFINE_CONST_FUN_OBJ_1(far_mp_gethostbyname_obj, gethostbyname_fun);

// --- getnameinfo ------------------------------------------------------------

// A numeric address of either family, as getnameinfo() takes it.
static void get_numeric(mp_obj_t obj, struct far_addr *addr) {
    struct far_mp_socket any = {.family = FAR_AF_INET};
    size_t n;
    mp_obj_t *items;
    mp_buffer_info_t packed;
    if (mp_obj_is_type(obj, &mp_type_tuple)) {
        mp_obj_get_array(obj, &n, &items);
        const char *host = n > 0 ? far_mp_get_name(items[0]) : NULL;
        if (n > 2 || (host != NULL && strchr(host, ':') != NULL)) {
            any.family = FAR_AF_INET6;
        }
    } else if (!mp_get_buffer(obj, &packed, MP_BUFFER_READ)) {
        mp_raise_TypeError(MP_ERROR_TEXT("address must be a tuple or bytes"));
    }
    far_mp_addr_get(&any, obj, addr);
}

// getnameinfo(sockaddr, flags): (host, service)
static mp_obj_t getnameinfo_fun(mp_obj_t addr_obj, mp_obj_t flags_obj) {
    struct far_addr addr;
    uint32_t flags = far_mp_get_u32(flags_obj);
    get_numeric(addr_obj, &addr);
    char host[HOST_MAX], service[SERVICE_MAX];
    struct far_mp_link *link;
    int eai, sys = FAR_EIO;
    do {
        link = open_link();
        MP_THREAD_GIL_EXIT();
        eai = far_getnameinfo(far_mp_link_near(link), &addr, flags, host,
            sizeof(host), service, sizeof(service), &sys, FAR_FOREVER);
        MP_THREAD_GIL_ENTER();
    } while (is_to_be_repeated(link, eai, sys));
    check(eai, sys);
    mp_obj_t items[2] = {
        mp_obj_new_str(host, strlen(host)),
        mp_obj_new_str(service, strlen(service)),
    };
    return mp_obj_new_tuple(2, items);
}
MP_DEFINE_CONST_FUN_OBJ_2(far_mp_getnameinfo_obj, getnameinfo_fun);
