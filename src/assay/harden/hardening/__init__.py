"""Hardening a model: options beside controls, trained again, and measured on rows that none of them saw."""
