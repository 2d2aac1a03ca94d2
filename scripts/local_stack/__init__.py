"""The local stack: Airflow, MLflow and a file server on loopback, and what drives them."""
