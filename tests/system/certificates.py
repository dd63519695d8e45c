# An authority of our own, a certificate for localhost, and a stranger.
# SPDX-License-Identifier: MIT

import shutil
import subprocess

from harness import skip

EC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


def make_certificates(directory):
    """Leaves ca, other and server, each .pem, .key and .der, and the server's
    key as server.key.der."""
    openssl = shutil.which("openssl") or skip("openssl is not installed")

    def run(*args):
        subprocess.run([openssl, *args], check=True, capture_output=True, cwd=directory)

    for name in ("ca", "other"):
        run("req", "-x509", *EC, "-keyout", f"{name}.key", "-out", f"{name}.pem",
            "-days", "30", "-subj", f"/CN={name}")  # fmt: skip
    run("req", *EC, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost")
    (directory / "san").write_text("subjectAltName=DNS:localhost\n")
    run("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
        "-CAcreateserial", "-days", "30", "-extfile", "san", "-out", "server.pem")  # fmt: skip
    for name in ("ca", "other", "server"):
        run("x509", "-in", f"{name}.pem", "-outform", "DER", "-out", f"{name}.der")
    run("ec", "-in", "server.key", "-outform", "DER", "-out", "server.key.der")
