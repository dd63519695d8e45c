// What farsockd gives up before it serves anybody: user and capabilities.
// SPDX-License-Identifier: MIT
#include "daemon/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/capability.h>

#include "daemon/ids.h"

// --- What the rules need ---

static bool needs_low_ports(const struct policy_rule *r) {
    bool local = r->actions & (POLICY_BIND | POLICY_LISTEN);
    bool low = r->port_count == 0;
    for (size_t i = 0; i < r->port_count; i++) {
        low |= r->ports[i].last > 0 && r->ports[i].first < 1024;
    }
    return local && low && (r->protos & (POLICY_TCP | POLICY_UDP));
}

static uint32_t rights_of(const struct policy_rule *r) {
    uint32_t rights = 0;
    if (!r->allow) {
        return 0;
    }
    if (r->actions == POLICY_OPTION) {
        uint32_t raw = POLICY_MARK | POLICY_HEADER | POLICY_FREEBIND;
        return r->options & raw ? SANDBOX_RAW : 0;
    }
    if (r->actions & (POLICY_CONNECT | POLICY_BIND | POLICY_ACCEPT)) {
        bool raw = r->protos & (POLICY_ICMP | POLICY_RAW);
        rights |= raw && r->port_count == 0 ? SANDBOX_RAW : 0;
    }
    return rights | (needs_low_ports(r) ? SANDBOX_LOW_PORTS : 0);
}

uint32_t sandbox_rights(const struct policy_set *set, uint32_t user) {
    const uint32_t both = SANDBOX_LOW_PORTS | SANDBOX_RAW;
    uint32_t rights = 0;
    if (set->first == NULL) {
        return user == IDS_NONE ? both | SANDBOX_ADMIN : both;
    }
    for (const struct policy *p = set->first; p != NULL; p = p->next) {
        rights |= p->allow ? both : 0;
        for (size_t i = 0; i < p->rule_count; i++) {
            rights |= rights_of(&p->rules[i]);
        }
    }
    return rights;
}

// --- Giving up the rest ---

static uint64_t capabilities(uint32_t rights) {
    uint64_t caps = 0;
    caps |= rights & SANDBOX_LOW_PORTS ? 1ull << CAP_NET_BIND_SERVICE : 0;
    caps |= rights & SANDBOX_RAW ? 1ull << CAP_NET_RAW : 0;
    caps |= rights & SANDBOX_ADMIN ? 1ull << CAP_NET_ADMIN : 0;
    return caps;
}

static int become(uint32_t user) {
    const struct passwd *p = getpwuid(user);
    if (p == NULL) {
        errno = ENOENT;
        return -1;
    }
    // Capabilities would go with the user.
    return prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 ||
                   initgroups(p->pw_name, p->pw_gid) < 0 ||
                   setresgid(p->pw_gid, p->pw_gid, p->pw_gid) < 0 ||
                   setresuid(user, user, user) < 0
               ? -1
               : 0;
}

static void drop_bounding_set(uint64_t keep) {
    for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
        if (cap > 63 || !(keep >> cap & 1)) {
            prctl(PR_CAPBSET_DROP, cap, 0, 0, 0); // needs a right of its own
        }
    }
}

// Only what it has: it may have been started with less.
static int keep_capabilities(uint64_t keep) {
    struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct d[2];
    if (syscall(SYS_capget, &h, d) < 0) {
        return -1;
    }
    bool has_more = false;
    for (int i = 0; i < 2; i++) {
        uint32_t half = (uint32_t)(keep >> (32 * i));
        has_more |= (d[i].permitted & ~half) || d[i].inheritable ||
                    d[i].effective != d[i].permitted;
        d[i].permitted &= half;
        d[i].effective = d[i].permitted;
        d[i].inheritable = 0;
    }
    return has_more ? (int)syscall(SYS_capset, &h, d) : 0;
}

int sandbox_drop(uint32_t user, uint32_t rights, char *reason,
    size_t reason_len) {
    uint64_t keep = capabilities(rights);
    const char *step = "user";
    if (geteuid() == 0) {
        drop_bounding_set(keep);
    } else if (user != IDS_NONE && user != geteuid()) {
        snprintf(reason, reason_len, "user: only root can become user %u",
            user);
        return -1;
    }
    bool changes = user != IDS_NONE && user != geteuid();
    if (!changes || become(user) == 0) {
        step = "capabilities";
        if (keep_capabilities(keep) == 0 &&
            prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0) {
            return 0;
        }
    }
    snprintf(reason, reason_len, "cannot give up rights (%s): %s", step,
        strerror(errno));
    return -1;
}
