"""Requests over plain HTTP, each over a connection of its own.

httpx would read the certificates of the machine before each, which takes it twenty times as long
as the request.
"""

from __future__ import annotations

import ssl
from functools import partial

import httpx

_NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

request = partial(httpx.request, verify=_NO_CERTIFICATES, trust_env=False)
get = partial(request, "GET")
head = partial(request, "HEAD")
options = partial(request, "OPTIONS")
post = partial(request, "POST")
