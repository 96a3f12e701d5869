# Two images of one source: `runtime` has no torch and no compiler, `training` adds what models are learned with.
#   docker build --target runtime --tag tapewatch:0.2.0 .
#   docker build --target training --tag tapewatch-training:0.2.0 .
# Base image by version, every package by version and hash. See docs/deployment.md.
ARG PYTHON=3.11.14-slim-bookworm

FROM python:${PYTHON} AS base
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TAPEWATCH_DATA=/var/lib/tapewatch \
    XDG_CACHE_HOME=/var/cache
RUN groupadd --gid 10001 tapewatch \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin tapewatch \
    && install --directory --owner 10001 --group 10001 --mode 0750 /var/lib/tapewatch /var/cache/tapewatch \
        /warmed/tapewatch \
    && install --directory /etc/tapewatch
# A tapewatch.toml that is mounted here is read by every command.
WORKDIR /etc/tapewatch

FROM base AS packages
RUN python -m venv --without-pip /opt/venv
COPY infra/docker/runtime.lock /build/
RUN pip --python /opt/venv/bin/python install --no-cache-dir --no-compile --require-hashes --only-binary :all: \
    --requirement /build/runtime.lock \
    && find /opt/venv/lib -type d -name tests -prune -exec rm -rf {} +

FROM packages AS product
COPY pyproject.toml README.md LICENSE /build/
COPY tapewatch /build/tapewatch
COPY detectors /build/detectors
COPY streams /build/streams
COPY producers /build/producers
COPY sinks /build/sinks
COPY console /build/console
COPY infra /build/infra
COPY evaluation /build/evaluation
COPY benchmarks /build/benchmarks
# setuptools, which builds it, is one of the locked packages. Kernels are compiled once, for this machine's kind of CPU;
# they and bytecode are kept by their sources' times, of which an image's layers keep whole seconds.
RUN pip --python /opt/venv/bin/python install --no-cache-dir --no-compile --no-deps --no-build-isolation /build \
    && find /opt/venv/lib -name '*.py' -exec touch --date=@1700000000 {} + \
    && python -m compileall -q /opt/venv/lib \
    && python -m streams.engine.warm \
    && python -m producers.synthetic.warm \
    && chown -R 10001:10001 /var/cache/tapewatch

FROM product AS learning
COPY infra/docker/training.lock /build/
RUN pip --python /opt/venv/bin/python install --no-cache-dir --require-hashes --only-binary :all: \
    --requirement /build/training.lock

FROM base AS training
COPY --from=learning /opt/venv /opt/venv
COPY --from=learning --chown=10001:10001 /var/cache/tapewatch /var/cache/tapewatch
USER 10001:10001
ENTRYPOINT ["tapewatch"]
CMD ["train", "--help"]

FROM base AS runtime
COPY --from=product /opt/venv /opt/venv
COPY --from=product --chown=10001:10001 /var/cache/tapewatch /var/cache/tapewatch
USER 10001:10001
# Figures and health, where metrics.port asks for them; the console.
EXPOSE 9400 8470
ENTRYPOINT ["tapewatch"]
CMD ["--help"]
