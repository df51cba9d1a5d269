# The explorer's bundle.
FROM node:22-slim AS explorer
WORKDIR /build
COPY schema/graphiql/package.json schema/graphiql/package-lock.json schema/graphiql/.npmrc ./
RUN npm ci --no-audit --no-fund
COPY schema/graphiql/ ./
RUN npm run build

# The environment that runs: exact versions by hash, then the service itself.
FROM python:3.13-slim AS environment
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

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /nonexistent cartograph
COPY --from=environment /opt/cartograph /opt/cartograph
ENV PATH=/opt/cartograph/bin:$PATH PYTHONUNBUFFERED=1 CARTOGRAPH_STORE=aws
USER cartograph
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["python", "-c", \
    "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
ENTRYPOINT ["cartograph"]
CMD ["serve", "--host", "0.0.0.0"]
