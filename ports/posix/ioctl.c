// ioctl() and getifaddrs() with the host's structures.
// SPDX-License-Identifier: MIT
#include "farsock/posix.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "ports/posix/guard.h"

// Several are read at once; there may be more, and more the next time.
#define FIRST_GUESS 64u

#define CONF_MAX (128 * (int)sizeof(struct ifreq)) // bytes of SIOCGIFCONF

static struct far_ifaddr *get_all(struct far_link *l, int *count) {
    size_t room = FIRST_GUESS;
    for (;;) {
        struct far_ifaddr *all = calloc(room, sizeof *all);
        *count = all ? far_getifaddrs(l, all, room) : FAR_ENOMEM;
        if (*count >= 0 && (size_t)*count <= room) {
            return all;
        }
        free(all);
        if (*count < 0) {
            return NULL;
        }
        room = (size_t)*count;
    }
}

// --- ioctl ---

// As natively: one entry for each IPv4 address; without a buffer, their bytes.
static int conf(struct far_link *l, struct ifconf *c) {
    int count = 0;
    struct far_ifaddr *all = get_all(l, &count);
    int used = 0;
    for (int i = 0; i < count; i++) {
        struct ifreq r = {0};
        struct sockaddr_storage ss;
        if (all[i].addr.family != FAR_AF_INET) {
            continue;
        }
        memcpy(r.ifr_name, all[i].name, sizeof r.ifr_name);
        far_posix_sockaddr(&all[i].addr, &ss);
        memcpy(&r.ifr_addr, &ss, sizeof r.ifr_addr);
        if (c->ifc_buf && c->ifc_len - used < (int)sizeof r) {
            break;
        }
        if (c->ifc_buf) {
            memcpy(c->ifc_buf + used, &r, sizeof r);
        }
        used += (int)sizeof r;
    }
    free(all);
    if (count >= 0) {
        c->ifc_len = used;
    }
    return count < 0 ? count : 0;
}

static void put_result(unsigned long request, struct ifreq *r,
    const struct far_ifreq *f) {
    struct sockaddr_storage ss;
    switch (request) {
        case SIOCGIFNAME:
            memcpy(r->ifr_name, f->name, sizeof r->ifr_name);
            break;
        case SIOCGIFADDR:
        case SIOCGIFDSTADDR:
        case SIOCGIFBRDADDR:
        case SIOCGIFNETMASK:
            far_posix_sockaddr(&f->addr, &ss);
            memcpy(&r->ifr_addr, &ss, sizeof r->ifr_addr);
            break;
        case SIOCGIFHWADDR:
            r->ifr_hwaddr.sa_family = f->hw_type;
            memcpy(r->ifr_hwaddr.sa_data, f->hw, sizeof r->ifr_hwaddr.sa_data);
            break;
        case SIOCGIFFLAGS:
            r->ifr_flags = (short)f->value;
            break;
        default:
            r->ifr_ifindex = f->value;
            break;
    }
}

static int interface(struct far_link *l, int sock, unsigned long request,
    struct ifreq *r) {
    struct far_ifreq f = {0};
    memcpy(f.name, r->ifr_name, sizeof f.name);
    if (request == SIOCGIFNAME) {
        f.value = r->ifr_ifindex;
    }
    int err = far_ioctl(l, sock, (uint32_t)request, &f);
    if (err >= 0) {
        put_result(request, r, &f);
    }
    return err;
}

int far_posix_ioctl(struct far_link *l, int sock, unsigned long request,
    void *arg) {
    struct far_ifreq f = {0};
    int err = FAR_OK;
    uint32_t ignored = 0;
    switch (request) {
        case FIONREAD:
        case SIOCOUTQ:
        case SIOCOUTQNSD:
        case SIOCATMARK:
            err = far_ioctl(l, sock, (uint32_t)request, &f);
            if (err >= 0) {
                *(int *)arg = f.value;
            }
            return err;
        case SIOCGIFCONF:
            err = far_sockinfo(l, sock, &ignored, &ignored, &ignored);
            return err < 0 ? err : conf(l, arg);
        case SIOCGIFNAME:
        case SIOCGIFADDR:
        case SIOCGIFDSTADDR:
        case SIOCGIFBRDADDR:
        case SIOCGIFNETMASK:
        case SIOCGIFHWADDR:
        case SIOCGIFFLAGS:
        case SIOCGIFMETRIC:
        case SIOCGIFMTU:
        case SIOCGIFINDEX:
        case SIOCGIFTXQLEN:
            return interface(l, sock, request, arg);
        default:
            err = far_sockinfo(l, sock, &ignored, &ignored, &ignored);
            return err < 0 ? err : FAR_ENOTTY;
    }
}

