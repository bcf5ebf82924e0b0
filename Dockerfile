# thresher, promtool and git, for CI systems that run in containers:
#   docker build -t thresher .
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/work" thresher build profiles --out out
FROM python:3.13-slim AS build
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY generator generator
COPY rules_templates rules_templates
COPY dashboards dashboards
# Without pip: what runs needs none.
RUN python -m venv --without-pip /opt/thresher \
 && PIP_CONSTRAINT=constraints.txt pip --python /opt/thresher/bin/python install --no-cache-dir .

FROM prom/prometheus:v3.5.0 AS prometheus

FROM python:3.13-slim
# For `thresher diff` of revisions.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends git \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/thresher /opt/thresher
COPY --from=prometheus /bin/promtool /usr/local/bin/promtool
ENV PATH=/opt/thresher/bin:$PATH
# Nobody by its number, so that Kubernetes can see that it is not root.
USER 65534:65534
WORKDIR /work
ENTRYPOINT ["thresher"]
CMD ["--help"]
