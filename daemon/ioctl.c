// ioctl(): an allowlist, and the far core's interfaces.
// SPDX-License-Identifier: MIT
#include "daemon/core.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sys/ioctl.h>

#include "daemon/gate.h"
#include "daemon/translate.h"
#include "farsock/posix.h"
#include "farsock/proto.h"

// What is in a struct ifreq beside the name.
enum part { NUMBER, NAME, ADDR, HW, VALUE };

static const struct {
    uint32_t far;
    unsigned long host;
    enum part out;
} requests[] = {
    {FAR_FIONREAD, FIONREAD, NUMBER},
    {FAR_SIOCOUTQ, SIOCOUTQ, NUMBER},
    {FAR_SIOCOUTQNSD, SIOCOUTQNSD, NUMBER},
    {FAR_SIOCATMARK, SIOCATMARK, NUMBER},
    {FAR_SIOCGIFNAME, SIOCGIFNAME, NAME},
    {FAR_SIOCGIFFLAGS, SIOCGIFFLAGS, VALUE},
    {FAR_SIOCGIFMETRIC, SIOCGIFMETRIC, VALUE},
    {FAR_SIOCGIFMTU, SIOCGIFMTU, VALUE},
    {FAR_SIOCGIFINDEX, SIOCGIFINDEX, VALUE},
    {FAR_SIOCGIFTXQLEN, SIOCGIFTXQLEN, VALUE},
    {FAR_SIOCGIFADDR, SIOCGIFADDR, ADDR},
    {FAR_SIOCGIFDSTADDR, SIOCGIFDSTADDR, ADDR},
    {FAR_SIOCGIFBRDADDR, SIOCGIFBRDADDR, ADDR},
    {FAR_SIOCGIFNETMASK, SIOCGIFNETMASK, ADDR},
    {FAR_SIOCGIFHWADDR, SIOCGIFHWADDR, HW},
};

static void copy_name(char *to, const char *from) {
    memset(to, 0, FAR_IF_NAME);
    memcpy(to, from, strnlen(from, FAR_IF_NAME - 1u));
}

static void take_out(struct far_ifreq *arg, const struct ifreq *r,
    unsigned long host, enum part part) {
    switch (part) {
        case NAME:
            copy_name(arg->name, r->ifr_name);
            break;
        case ADDR:
            far_posix_addr(&arg->addr, &r->ifr_addr, sizeof r->ifr_addr);
            break;
        case HW:
            arg->hw_type = r->ifr_hwaddr.sa_family;
            arg->hw_len = sizeof r->ifr_hwaddr.sa_data;
            memcpy(arg->hw, r->ifr_hwaddr.sa_data, arg->hw_len);
            break;
        case VALUE:
        case NUMBER:
        default:
            // Flags are a short within the union.
            arg->value =
                host == SIOCGIFFLAGS ? (uint16_t)r->ifr_flags : r->ifr_ifindex;
            break;
    }
}

static int32_t do_interface(struct sock *s, struct far_ifreq *arg,
    unsigned long host, enum part part) {
    struct ifreq r = {0};
    copy_name(r.ifr_name, arg->name);
    if (part == NAME) {
        r.ifr_ifindex = arg->value;
    }
    if (ioctl(s->fd, host, &r) < 0) {
        return far_errno(errno);
    }
    take_out(arg, &r, host, part);
    return FAR_OK;
}

int32_t ioctl_do(struct sock *s, uint32_t request, struct far_ifreq *arg) {
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        if (requests[i].far != request) {
            continue;
        }
        if (s->fd < 0) {
            return FAR_EBADF;
        }
        if (requests[i].out != NUMBER) {
            int32_t refused = far_errno(gate_interfaces(s->link));
            if (refused != FAR_OK) {
                return refused;
            }
            return do_interface(s, arg, requests[i].host, requests[i].out);
        }
        int value = 0;
        int32_t r = far_result(ioctl(s->fd, requests[i].host, &value));
        arg->value = value;
        return r;
    }
    return FAR_ENOTTY;
}

// --- Interfaces ---

static void copy_addr(struct far_addr *to, const struct sockaddr *sa) {
    socklen_t len = sizeof(struct sockaddr_in);
    if (sa) {
        len = sa->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : len;
        far_posix_addr(to, sa, len);
    }
}

static void copy_entry(struct far_ifaddr *to, const struct ifaddrs *from) {
    memset(to, 0, sizeof *to);
    copy_name(to->name, from->ifa_name);
    to->flags = from->ifa_flags;
    copy_addr(&to->addr, from->ifa_addr);
    copy_addr(&to->netmask, from->ifa_netmask);
    if (from->ifa_addr && from->ifa_addr->sa_family == AF_PACKET) {
        struct sockaddr_ll ll;
        memcpy(&ll, from->ifa_addr, sizeof ll);
        to->index = (uint32_t)ll.sll_ifindex;
        to->hw_type = ll.sll_hatype;
        to->hw_len = ll.sll_halen;
        memcpy(to->hw, ll.sll_addr, sizeof ll.sll_addr);
    } else {
        to->index = if_nametoindex(from->ifa_name);
        copy_addr(&to->other, from->ifa_broadaddr);
    }
}

int32_t ioctl_ifaddrs(struct far_ifaddr **out, uint32_t *len) {
    struct ifaddrs *list = NULL;
    size_t count = 0;
    *out = NULL;
    *len = 0;
    if (getifaddrs(&list) < 0) {
        return far_errno(errno);
    }
    for (const struct ifaddrs *i = list; i; i = i->ifa_next) {
        count++;
    }
    *out = calloc(count + 1u, sizeof **out);
    count = 0;
    for (const struct ifaddrs *i = list; *out && i; i = i->ifa_next) {
        copy_entry(&(*out)[count++], i);
    }
    freeifaddrs(list);
    *len = (uint32_t)(count * sizeof **out);
    return *out ? (int32_t)count : FAR_ENOMEM;
}

int32_t ioctl_ifname(struct far_req_ifname *arg) {
    char name[IF_NAMESIZE] = "";
    if (arg->index) {
        if (!if_indextoname(arg->index, name)) {
            return far_errno(errno);
        }
        copy_name(arg->name, name);
        return FAR_OK;
    }
    copy_name(name, arg->name);
    arg->index = if_nametoindex(name);
    return arg->index ? FAR_OK : far_errno(errno);
}
