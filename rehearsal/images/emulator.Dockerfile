# The emulator of AWS with the environment that requirements-emulator.txt locks. It is given the engine's socket.
ARG BASE
FROM ${BASE}
WORKDIR /opt/emulator
COPY requirements-emulator.txt ./
RUN python -m venv --without-pip .venv \
    && python -m pip --disable-pip-version-check --no-cache-dir --python .venv/bin/python install --quiet --require-hashes \
        --only-binary :all: --requirement requirements-emulator.txt
COPY rehearsal/__init__.py rehearsal/
COPY rehearsal/emulator rehearsal/emulator
ENV PATH=/opt/emulator/.venv/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin PYTHONUNBUFFERED=1
EXPOSE 4566
CMD ["python", "-m", "rehearsal.emulator"]
