"""The page *Darkroom* of Airflow: every pipeline's champion, challenger, open questions, ledger."""
