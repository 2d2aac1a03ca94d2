"""Drop-in replacements of pyspark.ml's validators that run what the trials share only once."""
