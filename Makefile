SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Each environment imports its own folders; see docs/architecture.md.
IN_SPARK := . scripts/env.sh && PYTHONPATH="$(CURDIR)/spark_jobs:$(CURDIR)"
IN_AIRFLOW := . scripts/env.sh && \
	PYTHONPATH="$(CURDIR)/scripts:$(CURDIR)/plugins:$(CURDIR)/spark_jobs"
SPARK_BIN := .venv/spark/bin
AIRFLOW_BIN := .venv/airflow/bin
LOCAL_STACK := $(IN_AIRFLOW) $(AIRFLOW_BIN)/python -m local_stack

# Folders by the environment that runs them. One that is not there yet is left out.
SPARK_CODE := $(wildcard spark_jobs demo benchmarks scripts/class_data_job.py tests/*/spark_env)
AIRFLOW_CODE := $(wildcard dags plugins scripts/local_stack tests/*/airflow_env tests/e2e/*.py)

##@ Use it
.PHONY: demo run rollback up sql query
demo: setup  ## the whole chain on generated traffic signs, from nothing
	@$(LOCAL_STACK) demo

run: need-PIPELINE need-SOURCE setup  ## your images: PIPELINE=name SOURCE=/folder [APPROVE=yes]
	@$(LOCAL_STACK) run --pipeline "$$PIPELINE" --source "$$SOURCE" \
		$(if $(APPROVE),--approve "$$APPROVE")

rollback: need-PIPELINE need-REASON setup  ## an earlier model: PIPELINE= REASON= [VERSION=]
	@$(LOCAL_STACK) rollback --pipeline "$$PIPELINE" --reason "$$REASON" \
		$(if $(VERSION),--version "$$VERSION")

up: setup  ## Airflow, MLflow and the SQL gateway; Ctrl-C stops all
	@$(LOCAL_STACK) up

sql: setup  ## the SQL gateway alone: [PORT=10000] [HEALTH_PORT=10002]
	@$(IN_SPARK) exec spark-submit --master "local[*,3]" \
		--driver-java-options=-XX:TieredStopAtLevel=4 spark_jobs/sql_gateway.py \
		$(if $(PORT),--port "$$PORT") $(if $(HEALTH_PORT),--health-port "$$HEALTH_PORT")

query: need-SQL setup  ## ask a deployed function: SQL='SELECT ...'
	@$(IN_SPARK) spark-submit spark_jobs/query.py --sql "$$SQL"

.PHONY: forget expire vacuum compact
LAKE := $(IN_SPARK) $(SPARK_BIN)/python spark_jobs/lake.py
forget: need-PIPELINE need-IMAGE_ID setup  ## forget a picture: PIPELINE=name IMAGE_ID=sha256
	@$(LAKE) forget --pipeline "$$PIPELINE" --image-id "$$IMAGE_ID"

expire: need-PIPELINE setup  ## drop old snapshots: PIPELINE=name [DAYS=30] [IMAGE_ID=]
	@$(LAKE) expire --pipeline "$$PIPELINE" $(if $(DAYS),--days "$$DAYS") \
		$(if $(IMAGE_ID),--image-id "$$IMAGE_ID")

vacuum: need-PIPELINE setup  ## delete what killed writers left: PIPELINE=name
	@$(LAKE) vacuum --pipeline "$$PIPELINE"

compact: need-PIPELINE setup  ## put small files of the tables together: PIPELINE=name
	@$(IN_SPARK) spark-submit spark_jobs/lake.py compact --pipeline "$$PIPELINE"

.PHONY: profile lineage
profile: need-PIPELINE setup  ## expectations of the data: PIPELINE=name [OVERWRITE=]
	@$(IN_SPARK) spark-submit spark_jobs/profile_images.py \
		--config "config/pipelines/$$PIPELINE.yaml" \
		$(if $(filter yes,$(OVERWRITE)),--overwrite)

lineage: need-PIPELINE need-VERSION setup  ## what trained a model: PIPELINE=name VERSION=1 [OUTPUT=]
	@$(IN_SPARK) $(SPARK_BIN)/python spark_jobs/lineage.py --pipeline "$$PIPELINE" \
		--version "$$VERSION" $(if $(OUTPUT),--output "$$OUTPUT")

##@ Work on it
.PHONY: test test-unit test-integration test-e2e test-parity test-long lint format bench setup lock
# Each suite keeps one core busy and waits a lot, so two run side by side, the longest ones first;
# what a suite says is shown in one piece when it has ended. A failed one does not keep the others.
# On a new machine the rest of set-up runs beside lint, which does without it. Who needs it waits for
# its lock: as a prerequisite it would have make start all shorter suites before the longest.
TWO_AT_A_TIME := $(MAKE) --jobs=2 --keep-going --output-sync=target
test:  ## lint and all tests (15 minutes)
	@scripts/setup.sh --environments
	@echo "Lint and tests, two at a time; each is shown when it has ended"
	@$(TWO_AT_A_TIME) setup lint-spark lint-airflow integration-spark e2e \
		integration-airflow unit-spark unit-airflow

test-unit: setup  ## quick tests; ARGS='-k name' picks some
	@$(TWO_AT_A_TIME) unit-spark unit-airflow

test-integration: setup  ## tests with real Spark jobs and real Airflow
	@$(TWO_AT_A_TIME) integration-spark integration-airflow

test-e2e: setup  ## a whole chain through Airflow on a small set
	@$(MAKE) e2e

test-parity: setup  ## Spark = Keras for all 40 networks (1 hour); [RESUME=yes]
	@$(IN_SPARK) DARKROOM_PARITY=$(if $(filter yes,$(RESUME)),resume,new) \
		$(SPARK_BIN)/pytest tests/integration/spark_env/test_parity.py \
		tests/integration/spark_env/test_seed_programs.py -m "" $(ARGS)

test-long: setup  ## rarer cases, kills, 5 minutes of swaps (40 minutes)
	@$(IN_SPARK) DARKROOM_MUTATIONS=2000 $(SPARK_BIN)/pytest tests/unit/spark_env/test_audit.py
	@$(IN_SPARK) $(SPARK_BIN)/pytest -m long tests/unit/spark_env tests/integration/spark_env $(ARGS)
	@$(IN_AIRFLOW) $(AIRFLOW_BIN)/pytest -m long tests/integration/airflow_env tests/e2e $(ARGS)

lint: setup  ## ruff, mypy in each environment, import boundaries
	@$(TWO_AT_A_TIME) lint-spark lint-airflow

.PHONY: unit-spark unit-airflow integration-spark integration-airflow e2e lint-spark lint-airflow
unit-spark integration-spark: %-spark:
	@scripts/setup.sh
	@$(IN_SPARK) $(SPARK_BIN)/pytest tests/$*/spark_env $(ARGS)

unit-airflow integration-airflow: %-airflow:
	@$(IN_AIRFLOW) $(AIRFLOW_BIN)/pytest tests/$*/airflow_env $(ARGS)

e2e:
	@scripts/setup.sh
	@$(IN_AIRFLOW) $(AIRFLOW_BIN)/pytest tests/e2e $(ARGS)

lint-spark:
	@MYPYPATH=spark_jobs $(SPARK_BIN)/mypy --strict --cache-dir .mypy_cache/spark $(SPARK_CODE)

lint-airflow:
	@$(SPARK_BIN)/ruff check .
	@$(SPARK_BIN)/ruff format --check .
	@PYTHONPATH=scripts:plugins:spark_jobs $(SPARK_BIN)/lint-imports
	@MYPYPATH=scripts:plugins:spark_jobs \
		$(AIRFLOW_BIN)/mypy --strict --cache-dir .mypy_cache/airflow $(AIRFLOW_CODE)

format: setup  ## let ruff mend what it can
	@$(SPARK_BIN)/ruff check --fix .
	@$(SPARK_BIN)/ruff format .

bench: setup  ## measure, into benchmarks/results.json; [ONLY=name]
	@$(IN_SPARK) $(SPARK_BIN)/python -m benchmarks $(if $(ONLY),--only $(ONLY))

setup:  ## build the environments (the others do it if needed)
	@scripts/setup.sh

lock:  ## newest versions that fit, into requirements/*.txt
	@scripts/lock.sh --upgrade

##@ Clean up
.PHONY: clean distclean help
clean:  ## remove the workspace (data, models, runs) and caches
	@scripts/clean.sh

distclean: clean  ## also remove the environments
	@echo "Removing .venv" && rm -rf .venv

help:  ## this list
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

need-%:
	@[[ -n "$${$*:-}" ]] || { echo "$* is missing, see: make help" >&2; exit 2; }
