"""Networks over Spark DataFrames."""