static bool is_about_bytes(unsigned long request) {
    return request == FIONREAD || request == SIOCOUTQ ||
           request == SIOCOUTQNSD || request == SIOCATMARK;
}

static bool is_about_interface(unsigned long request) {
    return request >= SIOCGIFNAME && request <= SIOCGIFTXQLEN;
}

// The caller's buffer by way of one of ours.
static int conf_at(struct far_link *l, int sock, void *arg) {
    char list[CONF_MAX];
    struct ifconf c;
    if (!far_guard_copy(&c, arg, sizeof c)) {
        return FAR_EFAULT;
    }
    char *to = c.ifc_buf;
    c.ifc_buf = to ? list : NULL;
    c.ifc_len = c.ifc_len < CONF_MAX ? c.ifc_len : CONF_MAX;
    int err = far_posix_ioctl(l, sock, SIOCGIFCONF, &c);
    if (err < 0 || (to && !far_guard_copy(to, list, (size_t)c.ifc_len))) {
        return err < 0 ? err : FAR_EFAULT;
    }
    c.ifc_buf = to;
    return far_guard_copy(arg, &c, sizeof c) ? FAR_OK : FAR_EFAULT;
}

int far_posix_ioctl_at(struct far_link *l, int sock, unsigned long request,
    void *arg) {
    struct ifreq r = {0};
    bool is_int = is_about_bytes(request);
    if (request == SIOCGIFCONF) {
        return conf_at(l, sock, arg);
    }
    if (!is_int && !far_guard_copy(&r, arg, sizeof r)) {
        // A request that nobody knows is one whatever its argument.
        return is_about_interface(request) ? FAR_EFAULT : FAR_ENOTTY;
    }
    int err = far_posix_ioctl(l, sock, request, &r);
    if (err < 0) {
        return err;
    }
    return far_guard_copy(arg, &r, is_int ? sizeof(int) : sizeof r)
               ? FAR_OK
               : FAR_EFAULT;
}

// --- getifaddrs ---

struct entry {
    struct ifaddrs ifa; // first: what is freed is the array of these
    char name[FAR_IF_NAME];
    struct sockaddr_storage addr, netmask, other;
};

static struct sockaddr *addr_of(const struct far_addr *a,
    struct sockaddr_storage *ss) {
    if (!a->family) {
        return NULL;
    }
    far_posix_sockaddr(a, ss);
    return (struct sockaddr *)ss;
}

static void fill(struct entry *e, const struct far_ifaddr *f) {
    memcpy(e->name, f->name, sizeof e->name);
    e->ifa.ifa_name = e->name;
    e->ifa.ifa_flags = f->flags;
    e->ifa.ifa_addr = addr_of(&f->addr, &e->addr);
    e->ifa.ifa_netmask = addr_of(&f->netmask, &e->netmask);
    e->ifa.ifa_broadaddr = addr_of(&f->other, &e->other);
    if (!f->addr.family) {
        struct sockaddr_ll ll = {
            .sll_family = AF_PACKET,
            .sll_ifindex = (int)f->index,
            .sll_hatype = f->hw_type,
            .sll_halen = (uint8_t)f->hw_len,
        };
        memcpy(ll.sll_addr, f->hw, sizeof ll.sll_addr);
        memcpy(&e->addr, &ll, sizeof ll);
        e->ifa.ifa_addr = (struct sockaddr *)&e->addr;
    }
}

int far_posix_getifaddrs(struct far_link *l, struct ifaddrs **out) {
    int count = 0;
    struct far_ifaddr *all = get_all(l, &count);
    struct entry *entries =
        count > 0 ? calloc((size_t)count, sizeof *entries) : NULL;
    *out = NULL;
    if (count > 0 && !entries) {
        count = FAR_ENOMEM;
    }
    for (int i = 0; i < count; i++) {
        fill(&entries[i], &all[i]);
        entries[i].ifa.ifa_next = i + 1 < count ? &entries[i + 1].ifa : NULL;
    }
    if (entries) {
        *out = &entries->ifa;
    }
    free(all);
    return count < 0 ? count : 0;
}

void far_posix_freeifaddrs(struct ifaddrs *list) {
    free(list);
}
