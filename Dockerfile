# The image in which `--software-deployment-method apptainer` runs every rule: the package's dependencies at the versions
# of constraints.txt, and the package. How it becomes reproflow.sif: docs/slurm.md.
FROM python:3.11-slim-bookworm

SHELL ["/bin/bash", "-o", "pipefail", "-c"]
ENV PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1

WORKDIR /opt/reproflow
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY reproflow ./reproflow
RUN python -m pip install --constraint constraints.txt . \
    && useradd --create-home --uid 1000 reproflow

USER 1000
WORKDIR /work
ENTRYPOINT ["python", "-m", "reproflow"]
CMD ["doctor"]
