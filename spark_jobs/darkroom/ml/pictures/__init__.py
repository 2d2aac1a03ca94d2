"""Stages over columns of pictures, and the reading of pictures from files."""
