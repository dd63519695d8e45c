# Programs that copy files and trees.
# SPDX-License-Identifier: MIT

import os
import stat
from pathlib import Path

from harness import skip, until
from stage import DATA, DIGEST, case, expect, which
from programs.web import URL, nginx

GIT = """
git init -q -b main --bare repo.git
git -C repo.git config http.receivepack true
git -C repo.git config daemon.receivepack true
touch repo.git/git-daemon-export-ok
git config --global user.name far; git config --global user.email far@example.org
git config --global --add safe.directory '*'
git init -q -b main work; cp data work/; mkdir work/many
for i in $(seq 1 200); do echo "$i $i" >work/many/$i; done
git -C work add .; GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_DATE='2020-01-01T00:00:00Z' git -C work commit -qm one
git -C work push -q ../repo.git main
"""


def clone_and_push(st, url):
    """Out, a commit, back; the head that the server then has."""
    st.client("git", "clone", "-q", url, "copy")
    st.expect_file("copy/data")
    expect(len(os.listdir(st.dir / "copy/many")), 200, "small files")
    st.prepare(
        "cd copy; head -c 1000000 data | tac >more; git add more;"
        "GIT_AUTHOR_DATE='2020-01-02T00:00:00Z' GIT_COMMITTER_DATE='2020-01-02T00:00:00Z' git commit -qm two"
    )
    st.client("git", "-C", "copy", "push", "-q", "origin", "main")
    st.client("git", "-C", "work", "fetch", "-q", url, "main")
    st.prepare("git -C repo.git fsck --strict")
    head = st.prepare("git -C copy rev-parse HEAD")
    expect(st.prepare("git -C repo.git rev-parse main"), head, "what was pushed")
    expect(st.prepare("git -C work rev-parse FETCH_HEAD"), head, "what was fetched")
    return head


@case("git", "git-daemon", fast=True, moves=3 << 20)
def git_daemon(st):
    """git clones from git daemon, pushes to it, fetches"""
    st.prepare(GIT)
    st.server("git-daemon", "--reuseaddr", "--listen=127.0.0.1", f"--base-path={st.dir}",
              "--enable=receive-pack", port=9418)  # fmt: skip
    return clone_and_push(st, "git://127.0.0.1/repo.git")


@case("git", "git-http-backend", "fcgiwrap", "nginx", moves=3 << 20)
def git_http(st):
    """git over http: nginx, fcgiwrap, git http-backend"""
    st.prepare(GIT)
    sock = st.dir / "fcgi.sock"
    st.server("fcgiwrap", "-c", "2", "-s", f"unix:{sock}")
    nginx(
        st,
        1,
        more=f"""location ~ /git(/.*) {{
        fastcgi_pass unix:{sock}; include /etc/nginx/fastcgi_params;
        fastcgi_param SCRIPT_FILENAME /usr/lib/git-core/git-http-backend;
        fastcgi_param GIT_HTTP_EXPORT_ALL ""; fastcgi_param REMOTE_USER far;
        fastcgi_param GIT_PROJECT_ROOT {st.dir}; fastcgi_param PATH_INFO $1; }}""",
    )
    return clone_and_push(st, f"{URL}/git/repo.git")


@case("rsync", fast=True, moves=3 << 20)
def rsync(st):
    """rsync: a tree from a daemon and back, then only what changed"""
    st.prepare(
        "mkdir -p tree/a/b; cp data tree/a/; for i in $(seq 1 300); do echo $i >tree/a/b/$i; done"
    )
    conf = st.write(
        "rsyncd.conf",
        f"use chroot = no\nuid = root\ngid = root\npid file = {st.dir}/pid\n"
        f"[tree]\npath = {st.dir}/tree\n[up]\npath = {st.dir}/up\nread only = no\n",
    )
    (st.dir / "up").mkdir()
    st.server("rsync", "--daemon", "--no-detach", "--address=127.0.0.1", "--port=8730",
              f"--config={conf}", port=8730)  # fmt: skip
    st.client("rsync", "-a", "rsync://127.0.0.1:8730/tree/", "got/")
    st.prepare("diff -r tree got")
    st.client("rsync", "-az", "got/", "rsync://127.0.0.1:8730/up/")
    st.prepare("diff -r tree up; echo more >>got/a/data; touch -d 2020-01-01 got/a/data")
    out = st.client("rsync", "-a", "--stats", "got/", "rsync://127.0.0.1:8730/up/")
    st.prepare("diff -r got up")
    return [line for line in out.splitlines() if "transferred" in line or "Matched" in line]


