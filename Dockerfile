# Airflow's own image (uid 50000, group 0, as Helm and OpenShift want it) with our provider, DAGs and page.
FROM apache/airflow:3.3.2-python3.12
COPY --chown=airflow:0 pyproject.toml LICENSE build/
COPY --chown=airflow:0 plugins/gong_provider build/plugins/gong_provider
RUN pip install --no-cache-dir "apache-airflow==${AIRFLOW_VERSION}" "./build[postgres]" --constraint "${HOME}/constraints.txt"
COPY --chown=airflow:0 plugins/.airflowignore plugins/gong_plugin.py plugins/
COPY --chown=airflow:0 dags dags
COPY --chown=airflow:0 include include
ENV PYTHONPATH=/opt/airflow
RUN mkdir -p secrets given services/postgres services/redis services/migrate services/api-server \
    services/scheduler services/dag-processor services/triggerer services/worker
