# The chat page, and every other `rag` command. See docs/deploy.md.
FROM python:3.11-slim-bookworm AS build

# PyPI has no CPU build of torch for Linux. Whatever comes from here or from PyPI must have the SHA-256 that is locked.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore

WORKDIR /src
COPY pyproject.toml requirements.lock ./
COPY .ci/needed.py .ci/torch-cpu.txt .ci/
RUN python -m venv /opt/papertrail \
    && python .ci/needed.py > needed.txt \
    && python .ci/needed.py hatchling > hatchling.txt
RUN /opt/papertrail/bin/pip install --no-deps --require-hashes --index-url "$TORCH_INDEX" --requirement .ci/torch-cpu.txt
RUN /opt/papertrail/bin/pip install --no-deps --require-hashes --requirement needed.txt
RUN python -m venv builder && builder/bin/pip install --no-deps --require-hashes --requirement hatchling.txt
COPY LICENSE README.md app.py ./
COPY eval eval
COPY prompts prompts
COPY rag rag
COPY seeds seeds
RUN builder/bin/pip wheel --no-deps --no-build-isolation --wheel-dir wheels . \
    && /opt/papertrail/bin/pip install --no-deps wheels/*.whl

FROM python:3.11-slim-bookworm

RUN groupadd --system --gid 10001 papertrail \
    && useradd --system --uid 10001 --gid 10001 --home-dir /data --shell /usr/sbin/nologin papertrail \
    && install --directory --owner=10001 --group=10001 /data
COPY --from=build /opt/papertrail /opt/papertrail

# Everything that is kept lies in the volume: models are fetched there at the first start, and checked.
ENV PATH=/opt/papertrail/bin:$PATH HOME=/data RAG_HOME=/data PIP_NO_CACHE_DIR=1 PYTHONUNBUFFERED=1
VOLUME /data
WORKDIR /opt/papertrail
USER 10001:10001

EXPOSE 7860
# A program that is the first of its container ends on SIGINT, but not on SIGTERM.
STOPSIGNAL SIGINT
HEALTHCHECK --interval=30s --timeout=10s --start-period=10m \
    CMD ["python", "-c", "import http.client as h; c = h.HTTPConnection('127.0.0.1', 7860, timeout=5); c.request('GET', '/gradio_api/startup-events'); exit(c.getresponse().status != 200)"]
ENTRYPOINT ["rag"]
CMD ["chat", "--host", "0.0.0.0", "--port", "7860", "--no-browser"]
