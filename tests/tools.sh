#!/bin/sh
# What `make test-all` needs beside PyPI. Installed where this may install; else the tests that lack it are
# skipped by name.
set -u
lacking=""
for pair in node:nodejs npm:npm nginx:nginx-light wrk:wrk chromium:chromium; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || lacking="$lacking ${pair##*:}"
done
[ -z "$lacking" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $lacking >/dev/null
else
    echo "not here, and this user cannot install it:$lacking" >&2
fi
exit 0
