"""The Airflow side of Darkroom: operators, trigger forms and links. No stage runs in here."""