@case("sshd", "ssh", "sftp", "ssh-keygen", moves=6 << 20)
def openssh(st):
    """openssh: a command, a file each way, a forwarded port"""
    if os.getuid() != 0:
        skip("sshd is for root")
    Path("/run/sshd").mkdir(exist_ok=True)
    st.prepare(
        "for k in host user; do ssh-keygen -q -t ed25519 -N '' -f $k; done; cp user.pub authorized"
    )
    os.chmod(st.dir, stat.S_IRWXU)
    conf = st.write(
        "sshd_config",
        f"Port 2222\nListenAddress 127.0.0.1\nHostKey {st.dir}/host\n"
        f"AuthorizedKeysFile {st.dir}/authorized\nUsePAM no\nPermitRootLogin yes\nStrictModes no\n"
        f"PidFile none\nSubsystem sftp internal-sftp\nUseDNS no\nPrintLastLog no\n",
    )
    st.server(which("sshd"), "-D", "-e", "-f", conf, port=2222)
    options = (
        f"-F none -i {st.dir}/user -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
        f" -o LogLevel=ERROR -o BatchMode=yes"
    )
    ssh = f"ssh {options} -p 2222 root@127.0.0.1"
    said = [st.shell(f"{ssh} 'echo out; echo err >&2; exit 7' 2>&1", status=7)]
    expect(st.shell(f"{ssh} sha256sum <data").split()[0], DIGEST, "what it got")
    expect(
        st.shell(f"{ssh} cat {st.dir}/data | sha256sum").split()[0], DIGEST, "what it sent"
    )
    st.shell(f"echo put data up | sftp -q {options} -P 2222 -b - root@127.0.0.1:{st.dir}")
    st.expect_file("up")
    st.begin(
        "ssh",
        *options.split(),
        "-p",
        "2222",
        "-N",
        "-L",
        "127.0.0.1:2223:127.0.0.1:2222",
        "root@127.0.0.1",
    )
    until("the forwarded port", lambda: st.bound("tcp", "0A", 2223))
    out = st.shell(f"{ssh.replace('2222', '2223')} cat {st.dir}/data | sha256sum")
    expect(out.split()[0], DIGEST, "through the tunnel")
    return said


@case("in.tftpd", "tftp", moves=500 << 10)
def tftp(st):
    """tftp-hpa: a process for each file, both ways"""
    # Each block is answered before the next one: a part is enough.
    (st.dir / "part").write_bytes(DATA[:300000])
    (st.dir / "up").touch()
    (st.dir / "up").chmod(0o666)
    st.server("in.tftpd", "-L", "-u", "root", "-c", "-4", "-a", ":6969", "-s", st.dir, udp=6969)
    st.client("tftp", "-m", "binary", "127.0.0.1", "6969", "-c", "get", "part", "got")
    expect(st.digest("got"), st.digest("part"), "what came")
    st.client("tftp", "-m", "binary", "127.0.0.1", "6969", "-c", "put", "part", "up")
    expect(st.digest("up"), st.digest("part"), "what went")
    return "copied"


@case("vsftpd", "curl", "lftp", moves=6 << 20)
def ftp(st):
    """vsftpd: a process for each session; curl passive and active, lftp"""
    if os.getuid() != 0:
        skip("vsftpd is for root")
    (st.dir / "pub").mkdir()
    st.prepare("cp data pub; mkdir -m 777 pub/in; mkdir -p empty; chmod 755 . pub")
    conf = st.write(
        "vsftpd.conf",
        f"listen=YES\nlisten_port=2121\nlisten_address=127.0.0.1\n"
        f"background=NO\nanonymous_enable=YES\nno_anon_password=YES\nanon_root={st.dir}/pub\n"
        f"write_enable=YES\nanon_upload_enable=YES\nanon_umask=022\nsecure_chroot_dir={st.dir}/empty\n"
        f"seccomp_sandbox=NO\nrun_as_launching_user=YES\nconnect_from_port_20=NO\n"
        f"one_process_model=NO\nisolate=NO\nisolate_network=NO\nxferlog_enable=NO\n",
    )
    st.server("vsftpd", conf, port=2121)
    url = "ftp://127.0.0.1:2121"
    expect(st.shell(f"curl -sS {url}/data | sha256sum").split()[0], DIGEST, "passive")
    expect(st.shell(f"curl -sS -P - {url}/data | sha256sum").split()[0], DIGEST, "active")
    st.shell(f"curl -sS -T data {url}/in/new")
    st.expect_file("pub/in/new")
    st.shell(f"lftp -e 'set cmd:fail-exit yes; pget -n 4 data -o got; bye' {url}")
    st.expect_file("got")
    return st.shell(f"curl -sS -l {url}/")
