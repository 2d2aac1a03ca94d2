"""Networks over Spark DataFrames.

`engines` run a network, `inference` runs one over images; the other packages hold the public
stages and functions.
"""
