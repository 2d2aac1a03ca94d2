"""Darkroom: from a folder of labelled images to an approved model that answers from SQL."""
