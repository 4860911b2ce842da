# Airflow with our provider, DAGs, page and Celery, at the versions of constraints.txt.
FROM python:3.12.12-slim-bookworm
RUN groupadd --gid 999 airflow \
 && useradd --uid 999 --gid 999 --create-home --home-dir /opt/airflow airflow \
 && install --directory --owner airflow --group airflow --mode 0700 /run/gong /opt/airflow/logs \
    /run/services/postgres /run/services/redis /run/services/migrate /run/services/api-server \
    /run/services/scheduler /run/services/dag-processor /run/services/triggerer /run/services/worker
WORKDIR /opt/airflow
ENV AIRFLOW_HOME=/opt/airflow PYTHONPATH=/opt/airflow PYTHONUNBUFFERED=1
COPY constraints.txt ./
RUN pip install --no-cache-dir --constraint constraints.txt \
    alembic apache-airflow apache-airflow-providers-celery apache-airflow-providers-postgres hatchling
COPY pyproject.toml LICENSE build/
COPY plugins/gong_provider build/plugins/gong_provider
RUN pip install --no-cache-dir --constraint constraints.txt --no-build-isolation './build[postgres]' && pip check
COPY plugins/.airflowignore plugins/gong_plugin.py plugins/
COPY dags dags
COPY include include
USER 999:999
