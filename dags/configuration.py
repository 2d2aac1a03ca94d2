"""No DAG: shows what is wrong in config/pipelines as one import error on Airflow's first page.

It is a file of its own so that a broken pipeline never takes the others' DAGs away.
"""

from darkroom_airflow.pipelines import load_pipelines

load_pipelines().check()
