# `docker build .` makes the service; `--target store` the DynamoDB-compatible store of compose.yaml.

# The explorer's bundle.
FROM node:22-trixie-slim AS explorer
WORKDIR /build
COPY schema/graphiql/package.json schema/graphiql/package-lock.json schema/graphiql/.npmrc ./
RUN npm ci --no-audit --no-fund
COPY schema/graphiql/ ./
RUN npm run build

# The environment that runs: exact versions by hash, then the service itself, as a wheel.
FROM python:3.13-slim-trixie AS environment
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/cartograph && python -m venv /opt/build
WORKDIR /build
COPY requirements.lock requirements-build.lock ./
RUN /opt/cartograph/bin/pip install --require-hashes -r requirements.lock \
    && /opt/build/bin/pip install --require-hashes -r requirements-build.lock
COPY . .
COPY --from=explorer /build/dist schema/graphiql/dist
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
    && /opt/cartograph/bin/pip install --no-deps /wheels/*.whl

FROM python:3.13-slim-trixie AS store-environment
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/ministack
WORKDIR /build
COPY datasources/ministack.lock ./
RUN /opt/ministack/bin/pip install --require-hashes -r ministack.lock

# For development alone. Its rows are in /data, and saved there when it is told to end.
FROM python:3.13-slim-trixie AS store
RUN groupadd --gid 10001 cartograph \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent cartograph \
    && install --directory --owner=cartograph --group=cartograph /data
COPY --from=store-environment /opt/ministack /opt/ministack
ENV PATH=/opt/ministack/bin:$PATH PYTHONUNBUFFERED=1 PERSIST_STATE=1 STATE_DIR=/data TMPDIR=/data \
    SERVICES=dynamodb,dynamodbstreams IOT_MTLS_ENABLED=0 SFTP_ENABLED=0 LOG_LEVEL=WARNING \
    DOCKER_HOST=unix:///nonexistent
USER 10001:10001
EXPOSE 4566
HEALTHCHECK --interval=2s --timeout=3s --start-period=20s CMD ["python", "-c", \
    "import urllib.request; urllib.request.urlopen('http://127.0.0.1:4566/_ministack/health', timeout=2)"]
# Without a worker of its own there is one process, which hears SIGTERM and saves.
ENTRYPOINT ["hypercorn", "--workers", "0", "--keep-alive", "75", "--graceful-timeout", "1"]
CMD ["--bind", "0.0.0.0:4566", "ministack.app:app"]

# It writes nothing, so that its file system may be read-only.
FROM python:3.13-slim-trixie AS service
RUN groupadd --gid 10001 cartograph \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent cartograph
COPY --from=environment /opt/cartograph /opt/cartograph
ENV PATH=/opt/cartograph/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 CARTOGRAPH_STORE=aws
USER 10001:10001
EXPOSE 8000
# Of `cartograph process` too, where it is given this port.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["python", "-c", \
    "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
ENTRYPOINT ["cartograph"]
CMD ["serve", "--host", "0.0.0.0"]
