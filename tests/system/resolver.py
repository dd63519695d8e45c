# A DNS server of ours for farsockd.
# SPDX-License-Identifier: MIT

# A resolver that never answers by itself, in farsockd's own mount namespace.
RESOLV_CONF = "nameserver 127.0.0.1\noptions timeout:25 attempts:1\n"
HOSTS_ONLY_DNS = "hosts: files dns\n"


def with_resolver(directory):
    (directory / "resolv.conf").write_text(RESOLV_CONF)
    (directory / "nsswitch.conf").write_text(HOSTS_ONLY_DNS)
    mounts = " && ".join(
        f"mount --bind {directory}/{name} /etc/{name}"
        for name in ("resolv.conf", "nsswitch.conf")
    )
    return ["unshare", "-m", "sh", "-c", f'{mounts} && exec "$@"', "sh"]


def no_such_name(query):
    """The answer to a DNS query: the name does not exist."""
    return query[:2] + b"\x81\x83" + query[4:6] + bytes(6) + query[12:]
