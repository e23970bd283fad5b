"""Audits inside other people's training loops; each module needs its library, and only that."""
