"""Stages over columns of tensors of any rank."""
