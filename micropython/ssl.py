# The ssl module of MicroPython's documentation, on top of its C module tls.
# SPDX-License-Identifier: MIT

import tls
from tls import CERT_NONE, CERT_OPTIONAL, CERT_REQUIRED
from tls import MBEDTLS_VERSION, PROTOCOL_TLS_CLIENT, PROTOCOL_TLS_SERVER

try:
    from tls import PROTOCOL_DTLS_CLIENT, PROTOCOL_DTLS_SERVER
except ImportError:
    # A smaller mbedTLS: the names are absent, as documented.
    pass


# tls takes contents; a str names the file they are in.
def _contents(source):
    if not isinstance(source, str):
        return source
    with open(source, "rb") as f:
        return f.read()


class SSLContext:
    def __init__(self, protocol):
        self._tls = tls.SSLContext(protocol)

    @property
    def verify_mode(self):
        return self._tls.verify_mode

    @verify_mode.setter
    def verify_mode(self, mode):
        self._tls.verify_mode = mode

    @property
    def verify_callback(self):
        return self._tls.verify_callback

    @verify_callback.setter
    def verify_callback(self, callback):
        self._tls.verify_callback = callback

    def load_cert_chain(self, certfile, keyfile):
        self._tls.load_cert_chain(_contents(certfile), _contents(keyfile))

    def load_verify_locations(self, cafile=None, cadata=None):
        if cafile is not None:
            cadata = _contents(cafile)
        self._tls.load_verify_locations(cadata)

    def get_ciphers(self):
        return self._tls.get_ciphers()

    def set_ciphers(self, ciphers):
        self._tls.set_ciphers(ciphers)

    def wrap_socket(self, sock, **options):
        return self._tls.wrap_socket(sock, **options)


def wrap_socket(
    sock,
    server_side=False,
    key=None,
    cert=None,
    cert_reqs=CERT_NONE,
    cadata=None,
    server_hostname=None,
    do_handshake=True,
):
    context = SSLContext(PROTOCOL_TLS_SERVER if server_side else PROTOCOL_TLS_CLIENT)
    if key is not None or cert is not None:
        context.load_cert_chain(cert, key)
    if cadata is not None:
        context.load_verify_locations(cadata=cadata)
    context.verify_mode = cert_reqs
    return context.wrap_socket(
        sock,
        server_side=server_side,
        do_handshake_on_connect=do_handshake,
        server_hostname=server_hostname,
    )
