"""nginx twice: as a vendor that answers at once (the stub), and as what the gateway is measured against."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

VENDOR_PATH: Final = "/vendor/users/"
"""Where the stub answers as the vendor does for a user."""
SECURED_PATH: Final = "/secured/vendor/users/"
"""Where the rival asks the stub over TLS."""
TOKEN: Final = "benchmark-token"
LONGEST: Final = 4000
"""Characters that `return` can be given in one parameter (nginx reads its file in pieces of 4096)."""

COMMON: Final = """
daemon off;
{user}
worker_processes 1;
worker_rlimit_nofile 8192;
pid {folder}/{name}.pid;
error_log {folder}/{name}.errors warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    default_type application/json;
    keepalive_timeout 1h;
    keepalive_requests 1000000000;
    client_body_buffer_size 16k;
    client_body_temp_path {folder}/{name}-bodies;
    proxy_temp_path {folder}/{name}-proxied;
    fastcgi_temp_path {folder}/{name}-fastcgi;
    uwsgi_temp_path {folder}/{name}-uwsgi;
    scgi_temp_path {folder}/{name}-scgi;
{inner}
}}
"""

STUB: Final = """
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        listen 127.0.0.1:{secured} ssl backlog=1024;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        ssl_protocols TLSv1.3;
        location {vendor_path} {{
            add_header X-Request-Id $http_x_request_id;
            if ($http_authorizationtoken != "{token}") {{ return 401; }}
            return 200 '{answer}';
        }}
        # `return` cannot read a file; an error page can, and is fetched by GET
        location = /v1/recommendations {{ error_page 405 =200 /answer.json; return 405; }}
        location = /answer.json {{ root {folder}; }}
        location = /status {{ stub_status; }}
        location / {{ return 404; }}
    }}
"""

RIVAL: Final = """
    proxy_cache_path {folder}/cache levels=1:2 keys_zone=answers:16m inactive=1d max_size=256m use_temp_path=off;
    open_file_cache max=1000 inactive=1h;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    upstream vendor {{
        server 127.0.0.1:{stub_port};
        keepalive 256;
        keepalive_requests 1000000000;
        keepalive_timeout 1h;
    }}
    upstream secured {{
        server 127.0.0.1:{secured};
        keepalive 256;
        keepalive_requests 1000000000;
        keepalive_timeout 1h;
    }}
    proxy_ssl_protocols TLSv1.3;
    proxy_ssl_verify on;
    proxy_ssl_trusted_certificate {certificate};
    proxy_ssl_name localhost;
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location = /v1/recommendations {{
            proxy_cache answers;
            proxy_cache_methods POST;
            proxy_cache_key "$uri|$request_body";
            proxy_cache_valid 200 1d;
            proxy_pass http://vendor;
            add_header X-Cache $upstream_cache_status;
            add_header X-Request-Id $http_x_request_id;
        }}
        location {vendor_path} {{
            proxy_pass http://vendor;
            add_header X-Request-Id $http_x_request_id;
        }}
        location {secured_path} {{
            proxy_pass https://secured{vendor_path};
            add_header X-Request-Id $http_x_request_id;
        }}
    }}
"""


def stub(folder: Path, name: str, port: int, secured: int, answer: bytes) -> list[str]:
    """The command of a stub; `answer` is the vendor's. `folder/answer.json` is the origin of nginx's hits.

    `certificate.pem` and `key.pem` must be in the folder.
    """
    text = answer.decode()
    if len(text) > LONGEST or any(sign in text for sign in "'$\\"):
        raise ValueError("the vendor's answer cannot stand in nginx's configuration")
    inner = STUB.format(
        port=port, secured=secured, vendor_path=VENDOR_PATH, token=TOKEN, answer=text, folder=folder,
        certificate=folder / "certificate.pem", key=folder / "key.pem",
    )  # fmt: skip
    return _command(folder, name, inner)


def rival(folder: Path, port: int, stub_port: int, secured: int) -> list[str]:
    """The command of the nginx that is measured."""
    inner = RIVAL.format(
        folder=folder, port=port, stub_port=stub_port, secured=secured, vendor_path=VENDOR_PATH,
        secured_path=SECURED_PATH, certificate=folder / "certificate.pem",
    )  # fmt: skip
    return _command(folder, "rival", inner)


def _command(folder: Path, name: str, inner: str) -> list[str]:
    user = "user root;" if os.geteuid() == 0 else ""  # else its workers could not read the folder
    file = folder / f"{name}.conf"
    file.write_text(COMMON.format(folder=folder, name=name, user=user, inner=inner))
    return ["nginx", "-p", str(folder), "-c", str(file), "-e", str(folder / f"{name}.errors")]
