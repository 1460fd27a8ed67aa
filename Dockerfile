# The gateway's image. The same one runs
#
#   serve      docker run -e GATEWAY_KEY_SHA256=… -p 8080:8080 -v gateway:/var/lib/gateway IMAGE
#   demo       docker run -p 8080:8080 IMAGE demo            (makes an API key and prints it)
#   sandbox    docker run -p 9101-9105:9101-9105 IMAGE sandbox
#
# and anything else that `gateway --help` lists. It needs no root and no writable root file system: only
# /var/lib/gateway (the state; a volume) and /tmp are written to. docs/deployment.md says more.

ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
# What changes seldom comes first, so that a change of the code does not install the rest anew.
COPY requirements.txt ./
RUN python -m venv --without-pip /opt/gateway \
 && python -m pip --python /opt/gateway/bin/python install --require-hashes --only-binary=:all: -r requirements.txt
COPY pyproject.toml README.md ./
COPY config/ config/
COPY gateway/ gateway/
# Modules are compiled by pip now, as nothing can be written later.
RUN python -m pip --python /opt/gateway/bin/python install --no-deps .

FROM python:${PYTHON}-slim
COPY --from=build /opt/gateway /opt/gateway
COPY config/image.yaml /etc/gateway/gateway.yaml
# A number, so that Kubernetes can see that it is not root (runAsNonRoot).
RUN install -d -o 65532 -g 65532 -m 0750 /var/lib/gateway
# GATEWAY_HOST is for demo and sandbox; `serve` is told below, and wants `auth` in its configuration then.
ENV PATH=/opt/gateway/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/var/lib/gateway \
    GATEWAY_HOST=0.0.0.0
USER 65532:65532
WORKDIR /var/lib/gateway
VOLUME ["/var/lib/gateway"]
EXPOSE 8080 9090
# Ready, not just alive. It asks the admin listener, so it means nothing for `sandbox`: --no-healthcheck there.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:9090/readyz', timeout=2)"]
# The exec form: the gateway is process 1 and gets SIGTERM itself.
ENTRYPOINT ["gateway"]
CMD ["serve", "--config", "/etc/gateway/gateway.yaml", "--listen", "0.0.0.0:8080", "--admin-listen", "0.0.0.0:9090"]
