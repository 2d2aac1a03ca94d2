#!/usr/bin/env bash
# PostgreSQL's image runs this once, when its volume is empty: one database and one owner for each
# of Airflow, MLflow and the table catalog.
set -euo pipefail

# create_database NAME PASSWORD; psql quotes the two, whatever is in them.
create_database() {
  psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --set name="$1" --set password="$2" \
    --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
REVOKE CONNECT ON DATABASE :"name" FROM PUBLIC;
SQL
}

create_database airflow "$AIRFLOW_DB_PASSWORD"
create_database mlflow "$MLFLOW_DB_PASSWORD"
create_database catalog "$CATALOG_DB_PASSWORD"
