// The shell's ioctl, and interfaces.
// SPDX-License-Identifier: MIT
#ifndef SHELL_IF_H
#define SHELL_IF_H

#include "shell.h"

// NAME REQUEST: one that gives a number.
static void call_ioctl(struct call *c) {
    char text[20];
    int value = -1;
    int r = net->ioctl(sock(c)->sock, strtoul(word(c, 2), NULL, 0), &value);
    snprintf(text, sizeof text, "%d", value);
    answer(c, r, text);
}

// NAME REQUEST INTERFACE|INDEX: one of struct ifreq.
static void call_ifreq(struct call *c) {
    unsigned long request = strtoul(word(c, 2), NULL, 0);
    struct ifreq r = {0};
    char text[200];
    snprintf(r.ifr_name, sizeof r.ifr_name, "%s", word(c, 3));
    if (request == SIOCGIFNAME) {
        r.ifr_ifindex = number(c, 3);
    }
    int err = net->ioctl(sock(c)->sock, request, &r);
    size_t used = (size_t)snprintf(text, sizeof text, "%s ", r.ifr_name);
    for (size_t i = 0; i < sizeof r.ifr_addr; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used, "%02x",
            ((uint8_t *)&r.ifr_addr)[i]);
    }
    answer(c, err, text);
}

// NAME BYTES: SIOCGIFCONF with that much room, 0: none.
static void call_ifconf(struct call *c) {
    struct ifreq r[16];
    struct ifconf conf = {.ifc_len = number(c, 2)};
    char text[200] = "";
    conf.ifc_req = conf.ifc_len ? r : NULL;
    int err = net->ioctl(sock(c)->sock, SIOCGIFCONF, &conf);
    size_t used = (size_t)snprintf(text, sizeof text, "%d bytes", conf.ifc_len);
    for (int i = 0; conf.ifc_req && i < conf.ifc_len / (int)sizeof *r; i++) {
        struct sockaddr_in in;
        memcpy(&in, &r[i].ifr_addr, sizeof in);
        used += (size_t)snprintf(text + used, sizeof text - used, " %s %08x",
            r[i].ifr_name, (unsigned)ntohl(in.sin_addr.s_addr));
    }
    answer(c, err, text);
}

static size_t sockaddr_text(char *out, size_t size, const char *what,
    const struct sockaddr *sa) {
    struct sockaddr_storage ss = {0};
    struct far_addr a;
    char text[80];
    if (!sa || (sa->sa_family != AF_INET && sa->sa_family != AF_INET6)) {
        return (size_t)snprintf(out, size, " %s %d", what,
            sa ? (int)sa->sa_family : -1);
    }
    memcpy(&ss, sa,
        sa->sa_family == AF_INET ? sizeof(struct sockaddr_in)
                                 : sizeof(struct sockaddr_in6));
    native_to_far(&a, &ss);
    addr_text(text, sizeof text, &a);
    return (size_t)snprintf(out, size, " %s %s", what, text);
}

static void call_ifaddrs(struct call *c) {
    struct ifaddrs *list = NULL;
    char text[2000] = "";
    size_t used = 0;
    int r = net->getifaddrs(&list);
    for (const struct ifaddrs *i = list; i; i = i->ifa_next) {
        used += (size_t)snprintf(text + used, sizeof text - used, "%s 0x%x",
            i->ifa_name, i->ifa_flags);
        used +=
            sockaddr_text(text + used, sizeof text - used, "addr", i->ifa_addr);
        used += sockaddr_text(text + used, sizeof text - used, "mask",
            i->ifa_netmask);
        used += (size_t)snprintf(text + used, sizeof text - used, "; ");
    }
    net->freeifaddrs(list);
    answer(c, r, text);
}

// NAME
static void call_ifindex(struct call *c) {
    answer(c, net->if_nametoindex(word(c, 1)), "");
}

// INDEX
static void call_ifname(struct call *c) {
    char name[IF_NAMESIZE] = "";
    int r = net->if_indextoname((unsigned)number(c, 1), name);
    answer(c, r, name);
}

#endif
