"""Where files are: trees, flat folders and manifests, on local or on Hadoop's file systems."""
