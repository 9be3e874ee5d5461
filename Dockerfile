# The images of the three services: the same layers, three commands. `make images` builds them; docs/images.md says what is in them.
#
# The base is pinned by version and by digest, which change together: the digest is what `docker buildx imagetools inspect python:3.13.16-slim-trixie`
# prints first. Another base serves as well if it has Python 3.13 as /usr/local/bin/python, with pip.
ARG BASE=python:3.13.16-slim-trixie@sha256:bf44cdfcb76cd3b41e879bc058fc37ec5872002ccfde7fcb765e218cde0cd79c

# Nothing can be written at run time, so everything is compiled here. Bytecode that isn't checked against its source (`unchecked-hash`) depends on
# nothing but the source, and every file gets the same date: the same input makes the same layers.

FROM ${BASE} AS dependencies
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ONLY_BINARY=:all: PYTHONDONTWRITEBYTECODE=1
COPY requirements.txt /build/
RUN python -m venv --without-pip /app/.venv \
    && python -m pip --python /app/.venv/bin/python install --no-compile --require-hashes --requirement /build/requirements.txt \
    && find /app/.venv \( -name '*.c' -o -name '*.h' -o -name '*.px[di]' -o -name '*.pyx' -o -name '*.pyi' \) -delete \
    && rm -rf /app/.venv/lib/python*/site-packages/yoyo/tests \
    && python -m compileall -q -j 0 --invalidation-mode unchecked-hash /app/.venv/lib \
    && mkdir /files && mv /app /files/ \
    && find /files -exec touch --no-dereference --date=2000-01-01T00:00Z {} +

FROM ${BASE} AS project
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ONLY_BINARY=:all: PYTHONDONTWRITEBYTECODE=1
WORKDIR /build
COPY requirements-build.txt ./
RUN python -m venv --without-pip tools \
    && python -m pip --python tools/bin/python install --no-compile --require-hashes --requirement requirements-build.txt
COPY pyproject.toml README.md LICENSE ./
COPY src src
# A wheel is an archive of what goes to site-packages. The certificates have a place of their own.
RUN tools/bin/python -m hatchling build --target wheel --directory . \
    && packages="/files$(python -c 'import sysconfig; print(sysconfig.get_path("purelib", "venv", {"base": "/app/.venv"}))')" \
    && mkdir -p "$packages" \
    && python -m zipfile --extract tap_payments-*.whl "$packages" \
    && mv "$packages/payments/storage/rds-global-bundle.pem" /files/app/ \
    && python -m compileall -q -s /files -p / --invalidation-mode unchecked-hash "$packages" \
    && find /files \( -type d -exec chmod 0755 {} + \) -o \( -type f -exec chmod 0644 {} + \) \
    && find /files -exec touch --no-dereference --date=2000-01-01T00:00Z {} +

# Without what installs or builds things, and without programs that give rights.
FROM ${BASE} AS trimmed
RUN library="$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
    && pip="$(python -c 'import pathlib, pip; print(pathlib.Path(pip.__file__).parents[1])')" \
    && dpkg --purge --force-depends --force-remove-essential --force-remove-protected apt $(dpkg-query --show --showformat '${Package} ' 'libapt-pkg*') \
    && rm -rf "$pip"/pip "$pip"/pip-* "$library"/ensurepip "$library"/idlelib "$library"/pydoc_data "$library"/test "$library"/tkinter "$library"/turtledemo \
        /usr/local/bin/pip* /usr/local/bin/idle* /usr/local/bin/pydoc* /usr/local/bin/python*-config /usr/local/include \
        /etc/apt /var/lib/apt /var/cache/apt /var/cache/debconf/* /var/cache/ldconfig/* /var/log/* ~/.cache /tmp/* \
    && python -m compileall -q -f -j 0 --invalidation-mode unchecked-hash "$library" \
    && find / -xdev -type f -perm /6000 -exec chmod ug-s {} +

# Apart, since the engine mounts files in a running container's /etc, which dates it.
FROM ${BASE} AS system
COPY --from=trimmed / /files
RUN find /files -exec touch --no-dereference --date=2000-01-01T00:00Z {} +

# What was removed above is in no layer.
FROM scratch AS runtime
COPY --from=system /files /
COPY --from=dependencies /files /
COPY --from=project /files /
ENV PATH=/app/.venv/bin:/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 HOME=/tmp PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 TAP_HOST=0.0.0.0
WORKDIR /app
USER 10001:10001
# ECS gives the task's own volume the rights of this directory only if it is declared here.
VOLUME ["/tmp"]
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-m", "payments.runtime.alive"]
ARG BASE
ARG CREATED
ARG REVISION
LABEL org.opencontainers.image.base.name=${BASE} \
    org.opencontainers.image.created=${CREATED} \
    org.opencontainers.image.description="Card payments that a company runs itself" \
    org.opencontainers.image.licenses=Apache-2.0 \
    org.opencontainers.image.revision=${REVISION}

FROM runtime AS payment-api
LABEL org.opencontainers.image.title=payment-api
CMD ["python", "-m", "payments.payment_api"]

FROM runtime AS transaction-processor
LABEL org.opencontainers.image.title=transaction-processor
CMD ["python", "-m", "payments.transaction_processor"]

FROM runtime AS notification-service
LABEL org.opencontainers.image.title=notification-service
CMD ["python", "-m", "payments.notification_service"]
